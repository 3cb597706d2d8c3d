//! `status`, `history`, `unlock` and `clean`, with a journal that the library wrote.

use super::{
    command::{Done, contents, names, run},
    support::Folder,
};
use cutover::run::state::{
    Decision, FOLDER, Phase, RunRecord, State, TableCounts,
    lock::{Lock, Owner},
};
use serde_json::{Value, json};
use std::fs;

const AT: &str = "2020-01-02T03:04:05Z";

/// 175 rows in two tables, of which 125 are there.
fn pair() -> Folder {
    let fill = |users: u32, snapshots: u32| {
        format!(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE snapshots (id INTEGER PRIMARY KEY);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
             INSERT INTO users SELECT i, 'u' || i FROM n;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {snapshots})
             INSERT INTO snapshots SELECT i FROM n;"
        )
    };
    let folder = Folder::pair(&fill(25, 150), &fill(5, 120));
    plan(&folder, "sqlite", "");
    folder
}

fn plan(folder: &Folder, target: &str, more: &str) {
    let text = format!(
        "version = 1\nsource = {{ kind = \"sqlite\", path = \"source.db\" }}\n\
         target = {{ kind = \"{target}\", path = \"target.db\" }}\n\
         [[table]]\ninto = \"users\"\n{more}\n[[table]]\ninto = \"snapshots\"\n"
    );
    fs::write(folder.path("cutover.toml"), text).expect("a plan");
}

fn state(folder: &Folder) -> State {
    State::open(&folder.path(FOLDER)).expect("a journal")
}

fn record(id: &str, phase: Phase) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        plan: "cutover.toml".to_owned(),
        plan_hash: "abc".to_owned(),
        source: "sqlite source.db".to_owned(),
        target: "sqlite target.db".to_owned(),
        target_fingerprint: "sqlite:1".to_owned(),
        phase,
        started: AT.to_owned(),
        ..RunRecord::default()
    }
}

/// A run that got that far, and wrote 2 of 7 rows.
fn half(folder: &Folder, id: &str, phase: Phase) -> State {
    let mut state = state(folder);
    state.begin_run(&record(id, phase)).expect("a run");
    let counts = TableCounts { name: "users".to_owned(), inserts: 4, updates: 3, ..TableCounts::default() };
    state.set_table(id, &counts).expect("a table");
    state.batch_done(id, "users", 1, 2, AT).expect("a batch");
    state
}

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32, parts: &[&str]) -> Done {
    let done = run(folder, arguments);
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    let text = format!("{}{}", done.stdout, done.stderr);
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    done
}

#[test]
fn status_says_how_many_rows_are_left() {
    let folder = pair();
    let before = (names(&folder), contents(&folder));
    let parts =
        ["cutover.toml: a migration is needed; 125 of 175 rows are there, 71 %", "next: cutover migrate --dry-run"];
    let done = check(&folder, &["status"], 1, &parts);
    assert_eq!(done.stderr, "");
    let json = check(&folder, &["status", "--format", "json"], 1, &[]).json();
    let expect = json!({ "total": 175, "done": 125, "left": 50, "percent": 71 });
    assert_eq!((&json["format"], &json["progress"]), (&json!("cutover-status/1"), &expect));
    // As the guide for Workers KV prints them.
    let stats = json!({
        "totalUsers": 25, "migratedUsers": 5, "totalSnapshots": 150, "migratedSnapshots": 120, "legacyUsers": 20,
        "legacySnapshots": 30,
    });
    let summary = json!({ "totalRecords": 175, "migratedRecords": 125, "legacyRecords": 50, "migrationProgress": 71 });
    assert_eq!((&json["stats"], &json["summary"]), (&stats, &summary));
    assert_eq!((&json["needed"], &json["compared"]), (&json!(true), &json!(true)));
    let table = |at: usize, name: &str| json["tables"][at][name].clone();
    assert_eq!([table(0, "name"), table(0, "left"), table(0, "percent")], [json!("users"), json!(20), json!(20)]);
    assert_eq!([table(1, "name"), table(1, "missing"), table(1, "same")], [json!("snapshots"), json!(30), json!(120)]);
    assert_eq!([&json["runs"], &json["unfinished"], &json["lock"]], [&json!([]), &json!([]), &Value::Null]);
    check(&folder, &["status", "--table", "snapshots"], 1, &["120 of 150 rows are there, 80 %"]);
    check(&folder, &["status", "--table", "nope"], 2, &["there is no table `nope`; there are: `users`, `snapshots`"]);
    check(&folder, &["status", "--verbose"], 1, &["duplicates", "users: missing 20 > 0", "source  sqlite source.db"]);
    assert_eq!(before, (names(&folder), contents(&folder)), "to look leaves nothing behind");
}

