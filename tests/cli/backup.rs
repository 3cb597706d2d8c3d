//! `backup`: what is taken, listed, checked and removed, and what of it anybody can read.

use super::{
    command::{Done, cutover, run},
    support::Folder,
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, token TEXT);
    INSERT INTO users VALUES (1, 'a@example.test', 's3cret-one'), (2, '', NULL);
    CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users(id));
    INSERT INTO posts VALUES (7, 1);";

const PLAN: &str = "version = 1
[source]
kind = \"sqlite\"
path = \"source.db\"
[target]
kind = \"sqlite\"
path = \"target.db\"
[[table]]
into = \"users\"
[table.columns]
token = { secret = true }
";

/// Two databases and a plan for them.
fn planned() -> Folder {
    let folder = Folder::pair(USERS, "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, token TEXT)");
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan can be written");
    folder
}

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32, stdout: &str, stderr: &str) -> Done {
    let done = run(folder, arguments);
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains(stdout), "no {stdout:?} in {}", done.stdout);
    assert!(done.stderr.contains(stderr), "no {stderr:?} in {}", done.stderr);
    done
}

/// Takes a backup and gives its path, as it was printed, and its id.
#[track_caller]
fn create(folder: &Folder, arguments: &[&str]) -> (String, String) {
    let done = check(folder, &[&["backup", "create"], arguments].concat(), 0, "", "");
    let path = done.stdout.trim_end().to_owned();
    let id = Path::new(&path).file_name().expect("a name").to_string_lossy().into_owned();
    (path, id)
}

/// With a passphrase in the environment.
fn with_passphrase(folder: &Folder, passphrase: &str, arguments: &[&str]) -> Done {
    let mut command = cutover(folder);
    Done::new(command.env("CUTOVER_PASSPHRASE", passphrase).args(arguments).output().expect("the program runs"))
}

/// The bytes of every file below a folder, one after another.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path());
    let bytes = entries.map(|it| if it.is_dir() { bytes_below(&it) } else { fs::read(it).expect("a file") });
    bytes.collect::<Vec<_>>().concat()
}

fn holds(folder: &Path, text: &str) -> bool {
    bytes_below(folder).windows(text.len()).any(|it| it == text.as_bytes())
}

#[test]
fn a_backup_is_taken_listed_shown_verified_and_is_a_store() {
    let folder = planned();
    let done =
        check(&folder, &["backup", "create"], 0, ".cutover/backups/2", "3 rows of 2 tables, compared with the store");
    let path = done.stdout.trim_end();
    let id = path.strip_prefix(".cutover/backups/").expect("the folder beside the plan");
    let mode = |it: &str| fs::metadata(folder.path(it)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(".cutover"), mode(path), mode(&format!("{path}/backup.json"))), (0o700, 0o700, 0o600));
    assert_eq!(fs::read_to_string(folder.path(".cutover/.gitignore")).expect("a file"), "*\n");
    assert!(holds(&folder.path(path), "s3cret-one"), "what is secret has to be restored too");
    check(&folder, &["diff", "source.db", &format!("{path}/snapshot")], 0, "PASS", "");
    check(&folder, &["backup", "list"], 0, &format!("{id}  sqlite source.db     3"), "");
    let list = check(&folder, &["backup", "list", "--format", "json"], 0, "", "").json();
    let entry = &list["backups"][0];
    assert_eq!((&list["format"], &entry["id"]), (&json!("cutover-backups/1"), &json!(id)));
    let facts = (&entry["rows"], &entry["encrypted"], &entry["complete"], &entry["why"]);
    assert_eq!(facts, (&json!(3), &json!(false), &json!(true), &json!("by hand")));
    for named in [id, path] {
        check(&folder, &["backup", "show", named], 0, "users: 2", "");
        check(&folder, &["backup", "verify", named], 0, &format!("{id}: whole, 3 rows of 2 tables\n"), "");
    }
    let manifest = check(&folder, &["backup", "show", id, "--format", "json"], 0, "", "").json();
    assert_eq!((&manifest["format"], &manifest["checked"]), (&json!("cutover-backup/1"), &json!("compared")));
    assert_eq!(manifest["plan"]["path"], "cutover.toml");
    assert!(
        manifest["fingerprint"].as_str().is_some_and(|it| it.starts_with("sqlite /") && it.ends_with("/source.db"))
    );
    check(&folder, &["backup", "create", "--target", "--quick"], 0, "", "0 rows of 1 tables, read back");
    check(&folder, &["backup", "verify", "--all"], 0, &format!("{id}: whole"), "");
}

