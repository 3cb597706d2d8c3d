//! What a run did to its target, as data and its two faces.

use super::{
    PlanName, Report, StoreName, escape, layout,
    queries::{self, QueryReport},
    timing::{self, TableTiming, Timing},
};
use crate::gate::Verdict;
use serde::Serialize;
use std::io;

/// The version of the JSON that [`json`] writes.
pub const FORMAT: &str = "cutover-migration/1";

/// How wide tables of text are at most.
const WIDTH: usize = 100;

/// Everything there is to say about a run that writes, or about one that only says what it would write.
#[derive(Clone, Debug, Default)]
pub struct Migration {
    /// What was run: `migrate` or `rollback`.
    pub verb: &'static str,
    /// The run.
    pub id: String,
    /// Nothing was written, as somebody wanted to look first.
    pub preview: bool,
    /// Whether it did what it was to do.
    pub verdict: Verdict,
    /// Why not, a sentence each.
    pub reasons: Vec<String>,
    /// The plan.
    pub plan: PlanName,
    /// Where rows come from.
    pub source: StoreName,
    /// Where they go.
    pub target: StoreName,
    /// The backup that was made before, if one was.
    pub backup: Option<String>,
    /// In the order in which they are written.
    pub tables: Vec<TableMigration>,
    /// What stores said beforehand, such as how to go back to the state before.
    pub facts: Vec<String>,
    /// In which state the target is now, in one sentence.
    pub state: String,
    /// What to type next.
    pub next: Option<String>,
    /// Declared queries and how long they took, once all was written.
    pub queries: Vec<QueryReport>,
    /// What is to be remembered, where it passed.
    pub reminders: Vec<String>,
    /// The verification afterwards, or the comparison beforehand where nothing was written.
    pub report: Option<Report>,
    /// What the run cost.
    pub timing: Timing,
}

/// One table of a [`Migration`].
#[derive(Clone, Debug, Default)]
pub struct TableMigration {
    /// The target's name for it.
    pub name: String,
    /// The run whose rows these are, where there are several: each has its own line about a table.
    pub run: Option<String>,
    /// What was to become of its rows.
    pub counts: Counts,
    /// Rows that arrived: inserted, updated, deleted.
    pub written: [u64; 3],
    /// Rows that the target refused.
    pub failed: u64,
    /// Batches that arrived, or that there would be.
    pub batches: u64,
    /// Bytes of the cells in them.
    pub bytes: u64,
    /// Seconds that it took to write them.
    pub seconds: f64,
    /// What undoing it takes, where it was undone.
    pub undoing: Option<Undoing>,
}

/// What is to become of the rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows that are the same already.
    pub same: u64,
    /// Rows to insert.
    pub insert: u64,
    /// Rows to update.
    pub update: u64,
    /// Rows of the target that stay as they are although the source has other values.
    pub skip: u64,
    /// Rows that differ, where the plan says to stop.
    pub conflict: u64,
    /// Source rows that the mapping refuses.
    pub reject: u64,
}

/// What undoing a table takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Undoing {
    /// Rows that go back to what they were.
    pub restore: u64,
    /// Rows that were inserted and are removed.
    pub remove: u64,
    /// Rows that are as they were already.
    pub done: u64,
    /// Rows that somebody has changed since, and that stay.
    pub theirs: u64,
    /// The keys of some of them.
    pub examples: Vec<String>,
    /// Rows that were inserted and that stay, since rows that stay refer to them.
    pub held: u64,
    /// The keys of some of them, and who refers to them.
    pub holding: Vec<String>,
}

impl Migration {
    /// Says what each table cost: to compare and stage it, which `staging` knows, to write it and to verify it.
    pub fn time(&mut self, staging: &Timing) {
        let seconds =
            |timing: &Timing, name: &str| timing.tables.iter().find(|it| it.name == name).map_or(0.0, |it| it.seconds);
        let verifying = self
            .report
            .as_ref()
            .filter(|_| !self.preview && self.tables.iter().any(|it| it.batches > 0))
            .map(|it| &it.timing);
        let table = |it: &TableMigration| {
            let verify = verifying.map_or(0.0, |timing| seconds(timing, &it.name));
            let parts = vec![("stage", seconds(staging, &it.name)), ("write", it.seconds), ("verify", verify)];
            TableTiming {
                name: it.name.clone(),
                items: it.counts.insert + it.counts.update + it.counts.reject,
                failed: it.failed + it.counts.reject,
                measured: (it.written.iter().sum(), it.bytes),
                seconds: parts.iter().map(|it| it.1).sum(),
                parts,
            }
        };
        self.timing.tables = self.tables.iter().map(table).collect();
    }
}

