//! Values that come through JSON as exactly what they are.
//!
//! D1 hands out JSON, where an integer beyond 2^53 is rounded, an infinity is null, a real without a fraction looks like an
//! integer, and text that is not UTF-8 is repaired. So each value is asked for by an expression that tells its class and its
//! digits or bytes apart:
//!
//! | class | in JSON |
//! |---|---|
//! | NULL | `null` |
//! | INTEGER | its digits as a string |
//! | REAL | a number; JSON has the shortest digits that give the same number back |
//! | an infinity | `"r1"`, `"r0"` |
//! | TEXT | `"t"` and the text, or `"h"` and its bytes in hexadecimal digits |
//! | BLOB | `"x"` and its bytes in hexadecimal digits |
//! | TEXT, BLOB that are long | `"T"`, `"X"` and how many bytes they have |
//!
//! A real is not asked for as text: SQLite's own digits, 17 of them, are off by one in the last place for one in eight.

use super::api::strange;
use crate::{error::Result, store::web::misfit, value::Value};
use serde_json::value::RawValue;

/// A value of D1.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    /// UTF-8 or not.
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    /// What has to be asked for by itself: it is long, or it may have been repaired on the way.
    Left(Left),
}

/// A value that was not handed out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Left {
    /// Text, and not bytes.
    pub text: bool,
    /// Its length in bytes, where that is known. Otherwise it is at most [`PIECE`].
    pub length: Option<usize>,
}

/// How many bytes of one value come at once. In hexadecimal digits that is half of what a value of D1 may hold.
pub(super) const PIECE: usize = 512 << 10;

/// What a value is asked for by; one of more than `longest` bytes is left. With `bare`, text comes as its bytes.
pub(super) fn expression(value: &str, longest: usize, bare: bool) -> String {
    let text = if bare { format!("'h' || hex({value})") } else { format!("'t' || {value}") };
    // What is subtracted from itself is NULL for an infinity, and for nothing else that is real.
    format!(
        "CASE typeof({value}) WHEN 'integer' THEN CAST({value} AS TEXT) \
         WHEN 'text' THEN CASE WHEN octet_length({value}) > {longest} THEN 'T' || octet_length({value}) ELSE {text} END \
         WHEN 'real' THEN CASE WHEN {value} - {value} IS NULL THEN 'r' || ({value} > 0) ELSE {value} END \
         WHEN 'blob' THEN CASE WHEN octet_length({value}) > {longest} THEN 'X' || octet_length({value}) \
         ELSE 'x' || hex({value}) END END"
    )
}

/// The bytes of a value, in hexadecimal digits, from the piece at `place` on.
pub(super) fn piece(value: &str, place: usize) -> String {
    format!("hex(substr(CAST({value} AS BLOB), {}, {PIECE}))", place.saturating_mul(PIECE).saturating_add(1))
}

/// What came for an [`expression`].
///
/// # Errors
/// If it is none of what may come.
pub(super) fn decode(raw: &RawValue) -> Result<Cell> {
    let json = raw.get();
    if json == "null" {
        return Ok(Cell::Null);
    }
    let wrong = || strange("a value that is not as it was asked for");
    if !json.starts_with('"') {
        // What is beyond all reals comes as a mark.
        let real = json.parse().ok().filter(|it: &f64| it.is_finite());
        return real.map(Cell::Real).ok_or_else(wrong);
    }
    let text = string(raw)?;
    let rest = text.get(1..).unwrap_or_default();
    let left = |text| Ok(Cell::Left(Left { text, length: Some(rest.parse().map_err(|_| wrong())?) }));
    match text.bytes().next() {
        // The mark of a repair; it may also be in the text.
        Some(b't') if rest.contains('\u{fffd}') => Ok(Cell::Left(Left { text: true, length: None })),
        Some(b't') => Ok(Cell::Text(rest.as_bytes().to_vec())),
        Some(b'h') => unhex(rest).map(Cell::Text).ok_or_else(wrong),
        Some(b'x') => unhex(rest).map(Cell::Bytes).ok_or_else(wrong),
        Some(b'T') => left(true),
        Some(b'X') => left(false),
        Some(b'r') if rest == "1" => Ok(Cell::Real(f64::INFINITY)),
        Some(b'r') if rest == "0" => Ok(Cell::Real(f64::NEG_INFINITY)),
        _ => text.parse().map(Cell::Int).map_err(|_| wrong()),
    }
}

