//! Changes as statements, for whoever runs SQL by hand.
//!
//! What stands in a statement is spelt in the way that a run writes it, and refused where it would read back as something else.

mod make;

pub use make::{Dialect, Made, Maker};

use super::{
    affinity::{Affinity, Column, Probe},
    pragmas, sql,
};
use crate::{
    error::{Error, Kind, Result},
    row::Row,
    schema::Table,
    value::{
        Type, Value, decimal,
        time::{write_date, write_moment, write_time},
        write_uuid,
    },
};
use rusqlite::types::ValueRef;

/// What a statement does to one row.
#[derive(Clone, Copy, Debug)]
pub enum Edit<'e> {
    /// Puts a row in, with NULL in the fields at these places. One whose key is there by now is left as it is.
    Insert(Row<'e>, &'e [usize]),
    /// Sets the fields at these places in the row that has the key of the other one, in the form in which the store holds it.
    Update(Row<'e>, &'e [usize], Row<'e>),
    /// Sets the fields at these places in the row of that key, each where it is NULL.
    Fill(Row<'e>, &'e [usize]),
    /// Sets the fields at these places to NULL in the row of that key.
    Clear(Row<'e>, &'e [usize]),
    /// Takes the row of that key away, unless one of those refers to it; of several equal rows without a key, one.
    Delete(Row<'e>, &'e [Referrer]),
}

impl<'e> Edit<'e> {
    /// The row that it is about.
    pub fn row(self) -> Row<'e> {
        match self {
            Edit::Insert(row, _)
            | Edit::Update(row, ..)
            | Edit::Fill(row, _)
            | Edit::Clear(row, _)
            | Edit::Delete(row, _) => row,
        }
    }
}

/// The rows of a table that may refer to those of another one, or of the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Their table.
    pub table: String,
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The columns that they refer to, in the same order.
    pub to: Vec<String>,
}

impl Referrer {
    /// That none of these rows, which come `from` there, refers to row `t`.
    pub(super) fn none(&self, from: &str) -> String {
        let pairs = self.columns.iter().zip(&self.to);
        // In SQLite the collation of the left side counts, as that of the parent does for a reference.
        let pairs = pairs.map(|(column, to)| format!("t.{} = r.{}", sql::identifier(to), sql::identifier(column)));
        format!(" AND NOT EXISTS (SELECT 1 FROM {from} AS r WHERE {})", pairs.collect::<Vec<_>>().join(" AND "))
    }
}

/// What stands around the statements of a script, so that all of it happens or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Whole lines before the first statement.
    pub begin: &'static str,
    /// Whole lines after the last one.
    pub end: &'static str,
    /// The command that runs a script.
    pub run: &'static str,
}

/// Around a script for `psql`. The settings say how literals are read, whatever is usual for the role.
pub(super) const POSTGRES: Frame = Frame {
    begin: "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET DateStyle = 'ISO, YMD';\n\
        SET IntervalStyle = 'postgres';\nSET TimeZone = 'UTC';\nBEGIN;\nSET CONSTRAINTS ALL DEFERRED;",
    end: "COMMIT;",
    run: "psql -v ON_ERROR_STOP=1 -f PATCH",
};

/// Appends the text that stands for a value in a column of text. False: there is none.
pub(crate) fn spell(value: Value<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Text(it) | Value::Decimal(it) | Value::Json(it) => out.extend_from_slice(it.as_bytes()),
        Value::Bool(it) => out.extend_from_slice(if it { b"true" } else { b"false" }),
        Value::Int(it) => decimal::from_i64(it, out),
        Value::Real(it) => decimal::from_f64(it, out),
        Value::Date(it) => write_date(it, out),
        Value::Time(it) => write_time(it, out),
        Value::Timestamp(it) => write_moment(it, true, out),
        Value::DateTime(it) => write_moment(it, false, out),
        Value::Uuid(it) => write_uuid(&it, out),
        Value::Null | Value::Raw(_) | Value::Malformed(_) | Value::Bytes(_) => return false,
    }
    true
}

