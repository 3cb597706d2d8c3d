//! Rows in the binary format of `COPY`: the other direction of `decode`.
//!
//! Where a cell is of the very kind that its column holds, it is written straight out. Any other cell is turned into what the
//! column holds, and then read back as the reader would: only what gives the same cell again is let through.

use super::super::{
    decode::{self, DAY_MICROS, EPOCH_DAYS, EPOCH_SECONDS, MICROS, widened},
    form::Form,
    numeric,
};
use super::spot::Column;
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Field, Row, Shape},
    store::script::spell,
    value::{
        Type, Value,
        cast::Cast,
        cell, json,
        time::{DATE_FUTURE, DATE_PAST, EpochUnit, Moment, write_date},
    },
};
use std::sync::Arc;

/// What rows begin with: the signature, no flags, nothing further.
pub(super) const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What they end with.
pub(super) const END: [u8; 2] = (-1i16).to_be_bytes();

const NULL: [u8; 4] = (-1i32).to_be_bytes();

/// The days and microseconds that the server takes, counted from the year 2000: from 4713 BC on, up to 294276 for moments.
const DAYS: std::ops::RangeInclusive<i64> = -2_451_545..=2_145_031_948;
const MOMENTS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Why a value cannot be written.
type Why = &'static str;

const INEXACT: Why = "it cannot hold this value exactly";
const ZERO: Why = "its text cannot hold the character U+0000";
const MALFORMED: Why = "it takes UTF-8, and this text is not";
const RANGE: Why = "the value lies outside of what it can hold";

/// What a declaration adds to its type: where the server would cut, pad or round without a word, we refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    /// So many characters at most.
    Chars(usize),
    /// So many characters exactly: fewer get blanks.
    Padded(usize),
    /// So many bytes at most.
    Bytes(usize),
    Digits {
        precision: i64,
        scale: i64,
    },
    /// Whole multiples of so many microseconds.
    Step(i64),
}

impl Limit {
    /// By the name of a type and what `pg_attribute.atttypmod` says.
    pub(super) fn of(name: &str, modifier: i32) -> Limit {
        let size = usize::try_from(modifier - 4).ok().filter(|_| modifier >= 4);
        match (name, size, modifier) {
            ("name", ..) => Limit::Bytes(63),
            ("varchar", Some(size), _) => Limit::Chars(size),
            ("bpchar", Some(size), _) => Limit::Padded(size),
            // The scale has eleven bits, of which the first is its sign.
            ("numeric", Some(_), it) => Limit::Digits {
                precision: i64::from((it - 4) >> 16 & 0xffff),
                scale: i64::from(((it - 4) & 0x7ff ^ 1024) - 1024),
            },
            ("time" | "timestamp" | "timestamptz", _, 0..6) => Limit::Step(10i64.pow(6 - modifier.unsigned_abs())),
            _ => Limit::None,
        }
    }
}

/// One field of the rows.
struct Cell {
    /// Its place in the rows.
    place: usize,
    /// The column's type, for messages.
    declared: String,
    limit: Limit,
    cast: Cast,
    /// How it is read.
    reader: decode::Cell,
    /// What was read back of a value that had to be turned into something else.
    again: Batch,
    ordered: bool,
}

/// Makes fields of rows.
pub(super) struct Encoder {
    cells: Vec<Cell>,
    /// The server takes any bytes for text.
    unchecked: bool,
    scratch: Vec<u8>,
}

impl Encoder {
    /// For these columns, each with the place of its cell in rows of that shape.
    pub(super) fn new(columns: &[(usize, &Column)], shape: &Shape, unchecked: bool) -> Encoder {
        let cells = columns.iter().filter_map(|&(place, column)| {
            let cast = shape.fields.get(place)?.cast.clone();
            let ordered = place < shape.key;
            let field = Field::new(column.name.clone(), cast.clone());
            let alone = Shape { fields: vec![field], key: usize::from(ordered), compared: 1, keyless: false };
            Some(Cell {
                place,
                declared: column.declared.clone(),
                limit: column.limit,
                reader: decode::Cell { form: column.form, to: cast.ty, column: column.name.clone() },
                cast,
                again: Batch::new(Arc::new(alone)),
                ordered,
            })
        });
        Encoder { cells: cells.collect(), unchecked, scratch: Vec::new() }
    }

