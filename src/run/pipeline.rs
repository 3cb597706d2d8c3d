//! From a store to the merge: mapped, indexed, sorted where it has to be, a few batches ahead on a thread of its own.

use super::{
    Run, Watch,
    ids::{Renamed, Renaming},
};
use crate::{
    ahead::Tap,
    diff::references::{Index, Indexed},
    error::Result,
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    sort::{Budget, RowSorter},
    store::Source,
    transform::{Over, Program, Selected},
};
use std::{cmp::Ordering, sync::Arc};

/// One side of a comparison, to be read once.
pub(super) struct Reader<'s> {
    pub store: &'s mut dyn Source,
    pub table: &'s Table,
    pub shape: &'s Arc<Shape>,
    pub program: Option<Program>,
    pub indexes: Vec<Index>,
    /// New ids that its rows get.
    pub renaming: Option<&'s Renaming>,
    /// Present where the rows do not come in order.
    pub sort: Option<Budget>,
    /// The keys to read, of the shape's key cells alone and in order. Nothing: all there are.
    pub keys: Option<Batch>,
}

/// What is left of a side after it was read.
pub(super) struct Drained {
    /// Rows handed to the merge.
    pub rows: u64,
    pub indexes: Vec<Index>,
    pub selected: Option<Selected>,
}

impl Reader<'_> {
    /// Reads everything into `tap`, which hears about failure too.
    pub(super) fn read(mut self, mut tap: Tap, run: &Run) -> Drained {
        let mut counted = Counted { watch: &run.watch, next: &mut tap, rows: 0 };
        let sort = self.sort.take();
        let result = match sort {
            None => self.feed(&run.watch, &mut counted),
            Some(budget) => self.sorted(budget, &mut counted),
        };
        let rows = counted.rows;
        tap.end(result);
        let selected = self.program.as_ref().map(Program::selected);
        Drained { rows, indexes: self.indexes, selected }
    }

    fn sorted(&mut self, budget: Budget, next: &mut Counted<'_>) -> Result<()> {
        let watch = next.watch;
        let mut sorting = Sorting { sorter: RowSorter::new(budget), watch: next.watch, next };
        self.feed(watch, &mut sorting)?;
        let Sorting { sorter, next, .. } = sorting;
        sorter.drain(Batch::new(Arc::clone(self.shape)), next)
    }

    fn feed(&mut self, watch: &Watch, next: &mut dyn Feed) -> Result<()> {
        let mut indexed = Indexed { indexes: &mut self.indexes, next: Some(next) };
        let mut wanted = Wanted { keys: self.keys.as_ref(), watch, next: &mut indexed };
        let mut renamed = Renamed { renaming: self.renaming, next: &mut wanted };
        match (&mut self.program, &self.keys) {
            (None, Some(keys)) if self.renaming.is_none() => {
                self.store.scan_keys(self.table, self.shape, keys, &mut renamed)
            }
            // Which rows the wanted ones are made of, nobody knows.
            (None, _) => self.store.scan(self.table, self.shape, &mut renamed),
            (Some(program), _) => {
                let input = program.input();
                let mut over = Over::new(program, Arc::clone(self.shape), &mut renamed);
                self.store.scan(self.table, &input, &mut over)
            }
        }
    }
}

/// Lets only rows with one of the keys through, if there are keys to look for. Rejects pass: nobody knows their keys.
struct Wanted<'f> {
    keys: Option<&'f Batch>,
    watch: &'f Watch,
    next: &'f mut dyn Feed,
}

impl Feed for Wanted<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let Some(keys) = self.keys else { return self.next.take(batch) };
        self.watch.read(0)?;
        let mut found = Batch::new(Arc::clone(batch.shape()));
        found.rejects = std::mem::take(&mut batch.rejects);
        batch.rows().filter(|it| place(keys, it.key()).is_some()).for_each(|it| found.push_row(it));
        batch.clear();
        if found.is_end() { Ok(Flow::Continue) } else { self.next.take(&mut found) }
    }
}

/// Where in a sorted batch of keys one stands.
pub(super) fn place(keys: &Batch, key: &[u8]) -> Option<usize> {
    let (mut low, mut high) = (0, keys.len());
    while low < high {
        let middle = low.midpoint(high);
        match keys.row(middle).bytes().cmp(key) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Some(middle),
        }
    }
    None
}

/// Counts rows and ends the stream when somebody asks for it.
struct Counted<'f> {
    watch: &'f Watch,
    next: &'f mut Tap,
    rows: u64,
}

impl Feed for Counted<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.watch.read(batch.len() as u64)?;
        self.rows += batch.len() as u64;
        self.next.take(batch)
    }
}

/// Keeps rows for sorting and passes rejects on at once.
struct Sorting<'f, 't> {
    sorter: RowSorter,
    watch: &'f Watch,
    next: &'f mut Counted<'t>,
}

impl Feed for Sorting<'_, '_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.watch.read(0)?;
        self.sorter.add(batch)?;
        let rejects = std::mem::take(&mut batch.rejects);
        batch.clear();
        if rejects.is_empty() {
            return Ok(Flow::Continue);
        }
        let mut refused = Batch::new(Arc::clone(batch.shape()));
        refused.rejects = rejects;
        self.next.take(&mut refused)
    }
}
