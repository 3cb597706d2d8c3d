//! The one place that reads the time of day.

use crate::error::{Error, Kind, Result};
use jiff::Timestamp;
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// How long the process has run, from the first question on.
pub(super) fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "cli reads the clock")]
    let now = Instant::now();
    now.saturating_duration_since(*START.get_or_init(|| now))
}

/// What time it is.
///
/// # Errors
/// If this machine's clock shows a time that no calendar has.
pub(super) fn now() -> Result<Timestamp> {
    #[expect(clippy::disallowed_methods, reason = "cli reads the clock")]
    let now = std::time::SystemTime::now();
    Timestamp::try_from(now)
        .map_err(|it| Error::new(Kind::File, format_args!("the clock of this machine is wrong: {it}")))
}

/// The same as text, to the second.
pub(super) fn text() -> String {
    now().map_or_else(|it| it.to_string(), |it| format!("{it:.0}"))
}

/// The same in full: no two moments of one machine share it.
pub(super) fn exact() -> String {
    now().map_or_else(|it| it.to_string(), |it| it.to_string())
}