    /// Appends a row, with some integers of four bytes in front.
    ///
    /// # Errors
    /// If a column cannot hold its value.
    pub(super) fn row(&mut self, lead: &[i32], row: Row<'_>, out: &mut Vec<u8>) -> Result<()> {
        let count = i16::try_from(lead.len() + self.cells.len()).unwrap_or(i16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for it in lead {
            out.extend_from_slice(&4i32.to_be_bytes());
            out.extend_from_slice(&it.to_be_bytes());
        }
        for cell in &mut self.cells {
            let bytes = row.cell(cell.place);
            let value = cell::decode(bytes, cell.ordered, &mut self.scratch);
            if value == Value::Null {
                out.extend_from_slice(&NULL);
                continue;
            }
            let start = out.len();
            out.extend_from_slice(&NULL);
            cell.put(value, bytes, self.unchecked, out).map_err(|why| cell.refused(value, why))?;
            let length = i32::try_from(out.len() - start - 4).map_err(|_| cell.refused(value, RANGE))?;
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

impl Cell {
    #[inline]
    fn put(&mut self, value: Value<'_>, bytes: &[u8], unchecked: bool, out: &mut Vec<u8>) -> Result<(), Why> {
        if self.cast.ty == self.reader.form.ty() && native(self.reader.form, self.limit, value, out)? {
            return Ok(());
        }
        self.turn(value, bytes, unchecked, out)
    }

    #[cold]
    fn refused(&self, value: Value<'_>, why: Why) -> Error {
        let (column, declared, kind) = (&self.reader.column, &self.declared, kind(value));
        Error::new(Kind::Row, format_args!("column `{column}` is {declared}, and the value is {kind}: {why}"))
    }

    /// Writes what is not of the column's own kind, if it comes back as the same cell.
    #[inline(never)]
    fn turn(&mut self, value: Value<'_>, bytes: &[u8], unchecked: bool, out: &mut Vec<u8>) -> Result<(), Why> {
        let (form, start) = (self.reader.form, out.len());
        match form {
            Form::Text | Form::Label | Form::Spelled => {
                if let Value::Malformed(it) = value {
                    if !unchecked {
                        return Err(MALFORMED);
                    }
                    text(self.limit, it, out)?;
                } else {
                    let mut spelt = Vec::new();
                    if !spell(value, &mut spelt) {
                        return Err(INEXACT);
                    }
                    text(self.limit, &spelt, out)?;
                }
            }
            Form::Json | Form::Jsonb | Form::Array | Form::Composite => {
                let mut spelt = Vec::new();
                if !document(value, self.cast.ty, &mut spelt) {
                    return Err(INEXACT);
                }
                let spelt = std::str::from_utf8(&spelt).map_err(|_| MALFORMED)?;
                native(form, self.limit, Value::Json(spelt), out)?;
            }
            _ => self.turn_plain(value, out)?,
        }
        self.again.clear();
        let (reader, mut scratch) = (&self.reader, Vec::new());
        let read = self.again.fill_with(|_, slot| decode::put(reader, out.get(start..), slot, &mut scratch));
        if read.is_ok() && self.again.row(0).cell(0) == bytes { Ok(()) } else { Err(INEXACT) }
    }

    fn turn_plain(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Why> {
        let form = self.reader.form;
        let numbers = matches!(form.ty(), Type::Int | Type::Real | Type::Decimal);
        let value = match value {
            Value::Bool(it) if numbers => Value::Int(it.into()),
            Value::Timestamp(it) if numbers => {
                Value::Int(self.cast.epoch.and_then(|unit| count(it, unit)).ok_or(INEXACT)?)
            }
            Value::Timestamp(it) if form == Form::DateTime => Value::DateTime(self.civil(it).ok_or(RANGE)?),
            Value::Uuid(it) if form == Form::Bytes => {
                out.extend_from_slice(&it);
                return Ok(());
            }
            // No other store has this one, and no time of day is equal to it.
            Value::Text("24:00:00") if form == Form::Time => {
                out.extend_from_slice(&DAY_MICROS.to_be_bytes());
                return Ok(());
            }
            Value::Text(it) if form == Form::Date && it.starts_with('+') => {
                out.extend_from_slice(&far_date(it).ok_or(INEXACT)?.to_be_bytes());
                return Ok(());
            }
            it => it,
        };
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        let cast = Cast { zone: self.cast.zone.clone(), epoch: self.cast.epoch, ..Cast::new(form.ty()) };
        if !cast.write(value, false, &mut bytes) {
            return Err(INEXACT);
        }
        match native(form, self.limit, cell::decode(&bytes, false, &mut scratch), out)? {
            true => Ok(()),
            false => Err(INEXACT),
        }
    }

    /// What the clocks of the plan's zone show then.
    fn civil(&self, it: Moment) -> Option<Moment> {
        let Some(zone) = self.cast.zone.as_ref().filter(|_| !it.is_infinite()) else { return Some(it) };
        let instant = jiff::Timestamp::new(it.seconds, i32::try_from(it.nanos).ok()?).ok()?;
        it.plus_seconds(zone.to_offset(instant).seconds().into())
    }
}

/// How many of that unit an instant is after 1970, if it is a whole number of them.
fn count(it: Moment, unit: EpochUnit) -> Option<i64> {
    let per_second = match unit {
        EpochUnit::Seconds => 1,
        EpochUnit::Millis => 1_000,
        EpochUnit::Micros => 1_000_000,
        EpochUnit::Nanos => 1_000_000_000,
    };
    let nanos = 1_000_000_000 / per_second;
    if it.is_infinite() || i64::from(it.nanos) % nanos != 0 {
        return None;
    }
    it.seconds.checked_mul(per_second)?.checked_add(i64::from(it.nanos) / nanos)
}

/// Appends the field of a value that is of the form's own kind. False: it is not.
#[inline(always)]
fn native(form: Form, limit: Limit, value: Value<'_>, out: &mut Vec<u8>) -> Result<bool, Why> {
    match (form, value) {
        (Form::Int8, Value::Int(it)) => out.extend_from_slice(&it.to_be_bytes()),
        (Form::Int4, Value::Int(it)) => out.extend_from_slice(&i32::try_from(it).map_err(|_| RANGE)?.to_be_bytes()),
        (Form::Text | Form::Label | Form::Spelled, Value::Text(it)) => text(limit, it.as_bytes(), out)?,
        (Form::Numeric | Form::Money, Value::Decimal(it)) => number(limit, it, out)?,
        (Form::Timestamp, Value::Timestamp(it)) | (Form::DateTime, Value::DateTime(it)) => {
            out.extend_from_slice(&micros(it, limit)?.to_be_bytes());
        }
        (Form::Uuid, Value::Uuid(it)) => out.extend_from_slice(&it),
        (Form::Jsonb, Value::Json(it)) => {
            if !numbers_stay(it.as_bytes()) {
                return Err("jsonb writes numbers with an exponent or a negative zero in another way; json keeps them");
            }
            out.push(1);
            out.extend_from_slice(it.as_bytes());
        }
        (Form::Json | Form::Array | Form::Composite, Value::Json(it)) => out.extend_from_slice(it.as_bytes()),
        _ => return native_other(form, limit, value, out),
    }
    Ok(true)
}

fn native_other(form: Form, limit: Limit, value: Value<'_>, out: &mut Vec<u8>) -> Result<bool, Why> {
    match (form, value) {
        (Form::Bool, Value::Bool(it)) => out.push(it.into()),
        (Form::Int2, Value::Int(it)) => out.extend_from_slice(&i16::try_from(it).map_err(|_| RANGE)?.to_be_bytes()),
        (Form::Oid, Value::Int(it)) => out.extend_from_slice(&u32::try_from(it).map_err(|_| RANGE)?.to_be_bytes()),
        (Form::Float8, Value::Real(it)) => out.extend_from_slice(&it.to_be_bytes()),
        (Form::Float4, Value::Real(it)) => {
            let single = it as f32;
            if widened(single) != it && !it.is_nan() {
                return Err(INEXACT);
            }
            out.extend_from_slice(&single.to_be_bytes());
        }
        (Form::Bytes, Value::Bytes(it)) => out.extend_from_slice(it),
        (Form::Date, Value::Date(it)) => out.extend_from_slice(&days(it)?.to_be_bytes()),
        (Form::Time, Value::Time(it)) => {
            let micros = i64::try_from(it / 1000).ok().filter(|_| it % 1000 == 0).ok_or(INEXACT)?;
            out.extend_from_slice(&stepped(micros, limit)?.to_be_bytes());
        }
        // An integer beyond 64 bits, or one that comes back from a decimal column as what it is.
        (Form::Int2 | Form::Int4 | Form::Int8 | Form::Oid, Value::Decimal(_)) => return Err(RANGE),
        _ => return Ok(false),
    }
    Ok(true)
}

#[inline]
fn text(limit: Limit, it: &[u8], out: &mut Vec<u8>) -> Result<(), Why> {
    if memchr::memchr(0, it).is_some() {
        return Err(ZERO);
    }
    // A character begins at every byte that does not go on with another one.
    let characters = || it.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
    match limit {
        Limit::Chars(most) if it.len() > most && characters() > most => return Err("the text is longer"),
        Limit::Padded(size) if characters() != size => {
            return Err(
                "it fills text up with blanks, or cuts it; make it text or varchar, or give it text of that length",
            );
        }
        Limit::Bytes(most) if it.len() > most => return Err("the text is longer than 63 bytes"),
        _ => {}
    }
    out.extend_from_slice(it);
    Ok(())
}

fn number(limit: Limit, it: &str, out: &mut Vec<u8>) -> Result<(), Why> {
    if let Limit::Digits { precision, scale } = limit {
        numeric::fits(it, precision, scale).map_err(|it| if it { "it would round the number" } else { RANGE })?;
    }
    if numeric::encode(it, out) { Ok(()) } else { Err(RANGE) }
}

#[inline]
fn micros(it: Moment, limit: Limit) -> Result<i64, Why> {
    match it {
        Moment::PAST => return Ok(i64::MIN),
        Moment::FUTURE => return Ok(i64::MAX),
        _ if !it.nanos.is_multiple_of(1000) => return Err("it holds microseconds, and the value is finer"),
        _ => {}
    }
    let whole = it.seconds.checked_sub(EPOCH_SECONDS).and_then(|it| it.checked_mul(MICROS));
    let micros = whole.and_then(|whole| whole.checked_add(i64::from(it.nanos / 1000)));
    stepped(micros.filter(|it| MOMENTS.contains(it)).ok_or(RANGE)?, limit)
}

#[inline]
fn stepped(micros: i64, limit: Limit) -> Result<i64, Why> {
    match limit {
        Limit::Step(step) if micros % step != 0 => Err("it would round the fraction of the second"),
        _ => Ok(micros),
    }
}

fn days(it: i64) -> Result<i32, Why> {
    match it {
        DATE_PAST => Ok(i32::MIN),
        DATE_FUTURE => Ok(i32::MAX),
        _ => {
            let days = it.checked_sub(EPOCH_DAYS).filter(|it| DAYS.contains(it)).ok_or(RANGE)?;
            i32::try_from(days).map_err(|_| RANGE)
        }
    }
}

/// The days of a date after the year 999999, as the reader spells it: of seven digits each, so that texts sort as dates do.
fn far_date(text: &str) -> Option<i32> {
    let spelt = |days: i64| {
        let mut out = Vec::new();
        write_date(days, &mut out);
        out
    };
    let (mut low, mut high) = (decode::LAST_DATE + 1, DAYS.end() + EPOCH_DAYS);
    while low < high {
        let middle = low + (high - low) / 2;
        (low, high) = if *spelt(middle) < *text.as_bytes() { (middle + 1, high) } else { (low, middle) };
    }
    (spelt(low) == text.as_bytes()).then(|| i32::try_from(low - EPOCH_DAYS).ok())?
}

/// Whether the numbers of a canonical document come back letter by letter from `jsonb`, which holds them as `numeric`.
fn numbers_stay(mut rest: &[u8]) -> bool {
    loop {
        let string = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        let (plain, after) = rest.split_at(string);
        let exponent = plain.windows(2).any(|it| it[0].is_ascii_digit() && matches!(it[1], b'e' | b'E'));
        let negative_zero = || {
            let mut minus = memchr::memchr_iter(b'-', plain);
            minus.any(|at| {
                let digits = plain[at + 1..].iter().take_while(|it| it.is_ascii_digit() || **it == b'.');
                digits.clone().next().is_some() && digits.clone().all(|it| matches!(it, b'0' | b'.'))
            })
        };
        if exponent || negative_zero() {
            return false;
        }
        let Some(inside) = after.get(1..) else { return true };
        let Some(end) = end_of_string(inside) else { return true };
        rest = &inside[end..];
    }
}

/// Where what follows a string begins.
fn end_of_string(inside: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', inside.get(at..)?)?;
        if inside[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Appends the document that stands for a value in a column of documents. False: there is none.
fn document(value: Value<'_>, to: Type, out: &mut Vec<u8>) -> bool {
    match value {
        // What was no document where one is wanted, such as one that says a member twice.
        Value::Text(it) if to == Type::Json => out.extend_from_slice(it.as_bytes()),
        Value::Json(_) | Value::Bool(_) | Value::Int(_) | Value::Real(_) | Value::Decimal(_) => {
            return spell(value, out);
        }
        _ => {
            let mut text = Vec::new();
            if !spell(value, &mut text) {
                return false;
            }
            let Ok(text) = std::str::from_utf8(&text) else { return false };
            json::write_string(text, out);
        }
    }
    true
}

/// What a value is, in words.
fn kind(value: Value<'_>) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Bool(_) => "a truth value",
        Value::Int(_) => "an integer",
        Value::Real(_) => "a floating-point number",
        Value::Decimal(_) => "a number",
        Value::Date(_) => "a date",
        Value::Time(_) => "a time of day",
        Value::Timestamp(_) => "an instant",
        Value::DateTime(_) => "a date with a time of day",
        Value::Uuid(_) => "a UUID",
        Value::Text(_) | Value::Raw(_) => "text",
        Value::Malformed(_) => "text that is not UTF-8",
        Value::Bytes(_) => "bytes",
        Value::Json(_) => "a JSON document",
    }
}

#[cfg(test)]
mod tests;
