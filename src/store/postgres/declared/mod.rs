//! What a file of statements declares for Postgres, as the system catalogs would tell it. No server is asked.
//!
//! `sqlparser` reads names, columns, types and constraints. Which statements matter is decided here, by their first words: what says
//! nothing about columns, keys and references is passed over, whether it could be read or not.

use super::{
    names,
    statements::{Statement, Unclear, statements},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Feed, Shape},
    schema::Table,
    store::{self, Schemas, Source, target::MARKS},
};
use draft::{Draft, Name};
use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

mod clauses;
mod draft;
mod reader;
mod types;

/// What is to be done about a statement that is not followed.
const INSTEAD: &str = "write out what there is in the end, as `pg_dump --schema-only` does";

/// The tables of a file, as a store without rows.
struct Declared {
    tables: Vec<Table>,
}

/// Reads the file at `path`, for a database whose tables are in these schemas.
///
/// # Errors
/// If it cannot be read, or it cannot be told what a statement does to which table.
pub(in crate::store) fn read(path: &Path, schemas: &Schemas) -> Result<store::Declared> {
    let failed = |it: &dyn std::fmt::Display| Error::new(Kind::Plan, format_args!("{}: {it}", path.display()));
    let text = fs::read_to_string(path).map_err(|it| failed(&it))?;
    let (tables, aside) = tables(&path.display().to_string(), &text, schemas)?;
    if tables.is_empty() {
        let why = aside.unwrap_or_else(|| "no CREATE TABLE in it".to_owned());
        return Err(failed(&why));
    }
    Ok(store::Declared { store: Box::new(Declared { tables }), aside })
}

/// The tables that the statements of a text make, and what is said of those that are passed over.
fn tables(file: &str, text: &str, schemas: &Schemas) -> Result<(Vec<Table>, Option<String>)> {
    let usual = schemas.usual.as_deref().unwrap_or("public");
    let meant = match (&schemas.plain, schemas.read.as_slice()) {
        (Some(plain), _) => plain,
        (None, [only]) => only,
        (None, _) => usual,
    };
    // A file that names no schema at all is one for the schema that is read.
    let mut drafts = reader::read(file, text, meant)?;
    if meant != usual && drafts.iter().any(|it| it.placed) {
        drafts = reader::read(file, text, usual)?;
    }
    let is_read = |it: &Name| schemas.read.is_empty() || schemas.read.contains(&it.schema);
    let (wanted, others): (Vec<&Draft>, Vec<&Draft>) =
        drafts.iter().filter(|it| it.name.name != MARKS).partition(|it| is_read(&it.name));
    let found = || names::plain(wanted.iter().map(|it| it.name.schema.as_str()));
    let plain = schemas.plain.clone().unwrap_or_else(found);
    let places: Vec<_> = wanted.iter().map(|it| (it.name.schema.as_str(), it.name.name.as_str())).collect();
    let names = names::names(&places, &plain);
    let called = |it: &Name| match wanted.iter().position(|known| known.name == *it) {
        Some(place) => names[place].clone(),
        None if it.schema == plain && is_read(it) => it.name.clone(),
        None => format!("{}.{}", it.schema, it.name),
    };
    let mut tables: Vec<Table> = wanted.iter().map(|it| it.table(&drafts, called)).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let aside: BTreeSet<&str> = others.iter().map(|it| it.name.schema.as_str()).collect();
    let aside = aside.into_iter().collect::<Vec<_>>().join("`, `");
    let aside = (!others.is_empty()).then(|| {
        format!("not looked at: the tables of `{aside}`, which is not read (`schemas` in the plan says what is)")
    });
    Ok((tables, aside))
}

impl Source for Declared {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.tables.clone())
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, _: &mut dyn Feed) -> Result<()> {
        store::places(table, shape).map(|_| ())
    }

    fn speaks_sql(&self) -> bool {
        true
    }

    /// Only the server can say what is wrong with a question, or answer it.
    fn query(&mut self, sql: &str) -> Result<Vec<String>> {
        match sql.starts_with("EXPLAIN ") {
            true => Ok(Vec::new()),
            false => Err(Error::new(Kind::Store, "the database is not there to be asked")),
        }
    }
}

#[cfg(test)]
mod tests;
