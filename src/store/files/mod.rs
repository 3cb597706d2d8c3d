//! Files as stores: JSON, NDJSON, CSV, a folder of them, exports of Edge Config and of D1.
//!
//! Files are read in a stream, opened for reading only, and read twice: once to check them and to learn their columns, once
//! for each scan of a table.

pub mod d1_export;

mod columns;
mod csv;
mod edge_config;
mod folder;
mod input;
mod json;
mod ndjson;
mod opened;
mod scan;
pub(in crate::store) mod statements;
mod walk;
pub(in crate::store) mod write;

pub(in crate::store) use opened::about;

use super::Source;
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow},
    schema::{Origin, Table},
    value::Type,
};
use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

/// What a plan says about files.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    /// CSV: a cell that is exactly this, quoted or not, is NULL.
    pub null: Option<String>,
    /// CSV: what stands between cells. A comma, or a tab in a `.tsv` file, if there is none.
    pub delimiter: Option<u8>,
    /// CSV: the names of the columns, by table, of files without a header row.
    pub columns: BTreeMap<String, Vec<String>>,
    /// The types of columns, by table and column.
    pub types: BTreeMap<String, BTreeMap<String, Type>>,
    /// The names of the columns that identify a row, by table.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// Opens the file or folder at `path` as a store of `kind`: `json`, `ndjson`, `csv` or `edge-config-export`.
///
/// ```
/// use cutover::store::files::{FileOptions, open};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("users.json");
/// std::fs::write(&path, r#"[{"id": 1, "name": "Mira"}, {"id": 2, "email": null}]"#)?;
/// let tables = open("json", &path, &FileOptions::default())?.tables()?;
/// assert_eq!(tables[0].names(&[0, 1, 2]), ["id", "name", "email"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there is no such file, it is not what `kind` says, it is damaged, or the options name what it does not hold.
pub fn open(kind: &str, path: &Path, options: &FileOptions) -> Result<Box<dyn Source>> {
    Ok(Box::new(opened::Opened::open(kind, path, options)?))
}

fn open_source(kind: &str, path: &Path, options: &FileOptions) -> Result<Box<dyn Source>> {
    if let Some(it) = options.delimiter.filter(|it| matches!(it, b'"' | b'\r' | b'\n')) {
        let what = format_args!("the delimiter {:?} cannot stand between cells", char::from(it));
        return Err(Error::new(Kind::Plan, what));
    }
    let mut source: Box<dyn Source> = match kind {
        "json" if path.is_dir() => Box::new(folder::Folder::open(path, options)?),
        _ => open_file(kind, path, options)?,
    };
    options.check(&source.tables()?, path.display())?;
    Ok(source)
}

/// The JSON document in `file`, which errors call `name`. The table that it has no name for is called `stem`.
///
/// # Errors
/// If it is no JSON document, or the options name what it does not hold.
pub(crate) fn json_in(file: File, name: &str, stem: &str, options: &FileOptions) -> Result<Box<dyn Source>> {
    let mut document = json::Document::new(walk::Walk::within(name, file)?, stem.to_owned(), options)?;
    options.check(&document.tables()?, name)?;
    Ok(Box::new(document))
}

/// The items of an Edge Config, as either of its interfaces answered them into `file`, which is called `name` in errors.
///
/// # Errors
/// If they are no items, or the options name what they do not hold.
pub(super) fn edge_config_items(name: &str, file: File, options: &FileOptions) -> Result<Box<dyn Source>> {
    let mut items = edge_config::Items::of(name, file, options)?;
    options.check(&items.tables()?, name)?;
    Ok(Box::new(items))
}

fn open_file(kind: &str, path: &Path, options: &FileOptions) -> Result<Box<dyn Source>> {
    Ok(match kind {
        "json" => Box::new(json::Document::open(path, options)?),
        "ndjson" => Box::new(ndjson::Lines::open(path, options)?),
        "csv" => Box::new(csv::Sheet::open(path, options)?),
        "edge-config-export" => Box::new(edge_config::Items::open(path, options)?),
        _ => return Err(Error::new(Kind::Plan, format_args!("`{kind}` is no kind of file"))),
    })
}

