//! `clean`: what runs left behind, in the target and beside the plan.

use super::{Clean, command, stamp};
use crate::{
    cli::{args::Cli, clock, exit, options, output, stores},
    error::{Error, Kind, Result},
    report::escape,
    run::state::{
        self, RunRecord, State,
        lock::{Lock, Owner},
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, IsTerminal},
    path::{Path, PathBuf},
};

pub(super) fn clean(args: &Clean, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, _) = stores::read_plan(&args.plan, colour)?;
    let now = clock::now()?;
    let folder = state::folder_of(&args.plan);
    let mut state = if args.confirm { Some(State::open(&folder)?) } else { State::look(&folder)? };
    let owner = Owner::this(&command("clean", &args.plan), &stamp(now));
    let _lock = if args.confirm { Some(Lock::take(&folder, &owner)?) } else { None };
    if let Some(run) = half_way(state.as_ref(), &args.plan)? {
        return Err(needed(&run, &args.plan));
    }
    let old = state.as_ref().map(|it| old(it, now, args.days)).transpose()?.unwrap_or_default();
    let target = format!("{} {}", plan.target.kind, plan.target.name);
    let marks = escape::message(&format!("what this tool keeps in {}, if anything", target.trim()));
    let Some(state) = state.as_mut().filter(|_| args.confirm) else {
        let mut out = format!("would remove {marks}\n");
        for (id, _) in &old {
            out.push_str(&format!(
                "would remove the folder of run {}, which cannot be rolled back then\n",
                escape::message(id)
            ));
        }
        out.push_str(&format!("nothing was removed; now: {} --confirm\n", command("clean", &args.plan)));
        output::print(out.as_bytes())?;
        return Ok(exit::PASS);
    };
    let folders: Vec<&String> = old.iter().map(|it| &it.0).collect();
    let detail = json!({ "by": super::who(&owner), "target": target.trim(), "folders": folders });
    // Before anything is gone, so that no end of this process leaves the trail without a word of it.
    state.audit(None, "clean", &detail, &stamp(now))?;
    let mut removed = Vec::new();
    let marks = remove(&old, &mut removed).and_then(|()| {
        let marks = stores::target_of_plan(&plan, &options::store(&args.asking)).and_then(|mut it| it.clean());
        marks.map_err(|it| it.context("the target cannot be cleaned"))
    });
    let (done, error) = (marks.as_ref().ok(), marks.as_ref().err().map(ToString::to_string));
    let detail = json!({ "marks": done, "folders": removed, "error": error });
    state.audit(None, "cleaned", &detail, &clock::text())?;
    let target = escape::message(target.trim());
    let text = match marks? {
        true => format!("removed what this tool kept in {target}\n"),
        false => format!("this tool keeps nothing in {target}\n"),
    };
    output::print(text.as_bytes())?;
    Ok(exit::PASS)
}

/// Removes the folders of runs. `removed` are those that are gone, however it ends.
fn remove<'o>(old: &'o [(String, PathBuf)], removed: &mut Vec<&'o str>) -> Result<()> {
    for (id, path) in old {
        fs::remove_dir_all(path).map_err(|it| Error::new(Kind::File, format_args!("{}: {it}", path.display())))?;
        removed.push(id);
        output::print(format!("removed the folder of run {}\n", escape::message(id)).as_bytes())?;
    }
    Ok(())
}

/// A run that left the target of that plan half done.
fn half_way(state: Option<&State>, plan: &Path) -> Result<Option<RunRecord>> {
    let runs = state.map(|it| it.half_way(&state::plan_name(plan))).transpose()?.unwrap_or_default();
    Ok(runs.into_iter().next())
}

fn needed(run: &RunRecord, plan: &Path) -> Error {
    let (id, phase) = (&run.id, run.phase.name());
    let (on, back) = (command("migrate", plan), command("rollback", plan));
    let message = format!(
        "run {id} stands half way ({phase}), and what it left is needed to end it; first go on: {on}; or take it back: {back} \
         --run {id}"
    );
    Error::new(Kind::Usage, message)
}

/// The runs whose folders are old enough, of all plans. A run that another one went on with goes with that one, as they are
/// rolled back together. A folder that the journal does not know stays.
fn old(state: &State, now: Timestamp, days: u16) -> Result<Vec<(String, PathBuf)>> {
    let runs = state.runs()?;
    let next: BTreeMap<&String, &RunRecord> =
        runs.iter().rev().filter_map(|it| Some((it.continues.as_ref()?, it))).collect();
    let age = SignedDuration::from_hours(24 * i64::from(days));
    let mut old = Vec::new();
    for run in &runs {
        let mut last = run;
        // Runs go on with earlier ones only, so this ends; a journal that somebody changed must not keep it going.
        for _ in 0..runs.len() {
            last = next.get(&last.id).copied().unwrap_or(last);
        }
        let ended = last.ended.as_ref().unwrap_or(&last.started).parse::<Timestamp>().ok();
        let aged = ended.is_some_and(|it| now.duration_since(it) >= age);
        let path = state.run_folder_path(&run.id)?;
        if aged && !last.phase.is_half_way() && is_folder(&path)? {
            old.push((run.id.clone(), path));
        }
    }
    old.reverse();
    Ok(old)
}

fn is_folder(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(it) => Ok(it.is_dir()),
        Err(it) if it.kind() == ErrorKind::NotFound => Ok(false),
        Err(it) => Err(Error::new(Kind::File, format_args!("{}: {it}", path.display()))),
    }
}
