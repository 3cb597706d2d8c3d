//! Casts: from what a store hands out to the one canonical cell of a column's type.
//!
//! A cast never guesses. What does not say exactly one thing in the type stays what it is, keeps its own tag, and so
//! compares unequal to everything that did fit; the caller is told.

use super::{
    Type, Value,
    cell::{self, tag},
    decimal, json, parse_uuid,
    time::{self, EpochUnit, Moment, Unit, Zone},
    uuid_of, write_uuid,
};

/// How the values of one column become cells.
///
/// ```
/// use cutover::value::{Type, Value, cast::Cast, cell};
///
/// let (mut text, mut truth) = (Vec::new(), Vec::new());
/// let cast = Cast::new(Type::Bool);
/// assert!(cast.write(Value::Text("true"), false, &mut text));
/// assert!(cast.write(Value::Int(1), false, &mut truth));
/// assert_eq!(text, truth);
/// assert!(!cast.write(Value::Int(2), false, &mut Vec::new()));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// What it becomes.
    pub ty: Type,
    /// The zone in which an instant without one is read. UTC if there is none.
    pub zone: Option<jiff::tz::TimeZone>,
    /// What a number means where an instant is wanted. Without it a number is no instant.
    pub epoch: Option<EpochUnit>,
    /// A declared tolerance.
    pub coarsen: Option<Coarsening>,
    /// Whether an empty text is NULL, as in a CSV file, which cannot say NULL.
    pub empty_is_null: bool,
}

/// A tolerance that the plan declares for a column; it is applied to both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coarsening {
    /// Cut a time to a unit.
    Truncate(Unit),
    /// Round a number to so many decimals, half away from zero.
    Round(u32),
}

impl Cast {
    /// A cast to `ty` with nothing special.
    pub fn new(ty: Type) -> Cast {
        Cast { ty, ..Cast::default() }
    }

    /// Appends the cell of `value`. False: it does not fit the type and was appended as it is.
    #[inline(always)]
    pub fn write(&self, value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
        // Stores hand out these three and NULL. Each goes through a copy of the cast that knows what it has, in registers; told
        // apart only further down, a value has to go through memory, which takes as long as the rest of it.
        match value {
            Value::Null => {
                out.push(tag::NULL);
                true
            }
            _ if self.is_there(value) => {
                cell::encode(value, ordered, out);
                true
            }
            Value::Int(it) => self.write_int(it, ordered, out),
            Value::Real(it) => self.write_real(it, ordered, out),
            Value::Raw(it) => self.write_raw(it, ordered, out),
            Value::Text(it) => self.write_text(it, ordered, out),
            _ => self.write_other(value, ordered, out),
        }
    }

    /// Whether the value is of the type already, and as it is to be.
    #[inline(always)]
    fn is_there(&self, value: Value<'_>) -> bool {
        match value {
            Value::Int(_) => self.ty == Type::Int,
            Value::Bool(_) => self.ty == Type::Bool,
            Value::Uuid(_) => self.ty == Type::Uuid,
            Value::Date(_) => self.ty == Type::Date,
            Value::Timestamp(_) => self.ty == Type::Timestamp && self.coarsen.is_none(),
            Value::DateTime(_) => self.ty == Type::DateTime && self.coarsen.is_none(),
            _ => false,
        }
    }

    /// The same as for [`Value::Decimal`], for the number `whole` divided by 10 as often as there are `places`, of which there may be
    /// [`decimal::SCALED`].
    #[inline(always)]
    pub fn write_scaled(&self, whole: i64, places: usize, ordered: bool, out: &mut Vec<u8>) -> bool {
        if self.ty == Type::Decimal && self.coarsen.is_none() && !ordered {
            let start = cell::open(tag::DECIMAL, out);
            decimal::from_scaled(whole, places, out);
            cell::close(start, out);
            return true;
        }
        let mut text = Vec::new();
        decimal::from_scaled(whole, places, &mut text);
        self.write(Value::Decimal(std::str::from_utf8(&text).unwrap_or_default()), ordered, out)
    }

