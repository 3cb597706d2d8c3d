//! Rows whose id belongs to another row of the target, and get a new one.

use super::{
    command::{Done, run},
    support::Folder,
};
use rusqlite::Connection;
use std::fs;

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db" }

[[table]]
into = "notes"

[[table]]
into = "users"
on_clash = "new-id"

[gate]
extra = { users = 4 }
"#;

/// Two tables whose ids are of that type, with these users and notes on either side.
fn folder(ty: &str, source: &str, target: &str) -> Folder {
    let tables = format!(
        "CREATE TABLE users (id {ty} PRIMARY KEY NOT NULL, name TEXT, friend {ty} REFERENCES users (id));
        CREATE TABLE notes (id INTEGER PRIMARY KEY, owner {ty} NOT NULL REFERENCES users (id), text TEXT);"
    );
    let folder = Folder::new();
    folder.sqlite("source.db", &format!("{tables}{source}"));
    folder.sqlite("target.db", &format!("{tables}{target}"));
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    folder
}

const NUMBERS: [&str; 2] = [
    "INSERT INTO users VALUES (1, 'mira', 2), (2, 'bo', NULL), (3, 'ada', 7), (7, 'kim', 7);
    INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 7, 'd');",
    "INSERT INTO users VALUES (2, 'somebody', NULL), (3, 'ada', 7), (7, 'else', NULL), (9, 'last', NULL);",
];

fn all(folder: &Folder) -> String {
    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let ask = |sql: &str| connection.query_row(sql, [], |it| it.get::<_, String>(0)).expect("an answer");
    let users = "SELECT group_concat(id || name || coalesce(friend, '-'), ' ') FROM (SELECT * FROM users ORDER BY id)";
    let notes = "SELECT group_concat(id || owner, ' ') FROM (SELECT id || ':' AS id, owner FROM notes ORDER BY id)";
    let notes_count: i64 = connection.query_row("SELECT count(*) FROM notes", [], |it| it.get(0)).expect("a count");
    if notes_count == 0 { ask(users) } else { format!("{} | {}", ask(users), ask(notes)) }
}

fn migrate(folder: &Folder, arguments: &[&str], code: i32) -> Done {
    let done = run(folder, &[&["migrate", "--no-backup"], arguments].concat());
    assert_eq!(done.code, code, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done
}

#[test]
fn numbers_go_on_behind_the_last_one() {
    let folder = folder("INTEGER", NUMBERS[0], NUMBERS[1]);
    let before = all(&folder);
    migrate(&folder, &["--dry-run"], 0);
    assert!(!folder.path("cutover.ids.json").exists() && all(&folder) == before, "a preview keeps nothing");

    migrate(&folder, &[], 0);
    // Ada's friend has a new id, so she is not the Ada that is there.
    let expect = "1mira10 2somebody- 3ada7 7else- 9last- 10bo- 11kim11 12ada11 | 1:1 2:10 3:12 4:11";
    assert_eq!(all(&folder), expect);
    let kept = fs::read_to_string(folder.path("cutover.ids.json")).expect("the ids are kept");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    let ids = serde_json::json!({ "users": { "2": "10", "3": "12", "7": "11" } });
    assert_eq!((&kept["format"], &kept["tables"]), (&"cutover-ids/1".into(), &ids));
    let verified = run(&folder, &["verify", "--recheck", "1", "--recheck-delay", "0s"]);
    assert_eq!(verified.code, 0, "a verification knows the new ids: {}", verified.stdout);
    assert!(verified.stdout.contains("3 rows have a new id"), "{}", verified.stdout);
    migrate(&folder, &[], 0);
    assert_eq!(all(&folder), expect, "again: nothing to do");

    // From now on a row that differs is one that was changed.
    folder
        .sqlite("source.db", "UPDATE users SET name = 'bob' WHERE id = 2; UPDATE users SET name = 'mia' WHERE id = 1");
    let done = migrate(&folder, &[], 1);
    assert!(done.stdout.contains("users: 2 rows of the target have other values"), "{}", done.stdout);
    let undone = run(&folder, &["rollback", "--confirm"]);
    assert!(undone.code == 0 && undone.stdout.contains("cutover.ids.json holds the new ids"), "{}", undone.stdout);
    assert_eq!(all(&folder), before, "what was inserted under new ids goes, too");
}

#[test]
fn text_keeps_its_form() {
    let (ulid, uuid) = ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "11111111-1111-4111-8111-000000000003");
    let users = |names: [&str; 3]| {
        let rows = [ulid, uuid, "mira"].into_iter().zip(names).map(|(id, name)| format!("('{id}', '{name}', NULL)"));
        format!("INSERT INTO users VALUES {};", rows.collect::<Vec<_>>().join(", "))
    };
    let notes = format!("INSERT INTO notes VALUES (1, '{ulid}', 'a'), (2, '{uuid}', 'b'), (3, 'mira', 'c');");
    let folder = folder("TEXT", &(users(["a", "b", "c"]) + &notes), &users(["x", "y", "z"]));
    fs::write(folder.path("cutover.toml"), PLAN.replace("users = 4", "users = 3")).expect("a plan");
    migrate(&folder, &[], 0);
    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let mut asked = connection.prepare("SELECT owner FROM notes ORDER BY id").expect("a query");
    let owners: Vec<String> = asked.query_map([], |it| it.get(0)).expect("rows").map(|it| it.expect("a row")).collect();
    assert!(owners[0].starts_with("01ARZ3NDEK") && owners[0].len() == 26 && owners[0] != ulid, "{owners:?}");
    assert!(owners[1].len() == 36 && &owners[1][14..15] == "8", "{owners:?}");
    assert!(owners[2].starts_with("mira-") && owners[2].len() == 13, "{owners:?}");
    assert_eq!(run(&folder, &["verify"]).code, 0);
}

