//! Pairs of stores, plans and arguments that once got the wrong answer. What is found from outside stays found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path, process::Command};

/// What a run is given: files by name (`.db`: the statements that make it), and arguments.
struct Case<'c> {
    name: &'c str,
    files: &'c [(&'c str, &'c str)],
    arguments: &'c [&'c str],
    exit: i32,
    /// What the report as text, or the error, says.
    says: &'c str,
}

#[track_caller]
fn check(case: &Case<'_>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in case.files {
        make(&folder.path().join(name), text);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let done = command.args(case.arguments).args(["--color", "never"]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert_eq!(done.status.code(), Some(case.exit), "{}: {said}", case.name);
    assert!(said.contains(case.says), "{}: `{}` is not in: {said}", case.name, case.says);
}

fn make(path: &Path, text: &str) {
    match path.extension() {
        Some(it) if it == "db" => rusqlite::Connection::open(path).unwrap().execute_batch(text).unwrap(),
        _ => fs::write(path, text).unwrap(),
    }
}

#[test]
fn an_option_that_names_no_column_or_table_is_refused() {
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, e TEXT); INSERT INTO t VALUES (1, 'a')";
    for (arguments, says) in [
        (["--key", "nope"], "no table of the target has the columns nope"),
        (["--key", "t=id,nope"], "`t` has no column `nope`"),
        (["--map", "t.nope=e"], "`t` has no column `nope`"),
        (["--map", "t.e=nope"], "`t` has no column `nope`"),
        (["--allow-empty", "nope"], "there is no table `nope`"),
    ] {
        let arguments = [&["diff", "a.db", "b.db"][..], &arguments].concat();
        let name = &arguments.join(" ");
        check(&Case { name, files: &[("a.db", table), ("b.db", table)], arguments: &arguments, exit: 2, says });
    }
}

#[test]
fn names_that_differ_in_more_than_habit_do_not_pair() {
    let table =
        |name: &str| format!("CREATE TABLE t (id INTEGER PRIMARY KEY, \"{name}\" TEXT); INSERT INTO t VALUES (1, 'a')");
    let pairs = [("-", "_", 1), ("-", "+", 1), ("b", "b}", 1), ("c#", "c+", 1), ("\u{1f44d}", "\u{1f44e}", 1)];
    for (one, other, exit) in pairs.into_iter().chain([("Total Price", "total_price", 0), ("a.b-c", "BC", 0)]) {
        check(&Case {
            name: &format!("{one} and {other}"),
            files: &[("a.db", &table(one)), ("b.db", &table(other))],
            arguments: &["diff", "a.db", "b.db"],
            exit,
            says: if exit == 0 { "by name" } else { "only in the" },
        });
    }
}

#[test]
fn an_empty_write_ahead_log_is_no_writer() {
    let table = "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)";
    check(&Case {
        name: "a log without a frame",
        files: &[("a.db", table), ("b.db", table), ("a.db-wal", "")],
        arguments: &["diff", "a.db", "b.db"],
        exit: 0,
        says: "",
    });
}

#[test]
fn a_text_that_no_double_holds_is_not_that_double() {
    let row = |ty: &str, value: &str| {
        format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v {ty}); INSERT INTO t VALUES (1, {value})")
    };
    for (real, text, exit) in [
        ("9e999", "'1e400'", 1),
        ("0.0", "'1e-400'", 1),
        ("9007199254740992.0", "'9007199254740993'", 1),
        ("0.1", "'0.100000000000000000000000000001'", 1),
        ("0.1", "'0.10'", 0),
        ("0.1", "'0.10000000000000001'", 0),
    ] {
        check(&Case {
            name: &format!("{real} and {text}"),
            files: &[("a.db", &row("TEXT", text)), ("b.db", &row("REAL", real))],
            arguments: &["diff", "a.db", "b.db"],
            exit,
            says: "",
        });
    }
}

#[test]
fn a_captured_source_does_not_show_what_the_plan_calls_secret() {
    let plan = |rule: &str| {
        format!(
            "version = 1\nsource = {{ kind = \"json\", path = \"users.json\" }}\ntarget = {{ kind = \"sqlite\", path = \"b.db\" }}\n\
             [[table]]\ninto = \"t\"\nfrom = \"users\"\n[table.columns]\nid = \".id\"\ntoken = {rule}\n"
        )
    };
    let users = r#"[{"id": 1, "auth": "hunter2"}]"#;
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, token TEXT); INSERT INTO t VALUES (1, 'hunter2')";
    let computed = ["capture", "source", "s", "--plan", "p.toml"];
    let named = [&computed[..], &["--mask", "users.auth"]].concat();
    for (rule, arguments, exit) in [
        ("{ from = '.auth', secret = true }", &computed[..], 0),
        ("{ from = '.auth + \"\"', secret = true }", &computed[..], 2),
        ("{ from = '.auth + \"\"', secret = true }", &named[..], 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("users.json", users), ("b.db", table), ("p.toml", &plan(rule))] {
            make(&folder.path().join(name), text);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let done = command.args(arguments).current_dir(folder.path()).output().unwrap();
        assert_eq!(done.status.code(), Some(exit), "{rule}: {}", String::from_utf8_lossy(&done.stderr));
        for entry in fs::read_dir(folder.path().join("s")).into_iter().flatten() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!text.contains("hunter2"), "{rule}: {text}");
        }
    }
}

#[test]
fn a_header_of_a_million_columns_is_refused() {
    let header: String = (0..1_000_000).map(|it| format!("c{it},")).collect();
    check(&Case {
        name: "a header",
        files: &[("a.csv", &header)],
        arguments: &["diff", "a.csv", "a.csv"],
        exit: 2,
        says: "more columns than the limit of 10000",
    });
}