    /// The same as for [`Value::Raw`], for a document that has blanks, as Postgres writes `jsonb`: it is not asked first whether it is
    /// canonical already.
    #[inline(always)]
    pub fn write_spaced(&self, value: &[u8], ordered: bool, out: &mut Vec<u8>) -> bool {
        if self.ty == Type::Json && !ordered {
            self.write_spaced_json(value, out)
        } else {
            self.write_raw(value, ordered, out)
        }
    }

    /// What is most common in a column of each type is told from the bytes alone, each type in a small function of its own, for
    /// the sake of registers. All else is looked at as text.
    #[inline(always)]
    fn write_raw(&self, value: &[u8], ordered: bool, out: &mut Vec<u8>) -> bool {
        match self.ty {
            Type::Text if value.is_ascii() && !(self.empty_is_null && value.is_empty()) => {
                cell::encode_ascii(tag::TEXT, value, ordered, out);
                true
            }
            Type::Json if !ordered => self.write_raw_json(value, out),
            Type::Uuid => self.write_raw_uuid(value, ordered, out),
            Type::Timestamp => self.write_raw_timestamp(value, ordered, out),
            _ => self.write_unread(value, ordered, out),
        }
    }

    fn write_raw_json(&self, value: &[u8], out: &mut Vec<u8>) -> bool {
        if value.is_ascii() && json::is_canonical(value) {
            cell::encode_ascii(tag::JSON, value, false, out);
            return true;
        }
        self.write_spaced_json(value, out)
    }

    fn write_spaced_json(&self, value: &[u8], out: &mut Vec<u8>) -> bool {
        let start = cell::open(tag::JSON, out);
        if json::canonical_bytes(value, out) {
            cell::close(start, out);
            return true;
        }
        cell::undo(start, out);
        self.write_unread(value, false, out)
    }

    fn write_raw_uuid(&self, value: &[u8], ordered: bool, out: &mut Vec<u8>) -> bool {
        match uuid_of(value) {
            Some(it) => put(Some(Value::Uuid(it)), ordered, out),
            None => self.write_unread(value, ordered, out),
        }
    }

    fn write_raw_timestamp(&self, value: &[u8], ordered: bool, out: &mut Vec<u8>) -> bool {
        match time::moment_of(value).and_then(|it| self.placed(it)) {
            Some(it) => put(Some(Value::Timestamp(self.truncated(it))), ordered, out),
            None => self.write_unread(value, ordered, out),
        }
    }

    #[inline(never)]
    fn write_unread(&self, value: &[u8], ordered: bool, out: &mut Vec<u8>) -> bool {
        match std::str::from_utf8(value) {
            Ok(it) => self.write_text(it, ordered, out),
            Err(_) => self.write_other(Value::Malformed(value), ordered, out),
        }
    }

    /// Whether a cell that begins with `tag` is of this type.
    pub fn fits(&self, tag: u8) -> bool {
        match self.ty {
            _ if tag == tag::NULL => true,
            Type::Any => tag != tag::MALFORMED,
            Type::Bool => tag == tag::BOOL,
            Type::Int => matches!(tag, tag::INT | tag::INT_LOW | tag::INT_HIGH),
            Type::Real => tag == tag::REAL,
            Type::Decimal => tag == tag::DECIMAL,
            Type::Text => tag == tag::TEXT,
            Type::Bytes => tag == tag::BYTES,
            Type::Date => tag == tag::DATE,
            Type::Time => tag == tag::TIME,
            Type::Timestamp => tag == tag::TIMESTAMP,
            Type::DateTime => tag == tag::DATETIME,
            Type::Uuid => tag == tag::UUID,
            Type::Json => tag == tag::JSON,
        }
    }

    fn write_int(&self, value: i64, ordered: bool, out: &mut Vec<u8>) -> bool {
        self.write_known(Value::Int(value), ordered, out)
    }

