//! The statements of a patch, table by table: what is set, put in and taken away, in an order in which nothing that is referred to is
//! missing and nothing is taken along.
//!
//! Which row refers to which of its own table nobody knows beforehand, and tables may refer to each other in a circle. So references to
//! what comes no earlier are set once all rows are there, and taken back before the first of them goes. Those of new rows are NULL
//! meanwhile, where they may be.

use super::{
    apply::Walk,
    manifest::Entry,
    patch::{Put, Staging, Way, differing},
    pile::Piled,
    stage::{BEFORE, WRITTEN},
    stored::Stored,
};
use crate::{
    error::{Error, Kind, Result},
    report::escape,
    row::{Row, Shape},
    schema::{ForeignKey, Table},
    store::{
        script::{Edit, Referrer},
        target::Target,
    },
    value::cell::tag,
};
use std::{path::PathBuf, sync::Arc};

/// What a statement is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Update,
    Insert,
    /// Sets the references to what came no earlier.
    Refer,
    /// Takes them back.
    Clear,
    Delete,
    Restore,
}

/// Lists of steps, one after the other; each is done table by table. What changes or goes makes room for what comes.
type Steps = [&'static [Step]; 2];
const FORTH: Steps = [&[Step::Update, Step::Insert], &[Step::Refer]];
const BACK: Steps = [&[Step::Clear], &[Step::Delete, Step::Restore]];

/// A table, as far as its rows are staged.
pub(super) struct Part<'p> {
    pub table: &'p Table,
    /// The shape of its staged rows.
    pub shape: Arc<Shape>,
    /// Where they are.
    pub folder: PathBuf,
    /// The places of columns that refer to what comes no earlier, and those of them that can be NULL until then.
    later: Vec<usize>,
    empty: Vec<usize>,
    /// Who may refer to its rows when those of the same patch are gone.
    referrers: Vec<Referrer>,
    /// How many rows are new, and how many take the place of others.
    new: u64,
    changed: u64,
}

/// A staged row.
struct Change<'c> {
    row: Row<'c>,
    /// The one that it takes the place of.
    before: Option<Row<'c>>,
    /// One of the same key in the form in which the target holds it.
    at: Row<'c>,
}

impl Way {
    pub(super) fn steps(self) -> Steps {
        if self == Way::Forth { FORTH } else { BACK }
    }
}

