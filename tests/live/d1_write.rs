//! D1 as a target, on the engine that it runs on.

use super::{
    proxy::{self, Act},
    server::{Fault, Response, Server},
    workerd::{self, Database},
    written::{self, batch, bytes, insert, shape, write},
};
use cutover::{
    error::{Error, Kind, Result},
    row::{Batch, Shape},
    schema::Table,
    store::{
        self, Options,
        target::{self, Begin, Target, Written},
    },
    value::{
        Type, Value,
        cast::Cast,
        time::{EpochUnit, Moment},
    },
};
use serde_json::json;
use std::sync::Arc;

fn options(database: &Database, api: &str) -> Options {
    let Database { account, token, id, .. } = database;
    written::options(&[("account", account), ("token", token), ("api", api), ("database", id)])
}

fn writer(database: &Database) -> Box<dyn Target> {
    target::open("d1", "".as_ref(), &options(database, &database.api)).expect("a target")
}

/// A target that has begun, behind a proxy.
fn behind(database: &Database, script: impl Fn(&str) -> Act + Send + Sync + 'static) -> (Server, Box<dyn Target>) {
    let upstream = database.api.strip_suffix("/client/v4").expect("an address").to_owned();
    let server = proxy::before(upstream, move |it| script(&String::from_utf8_lossy(&it.body)));
    let api = format!("{}/client/v4", server.url());
    let mut target = target::open("d1", "".as_ref(), &options(database, &api)).expect("a target");
    begin(target.as_mut());
    (server, target)
}

fn begin(target: &mut dyn Target) {
    target.begin(&Begin { tables: &[], disable_indexes: false }).expect("it can be written to");
}

fn table(database: &Database, name: &str) -> Table {
    let mut store = store::open("d1", "".as_ref(), &options(database, &database.api)).expect("a database");
    store.tables().expect("tables").into_iter().find(|it| it.name == name).expect("a table")
}

fn plain(columns: &[&str], key: usize) -> Arc<Shape> {
    shape(&columns.iter().map(|it| (*it, Cast::new(Type::Any))).collect::<Vec<_>>(), key)
}

/// What makes of an answer that it is lost.
type Loss = fn(Response) -> Act;

fn read(database: &Database, table: &Table, shape: &Arc<Shape>) -> Vec<Vec<u8>> {
    let mut store = store::open("d1", "".as_ref(), &options(database, &database.api)).expect("a database");
    let declared = store.tables().expect("tables").into_iter().find(|it| it.name == table.name).expect("a table");
    written::read(store.as_mut(), &declared, shape)
}

fn count(database: &Database, sql: &str) -> i64 {
    database.execute(sql)[0]["results"]["rows"][0][0].as_i64().expect("a number")
}

const MOMENTS: [Moment; 6] = [
    Moment { seconds: 0, nanos: 0 },
    Moment { seconds: 1_704_103_200, nanos: 123_456_000 },
    Moment { seconds: -1, nanos: 999_999_999 },
    Moment { seconds: 300_000_000_000, nanos: 0 },
    Moment::PAST,
    Moment::FUTURE,
];

/// Values of every type, awkward ones among them.
fn values(ty: Type) -> Vec<Value<'static>> {
    let mut all = vec![Value::Null];
    let texts = [
        "",
        " ",
        "1",
        "007",
        "1.0",
        "null",
        "it's \"it\"",
        "a\0b",
        "\0",
        "\u{feff}mark",
        "\u{fffd}",
        "\u{1f600} e\u{301}",
        "a\r\nb\\n",
        "?1 :x @y $z; --",
        "true",
        "9223372036854775808",
        "-0",
    ];
    match ty {
        Type::Bool => all.extend([true, false].map(Value::Bool)),
        Type::Int => {
            all.extend([0, 1, -1, i64::MIN, i64::MAX, 9_007_199_254_740_993].map(Value::Int));
            all.push(Value::Decimal("123456789012345678901234567890"));
        }
        Type::Real => {
            all.extend([0.0, -0.0, 5.0, 0.1 + 0.2, 5e-324, f64::MAX, 1e20, 2.0 / 3.0].map(Value::Real));
            all.extend([f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(Value::Real));
        }
        Type::Decimal => {
            all.extend(["0", "10.5", "-0.001", "12345678901234567890.123456789", "1e-30"].map(Value::Decimal))
        }
        Type::Text => {
            all.extend(texts.map(Value::Text));
            all.extend([&b"\xff"[..], b"a\xf0\x9f\x98", b"\xed\xa0\x80\0"].map(Value::Malformed));
        }
        Type::Bytes => all.extend([&b""[..], b"\0\xff", b"text"].map(Value::Bytes)),
        Type::Date => all.extend([0, 19_723, -1, 4_000_000].map(Value::Date)),
        Type::Time => all.extend([0, 86_399_999_999_999, 3_600_000_000_000].map(Value::Time)),
        Type::Timestamp => all.extend(MOMENTS.map(Value::Timestamp)),
        Type::DateTime => all.extend(MOMENTS.map(Value::DateTime)),
        Type::Uuid => all.push(Value::Uuid(*b"0123456789abcdef")),
        Type::Json => {
            let documents =
                ["null", "true", "1", "1.50", "12345678901234567890", "\"x\"", "\"\"", "{\"a\":[1,null]}", "[]"];
            all.extend(documents.map(Value::Json));
        }
        Type::Any => {
            all.extend([Value::Int(i64::MIN), Value::Real(5.0), Value::Real(f64::INFINITY), Value::Bytes(b"\xff\0")]);
            all.extend(texts.map(Value::Text));
        }
    }
    all
}

