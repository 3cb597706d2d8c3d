//! Postgres as a target. Each batch is one transaction of a connection of its own, and its mark is part of it.
//!
//! Rows that are new go to their table by `COPY` at once. Where that cannot be, since a row is there already, or is to be changed
//! or deleted, or a value has to be cast by the server, they wait in a temporary table, from which one statement takes them.

use super::{
    catalog::Catalog,
    connect::{self, Connection},
    session::{Facts, Session},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Row, Shape},
    schema::Table,
    store::{
        Options,
        about::Fact,
        script::{Edit, Frame, POSTGRES},
        sql::identifier,
        target::{Begin, Changes, Room, Target, Written},
    },
    value::cell::tag,
};
use encode::Encoder;
use fault::{Fault, kind, told};
use futures_util::SinkExt;
use spot::{Aim, Column, Spot};
use std::{collections::BTreeMap, io::Cursor, pin::pin, sync::Arc};
use tokio_postgres::{
    Row as Answer,
    types::{ToSql, Type},
};

mod encode;
mod fault;
mod schema;
mod spot;
mod statement;
mod upkeep;

/// A Postgres database that is written to.
pub struct Writer {
    connection: Connection,
    facts: Facts,
    fingerprint: String,
    /// By the name of the table.
    spots: BTreeMap<String, Spot>,
    /// In the order in which they are written to.
    begun: Vec<String>,
    /// Where marks are kept, quoted, if they are.
    marks: Option<String>,
    /// The connection is of no use any more.
    lost: bool,
}

/// A batch of usual rows is some megabytes: large enough that the turns to the server and back do not show.
pub(in crate::store) const ROOM: Room = Room { rows: 50_000, rows_max: 500_000, bytes_max: 32 << 20 };

/// Bytes that are sent at once.
const CHUNK: usize = 128 << 10;

/// For the time of the connection. Whoever set a time for waiting on locks meant it. Triggers find what they name as usual.
const SETTINGS: &str = "\
    SET statement_timeout = '15min'; SET idle_in_transaction_session_timeout = 0; SET jit = off; SET row_security = on; \
    SET quote_all_identifiers = off; SET client_min_messages = warning; \
    SELECT pg_catalog.set_config('lock_timeout', '10s', false) WHERE pg_catalog.current_setting('lock_timeout') = '0'";

/// Transactions that write to a table share a lock, and whoever asks what arrived there waits for all of them: one whose connection was
/// lost may not have ended yet. The number stands for this tool.
const LOCK: i32 = 0x6375_746f;

/// The temporary tables in which rows wait.
const INSERTS: &str = "cutover_inserts";
const UPDATES: &str = "cutover_updates";
const DELETES: &str = "cutover_deletes";

/// Rows that wait.
struct Waiting {
    /// The temporary table.
    table: &'static str,
    /// Some key holds a NULL.
    nulls: bool,
    rows: u64,
}

impl Writer {
    /// Connects as the settings or the environment say.
    ///
    /// # Errors
    /// If something is not said, or the server cannot be reached, refuses, or takes no writes.
    pub fn open(options: &Options) -> Result<Writer> {
        let Session { connection, facts, .. } = Session::begin(connect::connect(options)?)?;
        let fingerprint = connection.place();
        let (spots, begun) = (BTreeMap::new(), Vec::new());
        let mut writer = Writer { connection, facts, fingerprint, spots, begun, marks: None, lost: false };
        let run = |sql: &str| writer.run(sql).map_err(|it| told(Kind::Store, &it, ""));
        run("ROLLBACK")?;
        writer.settle().map_err(|it| told(Kind::Store, &it, ""))?;
        let rows = writer.rows("SELECT pg_catalog.pg_is_in_recovery()", &[]);
        let rows = rows.map_err(|it| told(Kind::Store, &it, ""))?;
        if rows.first().and_then(|it| it.try_get(0).ok()).unwrap_or(false) {
            let place = &writer.fingerprint;
            return Err(Error::new(
                Kind::Store,
                format_args!("{place} is a standby, which takes no writes: name the primary"),
            ));
        }
        // Not every role may ask, and what only speaks the protocol may not know.
        if let Ok(rows) = writer.rows("SELECT system_identifier::text FROM pg_catalog.pg_control_system()", &[])
            && let Some(system) = rows.first().and_then(|it| it.try_get::<_, String>(0).ok())
        {
            writer.fingerprint = format!("{}, system {system}", writer.fingerprint);
        }
        Ok(writer)
    }

