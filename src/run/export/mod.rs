//! Exports: the rows of a store as JSON, lines of JSON, CSV or SQL, for people and for programs that know nothing of snapshots.
//!
//! The rows are captured first, so that all of them are of one state and come in the order of their keys. What is written is read
//! back through this tool's own readers and compared with what was captured; what a format cannot hold exactly, such as bytes in
//! JSON, is refused. Only a script for Postgres cannot be read back here: each of its literals is checked as it is written.

mod csv;
mod json;
mod sql;

use super::{
    Run,
    backup::{Part, TableRows, check},
    capture::{Masks, capture},
};
use crate::{
    disk,
    error::{Error, Kind, Result},
    row::{Batch, Row, Shape},
    schema::Table,
    snapshot::{self, Meta, Reader},
    store::{
        Options, Source,
        files::FileOptions,
        open,
        script::{Dialect, spell},
    },
    value::{Type, Value},
};
use std::{
    collections::{BTreeSet, HashSet},
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};
use tempfile::TempDir;

/// A format of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object of keys and values where the store is one table of these, and an array of objects for every other table.
    Json,
    /// An object a line.
    Ndjson,
    /// A header, then a record a row. NULL is written as this text, or as an empty field.
    Csv(Option<String>),
    /// Statements that make the tables and put the rows in.
    Sql(Dialect),
}

impl Format {
    /// What the names of its files end with.
    pub fn extension(&self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv(_) => "csv",
            Format::Sql(_) => "sql",
        }
    }

    /// How messages call it.
    fn name(&self) -> &'static str {
        match self {
            Format::Json | Format::Ndjson => "JSON",
            Format::Csv(_) => "CSV",
            Format::Sql(_) => "SQL",
        }
    }

    /// What to do about rows that it does not hold.
    fn instead(&self) -> &'static str {
        match self {
            Format::Csv(None) => "say with --null what stands for NULL, or export it as SQL",
            Format::Csv(Some(_)) => "export it as SQL",
            Format::Json | Format::Ndjson => "export it as SQL, or capture it to a snapshot, which can",
            Format::Sql(_) => "capture it to a snapshot, which can",
        }
    }
}

/// Rows that were captured and are ready to be written.
pub struct Export<'r> {
    run: &'r Run,
    reader: Reader,
    _captured: TempDir,
    format: Format,
    /// All of it is one object of keys and values.
    document: bool,
    masked: bool,
    /// The rows of each table.
    pub tables: Vec<TableRows>,
}

impl<'r> Export<'r> {
    /// Captures the tables that are named, or all if none is. What `masks` says is masked.
    ///
    /// # Errors
    /// If the store fails, or has no such table or column.
    pub fn capture(
        run: &'r Run,
        store: &mut dyn Source,
        meta: Meta,
        only: &[String],
        format: Format,
        masks: &Masks,
    ) -> Result<Export<'r>> {
        let captured = disk::draft(&run.scratch, ".cutover-")?;
        let folder = captured.path().join("snapshot");
        let known: BTreeSet<String> = store.tables()?.into_iter().map(|it| it.name).collect();
        if let Some(name) = only.iter().find(|it| !known.contains(*it)) {
            let known = known.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::new(Kind::Usage, format_args!("there is no table `{name}`; there are: {known}")));
        }
        let wanted = if only.is_empty() { known } else { only.iter().cloned().collect() };
        capture(run, &mut Part::new(store, wanted), &folder, meta, snapshot::Options::default(), masks)?;
        let reader = Reader::open(&folder)?;
        let tables = check::counted(run, &reader)?;
        let document = match reader.tables() {
            [only] => format == Format::Json && is_document(&reader, only)?,
            _ => false,
        };
        let masked = !masks.columns.is_empty();
        Ok(Export { run, reader, _captured: captured, format, document, masked, tables })
    }

    /// Reads the store once more, and looks whether it holds what was captured.
    ///
    /// # Errors
    /// If it does not, or fails.
    pub fn prove(&self, store: &mut dyn Source) -> Result<()> {
        check::same(self.run, &self.reader, store)
    }

    /// Whether all of it is one object of keys and values.
    pub fn is_document(&self) -> bool {
        self.document
    }

    /// Whether it takes one file.
    pub fn is_one_file(&self) -> bool {
        matches!(self.format, Format::Sql(_)) || self.reader.tables().len() == 1
    }

    /// Writes the one file that it takes, which is not there yet.
    ///
    /// # Errors
    /// If the disk fails, or the format cannot hold the rows. Then what is there is not whole.
    pub fn file(&self, path: &Path) -> Result<()> {
        self.write(path, &self.reader.tables().iter().collect::<Vec<_>>())
    }

    /// Writes a file for each table into a folder, which is there.
    ///
    /// # Errors
    /// As [`Export::file`].
    pub fn folder(&self, folder: &Path) -> Result<()> {
        let mut taken = HashSet::new();
        for table in self.reader.tables() {
            let name = format!("{}.{}", file(&table.name, &mut taken), self.format.extension());
            self.write(&folder.join(name), &[table])?;
        }
        Ok(())
    }

    fn write(&self, path: &Path, tables: &[&Table]) -> Result<()> {
        let mut output = disk::Output::create(path.to_owned())?;
        let mut out = Out { to: BufWriter::with_capacity(256 << 10, &mut output), path };
        let mut shapes = Vec::new();
        if let Format::Sql(dialect) = self.format {
            shapes = sql::write(self, dialect, tables, &mut out)?;
        }
        for table in tables {
            match &self.format {
                Format::Sql(_) => {}
                Format::Json if self.document => json::document(self, table, &mut out)?,
                Format::Json => json::array(self, table, &mut out)?,
                Format::Ndjson => json::lines(self, table, &mut out)?,
                Format::Csv(null) => csv::records(self, table, null.as_deref(), &mut out)?,
            }
            if !matches!(self.format, Format::Sql(_)) {
                shapes.push(self.shape(table));
            }
        }
        out.to.flush().map_err(|it| disk::failed(path, "cannot write", &it))?;
        drop(out);
        output.close()?;
        if self.format == Format::Sql(Dialect::Postgres) {
            return Ok(());
        }
        self.read_back(path, &tables.iter().copied().zip(&shapes).collect::<Vec<_>>())
    }

    /// The shape in which the rows of a file are compared with those that were captured.
    fn shape(&self, table: &Table) -> Shape {
        let mut shape = Shape::clone(&snapshot::shape(table));
        if self.document {
            // Columns that are NULL throughout are left out of an object of keys and values.
            shape.fields.truncate(2);
            shape.compared = shape.compared.min(2);
        }
        if matches!(self.format, Format::Csv(_)) {
            for field in &mut shape.fields {
                // CSV has texts, which are NULL where they are empty and something else is wanted.
                let ty = if field.cast.ty == Type::Any { Type::Text } else { field.cast.ty };
                field.cast.empty_is_null = !matches!(ty, Type::Text | Type::Bytes | Type::Json);
                field.cast.ty = ty;
            }
        }
        shape
    }

    /// Compares what the file at `path` holds of these tables with what was captured.
    fn read_back(&self, path: &Path, tables: &[(&Table, &Shape)]) -> Result<()> {
        let (kind, null) = match &self.format {
            Format::Json if self.document => ("edge-config-export", None),
            Format::Json => ("json", None),
            Format::Ndjson => ("ndjson", None),
            Format::Csv(null) => ("csv", null.clone()),
            Format::Sql(_) => ("d1-export", None),
        };
        let files = FileOptions { null, ..FileOptions::default() };
        let mut store = open(kind, path, &Options { files, ..Options::default() })?;
        let made = store.tables()?;
        for (table, shape) in tables {
            let is = |it: &&Table| kind != "d1-export" || it.name == table.name;
            let Some(again) = made.iter().find(is) else {
                return Err(self.unfit(table, "it has no columns, which"));
            };
            if table.rows_about == Some(0) && again.rows_about == Some(0) {
                continue;
            }
            let tally = check::compare(self.run, &self.reader, &table.name, shape, store.as_mut(), again)?;
            if !check::is_same(&tally) {
                let what = format_args!("read back, there are rows ({}) that", check::counts(&tally));
                return Err(self.unfit(table, what));
            }
        }
        Ok(())
    }

    /// Hands every row of a table out, its key first.
    fn each(&self, table: &Table, take: impl FnMut(Row<'_>) -> Result<()>) -> Result<()> {
        each(&self.reader, table, take)
    }

    #[cold]
    fn unfit(&self, table: &Table, what: impl std::fmt::Display) -> Error {
        let (name, instead) = (self.format.name(), self.format.instead());
        Error::new(Kind::Store, format_args!("table `{}`: {what} {name} cannot hold exactly; {instead}", table.name))
    }
}

