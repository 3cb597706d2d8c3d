//! The other verbs, from an empty folder to a report.

use super::{
    command::{contents, names, run, totals},
    support::Folder,
};
use std::{fs, os::unix::fs::PermissionsExt};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);";

fn differing() -> Folder {
    Folder::pair(
        &format!("{SCHEMA} INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"),
        &format!("{SCHEMA} INSERT INTO t VALUES (1, 'a'), (2, 'x'), (4, 'd')"),
    )
}

#[test]
fn a_new_plan_checks_and_verifies() {
    let folder = differing();
    let done = run(&folder, &["init", "source.db", "target.db"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let plan = fs::read_to_string(folder.path("cutover.toml")).expect("a plan");
    assert_eq!(run(&folder, &["check"]).code, 0, "{plan}");
    let done = run(&folder, &["verify", "--format", "json"]);
    let report = done.json();
    let expect = ("source_rows=3 target_rows=3 same=1 changed=1 missing=1 extra=1", 1);
    assert_eq!((totals(&report).as_str(), done.code), expect, "{plan}");
    assert_eq!(report["plan"]["path"], "cutover.toml");
    let before = contents(&folder);
    assert_eq!(run(&folder, &["init", "source.db", "target.db"]).code, 2, "a plan is never written over");
    assert_eq!(before, contents(&folder));
}

#[test]
fn a_plan_may_let_differences_through_and_no_more() {
    let folder = differing();
    for (gate, code) in
        [("missing = 1\nextra = 1\nchanged = 1", 0), ("missing = 1\nextra = 1", 1), ("changed = { t = 9 }", 1)]
    {
        let plan = format!(
            "version = 1\n[source]\nkind = \"sqlite\"\npath = \"source.db\"\n[target]\nkind = \"sqlite\"\npath = \"target.db\"\n\
             [[table]]\ninto = \"t\"\nkey = [\"id\"]\n[gate]\n{gate}\n"
        );
        fs::write(folder.path("cutover.toml"), plan).expect("a plan");
        let done = run(&folder, &["verify"]);
        assert_eq!((done.code, done.stderr.as_str()), (code, ""), "{gate}: {}", done.stdout);
    }
}

#[test]
fn a_wrong_plan_says_where() {
    let folder = differing();
    for (plan, says) in [
        ("version = 1\n[sorce]\nkind = \"sqlite\"\n", "source"),
        ("version = 99\n", "version"),
        ("version = \n", "cutover.toml:1"),
        ("", "version"),
    ] {
        fs::write(folder.path("cutover.toml"), plan).expect("a plan");
        for verb in ["check", "verify"] {
            let done = run(&folder, &[verb]);
            assert_eq!(done.code, 2, "{verb} {plan}: {}", done.stdout);
            assert!(format!("{}{}", done.stdout, done.stderr).contains(says), "{verb} {plan}: {}", done.stderr);
        }
    }
    fs::remove_file(folder.path("cutover.toml")).expect("a plan");
    let done = run(&folder, &["verify"]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(done.stderr.contains("cutover.toml"), "{}", done.stderr);
}

#[test]
fn a_report_folder_holds_every_finding() {
    let folder = differing();
    let done =
        run(&folder, &["diff", "source.db", "target.db", "--limit", "1", "--output", "report", "--format", "json"]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    let report = done.json();
    assert_eq!(report["tables"][0]["findings"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["tables"][0]["findings_truncated"], true);
    let file = report["tables"][0]["findings_file"].as_str().expect("the name of a file");
    let lines = fs::read_to_string(folder.path("report").join(file)).expect("the findings");
    let kinds = lines.lines().map(|it| serde_json::from_str::<serde_json::Value>(it).expect("a line is JSON"));
    let mut kinds: Vec<String> = kinds.map(|it| it["kind"].as_str().expect("a kind").to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["changed", "extra", "missing"]);
    let written = fs::read_to_string(folder.path("report/report.json")).expect("the report");
    assert_eq!(written, done.stdout);
    assert!(folder.path("report/report.txt").is_file());
}

#[test]
fn a_report_folder_is_safe_from_the_names_of_tables() {
    let name = "\"../../../evil\u{1b}\"";
    let schema = format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY); INSERT INTO {name} VALUES");
    let folder = Folder::pair(&format!("{schema} (1)"), &format!("{schema} (2)"));
    fs::create_dir(folder.path("deep")).expect("a folder");
    let done = run(&folder, &["diff", "source.db", "target.db", "--output", "deep/report"]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    assert_eq!(names(&folder), ["deep", "source.db", "target.db"]);
    assert_eq!(fs::read_dir(folder.path("deep")).expect("a folder").count(), 1);
    let findings = fs::read_dir(folder.path("deep/report/findings")).expect("a folder");
    let findings: Vec<_> = findings.map(|it| it.expect("an entry").file_name()).collect();
    assert_eq!(findings.len(), 1);
    assert!(!findings[0].to_string_lossy().contains(|it: char| it.is_control() || it == '/'), "{findings:?}");
}

#[test]
fn what_was_captured_is_the_same_and_private() {
    let folder = differing();
    let before = contents(&folder);
    assert_eq!(run(&folder, &["capture", "source.db", "kept"]).code, 0);
    assert_eq!(before, contents(&folder), "a store was changed");
    let mode = |name: &str| fs::metadata(folder.path(name)).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode("kept"), mode("kept/snapshot.json")), (0o700, 0o600));
    assert_eq!(run(&folder, &["diff", "source.db", "kept"]).code, 0);
    assert_eq!(run(&folder, &["diff", "kept", "target.db"]).code, 1);
    assert_eq!(run(&folder, &["capture", "target.db", "kept"]).code, 2, "a snapshot is never written over");
    assert_eq!(run(&folder, &["capture", "target.db", "kept", "--replace"]).code, 0);
    assert_eq!(run(&folder, &["diff", "kept", "target.db"]).code, 0);
}

#[test]
fn one_row_is_shown_alone() {
    let folder = differing();
    let done = run(&folder, &["show", "source.db", "t", "2", "--format", "json"]);
    assert_eq!((done.stdout.as_str(), done.code), ("{\"id\":2,\"v\":\"b\"}\n", 0), "{}", done.stderr);
    for wrong in [&["show", "source.db", "u"][..], &["show", "nowhere.db"], &["show", "source.db", "t", "1", "2"]] {
        assert_eq!(run(&folder, wrong).code, 2, "{wrong:?}");
    }
    folder.sqlite(
        "hostile.db",
        "CREATE TABLE t (v TEXT); INSERT INTO t VALUES (char(27) || '[2J' || char(155) || char(10))",
    );
    for more in [&[][..], &["t"], &["t", "--format", "json"]] {
        assert_eq!(run(&folder, &[&["show", "hostile.db"], more].concat()).code, 0, "{more:?}");
    }
}

#[test]
fn what_editors_and_shells_are_given() {
    let folder = Folder::new();
    let schema = run(&folder, &["schema"]);
    assert_eq!(schema.code, 0);
    assert_eq!(schema.json()["type"], "object");
    for shell in ["bash", "zsh", "fish"] {
        let done = super::command::cutover(&folder).args(["completions", shell]).output().expect("the program runs");
        assert!(done.status.success() && String::from_utf8_lossy(&done.stdout).contains("verify"), "{shell}");
    }
}
