//! A table, page by page.
//!
//! A page is one request, so one transaction. The next one begins behind the last key. How many rows it has follows from how
//! large the last one was; how long a value may be before it is left for a request of its own follows from how many rows the
//! page may have, so no page is larger than the service can bear, whatever the rows hold.

use super::{
    api::{Api, Statement, strange},
    cells::{self, Cell, Left, PIECE},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    store::{places, sql},
};
use serde_json::value::RawValue;
use std::sync::Arc;

/// By what the rows of a table are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    /// By their rowid, under the name that no column has taken.
    Rowid(&'static str),
    /// By these columns, in whose order the table is stored.
    Columns(Vec<usize>),
    /// By nothing but their place, as in a view.
    Place,
}

/// One table being read.
pub(super) struct Reading<'r> {
    pub api: &'r Api,
    pub database: &'r str,
    pub table: &'r Table,
    pub key: &'r Key,
    /// Where the service shall look for the cells: places in the table, each once.
    columns: Vec<usize>,
    /// The place in `columns` of each field of the shape.
    fields: Vec<usize>,
}

/// One row: its columns, and its rowid if that is its key.
struct Row {
    cells: Vec<Cell>,
    rowid: i64,
    place: u64,
}

/// Which rows, and what is bound to say so.
#[derive(Clone)]
struct Which {
    sql: String,
    params: Vec<serde_json::Value>,
}

/// Rows of the first page.
const FIRST: usize = 500;
/// Rows that a page may have at most.
const ROWS_MAX: usize = 20_000;
/// Bytes that an answer should have.
const WANTED: usize = 4 << 20;
/// Bytes that the values of a page may have at most.
const BYTES_MAX: usize = 32 << 20;
/// Milliseconds that the service should work on a page. It gives up after 30,000.
const PATIENCE: f64 = 2_000.0;
/// Columns that a query may give.
const COLUMNS_MAX: usize = 100;
/// Bytes of the columns of one statement; a statement may have 100,000.
const STATEMENT_MAX: usize = 80_000;
/// Conditions that a statement may have: its parameters are limited to 100, and so is how deep an expression may be.
const CONDITIONS_MAX: usize = 80;
/// Statements of a request that asks for keys.
const STATEMENTS_MAX: usize = 10;
/// Values that are asked for by themselves in one request.
const PIECES_MAX: usize = 8;
/// Bytes that no value of D1 exceeds.
const VALUE_MAX: usize = 64 << 20;

