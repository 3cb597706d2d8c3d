//! Which rows of a source table the tables of a plan take by `prefix` and `where`, so that a row which none of them takes does
//! not go unseen; and the records that index rows list.

use super::{
    MakeProgram, Run,
    index::{KeyIndex, Reach},
    table::Outcome,
};
use crate::{
    diff::references::{Index, values},
    error::{Error, Kind, Result},
    plan::{Mapping, Plan},
    report::cell,
    row::{Batch, Feed, Field, Flow, Row, Shape},
    schema::Table,
    store::Source,
    transform::{Context, KeySelector, Program, begins},
    value::{Type, cast::Cast},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Rows that no table takes, shown as examples.
const EXAMPLES: usize = 5;
/// The longest key that is shown, in characters.
const KEY_MAX: usize = 80;

/// A source table of which the tables of a plan select rows.
pub struct Selection {
    from: Table,
    readers: Vec<Reader>,
    leave: Vec<String>,
    /// Keys hold secrets.
    hidden: bool,
}

/// A table of the plan that reads it.
struct Reader {
    /// Its place among the pairings.
    at: usize,
    into: String,
    keys: KeySelector,
    /// Makes the program that lets through what `where` leaves, where there is one.
    remainder: Option<Box<MakeProgram>>,
    index: Option<KeyIndex>,
}

/// How the rows of a source table were shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// The source's table.
    pub table: String,
    /// Whether a `prefix` selects rows of it.
    pub prefixed: bool,
    /// Rows that no table takes.
    pub unselected: u64,
    /// The keys of some of them, as JSON.
    pub examples: Vec<String>,
    /// Rows in all, and the rows that each prefix chose, in a sentence. Nothing where there is nothing to say.
    pub note: Option<String>,
    /// What could not be checked, by the place of the pairing.
    pub unchecked: Vec<(usize, String)>,
    /// The places of the pairings whose index was read and compared.
    pub indexed: Vec<usize>,
    /// Prefixes of `leave` that some row begins with.
    pub left: Vec<String>,
}

impl Selection {
    /// The selections of a plan, one for each source table of which rows are selected. `read` says which mapping reads which
    /// table, as which of the pairings, and whether the keys it reads are secret.
    pub(super) fn of(plan: &Plan, read: &[(usize, &Mapping, &Table, bool)], context: &Context) -> Vec<Selection> {
        let mut all = BTreeMap::<&str, Selection>::new();
        for &(at, mapping, from, hidden) in read {
            let selection = all.entry(&from.name).or_insert_with(|| Selection {
                from: from.clone(),
                readers: Vec::new(),
                leave: plan.gate.leave.clone(),
                hidden: false,
            });
            selection.hidden |= hidden;
            selection.readers.push(Reader {
                at,
                into: mapping.into.clone(),
                keys: KeySelector::of(mapping),
                remainder: mapping.filter.is_some().then(|| remainder(mapping, from, context)),
                index: KeyIndex::of(mapping, from, context),
            });
        }
        let selects = |it: &Reader| it.keys.selects() || it.remainder.is_some();
        let selected = |it: &Selection| it.from.unreadable.is_none() && it.readers.iter().any(selects);
        all.into_values().filter(selected).collect()
    }

    /// Reads the table once more and says who takes what. Findings of indexes go to the `outcomes` of their tables.
    ///
    /// # Errors
    /// If the store fails, or an index cannot be written to disk.
    pub(super) fn survey(
        &self,
        run: &Run,
        store: &mut dyn Source,
        outcomes: &mut BTreeMap<usize, Outcome>,
    ) -> Result<Shares> {
        let mut programs = self.remainders()?;
        let shape = programs.first().map_or_else(|| self.keys_alone(), Program::input);
        let sharers = 3 * self.readers.iter().filter(|it| it.index.is_some()).count();
        let reach = Reach { from: &self.from, key: self.keys_alone(), budget: &|| run.index_budget(sharers), run };
        let mut census = Census::new(self, run, &mut programs, &reach);
        store.scan(&self.from, &shape, &mut census)?;
        let Census { rows, counts, left, unselected, examples, records, .. } = census;
        let (mut unchecked, mut indexed) = (Vec::new(), Vec::new());
        for (reader, records) in self.readers.iter().zip(records) {
            let (Some(index), Some(records)) = (&reader.index, records) else { continue };
            let Some(outcome) = outcomes.get_mut(&reader.at) else { continue };
            let found = index.check(&reach, store, records.finish()?, self.hidden, outcome)?;
            if found.is_empty() {
                indexed.push(reader.at);
            }
            unchecked.extend(found.into_iter().map(|it| (reader.at, it)));
        }
        let prefixed = self.readers.iter().any(|it| !it.keys.prefixes().is_empty());
        Ok(Shares {
            table: self.from.name.clone(),
            note: (prefixed || unselected > 0).then(|| self.note(rows, &counts, &left, unselected)),
            left: self.leave.iter().zip(&left).filter(|it| *it.1 > 0).map(|it| it.0.clone()).collect(),
            prefixed,
            unselected,
            examples: examples.iter().map(|it| shown(it)).collect(),
            unchecked,
            indexed,
        })
    }

