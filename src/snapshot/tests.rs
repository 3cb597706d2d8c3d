use super::{format::Header, *};
use crate::{
    error::Result,
    row::{Batch, Feed, Rows},
    schema::{Column, ForeignKey, Origin, Unique},
    value::{Type, Value, time::Moment},
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Rows as they are handed out: the cells of each, in the order of the shape.
type Read = Vec<(String, Vec<Vec<u8>>)>;

fn users() -> Table {
    let mut table = Table::new("users");
    table.columns = vec![
        Column::new("email", Type::Text),
        Column::new("id", Type::Int),
        Column { name: "seen".into(), ty: Type::Timestamp, origin: Origin::Enforced, nullable: false },
        Column::new("data", Type::Json),
    ];
    table.key = vec![1];
    table.key_origin = Origin::Enforced;
    table.uniques = vec![Unique { columns: vec![0], enforced: true }];
    table.foreign_keys = vec![ForeignKey { columns: vec![1], table: "Teams".into(), to: vec!["id".into()] }];
    table
}

fn teams() -> Table {
    let mut table = Table::new("Teams");
    table.columns = vec![Column::new("id", Type::Any)];
    table.nullless = true;
    table.unreadable = Some("a view".into());
    table
}

fn meta() -> Meta {
    let store = Store { kind: "sqlite".into(), name: "site.db".into() };
    Meta { store, captured: "2026-01-02T03:04:05Z".into(), notes: vec!["email is masked".into()] }
}

fn user(id: i64) -> Vec<Value<'static>> {
    let seen = Value::Timestamp(Moment { seconds: 1_700_000_000 + id, nanos: 0 });
    let data = if id % 2 == 0 { Value::Json(r#"{"$text":1}"#) } else { Value::Text("{") };
    vec![Value::Int(id), if id == 3 { Value::Null } else { Value::Text("a@b.example") }, seen, data]
}

fn batch(table: &Table, rows: &[Vec<Value<'_>>]) -> Batch {
    let mut batch = Batch::new(shape(table));
    for row in rows {
        batch.push(row.iter().copied());
    }
    batch
}

fn write(folder: &Path, options: Options, tables: &[(Table, Vec<Vec<Value<'_>>>)]) -> Result<()> {
    let mut writer = Writer::create(folder, meta(), options)?;
    for (table, rows) in tables {
        let mut into = writer.table(table, &shape(table))?;
        // Batches of seven rows, because what is written must not depend on them.
        for rows in rows.chunks(7) {
            let _ = into.take(&mut batch(table, rows))?;
        }
        assert_eq!(into.finish()?, rows.len() as u64);
    }
    writer.finish()
}

/// A folder to work in, and the snapshot `s` in it with a few rows.
fn sample(options: Options) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("s");
    let teams_rows = vec![vec![Value::Int(1)], vec![Value::Int(1)], vec![Value::Real(0.5)], vec![Value::Text("x")]];
    write(&folder, options, &[(users(), (1..=3).map(user).collect()), (teams(), teams_rows)]).unwrap();
    (home, folder)
}

fn packed() -> Options {
    Options { plain: 0, ..Options::default() }
}

fn read(folder: &Path) -> Result<Read> {
    let reader = Reader::open(folder)?;
    let mut read = Vec::new();
    for table in reader.tables() {
        let mut rows = reader.rows(&table.name)?;
        let mut batch = Batch::new(Arc::clone(rows.shape()));
        loop {
            rows.fill(&mut batch)?;
            if batch.is_empty() {
                break;
            }
            read.extend(batch.rows().map(|row| {
                (table.name.clone(), (0..table.columns.len()).map(|it| row.cell(it).to_vec()).collect::<Vec<_>>())
            }));
        }
    }
    Ok(read)
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |it: fs::DirEntry| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap());
    fs::read_dir(folder).unwrap().map(|it| entry(it.unwrap())).collect()
}

/// Writes a file anew: some file systems wait for the disk when an old one is overwritten, and there are thousands.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn refused(result: Result<Read>, kind: Kind, what: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(what), "{error}");
}

/// Changes the header as somebody would who knows how its checksum is made.
fn forge(folder: &Path, change: impl FnOnce(&mut Header)) {
    let path = folder.join(names::HEADER);
    let mut header = Header::open(&path, &fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut header);
    fs::write(path, header.sealed().unwrap()).unwrap();
}

/// The sample, file by file.
const GOLDEN: &str = r#"=== snapshot.json
{
  "format": "cutover-snapshot/1",
  "store": {
    "kind": "sqlite",
    "name": "site.db"
  },
  "captured": "2026-01-02T03:04:05Z",
  "notes": [
    "email is masked"
  ],
  "tables": [
    {
      "name": "users",
      "columns": [
        {
          "name": "email",
          "type": "text",
          "origin": "declared",
          "nullable": true
        },
        {
          "name": "id",
          "type": "int",
          "origin": "declared",
          "nullable": true
        },
        {
          "name": "seen",
          "type": "timestamp",
          "origin": "enforced",
          "nullable": false
        },
        {
          "name": "data",
          "type": "json",
          "origin": "declared",
          "nullable": true
        }
      ],
      "key": [
        "id"
      ],
      "key_origin": "enforced",
      "uniques": [
        {
          "columns": [
            "email"
          ],
          "enforced": true
        }
      ],
      "foreign_keys": [
        {
          "columns": [
            "id"
          ],
          "table": "Teams",
          "to": [
            "id"
          ]
        }
      ],
      "rows": 3,
      "parts": [
        {
          "file": "users-3bdfbece85c88153.0001.ndjson",
          "rows": 3,
          "bytes": 260,
          "text": 260,
          "first": [1],
          "last": [3],
          "blake3": "146127d511916284d3ad2073ac0b89ed5e82ab2d1e7299ac22d8eba7e29a6d1f"
        }
      ]
    },
    {
      "name": "Teams",
      "columns": [
        {
          "name": "id",
          "type": "any",
          "origin": "declared",
          "nullable": true
        }
      ],
      "key": [],
      "key_origin": "guessed",
      "uniques": [],
      "foreign_keys": [],
      "nullless": true,
      "unreadable": "a view",
      "rows": 4,
      "parts": [
        {
          "file": "teams-8de0cade52c5a794.0001.ndjson",
          "rows": 4,
          "bytes": 104,
          "text": 104,
          "first": [1],
          "last": ["x"],
          "blake3": "dc91d9215aa3c07be79307910ef5c716d549a454b90af8c96e9c97d80cdafbe2"
        }
      ]
    }
  ],
  "checksum": "1b6c6d671d374879a952ff098c34235db425b1f5974674a8422d092b341e398c"
}
=== teams-8de0cade52c5a794.0001.ndjson
{"format":"cutover-snapshot/1","table":"Teams","part":1,"columns":["id"]}
[1]
[1]
[{"$real":0.5}]
["x"]
=== users-3bdfbece85c88153.0001.ndjson
{"format":"cutover-snapshot/1","table":"users","part":1,"columns":["email","id","seen","data"]}
["a@b.example",1,"2023-11-14T22:13:21Z",{"$text":"{"}]
["a@b.example",2,"2023-11-14T22:13:22Z",{"$json":{"$text":1}}]
[null,3,"2023-11-14T22:13:23Z",{"$text":"{"}]
"#;

#[test]
fn the_bytes_of_a_snapshot_do_not_change() {
    let (_home, folder) = sample(Options::default());
    let mut all = String::new();
    for (name, bytes) in files(&folder) {
        all += &format!("=== {name}\n{}", String::from_utf8(bytes).unwrap());
    }
    assert_eq!(all, GOLDEN, "a change of the format needs a new version of it");
}

#[test]
fn what_was_captured_is_read() {
    for options in [Options::default(), packed(), Options { part_rows: 1, ..packed() }] {
        let (_home, folder) = sample(options);
        let reader = Reader::open(&folder).unwrap();
        assert_eq!((reader.store(), reader.captured()), (&meta().store, "2026-01-02T03:04:05Z"));
        assert_eq!(reader.notes(), meta().notes);
        let declared = |table: Table, rows| Table { rows_about: Some(rows), ..table };
        assert_eq!(reader.tables(), [declared(users(), 3), declared(teams(), 4)]);
        let rows: Vec<_> = (1..=3).map(user).collect();
        let expect = batch(&users(), &rows);
        let found = read(&folder).unwrap();
        for (row, found) in expect.rows().zip(&found) {
            assert_eq!(found.1.concat(), row.bytes());
        }
        assert_eq!(found.len(), 7);
    }
}

#[test]
fn every_flipped_bit_shows() {
    for options in [Options::default(), packed()] {
        let (_home, folder) = sample(options);
        let before = read(&folder).unwrap();
        for (name, bytes) in files(&folder) {
            for at in 0..bytes.len() {
                for mask in [1, 0x20, 0x80] {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= mask;
                    put(&folder.join(&name), &flipped);
                    refused(read(&folder), Kind::Snapshot, &name);
                }
            }
            put(&folder.join(&name), &bytes);
        }
        assert_eq!(read(&folder).unwrap(), before);
    }
}

#[test]
fn every_cut_shows() {
    for options in [Options::default(), packed()] {
        let (_home, folder) = sample(options);
        for (name, bytes) in files(&folder) {
            for length in 0..bytes.len() {
                put(&folder.join(&name), &bytes[..length]);
                refused(read(&folder), Kind::Snapshot, &name);
            }
            put(&folder.join(&name), &[&bytes, b"\n".as_slice()].concat());
            refused(read(&folder), Kind::Snapshot, &name);
            put(&folder.join(&name), &bytes);
        }
    }
}

#[test]
fn other_files_are_refused() {
    let check = |change: &dyn Fn(&Path, &[String]), what: &str| {
        let (_home, folder) = sample(Options { part_rows: 2, ..Options::default() });
        let names: Vec<_> = names_in(&folder).into_iter().filter(|it| it != names::HEADER).collect();
        assert_eq!(names.len(), 4);
        change(&folder, &names);
        refused(read(&folder), Kind::Snapshot, what);
    };
    check(&|folder, names| fs::remove_file(folder.join(&names[0])).unwrap(), "missing");
    check(&|folder, _| fs::remove_file(folder.join(names::HEADER)).unwrap(), "no snapshot");
    check(&|folder, _| fs::write(folder.join("notes.txt"), "x").unwrap(), "holds \"notes.txt\"");
    check(&|folder, _| fs::write(folder.join(names::HEADER), "{").unwrap(), "capture again");
    check(&|folder, _| fs::write(folder.join(names::HEADER), "\u{0}").unwrap(), "capture again");
    check(&|folder, _| fs::write(folder.join(names::HEADER), r#"{"format":"x"}"#).unwrap(), "not a snapshot");
    let newer = r#"{"format":"cutover-snapshot/2","rows":[]}"#;
    check(&|folder, _| fs::write(folder.join(names::HEADER), newer).unwrap(), "written by a newer cutover");
    let swap = |folder: &Path, names: &[String]| {
        fs::rename(folder.join(&names[0]), folder.join("x")).unwrap();
        fs::rename(folder.join(&names[1]), folder.join(&names[0])).unwrap();
        fs::rename(folder.join("x"), folder.join(&names[1])).unwrap();
    };
    check(&swap, &names::part("Teams", 1, false));
    let reorder = |folder: &Path, names: &[String]| {
        let text = fs::read_to_string(folder.join(&names[2])).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(folder.join(&names[2]), format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1])).unwrap();
    };
    check(&reorder, "BLAKE3");
    check(
        &|folder, names| {
            fs::remove_file(folder.join(&names[0])).unwrap();
            fs::create_dir(folder.join(&names[0])).unwrap();
        },
        "not a plain file",
    );
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    for name in [names::HEADER.to_owned(), names::part("users", 1, false)] {
        let (home, folder) = sample(Options::default());
        let elsewhere = home.path().join("elsewhere");
        fs::rename(folder.join(&name), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join(&name)).unwrap();
        refused(read(&folder), Kind::Snapshot, "not a plain file");
    }
}

#[test]
fn forged_headers_are_refused() {
    let check = |change: &dyn Fn(&mut Header), what: &str| {
        for options in [Options::default(), packed()] {
            let (_home, folder) = sample(options);
            forge(&folder, change);
            refused(read(&folder), Kind::Snapshot, what);
        }
    };
    check(&|it| it.tables[0].rows += 1, "do not add up");
    check(&|it| it.tables[0].parts[0].rows = u64::MAX, "do not add up");
    check(&|it| it.tables[0].parts[0].file = "../users.ndjson".into(), "cannot be");
    check(&|it| it.tables[0].parts[0].file = "/etc/passwd".into(), "cannot be");
    check(&|it| it.tables[0].parts[0].file = it.tables[1].parts[0].file.clone(), "cannot be");
    check(&|it| it.tables[1] = it.tables[0].clone(), "twice");
    check(&|it| it.tables.truncate(1), "does not name");
    check(&|it| it.tables[0].parts[0].text -= 1, "more text");
    check(&|it| it.tables[0].parts[0].text += 1, "rows");
    check(&|it| it.tables[0].parts[0].bytes += 1, "bytes long");
    check(&|it| it.tables[0].parts[0].blake3 = it.tables[1].parts[0].blake3.clone(), "BLAKE3");
    let fewer = |it: &mut Header| {
        it.tables[0].rows -= 1;
        it.tables[0].parts[0].rows -= 1;
    };
    check(&fewer, "it holds 3 rows, not 2");
}

/// A part that somebody made, with a header that agrees with it.
fn forged_part(text: &[u8], claimed: u64) -> Result<Read> {
    let (_home, folder) = sample(packed());
    let name = names::part("users", 1, true);
    let packed = zstd::encode_all(text, 3).unwrap();
    fs::write(folder.join(&name), &packed).unwrap();
    forge(&folder, |it| {
        let part = &mut it.tables[0].parts[0];
        part.bytes = packed.len() as u64;
        part.blake3 = blake3::hash(&packed).to_hex().as_str().to_owned();
        part.text = claimed;
    });
    read(&folder)
}

#[test]
fn forged_rows_are_refused_and_bombs_do_not_go_off() {
    let title = format::title(&users(), 1);
    let check = |rows: &str, what: &str| {
        let text = [&title, rows.as_bytes()].concat();
        refused(forged_part(&text, text.len() as u64), Kind::Snapshot, what);
    };
    check("[\"a\",1,null]\n", "line 2: not a row");
    check("[\"a\",1,null,null,null]\n", "line 2: not a row");
    check("[\"a\",1,null,null]\n[\"a\", 2,null,null]\n", "line 3: not a row");
    check("[\"a\",\"1\",null,null]\n", "line 2: not a row");
    check("[\"a\",1,null,{\"b\":1,\"a\":2}]\n", "line 2: not a row");
    check("\n", "line 2: not a row");
    check("[\"a\",1,null,null]", "line 2: cut off");
    check("[\"a\",1,null,null]\n", "it holds 1 rows, not 3");
    let bomb = [title.as_slice(), &vec![b'0'; 64 << 20]].concat();
    refused(forged_part(&bomb, 1 << 20), Kind::Snapshot, "more text");
    refused(forged_part(&bomb, u64::MAX), Kind::Snapshot, "cut off");
    refused(forged_part(&bomb[1..], bomb.len() as u64), Kind::Snapshot, "not the part that its name says");
}

#[test]
fn parts_hold_so_many_rows_and_no_more() {
    let check = |count: i64, options: Options, expect: &[u64]| {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("s");
        write(&folder, options, &[(users(), (0..count).map(user).collect())]).unwrap();
        let reader = Reader::open(&folder).unwrap();
        let parts = reader.parts("users").unwrap();
        assert_eq!(parts.iter().map(|it| it.rows).collect::<Vec<_>>(), expect);
        assert_eq!(read(&folder).unwrap().len() as i64, count);
        let mut next = 0;
        for part in parts {
            assert_eq!(part.first.as_ref().unwrap().get(), format!("[{next}]"));
            next += part.rows;
            assert_eq!(part.last.as_ref().unwrap().get(), format!("[{}]", next - 1));
        }
    };
    for plain in [0, 1 << 20] {
        let ten = || Options { part_rows: 10, plain, ..Options::default() };
        check(0, ten(), &[]);
        check(9, ten(), &[9]);
        check(10, ten(), &[10]);
        check(11, ten(), &[10, 1]);
        check(20, ten(), &[10, 10]);
    }
}

#[test]
fn keys_of_any_depth_and_length_are_kept() {
    let check = |depth: usize, told: bool| {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("s");
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        write(&folder, packed(), &[(teams(), vec![vec![Value::Json(&deep)]])]).unwrap();
        let reader = Reader::open(&folder).unwrap();
        assert_eq!(reader.parts("Teams").unwrap()[0].first.is_some(), told);
        assert_eq!(read(&folder).unwrap().len(), 1);
    };
    check(1, true);
    check(500, true);
    check(600, false);
    check(100_000, false);
}

#[test]
fn long_parts_are_packed_and_short_ones_are_not() {
    let check = |count: i64, end: &str| {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("s");
        let options = Options { plain: 2000, ..Options::default() };
        write(&folder, options, &[(users(), (0..count).map(user).collect())]).unwrap();
        assert!(names_in(&folder)[1].ends_with(end), "{:?}", names_in(&folder));
        assert_eq!(read(&folder).unwrap().len() as i64, count);
    };
    check(20, ".ndjson");
    check(200, ".ndjson.zst");
}

#[test]
fn the_bytes_depend_on_the_rows_alone() {
    let rows: Vec<_> = (0..500).map(user).collect();
    let home = tempfile::tempdir().unwrap();
    let options = || Options { plain: 5000, part_rows: 300, ..Options::default() };
    write(&home.path().join("a"), options(), &[(users(), rows.clone())]).unwrap();
    let mut writer = Writer::create(&home.path().join("b"), meta(), options()).unwrap();
    let mut into = writer.table(&users(), &shape(&users())).unwrap();
    let _ = into.take(&mut batch(&users(), &rows)).unwrap();
    into.finish().unwrap();
    writer.finish().unwrap();
    assert_eq!(files(&home.path().join("a")), files(&home.path().join("b")));
}

#[test]
fn hostile_table_names_stay_in_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("s");
    let long = "x".repeat(300);
    let names = ["../x", "/etc/x", "a\0b", "CON", "User", "user", "", ".", "..", "snapshot.json", "\u{1b}[2J", &long];
    let table = |name: &str| {
        let mut table = users();
        table.name = name.into();
        table
    };
    let tables: Vec<_> = names.iter().map(|it| (table(it), vec![user(1)])).collect();
    write(&folder, Options::default(), &tables).unwrap();
    assert_eq!(read(&folder).unwrap().into_iter().map(|it| it.0).collect::<Vec<_>>(), names);
    assert_eq!(names_in(home.path()), ["s"]);
    assert_eq!(names_in(&folder).len(), names.len() + 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    for options in [Options::default(), packed()] {
        let (_home, folder) = sample(options);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        for name in names_in(&folder) {
            assert_eq!(mode(&folder.join(name)), 0o600);
        }
    }
}

#[test]
fn what_fails_leaves_what_was_there() {
    let (home, folder) = sample(Options::default());
    let before = files(&folder);
    let again = |rows: Vec<_>, replace| write(&folder, Options { replace, ..packed() }, &[(users(), rows)]);
    let check = |result: Result<()>, kind: Kind| {
        assert_eq!(result.unwrap_err().kind(), kind);
        assert_eq!(files(&folder), before);
        assert_eq!(names_in(home.path()), ["s"]);
    };
    check(again(vec![user(1)], false), Kind::File);
    check(again(vec![user(2), user(1)], true), Kind::Order);
    check(again((0..8).map(|it| user(-it / 7)).collect(), true), Kind::Order);
    let mut writer = Writer::create(&folder, meta(), Options { replace: true, ..packed() }).unwrap();
    assert_eq!(names_in(home.path()).len(), 2);
    drop(writer.table(&users(), &shape(&users())).unwrap());
    check(writer.finish(), Kind::Broken);
    // Somebody else puts a snapshot there meanwhile.
    let late = home.path().join("late");
    let writer = Writer::create(&late, meta(), Options::default()).unwrap();
    fs::create_dir(&late).unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), Kind::File);
    assert_eq!(names_in(home.path()), ["late", "s"]);
}

