//! Rows as statements of many rows each.
//!
//! Each statement has its rows in a list `v` of which SQLite reads as of a table, whose columns are called `column1` and so on. Its values
//! have no affinity, so a comparison takes that of the column which they stand beside, and so does an insertion.

use super::{api::Statement, cells::hex, write::PARAMETERS_MAX};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Row, Shape},
    schema::Table,
    store::{
        affinity::{Column, Probe},
        sql,
        target::{MARKS, Mark},
    },
};
use rusqlite::types::ValueRef;
use std::collections::HashMap;

/// What a statement does to its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
}

/// How a table is declared.
pub(super) struct Layout {
    columns: Vec<Column>,
    /// The columns by which its rows are told apart, or the name of the rowid; quoted.
    identity: Vec<String>,
}

/// The statements of a request.
pub(super) struct Statements<'s> {
    table: &'s Table,
    layout: &'s Layout,
    probe: &'s Probe,
    /// The table's name, quoted.
    name: String,
    statements: Vec<Statement>,
    /// What each one does; nothing for what is about no rows.
    kinds: Vec<Option<Change>>,
}

/// Bytes that a value may have, and a row.
const VALUE_MAX: usize = 2_000_000;
/// Bytes of a value in one parameter: twice as many hexadecimal digits are as long as a value may be.
const PIECE: usize = 1_000_000;
/// Bytes that the text of a statement may have.
const TEXT_MAX: usize = 90_000;

impl Layout {
    /// The layouts of tables, from rows of table, strict, without rowid, column, declared type, hidden, place in the key.
    pub(super) fn all(rows: impl Iterator<Item = Vec<Option<String>>>) -> HashMap<String, Layout> {
        let mut keys: HashMap<String, Vec<(u32, String)>> = HashMap::new();
        let mut layouts: HashMap<String, Layout> = HashMap::new();
        for row in rows {
            let text = |place: usize| row.get(place).and_then(Option::as_deref).unwrap_or_default();
            let (table, name) = (text(0), text(3));
            let layout =
                layouts.entry(table.to_owned()).or_insert(Layout { columns: Vec::new(), identity: Vec::new() });
            layout.columns.push(Column::new(name, text(4), text(1) == "1", matches!(text(5), "2" | "3")));
            if let Some(place) = text(6).parse().ok().filter(|it| *it > 0 && text(2) == "1") {
                keys.entry(table.to_owned()).or_default().push((place, sql::identifier(name)));
            }
        }
        for (table, layout) in &mut layouts {
            let taken = |name: &str| layout.columns.iter().any(|it| it.name.eq_ignore_ascii_case(name));
            layout.identity = match keys.remove(table) {
                Some(mut key) => {
                    key.sort();
                    key.into_iter().map(|it| it.1).collect()
                }
                None => ["rowid", "_rowid_", "oid"]
                    .into_iter()
                    .find(|it| !taken(it))
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
            };
        }
        layouts
    }

    pub(super) fn column(&self, name: &str) -> Result<&Column> {
        let exact = self.columns.iter().find(|it| it.name == name);
        let found = exact.or_else(|| self.columns.iter().find(|it| it.name.eq_ignore_ascii_case(name)));
        found.ok_or_else(|| Error::new(Kind::Store, format_args!("the table has no column `{name}`")))
    }
}

