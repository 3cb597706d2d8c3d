//! Rows that are still on their way while the program looks.

use super::{
    command::{cutover, diff, run},
    support::Folder,
};
use rusqlite::Connection;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);";

fn late(mode: &str) -> Folder {
    let mode = format!("PRAGMA journal_mode = {mode};");
    Folder::pair(
        &format!("{mode} {SCHEMA} INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"),
        &format!("{mode} {SCHEMA} INSERT INTO t VALUES (1, 'a'), (3, 'x')"),
    )
}

/// The program says on standard error when it is about to look again. Then the rows arrive, and it looks until it has seen them.
#[test]
fn a_writer_is_let_in_between_looks_and_seen() {
    for mode in ["DELETE", "WAL"] {
        let folder = late(mode);
        let arguments =
            ["diff", "source.db", "target.db", "--recheck", "4294967295", "--recheck-delay", "1ms", "--format", "json"];
        let mut command = cutover(&folder);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|it| it.expect("a line"));
        let first = lines.next().expect("it says that it looks again");
        assert_eq!(first, "2 rows differ; looking again in 1ms (1 of 4294967295)");
        let writer = Connection::open(folder.path("target.db")).expect("the target");
        writer
            .execute_batch("INSERT INTO t VALUES (2, 'b'); UPDATE t SET v = 'c' WHERE id = 3")
            .expect("nobody is kept out");
        assert!(lines.all(|it| it.contains("looking again in 1ms")));
        let mut text = String::new();
        child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("a report");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{text}");
        let report: serde_json::Value = serde_json::from_str(&text).expect("a report");
        let recheck = &report["tables"][0]["recheck"];
        assert_eq!(
            (&recheck["keys"], &recheck["converged"], &report["totals"]["same"]),
            (&2.into(), &2.into(), &3.into())
        );
        assert!(recheck["rounds"].as_u64().is_some_and(|it| it > 0), "{recheck}");
    }
}

#[test]
fn what_does_not_move_is_still_different() {
    let folder = late("DELETE");
    let plain = diff(&folder, &[]).json();
    let arguments = ["diff", "source.db", "target.db", "--recheck", "2", "--recheck-delay", "0s"];
    let done = run(&folder, &[&arguments[..], &["--format", "json", "--output", "report"]].concat());
    let says = "2 rows differ; looking again now (1 of 2)\n2 rows differ; looking again now (2 of 2)\n";
    assert_eq!((done.code, done.stderr.as_str()), (1, says));
    let report = done.json();
    assert_eq!((&report["totals"], &report["reasons"]), (&plain["totals"], &plain["reasons"]));
    let expect = serde_json::json!({"rounds": 2, "keys": 2, "converged": 0, "still": 2, "changed_again": 0});
    assert_eq!(report["tables"][0]["recheck"], expect);
    let findings = report["tables"][0]["findings"].as_array().expect("findings");
    assert!(findings.len() == 2 && findings.iter().all(|it| it["seen"] == "still"), "{findings:?}");
    let file = std::fs::read_to_string(folder.path("report/findings/t.ndjson")).expect("findings");
    assert_eq!(file.lines().filter(|it| it.contains(r#""seen":"still""#)).count(), 2, "{file}");
    let text = std::fs::read_to_string(folder.path("report/report.txt")).expect("the report");
    assert!(text.contains("t: 2 rows differed at first; after 2 more looks: 2 still different\n"), "{text}");
    assert_eq!(run(&folder, &[&arguments[..], &["--quiet"]].concat()).stderr, "");
}

#[test]
fn delays_that_mean_nothing_are_refused() {
    let folder = Folder::new();
    for wrong in ["5", "1h", "-1s", ""] {
        let done = run(&folder, &["diff", "a", "b", "--recheck", "1", &format!("--recheck-delay={wrong}")]);
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{wrong}");
    }
}

#[test]
fn a_wait_is_interrupted() {
    let folder = late("DELETE");
    let mut command = cutover(&folder);
    command.args(["diff", "source.db", "target.db", "--recheck", "1", "--recheck-delay", "1440m"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    said.read_line(&mut line).expect("it says that it looks again");
    assert_eq!(line, "2 rows differ; looking again in 86400s (1 of 1)\n");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    said.read_line(&mut line).expect("it says why it ends");
    assert!(line.ends_with("error: interrupted; nothing was changed\n"), "{line}");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}

/// Where there is a terminal, a line says how far a run is, for as long as it lasts.
#[test]
fn a_terminal_shows_how_far_a_run_is() {
    let folder = late("DELETE");
    let line = format!(
        "{} diff source.db target.db --recheck 1 --recheck-delay 1440m",
        cutover(&folder).get_program().to_string_lossy()
    );
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(folder.path("")).env("TERM", "xterm");
    let mut terminal = terminal.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a terminal");
    let mut output = BufReader::new(terminal.stdout.take().expect("a pipe"));
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(" rows  ") {
        let some = output.fill_buf().expect("it goes on");
        assert!(!some.is_empty(), "{}", String::from_utf8_lossy(&said));
        let count = some.len();
        said.extend_from_slice(some);
        output.consume(count);
    }
    // The program loses its terminal and ends.
    terminal.kill().expect("it runs");
    terminal.wait().expect("it ends");
    output.read_to_end(&mut said).expect("an end");
}
