//! Back to what was there before a run: rows that it wrote and that nobody has changed since.

use super::{
    apply::{Applied, Load, Sender, Walk, staged_name},
    manifest::Entry,
    stage::{BEFORE, LANDED, Pile, WRITTEN},
};
use crate::{
    ahead::ahead,
    diff::undo::{Undo, undo},
    error::{Error, Kind, Result},
    report::{cell as shown, migration::Undoing},
    row::{Batch, Flow, Row, Rows, Shape},
    run::{Run, pipeline},
    schema::Table,
    snapshot::{self, Meta, Options, Reader, TableRows, Writer},
    store::Source,
};
use std::{path::Path, sync::Arc, thread};

/// Rows beyond this many are not looked up by their keys: reading the table is quicker.
const KEYS_MAX: u64 = 10_000;
/// Keys of rows that stay, shown as examples.
const EXAMPLES: usize = 20;

/// The names of the two snapshots that say what to do.
const RESTORE: &str = "restore";
const REMOVE: &str = "remove";

/// Finds out what undoing a table takes, and stages it in `folder`. Nothing is written to the target.
///
/// `staged` is the folder of the table in that of the run, `table` the target's.
///
/// # Errors
/// If something cannot be read, or not be staged.
pub(super) fn stage(
    run: &Run,
    target: &mut dyn Source,
    (entry, table, shape): (&Entry, &Table, &Arc<Shape>),
    staged: &Path,
    (folder, meta): (&Path, &Meta),
) -> Result<Undoing> {
    let (written, before) = (Reader::open(&staged.join(WRITTEN))?, Reader::open(&staged.join(BEFORE))?);
    let name = staged_name(&written)?;
    let count = written.parts(&name)?.iter().map(|it| it.rows).sum::<u64>();
    let keys = (count <= KEYS_MAX && !shape.keyless).then(|| keys(&written, &name, shape)).transpose()?;
    let reader = pipeline::Reader {
        store: target,
        table,
        shape,
        program: None,
        indexes: Vec::new(),
        sort: Some(run.share(24)),
        keys,
    };
    let own = entry.table();
    let kept = snapshot::shape(&own);
    let options = || Options { replace: true, ..Options::default() };
    let writer = |name: &str| Writer::create(&folder.join(name), meta.clone(), options());
    let mut writers = [writer(RESTORE)?, writer(REMOVE)?];
    let mut undoing = Undoing::default();
    {
        let [restore, remove] = &mut writers;
        let (mut restore, mut remove) = (Pile::new(restore, &own, &kept)?, Pile::new(remove, &own, &kept)?);
        let (tap, mut now) = ahead(shape);
        let mut before = before.rows_in(&name, shape)?;
        let landed = Some(staged.join(LANDED)).filter(|it| it.exists()).map(|it| Reader::open(&it)).transpose()?;
        let landed = landed.as_ref().map(|it| Walk::new(it, &name, shape)).transpose()?;
        let mut written = Landed { written: written.rows_in(&name, shape)?, landed };
        thread::scope(|scope| {
            let reading = scope.spawn(move || reader.read(tap, run));
            let decided = undo(&mut written, &mut before, &mut now, &mut |it| match it {
                Undo::Restore { before } => {
                    undoing.restore += 1;
                    restore.push(cells(before))
                }
                Undo::Remove { now } => {
                    undoing.remove += 1;
                    remove.push(cells(now))
                }
                Undo::Done => {
                    undoing.done += 1;
                    Ok(())
                }
                Undo::Theirs { written } => {
                    undoing.theirs += 1;
                    if undoing.examples.len() < EXAMPLES {
                        undoing.examples.push(key(written));
                    }
                    Ok(())
                }
            });
            drop(now);
            let died =
                |_| Error::new(Kind::Broken, "a thread that read the target panicked; please report this defect");
            reading.join().map_err(died)?;
            decided
        })?;
        restore.finish()?;
        remove.finish()?;
    }
    writers.into_iter().try_for_each(Writer::finish)?;
    Ok(undoing)
}

/// Carries out what [`stage`] put into `folder`.
///
/// # Errors
/// As [`Sender::send`], and if what was staged cannot be read.
pub(super) fn carry_out(sender: &mut Sender<'_, '_>, folder: &Path, shape: &Arc<Shape>) -> Result<Applied> {
    for (name, side) in
        [(RESTORE, (|it| &mut it.updates) as fn(&mut Load) -> &mut Batch), (REMOVE, |it| &mut it.deletes)]
    {
        let rows = Reader::open(&folder.join(name))?;
        let mut walk = Walk::new(&rows, &staged_name(&rows)?, shape)?;
        let mut load = Load::new(shape);
        walk.each(|row| {
            side(&mut load).push_row(row);
            if sender.is_full(&load) {
                sender.send(&mut load)?;
            }
            Ok(Flow::Continue)
        })?;
        sender.send(&mut load)?;
        sender.finish()?;
    }
    Ok(sender.done)
}

/// The rows that were written, as the store holds them.
struct Landed<'r> {
    written: TableRows<'r>,
    /// Those that it has turned into something else.
    landed: Option<Walk<'r>>,
}

impl Rows for Landed<'_> {
    fn shape(&self) -> &Arc<Shape> {
        self.written.shape()
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        self.written.fill(batch)?;
        let Some(landed) = &mut self.landed else { return Ok(()) };
        let mut rows = Batch::new(Arc::clone(batch.shape()));
        for row in batch.rows() {
            match landed.at(row.key())? {
                Some(it) => rows.push_row(it),
                None => rows.push_row(row),
            }
        }
        *batch = rows;
        Ok(())
    }
}

/// The keys of all written rows.
fn keys(written: &Reader, name: &str, shape: &Arc<Shape>) -> Result<Batch> {
    let fields = shape.fields.iter().take(shape.key).cloned().collect();
    let alone = Arc::new(Shape { fields, key: shape.key, compared: shape.key, keyless: false });
    let mut keys = Batch::new(alone);
    Walk::new(written, name, shape)?.each(|row| {
        keys.push_cells(row.key(), row.ends().take(shape.key), false);
        Ok(Flow::Continue)
    })?;
    Ok(keys)
}

fn cells(row: Row<'_>) -> impl Iterator<Item = &[u8]> {
    (0..row.shape().width()).map(move |it| row.cell(it))
}

/// The key of a row as JSON.
fn key(row: Row<'_>) -> String {
    let fields = row.shape().fields.iter().take(row.shape().key).enumerate();
    let member = |(place, field): (usize, &crate::row::Field)| {
        format!("{}={}", field.column, shown::cell(row.cell(place), true, false).json)
    };
    fields.map(member).collect::<Vec<_>>().join(", ")
}
