//! A file read through one bounded buffer, that always knows the line and the column where it stands.

use super::scan::{Halt, Text};
use crate::error::{Error, Kind, Result};
use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// How many bytes a single row, value or statement may have.
pub(super) const LIMIT: usize = 64 << 20;

const FIRST: usize = 256 << 10;

/// The unread part of a file.
pub(super) struct Input {
    name: String,
    file: File,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    whole: bool,
    /// Where the byte of the buffer at `marked` stands. It moves on with each mark, so that no line is counted twice.
    base: Mark,
    marked: usize,
    start: Mark,
    limit: usize,
}

/// A place in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    offset: u64,
    line: u64,
    /// In characters, from 1.
    column: u64,
}

impl Input {
    /// Opens the file at `path`.
    pub(super) fn open(path: &Path, limit: usize) -> Result<Input> {
        Input::new(path.display().to_string(), regular(path)?, limit)
    }

    /// Reads a file from its start, called `name` in errors, and steps over a byte order mark.
    pub(super) fn new(name: String, file: File, limit: usize) -> Result<Input> {
        let start = Mark { offset: 0, line: 1, column: 1 };
        let mut input =
            Input { name, file, buffer: Vec::new(), at: 0, end: 0, whole: false, base: start, marked: 0, start, limit };
        input.seek(start)?;
        input.more()?;
        match input.rest() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return Err(input.error(0, "the file is UTF-16; convert it to UTF-8"));
            }
            [0xef, 0xbb, 0xbf, ..] => input.start.offset = 3,
            _ => {}
        }
        input.rewind()?;
        Ok(input)
    }

    /// What a reader of the report has to know about the encoding.
    pub(super) fn notes(&self) -> Option<String> {
        (self.start.offset > 0).then(|| format!("{}: stepped over the byte order mark at its start", self.name))
    }

    /// Back to the start, without a buffer: a folder may hold many files, and one is read at a time.
    pub(super) fn rewind(&mut self) -> Result<()> {
        self.buffer = Vec::new();
        self.seek(self.start)
    }

    /// To a place that [`Input::mark`] gave.
    pub(super) fn seek(&mut self, to: Mark) -> Result<()> {
        self.file.seek(SeekFrom::Start(to.offset)).map_err(|it| self.failed(&it))?;
        (self.at, self.end, self.whole, self.base, self.marked) = (0, 0, false, to, 0);
        Ok(())
    }

    /// Where the unread part begins.
    pub(super) fn mark(&mut self) -> Mark {
        self.base = self.base.after(&self.buffer[self.marked..self.at]);
        self.marked = self.at;
        self.base
    }

    /// The unread bytes at hand.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    /// The same, for a scan.
    #[inline]
    pub(super) fn text(&self) -> Text<'_> {
        Text { bytes: &self.buffer[self.at..self.end], whole: self.whole }
    }

    /// Whether nothing follows after the bytes at hand.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Runs `scan` over the unread bytes, and again with more of them as long as they are too few.
    #[inline]
    pub(super) fn scan<T>(&mut self, mut scan: impl FnMut(Text<'_>) -> Result<T, Halt>) -> Result<T> {
        loop {
            match scan(self.text()) {
                Ok(it) => return Ok(it),
                Err(Halt::Short) => self.more()?,
                Err(it) => return Err(self.halted(self.rest(), &it)),
            }
        }
    }

    /// Passes `length` bytes and returns them.
    #[inline]
    pub(super) fn pass(&mut self, length: usize) -> &[u8] {
        let start = self.at;
        self.at = self.end.min(start + length);
        &self.buffer[start..self.at]
    }

    /// Passes `length` bytes that have to be UTF-8.
    #[inline]
    pub(super) fn pass_text(&mut self, length: usize) -> Result<&str> {
        let end = self.end.min(self.at + length);
        match std::str::from_utf8(&self.buffer[self.at..end]) {
            Ok(text) => {
                self.at = end;
                Ok(text)
            }
            Err(error) => Err(self.not_text(&error)),
        }
    }

    #[cold]
    fn not_text(&self, error: &std::str::Utf8Error) -> Error {
        let at = error.valid_up_to();
        self.error(at, format_args!("invalid UTF-8, {}", found(self.rest().get(at))))
    }

    /// To `offset` in the file, which lies ahead.
    pub(super) fn advance(&mut self, offset: u64) -> Result<()> {
        loop {
            let ahead = offset.saturating_sub(self.mark().offset);
            let here = self.rest().len();
            self.pass(usize::try_from(ahead).unwrap_or(here).min(here));
            if self.whole || self.at < self.end {
                return Ok(());
            }
            self.more()?;
        }
    }

    /// Gets more bytes behind those at hand.
    pub(super) fn more(&mut self) -> Result<()> {
        self.mark();
        self.buffer.copy_within(self.at..self.end, 0);
        (self.end, self.at, self.marked) = (self.end - self.at, 0, 0);
        if self.end == self.buffer.len() {
            if self.end >= self.limit {
                let what = format_args!("a single row or value is larger than the limit of {} bytes", self.limit);
                return Err(Error::new(Kind::Limit, format_args!("{}:{}: {what}", self.name, self.base)));
            }
            self.buffer.resize((self.end * 2).max(FIRST).min(self.limit), 0);
        }
        while self.end < self.buffer.len() && !self.whole {
            match self.file.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.whole = true,
                Ok(it) => self.end += it,
                Err(it) if it.kind() == io::ErrorKind::Interrupted => {}
                Err(it) => return Err(self.failed(&it)),
            }
        }
        Ok(())
    }

    /// The error for a scan of `bytes`, the first of the unread bytes, that came to a halt.
    #[cold]
    pub(super) fn halted(&self, bytes: &[u8], halt: &Halt) -> Error {
        match *halt {
            Halt::Short => self.error(bytes.len(), "cut off in the middle"),
            Halt::Refused(at, what) => self.error(at, what),
            Halt::Expected(at, what) => {
                let end = if bytes.len() >= self.rest().len() && self.whole {
                    "the end of the file"
                } else {
                    "the end of the line"
                };
                let found = bytes.get(at).map_or_else(|| end.to_owned(), |it| found(Some(it)));
                self.error(at, format_args!("expected {what}, found {found}"))
            }
        }
    }

    /// An error at `offset` of the unread bytes.
    #[cold]
    pub(super) fn error(&self, offset: usize, what: impl fmt::Display) -> Error {
        let at = self.end.min(self.at + offset);
        self.error_at(self.base.after(&self.buffer[self.marked..at]), what)
    }

    /// An error at a place.
    #[cold]
    pub(super) fn error_at(&self, mark: Mark, what: impl fmt::Display) -> Error {
        Error::new(Kind::Store, format_args!("{}:{mark}: {what}", self.name))
    }

    #[cold]
    fn failed(&self, error: &io::Error) -> Error {
        Error::new(Kind::Store, format_args!("{}: cannot be read: {error}", self.name))
    }
}

