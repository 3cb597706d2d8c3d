//! What stores are called, and what is said about them before a row is read.

use super::{
    command::{Done, contents, cutover, names},
    faces::snapshot,
    support::Folder,
};
use std::fs;

const SECRET: &str = "hunter2-canary";

fn two() -> Folder {
    let folder = Folder::pair(
        "CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
         CREATE TABLE member (id INTEGER PRIMARY KEY, mail TEXT, team_id INT REFERENCES team (id));
         CREATE TABLE old (x BLOB);
         INSERT INTO team VALUES (1, 'a'), (2, 'b')",
        "CREATE TABLE team (id INT PRIMARY KEY, name TEXT, since TEXT) STRICT, WITHOUT ROWID;
         CREATE TABLE members (id INTEGER PRIMARY KEY, mail TEXT, team_id INT)",
    );
    let plan = "version = 1\nsource = { kind = \"sqlite\", path = \"source.db\" }\n\
        target = { kind = \"sqlite\", path = \"target.db\" }\n";
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    folder
}

/// What a run prints, with these variables. The secret is nowhere in it.
fn run(folder: &Folder, arguments: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command = cutover(folder);
    command.args(arguments).envs(variables.iter().copied());
    let done = Done::new(command.output().expect("the program runs"));
    assert!(!done.stdout.contains(SECRET) && !done.stderr.contains(SECRET), "{} {}", done.stdout, done.stderr);
    done
}

#[test]
fn what_people_see() {
    let folder = two();
    snapshot("cli_info", cutover(&folder).arg("info"));
    snapshot("cli_info_detailed", cutover(&folder).args(["info", "source.db", "--detailed"]));
    snapshot("cli_info_json", cutover(&folder).args(["info", "--format", "json"]));
    snapshot("cli_connection", cutover(&folder).arg("test-connection"));
    snapshot("cli_connection_json", cutover(&folder).args(["test-connection", "target.db", "--format", "json"]));
    snapshot("cli_help_info", cutover(&folder).args(["info", "--help"]));
    snapshot("cli_help_connection", cutover(&folder).args(["test-connection", "--help"]));
}

#[test]
fn every_store_that_fails_is_reported() {
    let folder = two();
    fs::write(folder.path("broken.json"), "[{").expect("a file");
    for verb in ["test-connection", "info"] {
        let done = run(&folder, &[verb, "nowhere.db", "source.db", "json:broken.json"], &[]);
        assert_eq!((done.code, done.stderr.as_str()), (2, ""), "{verb}: {}", done.stdout);
        let says = ["nowhere.db: no such file", "sqlite source.db", "broken.json:1:3"];
        assert!(says.iter().all(|it| done.stdout.contains(it)), "{verb}: {}", done.stdout);
        let json = run(&folder, &[verb, "nowhere.db", "source.db", "--format", "json"], &[]);
        assert_eq!((json.code, json.json()["stores"].as_array().map(Vec::len)), (2, Some(2)), "{verb}");
        fs::rename(folder.path("target.db"), folder.path("gone.db")).expect("a file");
        let done = run(&folder, &[verb, "cutover.toml"], &[]);
        assert_eq!(done.code, 2, "{verb}: {}", done.stdout);
        assert!(done.stdout.contains("source: sqlite source.db") && done.stdout.contains("target: sqlite target.db"));
        fs::rename(folder.path("gone.db"), folder.path("target.db")).expect("a file");
    }
}

