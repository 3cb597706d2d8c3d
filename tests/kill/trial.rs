//! The trials that every target has to stand, whichever store it is.

use super::{
    killer::{Draw, Ended, KILLS, Moment, Program, WRITES, kills},
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

/// One connection makes the same calls each time.
const MIGRATE: [&str; 7] = ["migrate", "--quiet", "--rate", "100000", "--no-backup", "--concurrency", "1"];
/// With the backup before it, and as many connections as usual.
const SAVE: [&str; 4] = ["migrate", "--quiet", "--rate", "100000"];
const ROLLBACK: [&str; 5] = ["rollback", "--confirm", "--quiet", "--rate", "100000"];

/// How often one run and those that go on with it are killed, at most.
const IN_A_ROW: usize = 8;

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

/// Kills at every write of a run that nobody disturbs, and goes on; or at those that are `wanted`.
pub(crate) fn at_writes<T: Trial>(make: impl Fn() -> T, wanted: impl Fn(&Moment) -> bool) {
    let (_, after) = reference(&make);
    let mut moments = program(&make()).moments(WRITES, &MIGRATE);
    moments.retain(wanted);
    assert!(moments.len() > 30, "{moments:?}");
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

/// What is written to files is the run's own and the same whatever the target is. Where that is served, one in five of these is enough,
/// unless more kills are asked for than usual.
pub(crate) fn if_served(moment: &Moment) -> bool {
    kills() > KILLS || moment.may_be_sent() || moment.at % 5 == 1
}

/// Kills at drawn moments: a run, those that go on with it until one is fast enough to end, and in the same way the rollback of all of
/// them; then from the start again, until so many were killed.
pub(crate) fn at_drawn_moments<T: Trial>(make: impl Fn() -> T) {
    let (before, after) = reference(&make);
    let trial = make();
    let moments = [program(&trial).moments("all", &SAVE), program(&trial).moments("all", &ROLLBACK)];
    let mut killing = Killing { draw: Draw::new(), tried: 0, killed: 0 };
    while killing.killed < kills() {
        let trial = make();
        let what = killing.until_one_ends(&program(&trial), &SAVE, &moments[0]);
        assert_eq!(trial.rows(), after, "{what}");
        let what = format!("{what}; then {}", killing.until_one_ends(&program(&trial), &ROLLBACK, &moments[1]));
        undone(&trial, &before, &what);
    }
}

/// Kills at moments that are drawn.
struct Killing {
    draw: Draw,
    tried: u64,
    killed: u64,
}

impl Killing {
    /// Runs it again and again, killed each time unless it ends before. What happened, for people.
    fn until_one_ends(&mut self, program: &Program<'_>, arguments: &[&str], moments: &[Moment]) -> String {
        let mut what = format!("{} killed at", arguments[0]);
        for _ in 0..IN_A_ROW {
            let moment = self.draw.of(moments);
            what += &format!(" {moment:?}");
            let ended = program.kill(moment, arguments);
            self.tried += 1;
            assert!(self.tried < 10 * kills(), "of {} runs only {} were killed", self.tried, self.killed);
            if !ended.was_killed() {
                assert!(complete(&ended), "{what}: {} {}", ended.stdout, ended.stderr);
                return what;
            }
            self.killed += 1;
        }
        let ended = program.run(arguments);
        assert!(complete(&ended), "{what}: {} {}", ended.stdout, ended.stderr);
        what
    }
}

/// The disk on which a run keeps its state is full, or broken, from some write on. Once it is well, the run ends as it should.
pub(crate) fn on_failing_disks<T: Trial>(make: impl Fn() -> T) {
    // What is written by `write` may be for the run itself, which wakes its own threads so.
    const CALLS: &str = "pwrite64,fsync,fdatasync,ftruncate";
    let (_, after) = reference(&make);
    let most = program(&make()).moments(CALLS, &MIGRATE).iter().map(|it| it.at).max().expect("a call");
    let (mut hurt, mut tried) = (0, 0);
    for (error, first) in [("ENOSPC", 1), ("EIO", 4)] {
        for at in (first..=most).step_by(most / 10 + 1) {
            let trial = make();
            let ended = program(&trial).inject(CALLS, &format!("error={error}:when={at}+"), &MIGRATE);
            let what = format!("{error} from call {at} on: {} {}", ended.stdout, ended.stderr);
            (hurt, tried) = (hurt + usize::from(ended.code != Some(0)), tried + 1);
            assert!(ended.code.is_some_and(|it| it != 101), "it panicked: {what}");
            well(&program(&trial).run(&MIGRATE), &what);
            assert_eq!(trial.rows(), after, "{what}");
        }
    }
    assert!(hurt * 2 > tried, "of {tried} runs only {hurt} were hurt");
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

/// Undoes what there is.
fn undone<T: Trial>(trial: &T, before: &str, what: &str) {
    let ended = program(trial).run(&ROLLBACK);
    assert!(complete(&ended), "{what}: {} {}", ended.stdout, ended.stderr);
    assert_eq!(trial.rows(), before, "{what}, undone");
}

/// Whether it did what it was to do. A rollback that was complete before it was killed says that there is nothing.
fn complete(ended: &Ended) -> bool {
    ended.code == Some(0) || ended.stderr.contains("no run of this plan has written anything")
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
