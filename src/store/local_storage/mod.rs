//! The `localStorage` of web pages, read out of a browser's profile or of what its console gives.
//!
//! What a browser may be writing to is copied first, into a folder for this user alone; nothing of the profile is opened for
//! writing. The entries go into a private database without a name, and the copy goes away. Each origin is a table of `key`
//! and `value`, named as the browser names the storage: storages of other kinds, such as those of extensions
//! (`chrome-extension://…`), containers (`https://a.test^userContextId=1`) and frames within other sites
//! (`https://a.test/^0https://b.test`), are tables of their own.
//!
//! A value is JSON where it is JSON, and text otherwise. Half of a surrogate pair, which these texts may hold and UTF-8 may
//! not, is never replaced: such a text is [`Value::Malformed`], its bytes those of WTF-8.

mod chromium;
mod chromium_sqlite;
mod copy;
mod crc;
mod dump;
mod entries;
mod firefox;
mod leveldb;
mod profile;
mod sqlite;
mod text;

use super::{
    Options, Source,
    about::{Fact, Level},
    files::FileOptions,
    places,
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::{Column, Origin, Table},
    value::{Type, Value},
};
use entries::Entries;
use profile::{Format, Place};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
pub(crate) use text::to_utf16;

/// The local storage of a browser, as of one moment.
pub struct LocalStorage {
    place: Place,
    /// The storage that is asked for; all, if it is none.
    origin: Option<String>,
    files: FileOptions,
    entries: Entries,
    running: bool,
    notes: Vec<String>,
}

/// What a dump without an origin is called.
const NAMELESS: &str = "localStorage";
/// How many origins an error names.
const NAMED: usize = 20;

impl LocalStorage {
    /// Reads what is at `path`: a profile of Chromium or Firefox, a folder or file of local storage in one, or
    /// `JSON.stringify(localStorage)` in a file. The setting `origin` asks for one origin.
    ///
    /// # Errors
    /// If there is none or several of these, it is damaged or does not stop to be written to, or the origin is not there.
    pub fn open(path: &Path, options: &Options) -> Result<LocalStorage> {
        options.settings.select_nothing("local-storage")?;
        let place = profile::find(path)?;
        let origin = options.settings.text("origin").map(|it| chromium::trimmed(it).to_owned());
        let mut storage = LocalStorage {
            place,
            origin,
            files: options.files.clone(),
            entries: Entries::new()?,
            running: false,
            notes: Vec::new(),
        };
        storage.load()?;
        let tables = storage.tables()?;
        storage.files.check(&tables, path.display())?;
        Ok(storage)
    }

    fn load(&mut self) -> Result<()> {
        let Place { format, path } = &self.place;
        let path = path.as_path();
        let named = |it: Error| it.context(format_args!("{}", path.display()));
        let (mut entries, mut notes) = (Entries::new()?, Vec::new());
        self.running = *format != Format::Dump && profile::is_running(&self.place);
        match format {
            Format::LevelDb => {
                let copy = copy::copy(path, &|| leveldb_files(path))?;
                chromium::read(copy.path(), &mut entries, &mut notes).map_err(named)?;
            }
            Format::ChromiumSqlite => {
                let copy = copy::copy(path, &|| Ok(sqlite::files(path)))?;
                let read = chromium_sqlite::read(
                    &copy.path().join(path.file_name().unwrap_or_default()),
                    &mut entries,
                    &mut notes,
                );
                read.map_err(named)?;
            }
            Format::Firefox => {
                for path in firefox_files(path).map_err(|it| named(Error::new(Kind::Store, it)))? {
                    let copy = copy::copy(&path, &|| Ok(sqlite::files(&path)))?;
                    let read = firefox::read(&copy.path().join(path.file_name().unwrap_or_default()), &mut entries);
                    read.map_err(|it| it.context(format_args!("{}", path.display())))?;
                }
            }
            Format::Dump => dump::read(path, self.origin.as_deref().unwrap_or(NAMELESS), &mut entries)?,
        }
        if let Some(origin) = &self.origin {
            let there = listed(&entries);
            if !entries.keep(origin) {
                let what = format_args!("{}: no local storage of {origin}; there are {there}", path.display());
                return Err(Error::new(Kind::Plan, what));
            }
        }
        if self.running {
            notes.push(format!(
                "a browser has {} open and writes to it some seconds late; close it first to have all",
                path.display()
            ));
        }
        notes.extend(entries.storages().iter().filter(|it| it.1.halves > 0).map(|(name, storage)| {
            let what = format_args!("{} keys and values hold half of a surrogate pair", storage.halves);
            format!("{name}: {what}, which is no text: they are compared as the bytes of WTF-8")
        }));
        (self.entries, self.notes) = (entries, notes);
        Ok(())
    }
}