#[test]
fn a_run_about_some_tables_knows_the_ids_of_the_others() {
    let refused = |folder: &Folder, arguments: &[&str], says: &str| {
        let before = all(folder);
        let done = migrate(folder, arguments, 2);
        assert!(done.stderr.contains(says), "{arguments:?}: {}", done.stderr);
        assert!(all(folder) == before && !folder.path("cutover.ids.json").exists(), "nothing happened");
    };
    let folder = folder("INTEGER", NUMBERS[0], NUMBERS[1]);
    fs::write(folder.path("cutover.toml"), PLAN.replace("into = \"users\"", "into = \"users\"\ndated = \"name\""))
        .expect("a plan");
    let only = ["--only", "notes"];
    refused(&folder, &only, "notes refers to `users`, whose rows may have new ids; let `users` take part in the run");
    refused(&folder, &["--only", "users", "--since", "2026-01-01T00:00:00Z"], "users gets new ids");
    assert_eq!(run(&folder, &["repair", "--apply"]).code, 2, "a repair gives no ids");

    // What has nothing to do with new ids gives none, and asks for none.
    folder.sqlite("source.db", "CREATE TABLE tags (id INTEGER PRIMARY KEY, at TEXT)");
    folder.sqlite("target.db", "CREATE TABLE tags (id INTEGER PRIMARY KEY, at TEXT)");
    let plan = fs::read_to_string(folder.path("cutover.toml")).expect("the plan");
    let tagged = plan.replace("[gate]", "[[table]]\ninto = \"tags\"\ndated = \"at\"\n[gate]");
    fs::write(folder.path("cutover.toml"), tagged).expect("a plan");
    migrate(&folder, &["--only", "tags", "--since", "2026-01-01T00:00:00Z"], 0);
    assert!(!folder.path("cutover.ids.json").exists());
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    for file in ["source.db", "target.db"] {
        folder.sqlite(file, "DROP TABLE tags");
    }

    migrate(&folder, &[], 0);
    let expect = all(&folder);
    folder.sqlite("target.db", "DELETE FROM notes WHERE id = 2");
    migrate(&folder, &only, 0);
    assert_eq!(all(&folder), expect, "the note refers to the new id of its owner");
}

