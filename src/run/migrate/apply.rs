//! Staged rows on their way into the target, batch after batch.

use super::pile::Piled;
use crate::{
    disk,
    error::{Error, Kind, Result},
    plan::{Migrate, Plan},
    report::cell as shown,
    row::{Batch, Flow, Row, Rows, Shape},
    run::{
        Run,
        log::{Level, Line, Rows as Lines, Step},
    },
    schema::Table,
    store::target::{Changes, Mark, Room, Target, Written},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use std::{
    fs,
    io::Write,
    ops::Range,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// How batches are sent.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Rows in a batch. Nothing: as the target finds good.
    pub batch_size: Option<usize>,
    /// How long to wait between two batches.
    pub batch_delay: Duration,
    /// How often a batch that could not be written is tried again.
    pub retries: u32,
    /// How long to wait before that at least, doubled each time.
    pub backoff: Duration,
    /// Whether rows that the target refuses are left out.
    pub skip_errors: bool,
}

/// The longest pause before a retry, without what chance adds.
const PAUSE_MAX: Duration = Duration::from_secs(120);

impl Pace {
    /// The pauses before a batch is tried again, as many as there are retries. Each is twice as long as the one before, and up to
    /// as much again by chance, so that runs that failed together do not come back together.
    fn pauses(&self) -> ExponentialBuilder {
        let times = usize::try_from(self.retries).unwrap_or(usize::MAX);
        let first = self.backoff.min(PAUSE_MAX);
        ExponentialBuilder::new().with_min_delay(first).with_max_delay(PAUSE_MAX).with_max_times(times).with_jitter()
    }
}

impl From<&Migrate> for Pace {
    fn from(it: &Migrate) -> Pace {
        let seconds = |it: f64| Duration::try_from_secs_f64(it).unwrap_or(Duration::from_secs(3600));
        Pace {
            batch_size: it.batch_size.and_then(|it| usize::try_from(it).ok()),
            batch_delay: seconds(it.batch_delay),
            retries: u32::try_from(it.retries).unwrap_or(u32::MAX),
            backoff: seconds(it.backoff),
            skip_errors: it.skip_errors,
        }
    }
}

/// What became of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What the target wrote.
    pub written: Written,
    /// Rows that it refused.
    pub failed: u64,
    /// Batches that were sent.
    pub batches: u64,
    /// Bytes of the cells in them.
    pub bytes: u64,
}

impl Applied {
    /// Adds what became of other rows of the table.
    pub(super) fn add(&mut self, other: Applied) {
        self.written.add(other.written);
        self.failed += other.failed;
        self.batches += other.batches;
        self.bytes += other.bytes;
    }
}

/// Hears of every batch that arrived: the table, its number, the rows in it.
pub type Arrived<'a> = dyn FnMut(&str, u64, u64) -> Result<()> + Send + 'a;

/// Whether a run may still write: another one may have taken its lock away.
pub type MayWrite<'a> = dyn Fn() -> Result<()> + Sync + 'a;

/// A value that is shorter is not looked for in what a store says.
const SECRET_MIN: usize = 3;

/// Rows of one table that may wait for others of it.
const LATER_MAX: usize = 10_000;

/// Sends batches of one table, perhaps beside others that send those of the same one.
pub(super) struct Sender<'s, 'a> {
    pub run: &'s Run,
    pub pace: &'s Pace,
    pub target: &'s mut dyn Target,
    pub table: &'s Table,
    /// Under which the target marks what arrived, for this sender alone.
    pub id: &'s str,
    /// How many batches of the table were begun, whoever sends them.
    pub begun: &'s AtomicU64,
    pub arrived: &'s mut Arrived<'a>,
    /// Says before each batch whether this run may still write.
    pub may_write: &'s MayWrite<'s>,
    /// Rows that refer to others of their table, which may come later.
    pub later: Vec<(Load, Error)>,
    /// Where rows go that the target refuses.
    pub failed: PathBuf,
    /// Says which columns are shown nowhere.
    pub plan: &'s Plan,
    /// What is written down about single rows.
    pub lines: Lines,
    pub done: Applied,
}

/// Whether a row of the table may refer to another one.
pub(super) fn refers_to_itself(table: &Table) -> bool {
    let own = |it: &str| it == table.name || table.name.rsplit('.').next() == Some(it);
    table.foreign_keys.iter().any(|it| own(&it.table))
}

/// How much is enough for a batch.
#[derive(Clone, Copy)]
pub(super) struct Enough {
    rows: usize,
    bytes: usize,
}

