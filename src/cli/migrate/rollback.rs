//! `rollback`: runs undone, the last one first.

use super::{
    BEFORE_RUN,
    session::{Pacing, Session, Using, with_continued, wrote},
};
use crate::{
    cli::{args::Cli, clock, log, quoted, stores, usage},
    error::{Error, Kind, Result},
    gate::Verdict,
    report::{
        PlanName,
        migration::{Migration, TableMigration, Undoing},
    },
    run::{
        backup, ids,
        log::Step,
        migrate::{
            Undo,
            manifest::Manifest,
            rollback::{Undone, kept},
        },
        state::{self, Phase, RunRecord},
    },
};
use clap::Args;
use std::path::{Path, PathBuf};

/// `cutover rollback`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// The run to undo. The last one that wrote, if not said.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// The run before which this backup was made.
    #[arg(long, value_name = "ID", conflicts_with = "run")]
    backup: Option<String>,
    /// Back to how it was before this instant: all runs that began then or later.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["run", "backup"])]
    before: Option<jiff::Timestamp>,
    /// Only these target tables.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    tables: Vec<String>,
    /// Do it. Without this, only what would be done is shown.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    pace: Pacing,
    #[command(flatten)]
    using: Using,
}

/// `cutover rollback`.
pub(in crate::cli) fn rollback(args: &RollbackArgs, cli: &Cli) -> Result<u8> {
    let session = Session::begin(&args.plan, "rollback", &args.using, cli)?;
    let log = session.run.log.clone();
    log::ended(&log, Step::Load, undo(session, args))
}

fn undo(mut session: Session, args: &RollbackArgs) -> Result<u8> {
    let runs = to_undo(&session, args)?;
    let mut out = Migration {
        verb: "rollback",
        preview: !args.confirm,
        verdict: Verdict::Pass,
        plan: PlanName { path: session.plan.path.clone(), hash: session.plan.hash.clone() },
        target: stores::name(&session.plan.target),
        ..Migration::default()
    };
    let mut later = Vec::new();
    for (record, (manifest, folder)) in runs.iter().zip(staged(&session, &runs, args)?) {
        session.book.name(&record.id);
        let undone = one_run(&mut session, record, args, (manifest.clone(), folder.clone()), &later)?;
        later.extend((!args.confirm).then_some((manifest, folder)));
        out.id.clone_from(&record.id);
        out.tables.extend(undone.into_iter().map(|(name, undoing)| TableMigration {
            name,
            run: (runs.len() > 1).then(|| record.id.clone()),
            undoing: Some(undoing),
            ..TableMigration::default()
        }));
    }
    conclude(&mut out, &runs, args);
    session.end(out, &args.using)
}

/// What these runs have staged. What may not be undone is refused before any of them is.
fn staged(session: &Session, runs: &[RunRecord], args: &RollbackArgs) -> Result<Vec<(Manifest, PathBuf)>> {
    let target = stores::target_of_plan(&session.plan, &session.options).map_err(|it| it.context("the target"))?;
    let mut staged = Vec::new();
    for record in runs {
        let folder = session.state.run_folder(&record.id)?;
        let manifest = Manifest::read(&folder)?;
        if target.fingerprint() != manifest.target {
            let message = format!(
                "run {} wrote to another store than the plan names now: {}; nothing was changed",
                record.id, record.target
            );
            return Err(Error::new(Kind::Plan, message));
        }
        staged.push((manifest, folder));
    }
    let wrote = |name: &String| staged.iter().any(|it| it.0.tables.iter().any(|it| it.name == *name));
    match (args.tables.iter().find(|it| !wrote(it)), runs) {
        (Some(name), [one]) => Err(usage(format_args!("--tables: run {} wrote to no table `{name}`", one.id))),
        (Some(name), _) => Err(usage(format_args!("--tables: none of the runs wrote to a table `{name}`"))),
        (None, _) => Ok(staged),
    }
}

/// Undoes one run, or says what that takes.
///
/// `later` are the runs that would be undone before.
fn one_run(
    session: &mut Session,
    record: &RunRecord,
    args: &RollbackArgs,
    (manifest, folder): (Manifest, PathBuf),
    later: &[(Manifest, PathBuf)],
) -> Result<Undone> {
    let target = stores::target_of_plan(&session.plan, &session.options).map_err(|it| it.context("the target"))?;
    let wanted = (!args.tables.is_empty()).then(|| args.tables.clone());
    let tables = session.read_target()?.tables()?;
    let whole = wanted.is_none();
    if args.confirm && whole {
        session.state.set_phase(&record.id, Phase::RollingBack, &clock::text())?;
    }
    let pace = (&args.pace.over(&session.plan.migrate)).into();
    let reopen = || session.read_target();
    let may_write = || session.lock.check();
    let mut undo = Undo {
        manifest,
        folder,
        target,
        reopen: &reopen,
        pace,
        tables,
        may_write: &may_write,
        wanted,
        later: later.to_vec(),
        plan: &session.plan,
    };
    let undone = undo.run(&session.run, !args.confirm, &clock::exact())?;
    if !args.confirm {
        return Ok(undone);
    }
    for (name, undoing) in &undone {
        session.state.audit(Some(&record.id), "undo", &kept(name, undoing), &clock::text())?;
    }
    let sum = |each: fn(&Undoing) -> u64| -> u64 { undone.iter().map(|it| each(&it.1)).sum() };
    let (left, held) = (sum(|it| it.theirs), sum(|it| it.held));
    let detail = serde_json::json!({ "by": session.by, "tables": args.tables, "left": left, "held": held });
    session.state.audit(Some(&record.id), "rollback", &detail, &clock::text())?;
    if whole {
        session.state.set_phase(&record.id, Phase::RolledBack, &clock::text())?;
        session.state.finish(&record.id, "rolled back", None, &clock::text())?;
    }
    Ok(undone)
}