#[test]
fn stores_and_folders_of_ones_own() {
    let folder = planned();
    let (path, id) = create(&folder, &["target.db", "--folder", "kept/here", "--quiet"]);
    assert_eq!(path, format!("kept/here/{id}"));
    assert_eq!(fs::read_to_string(folder.path("kept/here/.gitignore")).expect("a file"), "*\n");
    assert!(!folder.path(".cutover").exists());
    check(&folder, &["backup", "list", "--folder", "kept/here"], 0, "sqlite target.db", "");
    check(&folder, &["backup", "verify", &id, "--folder", "kept/here"], 0, "whole, 0 rows", "");
    fs::create_dir(folder.path("mine")).expect("a folder");
    create(&folder, &["target.db", "--folder", "mine"]);
    assert!(!folder.path("mine/.gitignore").exists(), "a folder that was there is not ours");
    check(&folder, &["backup", "list"], 0, "", "there are no backups in .cutover/backups");
    for (wrong, says) in [
        (&["backup", "create", "target.db", "--source"][..], "a store was named"),
        (&["backup", "create", "nowhere.db"], "nowhere.db"),
        (&["backup", "create", "nowhere.toml"], "no such file"),
        (&["backup", "verify"], "required"),
        (&["backup", "verify", "--all"], "no backups in"),
        (&["backup", "verify", "../kept"], "no id of a backup"),
        (&["backup", "verify", "2026-01-18T09-30-00Z"], "no backup 2026-01-18T09-30-00Z"),
        (&["backup", "show", "2026-01-18T09-30-00Z"], "no backup 2026-01-18T09-30-00Z"),
    ] {
        check(&folder, wrong, 2, "", says);
    }
    assert!(!folder.path(".cutover").exists(), "nothing was made for what failed");
}

#[test]
fn what_is_damaged_is_said() {
    let folder = planned();
    let (path, id) = create(&folder, &[]);
    let (_, whole) = create(&folder, &[]);
    let part = fs::read_dir(folder.path(format!("{path}/snapshot"))).expect("a folder");
    let part = part.map(|it| it.expect("an entry").path()).find(|it| it.to_string_lossy().contains("users-"));
    let part = part.expect("a part of the snapshot");
    let text = fs::read_to_string(&part).expect("text");
    fs::write(&part, text.replace("s3cret-one", "s3cret-two")).expect("a file");
    check(&folder, &["backup", "verify", &id], 2, "", "its BLAKE3 is not that in backup.json");
    check(&folder, &["backup", "verify", "--all"], 2, &format!("{id}: damaged\n"), "its BLAKE3");
    check(&folder, &["backup", "verify", "--all"], 2, &format!("{whole}: whole"), "");
    fs::write(&part, "").expect("a file");
    check(&folder, &["backup", "list"], 0, "no\n", &format!("{id}: "));
    check(&folder, &["backup", "show", &id], 2, "users: 2", "0 bytes long");
    fs::remove_file(folder.path(format!("{path}/backup.json"))).expect("it was there");
    check(&folder, &["backup", "show", &id], 2, "", "it is gone");
    check(&folder, &["backup", "list"], 0, "?", "it is gone");
}

