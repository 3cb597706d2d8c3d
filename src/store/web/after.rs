//! What a service says about when to come back.

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// How long the service wants to be left alone, if it says so in a way that can be understood.
///
/// `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3). Some services are more exact in
/// `retry-after-ms`, others say in `x-ratelimit-reset` when their limit ends: as a date, as seconds or milliseconds since
/// 1970, or as seconds from now. They say so in every answer, so it counts where the limit is the reason. Dates are compared
/// with the service's own `Date`, where there is one.
pub(super) fn wait(status: u16, headers: &HeaderMap, today: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let today = headers.get(DATE).and_then(|it| date(it.to_str().ok()?)).unwrap_or(today);
    let until = |it: Timestamp| Duration::try_from(it.duration_since(today)).unwrap_or_default();
    let millis = text("retry-after-ms").and_then(whole).map(Duration::from_millis);
    let after = || {
        let text = text(RETRY_AFTER.as_str())?;
        whole(text).map(Duration::from_secs).or_else(|| date(text).map(until))
    };
    let reset = || {
        let text = text("x-ratelimit-reset").or_else(|| text("ratelimit-reset"))?;
        let Some(number) = whole(text) else { return date(text).map(until) };
        let at = match i64::try_from(number).ok()? {
            it @ ..1_000_000_000 => return Some(Duration::from_secs(it.unsigned_abs())),
            it @ ..1_000_000_000_000 => Timestamp::from_second(it),
            it => Timestamp::from_millisecond(it),
        };
        at.ok().map(until)
    };
    millis.or_else(after).or_else(|| if status == 429 { reset() } else { None })
}

/// A time as people say it, for the sentence that says when to come back.
pub(super) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..=120 => format!("{seconds} s"),
        121..=7200 => format!("{} minutes", seconds.div_ceil(60)),
        7201..=172_800 => format!("{} hours", seconds.div_ceil(3600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

/// A whole number from 0 on. What is larger than any time is the largest there is: the service means it.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A date of HTTP (RFC 9110, section 5.6.7), in the one form that is still sent.
fn date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}
