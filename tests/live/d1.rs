//! D1 by REST and as `wrangler dev` keeps it, on the engine that it runs on.

use super::{
    proxy::{self, Act},
    server::{Fault, Request, Response},
    workerd::{self, Database},
};
use cutover::{
    error::Result,
    plan::Setting,
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    store::{self, Options, Source, settings::Settings},
    value::{Type, Value, cast::Cast},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Settings that say where the database is, with no environment behind them.
fn options(given: &[(&str, &str)]) -> Options {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), Setting::Text((*value).to_owned())));
    let settings = Settings::new(given.collect::<BTreeMap<_, _>>(), Arc::new(|_: &str| None));
    Options { settings, ..Options::default() }
}

fn by_rest(database: &Database, called: &str) -> Result<Box<dyn Source>> {
    let Database { account, token, api, .. } = database;
    let given = [("account", *account), ("token", *token), ("api", api.as_str()), ("database", called)];
    store::open("d1", "".as_ref(), &options(&given))
}

fn rest(database: &Database) -> Box<dyn Source> {
    by_rest(database, &database.id).expect("a database")
}

fn local(database: &Database) -> Box<dyn Source> {
    store::open("d1-local", &database.state, &options(&[("database", &database.id)])).expect("a database")
}

/// Rows in the order in which they come, each value as Rust shows it: numbers with the shortest digits that say them.
#[derive(Debug, Default, PartialEq)]
struct Rows(Vec<Vec<String>>);