#[test]
fn only_a_snapshot_is_replaced() {
    let (home, folder) = sample(Options::default());
    let again = || write(&folder, Options { replace: true, ..packed() }, &[(users(), vec![user(9)])]);
    again().unwrap();
    assert_eq!(read(&folder).unwrap().len(), 1);
    assert_eq!(names_in(&folder).len(), 2);
    assert_eq!(names_in(home.path()), ["s"]);
    fs::write(folder.join("thesis.txt"), "x").unwrap();
    assert!(again().unwrap_err().to_string().contains("thesis.txt"));
    fs::remove_file(folder.join("thesis.txt")).unwrap();
    fs::remove_file(folder.join(names::HEADER)).unwrap();
    assert!(again().unwrap_err().to_string().contains("not a snapshot"));
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "x").unwrap();
    assert!(again().unwrap_err().to_string().contains("not a folder"));
    assert_eq!(fs::read(&folder).unwrap(), b"x");
}

#[test]
fn a_table_can_be_begun_again() {
    for options in [Options { part_rows: 1, ..packed() }, packed(), Options::default()] {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("s");
        let mut writer = Writer::create(&folder, meta(), options).unwrap();
        let mut into = writer.table(&users(), &shape(&users())).unwrap();
        let disorder = into.take(&mut batch(&users(), &[user(1), user(3), user(2)])).unwrap_err();
        assert_eq!(disorder.kind(), Kind::Order);
        into.discard().unwrap();
        let mut into = writer.table(&users(), &shape(&users())).unwrap();
        let _ = into.take(&mut batch(&users(), &[user(1), user(2), user(3)])).unwrap();
        assert_eq!(into.finish().unwrap(), 3);
        writer.finish().unwrap();
        assert_eq!(read(&folder).unwrap().len(), 3);
    }
}

