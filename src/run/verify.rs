//! `verify` and `diff`: compare everything, judge, report. Nothing is changed.

use super::{
    Run, checks,
    constraints::{self, Constraints, Filled, Spec, fill},
    ids::{NewIds, Renaming},
    recheck::{self, Differing},
    selection::{Selection, Shares},
    table::{self, Job, MakeProgram, Migrating, Outcome, Spent},
};
use crate::{
    diff::references::Index,
    error::Result,
    gate::{self, Facts, Judgement, Verdict},
    pairing::{self, Choices, Comparison},
    plan::{Check, Policy},
    report::{
        CheckReport, Report, Side, StoreName, TableReport, folder::Folder, sampler::Sampler, timing::TableTiming,
    },
    schema::Table,
    store::Source,
    value::Type,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Two opened stores and what is to be compared in them.
pub struct Task {
    /// Where the rows come from.
    pub source: Box<dyn Source>,
    /// What the report calls it.
    pub source_name: StoreName,
    /// Where they should have arrived.
    pub target: Box<dyn Source>,
    /// What the report calls it.
    pub target_name: StoreName,
    /// Pairs of tables, in the order in which they are compared.
    pub tables: Vec<Pairing>,
    /// Source tables of which a plan selects rows.
    pub selections: Vec<Selection>,
    /// Tables without a counterpart.
    pub source_only: Vec<String>,
    /// Tables without a counterpart.
    pub target_only: Vec<String>,
    /// Declared checks.
    pub checks: Vec<Check>,
    /// The plan calls some column secret, so no answer of a check shows values.
    pub secret: bool,
    /// The file that declares the target's schema.
    pub schema: Option<PathBuf>,
    /// The zone in which times without one are read, as the plan calls it. UTC if there is none.
    pub zone: Option<String>,
    /// New ids that rows have.
    pub ids: NewIds,
    /// What is still a pass.
    pub policy: Policy,
    /// What could not be paired, a sentence each.
    pub unchecked: Vec<String>,
    /// What a reader has to know beforehand.
    pub notes: Vec<String>,
}

/// One pair of tables.
pub struct Pairing {
    /// The source's table as its store knows it.
    pub from: Table,
    /// The comparison of the two.
    pub comparison: Arc<Comparison>,
    /// What was chosen for it.
    pub choices: Choices,
    /// Makes the program that maps the source's rows; gives nothing where they are compared as they are.
    pub program: Box<MakeProgram>,
    /// Not compared, but others refer to it: whether it is there on the source and on the target.
    pub referred: Option<[bool; 2]>,
    /// What else vouches for the mapping.
    pub witnesses: Vec<Witness>,
    /// The rows that an external program made, which take the place of the source's.
    pub made: Option<Made>,
    /// New ids that rows of the source get.
    pub renaming: Option<Arc<Renaming>>,
}

/// Something that vouches for a mapping, beside the comparison that it takes part in.
pub enum Witness {
    /// A file of rows, written by hand or made by an external program, that the mapping has to make too.
    Rows {
        /// How the report calls it.
        name: String,
        /// The file.
        path: PathBuf,
        /// Holds the file, where it was made for this run only.
        folder: Option<tempfile::TempDir>,
    },
    /// A mapping back, from the target's rows to columns of the source.
    Inverse(Box<Inverse>),
}

/// A mapping from the target's rows back to the source's.
pub struct Inverse {
    /// The comparison of the source's rows with those made back.
    pub comparison: Arc<Comparison>,
    /// What was chosen for it.
    pub choices: Choices,
    /// Lets the same source rows through as the mapping does.
    pub forth: Box<MakeProgram>,
    /// Makes the rows back.
    pub back: Box<MakeProgram>,
}

/// Rows that an external program made.
pub struct Made {
    /// To read them from.
    pub store: Mutex<Box<dyn Source>>,
    /// Holds them.
    pub folder: tempfile::TempDir,
}

impl Task {
    /// Compares everything. All findings go into `folder`, if there is one.
    ///
    /// # Errors
    /// If a store fails. Differences are in the report.
    pub fn run(&mut self, run: &Run, folder: Option<&Folder>) -> Result<Report> {
        self.run_with(run, (folder, Migrating::default()))
    }

    /// Leaves alone what no pairing names, for a run that is about some tables only.
    pub fn leave_alone(&mut self) {
        self.source_only.clear();
        self.target_only.clear();
        self.selections.clear();
    }

    /// The same as [`Task::run`], as a part of a migration.
    ///
    /// # Errors
    /// As [`Task::run`], and if something cannot be staged.
    pub(super) fn run_with(&mut self, run: &Run, out: Out<'_>) -> Result<Report> {
        let folder = out.0;
        let all: Vec<Arc<Comparison>> = self.tables.iter().map(|it| Arc::clone(&it.comparison)).collect();
        let selected: Vec<bool> = self.tables.iter().map(Pairing::is_compared).collect();
        let borrowed: Vec<Comparison> = all.iter().map(|it| Comparison::clone(it)).collect();
        let found: Vec<_> =
            (0..all.len()).map(|it| pairing::constraints(&borrowed, it, &self.tables[it].choices)).collect();
        let mut constraints = Constraints::new(&all, &found, &selected);
        for comparison in all.iter().zip(&selected).filter(|it| *it.1).map(|it| it.0) {
            let (source, target) = (comparison.source.rows_about, comparison.target.rows_about);
            // Who cannot say, or said so before it was written to, is to have as many as the other side.
            let target = if out.1.staged.is_some() { source.max(target) } else { target.or(source) };
            run.watch.expect(source.or(target).unwrap_or(0) + target.unwrap_or(0));
        }
        let (mut outcomes, mut filled) = (BTreeMap::new(), Filled::new());
        for (at, done) in self.read(run, &constraints, out)? {
            for (side, indexes) in [Side::Source, Side::Target].into_iter().zip(done.indexes) {
                fill(&mut filled, at, &constraints.specs[at], side, indexes)?;
            }
            outcomes.extend(done.outcome.map(|it| (at, it)));
        }
        let looked = recheck::look_again(self, run, &mut outcomes, folder)?;
        constraints.check(&mut outcomes, &mut filled)?;
        drop(filled);
        let shares = self.survey(run, &mut outcomes, &mut constraints)?;
        let checks = checks::answer(self, run)?;
        let mut unchecked = self.unchecked.clone();
        for (side, store) in [("source", self.source.as_mut()), ("target", self.target.as_mut())] {
            unchecked.extend(store.torn()?.map(|why| format!("the {side} may not have been so: {why}")));
        }
        let found = Found { outcomes, constraints: &constraints, shares: &shares, checks, unchecked, looked };
        self.report(found, (folder.is_some(), run.recheck.rounds > 0))
    }

    /// Says for each source table of which rows are selected who takes what.
    fn survey(
        &mut self,
        run: &Run,
        outcomes: &mut BTreeMap<usize, Outcome>,
        constraints: &mut Constraints,
    ) -> Result<Vec<Shares>> {
        let mut all = Vec::new();
        for selection in &self.selections {
            let shares = selection.survey(run, self.source.as_mut(), outcomes)?;
            for (at, unchecked) in &shares.unchecked {
                constraints.unchecked[*at].push(unchecked.clone());
            }
            all.push(shares);
        }
        Ok(all)
    }

    /// Reads every table that has to be read, several side by side where the stores can.
    fn read(&mut self, run: &Run, constraints: &Constraints, out: Out<'_>) -> Result<BTreeMap<usize, Done>> {
        let wanted = |it: &usize| self.tables[*it].is_compared() || !constraints.specs[*it].is_empty();
        let places: Vec<usize> = (0..self.tables.len()).filter(wanted).collect();
        let mut more = Vec::new();
        while more.len() + 1 < run.tables_at_once().min(places.len()) {
            let (Some(source), Some(target)) = (self.source.again()?, self.target.again()?) else { break };
            more.push((source, target));
        }
        // The memory is shared by those that really work side by side.
        let run = &Run { threads: 2 * (more.len() + 1), ..run.clone() };
        let share = Share { run, next: AtomicUsize::new(0), done: Mutex::default() };
        let (tables, share, places) = (&self.tables, &share, &places);
        let work = |source: &mut (dyn Source + 'static), target: &mut (dyn Source + 'static)| {
            share.work(places, |at| {
                let specs = &constraints.specs[at];
                match tables[at].is_compared() {
                    true => compare(share.run, &tables[at], specs, (source, target), out),
                    false => index_only(share.run, &tables[at], specs, (source, target)),
                }
            });
        };
        thread::scope(|scope| {
            for (source, target) in &mut more {
                scope.spawn(|| work(source.as_mut(), target.as_mut()));
            }
            work(self.source.as_mut(), self.target.as_mut());
        });
        let done = share.done.lock().map(|mut it| std::mem::take(&mut *it)).unwrap_or_default();
        done.into_iter().collect()
    }

    fn report(&self, found: Found<'_>, (written, again): (bool, bool)) -> Result<Report> {
        let Found { mut outcomes, constraints, shares, checks, unchecked, looked } = found;
        let mut report = Report::default();
        (report.source, report.target) = (self.source_name.clone(), self.target_name.clone());
        report.notes =
            [self.notes.clone(), looked, self.source.notes(), self.target.notes(), self.stale_allowances()].concat();
        report.notes.extend(shares.iter().filter_map(|it| it.note.clone()));
        report.notes.extend(self.stale_selections(shares));
        let timed = |it: &Pairing| it.comparison.columns.iter().any(|it| it.ty == Type::Timestamp);
        if self.tables.iter().any(timed) {
            let zone = self.zone.as_deref().unwrap_or("UTC");
            report.notes.push(format!("times without a zone are read in {zone}"));
        }
        let mut seen = BTreeSet::new();
        report.notes.retain(|it| seen.insert(it.clone()));
        let mut verdicts = Vec::new();
        for (at, pairing) in self.tables.iter().enumerate().filter(|it| it.1.referred.is_none()) {
            let open = constraints.unchecked[at].clone();
            let outcome = outcomes.remove(&at);
            let spent = outcome.as_ref().map(|it| it.spent.clone()).unwrap_or_default();
            let notes = outcome.iter().filter(|_| again).flat_map(|it| recheck::notes(pairing, it)).collect::<Vec<_>>();
            let mut table = table_report(pairing, outcome, open, &self.policy, &self.checks, written)?;
            table.notes.extend(notes);
            report.totals.add(&table.tally);
            report.timing.tables.push(timing(&table, spent));
            verdicts.push(Judgement { verdict: table.verdict, reasons: table.reasons.clone() });
            report.tables.push(table);
        }
        report.around =
            gate::judge_run(&self.policy, &self.source_only, &self.target_only, &unchecked, report.tables.len());
        // Tables that are only referred to come last, so these places are those of the pairings.
        for at in shares.iter().flat_map(|it| &it.indexed) {
            report.tables.get_mut(*at).into_iter().for_each(|it| it.witnesses.push("index".to_owned()));
        }
        for it in shares {
            let judged = gate::judge_selection(&self.policy, &it.table, it.prefixed, it.unselected, &it.examples);
            report.around.and(judged);
        }
        verdicts.push(report.around.clone());
        verdicts.extend(checks.iter().map(judged));
        report.source_only.clone_from(&self.source_only);
        report.target_only.clone_from(&self.target_only);
        for pairing in self.tables.iter().filter(|it| it.referred.is_none()) {
            let name = &pairing.comparison.target.name;
            let columns = |names: &[String]| names.iter().map(|it| format!("{name}.{it}")).collect::<Vec<_>>();
            report.source_only.extend(columns(&pairing.comparison.source_only));
            report.target_only.extend(columns(&pairing.comparison.target_only));
        }
        report.checks = checks;
        report.verdict = verdicts.iter().fold(Verdict::Pass, |all, it| all.and(it.verdict));
        let (failed, rest): (Vec<_>, Vec<_>) = verdicts.into_iter().partition(|it| it.verdict == Verdict::Fail);
        report.reasons = failed.into_iter().chain(rest).flat_map(|it| it.reasons).collect();
        Ok(report)
    }
}

/// What a run found, before it is reported.
struct Found<'f> {
    outcomes: BTreeMap<usize, Outcome>,
    constraints: &'f Constraints,
    shares: &'f [Shares],
    checks: Vec<CheckReport>,
    /// What could not be checked of the run as a whole.
    unchecked: Vec<String>,
    /// What looking again has to say.
    looked: Vec<String>,
}

