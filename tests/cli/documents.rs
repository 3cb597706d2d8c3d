//! What becomes of documents on their way through a mapping: jq has one null and one kind of string, a column of JSON has two.

use super::{command::run, support::Folder};
use std::fs;

/// A document `null` beside nothing at all, strings beside numbers and beside text that is no JSON.
const SOURCE: &str = r#"('a','null'),('b',NULL),('c','"12"'),('d','12'),('e','hello'),('f','"hello"')"#;

/// Maps the values of [`SOURCE`] by `expression`; the target holds those `values`. Tells the keys that differ.
#[track_caller]
fn check(expression: &str, values: [&str; 6], differ: &[&str]) {
    let schema = "CREATE TABLE kv (key TEXT PRIMARY KEY, value JSON); INSERT INTO kv VALUES ";
    let keys = ["a", "b", "c", "d", "e", "f"];
    let rows: Vec<String> = keys.iter().zip(values).map(|(key, value)| format!("('{key}',{value})")).collect();
    let folder = Folder::pair(&format!("{schema}{SOURCE}"), &format!("{schema}{}", rows.join(",")));
    let plan = format!(
        "version = 1\nsource = {{ kind = \"sqlite\", path = \"source.db\" }}\n\
         target = {{ kind = \"sqlite\", path = \"target.db\" }}\n\
         [[table]]\ninto = \"kv\"\ncolumns = {{ key = \".key\", value = '{expression}' }}\n"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    let done = run(&folder, &["verify", "--format", "json"]);
    let report = done.json();
    let findings = report["tables"][0]["findings"].as_array().expect("findings");
    let changed: Vec<_> =
        findings.iter().filter(|it| it["kind"] == "changed").filter_map(|it| it["key"]["key"].as_str()).collect();
    assert_eq!(changed, differ, "{expression}: {report}");
    assert_eq!(done.code, i32::from(!differ.is_empty()), "{expression}: {report}");
}

#[test]
fn a_copy_is_exact() {
    check(".value", ["'null'", "NULL", "'\"12\"'", "'12'", "'hello'", "'\"hello\"'"], &[]);
    check(".value", ["NULL", "'null'", "'12'", "'\"12\"'", "'\"hello\"'", "'hello'"], &["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn an_expression_that_gives_null_makes_null() {
    let kept = "if .key == \"x\" then 7 else .value end";
    check(kept, ["NULL", "NULL", "'\"12\"'", "'12'", "'hello'", "'\"hello\"'"], &[]);
    check(kept, ["'null'", "NULL", "'12'", "'\"12\"'", "'\"hello\"'", "'hello'"], &["a", "c", "d", "e", "f"]);
}

#[test]
fn tojson_makes_a_document_of_everything() {
    let made = ".value | tojson";
    check(made, ["'null'", "'null'", "'\"12\"'", "'12'", "'\"hello\"'", "'\"hello\"'"], &[]);
    check(made, ["NULL", "NULL", "'12'", "'\"12\"'", "'hello'", "'hello'"], &["a", "b", "c", "d", "e", "f"]);
}
