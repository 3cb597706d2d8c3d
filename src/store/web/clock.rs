//! Time: how long things may take, when they are asked for, and how long is waited in between.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// What a client needs of time. A test has one of its own, which does not really wait.
pub trait Clock: Send + Sync {
    /// How long it is since some moment that stays the same.
    fn now(&self) -> Duration;
    /// The time of day.
    fn date(&self) -> Timestamp;
    /// Waits that long.
    fn wait(&self, time: Duration);
}

/// The clock of this machine.
pub(super) struct Machine(Instant);

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "deadlines and pacing of live stores; no clock shows in a result")]
    pub(super) fn new() -> Machine {
        Machine(Instant::now())
    }
}

impl Clock for Machine {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn date(&self) -> Timestamp {
        Timestamp::now()
    }

    fn wait(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// How long things may take. One figure decides: what a request may take with all its attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) deadline: Duration,
}

/// How often a request is made at most.
pub(super) const ATTEMPTS: usize = 5;

impl Times {
    /// What stands if nobody says otherwise.
    pub(super) const USUAL: Times = Times { deadline: Duration::from_secs(180) };

    /// What one attempt may take: a minute of the usual three.
    pub(super) fn attempt(self) -> Duration {
        self.deadline / 3
    }

    /// What a connection may take to be made: ten seconds as a rule.
    pub(super) fn connect(self) -> Duration {
        self.deadline / 18
    }

    /// The pauses between attempts. Each is twice as long as the one before, and up to as much again by chance, so that many
    /// who failed together do not come back together. The first is a quarter of a second as a rule.
    pub(super) fn pauses(self) -> ExponentialBackoff {
        let first = self.deadline / 720;
        ExponentialBuilder::new().with_min_delay(first).with_max_times(ATTEMPTS - 1).with_jitter().build()
    }
}

/// Keeps the requests of one store apart, whichever thread makes them.
pub(super) struct Pace {
    /// What lies between two requests.
    gap: Duration,
    /// When the next request may be made.
    next: Mutex<Duration>,
}

impl Pace {
    /// That many requests a second at most.
    pub(super) fn new(rate: Option<f64>) -> Pace {
        let gap = rate.and_then(|it| Duration::try_from_secs_f64(it.recip()).ok()).unwrap_or_default();
        Pace { gap, next: Mutex::new(Duration::ZERO) }
    }

    /// Waits until it is this caller's turn.
    pub(super) fn turn(&self, clock: &dyn Clock) {
        let now = clock.now();
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = now.max(*next);
            *next = turn + self.gap;
            turn
        };
        if turn > now {
            clock.wait(turn - now);
        }
    }

    /// Nobody makes a request before `until`: the service has asked for that.
    pub(super) fn hold(&self, until: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = until.max(*next);
    }
}
