//! What is counted for which pair of databases. Each case names every count that is not 0.

use super::{
    command::{diff, totals},
    support::Folder,
};

struct Case {
    name: &'static str,
    source: &'static str,
    target: &'static str,
    arguments: &'static [&'static str],
    code: i32,
    totals: &'static str,
}

#[track_caller]
fn check(case: &Case) {
    let folder = Folder::pair(case.source, case.target);
    let done = diff(&folder, case.arguments);
    assert_eq!(done.stderr, "", "{}", case.name);
    let report = done.json();
    assert_eq!((totals(&report).as_str(), done.code), (case.totals, case.code), "{}: {report:#}", case.name);
}

/// Both sides in one schema, compared without further arguments.
#[track_caller]
fn rows(name: &str, schema: &str, source: &str, target: &str, code: i32, expect: &str) {
    let fill = |rows: &str| if rows.is_empty() { String::new() } else { format!("INSERT INTO t VALUES {rows}") };
    let folder = Folder::pair(&format!("{schema}; {}", fill(source)), &format!("{schema}; {}", fill(target)));
    let done = diff(&folder, &[]);
    assert_eq!(done.stderr, "", "{name}");
    let report = done.json();
    assert_eq!((totals(&report).as_str(), done.code), (expect, code), "{name}: {report:#}");
}

const T: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)";

#[test]
fn the_four_outcomes_of_a_row() {
    rows("the same", T, "(1,'a'),(2,'b')", "(2,'b'),(1,'a')", 0, "source_rows=2 target_rows=2 same=2");
    rows("changed", T, "(1,'a'),(2,'b')", "(1,'a'),(2,'c')", 1, "source_rows=2 target_rows=2 same=1 changed=1");
    rows("missing", T, "(1,'a'),(2,'b')", "(1,'a')", 1, "source_rows=2 target_rows=1 same=1 missing=1");
    rows("extra", T, "(1,'a')", "(1,'a'),(2,'b')", 1, "source_rows=1 target_rows=2 same=1 extra=1");
    rows("all gone", T, "(1,'a'),(2,'b')", "", 1, "source_rows=2 missing=2");
}

#[test]
fn rows_without_a_key_are_a_multiset() {
    let schema = "CREATE TABLE t (a TEXT, b INT)";
    let same = "source_rows=3 target_rows=3 same=3";
    rows("any order", schema, "('x',1),('x',1),('y',2)", "('y',2),('x',1),('x',1)", 0, same);
    let fewer = "source_rows=3 target_rows=2 same=2 missing=1";
    rows("one copy fewer", schema, "('x',1),('x',1),('y',2)", "('x',1),('y',2)", 1, fewer);
    let other = "source_rows=2 target_rows=2 missing=2 extra=2";
    rows("cells do not run together", schema, "('ab',1),('c',NULL)", "('a',1),('bc',NULL)", 1, other);
}

#[test]
fn keys() {
    let composite = "CREATE TABLE t (a TEXT, b INT, v TEXT, PRIMARY KEY (b, a))";
    let one = "source_rows=3 target_rows=3 same=2 changed=1";
    rows("composite", composite, "('x',1,'p'),('x',2,'q'),('y',1,'r')", "('y',1,'r'),('x',2,'Q'),('x',1,'p')", 1, one);
    let same = "source_rows=4 target_rows=4 same=4";
    let descending = "CREATE TABLE t (id INT, v TEXT, PRIMARY KEY (id DESC)) WITHOUT ROWID";
    rows("descending", descending, "(1,'a'),(2,'b'),(10,'c'),(-1,'d')", "(-1,'d'),(1,'a'),(2,'b'),(10,'c')", 0, same);
    let nocase = "CREATE TABLE t (id TEXT COLLATE NOCASE PRIMARY KEY, v TEXT) WITHOUT ROWID";
    rows("collated", nocase, "('b',1),('A',2),('c',3),('D',4)", "('A',2),('D',4),('b',1),('c',3)", 0, same);
    let case = "source_rows=1 target_rows=1 missing=1 extra=1";
    rows("collated keys are compared as they are", nocase, "('key',1)", "('KEY',1)", 1, case);
    let text = "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT)";
    rows("beyond ASCII", text, "('é',1),('z',2),('Z',3),('😀',4)", "('😀',4),('Z',3),('é',1),('z',2)", 0, same);
    let apart = "source_rows=1 target_rows=1 missing=1 extra=1";
    rows("composed and decomposed", text, "('\u{e9}',1)", "('e\u{301}',1)", 1, apart);
    let any = "CREATE TABLE t (id PRIMARY KEY, v TEXT)";
    rows("mixed classes", any, "(2,'a'),('10',2),(x'00',3),(1.5,4)", "('10',2),(1.5,4),(2,'a'),(x'00',3)", 0, same);
    let nulls = "source_rows=3 target_rows=3 same=2 changed=1";
    rows(
        "NULL in a key",
        composite,
        "(NULL,1,'a'),('',1,'b'),('x',NULL,'c')",
        "('',1,'b'),(NULL,1,'A'),('x',NULL,'c')",
        1,
        nulls,
    );
    let repeats = "source_rows=2 target_rows=2 same=1 duplicates=2";
    rows("a key that repeats", composite, "(NULL,1,'a'),(NULL,1,'a')", "(NULL,1,'a'),(NULL,1,'a')", 1, repeats);
}

