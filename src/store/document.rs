//! Values as JSON, for stores that hold JSON and nothing else.

use crate::{
    error::{Error, Kind, Result},
    row::{Field, Row},
    value::{
        Value, decimal,
        json::write_string,
        time::{to_epoch, write_date, write_moment, write_time},
        write_uuid,
    },
};

/// The JSON text that reads back as the cell of `row` at `place`: what JSON has a kind for as that, all else as a string.
///
/// # Errors
/// If there is none.
pub fn json(row: Row<'_>, place: usize, field: &Field) -> Result<String> {
    let (mut scratch, mut plain, mut read) = (Vec::new(), Vec::new(), Vec::new());
    let value = row.value(place, &mut scratch);
    let mut string = true;
    match value {
        Value::Text(it) => plain.extend(it.bytes()),
        Value::Date(it) => write_date(it, &mut plain),
        Value::Time(it) => write_time(it, &mut plain),
        Value::DateTime(it) => write_moment(it, false, &mut plain),
        Value::Timestamp(it) => match field.cast.epoch.and_then(|unit| to_epoch(it, unit)) {
            Some(count) => {
                string = false;
                decimal::from_i64(count, &mut plain);
            }
            None => write_moment(it, true, &mut plain),
        },
        Value::Uuid(it) => write_uuid(&it, &mut plain),
        _ => string = false,
    }
    match value {
        Value::Null => plain.extend(b"null"),
        Value::Bool(it) => plain.extend(it.to_string().bytes()),
        Value::Int(it) => decimal::from_i64(it, &mut plain),
        // JSON has no number for these, so they are the words that a cast reads.
        Value::Real(it) => {
            decimal::from_f64(it, &mut plain);
            string = !it.is_finite();
        }
        Value::Decimal(it) => {
            plain.extend(it.bytes());
            string = !it.bytes().any(|it| it.is_ascii_digit());
        }
        Value::Json(it) => plain.extend(it.bytes()),
        _ => {}
    }
    let refused = || {
        let column = &field.column;
        Error::new(Kind::Row, format_args!("column `{column}`: in JSON this value would not read back as it is"))
    };
    if matches!(value, Value::Bytes(_) | Value::Malformed(_) | Value::Raw(_)) {
        return Err(refused());
    }
    let mut text = String::from_utf8(plain).map_err(|_| refused())?;
    if string {
        let mut quoted = Vec::new();
        write_string(&text, &mut quoted);
        text = String::from_utf8(quoted).map_err(|_| refused())?;
    }
    let ordered = place < row.shape().key;
    let found = if text == "null" && value == Value::Null { Value::Null } else { Value::Json(&text) };
    field.cast.write(found, ordered, &mut read);
    if read == row.cell(place) { Ok(text) } else { Err(refused()) }
}