impl Feed for Rows {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for row in batch.rows() {
            let value = |place| format!("{:?}", row.value(place, &mut Vec::new()));
            self.0.push((0..row.shape().width()).map(value).collect());
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

/// Values as they are, whatever was declared.
fn shape(table: &Table, key: usize) -> Arc<Shape> {
    let fields: Vec<Field> = table.columns.iter().map(|it| Field::new(it.name.clone(), Cast::new(Type::Any))).collect();
    Arc::new(Shape { key, compared: fields.len(), fields, keyless: false })
}

fn rows(store: &mut dyn Source, name: &str) -> Rows {
    let table = store.tables().expect("tables").into_iter().find(|it| it.name == name).expect("a table");
    let mut rows = Rows::default();
    store.scan(&table, &shape(&table, 1), &mut rows).expect("rows");
    rows
}

/// All tables of both, and that their rows are the same.
fn agree(database: &Database, count: usize) {
    let (mut rest, mut local) = (rest(database), local(database));
    let tables = rest.tables().expect("tables");
    assert_eq!(tables, local.tables().expect("tables"));
    assert_eq!(tables.len(), count);
    for table in tables {
        let (mut remote, mut here) = (rows(rest.as_mut(), &table.name), rows(local.as_mut(), &table.name));
        remote.0.sort();
        here.0.sort();
        assert!(!here.0.is_empty(), "{}", table.name);
        assert_eq!(remote.0.len(), here.0.len(), "{}", table.name);
        assert!(remote == here, "{} differs", table.name);
    }
    assert_eq!(rest.torn().expect("an answer"), None);
}

/// Values that get lost on other ways out of D1, or would be taken for marks of ours.
const HOSTILE: &[&str] = &[
    "NULL",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "0",
    "1",
    "1.0",
    "-0.0",
    "0.1 + 0.2",
    "1e-320",
    "5e-324",
    "1.7976931348623157e308",
    "1.3441665028653798e+308",
    "1e20",
    "9e999",
    "-9e999",
    "''",
    "x''",
    "' '",
    "'1'",
    "'1.0'",
    "'null'",
    "'true'",
    "'a' || char(10) || 'b'",
    "'a' || char(13) || 'b'",
    "char(13, 10)",
    "'\\n'",
    "'a' || char(0) || 'b'",
    "char(0)",
    "CAST(x'ff' AS TEXT)",
    "CAST(x'61f09f98' AS TEXT)",
    "CAST(x'eda080' AS TEXT)",
    "CAST(x'c080' AS TEXT)",
    "char(65533)",
    "char(65279) || 'mark'",
    "char(1114111)",
    "'😀'",
    "'e' || char(769)",
    "'it''s'",
    "'\"'",
    "'t'",
    "'r1'",
    "'T12'",
    "'x00'",
    "x'0102ff'",
    "x'00'",
    "x'743132'",
    "zeroblob(600000)",
    "hex(zeroblob(700000))",
    "hex(zeroblob(524288)) || char(65533)",
    "CAST(x'ff' || zeroblob(600000) AS TEXT)",
    "zeroblob(1900000)",
];

#[test]
fn every_value_is_what_it_is_by_rest_and_in_the_file() {
    let database = workerd::database();
    database.execute("CREATE TABLE v (id INTEGER PRIMARY KEY, a, b NUMERIC, c TEXT, d REAL, e BLOB, f INTEGER)");
    for (at, value) in HOSTILE.iter().enumerate() {
        database.execute(&format!("INSERT INTO v (id, a) VALUES ({at}, {value})"));
        if !value.contains("zeroblob") {
            for column in ["b", "c", "d", "e", "f"] {
                database.execute(&format!("UPDATE v SET {column} = {value} WHERE id = {at}"));
            }
        }
    }
    agree(&database, 1);
}

#[test]
fn real_numbers_keep_every_bit() {
    let database = workerd::database();
    database.execute("CREATE TABLE r (id INTEGER PRIMARY KEY, a REAL)");
    // Some are small, some large, most have 17 digits; they come from a generator whose numbers are always the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut expect = BTreeMap::new();
    while expect.len() < 5_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = f64::from_bits(state ^ (state >> 29));
        if number.is_finite() {
            expect.insert(expect.len() as i64, number);
        }
    }
    let all: Vec<(&i64, &f64)> = expect.iter().collect();
    for some in all.chunks(50) {
        let marks = vec!["(?, ?)"; some.len()].join(", ");
        let params: Vec<serde_json::Value> = some.iter().flat_map(|(id, it)| [json!(id), json!(it)]).collect();
        database.ask(&json!({ "sql": format!("INSERT INTO r VALUES {marks}"), "params": params }));
    }
    agree(&database, 1);
    let expect = expect.iter().map(|(&id, &it)| [Value::Int(id), Value::Real(it)].map(|it| format!("{it:?}")).to_vec());
    assert!(rows(rest(&database).as_mut(), "r").0.into_iter().eq(expect));
}

/// Table 3 of what was measured on D1: what is sent as a parameter, what the column is declared as, and what is then there.
#[test]
fn what_the_service_made_of_a_parameter_is_read_as_it_is() {
    let database = workerd::database();
    let mut rest = rest(&database);
    for (at, (sent, declared, expect)) in [
        (json!(5), "", "Real(5.0)"),
        (json!(5), "BLOB", "Real(5.0)"),
        (json!(5), "TEXT", "Text(\"5.0\")"),
        (json!(5), "TEXT STRICT", "Text(\"5.0\")"),
        (json!(5), "INTEGER", "Int(5)"),
        (json!(true), "INTEGER STRICT", "Int(1)"),
        (json!(true), "", "Real(1.0)"),
        (json!(9_007_199_254_740_993_i64), "INTEGER", "Int(9007199254740992)"),
        (json!("9007199254740993"), "INTEGER", "Int(9007199254740993)"),
        (json!("9007199254740993"), "INTEGER STRICT", "Int(9007199254740993)"),
        (json!("12"), "INTEGER STRICT", "Int(12)"),
        (json!("1.25"), "REAL STRICT", "Real(1.25)"),
        (json!(null), "TEXT", "Null"),
        (json!(""), "TEXT", "Text(\"\")"),
        (json!([1, 2, 255]), "BLOB", "Bytes([1, 2, 255])"),
        (json!("a\0b"), "TEXT", "Text(\"a\\0b\")"),
        (json!(-0.0), "REAL", "Real(0.0)"),
    ]
    .into_iter()
    .enumerate()
    {
        let (ty, strict) = declared.split_once(' ').unwrap_or((declared, ""));
        database.execute(&format!("CREATE TABLE t{at} (a {ty}) {strict}"));
        database.ask(&json!({ "sql": format!("INSERT INTO t{at} VALUES (?)"), "params": [sent] }));
        assert_eq!(rows(rest.as_mut(), &format!("t{at}")).0, [[expect]], "{sent} into {declared}");
    }
}

#[test]
fn tables_of_any_kind_come_whole_in_pages() {
    let database = workerd::database();
    let columns = |from: usize| (from..100).map(|it| format!("c{it}")).collect::<Vec<_>>().join(", ");
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1700)";
    for made in [
        "CREATE TABLE plain (\"~\" TEXT, t INTEGER, \"a \"\"b\" TEXT, rowid TEXT UNIQUE)".to_owned(),
        format!("{many} INSERT INTO plain SELECT 'x' || n, 1700 - n, 'ä', n FROM n"),
        "CREATE TABLE hidden (rowid TEXT, _rowid_ TEXT, oid TEXT, PRIMARY KEY (oid, rowid))".to_owned(),
        format!("{many} INSERT INTO hidden SELECT n, n % 7, n % 3 FROM n"),
        "CREATE TABLE keyed (a, b INTEGER, c TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID".to_owned(),
        format!(
            "{many} INSERT INTO keyed SELECT CASE n % 5 WHEN 0 THEN n WHEN 1 THEN n / 7.0 WHEN 2 THEN 'x' || char(n % 3, 10)
             WHEN 3 THEN CAST(CAST(n % 9 AS TEXT) AS BLOB) ELSE CASE n % 2 WHEN 0 THEN 9e999 ELSE -9e999 END END,
             9007199254740993 + n, CASE n % 100 WHEN 0 THEN CAST(x'ff' AS TEXT) ELSE n END FROM n"
        ),
        "CREATE TABLE folded (a TEXT COLLATE NOCASE, b REAL, PRIMARY KEY (a DESC, b)) WITHOUT ROWID".to_owned(),
        format!("{many} INSERT INTO folded SELECT CASE n % 2 WHEN 0 THEN 'key' ELSE 'KEY' || (n % 4) END, n / 3.0 FROM n"),
        format!("CREATE TABLE wide ({})", columns(0)),
        format!("{many} INSERT INTO wide (c0, c99) SELECT n, 'last ' || n FROM n WHERE n < 700"),
        format!("CREATE TABLE wide_keyed (id TEXT, {}, PRIMARY KEY (id)) WITHOUT ROWID", columns(1)),
        format!("{many} INSERT INTO wide_keyed (id, c99) SELECT 'k' || n, n FROM n WHERE n < 700"),
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, made AS (id * 2), name TEXT NOT NULL UNIQUE)".to_owned(),
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent, flag BOOLEAN) STRICT"
            .replace("BOOLEAN", "INT"),
        format!("{many} INSERT INTO parent (id, name) SELECT n - 850, 'n' || n FROM n"),
        format!("{many} INSERT INTO child SELECT n, 850 - n % 50, n % 2 FROM n"),
    ] {
        database.execute(&made);
    }
    agree(&database, 8);
    // Ten pages and more, whose size has to follow from what a row has.
    database.execute("CREATE TABLE long (id INTEGER PRIMARY KEY, a TEXT, b BLOB)");
    database.execute(&format!(
        "{many} INSERT INTO long SELECT n, CASE n % 300 WHEN 0 THEN hex(zeroblob(600000)) ELSE hex(zeroblob(n * 3)) END,
         CASE n % 500 WHEN 1 THEN zeroblob(900000) ELSE zeroblob(n) END FROM n"
    ));
    agree(&database, 9);
}

