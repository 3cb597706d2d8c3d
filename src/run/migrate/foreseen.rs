//! Rows as they will be once something that was staged is undone: what a table that refers to others will hold, and what is there
//! for a run once later ones are undone.

use super::{
    apply::Walk,
    pile::Piled,
    rollback::{REMOVE, RESTORE},
};
use crate::{
    error::Result,
    row::{Batch, Row, Rows, Shape},
};
use std::{path::PathBuf, sync::Arc};

/// What was staged to undo a run in one table.
pub(super) struct Layer {
    /// The shape of the rows.
    pub shape: Arc<Shape>,
    /// Where they are.
    pub folder: PathBuf,
}

impl Layer {
    /// Whether it has rows that go or become others: not every table was staged.
    pub(super) fn is_there(&self) -> bool {
        self.folder.join(REMOVE).exists()
    }

    /// Whether rows of that shape have the same key.
    fn fits(&self, shape: &Shape) -> bool {
        let key = |of: &Shape| -> Vec<_> {
            of.fields.iter().take(of.key).map(|it| (it.column.clone(), it.cast.ty)).collect()
        };
        self.shape.keyless == shape.keyless && key(&self.shape) == key(shape)
    }

    fn open(&self, name: &str) -> Result<Walk<Piled>> {
        Walk::new(Piled::open(&self.folder.join(name), &self.shape)?)
    }
}

/// The rows once each layer is undone, in this order. A layer whose rows have another key is passed over.
///
/// # Errors
/// If what was staged cannot be read.
pub(super) fn foreseen<'r>(rows: impl Rows + 'r, layers: &[Layer]) -> Result<Box<dyn Rows + 'r>> {
    let mut out: Box<dyn Rows + 'r> = Box::new(rows);
    for layer in layers {
        if layer.fits(out.shape()) {
            let next = Batch::new(Arc::clone(out.shape()));
            out = Box::new(Foreseen { rows: out, next, gone: layer.open(REMOVE)?, back: layer.open(RESTORE)? });
        }
    }
    Ok(out)
}

struct Foreseen<'r> {
    rows: Box<dyn Rows + 'r>,
    next: Batch,
    gone: Walk<Piled>,
    back: Walk<Piled>,
}

impl Rows for Foreseen<'_> {
    fn shape(&self) -> &Arc<Shape> {
        self.rows.shape()
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        let Foreseen { rows, next, gone, back } = self;
        batch.clear();
        while batch.is_end() {
            rows.fill(next)?;
            batch.rejects.append(&mut next.rejects);
            if next.is_end() {
                break;
            }
            for row in next.rows() {
                if gone.at(row.key())?.is_some() {
                    // Of rows without a key each one stands for itself.
                    if row.shape().keyless {
                        gone.next()?;
                    }
                    continue;
                }
                match back.at(row.key())? {
                    Some(was) => replaced(row, was, batch),
                    None => batch.push_row(row),
                }
            }
        }
        Ok(())
    }
}

/// Adds a row with the cells of another one, as far as that has its columns.
fn replaced(row: Row<'_>, was: Row<'_>, out: &mut Batch) {
    let (mut bytes, mut ends, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    for (place, field) in row.shape().fields.iter().enumerate() {
        match was.shape().fields.iter().position(|it| it.column == field.column) {
            Some(of) => drop(field.cast.write(was.value(of, &mut scratch), place < row.shape().key, &mut bytes)),
            None => bytes.extend_from_slice(row.cell(place)),
        }
        ends.push(bytes.len() as u32);
    }
    out.push_cells(&bytes, ends.into_iter(), row.is_odd());
}
