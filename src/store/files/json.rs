//! One JSON document as one table or several.
//!
//! | document | tables |
//! |---|---|
//! | an array of objects | one, named after the file, with a column for each member |
//! | any other array | one, named after the file: `index`, `value` |
//! | an object whose members are arrays of objects | one for each member |
//! | any other object | one, named after the file: `key`, `value` |

use super::{FileOptions, columns::Columns, input::Mark, pass_on, walk::Walk};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::{Column, Origin, Table},
    store::{Source, places},
    value::{Type, Value},
};
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
};

/// How many tables one document may hold, and how many bytes their names may have together.
const TABLES: usize = 10_000;
const TABLE_NAMES: usize = 16 << 20;

/// How many names of a key/value document are remembered to find one that comes twice. Beyond them the comparison finds it,
/// as a key that repeats.
const NAMES: usize = 1 << 19;

/// A JSON document.
pub(super) struct Document {
    pub(super) walk: Walk,
    pub(super) parts: Vec<Part>,
    pub(super) tables: Vec<Table>,
}

/// Where the rows of one table are.
pub(super) struct Part {
    pub(super) start: Mark,
    pub(super) form: Form,
}

pub(super) enum Form {
    /// An array of objects.
    Rows(Box<Columns>),
    /// An array of whatever.
    Elements,
    /// An object.
    Members,
}

impl Document {
    /// The document in the file at `path`.
    pub(super) fn open(path: &Path, options: &FileOptions) -> Result<Document> {
        Document::new(Walk::open(path)?, super::stem(path), options)
    }

    /// Reads the document once, to check it and to learn its tables. The one that it has no name for is called `stem`.
    pub(super) fn new(walk: Walk, stem: String, options: &FileOptions) -> Result<Document> {
        let mut document = Document { walk, parts: Vec::new(), tables: Vec::new() };
        match document.walk.peek()? {
            Some(b'[') => document.array(stem)?,
            Some(b'{') => {
                if !document.objects()? {
                    document.members(stem)?;
                }
            }
            Some(_) => {
                document.walk.value()?;
                document.walk.finish()?;
                document.walk.rewind()?;
                return Err(document
                    .walk
                    .input
                    .error(0, "a single value is no table; an array or an object is wanted"));
            }
            None => return Err(document.walk.input.error(0, "the file is empty; a JSON document is wanted")),
        }
        for table in &mut document.tables {
            table.unreadable = without_columns(table);
            options.declare(table)?;
        }
        document.walk.rewind()?;
        Ok(document)
    }

    fn array(&mut self, name: String) -> Result<()> {
        let start = self.walk.mark();
        let (mut columns, mut count, mut objects, mut fault) = (Columns::default(), 0, true, None);
        self.walk.enter()?;
        while self.walk.next(b']', count == 0)? {
            count += 1;
            if objects && self.walk.peek()? == Some(b'{') {
                self.walk.row(&mut columns, &mut fault)?;
            } else {
                objects = false;
                self.walk.value()?;
            }
        }
        self.walk.finish()?;
        let (columns, form) = match (objects, fault) {
            (true, Some(fault)) => return Err(fault),
            (true, None) => rows(columns),
            (false, _) => {
                let index = Column { nullable: false, ..Column::new("index", Type::Int) };
                (vec![index, Column::new("value", Type::Json)], Form::Elements)
            }
        };
        let table = if objects { Table::new(name) } else { keyed(name) };
        self.add(Table { columns, rows_about: Some(count), ..table }, start, form);
        Ok(())
    }

    /// Reads the document as tables by name. False: it is something else.
    fn objects(&mut self) -> Result<bool> {
        let (mut fault, mut names, mut length) = (None, Names::default(), 0);
        self.walk.enter()?;
        let mut first = true;
        while self.walk.next(b'}', first)? {
            first = false;
            let place = self.walk.mark();
            let name = self.walk.name()?.to_owned();
            if !names.add(&name) {
                fault.get_or_insert_with(|| self.walk.input.error_at(place, twice(&name)));
            }
            if self.walk.peek()? != Some(b'[') {
                return self.not_objects();
            }
            let start = self.walk.mark();
            let (mut columns, mut count) = (Columns::default(), 0);
            self.walk.enter()?;
            while self.walk.next(b']', count == 0)? {
                count += 1;
                if self.walk.peek()? != Some(b'{') {
                    return self.not_objects();
                }
                self.walk.row(&mut columns, &mut fault)?;
            }
            length += name.len();
            if self.tables.len() == TABLES || length > TABLE_NAMES {
                let what = format_args!("more tables than the limit of {TABLES}, or names of more than 16 MiB");
                return Err(Error::new(Kind::Limit, self.walk.input.error_at(place, what)));
            }
            let (columns, form) = rows(columns);
            self.add(Table { columns, rows_about: Some(count), ..Table::new(name) }, start, form);
        }
        if first {
            return self.not_objects();
        }
        self.walk.finish()?;
        fault.map_or(Ok(true), Err)
    }

    fn not_objects(&mut self) -> Result<bool> {
        self.tables.clear();
        self.parts.clear();
        self.walk.rewind()?;
        self.walk.peek()?;
        Ok(false)
    }

