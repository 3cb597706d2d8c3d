//! The entries of all storages, gathered in a private database: sorted, each key once.

use crate::error::{Error, Kind, Result};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// The entries, in a file without a name: it is gone with the connection, however the process ends.
pub(super) struct Entries {
    connection: Connection,
    storages: BTreeMap<String, Storage>,
}

/// What is known of the storage of one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Storage {
    /// Its number in the database.
    id: i64,
    /// How many keys it has.
    pub(super) count: u64,
    /// The bytes of its keys and values in UTF-8.
    pub(super) bytes: u64,
    /// How many keys and values hold half of a surrogate pair.
    pub(super) halves: u64,
    /// Microseconds since 1970 of the last write, where the browser says so.
    pub(super) modified: Option<i64>,
}

/// Whoever takes keys and values, until it returns false.
type Take<'t> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 't;

impl Entries {
    /// None yet.
    ///
    /// # Errors
    /// If there is no place for them.
    pub(super) fn new() -> Result<Entries> {
        let connection = Connection::open("").map_err(|it| failed(&it))?;
        let schema = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;
            CREATE TABLE version(key BLOB PRIMARY KEY, sequence INTEGER, value BLOB) WITHOUT ROWID;
            CREATE TABLE entry(storage INTEGER, key BLOB, value BLOB, PRIMARY KEY (storage, key)) WITHOUT ROWID";
        connection.execute_batch(schema).map_err(|it| failed(&it))?;
        Ok(Entries { connection, storages: BTreeMap::new() })
    }

    /// The storage of that name, made if it is new.
    pub(super) fn storage(&mut self, name: &str) -> &mut Storage {
        let next = self.storages.len() as i64;
        self.storages.entry(name.to_owned()).or_insert_with(|| Storage { id: next, ..Storage::default() })
    }

    /// Adds one entry, in WTF-8.
    ///
    /// # Errors
    /// If the storage has that key already, or there is no more place.
    pub(super) fn add(&mut self, storage: &str, key: &[u8], value: &[u8]) -> Result<()> {
        let about = self.storage(storage);
        about.count += 1;
        about.bytes += (key.len() + value.len()) as u64;
        about.halves += [key, value].iter().filter(|it| std::str::from_utf8(it).is_err()).count() as u64;
        let id = about.id;
        let insert = "INSERT INTO entry VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let added = self.connection.prepare_cached(insert).and_then(|mut it| it.execute(params![id, key, value]));
        match added.map_err(|it| failed(&it))? {
            1 => Ok(()),
            _ => Err(Error::new(Kind::Store, format_args!("{storage} holds one key twice, so it is damaged"))),
        }
    }

    /// Adds one version of a key of a database that keeps several.
    ///
    /// # Errors
    /// If there is no more place.
    pub(super) fn add_version(&self, version: super::leveldb::Version<'_>) -> Result<()> {
        let insert = "INSERT INTO version VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE
            SET sequence = excluded.sequence, value = excluded.value WHERE excluded.sequence > sequence";
        let sequence = i64::try_from(version.sequence).unwrap_or(i64::MAX);
        let mut insert = self.connection.prepare_cached(insert).map_err(|it| failed(&it))?;
        insert.execute(params![version.key, sequence, version.value]).map_err(|it| failed(&it))?;
        Ok(())
    }

    /// Hands out the last version of each key behind `after` that was not deleted; nothing at the end.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(super) fn version_after(&self, after: Option<&[u8]>) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let query =
            "SELECT key, value FROM version WHERE value IS NOT NULL AND (?1 IS NULL OR key > ?1) ORDER BY key LIMIT 1";
        let mut query = self.connection.prepare_cached(query).map_err(|it| failed(&it))?;
        query.query_row([after], |it| Ok((it.get(0)?, it.get(1)?))).optional().map_err(|it| failed(&it))
    }

    /// Forgets the versions.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub(super) fn forget_versions(&self) -> Result<()> {
        self.connection.execute_batch("DROP TABLE version").map_err(|it| failed(&it))
    }

    /// Lets go of all storages but this one. False: it is not there.
    pub(super) fn keep(&mut self, name: &str) -> bool {
        self.storages.retain(|it, _| it == name);
        !self.storages.is_empty()
    }

    /// The storages by name.
    pub(super) fn storages(&self) -> &BTreeMap<String, Storage> {
        &self.storages
    }

    /// Hands out the entries of a storage by key, until `take` returns false.
    ///
    /// # Errors
    /// If the database cannot be read, or `take` fails.
    pub(super) fn each(&self, storage: &str, take: &mut Take<'_>) -> Result<()> {
        let Some(storage) = self.storages.get(storage) else {
            return Err(Error::new(Kind::Store, format_args!("there is no storage of {storage}")));
        };
        let query = "SELECT key, value FROM entry WHERE storage = ?1 ORDER BY key";
        let mut query = self.connection.prepare_cached(query).map_err(|it| failed(&it))?;
        let mut rows = query.query([storage.id]).map_err(|it| failed(&it))?;
        while let Some(row) = rows.next().map_err(|it| failed(&it))? {
            let cell = |place| row.get_ref(place).ok().and_then(|it| it.as_blob().ok()).unwrap_or_default();
            if !take(cell(0), cell(1))? {
                break;
            }
        }
        Ok(())
    }
}

#[cold]
fn failed(error: &rusqlite::Error) -> Error {
    Error::new(Kind::File, format_args!("cannot keep a private copy of local storage: {error}"))
}