#[test]
fn values_that_look_alike() {
    let changed = "source_rows=1 target_rows=1 changed=1";
    let misfit = "source_rows=1 target_rows=1 changed=1 invalid=1";
    let same = "source_rows=1 target_rows=1 same=1";
    let any = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";
    for (schema, source, target, expect) in [
        (T, "NULL", "''", changed),
        (T, "''", "'<null>'", changed),
        (T, "NULL", "'<null>'", changed),
        (T, "NULL", "'NULL'", changed),
        (T, "'a'", "'a '", changed),
        (T, "'a'", "'A'", changed),
        (T, "'a'", "'a' || char(0)", changed),
        (T, "'\u{e9}'", "'e\u{301}'", changed),
        (T, "'1'", "'1.0'", changed),
        (T, "'01'", "'1'", changed),
        (T, "'x'", "x'78'", misfit),
        (T, "''", "x''", misfit),
        (any, "x'00'", "x'0000'", changed),
        (any, "x'ff'", "x'ff'", same),
        (any, "9007199254740993", "9007199254740992", changed),
        (any, "9007199254740993", "9007199254740993", same),
        (any, "9223372036854775807", "9223372036854775806", changed),
        (any, "9223372036854775807", "9223372036854775807.0", changed),
        (any, "-9223372036854775808", "-9223372036854775808", same),
        (any, "1e999", "-1e999", changed),
        (any, "1e999", "1e999", same),
        (any, "0.1 + 0.2", "0.3", changed),
        (any, "-0.0", "0.0", same),
        (any, "1", "1.5", changed),
        (any, "1", "'1'", changed),
    ] {
        let (from, to) = (format!("(1,{source})"), format!("(1,{target})"));
        rows(&format!("{source} {target}"), schema, &from, &to, i32::from(expect != same), expect);
    }
}

#[test]
fn declared_types() {
    check(&Case {
        name: "an integer and a real column hold one number",
        source: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 5), (2, NULL)",
        target: "CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL); INSERT INTO t VALUES (1, 5.0), (2, NULL)",
        arguments: &[],
        code: 0,
        totals: "source_rows=2 target_rows=2 same=2",
    });
    check(&Case {
        name: "an integer that a real cannot hold",
        source: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 9007199254740993)",
        target: "CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL); INSERT INTO t VALUES (1, 9007199254740993)",
        arguments: &[],
        code: 1,
        totals: "source_rows=1 target_rows=1 changed=1 invalid=1",
    });
    check(&Case {
        name: "strict, without rowid and plain",
        source: "CREATE TABLE t (id TEXT PRIMARY KEY, v INT, b BLOB) STRICT, WITHOUT ROWID; INSERT INTO t VALUES ('a', 1, x'01')",
        target: "CREATE TABLE t (id TEXT PRIMARY KEY, v INT, b BLOB); INSERT INTO t VALUES ('a', 1, x'01')",
        arguments: &[],
        code: 0,
        totals: "source_rows=1 target_rows=1 same=1",
    });
    check(&Case {
        name: "generated columns hold values like any other",
        source: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT, w AS (v * 2), x AS (v * 3) STORED); INSERT INTO t VALUES (1, 2)",
        target: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT, w INT, x INT); INSERT INTO t VALUES (1, 2, 5, 6)",
        arguments: &[],
        code: 1,
        totals: "source_rows=1 target_rows=1 changed=1",
    });
}

#[test]
fn what_is_on_one_side_only_is_no_pass() {
    check(&Case {
        name: "a table",
        source: "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE u (id INT); INSERT INTO t VALUES (1)",
        target: "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)",
        arguments: &[],
        code: 1,
        totals: "source_rows=1 target_rows=1 same=1",
    });
    check(&Case {
        name: "a column",
        source: "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)",
        target: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT); INSERT INTO t VALUES (1, NULL)",
        arguments: &[],
        code: 1,
        totals: "source_rows=1 target_rows=1 same=1",
    });
    for (name, source, target) in
        [("no table at all", "VACUUM", "VACUUM"), ("no table that pairs", "CREATE TABLE a (id INT)", "VACUUM")]
    {
        let folder = Folder::pair(source, target);
        let done = diff(&folder, &[]);
        assert_ne!(done.code, 0, "{name}: {}", done.stdout);
    }
    rows("no rows on either side", T, "", "", 2, "");
    for allowed in ["t", "all"] {
        let folder = Folder::pair(T, T);
        assert_eq!(diff(&folder, &["--allow-empty", allowed]).code, 0, "{allowed}");
    }
    let folder = Folder::pair(T, T);
    assert_eq!(diff(&folder, &["--allow-empty", "u"]).code, 2, "another table may be empty");
}

