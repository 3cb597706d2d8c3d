//! The migrations under `fixtures/` that end in D1, with a real D1 as their target.
//!
//! A plan that passes with a dump of the target passes with the target itself, and each defect gives the very same report:
//! what a dump and a service say of one database may not differ in anything.

use super::workerd;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use toml::Table;

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    exit: Option<i32>,
    verdict: Value,
    totals: Value,
    tables: Value,
    /// The name and the verdict of each: why a question has no answer is each engine's own affair.
    checks: Vec<[Value; 2]>,
    reasons: usize,
}

/// Copies a folder, without the folders in it that plans do not need.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|it| it.expect("an entry")) {
        let to = to.join(entry.file_name());
        match entry.path() {
            it if it.is_dir() => copy(&it, &to),
            it => drop(fs::copy(it, to).expect("a copy")),
        }
    }
}

/// Plants a defect, as its file says. `tests/fixtures.rs` sees to it that every edit does what it should.
fn plant(folder: &Path, fault: &Table) {
    for edit in fault["edit"].as_array().expect("edits") {
        let text = |key: &str| edit.get(key).and_then(toml::Value::as_str);
        let path = folder.join(text("file").expect("a file"));
        let before = fs::read_to_string(&path).expect("a file");
        let after = match (text("find"), text("drop_lines"), text("cut_before"), text("content")) {
            (Some(find), ..) => before.replace(find, text("replace").expect("a replacement")),
            (_, Some(find), ..) => before.split_inclusive('\n').filter(|it| !it.contains(find)).collect(),
            (_, _, Some(find), _) => before.split(find).next().unwrap_or_default().to_owned(),
            (.., content) => content.expect("an edit").to_owned(),
        };
        fs::write(path, after).expect("a file");
    }
}

fn verify(folder: &Path, environment: &[(&str, String)]) -> (Outcome, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["verify", "cutover.toml", "--format", "json"]).current_dir(folder);
    let output = command.env_clear().envs(environment.iter().map(|(name, it)| (name, it))).output().expect("cutover");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let part = |name: &str| report[name].clone();
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default().into_iter();
    let outcome = Outcome {
        exit: output.status.code(),
        verdict: part("verdict"),
        totals: part("totals"),
        tables: part("tables"),
        checks: list("checks").map(|it| [it["name"].clone(), it["verdict"].clone()]).collect(),
        reasons: list("reasons").count(),
    };
    (outcome, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs a fixture with its dump and with a database made of the dump. Nothing: D1 does not take the dump.
fn both(fixture: &Path, fault: Option<&Table>) -> Option<(Outcome, Outcome, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    copy(fixture, folder.path());
    fault.into_iter().for_each(|it| plant(folder.path(), it));
    let (dumped, _) = verify(folder.path(), &[]);
    let database = workerd::database();
    let dump = fs::read_to_string(folder.path().join("target.sql")).expect("a dump");
    database.try_execute(&dump).ok()?;
    let plan = folder.path().join("cutover.toml");
    let text = fs::read_to_string(&plan).expect("a plan");
    let (before, after) = ("kind = \"d1-export\"\npath = \"target.sql\"", "kind = \"d1\"");
    assert!(text.contains(before), "{}", plan.display());
    fs::write(plan, text.replace(before, after)).expect("a plan");
    let (live, said) = verify(folder.path(), &database.environment());
    Some((dumped, live, said))
}

/// Every defect of a fixture that leaves a report; those of `refused` D1 does not even take.
fn guide(name: &str, refused: &[&str]) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let (_, live, said) = both(&fixture, None).expect("D1 takes the dump");
    assert_eq!((live.exit, &live.verdict), (Some(0), &Value::from("pass")), "{name}: {said} {live:?}");
    let mut faults: Vec<PathBuf> =
        fs::read_dir(fixture.join("faults")).expect("faults").map(|it| it.expect("an entry").path()).collect();
    faults.sort();
    let (mut found, mut not_taken) = (0, Vec::new());
    for path in faults {
        let fault: Table = fs::read_to_string(&path).expect("a file").parse().expect("TOML");
        if fault["expect"].get("verdict").is_none() {
            continue;
        }
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        match both(&fixture, Some(&fault)) {
            Some((dumped, live, said)) => {
                assert!(dumped == live, "{name}/{stem}: {said}\n{dumped:?}\n{live:?}");
                found += 1;
            }
            None => not_taken.push(stem),
        }
    }
    assert_eq!(not_taken, refused, "{name}");
    assert!(found >= 12, "{name}: {found} faults");
}

#[test]
fn edge_config_to_d1() {
    // D1 keeps its foreign keys.
    guide("edge-config-to-d1", &["11-orphan"]);
}

#[test]
fn django_to_d1() {
    // A check of the schema sees that this is no JSON, and two users of one name leave an orphan.
    guide("django-to-d1", &["11-json-as-python-shows-it", "21-orphan", "23-username-taken-twice"]);
}
