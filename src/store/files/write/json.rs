//! JSON documents, and lines of them.

use super::{
    super::{
        FileOptions,
        columns::Columns,
        json::{Document, Form, cell},
        ndjson::{self, Lines},
    },
    Fault,
    merge::{Fate, Merge},
    spell,
};
use crate::{
    error::{Error, Kind, Result},
    row::Row,
    schema::Table,
    value::{Value, json},
};
use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Writes a document of several tables without rows.
pub(super) fn several(tables: &[Table], out: &mut dyn Write) -> Result<(), Fault> {
    let mut text = Vec::new();
    for table in tables {
        text.extend_from_slice(if text.is_empty() { b"{" } else { b"," });
        json::write_string(&table.name, &mut text);
        text.extend_from_slice(b":[]");
    }
    text.extend_from_slice(b"}\n");
    Ok(out.write_all(&text)?)
}

/// Writes the document at `path` again, with the changes to one of its tables.
pub(super) fn rewrite(
    path: &Path,
    options: &FileOptions,
    merge: &mut Merge<'_>,
    out: &mut dyn Write,
) -> Result<(), Fault> {
    let mut document = Document::open(path, options)?;
    let name = &merge.changes.table.name;
    let Some(at) = document.tables.iter().position(|it| it.name == *name) else {
        return Err(Error::new(Kind::Store, format_args!("no table `{name}` in this document")).into());
    };
    let Document { walk, parts, .. } = &mut document;
    let part = &mut parts[at];
    let mut file = File::open(path)?;
    io::copy(&mut (&mut file).take(part.start.offset()), out)?;
    walk.input.seek(part.start)?;
    walk.enter()?;
    let (open, close) = match part.form {
        Form::Members => (b'{', b'}'),
        Form::Rows(_) => (b'[', b']'),
        Form::Elements => {
            let what = "elements of an array have no key but their place, so they cannot be written to";
            return Err(Error::new(Kind::Plan, format_args!("table `{name}`: {what}")).into());
        }
    };
    out.write_all(&[open])?;
    let mut list = List { out, first: true };
    let mut first = true;
    while walk.next(close, first)? {
        first = false;
        match &mut part.form {
            Form::Rows(columns) => {
                let mut fault = None;
                let text = walk.row(columns, &mut fault)?;
                fault.map_or(Ok(()), Err)?;
                if let Some(text) = row(columns, text, merge)? {
                    list.put(&text)?;
                }
            }
            _ => {
                walk.name()?;
                let (key, text) = walk.member()?;
                if let Some(text) = member(key, text, merge)? {
                    list.put(&text)?;
                }
            }
        }
    }
    let end = walk.mark().offset();
    for row in merge.new_rows() {
        let text = match &part.form {
            Form::Rows(columns) => object(columns, row, merge)?,
            _ => new_member(row, merge)?,
        };
        list.put(&text)?;
    }
    list.end(close)?;
    file.seek(SeekFrom::Start(end))?;
    io::copy(&mut file, out)?;
    Ok(())
}

/// Writes the lines of the file at `path` again, with the changes.
pub(super) fn rewrite_lines(
    path: &Path,
    options: &FileOptions,
    merge: &mut Merge<'_>,
    out: &mut dyn Write,
) -> Result<(), Fault> {
    let Lines { mut input, mut scanner, mut columns, table } = Lines::open(path, options)?;
    if table.name != merge.changes.table.name {
        let what = format_args!("no table `{}` in this file", merge.changes.table.name);
        return Err(Error::new(Kind::Store, what).into());
    }
    while let Some(text) = ndjson::read(&mut input, &mut scanner, &mut columns)? {
        if let Some(text) = row(&columns, text, merge)? {
            out.write_all(text.trim_ascii_end())?;
            out.write_all(b"\n")?;
        }
    }
    for row in merge.new_rows() {
        out.write_all(&object(&columns, row, merge)?)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Elements with commas between, one a line.
struct List<'o> {
    out: &'o mut dyn Write,
    first: bool,
}

impl List<'_> {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.out.write_all(if self.first { b"\n" } else { b",\n" })?;
        self.first = false;
        self.out.write_all(text)
    }

    fn end(self, close: u8) -> io::Result<()> {
        if !self.first {
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(&[close])
    }
}

