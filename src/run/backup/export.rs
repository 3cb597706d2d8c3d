//! Exports: the rows of a store as plain JSON, for people and for programs that know nothing of snapshots.
//!
//! A store that is one table of keys and values becomes one file, an object, as the read interface of Edge Config answers:
//! `edge-config-backup-2026-01-18T09-30-00.json`. Any other one becomes a folder of that name with a file for each table, an
//! array of objects. Both are read back through this tool's own readers of such files, and compared with what was captured.
//! What JSON cannot hold exactly, such as bytes, is refused: a snapshot holds it.

use super::{DRAFT, check, files, id};
use crate::{
    disk,
    error::{Error, Kind, Result},
    row::{Batch, Row, Rows, Shape},
    run::{
        Run,
        capture::{Masks, capture},
    },
    schema::Table,
    snapshot::{self, Meta, Reader, Store},
    store::{
        Source,
        files::{FileOptions, open},
    },
    value::{Value, json, time, write_uuid},
};
use jiff::Timestamp;
use std::{
    collections::HashSet,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What was written.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file, or the folder of files.
    pub path: PathBuf,
    /// The rows of each table.
    pub tables: Vec<super::TableRows>,
}

/// Writes every table of `store` as JSON into the folder `home`.
///
/// # Errors
/// If the store fails or changes meanwhile, JSON cannot hold what it does, or the disk fails. Nothing is left then.
pub fn export(run: &Run, home: &Path, store: &mut dyn Source, name: &Store, now: Timestamp) -> Result<Exported> {
    let captured = disk::draft(&run.scratch, ".cutover-")?;
    let folder = captured.path().join("snapshot");
    let meta = Meta { store: name.clone(), captured: now.to_string(), notes: Vec::new() };
    capture(run, store, &folder, meta, snapshot::Options::default(), &Masks::default())?;
    let reader = Reader::open(&folder)?;
    let tables = check::counted(run, &reader)?;
    check::same(run, &reader, store)?;
    let stem = format!("{}-backup-{}", name.kind, now.strftime("%Y-%m-%dT%H-%M-%S"));
    let prefix = format!("{DRAFT}{}-", id(now));
    let path = match reader.tables() {
        [only] if is_document(&reader, only)? => {
            let draft = tempfile::Builder::new().prefix(&prefix).suffix(".json").tempfile_in(home);
            let draft = draft.map_err(|it| disk::failed(home, "cannot make a file in it", &it))?;
            write(&reader, only, true, draft.path(), &mut draft.as_file())?;
            read_back(run, &reader, only, true, draft.path())?;
            settle(draft, home, &stem)?
        }
        tables => {
            let (draft, mut taken) = (disk::draft(home, &prefix)?, HashSet::new());
            for table in tables {
                let path = draft.path().join(file(&table.name, &mut taken));
                let mut output = disk::Output::create(path.clone())?;
                write(&reader, table, false, &path, &mut output)?;
                output.close()?;
                read_back(run, &reader, table, false, &path)?;
            }
            let more = (2_u32..10_000).map(|it| format!("{stem}-{it}"));
            home.join(files::settle(draft, home, std::iter::once(stem.clone()).chain(more))?)
        }
    };
    Ok(Exported { path, tables })
}

/// Whether a table is keys and their values, and nothing else but columns that are NULL throughout.
fn is_document(reader: &Reader, table: &Table) -> Result<bool> {
    let names: Vec<&str> = table.columns.iter().map(|it| it.name.as_str()).collect();
    if !names.starts_with(&["key", "value"]) || table.key != [0] {
        return Ok(false);
    }
    let mut alone = true;
    each(reader, table, |row| {
        alone &= (2..names.len()).all(|place| matches!(row.value(place, &mut Vec::new()), Value::Null));
        Ok(())
    })?;
    Ok(alone)
}