/// Says what came of it, or what would, over all runs.
fn conclude(out: &mut Migration, runs: &[RunRecord], args: &RollbackArgs) {
    if !args.confirm {
        out.state = "The target is as it was; nothing was written: this is a preview.".to_owned();
        out.next = Some(again(args, &out.plan.path, runs));
        return;
    }
    let sum =
        |each: fn(&Undoing) -> u64| -> u64 { out.tables.iter().filter_map(|it| it.undoing.as_ref()).map(each).sum() };
    let (theirs, held) = (sum(|it| it.theirs), sum(|it| it.held));
    out.state = match (theirs, held) {
        (0, 0) if runs.len() > 1 => format!("What {} runs wrote was taken back, and that was checked.", runs.len()),
        (0, 0) => "What the run wrote was taken back, and that was checked.".to_owned(),
        (count, 0) => {
            format!("Taken back, but for {count} rows that others have changed since; they are left as they are.")
        }
        _ => format!("Taken back, but for {} rows that others have changed or refer to; they are left.", theirs + held),
    };
    // What others have changed stays theirs; what they refer to may go one day.
    let holds = |run: &&RunRecord| {
        let is_of = |it: &&TableMigration| it.run.as_ref().is_none_or(|it| *it == run.id);
        out.tables.iter().filter(is_of).any(|it| it.undoing.as_ref().is_some_and(|it| it.held > 0))
    };
    let (plan, tables) = (quoted(&out.plan.path), tables(args));
    let rest = runs.iter().filter(holds).map(|it| format!("cutover rollback {plan} --run {}{tables} --confirm", it.id));
    let rest: Vec<String> = rest.collect();
    out.next = (!rest.is_empty()).then(|| format!("{}    once the rest may go", rest.join("; ")));
    let ids = ids::file_of(Path::new(&out.plan.path));
    if ids.exists() {
        let says =
            "holds the new ids that were given, and a later run gives them again; delete it to have new ones given";
        out.facts.push(format!("{} {says}", ids.display()));
    }
    for (count, why) in [(theirs, "were changed by others since"), (held, "are referred to by rows that stay")] {
        if count > 0 {
            out.verdict = Verdict::Fail;
            out.reasons.push(format!("{count} rows {why}, and are left as they are"));
        }
    }
}

/// How the tables were named that are to be undone.
fn tables(args: &RollbackArgs) -> String {
    match args.tables.as_slice() {
        [] => String::new(),
        names => format!(" --tables {}", quoted(&names.join(","))),
    }
}

/// What to type to undo the same runs and tables.
fn again(args: &RollbackArgs, plan: &str, runs: &[RunRecord]) -> String {
    let last = runs.first().map(|it| it.id.as_str()).unwrap_or_default();
    let which = match (&args.before, &args.backup) {
        (Some(time), _) => format!("--before {time}"),
        (None, Some(id)) => format!("--backup {}", quoted(id)),
        (None, None) => format!("--run {last}"),
    };
    let tables = tables(args);
    format!("cutover rollback {} {which}{tables} --confirm", quoted(plan))
}

/// The runs to undo, the last one first.
fn to_undo(session: &Session, args: &RollbackArgs) -> Result<Vec<RunRecord>> {
    let name = state::plan_name(Path::new(&session.plan.path));
    let all: Vec<RunRecord> = session.state.runs()?.into_iter().filter(|it| it.plan == name).collect();
    let hint = "`cutover history` lists them";
    let asked = match (&args.run, &args.backup) {
        (Some(id), _) => Some(id.clone()),
        (None, Some(id)) => Some(run_of(session, id)?),
        (None, None) => None,
    };
    if let Some(id) = asked {
        let found = all.iter().find(|it| it.id == id);
        let found = found.ok_or_else(|| usage(format_args!("there is no run {id} of this plan; {hint}")))?;
        return Ok(with_continued(found, &all));
    }
    let nothing = || Error::new(Kind::Usage, format_args!("no run of this plan has written anything; {hint}"));
    if let Some(before) = args.before {
        let later = |it: &&RunRecord| it.started.parse::<jiff::Timestamp>().is_ok_and(|it| it >= before);
        let found: Vec<_> = all.iter().filter(later).filter(|it| wrote(it)).cloned().collect();
        return if found.is_empty() { Err(nothing()) } else { Ok(found) };
    }
    for run in all.iter().filter(|it| wrote(it)) {
        // A run that found nothing to do has nothing to undo, but for those that it went on with.
        let rows: u64 = session.state.tables(&run.id)?.iter().map(|it| it.inserts + it.updates + it.deletes).sum();
        let chain = with_continued(run, &all);
        if rows > 0 || chain.len() > 1 {
            return Ok(chain);
        }
    }
    Err(nothing())
}

/// The run before which a backup was made.
fn run_of(session: &Session, id: &str) -> Result<String> {
    let home = backup::ensure(&session.folder)?;
    let entry = backup::list(&home)?.into_iter().find(|it| it.id == *id);
    let made = entry.and_then(|it| it.manifest).and_then(|it| it.why.strip_prefix(BEFORE_RUN).map(str::to_owned));
    made.ok_or_else(|| usage(format_args!("--backup: no run began with backup {id}; `cutover backup restore {id}`?")))
}