#[test]
fn a_view_is_read_where_views_are_wanted() {
    let database = workerd::database();
    database.execute("CREATE TABLE t (a); INSERT INTO t VALUES (3), (1), (9007199254740993), (CAST(x'ff' AS TEXT))");
    database.execute("CREATE VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a");
    let mut store = rest(&database);
    assert_eq!(store.tables().expect("tables").len(), 1);
    let Database { account, token, api, id, .. } = &database;
    let given = [("account", *account), ("token", *token), ("api", api.as_str()), ("database", id.as_str())];
    let mut store = store::open("d1", "".as_ref(), &Options { views: true, ..options(&given) }).expect("a database");
    let mut found = rows(store.as_mut(), "v").0;
    found.sort();
    let values = ["Int(1)", "Int(3)", "Int(9007199254740993)", "Malformed([255])"];
    assert_eq!(found, values.map(|it| [it, "Int(1)"]));
}

/// Without a key, rows are told apart by their place, which must be the same whatever is asked for.
#[test]
fn the_values_of_a_view_stay_in_their_rows() {
    let database = workerd::database();
    let many: String = (0..98).map(|it| format!(", c{it}")).collect();
    for made in [
        format!("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT{many})"),
        "CREATE INDEX one ON t (a)".to_owned(),
        "CREATE INDEX two ON t (c97)".to_owned(),
        "INSERT INTO t (id, a, c97) VALUES (1, 'z' || char(65533), 'z'), (2, 'b' || char(65533), 'b'), \
         (3, 'm' || char(65533), 'm')"
            .to_owned(),
        "CREATE VIEW v AS SELECT * FROM t".to_owned(),
    ] {
        database.execute(&made);
    }
    let Database { account, token, api, id, .. } = &database;
    let given = [("account", *account), ("token", *token), ("api", api.as_str()), ("database", id.as_str())];
    let mut store = store::open("d1", "".as_ref(), &Options { views: true, ..options(&given) }).expect("a database");
    let whole = |it: &Rows| it.0.iter().map(|it| [0, 1, 99].map(|at| it[at].clone()).join(" ")).collect::<Vec<_>>();
    let expect = [("Int(1)", 'z'), ("Int(2)", 'b'), ("Int(3)", 'm')];
    let expect = expect.map(|(id, it)| format!("{id} Text(\"{it}\u{fffd}\") Text(\"{it}\")"));
    assert_eq!(whole(&rows(store.as_mut(), "v")), expect);
    let table = store.tables().expect("tables").into_iter().find(|it| it.name == "v").expect("a view");
    let mut wanted = (*shape(&table, 1)).clone();
    wanted.fields[0].cast = Cast::new(Type::Int);
    let narrow = Shape { key: 1, compared: 1, fields: wanted.fields[..1].to_vec(), keyless: false };
    let mut keys = Batch::new(Arc::new(narrow));
    keys.push([Value::Int(3)]);
    let mut found = Rows::default();
    store.scan_keys(&table, &Arc::new(wanted), &keys, &mut found).expect("rows");
    assert!(whole(&found).contains(&expect[2]), "{:?}", whole(&found));
}

