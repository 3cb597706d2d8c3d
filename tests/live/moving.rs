//! Rows that arrive while the program looks, and what is said about a server, each against a real one.

use super::postgres;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
};

const SECRET: &str = "hunter2-canary";

fn cutover(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let folder = std::env::temp_dir();
    command.env_clear().current_dir(folder).args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = cutover(arguments, variables).output().expect("the program runs");
    let said = [stdout, stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    assert!(!said.contains(SECRET), "{said}");
    (status.code(), said)
}

/// One table with a key that is looked up, one whose key has no index, and one without a key.
const SCHEMA: &str = "CREATE TABLE users (id uuid PRIMARY KEY, name text);
    CREATE TABLE visits (at timestamptz, page text, PRIMARY KEY (page, at));
    CREATE TABLE coins (worth numeric);
    INSERT INTO users VALUES ('00000000-0000-0000-0000-00000000000a', 'Mira'), ('00000000-0000-0000-0000-00000000000b', 'Bo');
    INSERT INTO visits VALUES ('2024-01-01 10:00:00.123456+00', 'ä'), ('infinity', 'b');
    INSERT INTO coins VALUES (1.50), (1.5), (2);";

#[test]
fn late_rows_of_postgres_are_seen() {
    let (source, target) = (postgres::database(), postgres::database());
    source.execute(SCHEMA);
    target.execute(SCHEMA);
    target.execute(
        "UPDATE users SET name = 'Bob' WHERE name = 'Bo'; DELETE FROM visits; DELETE FROM coins WHERE worth = 1.5",
    );
    let variables = [("SOURCE", source.url()), ("TARGET", target.url())];
    let variables = variables.each_ref().map(|(name, url)| (*name, url.as_str()));
    let arguments =
        ["diff", "env:SOURCE", "env:TARGET", "--recheck", "4294967295", "--recheck-delay", "1ms", "--format", "json"];
    let mut child = cutover(&arguments, &variables);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|it| it.expect("a line"));
    let first = lines.next().expect("it says that it looks again");
    assert_eq!(first, "4 rows differ; looking again in 1ms (1 of 4294967295)");
    target.execute(
        "UPDATE users SET name = 'Bo' WHERE name = 'Bob'; INSERT INTO coins VALUES (1.5), (1.5);
         INSERT INTO visits VALUES ('2024-01-01 10:00:00.123456+00', 'ä'), ('infinity', 'b')",
    );
    assert!(lines.all(|it| it.contains("looking again in 1ms")));
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("a report");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).expect("a report");
    let tables = report["tables"].as_array().expect("tables").iter();
    let converged: Vec<_> = tables.map(|it| (it["recheck"]["converged"].as_u64(), it["same"].as_u64())).collect();
    assert_eq!(converged, [(Some(1), Some(3)), (Some(1), Some(2)), (Some(2), Some(2))]);
}

#[test]
fn a_server_says_what_it_is_and_no_secret() {
    let database = postgres::database();
    database.execute(SCHEMA);
    let url = database.url();
    let (code, said) = output(&["test-connection", "env:STORE", "--format", "json"], &[("STORE", &url)]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).expect("a report");
    let facts = report["stores"][0]["facts"].as_array().expect("facts");
    for what in ["version", "tables", "clock"] {
        assert!(facts.iter().any(|it| it["what"] == what), "{what}: {said}");
    }
    let clock = facts.iter().find(|it| it["what"] == "clock").expect("a clock");
    assert!(clock["level"] == "good" && clock["says"].as_str().is_some_and(|it| it.ends_with(", as here")), "{clock}");
    let wrong = url.replacen("postgres@", &format!("postgres:{SECRET}@"), 1).replace("/test_", "/gone_");
    let (code, said) = output(&["test-connection", "env:STORE"], &[("STORE", &wrong)]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("gone_"), "{said}");
    let (code, said) = output(&["info", "env:STORE"], &[("STORE", &url)]);
    assert!(code == Some(0) && said.contains("id uuid, name text"), "{said}");
}

#[test]
fn a_new_plan_names_the_variable_and_not_what_it_holds() {
    let (source, target) = (postgres::database(), postgres::database());
    source.execute(SCHEMA);
    target.execute(SCHEMA);
    let (source, target) = (source.url(), target.url());
    let variables = [("OLD", source.as_str()), ("NEW", target.as_str())];
    let (code, plan) = output(&["init", "env:OLD", "env:NEW", "--output", "-"], &variables);
    assert_eq!(code, Some(0), "{plan}");
    assert!(plan.contains("url = \"${OLD}\"") && plan.contains("url = \"${NEW}\"") && !plan.contains("://"), "{plan}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cutover.toml");
    std::fs::write(&path, plan).expect("a plan");
    let path = path.display().to_string();
    for verb in [&["check", &path][..], &["verify", &path, "--quiet"], &["info", &path], &["test-connection", &path]] {
        let (code, said) = output(verb, &variables);
        assert_eq!(code, Some(0), "{verb:?}: {said}");
    }
}
