//! Rows that a run inserted and that must stay although nobody has changed them, since rows that stay refer to them: to remove one
//! would orphan those, or take them along where the store deletes in cascades.

use super::{
    apply::Walk,
    foreseen::{Layer, foreseen},
    pile::{Pile, Piled},
    rollback::REMOVE,
};
use crate::{
    ahead::ahead,
    diff::references::{Column, Entries, Entry, Index, referred},
    error::{Error, Kind, Result},
    row::{Batch, Field, Flow, Row, Rows, Shape},
    run::{Run, pipeline},
    schema::{ForeignKey, Table},
    sort::{Sorted, Sorter},
    store::Source,
    value::cast::Cast,
};
use std::{fs, path::Path, sync::Arc, thread};

/// A table whose rows are to be removed.
pub(super) struct Parent<'p> {
    pub table: &'p Table,
    /// The shape of its staged rows.
    pub shape: &'p Arc<Shape>,
    /// Where they are staged.
    pub folder: &'p Path,
}

/// A table that refers to another one.
pub(super) struct Child<'c> {
    pub table: &'c Table,
    /// Those of its rows that go or become others.
    pub staged: &'c [Layer],
}

impl Parent<'_> {
    /// Takes the rows out of those to be removed that rows of a child refer to by `reference` and stay. Their keys are told to
    /// `each`.
    ///
    /// # Errors
    /// If something cannot be read, or not be staged.
    pub(super) fn hold(
        &self,
        run: &Run,
        target: &mut dyn Source,
        (child, reference): (&Child<'_>, &ForeignKey),
        each: &mut dyn FnMut(Row<'_>),
    ) -> Result<()> {
        let to: Vec<usize> = match reference.to.as_slice() {
            [] => self.table.key.clone(),
            names => names.iter().filter_map(|it| self.table.column(it)).collect(),
        };
        let cast = |&at: &usize| Cast::new(self.table.columns[at].ty);
        let staged = |at: &usize| self.shape.fields.iter().position(|it| it.column == self.table.columns[*at].name);
        let places: Option<Vec<usize>> = to.iter().map(staged).collect();
        let Some(places) = places.filter(|it| !it.is_empty() && it.len() == reference.columns.len()) else {
            // Which values the rows have in a column that the run did not write cannot be told from what it staged.
            let mut children = child.values(run, target, reference, &to.iter().map(cast).collect::<Vec<_>>())?;
            return if children.next()?.is_some() { self.keep_all(each) } else { Ok(()) };
        };
        let mut parents = self.values(run, &places)?;
        let casts: Vec<Cast> = places.iter().map(|&it| self.shape.fields[it].cast.clone()).collect();
        let mut children = child.values(run, target, reference, &casts)?;
        let mut held = Sorter::new(run.share(24));
        let mut some = false;
        referred(&mut parents, &mut children, |it: Entry<'_>| {
            some = true;
            held.push(it.key, &[])
        })?;
        if some { self.keep(held.finish()?, each) } else { Ok(()) }
    }

    /// Leaves all of the rows.
    fn keep_all(&self, each: &mut dyn FnMut(Row<'_>)) -> Result<()> {
        Walk::new(Piled::open(&self.folder.join(REMOVE), self.shape)?)?.each(|row| {
            each(row);
            Ok(Flow::Continue)
        })?;
        Pile::create(&self.folder.join(REMOVE), self.shape.width())?.finish()
    }

    /// What can be referred to of the rows to be removed.
    fn values(&self, run: &Run, places: &[usize]) -> Result<Entries> {
        let columns = places.iter().map(|&place| Column { place, cast: None }).collect();
        let mut index = Index::new(columns, true, run.share(24));
        Walk::new(Piled::open(&self.folder.join(REMOVE), self.shape)?)?.each(|row| {
            index.add(row)?;
            Ok(Flow::Continue)
        })?;
        index.finish()
    }

    /// Stages the rows to be removed anew, without those of these keys.
    fn keep(&self, mut held: Sorted, each: &mut dyn FnMut(Row<'_>)) -> Result<()> {
        let (path, draft) = (self.folder.join(REMOVE), self.folder.join(format!("{REMOVE}.new")));
        let mut pile = Pile::create(&draft, self.shape.width())?;
        let mut next = held.next()?.map(|it| it.0.to_vec());
        Walk::new(Piled::open(&path, self.shape)?)?.each(|row| {
            while next.as_deref().is_some_and(|it| it < row.key()) {
                next = held.next()?.map(|it| it.0.to_vec());
            }
            if next.as_deref() == Some(row.key()) {
                each(row);
            } else {
                pile.push((0..row.shape().width()).map(|it| row.cell(it)))?;
            }
            Ok(Flow::Continue)
        })?;
        pile.finish()?;
        fs::rename(&draft, &path).map_err(|it| crate::disk::failed(&path, "cannot write", &it))
    }
}

impl Child<'_> {
    /// What the rows refer to that will be there once its own rows are undone.
    fn values(&self, run: &Run, target: &mut dyn Source, reference: &ForeignKey, casts: &[Cast]) -> Result<Entries> {
        let names = self.table.names(&reference.columns);
        let fields = names.iter().zip(casts).map(|(name, cast)| Field::new(name.clone(), cast.clone()));
        // Rows are told from others by what the staged ones begin with.
        let staged = self.staged.first().map(|it| &it.shape);
        let lead = staged.map(|it| it.fields.clone()).unwrap_or_default();
        let start = lead.len();
        let fields: Vec<Field> = lead.into_iter().chain(fields).collect();
        let (key, compared, keyless) =
            staged.map_or((fields.len(), fields.len(), true), |it| (it.key, it.compared, it.keyless));
        let shape = Arc::new(Shape { fields, key, compared, keyless });
        let places = start..shape.width();
        let columns = places.map(|place| Column { place, cast: None }).collect();
        let mut index = Index::new(columns, false, run.share(24));
        let (tap, rows) = ahead(&shape);
        let mut rows = foreseen(rows, self.staged)?;
        let reader = pipeline::Reader {
            store: target,
            table: self.table,
            shape: &shape,
            program: None,
            renaming: None,
            indexes: Vec::new(),
            sort: staged.is_some().then(|| run.share(24)),
            keys: None,
        };
        thread::scope(|scope| {
            let reading = scope.spawn(move || reader.read(tap, run));
            let added = add(rows.as_mut(), &mut index);
            // Whoever reads on must not wait for somebody who has stopped to listen.
            drop(rows);
            let died =
                |_| Error::new(Kind::Broken, "a thread that read the target panicked; please report this defect");
            reading.join().map_err(died)?;
            added
        })?;
        index.finish()
    }
}

fn add(rows: &mut dyn Rows, index: &mut Index) -> Result<()> {
    let mut batch = Batch::new(Arc::clone(rows.shape()));
    loop {
        rows.fill(&mut batch)?;
        if batch.is_end() {
            return Ok(());
        }
        batch.rows().try_for_each(|it| index.add(it))?;
    }
}