    fn members(&mut self, name: String) -> Result<()> {
        let start = self.walk.mark();
        let (mut names, mut count) = (Names::default(), 0);
        self.walk.enter()?;
        while self.walk.next(b'}', count == 0)? {
            count += 1;
            let place = self.walk.mark();
            let name = self.walk.name()?;
            if !names.add(name) {
                let what = twice(name);
                return Err(self.walk.input.error_at(place, what));
            }
            self.walk.value()?;
        }
        self.walk.finish()?;
        let key = Column { nullable: false, ..Column::new("key", Type::Text) };
        let columns = vec![key, Column::new("value", Type::Json)];
        self.add(Table { columns, rows_about: Some(count), ..keyed(name) }, start, Form::Members);
        Ok(())
    }

    fn add(&mut self, table: Table, start: Mark, form: Form) {
        self.tables.push(table);
        self.parts.push(Part { start, form });
    }
}

impl Source for Document {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.tables.clone())
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let Document { walk, parts, tables } = self;
        let Some(part) = tables.iter().zip(parts).find(|it| it.0.name == table.name).map(|it| it.1) else {
            return Err(Error::new(Kind::Store, format_args!("no table `{}` in this document", table.name)));
        };
        let places = places(table, shape)?;
        let mut batch = Batch::new(Arc::clone(shape));
        walk.input.seek(part.start)?;
        walk.enter()?;
        let close = if matches!(part.form, Form::Members) { b'}' } else { b']' };
        let mut index = 0;
        while walk.next(close, index == 0)? {
            match &mut part.form {
                Form::Rows(columns) => push_row(walk, columns, &places, &mut batch)?,
                Form::Elements => push_pair(Value::Int(index), walk.value()?, &places, &mut batch)?,
                Form::Members => {
                    walk.name()?;
                    let (key, value) = walk.member()?;
                    push_pair(Value::Text(key), value, &places, &mut batch)?;
                }
            }
            index += 1;
            if pass_on(&mut batch, feed)? == Flow::Stop {
                return Ok(());
            }
        }
        walk.rewind()?;
        feed.take(&mut batch).map(|_| ())
    }

    fn notes(&self) -> Vec<String> {
        self.walk.input.notes().into_iter().collect()
    }
}

/// Reads one row object and appends it. A member that is `null` is NULL, as one that is absent.
#[inline]
fn push_row(walk: &mut Walk, columns: &mut Columns, places: &[usize], batch: &mut Batch) -> Result<()> {
    let mut fault = None;
    let text = walk.row(columns, &mut fault)?;
    match fault {
        Some(fault) => Err(fault),
        None => batch.push_with(|field| Ok(cell(columns, text, places[field]))),
    }
}

/// What the row `text`, read into `columns`, holds in `column`.
#[inline]
pub(super) fn cell<'t>(columns: &Columns, text: &'t str, column: usize) -> Value<'t> {
    match columns.value(column).and_then(|it| text.get(it)) {
        None | Some("null") => Value::Null,
        Some(it) => Value::Json(it),
    }
}

fn push_pair(key: Value<'_>, value: &str, places: &[usize], batch: &mut Batch) -> Result<()> {
    batch.push_with(|field| Ok(if places[field] == 0 { key } else { Value::Json(value) }))
}

/// The columns of a table of row objects, now that all of them are known.
fn rows(mut columns: Columns) -> (Vec<Column>, Form) {
    columns.close();
    (guessed(&columns), Form::Rows(Box::new(columns)))
}

/// Why a table whose rows are all `{}` cannot be compared: there is nothing in them, and still they count.
pub(super) fn without_columns(table: &Table) -> Option<String> {
    let empty = table.columns.is_empty() && table.rows_about != Some(0);
    empty.then(|| "its rows are objects without members".to_owned())
}

/// Columns that are known by their names, and by whether they hold documents: a database keeps those as text or JSON.
pub(super) fn guessed(columns: &Columns) -> Vec<Column> {
    let ty = |column: usize| if columns.holds_documents(column) { Type::Json } else { Type::Any };
    let guess =
        |(column, name): (usize, &String)| Column { origin: Origin::Guessed, ..Column::new(name.as_str(), ty(column)) };
    columns.names().iter().enumerate().map(guess).collect()
}

/// A table whose first column is its key, by the form of the document.
fn keyed(name: String) -> Table {
    Table { key: vec![0], key_origin: Origin::Declared, ..Table::new(name) }
}

fn twice(name: &str) -> String {
    format!("the member `{name}` comes twice in one object")
}

/// The names of the members of one object, as hashes of 128 bits.
#[derive(Default)]
pub(super) struct Names {
    first: RandomState,
    second: RandomState,
    seen: HashSet<(u64, u64)>,
}

impl Names {
    /// False: the name has come before.
    pub(super) fn add(&mut self, name: &str) -> bool {
        let hash = (self.first.hash_one(name), self.second.hash_one(name));
        if self.seen.len() < NAMES { self.seen.insert(hash) } else { !self.seen.contains(&hash) }
    }
}
