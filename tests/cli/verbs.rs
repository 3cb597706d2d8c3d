//! The verbs beside diff: verify, capture, show, check, init, schema, completions, and the report folder.

use super::{command::cutover, support::Folder};
use std::{fs, os::unix::fs::PermissionsExt};

const USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, token TEXT);
    INSERT INTO users VALUES (1, 'a@example.test', 's3cret-one'), (2, '', NULL);
    CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users(id));
    INSERT INTO posts VALUES (7, 1);";

/// Runs and gives the exit code, standard output and standard error.
fn run(folder: &Folder, arguments: &[&str]) -> (i32, String, String) {
    let done = cutover(folder).args(arguments).output().expect("the program runs");
    let text = |it: Vec<u8>| String::from_utf8(it).expect("UTF-8");
    (done.status.code().expect("an exit code"), text(done.stdout), text(done.stderr))
}

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32, stdout: &str, stderr: &str) {
    let (got, out, err) = run(folder, arguments);
    assert_eq!(got, code, "{out}{err}");
    assert!(out.contains(stdout), "no {stdout:?} in {out}");
    assert!(err.contains(stderr), "no {stderr:?} in {err}");
}

#[test]
fn a_snapshot_holds_what_was_there() {
    let folder = Folder::new();
    let database = folder.sqlite("app.db", USERS);
    check(&folder, &["capture", "app.db", "before"], 0, "", "captured 3 rows to before");
    check(&folder, &["diff", "before", "app.db"], 0, "PASS", "");
    database.execute_batch("UPDATE users SET email = 'b@example.test' WHERE id = 1").expect("an update");
    check(&folder, &["diff", "before", "app.db"], 1, "a@example.test", "");
    check(&folder, &["capture", "app.db", "before"], 2, "", "already there");
    check(&folder, &["capture", "app.db", "before", "--replace", "--quiet"], 0, "", "");
    check(&folder, &["diff", "before", "app.db"], 0, "PASS", "");
    let mode = |name: &str| fs::metadata(folder.path(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("before"), mode("before/snapshot.json")), (0o700, 0o600));
}

#[test]
fn what_is_masked_is_nowhere_in_a_snapshot() {
    let folder = Folder::new();
    let database = folder.sqlite("app.db", USERS);
    let read = |name: &str| {
        let entries = fs::read_dir(folder.path(name)).expect("a folder");
        entries.map(|it| fs::read_to_string(it.expect("an entry").path()).expect("text")).collect::<String>()
    };
    check(&folder, &["capture", "app.db", "plain"], 0, "", "");
    assert!(read("plain").contains("s3cret"));
    check(&folder, &["capture", "app.db", "masked", "--mask", "users.token"], 0, "", "");
    assert!(!read("masked").contains("s3cret") && read("masked").contains("********"));
    let keyed = |name: &str| {
        let mut command = cutover(&folder);
        command.env("CUTOVER_MASK_KEY", "a key").args(["capture", "app.db", name, "--mask", "users.token"]);
        assert!(command.status().expect("the program runs").success());
    };
    keyed("one");
    keyed("two");
    assert!(!read("one").contains("s3cret"));
    check(&folder, &["diff", "one", "two"], 0, "PASS", "");
    database.execute_batch("UPDATE users SET token = 's3cret-two' WHERE id = 1").expect("an update");
    keyed("three");
    check(&folder, &["diff", "one", "three"], 1, "masked:", "");
    check(&folder, &["capture", "app.db", "no", "--mask", "users.tokn"], 2, "", "no column `users.tokn`");
    assert!(!folder.path("no").exists());
}

#[test]
fn show_looks_into_any_store() {
    let folder = Folder::new();
    folder.sqlite("app.db", USERS);
    check(&folder, &["show", "app.db"], 0, "users     2  id   id int, email text, token text", "");
    check(&folder, &["show", "app.db", "users"], 0, "1  a@example.test  s3cret-one\n", "");
    check(&folder, &["show", "app.db", "users", "2"], 0, " 2  ''      NULL\n", "");
    check(
        &folder,
        &["show", "app.db", "users", "2", "--format", "json"],
        0,
        "{\"id\":2,\"email\":\"\",\"token\":null}\n",
        "",
    );
    check(&folder, &["show", "app.db", "users", "--limit", "1"], 0, "a@example.test", "there are more rows");
    check(&folder, &["show", "app.db", "users", "9"], 2, "", "no row with the key 9");
    check(&folder, &["show", "app.db", "user"], 2, "", "there is no table `user`; there are: posts, users");
    check(&folder, &["show", "app.db", "users", "1", "2"], 2, "", "the key of `users` is (id), 2 values were given");
    check(&folder, &["capture", "app.db", "snap", "--quiet"], 0, "", "");
    check(&folder, &["show", "snap", "posts", "7"], 0, "7        1\n", "");
}

