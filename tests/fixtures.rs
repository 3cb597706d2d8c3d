//! Every folder under `fixtures/` that has a plan is a migration that went right; every file under its `faults/` plants one
//! defect in it and says what must come of that.
//!
//! ```toml
//! about = "a link whose profile is not there"
//! [[edit]]                          # in their order, each on a copy of the folder
//! file = "target.sql"
//! find = "…"                        # must be there exactly once, or as many `times` as given
//! replace = "…"
//! # or: drop_lines = "…"            every line with this text; at least one has it
//! # or: cut_before = "…"            the file ends there; must be there exactly once
//! # or: content = "…"               the whole file
//! [expect]
//! exit = 1
//! verdict = "fail"                  # absent: there is no report
//! totals = { orphans = 1 }          # those that are not as without the fault; all others are
//! reason = "…"                      # part of one of the report's reasons
//! error = "…"                       # part of what is said where there is no report
//! checks = ["…"]                    # the checks that do not pass; absent: not looked at
//! hidden = "…"                      # is nowhere in the report
//! [[expect.finding]]                # each is in the report; what is not given is not looked at
//! table = "bio_links"
//! kind = "orphan"
//! key = { id = "…" }
//! column = "profile_id"
//! target = { null = true }          # a value of that column, here NULL
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};
use toml::Table;

/// No folder proves much with fewer.
const FAULTS_MIN: usize = 12;

const KEYS: [(&str, &[&str]); 4] = [
    ("", &["about", "edit", "expect"]),
    ("edit", &["file", "find", "times", "replace", "drop_lines", "cut_before", "content"]),
    ("expect", &["exit", "verdict", "totals", "reason", "error", "checks", "hidden", "finding"]),
    ("finding", &["table", "kind", "side", "key", "column", "source", "target", "detail"]),
];

/// What a run came to.
struct Outcome {
    exit: Option<i32>,
    /// Null, where there is none.
    report: Value,
    error: String,
}

#[test]
fn every_fixture_passes_and_every_fault_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let folders: Vec<PathBuf> = files(&root).into_iter().filter(|it| it.join("cutover.toml").is_file()).collect();
    assert!(folders.len() >= 2, "where are the fixtures? {folders:?}");
    let wrong: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = folders.iter().map(|it| scope.spawn(move || folder(it))).collect();
        running.into_iter().flat_map(|it| it.join().expect("a fixture")).collect()
    });
    assert!(wrong.is_empty(), "{} disagreements:\n\n{}\n", wrong.len(), wrong.join("\n\n"));
}

/// Everything that is not as it must be in one folder.
fn folder(folder: &Path) -> Vec<String> {
    let name = folder.file_name().unwrap().to_string_lossy();
    let clean = verify(copy(folder).path());
    let mut wrong = Vec::new();
    if clean.exit != Some(0) || clean.report["verdict"] != "pass" {
        wrong.push(format!("{name}: does not pass: {}", clean.shown()));
    }
    let faults = files(&folder.join("faults"));
    if faults.len() < FAULTS_MIN {
        wrong.push(format!("{name}: {} faults, and {FAULTS_MIN} are wanted", faults.len()));
    }
    for path in faults {
        let found = fault(folder, &path, &clean.report["totals"]);
        let stem = path.file_stem().unwrap().to_string_lossy();
        wrong.extend(found.err().map(|it| format!("{name}/faults/{stem}: {it}")));
    }
    wrong
}

/// Plants one fault and looks at what comes of it.
fn fault(folder: &Path, path: &Path, clean: &Value) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap();
    let fault: Table = text.parse().map_err(|it| format!("{it}"))?;
    known("", &fault)?;
    if fault.get("about").and_then(toml::Value::as_str).is_none_or(str::is_empty) {
        return Err("say what it is `about`".into());
    }
    let copy = copy(folder);
    let edits = tables(&fault, "edit");
    if edits.is_empty() {
        return Err("it plants nothing".into());
    }
    for edit in edits {
        known("edit", edit)?;
        plant(copy.path(), edit)?;
    }
    let expect = fault.get("expect").and_then(toml::Value::as_table).ok_or("it expects nothing")?;
    known("expect", expect)?;
    let outcome = verify(copy.path());
    let wrong = disagreements(expect, &outcome, clean)?;
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{}", wrong.join("\n"), outcome.shown())) }
}

