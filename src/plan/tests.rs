//! Data-driven tests of the plan.
use std::collections::BTreeSet;

use serde_json::Value as Document;
use toml::de::{DeTable, DeValue};

use super::*;

/// The first three lines of plans whose tables are looked at.
const HEAD: &str =
    "version = 1\nsource = { kind = 'json', path = 'a.json' }\ntarget = { kind = 'sqlite', path = 'b.db' }\n";

/// The plan that the documentation shows.
const GUIDE: &str = r#"version = 1
[source]
kind = "edge-config"
id = "${EDGE_CONFIG_ID}"
token = "${EDGE_CONFIG_TOKEN}"
[target]
kind = "sqlite"
path = "site.db"
schema = "schema.sql"

[[table]]
into = "bio_links"
from = "items"
where = '.key == "bioData"'
each  = '.value | to_entries[] | .key as $domain | .value.links | to_entries[] | {domain: $domain, i: .key} + .value'
key   = ["id"]
conflict = "overwrite"
[table.columns]
id          = '"biolink-profile-\(.domain)-\(.i)"'
profile_id  = '"profile-\(.domain)"'
url         = { from = ".url", required = true, matches = "^https?://" }
description = { from = ".description", default = "", trim = true }
order_index = ".i"

[[check]]
name = "links per domain"
source = '[.[] | select(.key == "bioData") | .value[] | .links | length] | add'
target = "SELECT count(*) FROM bio_links"

[gate]
missing = 0
changed = { bio_links = 2 }
"#;

/// A plan with every key there is, and one key a line.
const FULL: &str = r#"version = 1
log.folder = "logs"
zone = "Europe/Berlin"
seed = "2026"
instant = 2026-01-31T12:00:00Z
[source]
kind = "csv"
path = "rows"
null = '\N'
delimiter = ";"
id = "a"
url = "https://u:${SET}@example.com/x"
token = "${SET}"
password = "${SET}"
secret = "${SET}"
api_key = "${SET}"
user = "u"
account = "b"
database = "c"
namespace = "d"
team = "e"
origin = "f"
prefix = "g"
host = "h"
port = 5432
api = "https://api.example.com"
schemas = ["i"]
tls = "verify-ca"
ca = "j"
include = ["k"]
exclude = ["l"]
headers = { Authorization = "Bearer ${SET}", accept-version = "2" }
rows = "/data"
next_link = "/next"
next_cursor = { after = "/cursor" }
import = "/api/import"
page = "m"
pages = 7
deadline = 1.5
[source.types.users]
id = "int"
[target]
kind = "sqlite"
path = "site.db"
schema = "schema.sql"
views = true
[[table]]
into = "users"
from = "people"
prefix = ["person:"]
where = ".live"
each = ".[]"
key = ["id"]
conflict = "newest"
newest_by = "seen"
dated = "seen_at"
unique = [["mail"]]
expect = "expected.json"
command = ["node", "map.mjs", "node"]
inverse = { mail = ".email" }
index = { key = "person:all", ids = ".ids[]", record = "person:" }
[table.columns]
id = ".id"
[table.columns.bare]
because = "of reasons"
[table.columns.mail]
from = ".mail"
type = "text"
required = true
matches = "@"
trim = true
strip_nul = true
secret = true
merge = "source"
[table.columns.level]
default = 1
type = "decimal"
map = { a = 1, b = 2.50 }
min = -0.5
max = "12345678901234567890.5"
one_of = [1, "2", true]
round = 2
because = "the old system kept two decimals"
[table.columns.seen]
truncate = "second"
because = "the old system kept seconds"
[table.columns.note]
ignore = true
because = "rewritten by hand"
[table.columns.uid]
generated = "ulid"
[[table.references]]
columns = ["level"]
table = "levels"
to = ["id"]
[[check]]
name = "count"
table = "users"
source = "length"
target = "SELECT count(*) FROM users"
from = "people"
expect = 9
secret = false
[migrate]
backup = false
batch_size = 50
batch_delay = 0.5
retries = 5
backoff = 2
skip_errors = true
auto_rollback = false
rollback_threshold = 0.2
preserve_partial = true
disable_indexes = true
[gate]
missing = 1
extra = 2
changed = { users = 3, "*" = 4 }
duplicates = 5
orphans = 6
clashes = 7
rejects = 8
invalid = 9
allow_empty = ["users"]
unpaired = ["users.note"]
leave = ["tmp:"]
unselected = 10
"#;

