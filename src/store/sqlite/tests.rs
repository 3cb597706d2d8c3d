//! Both ways to read a table give the same rows.

use super::*;
use crate::row::Field;
use proptest::{prelude::*, test_runner::RngSeed};
use rusqlite::types::Value as Stored;

/// The bytes of every row and where its cells end; stops after so many batches.
struct Taken {
    rows: Vec<(Vec<u8>, Vec<u32>, bool)>,
    batches: usize,
    stop: usize,
}

impl Feed for Taken {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        assert!(!batch.is_empty());
        self.rows.extend(batch.rows().map(|it| (it.bytes().to_vec(), it.ends().collect(), it.is_odd())));
        batch.clear();
        self.batches += 1;
        Ok(if self.batches == self.stop { Flow::Stop } else { Flow::Continue })
    }
}

fn store(connection: Connection) -> Sqlite {
    Sqlite::nameless(connection, Path::new("here"), true, Vec::new()).unwrap()
}

fn scanned(store: &mut Sqlite, name: &str, cast: &Cast, stop: usize) -> Taken {
    let table = store.tables().unwrap().into_iter().find(|it| it.name == name).unwrap();
    let fields: Vec<Field> = table.columns.iter().map(|it| Field::new(it.name.clone(), cast.clone())).collect();
    let shape = Shape { key: 1, compared: fields.len(), fields, keyless: false };
    let mut taken = Taken { rows: Vec::new(), batches: 0, stop };
    store.scan(&table, &Arc::new(shape), &mut taken).unwrap();
    taken
}

fn stored() -> impl Strategy<Value = Stored> {
    prop_oneof![
        Just(Stored::Null),
        any::<i64>().prop_map(Stored::Integer),
        any::<f64>().prop_map(Stored::Real),
        (-99_999_999_i64..99_999_999).prop_map(|it| Stored::Real(it as f64 / 100.0)),
        ".{0,12}".prop_map(Stored::Text),
        "2024-0[0-9]-3?[0-9][T ]1[0-9]:[0-6][0-9]:00(\\.[0-9]{1,9})?Z?".prop_map(Stored::Text),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Stored::Blob),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_and_its_view_hold_the_same(
        rows in proptest::collection::vec([stored(), stored(), stored()], 0..20),
        ty in 0..Type::ALL.len(),
        encoding in prop_oneof![Just("UTF-8"), Just("UTF-16le"), Just("UTF-16be")],
    ) {
        let connection = Connection::open_in_memory().unwrap();
        let made = format!(
            "PRAGMA encoding = '{encoding}'; CREATE TABLE t (a, b NUMERIC, c REAL, d AS (coalesce(a, b)));
             CREATE VIEW v AS SELECT * FROM t; CREATE VIEW apart AS SELECT DISTINCT a FROM t;"
        );
        connection.execute_batch(&made).unwrap();
        for row in &rows {
            connection.execute("INSERT INTO t VALUES (?, ?, ?)", row.each_ref()).unwrap();
        }
        let apart = connection.query_row("SELECT count(*) FROM apart", [], |it| it.get::<_, i64>(0)).unwrap();
        let (mut store, cast) = (store(connection), Cast::new(Type::ALL[ty]));
        let table = scanned(&mut store, "t", &cast, 0).rows;
        prop_assert_eq!(table.len(), rows.len());
        prop_assert_eq!(table, scanned(&mut store, "v", &cast, 0).rows);
        prop_assert_eq!(scanned(&mut store, "apart", &cast, 0).rows.len() as i64, apart);
    }
}

#[test]
fn a_table_comes_in_batches_and_stops_when_told() {
    let connection = Connection::open_in_memory().unwrap();
    let rows = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
                INSERT INTO t SELECT n, hex(zeroblob(200)) FROM n";
    for made in ["CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID", rows, "CREATE VIEW v AS SELECT * FROM t"] {
        connection.execute(made, []).unwrap();
    }
    let mut store = store(connection);
    let cast = Cast::new(Type::Text);
    for stop in [0, 1, 2] {
        let (table, view) = (scanned(&mut store, "t", &cast, stop), scanned(&mut store, "v", &cast, stop));
        assert!(table.batches > 1 || stop == 1);
        assert_eq!((table.batches, table.rows), (view.batches, view.rows), "stop at {stop}");
    }
    let called = store.query("SELECT cutover_take()").unwrap_err().to_string();
    assert!(called.contains("no such function"), "{called}");
}

#[test]
fn a_table_may_have_more_columns_than_a_function_takes() {
    let connection = Connection::open_in_memory().unwrap();
    for width in [1000, 1001] {
        let names: Vec<String> = (0..width).map(|it| format!("c{it}")).collect();
        let made = format!(
            "CREATE TABLE t{width} ({0}); INSERT INTO t{width} (c0, c{1}) VALUES (1, 2)",
            names.join(", "),
            width - 1
        );
        connection.execute_batch(&made).unwrap();
    }
    let mut store = store(connection);
    for (name, width) in [("t1000", 1000), ("t1001", 1001)] {
        let rows = scanned(&mut store, name, &Cast::new(Type::Int), 0).rows;
        assert_eq!((rows.len(), rows[0].1.len(), rows[0].0.len()), (1, width, 18 + width - 2));
    }
}

#[test]
fn a_schema_cannot_take_rows() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)").unwrap();
    connection.execute_batch("CREATE VIEW v AS SELECT cutover_take(a) AS a FROM t").unwrap();
    let mut store = Sqlite::nameless(connection, Path::new("here"), false, Vec::new()).unwrap();
    assert_eq!(scanned(&mut store, "t", &Cast::new(Type::Int), 0).rows.len(), 2);
    let refused = store.connection.prepare("SELECT * FROM v").unwrap_err().to_string();
    assert!(refused.contains("no such function"), "{refused}");
}
