//! Rows as comma-separated values (RFC 4180), with a header row.
//!
//! What is written and what is meant are two things in CSV: a cell is text, and NULL only where it is exactly the NULL marker
//! of the options, whether quoted or not. The crate `csv` splits records and is lenient; what it would repair in silence is an
//! error here.

use super::{
    FileOptions,
    columns::{COLUMN_NAMES, COLUMNS},
    input::{Input, LIMIT, regular},
    pass_on,
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::{Column, Origin, Table},
    store::{Source, places},
    value::{Type, Value, cast},
};
use csv::{ByteRecord, Reader};
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A CSV file.
pub(super) struct Sheet {
    path: PathBuf,
    table: Table,
    pub(super) null: Option<Vec<u8>>,
    pub(super) delimiter: u8,
    /// Whether the first record is a header.
    pub(super) header: bool,
    note: Option<String>,
}

impl Sheet {
    /// Reads the header.
    pub(super) fn open(path: &Path, options: &FileOptions) -> Result<Sheet> {
        let note = Input::open(path, LIMIT)?.notes();
        let mut sheet = Sheet {
            path: path.to_owned(),
            table: Table { nullless: true, ..Table::new(super::stem(path)) },
            null: options.null.as_ref().map(|it| it.as_bytes().to_vec()),
            delimiter: delimiter(path, options),
            header: false,
            note,
        };
        let names = match options.columns.get(&sheet.table.name) {
            Some(names) => names.clone(),
            None => {
                let names = sheet.names()?;
                sheet.header = true;
                names
            }
        };
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                return Err(sheet.error(1, format_args!("the header names the column `{name}` twice")));
            }
        }
        let guess = |name| Column { origin: Origin::Guessed, ..Column::new(name, Type::Any) };
        sheet.table.columns = names.into_iter().map(guess).collect();
        options.declare(&mut sheet.table)?;
        Ok(sheet)
    }

    fn names(&self) -> Result<Vec<String>> {
        let (mut records, mut record) = (Records::open(self)?, ByteRecord::new());
        if !records.next(&mut record)? {
            return Err(self.error(1, "the file is empty; a header row is wanted, or `columns` in the plan"));
        }
        if record.len() > COLUMNS || record.as_slice().len() > COLUMN_NAMES {
            let what =
                format_args!("the header names more columns than the limit of {COLUMNS}, or in more than 16 MiB");
            return Err(self.error(1, what));
        }
        let text = |it: &[u8]| match std::str::from_utf8(it) {
            Ok(it) => Ok(it.to_owned()),
            Err(_) => Err(self.error(1, "the header is not UTF-8")),
        };
        record.iter().map(text).collect()
    }

    #[cold]
    fn error(&self, line: u64, what: impl fmt::Display) -> Error {
        Error::new(Kind::Store, format_args!("{}:{line}: {what}", self.path.display()))
    }
}

impl Source for Sheet {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(vec![self.table.clone()])
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        if table.name != self.table.name {
            return Err(Error::new(Kind::Store, format_args!("no table `{}` in this file", table.name)));
        }
        let places = places(table, shape)?;
        let (mut records, mut record) = (Records::open(self)?, ByteRecord::new());
        let mut batch = Batch::new(Arc::clone(shape));
        if self.header {
            records.next(&mut record)?;
        }
        let null = self.null.as_deref();
        while records.next(&mut record)? {
            if record.len() != self.table.columns.len() {
                return Err(records.ragged(&record));
            }
            batch.push_with(|field| {
                let bytes = record.get(places[field]).unwrap_or_default();
                let any = shape.fields[field].cast.ty == Type::Any;
                Ok(if Some(bytes) == null { Value::Null } else { cell(bytes, any) })
            })?;
            if pass_on(&mut batch, feed)? == Flow::Stop {
                return Ok(());
            }
        }
        feed.take(&mut batch).map(|_| ())
    }

    fn notes(&self) -> Vec<String> {
        self.note.iter().cloned().collect()
    }
}

/// What stands between the cells of a file.
pub(super) fn delimiter(path: &Path, options: &FileOptions) -> u8 {
    let tabs = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("tsv"));
    options.delimiter.unwrap_or(if tabs { b'\t' } else { b',' })
}

/// A cell is text. Where no type is asked for, what is written as integers are written is an integer, so that keys come in
/// the order of their numbers; there is one text for each integer, so nothing is lost.
#[inline]
pub(super) fn cell(bytes: &[u8], any: bool) -> Value<'_> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Value::Malformed(bytes) };
    match any && cast::is_integer(text) {
        true => text.parse().map_or(Value::Text(text), Value::Int),
        false => Value::Text(text),
    }
}

/// The records of a sheet, the header among them.
pub(super) struct Records<'s> {
    sheet: &'s Sheet,
    reader: Reader<Watch>,
}

