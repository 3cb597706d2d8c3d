use super::*;
use crate::{
    row::{Feed, Shape},
    schema::{Column, Origin, Table},
    store::memory::Memory,
    value::{Type, Value},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    sync::Arc,
};

const KEY: [u8; 32] = [7; 32];

fn users() -> Table {
    let mut table = Table::new("users");
    table.columns =
        vec![Column::new("name", Type::Text), Column::new("id", Type::Int), Column::new("photo", Type::Bytes)];
    table.key = vec![1];
    table
}

/// Two tables, out of order, one of them without a key and with a row that comes twice.
fn store() -> Memory {
    let mut words = Table::new("words");
    words.columns = vec![Column::new("word", Type::Text)];
    let rows = [
        [Value::Text("Mira"), Value::Int(2), Value::Bytes(b"\0\xff")],
        [Value::Null, Value::Int(-1), Value::Null],
        [Value::Text("a\"\u{1}"), Value::Int(1), Value::Bytes(b"")],
    ];
    Memory::new().with(users(), rows).with(words, [[Value::Text("b")], [Value::Text("a")], [Value::Text("b")]])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-01-18T09:30:00.9Z")
}

fn request(secret: Option<&Secret>) -> Request<'_> {
    Request {
        store: Store { kind: "memory".into(), name: "old".into() },
        fingerprint: "memory old".into(),
        plan: Some(PlanFile { path: "cutover.toml".into(), hash: "abc".into() }),
        why: "by hand".into(),
        now: now(),
        check: Checked::Compared,
        secret,
    }
}

struct Home {
    folder: tempfile::TempDir,
    home: PathBuf,
    run: Run,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let home = ensure(&folder.path().join(".cutover")).unwrap();
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        Home { home, run: Run::new(64 << 20, scratch), folder }
    }

    fn create(&self, secret: Option<&Secret>) -> Created {
        create(&self.run, &self.home, &mut store(), request(secret)).unwrap()
    }

    fn verify(&self, id: &str, secret: Option<&Secret>) -> Result<Manifest> {
        verify(&self.run, &self.home, id, secret)
    }

    /// Nothing is left anywhere but these names.
    fn holds(&self, names: &[&str]) {
        assert_eq!(files::names(&self.home).unwrap(), names);
        assert!(files::names(&self.run.scratch).unwrap().is_empty());
    }
}

/// Every file below a folder, with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in files::names(folder).unwrap() {
        let path = folder.join(name);
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

fn cells(store: &mut dyn Source, table: &Table) -> Vec<Vec<u8>> {
    struct Keep(Vec<Vec<u8>>);
    impl Feed for Keep {
        fn take(&mut self, batch: &mut crate::row::Batch) -> Result<crate::row::Flow> {
            self.0.extend(batch.rows().map(|it| it.bytes().to_vec()));
            batch.clear();
            Ok(crate::row::Flow::Continue)
        }
    }
    let mut keep = Keep(Vec::new());
    let shape: Arc<Shape> = snapshot::shape(table);
    store.scan(table, &shape, &mut keep).unwrap();
    keep.0.sort();
    keep.0
}

#[test]
fn what_was_backed_up_is_there_and_private() {
    for secret in [None, Some(Secret::key_file(&KEY).unwrap())] {
        let home = Home::new();
        let made = home.create(secret.as_ref());
        assert_eq!(made.id, "2026-01-18T09-30-00Z");
        let manifest = home.verify(&made.id, secret.as_ref()).unwrap();
        assert_eq!(manifest, made.manifest);
        assert_eq!((manifest.rows(), manifest.created.as_str()), (6, "2026-01-18T09:30:00Z"));
        let mode = |it: &Path| fs::metadata(it).unwrap().permissions().mode() & 0o777;
        for folder in [&home.home, &made.folder, &made.folder.join("snapshot")] {
            assert_eq!(mode(folder), 0o700, "{folder:?}");
        }
        assert!(contents(&made.folder).keys().all(|it| mode(it) == 0o600));
        assert_eq!(fs::read_to_string(home.folder.path().join(".cutover/.gitignore")).unwrap(), "*\n");
        let shown = contents(&made.folder).into_values().any(|it| String::from_utf8_lossy(&it).contains("Mira"));
        assert_eq!(shown, secret.is_none());
        let mut opened = open(&home.home, &made.id, secret.as_ref(), &home.run.scratch).unwrap();
        for table in store().tables().unwrap() {
            assert_eq!(cells(&mut opened, &table), cells(&mut store(), &table));
        }
        drop(opened);
        home.holds(&["2026-01-18T09-30-00Z"]);
        assert_eq!(home.create(secret.as_ref()).id, "2026-01-18T09-30-00Z-2");
        assert_eq!(home.create(secret.as_ref()).id, "2026-01-18T09-30-00Z-3");
    }
}