/// The law: what is written reads back as the same cell, or is refused as a row.
#[test]
fn what_is_written_reads_back_as_it_is() {
    let database = workerd::database();
    let mut target = writer(&database);
    begin(target.as_mut());
    let declared = ["", "INTEGER", "NUMERIC", "REAL", "TEXT", "BLOB", "DATETIME", "JSON"];
    let columns: Vec<String> = declared.iter().enumerate().map(|(at, it)| format!("c{at} {it}")).collect();
    database.execute(&format!("CREATE TABLE v (id INTEGER PRIMARY KEY, {})", columns.join(", ")));
    let table = table(&database, "v");
    let prague = jiff::tz::TimeZone::get("Europe/Prague").expect("a zone");
    let mut casts: Vec<Cast> = Type::ALL.into_iter().map(Cast::new).collect();
    casts.push(Cast { zone: Some(prague), ..Cast::new(Type::Timestamp) });
    casts.extend(
        [EpochUnit::Seconds, EpochUnit::Millis, EpochUnit::Nanos]
            .map(|it| Cast { epoch: Some(it), ..Cast::new(Type::Timestamp) }),
    );
    let (mut held, mut refused, mut number) = (0, 0, 0);
    for (cast, (at, declared)) in casts.iter().flat_map(|it| declared.iter().enumerate().map(move |at| (it, at))) {
        database.execute("DELETE FROM v");
        let column = format!("c{at}");
        let shape = shape(&[("id", Cast::new(Type::Int)), (&column, cast.clone())], 1);
        let mut kept = Batch::new(Arc::clone(&shape));
        for (id, value) in values(cast.ty).into_iter().enumerate() {
            let row = batch(&shape, [vec![Value::Int(id as i64), value]]);
            number += 1;
            // Each by itself, to know which ones are refused.
            match insert(target.as_mut(), &table, number, &row) {
                Ok(it) => {
                    assert_eq!(it.inserted, 1);
                    kept.push_row(row.row(0));
                }
                Err(it) => {
                    assert_eq!(it.kind(), Kind::Row, "{it}");
                    assert!(it.to_string().contains(&column), "{it}");
                    refused += 1;
                }
            }
        }
        held += kept.len();
        let found = read(&database, &table, &shape);
        assert_eq!(found, bytes(&kept), "{declared} {:?}", cast.ty);
        // What a column for anything cannot hold is what no column of SQLite can.
        if *declared == "TEXT"
            && matches!(cast.ty, Type::Text | Type::Json | Type::Decimal | Type::Int | Type::DateTime)
        {
            assert_eq!(kept.len(), values(cast.ty).len(), "{:?}", cast.ty);
        }
    }
    assert!(held > 600 && refused > 50, "{held} held, {refused} refused");
}

