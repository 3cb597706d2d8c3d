//! What reading both files costs with the library alone: every cell looked at, nothing kept.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use rusqlite::{Connection, OpenFlags, types::ValueRef};
use serde::de::IgnoredAny;

use crate::{Result, generate::Format};

/// Reads a file to its end. The sum of what was seen keeps the compiler from leaving it out.
pub(crate) fn read(format: Format, path: &Path) -> Result<u64> {
    match format {
        Format::Sqlite => sqlite(path),
        Format::Csv => csv(path),
        Format::Ndjson => ndjson(path),
    }
}

/// The rows by key where a key is declared, or as they stand.
fn sqlite(path: &Path) -> Result<u64> {
    // A connection that one thread uses needs no mutex around each look at a cell.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let keys = "SELECT count(*) FROM pragma_table_info('orders') WHERE pk > 0";
    let keyed: bool = connection.query_row(keys, [], |it| it.get(0))?;
    let order = if keyed { " ORDER BY id" } else { "" };
    let mut statement = connection.prepare(&format!("SELECT * FROM orders{order}"))?;
    let width = statement.column_count();
    let (mut rows, mut sum) = (statement.query([])?, 0_u64);
    while let Some(row) = rows.next()? {
        for place in 0..width {
            sum = sum.wrapping_add(match row.get_ref(place)? {
                ValueRef::Null => 1,
                ValueRef::Integer(it) => it.unsigned_abs(),
                ValueRef::Real(it) => it.to_bits(),
                ValueRef::Text(it) | ValueRef::Blob(it) => {
                    it.len() as u64 + u64::from(it.first().copied().unwrap_or(0))
                }
            });
        }
    }
    Ok(sum)
}

fn csv(path: &Path) -> Result<u64> {
    let mut reader = csv::Reader::from_path(path)?;
    let (mut record, mut sum) = (csv::ByteRecord::new(), 0_u64);
    while reader.read_byte_record(&mut record)? {
        sum = record.iter().fold(sum, |sum, it| sum.wrapping_add(it.len() as u64));
    }
    Ok(sum)
}

fn ndjson(path: &Path) -> Result<u64> {
    let mut reader = BufReader::with_capacity(64 << 10, File::open(path)?);
    let (mut line, mut sum) = (Vec::new(), 0_u64);
    while reader.read_until(b'\n', &mut line)? > 0 {
        let _: IgnoredAny = serde_json::from_slice(&line)?;
        sum = sum.wrapping_add(line.len() as u64);
        line.clear();
    }
    Ok(sum)
}
