//! `analyze`: what a store holds, table by table and column by column, in one pass and bounded memory. Nothing is written.

mod distinct;
mod format;

use super::{Run, Watch};
use crate::{
    error::Result,
    report::{Cell, cell as shown},
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    store::Source,
    value::{
        Value,
        cast::Cast,
        cell::{self, tag},
    },
};
use distinct::Counter;
pub use distinct::Distinct;
use serde::de::IgnoredAny;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Names of members of JSON objects that are counted for a column at most.
const MEMBERS_MAX: usize = 64;

/// Bytes of a text that the least and the greatest value are told by.
const PREFIX_MAX: usize = 120;

/// What one table holds.
#[derive(Clone, Debug, Default)]
pub struct TableAnalysis {
    /// Its name.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Bytes of the largest row.
    pub largest: u64,
    /// In the store's order.
    pub columns: Vec<ColumnAnalysis>,
    /// Why nothing was read.
    pub unreadable: Option<String>,
}

/// What one column holds.
#[derive(Clone, Debug)]
pub struct ColumnAnalysis {
    /// Its name.
    pub name: String,
    /// The name of the type that the store declares.
    pub declared: &'static str,
    /// How many values of each class there are, NULL apart; JSON documents by their kind.
    pub found: BTreeMap<String, u64>,
    /// How often it is NULL.
    pub nulls: u64,
    /// Bytes of its values.
    pub bytes: u64,
    /// Bytes of the largest value.
    pub largest: u64,
    /// How many different values there are.
    pub distinct: Distinct,
    /// The least value, unless it is secret or has no order.
    pub least: Option<Cell>,
    /// The greatest one.
    pub greatest: Option<Cell>,
    /// What texts look like, and how many do. A text counts for one format; blanks around it count beside that.
    pub formats: BTreeMap<&'static str, u64>,
    /// The members of JSON objects, and in how many they are.
    pub members: BTreeMap<String, u64>,
    /// There are members with other names than these.
    pub more_members: bool,
    /// Its values are shown nowhere.
    pub secret: bool,
}

/// Says whether the values of a column, by table and name, are shown nowhere.
pub type Secret<'s> = dyn Fn(&str, &str) -> bool + 's;

/// Reads every table, or those that are `wanted`.
///
/// # Errors
/// If the store fails, or somebody asks the run to end.
pub fn analyze(
    run: &Run,
    store: &mut dyn Source,
    wanted: &[String],
    secret: &Secret<'_>,
) -> Result<Vec<TableAnalysis>> {
    let tables = store.tables()?;
    let tables: Vec<Table> = tables.into_iter().filter(|it| wanted.is_empty() || wanted.contains(&it.name)).collect();
    tables.iter().for_each(|it| run.watch.expect(it.rows_about.unwrap_or(0)));
    tables.iter().map(|it| one(run, store, it, secret)).collect()
}

fn one(run: &Run, store: &mut dyn Source, table: &Table, secret: &Secret<'_>) -> Result<TableAnalysis> {
    let mut out =
        TableAnalysis { name: table.name.clone(), unreadable: table.unreadable.clone(), ..Default::default() };
    if table.unreadable.is_some() || table.columns.is_empty() {
        return Ok(out);
    }
    let fields: Vec<Field> = table.columns.iter().map(|it| Field::new(it.name.as_str(), Cast::new(it.ty))).collect();
    let shape = Arc::new(Shape { key: 0, compared: fields.len(), fields, keyless: false });
    let columns = table.columns.iter().map(|it| Column::new(it.ty.name(), &it.name, secret(&table.name, &it.name)));
    let mut looking = Looking { watch: &run.watch, columns: columns.collect(), rows: 0, bytes: 0, largest: 0 };
    store.scan(table, &shape, &mut looking)?;
    (out.rows, out.bytes, out.largest) = (looking.rows, looking.bytes, looking.largest);
    out.columns = looking.columns.into_iter().map(Column::finish).collect();
    Ok(out)
}

