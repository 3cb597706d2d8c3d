//! What is written down while a verb runs, and what it cost.

use super::{
    canary::{CANARY, sweep},
    command::{Done, cutover, run, without_time},
    support::Folder,
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

/// Rows of which the mapping refuses one, the target one, and one is there with other values. All tokens are secret.
const SOURCE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, token TEXT);
    INSERT INTO people VALUES (1, 'mira@example.test', 'CANARY-1'), (2, 'bo@example.test', 'CANARY-2'),
        (3, 'nobody', 'CANARY-3'), (4, 'ada@example.test', 'CANARY-4'), (5, 'eve@example.test', 'CANARY-5');";
const TARGET: &str = "CREATE TABLE members (id INTEGER PRIMARY KEY, email TEXT,
        token TEXT CHECK (token NOT LIKE 'CANARY-4'));
    INSERT INTO members VALUES (2, 'old@example.test', 'CANARY-2');";
const PLAN: &str = r#"version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db" }
[[table]]
into = "members"
from = "people"
conflict = "overwrite"
columns.id = ".id"
columns.email = { from = ".email", matches = "@" }
columns.token = { from = ".token", secret = true }
[migrate]
backup = false
skip_errors = true
rollback_threshold = 0.9
"#;

fn folder(more: &str) -> Folder {
    let folder = Folder::new();
    folder.sqlite("source.db", SOURCE);
    folder.sqlite("target.db", TARGET);
    fs::write(folder.path("cutover.toml"), format!("{PLAN}{more}")).expect("a plan");
    folder
}

/// The lines of a log.
fn lines(folder: &Folder, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path("logs").join(format!("migration-{name}.log"))).expect("a log");
    text.lines().map(|it| serde_json::from_str(it).expect("a JSON object a line")).collect()
}

/// Whether a line has these members.
fn has(lines: &[Value], expect: &Value) -> bool {
    let members = expect.as_object().expect("members");
    lines.iter().any(|line| members.iter().all(|(name, value)| line.get(name) == Some(value)))
}

#[test]
fn four_logs_say_what_a_migration_did() {
    let folder = folder("");
    let done = run(&folder, &["migrate", "--log", "logs", "--format", "json"]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{}", done.stdout);
    let id = done.json()["id"].clone();

    let success = lines(&folder, "success");
    for expect in [
        json!({ "level": "info", "target": "extract", "message": "read", "table": "members", "run": id }),
        json!({ "level": "info", "target": "transform", "message": "mapped", "table": "members" }),
        json!({ "level": "info", "target": "load", "message": "to be written",
            "counts": { "insert": 3, "update": 1, "same": 0, "skip": 0, "conflict": 0, "reject": 1 } }),
    ] {
        assert!(has(&success, &expect), "{expect} in {success:?}");
    }
    let errors = lines(&folder, "errors");
    let refused =
        "refused by the target: cannot write to table `members`: CHECK constraint failed: token NOT LIKE '********'";
    for expect in [
        json!({ "level": "warn", "target": "transform", "message": "refused by the mapping: email: matches @", "key": { "id": 3 } }),
        json!({ "level": "error", "target": "load", "message": refused, "table": "members", "key": { "id": 4 } }),
        json!({ "level": "warn", "target": "verify", "key": { "id": 4 }, "message": "missing (email, token)" }),
    ] {
        assert!(has(&errors, &expect), "{expect} in {errors:?}");
    }
    let conflicts = lines(&folder, "conflicts");
    let what = "the target has other values, which are overwritten (email)";
    assert!(has(&conflicts, &json!({ "target": "transform", "message": what, "key": { "id": 2 } })), "{conflicts:?}");
    assert_eq!(conflicts.len(), 1);
    let performance = lines(&folder, "performance");
    assert_eq!((&performance[0]["table"], &performance[0]["counts"]["items"]), (&json!("members"), &json!(5)));
    let all = &performance[1]["counts"];
    assert_eq!((&all["failed"], &all["failure_rate"]), (&json!(2), &json!(0.4)));
    assert!(
        ["duration_ms", "items_per_second", "average_item_bytes", "peak_memory_bytes"]
            .iter()
            .all(|it| all.get(it).is_some())
    );

    let instants = [&success, &errors].into_iter().flatten().map(|it| it["at"].as_str().expect("an instant"));
    assert!(instants.into_iter().all(|it| it.parse::<jiff::Timestamp>().is_ok()));
    let mode = |path: &str| fs::metadata(folder.path(path)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("logs"), mode("logs/migration-errors.log")), (0o700, 0o600));

    // The next run writes behind it, and by the word of the plan.
    let before = success.len();
    fs::write(folder.path("cutover.toml"), format!("log.folder = \"logs\"\n{PLAN}")).expect("a plan");
    assert_eq!(run(&folder, &["rollback", "--confirm"]).code, 0);
    let success = lines(&folder, "success");
    let undone = json!({ "message": "taken back", "counts": { "restored": 1, "removed": 2 }, "run": id });
    assert!(success.len() > before && has(&success, &undone), "{success:?}");
}

