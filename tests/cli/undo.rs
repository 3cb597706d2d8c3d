//! Which runs `rollback` undoes, and in what order: those that went on with one another, those since an instant, the one that
//! began with a backup.

use super::{
    command::{Done, run},
    migrate::{ALL, MEMBERS, ask, folder, migrate},
    support::Folder,
};
use serde_json::Value;

/// Lets no third member in.
const GUARD: &str =
    "CREATE TRIGGER no BEFORE INSERT ON members WHEN new.id = 3 BEGIN SELECT RAISE(ABORT, 'not yet'); END;";

/// A run that ends half way: the third member is not there.
pub(super) fn half() -> Folder {
    let folder = folder(GUARD);
    let done = migrate(&folder, &["--keep-partial", "--batch-size", "1"]);
    assert_eq!(
        (done.code, ask(&folder, MEMBERS)),
        (1, ALL[..2].iter().map(|it| (*it).to_owned()).collect()),
        "{}",
        done.stdout
    );
    folder
}

/// The runs, the last one first, as `history` tells them.
pub(super) fn runs(folder: &Folder) -> Vec<Value> {
    let history = run(folder, &["history", "--format", "json"]).json();
    history["runs"].as_array().expect("runs").clone()
}

/// A half run, and one that went on with it.
fn gone_on() -> Folder {
    let folder = half();
    folder.sqlite("target.db", "DROP TRIGGER no");
    assert_eq!(migrate(&folder, &[]).code, 0);
    assert_eq!(ask(&folder, MEMBERS), ALL);
    let runs = runs(&folder);
    assert_eq!((runs.len(), &runs[0]["continues"]), (2, &runs[1]["id"]), "{runs:?}");
    folder
}

/// Says when the runs began, the first one first.
fn began(folder: &Folder, at: &[&str]) {
    let update =
        |(number, at): (usize, &&str)| format!("UPDATE runs SET started = '{at}' WHERE number = {};", number + 1);
    folder.sqlite(".cutover/journal.sqlite", &at.iter().enumerate().map(update).collect::<String>());
}

/// Types what the last line says.
fn next(folder: &Folder, done: &Done) -> Done {
    let line = done.stdout.lines().last().expect("a line");
    let words = line.strip_prefix("next: cutover ").unwrap_or_else(|| panic!("{}", done.stdout));
    run(folder, &words.split(' ').collect::<Vec<_>>())
}

/// A look says that it would remove so many rows and what to type, and that removes as many. How many members are left.
fn undo(folder: &Folder, arguments: &[&str], count: u32) -> usize {
    let before = ask(folder, MEMBERS);
    let looked = run(folder, &[&["rollback"], arguments].concat());
    let says = |word: &str| format!("{word:<9}restore 0, remove {count}, leave 0 that others changed since\n");
    assert!(looked.code == 0 && looked.stdout.starts_with(&says("WOULD")), "{}{}", looked.stdout, looked.stderr);
    assert!(looked.stdout.contains(&[arguments, &["--confirm\n"]].concat().join(" ")), "{}", looked.stdout);
    assert_eq!(ask(folder, MEMBERS), before, "a look undoes nothing");
    let done = next(folder, &looked);
    assert!(done.code == 0 && done.stdout.starts_with(&says("DONE")), "{}{}", done.stdout, done.stderr);
    ask(folder, MEMBERS).len()
}

