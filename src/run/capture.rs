//! `capture`: a store's rows, sorted and checksummed, in a snapshot folder.

use super::{Run, Watch};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    snapshot::{self, Meta, TableWriter, Writer},
    sort::RowSorter,
    store::Source,
    value::{Value, cast::Cast, cell, write_uuid},
};
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// What is not to be readable in a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// Table and column.
    pub columns: BTreeSet<(String, String)>,
    /// With a key, values become keyed hashes and still compare. Without one they all become the same text.
    pub key: Option<[u8; 32]>,
}

/// Captures every table of `store`. What comes back is the number of rows.
///
/// # Errors
/// If the store fails, a table cannot be read, a masked column is not there, or the snapshot cannot be written.
pub fn capture(
    run: &Run,
    store: &mut dyn Source,
    folder: &Path,
    mut meta: Meta,
    options: snapshot::Options,
    masks: &Masks,
) -> Result<u64> {
    let tables = store.tables()?;
    masks.check(&tables)?;
    meta.notes.extend(store.notes());
    meta.notes.extend(masks.columns.iter().map(|(table, column)| format!("`{table}.{column}` is masked")));
    let mut writer = Writer::create(folder, meta, options)?;
    tables.iter().for_each(|it| run.watch.expect(it.rows_about.unwrap_or(0)));
    let mut rows = 0;
    for table in tables {
        if let Some(why) = &table.unreadable {
            let message = format!("table `{}` cannot be captured: it is {why}", table.name);
            return Err(Error::new(Kind::Store, message));
        }
        rows += match one(run, store, &mut writer, &table, masks) {
            // A guessed or declared key order that the rows do not keep: the same again, sorted.
            Err(it) if it.kind() == Kind::Order => sorted(run, store, &mut writer, &table, masks)?,
            result => result?,
        };
    }
    if let Some(why) = store.torn()? {
        return Err(Error::new(Kind::Store, format_args!("this is no state of the store to keep: {why}")));
    }
    writer.finish()?;
    Ok(rows)
}

fn one(run: &Run, store: &mut dyn Source, writer: &mut Writer, table: &Table, masks: &Masks) -> Result<u64> {
    let shape = snapshot::shape(table);
    let mut rows = writer.table(table, &shape)?;
    let mut feed = Masked { watch: &run.watch, places: masks.places(table, &shape), masks, next: &mut rows };
    match store.scan(table, &shape, &mut feed) {
        Ok(()) => rows.finish(),
        Err(error) => {
            rows.discard()?;
            Err(error)
        }
    }
}

fn sorted(run: &Run, store: &mut dyn Source, writer: &mut Writer, table: &Table, masks: &Masks) -> Result<u64> {
    let shape = snapshot::shape(table);
    let mut rows = writer.table(table, &shape)?;
    let mut sorting = Sorting { sorter: RowSorter::new(run.share(48)) };
    let mut feed = Masked { watch: &run.watch, places: masks.places(table, &shape), masks, next: &mut sorting };
    store.scan(table, &shape, &mut feed)?;
    sorting.sorter.drain(Batch::new(Arc::clone(&shape)), &mut rows as &mut TableWriter<'_>)?;
    rows.finish()
}

impl Masks {
    /// Looks whether each column that is to be masked is there: one that is misspelt would be shown.
    ///
    /// # Errors
    /// If one is not.
    pub fn check(&self, tables: &[Table]) -> Result<()> {
        for (table, column) in &self.columns {
            let known = tables.iter().any(|it| it.name == *table && it.column(column).is_some());
            if !known {
                let message = format!("there is no column `{table}.{column}` to mask, and nothing was read");
                return Err(Error::new(Kind::Usage, message));
            }
        }
        Ok(())
    }

    /// Whether a column is not to be readable.
    pub fn hide(&self, table: &str, column: &str) -> bool {
        self.columns.iter().any(|it| it.0 == table && it.1.eq_ignore_ascii_case(column))
    }

    fn places(&self, table: &Table, shape: &Shape) -> Vec<usize> {
        (0..shape.width()).filter(|&it| self.hide(&table.name, &shape.fields[it].column)).collect()
    }

    fn text(&self, cell: &[u8]) -> String {
        let Some(key) = &self.key else { return "********".to_owned() };
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::keyed_hash(key, cell).as_bytes()[..16]);
        let mut text = b"masked:".to_vec();
        write_uuid(&hash, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Replaces what is secret before anything else sees the rows.
struct Masked<'f> {
    watch: &'f Watch,
    places: Vec<usize>,
    masks: &'f Masks,
    next: &'f mut dyn Feed,
}

impl Feed for Masked<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.watch.read(batch.len() as u64)?;
        if self.places.is_empty() {
            return self.next.take(batch);
        }
        let mut masked = Batch::new(Arc::clone(batch.shape()));
        let key = batch.shape().key;
        for row in batch.rows() {
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for place in 0..batch.shape().width() {
                let cell = row.cell(place);
                if self.places.contains(&place) && cell != [cell::tag::NULL] {
                    Cast::default().write(Value::Text(&self.masks.text(cell)), place < key, &mut bytes);
                } else {
                    bytes.extend_from_slice(cell);
                }
                ends.push(bytes.len() as u32);
            }
            masked.push_cells(&bytes, ends.into_iter(), row.is_odd());
        }
        batch.clear();
        self.next.take(&mut masked)
    }
}

struct Sorting {
    sorter: RowSorter,
}

impl Feed for Sorting {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.sorter.add(batch)?;
        batch.clear();
        Ok(Flow::Continue)
    }
}