/// A text as a literal of SQL, as the standard has it.
fn quoted(it: &str) -> String {
    format!("'{}'", it.replace('\'', "''"))
}

/// Whether a terminal could take something in a text for a command.
fn is_control(it: char) -> bool {
    it.is_control() && !matches!(it, '\n' | '\t')
}

/// A text as a literal of Postgres.
pub(super) fn postgres_text(it: &str) -> String {
    if !it.contains(is_control) {
        return quoted(it);
    }
    let escaped = it.chars().map(|it| match it {
        '\\' => "\\\\".to_owned(),
        '\'' => "''".to_owned(),
        it if is_control(it) => format!("\\u{:04X}", u32::from(it)),
        it => it.to_string(),
    });
    format!("E'{}'", escaped.collect::<String>())
}

/// Bytes as a literal of Postgres.
pub(super) fn postgres_bytes(it: &[u8]) -> String {
    format!("'\\x{}'", digits(it))
}

/// A date or moment as Postgres reads it: a year of more than four digits has no sign, and there was no year 0.
pub(super) fn postgres_date(spelt: &str) -> String {
    let far = |digits: &str| {
        let (year, rest) = digits.split_once('-')?;
        Some((year.parse::<u32>().ok()?, rest.to_owned()))
    };
    let (sign, digits) = spelt.split_at(usize::from(spelt.starts_with(['+', '-'])));
    match (sign, far(digits)) {
        ("+", Some((year, rest))) => format!("{year:04}-{rest}"),
        ("-", Some((year, rest))) => format!("{:04}-{rest} BC", year + 1),
        _ if spelt.starts_with("0000-") => format!("0001-{} BC", &spelt[5..]),
        _ => spelt.to_owned(),
    }
}

/// A table of SQLite, in a file or behind D1.
pub(super) struct Lite<'l> {
    pub table: &'l Table,
    /// One for each field of the rows.
    pub columns: &'l [&'l Column],
    pub probe: &'l Probe,
}

