//! The binary format of `COPY`, as PostgreSQL's documentation of the command gives it: a signature, rows of fields that say
//! how long they are, and an end. Messages are taken as they come: rows may be split over them or packed into one.

use super::{form::Form, numeric};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Slot},
    value::{
        Type, Value,
        time::{DATE_FUTURE, DATE_PAST, Moment, write_date},
    },
};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The signature, flags and the length of what may follow them.
const HEAD: usize = SIGNATURE.len() + 8;
/// The flags that a reader has to understand.
const CRITICAL: u32 = 0xffff_0000;
/// How many fields the end of the rows has.
const END: i16 = -1;

/// Days, and seconds, from 1970-01-01 to 2000-01-01, where Postgres counts from.
pub(super) const EPOCH_DAYS: i64 = 10_957;
pub(super) const EPOCH_SECONDS: i64 = EPOCH_DAYS * 86_400;
/// 999999-12-31, the last date that can be written.
pub(super) const LAST_DATE: i64 = 364_522_971;
pub(super) const MICROS: i64 = 1_000_000;
pub(super) const DAY_MICROS: i64 = 86_400 * MICROS;

/// One field of the rows.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub form: Form,
    /// What the shape casts it to.
    pub to: Type,
    /// For messages.
    pub column: String,
}

/// Makes rows of messages.
pub(super) struct Decoder {
    cells: Vec<Cell>,
    /// The begin of what is not there as a whole yet.
    pending: Vec<u8>,
    state: State,
    scratch: Vec<u8>,
    /// Rows made.
    pub rows: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Rows,
    Ended,
}

impl Decoder {
    /// Before the first message of a `COPY` of these fields.
    pub(super) fn new(cells: Vec<Cell>) -> Decoder {
        Decoder { cells, pending: Vec::new(), state: State::Head, scratch: Vec::new(), rows: 0 }
    }

    /// Before the first message of another `COPY` of the same fields.
    pub(super) fn restart(&mut self) {
        self.pending.clear();
        self.state = State::Head;
    }

    /// Appends the rows that this message makes whole.
    ///
    /// # Errors
    /// If it is not in the format, or a value is not what its type says.
    pub(super) fn take(&mut self, message: &[u8], batch: &mut Batch) -> Result<()> {
        if self.pending.is_empty() {
            let taken = self.rows_of(message, false, batch)?;
            self.pending.extend_from_slice(message.get(taken..).unwrap_or_default());
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(message);
        let taken = self.rows_of(&pending, true, batch)?;
        pending.drain(..taken);
        self.pending = pending;
        Ok(())
    }

    /// # Errors
    /// If something is missing at the end.
    pub(super) fn end(&self) -> Result<()> {
        if self.state == State::Ended && self.pending.is_empty() { Ok(()) } else { Err(damaged("it is cut off")) }
    }

    /// Appends the rows that `bytes` begins with and tells how many bytes they are. Where rows are `split` over messages, it is looked
    /// first whether one is there as a whole, or a large row would be decoded anew with each of its messages.
    fn rows_of(&mut self, bytes: &[u8], split: bool, batch: &mut Batch) -> Result<usize> {
        let mut rest = bytes;
        if self.state == State::Head {
            let Some(length) = head(rest)? else { return Ok(0) };
            rest = &rest[length..];
            self.state = State::Rows;
        }
        while let Some((count, after)) = rest.split_first_chunk::<2>() {
            let count = i16::from_be_bytes(*count);
            if self.state == State::Ended {
                return Err(damaged("it goes on after its end"));
            }
            if count == END {
                self.state = State::Ended;
                rest = after;
                continue;
            }
            if usize::try_from(count) != Ok(self.cells.len()) {
                return Err(damaged(format_args!("a row has {count} fields, not {}", self.cells.len())));
            }
            if split && !is_whole(after, self.cells.len())? {
                break;
            }
            let Some(after) = self.row(after, batch)? else { break };
            rest = after;
        }
        if self.state == State::Ended && !rest.is_empty() {
            return Err(damaged("it goes on after its end"));
        }
        Ok(bytes.len() - rest.len())
    }

    /// Appends the row that `bytes` begins with and says what follows it. Nothing: it is not there as a whole, and was not appended.
    #[inline]
    fn row<'b>(&mut self, bytes: &'b [u8], batch: &mut Batch) -> Result<Option<&'b [u8]>> {
        let (cells, scratch, mut rest, mut whole) = (&self.cells, &mut self.scratch, bytes, true);
        let filled = batch.fill_with(|place, slot| {
            let (Some(cell), Some((value, after))) = (cells.get(place), field(rest)?) else {
                whole = false;
                return Err(damaged("a row is too short"));
            };
            rest = after;
            put(cell, value, slot, scratch)
        });
        if !whole {
            return Ok(None);
        }
        filled?;
        self.rows += 1;
        Ok(Some(rest))
    }
}

