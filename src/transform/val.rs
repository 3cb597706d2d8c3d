//! Values as jq sees them, and back. Numbers keep their text both ways; nothing here calls itself.

use super::{
    meter::DEPTH_MAX,
    path::{Path, Step, string_end},
};
use crate::value::{Value, cast::is_integer, cell, decimal, json, time, write_uuid};
use base64::{Engine, engine::general_purpose::STANDARD};
use jaq_core::ValT;
use jaq_json::{Map, Num, Val};

/// The longest JSON text that a jq value may become, in bytes. Parts that are shared in memory are not in a text.
const TEXT_MAX: usize = 64 << 20;
/// Longer integers stay text: to read or write one takes time by the square of its length.
const DIGITS_MAX: usize = 10_000;

/// A value as jq sees it: times and UUIDs are their text, bytes that are no text stay bytes.
///
/// # Errors
/// If a JSON document nests too deeply.
pub(super) fn of(value: Value<'_>) -> Result<Val, String> {
    let mut text = Vec::new();
    Ok(match value {
        Value::Null => Val::Null,
        Value::Bool(it) => Val::Bool(it),
        Value::Int(it) => Val::Num(Num::from_integral(it)),
        Value::Real(it) => Val::Num(Num::Float(it)),
        Value::Decimal(it) => number(it),
        Value::Text(it) => Val::utf8_str(it.as_bytes().to_vec()),
        Value::Raw(it) | Value::Malformed(it) => Val::utf8_str(it.to_vec()),
        Value::Bytes(it) => Val::byte_str(it.to_vec()),
        Value::Json(it) => return document(it),
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) | Value::DateTime(_) | Value::Uuid(_) => {
            plain(value, &mut text);
            Val::utf8_str(text)
        }
    })
}

/// A canonical JSON document as jq sees it.
///
/// # Errors
/// If it nests too deeply.
pub(super) fn document(text: &str) -> Result<Val, String> {
    enum Open {
        Arr(Vec<Val>),
        Obj(Map, Option<Val>),
    }
    let mut stack: Vec<Open> = Vec::new();
    let mut rest = text;
    loop {
        let Some(&first) = rest.as_bytes().first() else { return Err("a JSON document is cut off".into()) };
        let mut done = match first {
            b'[' | b'{' => {
                stack.push(if first == b'[' { Open::Arr(Vec::new()) } else { Open::Obj(Map::default(), None) });
                if stack.len() > DEPTH_MAX {
                    return Err(format!("a JSON document nests more than {DEPTH_MAX} levels deep"));
                }
                rest = &rest[1..];
                None
            }
            b']' | b'}' | b',' | b':' => {
                rest = &rest[1..];
                match first {
                    b']' | b'}' => stack.pop().map(|it| match it {
                        Open::Arr(items) => items.into_iter().collect(),
                        Open::Obj(members, _) => Val::obj(members),
                    }),
                    _ => None,
                }
            }
            _ => {
                let end = scalar_end(rest);
                let (scalar, after) = rest.split_at(end);
                rest = after;
                Some(self::scalar(scalar))
            }
        };
        if let Some(value) = done.take() {
            match stack.last_mut() {
                None => return Ok(value),
                Some(Open::Arr(items)) => items.push(value),
                Some(Open::Obj(members, key)) => match key.take() {
                    Some(key) => drop(members.insert(key, value)),
                    None => *key = Some(value),
                },
            }
        }
    }
}