impl Lite<'_> {
    /// The statement for one change; empty, where there is nothing to set.
    ///
    /// # Errors
    /// If a column cannot hold a value.
    pub(super) fn statement(&self, edit: Edit<'_>) -> Result<String> {
        let (name, row) = (sql::identifier(&self.table.name), edit.row());
        let named = |place: &usize| sql::identifier(&self.columns[*place].name);
        let written = |place: &usize| !self.columns[*place].generated;
        Ok(match edit {
            Edit::Insert(_, later) => {
                let places: Vec<usize> = (0..self.columns.len()).filter(written).collect();
                let value = |place: &usize| match later.contains(place) {
                    true => Ok("NULL".to_owned()),
                    false => self.literal(row, *place),
                };
                let names = places.iter().map(named).collect::<Vec<_>>().join(", ");
                let values = places.iter().map(value).collect::<Result<Vec<_>>>()?.join(", ");
                let is = self.is(row)?;
                match row.shape().keyless {
                    true => format!("INSERT INTO {name} ({names}) VALUES ({values});"),
                    false => format!(
                        "INSERT INTO {name} ({names}) SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {is});"
                    ),
                }
            }
            Edit::Update(_, places, at) => {
                let set = |place: &usize| Ok(format!("{} = {}", named(place), self.literal(row, *place)?));
                let set = places.iter().filter(|it| written(it)).map(set).collect::<Result<Vec<_>>>()?;
                match set.is_empty() {
                    true => String::new(),
                    false => format!("UPDATE {name} SET {} WHERE {};", set.join(", "), self.is(at)?),
                }
            }
            Edit::Fill(_, places) => {
                let is = self.is(row)?;
                let fill = |place: &usize| {
                    let (column, value) = (named(place), self.literal(row, *place)?);
                    Ok(format!("UPDATE {name} SET {column} = {value} WHERE {is} AND {column} IS NULL;"))
                };
                let all = places.iter().filter(|it| written(it)).map(fill).collect::<Result<Vec<_>>>()?;
                all.join("\n")
            }
            Edit::Clear(_, places) => {
                let set = places.iter().filter(|it| written(it)).map(|it| format!("{} = NULL", named(it)));
                match set.collect::<Vec<_>>().join(", ") {
                    none if none.is_empty() => none,
                    set => format!("UPDATE {name} SET {set} WHERE {};", self.is(row)?),
                }
            }
            Edit::Delete(_, referrers) => {
                let mut is = self.is(row)?;
                if row.shape().keyless {
                    let rowid = pragmas::rowid(self.table).ok_or_else(|| {
                        let what = format_args!("no row of `{}` can be told from the others", self.table.name);
                        Error::new(Kind::Plan, what)
                    })?;
                    is = format!("{rowid} IN (SELECT {rowid} FROM {name} WHERE {is} LIMIT 1)");
                }
                let unless: String = referrers.iter().map(|it| it.none(&sql::identifier(&it.table))).collect();
                let alias = if unless.is_empty() { "" } else { " AS t" };
                format!("DELETE FROM {name}{alias} WHERE {is}{unless};")
            }
        })
    }

    /// What only the row of that key is, or one that is equal where rows have no key.
    fn is(&self, row: Row<'_>) -> Result<String> {
        let telling = if row.shape().keyless { row.shape().compared } else { row.shape().key };
        let one = |place: usize| {
            let (column, any) = (self.columns[place], row.shape().fields[place].cast.ty == Type::Any);
            let name = sql::identifier(&column.name);
            self.stored(row, place, |stored| {
                let value = literal(stored);
                match stored {
                    // The collation of a column may take other texts for this one.
                    ValueRef::Text(_) => format!("{name} IS {value} COLLATE BINARY"),
                    // SQLite takes 1 and 1.0 for equal, and a column that changes nothing may hold both.
                    ValueRef::Integer(_) | ValueRef::Real(_) if any && column.affinity == Affinity::Blob => {
                        format!("{name} IS {value} AND typeof({name}) = typeof({value})")
                    }
                    _ => format!("{name} IS {value}"),
                }
            })
        };
        Ok((0..telling).map(one).collect::<Result<Vec<_>>>()?.join(" AND "))
    }

    fn literal(&self, row: Row<'_>, place: usize) -> Result<String> {
        self.stored(row, place, literal)
    }

    /// What `say` says of a value as the column holds it.
    fn stored(&self, row: Row<'_>, place: usize, say: impl FnOnce(ValueRef<'_>) -> String) -> Result<String> {
        let (mut scratch, mut spelt) = (Vec::new(), Vec::new());
        let (shape, column) = (row.shape(), self.columns[place]);
        let value = (row.value(place, &mut scratch), row.cell(place), place < shape.key);
        let stored = self.probe.spell(value, (&self.table.name, column), &shape.fields[place].cast, &mut spelt)?;
        Ok(say(stored))
    }
}

