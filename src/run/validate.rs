//! `validate`: the rows of one store against types, keys, references and rules, without a counterpart.
//!
//! It is the same merge as a comparison, whose other side has the same tables and no rows: what is wrong with a row shows all the
//! same. A row that differs from nothing is no finding here.

use super::{
    Run,
    prepare::{self, Opened, Options, Problem},
    table::Migrating,
    verify::Task,
};
use crate::{
    diff::{self, Sink, Tally},
    error::Result,
    gate::Verdict,
    pairing::Comparison,
    plan::{Limit, Plan, Policy},
    report::{Finding, FindingKind, Report, Side, StoreName, TableReport},
    row::{Feed, Misfit, Row, Shape},
    schema::Table,
    store::Source,
    value::cell::tag,
};
use std::sync::Arc;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// The store.
    pub store: StoreName,
    /// Each table that was read.
    pub tables: Vec<Checked>,
    /// What could not be checked, a sentence each.
    pub unchecked: Vec<String>,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

/// One table.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The name by which its rules go.
    pub name: String,
    /// Rows read, or made by the mapping.
    pub rows: u64,
    /// How many there are of each kind, in the order of [`KINDS`].
    pub counts: [u64; KINDS.len()],
    /// Examples.
    pub errors: Vec<Finding>,
}

/// The kinds of error, and how each is called.
pub const KINDS: [(FindingKind, &str); 5] = [
    (FindingKind::Reject, "rejects"),
    (FindingKind::Invalid, "invalid"),
    (FindingKind::Duplicate, "duplicates"),
    (FindingKind::Clash, "clashes"),
    (FindingKind::Orphan, "orphans"),
];

impl Validation {
    /// Errors of all tables.
    pub fn errors(&self) -> u64 {
        self.tables.iter().map(Checked::total).sum()
    }

    /// What came of it: a failure outweighs what could not be checked.
    pub fn verdict(&self) -> Verdict {
        match (self.errors(), self.unchecked.is_empty()) {
            (0, true) => Verdict::Pass,
            (0, false) => Verdict::Unknown,
            _ => Verdict::Fail,
        }
    }
}

impl Checked {
    /// Errors of all kinds.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn of(table: TableReport, side: Side, limit: usize) -> Checked {
        let tally = table.tally;
        let rows = if side == Side::Source { tally.source_rows } else { tally.target_rows };
        let counts = [tally.rejects, tally.invalid, tally.duplicates(), tally.clashes, tally.orphans];
        let of_kind = |kind: FindingKind| table.findings.iter().filter(move |it| it.kind == kind).take(limit);
        let errors = KINDS.iter().flat_map(|it| of_kind(it.0)).cloned().collect();
        Checked { name: table.name, rows, counts, errors }
    }
}

/// Checks a store by what it declares itself.
///
/// # Errors
/// If the store fails.
pub fn store(run: &Run, mut opened: Opened) -> Result<Validation> {
    let blank = Opened { store: Box::new(Blank(opened.store.tables()?)), name: opened.name.clone() };
    let task = prepare::diff(opened, blank, &Options::default(), Policy::default())?;
    check(run, task, Side::Source)
}

/// Checks one side of a plan: the rows that the mapping makes of the source, or those of the target, by what the plan and the
/// target declare.
///
/// # Errors
/// If a store fails, or the plan does not fit it.
pub fn plan(run: &Run, plan: &Plan, mut opened: [Opened; 2], side: Side) -> Result<Validation, Problem> {
    let other = if side == Side::Source { 1 } else { 0 };
    let tables = opened[other].store.tables()?;
    opened[other].store = Box::new(Blank(tables));
    let [source, target] = opened;
    let mut task = prepare::plan(plan, source, target, (side == Side::Source).then_some(run))?;
    task.checks.clear();
    if side == Side::Target {
        task.selections.clear();
    }
    Ok(check(run, task, side)?)
}

fn check(run: &Run, mut task: Task, side: Side) -> Result<Validation> {
    // What has no counterpart, or no table to go to, may be as right as anything.
    task.source_only.clear();
    task.target_only.clear();
    task.policy.unselected = Some(Limit { all: u64::MAX, ..Limit::default() });
    for pairing in &mut task.tables {
        pairing.witnesses.clear();
        let comparison = Arc::make_mut(&mut pairing.comparison);
        for shape in [&mut comparison.source_shape, &mut comparison.target_shape] {
            // Nobody else is there to agree about it.
            let declared = Arc::make_mut(shape).fields.iter_mut().filter(|it| it.misfit == Misfit::Disputed);
            declared.for_each(|it| it.misfit = Misfit::Always);
        }
    }
    let store = if side == Side::Source { task.source_name.clone() } else { task.target_name.clone() };
    // A kind takes its share of the examples, and rows that have no counterpart take one too.
    let wide = Run { limit: run.limit.saturating_mul(KINDS.len() + 1), ..run.clone() };
    let report = task.run_with(&wide, (None, Migrating { validating: true, ..Migrating::default() }))?;
    let Report { tables, notes, around, .. } = report;
    let mut unchecked = around.reasons;
    for table in &tables {
        unchecked.extend(table.facts.unchecked.iter().map(|it| format!("{}: {it}", table.name)));
    }
    let tables = tables.into_iter().filter(|it| it.facts.compared).map(|it| Checked::of(it, side, run.limit)).collect();
    Ok(Validation { store, tables, unchecked, notes })
}

/// The tables of a store, without rows.
struct Blank(Vec<Table>);

impl Source for Blank {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.0.clone())
    }

    fn scan(&mut self, _: &Table, _: &Arc<Shape>, _: &mut dyn Feed) -> Result<()> {
        Ok(())
    }

    fn again(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(Some(Box::new(Blank(self.0.clone()))))
    }
}

/// Makes a finding of each NULL in a column whose table takes none.
pub(super) struct Full<'f> {
    next: &'f mut dyn Sink,
    places: Vec<usize>,
    found: Tally,
}

impl<'f> Full<'f> {
    /// Tells `next`; only what it was told, unless this is wanted.
    pub(super) fn before(next: &'f mut dyn Sink, comparison: &Comparison, wanted: bool) -> Full<'f> {
        let full = comparison.columns.iter().filter(|it| wanted && !comparison.target.columns[it.target].nullable);
        Full { next, places: full.filter_map(|it| it.place).collect(), found: Tally::default() }
    }

    /// Adds what was found.
    pub(super) fn add_to(self, tally: &mut Tally) {
        tally.invalid += self.found.invalid;
        tally.source_invalid += self.found.source_invalid;
    }

    fn look(&mut self, side: Side, row: Row<'_>) -> Result<()> {
        for &place in self.places.iter().filter(|it| row.cell(**it) == [tag::NULL]) {
            self.found.invalid += 1;
            self.found.source_invalid += u64::from(side == Side::Source);
            self.next.finding(diff::Finding::Invalid { side, row, place })?;
        }
        Ok(())
    }
}

impl Sink for Full<'_> {
    fn finding(&mut self, finding: diff::Finding<'_>) -> Result<()> {
        match finding {
            diff::Finding::Missing(row) => self.look(Side::Source, row)?,
            diff::Finding::Extra(row) => self.look(Side::Target, row)?,
            diff::Finding::Duplicate { side, row } => self.look(side, row)?,
            _ => {}
        }
        self.next.finding(finding)
    }

    fn same(&mut self, row: Row<'_>) -> Result<()> {
        self.next.same(row)
    }
}