#[test]
fn a_write_between_two_pages_does_not_go_unseen() {
    let database = workerd::database();
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'a')");
    let mut store = rest(&database);
    assert_eq!(rows(store.as_mut(), "t").0.len(), 1);
    assert_eq!(store.torn().expect("an answer"), None);
    database.execute("UPDATE t SET a = 'b'");
    let torn = store.torn().expect("an answer").expect("it was written to");
    assert!(torn.contains("written to"), "{torn}");
    // What was read before is not made better by looking again.
    store.refresh().expect("a new look");
    assert!(store.torn().expect("an answer").is_some());
}

#[test]
fn rows_are_found_by_their_keys() {
    let database = workerd::database();
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900)";
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE u (a TEXT, b, PRIMARY KEY (a, b))");
    database.execute(&format!("{many} INSERT INTO t SELECT 9007199254740993 + n, 'n' || n FROM n"));
    database
        .execute("INSERT INTO u VALUES ('it''s', 1), ('', x'00'), (char(0), 'x'), ('a', NULL), ('b', 9e999), ('c', 1)");
    let mut store = rest(&database);
    let tables = store.tables().expect("tables");
    let mut check = |name: &str, keys: &[Vec<Value<'_>>], expect: usize| {
        let table = tables.iter().find(|it| it.name == name).expect("a table");
        let mut wanted = (*shape(table, table.key.len())).clone();
        // Keys are found under their own types.
        wanted.fields.iter_mut().zip(&table.columns).for_each(|(field, it)| field.cast = Cast::new(it.ty));
        let wanted = Arc::new(wanted);
        let narrow = wanted.fields[..wanted.key].to_vec();
        let narrow = Shape { key: wanted.key, compared: wanted.key, fields: narrow, keyless: false };
        let mut batch = Batch::new(Arc::new(narrow));
        keys.iter().for_each(|it| batch.push(it.iter().copied()));
        let mut found = Rows::default();
        store.scan_keys(table, &wanted, &batch, &mut found).expect("rows");
        assert_eq!(found.0.len(), expect, "{name}: {:?}", found.0);
    };
    let ids: Vec<Vec<Value<'_>>> = (2..=250).map(|it| vec![Value::Int(9_007_199_254_740_993 + it)]).collect();
    check("t", &ids, 249);
    check("t", &[vec![Value::Int(1)]], 0);
    let all = [
        vec![Value::Text("it's"), Value::Int(1)],
        vec![Value::Text(""), Value::Bytes(&[0])],
        vec![Value::Text("\0"), Value::Text("x")],
        vec![Value::Text("a"), Value::Null],
        vec![Value::Text("b"), Value::Real(f64::INFINITY)],
    ];
    check("u", &all, 5);
    check("u", &[vec![Value::Text("c"), Value::Text("1")]], 0);
}

