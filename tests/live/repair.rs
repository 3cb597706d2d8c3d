//! Scripts that the real thing runs. Postgres, by `psql`: a repair of a table of every kind of column, its undo, and an export into
//! another database. D1: a repair and its undo.

use super::{postgres, workerd};
use rusqlite::Connection;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// A column of each form in which Postgres holds values.
const SCHEMA: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
    CREATE TABLE parents (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(20) NOT NULL);
    CREATE TABLE kinds (
        id integer PRIMARY KEY DEFAULT nextval('parents_id_seq'), parent bigint REFERENCES parents, t text, b bytea, f8 float8,
        f4 float4, n numeric, d date, ti time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, bo boolean, m mood,
        a text[], i inet, mo money);
    CREATE TABLE notes (text text, doc json);
    CREATE TABLE nodes (id integer PRIMARY KEY, parent integer REFERENCES nodes ON DELETE CASCADE);
    CREATE EXTENSION citext;
    CREATE TABLE blurred (id citext, v text);
    CREATE TABLE blurred_too (id interval, doc jsonb, v text);
    CREATE TABLE forms (id text PRIMARY KEY, v text);";

const ROWS: &str = r#"
    INSERT INTO parents OVERRIDING SYSTEM VALUE VALUES (1, 'one'), (2, 'it''s \ two'), (30, 'x');
    INSERT INTO kinds VALUES
        (1, 1, E'a\n\\ ''b'' \x1b', '\x00ff27', 0.1::float8 + 0.2, 0.1, 1234567890.123456789, '2024-02-29', '23:59:59.000001',
         '2024-01-01 10:00:00.5', '2024-01-01T10:00:00+02', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{"b":1e5, "a":[1.50]}',
         '{"b":1.50, "a":"\\"}', true, 'it''s ok', ARRAY['a"', NULL, '{}'], '10.0.0.1/8', 12.34),
        (2, 2, '', '', 'NaN', '-Infinity', 'NaN', '0044-03-15 BC', '24:00:00', '12345-01-01', 'infinity', NULL, '"x"', 'null', false,
         'sad', '{}', '::1', -0.5),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO notes VALUES ('same', '{"a":1}'), ('same', '{"a":1}'), (NULL, NULL);
    INSERT INTO nodes VALUES (1, 3), (2, 1), (3, 3);
    INSERT INTO blurred VALUES ('a', 'new'), ('A', 'same'), ('b', 'new'), ('B', 'same');
    INSERT INTO blurred_too VALUES ('1 day', '1.5', 'new'), ('24:00', '1.5', 'same'), ('1 day', '1.50', 'same'), ('24:00', '1.50', 'new');
    INSERT INTO forms VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'new');"#;

/// What the target has of it: one row of each table is wrong or missing.
const THERE: &str = r#"
    INSERT INTO parents OVERRIDING SYSTEM VALUE VALUES (1, 'old');
    INSERT INTO kinds (id, parent, t, jb) VALUES (1, 1, 'old', '{"b":2}'), (3, NULL, NULL, NULL);
    INSERT INTO notes VALUES ('same', '{"a":1}');
    INSERT INTO nodes VALUES (1, NULL);
    INSERT INTO blurred VALUES ('a', 'old'), ('A', 'same'), ('B', 'same');
    INSERT INTO blurred_too VALUES ('1 day', '1.5', 'old'), ('24:00', '1.5', 'same'), ('1 day', '1.50', 'same');
    INSERT INTO forms VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'old');"#;

const PLAN: &str = r#"
version = 1
source = { kind = "postgres", url = "${FROM}" }
target = { kind = "postgres", url = "${TO}" }
table = [
    { into = "kinds" }, { into = "notes", key = [] }, { into = "parents" }, { into = "nodes" },
    { into = "blurred", key = ["id"] }, { into = "blurred_too", key = ["id", "doc"] },
    { into = "forms", columns = { id = { from = ".id", type = "uuid" }, v = ".v" } },
]
"#;

fn run(folder: &Path, [from, to]: [&str; 2], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(folder).env("FROM", from).env("TO", to).args(arguments);
    command.output().expect("the program runs")
}

