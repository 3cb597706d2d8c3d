//! The items of a Vercel Edge Config, saved from either of its two interfaces.
//!
//! `GET /v1/edge-config/{id}/items` of the management interface answers with an array of items, `GET /items` of the read
//! interface with an object of keys and values.

use super::{FileOptions, columns::Columns, input::Mark, json::Names, pass_on, walk::Walk};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::{Column, Origin, Table},
    store::{Source, places},
    value::{Type, Value, json},
};
use std::{borrow::Cow, fs::File, path::Path, sync::Arc};

/// What an item may have. The first are the columns of the table, the others belong to the service.
const MEMBERS: [&str; 7] = ["key", "value", "description", "edgeConfigId", "createdAt", "updatedAt", "digest"];
const KEY: usize = 0;
const VALUE: usize = 1;
const DESCRIPTION: usize = 2;

/// An export of an Edge Config.
pub(super) struct Items {
    walk: Walk,
    path: String,
    table: Table,
    /// Nothing, if the items are members of an object.
    columns: Option<Columns>,
    left_out: Vec<&'static str>,
}

/// Whether the file is an array whose first element is an item with all that the management interface says about it.
pub(super) fn looks_like_items(path: &Path) -> bool {
    let first = || -> Result<bool> {
        let mut walk = Walk::open(path)?;
        if walk.peek()? != Some(b'[') {
            return Ok(false);
        }
        walk.enter()?;
        let mut columns = Columns::default();
        if !walk.next(b']', true)? {
            return Ok(false);
        }
        walk.row(&mut columns, &mut None)?;
        Ok(["key", "value", "edgeConfigId"].iter().all(|name| columns.names().iter().any(|it| it == name)))
    };
    // What is wrong with the file is said by whoever opens it.
    first().unwrap_or(false)
}

impl Items {
    /// Reads the file once, to check it.
    pub(super) fn open(path: &Path, options: &FileOptions) -> Result<Items> {
        Items::read(path.display().to_string(), Walk::open(path)?, options)
    }

    /// The same for a file that is open already, called `name` in errors.
    pub(super) fn of(name: &str, file: File, options: &FileOptions) -> Result<Items> {
        Items::read(name.to_owned(), Walk::within(name, file)?, options)
    }

    fn read(path: String, walk: Walk, options: &FileOptions) -> Result<Items> {
        let key = Column { origin: Origin::Enforced, nullable: false, ..Column::new("key", Type::Text) };
        let value = Column { nullable: false, ..Column::new("value", Type::Json) };
        let (columns, key_origin) = (vec![key, value], Origin::Enforced);
        let table = Table { columns, key: vec![0], key_origin, ..Table::new("items") };
        let mut items = Items { walk, path, table, columns: None, left_out: Vec::new() };
        let count = match items.walk.peek()? {
            Some(b'[') => items.array()?,
            Some(b'{') => items.object()?,
            _ => {
                let what = "neither an array of items nor an object of keys and values, so no export of an Edge Config";
                return Err(items.walk.input.error(0, what));
            }
        };
        items.walk.finish()?;
        items.table.rows_about = Some(count);
        options.declare(&mut items.table)?;
        Ok(items)
    }

    fn array(&mut self) -> Result<u64> {
        let mut columns = Columns::fixed(MEMBERS, "belongs to no item of an Edge Config; export the items again");
        let (mut count, mut seen) = (0, [false; MEMBERS.len()]);
        self.walk.enter()?;
        while self.walk.next(b']', count == 0)? {
            count += 1;
            let place = self.walk.mark();
            let (_, text) = item(&mut self.walk, &mut columns, &self.path)?;
            if let Some(value) = columns.value(VALUE) {
                let (before, value) = (text.get(..value.start), text.get(value));
                let place = place.after(before.unwrap_or_default().as_bytes());
                document(value.unwrap_or_default(), place, &self.path)?;
            }
            seen.iter_mut().enumerate().for_each(|(place, it)| *it |= columns.value(place).is_some());
        }
        if seen[DESCRIPTION] {
            self.table.columns.push(Column::new("description", Type::Text));
        }
        self.left_out = (DESCRIPTION + 1..MEMBERS.len()).filter(|&it| seen[it]).map(|it| MEMBERS[it]).collect();
        self.columns = Some(columns);
        Ok(count)
    }

