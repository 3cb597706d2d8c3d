//! What is written to a Postgres server.

use crate::postgres::Database;
use cutover::{
    error::{Error, Kind, Result},
    plan::Setting,
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    store::{
        self, Options, Source,
        about::Fact,
        settings::Settings,
        target::{self, Begin, Changes, Mark, Target, Written},
    },
    value::{Value, cast::Cast},
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

mod broken;
mod made;
mod rows;
mod setup;
mod types;

fn options(url: &str) -> Options {
    let given = BTreeMap::from([("url".to_owned(), Setting::Text(url.to_owned()))]);
    Options { settings: Settings::new(given, Arc::new(|_| None)), ..Options::default() }
}

/// Does not wait long for locks.
fn hasty(url: &str) -> String {
    format!("{url}?options=-c%20lock_timeout%3D100")
}

fn open(url: &str) -> Box<dyn Target> {
    target::open("postgres", Path::new(""), &options(url)).expect("the server lets us in")
}

fn source(database: &Database) -> Box<dyn Source> {
    store::open("postgres", Path::new(""), &options(&database.url())).expect("the server lets us in")
}

fn tables(database: &Database) -> Vec<Table> {
    source(database).tables().expect("the catalogs can be read")
}

fn table(database: &Database, name: &str) -> Table {
    tables(database).into_iter().find(|it| it.name == name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// All columns, each as its own type, the key in front. A table without a key gives rows that have none.
fn shape(table: &Table) -> Arc<Shape> {
    let others = (0..table.columns.len()).filter(|it| !table.key.contains(it));
    let fields = table.key.iter().copied().chain(others).map(|it| &table.columns[it]);
    let fields: Vec<Field> = fields.map(|it| Field::new(it.name.clone(), Cast::new(it.ty))).collect();
    let keyless = table.key.is_empty();
    let key = if keyless { fields.len() } else { table.key.len() };
    Arc::new(Shape { key, compared: fields.len(), fields, keyless })
}

struct All(Batch);

impl Feed for All {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        batch.rows().for_each(|it| self.0.push_row(it));
        batch.clear();
        Ok(Flow::Continue)
    }
}

/// All rows of tables, each in a shape that may be another table's.
fn read_all(database: &Database, wanted: &[(&Table, Arc<Shape>)]) -> Vec<Batch> {
    let mut store = source(database);
    let read = |(table, shape): &(&Table, Arc<Shape>)| {
        let mut all = All(Batch::new(Arc::clone(shape)));
        store.scan(table, shape, &mut all).expect("the table can be read");
        all.0
    };
    wanted.iter().map(read).collect()
}

/// The rows as bytes, in order.
fn sorted(batch: &Batch) -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = batch.rows().map(|it| it.bytes().to_vec()).collect();
    rows.sort();
    rows
}

fn batch(shape: &Arc<Shape>, rows: &[&[Value<'_>]]) -> Batch {
    let mut batch = Batch::new(Arc::clone(shape));
    rows.iter().for_each(|row| batch.push(row.iter().copied()));
    batch
}

/// What is to be done to one table.
#[derive(Default)]
struct Work {
    inserts: Option<Batch>,
    updates: Option<Batch>,
    deletes: Option<Batch>,
}

impl Work {
    fn write(&self, target: &mut dyn Target, table: &Table, number: u64) -> Result<Written> {
        let all = [&self.inserts, &self.updates, &self.deletes];
        let shape = all.iter().find_map(|it| it.as_ref().map(|it| Arc::clone(it.shape()))).expect("there is work");
        let none = Batch::new(shape);
        let [inserts, updates, deletes] = all.map(|it| it.as_ref().unwrap_or(&none));
        let mark = Mark { run: "run", batch: number };
        target.write(&Changes { table, inserts, updates, deletes, mark })
    }
}

fn inserts(batch: Batch) -> Work {
    Work { inserts: Some(batch), ..Work::default() }
}

fn updates(batch: Batch) -> Work {
    Work { updates: Some(batch), ..Work::default() }
}

fn deletes(batch: Batch) -> Work {
    Work { deletes: Some(batch), ..Work::default() }
}

fn begin(target: &mut dyn Target, tables: &[Table], disable_indexes: bool) -> Vec<Fact> {
    target.begin(&Begin { tables, disable_indexes }).expect("it can be written to")
}

fn counted(inserted: u64, updated: u64, deleted: u64) -> Written {
    Written { inserted, updated, deleted }
}

fn refused(done: Result<Written>, kind: Kind, said: &[&str]) {
    let error: Error = done.expect_err("it is refused");
    assert_eq!(error.kind(), kind, "{error}");
    said.iter().for_each(|it| assert!(error.to_string().contains(it), "{it}: {error}"));
    assert!(!error.to_string().contains("s3cret"), "{error}");
}