#[test]
fn mistakes_of_the_caller_are_told() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&home.path().join("s"), meta(), Options::default()).unwrap();
    let kind = |result: Result<TableWriter<'_>>| result.map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(writer.table(&users(), &shape(&teams()))), Kind::Broken);
    let mut twice = teams();
    twice.columns.push(Column::new("id", Type::Int));
    assert_eq!(kind(writer.table(&twice, &shape(&twice))), Kind::Store);
    for key in [vec![7], vec![1, 1]] {
        let table = Table { key, ..users() };
        assert_eq!(kind(writer.table(&table, &shape(&table))), Kind::Broken);
    }
    writer.table(&teams(), &shape(&teams())).unwrap().finish().unwrap();
    assert_eq!(kind(writer.table(&teams(), &shape(&teams()))), Kind::Broken);
    let mut into = writer.table(&users(), &shape(&users())).unwrap();
    assert_eq!(into.take(&mut batch(&teams(), &[vec![Value::Null]])).unwrap_err().kind(), Kind::Broken);
    assert_eq!(Writer::create(Path::new("/"), meta(), Options::default()).map(|_| ()).unwrap_err().kind(), Kind::File);
}

/// What a store might hand out, whatever the column says.
fn any_value() -> impl Strategy<Value = Value<'static>> {
    let texts =
        ["", "a", "7", "007", "1.50", "true", "null", "{}", "{\"$a\":1}", "1e400", "2024-01-01T00:00:00Z", "\0"];
    let documents = ["null", "1", "1.0", "123456789012345678901234567890", "\"x\"", "[1]", "{\"$json\":null}", "true"];
    let numbers = ["1.5", "-123456789012345678901234567890", "NaN", "0"];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Real),
        Just(Value::Real(f64::NAN)),
        prop::sample::select(numbers.to_vec()).prop_map(Value::Decimal),
        prop::sample::select(texts.to_vec()).prop_map(Value::Text),
        prop::sample::select(documents.to_vec()).prop_map(Value::Json),
        Just(Value::Malformed(b"\xff\0")),
        Just(Value::Bytes(b"\0\xff")),
        any::<i64>().prop_map(Value::Date),
        any::<u64>().prop_map(Value::Time),
        any::<i64>().prop_map(|seconds| Value::Timestamp(Moment { seconds, nanos: 5 })),
        any::<i32>().prop_map(|it| Value::DateTime(Moment { seconds: it.into(), nanos: 0 })),
        any::<[u8; 16]>().prop_map(Value::Uuid),
    ]
}

