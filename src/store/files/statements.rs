//! A file of SQL cut into statements, as SQLite reads them (sqlite.org/lang.html), without understanding them.

use super::{
    input::{Input, LIMIT, Mark},
    scan::Halt,
};
use crate::error::{Error, Kind, Result};
use std::io::Write;

/// One statement.
pub(super) struct Statement<'i> {
    /// As written, with the semicolon, without what stands before it.
    pub(super) text: &'i str,
    /// Where it begins.
    pub(super) place: Mark,
    /// What stands in it outside of quotes.
    pub(super) sight: Sight,
}

/// What a statement is made of, as far as it tells what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Its first words in upper case.
    pub(super) words: Vec<String>,
    /// Whether a word in it makes it read a table.
    pub(super) reads: bool,
    /// Whether a word in it makes it forgive a conflict.
    pub(super) forgives: bool,
    /// Whether it calls `replace`.
    pub(super) replaces: bool,
    /// Whether it holds an integer of 2^53 or more.
    pub(super) large: bool,
}

/// What a statement makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Made {
    Table,
    /// A table of what a query gives.
    Rows,
    Index,
    View,
    Trigger,
    Virtual,
    Temporary,
}

/// How many words tell statements apart: `CREATE UNIQUE INDEX`, `CREATE TEMPORARY TRIGGER`, `DELETE FROM sqlite_sequence`.
const WORDS: usize = 3;

/// The statements of a text, which errors call `name`: each with its place, what it makes, and its first words.
///
/// # Errors
/// If they cannot be told apart.
pub(in crate::store) fn all(name: &str, text: &str) -> Result<Vec<Cut>> {
    let failed = |it: std::io::Error| Error::new(Kind::File, format_args!("cannot make a temporary file: {it}"));
    let mut file = tempfile::tempfile().map_err(failed)?;
    // The last statement of a text is often left open.
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n;")).map_err(failed)?;
    let mut input = Input::new(name.to_owned(), file, LIMIT)?;
    let mut out = Vec::new();
    while let Some(Statement { text, place, sight }) = next(&mut input)? {
        let place = format!("{name}:{place}");
        let (makes, begins) = (sight.makes(), begins(text));
        let text = text.trim_end_matches(';').trim_end().to_owned();
        out.push(Cut { text, place, makes, begins, words: sight.words });
    }
    Ok(out)
}

/// One statement out of several.
pub(in crate::store) struct Cut {
    /// Without the semicolon.
    pub(in crate::store) text: String,
    /// Where it begins, for errors.
    pub(in crate::store) place: String,
    pub(in crate::store) makes: Option<Made>,
    /// How errors call it.
    pub(in crate::store) begins: String,
    /// Its first words in upper case.
    pub(in crate::store) words: Vec<String>,
}

/// How an error calls a statement.
pub(super) fn begins(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    let text = words.join(" ");
    let mut short: String = text.chars().take(60).filter(|it| !it.is_control()).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.trim_end_matches(';'))
}

/// Reads the next statement. Nothing: there is none.
pub(super) fn next(input: &mut Input) -> Result<Option<Statement<'_>>> {
    let space = input.scan(|text| space(text.bytes, text.whole))?;
    input.pass(space);
    if input.rest().is_empty() {
        return Ok(None);
    }
    let place = input.mark();
    let (end, sight) = input.scan(|text| statement(text.bytes, text.whole))?;
    Ok(Some(Statement { text: input.pass_text(end)?, place, sight }))
}

/// How many bytes of white space, comments and empty statements come first. They pass piecewise, so that none is too long.
fn space(bytes: &[u8], whole: bool) -> Result<usize, Halt> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        at += match rest {
            [] if whole => return Ok(at),
            [b';' | b' ' | b'\t'..=b'\r', ..] => 1,
            [b'-', b'-', ..] | [b'/', b'*', ..] => comment(bytes, at, whole)? - at,
            [] | [b'-' | b'/'] if !whole => return Err(Halt::Short),
            _ => return Ok(at),
        };
    }
}

/// The end of the comment at `at`.
fn comment(bytes: &[u8], at: usize, whole: bool) -> Result<usize, Halt> {
    let inside = &bytes[at + 2..];
    let end = match bytes[at] {
        b'-' => memchr::memchr(b'\n', inside).map(|it| it + 1),
        _ => memchr::memmem::find(inside, b"*/").map(|it| it + 2),
    };
    match end {
        Some(it) => Ok(at + 2 + it),
        // SQLite takes a comment that the end of the file cuts off as one.
        None if whole => Ok(bytes.len()),
        None => Err(Halt::Short),
    }
}

