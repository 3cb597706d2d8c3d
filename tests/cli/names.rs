//! Names and values that are made to break a program, its output or its files.

use super::{
    command::{diff, totals},
    support::Folder,
};

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn hostile_names_of_tables_and_columns() {
    let long = "n".repeat(300);
    for name in [
        "a\"b",
        "a'b",
        "a`b",
        "a;b -- c",
        "a\nb\r\n\tc",
        "\u{1b}[31mred\u{7}\u{1b}]0;title\u{7}",
        "\u{9b}31m\u{85}\u{202e}abc",
        "../../etc/passwd",
        "..",
        "CON",
        "a.b",
        "[a]",
        " ",
        "%s%n{}",
        "select",
        "\u{1f600}",
        &long,
    ] {
        let name = quoted(name);
        let schema = format!("CREATE TABLE {name} ({name} INTEGER PRIMARY KEY, v TEXT)");
        let fill = |rows: &str| format!("{schema}; INSERT INTO {name} VALUES {rows}");
        let folder = Folder::pair(&fill("(1,'a'),(2,'b')"), &fill("(1,'a'),(2,'c'),(3,'d')"));
        let done = diff(&folder, &[]);
        assert_eq!(done.code, 1, "{name} {}", done.stderr);
        assert_eq!(totals(&done.json()), "source_rows=2 target_rows=3 same=1 changed=1 extra=1", "{name}");
    }
}

#[test]
fn tables_whose_names_differ_in_case_are_not_mixed_up() {
    let folder = Folder::pair(
        "CREATE TABLE Users (id INTEGER PRIMARY KEY); INSERT INTO Users VALUES (1)",
        "CREATE TABLE users (id INTEGER PRIMARY KEY); CREATE TABLE \"user s\" (id INTEGER PRIMARY KEY);
         INSERT INTO users VALUES (1); INSERT INTO \"user s\" VALUES (2)",
    );
    let done = diff(&folder, &[]);
    assert_eq!(
        (totals(&done.json()).as_str(), done.code),
        ("source_rows=1 target_rows=1 same=1", 1),
        "{}",
        done.stdout
    );
}

#[test]
fn control_characters_in_values_do_not_get_out() {
    let every: String = (1..32).chain(127..160).map(|it| format!("char({it})")).collect::<Vec<_>>().join(" || ");
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT)";
    let folder = Folder::pair(
        &format!("{schema}; INSERT INTO t VALUES ({every}, 'a'), ('only' || char(27) || '[2J', {every})"),
        &format!("{schema}; INSERT INTO t VALUES ({every}, {every}), ('k', char(0) || 'x' || char(8238))"),
    );
    let done = diff(&folder, &[]);
    assert_eq!(totals(&done.json()), "source_rows=2 target_rows=2 changed=1 missing=1 extra=1");
}

#[test]
fn text_that_is_not_utf8_is_told_apart() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)";
    let fill = |hex: &str| format!("{schema}; INSERT INTO t VALUES (1, CAST(x'{hex}' AS TEXT))");
    for (source, target, same) in [("61ff", "61fe", false), ("61ff", "61efbfbd", false), ("61ff", "61ff", true)] {
        let folder = Folder::pair(&fill(source), &fill(target));
        let report = diff(&folder, &[]).json();
        assert_eq!(report["totals"]["same"].as_u64(), Some(u64::from(same)), "{source} {target}: {report:#}");
    }
}

#[test]
fn tables_as_wide_as_they_get() {
    let columns: String = (0..200).map(|it| format!(", c{it} INT")).collect();
    let schema = format!("CREATE TABLE t (id INTEGER PRIMARY KEY{columns})");
    let row = |at: i32, value: i32| {
        let cells = (0..200).map(|it| if it == at { value.to_string() } else { it.to_string() });
        format!("{schema}; INSERT INTO t VALUES (1, {})", cells.collect::<Vec<_>>().join(", "))
    };
    let folder = Folder::pair(&row(0, 0), &row(199, -1));
    let report = diff(&folder, &[]).json();
    assert_eq!(totals(&report), "source_rows=1 target_rows=1 changed=1");
    assert_eq!(report["tables"][0]["columns"]["c199"]["changed"], 1);
    assert_eq!(report["tables"][0]["columns"]["c198"]["changed"], 0);
}
