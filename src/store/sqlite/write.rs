//! SQLite files that are written to.
//!
//! The connection is one of its own, beside that of the reader. Each batch is one transaction, as durable as the file has it, with
//! the mark of the run in it. References are not enforced meanwhile: what is staged was checked for orphans before, and what is
//! there is checked after; enforced, deleting a row would take those that refer to it along, and the order of batches would show.
//! Triggers do fire, as the schema wants it.

mod define;
mod hold;
mod indexes;
mod ready;
mod spelling;

use super::needs_no_log;
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Row, Shape},
    schema::Table,
    store::{
        Options,
        about::{Fact, Level},
        affinity::Probe,
        d1,
        script::{Edit, Frame, Lite},
        sql::identifier,
        target::{Begin, Changes, MARKS, Room, Target, Written},
    },
};
use ready::Ready;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Statement,
    config::DbConfig,
    limits::Limit,
    types::{ToSqlOutput, Value as Owned, ValueRef},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub(in crate::store) use define::{defines, is_catalog};

/// One SQLite database that is written to.
pub(in crate::store) struct SqliteTarget {
    connection: Connection,
    /// What a value becomes in a column, where that has to be tried.
    probe: Probe,
    /// What it is, such as `sqlite`.
    kind: &'static str,
    /// Absolute, without links.
    path: PathBuf,
    ready: BTreeMap<String, Ready>,
    /// Whether a transaction is open that more than one batch is part of.
    held: bool,
    /// Whether there was no such file before.
    made: bool,
}

/// How long another program may hold its lock before that is said. Who writes tries again, with longer and longer pauses.
const PATIENCE: Duration = Duration::from_millis(200);

/// How many bytes a value of D1 may have (developers.cloudflare.com/d1/platform/limits).
const D1_VALUE: i32 = 2_000_000;

/// One transaction costs some syncs of the disk, which so many rows are worth. The pages that it changes fit into the cache.
pub(in crate::store) const ROOM: Room = Room { rows: 25_000, rows_max: 1_000_000, bytes_max: 4 << 20 };

/// Around a script for the `sqlite3` shell. Rows may refer to others that come later.
const FRAME: Frame =
    Frame { begin: "BEGIN;\nPRAGMA defer_foreign_keys = on;", end: "COMMIT;", run: "sqlite3 -bail FILE < PATCH" };

impl SqliteTarget {
    /// Opens a database for writing. A file that is not there is made, for its owner alone.
    ///
    /// # Errors
    /// If it is no database, another program holds it locked, or this user may not write to it.
    pub(in crate::store) fn open(path: &Path) -> Result<SqliteTarget> {
        let context = |it: Error| it.context(format_args!("cannot open {} for writing", path.display()));
        let made = make(path).map_err(context)?;
        let mut target = SqliteTarget::connect("sqlite", path).map_err(context)?;
        target.made = made;
        Ok(target)
    }