/// The kind of store at `path`, by what it holds where that says it, else by its name.
///
/// # Errors
/// If there is nothing at `path`, or it cannot be read.
pub fn sniff(path: &Path) -> Result<Option<&'static str>> {
    if path.is_dir() {
        return Ok(Some(if path.join("snapshot.json").is_file() { "snapshot" } else { "json" }));
    }
    let mut first = Vec::new();
    let failed = |it| Error::new(Kind::Store, format_args!("{}: cannot be read: {it}", path.display()));
    input::regular(path)?.take(SQLITE.len() as u64).read_to_end(&mut first).map_err(failed)?;
    if first == SQLITE {
        return Ok(Some("sqlite"));
    }
    Ok(match extension(path).as_str() {
        "sql" => Some("d1-export"),
        "json" if edge_config::looks_like_items(path) => Some("edge-config-export"),
        it => by_extension(it),
    })
}

/// The first bytes of a SQLite database (sqlite.org/fileformat2.html, section 1.2).
const SQLITE: &[u8] = b"SQLite format 3\0";

fn by_extension(extension: &str) -> Option<&'static str> {
    match extension {
        "json" => Some("json"),
        "ndjson" | "jsonl" => Some("ndjson"),
        "csv" | "tsv" => Some("csv"),
        _ => None,
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The name of the one table in a file.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Hands a batch on once it is worth it.
#[inline]
fn pass_on(batch: &mut Batch, feed: &mut dyn Feed) -> Result<Flow> {
    if batch.is_full() { feed.take(batch) } else { Ok(Flow::Continue) }
}

impl FileOptions {
    /// Refuses to say anything about a table that the store, which is called `name`, does not have.
    pub(super) fn check(&self, tables: &[Table], name: impl std::fmt::Display) -> Result<()> {
        let mut described = self.columns.keys().chain(self.types.keys()).chain(self.keys.keys());
        match described.find(|described| !tables.iter().any(|it| it.name == **described)) {
            Some(it) => {
                let what = format_args!("the plan describes a table `{it}` that {name} does not hold");
                Err(Error::new(Kind::Plan, what))
            }
            None => Ok(()),
        }
    }

    /// Puts into `table` what the plan says about it, and guesses its key if nothing says which it is.
    pub(super) fn declare(&self, table: &mut Table) -> Result<()> {
        for (name, &ty) in self.types.get(&table.name).into_iter().flatten() {
            let place = named(table, name)?;
            let column = &mut table.columns[place];
            (column.ty, column.origin) = (ty, Origin::Enforced);
        }
        if let Some(names) = self.keys.get(&table.name) {
            table.key = names.iter().map(|it| named(table, it)).collect::<Result<_>>()?;
            table.key_origin = Origin::Declared;
        } else if table.key.is_empty() {
            table.key = guess_key(table).into_iter().collect();
        }
        Ok(())
    }
}

fn named(table: &Table, name: &str) -> Result<usize> {
    let missing = || format!("the plan names a column `{name}` that table `{}` does not have", table.name);
    table.column(name).ok_or_else(|| Error::new(Kind::Plan, missing()))
}

/// The column that by its name alone is the key: `id`, then one that has the name of the table in it, then `uuid` and `key`.
fn guess_key(table: &Table) -> Option<usize> {
    let name = table.name.to_lowercase();
    let singulars = [name.strip_suffix("ies").map(|it| format!("{it}y")), name.strip_suffix("es").map(str::to_owned)];
    let singulars = singulars.into_iter().flatten().chain(name.strip_suffix('s').map(str::to_owned));
    let mut wanted = vec!["id".to_owned()];
    for it in std::iter::once(name.clone()).chain(singulars) {
        wanted.extend([format!("{it}_id"), format!("{it}id")]);
    }
    wanted.extend(["uuid".to_owned(), "key".to_owned()]);
    wanted.iter().find_map(|name| table.columns.iter().position(|it| it.name.to_lowercase() == *name))
}

#[cfg(test)]
mod tests;
