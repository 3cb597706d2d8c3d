//! Canonical decimals: exact numbers of any length as text.
//!
//! An optional `-`, whole digits without leading zeros, and a fraction without trailing zeros if there is one. Never
//! an exponent, never `-0`. Beside the numbers stand `NaN`, `Infinity` and `-Infinity`, which Postgres can hold.
use std::cmp::Ordering;

/// The longest text, in bytes, that is read as a number; Postgres, which goes farthest, ends at 147,457 digits.
pub const LONGEST: usize = 1 << 24;

/// The longest text, in bytes without its sign, that an exponent may expand to.
pub const EXPANDED: usize = 1_000_000;

/// Appends the canonical form of a number to `out`; false, and `out` as it was, if `text` is not one.
///
/// Read are `[+-]digits[.digits]` with digits missing on one side of the point at most, then perhaps an exponent, and
/// `NaN`, `Inf`, `Infinity` in any case, signed or not (the sign of a NaN means nothing). Blanks are not read.
///
/// ```
/// use cutover::value::decimal::canonical;
///
/// let mut out = Vec::new();
/// assert!(canonical("+010.50", &mut out));
/// assert_eq!(out, b"10.5");
/// assert!(!canonical("10,50", &mut out));
/// ```
pub fn canonical(text: &str, out: &mut Vec<u8>) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() > LONGEST {
        return false;
    }
    let (negative, number) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    let point = digits_end(number, 0);
    let end = if number.get(point) == Some(&b'.') { digits_end(number, point + 1) } else { point };
    if end == 0 || number[..end] == *b"." {
        return special(negative, number, out);
    }
    match number.get(end) {
        None => write_plain(negative, &number[..end], point, out),
        Some(b'e' | b'E') => {
            let Some(exponent) = read_exponent(&number[end + 1..]) else { return false };
            let fraction = number.get(point + 1..end).unwrap_or_default();
            return expand(negative, &number[..point], fraction, exponent, out);
        }
        Some(_) => return false,
    }
    true
}

/// Appends the shortest decimal that reads back as the same double; negative zero is `0`.
pub fn from_f64(value: f64, out: &mut Vec<u8>) {
    // Most numbers are amounts of money, so two places are tried first.
    for (places, ten) in [(2, 100.0), (4, 10_000.0)] {
        let scaled = value * ten;
        // Below 10^15 any two different decimals of at most 15 digits are different doubles. Division rounds
        // correctly, so if n / 10^places is the value then n without its trailing zeros is the one shortest decimal.
        // A NaN equals nothing and leaves the loop at its end.
        if scaled.abs() >= 1e15 {
            break;
        }
        let whole = (scaled + 0.5_f64.copysign(scaled)) as i64;
        if whole as f64 / ten == value {
            return from_scaled(whole, places, out);
        }
    }
    // Infinities, NaN and every finite double are texts that `canonical` reads.
    canonical(zmij::Buffer::new().format(value), out);
}

/// Appends an integer.
pub fn from_i64(value: i64, out: &mut Vec<u8>) {
    from_scaled(value, 0, out);
}

/// The most places of [`from_scaled`].
pub const SCALED: usize = 19;

