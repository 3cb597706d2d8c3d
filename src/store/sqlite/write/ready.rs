//! A table that is going to be written to: what its columns hold, how its rows are addressed, and the statements for that.

use crate::{
    error::{Error, Kind, Result},
    row::{Row, Shape},
    schema::Table,
    store::{
        affinity::{Affinity, Column},
        places, pragmas, sql,
    },
    value::{Type, cell::tag},
};
use rusqlite::Connection;
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// A table and the statements that write rows of one shape to it.
pub(super) struct Ready {
    pub(super) table: String,
    pub(super) shape: Arc<Shape>,
    /// One for each field of the shape.
    pub(super) columns: Vec<Column>,
    /// The fields that an insert sets, and those that an update does.
    pub(super) inserted: Vec<usize>,
    pub(super) updated: Vec<usize>,
    /// SQLite itself lets no second row have the key, and tells keys apart as cells are told apart.
    pub(super) enforced: bool,
    /// One key may stand in the table in several forms, as a UUID does in either letter case.
    pub(super) many_forms: bool,
    /// How many values tell where a row is: its rowid, or the key that it is stored by.
    pub(super) home: usize,
    pub(super) sql: Sql,
}

/// The statements.
pub(super) struct Sql {
    pub(super) insert: String,
    /// The same, where a row is left as it is whose key is there.
    pub(super) insert_new: String,
    /// By the key.
    pub(super) update: String,
    pub(super) delete: String,
    /// By where the row is.
    pub(super) update_at: String,
    pub(super) delete_at: String,
    /// Where each row is, and what tells it.
    pub(super) scan: String,
}

/// A unique index: its columns, and how it compares them.
type Index = Vec<(String, String)>;

/// What SQLite says about one table.
struct About {
    without_rowid: bool,
    /// Each column by its name.
    columns: BTreeMap<String, Column>,
    /// The columns of the primary key, in its order.
    primary: Vec<String>,
    /// Whether the primary key is the rowid.
    is_rowid: bool,
    uniques: Vec<Index>,
}

impl Ready {
    pub(super) fn new(connection: &Connection, table: &Table, shape: &Arc<Shape>) -> Result<Ready> {
        let failed = |it: &rusqlite::Error| Error::new(Kind::Store, format_args!("table `{}`: {it}", table.name));
        let about = About::of(connection, &table.name).map_err(|it| failed(&it))?;
        let about = about.ok_or_else(|| {
            Error::new(
                Kind::Plan,
                format_args!("`{}` is no table of this database that rows can be put into", table.name),
            )
        })?;
        let names = places(table, shape)?.into_iter().map(|it| table.columns[it].name.clone());
        let column = |name: String| {
            let gone = || Error::new(Kind::Store, format_args!("table `{}` has no column `{name}`", table.name));
            about.columns.get(&name).cloned().ok_or_else(gone)
        };
        let columns = names.map(column).collect::<Result<Vec<Column>>>()?;
        let key = if shape.keyless { 0 } else { shape.key };
        let written = |range: Range<usize>| range.filter(|&it| !columns[it].generated).collect::<Vec<usize>>();
        let home = about.home(table)?;
        Ok(Ready {
            table: table.name.clone(),
            shape: Arc::clone(shape),
            inserted: written(0..columns.len()),
            updated: written(key..columns.len()),
            enforced: key > 0 && about.enforces(&columns[..key]),
            many_forms: (0..key).any(|it| many_forms(shape.fields[it].cast.ty, columns[it].affinity)),
            home: home.len(),
            sql: Sql::new(table, shape, &columns, &home),
            columns,
        })
    }

    /// How many fields, from the first, tell a row.
    pub(super) fn telling(&self) -> usize {
        telling(&self.shape)
    }

    /// Whether SQLite finds the row by its key, and refuses a second one of that key. No index holds that of NULL.
    pub(super) fn finds(&self, row: Row<'_>) -> bool {
        self.enforced && (0..self.shape.key).all(|it| row.cell(it).first() != Some(&tag::NULL))
    }

    /// Whether the row may be inserted without looking whether it is there: there is no key, or SQLite refuses a second one.
    pub(super) fn guards(&self, row: Row<'_>) -> bool {
        self.shape.keyless || self.finds(row)
    }
}

fn telling(shape: &Shape) -> usize {
    if shape.keyless { shape.compared } else { shape.key }
}

/// Whether two values that a column may hold become the same cell. Where columns make integers or texts of what they are given,
/// there is one form of each.
fn many_forms(ty: Type, affinity: Affinity) -> bool {
    !matches!((ty, affinity), (Type::Int, Affinity::Integer | Affinity::Numeric) | (Type::Text, Affinity::Text))
}

impl About {
    /// Nothing: it is no table.
    fn of(connection: &Connection, name: &str) -> rusqlite::Result<Option<About>> {
        let list = "SELECT wr, strict FROM pragma_table_list(?1) WHERE schema = 'main' AND type = 'table'";
        let found = connection.prepare(list)?.query_map([name], |it| Ok((it.get(0)?, it.get(1)?)))?.next();
        let Some((without_rowid, strict)) = found.transpose()? else { return Ok(None) };
        let (mut columns, mut primary) = (BTreeMap::new(), Vec::new());
        let mut statement = connection.prepare("SELECT name, type, pk, hidden FROM pragma_table_xinfo(?1)")?;
        let mut rows = statement.query([name])?;
        while let Some(row) = rows.next()? {
            let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
            let (place, hidden): (u32, u32) = (row.get(2)?, row.get(3)?);
            if place > 0 {
                primary.push((place, name.clone(), declared.eq_ignore_ascii_case("INTEGER")));
            }
            let column = Column::new(&name, &declared, strict, matches!(hidden, 2 | 3));
            columns.insert(name, column);
        }
        primary.sort();
        let (uniques, indexed) = uniques(connection, name)?;
        Ok(Some(About {
            without_rowid,
            columns,
            is_rowid: matches!(&primary[..], [(.., true)]) && !indexed,
            primary: primary.into_iter().map(|it| it.1).collect(),
            uniques,
        }))
    }

