//! What comes before the first batch and after the last one.

use super::{batch, begin, inserts, open, refused, shape, table};
use crate::postgres;
use cutover::{error::Kind, store::about::Level, value::Value};

#[test]
fn indexes_that_were_dropped_are_made_again_even_if_the_run_was_killed() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE, b text); CREATE INDEX plain ON t (b);
         CREATE INDEX \"Partial one\" ON t (lower(b)) WHERE id > 3; CREATE UNIQUE INDEX once ON t (b, id);
         CREATE INDEX told ON t (b, a); COMMENT ON INDEX told IS 'stays'",
    );
    let indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = 't' ORDER BY 1";
    let before = database.execute(indexes);
    let without = "SELECT count(*) FROM pg_indexes WHERE tablename = 't'";
    let t = table(&database, "t");
    let start = |disable| {
        let mut target = open(&database.url());
        let facts = begin(target.as_mut(), std::slice::from_ref(&t), disable);
        (target, facts)
    };
    let (_, facts) = start(true);
    assert!(facts.iter().any(|it| it.what == "indexes" && it.says.contains("public.plain")), "{facts:?}");
    assert_eq!(database.execute(without), "4");
    // Killed: nobody came to the end. The next run leaves them away too, and then ends.
    let (mut target, facts) = start(true);
    assert!(!facts.iter().any(|it| it.what == "indexes"), "{facts:?}");
    let row: &[Value<'_>] = &[Value::Int(1), Value::Text("a"), Value::Text("b")];
    inserts(batch(&shape(&t), &[row])).write(target.as_mut(), &t, 1).expect("it is written");
    assert_eq!(database.execute(without), "4");
    target.end().expect("it ends");
    assert_eq!(database.execute(indexes), before);
    assert_eq!(database.execute("SELECT count(*) FROM pg_stats WHERE tablename = 't'"), "3");
    // Killed again, and then begun without, or cleaned.
    drop(start(true));
    drop(start(false));
    assert_eq!(database.execute(indexes), before);
    drop(start(true));
    let mut target = open(&database.url());
    assert!(target.clean().expect("it is clean"));
    assert!(!target.clean().expect("it is clean"));
    assert_eq!(database.execute(indexes), before);
    assert_eq!(database.execute("SELECT to_regclass('_cutover') IS NULL"), "t");
}

#[test]
fn a_role_needs_rights() {
    let database = postgres::database();
    let role = format!("{}_writer", database.name());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE TABLE t (id serial PRIMARY KEY); CREATE INDEX i ON t (id);
         CREATE TABLE u (id int PRIMARY KEY); GRANT SELECT, INSERT ON t TO {role}; GRANT SELECT ON u TO {role}"
    ));
    let [t, u] = ["t", "u"].map(|it| table(&database, it));
    let mut target = open(&database.url().replacen("app@", &format!("{role}@"), 1));
    let facts = begin(target.as_mut(), &[t.clone(), u.clone()], true);
    for (what, said) in [
        ("marks", "GRANT CREATE ON SCHEMA"),
        ("indexes", "they stay"),
        ("sequences", "GRANT SELECT, UPDATE ON SEQUENCE"),
    ] {
        let said = facts.iter().any(|it| it.what == what && it.level == Level::Note && it.says.contains(said));
        assert!(said, "{what}: {facts:?}");
    }
    let row: &[Value<'_>] = &[Value::Int(1)];
    inserts(batch(&shape(&t), &[row])).write(target.as_mut(), &t, 1).expect("it is written");
    assert_eq!(target.mark("run", "t").expect("no mark"), None);
    let done = inserts(batch(&shape(&u), &[row])).write(target.as_mut(), &u, 1);
    refused(done, Kind::Store, &["42501", r#"GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."u""#]);
    target.end().expect("it ends");
}

#[test]
fn tables_are_made_all_or_none() {
    let database = postgres::database();
    database.execute("CREATE TABLE there (id int)");
    let mut target = open(&database.url());
    let schema = "-- A schema; with words.
        CREATE TYPE mood AS ENUM ('on', 'off;');
        CREATE TABLE IF NOT EXISTS there (id int, more int);
        CREATE INDEX there_id ON there (id);
        CREATE TABLE new (id int PRIMARY KEY, m mood DEFAULT 'off;', t int);
        ALTER TABLE ONLY new ADD CONSTRAINT positive CHECK (id > 0);
        COMMENT ON TABLE new IS 'it''s; new';
        CREATE UNIQUE INDEX ON new (t);
        CREATE VIEW seen AS SELECT * FROM new";
    target.create(schema).expect("it is made");
    target.create(schema).expect("it is there");
    assert_eq!(database.execute("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"), "2");
    assert_eq!(
        database.execute("SELECT count(*) FROM pg_attribute WHERE attrelid = 'there'::regclass AND attnum > 0"),
        "1"
    );
    for (schema, kind, said) in [
        ("CREATE TABLE a (id int); DROP TABLE there", Kind::Plan, "line 1 of the schema: only CREATE TABLE"),
        ("CREATE TABLE a (id int);\nCREATE TABLE b (id nothing)", Kind::Plan, "line 2 of the schema was refused"),
        ("CREATE TABLE a (id int); INSERT INTO there VALUES (1)", Kind::Plan, "only CREATE TABLE"),
        ("CREATE TABLE a (id int); COMMIT; CREATE TABLE b (id int)", Kind::Plan, "only CREATE TABLE"),
    ] {
        let error = target.create(schema).expect_err(schema);
        assert!(error.kind() == kind && error.to_string().contains(said), "{schema}: {error:?}");
    }
    assert_eq!(database.execute("SELECT to_regclass('a') IS NULL"), "t");
}

#[test]
fn a_target_is_known_by_what_is_no_secret() {
    let database = postgres::database();
    let name = open(&database.url().replacen("app@", "app:s3cret@", 1)).fingerprint();
    let system = database.execute("SELECT system_identifier FROM pg_control_system()");
    assert_eq!(name, format!("127.0.0.1:{}/{}, system {system}", database.server().port(), database.name()));
}
