//! Cells: canonical bytes with a type tag, in a plain and an ordered form.
//!
//! Both forms delimit themselves, so `NULL`, `''`, `('a','bc')` and `('ab','c')` never collide. The *ordered* form is for
//! keys: comparing its bytes gives the order of the values. The *plain* form is for all other cells and is cheaper.
//!
//! | tag | value | plain payload | ordered payload |
//! |---|---|---|---|
//! | 01 | NULL | | |
//! | 02 | false, true | 1 byte | the same |
//! | 10 12 | integers below and above 64 bits | length, text | [`decimal::write_ordered`] |
//! | 11 | integer | 8 bytes, big-endian, sign flipped | the same |
//! | 14 | real | 8 bytes, sign-and-magnitude flipped so that they sort | the same |
//! | 16 | decimal | length, text | [`decimal::write_ordered`] |
//! | 20 21 | date, time of day | 8 bytes | the same |
//! | 22 23 | instant, civil date-time | 8 bytes of seconds, 4 of nanoseconds | the same |
//! | 28 | UUID | 16 bytes | the same |
//! | 30 31 34 | text, malformed text, bytes | length, bytes | bytes with 00 as 00 ff, then 00 00 |
//! | 38 | JSON | length, text | a byte for the kind, then as the kind sorts |
//!
//! A length is four bytes, little-endian.

use super::{Value, decimal, json, time::Moment};

/// The first byte of a cell.
pub mod tag {
    #![expect(missing_docs, reason = "the table in the module's documentation says what each stands for")]
    pub const NULL: u8 = 0x01;
    pub const BOOL: u8 = 0x02;
    pub const INT_LOW: u8 = 0x10;
    pub const INT: u8 = 0x11;
    pub const INT_HIGH: u8 = 0x12;
    pub const REAL: u8 = 0x14;
    pub const DECIMAL: u8 = 0x16;
    pub const DATE: u8 = 0x20;
    pub const TIME: u8 = 0x21;
    pub const TIMESTAMP: u8 = 0x22;
    pub const DATETIME: u8 = 0x23;
    pub const UUID: u8 = 0x28;
    pub const TEXT: u8 = 0x30;
    pub const MALFORMED: u8 = 0x31;
    pub const BYTES: u8 = 0x34;
    pub const JSON: u8 = 0x38;
    /// No value has a tag below this one or above [`LAST`]: canaries do.
    pub const FIRST: u8 = NULL;
    pub const LAST: u8 = JSON;
}

const SIGN: u64 = 1 << 63;

/// Appends the cell of `value`, whose `Decimal` or `Json` text must be canonical.
///
/// Inlined by force: nearly every caller knows the kind of its value, and then little of this remains.
#[inline(always)]
pub fn encode(value: Value<'_>, ordered: bool, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(tag::NULL),
        Value::Bool(it) => out.extend_from_slice(&[tag::BOOL, u8::from(it)]),
        Value::Int(it) => fixed(tag::INT, (it as u64 ^ SIGN).to_be_bytes(), out),
        Value::Real(it) => fixed(tag::REAL, real_bits(it).to_be_bytes(), out),
        Value::Date(it) => fixed(tag::DATE, (it as u64 ^ SIGN).to_be_bytes(), out),
        Value::Time(it) => fixed(tag::TIME, it.to_be_bytes(), out),
        Value::Timestamp(it) => moment(tag::TIMESTAMP, it, out),
        Value::DateTime(it) => moment(tag::DATETIME, it, out),
        Value::Uuid(it) => {
            out.push(tag::UUID);
            out.extend_from_slice(&it);
        }
        Value::Decimal(it) => number(tag::DECIMAL, it, ordered, out),
        Value::Text(it) => bytes(tag::TEXT, it.as_bytes(), ordered, out),
        Value::Raw(it) => match std::str::from_utf8(it) {
            Ok(it) => bytes(tag::TEXT, it.as_bytes(), ordered, out),
            Err(_) => bytes(tag::MALFORMED, it, ordered, out),
        },
        Value::Malformed(it) => bytes(tag::MALFORMED, it, ordered, out),
        Value::Bytes(it) => bytes(tag::BYTES, it, ordered, out),
        Value::Json(it) if ordered => ordered_json(it, out),
        Value::Json(it) => bytes(tag::JSON, it.as_bytes(), false, out),
    }
}

/// Appends the cell of a text, or the plain cell of a canonical JSON document, that is known to be ASCII.
#[inline]
pub(super) fn encode_ascii(tag: u8, text: &[u8], ordered: bool, out: &mut Vec<u8>) {
    bytes(tag, text, ordered, out);
}

/// Appends the cell of an integer given as canonical decimal text.
pub fn encode_integer(text: &str, ordered: bool, out: &mut Vec<u8>) {
    match text.parse() {
        Ok(it) => encode(Value::Int(it), ordered, out),
        Err(_) if text.starts_with('-') => number(tag::INT_LOW, text, ordered, out),
        Err(_) => number(tag::INT_HIGH, text, ordered, out),
    }
}

