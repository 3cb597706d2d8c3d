//! `migrate` and `rollback`: the same comparison as `verify`, whose missing and changed rows are written.
//!
//! A run goes one way, and each step leaves on disk what the next one needs:
//!
//! 1. *stage*: the mapped source is compared with the target, and what has to be written lies in the run's folder;
//! 2. *check*: what the gate would say once it is written is asked beforehand, so that nothing is written that cannot pass;
//! 3. *apply*: batch after batch, parents before children;
//! 4. *verify*: both sides are compared again, from the stores;
//! 5. *done*, or *undo*: rows that were written and that nobody has changed since go back to what they were.
//!
//! A run that ends half way is gone on with by running again: the comparison finds what is there already. The journal says
//! what happened and is never asked what is true.

pub mod apply;
pub mod conflict;
mod early;
mod foreseen;
mod held;
pub(super) mod kept;
pub mod manifest;
mod order;
pub mod patch;
mod pile;
pub mod rollback;
mod script;
mod side_by_side;
pub mod stage;
mod stored;
pub mod unmade;

use super::{
    Recheck, Run,
    log::{Level, Line, Step},
    state::{Decision, Phase, State, TableCounts},
    table::Migrating,
    verify::{self, Pairing, Task, Witness},
};
use crate::{
    error::{Error, Kind, Result},
    gate::{self, Judgement, Verdict},
    plan::{Conflict, Mapping, Migrate, Names, Plan, Policy},
    report::{
        PlanName, Report,
        migration::{Migration, TableMigration},
    },
    schema::Table,
    store::{
        Source,
        about::Fact,
        pace::Cost,
        target::{Begin, Target, Work},
    },
};
use apply::{Arrived, MayWrite, Pace};
use conflict::{Decide, Strategy};
use early::{Ahead, Onward, Start};
use manifest::{Entry, Manifest};
use patch::Staging;
pub use rollback::{Undo, Undone};
use serde_json::json;
use side_by_side::{Load, Writing};
use stage::{Stage, Staged};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread,
};

/// Everything a run needs that writes.
pub struct Job<'j> {
    /// What is compared.
    pub task: Task,
    /// The plan.
    pub plan: &'j Plan,
    /// How it writes: the plan's word, unless the command line says otherwise.
    pub how: Migrate,
    /// The run.
    pub id: String,
    /// The runs that it goes on with, the last one first.
    pub continues: Vec<String>,
    /// Where runs are kept.
    pub state: &'j mut State,
    /// What tells the target from every other store.
    pub fingerprint: String,
    /// Nothing of the target is there yet.
    pub absent: bool,
    /// Opens the target for writing.
    pub open: &'j dyn Fn() -> Result<Box<dyn Target>>,
    /// Opens the target for reading, once it is there.
    pub reopen: &'j dyn Fn() -> Result<Box<dyn Source>>,
    /// Statements that make the tables that are not there.
    pub schema: Option<String>,
    /// The time, as RFC 3339.
    pub now: &'j (dyn Fn() -> String + Sync),
    /// Whether this run may still write.
    pub may_write: &'j MayWrite<'j>,
    /// How often to look again at what differs once it is written, for stores that show writes late.
    pub recheck: Recheck,
    /// Decides about single rows.
    pub decide: Arc<dyn Decide>,
    /// The backup that was made.
    pub backup: Option<String>,
    /// Told what is staged, before any of it is written.
    pub staged: &'j dyn Fn(Staging<'_>) -> Result<()>,
    /// Nothing is to be written.
    pub preview: bool,
    /// Only some rows of the source take part, so that the target may well have others.
    pub partial: bool,
    /// The command to type again.
    pub again: String,
}

/// What a comparison came to, what it staged, and what of that is written ahead.
type Compared = (Report, BTreeMap<String, Staged>, Option<Start>);

/// A target that keeps what was written ahead, and how much that is of each table.
type Kept = (Box<dyn Target>, BTreeMap<String, Ahead>);

/// What is known once a run has staged what it wants to write.
struct Plot {
    report: Report,
    staged: BTreeMap<String, Staged>,
    /// The places of the pairings that are written, parents first.
    order: Vec<usize>,
    manifest: Manifest,
    /// What is written already, but not for good.
    start: Option<Start>,
}