/// What there is, for an error.
fn listed(entries: &Entries) -> String {
    let all = entries.storages();
    let named: Vec<_> = all.iter().take(NAMED).map(|it| format!("{} ({} keys)", it.0, it.1.count)).collect();
    match all.len().checked_sub(NAMED).filter(|&it| it > 0) {
        _ if all.is_empty() => "none".to_owned(),
        None => named.join(", "),
        Some(more) => format!("{}, and {more} more", named.join(", ")),
    }
}

/// The files of a LevelDB database, those first that others name. What is locked and logged is no part of it.
fn leveldb_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let order = match file_name(&path) {
            "CURRENT" => 2,
            it if it.starts_with("MANIFEST-") => 1,
            it if it.ends_with(".log") || it.ends_with(".ldb") || it.ends_with(".sst") => 0,
            _ => continue,
        };
        files.push((order, path));
    }
    files.sort();
    Ok(files.into_iter().map(|it| it.1).collect())
}

/// The databases of a Firefox profile, one for each origin, or the one at `path`.
fn firefox_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path().join("ls/data.sqlite");
        match fs::metadata(&file) {
            Ok(_) => files.push(file),
            // An origin that keeps something else, and a file beside the folders.
            Err(it) if matches!(it.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(it) => return Err(io::Error::new(it.kind(), format!("{}: {it}", file.display()))),
        }
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|it| it.to_str()).unwrap_or_default()
}

impl Source for LocalStorage {
    fn tables(&mut self) -> Result<Vec<Table>> {
        let table = |(name, storage): (&String, &entries::Storage)| {
            let key = Column { origin: Origin::Enforced, nullable: false, ..Column::new("key", Type::Text) };
            let value = Column { origin: Origin::Guessed, nullable: false, ..Column::new("value", Type::Json) };
            let mut table = Table {
                columns: vec![key, value],
                key: vec![0],
                key_origin: Origin::Enforced,
                rows_about: Some(storage.count),
                ..Table::new(name)
            };
            self.files.declare(&mut table)?;
            Ok(table)
        };
        self.entries.storages().iter().map(table).collect()
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let places = places(table, shape)?;
        let (mut batch, mut flow) = (Batch::new(Arc::clone(shape)), Flow::Continue);
        self.entries.each(&table.name, &mut |key, value| {
            batch.push_with(|field| Ok(Value::Raw(if places[field] == 0 { key } else { value })))?;
            if batch.is_full() {
                flow = feed.take(&mut batch)?;
            }
            Ok(flow == Flow::Continue)
        })?;
        match flow {
            Flow::Continue => feed.take(&mut batch).map(|_| ()),
            Flow::Stop => Ok(()),
        }
    }

    fn refresh(&mut self) -> Result<()> {
        self.load()
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        let mut facts = vec![Fact::new("format", self.place.format.name())];
        facts.push(match (self.place.format, self.running) {
            (Format::Dump, _) => Fact::new("browser", "a file that was saved once"),
            (_, false) => Fact::new("browser", "is not running"),
            (_, true) => {
                let says = "is running and writes some seconds late; close it first to have all";
                Fact::new("browser", says).level(Level::Note)
            }
        });
        if self.entries.storages().is_empty() {
            facts.push(Fact::new("origin", "none: nothing is stored").level(Level::Note));
        }
        for (name, storage) in self.entries.storages() {
            let time = storage.modified.and_then(|it| jiff::Timestamp::from_microsecond(it).ok());
            let time = time.map(|it| format!(", last written {it:.0}")).unwrap_or_default();
            facts.push(Fact::new("origin", format!("{name}: {} keys, {} bytes{time}", storage.count, storage.bytes)));
        }
        Ok(facts)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests;
