//! How fast Cloudflare's interface may be asked: 1200 requests in five minutes, or it answers nothing for the next five.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The supply of requests that all stores share which are opened with the same options: the limit is that of a user, not of a
/// store.
#[derive(Clone, Debug, Default)]
pub struct Supply(Arc<Mutex<Pace>>);

impl Supply {
    /// Takes a request from the supply; waits until there is one.
    pub(super) fn wait(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

/// Requests that may be made at once, after a while without any.
const BURST: f64 = 300.0;
/// Requests a second from then on. With the burst it makes no more than 1200 in any five minutes.
const RATE: f64 = 3.0;

/// A supply of requests that fills up again.
#[derive(Debug)]
struct Pace {
    left: f64,
    last: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { left: BURST, last: None }
    }
}

impl Pace {
    fn wait(&mut self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "requests are spread over time, and nothing of that is in a result"
        )]
        let now = Instant::now();
        let passed = self.last.map_or(Duration::ZERO, |it| now.saturating_duration_since(it));
        thread::sleep(self.take(passed));
        self.last = Some(now);
    }

    /// How long to wait for a request, if that much time has passed since the last one was asked for.
    fn take(&mut self, passed: Duration) -> Duration {
        self.left = (self.left + passed.as_secs_f64() * RATE).min(BURST) - 1.0;
        Duration::from_secs_f64((-self.left / RATE).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_five_minutes_see_more_than_the_limit() {
        let mut pace = Pace::default();
        let (mut clock, mut passed, mut times) = (Duration::ZERO, Duration::ZERO, Vec::new());
        for _ in 0..5000 {
            let wait = pace.take(passed);
            clock += wait;
            times.push(clock);
            passed = wait;
        }
        assert_eq!(times[299], Duration::ZERO, "the first ones do not wait");
        let most = times
            .iter()
            .enumerate()
            .map(|(at, start)| times[at..].iter().take_while(|it| **it < *start + Duration::from_secs(300)).count());
        assert!(matches!(most.max(), Some(1199..=1200)));
    }
}