#[test]
fn nothing_is_left_when_the_target_holds_it_all() {
    let folder = pair();
    fs::copy(folder.path("source.db"), folder.path("target.db")).expect("a copy");
    check(
        &folder,
        &["status"],
        0,
        &["no migration is needed; 175 of 175 rows are there, 100 %", "next: cutover verify"],
    );
    fs::rename(folder.path("cutover.toml"), folder.path("prod.toml")).expect("a name");
    check(&folder, &["status", "prod.toml"], 0, &["prod.toml: no", "next: cutover verify prod.toml"]);
    check(&folder, &["status"], 2, &["cutover.toml: no such file"]);
}

#[test]
fn rows_that_the_plan_keeps_are_not_left() {
    let folder = pair();
    fs::copy(folder.path("source.db"), folder.path("target.db")).expect("a copy");
    folder.sqlite("target.db", "UPDATE users SET name = 'mine' WHERE id < 3; INSERT INTO users VALUES (99, 'extra')");
    check(&folder, &["status", "--table", "users"], 1, &["23 of 25 rows are there, 92 %"]);
    plan(&folder, "sqlite", "conflict = \"skip\"");
    check(&folder, &["status", "--table", "users"], 0, &["25 of 25 rows are there, 100 %"]);
}

#[test]
fn what_cannot_be_compared_is_not_known() {
    let folder =
        Folder::pair("CREATE TABLE users (id INTEGER PRIMARY KEY)", "CREATE TABLE users (id INTEGER PRIMARY KEY)");
    let plan = "version = 1\nsource = { kind = \"sqlite\", path = \"source.db\" }\n\
                target = { kind = \"sqlite\", path = \"target.db\" }\n[[table]]\ninto = \"users\"\n";
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    // Nothing compared is never a pass.
    let done = check(&folder, &["status", "--format", "json"], 2, &[]);
    assert_eq!([&done.json()["needed"], &done.json()["progress"]], [&Value::Null, &Value::Null]);
    // A table that is not there yet is to be made.
    folder.sqlite("source.db", "INSERT INTO users VALUES (1)");
    folder.sqlite("target.db", "ALTER TABLE users RENAME TO other");
    check(&folder, &["status"], 1, &["a migration is needed\n", "users: the target has no such table yet"]);
    fs::remove_file(folder.path("target.db")).expect("it was there");
    check(&folder, &["status"], 2, &["the target", "no such file"]);
    let schema = "path = \"target.db\", schema = \"schema.sql\"";
    fs::write(folder.path("cutover.toml"), plan.replace("path = \"target.db\"", schema)).expect("a plan");
    fs::write(folder.path("schema.sql"), "CREATE TABLE users (id INTEGER PRIMARY KEY);").expect("a schema");
    check(&folder, &["status"], 1, &["0 of 1 rows are there, 0 %"]);
    assert!(!folder.path("target.db").exists());
}

#[test]
fn a_target_that_cannot_be_reached_is_not_one_that_is_not_there() {
    let folder = pair();
    let plan = "version = 1\nsource = { kind = \"sqlite\", path = \"source.db\" }\n[target]\nTARGET\n\
                schema = \"schema.sql\"\n[[table]]\ninto = \"users\"\n[gate]\nunpaired = [\"snapshots\"]\n";
    fs::write(folder.path("schema.sql"), "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);").expect("a schema");
    fs::write(folder.path("damaged.db"), "this is no database, and long enough to be looked at ".repeat(20))
        .expect("a file");
    for (target, says) in [
        ("kind = \"postgres\"\nurl = \"postgres://u@127.0.0.1:1/db\"", "127.0.0.1"),
        ("kind = \"postgres\"\nurl = \"postgres://u@127.0.0.1:1/db\"\nschemas = [\"s\"]", "127.0.0.1"),
        ("kind = \"sqlite\"\npath = \"damaged.db\"", "damaged.db"),
    ] {
        fs::write(folder.path("cutover.toml"), plan.replace("TARGET", target)).expect("a plan");
        for verb in ["check", "status", "fields", "validate"] {
            let done = check(&folder, &[verb], 2, &[says]);
            assert_eq!(done.stdout, "", "{verb}");
        }
    }
    let absent = "kind = \"sqlite\"\npath = \"absent.db\"";
    fs::write(folder.path("cutover.toml"), plan.replace("TARGET", absent)).expect("a plan");
    check(&folder, &["check"], 0, &["no problems"]);
    check(&folder, &["status"], 1, &["0 of 25 rows are there, 0 %"]);
}