/// Appends `whole` divided by 10 as often as there are `places`, of which there may be [`SCALED`].
///
/// ```
/// use cutover::value::decimal::from_scaled;
///
/// let mut out = Vec::new();
/// from_scaled(-1050, 3, &mut out);
/// assert_eq!(out, b"-1.05");
/// ```
pub fn from_scaled(mut whole: i64, mut places: usize, out: &mut Vec<u8>) {
    while places > 0 && whole % 10 == 0 {
        whole /= 10;
        places -= 1;
    }
    // From the last character to the first: at most 20 digits, a point and a sign.
    let mut buffer = [b'0'; 24];
    let (mut at, mut rest) = (buffer.len(), whole.unsigned_abs());
    let mut put = |character: u8| {
        at = at.saturating_sub(1);
        buffer[at] = character;
    };
    if places > 0 {
        for _ in 0..places.min(SCALED) {
            put(b'0' + (rest % 10) as u8);
            rest /= 10;
        }
        put(b'.');
    }
    loop {
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if whole < 0 {
        put(b'-');
    }
    out.extend_from_slice(&buffer[at..]);
}

/// Appends a form of a canonical decimal whose bytes sort as the numbers do, and of which none is the beginning of
/// another: -Infinity, negatives, 0, positives, Infinity, NaN.
///
/// A class byte; then, for a number 0.d₁d₂…·10ᵉ with d₁ ≠ 0, the exponent e (one byte e + 128, or 0 or 255 and eight
/// bytes where that does not do), and the digits in pairs p, each a byte 2p + 1, the last one 2p. A negative number
/// has everything after the class inverted. The pairs are those of SQLite4's key encoding.
pub fn write_ordered(canonical: &str, out: &mut Vec<u8>) {
    let class = Class::of(canonical);
    out.push(class as u8);
    let mask = match class {
        Class::Negative => 0xFF,
        Class::Positive => 0,
        _ => return,
    };
    let (whole, fraction) = halves(canonical);
    let leading = if whole == b"0" { 1 + zeros(fraction.iter()) } else { 0 };
    let trailing = if fraction.is_empty() { zeros(whole.iter().rev()) } else { 0 };
    let exponent = whole.len() as i64 - leading as i64;
    match narrow_exponent(exponent) {
        Some(byte) => out.push(byte ^ mask),
        None => {
            out.push(if exponent < 0 { mask } else { !mask });
            out.extend(exponent.to_be_bytes().map(|byte| byte ^ mask));
        }
    }
    let length = (whole.len() + fraction.len()).saturating_sub(leading + trailing);
    let mut digits = whole.iter().chain(fraction).skip(leading).take(length).map(|byte| byte.wrapping_sub(b'0') % 10);
    let pairs = length.div_ceil(2);
    for rank in 1..=pairs {
        let pair = digits.next().unwrap_or(0) * 10 + digits.next().unwrap_or(0);
        out.push((2 * pair + u8::from(rank < pairs)) ^ mask);
    }
}

/// Reads what [`write_ordered`] wrote from the start of `bytes`, appends the canonical decimal to `out`, and returns
/// the number of bytes read. `None`, and `out` as it was, for bytes that `write_ordered` never writes.
pub fn read_ordered(bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let (class, rest) = bytes.split_first()?;
    let (text, mask) = match Class::ALL.get(usize::from(*class))? {
        Class::Past => ("-Infinity", None),
        Class::Negative => ("-", Some(0xFF)),
        Class::Zero => ("0", None),
        Class::Positive => ("", Some(0)),
        Class::Future => ("Infinity", None),
        Class::Nan => ("NaN", None),
    };
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    let Some(mask) = mask else { return Some(1) };
    let read = read_number(rest, mask, out);
    if read.is_none() {
        out.truncate(start);
    }
    read.map(|length| length + 1)
}

/// Appends a canonical decimal rounded to so many places, half away from zero: 0.5 to 1, -0.5 to -1, as `round` of
/// Postgres and SQLite does.
pub fn round(canonical: &str, places: u32, out: &mut Vec<u8>) {
    let (whole, fraction) = halves(canonical);
    let places = places as usize;
    let Some(next) = fraction.get(places) else { return out.extend_from_slice(canonical.as_bytes()) };
    let start = out.len();
    let sign = usize::from(canonical.starts_with('-'));
    out.extend_from_slice(&canonical.as_bytes()[..sign]);
    out.extend_from_slice(whole);
    out.push(b'.');
    out.extend_from_slice(&fraction[..places]);
    if *next >= b'5' {
        let mut carry = true;
        for byte in out[start + sign..].iter_mut().rev().filter(|byte| **byte != b'.') {
            *byte = if *byte == b'9' { b'0' } else { *byte + 1 };
            carry = *byte == b'0';
            if !carry {
                break;
            }
        }
        if carry {
            out.insert(start + sign, b'1');
        }
    }
    let zeros = zeros(out[start..].iter().rev());
    out.truncate(out.len() - zeros);
    if out.last() == Some(&b'.') {
        out.pop();
    }
    if out[start..] == *b"-0" {
        out.remove(start);
    }
}

/// The order of two canonical decimals by value; NaN equals itself and comes last.
pub fn compare(a: &str, b: &str) -> Ordering {
    let class = Class::of(a);
    let magnitudes = || {
        let ((whole, fraction), (other_whole, other_fraction)) = (halves(a), halves(b));
        let whole = whole.len().cmp(&other_whole.len()).then_with(|| whole.cmp(other_whole));
        whole.then_with(|| fraction.cmp(other_fraction))
    };
    class.cmp(&Class::of(b)).then_with(|| match class {
        Class::Negative => magnitudes().reverse(),
        Class::Positive => magnitudes(),
        _ => Ordering::Equal,
    })
}

/// The coarsest order of decimals, and the first byte of the ordered form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Past,
    Negative,
    Zero,
    Positive,
    Future,
    Nan,
}

impl Class {
    const ALL: [Class; 6] = [Class::Past, Class::Negative, Class::Zero, Class::Positive, Class::Future, Class::Nan];

    fn of(canonical: &str) -> Class {
        match canonical.as_bytes() {
            [b'-', b'I', ..] => Class::Past,
            [b'-', ..] => Class::Negative,
            [b'0'] | [] => Class::Zero,
            [b'I', ..] => Class::Future,
            [b'N', ..] => Class::Nan,
            _ => Class::Positive,
        }
    }
}

/// The digits before and after the point of a canonical decimal.
fn halves(canonical: &str) -> (&[u8], &[u8]) {
    let bytes = canonical.as_bytes();
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    match memchr::memchr(b'.', bytes) {
        Some(point) => (&bytes[..point], &bytes[point + 1..]),
        None => (bytes, &[]),
    }
}

