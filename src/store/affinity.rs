//! What SQLite makes of a value that goes into a column, and so as what it has to be handed over to stay what it is.
//!
//! A column of SQLite has an affinity (sqlite.org/datatype3.html, section 3), and what is put into it may become something else:
//! a text that looks like a number becomes one, a number becomes text. So a value has several forms in which it may be
//! handed over, and the first that the column keeps and that reads back as the same cell is taken. Where there is none, the
//! column cannot hold the value, and that is said.

use crate::{
    error::{Error, Kind, Result},
    value::{
        Value,
        cast::Cast,
        decimal,
        time::{EpochUnit, Moment, write_date, write_moment, write_time},
        write_uuid,
    },
};
use std::borrow::Cow;

/// A value as SQLite holds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stored<'v> {
    Null,
    Int(i64),
    Real(f64),
    /// UTF-8 or not.
    Text(Cow<'v, [u8]>),
    Bytes(&'v [u8]),
}

/// A column as far as it changes what is put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    /// What it is declared as.
    declared: String,
    affinity: Affinity,
    /// It refuses what has another class.
    strict: bool,
    /// Its values are computed, so none can be put into it.
    pub generated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affinity {
    Integer,
    Numeric,
    Real,
    Text,
    /// Everything stays what it is.
    None,
}

impl Column {
    /// A column of that declared type, in a `STRICT` table or in another one.
    pub(super) fn new(name: &str, declared: &str, strict: bool, generated: bool) -> Column {
        let upper = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|it| upper.contains(it));
        let affinity = match () {
            () if strict && upper == "ANY" => Affinity::None,
            () if has(&["INT"]) => Affinity::Integer,
            () if has(&["CHAR", "CLOB", "TEXT"]) => Affinity::Text,
            () if upper.is_empty() || has(&["BLOB"]) => Affinity::None,
            () if has(&["REAL", "FLOA", "DOUB"]) => Affinity::Real,
            () => Affinity::Numeric,
        };
        Column { name: name.to_owned(), declared: declared.to_owned(), affinity, strict, generated }
    }

    /// The form of `value` that stays what it is in this column and reads back, through `cast`, as `cell`.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn form<'v>(&self, value: Value<'v>, cast: &Cast, cell: (&[u8], bool)) -> Result<Stored<'v>> {
        let mut read = Vec::new();
        let same = |it: &Stored<'_>| {
            read.clear();
            cast.write(it.value(), cell.1, &mut read);
            read == cell.0
        };
        let forms = forms(value, cast, self.affinity);
        forms.into_iter().filter_map(|it| self.keep(it)).find(same).ok_or_else(|| self.refusal(value))
    }

    #[cold]
    fn refusal(&self, value: Value<'_>) -> Error {
        let Column { name, declared, .. } = self;
        let what = match value {
            Value::Real(it) if it.is_nan() => {
                return Error::new(Kind::Row, format_args!("column `{name}`: SQLite has no NaN, it makes NULL of it"));
            }
            Value::Null => "NULL",
            Value::Bool(_) => "this truth value",
            Value::Int(_) | Value::Real(_) | Value::Decimal(_) => "this number",
            Value::Bytes(_) => "these bytes",
            Value::Text(_) | Value::Raw(_) | Value::Malformed(_) => "this text",
            Value::Json(_) => "this JSON document",
            Value::Uuid(_) => "this UUID",
            Value::Date(_) | Value::Time(_) | Value::Timestamp(_) | Value::DateTime(_) => "this time",
        };
        let declared = if declared.is_empty() { "without a type".to_owned() } else { format!("as `{declared}`") };
        let message =
            format_args!("column `{name}` is declared {declared}, and {what} would not read back from it as it is");
        Error::new(Kind::Row, message)
    }

    /// What the column makes of it. Nothing: it refuses it, or what comes of it differs from engine to engine.
    fn keep<'v>(&self, value: Stored<'v>) -> Option<Stored<'v>> {
        let kept = match (self.affinity, value) {
            (Affinity::Text, Stored::Int(it)) => Stored::Text(it.to_string().into_bytes().into()),
            // How many digits it gets depends on the version of SQLite.
            (Affinity::Text, Stored::Real(_)) => return None,
            (Affinity::Integer | Affinity::Numeric, Stored::Real(it)) => integral(it),
            (Affinity::Integer | Affinity::Numeric, Stored::Text(it)) => match number(&it) {
                Some((_, Some(it))) => Stored::Int(it),
                Some((it, None)) => integral(it),
                None => Stored::Text(it),
            },
            (Affinity::Real, Stored::Int(it)) => Stored::Real(it as f64),
            (Affinity::Real, Stored::Text(it)) => number(&it).map_or(Stored::Text(it), |it| Stored::Real(it.0)),
            (_, it) => it,
        };
        let class = match (&kept, self.affinity) {
            // What is not a number has no place in SQLite.
            (Stored::Real(it), _) if it.is_nan() => return None,
            (Stored::Null, _) => true,
            (Stored::Int(_), it) => it == Affinity::Integer,
            (Stored::Real(_), it) => it == Affinity::Real,
            (Stored::Text(_), it) => it == Affinity::Text,
            (Stored::Bytes(_), _) => self.declared.eq_ignore_ascii_case("BLOB"),
        };
        let takes = class || !self.strict || self.declared.eq_ignore_ascii_case("ANY");
        takes.then_some(kept)
    }
}