impl Enough {
    /// For a table whose batches so many senders hold at once.
    pub(super) fn of(pace: &Pace, room: Room, senders: usize) -> Enough {
        let senders = senders.max(1);
        let rows = pace.batch_size.unwrap_or(room.rows / senders).clamp(1, room.rows_max.max(1));
        Enough { rows, bytes: room.bytes_max / senders }
    }

    /// How many batches so many rows are, if each is a small one.
    pub(super) fn batches(self, rows: u64) -> u64 {
        rows.div_ceil(self.rows as u64)
    }

    pub(super) fn is(self, load: &Load) -> bool {
        load.len() >= self.rows || load.size() >= self.bytes
    }
}

/// What goes into one batch.
pub(super) struct Load {
    pub inserts: Batch,
    pub updates: Batch,
    pub deletes: Batch,
}

impl Load {
    pub(super) fn new(shape: &Arc<Shape>) -> Load {
        let batch = || Batch::new(Arc::clone(shape));
        Load { inserts: batch(), updates: batch(), deletes: batch() }
    }

    pub(super) fn len(&self) -> usize {
        self.inserts.len() + self.updates.len() + self.deletes.len()
    }

    pub(super) fn size(&self) -> usize {
        self.inserts.size() + self.updates.size() + self.deletes.size()
    }

    fn clear(&mut self) {
        [&mut self.inserts, &mut self.updates, &mut self.deletes].into_iter().for_each(Batch::clear);
    }

    /// The first half of it and the second.
    fn halves(&self) -> [Load; 2] {
        let (half, mut at) = (self.len() / 2, 0);
        let mut halves = [Load::new(self.inserts.shape()), Load::new(self.inserts.shape())];
        let mut share = |rows: &Batch, side: fn(&mut Load) -> &mut Batch| {
            for row in rows.rows() {
                side(&mut halves[usize::from(at >= half)]).push_row(row);
                at += 1;
            }
        };
        share(&self.inserts, |it| &mut it.inserts);
        share(&self.updates, |it| &mut it.updates);
        share(&self.deletes, |it| &mut it.deletes);
        halves
    }

    /// What a target says that has written all of it.
    fn as_written(&self) -> Written {
        let [inserted, updated, deleted] = [&self.inserts, &self.updates, &self.deletes].map(|it| it.len() as u64);
        Written { inserted, updated, deleted }
    }

    fn only(&self) -> Option<Row<'_>> {
        [&self.inserts, &self.updates, &self.deletes].into_iter().flat_map(Batch::rows).next()
    }
}

impl Sender<'_, '_> {
    /// How much is enough for a batch.
    pub(super) fn enough(&self) -> Enough {
        Enough::of(self.pace, self.target.room(self.table), 1)
    }

    /// Sends batches as long as there are some.
    ///
    /// # Errors
    /// As [`Sender::send`], and if the staged rows cannot be read.
    pub(super) fn send_all(&mut self, loads: &Loads) -> Result<()> {
        while let Some(load) = loads.next() {
            let mut load = load?;
            self.send(&mut load)?;
            loads.give_back(load);
        }
        self.finish()
    }

    /// Sends what there is, and empties it.
    ///
    /// # Errors
    /// If it cannot be written, a row is refused and may not be left out, or somebody asks the run to end.
    pub(super) fn send(&mut self, load: &mut Load) -> Result<()> {
        if load.len() == 0 {
            return Ok(());
        }
        let mut waiting = vec![std::mem::replace(load, Load::new(load.inserts.shape()))];
        while let Some(next) = waiting.pop() {
            match self.attempt(&next) {
                Ok(()) if waiting.is_empty() => *load = next,
                Ok(()) => {}
                Err(it) if it.kind() == Kind::Row && next.len() > 1 => {
                    // The one that is sent next is the one on top.
                    let [first, second] = next.halves();
                    waiting.extend([second, first]);
                }
                Err(it) if it.kind() == Kind::Row && self.may_wait() => {
                    self.later.push((next, it));
                    continue;
                }
                Err(it) if it.kind() == Kind::Row && self.pace.skip_errors => self.refused(&next, &it)?,
                Err(it) => return Err(self.veiled(&next, it).context(format_args!("table `{}`", self.table.name))),
            }
        }
        load.clear();
        if !self.pace.batch_delay.is_zero() {
            self.run.watch.pause(self.pace.batch_delay);
        }
        self.run.watch.go_on()
    }

