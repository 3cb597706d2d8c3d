//! `optimize`: how large batches should be, from what is measured without harm and from what is known of the target.
//!
//! Reading is measured on some rows of each table. Writing is measured only where somebody asks for it and the target is a
//! file: into a scratch file beside it, which is gone afterwards. The target itself is never written to.

use super::Run;
use crate::{
    error::Result,
    row::{Batch, Feed, Field, Flow, Shape},
    schema::{Column, Table},
    snapshot,
    store::{
        Source,
        target::{Begin, Changes, Mark, Room, Target},
    },
    value::{Type, Value, cast::Cast},
};
use std::{sync::Arc, time::Duration};

/// Rows in a batch that are tried, each ten times the one before and the largest as large as targets like; no more than there
/// are to write.
const SIZES: [usize; 4] = [100, 1_000, 10_000, 25_000];

/// A size that is this much slower than the best one is not worth its memory less, as clocks and disks differ by as much.
const AS_GOOD: f64 = 0.9;

/// Bytes of the rows that are written for one size of batches at most.
const WRITE_MAX: usize = 16 << 20;

/// Bytes of one of them at most.
const ROW_MAX: usize = 1 << 20;

/// What reading a part of a table took.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The table.
    pub table: String,
    /// Rows that were read.
    pub rows: u64,
    /// Whether these are all.
    pub whole: bool,
    /// Rows that there are, as far as is known.
    pub rows_about: Option<u64>,
    /// Bytes of their cells.
    pub bytes: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// What writing batches of one size took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Write {
    /// Rows in a batch.
    pub batch: usize,
    /// Rows that were written.
    pub rows: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Read {
    /// Bytes of a row.
    pub fn average(&self) -> u64 {
        self.bytes.checked_div(self.rows).unwrap_or(0)
    }
}

impl Write {
    /// Rows a second; nothing, where no time went by.
    pub fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.rows as f64 / self.seconds)
    }
}

/// Reads `most` rows of a table, or some more: a store hands over whole batches.
///
/// # Errors
/// If the store fails, or somebody asks the run to end.
pub fn read(run: &Run, store: &mut dyn Source, table: &Table, most: u64) -> Result<Read> {
    let shape = Shape { key: 0, keyless: false, ..Shape::clone(&snapshot::shape(table)) };
    let mut some = Sample { run, most, rows: 0, bytes: 0, whole: true };
    let begun = (run.clock)();
    store.scan(table, &Arc::new(shape), &mut some)?;
    let seconds = since(run, begun);
    let Sample { rows, bytes, whole, .. } = some;
    Ok(Read { table: table.name.clone(), rows, whole, rows_about: table.rows_about, bytes, seconds })
}

struct Sample<'r> {
    run: &'r Run,
    most: u64,
    rows: u64,
    bytes: u64,
    whole: bool,
}

impl Feed for Sample<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.run.watch.read(batch.len() as u64)?;
        self.rows += batch.len() as u64;
        self.bytes += batch.size() as u64;
        batch.clear();
        if self.rows < self.most {
            return Ok(Flow::Continue);
        }
        self.whole = false;
        Ok(Flow::Stop)
    }
}

fn since(run: &Run, begun: Duration) -> f64 {
    (run.clock)().saturating_sub(begun).as_secs_f64()
}

/// Writes rows of two columns, of `bytes` each and 1 MiB at most, in batches of several sizes. `scratch` opens a target that is
/// there for nothing else, a new one for each size.
///
/// # Errors
/// If it cannot be written to, or somebody asks the run to end.
pub fn write(run: &Run, scratch: &dyn Fn(&Table) -> Result<Box<dyn Target>>, bytes: u64) -> Result<Vec<Write>> {
    let mut table = Table::new("probe");
    table.columns = vec![Column::new("id", Type::Int), Column::new("value", Type::Text)];
    table.key = vec![0];
    let fields = table.columns.iter().map(|it| Field::new(it.name.as_str(), Cast::new(it.ty))).collect();
    let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
    let (row, rows, sizes) = measures(bytes);
    let (text, mut measured) = ("x".repeat(row), Vec::new());
    for batch in sizes {
        let mut target = scratch(&table)?;
        let room = target.room(&table);
        if batch > room.rows_max || batch * text.len() > room.bytes_max {
            break;
        }
        target.begin(&Begin { tables: std::slice::from_ref(&table), disable_indexes: false })?;
        let begun = (run.clock)();
        let written = fill(run, target.as_mut(), (&table, &shape), &text, (rows as u64, batch))?;
        target.end()?;
        measured.push(Write { batch, rows: written, seconds: since(run, begun) });
    }
    Ok(measured)
}

