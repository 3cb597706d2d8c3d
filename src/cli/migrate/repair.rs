//! `repair`: the target brought to what the mapped source says, as a patch, or by a run like any other.

use super::{
    around::Around,
    carry::{self, Before, Wish},
    named,
    session::{Looking, Pacing, Session, Using},
    target::Wanted,
};
use crate::{
    cli::{args::Cli, exit, output, quoted, stores, usage},
    disk,
    error::{Error, Kind, Result},
    gate::Verdict,
    plan::{Conflict, Plan},
    report::{FindingKind, StoreName, layout, migration::Migration},
    run::{
        ids::NewIds,
        migrate::patch::{self, Patches, Put, Staging, Way},
    },
    store::Options,
};
use clap::Args;
use std::{cell::RefCell, path::PathBuf};

/// How many rows are named that stay although only the target has them.
const EXAMPLES: usize = 10;

/// `cutover repair`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RepairArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Write to the target, read it back and compare, and undo it if that fails. Without this, only the patch is written.
    #[arg(long, visible_alias = "auto-fix")]
    apply: bool,
    /// The file to make of the patch. Standard output, if nothing is to be applied.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write a patch that undoes it.
    #[arg(long, value_name = "FILE")]
    undo: Option<PathBuf>,
    /// Only this target table, and others that are named so.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    pace: Pacing,
    #[command(flatten)]
    moving: Looking,
    #[command(flatten)]
    using: Using,
}

/// `cutover repair`.
pub(in crate::cli) fn repair(args: &RepairArgs, cli: &Cli) -> Result<u8> {
    let mut session = Session::begin(&args.plan, "repair", &args.using, cli)?;
    patch::check(&session.plan, &NewIds::of(&session.plan)?)?;
    session.plan = overwriting(named(session.plan, &args.only, &[])?);
    args.check(&session.plan)?;
    let source = stores::of_plan(&session.plan, &session.plan.source, &session.options);
    let target = Wanted::of(&session)?;
    if target.schema.is_some() {
        let plan = quoted(&session.plan.path);
        let message = format!("the target has not all tables of its schema yet; `cutover migrate {plan}` makes them");
        return Err(Error::new(Kind::Plan, message));
    }
    let shown = quoted(&session.plan.path);
    let (name, printed) = (target.opened.name.clone(), RefCell::default());
    let wish = Wish {
        source: source.map_err(|it| it.context("the source"))?,
        target,
        new_target: false,
        recheck: args.moving.over(&session.plan.target.kind),
        backup: Before::Nothing,
        how: args.pace.over(&session.plan.migrate),
        staged: &|plan, options, staging| {
            printed.replace(args.patches(plan, options, &name, staging)?);
            Ok(())
        },
        preview: !args.apply,
        // Rows that only the target has are not to be repaired.
        partial: true,
        again: format!("cutover repair {shown} --apply"),
        using: &args.using,
    };
    let mut done = carry::out(&mut session, wish, &mut Around::default())?;
    done.verb = "repair";
    let work: u64 = done.tables.iter().map(|it| it.counts.insert + it.counts.update).sum();
    args.conclude(&mut done, work, &shown);
    let left = work > 0 && done.preview && done.verdict == Verdict::Pass;
    let code = match printed.take() {
        Some(patch) => {
            output::print(patch.as_bytes())?;
            session.end_aside(done, &args.using)?
        }
        None => session.end(done, &args.using)?,
    };
    Ok(if left && code == exit::PASS { exit::FAIL } else { code })
}

/// The plan that gives every row that differs the source's values.
fn overwriting(mut plan: Plan) -> Plan {
    plan.tables.iter_mut().for_each(|it| it.conflict = Conflict::Overwrite);
    plan
}

impl RepairArgs {
    /// Whether the patch is printed.
    fn prints(&self) -> bool {
        !self.apply && self.output.is_none()
    }

    fn check(&self, plan: &Plan) -> Result<()> {
        if self.prints() && plan.has_secrets() {
            let what = "the plan has secret columns, and a patch holds what is written";
            return Err(usage(format_args!("{what}; name a file for your eyes only with --output")));
        }
        if self.prints() && self.using.json() {
            return Err(usage("--format json is about the run; name a file for the patch with --output"));
        }
        if self.output.is_some() && self.output == self.undo {
            return Err(usage("--output and --undo name one file"));
        }
        [&self.output, &self.undo].into_iter().flatten().try_for_each(|it| disk::vacant(it))
    }

