//! A target whose tables are not there yet, or not all of them: what its schema says stands in for them, without rows.

use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Shape},
    schema::Table,
    store::{Schemas, Source, about::Fact},
};
use std::{collections::BTreeSet, sync::Arc};

/// A store with tables that will be made.
pub struct Unmade {
    there: Option<Box<dyn Source>>,
    schema: Box<dyn Source>,
    missing: BTreeSet<String>,
}

impl Unmade {
    /// What is `there`, if anything is, and what `schema` declares beyond it.
    ///
    /// # Errors
    /// If one of them cannot say what it holds.
    pub fn new(mut there: Option<Box<dyn Source>>, mut schema: Box<dyn Source>) -> Result<Unmade> {
        let known = there.as_mut().map(|it| it.tables()).transpose()?.unwrap_or_default();
        let declared = schema.tables()?.into_iter().map(|it| it.name);
        let missing = declared.filter(|name| !known.iter().any(|it| it.name.eq_ignore_ascii_case(name))).collect();
        Ok(Unmade { there, schema, missing })
    }

    /// Whether anything has to be made.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// What is there.
    pub fn there(self) -> Option<Box<dyn Source>> {
        self.there
    }

    fn of(&mut self, table: &str) -> Result<&mut dyn Source> {
        match &mut self.there {
            _ if self.missing.contains(table) => Ok(self.schema.as_mut()),
            Some(there) => Ok(there.as_mut()),
            None => Err(Error::new(Kind::Store, format_args!("there is no table `{table}`"))),
        }
    }
}

impl Source for Unmade {
    fn tables(&mut self) -> Result<Vec<Table>> {
        let mut tables = self.there.as_mut().map(|it| it.tables()).transpose()?.unwrap_or_default();
        let missing = self.schema.tables()?.into_iter().filter(|it| self.missing.contains(&it.name));
        tables.extend(missing.map(|it| Table { rows_about: Some(0), ..it }));
        Ok(tables)
    }

    fn hidden(&mut self, table: &Table) -> Result<Vec<String>> {
        self.of(&table.name)?.hidden(table)
    }

    fn schemas(&mut self) -> Result<Schemas> {
        self.schema.schemas()
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        self.of(&table.name)?.scan(table, shape, feed)
    }

    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        self.of(&table.name)?.scan_keys(table, shape, keys, feed)
    }

    fn keeps_order(&mut self, table: &Table, shape: &Shape) -> Result<bool> {
        self.of(&table.name)?.keeps_order(table, shape)
    }

    fn release(&mut self) -> Result<()> {
        self.there.as_mut().map_or(Ok(()), |it| it.release())
    }

    fn refresh(&mut self) -> Result<()> {
        self.there.as_mut().map_or(Ok(()), |it| it.refresh())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        self.there.as_mut().map_or(Ok(Vec::new()), |it| it.about())
    }

    fn query(&mut self, sql: &str) -> Result<Vec<String>> {
        self.there.as_deref_mut().unwrap_or(self.schema.as_mut()).query(sql)
    }

    fn speaks_sql(&self) -> bool {
        self.there.as_deref().unwrap_or(self.schema.as_ref()).speaks_sql()
    }

    fn torn(&mut self) -> Result<Option<String>> {
        self.there.as_mut().map_or(Ok(None), |it| it.torn())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.there.as_ref().map(|it| it.notes()).unwrap_or_default();
        notes.extend(self.missing.iter().map(|it| format!("table `{it}` will be made as the schema says")));
        notes
    }
}
