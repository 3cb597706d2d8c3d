//! A target whose tables are not there yet, or not all of them: what its schema says stands in for them, without rows.

use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Shape},
    schema::Table,
    store::{Schemas, Source, about::Fact, target::Declared},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A store with tables that will be made.
pub struct Unmade {
    there: Option<Box<dyn Source>>,
    schema: Box<dyn Source>,
    missing: BTreeSet<String>,
    /// Tables that are there, by the names that they will have, and what they are called now.
    names: BTreeMap<String, String>,
}

impl Unmade {
    /// What is `there`, if anything is, and what is declared beyond it.
    ///
    /// # Errors
    /// If one of them cannot say what it holds.
    pub fn new(mut there: Option<Box<dyn Source>>, declared: Declared) -> Result<Unmade> {
        let Declared { store: mut schema, there: names } = declared;
        let known = there.as_mut().map(|it| it.tables()).transpose()?.unwrap_or_default();
        let is_there = |name: &str| match &names {
            Some(names) => names.contains_key(name),
            None => known.iter().any(|it| it.name.eq_ignore_ascii_case(name)),
        };
        let missing = schema.tables()?.into_iter().map(|it| it.name).filter(|it| !is_there(it)).collect();
        Ok(Unmade { there, schema, missing, names: names.unwrap_or_default() })
    }

    /// Whether anything has to be made.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// What is there.
    pub fn there(self) -> Option<Box<dyn Source>> {
        self.there
    }

    /// The store that has a table, and the table as that store calls it.
    fn of(&mut self, table: &Table) -> Result<(&mut dyn Source, Table)> {
        let name = self.names.get(&table.name).unwrap_or(&table.name);
        let own = Table { name: name.clone(), ..table.clone() };
        match &mut self.there {
            _ if self.missing.contains(&table.name) => Ok((self.schema.as_mut(), own)),
            Some(there) => Ok((there.as_mut(), own)),
            None => Err(Error::new(Kind::Store, format_args!("there is no table `{}`", table.name))),
        }
    }
}

impl Source for Unmade {
    fn tables(&mut self) -> Result<Vec<Table>> {
        let mut tables = self.there.as_mut().map(|it| it.tables()).transpose()?.unwrap_or_default();
        let later: BTreeMap<&String, &String> = self.names.iter().map(|(later, now)| (now, later)).collect();
        for table in &mut tables {
            if let Some(name) = later.get(&table.name) {
                table.name.clone_from(name);
            }
        }
        let missing = self.schema.tables()?.into_iter().filter(|it| self.missing.contains(&it.name));
        tables.extend(missing.map(|it| Table { rows_about: Some(0), ..it }));
        Ok(tables)
    }

    fn hidden(&mut self, table: &Table) -> Result<Vec<String>> {
        let (store, table) = self.of(table)?;
        store.hidden(&table)
    }

    fn schemas(&mut self) -> Result<Schemas> {
        self.schema.schemas()
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let (store, table) = self.of(table)?;
        store.scan(&table, shape, feed)
    }

    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        let (store, table) = self.of(table)?;
        store.scan_keys(&table, shape, keys, feed)
    }

    fn keeps_order(&mut self, table: &Table, shape: &Shape) -> Result<bool> {
        let (store, table) = self.of(table)?;
        store.keeps_order(&table, shape)
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
