//! Writing: into a private folder beside the final one, which takes its name when all of it is on the disk.

use super::{
    ROW_MAX, codec,
    format::{FORMAT, Header, Part, Store, TableEntry, title},
    layout, names,
};
use crate::{
    disk::{self, Output},
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Row, Shape},
    schema::Table,
    value::Type,
};
use serde_json::value::RawValue;
use std::{
    collections::HashSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// What a snapshot says about where it comes from.
#[derive(Clone, Debug)]
pub struct Meta {
    /// The store whose rows these are.
    pub store: Store,
    /// The instant of the capture.
    pub captured: String,
    /// What a reader has to know, such as which columns are masked.
    pub notes: Vec<String>,
}

/// How to write a snapshot.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a snapshot that is already there gives way.
    pub replace: bool,
    /// How many rows a part holds at most.
    pub part_rows: u64,
    /// How many bytes of text a part may have and still be kept unpacked.
    pub plain: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { replace: false, part_rows: 1_000_000, plain: 1 << 20 }
    }
}

/// A snapshot being written. Nothing of it is left unless it is finished.
///
/// ```
/// use cutover::{row::{Batch, Feed}, schema::{Column, Table}, value::{Type, Value}};
/// use cutover::snapshot::{self, Meta, Options, Reader, Store, Writer};
///
/// let mut table = Table::new("users");
/// table.columns = vec![Column::new("id", Type::Int), Column::new("name", Type::Text)];
/// table.key = vec![0];
/// let shape = snapshot::shape(&table);
/// let mut batch = Batch::new(shape.clone());
/// batch.push([Value::Int(7), Value::Text("Mira")]);
///
/// let parent = tempfile::tempdir()?;
/// let folder = parent.path().join("before");
/// let store = Store { kind: "memory".into(), name: "users".into() };
/// let meta = Meta { store, captured: "2026-01-01T00:00:00Z".into(), notes: Vec::new() };
/// let mut writer = Writer::create(&folder, meta, Options::default())?;
/// let mut rows = writer.table(&table, &shape)?;
/// let _ = rows.take(&mut batch)?;
/// assert_eq!(rows.finish()?, 1);
/// writer.finish()?;
/// assert_eq!(Reader::open(&folder)?.tables()[0].columns, table.columns);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer {
    folder: PathBuf,
    /// The folder while it is written, which is removed when it is dropped.
    draft: TempDir,
    options: Options,
    header: Header,
    /// A table was begun and not finished.
    begun: bool,
}

/// The rows of one table on their way into a snapshot. They have to come in key order.
///
/// It is to be ended by [`TableWriter::finish`] or [`TableWriter::discard`]; without either the snapshot cannot be
/// finished.
pub struct TableWriter<'w> {
    writer: &'w mut Writer,
    table: Table,
    shape: Arc<Shape>,
    /// For each column of the table, its place in the shape.
    places: Vec<usize>,
    /// The types of the columns, in the order of the shape.
    types: Vec<Type>,
    entry: TableEntry,
    part: Option<Draft>,
    /// What is compared of the row before.
    last: Vec<u8>,
    scratch: codec::Scratch,
}

/// A part being written.
struct Draft {
    number: usize,
    rows: u64,
    /// Bytes of text so far.
    text: u64,
    /// Text that is not written yet. What has grown beyond `Options::plain` goes out packed, after a whole row, so that
    /// the bytes of the file depend on the rows alone.
    pending: Vec<u8>,
    packed: Option<zstd::Encoder<'static, Output>>,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Writer {
    /// How hard zstd tries. More costs more than reading the rows.
    const LEVEL: i32 = 1;

    /// Begins a snapshot that will be the folder `folder`.
    ///
    /// # Errors
    /// If something is already there, or no folder can be made beside it.
    pub fn create(folder: &Path, meta: Meta, options: Options) -> Result<Writer> {
        if folder.file_name().is_none() {
            let message = format_args!("{}: not the name of a new folder", folder.display());
            return Err(Error::new(Kind::File, message));
        }
        if is_there(folder)? {
            may_give_way(folder, options.replace)?;
        }
        let draft = beside(folder)?;
        let Meta { store, captured, notes } = meta;
        let tables = Vec::new();
        let header = Header { format: FORMAT.to_owned(), store, captured, notes, tables, checksum: String::new() };
        Ok(Writer { folder: folder.to_owned(), draft, options, header, begun: false })
    }

