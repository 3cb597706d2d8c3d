//! JSON, NDJSON and CSV files that are written to.
//!
//! A file has no transactions. So each batch makes a new file beside the old one, which takes its place in one step once it is on
//! the disk. Rows that the batch does not touch are copied as they stand. That is why a batch is large here.

mod csv;
mod json;
mod merge;
mod spell;

use super::{FileOptions, by_extension, extension, open_file, stem};
use crate::{
    disk,
    error::{Error, Kind, Result},
    schema::Table,
    store::{
        about::Fact,
        target::{Begin, Changes, Room, Target, Written},
    },
};
use merge::Merge;
use std::{
    fmt, fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// A file, or a folder of files with a table each.
pub(in crate::store) struct FileTarget {
    kind: String,
    path: PathBuf,
    options: FileOptions,
}

/// One batch rewrites the file, so it is as large as memory allows.
pub(in crate::store) const ROOM: Room = Room { rows: 1_000_000, rows_max: 10_000_000, bytes_max: 256 << 20 };

/// What the name of a file begins and ends with that is not whole yet.
const PARTIAL: (&str, &str) = (".cutover-", ".partial");

impl FileTarget {
    /// The file or folder at `path`, which may not be there yet.
    ///
    /// # Errors
    /// If its folder is not there.
    pub(in crate::store) fn open(kind: &str, path: &Path, options: &FileOptions) -> Result<FileTarget> {
        let failed = |it| Error::new(Kind::Store, format_args!("{}: {it}", path.display()));
        // A link stays one, and what it points to is replaced.
        let path = if path.exists() {
            path.canonicalize().map_err(failed)?
        } else {
            let name = path.file_name().ok_or_else(|| {
                Error::new(Kind::Store, format_args!("{}: it has no name to make a file of", path.display()))
            })?;
            disk::parent(path).canonicalize().map_err(failed)?.join(name)
        };
        Ok(FileTarget { kind: kind.to_owned(), path, options: options.clone() })
    }

    /// The file that holds that table, and what kind of file it is. It may not be there yet.
    fn file(&self, table: &str) -> Result<(PathBuf, String)> {
        if !self.is_folder() {
            return Ok((self.path.clone(), self.kind.clone()));
        }
        let mut files = entries(&self.path)?;
        files.sort();
        for path in files {
            let kind = by_extension(&extension(&path)).filter(|_| path.is_file());
            if let Some(kind) = kind
                && open_file(kind, &path, &self.options)?.tables()?.iter().any(|it| it.name == table)
            {
                return Ok((path, kind.to_owned()));
            }
        }
        let plain = !table.is_empty() && !table.starts_with('.') && !table.contains(['/', '\\', '\0']);
        match plain {
            true => Ok((self.path.join(format!("{table}.json")), "json".to_owned())),
            false => Err(Error::new(Kind::Plan, format_args!("no file can be named after the table `{table}`"))),
        }
    }

    /// A JSON store is a folder unless its name says that it is a file.
    fn is_folder(&self) -> bool {
        self.kind == "json" && (self.path.is_dir() || !self.path.exists() && extension(&self.path) != "json")
    }

    /// Makes what is not there: a file without rows.
    fn make(&self, tables: &[Table]) -> Result<()> {
        if self.is_folder() {
            disk::folder(&self.path)?;
        }
        for table in tables {
            let (path, kind) = self.file(&table.name)?;
            if path.exists() {
                continue;
            }
            replace(&path, |out| match kind.as_str() {
                "csv" => csv::header(table, &path, &self.options, out),
                "json" if !self.is_folder() && (tables.len() > 1 || table.name != stem(&path)) => {
                    json::several(tables, out)
                }
                "json" => Ok(out.write_all(b"[]\n")?),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Removes files that were never finished. Whether there were any.
    fn sweep(&self) -> Result<bool> {
        let folder = if self.path.is_dir() { &self.path } else { disk::parent(&self.path) };
        let mut any = false;
        for path in entries(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(PARTIAL.0) && name.ends_with(PARTIAL.1) {
                fs::remove_file(&path).map_err(|it| failed(&path, &it))?;
                any = true;
            }
        }
        Ok(any)
    }
}

impl Target for FileTarget {
    fn room(&self, _table: &Table) -> Room {
        ROOM
    }

    fn fingerprint(&self) -> String {
        format!("{}:{}", self.kind, self.path.display())
    }

    fn begin(&mut self, begin: &Begin<'_>) -> Result<Vec<Fact>> {
        self.make(begin.tables)?;
        self.sweep()?;
        let says = "each batch makes a new file, which then takes the place of the old one";
        Ok(vec![Fact::new("file", self.path.display().to_string()), Fact::new("journal", says)])
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        let mut merge = Merge::new(changes);
        if merge.is_empty() {
            return Ok(Written::default());
        }
        self.make(std::slice::from_ref(changes.table))?;
        let (path, kind) = self.file(&changes.table.name)?;
        replace(&path, |out| match kind.as_str() {
            "csv" => csv::rewrite(&path, &self.options, &mut merge, out),
            "ndjson" => json::rewrite_lines(&path, &self.options, &mut merge, out),
            _ => json::rewrite(&path, &self.options, &mut merge, out),
        })?;
        Ok(merge.written)
    }

    fn mark(&mut self, _run: &str, _table: &str) -> Result<Option<u64>> {
        Ok(None)
    }

    fn clean(&mut self) -> Result<bool> {
        self.sweep()
    }
}

/// What goes wrong while a new file is made.
enum Fault {
    Error(Error),
    Io(std::io::Error),
}

impl From<Error> for Fault {
    fn from(it: Error) -> Fault {
        Fault::Error(it)
    }
}

impl From<std::io::Error> for Fault {
    fn from(it: std::io::Error) -> Fault {
        Fault::Io(it)
    }
}

/// Puts a new file, which `fill` writes, in the place of the one at `path`: whole, or not at all.
fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<(), Fault>) -> Result<()> {
    let failed = |it: std::io::Error| failed(path, &it);
    let folder = disk::parent(path);
    let made = tempfile::Builder::new().prefix(PARTIAL.0).suffix(PARTIAL.1).tempfile_in(folder).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, made);
    match fill(&mut out) {
        Ok(()) => {}
        Err(Fault::Error(it)) => return Err(it),
        Err(Fault::Io(it)) => return Err(failed(it)),
    }
    let made: NamedTempFile = out.into_inner().map_err(|it| failed(it.into_error()))?;
    // Who could read the file before still can. A new one is for its owner alone.
    if let Ok(about) = fs::metadata(path) {
        made.as_file().set_permissions(about.permissions()).map_err(failed)?;
    }
    made.as_file().sync_all().map_err(failed)?;
    made.persist(path).map_err(|it| failed(it.error))?;
    disk::sync(folder)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).and_then(|it| it.map(|it| it.map(|it| it.path())).collect());
    read.map_err(|it| failed(folder, &it))
}

#[cold]
fn failed(path: &Path, error: &dyn fmt::Display) -> Error {
    let name = path.display();
    Error::new(Kind::Store, format_args!("{name}: {error}: nothing of this batch was written"))
}

#[cfg(test)]
mod tests;
