//! Cells as JSON text, and back: nothing is lost, and one cell has one text.

use crate::value::{
    Type, Value,
    cast::is_integer,
    cell::{self, tag},
    decimal, json, parse_uuid,
    time::{self, Moment},
    write_uuid,
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Memory for the value of one column, reused from row to row.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    value: Vec<u8>,
    again: Vec<u8>,
}

/// What a cell holds, whatever its column says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Of(Type),
    Malformed,
}

/// Appends the cell `cell` of a column of type `ty`.
pub(super) fn write(cell: &[u8], ordered: bool, ty: Type, scratch: &mut Scratch, out: &mut Vec<u8>) {
    scratch.value.clear();
    let value = cell::decode(cell, ordered, &mut scratch.value);
    let class = match (cell.first(), value) {
        (_, Value::Null) => return out.extend_from_slice(b"null"),
        (Some(&(tag::INT_LOW | tag::INT_HIGH)), Value::Decimal(_)) => Class::Of(Type::Int),
        _ => Class::of(value),
    };
    let start = out.len();
    write_bare(class, value, out);
    if !class.is_bare(ty, &out[start..]) {
        let front = [b"{\"$", class.name().as_bytes(), b"\":"].concat();
        out.splice(start..start, front);
        out.push(b'}');
    }
}

/// Reads the cell `text` of a column of type `ty`. None: [`write`] writes no such cell.
pub(super) fn read<'a>(text: &'a str, ty: Type, scratch: &'a mut Scratch) -> Option<Value<'a>> {
    if text == "null" {
        return Some(Value::Null);
    }
    let (class, bare, wrapped) = match text.strip_prefix("{\"$") {
        Some(rest) => {
            let (name, rest) = rest.split_once("\":")?;
            (Class::parse(name)?, rest.strip_suffix('}')?, true)
        }
        None => (Class::guess(ty, text), text, false),
    };
    scratch.value.clear();
    let value = read_bare(class, bare, ty, &mut scratch.value)?;
    scratch.again.clear();
    write_bare(class, value, &mut scratch.again);
    let same = scratch.again == bare.as_bytes() && class.is_bare(ty, bare.as_bytes()) != wrapped;
    same.then_some(value)
}

/// Finds the cells of a row, which is a JSON array without blanks. None: it is not.
///
/// It looks no deeper than it must: a cell that is no JSON is for [`read`] to refuse.
pub(super) fn split(row: &str, cells: &mut Vec<(usize, usize)>) -> Option<()> {
    cells.clear();
    let bytes = row.as_bytes();
    if bytes.first() != Some(&b'[') {
        return None;
    }
    let mut at = 1;
    loop {
        let end = cell_end(bytes, at)?;
        cells.push((at, end));
        at = end + 1;
        match bytes.get(end)? {
            b',' => {}
            b']' if at == bytes.len() => return Some(()),
            _ => return None,
        }
    }
}

