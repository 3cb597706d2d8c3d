//! Local storage in Chromium's LevelDB database.
//!
//! Keys: `VERSION`; `META:<storage>` with the time of the last write and the bytes of all entries; `METAACCESS:<storage>`;
//! `_<storage>`, a zero byte and a text for each entry. Texts begin with a byte that says which units follow. Seen in profiles
//! that Chromium 156 wrote, as in its `components/services/storage/dom_storage/`.

use super::{entries::Entries, leveldb, text};
use crate::error::{Error, Kind, Result};
use std::{collections::BTreeMap, path::Path};

/// What `META` says of a storage: microseconds since 1601, and bytes of its entries as they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Meta {
    modified: u64,
    size: u64,
}

/// Microseconds from 1601 to 1970.
const EPOCH: i64 = 11_644_473_600_000_000;

/// Reads the database in `folder`, which nobody else has open.
///
/// # Errors
/// If it is damaged, or not local storage.
pub(super) fn read(folder: &Path, entries: &mut Entries, notes: &mut Vec<String>) -> Result<()> {
    leveldb::read(folder, &mut |version| entries.add_version(version))?;
    let (mut after, mut metas, mut sizes) = (None, BTreeMap::new(), BTreeMap::<String, u64>::new());
    let mut unknown = 0_u64;
    while let Some((key, value)) = entries.version_after(after.as_deref())? {
        if let Some(entry) = key.strip_prefix(b"_") {
            let (storage, name) = split(entry).ok_or_else(|| damaged(&"a key in it names no storage"))?;
            let texts = text::of_chromium(name).zip(text::of_chromium(&value));
            let (name, own) = texts.ok_or_else(|| damaged(&format_args!("{storage} holds a text that is none")))?;
            let size = entry.len() - storage.len() - 1 + value.len();
            *sizes.entry(storage.to_owned()).or_default() += size as u64;
            entries.add(trimmed(storage), &name, &own)?;
        } else if let Some(storage) = key.strip_prefix(b"META:") {
            let storage = std::str::from_utf8(storage).map_err(|_| damaged(&"a storage in it has no name"))?;
            metas.insert(
                storage.to_owned(),
                meta(&value).ok_or_else(|| damaged(&"what it says of a storage is cut off"))?,
            );
        } else if key == b"VERSION" {
            if value != b"1" {
                return Err(damaged(&"it is of a newer version than is known here"));
            }
        } else if !key.starts_with(b"METAACCESS:") {
            unknown += 1;
        }
        after = Some(key);
    }
    entries.forget_versions()?;
    for (storage, meta) in metas {
        let size = sizes.remove(&storage).unwrap_or_default();
        entries.storage(trimmed(&storage)).modified = since_1970(meta.modified);
        if size != meta.size {
            let what = format!("{storage} holds {size} bytes, and the browser counts {}", meta.size);
            notes.push(format!("{what}; it may have been killed while it wrote"));
        }
    }
    if unknown > 0 && entries.storages().is_empty() {
        return Err(damaged(&"it holds something else than local storage"));
    }
    if unknown > 0 {
        notes.push(format!("{unknown} keys of the database are of no kind that is known here and are left out"));
    }
    Ok(())
}

/// The storage and the key of an entry.
fn split(entry: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(0, entry)?;
    Some((std::str::from_utf8(&entry[..end]).ok()?, &entry[end + 1..]))
}

/// The name of a storage as its origin is written: the key of SQLite ends in a slash, that of LevelDB does not.
pub(super) fn trimmed(storage: &str) -> &str {
    let host = storage.split_once("://").is_some_and(|(_, host)| !host.is_empty());
    storage.strip_suffix('/').filter(|_| host).unwrap_or(storage)
}

/// A time of Chromium's as Unix knows it.
pub(super) fn since_1970(microseconds: u64) -> Option<i64> {
    i64::try_from(microseconds).ok().filter(|&it| it > 0).map(|it| it - EPOCH)
}

/// The numbers of a protocol buffer that holds no more than numbers.
fn meta(mut bytes: &[u8]) -> Option<Meta> {
    let mut meta = Meta::default();
    while !bytes.is_empty() {
        let tag = leveldb::varint(&mut bytes)?;
        let value = leveldb::varint(&mut bytes).filter(|_| tag & 7 == 0)?;
        match tag >> 3 {
            1 => meta.modified = value,
            2 => meta.size = value,
            _ => {}
        }
    }
    Some(meta)
}

#[cold]
fn damaged(what: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Store, format_args!("the LevelDB database is not as local storage is: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (storage, expect) in [
            ("https://a.test/", "https://a.test"),
            ("https://a.test", "https://a.test"),
            ("http://localhost:3000/", "http://localhost:3000"),
            ("https://a.test/^0https://b.test", "https://a.test/^0https://b.test"),
            ("chrome-extension://abc/", "chrome-extension://abc"),
            ("file://", "file://"),
            ("file:///", "file://"),
        ] {
            assert_eq!(trimmed(storage), expect);
        }
    }

    #[test]
    fn metas() {
        for (bytes, expect) in [
            (b"" as &[u8], Some(Meta::default())),
            (b"\x08\x96\x01\x10\x05", Some(Meta { modified: 150, size: 5 })),
            (b"\x08\x96\x01\x18\x05", Some(Meta { modified: 150, size: 0 })),
            (b"\x08\x96", None),
            (b"\x0a\x01a", None),
        ] {
            assert_eq!(meta(bytes), expect, "{bytes:?}");
        }
    }
}