fn variable(name: &str) -> Option<String> {
    match name {
        "SET" => Some("hunter2".into()),
        "EMPTY" => Some(String::new()),
        "PREFIX" => Some("prod_".into()),
        "EDGE_CONFIG_ID" => Some("ecfg_1".into()),
        "EDGE_CONFIG_TOKEN" => Some("t0ken".into()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Plan, Vec<Fault>> {
    parse(text, "conf/cutover.toml", &variable)
}

#[track_caller]
fn good(text: &str) -> Plan {
    read(text).unwrap_or_else(|faults| panic!("{}", render(&faults, "cutover.toml", text, false)))
}

/// Checks that `text` has exactly these faults.
#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let faults = read(text).map_or_else(|faults| faults, |_| Vec::new());
    let shown: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(shown, expect, "in:\n{text}");
    assert!(!render(&faults, "cutover.toml", text, true).contains("hunter2"));
}

/// The same for what follows [`HEAD`], which starts on line 4.
#[track_caller]
fn bad(rest: &str, expect: &[&str]) {
    check(&format!("{HEAD}{rest}"), expect);
}

/// The same for the rules of a column, which start at 6:17.
#[track_caller]
fn bad_rule(rules: &str, expect: &[&str]) {
    bad(&format!("[[table]]\ninto = 't'\ncolumns.a    = {{ {rules} }}\n"), expect);
}

#[test]
fn the_guide_is_read() {
    let plan = good(GUIDE);
    assert_eq!(plan.hash, blake3::hash(GUIDE.as_bytes()).to_hex().as_str());
    assert_eq!((plan.seed.as_str(), &plan.zone, &plan.instant), ("cutover", &None, &None));
    let settings =
        [("id", "ecfg_1"), ("token", "t0ken")].map(|(name, value)| (name.into(), Setting::Text(value.into())));
    let source = Endpoint {
        kind: "edge-config".into(),
        name: "ecfg_1".into(),
        settings: settings.into(),
        ..Endpoint::default()
    };
    assert_eq!(plan.source, source);
    let target = Endpoint {
        kind: "sqlite".into(),
        name: "site.db".into(),
        path: Some("site.db".into()),
        schema: Some("schema.sql".into()),
        ..Endpoint::default()
    };
    assert_eq!(plan.target, target);
    assert_eq!(plan.tables.len(), 1);
    let table = &plan.tables[0];
    assert_eq!(
        (table.into.as_str(), table.from.as_deref(), table.conflict),
        ("bio_links", Some("items"), Conflict::Overwrite)
    );
    assert_eq!(table.key, Some(vec!["id".to_owned()]));
    let filter = table.filter.as_ref().unwrap();
    assert_eq!((filter.text.as_str(), filter.line, filter.column), (".key == \"bioData\"", 14, 10));
    assert_eq!(&GUIDE[filter.span.clone()], "'.key == \"bioData\"'");
    assert!(table.each.as_ref().unwrap().text.ends_with("+ .value"));
    let columns = table.columns.as_ref().unwrap();
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "profile_id", "url", "description", "order_index"]);
    let url = &columns[2].1;
    assert_eq!(url.from.as_ref().map(|it| (it.text.as_str(), it.line, it.column)), Some((".url", 21, 25)));
    assert_eq!(
        (url.required, url.matches.as_deref(), url.place.line, url.place.column),
        (true, Some("^https?://"), 21, 1)
    );
    assert_eq!((columns[3].1.default.as_deref(), columns[3].1.trim), (Some("\"\""), true));
    assert_eq!(plan.checks[0].name, "links per domain");
    assert_eq!(plan.checks[0].target.as_ref().unwrap().text, "SELECT count(*) FROM bio_links");
    assert_eq!(
        (plan.gate.missing.of("bio_links"), plan.gate.changed.of("bio_links"), plan.gate.changed.of("x")),
        (0, 2, 0)
    );
    assert!(!plan.gate.allow_empty.contains("bio_links"));
}

