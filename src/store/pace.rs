//! How fast services may be asked, and what that makes of a number of requests. Cloudflare's interface takes 1200 of them in five
//! minutes, or it answers nothing for the next five.

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

/// What it takes to ask a service so often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Requests, about.
    pub requests: u64,
    /// Seconds that they take at least, as fast as the service may be asked.
    pub seconds: f64,
}

impl Cost {
    /// What requests take that may be made so often in a second; as often as one likes, where nobody says.
    pub fn at(requests: u64, rate: Option<f64>) -> Cost {
        Cost { requests, seconds: rate.map_or(0.0, |it| requests as f64 / it) }
    }

    /// What requests to Cloudflare take: as often as its limit allows, unless somebody says another rate.
    pub fn at_cloudflare(requests: u64, rate: Option<f64>) -> Cost {
        match rate {
            None => Cost { requests, seconds: ((requests as f64 - BURST) / RATE).max(0.0) },
            rate => Cost::at(requests, rate),
        }
    }
}

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
    fn requests_cost_time() {
        for (requests, rate, cloudflare, other) in
            [(0, None, 0.0, 0.0), (300, None, 0.0, 0.0), (1200, None, 300.0, 0.0), (1200, Some(4.0), 300.0, 300.0)]
        {
            let costs = [Cost::at_cloudflare(requests, rate), Cost::at(requests, rate)];
            assert_eq!(costs.map(|it| it.seconds), [cloudflare, other], "{requests} at {rate:?}");
        }
    }

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
