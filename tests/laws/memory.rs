//! A store in memory whose rows come in whatever order and batches a law wants.

use cutover::{
    error::Result,
    row::{Batch, Feed, Flow, Shape},
    schema::{Column, Origin, Table},
    store::Source,
    value::{Type, Value},
};
use std::sync::Arc;

/// A value that is owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    fn value(&self) -> Value<'_> {
        match self {
            Cell::Null => Value::Null,
            Cell::Int(it) => Value::Int(*it),
            Cell::Text(it) => Value::Text(it),
            Cell::Bytes(it) => Value::Bytes(it),
        }
    }

    /// As SQLite writes it.
    pub(crate) fn literal(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
        match self {
            Cell::Null => "NULL".to_owned(),
            Cell::Int(it) => it.to_string(),
            Cell::Text(it) => format!("CAST(x'{}' AS TEXT)", hex(it.as_bytes())),
            Cell::Bytes(it) => format!("x'{}'", hex(it)),
        }
    }
}

/// One table, its key first.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) types: Vec<Type>,
    /// How many columns are the key.
    pub(crate) key: usize,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Rows to a batch.
    pub(crate) batch: usize,
}

impl Memory {
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new("t");
        let columns = self.types.iter().enumerate();
        table.columns = columns.map(|(place, ty)| Column::new(format!("c{place}"), *ty)).collect();
        table.key = (0..self.key).collect();
        table.key_origin = Origin::Declared;
        table
    }

    /// The statements that make it in SQLite.
    pub(crate) fn sql(&self) -> String {
        let columns = self.types.iter().enumerate().map(|(place, ty)| {
            let declared = match ty {
                Type::Int => "INT",
                Type::Text => "TEXT",
                Type::Bytes => "BLOB",
                _ => "",
            };
            format!("c{place} {declared}")
        });
        let mut columns: Vec<String> = columns.collect();
        if self.key > 0 {
            let key: Vec<String> = (0..self.key).map(|it| format!("c{it}")).collect();
            columns.push(format!("PRIMARY KEY ({})", key.join(", ")));
        }
        let mut sql = format!("BEGIN; CREATE TABLE t ({});", columns.join(", "));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::literal).collect();
            sql.push_str(&format!("INSERT INTO t VALUES ({});", cells.join(", ")));
        }
        sql.push_str("COMMIT;");
        sql
    }
}

impl Source for Memory {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(vec![self.table()])
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let place = |name: &str| table.column(name).expect("a column of this table");
        let places: Vec<usize> = shape.fields.iter().map(|it| place(&it.column)).collect();
        let mut batch = Batch::new(Arc::clone(shape));
        for rows in self.rows.chunks(self.batch) {
            rows.iter().for_each(|row| batch.push(places.iter().map(|&it| row[it].value())));
            if feed.take(&mut batch)? == Flow::Stop {
                return Ok(());
            }
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<()> {
        Ok(())
    }
}