/// Looks at every row.
struct Looking<'w> {
    watch: &'w Watch,
    columns: Vec<Column>,
    rows: u64,
    bytes: u64,
    largest: u64,
}

impl Feed for Looking<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.watch.read(batch.len() as u64)?;
        for row in batch.rows() {
            let size = self.columns.iter_mut().enumerate().map(|(place, it)| it.add(row.cell(place))).sum();
            self.rows += 1;
            self.bytes += size;
            self.largest = self.largest.max(size);
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

/// What is known of a column so far.
struct Column {
    told: ColumnAnalysis,
    found: HashMap<&'static str, u64>,
    distinct: Counter,
    /// The least and the greatest value, in a form whose bytes sort.
    ends: Option<[Vec<u8>; 2]>,
    ordered: Vec<u8>,
    scratch: Vec<u8>,
}

impl Column {
    fn new(declared: &'static str, name: &str, secret: bool) -> Column {
        let told = ColumnAnalysis {
            name: name.to_owned(),
            declared,
            found: BTreeMap::new(),
            nulls: 0,
            bytes: 0,
            largest: 0,
            distinct: Distinct::Exactly(0),
            least: None,
            greatest: None,
            formats: BTreeMap::new(),
            members: BTreeMap::new(),
            more_members: false,
            secret,
        };
        let (ordered, scratch) = (Vec::new(), Vec::new());
        Column { told, found: HashMap::new(), distinct: Counter::default(), ends: None, ordered, scratch }
    }

    /// Looks at a value. How many bytes it has.
    fn add(&mut self, bytes: &[u8]) -> u64 {
        if bytes == [tag::NULL] {
            self.told.nulls += 1;
            return 0;
        }
        let size = size(bytes);
        self.told.bytes += size;
        self.told.largest = self.told.largest.max(size);
        self.distinct.add(bytes);
        let mut scratch = std::mem::take(&mut self.scratch);
        let value = cell::decode(bytes, false, &mut scratch);
        *self.found.entry(class(value)).or_default() += 1;
        match value {
            Value::Text(text) => {
                self.text(text);
                self.order(Value::Text(prefix(text)));
            }
            Value::Json(text) => self.document(text),
            Value::Bytes(_) | Value::Raw(_) | Value::Malformed(_) => {}
            value => self.order(value),
        }
        self.scratch = scratch;
        size
    }

    fn text(&mut self, text: &str) {
        let blanks = format::has_blanks_around(text).then_some("blanks around");
        for it in format::of(text).into_iter().chain(blanks) {
            *self.told.formats.entry(it).or_default() += 1;
        }
    }

    /// Moves the ends apart, if the value lies beyond one of them.
    fn order(&mut self, value: Value<'_>) {
        if self.told.secret {
            return;
        }
        self.ordered.clear();
        cell::encode(value, true, &mut self.ordered);
        match &mut self.ends {
            None => self.ends = Some([self.ordered.clone(), self.ordered.clone()]),
            Some([least, greatest]) => {
                if self.ordered < *least {
                    self.ordered.clone_into(least);
                }
                if self.ordered > *greatest {
                    self.ordered.clone_into(greatest);
                }
            }
        }
    }

    fn document(&mut self, text: &str) {
        if self.told.secret || !text.starts_with('{') {
            return;
        }
        let names = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text).unwrap_or_default();
        for name in names.into_keys() {
            let room = self.told.members.len() < MEMBERS_MAX;
            match self.told.members.get_mut(&name) {
                Some(count) => *count += 1,
                None if room => drop(self.told.members.insert(name, 1)),
                None => self.told.more_members = true,
            }
        }
    }

    fn finish(self) -> ColumnAnalysis {
        let [least, greatest] = match self.ends {
            Some(ends) => ends.map(|it| Some(shown::cell(&it, true, false))),
            None => [None, None],
        };
        let found = self.found.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        ColumnAnalysis { found, distinct: self.distinct.finish(), least, greatest, ..self.told }
    }
}

