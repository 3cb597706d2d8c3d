//! What is written down while a run goes on, for those who look later or from elsewhere.
//!
//! The verbs say what happened; whoever keeps the lines knows the clock, the run and the files. A line holds no value of a row
//! but its key, in which secrets are masked. No line is written for each row that goes its way: rows that are refused, decided
//! about or different have one each, and of those only the first [`LINES_MAX`] of a table.

use crate::{
    gate::Verdict,
    report::{
        Finding, FindingKind, Report, TableReport, cell,
        timing::{TableTiming, Timing},
    },
};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// Lines about single rows of one table that are written at most. How many more there were is said once.
pub const LINES_MAX: usize = 1000;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something did not go as it was meant to.
    Error,
    /// Something was left out, decided or tried again.
    Warn,
    /// What was done.
    Info,
    /// Each step of it.
    Debug,
}

/// What a run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Rows are read.
    Extract,
    /// They are mapped, and it is decided what becomes of them.
    Transform,
    /// They are written, or what was written is taken back.
    Load,
    /// What is there is compared.
    Verify,
}

/// What a line is about, beside its level: it has a log of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topic {
    /// What happens.
    #[default]
    Course,
    /// A row that the target holds with other values.
    Conflict,
    /// How long it took, and how much there was.
    Performance,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// What the run was at.
    pub step: Step,
    /// Which log it belongs to.
    pub topic: Topic,
    /// In one sentence, without values of rows.
    pub says: String,
    /// The target's name of the table.
    pub table: Option<String>,
    /// The key of a row as a JSON object, secrets masked.
    pub key: Option<String>,
    /// Figures, each under its name.
    pub counts: Vec<(&'static str, Value)>,
}

/// Whoever keeps lines.
pub trait Keep: Send + Sync {
    /// Whether lines of that kind are kept, for those that are many or cost something.
    fn wants(&self, step: Step, level: Level) -> bool;

    /// Keeps a line. A line that cannot be kept stops no run.
    fn keep(&self, line: &Line);
}

/// Where lines go; nowhere, if nobody keeps them.
#[derive(Clone, Default)]
pub struct Log(Option<Arc<dyn Keep>>);

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Log" } else { "no log" })
    }
}

impl Level {
    /// All of them, the gravest first.
    pub const ALL: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Step; 4] = [Step::Extract, Step::Transform, Step::Load, Step::Verify];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Step::Extract => "extract",
            Step::Transform => "transform",
            Step::Load => "load",
            Step::Verify => "verify",
        }
    }
}

impl Line {
    /// A line that says so much.
    pub fn new(level: Level, step: Step, says: impl Into<String>) -> Line {
        let (topic, says) = (Topic::default(), says.into());
        Line { level, step, topic, says, table: None, key: None, counts: Vec::new() }
    }

    /// The same line about a table.
    #[must_use]
    pub fn of(self, table: &str) -> Line {
        Line { table: Some(table.to_owned()), ..self }
    }

    /// The same line about the row of that key, a JSON object.
    #[must_use]
    pub fn about(self, key: impl Into<String>) -> Line {
        Line { key: Some(key.into()), ..self }
    }

    /// The same line in another log.
    #[must_use]
    pub fn on(self, topic: Topic) -> Line {
        Line { topic, ..self }
    }

