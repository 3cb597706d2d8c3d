//! The verbs: each is some wiring over the same merge.

pub mod analyze;
pub mod around;
pub mod backup;
pub mod capture;
pub mod checks;
mod command;
mod constraints;
mod declared;
pub mod export;
pub mod clear;
pub mod fields;
pub mod ids;
mod index;
pub mod init;
mod laps;
pub mod log;
pub mod migrate;
pub mod optimize;
mod pipeline;
pub mod prepare;
mod recheck;
mod selection;
pub mod state;
mod table;
pub mod show;
pub mod validate;
pub mod verify;

pub use laps::Clock;
pub use table::MakeProgram;

use crate::{error::Result, sort::Budget};
use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

/// What every verb is given: limits, and the way in and out while it runs.
#[derive(Clone, Debug)]
pub struct Run {
    /// Bytes to hold in memory for sorting and for constraints.
    pub memory: usize,
    /// Where temporary files go.
    pub scratch: PathBuf,
    /// Threads that may read. Each table that is compared takes two.
    pub threads: usize,
    /// Examples of findings kept for each table.
    pub limit: usize,
    /// How far it is, and whether to stop.
    pub watch: Arc<Watch>,
    /// How often to look again at what differs.
    pub recheck: Recheck,
    /// Where a sentence about what happens now goes, for people who wait.
    pub tell: fn(&str),
    /// Measures how long things take. What comes of it is said apart from what is found.
    pub clock: Clock,
    /// Where what happens is written down.
    pub log: log::Log,
}

/// How often to look again at the rows that differ, while they are still on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recheck {
    /// Looks after the first one, at most.
    pub rounds: u32,
    /// How long to wait before each.
    pub delay: Duration,
}

/// Seen from outside while a verb runs.
#[derive(Debug, Default)]
pub struct Watch {
    /// How often somebody has asked to stop.
    stops: AtomicU32,
    /// Wakes who waits when somebody asks.
    waiting: (Mutex<()>, Condvar),
    rows: AtomicU64,
    expected: AtomicU64,
    /// The stages that ended, and the one that goes on, whose counts are those above.
    stages: Mutex<(Vec<Progress>, &'static str)>,
}

/// How far a verb is with one of its stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its name; empty where the verb has no stages.
    pub stage: &'static str,
    /// Rows read or written so far, on both sides.
    pub rows: u64,
    /// About how many there will be, 0 where nobody knows.
    pub expected: u64,
    /// Nothing more of it comes.
    pub ended: bool,
}

impl Progress {
    /// About how many rows there will be. Nothing, where nobody knows, or where there are more already.
    pub fn total(&self) -> Option<u64> {
        Some(self.expected).filter(|it| *it > 0 && *it >= self.rows)
    }
}

impl Run {
    /// Within so many bytes of memory: one table at a time, up to 100 examples of each, one look, no time and no log.
    pub fn new(memory: usize, scratch: PathBuf) -> Run {
        let (watch, recheck) = (Arc::default(), Recheck::default());
        let (clock, log): (Clock, _) = (|| Duration::ZERO, log::Log::default());
        Run { memory, scratch, threads: 2, limit: 100, watch, recheck, tell: |_| (), clock, log }
    }

    /// How many tables may be compared side by side.
    fn tables_at_once(&self) -> usize {
        (self.threads / 2).max(1)
    }

    /// A part of what one of the tables compared side by side may hold in memory, in 64ths.
    fn share(&self, parts: usize) -> Budget {
        Budget { memory: self.memory / 64 * parts / self.tables_at_once(), folder: self.scratch.clone() }
    }

    /// What one of so many indexes may hold in memory; an eighth of it all is theirs.
    fn index_budget(&self, sharers: usize) -> Budget {
        Budget { memory: self.memory / 8 / sharers.max(1), folder: self.scratch.clone() }
    }
}

impl Watch {
    /// Asks the run to end at the next batch.
    pub fn stop(&self) {
        let held = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.stops.fetch_add(1, Ordering::Relaxed);
        drop(held);
        self.waiting.1.notify_all();
    }

    /// How far the present stage is.
    pub fn progress(&self) -> Progress {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        self.present(stages.1)
    }

    /// How far the stages got that have ended since somebody asked, and the present one.
    pub fn news(&self) -> Vec<Progress> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = std::mem::take(&mut stages.0);
        news.push(self.present(stages.1));
        news
    }

    fn present(&self, stage: &'static str) -> Progress {
        let (rows, expected) = (self.rows.load(Ordering::Relaxed), self.expected.load(Ordering::Relaxed));
        Progress { stage, rows, expected, ended: false }
    }

    /// Begins a stage, whose rows are counted from 0, and ends the one before it. Without a name only that.
    pub fn begin(&self, stage: &'static str) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Progress { ended: true, ..self.present(stages.1) };
        // Where nobody asks, a stage that comes back takes the place of what it was.
        stages.0.retain(|it| it.stage != before.stage);
        stages.0.extend(Some(before).filter(|it| !it.stage.is_empty()));
        stages.1 = stage;
        self.rows.store(0, Ordering::Relaxed);
        self.expected.store(0, Ordering::Relaxed);
    }

    /// Whether somebody has asked the run to end.
    pub fn is_stopped(&self) -> bool {
        self.stops.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody asks the run to end from now on, for what is still to be done where somebody did so before: to tell of
    /// it, for example.
    pub fn is_stopped_anew(&self) -> impl Fn() -> bool {
        let before = self.stops.load(Ordering::Relaxed);
        move || self.stops.load(Ordering::Relaxed) > before
    }

    /// Lets time go by, unless somebody asks the run to end.
    ///
    /// # Errors
    /// If somebody does.
    pub fn wait(&self, delay: Duration) -> Result<()> {
        let held = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.waiting.1.wait_timeout_while(held, delay, |()| !self.is_stopped());
        drop(waited.map_err(PoisonError::into_inner));
        self.read(0)
    }

    /// Lets time go by; less, if somebody asks the run to end.
    fn pause(&self, delay: Duration) {
        // Whoever pauses asks afterwards whether to go on.
        let _ = self.wait(delay);
    }

    /// Whether a run that writes may go on.
    fn go_on(&self) -> Result<()> {
        if self.is_stopped() {
            Err(crate::error::Error::new(crate::error::Kind::Interrupted, "interrupted"))
        } else {
            Ok(())
        }
    }

    fn wrote(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    fn expect(&self, rows: u64) {
        self.expected.fetch_add(rows, Ordering::Relaxed);
    }

    fn read(&self, rows: u64) -> Result<()> {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        if self.is_stopped() {
            return Err(crate::error::Error::new(crate::error::Kind::Interrupted, "interrupted; nothing was changed"));
        }
        Ok(())
    }
}
