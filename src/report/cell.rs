//! From canonical cells to what a report shows of them.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use super::{Cell, Difference};
use crate::value::{self, Value, cell as canonical, decimal, time};

/// What stands for a secret, whatever its length.
pub const MASK: &str = "\"********\"";

/// What stands for a secret of the target that is not the one of the source.
pub const OTHER_MASK: &str = "\"******** (differs)\"";

/// The class of a masked cell.
pub const MASKED: &str = "masked";

/// The class of text that is not UTF-8.
pub const MALFORMED: &str = "malformed";

/// The largest integer up to which every reader of JSON is exact.
const SAFE: u64 = (1 << 53) - 1;

/// What a report shows of a canonical cell, which is `ordered` if it is one of a key, and hidden if it is `secret`.
///
/// ```
/// use cutover::{report::cell::cell, value::{Value, cell::encode}};
///
/// let mut bytes = Vec::new();
/// encode(Value::Int(9_007_199_254_740_993), false, &mut bytes);
/// assert_eq!(cell(&bytes, false, false).json, "\"9007199254740993\"");
/// assert_eq!(cell(&bytes, false, true).json, "\"********\"");
/// ```
pub fn cell(bytes: &[u8], ordered: bool, secret: bool) -> Cell {
    if secret {
        return Cell { class: MASKED, json: MASK.to_owned() };
    }
    let mut scratch = Vec::new();
    let value = canonical::decode(bytes, ordered, &mut scratch);
    let wide = matches!(bytes.first(), Some(&(canonical::tag::INT_LOW | canonical::tag::INT_HIGH)));
    match value {
        Value::Null => Cell { class: "null", json: "null".to_owned() },
        Value::Bool(it) => Cell { class: "bool", json: it.to_string() },
        Value::Int(it) if it.unsigned_abs() <= SAFE => Cell { class: "int", json: it.to_string() },
        Value::Int(it) => quoted("int", &it.to_string()),
        Value::Real(it) => real(it),
        Value::Decimal(it) => quoted(if wide { "int" } else { "decimal" }, it),
        Value::Date(it) => written("date", |out| time::write_date(it, out)),
        Value::Time(it) => written("time", |out| time::write_time(it, out)),
        Value::Timestamp(it) => written("timestamp", |out| time::write_moment(it, true, out)),
        Value::DateTime(it) => written("datetime", |out| time::write_moment(it, false, out)),
        Value::Uuid(it) => written("uuid", |out| value::write_uuid(&it, out)),
        Value::Text(it) => quoted("text", it),
        Value::Raw(it) | Value::Malformed(it) => quoted(MALFORMED, &malformed(it)),
        Value::Bytes(it) => quoted("bytes", &BASE64.encode(it)),
        Value::Json(it) => Cell { class: "json", json: it.to_owned() },
    }
}

/// Cells as one JSON object, by column.
pub fn object<'c>(cells: impl IntoIterator<Item = (&'c str, Cell)>) -> String {
    let member = |(name, cell): (&str, Cell)| format!("{}:{}", serde_json::Value::from(name), cell.json);
    format!("{{{}}}", cells.into_iter().map(member).collect::<Vec<_>>().join(","))
}

/// One cell of a row that differs, as both sides have it.
///
/// Two secrets show that they differ and nothing else.
pub fn difference(column: &str, source: &[u8], target: &[u8], ordered: bool, secret: bool) -> Difference {
    let mut other = cell(target, ordered, secret);
    if secret && source != target {
        OTHER_MASK.clone_into(&mut other.json);
    }
    Difference { column: column.to_owned(), source: Some(cell(source, ordered, secret)), target: Some(other) }
}

/// JSON has no word for the NaN and the infinities.
fn real(it: f64) -> Cell {
    if it.is_finite() {
        return Cell { class: "real", json: format!("{it:?}") };
    }
    let mut text = Vec::new();
    decimal::from_f64(it, &mut text);
    quoted("real", &String::from_utf8_lossy(&text))
}

