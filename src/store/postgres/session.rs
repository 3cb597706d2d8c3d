//! One connection inside one read-only transaction, whose snapshot others can share.

use super::{connect::Connection, failure};
use crate::error::{Error, Result};
use tokio_postgres::{Row, SimpleQueryMessage, types::ToSql};

/// A transaction that sees one state of the database.
pub(super) struct Session {
    pub connection: Connection,
    pub facts: Facts,
    /// By which other transactions can see the same state.
    snapshot: Option<String>,
}

/// What is known from the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Such as 150018.
    pub version: u32,
    /// `UTF8`, for one.
    pub encoding: String,
    /// The schemas of the search path that are there.
    pub schemas: Vec<String>,
    /// The search path as it is set.
    path: String,
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// For the time of the transaction. Rows come in the order in which they lie: no scan joins another one half way, none is shared out. No
/// function or operator of a user's takes the place of the system's. A policy that would hide rows is an error, unless said otherwise.
const LOCAL: &str = "\
    SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off; SET LOCAL statement_timeout = '60s'; \
    SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL jit = off; \
    SET LOCAL quote_all_identifiers = off;     SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0";

/// What cannot be converted is taken as it is.
const UNCONVERTED: &str = "SET LOCAL client_encoding = 'SQL_ASCII'";

const FACTS: &str = "
SELECT current_setting('server_version_num')::int4, current_setting('server_encoding'),
    ARRAY(SELECT s::text FROM unnest(current_schemas(false)) AS s WHERE s::text !~ '^pg_' AND s <> 'information_schema'),
    current_setting('search_path')";

impl Session {
    /// Begins to see the database as it is now.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn begin(connection: Connection) -> Result<Session> {
        let mut session = Session { connection, facts: Facts::default(), snapshot: None };
        session.enter()?;
        Ok(session)
    }

    /// Sees the database as the transaction does that the connection is in.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn within(connection: Connection) -> Result<Session> {
        let mut session = Session { connection, facts: Facts::default(), snapshot: None };
        session.look_around()?;
        session.settle()?;
        Ok(session)
    }

    /// Sees the database as it is now.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn renew(&mut self) -> Result<()> {
        self.run("ROLLBACK")?;
        self.enter()
    }

    fn enter(&mut self) -> Result<()> {
        // A pooler or another server that speaks the protocol may know no snapshots; then there is one reader.
        self.run(BEGIN)?;
        self.snapshot = match self.rows("SELECT pg_catalog.pg_export_snapshot()", &[]) {
            Ok(rows) => rows.first().and_then(|it| it.try_get(0).ok()),
            Err(_) => {
                self.run("ROLLBACK")?;
                self.run(BEGIN)?;
                None
            }
        };
        self.look_around()?;
        self.settle()
    }

    fn look_around(&mut self) -> Result<()> {
        let rows = self.rows(FACTS, &[])?;
        let read = |row: &Row| {
            let version: i32 = row.try_get(0)?;
            let version = u32::try_from(version).unwrap_or_default();
            Ok(Facts { version, encoding: row.try_get(1)?, schemas: row.try_get(2)?, path: row.try_get(3)? })
        };
        self.facts = rows.first().map(read).transpose().map_err(|it| begun(&it))?.unwrap_or_default();
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.run(LOCAL)?;
        // Other transactions may be ended for how long they take since PostgreSQL 17.
        if self.facts.version >= 170_000 {
            self.run("SET LOCAL transaction_timeout = 0")?;
        }
        if self.facts.encoding == "SQL_ASCII" { self.run(UNCONVERTED) } else { Ok(()) }
    }

    /// Another session that sees the very same state, if the server lets it.
    ///
    /// # Errors
    /// If the server cannot be reached once more.
    pub(super) fn again(&self) -> Result<Option<Session>> {
        let Some(snapshot) = &self.snapshot else { return Ok(None) };
        let connection = self.connection.again()?;
        let session = Session { connection, facts: self.facts.clone(), snapshot: Some(snapshot.clone()) };
        session.run(BEGIN)?;
        // The name is one that the server made: hexadecimal digits and hyphens.
        session.run(&format!("SET TRANSACTION SNAPSHOT '{}'", snapshot.replace('\'', "''")))?;
        session.settle()?;
        Ok(Some(session))
    }

    /// The rows of a query to the catalogs.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let Connection { client, runtime, .. } = &self.connection;
        runtime.block_on(client.query(sql, parameters)).map_err(|it| failure::of(&it, "cannot ask the server"))
    }

    /// The first column of what a query says, as text.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn texts(&self, sql: &str) -> Result<Vec<Option<String>>> {
        let Connection { client, runtime, .. } = &self.connection;
        let said = runtime.block_on(client.simple_query(sql));
        let said = said.map_err(|it| failure::of(&it, "cannot ask the server"))?;
        let text = |it| match it {
            SimpleQueryMessage::Row(row) => Some(row.try_get(0).ok().flatten().map(str::to_owned)),
            _ => None,
        };
        Ok(said.into_iter().filter_map(text).collect())
    }

    /// Runs statements that say nothing.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn run(&self, sql: &str) -> Result<()> {
        let Connection { client, runtime, .. } = &self.connection;
        runtime.block_on(client.batch_execute(sql)).map_err(|it| begun(&it))
    }

    /// Does something that may fail or set things, without a trace in the transaction.
    ///
    /// # Errors
    /// As `work`, and if the server fails.
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.run("SAVEPOINT aside")?;
        let done = work();
        let back = self.run("ROLLBACK TO SAVEPOINT aside; RELEASE SAVEPOINT aside");
        match (done, back) {
            (Ok(done), Ok(())) => Ok(done),
            (Err(it), _) | (Ok(_), Err(it)) => Err(it),
        }
    }

    /// Lets a user's own query, or a function behind a view, find what it names.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn as_the_user(&self) -> Result<()> {
        self.rows("SELECT pg_catalog.set_config('search_path', $1, true)", &[&self.facts.path]).map(|_| ())
    }
}

#[cold]
fn begun(error: &tokio_postgres::Error) -> Error {
    failure::of(error, "cannot go on in the transaction")
}
