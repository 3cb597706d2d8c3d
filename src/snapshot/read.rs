//! Reading: nothing that is not as it was written gets through to the end.

use super::{
    HEADER_MAX, ROW_MAX, codec, damaged,
    format::{Header, Part, Store, title},
    names,
};
use crate::{
    disk,
    error::{Error, Kind, Result},
    row::{Batch, Rows, Shape},
    schema::Table,
};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A snapshot on disk, whose header is checked and whose parts are all there.
///
/// Opening it reads the header and looks at the files; the rows are checked while they are read.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    header: Header,
    tables: Vec<Table>,
}

/// The rows of one table of a snapshot.
pub struct TableRows<'r> {
    reader: &'r Reader,
    table: &'r Table,
    shape: Arc<Shape>,
    /// For each field of the shape, the place of its column.
    places: Vec<usize>,
    parts: &'r [Part],
    /// The number of the part that is read.
    number: usize,
    open: Option<Lines>,
    cells: Vec<(usize, usize)>,
    scratch: Vec<codec::Scratch>,
}

/// The rows of one part as text.
struct Lines {
    path: PathBuf,
    text: BufReader<Text>,
    /// The current line, without its end.
    line: Vec<u8>,
    number: u64,
}

/// The text of a part, as far as its header says that it goes.
struct Text {
    stored: Stored,
    left: u64,
}

enum Stored {
    Plain(Input),
    Packed(zstd::Decoder<'static, BufReader<Input>>),
}

/// A file that knows what has been read of it.
struct Input {
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Reader {
    /// Opens the snapshot in `folder`.
    ///
    /// # Errors
    /// If it is no snapshot, one of a newer version, or not what was written.
    pub fn open(folder: &Path) -> Result<Reader> {
        let path = folder.join(names::HEADER);
        let text = header_text(&path)?;
        let header = Header::open(&path, &text)?;
        let tables = header.tables.iter().map(|it| it.table(&path)).collect::<Result<_>>()?;
        let reader = Reader { folder: folder.to_owned(), header, tables };
        reader.check_files()?;
        Ok(reader)
    }

    /// The store whose rows these are.
    pub fn store(&self) -> &Store {
        &self.header.store
    }

    /// The instant of the capture, as it was given.
    pub fn captured(&self) -> &str {
        &self.header.captured
    }

    /// What the capture noted.
    pub fn notes(&self) -> &[String] {
        &self.header.notes
    }

    /// BLAKE3 of all that the snapshot holds: of its header, which names that of each part.
    pub fn checksum(&self) -> &str {
        &self.header.checksum
    }

    /// The tables, in the order in which they were captured.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The parts of the table called `table`, in key order.
    ///
    /// # Errors
    /// If there is no such table.
    pub fn parts(&self, table: &str) -> Result<&[Part]> {
        self.find(table).map(|it| it.1)
    }

    /// The rows of the table called `table` as they were captured, in key order.
    ///
    /// # Errors
    /// If there is no such table.
    pub fn rows(&self, table: &str) -> Result<TableRows<'_>> {
        let shape = super::shape(self.find(table)?.0);
        self.rows_in(table, &shape)
    }

    /// The rows of the table called `table` cast to `shape`, still in the order of the captured key.
    ///
    /// # Errors
    /// If there is no such table, or no such column.
    pub fn rows_in(&self, table: &str, shape: &Arc<Shape>) -> Result<TableRows<'_>> {
        let (table, parts) = self.find(table)?;
        let place = |name: &str| {
            let message = || format!("{}: table `{}` has no column `{name}`", self.folder.display(), table.name);
            table.column(name).ok_or_else(|| Error::new(Kind::Store, message()))
        };
        let places = shape.fields.iter().map(|it| place(&it.column)).collect::<Result<_>>()?;
        let scratch = table.columns.iter().map(|_| codec::Scratch::default()).collect();
        let shape = Arc::clone(shape);
        Ok(TableRows { reader: self, table, shape, places, parts, number: 0, open: None, cells: Vec::new(), scratch })
    }