/// What becomes of a row object. Nothing: it goes.
fn row<'t>(columns: &Columns, text: &'t str, merge: &mut Merge<'_>) -> Result<Option<Cow<'t, [u8]>>> {
    let shape = merge.shape.clone();
    let place = |field: usize| columns.names().iter().position(|it| *it == shape.fields[field].column);
    let held = |field| Ok(place(field).map_or(Value::Null, |it| cell(columns, text, it)));
    let row = match merge.fate(held)? {
        Fate::Stays => return Ok(Some(Cow::Borrowed(text.as_bytes()))),
        Fate::Goes => return Ok(None),
        Fate::Changes(row) => row,
    };
    // Its members stay in their order, and so do those that nobody writes to.
    let mut members = Vec::new();
    for (column, name) in columns.names().iter().enumerate() {
        if let Some(value) = columns.value(column) {
            members.push((value.start, name, text.get(value).unwrap_or("null").as_bytes().to_vec()));
        }
    }
    members.sort_by_key(|it| it.0);
    for field in shape.key..shape.fields.len() {
        let mut value = Vec::new();
        spell::as_json(row, field, &merge.changes.table.name, &mut value)?;
        let name = &shape.fields[field].column;
        match members.iter_mut().find(|it| it.1 == name) {
            Some(member) => member.2 = value,
            None => members.push((usize::MAX, name, value)),
        }
    }
    let members = members.iter().map(|(_, name, value)| (name.as_str(), value.as_slice()));
    Ok(Some(Cow::Owned(braced(members))))
}

/// A new row, its members in the order of the columns of the file.
fn object(columns: &Columns, row: Row<'_>, merge: &Merge<'_>) -> Result<Vec<u8>> {
    let table = merge.changes.table;
    let known = columns.names().iter().chain(table.columns.iter().map(|it| &it.name));
    let known: Vec<&String> = known.collect();
    let rank = |field: usize| known.iter().position(|it| **it == merge.shape.fields[field].column);
    let mut fields: Vec<usize> = (0..merge.shape.fields.len()).collect();
    fields.sort_by_key(|it| rank(*it).unwrap_or(usize::MAX));
    let mut members = Vec::new();
    for field in fields {
        let mut value = Vec::new();
        spell::as_json(row, field, &table.name, &mut value)?;
        members.push((merge.shape.fields[field].column.as_str(), value));
    }
    Ok(braced(members.iter().map(|it| (it.0, it.1.as_slice()))))
}

fn braced<'m>(members: impl Iterator<Item = (&'m str, &'m [u8])>) -> Vec<u8> {
    let mut out = Vec::from(b"{");
    for (name, value) in members {
        if out.len() > 1 {
            out.push(b',');
        }
        json::write_string(name, &mut out);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

/// Whether a field is the name of a member, or its value.
fn is_name(merge: &Merge<'_>, field: usize) -> bool {
    merge.shape.fields[field].column == "key"
}

/// What becomes of a member of a document that is a table of keys and values.
fn member(key: &str, text: &str, merge: &mut Merge<'_>) -> Result<Option<Vec<u8>>> {
    let shape = merge.shape.clone();
    let held =
        |field: usize| Ok(if shape.fields[field].column == "key" { Value::Text(key) } else { Value::Json(text) });
    match merge.fate(held)? {
        Fate::Stays => Ok(Some(pair(key, text.as_bytes()))),
        Fate::Goes => Ok(None),
        Fate::Changes(row) => {
            let mut value = Vec::new();
            match (shape.key..shape.fields.len()).find(|it| !is_name(merge, *it)) {
                Some(field) => spell::as_json(row, field, &merge.changes.table.name, &mut value)?,
                None => value.extend_from_slice(text.as_bytes()),
            }
            Ok(Some(pair(key, &value)))
        }
    }
}

fn new_member(row: Row<'_>, merge: &Merge<'_>) -> Result<Vec<u8>> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for field in 0..merge.shape.fields.len() {
        let out = if is_name(merge, field) { &mut key } else { &mut value };
        spell::as_json(row, field, &merge.changes.table.name, out)?;
    }
    let key = std::str::from_utf8(&key).ok().and_then(json::read_string).ok_or_else(|| {
        let table = &merge.changes.table.name;
        Error::new(Kind::Row, format_args!("column `key` of table `{table}`: the name of a member has to be text"))
    })?;
    Ok(pair(&key, if value.is_empty() { b"null" } else { &value }))
}

fn pair(key: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    json::write_string(key, &mut out);
    out.push(b':');
    out.extend_from_slice(value);
    out
}
