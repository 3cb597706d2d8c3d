//! What a run may not do, given the runs before it.

use super::{
    command::run,
    migrate::{ALL, MEMBERS, ask, folder, migrate},
    support::Folder,
    undo::{half, runs},
};
use std::fs;

/// Changes the plan.
fn edit(folder: &Folder, from: &str, to: &str) {
    let path = folder.path("cutover.toml");
    let text = fs::read_to_string(&path).expect("a plan");
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).expect("a plan");
}

#[track_caller]
fn refused(folder: &Folder, parts: &[&str]) {
    let before = runs(folder).len();
    let done = migrate(folder, &[]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{}", done.stderr);
    for part in parts {
        assert!(done.stderr.contains(part), "no {part:?} in {}", done.stderr);
    }
    assert_eq!(runs(folder).len(), before, "what is refused is no run");
}

#[test]
fn another_target_has_to_be_meant() {
    let folder = folder("");
    assert_eq!(migrate(&folder, &[]).code, 0);
    edit(&folder, "target.db", "other.db");
    let id = runs(&folder)[0]["id"].as_str().expect("an id").to_owned();
    let parts = ["this plan now writes to sqlite other.db, not sqlite target.db", &id, "--new-target"];
    refused(&folder, &parts);
    assert!(!folder.path("other.db").exists());
    let undo = run(&folder, &["rollback", "--confirm"]);
    assert!(
        undo.code == 2
            && undo
                .stderr
                .contains("wrote to another store than the plan names now: sqlite target.db; nothing was changed"),
        "{}",
        undo.stderr
    );
    assert_eq!(migrate(&folder, &["--dry-run"]).code, 0, "to look is no run");
    assert_eq!(migrate(&folder, &["--new-target"]).code, 0);
    assert!(folder.path("other.db").exists());
    assert_eq!(migrate(&folder, &[]).code, 0, "it is the last one now");
}

#[test]
fn a_plan_is_not_edited_while_a_run_stands_half_way() {
    let folder = half();
    let id = runs(&folder)[0]["id"].as_str().expect("an id").to_owned();
    edit(&folder, "[gate]", "# edited\n[gate]");
    let parts = [
        &format!("the plan was edited while run {id} stands half way (applying)"),
        &format!("cutover rollback --run {id}"),
    ];
    refused(&folder, &parts.map(String::as_str));
    assert_eq!(ask(&folder, MEMBERS), ALL[..2]);
    edit(&folder, "# edited\n", "");
    folder.sqlite("target.db", "DROP TRIGGER no");
    assert_eq!((migrate(&folder, &[]).code, ask(&folder, MEMBERS)), (0, ALL.map(str::to_owned).to_vec()));
    assert_eq!(runs(&folder)[0]["continues"], id.as_str(), "a second run over a half one goes on with it");
    edit(&folder, "[gate]", "# edited\n[gate]");
    assert_eq!(migrate(&folder, &[]).code, 0, "a run that is over holds nobody back");
}

#[test]
fn a_half_run_that_is_taken_back_holds_nobody_back() {
    let folder = half();
    edit(&folder, "[gate]", "# edited\n[gate]");
    assert_eq!(run(&folder, &["rollback", "--confirm"]).code, 0);
    folder.sqlite("target.db", "DROP TRIGGER no");
    assert_eq!((migrate(&folder, &[]).code, ask(&folder, MEMBERS).len()), (0, 3));
}
