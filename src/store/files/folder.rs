//! A folder of JSON, NDJSON and CSV files, each with its tables.

use super::{FileOptions, by_extension, extension, open_file};
use crate::{
    error::{Error, Kind, Result},
    row::{Feed, Shape},
    schema::Table,
    store::Source,
};
use std::{fs, path::Path, sync::Arc};

/// The files of a folder.
pub(super) struct Folder {
    files: Vec<(String, Box<dyn Source>, Vec<Table>)>,
    others: Vec<String>,
}

impl Folder {
    /// Opens each file that is a store by its name, in the order of names.
    pub(super) fn open(path: &Path, options: &FileOptions) -> Result<Folder> {
        let failed = |it| Error::new(Kind::Store, format_args!("{}: cannot be read: {it}", path.display()));
        let entries = fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
        paths.sort();
        let mut folder = Folder { files: Vec::new(), others: Vec::new() };
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match by_extension(&extension(&path)).filter(|_| !path.is_dir()) {
                Some(kind) => folder.add(name, open_file(kind, &path, options)?)?,
                None => folder.others.push(name),
            }
        }
        if folder.files.is_empty() {
            let what = "no .json, .ndjson, .jsonl, .csv or .tsv file in this folder";
            return Err(Error::new(Kind::Store, format_args!("{}: {what}", path.display())));
        }
        Ok(folder)
    }

    fn add(&mut self, name: String, mut source: Box<dyn Source>) -> Result<()> {
        let tables = source.tables()?;
        for table in &tables {
            if let Some((other, ..)) = self.files.iter().find(|it| it.2.iter().any(|it| it.name == table.name)) {
                let what = format_args!("{other} and {name} both hold a table `{}`; rename one", table.name);
                return Err(Error::new(Kind::Store, what));
            }
        }
        self.files.push((name, source, tables));
        Ok(())
    }
}

impl Source for Folder {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.files.iter().flat_map(|it| it.2.iter().cloned()).collect())
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let file = self.files.iter_mut().find(|it| it.2.iter().any(|it| it.name == table.name));
        match file {
            Some((_, source, _)) => source.scan(table, shape, feed),
            None => Err(Error::new(Kind::Store, format_args!("no table `{}` in this folder", table.name))),
        }
    }

    fn notes(&self) -> Vec<String> {
        let left_out = format!("files of the folder that are not read: {}", self.others.join(", "));
        let notes = self.files.iter().flat_map(|it| it.1.notes());
        notes.chain((!self.others.is_empty()).then_some(left_out)).collect()
    }
}
