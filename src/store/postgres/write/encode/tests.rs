//! What is written, read back by the decoder of the reader, is the same cell; or it is refused.

use super::*;
use crate::store::postgres::decode::Decoder;

/// A cast reads instants from integers alone.
const DOUBTFUL_EPOCH: &str = "exactly";

fn column(form: Form, name: &str, modifier: i32) -> Column {
    Column {
        name: "c".to_owned(),
        form,
        declared: name.to_owned(),
        limit: Limit::of(name, modifier),
        always: false,
        generated: false,
        nullable: true,
        blurred: false,
        binary: true,
    }
}

/// Writes a value as a field of each kind of cell and reads it back. What came back is the cell, or the writer said no.
fn back(column: &Column, cast: &Cast, value: Value<'_>, ordered: bool) -> Result<()> {
    let field = Field::new("c", cast.clone());
    let shape = Arc::new(Shape { fields: vec![field], key: usize::from(ordered), compared: 1, keyless: false });
    let mut batch = Batch::new(Arc::clone(&shape));
    batch.push([value]);
    let mut encoder = Encoder::new(&[(0, column)], &shape, false);
    let mut out = HEAD.to_vec();
    encoder.row(&[], batch.row(0), &mut out)?;
    out.extend_from_slice(&END);
    let reader = decode::Cell { form: column.form, to: cast.ty, column: "c".to_owned() };
    let mut decoder = Decoder::new(vec![reader]);
    let mut read = Batch::new(shape);
    decoder.take(&out, &mut read)?;
    decoder.end()?;
    assert_eq!(read.row(0).bytes(), batch.row(0).bytes(), "{value:?} in {column:?}");
    Ok(())
}

fn check(column: &Column, cast: &Cast, value: Value<'_>, expect: &str) {
    for ordered in [false, true] {
        match back(column, cast, value, ordered) {
            Ok(()) => assert_eq!(expect, "", "{value:?} in {column:?}"),
            Err(error) => {
                assert!(!expect.is_empty() && error.to_string().contains(expect), "{value:?} in {column:?}: {error}");
                assert_eq!(error.kind(), Kind::Row);
            }
        }
    }
}

fn at(seconds: i64, nanos: u32) -> Moment {
    Moment { seconds, nanos }
}

