//! Guide 4 from its beginning to its end: a namespace is captured, rewritten in place and compared with its capture.

use super::{Done, cutover};
use crate::miniflare::{self, Namespace};
use serde_json::{Value, value::RawValue};
use std::{fs, path::Path, process::Command};

/// What stands for "now" in the plan.
const INSTANT: &str = "2026-03-04T00:00:00Z";

fn fixture() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kv-legacy-to-nested"))
}

/// A row of the fixture, its value as it is written there.
#[derive(serde::Deserialize)]
struct Row {
    key: String,
    value: Box<RawValue>,
    metadata: Option<Box<RawValue>>,
    expiration: Option<i64>,
}

/// Puts a file of the fixture into a namespace.
pub(crate) fn fill(namespace: &Namespace, file: &str) {
    for line in fs::read_to_string(fixture().join(file)).unwrap().lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let metadata = row.metadata.as_deref().map(RawValue::get);
        namespace.put(&row.key, row.value.get().as_bytes(), metadata, row.expiration);
    }
}

/// A folder with the plan of the fixture, its stores replaced by a capture and the namespace.
fn home(namespace: &Namespace, source: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for folder in ["expected", "live"] {
        fs::create_dir(home.path().join(folder)).unwrap();
        let rows = format!("{folder}/entries.ndjson");
        fs::copy(fixture().join(&rows), home.path().join(&rows)).unwrap();
    }
    fs::copy(fixture().join("tokens.toml"), home.path().join("tokens.toml")).unwrap();
    let plan = fs::read_to_string(fixture().join("cutover.toml")).unwrap();
    let (_, tables) = plan.split_once("[[table]]").unwrap();
    let stores = format!(
        "version = 1\ninstant = \"{INSTANT}\"\n[source]\n{source}\n[target]\nkind = \"kv\"\nexclude = [\"pat:\"]\n[[table]]"
    );
    fs::write(home.path().join("cutover.toml"), stores + tables).unwrap();
    let done = cutover(home.path(), &namespace.variables(), &["capture", "kv:", "backup"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    home
}

fn verify(home: &Path, namespace: &Namespace, plan: &str) -> Done {
    let mut variables = namespace.variables().to_vec();
    variables.push(("KV_NAMESPACE_ID", &namespace.id));
    cutover(home, &variables, &["verify", plan, "--format", "json"])
}

/// Runs the migration and gives back what it says.
fn migrate(namespace: &Namespace) -> String {
    let mut command = Command::new(miniflare::node("kv.mjs").get_program());
    command.arg(fixture().join("migrate.mjs")).arg(INSTANT).env_clear();
    command.envs(namespace.variables()).env("KV_NAMESPACE_ID", &namespace.id);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const BACKUP: &str = "kind = \"snapshot\"\npath = \"backup\"";

#[test]
fn a_namespace_is_rewritten_in_place_and_nothing_is_lost() {
    let namespace = miniflare::namespace();
    fill(&namespace, "backup/entries.ndjson");
    let home = home(&namespace, BACKUP);
    let home = home.path();

    let early = verify(home, &namespace, "cutover.toml");
    assert_eq!((early.code, early.totals()["changed"].as_u64()), (1, Some(9)), "{}{}", early.stdout, early.stderr);

    assert_eq!(migrate(&namespace), "9 written");
    let pass = verify(home, &namespace, "cutover.toml");
    assert_eq!((pass.code, pass.json()["verdict"].as_str()), (0, Some("pass")), "{}{}", pass.stdout, pass.stderr);
    assert_eq!(pass.totals(), serde_json::json!({"source_rows": 18, "target_rows": 18, "same": 18}));

    assert_eq!(migrate(&namespace), "0 written", "a second run finds nothing to do");
    assert_eq!(verify(home, &namespace, "cutover.toml").code, 0);
}

#[test]
fn what_goes_wrong_in_place_is_found() {
    let namespace = miniflare::namespace();
    fill(&namespace, "backup/entries.ndjson");
    let home = home(&namespace, BACKUP);
    let rows = fs::read_to_string(fixture().join("live/entries.ndjson")).unwrap();
    let row = |key: &str| -> Row {
        let rows = rows.lines().map(|it| serde_json::from_str::<Row>(it).unwrap());
        rows.into_iter().find(|it| it.key == key).unwrap()
    };
    fill(&namespace, "live/entries.ndjson");
    let check = |key: &str, kind: &str, columns: &[&str]| {
        let done = verify(home.path(), &namespace, "cutover.toml");
        let report = done.json();
        let findings = report["tables"][0]["findings"].as_array().unwrap().clone();
        let [finding] = findings.as_slice() else { panic!("{key}: {findings:?} {}", done.stderr) };
        assert_eq!((done.code, &finding["kind"], &finding["key"]["key"]), (1, &kind.into(), &key.into()));
        let cells = finding["cells"].as_object().unwrap();
        assert!(columns.is_empty() || cells.keys().eq(columns.iter()), "{key}: {finding}");
        fill(&namespace, "live/entries.ndjson");
        assert_eq!(verify(home.path(), &namespace, "cutover.toml").code, 0, "as it was before {key}");
    };
    let put = |key: &str, value: &str, metadata: Option<&str>, expiration: Option<i64>| {
        namespace.put(key, value.as_bytes(), metadata, expiration);
    };
    let snapshot = row("snap:s1");
    put("snap:s1", snapshot.value.get(), None, None);
    check("snap:s1", "changed", &["metadata", "expiration"]);

    let owner = snapshot.metadata.as_deref().map(RawValue::get);
    put("snap:s1", snapshot.value.get(), owner, Some(1_999_999_999));
    check("snap:s1", "changed", &["expiration"]);

    // What a plain script does: parse, and write again.
    let value = row("user:u_日本").value.get().replace("9007199254740993", "9007199254740992");
    put("user:u_日本", &value, Some("{\"imported\":true}"), None);
    check("user:u_日本", "changed", &["value"]);

    let value = row("user:u_bo").value.get().replace("\"trialStart\":0,", "");
    put("user:u_bo", &value, None, None);
    check("user:u_bo", "changed", &["value"]);

    put("user:byemail:bo@example.test", "{\"uid\":\"u_bo\",\"status\":\"active\"}", None, None);
    check("user:byemail:bo@example.test", "changed", &["value"]);

    namespace.delete(&["user:u_eve"]);
    check("user:u_eve", "missing", &[]);
}

#[test]
fn tokens_in_keys_are_never_shown() {
    let namespace = miniflare::namespace();
    fill(&namespace, "backup/entries.ndjson");
    for token in ["invented-token-1", "invented-token-2", "invented-token-3"] {
        namespace.put(&format!("pat:{token}"), format!("text of {token}").as_bytes(), None, None);
    }
    let home = home(&namespace, BACKUP);
    let same = verify(home.path(), &namespace, "tokens.toml");
    assert_eq!((same.code, same.totals()["same"].as_u64()), (0, Some(3)), "{}{}", same.stdout, same.stderr);
    namespace.delete(&["pat:invented-token-1"]);
    namespace.put("pat:invented-token-2", b"another text of invented-token-2", None, None);
    let wrong = verify(home.path(), &namespace, "tokens.toml");
    let totals = wrong.totals();
    assert_eq!((wrong.code, totals["missing"].as_u64(), totals["changed"].as_u64()), (1, Some(1), Some(1)));
    let said = wrong.stdout + &wrong.stderr;
    assert!(!said.contains("invented-token"), "{said}");
}

/// Values that are no JSON go through a mapping as the text or the bytes that they are.
#[test]
fn a_mapping_leaves_alone_what_it_does_not_map() {
    let (namespace, folder) = (miniflare::namespace(), tempfile::tempdir().unwrap());
    super::awkward(&namespace);
    namespace.delete(&["null"]);
    // JSON's own string, and the text in it, beside each other.
    namespace.put_all(&[("quoted", b"\"12\"", Some("\"12\""), None), ("index", b"\"user:7\"", None, None)]);
    let plan = r#"version = 1
        [source]
        kind = "kv"
        [target]
        kind = "kv"
        [[table]]
        into = "entries"
        from = "entries"
        [table.columns]
        key = ".key"
        value = 'if .key == "nobody" then .value + {"more": 1} else .value end'
        metadata = ".metadata"
        expiration = ".expiration"
    "#;
    fs::write(folder.path().join("cutover.toml"), plan).unwrap();
    let same = verify(folder.path(), &namespace, "cutover.toml");
    assert_eq!((same.code, same.totals()["same"].as_u64()), (0, Some(13)), "{}{}", same.stdout, same.stderr);
    let types =
        "[source.types.entries]\nvalue = \"text\"\n[target]\nkind = \"kv\"\n[target.types.entries]\nvalue = \"text\"\n";
    // One value is no text, on both sides.
    for (ty, code, invalid) in [("text", 1, 2), ("bytes", 0, 0)] {
        let plan = plan.replace("if .key == \"nobody\" then .value + {\"more\": 1} else .value end", ".value");
        let plan = plan.replace("[target]\n        kind = \"kv\"\n", &types.replace("text", ty));
        fs::write(folder.path().join("cutover.toml"), plan).unwrap();
        let done = verify(folder.path(), &namespace, "cutover.toml");
        let report = done.json();
        assert_eq!(
            (done.code, &report["tables"][0]["columns"]["value"]["type"]),
            (code, &ty.into()),
            "{}",
            done.stdout
        );
        assert_eq!(
            (&report["totals"]["same"], &report["totals"]["invalid"]),
            (&13.into(), &invalid.into()),
            "{}",
            done.stdout
        );
    }
    let plan = plan.replace("nobody", "user:7");
    fs::write(folder.path().join("cutover.toml"), plan).unwrap();
    let changed = verify(folder.path(), &namespace, "cutover.toml").json();
    let patch: Vec<&Value> =
        changed["tables"][0]["findings"].as_array().unwrap().iter().map(|it| &it["patch"]).collect();
    assert_eq!(
        patch,
        [&serde_json::json!([{"op": "add", "path": "/value/more", "value": 1}])],
        "`.value` is the document"
    );
}