#[test]
fn every_byte_counts() {
    for secret in [None, Some(Secret::key_file(&KEY).unwrap())] {
        let home = Home::new();
        let made = home.create(secret.as_ref());
        let fails = |what: &str, path: &Path| match home.verify(&made.id, secret.as_ref()) {
            Ok(_) => panic!("{what} of {path:?} was not seen"),
            Err(it) => assert_eq!(it.kind(), Kind::Snapshot, "{what} of {path:?}: {it}"),
        };
        // That each byte of a sealed file counts is tested where it is sealed.
        let step = if secret.is_some() { 7 } else { 1 };
        for (path, bytes) in contents(&made.folder) {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            for place in (0..bytes.len()).step_by(step) {
                file.write_all_at(&[bytes[place] ^ 1 << (place % 8)], place as u64).unwrap();
                fails(&format!("byte {place}"), &path);
                file.write_all_at(&bytes[place..=place], place as u64).unwrap();
            }
            for end in (0..bytes.len()).rev().step_by(3 * step) {
                file.set_len(end as u64).unwrap();
                fails(&format!("an end at {end}"), &path);
            }
            fs::write(&path, [&bytes[..], b"\n"].concat()).unwrap();
            fails("a byte more", &path);
            fs::remove_file(&path).unwrap();
            fails("the loss", &path);
            fs::write(&path, &bytes).unwrap();
        }
        for more in [made.folder.join("more"), made.folder.join("snapshot/more")] {
            fs::write(&more, b"").unwrap();
            fails("a file more", &more);
            fs::remove_file(&more).unwrap();
        }
        assert!(home.verify(&made.id, secret.as_ref()).is_ok());
    }
}

#[test]
fn files_of_another_backup_are_found() {
    let secret = Secret::key_file(&KEY).unwrap();
    let home = Home::new();
    let (one, two) = (home.create(Some(&secret)), home.create(Some(&secret)));
    let name = &one.manifest.files[0].name;
    // The manifest is made to fit, as somebody without the secret can do.
    let path = one.folder.join("snapshot").join(name);
    fs::copy(two.folder.join("snapshot").join(name), &path).unwrap();
    let mut manifest = one.manifest.clone();
    manifest.files = listed(&one.folder.join("snapshot")).unwrap();
    let error = |manifest: &mut Manifest| {
        let text = manifest.finish(None).unwrap();
        fs::write(one.folder.join("backup.json"), text).unwrap();
        home.verify(&one.id, Some(&secret)).unwrap_err().to_string()
    };
    assert!(error(&mut manifest).contains("was not written by who sealed"));
    let mut other = one.manifest.clone();
    fs::copy(one.folder.join("backup.json"), &path).unwrap();
    other.fingerprint = "memory another".into();
    assert!(error(&mut other).contains("bytes long, not"));
}

#[test]
fn a_secret_is_asked_for_and_has_to_be_right() {
    let secret = Secret::key_file(&KEY).unwrap();
    let home = Home::new();
    let made = home.create(Some(&secret));
    let wrong = Secret::key_file(&[8; 32]).unwrap();
    for (given, says) in [(None, "sealed with a key file, and none was given"), (Some(&wrong), "the key file is wrong")]
    {
        let error = home.verify(&made.id, given).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(says), "{error}");
    }
    home.holds(&[&made.id]);
}

