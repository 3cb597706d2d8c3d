use super::{Type, Value, cast::Cast, cell, parse_uuid, time::Moment, write_uuid};
use crate::value::json;
use proptest::prelude::*;
use std::cmp::Ordering;

/// A value that owns its text.
#[derive(Clone, Debug)]
enum Owned {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Decimal(String),
    Date(i64),
    Time(u64),
    Timestamp(i64, u32),
    DateTime(i64, u32),
    Uuid([u8; 16]),
    Text(String),
    Bytes(Vec<u8>),
    Json(String),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Owned::Null => Value::Null,
            Owned::Bool(it) => Value::Bool(*it),
            Owned::Int(it) => Value::Int(*it),
            Owned::Real(it) => Value::Real(*it),
            Owned::Decimal(it) => Value::Decimal(it),
            Owned::Date(it) => Value::Date(*it),
            Owned::Time(it) => Value::Time(*it),
            Owned::Timestamp(seconds, nanos) => Value::Timestamp(Moment { seconds: *seconds, nanos: *nanos }),
            Owned::DateTime(seconds, nanos) => Value::DateTime(Moment { seconds: *seconds, nanos: *nanos }),
            Owned::Uuid(it) => Value::Uuid(*it),
            Owned::Text(it) => Value::Text(it),
            Owned::Bytes(it) => Value::Bytes(it),
            Owned::Json(it) => Value::Json(it),
        }
    }
}

fn owned() -> impl Strategy<Value = Owned> {
    prop_oneof![
        Just(Owned::Null),
        any::<bool>().prop_map(Owned::Bool),
        any::<i64>().prop_map(Owned::Int),
        any::<f64>().prop_map(Owned::Real),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{0,5}[1-9])?".prop_map(Owned::Decimal),
        any::<i64>().prop_map(Owned::Date),
        (0..86_400_000_000_000u64).prop_map(Owned::Time),
        (any::<i64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Owned::Timestamp(seconds, nanos)),
        (any::<i64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Owned::DateTime(seconds, nanos)),
        any::<[u8; 16]>().prop_map(Owned::Uuid),
        "[a\u{0}\u{1}é😀]{0,6}".prop_map(Owned::Text),
        prop::collection::vec(0u8..3, 0..6).prop_map(Owned::Bytes),
        "(null|true|false|-?[1-9][0-9]{0,4}|1[.]50?|-?[1-9][0-9]{19,24}|\"[a-cé]{0,3}\"|\\[1,2\\]|\\{\"a\":1\\})"
            .prop_map(Owned::Json),
    ]
}

fn encoded(value: Value<'_>, ordered: bool) -> Vec<u8> {
    let mut out = Vec::new();
    cell::encode(value, ordered, &mut out);
    out
}

/// The order of two values of one class, where it has one of its own.
fn order(a: &Owned, b: &Owned) -> Option<Ordering> {
    Some(match (a, b) {
        (Owned::Bool(a), Owned::Bool(b)) => a.cmp(b),
        (Owned::Int(a), Owned::Int(b)) | (Owned::Date(a), Owned::Date(b)) => a.cmp(b),
        (Owned::Time(a), Owned::Time(b)) => a.cmp(b),
        (Owned::Real(a), Owned::Real(b)) => a.partial_cmp(b)?,
        (Owned::Decimal(a), Owned::Decimal(b)) => super::decimal::compare(a, b),
        (Owned::Timestamp(a, b), Owned::Timestamp(c, d)) | (Owned::DateTime(a, b), Owned::DateTime(c, d)) => {
            (a, b).cmp(&(c, d))
        }
        (Owned::Uuid(a), Owned::Uuid(b)) => a.cmp(b),
        (Owned::Text(a), Owned::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Owned::Bytes(a), Owned::Bytes(b)) => a.cmp(b),
        _ => return None,
    })
}

