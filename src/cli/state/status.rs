//! `status`: whether a migration is needed, what is left, how far it is, what to type next.

use super::{RUN_HEAD, Status, command, run_cells, run_json, table_cells};
use crate::{
    cli::{
        args::{Cli, Format},
        connection::document_text,
        exit,
        inspect::WIDTH,
        options, output, problem,
        progress::{self, Progress},
        stores, usage,
    },
    diff::Tally,
    error::Result,
    gate::Verdict,
    plan::{Conflict, Plan},
    report::{Report, TableReport, escape, layout},
    run::{
        Watch, prepare,
        state::{
            self, Phase, RunRecord, State, TableCounts,
            lock::{self, Holder},
        },
    },
};
use serde_json::{Value, json};
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-status/1";

/// How many of the last runs are shown.
const RUNS: usize = 5;

/// How far something is, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    total: u64,
    done: u64,
}

/// One table, as the stores say.
struct Table {
    name: String,
    tally: Tally,
    progress: Share,
    verdict: Verdict,
    reasons: Vec<String>,
}

/// What is known.
#[derive(Default)]
struct Known {
    plan: PathBuf,
    source: String,
    target: String,
    /// Whether a migration is needed. Nothing, where that could not be found out.
    needed: Option<bool>,
    /// Nothing, where some rows could not be counted.
    progress: Option<Share>,
    /// Whether that was found by comparing, and not only read in the journal.
    compared: bool,
    tables: Vec<Table>,
    /// Tables that the target does not have yet.
    absent: Vec<String>,
    reasons: Vec<String>,
    /// The last one first.
    runs: Vec<(RunRecord, Vec<TableCounts>)>,
    half_way: Vec<RunRecord>,
    lock: Option<Holder>,
    notes: Vec<String>,
}

pub(super) fn status(args: &Status, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(&args.plan, colour)?;
    let name = |it: &crate::plan::Endpoint| format!("{} {}", it.kind, it.name);
    let (source, target) = (name(&plan.source), name(&plan.target));
    let mut known = Known { plan: args.plan.clone(), source, target, ..Known::default() };
    match known.remember(&args.plan) {
        // The stores are the truth, so they are asked even if the memory of runs is gone.
        Err(it) if !args.offline => {
            output::say(&escape::message(&it.to_string()));
            known.notes.push(it.to_string());
        }
        remembered => remembered?,
    }
    if args.offline || known.is_running() {
        known.believe(args.table.as_deref())?;
    } else {
        known.compare(args, (&plan, &text), colour)?;
    }
    let out = match args.format {
        Format::Json => document_text(&known.json())?,
        Format::Text => known.text(args.verbose),
    };
    output::print(out.as_bytes())?;
    Ok(match known.needed {
        Some(false) => exit::PASS,
        Some(true) => exit::FAIL,
        None => exit::UNDECIDED,
    })
}

impl Share {
    fn new(total: u64, left: u64) -> Share {
        Share { total, done: total.saturating_sub(left) }
    }

    /// Rounded down, so that it says 100 only when all of it is done. Nothing, where there is nothing to do.
    fn percent(self) -> Option<u8> {
        let percent = (u128::from(self.done) * 100).checked_div(u128::from(self.total))?;
        u8::try_from(percent).ok()
    }

    fn json(self) -> Value {
        json!({ "total": self.total, "done": self.done, "left": self.total - self.done, "percent": self.percent() })
    }
}

impl Table {
    fn new(report: TableReport, plan: &Plan) -> Table {
        let TableReport { name, tally, verdict, reasons, .. } = report;
        // Where the plan keeps the target's row, a row that differs is not one that is left.
        let kept = plan.table(&name).is_some_and(|it| it.conflict == Conflict::Skip);
        let changed = if kept { 0 } else { tally.changed };
        let left = tally.missing + changed + tally.rejects + tally.source_duplicates;
        Table { name, tally, progress: Share::new(tally.source_rows, left), verdict, reasons }
    }
}