#[test]
fn every_rule_is_read() {
    let plan = good(FULL);
    assert_eq!(plan.instant.as_deref(), Some("2026-01-31T12:00:00Z"));
    assert_eq!((plan.source.delimiter, plan.source.null.as_deref()), (Some(b';'), Some("\\N")));
    assert_eq!(plan.source.types["users"]["id"], Type::Int);
    assert_eq!(plan.source.settings["url"].text(), Some("https://u:hunter2@example.com/x"));
    let columns = plan.tables[0].columns.as_ref().unwrap();
    let level = &columns[3].1;
    let map = [("a", "1"), ("b", "2.50")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    assert_eq!(level.map.as_deref(), Some(&map[..]));
    assert_eq!((level.min.as_deref(), level.max.as_deref()), (Some("-0.5"), Some("12345678901234567890.5")));
    assert_eq!(level.one_of.as_deref().unwrap(), ["1", "\"2\"", "true"]);
    assert_eq!((level.round, level.coarsens(), columns[0].1.coarsens()), (Some(2), true, false));
    assert_eq!(columns[6].1.generated, Some(Generated::Ulid));
    assert_eq!(plan.tables[0].command.as_ref().unwrap().len(), 3);
    assert_eq!(plan.tables[0].references[0].to, ["id"]);
    assert_eq!(plan.checks[0].expect.as_deref(), Some("9"));
    assert_eq!(plan.checks[0].secret, Some(false));
    assert_eq!((plan.gate.changed.of("users"), plan.gate.changed.of("others")), (3, 4));
    assert!(!format!("{plan:?}").contains("hunter2"), "settings are not shown");
}

/// A key that is known but not read would be a rule that silently does nothing.
#[test]
fn no_key_is_without_effect() {
    let whole = good(FULL);
    let mut start = 0;
    for line in FULL.split_inclusive('\n') {
        let end = start + line.len() - 1;
        // Blanks keep every other key in its place.
        let blank = " ".repeat(end - start);
        let without = read(&[&FULL[..start], &blank, &FULL[end..]].concat());
        start = end + 1;
        if line.contains('=') {
            let same = without.is_ok_and(|plan| Plan { hash: whole.hash.clone(), ..plan } == whole);
            assert!(!same, "{line} changes nothing");
        }
    }
}

#[test]
fn the_schema_and_the_parser_know_the_same_keys() {
    let schema = json_schema();
    assert_eq!(schema, json_schema());
    let mut declared = BTreeSet::new();
    collect(&schema, "", &mut declared);
    let mut used = BTreeSet::new();
    let root = DeTable::parse(FULL).unwrap();
    for (name, value) in root.get_ref() {
        follow(&schema, "", name.get_ref(), value.get_ref(), &mut used);
    }
    assert_eq!(used, declared);
    assert_eq!(schema["required"], serde_json::json!(["version", "source", "target"]));
    let column = &schema["properties"]["table"]["items"]["properties"]["columns"]["additionalProperties"]["anyOf"][1];
    let types: Vec<_> =
        column["properties"]["type"]["enum"].as_array().unwrap().iter().filter_map(Document::as_str).collect();
    assert!(types.iter().all(|it| ColumnType::parse(it).is_some()), "{types:?}");
    assert!(crate::value::time::Unit::names().eq(Rule::UNITS.iter().copied()));
    assert!(Type::ALL.iter().all(|it| keys::TYPES.contains(&it.name()) && types.contains(&it.name())));
}

/// The path of a key, where both stores are one.
fn path(at: &str, name: &str) -> String {
    format!("{at}/{}", if at.is_empty() && name == "target" { "source" } else { name })
}

/// Every path that a schema declares, each with a description.
fn collect(schema: &Document, at: &str, paths: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        assert!(inner["description"].as_str().is_some_and(|it| it.ends_with('.')), "{at}/{name} is described");
        paths.insert(path(at, name));
        collect(inner, &path(at, name), paths);
    }
    if schema["properties"].is_object() {
        assert_eq!(schema["additionalProperties"], false);
    }
    let nested = [&schema["items"], &schema["additionalProperties"]];
    for inner in nested.into_iter().chain(schema["anyOf"].as_array().into_iter().flatten()).filter(|it| it.is_object())
    {
        collect(inner, at, paths);
    }
}

