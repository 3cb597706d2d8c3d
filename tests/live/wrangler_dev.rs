//! D1 and Workers KV as `wrangler dev` keeps them, while it runs: read as they were written, and left as they are.

use super::wrangler::Dev;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn cutover(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(folder).env_clear().args(arguments).output().expect("the program starts")
}

/// Its report, or its rows, each a line.
#[track_caller]
fn said(output: &Output, code: i32) -> &str {
    let error = String::from_utf8_lossy(&output.stderr);
    let text = std::str::from_utf8(&output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text} {error}");
    text
}

/// What is in the files below a folder, and when they were written. Who reads a database in this mode leaves a mark in the index of
/// its log, a file that holds nothing and is made anew, and so does everybody else.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with("-shm") {
                all.insert(path, (Vec::new(), std::time::UNIX_EPOCH));
            } else {
                let written = fs::metadata(&path).and_then(|it| it.modified()).expect("a time");
                all.insert(path.clone(), (fs::read(&path).expect("a file"), written));
            }
        }
    }
    all
}

#[test]
fn what_a_running_wrangler_keeps_is_read_and_left_as_it_is() {
    let dev = Dev::start();
    dev.ask(&json!({
        "sql": [
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB, n REAL)",
            "INSERT INTO t VALUES (1, 'Mira \u{1f600}', x'00ff', 0.1), (9007199254740993, NULL, NULL, 1e308)",
            "CREATE TABLE tags (name TEXT PRIMARY KEY) WITHOUT ROWID", "INSERT INTO tags VALUES ('a'), ('b'), ('c')",
        ],
        "put": [
            ["user:1", "{\"name\":\"Mira\"}", {"metadata": {"v": 1}, "expiration": 2_000_000_000}],
            ["bytes", {"bytes": [255, 0, 254]}, {}], ["empty", "", {}],
        ],
    }));
    let before = files(&dev.state());
    let logged = |it: &PathBuf| it.to_string_lossy().ends_with(".sqlite-wal");
    assert!(before.iter().any(|it| logged(it.0) && !it.1.0.is_empty()), "what was written is still in a log");
    let home = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| cutover(home.path(), arguments);
    let project = dev.project().display();
    let stores = [format!("d1-local:{project}#DB"), format!("kv-local:{project}#KV")];

    let shown = run(&["show", &stores[0], "t", "--format", "json"]);
    let rows = "{\"id\":1,\"a\":\"Mira \u{1f600}\",\"b\":\"AP8=\",\"n\":0.1}\n{\"id\":\"9007199254740993\",\"a\":null,\"b\":null,\"n\":1e308}\n";
    assert_eq!(said(&shown, 0), rows);
    let shown = run(&["show", &stores[1], "entries", "--format", "json"]);
    let rows: Vec<Value> = said(&shown, 0).lines().map(|it| serde_json::from_str(it).expect("a row")).collect();
    let entry = |key: &str, value: Value, metadata: Value, expiration: Value| json!({"key": key, "value": value, "metadata": metadata, "expiration": expiration});
    let user = entry("user:1", json!({"name": "Mira"}), json!({"v": 1}), json!(2_000_000_000));
    let plain = |key, value| entry(key, value, Value::Null, Value::Null);
    assert_eq!(rows, [plain("bytes", json!("/wD+")), plain("empty", json!("")), user]);

    for (store, backup, count) in [(&stores[0], "d1", 5), (&stores[1], "kv", 3)] {
        said(&run(&["capture", store, backup]), 0);
        let same = run(&["diff", backup, store, "--format", "json"]);
        let report: Value = serde_json::from_str(said(&same, 0)).expect("a report");
        assert_eq!(report["totals"]["same"], count, "{report}");
    }
    assert!(before == files(&dev.state()), "what was read is as it was");

    // It goes on, and what it writes now is seen.
    let change = json!({
        "sql": ["UPDATE t SET a = 'Bo' WHERE id = 1", "DELETE FROM tags WHERE name = 'b'", "SELECT a FROM t WHERE id = 1", "SELECT name FROM tags"],
        "put": [["user:1", "{}", {}], ["new", "1", {}]], "remove": ["empty"], "get": ["user:1", "empty"],
    });
    let answer = dev.ask(&change);
    assert_eq!(answer["rows"], json!([[], [], [{"a": "Bo"}], [{"name": "a"}, {"name": "c"}]]));
    assert_eq!(answer["values"], json!(["{}", null]));
    for (store, backup, counts) in [(&stores[0], "d1", [1, 1, 0]), (&stores[1], "kv", [1, 1, 1])] {
        let changed = run(&["diff", backup, store, "--format", "json"]);
        let report: Value = serde_json::from_str(said(&changed, 1)).expect("a report");
        let found = ["changed", "missing", "extra"].map(|it| report["totals"][it].as_u64());
        assert_eq!(found, counts.map(Some), "{store}: {report}");
    }
}