impl<'r> Reading<'r> {
    /// Reads the columns that `shape` asks for.
    ///
    /// # Errors
    /// If one of them is not there.
    pub(super) fn new(
        (api, database): (&'r Api, &'r str),
        table: &'r Table,
        key: &'r Key,
        shape: &Shape,
    ) -> Result<Reading<'r>> {
        let mut columns = Vec::new();
        let mut at = |place: usize| match columns.iter().position(|&it| it == place) {
            Some(it) => it,
            None => {
                columns.push(place);
                columns.len() - 1
            }
        };
        let fields = places(table, shape)?.into_iter().map(&mut at).collect();
        if let Key::Columns(key) = key {
            key.iter().for_each(|&it| _ = at(it));
        }
        Ok(Reading { api, database, table, key, columns, fields })
    }

    /// Feeds all rows, in the order of the key of the table.
    pub(super) fn all(&self, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let mut batch = Batch::new(Arc::clone(shape));
        let (mut last, mut limit): (Option<Row>, usize) = (None, FIRST);
        loop {
            let which = self.behind(last.as_ref(), limit)?;
            let start = last.as_ref().map_or(0, |it| it.place + 1);
            let (mut rows, size, duration) = self.page(&[which], limit, start)?;
            let count = rows.len();
            self.advances(last.as_ref(), &rows)?;
            self.fill_in(&mut rows)?;
            if self.hand_over(&rows, &mut batch, feed)? == Flow::Stop {
                return Ok(());
            }
            // A page that is not full may have been cut by the service, so only one without rows is the end.
            let Some(row) = rows.pop() else { break };
            last = Some(row);
            let most = if duration > PATIENCE { limit / 2 } else { limit.saturating_mul(2) };
            let fitting = WANTED.saturating_mul(count) / size.max(1);
            limit = fitting.clamp(limit / 8, most).clamp(1, ROWS_MAX);
        }
        if !batch.is_empty() {
            let _ = feed.take(&mut batch)?;
        }
        Ok(())
    }

    /// Feeds the rows that have one of these keys, whose values are those of `columns`. False: one of the values cannot be
    /// looked for, and nothing was read.
    pub(super) fn some(
        &self,
        columns: &[usize],
        keys: &Batch,
        feed: &mut dyn Feed,
        shape: &Arc<Shape>,
    ) -> Result<bool> {
        // The place of a row among others says nothing about its place in the table.
        if matches!(self.key, Key::Place) {
            return Ok(false);
        }
        let mut wanted: Vec<Which> = Vec::new();
        let each = (CONDITIONS_MAX / columns.len().max(1)).max(1);
        let mut scratch = Vec::new();
        for (at, row) in keys.rows().enumerate() {
            let mut params = Vec::new();
            let mut parts = Vec::new();
            for (place, &column) in columns.iter().enumerate() {
                let value = row.value(place, &mut scratch);
                let name = self.name(column);
                if value == crate::value::Value::Null {
                    parts.push(format!("{name} IS NULL"));
                    continue;
                }
                let Some(bound) = Cell::bound(value, &mut params) else { return Ok(false) };
                parts.push(format!("{name} = {bound}"));
            }
            let sql = format!("({})", parts.join(" AND "));
            match wanted.last_mut().filter(|_| at % each != 0) {
                Some(it) => {
                    it.sql = format!("{} OR {sql}", it.sql);
                    it.params.extend(params);
                }
                None => wanted.push(Which { sql: format!("WHERE {sql}"), params }),
            }
        }
        let mut batch = Batch::new(Arc::clone(shape));
        for some in wanted.chunks(STATEMENTS_MAX) {
            let (mut rows, ..) = self.page(some, each.saturating_mul(some.len()), 0)?;
            self.fill_in(&mut rows)?;
            if self.hand_over(&rows, &mut batch, feed)? == Flow::Stop {
                return Ok(true);
            }
        }
        if !batch.is_empty() {
            let _ = feed.take(&mut batch)?;
        }
        Ok(true)
    }

    /// Refuses a page that does not lie behind the one before: a service that gives it again would be read without end.
    fn advances(&self, last: Option<&Row>, rows: &[Row]) -> Result<()> {
        let again = || strange(format_args!("a page of `{}` that begins where the one before did", self.table.name));
        let before = last.into_iter().chain(rows);
        match self.key {
            Key::Rowid(_)
                if before.zip(rows.iter().skip(usize::from(last.is_none()))).any(|(a, b)| a.rowid >= b.rowid) =>
            {
                Err(again())
            }
            Key::Columns(key) => {
                let cells = |row: &Row| key.iter().map(|it| self.cell(row, *it).cloned()).collect::<Vec<_>>();
                match (last, rows.last()) {
                    (Some(last), Some(row)) if cells(last) == cells(row) => Err(again()),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// What a row has in that column of the table.
    fn cell<'c>(&self, row: &'c Row, place: usize) -> Option<&'c Cell> {
        row.cells.get(self.columns.iter().position(|&it| it == place)?)
    }

    fn hand_over(&self, rows: &[Row], batch: &mut Batch, feed: &mut dyn Feed) -> Result<Flow> {
        for row in rows {
            batch.fill_with(|place, slot| {
                let cell = self.fields.get(place).and_then(|&it| row.cells.get(it));
                slot.put(cell.unwrap_or(&Cell::Null).value());
                Ok(())
            })?;
            if batch.is_full() && feed.take(batch)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    /// A column of the table, in a query. It cannot be taken for the name of a column of the answer.
    fn name(&self, place: usize) -> String {
        let name = self.table.columns.get(place).map_or("", |it| it.name.as_str());
        format!("t.{}", sql::identifier(name))
    }

    /// The rows behind that one, no more than `limit`.
    fn behind(&self, last: Option<&Row>, limit: usize) -> Result<Which> {
        let (mut params, mut condition) = (Vec::new(), String::new());
        let order = match self.key {
            Key::Rowid(name) => {
                if let Some(row) = last {
                    condition = format!("WHERE t.{name} > +CAST(? AS INTEGER) ");
                    params.push(row.rowid.to_string().into());
                }
                format!("ORDER BY t.{name} LIMIT {limit}")
            }
            Key::Columns(key) => {
                let names: Vec<String> = key.iter().map(|&it| self.name(it)).collect();
                if let Some(row) = last {
                    let values = self.key_of(row, key, &mut params)?;
                    condition = format!("WHERE ({}) > ({}) ", names.join(", "), values.join(", "));
                }
                format!("ORDER BY {} LIMIT {limit}", names.join(", "))
            }
            Key::Place => format!("LIMIT {limit} OFFSET {}", last.map_or(0, |it| it.place + 1)),
        };
        Ok(Which { sql: condition + &order, params })
    }

    /// Just that row.
    fn just(&self, row: &Row) -> Result<Which> {
        let mut params = Vec::new();
        let sql = match self.key {
            Key::Rowid(name) => {
                params.push(row.rowid.to_string().into());
                format!("WHERE t.{name} = +CAST(? AS INTEGER)")
            }
            Key::Columns(key) => {
                let values = self.key_of(row, key, &mut params)?;
                let parts = key.iter().zip(values).map(|(&it, value)| format!("{} = {value}", self.name(it)));
                format!("WHERE {}", parts.collect::<Vec<_>>().join(" AND "))
            }
            Key::Place => format!("LIMIT 1 OFFSET {}", row.place),
        };
        Ok(Which { sql, params })
    }

    /// The values of the key of a row, bound.
    fn key_of(&self, row: &Row, key: &[usize], params: &mut Vec<serde_json::Value>) -> Result<Vec<String>> {
        let value = |place: &usize| {
            let cell = self.cell(row, *place).filter(|it| !matches!(it, Cell::Left(_)));
            let bound = cell.and_then(|it| Cell::bound(it.value(), params));
            bound.ok_or_else(|| Error::new(Kind::Limit, format_args!("a key of `{}` is too long", self.table.name)))
        };
        key.iter().map(value).collect()
    }

    /// Asks these rows for these expressions.
    fn statement(&self, list: &str, which: &Which) -> Statement {
        let (table, Which { sql, params }) = (sql::identifier(&self.table.name), which.clone());
        let sql = match self.key {
            // Rows without a key come in an order that hangs on the columns that are asked for: an index may have all of
            // them. So all columns are asked for first, whatever becomes of them.
            Key::Place => {
                let rows = format!("SELECT * FROM main.{table} {sql}");
                format!("WITH \"~rows\" AS MATERIALIZED ({rows}) SELECT {list} FROM \"~rows\" AS t")
            }
            _ => format!("SELECT {list} FROM {table} AS t {sql}"),
        };
        Statement { sql, params }
    }

    /// Asks for rows. What comes back with them is how many bytes the answer had and how many milliseconds it took.
    fn page(&self, wanted: &[Which], rows: usize, start: u64) -> Result<(Vec<Row>, usize, f64)> {
        let width = self.columns.len() + 1;
        let longest = (BYTES_MAX / rows.max(1) / width).clamp(256, PIECE);
        let lists = self.lists(longest);
        let statements: Vec<Statement> =
            wanted.iter().flat_map(|which| lists.iter().map(move |list| self.statement(list, which))).collect();
        let answered = self.api.ask(self.database, &statements)?;
        let (results, duration) = answered.rows(statements.len())?;
        let mut out = Vec::new();
        for parts in results.chunks(lists.len()) {
            let count = parts.first().map_or(0, |it| it.rows.len());
            if parts.iter().any(|it| it.rows.len() != count) {
                return Err(strange("parts of a row without the others"));
            }
            for at in 0..count {
                let values = parts.iter().filter_map(|it| it.rows.get(at)).flatten();
                out.push(self.row(values.copied(), start + out.len() as u64)?);
            }
        }
        Ok((out, answered.size(), duration))
    }

    /// The expressions that a row is asked for by, in as many lists as it takes.
    fn lists(&self, longest: usize) -> Vec<String> {
        let key: &[usize] = if let Key::Columns(it) = self.key { it } else { &[] };
        let columns = self.columns.iter().map(|it| {
            // A key has to be told exactly, since the next page begins behind it.
            let is_key = key.contains(it);
            cells::expression(&self.name(*it), if is_key { PIECE } else { longest }, is_key)
        });
        let rowid = match self.key {
            Key::Rowid(name) => format!("CAST(t.{name} AS TEXT)"),
            _ => "NULL".to_owned(),
        };
        let mut lists: Vec<(String, usize)> = Vec::new();
        for expression in std::iter::once(rowid).chain(columns) {
            // Without a name the answer would repeat the whole expression.
            match lists.last_mut().filter(|it| it.1 < COLUMNS_MAX && it.0.len() + expression.len() < STATEMENT_MAX) {
                Some((list, count)) => {
                    list.push_str(&format!(", {expression} AS \"~\""));
                    *count += 1;
                }
                None => lists.push((format!("{expression} AS \"~\""), 1)),
            }
        }
        lists.into_iter().map(|it| it.0).collect()
    }

    fn row<'a>(&self, mut values: impl Iterator<Item = &'a RawValue>, place: u64) -> Result<Row> {
        let first = values.next().map(cells::decode).transpose()?;
        let rowid = match (self.key, first) {
            (Key::Rowid(_), Some(Cell::Int(it))) => it,
            (Key::Rowid(_), _) => return Err(strange("a row without its rowid")),
            _ => 0,
        };
        let cells = values.map(cells::decode).collect::<Result<Vec<_>>>()?;
        if cells.len() != self.columns.len() {
            return Err(strange("a row that has not all its columns"));
        }
        Ok(Row { cells, rowid, place })
    }

    /// Asks for the values that were left.
    fn fill_in(&self, rows: &mut [Row]) -> Result<()> {
        let mut left = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            for (place, cell) in row.cells.iter().enumerate() {
                let Cell::Left(it) = cell else { continue };
                let length = it.length.unwrap_or(0);
                if length > VALUE_MAX {
                    return Err(strange("a value that is longer than any can be"));
                }
                let pieces = length.div_ceil(PIECE).max(1);
                left.extend((0..pieces).map(|piece| (at, place, piece, *it)));
            }
        }
        // The pieces of one value come one after the other, as they are asked for.
        let mut bytes = Vec::new();
        for some in left.chunks(PIECES_MAX) {
            let pieces = self.pieces(rows, some)?;
            for (&(at, place, _, left), piece) in some.iter().zip(pieces) {
                bytes.extend(piece);
                if left.length.is_some_and(|it| bytes.len() < it) {
                    continue;
                }
                let whole = std::mem::take(&mut bytes);
                if left.length.is_some_and(|it| whole.len() != it) {
                    return Err(self.moving());
                }
                if let Some(cell) = rows.get_mut(at).and_then(|it| it.cells.get_mut(place)) {
                    *cell = if left.text { Cell::Text(whole) } else { Cell::Bytes(whole) };
                }
            }
        }
        if bytes.is_empty() { Ok(()) } else { Err(self.moving()) }
    }

    /// Pieces of values, each given by the place of its row, of its column, and its own.
    fn pieces(&self, rows: &[Row], wanted: &[(usize, usize, usize, Left)]) -> Result<Vec<Vec<u8>>> {
        let mut statements = Vec::new();
        for &(at, place, piece, _) in wanted {
            let (Some(row), Some(&column)) = (rows.get(at), self.columns.get(place)) else { continue };
            let piece = format!("{} AS \"~\"", cells::piece(&self.name(column), piece));
            statements.push(self.statement(&piece, &self.just(row)?));
        }
        let answered = self.api.ask(self.database, &statements)?;
        let (results, _) = answered.rows(statements.len())?;
        let piece = |it: super::api::Rows<'_>| match it.rows.as_slice() {
            [row] => match row.as_slice() {
                [digits] => cells::unhex(&cells::string(digits)?).ok_or_else(|| strange("digits that are none")),
                _ => Err(strange("a piece of a value that has other columns")),
            },
            _ => Err(self.moving()),
        };
        results.into_iter().map(piece).collect()
    }

    /// What was there a moment ago is not there any more.
    #[cold]
    fn moving(&self) -> Error {
        let message = format_args!("`{}` was written to while it was being read; run again", self.table.name);
        Error::new(Kind::Store, message)
    }
}