proptest! {
    // A quarter of the usual number of cases, because each of them waits for the disk some times.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn rows_come_back_as_they_were(
        types in prop::collection::vec(prop::sample::select(Type::ALL.to_vec()), 1..5),
        key in 0..3_usize,
        rows in prop::collection::vec(prop::collection::vec(any_value(), 5), 0..30),
        plain in prop::sample::select(vec![0, 100, 1 << 20]),
        part_rows in 8..40_u64,
    ) {
        let mut table = Table::new("t");
        table.columns = (0..).zip(&types).map(|(it, &ty)| Column::new(format!("c{it}"), ty)).collect();
        table.key = (0..types.len()).rev().take(key).collect();
        let mut all = Batch::new(shape(&table));
        for row in &rows {
            all.push(row.iter().copied().take(types.len()));
        }
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|&it| all.row(it).compared());
        let mut sorted = Batch::new(shape(&table));
        order.iter().for_each(|&it| sorted.push_row(all.row(it)));
        let expect: Vec<_> = sorted.rows().map(|it| it.bytes().to_vec()).collect();

        let home = tempfile::tempdir().unwrap();
        let (folder, again) = (home.path().join("s"), home.path().join("again"));
        let options = Options { plain, part_rows, replace: false };
        let mut writer = Writer::create(&folder, meta(), options.clone()).unwrap();
        let mut into = writer.table(&table, &shape(&table)).unwrap();
        let _ = into.take(&mut sorted).unwrap();
        into.finish().unwrap();
        writer.finish().unwrap();

        let found: Vec<_> = read(&folder).unwrap().into_iter().map(|it| it.1.concat()).collect();
        prop_assert_eq!(found, expect);

        // What is read and written once more is the same, byte by byte.
        let reader = Reader::open(&folder).unwrap();
        let mut writer = Writer::create(&again, meta(), options).unwrap();
        let mut into = writer.table(&reader.tables()[0], &shape(&table)).unwrap();
        let mut rows = reader.rows("t").unwrap();
        let mut batch = Batch::new(shape(&table));
        rows.fill(&mut batch).unwrap();
        while !batch.is_empty() {
            let _ = into.take(&mut batch).unwrap();
            rows.fill(&mut batch).unwrap();
        }
        into.finish().unwrap();
        writer.finish().unwrap();
        prop_assert_eq!(files(&folder), files(&again));
    }
}