/// How long the head is, once it is there.
fn head(bytes: &[u8]) -> Result<Option<usize>> {
    let shown = bytes.len().min(SIGNATURE.len());
    if bytes[..shown] != SIGNATURE[..shown] {
        return Err(damaged("it does not begin as it has to"));
    }
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (Some(flags), Some(extension)) = (word(SIGNATURE.len()), word(SIGNATURE.len() + 4)) else { return Ok(None) };
    if flags & CRITICAL != 0 {
        return Err(damaged("it has flags that mean nothing here"));
    }
    let length = HEAD.saturating_add(extension as usize);
    Ok((length <= bytes.len()).then_some(length))
}

/// Whether the next so many fields are all there.
fn is_whole(bytes: &[u8], fields: usize) -> Result<bool> {
    let mut rest = bytes;
    for _ in 0..fields {
        let Some((_, after)) = field(rest)? else { return Ok(false) };
        rest = after;
    }
    Ok(true)
}

/// A field, nothing for NULL, and what follows it.
type Field<'b> = (Option<&'b [u8]>, &'b [u8]);

/// The next field, if it is all there.
#[inline(always)]
fn field(bytes: &[u8]) -> Result<Option<Field<'_>>> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    match i32::from_be_bytes(*length) {
        -1 => Ok(Some((None, rest))),
        length => match usize::try_from(length) {
            Ok(length) => Ok(rest.split_at_checked(length).map(|(value, rest)| (Some(value), rest))),
            Err(_) => Err(damaged("a field has no length")),
        },
    }
}

/// Puts the value of a field where it belongs; `scratch` is for what has to be spelt out.
#[inline(always)]
pub(super) fn put(cell: &Cell, value: Option<&[u8]>, slot: &mut Slot<'_>, scratch: &mut Vec<u8>) -> Result<()> {
    let Some(value) = value else {
        slot.put(Value::Null);
        return Ok(());
    };
    let known = match cell.form {
        Form::Int4 => fixed(value).map(|it| slot.put(Value::Int(i32::from_be_bytes(it).into()))),
        Form::Int8 => fixed(value).map(|it| slot.put(Value::Int(i64::from_be_bytes(it)))),
        Form::Text | Form::Label | Form::Spelled => {
            slot.put(Value::Raw(value));
            Some(())
        }
        Form::Uuid => fixed(value).map(|it| slot.put(Value::Uuid(it))),
        Form::Timestamp => fixed(value).and_then(moment).map(|it| slot.put(Value::Timestamp(it))),
        Form::Numeric | Form::Money => put_number(cell, value, slot, scratch),
        Form::Jsonb => match value.split_first() {
            Some((1, text)) => put_json(cell, text, slot),
            _ => None,
        },
        _ => put_other(cell, value, slot, scratch),
    };
    known.ok_or_else(|| wrong(cell, value.len()))
}