impl TableMigration {
    /// Its name for people, with that of the run where there are several.
    fn label(&self) -> String {
        let run = self.run.as_ref().map(|it| format!(" of {it}")).unwrap_or_default();
        format!("{}{run}", self.name)
    }
}

#[derive(Serialize)]
struct View<'a> {
    format: &'static str,
    verb: &'a str,
    id: &'a str,
    preview: bool,
    verdict: &'static str,
    reasons: &'a [String],
    plan: NameView<'a>,
    source: NameView<'a>,
    target: NameView<'a>,
    backup: Option<&'a str>,
    tables: Vec<TableView<'a>>,
    facts: &'a [String],
    state: &'a str,
    next: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reminders: &'a [String],
    timing: serde_json::Value,
}

#[derive(Serialize)]
struct NameView<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct TableView<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    #[serde(flatten)]
    counts: Counts,
    inserted: u64,
    updated: u64,
    deleted: u64,
    failed: u64,
    batches: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<&'a Undoing>,
}

/// Writes it as JSON.
///
/// # Errors
/// If `out` cannot be written to.
pub fn json(it: &Migration, mut out: impl io::Write) -> io::Result<()> {
    let store = |kind, name| NameView { kind, name };
    let view = View {
        format: FORMAT,
        verb: it.verb,
        id: &it.id,
        preview: it.preview,
        verdict: it.verdict.name(),
        reasons: &it.reasons,
        plan: store("", &it.plan.path),
        source: store(&it.source.kind, &it.source.name),
        target: store(&it.target.kind, &it.target.name),
        backup: it.backup.as_deref(),
        tables: it.tables.iter().map(TableView::of).collect(),
        facts: &it.facts,
        state: &it.state,
        next: it.next.as_deref(),
        reminders: &it.reminders,
        timing: queries::within(timing::json(&it.timing), &it.queries),
    };
    serde_json::to_writer_pretty(&mut out, &view)?;
    out.write_all(b"\n")
}

