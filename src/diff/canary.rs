//! Canaries: differences that are planted in a run and that the comparer has to find.
//!
//! Behind the last row of both streams come rows whose keys no store can hold: one pair for each compared cell, alike but for
//! that cell, one row for the source alone, one for the target alone. They are copies of a real row, pass through the same
//! merge, and are taken out of the counts again.

use super::{Finding, Side, Sink, Tally, cells};
use crate::{
    error::Result,
    row::{Batch, CANARY_TAG, Row, Rows, Shape},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// A stream with canaries behind its last row.
pub struct Planted<'r> {
    rows: &'r mut dyn Rows,
    side: Side,
    /// The row that both sides copy: the last one of the side that ends first.
    pattern: Arc<Mutex<Option<Batch>>>,
    last: Batch,
    done: bool,
}

/// Wraps both streams of a comparison.
pub fn plant<'r>(source: &'r mut dyn Rows, target: &'r mut dyn Rows) -> [Planted<'r>; 2] {
    let pattern = Arc::new(Mutex::new(None));
    [(source, Side::Source), (target, Side::Target)].map(|(rows, side)| {
        let last = Batch::new(Arc::clone(rows.shape()));
        Planted { rows, side, pattern: Arc::clone(&pattern), last, done: false }
    })
}

impl Rows for Planted<'_> {
    fn shape(&self) -> &Arc<Shape> {
        self.rows.shape()
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        if self.done {
            batch.clear();
            return Ok(());
        }
        self.rows.fill(batch)?;
        if let Some(last) = batch.len().checked_sub(1) {
            self.last.clear();
            self.last.push_row(batch.row(last));
        }
        if batch.is_end() {
            self.done = true;
            self.append(batch);
        }
        Ok(())
    }
}

impl Planted<'_> {
    fn append(&self, batch: &mut Batch) {
        let mut pattern = self.pattern.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let pattern = pattern.get_or_insert_with(|| {
            let mut pattern = self.last.clone();
            if pattern.is_empty() {
                let nulls = vec![crate::value::Value::Null; self.shape().width()];
                pattern.push(nulls);
            }
            pattern
        });
        let shape = Arc::clone(self.shape());
        for place in shape.key..shape.compared {
            let changed = (self.side == Side::Target).then_some(place);
            bird(pattern.row(0), place as u16, changed, batch);
        }
        let alone = match self.side {
            Side::Source => MISSING,
            Side::Target => EXTRA,
        };
        bird(pattern.row(0), alone, None, batch);
    }
}

/// Numbers of the canaries that stand on one side only. Those of pairs are the places of their changed cells.
const MISSING: u16 = u16::MAX - 1;
const EXTRA: u16 = u16::MAX;

/// Appends a copy of `pattern` with a planted key and, at `changed`, a planted cell.
fn bird(pattern: Row<'_>, number: u16, changed: Option<usize>, batch: &mut Batch) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for place in 0..pattern.shape().width() {
        if place == 0 {
            bytes.push(CANARY_TAG);
            bytes.extend_from_slice(&number.to_be_bytes());
        } else if changed == Some(place) {
            bytes.push(CANARY_TAG);
        } else {
            bytes.extend_from_slice(pattern.cell(place));
        }
        ends.push(bytes.len() as u32);
    }
    batch.push_cells(&bytes, ends.into_iter(), false);
}

/// Keeps the canaries from the sink behind it and remembers which ones came.
pub struct Watch<'s> {
    sink: &'s mut dyn Sink,
    caught: BTreeSet<u16>,
}

impl<'s> Watch<'s> {
    /// In front of `sink`.
    pub fn new(sink: &'s mut dyn Sink) -> Watch<'s> {
        Watch { sink, caught: BTreeSet::new() }
    }

    /// Takes the planted rows out of `tally`. What comes back names a canary that was not caught.
    pub fn settle(self, shape: &Shape, tally: &mut Tally) -> Option<String> {
        let pairs = shape.key..shape.compared;
        let changed = pairs.clone().filter(|&it| self.caught.contains(&(it as u16))).count() as u64;
        tally.source_rows -= pairs.len() as u64 + 1;
        tally.target_rows -= pairs.len() as u64 + 1;
        tally.changed -= changed;
        tally.same = tally.same.saturating_sub(pairs.len() as u64 - changed);
        tally.missing -= u64::from(self.caught.contains(&MISSING));
        tally.extra -= u64::from(self.caught.contains(&EXTRA));
        let missed = pairs.into_iter().find(|&it| !self.caught.contains(&(it as u16)));
        match missed {
            Some(place) => Some(format!("a changed cell of `{}`", shape.fields[place].column)),
            None if !self.caught.contains(&MISSING) => Some("a missing row".to_owned()),
            None if !self.caught.contains(&EXTRA) => Some("an extra row".to_owned()),
            None => None,
        }
    }
}

impl Sink for Watch<'_> {
    fn finding(&mut self, finding: Finding<'_>) -> Result<()> {
        let number = match finding {
            Finding::Changed { source, target } if planted(source).is_some() => {
                let mut places = cells::differing(source, target, 0..source.shape().compared);
                places
                    .next()
                    .filter(|&it| planted(source) == Some(it as u16) && places.next().is_none())
                    .map(|it| it as u16)
            }
            Finding::Missing(row) if planted(row).is_some() => planted(row).filter(|&it| it == MISSING),
            Finding::Extra(row) if planted(row).is_some() => planted(row).filter(|&it| it == EXTRA),
            _ => return self.sink.finding(finding),
        };
        self.caught.extend(number);
        Ok(())
    }

    fn same(&mut self, row: Row<'_>) -> Result<()> {
        if planted(row).is_some() { Ok(()) } else { self.sink.same(row) }
    }
}

/// The number of a planted row.
fn planted(row: Row<'_>) -> Option<u16> {
    match row.key() {
        [CANARY_TAG, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}
