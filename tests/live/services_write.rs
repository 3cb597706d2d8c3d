//! Workers KV, Edge Config and services with an import endpoint as targets.

use super::{
    miniflare,
    server::{Response, Server},
    vercel::{ID, READ_TOKEN, TEAM, TOKEN, Vercel},
    written::{self, batch, bytes, insert, options, write},
};
use cutover::{
    error::{Kind, Result},
    row::Shape,
    schema::Table,
    store::{
        self, Options,
        target::{self, Begin, Target, Written},
    },
    value::{Type, Value, cast::Cast},
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Far enough away for no test to see it.
const LATER: i64 = 2_000_000_000;

/// A shape whose first column is its key.
fn shape(columns: &[(&str, Type)]) -> Arc<Shape> {
    let columns: Vec<(&str, Cast)> = columns.iter().map(|(name, ty)| (*name, Cast::new(*ty))).collect();
    written::shape(&columns, 1)
}

fn read(kind: &str, options: &Options, shape: &Arc<Shape>) -> Vec<Vec<u8>> {
    let mut store = store::open(kind, "".as_ref(), options).expect("a store");
    let table = store.tables().expect("tables").remove(0);
    written::read(store.as_mut(), &table, shape)
}

fn begun(kind: &str, options: &Options) -> (Box<dyn Target>, Table) {
    let mut target = target::open(kind, "".as_ref(), options).expect("a target");
    target.begin(&Begin { tables: &[], disable_indexes: false }).expect("it can be written to");
    let table = store::open(kind, "".as_ref(), options).and_then(|mut it| it.tables()).map(|mut it| it.remove(0));
    (target, table.unwrap_or_default())
}

#[test]
fn a_namespace_keeps_metadata_and_expiration() {
    let namespace = miniflare::namespace();
    let given = [
        ("account", namespace.account.as_str()),
        ("namespace", &namespace.id),
        ("token", &namespace.token),
        ("api", &namespace.api),
    ];
    let options = options(&given);
    namespace.put("there", b"\"own\"", Some("{\"v\":1}"), Some(LATER));
    let (mut target, table) = begun("kv", &options);
    let whole =
        shape(&[("key", Type::Text), ("value", Type::Json), ("metadata", Type::Json), ("expiration", Type::Int)]);
    let row = |key, value, metadata, expiration| vec![Value::Text(key), value, metadata, expiration];
    let rows = [
        row("a", Value::Json("{\"n\":[1.50,null]}"), Value::Null, Value::Null),
        row("b/../c?d#\u{1f600}", Value::Json("\"quoted\""), Value::Json("{\"m\":7}"), Value::Int(LATER)),
        row("plain", Value::Text("no JSON: \u{fffd} a\0b"), Value::Json("7"), Value::Null),
        row("empty", Value::Text(""), Value::Null, Value::Int(LATER)),
        row("bytes", Value::Bytes(b"\xff\0\xfe"), Value::Null, Value::Null),
    ];
    let all = batch(&whole, rows.clone());
    let again = batch(&whole, rows.into_iter().chain([row("there", Value::Json("1"), Value::Null, Value::Null)]));
    assert_eq!(insert(target.as_mut(), &table, 1, &all).expect("written").inserted, 5);
    assert_eq!(insert(target.as_mut(), &table, 1, &again).expect("written").inserted, 0, "what is there is left");
    let mut expect = bytes(&all);
    expect.extend(bytes(&batch(
        &whole,
        [row("there", Value::Json("\"own\""), Value::Json("{\"v\":1}"), Value::Int(LATER))],
    )));
    expect.sort();
    assert_eq!(read("kv", &options, &whole), expect);

    let some = shape(&[("key", Type::Text), ("value", Type::Json)]);
    let updates =
        batch(&some, [("there", "\"new\""), ("nobody", "1")].map(|it| vec![Value::Text(it.0), Value::Json(it.1)]));
    let deletes = batch(&some, ["a", "plain", "empty", "bytes"].map(|it| vec![Value::Text(it), Value::Null]));
    let none = batch(&some, []);
    let done = write(target.as_mut(), &table, 1, [&none, &updates, &deletes]).expect("written");
    assert_eq!(done, Written { inserted: 0, updated: 1, deleted: 4 });
    let left = [
        row("there", Value::Json("\"new\""), Value::Json("{\"v\":1}"), Value::Int(LATER)),
        row("b/../c?d#\u{1f600}", Value::Json("\"quoted\""), Value::Json("{\"m\":7}"), Value::Int(LATER)),
    ];
    assert_eq!(read("kv", &options, &whole), bytes(&batch(&whole, left)), "the rest of an entry stays");

    let (long, large) = ("k".repeat(513), format!("\"{}\"", "x".repeat(1100)));
    for (refused, expect) in [
        (row("", Value::Json("1"), Value::Null, Value::Null), "`key`"),
        (row("..", Value::Json("1"), Value::Null, Value::Null), "`key`"),
        (row(&long, Value::Json("1"), Value::Null, Value::Null), "513 bytes"),
        (row("x", Value::Null, Value::Null, Value::Null), "`value`"),
        (row("x", Value::Malformed(b"\xff"), Value::Null, Value::Null), "`value`"),
        (row("x", Value::Text("\u{feff}x"), Value::Null, Value::Null), "byte order mark"),
        (row("x", Value::Json("1"), Value::Json("null"), Value::Null), "`metadata`"),
        (row("x", Value::Json("1"), Value::Json(&large), Value::Null), "`metadata`"),
        (row("x", Value::Json("1"), Value::Null, Value::Int(1_000_000)), "expiration"),
    ] {
        let error = insert(target.as_mut(), &table, 1, &batch(&whole, [refused])).expect_err(expect);
        assert!(error.kind() == Kind::Row && error.to_string().contains(expect), "{expect}: {error:?}");
    }
    assert_eq!(read("kv", &options, &whole).len(), 2);
}

/// Written here, and read by the engine that keeps it.
#[test]
fn a_namespace_on_this_machine_is_written_to_while_its_engine_runs() {
    let namespace = miniflare::namespace();
    let put = |key: &str, metadata| namespace.put(key, b"\"own\"", metadata, Some(LATER));
    ["there", "gone"].into_iter().for_each(|it| put(it, Some("{\"v\":1}")));
    let options = options(&[("namespace", &namespace.id)]);
    let path = &namespace.state_dir;
    let mut target = target::open("kv-local", path, &options).expect("a target");
    target.begin(&Begin { tables: &[], disable_indexes: false }).expect("it can be written to");
    let table = store::open("kv-local", path, &options).and_then(|mut it| it.tables()).expect("a table").remove(0);
    let count = |folder: &std::path::Path| std::fs::read_dir(folder).expect("a folder").count();
    let blobs = path.join("v3/kv").join(&namespace.id).join("blobs");
    assert_eq!(count(&blobs), 2);

    let whole =
        shape(&[("key", Type::Text), ("value", Type::Json), ("metadata", Type::Json), ("expiration", Type::Int)]);
    let row = |key, value| vec![Value::Text(key), Value::Json(value), Value::Json("[1]"), Value::Int(LATER)];
    let inserts = batch(&whole, [row("new", "{\"n\":2}"), row("there", "2")]);
    for inserted in [1, 0] {
        let written = insert(target.as_mut(), &table, 1, &inserts).expect("it is written");
        assert_eq!(written, Written { inserted, ..Written::default() }, "what is there is left as it is");
    }
    let values = shape(&[("key", Type::Text), ("value", Type::Json)]);
    let updates =
        batch(&values, [vec![Value::Text("there"), Value::Json("[3]")], vec![Value::Text("no"), Value::Json("4")]]);
    let deletes = batch(&values, [vec![Value::Text("gone"), Value::Null]]);
    let none = batch(&values, []);
    let written = write(target.as_mut(), &table, 2, [&none, &updates, &deletes]).expect("it is written");
    assert_eq!(written, Written { inserted: 0, updated: 1, deleted: 1 });
    let refused = batch(&values, [vec![Value::Text("a"), Value::Json("1")], vec![Value::Text("b"), Value::Null]]);
    assert_eq!(insert(target.as_mut(), &table, 3, &refused).map_err(|it| it.kind()), Err(Kind::Row));

    let keys = namespace.ask("GET", "keys", b"");
    let listed = json!([
        {"name": "new", "expiration": LATER, "metadata": [1]}, {"name": "there", "expiration": LATER, "metadata": {"v": 1}},
    ]);
    assert_eq!(keys["result"], listed);
    let value = |key: &str| namespace.ask("GET", &format!("values/{key}"), b"");
    assert_eq!((value("new"), value("there")), (json!({"n": 2}), json!([3])));
    assert_eq!(count(&blobs), 2, "values that no key has any more are gone");
}

/// A whole run, proved and undone, into what `wrangler dev` keeps.
#[test]
fn a_migration_into_a_namespace_on_this_machine_is_proved_and_undone() {
    let namespace = miniflare::namespace();
    namespace.put("b", b"\"old\"", Some("{\"kept\":1}"), None);
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("rows.json", r#"[{"key":"a","value":[1]},{"key":"b","value":[2]}]"#);
    let plan = format!(
        "version = 1\nsource = {{ kind = 'json', path = 'rows.json' }}\n\
         target = {{ kind = 'kv-local', path = '{}', namespace = '{}' }}\n\
         table = [{{ into = 'entries', from = 'rows', conflict = 'overwrite', columns.key = '.key', columns.value = '.value' }}]\n\
         gate = {{ unpaired = ['entries.metadata', 'entries.expiration'] }}\n",
        namespace.state_dir.display(),
        namespace.id
    );
    write("cutover.toml", &plan);
    let state = || {
        let keys = namespace.ask("GET", "keys", b"")["result"].clone();
        let value = |it: &Json| namespace.ask("GET", &format!("values/{}", it["name"].as_str().expect("a key")), b"");
        let values = keys.as_array().expect("keys").iter().map(value).collect::<Vec<_>>();
        json!([keys, values])
    };
    let before = state();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
        let done = command.current_dir(folder.path()).args(arguments).output().expect("the program runs");
        let said = [done.stdout, done.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        assert!(done.status.success(), "{arguments:?}: {said}");
    };
    run(&["migrate"]);
    assert_eq!(state(), json!([[{"name": "a"}, {"name": "b", "metadata": {"kept": 1}}], [[1], [2]]]));
    run(&["verify"]);
    run(&["rollback", "--confirm"]);
    assert_eq!(state(), before);
}

#[test]
fn an_edge_config_is_changed_at_once() {
    let vercel = Vercel::new(json!({"there": "own", "old": 1, "gone": null}));
    let api = vercel.server.url();
    let options = options(&[("id", ID), ("token", TOKEN), ("team", TEAM), ("api", &api)]);
    let (mut target, table) = begun("edge-config", &options);
    let shape = shape(&[("key", Type::Text), ("value", Type::Json)]);
    let rows = |all: &[(&'static str, &'static str)]| {
        batch(&shape, all.iter().map(|it| vec![Value::Text(it.0), Value::Json(it.1)]))
    };
    let inserts = rows(&[("there", "1"), ("n1", "{\"a\":[12345678901234567890.10]}"), ("n2", "null")]);
    let (updates, deletes) = (rows(&[("old", "\"x\""), ("nobody", "1")]), rows(&[("gone", "1"), ("nobody", "1")]));
    let done = write(target.as_mut(), &table, 1, [&inserts, &updates, &deletes]).expect("written");
    assert_eq!(done, Written { inserted: 2, updated: 1, deleted: 1 });
    let done = write(target.as_mut(), &table, 1, [&inserts, &updates, &deletes]).expect("written");
    assert_eq!(done, Written { inserted: 0, updated: 1, deleted: 0 });
    let expect =
        rows(&[("there", "\"own\""), ("old", "\"x\""), ("n1", "{\"a\":[12345678901234567890.10]}"), ("n2", "null")]);
    assert_eq!(read("edge-config", &options, &shape), bytes(&expect));
    let kind = |it: Result<Written>| it.expect_err("a refusal").kind();
    let odd = batch(&shape, [vec![Value::Text("a b"), Value::Json("1")]]);
    assert_eq!(kind(insert(target.as_mut(), &table, 1, &odd)), Kind::Row);
    let large = format!("\"{}\"", "x".repeat(9000));
    let large = batch(&shape, [vec![Value::Text("large"), Value::Json(&large)]]);
    assert_eq!(kind(insert(target.as_mut(), &table, 1, &large)), Kind::Limit);
    let connection = vercel.connection(READ_TOKEN);
    let reading = target::open("edge-config", "".as_ref(), &self::options(&[("url", &connection)]));
    let error = reading.err().expect("a refusal");
    assert!(error.kind() == Kind::Plan && error.to_string().contains("can only read"), "{error}");
}

#[test]
fn an_import_endpoint_gets_all_rows_once() {
    let server = Server::new(|request| match request.path.as_str() {
        "/api/admin/import" => Response::json("{}"),
        "/lost" => Response::text("").status(502),
        _ => Response::json("[]"),
    });
    let open = |import: &str| {
        let url = format!("{}/api/rows", server.url());
        target::open("http", "".as_ref(), &options(&[("url", &url), ("token", "c4n4ry"), ("import", import)]))
    };
    let mut target = open("/api/admin/import").expect("a target");
    let shape = shape(&[("id", Type::Int), ("name", Type::Text), ("at", Type::Date)]);
    let rows = batch(&shape, (0..3).map(|id| vec![Value::Int(id), Value::Text("a\"b"), Value::Date(0)]));
    let table = Table::new("rows");
    assert_eq!(insert(target.as_mut(), &table, 1, &rows).expect("sent").inserted, 3);
    let sent = server.take();
    let expect = Json::Array((0..3).map(|id| json!({"id": id, "name": "a\"b", "at": "1970-01-01"})).collect());
    assert_eq!((sent.len(), sent[0].json(), sent[0].method.as_str()), (1, expect, "POST"));
    let kind = |it: Result<Written>| it.expect_err("a refusal").kind();
    assert_eq!(kind(insert(target.as_mut(), &table, 1, &rows)), Kind::Store, "a second time");
    let none = batch(&shape, []);
    assert_eq!(kind(write(target.as_mut(), &table, 1, [&none, &rows, &none])), Kind::Plan);
    let mut lost = open("/lost").expect("a target");
    assert_eq!(kind(insert(lost.as_mut(), &table, 1, &rows)), Kind::Unsure);
    assert_eq!(kind(insert(lost.as_mut(), &table, 1, &rows)), Kind::Store);
    assert_eq!(server.take().len(), 1);
    let document = self::shape(&[("key", Type::Text), ("value", Type::Json)]);
    let document = batch(&document, [vec![Value::Text("bioData"), Value::Json("{\"x\":1}")]]);
    insert(open("/api/admin/import").expect("a target").as_mut(), &table, 1, &document).expect("sent");
    assert_eq!(server.take()[0].json(), json!({"bioData": {"x": 1}}));
    assert!(open("https://other.test/import").is_err_and(|it| it.kind() == Kind::Plan));
}
