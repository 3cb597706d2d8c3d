//! Rows by their keys, where the table itself is stored in the order of the key.
//!
//! Only then is a key found in the table and not in an index beside it, which in a damaged file may say something else.

use super::{Sqlite, spout};
use crate::{
    error::Result,
    row::{Batch, Feed, Flow, Row, Shape},
    schema::Table,
    store::{places, sql},
    value::{Type, Value},
};
use rusqlite::{params_from_iter, types::Value as Bound};
use std::sync::Arc;

/// Feeds the rows that have one of `keys`. False: they cannot be looked up, and nothing was fed.
pub(super) fn scan(
    store: &Sqlite,
    table: &Table,
    shape: &Arc<Shape>,
    keys: &Batch,
    feed: &mut dyn Feed,
) -> Result<bool> {
    let places = places(table, shape)?;
    let (Some(own), false) = (places.get(..shape.key), shape.keyless) else { return Ok(false) };
    let bound: Option<Vec<Vec<Bound>>> = keys.rows().map(|it| values(it, table, own)).collect();
    let (Some(bound), true) = (bound, is_home(store, table, own)) else { return Ok(false) };
    let context = |it: &rusqlite::Error| store.failed(it).context(format_args!("cannot read table `{}`", table.name));
    let (columns, from) = store.select(table, &places);
    let is = own.iter().map(|&it| format!("{} IS ?", sql::identifier(&table.columns[it].name)));
    let condition = is.collect::<Vec<_>>().join(" AND ");
    let query = format!("SELECT {columns} FROM {from} WHERE {condition}");
    let mut statement = store.connection.prepare(&query).map_err(|it| context(&it))?;
    let mut batch = Batch::new(Arc::clone(shape));
    for key in bound {
        let mut rows = statement.query(params_from_iter(key)).map_err(|it| context(&it))?;
        while let Some(row) = rows.next().map_err(|it| context(&it))? {
            batch.fill_with(|place, slot| {
                spout::put(row.get_ref(place).map_err(|it| context(&it))?, slot);
                Ok(())
            })?;
            if batch.is_full() && feed.take(&mut batch)? == Flow::Stop {
                return Ok(true);
            }
        }
    }
    if !batch.is_empty() {
        let _ = feed.take(&mut batch)?;
    }
    store.unchanged()?;
    Ok(true)
}

/// What a key is in the file. Nothing: a cell could stand for more than one value, as a UUID does.
fn values(key: Row<'_>, table: &Table, places: &[usize]) -> Option<Vec<Bound>> {
    let mut scratch = Vec::new();
    let value = |(place, &column): (usize, &usize)| {
        let declared = table.columns.get(column)?.ty;
        Some(match (key.value(place, &mut scratch), declared) {
            (Value::Null, Type::Int | Type::Text) => Bound::Null,
            (Value::Int(it), Type::Int) => Bound::Integer(it),
            (Value::Decimal(it), Type::Int) => Bound::Integer(it.parse().ok()?),
            (Value::Text(it), Type::Text) => Bound::Text(it.to_owned()),
            _ => return None,
        })
    };
    places.iter().enumerate().map(value).collect()
}

/// Whether the table is stored in the order of these columns: its rowid under another name, or the key of a table without one.
fn is_home(store: &Sqlite, table: &Table, places: &[usize]) -> bool {
    let query = r#"SELECT about.wr, strict, (SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk'),
        (SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0 AND upper(type) = 'INTEGER')
        FROM pragma_table_list(?1) AS about WHERE about.schema = 'main' AND about.type = 'table'"#;
    let found = store.connection.query_row(query, [&table.name], |it| {
        Ok((it.get::<_, bool>(0)?, it.get::<_, bool>(1)?, it.get::<_, i64>(2)?, it.get::<_, i64>(3)?))
    });
    let whole = places == table.key;
    match found {
        // Without STRICT one text could be stored as bytes as well.
        Ok((true, strict, ..)) => whole && strict,
        Ok((false, _, indexes, integers)) => whole && places.len() == 1 && indexes == 0 && integers == 1,
        Err(_) => false,
    }
}