    fn find(&self, name: &str) -> Result<(&Table, &[Part])> {
        let mut all = self.tables.iter().zip(&self.header.tables);
        let found = all.find(|it| it.0.name == name).map(|it| (it.0, it.1.parts.as_slice()));
        let folder = self.folder.display();
        found.ok_or_else(|| Error::new(Kind::Store, format_args!("{folder}: the snapshot has no table `{name}`")))
    }

    /// Each file that the header names is there, as long as it says, and no other.
    fn check_files(&self) -> Result<()> {
        let mut known = HashSet::from([names::HEADER]);
        for part in self.header.tables.iter().flat_map(|it| &it.parts) {
            let path = self.folder.join(&part.file);
            let length = plain_file(&path)?.len();
            if length != part.bytes {
                let message = format_args!("{length} bytes long, not {} as {} says", part.bytes, names::HEADER);
                return Err(damaged(&path, message));
            }
            known.insert(&part.file);
        }
        let cannot = |error: io::Error| disk::failed(&self.folder, "cannot look", &error);
        let mut strange = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name();
            if name.to_str().is_none_or(|it| !known.contains(it)) {
                strange.push(name);
            }
        }
        match strange.iter().min() {
            None => Ok(()),
            Some(name) => {
                let message = format_args!("holds {name:?}, which the snapshot does not name; move it elsewhere");
                Err(Error::new(Kind::Snapshot, format_args!("{}: {message}", self.folder.display())))
            }
        }
    }
}

impl TableRows<'_> {
    /// Moves to the next row, its cells as text in `self.open` and `self.cells`. False at the end.
    fn advance(&mut self) -> Result<bool> {
        loop {
            let Some(part) = self.parts.get(self.number) else { return Ok(false) };
            if self.open.is_none() {
                let path = self.reader.folder.join(&part.file);
                self.open = Some(Lines::open(path, part, &title(self.table, self.number + 1))?);
            }
            let Some(lines) = &mut self.open else { return Ok(false) };
            if lines.advance()? {
                return Ok(true);
            }
            if let Some(lines) = self.open.take() {
                lines.close(part)?;
            }
            self.number += 1;
        }
    }

    fn push(&mut self, batch: &mut Batch) -> Result<()> {
        let Some(lines) = &self.open else { return Ok(()) };
        let bad = || lines.damaged("not a row of its table");
        let line = std::str::from_utf8(&lines.line).map_err(|_| bad())?;
        codec::split(line, &mut self.cells).ok_or_else(bad)?;
        if self.cells.len() != self.table.columns.len() {
            return Err(bad());
        }
        let mut values = Vec::with_capacity(self.cells.len());
        for ((column, &(start, end)), scratch) in self.table.columns.iter().zip(&self.cells).zip(&mut self.scratch) {
            let value = line.get(start..end).and_then(|it| codec::read(it, column.ty, scratch));
            values.push(value.ok_or_else(bad)?);
        }
        batch.push_with(|field| self.places.get(field).and_then(|&it| values.get(it)).copied().ok_or_else(bad))
    }
}

impl Rows for TableRows<'_> {
    fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        batch.clear();
        while !batch.is_full() && self.advance()? {
            self.push(batch)?;
        }
        Ok(())
    }
}

impl Lines {
    fn open(path: PathBuf, part: &Part, title: &[u8]) -> Result<Lines> {
        let input = Input { file: open_plain(&path)?, hasher: blake3::Hasher::new(), bytes: 0 };
        let stored = match part.is_packed() {
            true => Stored::unpack(input).map_err(|error| disk::failed(&path, "cannot unpack", &error))?,
            false => Stored::Plain(input),
        };
        let text = BufReader::with_capacity(64 << 10, Text { stored, left: part.text });
        let mut lines = Lines { path, text, line: Vec::new(), number: 0 };
        let same = lines.advance()? && title.strip_suffix(b"\n") == Some(&lines.line);
        if same { Ok(lines) } else { Err(lines.damaged("not the part that its name says")) }
    }