#[test]
fn every_kind_of_file_says_something_and_stays_as_it_is() {
    let folder = two();
    fs::write(folder.path("rows.csv"), "id\n1\n").expect("a file");
    fs::write(folder.path("dump.sql"), "CREATE TABLE t (id INTEGER PRIMARY KEY);\nINSERT INTO t VALUES (1);\n")
        .expect("a file");
    assert_eq!(run(&folder, &["capture", "source.db", "kept"], &[]).code, 0);
    drop(folder.sqlite("log.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY)"));
    let before = (names(&folder), contents(&folder));
    for (store, says) in [
        ("rows.csv", "opened for reading only"),
        ("dump.sql", "loaded into a private database"),
        ("kept", "cutover-snapshot/1"),
        ("log.db", "opened without locks"),
        ("source.db", "read only"),
    ] {
        let done = run(&folder, &["test-connection", store], &[]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{store}: {}", done.stdout);
        assert!(done.stdout.contains(says), "{store}: {}", done.stdout);
        assert_eq!(run(&folder, &["info", store], &[]).code, 0, "{store}");
    }
    assert_eq!(before, (names(&folder), contents(&folder)));
}

#[test]
fn a_table_that_cannot_be_read_is_no_connection() {
    let folder = Folder::new();
    drop(folder.sqlite("text.db", "CREATE VIRTUAL TABLE words USING fts5(word)"));
    let done = run(&folder, &["test-connection", "text.db"], &[]);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(done.stdout.contains("`words`: a virtual table"), "{}", done.stdout);
}

#[test]
fn secrets_are_not_typed_and_not_repeated() {
    let folder = two();
    let typed = [
        format!("postgres://mira:{SECRET}@db.example/shop"),
        format!("postgres://db.example/shop?password={SECRET}"),
        format!("postgres:password={SECRET}"),
        format!("https://{SECRET}@app.example/api"),
        format!("https://app.example/api?access_token={SECRET}"),
        format!("edge-config:https://app.example/ecfg?token={SECRET}"),
    ];
    for text in &typed {
        for verb in
            [&["diff", text, "target.db"][..], &["capture", text, "kept"], &["info", text], &["test-connection", text]]
        {
            let done = run(&folder, verb, &[]);
            assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{verb:?}");
            assert!(done.stderr.contains("env:NAME"), "{}", done.stderr);
        }
    }
    // In a variable it may be, and then it is shown no more than it was typed.
    for text in typed.iter().chain([&format!("ftp://{SECRET}"), &format!("{SECRET}.db"), &format!("{SECRET}@host")]) {
        let done = run(&folder, &["test-connection", "env:STORE"], &[("STORE", text)]);
        assert_eq!(done.code, 2, "{text}: {}", done.stdout);
    }
}

#[test]
fn a_variable_may_hold_what_a_store_is_called() {
    let folder = two();
    fs::write(folder.path(".env"), "OLD=source.db\nNEW=nowhere.db\n").expect("a file");
    fs::write(folder.path(".env.local"), "NEW=sqlite:target.db\n").expect("a file");
    let report = run(&folder, &["diff", "env:OLD", "env:NEW", "--format", "json"], &[]).json();
    assert_eq!((&report["source"]["name"], &report["target"]["name"]), (&"source.db".into(), &"target.db".into()));
    let report = run(&folder, &["diff", "env:OLD", "env:NEW", "--format", "json"], &[("OLD", "target.db")]).json();
    assert_eq!(report["source"]["name"], "target.db", "the environment goes before files");
    let plan = run(&folder, &["init", "env:OLD", "env:NEW", "--output", "-"], &[]).stdout;
    assert!(plan.contains("path = \"source.db\"") && plan.contains("path = \"target.db\""), "{plan}");
    for name in ["env:GONE", "env:EMPTY", "env:"] {
        let done = run(&folder, &["show", name], &[("EMPTY", "")]);
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{name}");
        assert!(done.stderr.contains("is not set"), "{}", done.stderr);
    }
}

#[test]
fn every_verb_that_reads_takes_the_same_limits() {
    let folder = two();
    let limits = ["--threads", "1", "--rate", "2.5"];
    for verb in [
        &["diff", "source.db", "source.db", "--allow-empty", "all"][..],
        &["check"],
        &["capture", "source.db", "kept"],
        &["show", "source.db"],
        &["info"],
        &["test-connection"],
        &["init", "source.db", "target.db", "--output", "-"],
    ] {
        let done = run(&folder, &[verb, &limits].concat(), &[]);
        assert_eq!(done.code, 0, "{verb:?}: {} {}", done.stdout, done.stderr);
        for wrong in [["--threads", "0"], ["--rate", "0"]] {
            assert_eq!(run(&folder, &[verb, &wrong].concat(), &[]).code, 2, "{verb:?} {wrong:?}");
        }
    }
}