#[test]
fn a_store_that_changes_is_not_backed_up() {
    /// A store that holds something else each time that it is read.
    struct Restless(Memory, bool);
    impl Source for Restless {
        fn tables(&mut self) -> Result<Vec<Table>> {
            self.0.tables()
        }
        fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
            self.0.scan(table, shape, feed)?;
            if self.1 && table.name == "words" {
                self.1 = false;
                self.0 = Memory::new().with(users(), [[Value::Null, Value::Int(1), Value::Null]]).with(
                    self.0.tables()?.swap_remove(1),
                    [[Value::Text("a")], [Value::Text("a")], [Value::Text("b")]],
                );
            }
            Ok(())
        }
        fn torn(&mut self) -> Result<Option<String>> {
            Ok(None)
        }
    }
    let home = Home::new();
    let mut restless = Restless(store(), true);
    let error = create(&home.run, &home.home, &mut restless, request(None)).unwrap_err();
    assert!(error.to_string().contains("table `users`: 2 gone, 1 changed; stop what writes"), "{error}");
    home.holds(&[]);
    let quick = Request { check: Checked::ReadBack, ..request(None) };
    assert!(create(&home.run, &home.home, &mut Restless(store(), true), quick).is_ok());
}

#[test]
fn a_key_that_repeats_hides_no_row() {
    let home = Home::new();
    let rows = |second: &'static str| {
        let row = |text: &'static str| [Value::Text(text), Value::Int(1), Value::Null];
        Memory::new().with(users(), [row("b"), row("a"), row(second)])
    };
    assert!(create(&home.run, &home.home, &mut rows("c"), request(None)).is_ok());
    let reader = snapshot::Reader::open(&home.home.join("2026-01-18T09-30-00Z/snapshot")).unwrap();
    assert!(check::same(&home.run, &reader, &mut rows("c")).is_ok());
    assert!(check::same(&home.run, &reader, &mut rows("d")).is_err());
    assert!(check::same(&home.run, &reader, &mut rows("a")).is_err());
}

#[test]
fn old_backups_go_but_never_the_newest_of_a_store() {
    let home = Home::new();
    let take = |time: &str, name: &str| {
        let request = Request { now: at(time), fingerprint: name.into(), ..request(None) };
        create(&home.run, &home.home, &mut store(), request).unwrap().id
    };
    let ids = [
        take("2025-12-01T00:00:00Z", "a"),
        take("2025-12-02T00:00:00Z", "b"),
        take("2025-12-19T09:30:00Z", "a"),
        take("2026-01-01T00:00:00Z", "a"),
    ];
    fs::create_dir(home.home.join(".draft-2026-01-17T09-29-59Z-x1")).unwrap();
    fs::create_dir(home.home.join(".draft-2026-01-18T00-00-00Z-x2")).unwrap();
    fs::write(home.home.join(".removed-2020-01-01T00-00-00Z"), "").unwrap();
    fs::create_dir_all(home.home.join("2020-01-01T00-00-00Z/mine")).unwrap();
    fs::create_dir_all(home.home.join("notes")).unwrap();
    let listed: Vec<(String, bool)> =
        list(&home.home).unwrap().into_iter().map(|it| (it.id, it.fault.is_none())).collect();
    let whole = |it: usize| (ids[it].clone(), true);
    assert_eq!(listed, [whole(3), whole(2), whole(1), whole(0), ("2020-01-01T00-00-00Z".to_owned(), false)]);
    let before = files::names(&home.home).unwrap();
    for (days, dry_run, gone) in [(31, true, 1), (30, true, 2), (30, false, 2), (30, false, 0), (0, true, 0)] {
        let pruned = prune(&home.home, days, at("2026-01-18T09:30:00Z"), dry_run).unwrap();
        assert_eq!(pruned.backups.len(), gone, "{days} {dry_run}");
        assert_eq!(before == files::names(&home.home).unwrap(), dry_run && gone > 0);
    }
    home.holds(&[".draft-2026-01-18T00-00-00Z-x2", "2020-01-01T00-00-00Z", &ids[1], &ids[3], "notes"]);
    // A damaged one does not count as the newest.
    fs::write(home.home.join(&ids[3]).join("backup.json"), "{}").unwrap();
    let newer = take("2026-01-02T00:00:00Z", "a");
    fs::remove_file(home.home.join(&newer).join("snapshot/snapshot.json")).unwrap();
    let pruned = prune(&home.home, 0, now(), true).unwrap();
    assert_eq!(pruned.backups.iter().map(|it| &it.id).collect::<Vec<_>>(), [&newer, &ids[3]]);
    assert!(list(&home.home.join("nowhere")).unwrap().is_empty());
}