impl Plot {
    /// How many rows there are to write.
    fn rows(&self) -> u64 {
        self.staged.values().map(|it| it.counts.insert + it.counts.update).sum()
    }
}

impl Job<'_> {
    /// Runs it. What came of it is data; the target's state is part of it.
    ///
    /// # Errors
    /// If a store fails before anything was written. After that, a failure is in what comes back.
    pub fn run(mut self, run: &Run) -> Result<Migration> {
        let plot = self.stage(run)?;
        let staging = plot.report.timing.clone();
        let mut out = self.carry_out(run, plot)?;
        out.time(&staging);
        Ok(out)
    }

    /// What comes after staging.
    fn carry_out(mut self, run: &Run, mut plot: Plot) -> Result<Migration> {
        let mut out = self.outline(&plot);
        let judged = self.judge(&plot);
        (out.verdict, out.reasons) = (judged.verdict, judged.reasons);
        let (work, start) = (plot.rows(), plot.start.take());
        if self.preview || out.verdict != Verdict::Pass {
            drop(start);
            // A preview makes nothing, and to open a file that is not there would make it.
            if let Some(Ok(target)) = (!self.absent).then(|| (self.open)()) {
                self.estimate(&plot, target.as_ref(), &mut out);
            }
            let why = if self.preview { "nothing was written: this is a preview" } else { "nothing was written" };
            out.state = format!("The target is as it was; {why}.");
            out.next = (self.preview && out.verdict == Verdict::Pass).then(|| self.again.clone());
            out.report = Some(plot.report);
            return Ok(out);
        }
        self.phase(Phase::Checked)?;
        if work == 0 {
            return self.prove(run, &plot, out, None);
        }
        // They stay the same from now on, whatever happens.
        self.task.ids.keep()?;
        self.task.target.release()?;
        let (mut target, ahead) = match start.map(|it| self.keep(run, it, &mut out)).transpose()?.flatten() {
            Some(kept) => kept,
            None => (self.begin(&plot, &mut out)?, BTreeMap::new()),
        };
        self.phase(Phase::Applying)?;
        let written = self.write(run, &plot, (target.as_mut(), &ahead), &mut out);
        // What was taken away comes back, whatever happened.
        match written.and(target.end()) {
            Ok(()) => {
                self.phase(Phase::Applied)?;
                self.prove(run, &plot, out, Some(target))
            }
            Err(error) => self.give_up(run, &plot, out, target, &error),
        }
    }

    fn phase(&mut self, phase: Phase) -> Result<()> {
        let now = (self.now)();
        self.state.set_phase(&self.id, phase, &now)
    }

    /// Notes that the runs that this one went on with were taken back with it.
    fn settle(&mut self) -> Result<()> {
        for (id, phase) in self.continues.iter().flat_map(|id| [(id, Phase::RollingBack), (id, Phase::RolledBack)]) {
            self.state.set_phase(id, phase, &(self.now)())?;
        }
        Ok(())
    }

    /// Compares, and puts on disk what has to be written.
    fn stage(&mut self, run: &Run) -> Result<Plot> {
        run.watch.begin("stage");
        let folder = self.state.run_folder(&self.id)?;
        let (report, staged, start) = self.compare_all(run, &folder)?;
        let order = self.order(&staged);
        let (plan, zone) = ((self.plan.path.as_str(), self.plan.hash.as_str()), self.plan.zone.clone());
        let mut manifest = Manifest::new(&self.id, plan, zone, &self.fingerprint);
        for pairing in order.iter().map(|&it| &self.task.tables[it]) {
            let Some(staged) = staged.get(&pairing.comparison.target.name) else { continue };
            manifest.tables.push(Entry::new(staged, &stage::shape(&pairing.comparison)));
            let counts = TableCounts {
                name: staged.table.name.clone(),
                inserts: staged.counts.insert,
                updates: staged.counts.update,
                skips: staged.counts.skip,
                conflicts: staged.counts.conflict,
                rejects: staged.counts.reject,
                ..TableCounts::default()
            };
            self.state.set_table(&self.id, &counts)?;
            run.log.line(staged_line(staged));
        }
        manifest.write(&folder)?;
        self.phase(Phase::Staged)?;
        let plot = Plot { report, staged, order, manifest, start };
        let refused = plot.staged.values().map(|it| it.counts.reject).sum();
        let (manifest, folder, rows) = (&plot.manifest, folder.as_path(), plot.rows());
        (self.staged)(Staging { run, manifest, folder, rows, refused })?;
        Ok(plot)
    }

    /// Compares until no row needs a new id any more. Rows with new ids are other rows, and so are those that refer to them, which
    /// may need new ids in turn.
    fn compare_all(&mut self, run: &Run, folder: &Path) -> Result<Compared> {
        let wanted: Vec<&str> = self.task.ids.wanted(self.plan);
        let asks = self.plan.tables.iter().any(|it| it.conflict == Conflict::Ask);
        while !wanted.is_empty() {
            // Nobody is asked about rows that may yet become others.
            let (report, staged, _) = self.compare(run, folder, &wanted, Box::new(Later))?;
            let given = self.task.give(self.plan, &wanted, &|name| staged.get(name).map(|it| &it.taken))?;
            if !self.preview {
                self.state.decide(&self.id, &given, &(self.now)())?;
            }
            match given.is_empty() {
                true if asks => break,
                true => return Ok((report, staged, None)),
                false => self.task.rename(self.plan)?,
            }
        }
        let noted = Arc::new(Mutex::new(Vec::new()));
        let decide = Noting { decide: Arc::clone(&self.decide), noted: Arc::clone(&noted) };
        let compared = self.compare(run, folder, &wanted, Box::new(decide))?;
        let noted = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
        self.state.decide(&self.id, &noted, &(self.now)())?;
        Ok(compared)
    }

    /// Compares, and puts in the folder what differs.
    fn compare(&mut self, run: &Run, folder: &Path, ids: &[&str], decide: Box<dyn Decide>) -> Result<Compared> {
        let strategy = |it: &Mapping| Strategy { new_ids: ids.contains(&it.into.as_str()), ..Strategy::of(it) };
        let strategies = self.plan.tables.iter().map(|it| (it.into.clone(), strategy(it))).collect();
        let stage = Stage::new(folder, strategies, decide, &run.log);
        let compare = |task: &mut Task, stage: Stage| {
            let migrating = Migrating { stage: Some(&stage), ..Migrating::default() };
            let report = task.run_with(run, (None, migrating))?;
            Ok((report, stage.finish()))
        };
        let Some(mut start) = self.head_start(run, ids)? else {
            let (report, staged) = compare(&mut self.task, stage)?;
            return Ok((report, staged, None));
        };
        let (onward, rows, anew) = Onward::new();
        let (id, may_write) = (self.id.as_str(), self.may_write);
        let (compared, taken) = thread::scope(|scope| {
            let taking = scope.spawn(|| start.take(rows, id, may_write));
            let compared = compare(&mut self.task, stage.passing(Some(onward)));
            (compared, taking.join())
        });
        let (report, staged) = compared?;
        let whole = matches!(taken, Ok(Ok(()))) && !anew.load(Ordering::Relaxed);
        Ok((report, staged, whole.then_some(start)))
    }

    /// Holds a target to which rows may go before all of them are checked, if this is one, and takes its reader away.
    fn head_start(&mut self, run: &Run, ids: &[&str]) -> Result<Option<Start>> {
        // Who wants small batches, or pauses between them, does not want all in one.
        let usual = self.how.batch_size.is_none() && self.pace().batch_delay.is_zero() && !self.how.disable_indexes;
        // Whatever else asks the target needs its reader.
        let inverse = self.task.tables.iter().flat_map(|it| &it.witnesses).any(|it| matches!(it, Witness::Inverse(_)));
        let asked = !self.task.checks.is_empty() || inverse || run.recheck.rounds > 0;
        if self.preview || !ids.is_empty() || !usual || asked {
            return Ok(None);
        }
        let tables = self.task.tables.iter().filter(|it| it.referred.is_none());
        let tables = tables.map(|it| it.comparison.target.clone()).collect();
        let (reader, mut store) = (self.task.target.as_mut(), None);
        let mut release = || {
            store = Some(early::without_rows(reader)?);
            reader.release()
        };
        let start = (self.open)().and_then(|it| Start::of(it, (self.schema.as_deref(), tables), &mut release));
        match (start, store) {
            (Ok(Some(start)), Some(store)) => {
                self.task.target = Box::new(store);
                Ok(Some(start))
            }
            // What is wrong with the target is said when it is written to.
            (_, None) => Ok(None),
            (_, Some(_)) => self.task.target.refresh().map(|()| None),
        }
    }

    /// Which pairings are written, parents first. A source may have tables of the same names, to which its own tables refer.
    fn order(&self, staged: &BTreeMap<String, Staged>) -> Vec<usize> {
        let places: Vec<usize> = (0..self.task.tables.len())
            .filter(|&it| self.task.tables[it].referred.is_none())
            .filter(|&it| staged.contains_key(&self.task.tables[it].comparison.target.name))
            .collect();
        let names: Vec<&str> = places.iter().map(|&it| self.task.tables[it].comparison.target.name.as_str()).collect();
        let refers = |at: usize| self.refers(places[at]);
        order::parents_first(&names, &refers).into_iter().map(|it| places[it]).collect()
    }

    /// The tables that one refers to.
    fn refers(&self, at: usize) -> Vec<String> {
        let Pairing { comparison, choices, .. } = &self.task.tables[at];
        let declared = comparison.target.foreign_keys.iter().map(|it| it.table.clone());
        declared.chain(choices.references.iter().map(|it| it.table.clone())).collect()
    }

    /// What there is to say before anything is written.
    fn outline(&self, plot: &Plot) -> Migration {
        let table = |it: &usize| {
            let name = &self.task.tables[*it].comparison.target.name;
            let counts = plot.staged.get(name).map(|it| it.counts).unwrap_or_default();
            TableMigration { name: name.clone(), counts, ..TableMigration::default() }
        };
        Migration {
            verb: "migrate",
            id: self.id.clone(),
            preview: self.preview,
            plan: PlanName { path: self.plan.path.clone(), hash: self.plan.hash.clone() },
            source: self.task.source_name.clone(),
            target: self.task.target_name.clone(),
            backup: self.backup.clone(),
            tables: plot.order.iter().map(table).collect(),
            ..Migration::default()
        }
    }

    /// What the gate will say once everything is written.
    fn judge(&self, plot: &Plot) -> Judgement {
        let mut judged = plot.report.around.clone();
        for table in &plot.report.tables {
            let counts = plot.staged.get(&table.name).map(|it| it.counts).unwrap_or_default();
            let mut tally = table.tally.once_written();
            tally.changed = 0;
            let policy = self.policy(table.tally.source_rows);
            judged.and(gate::judge(&policy, &table.name, &tally, &table.facts));
            if counts.conflict > 0 {
                let what = format!("{} rows of the target have other values", counts.conflict);
                let hint = "say what to do with `conflict` under [[table]]: skip, overwrite, merge, newest or ask";
                judged.and(Judgement {
                    verdict: Verdict::Fail,
                    reasons: vec![format!("{}: {what}; {hint}", table.name)],
                });
            }
        }
        judged
    }

    /// The plan's gate, with what `skip_errors` allows beyond it while a run goes on.
    fn policy(&self, source_rows: u64) -> Policy {
        let mut policy = self.lasting();
        if self.how.skip_errors {
            let share = (source_rows as f64 * self.how.rollback_threshold) as u64;
            policy.rejects.raise(share);
            policy.missing.raise(share);
        }
        policy
    }

    /// The plan's gate. A run that is about some rows only says nothing about what else the target has.
    fn lasting(&self) -> Policy {
        let mut policy = self.plan.gate.clone();
        if self.partial {
            policy.extra.raise(u64::MAX);
            policy.allow_empty = Names::All;
        }
        policy
    }

    /// How many batches there will be, and what they cost.
    fn estimate(&self, plot: &Plot, target: &dyn Target, out: &mut Migration) {
        let mut work = Work::default();
        for (table, &at) in out.tables.iter_mut().zip(&plot.order) {
            let room = target.room(&self.task.tables[at].comparison.target);
            let rows = self.pace().batch_size.unwrap_or(room.rows).clamp(1, room.rows_max.max(1)) as u64;
            table.batches = (table.counts.insert + table.counts.update).div_ceil(rows);
            work.batches += table.batches;
            work.updates += table.counts.update;
        }
        let Some(Cost { requests, seconds }) = target.cost(work).filter(|it| it.requests > 0) else { return };
        let pauses = self.pace().batch_delay.as_secs_f64() * work.batches as f64;
        let least = match (seconds + pauses).ceil() {
            0.0 => String::new(),
            seconds => format!(", which take {seconds} s at least at the rate that is allowed"),
        };
        out.facts.push(format!("cost: about {requests} requests to write it{least}"));
    }

    fn pace(&self) -> Pace {
        (&self.how).into()
    }

    /// Opens the target, makes the tables that are not there, and lets it get ready. No row is written.
    fn begin(&self, plot: &Plot, out: &mut Migration) -> Result<Box<dyn Target>> {
        let mut target = (self.open)()?;
        if let Some(schema) = &self.schema {
            target.create(schema)?;
        }
        let begin = Begin { tables: &self.tables(plot), disable_indexes: self.how.disable_indexes };
        out.facts = said(target.begin(&begin)?);
        Ok(target)
    }

    /// Keeps what was written ahead. Nothing: it could not be, and all of it has to be written yet.
    fn keep(&mut self, run: &Run, mut start: Start, out: &mut Migration) -> Result<Option<Kept>> {
        self.phase(Phase::Applying)?;
        if (self.may_write)().and_then(|()| start.keep(run.clock)).is_err() {
            return Ok(None);
        }
        let Start { target, facts, written, .. } = start;
        out.facts = said(facts);
        for (name, it) in &written {
            let line = Line::new(Level::Info, Step::Load, "written while it was compared").of(name);
            run.log.line(line.with([
                ("rows", it.rows()),
                ("batches", it.applied.batches),
                ("bytes", it.applied.bytes),
            ]));
            self.state.batch_done(&self.id, name, it.applied.batches, it.rows(), &(self.now)())?;
        }
        Ok(Some((target, written)))
    }

    fn tables(&self, plot: &Plot) -> Vec<Table> {
        plot.order.iter().map(|&it| self.task.tables[it].comparison.target.clone()).collect()
    }

    /// Writes what is staged and not yet written.
    fn write(
        &mut self,
        run: &Run,
        plot: &Plot,
        (target, ahead): (&mut dyn Target, &BTreeMap<String, Ahead>),
        out: &mut Migration,
    ) -> Result<()> {
        let tables = self.tables(plot);
        let (pace, id, now) = (self.pace(), self.id.clone(), self.now);
        run.watch.begin("apply");
        run.watch.expect(plot.rows());
        let ahead = |at: usize| ahead.get(&tables[at].name).copied().unwrap_or_default();
        let left = |at: usize| {
            let counts = plot.staged.get(&tables[at].name).map(|it| it.counts).unwrap_or_default();
            (counts.insert + counts.update).saturating_sub(ahead(at).rows())
        };
        let places: Vec<usize> = (0..tables.len()).filter(|&it| left(it) > 0).collect();
        run.watch.wrote((0..tables.len()).map(|it| ahead(it).rows()).sum());
        let names: Vec<&str> = places.iter().map(|&it| tables[it].name.as_str()).collect();
        let waits = order::waits(&names, &|at| self.refers(plot.order[places[at]]));
        let load = |(&at, waits): (&usize, bool)| {
            let shape = stage::shape(&self.task.tables[plot.order[at]].comparison);
            let (table, staged) = (&tables[at], plot.staged.get(&tables[at].name)?);
            Some(Load { table, staged, ahead: ahead(at).applied, shape, waits })
        };
        let loads: Vec<Load<'_>> = places.iter().zip(waits).filter_map(load).collect();
        let state = &mut *self.state;
        let arrived: Box<Arrived<'_>> = Box::new(|name, batch, rows| state.batch_done(&id, name, batch, rows, &now()));
        let writing = Writing {
            run,
            pace: &pace,
            plan: self.plan,
            id: &id,
            arrived: Mutex::new(arrived),
            may_write: self.may_write,
            concurrency: usize::try_from(self.how.concurrency).unwrap_or(usize::MAX),
        };
        let (all, ended) = writing.all(&loads, target);
        drop(writing);
        let begun = (0..tables.len()).filter(|&it| ahead(it).rows() > 0);
        let mut done: BTreeMap<usize, Ahead> = begun.map(|it| (it, ahead(it))).collect();
        all.into_iter().for_each(|it| done.entry(places[it.at]).or_default().add(it.applied, it.seconds));
        for (at, Ahead { applied, seconds }) in done {
            let told = &mut out.tables[at];
            (told.seconds, told.bytes, told.failed, told.batches) =
                (seconds, applied.bytes, applied.failed, applied.batches);
            told.written = [applied.written.inserted, applied.written.updated, applied.written.deleted];
            self.note(run, told)?;
        }
        ended
    }

    /// Writes down what became of a table.
    fn note(&mut self, run: &Run, told: &TableMigration) -> Result<()> {
        run.log.line(wrote(told));
        let [inserted, updated, deleted] = told.written;
        let detail = json!({
            "table": told.name, "inserted": inserted, "updated": updated, "deleted": deleted, "failed": told.failed,
            "batches": told.batches,
        });
        self.state.audit(Some(&self.id), "write", &detail, &(self.now)())
    }

    /// Compares again, and says what the target holds.
    fn prove(
        mut self,
        run: &Run,
        plot: &Plot,
        mut out: Migration,
        target: Option<Box<dyn Target>>,
    ) -> Result<Migration> {
        let proved = self.compare_again(run, plot, target.is_some());
        let report = match proved {
            Ok(report) => report,
            Err(error) => {
                let Some(target) = target else { return Err(error) };
                let error = error.context("what was written could not be read back");
                return self.give_up(run, plot, out, target, &error);
            }
        };
        run.log.report(&report, false);
        let allowed = self.judge_again(&report, &|rows| self.policy(rows)).verdict;
        // What the plan's own gate lets through is no failure, whatever was left out.
        let judged = self.judge_again(&report, &|_| self.lasting());
        (out.verdict, out.reasons) = (judged.verdict, judged.reasons);
        out.report = Some(report);
        self.phase(Phase::Verified)?;
        match (allowed, target) {
            (Verdict::Pass, _) => {
                self.phase(Phase::Done)?;
                out.state = "The target holds all of it: what was written was read back and compared.".to_owned();
                if out.verdict != Verdict::Pass {
                    let left: u64 = out.tables.iter().map(|it| it.failed + it.counts.reject).sum();
                    out.reasons.insert(0, format!("{left} rows were left out, as skip_errors says"));
                    let folder = self.state.run_folder(&self.id)?;
                    out.state = format!("The target holds all but {left} rows; see {}.", folder.display());
                    out.next = Some(format!("{}    once their cause is mended", self.again));
                }
                Ok(out)
            }
            (_, Some(target)) => {
                let error = Error::new(Kind::Store, "what was written is not what was to be written");
                self.give_up(run, plot, out, target, &error)
            }
            (_, None) => {
                out.state = "Nothing had to be written, and the target does not pass.".to_owned();
                out.next = Some(format!("cutover verify {}", self.plan.path));
                Ok(out)
            }
        }
    }

    fn compare_again(&mut self, run: &Run, plot: &Plot, written: bool) -> Result<Report> {
        if written {
            self.task.target = (self.reopen)()?;
        } else if plot.staged.values().all(|it| it.counts.skip == 0) {
            // It was compared already, just as it is.
            return Ok(plot.report.clone());
        }
        run.watch.begin("verify");
        let migrating = Migrating { staged: Some(&plot.staged), ..Migrating::default() };
        let run = Run { recheck: self.recheck, ..run.clone() };
        self.task.run_with(&run, (None, migrating))
    }

    /// The verdict of a gate on what is there now; `policy` is told how many rows the source has.
    fn judge_again(&self, report: &Report, policy: &dyn Fn(u64) -> Policy) -> Judgement {
        let mut judged = report.around.clone();
        for table in &report.tables {
            judged.and(gate::judge(&policy(table.tally.source_rows), &table.name, &table.tally, &table.facts));
        }
        report.checks.iter().for_each(|it| judged.and(verify::judged(it)));
        judged
    }

    /// What to do about a run that failed after it had begun to write.
    fn give_up(
        mut self,
        run: &Run,
        plot: &Plot,
        mut out: Migration,
        target: Box<dyn Target>,
        error: &Error,
    ) -> Result<Migration> {
        let interrupted = error.kind() == Kind::Interrupted;
        out.verdict = if interrupted { Verdict::Unknown } else { out.verdict.and(Verdict::Fail) };
        out.reasons.insert(0, error.to_string());
        let rollback = format!("cutover rollback {} --run {}", self.plan.path, self.id);
        if interrupted || !self.how.auto_rollback || self.how.preserve_partial {
            out.state = "What was written stays; running again goes on where this run ended.".to_owned();
            out.next = Some(format!("{}    to go on, or: {rollback}    to undo it", self.again));
            return Ok(out);
        }
        self.phase(Phase::RollingBack)?;
        self.task.target.release()?;
        match self.undo(run, plot, target) {
            Ok(undone) if undone.iter().all(|it| it.1.theirs + it.1.held == 0) => {
                self.phase(Phase::RolledBack)?;
                self.settle()?;
                out.state =
                    "The target is as it was before: what was written was taken back, and that was checked.".into();
            }
            Ok(undone) => {
                let left: u64 = undone.iter().map(|it| it.1.theirs + it.1.held).sum();
                out.state =
                    format!("Taken back but for {left} rows that others have changed or refer to; they are left.");
            }
            Err(again) => {
                out.reasons.push(format!("it could not be taken back either: {again}"));
                out.state = "The target holds a part of it.".to_owned();
                out.next = Some(rollback);
            }
        }
        Ok(out)
    }
}

