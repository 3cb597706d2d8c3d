//! `migrate`, `rollback` and `backup restore`: stores opened for writing, runs begun and ended in the journal.

mod around;
mod asker;
mod carry;
pub(super) mod repair;
pub(super) mod restore;
pub(super) mod rollback;
mod session;
mod target;

use super::{args::Cli, backup::Sealing, log, stores, usage};
use crate::{
    error::{Error, Kind, Result},
    plan::{Expression, Mapping, Migrate, Place, Plan},
    run::{
        ids::NewIds,
        log::Step,
        state::{self, PREVIEW, RunRecord, State},
    },
};
use around::Around;
use carry::{Before, Wish};
use clap::Args;
use session::{Looking, Pacing, Session, Using};
use std::path::PathBuf;
use target::Wanted;

/// What the manifest of a backup says it was made for, with the run behind it.
const BEFORE_RUN: &str = "before migrate run ";

/// `cutover migrate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct MigrateArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Make no backup of the source first.
    #[arg(long, conflicts_with_all = ["encrypt", "passphrase_file", "key_file"])]
    no_backup: bool,
    /// Only this target table, and others that are named so.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    only: Vec<String>,
    /// All target tables but this one, and others that are named so.
    #[arg(long, value_name = "TABLE", value_delimiter = ',', conflicts_with = "only")]
    except: Vec<String>,
    /// Only source rows of this instant or later, by the column that the plan calls `dated`; to the second.
    #[arg(long, value_name = "TIME")]
    since: Option<jiff::Timestamp>,
    /// Only source rows before this instant, likewise.
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// Go on without rows that the mapping or the target refuses.
    #[arg(long, alias = "skip-errors")]
    continue_on_error: bool,
    /// Leave what was written if the run fails, instead of undoing it.
    #[arg(long)]
    keep_partial: bool,
    /// Drop secondary indexes meanwhile and make them again.
    #[arg(long)]
    disable_indexes: bool,
    /// The target is another one than in the last run, on purpose.
    #[arg(long)]
    new_target: bool,
    #[command(flatten)]
    sealing: Sealing,
    #[command(flatten)]
    pace: Pacing,
    #[command(flatten)]
    moving: Looking,
    #[command(flatten)]
    using: Using,
}

/// `cutover migrate`.
pub(super) fn migrate(args: &MigrateArgs, cli: &Cli) -> Result<u8> {
    let session = Session::begin(&args.plan, "migrate", &args.using, cli)?;
    let log = session.run.log.clone();
    log::ended(&log, Step::Load, begun(session, args))
}

fn begun(mut session: Session, args: &MigrateArgs) -> Result<u8> {
    session.plan = chosen(session.plan, args)?;
    let how = args.how(&session.plan.migrate);
    if args.sealing.is_wanted() && !how.backup {
        return Err(usage("there is no backup to encrypt: the plan says `backup = false`"));
    }
    let backup = match how.backup && !args.dry_run {
        true => Before::BackUp(args.sealing.secret()?),
        false => Before::Nothing,
    };
    let mut around = if args.dry_run { Around::default() } else { Around::of(&session.plan)? };
    let done = around.before(&mut session).and_then(|()| {
        let wish = wish(&session, args, how, backup)?;
        carry::out(&mut session, wish, &mut around)
    });
    let done = around.told(&mut session, done)?;
    session.end(done, &args.using)
}

/// What was typed, as something to carry out.
fn wish<'w>(session: &Session, args: &'w MigrateArgs, how: Migrate, backup: Before) -> Result<Wish<'w>> {
    let source = stores::of_plan(&session.plan, &session.plan.source, &session.options);
    Ok(Wish {
        source: source.map_err(|it| it.context("the source"))?,
        target: Wanted::of(session)?,
        new_target: args.new_target,
        recheck: args.moving.over(&session.plan.target.kind),
        backup,
        how,
        staged: &|_, _, _| Ok(()),
        preview: args.dry_run,
        partial: args.is_partial(),
        again: format!("cutover migrate {}", super::quoted(&session.plan.path)),
        using: &args.using,
    })
}

