//! A file that is open, and how to open it again.

use super::{FileOptions, open_source};
use crate::{
    error::{Error, Kind, Result},
    row::{Feed, Shape},
    schema::Table,
    store::{Source, about::Fact},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file, or a folder of files, that can be looked at again.
pub(super) struct Opened {
    source: Box<dyn Source>,
    kind: String,
    path: PathBuf,
    options: FileOptions,
}

impl Opened {
    pub(super) fn open(kind: &str, path: &Path, options: &FileOptions) -> Result<Opened> {
        let source = open_source(kind, path, options)?;
        Ok(Opened { source, kind: kind.to_owned(), path: path.to_owned(), options: options.clone() })
    }
}

impl Source for Opened {
    fn tables(&mut self) -> Result<Vec<Table>> {
        self.source.tables()
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        self.source.scan(table, shape, feed)
    }

    fn keeps_order(&mut self, table: &Table, shape: &Shape) -> Result<bool> {
        self.source.keeps_order(table, shape)
    }

    fn refresh(&mut self) -> Result<()> {
        self.source = open_source(&self.kind, &self.path, &self.options)?;
        Ok(())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        about(&self.path)
    }

    fn notes(&self) -> Vec<String> {
        self.source.notes()
    }
}

/// What can be said about a file, or about those of a folder.
pub(in crate::store) fn about(path: &Path) -> Result<Vec<Fact>> {
    let failed = |it| Error::new(Kind::Store, format_args!("{}: {it}", path.display()));
    let about = fs::metadata(path).map_err(failed)?;
    let access = Fact::new("access", "opened for reading only");
    if !about.is_dir() {
        return Ok(vec![Fact::new("size", format!("{} bytes", about.len())), access]);
    }
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for entry in fs::read_dir(path).map_err(failed)? {
        let about = entry.and_then(|it| it.metadata()).map_err(failed)?;
        files += u64::from(about.is_file());
        bytes += if about.is_file() { about.len() } else { 0 };
    }
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    Ok(vec![Fact::new("size", format!("{files}, {bytes} bytes")), access])
}
