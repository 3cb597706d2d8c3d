//! A namespace as `wrangler dev` keeps it, to write to.
//!
//! A value is a file of its own, which is on the disk before the list of keys names it, all changes of a batch at once. What the list
//! names no longer is removed after that. Should the process end in between, files stay that nobody names; they do no harm.

use super::{
    entry::{self, Selection},
    local::{Place, is_plain, now},
    pairs::{self, Wanted, refused},
};
use crate::{
    disk::{self, Output},
    error::{Error, Kind, Result},
    row::Batch,
    schema::Table,
    store::{
        Options,
        about::Fact,
        sqlite::write::SqliteTarget,
        target::{Begin, Changes, Room, Target, Written},
    },
};
use rusqlite::{Connection, OptionalExtension};
use serde_json::value::RawValue;
use std::{fs, path::Path};

/// One namespace on this machine.
pub struct Writer {
    index: SqliteTarget,
    place: Place,
    table: Table,
    selection: Selection,
}

/// A key as the list has it.
struct Listed {
    blob: String,
    /// Milliseconds since 1970.
    expiration: Option<i64>,
    metadata: Option<String>,
}

/// Files that a batch has made, and those that it takes the place of.
#[derive(Default)]
struct Blobs {
    made: Vec<String>,
    left: Vec<String>,
}

/// Each key is a file to sync, so a batch is not large.
pub(in crate::store) const ROOM: Room = Room { rows: 500, rows_max: 10_000, bytes_max: 32 << 20 };

impl Writer {
    /// Opens the namespace that the setting `namespace` calls, or the only one, of what is kept at `path`.
    ///
    /// # Errors
    /// If it is not there, it is not clear which one is meant, or it cannot be written to.
    pub fn open(path: &Path, options: &Options) -> Result<Writer> {
        let place = Place::find(path, options)?;
        let (selection, table) = (Selection::new(&options.settings)?, entry::table(&options.files)?);
        let index = SqliteTarget::connect("kv-local", &place.file)
            .map_err(|it| it.context(format_args!("cannot open {} for writing", place.file.display())))?;
        Ok(Writer { index, place, table, selection })
    }

    fn wanted(&self, batch: &Batch, keys_only: bool) -> Result<Vec<Wanted>> {
        pairs::wanted((&self.table, &self.selection), batch, keys_only)
    }

    /// A key that is there and has not expired.
    fn listed(&self, connection: &Connection, key: &str) -> Result<Option<Listed>> {
        let query = "SELECT blob_id, expiration, metadata FROM _mf_entries WHERE key = ?1";
        let read =
            |row: &rusqlite::Row<'_>| Ok(Listed { blob: row.get(0)?, expiration: row.get(1)?, metadata: row.get(2)? });
        let found = connection.prepare_cached(query).and_then(|mut it| it.query_row([key], read).optional());
        found.map_err(|it| self.index.failed(&it))
    }

    /// Puts a key into the list, in the place of `before`.
    fn put(&self, connection: &Connection, wanted: &Wanted, before: Option<Listed>, blobs: &mut Blobs) -> Result<()> {
        let blob = match (&wanted.value, &before) {
            (Some(value), _) => self.blob(value, blobs)?,
            (None, Some(before)) => before.blob.clone(),
            (None, None) => return Err(refused("value", "a key has to have a value")),
        };
        blobs.left.extend(before.iter().map(|it| it.blob.clone()).filter(|it| *it != blob));
        let expiration = match wanted.expiration {
            Some(it) => it.map(|it| it.saturating_mul(1000)),
            None => before.as_ref().and_then(|it| it.expiration),
        };
        let metadata = match &wanted.metadata {
            Some(it) => it.as_deref().map(RawValue::get).map(str::to_owned),
            None => before.and_then(|it| it.metadata),
        };
        let put = "INSERT OR REPLACE INTO _mf_entries (key, blob_id, expiration, metadata) VALUES (?1, ?2, ?3, ?4)";
        let done =
            connection.prepare_cached(put).and_then(|mut it| it.execute((&wanted.key, blob, expiration, metadata)));
        done.map(|_| ()).map_err(|it| self.index.failed(&it))
    }

    /// Keeps a value in a file of its own and says what it is called.
    fn blob(&self, value: &[u8], blobs: &mut Blobs) -> Result<String> {
        let mut name = [0; 40];
        let filled = getrandom::fill(&mut name);
        filled.map_err(|it| Error::new(Kind::Store, format_args!("the system has no random numbers: {it}")))?;
        let name: String = name.iter().map(|it| format!("{it:02x}")).collect();
        let mut file = Output::create(self.place.blobs.join(&name))?;
        blobs.made.push(name.clone());
        file.put(value)?;
        file.close()?;
        Ok(name)
    }

    fn change(&self, changes: &Changes<'_>, blobs: &mut Blobs) -> Result<Written> {
        let [deletes, updates, inserts] = [(changes.deletes, true), (changes.updates, false), (changes.inserts, false)]
            .map(|(batch, keys_only)| self.wanted(batch, keys_only));
        let (deletes, updates, inserts) = (deletes?, updates?, inserts?);
        let now = now();
        let live = |it: &Listed| it.expiration.is_none_or(|it| it > now);
        self.index.whole(|connection| {
            let mut written = Written::default();
            for wanted in deletes {
                let Some(before) = self.listed(connection, &wanted.key)? else { continue };
                let gone = connection.execute("DELETE FROM _mf_entries WHERE key = ?1", [&wanted.key]);
                gone.map_err(|it| self.index.failed(&it))?;
                written.deleted += u64::from(live(&before));
                blobs.left.push(before.blob);
            }
            for wanted in updates {
                let before = self.listed(connection, &wanted.key)?.filter(live);
                if before.is_some() {
                    self.put(connection, &wanted, before, blobs)?;
                    written.updated += 1;
                }
            }
            for wanted in inserts {
                let before = self.listed(connection, &wanted.key)?;
                if before.as_ref().is_some_and(live) {
                    continue;
                }
                blobs.left.extend(before.map(|it| it.blob));
                self.put(connection, &wanted, None, blobs)?;
                written.inserted += 1;
            }
            Ok(written)
        })
    }
}

impl Target for Writer {
    fn room(&self, _: &Table) -> Room {
        ROOM
    }

    fn fingerprint(&self) -> String {
        format!("{}#{}", self.index.fingerprint(), self.place.id)
    }

    fn begin(&mut self, _: &Begin<'_>) -> Result<Vec<Fact>> {
        disk::folder(&self.place.blobs)?;
        Ok(vec![Fact::new("file", format!("{} of namespace `{}`", self.place.file.display(), self.place.id))])
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        let mut blobs = Blobs::default();
        let written = self.change(changes, &mut blobs);
        let unnamed = match &written {
            Ok(_) => blobs.left,
            Err(it) if it.kind() == Kind::Row => blobs.made,
            // Whether the list names them may not be known.
            Err(_) => Vec::new(),
        };
        for name in unnamed.iter().filter(|it| is_plain(it)) {
            // A file that stays is named by nobody.
            let _ = fs::remove_file(self.place.blobs.join(name));
        }
        written
    }

    fn mark(&mut self, _: &str, _: &str) -> Result<Option<u64>> {
        Ok(None)
    }
}