    fn write_real(&self, value: f64, ordered: bool, out: &mut Vec<u8>) -> bool {
        self.write_known(Value::Real(value), ordered, out)
    }

    fn write_text(&self, value: &str, ordered: bool, out: &mut Vec<u8>) -> bool {
        if self.empty_is_null && value.is_empty() {
            out.push(tag::NULL);
            return true;
        }
        self.write_known(Value::Text(value), ordered, out)
    }

    fn write_other(&self, value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
        match value {
            Value::Json(it) if self.ty != Type::Json => {
                let start = out.len();
                let fits = self.meaning_of_json(it, ordered, out);
                if !fits {
                    out.truncate(start);
                    // A value that does not fit is the same one in a store that does not hold JSON.
                    if !self.plain(it, ordered, out) {
                        out.truncate(start);
                        keep(value, ordered, out);
                    }
                }
                fits
            }
            _ => self.write_known(value, ordered, out),
        }
    }

    #[inline(always)]
    fn write_known(&self, value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let fits = self.fit_known(value, ordered, out);
        if !fits {
            out.truncate(start);
            keep(value, ordered, out);
        }
        fits
    }

    fn fit(&self, value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
        self.fit_known(value, ordered, out)
    }

    /// Appends the cell if the value fits; what it leaves behind otherwise is for the caller to cut off.
    #[inline(always)]
    fn fit_known(&self, value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
        match self.ty {
            Type::Any => {
                match value {
                    // An integer stays one, however large.
                    Value::Decimal(it) if is_integer(it) && it.parse::<i64>().is_err() => {
                        cell::encode_integer(it, ordered, out);
                    }
                    _ => keep(value, ordered, out),
                }
                !matches!(value, Value::Malformed(_))
            }
            Type::Bool => put(as_bool(value).map(Value::Bool), ordered, out),
            Type::Int => self.integer(value, ordered, out),
            Type::Real => put(as_real(value).map(|it| self.rounded_real(it)), ordered, out),
            Type::Decimal => self.decimal(value, ordered, out),
            Type::Text => as_text(value, |text| cell::encode(Value::Text(text), ordered, out)),
            Type::Bytes => put(matches!(value, Value::Bytes(_)).then_some(value), ordered, out),
            Type::Date => put(as_date(value).map(Value::Date), ordered, out),
            Type::Time => put(as_time(value).map(|it| Value::Time(self.truncated_time(it))), ordered, out),
            Type::Timestamp => put(self.instant(value).map(|it| Value::Timestamp(self.truncated(it))), ordered, out),
            Type::DateTime => put(as_civil(value).map(|it| Value::DateTime(self.truncated(it))), ordered, out),
            Type::Uuid => put(as_uuid(value).map(Value::Uuid), ordered, out),
            Type::Json => document(value, ordered, out),
        }
    }

    /// A JSON value where something else is wanted means what its kind says.
    fn meaning_of_json(&self, text: &str, ordered: bool, out: &mut Vec<u8>) -> bool {
        let mut canonical = Vec::new();
        let text = if is_canonical(text) {
            text
        } else {
            if json::canonical(text, &mut canonical).is_err() {
                return false;
            }
            let Ok(text) = std::str::from_utf8(&canonical) else { return false };
            text
        };
        match json::kind(text) {
            json::JsonKind::Null => put(Some(Value::Null), ordered, out),
            json::JsonKind::Bool(it) => self.fit(Value::Bool(it), ordered, out),
            json::JsonKind::String => match json::read_string(text) {
                Some(it) if it.is_empty() && self.empty_is_null => put(Some(Value::Null), ordered, out),
                Some(it) => self.fit(Value::Text(&it), ordered, out),
                None => false,
            },
            json::JsonKind::Number if self.ty == Type::Any && is_integer(text) => {
                cell::encode_integer(text, ordered, out);
                true
            }
            json::JsonKind::Number if !matches!(self.ty, Type::Any | Type::Text) => {
                match text.parse().ok().filter(|_| is_integer(text)) {
                    Some(it) => self.fit(Value::Int(it), ordered, out),
                    None => self.fit(Value::Decimal(text), ordered, out),
                }
            }
            _ if self.ty == Type::Text => put(Some(Value::Text(text)), ordered, out),
            json::JsonKind::Array | json::JsonKind::Object if self.ty != Type::Any => false,
            _ => put(Some(Value::Json(text)), ordered, out),
        }
    }

