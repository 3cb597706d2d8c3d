//! Index rows: one row lists the ids of records that are rows of their own, as in `clients:all` → `client:{id}`. Who reads only
//! what the index lists loses every record that it does not, and skips every id without a record.

use super::{MakeProgram, Run, table::Outcome};
use crate::{
    diff::references::{Column, Entries, Entry, Index, Indexed, clashes, orphans},
    error::{Error, Kind, Result},
    plan::{self, Expression, Fault, Mapping, Rule},
    report::{Cell, Difference, Finding, FindingKind, Side, cell},
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    sort::Budget,
    store::Source,
    transform::{Context, Over, Program, begins},
    value::{Type, Value, cast::Cast},
};
use std::sync::Arc;

/// The column in which the program of an index puts the keys of the records that it lists.
const RECORD: &str = "record";

/// An index row and the records that it has to list.
pub(super) struct KeyIndex {
    key: String,
    record: String,
    /// Makes the program from the index row to the keys of records.
    ids: Box<MakeProgram>,
    /// Makes the program that lets those records through which the table takes, where a `where` has a say.
    chosen: Option<Box<MakeProgram>>,
}

/// What an index is checked with.
pub(super) struct Reach<'r> {
    pub from: &'r Table,
    /// The shape of rows of which nothing but the key is asked for.
    pub key: Arc<Shape>,
    pub budget: &'r dyn Fn() -> Budget,
    pub run: &'r Run,
}

impl Reach<'_> {
    /// An empty index of keys.
    pub(super) fn index(&self) -> Index {
        Index::new(vec![Column { place: 0, cast: None }], false, (self.budget)())
    }
}

/// What is wrong with the expression of an index.
pub(super) fn faults(mapping: &Mapping, from: &Table, context: &Context) -> Vec<Fault> {
    let Some(index) = &mapping.index else { return Vec::new() };
    Program::compile(&listing(mapping, index), from, None, context).err().unwrap_or_default()
}

impl KeyIndex {
    /// The index of a mapping, if it has one.
    pub(super) fn of(mapping: &Mapping, from: &Table, context: &Context) -> Option<KeyIndex> {
        let index = mapping.index.as_ref()?;
        let chosen = Mapping {
            into: mapping.into.clone(),
            prefix: vec![index.record.clone()],
            index: mapping.index.clone(),
            filter: mapping.filter.clone(),
            ..Mapping::default()
        };
        Some(KeyIndex {
            key: index.key.clone(),
            record: index.record.clone(),
            ids: maker(listing(mapping, index), from, context),
            chosen: mapping.filter.is_some().then(|| maker(chosen, from, context)),
        })
    }

    /// Whether the row of this key is one that the index has to list.
    pub(super) fn is_record(&self, key: Value<'_>) -> bool {
        begins(key, &self.record) && !self.is_index(key)
    }

    fn is_index(&self, key: Value<'_>) -> bool {
        matches!(key, Value::Text(it) if it == self.key)
    }

    /// Compares what the index lists with the `records` there are. Differences go to the table's `outcome`; what could not be
    /// compared is given back, a sentence each.
    ///
    /// # Errors
    /// If the store fails, or an index cannot be written to disk or read back.
    pub(super) fn check(
        &self,
        reach: &Reach<'_>,
        store: &mut dyn Source,
        mut records: Entries,
        hidden: bool,
        outcome: &mut Outcome,
    ) -> Result<Vec<String>> {
        let name = if hidden { "the index".to_owned() } else { format!("the index `{}`", self.key) };
        let Listed { ids, rows, unusable } = self.listed(reach, store)?;
        if rows == 0 {
            return Ok(vec![format!("{name} is not in the source, so nothing says which records there should be")]);
        }
        let mut ids = ids.finish()?;
        let mut chosen = self.chosen(reach, store)?;
        let mut findings = Findings { reach, outcome, hidden, key: &self.key };
        let places = format!("{} ({})", reach.from.name, reach.from.names(&reach.from.key).join(", "));
        let dangling = orphans(&mut ids, &mut records, |it| {
            findings.add(FindingKind::Orphan, None, ("dangling", it), places.clone())
        })?;
        let unindexed = orphans(chosen.as_mut().unwrap_or(&mut records), &mut ids, |it| {
            findings.add(
                FindingKind::Orphan,
                Some(it),
                ("unindexed", it),
                "the index, which does not list it".to_owned(),
            )
        })?;
        let repeated = clashes(&mut ids, |it| {
            findings.add(FindingKind::Clash, None, ("repeated", it), format!("the ids of {name}"))
        })?;
        outcome.tally.orphans += dangling + unindexed;
        outcome.tally.source_orphans += dangling + unindexed;
        outcome.tally.clashes += repeated;
        outcome.tally.source_clashes += repeated;
        Ok(unusable
            .into_iter()
            .map(|(count, why)| format!("entries of {name} that are no id: {count} ({why})"))
            .collect())
    }

