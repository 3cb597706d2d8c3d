//! Local storage of one origin in Firefox's SQLite database (`dom/localstorage/`, schema 5, seen in Firefox ESR 153).

use super::{entries::Entries, sqlite, text};
use crate::error::{Error, Kind, Result};
use std::{borrow::Cow, path::Path};

/// Reads the file at `path`, which nobody else has open.
///
/// # Errors
/// If it is damaged, or not local storage.
pub(super) fn read(path: &Path, entries: &mut Entries) -> Result<()> {
    let database = sqlite::open(path)?;
    let failed = |it: &rusqlite::Error| sqlite::failed(path, it);
    let origin = database.query_row("SELECT origin FROM database", [], |it| it.get::<_, String>(0));
    let origin = origin.map_err(|it| failed(&it))?;
    entries.storage(&origin);
    // An index of a damaged file may say something else than its table.
    let query = "SELECT key, utf16_length, conversion_type, compression_type, value FROM data NOT INDEXED";
    let mut statement = database.prepare(query).map_err(|it| failed(&it))?;
    let mut rows = statement.query([]).map_err(|it| failed(&it))?;
    while let Some(row) = rows.next().map_err(|it| failed(&it))? {
        let read = || Ok((sqlite::bytes(row, 0)?, row.get(1)?, row.get(2)?, row.get(3)?, sqlite::bytes(row, 4)?));
        let (key, length, conversion, packing, value): (&[u8], i64, i64, i64, &[u8]) =
            read().map_err(|it| failed(&it))?;
        let unpacked = match packing {
            0 => Some(Cow::Borrowed(value)),
            1 => text::unpack_snappy(value).map(Cow::Owned),
            _ => return Err(damaged(path, &origin, "is packed in an unknown way")),
        };
        let unpacked = unpacked.ok_or_else(|| damaged(path, &origin, "cannot be unpacked"))?;
        let own = match conversion {
            0 => text::of_utf16(&unpacked).map(Cow::Owned),
            1 => std::str::from_utf8(&unpacked).is_ok().then_some(unpacked),
            _ => return Err(damaged(path, &origin, "is kept in an unknown way")),
        };
        let own = own.filter(|it| i64::try_from(text::units(it)) == Ok(length));
        let own = own.ok_or_else(|| damaged(path, &origin, "is not as long as it is said to be"))?;
        entries.add(&origin, key, &own)?;
    }
    Ok(())
}

#[cold]
fn damaged(path: &Path, origin: &str, what: &str) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Error::new(Kind::Store, format_args!("{name}: a value of {origin} {what}, so the file is damaged"))
}