impl Known {
    /// Reads what is known of runs.
    fn remember(&mut self, plan: &Path) -> Result<()> {
        let folder = state::folder_of(plan);
        self.lock = lock::holder(&folder)?;
        let Some(state) = State::look(&folder)? else { return Ok(()) };
        let name = state::plan_name(plan);
        for run in state.runs()?.into_iter().filter(|it| it.plan == name) {
            let tables = state.tables(&run.id)?;
            self.runs.push((run, tables));
        }
        self.half_way = state.half_way(&name)?;
        Ok(())
    }

    fn is_running(&self) -> bool {
        self.lock.as_ref().is_some_and(|it| it.lives == Some(true))
    }

    /// Takes the journal's word.
    fn believe(&mut self, table: Option<&str>) -> Result<()> {
        let told = self.runs.iter().find(|(it, _)| {
            let writes = it.phase.is_half_way() || it.phase.is_over();
            writes || it.ended.is_none()
        });
        let Some((run, tables)) = told else {
            self.notes.push("no run is known; without --offline the stores are compared".to_owned());
            return Ok(());
        };
        let wanted: Vec<&TableCounts> = tables.iter().filter(|it| table.is_none_or(|name| it.name == name)).collect();
        if let Some(name) = table.filter(|_| wanted.is_empty()) {
            return Err(usage(format_args!("run {} has no table `{name}`", run.id)));
        }
        let total = wanted.iter().map(|it| it.to_write()).sum();
        let done: u64 = wanted.iter().map(|it| it.done_rows.min(it.to_write())).sum();
        self.progress = Some(Share { total, done });
        self.needed = Some(run.phase != Phase::Done);
        let note = format!("as the journal tells of run {}, which is no proof", run.id);
        self.notes.push(note);
        Ok(())
    }

    /// Asks the stores.
    fn compare(&mut self, args: &Status, (plan, text): (&Plan, &str), colour: bool) -> Result<()> {
        let options = options::store(&args.means.asking);
        let source = stores::of_plan(plan, &plan.source, &options).map_err(|it| it.context("the source"))?;
        let target = stores::target_or_schema(plan, &options).map_err(|it| it.context("the target"))?;
        let watch = Arc::new(Watch::default());
        progress::stop_on_signal(&watch)?;
        let run = options::run(&args.means, Arc::clone(&watch));
        let mut task = prepare::plan(plan, source, target, Some(&run)).map_err(|it| problem(it, plan, text, colour))?;
        // Without tables in the plan, every table of the source goes along.
        let goes = |it: &&String| plan.tables.is_empty() || plan.table(it).is_some();
        let absent: Vec<String> = task.source_only.iter().filter(goes).cloned().collect();
        let shown = Progress::start(&watch, args.format == Format::Json);
        let report = task.run(&run, None);
        drop(shown);
        self.found(report?, absent, plan, args.table.as_deref())
    }

    /// Takes the stores' word.
    fn found(&mut self, report: Report, absent: Vec<String>, plan: &Plan, only: Option<&str>) -> Result<()> {
        let wanted = |name: &str| only.is_none_or(|it| it == name);
        let allowed = |name: &String| plan.gate.unpaired.contains(name);
        let named = report.tables.iter().any(|it| wanted(&it.name)) || absent.iter().any(|it| wanted(it));
        if let Some(name) = only.filter(|_| !named) {
            let names = report.tables.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(", ");
            return Err(usage(format_args!("there is no table `{name}`; there are: {names}")));
        }
        self.compared = true;
        self.absent = absent.into_iter().filter(|it| wanted(it) && !allowed(it)).collect();
        let tables = report.tables.into_iter().filter(|it| wanted(&it.name));
        self.tables = tables.map(|it| Table::new(it, plan)).collect();
        self.notes.extend(report.notes);
        let sum = |of: fn(&Share) -> u64| self.tables.iter().map(|it| of(&it.progress)).sum::<u64>();
        let progress = Share { total: sum(|it| it.total), done: sum(|it| it.done) };
        let verdict = match only {
            None => report.verdict,
            Some(_) => self.tables.iter().fold(Verdict::Pass, |all, it| all.and(it.verdict)),
        };
        self.reasons = match only {
            None => report.reasons,
            Some(_) => self.tables.iter().flat_map(|it| it.reasons.iter().cloned()).collect(),
        };
        let unknown = verdict == Verdict::Unknown || self.tables.iter().any(|it| it.verdict == Verdict::Unknown);
        let left = progress.done < progress.total || !self.absent.is_empty();
        self.needed = (left || !unknown).then_some(left);
        self.progress = (self.absent.is_empty() && !unknown).then_some(progress);
        Ok(())
    }

