//! Every type, and values that others stumble over.

use super::{CONTRARY, open, rows};
use crate::postgres;

/// A type, values of it as SQL, and the cells that they become.
pub(crate) const VALUES: &[(&str, &[(&str, &str)])] = &[
    ("boolean", &[("true", "bool true"), ("false", "bool false"), ("NULL", "null")]),
    ("smallint", &[("-32768", "int -32768"), ("32767", "int 32767")]),
    ("integer", &[("-2147483648", "int -2147483648"), ("0", "int 0")]),
    ("bigint", &[("'-9223372036854775808'", "int -9223372036854775808"), ("9007199254740993", "int 9007199254740993")]),
    ("oid", &[("4294967295", "int 4294967295")]),
    (
        "real",
        &[
            ("0.1", "real 0.1"),
            ("16777217", "real 16777216.0"),
            ("1e38", "real 1e38"),
            ("'-0'", "real 0.0"),
            ("'NaN'", "real NaN"),
            ("'-Infinity'", "real -inf"),
            ("3.4028235e38", "real 3.4028235e38"),
            ("1e-45", "real 1e-45"),
        ],
    ),
    (
        "double precision",
        &[("0.1", "real 0.1"), ("5e-324", "real 5e-324"), ("'Infinity'", "real inf"), ("'NaN'", "real NaN")],
    ),
    (
        "numeric",
        &[
            ("0", "decimal 0"),
            ("-0.00", "decimal 0"),
            ("10.50", "decimal 10.5"),
            ("10000", "decimal 10000"),
            ("1e30", "decimal 1000000000000000000000000000000"),
            ("0.0001", "decimal 0.0001"),
            ("-0.00000000000000000000000000042", "decimal -0.00000000000000000000000000042"),
            ("12345678901234567890.123456789012345678", "decimal 12345678901234567890.123456789012345678"),
            ("99999.9999", "decimal 99999.9999"),
            ("'NaN'", "decimal NaN"),
            ("'Infinity'", "decimal Infinity"),
            ("'-Infinity'", "decimal -Infinity"),
        ],
    ),
    ("numeric(10,2)", &[("12.345", "decimal 12.35")]),
    ("money", &[("1234.56", "decimal 1234.56"), ("-0.01", "decimal -0.01")]),
    (
        "text",
        &[
            ("''", r#"text """#),
            ("'a''b\"\\'", r#"text "a'b\"\\""#),
            ("E'\\t\\n\\x01'", r#"text "\t\n\u{1}""#),
            ("'\u{e9}\u{1f600}'", "text \"\u{e9}\u{1f600}\""),
            ("NULL", "null"),
        ],
    ),
    ("varchar(3)", &[("'ab '", r#"text "ab ""#)]),
    ("char(4)", &[("'ab'", r#"text "ab  ""#), ("''", r#"text "    ""#)]),
    ("\"char\"", &[("'x'", r#"text "x""#)]),
    ("name", &[("'n'", r#"text "n""#)]),
    ("bytea", &[(r"'\x00ff'", "bytes [0, 255]"), ("''", "bytes []")]),
    (
        "date",
        &[
            ("'2024-02-29'", "date 2024-02-29"),
            ("'infinity'", "date infinity"),
            ("'-infinity'", "date -infinity"),
            ("'0044-03-15 BC'", "date -000043-03-15"),
            ("'4713-11-24 BC'", "date -004712-11-24"),
            ("'10000-01-01'", "date +010000-01-01"),
            ("'999999-12-31'", "date +999999-12-31"),
            ("'1000000-01-01'", r#"odd text "+1000000-01-01""#),
            ("'5874897-12-31'", r#"odd text "+5874897-12-31""#),
        ],
    ),
    (
        "time",
        &[
            ("'00:00'", "time 00:00:00"),
            ("'23:59:59.999999'", "time 23:59:59.999999"),
            ("'24:00'", r#"odd text "24:00:00""#),
        ],
    ),
    ("timetz", &[("'12:00:00.5+05:30'", r#"text "12:00:00.5+05:30""#)]),
    (
        "timestamp",
        &[
            ("'2024-01-01 10:00:00.000001'", "civil 2024-01-01T10:00:00.000001"),
            ("'1969-12-31 23:59:59.5'", "civil 1969-12-31T23:59:59.5"),
            ("'infinity'", "civil infinity"),
            ("'4713-11-24 00:00:00 BC'", "civil -004712-11-24T00:00:00"),
            ("'294276-12-31 23:59:59.999999'", "civil +294276-12-31T23:59:59.999999"),
        ],
    ),
    (
        "timestamptz",
        &[
            ("'2024-01-01 10:00:00+02'", "instant 2024-01-01T08:00:00Z"),
            ("'-infinity'", "instant -infinity"),
            ("'2024-03-31 02:30 Europe/Berlin'", "instant 2024-03-31T01:30:00Z"),
        ],
    ),
    (
        "interval",
        &[
            ("'1 year 2 mons 3 days 04:05:06.7'", r#"text "1 year 2 mons 3 days 04:05:06.7""#),
            ("'-1 day +1:00'", r#"text "-1 days +01:00:00""#),
        ],
    ),
    ("uuid", &[("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "uuid a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
    (
        "json",
        &[
            (r#"'{"b": 1,  "a": [1.10, "\u00e9"]}'"#, "json {\"a\":[1.10,\"\u{e9}\"],\"b\":1}"),
            ("'12345678901234567890'", "json 12345678901234567890"),
            ("'null'", "json null"),
            ("NULL", "null"),
            (r#"'{"a":1,"a":2}'"#, r#"odd text "{\"a\":1,\"a\":2}""#),
        ],
    ),
    (
        "jsonb",
        &[
            (r#"'{"b": 1,  "a": [1.10, 9007199254740993]}'"#, r#"json {"a":[1.10,9007199254740993],"b":1}"#),
            (r#"'"text"'"#, r#"json "text""#),
        ],
    ),
    ("bigint[]", &[("'{9007199254740993,NULL}'", "json [9007199254740993,null]"), ("'{}'", "json []")]),
    ("integer[]", &[("'[0:1]={1,2}'", r#"json "[0:1]={1,2}""#), ("'{{1,2},{3,4}}'", "json [[1,2],[3,4]]")]),
    ("text[]", &[(r#"'{"a,b",NULL,"NULL",""}'"#, r#"json ["a,b",null,"NULL",""]"#)]),
    ("numeric[]", &[("'{1.10,NaN}'", r#"json [1.10,"NaN"]"#)]),
    ("bytea[]", &[(r#"'{"\\x00ff"}'"#, r#"json ["\\x00ff"]"#)]),
    ("timestamptz[]", &[("'{2024-01-01 10:00:00+02}'", r#"json ["2024-01-01T08:00:00+00:00"]"#)]),
    ("float8[]", &[("'{0.1,Infinity}'", r#"json [0.1,"Infinity"]"#)]),
    ("mood", &[("'so so'", r#"text "so so""#)]),
    ("price", &[("12.345", "decimal 12.35"), ("NULL", "null")]),
    ("list", &[("'{1,2}'", "json [1,2]")]),
    ("pair", &[("ROW(9007199254740993, 'x', NULL)", r#"json {"big":9007199254740993,"none":null,"text":"x"}"#)]),
    ("int4range", &[("'[1,5]'", r#"text "[1,6)""#), ("'empty'", r#"text "empty""#)]),
    ("int8multirange", &[("'{[1,3),[7,9)}'", r#"text "{[1,3),[7,9)}""#)]),
    ("inet", &[("'10.0.0.1/8'", r#"text "10.0.0.1/8""#), ("'::1'", r#"text "::1""#)]),
    ("cidr", &[("'10.0.0.0/8'", r#"text "10.0.0.0/8""#)]),
    ("macaddr", &[("'08-00-2B-01-02-03'", r#"text "08:00:2b:01:02:03""#)]),
    ("bit(3)", &[("B'101'", r#"text "101""#)]),
    ("varbit", &[("B''", r#"text """#)]),
    ("tsvector", &[("'b a'", r#"text "'a' 'b'""#)]),
    ("xml", &[("'<a>1</a>'", r#"text "<a>1</a>""#)]),
    ("point", &[("'(0.1,2)'", r#"text "(0.1,2)""#)]),
    ("pg_lsn", &[("'16/B374D848'", r#"text "16/B374D848""#)]),
    ("regclass", &[("'twins.a'", r#"text "twins.a""#), ("'pg_class'", r#"text "pg_class""#)]),
    ("int2vector", &[("'1 2'", r#"text "1 2""#)]),
    ("citext", &[("'MiXed'", r#"text "MiXed""#)]),
    ("hstore", &[("'b=>1,a=>NULL'", r#"text "\"a\"=>NULL, \"b\"=>\"1\"""#)]),
];

pub(crate) const TYPES: &str = "
CREATE EXTENSION citext; CREATE EXTENSION hstore;
CREATE SCHEMA twins; CREATE TABLE twins.a (id int);
CREATE TYPE mood AS ENUM ('sad', 'so so');
CREATE DOMAIN amount AS numeric(10,2); CREATE DOMAIN price AS amount CHECK (VALUE > 0);
CREATE DOMAIN list AS int[];
CREATE TYPE pair AS (big bigint, text text, none date);
";

#[test]
fn every_type_comes_back_exact() {
    let database = postgres::database();
    let mut sql = TYPES.to_owned();
    for setting in CONTRARY {
        sql += &format!("ALTER DATABASE {} SET {setting};\n", database.name());
    }
    for (place, (ty, values)) in VALUES.iter().enumerate() {
        sql += &format!("CREATE TABLE t{place} (n int PRIMARY KEY, v {ty});\n");
        for (n, (value, _)) in values.iter().enumerate() {
            sql += &format!("INSERT INTO t{place} VALUES ({n}, {value});\n");
        }
    }
    database.execute(&sql);
    let mut store = open(&database.url());
    for (place, (ty, values)) in VALUES.iter().enumerate() {
        let read = rows(store.as_mut(), &format!("t{place}"));
        let expect: Vec<String> = values.iter().enumerate().map(|(n, (_, cell))| format!("int {n}, {cell}")).collect();
        assert_eq!(read, expect, "{ty}");
    }
    let notes = store.notes();
    assert!(notes.iter().any(|it| it.contains("`hstore`")), "{notes:?}");
    assert!(notes.iter().any(|it| it.contains("char(n)")), "{notes:?}");
    assert!(!notes.iter().any(|it| it.contains("citext")), "{notes:?}");
}

#[test]
fn text_that_is_no_text_is_malformed() {
    let database = postgres::database();
    let name = format!("{}_ascii", database.name());
    let server = database.server();
    server.execute("postgres", &format!("CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"));
    let sql = r"CREATE TABLE t (n int PRIMARY KEY, v text); INSERT INTO t VALUES (1, E'caf\351'), (2, E'caf\303\251'), (3, 'plain');";
    server.execute(&name, sql);
    let mut store = open(&server.url(&name));
    let expect = ["int 1, odd malformed [99, 97, 102, 233]", "int 2, text \"caf\u{e9}\"", "int 3, text \"plain\""];
    assert_eq!(rows(store.as_mut(), "t"), expect);
    let facts = store.about().expect("facts");
    assert!(facts.iter().any(|it| it.what == "encoding" && it.says.contains("SQL_ASCII")), "{facts:?}");
}

#[test]
fn other_encodings_become_utf8() {
    let database = postgres::database();
    let name = format!("{}_latin", database.name());
    let server = database.server();
    server.execute("postgres", &format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"));
    server.execute(&name, "CREATE TABLE t (n int PRIMARY KEY, v text); INSERT INTO t VALUES (1, chr(233));");
    assert_eq!(rows(open(&server.url(&name)).as_mut(), "t"), ["int 1, text \"\u{e9}\""]);
}

#[test]
fn what_fits_no_cell_and_is_the_same_is_no_finding() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE odd (id int PRIMARY KEY, t time, d date, j json, a json[]);
         INSERT INTO odd VALUES (1, '24:00', '1000000-01-01', '{\"a\":1,\"a\":2}', ARRAY['{\"a\":1,\"a\":2}'::json]);",
    );
    let (code, report, _) = super::cutover(&["diff", &database.url(), &database.url()]);
    assert_eq!(code, Some(0), "{report}");
    let other = postgres::database();
    other.execute(
        "CREATE TABLE odd (id int PRIMARY KEY, t time, d date, j json, a json[]);
         INSERT INTO odd VALUES (1, '00:00', 'infinity', '{\"a\":2}', ARRAY['{\"a\":2}'::json]);",
    );
    let (code, report, _) = super::cutover(&["diff", &database.url(), &other.url(), "--format", "json"]);
    assert_eq!(code, Some(1), "{report}");
    for said in [r#""changed": 1,"#, r#""invalid": 4,"#] {
        assert!(report.contains(said), "{said}: {report}");
    }
}