/// A value as an expression of SQLite that has just this value, in every version of it and in its shell.
pub(super) fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(it) => it.to_string(),
        ValueRef::Real(it) => real(it),
        ValueRef::Blob(it) => hex(it),
        ValueRef::Text(it) => match std::str::from_utf8(it) {
            // A statement ends at a NUL, and a terminal shows what is no text in its own way.
            Ok(plain) if !plain.contains(is_control) => quoted(plain),
            _ => format!("CAST({} AS TEXT)", hex(it)),
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("x'{}'", digits(bytes))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// How many digits, and which powers of ten, every reader of decimal numbers gets right.
const DIGITS: usize = 15;
const POWERS: std::ops::RangeInclusive<f64> = 1e-7..=1e15;

/// A double. SQLite's own reader of decimals may be off by one in the last place, so what has more digits is spelt as a whole
/// number and powers of two, which are exact.
fn real(it: f64) -> String {
    if it.is_infinite() {
        return if it > 0.0 { "9e999" } else { "-9e999" }.to_owned();
    }
    let short = format!("{it:?}");
    let digits = short.bytes().filter(u8::is_ascii_digit).count();
    if it == 0.0 || digits <= DIGITS && POWERS.contains(&it.abs()) {
        return short;
    }
    let (mut whole, mut power) = parts(it);
    while whole % 2 == 0 && power < 0 {
        (whole, power) = (whole / 2, power + 1);
    }
    let sign = if it < 0.0 { "-" } else { "" };
    let mut out = format!("CAST({sign}{whole} AS REAL)");
    while power != 0 {
        let step = power.unsigned_abs().min(62);
        let (word, left) = if power < 0 { ("/", power + step as i32) } else { ("*", power - step as i32) };
        out = format!("{out} {word} CAST({} AS REAL)", 1_i64 << step);
        power = left;
    }
    format!("({out})")
}

/// The whole number and the power of two that make up a finite double, its sign aside.
fn parts(it: f64) -> (u64, i32) {
    let bits = it.to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, types::Value};

    /// What SQLite reads of the literal.
    fn read(value: ValueRef<'_>) -> Value {
        let connection = Connection::open_in_memory().expect("a database in memory");
        connection.query_row(&format!("SELECT {}", literal(value)), [], |it| it.get(0)).expect("a literal")
    }

    #[test]
    fn literals_are_read_as_they_were() {
        let reals = [
            0.0,
            0.1,
            -0.1,
            1.5,
            1e15,
            1e-7,
            123_456_789.123_456_78,
            0.1 + 0.2,
            1e23,
            1e300,
            5e-324,
            -2.5e-310,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            f64::NEG_INFINITY,
            9_007_199_254_740_993.0,
            2.0_f64.powi(1000),
        ];
        for it in reals {
            assert_eq!(read(ValueRef::Real(it)), Value::Real(it), "{it:?} {}", literal(ValueRef::Real(it)));
        }
        for it in [0, -1, i64::MAX, i64::MIN] {
            assert_eq!(read(ValueRef::Integer(it)), Value::Integer(it), "{it}");
        }
        for it in ["", "it's", "a\nb", "a\r\nb", "a\0b", "\\n", "日本"] {
            assert_eq!(read(ValueRef::Text(it.as_bytes())), Value::Text(it.to_owned()), "{it:?}");
        }
        for it in [&b""[..], b"\0\xff'"] {
            assert_eq!(read(ValueRef::Blob(it)), Value::Blob(it.to_vec()), "{it:?}");
        }
        assert_eq!(read(ValueRef::Null), Value::Null);
        assert_eq!(literal(ValueRef::Text(b"\xff")), "CAST(x'ff' AS TEXT)");
    }

    #[test]
    fn literals_of_postgres() {
        assert_eq!(postgres_text(r"it's \"), r"'it''s \'");
        assert_eq!(postgres_text("it's \\ \u{1b}[m"), r"E'it''s \\ \u001B[m'");
        assert_eq!(postgres_bytes(b"\0\xff"), r"'\x00ff'");
        for (spelt, expect) in [
            ("2024-01-31", "2024-01-31"),
            ("+012345-01-31T10:00:00Z", "12345-01-31T10:00:00Z"),
            ("-000003-01-31T10:00:00", "0004-01-31T10:00:00 BC"),
            ("0000-01-31", "0001-01-31 BC"),
            ("-infinity", "-infinity"),
            ("infinity", "infinity"),
        ] {
            assert_eq!(postgres_date(spelt), expect);
        }
    }

    #[test]
    fn short_numbers_stay_readable() {
        let check = |it: f64, expect: &str| assert_eq!(real(it), expect);
        check(0.1, "0.1");
        check(-12.5, "-12.5");
        check(3.0, "3.0");
        check(0.1 + 0.2, "(CAST(1351079888211149 AS REAL) / CAST(4503599627370496 AS REAL))");
    }
}