    /// Sends the rows that had to wait for others, as long as some of them go through.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub(super) fn finish(&mut self) -> Result<()> {
        loop {
            let waiting = std::mem::take(&mut self.later);
            let before = waiting.len();
            for (load, _) in waiting {
                match self.attempt(&load) {
                    Err(it) if it.kind() == Kind::Row => self.later.push((load, it)),
                    done => done.map_err(|it| it.context(format_args!("table `{}`", self.table.name)))?,
                }
            }
            if self.later.is_empty() {
                return Ok(());
            }
            if self.later.len() == before {
                break;
            }
        }
        for (load, error) in std::mem::take(&mut self.later) {
            if !self.pace.skip_errors {
                return Err(self.veiled(&load, error).context(format_args!("table `{}`", self.table.name)));
            }
            self.refused(&load, &error)?;
        }
        Ok(())
    }

    /// Whether a refused row may go through once others of its table are there.
    fn may_wait(&self) -> bool {
        self.later.len() < LATER_MAX && refers_to_itself(self.table)
    }

    /// Sends one batch, again where it may go through later.
    fn attempt(&mut self, load: &Load) -> Result<()> {
        let batch = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let keyless = load.inserts.shape().keyless;
        let (mut pauses, mut lost) = (self.pace.pauses().build(), None);
        loop {
            (self.may_write)()?;
            let error = match lost.take() {
                None => match self.write(batch, load) {
                    Ok(written) => return self.arrived(batch, load, written),
                    Err(error) if error.kind() == Kind::Unsure => {
                        lost = Some(error);
                        continue;
                    }
                    Err(error) if error.kind() == Kind::Busy => error,
                    Err(error) => return Err(error),
                },
                Some(answer) => match self.target.mark(self.id, &self.table.name) {
                    Ok(Some(mark)) if mark >= batch => return self.arrived(batch, load, load.as_written()),
                    Ok(None) if keyless => return Err(answer),
                    // Rows without a key would be there twice, so they are not sent again before this is known.
                    Err(error) if keyless => {
                        lost = Some(answer);
                        error
                    }
                    _ => answer,
                },
            };
            let Some(pause) = pauses.next() else {
                return Err(error.context(format_args!("given up after {} attempts", u64::from(self.pace.retries) + 1)));
            };
            (self.run.tell)(&format!("{}: {error}; trying again", self.table.name));
            let line = Line::new(Level::Warn, Step::Load, format!("{error}; trying again"));
            self.run.log.line(line.of(&self.table.name).with([("batch", batch)]));
            self.run.watch.pause(pause);
            self.run.watch.go_on()?;
        }
    }

    fn write(&mut self, batch: u64, load: &Load) -> Result<Written> {
        let Load { inserts, updates, deletes } = load;
        self.target.write(&Changes { table: self.table, inserts, updates, deletes, mark: Mark { run: self.id, batch } })
    }

    fn arrived(&mut self, batch: u64, load: &Load, written: Written) -> Result<()> {
        self.done.batches += 1;
        self.done.bytes += load.size() as u64;
        self.done.written.add(written);
        self.run.watch.wrote(load.len() as u64);
        let line = Line::new(Level::Debug, Step::Load, "batch arrived").of(&self.table.name);
        self.run.log.line(line.with([("batch", batch), ("rows", load.len() as u64)]));
        (self.arrived)(&self.table.name, batch, load.len() as u64)
    }

    /// Some cells of a row as a JSON object, secrets masked.
    fn object(&self, row: Row<'_>, places: Range<usize>) -> String {
        let shape = row.shape();
        let cell = |place: usize| {
            let name = shape.fields[place].column.as_str();
            (name, shown::cell(row.cell(place), place < shape.key, self.plan.is_secret(&self.table.name, name)))
        };
        shown::object(places.map(cell))
    }

    /// An error about one row without the secrets of it, which a store may repeat.
    fn veiled(&self, load: &Load, error: Error) -> Error {
        let Some(row) = load.only().filter(|_| load.len() == 1) else { return error };
        let (said, kind) = (error.to_string(), error.kind());
        let veiled = self.veil(row, said.clone());
        if veiled == said { error } else { Error::new(kind, veiled) }
    }

    fn veil(&self, row: Row<'_>, said: String) -> String {
        let shape = row.shape();
        let secret = (0..shape.width()).filter(|it| self.plan.is_secret(&self.table.name, &shape.fields[*it].column));
        secret.fold(said, |said, place| {
            let shown = shown::cell(row.cell(place), place < shape.key, false).json;
            let text = serde_json::from_str::<String>(&shown).unwrap_or(shown);
            // What is shorter stands in words that have nothing to do with it.
            if text.len() < SECRET_MIN { said } else { said.replace(&text, "********") }
        })
    }

    /// Notes a row that the target refuses.
    fn refused(&mut self, load: &Load, error: &Error) -> Result<()> {
        let Some(row) = load.only() else { return Ok(()) };
        self.done.failed += 1;
        let reason = self.veil(row, error.to_string());
        let key = self.object(row, 0..row.shape().key);
        let says = format!("refused by the target: {reason}");
        self.lines.add(|| Line::new(Level::Error, Step::Load, says).of(&self.table.name).about(key));
        let line = serde_json::json!({ "reason": reason }).to_string();
        let row = self.object(row, 0..row.shape().width());
        let line = format!("{{\"row\":{row},{}\n", line.trim_start_matches('{'));
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&self.failed);
        file.and_then(|mut it| it.write_all(line.as_bytes()))
            .map_err(|it| disk::failed(&self.failed, "cannot write", &it))
    }
}

