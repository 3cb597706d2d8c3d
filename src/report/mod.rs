//! What a run found, as data, and its faces: one file each.
//!
//! A face only lays out what is here. It never looks at a store again.

pub mod cell;
mod contrast;
pub mod escape;
pub mod folder;
pub mod json;
pub mod layout;
pub mod migration;
pub mod patch;
pub mod sampler;
mod section;
pub mod text;
pub mod queries;
pub mod timing;

pub use crate::diff::{FindingKind, Side};
use crate::{
    diff::Tally,
    gate::{Facts, Judgement, Verdict},
};

/// Everything that a face may show.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Over all tables and checks.
    pub verdict: Verdict,
    /// Why it is not a pass, one sentence each, the gravest first. Empty for a pass.
    pub reasons: Vec<String>,
    /// The plan, unless there was none.
    pub plan: Option<PlanName>,
    /// Where the rows come from.
    pub source: StoreName,
    /// Where they should have arrived.
    pub target: StoreName,
    /// The sum over all tables.
    pub totals: Tally,
    /// In the order of their names, or of the plan.
    pub tables: Vec<TableReport>,
    /// Tables, and columns as `table.column`, that only the source has.
    pub source_only: Vec<String>,
    /// Tables, and columns as `table.column`, that only the target has.
    pub target_only: Vec<String>,
    /// What was judged beside tables and checks: tables without a counterpart, rows that no table takes.
    pub around: Judgement,
    /// Declared checks and what came of them.
    pub checks: Vec<CheckReport>,
    /// Declared queries and how long they took, which differs between two runs.
    pub queries: Vec<queries::QueryReport>,
    /// What a reader has to know: pairs that were made by name, zones assumed, what a file format cannot carry.
    pub notes: Vec<String>,
    /// The command to run next, if one helps.
    pub next: Option<String>,
    /// What the run cost, the only part that differs between two runs.
    pub timing: timing::Timing,
}

/// The plan that was checked.
#[derive(Clone, Debug, Default)]
pub struct PlanName {
    /// As it was given.
    pub path: String,
    /// BLAKE3 of its text, hexadecimal.
    pub hash: String,
}

/// A store without anything secret.
#[derive(Clone, Debug, Default)]
pub struct StoreName {
    /// `sqlite`, `csv` and so on.
    pub kind: String,
    /// A path or an id.
    pub name: String,
}

impl StoreName {
    /// Kind and name, as people read them.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, self.name).trim().to_owned()
    }
}

/// One compared table.
#[derive(Clone, Debug, Default)]
pub struct TableReport {
    /// The target's name for it.
    pub name: String,
    /// The source's name for it.
    pub source_name: String,
    /// Of this table alone.
    pub verdict: Verdict,
    /// Why it is not a pass.
    pub reasons: Vec<String>,
    /// The columns that identify a row. Empty: rows are compared as a multiset.
    pub key: Vec<String>,
    /// Exact counts.
    pub tally: Tally,
    /// What else it was judged by.
    pub facts: Facts,
    /// The compared columns, the key first.
    pub columns: Vec<ColumnReport>,
    /// Examples, capped.
    pub findings: Vec<Finding>,
    /// Whether there are more than these.
    pub findings_truncated: bool,
    /// How many there are, these included.
    pub findings_all: u64,
    /// Where all of them are, counted from the report's folder.
    pub findings_file: Option<String>,
    /// What speaks for this table apart from the comparison itself: `count`, `check:NAME`, `expected`.
    pub witnesses: Vec<String>,
    /// Whether the comparer saw what was planted.
    pub canary: Canary,
    /// What came of looking again, if that was done.
    pub recheck: Option<Recheck>,
    /// What a reader has to know about this table.
    pub notes: Vec<String>,
}

/// One compared column.
#[derive(Clone, Debug, Default)]
pub struct ColumnReport {
    /// The target's name for it.
    pub name: String,
    /// The name of its type.
    pub ty: &'static str,
    /// Rows in which it differs.
    pub changed: u64,
    /// A declared tolerance and what it was good for.
    pub coarsened: Option<Coarsened>,
}

/// A declared tolerance on a column.
#[derive(Clone, Debug, Default)]
pub struct Coarsened {
    /// `truncate = "second"`, `round = 2` or `ignore`.
    pub rule: String,
    /// The reason that the plan gives.
    pub because: String,
    /// Rows that are the same only because of it.
    pub rows: u64,
}

/// What came of the planted differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Canary {
    /// The comparer reported each of them.
    Caught,
    /// It did not report this one, so nothing that it says about the table can be trusted.
    Missed(String),
    /// Nothing was planted, because the table was not compared.
    #[default]
    Absent,
}

/// A declared check.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Its name in the plan.
    pub name: String,
    /// Pass, fail, or unknown where a side could not answer.
    pub verdict: Verdict,
    /// The source's answer as canonical JSON, or why there is none.
    pub source: String,
    /// The target's answer as canonical JSON, or why there is none.
    pub target: String,
}

/// One difference.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// On which side, where that is not clear from the kind.
    pub side: Option<Side>,
    /// The key, by column. All cells of the row where the table has no key.
    pub key: Vec<(String, Cell)>,
    /// The cells that differ, or the whole row beside its key if one side has none.
    pub cells: Vec<Difference>,
    /// For a reject: the rule. For an orphan: what it refers to. For a clash: the unique columns. For an invalid cell: its type.
    pub detail: Option<String>,
    /// How it compares with the look before, where its row was looked at again.
    pub seen: Option<Seen>,
}

/// What became of a difference from one look to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The very same one was there before.
    Still,
    /// The row differed before too, in another way.
    ChangedAgain,
}

/// What came of looking again at the rows that differ. Rows go by their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recheck {
    /// Looks after the first one.
    pub rounds: u64,
    /// Keys whose rows differed at first.
    pub keys: u64,
    /// Of them, those whose rows agree now.
    pub converged: u64,
    /// Those that differ just as at the look before.
    pub still: u64,
    /// Those that differ in another way.
    pub changed_again: u64,
}

impl Seen {
    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            Seen::Still => "still",
            Seen::ChangedAgain => "changed_again",
        }
    }
}

/// One cell on both sides.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The target's name of the column.
    pub column: String,
    /// Nothing where the source has no such row.
    pub source: Option<Cell>,
    /// Nothing where the target has no such row.
    pub target: Option<Cell>,
}

/// A value to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// `null`, the name of a type, `malformed` for text that is not UTF-8, or `masked` for a secret.
    pub class: &'static str,
    /// The value as JSON text: integers within 2^53 as numbers, beyond as strings; decimals, times, UUIDs as strings; bytes in
    /// base64; JSON documents as they are; a masked value as a string of asterisks.
    pub json: String,
}

#[cfg(test)]
mod tests;
