//! The binary form of `numeric`, as `numeric_send` in PostgreSQL's `numeric.c` writes it: counts of digits, weight, sign and
//! scale, two bytes each, then digits to the base of 10,000.

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITE: u16 = 0xD000;
const BELOW_ALL: u16 = 0xF000;

/// Digits that the server takes behind the point.
const SCALE_MAX: usize = 16_383;

/// Replaces `out` by the number as decimal text, which may begin or end with zeros. False for bytes that are no number.
pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    decode(bytes, out).is_some()
}

/// The number as a whole one and how often it has to be divided by 10, if it is one of up to 16 digits, as amounts are.
#[inline]
pub(super) fn scaled(bytes: &[u8]) -> Option<(i64, usize)> {
    let (head, digits) = bytes.split_first_chunk::<8>()?;
    let [count, weight, sign, _scale] = [0, 2, 4, 6].map(|it| u16::from_be_bytes([head[it], head[it + 1]]));
    let behind = i32::from(count) - 1 - i32::from(weight as i16);
    if digits.len() != 2 * usize::from(count) || count > 4 || !(0..=4).contains(&behind) {
        return None;
    }
    let (mut whole, mut wrong) = (0, false);
    for digit in digits.chunks_exact(2) {
        let digit = u16::from_be_bytes([digit[0], digit[1]]);
        wrong |= digit > 9999;
        whole = whole * 10_000 + i64::from(digit);
    }
    match sign {
        POSITIVE if !wrong => Some((whole, 4 * behind as usize)),
        NEGATIVE if !wrong => Some((-whole, 4 * behind as usize)),
        _ => None,
    }
}

fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (head, digits) = bytes.split_first_chunk::<8>()?;
    let [count, weight, sign, _scale] = [0, 2, 4, 6].map(|it| u16::from_be_bytes([head[it], head[it + 1]]));
    let weight = i32::from(weight as i16);
    if digits.len() != 2 * usize::from(count) {
        return None;
    }
    match sign {
        POSITIVE => {}
        NEGATIVE => out.push(b'-'),
        NAN => out.extend_from_slice(b"NaN"),
        INFINITE => out.extend_from_slice(b"Infinity"),
        BELOW_ALL => out.extend_from_slice(b"-Infinity"),
        _ => return None,
    }
    if !matches!(sign, POSITIVE | NEGATIVE) {
        return Some(());
    }
    if weight < 0 || digits.is_empty() {
        out.push(b'0');
    }
    let (mut place, point) = (weight, -1);
    if !digits.is_empty() && weight < point {
        out.push(b'.');
        // Digits that are left out in front of the first one that is there.
        (weight + 1..0).for_each(|_| out.extend_from_slice(b"0000"));
    }
    for digit in digits.chunks_exact(2) {
        let digit = u16::from_be_bytes([digit[0], digit[1]]);
        if digit > 9999 {
            return None;
        }
        if place == point {
            out.push(b'.');
        }
        out.extend_from_slice(&FOUR[usize::from(digit)]);
        place -= 1;
    }
    // And behind the last one.
    (0..=place).take(if digits.is_empty() { 0 } else { usize::MAX }).for_each(|_| out.extend_from_slice(b"0000"));
    Some(())
}

/// Appends the binary form of a canonical decimal. False: it has more digits than the server takes.
pub(super) fn encode(text: &str, out: &mut Vec<u8>) -> bool {
    let mut head = |count: usize, weight: i64, sign: u16, scale: usize| {
        let (Ok(count), Ok(weight), Ok(scale)) = (u16::try_from(count), i16::try_from(weight), u16::try_from(scale))
        else {
            return false;
        };
        [count, weight as u16, sign, scale].iter().for_each(|it| out.extend_from_slice(&it.to_be_bytes()));
        usize::from(scale) <= SCALE_MAX
    };
    match text {
        "NaN" => return head(0, 0, NAN, 0),
        "Infinity" => return head(0, 0, INFINITE, 0),
        "-Infinity" => return head(0, 0, BELOW_ALL, 0),
        _ => {}
    }
    let (sign, digits) = text.strip_prefix('-').map_or((POSITIVE, text), |it| (NEGATIVE, it));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0').as_bytes();
    let fraction = fraction.as_bytes();
    let groups = whole.len().div_ceil(4);
    // Zeros in front are none that the server would have to be told.
    let skipped = if groups == 0 { fraction.iter().take_while(|it| **it == b'0').count() / 4 } else { 0 };
    let behind = fraction.len().div_ceil(4) - skipped.min(fraction.len().div_ceil(4));
    let weight = groups as i64 - 1 - skipped as i64;
    let (count, weight) = if groups + behind == 0 { (0, 0) } else { (groups + behind, weight) };
    if !head(count, weight, sign, fraction.len()) {
        return false;
    }
    let mut push = |digits: &[u8], places: usize| {
        let value = digits.iter().fold(0u16, |sum, it| sum * 10 + u16::from(it.wrapping_sub(b'0')));
        let value = value * 10u16.pow(places.saturating_sub(digits.len()) as u32);
        out.extend_from_slice(&value.to_be_bytes());
    };
    let (first, rest) = whole.split_at(whole.len() % 4);
    if !first.is_empty() {
        push(first, 0);
    }
    rest.chunks(4).for_each(|it| push(it, 4));
    fraction.chunks(4).skip(skipped).for_each(|it| push(it, 4));
    true
}

