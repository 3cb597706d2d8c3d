//! Canonical JSON: one text for one document, compared byte by byte.
//!
//! No blanks, members sorted by the UTF-16 code units of their keys and strings with the shortest escapes, both as
//! RFC 8785 (sections 3.2.2.2 and 3.2.3) writes them. Unlike RFC 8785, numbers are kept letter by letter: `1`, `1.0`
//! and `1e0` are three texts, and 9007199254740993 stays what it is. A repeated key is a fault, not a choice.
mod check;
mod ordinary;
mod scan;

use std::borrow::Cow;
use std::fmt;

/// How deep arrays and objects may nest.
pub const DEPTH: usize = 100_000;

/// Why a text is not one JSON document, and the byte at which that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for Fault {}

/// What a JSON document is, without looking into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number of any length.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Appends the canonical form of the one document in `text` to `out`.
///
/// ```
/// use cutover::value::json::canonical;
///
/// let mut out = Vec::new();
/// canonical(r#"{ "b": 1.0, "a": "\u0041\/" }"#, &mut out)?;
/// assert_eq!(out, br#"{"a":"A/","b":1.0}"#);
/// # Ok::<(), cutover::value::json::Fault>(())
/// ```
///
/// # Errors
/// Anything but one JSON document (RFC 8259): also a byte order mark, a repeated key, half a surrogate pair, more
/// than [`DEPTH`] levels, or 4 GiB of text. `out` is then as it was before.
pub fn canonical(text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    if u32::try_from(text.len()).is_err() {
        return Err(Fault { offset: 0, what: "JSON of 4 GiB or more" });
    }
    if is_canonical(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    if ordinary::document(text.as_bytes(), out) {
        return Ok(());
    }
    scan::document(text, out)
}

/// Appends `text` to `out` as a canonical JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut at = 0;
    loop {
        let end = plain_end(bytes, at);
        out.extend_from_slice(&bytes[at..end]);
        let Some(&special) = bytes.get(end) else { break };
        out.extend_from_slice(escape(char::from(special), &mut [0; 6]));
        at = end + 1;
    }
    out.push(b'"');
}

/// The text that a JSON string literal (quotes included) stands for; `None` if it is not one.
///
/// ```
/// assert_eq!(cutover::value::json::read_string(r#""a\u0062""#).as_deref(), Some("ab"));
/// ```
pub fn read_string(literal: &str) -> Option<Cow<'_, str>> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let bytes = inner.as_bytes();
    let mut end = plain_end(bytes, 0);
    if end == bytes.len() {
        return Some(Cow::Borrowed(inner));
    }
    let (mut decoded, mut from) = (String::with_capacity(inner.len()), 0);
    while end < bytes.len() {
        let (character, length) = unescape(&bytes[end..]).ok()?;
        decoded.push_str(&inner[from..end]);
        decoded.push(character);
        from = end + length;
        end = plain_end(bytes, from);
    }
    decoded.push_str(&inner[from..]);
    Some(Cow::Owned(decoded))
}

/// The kind of a document that is known to be canonical, told by its first byte.
pub fn kind(canonical: &str) -> JsonKind {
    match canonical.as_bytes().first() {
        Some(b'n') => JsonKind::Null,
        Some(b't') => JsonKind::Bool(true),
        Some(b'f') => JsonKind::Bool(false),
        Some(b'"') => JsonKind::String,
        Some(b'[') => JsonKind::Array,
        Some(b'{') => JsonKind::Object,
        _ => JsonKind::Number,
    }
}

/// The line and column of a byte, both from 1, the column counted in characters. An offset past the end is the end.
pub fn line_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let column = 1 + before[start..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
    (line, column)
}

/// True only if [`canonical`] would give these bytes back, provided that they are UTF-8. It may be false although they are.
pub(super) fn is_canonical(bytes: &[u8]) -> bool {
    u32::try_from(bytes.len()).is_ok() && check::is_canonical(bytes)
}

/// As [`canonical`], for bytes that nobody has looked at yet. False: nothing is known about them, and `out` is as it was.
pub(super) fn canonical_bytes(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    ordinary::document(bytes, out)
}

/// The lowest and the highest bit of each byte of a word.
const ONES: u64 = u64::from_le_bytes([1; 8]);
const TOPS: u64 = ONES << 7;

/// Marks the first byte of a word, the lowest one, that a JSON string cannot hold as it is, at its highest bit. Nothing is marked if
/// there is none.
///
/// A subtraction marks the bytes below a bound, see "Bit Twiddling Hacks" by Sean Anderson ("Determine if a word has a byte less than
/// n"). A mark can be wrong only above a right one, so the lowest is right.
#[inline(always)]
fn marks(word: u64) -> u64 {
    let quote = word ^ u64::from_le_bytes([b'"'; 8]);
    let slash = word ^ u64::from_le_bytes([b'\\'; 8]);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | quote.wrapping_sub(ONES) & !quote | slash.wrapping_sub(ONES) & !slash) & TOPS
}

/// Where, from `at` on, the first byte stands that a JSON string cannot hold as it is; the length if there is none.
#[inline(always)]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let marks = marks(u64::from_le_bytes(chunk));
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

/// The shortest form of a character within a JSON string (RFC 8785 section 3.2.2.2).
fn escape(character: char, buffer: &mut [u8; 6]) -> &[u8] {
    match character {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\u{8}' => b"\\b",
        '\t' => b"\\t",
        '\n' => b"\\n",
        '\u{c}' => b"\\f",
        '\r' => b"\\r",
        '\0'..='\u{1f}' => {
            let code = character as usize;
            *buffer = [b'\\', b'u', b'0', b'0', b'0' + u8::from(code > 0xF), b"0123456789abcdef"[code & 0xF]];
            buffer
        }
        _ => character.encode_utf8(buffer).as_bytes(),
    }
}

/// Reads one escape at the start of `bytes`: its character and its length in bytes.
fn unescape(bytes: &[u8]) -> Result<(char, usize), &'static str> {
    let character = match bytes {
        [b'\\', b'"', ..] => '"',
        [b'\\', b'\\', ..] => '\\',
        [b'\\', b'/', ..] => '/',
        [b'\\', b'b', ..] => '\u{8}',
        [b'\\', b'f', ..] => '\u{c}',
        [b'\\', b'n', ..] => '\n',
        [b'\\', b'r', ..] => '\r',
        [b'\\', b't', ..] => '\t',
        _ => {
            let high = unit(bytes).ok_or("unknown escape")?;
            if let Some(character) = char::from_u32(high) {
                return Ok((character, 6));
            }
            let low = unit(&bytes[6..]).ok_or("half a surrogate pair")?;
            if high >= 0xDC00 || !(0xDC00..0xE000).contains(&low) {
                return Err("half a surrogate pair");
            }
            let pair = char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
            return pair.map(|character| (character, 12)).ok_or("half a surrogate pair");
        }
    };
    Ok((character, 2))
}

/// The code unit of a `\uXXXX` at the start of `bytes`.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests;
