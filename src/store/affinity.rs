//! What stands for a value in a column of SQLite, in a file or behind D1.
//!
//! A column may change what is put into it: one that is declared `DECIMAL` makes a number of the text `1.50`, and no more than a
//! double of one with twenty digits. So each value is spelt in the way that the column keeps. Where it is not plain that it does,
//! SQLite is asked, in a database in memory: what is read back has to be the same cell, or the row is refused.

use crate::{
    error::{Error, Kind, Result},
    store::{sql, sqlite::meaning},
    value::{
        Type, Value,
        cast::{Cast, is_integer},
        cell::{self, tag},
        decimal,
        time::{self, Moment},
        write_uuid,
    },
};
use rusqlite::{
    Connection,
    types::{ToSqlOutput, ValueRef},
};

/// What SQLite makes of values in a column (sqlite.org/datatype3.html, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    /// Nothing.
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    /// That of a column which is declared so.
    fn of(declared: &str, strict: bool) -> Affinity {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|it| declared.contains(it));
        match () {
            // In a `STRICT` table `ANY` keeps what it is given.
            () if strict && declared == "ANY" => Affinity::Blob,
            () if has(&["INT"]) => Affinity::Integer,
            () if has(&["CHAR", "CLOB", "TEXT"]) => Affinity::Text,
            () if declared.is_empty() || has(&["BLOB"]) => Affinity::Blob,
            () if has(&["REAL", "FLOA", "DOUB"]) => Affinity::Real,
            () => Affinity::Numeric,
        }
    }

    /// The column of [`Probe`] that has it.
    fn probe(self) -> &'static str {
        match self {
            Affinity::Integer => "of_integer",
            Affinity::Text => "of_text",
            Affinity::Blob => "of_blob",
            Affinity::Real => "of_real",
            Affinity::Numeric => "of_numeric",
        }
    }
}

/// One column that is written to.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) affinity: Affinity,
    /// SQLite works its values out.
    pub(super) generated: bool,
}

/// A value as it is put into a column.
#[derive(Clone, Copy)]
struct Spelt<'v> {
    value: ValueRef<'v>,
    /// It is plain that it reads back as the same cell.
    plain: bool,
}

impl Column {
    /// A column of that declared type, in a `STRICT` table or in another one.
    pub(super) fn new(name: &str, declared: &str, strict: bool, generated: bool) -> Column {
        let affinity = Affinity::of(declared, strict);
        Column { name: name.to_owned(), declared: declared.to_owned(), affinity, generated }
    }