/// Where the statement at the start of `bytes` ends, and what it is made of.
fn statement(bytes: &[u8], whole: bool) -> Result<(usize, Sight), Halt> {
    let (mut at, mut sight, mut body) = (0, Sight::default(), Body::Before);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at = match byte {
            b'\'' | b'"' | b'`' => quoted(bytes, at, byte, whole)?,
            b'[' => quoted(bytes, at, b']', whole)?,
            b'-' if bytes.get(at + 1) == Some(&b'-') => comment(bytes, at, whole)?,
            b'/' if bytes.get(at + 1) == Some(&b'*') => comment(bytes, at, whole)?,
            b'-' | b'/' if at + 1 == bytes.len() && !whole => return Err(Halt::Short),
            0 => return Err(Halt::Refused(at, "a NUL byte, which no statement may hold")),
            _ if is_word(byte) => word(bytes, at, whole)?,
            _ => at + 1,
        };
        match byte {
            b' ' | b'\t'..=b'\r' | b'-' | b'/' => continue,
            // The digits around a point are no integers.
            b'0'..=b'9' if start > 0 && bytes[start - 1] == b'.' || bytes.get(at) == Some(&b'.') => {}
            b'0'..=b'9' => sight.large |= is_large(&bytes[start..at]),
            _ if is_word(byte) => sight.word(&bytes[start..at]),
            b'"' | b'`' | b'[' => sight.name(&bytes[start + 1..at - 1]),
            _ => {}
        }
        if sight.is_trigger() {
            body = body.after(&bytes[start..at]);
        }
        if byte == b';' && (!sight.is_trigger() || body == Body::Over) {
            return Ok((at, sight));
        }
    }
    match whole {
        true => Err(Halt::Expected(bytes.len(), "the `;` that ends this statement")),
        false => Err(Halt::Short),
    }
}

/// Where the quotes that open at `at` close. A closing quote that is doubled does not close, but `]` cannot be doubled.
fn quoted(bytes: &[u8], at: usize, quote: u8, whole: bool) -> Result<usize, Halt> {
    let mut end = at + 1;
    loop {
        match memchr::memchr(quote, &bytes[end..]) {
            None if whole => return Err(Halt::Refused(at, "a quote is opened here and never closed")),
            None => return Err(Halt::Short),
            Some(it) => end += it + 1,
        }
        match bytes.get(end) {
            Some(&it) if it == quote && quote != b']' => end += 1,
            None if !whole => return Err(Halt::Short),
            _ => return Ok(end),
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn word(bytes: &[u8], at: usize, whole: bool) -> Result<usize, Halt> {
    let length = bytes[at..].iter().position(|&it| !is_word(it));
    match length {
        Some(it) => Ok(at + it),
        None if whole => Ok(bytes.len()),
        None => Err(Halt::Short),
    }
}

fn is_large(digits: &[u8]) -> bool {
    let value = std::str::from_utf8(digits).ok().filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
    value.is_some_and(|it| it.parse::<u64>().map_or(true, |it| it >= 1 << 53))
}

impl Sight {
    fn word(&mut self, word: &[u8]) {
        let is = |it: &str| word.eq_ignore_ascii_case(it.as_bytes());
        self.reads |= is("SELECT") || is("WITH");
        self.forgives |= is("OR") || is("CONFLICT");
        self.replaces |= is("REPLACE");
        self.name(word);
    }

    fn name(&mut self, name: &[u8]) {
        if self.words.len() < WORDS {
            self.words.push(String::from_utf8_lossy(name).to_ascii_uppercase());
        }
    }

    /// Its first words.
    pub(super) fn first(&self) -> [&str; WORDS] {
        [0, 1, 2].map(|it| self.words.get(it).map_or("", String::as_str))
    }

    /// What it makes, if it makes anything.
    pub(super) fn makes(&self) -> Option<Made> {
        Some(match self.first() {
            ["CREATE", "TEMP" | "TEMPORARY", "TRIGGER"] | ["CREATE", "TRIGGER", _] => Made::Trigger,
            ["CREATE", "TEMP" | "TEMPORARY", _] => Made::Temporary,
            ["CREATE", "VIRTUAL", _] => Made::Virtual,
            ["CREATE", "TABLE", _] if self.reads => Made::Rows,
            ["CREATE", "TABLE", _] => Made::Table,
            ["CREATE", "INDEX", _] | ["CREATE", "UNIQUE", "INDEX"] => Made::Index,
            ["CREATE", "VIEW", _] => Made::View,
            _ => return None,
        })
    }

    /// Whether semicolons may stand inside of it.
    pub(super) fn is_trigger(&self) -> bool {
        matches!(self.first(), ["CREATE", "TRIGGER", _] | ["CREATE", "TEMP" | "TEMPORARY", "TRIGGER"])
    }
}

/// How far a trigger is from its end, which is `; END ;`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Before,
    Semicolon,
    End,
    Over,
}

impl Body {
    fn after(self, token: &[u8]) -> Body {
        match self {
            Body::End if token == b";" => Body::Over,
            Body::Semicolon if token.eq_ignore_ascii_case(b"END") => Body::End,
            _ if token == b";" => Body::Semicolon,
            _ => Body::Before,
        }
    }
}