/// Every path of a schema that a plan uses.
fn follow(schema: &Document, at: &str, name: &str, value: &DeValue<'_>, paths: &mut BTreeSet<String>) {
    let (inner, at) = match schema["properties"].get(name) {
        Some(inner) => (inner, path(at, name)),
        None => (&schema["additionalProperties"], at.to_owned()),
    };
    assert!(inner.is_object(), "{at}/{name} is not in the schema");
    if !at.is_empty() {
        paths.insert(at.clone());
    }
    let choices = inner["anyOf"].as_array();
    let inner = choices.and_then(|it| it.iter().find(|it| it["type"] == "object")).unwrap_or(inner);
    match value {
        DeValue::Table(table) if inner["properties"].is_object() || inner["additionalProperties"].is_object() => {
            table.iter().for_each(|(name, value)| follow(inner, &at, name.get_ref(), value.get_ref(), paths));
        }
        DeValue::Array(items) => {
            for table in items.iter().filter_map(|it| it.get_ref().as_table()) {
                table
                    .iter()
                    .for_each(|(name, value)| follow(&inner["items"], &at, name.get_ref(), value.get_ref(), paths));
            }
        }
        _ => (),
    }
}

#[test]
fn what_is_not_toml() {
    check("version = ", &["1:11: this is not TOML: string values must be quoted, expected literal string"]);
    check("version = 1\nversion = 1", &["2:1: this is not TOML: duplicate key"]);
    check("a = [", &["1:6: this is not TOML: unclosed array, expected `]`"]);
    check("ä = 1\nö = 'x", &["1:1: this is not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`"]);
}

#[test]
fn what_is_missing() {
    check(
        "",
        &[
            "1:1: `source` is missing (The store that rows come from.)",
            "1:1: `target` is missing (The store where rows shall be.)",
            "1:1: `version` is missing (Version of the plan format: 1.)",
        ],
    );
    check(
        "version = 2\n[source]\n[target]\nkind = 'csv'\n",
        &[
            "1:11: this version of the plan format is not known (this program reads version 1)",
            "2:1: `kind` is missing (What kind of store this is.)",
            "3:1: `path` is missing (a store of the kind `csv` needs it)",
        ],
    );
    check(
        "\u{feff}version = '1'\r\nsource = 3\r\ntarget = []\r\nsorce = {}\r\n",
        &[
            "1:11: `version` must be the number 1, not a string",
            "2:10: `source` must be a table, not a whole number",
            "3:10: `target` must be a table, not a list",
            "4:1: unknown key `sorce` (did you mean `source`?)",
        ],
    );
    check(
        "version = 1\nsource.kind = 'sqlit'\ntarget.kind = 'oracle'\n",
        &[
            "2:15: `kind` cannot be `sqlit` (did you mean `sqlite`? It is one of sqlite, d1-export, d1, \
             d1-local, kv, kv-local, postgres, edge-config, edge-config-export, local-storage, json, ndjson, csv, http, \
             snapshot)",
            "3:15: `kind` cannot be `oracle` (one of sqlite, d1-export, d1, d1-local, kv, kv-local, postgres, edge-config, \
             edge-config-export, local-storage, json, ndjson, csv, http, snapshot)",
        ],
    );
    check(
        "version = 1\n[source]\nkind='http'\nnull=''\n[target]\nkind='kv'\nviews=true\n",
        &[
            "2:1: `url` is missing (a store of the kind `http` needs it)",
            "4:1: `null` means nothing to a store of this kind (it belongs to: csv)",
            "7:1: `views` means nothing to a store of this kind (it belongs to: sqlite, d1-export, d1, d1-local, \
             postgres)",
        ],
    );
}

#[test]
fn what_is_unknown() {
    bad(
        "gate = { mising = 1 }\ntabel = []",
        &["4:10: unknown key `mising` (did you mean `missing`?)", "5:1: unknown key `tabel` (did you mean `table`?)"],
    );
    bad("[table]\ninto = 't'", &["4:1: `table` must be a list of tables, not a table (write `[[table]]`)"]);
    bad(
        "[[table]]\nfrom = 't'\nflter = '.x'\n",
        &[
            "4:1: `into` is missing (The target table.)",
            "6:1: unknown key `flter` (known keys: into, from, prefix, where, each, key, conflict, newest_by, dated, \
             columns, unique, references, index, expect, inverse, command)",
        ],
    );
    bad(
        "zone = 'Mars/Olympus'\ninstant = 'yesterday'\nseed = 1",
        &[
            "4:8: `zone` cannot be `Mars/Olympus` (an IANA name such as \"Europe/Berlin\", an offset such as \
             \"+02:00\", or \"UTC\")",
            "5:11: `instant` must be an instant as RFC 3339 writes it (such as \"2026-01-31T12:00:00Z\")",
            "6:8: `seed` must be a string, not a whole number",
        ],
    );
    bad(
        "\"\\u001b[31m\" = 1",
        &["4:1: unknown key `\\u{1b}[31m` (known keys: version, zone, seed, instant, source, target, table, \
             check, gate, migrate, log)"],
    );
}

