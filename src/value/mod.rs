//! Values, their types, and the canonical bytes that stand for them.
//!
//! A value is looked at as a borrowed [`Value`] and kept as a *cell*: canonical bytes with a type tag ([`cell`]).
//! A [`cast::Cast`] turns whatever a store hands out into the cell of a column's [`Type`], once, on entry. From then on
//! equality is a comparison of bytes.

pub mod cast;
pub mod cell;
pub mod decimal;
pub mod json;
pub mod time;

use time::Moment;

/// One value, borrowed from wherever it stands. It is never stored.
///
/// `Json`, `Decimal` and the texts of a store need not be canonical; what [`cell::decode`] gives back always is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL, or a member that is absent.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// A binary floating-point number. `-0.0` is `0.0`, and there is one NaN.
    Real(f64),
    /// A decimal number of any length as text, also an integer beyond 64 bits, `NaN` and the infinities.
    Decimal(&'a str),
    /// Days since 1970-01-01.
    Date(i64),
    /// Nanoseconds since midnight.
    Time(u64),
    /// An instant.
    Timestamp(Moment),
    /// A date and a time of day that say nothing about the zone.
    DateTime(Moment),
    /// A UUID.
    Uuid([u8; 16]),
    /// Text.
    Text(&'a str),
    /// What a store calls text before anybody looked whether it is UTF-8. A cast makes `Text` or `Malformed` of it, or
    /// what it stands for; no cell holds it.
    Raw(&'a [u8]),
    /// What a store calls text although it is not UTF-8.
    Malformed(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A JSON document.
    Json(&'a str),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// Nothing is declared: values compare as they are, the class of each included.
    #[default]
    Any,
    /// `true` and `false`, also written `1` `0`, `t` `f`, `'true'` `'false'`.
    Bool,
    /// Integers of any size.
    Int,
    /// Binary floating-point numbers.
    Real,
    /// Decimal numbers, where `10.50` is `10.5`.
    Decimal,
    /// Text, compared byte by byte.
    Text,
    /// Bytes.
    Bytes,
    /// Days.
    Date,
    /// Times of day.
    Time,
    /// Instants: a text without a zone is read in the zone of the plan, UTC if it names none.
    Timestamp,
    /// Dates with a time of day and no zone.
    DateTime,
    /// UUIDs, in either letter case.
    Uuid,
    /// JSON documents, where spacing and the order of members do not count.
    Json,
}

impl Type {
    /// Every type, in the order of their documentation.
    pub const ALL: [Type; 13] = [
        Type::Any,
        Type::Bool,
        Type::Int,
        Type::Real,
        Type::Decimal,
        Type::Text,
        Type::Bytes,
        Type::Date,
        Type::Time,
        Type::Timestamp,
        Type::DateTime,
        Type::Uuid,
        Type::Json,
    ];

    /// The word for this type in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Type::Any => "any",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Real => "real",
            Type::Decimal => "decimal",
            Type::Text => "text",
            Type::Bytes => "bytes",
            Type::Date => "date",
            Type::Time => "time",
            Type::Timestamp => "timestamp",
            Type::DateTime => "datetime",
            Type::Uuid => "uuid",
            Type::Json => "json",
        }
    }

    /// The type of that name.
    pub fn parse(name: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// Reads a UUID: 32 hexadecimal digits in either case, with the four usual hyphens or none.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    uuid_of(text.as_bytes())
}

/// The same for text that nobody has looked at yet.
fn uuid_of(bytes: &[u8]) -> Option<[u8; 16]> {
    let Ok(text) = <&[u8; 36]>::try_from(bytes) else { return hexadecimal(bytes.try_into().ok()?) };
    let mut digits = [0; 32];
    digits[..8].copy_from_slice(&text[..8]);
    digits[8..12].copy_from_slice(&text[9..13]);
    digits[12..16].copy_from_slice(&text[14..18]);
    digits[16..20].copy_from_slice(&text[19..23]);
    digits[20..].copy_from_slice(&text[24..]);
    let hyphens = [8, 13, 18, 23].iter().fold(0, |wrong, &it| wrong | (text[it] ^ b'-'));
    hexadecimal(&digits).filter(|_| hyphens == 0)
}

/// The bytes that these digits stand for. Each digit is worked out alike, whatever it is, so that many are worked out at once;
/// whether all were digits is asked at the end.
#[inline(always)]
fn hexadecimal(text: &[u8; 32]) -> Option<[u8; 16]> {
    let (mut digits, mut wrong) = ([0; 32], 0);
    for (digit, &byte) in digits.iter_mut().zip(text) {
        let (number, letter) = (byte.wrapping_sub(b'0'), (byte | 0x20).wrapping_sub(b'a'));
        wrong |= u8::from(number > 9) & u8::from(letter > 5);
        *digit = if number > 9 { letter.wrapping_add(10) } else { number };
    }
    let mut uuid = [0; 16];
    for (place, byte) in uuid.iter_mut().enumerate() {
        *byte = digits[2 * place] << 4 | digits[2 * place + 1];
    }
    (wrong == 0).then_some(uuid)
}

/// Appends a UUID as 36 lower-case characters.
pub fn write_uuid(uuid: &[u8; 16], out: &mut Vec<u8>) {
    for (place, byte) in uuid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests;