/// Refuses a key that nothing looks at: it would expect nothing, silently.
fn known(place: &str, table: &Table) -> Result<(), String> {
    let known = KEYS.iter().find(|it| it.0 == place).map_or(&[] as &[&str], |it| it.1);
    match table.keys().find(|it| !known.contains(&it.as_str())) {
        Some(key) => Err(format!("unknown key `{key}`")),
        None => Ok(()),
    }
}

/// Applies one edit to a copy of the folder.
fn plant(folder: &Path, edit: &Table) -> Result<(), String> {
    let text = |key: &str| edit.get(key).and_then(toml::Value::as_str);
    let file = text("file").ok_or("an edit without a `file`")?;
    let path = folder.join(file);
    let before = fs::read_to_string(&path).map_err(|it| format!("{file}: {it}"))?;
    let times = edit.get("times").map_or(Some(1), toml::Value::as_integer);
    let there = |find: &str| match before.matches(find).count() {
        count if i64::try_from(count).ok() == times => Ok(()),
        count => Err(format!("{file}: {count} times there, not {times:?}: {find}")),
    };
    let after = match (text("find"), text("replace"), text("drop_lines"), text("cut_before"), text("content")) {
        (Some(find), Some(replace), None, None, None) => {
            there(find)?;
            before.replace(find, replace)
        }
        (None, None, Some(find), None, None) => before.split_inclusive('\n').filter(|it| !it.contains(find)).collect(),
        (None, None, None, Some(find), None) => {
            there(find)?;
            before.split(find).next().unwrap_or_default().to_owned()
        }
        (None, None, None, None, Some(content)) => content.to_owned(),
        _ => return Err(format!("{file}: an edit is one of find and replace, drop_lines, cut_before, content")),
    };
    if after == before {
        return Err(format!("{file}: an edit that changes nothing"));
    }
    fs::write(&path, after).map_err(|it| format!("{file}: {it}"))
}

/// What is not as expected, a sentence each.
fn disagreements(expect: &Table, outcome: &Outcome, clean: &Value) -> Result<Vec<String>, String> {
    let Outcome { exit, report, error } = outcome;
    let text = |key: &str| expect.get(key).and_then(toml::Value::as_str);
    let mut wrong = Vec::new();
    let wanted = expect.get("exit").and_then(toml::Value::as_integer).ok_or("no `exit` is expected")?;
    if exit.map(i64::from) != Some(wanted) {
        wrong.push(format!("exit {exit:?}, not {wanted}"));
    }
    let verdict = report["verdict"].as_str();
    if verdict != text("verdict") {
        wrong.push(format!("verdict {verdict:?}, not {:?}", text("verdict")));
    }
    if let Some(part) = text("error").filter(|it| !error.contains(it)) {
        wrong.push(format!("the error does not say: {part}"));
    }
    let reasons = || report["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(part) = text("reason").filter(|part| !reasons().any(|it| it.contains(part))) {
        wrong.push(format!("no reason says: {part}"));
    }
    if text("hidden").is_some_and(|it| report.to_string().contains(it) || error.contains(it)) {
        wrong.push("the report shows what is to be hidden".into());
    }
    let findings = tables(expect, "finding");
    let evidence = ["error", "reason", "checks"].iter().any(|it| expect.contains_key(*it)) || !findings.is_empty();
    if wanted != 0 && !evidence {
        wrong.push("nothing says why it does not pass".into());
    }
    if !report.is_null() {
        totals(expect, &report["totals"], clean, &mut wrong);
        checks(expect, report, &mut wrong);
    }
    for finding in findings {
        known("finding", finding)?;
        if !is_found(finding, report) {
            wrong.push(format!("no such finding: {}", finding.to_string().trim().replace('\n', ", ")));
        }
    }
    Ok(wrong)
}

