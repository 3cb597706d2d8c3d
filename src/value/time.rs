//! Canonical dates, times of day and moments: ISO 8601 text, a fraction only as long as it needs to be.
//!
//! The calendar is the proleptic Gregorian one, computed as in Howard Hinnant, "chrono-Compatible Low-Level Date
//! Algorithms" (`days_from_civil`, `civil_from_days`). Years outside 0000 to 9999 are written as ISO 8601 expanded
//! years of a sign and six digits, as ECMAScript and Temporal do; what Postgres prints (`12024-…`, `… BC`) is read too.
//! Leap seconds and `24:00:00` are refused: neither survives a migration, so neither may pass for something else.

const DAY: i64 = 86_400;
const SECOND_NANOS: u64 = 1_000_000_000;
const LAST_YEAR: i64 = 999_999;
const FIRST: i64 = days_from_civil(-LAST_YEAR, 1, 1) * DAY;
const LAST: i64 = days_from_civil(LAST_YEAR, 12, 31) * DAY + DAY - 1;

/// Days of a date that lies before all dates, `-infinity`.
pub const DATE_PAST: i64 = i64::MIN;
/// Days of a date that lies after all dates, `infinity`.
pub const DATE_FUTURE: i64 = i64::MAX;

/// A point on a time line: of UTC for an instant, of the wall clock for a date and time without zone.
///
/// ```
/// use cutover::value::time::{Zone, parse_moment, write_moment};
///
/// let (moment, zone) = parse_moment("2024-01-01 12:00:00.50+02").ok_or("no moment")?;
/// assert_eq!(zone, Zone::Offset(7200));
/// let mut out = Vec::new();
/// write_moment(moment, true, &mut out);
/// assert_eq!(out, b"2024-01-01T10:00:00.5Z");
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Whole seconds since 1970-01-01T00:00:00, negative before.
    pub seconds: i64,
    /// Nanoseconds after that second, below 10^9.
    pub nanos: u32,
}

/// What a text says about the zone of its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Nothing: the moment is that of a wall clock somewhere, or infinite.
    None,
    /// Seconds east of UTC, already subtracted.
    Offset(i32),
}

/// What a moment or a time of day can be cut down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// To January 1st.
    Year,
    /// To midnight.
    Day,
    /// To the full hour.
    Hour,
    /// To the full minute.
    Minute,
    /// To the full second.
    Second,
    /// To three decimals.
    Millisecond,
    /// To six decimals.
    Microsecond,
}

/// What a number since 1970-01-01T00:00:00Z counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Moment {
    /// `-infinity`, before every moment.
    pub const PAST: Moment = Moment { seconds: i64::MIN, nanos: 0 };
    /// `infinity`, after every moment.
    pub const FUTURE: Moment = Moment { seconds: i64::MAX, nanos: 0 };

    /// Whether this is [`Moment::PAST`] or [`Moment::FUTURE`].
    pub fn is_infinite(self) -> bool {
        self == Moment::PAST || self == Moment::FUTURE
    }

    /// The moment some seconds later; an infinite one stays. `None` beyond the years that can be written.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Option<Moment> {
        if self.is_infinite() {
            return Some(self);
        }
        Moment { seconds: self.seconds.checked_add(seconds)?, nanos: self.nanos }.in_range()
    }

    /// The last full `unit` at or before this moment (before 1970 too); an infinite one stays.
    #[must_use]
    pub fn truncate(self, unit: Unit) -> Moment {
        if self.is_infinite() {
            return self;
        }
        let seconds = match unit {
            Unit::Year => {
                let (year, _, _) = civil_from_days(self.seconds.div_euclid(DAY));
                days_from_civil(year, 1, 1).saturating_mul(DAY)
            }
            _ => {
                let length = i64::try_from((unit.nanos() / SECOND_NANOS).max(1)).unwrap_or(1);
                self.seconds.saturating_sub(self.seconds.rem_euclid(length))
            }
        };
        let nanos = match unit {
            Unit::Millisecond => self.nanos - self.nanos % 1_000_000,
            Unit::Microsecond => self.nanos - self.nanos % 1_000,
            _ => 0,
        };
        Moment { seconds, nanos }
    }

    fn in_range(self) -> Option<Moment> {
        (FIRST..=LAST).contains(&self.seconds).then_some(self)
    }
}

impl Unit {
    const ALL: [Unit; 7] =
        [Unit::Year, Unit::Day, Unit::Hour, Unit::Minute, Unit::Second, Unit::Millisecond, Unit::Microsecond];

    /// The unit of that name.
    pub fn parse(name: &str) -> Option<Unit> {
        Unit::ALL.into_iter().find(|unit| unit.name() == name)
    }

