//! Mappings as data: a plan fragment, source rows as JSON, and the rows and rejects that come of them.

use super::{Context, Limits, Over, Program, Selected, Witness, meter, val};
use crate::{
    error::{Kind, Result},
    plan::{self, Expression, Mapping},
    row::{Batch, Feed, Field, Flow, Shape},
    schema::{Column, Origin, Table},
    value::{Type, Value, cast::Cast},
};
use proptest::prelude::*;
use std::{sync::Arc, time::Duration};

const HEAD: &str =
    "version = 1\nsource = { kind = \"json\", path = \"a\" }\ntarget = { kind = \"sqlite\", path = \"b\" }\n";
const KV: &str = "key:text! value:json";

fn context() -> Context {
    let limits = Limits { steps: 20_000, steps_per_byte: 16, stall: Duration::from_secs(60) };
    Context { seed: "seed".into(), instant: "2026-01-18T00:00:00Z".into(), limits }
}

/// The mapping that `fragment`, the inside of a `[[table]]`, declares.
fn mapping(fragment: &str) -> Mapping {
    let plan = plan::parse(&format!("{HEAD}[[table]]\n{fragment}"), "cutover.toml", &|_| None);
    plan.unwrap_or_else(|faults| panic!("{faults:?}")).tables.remove(0)
}

/// A table from `name:type` words; `!` marks a key column.
fn table(name: &str, columns: &str) -> Table {
    let mut table = Table::new(name);
    for (place, word) in columns.split_whitespace().enumerate() {
        let (name, ty) = word.split_once(':').unwrap();
        if ty.ends_with('!') {
            table.key.push(place);
        }
        table.columns.push(Column::new(name, Type::parse(ty.trim_end_matches('!')).unwrap()));
    }
    table
}

fn program(fragment: &str, from: &str, into: Option<&Table>) -> Program {
    Program::compile(&mapping(fragment), &table("source", from), into, &context())
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(|it| format!("{it}\n")).collect::<String>()))
}

/// Rows, one JSON object a line, as a store would hand them out.
fn rows(shape: &Arc<Shape>, lines: &str) -> Batch {
    let mut batch = Batch::new(Arc::clone(shape));
    for line in lines.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let texts: Vec<_> = shape.fields.iter().map(|it| row.get(&it.column).map(ToString::to_string)).collect();
        batch.push(shape.fields.iter().zip(&texts).map(|(it, text)| match (row.get(&it.column), text) {
            (None | Some(serde_json::Value::Null), _) => Value::Null,
            (Some(serde_json::Value::Bool(it)), _) => Value::Bool(*it),
            (Some(serde_json::Value::String(it)), _) => Value::Text(it),
            (_, text) => Value::Json(text.as_deref().unwrap_or("null")),
        }));
    }
    batch
}

fn target(columns: &str) -> Arc<Shape> {
    let table = table("target", columns);
    let fields: Vec<_> = table.columns.iter().map(|it| Field::new(&it.name, Cast::new(it.ty))).collect();
    Arc::new(Shape { compared: fields.len(), fields, key: table.key.len(), ..Shape::default() })
}

/// Rows as JSON objects, then rejects as `key item column rule value`, a line each.
fn text(out: &Batch) -> Vec<String> {
    let mut lines: Vec<String> = out
        .rows()
        .map(|row| {
            let mut scratch = vec![Vec::new(); row.shape().width()];
            let cells = val::cells(row, &mut scratch);
            val::object(row.shape().fields.iter().zip(cells).map(|(it, value)| (it.column.as_str(), Some(value))))
        })
        .collect();
    lines.extend(out.rejects.iter().map(|it| {
        let item = it.item.map_or("-".into(), |it| it.to_string());
        format!("! {} {item} {} {} {}", it.key, it.column.as_deref().unwrap_or("-"), it.rule, it.value)
    }));
    lines
}

fn run(fragment: &str, from: &str, lines: &str, into: &str) -> (Vec<String>, Selected) {
    let mut program = program(fragment, from, None);
    let rows = rows(&program.input(), lines);
    let mut out = Batch::new(target(into));
    program.apply(&rows, &mut out).unwrap();
    let selected = program.selected();
    assert_eq!(selected.items, (out.len() + out.rejects.len()) as u64, "each item is a row or a reject");
    assert_eq!(selected.rejected, out.rejects.len() as u64);
    (text(&out), selected)
}

#[track_caller]
fn check(fragment: &str, from: &str, lines: &str, into: &str, expect: &[&str]) {
    assert_eq!(run(fragment, from, lines, into).0, expect, "{fragment}");
}

/// One rule on the column `v`, whose source value is `value`.
#[track_caller]
fn check_rule(rule: &str, value: &str, ty: &str, expect: &str) {
    let fragment = format!("into = \"t\"\ncolumns.id = \".id\"\ncolumns.v = {rule}");
    let line = format!("{{\"id\":1,\"v\":{value}}}");
    let lines = run(&fragment, "id:int! v:any", &line, &format!("id:int! v:{ty}")).0;
    let found = match lines[0].strip_prefix("! {\"id\":1} - ") {
        Some(reject) => format!("! {reject}"),
        None => lines[0].strip_prefix("{\"id\":1,\"v\":").unwrap().strip_suffix('}').unwrap().to_owned(),
    };
    assert_eq!(found, expect, "{rule} on {value}");
}

