//! Tables that exist in memory only, for tests and for expected rows.

use super::{Schemas, Source, places};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    value::{Value, time::Moment},
};
use std::{collections::VecDeque, sync::Arc};

/// A store of tables that hand out their rows in the order given.
///
/// ```
/// use cutover::{schema::{Column, Table}, store::{Source, memory::Memory}, value::{Type, Value}};
///
/// let mut users = Table::new("users");
/// users.columns = vec![Column::new("id", Type::Int), Column::new("email", Type::Text)];
/// let rows = [[Value::Int(1), Value::Text("mira@example.test")], [Value::Int(2), Value::Null]];
/// let mut store = Memory::new().with(users, rows);
/// assert_eq!(store.tables()?[0].rows_about, Some(2));
/// # Ok::<(), cutover::error::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Memory {
    tables: Vec<(Table, Vec<Vec<Owned>>)>,
    notes: Vec<String>,
    schemas: Schemas,
    /// What it becomes, refresh by refresh.
    later: VecDeque<Memory>,
}

/// A [`Value`] that borrows nothing.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the one of `Value` with its name")]
pub enum Owned {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Decimal(String),
    Date(i64),
    Time(u64),
    Timestamp(Moment),
    DateTime(Moment),
    Uuid([u8; 16]),
    Text(String),
    Malformed(Vec<u8>),
    Bytes(Vec<u8>),
    Json(String),
}

impl Memory {
    /// A store without tables.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// The store with one more table; each row has one value a column.
    #[must_use]
    pub fn with<R, V>(mut self, mut table: Table, rows: impl IntoIterator<Item = R>) -> Memory
    where
        R: IntoIterator<Item = V>,
        V: Into<Owned>,
    {
        let rows: Vec<Vec<Owned>> = rows.into_iter().map(|it| it.into_iter().map(Into::into).collect()).collect();
        debug_assert!(rows.iter().all(|it| it.len() == table.columns.len()), "a row has one value a column");
        table.rows_about = Some(rows.len() as u64);
        self.tables.push((table, rows));
        self
    }

    /// The store, which becomes another one when it is looked at again, each time the next. The last one stays.
    #[must_use]
    pub fn then(mut self, next: Memory) -> Memory {
        self.later.push_back(next);
        self
    }

    /// The store of tables of these schemas.
    #[must_use]
    pub fn of(mut self, schemas: Schemas) -> Memory {
        self.schemas = schemas;
        self
    }

    /// The store with something to say in the report.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Memory {
        self.notes.push(note.into());
        self
    }
}