/// Where a file is written to.
struct Out<'o> {
    to: BufWriter<&'o mut disk::Output>,
    path: &'o Path,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).map_err(|it| self.failed(&it))
    }

    fn failed(&self, error: &io::Error) -> Error {
        disk::failed(self.path, "cannot write", error)
    }
}

/// Whether a table is keys and their values, and nothing else but columns that are NULL throughout.
fn is_document(reader: &Reader, table: &Table) -> Result<bool> {
    let names: Vec<&str> = table.columns.iter().map(|it| it.name.as_str()).collect();
    if !names.starts_with(&["key", "value"]) || table.key != [0] {
        return Ok(false);
    }
    let mut alone = true;
    each(reader, table, |row| {
        alone &= (2..names.len()).all(|place| matches!(row.value(place, &mut Vec::new()), Value::Null));
        Ok(())
    })?;
    Ok(alone)
}

fn each(reader: &Reader, table: &Table, mut take: impl FnMut(Row<'_>) -> Result<()>) -> Result<()> {
    use crate::row::Rows;
    let mut rows = reader.rows(&table.name)?;
    let mut batch = Batch::new(Arc::clone(rows.shape()));
    loop {
        rows.fill(&mut batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        batch.rows().try_for_each(&mut take)?;
    }
}

/// The names of a table's columns and their places in its rows, in the table's order, whatever the key is.
fn columns(table: &Table) -> Vec<(String, usize)> {
    let shape = snapshot::shape(table);
    let place = |name: &String| shape.fields.iter().position(|it| it.column == *name);
    table.columns.iter().filter_map(|it| Some((it.name.clone(), place(&it.name)?))).collect()
}

/// Appends the text that stands for a value. False: there is none.
fn text(value: Value<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Real(it) if it.is_finite() => out.extend_from_slice(zmij::Buffer::new().format(it).as_bytes()),
        value => return spell(value, out),
    }
    true
}

/// A name of a file for a table, without its ending: its own, where no system makes something else of it.
fn file(table: &str, taken: &mut HashSet<String>) -> String {
    let safe = |it: char| it.is_alphanumeric() || "_-.".contains(it);
    let slug: String = table.chars().map(|it| if safe(it) { it } else { '-' }).collect();
    let plain = slug == table && slug.len() <= 200 && !slug.starts_with(['.', '-']) && !slug.is_empty();
    let short: String = slug.chars().take(40).collect();
    let hashed = || format!("table-{short}-{}", &blake3::hash(table.as_bytes()).to_hex()[..16]);
    let name = if plain && taken.insert(slug.to_lowercase()) { slug.clone() } else { hashed() };
    taken.insert(name.to_lowercase());
    name
}
