//! Databases that may be held by one transaction while a run goes on: those that hold no rows.

use crate::store::{sql::identifier, target::MARKS};
use rusqlite::Connection;

/// Whether no table of the database has a row, and no trigger would see in which order they come.
pub(super) fn is_blank(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT name, type = 'trigger' OR sql LIKE 'CREATE VIRTUAL%' FROM sqlite_schema \
        WHERE type IN ('table', 'trigger') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> ?1";
    let mut statement = connection.prepare(query)?;
    let mut found = statement.query([MARKS])?;
    while let Some(row) = found.next()? {
        let (name, acts): (String, bool) = (row.get(0)?, row.get(1)?);
        let asked = format!("SELECT EXISTS (SELECT 1 FROM {})", identifier(&name));
        if acts || connection.query_row(&asked, [], |it| it.get(0))? {
            return Ok(false);
        }
    }
    Ok(true)
}
