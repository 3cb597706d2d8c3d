//! Every type that a version of Postgres has, and two values of each.

use serde_json::Value;

/// The version that has it first, a type, and two values of it that differ.
const TYPES: &[(u32, &str, &str, &str)] = &[
    (12, "boolean", "true", "false"),
    (12, "smallint", "-32768", "32767"),
    (12, "integer", "-2147483648", "2147483647"),
    (12, "bigint", "9007199254740992", "9007199254740993"),
    (12, "oid", "4294967295", "4294967294"),
    (12, "xid", "1", "2"),
    (12, "cid", "1", "2"),
    (13, "xid8", "18446744073709551615", "18446744073709551614"),
    (12, "tid", "(1,2)", "(1,3)"),
    (12, "real", "0.1", "0.10000001"),
    (12, "real", "NaN", "-Infinity"),
    (12, "double precision", "0.1", "0.10000000000000002"),
    (12, "double precision", "5e-324", "Infinity"),
    (12, "numeric", "12345678901234567890.123456789012345678", "12345678901234567890.123456789012345679"),
    (12, "numeric", "NaN", "0"),
    (14, "numeric", "Infinity", "-Infinity"),
    (14, "numeric", "Infinity", "NaN"),
    (12, "numeric(10,2)", "12.345", "12.36"),
    (15, "numeric(3,-3)", "123456", "124500"),
    (12, "money", "1234.56", "1234.57"),
    (12, "text", "a'b\"\\ \u{e9}\u{1f600}", "a'b\"\\ e\u{301}\u{1f600}"),
    (12, "text", "", "NULL"),
    (12, "text COLLATE \"de-x-icu\"", "a", "A"),
    (12, "varchar(5)", "ab ", "ab"),
    (12, "char(5)", "ab", "ac"),
    (12, "\"char\"", "x", "y"),
    (12, "name", "n", "m"),
    (12, "bytea", r"\x00ff", r"\x00fe"),
    (12, "date", "2024-02-29", "2024-03-01"),
    (12, "date", "infinity", "-infinity"),
    (12, "date", "0044-03-15 BC", "0044-03-15"),
    (12, "time", "23:59:59.999999", "23:59:59.999998"),
    (12, "timetz", "12:00:00+02", "12:00:00+01"),
    (12, "timestamp", "2024-01-01 10:00:00.000001", "2024-01-01 10:00:00"),
    (12, "timestamp", "infinity", "294276-12-31 23:59:59.999999"),
    (12, "timestamptz", "2024-01-01 10:00:00.000001+00", "2024-01-01 10:00:00.000001+01"),
    (12, "timestamptz", "infinity", "-infinity"),
    (12, "timestamptz", "4713-11-24 00:00:00+00 BC", "0001-01-01 00:00:00+00"),
    (12, "interval", "1 year 2 mons -3 days 04:05:06.789", "1 year 2 mons -3 days 04:05:06.788"),
    (17, "interval", "infinity", "-infinity"),
    (12, "uuid", "00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001"),
    (12, "json", r#"{"b": 1, "a": [1.10, null]}"#, r#"{"b": 1, "a": [1.11, null]}"#),
    (12, "jsonb", r#"{"n": 12345678901234567890.10}"#, r#"{"n": 12345678901234567890.2}"#),
    (12, "jsonb", "null", "NULL"),
    (12, "jsonpath", "$.a[*] ? (@ > 1)", "$.a[*] ? (@ > 2)"),
    (12, "xml", "<a>1</a>", "<a>2</a>"),
    (12, "inet", "192.168.0.1/24", "192.168.0.1"),
    (12, "inet", "::1", "::2"),
    (12, "cidr", "10.0.0.0/8", "10.0.0.0/9"),
    (12, "macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    (12, "macaddr8", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:06"),
    (12, "bit(5)", "10101", "10100"),
    (12, "varbit", "101", "1010"),
    (12, "point", "(1.5,2)", "(1.5,3)"),
    (12, "line", "{1,2,3}", "{1,2,4}"),
    (12, "lseg", "[(0,0),(1,1)]", "[(0,0),(1,2)]"),
    (12, "box", "(1,1),(0,0)", "(2,1),(0,0)"),
    (12, "path", "[(0,0),(1,1)]", "((0,0),(1,1))"),
    (12, "polygon", "((0,0),(1,1),(1,0))", "((0,0),(1,1),(2,0))"),
    (12, "circle", "<(0,0),1>", "<(0,0),2>"),
    (12, "tsvector", "a:1 b:2", "a:1 b:3"),
    (12, "tsquery", "a & b", "a | b"),
    (12, "pg_lsn", "16/B374D848", "16/B374D849"),
    (12, "txid_snapshot", "10:20:10,14", "10:20:10,15"),
    (13, "pg_snapshot", "10:20:10,14", "10:20:10,15"),
    (12, "regclass", "pg_class", "pg_type"),
    (12, "regtype", "integer", "text"),
    (13, "regcollation", "\"C\"", "\"POSIX\""),
    (12, "int2vector", "1 2", "1 3"),
    (12, "oidvector", "1 2", "1 3"),
    (12, "aclitem", "app=r/app", "app=w/app"),
    (12, "refcursor", "one", "other"),
    (12, "int4range", "[1,5)", "[1,6)"),
    (12, "numrange", "(1.5,)", "[1.5,)"),
    (12, "tstzrange", "[2024-01-01 00:00+00,infinity)", "[2024-01-01 00:00+00,)"),
    (12, "daterange", "empty", "(,)"),
    (12, "own_range", "[1.5,2]", "[1.5,3]"),
    (14, "nummultirange", "{[1.5,2],(3,4)}", "{[1.5,2],(3,5)}"),
    (14, "datemultirange", "{}", "{(,)}"),
    (14, "own_multirange", "{[1,2]}", "{[1,3]}"),
    (12, "mood", "ok", "happy"),
    (12, "positive", "1.50", "1.51"),
    (12, "place", "(\"a, b\",1)", "(\"a, b\",)"),
    (12, "integer[]", "{1,NULL,3}", "{1,2,3}"),
    (12, "integer[]", "{{1,2},{3,4}}", "{1,2,3,4}"),
    (12, "integer[]", "[0:1]={1,2}", "{1,2}"),
    (12, "text[]", "{\"a,b\",\"\",\"NULL\"}", "{\"a,b\",\"\",NULL}"),
    (12, "numeric[]", "{NaN,1.10}", "{NaN,1.11}"),
    (12, "timestamptz[]", "{infinity}", "{-infinity}"),
    (12, "mood[]", "{ok}", "{sad}"),
    (12, "positive[]", "{1}", "{2}"),
    (12, "place[]", "{\"(a,1)\"}", "{\"(a,2)\"}"),
    (14, "int4multirange[]", "{\"{[1,2)}\"}", "{\"{[1,3)}\"}"),
    (12, "positives", "{1,2}", "{1,3}"),
];

const OWN: &str = "
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);
CREATE DOMAIN positives AS positive[] CHECK (cardinality(VALUE) < 9);
CREATE TYPE place AS (street text, number int);
CREATE TYPE own_range AS RANGE (SUBTYPE = float8);
";

/// The rows that hold all values, and behind them one for each type.
const FIRST: usize = 100;

/// The types of a version.
pub(super) fn of(major: u32) -> impl Iterator<Item = &'static (u32, &'static str, &'static str, &'static str)> {
    TYPES.iter().filter(move |it| it.0 <= major)
}