/// Hands every row of a table out, its key first.
fn each(reader: &Reader, table: &Table, mut take: impl FnMut(Row<'_>) -> Result<()>) -> Result<()> {
    let mut rows = reader.rows(&table.name)?;
    let mut batch = Batch::new(Arc::clone(rows.shape()));
    loop {
        rows.fill(&mut batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        batch.rows().try_for_each(&mut take)?;
    }
}

/// Writes the rows of a table as one object of keys and values, or as an array of objects.
fn write(reader: &Reader, table: &Table, document: bool, path: &Path, to: &mut dyn Write) -> Result<()> {
    let failed = |it| disk::failed(path, "cannot write", &it);
    let (open, close) = if document { ("{", "}\n") } else { ("[", "]\n") };
    let mut to = BufWriter::with_capacity(256 << 10, to);
    let (mut out, mut first) = (open.as_bytes().to_vec(), true);
    let columns: Vec<String> = snapshot::shape(table).fields.iter().map(|it| it.column.clone()).collect();
    // The columns stand in the table's order, whatever the key is.
    let place = |name: &String| columns.iter().position(|it| it == name).unwrap_or_default();
    let order: Vec<usize> = table.columns.iter().map(|it| place(&it.name)).collect();
    each(reader, table, |row| {
        out.extend_from_slice(if first { b"\n  " } else { b",\n  " });
        first = false;
        let put = |place: usize, depth: usize, out: &mut Vec<u8>| match cell(row, place, depth, out) {
            Some(()) => Ok(()),
            None => Err(unfit(table, format_args!("column `{}` holds bytes or a number that", columns[place]))),
        };
        if document {
            put(0, 1, &mut out)?;
            out.extend_from_slice(b": ");
            put(1, 1, &mut out)?;
        } else {
            out.push(b'{');
            for (count, &place) in order.iter().enumerate() {
                out.extend_from_slice(if count > 0 { b",\n    " } else { b"\n    " });
                json::write_string(&columns[place], &mut out);
                out.extend_from_slice(b": ");
                put(place, 2, &mut out)?;
            }
            out.extend_from_slice(b"\n  }");
        }
        to.write_all(&out).map_err(failed)?;
        out.clear();
        Ok(())
    })?;
    out.extend_from_slice(if first { b"" } else { b"\n" });
    out.extend_from_slice(close.as_bytes());
    to.write_all(&out).and_then(|()| to.flush()).map_err(failed)
}

/// Appends a value as JSON. Nothing: JSON has no word for it.
fn cell(row: Row<'_>, place: usize, depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut scratch = Vec::new();
    let quoted = |out: &mut Vec<u8>, write: &dyn Fn(&mut Vec<u8>)| {
        out.push(b'"');
        write(out);
        out.push(b'"');
    };
    match row.value(place, &mut scratch) {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(it) => out.extend_from_slice(it.to_string().as_bytes()),
        Value::Int(it) => out.extend_from_slice(it.to_string().as_bytes()),
        Value::Real(it) if it.is_finite() => out.extend_from_slice(zmij::Buffer::new().format(it).as_bytes()),
        // Other readers of JSON take numbers for doubles, which do not hold all digits. An integer is one all the same.
        Value::Decimal(it) if it.bytes().all(|it| it == b'-' || it.is_ascii_digit()) => {
            out.extend_from_slice(it.as_bytes());
        }
        Value::Decimal(it) => quoted(out, &|out| out.extend_from_slice(it.as_bytes())),
        Value::Date(it) => quoted(out, &|out| time::write_date(it, out)),
        Value::Time(it) => quoted(out, &|out| time::write_time(it, out)),
        Value::Timestamp(it) => quoted(out, &|out| time::write_moment(it, true, out)),
        Value::DateTime(it) => quoted(out, &|out| time::write_moment(it, false, out)),
        Value::Uuid(it) => quoted(out, &|out| write_uuid(&it, out)),
        Value::Text(it) => json::write_string(it, out),
        Value::Json(it) => pretty(it, depth, out),
        Value::Real(_) | Value::Raw(_) | Value::Malformed(_) | Value::Bytes(_) => return None,
    }
    Some(())
}

/// Appends a canonical document with a line for each member, its numbers letter by letter.
fn pretty(text: &str, mut depth: usize, out: &mut Vec<u8>) {
    let line = |depth: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    };
    let (mut quoted, mut escaped) = (false, false);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if quoted {
            out.push(byte);
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' if matches!(bytes.peek(), Some(b'}' | b']')) => {
                out.push(byte);
                out.extend(bytes.next());
            }
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                line(depth, out);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                out.push(byte);
                quoted = byte == b'"';
            }
        }
    }
}

/// A name of a file for a table: its own, where no system makes something else of it.
fn file(table: &str, taken: &mut HashSet<String>) -> String {
    let safe = |it: char| it.is_alphanumeric() || "_-.".contains(it);
    let slug: String = table.chars().map(|it| if safe(it) { it } else { '-' }).collect();
    let plain = slug == table && slug.len() <= 200 && !slug.starts_with(['.', '-']) && !slug.is_empty();
    let short: String = slug.chars().take(40).collect();
    let hashed = || format!("table-{short}-{}", &blake3::hash(table.as_bytes()).to_hex()[..16]);
    let name = if plain && taken.insert(slug.to_lowercase()) { slug.clone() } else { hashed() };
    taken.insert(name.to_lowercase());
    format!("{name}.json")
}

/// Compares what the file at `path` holds with what was captured.
fn read_back(run: &Run, reader: &Reader, table: &Table, document: bool, path: &Path) -> Result<()> {
    let kind = if document { "edge-config-export" } else { "json" };
    let mut store = open(kind, path, &FileOptions::default())?;
    let Some(again) = store.tables()?.into_iter().next() else {
        return Err(unfit(table, "it has no columns, which"));
    };
    if table.rows_about == Some(0) && again.rows_about == Some(0) {
        return Ok(());
    }
    // Columns that are NULL throughout are left out of an object of keys and values.
    let mut shape = Shape::clone(&snapshot::shape(table));
    if document {
        shape.fields.truncate(2);
        shape.compared = shape.compared.min(2);
    }
    let tally = check::compare(run, reader, &table.name, &shape, store.as_mut(), &again)?;
    match check::is_same(&tally) {
        true => Ok(()),
        false => Err(unfit(table, format_args!("read back, there are rows ({}) that", check::counts(&tally)))),
    }
}

#[cold]
fn unfit(table: &Table, what: impl std::fmt::Display) -> Error {
    let message = "JSON cannot hold exactly; take a backup in the format `snapshot`, which can";
    Error::new(Kind::Store, format_args!("table `{}`: {what} {message}", table.name))
}

/// Gives a file the first free name.
fn settle(mut draft: tempfile::NamedTempFile, home: &Path, stem: &str) -> Result<PathBuf> {
    draft.as_file().sync_all().map_err(|it| disk::failed(draft.path(), "cannot write to the disk", &it))?;
    for number in 1_u32..10_000 {
        let name = if number == 1 { format!("{stem}.json") } else { format!("{stem}-{number}.json") };
        let path = home.join(name);
        match draft.persist_noclobber(&path) {
            Ok(_) => {
                disk::sync(home)?;
                return Ok(path);
            }
            Err(it) if it.error.kind() == std::io::ErrorKind::AlreadyExists => draft = it.file,
            Err(it) => return Err(disk::failed(&path, "cannot put it there", &it.error)),
        }
    }
    Err(Error::new(Kind::File, format_args!("{}: no name is free", home.display())))
}
