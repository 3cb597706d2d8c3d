//! The SQLite files of browsers, each a private copy.

use crate::error::{Error, Kind, Result};
use rusqlite::{Connection, OpenFlags, Row, config::DbConfig, types::ValueRef};
use std::path::{Path, PathBuf};

/// Opens the private copy at `path`. Its log is worked into it, so it is opened for writing.
///
/// # Errors
/// If it is damaged, or not a database.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let connect = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; BEGIN")?;
        let check = connection.query_row("PRAGMA quick_check(1)", [], |it| it.get::<_, String>(0))?;
        Ok((connection, check))
    };
    let (connection, check) = connect().map_err(|it| failed(path, &it))?;
    if check != "ok" {
        return Err(Error::new(Kind::Store, format_args!("{}: the file is damaged: {check}", name(path))));
    }
    Ok(connection)
}

/// The bytes of a text or a blob.
///
/// # Errors
/// If it is something else.
pub(super) fn bytes<'r>(row: &'r Row<'_>, place: usize) -> rusqlite::Result<&'r [u8]> {
    match row.get_ref(place)? {
        ValueRef::Text(it) | ValueRef::Blob(it) => Ok(it),
        it => Err(rusqlite::Error::InvalidColumnType(place, "text".to_owned(), it.data_type())),
    }
}

/// The files that make up the database at `path`: it and its logs.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let beside = ["-wal", "-journal"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    });
    beside.into_iter().filter(|it| it.exists()).chain([path.to_owned()]).collect()
}

#[cold]
pub(super) fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    Error::new(Kind::Store, format_args!("{}: not as the local storage of a browser is: {error}", name(path)))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