/// How many bytes of that many a row gets, how many rows there are to write, and in batches of which sizes.
fn measures(bytes: u64) -> (usize, usize, Vec<usize>) {
    let row = usize::try_from(bytes).unwrap_or(ROW_MAX).clamp(1, ROW_MAX);
    let rows = (WRITE_MAX / row).min(SIZES[SIZES.len() - 1]);
    let mut sizes = SIZES.map(|it| it.min(rows)).to_vec();
    sizes.dedup();
    (row, rows, sizes)
}

/// Writes so many rows in batches of that size, but no more than 20 batches. How many rows they were.
fn fill(
    run: &Run,
    target: &mut dyn Target,
    (table, shape): (&Table, &Arc<Shape>),
    text: &str,
    (rows, batch): (u64, usize),
) -> Result<u64> {
    // A file that is made anew with each batch would take long with many small ones, and few tell as much.
    let (rows, nothing) = (rows.min(20 * batch as u64), Batch::new(Arc::clone(shape)));
    let (mut inserts, mut number, mut written) = (Batch::new(Arc::clone(shape)), 0, 0);
    while written < rows {
        run.watch.read(0)?;
        inserts.clear();
        while inserts.len() < batch && written + (inserts.len() as u64) < rows {
            inserts.push([Value::Int((written + inserts.len() as u64) as i64), Value::Text(text)]);
        }
        number += 1;
        let mark = Mark { run: "probe", batch: number };
        target.write(&Changes { table, inserts: &inserts, updates: &nothing, deletes: &nothing, mark })?;
        written += inserts.len() as u64;
    }
    Ok(written)
}

/// The size of batches to use: the smallest that was as good as the best, where that was measured; else what is good for the
/// target. Never more rows of `average` bytes than the target takes.
pub fn batch_size(room: &Room, average: u64, measured: &[Write]) -> usize {
    let fit = room.bytes_max.checked_div(usize::try_from(average).unwrap_or(usize::MAX)).unwrap_or(usize::MAX);
    let best = measured.iter().filter_map(Write::per_second).fold(0.0, f64::max);
    let good = measured.iter().find(|it| it.per_second().is_some_and(|it| it >= best * AS_GOOD));
    good.map_or(room.rows, |it| it.batch).min(room.rows_max).min(fit).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { rows: 500, rows_max: 20_000, bytes_max: 1 << 20 };

    fn took(batch: usize, rows: u64, seconds: f64) -> Write {
        Write { batch, rows, seconds }
    }

    #[test]
    fn what_is_written_to_measure_is_bounded() {
        let check = |bytes: u64, expect: (usize, usize, &[usize])| {
            let (row, rows, sizes) = measures(bytes);
            assert_eq!((row, rows, sizes.as_slice()), expect, "{bytes}");
            assert!(row * rows <= WRITE_MAX);
        };
        check(0, (1, 25_000, &SIZES));
        check(1000, (1000, 16_777, &[100, 1_000, 10_000, 16_777]));
        check(100 << 10, (100 << 10, 163, &[100, 163]));
        check(u64::MAX, (1 << 20, 16, &[16]));
    }

    #[test]
    fn the_smallest_batch_that_is_as_good_as_the_best() {
        let check = |average, measured: &[Write], expect| {
            assert_eq!(batch_size(&ROOM, average, measured), expect, "{average} {measured:?}");
        };
        check(0, &[], 500);
        check(100, &[], 500);
        check(10_000, &[], 104);
        check(10 << 20, &[], 1);
        let slow = took(100, 1000, 1.0);
        check(10, &[slow, took(1000, 10_000, 1.0), took(10_000, 10_500, 1.0)], 1000);
        check(10, &[slow, took(1000, 2000, 1.0), took(10_000, 10_000, 1.0)], 10_000);
        check(10, &[slow, took(25_000, 25_000, 1.0)], 20_000);
        check(10, &[took(100, 1000, 0.0)], 500);
    }
}