fn written(class: &'static str, write: impl FnOnce(&mut Vec<u8>)) -> Cell {
    let mut text = Vec::new();
    write(&mut text);
    quoted(class, &String::from_utf8_lossy(&text))
}

fn quoted(class: &'static str, text: &str) -> Cell {
    Cell { class, json: serde_json::Value::from(text).to_string() }
}

/// What is UTF-8 stays, every other byte is written as `\xNN`. A backslash is doubled so that both can be told apart.
fn malformed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: Value<'_>, ordered: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        canonical::encode(value, ordered, &mut bytes);
        bytes
    }

    #[test]
    fn every_class_has_its_json() {
        let check = |value: Value<'_>, class: &str, json: &str| {
            for ordered in [false, true] {
                let cell = cell(&bytes(value, ordered), ordered, false);
                assert_eq!((cell.class, cell.json.as_str()), (class, json), "{value:?}");
            }
        };
        check(Value::Null, "null", "null");
        check(Value::Bool(true), "bool", "true");
        check(Value::Int(-9_007_199_254_740_991), "int", "-9007199254740991");
        check(Value::Int(9_007_199_254_740_992), "int", r#""9007199254740992""#);
        check(Value::Int(i64::MIN), "int", r#""-9223372036854775808""#);
        check(Value::Real(0.1), "real", "0.1");
        check(Value::Real(1e300), "real", "1e300");
        check(Value::Real(f64::NAN), "real", r#""NaN""#);
        check(Value::Real(f64::NEG_INFINITY), "real", r#""-Infinity""#);
        check(Value::Decimal("10.5"), "decimal", r#""10.5""#);
        check(Value::Date(0), "date", r#""1970-01-01""#);
        check(Value::Time(0), "time", r#""00:00:00""#);
        let moment = time::Moment { seconds: 1, nanos: 0 };
        check(Value::Timestamp(moment), "timestamp", r#""1970-01-01T00:00:01Z""#);
        check(Value::DateTime(moment), "datetime", r#""1970-01-01T00:00:01""#);
        check(Value::Uuid([0x1f; 16]), "uuid", r#""1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f""#);
        check(Value::Text("a\"\u{1}\0é"), "text", r#""a\"\u0001\u0000é""#);
        check(Value::Malformed(b"a\\\xff\xc3"), "malformed", r#""a\\\\\\xff\\xc3""#);
        check(Value::Bytes(b"\0\xff"), "bytes", r#""AP8=""#);
        check(Value::Json(r#"{"a":1.10}"#), "json", r#"{"a":1.10}"#);
    }

    #[test]
    fn integers_beyond_64_bits_stay_integers() {
        let mut bytes = Vec::new();
        canonical::encode_integer("-123456789012345678901234567890", true, &mut bytes);
        let shown = cell(&bytes, true, false);
        assert_eq!((shown.class, shown.json.as_str()), ("int", r#""-123456789012345678901234567890""#));
    }

    #[test]
    fn a_secret_shows_nothing_but_that_it_differs() {
        let (long, short) = (bytes(Value::Text("a long secret"), false), bytes(Value::Null, false));
        assert_eq!(cell(&long, false, true), cell(&short, false, true));
        let shown = difference("token", &long, &short, false, true);
        assert_ne!(shown.source, shown.target);
        let same = difference("token", &long, &long, false, true);
        assert_eq!(same.source, same.target);
    }

    #[test]
    fn bytes_that_are_no_cell_are_shown_as_malformed() {
        for bytes in [&b""[..], b"\xff", b"\x11\x00", b"\x30\xff\xff\xff\xff"] {
            assert_eq!(
                cell(bytes, false, false).class,
                if bytes == b"\x30\xff\xff\xff\xff" { "text" } else { MALFORMED }
            );
        }
    }
}
