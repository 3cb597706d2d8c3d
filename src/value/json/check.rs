//! Whether a document is canonical already, as nearly all are that one program wrote.
//!
//! This looks at each byte once and keeps nothing but the last key of every object that is open. It gives up at the first thing
//! that is rare or wrong: a blank, an escape, a key out of order, deep nesting. The scan then sees to that, and says what is wrong.
use super::plain_end;
use super::scan::compare_plain;
use std::cmp::Ordering;
use std::ops::Range;

/// How deep a document may nest to be told here.
const LEVELS: usize = 5;

/// An array or an object that is open.
struct Level {
    object: bool,
    /// The last key between its quotes.
    key: Range<usize>,
}

/// True only if the scan would give the same bytes back.
pub(super) fn is_canonical(bytes: &[u8]) -> bool {
    end(bytes) == Some(bytes.len())
}

/// Where the one value at the start ends.
#[inline(always)]
fn end(bytes: &[u8]) -> Option<usize> {
    let (mut levels, mut depth, mut at) = ([const { Level { object: false, key: 0..0 } }; LEVELS], 0, 0);
    loop {
        match *bytes.get(at)? {
            b'"' => at = string(bytes, at)?.end + 1,
            // In ASCII a closing bracket comes two after its opening one.
            opening @ (b'{' | b'[') if *bytes.get(at + 1)? != opening + 2 => {
                let level = levels.get_mut(depth)?;
                depth += 1;
                at += 1;
                level.object = opening == b'{';
                if level.object {
                    level.key = key(bytes, at)?;
                    at = level.key.end + 2;
                }
                continue;
            }
            b'{' | b'[' => at += 2,
            b't' => at = word(bytes, at, b"true")?,
            b'f' => at = word(bytes, at, b"false")?,
            b'n' => at = word(bytes, at, b"null")?,
            _ => at = number(bytes, at)?,
        }
        loop {
            let Some(level) = depth.checked_sub(1).and_then(|it| levels.get_mut(it)) else { return Some(at) };
            match (*bytes.get(at)?, level.object) {
                (b'}', true) | (b']', false) => depth -= 1,
                (b',', false) => break,
                (b',', true) => {
                    let next = key(bytes, at + 1)?;
                    let order = compare_plain(bytes.get(level.key.clone())?, bytes.get(next.clone())?);
                    if order != Ordering::Less {
                        return None;
                    }
                    at = next.end + 1;
                    level.key = next;
                    break;
                }
                _ => return None,
            }
            at += 1;
        }
        at += 1;
    }
}

/// A key between its quotes, if a colon follows.
#[inline(always)]
fn key(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    string(bytes, at).filter(|it| bytes.get(it.end + 1) == Some(&b':'))
}

/// A string between its quotes, if it holds no escape.
#[inline(always)]
fn string(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let end = plain_end(bytes, at + 1);
    (bytes.get(end) == Some(&b'"')).then_some(at + 1..end)
}

#[inline(always)]
fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// Where a number without an exponent ends.
#[inline(always)]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(bytes.get(at) == Some(&b'-'));
    let whole = digits(bytes, start)?;
    if bytes.get(start) == Some(&b'0') && whole > start + 1 {
        return None;
    }
    match bytes.get(whole) {
        Some(b'.') => digits(bytes, whole + 1),
        _ => Some(whole),
    }
}

#[inline(always)]
fn digits(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (at > start).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json::canonical;

    #[test]
    fn what_is_told_is_what_the_scan_gives() {
        let deep = |levels: usize| "[".repeat(levels) + "1" + &"]".repeat(levels);
        let cases = [
            ("0", true),
            ("-1.50", true),
            ("true", true),
            (r#""""#, true),
            ("[]", true),
            ("{}", true),
            (r#"[{},[],null,false,"é"]"#, true),
            (r#"{"a":1,"b":{"c":[1,{"d":"x"}],"e":{}},"ba":""}"#, true),
            (&deep(LEVELS), true),
            (&deep(LEVELS + 1), false),
            (r#"{"a":1,"a":2}"#, false),
            (r#"{"b":1,"a":2}"#, false),
            ("{\"\u{e000}\":1,\"\u{10000}\":2}", false),
            ("{\"\u{10000}\":1,\"\u{e000}\":2}", true),
            (r#"{"a": 1}"#, false),
            ("[1,]", false),
            ("[1}", false),
            ("{1:2}", false),
            (r#"{"a"}"#, false),
            (r#"{"a":}"#, false),
            (r#""\n""#, false),
            ("\"\n\"", false),
            ("01", false),
            ("-", false),
            ("1.", false),
            ("1e5", false),
            ("1 ", false),
            ("12,", false),
            ("\u{feff}1", false),
            ("tru", false),
            ("", false),
            ("[", false),
            (r#""a"#, false),
        ];
        for (text, expect) in cases {
            assert_eq!(is_canonical(text.as_bytes()), expect, "{text}");
            let mut scanned = Vec::new();
            let whole = super::super::scan::document(text, &mut scanned).is_ok() && scanned == text.as_bytes();
            assert!(!expect || whole, "{text}");
            let mut out = Vec::new();
            assert_eq!(canonical(text, &mut out).is_ok(), !scanned.is_empty(), "{text}");
            assert_eq!(out, scanned, "{text}");
        }
    }
}
