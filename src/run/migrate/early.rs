//! A head start: rows go into a target that holds none while the rest of them is still being compared.
//!
//! They are part of one transaction, which is committed when the check has let everything through and is taken back in every other
//! case. So nothing arrives that was not checked, and yet who writes does not wait for who compares. Whatever goes wrong here only
//! means that all rows are written afterwards, by [`apply`](super::apply), which says what is wrong.

use super::apply::{Applied, MayWrite};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Shape},
    schema::Table,
    store::{
        Source,
        about::Fact,
        memory::{Memory, Owned},
        target::{Begin, Changes, Mark, Target},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

/// How many bytes of cells are handed over at once.
const FULL: usize = 512 << 10;
/// How many bytes of cells are written ahead. If the run is killed they have to be written again.
const MOST: u64 = 1 << 30;

/// A target, held by a transaction that is not committed.
pub(super) struct Start {
    pub target: Box<dyn Target>,
    /// What it said when it got ready.
    pub facts: Vec<Fact>,
    tables: BTreeMap<String, Table>,
    /// How many more bytes of cells may be written.
    room: u64,
    /// What was written, by the names of the tables.
    pub written: BTreeMap<String, Ahead>,
}

/// The first rows of a table, written ahead.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ahead {
    pub applied: Applied,
    /// How long it took beyond staging them.
    pub seconds: f64,
}

impl Ahead {
    /// How many rows there are.
    pub(super) fn rows(self) -> u64 {
        self.applied.written.inserted
    }

    /// Adds what was written of the table afterwards.
    pub(super) fn add(&mut self, applied: Applied, seconds: f64) {
        self.applied.add(applied);
        self.seconds += seconds;
    }
}

impl Start {
    /// Holds a target, with the tables that `schema` makes, if it is one that can be held. Before that, `release` is called.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub(super) fn of(
        mut target: Box<dyn Target>,
        (schema, tables): (Option<&str>, Vec<Table>),
        release: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Start>> {
        if !target.hold(schema, release)? {
            return Ok(None);
        }
        let facts = target.begin(&Begin { tables: &tables, disable_indexes: false })?;
        let tables = tables.into_iter().map(|it| (it.name.clone(), it)).collect();
        Ok(Some(Start { target, facts, tables, room: MOST, written: BTreeMap::new() }))
    }

    /// Writes what comes, until nothing does, or enough is written.
    ///
    /// # Errors
    /// If some of it cannot be written. Then all of it has to be taken back.
    pub(super) fn take(&mut self, rows: Receiver<Rows>, run: &str, may_write: &MayWrite<'_>) -> Result<()> {
        for Rows { table, mut rows, back } in rows {
            may_write()?;
            let gone = || Error::new(Kind::Broken, "rows came of a table that is not written to");
            let declared = self.tables.get(table.as_ref()).ok_or_else(gone)?;
            let ahead = self.written.entry(table.to_string()).or_default();
            let (none, batch) = (Batch::new(Arc::clone(rows.shape())), ahead.applied.batches + 1);
            let (updates, deletes, mark) = (&none, &none, Mark { run, batch });
            let written = self.target.write(&Changes { table: declared, inserts: &rows, updates, deletes, mark })?;
            if written.inserted != rows.len() as u64 {
                return Err(Error::new(Kind::Row, "a row is there already"));
            }
            ahead.applied.add(Applied { written, failed: 0, batches: 1, bytes: rows.size() as u64 });
            self.room = self.room.saturating_sub(rows.size() as u64);
            if self.room == 0 {
                break;
            }
            rows.clear();
            // The memory is used again, unless there are no more rows.
            let _ = back.try_send(rows);
        }
        Ok(())
    }

    /// Keeps what was written.
    ///
    /// # Errors
    /// If it cannot be kept; then none of it is there.
    pub(super) fn keep(&mut self, clock: fn() -> Duration) -> Result<()> {
        let begun = clock();
        self.target.keep()?;
        let seconds = clock().saturating_sub(begun).as_secs_f64();
        let all: u64 = self.written.values().map(|it| it.rows()).sum();
        let share = |it: &mut Ahead| it.seconds = seconds * it.rows() as f64 / all.max(1) as f64;
        self.written.values_mut().for_each(share);
        Ok(())
    }
}

/// What stands in for a target that is held: its tables, which have no rows.
///
/// # Errors
/// If it cannot say what it holds.
pub(super) fn without_rows(target: &mut dyn Source) -> Result<Memory> {
    let mut store = Memory::new().of(target.schemas()?);
    for table in target.tables()? {
        store = store.with(table, iter::empty::<[Owned; 0]>());
    }
    Ok(target.notes().into_iter().fold(store, Memory::note))
}

/// Some rows of a table.
pub(super) struct Rows {
    table: Arc<str>,
    rows: Batch,
    /// Where the batch goes once it is empty.
    back: SyncSender<Batch>,
}

/// Where staged rows go besides.
pub(super) struct Onward {
    full: SyncSender<Rows>,
    begun: Mutex<BTreeSet<String>>,
    anew: Arc<AtomicBool>,
}