    /// Reads the index row.
    fn listed(&self, reach: &Reach<'_>, store: &mut dyn Source) -> Result<Listed> {
        let Some(mut program) = (self.ids)()? else { return Err(recompiled(&self.key)) };
        let input = program.input();
        let mut keys = Batch::new(Arc::clone(&reach.key));
        keys.push([Value::Text(&self.key)]);
        let fields = vec![Field::new(RECORD, Cast::new(Type::Any))];
        let shape = Arc::new(Shape { fields, key: 1, compared: 1, ..Shape::default() });
        let mut listed = Listed { ids: reach.index(), rows: 0, unusable: None };
        let (mut rows, mut refused) = (0, None);
        let mut indexed = Indexed { indexes: std::slice::from_mut(&mut listed.ids), next: None };
        let mut rejects = Rejects { found: &mut refused, next: &mut indexed };
        let mut over = Over::new(&mut program, shape, &mut rejects);
        let mut only = Only { index: self, run: reach.run, rows: &mut rows, next: &mut over };
        store.scan_keys(reach.from, &input, &keys, &mut only)?;
        (listed.rows, listed.unusable) = (rows, refused);
        Ok(listed)
    }

    /// The records that the table takes, where that is not all of them.
    fn chosen(&self, reach: &Reach<'_>, store: &mut dyn Source) -> Result<Option<Entries>> {
        let Some(make) = &self.chosen else { return Ok(None) };
        let Some(mut program) = make()? else { return Err(recompiled(&self.key)) };
        let (input, mut index) = (program.input(), reach.index());
        let mut indexed = Indexed { indexes: std::slice::from_mut(&mut index), next: None };
        store.scan(reach.from, &input, &mut Over::new(&mut program, Arc::clone(&reach.key), &mut indexed))?;
        index.finish().map(Some)
    }
}

/// What an index row lists.
struct Listed {
    ids: Index,
    /// Rows that have the key of the index.
    rows: u64,
    /// How many entries are no id, and what is wrong with the first.
    unusable: Option<(u64, String)>,
}

/// The mapping from the index row to an item for each id, whose key is made there too.
fn listing(mapping: &Mapping, index: &plan::KeyIndex) -> Mapping {
    let mut record = Vec::new();
    crate::value::json::write_string(&index.record, &mut record);
    let text = format!(
        "{} + (if type == \"string\" then . elif type == \"number\" then tostring else error(type) end)",
        String::from_utf8_lossy(&record)
    );
    let rule = Rule { from: Some(Expression { text, ..index.ids.clone() }), ..Rule::default() };
    Mapping {
        into: mapping.into.clone(),
        each: Some(index.ids.clone()),
        columns: Some(vec![(RECORD.to_owned(), rule)]),
        place: index.place.clone(),
        ..Mapping::default()
    }
}

fn maker(mapping: Mapping, from: &Table, context: &Context) -> Box<MakeProgram> {
    let (from, context) = (from.clone(), context.clone());
    Box::new(move || {
        let failed = |_| recompiled(&mapping.into);
        Program::compile(&mapping, &from, None, &context).map(Some).map_err(failed)
    })
}

fn recompiled(name: &str) -> Error {
    Error::new(Kind::Broken, format_args!("the index of `{name}` compiled only once; please report this defect"))
}

/// Makes findings of entries.
struct Findings<'f> {
    reach: &'f Reach<'f>,
    outcome: &'f mut Outcome,
    hidden: bool,
    key: &'f str,
}

impl Findings<'_> {
    /// Adds one about the index row, or about the record `of`.
    fn add(
        &mut self,
        kind: FindingKind,
        of: Option<Entry<'_>>,
        (column, entry): (&str, Entry<'_>),
        detail: String,
    ) -> Result<()> {
        let mut index = Vec::new();
        crate::value::cell::encode(Value::Text(self.key), true, &mut index);
        let shown = |bytes: &[u8]| -> Cell { cell::cell(bytes, true, self.hidden) };
        let (row, value) = match of {
            Some(record) => (shown(record.value), shown(&index)),
            None => (shown(&index), shown(entry.value)),
        };
        let names = self.reach.from.names(&self.reach.from.key);
        let key = names.into_iter().map(|it| (it, row.clone())).collect();
        let cells = vec![Difference { column: column.to_owned(), source: Some(value), target: None }];
        self.outcome.sampler.add(Finding {
            kind,
            side: Some(Side::Source),
            key,
            cells,
            detail: Some(detail),
            seen: None,
        })
    }
}

/// Lets the index row through and counts it.
struct Only<'o> {
    index: &'o KeyIndex,
    run: &'o Run,
    rows: &'o mut u64,
    next: &'o mut dyn Feed,
}

impl Feed for Only<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.run.watch.read(0)?;
        let (mut rows, mut scratch) = (Batch::new(Arc::clone(batch.shape())), Vec::new());
        for row in batch.rows() {
            if self.index.is_index(row.value(0, &mut scratch)) {
                rows.push_row(row);
            }
        }
        batch.clear();
        *self.rows += rows.len() as u64;
        if rows.is_empty() { Ok(Flow::Continue) } else { self.next.take(&mut rows) }
    }
}

/// Takes out what is no id.
struct Rejects<'r> {
    found: &'r mut Option<(u64, String)>,
    next: &'r mut dyn Feed,
}

impl Feed for Rejects<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for reject in batch.rejects.drain(..) {
            self.found.get_or_insert((0, reject.rule)).0 += 1;
        }
        self.next.take(batch)
    }
}