#[test]
fn ids_of_one_target_are_not_those_of_another() {
    let folder = folder("INTEGER", NUMBERS[0], NUMBERS[1]);
    migrate(&folder, &[], 0);
    fs::copy(folder.path("target.db"), folder.path("other.db")).expect("a copy");
    fs::write(folder.path("cutover.toml"), PLAN.replace("target.db", "other.db")).expect("a plan");
    for verb in [&["verify"][..], &["migrate", "--no-backup", "--new-target"]] {
        let done = run(&folder, verb);
        let says = "cutover.ids.json: these new ids were given for another target, sqlite target.db, and this one is sqlite other.db";
        assert!(done.code == 2 && done.stderr.contains(says), "{}", done.stderr);
    }
}

#[test]
fn a_row_whose_key_is_that_of_another_follows_it() {
    let tables = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE notes (id INTEGER PRIMARY KEY REFERENCES Users (id), text TEXT);
        CREATE TABLE comments (id INTEGER PRIMARY KEY, note INTEGER REFERENCES notes (id));";
    let folder = Folder::new();
    folder.sqlite(
        "source.db",
        &format!("{tables} INSERT INTO users VALUES (1, 'mira'); INSERT INTO notes VALUES (1, 'hers'); INSERT INTO comments VALUES (1, 1);"),
    );
    folder.sqlite(
        "target.db",
        &format!("{tables} INSERT INTO users VALUES (1, 'bo'); INSERT INTO notes VALUES (1, 'his');"),
    );
    let plan =
        PLAN.replace("extra = { users = 4 }", "extra = 1").replace("[gate]", "[[table]]\ninto = \"comments\"\n[gate]");
    fs::write(folder.path("cutover.toml"), plan.replace("\"notes\"", "\"notes\"\non_clash = \"new-id\""))
        .expect("a plan");
    let done = migrate(&folder, &[], 2);
    assert!(done.stderr.contains("notes: its key refers to `users`"), "{}", done.stderr);
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    migrate(&folder, &[], 0);
    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let both = "SELECT group_concat(it, ' ') FROM (SELECT users.id || name || text AS it FROM users JOIN notes USING (id) ORDER BY 1)";
    let both: String = connection.query_row(both, [], |it| it.get(0)).expect("rows");
    assert_eq!(both, "1bohis 2mirahers");
    let note: i64 = connection.query_row("SELECT note FROM comments", [], |it| it.get(0)).expect("a comment");
    assert_eq!(note, 2, "what refers to a row that follows another one follows, too");
}

#[test]
fn what_cannot_get_a_new_id_is_said() {
    let check = |tables: [&str; 2], says: &str| {
        let folder = Folder::new();
        folder.sqlite("source.db", tables[0]);
        folder.sqlite("target.db", tables[1]);
        fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
        let done = migrate(&folder, &[], 2);
        assert!(done.stderr.contains(says), "{}", done.stderr);
        assert!(!folder.path("cutover.ids.json").exists());
    };
    let two = |name: &str| {
        format!(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY); CREATE TABLE users (a INTEGER, b INTEGER, name TEXT, PRIMARY KEY (a, b));
            INSERT INTO notes VALUES (1); INSERT INTO users VALUES (1, 1, '{name}');"
        )
    };
    check([&two("a"), &two("b")], "users: `on_clash = \"new-id\"` needs a key of one column");
    let last = |name: &str| {
        format!(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY); CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
            INSERT INTO notes VALUES (1); INSERT INTO users VALUES (9223372036854775807, '{name}');"
        )
    };
    check([&last("a"), &last("b")], "numbers that end before 2^63");
    let other = |name: &str| {
        format!(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT REFERENCES users (id));
            CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
            INSERT INTO users VALUES (1, '{name}'); INSERT INTO notes VALUES (1, '1');"
        )
    };
    check([&other("a"), &other("b")], "notes.owner cannot follow the new ids of `users`: it is text and they are int");
}
