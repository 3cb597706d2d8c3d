//! What SQLite's own engine says about its tables, whether it is asked in a file or behind a service.

use super::{sql, target::MARKS};
use crate::{
    error::Result,
    schema::{Column, ForeignKey, Origin, Table, Unique},
    value::Type,
};
use std::collections::BTreeMap;

/// One table as it is stored.
pub(super) struct Listed {
    pub table: Table,
    /// How its rows can be told apart.
    pub rows: Home,
}

/// Where the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Under a rowid, by the name for it that no column has taken.
    Rowid(&'static str),
    /// In the order of the key, without a rowid.
    Key,
    /// Nowhere that has a name, as those of a view.
    Nowhere,
}

/// A row of an answer, its values as text.
pub(super) type Row = Vec<Option<String>>;

/// The questions that [`tables`] needs the answers of, in this order: tables, columns, unique indexes, references.
fn questions(views: bool) -> [String; 4] {
    // Tables of SQLite itself, of Cloudflare's engine and of this tool hold no data of the user's. Of a view that nobody wants nothing is
    // asked, since one that is broken would spoil the answer.
    let wanted = format!(
        "list.schema = 'main' AND list.type NOT IN ('shadow'{}) \
         AND list.name NOT GLOB 'sqlite_*' AND list.name NOT GLOB '_cf_*' AND list.name <> '{MARKS}'",
        if views { "" } else { ", 'view'" }
    );
    let about_each = |columns: &str, also: &str, order: &str| {
        let order = ["list.name", order].join(if order.is_empty() { "" } else { ", " });
        format!("SELECT list.name, {columns} FROM pragma_table_list AS list{also} WHERE {wanted} ORDER BY {order}")
    };
    [
        about_each("list.type, list.wr, list.strict", "", ""),
        about_each(
            r#"info.name, info.type, info."notnull", info.pk, info.hidden"#,
            ", pragma_table_xinfo(list.name) AS info",
            "info.cid",
        ),
        about_each(
            "indexes.name, info.name",
            r#" JOIN pragma_index_list(list.name) AS indexes ON indexes."unique" = 1 AND indexes.partial = 0
               JOIN pragma_index_xinfo(indexes.name) AS info ON info.key = 1"#,
            "indexes.name, info.seqno",
        ),
        about_each(
            r#"keys.id, keys."table", keys."from", keys."to""#,
            ", pragma_foreign_key_list(list.name) AS keys",
            "keys.id, keys.seq",
        ),
    ]
}

/// The tables, and with `views` the views too, in the order of their names.
///
/// # Errors
/// If `ask` fails, which gets several queries and gives the rows of each.
pub(super) fn tables(views: bool, ask: impl FnOnce(&[&str]) -> Result<Vec<Vec<Row>>>) -> Result<Vec<Listed>> {
    let questions = questions(views);
    let mut answers = ask(&questions.each_ref().map(String::as_str))?.into_iter();
    let [list, columns, indexes, keys] = std::array::from_fn(|_| answers.next().unwrap_or_default());
    let [columns, indexes, keys] = [columns, indexes, keys].map(by_table);
    let mut out = Vec::new();
    for row in list {
        let (name, kind) = (text(&row, 0), text(&row, 1));
        let mut table = Table::new(name);
        if kind == "virtual" {
            table.unreadable = Some("a virtual table".to_owned());
        }
        let of = |all: &'_ BTreeMap<String, Vec<Row>>| all.get(name).cloned().unwrap_or_default();
        declare(&mut table, &of(&columns), is(&row, 3));
        unique(&mut table, &of(&indexes));
        refer(&mut table, &of(&keys));
        let rows = match (kind, is(&row, 2)) {
            ("table", true) => Home::Key,
            ("table", false) => rowid(&table).map_or(Home::Nowhere, Home::Rowid),
            _ => Home::Nowhere,
        };
        out.push(Listed { table, rows });
    }
    Ok(out)
}

/// The name for the rowid of a table that none of its columns has taken.
pub(super) fn rowid(table: &Table) -> Option<&'static str> {
    let is_taken = |name: &str| table.columns.iter().any(|it| it.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(|it| !is_taken(it))
}

/// Columns and key, from rows of name, type, not null, place in the key, hidden.
fn declare(table: &mut Table, rows: &[Row], strict: bool) {
    let mut key = Vec::new();
    for row in rows {
        // Hidden columns of kind 1 belong to virtual tables; 2 and 3 are generated and hold values like any other.
        if text(row, 5) == "1" {
            continue;
        }
        if let Some(place) = text(row, 4).parse::<u32>().ok().filter(|&it| it > 0) {
            key.push((place, table.columns.len()));
        }
        let mut column = Column::new(text(row, 1), sql::declared(text(row, 2)));
        column.nullable = !is(row, 3);
        if strict && column.ty != Type::Any {
            column.origin = Origin::Enforced;
        }
        table.columns.push(column);
    }
    key.sort_unstable();
    table.key = key.into_iter().map(|it| it.1).collect();
    table.key_origin = Origin::Enforced;
}

/// Unique constraints, from rows of index and column. One of them stands in for a key that is not declared.
fn unique(table: &mut Table, rows: &[Row]) {
    let mut indexes: Vec<(&str, Option<Vec<usize>>)> = Vec::new();
    for row in rows {
        let index = text(row, 1);
        if indexes.last().is_none_or(|it| it.0 != index) {
            indexes.push((index, Some(Vec::new())));
        }
        // An index on an expression says nothing about columns.
        let place = row.get(2).and_then(Option::as_deref).and_then(|it| table.column(it));
        if let Some((_, columns)) = indexes.last_mut() {
            *columns = columns.take().zip(place).map(|(mut columns, place)| {
                columns.push(place);
                columns
            });
        }
    }
    let mut uniques: Vec<Vec<usize>> = indexes.into_iter().filter_map(|it| it.1).collect();
    uniques.sort();
    uniques.dedup();
    if table.key.is_empty() {
        let keys = uniques.iter().filter(|it| it.iter().all(|&place| !table.columns[place].nullable));
        table.key = keys.min_by_key(|it| it.len()).cloned().unwrap_or_default();
    }
    uniques.retain(|it| *it != table.key);
    table.uniques = uniques.into_iter().map(|columns| Unique { columns, enforced: true }).collect();
}

/// References, from rows of number, table, column here, column there.
fn refer(table: &mut Table, rows: &[Row]) {
    let mut last = None;
    for row in rows {
        let number = text(row, 1);
        if last != Some(number) {
            let reference = ForeignKey { columns: Vec::new(), table: text(row, 2).to_owned(), to: Vec::new() };
            table.foreign_keys.push(reference);
            last = Some(number);
        }
        let from = table.column(text(row, 3));
        if let Some(reference) = table.foreign_keys.last_mut() {
            reference.columns.extend(from);
            reference.to.extend(row.get(4).cloned().flatten());
        }
    }
}

/// Rows by the table that they are about, which their first value names.
fn by_table(rows: Vec<Row>) -> BTreeMap<String, Vec<Row>> {
    let mut out: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        out.entry(text(&row, 0).to_owned()).or_default().push(row);
    }
    out
}

fn text(row: &Row, place: usize) -> &str {
    row.get(place).and_then(Option::as_deref).unwrap_or_default()
}

fn is(row: &Row, place: usize) -> bool {
    text(row, place) == "1"
}
