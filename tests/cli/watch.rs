//! `watch`: rounds of verification until enough in a row pass.

use super::{
    command::{cutover, run},
    support::Folder,
};
use cutover::run::state::{
    FOLDER,
    lock::{Lock, Owner},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

const ROWS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');";

fn folder(more: &str) -> Folder {
    let folder = Folder::pair(ROWS, ROWS);
    let text = format!(
        "version = 1\nsource = {{ kind = \"sqlite\", path = \"source.db\" }}\n\
         target = {{ kind = \"sqlite\", path = \"target.db\" }}\n{more}"
    );
    fs::write(folder.path("cutover.toml"), text).expect("a plan");
    folder
}

/// A watch that does not wait.
const WATCH: [&str; 5] = ["watch", "--every", "0s", "--recheck", "0"];

/// The lines of a text, without the times at their beginnings.
fn lines(text: &str) -> Vec<String> {
    let without = |it: &str| it.split_once("Z  ").map_or(it, |it| it.1).to_owned();
    text.lines().map(without).collect()
}

#[test]
fn clean_rounds_in_a_row_are_the_end() {
    let folder = folder("");
    let done = run(&folder, &[&WATCH[..], &["--clean", "2"]].concat());
    let expect = [
        "round 1     PASS     2 rows, 2 the same",
        "round 2     PASS     2 rows, 2 the same",
        "2 clean rounds in a row: the condition for the cut-over is met.",
        "next: stop writing to the source, type `cutover verify cutover.toml` once more, and let readers use the target",
    ];
    assert_eq!((done.code, done.stderr.as_str(), lines(&done.stdout)), (0, "", expect.map(str::to_owned).to_vec()));
    let done = run(&folder, &[&WATCH[..], &["--clean", "1", "--format", "json"]].concat());
    let [round, end] = [0, 1].map(|at| {
        let line = done.stdout.lines().nth(at).unwrap_or_default();
        serde_json::from_str::<Value>(line).unwrap_or_else(|it| panic!("{it}: {}", done.stdout))
    });
    assert_eq!([&round["format"], &round["verdict"]], [&json!("cutover-watch/1"), &json!("pass")]);
    assert_eq!([&round["rows"], &round["differ"], &round["clean"]], [&json!(2), &json!(0), &json!(1)]);
    assert_eq!([&end["met"], &end["rounds"], &end["wanted"]], [&json!(true), &json!(1), &json!(1)]);

    let history = run(&folder, &["history"]);
    assert_eq!(history.code, 0);
    assert!(history.stdout.contains("watched since "), "{}", history.stdout);
    let rounds = run(&folder, &["history", "--format", "json"]).json()["rounds"].clone();
    let seen = rounds.as_array().expect("rounds").iter().map(|it| it["round"].clone()).collect::<Vec<_>>();
    assert_eq!(seen, [1, 2, 1]);
    assert_eq!((&rounds[0]["verdict"], &rounds[0]["same"]), (&json!("pass"), &json!(2)));
}

#[test]
fn a_verdict_that_changes_is_told() {
    let hook = "[hooks]\non_change = [\"sh\", \"-c\", \"cat >> changes.ndjson; echo >> changes.ndjson\"]\n";
    let folder = folder(hook);
    let target = folder.sqlite("target.db", "PRAGMA journal_mode = WAL; UPDATE t SET v = 'x' WHERE id = 2");
    let failed = run(&folder, &[&WATCH[..], &["--rounds", "3"]].concat());
    let says = "round 3     FAIL     2 rows, 1 the same, 1 differ: t: changed 1 > 0";
    assert_eq!((failed.code, lines(&failed.stdout)[2].as_str()), (1, says));
    let not_met = "0 of 3 clean rounds in a row: the condition for the cut-over is not met.";
    assert_eq!(lines(&failed.stdout)[3..], [not_met, "next: cutover verify cutover.toml"]);
    assert!(!folder.path("changes.ndjson").exists(), "the first verdict is no change");

    // The row arrives while the next watch is looking.
    let mut command = cutover(&folder);
    command.args([&WATCH[..], &["--clean", "2"]].concat()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    said.read_line(&mut first).expect("a line");
    assert!(first.contains("FAIL"), "{first}");
    target.execute_batch("UPDATE t SET v = 'b' WHERE id = 2").expect("nobody is kept out");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("lines");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{rest}");
    let changes = fs::read_to_string(folder.path("changes.ndjson")).expect("changes");
    let change: Value = serde_json::from_str(&changes).unwrap_or_else(|it| panic!("{it}: {changes}"));
    assert_eq!([&change["from"], &change["to"], &change["reasons"]], [&json!("fail"), &json!("pass"), &json!([])]);

    // What an earlier watch has seen last counts too.
    target.execute_batch("DELETE FROM t").expect("a change");
    assert_eq!(run(&folder, &[&WATCH[..], &["--clean", "1", "--rounds", "1"]].concat()).code, 1);
    let changes = fs::read_to_string(folder.path("changes.ndjson")).expect("changes");
    let last: Value = serde_json::from_str(changes.lines().last().unwrap_or_default()).expect("JSON");
    assert_eq!(
        [&last["from"], &last["to"], &last["reasons"][0]],
        [&json!("pass"), &json!("fail"), &json!("t: missing 2 > 0")]
    );
}

#[test]
fn a_store_that_is_away_is_no_end() {
    let folder = folder("");
    fs::rename(folder.path("target.db"), folder.path("away.db")).expect("a name");
    let done = run(&folder, &[&WATCH[..], &["--clean", "2", "--rounds", "2"]].concat());
    assert_eq!(done.code, 2, "{} {}", done.stdout, done.stderr);
    assert!(done.stdout.contains("round 2     UNKNOWN  the target: "), "{}", done.stdout);
    fs::rename(folder.path("away.db"), folder.path("target.db")).expect("a name");
    let lock = Lock::take(&folder.path(FOLDER), &Owner::this("migrate", "2026-01-01T00:00:00Z")).expect("a lock");
    let done = run(&folder, &[&WATCH[..], &["--clean", "1", "--rounds", "1"]].concat());
    assert_eq!(done.code, 2);
    assert!(done.stdout.contains("a run goes on meanwhile: process "), "{}", done.stdout);
    drop(lock);
    assert_eq!(run(&folder, &[&WATCH[..], &["--clean", "1", "--rounds", "1"]].concat()).code, 0);
}

#[test]
fn a_round_beside_a_run_is_not_known() {
    let folder = folder("[[table]]\ninto = \"t\"\ncommand = [\"sh\", \"rows.sh\"]\n");
    let watch = || run(&folder, &[&WATCH[..], &["--clean", "1", "--rounds", "1"]].concat());
    let rows = "sed 's/^/{\"table\":\"t\",\"row\":/; s/$/}/'\n";
    fs::write(folder.path("rows.sh"), rows).expect("a program");
    assert_eq!(watch().code, 0);
    // A run begins while the round reads.
    fs::write(folder.path("rows.sh"), format!("touch .cutover/lock.held\n{rows}")).expect("a program");
    let done = watch();
    assert_eq!(done.code, 2, "{}", done.stdout);
    let says = "UNKNOWN  a run goes on meanwhile: a process that did not say who it is";
    assert!(done.stdout.contains(says), "{}", done.stdout);
}

#[test]
fn a_watch_ends_with_its_reader() {
    let folder = folder("");
    let mut command = cutover(&folder);
    command.args(["watch", "--every", "1440m"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a round");
    assert!(line.contains("PASS"), "{line}");
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
}

#[test]
fn a_wait_for_the_next_round_is_interrupted() {
    let folder = folder("");
    let check = |every: &str, says: &str| {
        let mut command = cutover(&folder);
        command.args(["watch", "--every", every]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let (mut said, mut line) = (BufReader::new(child.stdout.take().expect("a pipe")), String::new());
        said.read_line(&mut line).expect("a round");
        assert!(line.contains(says), "{line}");
        let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
        assert!(killed.success());
        // Rounds may go on to be told until it is asked to end.
        let rest = std::io::read_to_string(said).expect("the rest");
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest}");
    };
    check("1440m", "PASS");
    // Where no round looks at anything, somebody still has to look.
    let _lock = Lock::take(&folder.path(FOLDER), &Owner::this("migrate", "2026-01-01T00:00:00Z")).expect("a lock");
    check("0s", "a run goes on meanwhile");
}

#[test]
fn what_can_never_be_is_refused() {
    let folder = folder("");
    for (arguments, says) in [
        (&["--rounds", "2"][..], "--rounds 2: 3 of them have to pass, as --clean says"),
        (&["--clean", "0"], "invalid value '0'"),
        (&["--every", "5"], "write a time such as 500ms"),
        (&["nowhere.toml"], "nowhere.toml: no such file"),
    ] {
        let done = run(&folder, &[&["watch"], arguments].concat());
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(done.stderr.contains(says), "{}", done.stderr);
    }
}
