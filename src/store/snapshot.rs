//! A snapshot as a store.

use super::Source;
use crate::{
    error::Result,
    row::{Batch, Feed, Flow, Rows, Shape},
    schema::Table,
    snapshot::Reader,
};
use std::{path::Path, sync::Arc};

/// The rows that a capture wrote to a folder.
#[derive(Debug)]
pub struct Snapshot {
    reader: Reader,
}

impl Snapshot {
    /// Opens the snapshot in `folder`.
    ///
    /// # Errors
    /// If it is no snapshot, one of a newer version, or damaged.
    pub fn open(folder: &Path) -> Result<Snapshot> {
        Ok(Snapshot { reader: Reader::open(folder)? })
    }
}

impl Source for Snapshot {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.reader.tables().to_vec())
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let mut rows = self.reader.rows_in(&table.name, shape)?;
        let mut batch = Batch::new(Arc::clone(shape));
        loop {
            rows.fill(&mut batch)?;
            if batch.is_empty() || feed.take(&mut batch)? == Flow::Stop {
                return Ok(());
            }
        }
    }

    fn notes(&self) -> Vec<String> {
        let store = self.reader.store();
        let captured = self.reader.captured();
        let note = format!("a snapshot of {} `{}`, captured at {captured}", store.kind, store.name);
        [note].into_iter().chain(self.reader.notes().iter().cloned()).collect()
    }
}
