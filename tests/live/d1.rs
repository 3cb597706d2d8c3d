//! D1 by REST and as `wrangler dev` keeps it, on the engine that it runs on.

use super::workerd::{self, Database};
use cutover::{
    error::Result,
    plan::Setting,
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    store::{self, Options, Source, settings::Settings},
    value::{Type, Value, cast::Cast},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

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
        if !value.contains("00000") {
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
