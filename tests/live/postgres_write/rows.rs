//! Which rows are written, and which stop a batch.

use super::{Work, batch, begin, counted, deletes, inserts, open, refused, shape, table, updates};
use crate::postgres;
use cutover::{
    error::Kind,
    row::{Field, Shape},
    value::{Type, Value, cast::Cast},
};
use std::sync::Arc;

fn pair(shape: &Arc<Shape>, rows: &[(i64, &str)]) -> cutover::row::Batch {
    let mut all = batch(shape, &[]);
    rows.iter().for_each(|it| all.push([Value::Int(it.0), Value::Text(it.1)]));
    all
}

#[test]
fn a_batch_arrives_once() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'theirs'), (5, 'old'), (6, 'gone')",
    );
    let t = table(&database, "t");
    let of = shape(&t);
    let mut target = open(&database.url());
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    let work = Work {
        inserts: Some(pair(&of, &[(1, "ours"), (2, "two"), (3, "three")])),
        updates: Some(pair(&of, &[(5, "new"), (7, "none")])),
        deletes: Some(pair(&of, &[(6, "?"), (8, "?")])),
    };
    assert_eq!(work.write(target.as_mut(), &t, 1).expect("it is written"), counted(2, 1, 1));
    let expect = "1|theirs\n2|two\n3|three\n5|new";
    assert_eq!(database.execute("SELECT * FROM t ORDER BY id"), expect);
    assert_eq!(target.mark("run", "t").expect("a mark"), Some(1));
    assert_eq!(target.mark("another", "t").expect("a mark"), Some(0));
    assert_eq!(work.write(target.as_mut(), &t, 2).expect("it is written"), counted(0, 1, 0));
    assert_eq!(database.execute("SELECT * FROM t ORDER BY id"), expect);
    assert_eq!(target.mark("run", "t").expect("a mark"), Some(2));
}

#[test]
fn a_clash_beside_the_key_stops_the_batch() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text CONSTRAINT v_once UNIQUE); INSERT INTO t VALUES (1, 's3cret')",
    );
    let t = table(&database, "t");
    let of = shape(&t);
    let mut target = open(&database.url());
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    for rows in [&[(2, "two"), (3, "s3cret")][..], &[(1, "one"), (3, "s3cret")]] {
        refused(inserts(pair(&of, rows)).write(target.as_mut(), &t, 1), Kind::Row, &["v_once", "(v)", "`t`"]);
    }
    assert_eq!(database.execute("SELECT * FROM t"), "1|s3cret");
    assert_eq!(target.mark("run", "t").expect("a mark"), Some(0));
    // What goes makes room for what comes.
    let work =
        Work { inserts: Some(pair(&of, &[(3, "s3cret")])), deletes: Some(pair(&of, &[(1, "")])), ..Work::default() };
    assert_eq!(work.write(target.as_mut(), &t, 1).expect("it is written"), counted(1, 0, 1));
}

#[test]
fn a_key_that_is_not_declared_is_one_all_the_same() {
    let database = postgres::database();
    database.execute("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'theirs'), (NULL, 'null')");
    let t = table(&database, "t");
    let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("v", Cast::new(Type::Text))];
    let of = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
    let mut target = open(&database.url());
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    let rows = batch(
        &of,
        &[
            &[Value::Null, Value::Text("ours")],
            &[Value::Int(1), Value::Text("ours")],
            &[Value::Int(2), Value::Text("ours")],
        ],
    );
    assert_eq!(inserts(rows.clone()).write(target.as_mut(), &t, 1).expect("it is written"), counted(1, 0, 0));
    assert_eq!(database.execute("SELECT * FROM t ORDER BY id"), "1|theirs\n2|ours\n|null");
    assert_eq!(updates(rows.clone()).write(target.as_mut(), &t, 2).expect("it is written"), counted(0, 3, 0));
    assert_eq!(database.execute("SELECT count(*) FROM t WHERE v = 'ours'"), "3");
    assert_eq!(deletes(rows).write(target.as_mut(), &t, 3).expect("it is written"), counted(0, 0, 3));
}

#[test]
fn equal_rows_without_a_key_are_counted() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (a int, b text, c json);
         INSERT INTO t SELECT 1, NULL, '{\"b\": 1,  \"a\": 2}' FROM generate_series(1, 4); INSERT INTO t VALUES (1, NULL, NULL)",
    );
    let t = table(&database, "t");
    let (of, mut target) = (shape(&t), open(&database.url()));
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    let row = |document| [Value::Int(1), Value::Null, document];
    let (full, empty) = (row(Value::Json(r#"{"a":2,"b":1}"#)), row(Value::Null));
    let gone = batch(&of, &[&full, &empty, &full, &empty]);
    assert_eq!(deletes(gone).write(target.as_mut(), &t, 1).expect("it is written"), counted(0, 0, 3));
    assert_eq!(database.execute("SELECT count(*), count(c) FROM t"), "2|2");
    assert_eq!(
        inserts(batch(&of, &[&full, &full])).write(target.as_mut(), &t, 2).expect("it is written"),
        counted(2, 0, 0)
    );
    assert_eq!(database.execute("SELECT count(*), count(c) FROM t"), "4|4");
}

#[test]
fn references_may_come_before_what_they_refer_to() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE parent (id int PRIMARY KEY);
         CREATE TABLE child (id int PRIMARY KEY, up int CONSTRAINT up_there REFERENCES child DEFERRABLE, p int REFERENCES parent DEFERRABLE)",
    );
    let child = table(&database, "child");
    let (of, mut target) = (shape(&child), open(&database.url()));
    begin(target.as_mut(), std::slice::from_ref(&child), false);
    let rows = |up: i64| {
        batch(&of, &[&[Value::Int(1), Value::Int(up), Value::Null], &[Value::Int(2), Value::Null, Value::Null]])
    };
    refused(inserts(rows(3)).write(target.as_mut(), &child, 1), Kind::Row, &["up_there", "23503"]);
    assert_eq!(database.execute("SELECT count(*) FROM child"), "0");
    assert_eq!(inserts(rows(2)).write(target.as_mut(), &child, 1).expect("it is written"), counted(2, 0, 0));
}

