//! Into D1, on the engine that it runs on.

use super::{
    killer::{Draw, Ended, Program, WRITES, kills},
    support::Folder,
    workerd::{self, Database},
};
use std::fs;

const SCHEMA: &str = "CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams (id), name TEXT);";

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "d1", id = "${D1_DATABASE_ID}" }
table = [{ into = "people", conflict = "overwrite" }, { into = "teams" }]
gate = { extra = 1 }
migrate = { batch_size = 3, backup = false, backoff = 0.01 }
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    let rows = (1..=7).map(|it| format!("INSERT INTO people VALUES ({it}, {}, 'name {it}');", it % 2 + 1));
    let schema = "CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER, name TEXT); INSERT INTO teams VALUES (1, 'red'), (2, 'blue');";
    folder.sqlite("source.db", &format!("{schema} {}", rows.collect::<String>()));
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    folder
}

/// A target as it is before. Any id is a fresh database.
fn database() -> Database {
    let database = workerd::database();
    database.execute(SCHEMA);
    database.execute("INSERT INTO people VALUES (2, NULL, 'old'), (99, NULL, 'theirs')");
    database
}

fn rows(database: &Database) -> String {
    let all = "SELECT 'team' AS what, id, NULL AS team, name FROM teams UNION ALL SELECT 'person', id, team, name FROM people ORDER BY 1, 2";
    database.execute(all)[0]["results"]["rows"].to_string()
}

fn program<'f>(folder: &'f Folder, database: &Database) -> Program<'f> {
    let variables = database.environment().map(|(name, value)| (name.to_owned(), value)).to_vec();
    Program { folder, variables, threads: true }
}

const MIGRATE: [&str; 4] = ["migrate", "--quiet", "--rate", "100000"];
const ROLLBACK: [&str; 5] = ["rollback", "--confirm", "--quiet", "--rate", "100000"];

fn well(ended: &Ended, what: &str) {
    assert_eq!(ended.code, Some(0), "{what}: {} {}", ended.stdout, ended.stderr);
}

/// What the target holds before, and after a run that nobody disturbs.
fn reference() -> (String, String) {
    let (folder, database) = (folder(), database());
    let before = rows(&database);
    well(&program(&folder, &database).run(&MIGRATE), "undisturbed");
    let after = rows(&database);
    well(&program(&folder, &database).run(&ROLLBACK), "undone");
    assert_eq!(rows(&database), before);
    (before, after)
}

#[test]
fn killed_at_writes() {
    let (_, after) = reference();
    let count = program(&folder(), &database()).count(WRITES, &MIGRATE);
    for at in 1..=count {
        let (folder, database) = (folder(), database());
        program(&folder, &database).kill(WRITES, at, &MIGRATE);
        let what = format!("killed at write {at}");
        well(&program(&folder, &database).run(&MIGRATE), &what);
        assert_eq!(rows(&database), after, "{what}");
    }
}

#[test]
fn killed_at_drawn_moments_and_again_while_it_goes_on() {
    let (before, after) = reference();
    let count = program(&folder(), &database()).count("all", &MIGRATE);
    let mut draw = Draw::new();
    for _ in 0..kills() {
        let (folder, database) = (folder(), database());
        let program = program(&folder, &database);
        let (first, second, third) = (draw.up_to(count), draw.up_to(count), draw.up_to(count));
        let what = format!("killed at call {first}, then {second}, then {third}");
        program.kill("all", first, &MIGRATE);
        program.kill("all", second, &MIGRATE);
        well(&program.run(&MIGRATE), &what);
        assert_eq!(rows(&database), after, "{what}");
        program.kill("all", third, &ROLLBACK);
        let ended = program.run(&ROLLBACK);
        let done = ended.code == Some(0) || ended.stderr.contains("no run of this plan has written anything");
        assert!(done, "{what}: {} {}", ended.stdout, ended.stderr);
        assert_eq!(rows(&database), before, "{what}, undone");
    }
}