/// Appends a jq value as JSON.
///
/// # Errors
/// If it holds something that JSON cannot say, or would be too long.
pub(super) fn write_val(value: &Val, out: &mut Vec<u8>) -> Result<(), String> {
    enum Open<'v> {
        Arr(std::slice::Iter<'v, Val>),
        Obj(&'v Map, usize),
    }
    let mut stack: Vec<Open<'_>> = Vec::new();
    let mut next = Some(value);
    loop {
        if let Some(value) = next.take() {
            match value {
                Val::Arr(items) => {
                    out.push(b'[');
                    stack.push(Open::Arr(items.iter()));
                }
                Val::Obj(members) => {
                    out.push(b'{');
                    stack.push(Open::Obj(members, 0));
                }
                scalar => write_scalar(scalar, out)?,
            }
        }
        if out.len() > TEXT_MAX {
            return Err(format!("a value is longer than {TEXT_MAX} bytes of JSON"));
        }
        let first = matches!(out.last(), Some(b'[' | b'{'));
        let close = match stack.last_mut() {
            None => return Ok(()),
            Some(Open::Arr(items)) => {
                next = items.next();
                b']'
            }
            Some(Open::Obj(members, at)) => {
                if let Some((key, value)) = members.get_index(*at) {
                    separate(first, out);
                    *at += 1;
                    write_name(key, out)?;
                    next = Some(value);
                    continue;
                }
                b'}'
            }
        };
        match next {
            Some(_) => separate(first, out),
            None => {
                out.push(close);
                stack.pop();
            }
        }
    }
}

/// Appends a value as JSON: what JSON has no form for becomes text.
pub(super) fn write(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(it) => out.extend_from_slice(if it { b"true" } else { b"false" }),
        Value::Json(it) => out.extend_from_slice(it.as_bytes()),
        Value::Decimal(it) if finite(it) => out.extend_from_slice(it.as_bytes()),
        Value::Int(_) => plain(value, out),
        Value::Real(it) if it.is_finite() => plain(value, out),
        _ => {
            let mut text = Vec::new();
            plain(value, &mut text);
            json::write_string(&String::from_utf8_lossy(&text), out);
        }
    }
}

/// Appends the text of a value that is no document. Bytes are base 64.
pub(super) fn plain(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => (),
        Value::Bool(it) => out.extend_from_slice(if it { b"true" } else { b"false" }),
        Value::Int(it) => decimal::from_i64(it, out),
        Value::Real(it) => decimal::from_f64(it, out),
        Value::Decimal(it) | Value::Text(it) | Value::Json(it) => out.extend_from_slice(it.as_bytes()),
        Value::Date(it) => time::write_date(it, out),
        Value::Time(it) => time::write_time(it, out),
        Value::Timestamp(it) => time::write_moment(it, true, out),
        Value::DateTime(it) => time::write_moment(it, false, out),
        Value::Uuid(it) => write_uuid(&it, out),
        Value::Raw(it) | Value::Malformed(it) => out.extend_from_slice(it),
        Value::Bytes(it) => out.extend_from_slice(STANDARD.encode(it).as_bytes()),
    }
}

/// What stands at a path that begins at one cell.
///
/// # Errors
/// As [`Path::find`].
pub(super) fn find<'v>(cell: Value<'v>, path: &Path) -> Result<Value<'v>, String> {
    match (cell, path.0.first()) {
        (value, None) | (value @ Value::Null, _) => Ok(value),
        (Value::Json(it), Some(_)) => path.find(it),
        (value, Some(step)) => Err(step.refusal(kind(value))),
    }
}

/// An object of columns and values as canonical JSON, without the columns that would make it longer than a line or two.
pub(super) fn object<'v>(cells: impl Iterator<Item = (&'v str, Option<Value<'v>>)>) -> String {
    const LONG: usize = 4096;
    let (mut text, mut canonical) = (vec![b'{'], Vec::new());
    for (name, value) in cells {
        let before = text.len();
        separate(before == 1, &mut text);
        json::write_string(name, &mut text);
        text.push(b':');
        match value {
            Some(value) => write(value, &mut text),
            None => json::write_string(MASK, &mut text),
        }
        if text.len() > LONG {
            text.truncate(before);
        }
    }
    text.push(b'}');
    let whole = json::canonical(&String::from_utf8_lossy(&text), &mut canonical);
    if whole.is_ok() {
        text = canonical
    }
    String::from_utf8(text).unwrap_or_default()
}

/// A value as canonical JSON for a report: a long one is cut and then a text.
pub(super) fn shown(value: Value<'_>) -> String {
    const LONG: usize = 4096;
    let (mut text, mut canonical) = (Vec::new(), Vec::new());
    write(value, &mut text);
    let whole = String::from_utf8_lossy(&text);
    if json::canonical(&whole, &mut canonical).is_ok() && canonical.len() <= LONG {
        return String::from_utf8(canonical).unwrap_or_default();
    }
    let mut cut = Vec::new();
    json::write_string(&format!("{}…", &whole[..whole.floor_char_boundary(LONG)]), &mut cut);
    String::from_utf8(cut).unwrap_or_default()
}

