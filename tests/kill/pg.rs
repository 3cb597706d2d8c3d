//! Into Postgres, and with servers that end connections.

use super::{
    killer::{Draw, Ended, Program, WRITES, kills},
    postgres::{self, Database},
    support::Folder,
};
use std::fs;

const SCHEMA: &str = "CREATE TABLE teams (id bigint PRIMARY KEY, name text);
    CREATE TABLE people (id bigint PRIMARY KEY, team bigint REFERENCES teams (id), name text);";

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "postgres", url = "${TARGET}" }
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

/// The target as it is before.
fn clean(database: &Database) {
    database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    database.execute(SCHEMA);
    database.execute("INSERT INTO people VALUES (2, NULL, 'old'), (99, NULL, 'theirs')");
}

fn rows(database: &Database) -> String {
    database.execute(
        "SELECT 'team', id, name FROM teams ORDER BY id; SELECT 'person', id, team, name FROM people ORDER BY id",
    )
}

fn program<'f>(folder: &'f Folder, database: &Database) -> Program<'f> {
    Program { folder, variables: vec![("TARGET".to_owned(), database.url())], threads: false }
}

const MIGRATE: [&str; 2] = ["migrate", "--quiet"];
const ROLLBACK: [&str; 3] = ["rollback", "--confirm", "--quiet"];

fn well(ended: &Ended, what: &str) {
    assert_eq!(ended.code, Some(0), "{what}: {} {}", ended.stdout, ended.stderr);
}

/// What the target holds before, and after a run that nobody disturbs.
fn reference(database: &Database) -> (String, String) {
    clean(database);
    let (folder, before) = (folder(), rows(database));
    well(&program(&folder, database).run(&MIGRATE), "undisturbed");
    let after = rows(database);
    well(&program(&folder, database).run(&ROLLBACK), "undone");
    assert_eq!(rows(database), before);
    (before, after)
}

#[test]
fn killed_at_writes() {
    let database = postgres::database();
    let (_, after) = reference(&database);
    clean(&database);
    let count = program(&folder(), &database).count(WRITES, &MIGRATE);
    for at in 1..=count {
        clean(&database);
        let folder = folder();
        program(&folder, &database).kill(WRITES, at, &MIGRATE);
        let what = format!("killed at write {at}");
        well(&program(&folder, &database).run(&MIGRATE), &what);
        assert_eq!(rows(&database), after, "{what}");
    }
}

#[test]
fn killed_at_drawn_moments_and_again_while_it_goes_on() {
    let database = postgres::database();
    let (before, after) = reference(&database);
    clean(&database);
    let count = program(&folder(), &database).count("all", &MIGRATE);
    let mut draw = Draw::new();
    for _ in 0..kills() {
        clean(&database);
        let folder = folder();
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

/// The server ends the connection when so many rows are there, once: the run tries again and ends as it should.
#[test]
fn a_backend_that_is_ended() {
    let database = postgres::database();
    let (_, after) = reference(&database);
    for rows_there in [1, 3, 5] {
        clean(&database);
        database.execute(&format!(
            "CREATE SEQUENCE once; CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (SELECT count(*) FROM people) >= {rows_there} AND nextval('once') = 1 THEN
                    PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN new; END $$;
            CREATE TRIGGER strike BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION strike()"
        ));
        let folder = folder();
        let ended = program(&folder, &database).run(&["migrate"]);
        well(&ended, &format!("ended at {rows_there} rows"));
        assert_eq!(rows(&database), after, "{} {}", ended.stdout, ended.stderr);
    }
}
