//! What the rows of a batch say of keys and their values.

use super::{
    entry::{self, METADATA, Selection, VALUE},
    places,
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Row},
    schema::Table,
    value::{
        Type, Value,
        cast::Cast,
        decimal,
        time::{to_epoch, write_date, write_moment, write_time},
        write_uuid,
    },
};
use serde_json::value::RawValue;

/// What a row says of a key. What is not written stays as it is.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) key: String,
    pub(super) value: Option<Vec<u8>>,
    /// Nothing in it: the key has none.
    pub(super) metadata: Option<Option<Box<RawValue>>>,
    pub(super) expiration: Option<Option<i64>>,
}

const KEY_MAX: usize = 512;
const VALUE_MAX: usize = 25 << 20;
const METADATA_MAX: usize = 1024;

/// What the rows of a batch of that table say. Keys that are not selected are refused.
///
/// # Errors
/// If a row says something that the service would not keep as it is.
pub(super) fn wanted((table, selection): (&Table, &Selection), batch: &Batch, keys_only: bool) -> Result<Vec<Wanted>> {
    let shape = batch.shape();
    let places = places(table, shape)?;
    if shape.keyless || shape.key != 1 || places.first() != Some(&entry::KEY) {
        return Err(Error::new(Kind::Plan, "kv: rows are told apart by `key`; name it as the key of the table"));
    }
    let bytes = table.columns.get(VALUE).is_some_and(|it| it.ty == Type::Bytes);
    let count = if keys_only { 1 } else { places.len() };
    let one = |row: Row<'_>| {
        let mut out = Wanted::default();
        let mut scratch = Vec::new();
        for (place, (&column, field)) in places.iter().zip(&shape.fields).enumerate().take(count) {
            let value = row.value(place, &mut scratch);
            match column {
                entry::KEY => out.key = key(selection, value)?,
                VALUE => out.value = Some(written(value, &field.cast, row.cell(place), bytes)?),
                METADATA => out.metadata = Some(metadata(value)?),
                _ => out.expiration = Some(expiration(value)?),
            }
        }
        Ok(out)
    };
    batch.rows().map(one).collect()
}

/// A key that the service takes, and that this store hands out.
fn key(selection: &Selection, value: Value<'_>) -> Result<String> {
    let Value::Text(key) = value else { return Err(refused("key", "it is no text")) };
    match key {
        "" | "." | ".." => Err(refused("key", "no key may be empty, `.` or `..`")),
        it if it.len() > KEY_MAX => Err(refused("key", &format!("{} bytes, and a key has {KEY_MAX}", it.len()))),
        it if !selection.selects(it) => {
            Err(refused("key", "`prefix`, `include` and `exclude` of the target leave this key out"))
        }
        it => Ok(it.to_owned()),
    }
}

/// A row that is refused for what is in a column.
#[cold]
pub(super) fn refused(column: &str, why: &str) -> Error {
    Error::new(Kind::Row, format_args!("column `{column}`: {why}"))
}

/// The bytes that read back as this value.
fn written(value: Value<'_>, cast: &Cast, cell: &[u8], bytes: bool) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::Null => return Err(refused("value", "a key has to have a value, and this one is NULL")),
        Value::Bool(it) => out.extend(it.to_string().bytes()),
        Value::Int(it) => decimal::from_i64(it, &mut out),
        Value::Real(it) => decimal::from_f64(it, &mut out),
        Value::Date(it) => write_date(it, &mut out),
        Value::Time(it) => write_time(it, &mut out),
        Value::DateTime(it) => write_moment(it, false, &mut out),
        Value::Timestamp(it) => match cast.epoch {
            None => write_moment(it, true, &mut out),
            Some(unit) => out.extend(to_epoch(it, unit).map(|it| it.to_string()).unwrap_or_default().bytes()),
        },
        Value::Uuid(it) => write_uuid(&it, &mut out),
        Value::Decimal(it) | Value::Text(it) | Value::Json(it) => out.extend(it.bytes()),
        Value::Raw(it) | Value::Malformed(it) | Value::Bytes(it) => out.extend(it),
    }
    let mut read = Vec::new();
    let found = if bytes || std::str::from_utf8(&out).is_err() { Value::Bytes(&out) } else { Value::Raw(&out) };
    cast.write(found, false, &mut read);
    if read != cell {
        return Err(refused("value", "KV keeps bytes alone, and from them this value would not read back as it is"));
    }
    if out.starts_with("\u{feff}".as_bytes()) {
        return Err(refused("value", "it begins with a byte order mark, which the service drops when it is read"));
    }
    if out.len() > VALUE_MAX {
        return Err(refused("value", &format!("{} bytes, and a value has {VALUE_MAX}", out.len())));
    }
    Ok(out)
}

fn metadata(value: Value<'_>) -> Result<Option<Box<RawValue>>> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Json("null") => return Err(refused("metadata", "null as metadata is none at all to the service")),
        Value::Json(it) => it,
        _ => return Err(refused("metadata", "it is no JSON document")),
    };
    if text.len() > METADATA_MAX {
        return Err(refused("metadata", &format!("{} bytes, and metadata has {METADATA_MAX}", text.len())));
    }
    RawValue::from_string(text.to_owned()).map(Some).map_err(|_| refused("metadata", "it is no JSON document"))
}

fn expiration(value: Value<'_>) -> Result<Option<i64>> {
    match value {
        Value::Null => Ok(None),
        Value::Int(it) => Ok(Some(it)),
        _ => Err(refused("expiration", "it is no number of seconds since 1970")),
    }
}