impl<'a> TableView<'a> {
    fn of(it: &'a TableMigration) -> TableView<'a> {
        TableView {
            name: &it.name,
            run: it.run.as_deref(),
            counts: it.counts,
            inserted: it.written[0],
            updated: it.written[1],
            deleted: it.written[2],
            failed: it.failed,
            batches: it.batches,
            undo: it.undoing.as_ref(),
        }
    }
}

/// Lays it out for people. The last lines say in which state the target is and what to type next.
pub fn text(it: &Migration, quiet: bool) -> String {
    let word = match (it.verdict, it.preview) {
        (Verdict::Pass, true) => "WOULD",
        (Verdict::Pass, false) => "DONE",
        (Verdict::Fail, _) => "FAIL",
        (Verdict::Unknown, _) => "UNKNOWN",
    };
    let mut lines = vec![format!("{word:<9}{}", summary(it))];
    lines.extend(it.reasons.iter().map(|it| format!("         {}", escape::message(it))));
    if !quiet {
        let names = [&it.source, &it.target].map(|it| format!("{} {}", it.kind, it.name));
        let way = if it.verb == "rollback" { names[1].clone() } else { names.join(" → ") };
        lines.push(format!("\n{}  by {}", escape::message(&way), escape::message(&it.plan.path)));
        lines.extend(table_lines(it));
        lines.extend(theirs(it));
        if !it.facts.is_empty() {
            lines.push(String::new());
            lines.extend(it.facts.iter().map(|it| escape::message(it)));
        }
        if !it.queries.is_empty() {
            lines.push(String::new());
            lines.extend(queries::grid(&it.queries, WIDTH));
        }
        if !it.reminders.is_empty() {
            lines.push("\nRemember:".to_owned());
            lines.extend(it.reminders.iter().map(|it| format!("- {}", escape::message(it))));
        }
        lines.push(String::new());
    }
    lines.push(escape::message(&it.state));
    lines.extend(it.next.iter().map(|it| format!("next: {}", escape::message(it))));
    lines.join("\n") + "\n"
}

fn summary(it: &Migration) -> String {
    let sum = |each: fn(&TableMigration) -> u64| layout::count(it.tables.iter().map(each).sum());
    if it.verb == "rollback" {
        let undo = |each: fn(&Undoing) -> u64| {
            layout::count(it.tables.iter().filter_map(|it| it.undoing.as_ref()).map(each).sum())
        };
        let (restore, remove, theirs) = (undo(|it| it.restore), undo(|it| it.remove), undo(|it| it.theirs));
        let held: u64 = it.tables.iter().filter_map(|it| it.undoing.as_ref()).map(|it| it.held).sum();
        let held = if held > 0 { format!(", and {} that others refer to", layout::count(held)) } else { String::new() };
        return format!("restore {restore}, remove {remove}, leave {theirs} that others changed since{held}");
    }
    if it.preview || it.tables.iter().all(|it| it.batches == 0) {
        let (insert, update) = (sum(|it| it.counts.insert), sum(|it| it.counts.update));
        let (skip, same) = (sum(|it| it.counts.skip), sum(|it| it.counts.same));
        return format!("insert {insert}, update {update}, skip {skip}; {same} are the same already");
    }
    let (inserted, updated, failed) = (sum(|it| it.written[0]), sum(|it| it.written[1]), sum(|it| it.failed));
    format!("{inserted} inserted, {updated} updated, {failed} refused by the target")
}

/// One line a table; only counts that are not zero somewhere have a column.
fn table_lines(it: &Migration) -> Vec<String> {
    type Count = (&'static str, fn(&TableMigration) -> u64);
    const COUNTS: [Count; 10] = [
        ("same", |it| it.counts.same),
        ("insert", |it| it.counts.insert),
        ("update", |it| it.counts.update),
        ("skip", |it| it.counts.skip),
        ("conflict", |it| it.counts.conflict),
        ("reject", |it| it.counts.reject),
        ("failed", |it| it.failed),
        ("restore", |it| it.undoing.as_ref().map_or(0, |it| it.restore)),
        ("remove", |it| it.undoing.as_ref().map_or(0, |it| it.remove)),
        ("batches", |it| it.batches),
    ];
    let shown: Vec<Count> = COUNTS.into_iter().filter(|count| it.tables.iter().any(|it| count.1(it) > 0)).collect();
    let names = it.tables.iter().map(|it| escape::message(&it.label()));
    let width = names.clone().map(|it| it.chars().count()).chain([5]).max().unwrap_or(5);
    let cell = |text: &str| format!("{text:>12}");
    let mut lines = vec![format!("\n{:<width$}{}", "table", shown.iter().map(|it| cell(it.0)).collect::<String>())];
    for (name, table) in names.zip(&it.tables) {
        let counts = shown.iter().map(|count| match count.1(table) {
            0 => cell("-"),
            count => cell(&layout::count(count)),
        });
        lines.push(format!("{name:<width$}{}", counts.collect::<String>()));
    }
    lines
}

/// Rows that others have changed since, and that stay.
fn theirs(it: &Migration) -> Vec<String> {
    let mut lines = Vec::new();
    let mut list = |table: &TableMigration, what: &str, count: u64, examples: &[String]| {
        if count > 0 {
            lines.push(format!("\n{}: {what}:", escape::message(&table.label())));
            lines.extend(examples.iter().map(|it| format!("  {}", escape::message(it))));
            let more = count - examples.len() as u64;
            lines.extend((more > 0).then(|| format!("  and {} more", layout::count(more))));
        }
    };
    for table in &it.tables {
        let Some(undoing) = &table.undoing else { continue };
        list(table, "changed by others since, and left as they are", undoing.theirs, &undoing.examples);
        list(table, "left, as rows that stay refer to them", undoing.held, &undoing.holding);
    }
    lines
}