#[test]
fn an_unfinished_run_says_what_to_type_next() {
    let folder = pair();
    let mut journal = half(&folder, "a", Phase::Applying);
    journal.finish("a", "interrupted", Some("type cutover migrate to go on"), AT).expect("an end");
    drop(journal);
    let parts = ["run a stands half way (applying): the target holds a part of it", "type cutover migrate to go on"];
    let done = check(&folder, &["status"], 1, &parts);
    assert!(done.stdout.ends_with("next: cutover migrate\n"), "{}", done.stdout);
    let json = check(&folder, &["status", "--format", "json"], 1, &[]).json();
    assert_eq!((&json["unfinished"], &json["runs"][0]["outcome"]), (&json!(["a"]), &json!("interrupted")));
    let offline = check(&folder, &["status", "--offline"], 1, &["2 of 7 rows are written, 28 %", "which is no proof"]);
    assert!(offline.stdout.contains("interrupted"), "{}", offline.stdout);
    check(&folder, &["status", "--offline", "--table", "nope"], 2, &["run a has no table `nope`"]);
    half(&folder, "b", Phase::RollingBack);
    check(&folder, &["status"], 1, &["next: cutover rollback --run b"]);
    half(&folder, "c", Phase::Done);
    check(&folder, &["status", "--offline"], 0, &["no migration is needed"]);
    check(&folder, &["status"], 1, &["next: cutover migrate --dry-run"]);
    let json = check(&folder, &["status", "--offline", "--format", "json"], 0, &[]).json();
    assert_eq!((&json["unfinished"], &json["compared"]), (&json!([]), &json!(false)));
}

#[test]
fn without_a_journal_nothing_is_known_offline() {
    let folder = pair();
    check(&folder, &["status", "--offline"], 2, &["no run is known"]);
    // A run that only looked says nothing about rows.
    let mut journal = state(&folder);
    let looked = RunRecord { ended: Some(AT.to_owned()), ..record("a", Phase::Staged) };
    journal.begin_run(&looked).expect("a run");
    drop(journal);
    check(&folder, &["status", "--offline"], 2, &["no run is known"]);
    fs::write(folder.path(".cutover/journal.sqlite"), "no database, whatever its name says").expect("a file");
    let parts = ["is damaged", "move it away", "125 of 175 rows are there"];
    check(&folder, &["status"], 1, &parts);
    for verb in [&["status", "--offline"][..], &["history"], &["clean"]] {
        check(&folder, verb, 2, &["is damaged", "move it away"]);
    }
}

#[test]
fn a_run_that_writes_is_left_in_peace() {
    let folder = pair();
    let journal = half(&folder, "a", Phase::Applying);
    let lock = Lock::take(&folder.path(FOLDER), &Owner::this("cutover migrate", AT)).expect("the lock");
    let pid = format!("process {} on ", std::process::id());
    let parts =
        ["2 of 7 rows are written, 28 %", "running: ", &pid, "(cutover migrate)", "next: cutover status --offline"];
    check(&folder, &["status"], 1, &parts);
    let json = check(&folder, &["status", "--format", "json"], 1, &[]).json();
    assert_eq!((&json["lock"]["pid"], &json["lock"]["lives"]), (&json!(std::process::id()), &json!(true)));
    check(&folder, &["unlock"], 2, &["another run holds the lock", &pid, "since 2020-01-02T03:04:05Z"]);
    lock.check().expect("it is still there");
    check(&folder, &["unlock", "--force"], 0, &["took the lock away from ", &pid]);
    assert!(lock.check().is_err());
    let told = journal.events(None).expect("the audit trail");
    assert_eq!(told.last().map(|it| it.event.as_str()), Some("unlock"));
    check(&folder, &["unlock"], 0, &["there is no lock\n"]);
    drop((lock, journal));
    let owner = Owner { pid: u32::MAX, ..Owner::this("cutover migrate", AT) };
    fs::write(folder.path(".cutover/lock"), serde_json::to_vec(&owner).expect("JSON")).expect("a file");
    check(&folder, &["status"], 1, &["125 of 175", "left behind: the lock of process 4294967295"]);
    check(&folder, &["unlock"], 0, &["removed the lock of process 4294967295"]);
    check(&folder, &["unlock", "nowhere/cutover.toml"], 0, &["there is no lock"]);
}