impl Job<'_> {
    /// Takes back what this run wrote, and those that it went on with.
    fn undo(&mut self, run: &Run, plot: &Plot, target: Box<dyn Target>) -> Result<Undone> {
        run.watch.begin("undo");
        let mut undo = Undo {
            manifest: plot.manifest.clone(),
            folder: self.state.run_folder(&self.id)?,
            target,
            reopen: self.reopen,
            pace: self.pace(),
            tables: self.tables(plot),
            may_write: self.may_write,
            wanted: None,
            later: Vec::new(),
            plan: self.plan,
        };
        let mut undone = undo.run(run, false, &self.id)?;
        for id in &self.continues {
            undo.folder = self.state.run_folder(id)?;
            undo.manifest = Manifest::read(&undo.folder)?;
            undone.extend(undo.run(run, false, &self.id)?);
        }
        drop(undo);
        for (table, it) in &undone {
            self.state.audit(Some(&self.id), "undo", &rollback::kept(table, it), &(self.now)())?;
        }
        Ok(undone)
    }
}

/// What a target says of itself, a line each.
fn said(facts: Vec<Fact>) -> Vec<String> {
    facts.into_iter().map(|it| format!("{}: {}", it.what, it.says)).collect()
}

/// What is written down about a table whose rows to write are known.
fn staged_line(it: &Staged) -> Line {
    let counts = &it.counts;
    let work = [("insert", counts.insert), ("update", counts.update), ("same", counts.same)];
    let rest = [("skip", counts.skip), ("conflict", counts.conflict), ("reject", counts.reject)];
    Line::new(Level::Info, Step::Load, "to be written").of(&it.table.name).with(work).with(rest)
}

