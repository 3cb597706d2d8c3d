//! Rows that are written while others are still compared: what is seen of it is as if they had been written afterwards.

use super::{
    command::{Done, run},
    migrate::{ALL, MEMBERS, ask, folder, plan},
    support::Folder,
};
use rusqlite::Connection;
use serde_json::json;
use std::fs;

fn migrate(folder: &Folder, arguments: &[&str]) -> Done {
    run(folder, &[&["migrate", "--no-backup", "--log", "logs"], arguments].concat())
}

/// How many tables got rows ahead.
fn ahead(folder: &Folder) -> usize {
    let log = fs::read_to_string(folder.path("logs/migration-success.log")).unwrap_or_default();
    log.matches("written while it was compared").count()
}

/// A file with these statements, none of them a row.
fn blank(more: &str) -> Folder {
    let folder = folder(" ");
    folder.sqlite("target.db", more);
    folder
}

#[test]
fn a_file_without_rows_gets_them_while_they_are_compared() {
    let check = |folder: Folder, arguments: &[&str], tables: usize| {
        let done = migrate(&folder, arguments);
        assert_eq!((done.code, ahead(&folder)), (0, tables), "{arguments:?}: {} {}", done.stdout, done.stderr);
        assert_eq!(ask(&folder, MEMBERS), ALL, "{arguments:?}");
        assert_eq!(run(&folder, &["verify"]).code, 0, "{arguments:?}");
        assert_eq!(run(&folder, &["rollback", "--confirm"]).code, 0, "{arguments:?}");
        assert_eq!(ask(&folder, MEMBERS).len(), 0, "{arguments:?}");
    };
    check(folder(""), &[], 2);
    check(blank(""), &[], 2);
    check(blank(""), &["--only", "teams,members"], 2);
    check(folder(""), &["--batch-size", "2"], 0);
    check(folder(""), &["--batch-delay", "1ms"], 0);
    check(folder(""), &["--disable-indexes"], 0);
    check(blank("INSERT INTO teams VALUES (1, 'red')"), &[], 0);
    check(blank("CREATE TRIGGER seen AFTER INSERT ON teams BEGIN SELECT 1; END"), &[], 0);
    check(blank("PRAGMA journal_mode = wal"), &[], 0);
}

#[test]
fn what_does_not_pass_is_taken_back() {
    let check = |folder: Folder, wrong: &str, arguments: &[&str], code: i32, says: &str| {
        folder.sqlite("source.db", wrong);
        let before = fs::read(folder.path("target.db")).ok();
        let done = migrate(&folder, arguments);
        assert_eq!((done.code, ahead(&folder)), (code, 0), "{wrong}: {} {}", done.stdout, done.stderr);
        assert!(done.stdout.contains(says), "{wrong}: {}", done.stdout);
        assert_eq!(fs::read(folder.path("target.db")).ok(), before, "{wrong}");
        assert!(!folder.path("target.db-journal").exists(), "{wrong}");
    };
    let orphan = "INSERT INTO people VALUES (9, 9, 'eve@example.test', NULL)";
    let twice = "INSERT INTO people VALUES (9, 1, 'mira@example.test', NULL)";
    let refused = "INSERT INTO people VALUES (9, 1, 'nobody', NULL)";
    for made in [|| folder(""), || blank("")] {
        check(made(), orphan, &[], 1, "refer");
        check(made(), twice, &[], 1, "unique");
        check(made(), refused, &[], 1, "reject");
        check(made(), "SELECT 1", &["--dry-run"], 0, "preview");
    }
}