impl Class {
    fn of(value: Value<'_>) -> Class {
        Class::Of(match value {
            Value::Null => Type::Any,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Real(_) => Type::Real,
            Value::Decimal(_) => Type::Decimal,
            Value::Date(_) => Type::Date,
            Value::Time(_) => Type::Time,
            Value::Timestamp(_) => Type::Timestamp,
            Value::DateTime(_) => Type::DateTime,
            Value::Uuid(_) => Type::Uuid,
            Value::Text(_) => Type::Text,
            Value::Bytes(_) => Type::Bytes,
            Value::Json(_) => Type::Json,
            Value::Malformed(_) => return Class::Malformed,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Class::Of(ty) => ty.name(),
            Class::Malformed => "malformed",
        }
    }

    fn parse(name: &str) -> Option<Class> {
        match name {
            "malformed" => Some(Class::Malformed),
            _ => Type::parse(name).map(Class::Of),
        }
    }

    /// The class of a cell that is not wrapped.
    fn guess(ty: Type, text: &str) -> Class {
        Class::Of(match (ty, text.as_bytes().first()) {
            (Type::Any, Some(b't' | b'f')) => Type::Bool,
            (Type::Any, Some(b'"')) => Type::Text,
            (Type::Any, _) => Type::Int,
            _ => ty,
        })
    }

    /// Whether `text` says by itself what it is in a column of type `ty`.
    fn is_bare(self, ty: Type, text: &[u8]) -> bool {
        let Class::Of(own) = self else { return false };
        let expected = own == ty || ty == Type::Any && matches!(own, Type::Bool | Type::Int | Type::Text);
        let usual = match own {
            Type::Real => !text.starts_with(b"\""),
            Type::Date | Type::Time | Type::Timestamp | Type::DateTime => text.starts_with(b"\""),
            Type::Json => text != b"null" && !text.starts_with(b"{\"$"),
            _ => true,
        };
        expected && usual
    }
}

fn write_bare(class: Class, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(it) => out.extend_from_slice(if it { b"true" } else { b"false" }),
        Value::Int(it) => decimal::from_i64(it, out),
        Value::Decimal(it) | Value::Json(it) if class == Class::Of(Type::Int) => out.extend_from_slice(it.as_bytes()),
        Value::Json(it) => out.extend_from_slice(it.as_bytes()),
        Value::Real(it) if it.is_finite() => out.extend_from_slice(zmij::Buffer::new().format_finite(it).as_bytes()),
        Value::Real(it) if it.is_nan() => out.extend_from_slice(b"\"NaN\""),
        Value::Real(it) => out.extend_from_slice(if it > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" }),
        Value::Text(it) | Value::Decimal(it) => json::write_string(it, out),
        Value::Bytes(it) | Value::Malformed(it) => quoted(out, |out| {
            out.extend_from_slice(STANDARD.encode(it).as_bytes());
        }),
        Value::Uuid(it) => quoted(out, |out| write_uuid(&it, out)),
        Value::Date(it) if has_text(value) => quoted(out, |out| time::write_date(it, out)),
        Value::Time(it) if has_text(value) => quoted(out, |out| time::write_time(it, out)),
        Value::Timestamp(it) if has_text(value) => quoted(out, |out| time::write_moment(it, true, out)),
        Value::DateTime(it) if has_text(value) => quoted(out, |out| time::write_moment(it, false, out)),
        Value::Date(it) => out.extend_from_slice(it.to_string().as_bytes()),
        Value::Time(it) => out.extend_from_slice(it.to_string().as_bytes()),
        Value::Timestamp(it) | Value::DateTime(it) => {
            out.extend_from_slice(format!("[{},{}]", it.seconds, it.nanos).as_bytes());
        }
    }
}

/// Reads what [`write_bare`] writes, and perhaps more.
fn read_bare<'a>(class: Class, text: &'a str, ty: Type, scratch: &'a mut Vec<u8>) -> Option<Value<'a>> {
    let Class::Of(own) = class else { return read_bytes(text, scratch).map(Value::Malformed) };
    Some(match own {
        Type::Any => return None,
        Type::Bool => Value::Bool(text.parse().ok()?),
        Type::Int if !is_integer(text) => return None,
        Type::Int => match text.parse() {
            Ok(it) => Value::Int(it),
            // Where nothing is declared only a JSON number keeps its being an integer and not a decimal.
            Err(_) if ty == Type::Any => Value::Json(text),
            Err(_) => Value::Decimal(text),
        },
        Type::Real => Value::Real(text.trim_matches('"').parse().ok()?),
        Type::Bytes => Value::Bytes(read_bytes(text, scratch)?),
        Type::Text => Value::Text(read_text(text, scratch)?),
        Type::Decimal => {
            let text = bare_text(text)?;
            let canonical = decimal::canonical(text, scratch) && scratch == text.as_bytes();
            Value::Decimal(Some(text).filter(|_| canonical)?)
        }
        Type::Json => {
            let canonical = json::canonical(text, scratch).is_ok() && scratch == text.as_bytes();
            Value::Json(Some(text).filter(|_| canonical)?)
        }
        Type::Uuid => Value::Uuid(parse_uuid(bare_text(text)?)?),
        Type::Date => Value::Date(bare_text(text).map_or_else(|| text.parse().ok(), time::parse_date)?),
        Type::Time => Value::Time(bare_text(text).map_or_else(|| text.parse().ok(), time::parse_time)?),
        Type::Timestamp => Value::Timestamp(read_moment(text)?),
        Type::DateTime => Value::DateTime(read_moment(text)?),
    })
}

/// Whether reading the text form of a time gives the time back. That of the usual ones does.
fn has_text(value: Value<'_>) -> bool {
    /// The years 0 to 9999.
    const DAYS: std::ops::Range<i64> = -719_528..2_932_897;
    const DAY: i64 = 86_400;
    let mut text = Vec::new();
    match value {
        Value::Date(it) if DAYS.contains(&it) => true,
        Value::Time(it) if it < DAY as u64 * 1_000_000_000 => true,
        Value::Timestamp(it) | Value::DateTime(it)
            if DAYS.contains(&it.seconds.div_euclid(DAY)) && it.nanos < 1_000_000_000 =>
        {
            true
        }
        Value::Date(it) => {
            time::write_date(it, &mut text);
            std::str::from_utf8(&text).ok().and_then(time::parse_date) == Some(it)
        }
        Value::Timestamp(it) | Value::DateTime(it) => {
            time::write_moment(it, false, &mut text);
            std::str::from_utf8(&text).ok().and_then(time::parse_moment).map(|it| it.0) == Some(it)
        }
        _ => false,
    }
}

fn read_moment(text: &str) -> Option<Moment> {
    if let Some(text) = bare_text(text) {
        return time::parse_moment(text).map(|it| it.0);
    }
    let (seconds, nanos) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
    Some(Moment { seconds: seconds.parse().ok()?, nanos: nanos.parse().ok()? })
}

fn read_text<'a>(text: &'a str, scratch: &'a mut Vec<u8>) -> Option<&'a str> {
    match json::read_string(text)? {
        std::borrow::Cow::Borrowed(it) => Some(it),
        std::borrow::Cow::Owned(it) => {
            *scratch = it.into_bytes();
            std::str::from_utf8(scratch).ok()
        }
    }
}

fn read_bytes<'a>(text: &str, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    STANDARD.decode_vec(bare_text(text)?, scratch).ok()?;
    Some(scratch)
}

/// What stands in quotes, where nothing can need an escape.
fn bare_text(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Where the cell that starts at `at` ends.
fn cell_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => {
            let (mut at, mut depth) = (at, 0_usize);
            loop {
                match bytes.get(at)? {
                    b'"' => at = string_end(bytes, at)? - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => Some(at + bytes[at..].iter().position(|it| matches!(it, b',' | b']'))?).filter(|&end| end > at),
    }
}

fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}
