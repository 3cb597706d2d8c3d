//! Where rows live. One file or folder per kind of store; nothing outside this folder knows their names.

use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Shape},
    schema::Table,
};
use about::Fact;
use files::FileOptions;
use settings::Settings;
use std::{path::Path, sync::Arc, time::Duration};

pub mod about;
mod affinity;
mod cloudflare;
pub mod d1;
pub mod document;
pub mod edge_config;
pub mod files;
pub mod http;
pub mod local_storage;
pub mod kv;
pub mod memory;
pub mod pace;
pub mod postgres;
mod pragmas;
pub mod script;
pub mod settings;
pub mod snapshot;
pub mod sql;
pub mod sqlite;
pub mod target;
pub mod web;
pub mod wrangler;

/// A store that can be read.
pub trait Source: Send {
    /// The tables as the store declares them, in an order that does not change from call to call.
    ///
    /// # Errors
    /// If the store cannot say.
    fn tables(&mut self) -> Result<Vec<Table>>;

    /// Columns of a table that are there and may not be read, so that nothing else is known of them.
    ///
    /// # Errors
    /// If the store cannot say.
    fn hidden(&mut self, table: &Table) -> Result<Vec<String>> {
        let _ = table;
        Ok(Vec::new())
    }

    /// The schemas that these tables are in. None, where a store has no such thing.
    ///
    /// # Errors
    /// If the store cannot say.
    fn schemas(&mut self) -> Result<Schemas> {
        Ok(Schemas::default())
    }

    /// Reads every row of `table` and hands the cells that `shape` asks for to `feed`.
    ///
    /// The store tries to come in the order of the shape's key, where that costs it nothing. It promises no order: who needs
    /// one checks it and sorts.
    ///
    /// # Errors
    /// If the store fails, a field names a column that is not there, or `feed` fails.
    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()>;

    /// Whether [`Source::scan`] can be expected to come in the order of the shape's key. Where it cannot, the rows are
    /// sorted from the start, which saves the attempt.
    ///
    /// # Errors
    /// If the store cannot say.
    fn keeps_order(&mut self, table: &Table, shape: &Shape) -> Result<bool> {
        let _ = (table, shape);
        Ok(true)
    }

    /// Reads the rows that have one of `keys`, whose rows hold the key cells of `shape` alone. It may hand out others too:
    /// who wants just these looks.
    ///
    /// # Errors
    /// As [`Source::scan`].
    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        let _ = keys;
        self.scan(table, shape, feed)
    }

    /// What removing rows of `table` may remove or change elsewhere that [`Source::tables`] does not tell: foreign keys that
    /// cascade, from tables that are not read or by an equality that is not ours. Each for people.
    ///
    /// # Errors
    /// If the store cannot say.
    fn cascades(&mut self, table: &Table) -> Result<Vec<String>> {
        let _ = table;
        Ok(Vec::new())
    }

    /// Lets go of whatever keeps others from writing while nothing is read. [`Source::refresh`] comes before the next scan.
    ///
    /// # Errors
    /// If the store fails.
    fn release(&mut self) -> Result<()> {
        Ok(())
    }

    /// Lets go of the state that was read so far. From now on the store is read as it is now.
    ///
    /// # Errors
    /// If it cannot be looked at again.
    fn refresh(&mut self) -> Result<()> {
        Err(Error::new(Kind::Store, "this store cannot be looked at again"))
    }

    /// What can be said about the store and about what this reader may do there, for people. Nothing secret.
    ///
    /// # Errors
    /// If it cannot be reached.
    fn about(&mut self) -> Result<Vec<Fact>> {
        Ok(Vec::new())
    }

    /// What a report calls it, where neither a plan nor a command line says: never a secret.
    fn name(&self) -> Option<String> {
        None
    }

    /// The first column of the rows that a query gives, each as canonical JSON text, for witnesses.
    ///
    /// # Errors
    /// If the store does not speak SQL, the query is not read-only, or it fails.
    fn query(&mut self, sql: &str) -> Result<Vec<String>> {
        let _ = sql;
        Err(Error::new(Kind::Plan, "this store does not speak SQL; write the check as a jq expression"))
    }

    /// How long [`Source::query`] takes from the question to the whole answer, by a clock that `now` reads. What this reader does
    /// beside it, and an application would not, does not count.
    ///
    /// # Errors
    /// As [`Source::query`].
    fn time(&mut self, sql: &str, now: &dyn Fn() -> Duration) -> Result<Duration> {
        let start = now();
        self.query(sql)?;
        Ok(now().saturating_sub(start))
    }

    /// Why what was read so far may be no state that the store ever was in, such as writes between two pages. Then nothing
    /// that was read can pass.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn torn(&mut self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Another reader of the very same state, for tables to be read side by side. Nothing, where the store cannot promise that
    /// it is the same state.
    ///
    /// # Errors
    /// If it cannot be opened once more.
    fn again(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(None)
    }

    /// Whether [`Source::query`] answers.
    fn speaks_sql(&self) -> bool {
        false
    }

    /// What a reader of the report has to know about this store, such as what a file format cannot carry.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The places in `table` of the columns that `shape` reads, a field each.
