//! Stores that can be written to.
//!
//! A run decides beforehand, from a comparison, which rows are inserted, updated or deleted. A [`Target`] only carries that
//! out: each call of [`Target::write`] arrives whole or not at all, and may be made again if nobody knows whether it did.

use super::{
    Options, Source,
    about::Fact,
    d1, edge_config,
    files::{self, write::FileTarget},
    http, kv,
    memory::{Memory, Owned},
    pace::Cost,
    postgres,
    script::{Edit, Frame},
    sqlite::{self, write::SqliteTarget},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Shape},
    schema::Table,
};
use std::{collections::BTreeMap, fs, iter, path::Path, sync::Arc};

/// A store that can be written to.
///
/// What the kinds of error of its methods mean to a run:
///
/// | kind | what is known | what a run does |
/// |---|---|---|
/// | [`Kind::Busy`] | nothing of it was written, and it may go through later | waits, then tries again |
/// | [`Kind::Unsure`] | the answer was lost: all of it was written, or nothing | asks for the [`Target::mark`], or tries again |
/// | [`Kind::Row`] | the store refuses some row of it; nothing of it was written | tries halves, until it knows which row |
/// | any other | nothing of it was written, and nothing will be | ends |
pub trait Target: Send {
    /// How much goes into one batch of that table.
    fn room(&self, table: &Table) -> Room;

    /// What requests it takes to write so much. Nothing, where a store is not asked by requests.
    fn cost(&self, work: Work) -> Option<Cost> {
        let _ = work;
        None
    }

    /// What tells this store from every other one, in words that show no secret: two runs that name the same one write to the
    /// same place.
    fn fingerprint(&self) -> String;

    /// Makes tables that are not there, as these statements say.
    ///
    /// # Errors
    /// If the store takes no statements, or refuses one; then none of them was carried out.
    fn create(&mut self, schema: &str) -> Result<()> {
        let _ = schema;
        Err(Error::new(Kind::Plan, "this store has no schema; leave `schema` out of the target"))
    }

    /// Comes before the first batch. What it says is worth keeping, such as how to go back to the state before.
    ///
    /// # Errors
    /// If the store cannot be written to.
    fn begin(&mut self, begin: &Begin<'_>) -> Result<Vec<Fact>>;

    /// Begins one transaction for all that is made and written until [`Target::keep`], with the tables that `schema` makes. Without that,
    /// none of it ever was. Whether it did: only where the store holds no rows at all, so that nobody waits for some of them meanwhile.
    /// Nobody else may read then, so `release` is called before, which has to let go of it.
    ///
    /// # Errors
    /// If `release` fails, somebody else reads, the store cannot be written to, or the tables cannot be made.
    fn hold(&mut self, schema: Option<&str>, release: &mut dyn FnMut() -> Result<()>) -> Result<bool> {
        let _ = (schema, release);
        Ok(false)
    }

    /// Keeps what was written since [`Target::hold`].
    ///
    /// # Errors
    /// If it cannot; then none of it is there.
    fn keep(&mut self) -> Result<()> {
        Ok(())
    }

    /// Writes a batch, whole or not at all. To write the same again changes nothing.
    ///
    /// # Errors
    /// As the table above says.
    fn write(&mut self, changes: &Changes<'_>) -> Result<Written>;

    /// The number of the last batch of that table which arrived in that run. Nothing, where the store keeps no marks: who
    /// needs to know reads the rows.
    ///
    /// # Errors
    /// If the store cannot be asked.
    fn mark(&mut self, run: &str, table: &str) -> Result<Option<u64>>;

    /// Another writer, for tables that are written while this one writes to others, begun as this one was. Nothing, where only one may
    /// write at a time or more of them are of no use.
    ///
    /// # Errors
    /// If the store cannot be reached once more.
    fn again(&self) -> Result<Option<Box<dyn Target>>> {
        Ok(None)
    }

    /// Whether several such writers may add rows to that table at once, in any order.
    fn may_share(&self, table: &Table) -> bool {
        let _ = table;
        false
    }

    /// What stands around a script of statements that its own client runs. Nothing, where the store speaks no SQL.
    fn frame(&self) -> Option<Frame> {
        None
    }

    /// One change to a row of that shape as a statement, in whole lines; empty, where it changes nothing.
    ///
    /// # Errors
    /// If a column cannot hold a value, or the store speaks no SQL.
    fn statement(&mut self, table: &Table, shape: &Arc<Shape>, edit: Edit<'_>) -> Result<String> {
        let _ = (shape, edit);
        Err(Error::new(Kind::Plan, format_args!("table `{}`: this store speaks no SQL", table.name)))
    }

    /// Statements that belong after rows were inserted into a table.
    ///
    /// # Errors
    /// If the store cannot say.
    fn closing(&mut self, table: &Table) -> Result<Vec<String>> {
        let _ = table;
        Ok(Vec::new())
    }

    /// Comes after the last batch, also of a run that failed: puts back what [`Target::begin`] took away.
    ///
    /// # Errors
    /// If it cannot.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    /// Removes what this tool left in the store beside the rows. Whether there was anything.
    ///
    /// # Errors
    /// If it cannot.
    fn clean(&mut self) -> Result<bool> {
        Ok(false)
    }
}

/// How much goes into one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Rows that are good for speed, where nobody says another number.
    pub rows: usize,
    /// Rows that it may be at most.
    pub rows_max: usize,
    /// Bytes of cells that it may be at most.
    pub bytes_max: usize,
}

/// How much there is to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Batches, about.
    pub batches: u64,
    /// Rows in them that are there already and get other values.
    pub updates: u64,
}

