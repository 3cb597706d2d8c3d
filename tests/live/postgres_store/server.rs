//! Questions, and what a server may do to those who read.

use super::{cutover, open, rows, shape, table, url_of};
use crate::postgres::{self, Database};
use cutover::{
    error::{Kind, Result},
    row::{Batch, Feed, Flow},
    store::about::Level,
};
use std::{cell::Cell, time::Duration};

#[test]
fn questions() {
    let database = postgres::database();
    database.execute(
        "CREATE SEQUENCE s; CREATE TABLE t (id int, v numeric, w text); INSERT INTO t VALUES (1, 10.50, 'x'), (2, NULL, E'y\"');",
    );
    let mut store = open(&database.url());
    for (sql, expect) in [
        ("SELECT count(*) FROM t", &["2"][..]),
        ("SELECT v, id FROM t ORDER BY id DESC;", &["null", "10.5"]),
        ("WITH a AS (SELECT w FROM t ORDER BY id) SELECT * FROM a -- words", &[r#""x""#, r#""y\"""#]),
        ("VALUES (true), (false)", &["true", "false"]),
        ("SELECT to_jsonb(t) FROM t WHERE id = 1", &[r#"{"id":1,"v":10.50,"w":"x"}"#]),
        ("EXPLAIN SELECT count(*) FROM t", &[]),
        ("SELECT 1 WHERE false", &[]),
    ] {
        assert_eq!(store.query(sql).unwrap_or_else(|it| panic!("{sql}: {it}")), expect, "{sql}");
    }
    for (sql, why) in [
        ("SELECT 1; SELECT 2", "42601"),
        ("SELECT 1) AS a(b); COMMIT; SELECT (1", "42601"),
        ("DELETE FROM t RETURNING 1", "42601"),
        ("WITH d AS (DELETE FROM t RETURNING id) SELECT id FROM d", "0A000"),
        ("SELECT set_config('transaction_read_only', 'off', false)", "25001"),
        ("SELECT nextval('s')", "25006"),
        ("EXPLAIN ANALYZE SELECT 1", "42601"),
        ("EXPLAIN SELECT nothing FROM t", "42703"),
        ("COMMIT", "42601"),
        ("", "42601"),
    ] {
        let error = store.query(sql).expect_err(sql);
        assert!(error.to_string().contains(why) && error.kind() == Kind::Plan, "{sql}: {error:?}");
    }
    // A clock that is looked at twice: before and after the one request.
    let looks = Cell::new(0);
    let now = || Duration::from_secs(looks.replace(looks.get() + 1));
    assert_eq!(store.time("SELECT count(*) FROM t", &now).expect("a time"), Duration::from_secs(1));
    assert!(store.time("DELETE FROM t RETURNING 1", &now).is_err());
    assert_eq!(rows(store.as_mut(), "t").len(), 2);
    // A few functions write where only reading is allowed. Nothing of it stays.
    assert!(store.query("SELECT lo_create(0)").is_ok_and(|it| it.len() == 1));
    drop(store);
    assert_eq!(database.execute("SELECT count(*) FROM pg_largeobject_metadata"), "0");
}

#[test]
fn what_is_said_about_a_server() {
    let database = postgres::database();
    let role = format!("{}_role", database.name());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN; CREATE TABLE t (id int); CREATE TABLE u (id int); GRANT SELECT ON t TO {role};
         ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
    ));
    let facts = open(&database.url()).about().expect("facts");
    let level = |what: &str| facts.iter().find(|it| it.what == what).map(|it| it.level);
    assert_eq!(level("version"), Some(Level::Good));
    assert_eq!(level("role"), Some(Level::Note), "{facts:?}");
    assert_eq!(level("read-only"), Some(Level::Note), "{facts:?}");
    assert_eq!(level("access"), Some(Level::Good), "{facts:?}");
    let facts = open(&url_of(&database, &role)).about().expect("facts");
    let level = |what: &str| facts.iter().find(|it| it.what == what).map(|it| it.level);
    assert_eq!(level("role"), Some(Level::Good), "{facts:?}");
    assert_eq!(level("access"), Some(Level::Bad), "{facts:?}");
    assert_eq!(level("row-level security"), Some(Level::Bad), "{facts:?}");
    assert_eq!(level("read-only"), None, "{facts:?}");
}

/// Ends the connection that reads, once rows have come.
struct Killer<'d> {
    database: &'d Database,
    done: bool,
}

impl Feed for Killer<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        batch.clear();
        if !self.done {
            self.done = true;
            let killed = self.database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cutover'",
            );
            assert_eq!(killed, "t");
        }
        Ok(Flow::Continue)
    }
}

#[test]
fn a_lost_connection_is_no_shorter_table() {
    let database = postgres::database();
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, repeat('v', 1000) FROM generate_series(1, 100000) AS n;");
    let mut store = open(&database.url());
    let t = table(store.as_mut(), "t");
    let mut killer = Killer { database: &database, done: false };
    let error = store.scan(&t, &shape(&t), &mut killer).expect_err("the connection is gone");
    assert_eq!(error.kind(), Kind::Store);
    assert!(error.to_string().contains("public.t"), "{error}");
}

#[test]
fn what_the_server_refuses_is_told_with_its_code() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (0);
         CREATE FUNCTION share(int) RETURNS int LANGUAGE sql AS 'SELECT 1 / $1'; CREATE VIEW v AS SELECT public.share(id) AS v FROM t",
    );
    let (code, _, complaint) = cutover(&["diff", "--views", &database.url(), &database.url()]);
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("SQLSTATE 22012") && complaint.contains("public.v"), "{complaint}");
}