#[test]
fn values_of_their_own_kind() {
    let own = |form: Form, name: &str, modifier: i32, value: Value<'_>, expect: &str| {
        check(&column(form, name, modifier), &Cast::new(form.ty()), value, expect);
    };
    own(Form::Bool, "bool", -1, Value::Bool(true), "");
    own(Form::Int2, "int2", -1, Value::Int(-32768), "");
    own(Form::Int2, "int2", -1, Value::Int(32768), "outside");
    own(Form::Int4, "int4", -1, Value::Int(i64::from(i32::MAX) + 1), "outside");
    own(Form::Int8, "int8", -1, Value::Int(i64::MIN), "");
    own(Form::Int8, "int8", -1, Value::Decimal("9223372036854775808"), "outside");
    own(Form::Oid, "oid", -1, Value::Int(4_294_967_295), "");
    own(Form::Oid, "oid", -1, Value::Int(-1), "outside");
    own(Form::Float4, "float4", -1, Value::Real(0.1), "");
    own(Form::Float4, "float4", -1, Value::Real(f64::NAN), "");
    own(Form::Float4, "float4", -1, Value::Real(0.123_456_789_012), "exactly");
    own(Form::Float4, "float4", -1, Value::Real(1e39), "exactly");
    own(Form::Float8, "float8", -1, Value::Real(f64::NEG_INFINITY), "");
    own(Form::Float8, "float8", -1, Value::Real(5e-324), "");
    own(Form::Numeric, "numeric", -1, Value::Decimal("-12345678901234567890.000000001"), "");
    own(Form::Numeric, "numeric", 655_366, Value::Decimal("99999999.99"), "");
    own(Form::Numeric, "numeric", 655_366, Value::Decimal("0.001"), "round");
    own(Form::Numeric, "numeric", 655_366, Value::Decimal("100000000"), "outside");
    own(Form::Text, "text", -1, Value::Text("a'\"\\\u{e9}\u{1f600}"), "");
    own(Form::Text, "text", -1, Value::Text("a\0b"), "U+0000");
    own(Form::Text, "text", -1, Value::Malformed(b"caf\xe9"), "UTF-8");
    own(Form::Text, "varchar", 7, Value::Text("\u{e9}\u{e9}\u{e9}"), "");
    own(Form::Text, "varchar", 7, Value::Text("ab  "), "longer");
    own(Form::Text, "name", -1, Value::Text(&"n".repeat(64)), "63 bytes");
    own(Form::Label, "bpchar", 8, Value::Text("ab  "), "");
    own(Form::Label, "bpchar", 8, Value::Text("ab"), "blanks");
    own(Form::Bytes, "bytea", -1, Value::Bytes(&[0, 255]), "");
    own(Form::Date, "date", -1, Value::Date(DATE_PAST), "");
    own(Form::Date, "date", -1, Value::Date(-2_440_588), "");
    own(Form::Date, "date", -1, Value::Date(-2_440_589), "outside");
    own(Form::Date, "date", -1, Value::Text("+1000000-01-01"), "");
    own(Form::Date, "date", -1, Value::Text("+5874897-12-31"), "");
    own(Form::Date, "date", -1, Value::Text("+1000000-01-32"), "exactly");
    own(Form::Time, "time", -1, Value::Time(86_399_999_999_000), "");
    own(Form::Time, "time", -1, Value::Time(1), "exactly");
    own(Form::Time, "time", -1, Value::Text("24:00:00"), "");
    own(Form::Time, "time", -1, Value::Text("25:00:00"), "exactly");
    own(Form::Time, "time", 0, Value::Time(1_500_000_000), "round");
    own(Form::DateTime, "timestamp", -1, Value::DateTime(at(-1, 999_999_000)), "");
    own(Form::DateTime, "timestamp", 3, Value::DateTime(at(0, 1_000_000)), "");
    own(Form::DateTime, "timestamp", 3, Value::DateTime(at(0, 1_000)), "round");
    own(Form::Timestamp, "timestamptz", -1, Value::Timestamp(Moment::FUTURE), "");
    own(Form::Timestamp, "timestamptz", -1, Value::Timestamp(at(0, 1)), "finer");
    own(Form::Timestamp, "timestamptz", -1, Value::Timestamp(at(20_000_000_000_000, 0)), "outside");
    own(Form::Uuid, "uuid", -1, Value::Uuid([7; 16]), "");
    own(Form::Json, "json", -1, Value::Json(r#"{"a":[1.10,-0,1e5]}"#), "");
    own(Form::Json, "json", -1, Value::Text(r#"{"a":1,"a":2}"#), "");
    own(Form::Jsonb, "jsonb", -1, Value::Json(r#"{"a-0":[1.10,-0.5,"1e5 \" -0"]}"#), "");
    for document in ["1e5", "-0", "[-0.00]", r#"{"a":"x\\","b":[1E2]}"#] {
        own(Form::Jsonb, "jsonb", -1, Value::Json(document), "exponent");
    }
    for form in [Form::Bool, Form::Int8, Form::Text, Form::Jsonb, Form::Spelled] {
        own(form, "any", -1, Value::Null, "");
    }
}

#[test]
fn values_of_another_kind() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("it is built in");
    let bent =
        |form: Form, cast: &Cast, value: Value<'_>, expect: &str| check(&column(form, "any", -1), cast, value, expect);
    let of = Cast::new;
    bent(Form::Int4, &of(Type::Bool), Value::Bool(true), "");
    bent(Form::Text, &of(Type::Bool), Value::Bool(false), "");
    bent(Form::Numeric, &of(Type::Int), Value::Decimal("18446744073709551616"), "");
    bent(Form::Int8, &of(Type::Decimal), Value::Decimal("12"), "");
    bent(Form::Int8, &of(Type::Decimal), Value::Decimal("1.5"), "exactly");
    bent(Form::Float8, &of(Type::Decimal), Value::Decimal("0.1"), "");
    bent(Form::Float8, &of(Type::Decimal), Value::Decimal("0.1234567890123456789"), "exactly");
    bent(Form::Numeric, &of(Type::Real), Value::Real(0.1), "");
    bent(Form::Text, &of(Type::Real), Value::Real(1e300), "");
    bent(Form::Text, &of(Type::Bytes), Value::Bytes(b"x"), "exactly");
    bent(Form::Bytes, &of(Type::Uuid), Value::Uuid([3; 16]), "");
    bent(Form::Text, &of(Type::Uuid), Value::Uuid([3; 16]), "");
    bent(Form::Uuid, &of(Type::Text), Value::Text("03030303-0303-0303-0303-030303030303"), "");
    bent(Form::Uuid, &of(Type::Text), Value::Text("03030303-0303-0303-0303-03030303030A"), "exactly");
    bent(Form::Text, &of(Type::Json), Value::Json(r#"{"a":1e5}"#), "");
    bent(Form::Jsonb, &of(Type::Text), Value::Text("[1]"), "");
    bent(Form::Jsonb, &of(Type::Int), Value::Int(7), "");
    bent(Form::Jsonb, &of(Type::Date), Value::Date(7), "");
    bent(Form::Text, &of(Type::Timestamp), Value::Timestamp(at(1, 5)), "");
    bent(Form::DateTime, &of(Type::Timestamp), Value::Timestamp(at(1, 5_000)), "");
    bent(Form::Timestamp, &of(Type::DateTime), Value::DateTime(at(1, 0)), "exactly");
    bent(Form::Text, &of(Type::Any), Value::Int(5), "exactly");
    bent(Form::Int8, &of(Type::Any), Value::Int(5), "");
    bent(Form::Text, &of(Type::Any), Value::Text("5"), "");
    bent(Form::Int4, &of(Type::Text), Value::Text("abc"), "exactly");
    for (unit, value, expect) in [
        (EpochUnit::Seconds, at(7, 0), ""),
        (EpochUnit::Seconds, at(7, 500_000_000), "exactly"),
        (EpochUnit::Millis, at(-7, 500_000_000), ""),
        (EpochUnit::Nanos, at(7, 1), ""),
    ] {
        let cast = Cast { epoch: Some(unit), ..of(Type::Timestamp) };
        bent(Form::Int8, &cast, Value::Timestamp(value), expect);
        bent(Form::Numeric, &cast, Value::Timestamp(value), DOUBTFUL_EPOCH);
    }
    let cast = Cast { zone: Some(zone), ..of(Type::Timestamp) };
    bent(Form::DateTime, &cast, Value::Timestamp(at(1_700_000_000, 0)), "");
    bent(Form::Text, &cast, Value::Timestamp(at(1_700_000_000, 0)), "");
    // 2024-10-27 02:30 is shown twice there, and a time without a zone means the first.
    bent(Form::DateTime, &cast, Value::Timestamp(at(1_729_989_000, 0)), "");
    bent(Form::DateTime, &cast, Value::Timestamp(at(1_729_992_600, 0)), "exactly");
}