    /// The text of a cell, where that is what is put into this column and plainly reads back as the same cell: without asking whether
    /// it is UTF-8, as it was when the cell was made.
    #[inline]
    pub(super) fn words<'c>(&self, cell: &'c [u8], ordered: bool, cast: &Cast) -> Option<ValueRef<'c>> {
        let words = cell::text_of(cell).filter(|_| !ordered)?;
        let kept = match *cell.first()? {
            tag::TEXT => self.keeps_text(words, cast),
            tag::JSON => self.keeps_json(words, cast.ty),
            _ => false,
        };
        kept.then_some(ValueRef::Text(words))
    }

    /// How `value` is put into this column, where it is plain that it reads back as the same cell.
    #[inline]
    pub(super) fn plain<'v>(&self, value: Value<'v>, cast: &Cast, out: &'v mut Vec<u8>) -> Option<ValueRef<'v>> {
        self.spell(value, cast, out).filter(|it| it.plain).map(|it| it.value)
    }

    /// How `value` is put into this column; `None` if nothing there stands for it. Text is written to `out`.
    #[inline]
    fn spell<'v>(&self, value: Value<'v>, cast: &Cast, out: &'v mut Vec<u8>) -> Option<Spelt<'v>> {
        let (affinity, ty) = (self.affinity, cast.ty);
        out.clear();
        let is = |it: Type| ty == it;
        let (value, plain) = match value {
            Value::Null => (ValueRef::Null, true),
            Value::Bool(it) => (ValueRef::Integer(i64::from(it)), is(Type::Bool)),
            Value::Int(it) => (ValueRef::Integer(it), self.keeps_integer(it, ty)),
            Value::Real(it) => return Some(self.real(it, ty, out)),
            Value::Decimal(it) => return Some(self.decimal(it, ty)),
            Value::Text(it) => (ValueRef::Text(it.as_bytes()), self.keeps_text(it.as_bytes(), cast)),
            Value::Raw(it) | Value::Malformed(it) => (ValueRef::Text(it), false),
            Value::Bytes(it) => (ValueRef::Blob(it), matches!(ty, Type::Bytes | Type::Any)),
            Value::Date(it) => {
                time::write_date(it, out);
                (ValueRef::Text(out), is(Type::Date))
            }
            Value::Time(it) => {
                time::write_time(it, out);
                (ValueRef::Text(out), is(Type::Time))
            }
            Value::Timestamp(it) => match cast.epoch {
                Some(unit) => {
                    (ValueRef::Integer(time::to_epoch(it, unit)?), is(Type::Timestamp) && affinity != Affinity::Real)
                }
                None => {
                    moment(it, cast, out);
                    (ValueRef::Text(out), is(Type::Timestamp))
                }
            },
            Value::DateTime(it) => {
                civil(it, out);
                (ValueRef::Text(out), is(Type::DateTime))
            }
            // Where the column is one of bytes, a UUID is the 16 bytes that it is.
            Value::Uuid(it) if sql::declared(&self.declared) == Type::Bytes => {
                out.extend_from_slice(&it);
                (ValueRef::Blob(out), is(Type::Uuid))
            }
            Value::Uuid(it) => {
                write_uuid(&it, out);
                (ValueRef::Text(out), is(Type::Uuid))
            }
            Value::Json(it) => (ValueRef::Text(it.as_bytes()), self.keeps_json(it.as_bytes(), ty)),
        };
        Some(Spelt { value, plain })
    }

    fn keeps_integer(&self, it: i64, ty: Type) -> bool {
        match self.affinity {
            Affinity::Real => matches!(ty, Type::Int | Type::Decimal) && it.unsigned_abs() <= EXACT,
            Affinity::Text => matches!(ty, Type::Int | Type::Decimal),
            _ => matches!(ty, Type::Int | Type::Decimal | Type::Any),
        }
    }

    fn keeps_text(&self, it: &[u8], cast: &Cast) -> bool {
        matches!(cast.ty, Type::Text | Type::Any) && self.keeps_words(it) && !(cast.empty_is_null && it.is_empty())
    }

    fn keeps_json(&self, it: &[u8], ty: Type) -> bool {
        ty == Type::Json && self.keeps_words(it)
    }

    /// Whether a text stays one: the column makes no numbers, or this cannot be taken for one.
    fn keeps_words(&self, it: &[u8]) -> bool {
        let number = |first: &u8| matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.' | b' ' | b'\t'..=b'\r');
        matches!(self.affinity, Affinity::Text | Affinity::Blob) || !it.first().is_some_and(number)
    }

    fn real<'v>(&self, it: f64, ty: Type, out: &'v mut Vec<u8>) -> Spelt<'v> {
        if it.is_nan() {
            // SQLite takes a NaN for NULL.
            return Spelt { value: ValueRef::Text(b"NaN"), plain: false };
        }
        if self.affinity == Affinity::Text {
            // SQLite itself would write no more than 15 digits.
            out.extend_from_slice(zmij::Buffer::new().format(it).as_bytes());
            return Spelt { value: ValueRef::Text(out), plain: ty == Type::Real && it.is_finite() };
        }
        let plain = match ty {
            Type::Real => true,
            Type::Any => matches!(self.affinity, Affinity::Blob | Affinity::Real),
            _ => false,
        };
        Spelt { value: ValueRef::Real(it), plain }
    }

    /// A number where that says the same, as SQLite counts with numbers; else a text.
    fn decimal<'v>(&self, it: &'v str, ty: Type) -> Spelt<'v> {
        if self.affinity != Affinity::Text {
            if let Ok(whole) = it.parse() {
                return Spelt {
                    value: ValueRef::Integer(whole),
                    plain: ty != Type::Any && self.keeps_integer(whole, ty),
                };
            }
            if let Some(real) = double(it) {
                return Spelt { value: ValueRef::Real(real), plain: ty == Type::Decimal };
            }
        }
        let kept = matches!(self.affinity, Affinity::Text | Affinity::Blob);
        let fits = ty == Type::Decimal || ty == Type::Int && is_integer(it);
        Spelt { value: ValueRef::Text(it.as_bytes()), plain: kept && fits }
    }
}

/// The largest integer up to which every integer is a double.
const EXACT: u64 = 1 << 53;