    /// Appends a JSON scalar as the value that a store without JSON hands out. False for what only JSON says: a document, and
    /// a number spelt in another way than a 64-bit integer or a double is written, as no two spellings of a number are one.
    fn plain(&self, text: &str, ordered: bool, out: &mut Vec<u8>) -> bool {
        let value = match text.parse() {
            Ok(it) if is_integer(text) => Value::Int(it),
            _ => match text.parse().ok().filter(|it| zmij::Buffer::new().format(*it) == text) {
                Some(it) => Value::Real(it),
                None if matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9')) => return false,
                None => return Cast::default().meaning_of_json(text, ordered, out),
            },
        };
        put(Some(value), ordered, out)
    }

    fn integer(&self, value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
        match value {
            Value::Int(it) => cell::encode(Value::Int(it), ordered, out),
            // Beyond 2^53 a double no longer says which integer it stands for.
            Value::Real(it) if it.fract() == 0.0 && it.abs() <= EXACT => {
                cell::encode(Value::Int(it as i64), ordered, out);
            }
            Value::Text(it) if is_integer(it) => cell::encode_integer(it, ordered, out),
            Value::Decimal(it) => {
                let mut text = Vec::new();
                if !decimal::canonical(it, &mut text) {
                    return false;
                }
                match std::str::from_utf8(&text) {
                    Ok(text) if is_integer(text) => cell::encode_integer(text, ordered, out),
                    _ => return false,
                }
            }
            _ => return false,
        }
        true
    }

    #[inline(always)]
    fn decimal(&self, value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
        if ordered || self.coarsen.is_some() {
            let mut text = Vec::new();
            if !write_decimal(value, &mut text) {
                return false;
            }
            let Ok(mut text) = String::from_utf8(text) else { return false };
            if let Some(Coarsening::Round(places)) = self.coarsen {
                let mut rounded = Vec::new();
                decimal::round(&text, places, &mut rounded);
                text = String::from_utf8(rounded).unwrap_or_default();
            }
            cell::encode(Value::Decimal(&text), ordered, out);
            return true;
        }
        let start = cell::open(tag::DECIMAL, out);
        let fits = write_decimal(value, out);
        cell::close(start, out);
        fits
    }

