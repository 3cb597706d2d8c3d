//! Every type: what is written reads back as the same cell, whichever way it went.

use super::{
    Work, batch, begin, counted, deletes, inserts, open, read_all, refused, shape, sorted, table, tables, updates,
};
use crate::{
    postgres,
    postgres_store::values::{TYPES, VALUES},
};
use cutover::{
    error::Kind,
    row::{Batch, Field, Shape},
    value::{Type, Value, cast::Cast},
};
use std::sync::Arc;

#[test]
fn what_is_written_reads_back() {
    let database = postgres::database();
    let mut sql = TYPES.to_owned();
    for (place, (ty, values)) in VALUES.iter().enumerate() {
        for name in ["from", "copied", "waited", "changed"] {
            sql += &format!("CREATE TABLE {name}{place} (n int PRIMARY KEY, v {ty});\n");
        }
        sql += &format!("CREATE TABLE repeated{place} (n int, v {ty});\n");
        for (n, (value, _)) in values.iter().enumerate() {
            sql += &format!("INSERT INTO from{place} VALUES ({n}, {value});\n");
        }
        sql += &format!("INSERT INTO waited{place} SELECT * FROM from{place} WHERE n = 0;\n");
        sql += &format!("INSERT INTO changed{place} SELECT n FROM from{place};\n");
        sql += &format!("INSERT INTO repeated{place} SELECT f.* FROM from{place} AS f, generate_series(1, 3);\n");
    }
    database.execute(&sql);
    let tables = tables(&database);
    let mut target = open(&database.url());
    begin(target.as_mut(), &tables, false);
    let named =
        |name: &str, place| &tables[tables.iter().position(|it| it.name == format!("{name}{place}")).expect(name)];
    let mut write = |name: &str, place: usize, work: Work, done| {
        let written = work.write(target.as_mut(), named(name, place), 1);
        let (ty, written) =
            (VALUES[place].0, written.unwrap_or_else(|it| panic!("{} in {name}: {it}", VALUES[place].0)));
        assert_eq!(written, done, "{ty} in {name}");
    };
    let places = || 0..VALUES.len();
    let keyed: Vec<Arc<Shape>> = places().map(|it| shape(named("from", it))).collect();
    let keyless: Vec<Arc<Shape>> = places().map(|it| shape(named("repeated", it))).collect();
    let read = |name: &str, shapes: &[Arc<Shape>]| {
        let wanted: Vec<_> = places().map(|it| (named(name, it), Arc::clone(&shapes[it]))).collect();
        read_all(&database, &wanted)
    };
    let (rows, once) = (read("from", &keyed), read("from", &keyless));
    for place in places() {
        let all = VALUES[place].1.len() as u64;
        write("copied", place, inserts(rows[place].clone()), counted(all, 0, 0));
        write("waited", place, inserts(rows[place].clone()), counted(all - 1, 0, 0));
        write("changed", place, updates(rows[place].clone()), counted(0, all, 0));
        let mut twice = once[place].clone();
        once[place].rows().for_each(|it| twice.push_row(it));
        write("repeated", place, deletes(twice), counted(0, 0, 2 * all));
    }
    for name in ["copied", "waited", "changed"] {
        for (place, read) in read(name, &keyed).iter().enumerate() {
            assert_eq!(sorted(read), sorted(&rows[place]), "{} in {name}", VALUES[place].0);
        }
    }
    for (place, read) in read("repeated", &keyless).iter().enumerate() {
        assert_eq!(sorted(read), sorted(&once[place]), "{} once", VALUES[place].0);
        write("repeated", place, inserts(once[place].clone()), counted(VALUES[place].1.len() as u64, 0, 0));
    }
    for (place, read) in read("repeated", &keyless).iter().enumerate() {
        assert_eq!(read.len(), 2 * once[place].len(), "{} again", VALUES[place].0);
    }
}

#[test]
fn what_a_column_cannot_hold_is_refused() {
    let database = postgres::database();
    database.execute(
        "CREATE TYPE mood AS ENUM ('on'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
         CREATE TABLE t (id int PRIMARY KEY, i smallint, n numeric(6,2), v varchar(3), c char(3), s timestamp(0), a numeric(4,1)[],
            net inet, m mood, p positive, d bit(3), j jsonb, e interval(0))",
    );
    let t = table(&database, "t");
    let mut target = open(&database.url());
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    let instant = cutover::value::time::Moment { seconds: 0, nanos: 500_000_000 };
    for (column, value, said) in [
        ("i", Value::Int(40_000), "column `i` is smallint"),
        ("n", Value::Decimal("1.234"), "numeric(6,2), and the value is a number: it would round"),
        ("n", Value::Decimal("12345"), "outside"),
        ("v", Value::Text("s3cret"), "character varying(3)"),
        ("v", Value::Text("a\0b"), "U+0000"),
        ("v", Value::Malformed(b"s3cret\xff"), "UTF-8"),
        ("c", Value::Text("ab"), "blanks"),
        ("s", Value::DateTime(instant), "round"),
        ("a", Value::Json("[1.25]"), "column `a` is numeric(4,1)[]"),
        ("a", Value::Json("[\"s3cret\"]"), "22P02"),
        ("net", Value::Text("10.0.0.1/32"), "column `net` is inet"),
        ("net", Value::Text("s3cret"), "22P02"),
        ("m", Value::Text("s3cret"), "22P02"),
        ("p", Value::Int(0), "positive_check"),
        ("d", Value::Text("1010"), "bit(3)"),
        ("j", Value::Json("1e5"), "exponent"),
        ("j", Value::Json("\"\\u0000\""), "22P05"),
        ("e", Value::Text("00:00:00.5"), "interval(0)"),
    ] {
        let ty = t.columns[t.column(column).expect("it is there")].ty;
        let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new(column, Cast::new(ty))];
        let narrow = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
        let row: &[Value<'_>] = &[Value::Int(1), value];
        refused(inserts(batch(&narrow, &[row])).write(target.as_mut(), &t, 1), Kind::Row, &[said]);
    }
    assert_eq!(database.execute("SELECT count(*) FROM t"), "0");
}

#[test]
fn other_encodings_are_kept() {
    let database = postgres::database();
    let server = database.server();
    for (name, encoding, bytes) in
        [("ascii", "SQL_ASCII", &b"caf\xe9"[..]), ("latin", "LATIN1", "caf\u{e9}".as_bytes())]
    {
        let name = format!("{}_{name}", database.name());
        server.execute(
            "postgres",
            &format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"),
        );
        server.execute(&name, "CREATE TABLE t (id int PRIMARY KEY, v text)");
        let mut store = cutover::store::open("postgres", std::path::Path::new(""), &super::options(&server.url(&name)));
        let t = store.as_mut().expect("the server lets us in").tables().expect("tables").remove(0);
        let (rows, mut target) = (|value| batch(&shape(&t), &[&[Value::Int(1), value]]), open(&server.url(&name)));
        let done = inserts(rows(Value::Raw(bytes))).write(target.as_mut(), &t, 1).expect("it fits");
        assert_eq!(done, counted(1, 0, 0));
        assert_eq!(
            server.execute(&name, "SELECT encode(convert_to(v, getdatabaseencoding()), 'hex') FROM t"),
            "636166e9"
        );
        if encoding == "LATIN1" {
            let wide: Batch = batch(&shape(&t), &[&[Value::Int(2), Value::Text("\u{1f600}")]]);
            refused(inserts(wide).write(target.as_mut(), &t, 2), Kind::Row, &["22P05"]);
        }
    }
}