    /// Begins the next table, whose rows will come in `shape`: that of [`shape`](super::shape), with whatever casts.
    ///
    /// # Errors
    /// If the table is already there, two of its columns have one name, or the shape is another.
    pub fn table(&mut self, table: &Table, shape: &Arc<Shape>) -> Result<TableWriter<'_>> {
        let broken = |what: &str| {
            Error::new(Kind::Broken, format_args!("cannot write table `{}` to a snapshot: {what}", table.name))
        };
        if self.begun {
            return Err(broken("the table before it is not finished"));
        }
        if self.header.tables.iter().any(|it| it.name() == table.name) {
            return Err(broken("it is already there"));
        }
        if !is_shape(table, shape) {
            return Err(broken("its rows come in another shape"));
        }
        let entry = TableEntry::new(table)?;
        let again = entry.table(&self.folder).ok();
        if again.is_none_or(|it| Table { rows_about: table.rows_about, ..it } != *table) {
            return Err(broken("its key or a constraint is of no column"));
        }
        let layout = layout(table);
        let places = (0..table.columns.len()).filter_map(|column| layout.iter().position(|&it| it == column)).collect();
        let types = layout.iter().filter_map(|&it| table.columns.get(it)).map(|it| it.ty).collect();
        self.begun = true;
        Ok(TableWriter {
            writer: self,
            table: table.clone(),
            shape: Arc::clone(shape),
            places,
            types,
            entry,
            part: None,
            last: Vec::new(),
            scratch: codec::Scratch::default(),
        })
    }

    /// Puts the snapshot where it belongs.
    ///
    /// # Errors
    /// If a table is not finished, something else has taken the place, or the disk fails. What was there before is then
    /// still there.
    pub fn finish(mut self) -> Result<()> {
        if self.begun {
            return Err(Error::new(Kind::Broken, "a table of the snapshot was begun and not finished"));
        }
        let text = self.header.sealed()?;
        let mut output = Output::create(self.draft.path().join(names::HEADER))?;
        output.put(text.as_bytes())?;
        output.close()?;
        disk::sync(self.draft.path())?;
        if is_there(&self.folder)? {
            self.replace()?;
        } else {
            move_to(self.draft.path(), &self.folder)?;
        }
        // The draft has got its name, so there is nothing left to remove.
        let _ = self.draft.keep();
        disk::sync(disk::parent(&self.folder))
    }

    fn replace(&self) -> Result<()> {
        may_give_way(&self.folder, self.options.replace)?;
        let aside = beside(&self.folder)?;
        let old = aside.path().join("old");
        move_to(&self.folder, &old)?;
        if let Err(error) = move_to(self.draft.path(), &self.folder) {
            let Err(_) = move_to(&old, &self.folder) else { return Err(error) };
            let kept = aside.keep().join("old");
            return Err(error.context(format_args!("the snapshot that was there is now {}", kept.display())));
        }
        disk::sync(disk::parent(&self.folder))?;
        let path = aside.path().to_owned();
        aside.close().map_err(|error| disk::failed(&path, "cannot remove the snapshot that was replaced", &error))
    }
}

impl TableWriter<'_> {
    /// Ends the table and says how many rows it has.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn finish(mut self) -> Result<u64> {
        self.end_part()?;
        let rows = self.entry.rows;
        self.writer.header.tables.push(self.entry);
        self.writer.begun = false;
        Ok(rows)
    }

    /// Forgets the rows of the table, so that it can be begun again, sorted.
    ///
    /// # Errors
    /// If a file of it cannot be removed.
    pub fn discard(mut self) -> Result<()> {
        self.end_part()?;
        for part in &self.entry.parts {
            let path = self.writer.draft.path().join(&part.file);
            fs::remove_file(&path).map_err(|error| disk::failed(&path, "cannot remove", &error))?;
        }
        self.writer.begun = false;
        Ok(())
    }

    fn row(&mut self, row: Row<'_>, last_of_batch: bool) -> Result<()> {
        if self.entry.rows > 0 && self.last.as_slice() > row.compared() {
            let message = format_args!("the rows of table `{}` do not come in key order", self.table.name);
            return Err(Error::new(Kind::Order, message));
        }
        self.last.clear();
        self.last.extend_from_slice(row.compared());
        if self.part.is_none() {
            let number = self.entry.parts.len() + 1;
            let mut draft = Draft::new(number, title(&self.table, number));
            write_cells(row, &self.types, 0..self.shape.key, &mut self.scratch, &mut draft.first);
            self.part = Some(draft);
        }
        let Some(part) = &mut self.part else { return Ok(()) };
        let start = part.pending.len();
        write_cells(row, &self.types, self.places.iter().copied(), &mut self.scratch, &mut part.pending);
        part.pending.push(b'\n');
        let length = (part.pending.len() - start) as u64;
        if length > ROW_MAX {
            let message = format_args!(
                "a row of table `{}` fills {length} bytes of text, {ROW_MAX} is the most",
                self.table.name
            );
            return Err(Error::new(Kind::Limit, message));
        }
        part.text += length;
        part.rows += 1;
        self.entry.rows += 1;
        let full = part.rows >= self.writer.options.part_rows;
        if full || last_of_batch {
            part.last.clear();
            write_cells(row, &self.types, 0..self.shape.key, &mut self.scratch, &mut part.last);
        }
        if part.pending.len() > self.writer.options.plain {
            part.pack(self.writer.draft.path(), &self.table.name)?;
        }
        if full { self.end_part() } else { Ok(()) }
    }

    fn end_part(&mut self) -> Result<()> {
        let Some(part) = self.part.take() else { return Ok(()) };
        let part = part.end(self.writer.draft.path(), &self.table.name)?;
        self.entry.parts.push(part);
        Ok(())
    }
}