/// The double that reads as this canonical decimal, if there is one.
fn double(text: &str) -> Option<f64> {
    const SHORT: usize = 15;
    let real: f64 = text.parse().ok().filter(|it: &f64| !it.is_nan())?;
    // Up to 15 digits no two decimals are one double.
    if text.len() <= SHORT && real.is_normal() {
        return Some(real);
    }
    let mut written = Vec::new();
    decimal::from_f64(real, &mut written);
    (written == text.as_bytes()).then_some(real)
}

/// An instant as SQLite's own `datetime()` writes it, where the cast reads that as UTC.
fn moment(it: Moment, cast: &Cast, out: &mut Vec<u8>) {
    match &cast.zone {
        Some(zone) if zone.iana_name() != Some("UTC") => time::write_moment(it, true, out),
        _ => civil(it, out),
    }
}

fn civil(it: Moment, out: &mut Vec<u8>) {
    time::write_moment(it, false, out);
    if let Some(at) = memchr::memchr(b'T', out) {
        out[at] = b' ';
    }
}

/// A database in memory with a column of each kind, to see what becomes of a value in one.
pub(super) struct Probe(Connection);

impl Probe {
    /// One that holds text as `connection` does.
    ///
    /// # Errors
    /// If SQLite cannot say how that is.
    pub(super) fn like(connection: &Connection) -> rusqlite::Result<Probe> {
        Probe::new(&connection.query_row("SELECT encoding FROM pragma_encoding", [], |it| it.get::<_, String>(0))?)
    }

    /// One that holds text in that encoding, such as `UTF-8`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn new(encoding: &str) -> rusqlite::Result<Probe> {
        let probe = Connection::open_in_memory()?;
        probe.execute_batch(&format!(
            "PRAGMA encoding = '{encoding}';
             CREATE TABLE probe (k INTEGER PRIMARY KEY, of_integer INTEGER, of_text TEXT, of_blob BLOB, of_real REAL,
             of_numeric NUMERIC)"
        ))?;
        Ok(Probe(probe))
    }

    /// The value of a cell as it is put into that column.
    ///
    /// # Errors
    /// If nothing that the column can hold reads back as that cell.
    #[inline]
    pub(super) fn spell<'v>(
        &self,
        (value, cell, ordered): (Value<'v>, &[u8], bool),
        (table, column): (&str, &Column),
        cast: &Cast,
        out: &'v mut Vec<u8>,
    ) -> Result<ValueRef<'v>> {
        match column.spell(value, cast, out) {
            Some(it) if it.plain || self.keeps(it.value, cell, ordered, column, cast) => Ok(it.value),
            _ => Err(refused(value, table, column)),
        }
    }

    #[cold]
    fn keeps(&self, value: ValueRef<'_>, cell: &[u8], ordered: bool, column: &Column, cast: &Cast) -> bool {
        let (name, connection) = (column.affinity.probe(), &self.0);
        let asked = || {
            let insert = format!("INSERT OR REPLACE INTO probe (k, {name}) VALUES (1, ?)");
            connection.prepare_cached(&insert)?.execute([ToSqlOutput::Borrowed(value)])?;
            let mut statement = connection.prepare_cached(&format!("SELECT {name} FROM probe"))?;
            statement.query_row([], |row| {
                let mut back = Vec::new();
                cast.write(meaning(row.get_ref(0)?), ordered, &mut back);
                Ok(back == cell)
            })
        };
        // A value that cannot even be asked about is not kept.
        let kept: rusqlite::Result<bool> = asked();
        kept.unwrap_or(false)
    }
}

#[cold]
fn refused(value: Value<'_>, table: &str, column: &Column) -> Error {
    let what = match value {
        Value::Null => "NULL",
        Value::Bool(_) => "a truth value",
        Value::Int(_) => "this integer",
        Value::Real(_) => "this number",
        Value::Decimal(_) => "a decimal of so many digits",
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) => "this date or time",
        Value::Timestamp(_) => "this instant",
        Value::Uuid(_) => "a UUID",
        Value::Text(_) => "this text",
        Value::Raw(_) | Value::Malformed(_) => "text that is not UTF-8",
        Value::Bytes(_) => "bytes",
        Value::Json(_) => "this JSON",
    };
    let Column { name, declared, .. } = column;
    let declared = if declared.is_empty() { "without a type".to_owned() } else { format!("declared `{declared}`") };
    let what = format_args!(
        "column `{name}` of table `{table}`, {declared}, cannot hold {what}: it would read back as something else"
    );
    Error::new(Kind::Row, what)
}