    /// Another writer to the same database.
    fn twin(&self) -> Result<Writer> {
        let (connection, facts, fingerprint) = (self.connection.again()?, self.facts.clone(), self.fingerprint.clone());
        // What is known of the tables need not be asked again.
        let (spots, begun) = (self.spots.clone(), Vec::new());
        let writer = Writer { connection, facts, fingerprint, spots, begun, marks: self.marks.clone(), lost: false };
        writer.settle().map_err(|it| told(Kind::Store, &it, ""))?;
        Ok(writer)
    }

    fn settle(&self) -> Result<(), tokio_postgres::Error> {
        self.run(SETTINGS)?;
        if self.facts.version >= 170_000 {
            self.run("SET transaction_timeout = 0")?;
        }
        // Such a server takes any bytes for text, and so do we.
        if self.facts.encoding == "SQL_ASCII" { self.run("SET client_encoding = 'SQL_ASCII'") } else { Ok(()) }
    }

    /// Connects again if the connection was lost.
    fn ready(&mut self) -> Result<()> {
        if !self.lost && !self.connection.client.is_closed() {
            return Ok(());
        }
        let busy = |error: Error| Error::new(Kind::Busy, format_args!("the connection was lost: {error}"));
        self.connection = self.connection.again().map_err(busy)?;
        self.settle().map_err(|it| told(Kind::Busy, &it, ""))?;
        self.lost = false;
        Ok(())
    }

    /// Runs statements that say nothing.
    fn run(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let Connection { client, runtime, .. } = &self.connection;
        runtime.block_on(client.batch_execute(sql))
    }