    /// Whether no two rows can have the same values in these columns, compared byte by byte.
    fn enforces(&self, columns: &[Column]) -> bool {
        let bytewise = |it: &Index| it.iter().all(|it| it.1 == "BINARY");
        let same =
            |it: &Index| it.len() == columns.len() && columns.iter().all(|one| it.iter().any(|it| it.0 == one.name));
        let rowid = self.is_rowid && matches!(columns, [one] if one.name == self.primary[0]);
        rowid || self.uniques.iter().any(|it| bytewise(it) && same(it))
    }

    /// What tells where a row is stored, as SQL.
    fn home(&self, table: &Table) -> Result<Vec<String>> {
        if self.without_rowid {
            return Ok(self.primary.iter().map(|it| sql::identifier(it)).collect());
        }
        let named = pragmas::rowid(table).map(|it| vec![it.to_owned()]);
        named.ok_or_else(|| {
            let what = "its columns take all names of the rowid, so that no row can be addressed";
            Error::new(Kind::Plan, format_args!("table `{}`: {what}", table.name))
        })
    }
}

/// The unique indexes of a table, and whether its primary key is one of them.
fn uniques(connection: &Connection, table: &str) -> rusqlite::Result<(Vec<Index>, bool)> {
    let list = r#"SELECT name, origin = 'pk' FROM pragma_index_list(?1) WHERE "unique" = 1 AND partial = 0"#;
    let mut statement = connection.prepare(list)?;
    let found = statement.query_map([table], |it| Ok((it.get(0)?, it.get(1)?)))?;
    let (mut out, mut indexed) = (Vec::new(), false);
    for index in found {
        let (name, primary): (String, bool) = index?;
        indexed |= primary;
        let mut columns = connection.prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key = 1")?;
        let columns = columns.query_map([name], |it| Ok((it.get::<_, Option<String>>(0)?, it.get(1)?)))?;
        // An expression has no name, and what it says about columns is unknown.
        let columns: Vec<(Option<String>, String)> = columns.collect::<rusqlite::Result<_>>()?;
        out.extend(columns.into_iter().map(|it| Some((it.0?, it.1))).collect::<Option<Index>>());
    }
    Ok((out, indexed))
}

impl Sql {
    fn new(table: &Table, shape: &Shape, columns: &[Column], home: &[String]) -> Sql {
        let into = sql::identifier(&table.name);
        let names: Vec<String> = columns.iter().map(|it| sql::identifier(&it.name)).collect();
        let key = if shape.keyless { 0 } else { shape.key };
        let written = |from: usize| (from..columns.len()).filter(|&it| !columns[it].generated);
        let inserted: Vec<&str> = written(0).map(|it| names[it].as_str()).collect();
        let insert = match inserted.len() {
            0 => format!("INSERT INTO {into} DEFAULT VALUES"),
            length => format!("INSERT INTO {into} ({}) VALUES ({})", inserted.join(", "), marks(length)),
        };
        let set = |mark: &dyn Fn(usize) -> String| {
            let set = written(key).enumerate().map(|(place, it)| format!("{} = {}", names[it], mark(place)));
            set.collect::<Vec<_>>().join(", ")
        };
        let is = (0..key).map(|it| {
            let (name, cast) = (&names[it], &shape.fields[it].cast);
            // A column that keeps what it is given may hold 1 beside 1.0, which SQLite takes for equal.
            match columns[it].affinity == Affinity::Blob && (cast.ty == Type::Any || cast.epoch.is_some()) {
                true => format!("{name} IS ?{0} AND typeof({name}) = typeof(?{0})", it + 1),
                false => format!("{name} IS ?{}", it + 1),
            }
        });
        let is: Vec<String> = is.collect();
        let is = is.join(" AND ");
        let at: Vec<String> = home.iter().map(|it| format!("{it} IS ?")).collect();
        let at = at.join(" AND ");
        let told: Vec<&str> = home.iter().chain(&names[..telling(shape)]).map(String::as_str).collect();
        Sql {
            insert_new: format!("{insert} ON CONFLICT ({}) DO NOTHING", names[..key].join(", ")),
            insert,
            // The key is bound first, then the rest, as they stand in a row.
            update: format!("UPDATE {into} SET {} WHERE {is}", set(&|place| format!("?{}", key + place + 1))),
            delete: format!("DELETE FROM {into} WHERE {is}"),
            update_at: format!("UPDATE {into} SET {} WHERE {at}", set(&|_| "?".to_owned())),
            delete_at: format!("DELETE FROM {into} WHERE {at}"),
            scan: format!("SELECT {} FROM {into}", told.join(", ")),
        }
    }
}

fn marks(length: usize) -> String {
    vec!["?"; length].join(", ")
}