#[test]
fn a_check_has_exact_answers_and_writes_nothing() {
    let database = workerd::database();
    database.execute("CREATE TABLE t (a); INSERT INTO t VALUES (9007199254740993), (0.1 + 0.2), ('\"ä'), (NULL)");
    let mut store = rest(&database);
    for (sql, expect) in [
        ("SELECT a FROM t ORDER BY rowid", vec!["9007199254740993", "0.30000000000000004", "\"\\\"ä\"", "null"]),
        ("SELECT count(*), 'more' FROM t; -- all", vec!["4"]),
        ("SELECT 1 WHERE 0", vec![]),
        ("WITH n (n) AS (VALUES (2), (1)) SELECT n FROM n ORDER BY n", vec!["1", "2"]),
        ("VALUES (1.5), (2)", vec!["1.5", "2"]),
    ] {
        assert_eq!(store.query(sql).expect(sql), expect, "{sql}");
    }
    assert!(!store.query("EXPLAIN SELECT * FROM t").expect("a plan").is_empty());
    for (sql, part) in [
        ("DELETE FROM t", "may only read"),
        ("SELECT 1; DELETE FROM t", "more than one statement"),
        ("SELECT nope FROM t", "no such column: nope"),
    ] {
        let error = store.query(sql).expect_err(sql).to_string();
        assert!(error.contains(part), "{sql}: {error}");
    }
    assert_eq!(store.query("SELECT count(*) FROM t").expect("a count"), ["4"]);
    let still = || Duration::ZERO;
    assert!(store.time("SELECT a FROM t", &still).expect("a time") > Duration::ZERO, "the client knows the time");
    assert!(store.time("DELETE FROM t", &still).is_err() && store.time("SELECT nope FROM t", &still).is_err());
    assert_eq!(store.torn().expect("an answer"), None);
}

#[test]
fn a_database_is_found_by_its_name_on_any_page() {
    let database = workerd::database();
    let ids: Vec<String> = (0..230).map(|it| database.create(&format!("shop-{it}"))).collect();
    for (called, place) in [("shop-0", 0), ("shop-9", 9), ("shop-229", 229)] {
        database.execute("SELECT 1");
        let store = by_rest(&database, called).expect(called);
        assert_eq!(store.name().as_deref(), Some(called), "{}", ids[place]);
    }
    database.create("twin");
    database.create("twin");
    for (called, parts) in
        [("shap-7", ["no database `shap-7`", "`shop-7`"]), ("twin", ["several databases", "by its id: "])]
    {
        let error = by_rest(&database, called).err().expect(called).to_string();
        assert!(parts.iter().all(|it| error.contains(it)), "{error}");
    }
    let Database { account, token, api, id, .. } = &database;
    let asked = |account: &str, token: &str| {
        let given = [("account", account), ("token", token), ("api", api.as_str()), ("database", id.as_str())];
        store::open("d1", "".as_ref(), &options(&given)).err().map(|it| it.to_string()).unwrap_or_default()
    };
    assert_eq!(asked(account, token), "");
    let wrong = asked(account, "s3cret-of-nobody");
    assert!(wrong.contains("CLOUDFLARE_API_TOKEN") && !wrong.contains("s3cret"), "{wrong}");
    let wrong = asked("0123456789abcdef0123456789abcdef", token);
    assert!(wrong.contains("Account, D1, Read"), "{wrong}");
}

