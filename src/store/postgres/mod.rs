//! Postgres, read-only for real: everything is read in one `REPEATABLE READ, READ ONLY` transaction, whose snapshot further
//! connections share.
//!
//! | type | is compared as |
//! |---|---|
//! | integers, `oid` | integers |
//! | `float4` | the double that its shortest text stands for, since that text is what other stores were given |
//! | `numeric`, `money` | decimals, `NaN` and infinities included; of `money` the number, since its text depends on a language |
//! | `char(n)` | text, with the blanks that the server hands out |
//! | enums, domains | the label; what the domain is made of |
//! | arrays, composite types | JSON documents as `to_json` makes them, where NULL and the document `null` are one; an array that does not begin at 1 is a string |
//! | `date` after the year 999999, `time` `24:00:00` | text that equals no date and no time |
//! | `timetz`, `interval`, `inet`, ranges, bits, `xml`, `tsvector`, geometry and all others | the text that the server makes of them, with settings that do not depend on server or role |

use super::{Options, Schemas, Source, about::Fact};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Shape},
    schema::Table,
};
use catalog::{Catalog, Relation};
use order::Way;
use scan::Scan;
use session::Session;
use std::{sync::Arc, time::Duration};
use woven::Woven;

mod catalog;
mod connect;
pub(super) mod declared;
mod decode;
mod failure;
mod form;
mod keys;
mod names;
mod numeric;
mod order;
mod query;
mod scan;
mod session;
mod statements;
mod straight;
mod workers;
mod woven;
mod write;

pub(super) use write::ROOM;
pub use write::Writer;

/// One Postgres database.
pub struct Postgres {
    session: Session,
    options: Options,
    catalog: Option<Arc<Catalog>>,
    /// Further sessions of the same snapshot, once a table was large enough for them.
    sessions: Vec<Session>,
}

impl Postgres {
    /// Connects as the settings or the environment say, and begins to see the database as it is now.
    ///
    /// # Errors
    /// If something is not said, or the server cannot be reached or refuses.
    pub fn open(options: &Options) -> Result<Postgres> {
        let session = Session::begin(connect::connect(options)?)?;
        Ok(Postgres { session, options: options.clone(), catalog: None, sessions: Vec::new() })
    }

    fn catalog(&mut self) -> Result<Arc<Catalog>> {
        if let Some(catalog) = &self.catalog {
            return Ok(Arc::clone(catalog));
        }
        let chosen = self.session.connection.schemas();
        // Aside, so that no lock on a table is kept.
        let load = || Catalog::load(&self.session, chosen, self.options.views);
        let catalog = Arc::new(self.session.aside(load)?);
        self.catalog = Some(Arc::clone(&catalog));
        Ok(catalog)
    }

    fn relation(&mut self, table: &Table) -> Result<Arc<Relation>> {
        let absent = || Error::new(Kind::Store, format_args!("there is no table `{}`", table.name));
        self.catalog()?.relations.get(&table.name).map(Arc::clone).ok_or_else(absent)
    }

    /// Found aside, so that no lock is kept.
    fn way(&self, scan: &Scan, table: &Table) -> Result<Way> {
        self.session.aside(|| Way::find(&self.session, scan, table))
    }

    /// Opens as many further sessions as may read this table at once.
    fn share(&mut self, relation: &Relation) -> Result<Option<u64>> {
        if self.options.threads < 2 || !relation.ranged(&self.session) {
            return Ok(None);
        }
        let pages = self.session.aside(|| order::pages(&self.session, relation))?;
        if pages < 2 * workers::PAGES {
            return Ok(None);
        }
        while self.sessions.len() + 1 < self.options.threads {
            let Some(session) = self.session.again()? else { return Ok(None) };
            self.sessions.push(session);
        }
        Ok(Some(pages))
    }
}

impl Source for Postgres {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.catalog()?.tables.clone())
    }

    fn hidden(&mut self, table: &Table) -> Result<Vec<String>> {
        Ok(self.relation(table)?.hidden.clone())
    }

    fn schemas(&mut self) -> Result<Schemas> {
        Ok(self.catalog()?.schemas.clone())
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let relation = self.relation(table)?;
        let scan = Scan::new(&relation, table, shape)?;
        let way = self.way(&scan, table)?;
        let pages = if matches!(way, Way::Heap | Way::Woven) { self.share(&relation)? } else { None };
        let read = |feed: &mut dyn Feed| match pages {
            Some(pages) => workers::read(&scan, &self.session, &self.sessions, pages, feed),
            None => scan.read(&self.session, &way, feed),
        };
        if way != Way::Woven {
            return read(feed);
        }
        let mut woven = Woven::new(feed, shape);
        read(&mut woven)?;
        woven.end().map(drop)
    }

    fn cascades(&mut self, table: &Table) -> Result<Vec<String>> {
        let (relation, catalog) = (self.relation(table)?, self.catalog()?);
        catalog.cascades(&self.session, &relation)
    }

    fn keeps_order(&mut self, table: &Table, shape: &Shape) -> Result<bool> {
        let relation = self.relation(table)?;
        let scan = Scan::new(&relation, table, &Arc::new(shape.clone()))?;
        Ok(self.way(&scan, table)? != Way::Heap)
    }

    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        let relation = self.relation(table)?;
        let scan = Scan::new(&relation, table, shape)?;
        if scan.of_keys(&self.session, keys, feed)? {
            return Ok(());
        }
        scan.read(&self.session, &Way::Heap, feed)
    }

    fn refresh(&mut self) -> Result<()> {
        self.sessions.clear();
        self.catalog = None;
        self.session.renew()
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        let chosen = self.session.connection.schemas();
        let schemas = if chosen.is_empty() { &self.session.facts.schemas } else { chosen };
        query::about(&self.session, schemas)
    }

    fn name(&self) -> Option<String> {
        Some(self.session.connection.name())
    }

    fn query(&mut self, sql: &str) -> Result<Vec<String>> {
        query::ask(&self.session, sql)
    }

    fn time(&mut self, sql: &str, now: &dyn Fn() -> Duration) -> Result<Duration> {
        query::time(&self.session, sql, now)
    }

    fn again(&self) -> Result<Option<Box<dyn Source>>> {
        let Some(session) = self.session.again()? else { return Ok(None) };
        let (options, catalog) = (self.options.clone(), self.catalog.clone());
        Ok(Some(Box::new(Postgres { session, options, catalog, sessions: Vec::new() })))
    }

    fn speaks_sql(&self) -> bool {
        true
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.session.connection.notes();
        notes.extend(self.catalog.iter().flat_map(|it| it.notes.iter().cloned()));
        notes
    }
}
