//! What is read from a Postgres server.

use crate::postgres::Database;
use cutover::{
    error::Result,
    plan::Setting,
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    store::{self, Options, Source, settings::Settings},
    value::{Value, cast::Cast, time, write_uuid},
};
use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc};

mod reading;
mod server;
mod tables;
pub(crate) mod values;

/// Settings of a database that change how values are written, unless a reader says how it wants them.
const CONTRARY: [&str; 9] = [
    "DateStyle = 'German'",
    "IntervalStyle = 'iso_8601'",
    "TimeZone = 'Asia/Kolkata'",
    "bytea_output = 'escape'",
    "extra_float_digits = -5",
    "xmlbinary = 'hex'",
    "quote_all_identifiers = on",
    "default_transaction_isolation = 'read committed'",
    "statement_timeout = '50s'",
];

fn options(url: &str, more: &[(&str, Setting)]) -> Options {
    let mut given = BTreeMap::from([("url".to_owned(), Setting::Text(url.to_owned()))]);
    given.extend(more.iter().map(|(name, it)| ((*name).to_owned(), it.clone())));
    Options { settings: Settings::new(given, Arc::new(|_| None)), ..Options::default() }
}

fn open(url: &str) -> Box<dyn Source> {
    open_with(&options(url, &[]))
}

fn open_with(options: &Options) -> Box<dyn Source> {
    store::open("postgres", Path::new(""), options).expect("the server lets us in")
}

fn table(store: &mut dyn Source, name: &str) -> Table {
    let tables = store.tables().expect("the catalogs can be read");
    let names: Vec<&String> = tables.iter().map(|it| &it.name).collect();
    tables.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("{name} is not in {names:?}")).clone()
}

/// All columns, each as its own type, and the key of the table in front.
fn shape(table: &Table) -> Arc<Shape> {
    let others = (0..table.columns.len()).filter(|it| !table.key.contains(it));
    let fields = table.key.iter().copied().chain(others).map(|it| &table.columns[it]);
    let fields: Vec<Field> = fields.map(|it| Field::new(it.name.clone(), Cast::new(it.ty))).collect();
    Arc::new(Shape { key: table.key.len(), compared: fields.len(), fields, keyless: false })
}

/// The rows as text, in the order in which they come.
fn rows(store: &mut dyn Source, name: &str) -> Vec<String> {
    let table = table(store, name);
    let mut all = Collected::default();
    store.scan(&table, &shape(&table), &mut all).expect("the table can be read");
    all.0
}

/// Rows as text: the kind of each value, and the value.
#[derive(Default)]
struct Collected(Vec<String>);

impl Feed for Collected {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for row in batch.rows() {
            let cells = (0..batch.shape().width()).map(|it| {
                let odd = if row.is_odd_at(it) { "odd " } else { "" };
                format!("{odd}{}", spelt(row.value(it, &mut Vec::new())))
            });
            self.0.push(cells.collect::<Vec<_>>().join(", "));
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

fn spelt(value: Value<'_>) -> String {
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("it is text")
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(it) => format!("bool {it}"),
        Value::Int(it) => format!("int {it}"),
        Value::Real(it) => format!("real {it:?}"),
        Value::Decimal(it) => format!("decimal {it}"),
        Value::Date(it) => format!("date {}", text(&|out| time::write_date(it, out))),
        Value::Time(it) => format!("time {}", text(&|out| time::write_time(it, out))),
        Value::Timestamp(it) => format!("instant {}", text(&|out| time::write_moment(it, true, out))),
        Value::DateTime(it) => format!("civil {}", text(&|out| time::write_moment(it, false, out))),
        Value::Uuid(it) => format!("uuid {}", text(&|out| write_uuid(&it, out))),
        Value::Text(it) => format!("text {it:?}"),
        Value::Raw(it) | Value::Malformed(it) => format!("malformed {it:?}"),
        Value::Bytes(it) => format!("bytes {it:?}"),
        Value::Json(it) => format!("json {it}"),
    }
}

/// What the program says, and its exit code.
fn cutover(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let output = command.args(arguments).env_remove("DATABASE_URL").output().expect("the program starts");
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Another role's address.
fn url_of(database: &Database, role: &str) -> String {
    database.url().replacen("app@", &format!("{role}@"), 1)
}
