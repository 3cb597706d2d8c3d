//! The merge.

use super::{Finding, Side, Sink, Tally};
use crate::{
    error::{Error, Kind, Result},
    row::{Cursor, Misfit, Reject, Row, Rows},
};
use std::cmp::Ordering;

/// Compares two streams of one shape and reports every difference to `sink`, in key order.
///
/// Where the key is all there is to compare, rows are a multiset: two rows on one side and one on the other are one row
/// missing or extra. Otherwise a second row under one key is a duplicate, and the first ones are compared.
///
/// # Errors
/// If a stream or the sink fails, if a stream does not come in order ([`Kind::Order`] for the source, [`Kind::TargetOrder`] for the target), or if not every row was accounted
/// for exactly once ([`Kind::Broken`]).
pub fn compare(source: &mut dyn Rows, target: &mut dyn Rows, table: &str, sink: &mut dyn Sink) -> Result<Tally> {
    let keyless = source.shape().keyless;
    let mut merge = Merge {
        source: Cursor::new(source, format!("the source of `{table}`"), Kind::Order),
        target: Cursor::new(target, format!("the target of `{table}`"), Kind::TargetOrder),
        out: Count { tally: Tally::default(), sink, keyless },
    };
    merge.source.load(&mut |it| merge.out.reject(it))?;
    merge.target.load(&mut |it| merge.out.reject(it))?;
    while merge.step()? {}
    let mut tally = merge.out.tally;
    tally.source_rows = merge.source.read() + tally.rejects;
    tally.target_rows = merge.target.read();
    if !tally.balances() {
        return Err(Error::new(
            Kind::Broken,
            format_args!("rows of `{table}` are not accounted for exactly once ({tally:?}); please report this defect"),
        ));
    }
    Ok(tally)
}

struct Merge<'r, 's> {
    source: Cursor<'r>,
    target: Cursor<'r>,
    out: Count<'s>,
}

/// Counts a finding and passes it on.
struct Count<'s> {
    tally: Tally,
    sink: &'s mut dyn Sink,
    keyless: bool,
}

impl Merge<'_, '_> {
    /// Decides about the next row of one side, or of both. False: both are at their end.
    #[inline]
    fn step(&mut self) -> Result<bool> {
        if !self.out.keyless {
            self.duplicates()?;
        }
        let out = &mut self.out;
        let order = match (self.source.row(), self.target.row()) {
            (None, None) => return Ok(false),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Most rows are alike, and then so are their keys.
            (Some(source), Some(target)) if source.compared() == target.compared() => Ordering::Equal,
            (Some(source), Some(target)) => source.key().cmp(target.key()),
        };
        match (order, self.source.row(), self.target.row()) {
            (Ordering::Less, Some(source), _) => out.missing(source)?,
            (Ordering::Greater, _, Some(target)) => out.extra(target)?,
            (Ordering::Equal, Some(source), Some(target)) => out.pair(source, target)?,
            _ => {}
        }
        if order != Ordering::Greater {
            self.source.advance(&mut |it| out.reject(it))?;
        }
        if order != Ordering::Less {
            self.target.advance(&mut |it| out.reject(it))?;
        }
        Ok(true)
    }

    #[inline]
    fn duplicates(&mut self) -> Result<()> {
        let out = &mut self.out;
        for (side, cursor) in [(Side::Source, &mut self.source), (Side::Target, &mut self.target)] {
            while let Some(row) = cursor.row().filter(|_| cursor.repeats()) {
                out.duplicate(side, row)?;
                cursor.advance(&mut |it| out.reject(it))?;
            }
        }
        Ok(())
    }
}

impl Count<'_> {
    #[inline]
    fn pair(&mut self, source: Row<'_>, target: Row<'_>) -> Result<()> {
        if source.compared() != target.compared() {
            self.tally.changed += 1;
            self.sink.finding(Finding::Changed { source, target })?;
        } else {
            self.tally.same += 1;
            if self.keyless {
                self.sink.same(source)?;
            }
            if source.bytes() != target.bytes() {
                self.sink.finding(Finding::Tolerated { source, target })?;
            }
        }
        if source.is_odd() || target.is_odd() {
            self.odd(Side::Source, source, Some(target))?;
            self.odd(Side::Target, target, Some(source))?;
        }
        Ok(())
    }

    fn missing(&mut self, row: Row<'_>) -> Result<()> {
        self.tally.missing += 1;
        self.sink.finding(Finding::Missing(row))?;
        self.odd(Side::Source, row, None)
    }

    fn extra(&mut self, row: Row<'_>) -> Result<()> {
        self.tally.extra += 1;
        self.sink.finding(Finding::Extra(row))?;
        self.odd(Side::Target, row, None)
    }

    fn duplicate(&mut self, side: Side, row: Row<'_>) -> Result<()> {
        match side {
            Side::Source => self.tally.source_duplicates += 1,
            Side::Target => self.tally.target_duplicates += 1,
        }
        self.sink.finding(Finding::Duplicate { side, row })?;
        self.odd(side, row, None)
    }

    fn reject(&mut self, reject: &Reject) -> Result<()> {
        self.tally.rejects += 1;
        self.sink.finding(Finding::Reject(reject))
    }

    /// A cell that does not fit is a finding where its type is enforced, or where the other side has another one.
    ///
    /// A store such as SQLite lets any value into any column: the same misfit on both sides has lost nothing.
    fn odd(&mut self, side: Side, row: Row<'_>, other: Option<Row<'_>>) -> Result<()> {
        if !row.is_odd() {
            return Ok(());
        }
        for place in 0..row.shape().compared {
            let agreed = other.is_none_or(|it| it.cell(place) == row.cell(place));
            let counts = match row.shape().fields[place].misfit {
                Misfit::Always => true,
                Misfit::Disputed => !agreed,
                Misfit::Never => false,
            };
            if counts && row.is_odd_at(place) {
                self.tally.invalid += 1;
                self.tally.source_invalid += u64::from(side == Side::Source);
                self.sink.finding(Finding::Invalid { side, row, place })?;
            }
        }
        Ok(())
    }
}