impl Stored<'_> {
    /// The value, as a store hands it out.
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Stored::Null => Value::Null,
            Stored::Int(it) => Value::Int(*it),
            Stored::Real(it) => Value::Real(*it),
            Stored::Text(it) => Value::Raw(it),
            Stored::Bytes(it) => Value::Bytes(it),
        }
    }

    /// How many bytes it fills.
    pub(super) fn size(&self) -> usize {
        match self {
            Stored::Null => 1,
            Stored::Int(_) | Stored::Real(_) => 9,
            Stored::Text(it) => it.len(),
            Stored::Bytes(it) => it.len(),
        }
    }
}

/// The forms in which a value may be handed over, the best first.
fn forms<'v>(value: Value<'v>, cast: &Cast, affinity: Affinity) -> Vec<Stored<'v>> {
    let is_text = matches!(affinity, Affinity::Text | Affinity::None);
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        Stored::Text(out.into())
    };
    match value {
        Value::Null => vec![Stored::Null],
        Value::Bool(it) => vec![Stored::Int(it.into()), text(&|out| out.extend(it.to_string().bytes()))],
        Value::Int(it) => vec![Stored::Int(it)],
        // The word for what is no number is for a column of text alone.
        Value::Real(it) if is_text => vec![Stored::Real(it), text(&|out| decimal::from_f64(it, out))],
        Value::Real(it) => vec![Stored::Real(it)],
        Value::Decimal("NaN") if !is_text => Vec::new(),
        Value::Decimal(it) => {
            let real = it.parse().ok().map(Stored::Real);
            let text = [Stored::Text(it.as_bytes().into())];
            // Where a text would become a number it is one from the start, so that nobody else rounds it.
            match is_text {
                true => text.into_iter().chain(real).collect(),
                false => it.parse().ok().map(Stored::Int).into_iter().chain(real).chain(text).collect(),
            }
        }
        Value::Date(it) => vec![text(&|out| write_date(it, out))],
        Value::Time(it) => vec![text(&|out| write_time(it, out))],
        Value::Timestamp(it) => match cast.epoch {
            Some(unit) => since_epoch(it, unit).map(Stored::Int).into_iter().collect(),
            None => vec![text(&|out| spaced(it, out)), text(&|out| write_moment(it, true, out))],
        },
        Value::DateTime(it) => vec![text(&|out| spaced(it, out))],
        Value::Uuid(it) => vec![text(&|out| write_uuid(&it, out))],
        Value::Text(it) | Value::Json(it) => vec![Stored::Text(it.as_bytes().into())],
        Value::Raw(it) | Value::Malformed(it) => vec![Stored::Text(it.into())],
        Value::Bytes(it) => vec![Stored::Bytes(it)],
    }
}

/// A moment as `datetime()` of SQLite writes it, with the fraction that it may have.
fn spaced(moment: Moment, out: &mut Vec<u8>) {
    write_moment(moment, false, out);
    if let Some(it) = out.iter_mut().find(|it| **it == b'T') {
        *it = b' ';
    }
}