    /// The name, as a plan writes it.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Year => "year",
            Unit::Day => "day",
            Unit::Hour => "hour",
            Unit::Minute => "minute",
            Unit::Second => "second",
            Unit::Millisecond => "millisecond",
            Unit::Microsecond => "microsecond",
        }
    }

    /// Every name, longest unit first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Unit::ALL.into_iter().map(Unit::name)
    }

    /// The length in nanoseconds; for a year, whose length varies, that of a day (enough for a time of day).
    fn nanos(self) -> u64 {
        match self {
            Unit::Year | Unit::Day => 86_400 * SECOND_NANOS,
            Unit::Hour => 3_600 * SECOND_NANOS,
            Unit::Minute => 60 * SECOND_NANOS,
            Unit::Second => SECOND_NANOS,
            Unit::Millisecond => 1_000_000,
            Unit::Microsecond => 1_000,
        }
    }
}

/// The moment that many units after (or before) 1970. `None` beyond the years that can be written.
pub fn from_epoch(count: i64, unit: EpochUnit) -> Option<Moment> {
    let (per_second, nanos) = units(unit);
    let rest = u32::try_from(count.rem_euclid(per_second)).ok()?;
    Moment { seconds: count.div_euclid(per_second), nanos: rest.checked_mul(nanos).unwrap_or(0) }.in_range()
}

/// How many units after (or before) 1970 a moment is. `None` if it is no whole number of them, is infinite or beyond 64 bits.
pub fn to_epoch(moment: Moment, unit: EpochUnit) -> Option<i64> {
    let (per_second, nanos) = units(unit);
    if moment.is_infinite() || !moment.nanos.is_multiple_of(nanos) {
        return None;
    }
    moment.seconds.checked_mul(per_second)?.checked_add(i64::from(moment.nanos / nanos))
}

/// How many of a unit make a second, and how many nanoseconds one is.
fn units(unit: EpochUnit) -> (i64, u32) {
    match unit {
        EpochUnit::Seconds => (1, 1_000_000_000),
        EpochUnit::Millis => (1_000, 1_000_000),
        EpochUnit::Micros => (1_000_000, 1_000),
        EpochUnit::Nanos => (1_000_000_000, 1),
    }
}

/// Reads `2024-01-01T10:00:00Z` and its kin: a date, `T` or one blank, `HH:MM[:SS[.fraction]]`, perhaps one blank and
/// a zone (`Z`, `±HH`, `±HHMM`, `±HH:MM`, `±HH:MM:SS`), perhaps ` BC`; or `infinity`, `-infinity`.
///
/// With a zone the moment is of UTC, without one of the wall clock. Refused are days and times that do not exist and
/// fractions finer than a nanosecond.
pub fn parse_moment(text: &str) -> Option<(Moment, Zone)> {
    moment_of(text.as_bytes())
}

/// The same for text that nobody has looked at yet.
pub(super) fn moment_of(bytes: &[u8]) -> Option<(Moment, Zone)> {
    if let Some(known) = fixed(bytes) {
        return Some(known);
    }
    let Some((date, rest)) = read_date(bytes) else { return infinite(bytes).map(|moment| (moment, Zone::None)) };
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return None };
    let (second, nanos, rest) = read_time(rest)?;
    let (zone, rest) = read_zone(rest)?;
    let offset = if let Zone::Offset(offset) = zone { i64::from(offset) } else { 0 };
    let seconds = date.days(rest)? * DAY + i64::from(second) - offset;
    Some((Moment { seconds, nanos }.in_range()?, zone))
}

/// Appends a moment as `2024-01-01T10:00:00`, with the fraction if there is one, and with `Z` if `zulu`; or as
/// `infinity`, `-infinity`. Reading it gives the same moment.
pub fn write_moment(moment: Moment, zulu: bool, out: &mut Vec<u8>) {
    match moment {
        Moment::PAST => return out.extend_from_slice(b"-infinity"),
        Moment::FUTURE => return out.extend_from_slice(b"infinity"),
        _ => {}
    }
    write_date(moment.seconds.div_euclid(DAY), out);
    out.push(b'T');
    write_clock(moment.seconds.rem_euclid(DAY).unsigned_abs(), moment.nanos, out);
    if zulu {
        out.push(b'Z');
    }
}

/// Reads `2024-01-31`, also as Postgres and ISO 8601 write far years, or `infinity`, `-infinity`. In days since
/// 1970-01-01.
pub fn parse_date(text: &str) -> Option<i64> {
    match read_date(text.as_bytes()) {
        Some((date, rest)) => date.days(rest),
        None => infinite(text.as_bytes()).map(|moment| moment.seconds),
    }
}