#[test]
fn what_cannot_be_written_ahead_is_written_afterwards() {
    // A table that begins anew, since its rows turn out to be in another order.
    let unsorted = folder("");
    plan(&unsorted, "kind = \"sqlite\", path = \"source.db\"", "kind = \"json\", path = \"source.json\"");
    let rows = r#"{ "teams": [{ "id": 2, "name": "blue" }, { "id": 1, "name": "red" }], "people": [
        { "id": 3, "team": 2, "email": "ada@example.test", "seen": "2026-01-03T10:00:00Z" },
        { "id": 1, "team": 1, "email": "mira@example.test", "seen": "2026-01-01T10:00:00Z" },
        { "id": 2, "team": 2, "email": "bo@example.test", "seen": null }] }"#;
    fs::write(unsorted.path("source.json"), rows).expect("rows");
    let done = migrate(&unsorted, &[]);
    assert_eq!((done.code, ahead(&unsorted)), (0, 0), "{} {}", done.stdout, done.stderr);
    assert_eq!(ask(&unsorted, MEMBERS), ALL);

    // A row that the target refuses, which is looked for and said as usual.
    let guarded = folder("");
    let schema = fs::read_to_string(guarded.path("schema.sql")).expect("a schema");
    let schema = schema.replace("note TEXT)", "note TEXT, CHECK (email <> 'bo@example.test'))");
    guarded.sqlite("target.db", &schema);
    plan(&guarded, ", schema = \"schema.sql\" }", " }\nmigrate = { rollback_threshold = 0.5 }");
    let done = migrate(&guarded, &["--continue-on-error"]);
    assert_eq!((done.code, ahead(&guarded)), (1, 0), "{} {}", done.stdout, done.stderr);
    assert_eq!(ask(&guarded, MEMBERS), [ALL[0], ALL[2]]);
    assert!(done.stdout.contains("1 rows were left out"), "{}", done.stdout);

    // All that the target is given of a table it refuses.
    let closed = folder("");
    closed.sqlite("target.db", &schema.replace("'bo@example.test'", "email"));
    plan(&closed, ", schema = \"schema.sql\" }", " }\nmigrate = { rollback_threshold = 1.0 }");
    let done = migrate(&closed, &["--continue-on-error", "--format", "json"]);
    let members = done.json()["tables"][1].clone();
    assert_eq!((done.code, &members["failed"], &members["inserted"]), (1, &json!(3), &json!(0)), "{}", done.stdout);
}

/// A key that the target does not guard costs no look at all that is there for each batch.
#[test]
fn a_key_that_is_not_guarded_is_written_ahead_too() {
    let folder = folder("");
    folder.sqlite("target.db", "CREATE TABLE members (id, team_id, email, seen, note); CREATE TABLE teams (id, name)");
    plan(&folder, ", schema = \"schema.sql\"", "");
    let keyed = fs::read_to_string(folder.path("cutover.toml")).expect("a plan");
    let keyed = keyed.replace("from = \"people\"", "from = \"people\"\nkey = [\"id\"]");
    fs::write(folder.path("cutover.toml"), keyed.replace("into = \"teams\"", "into = \"teams\"\nkey = [\"id\"]"))
        .expect("a plan");
    let done = migrate(&folder, &[]);
    assert_eq!((done.code, ahead(&folder)), (0, 2), "{} {}", done.stdout, done.stderr);
    assert_eq!(ask(&folder, MEMBERS), ALL);
}

#[test]
fn a_file_that_somebody_reads_is_left_alone() {
    let folder = blank("");
    let reader = Connection::open(folder.path("target.db")).expect("the target");
    reader.execute_batch("BEGIN; SELECT * FROM members").expect("it can be read");
    let done = migrate(&folder, &["--retries", "0"]);
    assert!(done.code != 0 && ahead(&folder) == 0, "{} {}", done.stdout, done.stderr);
    assert!(format!("{}{}", done.stdout, done.stderr).contains("another program holds it locked"), "{}", done.stderr);
    reader.execute_batch("ROLLBACK").expect("the lock goes");
    assert_eq!((migrate(&folder, &[]).code, ahead(&folder)), (0, 2));
    assert_eq!(ask(&folder, MEMBERS), ALL);
}