#[test]
fn what_the_server_numbers_works_out_or_spreads() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, v text, l int GENERATED ALWAYS AS (length(v)) STORED, PRIMARY KEY (id))
            PARTITION BY RANGE (id);
         CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (99);
         CREATE TABLE u (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY); INSERT INTO u VALUES (1, DEFAULT);
         CREATE SEQUENCE shared; CREATE TABLE w (id bigint PRIMARY KEY DEFAULT nextval('shared')); SELECT setval('shared', 900)",
    );
    let [t, u, w] = ["t", "u", "w"].map(|it| table(&database, it));
    let mut target = open(&database.url());
    let facts = begin(target.as_mut(), &[t.clone(), u.clone(), w.clone()], false);
    let said: Vec<&str> = facts.iter().filter(|it| it.what == "sequences").map(|it| it.says.as_str()).collect();
    assert!(
        said.len() == 4 && said[0].contains(r#"public.t_id_seq is set behind the largest "id" of `t`"#),
        "{facts:?}"
    );
    let rows = |second: i64| {
        let row = |id: i64| [Value::Int(id), Value::Text("abc"), Value::Int(7)];
        batch(&shape(&t), &[&row(3), &row(second)])
    };
    assert_eq!(inserts(rows(20)).write(target.as_mut(), &t, 1).expect("it is written"), counted(2, 0, 0));
    assert_eq!(inserts(rows(21)).write(target.as_mut(), &t, 2).expect("it is written"), counted(1, 0, 0));
    refused(inserts(rows(500)).write(target.as_mut(), &t, 3), Kind::Row, &["23514"]);
    assert_eq!(database.execute("SELECT * FROM t ORDER BY id"), "3|abc|3\n20|abc|3\n21|abc|3");
    assert_eq!(deletes(rows(21)).write(target.as_mut(), &t, 3).expect("it is written"), counted(0, 0, 2));
    let of = shape(&u);
    let number = |n: i64| batch(&of, &[&[Value::Int(1), Value::Int(n)]]);
    refused(updates(number(9)).write(target.as_mut(), &u, 1), Kind::Row, &["`n` is GENERATED ALWAYS"]);
    assert_eq!(updates(number(1)).write(target.as_mut(), &u, 1).expect("it is written"), counted(0, 0, 0));
    inserts(batch(&of, &[&[Value::Int(40), Value::Int(50)]])).write(target.as_mut(), &u, 2).expect("it is written");
    inserts(batch(&shape(&w), &[&[Value::Int(7)]])).write(target.as_mut(), &w, 1).expect("it is written");
    target.end().expect("it ends");
    target.end().expect("it ends again");
    let next = "INSERT INTO t (v) VALUES ('x') RETURNING id; INSERT INTO u DEFAULT VALUES RETURNING id, n; INSERT INTO w DEFAULT VALUES RETURNING id";
    assert_eq!(database.execute(next), "21\n41|51\n901");
}

#[test]
fn rows_that_something_keeps_out_are_found() {
    let database = postgres::database();
    database.execute(
        "CREATE EXTENSION citext; CREATE TABLE c (id citext PRIMARY KEY, v text); INSERT INTO c VALUES ('A', 'theirs');
         CREATE TABLE t (id int PRIMARY KEY, v text);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.v = 'no' THEN RETURN NULL; ELSIF NEW.v = 'raise' THEN RAISE 'this one is not welcome'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER keep BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let [c, t] = ["c", "t"].map(|it| table(&database, it));
    let mut target = open(&database.url());
    let facts = begin(target.as_mut(), &[c.clone(), t.clone()], false);
    assert!(facts.iter().any(|it| it.what == "triggers" && it.says.contains("`keep` of `t`")), "{facts:?}");
    let of = shape(&c);
    let row: &[Value<'_>] = &[Value::Text("a"), Value::Text("ours")];
    refused(inserts(batch(&of, &[row])).write(target.as_mut(), &c, 1), Kind::Row, &["row 1", "kept out"]);
    assert_eq!(updates(batch(&of, &[row])).write(target.as_mut(), &c, 1).expect("it is written"), counted(0, 0, 0));
    assert_eq!(deletes(batch(&of, &[row])).write(target.as_mut(), &c, 1).expect("it is written"), counted(0, 0, 0));
    let of = shape(&t);
    refused(inserts(pair(&of, &[(1, "yes"), (2, "no")])).write(target.as_mut(), &t, 1), Kind::Row, &["kept out"]);
    refused(inserts(pair(&of, &[(1, "yes"), (2, "raise")])).write(target.as_mut(), &t, 1), Kind::Row, &["welcome"]);
    assert_eq!(database.execute("SELECT count(*) FROM t"), "0");
}
