//! The keys of rows in the form in which the target itself holds them.
//!
//! One key may stand in a store in several forms: a UUID in either letter case, a number as text, an instant in many spellings. The
//! comparison takes them for one, and a statement finds a row only by the form that is there.

use super::{
    apply::Walk,
    pile::{Pile, Piled},
    rollback,
    stage::BEFORE,
};
use crate::{
    ahead::ahead,
    error::{Error, Kind, Result},
    row::{Batch, Field, Flow, Row, Shape},
    run::{Run, pipeline},
    schema::Table,
    store::Source,
    value::{Type, cast::Cast},
};
use std::{path::Path, sync::Arc, thread};

/// The name of the file of keys.
const STORED: &str = "stored.rows";

/// Reads the keys of the rows of a table that others are to take the place of, and puts them beside these.
///
/// `folder` is that of the table in the run's, `table` the target's.
///
/// # Errors
/// If something cannot be read, or not be staged.
pub(super) fn stage(
    run: &Run,
    target: &mut dyn Source,
    (table, shape): (&Table, &Arc<Shape>),
    folder: &Path,
) -> Result<()> {
    let piled = || Piled::open(&folder.join(BEFORE), shape);
    let wide = wide(shape);
    let mut pile = Pile::create(&folder.join(STORED), wide.width())?;
    let count = piled()?.count()?;
    if count > 0 {
        let few = count <= rollback::KEYS_MAX;
        let reader = pipeline::Reader {
            store: target,
            table,
            shape: &wide,
            program: None,
            renaming: None,
            indexes: Vec::new(),
            sort: Some(run.share(24)),
            keys: few.then(|| rollback::keys(piled()?, shape)).transpose()?,
        };
        let mut before = Walk::new(piled()?)?;
        let (tap, rows) = ahead(&wide);
        thread::scope(|scope| {
            let reading = scope.spawn(move || reader.read(tap, run));
            let staged = Walk::new(rows).and_then(|mut rows| {
                rows.each(|row| {
                    if before.at(row.key())?.is_some() {
                        pile.push(rollback::cells(row))?;
                    }
                    Ok(Flow::Continue)
                })
            });
            let died =
                |_| Error::new(Kind::Broken, "a thread that read the target panicked; please report this defect");
            reading.join().map_err(died)?;
            staged
        })?;
    }
    pile.finish()
}

/// Keys that were staged.
pub(super) struct Stored {
    keys: Walk<Piled>,
    /// The last one that was asked for.
    found: Batch,
}

impl Stored {
    /// Those of the table with that folder, whose rows have that shape.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn open(folder: &Path, shape: &Arc<Shape>) -> Result<Stored> {
        let keys = Walk::new(Piled::open(&folder.join(STORED), &wide(shape))?)?;
        let fields = as_they_are(shape).collect();
        let found = Batch::new(Arc::new(Shape { fields, key: shape.key, compared: shape.key, keyless: false }));
        Ok(Stored { keys, found })
    }

    /// A row that is nothing but the key in the form of the target. Keys have to be asked for in their order.
    ///
    /// # Errors
    /// If the target did not have the row any more.
    pub(super) fn at(&mut self, key: &[u8]) -> Result<Row<'_>> {
        let gone = || Error::new(Kind::Store, "a row that differed is not there any more; run it again");
        let row = self.keys.at(key)?.ok_or_else(gone)?;
        self.found.clear();
        self.found.fill_with(|place, slot| {
            let mut scratch = Vec::new();
            slot.put(row.value(row.shape().key + place, &mut scratch));
            Ok(())
        })?;
        Ok(self.found.row(0))
    }
}

/// The key as it is compared, and once more as it is.
fn wide(shape: &Shape) -> Arc<Shape> {
    let fields = shape.fields.iter().take(shape.key).cloned().chain(as_they_are(shape)).collect();
    Arc::new(Shape { fields, key: shape.key, compared: shape.key, keyless: false })
}

fn as_they_are(shape: &Shape) -> impl Iterator<Item = Field> {
    let key = shape.fields.iter().take(shape.key);
    key.map(|it| Field::new(it.column.clone(), Cast::new(Type::Any)))
}