    fn object(&mut self) -> Result<u64> {
        let (mut count, mut names, mut refusal) = (0, Names::default(), None);
        self.walk.enter()?;
        while self.walk.next(b'}', count == 0)? {
            count += 1;
            let place = self.walk.mark();
            let name = self.walk.name()?;
            if !names.add(name) {
                let what = format!("the member `{name}` comes twice in one object");
                return Err(self.walk.input.error_at(place, what));
            }
            let place = self.walk.mark();
            let (name, value) = self.walk.member()?;
            document(value, place, &self.path)?;
            if count == 1 && name == "error" {
                refusal = error_body(value);
            }
        }
        match refusal {
            Some(it) if count == 1 => {
                let what = format_args!("this is an error of the service, saved as if it were an export: {it}");
                self.walk.rewind()?;
                Err(self.walk.input.error(0, what))
            }
            _ => Ok(count),
        }
    }
}

/// What the service says in the body of an error, if `value` is one.
fn error_body(value: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(value).ok()?;
    Some(format!("{} ({})", body.get("message")?.as_str()?, body.get("code")?.as_str()?))
}

/// Refuses a value in which two readers would not see the same, such as an object with a name that comes twice: nothing could
/// be mapped from it.
fn document(value: &str, place: Mark, path: &str) -> Result<()> {
    let Err(fault) = json::canonical(value, &mut Vec::new()) else { return Ok(()) };
    let place = place.after(value.get(..fault.offset).unwrap_or_default().as_bytes());
    Err(Error::new(Kind::Store, format_args!("{path}:{place}: {}", fault.what)))
}

/// Reads the next item, and gives its key and itself as written.
fn item<'w>(walk: &'w mut Walk, columns: &mut Columns, path: &str) -> Result<(Cow<'w, str>, &'w str)> {
    let (place, mut fault) = (walk.mark(), None);
    let text = walk.row(columns, &mut fault)?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let part = |place| columns.value(place).and_then(|it| text.get(it));
    let what = match (part(KEY).filter(|it| it.starts_with('"')).map(json::read_string), part(VALUE)) {
        (Some(Some(key)), Some(_)) => return Ok((key, text)),
        (Some(None), _) => "the key of this item holds half of a surrogate pair",
        (None, _) => "this item has no `key` that is a text, so this is no export of an Edge Config",
        (_, None) => "this item has no `value`, so this is no export of an Edge Config",
    };
    Err(Error::new(Kind::Store, format_args!("{path}:{place}: {what}")))
}

impl Source for Items {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(vec![self.table.clone()])
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let places = places(table, shape)?;
        let mut batch = Batch::new(Arc::clone(shape));
        let Items { walk, columns, path, .. } = self;
        walk.rewind()?;
        walk.enter()?;
        let close = if columns.is_some() { b']' } else { b'}' };
        let mut first = true;
        while walk.next(close, first)? {
            first = false;
            if let Some(columns) = columns {
                let (key, text) = item(walk, columns, path)?;
                batch.push_with(|field| {
                    Ok(match places[field] {
                        KEY => Value::Text(&key),
                        VALUE => Value::Json(columns.value(VALUE).and_then(|it| text.get(it)).unwrap_or("null")),
                        place => super::json::cell(columns, text, place),
                    })
                })?;
            } else {
                walk.name()?;
                let (key, value) = walk.member()?;
                batch
                    .push_with(|field| Ok(if places[field] == KEY { Value::Text(key) } else { Value::Json(value) }))?;
            }
            if pass_on(&mut batch, feed)? == Flow::Stop {
                return Ok(());
            }
        }
        feed.take(&mut batch).map(|_| ())
    }

    fn notes(&self) -> Vec<String> {
        let left_out =
            format!("members of items that belong to the service are not compared: {}", self.left_out.join(", "));
        let notes = (!self.left_out.is_empty()).then_some(left_out);
        self.walk.input.notes().into_iter().chain(notes).collect()
    }
}
