//! How large batches should be, and what there is around a plan.

use super::{
    command::{contents, names, run},
    support::Folder,
};
use serde_json::{Value, json};
use std::fs;

fn folder(kind: &str, path: &str) -> Folder {
    let folder = Folder::new();
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)";
    folder.sqlite("source.db", &format!("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); {rows} INSERT INTO users SELECT i, 'user ' || i FROM n;"));
    fs::write(folder.path("schema.sql"), "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);").expect("a schema");
    let schema = if kind == "sqlite" { ", schema = \"schema.sql\"" } else { "" };
    let plan = format!(
        "version = 1\nsource = {{ kind = \"sqlite\", path = \"source.db\" }}\n\
         target = {{ kind = \"{kind}\", path = \"{path}\"{schema} }}\n[[table]]\ninto = \"users\"\nkey = [\"id\"]\n"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    folder
}

fn looked(folder: &Folder, arguments: &[&str]) -> Value {
    let before = (names(folder), contents(folder));
    let done = run(folder, &[&["optimize", "--format", "json"], arguments].concat());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{}", done.stdout);
    assert_eq!(before, (names(folder), contents(folder)), "nothing is left behind, and no target is made");
    done.json()
}

#[test]
fn reading_is_measured_and_the_rest_is_known() {
    let folder = folder("sqlite", "target.db");
    let json = looked(&folder, &["--rows", "100"]);
    assert_eq!(json["format"], "cutover-optimize/1");
    let read = &json["measured"]["reads"][0];
    assert_eq!((&read["table"], &json["measured"]["writes"]), (&json!("users"), &json!([])));
    assert!(json["measured"]["unmeasured"].as_str().is_some_and(|it| it.contains("--probe-writes")), "{json}");
    assert_eq!(json["known"]["room"], json!({ "rows": 25000, "rows_max": 1_000_000, "bytes_max": 4 << 20 }));
    assert_eq!(json["proposed"]["batch_size"], 25000);
    let text = run(&folder, &["optimize"]).stdout;
    assert!(
        text.contains("read users") && text.contains("put into the plan:\n\n[migrate]\nbatch_size = 25000\n"),
        "{text}"
    );
}

#[test]
fn writing_is_measured_in_a_scratch_file() {
    for (kind, path) in [("sqlite", "target.db"), ("ndjson", "users.ndjson")] {
        let folder = folder(kind, path);
        if kind == "ndjson" {
            fs::write(folder.path(path), "{\"id\":1,\"name\":\"user 1\"}\n").expect("a file");
        }
        let json = looked(&folder, &["--probe-writes"]);
        let writes = json["measured"]["writes"].as_array().expect("writes");
        assert_eq!(writes[0]["batch"], 100, "{json}");
        let sizes: Vec<_> = writes.iter().map(|it| it["batch"].clone()).collect();
        assert!(sizes.contains(&json["proposed"]["batch_size"]), "{json}");
        assert!(writes.iter().all(|it| it["rows"].as_u64() > Some(0)), "{json}");
    }
}

#[test]
fn what_there_is_around_a_plan() {
    let folder = folder("sqlite", "target.db");
    assert_eq!(run(&folder, &["migrate", "--no-backup"]).code, 0);
    let text = run(&folder, &["info", "--detailed"]).stdout;
    for part in [
        "environment\n",
        "program ",
        "plan hash ",
        ".cutover: 1 runs, the last one ",
        "(done, pass)",
        "a batch takes 1,000,000 rows",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let json = run(&folder, &["info", "--detailed", "--format", "json"]).json();
    let environment = &json["environment"];
    let hash = blake3::hash(&fs::read(folder.path("cutover.toml")).expect("the plan")).to_hex().to_string();
    assert_eq!(environment["plan hash"], hash);
    assert!(json["stores"][0]["about"].as_array().is_some_and(|it| !it.is_empty()), "{json}");
    assert!(!run(&folder, &["info"]).stdout.contains("environment"));
}

#[test]
fn to_ask_what_a_target_takes_changes_nothing_of_it() {
    let absent = folder("sqlite", "missing/target.db");
    assert_eq!(looked(&absent, &[])["proposed"]["batch_size"], 25000);
    let text = run(&absent, &["info", "--detailed"]).stdout;
    assert!(text.contains("a batch takes 1,000,000 rows") && !absent.path("missing").exists(), "{text}");

    // What a process left behind that died: whoever opens it for writing takes the log into the file.
    let left = folder("sqlite", "target.db");
    let held = left.sqlite(
        "held.db",
        "PRAGMA journal_mode = WAL; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (1, 'x');",
    );
    let files = || ["target.db", "target.db-wal"].map(|it| fs::read(left.path(it)).expect("a file"));
    for end in ["", "-wal"] {
        fs::copy(left.path(format!("held.db{end}")), left.path(format!("target.db{end}"))).expect("a copy");
    }
    drop(held);
    let before = files();
    for arguments in [&["optimize"][..], &["info", "--detailed"]] {
        let done = run(&left, arguments);
        assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.contains("a batch takes 1,000,000 rows"), "{}", done.stdout);
        assert!(files() == before, "{arguments:?} changed the target");
    }
}