/// What stands for a value that the plan calls secret.
pub(super) const MASK: &str = "********";

fn separate(first: bool, out: &mut Vec<u8>) {
    if !first {
        out.push(b',');
    }
}

fn write_name(key: &Val, out: &mut Vec<u8>) -> Result<(), String> {
    let Val::TStr(key) = key else { return Err("an object has a key that is no text".into()) };
    let key = std::str::from_utf8(key).map_err(|_| "an object has a key that is not UTF-8")?;
    json::write_string(key, out);
    out.push(b':');
    Ok(())
}

fn write_scalar(value: &Val, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Val::Null => write(Value::Null, out),
        Val::Bool(it) => write(Value::Bool(*it), out),
        Val::Num(Num::Int(it)) => write(Value::Int(*it as i64), out),
        Val::Num(Num::Float(it)) if it.is_finite() => write(Value::Real(*it), out),
        Val::Num(Num::Float(it)) => return Err(format!("JSON has no number {it}")),
        Val::Num(Num::Dec(it)) => out.extend_from_slice(it.as_bytes()),
        Val::Num(Num::BigInt(it)) => out.extend_from_slice(it.to_string().as_bytes()),
        Val::TStr(it) => match std::str::from_utf8(it) {
            Ok(text) => json::write_string(text, out),
            Err(_) => return Err("a text is not UTF-8".into()),
        },
        Val::BStr(_) => return Err("JSON has no bytes".into()),
        Val::Arr(_) | Val::Obj(_) => (),
    }
    Ok(())
}

/// Where a JSON string, number or word that begins a canonical text ends.
fn scalar_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return memchr::memchr3(b',', b']', b'}', bytes).unwrap_or(text.len());
    }
    (string_end(bytes, 0) + 1).min(text.len())
}

fn scalar(text: &str) -> Val {
    match json::kind(text) {
        json::JsonKind::Null => Val::Null,
        json::JsonKind::Bool(it) => Val::Bool(it),
        json::JsonKind::String => Val::utf8_str(json::read_string(text).unwrap_or_default().into_owned().into_bytes()),
        _ => number(text),
    }
}

/// A number of any length; what is no finite number is what its text says.
fn number(text: &str) -> Val {
    if !finite(text) {
        return Val::Num(Num::Float(text.parse().unwrap_or(f64::NAN)));
    }
    if is_integer(text) && text.len() <= DIGITS_MAX {
        return Val::from_num(text).unwrap_or_default();
    }
    Val::Num(Num::Dec(text.to_owned().into()))
}

fn finite(number: &str) -> bool {
    number.bytes().last().is_some_and(|it| it.is_ascii_digit())
}

fn kind(value: Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Real(_) | Value::Decimal(_) => "a number",
        Value::Bytes(_) => "bytes",
        Value::Json(_) => "a document",
        _ => "a text",
    }
}

/// Whether nothing is there: SQL's NULL or that of JSON.
pub(super) fn is_null(value: Value<'_>) -> bool {
    matches!(value, Value::Null | Value::Json("null"))
}

/// The cells of a row, each decoded once. Keys are unescaped into `scratch`, one for each field.
pub(super) fn cells<'r>(row: crate::row::Row<'r>, scratch: &'r mut [Vec<u8>]) -> Vec<Value<'r>> {
    let key = row.shape().key;
    let cell = |(place, scratch): (usize, &'r mut Vec<u8>)| cell::decode(row.cell(place), place < key, scratch);
    scratch.iter_mut().enumerate().map(cell).collect()
}

/// The path as far as it names a column, and the rest.
pub(super) fn split(path: &Path) -> Option<(&str, Path)> {
    match path.0.split_first() {
        Some((Step::Member(name), rest)) => Some((name, Path(rest.to_vec()))),
        _ => None,
    }
}
