//! In which order and by how many tables are read, and that all see one state.

use super::{Collected, open, open_with, options, rows, shape, table};
use crate::postgres;
use cutover::{
    error::Result,
    row::{Batch, Feed, Flow},
    store::Source,
};

/// Stops after the first batch.
struct Enough;

impl Feed for Enough {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        batch.clear();
        Ok(Flow::Stop)
    }
}

fn keeps_order(store: &mut dyn Source, name: &str) -> bool {
    let table = table(store, name);
    store.keeps_order(&table, &shape(&table)).expect("the server says")
}

fn is_sorted(store: &mut dyn Source, name: &str) -> bool {
    let table = table(store, name);
    let mut keys = Keys { last: Vec::new(), sorted: true };
    store.scan(&table, &shape(&table), &mut keys).expect("the table can be read");
    keys.sorted
}

struct Keys {
    last: Vec<u8>,
    sorted: bool,
}

impl Feed for Keys {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for row in batch.rows() {
            self.sorted &= self.last.as_slice() < row.key();
            self.last = row.key().to_vec();
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

#[test]
fn the_order_of_a_key_is_used_where_it_is_ours() {
    let database = postgres::database();
    database.execute(
        "CREATE COLLATION german (provider = icu, locale = 'de');
         CREATE TABLE lies (id bigint PRIMARY KEY, v text); INSERT INTO lies SELECT n, 'v' FROM generate_series(1, 20000) AS n;
         CREATE TABLE moved (id bigint PRIMARY KEY, v text); INSERT INTO moved SELECT n, 'v' FROM generate_series(1, 20000) AS n;
         UPDATE moved SET v = 'w' WHERE id % 1000 = 1;
         CREATE TABLE mixed (id uuid PRIMARY KEY, v text); INSERT INTO mixed SELECT md5(n::text)::uuid, repeat('v', 500) FROM generate_series(1, 20000) AS n;
         CREATE TABLE bytes (id text COLLATE \"C\" PRIMARY KEY); INSERT INTO bytes SELECT lpad(n::text, 8, '0') FROM generate_series(1, 20000) AS n;
         CREATE TABLE words (id text COLLATE german PRIMARY KEY); INSERT INTO words SELECT lpad(n::text, 8, '0') FROM generate_series(1, 20000) AS n;
         ANALYZE;",
    );
    database.execute("SELECT pg_stat_force_next_flush()");
    let mut store = open(&database.url());
    for (name, keeps) in [("lies", true), ("moved", true), ("bytes", true), ("words", false)] {
        assert_eq!(keeps_order(store.as_mut(), name), keeps, "{name}");
        assert_eq!(is_sorted(store.as_mut(), name), keeps || name == "words", "{name}");
    }
    // Whichever the server thinks is quicker, what is said is what comes.
    let said = keeps_order(store.as_mut(), "mixed");
    assert_eq!(is_sorted(store.as_mut(), "mixed"), said);
}

#[test]
fn the_number_of_readers_does_not_show() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, repeat('v', 400) FROM generate_series(1, 40000) AS n;
         UPDATE t SET v = 'changed' WHERE id % 7 = 0;
         CREATE TABLE keyless (v text); INSERT INTO keyless SELECT repeat('k', 400) || n FROM generate_series(1, 40000) AS n;",
    );
    let one = rows(open(&database.url()).as_mut(), "keyless");
    assert_eq!(one.len(), 40_000);
    for threads in [2, 3, 8] {
        let mut options = options(&database.url(), &[]);
        options.threads = threads;
        let mut store = open_with(&options);
        assert!(rows(store.as_mut(), "keyless") == one, "{threads} readers");
        assert_eq!(rows(store.as_mut(), "t").len(), 40_000, "{threads} readers");
        // Nobody listens to the end.
        let keyless = table(store.as_mut(), "keyless");
        store.scan(&keyless, &shape(&keyless), &mut Enough).expect("an early end is no error");
        assert!(rows(store.as_mut(), "keyless") == one, "{threads} readers");
    }
}

#[test]
fn an_index_that_leads_all_over_the_table_is_not_followed() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id uuid PRIMARY KEY); INSERT INTO t SELECT md5(n::text)::uuid FROM generate_series(1, 20000) AS n;
         CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s SELECT n FROM generate_series(1, 20000) AS n; ANALYZE;",
    );
    let mut store = open(&database.url());
    assert!(!keeps_order(store.as_mut(), "t"));
    assert!(keeps_order(store.as_mut(), "s"));
}