    /// Opens the database that `wrangler dev` keeps, also while it runs.
    ///
    /// # Errors
    /// As [`SqliteTarget::open`], and if there is none.
    pub(in crate::store) fn open_d1(path: &Path, options: &Options) -> Result<SqliteTarget> {
        let file = d1::local::file(path, options)?;
        let target = SqliteTarget::connect("d1-local", &file)
            .map_err(|it| it.context(format_args!("cannot open {} for writing", file.display())))?;
        // What is larger here could not be put into D1 either.
        let limited = target.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, D1_VALUE);
        limited.map_err(|it| target.failed(&it))?;
        Ok(target)
    }

    /// Opens a database that is there, as the target of that kind.
    ///
    /// # Errors
    /// As [`SqliteTarget::open`].
    pub(in crate::store) fn connect(kind: &'static str, path: &Path) -> Result<SqliteTarget> {
        needs_no_log(path)?;
        let absolute = path.canonicalize().map_err(|it| Error::new(Kind::Store, it))?;
        let opened = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&absolute, flags)?;
            connection.busy_timeout(PATIENCE)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            // Pages that a batch changes stay in memory until it is over, and reading keeps to few.
            let pragmas = "PRAGMA foreign_keys = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; \
                PRAGMA cache_size = -8000";
            connection.execute_batch(pragmas)?;
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            let probe = Probe::like(&connection)?;
            Ok((connection, probe))
        };
        let (connection, probe) = opened().map_err(|it| failed(path, &it))?;
        // SQLite opens what may not be written to for reading, and says so only when something is written.
        match connection.is_readonly("main") {
            Ok(false) => Ok(SqliteTarget {
                connection,
                probe,
                kind,
                path: absolute,
                ready: BTreeMap::new(),
                held: false,
                made: false,
            }),
            _ => Err(Error::new(Kind::Store, "this user may not write to it; look at the permissions of the file")),
        }
    }

    /// What an error of SQLite means to who writes.
    pub(in crate::store) fn failed(&self, error: &rusqlite::Error) -> Error {
        failed(&self.path, error)
    }

    /// Runs `work` in one transaction: all of it happens, or nothing. In one that is held, what has failed goes with all of it.
    ///
    /// # Errors
    /// As `work`, and if SQLite fails.
    pub(in crate::store) fn whole<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        if self.held {
            return work(&self.connection);
        }
        let run = |sql: &str| self.connection.execute_batch(sql).map_err(|it| self.failed(&it));
        run("BEGIN IMMEDIATE")?;
        let done = work(&self.connection).and_then(|it| run("COMMIT").map(|()| it));
        if done.is_err() && !self.connection.is_autocommit() {
            // SQLite rolls back by itself where it cannot go on; should this fail too, closing the file does it.
            let _ = run("ROLLBACK");
        }
        done
    }

    fn is_blank(&self) -> Result<bool> {
        hold::is_blank(&self.connection).map_err(|it| self.failed(&it))
    }

    /// Ends a transaction that is held, as if there never had been one.
    fn take_back(&mut self) {
        if std::mem::take(&mut self.held) {
            // Where this fails, SQLite itself has done it, or whoever opens the file next does.
            let _ = self.connection.execute_batch("ROLLBACK");
            if self.made {
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    /// How the file keeps what a transaction may have to take back.
    fn journal(&self) -> Result<String> {
        let query = "SELECT journal_mode FROM pragma_journal_mode";
        self.connection.query_row(query, [], |it| it.get(0)).map_err(|it| self.failed(&it))
    }

    fn has_marks(&self) -> Result<bool> {
        let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        self.connection.query_row(query, [MARKS], |it| it.get(0)).map_err(|it| self.failed(&it))
    }

    /// The statements for rows of that shape, made once.
    fn prepare(&mut self, table: &Table, shape: &Arc<Shape>) -> Result<()> {
        let known = self.ready.get(&table.name);
        if !known.is_some_and(|it| Arc::ptr_eq(&it.shape, shape)) {
            let ready = Ready::new(&self.connection, table, shape)?;
            self.ready.insert(table.name.clone(), ready);
        }
        Ok(())
    }

    fn triggers(&self, tables: &[Table]) -> Result<Option<Fact>> {
        let listed = || {
            let mut statement = self
                .connection
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 ORDER BY name")?;
            let mut out = Vec::new();
            for table in tables {
                let names = statement.query_map([&table.name], |it| it.get::<_, String>(0))?;
                out.extend(names.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            Ok(out)
        };
        let names = listed().map_err(|it| self.failed(&it))?;
        let says = || format!("{} fire for each row that is written", names.join(", "));
        Ok((!names.is_empty()).then(|| Fact::new("triggers", says()).level(Level::Note)))
    }
}

impl Drop for SqliteTarget {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl Target for SqliteTarget {
    fn room(&self, _table: &Table) -> Room {
        ROOM
    }

    fn fingerprint(&self) -> String {
        format!("{}:{}", self.kind, self.path.display())
    }

    fn create(&mut self, schema: &str) -> Result<()> {
        self.ready.clear();
        define::create(self, schema)
    }

    fn begin(&mut self, begin: &Begin<'_>) -> Result<Vec<Fact>> {
        self.ready.clear();
        let mode = self.journal()?;
        let dropped = self.whole(|connection| {
            let marks = format!(
                "CREATE TABLE IF NOT EXISTS {} (run TEXT, tbl TEXT, batch INTEGER, PRIMARY KEY (run, tbl))",
                identifier(MARKS)
            );
            connection.execute_batch(&marks).map_err(|it| self.failed(&it))?;
            match begin.disable_indexes {
                true => indexes::drop_all(connection, begin.tables).map_err(|it| self.failed(&it)),
                // A run that was killed may have left some out.
                false => indexes::put_back(connection).map(|_| Vec::new()),
            }
        })?;
        let transactions = match self.held {
            true => "one transaction until the check has passed, then one a batch",
            false => "each batch is one transaction",
        };
        let mut facts = vec![
            Fact::new("file", self.path.display().to_string()),
            Fact::new("journal", format!("{mode}; {transactions}")),
            Fact::new("references", "not enforced while it is written to: they are checked before and after"),
        ];
        facts.extend(self.triggers(begin.tables)?);
        if !dropped.is_empty() {
            let says =
                format!("{} dropped until the end; a later run or `clean` puts them back too", dropped.join(", "));
            facts.push(Fact::new("indexes", says).level(Level::Note));
        }
        Ok(facts)
    }

    fn hold(&mut self, schema: Option<&str>, release: &mut dyn FnMut() -> Result<()>) -> Result<bool> {
        // A write-ahead log would grow to all that is written, and be copied then. Where wrangler may be at work it would wait.
        if self.kind != "sqlite" || self.journal()? == "wal" || !self.is_blank()? {
            return Ok(false);
        }
        release()?;
        // SQLite has to write before the end, for which it would wait again and again for somebody who reads.
        self.connection.execute_batch("BEGIN EXCLUSIVE").map_err(|it| self.failed(&it))?;
        self.held = true;
        schema.map(|it| self.create(it)).transpose()?;
        let blank = self.is_blank()?;
        if !blank {
            self.take_back();
        }
        Ok(blank)
    }

    fn keep(&mut self) -> Result<()> {
        self.connection.execute_batch("COMMIT").map_err(|it| self.failed(&it))?;
        self.held = false;
        Ok(())
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        for batch in [changes.inserts, changes.updates, changes.deletes] {
            if !batch.is_empty() {
                self.prepare(changes.table, batch.shape())?;
            }
        }
        let ready = self.ready.get(&changes.table.name);
        self.whole(|connection| {
            let mut written = Written::default();
            if let Some(ready) = ready {
                let writer = Writer { target: self, connection, ready, spare: RefCell::default() };
                // In this order a row that goes makes place for one that comes, where both have one value of a unique column.
                (written.deleted, written.updated) = writer.change(changes)?;
                written.inserted = writer.insert(changes.inserts)?;
            }
            let mark = format!(
                "INSERT INTO {} (run, tbl, batch) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (run, tbl) DO UPDATE SET batch = excluded.batch",
                identifier(MARKS)
            );
            let number = i64::try_from(changes.mark.batch).unwrap_or(i64::MAX);
            let marked = || connection.prepare_cached(&mark)?.execute((changes.mark.run, &changes.table.name, number));
            marked().map_err(|it| self.failed(&it))?;
            Ok(written)
        })
    }

    fn frame(&self) -> Option<Frame> {
        Some(FRAME)
    }

    fn statement(&mut self, table: &Table, shape: &Arc<Shape>, edit: Edit<'_>) -> Result<String> {
        self.prepare(table, shape)?;
        let gone = || Error::new(Kind::Store, format_args!("there is no table `{}`", table.name));
        let ready = self.ready.get(&table.name).ok_or_else(gone)?;
        let columns: Vec<_> = ready.columns.iter().collect();
        Lite { table, columns: &columns, probe: &self.probe }.statement(edit)
    }

    fn mark(&mut self, run: &str, table: &str) -> Result<Option<u64>> {
        if !self.has_marks()? {
            return Ok(None);
        }
        let query = format!("SELECT batch FROM {} WHERE run = ?1 AND tbl = ?2 AND batch > 0", identifier(MARKS));
        let found = self.connection.query_row(&query, [run, table], |it| it.get::<_, i64>(0)).optional();
        Ok(found.map_err(|it| self.failed(&it))?.and_then(|it| u64::try_from(it).ok()))
    }

    fn end(&mut self) -> Result<()> {
        // What is read back needs the memory more.
        self.connection.execute_batch("PRAGMA shrink_memory").map_err(|it| self.failed(&it))?;
        if !self.has_marks()? {
            return Ok(());
        }
        let tables = self.whole(indexes::put_back)?;
        // What SQLite knows of an index is gone with it, and without that it may choose another one.
        for table in tables {
            let analyze = format!("ANALYZE {}", identifier(&table));
            self.connection.execute_batch(&analyze).map_err(|it| self.failed(&it))?;
        }
        Ok(())
    }

    fn clean(&mut self) -> Result<bool> {
        if !self.has_marks()? {
            return Ok(false);
        }
        self.end()?;
        self.whole(|connection| {
            let gone = connection.execute_batch(&format!("DROP TABLE {}", identifier(MARKS)));
            gone.map(|()| true).map_err(|it| self.failed(&it))
        })
    }
}

/// Writes one batch, within its transaction.
struct Writer<'w> {
    target: &'w SqliteTarget,
    connection: &'w Connection,
    ready: &'w Ready,
    /// Where values are unescaped and spelt, in one allocation for all rows.
    spare: RefCell<(Vec<u8>, Vec<u8>)>,
}

/// Where a row is stored.
type Home = Vec<Owned>;

impl Writer<'_> {
    /// Deletes and updates. How many rows of each.
    fn change(&self, changes: &Changes<'_>) -> Result<(u64, u64)> {
        let (mut deleted, mut updated) = (0, 0);
        let (mut lost_deletes, mut lost_updates) = (Vec::new(), Vec::new());
        let mut delete = self.statement(&self.ready.sql.delete, !changes.deletes.is_empty() && self.ready.enforced)?;
        for row in changes.deletes.rows() {
            match self.at_once(row, delete.as_deref_mut(), &[])? {
                Some(count) => deleted += count,
                None => lost_deletes.push(row),
            }
        }
        let wanted = !changes.updates.is_empty() && self.ready.enforced && !self.ready.updated.is_empty();
        let mut update = self.statement(&self.ready.sql.update, wanted)?;
        // Where all columns are in the key there is nothing to set.
        for row in changes.updates.rows().filter(|_| !self.ready.updated.is_empty()) {
            match self.at_once(row, update.as_deref_mut(), &self.ready.updated)? {
                Some(count) => updated += count,
                None => lost_updates.push(row),
            }
        }
        deleted += self.search(&lost_deletes, &self.ready.sql.delete_at, &[])?;
        updated += self.search(&lost_updates, &self.ready.sql.update_at, &self.ready.updated)?;
        Ok((deleted, updated))
    }

    /// Runs a statement for the row that has its key, whose values come first. Nothing: its key has to be searched for.
    fn at_once(&self, row: Row<'_>, statement: Option<&mut Statement<'_>>, set: &[usize]) -> Result<Option<u64>> {
        let Some(statement) = statement.filter(|_| self.ready.finds(row)) else { return Ok(None) };
        let key = self.ready.shape.key;
        self.bind(statement, row, (0..key).chain(set.iter().copied()))?;
        let count = self.run(statement)?;
        Ok((count > 0 || !self.ready.many_forms).then_some(count))
    }

    /// Runs a statement for each of the rows, where they are in the table: it is read through once, and each row of it is
    /// compared as cells. Of rows without a key one goes for each.
    fn search(&self, rows: &[Row<'_>], sql: &str, set: &[usize]) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let mut wanted: BTreeMap<&[u8], (Vec<Home>, usize)> = BTreeMap::new();
        for row in rows {
            wanted.entry(self.telling(*row)).or_default().1 += 1;
        }
        self.scan(|home, cells| {
            if let Some((homes, most)) = wanted.get_mut(cells)
                && (homes.len() < *most || !self.ready.shape.keyless)
            {
                homes.push(home()?);
            }
            Ok(())
        })?;
        let (mut count, mut statement) = (0, self.prepared(sql)?);
        for row in rows {
            let Some((homes, _)) = wanted.get_mut(self.telling(*row)) else { continue };
            for home in std::mem::take(homes) {
                self.bind(&mut statement, *row, set.iter().copied())?;
                for (place, value) in home.iter().enumerate() {
                    let bound = statement.raw_bind_parameter(set.len() + place + 1, value);
                    bound.map_err(|it| self.failed(&it))?;
                }
                count += self.run(&mut statement)?;
            }
        }
        Ok(count)
    }

    /// Reads the table: `each` gets where a row is stored, if it asks, and the cells that tell it.
    fn scan(&self, mut each: impl FnMut(&dyn Fn() -> Result<Home>, &[u8]) -> Result<()>) -> Result<()> {
        let Ready { shape, home, sql, .. } = self.ready;
        let failed = |it: rusqlite::Error| self.failed(&it);
        let telling = self.ready.telling();
        let fields = shape.fields.iter().take(telling).cloned().collect();
        let asked = Shape { fields, key: shape.key.min(telling), compared: telling, keyless: shape.keyless };
        let mut batch = Batch::new(Arc::new(asked));
        let mut statement = self.connection.prepare_cached(&sql.scan).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            batch.clear();
            batch.push_with(|place| Ok(super::meaning(row.get_ref(home + place).map_err(failed)?)))?;
            let stored =
                || (0..*home).map(|it| row.get::<_, Owned>(it)).collect::<rusqlite::Result<_>>().map_err(failed);
            each(&stored, batch.row(0).bytes())?;
        }
        Ok(())
    }

    /// Inserts rows, but none whose key is there. Those whose key SQLite itself does not guard come last.
    fn insert(&self, rows: &Batch) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let Ready { sql, inserted, enforced, .. } = self.ready;
        let mut count = 0;
        let mut statement = self.prepared(if *enforced { &sql.insert_new } else { &sql.insert })?;
        let unguarded = spelling::each_spelt(self.ready, rows, |row, values| {
            for ((place, &field), value) in inserted.iter().enumerate().zip(values) {
                match value {
                    Some(value) => self.put(&mut statement, place, value)?,
                    None => self.spell(&mut statement, place, row, field)?,
                }
            }
            count += self.run(&mut statement)?;
            Ok(())
        })?;
        // While it is held, nobody else adds rows, and no run writes a key twice.
        let there = if self.target.held { BTreeSet::new() } else { self.there(&unguarded)? };
        let mut statement = self.prepared(&sql.insert)?;
        for row in unguarded.into_iter().filter(|it| !there.contains(it.key())) {
            self.bind(&mut statement, row, inserted.iter().copied())?;
            count += self.run(&mut statement)?;
        }
        Ok(count)
    }

    /// The keys of these rows that are in the table.
    fn there<'r>(&self, rows: &[Row<'r>]) -> Result<BTreeSet<&'r [u8]>> {
        let asked: BTreeSet<&[u8]> = rows.iter().map(|it| it.key()).collect();
        let mut there = BTreeSet::new();
        if !asked.is_empty() {
            self.scan(|_, cells| {
                there.extend(asked.get(cells));
                Ok(())
            })?;
        }
        Ok(there)
    }

    /// Puts values of a row into a statement, where they come first.
    #[inline]
    fn bind(&self, statement: &mut Statement<'_>, row: Row<'_>, fields: impl Iterator<Item = usize>) -> Result<()> {
        fields.enumerate().try_for_each(|(place, field)| self.spell(statement, place, row, field))
    }

    /// Puts what stands for one value of a row into a statement.
    #[inline]
    fn spell(&self, statement: &mut Statement<'_>, place: usize, row: Row<'_>, field: usize) -> Result<()> {
        let Ready { table, shape, columns, .. } = self.ready;
        let mut spare = self.spare.borrow_mut();
        let (scratch, text) = &mut *spare;
        let value = (row.value(field, scratch), row.cell(field), field < shape.key);
        let value = self.target.probe.spell(value, (table, &columns[field]), &shape.fields[field].cast, text)?;
        self.put(statement, place, value)
    }

    #[inline]
    fn put(&self, statement: &mut Statement<'_>, place: usize, value: ValueRef<'_>) -> Result<()> {
        let put = statement.raw_bind_parameter(place + 1, ToSqlOutput::Borrowed(value));
        put.map_err(|it| self.failed(&it))
    }

    /// How many rows it changed.
    #[inline]
    fn run(&self, statement: &mut Statement<'_>) -> Result<u64> {
        statement.raw_execute().map(|it| it as u64).map_err(|it| self.failed(&it))
    }

    fn statement(&self, sql: &str, wanted: bool) -> Result<Option<rusqlite::CachedStatement<'_>>> {
        wanted.then(|| self.prepared(sql)).transpose()
    }

    fn prepared(&self, sql: &str) -> Result<rusqlite::CachedStatement<'_>> {
        self.connection.prepare_cached(sql).map_err(|it| self.failed(&it))
    }

    fn telling<'r>(&self, row: Row<'r>) -> &'r [u8] {
        if self.ready.shape.keyless { row.compared() } else { row.key() }
    }

    #[cold]
    fn failed(&self, error: &rusqlite::Error) -> Error {
        self.target.failed(error).context(format_args!("cannot write to table `{}`", self.ready.table))
    }
}