    /// Writes the patches that are asked for, if there is something to repair. What comes back is the one to print.
    fn patches(
        &self,
        plan: &Plan,
        options: &Options,
        target: &StoreName,
        staging: Staging<'_>,
    ) -> Result<Option<String>> {
        let wanted = self.prints() || self.output.is_some() || self.undo.is_some();
        if !wanted || staging.rows == 0 {
            return Ok(None);
        }
        let mut source = stores::of_plan(plan, &plan.target, options)?.store;
        let patches = Patches::new(staging, source.as_mut(), stores::target_of_plan(plan, options)?);
        let mut patches = patches.map_err(|it| it.context("the patch"))?;
        let mut write = |way: Way, put: &mut Put<'_>| {
            let what = match way {
                Way::Forth => "what the mapped source says",
                Way::Back => "undoes a repair",
            };
            let title = format!("{} {} by {}: {what}", target.kind, target.name, plan.path);
            patches.write(way, &title, put).map_err(|it| it.context("the patch"))
        };
        for (path, way) in [(&self.undo, Way::Back), (&self.output, Way::Forth)] {
            let Some(path) = path else { continue };
            let failed = |it: std::io::Error| disk::failed(path, "cannot write", &it);
            let written =
                disk::create_with(path, |out| write(way, &mut |text| out.write_all(text.as_bytes()).map_err(failed)));
            if let (Err(_), Way::Forth, Some(undo)) = (&written, way, &self.undo) {
                // Without the patch, the one back is of nothing, and would be in the way of the next.
                drop(std::fs::remove_file(undo));
            }
            written?;
        }
        if !self.prints() {
            return Ok(None);
        }
        let mut text = String::new();
        write(Way::Forth, &mut |it| {
            text.push_str(it);
            Ok(())
        })?;
        Ok(Some(text))
    }

    /// Says what there is now, and what to type next.
    fn conclude(&self, done: &mut Migration, work: u64, plan: &str) {
        let named = [("the patch", &self.output), ("the patch back", &self.undo)];
        let named = named.iter().filter(|_| work > 0);
        let written = named.filter_map(|(what, it)| Some(format!("{what} is in {}", it.as_ref()?.display())));
        done.facts.extend(written);
        let refused: u64 = done.tables.iter().map(|it| it.counts.reject).sum();
        if refused > 0 && work > 0 && (self.prints() || self.output.is_some()) {
            done.facts.push(format!("the patch is without {} rows that the mapping refuses", layout::count(refused)));
        }
        done.facts.extend(extras(done));
        if done.verdict != Verdict::Pass {
            return;
        }
        if work == 0 {
            done.state = "Nothing is to be repaired, and nothing was written.".to_owned();
            done.next = Some(format!("cutover verify {plan}"));
        } else if !done.preview {
            let undo = format!("cutover rollback {plan} --run {}", done.id);
            done.next = Some(format!("cutover verify {plan}    and to undo it: {undo}"));
        }
    }
}

/// Rows that only the target has: they stay, so somebody has to know of them.
fn extras(done: &Migration) -> Vec<String> {
    let Some(report) = &done.report else { return Vec::new() };
    let mut lines = Vec::new();
    for table in report.tables.iter().filter(|it| it.tally.extra > 0) {
        let keys = table.findings.iter().filter(|it| it.kind == FindingKind::Extra).take(EXAMPLES).map(|it| {
            let key = it.key.iter().map(|(name, cell)| format!("{name}={}", cell.json));
            key.collect::<Vec<_>>().join(",")
        });
        let keys: Vec<String> = keys.collect();
        let more = if table.tally.extra > keys.len() as u64 { " …" } else { "" };
        let count = layout::count(table.tally.extra);
        let what = "that only the target has are left as they are";
        lines.push(format!("{}: {count} rows {what}: {}{more}", table.name, keys.join(" ")));
    }
    lines
}