    /// Reads the next line. False at the end.
    fn advance(&mut self) -> Result<bool> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.text).take(ROW_MAX);
        let length = limited.read_until(b'\n', &mut self.line).map_err(|error| self.damaged(error))?;
        if length > 0 && self.line.pop() != Some(b'\n') {
            let what = if length as u64 == ROW_MAX { "longer than a row can be" } else { "cut off" };
            return Err(self.damaged(what));
        }
        Ok(length > 0)
    }

    /// Checks what can be checked only at the end.
    fn close(self, part: &Part) -> Result<()> {
        let Lines { path, text, number, .. } = self;
        let Text { stored, left } = text.into_inner();
        let mut input = match stored {
            Stored::Plain(it) => it,
            Stored::Packed(it) => it.finish().into_inner(),
        };
        // What follows the packed text counts as well, as far as one byte too many.
        let rest = part.bytes.saturating_sub(input.bytes).saturating_add(1);
        let drained = io::copy(&mut (&mut input).take(rest), &mut io::sink());
        drained.map_err(|error| disk::failed(&path, "cannot read", &error))?;
        let blake3 = input.hasher.finalize().to_hex();
        if input.bytes != part.bytes || blake3.as_str() != part.blake3 {
            return Err(damaged(&path, format_args!("its BLAKE3 is not that in {}", names::HEADER)));
        }
        // The title and the line beyond the last are none.
        let rows = number.saturating_sub(2);
        if left > 0 || rows != part.rows {
            return Err(damaged(&path, format_args!("it holds {rows} rows, not {}", part.rows)));
        }
        Ok(())
    }

    #[cold]
    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        damaged(&self.path, format_args!("line {}: {what}", self.number))
    }
}

impl Stored {
    /// The largest window that a packed part may ask memory for, as a power of two; what is written here asks for less.
    const WINDOW: u32 = 23;

    fn unpack(input: Input) -> io::Result<Stored> {
        let mut decoder = zstd::Decoder::new(input)?;
        decoder.window_log_max(Stored::WINDOW)?;
        Ok(Stored::Packed(decoder.single_frame()))
    }
}

impl Read for Text {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(to.len());
        let to = &mut to[..most];
        let length = match &mut self.stored {
            Stored::Plain(it) => it.read(to)?,
            Stored::Packed(it) => it.read(to)?,
        };
        let left = self.left.checked_sub(length as u64);
        self.left = left.ok_or_else(|| io::Error::other("there is more text than snapshot.json says"))?;
        Ok(length)
    }
}

impl Read for Input {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(to)?;
        self.hasher.update(to.get(..length).unwrap_or_default());
        self.bytes += length as u64;
        Ok(length)
    }
}

/// The text of `snapshot.json`.
fn header_text(path: &Path) -> Result<String> {
    if let Err(error) = fs::symlink_metadata(path)
        && error.kind() == io::ErrorKind::NotFound
    {
        let message = format_args!("{}: not there, so this is no snapshot; capture one", path.display());
        return Err(Error::new(Kind::Snapshot, message));
    }
    let mut text = Vec::new();
    let read = open_plain(path)?.take(HEADER_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| disk::failed(path, "cannot read", &error))?;
    if text.len() as u64 > HEADER_MAX {
        return Err(damaged(path, format_args!("longer than {HEADER_MAX} bytes")));
    }
    String::from_utf8(text).map_err(|_| damaged(path, "not UTF-8"))
}

/// Opens a file that is no link and no device.
fn open_plain(path: &Path) -> Result<File> {
    let seen = plain_file(path)?;
    let opened = File::open(path).and_then(|file| file.metadata().map(|it| (file, it)));
    let (file, found) = opened.map_err(|error| disk::failed(path, "cannot read", &error))?;
    if is_same(&seen, &found) { Ok(file) } else { Err(damaged(path, "it was exchanged while it was opened")) }
}

fn plain_file(path: &Path) -> Result<fs::Metadata> {
    match fs::symlink_metadata(path) {
        Ok(it) if it.is_file() => Ok(it),
        Ok(_) => Err(damaged(path, "not a plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(path, "missing")),
        Err(error) => Err(disk::failed(path, "cannot look", &error)),
    }
}

/// Whether a path led to what it was seen to lead to, so that no link can be put there in between.
#[cfg(unix)]
fn is_same(seen: &fs::Metadata, found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (seen.dev(), seen.ino()) == (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, found: &fs::Metadata) -> bool {
    found.is_file()
}