impl Source for Memory {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.tables.iter().map(|it| it.0.clone()).collect())
    }

    fn schemas(&mut self) -> Result<Schemas> {
        Ok(self.schemas.clone())
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let Some((_, rows)) = self.tables.iter().find(|it| it.0.name == table.name) else {
            return Err(Error::new(Kind::Store, format_args!("no table `{}` in memory", table.name)));
        };
        let places = places(table, shape)?;
        let mut batch = Batch::new(Arc::clone(shape));
        for row in rows {
            batch.push_with(|field| Ok(row.get(places[field]).map_or(Value::Null, Owned::value)))?;
            if batch.is_full() && feed.take(&mut batch)? == Flow::Stop {
                return Ok(());
            }
        }
        feed.take(&mut batch).map(|_| ())
    }

    fn refresh(&mut self) -> Result<()> {
        if let Some(next) = self.later.pop_front() {
            (self.tables, self.notes) = (next.tables, next.notes);
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl Owned {
    /// The value, borrowed.
    pub fn value(&self) -> Value<'_> {
        match self {
            Owned::Null => Value::Null,
            Owned::Bool(it) => Value::Bool(*it),
            Owned::Int(it) => Value::Int(*it),
            Owned::Real(it) => Value::Real(*it),
            Owned::Decimal(it) => Value::Decimal(it),
            Owned::Date(it) => Value::Date(*it),
            Owned::Time(it) => Value::Time(*it),
            Owned::Timestamp(it) => Value::Timestamp(*it),
            Owned::DateTime(it) => Value::DateTime(*it),
            Owned::Uuid(it) => Value::Uuid(*it),
            Owned::Text(it) => Value::Text(it),
            Owned::Malformed(it) => Value::Malformed(it),
            Owned::Bytes(it) => Value::Bytes(it),
            Owned::Json(it) => Value::Json(it),
        }
    }
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Owned {
        match value {
            Value::Null => Owned::Null,
            Value::Bool(it) => Owned::Bool(it),
            Value::Int(it) => Owned::Int(it),
            Value::Real(it) => Owned::Real(it),
            Value::Decimal(it) => Owned::Decimal(it.to_owned()),
            Value::Date(it) => Owned::Date(it),
            Value::Time(it) => Owned::Time(it),
            Value::Timestamp(it) => Owned::Timestamp(it),
            Value::DateTime(it) => Owned::DateTime(it),
            Value::Uuid(it) => Owned::Uuid(it),
            Value::Text(it) => Owned::Text(it.to_owned()),
            Value::Raw(it) | Value::Malformed(it) => Owned::Malformed(it.to_vec()),
            Value::Bytes(it) => Owned::Bytes(it.to_vec()),
            Value::Json(it) => Owned::Json(it.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::Field,
        schema::Column,
        value::{Type, cast::Cast},
    };

    struct Kept(Vec<Vec<Owned>>, usize);

    impl Feed for Kept {
        fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
            let mut scratch = Vec::new();
            for row in batch.rows() {
                let width = row.shape().width();
                self.0.push((0..width).map(|it| Owned::from(row.value(it, &mut scratch))).collect());
            }
            batch.clear();
            self.1 += 1;
            Ok(if self.1 > 1 { Flow::Stop } else { Flow::Continue })
        }
    }

    fn shape(columns: &[&str]) -> Arc<Shape> {
        let field = |it: &&str| Field::new(*it, Cast::new(Type::Any));
        Arc::new(Shape { fields: columns.iter().map(field).collect(), compared: columns.len(), ..Shape::default() })
    }

    #[test]
    fn rows_come_as_given() {
        let mut table = Table::new("t");
        table.columns = vec![Column::new("a", Type::Any), Column::new("b", Type::Any)];
        let rows = [
            [Value::Int(2), Value::Null],
            [Value::Int(1), Value::Bytes(&[0, 255])],
            [Value::Malformed(b"\xff"), Value::Text("x")],
        ];
        let mut store = Memory::new().with(table.clone(), rows).note("kept in memory");
        let mut kept = Kept(Vec::new(), 0);
        store.scan(&table, &shape(&["b", "a"]), &mut kept).unwrap();
        let wanted: Vec<Vec<Owned>> = rows.iter().map(|it| vec![it[1].into(), it[0].into()]).collect();
        assert_eq!(kept.0, wanted);
        assert_eq!(store.notes(), ["kept in memory"]);
        let missing = store.scan(&table, &shape(&["c"]), &mut kept).unwrap_err();
        assert_eq!(missing.to_string(), "table `t` has no column `c`");
        let missing = store.scan(&Table::new("u"), &shape(&[]), &mut kept).unwrap_err();
        assert_eq!(missing.to_string(), "no table `u` in memory");
    }

    #[test]
    fn a_feed_that_has_enough_ends_the_scan() {
        let mut table = Table::new("t");
        table.columns = vec![Column::new("a", Type::Text)];
        let text = "x".repeat(100 << 10);
        let mut store = Memory::new().with(table.clone(), (0..20).map(|_| [Value::Text(&text)]));
        let mut kept = Kept(Vec::new(), 0);
        store.scan(&table, &shape(&["a"]), &mut kept).unwrap();
        assert_eq!((kept.0.len(), kept.1), (6, 2), "two batches of three rows, and no last one");
    }
}
