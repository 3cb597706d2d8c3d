//! Some tables of a store, as a store: what a migration does not read it need not back up.

use crate::{
    error::Result,
    row::{Batch, Feed, Shape},
    schema::Table,
    store::Source,
};
use std::{collections::BTreeSet, sync::Arc};

/// A store of which only some tables show.
pub struct Part<'s> {
    store: &'s mut dyn Source,
    tables: BTreeSet<String>,
}

impl<'s> Part<'s> {
    /// These tables of `store`.
    pub fn new(store: &'s mut dyn Source, tables: BTreeSet<String>) -> Part<'s> {
        Part { store, tables }
    }
}

impl Source for Part<'_> {
    fn tables(&mut self) -> Result<Vec<Table>> {
        let mut tables = self.store.tables()?;
        tables.retain(|it| self.tables.contains(&it.name));
        Ok(tables)
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        self.store.scan(table, shape, feed)
    }

    fn keeps_order(&mut self, table: &Table, shape: &Shape) -> Result<bool> {
        self.store.keeps_order(table, shape)
    }

    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        self.store.scan_keys(table, shape, keys, feed)
    }

    fn torn(&mut self) -> Result<Option<String>> {
        self.store.torn()
    }

    fn notes(&self) -> Vec<String> {
        self.store.notes()
    }
}
