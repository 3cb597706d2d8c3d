//! Files that are not there, not databases, damaged, locked, or in the middle of something.

use super::{
    command::{contents, cutover, diff, names, totals},
    support::Folder,
};
use std::{fs, process::Stdio};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');";

/// The run ends with exit code 2 and says `says` on stderr.
#[track_caller]
fn refuses(folder: &Folder, says: &str) {
    let done = diff(folder, &[]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{}", done.stderr);
    assert!(done.stderr.contains(says), "{}", done.stderr);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

#[test]
fn a_missing_file_is_an_error_and_is_not_made() {
    for there in ["source.db", "target.db"] {
        let folder = Folder::new();
        folder.sqlite(there, SCHEMA);
        refuses(&folder, "no such file");
        assert_eq!(names(&folder), [there]);
    }
}

#[test]
fn what_is_no_database() {
    for bytes in [&b"hello, world"[..], &b"SQLite format 3\0"[..], &[0; 4096]] {
        let folder = Folder::pair(SCHEMA, "");
        fs::write(folder.path("target.db"), bytes).expect("a file");
        refuses(&folder, "target.db");
    }
    let folder = Folder::new();
    folder.sqlite("source.db", SCHEMA);
    fs::create_dir(folder.path("target.db")).expect("a folder");
    refuses(&folder, "target.db");
}

#[test]
fn an_empty_file_is_an_empty_database_and_no_pass() {
    let folder = Folder::new();
    folder.sqlite("source.db", SCHEMA);
    fs::write(folder.path("target.db"), []).expect("a file");
    let done = diff(&folder, &[]);
    assert_ne!(done.code, 0, "{}", done.stdout);
}

#[test]
fn a_damaged_database_is_never_a_pass() {
    let fill = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
        INSERT INTO t SELECT i, 'value ' || i FROM n";
    let whole = Folder::pair(fill, fill);
    assert_eq!(diff(&whole, &[]).code, 0);
    let bytes = fs::read(whole.path("target.db")).expect("a file");
    let pages = bytes.len() / 4096;
    assert!(pages > 3, "{pages}");
    for page in 0..pages {
        // The head of each page, where its kind and its cells are.
        let mut damaged = bytes.clone();
        let head = page * 4096 + if page == 0 { 100 } else { 0 };
        damaged[head..head + 12].iter_mut().for_each(|it| *it ^= 0xff);
        fs::write(whole.path("target.db"), &damaged).expect("a file");
        let done = diff(&whole, &[]);
        assert_ne!(done.code, 0, "page {page}: {}", done.stdout);
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    }
    for length in [bytes.len() - 4096, 4096, 512, 99] {
        fs::write(whole.path("target.db"), &bytes[..length]).expect("a file");
        assert_ne!(diff(&whole, &[]).code, 0, "cut to {length}");
    }
}

#[test]
fn an_index_does_not_speak_for_its_table() {
    let schemas = [
        "CREATE TABLE t (id TEXT PRIMARY KEY, v INT);",
        "CREATE TABLE t (id TEXT, v INT); CREATE INDEX everything ON t (id, v);",
        "CREATE TABLE t (v INT PRIMARY KEY, id TEXT) WITHOUT ROWID; CREATE INDEX everything ON t (id);",
    ];
    for schema in schemas {
        let folder = Folder::new();
        for name in ["source.db", "target.db"] {
            folder.sqlite(name, &format!("{schema} INSERT INTO t (id, v) VALUES ('first', 1), ('second', 2)"));
        }
        let bytes = fs::read(folder.path("target.db")).expect("a file");
        let places = (0..bytes.len()).filter(|&it| bytes[it..].starts_with(b"second"));
        let codes = places.map(|at| {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(folder.path("target.db"), damaged).expect("a file");
            diff(&folder, &[]).code
        });
        let mut codes: Vec<i32> = codes.collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 1], "the damaged table is seen, the damaged index is not read: {schema}");
    }
}