#[test]
fn what_has_the_wrong_type() {
    bad(
        "[[table]]\ninto = ''\nkey = 'id'\nconflict = 'overwite'\nwhere = ' '\neach = 1",
        &[
            "5:8: `into` is empty",
            "6:7: `key` must be a list of strings, not a string",
            "7:12: `conflict` cannot be `overwite` (did you mean `overwrite`? It is one of stop, skip, overwrite, \
             merge, newest, ask)",
            "8:9: `where` is empty",
            "9:8: `each` must be an expression in a string, not a whole number",
        ],
    );
    bad(
        "[[table]]\ninto = 't'\nkey = [1, '', 'a', 'a']\nunique = ['a']\ncommand = []\ncolumns = {}",
        &[
            "6:8: `key` must be a list of strings, not of a whole number",
            "6:11: `key` is empty",
            "6:15: `key`: `a` is not among the columns (add it under `columns`)",
            "6:20: `a` stands in `key` twice",
            "6:20: `key`: `a` is not among the columns (add it under `columns`)",
            "7:11: `unique` must be a list of lists of strings, not of a string",
            "8:11: `command` is empty",
            "9:11: `columns` is empty (leave the key out for columns of the same names)",
        ],
    );
    bad(
        "[[table]]\ninto = 't'\nunique = [[]]\nreferences = [{ columns = ['a', 'b'], table = 't', to = ['a'] }, { \
         table = 3 }]",
        &[
            "6:11: `unique` is empty",
            "7:57: `to` has 1 columns where `columns` has 2",
            "7:66: `columns` is missing (Columns of this table.)",
            "7:76: `table` must be a string, not a whole number",
        ],
    );
    bad(
        "[gate]\nmissing = -1\nextra = 1.5\nchanged = { t = 'x' }\nallow_empty = false\nunpaired = true",
        &[
            "5:11: `missing` must be a whole number from 0 on, not `-1`",
            "6:9: `extra` must be a whole number from 0 on or a table, not a fraction",
            "7:17: `t` must be a whole number from 0 on, not a string",
            "8:15: `allow_empty` cannot be false (name the tables, or leave the key out)",
            "9:12: `unpaired` must be a list of strings, not a boolean",
        ],
    );
    bad(
        "[[check]]\nname = 'a'\nsource = 'length'\n[[check]]\nname = 'a'\nexpect = 1\ntarget = 'length'\n",
        &[
            "4:1: a check needs two answers to compare (give two of `source`, `target` and `expect`)",
            "8:8: `name` is `a` a second time (the first one is at 5:8)",
        ],
    );
    check(
        "version = 1\n[source]\nkind='csv'\npath='a'\ndelimiter=';;'\ntypes.t.a='strng'\ntypes.t.b='epoch-s'\n[target]\nkind='csv'\npath=''\ndelimiter='ä'",
        &[
            "5:11: `delimiter` must be one ASCII character, and no quote or line end",
            "6:11: `a` cannot be `strng` (one of bool, int, real, decimal, text, bytes, date, time, timestamp, \
             datetime, uuid, json, any)",
            "7:11: `b` cannot be `epoch-s` (one of bool, int, real, decimal, text, bytes, date, time, timestamp, \
             datetime, uuid, json, any)",
            "10:6: `path` is empty",
            "11:11: `delimiter` must be one ASCII character, and no quote or line end",
        ],
    );
}