/// Bytes of the value in a cell: without the tag, and without the length where the cell has one.
fn size(bytes: &[u8]) -> u64 {
    let around = if cell::is_fixed(bytes) { 1 } else { 5 };
    bytes.len().saturating_sub(around) as u64
}

/// The longest beginning of a text that is kept of it, to tell the least value from others.
fn prefix(text: &str) -> &str {
    let end = (0..=PREFIX_MAX.min(text.len())).rev().find(|it| text.is_char_boundary(*it));
    &text[..end.unwrap_or(0)]
}

/// What kind of value it is, JSON documents by what they are.
fn class(value: Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Real(_) => "real",
        Value::Decimal(_) => "decimal",
        Value::Date(_) => "date",
        Value::Time(_) => "time",
        Value::Timestamp(_) => "timestamp",
        Value::DateTime(_) => "datetime",
        Value::Uuid(_) => "uuid",
        Value::Text(_) => "text",
        Value::Raw(_) | Value::Malformed(_) => "malformed",
        Value::Bytes(_) => "bytes",
        Value::Json(it) => match it.as_bytes().first() {
            Some(b'{') => "json object",
            Some(b'[') => "json array",
            Some(b'"') => "json string",
            Some(b't' | b'f') => "json boolean",
            Some(b'n') => "json null",
            _ => "json number",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{schema, store::memory::Memory, value::Type};

    fn looked(ty: Type, values: Vec<Value<'static>>, secret: bool) -> (TableAnalysis, ColumnAnalysis) {
        let mut table = Table::new("t");
        table.columns = vec![schema::Column::new("c", ty)];
        let mut store = Memory::new().with(table, values.into_iter().map(|it| [it]));
        let run = Run::new(64 << 20, std::env::temp_dir());
        let mut all = analyze(&run, &mut store, &[], &|_, _| secret).expect("a store in memory");
        let mut table = all.remove(0);
        let column = table.columns.remove(0);
        (table, column)
    }

    #[test]
    fn a_column_of_texts() {
        let long: &'static str = Box::leak("é".repeat(100).into_boxed_str());
        let values =
            vec![Value::Text("a@b.example"), Value::Text(" 17"), Value::Null, Value::Text("17"), Value::Text(long)];
        let (table, column) = looked(Type::Text, values, false);
        assert_eq!((table.rows, table.bytes, table.largest), (5, 216, 200));
        assert_eq!((column.nulls, column.distinct), (1, Distinct::Exactly(4)));
        assert_eq!(column.found, BTreeMap::from([("text".to_owned(), 4)]));
        assert_eq!(column.formats, BTreeMap::from([("blanks around", 1), ("e-mail", 1), ("integer", 1)]));
        assert_eq!(column.least.map(|it| it.json).as_deref(), Some("\" 17\""));
        assert_eq!(column.greatest.map(|it| it.json.chars().count()), Some(62), "told by its beginning");
    }

    #[test]
    fn a_column_of_documents() {
        let values = vec![Value::Json("{\"a\":1,\"b\":{\"c\":2}}"), Value::Json("{\"a\":null}"), Value::Json("[1]")];
        let (_, column) = looked(Type::Json, values, false);
        assert_eq!(column.found, BTreeMap::from([("json array".to_owned(), 1), ("json object".to_owned(), 2)]));
        assert_eq!(column.members, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        assert!(column.least.is_none() && !column.more_members);
    }

    #[test]
    fn what_is_secret_is_counted_and_not_shown() {
        let (_, column) = looked(Type::Int, vec![Value::Int(7), Value::Int(7), Value::Text("x")], true);
        assert_eq!((column.least, column.greatest, column.distinct), (None, None, Distinct::Exactly(2)));
        assert_eq!(column.found, BTreeMap::from([("int".to_owned(), 2), ("text".to_owned(), 1)]));
        let (_, column) = looked(Type::Json, vec![Value::Json("{\"s3cret\":1}")], true);
        assert!(column.members.is_empty());
    }
}
