//! What a run has staged, as a patch: the same changes for whoever wants to look at them, or to make them in another way.
//!
//! For stores that speak SQL it is a script of statements, parents before children. For others it has a line for each row, with its
//! table, its key and a JSON Patch (RFC 6902) for the row as an object; a row that is not there is the document `null`. The patch
//! back undoes the patch forth.

use super::{
    apply::Walk,
    manifest::{Entry, Manifest},
    pile::Piled,
    stage::{BEFORE, WRITTEN},
};
use crate::{
    error::{Error, Kind, Result},
    report::{Cell, Difference, Finding, FindingKind, cell as shown, escape, patch},
    row::{Row, Shape},
    schema::Table,
    store::{
        document,
        script::{Edit, Frame},
        target::Target,
    },
};
use serde_json::value::RawValue;
use std::{path::Path, sync::Arc};

/// Which way a patch leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From what the target held when the run began to what was staged.
    Forth,
    /// From what was staged to what the target held.
    Back,
}

/// A patch to be written.
pub struct Patch<'p> {
    /// What the run staged.
    pub manifest: &'p Manifest,
    /// Its folder.
    pub folder: &'p Path,
    /// The target's tables.
    pub tables: &'p [Table],
    /// Which way it leads.
    pub way: Way,
    /// What it is, for its first line.
    pub title: &'p str,
}

/// Where its lines go.
pub type Put<'p> = dyn FnMut(&str) -> Result<()> + 'p;

/// Whether a staged row is new to the target, or takes the place of another one.
type Each<'e> = dyn FnMut(Row<'_>, Option<Row<'_>>) -> Result<()> + 'e;

impl Patch<'_> {
    /// Hands its text out, piece by piece.
    ///
    /// # Errors
    /// If what was staged cannot be read, or a value cannot be said in such a patch.
    pub fn write(&self, target: &mut dyn Target, put: &mut Put<'_>) -> Result<()> {
        let zone = self.manifest.zone()?;
        let mut entries: Vec<&Entry> = self.manifest.tables.iter().collect();
        if self.way == Way::Back {
            entries.reverse();
        }
        let frame = target.frame();
        if let Some(Frame { begin, run, .. }) = frame {
            put(&format!("-- {}\n-- {run}\n{begin}\n", escape::message(self.title)))?;
        }
        for entry in entries {
            let shape = entry.shape(zone.as_ref());
            match frame {
                Some(_) => self.statements(entry, &shape, target, put)?,
                None => self.documents(entry, &shape, put)?,
            }
        }
        let end = frame.map_or("", |it| it.end);
        if end.is_empty() { Ok(()) } else { put(&format!("{end}\n")) }
    }

    fn statements(&self, entry: &Entry, shape: &Arc<Shape>, target: &mut dyn Target, put: &mut Put<'_>) -> Result<()> {
        let (written, before) =
            (self.piled(entry, shape, WRITTEN)?.count()?, self.piled(entry, shape, BEFORE)?.count()?);
        if written == 0 {
            return Ok(());
        }
        let (name, new) = (escape::message(&entry.name), written - before);
        put(&match self.way {
            Way::Forth => format!("-- {name}: {before} to update, {new} to insert\n"),
            Way::Back => format!("-- {name}: {new} to delete, {before} to update\n"),
        })?;
        let gone = || Error::new(Kind::Store, format_args!("the target has no table `{}`", entry.name));
        let table = self.tables.iter().find(|it| it.name == entry.name).ok_or_else(gone)?;
        let mut say = |edit: Edit<'_>| match target.statement(table, shape, edit)? {
            text if text.is_empty() => Ok(()),
            text => put(&format!("{text}\n")),
        };
        // What changes or goes makes room for what comes.
        match self.way {
            Way::Forth => {
                self.each(entry, shape, &mut |row, before| match before {
                    Some(before) => say(Edit::Update(row, &differing(row, before))),
                    None => Ok(()),
                })?;
                self.each(entry, shape, &mut |row, before| match before {
                    Some(_) => Ok(()),
                    None => say(Edit::Insert(row)),
                })?;
            }
            Way::Back => {
                self.each(entry, shape, &mut |row, before| match before {
                    Some(_) => Ok(()),
                    None => say(Edit::Delete(row)),
                })?;
                self.each(entry, shape, &mut |row, before| match before {
                    Some(before) => say(Edit::Update(before, &differing(row, before))),
                    None => Ok(()),
                })?;
            }
        }
        if self.way == Way::Forth && new > 0 {
            target.closing(table)?.iter().try_for_each(|it| put(&format!("{it}\n")))?;
        }
        Ok(())
    }

    fn documents(&self, entry: &Entry, shape: &Arc<Shape>, put: &mut Put<'_>) -> Result<()> {
        self.each(entry, shape, &mut |row, before| {
            let operations = match (before, self.way) {
                (Some(before), Way::Forth) => patch::patch(&changed(row, before)?),
                (Some(before), Way::Back) => patch::patch(&changed(before, row)?),
                (None, Way::Forth) => patch::whole(Some(&object(row, 0..shape.width())?)),
                (None, Way::Back) => patch::whole(None),
            };
            let telling = if shape.keyless { shape.width() } else { shape.key };
            let key = RawValue::from_string(object(row, 0..telling)?).map_err(|it| Error::new(Kind::Broken, it))?;
            let line = Line { table: &entry.name, key: &key, patch: &operations };
            let line = serde_json::to_string(&line).map_err(|it| Error::new(Kind::Broken, it))?;
            put(&format!("{line}\n"))
        })
    }

    fn piled(&self, entry: &Entry, shape: &Arc<Shape>, name: &str) -> Result<Piled> {
        Piled::open(&self.folder.join(&entry.folder).join(name), shape)
    }

    /// Every staged row, with the one that it takes the place of.
    fn each(&self, entry: &Entry, shape: &Arc<Shape>, each: &mut Each<'_>) -> Result<()> {
        let mut written = Walk::new(self.piled(entry, shape, WRITTEN)?)?;
        let mut before = Walk::new(self.piled(entry, shape, BEFORE)?)?;
        while let Some(row) = written.row() {
            each(row, before.at(row.key())?)?;
            written.next()?;
        }
        Ok(())
    }
}

