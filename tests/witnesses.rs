//! What vouches for a mapping beside the comparison it takes part in: checks, expected rows, an external transform, an inverse.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{fs, process::Command};

const USERS: &str = r#"[{"id":1,"first":"Mira","last":"Okafor"},{"id":2,"first":"Bo","last":"Li"}]"#;
const TARGET: &str = "id,name\n1,Mira Okafor\n2,Bo Li\n";
/// A mapping with a slip, and a target that was loaded by it: the comparison itself sees nothing.
const SWAPPED: &str = "id,name\n1,Okafor Mira\n2,Li Bo\n";
const RIGHT: &str = r#"columns = { id = ".id", name = '.first + " " + .last' }"#;
const WRONG: &str = r#"columns = { id = ".id", name = '.last + " " + .first' }"#;

struct Outcome {
    exit: i32,
    verdict: String,
    checks: Vec<(String, String)>,
    witnesses: Vec<String>,
}

/// Verifies a plan of one table, `rules`, with `target` as what was loaded.
fn verify(rules: &str, rest: &str, target: &str, more: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let plan = format!(
        "version = 1\nsource = {{ kind = \"json\", path = \"users.json\" }}\ntarget = {{ kind = \"csv\", path = \"people.csv\" }}\n\
         [[table]]\ninto = \"people\"\nfrom = \"users\"\nkey = [\"id\"]\n{rules}\n{rest}\n"
    );
    let files = [("users.json", USERS), ("people.csv", target), ("cutover.toml", plan.as_str())];
    for (name, text) in files.iter().chain(more) {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let done = command.args(["verify", "--format", "json"]).current_dir(folder.path()).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|it| panic!("{it}: {}", String::from_utf8_lossy(&done.stderr)));
    let text = |it: &serde_json::Value| it.as_str().unwrap().to_owned();
    let checks =
        report["checks"].as_array().unwrap().iter().map(|it| (text(&it["name"]), text(&it["verdict"]))).collect();
    let witnesses = report["tables"][0]["witnesses"].as_array().unwrap().iter().map(text).collect();
    Outcome { exit: done.status.code().unwrap(), verdict: text(&report["verdict"]), checks, witnesses }
}

fn check(got: &Outcome, exit: i32, verdict: &str, name: &str, check: &str) {
    assert_eq!((got.exit, got.verdict.as_str()), (exit, verdict), "{:?}", got.checks);
    assert!(got.checks.contains(&(name.to_owned(), check.to_owned())), "{:?}", got.checks);
}

#[test]
fn a_comparison_alone_does_not_see_a_wrong_mapping() {
    let got = verify(WRONG, "", SWAPPED, &[]);
    assert_eq!((got.exit, got.witnesses), (0, vec!["count".to_owned()]));
}

#[test]
fn expected_rows_see_it() {
    let rows = [("people.ndjson", "{\"id\":1,\"name\":\"Mira Okafor\"}\n{\"id\":2,\"name\":\"Bo Li\"}\n")];
    let expect = "expect = \"people.ndjson\"";
    let got = verify(RIGHT, expect, TARGET, &rows);
    check(&got, 0, "pass", "expected rows of people", "pass");
    assert_eq!(got.witnesses, ["count", "expected rows"]);
    check(&verify(WRONG, expect, SWAPPED, &rows), 1, "fail", "expected rows of people", "fail");
    check(&verify(RIGHT, expect, TARGET, &[]), 2, "unknown", "expected rows of people", "unknown");
}

#[test]
fn a_check_sees_it() {
    let rest = "[[check]]\nname = \"names\"\ntable = \"people\"\nsource = '[.[] | .first + \" \" + .last] | sort | join(\",\")'\n\
                target = '[.[].name] | sort | join(\",\")'";
    let got = verify(RIGHT, rest, TARGET, &[]);
    check(&got, 0, "pass", "names", "pass");
    assert_eq!(got.witnesses, ["count", "check:names"]);
    check(&verify(WRONG, rest, SWAPPED, &[]), 1, "fail", "names", "fail");
    let failing = rest.replace(".first", ".id");
    check(&verify(RIGHT, &failing, TARGET, &[]), 2, "unknown", "names", "unknown");
}

#[test]
fn an_inverse_sees_it() {
    let inverse = r#"inverse = { id = ".id", first = '.name | split(" ")[0]', last = '.name | split(" ")[1]' }"#;
    let got = verify(RIGHT, inverse, TARGET, &[]);
    check(&got, 0, "pass", "inverse of people", "pass");
    assert_eq!(got.witnesses, ["count", "inverse"]);
    check(&verify(WRONG, inverse, SWAPPED, &[]), 1, "fail", "inverse of people", "fail");
    check(&verify(RIGHT, "inverse = { first = '.name' }", TARGET, &[]), 2, "unknown", "inverse of people", "unknown");
}

const TRANSFORM: &str = r#"
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    made = {"id": row["id"], "name": row["first"] + " " + row["last"]}
    print(json.dumps({"table": "people", "row": made}))
"#;

#[test]
fn an_external_transform_sees_it_and_may_be_the_mapping() {
    let files = [("transform.py", TRANSFORM)];
    let command = "command = [\"python3\", \"transform.py\"]";
    check(&verify(RIGHT, command, TARGET, &files), 0, "pass", "command of people", "pass");
    check(&verify(WRONG, command, SWAPPED, &files), 1, "fail", "command of people", "fail");
    assert_eq!(verify("", command, TARGET, &files).exit, 0);
    assert_eq!(verify("", command, SWAPPED, &files).exit, 1);
}

#[test]
fn a_transform_that_fails_is_no_pass() {
    let run = |transform: &str| {
        let folder = tempfile::tempdir().unwrap();
        let plan = "version = 1\nsource = { kind = \"json\", path = \"users.json\" }\ntarget = { kind = \"csv\", path = \"people.csv\" }\n\
                    [[table]]\ninto = \"people\"\nfrom = \"users\"\nkey = [\"id\"]\ncommand = [\"python3\", \"transform.py\"]\n";
        for (name, text) in
            [("users.json", USERS), ("people.csv", TARGET), ("cutover.toml", plan), ("transform.py", transform)]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let done = command.args(["verify"]).current_dir(folder.path()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    for (transform, expect) in [
        ("import sys; sys.exit(3)", "the command for `people`: it ended with exit status: 3"),
        ("print('hello')", "line 1 of its output is no {\"table\":…,\"row\":…}"),
        ("print('{\"table\":\"strangers\",\"row\":{}}')", "is for `strangers`, which the plan does not know"),
    ] {
        let (exit, error) = run(transform);
        assert_eq!(exit, Some(2), "{error}");
        assert!(error.contains(expect), "{error}");
    }
}
