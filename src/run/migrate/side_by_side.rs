//! Staged tables on their way into the target: one after the other, or several at once where the target can.

use super::{
    apply::{Applied, Arrived, MayWrite, Pace, Sender, apply},
    stage::Staged,
};
use crate::{
    error::{Error, Kind, Result},
    plan::Plan,
    row::Shape,
    run::{Run, log::Rows as Lines},
    schema::Table,
    store::target::Target,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// A table that has rows to write.
pub(super) struct Load<'l> {
    /// As the target declares it.
    pub table: &'l Table,
    /// The rows.
    pub staged: &'l Staged,
    /// Their shape.
    pub shape: Arc<Shape>,
    /// Must not be written before all tables before it are.
    pub waits: bool,
}

/// How tables are written.
pub(super) struct Writing<'w> {
    pub run: &'w Run,
    pub pace: &'w Pace,
    /// Says which columns are shown nowhere.
    pub plan: &'w Plan,
    /// The run.
    pub id: &'w str,
    /// Hears of every batch that arrived.
    pub arrived: Mutex<Box<Arrived<'w>>>,
    pub may_write: &'w MayWrite<'w>,
    /// Tables at once, at most.
    pub concurrency: usize,
}

/// What became of a table that was begun.
pub(super) struct Done {
    /// Its place.
    pub at: usize,
    pub applied: Applied,
    /// How long it took.
    pub seconds: f64,
}

impl Writing<'_> {
    /// Writes all of them, parents before their children: what became of each that was begun, in their order, and the error that
    /// ended it. What one table cannot do ends the others too, before their next batch.
    pub(super) fn all(&self, loads: &[Load<'_>], target: &mut dyn Target) -> (Vec<Done>, Result<()>) {
        let mut more = Vec::new();
        let groups: Vec<(usize, usize)> = groups(loads);
        let widest = groups.iter().map(|(from, to)| to - from).max().unwrap_or_default();
        while more.len() + 1 < self.concurrency.min(widest) {
            // With fewer connections it only takes longer.
            let Ok(Some(again)) = target.again() else { break };
            more.push(again);
        }
        let (done, failed, ended) = (Mutex::new(Vec::new()), AtomicBool::new(false), Mutex::new(Ok(())));
        for (from, to) in groups {
            let next = AtomicUsize::new(from);
            let work = |target: &mut dyn Target| {
                while !failed.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(load) = loads.get(at).filter(|_| at < to) else { break };
                    let (one, result) = self.one(at, load, &mut *target, &failed);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                    if result.is_err() && !failed.swap(true, Ordering::Relaxed) {
                        *ended.lock().unwrap_or_else(PoisonError::into_inner) = result;
                    }
                }
            };
            thread::scope(|scope| {
                for target in more.iter_mut().take((to - from).saturating_sub(1)) {
                    scope.spawn(|| work(target.as_mut()));
                }
                work(&mut *target);
            });
        }
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|it: &Done| it.at);
        (done, ended.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn one(&self, at: usize, load: &Load<'_>, target: &mut dyn Target, failed: &AtomicBool) -> (Done, Result<()>) {
        let may_write = || match failed.load(Ordering::Relaxed) {
            true => Err(Error::new(Kind::Store, "another table could not be written")),
            false => (self.may_write)(),
        };
        let mut arrived = |name: &str, batch: u64, rows: u64| {
            self.arrived.lock().unwrap_or_else(PoisonError::into_inner)(name, batch, rows)
        };
        let mut sender = Sender {
            run: self.run,
            pace: self.pace,
            target,
            table: load.table,
            id: self.id,
            arrived: &mut arrived,
            may_write: &may_write,
            later: Vec::new(),
            failed: load.staged.folder.join("failed.ndjson"),
            plan: self.plan,
            lines: Lines::default(),
            done: Applied::default(),
        };
        let begun = (self.run.clock)();
        let result = apply(&mut sender, &load.staged.written(), &load.staged.before(), &load.shape);
        let lines = std::mem::take(&mut sender.lines);
        lines.write(&self.run.log, ", all of them in failed.ndjson of the run's folder");
        let seconds = (self.run.clock)().saturating_sub(begun).as_secs_f64();
        (Done { at, applied: sender.done, seconds }, result)
    }
}

/// From where to where tables may be written at once.
fn groups(loads: &[Load<'_>]) -> Vec<(usize, usize)> {
    let mut starts: Vec<usize> = (0..loads.len()).filter(|&at| at == 0 || loads[at].waits).collect();
    starts.push(loads.len());
    starts.windows(2).map(|it| (it[0], it[1])).collect()
}
