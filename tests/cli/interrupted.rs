//! Ctrl-C while a migration writes.

use super::{
    command::{cutover, run},
    migrate::{ALL, MEMBERS, ask, folder, migrate},
    undo::runs,
};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

/// The pause behind the first batch lasts a day, so that what happens next happens within it.
#[test]
fn a_run_ends_after_its_batch_and_is_gone_on_with() {
    let folder = folder("");
    let mut command = cutover(&folder);
    command.args([
        "migrate",
        "--no-backup",
        "--batch-size",
        "1",
        "--batch-delay",
        "1440m",
        "--log-filter",
        "load=debug",
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|it| it.expect("a line"));
    assert!(lines.any(|it| it.contains("load teams: batch arrived  batch=1 rows=1")), "it says that a batch arrived");

    let second = migrate(&folder, &[]);
    assert!(second.code == 2 && second.stderr.contains("another run holds the lock"), "{}", second.stderr);
    let looked = run(&folder, &["status"]);
    assert!(looked.code == 1 && looked.stdout.contains("running: "), "{}", looked.stdout);

    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    assert!(!lines.any(|it| it.contains("batch arrived")), "no other batch is written");
    let mut says = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut says).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{says}");
    assert!(says.contains("What was written stays; running again goes on where this run ended.\n"), "{says}");
    assert!(says.contains("\nnext: cutover migrate cutover.toml    to go on, or: cutover rollback"), "{says}");
    assert_eq!((ask(&folder, "SELECT name FROM teams"), ask(&folder, MEMBERS).len()), (vec!["red".to_owned()], 0));

    let looked = run(&folder, &["status"]);
    assert!(looked.code == 1 && looked.stdout.contains("stands half way (applying)"), "{}", looked.stdout);
    let done = migrate(&folder, &["--format", "json"]);
    assert_eq!((done.code, ask(&folder, MEMBERS)), (0, ALL.map(str::to_owned).to_vec()), "{}", done.stdout);
    let runs = runs(&folder);
    assert_eq!((&runs[0]["continues"], &runs[1]["phase"]), (&runs[1]["id"], &"applying".into()), "{runs:?}");
    assert_eq!(run(&folder, &["verify"]).code, 0);
}
