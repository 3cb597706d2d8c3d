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

/// Eight tables, half of which refer to the other half.
#[test]
fn tables_are_written_side_by_side() {
    let (folder, database) = (tempfile::tempdir().expect("a folder"), postgres::database());
    let folder = folder.path();
    let (mut plan, mut export) = (String::new(), serde_json::Map::new());
    plan += &PLAN[..PLAN.find("schema = ").expect("it has a schema")];
    plan += "[migrate]\nbackup = false\nbatch_size = 10\nconcurrency = 3\n";
    for at in 0..8 {
        let parent = format!(" REFERENCES t{}", at - at % 2);
        let refers = if at % 2 == 1 { parent.as_str() } else { "" };
        database.execute(&format!("CREATE TABLE t{at} (id bigint NOT NULL PRIMARY KEY{refers}, name text)"));
        plan += &format!("[[table]]\nfrom = \"t{at}\"\ninto = \"t{at}\"\n");
        let rows = (0..95).map(|id| serde_json::json!({ "id": id, "name": format!("{at}-{id}") })).collect();
        export.insert(format!("t{at}"), serde_json::Value::Array(rows));
    }
    fs::write(folder.join("cutover.toml"), plan).expect("the plan is written");
    fs::write(folder.join("export.json"), serde_json::Value::from(export).to_string()).expect("the export is written");
    // The first table notes how many connections there are while it is written.
    database.execute(
        "CREATE SCHEMA aside; CREATE TABLE aside.seen (count bigint);
        CREATE FUNCTION aside.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO aside.seen SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend';
            RETURN NULL; END $$;
        CREATE TRIGGER note AFTER INSERT ON t0 FOR EACH STATEMENT EXECUTE FUNCTION aside.note()",
    );
    // A row that is refused by the server in the middle ends all of them, and all of them are taken back.
    database.execute("ALTER TABLE t5 ADD CHECK (id <> 50)");
    let done = cutover(folder, &database.url(), &["migrate", "--format", "json"]);
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stdout));
    let counted = || {
        let all = (0..8).map(|at| format!("(SELECT count(*) FROM t{at})")).collect::<Vec<_>>().join(" + ");
        database.execute(&format!("SELECT {all}"))
    };
    assert_eq!(counted(), "0");
    let most = || -> u32 { database.execute("SELECT max(count) FROM aside.seen").parse().expect("a number") };
    let several = most();
    database.execute("TRUNCATE aside.seen");
    database.execute("ALTER TABLE t5 DROP CONSTRAINT t5_id_check");
    let done = cutover(folder, &database.url(), &["migrate", "--format", "json", "--concurrency", "1"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stdout));
    assert_eq!(counted(), "760");
    assert_eq!(several, most() + 1, "no more than two tables may be written at once here");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("a report");
    let inserted: Vec<_> = report["tables"].as_array().expect("tables").iter().map(|it| &it["inserted"]).collect();
    assert_eq!(inserted, vec![&serde_json::json!(95); 8]);
    assert_eq!(cutover(folder, &database.url(), &["verify"]).status.code(), Some(0));
}