/// How many of these units a moment lies after 1970, where that is a whole number of 64 bits.
pub(super) fn since_epoch(moment: Moment, unit: EpochUnit) -> Option<i64> {
    let (per_second, nanos) = match unit {
        EpochUnit::Seconds => (1, 1_000_000_000),
        EpochUnit::Millis => (1_000, 1_000_000),
        EpochUnit::Micros => (1_000_000, 1_000),
        EpochUnit::Nanos => (1_000_000_000, 1),
    };
    if !moment.nanos.is_multiple_of(nanos) || moment.is_infinite() {
        return None;
    }
    let count = i128::from(moment.seconds) * per_second + i128::from(moment.nanos / nanos);
    i64::try_from(count).ok()
}

/// A number as a column for integers keeps it.
fn integral(it: f64) -> Stored<'static> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if it.fract() == 0.0 && it > -END && it < END { Stored::Int(it as i64) } else { Stored::Real(it) }
}

/// The number that SQLite takes a text for, and the integer that it is.
fn number(text: &[u8]) -> Option<(f64, Option<i64>)> {
    // Only what stands before a NUL is looked at.
    let text = text.split(|it| *it == 0).next()?;
    let is_space = |it: &u8| matches!(it, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|it| !is_space(it))?;
    let end = text.iter().rposition(|it| !is_space(it))? + 1;
    let text = std::str::from_utf8(text.get(start..end)?).ok()?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |it| (it.0, Some(it.1)));
    let unsigned = |it: &'_ str| it.strip_prefix(['+', '-']).map_or(it.len(), str::len);
    let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    let mantissa = mantissa.get(mantissa.len() - unsigned(mantissa)..)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent = exponent.map_or(Some("0"), |it| it.get(it.len() - unsigned(it)..))?;
    if !is_number || !digits(exponent) || exponent.is_empty() {
        return None;
    }
    Some((text.parse().ok()?, text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Type;
    use rusqlite::{Connection, types::ValueRef};

    /// Whether the last row of the table holds this, and what it holds.
    fn is_last(connection: &Connection, kept: &Stored<'_>) -> (bool, String) {
        let mut query = connection.prepare("SELECT c FROM t ORDER BY rowid DESC LIMIT 1").unwrap();
        let mut rows = query.query([]).unwrap();
        let found = rows.next().unwrap().unwrap().get_ref(0).unwrap();
        let same = match (found, kept) {
            (ValueRef::Null, Stored::Null) => true,
            (ValueRef::Integer(a), Stored::Int(b)) => a == *b,
            (ValueRef::Real(a), Stored::Real(b)) => a == *b,
            (ValueRef::Text(a), Stored::Text(b)) => a == b.as_ref(),
            (ValueRef::Blob(a), Stored::Bytes(b)) => a == *b,
            _ => false,
        };
        (same, format!("{found:?}"))
    }

    /// What SQLite itself makes of a form is what is said here, and so what is taken stays what it is.
    #[test]
    fn sqlite_keeps_what_is_said_that_it_keeps() {
        let texts = [
            "",
            "1",
            "007",
            "+5",
            "-0",
            "1.5",
            "1.50",
            "5.",
            ".5",
            ".",
            "1e5",
            "1e",
            "1e+",
            " 12 ",
            "0x10",
            "abc",
            "1_0",
            "9223372036854775807",
            "9223372036854775808",
            "12345678901234567890",
            "1e400",
            "Infinity",
            "inf",
            "nan",
            "12a",
            "\u{a0}1",
            "1\0",
            "1\0a",
            "a\0",
            "\u{0}1",
            "- 1",
            "--1",
            "1e5.5",
        ];
        let reals = [0.0, 1.0, -1.5, 1e18, 9.3e18, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let mut values: Vec<Stored<'_>> = texts.iter().map(|it| Stored::Text(it.as_bytes().into())).collect();
        values.extend(reals.map(Stored::Real));
        values.extend([0, 1, i64::MIN, i64::MAX, 1 << 60].map(Stored::Int));
        values.extend([Stored::Null, Stored::Bytes(b"1"), Stored::Text((&b"\xff"[..]).into())]);
        let loose = ["", "INTEGER", "bigint", "NUMERIC(10,2)", "datetime", "REAL", "TEXT", "varchar(9)", "BLOB", "ANY"];
        let strict = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];
        let all = loose.map(|it| (it, false)).into_iter().chain(strict.map(|it| (it, true)));
        for (declared, strict) in all {
            let connection = Connection::open_in_memory().unwrap();
            let end = if strict { "STRICT" } else { "" };
            connection.execute(&format!("CREATE TABLE t (c {declared}) {end}"), []).unwrap();
            let column = Column::new("c", declared, strict, false);
            for value in &values {
                let Some(kept) = column.keep(value.clone()) else { continue };
                let Some(again) = column.keep(kept.clone()) else { panic!("{declared}: {value:?}, {kept:?}") };
                assert_eq!(kept, again, "{declared}: {value:?}");
                let bound = match &kept {
                    Stored::Null => ValueRef::Null,
                    Stored::Int(it) => ValueRef::Integer(*it),
                    Stored::Real(it) => ValueRef::Real(*it),
                    Stored::Text(it) => ValueRef::Text(it),
                    Stored::Bytes(it) => ValueRef::Blob(it),
                };
                let bound = rusqlite::types::ToSqlOutput::Borrowed(bound);
                connection
                    .execute("INSERT INTO t VALUES (?1)", [bound])
                    .unwrap_or_else(|it| panic!("{declared} {strict} {value:?}: {it}"));
                let (same, found) = is_last(&connection, &kept);
                assert!(same, "{declared} {strict} {value:?}: {kept:?} became {found}");
            }
        }
    }

    #[test]
    fn what_does_not_stay_is_refused_by_name() {
        let check = |declared: &str, ty: Type, value: Value<'_>, expect: Result<Stored<'_>, &str>| {
            let column = Column::new("c", declared, false, false);
            let (cast, mut cell) = (Cast::new(ty), Vec::new());
            cast.write(value, false, &mut cell);
            match (column.form(value, &cast, (&cell, false)), expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found, expect, "{declared} {value:?}"),
                (Err(found), Err(expect)) => {
                    assert_eq!(found.kind(), Kind::Row);
                    assert!(found.to_string().contains(expect), "{declared} {value:?}: {found}");
                }
                (found, expect) => panic!("{declared} {value:?}: {found:?}, not {expect:?}"),
            }
        };
        let text = |it: &'static str| Ok(Stored::Text(it.as_bytes().into()));
        check("TEXT", Type::Text, Value::Text("007"), text("007"));
        check("INTEGER", Type::Text, Value::Text("007"), Err("column `c` is declared as `INTEGER`, and this text"));
        check("INTEGER", Type::Text, Value::Text("7"), Ok(Stored::Int(7)));
        check("", Type::Text, Value::Text("007"), text("007"));
        check("TEXT", Type::Bool, Value::Bool(true), text("1"));
        check("BOOLEAN", Type::Bool, Value::Bool(true), Ok(Stored::Int(1)));
        check("", Type::Any, Value::Bool(true), Err("declared without a type, and this truth value"));
        check("REAL", Type::Real, Value::Real(f64::NAN), Err("no NaN"));
        check("DECIMAL(10,2)", Type::Decimal, Value::Decimal("10.5"), Ok(Stored::Real(10.5)));
        check("DECIMAL(10,2)", Type::Decimal, Value::Decimal("0.12345678901234567891"), Err("this number"));
        check("TEXT", Type::Decimal, Value::Decimal("0.12345678901234567891"), text("0.12345678901234567891"));
        check("INTEGER", Type::Int, Value::Decimal("12345678901234567890"), Err("this number"));
        check("TEXT", Type::Int, Value::Decimal("12345678901234567890"), text("12345678901234567890"));
        check("JSON", Type::Json, Value::Json("1.50"), Err("this JSON document"));
        check("JSON", Type::Json, Value::Json("[1.50]"), text("[1.50]"));
        check(
            "DATETIME",
            Type::Timestamp,
            Value::Timestamp(Moment { seconds: 0, nanos: 0 }),
            text("1970-01-01 00:00:00"),
        );
    }
}