#[test]
fn large_values_and_wide_rows_go_within_the_limits() {
    let database = workerd::database();
    let columns: Vec<String> = (0..99).map(|it| format!("c{it}")).collect();
    database.execute(&format!("CREATE TABLE w (id INTEGER PRIMARY KEY, {})", columns.join(", ")));
    let (server, mut target) = behind(&database, |_| Act::Pass);
    let table = table(&database, "w");
    let mut names = vec!["id"];
    names.extend(columns.iter().map(String::as_str));
    let wide = plain(&names, 1);
    let rows =
        (0..300).map(|id| std::iter::once(Value::Int(id)).chain((0..99).map(|it| Value::Int(id * it))).collect());
    let wide = batch(&wide, rows);
    assert_eq!(insert(target.as_mut(), &table, 1, &wide).expect("written").inserted, 300);
    assert_eq!(read(&database, &table, wide.shape()), bytes(&wide));
    let narrow = plain(&["id", "c0"], 1);
    let blob = vec![0xab; 1_900_000];
    let large = batch(
        &narrow,
        (300..800).map(|id| vec![Value::Int(id), if id == 300 { Value::Bytes(&blob) } else { Value::Text("x") }]),
    );
    assert_eq!(insert(target.as_mut(), &table, 2, &large).expect("written").inserted, 500);
    let found = read(&database, &table, &narrow);
    assert!(bytes(&large).iter().all(|it| found.binary_search(it).is_ok()));
    for request in server.take().iter().filter(|it| it.method == "POST") {
        let body = request.json();
        for statement in body["batch"].as_array().expect("a batch") {
            let params = statement["params"].as_array().expect("parameters");
            assert!(params.len() <= 100 && statement["sql"].as_str().is_some_and(|it| it.len() <= 100_000));
            assert!(params.iter().all(|it| it.as_str().is_none_or(|it| it.len() <= 2_000_000)));
        }
    }
    let too_large = vec![b'x'; 2_000_001];
    let row = batch(&narrow, [vec![Value::Int(900), Value::Bytes(&too_large)]]);
    let error = insert(target.as_mut(), &table, 3, &row).expect_err("a refusal");
    assert_eq!((error.kind(), error.to_string().contains("`c0`: 2000001 bytes")), (Kind::Row, true), "{error}");
}

#[test]
fn each_change_does_what_it_says_and_only_once() {
    let database = workerd::database();
    database.execute(
        "CREATE TABLE u (k TEXT COLLATE NOCASE PRIMARY KEY, a, b, twice AS (a || a) STORED, e UNIQUE) WITHOUT ROWID",
    );
    database.execute(
        "INSERT INTO u (k, a, b) VALUES ('there', 'own', 1), ('old', 'x', 2), ('gone', 'y', 3), ('Case', 'z', 4)",
    );
    let mut target = writer(&database);
    begin(target.as_mut());
    let table = table(&database, "u");
    let shape = plain(&["k", "a"], 1);
    let text = |all: &[[&'static str; 2]]| batch(&shape, all.iter().map(|it| it.map(Value::Text).to_vec()));
    let none = text(&[]);
    let (inserts, updates) = (
        text(&[["there", "new"], ["n1", "1"], ["n2", "2"]]),
        text(&[["old", "changed"], ["nobody", "no"], ["case", "no"]]),
    );
    let deletes = text(&[["gone", ""], ["nobody", ""], ["case", ""]]);
    let expect = |inserted, updated, deleted| Ok(Written { inserted, updated, deleted });
    let done = |it: Result<Written>| it.map_err(|it| it.to_string());
    assert_eq!(done(write(target.as_mut(), &table, 1, [&inserts, &updates, &deletes])), expect(2, 1, 1));
    assert_eq!(target.mark("r", "u").expect("an answer"), Some(1));
    assert_eq!(done(write(target.as_mut(), &table, 2, [&inserts, &updates, &deletes])), expect(0, 1, 0));
    assert_eq!(target.mark("r", "u").expect("an answer"), Some(2));
    assert_eq!((target.mark("other", "u").ok(), target.mark("r", "t").ok()), (Some(None), Some(None)));
    let all = batch(
        &shape,
        [["there", "own"], ["old", "changed"], ["Case", "z"], ["n1", "1"], ["n2", "2"]]
            .map(|it| it.map(Value::Text).to_vec()),
    );
    assert_eq!(read(&database, &table, &shape), bytes(&all), "and nothing else of a row has changed");
    assert_eq!(count(&database, "SELECT sum(b) FROM u"), 7);
    // Another row has that key in the eyes of the table, which is a clash and no row that is there.
    let error = insert(target.as_mut(), &table, 3, &text(&[["n3", "3"], ["case", "no"]])).expect_err("a clash");
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Row, "UNIQUE constraint failed: u.k"));
    assert_eq!(
        (count(&database, "SELECT count(*) FROM u WHERE k = 'n3'"), target.mark("r", "u").ok()),
        (0, Some(Some(2)))
    );
    // The computed column cannot be written, and needs not be.
    let wider = plain(&["k", "a", "twice"], 1);
    let row = batch(&wider, [["n4", "q", "qq"].map(Value::Text).to_vec()]);
    assert_eq!(insert(target.as_mut(), &table, 4, &row).expect("written").inserted, 1);
    assert_eq!(write(target.as_mut(), &table, 5, [&none, &none, &none]).expect("written"), Written::default());
    assert_eq!(target.clean().ok(), Some(true));
    assert_eq!((target.clean().ok(), target.mark("r", "u").ok()), (Some(false), Some(None)));
}