#[test]
fn a_new_plan_passes_check_and_compares_as_diff_does() {
    let folder = Folder::new();
    folder.sqlite("old.db", USERS);
    folder.sqlite("new.db", &USERS.replace("a@example", "b@example"));
    check(&folder, &["init", "old.db", "new.db"], 0, "", "wrote cutover.toml");
    check(&folder, &["init", "old.db", "new.db"], 2, "", "cannot write cutover.toml");
    check(&folder, &["init", "old.db", "new.db", "--output", "-"], 0, "into = \"users\"", "");
    check(&folder, &["check"], 0, "cutover.toml: no problems; tables: 2, checks: 0", "");
    check(&folder, &["verify"], 1, "users: changed 1 > 0", "");
    let totals = |arguments: &[&str]| {
        let (_, out, _) = run(&folder, arguments);
        serde_json::from_str::<serde_json::Value>(&out).expect("a report")["totals"].clone()
    };
    assert_eq!(totals(&["verify", "--format", "json"]), totals(&["diff", "old.db", "new.db", "--format", "json"]));
}

#[test]
fn a_wrong_plan_shows_every_problem_at_once() {
    let folder = Folder::new();
    folder.sqlite("old.db", USERS);
    folder.sqlite("new.db", USERS);
    let plan = |tables: &str| {
        let stores =
            "source = { kind = \"sqlite\", path = \"old.db\" }\ntarget = { kind = \"sqlite\", path = \"new.db\" }\n";
        fs::write(folder.path("cutover.toml"), format!("version = 1\n{stores}{tables}")).expect("a plan");
    };
    plan("[[table]]\nino = \"users\"\n[gate]\nmising = 1\n");
    let (code, out, err) = run(&folder, &["check"]);
    assert_eq!((code, out.as_str()), (2, ""));
    for part in
        ["cutover.toml:5:1", "did you mean `into`?", "cutover.toml:7:1", "did you mean `missing`?", "3 problems"]
    {
        assert!(err.contains(part), "no {part:?} in {err}");
    }
    plan("[[table]]\ninto = \"users\"\n[table.columns]\nid = \".idd\"\nemial = \".email\"\n");
    let (code, _, err) = run(&folder, &["verify"]);
    assert_eq!(code, 2);
    for part in ["cutover.toml:7:", "cutover.toml:8:1", "2 problems"] {
        assert!(err.contains(part), "no {part:?} in {err}");
    }
    plan(
        "[[table]]\ninto = \"users\"\nexpect = \"gone.ndjson\"\n[[check]]\nname = \"n\"\nsource = \"SELECT count(*) FROM usrs\"\ntarget = \".[\"\n",
    );
    let (code, _, err) = run(&folder, &["check"]);
    assert_eq!(code, 2);
    for part in ["`gone.ndjson` is not there", "no such table: usrs", "cutover.toml:9:", "3 problems"] {
        assert!(err.contains(part), "no {part:?} in {err}");
    }
    check(&folder, &["verify", "nowhere.toml"], 2, "", "no such file; `cutover init SOURCE TARGET` writes a plan");
}

#[test]
fn variables_come_from_the_environment_and_from_env_files() {
    let folder = Folder::new();
    folder.sqlite("old.db", USERS);
    folder.sqlite("new.db", USERS);
    let plan = "version = 1\nsource = { kind = \"sqlite\", path = \"${OLD}\" }\ntarget = { kind = \"sqlite\", path = \"${NEW:-new.db}\" }\n";
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    check(&folder, &["verify"], 2, "", "`OLD`");
    fs::write(folder.path(".env"), "OLD=nowhere.db\n").expect("a file");
    check(&folder, &["verify"], 2, "", "nowhere.db");
    fs::write(folder.path(".env.local"), "OLD=\"old.db\" # here\n").expect("a file");
    check(&folder, &["verify"], 0, "PASS", "");
    let mut command = cutover(&folder);
    let done = command.env("OLD", "elsewhere.db").arg("verify").output().expect("the program runs");
    assert!(String::from_utf8_lossy(&done.stderr).contains("elsewhere.db"), "the environment wins");
}

#[test]
fn a_report_folder_holds_every_finding() {
    let folder = Folder::new();
    let fill = |text: &str| {
        format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250) INSERT INTO t SELECT i, '{text}' FROM n")
    };
    folder.sqlite("old.db", &fill("a"));
    folder.sqlite("new.db", &fill("b"));
    check(&folder, &["diff", "old.db", "new.db", "-o", "out", "--limit", "5"], 1, "t: changed 250 > 0", "");
    let lines = fs::read_to_string(folder.path("out/findings/t.ndjson")).expect("findings");
    assert_eq!(lines.lines().count(), 250);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path("out/report.json")).expect("a report")).expect("JSON");
    let table = &report["tables"][0];
    assert_eq!(table["findings"].as_array().map(Vec::len), Some(5));
    assert_eq!((&table["findings_truncated"], &table["findings_file"]), (&true.into(), &"findings/t.ndjson".into()));
    assert!(fs::read_to_string(folder.path("out/report.txt")).expect("a text").starts_with("FAIL"));
    fs::create_dir(folder.path("mine")).expect("a folder");
    fs::write(folder.path("mine/file"), "").expect("a file");
    check(&folder, &["diff", "old.db", "new.db", "-o", "mine"], 2, "", "something that is no report is there already");
}

#[test]
fn schema_and_completions_are_printed() {
    let folder = Folder::new();
    let (_, schema, _) = run(&folder, &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("a JSON Schema");
    assert_eq!(schema["required"], serde_json::json!(["version", "source", "target"]));
    for shell in ["bash", "zsh", "fish"] {
        check(&folder, &["completions", shell], 0, "cutover", "");
    }
}
