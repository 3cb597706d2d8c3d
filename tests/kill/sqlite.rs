//! Into a SQLite file.

use super::{
    killer::{Draw, Program, WRITES, kills},
    support::Folder,
};
use rusqlite::Connection;
use std::fs;

const SCHEMA: &str = "CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams (id), name TEXT);
    CREATE TABLE notes (text TEXT);";

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db", schema = "schema.sql" }
table = [
    { into = "people", conflict = "overwrite" },
    { into = "teams" },
    { into = "notes", key = [] },
]
gate = { extra = 1 }
migrate = { batch_size = 3, backup = false }
"#;

/// A source, a target that holds a row that is changed and one that is only there, and what the target holds in the end.
fn folder() -> Folder {
    let folder = Folder::new();
    let rows = (1..=7).map(|it| format!("INSERT INTO people VALUES ({it}, {}, 'name {it}');", it % 2 + 1));
    let notes = (0..5).map(|it| format!("INSERT INTO notes VALUES ('note {}');", it / 2));
    let rows: String = rows.chain(notes).collect();
    folder.sqlite("source.db", &format!("{SCHEMA} INSERT INTO teams VALUES (1, 'red'), (2, 'blue'); {rows}"));
    folder.sqlite("target.db", &format!("{SCHEMA} INSERT INTO people VALUES (2, NULL, 'old'), (99, NULL, 'theirs');"));
    fs::write(folder.path("schema.sql"), SCHEMA).expect("a schema");
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    folder
}

/// All rows of the target.
fn rows(folder: &Folder) -> Vec<String> {
    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let all = "SELECT 'team ' || id || name FROM teams UNION ALL
        SELECT 'person ' || id || coalesce(team, '-') || name FROM people UNION ALL SELECT 'note ' || text FROM notes ORDER BY 1";
    let mut statement = connection.prepare(all).expect("a query");
    let rows = statement.query_map([], |it| it.get(0)).expect("rows");
    rows.map(|it| it.expect("a row")).collect()
}

fn program(folder: &Folder) -> Program<'_> {
    Program { folder, variables: Vec::new(), threads: false }
}

const MIGRATE: [&str; 2] = ["migrate", "--quiet"];
const ROLLBACK: [&str; 3] = ["rollback", "--confirm", "--quiet"];

/// What the target holds before, and what it holds after a run that nobody disturbs.
fn reference() -> (Vec<String>, Vec<String>) {
    let folder = folder();
    let before = rows(&folder);
    let ended = program(&folder).run(&MIGRATE);
    assert_eq!(ended.code, Some(0), "{} {}", ended.stdout, ended.stderr);
    let after = rows(&folder);
    assert_eq!(after.len(), 2 + 8 + 5, "{after:?}");
    let ended = program(&folder).run(&ROLLBACK);
    assert_eq!((ended.code, rows(&folder)), (Some(0), before.clone()), "{} {}", ended.stdout, ended.stderr);
    (before, after)
}

/// Runs to the end what was killed, and looks that the target is as it has to be.
fn goes_on(folder: &Folder, arguments: &[&str], expect: &[String], what: &str) {
    let ended = program(folder).run(arguments);
    assert_eq!(ended.code, Some(0), "{what}: {} {}", ended.stdout, ended.stderr);
    assert_eq!(rows(folder), expect, "{what}");
}

#[test]
fn killed_at_every_write() {
    let (_, after) = reference();
    let count = program(&folder()).count(WRITES, &MIGRATE);
    assert!(count > 50, "{count}");
    for at in 1..=count {
        let folder = folder();
        program(&folder).kill(WRITES, at, &MIGRATE);
        goes_on(&folder, &MIGRATE, &after, &format!("killed at write {at}"));
    }
}

#[test]
fn killed_at_drawn_moments_and_again_while_it_goes_on() {
    let (before, after) = reference();
    let count = program(&folder()).count("all", &MIGRATE);
    let mut draw = Draw::new();
    for _ in 0..kills() {
        let folder = folder();
        let (first, second, third) = (draw.up_to(count), draw.up_to(count), draw.up_to(count));
        let what = format!("killed at call {first}, then {second}, then {third}");
        program(&folder).kill("all", first, &MIGRATE);
        program(&folder).kill("all", second, &MIGRATE);
        goes_on(&folder, &MIGRATE, &after, &what);
        program(&folder).kill("all", third, &ROLLBACK);
        // A rollback that was complete says that there is nothing to undo.
        let ended = program(&folder).run(&ROLLBACK);
        let done = ended.code == Some(0) || ended.stderr.contains("no run of this plan has written anything");
        assert!(done, "{what}: {} {}", ended.stdout, ended.stderr);
        assert_eq!(rows(&folder), before, "{what}, undone");
    }
}

#[test]
fn killed_at_every_write_of_a_rollback() {
    let (before, _) = reference();
    let full = || {
        let folder = folder();
        assert_eq!(program(&folder).run(&MIGRATE).code, Some(0));
        folder
    };
    let count = program(&full()).count(WRITES, &ROLLBACK);
    for at in (1..=count).step_by(2) {
        let folder = full();
        program(&folder).kill(WRITES, at, &ROLLBACK);
        let ended = program(&folder).run(&ROLLBACK);
        let done = ended.code == Some(0) || ended.stderr.contains("no run of this plan has written anything");
        assert!(done, "killed at write {at}: {} {}", ended.stdout, ended.stderr);
        assert_eq!(rows(&folder), before, "killed at write {at}");
    }
}
