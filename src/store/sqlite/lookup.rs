//! Rows by their keys, where the table itself is stored in the order of the key.
//!
//! Only then is a key found in the table and not in an index beside it, which in a damaged file may say something else.

use super::{Sqlite, pass_on};
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
        if pass_on(&mut rows, &mut batch, feed, &context)? == Flow::Stop {
            return Ok(true);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{row::Field, store::Source, value::cast::Cast};
    use rusqlite::Connection;
    use std::path::Path;

    /// How many rows were fed, of those with the keys and of others.
    struct Counted<'k>(&'k Batch, [usize; 2]);

    impl Feed for Counted<'_> {
        fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
            for row in batch.rows() {
                self.1[usize::from(!self.0.rows().any(|it| it.bytes() == row.key()))] += 1;
            }
            batch.clear();
            Ok(Flow::Continue)
        }
    }

    /// `rows` are put into a table `t`, where the values of `asked` are looked for as `ty` in the column `k`.
    #[track_caller]
    fn check(columns: &str, rows: &str, ty: Type, asked: &[Value<'_>], expect: [usize; 2]) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&format!("CREATE TABLE t {columns}; INSERT INTO t (k) VALUES {rows}")).unwrap();
        let mut store = Sqlite::nameless(connection, Path::new("here"), false, Vec::new()).unwrap();
        let table = store.tables().unwrap().swap_remove(0);
        let field = || vec![Field::new("k", Cast::new(ty))];
        let mut keys = Batch::new(Arc::new(Shape { fields: field(), key: 1, compared: 1, keyless: false }));
        asked.iter().for_each(|it| keys.push([*it]));
        let shape = Arc::new(Shape { fields: field(), key: 1, compared: 1, keyless: false });
        let mut counted = Counted(&keys, [0, 0]);
        store.scan_keys(&table, &shape, &keys, &mut counted).unwrap();
        assert_eq!(counted.1, expect, "{columns}");
    }

    #[test]
    fn keys_are_looked_up_where_the_table_is_stored_by_them() {
        use Type::{Decimal, Int, Text, Uuid};
        let numbers = [Value::Int(2), Value::Int(9), Value::Null];
        check("(k INTEGER PRIMARY KEY, v)", "(1), (2), (3)", Int, &numbers, [1, 0]);
        check("(k INTEGER PRIMARY KEY, v)", "(1), (2), (3)", Decimal, &numbers, [1, 0]);
        check("(k INT PRIMARY KEY, v ANY) STRICT, WITHOUT ROWID", "(1), (2), (3)", Int, &numbers, [1, 0]);
        let texts = [Value::Text("b"), Value::Text("x")];
        check("(k TEXT PRIMARY KEY COLLATE NOCASE) STRICT, WITHOUT ROWID", "('a'), ('B')", Text, &texts, [0, 1]);
        // An index beside the table, or values of more than one form: everything is read.
        check("(k INT PRIMARY KEY, v)", "(1), (2), (3)", Int, &numbers, [1, 2]);
        check("(k INTEGER PRIMARY KEY DESC, v)", "(1), (2), (3)", Int, &numbers, [1, 2]);
        check("(k INT PRIMARY KEY, v) WITHOUT ROWID", "(1), (2), ('2x')", Int, &numbers, [1, 2]);
        check("(v INTEGER PRIMARY KEY, k)", "(1), (2), ('2')", Int, &numbers, [2, 1]);
        check("(k INTEGER PRIMARY KEY, v)", "(1), (2), (3)", Text, &[Value::Text("2")], [1, 2]);
        let uuid = [Value::Text("0000000000000000000000000000000a")];
        let rows = "('00000000-0000-0000-0000-00000000000A'), ('b')";
        check("(k TEXT PRIMARY KEY) STRICT, WITHOUT ROWID", rows, Uuid, &uuid, [1, 1]);
    }
}
