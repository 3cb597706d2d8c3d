//! Secrets of a Postgres server and of its rows, each a canary that must turn up nowhere.

use super::{
    canary::{CANARY, sweep},
    postgres,
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Runs in `folder`, where `tmp` is the folder for temporary files, and looks for canaries in everything but the plan.
#[track_caller]
fn run(folder: &Path, url: &str, arguments: &[&str], code: i32, says: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.env_clear().current_dir(folder).args(arguments).stdin(Stdio::null());
    command.env("TMPDIR", folder.join("tmp")).env("OLD", url).env("PGPASSWORD", format!("{CANARY}variable"));
    let done = command.output().expect("the program runs");
    let said = [done.stdout, done.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    assert!(!said.contains(CANARY), "{arguments:?}: {said}");
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(says), "{arguments:?}: {said}");
    sweep(folder);
    assert_eq!(fs::read_dir(folder.join("tmp")).expect("a folder").count(), 0, "{arguments:?}");
}

const ROWS: &str = "CREATE TABLE team (id int PRIMARY KEY, token text, data jsonb);
    INSERT INTO team VALUES (1, 'CANARY-a1', '{\"pin\": \"CANARY-b1\"}'), (2, 'CANARY-a2', '[\"CANARY-b2\"]');
    CREATE VIEW numbers AS SELECT id, token::int FROM team;";

const PLAN: &str = "version = 1
source = { kind = \"postgres\", url = \"${OLD}\" }
target = { kind = \"postgres\", url = \"${OLD}\" }
[[table]]
into = \"team\"
key = [\"id\"]
columns.id = \".id\"
columns.token = { from = '.token | ascii_downcase', secret = true }
columns.data = { from = '.data | .pin + 1', secret = true }
[[check]]
name = \"tokens\"
source = \"SELECT string_agg(token, ',') FROM team\"
expect = \"none\"
[[check]]
name = \"numbers\"
source = \"SELECT max(token::int) FROM team\"
expect = 1
";

#[test]
fn secrets_turn_up_nowhere() {
    let database = postgres::database();
    database.execute(ROWS);
    // Whoever is trusted may show any password.
    let url = database.url().replacen('@', &format!(":{CANARY}password@"), 1);
    assert!(url.contains(CANARY), "{url}");
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::create_dir(folder.join("tmp")).expect("a folder");
    fs::write(folder.join("cutover.toml"), PLAN).expect("a plan");
    let run = |arguments: &[&str], code, says: &str| run(folder, &url, arguments, code, says);
    run(&["verify", "--verbose", "--output", "report"], 1, "invalid input syntax for type integer: … (SQLSTATE 22P02)");
    run(&["verify", "--format", "json", "--memory", "8MiB"], 1, "cannot calculate a text + a number");
    run(&["check"], 0, "");
    run(&["info", "env:OLD", "--detailed"], 0, "team");
    run(&["test-connection", "env:OLD", "--format", "json"], 0, "postgres");
    run(&["diff", "env:OLD", "env:OLD", "--views", "--only", "numbers"], 2, "for type integer: …");
    let masks = ["--mask", "team.token", "--mask", "team.data"];
    run(&[&["capture", "env:OLD", "kept"], &masks[..]].concat(), 0, "captured 2 rows");
    run(&["show", "kept", "team"], 0, "********");
}