#[test]
fn an_id_is_no_path() {
    for (id, number) in [("2026-01-18T09-30-00Z", 1), ("2026-01-18T09-30-00Z-2", 2), ("2026-01-18T09-30-00Z-10", 10)] {
        assert_eq!(instant(id), Some((at("2026-01-18T09:30:00Z"), number)), "{id}");
    }
    for id in [
        "",
        ".",
        "..",
        "../x",
        "2026-01-18T09-30-00",
        "2026-01-18T09-30-00Z-1",
        "2026-01-18T09-30-00Z-02",
        "2026-1-18T09-30-00Z",
        "2026-01-18T09-30-00Z/..",
        "2026-13-18T09-30-00Z",
        "2026-01-18T09-30-00Z-x",
        " 2026-01-18T09-30-00Z",
        "+2026-01-18T09-30-00Z",
        "2026-01-18T09-30-00Z-+2",
    ] {
        assert_eq!(instant(id), None, "{id}");
        assert_eq!(folder(Path::new("."), id).unwrap_err().kind(), Kind::Usage);
    }
}

#[test]
fn exports_are_plain_json() {
    let home = Home::new();
    let export = |store: &mut Memory, kind: &str| {
        let name = Store { kind: kind.into(), name: "x".into() };
        export::export(&home.run, &home.home, store, &name, now())
    };
    let mut items = Table::new("items");
    items.columns =
        vec![Column::new("key", Type::Text), Column::new("value", Type::Json), Column::new("description", Type::Text)];
    items.key = vec![0];
    let rows = [
        [Value::Text("b"), Value::Json(r#"{"n":1.10,"a":[],"t":"{\"x\\"}"#), Value::Null],
        [Value::Text("a"), Value::Json("null"), Value::Null],
    ];
    let made = export(&mut Memory::new().with(items.clone(), rows), "edge-config").unwrap();
    assert_eq!(made.path, home.home.join("edge-config-backup-2026-01-18T09-30-00.json"));
    let text = fs::read_to_string(&made.path).unwrap();
    insta::assert_snapshot!(text, @r#"
    {
      "a": null,
      "b": {
        "a": [],
        "n": 1.10,
        "t": "{\"x\\"
      }
    }
    "#);
    assert_eq!(fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut words = Table::new("a/b");
    words.columns =
        vec![Column::new("n", Type::Decimal), Column { origin: Origin::Enforced, ..Column::new("id", Type::Int) }];
    words.key = vec![1];
    let big = [[Value::Decimal("1.10"), Value::Decimal("123456789012345678901")], [Value::Null, Value::Int(1)]];
    let described = [[Value::Text("b"), Value::Json("1"), Value::Text("a digit")]];
    let both = Memory::new().with(words, big).with(items.clone(), described).with(users(), [] as [[Value<'_>; 3]; 0]);
    let made = export(&mut both.clone(), "postgres").unwrap();
    let names = files::names(&made.path).unwrap();
    assert_eq!(names, ["items.json", "table-a-b-0da3cfa5f8b7fae9.json", "users.json"]);
    let read = |name: &str| fs::read_to_string(made.path.join(name)).unwrap();
    assert_eq!(read("users.json"), "[]\n");
    insta::assert_snapshot!(read(&names[1]), @r#"
    [
      {
        "n": null,
        "id": 1
      },
      {
        "n": "1.1",
        "id": 123456789012345678901
      }
    ]
    "#);
    assert_eq!(
        export(&mut both.clone(), "postgres").unwrap().path,
        home.home.join("postgres-backup-2026-01-18T09-30-00-2")
    );
    let before = files::names(&home.home).unwrap();
    let refused = export(&mut store(), "sqlite").unwrap_err().to_string();
    assert!(
        refused.contains("table `users`: column `photo` holds bytes or a number that JSON cannot hold"),
        "{refused}"
    );
    let nulls = [[Value::Text("a"), Value::Json("null"), Value::Text("x")]];
    let refused = export(&mut Memory::new().with(items, nulls), "edge-config").unwrap_err().to_string();
    assert!(refused.contains("table `items`: read back, there are rows (1 changed) that JSON cannot"), "{refused}");
    assert_eq!(files::names(&home.home).unwrap(), before);
}