/// The server may have sent everything when it is asked to stop, and what is asked next must not be stopped instead.
#[test]
fn an_early_end_ends_nothing_else() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (v text); INSERT INTO t SELECT repeat('v', 400) || n FROM generate_series(1, 1500) AS n",
    );
    let mut store = open(&database.url());
    let t = table(store.as_mut(), "t");
    for _ in 0..40 {
        store.scan(&t, &shape(&t), &mut Enough).expect("an early end is no error");
        assert_eq!(rows(store.as_mut(), "t").len(), 1500);
    }
}

#[test]
fn all_readers_see_one_state() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'old' FROM generate_series(1, 3) AS n;",
    );
    let mut first = open(&database.url());
    let old = rows(first.as_mut(), "t");
    database.execute(
        "UPDATE t SET v = 'new' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'new'); VACUUM t",
    );
    let mut second = first.again().expect("another connection").expect("snapshots are shared");
    assert_eq!(rows(first.as_mut(), "t"), old);
    assert_eq!(rows(second.as_mut(), "t"), old);
    let mut third = second.again().expect("another connection").expect("snapshots are shared");
    assert_eq!(rows(third.as_mut(), "t"), old);
    first.refresh().expect("it can be looked at again");
    let mut new = rows(first.as_mut(), "t");
    new.sort();
    assert_eq!(new, [r#"int 1, text "new""#, r#"int 3, text "old""#, r#"int 9, text "new""#]);
    assert_eq!(rows(second.as_mut(), "t"), old);
}

#[test]
fn an_early_end_does_not_spoil_the_transaction() {
    let database = postgres::database();
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, repeat('v', 900) FROM generate_series(1, 50000) AS n;");
    let mut store = open(&database.url());
    let t = table(store.as_mut(), "t");
    for _ in 0..5 {
        store.scan(&t, &shape(&t), &mut Enough).expect("an early end is no error");
        assert_eq!(store.query("SELECT count(*) FROM t").expect("an answer"), ["50000"]);
    }
    assert_eq!(rows(store.as_mut(), "t").len(), 50_000);
}

#[test]
fn an_index_that_lost_rows_is_found() {
    let database = postgres::database();
    // The index is told to be valid although it was made of a part of the rows.
    database.execute(
        "CREATE TABLE t (id int NOT NULL, v text); INSERT INTO t SELECT 50000 - n, 'v' FROM generate_series(1, 50000) AS n;
         CREATE UNIQUE INDEX i ON t (id) WHERE id <> 7;
         UPDATE pg_index SET indpred = NULL WHERE indexrelid = 'i'::regclass; ANALYZE t;",
    );
    let mut store = open(&database.url());
    assert!(keeps_order(store.as_mut(), "t"));
    let t = table(store.as_mut(), "t");
    let lost = store.scan(&t, &shape(&t), &mut Collected::default()).expect_err("a row is missing").to_string();
    assert!(lost.contains("50000") && lost.contains("49999") && lost.contains("REINDEX"), "{lost}");
    let (code, report, complaint) = super::cutover(&["diff", &database.url(), &database.url()]);
    assert_eq!(code, Some(2), "{report}{complaint}");
}

/// As above, but with the rows in the order of the key: where they lie so, the index is not asked.
#[test]
fn rows_that_lie_in_order_need_no_index() {
    let database = postgres::database();
    let fill = |table: &str, order: &str| {
        database.execute(&format!(
            "CREATE TABLE {table} (id int NOT NULL, v text);
             INSERT INTO {table} SELECT n, repeat('v', 90) FROM generate_series(1, 50000) AS n ORDER BY {order};
             CREATE UNIQUE INDEX {table}_i ON {table} (id) WHERE id <> 7;
             UPDATE pg_index SET indpred = NULL WHERE indexrelid = '{table}_i'::regclass; ANALYZE {table};"
        ));
    };
    // One row comes much too early, others a little too late.
    fill("t", "CASE WHEN n = 3000 THEN 10 WHEN n % 100 = 0 THEN n + 50.5 ELSE n END");
    // Two put down 5,000 each, some at a time.
    fill("w", "n / 10000, n % 5000 / 20, n");
    // Without statistics nobody knows.
    fill("x", "n / 10000, n % 5000 / 20, n");
    database.execute("DELETE FROM pg_statistic WHERE starelid = 'x'::regclass");
    // Each has many greater ones before it.
    fill("u", "n / 1000, md5(n::text)");
    let mut store = open(&database.url());
    for name in ["t", "w", "x"] {
        assert!(is_sorted(store.as_mut(), name), "{name}");
        assert_eq!(rows(store.as_mut(), name).len(), 50_000, "{name}");
    }
    let mut options = options(&database.url(), &[]);
    options.threads = 2;
    assert!(is_sorted(open_with(&options).as_mut(), "w"));
    let u = table(store.as_mut(), "u");
    let lost = store.scan(&u, &shape(&u), &mut Collected::default()).expect_err("a row is missing").to_string();
    assert!(lost.contains("REINDEX"), "{lost}");
    // The statistics do not know yet what came since, and nothing of it lies in a spot that is looked at.
    database.execute(
        "DROP TABLE u; INSERT INTO t VALUES (-1, 'late'); INSERT INTO t SELECT n, repeat('v', 90) FROM generate_series(50001, 80000) AS n",
    );
    store.refresh().expect("it can be looked at again");
    assert!(keeps_order(store.as_mut(), "t") && !is_sorted(store.as_mut(), "t"));
    let (code, report, complaint) = super::cutover(&["diff", &database.url(), &database.url()]);
    assert_eq!(code, Some(0), "{report}{complaint}");
    assert!(report.contains("80,001"), "{report}");
}

#[test]
fn a_table_that_was_emptied_meanwhile_is_not_empty() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
         CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1);
         CREATE TABLE u (id int PRIMARY KEY, v int); INSERT INTO u VALUES (1, 2);",
    );
    let mut store = open(&database.url());
    // To look at a table keeps nobody from altering it.
    assert_eq!(rows(store.as_mut(), "t"), ["int 1", "int 2"]);
    database.execute("TRUNCATE t; TRUNCATE p1; ALTER TABLE u ALTER v TYPE bigint");
    for name in ["t", "p", "u"] {
        let table = table(store.as_mut(), name);
        let error = store.scan(&table, &shape(&table), &mut Collected::default()).expect_err(name).to_string();
        assert!(error.contains("run again"), "{error}");
    }
    store.refresh().expect("it can be looked at again");
    assert!(rows(store.as_mut(), "t").is_empty());
    assert_eq!(rows(store.as_mut(), "u"), ["int 1, int 2"]);
}