/// `cutover retry`: the same, where there was a run before.
pub(super) fn retry(args: &MigrateArgs, cli: &Cli) -> Result<u8> {
    let (name, shown) = (state::plan_name(&args.plan), super::quoted(&args.plan.display().to_string()));
    let state = State::look(&state::folder_of(&args.plan))?;
    let runs = state.map(|it| it.runs()).transpose()?.unwrap_or_default();
    let wrote = |it: &&RunRecord| it.plan == name && it.outcome.as_deref() != Some(PREVIEW);
    if !runs.iter().any(|it| wrote(&it)) {
        return Err(usage(format_args!("no run of {shown} is known; `cutover migrate {shown}` begins one")));
    }
    migrate(args, cli)
}

impl MigrateArgs {
    /// Whether some tables or rows are left out, so that the target may hold more than this run looks at.
    fn is_partial(&self) -> bool {
        !self.only.is_empty() || !self.except.is_empty() || self.since.is_some() || self.until.is_some()
    }

    /// How to write: as the plan says, unless something else was typed.
    fn how(&self, plan: &Migrate) -> Migrate {
        let mut how = self.pace.over(plan);
        how.skip_errors |= self.continue_on_error;
        how.preserve_partial |= self.keep_partial;
        how.disable_indexes |= self.disable_indexes;
        how.backup &= !self.no_backup;
        how
    }
}

/// The plan with the tables and rows that are wanted.
fn chosen(plan: Plan, args: &MigrateArgs) -> Result<Plan> {
    let mut plan = named(plan, &args.only, &args.except)?;
    if args.since.is_some() || args.until.is_some() {
        let ids = NewIds::of(&plan)?;
        if let Some(table) = ids.wanted(&plan).first() {
            let why = "gets new ids, for which all of its rows have to be looked at; run once without them";
            return Err(usage(format_args!("--since, --until: {table} {why}")));
        }
        // What checks count is about all rows.
        plan.checks.clear();
        plan.tables.iter_mut().try_for_each(|it| dated(it, args))?;
    }
    Ok(plan)
}

/// The plan with some of its tables: `only` those, if any are named, without those of `except`.
fn named(mut plan: Plan, only: &[String], except: &[String]) -> Result<Plan> {
    if plan.tables.is_empty() {
        let message =
            format_args!("{}: without [[table]] nothing says what to write; `cutover init` writes a plan", plan.path);
        return Err(Error::new(Kind::Plan, message));
    }
    if let Some(name) = only.iter().chain(except).find(|it| plan.table(it).is_none()) {
        return Err(usage(format_args!("no table of {} is called `{name}`", plan.path)));
    }
    let wanted = |name: &String| match only.is_empty() {
        true => !except.contains(name),
        false => only.contains(name),
    };
    (plan.tables, plan.left_out) = plan.tables.into_iter().partition(|it| wanted(&it.into));
    plan.checks.retain(|it| it.table.as_ref().is_none_or(&wanted));
    Ok(plan)
}

/// Keeps a mapping to the rows of some time.
fn dated(mapping: &mut Mapping, args: &MigrateArgs) -> Result<()> {
    let Some(column) = &mapping.dated else {
        let message = format_args!("--since, --until: {} has no `dated` column in the plan", mapping.into);
        return Err(usage(message));
    };
    let bound =
        |it: &jiff::Timestamp| serde_json::Value::from(it.strftime("%Y-%m-%dT%H:%M:%S").to_string()).to_string();
    let since = args.since.iter().map(|it| format!("$dated >= {}", bound(it)));
    let until = args.until.iter().map(|it| format!("$dated < {}", bound(it)));
    let range = since.chain(until).collect::<Vec<_>>().join(" and ");
    let column = serde_json::Value::from(column.as_str()).to_string();
    // A blank or a T stands between the date and the time. What is no text has no time, and does not take part.
    let range = format!("(.[{column}] | type == \"string\" and ((.[0:10] + \"T\" + .[11:19]) as $dated | {range}))");
    let text = match &mapping.filter {
        Some(filter) => format!("({}) and {range}", filter.text),
        None => range,
    };
    let Place { line, column, span } = mapping.place.clone();
    mapping.filter = Some(Expression { text, line, column, span });
    Ok(())
}
