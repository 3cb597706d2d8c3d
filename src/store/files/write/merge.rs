//! What becomes of each row of a file, and which rows are new.

use crate::{
    error::Result,
    row::{Batch, Row, Shape},
    store::target::{Changes, Written},
    value::Value,
};
use std::{collections::BTreeMap, sync::Arc};

/// The changes to one table, by what tells a row.
pub(super) struct Merge<'c> {
    pub(super) changes: &'c Changes<'c>,
    pub(super) shape: Arc<Shape>,
    deletes: BTreeMap<&'c [u8], usize>,
    updates: BTreeMap<&'c [u8], Row<'c>>,
    /// Rows to insert, and whether one of that key is there.
    inserts: BTreeMap<&'c [u8], bool>,
    /// One row of the cells that tell it.
    told: Batch,
    pub(super) written: Written,
}

/// What becomes of a row.
pub(super) enum Fate<'c> {
    Stays,
    Goes,
    Changes(Row<'c>),
}

impl<'c> Merge<'c> {
    pub(super) fn new(changes: &'c Changes<'c>) -> Merge<'c> {
        let batches = [changes.inserts, changes.updates, changes.deletes];
        let shape = batches.iter().find(|it| !it.is_empty()).map_or(changes.inserts, |it| it).shape();
        let telling = if shape.keyless { shape.compared } else { shape.key };
        let fields = shape.fields.iter().take(telling).cloned().collect();
        let told = Shape { fields, key: shape.key.min(telling), compared: telling, keyless: shape.keyless };
        let mut merge = Merge {
            changes,
            shape: Arc::clone(shape),
            deletes: BTreeMap::new(),
            updates: changes.updates.rows().map(|it| (it.key(), it)).collect(),
            inserts: changes.inserts.rows().filter(|it| !it.shape().keyless).map(|it| (it.key(), false)).collect(),
            told: Batch::new(Arc::new(told)),
            written: Written::default(),
        };
        for row in changes.deletes.rows() {
            *merge.deletes.entry(if row.shape().keyless { row.compared() } else { row.key() }).or_default() += 1;
        }
        merge
    }

    pub(super) fn is_empty(&self) -> bool {
        let Changes { inserts, updates, deletes, .. } = self.changes;
        inserts.is_empty() && updates.is_empty() && deletes.is_empty()
    }

    /// What becomes of a row of the file. `value` gives what it holds in the column of a field.
    pub(super) fn fate<'v>(&mut self, value: impl FnMut(usize) -> Result<Value<'v>>) -> Result<Fate<'c>> {
        self.told.clear();
        self.told.push_with(value)?;
        let row = self.told.row(0);
        let told = row.bytes();
        if let Some(there) = self.inserts.get_mut(told) {
            *there = true;
        }
        match self.deletes.get_mut(told) {
            Some(0) | None => {}
            Some(left) => {
                *left -= usize::from(self.shape.keyless);
                self.written.deleted += 1;
                // What went makes place for what comes.
                if let Some(there) = self.inserts.get_mut(told) {
                    *there = false;
                }
                return Ok(Fate::Goes);
            }
        }
        Ok(match self.updates.get(told) {
            Some(row) if !self.shape.keyless => {
                self.written.updated += 1;
                Fate::Changes(*row)
            }
            _ => Fate::Stays,
        })
    }

    /// The rows that are new, once all of the file are known.
    pub(super) fn new_rows(&mut self) -> Vec<Row<'c>> {
        let is_new = |it: &Row<'c>| self.shape.keyless || self.inserts.get(it.key()) == Some(&false);
        let rows: Vec<Row<'c>> = self.changes.inserts.rows().filter(is_new).collect();
        self.written.inserted = rows.len() as u64;
        rows
    }
}