impl<'s> Records<'s> {
    pub(super) fn open(sheet: &'s Sheet) -> Result<Records<'s>> {
        let watch = Watch {
            file: regular(&sheet.path)?,
            delimiter: sheet.delimiter,
            single: sheet.table.columns.len() == 1,
            offset: 0,
            record: 0,
            last: b'\n',
            quoted: Quoted::No,
            blank: Blank::Line,
            fault: None,
        };
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(sheet.delimiter).buffer_capacity(BUFFER);
        Ok(Records { sheet, reader: builder.from_reader(watch) })
    }

    /// Reads the next record. False: there is none.
    #[inline]
    pub(super) fn next(&mut self, record: &mut ByteRecord) -> Result<bool> {
        self.reader.get_mut().record = 0;
        self.reader.read_byte_record(record).map_err(|it| self.failed(&it))
    }

    #[cold]
    fn failed(&self, error: &csv::Error) -> Error {
        match self.reader.get_ref().fault {
            Some((offset, what)) => self.error(offset, false, what),
            None => Error::new(Kind::Store, format_args!("{}: cannot be read: {error}", self.sheet.path.display())),
        }
    }

    #[cold]
    pub(super) fn ragged(&self, record: &ByteRecord) -> Error {
        let (has, wanted) = (record.len(), self.sheet.table.columns.len());
        let what = format_args!("a record of {has} cells in a table of {wanted} columns");
        // The crate counts the blank lines before a record as its own.
        self.error(record.position().map_or(0, |it| it.byte()), true, what)
    }

    /// An error at `offset`, or with `skip` after the line ends that stand there.
    fn error(&self, offset: u64, skip: bool, what: impl fmt::Display) -> Error {
        let place = |input: &mut Input| {
            input.advance(offset)?;
            while let (true, Some(b'\r' | b'\n')) = (skip, input.rest().first()) {
                input.pass(1);
                if input.rest().is_empty() {
                    input.more()?;
                }
            }
            Ok(input.error(0, what))
        };
        Input::open(&self.sheet.path, LIMIT).and_then(|mut it| place(&mut it)).unwrap_or_else(|it| it)
    }
}

const BUFFER: usize = 256 << 10;

/// The file on its way to the crate `csv`, watched for what the crate would repair in silence.
struct Watch {
    file: File,
    delimiter: u8,
    /// There is one column, so that a blank line may be a row or nothing.
    single: bool,
    offset: u64,
    /// Bytes handed out since the current record was asked for.
    record: usize,
    last: u8,
    quoted: Quoted,
    blank: Blank,
    /// What is wrong, and where.
    fault: Option<(u64, &'static str)>,
}

/// How what is read next stands to quotes.
#[derive(Clone, Copy)]
enum Quoted {
    No,
    /// Since this offset.
    Yes(u64),
    /// The last byte was a quote inside of quotes, which closes them unless another one follows.
    Closing,
}

/// What the current line of a file of one column holds.
#[derive(Clone, Copy)]
enum Blank {
    /// Nothing so far.
    Line,
    /// Nothing, and the line at this offset was blank too.
    Before(u64),
    /// Something.
    No,
}

impl Read for Watch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        let seen = match length {
            0 => self.end(),
            _ => self.follow(&buffer[..length]),
        };
        self.record += length;
        let seen = match self.record {
            it if it > LIMIT + BUFFER => {
                Err((self.offset, "a record is larger than the limit of 64 MiB; is a quote open?"))
            }
            _ => seen,
        };
        seen.map(|()| length).map_err(|fault| {
            self.fault = Some(fault);
            io::Error::other(fault.1)
        })
    }
}

impl Watch {
    fn end(&self) -> Result<(), (u64, &'static str)> {
        match self.quoted {
            Quoted::Yes(start) => Err((start, "a quote is opened here and never closed")),
            Quoted::No | Quoted::Closing => Ok(()),
        }
    }

    fn follow(&mut self, bytes: &[u8]) -> Result<(), (u64, &'static str)> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let here = self.offset + at as u64;
            if let Quoted::Closing = self.quoted {
                match byte {
                    b'"' => {
                        self.quoted = Quoted::Yes(here);
                        at += 1;
                        continue;
                    }
                    b'\r' | b'\n' => {}
                    it if it == self.delimiter => {}
                    _ => return Err((here, "text after a closing quote; a quote in a quoted cell is written twice")),
                }
                self.quoted = Quoted::No;
            }
            let quote = memchr::memchr(b'"', &bytes[at..]).map_or(bytes.len(), |it| at + it);
            let outside = matches!(self.quoted, Quoted::No);
            if self.single && outside {
                self.lines(&bytes[at..quote], here)?;
            }
            if quote == bytes.len() {
                break;
            }
            let before = if quote == 0 { self.last } else { bytes[quote - 1] };
            let opens = matches!(before, b'\r' | b'\n') || before == self.delimiter || self.follows_mark(bytes, quote);
            match outside {
                true if opens => self.quoted = Quoted::Yes(self.offset + quote as u64),
                true => {}
                false => self.quoted = Quoted::Closing,
            }
            if self.single {
                self.filled()?;
            }
            at = quote + 1;
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Whether what stands before `at` is the byte order mark of the file.
    fn follows_mark(&self, bytes: &[u8], at: usize) -> bool {
        self.offset == 0 && at == 3 && bytes.starts_with(b"\xef\xbb\xbf")
    }

    /// Looks for blank lines in what stands outside of quotes.
    fn lines(&mut self, bytes: &[u8], offset: u64) -> Result<(), (u64, &'static str)> {
        for (&byte, here) in bytes.iter().zip(offset..) {
            match (byte, self.blank) {
                (b'\r', _) | (b'\n', Blank::Before(_)) => {}
                (b'\n', Blank::Line) => self.blank = Blank::Before(here),
                (b'\n', Blank::No) => self.blank = Blank::Line,
                _ => self.filled()?,
            }
        }
        Ok(())
    }

    /// The current line holds something. Blank lines before it were not the end of the file then.
    fn filled(&mut self) -> Result<(), (u64, &'static str)> {
        match std::mem::replace(&mut self.blank, Blank::No) {
            Blank::Before(at) => Err((at, "a blank line in a file of one column; write `\"\"` for an empty cell")),
            Blank::Line | Blank::No => Ok(()),
        }
    }
}