impl Mark {
    /// Bytes from the start of the file.
    pub(super) fn offset(self) -> u64 {
        self.offset
    }

    /// The place behind `bytes`, which begin here.
    pub(super) fn after(self, bytes: &[u8]) -> Mark {
        let characters = |it: &[u8]| it.iter().filter(|&&it| it & 0xc0 != 0x80).count() as u64;
        let (line, column) = match memchr::memrchr(b'\n', bytes) {
            None => (self.line, self.column + characters(bytes)),
            Some(it) => {
                (self.line + memchr::memchr_iter(b'\n', bytes).count() as u64, 1 + characters(&bytes[it + 1..]))
            }
        };
        Mark { offset: self.offset + bytes.len() as u64, line, column }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Opens what has to be a file of its own: reading a pipe twice would give two different answers.
pub(super) fn regular(path: &Path) -> Result<File> {
    let refused = |what: &dyn fmt::Display| Error::new(Kind::Store, format_args!("{}: {what}", path.display()));
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => refused(&"no such file"),
        _ => refused(&format_args!("cannot be opened: {error}")),
    };
    let metadata = std::fs::metadata(path).map_err(|it| unreadable(&it))?;
    if metadata.is_dir() {
        return Err(refused(&"is a folder, a file is wanted"));
    }
    if !metadata.is_file() {
        return Err(refused(&"is not a regular file; save what it gives to a file first"));
    }
    File::open(path).map_err(|it| unreadable(&it))
}

fn found(byte: Option<&u8>) -> String {
    match byte {
        None => "the end of the file".to_owned(),
        Some(it) if it.is_ascii_graphic() => format!("`{}`", char::from(*it)),
        Some(it) => format!("byte 0x{it:02x}"),
    }
}
