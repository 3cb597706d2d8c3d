//! The rounds of `watch`: entries of the audit trail, so that nobody can make one up later.

use super::State;
use crate::{error::Result, report::layout};
use serde_json::{Value, json};

/// The event of a round in the audit trail.
const EVENT: &str = "round";

/// Reasons that are kept of a round.
const REASONS: usize = 5;

/// One round of a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Counts from 1 in each watch.
    pub number: u32,
    /// When it began.
    pub at: String,
    /// `pass`, `fail` or `unknown`.
    pub verdict: String,
    /// Rows of the source that were compared.
    pub rows: u64,
    /// Rows that are the same in the target.
    pub same: u64,
    /// Rows that are missing, extra, changed or refused by the mapping.
    pub differ: u64,
    /// Why it is no pass, the gravest first.
    pub reasons: Vec<String>,
}

impl Round {
    /// The round that an entry of the audit trail tells of, if it does.
    pub(super) fn of(detail: &Value) -> Option<Round> {
        let count = |name: &str| detail[name].as_u64();
        let text = |it: &Value| it.as_str().map(str::to_owned);
        Some(Round {
            number: u32::try_from(count("round")?).ok()?,
            at: text(&detail["at"])?,
            verdict: text(&detail["verdict"])?,
            rows: count("rows")?,
            same: count("same")?,
            differ: count("differ")?,
            reasons: detail["reasons"].as_array()?.iter().filter_map(text).collect(),
        })
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "round": self.number, "at": self.at, "verdict": self.verdict, "rows": self.rows, "same": self.same,
            "differ": self.differ, "reasons": self.reasons,
        })
    }

    /// Its counts and its first reason, for people.
    pub fn about(&self) -> String {
        let [rows, same, differ] = [self.rows, self.same, self.differ].map(layout::count);
        let counts = match (self.rows, self.differ) {
            // Nothing was compared, and the reason says why.
            (0, 0) if !self.reasons.is_empty() => String::new(),
            (_, 0) => format!("{rows} rows, {same} the same"),
            _ => format!("{rows} rows, {same} the same, {differ} differ"),
        };
        let more = match self.reasons.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let first = self.reasons.first().map(|it| format!("{it}{more}"));
        [Some(counts), first].into_iter().flatten().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

impl State {
    /// Writes a round of that plan down.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn watched(&mut self, plan: &str, round: &Round) -> Result<()> {
        let mut detail =
            Round { reasons: round.reasons.iter().take(REASONS).cloned().collect(), ..round.clone() }.json();
        detail["plan"] = plan.into();
        self.audit(None, EVENT, &detail, &round.at)
    }

    /// The rounds of that plan, the first one first. What somebody else wrote into the journal is none.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn rounds(&self, plan: &str) -> Result<Vec<Round>> {
        let round = |detail: &str| {
            let detail: Value = serde_json::from_str(detail).ok()?;
            Round::of(&detail).filter(|_| detail["plan"] == plan)
        };
        let events = self.events(None)?.into_iter().filter(|it| it.event == EVENT);
        Ok(events.filter_map(|it| round(&it.detail)).collect())
    }
}
