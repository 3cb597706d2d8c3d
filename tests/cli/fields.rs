//! `fields`: what a new default would touch, and the statistics that go with it.

use super::{command::run, support::Folder};
use serde_json::json;
use std::fs;

/// One user has the new member already, one has neither, one is not there.
#[test]
fn new_fields_of_each_record() {
    let folder = Folder::new();
    let lines = [
        r#"{"key":"user:1","value":{"name":"Mira"}}"#,
        r#"{"key":"user:2","value":{"name":"Bo","preferences":{"theme":"dark"}}}"#,
        r#"{"key":"user:3","value":{"name":"Ada","preferences":{"theme":"dark","notifications":false}}}"#,
    ];
    fs::write(folder.path("before.ndjson"), lines.join("\n")).expect("a source");
    fs::write(folder.path("now.ndjson"), lines.join("\n")).expect("a target");
    fs::write(
        folder.path("cutover.toml"),
        r#"
version = 1
[source]
kind = "ndjson"
path = "before.ndjson"
types = { before = { key = "text", value = "json" } }
[target]
kind = "ndjson"
path = "now.ndjson"
types = { now = { key = "text", value = "json" } }
[[table]]
into = "now"
from = "before"
key = ["key"]
columns.key = ".key"
columns.value = '.value | .preferences = {theme: "light", notifications: true} + (.preferences // {})'
"#,
    )
    .expect("a plan");
    let done = run(&folder, &["fields"]);
    assert_eq!(done.code, 1, "{}{}", done.stdout, done.stderr);
    insta::assert_snapshot!(done.stdout, @r#"
    now: 3 rows, 2 need migration, 0 of them are not there yet
      new field                        rows  for example
      value.preferences                   1  user:1
      value.preferences.notifications     1  user:2
    "#);
    let report = run(&folder, &["fields", "--format", "json"]).json();
    let table = &report["tables"][0];
    assert_eq!(
        (&report["format"], &table["needsMigration"], &table["newFields"]),
        (
            &json!("cutover-fields/1"),
            &json!(2),
            &json!({ "value.preferences": 1, "value.preferences.notifications": 1 })
        )
    );
    let first = json!({
        "key": { "key": "user:1" }, "newFields": ["value.preferences"], "missing": false, "needsMigration": true,
    });
    assert_eq!(table["records"][0], first);
    assert_eq!(run(&folder, &["repair", "--apply"]).code, 0);
    let after = run(&folder, &["fields"]);
    assert_eq!(
        (after.code, after.stdout.as_str()),
        (0, "now: 3 rows, 0 need migration, 0 of them are not there yet\n")
    );
}

/// What the mapping refuses, nobody can say anything about.
#[test]
fn rows_that_are_refused_are_undecided() {
    let rows =
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (1, 'Mira'), (2, 'Bo')";
    let folder = Folder::pair(rows, rows);
    let check = |matches: &str, code: i32, says: &str| {
        let plan = format!(
            "version = 1\nsource = {{ kind = 'sqlite', path = 'source.db' }}\n\
             target = {{ kind = 'sqlite', path = 'target.db' }}\n[[table]]\ninto = 'users'\n\
             columns.id = '.id'\ncolumns.name = {{ from = '.name', matches = '{matches}' }}\n"
        );
        fs::write(folder.path("cutover.toml"), plan).expect("a plan");
        let done = run(&folder, &["fields"]);
        assert_eq!((done.code, done.stdout.as_str()), (code, says), "{}", done.stderr);
    };
    check("^[A-Z]", 0, "users: 2 rows, 0 need migration, 0 of them are not there yet\n");
    let refused = "users: 2 rows of the source are refused by the mapping\n";
    check("^[0-9]", 2, &format!("{refused}users: 0 rows, 0 need migration, 0 of them are not there yet\n"));
}