    /// Carries out one statement with parameters, whose types are said so that the server need not be asked for them.
    fn rows(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Answer>, tokio_postgres::Error> {
        let Connection { client, runtime, .. } = &self.connection;
        runtime.block_on(client.query_typed(sql, parameters))
    }

    /// How many rows a statement changed.
    fn count(&self, sql: &str) -> Result<u64, tokio_postgres::Error> {
        let Connection { client, runtime, .. } = &self.connection;
        runtime.block_on(client.execute_typed(sql, &[]))
    }

    /// Finds out what is to be known of tables, of those that are not known yet.
    fn prepare(&mut self, names: &[&str]) -> Result<()> {
        if names.iter().all(|it| self.spots.contains_key(*it)) {
            return Ok(());
        }
        // The catalogs are read as the reader does, in a connection that does not last.
        let session = Session::begin(self.connection.again()?)?;
        let catalog = Catalog::load(&session, session.connection.schemas(), false)?;
        for &name in names {
            if self.spots.contains_key(name) {
                continue;
            }
            let absent = || Error::new(Kind::Store, format_args!("there is no table `{name}`"));
            let relation = catalog.relations.get(name).ok_or_else(absent)?;
            self.spots.insert(name.to_owned(), Spot::find(&session, name, relation)?);
        }
        Ok(())
    }

    /// Does something within one transaction, and says whether an error came when it was to be made to last.
    fn transaction<T>(
        &mut self,
        begin: &str,
        work: impl FnOnce(&Writer) -> Result<T, Fault>,
    ) -> Result<T, (Fault, bool)> {
        let done = self.run(begin).map_err(Fault::Server).and_then(|()| work(self));
        let done = match done {
            Ok(done) => self.run("COMMIT").map(|()| done).map_err(|it| (Fault::Server(it), true)),
            Err(fault) => Err((fault, false)),
        };
        if done.is_err() && self.run("ROLLBACK").is_err() {
            self.lost = true;
        }
        done
    }

    fn carry_out(&mut self, spot: &Spot, changes: &Changes<'_>) -> Result<Written, (Fault, bool)> {
        let begin = format!("{BEGIN}; SET CONSTRAINTS ALL DEFERRED; {}", lock(spot, "_shared"));
        self.transaction(&begin, |it| {
            let written = it.all_of(spot, changes)?;
            it.put_mark(changes)?;
            Ok(written)
        })
    }

    fn all_of(&self, spot: &Spot, changes: &Changes<'_>) -> Result<Written, Fault> {
        let mut written = Written::default();
        // What goes makes room for what comes.
        if !changes.deletes.is_empty() {
            written.deleted = self.delete(spot, changes.deletes)?;
        }
        if !changes.updates.is_empty() {
            written.updated = self.update(spot, changes.updates)?;
        }
        if !changes.inserts.is_empty() {
            written.inserted = self.insert(spot, changes.inserts)?;
        }
        Ok(written)
    }

    fn insert(&self, spot: &Spot, batch: &Batch) -> Result<u64, Fault> {
        let aims = spot.aims(batch.shape())?;
        let (keyless, arbiter) = (batch.shape().keyless, spot.arbiter(&aims));
        let all = batch.len() as u64;
        let columns: Vec<&Aim<'_>> = aims.iter().filter(|it| !it.column.generated).collect();
        let names: Vec<String> = columns.iter().map(|it| identifier(&it.column.name)).collect();
        let names = names.join(", ");
        let plain = columns.iter().all(|it| it.column.binary);
        if plain && !spot.staged && !spot.bound && (keyless || arbiter) {
            let sql = format!("COPY {} ({names}) FROM STDIN (FORMAT binary)", spot.into);
            let columns: Vec<(usize, &Column)> = columns.iter().map(|it| (it.place, it.column)).collect();
            let copied = self.copy(&sql, &columns, batch, &mut (0..batch.len()).map(|it| (it, None)))?;
            return if copied == all { Ok(copied) } else { Err(kept_out(spot, None).into()) };
        }
        let rows: Vec<(usize, i32)> = (0..batch.len()).map(|it| (it, 1)).collect();
        let waiting = self.wait(INSERTS, &aims.iter().collect::<Vec<_>>(), batch, &rows)?;
        let values: Vec<String> = columns.iter().map(|it| it.column.value(&waits(it))).collect();
        let table = waiting.table;
        let (into, values) = (&spot.into, values.join(", "));
        let mut sql =
            format!("INSERT INTO {into} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM pg_temp.{table} AS s");
        let there = matching(&aims, arbiter, waiting.nulls);
        if arbiter && !keyless {
            let key: Vec<String> = aims.iter().filter(|it| it.key).map(|it| identifier(&it.column.name)).collect();
            sql = format!("{sql} ON CONFLICT ({}) DO NOTHING", key.join(", "));
        } else if !keyless {
            sql = format!("{sql} WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {there})", spot.from);
        }
        let inserted = self.count(&sql)?;
        if keyless && inserted != all {
            return Err(kept_out(spot, None).into());
        }
        if inserted < all {
            // Each of them must be there by now, byte by byte: to the server another row may have had the same key.
            let sql = format!(
                "SELECT s.n FROM pg_temp.{table} AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {there}) LIMIT 1",
                spot.from
            );
            if let Some(row) = self.first(&sql)? {
                return Err(kept_out(spot, Some(row)).into());
            }
        }
        Ok(inserted)
    }

    fn update(&self, spot: &Spot, batch: &Batch) -> Result<u64, Fault> {
        if batch.shape().keyless {
            return Err(Error::new(Kind::Broken, "rows without a key were to be updated").into());
        }
        let aims = spot.aims(batch.shape())?;
        let arbiter = spot.arbiter(&aims);
        let rows: Vec<(usize, i32)> = (0..batch.len()).map(|it| (it, 1)).collect();
        let waiting = self.wait(UPDATES, &aims.iter().collect::<Vec<_>>(), batch, &rows)?;
        let there = matching(&aims, arbiter, waiting.nulls);
        let (from, table) = (&spot.from, waiting.table);
        for it in aims.iter().filter(|it| !it.key && it.column.always) {
            let same = it.column.same(&waits(it), false, true);
            let sql =
                format!("SELECT s.n FROM {from} AS t JOIN pg_temp.{table} AS s ON {there} WHERE NOT ({same}) LIMIT 1");
            if let Some(row) = self.first(&sql)? {
                let column = &it.column.name;
                let why = format!(
                    "row {row} of the batch: column `{column}` is GENERATED ALWAYS AS IDENTITY, so it cannot be changed"
                );
                return Err(Error::new(Kind::Row, why).into());
            }
        }
        let set = aims.iter().filter(|it| !it.key && !it.column.generated && !it.column.always);
        let set: Vec<String> =
            set.map(|it| format!("{} = {}", identifier(&it.column.name), it.column.value(&waits(it)))).collect();
        if set.is_empty() {
            return Ok(0);
        }
        Ok(self.count(&format!("UPDATE {from} AS t SET {} FROM pg_temp.{table} AS s WHERE {there}", set.join(", ")))?)
    }

    fn delete(&self, spot: &Spot, batch: &Batch) -> Result<u64, Fault> {
        let aims = spot.aims(batch.shape())?;
        let keys: Vec<&Aim<'_>> = aims.iter().filter(|it| it.key).collect();
        let keyless = batch.shape().keyless;
        let waiting = self.wait(DELETES, &keys, batch, &repeats(batch, keyless))?;
        let (from, table) = (&spot.from, waiting.table);
        let there = matching(&aims, spot.arbiter(&aims) && !keyless, waiting.nulls);
        if !keyless {
            return Ok(self.count(&format!("DELETE FROM {from} AS t USING pg_temp.{table} AS s WHERE {there}"))?);
        }
        // Of equal rows those that lie first go, as many as are asked for.
        Ok(self.count(&format!(
            "DELETE FROM {from} AS t USING (SELECT o, c FROM (SELECT t.tableoid AS o, t.ctid AS c, s.m, \
             pg_catalog.row_number() OVER (PARTITION BY s.n ORDER BY t.tableoid, t.ctid) AS r \
             FROM {from} AS t JOIN pg_temp.{table} AS s ON {there}) AS f WHERE r <= m) AS g \
             WHERE t.tableoid = g.o AND t.ctid = g.c"
        ))?)
    }

    /// Puts rows, each with how many of it are meant, into a temporary table.
    fn wait(
        &self,
        table: &'static str,
        aims: &[&Aim<'_>],
        batch: &Batch,
        rows: &[(usize, i32)],
    ) -> Result<Waiting, Fault> {
        let (names, columns): (Vec<String>, Vec<String>) =
            aims.iter().map(|it| (format!("c{}", it.place), format!("c{} {}", it.place, it.column.waits_as()))).unzip();
        let columns = columns.join(", ");
        self.run(&format!("CREATE TEMPORARY TABLE {table} (n int4, m int4, {columns}) ON COMMIT DROP"))?;
        let sql = format!("COPY pg_temp.{table} (n, m, {}) FROM STDIN (FORMAT binary)", names.join(", "));
        let wanted: Vec<(usize, &Column)> = aims.iter().map(|it| (it.place, it.column)).collect();
        let mut lead = rows.iter().map(|&(at, many)| (at, Some([i32::try_from(at + 1).unwrap_or(i32::MAX), many])));
        let copied = self.copy(&sql, &wanted, batch, &mut lead)?;
        let key = |it: &&&Aim<'_>| it.key;
        let nulls =
            |at: usize| aims.iter().filter(key).any(|it| batch.row(at).cell(it.place).first() == Some(&tag::NULL));
        let waiting = Waiting { table, nulls: rows.iter().any(|it| nulls(it.0)), rows: copied };
        if waiting.rows != rows.len() as u64 {
            return Err(Error::new(Kind::Store, "the server took another number of rows than it was sent").into());
        }
        let cast: Vec<&&Aim<'_>> = aims.iter().filter(|it| !it.column.binary).collect();
        if !cast.is_empty() {
            // As the reader sees it, who has this search path.
            self.run("SET LOCAL search_path = pg_catalog, pg_temp")?;
            for it in cast {
                let Some(differs) = it.column.differs(&waits(it)) else { continue };
                if let Some(row) =
                    self.first(&format!("SELECT s.n FROM pg_temp.{table} AS s WHERE {differs} LIMIT 1"))?
                {
                    let (column, declared) = (&it.column.name, &it.column.declared);
                    let why = "it would be read back as something else";
                    let why = format!(
                        "row {row} of the batch: column `{column}` is {declared}, and cannot hold the value exactly: {why}"
                    );
                    return Err(Error::new(Kind::Row, why).into());
                }
            }
            self.run("SET LOCAL search_path TO DEFAULT")?;
        }
        Ok(waiting)
    }

    /// The number in the first row of an answer.
    fn first(&self, sql: &str) -> Result<Option<i32>, Fault> {
        Ok(self.rows(sql, &[])?.first().and_then(|it| it.try_get(0).ok()))
    }

    /// Sends rows, some with two numbers in front, and says how many arrived.
    fn copy(
        &self,
        sql: &str,
        columns: &[(usize, &Column)],
        batch: &Batch,
        rows: &mut dyn Iterator<Item = (usize, Option<[i32; 2]>)>,
    ) -> Result<u64, Fault> {
        let Connection { client, runtime, .. } = &self.connection;
        let mut encoder = Encoder::new(columns, batch.shape(), self.facts.encoding == "SQL_ASCII");
        runtime.block_on(async {
            let mut sink = pin!(client.copy_in::<_, Cursor<Vec<u8>>>(sql).await?);
            let mut out = encode::HEAD.to_vec();
            for (at, lead) in rows {
                let row: Row<'_> = batch.row(at);
                let done = encoder.row(lead.as_ref().map_or(&[], |it| &it[..]), row, &mut out);
                done.map_err(|it| it.context(format_args!("row {} of the batch", at + 1)))?;
                if out.len() >= CHUNK {
                    let room = Vec::with_capacity(out.len() + CHUNK / 8);
                    sink.send(Cursor::new(std::mem::replace(&mut out, room))).await?;
                }
            }
            out.extend_from_slice(&encode::END);
            sink.send(Cursor::new(out)).await?;
            Ok(sink.as_mut().finish().await?)
        })
    }

    fn put_mark(&self, changes: &Changes<'_>) -> Result<(), Fault> {
        let Some(marks) = &self.marks else { return Ok(()) };
        let sql = format!(
            "INSERT INTO {marks} (run, tbl, batch) VALUES ($1, $2, $3) ON CONFLICT (run, tbl) DO UPDATE SET batch = excluded.batch"
        );
        let (run, table) = (changes.mark.run, changes.table.name.as_str());
        let batch = i64::try_from(changes.mark.batch).unwrap_or(i64::MAX);
        self.rows(&sql, &[(&run, Type::TEXT), (&table, Type::TEXT), (&batch, Type::INT8)])?;
        Ok(())
    }
}

impl Target for Writer {
    fn room(&self, _: &Table) -> Room {
        ROOM
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn create(&mut self, schema: &str) -> Result<()> {
        self.ready()?;
        self.spots.clear();
        self.make(schema)
    }

    fn begin(&mut self, begin: &Begin<'_>) -> Result<Vec<Fact>> {
        self.ready()?;
        let names: Vec<&str> = begin.tables.iter().map(|it| it.name.as_str()).collect();
        self.spots.clear();
        self.prepare(&names)?;
        self.begun = names.iter().map(|it| (*it).to_owned()).collect();
        self.set_up(begin.disable_indexes)
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        self.ready()?;
        let name = changes.table.name.as_str();
        self.prepare(&[name])?;
        let absent = || Error::new(Kind::Store, format_args!("there is no table `{name}`"));
        let mut spot = self.spots.remove(name).ok_or_else(absent)?;
        let mut done = self.carry_out(&spot, changes);
        // Which constraint it was shows once those rows are left out whose key is there.
        if !spot.staged && done.as_ref().is_err_and(|it| it.0.is_clash()) {
            spot.staged = true;
            done = self.carry_out(&spot, changes);
        }
        // Once none was there any more, the short way is worth another try.
        spot.staged &= !done.as_ref().is_ok_and(|it| it.inserted > 0 && it.inserted == changes.inserts.len() as u64);
        let done = done.map_err(|(fault, committing)| fault.told(&spot, committing));
        self.spots.insert(name.to_owned(), spot);
        done
    }

    fn mark(&mut self, run: &str, table: &str) -> Result<Option<u64>> {
        self.ready()?;
        let Some(marks) = self.marks.clone().map_or_else(|| self.find_marks(), |it| Ok(Some(it)))? else {
            return Ok(None);
        };
        self.prepare(&[table])?;
        let begin = self.spots.get(table).map_or(BEGIN.to_owned(), |it| format!("{BEGIN}; {}", lock(it, "")));
        let sql = format!("SELECT batch FROM {marks} WHERE run = $1 AND tbl = $2");
        let asked = self.transaction(&begin, |it| Ok(it.rows(&sql, &[(&run, Type::TEXT), (&table, Type::TEXT)])?));
        let rows = asked.map_err(|(fault, _)| unheard(fault))?;
        let batch: Option<i64> = rows.first().and_then(|it| it.try_get(0).ok());
        Ok(Some(batch.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)))
    }

    fn again(&self) -> Result<Option<Box<dyn Target>>> {
        Ok(Some(Box::new(self.twin()?)))
    }

    /// Triggers may see what came before, or have two writers wait for each other.
    fn may_share(&self, table: &Table) -> bool {
        let triggers = self.spots.get(&table.name).map(|it| self.triggers(it));
        triggers.is_some_and(|it| it.is_ok_and(|it| it.is_empty()))
    }

    fn frame(&self) -> Option<Frame> {
        Some(POSTGRES)
    }

    fn statement(&mut self, table: &Table, _: &Arc<Shape>, edit: Edit<'_>) -> Result<String> {
        let referrers = if let Edit::Delete(_, it) = edit { it } else { &[] };
        let mut names = vec![table.name.as_str()];
        names.extend(referrers.iter().map(|it| it.table.as_str()));
        self.prepare(&names)?;
        let spot = |name: &str| {
            let absent = || Error::new(Kind::Store, format_args!("there is no table `{name}`"));
            self.spots.get(name).ok_or_else(absent)
        };
        let unless = referrers.iter().map(|it| Ok(it.none(&spot(&it.table)?.from)));
        let unless = unless.collect::<Result<String>>()?;
        statement::of(spot(&table.name)?, edit, &unless, self.facts.encoding == "SQL_ASCII")
    }

    fn closing(&mut self, table: &Table) -> Result<Vec<String>> {
        self.prepare(&[&table.name])?;
        Ok(self.spots.get(&table.name).into_iter().flat_map(statement::sequences).map(|it| format!("{it};")).collect())
    }

    fn end(&mut self) -> Result<()> {
        self.ready()?;
        self.tidy_up()
    }

    fn clean(&mut self) -> Result<bool> {
        self.ready()?;
        self.remove_marks()
    }
}

/// How every transaction begins, whatever is usual for the role.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// `how` is how the function's name ends.
fn lock(spot: &Spot, how: &str) -> String {
    format!("SELECT pg_catalog.pg_advisory_xact_lock{how}({LOCK}, {})", spot.oid as i32)
}

/// An error beside the rows: nothing depends on what became of it.
#[cold]
fn unheard(fault: Fault) -> Error {
    match fault {
        Fault::Ours(error) => error,
        Fault::Server(error) => told(kind(&error), &error, ""),
    }
}

/// The name of a column of rows that wait.
fn waits(aim: &Aim<'_>) -> String {
    format!("s.c{}", aim.place)
}

/// When row `t` of the table has the key of row `s` that waits.
fn matching(aims: &[Aim<'_>], indexed: bool, nulls: bool) -> String {
    let keys = aims.iter().filter(|it| it.key);
    let all: Vec<String> = keys.map(|it| it.column.same(&waits(it), indexed, nulls)).collect();
    all.join(" AND ")
}

/// Each of different rows, and how often it is there; with a key they all differ.
fn repeats(batch: &Batch, keyless: bool) -> Vec<(usize, i32)> {
    let mut all: Vec<(usize, i32)> = (0..batch.len()).map(|it| (it, 1)).collect();
    if keyless {
        all.sort_by_key(|it| (batch.row(it.0).compared(), it.0));
        all.dedup_by(|it, first| {
            let same = batch.row(it.0).compared() == batch.row(first.0).compared();
            first.1 += i32::from(same);
            same
        });
    }
    all
}

#[cold]
fn kept_out(spot: &Spot, row: Option<i32>) -> Error {
    let which = row.map_or("some row".to_owned(), |it| format!("row {it}"));
    let why = "a trigger, or another row whose key is the same to the server";
    Error::new(Kind::Row, format_args!("{which} of the batch was kept out of `{}` without a word: by {why}", spot.name))
}