/// Rows of a stream, one at a time.
pub(super) struct Walk<R> {
    rows: R,
    batch: Batch,
    at: usize,
}

impl<R: Rows> Walk<R> {
    /// Before the first row.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn new(rows: R) -> Result<Walk<R>> {
        let batch = Batch::new(Arc::clone(rows.shape()));
        let mut walk = Walk { rows, batch, at: 0 };
        walk.rows.fill(&mut walk.batch)?;
        Ok(walk)
    }

    pub(super) fn row(&self) -> Option<Row<'_>> {
        (self.at < self.batch.len()).then(|| self.batch.row(self.at))
    }

    /// The row of that key, if there is one. Keys have to be asked for in their order.
    pub(super) fn at(&mut self, key: &[u8]) -> Result<Option<Row<'_>>> {
        while self.row().is_some_and(|it| it.key() < key) {
            self.next()?;
        }
        Ok(self.row().filter(|it| it.key() == key))
    }

    /// Passes all rows to `each`.
    pub(super) fn each(&mut self, mut each: impl FnMut(Row<'_>) -> Result<Flow>) -> Result<()> {
        while let Some(row) = self.row() {
            if each(row)? == Flow::Stop {
                break;
            }
            self.next()?;
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> Result<()> {
        self.at += 1;
        if self.at >= self.batch.len() && !self.batch.is_empty() {
            self.at = 0;
            self.rows.fill(&mut self.batch)?;
        }
        Ok(())
    }
}

/// Batches of one table, for whoever comes first.
pub(super) struct Loads {
    full: Mutex<Receiver<Result<Load>>>,
    empty: SyncSender<Load>,
}

impl Loads {
    /// The next one. Nothing: there are no more.
    fn next(&self) -> Option<Result<Load>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }

    /// The memory is used again, unless nobody gathers any more.
    fn give_back(&self, load: Load) {
        let _ = self.empty.try_send(load);
    }
}

/// Gathers the staged rows of one table, but the first `ahead` of them, while `send` sends them: those that have a row of the same key
/// in `before` are updates.
///
/// # Errors
/// As `send`, and if the staged rows cannot be read.
pub(super) fn gathered(
    (written, before, ahead): (&Path, &Path, u64),
    shape: &Arc<Shape>,
    enough: Enough,
    send: impl FnOnce(&Loads) -> Result<()>,
) -> Result<()> {
    let (mut rows, olds) = (Walk::new(Piled::open(written, shape)?)?, Walk::new(Piled::open(before, shape)?)?);
    (0..ahead).try_for_each(|_| rows.next())?;
    // One batch is gathered while others are written, and no more than that is held.
    let (full, loads) = sync_channel(0);
    let (empty, spent) = sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            let gathering = Gathering { shape, enough, full: &full, spent };
            if let Err(error) = gathering.gather(rows, olds) {
                let _ = full.send(Err(error));
            }
        });
        // Whoever gathers ends when this goes.
        let loads = Loads { full: Mutex::new(loads), empty };
        send(&loads)
    })
}

/// Staged rows on their way into batches.
struct Gathering<'g> {
    shape: &'g Arc<Shape>,
    enough: Enough,
    full: &'g SyncSender<Result<Load>>,
    /// Batches that were written, and are empty.
    spent: Receiver<Load>,
}

impl Gathering<'_> {
    fn gather(&self, mut rows: Walk<Piled>, mut olds: Walk<Piled>) -> Result<()> {
        let mut load = Load::new(self.shape);
        while let Some(row) = rows.row() {
            // What is updated was there before, in the same order.
            if olds.row().is_some_and(|it| it.key() == row.key()) {
                load.updates.push_row(row);
                olds.next()?;
            } else {
                load.inserts.push_row(row);
            }
            rows.next()?;
            if self.enough.is(&load) {
                // Who takes no more has failed, and says so.
                if self.full.send(Ok(load)).is_err() {
                    return Ok(());
                }
                load = self.spent.try_recv().unwrap_or_else(|_| Load::new(self.shape));
            }
        }
        let _ = self.full.send(Ok(load));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
