//! `backup restore`: the rows of a backup, back in the store that it is of.

use super::{
    around::Around,
    carry::{self, Before, Wish},
    session::{Looking, Pacing, Session, Using},
    target::Wanted,
};
use crate::{
    cli::{args::Cli, backup::Secrets, inspect, log, quoted, usage},
    error::{Error, Kind, Result},
    plan::{Conflict, Endpoint, Limit, Mapping, Names, Plan, Policy},
    report::StoreName,
    run::{
        backup::{self, Backup},
        log::Step,
        prepare::Opened,
    },
    schema::Table,
    store::Source,
};
use clap::Args;
use std::path::PathBuf;

/// `cutover backup restore`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// The id of the backup.
    id: String,
    /// The plan, which says where the store is.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Only these tables.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    tables: Vec<String>,
    /// Write. Without this, only what would be written is shown.
    #[arg(long)]
    confirm: bool,
    /// The folder that holds the backups: `.cutover/backups` beside the plan, if not said.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    secrets: Secrets,
    #[command(flatten)]
    pace: Pacing,
    #[command(flatten)]
    moving: Looking,
    #[command(flatten)]
    using: Using,
}

/// `cutover backup restore`.
pub(in crate::cli) fn restore(args: &RestoreArgs, cli: &Cli) -> Result<u8> {
    let session = Session::begin(&args.plan, "backup restore", &args.using, cli)?;
    let log = session.run.log.clone();
    log::ended(&log, Step::Load, begun(session, args))
}

fn begun(mut session: Session, args: &RestoreArgs) -> Result<u8> {
    let home = match &args.folder {
        Some(it) => it.clone(),
        None => backup::ensure(&session.folder)?,
    };
    let listed = backup::list(&home)?.into_iter().find(|it| it.id == args.id).and_then(|it| it.manifest);
    let sealed = listed.is_some_and(|it| it.sealed.is_some());
    let secret = if sealed { args.secrets.secret()? } else { None };
    let mut kept = backup::open(&home, &args.id, secret.as_ref(), &session.run.scratch)?;
    session.plan = back(&session.plan, &mut kept, &args.tables)?;
    let name = StoreName { kind: "backup".to_owned(), name: args.id.clone() };
    let source = Opened { store: Box::new(kept), name };
    let target = Wanted::of(&session)?;
    let wish = Wish {
        source,
        target,
        // The store that a backup is of may be any of the plan.
        new_target: true,
        how: args.pace.over(&session.plan.migrate),
        recheck: args.moving.over(&session.plan.target.kind),
        backup: Before::Made(args.id.clone()),
        staged: &|_, _, _| Ok(()),
        preview: !args.confirm,
        partial: true,
        again: format!("cutover backup restore {} {} --confirm", args.id, quoted(&session.plan.path)),
        using: &args.using,
    };
    let done = carry::out(&mut session, wish, &mut Around::default())?;
    session.end(done, &args.using)
}

/// The plan that writes the rows of a backup back: its target is the store that the backup is of, whatever differs is
/// overwritten, and what only the store has stays.
fn back(plan: &Plan, kept: &mut Backup, only: &[String]) -> Result<Plan> {
    let store = &kept.manifest.store;
    let is = |it: &&Endpoint| it.kind == store.kind && it.name == store.name;
    let found = [&plan.target, &plan.source].into_iter().find(is).cloned();
    let target = found.ok_or_else(|| {
        let message =
            format_args!("the backup is of {} {}, which is no store of {}", store.kind, store.name, plan.path);
        Error::new(Kind::Plan, message)
    })?;
    let tables = kept.tables()?;
    if let Some(name) = only.iter().find(|name| !tables.iter().any(|it| it.name == **name)) {
        return Err(usage(format_args!("--tables: the backup has no table `{name}`")));
    }
    let wanted = tables.iter().filter(|it| only.is_empty() || only.contains(&it.name));
    let mapping = |table: &Table| Mapping {
        from: Some(table.name.clone()),
        into: table.name.clone(),
        conflict: Conflict::Overwrite,
        veiled: veiled(plan, &target, &tables, table),
        ..Mapping::default()
    };
    let gate =
        Policy { extra: Limit { all: u64::MAX, ..Limit::default() }, allow_empty: Names::All, ..Policy::default() };
    let tables = wanted.map(mapping).collect();
    Ok(Plan { target, tables, left_out: Vec::new(), checks: Vec::new(), gate, ..plan.clone() })
}

/// The columns of a table of that store whose values the plan keeps to itself, on whichever side of it the store is.
fn veiled(plan: &Plan, store: &Endpoint, tables: &[Table], table: &Table) -> Vec<String> {
    let is = |it: &Endpoint| it.kind == store.kind && it.name == store.name;
    let taken = if is(&plan.source) { inspect::secret_columns(plan, tables) } else { Vec::new() };
    let secret = |name: &String| {
        let written = is(&plan.target) && plan.is_secret(&table.name, name);
        written || taken.iter().any(|it| it.is_from(&table.name, name))
    };
    table.columns.iter().map(|it| &it.name).filter(|it| secret(it)).cloned().collect()
}
