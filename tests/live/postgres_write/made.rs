//! Tables that a run makes: looked at before they are there, and not there unless the run may write.

use crate::postgres;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const PLAN: &str = r#"
version = 1
[source]
kind = "json"
path = "export.json"
[target]
kind = "postgres"
url = "${TARGET_URL}"
schema = "schema.sql"
[[table]]
from = "users"
into = "users"
[[table]]
from = "orders"
into = "orders"
"#;

const SCHEMA: &str = "
CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name text NOT NULL, mood text);
CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, buyer bigint NOT NULL REFERENCES users (id));
CREATE INDEX orders_buyer ON orders (buyer);
";

fn cutover(folder: &Path, url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(arguments).current_dir(folder).env_clear().env("TARGET_URL", url);
    command.output().expect("the program runs")
}

/// What the export says of the buyer of the second order.
fn export(folder: &Path, buyer: u32) {
    let export = serde_json::json!({
        "users": [{ "id": 1, "name": "Mira", "mood": "keen" }, { "id": 2, "name": "Tove", "mood": "calm" }],
        "orders": [{ "id": 1, "buyer": 1 }, { "id": 2, "buyer": buyer }],
    });
    fs::write(folder.join("export.json"), export.to_string()).expect("the export is written");
}

#[test]
fn tables_are_made_once_the_check_has_passed() {
    let (folder, database) = (tempfile::tempdir().expect("a folder"), postgres::database());
    let folder = folder.path();
    fs::write(folder.join("cutover.toml"), PLAN).expect("the plan is written");
    fs::write(folder.join("schema.sql"), SCHEMA).expect("the schema is written");
    let made = || database.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace");
    let run = |arguments: &[&str], expect: i32, says: &[&str]| {
        let done = cutover(folder, &database.url(), arguments);
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(expect), "{arguments:?}: {said}");
        says.iter().for_each(|it| assert!(said.contains(it), "{arguments:?} does not say {it}: {said}"));
    };
    export(folder, 9);
    run(&["migrate"], 1, &["orphans", "nothing was written"]);
    assert_eq!(made(), "0", "what the check refuses leaves nothing behind");
    export(folder, 2);
    run(&["migrate", "--dry-run"], 0, &["nothing was written: this is a preview"]);
    assert_eq!(made(), "0", "a preview makes nothing");
    run(&["migrate"], 0, &["The target holds all of it"]);
    assert_eq!(database.execute("SELECT string_agg(name || mood, ',' ORDER BY id) FROM users"), "Mirakeen,Tovecalm");
    run(&["migrate"], 0, &[]);
    run(&["verify"], 0, &[]);
}
