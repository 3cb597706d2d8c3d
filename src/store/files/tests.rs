//! What each kind of file is read as.

use super::*;
use crate::{
    row::{Field, Shape},
    value::{Value, cast::Cast},
};
use std::{fs, path::PathBuf, sync::Arc};

mod dumps;
mod hostile;

/// Files in a folder of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Files {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Files(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An error without the folder's name in it.
    fn plain(&self, error: &Error) -> String {
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// Writes each row as a line.
struct Lines(String);

impl Feed for Lines {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let mut scratch = Vec::new();
        for row in batch.rows() {
            let cells: Vec<_> = (0..row.shape().width()).map(|it| show(row.value(it, &mut scratch))).collect();
            let odd = if row.is_odd() { " ?" } else { "" };
            self.0.push_str(&format!("{}{odd}\n", cells.join(" | ")));
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

fn show(value: Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(it) => it.to_string(),
        Value::Int(it) => it.to_string(),
        Value::Text(it) => format!("{it:?}"),
        Value::Decimal(it) => it.to_owned(),
        Value::Json(it) => format!("json {it}"),
        other => format!("{other:?}"),
    }
}

/// Every table with its rows: a line of columns, where a key has a star, and a line a row.
fn dump(source: &mut dyn Source) -> Result<String> {
    let mut lines = Lines(String::new());
    for table in source.tables()? {
        let star = |it| if table.key.contains(&it) { "*" } else { "" };
        let columns: Vec<_> = table.columns.iter().enumerate().map(|(at, it)| it.name.clone() + star(at)).collect();
        lines.0.push_str(&format!("{}({})\n", table.name, columns.join(", ")));
        if let Some(why) = &table.unreadable {
            lines.0.push_str(&format!("cannot be read: {why}\n"));
            continue;
        }
        let fields = table.columns.iter().map(|it| Field::new(it.name.as_str(), Cast::new(it.ty)));
        let fields: Vec<_> = fields.collect();
        let shape = Shape { compared: fields.len(), fields, ..Shape::default() };
        source.scan(&table, &Arc::new(shape), &mut lines)?;
    }
    Ok(lines.0)
}

fn read(kind: &str, files: &Files, name: &str, options: &FileOptions) -> Result<String, String> {
    let opened = open(kind, &files.path(name), options);
    opened.and_then(|mut it| dump(it.as_mut())).map_err(|it| files.plain(&it))
}

#[track_caller]
fn check(kind: &str, bytes: &str, wanted: &str) {
    let files = Files::new(&[("users", bytes.as_bytes())]);
    assert_eq!(read(kind, &files, "users", &FileOptions::default()).unwrap(), wanted, "{kind}: {bytes}");
}

#[track_caller]
fn check_with(options: &FileOptions, bytes: &[u8], wanted: Result<&str, &str>) {
    let files = Files::new(&[("users", bytes)]);
    let read = read("csv", &files, "users", options);
    assert_eq!(read.as_deref().map_err(String::as_str), wanted, "{}", String::from_utf8_lossy(bytes));
}

#[test]
fn an_array_of_objects_is_a_table() {
    check("json", r#"[{"id":1,"name":"Mira"}]"#, "users(id*, name)\n1 | \"Mira\"\n");
    check("json", "[]", "users()\n");
    check("json", " \r\n [ { } ,\n{}\t] ", "users()\ncannot be read: its rows are objects without members\n");
    check("ndjson", "{}\n", "users()\ncannot be read: its rows are objects without members\n");
    // Columns come in order of first appearance, whatever the order of a row. Absent and null are NULL.
    check(
        "json",
        r#"[{"b":1,"a":2},{"a":3,"b":4},{"c":null,"b":5},{"a":6,"c":"x","b":7},{"b":8,"a":9}]"#,
        "users(b, a, c)\n1 | 2 | NULL\n4 | 3 | NULL\n5 | NULL | NULL\n7 | 6 | \"x\"\n8 | 9 | NULL\n",
    );
    // A name is what it stands for, however it is escaped.
    check("json", r#"[{"id":1},{"\u0069d":2},{"i\u0064":3},{"id":4}]"#, "users(id*)\n1\n2\n3\n4\n");
    check("json", r#"[{"a\"b":1,"":2,"é":3,"a\u0000":4}]"#, "users(a\"b, , é, a\0)\n1 | 2 | 3 | 4\n");
}

#[test]
fn numbers_and_values_stay_what_they_are() {
    check(
        "json",
        r#"[{"v":9007199254740993},{"v":123456789012345678901234567890},{"v":1.10},{"v":1e400},{"v":-0},{"v":true}]"#,
        "users(v)\n9007199254740993\n123456789012345678901234567890\njson 1.10\njson 1e400\njson -0\ntrue\n",
    );
    check("json", r#"[{"v":{"b":[1, {}],"a":"\u00e9"}}]"#, "users(v)\njson {\"a\":\"é\",\"b\":[1,{}]}\n");
    check("json", r#"[{"v":"null"},{"v":null},{"v":""}]"#, "users(v)\n\"null\"\nNULL\n\"\"\n");
}

#[test]
fn other_arrays_are_tables_of_elements() {
    check("json", r#"[1,"a",null]"#, "users(index*, value)\n0 | json 1\n1 | json \"a\"\n2 | json null\n");
    check("json", r#"[{"a":1},[2]]"#, "users(index*, value)\n0 | json {\"a\":1}\n1 | json [2]\n");
}

#[test]
fn objects_are_tables_by_name_or_keys_and_values() {
    check(
        "json",
        r#"{"users":[{"id":1}],"posts":[],"tags":[{"tag_id":2,"name":"x"}]}"#,
        "users(id*)\n1\nposts()\ntags(tag_id*, name)\n2 | \"x\"\n",
    );
    check(
        "json",
        r#"{"a":[{"id":1}],"n\u0061me":null,"c":[1]}"#,
        "users(key*, value)\n\"a\" | json [{\"id\":1}]\n\"name\" | json null\n\"c\" | json [1]\n",
    );
    check("json", "{}", "users(key*, value)\n");
    // What repeats deeper inside is for the cast to flag, also where the file could have been tables at first.
    check(
        "json",
        r#"{"a":[{"b":1,"b":2}],"c":0}"#,
        "users(key*, value)\n\"a\" | \"[{\\\"b\\\":1,\\\"b\\\":2}]\" ?\n\"c\" | json 0\n",
    );
}

#[test]
fn lines_are_rows() {
    check(
        "ndjson",
        "{\"id\":1}\n\n  \r\n{\"id\":2,\"x\":[]}\r\n {\"x\":\"a\",\"id\":3} ",
        "users(id*, x)\n1 | NULL\n2 | json []\n3 | \"a\"\n",
    );
    check("ndjson", "", "users()\n");
}

#[test]
fn csv_cells_are_text_unless_they_are_integers() {
    check(
        "csv",
        "id,name\n10,Mira\r\n9,\"a,\"\"b\"\"\n c\"\n",
        "users(id*, name)\n10 | \"Mira\"\n9 | \"a,\\\"b\\\"\\n c\"\n",
    );
    check(
        "csv",
        "v\n007\n+1\n-0\n9223372036854775808\n-9223372036854775808\n\"\"\nNULL\n",
        "users(v)\n\"007\"\n\"+1\"\n\"-0\"\n\"9223372036854775808\"\n-9223372036854775808\n\"\"\n\"NULL\"\n",
    );
    check("csv", "a,b", "users(a, b)\n");
    check("csv", "a,b\n1,2\n\n\r\n3,4\n\n", "users(a, b)\n1 | 2\n3 | 4\n");
    check("csv", "a\n1\n\n\n", "users(a)\n1\n");
    check("csv", "\"a\",b\n5\" disk,\"x\"", "users(a, b)\n\"5\\\" disk\" | \"x\"\n");
}

#[test]
fn csv_options() {
    let none = FileOptions::default();
    let null = FileOptions { null: Some(r"\N".to_owned()), ..none.clone() };
    check_with(&null, b"a,b\n\\N,\\n\n\"\\N\",\n", Ok("users(a, b)\nNULL | \"\\\\n\"\nNULL | \"\"\n"));
    let tabs = FileOptions { delimiter: Some(b'\t'), ..none.clone() };
    check_with(&tabs, b"a\tb\n1\t\"x\ty\"\n", Ok("users(a, b)\n1 | \"x\\ty\"\n"));
    let quote = FileOptions { delimiter: Some(b'"'), ..none.clone() };
    check_with(&quote, b"a\n", Err("the delimiter '\"' cannot stand between cells"));
    let columns = [("users".to_owned(), vec!["x".to_owned(), "id".to_owned()])];
    let columns = FileOptions { columns: columns.into(), ..none.clone() };
    check_with(&columns, b"1,2\n3,4\n", Ok("users(x, id*)\n1 | 2\n3 | 4\n"));
    let types = BTreeMap::from([("a".to_owned(), Type::Int), ("b".to_owned(), Type::Text)]);
    let keys = [("users".to_owned(), vec!["b".to_owned(), "a".to_owned()])].into();
    let types = FileOptions { types: [("users".to_owned(), types)].into(), keys, ..none.clone() };
    check_with(&types, b"a,b\n1,2\n", Ok("users(a*, b*)\n1 | \"2\"\n"));
    check_with(&types, b"a,c\n", Err("the plan names a column `b` that table `users` does not have"));
    let other = FileOptions { keys: [("user".to_owned(), vec![])].into(), ..none.clone() };
    let files = Files::new(&[("users.csv", b"a\n")]);
    let wanted = "the plan describes a table `user` that users.csv does not hold";
    assert_eq!(read("csv", &files, "users.csv", &other).unwrap_err(), wanted);
    check_with(&none, b"a\n\xff\n", Ok("users(a)\nMalformed([255]) ?\n"));
}

#[test]
fn declared_types_and_keys_are_said_to_be_declared() {
    let files = Files::new(&[("users.json", br#"[{"id":"7","at":"x"}]"#)]);
    let types = [("users".to_owned(), BTreeMap::from([("id".to_owned(), Type::Int)]))].into();
    let mut options = FileOptions { types, ..FileOptions::default() };
    let table = open("json", &files.path("users.json"), &options).unwrap().tables().unwrap().remove(0);
    assert_eq!((table.columns[0].ty, table.columns[0].origin), (Type::Int, Origin::Enforced));
    assert_eq!((table.columns[1].ty, table.columns[1].origin), (Type::Any, Origin::Guessed));
    assert_eq!((table.key, table.key_origin, table.rows_about), (vec![0], Origin::Guessed, Some(1)));
    options.keys.insert("users".to_owned(), vec!["at".to_owned()]);
    let table = open("json", &files.path("users.json"), &options).unwrap().tables().unwrap().remove(0);
    assert_eq!((table.key, table.key_origin), (vec![1], Origin::Declared));
}

#[test]
fn keys_are_guessed_by_name() {
    let guess = |name: &str, columns: &[&str]| {
        let mut table = Table::new(name);
        table.columns = columns.iter().map(|it| crate::schema::Column::new(*it, Type::Any)).collect();
        guess_key(&table).map(|it| columns[it].to_owned())
    };
    let cases: [(&str, &[&str], Option<&str>); 8] = [
        ("users", &["name", "ID"], Some("ID")),
        ("users", &["user_id", "id"], Some("id")),
        ("Users", &["email", "UserId"], Some("UserId")),
        ("categories", &["category_id"], Some("category_id")),
        ("addresses", &["uuid", "address_id"], Some("address_id")),
        ("posts", &["user_id", "uuid", "key"], Some("uuid")),
        ("posts", &["user_id", "key"], Some("key")),
        ("posts", &["user_id", "ident"], None),
    ];
    for (name, columns, wanted) in cases {
        assert_eq!(guess(name, columns).as_deref(), wanted, "{name} {columns:?}");
    }
}

#[test]
fn both_shapes_of_an_edge_config_are_one_table() {
    let array = r#"[{"key":"bioData","value":{"x":1},"edgeConfigId":"ecfg_demo","createdAt":1,"updatedAt":2},
        {"updatedAt":2,"value":null,"key":"b"}]"#;
    let wanted = "items(key*, value)\n\"bioData\" | json {\"x\":1}\n\"b\" | json null\n";
    check("edge-config-export", array, wanted);
    check("edge-config-export", r#"{"bioData":{"x": 1},"b":null}"#, wanted);
    let described = r#"[{"key":"a","value":1,"description":"d"},{"key":"b","value":2}]"#;
    check(
        "edge-config-export",
        described,
        "items(key*, value, description)\n\"a\" | json 1 | \"d\"\n\"b\" | json 2 | NULL\n",
    );
    check("edge-config-export", "[]", "items(key*, value)\n");
    check("edge-config-export", "{}", "items(key*, value)\n");
    let stored = r#"{"error":{"code":"x","message":"y"},"other":1}"#;
    check(
        "edge-config-export",
        stored,
        "items(key*, value)\n\"error\" | json {\"code\":\"x\",\"message\":\"y\"}\n\"other\" | json 1\n",
    );
    let files = Files::new(&[("e.json", array.as_bytes())]);
    let notes = open("edge-config-export", &files.path("e.json"), &FileOptions::default()).unwrap().notes();
    let wanted = "members of items that belong to the service are not compared: edgeConfigId, createdAt, updatedAt";
    assert_eq!(notes, [wanted]);
}

#[test]
fn a_folder_is_its_files() {
    let files = Files::new(&[
        ("b.csv", b"id\n1\n"),
        ("a.json", br#"[{"id":2}]"#),
        ("c.jsonl", b"\xef\xbb\xbf{\"id\":3}"),
        ("d.tsv", b"id\tx\n4\t5\n"),
        ("readme.md", b"x"),
    ]);
    fs::create_dir(files.path("deeper.json")).unwrap();
    let mut source = open("json", files.0.path(), &FileOptions::default()).unwrap();
    assert_eq!(dump(source.as_mut()).unwrap(), "a(id*)\n2\nb(id*)\n1\nc(id*)\n3\nd(id*, x)\n4 | 5\n");
    let notes: Vec<_> = source.notes().iter().map(|it| it.rsplit('/').next().unwrap().to_owned()).collect();
    let others = "files of the folder that are not read: deeper.json, readme.md";
    assert_eq!(notes, ["c.jsonl: stepped over the byte order mark at its start", others]);

    let files = Files::new(&[("a.json", b"[]"), ("a.csv", b"x\n")]);
    let wanted = "a.csv and a.json both hold a table `a`; rename one";
    assert_eq!(read("json", &files, "", &FileOptions::default()).unwrap_err(), wanted);
    let files = Files::new(&[("a.txt", b"")]);
    let error = read("json", &files, "", &FileOptions::default()).unwrap_err();
    assert_eq!(error, ": no .json, .ndjson, .jsonl, .csv or .tsv file in this folder");
}

#[test]
fn a_byte_order_mark_is_stepped_over_and_said() {
    let cases: [(&str, &[u8], &str); 4] = [
        ("json", b"\xef\xbb\xbf[{\"id\":1}]", "t(id*)\n1\n"),
        ("ndjson", b"\xef\xbb\xbf{\"id\":1}\n", "t(id*)\n1\n"),
        ("csv", b"\xef\xbb\xbfid\n1\n", "t(id*)\n1\n"),
        ("csv", b"\xef\xbb\xbf\"id\",b\n1,2\n", "t(id*, b)\n1 | 2\n"),
    ];
    for (kind, bytes, wanted) in cases {
        let files = Files::new(&[("t", bytes)]);
        let mut source = open(kind, &files.path("t"), &FileOptions::default()).unwrap();
        assert_eq!(dump(source.as_mut()).unwrap(), wanted, "{kind}");
        assert!(
            source.notes()[0].ends_with("t: stepped over the byte order mark at its start"),
            "{:?}",
            source.notes()
        );
    }
}

#[test]
fn a_kind_is_seen_by_content_first() {
    let item = br#"[{"key":"a","value":1,"edgeConfigId":"e"}]"#;
    let files = Files::new(&[
        ("a.json", b"SQLite format 3\0rest"),
        ("b.sql", b""),
        ("c.CSV", b""),
        ("d.tsv", b""),
        ("e.ndjson", b""),
        ("f.jsonl", b""),
        ("g.json", item),
        ("h.json", br#"[{"key":"a","value":1}]"#),
        ("i.json", b"]["),
        ("j.txt", b"x"),
    ]);
    fs::create_dir(files.path("k")).unwrap();
    fs::create_dir(files.path("l")).unwrap();
    fs::write(files.path("l/snapshot.json"), "{}").unwrap();
    let kinds = [
        "sqlite",
        "d1-export",
        "csv",
        "csv",
        "ndjson",
        "ndjson",
        "edge-config-export",
        "json",
        "json",
        "",
        "json",
        "snapshot",
    ];
    let names =
        ["a.json", "b.sql", "c.CSV", "d.tsv", "e.ndjson", "f.jsonl", "g.json", "h.json", "i.json", "j.txt", "k", "l"];
    for (name, kind) in names.into_iter().zip(kinds) {
        assert_eq!(sniff(&files.path(name)).unwrap().unwrap_or_default(), kind, "{name}");
    }
    assert_eq!(files.plain(&sniff(&files.path("missing")).unwrap_err()), "missing: no such file");
}

#[test]
fn only_regular_files_are_read() {
    let files = Files::new(&[("real.json", b"[]")]);
    std::os::unix::fs::symlink(files.path("real.json"), files.path("link.json")).unwrap();
    assert_eq!(read("json", &files, "link.json", &FileOptions::default()).unwrap(), "link()\n");
    assert_eq!(read("csv", &files, "x", &FileOptions::default()).unwrap_err(), "x: no such file");
    for kind in ["ndjson", "csv", "edge-config-export"] {
        let error = open(kind, files.0.path(), &FileOptions::default()).err().unwrap().to_string();
        assert!(error.ends_with("is a folder, a file is wanted"), "{error}");
        let error = open(kind, Path::new("/dev/zero"), &FileOptions::default()).err().unwrap().to_string();
        assert_eq!(error, "/dev/zero: is not a regular file; save what it gives to a file first");
    }
    assert_eq!(
        open("xml", Path::new("x"), &FileOptions::default()).err().unwrap().to_string(),
        "`xml` is no kind of file"
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let files = Files::new(&[("t.json", br#"[{"a":1}]"#)]);
    let mut source = open("json", &files.path("t.json"), &FileOptions::default()).unwrap();
    fs::write(files.path("t.json"), r#"[{"b":1}]"#).unwrap();
    let error = files.plain(&dump(source.as_mut()).unwrap_err());
    let wanted =
        "t.json:1:3: the member `b` was not there when the file was first read: the file changes while it is read";
    assert_eq!(error, wanted);
}

#[test]
fn values_larger_than_the_buffer_are_whole() {
    let long = "x".repeat(3 << 20);
    let rows: Vec<_> = (0..4000).map(|it| format!("{{\"id\":{it},\"v\":\"{}\"}}", "é".repeat(it % 300))).collect();
    for (kind, text) in [
        ("json", format!("[{{\"id\":-1,\"v\":\"{long}\"}},\n{}]", rows.join(",\n"))),
        ("ndjson", format!("{{\"id\":-1,\"v\":\"{long}\"}}\n{}\n", rows.join("\n"))),
    ] {
        let files = Files::new(&[("t", text.as_bytes())]);
        let read = read(kind, &files, "t", &FileOptions::default()).unwrap();
        let wanted = (0..4000).map(|it| format!("{it} | \"{}\"\n", "é".repeat(it % 300))).collect::<String>();
        assert!(read == format!("t(id*, v)\n-1 | \"{long}\"\n{wanted}"), "{kind}");
    }
    let files = Files::new(&[("t", format!("a,b\n1,\"{long}\"\n2,3\n").as_bytes())]);
    let read = read("csv", &files, "t", &FileOptions::default()).unwrap();
    assert!(read == format!("t(a, b)\n1 | \"{long}\"\n2 | 3\n"));
}