impl Feed for TableWriter<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let same = Arc::ptr_eq(batch.shape(), &self.shape) || is_shape(&self.table, batch.shape());
        if !same || !batch.rejects.is_empty() || (self.shape.width() == 0 && !batch.is_empty()) {
            let message = format_args!("table `{}` was handed rows that no snapshot can hold", self.table.name);
            return Err(Error::new(Kind::Broken, message));
        }
        for index in 0..batch.len() {
            self.row(batch.row(index), index + 1 == batch.len())?;
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

impl Draft {
    /// How long a key may be and still be told in the header.
    const KEY_MAX: usize = 1024;

    fn new(number: usize, title: Vec<u8>) -> Draft {
        let text = title.len() as u64;
        Draft { number, rows: 0, text, pending: title, packed: None, first: Vec::new(), last: Vec::new() }
    }

    fn pack(&mut self, folder: &Path, table: &str) -> Result<()> {
        if self.packed.is_none() {
            let output = Output::create(folder.join(names::part(table, self.number, true)))?;
            let path = output.path().to_owned();
            let encoder = zstd::Encoder::new(output, Writer::LEVEL);
            self.packed = Some(encoder.map_err(|error| disk::failed(&path, "cannot pack", &error))?);
        }
        let Some(encoder) = &mut self.packed else { return Ok(()) };
        let written = encoder.write_all(&self.pending);
        written.map_err(|error| disk::failed(encoder.get_ref().path(), "cannot write", &error))?;
        self.pending.clear();
        Ok(())
    }

    fn end(mut self, folder: &Path, table: &str) -> Result<Part> {
        if self.packed.is_some() {
            self.pack(folder, table)?;
        }
        let output = match self.packed {
            Some(encoder) => {
                let path = encoder.get_ref().path().to_owned();
                encoder.finish().map_err(|error| disk::failed(&path, "cannot write", &error))?
            }
            None => {
                let mut output = Output::create(folder.join(names::part(table, self.number, false)))?;
                output.put(&self.pending)?;
                output
            }
        };
        let file = output.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (bytes, blake3) = output.close()?;
        let key = |it: Vec<u8>| {
            let short = String::from_utf8(it).ok().filter(|it| it.len() <= Draft::KEY_MAX);
            short.and_then(|it| RawValue::from_string(it).ok())
        };
        Ok(Part { file, rows: self.rows, bytes, text: self.text, first: key(self.first), last: key(self.last), blake3 })
    }
}

/// Whether `shape` is that of `table`, casts aside.
fn is_shape(table: &Table, shape: &Shape) -> bool {
    let own = super::shape(table);
    let columns = own.fields.iter().map(|it| &it.column).eq(shape.fields.iter().map(|it| &it.column));
    columns && (own.key, own.compared) == (shape.key, shape.compared)
}

/// Appends the cells at `places` of `row`, whose types are `types`, as a JSON array.
fn write_cells(
    row: Row<'_>,
    types: &[Type],
    places: impl Iterator<Item = usize>,
    scratch: &mut codec::Scratch,
    out: &mut Vec<u8>,
) {
    out.push(b'[');
    for (count, place) in places.enumerate() {
        if count > 0 {
            out.push(b',');
        }
        codec::write(row.cell(place), place < row.shape().key, types[place], scratch, out);
    }
    out.push(b']');
}

/// Whether there is anything at `path`, be it a link to nowhere.
fn is_there(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk::failed(path, "cannot look", &error)),
    }
}

/// Only a folder that holds nothing but a snapshot may be replaced, because it is removed.
fn may_give_way(folder: &Path, replace: bool) -> Result<()> {
    let refuse = |what: &str| Err(Error::new(Kind::File, format_args!("{}: {what}", folder.display())));
    if !replace {
        return refuse("already there; choose another name, or say --replace");
    }
    let cannot = |error: io::Error| disk::failed(folder, "cannot look", &error);
    if !fs::symlink_metadata(folder).map_err(cannot)?.is_dir() {
        return refuse("not a folder, so it is not replaced; choose another name");
    }
    let mut seen = HashSet::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
        if !names::is_ours(&name) {
            return refuse(&format!(
                "holds {name:?}, which is not a snapshot's, so it is not replaced; choose another name"
            ));
        }
        seen.insert(name);
    }
    match seen.is_empty() || seen.contains(names::HEADER) {
        true => Ok(()),
        false => refuse("not a snapshot, so it is not replaced; choose another name"),
    }
}

/// A private folder beside that one.
fn beside(folder: &Path) -> Result<TempDir> {
    disk::draft(disk::parent(folder), ".cutover-")
}

fn move_to(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| disk::failed(to, "cannot put the snapshot there", &error))
}