#[test]
fn history_lists_runs_and_looks_at_the_audit_trail() {
    let folder = pair();
    check(&folder, &["history"], 0, &["no run of cutover.toml is known"]);
    check(&folder, &["history", "nope.toml"], 2, &["nope.toml: no such file"]);
    let mut journal = half(&folder, "a", Phase::Applying);
    let decision = |key: &str| Decision {
        table: "users".to_owned(),
        key: key.to_owned(),
        kind: "conflict".to_owned(),
        choice: "skip".to_owned(),
        by: "plan".to_owned(),
    };
    journal.decide("a", &[decision("1"), decision("2")], AT).expect("decisions");
    let second = RunRecord { continues: Some("a".to_owned()), ..record("b", Phase::Done) };
    journal.begin_run(&second).expect("a run");
    journal.begin_run(&RunRecord { plan: "other.toml".to_owned(), ..record("z", Phase::Done) }).expect("a run");
    let done = check(&folder, &["history"], 0, &["a    applying", "b    done", "audit trail: whole, 4 entries, head "]);
    assert!(!done.stdout.contains("\nz "), "{}", done.stdout);
    let parts = ["began 2020-01-02T03:04:05Z", "users: 2 × skip for conflict (plan)", "inserts"];
    check(&folder, &["history", "--run", "a"], 0, &parts);
    check(&folder, &["history", "--run", "b"], 0, &["goes on with a"]);
    check(&folder, &["history", "--run", "q"], 2, &["there is no run `q`"]);
    let json = check(&folder, &["history", "--audit", "--format", "json"], 0, &[]).json();
    let (runs, audit) = (&json["runs"], &json["audit"]);
    assert_eq!(
        (&json["format"], &runs[0]["id"], &runs[1]["id"]),
        (&json!("cutover-history/1"), &json!("b"), &json!("a"))
    );
    assert_eq!((&runs[1]["tables"][0]["done"], &runs[1]["decisions"][0]["rows"]), (&json!(2), &json!(2)));
    assert_eq!((&audit["intact"], &audit["entries"], &audit["broken"]), (&json!(true), &json!(4), &Value::Null));
    assert_eq!(
        (&audit["events"][1]["event"], &audit["events"][1]["detail"]["decisions"]),
        (&json!("decide"), &json!(2))
    );
    assert_eq!(audit["head"], audit["events"][3]["hash"]);
    drop(journal);
    folder.sqlite(".cutover/journal.sqlite", "UPDATE audit SET detail = '{\"decisions\":1}' WHERE seq = 2");
    check(&folder, &["history"], 2, &["audit trail: BROKEN at entry 2: it was changed; 1 entry before it are whole"]);
    let json = check(&folder, &["history", "--format", "json"], 2, &[]).json();
    assert_eq!(json["audit"]["broken"], json!({ "entry": 2, "why": "it was changed" }));
    assert_eq!(json["audit"]["events"], Value::Null);
}

#[test]
fn whatever_a_journal_holds_does_no_harm_on_a_terminal() {
    let folder = pair();
    let evil = "\u{1b}[2J::error::\r\n\u{202e}##vso[x]";
    let mut journal = state(&folder);
    let run = RunRecord {
        target: evil.to_owned(),
        outcome: Some(evil.to_owned()),
        advice: Some(evil.to_owned()),
        ended: Some(evil.to_owned()),
        ..record("a", Phase::Applying)
    };
    journal.begin_run(&run).expect("a run");
    let counts = TableCounts { name: evil.to_owned(), inserts: 1, ..TableCounts::default() };
    journal.set_table("a", &counts).expect("a table");
    journal.audit(Some("a"), evil, &json!({ "evil": evil }), AT).expect("an entry");
    let owner = Owner { host: evil.to_owned(), ..Owner::this(evil, evil) };
    fs::write(folder.path(".cutover/lock"), serde_json::to_vec(&owner).expect("JSON")).expect("a file");
    for verb in [
        &["status", "--verbose"][..],
        &["status", "--format", "json"],
        &["status", "--offline"],
        &["history", "--audit"],
        &["history", "--run", "a"],
        &["history", "--audit", "--format", "json"],
        &["clean"],
        &["unlock"],
    ] {
        let done = run_both(&folder, verb);
        assert!(!done.contains('\u{202e}') && !done.contains("##vso["), "{done}");
        assert!(!done.lines().any(|it| it.trim_start().starts_with("::")), "{done}");
    }
}

