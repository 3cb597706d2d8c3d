//! What stands for a cell in a file. What is written is read again at once, and has to be the same cell.

use crate::{
    error::{Error, Kind, Result},
    row::{Field, Row},
    value::{Value, cast::Cast, json, time, write_uuid},
};

/// Appends the cell at `place` as JSON.
///
/// # Errors
/// If JSON has no way to say it.
pub(super) fn as_json(row: Row<'_>, place: usize, table: &str, out: &mut Vec<u8>) -> Result<()> {
    let (start, field) = (out.len(), &row.shape().fields[place]);
    let (mut scratch, mut text) = (Vec::new(), Vec::new());
    let value = row.value(place, &mut scratch);
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Json(it) => out.extend_from_slice(it.as_bytes()),
        _ => {
            plain(value, &field.cast, &mut text)?;
            match (std::str::from_utf8(&text), is_bare(value, &field.cast)) {
                (Ok(it), false) => json::write_string(it, out),
                (Ok(it), true) if json::canonical(it, &mut Vec::new()).is_ok() => out.extend_from_slice(it.as_bytes()),
                _ => return Err(refused(field, table, "JSON")),
            }
        }
    }
    let back = match std::str::from_utf8(&out[start..]) {
        Ok("null") | Err(_) => Value::Null,
        Ok(it) => Value::Json(it),
    };
    if is_same(row, place, back) { Ok(()) } else { Err(refused(field, table, "JSON")) }
}

/// The cell at `place` as the text of a CSV file, in which `null` stands for NULL, if anything does. `read` reads it again.
///
/// # Errors
/// If CSV has no way to say it.
pub(super) fn as_csv(
    row: Row<'_>,
    place: usize,
    table: &str,
    read: impl Fn(&[u8]) -> Value<'_>,
    null: Option<&[u8]>,
) -> Result<Vec<u8>> {
    let field = &row.shape().fields[place];
    let (mut scratch, mut text) = (Vec::new(), Vec::new());
    match row.value(place, &mut scratch) {
        Value::Null => text.extend_from_slice(null.unwrap_or_default()),
        Value::Malformed(it) => text.extend_from_slice(it),
        value => plain(value, &field.cast, &mut text)?,
    }
    if is_same(row, place, read(&text)) { Ok(text) } else { Err(refused(field, table, "CSV")) }
}

/// Whether a value is written to JSON without quotes.
fn is_bare(value: Value<'_>, cast: &Cast) -> bool {
    let number = matches!(value, Value::Bool(_) | Value::Int(_) | Value::Real(_) | Value::Decimal(_));
    number || matches!(value, Value::Timestamp(_)) && cast.epoch.is_some()
}

/// Appends a value as text. Bytes and text that is not UTF-8 have none.
fn plain(value: Value<'_>, cast: &Cast, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Bool(it) => out.extend_from_slice(if it { b"true" } else { b"false" }),
        Value::Int(it) => out.extend_from_slice(it.to_string().as_bytes()),
        Value::Real(it) => out.extend_from_slice(zmij::Buffer::new().format(it).as_bytes()),
        Value::Decimal(it) | Value::Text(it) | Value::Json(it) => out.extend_from_slice(it.as_bytes()),
        Value::Date(it) => time::write_date(it, out),
        Value::Time(it) => time::write_time(it, out),
        Value::Timestamp(it) => match cast.epoch {
            Some(unit) => {
                let count = time::to_epoch(it, unit);
                let what = "an instant is no whole number of the unit in which its column counts";
                let count = count.ok_or_else(|| Error::new(Kind::Row, what))?;
                out.extend_from_slice(count.to_string().as_bytes());
            }
            None => time::write_moment(it, true, out),
        },
        Value::DateTime(it) => time::write_moment(it, false, out),
        Value::Uuid(it) => write_uuid(&it, out),
        // What is read again is then another cell, so these are refused.
        Value::Null | Value::Raw(_) | Value::Malformed(_) | Value::Bytes(_) => {}
    }
    Ok(())
}

fn is_same(row: Row<'_>, place: usize, back: Value<'_>) -> bool {
    let (cast, shape) = (&row.shape().fields[place].cast, row.shape());
    let mut cell = Vec::new();
    cast.write(back, place < shape.key, &mut cell);
    cell == row.cell(place)
}

#[cold]
fn refused(field: &Field, table: &str, format: &str) -> Error {
    let column = &field.column;
    let what = format_args!(
        "column `{column}` of table `{table}`: {format} has no way to say this value, as it would read back as something else"
    );
    Error::new(Kind::Row, what)
}
