use super::*;
use crate::{
    plan::Setting,
    row::Field,
    store::{memory::Owned, settings::Settings},
    value::cast::Cast,
};
use rusqlite::Connection;
use std::collections::BTreeMap;
use tempfile::TempDir;

/// Profiles that Chromium 156 and Firefox ESR 153 wrote.
const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/local-storage-to-postgres/profiles");

/// The rows of a table as they are looked at.
#[derive(Default)]
struct Rows(Vec<(Owned, Owned)>);

impl Feed for Rows {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let mut scratch = (Vec::new(), Vec::new());
        for row in batch.rows() {
            self.0.push((row.value(0, &mut scratch.0).into(), row.value(1, &mut scratch.1).into()));
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

fn open(path: &Path, origin: Option<&str>) -> Result<LocalStorage> {
    let given = origin.map(|it| ("origin".to_owned(), Setting::Text(it.to_owned())));
    let settings = Settings::default().with(given.into_iter().collect());
    LocalStorage::open(path, &Options { settings, ..Options::default() })
}

fn rows(store: &mut LocalStorage, name: &str) -> Vec<(Owned, Owned)> {
    let tables = store.tables().unwrap();
    let table = tables.iter().find(|it| it.name == name).unwrap();
    let fields = vec![Field::new("key", Cast::new(Type::Text)), Field::new("value", Cast::new(Type::Json))];
    let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
    let mut rows = Rows::default();
    store.scan(table, &shape, &mut rows).unwrap();
    assert_eq!(table.rows_about, Some(rows.0.len() as u64));
    rows.0
}

/// What the recorded origin with the odd texts holds, sorted by the bytes of the keys.
fn odd() -> Vec<(Owned, Owned)> {
    let text = |it: &str| Owned::Text(it.to_owned());
    let json = |it: &str| Owned::Json(it.to_owned());
    let half = |it: &[u8]| Owned::Malformed(it.to_vec());
    let mut all = vec![
        (text(""), text("empty key")),
        (text("clé-日"), text("non-ASCII key")),
        (text("empty value"), text("")),
        (text("float"), json("1.10")),
        (text("json-lone"), text(r#"{"t":"a\ud800b"}"#)),
        (text("latin1"), text("café ÿ")),
        (text("lone-surrogate"), half(b"a\xed\xa0\x80b")),
        (text("long"), json(&"0123456789".repeat(512))),
        (text("long-utf16"), text(&"日本".repeat(200))),
        (half(b"low-\xed\xb0\x80"), text("key with half a pair")),
        (text("not-json"), text("{not json")),
        (text("nul"), text("a\0b")),
        (text("nul\0key"), text("x")),
        (text("null"), json("null")),
        (text("number"), json("9007199254740993")),
        (text("pair-across"), half(b"\xed\xa0\xbd")),
        (text("true"), json("true")),
        (text("utf16"), text("日本😀")),
    ];
    // Digits with a zero in front are no JSON.
    all[7].1 = text(&"0123456789".repeat(512));
    all
}

#[test]
fn every_browser_gives_the_same() {
    let partition = "https://frame.partner.test/^0https://example.test";
    let (https, http) = ("https://other.example.test", "http://other.example.test:3000");
    for (profile, format, origin, count) in [
        ("chromium", "Chromium (LevelDB)", https, 4),
        ("chromium-sqlite", "Chromium (SQLite)", https, 4),
        ("firefox", "Firefox (SQLite)", http, 3),
    ] {
        let mut store = open(&Path::new(PROFILES).join(profile), None).unwrap();
        let names: Vec<String> = store.tables().unwrap().into_iter().map(|it| it.name).collect();
        assert_eq!(names.len(), count, "{names:?}");
        assert_eq!(rows(&mut store, origin), odd(), "{profile}");
        let port = Owned::Json("3000".to_owned());
        assert_eq!(rows(&mut store, "http://localhost:3000"), [(Owned::Text("port".to_owned()), port)]);
        if count == 4 {
            assert_eq!(rows(&mut store, partition).len(), 1);
        }
        let notes = store.notes();
        let note = "3 keys and values hold half of a surrogate pair";
        assert!(notes.len() == 1 && notes[0].contains(note), "{profile}: {notes:?}");
        let facts = store.about().unwrap();
        assert_eq!(facts[0].says, format);
        assert_eq!(facts[1], Fact::new("browser", "is not running"));
        let shown = format!("{facts:?}");
        assert!(shown.contains(&format!("{origin}: 18 keys")) && !shown.contains("Zo"), "{shown}");
    }
}

#[test]
fn an_app_is_read_alike_from_profiles_and_from_a_console() {
    let dump = Path::new(PROFILES).join("../source/local-storage.json");
    let origin = "https://app.example.test";
    let expect = rows(&mut open(&dump, Some(origin)).unwrap(), origin);
    let find = |key: &str| expect.iter().find(|it| it.0 == Owned::Text(key.to_owned())).map(|it| &it.1);
    assert_eq!(find("overwritten"), Some(&Owned::Text("new".to_owned())));
    assert_eq!(find("gone"), None);
    for (profile, origin) in [
        ("chromium/Default", origin),
        ("chromium", "https://app.example.test/"),
        ("chromium-sqlite/Default/LocalStorage", origin),
        ("firefox", "http://app.example.test:3000"),
        ("firefox/storage/default/http+++app.example.test+3000", "http://app.example.test:3000"),
    ] {
        let mut store = open(&Path::new(PROFILES).join(profile), Some(origin)).unwrap();
        assert_eq!(store.tables().unwrap().len(), 1);
        assert_eq!(rows(&mut store, origin.trim_end_matches('/')), expect, "{profile}");
        store.refresh().unwrap();
        assert_eq!(rows(&mut store, origin.trim_end_matches('/')), expect, "{profile}");
    }
}

/// A key and its value.
type Pair<'p> = (&'p [u8], &'p [u8]);

/// A file with that content.
fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(name);
    fs::write(&path, content).unwrap();
    (home, path)
}

#[test]
fn dumps() {
    let check = |content: &[u8], expect: Result<&[Pair<'_>], &str>| {
        let (_home, path) = file("dump.json", content);
        match (open(&path, None), expect) {
            (Ok(mut store), Ok(expect)) => {
                let wanted: Vec<_> = expect.iter().map(|(key, value)| (raw(key), raw(value))).collect();
                assert_eq!(rows(&mut store, NAMELESS), wanted, "{content:?}");
            }
            (Err(error), Err(expect)) => {
                let shown = error.to_string();
                assert!(shown.contains(expect) && !shown.contains("s3cret"), "{shown}");
            }
            (Ok(_), Err(expect)) => panic!("{content:?}: no error {expect}"),
            (Err(it), Ok(_)) => panic!("{content:?}: {it}"),
        }
    };
    check(b"{}", Ok(&[]));
    check(
        br#"{"b":"x","a":"\u00e9\ud83d\ude00","":"\u0000"}"#,
        Ok(&[(b"", b"\0"), (b"a", "é😀".as_bytes()), (b"b", b"x")]),
    );
    check(br#"{"a":"\ud800b","\udc00":""}"#, Ok(&[(b"a", b"\xed\xa0\x80b"), (b"\xed\xb0\x80", b"")]));
    check(b"\xef\xbb\xbf{\"a\":\"x\"}\n", Ok(&[(b"a", b"x")]));
    check(br#"{"a":"x","a":"y"}"#, Err("holds one key twice"));
    check(br#"{"a":5}"#, Err("localStorage holds texts only"));
    check(br#"{"a":{"token":"s3cret"}}"#, Err("localStorage holds texts only"));
    check(br#"["s3cret"]"#, Err("localStorage holds texts only"));
    check(br#""{\"a\":\"s3cret\"}""#, Err("localStorage holds texts only"));
    check(br#"{"a":"s3cret"#, Err("cut off"));
    check(br#"{"a":"s3cret"} x"#, Err("not JSON"));
    check(b"a=s3cret", Err("neither the local storage of a browser"));
    check(b"", Err("neither the local storage of a browser"));
}

fn raw(bytes: &[u8]) -> Owned {
    let text = |it: &[u8]| String::from_utf8(it.to_vec()).map(Owned::Text);
    text(bytes).unwrap_or_else(|_| Owned::Malformed(bytes.to_vec()))
}

#[test]
fn what_is_asked_for_and_not_there() {
    let chromium = Path::new(PROFILES).join("chromium");
    let error = open(&chromium, Some("https://elsewhere.test")).err().unwrap();
    assert_eq!(error.kind(), Kind::Plan);
    let shown = error.to_string();
    assert!(shown.contains("no local storage of https://elsewhere.test"), "{shown}");
    assert!(shown.contains("https://app.example.test (10 keys)"), "{shown}");
    let mut files = FileOptions::default();
    files.types.insert("https://x.test".to_owned(), BTreeMap::from([("value".to_owned(), Type::Text)]));
    let error = LocalStorage::open(&chromium, &Options { files: files.clone(), ..Options::default() }).err().unwrap();
    assert!(error.to_string().contains("describes a table `https://x.test`"), "{error}");
    let types = files.types.remove("https://x.test").unwrap();
    files.types.insert("https://app.example.test".to_owned(), types);
    let mut store = LocalStorage::open(&chromium, &Options { files, ..Options::default() }).unwrap();
    let tables = store.tables().unwrap();
    let column = &tables.iter().find(|it| it.name == "https://app.example.test").unwrap().columns[1];
    assert_eq!((column.ty, column.origin), (Type::Text, Origin::Enforced));
}

#[test]
fn nothing_beside_a_profile_changes_and_a_log_counts() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("LocalStorage");
    fs::copy(Path::new(PROFILES).join("chromium-sqlite/Default/LocalStorage"), &path).unwrap();
    let writer = Connection::open(&path).unwrap();
    let write = "PRAGMA wal_autocheckpoint = 0; UPDATE map_entries SET value = x'0135' WHERE key = x'01706f7274'";
    writer.execute_batch(write).unwrap();
    let state = || {
        let names = fs::read_dir(home.path()).unwrap().map(|it| it.unwrap().path());
        names.map(|it| (fs::read(&it).unwrap(), it)).collect::<BTreeMap<_, _>>()
    };
    let before = state();
    assert!(before.values().any(|it| it.ends_with("LocalStorage-wal")));
    let mut store = open(home.path(), Some("http://localhost:3000")).unwrap();
    assert_eq!(rows(&mut store, "http://localhost:3000")[0].1, Owned::Json("5".to_owned()));
    assert!(store.notes().iter().any(|it| it.contains("the browser counts 10")), "{:?}", store.notes());
    assert_eq!(state(), before);
}

#[test]
fn damaged_files_are_errors() {
    let check = |profile: &str, spoil: &str, expect: &str| {
        let source = Path::new(PROFILES).join(profile);
        let name = file_name(&source);
        let (_home, path) = file(name, fs::read(&source).unwrap());
        let database = Connection::open(&path).unwrap();
        database.execute_batch(spoil).unwrap();
        drop(database);
        let error = open(&path, None).err().unwrap().to_string();
        assert!(error.contains(expect), "{spoil}: {error}");
    };
    let chromium = "chromium-sqlite/Default/LocalStorage";
    let firefox = "firefox/storage/default/http+++app.example.test+3000/ls/data.sqlite";
    check(chromium, "DELETE FROM maps WHERE row_id = 2", "belongs to no origin");
    check(chromium, "UPDATE map_entries SET value_compression_type = 7", "packed in an unknown way");
    check(chromium, "UPDATE map_entries SET value_compression_type = 1", "cannot be unpacked");
    check(chromium, "UPDATE map_entries SET value = x'05'", "a text in it is none");
    check(chromium, "DROP TABLE maps", "no such table: maps");
    check(firefox, "UPDATE data SET utf16_length = utf16_length + 1 WHERE key = 'sidebar'", "is not as long as");
    check(firefox, "UPDATE data SET value = CAST(x'ff' AS BLOB), utf16_length = 1", "is not as long as");
    check(firefox, "UPDATE data SET compression_type = 1 WHERE key = 'sidebar'", "cannot be unpacked");
    check(firefox, "UPDATE data SET conversion_type = 9", "kept in an unknown way");
    check(firefox, "DELETE FROM database", "Query returned no rows");
    for (name, source) in [("LocalStorage", chromium), ("data.sqlite", firefox)] {
        let mut bytes = fs::read(Path::new(PROFILES).join(source)).unwrap();
        let end = bytes.len() - 2000;
        bytes[end..].fill(0xff);
        let (_home, path) = file(name, bytes);
        let error = open(&path, None).err().unwrap().to_string();
        assert!(error.contains(name), "{error}");
    }
}