fn run_both(folder: &Folder, arguments: &[&str]) -> String {
    let done = run(folder, arguments);
    format!("{}{}", done.stdout, done.stderr)
}

#[test]
fn clean_shows_before_it_removes() {
    let folder = pair();
    // A kind of store that is only read; what it says comes last.
    plan(&folder, "d1-export", "");
    let mut journal = state(&folder);
    let far = "2999-01-01T00:00:00Z";
    let runs = [
        ("old", Phase::Done, AT, None),
        ("half", Phase::Applying, AT, None),
        ("on", Phase::Done, AT, Some("half")),
        ("dead", Phase::Staged, AT, None),
        ("late", Phase::Applying, AT, None),
        ("later", Phase::Done, far, Some("late")),
        ("new", Phase::Done, far, None),
    ];
    for (id, phase, started, continues) in runs {
        let run = RunRecord {
            started: started.to_owned(),
            continues: continues.map(str::to_owned),
            plan: "cutover.toml".to_owned(),
            ..record(id, phase)
        };
        journal.begin_run(&run).expect("a run");
        fs::write(journal.run_folder(id).expect("a folder").join("file"), "").expect("a file");
    }
    journal.run_folder("unknown").expect("a folder");
    let left = || {
        let entries = fs::read_dir(folder.path(".cutover/runs")).expect("a folder");
        let mut all: Vec<_> =
            entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        all.sort();
        all.join(" ")
    };
    let all = left();
    let lines = "would remove the folder of run old, which cannot be rolled back then\n\
                 would remove the folder of run half, which cannot be rolled back then\n\
                 would remove the folder of run on, which cannot be rolled back then\n\
                 would remove the folder of run dead, which cannot be rolled back then\n\
                 nothing was removed; now: cutover clean --confirm\n";
    let first = "would remove what this tool keeps in d1-export target.db, if anything\n";
    let done = check(&folder, &["clean"], 0, &[]);
    assert_eq!((done.stdout, left()), (format!("{first}{lines}"), all.clone()));
    let lock = Lock::take(&folder.path(FOLDER), &Owner::this("cutover migrate", AT)).expect("the lock");
    check(&folder, &["clean", "--confirm"], 2, &["another run holds the lock"]);
    drop(lock);
    assert_eq!(left(), all);
    check(&folder, &["clean", "--confirm"], 2, &["removed the folder of run old", "the target cannot be cleaned: "]);
    assert_eq!(left(), "late later new unknown");
    let told = journal.events(None).expect("the audit trail");
    let [.., before, after] = told.as_slice() else { panic!("two entries at least: {told:?}") };
    assert_eq!([&before.event, &after.event], ["clean", "cleaned"], "it is told before anything is gone");
    assert!(before.detail.contains(r#""folders":["old","half","on","dead"]"#), "{}", before.detail);
    assert!(
        after.told().starts_with("4 folders of runs removed; then: the target cannot be cleaned: "),
        "{}",
        after.told()
    );
    assert_eq!(journal.runs().expect("runs").len(), 7, "what was run stays known");
    drop(journal);
    half(&folder, "open", Phase::Applying);
    let parts =
        ["run open stands half way (applying)", "cutover migrate; or take it back: cutover rollback --run open"];
    for verb in [&["clean"][..], &["clean", "--confirm", "--days", "0"]] {
        check(&folder, verb, 2, &parts);
    }
    assert_eq!(left(), "late later new unknown");
}

#[test]
fn each_of_them_has_a_help_with_examples() {
    let folder = Folder::new();
    for verb in ["status", "history", "unlock", "clean"] {
        check(&folder, &[verb, "--help"], 0, &["Examples:", &format!("cutover {verb}"), "[default: cutover.toml]"]);
    }
}
