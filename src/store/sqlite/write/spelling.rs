//! What stands for the cells of rows, worked out on a thread of its own while SQLite takes those before them.
//!
//! SQLite writes with one thread, which is what a large run waits for.

use super::ready::Ready;
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Row},
};
use rusqlite::types::ValueRef;
use std::{ops::Range, sync::mpsc::sync_channel, thread};

/// So many rows are handed over at once; fewer are not worth a thread.
const ROWS: usize = 128;
/// How many times as many may wait.
const DEPTH: usize = 16;

/// Some rows as their columns keep them.
struct Spelling {
    /// Of each row whether it may be inserted without looking whether it is there.
    guarded: Vec<bool>,
    /// The cells of those rows.
    cells: Vec<Spelt>,
    /// The texts and bytes of the cells.
    bytes: Vec<u8>,
}

/// One cell. Texts and bytes begin where those before them end.
#[derive(Clone, Copy)]
enum Spelt {
    Null,
    Integer(i64),
    Real(f64),
    Text(usize),
    Blob(usize),
    /// It is not plain what stands for it.
    Unclear,
}

impl Spelling {
    fn of(ready: &Ready, rows: &Batch, range: Range<usize>) -> Spelling {
        let cells = Vec::with_capacity(range.len() * ready.inserted.len());
        let mut out = Spelling { guarded: Vec::with_capacity(range.len()), cells, bytes: Vec::new() };
        let (mut scratch, mut text) = (Vec::new(), Vec::new());
        for row in range.map(|it| rows.row(it)) {
            let guarded = ready.guards(row);
            out.guarded.push(guarded);
            for &field in ready.inserted.iter().filter(|_| guarded) {
                let (column, cast) = (&ready.columns[field], &ready.shape.fields[field].cast);
                let words = column.words(row.cell(field), field < ready.shape.key, cast);
                let spelt = words.or_else(|| column.plain(row.value(field, &mut scratch), cast, &mut text));
                let cell = out.keep(spelt);
                out.cells.push(cell);
            }
        }
        out
    }

    fn keep(&mut self, value: Option<ValueRef<'_>>) -> Spelt {
        let mut end = |bytes: &[u8]| {
            self.bytes.extend_from_slice(bytes);
            self.bytes.len()
        };
        match value {
            None => Spelt::Unclear,
            Some(ValueRef::Null) => Spelt::Null,
            Some(ValueRef::Integer(it)) => Spelt::Integer(it),
            Some(ValueRef::Real(it)) => Spelt::Real(it),
            Some(ValueRef::Text(it)) => Spelt::Text(end(it)),
            Some(ValueRef::Blob(it)) => Spelt::Blob(end(it)),
        }
    }

    /// The cells in turn. Nothing: it is not plain what stands for one.
    fn values(&self) -> impl Iterator<Item = Option<ValueRef<'_>>> {
        let mut start = 0;
        self.cells.iter().map(move |cell| {
            let mut until = |end: usize| &self.bytes[std::mem::replace(&mut start, end)..end];
            Some(match *cell {
                Spelt::Null => ValueRef::Null,
                Spelt::Integer(it) => ValueRef::Integer(it),
                Spelt::Real(it) => ValueRef::Real(it),
                Spelt::Text(end) => ValueRef::Text(until(end)),
                Spelt::Blob(end) => ValueRef::Blob(until(end)),
                Spelt::Unclear => return None,
            })
        })
    }
}

/// Passes each row to `each` that may be inserted without looking whether it is there, with as many values as fields are inserted, all
/// of which have to be taken. Nothing in place of a value: it is not plain what stands for the cell. The other rows are given back.
///
/// # Errors
/// As `each`.
pub(super) fn each_spelt<'r>(
    ready: &Ready,
    rows: &'r Batch,
    mut each: impl FnMut(Row<'r>, &mut dyn Iterator<Item = Option<ValueRef<'_>>>) -> Result<()>,
) -> Result<Vec<Row<'r>>> {
    let mut unguarded = Vec::new();
    let mut pass = |range: Range<usize>, spelling: &Spelling| {
        let mut values = spelling.values();
        for (row, &guarded) in range.map(|it| rows.row(it)).zip(&spelling.guarded) {
            match guarded {
                true => each(row, &mut values)?,
                false => unguarded.push(row),
            }
        }
        Ok(())
    };
    let ranges = || (0..rows.len()).step_by(ROWS).map(|from| from..rows.len().min(from + ROWS));
    if rows.len() <= ROWS {
        pass(0..rows.len(), &Spelling::of(ready, rows, 0..rows.len()))?;
        return Ok(unguarded);
    }
    thread::scope(|scope| {
        let (spelt, take) = sync_channel(DEPTH);
        scope.spawn(move || {
            for range in ranges() {
                // Who takes no more has failed, and says so.
                if spelt.send(Spelling::of(ready, rows, range)).is_err() {
                    return;
                }
            }
        });
        ranges().try_for_each(|range| {
            let died = |_| Error::new(Kind::Broken, "the thread that spelt values ended without saying why");
            pass(range, &take.recv().map_err(died)?)
        })
    })?;
    Ok(unguarded)
}
