//! A namespace as `wrangler dev` keeps it: keys in a SQLite file, each value in a file of its own.

use super::entry::{self, Entry, Out, Selection, VALUE};
use crate::{
    error::{Error, Kind, Result},
    row::{Feed, Shape},
    schema::Table,
    store::{
        Options, Source,
        about::Fact,
        sqlite::Sqlite,
        wrangler::{self, Kept, Product},
    },
};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Bytes that a value may have.
const VALUE_MAX: u64 = 64 << 20;

/// A namespace on this machine, read only, also while `wrangler dev` runs.
pub struct KvLocal {
    index: Sqlite,
    file: PathBuf,
    blobs: PathBuf,
    id: String,
    table: Table,
    selection: Selection,
    expired: u64,
}

impl KvLocal {
    /// Opens the namespace that the setting `namespace` calls, or the only one, of what is kept at `path`.
    ///
    /// # Errors
    /// If it is not there, it is not clear which one is meant, or its file cannot be opened.
    pub fn open(path: &Path, options: &Options) -> Result<KvLocal> {
        let Place { file, blobs, id } = Place::find(path, options)?;
        let (selection, table) = (Selection::new(&options.settings)?, entry::table(&options.files)?);
        Ok(KvLocal { index: Sqlite::open(&file, false)?, file, blobs, id, table, selection, expired: 0 })
    }

    fn value(&self, blob: &str, key: &str) -> Result<Vec<u8>> {
        let path = self.blobs.join(blob);
        let failed = |why: &dyn std::fmt::Display| {
            let key: String = key.chars().take(64).collect();
            let what = "it was written while it was read, or is lost: run again";
            Error::new(Kind::Store, format_args!("{}: the value of the key `{key}`: {why}; {what}", path.display()))
        };
        if !is_plain(blob) {
            return Err(failed(&"its name is none of a value"));
        }
        // What is no file may wait for ever when it is opened.
        let size = fs::symlink_metadata(&path).map_err(|it| failed(&it))?;
        if !size.is_file() || size.len() > VALUE_MAX {
            return Err(failed(&"it is no file, or larger than a value may be"));
        }
        let file = fs::File::open(&path).map_err(|it| failed(&it))?;
        let mut value = Vec::with_capacity(usize::try_from(size.len()).unwrap_or(0));
        file.take(VALUE_MAX).read_to_end(&mut value).map_err(|it| failed(&it))?;
        Ok(value)
    }
}

/// Where a namespace is kept.
pub(super) struct Place {
    /// The database that lists its keys.
    pub file: PathBuf,
    /// The folder of its values.
    pub blobs: PathBuf,
    pub id: String,
}

impl Place {
    /// That of the namespace that the setting `namespace` calls, or of the only one, of what is kept at `path`.
    ///
    /// # Errors
    /// If it is not there, or it is not clear which one is meant.
    pub(super) fn find(path: &Path, options: &Options) -> Result<Place> {
        let name = options.settings.text("namespace");
        let Kept { file, folder, id } = wrangler::find(path, Product::Kv, name)?;
        let id = id.filter(|it| is_plain(it)).ok_or_else(|| {
            let what = format_args!("{}: nothing says which namespace this is; set `namespace`", file.display());
            Error::new(Kind::Store, what)
        })?;
        Ok(Place { file, blobs: folder.join(&id).join("blobs"), id })
    }
}

/// Whether a name is that of a file and of nothing else.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-'))
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "whether an entry has expired is a question of what time it is")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.ok().and_then(|it| i64::try_from(it.as_millis()).ok()).unwrap_or(0)
}

impl Source for KvLocal {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(vec![self.table.clone()])
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let mut out = Out::new(table, shape, feed)?;
        let (now, wants_value) = (now(), out.wants(VALUE));
        let mut expired = 0;
        let failed =
            |it: &rusqlite::Error| self.index.failed(it).context(format_args!("cannot read namespace `{}`", self.id));
        // SQLite compares text by its bytes unless told otherwise, so this is the order of the keys.
        let query = "SELECT key, blob_id, expiration, metadata FROM _mf_entries ORDER BY key";
        let mut statement = self.index.connection().prepare(query).map_err(|it| failed(&it))?;
        let mut rows = statement.query([]).map_err(|it| failed(&it))?;
        while let Some(row) = rows.next().map_err(|it| failed(&it))? {
            let read = || Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?));
            let (key, blob, expiration, metadata): (String, String, Option<i64>, Option<String>) =
                read().map_err(|it| failed(&it))?;
            if !self.selection.selects(&key) {
                continue;
            }
            if expiration.is_some_and(|it| it <= now) {
                expired += 1;
                continue;
            }
            let value = if wants_value { self.value(&blob, &key)? } else { Vec::new() };
            let expiration = expiration.map(|it| it.div_euclid(1000));
            if !out.put(&Entry { key: &key, value: &value, metadata: metadata.as_deref(), expiration })? {
                return Ok(());
            }
        }
        out.finish()?;
        drop(rows);
        drop(statement);
        self.expired = expired;
        self.index.unchanged()
    }

    fn refresh(&mut self) -> Result<()> {
        self.index = Sqlite::open(&self.file, false)?;
        Ok(())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        let count = self.index.connection().query_row("SELECT count(*) FROM _mf_entries", [], |it| it.get(0));
        let count: i64 = count.map_err(|it| self.index.failed(&it))?;
        let file = format!("{} of namespace `{}`", self.file.display(), self.id);
        Ok(vec![Fact::new("file", file), Fact::new("size", format!("{count} keys, expired ones among them"))])
    }

    fn name(&self) -> Option<String> {
        Some(self.id.clone())
    }

    fn notes(&self) -> Vec<String> {
        let expired = (self.expired > 0).then(|| format!("{} keys have expired and are left out", self.expired));
        self.selection.note().into_iter().chain(expired).map(|it| format!("{}: {it}", self.id)).collect()
    }
}