/// What is going to be written.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'b> {
    /// The tables, as the store declares them, in the order in which they will be written to.
    pub tables: &'b [Table],
    /// Whether secondary indexes may be dropped meanwhile; [`Target::end`] makes them again.
    pub disable_indexes: bool,
}

/// Changes to one table that arrive together. The batches are of one shape: its key comes first, and its other fields are the
/// columns that are written. Where the shape has no key, all of its fields stand in for one.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'c> {
    /// The table as the store declares it.
    pub table: &'c Table,
    /// Rows that are not there. One whose key is there by now is left as it is.
    pub inserts: &'c Batch,
    /// Rows that are there and get these values. One whose key is gone is not made again.
    pub updates: &'c Batch,
    /// Rows to delete; only their key cells matter. Of several equal rows without a key, one goes for each.
    pub deletes: &'c Batch,
    /// Stands in the store afterwards, if it can keep such a thing.
    pub mark: Mark<'c>,
}

/// How far a run is in one table. A store keeps it with the rows, in a table called [`MARKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<'m> {
    /// The run.
    pub run: &'m str,
    /// Counts the batches of the table from 1.
    pub batch: u64,
}

/// The table in which SQL stores keep marks. It is no table of the user's, so no store lists it.
pub const MARKS: &str = "_cutover";

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
}

impl Written {
    /// Adds what became of another batch.
    pub fn add(&mut self, other: Written) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
    }
}

/// Opens the store of that kind for writing. Only files are made where there is nothing yet.
///
/// # Errors
/// As [`super::open`], and if that kind of store cannot be written to, or not by this user.
pub fn open(kind: &str, path: &Path, options: &Options) -> Result<Box<dyn Target>> {
    Ok(match kind {
        "sqlite" => Box::new(SqliteTarget::open(path)?),
        "postgres" => Box::new(postgres::Writer::open(options)?),
        "d1" => Box::new(d1::write::Writer::open(options)?),
        "json" | "ndjson" | "csv" => Box::new(FileTarget::open(kind, path, &options.files)?),
        "d1-local" => Box::new(SqliteTarget::open_d1(path, options)?),
        "edge-config" => Box::new(edge_config::write::Writer::open(options)?),
        "http" => Box::new(http::write::Writer::open(options)?),
        "kv" => Box::new(kv::write::Writer::open(options)?),
        "kv-local" => Box::new(kv::local_write::Writer::open(path, options)?),
        _ => {
            let what = format_args!("a store of the kind `{kind}` cannot be written to; name another target");
            return Err(Error::new(Kind::Plan, what));
        }
    })
}

