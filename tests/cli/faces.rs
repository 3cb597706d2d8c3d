//! What people see, as accepted snapshots.

use super::{command::cutover, support::Folder};
use insta_cmd::assert_cmd_snapshot;
use std::process::Command;

pub(crate) fn snapshot(name: &str, mut command: &mut Command) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r#""timing": \{.*\}"#, r#""timing": [TIMING]"#);
    settings.add_filter(r"(?s)(Time and size\n).*?\d s(, and [^\n]*)?\n", "${1}[TIMING]\n");
    settings.add_filter(r"SQLite \d+\.\d+\.\d+", "SQLite [VERSION]");
    settings.add_filter(r"cutover \d+\.\d+\.\d+", "cutover [VERSION]");
    settings.bind(|| assert_cmd_snapshot!(name, command));
}

fn shop() -> Folder {
    Folder::pair(
        "CREATE TABLE Customer (CustomerId INTEGER PRIMARY KEY, Name TEXT, Mail TEXT UNIQUE, Joined TEXT);
         CREATE TABLE InvoiceLine (InvoiceId INT, Line INT, CustomerId INT REFERENCES Customer, Price NUMERIC,
             PRIMARY KEY (InvoiceId, Line));
         CREATE TABLE audit (line TEXT);
         INSERT INTO Customer VALUES (1, 'Mira', 'mira@example.org', '2024-01-01T10:00:00Z'),
             (2, 'Jürgen', NULL, '2024-01-02T10:00:00Z'), (3, '', 'c@example.org', NULL), (4, 'Ada', 'ada@example.org', NULL);
         INSERT INTO InvoiceLine VALUES (1, 1, 1, 10.5), (1, 2, 2, 9007199254740993), (2, 1, 3, 0);
         INSERT INTO audit VALUES ('x'), ('x'), ('y');",
        "CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name TEXT, mail TEXT, joined TEXT, note TEXT);
         CREATE TABLE invoice_line (invoice_id INT, line INT, customer_id INT, price NUMERIC, PRIMARY KEY (invoice_id, line));
         CREATE TABLE session (id TEXT PRIMARY KEY);
         INSERT INTO customer VALUES (1, 'Mira', 'mira@example.org', '2024-01-01T10:00:00Z', NULL),
             (2, 'Ju' || char(776) || 'rgen', '<null>', '2024-01-02', NULL), (3, NULL, 'mira@example.org', NULL, NULL),
             (5, 'Bob' || char(27) || '[0m', NULL, NULL, NULL);
         INSERT INTO invoice_line VALUES (1, 1, 1, 10.5), (1, 2, 9, 9007199254740992), (2, 1, 3, 0);",
    )
}

#[test]
fn a_pass() {
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    snapshot("cli_pass", cutover(&Folder::pair(sql, sql)).args(["diff", "source.db", "target.db"]));
}

#[test]
fn a_failure() {
    let folder = shop();
    let arguments = ["diff", "source.db", "target.db"];
    snapshot("cli_fail", cutover(&folder).args(arguments));
    snapshot("cli_fail_quiet", cutover(&folder).args(arguments).arg("--quiet"));
    snapshot("cli_fail_verbose", cutover(&folder).args(arguments).args(["--verbose", "--limit", "3"]));
    snapshot("cli_fail_json", cutover(&folder).args(arguments).args(["--format", "json"]));
}

#[test]
fn undecided() {
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)";
    snapshot("cli_unknown", cutover(&Folder::pair(sql, sql)).args(["diff", "source.db", "target.db"]));
    snapshot("cli_missing_file", cutover(&Folder::new()).args(["diff", "source.db", "target.db"]));
    snapshot("cli_unknown_table", cutover(&shop()).args(["diff", "source.db", "target.db", "--only", "costumer"]));
    snapshot("cli_small_memory", cutover(&Folder::new()).args(["diff", "a", "b", "--memory", "1"]));
}

#[test]
fn help() {
    let folder = Folder::new();
    snapshot("cli_help", cutover(&folder).arg("--help"));
    snapshot("cli_help_diff", cutover(&folder).args(["diff", "--help"]));
    snapshot("cli_help_verify", cutover(&folder).args(["verify", "--help"]));
    snapshot("cli_version", cutover(&folder).arg("--version"));
    snapshot("cli_no_verb", &mut cutover(&folder));
    snapshot("cli_unknown_verb", cutover(&folder).arg("dif"));
}