#[test]
fn nothing_changes_beside_a_database_that_is_read() {
    let database = workerd::database();
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'a')");
    let folder = database.state.join("v3/d1/miniflare-D1DatabaseObject");
    let mut store = local(&database);
    // Other tests write to databases beside it, so just this one is looked at.
    let file = store::wrangler::find(&database.state, store::wrangler::Product::D1, Some(&database.id));
    let name = file.expect("a file").file.file_name().expect("a name").to_string_lossy().into_owned();
    let files = || -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(&folder).expect("a folder").map(|it| it.expect("an entry"));
        let own = entries.filter(|it| it.file_name().to_string_lossy().starts_with(&name));
        own.map(|it| (it.file_name().to_string_lossy().into_owned(), std::fs::read(it.path()).expect("a file")))
            .collect()
    };
    let before = files();
    assert_eq!(rows(store.as_mut(), "t").0.len(), 1);
    let mut after = files();
    // Which part of the log is being read stands in the index of the log.
    after.retain(|name, _| !name.ends_with("-shm"));
    assert!(after.iter().all(|(name, bytes)| before.get(name) == Some(bytes)));
    assert_eq!(after.len(), 2);
    // It is not held up either, and who reads sees the state of when it began.
    database.execute("INSERT INTO t VALUES (2, 'b')");
    assert_eq!(rows(store.as_mut(), "t").0.len(), 1);
    assert_eq!(rows(local(&database).as_mut(), "t").0.len(), 2);
}

/// The same database behind a proxy, which lets `/raw` go wrong as `script` says.
fn behind(database: &Database, script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> (Rows, Option<String>) {
    let upstream = database.api.strip_suffix("/client/v4").expect("an address").to_owned();
    let proxy = proxy::before(upstream, move |it| if it.path.ends_with("/raw") { script(it) } else { Act::Pass });
    let Database { account, token, id, .. } = database;
    let api = format!("{}/client/v4", proxy.url());
    let given = [("account", *account), ("token", *token), ("api", &api), ("database", id), ("deadline", "30")];
    let mut rows = Rows::default();
    let read = store::open("d1", "".as_ref(), &options(&given)).and_then(|mut store| {
        let table = store.tables()?.remove(0);
        store.scan(&table, &shape(&table, 1), &mut rows)
    });
    (rows, read.err().map(|it| it.to_string()))
}

#[test]
fn whatever_goes_wrong_ends_in_all_rows_or_an_error() {
    let database = workerd::database();
    database.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1300)
         INSERT INTO t SELECT n, CASE n WHEN 700 THEN CAST(x'ff' AS TEXT) ELSE 'row ' || n END FROM n",
    );
    let (whole, error) = behind(&database, |_| Act::Pass);
    assert_eq!((whole.0.len(), error), (1300, None));
    let says = |status: u16, message: &str| {
        let body =
            json!({"result": [], "success": false, "errors": [{"code": 7500, "message": message}], "messages": []});
        Act::Instead(Response::json(body).status(status).header("retry-after", 0))
    };
    let cut = Response::json(r#"{"result":[{"results":{"columns":["~"],"rows":[["1""#);
    for act in [
        Act::Break(Fault::CloseAfter(400)),
        Act::Break(Fault::Length(1 << 20)),
        Act::GzipWithout(5),
        Act::Gzip,
        Act::Instead(Response::new("text/html", "<html>502</html>").status(502)),
        Act::Instead(cut),
        says(429, "D1 DB is overloaded. Too many requests queued."),
        says(400, "Currently processing a long-running export."),
        says(500, "Internal error in D1 storage caused object to be reset."),
    ] {
        let (wrong, forever) = (act.clone(), act.clone());
        let (rows, error) = behind(&database, move |it| if it.number % 3 == 0 { wrong.clone() } else { Act::Pass });
        assert!(error.is_none() && rows == whole, "{act:?}: {error:?}");
        // The second page never comes.
        let (rows, error) = behind(&database, move |it| match String::from_utf8_lossy(&it.body).contains(" > +CAST") {
            true => forever.clone(),
            false => Act::Pass,
        });
        let complete = matches!(act, Act::Gzip);
        assert_eq!((error.is_none(), rows == whole), (complete, complete), "{act:?}: {error:?}");
    }
}