#[test]
fn a_locked_database_is_said_to_be_locked() {
    let folder = Folder::pair(SCHEMA, SCHEMA);
    let writer = folder.sqlite("target.db", "BEGIN EXCLUSIVE; INSERT INTO t VALUES (3, 'c')");
    let output = cutover(&folder).args(["diff", "source.db", "target.db"]).output().expect("the program runs");
    let says = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{says}");
    assert!(says.contains("locked"), "{says}");
    writer.execute_batch("ROLLBACK").expect("the lock ends");
    assert_eq!(diff(&folder, &[]).code, 0);
}

#[test]
fn a_write_ahead_log_is_read_and_left_alone() {
    let folder = Folder::pair(SCHEMA, SCHEMA);
    let writer = folder.sqlite("target.db", "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    writer.execute_batch("INSERT INTO t VALUES (3, 'only in the log')").expect("a row");
    let files = |folder: &Folder| {
        let mut files = contents(folder);
        // The index of the log is shared memory: readers mark their place in it.
        files.remove("target.db-shm");
        files
    };
    let before = files(&folder);
    assert!(before["target.db-wal"].len() > 32, "the row is in the log");
    let output = cutover(&folder)
        .args(["diff", "source.db", "target.db", "--format", "json"])
        .output()
        .expect("the program runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(totals(&report), "source_rows=2 target_rows=3 same=2 extra=1");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(before, files(&folder), "the log was changed");
    drop(writer);
}

#[test]
fn a_log_that_was_left_behind_is_read() {
    let folder = Folder::pair(SCHEMA, SCHEMA);
    let writer = folder.sqlite("target.db", "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    writer.execute_batch("INSERT INTO t VALUES (3, 'only in the log')").expect("a row");
    // What a crash leaves: the database and the log, and no index of it.
    let left = Folder::new();
    for (name, from) in [("source.db", "source.db"), ("target.db", "target.db"), ("target.db-wal", "target.db-wal")] {
        fs::copy(folder.path(from), left.path(name)).expect("a copy");
    }
    let before =
        (fs::read(left.path("target.db")).expect("a file"), fs::read(left.path("target.db-wal")).expect("a file"));
    let output =
        cutover(&left).args(["diff", "source.db", "target.db", "--format", "json"]).output().expect("the program runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|it| panic!("{it}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(totals(&report), "source_rows=2 target_rows=3 same=2 extra=1");
    let after =
        (fs::read(left.path("target.db")).expect("a file"), fs::read(left.path("target.db-wal")).expect("a file"));
    assert_eq!(before, after);
}

#[test]
fn wal_mode_without_a_log() {
    let folder = Folder::pair(SCHEMA, SCHEMA);
    drop(folder.sqlite("target.db", "PRAGMA journal_mode = WAL"));
    assert_eq!(names(&folder), ["source.db", "target.db"]);
    assert_eq!(diff(&folder, &[]).code, 0);
    assert_eq!(names(&folder), ["source.db", "target.db"]);
}

#[test]
fn utf16_databases_hold_the_same_text() {
    let text =
        "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('z', 'a'), ('é', '😀'), ('日本', '');";
    for encoding in ["UTF-16le", "UTF-16be"] {
        let folder = Folder::pair(text, &format!("PRAGMA encoding = '{encoding}'; {text}"));
        let done = diff(&folder, &[]);
        let expect = ("source_rows=3 target_rows=3 same=3", 0);
        assert_eq!((totals(&done.json()).as_str(), done.code), expect, "{encoding}: {}", done.stdout);
    }
}

#[test]
fn a_virtual_table_is_no_pass() {
    let schema = "CREATE VIRTUAL TABLE docs USING fts5(body); INSERT INTO docs VALUES ('a');";
    let folder = Folder::pair(&format!("{SCHEMA} {schema}"), &format!("{SCHEMA} {schema}"));
    let done = diff(&folder, &[]);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert_eq!(totals(&done.json()), "source_rows=2 target_rows=2 same=2");
}

#[test]
fn one_file_may_be_both_sides() {
    let folder = Folder::pair(SCHEMA, SCHEMA);
    let mut command = cutover(&folder);
    let status = command.args(["diff", "source.db", "source.db"]).stdout(Stdio::null()).status();
    assert_eq!(status.expect("the program runs").code(), Some(0));
}
