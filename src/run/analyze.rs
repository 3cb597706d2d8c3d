//! `analyze`: what a store holds, table by table and column by column, in one pass and bounded memory. Nothing is written.

mod distinct;
mod format;

use super::{Run, Watch};
use crate::{
    error::{Error, Kind, Result},
    report::{Cell, cell as shown},
    row::{Batch, Feed, Field, Flow, Shape},
    schema::{self, Table},
    store::Source,
    value::{
        Value,
        cast::Cast,
        cell::{self, tag},
        decimal,
    },
};
use distinct::Counter;
pub use distinct::Distinct;
use serde::de::IgnoredAny;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Names of members of JSON objects that are counted for a column at most, and how many bytes such a name has at most.
const MEMBERS_MAX: usize = 64;

/// Bytes of a text that the least and the greatest value are told by.
const PREFIX_MAX: usize = 120;

/// Bytes that looking at a column takes, but for the values that are counted exactly: registers, ends and members.
const COLUMN: usize = 16 << 10;

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
    /// Why the store may hold more rows than these.
    pub partial: Option<String>,
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
    /// The least value, unless it is secret or has no order. Numbers of all classes go by their value.
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

/// Reads these tables of a store.
///
/// # Errors
/// If the store fails, a table has more columns than there is memory for, or somebody asks the run to end.
pub fn analyze(run: &Run, store: &mut dyn Source, tables: &[Table], secret: &Secret<'_>) -> Result<Vec<TableAnalysis>> {
    tables.iter().for_each(|it| run.watch.expect(it.rows_about.unwrap_or(0)));
    tables.iter().map(|it| one(run, store, it, secret)).collect()
}

fn one(run: &Run, store: &mut dyn Source, table: &Table, secret: &Secret<'_>) -> Result<TableAnalysis> {
    let (unreadable, partial) = (table.unreadable.clone(), table.partial.clone());
    let mut out = TableAnalysis { name: table.name.clone(), unreadable, partial, ..Default::default() };
    if table.unreadable.is_some() || table.columns.is_empty() {
        return Ok(out);
    }
    let fields: Vec<Field> = table.columns.iter().map(|it| Field::new(it.name.as_str(), Cast::new(it.ty))).collect();
    let shape = Arc::new(Shape { key: 0, compared: fields.len(), fields, keyless: false });
    let exact = exact_max(run, table)?;
    let column = |it: &schema::Column| Column::new(it.ty.name(), &it.name, secret(&table.name, &it.name), exact);
    let columns = table.columns.iter().map(column);
    let mut looking = Looking { watch: &run.watch, columns: columns.collect(), rows: 0, bytes: 0, largest: 0 };
    store.scan(table, &shape, &mut looking)?;
    (out.rows, out.bytes, out.largest) = (looking.rows, looking.bytes, looking.largest);
    out.columns = looking.columns.into_iter().map(Column::finish).collect();
    Ok(out)
}

/// How many different values of each column are counted exactly within half of the memory; the rest is the store's.
fn exact_max(run: &Run, table: &Table) -> Result<usize> {
    let (columns, mebibyte) = (table.columns.len(), 1 << 20);
    let each = (run.memory / 2 / columns).checked_sub(COLUMN).ok_or_else(|| {
        let message = format!(
            "`{}` has {columns} columns, too many to look at in so little memory; say --memory {}MiB",
            table.name,
            (2 * COLUMN * columns).div_ceil(mebibyte)
        );
        Error::new(Kind::Usage, message)
    })?;
    Ok(distinct::exact_max(each))
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
    /// The least and the greatest value by its tag, in a form whose bytes sort.
    ends: BTreeMap<u8, [Vec<u8>; 2]>,
    ordered: Vec<u8>,
    scratch: Vec<u8>,
}

