//! Which source rows the tables of a plan take by `prefix` and `where`, what becomes of rows that none takes, and whether index
//! rows list the records there are.

use super::{command::run, support::Folder};
use serde_json::Value;

/// What a plan makes of a key-value table whose records have a name, copied into `t(id, name)`.
#[derive(Clone, Copy, Default)]
struct Case<'c> {
    /// Rows as `('key', 'json'), …`.
    source: &'c str,
    /// Rows as `('id', 'name'), …`.
    target: &'c str,
    /// Lines of the `[[table]]`.
    table: &'c str,
    /// Lines of `[gate]`.
    gate: &'c str,
    code: i32,
    /// All reasons, a part of each.
    reasons: &'c [&'c str],
    /// Parts of notes.
    notes: &'c [&'c str],
    /// Constraint findings, as `kind {key} {cells}`.
    findings: &'c [&'c str],
    /// Nowhere in the report.
    hidden: &'c str,
}

const SCHEMA: &str = "CREATE TABLE kv (key TEXT NOT NULL PRIMARY KEY, value JSON)";

fn plan(table: &str, gate: &str) -> String {
    let columns = if table.contains("columns") { "" } else { "columns = { id = \".key\", name = \".value.name\" }" };
    format!(
        "version = 1\nsource = {{ kind = \"sqlite\", path = \"source.db\" }}\n\
         target = {{ kind = \"sqlite\", path = \"target.db\" }}\n\
         [[table]]\ninto = \"t\"\nfrom = \"kv\"\nkey = [\"id\"]\n{table}\n{columns}\n[gate]\n{gate}\n"
    )
}

/// What `verify`, or another command, says about this.
fn verify(schema: &str, case: &Case<'_>, command: &str) -> (i32, Value, String) {
    let fill = |table: &str, rows: &str| match rows {
        "" => String::new(),
        rows => format!("INSERT INTO {table} VALUES {rows};"),
    };
    let folder = Folder::pair(
        &format!("{schema}; {}", fill("kv", case.source)),
        &format!("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, name TEXT); {}", fill("t", case.target)),
    );
    std::fs::write(folder.path("cutover.toml"), plan(case.table, case.gate)).expect("a plan is written");
    let done = match command {
        "verify" => run(&folder, &["verify", "--format", "json"]),
        other => run(&folder, &[other]),
    };
    let report = if done.stdout.starts_with('{') { done.json() } else { Value::Null };
    (done.code, report, done.stderr)
}