#[test]
fn tables_without_a_key_hold_equal_rows() {
    let database = workerd::database();
    database.execute("CREATE TABLE n (a, b)");
    let mut target = writer(&database);
    begin(target.as_mut());
    let (table, shape) = (table(&database, "n"), plain(&["a", "b"], 0));
    let twin = || vec![Value::Int(1), Value::Null];
    let three = batch(&shape, [twin(), twin(), twin(), vec![Value::Null, Value::Text("x")]]);
    assert_eq!(insert(target.as_mut(), &table, 1, &three).expect("written").inserted, 4);
    let (none, two) = (batch(&shape, []), batch(&shape, [twin(), twin(), vec![Value::Int(1), Value::Int(1)]]));
    assert_eq!(write(target.as_mut(), &table, 2, [&none, &none, &two]).expect("written").deleted, 2);
    assert_eq!(read(&database, &table, &shape), bytes(&batch(&shape, [twin(), vec![Value::Null, Value::Text("x")]])));
    // A key that nothing in the table enforces, as a plan may name one.
    let keyed = plain(&["a", "b"], 1);
    let rows = batch(&keyed, [vec![Value::Int(1), Value::Int(7)], vec![Value::Int(2), Value::Int(8)]]);
    assert_eq!(insert(target.as_mut(), &table, 3, &rows).expect("written").inserted, 1);
}

/// Constraints are matters of a row, and nothing of its batch is left.
#[test]
fn what_a_row_breaks_is_told_and_nothing_is_written() {
    let database = workerd::database();
    database.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, up INTEGER REFERENCES p (id), n TEXT NOT NULL DEFAULT '', c INT CHECK (c < 5)) STRICT",
    );
    let mut target = writer(&database);
    begin(target.as_mut());
    let table = table(&database, "p");
    let check = |target: &mut dyn Target, column: &str, value: Value<'_>, expect: &str| {
        let shape = plain(&["id", column], 1);
        let rows = batch(&shape, [vec![Value::Int(1), Value::Null], vec![Value::Int(2), value]]);
        let rows = if column == "n" { batch(&shape, [vec![Value::Int(2), value]]) } else { rows };
        let error = insert(target, &table, 1, &rows).expect_err("a refusal");
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Row, expect), "{column}");
        assert_eq!(count(&database, "SELECT count(*) FROM p"), 0);
        assert_eq!(target.mark("r", "p").ok(), Some(None));
    };
    check(target.as_mut(), "up", Value::Int(9), "FOREIGN KEY constraint failed");
    check(target.as_mut(), "n", Value::Null, "NOT NULL constraint failed: p.n");
    check(target.as_mut(), "c", Value::Int(7), "CHECK constraint failed: c < 5");
    let shape = plain(&["id", "up"], 1);
    let chain = batch(
        &shape,
        (1..=250).map(|it| vec![Value::Int(it), if it == 250 { Value::Null } else { Value::Int(it + 1) }]),
    );
    assert_eq!(insert(target.as_mut(), &table, 2, &chain).expect("rows may refer to later ones").inserted, 250);
}