    /// The same line with counts.
    #[must_use]
    pub fn with<const N: usize>(mut self, counts: [(&'static str, u64); N]) -> Line {
        self.counts.extend(counts.map(|(name, count)| (name, count.into())));
        self
    }
}

impl Log {
    /// A log that somebody keeps.
    pub fn new(keep: Arc<dyn Keep>) -> Log {
        Log(Some(keep))
    }

    /// Whether lines of that kind are kept.
    pub fn wants(&self, step: Step, level: Level) -> bool {
        self.0.as_ref().is_some_and(|it| it.wants(step, level))
    }

    /// Writes a line down.
    pub fn line(&self, line: Line) {
        if let Some(keep) = self.0.as_ref().filter(|it| it.wants(line.step, line.level)) {
            keep.keep(&line);
        }
    }

    /// Writes down what a comparison found. `rejects`: also the rows that the mapping refused, where nobody did that before.
    pub fn report(&self, report: &Report, rejects: bool) {
        for table in &report.tables {
            self.table(table, rejects);
        }
        for check in &report.checks {
            self.verdict(check.verdict, format!("check {}: {}", check.name, check.verdict.name()), None);
        }
        let why = if report.reasons.is_empty() { String::new() } else { format!(": {}", report.reasons.join("; ")) };
        self.verdict(report.verdict, format!("{}{why}", report.verdict.name()), None);
    }

    fn table(&self, table: &TableReport, rejects: bool) {
        let wanted = |it: &&Finding| rejects || it.kind != FindingKind::Reject;
        let shown: Vec<&Finding> = table.findings.iter().filter(wanted).take(LINES_MAX).collect();
        for it in &shown {
            let step = if it.kind == FindingKind::Reject { Step::Transform } else { Step::Verify };
            let detail = it.detail.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
            let columns = it.cells.iter().map(|it| it.column.as_str()).collect::<Vec<_>>().join(", ");
            let columns = if columns.is_empty() { columns } else { format!(" ({columns})") };
            let key = cell::object(it.key.iter().map(|(name, cell)| (name.as_str(), cell.clone())));
            let says = format!("{}{detail}{columns}", it.kind.name());
            self.line(Line::new(Level::Warn, step, says).of(&table.name).about(key));
        }
        let unwanted = if rejects { 0 } else { table.tally.rejects };
        let more = table.findings_all.saturating_sub(unwanted + shown.len() as u64);
        if more > 0 {
            let place = table.findings_file.as_ref().map(|it| format!(" in {it} of the report")).unwrap_or_default();
            self.line(Line::new(Level::Warn, Step::Verify, format!("and {more} more{place}")).of(&table.name));
        }
        let why = if table.reasons.is_empty() { String::new() } else { format!(": {}", table.reasons.join("; ")) };
        let tally = &table.tally;
        let counts = [
            ("source_rows", tally.source_rows),
            ("target_rows", tally.target_rows),
            ("same", tally.same),
            ("changed", tally.changed),
            ("missing", tally.missing),
            ("extra", tally.extra),
            ("rejects", tally.rejects),
        ];
        let says = format!("{}{why}", table.verdict.name());
        self.verdict(table.verdict, says, Some(Line::new(Level::Info, Step::Verify, "").of(&table.name).with(counts)));
    }

    fn verdict(&self, verdict: Verdict, says: String, line: Option<Line>) {
        let level = if verdict == Verdict::Pass { Level::Info } else { Level::Error };
        let line = line.unwrap_or_else(|| Line::new(level, Step::Verify, ""));
        self.line(Line { level, says, ..line });
    }

    /// Writes down what each table cost, and all of it.
    pub fn timing(&self, step: Step, timing: &Timing) {
        let line = |says: &str, it: &TableTiming, seconds: f64| {
            let mut line = Line::new(Level::Info, step, says).on(Topic::Performance);
            line = line.with([("items", it.items), ("failed", it.failed)]);
            line.counts.extend([
                ("duration_ms", Value::from((seconds * 1000.0).round() as u64)),
                ("items_per_second", it.per_second(seconds).map(f64::round).into()),
                ("average_item_bytes", it.average().into()),
                ("failure_rate", it.failure_rate().into()),
            ]);
            line.counts.extend(it.parts.iter().map(|(name, seconds)| (*name, Value::from(*seconds))));
            line
        };
        for it in &timing.tables {
            self.line(line("table", it, it.seconds).of(&it.name));
        }
        let mut all = line("all", &timing.total(), timing.seconds);
        all.counts.push(("peak_memory_bytes", timing.peak_memory.into()));
        self.line(all);
    }
}

/// Lines about single rows of one table, of which the first ones are kept until the table is done: one that begins anew
/// begins its lines anew.
#[derive(Debug, Default)]
pub(super) struct Rows {
    kept: Vec<Line>,
    more: u64,
}

impl Rows {
    /// Adds a line, which is not even made where there are enough.
    pub(super) fn add(&mut self, make: impl FnOnce() -> Line) {
        match self.kept.len() < LINES_MAX {
            true => self.kept.push(make()),
            false => self.more += 1,
        }
    }

    /// Writes them down, and how many more there were; `place` says where those are.
    pub(super) fn write(self, log: &Log, place: &str) {
        let last = self.kept.last().filter(|_| self.more > 0).cloned();
        self.kept.into_iter().for_each(|it| log.line(it));
        if let Some(it) = last {
            log.line(Line { says: format!("and {} more{place}", self.more), key: None, counts: Vec::new(), ..it });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Keeps what is graver than a level.
    struct Shelf(Level, Mutex<Vec<Line>>);

    impl Keep for Shelf {
        fn wants(&self, _: Step, level: Level) -> bool {
            level <= self.0
        }

        fn keep(&self, line: &Line) {
            self.1.lock().unwrap().push(line.clone());
        }
    }

    fn kept(level: Level, write: impl FnOnce(&Log)) -> Vec<Line> {
        let shelf = Arc::new(Shelf(level, Mutex::default()));
        write(&Log::new(Arc::clone(&shelf) as Arc<dyn Keep>));
        shelf.1.lock().unwrap().clone()
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let all = |log: &Log| {
            Level::ALL.into_iter().for_each(|it| log.line(Line::new(it, Step::Load, it.name())));
        };
        for (place, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(kept(level, all).len(), place + 1, "{level:?}");
        }
        all(&Log::default());
    }

    #[test]
    fn what_has_no_line_is_counted() {
        let finding = |kind| Finding { kind, side: None, key: Vec::new(), cells: Vec::new(), detail: None, seen: None };
        let kinds = [FindingKind::Missing, FindingKind::Reject, FindingKind::Missing];
        let mut report = Report::default();
        let mut table =
            TableReport { name: "t".to_owned(), findings: kinds.map(finding).to_vec(), ..Default::default() };
        (table.findings_all, table.tally.rejects) = (9, 4);
        report.tables.push(table.clone());
        let check = |report: &Report, rejects: bool, lines: usize, expect: Option<&str>| {
            let kept = kept(Level::Warn, |log| log.report(report, rejects));
            let of = |it: &&Line| it.table.is_some() && it.level == Level::Warn;
            let said: Vec<_> = kept.iter().filter(of).map(|it| it.says.as_str()).collect();
            assert_eq!(
                (said.len(), said.iter().copied().find(|it| it.starts_with("and "))),
                (lines, expect),
                "{said:?}"
            );
        };
        check(&report, true, 4, Some("and 6 more"));
        check(&report, false, 3, Some("and 3 more"));
        report.tables[0].findings_file = Some("findings/t.ndjson".to_owned());
        check(&report, true, 4, Some("and 6 more in findings/t.ndjson of the report"));
        report.tables[0].findings_all = 3;
        check(&report, true, 3, None);
        report.tables[0].findings = vec![finding(FindingKind::Missing); LINES_MAX + 5];
        report.tables[0].findings_all = (LINES_MAX + 5) as u64;
        check(&report, true, LINES_MAX + 1, Some("and 5 more in findings/t.ndjson of the report"));
    }

    #[test]
    fn rows_are_bounded_and_counted() {
        let mut rows = Rows::default();
        (0..LINES_MAX + 5).for_each(|it| rows.add(|| Line::new(Level::Warn, Step::Load, it.to_string()).of("t")));
        let lines = kept(Level::Debug, |log| rows.write(log, " in rejects.ndjson"));
        assert_eq!(lines.len(), LINES_MAX + 1);
        let last = lines.last().expect("a line");
        assert_eq!((last.says.as_str(), last.table.as_deref()), ("and 5 more in rejects.ndjson", Some("t")));
    }
}
