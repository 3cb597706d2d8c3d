//! The same rows in every kind of store.

use super::{
    command::{Done, run, totals},
    support::Folder,
};
use std::fs;

fn people() -> Folder {
    let folder = Folder::new();
    let files = [
        ("people.csv", "id,name,score\n1,Mira,1.5\n2,\"a \"\"b\"\"\nc\",\n"),
        (
            "people.ndjson",
            "{\"id\":2,\"name\":\"a \\\"b\\\"\\nc\",\"score\":null}\n{\"score\":1.5,\"id\":1,\"name\":\"Mira\"}\n",
        ),
        ("people.json", r#"[{"id":1,"name":"Mira","score":1.5},{"id":2,"name":"a \"b\"\nc","score":null}]"#),
        (
            "people.sql",
            "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, score REAL);\n\
             INSERT INTO \"people\" (\"id\",\"name\",\"score\") VALUES(1,'Mira',1.5);\n\
             INSERT INTO \"people\" (\"id\",\"name\",\"score\") VALUES(2,'a \"b\"\nc',NULL);\n",
        ),
    ];
    for (name, text) in files {
        fs::write(folder.path(name), text).expect("a file");
    }
    folder.sqlite(
        "people.db",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, score REAL);
         INSERT INTO people VALUES (1, 'Mira', 1.5), (2, 'a \"b\"' || char(10) || 'c', NULL)",
    );
    let done = run(&folder, &["capture", "people.db", "people"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    folder
}

fn diff(folder: &Folder, source: &str, target: &str) -> Done {
    run(folder, &["diff", source, target, "--key", "id", "--null", "", "--format", "json"])
}

#[test]
fn every_kind_compares_with_every_kind() {
    let folder = people();
    let stores = ["people.csv", "people.ndjson", "people.json", "people.sql", "people.db", "people"];
    for source in stores {
        for target in stores {
            let done = diff(&folder, source, target);
            assert_eq!(done.stderr, "", "{source} {target}");
            let expect = ("source_rows=2 target_rows=2 same=2", 0);
            assert_eq!((totals(&done.json()).as_str(), done.code), expect, "{source} {target}: {}", done.stdout);
        }
    }
}

#[test]
fn one_changed_value_is_seen_in_every_kind() {
    let folder = people();
    folder.sqlite(
        "other.db",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, score REAL);
         INSERT INTO people VALUES (1, 'Mira', 1.5), (2, 'a \"b\" c', NULL)",
    );
    for source in ["people.csv", "people.ndjson", "people.json", "people.sql", "people.db", "people"] {
        let done = diff(&folder, source, "other.db");
        let expect = ("source_rows=2 target_rows=2 same=1 changed=1", 1);
        assert_eq!((totals(&done.json()).as_str(), done.code), expect, "{source}: {}", done.stdout);
    }
}

#[test]
fn damaged_files_are_errors_with_a_place() {
    let folder = people();
    for (name, text, says) in [
        ("json", "[{\"id\":1},", "people.json"),
        ("ndjson", "{\"id\":1}\n{\"id\":\n", "people.ndjson:2"),
        ("csv", "id,name\n1,\"never closed\n", "people.csv"),
        ("sql", "CREATE TABLE t (id INT;\n", "people.sql"),
    ] {
        // In a folder of its own, so that it is still the table of people.
        fs::create_dir_all(folder.path("bad")).expect("a folder");
        let name = format!("bad/people.{name}");
        fs::write(folder.path(&name), text).expect("a file");
        let done = diff(&folder, &name, "people.db");
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{name}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{name}: {}", done.stderr);
    }
    for missing in ["nowhere.csv", "nowhere.json", "csv:nowhere", "snapshot:nowhere", "marvel:people.db"] {
        let done = diff(&folder, missing, "people.db");
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{missing}");
    }
}

#[test]
fn a_damaged_snapshot_is_no_pass() {
    let folder = people();
    let path = folder.path("people/snapshot.json");
    let header = fs::read_to_string(&path).expect("a header");
    fs::write(&path, header.replace("\"name\"", "\"nome\"")).expect("a file");
    let done = diff(&folder, "people", "people.db");
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{}", done.stderr);
}
