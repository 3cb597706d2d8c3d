//! What a schema defines, one statement each: the service is asked for statements, and SQLite itself knows where they end.

use crate::error::{Error, Kind, Result};
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};

/// A table, an index, a view or a trigger.
pub(super) struct Definition {
    /// The table or view that it is, or belongs to.
    pub table: String,
    pub sql: String,
}

/// What the statements of `schema` define, in their order.
///
/// # Errors
/// If SQLite does not understand them, or they do anything else.
pub(super) fn definitions(schema: &str) -> Result<Vec<Definition>> {
    let failed = |it: rusqlite::Error| {
        let only = "it may create tables, indexes, views and triggers, nothing else";
        Error::new(Kind::Plan, format_args!("the schema of the target: {it}; {only}"))
    };
    let defined = || {
        let mut connection = Connection::open_in_memory()?;
        connection.authorizer(Some(|it: AuthContext<'_>| allow(it.action)))?;
        connection.execute_batch(schema)?;
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
        let query =
            "SELECT tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' ORDER BY rowid";
        let mut query = connection.prepare(query)?;
        let rows = query.query_map([], |row| Ok(Definition { table: row.get(0)?, sql: row.get(1)? }))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    defined().map_err(failed)
}

/// What the statements may do to a database that is gone right after.
fn allow(action: AuthAction<'_>) -> Authorization {
    let is_catalog = |name: &str| matches!(name, "sqlite_master" | "sqlite_schema");
    match action {
        // Whoever writes a schema for SQLite switches references on, which D1 always has.
        AuthAction::Pragma { .. } => Authorization::Ignore,
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        AuthAction::Insert { table_name } | AuthAction::Delete { table_name } if !is_catalog(table_name) => {
            Authorization::Deny
        }
        AuthAction::Update { table_name, .. } if !is_catalog(table_name) => Authorization::Deny,
        AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::CreateVtable { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropView { .. }
        | AuthAction::DropTrigger { .. } => Authorization::Deny,
        _ => Authorization::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_sqlite_says() {
        let found = definitions(
            "PRAGMA foreign_keys = ON; BEGIN; CREATE TABLE IF NOT EXISTS \"a;b\" (x TEXT DEFAULT ';' /* ; */, y UNIQUE);
             CREATE INDEX i ON \"a;b\" (x); -- done;
             CREATE TRIGGER t AFTER INSERT ON \"a;b\" BEGIN DELETE FROM \"a;b\" WHERE x = ''; SELECT 1; END; COMMIT",
        );
        let found: Vec<(String, String)> = found.unwrap().into_iter().map(|it| (it.table, it.sql)).collect();
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|it| it.0 == "a;b"), "{found:?}");
        assert!(found[0].1.starts_with("CREATE TABLE \"a;b\"") && found[2].1.ends_with("END"), "{found:?}");
    }

    #[test]
    fn nothing_but_definitions_is_taken() {
        for sql in [
            "CREATE TABLE t (x); INSERT INTO t VALUES (1)",
            "CREATE TABLE t (x); DROP TABLE t",
            "ATTACH 'x.db' AS x",
            "CREATE TEMP TABLE t (x)",
            "CREATE TABLE t (",
            "VACUUM INTO 'x.db'",
        ] {
            let error = definitions(sql).err().unwrap_or_else(|| panic!("{sql}"));
            assert_eq!(error.kind(), Kind::Plan, "{sql}: {error}");
        }
    }
}
