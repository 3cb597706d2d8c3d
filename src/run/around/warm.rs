//! Requests that fill a cache once a migration passed, and whether it is filled.

use super::{attend, client};
use crate::{
    error::Result,
    plan::{Cached, Plan, Warm},
    run::Watch,
    store::web::{Advice, Answer, Request},
};
use std::{sync::mpsc::channel, thread, time::Duration};

/// How long one request may take, with all its attempts.
const DEADLINE: Duration = Duration::from_secs(60);

/// Headers in which caches say whether an answer came from them.
const CACHES: [&str; 3] = ["cf-cache-status", "x-vercel-cache", "x-cache"];

/// What became of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warmed {
    /// A sentence about it.
    pub says: String,
    /// Whether the cache is filled.
    pub ok: bool,
    /// Whether the run does not pass without it.
    pub must: bool,
}

/// Makes the requests of a plan, one after the other.
///
/// # Errors
/// Only if somebody asks the run to stop, or did so before.
pub fn all(plan: &Plan, watch: &Watch) -> Result<Vec<Warmed>> {
    let mut all = Vec::new();
    for it in &plan.warm {
        let (warm, (end, ended)) = (it.clone(), channel());
        thread::spawn(move || {
            // Whoever waited may be gone.
            let _ = end.send(one(&warm));
        });
        // Its client knows itself when the time is up, and says why.
        let done = attend(&ended, Duration::MAX, &|| watch.is_stopped());
        let done = done.map_err(|error| error.context(format_args!("warm `{}`", it.name)))?;
        let (ok, says) = (done.is_ok(), done.unwrap_or_else(|it| it));
        all.push(Warmed { says: format!("warm `{}`: {says}", it.name), ok, must: it.must });
    }
    Ok(all)
}

/// The last answer decides: those before fill the cache.
fn one(warm: &Warm) -> Result<String, String> {
    let (web, path) = client(&warm.address, DEADLINE).map_err(|it| it.to_string())?;
    let mut from = None;
    for at in 1..=warm.times {
        let answer = web.send(&Request::get(&path), &|_| Advice::Take).map_err(|it| it.to_string())?;
        if !(200..300).contains(&answer.status) {
            return Err(format!("answer {at} of {}: {}", warm.times, web.veiled(&answer.summary())));
        }
        from = cached(&answer, warm.cached.as_ref());
    }
    match (from, warm.times) {
        (_, 1) => Ok("answered".to_owned()),
        (Some((header, said)), times) => {
            let said = web.veiled(&said);
            Ok(format!("answer {times} of {times} came from the cache ({header}: {said})"))
        }
        (None, times) => {
            let said = warm.cached.as_ref().map_or("no header of it says so".to_owned(), |it| {
                format!("`{}` does not say {}", it.header, it.value)
            });
            Err(format!("answer {times} of {times} did not come from the cache: {said}"))
        }
    }
}

/// The header that says that an answer came from a cache, and what it says.
fn cached(answer: &Answer, wanted: Option<&Cached>) -> Option<(String, String)> {
    let says = |header: &str, value: &str| {
        let said = answer.header(header)?;
        let words = said.split([',', ';', ' ']);
        let hit = [said].into_iter().chain(words).any(|it| it.eq_ignore_ascii_case(value));
        hit.then(|| (header.to_owned(), said.to_owned()))
    };
    if let Some(it) = wanted {
        return says(&it.header, &it.value);
    }
    let age = || {
        let age = answer.header("age")?.parse::<u64>().ok()?;
        (age > 0).then(|| ("age".to_owned(), age.to_string()))
    };
    CACHES.iter().find_map(|it| says(it, "HIT")).or_else(age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn what_says_that_it_came_from_a_cache() {
        let own = Cached { header: "X-Own".to_owned(), value: "warm".to_owned() };
        for (header, value, wanted, expect) in [
            ("cf-cache-status", "HIT", None, true),
            ("cf-cache-status", "DYNAMIC", None, false),
            ("x-cache", "Hit from cloudfront", None, true),
            ("x-cache", "MISS, HIT", None, true),
            ("x-cache", "WHITE", None, false),
            ("x-vercel-cache", "STALE", None, false),
            ("age", "7", None, true),
            ("age", "0", None, false),
            ("age", "old", None, false),
            ("x-own", "WARM", Some(&own), true),
            ("cf-cache-status", "HIT", Some(&own), false),
        ] {
            let name = HeaderName::from_bytes(header.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]);
            let answer = Answer { status: 200, headers, ..Answer::default() };
            assert_eq!(cached(&answer, wanted).is_some(), expect, "{header}: {value}");
        }
    }
}