/// A string of JSON.
///
/// # Errors
/// If it is none.
pub(super) fn string(raw: &RawValue) -> Result<String> {
    serde_json::from_str(raw.get()).map_err(|it| strange(misfit(&it)))
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |it: u8| char::from(it).to_digit(16).map(|it| it as u8);
    let pairs = digits.as_bytes().chunks(2).map(|it| match it {
        &[high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

impl Cell {
    /// The value, as any store hands it out.
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Cell::Null | Cell::Left(_) => Value::Null,
            Cell::Int(it) => Value::Int(*it),
            Cell::Real(it) => Value::Real(*it),
            Cell::Text(it) => Value::Raw(it),
            Cell::Bytes(it) => Value::Bytes(it),
        }
    }

    /// The value as an SQL expression without affinity, with at most one parameter. The service takes texts only for what
    /// they are, so everything goes as text.
    pub(super) fn bound(value: Value<'_>, params: &mut Vec<serde_json::Value>) -> Option<String> {
        let (sql, param) = match value {
            Value::Int(it) => ("+CAST(? AS INTEGER)", it.to_string().into()),
            Value::Real(it) if it.is_finite() => ("?", it.into()),
            Value::Real(it) => return Some(if it > 0.0 { "9e999" } else { "-9e999" }.to_owned()),
            Value::Text(it) => ("+CAST(unhex(?) AS TEXT)", hex(it.as_bytes()).into()),
            Value::Raw(it) | Value::Malformed(it) => ("+CAST(unhex(?) AS TEXT)", hex(it).into()),
            Value::Bytes(it) => ("unhex(?)", hex(it).into()),
            _ => return None,
        };
        params.push(param);
        Some(sql.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_told_apart() {
        let check = |json: &str, expect: Option<Cell>| {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(decode(&raw).ok(), expect, "{json}");
        };
        check("null", Some(Cell::Null));
        check("\"9007199254740993\"", Some(Cell::Int(9_007_199_254_740_993)));
        check("\"-9223372036854775808\"", Some(Cell::Int(i64::MIN)));
        check("0.30000000000000004", Some(Cell::Real(0.1 + 0.2)));
        check("5", Some(Cell::Real(5.0)));
        check("5e-324", Some(Cell::Real(5e-324)));
        check("\"r1\"", Some(Cell::Real(f64::INFINITY)));
        check("\"r0\"", Some(Cell::Real(f64::NEG_INFINITY)));
        check(r#""ta\u0000\"b""#, Some(Cell::Text(b"a\0\"b".to_vec())));
        check("\"t\"", Some(Cell::Text(Vec::new())));
        check("\"t\u{fffd}\"", Some(Cell::Left(Left { text: true, length: None })));
        check("\"hFF00\"", Some(Cell::Text(vec![255, 0])));
        check("\"xff00\"", Some(Cell::Bytes(vec![255, 0])));
        check("\"x\"", Some(Cell::Bytes(Vec::new())));
        check("\"T700000\"", Some(Cell::Left(Left { text: true, length: Some(700_000) })));
        check("\"X700000\"", Some(Cell::Left(Left { text: false, length: Some(700_000) })));
        for wrong in
            ["\"xf\"", "\"xé\"", "\"xg0\"", "\"\"", "true", "[1]", "\"r2\"", "\"T-1\"", "\"é\"", "\"1.5\"", "1e400"]
        {
            check(wrong, None);
        }
    }
}