    /// What to type next.
    fn next(&self) -> String {
        if self.is_running() {
            return format!("{} --offline", command("status", &self.plan));
        }
        match (self.half_way.first(), self.needed) {
            (Some(run), _) if run.phase == Phase::RollingBack => {
                format!("{} --run {}", command("rollback", &self.plan), run.id)
            }
            (Some(_), _) => command("migrate", &self.plan),
            (None, Some(true)) => format!("{} --dry-run", command("migrate", &self.plan)),
            (None, Some(false)) | (None, None) => command("verify", &self.plan),
        }
    }

    fn json(&self) -> Value {
        let table = |it: &Table| {
            let tally = &it.tally;
            let mut out = it.progress.json();
            out["name"] = it.name.as_str().into();
            let counts = [("same", tally.same), ("missing", tally.missing), ("changed", tally.changed)];
            let more = [("extra", tally.extra), ("rejects", tally.rejects), ("duplicates", tally.source_duplicates)];
            counts.into_iter().chain(more).for_each(|(name, count)| out[name] = count.into());
            out["reasons"] = it.reasons.clone().into();
            out
        };
        let lock = self.lock.as_ref().map(|it| {
            let owner = it.owner.as_ref();
            json!({
                "pid": owner.map(|it| it.pid), "host": owner.map(|it| &it.host), "started": owner.map(|it| &it.started),
                "command": owner.map(|it| &it.command), "lives": it.lives,
            })
        });
        let runs: Vec<Value> = self.runs.iter().take(RUNS).map(|(run, tables)| run_json(run, tables)).collect();
        let half_way: Vec<&String> = self.half_way.iter().map(|it| &it.id).collect();
        let (stats, summary) = self.statistics();
        json!({
            "format": FORMAT, "plan": self.plan.display().to_string(), "source": self.source, "target": self.target,
            "needed": self.needed, "compared": self.compared, "progress": self.progress.map(Share::json),
            "tables": self.tables.iter().map(table).collect::<Vec<_>>(), "absent": self.absent,
            "stats": stats, "summary": summary, "reasons": self.reasons, "unfinished": half_way, "lock": lock, "runs": runs, "notes": self.notes,
            "next": self.next(),
        })
    }

    /// The same counts under the names of the guide for Workers KV: `totalUsers`, `migratedUsers` and `legacyUsers` for a table
    /// `users`, and the sums.
    fn statistics(&self) -> (Value, Value) {
        let mut stats = serde_json::Map::new();
        for (table, Share { total, done }) in self.tables.iter().map(|it| (capital(&it.name), it.progress)) {
            stats.insert(format!("total{table}"), total.into());
            stats.insert(format!("migrated{table}"), done.into());
            stats.insert(format!("legacy{table}"), (total - done).into());
        }
        let summary = self.progress.map(|it| {
            json!({
                "totalRecords": it.total, "migratedRecords": it.done, "legacyRecords": it.total - it.done,
                "migrationProgress": it.percent().unwrap_or(100),
            })
        });
        (stats.into(), summary.into())
    }