/// How much goes into one batch of a table of a store of that kind, which nobody opens for that: to open a store for writing may
/// change it, or make it. Nothing, where it cannot be written to.
pub fn room(kind: &str, table: &Table) -> Option<Room> {
    Some(match kind {
        "sqlite" | "d1-local" => sqlite::write::ROOM,
        "postgres" => postgres::ROOM,
        "d1" => d1::write::room(table),
        "json" | "ndjson" | "csv" => files::write::ROOM,
        "edge-config" => edge_config::write::ROOM,
        "http" => http::write::ROOM,
        "kv" => kv::write::ROOM,
        "kv-local" => kv::local_write::ROOM,
        _ => return None,
    })
}

/// What requests it takes to write so much to a store of that kind, at a rate that somebody said or that is allowed. Nothing,
/// where it is not asked by requests.
pub fn cost(kind: &str, work: Work, rate: Option<f64>) -> Option<Cost> {
    match kind {
        "d1" => Some(d1::write::cost(work, rate)),
        "edge-config" => Some(edge_config::write::cost(work, rate)),
        "http" => Some(http::write::cost(work, rate)),
        "kv" => Some(kv::write::cost(work, rate)),
        _ => None,
    }
}

/// What a store will hold once a file of statements is carried out.
pub struct Declared {
    /// Its tables, without rows.
    pub store: Box<dyn Source>,
    /// Those of them that are there already, and what the store calls them until then. Nothing: as their names say.
    pub there: Option<BTreeMap<String, String>>,
}

/// What a file of statements makes in a store of that kind. Postgres itself is asked, in a transaction that is rolled back.
///
/// # Errors
/// If a statement is refused, or the server cannot be reached.
pub fn declared(kind: &str, schema: &Path, options: &Options) -> Result<Declared> {
    if kind != "postgres" {
        let store = super::open("d1-export", schema, &Options::default())?;
        return Ok(Declared { store, there: None });
    }
    let text = fs::read_to_string(schema).map_err(|it| Error::new(Kind::Plan, it))?;
    let future = postgres::Writer::open(options)?.would_be(&text)?;
    let empty = |store: Memory, table: Table| store.with(table, iter::empty::<[Owned; 0]>());
    let store = future.tables.into_iter().fold(Memory::new().of(future.schemas), empty);
    Ok(Declared { store: Box::new(store), there: Some(future.there) })
}

/// What tells the store of that kind from every other one, also where it is not there yet.
///
/// # Errors
/// As [`open`].
pub fn fingerprint(kind: &str, path: &Path, options: &Options) -> Result<String> {
    // To open a file that is not there would make it.
    match path.as_os_str().is_empty() || path.exists() {
        true => open(kind, path, options).map(|it| it.fingerprint()),
        false => on_disk(kind, path),
    }
}

/// The fingerprint of a store that is a file or a folder.
///
/// # Errors
/// If the folder that it is in is not there.
pub(super) fn on_disk(kind: &str, path: &Path) -> Result<String> {
    let failed = |it: std::io::Error| Error::new(Kind::Store, format_args!("{}: {it}", path.display()));
    let absolute = match path.canonicalize() {
        Ok(it) => it,
        Err(_) => {
            let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
            parent.canonicalize().map_err(failed)?.join(path.file_name().unwrap_or_default())
        }
    };
    Ok(format!("{kind}:{}", absolute.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kind_takes_is_what_its_targets_take() {
        let (folder, table, work) =
            (tempfile::tempdir().expect("a folder"), Table::new("t"), Work { batches: 3, updates: 1 });
        for (kind, name) in [("sqlite", "t.db"), ("json", "t.json"), ("ndjson", "t.ndjson"), ("csv", "t.csv")] {
            let target = open(kind, &folder.path().join(name), &Options::default()).unwrap_or_else(|it| panic!("{it}"));
            assert_eq!(room(kind, &table), Some(target.room(&table)), "{kind}");
            assert_eq!(cost(kind, work, None).is_some(), target.cost(work).is_some(), "{kind}");
        }
        for kind in ["d1", "d1-local", "edge-config", "http", "kv", "kv-local", "postgres"] {
            assert!(room(kind, &table).is_some_and(|it| it.rows > 0 && it.rows <= it.rows_max), "{kind}");
        }
        assert_eq!(room("d1-export", &table), None, "it is only read");
    }
}
