//! Indexes that are left out while rows are written, as they are made at the end in less time than they are kept up to date.
//!
//! Which they are stands in the table of marks, from the very transaction that drops them: a row of the batch 0, the name of an
//! index in the place of a run, and the statement that made it in the place of a table. So whoever comes next puts them back.

use super::define;
use crate::{
    error::Result,
    schema::Table,
    store::{sql::identifier, target::MARKS},
};
use rusqlite::Connection;
use std::path::Path;

/// Drops the indexes of these tables that enforce nothing. Their names.
pub(super) fn drop_all(connection: &Connection, tables: &[Table]) -> rusqlite::Result<Vec<String>> {
    let query = r#"SELECT it.name, it.sql FROM pragma_index_list(?1) AS list
        JOIN sqlite_schema AS it ON it.type = 'index' AND it.name = list.name AND it.sql IS NOT NULL
        WHERE list."unique" = 0 ORDER BY it.name"#;
    let note = format!("INSERT OR REPLACE INTO {} (run, tbl, batch) VALUES (?1, ?2, 0)", identifier(MARKS));
    let mut out = Vec::new();
    for table in tables {
        let mut statement = connection.prepare(query)?;
        let found = statement.query_map([&table.name], |it| Ok((it.get(0)?, it.get(1)?)))?;
        let found: Vec<(String, String)> = found.collect::<rusqlite::Result<_>>()?;
        for (name, made) in found {
            connection.execute(&note, [&name, &made])?;
            connection.execute_batch(&format!("DROP INDEX {}", identifier(&name)))?;
            out.push(name);
        }
    }
    Ok(out)
}

/// Makes all indexes again that were left out. The tables that they belong to.
pub(super) fn put_back(connection: &Connection) -> Result<Vec<String>> {
    let path = Path::new(connection.path().unwrap_or_default());
    let failed = |it: rusqlite::Error| super::failed(path, &it).context("cannot make indexes again");
    let marks = identifier(MARKS);
    let found = || {
        let mut statement =
            connection.prepare(&format!("SELECT run, tbl FROM {marks} WHERE batch = 0 ORDER BY run"))?;
        let found = statement.query_map([], |it| Ok((it.get(0)?, it.get(1)?)))?;
        found.collect::<rusqlite::Result<Vec<(String, String)>>>()
    };
    let mut out = Vec::new();
    for (name, made) in found().map_err(failed)? {
        let owner = "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND name = ?1";
        define::index(connection, &made).map_err(|it| it.context(format_args!("cannot make index `{name}` again")))?;
        connection.execute(&format!("DELETE FROM {marks} WHERE batch = 0 AND run = ?1"), [&name]).map_err(failed)?;
        let table: rusqlite::Result<String> = connection.query_row(owner, [&name], |it| it.get(0));
        out.extend(table.ok().filter(|it| !out.contains(it)));
    }
    Ok(out)
}
