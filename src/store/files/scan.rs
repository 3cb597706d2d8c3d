//! The grammar of JSON (RFC 8259) over bytes: where a value ends, and what is wrong with it. Nothing is decoded or copied.

use std::ops::Range;

/// How deep arrays and objects may stand in each other.
pub(super) const LEVELS: usize = 10_000;

/// Why a scan did not come to the end of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// The bytes end in the middle, and more may follow.
    Short,
    /// Something else was expected at this offset.
    Expected(usize, &'static str),
    /// What stands at this offset is not allowed.
    Refused(usize, &'static str),
}

/// Bytes to scan.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// Nothing follows after `bytes`.
    pub(super) whole: bool,
}

/// A member of an object, as offsets.
pub(super) struct Member {
    /// Its name as written, without the quotes.
    pub(super) name: Range<usize>,
    /// Whether the name holds escapes.
    pub(super) escaped: bool,
    /// Its value as written.
    pub(super) value: Range<usize>,
}

/// Finds the ends of values. It counts levels on the heap, so depth costs no stack.
#[derive(Default)]
pub(super) struct Scanner {
    open: Vec<u8>,
}

impl Text<'_> {
    #[inline]
    fn at(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The offset of the first byte from `at` on that is not white space.
    #[inline]
    pub(super) fn space(self, mut at: usize) -> usize {
        while matches!(self.at(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            at += 1;
        }
        at
    }

    #[cold]
    pub(super) fn expected(self, at: usize, what: &'static str) -> Halt {
        if at >= self.bytes.len() && !self.whole { Halt::Short } else { Halt::Expected(at, what) }
    }

    /// The end of the string whose first byte after the quote is at `start`, the closing quote included, and whether it
    /// holds escapes.
    #[inline]
    pub(super) fn string(self, start: usize) -> Result<(usize, bool), Halt> {
        let (mut at, mut escaped) = (start, false);
        loop {
            at = plain(self.bytes, at);
            match self.at(at) {
                Some(b'"') => return Ok((at + 1, escaped)),
                Some(b'\\') => at = self.escape(at + 1)?,
                Some(_) => return Err(Halt::Refused(at, "a control character in a string has to be escaped")),
                None => return Err(self.expected(at, "the closing quote of a string")),
            }
            escaped = true;
        }
    }

    fn escape(self, at: usize) -> Result<usize, Halt> {
        match self.at(at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
            Some(b'u') => match (at + 1..at + 5).find(|&it| !self.at(it).is_some_and(|it| it.is_ascii_hexdigit())) {
                Some(it) => Err(self.expected(it, "four hexadecimal digits after `\\u`")),
                None => Ok(at + 5),
            },
            _ => Err(self.expected(at, "one of the escapes of JSON after `\\`")),
        }
    }

    fn digits(self, at: usize) -> Result<usize, Halt> {
        let end = self.more_digits(at);
        if end == at { Err(self.expected(at, "a digit")) } else { Ok(end) }
    }

    fn more_digits(self, mut at: usize) -> usize {
        while self.at(at).is_some_and(|it| it.is_ascii_digit()) {
            at += 1;
        }
        at
    }

    fn number(self, mut at: usize) -> Result<usize, Halt> {
        if self.at(at) == Some(b'-') {
            at += 1;
        }
        at = if self.at(at) == Some(b'0') { at + 1 } else { self.digits(at)? };
        if self.at(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.at(at) {
            at += 1;
            if let Some(b'+' | b'-') = self.at(at) {
                at += 1;
            }
            at = self.digits(at)?;
        }
        if at >= self.bytes.len() && !self.whole { Err(Halt::Short) } else { Ok(at) }
    }

    fn word(self, at: usize, word: &'static str) -> Result<usize, Halt> {
        match word.bytes().enumerate().find(|&(place, it)| self.at(at + place) != Some(it)) {
            Some((place, _)) => Err(self.expected(at + place, VALUE)),
            None => Ok(at + word.len()),
        }
    }

    /// Over a member's name and the colon, to where its value begins.
    fn name(self, at: usize) -> Result<(Range<usize>, bool, usize), Halt> {
        if self.at(at) != Some(b'"') {
            return Err(self.expected(at, NAME));
        }
        let (end, escaped) = self.string(at + 1)?;
        let colon = self.space(end);
        if self.at(colon) != Some(b':') {
            return Err(self.expected(colon, "`:`"));
        }
        Ok((at + 1..end - 1, escaped, self.space(colon + 1)))
    }
}

impl Scanner {
    /// The end of the value at `at`.
    #[inline]
    pub(super) fn value(&mut self, text: Text<'_>, at: usize) -> Result<usize, Halt> {
        match text.at(at) {
            Some(b'{' | b'[') => self.nested(text, at),
            _ => scalar(text, at),
        }
    }

    /// The end of the object at `at`, whose members are handed to `member` as they come.
    #[inline]
    pub(super) fn object(&mut self, text: Text<'_>, at: usize, mut member: impl FnMut(Member)) -> Result<usize, Halt> {
        if text.at(at) != Some(b'{') {
            return Err(text.expected(at, "an object `{...}`, a row"));
        }
        let mut at = text.space(at + 1);
        if text.at(at) == Some(b'}') {
            return Ok(at + 1);
        }
        loop {
            let (name, escaped, start) = text.name(at)?;
            let end = self.value(text, start)?;
            member(Member { name, escaped, value: start..end });
            at = text.space(end);
            match text.at(at) {
                Some(b',') => at = text.space(at + 1),
                Some(b'}') => return Ok(at + 1),
                _ => return Err(text.expected(at, OBJECT_NEXT)),
            }
        }
    }

    fn nested(&mut self, text: Text<'_>, mut at: usize) -> Result<usize, Halt> {
        self.open.clear();
        loop {
            at = match text.at(at) {
                Some(open @ (b'{' | b'[')) => {
                    if self.open.len() == LEVELS {
                        return Err(Halt::Refused(at, "nested deeper than the limit of 10000 levels"));
                    }
                    let inside = text.space(at + 1);
                    // The closing bracket stands two places after the opening one in ASCII.
                    if text.at(inside) != Some(open + 2) {
                        self.open.push(open);
                        at = if open == b'{' { text.name(inside)?.2 } else { inside };
                        continue;
                    }
                    inside + 1
                }
                _ => scalar(text, at)?,
            };
            loop {
                let Some(&open) = self.open.last() else { return Ok(at) };
                at = text.space(at);
                match text.at(at) {
                    Some(b',') => {
                        at = text.space(at + 1);
                        at = if open == b'{' { text.name(at)?.2 } else { at };
                        break;
                    }
                    Some(it) if it == open + 2 => at += 1,
                    _ => return Err(text.expected(at, if open == b'{' { OBJECT_NEXT } else { ARRAY_NEXT })),
                }
                self.open.pop();
            }
        }
    }
}

/// What an error says was expected where a value should be.
pub(super) const VALUE: &str = "a JSON value";
/// What an error says was expected at the start of a member.
pub(super) const NAME: &str = "the name of a member in double quotes";
/// What an error says was expected after a member.
pub(super) const OBJECT_NEXT: &str = "`,` or `}`";
/// What an error says was expected after an element.
pub(super) const ARRAY_NEXT: &str = "`,` or `]`";

#[inline]
fn scalar(text: Text<'_>, at: usize) -> Result<usize, Halt> {
    match text.at(at) {
        Some(b'"') => Ok(text.string(at + 1)?.0),
        Some(b'-' | b'0'..=b'9') => text.number(at),
        Some(b't') => text.word(at, "true"),
        Some(b'f') => text.word(at, "false"),
        Some(b'n') => text.word(at, "null"),
        _ => Err(text.expected(at, VALUE)),
    }
}

/// The offset of the first quote, backslash or control character from `at` on; eight bytes a step.
#[inline]
fn plain(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        let word = u64::from_le_bytes(eight);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        // Subtracting borrows out of a byte only where that byte is below what is subtracted, so the lowest mark is true.
        let marks = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if marks & HIGH != 0 {
            return at + ((marks & HIGH).trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&it| it >= 0x20 && it != b'"' && it != b'\\') {
        at += 1;
    }
    at
}
