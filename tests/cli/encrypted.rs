//! Columns that are encrypted on their way.

use super::{
    command::{Done, cutover},
    support::Folder,
};
use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rusqlite::Connection;
use std::fs;

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db" }

[[table]]
into = "notes"
columns.id = ".id"
columns.body = { from = ".body", trim = true, encrypt = "${FIELD_KEY}" }
"#;

fn run(folder: &Folder, key: &str, arguments: &[&str], code: i32) -> Done {
    let mut command = cutover(folder);
    let done = Done::new(command.args(arguments).env("FIELD_KEY", key).output().expect("it runs"));
    assert_eq!(done.code, code, "{arguments:?}: {}{}", done.stdout, done.stderr);
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(!said.contains("dear diary") && !said.contains(key), "nothing of it is shown: {said}");
    done
}

/// What is encrypted is compared, and whoever has the key reads it with what every platform has.
#[test]
fn a_field_is_encrypted_and_still_compared() {
    let tables = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);";
    let rows = "INSERT INTO notes VALUES (1, ' dear diary '), (2, NULL), (3, 'dear diary'), (4, '');";
    let folder = Folder::pair(&format!("{tables}{rows}"), tables);
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    let key = "5a".repeat(32);
    run(&folder, "hunter2", &["check"], 2);
    run(&folder, &key, &["migrate", "--no-backup"], 0);
    run(&folder, &key, &["verify"], 0);

    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let mut asked = connection.prepare("SELECT body FROM notes ORDER BY id").expect("a query");
    let sealed: Vec<Option<String>> =
        asked.query_map([], |it| it.get(0)).expect("rows").map(|it| it.expect("a row")).collect();
    let opened = sealed.iter().flatten().map(|it| {
        let bytes = STANDARD.decode(it).expect("base64");
        let nonce = <[u8; 12]>::try_from(&bytes[..12]).expect("a nonce");
        let payload = Payload { msg: &bytes[12..], aad: b"notes.body" };
        Aes256Gcm::new(&[0x5a; 32].into()).decrypt(&Nonce::from(nonce), payload).expect("it opens")
    });
    assert_eq!(opened.collect::<Vec<_>>(), [&b"dear diary"[..], b"dear diary", b""]);
    assert!(sealed[1].is_none() && sealed[0] == sealed[2], "{sealed:?}");

    run(&folder, &"5b".repeat(32), &["verify"], 1);
    folder.sqlite("source.db", "UPDATE notes SET body = 'dear diary, today' WHERE id = 3");
    let done = run(&folder, &key, &["verify"], 1);
    assert!(done.stdout.contains("changed 1 > 0"), "{}", done.stdout);
}
