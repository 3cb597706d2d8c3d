//! From a store to the merge: mapped, indexed, sorted where it has to be, a few batches ahead on a thread of its own.

use super::{
    Run, Watch,
    ids::{Renamed, Renaming},
    laps::{Behind, Laps, Part},
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
    /// The bytes of their cells.
    pub bytes: u64,
    pub indexes: Vec<Index>,
    pub selected: Option<Selected>,
    /// Where the time of the thread went.
    pub laps: Laps,
}

impl Reader<'_> {
    /// Reads everything into `tap`, which hears about failure too.
    pub(super) fn read(mut self, mut tap: Tap, run: &Run) -> Drained {
        let laps = Laps::new(run.clock);
        let sort = self.sort.take();
        let before = if sort.is_some() { Part::Sort } else { Part::Map };
        let mut counted = Counted { watch: &run.watch, laps: &laps, before, next: &mut tap, rows: 0, bytes: 0 };
        let result = match sort {
            None => self.feed(&run.watch, &laps, &mut counted),
            Some(budget) => self.sorted(budget, &mut counted),
        };
        let (rows, bytes) = (counted.rows, counted.bytes);
        tap.end(result);
        let selected = self.program.as_ref().map(Program::selected);
        Drained { rows, bytes, indexes: self.indexes, selected, laps }
    }

    fn sorted(&mut self, budget: Budget, next: &mut Counted<'_>) -> Result<()> {
        let (watch, laps) = (next.watch, next.laps);
        let mut sorting = Sorting { sorter: RowSorter::new(budget), next };
        self.feed(watch, laps, &mut sorting)?;
        let Sorting { sorter, next, .. } = sorting;
        sorter.drain(Batch::new(Arc::clone(self.shape)), next)
    }

    fn feed(&mut self, watch: &Watch, laps: &Laps, next: &mut dyn Feed) -> Result<()> {
        let mut indexed = Indexed { indexes: &mut self.indexes, next: Some(next) };
        let mut wanted = Wanted { keys: self.keys.as_ref(), watch, next: &mut indexed };
        let mut renamed = Renamed { renaming: self.renaming, next: &mut wanted };
        let read = match (&mut self.program, &self.keys) {
            (None, Some(keys)) if self.renaming.is_none() => {
                self.store.scan_keys(self.table, self.shape, keys, &mut Behind { laps, next: &mut renamed })
            }
            // Which rows the wanted ones are made of, nobody knows.
            (None, _) => self.store.scan(self.table, self.shape, &mut Behind { laps, next: &mut renamed }),
            (Some(program), _) => {
                let input = program.input();
                let mut over = Over::new(program, Arc::clone(self.shape), &mut renamed);
                self.store.scan(self.table, &input, &mut Behind { laps, next: &mut over })
            }
        };
        laps.end(Part::Read);
        read
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
    laps: &'f Laps,
    /// What is done before a batch comes here.
    before: Part,
    next: &'f mut Tap,
    rows: u64,
    bytes: u64,
}

impl Feed for Counted<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.watch.read(batch.len() as u64)?;
        self.rows += batch.len() as u64;
        self.bytes += batch.size() as u64;
        self.laps.end(self.before);
        let flow = self.next.take(batch);
        self.laps.end(Part::Wait);
        flow
    }
}

/// Keeps rows for sorting and passes rejects on at once.
struct Sorting<'f, 't> {
    sorter: RowSorter,
    next: &'f mut Counted<'t>,
}

impl Feed for Sorting<'_, '_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.next.watch.read(0)?;
        self.next.laps.end(Part::Map);
        self.sorter.add(batch)?;
        self.next.laps.end(Part::Sort);
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