impl Onward {
    /// Where rows go, where they come from, and whether what came is worth nothing, since some table began anew.
    pub(super) fn new() -> (Onward, Receiver<Rows>, Arc<AtomicBool>) {
        let ((full, rows), anew) = (sync_channel(1), Arc::new(AtomicBool::new(false)));
        (Onward { full, begun: Mutex::default(), anew: Arc::clone(&anew) }, rows, anew)
    }

    /// Where the rows of one table go. Nothing: the table was begun before.
    pub(super) fn table(&self, name: &str, shape: &Arc<Shape>) -> Option<Passing> {
        if !self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
            self.anew.store(true, Ordering::Relaxed);
            return None;
        }
        let ((back, empty), rows) = (sync_channel(1), Batch::new(Arc::clone(shape)));
        Some(Passing { table: name.into(), full: Some(self.full.clone()), rows, back, empty })
    }
}

/// Rows of one table on their way.
pub(super) struct Passing {
    table: Arc<str>,
    /// Nothing, once nobody takes them any more.
    full: Option<SyncSender<Rows>>,
    rows: Batch,
    /// Batches that were written, and are empty.
    back: SyncSender<Batch>,
    empty: Receiver<Batch>,
}

impl Passing {
    /// Takes rows of cells that end in `cells` where `ends` says.
    pub(super) fn take(&mut self, cells: &[u8], ends: &[u32]) {
        if self.full.is_none() {
            return;
        }
        self.rows.push_all(cells, ends);
        if self.rows.size() >= FULL {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let none = self.empty.try_recv().unwrap_or_else(|_| Batch::new(Arc::clone(self.rows.shape())));
        let rows = std::mem::replace(&mut self.rows, none);
        let rows = Rows { table: Arc::clone(&self.table), rows, back: self.back.clone() };
        // Who takes no more has enough, or has failed. What is not written now is written later.
        self.full = self.full.take().filter(|it| it.send(rows).is_ok());
    }

    /// Takes the last rows there are.
    pub(super) fn end(mut self) {
        if !self.rows.is_empty() {
            self.hand_over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::Field,
        store::{self, Options, target},
        value::{Type, Value, cast::Cast},
    };
    use std::thread;

    /// Passes rows of these ids on in frames of ten, with so much room; says how many were written, and what the store holds then.
    fn written(ids: &[i64], room: u64, may_write: &MayWrite<'_>) -> (Result<()>, u64, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("v", Cast::new(Type::Text))];
        let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
        let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);";
        let mut table = Table::new("t");
        table.columns = ["id", "v"].map(|it| crate::schema::Column::new(it, Type::Text)).to_vec();
        let target = target::open("sqlite", &path, &Options::default()).unwrap();
        let mut start = Start::of(target, (Some(schema), vec![table]), &mut || Ok(())).unwrap().unwrap();
        start.room = room;
        let (onward, rows, _) = Onward::new();
        let mut passing = onward.table("t", &shape).unwrap();
        drop(onward);
        let done = thread::scope(|scope| {
            let taking = scope.spawn(|| start.take(rows, "r", may_write));
            for some in ids.chunks(10) {
                let mut batch = Batch::new(Arc::clone(&shape));
                some.iter().for_each(|it| batch.push([Value::Int(*it), Value::Text(&"x".repeat(20_000))]));
                let (mut cells, mut ends) = (Vec::new(), Vec::new());
                for row in batch.rows() {
                    for cell in [row.cell(0), row.cell(1)] {
                        cells.extend_from_slice(cell);
                        ends.push(cells.len() as u32);
                    }
                }
                passing.take(&cells, &ends);
            }
            passing.end();
            taking.join().unwrap()
        });
        let rows = start.written.get("t").map_or(0, |it| it.rows());
        if done.is_ok() {
            start.keep(Duration::default).unwrap();
        }
        drop(start);
        let there = || -> Result<u64> {
            let mut store = store::open("sqlite", &path, &Options::default())?;
            Ok(store.query("SELECT count(*) FROM t")?[0].parse().unwrap())
        };
        (done, rows, there().unwrap_or_default())
    }

    #[test]
    fn as_many_rows_as_there_is_room_for_are_the_first_ones_and_are_kept() {
        let ids: Vec<i64> = (0..100).collect();
        let may = || Ok(());
        // They are handed over 30 at a time, which is more than half a MiB.
        for (room, expect) in [(MOST, 100), (1, 30), (700_000, 60)] {
            let (done, rows, there) = written(&ids, room, &may);
            assert!(done.is_ok());
            assert_eq!((rows, there), (expect, expect), "{room}");
        }
    }

    #[test]
    fn nothing_is_there_after_a_failure() {
        let ids: Vec<i64> = (0..40).chain(0..40).collect();
        let (twice, _, there) = written(&ids, MOST, &|| Ok(()));
        assert_eq!((twice.unwrap_err().kind(), there), (Kind::Row, 0));
        let stopped = || Err(Error::new(Kind::Busy, "another run has the lock"));
        let (stopped, rows, there) = written(&ids, MOST, &stopped);
        assert_eq!((stopped.unwrap_err().kind(), rows, there), (Kind::Busy, 0, 0));
    }
}