/// What is written down about a table that was written.
fn wrote(it: &TableMigration) -> Line {
    let [inserted, updated, deleted] = it.written;
    let level = if it.failed > 0 { Level::Error } else { Level::Info };
    let counts = [("inserted", inserted), ("updated", updated), ("deleted", deleted)];
    let line = Line::new(level, Step::Load, "written").of(&it.name).with(counts);
    line.with([("failed", it.failed), ("batches", it.batches), ("bytes", it.bytes)])
}

/// Keeps every row, for now.
struct Later;

impl Decide for Later {
    fn ask(&self, _: &conflict::Question<'_>) -> Result<conflict::Answer> {
        Ok(conflict::Answer::Keep)
    }
}

/// Notes what somebody decided, for the journal.
struct Noting {
    decide: Arc<dyn Decide>,
    noted: Arc<Mutex<Vec<Decision>>>,
}

impl Decide for Noting {
    fn ask(&self, question: &conflict::Question<'_>) -> Result<conflict::Answer> {
        let answer = self.decide.ask(question)?;
        let key = question.key.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ");
        let decision = Decision {
            table: question.table.to_owned(),
            key,
            kind: "conflict".to_owned(),
            choice: answer.name().to_owned(),
            by: "person".to_owned(),
        };
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
        Ok(answer)
    }
}