impl<'s> Statements<'s> {
    pub(super) fn new(table: &'s Table, layout: &'s Layout, probe: &'s Probe) -> Statements<'s> {
        let name = format!("main.{}", sql::identifier(&table.name));
        let mut out = Statements { table, layout, probe, name, statements: Vec::new(), kinds: Vec::new() };
        // Rows of one request may refer to each other in any order.
        if table.foreign_keys.iter().any(|it| it.table.eq_ignore_ascii_case(&table.name)) {
            out.push(None, Statement::new("PRAGMA defer_foreign_keys = on"));
        }
        out
    }

    fn push(&mut self, kind: Option<Change>, statement: Statement) {
        self.kinds.push(kind);
        self.statements.push(statement);
    }

    /// Adds what has to be done to the rows of `batch`.
    ///
    /// # Errors
    /// If a column cannot hold a value, or the service none of its size.
    pub(super) fn add(&mut self, change: Change, batch: &Batch) -> Result<()> {
        let shape = batch.shape();
        let fields = match change {
            // Of a row that is deleted only the key matters.
            Change::Delete if !shape.keyless => shape.key,
            _ => shape.fields.len(),
        };
        let columns = shape.fields.iter().take(fields).map(|it| self.layout.column(&it.column));
        let columns = columns.collect::<Result<Vec<&Column>>>()?;
        let (before, after) = match self.around(change, shape, &columns)? {
            Some(it) => it,
            None => return Ok(()),
        };
        // Of several equal rows one goes for each.
        let alone = change == Change::Delete && shape.keyless;
        let (mut list, mut params) = (String::new(), Vec::new());
        for row in batch.rows() {
            let (values, bound) = self.values(row, &columns)?;
            let full = params.len() + bound.len() > PARAMETERS_MAX || list.len() + values.len() > TEXT_MAX;
            if !list.is_empty() && (full || alone) {
                let sql = format!("{before}{list}{after}");
                self.push(Some(change), Statement { sql, params: std::mem::take(&mut params) });
                list.clear();
            }
            list.push_str(if list.is_empty() { "(" } else { ", (" });
            list.push_str(&values);
            list.push(')');
            params.extend(bound);
        }
        if !list.is_empty() {
            self.push(Some(change), Statement { sql: format!("{before}{list}{after}"), params });
        }
        Ok(())
    }

    /// What stands before and behind the rows of a statement. Nothing: there is nothing to do to any row.
    fn around(&self, change: Change, shape: &Shape, columns: &[&Column]) -> Result<Option<(String, String)>> {
        let name = &self.name;
        let key = if shape.keyless { shape.fields.len() } else { shape.key };
        let matches: Vec<String> = columns.iter().take(key).enumerate().map(|(at, it)| is(at, it)).collect();
        let matches = matches.join(" AND ");
        let written = columns.iter().enumerate().filter(|it| !it.1.generated);
        Ok(Some(match change {
            Change::Insert => {
                let (names, values): (Vec<String>, Vec<String>) =
                    written.map(|(at, it)| (sql::identifier(&it.name), column(at))).unzip();
                let unless = match shape.keyless {
                    true => String::new(),
                    false => format!(" WHERE NOT EXISTS (SELECT 1 FROM {name} AS t WHERE {matches})"),
                };
                let (names, values) = (names.join(", "), values.join(", "));
                (
                    format!("INSERT INTO {name} ({names}) SELECT {values} FROM (VALUES "),
                    format!(") AS v{unless} RETURNING 1"),
                )
            }
            Change::Update => {
                let set: Vec<String> = written
                    .skip_while(|it| it.0 < key)
                    .map(|(at, it)| format!("{} = {}", sql::identifier(&it.name), column(at)))
                    .collect();
                if set.is_empty() {
                    return Ok(None);
                }
                let set = set.join(", ");
                (format!("UPDATE {name} AS t SET {set} FROM (VALUES "), format!(") AS v WHERE {matches} RETURNING 1"))
            }
            Change::Delete => {
                let identity = &self.layout.identity;
                if identity.is_empty() {
                    let what = format_args!("no row of `{}` can be told from the others", self.table.name);
                    return Err(Error::new(Kind::Plan, what));
                }
                let (own, theirs): (Vec<&str>, Vec<String>) =
                    identity.iter().map(|it| (it.as_str(), format!("t.{it}"))).unzip();
                let (own, theirs) = (own.join(", "), theirs.join(", "));
                let one = if shape.keyless { " LIMIT 1" } else { "" };
                (
                    format!("DELETE FROM {name} WHERE ({own}) IN (SELECT {theirs} FROM (VALUES "),
                    format!(") AS v CROSS JOIN {name} AS t WHERE {matches}{one}) RETURNING 1"),
                )
            }
        }))
    }

    /// The values of a row in a list, and what is bound to it.
    fn values(&self, row: Row<'_>, columns: &[&Column]) -> Result<(String, Vec<serde_json::Value>)> {
        let (mut list, mut params, mut size) = (String::new(), Vec::new(), 0);
        let (shape, mut scratch, mut text) = (row.shape(), Vec::new(), Vec::new());
        for (place, (column, field)) in columns.iter().zip(&shape.fields).enumerate() {
            let value = (row.value(place, &mut scratch), row.cell(place), place < shape.key);
            let stored = self.probe.spell(value, (&self.table.name, column), &field.cast, &mut text)?;
            let bytes = length(stored);
            size += bytes;
            if bytes > VALUE_MAX {
                let name = &column.name;
                let what = format_args!("column `{name}`: {bytes} bytes, and D1 takes {VALUE_MAX} in a value");
                return Err(Error::new(Kind::Row, what));
            }
            list.push_str(if list.is_empty() { "" } else { ", " });
            list.push_str(&bind(stored, &mut params));
        }
        if size > VALUE_MAX {
            return Err(Error::new(Kind::Row, format_args!("{size} bytes, and D1 takes {VALUE_MAX} in a row")));
        }
        if params.len() > PARAMETERS_MAX {
            let what = format_args!("{} parameters, and D1 takes {PARAMETERS_MAX} in a statement", params.len());
            return Err(Error::new(Kind::Row, what));
        }
        Ok((list, params))
    }

    /// The statements, the last of which leaves the mark, and what each of them does.
    pub(super) fn marked(mut self, table: &Table, mark: Mark<'_>) -> (Vec<Statement>, Vec<Option<Change>>) {
        let sql = format!(
            "INSERT INTO {} (run, tbl, batch) VALUES (?, ?, CAST(? AS INTEGER)) \
             ON CONFLICT (run, tbl) DO UPDATE SET batch = excluded.batch",
            sql::identifier(MARKS)
        );
        let params = vec![mark.run.into(), table.name.as_str().into(), mark.batch.to_string().into()];
        self.push(None, Statement { sql, params });
        (self.statements, self.kinds)
    }
}

/// A column of the list.
fn column(at: usize) -> String {
    format!("v.column{}", at + 1)
}

/// That a row of the table has in that column just what the list has. The first condition finds it by an index, whatever the
/// collation of that is; the second one looks at the bytes.
fn is(at: usize, it: &Column) -> String {
    let (theirs, own) = (format!("t.{}", sql::identifier(&it.name)), column(at));
    format!("{theirs} IS {own} AND {theirs} IS {own} COLLATE BINARY")
}

/// How many bytes a value fills.
fn length(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null => 1,
        ValueRef::Integer(_) | ValueRef::Real(_) => 9,
        ValueRef::Text(it) | ValueRef::Blob(it) => it.len(),
    }
}