#[test]
fn an_answer_that_was_lost_is_resolved_by_the_mark() {
    let database = workerd::database();
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)");
    let table = table(&database, "t");
    let shape = plain(&["id", "a"], 1);
    let page = || Response::new("text/html", "<html>502").status(502);
    let lost: [(Loss, bool); 4] = [
        (Act::Lose, true),
        (|_| Act::Break(Fault::CloseAfter(0)), true),
        (|_| Act::Break(Fault::CloseAfter(200)), true),
        (Act::Instead, false),
    ];
    for (number, (act, arrives)) in (1..).zip(lost) {
        let (server, mut target) =
            behind(&database, move |body| if body.contains("INSERT INTO main") { act(page()) } else { Act::Pass });
        let row = batch(&shape, [vec![Value::Int(number as i64), Value::Text("x")]]);
        let error = insert(target.as_mut(), &table, number, &row).expect_err("no answer");
        assert_eq!(error.kind(), Kind::Unsure, "{error}");
        assert_eq!(target.mark("r", "t").expect("an answer") == Some(number), arrives);
        let sent =
            server.take().iter().filter(|it| String::from_utf8_lossy(&it.body).contains("INSERT INTO main")).count();
        assert_eq!(sent, 1, "it is not sent again");
        let mut again = writer(&database);
        assert_eq!(insert(again.as_mut(), &table, number, &row).expect("written").inserted, u64::from(!arrives));
    }
    assert_eq!(count(&database, "SELECT count(*) FROM t"), 4);
    let busy =
        json!({"success": false, "errors": [{"code": 7500, "message": "Currently processing a long-running export."}]});
    let busy = Response::json(busy).status(400);
    let (_server, mut target) =
        behind(
            &database,
            move |body| if body.contains("INSERT INTO main") { Act::Instead(busy.clone()) } else { Act::Pass },
        );
    let row = batch(&shape, [vec![Value::Int(9), Value::Null]]);
    assert_eq!(insert(target.as_mut(), &table, 9, &row).map_err(|it| it.kind()), Err(Kind::Busy));
}

#[test]
fn a_schema_is_created_where_it_is_missing() {
    let database = workerd::database();
    database.execute("CREATE TABLE a (x)");
    let schema = "PRAGMA foreign_keys = ON;
        CREATE TABLE IF NOT EXISTS a (x, y); CREATE INDEX ia ON a (x);
        CREATE TABLE b (id INTEGER PRIMARY KEY, n TEXT DEFAULT 'a;b');
        CREATE TRIGGER tb AFTER INSERT ON b BEGIN UPDATE b SET n = 'x' WHERE id = 0; SELECT 1; END;";
    let mut target = writer(&database);
    target.create(schema).expect("created");
    target.create(schema).expect("nothing to create");
    let names = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE name NOT GLOB '_cf_*' ORDER BY name)";
    assert_eq!(database.execute(names)[0]["results"]["rows"][0][0], json!("a b tb"));
    let broken = target.create("CREATE TABLE c (x); CREATE TABLE d (x REFERENCES");
    assert_eq!(broken.map_err(|it| it.kind()), Err(Kind::Plan));
    let refused = target.create("CREATE TABLE c (x); CREATE TABLE d (x CHECK (load_extension(x)))");
    assert!(refused.is_err());
    assert_eq!(database.execute(names)[0]["results"]["rows"][0][0], json!("a b tb"));
}

#[test]
fn there_is_a_way_back_and_a_token_that_may_not_write_is_told_so() {
    let database = workerd::database();
    let mut target = writer(&database);
    let facts = target.begin(&Begin { tables: &[], disable_indexes: true }).expect("it begins");
    let says = |what: &str| facts.iter().find(|it| it.what == what).map(|it| it.says.clone()).unwrap_or_default();
    assert!(says("restore").starts_with("wrangler d1 time-travel restore "), "{facts:?}");
    assert!(says("restore").ends_with(&format!("--bookmark={}", says("bookmark"))), "{facts:?}");
    assert!(says("indexes").starts_with("stay"), "{facts:?}");
    let mut timeless = workerd::database();
    timeless.id = timeless.create("timeless");
    let facts = writer(&timeless).begin(&Begin { tables: &[], disable_indexes: false }).expect("it begins");
    assert!(facts.iter().any(|it| it.what == "bookmark" && it.says.contains("no bookmark")), "{facts:?}");

    let upstream = database.api.strip_suffix("/client/v4").expect("an address").to_owned();
    let refusal = json!({"success": false, "result": null, "errors": [{"code": 7403, "message": "not authorized"}]});
    let server = proxy::before(upstream, move |it| {
        let writes = String::from_utf8_lossy(&it.body).contains("CREATE TABLE");
        if writes { Act::Instead(Response::json(refusal.clone()).status(403)) } else { Act::Pass }
    });
    let mut target =
        target::open("d1", "".as_ref(), &options(&database, &format!("{}/client/v4", server.url()))).expect("a target");
    let error: Error = target.begin(&Begin { tables: &[], disable_indexes: false }).expect_err("a refusal");
    assert!(error.kind() == Kind::Store && error.to_string().contains("D1, Edit"), "{error}");
    assert!(!error.to_string().contains(database.token), "{error}");
    assert_eq!(target.fingerprint(), format!("d1 {}", database.id));
}
