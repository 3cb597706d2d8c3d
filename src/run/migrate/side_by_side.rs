//! Staged tables on their way into the target: one after the other, or where the target can, several at once and one through several
//! connections.

use super::{
    apply::{Applied, Arrived, Enough, Loads, MayWrite, Pace, Sender, gathered, refers_to_itself},
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
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

/// A table that has rows to write.
pub(super) struct Load<'l> {
    /// As the target declares it.
    pub table: &'l Table,
    /// The rows.
    pub staged: &'l Staged,
    /// What is written of them already: the first rows that are inserted.
    pub ahead: Applied,
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
    /// Connections that write at once, at most.
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

/// Why writing ended, for everybody who writes: what one cannot do ends the others too, before their next batch.
#[derive(Default)]
struct End {
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl End {
    fn has_come(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// What comes after the first failure only follows from it.
    fn note(&self, result: Result<()>) {
        if let Err(error) = result
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

impl Writing<'_> {
    /// Writes all of them, parents before their children: what became of each that was begun, in their order, and the error that
    /// ended it.
    pub(super) fn all(&self, loads: &[Load<'_>], target: &mut dyn Target) -> (Vec<Done>, Result<()>) {
        let mut more = Vec::new();
        let wanted = |it: Range<usize>| (self.wanted(&loads[it.clone()], target), it);
        let groups: Vec<(usize, Range<usize>)> = groups(loads).into_iter().map(wanted).collect();
        let most = groups.iter().map(|it| it.0).max().unwrap_or_default();
        while more.len() + 1 < most {
            // With fewer connections it only takes longer.
            let Ok(Some(again)) = target.again() else { break };
            more.push(again);
        }
        let (done, end) = (Mutex::new(Vec::new()), End::default());
        for (wanted, group) in groups {
            if end.has_come() {
                break;
            }
            if group.len() == 1 && wanted > 1 {
                let one = self.one(group.start, &loads[group.start], (&mut *target, &mut more), &end);
                done.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                continue;
            }
            let next = AtomicUsize::new(group.start);
            let work = |target: &mut dyn Target| {
                while !end.has_come() {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(load) = loads.get(at).filter(|_| at < group.end) else { break };
                    let one = self.one(at, load, (&mut *target, &mut []), &end);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            };
            thread::scope(|scope| {
                for target in more.iter_mut().take(group.len().saturating_sub(1)) {
                    scope.spawn(|| work(target.as_mut()));
                }
                work(&mut *target);
            });
        }
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|it: &Done| it.at);
        (done, end.error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err))
    }

    /// How many connections a group is worth: as many as there may be, if it is one table to which several may write.
    fn wanted(&self, group: &[Load<'_>], target: &dyn Target) -> usize {
        let batches = |it: &Load<'_>| {
            let counts = it.staged.counts;
            let rows = (counts.insert + counts.update).saturating_sub(it.ahead.written.inserted);
            Enough::of(self.pace, target.room(it.table), 1).batches(rows)
        };
        // A batch is written before another connection is there.
        if group.iter().all(|it| batches(it) <= 1) {
            return 1;
        }
        let [load] = group else { return self.concurrency.min(group.len()) };
        // Nothing in the table has to come before anything else.
        let unordered = load.staged.counts.update == 0 && !refers_to_itself(load.table) && target.may_share(load.table);
        if unordered && self.pace.batch_delay.is_zero() { self.concurrency } else { 1 }
    }

    /// Writes one table through all of these.
    fn one(
        &self,
        at: usize,
        load: &Load<'_>,
        (target, more): (&mut dyn Target, &mut [Box<dyn Target>]),
        end: &End,
    ) -> Done {
        let begun = (self.run.clock)();
        let enough = Enough::of(self.pace, target.room(load.table), 1 + more.len());
        let (batches, applied) = (AtomicU64::new(load.ahead.batches), Mutex::new(Applied::default()));
        let (files, ahead) = ((load.staged.written(), load.staged.before()), load.ahead.written.inserted);
        let result = gathered((&files.0, &files.1, ahead), &load.shape, enough, |loads| {
            let send = |place: usize, target: &mut dyn Target| {
                // Each has marks of its own: what one has begun says nothing about what another one has.
                let id = if place == 0 { self.id.to_owned() } else { format!("{} beside {place}", self.id) };
                let done = self.send(load, (&id, target), &batches, loads, end);
                applied.lock().unwrap_or_else(PoisonError::into_inner).add(done);
            };
            thread::scope(|scope| {
                for (target, place) in more.iter_mut().zip(1..) {
                    let send = &send;
                    scope.spawn(move || send(place, target.as_mut()));
                }
                send(0, target);
            });
            Ok(())
        });
        end.note(result);
        let seconds = (self.run.clock)().saturating_sub(begun).as_secs_f64();
        Done { at, applied: applied.into_inner().unwrap_or_else(PoisonError::into_inner), seconds }
    }

    /// Sends batches of one table to one target, until there are none or writing ends.
    fn send(
        &self,
        load: &Load<'_>,
        (id, target): (&str, &mut dyn Target),
        begun: &AtomicU64,
        loads: &Loads,
        end: &End,
    ) -> Applied {
        let may_write = || match end.has_come() {
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
            id,
            begun,
            arrived: &mut arrived,
            may_write: &may_write,
            later: Vec::new(),
            failed: load.staged.folder.join("failed.ndjson"),
            plan: self.plan,
            lines: Lines::default(),
            done: Applied::default(),
        };
        end.note(sender.send_all(loads));
        let lines = std::mem::take(&mut sender.lines);
        lines.write(&self.run.log, ", all of them in failed.ndjson of the run's folder");
        sender.done
    }
}

/// From where to where tables may be written at once.
fn groups(loads: &[Load<'_>]) -> Vec<Range<usize>> {
    let mut starts: Vec<usize> = (0..loads.len()).filter(|&at| at == 0 || loads[at].waits).collect();
    starts.push(loads.len());
    starts.windows(2).map(|it| it[0]..it[1]).collect()
}