#[test]
fn a_passphrase_opens_what_it_sealed() {
    let folder = planned();
    check(&folder, &["backup", "create", "--encrypt"], 2, "", "set CUTOVER_PASSPHRASE, or name a file");
    assert!(!folder.path(".cutover").exists());
    let done = with_passphrase(&folder, "open sesame", &["backup", "create", "--encrypt"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let path = done.stdout.trim_end();
    let id = &path[".cutover/backups/".len()..];
    for secret in ["s3cret", "example.test", "open sesame"] {
        assert!(!holds(&folder.path(path), secret), "{secret} can be read");
    }
    check(&folder, &["backup", "list"], 0, "yes        yes\n", "");
    check(&folder, &["backup", "show", id], 0, "cutover-sealed/1, with a passphrase", "");
    assert_eq!(with_passphrase(&folder, "open sesame", &["backup", "verify", id]).code, 0);
    fs::write(folder.path("secret.txt"), "open sesame\nmore\n").expect("a file");
    check(&folder, &["backup", "verify", id, "--passphrase-file", "secret.txt"], 0, "whole, 3 rows", "");
    let wrong = with_passphrase(&folder, "open barley", &["backup", "verify", id]);
    assert!(wrong.code == 2 && wrong.stderr.contains("the passphrase is wrong"), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("open barley"));
    check(&folder, &["backup", "verify", id], 2, "", "sealed with a passphrase, and none was given");
    check(&folder, &["backup", "verify", "--all"], 2, &format!("{id}: not verified\n"), "");
}

#[test]
fn the_backup_of_a_run_is_sealed_on_request() {
    let folder = planned();
    check(&folder, &["migrate", "--encrypt"], 2, "", "set CUTOVER_PASSPHRASE, or name a file");
    check(&folder, &["migrate", "--encrypt", "--no-backup"], 2, "", "cannot be used with");
    let plan = fs::read_to_string(folder.path("cutover.toml")).expect("the plan");
    fs::write(folder.path("none.toml"), format!("{plan}\n[migrate]\nbackup = false\n")).expect("a plan");
    check(&folder, &["migrate", "none.toml", "--encrypt"], 2, "", "there is no backup to encrypt");
    let _ = with_passphrase(&folder, "open sesame", &["migrate", "--encrypt", "--quiet"]);
    check(&folder, &["backup", "list"], 0, "yes        yes\n", "");
    assert!(!holds(&folder.path(".cutover/backups"), "example.test"));
}

#[test]
fn a_sealed_backup_is_restored_table_by_table() {
    let folder = Folder::pair("CREATE TABLE users (id INTEGER PRIMARY KEY)", USERS);
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    let sesame = |arguments: &[&str]| with_passphrase(&folder, "open sesame", arguments);
    let made = sesame(&["backup", "create", "--target", "--encrypt"]);
    let id = made.stdout.trim_end().strip_prefix(".cutover/backups/").expect("the folder beside the plan").to_owned();
    let rows = || {
        let all = "SELECT group_concat(it, ' ') FROM (SELECT id || email || coalesce(token, '-') AS it FROM users
            UNION ALL SELECT 'post' || id || user_id FROM posts ORDER BY 1)";
        folder.sqlite("target.db", "").query_row(all, [], |it| it.get::<_, String>(0)).expect("rows")
    };
    let (whole, restore) = (rows(), ["backup", "restore", &id]);
    folder.sqlite(
        "target.db",
        "UPDATE users SET token = 'x' WHERE id = 1; DELETE FROM users WHERE id = 2; DELETE FROM posts",
    );
    folder.sqlite("target.db", "INSERT INTO users VALUES (3, 'new@example.test', NULL)");
    let hurt = rows();
    assert_eq!(hurt, "1a@example.testx 3new@example.test-");
    check(&folder, &restore, 2, "", "sealed with a passphrase, and none was given");
    let looked = sesame(&restore);
    assert!(looked.code == 0 && looked.stdout.starts_with("WOULD    insert 2, update 1, skip 0"), "{}", looked.stdout);
    assert!(
        looked.stdout.ends_with(&format!("next: cutover backup restore {id} cutover.toml --confirm\n")),
        "{}",
        looked.stdout
    );
    assert_eq!(rows(), hurt);
    let unknown = sesame(&[&restore[..], &["--tables", "nobody"]].concat());
    assert!(unknown.code == 2 && unknown.stderr.contains("the backup has no table `nobody`"), "{}", unknown.stderr);
    let some = sesame(&[&restore[..], &["--tables", "users", "--confirm"]].concat());
    assert_eq!(
        (some.code, rows()),
        (0, "1a@example.tests3cret-one 2- 3new@example.test-".to_owned()),
        "{}",
        some.stdout
    );
    let rest = sesame(&[&restore[..], &["--confirm"]].concat());
    assert_eq!(
        (rest.code, rows()),
        (0, format!("{} 3new@example.test- post71", whole.strip_suffix(" post71").expect("a post"))),
        "{}",
        rest.stdout
    );
    for _ in 0..2 {
        assert_eq!(run(&folder, &["rollback", "--confirm"]).code, 0);
    }
    assert_eq!(rows(), hurt);
}

#[test]
fn a_key_file_opens_what_it_sealed() {
    let folder = planned();
    fs::write(folder.path("key"), [9; 32]).expect("a file");
    fs::write(folder.path("hex"), "09".repeat(32) + "\n").expect("a file");
    fs::write(folder.path("other"), [8; 32]).expect("a file");
    fs::write(folder.path("short"), "short").expect("a file");
    let (path, id) = create(&folder, &["--key-file", "key"]);
    assert!(!holds(&folder.path(path), "s3cret"));
    check(&folder, &["backup", "verify", &id, "--key-file", "key"], 0, "whole", "");
    check(&folder, &["backup", "verify", &id, "--key-file", "hex"], 0, "whole", "");
    for (name, says) in
        [("other", "the key file is wrong"), ("short", "has to hold 32 bytes"), ("none", "No such file")]
    {
        check(&folder, &["backup", "verify", &id, "--key-file", name], 2, "", says);
    }
    let both = ["backup", "create", "--key-file", "key", "--passphrase-file", "key"];
    check(&folder, &both, 2, "", "cannot be used with");
    check(&folder, &["backup", "create", "--format", "json", "--encrypt"], 2, "", "an export as JSON is not encrypted");
}

#[test]
fn old_backups_go_when_that_is_confirmed() {
    let folder = planned();
    let (_, one) = create(&folder, &[]);
    let (_, two) = create(&folder, &[]);
    let (_, other) = create(&folder, &["--target"]);
    let there = |id: &str| folder.path(format!(".cutover/backups/{id}")).exists();
    check(&folder, &["backup", "prune"], 0, "", "nothing is old enough to be removed, 3 stay");
    check(&folder, &["backup", "prune", "--days", "0"], 0, &one, "1 would be removed, 2 stay; --confirm removes them");
    assert!(there(&one));
    check(&folder, &["backup", "prune", "--days", "0", "--confirm"], 0, &one, "1 removed, 2 stay");
    assert!(!there(&one) && there(&two) && there(&other));
}

#[test]
fn exports_are_read_back_by_the_same_program() {
    let folder = planned();
    let items = r#"{"bioData": {"example.test": {"links": [1, 2.50]}}, "analytics": []}"#;
    fs::write(folder.path("items.json"), items).expect("a file");
    let arguments = ["edge-config-export:items.json", "--format", "json", "--folder", "data/backups"];
    let (path, name) = create(&folder, &arguments);
    let stem = name.strip_prefix("edge-config-export-backup-2").and_then(|it| it.strip_suffix(".json"));
    assert!(stem.is_some_and(|it| it.len() == "026-01-18T09-30-00".len() && !it.contains(':')), "{name}");
    let text = fs::read_to_string(folder.path(&path)).expect("text");
    let expect = "{\n  \"analytics\": [],\n  \"bioData\": {\n    \"example.test\": {\n      \"links\": [\n        1,\n        2.50\n      ]\n    }\n  }\n}\n";
    assert_eq!(text, expect);
    let sides = ["edge-config-export:items.json", &format!("edge-config-export:{path}")];
    check(&folder, &["diff", sides[0], sides[1]], 0, "PASS", "");
    let (path, _) = create(&folder, &["--format", "json"]);
    let users: Value =
        serde_json::from_slice(&fs::read(folder.path(format!("{path}/users.json"))).expect("a file")).expect("JSON");
    let first = json!({ "id": 1, "email": "a@example.test", "token": "s3cret-one" });
    assert_eq!((&users[0], &users[1]["token"]), (&first, &Value::Null));
    check(&folder, &["diff", "source.db", &path], 0, "PASS", "");
    folder.sqlite("blobs.db", "CREATE TABLE b (id INTEGER PRIMARY KEY, v BLOB); INSERT INTO b VALUES (1, x'00ff')");
    check(&folder, &["backup", "create", "blobs.db", "--format", "json"], 2, "", "column `v` holds bytes");
    check(&folder, &["backup", "list"], 0, "", "there are no backups");
}

#[test]
fn each_verb_explains_itself() {
    let folder = Folder::new();
    for verb in ["create", "list", "show", "verify", "prune"] {
        check(&folder, &["backup", verb, "--help"], 0, "cutover backup", "");
    }
}