///
/// # Errors
/// If a column is not there.
pub(crate) fn places(table: &Table, shape: &Shape) -> Result<Vec<usize>> {
    let place = |name: &str| {
        table
            .column(name)
            .ok_or_else(|| Error::new(Kind::Store, format_args!("table `{}` has no column `{name}`", table.name)))
    };
    shape.fields.iter().map(|it| place(&it.column)).collect()
}

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What is said about files.
    pub files: FileOptions,
    /// Views are tables too.
    pub views: bool,
    /// What is said about live stores, and where the rest is looked up.
    pub settings: Settings,
    /// Connections or requests that one store may have at once. 0: as many as the store's own reader finds good.
    pub threads: usize,
    /// Requests that one store may get in a second.
    pub rate: Option<f64>,
    /// Requests that Cloudflare may get from all stores opened with these options, where `rate` says nothing.
    pub supply: pace::Supply,
}

/// Opens the store of that kind, for reading only. The one place that knows all kinds. `path` is where a store on a disk
/// lies; a live store looks at the settings alone.
///
/// # Errors
/// If the kind is unknown, or the store is not there, locked, damaged or not of that kind.
pub fn open(kind: &str, path: &Path, options: &Options) -> Result<Box<dyn Source>> {
    Ok(match kind {
        "sqlite" => Box::new(sqlite::Sqlite::open(path, options.views)?),
        "d1-export" => {
            let loaded = files::d1_export::load(path)?;
            Box::new(sqlite::Sqlite::nameless(loaded.connection, path, options.views, loaded.notes)?)
        }
        "postgres" => Box::new(postgres::Postgres::open(options)?),
        "edge-config" => Box::new(edge_config::EdgeConfig::open(options)?),
        "local-storage" => Box::new(local_storage::LocalStorage::open(path, options)?),
        "d1" => Box::new(d1::D1::open(options)?),
        "d1-local" => Box::new(d1::local::open(path, options)?),
        "snapshot" => Box::new(snapshot::Snapshot::open(path)?),
        "http" => Box::new(http::Http::open(options)?),
        "json" | "ndjson" | "csv" | "edge-config-export" => files::open(kind, path, &options.files)?,
        "kv" => Box::new(kv::Kv::open(options)?),
        "kv-local" => Box::new(kv::local::KvLocal::open(path, options)?),
        _ => return Err(Error::new(Kind::Plan, format_args!("there is no kind of store called `{kind}`"))),
    })
}

/// The schemas of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schemas {
    /// Those whose tables are read. None: whatever there is.
    pub read: Vec<String>,
    /// The one that its tables are named without. Nothing, while there is no table: the only one that has some, or `public`.
    pub plain: Option<String>,
    /// The one that statements mean where they name none, if it is known.
    pub usual: Option<String>,
}

/// What a file of statements declares.
pub struct Declared {
    /// The tables, without rows. One of which something cannot be understood is `unreadable`, or `partial`.
    pub store: Box<dyn Source>,
    /// What was passed over, since its schema is not read.
    pub aside: Option<String>,
}

/// Reads what a file of statements declares for a store of that kind, whose tables are in these schemas. No store is asked.
///
/// # Errors
/// If the file cannot be read, or what it does to tables cannot be understood.
pub fn declared(kind: &str, path: &Path, schemas: &Schemas) -> Result<Declared> {
    match kind {
        "postgres" => postgres::declared::read(path, schemas),
        _ => Ok(Declared { store: open("d1-export", path, &Options::default())?, aside: None }),
    }
}

/// The kind of the store at `path`, by what it holds where that says it, else by its name.
///
/// # Errors
/// If there is nothing, or nothing that is known.
pub fn sniff(path: &Path) -> Result<&'static str> {
    files::sniff(path)?.ok_or_else(|| {
        let name = path.display();
        Error::new(Kind::Usage, format_args!("{name}: what kind of store is it? Write KIND:{name}, such as csv:{name}"))
    })
}