/// A line of a patch for documents.
#[derive(serde::Serialize)]
struct Line<'l> {
    table: &'l str,
    key: &'l RawValue,
    patch: &'l [patch::Operation],
}

/// The places of the cells that differ.
fn differing(row: Row<'_>, other: Row<'_>) -> Vec<usize> {
    (row.shape().key..row.shape().width()).filter(|&it| row.cell(it) != other.cell(it)).collect()
}

/// What turns the row `from` into `row`.
fn changed(row: Row<'_>, from: Row<'_>) -> Result<Finding> {
    let difference = |place: usize| {
        let column = row.shape().fields[place].column.clone();
        Ok(Difference { column, source: Some(cell(row, place)?), target: Some(cell(from, place)?) })
    };
    let cells = differing(row, from).into_iter().map(difference).collect::<Result<_>>()?;
    Ok(Finding { kind: FindingKind::Changed, side: None, key: Vec::new(), cells, detail: None, seen: None })
}

/// A cell as the store writes it.
fn cell(row: Row<'_>, place: usize) -> Result<Cell> {
    let class = shown::cell(row.cell(place), place < row.shape().key, false).class;
    Ok(Cell { class, json: document::json(row, place, &row.shape().fields[place])? })
}

/// Some cells of a row as a JSON object.
fn object(row: Row<'_>, places: std::ops::Range<usize>) -> Result<String> {
    let member = |place: usize| {
        let field = &row.shape().fields[place];
        let name = serde_json::Value::from(field.column.as_str()).to_string();
        Ok(format!("{name}:{}", document::json(row, place, field)?))
    };
    Ok(format!("{{{}}}", places.map(member).collect::<Result<Vec<_>>>()?.join(",")))
}