    fn rounded_real(&self, value: f64) -> Value<'static> {
        let Some(Coarsening::Round(places)) = self.coarsen else { return Value::Real(value) };
        let (mut exact, mut rounded) = (Vec::new(), Vec::new());
        decimal::from_f64(value, &mut exact);
        decimal::round(std::str::from_utf8(&exact).unwrap_or("0"), places, &mut rounded);
        Value::Real(std::str::from_utf8(&rounded).ok().and_then(|it| it.parse().ok()).unwrap_or(value))
    }

    fn truncated(&self, moment: Moment) -> Moment {
        match self.coarsen {
            Some(Coarsening::Truncate(unit)) => moment.truncate(unit),
            _ => moment,
        }
    }

    fn truncated_time(&self, nanos: u64) -> u64 {
        match self.coarsen {
            Some(Coarsening::Truncate(unit)) => time::truncate_time(nanos, unit),
            _ => nanos,
        }
    }

    #[inline(always)]
    fn instant(&self, value: Value<'_>) -> Option<Moment> {
        match value {
            Value::Timestamp(it) => Some(it),
            Value::DateTime(it) => self.zoned(it),
            Value::Int(it) => time::from_epoch(it, self.epoch?),
            Value::Text(it) => match time::parse_moment(it) {
                Some(it) => self.placed(it),
                None => time::from_epoch(it.parse().ok().filter(|_| is_integer(it))?, self.epoch?),
            },
            _ => None,
        }
    }

    fn placed(&self, (moment, zone): (Moment, Zone)) -> Option<Moment> {
        match zone {
            Zone::Offset(_) => Some(moment),
            Zone::None => self.zoned(moment),
        }
    }

    /// The instant at which the clocks of the plan's zone show `civil`; the earlier one where they show it twice.
    fn zoned(&self, civil: Moment) -> Option<Moment> {
        let Some(zone) = &self.zone else { return Some(civil) };
        if civil == Moment::PAST || civil == Moment::FUTURE {
            return Some(civil);
        }
        let wall = jiff::Timestamp::new(civil.seconds, civil.nanos as i32).ok()?;
        let wall = jiff::tz::TimeZone::UTC.to_datetime(wall);
        let instant = zone.to_ambiguous_timestamp(wall).compatible().ok()?;
        Some(Moment { seconds: instant.as_second(), nanos: u32::try_from(instant.subsec_nanosecond()).ok()? })
    }
}

/// The largest integer up to which every integer is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Significant digits up to which different numbers are different doubles, and how many the longest double has.
const SHORT: usize = 15;
const LONG: usize = 767;

/// Whether text is an integer written the one canonical way: no plus, no leading zeros, no `-0`.
pub fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether a JSON value is canonical at first sight, as most cells of a file are: a string without escapes, a plain integer
/// or a word.
fn is_canonical(json: &str) -> bool {
    match json.as_bytes() {
        [b'"', inside @ .., b'"'] => inside.iter().all(|&it| it >= b' ' && it != b'"' && it != b'\\'),
        _ => is_integer(json) || matches!(json, "null" | "true" | "false"),
    }
}

#[inline(always)]
fn put(value: Option<Value<'_>>, ordered: bool, out: &mut Vec<u8>) -> bool {
    let Some(value) = value else { return false };
    cell::encode(value, ordered, out);
    true
}

/// Appends a value as it is, in the canonical form of its own class.
#[inline(never)]
fn keep(value: Value<'_>, ordered: bool, out: &mut Vec<u8>) {
    let mut canonical = Vec::new();
    let text = match value {
        Value::Decimal(it) => decimal::canonical(it, &mut canonical).then_some(it),
        Value::Json(it) => json::canonical(it, &mut canonical).ok().map(|()| it),
        _ => return cell::encode(value, ordered, out),
    };
    let canonical = std::str::from_utf8(&canonical).unwrap_or_default();
    match (value, text) {
        (Value::Decimal(_), Some(_)) => cell::encode(Value::Decimal(canonical), ordered, out),
        (_, Some(_)) => cell::encode(Value::Json(canonical), ordered, out),
        (Value::Decimal(it) | Value::Json(it), None) => cell::encode(Value::Text(it), ordered, out),
        _ => {}
    }
}

#[inline(always)]
fn as_bool(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(it) => Some(it),
        Value::Int(it) => [false, true].into_iter().find(|&truth| i64::from(truth) == it),
        Value::Real(it) => [false, true].into_iter().find(|&truth| f64::from(u8::from(truth)) == it),
        Value::Decimal(_) => as_bool(Value::Real(as_real(value)?)),
        Value::Text(it) if it.len() <= 5 => match it.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" => Some(true),
            "f" | "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[inline(always)]
fn as_real(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Real(it) => Some(it),
        Value::Int(it) => Some(it as f64).filter(|real| *real as i128 == i128::from(it)),
        Value::Decimal(it) | Value::Text(it) => double(it),
        _ => None,
    }
}

