//! `validate`: one store, or what a mapping makes of one, against its own rules.

use super::{
    command::{Done, run},
    support::Folder,
};
use serde_json::{Value, json};
use std::fs;

const BROKEN: &str = r#"
    PRAGMA foreign_keys = OFF;
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams (id), email TEXT, age INTEGER, doc JSON);
    INSERT INTO teams VALUES (1, 'red'), (2, NULL);
    INSERT INTO people VALUES (1, 1, 'a@example.test', 30, '{"a":1}'), (2, 9, 'b@example.test', 'old', '{"a":'),
        (3, NULL, 'a@example.test', 7, NULL), (4, 1, 'nobody', 200, '[]');"#;

const SCHEMA: &str = "
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams (id), email TEXT UNIQUE, age INTEGER, doc TEXT);";

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db", schema = "schema.sql" }

[[table]]
into = "people"
columns.id = ".id"
columns.team = ".team"
columns.email = { from = ".email", matches = "@" }
columns.age = ".age"
columns.doc = { from = ".doc", type = "json" }

[[table]]
into = "teams"
"#;

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32) -> Done {
    let done = run(folder, &[&["validate"], arguments].concat());
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    done
}

/// The errors of a table: key, columns and rule of each.
fn errors(report: &Value, table: &str) -> Vec<String> {
    let tables = report["tables"].as_array().expect("tables");
    let table = tables.iter().find(|it| it["name"] == table).expect("the table");
    let errors = table["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|it| {
            format!("{} {} {} {}", it["kind"], it["key"], it["columns"], it["values"]).replace('"', "")
                + " "
                + it["rule"].as_str().expect("a rule")
        })
        .collect()
}

#[test]
fn a_store_by_what_it_declares_itself() {
    let folder = Folder::new();
    folder.sqlite("app.db", BROKEN);
    let done = check(&folder, &["app.db"], 1);
    insta::assert_snapshot!(done.stdout, @r#"
    FAIL     sqlite app.db: 3 errors in 6 rows of 2 tables

    people  invalid 2, orphans 1
      id=2  not int               age=old
      id=2  not json              doc='{"a":'
      id=2  refers to teams (id)  team=9
    "#);
    let report = check(&folder, &["app.db", "--format", "json"], 1).json();
    assert_eq!((&report["format"], &report["verdict"]), (&json!("cutover-validation/1"), &json!("fail")));
    let expect = [
        "invalid {id:2} [age] [old] not int",
        "invalid {id:2} [doc] [{\\a\\:] not json",
        "orphan {id:2} [team] [9] refers to teams (id)",
    ];
    assert_eq!(errors(&report, "people"), expect, "{report}");
    folder.sqlite("fine.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL); INSERT INTO t VALUES (1, 'x')");
    let fine = check(&folder, &["fine.db"], 0);
    assert_eq!(fine.stdout, "PASS     sqlite fine.db: 0 errors in 1 rows of 1 tables\n");
    let few = check(&folder, &["app.db", "--limit", "1", "--format", "json"], 1).json();
    let people =
        &few["tables"].as_array().expect("tables").iter().find(|it| it["name"] == "people").expect("people").clone();
    assert_eq!(
        (&people["invalid"], &people["truncated"], people["errors"].as_array().map(Vec::len)),
        (&json!(2), &json!(true), Some(2))
    );
}

#[test]
fn a_mapped_source_by_the_rules_of_its_plan() {
    let folder = Folder::new();
    folder.sqlite("source.db", BROKEN);
    fs::write(folder.path("schema.sql"), SCHEMA).expect("a schema");
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    let report = check(&folder, &["--format", "json"], 1).json();
    let expect = [
        "reject {id:4} [email] [nobody] matches @",
        "invalid {id:2} [age] [old] not int",
        "invalid {id:2} [doc] [{\\a\\:] not json",
        "clash {id:3} [email] [a@example.test] unique (email)",
        "orphan {id:2} [team] [9] refers to teams (id)",
    ];
    assert_eq!(errors(&report, "people"), expect, "{report}");
    assert_eq!(errors(&report, "teams"), ["invalid {id:2} [name] [null] not null"], "{report}");
    assert!(!folder.path("target.db").exists(), "nothing is written");
    assert_eq!(check(&folder, &["source", "--format", "json"], 1).json(), report);
    fs::rename(folder.path("cutover.toml"), folder.path("prod.toml")).expect("another name");
    assert_eq!(check(&folder, &["--plan", "prod.toml", "--format", "json"], 1).json(), report);
    for other in ["source.db", "prod.toml"] {
        let refused = check(&folder, &[other, "--plan", "prod.toml"], 2);
        assert!(refused.stderr.contains("--plan is about `source` and `target`"), "{}", refused.stderr);
    }
    fs::rename(folder.path("prod.toml"), folder.path("cutover.toml")).expect("its name again");

    folder.sqlite(
        "target.db",
        &format!("PRAGMA foreign_keys = OFF; {SCHEMA} INSERT INTO teams VALUES (1, 'red'); INSERT INTO people VALUES (1, 5, 'x', 3, '{{');"),
    );
    let target = check(&folder, &["target", "--plan", "cutover.toml", "--format", "json"], 1).json();
    let expect = ["invalid {id:1} [doc] [{] not json", "orphan {id:1} [team] [5] refers to teams (id)"];
    assert_eq!(
        (errors(&target, "people"), &target["store"]["name"]),
        (expect.map(str::to_owned).to_vec(), &json!("target.db"))
    );
    folder.sqlite("target.db", "UPDATE people SET team = 1, doc = '{}'");
    assert!(check(&folder, &["target"], 0).stdout.starts_with("PASS     sqlite target.db: 0 errors in 2 rows"));
}

#[test]
fn what_cannot_be_read_is_undecided() {
    let folder = Folder::new();
    folder.sqlite("app.db", "CREATE VIRTUAL TABLE v USING fts5 (x); CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let done = check(&folder, &["app.db"], 2);
    assert!(done.stdout.starts_with("UNKNOWN  sqlite app.db: 0 errors"), "{}", done.stdout);
    assert!(check(&folder, &["nothing.db"], 2).stderr.contains("no such file"));
}
