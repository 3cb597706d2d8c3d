//! SQLite files, read-only for real.
//!
//! A file is opened `mode=ro` inside one read transaction, with the schema untrusted: neither the file nor what stands beside it
//! changes. Write-ahead logs are honoured. A file that is in WAL mode but has no log beside it is opened `immutable`, since
//! SQLite would create the log otherwise; should somebody write to it meanwhile, the run says so and ends.

mod about;
mod lookup;
mod spout;
pub(super) mod write;

use super::{
    Source,
    about::Fact,
    files::d1_export,
    places,
    pragmas::{self, Home, Listed},
    sql,
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    value::{Type, Value, cast::Cast, cell, json},
};
use rusqlite::{Connection, OpenFlags, Rows, config::DbConfig, types::ValueRef};
use std::{
    fs,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// One SQLite database.
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    views: bool,
    /// Size and time of the file when it was opened without locks.
    unlocked: Option<(u64, SystemTime)>,
    notes: Vec<String>,
    /// It was made for this run and has no name by which it could be opened again.
    nameless: bool,
}

/// How long another program may hold its lock.
const PATIENCE: Duration = Duration::from_secs(5);

impl Sqlite {
    /// Opens a database for reading. With `views`, views are tables too.
    ///
    /// # Errors
    /// If there is no such file, it is not a database, or another program holds it locked.
    pub fn open(path: &Path, views: bool) -> Result<Sqlite> {
        let name = path.display();
        let context = |it: Error| it.context(format_args!("cannot open {name}"));
        let immutable = needs_no_log(path).map_err(context)?;
        let connection = connect(path, immutable).map_err(|it| context(failed(path, &it)))?;
        let mut unlocked = None;
        if immutable {
            unlocked = Some(state(path).map_err(context)?);
        }
        let mut notes = Vec::new();
        let encoding: String = connection
            .query_row("SELECT encoding FROM pragma_encoding", [], |it| it.get(0))
            .map_err(|it| context(failed(path, &it)))?;
        if encoding != "UTF-8" {
            notes.push(format!("{name} holds {encoding}: a lone surrogate in its text reads as U+FFFD"));
        }
        Ok(Sqlite { connection, path: path.to_owned(), views, unlocked, notes, nameless: false })
    }

    /// Reads a database without a name that was made of the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn nameless(connection: Connection, path: &Path, views: bool, notes: Vec<String>) -> Result<Sqlite> {
        guard(&connection).map_err(|it| failed(path, &it))?;
        Ok(Sqlite { connection, path: path.to_owned(), views, unlocked: None, notes, nameless: true })
    }

    /// To ask for what is no table, by who knows the file.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> Error {
        failed(&self.path, error)
    }

    /// Without locks nobody keeps a writer out, so the file is looked at again.
    pub(super) fn unchanged(&self) -> Result<()> {
        match self.unlocked {
            Some(before) if before != state(&self.path)? || has_log(&self.path) => Err(Error::new(
                Kind::Busy,
                format_args!("{} was written to while it was being read; run again", self.path.display()),
            )),
            _ => Ok(()),
        }
    }

    /// The table with about how many rows it has, which its largest rowid says.
    fn counted(&self, Listed { mut table, rows }: Listed) -> Table {
        if let Home::Rowid(rowid) = rows {
            let query = format!("SELECT max({rowid}) FROM {}", sql::identifier(&table.name));
            let largest = self.connection.query_row(&query, [], |it| it.get::<_, Option<i64>>(0));
            table.rows_about = largest.ok().flatten().and_then(|it| u64::try_from(it).ok());
        }
        table
    }

    /// The rows of a query, every value as text.
    fn texts(&self, query: &str) -> rusqlite::Result<Vec<pragmas::Row>> {
        let mut statement = self.connection.prepare(query)?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let text = |place| {
                Ok(match row.get_ref(place)? {
                    ValueRef::Null | ValueRef::Blob(_) => None,
                    ValueRef::Integer(it) => Some(it.to_string()),
                    ValueRef::Real(it) => Some(it.to_string()),
                    ValueRef::Text(it) => Some(String::from_utf8_lossy(it).into_owned()),
                })
            };
            out.push((0..width).map(text).collect::<rusqlite::Result<_>>()?);
        }
        Ok(out)
    }

    /// The columns as a query lists them, and the table as it names where the table itself is stored. In a damaged file an index
    /// may say something else than its table, so none is read, although it may hold all columns or give the order of the key away.
    fn select(&self, table: &Table, places: &[usize]) -> (String, String) {
        let columns: Vec<String> = places.iter().map(|&it| sql::identifier(&table.columns[it].name)).collect();
        // A table without rowid is stored in the index of its key.
        let home: rusqlite::Result<String> = self.connection.query_row(
            "SELECT list.name FROM pragma_table_list(?1) AS about, pragma_index_list(?1) AS list
             WHERE about.schema = 'main' AND about.wr = 1 AND list.origin = 'pk'",
            [&table.name],
            |it| it.get(0),
        );
        let home = home.map_or("NOT INDEXED".to_owned(), |it| format!("INDEXED BY {}", sql::identifier(&it)));
        (columns.join(", "), format!("{} {home}", sql::identifier(&table.name)))
    }

    /// Whether this is a table and no view.
    fn is_stored(&self, table: &Table) -> bool {
        let query = "SELECT type = 'table' FROM pragma_table_list(?1) WHERE schema = 'main'";
        self.connection.query_row(query, [&table.name], |it| it.get(0)).unwrap_or(false)
    }

    /// Reads a query row by row, as every query can be read.
    fn rows(
        &self,
        query: &str,
        shape: &Arc<Shape>,
        feed: &mut dyn Feed,
        context: impl Fn(&rusqlite::Error) -> Error,
    ) -> Result<Flow> {
        let mut statement = self.connection.prepare(query).map_err(|it| context(&it))?;
        let mut rows = statement.query([]).map_err(|it| context(&it))?;
        let mut batch = Batch::new(Arc::clone(shape));
        let flow = pass_on(&mut rows, &mut batch, feed, &context)?;
        if flow == Flow::Continue && !batch.is_empty() {
            let _ = feed.take(&mut batch)?;
        }
        Ok(flow)
    }
}