/// Appends `tag` and a length that [`close`] fills in; the payload is to be appended in between.
#[inline]
pub fn open(tag: u8, out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    out.len()
}

/// Ends the plain cell whose payload began at `start`.
#[inline]
pub fn close(start: usize, out: &mut [u8]) {
    let length = (out.len() - start) as u32;
    out[start - 4..start].copy_from_slice(&length.to_le_bytes());
}

/// Takes back the plain cell whose payload began at `start`, and was not ended.
#[inline]
pub fn undo(start: usize, out: &mut Vec<u8>) {
    out.truncate(start - 5);
}

/// How long the cell at the start of `cells` is, or nothing if no whole cell is there.
pub fn length(cells: &[u8], ordered: bool) -> Option<usize> {
    let tag = *cells.first()?;
    let length = match tag {
        tag::NULL => 1,
        tag::BOOL => 2,
        tag::INT | tag::REAL | tag::DATE | tag::TIME => 9,
        tag::TIMESTAMP | tag::DATETIME => 13,
        tag::UUID => 17,
        _ if !ordered => 5 + u32::from_le_bytes(cells.get(1..5)?.try_into().ok()?) as usize,
        tag::INT_LOW | tag::INT_HIGH | tag::DECIMAL => 1 + decimal::read_ordered(&cells[1..], &mut Vec::new())?,
        tag::JSON => 2 + ordered_json_length(*cells.get(1)?, &cells[2..])?,
        _ => 1 + escaped_length(&cells[1..])?,
    };
    (length <= cells.len()).then_some(length)
}

/// Whether the plain and the ordered form of this cell are the same bytes.
pub fn is_fixed(cell: &[u8]) -> bool {
    match cell.first() {
        Some(&(tag::INT_LOW | tag::INT_HIGH | tag::DECIMAL)) => false,
        Some(&tag) => tag < tag::TEXT,
        None => true,
    }
}

/// The value of a cell. Text that the ordered form had to escape is put into `scratch`.
///
/// Bytes that are no cell, which only a damaged file can hold, come back as [`Value::Malformed`].
pub fn decode<'a>(cell: &'a [u8], ordered: bool, scratch: &'a mut Vec<u8>) -> Value<'a> {
    read(cell, ordered, scratch).unwrap_or(Value::Malformed(cell))
}

/// The payload of a plain cell of text or bytes.
#[inline]
pub(crate) fn text_of(cell: &[u8]) -> Option<&[u8]> {
    cell.get(5..)
}

fn read<'a>(cell: &'a [u8], ordered: bool, scratch: &'a mut Vec<u8>) -> Option<Value<'a>> {
    let (&tag, payload) = cell.split_first()?;
    let word = || Some(u64::from_be_bytes(payload.get(..8)?.try_into().ok()?));
    let moment = || {
        let nanos = u32::from_be_bytes(payload.get(8..12)?.try_into().ok()?);
        Some(Moment { seconds: (word()? ^ SIGN) as i64, nanos })
    };
    Some(match tag {
        tag::NULL => Value::Null,
        tag::BOOL => Value::Bool(*payload.first()? != 0),
        tag::INT => Value::Int((word()? ^ SIGN) as i64),
        tag::REAL => Value::Real(real(word()?)),
        tag::DATE => Value::Date((word()? ^ SIGN) as i64),
        tag::TIME => Value::Time(word()?),
        tag::TIMESTAMP => Value::Timestamp(moment()?),
        tag::DATETIME => Value::DateTime(moment()?),
        tag::UUID => Value::Uuid(payload.try_into().ok()?),
        tag::INT_LOW | tag::INT_HIGH | tag::DECIMAL => Value::Decimal(text(payload, ordered, scratch, |from, to| {
            decimal::read_ordered(from, to);
        })?),
        tag::JSON => Value::Json(text(payload, ordered, scratch, json_text)?),
        tag::TEXT => Value::Text(text(payload, ordered, scratch, unescape)?),
        tag::BYTES => Value::Bytes(raw(payload, ordered, scratch, unescape)?),
        tag::MALFORMED => Value::Malformed(raw(payload, ordered, scratch, unescape)?),
        _ => return None,
    })
}

fn raw<'a>(
    payload: &'a [u8],
    ordered: bool,
    scratch: &'a mut Vec<u8>,
    restore: fn(&[u8], &mut Vec<u8>),
) -> Option<&'a [u8]> {
    if !ordered {
        return payload.get(4..);
    }
    scratch.clear();
    restore(payload, scratch);
    Some(scratch)
}

fn text<'a>(
    payload: &'a [u8],
    ordered: bool,
    scratch: &'a mut Vec<u8>,
    restore: fn(&[u8], &mut Vec<u8>),
) -> Option<&'a str> {
    std::str::from_utf8(raw(payload, ordered, scratch, restore)?).ok()
}

