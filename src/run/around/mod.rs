//! What a plan wants done around a run: [`hook`]s that are told of it, caches that are [`warm`]ed, [`query`] timings, and what is
//! to be remembered ([`remind`]). None of it changes what the comparison says about the data.

pub mod hook;
pub mod query;
pub mod remind;
pub mod warm;

use crate::{
    error::{Error, Kind, Result},
    plan::{Address, Setting},
    store::{Options, settings::Settings, web::Web},
};
use secrecy::SecretString;
use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

/// How often somebody who waits looks whether the run is to end.
const TICK: Duration = Duration::from_millis(50);

/// Waits for what another thread gives.
///
/// # Errors
/// If it takes longer than `time`, it is to be `stopped` meanwhile, or nothing can come any more.
pub fn attend<T>(from: &Receiver<T>, time: Duration, stopped: &dyn Fn() -> bool) -> Result<T> {
    let mut left = time;
    loop {
        if stopped() {
            return Err(Error::new(Kind::Interrupted, "it was interrupted"));
        }
        let step = left.min(TICK);
        match from.recv_timeout(step) {
            Ok(it) => return Ok(it),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Kind::Broken, "nobody knows how it ended"));
            }
            Err(RecvTimeoutError::Timeout) => left -= step,
        }
        if left.is_zero() {
            return Err(Error::new(Kind::Limit, format_args!("it did not end within {time:?}")));
        }
    }
}

/// A client of one address of the plan, and the path that it is asked for. A path may be a secret as a whole, so no error
/// shows more than the host.
fn client(address: &Address, deadline: Duration) -> Result<(Web, String)> {
    let at = address.url.find("://").map_or(0, |it| it + 3);
    let (host, path) = match address.url.get(at..).and_then(|it| it.find(['/', '?'])) {
        Some(end) => address.url.split_at(at + end),
        None => (address.url.as_str(), ""),
    };
    if path.contains('#') {
        return Err(Error::new(Kind::Plan, "the address: nothing may follow a `#`"));
    }
    let deadline = Setting::Text(deadline.as_secs_f64().to_string());
    let settings = Settings::default().with(BTreeMap::from([("deadline".to_owned(), deadline)]));
    let mut web = Web::new(host, None, &Options { settings, ..Options::default() })?;
    for (name, value) in &address.headers {
        web = web.with_header(name, &SecretString::from(value.as_str()))?;
    }
    Ok((web.with_hidden(path), path.to_owned()))
}