#[test]
fn scripts_write_just_what_they_say() {
    let [source, target, before, other] = [(); 4].map(|()| postgres::database());
    for it in [&source, &target, &before] {
        it.execute(SCHEMA);
    }
    source.execute(ROWS);
    [&target, &before].iter().for_each(|it| drop(it.execute(THERE)));
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, urls) = (folder.path(), [source.url(), target.url()]);
    let urls = [urls[0].as_str(), urls[1].as_str()];
    fs::write(folder.join("cutover.toml"), PLAN).expect("a plan");
    let check = |sides: [&str; 2], arguments: &[&str], code: i32| {
        let done = run(folder, sides, arguments);
        let [out, error] = [&done.stdout, &done.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
        assert_eq!(done.status.code(), Some(code), "{arguments:?}\n{out}\n{error}");
    };
    check(urls, &["repair", "--output", "patch.sql", "--undo", "undo.sql"], 1);
    let script = |name: &str| fs::read_to_string(folder.join(name)).expect("a script");
    target.execute(&script("patch.sql"));
    check(urls, &["verify"], 0);
    let again = script("patch.sql");
    let again: Vec<&str> = again.lines().filter(|it| it.contains("blurred") || it.contains("nodes")).collect();
    target.execute(&again.join("\n"));
    check(urls, &["verify"], 0);
    let next = target.execute("INSERT INTO parents (name) VALUES ('new') RETURNING id");
    assert_eq!(next.trim(), "31", "the sequence stands behind the rows that came");
    target.execute("DELETE FROM parents WHERE id = 31");
    target.execute(&script("undo.sql"));
    let back = [before.url(), target.url()];
    check([&back[0], &back[1]], &["diff", "env:FROM", "env:TO"], 0);
    // No other type than that of the column holds this time of day.
    source.execute("UPDATE kinds SET ti = '12:00' WHERE id = 2");
    check(urls, &["export", "env:FROM", "--format", "sql", "--output", "all.sql"], 0);
    other.execute(&script("all.sql"));
    let copy = other.url();
    check([urls[0], &copy], &["diff", "env:FROM", "env:TO"], 0);
}

#[test]
fn d1_takes_the_script_of_its_repair() {
    const SCHEMA: &str =
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, score REAL, photo BLOB,
        price DECIMAL, boss INTEGER REFERENCES people (id) ON DELETE CASCADE)";
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, database) = (folder.path(), workerd::database());
    let source = Connection::open(folder.join("source.db")).expect("a source");
    let rows = "INSERT INTO people VALUES (1, 'it''s' || char(10) || '\\n', 0.1 + 0.2, x'00ff', '1.50', 2), (2, 'b', -1e300, NULL, 9007199254740993, 2)";
    source.execute_batch(&format!("{SCHEMA}; {rows}")).expect("rows");
    database.execute(&format!("{SCHEMA}; INSERT INTO people VALUES (1, 'IT''S', 0.3, NULL, 1, NULL)"));
    let plan = "version = 1\nsource = { kind = 'sqlite', path = 'source.db' }\n\
        target = { kind = 'd1', id = '${D1_DATABASE_ID}' }\ntable = [{ into = 'people' }]\n";
    fs::write(folder.join("cutover.toml"), plan).expect("a plan");
    let check = |arguments: &[&str], code: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(folder).env_clear().env("TMPDIR", folder).envs(database.environment()).args(arguments);
        let done = command.output().expect("the program runs");
        let [out, error] = [&done.stdout, &done.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
        assert_eq!(done.status.code(), Some(code), "{arguments:?}\n{out}\n{error}");
    };
    let all = || {
        database.execute("SELECT id, name, hex(photo), typeof(price), boss FROM people ORDER BY id")[0]["results"]
            .clone()
    };
    let before = all();
    check(&["repair", "--output", "patch.sql", "--undo", "undo.sql"], 1);
    assert_eq!(all(), before, "a preview writes nothing");
    database.execute(&fs::read_to_string(folder.join("patch.sql")).expect("a script"));
    check(&["verify"], 0);
    database.execute(&fs::read_to_string(folder.join("undo.sql")).expect("a script"));
    assert_eq!(all(), before);
}
