//! D1 as a target.
//!
//! A batch is one request, and one transaction of the service: whole or not at all, with the mark in it. Rows go in statements of
//! many rows each, as many as the limit on parameters allows. Existing rows are found by `IS` and by bytes, whatever collation
//! their column has; no statement replaces a row, since that would delete what hangs on it.

use super::{
    D1,
    api::{Api, Statement},
    change,
    create::definitions,
    insert::{Change, Layout, Statements},
};
use crate::{
    error::{Error, Kind, Result},
    row::Shape,
    schema::Table,
    store::{
        Options,
        about::{Fact, Level},
        affinity::Probe,
        pace::Cost,
        script::{Edit, Frame, Lite},
        sql,
        target::{Begin, Changes, MARKS, Room, Target, Work, Written},
    },
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// One database of D1, to write to.
pub struct Writer {
    database: D1,
    /// What a column makes of a value.
    probe: Probe,
    /// How each table is declared, as far as it changes what is written to it.
    layouts: HashMap<String, Layout>,
    /// Requests a second, where somebody said how many.
    rate: Option<f64>,
}

/// Statements that a request has where the table is written to in groups of rows.
const STATEMENTS: usize = 200;
/// Statements that a request may have.
const STATEMENTS_MAX: usize = 500;
/// Parameters that a statement may have, and so columns of rows in it.
pub(super) const PARAMETERS_MAX: usize = 100;
/// Bytes of cells in one request.
const BYTES_MAX: usize = 1 << 20;

/// Bytes that the text of a statement may have.
const TEXT_MAX: usize = 100_000;
/// Around a script for `wrangler`, which makes one transaction of it.
const FRAME: Frame = Frame {
    begin: "PRAGMA defer_foreign_keys = on;",
    end: "",
    run: "wrangler d1 execute DATABASE --remote --file PATCH",
};

impl Writer {
    /// Finds the database as [`D1::open`] does. Whether it may be written to shows with the first write.
    ///
    /// # Errors
    /// As there.
    pub fn open(options: &Options) -> Result<Writer> {
        let probe = Probe::new("UTF-8").map_err(|it| Error::new(Kind::Broken, it))?;
        Ok(Writer { database: D1::open(options)?, probe, layouts: HashMap::new(), rate: options.rate })
    }

    fn api(&self) -> (&Api, &str) {
        (&self.database.api, &self.database.id)
    }

    /// Learns how the tables are declared, all at once.
    fn learn(&mut self) -> Result<()> {
        let query = "SELECT list.name, list.strict, list.wr, info.name, info.type, info.hidden, info.pk \
            FROM pragma_table_list AS list, pragma_table_xinfo(list.name) AS info \
            WHERE list.schema = 'main' AND list.type = 'table' ORDER BY list.name, info.cid";
        self.layouts = Layout::all(self.database.texts(&[query])?.into_iter().flatten());
        Ok(())
    }

    /// How a table is declared, and what its columns make of values.
    fn known(&mut self, name: &str) -> Result<(&Layout, &Probe)> {
        if !self.layouts.contains_key(name) {
            self.learn()?;
        }
        let gone = || Error::new(Kind::Store, format_args!("d1: there is no table `{name}`"));
        Ok((self.layouts.get(name).ok_or_else(gone)?, &self.probe))
    }

    /// The names of tables and the like that are there.
    fn names(&self) -> Result<BTreeSet<String>> {
        let rows = self.database.texts(&["SELECT name FROM sqlite_schema"])?;
        Ok(rows.into_iter().flatten().filter_map(|it| it.into_iter().next().flatten()).collect())
    }
}

/// How much goes into one batch of that table.
pub(in crate::store) fn room(table: &Table) -> Room {
    let width = table.columns.len().max(1);
    // Of rows without a key each one that is deleted takes a statement of its own.
    let each = if table.key.is_empty() { 1 } else { (PARAMETERS_MAX / width).max(1) };
    Room { rows: STATEMENTS * each, rows_max: STATEMENTS_MAX * each, bytes_max: BYTES_MAX }
}

/// One request a batch, and a few to learn about the database before.
pub(in crate::store) fn cost(work: Work, rate: Option<f64>) -> Cost {
    Cost::at_cloudflare(work.batches, rate)
}

impl Target for Writer {
    fn room(&self, table: &Table) -> Room {
        room(table)
    }

    fn cost(&self, work: Work) -> Option<Cost> {
        Some(cost(work, self.rate))
    }

    fn fingerprint(&self) -> String {
        format!("d1 {}", self.database.id)
    }

    fn create(&mut self, schema: &str) -> Result<()> {
        let names = self.names()?;
        let missing = definitions(schema)?.into_iter().filter(|it| !names.contains(&it.table));
        let statements: Vec<Statement> = missing.map(|it| Statement::new(it.sql)).collect();
        if statements.is_empty() {
            return Ok(());
        }
        let (api, id) = self.api();
        let context = |it: Error| it.context("cannot create the tables of the schema");
        // What is wrong with a definition is not wrong with a row.
        change::run(api, id, &statements).map_err(|it| match it.kind() {
            Kind::Row => context(Error::new(Kind::Store, it)),
            _ => context(it),
        })?;
        self.layouts.clear();
        Ok(())
    }

    fn begin(&mut self, begin: &Begin<'_>) -> Result<Vec<Fact>> {
        let mut facts = Vec::new();
        match self.database.state() {
            Some(bookmark) => {
                let name = &self.database.name;
                facts.push(Fact::new("bookmark", bookmark.clone()));
                facts.push(Fact::new(
                    "restore",
                    format!("wrangler d1 time-travel restore {name} --bookmark={bookmark}"),
                ));
            }
            None => {
                let what = "none: the service gives no bookmark, so its time travel cannot go back to this state";
                facts.push(Fact::new("bookmark", what).level(Level::Note));
            }
        }
        if begin.disable_indexes {
            let what = "stay: D1 writes in small transactions, between which an index must not be missing";
            facts.push(Fact::new("indexes", what).level(Level::Note));
        }
        let marks = sql::identifier(MARKS);
        let table =
            format!("CREATE TABLE IF NOT EXISTS {marks} (run TEXT, tbl TEXT, batch INTEGER, PRIMARY KEY (run, tbl))");
        let (api, id) = self.api();
        change::run(api, id, &[Statement::new(table)])?;
        self.learn()?;
        Ok(facts)
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        let (layout, probe) = self.known(&changes.table.name)?;
        let mut statements = Statements::new(changes.table, layout, probe);
        statements.add(Change::Delete, changes.deletes)?;
        statements.add(Change::Update, changes.updates)?;
        statements.add(Change::Insert, changes.inserts)?;
        let (statements, kinds) = statements.marked(changes.table, changes.mark);
        let (api, id) = self.api();
        let answered = change::run(api, id, &statements)?;
        let counts = change::counts(&answered, statements.len())?;
        let mut written = Written::default();
        for (kind, count) in kinds.iter().zip(counts) {
            match kind {
                Some(Change::Insert) => written.inserted += count,
                Some(Change::Update) => written.updated += count,
                Some(Change::Delete) => written.deleted += count,
                None => {}
            }
        }
        Ok(written)
    }

    fn frame(&self) -> Option<Frame> {
        Some(FRAME)
    }

    fn statement(&mut self, table: &Table, shape: &Arc<Shape>, edit: Edit<'_>) -> Result<String> {
        let (layout, probe) = self.known(&table.name)?;
        let columns = shape.fields.iter().map(|it| layout.column(&it.column)).collect::<Result<Vec<_>>>()?;
        let text = Lite { table, columns: &columns, probe }.statement(edit)?;
        if text.len() > TEXT_MAX {
            let what = format_args!("{} bytes, and D1 takes {TEXT_MAX} in a statement", text.len());
            return Err(Error::new(Kind::Row, what).context(format_args!("table `{}`", table.name)));
        }
        Ok(text)
    }

    fn mark(&mut self, run: &str, table: &str) -> Result<Option<u64>> {
        if !self.names()?.contains(MARKS) {
            return Ok(None);
        }
        let marks = sql::identifier(MARKS);
        let mut query = Statement::new(format!("SELECT CAST(batch AS TEXT) FROM {marks} WHERE run = ? AND tbl = ?"));
        query.params = vec![run.into(), table.into()];
        let (api, id) = self.api();
        let answered = api.ask(id, &[query])?;
        let (results, _) = answered.rows(1)?;
        let batch = results.iter().flat_map(|it| &it.rows).find_map(|it| it.first());
        Ok(batch.and_then(|it| super::cells::string(it).ok()?.parse().ok()))
    }

    fn clean(&mut self) -> Result<bool> {
        if !self.names()?.contains(MARKS) {
            return Ok(false);
        }
        let (api, id) = self.api();
        change::run(api, id, &[Statement::new(format!("DROP TABLE IF EXISTS {}", sql::identifier(MARKS)))])?;
        Ok(true)
    }
}