/// How many zeros come first.
fn zeros<'a>(digits: impl Iterator<Item = &'a u8>) -> usize {
    digits.take_while(|byte| **byte == b'0').count()
}

fn digits_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn special(negative: bool, word: &[u8], out: &mut Vec<u8>) -> bool {
    let text: &[u8] = if word.eq_ignore_ascii_case(b"nan") {
        b"NaN"
    } else if !word.eq_ignore_ascii_case(b"inf") && !word.eq_ignore_ascii_case(b"infinity") {
        return false;
    } else if negative {
        b"-Infinity"
    } else {
        b"Infinity"
    };
    out.extend_from_slice(text);
    true
}

/// Appends a number without exponent whose point (or end) stands at `point`: what remains is one piece of the text.
fn write_plain(negative: bool, number: &[u8], point: usize, out: &mut Vec<u8>) {
    let start = zeros(number[..point].iter());
    let mut end = number.len();
    if end > point {
        end -= zeros(number[point..].iter().rev());
        if end == point + 1 {
            end = point;
        }
    }
    if start == end {
        return out.push(b'0');
    }
    if negative {
        out.push(b'-');
    }
    if start == point {
        out.push(b'0');
    }
    out.extend_from_slice(&number[start..end]);
}

/// The value of `[+-]digits`; beyond anything that can be expanded it is only known to be large.
fn read_exponent(bytes: &[u8]) -> Option<i64> {
    let (sign, digits) = match bytes {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, bytes),
    };
    if digits.is_empty() || digits_end(digits, 0) < digits.len() {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1 << 50));
    Some(sign * value)
}

/// Appends a number with its exponent worked in; false if that makes it longer than [`EXPANDED`].
fn expand(negative: bool, whole: &[u8], fraction: &[u8], exponent: i64, out: &mut Vec<u8>) -> bool {
    let total = whole.len() + fraction.len();
    let leading = zeros(whole.iter().chain(fraction));
    if leading == total {
        out.push(b'0');
        return true;
    }
    let trailing = zeros(fraction.iter().rev().chain(whole.iter().rev()));
    let length = total - leading - trailing;
    let mut digits = whole.iter().chain(fraction).skip(leading).take(length);
    // The point comes after this many of the significant digits.
    let point = whole.len() as i64 - leading as i64 + exponent;
    let before = usize::try_from(point).unwrap_or(0);
    let after = usize::try_from(-point).unwrap_or(0);
    let size = if before == 0 { 2 + after + length } else { before.max(length + usize::from(before < length)) };
    if size > EXPANDED {
        return false;
    }
    if negative {
        out.push(b'-');
    }
    if before == 0 {
        out.push(b'0');
    }
    out.extend(digits.by_ref().take(before));
    out.resize(out.len() + before.saturating_sub(length), b'0');
    if before < length {
        out.push(b'.');
        out.resize(out.len() + after, b'0');
        out.extend(digits);
    }
    true
}

/// The exponent as one byte, if it fits: 1 to 254, as 0 and 255 announce eight bytes.
fn narrow_exponent(exponent: i64) -> Option<u8> {
    u8::try_from(exponent.saturating_add(128)).ok().filter(|byte| (1..=254).contains(byte))
}

/// Reads exponent and digits, appends the number without its sign, and returns the length read.
fn read_number(bytes: &[u8], mask: u8, out: &mut Vec<u8>) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    let (exponent, rest) = match first ^ mask {
        wide @ (0 | 255) => {
            let eight = rest.first_chunk::<8>()?;
            let exponent = i64::from_be_bytes(eight.map(|byte| byte ^ mask));
            if narrow_exponent(exponent).is_some() || (wide == 0) != (exponent < 0) {
                return None;
            }
            (exponent, &rest[8..])
        }
        byte => (i64::from(byte) - 128, rest),
    };
    let before = usize::try_from(exponent).unwrap_or(0);
    let after = usize::try_from(exponent.checked_neg()?).unwrap_or(0);
    if before.max(after) > LONGEST {
        return None;
    }
    if before == 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + after, b'0');
    }
    let start = out.len();
    for (rank, byte) in rest.iter().enumerate() {
        let byte = byte ^ mask;
        let (pair, last) = (byte / 2, byte & 1 == 0);
        if pair > 99 || (rank == 0 && pair < 10) || (last && pair == 0) {
            return None;
        }
        out.push(b'0' + pair / 10);
        if !last || pair % 10 > 0 {
            out.push(b'0' + pair % 10);
        }
        if last {
            let length = out.len() - start;
            if before > length {
                out.resize(start + before, b'0');
            } else if before > 0 && before < length {
                out.insert(start + before, b'.');
            }
            return Some(bytes.len() - rest.len() + rank + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests;
