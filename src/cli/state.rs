//! What is known of runs: `status`, `history`, `unlock`, `clean`.

mod clean;
mod history;
mod status;

use super::{
    args::{Asking, Cli, Format, Means},
    exit, output,
};
use crate::{
    error::Result,
    report::escape,
    run::state::{
        self, RunRecord, State, TableCounts,
        lock::{self, Owner},
    },
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Say whether a migration is needed, how far it is, and what to type next.
    #[command(after_help = "\
Examples:
  cutover status                          compares, without listing what differs
  cutover status prod.toml --verbose      every count, and why
  cutover status --table users --format json
  cutover status --offline                only what the journal says

While a run writes, only the journal is read, so that nothing is in its way.

Exit codes:
  0    nothing is left to migrate
  1    rows are left
  2    undecided: something could not be compared, or no run is known offline")]
    Status(Status),
    /// List what was run, and look whether the audit trail is whole.
    #[command(after_help = "\
Examples:
  cutover history
  cutover history prod.toml --run 2026-11-28T11-03-33Z
  cutover history --audit --format json   every entry of the audit trail

The exit code is 2 when the audit trail is not what was written.")]
    History(History),
    /// Remove the lock of a run that is gone.
    #[command(after_help = "\
Examples:
  cutover unlock
  cutover unlock prod.toml --force        although its owner lives, or may live

The lock of a process that died is free without this; it only tidies up. Who loses its lock to --force
writes nothing more.")]
    Unlock(Unlock),
    /// Remove what runs left behind: the table of marks in the target, and the folders of old runs.
    #[command(after_help = "\
Examples:
  cutover clean                           says what would be removed
  cutover clean --confirm
  cutover clean prod.toml --days 7 --confirm

A run whose folder is removed cannot be rolled back any more. Backups stay.")]
    Clean(Clean),
}

/// `cutover status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Only this table of the target.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Compare nothing, only read the journal.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    means: Means,
    /// How to write it. As JSON it has the format `cutover-status/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
    /// Every count, the reasons, and more of the last runs.
    #[arg(long, short, help_heading = "Output")]
    verbose: bool,
}

/// `cutover history`.
#[derive(Debug, Args)]
pub(super) struct History {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Only this run, with its tables and decisions.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// With every entry of the audit trail.
    #[arg(long)]
    audit: bool,
    /// How to write it. As JSON it has the format `cutover-history/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
}

/// `cutover unlock`.
#[derive(Debug, Args)]
pub(super) struct Unlock {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Also from a process that lives.
    #[arg(long)]
    force: bool,
}

/// `cutover clean`.
#[derive(Debug, Args)]
pub(super) struct Clean {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Folders of runs that ended so many days ago, or earlier.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(0..=36_500))]
    days: u16,
    /// Remove it, instead of saying what would be removed.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    asking: Asking,
}

pub(super) fn run(verb: &Verb, cli: &Cli) -> Result<u8> {
    match verb {
        Verb::Status(it) => status::status(it, cli),
        Verb::History(it) => history::history(it),
        Verb::Unlock(it) => unlock(it),
        Verb::Clean(it) => clean::clean(it, cli),
    }
}

fn unlock(args: &Unlock) -> Result<u8> {
    let folder = state::folder_of(&args.plan);
    let Some(freed) = lock::release(&folder, args.force)? else {
        output::print(b"there is no lock\n")?;
        return Ok(exit::PASS);
    };
    let forced = freed.lives != Some(false);
    let who = escape::message(&freed.about());
    let text = if forced { format!("took the lock away from {who}\n") } else { format!("removed the lock of {who}\n") };
    // What was done by force is for whoever wonders later. A journal that cannot be written is no reason to keep the lock.
    if let (true, Ok(now), Ok(Some(_))) = (forced, super::clock::now(), State::look(&folder)) {
        let owner = freed.owner.as_ref();
        let by = self::who(&Owner::this("unlock", &stamp(now)));
        let detail = json!({ "by": by, "pid": owner.map(|it| it.pid), "host": owner.map(|it| &it.host) });
        let kept = State::open(&folder).and_then(|mut it| it.audit(None, "unlock", &detail, &stamp(now)));
        if let Err(it) = kept {
            output::say(&format!("the journal does not know of it: {}", escape::message(&it.to_string())));
        }
    }
    output::print(text.as_bytes())?;
    Ok(exit::PASS)
}

/// Who does this: what the environment calls the user, the number that the system knows, the machine and the process.
pub(super) fn who(owner: &Owner) -> String {
    #[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
    let name = ["USER", "LOGNAME"].into_iter().find_map(|it| std::env::var(it).ok().filter(|it| !it.is_empty()));
    let uid = std::fs::metadata("/proc/self").ok().map(|it| format!("uid {}", it.uid()));
    let user = match (name, uid) {
        (Some(name), Some(uid)) => format!("{name} ({uid})"),
        (name, uid) => name.or(uid).unwrap_or_else(|| "somebody".to_owned()),
    };
    format!("{user} on {}, process {}", owner.host, owner.pid)
}

/// A time as the journal keeps it.
fn stamp(it: jiff::Timestamp) -> String {
    format!("{it:.0}")
}

/// A command on the same plan.
fn command(verb: &str, plan: &Path) -> String {
    if plan == Path::new("cutover.toml") {
        return format!("cutover {verb}");
    }
    format!("cutover {verb} {}", super::quoted(&plan.display().to_string()))
}

fn run_json(run: &RunRecord, tables: &[TableCounts]) -> Value {
    let table = |it: &TableCounts| {
        json!({
            "name": it.name, "inserts": it.inserts, "updates": it.updates, "deletes": it.deletes, "skips": it.skips,
            "conflicts": it.conflicts, "rejects": it.rejects, "done": it.done_rows, "batches": it.batches,
        })
    };
    let tables: Vec<Value> = tables.iter().map(table).collect();
    json!({
        "id": run.id, "continues": run.continues, "plan": run.plan, "plan_hash": run.plan_hash,
        "source": run.source, "target": run.target, "phase": run.phase.name(), "started": run.started,
        "ended": run.ended, "outcome": run.outcome, "advice": run.advice, "tables": tables,
    })
}

/// The cells of a run in a list, and what stands above them.
fn run_cells(run: &RunRecord) -> Vec<String> {
    let ended = run.ended.clone().unwrap_or_else(|| "-".to_owned());
    let outcome = run.outcome.clone().unwrap_or_else(|| "-".to_owned());
    vec![run.id.clone(), run.phase.name().to_owned(), ended, outcome, run.target.clone()]
}

const RUN_HEAD: [&str; 5] = ["run", "phase", "ended", "outcome", "target"];

/// A line for each table of a run.
fn table_cells(tables: &[TableCounts]) -> Vec<Vec<String>> {
    let head = ["table", "inserts", "updates", "deletes", "skips", "conflicts", "rejects", "written", "batches"];
    let line = |it: &TableCounts| {
        let counts = [it.inserts, it.updates, it.deletes, it.skips, it.conflicts, it.rejects, it.done_rows, it.batches];
        [it.name.clone()].into_iter().chain(counts.map(crate::report::layout::count)).collect()
    };
    [head.map(str::to_owned).to_vec()].into_iter().chain(tables.iter().map(line)).collect()
}