#[track_caller]
fn check_faults(fragment: &str, from: &str, into: Option<&Table>, expect: &[&str]) {
    let faults =
        Program::compile(&mapping(fragment), &table("source", from), into, &context()).map(|_| ()).unwrap_err();
    let shown: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expect, "{fragment}");
}

const BIO: &str = r#"{"key":"bioData","value":{"a.example":{"profile":{"name":"Mira","avatar":"a.png","socialLinks":[{"name":"x","url":"https://x"}]},"links":[{"name":"one","url":"https://one","description":" hi "},{"name":"two","url":"ftp://two"}],"products":[{"name":"p","price":1.10,"url":"u","image":null}],"aiTools":[{"name":"t","logo":"l","url":"u"}]},"b.example":{"profile":{"name":"Bo"}}}}
    {"key":"flags","value":{"dark":true}}"#;

#[test]
fn bio_data_becomes_five_tables() {
    let lists = |path: &str| {
        format!(
            "where = '.key == \"bioData\"'\neach = '.value | to_entries[] | .key as $d | (.value{path} // []) | to_entries[] | {{d: $d, i: .key}} + .value'\nkey = [\"id\"]\n"
        )
    };
    check(
        "into = \"profiles\"\nwhere = '.key == \"bioData\"'\neach = '.value | to_entries[] | {domain: .key} + .value.profile'\n[table.columns]\nid = '\"profile-\\(.domain)\"'\nname = \".name\"\ntagline = { default = \"\" }\navatar_url = { from = \".avatar\", default = \"\" }",
        KV,
        BIO,
        "id:text! name:text tagline:text avatar_url:text",
        &[
            r#"{"avatar_url":"a.png","id":"profile-a.example","name":"Mira","tagline":""}"#,
            r#"{"avatar_url":"","id":"profile-b.example","name":"Bo","tagline":""}"#,
        ],
    );
    check(
        &format!(
            "into = \"bio_links\"\n{}[table.columns]\nid = '\"biolink-profile-\\(.d)-\\(.i)\"'\nurl = {{ required = true, matches = \"^https?://\" }}\ndescription = {{ default = \"\", trim = true }}\norder_index = \".i\"",
            lists(".links")
        ),
        KV,
        BIO,
        "id:text! url:text description:text order_index:int",
        &[
            r#"{"description":"hi","id":"biolink-profile-a.example-0","order_index":0,"url":"https://one"}"#,
            r#"! {"key":"bioData"} 1 url matches ^https?:// "ftp://two""#,
        ],
    );
    check(
        &format!(
            "into = \"products\"\n{}[table.columns]\nid = '\"product-\\(.d)-\\(.i)\"'\nimage_url = {{ from = \".image\", default = \"\" }}\nprice = \".price\"",
            lists(".products")
        ),
        KV,
        BIO,
        "id:text! image_url:text price:text",
        &[r#"{"id":"product-a.example-0","image_url":"","price":"1.10"}"#],
    );
    check(
        &format!(
            "into = \"social_links\"\n{}[table.columns]\nid = '\"social-\\(.d)-\\(.i)\"'\nplatform = \".name\"",
            lists(".profile.socialLinks")
        ),
        KV,
        BIO,
        "id:text! platform:text",
        &[r#"{"id":"social-a.example-0","platform":"x"}"#],
    );
    check(
        &format!(
            "into = \"carousel_items\"\n{}[table.columns]\nid = '\"carousel-\\(.d)-\\(.i)\"'\nlogo_url = {{ from = \".logo\", default = \"\" }}",
            lists(".aiTools")
        ),
        KV,
        BIO,
        "id:text! logo_url:text",
        &[r#"{"id":"carousel-a.example-0","logo_url":"l"}"#],
    );
}

#[test]
fn rows_are_counted() {
    let fragment = "into = \"t\"\nwhere = '.key | startswith(\"b\")'\neach = '.value | keys[]'\ncolumns.k = '.'";
    let selected = run(fragment, KV, BIO, "k:text!").1;
    assert_eq!(selected, Selected { rows_read: 2, rows_selected: 1, items: 2, rejected: 0 });
}

#[test]
fn tables_without_columns_keep_their_names() {
    let from = "ID:int! Email:text is_active:bool payload:json extra:text";
    let line = r#"{"ID":7,"Email":"m@x","is_active":1,"payload":"{\"b\":1.0,\"a\":9007199254740993}","extra":"e"}"#;
    let into = table("users", "id:int! email:text is_active:bool payload:json");
    let mut program = program("into = \"users\"", from, Some(&into));
    assert_eq!(program.columns().collect::<Vec<_>>(), ["id", "email", "is_active", "payload"]);
    assert_eq!(program.input().fields.len(), 4, "what nobody wants is not read");
    let read: Vec<Type> = program.input().fields.iter().map(|it| it.cast.ty).collect();
    assert_eq!(read, [Type::Any, Type::Any, Type::Any, Type::Json], "only documents are read as what they are");
    assert!(program.keeps_order());
    let rows = rows(&program.input(), line);
    let mut out = Batch::new(target("id:int! email:text is_active:bool payload:json"));
    program.apply(&rows, &mut out).unwrap();
    assert_eq!(text(&out), [r#"{"email":"m@x","id":7,"is_active":true,"payload":{"a":9007199254740993,"b":1.0}}"#]);
}

#[test]
fn only_what_is_looked_at_is_read() {
    let columns = "id:int! a:text b:json c:bool d:text e:text";
    for (fragment, expect) in [
        ("columns.x = '.a'", "id a"),
        ("columns.x = '.b.c[0]'", "id b"),
        ("where = '.c and .a != \"x\"'\ncolumns.x = '.d'", "id a c d"),
        ("columns.x = '\"\\(.a)-\\(.e | length)\"'", "id a e"),
        ("columns.x = '{a, \"d\": .e}'", "id a e"),
        ("columns.x = '.b[.a]'", "id a b"),
        ("columns.x = 'if .c then .a else .b[].x end'", "id a b c"),
        ("columns.x = '[.a, .d] | map(. + .)'", "id a d"),
        ("each = '.b[]'\ncolumns.x = '. + 1'", "id b"),
        ("each = '.b[]'\ncolumns.x = '$row.a'", "id a b c d e"),
        ("columns.x = 'del(.a)'", "id a b c d e"),
        ("columns.x = '.'", "id a b c d e"),
        ("columns.x = '. as $r | $r.a'", "id a b c d e"),
        ("columns.x = '.a | $row'", "id a b c d e"),
        ("columns.x = '.[\"a\"], keys'", "id a b c d e"),
        ("columns.x = '..'", "id a b c d e"),
        ("columns.x = '.a = 1'", "id a b c d e"),
        ("columns.x = 'def f: .a; f'", "id a b c d e"),
        ("columns.x = 'if .a then .d end'", "id a b c d e"),
    ] {
        let program = program(&format!("into = \"t\"\n{fragment}"), columns, None);
        let input = program.input();
        let names: Vec<_> = input.fields.iter().map(|it| it.column.as_str()).collect();
        assert_eq!(names.join(" "), expect, "{fragment}");
    }
}

#[test]
fn order_is_kept_where_the_key_is_copied() {
    let keeps =
        |fragment: &str| program(&format!("into = \"t\"\n{fragment}"), "a:int! b:int! c:text", None).keeps_order();
    assert!(keeps("key = [\"a\", \"b\"]"));
    assert!(keeps("key = [\"x\", \"y\"]\ncolumns.y = \".b\"\ncolumns.x = \".a\""));
    assert!(keeps("key = [\"a\", \"b\"]\nwhere = '.c != null'"));
    assert!(!keeps("key = [\"b\", \"a\"]"));
    assert!(!keeps("key = [\"a\"]"));
    assert!(!keeps("key = [\"a\", \"b\"]\neach = '., .'\ncolumns.a = \".a\"\ncolumns.b = \".b\""));
    assert!(!keeps("key = [\"a\", \"b\"]\ncolumns.a = { trim = true }\ncolumns.b = \".b\""));
    assert!(!keeps("key = [\"a\", \"b\"]\ncolumns.a = \".a + 1\"\ncolumns.b = \".b\""));
}

#[test]
fn rules() {
    for (rule, value, ty, expect) in [
        ("{ default = \"\" }", "null", "text", "\"\""),
        ("{ default = 0 }", "null", "int", "0"),
        ("{ from = \"empty\", default = \"d\" }", "1", "text", "\"d\""),
        ("{ from = \"empty\" }", "1", "text", "null"),
        ("{ trim = true }", "\" a b\\t\"", "text", "\"a b\""),
        ("{ strip_nul = true }", "\"a\\u0000b\"", "text", "\"ab\""),
        ("{ strip_nul = true, trim = true }", "\"\\u0000 a \\u0000\"", "text", "\"a\""),
        ("{ trim = true, required = true }", "\"  \"", "text", "! v required \"  \""),
        ("{ required = true }", "null", "text", "! v required null"),
        ("{ required = true }", "0", "int", "0"),
        (
            "{ map = { todo = \"pending\", \"in-progress\" = \"in_progress\" } }",
            "\"in-progress\"",
            "text",
            "\"in_progress\"",
        ),
        ("{ map = { todo = \"pending\" } }", "\"nope\"", "text", "! v map \"nope\""),
        ("{ map = { \"1\" = true } }", "1", "bool", "true"),
        ("{ map = { a = \"b\" } }", "null", "text", "null"),
        ("{ map = { x = \"d\" }, default = \"x\" }", "null", "text", "\"d\""),
        ("{ matches = \"^[^@ ]+@[^@ ]+$\" }", "\"a@b\"", "text", "\"a@b\""),
        ("{ matches = \"^[^@ ]+@[^@ ]+$\" }", "\"ab\"", "text", "! v matches ^[^@ ]+@[^@ ]+$ \"ab\""),
        ("{ matches = \"^[0-9]+$\" }", "42", "int", "42"),
        ("{ matches = \".\" }", "[1]", "json", "! v matches . [1]"),
        ("{ matches = \".\" }", "null", "text", "null"),
        ("{ one_of = [\"a\", 1] }", "1.0", "text", "\"1.0\""),
        ("{ one_of = [\"a\", 1] }", "\"1\"", "text", "! v one_of [\"a\", 1] \"1\""),
        ("{ min = 0, max = 10 }", "10.0", "text", "\"10.0\""),
        ("{ min = 0, max = 10 }", "10.000000000000000000000001", "text", "! v max 10 10.000000000000000000000001"),
        ("{ min = 9007199254740993 }", "9007199254740992", "int", "! v min 9007199254740993 9007199254740992"),
        ("{ min = 0 }", "\"5\"", "int", "5"),
        ("{ min = 0 }", "\"five\"", "text", "! v min 0 \"five\""),
        ("{ min = 0 }", "true", "bool", "! v min 0 true"),
        ("{ secret = true, required = true }", "\"\"", "text", "! v required \"********\""),
        (
            "{ secret = true, from = \".v | error\" }",
            "\"hush\"",
            "text",
            "! v jq: refused in words that hold values, which are not shown \"********\"",
        ),
        ("{ from = \".v.x\" }", "5", "text", "! v jq: cannot index a number with \"x\" null"),
        ("{ from = \".v.x\" }", "null", "text", "null"),
        (
            "{ from = \".v | error\" }",
            "\"s3c\"",
            "text",
            "! v jq: refused in words that hold values, which are not shown null",
        ),
        ("{ from = \".v[]\" }", "[1,2]", "text", "! v jq: the expression gives more than one value null"),
        ("{ from = \".v | tonumber + 1\" }", "\"41\"", "int", "42"),
        ("{ from = \"0/0\" }", "1", "text", "\"NaN\""),
        ("{ from = \"[0/0]\" }", "1", "json", "! v jq: JSON has no number NaN null"),
        ("{ from = \"{(1|tostring): 2}\" }", "1", "json", "{\"1\":2}"),
        ("{ from = \"$now\" }", "1", "text", "\"2026-01-18T00:00:00Z\""),
        ("{ from = '\"\\($seed)-\\($row.id)-\\($index)\"' }", "1", "text", "\"seed-1-0\""),
        ("{ truncate = \"second\", because = \"b\" }", "\"x\"", "text", "\"x\""),
    ] {
        check_rule(rule, value, ty, expect);
    }
}

#[test]
fn numbers_stay_exact() {
    for number in
        ["9007199254740993", "12345678901234567890123", "1.10", "1e400", "-0", "0.1000000000000000055511151231257827"]
    {
        let kept = if number == "1e400" { "1e+400" } else { number };
        // As a look-up, through jq, and out of a document that jq has built.
        check_rule("\".v.n\"", &format!("{{\"n\":{number}}}"), "json", kept);
        check_rule("\".v | .n\"", &format!("{{\"n\":{number}}}"), "json", kept);
        check_rule("\"{m: [.v | .n]}\"", &format!("{{\"n\":{number}}}"), "json", &format!("{{\"m\":[{kept}]}}"));
        check_rule("'.v | \"\\(.n)\"'", &format!("{{\"n\":{number}}}"), "text", &format!("\"{kept}\""));
    }
    check_rule("\".v + 1\"", "9007199254740993", "int", "9007199254740994");
    check_rule("\".v + 1\"", "12345678901234567890123", "int", "12345678901234567890124");
    check_rule("\".v * .v\"", "9007199254740993", "int", "81129638414606699710187514626049");
    check_rule("\".v / 2\"", "10", "text", "\"5\"");
}

#[test]
fn records_nest() {
    let fragment = r#"into = "users"
key = ["key"]
[table.columns]
key = ".key"
value = '''.value
  | .subscription //= {status: (.subscriptionStatus // "none"), trialEnd: .trialEndsAt}
  | .updatedAt //= $now | .status //= "active" | del(.licenseKey)'''"#;
    check(
        fragment,
        KV,
        r#"{"key":"user:1","value":{"subscriptionStatus":"active","trialEndsAt":"2024-01-01","licenseKey":"k","big":1.10}}
           {"key":"user:2","value":{"subscription":{"status":"x"},"updatedAt":"u","status":"gone"}}"#,
        "key:text! value:json",
        &[
            r#"{"key":"user:1","value":{"big":1.10,"status":"active","subscription":{"status":"active","trialEnd":"2024-01-01"},"subscriptionStatus":"active","trialEndsAt":"2024-01-01","updatedAt":"2026-01-18T00:00:00Z"}}"#,
            r#"{"key":"user:2","value":{"status":"gone","subscription":{"status":"x"},"updatedAt":"u"}}"#,
        ],
    );
}

#[test]
fn generated_ids_are_stable_and_distinct() {
    let fragment = "into = \"t\"\neach = '.value[]'\ncolumns.id = { generated = \"ulid\" }\ncolumns.uid = { generated = \"uuid\" }\ncolumns.n = '.'";
    let lines = "{\"key\":\"a\",\"value\":[1,2]}\n{\"key\":\"b\",\"value\":[1]}";
    let first = run(fragment, KV, lines, "id:text! uid:uuid n:int").0;
    assert_eq!(first, run(fragment, KV, lines, "id:text! uid:uuid n:int").0);
    let id = |line: &str, name: &str| {
        line.split(&format!("\"{name}\":\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    for name in ["id", "uid"] {
        let ids: std::collections::BTreeSet<_> = first.iter().map(|it| id(it, name)).collect();
        assert_eq!(ids.len(), 3);
    }
    // 2026-01-18T00:00:00Z in milliseconds, base 32: the first ten characters of each ULID.
    assert!(first.iter().all(|it| id(it, "id").starts_with("01KF76DH00") && id(it, "id").len() == 26), "{first:?}");
    assert!(first.iter().all(|it| id(it, "uid").as_bytes()[14] == b'8'));
}

#[test]
fn faults_are_all_reported_where_they_are() {
    let into = table("users", "id:int! email:text name:text");
    check_faults(
        "into = \"users\"\nwhere = '.id >'\n[table.columns]\nid = '.ident'\nemial = '.id | nwo'\nname = '$rwo.x | now'",
        "id:int! mail:text",
        Some(&into),
        &[
            "6:15: jq: expected term here",
            "8:7: the source `source` has no column `ident`",
            "9:1: the target table `users` has no column `emial` (did you mean `email`?)",
            "9:16: jq: there is no filter `nwo`",
            "10:9: jq: there is no variable `$rwo` (did you mean `$row`?)",
            "10:18: jq: there is no filter `now` (the clock is not read, so that verify sees what migrate saw; use $now, the recorded instant)",
        ],
    );
    check_faults(
        "into = \"t\"\ncolumns.a = '''\n.id |\n  (1 +* 2)'''\ncolumns.b = '\"x'\ncolumns.mail = { required = true }",
        "id:int! e_mail:text",
        None,
        &[
            "8:6: jq: expected ) here",
            "9:16: jq: expected closing quote here",
            "10:9: the source `source` has no column `mail` (did you mean `from = \".e_mail\"`?)",
        ],
    );
    for name in
        ["env", "$ENV", "input", "debug", "stderr", "halt", "localtime", "halt_error", "$__loc__", "input_filename"]
    {
        let fragment = format!("into = \"t\"\ncolumns.a = '{name}'");
        let faults = Program::compile(&mapping(&fragment), &table("source", "id:int!"), None, &context());
        assert!(faults.is_err(), "{name}");
    }
    let mut guessed = table("source", "id:int!");
    guessed.columns[0].origin = Origin::Guessed;
    let optional = mapping("into = \"t\"\ncolumns.a = { from = '.a', default = '' }\ncolumns.b = '.b'");
    let faults = Program::compile(&optional, &guessed, None, &context()).map(|_| ()).unwrap_err();
    assert_eq!(faults.len(), 1, "what has a default may be absent where nothing declares it: {faults:?}");
    let deep = format!("into = \"t\"\ncolumns.a = '{}1{}'", "[".repeat(10_000), "]".repeat(10_000));
    let faults =
        Program::compile(&mapping(&deep), &table("source", "id:int!"), None, &context()).map(|_| ()).unwrap_err();
    assert_eq!(faults[0].message, "this expression is too long or nests too deeply");
}

#[test]
fn hostile_expressions_end() {
    let endless = [
        "[range(1000000000000)]",
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: f | f; f",
        "def f: try f catch f; f",
        "[repeat(.)]",
        "last(repeat(.))",
        "last(range(1000000000000))",
        "first(range(1000000000000) | select(false))",
        "until(false; .)",
        "[recurse([.])]",
        "reduce range(1000000000000) as $x (0; . + 1)",
        "reduce repeat(1) as $x (null; [.])",
        "\"x\" * 1000000000000",
        "\"x\" * 100000000000000000000000000",
        "\"x\" | . *= 1000000000000",
        "reduce range(64) as $i (\"x\"; . + .)",
        "reduce range(64) as $i (10; . * .)",
        "reduce range(64) as $i ([1]; . + .)",
        "reduce range(40) as $i (1; [., .]) | tojson",
        "reduce range(40) as $i (1; {a: ., b: .}) | tostring",
        "\"\\(reduce range(40) as $i (1; [., .]))\"",
        "limit(1000000000000; repeat(1)) | empty",
        "[limit(1000000; repeat(\"x\" * 1000000))]",
        "last(repeat(try error(1) catch 2))",
        "label $out | repeat(1) | if . == 2 then break $out else empty end",
        "[combinations(1000000)]",
        "(\"[\" * 100000) | fromjson",
        "[range(0; 1; 0)]",
        "any(repeat(false); .)",
        "isempty(repeat(empty))",
        "path(repeat(.)) | empty",
        "(repeat(.) | select(false)) |= 1",
        "def f(g): f(f(g)); f(1)",
    ];
    for expression in endless {
        let fragment = format!("into = \"t\"\ncolumns.id = '.id'\ncolumns.v = '''{expression}'''");
        let mut program = program(&fragment, "id:int!", None);
        let rows = rows(&program.input(), "{\"id\":1}\n{\"id\":2}");
        let mut out = Batch::new(target("id:int! v:text"));
        program.apply(&rows, &mut out).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!((out.len(), out.rejects.len()), (0, 2), "{expression}: {:?}", text(&out));
        assert!(out.rejects[0].rule.starts_with("jq: the expression "), "{expression}: {:?}", out.rejects[0]);
    }
}

#[test]
fn what_never_ticks_is_left_behind() {
    // Two values that share their parts all the way down are compared node by node, within one native step.
    let doubled = "reduce range(26) as $i (1; [., .])";
    let fragment = format!("into = \"t\"\ncolumns.id = '.id'\ncolumns.v = '({doubled}) == ({doubled})'");
    let mut impatient = context();
    impatient.limits.stall = Duration::from_millis(40);
    let from = table("source", "id:int!");
    let mut program =
        Program::compile(&mapping(&fragment), &from, None, &impatient).unwrap_or_else(|it| panic!("{it:?}"));
    let rows = rows(&program.input(), "{\"id\":1}");
    let error = program.apply(&rows, &mut Batch::new(target("id:int! v:text"))).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
}

#[test]
fn deep_documents_are_rows_or_rejects() {
    let deep = |levels: usize| format!("{{\"key\":\"k\",\"value\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let batch = |program: &Program, line: &str| {
        let row: Vec<&str> = vec!["k", line.split("\"value\":").nth(1).unwrap().strip_suffix('}').unwrap()];
        let mut batch = Batch::new(program.input());
        batch.push([Value::Text(row[0]), Value::Json(row[1])]);
        batch
    };
    for (levels, made) in [(5_000, 1), (50_000, 0)] {
        let mut program = program("into = \"t\"\ncolumns.k = '.key'\ncolumns.v = '[.value]'", KV, None);
        let mut out = Batch::new(target("k:text! v:json"));
        program.apply(&batch(&program, &deep(levels)), &mut out).unwrap();
        assert_eq!((out.len(), out.rejects.len()), (made, 1 - made), "{levels}");
    }
}

struct Take {
    batches: usize,
    rows: usize,
    stop_after: usize,
}

impl Feed for Take {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.batches += 1;
        self.rows += batch.len();
        batch.clear();
        Ok(if self.batches == self.stop_after { Flow::Stop } else { Flow::Continue })
    }
}

#[test]
fn streams_pass_on_full_batches() {
    for (expression, each) in [(".n", ".value[] | {n: .}"), (".n + 1", ".value[] | {n: .}")] {
        let fragment =
            format!("into = \"t\"\neach = '{each}'\ncolumns.n = '{expression}'\ncolumns.pad = '\"x\" * 1000'");
        let many = format!("{{\"key\":\"k\",\"value\":[{}0]}}", "1,".repeat(999));
        for (stop_after, rows_expected) in [(usize::MAX, Some(1000)), (1, None)] {
            let mut program = program(&fragment, KV, None);
            let mut source = rows(&program.input(), &many);
            let mut next = Take { batches: 0, rows: 0, stop_after };
            let mut over = Over::new(&mut program, target("n:int! pad:text"), &mut next);
            let flow = over.take(&mut source).unwrap();
            assert!(source.is_empty());
            match rows_expected {
                Some(expected) => {
                    assert_eq!((flow, program.selected().items), (Flow::Continue, 1000));
                    assert_eq!(next.rows, expected);
                    assert!(next.batches > 1);
                }
                None => assert_eq!((flow, next.batches), (Flow::Stop, 1)),
            }
        }
    }
}

/// What jaq itself makes of an expression, without meter.
fn plain_jaq(text: &str, input: &str) -> Vec<String> {
    use jaq_core::{Compiler, Ctx, Vars, data::JustLut, load, unwrap_valr};
    use jaq_json::Val;
    let loader = load::Loader::new(jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()));
    let arena = load::Arena::default();
    let modules = loader.load(&arena, load::File { code: text, path: () }).unwrap_or_else(|_| panic!("{text}"));
    let natives = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let filter = Compiler::default().with_funs(natives).compile(modules).unwrap_or_else(|_| panic!("{text}"));
    let context = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let values = filter.id.run((context, val::document(input).unwrap())).map(unwrap_valr);
    let say = |error| format!("error: {}", super::complaint::say(error, &Default::default()));
    values.map(|it| it.map_or_else(say, |it| it.to_string())).collect()
}

fn metered_jaq(text: &str, input: &str) -> Vec<String> {
    let expression = Expression { text: text.into(), line: 1, column: 1, span: 0..0 };
    let compiled = super::jq::Jq::compile(&expression, &[]).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let (pulse, mut values) = (meter::Pulse::default(), Vec::new());
    let meter = meter::Meter::new(&pulse);
    meter.start(&Limits::default(), input.len());
    let input = val::document(input).unwrap();
    let jq = match compiled {
        super::jq::Compiled::Path(path) => return vec![path.get(&input).unwrap().to_string()],
        super::jq::Compiled::Jq(jq) => jq,
    };
    let ended = jq.run(&[], input, &meter, |value| {
        values.push(value.to_string());
        true
    });
    values.extend(ended.err().map(|it| format!("error: {it}")));
    values
}

/// What is asked with and without limits.
const QUESTIONS: &[&str] = &[
    ".",
    ".a",
    ".a[2].b",
    ".\"d\".f",
    ".a[1:]",
    ".a[-1]",
    "..",
    "[..]",
    "path(..)",
    "[paths]",
    "[paths(numbers)]",
    "range(0, 1; 3, 4)",
    "[range(10; 0; -3)]",
    "[limit(3; repeat(1))]",
    "first(range(5))",
    "last(range(5))",
    "[skip(2; range(5))]",
    "nth(3; range(9))",
    "(.a[0], .n) |= . + 1",
    ".a[0] *= 3",
    ".n *= (1, 2)",
    "[.a[:2][] * 2]",
    ".d.e * 2",
    ".d * {e: {z: 1}}",
    "map_values(type)",
    "walk(if type == \"number\" then . + 1 else . end)",
    "del(.a[0, 1])",
    "del(..|nulls)",
    "to_entries",
    "with_entries(.value |= type)",
    "[.[] | type]",
    "keys",
    "add(.a[:2][])",
    "reduce .a[:2][] as $x (0; . + $x)",
    "[foreach .a[:2][] as $x (0; . + $x; [$x, .])]",
    "[foreach range(3) as $x (0; . + $x)]",
    "label $out | range(5) | if . == 3 then ., break $out else . end",
    "try error(\"x\") catch .",
    "[.a[] | try (. + 1) catch \"no\"]",
    ".z // \"none\"",
    "(.z, .n) // 7",
    "def f: if . > 5 then . else . + 1 | f end; .n | f",
    "def f(g; $x): [g, $x]; f(.n; 1, 2)",
    "def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 25 | fac",
    ". as {a: [$x, $y], d: {e: $z}} | [$x, $y, $z]",
    ". as [$x] | 1",
    ".g | fromjson",
    ".g | fromjson | .[1].h",
    "[.d.e | splits(\" \")]",
    ".d.e | test(\"^x\")",
    ".d.e | gsub(\"[xy]\"; \"<\\(.)>\")",
    "@base64 \"\\(.d.e)!\"",
    ".d | tojson",
    ".d.e | ascii_upcase",
    "[.a[:2][] | tostring]",
    "[.a[]?]",
    ".n[0]?",
    ".n | .[.]",
    "[.a[:2] | combinations(2)]",
    "getpath([\"d\", \"e\"])",
    "setpath([\"q\", 0]; 1)",
    "[.a | .. | scalars]",
    "any(.a[:2][]; . == 2)",
    "[.a[:2][] as $x | .n as $y | $x * $y]",
    "if .n then \"t\" elif 1 then 2 end",
    "{(.d.e): .n, a, \"lit\": 1}",
    "[.a[:2] | group_by(.)[] | length]",
    "[limit(2; .a[])] | length",
    ".a | first, last",
    "isempty(empty)",
    "path(first(.a[], .d))",
    "path(.a | last(.[0, 1]))",
    "[.a[:2][] | until(. > 9; . * 2)]",
    "[recurse(if . < 3 then . + 1 else empty end; true)?]",
    "ltrimstr(1)",
    "-.n",
    "[.n, 2] | min, max",
];

#[test]
fn the_meter_does_not_change_what_jq_means() {
    let input = r#"{"a":[1,2,{"b":null,"c":[]}],"d":{"e":"x y","f":2.50},"g":"[1,{\"h\":2}]","n":-3}"#;
    for text in QUESTIONS {
        assert_eq!(metered_jaq(text, input), plain_jaq(text, input), "{text}");
    }
}

#[test]
fn witnesses_answer() {
    let ask = |text: &str, bytes_max: usize, lines: &str| {
        let expression = Expression { text: text.into(), line: 1, column: 1, span: 0..0 };
        let mut witness = Witness::compile(&expression, &table("source", KV), bytes_max, context().limits)
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut rows = rows(&witness.input(), lines);
        assert_eq!(witness.take(&mut rows)?, Flow::Continue);
        witness.answer()
    };
    let links = "[.[] | select(.key == \"bioData\") | .value[] | .links | length] | add";
    assert_eq!(ask(links, 1 << 20, BIO).unwrap(), "2");
    assert_eq!(ask(".", 1 << 20, "").unwrap(), "[]");
    assert_eq!(
        ask("[.[].value]", 1 << 20, "{\"key\":\"a\",\"value\":{\"b\":1.10,\"a\":1e400}}").unwrap(),
        "[{\"a\":1e+400,\"b\":1.10}]"
    );
    assert_eq!(ask("length", 100, BIO).unwrap_err().kind(), Kind::Limit);
    assert_eq!(ask(".[]", 1 << 20, BIO).unwrap_err().kind(), Kind::Plan);
    assert_eq!(ask("empty", 1 << 20, BIO).unwrap_err().kind(), Kind::Plan);
    assert_eq!(ask("[repeat(1)]", 1 << 20, BIO).unwrap_err().kind(), Kind::Plan);
}

#[test]
fn nesting_is_counted_in_text() {
    assert_eq!(meter::nesting(b"[[]{}](("), 2);
    assert_eq!(meter::nesting(b"]]]["), 1);
}

/// JSON text of any shape that a store could hold.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<i64>().prop_map(|it| it.to_string()),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,9})?(e[0-9]{1,3})?",
        "\\PC{0,6}".prop_map(|it| serde_json::to_string(&it).unwrap()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let members = prop::collection::btree_map("[a-d]", inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|it| format!("[{}]", it.join(","))),
            members.prop_map(|it| {
                let members: Vec<_> = it.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_item_is_a_row_or_a_reject(values in prop::collection::vec(json(), 1..6)) {
        let programs = [
            "columns.k = '.key'\ncolumns.v = '.value.a.b[0]'",
            "columns.k = '.key'\ncolumns.v = { from = '.value', required = true, matches = \"a\" }",
            "where = '.value.a'\ncolumns.k = '.key'\ncolumns.v = '.value | length'",
            "each = '.value[]'\ncolumns.k = '.a'\ncolumns.v = { from = 'tostring', default = 1, min = 0 }",
            "each = '.value | .. | numbers'\ncolumns.k = '.'\ncolumns.v = '. * 2'",
            "each = '.value | to_entries[]'\ncolumns.k = '.key'\ncolumns.v = '.value | keys'",
        ];
        let lines: Vec<_> = values.iter().enumerate().map(|(n, it)| format!("{{\"key\":\"{n}\",\"value\":{it}}}")).collect();
        for fragment in programs {
            let (made, selected) = run(&format!("into = \"t\"\n{fragment}"), KV, &lines.join("\n"), "k:text! v:json");
            prop_assert_eq!(made.len() as u64, selected.items);
            prop_assert_eq!(selected.rows_read, values.len() as u64);
        }
    }

    #[test]
    fn documents_survive_jq(document in json()) {
        let mut canonical = Vec::new();
        crate::value::json::canonical(&document, &mut canonical).unwrap();
        let canonical = String::from_utf8(canonical).unwrap();
        let (mut written, mut again) = (Vec::new(), Vec::new());
        val::write_val(&val::document(&canonical).unwrap(), &mut written).unwrap();
        crate::value::json::canonical(std::str::from_utf8(&written).unwrap(), &mut again).unwrap();
        prop_assert_eq!(String::from_utf8(again).unwrap(), canonical);
    }

    #[test]
    fn simple_paths_are_what_jq_says(document in json()) {
        let mut canonical = Vec::new();
        crate::value::json::canonical(&document, &mut canonical).unwrap();
        let canonical = String::from_utf8(canonical).unwrap();
        for text in [".a", ".\"b\".c", ".[0]", ".[1].a", ".a[0].b"] {
            let expression = Expression { text: text.into(), line: 1, column: 1, span: 0..0 };
            let Ok(super::jq::Compiled::Path(path)) = super::jq::Jq::compile(&expression, &[]) else { panic!("{text}") };
            let [expect] = metered_jaq(&format!("{text} | ."), &canonical).try_into().unwrap();
            let expect = (!expect.starts_with("error: ")).then_some(expect);
            let got = path.get(&val::document(&canonical).unwrap()).ok().map(|it| it.to_string());
            let found = path.find(&canonical).ok().map(|it| match it {
                Value::Json(it) => val::document(it).unwrap().to_string(),
                _ => "null".to_owned(),
            });
            prop_assert_eq!(&got, &expect, "{} on {}", text, canonical);
            prop_assert_eq!(&found, &expect, "{} on {}", text, canonical);
        }
    }
}

#[test]
fn a_document_that_is_copied_stays_one() {
    let into = table("t", "id:int! v:json");
    for expression in [".doc", "if .id == 2 then 7 else .doc end"] {
        let fragment = format!("into = \"t\"\ncolumns.id = \".id\"\ncolumns.v = '{expression}'");
        let mut program = program(&fragment, "id:int! doc:json", Some(&into));
        let documents = [r#""text""#, r#""12""#, "12", r#""\"""#, r#"{"a":"b"}"#];
        let (mut rows, mut out) = (Batch::new(program.input()), Batch::new(target("id:int! v:json")));
        documents.iter().for_each(|it| rows.push([Value::Int(1), Value::Json(it)]));
        rows.push([Value::Int(1), Value::Raw(b"text")]);
        program.apply(&rows, &mut out).unwrap();
        let mut scratch = Vec::new();
        for (row, expect) in out.rows().zip(documents) {
            assert_eq!(row.value(1, &mut scratch), Value::Json(expect), "a JSON string is not the text in it");
        }
        assert_eq!(out.row(5).value(1, &mut scratch), Value::Text("text"), "and text is no JSON string");
    }
}