#[test]
fn tables_that_contradict() {
    bad(
        "[[table]]\ninto = 't'\n[[table]]\ninto = 't'",
        &["7:8: `into` is `t` a second time (the first one is at 5:8)"],
    );
    bad(
        "[[table]]\ninto = 'users'\nkey = ['idd']\nunique = [['mail', 'zzz']]\ncolumns.id = '.id'\n[gate]\nchanged \
         = { user = 1 }\nallow_empty = ['users', 'x']\n[[check]]\nname='n'\ntable='usrs'\nsource='1'\nexpect=1",
        &[
            "6:8: `key`: `idd` is not among the columns (did you mean `id`?)",
            "7:12: `unique`: `mail` is not among the columns (add it under `columns`)",
            "7:20: `unique`: `zzz` is not among the columns (add it under `columns`)",
            "10:13: no table of this plan is called `user` (did you mean `users`?)",
            "11:25: no table of this plan is called `x` (name a table by its `into`)",
            "14:7: no table of this plan is called `usrs` (did you mean `users`?)",
        ],
    );
    bad(
        "[[table]]\ninto = 't'\nkey = ['a']\ncolumns.a = { ignore = true, because = 'x' }",
        &["7:9: `a` is in the key and cannot be ignored"],
    );
}

#[test]
fn rules_that_contradict() {
    bad_rule(
        "generated = 'ulid', from = '.a'",
        &["6:18: `generated` and `from` contradict each other: the value is made up, not read (keep one)"],
    );
    bad_rule(
        "generated = 'uid', default = 1, map = { a = 1 }",
        &[
            "6:18: `generated` and `default` contradict each other: the value is always made up (keep one)",
            "6:18: `generated` and `map` contradict each other: there is no source value to map (keep one)",
            "6:30: `generated` cannot be `uid` (did you mean `ulid`? It is one of ulid, uuid)",
        ],
    );
    bad_rule(
        "required = true, default = false",
        &["6:18: `required` and `default` contradict each other: nothing is missing once the default stands in \
             (keep one)"],
    );
    bad_rule("required = false, default = 1", &[]);
    bad_rule(
        "truncate = 'second'",
        &["6:18: `truncate` needs `because` (say why the difference does not matter; the report repeats it)"],
    );
    bad_rule(
        "truncate = 'seconds', type = 'int', because = 'x'",
        &[
            "6:18: `truncate` means nothing to the type `int` (it belongs to: any, time, timestamp, datetime)",
            "6:29: `truncate` cannot be `seconds` (did you mean `second`? It is one of year, day, hour, minute, \
             second, millisecond, microsecond)",
        ],
    );
    bad_rule(
        "round = 2, type = 'text', because = ''",
        &[
            "6:18: `round` means nothing to the type `text` (it belongs to: any, real, decimal)",
            "6:54: `because` is empty",
        ],
    );
    bad_rule(
        "ignore = true, round = 99999999999",
        &[
            "6:18: `ignore` and `round` contradict each other: the column is not compared at all (keep one)",
            "6:18: `ignore` needs `because` (say why the difference does not matter; the report repeats it)",
            "6:33: `round` needs `because` (say why the difference does not matter; the report repeats it)",
            "6:41: `round` is over 16383 decimals",
        ],
    );
}

#[test]
fn rules_that_are_wrong() {
    bad_rule("ignore = false", &[]);
    bad_rule("min = 10, max = 9.5", &["6:34: `max` is less than `min`: no value fits"]);
    bad_rule("min = 9.5, max = 10", &[]);
    bad_rule(
        "min = 'ten', max = nan, type = 'varchar'",
        &[
            "6:24: `min` must be a decimal number",
            "6:37: `max` must be a decimal number",
            "6:49: `type` cannot be `varchar` (one of bool, int, real, decimal, text, bytes, date, time, timestamp, \
             datetime, uuid, json, any, epoch-s, epoch-ms, epoch-us)",
        ],
    );
    bad_rule(
        "matches = '(', from = ''",
        &["6:28: `matches` is not a regular expression: unclosed group", "6:40: `from` is empty"],
    );
    bad_rule("map = {}, one_of = []", &["6:24: `map` is empty", "6:37: `one_of` is empty"]);
    bad_rule(
        "map = { a = [1] }, one_of = [{}]",
        &[
            "6:30: `a` must be a string, a number or a boolean, not a list",
            "6:47: `one_of` must be a string, a number or a boolean, not a table",
        ],
    );
    bad_rule("default = [1, { a = inf }]", &["6:38: this number cannot be written as JSON"]);
    bad_rule(
        "requird = true, type = 1",
        &[
            "6:18: unknown key `requird` (did you mean `required`?)",
            "6:41: `type` must be a string, not a whole number",
        ],
    );
}

