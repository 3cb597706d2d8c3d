//! Migrations that run: what is written, proved, undone, and what is said about it.

use super::{
    command::{Done, run},
    support::Folder,
};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;

/// Teams and their members, in tables that refer to each other.
const SOURCE: &str = "
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER, email TEXT, seen TEXT);
    INSERT INTO teams VALUES (1, 'red'), (2, 'blue');
    INSERT INTO people VALUES (1, 1, 'mira@example.test', '2026-01-01T10:00:00Z'), (2, 2, 'bo@example.test', NULL),
        (3, 2, 'ada@example.test', '2026-01-03T10:00:00Z');";

const SCHEMA: &str = "
    CREATE TABLE members (id INTEGER PRIMARY KEY, team_id INTEGER NOT NULL REFERENCES teams (id), email TEXT UNIQUE,
        seen TEXT, note TEXT);
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT NOT NULL);";

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db", schema = "schema.sql" }

[[table]]
into = "members"
from = "people"
dated = "seen"
columns.id = ".id"
columns.team_id = ".team"
columns.email = { from = ".email", matches = "@" }
columns.seen = ".seen"

[[table]]
into = "teams"

[gate]
unpaired = ["members.note"]
"#;

pub(super) fn folder(target: &str) -> Folder {
    let folder = Folder::new();
    folder.sqlite("source.db", SOURCE);
    fs::write(folder.path("schema.sql"), SCHEMA).expect("a schema");
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    if !target.is_empty() {
        folder.sqlite("target.db", &format!("{SCHEMA}{target}"));
    }
    folder
}

/// What a query says, a row a line.
pub(super) fn ask(folder: &Folder, sql: &str) -> Vec<String> {
    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let mut statement = connection.prepare(sql).expect("a query");
    let rows = statement.query_map([], |it| it.get::<_, String>(0)).expect("rows");
    rows.map(|it| it.expect("a row")).collect()
}

pub(super) const MEMBERS: &str =
    "SELECT id || ' ' || team_id || ' ' || email || ' ' || coalesce(seen, '-') || ' ' || coalesce(note, '-')
    FROM members ORDER BY id";

pub(super) const ALL: [&str; 3] = [
    "1 1 mira@example.test 2026-01-01T10:00:00Z -",
    "2 2 bo@example.test - -",
    "3 2 ada@example.test 2026-01-03T10:00:00Z -",
];

/// The plan with something replaced.
pub(super) fn plan(folder: &Folder, from: &str, to: &str) {
    assert!(PLAN.contains(from), "{from}");
    fs::write(folder.path("cutover.toml"), PLAN.replace(from, to)).expect("a plan");
}

pub(super) fn migrate(folder: &Folder, arguments: &[&str]) -> Done {
    run(folder, &[&["migrate", "--no-backup"], arguments].concat())
}