    /// The programs whose remainder nobody takes, none where some table takes all rows.
    fn remainders(&self) -> Result<Vec<Program>> {
        if self.takes_all() {
            return Ok(Vec::new());
        }
        let made = self.readers.iter().filter_map(|it| it.remainder.as_ref()).map(|make| make());
        Ok(made.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn takes_all(&self) -> bool {
        self.readers.iter().any(|it| it.keys.prefixes().is_empty() && it.remainder.is_none())
    }

    /// The shape of rows of which nothing but the key is asked for.
    fn keys_alone(&self) -> Arc<Shape> {
        let keys = self.from.names(&self.from.key);
        let fields: Vec<Field> = keys.iter().map(|it| Field::new(it, Cast::new(Type::Any))).collect();
        Arc::new(Shape { key: fields.len(), compared: fields.len(), fields, ..Shape::default() })
    }

    fn note(&self, rows: u64, counts: &[Vec<u64>], left: &[u64], unselected: u64) -> String {
        let chosen = self.readers.iter().zip(counts).flat_map(|(reader, counts)| {
            let each = reader.keys.prefixes().iter().zip(counts);
            each.map(|(prefix, count)| format!("`{prefix}` chose {count} for {}", reader.into))
        });
        let left = self.leave.iter().zip(left).filter(|it| *it.1 > 0);
        let left = left.map(|(prefix, count)| format!("{count} left behind as `leave` says, `{prefix}`"));
        let none = (!self.takes_all()).then(|| format!("{unselected} taken by no table"));
        let parts = chosen.chain(left).chain(none).collect::<Vec<_>>().join("; ");
        format!("{}: {rows} rows: {parts}", self.from.name)
    }
}

fn remainder(mapping: &Mapping, from: &Table, context: &Context) -> Box<MakeProgram> {
    let (mapping, from, context) = (mapping.clone(), from.clone(), context.clone());
    Box::new(move || {
        let failed = |_| Error::new(Kind::Broken, format_args!("the `where` of `{}` compiled only once", mapping.into));
        Program::remainder(&mapping, &from, &context).map(Some).map_err(failed)
    })
}

/// Counts who takes each row, and passes those that are taken by no key alone through the remainders.
struct Census<'c> {
    selection: &'c Selection,
    run: &'c Run,
    programs: &'c mut [Program],
    last: Arc<Shape>,
    rows: u64,
    /// By reader and prefix.
    counts: Vec<Vec<u64>>,
    left: Vec<u64>,
    unselected: u64,
    /// The least keys: rows come in any order.
    examples: BTreeSet<Vec<u8>>,
    /// By reader: the keys of the records that its index has to list.
    records: Vec<Option<Index>>,
    scratch: Vec<u8>,
}

impl<'c> Census<'c> {
    fn new(selection: &'c Selection, run: &'c Run, programs: &'c mut [Program], reach: &Reach<'_>) -> Census<'c> {
        let readers = &selection.readers;
        Census {
            last: selection.keys_alone(),
            counts: readers.iter().map(|it| vec![0; it.keys.prefixes().len()]).collect(),
            left: vec![0; selection.leave.len()],
            records: readers.iter().map(|it| it.index.as_ref().map(|_| reach.index())).collect(),
            selection,
            run,
            programs,
            rows: 0,
            unselected: 0,
            examples: BTreeSet::new(),
            scratch: Vec::new(),
        }
    }

    /// Whether a row is accounted for by its key alone.
    fn is_taken(&mut self, row: Row<'_>) -> Result<bool> {
        self.rows += 1;
        let mut scratch = std::mem::take(&mut self.scratch);
        // Without a key there is no prefix, and nothing looks at the first cell.
        let key = if row.shape().key == 1 { row.value(0, &mut scratch) } else { crate::value::Value::Null };
        let (mut taken, mut index) = (false, false);
        for (place, reader) in self.selection.readers.iter().enumerate() {
            for (prefix, count) in reader.keys.prefixes().iter().zip(&mut self.counts[place]) {
                *count += u64::from(begins(key, prefix) && reader.keys.takes(key));
            }
            taken |= reader.remainder.is_none() && reader.keys.takes(key);
            index |= reader.keys.is_index(key);
            if let (Some(listed), Some(records)) = (&reader.index, &mut self.records[place])
                && listed.is_record(key)
            {
                records.add(row)?;
            }
        }
        self.scratch = scratch;
        Ok(taken || index)
    }

    /// Notes a row that no table takes.
    fn unselected(&mut self, row: Row<'_>) {
        let key = row.shape().key;
        if key == 1 {
            let key = row.value(0, &mut self.scratch);
            if let Some(place) = self.selection.leave.iter().position(|it| begins(key, it)) {
                self.left[place] += 1;
                return;
            }
        }
        self.unselected += 1;
        if key == 0 || self.selection.hidden {
            return;
        }
        if self.examples.len() == EXAMPLES {
            if self.examples.last().is_some_and(|it| it.as_slice() <= row.key()) {
                return;
            }
            self.examples.pop_last();
        }
        self.examples.insert(row.key().to_vec());
    }
}

/// The cells of a key as JSON, a long one cut.
fn shown(key: &[u8]) -> String {
    let mut cells = Vec::new();
    values(key, |it| cells.push(cell::cell(it, true, false).json));
    let cells = cells.join(", ");
    let cut = cells.char_indices().nth(KEY_MAX).map(|it| format!("{}…", &cells[..it.0]));
    cut.unwrap_or(cells)
}

impl Feed for Census<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.run.watch.read(0)?;
        let mut rows = Batch::new(Arc::clone(batch.shape()));
        for row in batch.rows() {
            if !self.is_taken(row)? {
                rows.push_row(row);
            }
        }
        batch.clear();
        for place in 0..self.programs.len() {
            if rows.is_empty() {
                break;
            }
            let next = self.programs.get(place + 1).map_or_else(|| Arc::clone(&self.last), Program::input);
            let mut out = Batch::new(next);
            self.programs[place].apply(&rows, &mut out)?;
            rows = out;
        }
        if !self.selection.takes_all() {
            rows.rows().for_each(|row| self.unselected(row));
        }
        Ok(Flow::Continue)
    }
}