/// What was read of one table.
struct Done {
    outcome: Option<Outcome>,
    indexes: [Vec<Index>; 2],
}

/// Tables handed out to whoever is free.
struct Share<'r> {
    run: &'r Run,
    next: AtomicUsize,
    done: Mutex<Vec<Result<(usize, Done)>>>,
}

impl Task {
    /// What the gate lets through although it is nowhere: a slip, or left from a plan before this one.
    fn stale_allowances(&self) -> Vec<String> {
        let pairings = || self.tables.iter().filter(|it| it.referred.is_none());
        let mut known: BTreeSet<String> = self.source_only.iter().chain(&self.target_only).cloned().collect();
        for pairing in pairings() {
            let name = &pairing.comparison.target.name;
            let columns = pairing.comparison.source_only.iter().chain(&pairing.comparison.target_only);
            known.extend(columns.map(|it| format!("{name}.{it}")));
        }
        let unpaired = self.policy.unpaired.iter().filter(|it| !known.contains(*it));
        let unpaired = unpaired.map(|it| format!("[gate] unpaired: `{it}` does not stand on one side only"));
        let tables: BTreeSet<&String> = pairings().map(|it| &it.comparison.target.name).collect();
        let limited = self.policy.tables().into_iter().filter(|it| !tables.contains(it));
        unpaired.chain(limited.map(|it| format!("[gate]: there is no table `{it}`"))).collect()
    }
}

