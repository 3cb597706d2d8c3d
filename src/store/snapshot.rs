//! A snapshot as a store.

use super::{Source, about::Fact};
use crate::{
    error::Result,
    row::{Feed, Shape, pour},
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
        pour(&mut self.reader.rows_in(&table.name, shape)?, feed)
    }

    /// A snapshot never changes.
    fn refresh(&mut self) -> Result<()> {
        Ok(())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        let (store, rows) =
            (self.reader.store(), self.reader.tables().iter().filter_map(|it| it.rows_about).sum::<u64>());
        Ok(vec![
            Fact::new("version", crate::snapshot::FORMAT.to_owned()),
            Fact::new("of", format!("{} `{}`, captured at {}", store.kind, store.name, self.reader.captured())),
            Fact::new("size", format!("{rows} rows")),
            Fact::new("access", "opened for reading only; a snapshot never changes"),
        ])
    }

    fn notes(&self) -> Vec<String> {
        let store = self.reader.store();
        let captured = self.reader.captured();
        let note = format!("a snapshot of {} `{}`, captured at {captured}", store.kind, store.name);
        [note].into_iter().chain(self.reader.notes().iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Kind,
        row::{Batch, Field, Flow},
        schema::Column,
        snapshot::{self, Meta, Options, Store, Writer},
        value::{Type, Value, cast::Cast},
    };

    /// A snapshot of three rows: an integer as the key, and an instant.
    fn sample(folder: &Path) {
        let mut table = Table::new("users");
        table.columns = vec![Column::new("id", Type::Int), Column::new("seen", Type::Timestamp)];
        table.key = vec![0];
        let shape = snapshot::shape(&table);
        let mut batch = Batch::new(Arc::clone(&shape));
        for second in 1..=3 {
            let text = format!("2024-01-01T00:00:0{second}Z");
            batch.push([Value::Int(second), Value::Text(&text)]);
        }
        let store = Store { kind: "sqlite".into(), name: "site.db".into() };
        let meta = Meta { store, captured: "2026-01-02T03:04:05Z".into(), notes: vec!["email is masked".into()] };
        let mut writer = Writer::create(folder, meta, Options::default()).unwrap();
        let mut rows = writer.table(&table, &shape).unwrap();
        assert_eq!(rows.take(&mut batch).unwrap(), Flow::Continue);
        rows.finish().unwrap();
        writer.finish().unwrap();
    }

    struct Keep(Vec<Vec<u8>>);

    impl Feed for Keep {
        fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
            self.0.extend(batch.rows().map(|it| it.bytes().to_vec()));
            batch.clear();
            Ok(Flow::Continue)
        }
    }

    #[test]
    fn a_snapshot_is_read_in_any_shape() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("before");
        sample(&folder);
        let mut store = Snapshot::open(&folder).unwrap();
        let expect = ["a snapshot of sqlite `site.db`, captured at 2026-01-02T03:04:05Z", "email is masked"];
        assert_eq!(store.notes(), expect);
        let table = store.tables().unwrap().swap_remove(0);
        let fields = [("seen", Type::Text), ("ID", Type::Decimal), ("id", Type::Int)];
        let fields = fields.map(|(name, ty)| Field::new(name, Cast::new(ty))).to_vec();
        let asked = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
        let mut keep = Keep(Vec::new());
        store.scan(&table, &asked, &mut keep).unwrap();
        let mut expect = Batch::new(Arc::clone(&asked));
        for id in 1..=3 {
            expect.push([Value::Text(&format!("2024-01-01T00:00:0{id}Z")), Value::Int(id), Value::Int(id)]);
        }
        assert_eq!(keep.0, expect.rows().map(|it| it.bytes().to_vec()).collect::<Vec<_>>());
        let odd = Arc::new(Shape { fields: vec![Field::new("no", Cast::default())], ..Shape::default() });
        assert_eq!(store.scan(&table, &odd, &mut keep).unwrap_err().kind(), Kind::Store);
        assert_eq!(store.scan(&Table::new("no"), &asked, &mut keep).unwrap_err().kind(), Kind::Store);
    }
}