/// The counts of a table that are not 0.
fn counts(report: &Value, table: &str) -> String {
    let tables = report["tables"].as_array().expect("tables");
    let table = tables.iter().find(|it| it["name"] == table).expect("the table");
    let names = ["same", "insert", "update", "skip", "conflict", "reject", "inserted", "updated", "failed"];
    let count = |name: &&str| table[name].as_u64().filter(|it| *it > 0).map(|it| format!("{name}={it}"));
    names.iter().filter_map(count).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_target_that_is_not_there_is_made_filled_and_proved() {
    let folder = folder("");
    let looked = migrate(&folder, &["--dry-run", "--format", "json"]);
    assert_eq!((looked.code, looked.stderr.as_str()), (0, ""), "{}", looked.stdout);
    let report = looked.json();
    assert_eq!((&report["verdict"], &report["preview"]), (&json!("pass"), &json!(true)));
    assert_eq!(counts(&report, "members"), "insert=3");
    assert!(!folder.path("target.db").exists(), "a preview makes nothing");

    let done = migrate(&folder, &["--format", "json"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{}", done.stdout);
    let report = done.json();
    assert_eq!(counts(&report, "teams"), "insert=2 inserted=2");
    assert_eq!(counts(&report, "members"), "insert=3 inserted=3");
    let order: Vec<_> = report["tables"].as_array().expect("tables").iter().map(|it| it["name"].clone()).collect();
    assert_eq!(order, ["teams", "members"], "parents first");
    assert_eq!(ask(&folder, MEMBERS), ALL);

    let again = migrate(&folder, &["--format", "json"]).json();
    assert_eq!((&again["verdict"], counts(&again, "members")), (&json!("pass"), "same=3".to_owned()));
    assert_eq!(run(&folder, &["verify"]).code, 0);
}

#[test]
fn rows_that_differ_go_as_the_plan_says() {
    let there = "INSERT INTO teams VALUES (1, 'red'), (2, 'blue');
        INSERT INTO members VALUES (1, 1, 'mira@example.test', NULL, 'kept'), (2, 2, 'old@example.test', '2026-02-01', NULL);";
    let check = |conflict: &str, code: i32, expect: &str, rows: [&str; 2]| {
        let folder = folder(there);
        plan(&folder, "dated = \"seen\"", conflict);
        let done = migrate(&folder, &["--format", "json"]);
        assert_eq!(done.code, code, "{conflict}: {} {}", done.stdout, done.stderr);
        assert_eq!(counts(&done.json(), "members"), expect, "{conflict}");
        assert_eq!(ask(&folder, MEMBERS)[..2], rows, "{conflict}");
        let again = migrate(&folder, &["--format", "json"]);
        assert_eq!(again.code, code, "{conflict}: {}", again.stdout);
        assert_eq!(ask(&folder, MEMBERS)[..2], rows, "{conflict}, again");
    };
    let old = ["1 1 mira@example.test - kept", "2 2 old@example.test 2026-02-01 -"];
    let new = ["1 1 mira@example.test 2026-01-01T10:00:00Z kept", "2 2 bo@example.test - -"];
    check("", 1, "insert=1 conflict=2", old);
    check("conflict = \"skip\"", 0, "insert=1 skip=2 inserted=1", old);
    check("conflict = \"overwrite\"", 0, "insert=1 update=2 inserted=1 updated=2", new);
    check("conflict = \"merge\"", 0, "insert=1 update=1 skip=1 inserted=1 updated=1", [new[0], old[1]]);
    check(
        "conflict = \"newest\"\nnewest_by = \"seen\"",
        0,
        "insert=1 update=1 skip=1 inserted=1 updated=1",
        [new[0], old[1]],
    );
}

#[test]
fn columns_are_merged_each_as_the_plan_says() {
    let folder = folder(
        "INSERT INTO teams VALUES (1, 'red'), (2, 'blue');
        INSERT INTO members VALUES (1, 2, 'old@example.test', '2026-02-01', 'kept'), (3, 2, 'ada@example.test', NULL, NULL);",
    );
    let text = PLAN.replace("dated = \"seen\"", "conflict = \"merge\"");
    let text = text.replace("matches = \"@\" }", "matches = \"@\", merge = \"source\" }");
    let text = text.replace("columns.seen = \".seen\"", "columns.seen = { from = \".seen\", merge = \"target\" }");
    fs::write(folder.path("cutover.toml"), text).expect("a plan");
    let done = migrate(&folder, &["--format", "json"]);
    let expect = (0, "insert=1 update=1 skip=1 inserted=1 updated=1".to_owned());
    assert_eq!((done.code, counts(&done.json(), "members")), expect, "{}", done.stdout);
    // The e-mail is the source's, and the other two columns stay: one as the plan says, one as it is not NULL.
    let rows = ["1 2 mira@example.test 2026-02-01 kept", ALL[1], "3 2 ada@example.test - -"];
    assert_eq!(ask(&folder, MEMBERS), rows);
    let run = &run(&folder, &["history", "--format", "json"]).json()["runs"][0];
    let counted = ["inserts", "updates", "skips", "conflicts"].map(|it| run["tables"][1][it].clone());
    assert_eq!(counted, [json!(1), json!(1), json!(1), json!(0)], "{run}");
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let folder = folder(
        "INSERT INTO teams VALUES (1, 'red'); INSERT INTO members VALUES (1, 1, 'other@example.test', NULL, NULL);",
    );
    plan(&folder, "dated = \"seen\"", "conflict = \"ask\"");
    let done = migrate(&folder, &[]);
    let says = "error: members: `conflict = \"ask\"` needs a terminal; write skip, overwrite, merge or newest in the plan instead\n";
    assert_eq!((done.code, done.stderr.as_str()), (2, says));
}

#[test]
fn what_could_not_pass_is_not_written() {
    let check = |change: &str, reason: &str| {
        let folder = folder("");
        folder.sqlite("source.db", &format!("DROP TABLE teams; DROP TABLE people; {SOURCE} {change}"));
        let done = migrate(&folder, &[]);
        assert_eq!(done.code, 1, "{change}: {}", done.stdout);
        assert!(done.stdout.contains(reason), "{change}: {}", done.stdout);
        assert!(done.stdout.contains("The target is as it was; nothing was written."), "{}", done.stdout);
        assert!(!folder.path("target.db").exists(), "{change}");
    };
    check("UPDATE people SET team = 9 WHERE id = 1", "members: orphans 1 > 0");
    check("UPDATE people SET email = 'bo@example.test'", "members: clashes 2 > 0");
    check("UPDATE people SET email = 'nobody' WHERE id = 1", "members: rejects 1 > 0");
}

#[test]
fn rows_that_are_refused_are_left_out_where_that_is_allowed() {
    let folder = folder("");
    let more = (10..40).map(|it| format!("INSERT INTO people VALUES ({it}, 1, 'p{it}@example.test', NULL);"));
    folder.sqlite("source.db", &more.collect::<String>());
    folder.sqlite(
        "source.db",
        "UPDATE people SET email = 'nobody' WHERE id = 10; UPDATE people SET team = NULL WHERE id = 11",
    );
    let strict = migrate(&folder, &["--format", "json"]);
    assert_eq!((strict.code, folder.path("target.db").exists()), (1, false), "{}", strict.stdout);
    let done = migrate(&folder, &["--continue-on-error", "--format", "json"]);
    assert_eq!(done.code, 1, "{}", done.stdout);
    let report = done.json();
    assert_eq!(counts(&report, "members"), "insert=32 reject=1 inserted=31 failed=1", "{}", done.stdout);
    let reasons = ["2 rows were left out, as skip_errors says", "members: missing 1 > 0", "members: rejects 1 > 0"];
    assert_eq!(report["reasons"], json!(reasons));
    let id = report["id"].as_str().expect("an id");
    let files = fs::read_dir(folder.path(".cutover/runs").join(id)).expect("the run's folder");
    let members = files.map(|it| it.expect("an entry").path()).find(|it| it.to_string_lossy().contains("members-"));
    let read = |name: &str| fs::read_to_string(members.as_ref().expect("its folder").join(name)).expect(name);
    assert!(read("failed.ndjson").contains(r#"{"row":{"id":11,"team_id":null"#), "{}", read("failed.ndjson"));
    let whole = r#"{"key":{"id":10},"value":"nobody","row":{"email":"nobody","id":10,"#;
    assert!(read("rejects.ndjson").contains(whole), "{}", read("rejects.ndjson"));
    folder.sqlite(
        "source.db",
        "UPDATE people SET email = 'p10@example.test' WHERE id = 10; UPDATE people SET team = 2 WHERE id = 11",
    );
    let retry = |arguments: &[&str]| run(&folder, &[&["retry", "--no-backup"], arguments].concat());
    let mended = retry(&["--format", "json"]);
    assert_eq!(
        (mended.code, counts(&mended.json(), "members")),
        (0, "same=31 insert=2 inserted=2".to_owned()),
        "{}",
        mended.stdout
    );
    let (done, unknown) = (retry(&[]), retry(&["other.toml"]));
    assert!(
        done.code == 0 && done.stdout.contains("insert 0, update 0, skip 0; 35 are the same already"),
        "{}",
        done.stdout
    );
    assert!(unknown.code == 2 && unknown.stderr.contains("no run of other.toml is known"), "{}", unknown.stderr);
}

#[test]
fn more_than_the_threshold_is_not_left_out() {
    let check = |refused: u32, twisted: u32, threshold: &str, code: i32, expect: usize| {
        let folder = folder("");
        let more = (4..=20).map(|it| format!("INSERT INTO people VALUES ({it}, 1, 'p{it}@example.test', NULL);"));
        folder.sqlite("source.db", &more.collect::<String>());
        folder.sqlite("source.db", &format!("UPDATE people SET email = 'nobody' WHERE id <= {refused}"));
        folder.sqlite("source.db", &format!("UPDATE people SET team = NULL WHERE id > 20 - {twisted}"));
        plan(&folder, "[gate]\n", &format!("[migrate]\nskip_errors = true\n{threshold}\n[gate]\n"));
        let done = migrate(&folder, &[]);
        let there = if folder.path("target.db").exists() { ask(&folder, MEMBERS).len() } else { 0 };
        assert_eq!((done.code, there), (code, expect), "{refused}, {twisted}, {threshold}: {}", done.stdout);
    };
    // A tenth of 20 rows, if nothing is said: those that the mapping refuses are seen before anything is written, those that the
    // target refuses only then.
    check(2, 0, "", 1, 18);
    check(3, 0, "", 1, 0);
    check(0, 2, "", 1, 18);
    check(0, 3, "", 1, 0);
    check(3, 0, "rollback_threshold = 0.15", 1, 17);
    check(0, 3, "rollback_threshold = 0.15", 1, 17);
    check(1, 0, "rollback_threshold = 0.0", 1, 0);
}

#[test]
fn indexes_are_left_out_meanwhile_and_are_back_at_the_end() {
    let folder = folder("CREATE INDEX by_seen ON members (seen);");
    let done = migrate(&folder, &["--disable-indexes"]);
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert!(done.stdout.contains("\nindexes: by_seen dropped until the end"), "{}", done.stdout);
    let there = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL";
    assert_eq!(
        (ask(&folder, there), ask(&folder, MEMBERS)),
        (vec!["by_seen".to_owned()], ALL.map(str::to_owned).to_vec())
    );
    assert_eq!(run(&folder, &["rollback", "--confirm"]).code, 0);
    let done = migrate(&folder, &[]);
    assert!(done.code == 0 && !done.stdout.contains("dropped"), "{}", done.stdout);
}

#[test]
fn what_the_gate_lets_through_is_no_failure() {
    let folder = folder("");
    folder.sqlite("source.db", "UPDATE people SET email = 'nobody' WHERE id = 1");
    plan(&folder, "[gate]\n", "[gate]\nrejects = 1\n");
    let done = migrate(&folder, &["--format", "json"]);
    assert_eq!(
        (done.code, counts(&done.json(), "members")),
        (0, "insert=2 reject=1 inserted=2".to_owned()),
        "{}",
        done.stdout
    );
    assert_eq!(ask(&folder, MEMBERS), ALL[1..]);
}

#[test]
fn tables_that_cannot_be_made_leave_nothing_to_undo() {
    let folder = folder("");
    fs::write(folder.path("schema.sql"), format!("{SCHEMA} CREATE INDEX i ON members (nothing);")).expect("a schema");
    let done = migrate(&folder, &[]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{}", done.stderr);
    assert!(done.stderr.contains("nothing"), "{}", done.stderr);
}

#[test]
fn a_run_is_undone_but_for_what_others_changed() {
    let folder = folder("INSERT INTO teams VALUES (1, 'old'); INSERT INTO members VALUES (1, 1, 'a@b', NULL, 'x');");
    fs::write(folder.path("cutover.toml"), PLAN.replace("into =", "conflict = \"overwrite\"\ninto =")).expect("a plan");
    let before = ask(&folder, MEMBERS);
    assert_eq!(migrate(&folder, &[]).code, 0);
    assert_ne!(ask(&folder, MEMBERS), before);

    let looked = run(&folder, &["rollback"]);
    assert_eq!(looked.code, 0, "{}", looked.stderr);
    assert!(
        looked.stdout.starts_with("WOULD    restore 2, remove 3, leave 0 that others changed since\n"),
        "{}",
        looked.stdout
    );
    assert!(looked.stdout.contains("--confirm"), "{}", looked.stdout);
    assert_eq!(ask(&folder, MEMBERS).len(), 3, "a preview undoes nothing");

    folder.sqlite("target.db", "UPDATE members SET note = 'theirs', seen = 'today' WHERE id = 3");
    let done = run(&folder, &["rollback", "--confirm"]);
    assert_eq!(done.code, 1, "{} {}", done.stdout, done.stderr);
    assert!(
        done.stdout.contains("members: changed by others since, and left as they are:\n  id=3\n"),
        "{}",
        done.stdout
    );
    assert_eq!(ask(&folder, MEMBERS), ["1 1 a@b - x", "3 2 ada@example.test today theirs"]);
    // The row that is theirs refers to the second team.
    assert!(
        done.stdout.contains("teams: left, as rows that stay refer to them:\n  id=2, by members\n"),
        "{}",
        done.stdout
    );
    assert_eq!(ask(&folder, "SELECT name FROM teams ORDER BY id"), ["old", "blue"]);
}

#[test]
fn a_failed_run_is_undone_by_itself() {
    // The trigger makes of one row something else than was written, which only reading back shows.
    let there = "INSERT INTO teams VALUES (1, 'red');
        CREATE TRIGGER twist AFTER INSERT ON members WHEN new.id = 3 BEGIN UPDATE members SET seen = 'never' WHERE id = 3; END;";
    let folder = folder(there);
    let done = migrate(&folder, &[]);
    assert_eq!(done.code, 1, "{} {}", done.stdout, done.stderr);
    assert!(done.stdout.contains("members: changed 1 > 0"), "{}", done.stdout);
    assert!(done.stdout.contains("The target is as it was before: what was written was taken back"), "{}", done.stdout);
    assert_eq!(ask(&folder, MEMBERS), Vec::<String>::new());
    assert_eq!(ask(&folder, "SELECT name FROM teams"), ["red"]);

    let kept = migrate(&folder, &["--keep-partial"]);
    assert_eq!(kept.code, 1, "{}", kept.stdout);
    assert_eq!(ask(&folder, MEMBERS).len(), 3);
    let rolled = run(&folder, &["rollback", "--confirm"]);
    assert_eq!(rolled.code, 0, "{} {}", rolled.stdout, rolled.stderr);
    assert_eq!(ask(&folder, MEMBERS), Vec::<String>::new());
}

#[test]
fn a_run_may_be_about_some_tables_or_some_time() {
    let folder = folder("");
    let orphans = migrate(&folder, &["--except", "teams"]);
    assert!(orphans.code == 1 && orphans.stdout.contains("members: orphans 3"), "{}", orphans.stdout);
    assert_eq!(migrate(&folder, &["--only", "teams"]).code, 0);
    assert_eq!((ask(&folder, "SELECT name FROM teams").len(), ask(&folder, MEMBERS).len()), (2, 0));
    let done = migrate(&folder, &["--except", "teams", "--since", "2026-01-02T00:00:00Z"]);
    assert_eq!(done.code, 0, "{} {}", done.stdout, done.stderr);
    assert_eq!(ask(&folder, MEMBERS), ALL[2..]);
    let done = migrate(&folder, &["--except", "teams", "--until", "2026-01-02T00:00:00Z"]);
    assert_eq!(done.code, 0, "{} {}", done.stdout, done.stderr);
    assert_eq!(ask(&folder, MEMBERS), [ALL[0], ALL[2]]);
    let refused = migrate(&folder, &["--since", "2026-01-02T00:00:00Z"]);
    let says = "error: --since, --until: teams has no `dated` column in the plan\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (2, says));
}

#[test]
fn small_batches_write_the_same() {
    let whole = folder("");
    assert_eq!(migrate(&whole, &[]).code, 0);
    let parts = folder("");
    let done = migrate(&parts, &["--batch-size", "1", "--format", "json"]);
    assert_eq!((done.code, &done.json()["tables"][1]["batches"]), (0, &json!(3)));
    assert_eq!(ask(&whole, MEMBERS), ask(&parts, MEMBERS));
}

/// A chain of tables, one of which refers to itself, and one that the run does not know.
#[test]
fn a_row_that_others_refer_to_is_not_taken_from_under_them() {
    let tables = "CREATE TABLE a (id INTEGER PRIMARY KEY);
        CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER REFERENCES a (id) ON DELETE CASCADE, b INTEGER REFERENCES b);
        CREATE TABLE c (id INTEGER PRIMARY KEY, b INTEGER REFERENCES b (id) ON DELETE CASCADE, name TEXT);";
    let rows = "INSERT INTO a VALUES (1), (2), (3), (4); INSERT INTO b VALUES (1, 1, NULL), (2, 2, 1), (3, 3, 2), (4, 4, NULL);
        INSERT INTO c VALUES (1, 1, 'x'), (2, 3, 'y'), (4, 4, 'z');";
    let folder = Folder::new();
    folder.sqlite("source.db", &format!("{tables}{rows}"));
    folder.sqlite("target.db", &format!("{tables}CREATE TABLE own (id INTEGER PRIMARY KEY, a INTEGER REFERENCES a);"));
    let plan = "version = 1\nsource = { kind = \"sqlite\", path = \"source.db\" }\n\
        target = { kind = \"sqlite\", path = \"target.db\" }\n\
        [[table]]\ninto = \"a\"\n[[table]]\ninto = \"b\"\n[[table]]\ninto = \"c\"\n[gate]\nunpaired = [\"own\"]\n";
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    assert_eq!(migrate(&folder, &[]).code, 0);
    // Row 2 of c is changed, so b 3 stays, and b 2 and b 1, to which that leads, and their parents in a. And somebody refers to a 4.
    folder.sqlite("target.db", "UPDATE c SET name = 'mine' WHERE id = 2; INSERT INTO own VALUES (1, 4)");
    let looked = run(&folder, &["rollback"]);
    let says = "WOULD    restore 0, remove 3, leave 1 that others changed since, and 7 that others refer to\n";
    assert!(looked.stdout.starts_with(says), "{}", looked.stdout);
    let done = run(&folder, &["rollback", "--confirm"]);
    assert_eq!(done.code, 1, "{}", done.stdout);
    assert!(done.stdout.contains("b: left, as rows that stay refer to them:\n"), "{}", done.stdout);
    assert!(done.stdout.contains("  id=3, by c\n") && done.stdout.contains("  id=4, by own\n"), "{}", done.stdout);
    let all = |table: &str| ask(&folder, &format!("SELECT CAST(id AS TEXT) FROM {table} ORDER BY id")).concat();
    assert_eq!([all("a"), all("b"), all("c")], ["1234", "123", "2"]);
}

#[test]
fn several_runs_are_undone_each_with_its_own_counts() {
    let folder = folder("");
    assert_eq!(migrate(&folder, &["--only", "teams"]).code, 0);
    assert_eq!(migrate(&folder, &[]).code, 0);
    fs::write(folder.path("cutover.toml"), PLAN.replace("into =", "conflict = \"overwrite\"\ninto =")).expect("a plan");
    folder.sqlite("source.db", "UPDATE teams SET name = 'green' WHERE id = 1");
    assert_eq!(migrate(&folder, &[]).code, 0);
    // The first run inserted the team that the last one changed, and one to which members of the second refer.
    let all = ["rollback", "--before", "2000-01-01T00:00:00Z"];
    let looked = run(&folder, &all);
    assert!(looked.stdout.starts_with("WOULD    restore 1, remove 5, leave 0"), "{}", looked.stdout);
    let next = "next: cutover rollback cutover.toml --before 2000-01-01T00:00:00Z --confirm\n";
    assert!(looked.stdout.ends_with(next), "{}", looked.stdout);
    let one = run(&folder, &["rollback", "--tables", "members"]).stdout;
    assert!(one.contains(" --tables members --confirm\n") && !one.contains("an earlier run"), "{one}");

    // It refers to a team that the first run wrote.
    folder.sqlite("target.db", "UPDATE members SET seen = 'today' WHERE id = 3");
    let done = run(&folder, &[&all[..], &["--confirm", "--format", "json"]].concat());
    assert_eq!(done.code, 1, "{} {}", done.stdout, done.stderr);
    let report = done.json();
    let reasons = [
        "1 rows were changed by others since, and are left as they are",
        "1 rows are referred to by rows that stay, and are left as they are",
    ];
    assert_eq!(report["reasons"], json!(reasons));
    let tables = report["tables"].as_array().expect("tables");
    let of = |name: &str| tables.iter().find(|it| it["name"] == name && it["undo"]["remove"] != 0).expect("a table");
    assert_ne!(of("members")["run"], of("teams")["run"]);

    let events = run(&folder, &["history", "--audit", "--format", "json"]).json()["audit"]["events"].clone();
    let left = |run: &Value| {
        let of = |it: &&Value| it["event"] == "rollback" && it["run"] == *run;
        let detail = events.as_array().and_then(|it| it.iter().find(of)).map(|it| it["detail"].clone());
        detail.map(|it| [it["left"].clone(), it["held"].clone()]).expect("an entry")
    };
    assert_eq!(left(&of("members")["run"]), [1, 0]);
    assert_eq!(left(&of("teams")["run"]), [0, 1]);
}