    fn text(&self, verbose: bool) -> String {
        let mut out = vec![format!("{}: {}", escape::message(&self.plan.display().to_string()), self.sentence())];
        if verbose {
            out.push(format!("  source  {}", escape::message(&self.source)));
            out.push(format!("  target  {}", escape::message(&self.target)));
        }
        out.extend(self.grid(verbose).into_iter().map(|it| format!("  {it}")));
        out.extend(self.absent.iter().map(|it| format!("  {}: the target has no such table yet", escape::message(it))));
        let why = self.reasons.iter().filter(|_| verbose || self.needed.is_none());
        out.extend(why.map(|it| format!("  {}", escape::message(it))));
        for run in &self.half_way {
            let told = format!("run {} stands half way ({}): {}", run.id, run.phase.name(), run.phase.target());
            out.push(escape::message(&told));
        }
        out.extend(self.lock.as_ref().map(|it| {
            let who = escape::message(&it.about());
            match it.lives {
                Some(true) => format!("running: {who}"),
                Some(false) => format!("left behind: the lock of {who}, which is gone; nothing waits for it"),
                None => format!("locked by {who}; whether it still runs cannot be seen from here"),
            }
        }));
        let shown = if verbose { RUNS } else { 1 };
        let runs: Vec<_> = self.runs.iter().take(shown).collect();
        if !runs.is_empty() {
            let head = RUN_HEAD.map(str::to_owned).to_vec();
            let rows: Vec<_> = [head].into_iter().chain(runs.iter().map(|it| run_cells(&it.0))).collect();
            out.push(String::new());
            out.extend(layout::grid(&rows, &[], WIDTH));
            out.extend(runs.iter().take(1).filter_map(|it| it.0.advice.as_deref()).map(escape::message));
        }
        let tables = runs.first().filter(|it| (verbose || !self.compared) && !it.1.is_empty());
        if let Some((_, tables)) = tables {
            out.push(String::new());
            out.extend(layout::grid(&table_cells(tables), &[[false].as_slice(), &[true; 8]].concat(), WIDTH));
        }
        out.extend(self.notes.iter().filter(|_| verbose || !self.compared).map(|it| escape::message(it)));
        out.push(format!("\nnext: {}", self.next()));
        out.iter().map(|it| format!("{}\n", it.trim_end())).collect()
    }

    /// The answer, in one line.
    fn sentence(&self) -> String {
        let needed = match self.needed {
            Some(true) => "a migration is needed",
            Some(false) => "no migration is needed",
            None => "whether a migration is needed is not known",
        };
        let Some(it) = self.progress else { return needed.to_owned() };
        let what = if self.compared { "rows are there" } else { "rows are written" };
        let percent = it.percent().map(|it| format!(", {it} %")).unwrap_or_default();
        format!("{needed}; {} of {} {what}{percent}", layout::count(it.done), layout::count(it.total))
    }

    fn grid(&self, verbose: bool) -> Vec<String> {
        if self.tables.is_empty() {
            return Vec::new();
        }
        let mut head = vec!["table", "rows", "there", "left", "%"];
        head.extend(["missing", "changed", "rejects", "duplicates", "extra"].iter().filter(|_| verbose));
        let line = |it: &Table| {
            let (tally, progress) = (&it.tally, it.progress);
            let percent = progress.percent().map_or_else(|| "-".to_owned(), |it| it.to_string());
            let counts = [progress.total, progress.done, progress.total - progress.done].map(layout::count);
            let more = [tally.missing, tally.changed, tally.rejects, tally.source_duplicates, tally.extra];
            let more = more.map(layout::count).into_iter().filter(|_| verbose);
            [it.name.clone()].into_iter().chain(counts).chain([percent]).chain(more).collect()
        };
        let head = head.into_iter().map(str::to_owned).collect();
        let rows: Vec<Vec<String>> = [head].into_iter().chain(self.tables.iter().map(line)).collect();
        layout::grid(&rows, &[[false].as_slice(), &[true; 9]].concat(), WIDTH)
    }
}

/// A name as a part of another one: `user_rows` is `UserRows`.
fn capital(name: &str) -> String {
    let words = name.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty());
    let word = |it: &str| {
        let mut letters = it.chars();
        letters.next().map(|it| it.to_uppercase().chain(letters).collect::<String>())
    };
    words.filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_rounded_down() {
        let check = |total, done, expect| assert_eq!(Share { total, done }.percent(), expect, "{done}/{total}");
        check(175, 125, Some(71));
        check(1_000_000, 999_999, Some(99));
        check(3, 3, Some(100));
        check(3, 0, Some(0));
        check(0, 0, None);
        check(u64::MAX, u64::MAX, Some(100));
    }
}
