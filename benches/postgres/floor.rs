//! What reading both sides at once costs with the libraries alone: every byte received, nothing kept.

use std::{pin::pin, thread};

use futures_util::TryStreamExt;
use rusqlite::{Connection, OpenFlags, types::ValueRef};
use tokio_postgres::NoTls;

use crate::Result;

/// Reads both to their ends, each in a thread. How many bytes came.
pub(crate) fn read_both(source: &str, target: &str) -> Result<u64> {
    thread::scope(|scope| {
        let both = [source, target].map(|it| scope.spawn(move || read(it).map_err(|it| it.to_string())));
        both.into_iter().map(|it| Ok(it.join().map_err(|_| "a reader died")??)).sum()
    })
}

fn read(name: &str) -> Result<u64> {
    if name.starts_with("postgres:") { postgres(name) } else { sqlite(name) }
}

fn postgres(url: &str) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let mut rows = pin!(client.copy_out("COPY (SELECT * FROM orders) TO STDOUT (FORMAT binary)").await?);
        let mut bytes = 0;
        while let Some(some) = rows.try_next().await? {
            bytes += some.len() as u64;
        }
        Ok(bytes)
    })
}

fn sqlite(path: &str) -> Result<u64> {
    // A connection that one thread uses needs no mutex around each look at a cell.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let mut statement = connection.prepare("SELECT * FROM orders ORDER BY id")?;
    let width = statement.column_count();
    let (mut rows, mut bytes) = (statement.query([])?, 0);
    while let Some(row) = rows.next()? {
        for place in 0..width {
            bytes += match row.get_ref(place)? {
                ValueRef::Text(it) | ValueRef::Blob(it) => it.len() as u64,
                _ => 8,
            };
        }
    }
    Ok(bytes)
}