impl<'p> Part<'p> {
    /// The tables of which rows are staged, parents first. `tables` are those of the target.
    ///
    /// # Errors
    /// If what was staged cannot be read, or the target has no such table.
    pub(super) fn all(staging: &Staging<'p>, tables: &'p [Table]) -> Result<Vec<Part<'p>>> {
        let zone = staging.manifest.zone()?;
        let mut parts = Vec::new();
        for entry in &staging.manifest.tables {
            let (shape, folder) = (entry.shape(zone.as_ref()), staging.folder.join(&entry.folder));
            let count = |name: &str| Piled::open(&folder.join(name), &shape)?.count();
            let (written, changed) = (count(WRITTEN)?, count(BEFORE)?);
            if written > 0 {
                let (table, new) = (find(tables, entry)?, written - changed);
                let [later, empty] = [const { Vec::new() }; 2];
                parts.push(Part { table, shape, folder, later, empty, referrers: Vec::new(), new, changed });
            }
        }
        let order: Vec<&Table> = parts.iter().map(|it| it.table).collect();
        for (at, part) in parts.iter_mut().enumerate() {
            part.later = later(part.table, &part.shape, &order[at..]);
            let is_empty = |it: &usize| {
                let column = part.table.column(&part.shape.fields[*it].column);
                column.is_some_and(|it| part.table.columns[it].nullable)
            };
            part.empty = part.later.iter().copied().filter(is_empty).collect();
        }
        let clears: Vec<Vec<String>> = parts.iter().map(Part::clears).collect();
        for (at, part) in parts.iter_mut().enumerate() {
            // New rows that refer to these go before they do, or no longer refer to them.
            let goes = |child: &Table, key: &ForeignKey| match order.iter().position(|it| it.name == child.name) {
                Some(place) => place > at || child.names(&key.columns).iter().any(|it| clears[place].contains(it)),
                None => true,
            };
            part.referrers = referrers(part.table, tables, &goes);
        }
        Ok(parts)
    }

    /// The names of the columns that are cleared.
    fn clears(&self) -> Vec<String> {
        self.empty.iter().map(|&it| self.shape.fields[it].column.clone()).collect()
    }

    /// Puts what these steps take, with a comment above if it is something.
    ///
    /// # Errors
    /// If what was staged cannot be read, or a column cannot hold a value.
    pub(super) fn statements(&self, steps: &[Step], target: &mut dyn Target, put: &mut Put<'_>) -> Result<()> {
        let mut comment = Some(self.comment(steps));
        let mut say = |text: &str| {
            comment.take().map_or(Ok(()), |it| put(&it))?;
            put(&format!("{text}\n"))
        };
        for &step in steps {
            self.each(&mut |change| {
                let mut places = Vec::new();
                let Some(edit) = self.edit(step, &change, &mut places) else { return Ok(()) };
                match target.statement(self.table, &self.shape, edit)? {
                    text if text.is_empty() => Ok(()),
                    text => say(&text),
                }
            })?;
        }
        match steps.contains(&Step::Insert) && self.new > 0 {
            true => target.closing(self.table)?.iter().try_for_each(|it| say(it)),
            false => Ok(()),
        }
    }

    fn comment(&self, steps: &[Step]) -> String {
        let (name, new, changed) = (escape::message(&self.table.name), self.new, self.changed);
        match steps {
            [Step::Update, ..] => format!("-- {name}: {changed} to update, {new} to insert\n"),
            [Step::Delete, ..] => format!("-- {name}: {new} to delete, {changed} to update\n"),
            _ => format!("-- {name}: what its rows refer to\n"),
        }
    }

    /// What a step does about a row.
    fn edit<'e>(&'e self, step: Step, change: &Change<'e>, places: &'e mut Vec<usize>) -> Option<Edit<'e>> {
        let &Change { row, before, at } = change;
        let is_later = |it: &usize| self.later.contains(it) == matches!(step, Step::Refer | Step::Clear);
        *places = match before {
            Some(before) => differing(row, before).into_iter().filter(is_later).collect(),
            None => self.empty.iter().copied().filter(|&it| row.cell(it) != [tag::NULL]).collect(),
        };
        match (step, before) {
            (Step::Insert, None) => Some(Edit::Insert(row, &self.empty)),
            (Step::Delete, None) => Some(Edit::Delete(row, &self.referrers)),
            (Step::Insert | Step::Delete, Some(_)) | (Step::Update | Step::Restore, None) => None,
            _ if places.is_empty() => None,
            // A row that others have put there by then stays theirs.
            (Step::Refer, None) => Some(Edit::Fill(row, places)),
            (Step::Update | Step::Refer, Some(_)) => Some(Edit::Update(row, places, at)),
            (Step::Clear | Step::Restore, Some(before)) => Some(Edit::Update(before, places, at)),
            (Step::Clear, None) => Some(Edit::Clear(row, places)),
        }
    }

    fn each(&self, each: &mut dyn FnMut(Change<'_>) -> Result<()>) -> Result<()> {
        let piled = |name: &str| Piled::open(&self.folder.join(name), &self.shape);
        let (mut written, mut before) = (Walk::new(piled(WRITTEN)?)?, Walk::new(piled(BEFORE)?)?);
        let mut stored = Stored::open(&self.folder, &self.shape)?;
        while let Some(row) = written.row() {
            let before = before.at(row.key())?;
            let at = if before.is_some() { stored.at(row.key())? } else { row };
            each(Change { row, before, at })?;
            written.next()?;
        }
        Ok(())
    }
}

fn find<'t>(tables: &'t [Table], entry: &Entry) -> Result<&'t Table> {
    let gone = || Error::new(Kind::Store, format_args!("the target has no table `{}`", entry.name));
    tables.iter().find(|it| it.name == entry.name).ok_or_else(gone)
}

/// The places of columns that refer to one of these tables. A row without a key could not be found again.
fn later(table: &Table, shape: &Shape, tables: &[&Table]) -> Vec<usize> {
    let keys = table.foreign_keys.iter().filter(|it| it.parent(tables.iter().copied()).is_some());
    let columns = keys.flat_map(|it| &it.columns).filter_map(|&it| table.columns.get(it));
    let places = columns.filter_map(|column| shape.fields.iter().position(|it| it.column == column.name));
    let mut places: Vec<usize> = places.filter(|&it| !shape.keyless && it >= shape.key).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Who refers to a table, as far as `goes` says that those of the same patch go before.
fn referrers(table: &Table, tables: &[Table], goes: &dyn Fn(&Table, &ForeignKey) -> bool) -> Vec<Referrer> {
    let is_to = |it: &ForeignKey| it.parent(tables).is_some_and(|it| it.name == table.name);
    let mut out = Vec::new();
    for child in tables {
        for key in child.foreign_keys.iter().filter(|it| is_to(it) && goes(child, it)) {
            let to = if key.to.is_empty() { table.names(&table.key) } else { key.to.clone() };
            out.push(Referrer { table: child.name.clone(), columns: child.names(&key.columns), to });
        }
    }
    out
}
