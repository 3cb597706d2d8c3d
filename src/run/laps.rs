//! Which part of the work takes how long: one thread, cut into laps.
//!
//! The clock is looked at once or twice a batch, never once a row.

use crate::{
    error::Result,
    row::{Batch, Feed, Flow, Rows, Shape},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long the process has run, as whoever calls measures it.
pub type Clock = fn() -> Duration;

/// A part of the work of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Values are read from the store and become cells.
    Read,
    /// Rows are mapped, and the keys of constraints collected.
    Map,
    /// Rows are put into order.
    Sort,
    /// Rows are compared, and what is found is kept.
    Compare,
    /// Others have to do something first.
    Wait,
}

/// One thread's time.
#[derive(Debug)]
pub(super) struct Laps {
    clock: Clock,
    /// When the lap before ended, in nanoseconds. Only one thread counts; the streams that it asks may belong to any.
    last: AtomicU64,
    spent: [AtomicU64; 5],
}

impl Laps {
    pub(super) fn new(clock: Clock) -> Laps {
        Laps { clock, last: AtomicU64::new(nanos(clock())), spent: Default::default() }
    }

    /// What went by since the lap before was spent on `part`.
    pub(super) fn end(&self, part: Part) {
        let now = nanos((self.clock)());
        let before = self.last.swap(now, Ordering::Relaxed);
        self.spent[part as usize].fetch_add(now.saturating_sub(before), Ordering::Relaxed);
    }

    /// The seconds of a part.
    pub(super) fn seconds(&self, part: Part) -> f64 {
        Duration::from_nanos(self.spent[part as usize].load(Ordering::Relaxed)).as_secs_f64()
    }
}

fn nanos(it: Duration) -> u64 {
    u64::try_from(it.as_nanos()).unwrap_or(u64::MAX)
}

/// Stands behind a store: what goes by until a batch comes is reading.
pub(super) struct Behind<'f> {
    pub(super) laps: &'f Laps,
    pub(super) next: &'f mut dyn Feed,
}

impl Feed for Behind<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.laps.end(Part::Read);
        let flow = self.next.take(batch);
        self.laps.end(Part::Map);
        flow
    }
}

/// Rows that somebody compares, who waits while they are fetched.
pub(super) struct Fetched<'l, R> {
    pub(super) laps: &'l Laps,
    pub(super) rows: R,
}

impl<R: Rows> Rows for Fetched<'_, R> {
    fn shape(&self) -> &Arc<Shape> {
        self.rows.shape()
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        self.laps.end(Part::Compare);
        let filled = self.rows.fill(batch);
        self.laps.end(Part::Wait);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_time_belongs_to_some_part() {
        static TICKS: AtomicU64 = AtomicU64::new(0);
        let laps = Laps::new(|| Duration::from_secs(TICKS.fetch_add(1, Ordering::Relaxed)));
        for part in [Part::Read, Part::Map, Part::Read, Part::Wait] {
            laps.end(part);
        }
        let parts = [Part::Read, Part::Map, Part::Sort, Part::Compare, Part::Wait];
        assert_eq!(parts.map(|it| laps.seconds(it)), [2.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