#[inline]
fn fixed(tag: u8, payload: [u8; 8], out: &mut Vec<u8>) {
    let mut cell = [tag; 9];
    cell[1..].copy_from_slice(&payload);
    out.extend_from_slice(&cell);
}

#[inline]
fn moment(tag: u8, it: Moment, out: &mut Vec<u8>) {
    let mut cell = [tag; 13];
    cell[1..9].copy_from_slice(&(it.seconds as u64 ^ SIGN).to_be_bytes());
    cell[9..].copy_from_slice(&it.nanos.to_be_bytes());
    out.extend_from_slice(&cell);
}

/// Bits that sort as the numbers do, with one zero and one NaN, which comes last as in Postgres.
fn real_bits(it: f64) -> u64 {
    let bits = if it.is_nan() { f64::NAN.to_bits() & !SIGN } else { (it + 0.0).to_bits() };
    if bits & SIGN == 0 { bits ^ SIGN } else { !bits }
}

fn real(bits: u64) -> f64 {
    f64::from_bits(if bits & SIGN == 0 { !bits } else { bits ^ SIGN })
}

fn number(tag: u8, it: &str, ordered: bool, out: &mut Vec<u8>) {
    if ordered {
        out.push(tag);
        decimal::write_ordered(it, out);
    } else {
        bytes(tag, it.as_bytes(), false, out);
    }
}

#[inline]
fn bytes(tag: u8, it: &[u8], ordered: bool, out: &mut Vec<u8>) {
    if ordered {
        out.push(tag);
        escape(it, out);
    } else {
        let mut head = [tag; 5];
        head[1..].copy_from_slice(&(it.len() as u32).to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(it);
    }
}

/// A zero byte ends the text, so that `("a","b")` sorts before `("ab","")`; a zero inside is followed by 0xff.
fn escape(it: &[u8], out: &mut Vec<u8>) {
    let mut rest = it;
    while let Some(zero) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(0xff);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}

fn escaped_length(it: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(0, it.get(at..)?)? + 2;
        match it.get(at - 1)? {
            0 => return Some(at),
            _ => continue,
        }
    }
}

fn unescape(it: &[u8], out: &mut Vec<u8>) {
    let mut rest = it;
    while let Some(zero) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..zero]);
        if rest.get(zero + 1) != Some(&0xff) {
            return;
        }
        out.push(0);
        rest = &rest[zero + 2..];
    }
    out.extend_from_slice(rest);
}

/// The kinds of JSON in the order in which they sort as keys.
mod kind {
    pub(super) const NULL: u8 = 0;
    pub(super) const FALSE: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    pub(super) const NUMBER: u8 = 3;
    /// A number whose exponent is too large to be written out sorts by its text.
    pub(super) const HUGE: u8 = 4;
    pub(super) const STRING: u8 = 5;
    pub(super) const OTHER: u8 = 6;
}

fn ordered_json(it: &str, out: &mut Vec<u8>) {
    out.push(tag::JSON);
    match json::kind(it) {
        json::JsonKind::Null => out.push(kind::NULL),
        json::JsonKind::Bool(false) => out.push(kind::FALSE),
        json::JsonKind::Bool(true) => out.push(kind::TRUE),
        json::JsonKind::Number => {
            let mut value = Vec::new();
            match decimal::canonical(it, &mut value).then(|| String::from_utf8(value)) {
                Some(Ok(value)) => {
                    out.push(kind::NUMBER);
                    decimal::write_ordered(&value, out);
                }
                _ => out.push(kind::HUGE),
            }
            // The text follows the value because `1.0` and `1` sort together and are still not the same.
            escape(it.as_bytes(), out);
        }
        json::JsonKind::String => {
            out.push(kind::STRING);
            escape(json::read_string(it).unwrap_or_default().as_bytes(), out);
        }
        json::JsonKind::Array | json::JsonKind::Object => {
            out.push(kind::OTHER);
            escape(it.as_bytes(), out);
        }
    }
}

fn ordered_json_length(json: u8, payload: &[u8]) -> Option<usize> {
    Some(match json {
        kind::NULL | kind::FALSE | kind::TRUE => 0,
        kind::NUMBER => {
            let value = decimal::read_ordered(payload, &mut Vec::new())?;
            value + escaped_length(payload.get(value..)?)?
        }
        _ => escaped_length(payload)?,
    })
}

fn json_text(payload: &[u8], out: &mut Vec<u8>) {
    let Some((&json, rest)) = payload.split_first() else { return };
    match json {
        kind::NULL => out.extend_from_slice(b"null"),
        kind::FALSE => out.extend_from_slice(b"false"),
        kind::TRUE => out.extend_from_slice(b"true"),
        kind::NUMBER => {
            let value = decimal::read_ordered(rest, &mut Vec::new()).unwrap_or(0);
            unescape(&rest[value..], out);
        }
        kind::STRING => {
            let mut text = Vec::new();
            unescape(rest, &mut text);
            json::write_string(&String::from_utf8_lossy(&text), out);
        }
        _ => unescape(rest, out),
    }
}