#[test]
fn a_run_and_the_one_that_went_on_with_it_are_undone_together() {
    let folder = gone_on();
    // Two teams and two members of the first run, a member of the second.
    assert_eq!(undo(&folder, &[], 5), 0);
    assert!(runs(&folder).iter().all(|it| it["phase"] == "rolled-back"), "{:?}", runs(&folder));
    let nothing = run(&folder, &["rollback"]);
    assert!(
        nothing.code == 2 && nothing.stderr.contains("no run of this plan has written anything"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn a_run_that_fails_takes_the_one_back_that_it_went_on_with() {
    let folder = half();
    // What is written is made something else, so that reading it back fails.
    folder.sqlite(
        "target.db",
        "DROP TRIGGER no; CREATE TRIGGER twist AFTER INSERT ON members BEGIN UPDATE members SET seen = 'never' WHERE id = new.id; END",
    );
    let done = migrate(&folder, &[]);
    assert!(done.code == 1 && done.stdout.contains("The target is as it was before"), "{}", done.stdout);
    assert_eq!(ask(&folder, MEMBERS), Vec::<String>::new());
    assert!(runs(&folder).iter().all(|it| it["phase"] == "rolled-back"), "{:?}", runs(&folder));
    let nothing = run(&folder, &["rollback"]);
    assert!(
        nothing.code == 2 && nothing.stderr.contains("no run of this plan has written anything"),
        "{}",
        nothing.stderr
    );
    folder.sqlite("target.db", "DROP TRIGGER twist");
    assert_eq!(migrate(&folder, &[]).code, 0);
    assert_eq!((ask(&folder, MEMBERS).len(), &runs(&folder)[0]["continues"]), (3, &Value::Null));
}

#[test]
fn what_is_left_of_two_runs_is_said_once() {
    let folder = gone_on();
    folder.sqlite("target.db", "UPDATE members SET note = 'theirs', seen = 'now' WHERE id = 3");
    let done = run(&folder, &["rollback", "--confirm", "--tables", "members"]);
    assert_eq!((done.code, ask(&folder, MEMBERS).len()), (1, 1), "{}", done.stdout);
    let reason = " rows were changed by others since, and are left as they are";
    assert_eq!(done.stdout.matches(reason).count(), 1, "{}", done.stdout);
}

#[test]
fn back_to_how_it_was_before_an_instant() {
    let folder = folder("");
    assert_eq!(migrate(&folder, &[]).code, 0);
    folder.sqlite("source.db", "INSERT INTO people VALUES (4, 1, 'zoe@example.test', NULL)");
    assert_eq!(migrate(&folder, &[]).code, 0);
    began(&folder, &["2020-01-01T00:00:00Z", "2020-01-03T00:00:00Z"]);
    assert_eq!(undo(&folder, &["--before", "2020-01-02T00:00:00Z"], 1), 3);
    let nothing = run(&folder, &["rollback", "--before", "2020-01-02T00:00:00Z", "--confirm"]);
    assert!(
        nothing.code == 2 && nothing.stderr.contains("no run of this plan has written anything"),
        "{}",
        nothing.stderr
    );
    assert_eq!(undo(&folder, &["--before", "2020-01-01T00:00:00Z"], 5), 0);

    // A run counts by when it began itself, not by when the one began that it went on with.
    let folder = gone_on();
    began(&folder, &["2020-01-01T00:00:00Z", "2020-01-03T00:00:00Z"]);
    assert_eq!(undo(&folder, &["--before", "2020-01-02T00:00:00Z"], 1), 2);
    let looked = run(&folder, &["status", "--offline"]);
    assert!(looked.stdout.contains("stands half way (applying)"), "the first one is where it was: {}", looked.stdout);
    assert_eq!(undo(&folder, &[], 4), 0);
    let folder = gone_on();
    began(&folder, &["2020-01-01T00:00:00Z", "2020-01-03T00:00:00Z"]);
    assert_eq!(undo(&folder, &["--before", "2020-01-01T00:00:00Z"], 5), 0);
}

#[test]
fn back_to_a_backup_and_some_tables() {
    let folder = folder("");
    assert_eq!(run(&folder, &["migrate"]).code, 0);
    let listed = run(&folder, &["backup", "list", "--format", "json"]).json();
    let id = listed["backups"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(undo(&folder, &["--backup", &id, "--tables", "members"], 3), 0);
    assert_eq!(ask(&folder, "SELECT name FROM teams").len(), 2);
    undo(&folder, &["--backup", &id], 2);
    assert_eq!(ask(&folder, "SELECT name FROM teams").len(), 0);
    let by_hand = run(&folder, &["backup", "create"]).stdout;
    let by_hand = by_hand.trim_end().rsplit('/').next().expect("an id");
    for id in [by_hand, "2020-01-01T00-00-00Z"] {
        let refused = run(&folder, &["rollback", "--backup", id]);
        let says = format!("no run began with backup {id}");
        assert!(refused.code == 2 && refused.stderr.contains(&says), "{}", refused.stderr);
    }
}
