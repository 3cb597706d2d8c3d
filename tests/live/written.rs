//! Rows that are written to a live target and read back.

use cutover::{
    error::Result,
    plan::Setting,
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    store::{
        Options, Source,
        settings::Settings,
        target::{Changes, Mark, Target, Written},
    },
    value::{Value, cast::Cast},
};
use std::{collections::BTreeMap, sync::Arc};

/// Settings of a store on this machine, which need not be spared.
pub(crate) fn options(given: &[(&str, &str)]) -> Options {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), Setting::Text((*value).to_owned())));
    let settings = Settings::new(given.collect::<BTreeMap<_, _>>(), Arc::new(|_: &str| None));
    Options { settings, rate: Some(1e6), ..Options::default() }
}

/// The columns of a table, the first ones its key; none: it is written to without one.
pub(crate) fn shape(columns: &[(&str, Cast)], key: usize) -> Arc<Shape> {
    let fields: Vec<Field> = columns.iter().map(|(name, cast)| Field::new(*name, cast.clone())).collect();
    let keyless = key == 0;
    Arc::new(Shape { key: if keyless { fields.len() } else { key }, compared: fields.len(), fields, keyless })
}

pub(crate) fn batch<'v>(shape: &Arc<Shape>, rows: impl IntoIterator<Item = Vec<Value<'v>>>) -> Batch {
    let mut batch = Batch::new(Arc::clone(shape));
    rows.into_iter().for_each(|it| batch.push(it));
    batch
}

/// What is done to a table in one go: inserts, updates, deletes.
pub(crate) fn write(
    target: &mut dyn Target,
    table: &Table,
    number: u64,
    [inserts, updates, deletes]: [&Batch; 3],
) -> Result<Written> {
    target.write(&Changes { table, inserts, updates, deletes, mark: Mark { run: "r", batch: number } })
}

pub(crate) fn insert(target: &mut dyn Target, table: &Table, number: u64, inserts: &Batch) -> Result<Written> {
    let none = Batch::new(Arc::clone(inserts.shape()));
    write(target, table, number, [inserts, &none, &none])
}

/// All rows of a table, in that shape, in the order of their bytes.
pub(crate) fn read(store: &mut dyn Source, table: &Table, shape: &Arc<Shape>) -> Vec<Vec<u8>> {
    let mut rows = Rows::default();
    store.scan(table, shape, &mut rows).expect("rows");
    rows.0.sort();
    rows.0
}

/// The same of rows at hand.
pub(crate) fn bytes(batch: &Batch) -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = batch.rows().map(|it| it.bytes().to_vec()).collect();
    rows.sort();
    rows
}

#[derive(Default)]
struct Rows(Vec<Vec<u8>>);

impl Feed for Rows {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.0.extend(batch.rows().map(|it| it.bytes().to_vec()));
        batch.clear();
        Ok(Flow::Continue)
    }
}
