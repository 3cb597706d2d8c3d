//! What a new run may not do, given the runs before it.

use super::{Phase, RunRecord, State};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeSet;

impl State {
    /// Looks whether a run may begin, and says which one it goes on with, if one was left half way. `new_target`: somebody
    /// said that another target than the last run's is meant.
    ///
    /// The journal is never the truth about rows. What is refused here are slips of people: another target under the same
    /// plan, another plan or source while a target is half done.
    ///
    /// # Errors
    /// If it may not, with what to do.
    pub fn guard(&self, run: &RunRecord, new_target: bool) -> Result<Option<String>> {
        let Some(last) = self.last_run(&run.plan)? else { return Ok(None) };
        if last.target_fingerprint != run.target_fingerprint && !new_target {
            return Err(other_target(&last, run));
        }
        let same = |it: &RunRecord| it.target_fingerprint == run.target_fingerprint;
        let Some(last) = self.half_way(&run.plan)?.into_iter().find(same) else {
            let goes_on = last.plan_hash == run.plan_hash && last.source_fingerprint == run.source_fingerprint;
            let dead = !last.phase.is_over() && last.ended.is_none();
            return Ok((goes_on && dead && same(&last)).then_some(last.id));
        };
        if last.plan_hash != run.plan_hash {
            return Err(edited(&last));
        }
        if last.source_fingerprint != run.source_fingerprint {
            let id = &last.id;
            let message = format!(
                "run {id} stands half way ({}) and read from {}, not from {}; point the plan at that source again, or \
                 take back what was written: cutover rollback --run {id}",
                last.phase.name(),
                last.source,
                run.source
            );
            return Err(Error::new(Kind::Plan, message));
        }
        Ok(Some(last.id))
    }

    /// The runs of that plan that left their target half done, the last one of each target.
    ///
    /// A run that only looked, ended before it wrote, or was taken back says nothing about what the one before it left.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn half_way(&self, plan: &str) -> Result<Vec<RunRecord>> {
        let mut seen = BTreeSet::new();
        let wrote = |it: &RunRecord| {
            it.plan == plan && (it.phase.is_half_way() || it.phase.is_over() && it.phase != Phase::RolledBack)
        };
        let mut runs: Vec<RunRecord> = self.runs()?.into_iter().filter(wrote).collect();
        runs.retain(|it| seen.insert(it.target_fingerprint.clone()) && it.phase.is_half_way());
        Ok(runs)
    }
}

fn other_target(last: &RunRecord, run: &RunRecord) -> Error {
    let half = if last.phase.is_half_way() { ", and it stands half way" } else { "" };
    let (id, before, now) = (&last.id, &last.target, &run.target);
    let names = if before == now { "another store of that name".to_owned() } else { format!("{now}, not {before}") };
    let message = format!(
        "this plan now writes to {names}, where the last run ({id}) wrote{half}; point the plan at that target again, or say \
         --new-target if the other one is meant"
    );
    Error::new(Kind::Plan, message)
}

fn edited(last: &RunRecord) -> Error {
    let (id, phase) = (&last.id, last.phase.name());
    let go_on = match last.phase {
        Phase::RollingBack => format!("then end it: cutover rollback --run {id}"),
        _ => format!("then go on: cutover migrate; or take back what was written: cutover rollback --run {id}"),
    };
    let hash = last.plan_hash.get(..12).unwrap_or(&last.plan_hash);
    let message = format!(
        "the plan was edited while run {id} stands half way ({phase}); put it back as it was (its hash began with {hash}), {go_on}"
    );
    Error::new(Kind::Plan, message)
}