/// Passes rows on, a full batch at a time. The last batch may stay behind.
fn pass_on(
    rows: &mut Rows<'_>,
    batch: &mut Batch,
    feed: &mut dyn Feed,
    context: &impl Fn(&rusqlite::Error) -> Error,
) -> Result<Flow> {
    while let Some(row) = rows.next().map_err(|it| context(&it))? {
        batch.fill_with(|place, slot| {
            spout::put(row.get_ref(place).map_err(|it| context(&it))?, slot);
            Ok(())
        })?;
        if batch.is_full() && feed.take(batch)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}

impl Source for Sqlite {
    fn tables(&mut self) -> Result<Vec<Table>> {
        let ask = |queries: &[&str]| queries.iter().map(|it| self.texts(it).map_err(|it| self.failed(&it))).collect();
        let listed = pragmas::tables(self.views, ask)?;
        Ok(listed.into_iter().map(|it| self.counted(it)).collect())
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let places = places(table, shape)?;
        let (columns, from) = self.select(table, &places);
        let context =
            |it: &rusqlite::Error| self.failed(it).context(format_args!("cannot read table `{}`", table.name));
        let flow = if spout::takes(&self.connection, places.len()) && self.is_stored(table) {
            spout::scan(&self.connection, (&columns, &from), shape, feed, context)?
        } else {
            self.rows(&format!("SELECT {columns} FROM {from}"), shape, feed, context)?
        };
        match flow {
            Flow::Continue => self.unchanged(),
            Flow::Stop => Ok(()),
        }
    }

    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        if lookup::scan(self, table, shape, keys, feed)? { Ok(()) } else { self.scan(table, shape, feed) }
    }

    fn release(&mut self) -> Result<()> {
        // Outside of a transaction nothing is locked.
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("ROLLBACK").map_err(|it| self.failed(&it))
    }

    fn refresh(&mut self) -> Result<()> {
        *self = if self.nameless {
            let loaded = d1_export::load(&self.path)?;
            Sqlite::nameless(loaded.connection, &self.path, self.views, loaded.notes)?
        } else {
            Sqlite::open(&self.path, self.views)?
        };
        Ok(())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        about::facts(self)
    }

    fn query(&mut self, query: &str) -> Result<Vec<String>> {
        let mut out = Vec::new();
        let run = |out: &mut Vec<String>| {
            // A query goes here and there, and wants its pages kept.
            self.connection.execute_batch("PRAGMA cache_size = -8000")?;
            let mut statement = self.connection.prepare(query)?;
            if !statement.readonly() {
                return Err(rusqlite::Error::InvalidQuery);
            }
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                out.push(as_json(meaning(row.get_ref(0)?)));
            }
            Ok(())
        };
        run(&mut out).map_err(|it| match it {
            rusqlite::Error::InvalidQuery => Error::new(Kind::Plan, "a check may only read, and this query writes"),
            it => Error::new(Kind::Plan, format_args!("the query of a check fails: {it}")),
        })?;
        Ok(out)
    }

    fn again(&self) -> Result<Option<Box<dyn Source>>> {
        let mode: rusqlite::Result<String> = self.connection.query_row("PRAGMA journal_mode", [], |it| it.get(0));
        // With a log, somebody may have written since. Without one the read lock of this transaction keeps everybody out.
        if self.nameless || self.unlocked.is_none() && mode.map_err(|it| self.failed(&it))? == "wal" {
            return Ok(None);
        }
        Ok(Some(Box::new(Sqlite::open(&self.path, self.views)?)))
    }

    fn speaks_sql(&self) -> bool {
        true
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// A value of SQLite as a store hands it out.
pub(super) fn meaning(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(it) => Value::Int(it),
        ValueRef::Real(it) => Value::Real(it),
        ValueRef::Text(it) => Value::Raw(it),
        ValueRef::Blob(it) => Value::Bytes(it),
    }
}