/// A value as an SQL expression without affinity. Of numbers the service takes only reals for what they are, so all else goes
/// as text.
fn bind(value: ValueRef<'_>, params: &mut Vec<serde_json::Value>) -> String {
    let mut bound = |it: serde_json::Value| params.push(it);
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(it) => {
            bound(it.to_string().into());
            "+CAST(? AS INTEGER)".to_owned()
        }
        ValueRef::Real(it) if it.is_infinite() => if it > 0.0 { "9e999" } else { "-9e999" }.to_owned(),
        ValueRef::Real(it) => {
            bound(it.into());
            "?".to_owned()
        }
        ValueRef::Text(it) => match std::str::from_utf8(it) {
            Ok(it) => {
                bound(it.into());
                "?".to_owned()
            }
            Err(_) => format!("+CAST({} AS TEXT)", unhex(it, params)),
        },
        ValueRef::Blob(it) => unhex(it, params),
    }
}

/// Bytes as an expression, in as many parameters as it takes.
fn unhex(bytes: &[u8], params: &mut Vec<serde_json::Value>) -> String {
    let pieces: Vec<&[u8]> = bytes.chunks(PIECE).collect();
    match pieces.as_slice() {
        [] => "x''".to_owned(),
        [one] => {
            params.push(hex(one).into());
            "unhex(?)".to_owned()
        }
        several => {
            params.extend(several.iter().map(|it| hex(it).into()));
            format!("CAST({} AS BLOB)", vec!["unhex(?)"; several.len()].join(" || "))
        }
    }
}