/// Appends a date as `2024-01-31`, or `infinity`, `-infinity`.
pub fn write_date(days: i64, out: &mut Vec<u8>) {
    match days {
        DATE_PAST => return out.extend_from_slice(b"-infinity"),
        DATE_FUTURE => return out.extend_from_slice(b"infinity"),
        _ => {}
    }
    let (year, month, day) = civil_from_days(days);
    let [m, n, d, e] = [digit(month / 10), digit(month), digit(day / 10), digit(day)];
    let age = year.unsigned_abs();
    if (0..=9999).contains(&year) {
        let [a, b, c] = [digit(age / 1000), digit(age / 100), digit(age / 10)];
        return out.extend_from_slice(&[a, b, c, digit(age), b'-', m, n, b'-', d, e]);
    }
    let sign = if year < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("{sign}{age:06}").as_bytes());
    out.extend_from_slice(&[b'-', m, n, b'-', d, e]);
}

/// Reads `HH:MM[:SS[.fraction]]` without a zone, in nanoseconds since midnight.
pub fn parse_time(text: &str) -> Option<u64> {
    let (second, nanos, rest) = read_time(text.as_bytes())?;
    rest.is_empty().then_some(u64::from(second) * SECOND_NANOS + u64::from(nanos))
}

/// Appends a time of day as `10:00:00`, with the fraction if there is one.
pub fn write_time(nanos: u64, out: &mut Vec<u8>) {
    write_clock(nanos / SECOND_NANOS, u32::try_from(nanos % SECOND_NANOS).unwrap_or(0), out);
}

/// The time of day, in nanoseconds, cut down to the last full unit; midnight for a day or a year.
pub fn truncate_time(nanos: u64, unit: Unit) -> u64 {
    nanos - nanos % unit.nanos()
}

/// A date as read, before it is known whether ` BC` follows.
struct Date {
    year: i64,
    signed: bool,
    month: u32,
    day: u32,
}

impl Date {
    /// The days since 1970-01-01, if the date exists and `rest` is nothing but perhaps ` BC`.
    #[inline]
    fn days(self, rest: &[u8]) -> Option<i64> {
        let year = match rest {
            b"" => self.year,
            b" BC" if self.year > 0 && !self.signed => 1 - self.year,
            _ => return None,
        };
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match self.month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=length).contains(&self.day).then(|| days_from_civil(year, self.month, self.day))
    }
}

/// `YYYY-MM-DD HH:MM:SS`, with `T` or a blank between, perhaps a fraction, and nothing or `Z` behind: how nearly all are written.
/// Whether all digits are digits is asked once, at the end.
#[inline(always)]
fn fixed(bytes: &[u8]) -> Option<(Moment, Zone)> {
    let (text, rest) = bytes.split_first_chunk::<19>()?;
    let (fraction, zone) = match rest {
        [fraction @ .., b'Z'] => (fraction, Zone::Offset(0)),
        fraction => (fraction, Zone::None),
    };
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] => short_fraction(digits)?,
        _ => return None,
    };
    let mut wrong = (text[4] ^ b'-') | (text[7] ^ b'-') | (text[13] ^ b':') | (text[16] ^ b':');
    wrong |= u8::from(text[10] != b' ' && text[10] != b'T');
    let mut two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        wrong |= u8::from(tens > 9) | u8::from(ones > 9);
        u32::from(tens) * 10 + u32::from(ones)
    };
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    // A day beyond the 28th is left to whoever knows the months.
    let calm = (1..=12).contains(&month) && (1..=28).contains(&day) && hour < 24 && minute < 60 && second < 60;
    (wrong == 0 && calm).then(|| {
        let seconds =
            days_from_civil(i64::from(year), month, day) * DAY + i64::from(hour * 3600 + minute * 60 + second);
        (Moment { seconds, nanos }, zone)
    })
}

/// Up to nine digits as nanoseconds.
#[inline(always)]
fn short_fraction(digits: &[u8]) -> Option<u32> {
    const UNITS: [u32; 9] = [100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    let unit = UNITS.get(digits.len().checked_sub(1)?)?;
    let (mut value, mut wrong) = (0, false);
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        wrong |= digit > 9;
        value = u32::wrapping_add(u32::wrapping_mul(value, 10), u32::from(digit));
    }
    (!wrong).then(|| value * unit)
}

#[inline]
fn read_date(bytes: &[u8]) -> Option<(Date, &[u8])> {
    let (year, signed, rest) = match bytes {
        [a, b, c, d, b'-', rest @ ..] if a.is_ascii_digit() => (two(*a, *b)? * 100 + two(*c, *d)?, false, rest),
        _ => return read_far_date(bytes),
    };
    let [a, b, b'-', c, d, rest @ ..] = rest else { return None };
    Some((Date { year: i64::from(year), signed, month: two(*a, *b)?, day: two(*c, *d)? }, rest))
}