#[test]
fn a_service_that_answers_something_else_is_found_out() {
    let database = workerd::database();
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'a')");
    let page =
        |rows: serde_json::Value| json!([{"results": {"columns": ["~"], "rows": rows}, "success": true, "meta": {}}]);
    for (result, part) in [
        (page(json!([["1", "1", "ta"]])), "begins where the one before did"),
        (page(json!([["2", "2", "ta"], ["1", "1", "tb"]])), "begins where the one before did"),
        (page(json!([["1", "1"]])), "not all its columns"),
        (page(json!([["1", "1", "ta", "tb"]])), "not all its columns"),
        (page(json!([[null, "1", "ta"]])), "without its rowid"),
        (page(json!([[1, "1", "ta"]])), "without its rowid"),
        (page(json!([["1", "1", "T99999999999"]])), "longer than any can be"),
        (page(json!([["1", "1", "T99999999999999999999999"]])), "not as it was asked for"),
        (page(json!([["1", "1", "T700000"]])), "written to while it was being read"),
        (page(json!([["1", "1", true]])), "not as it was asked for"),
        (page(json!([["1", "1", "xABC"]])), "not as it was asked for"),
        (page(json!([["1", "1", [1, 2]]])), "not as it was asked for"),
        (json!([]), "0 results for 1 statements"),
        (json!([{"results": {"columns": [], "rows": []}, "success": false}]), "a statement that failed"),
        (json!([{"results": {}}]), "a shape that is not known"),
        (json!({"rows": []}), "a shape that is not known"),
    ] {
        let body = json!({"result": result, "success": true, "errors": [], "messages": []});
        let (_, error) =
            behind(&database, move |it| match String::from_utf8_lossy(&it.body).contains("ORDER BY t.rowid") {
                true => Act::Instead(Response::json(&body)),
                false => Act::Pass,
            });
        let error = error.unwrap_or_default();
        assert!(error.contains(part) && error.starts_with("cannot read table `t`: "), "{result}: {error}");
    }
    let rounds = |it: &Request| match String::from_utf8_lossy(&it.body).contains("0.1 + 0.2") {
        true => Act::Instead(Response::json(
            r#"{"result":[{"results":{"columns":[],"rows":[[0.6,0.3,0.666666666666667]]}}],"success":true,"errors":[]}"#,
        )),
        false => Act::Pass,
    };
    let error = behind(&database, rounds).1.unwrap_or_default();
    assert!(error.contains("this service rounds numbers"), "{error}");
}

#[test]
fn what_is_there_is_said_where_it_is_not_clear_which_is_meant() {
    let database = workerd::database();
    database.execute("CREATE TABLE here_is_one (a)");
    workerd::database().execute("CREATE TABLE here_is_another (a)");
    let error =
        store::open("d1-local", &database.state, &options(&[])).err().map(|it| it.to_string()).unwrap_or_default();
    assert!(error.contains("which D1 database is meant") && error.contains("sqlite:"), "{error}");
    let facts = rest(&database).about().expect("facts");
    let fact = |what: &str| facts.iter().find(|it| it.what == what).map(|it| it.says.as_str()).unwrap_or_default();
    assert!(fact("database").contains(&database.id) && fact("state").starts_with("bookmark "), "{facts:?}");
    assert!(!format!("{facts:?}").contains(database.token));
}