/// Whether `numeric(precision, scale)` holds a canonical decimal as it is.
///
/// # Errors
/// True if it would be rounded, false if it is too large.
pub(super) fn fits(text: &str, precision: i64, scale: i64) -> Result<(), bool> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.starts_with(|it: char| !it.is_ascii_digit()) {
        // NaN fits everywhere, the infinities nowhere.
        return if digits == "NaN" { Ok(()) } else { Err(false) };
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let zeros = whole.len() - whole.trim_end_matches('0').len();
    let finest = if fraction.is_empty() { -(zeros as i64) } else { fraction.len() as i64 };
    if finest > scale && !(whole.is_empty() && fraction.is_empty()) {
        return Err(true);
    }
    // Of a fraction that begins with zeros, these are the digits in front of the point that are left over.
    let before = if whole.is_empty() {
        -(fraction.bytes().take_while(|it| *it == b'0').count() as i64)
    } else {
        whole.len() as i64
    };
    if before > precision - scale && fraction.len() + whole.len() > 0 { Err(false) } else { Ok(()) }
}

/// Every digit to the base of 10,000 as four characters.
static FOUR: [[u8; 4]; 10_000] = {
    let mut all = [[b'0'; 4]; 10_000];
    let mut it = 0;
    while it < all.len() {
        all[it] = [
            b'0' + (it / 1000) as u8,
            b'0' + (it / 100 % 10) as u8,
            b'0' + (it / 10 % 10) as u8,
            b'0' + (it % 10) as u8,
        ];
        it += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::decimal;
    use proptest::prelude::*;

    fn sent(head: [u16; 4], digits: &[u16]) -> Vec<u8> {
        head.iter().chain(digits).flat_map(|it| it.to_be_bytes()).collect()
    }

    fn spelled((whole, places): (i64, usize)) -> String {
        let mut out = Vec::new();
        decimal::from_scaled(whole, places, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    fn canonical(text: &str) -> String {
        let mut out = Vec::new();
        assert!(decimal::canonical(text, &mut out), "{text}");
        String::from_utf8(out).expect("ASCII")
    }

    fn check(head: [u16; 4], digits: &[u16], expect: &str) {
        let (sent, mut out) = (sent(head, digits), Vec::new());
        let text = if write(&sent, &mut out) { String::from_utf8_lossy(&out) } else { "damaged".into() };
        assert_eq!(text, expect, "{head:?} {digits:?}");
        if let Some(scaled) = scaled(&sent) {
            assert_eq!(spelled(scaled), canonical(&text), "{head:?} {digits:?}");
        }
    }

    #[test]
    fn numbers() {
        let low = |weight: i16| weight as u16;
        check([0, 0, POSITIVE, 0], &[], "0");
        check([0, 0, POSITIVE, 2], &[], "0");
        check([1, 0, POSITIVE, 0], &[7], "0007");
        check([2, 0, NEGATIVE, 2], &[12, 5000], "-0012.5000");
        check([1, 2, POSITIVE, 0], &[3], "000300000000");
        check([1, low(-1), POSITIVE, 4], &[1], "0.0001");
        check([1, low(-3), POSITIVE, 12], &[42], "0.000000000042");
        check([3, 1, POSITIVE, 4], &[1, 2, 3], "00010002.0003");
        check([0, 0, NAN, 0], &[], "NaN");
        check([0, 0, INFINITE, 0], &[], "Infinity");
        check([0, 0, BELOW_ALL, 0], &[], "-Infinity");
    }

    #[test]
    fn no_numbers() {
        check([1, 0, 0x1000, 0], &[7], "damaged");
        check([2, 0, POSITIVE, 0], &[7], "damaged");
        check([0, 0, POSITIVE, 0], &[7], "damaged");
        check([1, 0, POSITIVE, 0], &[10_000], "damaged");
        assert!(!write(&[0, 1, 0], &mut Vec::new()));
        assert!(write(&sent([1, 0x7fff, POSITIVE, 0], &[1]), &mut Vec::new()));
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "0",
            "7",
            "-7",
            "10",
            "9999",
            "10000",
            "-12345.678",
            "0.1",
            "0.0001",
            "0.00001",
            "-0.00000000042",
            "100000000",
            "12345678901234567890.123456789012345678",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            let (mut sent, mut read, mut canonical) = (Vec::new(), Vec::new(), Vec::new());
            assert!(encode(text, &mut sent) && write(&sent, &mut read), "{text}");
            assert!(decimal::canonical(std::str::from_utf8(&read).expect("ASCII"), &mut canonical));
            assert_eq!(String::from_utf8_lossy(&canonical), text);
        }
        assert!(!encode(&format!("0.{}1", "0".repeat(SCALE_MAX)), &mut Vec::new()));
        assert!(!encode(&"1".repeat(131_073), &mut Vec::new()));
    }

    #[test]
    fn what_a_declaration_holds() {
        let check = |text: &str, of: (i64, i64), expect: Result<(), bool>| {
            assert_eq!(fits(text, of.0, of.1), expect, "{text} {of:?}");
        };
        check("12345678.9", (10, 2), Ok(()));
        check("99999999.99", (10, 2), Ok(()));
        check("100000000", (10, 2), Err(false));
        check("12.345", (10, 2), Err(true));
        check("0", (3, 3), Ok(()));
        check("0", (2, -3), Ok(()));
        check("0.001", (2, 4), Ok(()));
        check("0.1", (2, 4), Err(false));
        check("12000", (2, -3), Ok(()));
        check("12500", (2, -3), Err(true));
        check("-123000", (2, -3), Err(false));
        check("NaN", (2, 1), Ok(()));
        check("Infinity", (2, 1), Err(false));
    }

    proptest! {
        #[test]
        fn every_decimal_reads_back(negative: bool, whole in "[1-9][0-9]{0,20}|0", fraction in "[0-9]{0,20}") {
            let (mut text, mut sent, mut read, mut canonical) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let given = format!("{}{whole}{}{fraction}", if negative { "-" } else { "" }, if fraction.is_empty() { "" } else { "." });
            prop_assert!(decimal::canonical(&given, &mut text));
            let text = String::from_utf8(text).expect("ASCII");
            prop_assert!(encode(&text, &mut sent) && write(&sent, &mut read));
            prop_assert!(decimal::canonical(std::str::from_utf8(&read).expect("ASCII"), &mut canonical));
            prop_assert_eq!(String::from_utf8_lossy(&canonical), text);
        }

        #[test]
        fn what_the_digits_say(digits in prop::collection::vec(0u16..10_000, 0..8), weight in -9i16..9, negative: bool) {
            let sign = if negative { NEGATIVE } else { POSITIVE };
            let mut out = Vec::new();
            prop_assert!(write(&sent([digits.len() as u16, weight as u16, sign, 0], &digits), &mut out));
            // All digits as one integer, and where its point is.
            let whole: String = digits.iter().map(|it| format!("{it:04}")).collect();
            let power = 4 * (i32::from(weight) + 1 - digits.len() as i32);
            let expect = format!("{}{}e{power}", if negative { "-" } else { "" }, if whole.is_empty() { "0" } else { &whole });
            let expect = canonical(&expect);
            prop_assert_eq!(canonical(std::str::from_utf8(&out).expect("ASCII")), expect.clone());
            let scaled = scaled(&sent([digits.len() as u16, weight as u16, sign, 0], &digits));
            prop_assert!(scaled.is_some() || digits.len() > 4 || !(0..=4).contains(&(-power / 4)));
            prop_assert!(scaled.is_none_or(|it| spelled(it) == expect));
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let known = write(&bytes, &mut Vec::new());
            prop_assert!(known || scaled(&bytes).is_none());
        }
    }
}
