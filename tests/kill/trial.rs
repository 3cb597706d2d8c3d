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

const MIGRATE: [&str; 5] = ["migrate", "--quiet", "--rate", "100000", "--no-backup"];
/// The same, with the backup before it.
const SAVE: [&str; 4] = ["migrate", "--quiet", "--rate", "100000"];
const ROLLBACK: [&str; 5] = ["rollback", "--confirm", "--quiet", "--rate", "100000"];

/// So many kills are asked for by whoever wants all of them.
const MANY: u64 = 200;

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
         table = [{{ into = 'people', conflict = 'overwrite' }}, {{ into = 'teams', on_clash = 'new-id' }}, {{ into = 'notes', key = [] }}]\n\
         migrate = {{ batch_size = 3, backoff = 0.01 }}\n"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    folder
}

/// Tables of the target, and rows of them that are changed and that only the target has.
pub(crate) const TARGET: &str =
    "CREATE TABLE notes (text TEXT); CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER REFERENCES teams (id), name TEXT);
    INSERT INTO people VALUES (2, NULL, 'old'), (99, NULL, 'theirs'); INSERT INTO teams VALUES (2, 'theirs');
    INSERT INTO notes VALUES ('note 0'), ('note 2');";

/// Kills at every write of a run that nobody disturbs, and goes on. Where the target is `served`, what is written to files is the run's
/// own and the same whatever the target is: of that one in five is enough, unless more kills are asked for.
pub(crate) fn at_every_write<T: Trial>(make: impl Fn() -> T, served: bool) {
    let (_, after) = reference(&make);
    let mut moments = program(&make()).moments(WRITES, &MIGRATE);
    let few = served && kills() < MANY;
    moments.retain(|it| !few || it.may_be_sent() || it.at % 5 == 1);
    assert!(moments.len() > 50, "{moments:?}");
    let mut killed = 0;
    for moment in &moments {
        let trial = make();
        killed += usize::from(program(&trial).kill(moment, &MIGRATE).was_killed());
        let what = format!("killed at {moment:?}");
        well(&program(&trial).run(&MIGRATE), &what);
        assert_eq!(trial.rows(), after, "{what}");
    }
    mostly(killed, moments.len());
}

/// Kills at drawn moments: a run, the one that goes on with it, and the rollback of both.
pub(crate) fn at_drawn_moments<T: Trial>(make: impl Fn() -> T) {
    let (before, after) = reference(&make);
    let moments = program(&make()).moments("all", &SAVE);
    let (mut draw, mut killed) = (Draw::new(), 0);
    for _ in 0..kills() {
        let trial = make();
        let (first, second, third) = (draw.of(&moments), draw.of(&moments), draw.of(&moments));
        let what = format!("killed at {first:?}, then {second:?}, then {third:?}");
        killed += usize::from(program(&trial).kill(first, &SAVE).was_killed());
        program(&trial).kill(second, &SAVE);
        well(&program(&trial).run(&SAVE), &what);
        assert_eq!(trial.rows(), after, "{what}");
        program(&trial).kill(third, &ROLLBACK);
        undone(&trial, &before, &what);
    }
    mostly(killed, kills() as usize);
}

/// Kills at writes of a rollback, and undoes the rest.
pub(crate) fn at_writes_of_a_rollback<T: Trial>(make: impl Fn() -> T) {
    let (before, _) = reference(&make);
    let full = || {
        let trial = make();
        well(&program(&trial).run(&MIGRATE), "undisturbed");
        trial
    };
    let moments = program(&full()).moments(WRITES, &ROLLBACK);
    let (mut killed, mut tried) = (0, 0);
    for moment in moments.iter().step_by(3) {
        let trial = full();
        tried += 1;
        killed += usize::from(program(&trial).kill(moment, &ROLLBACK).was_killed());
        undone(&trial, &before, &format!("killed at {moment:?} of the rollback"));
    }
    mostly(killed, tried);
}

/// Not every run makes the very same calls, but a trial in which hardly any is killed shows nothing.
fn mostly(killed: usize, tried: usize) {
    assert!(killed * 10 >= tried * 8, "of {tried} runs only {killed} were killed");
}

fn program<T: Trial>(trial: &T) -> Program<'_> {
    Program { folder: trial.folder(), variables: trial.variables() }
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
