//! Rows that a rollback leaves: what others have, or need.

use super::{command::run, support::Folder};
use rusqlite::Connection;
use std::fs;

/// A pair of files with these statements in them, and a plan of these tables.
fn folder(source: &str, target: &str, tables: &[&str]) -> Folder {
    let folder = Folder::pair(source, target);
    let tables: String = tables.iter().map(|it| format!("[[table]]\ninto = \"{it}\"\n")).collect();
    let plan = format!(
        "version = 1\nsource = {{ kind = \"sqlite\", path = \"source.db\" }}\n\
         target = {{ kind = \"sqlite\", path = \"target.db\" }}\nmigrate = {{ backup = false }}\n\
         gate = {{ allow_empty = true, extra = 9, unpaired = [\"own\", \"p.code\"] }}\n{tables}"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    check(&folder, &["migrate"], 0);
    folder
}

fn check(folder: &Folder, arguments: &[&str], code: i32) -> String {
    let done = run(folder, arguments);
    assert_eq!(done.code, code, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done.stdout
}

fn all(folder: &Folder, column: &str, table: &str) -> String {
    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let ask = format!("SELECT group_concat({column}, ' ') FROM (SELECT {column} FROM {table} ORDER BY 1)");
    connection.query_row(&ask, [], |it| it.get::<_, Option<String>>(0)).expect("an answer").unwrap_or_default()
}

#[test]
fn of_rows_without_a_key_as_many_stay_as_were_there() {
    let tables = "CREATE TABLE notes (text TEXT);";
    let source = format!("{tables} INSERT INTO notes VALUES ('a'), ('a'), ('a'), ('b');");
    let folder = folder(&source, &format!("{tables} INSERT INTO notes VALUES ('a');"), &["notes"]);
    assert_eq!(all(&folder, "text", "notes"), "a a a b");
    // As a rollback leaves it that ends half way.
    folder.sqlite("target.db", "DELETE FROM notes WHERE rowid IN (SELECT max(rowid) FROM notes WHERE text = 'a')");
    check(&folder, &["rollback", "--confirm"], 0);
    assert_eq!(all(&folder, "text", "notes"), "a", "the row that was there before the run is not the run's");
}

#[test]
fn rows_that_stay_keep_what_they_refer_to_also_in_a_circle() {
    let tables = "CREATE TABLE p (id INTEGER PRIMARY KEY, q INTEGER REFERENCES q (id) ON DELETE CASCADE);
        CREATE TABLE q (id INTEGER PRIMARY KEY, p INTEGER REFERENCES P (ID) ON DELETE CASCADE);";
    let rows = "PRAGMA foreign_keys = OFF; INSERT INTO p VALUES (1, 1), (2, 2), (3, 2); INSERT INTO q VALUES (1, 1), (2, 2), (3, 1);";
    let own = "CREATE TABLE own (p INTEGER REFERENCES p)";
    let folder = folder(&format!("{tables}{rows}"), &format!("{tables}{own}"), &["p", "q"]);
    // A look before that stages other rows than those that go later.
    let looked = check(&folder, &["rollback"], 0);
    assert!(looked.contains("remove 6"), "{looked}");
    folder.sqlite("target.db", "INSERT INTO own VALUES (1)");
    let done = check(&folder, &["rollback", "--confirm"], 1);
    assert!(done.contains("remove 4") || done.contains("removed 4"), "{done}");
    assert_eq!([all(&folder, "id", "p"), all(&folder, "id", "q")], ["1", "1"]);
}

/// Two runs that have nothing to do with each other, of which the first one is held.
#[test]
fn the_rest_of_several_runs_is_undone_by_what_is_said() {
    let tables = "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY);";
    let own = "CREATE TABLE own (a INTEGER REFERENCES a (id))";
    let source = format!("{tables} INSERT INTO a VALUES (1);");
    let folder = folder(&source, &format!("{tables}{own}"), &["a", "b"]);
    folder.sqlite("source.db", "INSERT INTO b VALUES (1)");
    check(&folder, &["migrate"], 0);
    folder.sqlite("target.db", "INSERT INTO own VALUES (1)");
    let since = ["rollback", "--before", "2020-01-01T00:00:00Z", "--confirm"];
    let refused = run(&folder, &[&since[..], &["--tables", "a,c"]].concat());
    assert!(refused.code == 2 && refused.stderr.contains("wrote to a table `c`"), "{}", refused.stderr);
    assert_eq!(
        [all(&folder, "id", "a"), all(&folder, "id", "b")],
        ["1", "1"],
        "nothing is undone before it is refused"
    );
    let done = check(&folder, &since, 1);
    assert_eq!([all(&folder, "id", "a"), all(&folder, "id", "b")], ["1", ""]);
    folder.sqlite("target.db", "DELETE FROM own");
    let next = done.lines().find_map(|it| it.strip_prefix("next: cutover ")).unwrap_or_else(|| panic!("{done}"));
    let (next, _) = next.split_once("    ").unwrap_or_else(|| panic!("{done}"));
    check(&folder, &next.split(' ').collect::<Vec<_>>(), 0);
    assert_eq!(all(&folder, "id", "a"), "");
}

#[test]
fn a_reference_to_a_column_that_was_not_written_holds_all() {
    let target = "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE DEFAULT 'x');
        CREATE TABLE own (code TEXT REFERENCES p (code) ON DELETE CASCADE);";
    let source = "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);";
    let folder = folder(source, target, &["p"]);
    folder.sqlite("target.db", "INSERT INTO own VALUES ('x')");
    let done = check(&folder, &["rollback", "--confirm"], 1);
    assert!(done.contains("id=1, by own"), "{done}");
    assert_eq!(all(&folder, "id", "p"), "1");

    let next = done.lines().find_map(|it| it.strip_prefix("next: cutover ")).unwrap_or_else(|| panic!("{done}"));
    let (next, why) = next.split_once("    ").unwrap_or_else(|| panic!("{done}"));
    assert_eq!(why, "once the rest may go");
    folder.sqlite("target.db", "DELETE FROM own");
    check(&folder, &next.split(' ').collect::<Vec<_>>(), 0);
    assert_eq!(all(&folder, "id", "p"), "");
}