#[test]
fn a_filter_says_what_is_told_meanwhile() {
    let folder = folder("");
    let told = |filter: &[&str]| {
        let done = run(&folder, &[&["verify"], filter].concat());
        assert_eq!(done.code, 1, "{}", done.stderr);
        done.stderr
    };
    assert_eq!(told(&[]), "");
    assert_eq!(told(&["--log-filter", "load=debug"]), "");
    let text = told(&["--log-filter", "verify=error,transform=info"]);
    assert!(text.contains(" INFO  transform members: mapped  rows_read=5"), "{text}");
    assert!(text.contains(" ERROR verify members: fail: ") && !text.contains("extract"), "{text}");
    let json = told(&["--log-filter", "warn", "--log-format", "json"]);
    let lines: Vec<Value> = json.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    assert!(lines.iter().all(|it| it["level"] == "warn" || it["level"] == "error"), "{json}");
    assert!(has(&lines, &json!({ "message": "reject: matches @ (email)", "target": "transform" })), "{json}");
    let done = cutover(&folder).arg("verify").env("CUTOVER_LOG", "extract=info").output().expect("the program runs");
    assert!(Done::new(done).stderr.contains(" INFO  extract members: read  source_rows=5"));
    for wrong in [&["--log-filter", "loud"][..], &["--log", "source.db"]] {
        assert_eq!(run(&folder, &[&["verify"], wrong].concat()).code, 2, "{wrong:?}");
    }
}

/// The secrets are in a column, in an address, and in what a target says about a row.
#[test]
fn no_secret_is_in_a_log() {
    let folder = folder("");
    let logs = ["--log", "logs", "--log-filter", "debug"];
    let sweep_all = |done: Done| {
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(!said.contains(CANARY), "{said}");
        sweep(&folder.path("logs"));
    };
    for verb in [&["verify", "--verbose"][..], &["migrate"], &["retry"], &["rollback", "--confirm"]] {
        sweep_all(run(&folder, &[verb, &logs].concat()));
    }
    // Nobody listens there.
    let plan = PLAN.replace("kind = \"sqlite\", path = \"target.db\"", "kind = \"postgres\", url = \"${OLD}\"");
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    let address = format!("postgres://user:{CANARY}pw@127.0.0.1:1/app?connect_timeout=5");
    let mut command = cutover(&folder);
    command.arg("verify").args(logs).env("OLD", address);
    let done = Done::new(command.output().expect("the program runs"));
    assert_eq!(done.code, 2);
    sweep_all(done);
    let errors = lines(&folder, "errors");
    assert!(errors.last().is_some_and(|it| it["message"].as_str().is_some_and(|it| it.contains("127.0.0.1"))));
    for name in [".cutover/runs"] {
        for entry in fs::read_dir(folder.path(name)).expect("a folder") {
            let failed = entry.expect("an entry").path().join("members/failed.ndjson");
            let text = fs::read_to_string(&failed).unwrap_or_default();
            assert!(!text.contains(CANARY), "{text}");
        }
    }
}

#[test]
fn what_a_run_cost_is_kept_apart() {
    let folder = folder("");
    let json = |arguments: &[&str]| run(&folder, &[arguments, &["--format", "json"]].concat());
    let (one, other) = (json(&["verify"]), json(&["verify"]));
    assert_eq!(without_time(&one.stdout), without_time(&other.stdout));
    let timing = one.json()["timing"].clone();
    assert_eq!((&timing["items"], &timing["failed"], &timing["failure_rate"]), (&json!(5), &json!(5), &json!(1.0)));
    let table = &timing["tables"][0];
    assert_eq!((&table["name"], &table["items"]), (&json!("members"), &json!(5)));
    let parts: Vec<_> = table["parts"].as_object().expect("parts").keys().cloned().collect();
    assert_eq!(parts, ["read_source", "read_target", "map", "sort", "compare"]);
    assert!(timing["seconds"].as_f64().is_some_and(|it| it > 0.0), "{timing}");
    let text = run(&folder, &["verify", "--verbose"]).stdout;
    assert!(text.contains("\nTime and size\n") && text.contains("100.00 %"), "{text}");
    assert!(!run(&folder, &["verify"]).stdout.contains("Time and size"));
    let moved = json(&["migrate"]).json()["timing"].clone();
    assert_eq!((&moved["items"], &moved["failed"]), (&json!(5), &json!(2)), "{moved}");
}

#[test]
fn the_audit_trail_is_for_people_and_vouches_for_the_journal() {
    let folder = folder("");
    assert_eq!(run(&folder, &["migrate"]).code, 1);
    let told = run(&folder, &["history", "--audit"]);
    assert_eq!(told.code, 0, "{}", told.stdout);
    for part in
        ["begin", "by ", "cutover.toml (", "checked → applying", "members: 2 inserted, 1 updated, 0 deleted, 1 refused"]
    {
        assert!(told.stdout.contains(part), "no {part:?} in {}", told.stdout);
    }
    let json = run(&folder, &["history", "--audit", "--format", "json"]).json();
    let events = json["audit"]["events"].as_array().expect("events");
    let write = events.iter().find(|it| it["event"] == "write").expect("what was written");
    assert_eq!((&write["detail"]["table"], &write["detail"]["failed"]), (&json!("members"), &json!(1)));
    assert_eq!(json["audit"]["contradictions"], json!([]));
    folder.sqlite(".cutover/journal.sqlite", "UPDATE runs SET outcome = 'pass'");
    let told = run(&folder, &["history"]);
    let expect = "the outcome in the journal is `pass`, and the trail says `fail`";
    assert!(told.code == 2 && told.stdout.contains(expect), "{}", told.stdout);
}

#[test]
fn differences_without_a_line_are_counted() {
    let folder = folder("");
    let done = run(&folder, &["verify", "--log", "logs", "--limit", "1", "--output", "report"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    let all = fs::read_to_string(folder.path("report/findings/members.ndjson")).expect("findings").lines().count();
    let errors = lines(&folder, "errors");
    let message = format!("and {} more in findings/members.ndjson of the report", all - 1);
    assert!(has(&errors, &json!({ "table": "members", "message": message })), "{errors:?}");
}
