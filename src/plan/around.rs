//! What a plan wants done around a run: who is told of it, which caches are filled, which queries are timed.

use super::{Expression, Place};
use std::{fmt, time::Duration};

/// Programs and addresses that are told of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Hooks {
    /// Before the source is looked at. It may change data there.
    pub before: Option<Hook>,
    /// Told how far a run is, as long as it runs.
    pub on_progress: Option<Hook>,
    /// Told of a run that passed.
    pub after: Option<Hook>,
    /// Told of a run that did not pass.
    pub on_failure: Option<Hook>,
    /// Told when the verdict of a watch changes.
    pub on_change: Option<Hook>,
    /// How long one of them may take.
    pub timeout: Duration,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// What is called.
    pub call: Call,
    /// Where the plan declares it.
    pub place: Place,
}

/// What a hook calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// A program and its arguments, run without a shell in the plan's folder.
    Command(Vec<String>),
    /// An address that is sent JSON.
    Web(Address),
}

/// An address, and what is sent along. Both may hold secrets.
#[derive(Clone, Default, PartialEq)]
pub struct Address {
    /// Where.
    pub url: String,
    /// Headers, in the plan's order.
    pub headers: Vec<(String, String)>,
}

/// Requests that fill a cache.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Warm {
    /// What the run calls it. Unique in a plan.
    pub name: String,
    /// What is asked.
    pub address: Address,
    /// How often, one after the other.
    pub times: u64,
    /// What an answer from the cache says. Absent: what caches usually say.
    pub cached: Option<Cached>,
    /// The run does not pass without it.
    pub must: bool,
}

/// What an answer says that comes from a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// A header of it, in any case.
    pub header: String,
    /// What the header says, in any case.
    pub value: String,
}

/// A question to both sides that is timed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// What reports call it. Unique in a plan.
    pub name: String,
    /// The question to the source: SQL or jq, as in a [`super::Check`].
    pub source: Option<Expression>,
    /// The question to the target.
    pub target: Expression,
    /// The collection that jq runs over. Absent: the only one there is.
    pub from: Option<String>,
    /// How often each side is asked. The median counts.
    pub runs: u64,
    /// How many times faster than the source the target has to be.
    pub faster: Option<f64>,
    /// How long the target may take.
    pub within: Option<Duration>,
}

impl Default for Hooks {
    fn default() -> Hooks {
        let timeout = Duration::from_secs(60);
        Hooks { before: None, on_progress: None, after: None, on_failure: None, on_change: None, timeout }
    }
}

impl Hooks {
    /// Those that the plan declares, each with its key.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Hook)> {
        let all = [
            ("before", &self.before),
            ("on_progress", &self.on_progress),
            ("after", &self.after),
            ("on_failure", &self.on_failure),
            ("on_change", &self.on_change),
        ];
        all.into_iter().filter_map(|(name, hook)| Some((name, hook.as_ref()?)))
    }
}

/// Only names of headers are shown: even a path may be a secret.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.headers.iter().map(|it| &it.0)).finish()
    }
}
