//! Snapshots: the rows of a store on disk, in key order, checksummed, made to be read and kept.
//!
//! A snapshot is a folder. `snapshot.json` says what was captured and is itself checksummed, and every table has a file
//! for each part of at most a million rows; a table without rows has none. A part is NDJSON: a line that says whose it
//! is, then one canonical JSON array a row, a cell for each column in the table's order. Parts of more than a mebibyte
//! of text are packed with zstd. The same rows give the same bytes.
//!
//! | type of the column | cell |
//! |---|---|
//! | any | `null`, `true`, `false`, an integer or a string as they are; all else wrapped |
//! | bool, int, real | `true`, `false`; an integer of any length; the shortest number that is that double |
//! | decimal, date, time, timestamp, datetime, uuid | a string of the canonical form |
//! | text | a string |
//! | bytes | a string of base64 |
//! | json | the document, its numbers letter by letter |
//!
//! What a column holds beyond its type is *wrapped*, with its own type in front: `{"$text":"abc"}`, `{"$real":"NaN"}`,
//! `{"$malformed":"/w=="}`. A time too far off to be written is wrapped as a number (`{"$date":99999999999}`), and an
//! instant as its seconds and nanoseconds. So are the two kinds of JSON document that could be taken for something
//! else: `null` (`{"$json":null}`), and an object whose first name begins with `$`.
//!
//! Nothing in a snapshot is trusted: a part is read only under the name that belongs to its table and number, as far as
//! `snapshot.json` says that it goes, and its end is reported only when its BLAKE3 is right.

mod codec;
mod format;
mod names;
mod read;
mod write;

pub use format::{FORMAT, Part, Store};
pub use names::file_name;
pub use read::{Reader, TableRows};
pub use write::{Meta, Options, TableWriter, Writer};

use crate::{
    error::{Error, Kind},
    row::{Field, Shape},
    schema::Table,
    value::cast::Cast,
};
use std::{fmt, path::Path, sync::Arc};

/// How much JSON text one row may fill, so that reading one cannot fill the memory.
const ROW_MAX: u64 = 256 << 20;

/// How long `snapshot.json` may be.
const HEADER_MAX: u64 = 64 << 20;

/// The shape in which the rows of `table` are kept: its key, then the other columns in the table's order. All columns
/// are the key of a table without one, so that its rows have an order too.
///
/// ```
/// use cutover::{schema::{Column, Table}, snapshot, value::Type};
///
/// let mut table = Table::new("users");
/// table.columns = vec![Column::new("email", Type::Text), Column::new("id", Type::Int)];
/// table.key = vec![1];
/// let shape = snapshot::shape(&table);
/// assert_eq!((shape.fields[0].column.as_str(), shape.key, shape.compared), ("id", 1, 2));
/// ```
pub fn shape(table: &Table) -> Arc<Shape> {
    let fields: Vec<Field> = layout(table)
        .into_iter()
        .filter_map(|place| table.columns.get(place))
        .map(|it| Field::new(it.name.as_str(), Cast::new(it.ty)))
        .collect();
    let compared = fields.len();
    let keyless = table.key.is_empty();
    let key = if keyless { compared } else { table.key.len().min(compared) };
    Arc::new(Shape { fields, key, compared, keyless })
}

/// The places of the table's columns in the order of its [`shape`].
fn layout(table: &Table) -> Vec<usize> {
    let others = (0..table.columns.len()).filter(|it| !table.key.contains(it));
    table.key.iter().copied().chain(others).collect()
}

/// What is there is not what was captured.
#[cold]
fn damaged(path: &Path, what: impl fmt::Display) -> Error {
    let path = path.display();
    Error::new(
        Kind::Snapshot,
        format_args!("{path}: {what}; it was changed or damaged after the capture: capture again"),
    )
}

#[cfg(test)]
mod tests;