proptest! {
    #[test]
    fn cells_come_back_and_know_their_length(value in owned(), ordered: bool, behind in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bytes = encoded(value.value(), ordered);
        let length = bytes.len();
        let mut scratch = Vec::new();
        let again = encoded(cell::decode(&bytes, ordered, &mut scratch), ordered);
        prop_assert_eq!(&again, &bytes);
        bytes.extend(behind);
        prop_assert_eq!(cell::length(&bytes, ordered), Some(length));
    }

    #[test]
    fn bytes_sort_as_values_do(a in owned(), b in owned()) {
        let bytes = encoded(a.value(), true).cmp(&encoded(b.value(), true));
        if let Some(order) = order(&a, &b) {
            prop_assert_eq!(bytes, order);
        }
    }

    #[test]
    fn rows_of_cells_never_collide(a in prop::collection::vec(owned(), 2), b in prop::collection::vec(owned(), 2), ordered: bool) {
        let row = |it: &[Owned]| it.iter().flat_map(|it| encoded(it.value(), ordered)).collect::<Vec<_>>();
        let cells = |it: &[Owned]| it.iter().map(|it| encoded(it.value(), ordered)).collect::<Vec<_>>();
        prop_assert_eq!(row(&a) == row(&b), cells(&a) == cells(&b));
    }

    #[test]
    fn any_bytes_decode_to_something(bytes in prop::collection::vec(any::<u8>(), 0..40), ordered: bool) {
        let _ = cell::length(&bytes, ordered);
        let mut scratch = Vec::new();
        let _ = cell::decode(&bytes, ordered, &mut scratch);
    }

    #[test]
    fn a_cast_value_casts_to_itself(value in owned(), ty in prop::sample::select(&Type::ALL[..]), ordered: bool) {
        let cast = Cast::new(ty);
        let (mut once, mut twice, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        let fits = cast.write(value.value(), ordered, &mut once);
        prop_assert_eq!(fits, cast.fits(once[0]), "what fits has the tag of its type");
        cast.write(cell::decode(&once, ordered, &mut scratch), ordered, &mut twice);
        prop_assert_eq!(once, twice);
    }
}

#[test]
fn collisions_that_other_tools_have() {
    let row = |cells: [Value<'_>; 2]| cells.into_iter().flat_map(|it| encoded(it, false)).collect::<Vec<_>>();
    let rows = [
        row([Value::Text("a"), Value::Text("bc")]),
        row([Value::Text("ab"), Value::Text("c")]),
        row([Value::Text("x|y"), Value::Text("z")]),
        row([Value::Text("x"), Value::Text("y|z")]),
        row([Value::Null, Value::Text("<null>")]),
        row([Value::Text("<null>"), Value::Null]),
        row([Value::Text(""), Value::Null]),
        row([Value::Null, Value::Text("")]),
        row([Value::Text("a\u{30}b"), Value::Text("c")]),
        row([Value::Text("a"), Value::Text("b\u{30}c")]),
    ];
    for (place, row) in rows.iter().enumerate() {
        assert!(!rows[place + 1..].contains(row), "row {place}");
    }
}

/// Checks what `value` becomes as `ty`: canonical text, or nothing where it does not fit.
#[track_caller]
fn check(value: Value<'_>, ty: Type, expect: Option<&str>) {
    let mut out = Vec::new();
    let fits = Cast::new(ty).write(value, false, &mut out);
    let mut text = Vec::new();
    assert!(
        Cast::new(Type::Text).write(cell::decode(&out, false, &mut Vec::new()), false, &mut text)
            || !fits
            || ty == Type::Json
    );
    let mut scratch = Vec::new();
    let shown = match cell::decode(if ty == Type::Json { &out } else { &text }, false, &mut scratch) {
        Value::Text(it) | Value::Json(it) => it.to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(fits.then_some(shown.as_str()), expect, "{value:?} as {ty:?}");
}

/// What a store without types holds and what JSON says are one value, if they are, also where neither is what the type
/// asks for. No two spellings of a number are one.
#[test]
fn json_beside_plain_values() {
    let cell = |value, ty| {
        let mut out = Vec::new();
        Cast::new(ty).write(value, false, &mut out);
        out
    };
    for (json, plain) in [
        ("5", Value::Int(5)),
        ("5.5", Value::Real(5.5)),
        ("1.0", Value::Real(1.0)),
        ("-0.0", Value::Real(-0.0)),
        ("\"x\"", Value::Text("x")),
        ("\"5\"", Value::Text("5")),
    ] {
        for ty in [Type::Bool, Type::Int, Type::Date, Type::Timestamp, Type::Uuid] {
            assert_eq!(cell(Value::Json(json), ty), cell(plain, ty), "{json} as {ty:?}");
        }
    }
    for (one, other) in [("1.5", "1.50"), ("1.0", "1"), ("5", "\"5\""), ("1e2", "100.0"), ("1e400", "1e401")] {
        for ty in [Type::Any, Type::Date, Type::Uuid] {
            assert_ne!(cell(Value::Json(one), ty), cell(Value::Json(other), ty), "{one} and {other} as {ty:?}");
        }
    }
}

#[test]
fn casts() {
    check(Value::Int(1), Type::Bool, Some("true"));
    check(Value::Text("f"), Type::Bool, Some("false"));
    check(Value::Text("TRUE"), Type::Bool, Some("true"));
    check(Value::Text("yes"), Type::Bool, None);
    check(Value::Int(2), Type::Bool, None);
    check(Value::Json("1.0"), Type::Bool, Some("true"));
    check(Value::Json("2.0"), Type::Bool, None);
    check(Value::Text("9007199254740993"), Type::Int, Some("9007199254740993"));
    check(Value::Text("123456789012345678901234567890"), Type::Int, Some("123456789012345678901234567890"));
    check(Value::Text("007"), Type::Int, None);
    check(Value::Text("+7"), Type::Int, None);
    check(Value::Text(" 7"), Type::Int, None);
    check(Value::Real(7.0), Type::Int, Some("7"));
    check(Value::Real(9_223_372_036_854_775_808.0), Type::Int, None);
    check(Value::Real(7.5), Type::Int, None);
    check(Value::Decimal("7.000"), Type::Int, Some("7"));
    check(Value::Text("10.50"), Type::Decimal, Some("10.5"));
    check(Value::Real(10.5), Type::Decimal, Some("10.5"));
    check(Value::Int(10), Type::Decimal, Some("10"));
    check(Value::Int(9_007_199_254_740_993), Type::Real, None);
    check(Value::Text("0.1"), Type::Real, Some("0.1"));
    check(Value::Text("inf"), Type::Real, Some("Infinity"));
    // A double, as short as it goes or with every digit it has, but never one that only comes near.
    check(Value::Text("1e300"), Type::Real, Some("1".to_owned() + &"0".repeat(300)).as_deref());
    check(Value::Text("0.10000000000000001"), Type::Real, Some("0.1"));
    check(Value::Text("0.1000000000000000055511151231257827"), Type::Real, Some("0.1"));
    check(Value::Text("9007199254740992"), Type::Real, Some("9007199254740992"));
    check(Value::Text("-0.0"), Type::Real, Some("0"));
    for text in ["9007199254740993", "0.100000000000000000000001", "1e400", "-1e400", "1e-400", "1.2e-323"] {
        check(Value::Text(text), Type::Real, None);
        check(Value::Json(text), Type::Real, None);
    }
    check(Value::Text("2024-01-01T10:00:00Z"), Type::Timestamp, Some("2024-01-01T10:00:00Z"));
    check(Value::Text("2024-01-01 10:00:00"), Type::Timestamp, Some("2024-01-01T10:00:00Z"));
    check(Value::Text("2024-01-01 12:00:00.5+02:00"), Type::Timestamp, Some("2024-01-01T10:00:00.5Z"));
    check(Value::Text("2024-01-01"), Type::Timestamp, None);
    check(Value::Int(1_704_103_200), Type::Timestamp, None);
    check(Value::Text("2024-01-01 10:00:00"), Type::DateTime, Some("2024-01-01T10:00:00"));
    check(Value::Text("2024-01-01T10:00:00Z"), Type::DateTime, None);
    check(
        Value::Text("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
        Type::Uuid,
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    );
    check(Value::Text("{\"b\": 1.0, \"a\": [1, 2]}"), Type::Json, Some("{\"a\":[1,2],\"b\":1.0}"));
    check(Value::Text("{\"a\":1,\"a\":2}"), Type::Json, None);
    check(Value::Int(5), Type::Json, Some("5"));
    check(Value::Json("\"5\""), Type::Int, Some("5"));
    check(Value::Json("\"abc\""), Type::Text, Some("abc"));
    check(Value::Json("1.10"), Type::Decimal, Some("1.1"));
    check(Value::Json("[1]"), Type::Int, None);
    check(Value::Json("true"), Type::Bool, Some("true"));
    check(Value::Bytes(b"x"), Type::Text, None);
    check(Value::Malformed(b"\xff"), Type::Text, None);
}

#[test]
fn a_zone_of_the_plan_reads_zoneless_text() {
    let zone = jiff::tz::TimeZone::get("Europe/Oslo").unwrap();
    let cast = Cast { zone: Some(zone), ..Cast::new(Type::Timestamp) };
    let check = |text: &str, expect: &str| {
        let (mut got, mut want) = (Vec::new(), Vec::new());
        assert!(cast.write(Value::Text(text), false, &mut got));
        assert!(cast.write(Value::Text(expect), false, &mut want));
        assert_eq!(got, want, "{text}");
    };
    check("2024-01-01 10:00:00", "2024-01-01T09:00:00Z");
    check("2024-07-01 10:00:00.123456789", "2024-07-01T08:00:00.123456789Z");
}

#[test]
fn vectors() {
    for (file, text) in [
        ("json", include_str!("../../fixtures/values/json.json")),
        ("decimal", include_str!("../../fixtures/values/decimal.json")),
        ("timestamp", include_str!("../../fixtures/values/timestamp.json")),
        ("date", include_str!("../../fixtures/values/date.json")),
        ("time", include_str!("../../fixtures/values/time.json")),
        ("cast", include_str!("../../fixtures/values/cast.json")),
    ] {
        let vectors: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        assert!(vectors.len() >= 10, "{file}");
        for vector in vectors {
            let member = |name: &str| vector[name].as_str();
            let ty = Type::parse(member("type").unwrap()).unwrap();
            check(Value::Text(member("input").unwrap()), ty, member("canonical"));
        }
    }
}

#[test]
fn uuids_come_back() {
    let mut out = Vec::new();
    write_uuid(&parse_uuid("00112233445566778899AABBCCDDEEFF").unwrap(), &mut out);
    assert_eq!(out, b"00112233-4455-6677-8899-aabbccddeeff");
    for bad in ["", "0011", "00112233-4455-6677-8899-aabbccddeefg", "00112233x4455-6677-8899-aabbccddeeff"] {
        assert_eq!(parse_uuid(bad), None, "{bad}");
    }
}

#[test]
fn a_json_key_sorts_by_its_value() {
    let keys = ["null", "false", "true", "-2.5", "1", "9", "10", "1e400", "\"a\"", "\"b\"", "[1]"];
    let encoded: Vec<_> = keys.iter().map(|it| encoded(Value::Json(it), true)).collect();
    assert!(encoded.is_sorted());
    assert_eq!(json::kind("1"), json::JsonKind::Number);
}

proptest! {
    #[test]
    fn raw_text_casts_as_text_does(
        text in "(20[0-9]{2}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|\\.5|\\+01)?|[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\\{\"[a-cé]\":[0-9 ]{1,3}\\}|[a-z0é\u{0}-]{0,9})",
        ty in prop::sample::select(&Type::ALL[..]),
        ordered: bool,
        empty_is_null: bool,
        truncate: bool,
    ) {
        let coarsen = truncate.then_some(super::cast::Coarsening::Truncate(super::time::Unit::Day));
        let cast = Cast { empty_is_null, coarsen, ..Cast::new(ty) };
        let (mut raw, mut known) = (Vec::new(), Vec::new());
        let fits = cast.write(Value::Raw(text.as_bytes()), ordered, &mut raw);
        prop_assert_eq!(fits, cast.write(Value::Text(&text), ordered, &mut known));
        prop_assert_eq!(raw, known);
    }
}

#[test]
fn raw_bytes_that_are_no_text_are_malformed() {
    for ty in Type::ALL {
        let (mut raw, mut known) = (Vec::new(), Vec::new());
        assert!(!Cast::new(ty).write(Value::Raw(b"a\xff"), false, &mut raw));
        Cast::new(ty).write(Value::Malformed(b"a\xff"), false, &mut known);
        assert_eq!(raw, known, "{ty:?}");
    }
}

#[test]
fn a_uuid_holds_digits_and_hyphens_only() {
    for text in ["00112233-4455-6677-8899-aAbBcCdDeEfF", "00112233445566778899aAbBcCdDeEfF"] {
        let uuid = parse_uuid(text).unwrap();
        for (at, byte) in (0..text.len()).flat_map(|at| (0..=127_u8).map(move |byte| (at, byte))) {
            let mut other = text.to_owned().into_bytes();
            other[at] = byte;
            let other = String::from_utf8(other).unwrap();
            let digits: String = other.chars().filter(|it| *it != '-').collect();
            let hyphens = text.bytes().zip(other.bytes()).all(|(x, y)| (x == b'-') == (y == b'-'));
            let fits = hyphens && digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
            let expect = fits.then(|| u128::from_str_radix(&digits, 16).unwrap().to_be_bytes());
            assert_eq!(parse_uuid(&other), expect, "{other}");
        }
        assert_eq!(uuid, 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());
        assert_eq!(super::uuid_of(text.replace('a', "\u{e1}").as_bytes()), None);
        assert_eq!(super::uuid_of(&text.bytes().map(|it| it | 0x80).collect::<Vec<_>>()), None);
    }
}