impl Column {
    fn new(declared: &'static str, name: &str, secret: bool, exact: usize) -> Column {
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
        let (found, distinct, ends) = (HashMap::new(), Counter::new(exact), BTreeMap::new());
        Column { told, found, distinct, ends, ordered, scratch }
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
        let whole = matches!(bytes.first(), Some(&(tag::INT_LOW | tag::INT_HIGH)));
        *self.found.entry(if whole { "int" } else { class(value) }).or_default() += 1;
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

    /// Moves the ends of its kind apart, if the value lies beyond one of them.
    fn order(&mut self, value: Value<'_>) {
        if self.told.secret {
            return;
        }
        self.ordered.clear();
        cell::encode(value, true, &mut self.ordered);
        let tag = self.ordered.first().copied().unwrap_or_default();
        match self.ends.get_mut(&tag) {
            None => drop(self.ends.insert(tag, [self.ordered.clone(), self.ordered.clone()])),
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
            let room = self.told.members.len() < MEMBERS_MAX && name.len() <= MEMBERS_MAX;
            match self.told.members.get_mut(&name) {
                Some(count) => *count += 1,
                None if room => drop(self.told.members.insert(name, 1)),
                None => self.told.more_members = true,
            }
        }
    }

    fn finish(self) -> ColumnAnalysis {
        let ends = self.ends.values();
        let least = ends.clone().map(|it| &it[0]).min_by(|a, b| by_value(a, b));
        let greatest = ends.map(|it| &it[1]).max_by(|a, b| by_value(a, b));
        let [least, greatest] = [least, greatest].map(|it| it.map(|it| shown::cell(it, true, false)));
        let found = self.found.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        ColumnAnalysis { found, distinct: self.distinct.finish(), least, greatest, ..self.told }
    }
}

/// The order of two values in ordered form: numbers go by their value, other classes one after the other.
fn by_value(a: &[u8], b: &[u8]) -> Ordering {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => decimal::compare(&a, &b),
        _ => a.cmp(b),
    }
}

/// The canonical decimal of a number in ordered form. A double is its shortest text, as it is shown.
fn number(ordered: &[u8]) -> Option<String> {
    let (mut scratch, mut out) = (Vec::new(), Vec::new());
    match cell::decode(ordered, true, &mut scratch) {
        Value::Int(it) => decimal::from_i64(it, &mut out),
        Value::Real(it) => decimal::from_f64(it, &mut out),
        Value::Decimal(it) => return Some(it.to_owned()),
        _ => return None,
    }
    String::from_utf8(out).ok()
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
    use crate::{store::memory::Memory, value::Type};

    fn looked(ty: Type, values: Vec<Value<'static>>, secret: bool) -> (TableAnalysis, ColumnAnalysis) {
        let mut table = Table::new("t");
        table.columns = vec![schema::Column::new("c", ty)];
        let mut store = Memory::new().with(table, values.into_iter().map(|it| [it]));
        let run = Run::new(64 << 20, std::env::temp_dir());
        let tables = store.tables().expect("a table");
        let mut all = analyze(&run, &mut store, &tables, &|_, _| secret).expect("a store in memory");
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
    fn numbers_of_several_classes_go_by_their_value() {
        let check = |values: &[Value<'static>], least: &str, greatest: &str| {
            let (_, column) = looked(Type::Any, values.to_vec(), false);
            let ends = [column.least, column.greatest].map(|it| it.map(|it| it.json).unwrap_or_default());
            assert_eq!(ends, [least, greatest], "{values:?}");
        };
        let (big, small) = (Value::Decimal("99999999999999999999.5"), Value::Decimal("-0.5"));
        check(&[Value::Int(5), Value::Real(1.5)], "1.5", "5");
        check(&[Value::Int(-3), Value::Real(-2.5), Value::Decimal("-2.75")], "-3", "-2.5");
        // Decimals are shown as texts, since readers of JSON may make doubles of numbers.
        check(&[Value::Real(1e3), Value::Int(7), small], "\"-0.5\"", "1000.0");
        check(&[big, Value::Int(i64::MAX), Value::Real(0.25)], "0.25", "\"99999999999999999999.5\"");
        check(&[Value::Text("a"), Value::Real(2.5), Value::Int(3)], "2.5", "\"a\"");
    }

    #[test]
    fn integers_beyond_64_bits_are_integers() {
        let (_, column) = looked(Type::Int, vec![Value::Int(1), Value::Text("18446744073709551616")], false);
        assert_eq!(column.found, BTreeMap::from([("int".to_owned(), 2)]));
        assert_eq!(column.greatest.map(|it| it.json).as_deref(), Some("\"18446744073709551616\""));
    }

    #[test]
    fn memory_does_not_grow_with_columns() {
        let wide = |columns: usize| {
            let mut table = Table::new("wide");
            table.columns = (0..columns).map(|it| schema::Column::new(format!("c{it}"), Type::Int)).collect();
            exact_max(&Run::new(8 << 20, std::env::temp_dir()), &table)
        };
        assert_eq!(wide(1).ok(), Some(distinct::EXACT_MAX));
        assert_eq!(wide(128).ok(), Some(((4 << 20) / 128 - COLUMN) / distinct::EACH));
        assert_eq!(wide(256).ok(), Some(0));
        let error = wide(257).expect_err("too many columns");
        assert!(error.to_string().contains("`wide` has 257 columns") && error.to_string().ends_with("--memory 9MiB"));
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
