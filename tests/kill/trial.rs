//! The trials that every target has to stand, whichever store it is.

use super::{
    killer::{Draw, Ended, Program, WRITES, kills},
    support::Folder,
};
use std::fs;

/// A target, as it is before anything is migrated, and a folder with a source and a plan for it.
pub(crate) trait Trial {
    fn folder(&self) -> &Folder;

    /// All rows of the target, in an order that does not change.
    fn rows(&self) -> String;

    /// What the program finds in its environment.
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

const MIGRATE: [&str; 4] = ["migrate", "--quiet", "--rate", "100000"];
const ROLLBACK: [&str; 5] = ["rollback", "--confirm", "--quiet", "--rate", "100000"];

/// Writes the source and the plan; `target` is the plan's.
pub(crate) fn folder(target: &str) -> Folder {
    let folder = Folder::new();
    let rows = (1..=7).map(|it| format!("INSERT INTO people VALUES ({it}, {}, 'name {it}');", it % 2 + 1));
    // Rows without a key are written once only if somebody knows which batch arrived.
    let notes = (0..5).map(|it| format!("INSERT INTO notes VALUES ('note {}');", it / 2));
    let schema = "CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE notes (text TEXT);
        CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER, name TEXT); INSERT INTO teams VALUES (1, 'red'), (2, 'blue');";
    folder.sqlite("source.db", &format!("{schema} {}", rows.chain(notes).collect::<String>()));
    let plan = format!(
        "version = 1\nsource = {{ kind = 'sqlite', path = 'source.db' }}\ntarget = {{ {target} }}\ngate = {{ extra = 1 }}\n\
         table = [{{ into = 'people', conflict = 'overwrite' }}, {{ into = 'teams' }}, {{ into = 'notes', key = [] }}]\n\
         migrate = {{ batch_size = 3, backup = false, backoff = 0.01 }}\n"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    folder
}

/// Tables of the target, and rows of them that are changed and that only the target has.
pub(crate) const TARGET: &str =
    "CREATE TABLE notes (text TEXT); CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams (id), name TEXT);
    INSERT INTO people VALUES (2, NULL, 'old'), (99, NULL, 'theirs');";

/// Kills at every write of a run that nobody disturbs, and goes on.
pub(crate) fn at_every_write<T: Trial>(make: impl Fn() -> T) {
    let (_, after) = reference(&make);
    let count = count(&make(), WRITES);
    assert!(count > 50, "{count}");
    for at in 1..=count {
        let trial = make();
        program(&trial).kill(WRITES, at, &MIGRATE);
        let what = format!("killed at write {at}");
        well(&program(&trial).run(&MIGRATE), &what);
        assert_eq!(trial.rows(), after, "{what}");
    }
}

/// Kills at drawn moments: a run, the one that goes on with it, and the rollback of both.
pub(crate) fn at_drawn_moments<T: Trial>(make: impl Fn() -> T) {
    let (before, after) = reference(&make);
    let count = count(&make(), "all");
    let mut draw = Draw::new();
    for _ in 0..kills() {
        let trial = make();
        let (first, second, third) = (draw.up_to(count), draw.up_to(count), draw.up_to(count));
        let what = format!("killed at call {first}, then {second}, then {third}");
        program(&trial).kill("all", first, &MIGRATE);
        program(&trial).kill("all", second, &MIGRATE);
        well(&program(&trial).run(&MIGRATE), &what);
        assert_eq!(trial.rows(), after, "{what}");
        program(&trial).kill("all", third, &ROLLBACK);
        undone(&trial, &before, &what);
    }
}

/// Kills at writes of a rollback, and undoes the rest.
pub(crate) fn at_writes_of_a_rollback<T: Trial>(make: impl Fn() -> T) {
    let (before, _) = reference(&make);
    let full = || {
        let trial = make();
        well(&program(&trial).run(&MIGRATE), "undisturbed");
        trial
    };
    let trial = full();
    let count = program(&trial).count(WRITES, &ROLLBACK);
    for at in (1..=count).step_by(2) {
        let trial = full();
        program(&trial).kill(WRITES, at, &ROLLBACK);
        undone(&trial, &before, &format!("killed at write {at} of the rollback"));
    }
}

fn program<T: Trial>(trial: &T) -> Program<'_> {
    Program { folder: trial.folder(), variables: trial.variables() }
}

fn count<T: Trial>(trial: &T, calls: &str) -> usize {
    program(trial).count(calls, &MIGRATE)
}

pub(crate) fn well(ended: &Ended, what: &str) {
    assert_eq!(ended.code, Some(0), "{what}: {} {}", ended.stdout, ended.stderr);
}

/// Undoes what there is. A rollback that was complete before it was killed says that there is nothing.
fn undone<T: Trial>(trial: &T, before: &str, what: &str) {
    let ended = program(trial).run(&ROLLBACK);
    let done = ended.code == Some(0) || ended.stderr.contains("no run of this plan has written anything");
    assert!(done, "{what}: {} {}", ended.stdout, ended.stderr);
    assert_eq!(trial.rows(), before, "{what}, undone");
}

/// What a target holds before, and after a run that nobody disturbs.
pub(crate) fn reference<T: Trial>(make: &impl Fn() -> T) -> (String, String) {
    let trial = make();
    let before = trial.rows();
    well(&program(&trial).run(&MIGRATE), "undisturbed");
    let after = trial.rows();
    assert_ne!(before, after);
    well(&program(&trial).run(&ROLLBACK), "undone");
    assert_eq!(trial.rows(), before);
    (before, after)
}