fn put_other(cell: &Cell, value: &[u8], slot: &mut Slot<'_>, scratch: &mut Vec<u8>) -> Option<()> {
    let value = match cell.form {
        Form::Bool => match fixed(value)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return None,
        },
        Form::Int2 => Value::Int(i16::from_be_bytes(fixed(value)?).into()),
        Form::Oid => Value::Int(u32::from_be_bytes(fixed(value)?).into()),
        Form::Float4 => Value::Real(widened(f32::from_be_bytes(fixed(value)?))),
        Form::Float8 => Value::Real(f64::from_be_bytes(fixed(value)?)),
        Form::Bytes => Value::Bytes(value),
        Form::Date => date(i32::from_be_bytes(fixed(value)?), scratch)?,
        Form::Time => match i64::from_be_bytes(fixed(value)?) {
            // No other store has this one, and it is not midnight.
            DAY_MICROS => Value::Text("24:00:00"),
            it => Value::Time(u64::try_from(it).ok().filter(|_| it < DAY_MICROS)? * 1000),
        },
        Form::DateTime => Value::DateTime(moment(fixed(value)?)?),
        Form::Json | Form::Array | Form::Composite => return put_json(cell, value, slot),
        _ => return None,
    };
    slot.put(value);
    Some(())
}

#[inline]
fn put_number(cell: &Cell, value: &[u8], slot: &mut Slot<'_>, scratch: &mut Vec<u8>) -> Option<()> {
    if cell.to == Type::Decimal
        && let Some((whole, places)) = numeric::scaled(value)
    {
        slot.put_scaled(whole, places);
        return Some(());
    }
    if !numeric::write(value, scratch) {
        return None;
    }
    slot.put(Value::Decimal(std::str::from_utf8(scratch).ok()?));
    Some(())
}

#[inline]
fn put_json(cell: &Cell, text: &[u8], slot: &mut Slot<'_>) -> Option<()> {
    // Text where a document is wanted is read as one, which needs no look at it before.
    let document = if cell.to == Type::Json { None } else { std::str::from_utf8(text).ok() };
    match document {
        Some(it) => slot.put(Value::Json(it)),
        None => slot.put_spaced(text),
    }
    Some(())
}

#[inline(always)]
fn fixed<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

#[inline]
fn moment(value: [u8; 8]) -> Option<Moment> {
    match i64::from_be_bytes(value) {
        i64::MAX => Some(Moment::FUTURE),
        i64::MIN => Some(Moment::PAST),
        it => Some(Moment {
            seconds: it.div_euclid(MICROS) + EPOCH_SECONDS,
            nanos: u32::try_from(it.rem_euclid(MICROS)).ok()? * 1000,
        }),
    }
}

fn date(days: i32, scratch: &mut Vec<u8>) -> Option<Value<'_>> {
    let days = match days {
        i32::MAX => DATE_FUTURE,
        i32::MIN => DATE_PAST,
        it => i64::from(it) + EPOCH_DAYS,
    };
    if days <= LAST_DATE || days == DATE_FUTURE {
        return Some(Value::Date(days));
    }
    scratch.clear();
    write_date(days, scratch);
    Some(Value::Text(std::str::from_utf8(scratch).ok()?))
}

/// The double that the shortest text of a single stands for: what every other store was given is that text.
pub(super) fn widened(it: f32) -> f64 {
    if !it.is_finite() || it.fract() == 0.0 && it.abs() < 16_777_216.0 {
        return it.into();
    }
    zmij::Buffer::new().format(it).parse().unwrap_or(it.into())
}

#[cold]
fn damaged(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Store, format_args!("what the server sent is damaged: {why}"))
}

#[cold]
fn wrong(cell: &Cell, length: usize) -> Error {
    damaged(format_args!("{length} bytes of column `{}` are no {:?}", cell.column, cell.form).to_string())
}

#[cfg(test)]
mod tests;
