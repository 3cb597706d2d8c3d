//! What a run has staged, as a patch: the same changes for whoever wants to look at them, or to make them in another way.
//!
//! For stores that speak SQL it is a script of statements, parents before children. For others it has a line for each row, with its
//! table, its key and a JSON Patch (RFC 6902) for the row as an object; a row that is not there is the document `null`. The patch
//! back undoes the patch forth.

use super::{
    apply::Walk,
    manifest::{Entry, Manifest},
    pile::Piled,
    script::Part,
    stage::{BEFORE, WRITTEN},
    stored,
};
use crate::{
    error::{Error, Kind, Result},
    plan::Plan,
    report::{Cell, Difference, Finding, FindingKind, cell as shown, escape, patch},
    row::Row,
    run::{Run, ids::NewIds},
    schema::Table,
    store::{Source, document, script::Frame, target::Target},
};
use serde_json::value::RawValue;
use std::path::Path;

/// Which way a patch leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From what the target held when the run began to what was staged.
    Forth,
    /// From what was staged to what the target held.
    Back,
}

/// What a run has staged.
#[derive(Clone, Copy)]
pub struct Staging<'s> {
    /// The limits of the run.
    pub run: &'s Run,
    /// What it staged.
    pub manifest: &'s Manifest,
    /// Its folder.
    pub folder: &'s Path,
    /// How many rows there are to write.
    pub rows: u64,
    /// How many rows the mapping refuses, which are not among them.
    pub refused: u64,
}

/// Makes patches of what a run has staged.
pub struct Patches<'p> {
    staging: Staging<'p>,
    tables: Vec<Table>,
    target: Box<dyn Target>,
}

/// Where the lines of a patch go.
pub type Put<'p> = dyn FnMut(&str) -> Result<()> + 'p;

/// Refuses a plan whose tables want new ids and were not given theirs: a row that differs may then be another row, over which
/// nothing may be written.
///
/// # Errors
/// If there is such a table.
pub fn check(plan: &Plan, ids: &NewIds) -> Result<()> {
    let Some(table) = ids.wanted(plan).first().copied() else { return Ok(()) };
    let message = format_args!(
        "{table}: its rows were not given the new ids that `on_clash` wants, so a row that differs may be another row; \
         `cutover migrate` gives them"
    );
    Err(Error::new(Kind::Plan, message))
}

impl<'p> Patches<'p> {
    /// Looks at the target, which `source` reads: what its tables are, and how it holds the keys of the rows that statements
    /// have to find.
    ///
    /// # Errors
    /// If it or what was staged cannot be read.
    pub fn new(staging: Staging<'p>, source: &mut dyn Source, target: Box<dyn Target>) -> Result<Patches<'p>> {
        let tables = source.tables()?;
        if target.frame().is_some() {
            for part in Part::all(&staging, &tables)? {
                stored::stage(staging.run, source, (part.table, &part.shape), &part.folder)?;
            }
        }
        Ok(Patches { staging, tables, target })
    }

    /// Hands the text of a patch out, piece by piece. `title` says what it is.
    ///
    /// # Errors
    /// If what was staged cannot be read, or a value cannot be said in such a patch.
    pub fn write(&mut self, way: Way, title: &str, put: &mut Put<'_>) -> Result<()> {
        let Some(Frame { begin, end, run }) = self.target.frame() else { return self.documents(way, put) };
        let refused = match self.staging.refused {
            0 => String::new(),
            count => format!("-- without {count} rows that the mapping refuses\n"),
        };
        put(&format!("-- {}\n{refused}-- {run}\n{begin}\n", escape::message(title)))?;
        let mut parts = Part::all(&self.staging, &self.tables)?;
        if way == Way::Back {
            parts.reverse();
        }
        for steps in way.steps() {
            for part in &parts {
                part.statements(steps, self.target.as_mut(), put)?;
            }
        }
        if end.is_empty() { Ok(()) } else { put(&format!("{end}\n")) }
    }

    fn documents(&self, way: Way, put: &mut Put<'_>) -> Result<()> {
        let zone = self.staging.manifest.zone()?;
        for entry in &self.staging.manifest.tables {
            let shape = entry.shape(zone.as_ref());
            let piled = |name: &str| Piled::open(&self.staging.folder.join(&entry.folder).join(name), &shape);
            let (mut written, mut before) = (Walk::new(piled(WRITTEN)?)?, Walk::new(piled(BEFORE)?)?);
            while let Some(row) = written.row() {
                put(&line(entry, way, row, before.at(row.key())?)?)?;
                written.next()?;
            }
        }
        Ok(())
    }
}

/// The line for a staged row, and for the one that it takes the place of.
fn line(entry: &Entry, way: Way, row: Row<'_>, before: Option<Row<'_>>) -> Result<String> {
    let shape = row.shape();
    let operations = match (before, way) {
        (Some(before), Way::Forth) => patch::patch(&changed(row, before)?),
        (Some(before), Way::Back) => patch::patch(&changed(before, row)?),
        (None, Way::Forth) => patch::whole(Some(&object(row, 0..shape.width())?)),
        (None, Way::Back) => patch::whole(None),
    };
    let telling = if shape.keyless { shape.width() } else { shape.key };
    let key = RawValue::from_string(object(row, 0..telling)?).map_err(|it| Error::new(Kind::Broken, it))?;
    let line = Line { table: &entry.name, key: &key, patch: &operations };
    let line = serde_json::to_string(&line).map_err(|it| Error::new(Kind::Broken, it))?;
    Ok(format!("{line}\n"))
}

/// A line of a patch for documents.
#[derive(serde::Serialize)]
struct Line<'l> {
    table: &'l str,
    key: &'l RawValue,
    patch: &'l [patch::Operation],
}

/// The places of the cells that differ.
pub(super) fn differing(row: Row<'_>, other: Row<'_>) -> Vec<usize> {
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
