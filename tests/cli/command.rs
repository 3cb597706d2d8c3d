//! Runs the program as a user would and checks what holds for every run.

use super::support::Folder;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output, Stdio},
};

/// The program, in a folder, with none of the environment that could show.
pub(crate) fn cutover(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(folder.path("")).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

/// What one run left behind.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn new(output: Output) -> Done {
        let text = |it: Vec<u8>| String::from_utf8(it).expect("output is UTF-8");
        let code = output.status.code().expect("the program was not killed");
        Done { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|it| panic!("{it}: {} {}", self.stdout, self.stderr))
    }
}

/// The program with these arguments. Neither of its outputs holds a control character.
pub(crate) fn run(folder: &Folder, arguments: &[&str]) -> Done {
    let done = Done::new(cutover(folder).args(arguments).output().expect("the program runs"));
    for text in [&done.stdout, &done.stderr] {
        let control = text.chars().find(|it| it.is_control() && *it != '\n');
        assert_eq!(control, None, "{text}");
    }
    done
}

/// `cutover diff source.db target.db` with more arguments, and what holds for each such run: both faces agree on the exit code, nothing is
/// written, no control character gets out, and the same again gives the same bytes.
pub(crate) fn diff(folder: &Folder, arguments: &[&str]) -> Done {
    let before = contents(folder);
    let run = |more: &[&str]| {
        let done = run(folder, &[&["diff", "source.db", "target.db"], arguments, more].concat());
        let failed = done.code == 2 && done.stdout.is_empty();
        assert_eq!(
            failed,
            !done.stderr.is_empty(),
            "an error is said on stderr alone: {} {}",
            done.stdout,
            done.stderr
        );
        done
    };
    let (text, json, again) = (run(&[]), run(&["--format", "json"]), run(&["--format", "json"]));
    assert_eq!(before, contents(folder), "a store was changed");
    assert_eq!(text.code, json.code, "{} {}", text.stderr, json.stderr);
    assert_eq!((without_time(&json.stdout), json.code), (without_time(&again.stdout), again.code));
    assert_eq!(run(&[]).stdout, text.stdout);
    if json.stderr.is_empty() {
        assert_report(&json);
    }
    json
}

/// The counts over all tables that are not 0, as `source_rows=2 target_rows=2 same=2`.
pub(crate) fn totals(report: &Value) -> String {
    let totals = report["totals"].as_object().expect("totals");
    let counts = totals.iter().filter(|it| it.1.as_u64() != Some(0)).map(|(name, count)| format!("{name}={count}"));
    counts.collect::<Vec<_>>().join(" ")
}

/// The report without how long it took.
pub(crate) fn without_time(json: &str) -> String {
    match json.rfind("\"timing\"") {
        Some(at) => json[..at].to_owned(),
        None => json.to_owned(),
    }
}

/// The names in the folder, in order.
pub(crate) fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path("")).expect("the folder can be listed");
    let mut names: Vec<String> =
        entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The bytes of every file of a folder.
pub(crate) fn contents(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let files = names(folder).into_iter().filter(|it| folder.path(it).is_file());
    files.map(|it| (it.clone(), fs::read(folder.path(&it)).expect("a file can be read"))).collect()
}

/// Everything that readers of `cutover-report/1` may rely on.
fn assert_report(done: &Done) {
    const COUNTS: [&str; 12] = [
        "source_rows",
        "target_rows",
        "same",
        "changed",
        "missing",
        "extra",
        "duplicates",
        "orphans",
        "clashes",
        "rejects",
        "invalid",
        "accepted",
    ];
    let report = done.json();
    assert_eq!(report["format"], "cutover-report/1");
    let code = match report["verdict"].as_str() {
        Some("pass") => 0,
        Some("fail") => 1,
        Some("unknown") => 2,
        _ => panic!("no verdict: {report}"),
    };
    assert_eq!(done.code, code, "{report}");
    assert_eq!(report["reasons"].as_array().map(Vec::is_empty), Some(code == 0), "{report}");
    has(&report, &["plan", "source", "target", "totals", "tables", "unpaired", "checks", "timing"]);
    has(&report["unpaired"], &["source", "target"]);
    has(&report["source"], &["kind", "name"]);
    has(&report["totals"], &COUNTS);
    let tables = report["tables"].as_array().expect("tables");
    for table in tables {
        has(table, &COUNTS);
        has(table, &["name", "source_name", "verdict", "key", "columns", "findings", "findings_truncated"]);
        has(table, &["findings_file", "witnesses", "canary"]);
    }
    for count in COUNTS {
        let sum: u64 = tables.iter().map(|it| it[count].as_u64().expect("a count")).sum();
        assert_eq!(report["totals"][count].as_u64(), Some(sum), "{count}");
    }
}

fn has(object: &Value, names: &[&str]) {
    for name in names {
        assert!(object.get(name).is_some(), "no `{name}` in {object}");
    }
}