#[test]
fn variables() {
    bad(
        "seed = '${NOT_SET}'",
        &["4:8: `seed`: the variable `NOT_SET` is not set (set it in the environment or in .env)"],
    );
    bad(
        "seed = '${1X} ${OPEN'",
        &[
            "4:8: `seed`: `${` without `}` (write `$${` for a literal `${`)",
            "4:8: `seed`: this is not a variable (write `${NAME}` or `${NAME:-default}`, and `$${` for a literal `${`)",
        ],
    );
    bad_rule(
        "min = '${NOT_SET}'",
        &["6:24: `min`: the variable `NOT_SET` is not set (set it in the environment or in .env)"],
    );
    bad(
        "zone = '${SET}'",
        &["4:8: `zone` cannot be `${SET}` (an IANA name such as \"Europe/Berlin\", an offset such as \"+02:00\", \
             or \"UTC\")"],
    );
    good(&format!("{HEAD}zone = '-03:30'"));
    bad("[[table]]\ninto = '${EMPTY}'", &["5:8: `into` is empty (the variable is set, but to nothing)"]);
    bad(
        "[[table]]\ninto = '${PREFIX}users'\n[gate]\nmissing = { prod_userz = 1 }",
        &["7:13: no table of this plan is called `prod_userz` (name a table by its `into`)"],
    );
    bad("[[table]]\ninto = 't'\ncolumns.a = { from = '\"${NOT_SET}\"', matches = '^${1}$' }", &[]);
    let plan = good(&format!("{HEAD}seed = '${{SET}}/${{NO:-d}}/${{EMPTY:-e}}/${{EMPTY}}/$${{SET}}/$x'"));
    assert_eq!(plan.seed, "hunter2/d/e//${SET}/$x");
    let plan = good(&format!(
        "{HEAD}[[table]]\ninto='t'\nwhere='\"${{NOT_SET}}\"'\ncolumns.a.default={{ x = ['${{SET}}\"'], y = 1_0.50 }}"
    ));
    assert_eq!(plan.tables[0].filter.as_ref().unwrap().text, "\"${NOT_SET}\"");
    assert_eq!(
        plan.tables[0].columns.as_ref().unwrap()[0].1.default.as_deref(),
        Some(r#"{"x":["hunter2\""],"y":10.50}"#)
    );
}

#[test]
fn secrets_are_not_written_in_plans() {
    let secret = |line: &str| {
        let text = format!("version = 1\n[target]\nkind = 'd1'\n[source]\nkind = 'http'\nurl = 'https://x'\n{line}\n");
        let text = if line.starts_with("url") { text.replace("url = 'https://x'\n", "") } else { text };
        match read(&text) {
            Ok(_) => String::new(),
            Err(faults) => {
                let shown = render(&faults, "cutover.toml", &text, false);
                assert!(!shown.contains("s3cr"), "{shown}");
                faults.iter().map(|it| it.message.clone() + ";").collect()
            }
        }
    };
    let refused = |key: &str| format!("`{key}` holds a secret, which a plan never does;");
    for key in ["token", "password", "secret", "api_key"] {
        assert_eq!(secret(&format!("{key} = 's3cr'")), refused(key));
        assert_eq!(secret(&format!("{key} = 'Bearer ${{SET}}'")), refused(key));
        assert_eq!(secret(&format!("{key} = '${{SET:-s3cr}}'")), refused(key));
        assert_eq!(secret(&format!("{key} = '${{SET}}'")), "");
        assert_eq!(secret(&format!("{key} = '${{EMPTY}}'")), format!("`{key}` is empty;"));
        assert!(secret(&format!("{key} = ['s3cr']")).contains("must be a string"));
        assert!(secret(&format!("{key} = 's3cr")).contains("not TOML"));
    }
    assert_eq!(secret("tokn = 's3cr'"), "unknown key `tokn`;");
    for header in
        ["Authorization = 'Bearer s3cr'", "x-api-key = 's3cr'", "Cookie = 'a=${SET}'", "x-token = '${SET:-s3cr}'"]
    {
        assert!(secret(&format!("headers.{header}")).contains("holds a secret, which a plan never does"), "{header}");
    }
    assert_eq!(secret("headers = { Authorization = 'Bearer ${SET}', x-api-key = '${SET}', accept = 'text/x' }"), "");
    for url in [
        "postgres://u:s3cr@h/d",
        "https://h/x?token=s3cr",
        "edge-config:id=1&token=s3cr",
        "h?a=1&sslpassword=s3cr&b=${SET}",
    ] {
        assert_eq!(secret(&format!("url = '{url}'")), refused("url"), "{url}");
    }
    for url in [
        "postgres://u:${SET}@h/d",
        "${SET}",
        "https://h:80/x?token=${SET}",
        "https://u@h/a:b",
        "host=h password=${SET}",
    ] {
        assert_eq!(secret(&format!("url = '{url}'")), "", "{url}");
    }
}

#[test]
fn stores_are_named_without_secrets() {
    let name = |lines: &str| good(&format!("version = 1\ntarget.kind = 'd1'\n[source]\n{lines}")).source.name;
    assert_eq!(name("kind = 'postgres'\nurl = 'postgres://u:${SET}@h:5/d?token=${SET}'"), "postgres://h:5/d");
    assert_eq!(name("kind = 'http'\nurl = '${SET}'\nid = 'x'"), "x");
    assert_eq!(name("kind = 'kv'\nnamespace = 'n'\ntoken = '${SET}'"), "n");
    assert_eq!(name("kind = 'kv'\ntoken = '${SET}'"), "kv");
}

#[test]
fn faults_are_shown_beside_the_text() {
    let text = "version = 1\r\n[source]\r\nkind = \"json\"\r\npath = \"a.json\"\r\n[target]\r\nkind = \"d1\"\r\ntoken = \"abc\"\r\nusre = 1\r\n";
    let faults = read(text).unwrap_err();
    let expect = r#"error: `token` holds a secret, which a plan never does
 --> cutover.toml:7:9
  |
7 | token = *****
  |         ^^^^^
  |
  = help: write a variable, such as "${NAME}", and set it in the environment or in .env

error: unknown key `usre`
 --> cutover.toml:8:1
  |
8 | usre = *
  | ^^^^
  |
  = help: did you mean `user`?
"#;
    assert_eq!(render(&faults, "cutover.toml", text, false), expect);
    assert!(render(&faults, "cutover.toml", text, true).contains("\u{1b}["));
    let odd = Fault::new("ä", 1..900, "odd");
    assert_eq!((odd.line, odd.column, odd.span.clone()), (1, 1, 0..2));
    assert_eq!(render(&[odd], "a\nb", "", false), "error: odd\n --> a\\nb:1:1\n  |\n1 |\n  | ^\n");
}

#[test]
fn expressions_know_their_place() {
    let text = format!("{HEAD}[[table]]\ninto = 't'\nwhere = '''\n.ä | .b'''\ncolumns.'ä' = '.x'\n");
    let table = &good(&text).tables[0];
    let filter = table.filter.as_ref().unwrap();
    assert_eq!((filter.line, filter.column, filter.text.as_str()), (7, 1, ".ä | .b"));
    assert_eq!(filter.fault("no").to_string(), "7:1: no");
    assert_eq!(table.columns.as_ref().unwrap()[0].1.from.as_ref().unwrap().column, 16);
    assert_eq!(table.place.fault("no such table").to_string(), "5:8: no such table");
}

#[test]
fn any_text_is_answered() {
    let long = format!("{HEAD}{} = 1\n", "x".repeat(100_000));
    let deep = format!("a = {}", "[".repeat(100_000));
    let dots = format!("{}a = 1", "a.".repeat(100_000));
    let many = format!("{HEAD}[gate]\n{}", (0..2000).map(|it| format!("k{it} = 1\n")).collect::<String>());
    for text in [long.as_str(), &deep, &dots, &many, "\u{feff}", "\0", "=", "[[", "\u{feff}\u{feff}a", "a = \"\\"] {
        let faults = read(text).unwrap_err();
        assert!(!render(&faults, "cutover.toml", text, false).is_empty());
    }
    for (place, _) in FULL.char_indices() {
        for text in [FULL[..place].to_owned(), [&FULL[..place], &FULL[place + 1..]].concat()] {
            let faults = read(&text).map_or_else(|faults| faults, |_| Vec::new());
            assert!(!render(&faults, "cutover.toml", &text, true).contains("hunter2"));
        }
    }
}
