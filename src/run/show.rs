//! `show`: a look into a store.

use crate::{
    error::{Error, Kind, Result},
    report::{Cell, cell},
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    snapshot,
    store::Source,
    value::Value,
};
use std::sync::Arc;

/// Rows of one table, to be shown.
#[derive(Debug)]
pub struct Shown {
    /// The names of the columns, the key first.
    pub columns: Vec<String>,
    /// A cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// There are more rows.
    pub more: bool,
}

/// The table of that name.
///
/// # Errors
/// If there is none; then the names that there are, are said.
pub fn table(store: &mut dyn Source, name: &str) -> Result<Table> {
    let tables = store.tables()?;
    let names = tables.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = tables.into_iter().find(|it| it.name == name);
    found.ok_or_else(|| Error::new(Kind::Usage, format_args!("there is no table `{name}`; there are: {names}")))
}

/// Up to `limit` rows of a table, or the rows with the given key.
///
/// # Errors
/// If the store fails, or the key has more values than the table's.
pub fn rows(store: &mut dyn Source, table: &Table, key: &[String], limit: usize) -> Result<Shown> {
    let shape = snapshot::shape(table);
    let mut wanted = Vec::new();
    if key.len() > table.key.len() {
        let names = table.names(&table.key).join(", ");
        let message = format!("the key of `{}` is ({names}), {} values were given", table.name, key.len());
        return Err(Error::new(Kind::Usage, message));
    }
    for (text, field) in key.iter().zip(&shape.fields) {
        field.cast.write(Value::Text(text), true, &mut wanted);
    }
    let mut found = Found { wanted, limit, rows: Vec::new(), more: false };
    store.scan(table, &shape, &mut found)?;
    let columns = shape.fields.iter().map(|it| it.column.clone()).collect();
    Ok(Shown { columns, rows: found.rows, more: found.more })
}

/// How many rows a table has.
///
/// # Errors
/// If the store fails.
pub fn count(store: &mut dyn Source, table: &Table) -> Result<u64> {
    let narrow: Vec<_> = snapshot::shape(table).fields.iter().take(1).cloned().collect();
    let shape = Shape { key: 0, compared: narrow.len(), fields: narrow, keyless: false };
    let mut counted = Counted(0);
    store.scan(table, &Arc::new(shape), &mut counted)?;
    Ok(counted.0)
}

struct Found {
    wanted: Vec<u8>,
    limit: usize,
    rows: Vec<Vec<Cell>>,
    more: bool,
}

impl Feed for Found {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for row in batch.rows().filter(|it| it.key().starts_with(&self.wanted)) {
            if self.rows.len() == self.limit {
                self.more = true;
                return Ok(Flow::Stop);
            }
            let key = row.shape().key;
            self.rows.push((0..row.shape().width()).map(|it| cell::cell(row.cell(it), it < key, false)).collect());
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

struct Counted(u64);

impl Feed for Counted {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.0 += batch.len() as u64;
        batch.clear();
        Ok(Flow::Continue)
    }
}
