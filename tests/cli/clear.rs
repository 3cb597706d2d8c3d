//! `clear`: what a browser may remove, and when nothing may be.

use super::{command::run, support::Folder};
use std::{fs, os::unix::fs::PermissionsExt};

/// A dump of a browser, of which the plan takes what begins with `note:`, and a target with these notes.
fn notes(notes: &str, origin: &str, gate: &str) -> Folder {
    let folder = Folder::new();
    let dump = r#"{"note:1":"{\"text\":\"milk\"}","note:2":"{ \"text\": \"</script>\" }","theme":"dark"}"#;
    fs::write(folder.path("browser.json"), dump).expect("a dump");
    fs::write(folder.path("notes.ndjson"), notes).expect("a target");
    let plan = format!(
        "version = 1\n[source]\nkind = \"local-storage\"\npath = \"browser.json\"\n{origin}\n\
         [target]\nkind = \"ndjson\"\npath = \"notes.ndjson\"\n\
         [[table]]\ninto = \"notes\"\nprefix = [\"note:\"]\nkey = [\"id\"]\n\
         columns.id = '.key'\ncolumns.text = '.value.text'\n[gate]\nunselected = 1\n{gate}\n"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    folder
}

const ORIGIN: &str = "origin = \"https://notes.example.test\"";
const BOTH: &str = "{\"id\":\"note:1\",\"text\":\"milk\"}\n{\"id\":\"note:2\",\"text\":\"</script>\"}\n";

#[test]
fn a_script_holds_what_the_target_has() {
    let folder = notes(BOTH, ORIGIN, "");
    let done = run(&folder, &["clear"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let (start, _) = done.stdout.split_once("const entries").expect("the entries");
    insta::assert_snapshot!(start, @r#"
    // Removes from localStorage what was found in the target of the migration, entry by entry, and leaves what was changed since.
    // Paste it into the console of a page of each of these origins, or serve it from there.
    (() => {
      const compared = {
        "https://notes.example.test": [
          ["note:1", "15-4c962069-e7dbf5da"],
          ["note:2", "23-799ef720-53ebfb0f"],
        ],
      };
    "#);
    insta::assert_snapshot!(done.stderr, @"the script removes 2 entries; 1 that no table of the plan takes stay");
    let filed = run(&folder, &["clear", "--output", "clear.js"]);
    assert_eq!((filed.code, filed.stdout.as_str()), (0, ""), "{}", filed.stderr);
    assert_eq!(fs::read_to_string(folder.path("clear.js")).expect("a script"), done.stdout);
    assert_eq!(fs::metadata(folder.path("clear.js")).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&folder, &["clear", "--output", "clear.js"]).code, 2, "what is there is not overwritten");
}

#[track_caller]
fn refused(folder: &Folder, code: i32, says: &str) {
    let done = run(folder, &["clear"]);
    assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{}", done.stderr);
    assert!(done.stderr.contains(says), "{}", done.stderr);
}

#[test]
fn nothing_goes_that_the_target_has_not() {
    let one = BOTH.lines().next().expect("a line");
    refused(&notes(one, ORIGIN, ""), 1, "notes: 1 rows are missing in the target");
    refused(&notes(one, ORIGIN, "missing = 1"), 1, "notes: 1 rows are missing in the target");
    refused(&notes(&BOTH.replace("milk", "tea"), ORIGIN, "changed = 1"), 1, "notes: 1 rows are other in the target");
    refused(&notes(&BOTH.replace("note:1", "note:3"), ORIGIN, ""), 1, "nothing is to be removed: see `cutover verify");
}

#[test]
fn it_has_to_be_clear_what_is_cleared() {
    refused(&notes(BOTH, "", ""), 2, "is no origin of pages");
    let folder = notes(BOTH, ORIGIN, "");
    let plan = fs::read_to_string(folder.path("cutover.toml")).expect("a plan");
    let plan = plan.replacen("local-storage", "json", 1).replace(ORIGIN, "").replace("prefix = [\"note:\"]\n", "");
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    refused(&folder, 2, "the source is no localStorage of a browser");
}