/// Makes an empty file, for its owner alone, where there is none. SQLite takes it for an empty database. Whether it did.
fn make(path: &Path) -> Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(it) if it.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|_| true).map_err(|it| Error::new(Kind::Store, it)),
    }
}

/// What an error of SQLite means to who writes. Whatever it is, the transaction is rolled back.
#[cold]
fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let nothing = "nothing of this batch was written";
    let (kind, hint) = match error.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed) => {
            (Kind::Busy, "another program holds it locked".to_owned())
        }
        Some(Code::ConstraintViolation | Code::TypeMismatch | Code::TooBig) => return Error::new(Kind::Row, error),
        Some(Code::DiskFull) => (Kind::Store, format!("{nothing}; make room on the disk, then run again")),
        Some(Code::SystemIoFailure) => (Kind::Store, format!("{nothing}; look at the disk, then run again")),
        Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => (
            Kind::Store,
            "this user may not write to the file, or not to its folder, where SQLite keeps its journal".to_owned(),
        ),
        Some(Code::DatabaseCorrupt) => {
            (Kind::Store, "the file is damaged; `PRAGMA integrity_check` in the sqlite3 shell says where".to_owned())
        }
        _ => return Error::new(Kind::Store, format_args!("{}: {error}", path.display())),
    };
    Error::new(kind, format_args!("{}: {error}: {hint}", path.display()))
}

#[cfg(test)]
mod tests;