#[test]
fn constraints() {
    let orders =
        "CREATE TABLE u (id INTEGER PRIMARY KEY); CREATE TABLE o (id INTEGER PRIMARY KEY, u INT REFERENCES u (id));
        INSERT INTO u VALUES (1); INSERT INTO o VALUES (1, 1), (2, NULL);";
    check(&Case {
        name: "every reference finds its row, and NULL refers to nothing",
        source: orders,
        target: orders,
        arguments: &[],
        code: 0,
        totals: "source_rows=3 target_rows=3 same=3",
    });
    check(&Case {
        name: "an orphan on each side",
        source:
            "CREATE TABLE u (id INTEGER PRIMARY KEY); CREATE TABLE o (id INTEGER PRIMARY KEY, u INT REFERENCES u (id));
            INSERT INTO u VALUES (1); PRAGMA foreign_keys = OFF; INSERT INTO o VALUES (1, 1), (2, 9)",
        target:
            "CREATE TABLE u (id INTEGER PRIMARY KEY); CREATE TABLE o (id INTEGER PRIMARY KEY, u INT REFERENCES u (id));
            INSERT INTO u VALUES (1); PRAGMA foreign_keys = OFF; INSERT INTO o VALUES (1, 1), (2, 9)",
        arguments: &[],
        code: 1,
        totals: "source_rows=3 target_rows=3 same=3 orphans=2",
    });
    check(&Case {
        name: "a unique constraint that only the source declares is broken in the target",
        source: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL), (4, NULL)",
        target: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, NULL), (4, NULL)",
        arguments: &[],
        code: 1,
        totals: "source_rows=4 target_rows=4 same=3 changed=1 clashes=1",
    });
}

#[test]
fn options() {
    const PEOPLE: &str =
        "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT, seen TEXT); CREATE TABLE log (line TEXT);
        INSERT INTO log VALUES ('a');";
    let source = format!("{PEOPLE} INSERT INTO people VALUES (1, 'a@x', 'mon'), (2, 'b@x', 'tue')");
    let target = format!(
        "{PEOPLE} INSERT INTO people VALUES (7, 'b@x', 'wed'), (8, 'a@x', 'wed'); INSERT INTO log VALUES ('b')"
    );
    let folder = Folder::pair(&source, &target);
    let columns = ["--key", "people=mail", "--ignore", "id", "--ignore", "people.seen"];
    for (arguments, code, expect) in [
        (vec!["--only", "people"], 1, "source_rows=2 target_rows=2 missing=2 extra=2"),
        ([&columns[..], &["--only", "people"]].concat(), 0, "source_rows=2 target_rows=2 same=2"),
        (columns.to_vec(), 1, "source_rows=3 target_rows=4 same=3 extra=1"),
        (vec!["--only", "log", "--key", "log=line"], 1, "source_rows=1 target_rows=2 same=1 extra=1"),
    ] {
        let done = diff(&folder, &arguments);
        assert_eq!((totals(&done.json()).as_str(), done.code), (expect, code), "{arguments:?} {}", done.stdout);
    }
    for slip in
        [["--only", "peple"], ["--key", "peple=mail"], ["--ignore", "maill"], ["--map", "people"], ["--map", "a=b"]]
    {
        let done = diff(&folder, &slip);
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{slip:?}");
    }
    let folder = Folder::pair(
        "CREATE TABLE Orders (Id INTEGER PRIMARY KEY, Total INT); INSERT INTO Orders VALUES (1, 5)",
        "CREATE TABLE order_v2 (id INTEGER PRIMARY KEY, total_amount INT); INSERT INTO order_v2 VALUES (1, 5)",
    );
    let done = diff(&folder, &["--map", "Orders=order_v2", "--map", "Orders.Total=total_amount"]);
    assert_eq!(
        (totals(&done.json()).as_str(), done.code),
        ("source_rows=1 target_rows=1 same=1", 0),
        "{}",
        done.stdout
    );
}

#[test]
fn views_are_compared_on_request() {
    let view = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE VIEW w AS SELECT id, v FROM t; INSERT INTO t VALUES (1, 'a')";
    let other = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE VIEW w AS SELECT id, 'b' AS v FROM t; INSERT INTO t VALUES (1, 'a')";
    let folder = Folder::pair(view, other);
    for (arguments, code, expect) in [
        (vec![], 0, "source_rows=1 target_rows=1 same=1"),
        (vec!["--views", "--key", "w=id"], 1, "source_rows=2 target_rows=2 same=1 changed=1"),
    ] {
        let done = diff(&folder, &arguments);
        assert_eq!((totals(&done.json()).as_str(), done.code), (expect, code), "{arguments:?} {}", done.stdout);
    }
}