/// A date whose year is not of four digits: five or six without a leading zero, or a sign and four to six.
#[cold]
fn read_far_date(bytes: &[u8]) -> Option<(Date, &[u8])> {
    let (negative, signed, rest) = match bytes {
        [b'-', rest @ ..] => (true, true, rest),
        [b'+', rest @ ..] => (false, true, rest),
        [b'1'..=b'9', ..] => (false, false, bytes),
        _ => return None,
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(length);
    if !(4..=6).contains(&length) {
        return None;
    }
    let year = digits.iter().fold(0, |year, digit| year * 10 + i64::from(digit - b'0'));
    let [b'-', a, b, b'-', c, d, rest @ ..] = rest else { return None };
    if negative && year == 0 {
        return None;
    }
    let year = if negative { -year } else { year };
    Some((Date { year, signed, month: two(*a, *b)?, day: two(*c, *d)? }, rest))
}

/// The second of the day, the nanoseconds, and what follows.
#[inline]
fn read_time(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let [a, b, b':', c, d, rest @ ..] = bytes else { return None };
    let (hour, minute) = (two(*a, *b)?, two(*c, *d)?);
    let (second, nanos, rest) = match rest {
        [b':', a, b, b'.', rest @ ..] => {
            let (nanos, rest) = read_fraction(rest)?;
            (two(*a, *b)?, nanos, rest)
        }
        [b':', a, b, rest @ ..] => (two(*a, *b)?, 0, rest),
        _ => (0, 0, rest),
    };
    (hour < 24 && minute < 60 && second < 60).then_some((hour * 3600 + minute * 60 + second, nanos, rest))
}

#[inline]
fn read_fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    const PLACES: u32 = 9;
    let (mut nanos, mut length) = (0, 0);
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        match digit {
            10.. => break,
            _ if length < PLACES => nanos = nanos * 10 + u32::from(digit),
            0 => {}
            _ => return None,
        }
        length += 1;
    }
    let nanos = nanos * 10_u32.pow(PLACES.saturating_sub(length));
    (length > 0).then(|| (nanos, &bytes[length as usize..]))
}

#[inline]
fn read_zone(bytes: &[u8]) -> Option<(Zone, &[u8])> {
    let (sign, rest) = match bytes {
        [] | [b' ', b'B', ..] => return Some((Zone::None, bytes)),
        [b'Z' | b'z', rest @ ..] | [b' ', b'Z' | b'z', rest @ ..] => return Some((Zone::Offset(0), rest)),
        [b'+', rest @ ..] | [b' ', b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] | [b' ', b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let [a, b, rest @ ..] = rest else { return None };
    let hour = two(*a, *b)?;
    let (minute, second, rest) = match rest {
        [b':', a, b, b':', c, d, rest @ ..] => (two(*a, *b)?, two(*c, *d)?, rest),
        [b':', a, b, rest @ ..] => (two(*a, *b)?, 0, rest),
        [a @ b'0'..=b'9', b, rest @ ..] => (two(*a, *b)?, 0, rest),
        _ => (0, 0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset = i32::try_from(hour * 3600 + minute * 60 + second).ok()?;
    Some((Zone::Offset(sign * offset), rest))
}

fn infinite(bytes: &[u8]) -> Option<Moment> {
    match bytes {
        b"infinity" => Some(Moment::FUTURE),
        b"-infinity" => Some(Moment::PAST),
        _ => None,
    }
}

fn write_clock(second: u64, nanos: u32, out: &mut Vec<u8>) {
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let [a, b] = [digit(hour / 10), digit(hour)];
    let [c, d] = [digit(minute / 10), digit(minute)];
    out.extend_from_slice(&[a, b, b':', c, d, b':', digit(second / 10), digit(second)]);
    if nanos == 0 {
        return;
    }
    let mut fraction = *b".000000000";
    let (mut rest, mut length) = (u64::from(nanos), 1);
    for (place, byte) in fraction.iter_mut().enumerate().skip(1).rev() {
        *byte = digit(rest);
        if *byte != b'0' {
            length = length.max(place + 1);
        }
        rest /= 10;
    }
    out.extend_from_slice(&fraction[..length]);
}

/// The last decimal digit of a number, as text.
#[inline]
fn digit(number: u64) -> u8 {
    b"0123456789"[(number % 10) as usize]
}

/// The value of two decimal digits.
#[inline]
fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(u32::from(tens) * 10 + u32::from(ones))
}

/// Days since 1970-01-01 of a date that exists. Years start in March, so that the leap day comes last.
const fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = (month as i64 + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day as i64 - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day.
fn civil_from_days(days: i64) -> (i64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097).unsigned_abs());
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + i64::try_from(year_of_era).unwrap_or(0) + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests;
