//! `clear`: what a browser may remove, and when nothing may be.

use super::{command::run, support::Folder};
use std::{fs, os::unix::fs::PermissionsExt};

/// A dump of a browser, of which the plan takes what begins with `note:`, and a target with these notes. One of them is empty.
fn notes(notes: &str, origin: &str, gate: &str) -> Folder {
    let folder = Folder::new();
    let dump = r#"{"note:1":"[{\"id\":1,\"text\":\"milk\"}]","note:2":"[ {\"id\":2,\"text\":\"</script>\"} ]","note:3":"[]","theme":"dark"}"#;
    fs::write(folder.path("browser.json"), dump).expect("a dump");
    fs::write(folder.path("notes.ndjson"), notes).expect("a target");
    let plan = format!(
        "version = 1\n[source]\nkind = \"local-storage\"\npath = \"browser.json\"\n{origin}\n\
         [target]\nkind = \"ndjson\"\npath = \"notes.ndjson\"\n\
         [[table]]\ninto = \"notes\"\nprefix = [\"note:\"]\neach = \".value[]\"\nkey = [\"id\"]\n\
         columns.id = '.id'\ncolumns.text = '.text'\n[gate]\nunselected = 1\n{gate}\n"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    folder
}

const ORIGIN: &str = "origin = \"https://notes.example.test\"";
const BOTH: &str = "{\"id\":1,\"text\":\"milk\"}\n{\"id\":2,\"text\":\"</script>\"}\n";

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
          ["note:1", "24-66f38b7b-e33c0fbe"],
          ["note:2", "31-64a501e9-89cf6f7e"],
        ],
      };
    "#);
    insta::assert_snapshot!(done.stderr, @"the script removes 2 entries; 2 of which the plan makes no row stay");
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
    refused(&notes(&BOTH.replace(":1,", ":3,"), ORIGIN, ""), 1, "nothing is to be removed: see `cutover verify");
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

/// Nothing says of which entries a program makes its rows.
#[test]
fn rows_of_a_program_clear_nothing() {
    let folder = notes(BOTH, ORIGIN, "");
    let plan = fs::read_to_string(folder.path("cutover.toml")).expect("a plan");
    let (start, rest) = plan.split_once("prefix").expect("the table");
    let (_, gate) = rest.split_once("[gate]").expect("the gate");
    let plan = format!("{start}command = [\"cat\", \"made.ndjson\"]\nkey = [\"id\"]\n[gate]{gate}");
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    let made: String = BOTH.lines().map(|it| format!("{{\"table\":\"notes\",\"row\":{it}}}\n")).collect();
    fs::write(folder.path("made.ndjson"), made).expect("what it says");
    refused(&folder, 2, "notes: a program makes its rows");
}