impl Task {
    /// What the gate says about rows that no table takes, and that is nowhere.
    fn stale_selections(&self, shares: &[Shares]) -> Vec<String> {
        let left: BTreeSet<&String> = shares.iter().flat_map(|it| &it.left).collect();
        let leave = self.policy.leave.iter().filter(|it| !left.contains(*it));
        let leave = leave.map(|it| format!("[gate] leave: no row that no table takes begins with `{it}`"));
        let limited = self.policy.unselected.iter().flat_map(|it| it.tables.keys());
        let limited = limited.filter(|name| !shares.iter().any(|it| it.table == **name));
        let limited = limited.map(|it| format!("[gate] unselected: no rows are selected of a source table `{it}`"));
        leave.chain(limited).collect()
    }
}

impl Share<'_> {
    fn work(&self, places: &[usize], mut each: impl FnMut(usize) -> Result<Done>) {
        while let Some(&at) = places.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let result = each(at).map(|it| (at, it));
            if result.is_err() {
                self.next.store(places.len(), Ordering::Relaxed);
            }
            if let Ok(mut done) = self.done.lock() {
                done.push(result);
            }
        }
    }
}

/// Two stores to read from.
type Stores<'s> = (&'s mut (dyn Source + 'static), &'s mut (dyn Source + 'static));

/// Where what is found goes: all findings, and what a migration wants to know.
pub(super) type Out<'o> = (Option<&'o Folder>, Migrating<'o>);

fn compare(run: &Run, pairing: &Pairing, specs: &[Spec], stores: Stores<'_>, out: Out<'_>) -> Result<Done> {
    let comparison = Arc::clone(&pairing.comparison);
    let mut outcome = work(pairing, specs, stores, (out, run), |job| table::compare(run, comparison, job))?;
    let indexes = std::mem::take(&mut outcome.indexes);
    Ok(Done { outcome: Some(outcome), indexes })
}

/// Compares the rows that differed before once more.
pub(super) fn look(
    run: &Run,
    pairing: &Pairing,
    comparison: &Arc<Comparison>,
    stores: Stores<'_>,
    folder: Option<&Folder>,
    again: &Differing,
) -> Result<Outcome> {
    work(pairing, &[], stores, ((folder, Migrating::default()), run), |job| table::look(run, comparison, job, again))
}

fn work(
    pairing: &Pairing,
    specs: &[Spec],
    (source, target): Stores<'_>,
    ((folder, migrating), run): (Out<'_>, &Run),
    compare: impl FnOnce(Job<'_>) -> Result<Outcome>,
) -> Result<Outcome> {
    let sampler = |comparison: &Arc<Comparison>| {
        let file = folder.map(|it| it.findings(&comparison.target.name));
        Sampler::new(Arc::clone(comparison), run.limit, file)
    };
    let (from, to, choices) = (&pairing.from, &pairing.comparison.target, &pairing.choices);
    let programs: [&MakeProgram; 2] = [pairing.program.as_ref(), &|| Ok(None)];
    let mut made = pairing.made.as_ref().and_then(|it| it.store.lock().ok());
    let source: &mut dyn Source = match &mut made {
        Some(made) => &mut ***made,
        None => source,
    };
    let renaming = pairing.renaming.as_deref();
    compare(Job { source, target, choices, from, to, programs, sampler: &sampler, specs, migrating, renaming })
}

/// Others refer to this table, but it is not to be compared.
fn index_only(
    run: &Run,
    pairing: &Pairing,
    specs: &[Spec],
    (source, target): (&mut dyn Source, &mut dyn Source),
) -> Result<Done> {
    let sides = pairing.referred.unwrap_or([true, true]);
    let what = (pairing.comparison.as_ref(), pairing.renaming.as_deref());
    let read = |store: &mut dyn Source, side: Side| match sides[side as usize] {
        true => constraints::index_only(run, store, what, specs, side),
        false => Ok(Vec::new()),
    };
    Ok(Done { outcome: None, indexes: [read(source, Side::Source)?, read(target, Side::Target)?] })
}

impl Witness {
    /// How the report calls it.
    pub fn name(&self) -> &str {
        match self {
            Witness::Rows { name, .. } => name,
            Witness::Inverse(_) => "inverse",
        }
    }
}

impl Pairing {
    /// Both tables are there to be read, and wanted.
    fn is_compared(&self) -> bool {
        self.referred.is_none() && self.unreadable().is_none()
    }

    fn unreadable(&self) -> Option<String> {
        let nothing = self.comparison.target_shape.compared == 0;
        let declared = self.from.unreadable.clone().or_else(|| self.comparison.target.unreadable.clone());
        declared.or_else(|| nothing.then(|| "no column of it is compared".to_owned()))
    }
}

/// What an answered check says about the run.
pub(super) fn judged(check: &CheckReport) -> Judgement {
    let reason = match check.verdict {
        Verdict::Pass => return Judgement::pass(),
        Verdict::Fail => {
            format!("check `{}`: {} in the source, {} in the target", check.name, check.source, check.target)
        }
        Verdict::Unknown => format!("check `{}` has no answer: {} / {}", check.name, check.source, check.target),
    };
    Judgement { verdict: check.verdict, reasons: vec![reason] }
}

/// What a table cost.
fn timing(table: &TableReport, spent: Spent) -> TableTiming {
    let tally = &table.tally;
    TableTiming {
        name: table.name.clone(),
        items: tally.source_rows,
        failed: tally.changed + tally.missing + tally.rejects,
        measured: spent.source,
        seconds: spent.seconds,
        parts: spent.parts,
    }
}

fn table_report(
    pairing: &Pairing,
    outcome: Option<Outcome>,
    mut unchecked: Vec<String>,
    policy: &Policy,
    checks: &[Check],
    written: bool,
) -> Result<TableReport> {
    let mut report = TableReport { source_name: pairing.from.name.clone(), ..TableReport::default() };
    let mut comparison = Arc::clone(&pairing.comparison);
    report.name = comparison.target.name.clone();
    let (mut selected_nothing, mut compared) = (false, false);
    if let Some(outcome) = outcome {
        comparison = outcome.comparison;
        report.tally = outcome.tally;
        report.findings_all = outcome.sampler.seen();
        (report.findings, report.findings_truncated, report.columns) = outcome.sampler.finish()?;
        report.findings_file =
            (written && report.findings_all > 0).then(|| crate::report::folder::findings_file(&report.name));
        if let crate::report::Canary::Missed(missed) = &outcome.canary {
            unchecked.push(format!("the comparer did not see {missed} that was planted; please report this defect"));
        }
        report.canary = outcome.canary;
        report.recheck = outcome.recheck;
        unchecked.extend(outcome.unchecked);
        report.witnesses.push("count".to_owned());
        if let Some(selected) = outcome.selected {
            selected_nothing = selected.items == 0;
            report.notes.push(format!(
                "{} of {} source rows selected, {} items made of them",
                selected.rows_selected, selected.rows_read, selected.items
            ));
        }
        let tables = [("source", &pairing.from), ("target", &pairing.comparison.target)];
        let partial = tables.into_iter().filter_map(|(side, it)| Some((side, it.partial.as_ref()?)));
        unchecked.extend(partial.map(|(side, why)| format!("the {side} may hold more than was read: {why}")));
        compared = true;
    } else if let Some(why) = pairing.unreadable() {
        unchecked.push(format!("not compared: {why}"));
    }
    report.witnesses.extend(pairing.witnesses.iter().map(|it| it.name().to_owned()));
    let names =
        checks.iter().filter(|it| it.table.as_ref() == Some(&report.name)).map(|it| format!("check:{}", it.name));
    report.witnesses.extend(names);
    report.key = comparison.key_names();
    report.notes.extend(comparison.notes.iter().cloned());
    report.facts = Facts {
        unchecked,
        source_only: comparison.source_only.clone(),
        target_only: comparison.target_only.clone(),
        compared,
        selected_nothing,
    };
    let judgement = gate::judge(policy, &report.name, &report.tally, &report.facts);
    (report.verdict, report.reasons) = (judgement.verdict, judgement.reasons);
    Ok(report)
}