/// A value as canonical JSON text. Bytes and text that is not UTF-8 become text as far as they can.
pub(super) fn as_json(value: Value<'_>) -> String {
    let mut out = Vec::new();
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Int(_) | Value::Real(_) => {
            let (mut cell, mut scratch) = (Vec::new(), Vec::new());
            Cast::new(Type::Decimal).write(value, false, &mut cell);
            if let Value::Decimal(it) = cell::decode(&cell, false, &mut scratch) {
                out.extend_from_slice(it.as_bytes());
            }
        }
        Value::Text(it) => json::write_string(it, &mut out),
        Value::Bytes(it) | Value::Raw(it) | Value::Malformed(it) => {
            json::write_string(&String::from_utf8_lossy(it), &mut out)
        }
        _ => {}
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn connect(path: &Path, immutable: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, immutable), flags)?;
    connection.busy_timeout(PATIENCE)?;
    guard(&connection)?;
    Ok(connection)
}

/// Lets nothing be written, trusts nothing in the schema, and begins the one transaction in which everything is read.
fn guard(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A table is read from its first page to its last, so a few pages are enough, and they stay in the processor's cache.
    let pragmas =
        "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -192";
    connection.execute_batch(pragmas)?;
    connection.execute_batch("BEGIN")?;
    // The transaction begins with the first read, so that all tables are read as of one moment.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// SQLite takes options only from a URI, in which most bytes have to be escaped.
fn uri(path: &Path, immutable: bool) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str(if immutable { "?mode=ro&immutable=1" } else { "?mode=ro" });
    uri
}

/// Looks at the file before SQLite does: whether it is one, and whether it is in WAL mode without a log.
fn needs_no_log(path: &Path) -> Result<bool> {
    let error = |message: &str| Err(Error::new(Kind::Store, message));
    let about = match fs::metadata(path) {
        Ok(it) => it,
        Err(it) if it.kind() == std::io::ErrorKind::NotFound => return error("no such file"),
        Err(it) => return error(&it.to_string()),
    };
    if !about.is_file() {
        return error("it is not a file");
    }
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|it| it.take(100).read_to_end(&mut head));
    if let Err(it) = read {
        return error(&it.to_string());
    }
    // The first page of a new database may not be written yet where a transaction was cut off. SQLite takes that back, and tells.
    let cut_off = has_something(&beside(path, "-journal"));
    if !head.is_empty() && !head.starts_with(b"SQLite format 3\0") && !cut_off {
        return error("it is not a SQLite database");
    }
    let wal = head.get(18) == Some(&2) && head.get(19) == Some(&2);
    Ok(wal && !has_log(path))
}

/// Whether a log with something in it stands beside the file. Programs that only read leave an empty one behind.
fn has_log(path: &Path) -> bool {
    has_something(&beside(path, "-wal"))
}

fn has_something(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.len() > 0)
}

/// What stands beside a database of that name.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(what);
    PathBuf::from(name)
}

fn state(path: &Path) -> Result<(u64, SystemTime)> {
    let about = fs::metadata(path).and_then(|it| Ok((it.len(), it.modified()?)));
    about.map_err(|it| Error::new(Kind::Store, format_args!("{}: {it}", path.display())))
}

#[cold]
fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DatabaseLocked, ReadOnly};
    let name = path.display();
    let hint = match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked) => "another program holds it locked; run again when that has finished",
        Some(DatabaseCorrupt) => "the file is damaged; `PRAGMA integrity_check` in the sqlite3 shell says where",
        Some(ReadOnly) => "an unfinished transaction has to be rolled back first; open it once with the sqlite3 shell",
        _ => return Error::new(Kind::Store, format_args!("{name}: {error}")),
    };
    Error::new(Kind::Store, format_args!("{name}: {error}: {hint}"))
}

#[cfg(test)]
mod tests;
