//! Local storage in Chromium's SQLite database, as its feature `DomStorageSqlite` writes it (seen in Chromium 156).

use super::{chromium, entries::Entries, sqlite, text};
use crate::error::{Error, Kind, Result};
use std::{collections::BTreeMap, path::Path};

/// Reads the file at `path`, which nobody else has open.
///
/// # Errors
/// If it is damaged, or not local storage.
pub(super) fn read(path: &Path, entries: &mut Entries, notes: &mut Vec<String>) -> Result<()> {
    let database = sqlite::open(path)?;
    let failed = |it: &rusqlite::Error| sqlite::failed(path, it);
    let mut names = BTreeMap::new();
    let query = "SELECT row_id, CAST(storage_key AS TEXT), last_modified, total_size FROM maps ORDER BY row_id";
    let mut statement = database.prepare(query).map_err(|it| failed(&it))?;
    let mut rows = statement.query([]).map_err(|it| failed(&it))?;
    while let Some(row) = rows.next().map_err(|it| failed(&it))? {
        let read = || Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?));
        let (id, name, modified, size) = read().map_err(|it| failed(&it))?;
        let modified: Option<i64> = modified;
        let name = chromium::trimmed(&name).to_owned();
        let storage = entries.storage(&name);
        storage.modified = modified.and_then(|it| u64::try_from(it).ok()).and_then(chromium::since_1970);
        names.insert(id, (name, size, 0_i64));
    }
    let query = "SELECT map_id, value_compression_type, key, value FROM map_entries";
    let mut statement = database.prepare(query).map_err(|it| failed(&it))?;
    let mut rows = statement.query([]).map_err(|it| failed(&it))?;
    while let Some(row) = rows.next().map_err(|it| failed(&it))? {
        let read = || Ok((row.get(0)?, row.get(1)?, sqlite::bytes(row, 2)?, sqlite::bytes(row, 3)?));
        let (map, packing, key, value): (i64, i64, &[u8], &[u8]) = read().map_err(|it| failed(&it))?;
        let Some((name, _, counted)) = names.get_mut(&map) else {
            return Err(damaged(path, "an entry in it belongs to no origin"));
        };
        let unpacked;
        let whole = match packing {
            0 => value,
            1 => {
                unpacked = text::unpack_zstd(value).ok_or_else(|| damaged(path, "a value in it cannot be unpacked"))?;
                &unpacked
            }
            _ => return Err(damaged(path, "a value in it is packed in an unknown way")),
        };
        *counted = counted.saturating_add_unsigned((key.len() + whole.len()) as u64);
        let texts = text::of_chromium(key).zip(text::of_chromium(whole));
        let (key, value) = texts.ok_or_else(|| damaged(path, "a text in it is none"))?;
        entries.add(name, &key, &value)?;
    }
    for (name, size, counted) in names.into_values() {
        if let Some(size) = size.filter(|&it| it != counted) {
            notes.push(format!("{name} holds {counted} bytes, and the browser counts {size}"));
        }
    }
    Ok(())
}

#[cold]
fn damaged(path: &Path, what: &str) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Error::new(Kind::Store, format_args!("{name}: not as local storage of Chromium is: {what}"))
}
