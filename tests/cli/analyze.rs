//! What stores hold, and where the time of a verification goes.

use super::{
    canary::CANARY,
    command::{contents, names, run},
    support::Folder,
};
use cutover::{
    run::{
        Run,
        capture::{Masks, capture},
    },
    schema::{Column, Table},
    snapshot,
    store::memory::Memory,
    value::{self, Type},
};
use serde_json::{Value, json};
use std::fs;

const SOURCE: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, token TEXT, joined TEXT, score REAL);
    INSERT INTO users VALUES (1, 'mira@example.test', 'CANARY-1', '2026-01-01T10:00:00Z', 1.5),
        (2, 'bo@example.test', 'CANARY-2', '2026-01-02', NULL), (3, NULL, 'CANARY-2', 'yesterday', 'high');
    CREATE TABLE empty (id INTEGER PRIMARY KEY);";
const PLAN: &str = r#"version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "ndjson", path = "users.ndjson" }
gate.unpaired = ["empty"]
[[table]]
into = "users"
key = ["id"]
columns.id = ".id"
columns.token = { from = ".token", secret = true }
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.sqlite("source.db", SOURCE);
    let rows = "{\"id\":1,\"token\":\"CANARY-1\",\"more\":{\"a\":1,\"b\":2}}\n{\"id\":2,\"token\":\"CANARY-2\",\"more\":{\"a\":null}}\n";
    fs::write(folder.path("users.ndjson"), rows).expect("a file");
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    folder
}

/// A column of a table of the first store.
fn column<'j>(json: &'j Value, table: &str, name: &str) -> &'j Value {
    let find = |of: &'j Value, name: &str| of.as_array().and_then(|it| it.iter().find(|it| it["name"] == name));
    let table = find(&json["stores"][0]["tables"], table).expect("the table");
    find(&table["columns"], name).expect("the column")
}

#[test]
fn each_column_is_told() {
    let folder = folder();
    let before = (names(&folder), contents(&folder));
    let json = run(&folder, &["analyze", "source.db", "--mask", "users.token", "--format", "json"]).json();
    assert_eq!(json["format"], "cutover-analyze/1");
    let users = &json["stores"][0]["tables"][1];
    assert_eq!((&users["name"], &users["rows"]), (&json!("users"), &json!(3)));
    let id = column(&json, "users", "id");
    assert_eq!(
        (&id["least"], &id["greatest"], &id["distinct"]),
        (&json!(1), &json!(3), &json!({ "count": 3, "exact": true }))
    );
    let email = column(&json, "users", "email");
    assert_eq!((&email["nulls"], &email["formats"]), (&json!(1), &json!({ "e-mail": 2 })));
    let joined = column(&json, "users", "joined");
    assert_eq!(joined["formats"], json!({ "date": 1, "timestamp": 1 }));
    let score = column(&json, "users", "score");
    assert_eq!((&score["type"], &score["found"]), (&json!("real"), &json!({ "real": 1, "text": 1 })));
    let token = column(&json, "users", "token");
    assert_eq!(
        (&token["secret"], &token["least"], &token["distinct"]["count"]),
        (&json!(true), &Value::Null, &json!(2))
    );
    assert!(!json.to_string().contains(CANARY));
    let text = run(&folder, &["analyze", "source.db", "--only", "users"]).stdout;
    assert!(text.contains("users: 3 rows, ") && text.contains("e-mail") && !text.contains("empty"), "{text}");
    assert_eq!(run(&folder, &["analyze", "source.db", "--only", "nope"]).code, 2);
    for mask in ["users.tokn", "user.token", "token"] {
        let done = run(&folder, &["analyze", "source.db", "--mask", mask]);
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{mask}: what is misspelt would be shown");
        assert!(done.stderr.contains("to mask") || done.stderr.contains("TABLE.COLUMN"), "{}", done.stderr);
    }
    assert_eq!(before, (names(&folder), contents(&folder)), "to look leaves nothing behind");
}

#[test]
fn a_plan_masks_both_sides_and_has_a_profile() {
    let folder = folder();
    let done = run(&folder, &["analyze", "--profile"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stdout.contains(CANARY) && done.stdout.contains("********"), "{}", done.stdout);
    for part in ["source: sqlite", "target: ndjson", "more: members a, b 50.0 %", "read source", "compare", "connect"] {
        assert!(done.stdout.contains(part), "no {part:?} in {}", done.stdout);
    }
    let json = run(&folder, &["analyze", "--profile", "--format", "json"]).json();
    assert_eq!((&json["profile"]["items"], &json["profile"]["failed"]), (&json!(3), &json!(1)), "{json}");
    assert!(json["profile"]["connect"].is_number());
    assert_eq!(run(&folder, &["analyze", "source.db", "--profile"]).code, 2);
}

#[test]
fn a_part_is_never_told_as_the_whole() {
    let folder = Folder::new();
    let mut users = Table::new("users");
    users.columns = vec![Column::new("id", Type::Int)];
    users.partial = Some("rows are hidden".to_owned());
    let mut store = Memory::new().with(users, [[value::Value::Int(1)], [value::Value::Int(2)]]);
    let of = snapshot::Store { kind: "postgres".to_owned(), name: "app".to_owned() };
    let meta = snapshot::Meta { store: of, captured: "2026-01-01T00:00:00Z".to_owned(), notes: Vec::new() };
    let (here, how) = (Run::new(8 << 20, folder.path("")), snapshot::Options::default());
    capture(&here, &mut store, &folder.path("before"), meta, how, &Masks::default()).expect("a snapshot");

    let text = run(&folder, &["analyze", "before"]).stdout;
    assert!(
        text.contains("\n  a snapshot of postgres `app`") && text.contains("; maybe not all: rows are hidden"),
        "{text}"
    );
    let json = run(&folder, &["analyze", "before", "--format", "json"]).json();
    assert_eq!(json["stores"][0]["tables"][0]["partial"], "rows are hidden");
    assert_eq!(json["stores"][0]["notes"].as_array().map(Vec::len), Some(1), "{json}");

    let export = ["export", "before", "--only", "users", "--format", "json", "--output", "-"];
    let done = run(&folder, &export);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for part in ["`users` may not be whole: rows are hidden", "a snapshot of postgres `app`"] {
        assert!(done.stderr.contains(part), "no {part:?} in {}", done.stderr);
    }
    let quiet = run(&folder, &[&export[..], &["--quiet"]].concat());
    assert_eq!(quiet.stderr, "`users` may not be whole: rows are hidden\n");
}