/// The table `every`: a column for each type, rows with the first and the second value and with none, and a row for each column.
pub(super) fn every(major: u32) -> String {
    let columns: String = of(major).enumerate().map(|(place, it)| format!(", c{place} {}", it.1)).collect();
    let all = |value: fn(&(u32, &str, &str, &'static str)) -> String| -> String {
        of(major).map(|it| format!(", {}", value(it))).collect()
    };
    let rows = [all(|it| literal(it.2)), all(|it| literal(it.3))];
    let single = of(major).enumerate().map(|(place, it)| {
        format!("INSERT INTO every (id, c{place}) VALUES ({}, {});\n", FIRST + place, literal(it.2))
    });
    format!(
        "{OWN} CREATE TABLE every (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY{columns});
         INSERT INTO every VALUES (1{}), (2{}); INSERT INTO every (id) VALUES (3); {}",
        rows[0],
        rows[1],
        single.collect::<String>()
    )
}

/// In the row of each column the other value.
pub(super) fn planted(major: u32) -> String {
    let rows = of(major).enumerate();
    rows.map(|(place, it)| format!("UPDATE every SET c{place} = {} WHERE id = {};\n", literal(it.3), FIRST + place))
        .collect()
}

/// Each row differs in the column that is its own.
#[track_caller]
pub(super) fn check_findings(findings: &[Value], major: u32) {
    for (place, (_, ty, ..)) in of(major).enumerate() {
        let found = findings.iter().find(|it| it["key"]["id"] == FIRST + place);
        let found = found.unwrap_or_else(|| panic!("{ty}: nothing is found in {findings:?}"));
        let columns: Vec<&String> = found["cells"].as_object().expect("cells").keys().collect();
        assert_eq!(columns, [&format!("c{place}")], "{ty}: {found}");
    }
}

fn literal(value: &str) -> String {
    if value == "NULL" { value.to_owned() } else { format!("'{}'", value.replace('\'', "''")) }
}