#[test]
fn keys_are_read_again() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE one (id int PRIMARY KEY, v text); INSERT INTO one SELECT n, 'v' FROM generate_series(1, 5000) AS n;
         CREATE TABLE two (a text, b timestamptz, c uuid, v text, PRIMARY KEY (a, b, c));
         INSERT INTO two SELECT 'a''' || n, timestamptz '2024-01-01' + n * interval '1.5 s', md5(n::text)::uuid, 'v' FROM generate_series(1, 3000) AS n;
         INSERT INTO two VALUES ('far', '12000-01-01', md5('far')::uuid, 'v');
         CREATE TABLE three (id numeric PRIMARY KEY); INSERT INTO three VALUES (1.50), ('NaN'), ('Infinity'), (1e30);
         CREATE TABLE four (id bytea PRIMARY KEY); INSERT INTO four VALUES ('\\x00ff'), ('');
         CREATE TABLE five (id date PRIMARY KEY); INSERT INTO five VALUES ('infinity'), ('2024-02-29'), ('0044-03-15 BC'), ('5874897-12-31');
         CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE TABLE six (id mood PRIMARY KEY); INSERT INTO six VALUES ('sad'), ('so so');",
    );
    let mut store = open(&database.url());
    for name in ["one", "two", "three", "four", "five", "six"] {
        let table = table(store.as_mut(), name);
        let shape = shape(&table);
        let mut keys = Some(Batch::new(std::sync::Arc::new(cutover::row::Shape {
            fields: shape.fields[..shape.key].to_vec(),
            key: shape.key,
            compared: shape.key,
            keyless: false,
        })));
        let mut all = Every(keys.take().expect("just made"), shape.key);
        store.scan(&table, &shape, &mut all).expect("the table can be read");
        let mut some = Collected::default();
        store.scan_keys(&table, &shape, &all.0, &mut some).expect("the rows can be read");
        let (mut expect, mut read) = (rows(store.as_mut(), name), some.0);
        expect.sort();
        read.sort();
        assert_eq!(read, expect, "{name}");
    }
}

/// Keeps the keys.
struct Every(Batch, usize);

impl Feed for Every {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for row in batch.rows() {
            let mut scratch = vec![Vec::new(); self.1];
            let values: Vec<_> =
                scratch.iter_mut().enumerate().map(|(place, scratch)| row.value(place, scratch)).collect();
            self.0.push(values);
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

#[test]
fn keys_that_no_row_can_have() {
    let database = postgres::database();
    database.execute("CREATE TABLE t (id smallint PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);");
    let mut store = open(&database.url());
    let t = table(store.as_mut(), "t");
    let shape = shape(&t);
    let mut keys = Batch::new(std::sync::Arc::clone(&shape));
    for text in ["2", "70000", "99999999999999999999", "abc"] {
        keys.push([cutover::value::Value::Text(text)]);
    }
    let mut some = Collected::default();
    store.scan_keys(&t, &shape, &keys, &mut some).expect("the rows can be read");
    assert_eq!(some.0, ["int 2"]);
}
