//! Queries that were timed: the one part of a report that differs each time, beside its seconds.

use super::{Report, layout, text};
use crate::gate::{Judgement, Verdict};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// How long a query took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryReport {
    /// Its name in the plan.
    pub name: String,
    /// Pass, fail, or unknown where a side could not answer.
    pub verdict: Verdict,
    /// How often each side was asked.
    pub runs: u64,
    /// The source's median in seconds, if it was asked and answered.
    pub source: Option<f64>,
    /// The target's median in seconds, if it answered.
    pub target: Option<f64>,
    /// How many times faster than the source the target has to be.
    pub faster: Option<f64>,
    /// How long the target may take.
    pub within: Option<Duration>,
    /// Why it is not a pass.
    pub reasons: Vec<String>,
}

/// The same in JSON.
#[derive(Serialize)]
struct QueryView<'a> {
    name: &'a str,
    verdict: &'static str,
    runs: u64,
    source: Option<f64>,
    target: Option<f64>,
    times_faster: Option<f64>,
    faster: Option<f64>,
    within: Option<f64>,
    reasons: &'a [String],
}

impl QueryReport {
    /// How many times faster the target is.
    fn times_faster(&self) -> Option<f64> {
        self.source.zip(self.target).filter(|it| it.1 > 0.0).map(|(source, target)| source / target)
    }
}

/// The verdict over all of them. No time stands in its reasons, so that they are the same each time.
pub fn judge(queries: &[QueryReport]) -> Judgement {
    let mut judged = Judgement::pass();
    for it in queries {
        let reasons = it.reasons.iter().map(|why| format!("query `{}`: {why}", it.name)).collect();
        judged.and(Judgement { verdict: it.verdict, reasons });
    }
    judged
}

impl Report {
    /// Adds the queries, and what they say about the verdict.
    pub fn time(&mut self, queries: Vec<QueryReport>) {
        let judged = judge(&queries);
        let graver = judged.verdict == Verdict::Fail && self.verdict != Verdict::Fail;
        let at = if graver { 0 } else { self.reasons.len() };
        self.reasons.splice(at..at, judged.reasons);
        self.verdict = self.verdict.and(judged.verdict);
        self.queries = queries;
    }
}

impl<'a> QueryView<'a> {
    fn of(it: &'a QueryReport) -> QueryView<'a> {
        QueryView {
            name: &it.name,
            verdict: it.verdict.name(),
            runs: it.runs,
            source: it.source,
            target: it.target,
            times_faster: it.times_faster(),
            faster: it.faster,
            within: it.within.map(|it| it.as_secs_f64()),
            reasons: &it.reasons,
        }
    }
}

/// The figures of a run in JSON, with those of its queries.
pub(super) fn within(mut timing: Value, queries: &[QueryReport]) -> Value {
    if let Some(timing) = timing.as_object_mut().filter(|_| !queries.is_empty()) {
        let views: Vec<_> = queries.iter().map(QueryView::of).collect();
        timing.insert("queries".to_owned(), serde_json::to_value(views).unwrap_or_default());
    }
    timing
}

/// A table of them, the heading first.
pub(super) fn grid(queries: &[QueryReport], width: usize) -> Vec<String> {
    let time = |it: Option<f64>| match it {
        None => "-".to_owned(),
        Some(it) if it < 0.001 => format!("{:.0} µs", it * 1e6),
        Some(it) => format!("{:.1} ms", it * 1e3),
    };
    let row = |it: &QueryReport| {
        let factor = it.times_faster().map_or("-".to_owned(), |it| format!("{it:.1}"));
        let faster = it.faster.map(|it| format!("{it} times faster"));
        let wanted: Vec<String> = faster.into_iter().chain(it.within.map(|it| format!("within {it:?}"))).collect();
        let wanted = if wanted.is_empty() { "-".to_owned() } else { wanted.join(", ") };
        vec![text::word(it.verdict).to_owned(), it.name.clone(), time(it.source), time(it.target), factor, wanted]
    };
    let heading = ["       ", "query", "source", "target", "times faster", "has to be"].map(str::to_owned).to_vec();
    let rows: Vec<_> = [heading].into_iter().chain(queries.iter().map(row)).collect();
    layout::grid(&rows, &[false, false, true, true, true, false], width)
}