/// Each total is as expected, or as without the fault.
fn totals(expect: &Table, found: &Value, clean: &Value, wrong: &mut Vec<String>) {
    let differing = expect.get("totals").map_or(Value::Null, json);
    for (name, before) in clean.as_object().into_iter().flatten() {
        let wanted = differing.get(name).unwrap_or(before);
        if &found[name] != wanted {
            wrong.push(format!("totals.{name} is {}, not {wanted}", found[name]));
        }
    }
    let unknown = differing.as_object().into_iter().flatten().filter(|it| clean.get(it.0).is_none());
    wrong.extend(unknown.map(|it| format!("there is no total `{}`", it.0)));
}

/// The checks that do not pass are those expected.
fn checks(expect: &Table, report: &Value, wrong: &mut Vec<String>) {
    let Some(wanted) = expect.get("checks").map(json) else { return };
    let checks = report["checks"].as_array().into_iter().flatten();
    let failed: Value = checks.filter(|it| it["verdict"] != "pass").map(|it| it["name"].clone()).collect();
    if failed != wanted {
        wrong.push(format!("the checks that do not pass are {failed}, not {wanted}"));
    }
}

/// Whether the report has a finding like this.
fn is_found(wanted: &Table, report: &Value) -> bool {
    let get = |key: &str| wanted.get(key).map(json);
    let matches = |finding: &Value| {
        let plain =
            ["kind", "side", "key", "detail"].iter().all(|it| get(it).is_none_or(|wanted| finding[it] == wanted));
        let sides = ["source", "target"].map(|side| (side, get(side)));
        let Some(column) = wanted.get("column").and_then(toml::Value::as_str) else {
            return plain && sides.iter().all(|it| it.1.is_none());
        };
        let cell = finding["cells"].get(column);
        let value = |side: &str, wanted: &Value| cell.and_then(|it| it.get(side)).is_some_and(|it| it == wanted);
        plain && cell.is_some() && sides.iter().all(|(side, it)| it.as_ref().is_none_or(|it| value(side, it)))
    };
    let tables = report["tables"].as_array().into_iter().flatten();
    let mut named = tables.filter(|it| get("table").is_some_and(|name| it["name"] == name));
    named.any(|it| it["findings"].as_array().is_some_and(|it| it.iter().any(matches)))
}

/// TOML as JSON. TOML has no null, so `{ null = true }` stands for it.
fn json(value: &toml::Value) -> Value {
    let json = serde_json::to_value(value).unwrap();
    if json["null"] == true { Value::Null } else { json }
}

fn tables<'t>(table: &'t Table, key: &str) -> Vec<&'t Table> {
    let list = table.get(key).and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(toml::Value::as_table).collect()
}

fn verify(folder: &Path) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let output = command.args(["verify", "cutover.toml", "--format", "json"]).current_dir(folder).output().unwrap();
    let report = match output.stdout.as_slice() {
        b"" => Value::Null,
        text => serde_json::from_slice(text).unwrap(),
    };
    Outcome { exit: output.status.code(), report, error: String::from_utf8(output.stderr).unwrap() }
}

impl Outcome {
    /// What to look at where it is not as expected.
    fn shown(&self) -> String {
        let mut shown = vec![format!("  exit {:?} {}", self.exit, self.error)];
        shown.extend(self.report["reasons"].as_array().into_iter().flatten().map(|it| format!("  {it}")));
        for table in self.report["tables"].as_array().into_iter().flatten() {
            let findings = table["findings"].as_array().into_iter().flatten();
            shown.extend(findings.take(5).map(|it| format!("  {} {it}", table["name"])));
        }
        shown.join("\n")
    }
}

/// A copy to plant faults in.
fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut left = vec![(folder.to_owned(), copy.path().to_owned())];
    while let Some((from, to)) = left.pop() {
        fs::create_dir_all(&to).unwrap();
        for path in files(&from) {
            let to = to.join(path.file_name().unwrap());
            if path.is_dir() {
                left.push((path, to));
            } else {
                fs::copy(&path, to).unwrap();
            }
        }
    }
    copy
}

/// What a folder holds, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files
}
