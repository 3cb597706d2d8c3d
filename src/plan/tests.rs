//! Data-driven tests of the plan.
use std::collections::BTreeSet;

use serde_json::Value as Document;
use toml::de::{DeTable, DeValue};

use super::*;

mod faults;

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
const FULL: &str = include_str!("full.toml");

fn variable(name: &str) -> Option<String> {
    match name {
        "SET" => Some("hunter2".into()),
        "KEY" => Some("0f".repeat(32)),
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

#[test]
fn what_stands_around_a_run() {
    let check = |around: &str, expect: &[&str]| check(&format!("{HEAD}{around}"), expect);
    check(
        "[hooks]\nafter = ['a']\n[[warm]]\nname = 'a'\nurl = 'https://h.test/'\n[[query]]\nname = 'a'\ntarget = '.'",
        &[],
    );
    check(
        "[hooks]\nbefore = []\nafter = 'curl'\ntimeout = '0s'\non_done = ['x']\non_failure = {}\non_change = ['']",
        &[
            "5:10: `before` is empty",
            "6:9: `after` must be a list of strings or a table, not a string",
            "7:11: `timeout` must be more than 0",
            "8:1: unknown key `on_done` (known keys: before, on_progress, after, on_failure, on_change, timeout)",
            "9:14: `url` is missing (The address that is sent JSON. A secret in it must be a variable.)",
        ],
    );
    check(
        "[hooks]\ntimeout = '1h'",
        &["5:11: `timeout` cannot be `1h` (such as \"500ms\", \"2s\" or \"1m\", at most \"1440m\")"],
    );
    check(
        "[hooks.after]\nurl = 'https://h.test/?token=s3cr3t'\nheaders = { Authorization = 'Bearer s3cr3t' }",
        &[
            "5:7: `url` holds a secret, which a plan never does (write a variable, such as \"${NAME}\", and set it in the environment or in .env)",
            "6:29: `Authorization` holds a secret, which a plan never does (write a variable, such as \"${NAME}\", and set it in the environment or in .env)",
        ],
    );
    let warm = "[[warm]]\nname = 'a'\nurl = 'https://h.test/'\n";
    check(
        &format!("{warm}times = 0\n{warm}times = 1\ncached = {{ header = 'x', value = 'y' }}"),
        &[
            "7:9: `times` must be more than 0",
            "9:8: `name` is `a` a second time (the first one is at 5:8)",
            "12:1: `cached` means nothing where only one answer comes (the first answer fills the cache; ask twice)",
        ],
    );
    check(
        "[[query]]\nname = 'a'\ntarget = '.'\nruns = 0\nfaster = 2\nwithin = '50'",
        &[
            "7:8: `runs` must be more than 0",
            "8:1: `faster` needs a query of the source to be compared with (add `source`, or say `within` instead)",
            "9:10: `within` cannot be `50` (such as \"500ms\", \"2s\" or \"1m\", at most \"1440m\")",
        ],
    );
}