fn texts<'r>(report: &'r Value, name: &str) -> Vec<&'r str> {
    report[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[track_caller]
fn check(case: &Case<'_>) {
    let (code, report, error) = verify(SCHEMA, case, "verify");
    assert_eq!(code, case.code, "{error}{report:#}");
    let reasons = texts(&report, "reasons");
    assert_eq!(reasons.len(), case.reasons.len(), "{reasons:#?}");
    for (reason, part) in reasons.iter().zip(case.reasons) {
        assert!(reason.contains(part), "{reason} does not say {part}");
    }
    let notes = [texts(&report, "notes"), texts(&report["tables"][0], "notes")].concat();
    for part in case.notes {
        assert!(notes.iter().any(|it| it.contains(part)), "no note says {part}: {notes:#?}");
    }
    let constraint = |it: &&Value| ["orphan", "clash"].map(Value::from).contains(&it["kind"]);
    let findings: Vec<String> = report["tables"][0]["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(constraint)
        .map(|it| format!("{} {} {}", it["kind"].as_str().unwrap_or_default(), it["key"], it["cells"]))
        .collect();
    assert_eq!(findings, case.findings, "{report:#}");
    let text = report.to_string();
    assert!(case.hidden.is_empty() || !text.contains(case.hidden), "{text}");
}

const TWO: &str = r#"('c:1','{"name":"Mira"}'),('c:2','{"name":"Ada"}')"#;
const TWO_ROWS: &str = "('c:1','Mira'),('c:2','Ada')";

#[test]
fn a_prefix_selects_literally() {
    let two = Case { source: TWO, target: TWO_ROWS, ..Case::default() };
    let note = &["kv: 2 rows: `c:` chose 2 for t; 0 taken by no table", "2 of 2 source rows selected"];
    check(&Case { table: "prefix = \"c:\"", notes: note, ..two });
    let note = &["`c:1` chose 1 for t; `c:2` chose 1 for t; 0 taken"];
    check(&Case { table: "prefix = [\"c:1\", \"c:2\"]", notes: note, ..two });
    for table in ["prefix = \"c_\"", "prefix = \"c%\"", "prefix = \"C:\"", "prefix = \"%\""] {
        let reasons = &["t: extra 2 > 0", "kv: rows that no table takes: 2 (\"c:1\", \"c:2\")"];
        check(&Case { table, code: 1, reasons, ..two });
    }
    // The same characters in keys are found where they are meant.
    let odd = r#"('c_1','{"name":"Mira"}'),('c%1','{"name":"Ada"}'),('cx1','{"name":"Bo"}')"#;
    let reasons = &["kv: rows that no table takes: 1 (\"cx1\")"];
    let odd = Case { source: odd, target: "('c_1','Mira'),('c%1','Ada')", code: 1, reasons, ..Case::default() };
    check(&Case { table: "prefix = [\"c_\", \"c%\"]", ..odd });
    // `where` looks at what the prefix selects.
    let table = "prefix = \"c:\"\nwhere = '.value.name == \"Mira\"'";
    let note = &["`c:` chose 2 for t; 1 taken by no table", "1 of 2 source rows selected"];
    let reasons = &["kv: rows that no table takes: 1 (\"c:2\")"];
    check(&Case { source: TWO, target: "('c:1','Mira')", table, code: 1, reasons, notes: note, ..Case::default() });
}

#[test]
fn a_row_that_no_table_takes_is_never_passed_over() {
    let source = r#"('c:1','{"name":"Mira"}'),('s:1','1'),('s:2','2'),('s:3','3'),('s:4','4'),('s:5','5'),('tmp','0')"#;
    let case = Case { source, target: "('c:1','Mira')", table: "prefix = \"c:\"", code: 1, ..Case::default() };
    let all = r#"kv: rows that no table takes: 6 ("s:1", "s:2", "s:3", "s:4", "s:5", …); give them a table"#;
    check(&Case { reasons: &[all], ..case });
    let notes = &["5 left behind as `leave` says, `s:`; 1 taken by no table"];
    check(&Case { gate: "leave = [\"s:\"]", reasons: &["kv: rows that no table takes: 1 (\"tmp\")"], notes, ..case });
    check(&Case { gate: "leave = [\"s:\", \"tmp\"]", code: 0, ..case });
    check(&Case { gate: "leave = [\"s:\"]\nunselected = 1", code: 0, ..case });
    check(&Case { gate: "unselected = { kv = 6 }", code: 0, ..case });
    check(&Case { gate: "unselected = { kv = 5, \"*\" = 9 }", reasons: &["takes: 6"], ..case });
    let notes = &["[gate] leave: no row that no table takes begins with `c:`", "of a source table `kw`"];
    check(&Case { gate: "leave = [\"s:\", \"tmp\", \"c:\"]\nunselected = { kw = 1 }", code: 0, notes, ..case });
}

#[test]
fn a_where_says_itself_what_takes_part() {
    let table = "where = '.value.name == \"Mira\"'";
    let case = Case { source: TWO, target: "('c:1','Mira')", table, ..Case::default() };
    let notes = &["kv: 2 rows: 1 taken by no table"];
    check(&Case { notes, ..case });
    let reasons = &["kv: rows that no table takes: 1 (\"c:2\")"];
    check(&Case { gate: "unselected = 0", code: 1, reasons, ..case });
    check(&Case { gate: "unselected = 0\nleave = [\"c:\"]", ..case });
    // A row that `where` fails on is a reject, and so accounted for.
    let table = "where = '.value.name | startswith(\"M\")'";
    let source = r#"('c:1','{"name":"Mira"}'),('c:2','{"name":1}')"#;
    check(&Case { source, table, gate: "unselected = 0", code: 1, reasons: &["t: rejects 1 > 0"], ..case });
}

/// The two kinds of selection of several tables add up.
#[test]
fn each_row_is_asked_of_every_table() {
    let more = "columns = { id = \".key\", name = \".value.name\" }\n[[table]]\ninto = \"t2\"\nfrom = \"kv\"\n\
        key = [\"id\"]\ncolumns = { id = \".key\" }\n";
    let table = |first: &str, second: &str| format!("{first}\n{more}{second}\n");
    let source = r#"CREATE TABLE kv (key TEXT NOT NULL PRIMARY KEY, value JSON);
        INSERT INTO kv VALUES ('a:1','{"name":"A"}'),('b:1','{"name":"B"}'),('b:2','{"name":"B2"}'),('x','1')"#;
    let target = "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT); CREATE TABLE t2 (id TEXT PRIMARY KEY)";
    let note = |first: &str, second: &str| {
        let folder = Folder::pair(source, target);
        std::fs::write(folder.path("cutover.toml"), plan(&table(first, second), "")).expect("a plan is written");
        let report = run(&folder, &["verify", "--format", "json"]).json();
        let text =
            |name| texts(&report, name).into_iter().filter(|it| it.starts_with("kv: ")).collect::<Vec<_>>().join("|");
        format!("{} {}", text("notes"), text("reasons"))
    };
    for (first, second, part) in [
        ("prefix = \"a:\"", "prefix = \"b:\"", "1 (\"x\")"),
        ("prefix = \"a:\"", "where = '.key > \"b\"'", "; 0 taken by no table"),
        ("where = '.key == \"x\"'", "where = '.key == \"b:1\"'", "2 taken by no table"),
        ("where = '.key == \"x\"'", "prefix = [\"b:\", \"a:\"]", "; 0 taken by no table"),
        ("where = '.key == \"a:1\"'", "prefix = \"b:\"\nwhere = '.value.name == \"B\"'", "2 (\"b:2\", \"x\")"),
        ("", "prefix = \"b:\"", "kv: 4 rows: `b:` chose 2 for t2 "),
    ] {
        let text = note(first, second);
        assert!(text.contains(part), "{first} and {second}: {text} does not say {part}");
    }
}

/// A text that reads like a number stays one, whatever the `where` before looked at.
#[test]
fn each_where_sees_the_value_of_the_source() {
    let wheres = [".value == 7", ".key == \"none\"", ".value == \"5\"", ".value == true"];
    let mut plan = "version = 1\nsource = { kind = \"sqlite\", path = \"source.db\" }\n\
        target = { kind = \"sqlite\", path = \"target.db\" }\n[gate]\nunselected = 0\nallow_empty = true\n"
        .to_owned();
    for (place, it) in wheres.iter().enumerate() {
        plan += &format!("[[table]]\ninto = \"t{place}\"\nfrom = \"kv\"\nwhere = '{it}'\ncolumns.id = \".key\"\n");
    }
    let tables: String = (0..wheres.len()).map(|it| format!("CREATE TABLE t{it} (id TEXT PRIMARY KEY);")).collect();
    let folder = Folder::pair(
        &format!("{SCHEMA}; INSERT INTO kv VALUES ('a','7'),('b','\"5\"'),('c','\"true\"'),('d','5'),('e','\"7\"')"),
        &format!("{tables} INSERT INTO t0 VALUES ('a'); INSERT INTO t2 VALUES ('b')"),
    );
    std::fs::write(folder.path("cutover.toml"), plan).expect("a plan is written");
    let report = run(&folder, &["verify", "--format", "json"]).json();
    let reasons = texts(&report, "reasons");
    assert!(reasons.iter().any(|it| it.contains("takes: 3 (\"c\", \"d\", \"e\")")), "{reasons:?}");
}

#[test]
fn secret_keys_are_not_shown() {
    let source = r#"('pat:s3cret-1','{"name":"Mira"}'),('pot:s3cret-2','1'),('pat:all','["s3cret-9"]')"#;
    let table = "prefix = \"pat:\"\nindex = { key = \"pat:all\" }\n\
        columns = { id = { from = \".key\", secret = true }, name = \".value.name\" }";
    let masked = &[
        "orphan {\"key\":\"********\"} {\"dangling\":{\"source\":\"********\"}}",
        "orphan {\"key\":\"********\"} {\"unindexed\":{\"source\":\"********\"}}",
    ];
    check(&Case {
        source,
        target: "('pat:s3cret-1','Mira')",
        table,
        code: 1,
        reasons: &["t: orphans 2 > 0", "kv: rows that no table takes: 1; give"],
        findings: masked,
        hidden: "s3cret",
        ..Case::default()
    });
}

#[test]
fn an_index_lists_the_records_there_are() {
    let table = "prefix = \"c:\"\nindex = { key = \"cs\" }";
    let case = Case { target: TWO_ROWS, table, ..Case::default() };
    let listed = Case { source: r#"('c:1','{"name":"Mira"}'),('c:2','{"name":"Ada"}'),('cs','["2",1]')"#, ..case };
    check(&listed);
    let (_, report, _) = verify(SCHEMA, &listed, "verify");
    assert_eq!(texts(&report["tables"][0], "witnesses"), ["count", "index"]);
    // The index may stand among its records, and hold the ids anywhere.
    let table = "prefix = \"c:\"\nindex = { key = \"c:all\", ids = '.value.ids | keys[] | ltrimstr(\"n\")' }";
    let source = r#"('c:1','{"name":"Mira"}'),('c:2','{"name":"Ada"}'),('c:all','{"ids":{"n1":0,"n2":0}}')"#;
    check(&Case { source, table, ..case });
    let all = &[
        "orphan {\"key\":\"cs\"} {\"dangling\":{\"source\":\"c:12345678901234567890\"}}",
        "orphan {\"key\":\"cs\"} {\"dangling\":{\"source\":\"c:3\"}}",
        "orphan {\"key\":\"c:2\"} {\"unindexed\":{\"source\":\"cs\"}}",
        "clash {\"key\":\"cs\"} {\"repeated\":{\"source\":\"c:1\"}}",
    ];
    let source = r#"('c:1','{"name":"Mira"}'),('c:2','{"name":"Ada"}'),('cs','["1","3","1",12345678901234567890]')"#;
    let reasons = &["t: orphans 3 > 0", "t: clashes 1 > 0"];
    check(&Case { source, code: 1, reasons, findings: all, ..case });
    check(&Case { source, gate: "orphans = 3\nclashes = { t = 1 }", findings: all, ..case });
}

#[test]
fn an_index_that_cannot_be_read_is_never_a_pass() {
    let table = "prefix = \"c:\"\nindex = { key = \"cs\" }";
    let case = Case { target: TWO_ROWS, table, code: 2, ..Case::default() };
    check(&Case { source: TWO, reasons: &["t: the index `cs` is not in the source"], ..case });
    for (value, count, why) in [
        (r#"["1","2",null]"#, 1, "null"),
        (r#"["1","2",["x"],{"id":3}]"#, 2, "array"),
        (r#"["1","2",true]"#, 1, "boolean"),
    ] {
        let source = &format!("{TWO},('cs','{value}')");
        let reason = &format!("t: entries of the index `cs` that are no id: {count} (jq: {why})");
        check(&Case { source, reasons: &[reason], ..case });
    }
    let unindexed = &[
        "orphan {\"key\":\"c:1\"} {\"unindexed\":{\"source\":\"cs\"}}",
        "orphan {\"key\":\"c:2\"} {\"unindexed\":{\"source\":\"cs\"}}",
    ];
    let source = &format!("{TWO},('cs','7')");
    let reasons = &["t: orphans 2 > 0", "t: entries of the index `cs` that are no id: 1 (each: "];
    check(&Case { source, code: 1, reasons, findings: unindexed, ..case });
}

/// What `where` leaves out need not be listed, and what is listed need not be taken.
#[test]
fn a_record_that_where_leaves_out_is_no_orphan() {
    let table = "prefix = \"c:\"\nwhere = '.value.live'\nindex = { key = \"cs\" }";
    let live = r#"('c:1','{"name":"Mira","live":true}'),('c:2','{"name":"Ada"}')"#;
    let case = Case { target: "('c:1','Mira')", table, gate: "leave = [\"c:\"]", ..Case::default() };
    check(&Case { source: &format!("{live},('cs','[1]')"), ..case });
    check(&Case { source: &format!("{live},('cs','[1,2]')"), ..case });
    let findings = &["orphan {\"key\":\"c:1\"} {\"unindexed\":{\"source\":\"cs\"}}"];
    let source = &format!("{live},('cs','[2]')");
    check(&Case { source, code: 1, reasons: &["t: orphans 1 > 0"], findings, ..case });
}

/// An index of more ids than its share of memory holds is sorted on disk.
#[test]
fn a_large_index_is_exact() {
    let fill = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)";
    let source = format!(
        "{SCHEMA}; {fill} INSERT INTO kv SELECT 'record-with-a-long-name:' || i, '{{}}' FROM n;
         {fill} INSERT INTO kv SELECT 'all', json_group_array(i + 5) FROM n"
    );
    let folder = Folder::pair(&source, "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT)");
    let table = "prefix = \"record-with-a-long-name:\"\nindex = { key = \"all\" }";
    std::fs::write(folder.path("cutover.toml"), plan(table, "missing = 20000")).expect("a plan is written");
    let report = run(&folder, &["verify", "--format", "json", "--memory", "8MiB"]).json();
    assert_eq!(texts(&report, "reasons"), ["t: orphans 10 > 0"], "five at each end");
}

#[test]
fn check_says_what_a_selector_cannot_do() {
    let check = |schema: &str, table: &str, parts: &[&str]| {
        let (code, _, error) = verify(schema, &Case { table, ..Case::default() }, "check");
        assert_eq!(code, if parts.is_empty() { 0 } else { 2 }, "{error}");
        assert!(parts.iter().all(|it| error.contains(it)), "{error} does not say {parts:?}");
    };
    check(SCHEMA, "prefix = \"c:\"", &[]);
    let bare = "CREATE TABLE kv (key TEXT, value JSON)";
    check(
        bare,
        "prefix = \"c:\"",
        &["5:8", "`kv` has no key, and `prefix` and `index` look at the key", "`where` instead"],
    );
    let two = "CREATE TABLE kv (a TEXT, key TEXT, value JSON, PRIMARY KEY (a, key))";
    check(two, "prefix = \"c:\"", &["look at a key of one column, and that of `kv` is (a, key)"]);
    check(SCHEMA, "index = { key = \"all\" }", &["8:9", "`record` is missing, and no single `prefix` stands in"]);
    check(SCHEMA, "prefix = [\"a\", \"b\"]\nindex = { key = \"all\" }", &["`record` is missing"]);
    check(SCHEMA, "index = { key = \"all\", record = \"c:\" }", &[]);
    check(SCHEMA, "prefix = \"c:\"\nindex = { key = \"all\", ids = \".value[\" }", &["9:38"]);
    check(SCHEMA, "prefix = \"c:\"\nindex = { key = \"all\", ids = \".valu\" }", &["no column `valu`", "`value`"]);
    let command = "command = [\"true\"]\nprefix = \"c:\"\n#columns";
    check(SCHEMA, command, &["9:1", "`prefix` means nothing where only a `command` makes the rows"]);
    check(SCHEMA, "prefix = \"\"", &["`prefix` is empty"]);
    check(SCHEMA, "prefix = []", &["`prefix` is empty"]);
}