/// The double that the number in `text` stands for. Nothing, if writing that double with as many digits gives another
/// number: then the text says more than a double can hold.
fn double(text: &str) -> Option<f64> {
    let mut exact = Vec::new();
    // `parse` also takes words such as `inf`; the grammar of decimals decides what is a number.
    if !decimal::canonical(text, &mut exact) {
        return None;
    }
    let real: f64 = text.parse().ok()?;
    let telling = |it: &u8| matches!(it, b'1'..=b'9');
    let (Some(first), Some(last)) = (exact.iter().position(telling), exact.iter().rposition(telling)) else {
        return Some(real);
    };
    let digits = exact[first..=last].iter().filter(|it| it.is_ascii_digit()).count();
    if digits <= SHORT && real.is_normal() {
        return Some(real);
    }
    if digits > LONG || real.is_infinite() {
        return None;
    }
    let mut written = Vec::new();
    decimal::canonical(&format!("{real:.*e}", digits - 1), &mut written);
    (written == exact).then_some(real)
}

#[inline(always)]
fn write_decimal(value: Value<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Int(it) => decimal::from_i64(it, out),
        Value::Real(it) => decimal::from_f64(it, out),
        Value::Decimal(it) | Value::Text(it) => return decimal::canonical(it, out),
        _ => return false,
    }
    true
}

#[inline(always)]
fn as_text(value: Value<'_>, mut then: impl FnMut(&str)) -> bool {
    let mut out = Vec::new();
    match value {
        Value::Text(it) => {
            then(it);
            return true;
        }
        Value::Bool(it) => out.extend_from_slice(if it { b"true" } else { b"false" }),
        Value::Int(_) | Value::Real(_) | Value::Decimal(_) => {
            if !write_decimal(value, &mut out) {
                return false;
            }
        }
        Value::Date(it) => time::write_date(it, &mut out),
        Value::Time(it) => time::write_time(it, &mut out),
        Value::Timestamp(it) => time::write_moment(it, true, &mut out),
        Value::DateTime(it) => time::write_moment(it, false, &mut out),
        Value::Uuid(it) => write_uuid(&it, &mut out),
        _ => return false,
    }
    std::str::from_utf8(&out).map(then).is_ok()
}

#[inline(always)]
fn as_date(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Date(it) => Some(it),
        Value::Text(it) => time::parse_date(it),
        _ => None,
    }
}

#[inline(always)]
fn as_time(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Time(it) => Some(it),
        Value::Text(it) => time::parse_time(it),
        _ => None,
    }
}

#[inline(always)]
fn as_civil(value: Value<'_>) -> Option<Moment> {
    match value {
        Value::DateTime(it) => Some(it),
        Value::Text(it) => match time::parse_moment(it)? {
            (moment, Zone::None) => Some(moment),
            _ => None,
        },
        _ => None,
    }
}

#[inline(always)]
fn as_uuid(value: Value<'_>) -> Option<[u8; 16]> {
    match value {
        Value::Uuid(it) => Some(it),
        Value::Text(it) => parse_uuid(it),
        Value::Bytes(it) => it.try_into().ok(),
        _ => None,
    }
}

/// Appends the cell of a JSON document: a text is parsed, a number or a truth value is the document of that name.
#[inline(always)]
fn document(value: Value<'_>, ordered: bool, out: &mut Vec<u8>) -> bool {
    let number;
    let text = match value {
        Value::Text(it) | Value::Json(it) | Value::Decimal(it) => it,
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Int(_) | Value::Real(_) => {
            let mut out = Vec::new();
            write_decimal(value, &mut out);
            number = String::from_utf8(out).unwrap_or_default();
            &number
        }
        _ => return false,
    };
    if ordered {
        let mut canonical = Vec::new();
        let canonical = json::canonical(text, &mut canonical).ok().and_then(|()| std::str::from_utf8(&canonical).ok());
        return put(canonical.map(Value::Json), true, out);
    }
    let start = cell::open(tag::JSON, out);
    let fits = json::canonical(text, out).is_ok();
    cell::close(start, out);
    fits
}
