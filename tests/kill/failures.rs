//! Disks that are full or broken, and files that others hold.

use super::{killer::Program, support::Folder};
use rusqlite::Connection;
use std::fs;

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);";

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db" }
table = [{ into = "t" }]
migrate = { batch_size = 2, backup = false, backoff = 0.01, retries = 1 }
"#;

/// As usual: in one transaction, begun while the rows are still compared.
const AT_ONCE: [&str; 2] = ["batch_size = 2, ", ""];

fn folder() -> Folder {
    let rows = (1..=6).map(|it| format!("INSERT INTO t VALUES ({it}, 'v{it}');")).collect::<String>();
    let folder = Folder::pair(&format!("{SCHEMA}{rows}"), SCHEMA);
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    folder
}

fn rows(folder: &Folder) -> Vec<String> {
    let connection = Connection::open(folder.path("target.db")).expect("the target");
    let whole: String = connection.query_row("PRAGMA integrity_check", [], |it| it.get(0)).expect("a check");
    assert_eq!(whole, "ok");
    let mut statement = connection.prepare("SELECT id || v FROM t ORDER BY id").expect("a query");
    let rows = statement.query_map([], |it| it.get(0)).expect("rows");
    rows.map(|it| it.expect("a row")).collect()
}

const ALL: [&str; 6] = ["1v1", "2v2", "3v3", "4v4", "5v5", "6v6"];

/// Whatever fails at whichever write: the run says so, or was not hurt by it, and once the disk is well it ends as it should.
#[test]
fn a_disk_that_fails() {
    let calls = "write,pwrite64,fsync,fdatasync,ftruncate";
    for (error, [said, instead]) in ["ENOSPC", "EIO"].into_iter().flat_map(|it| [(it, [""; 2]), (it, AT_ONCE)]) {
        let folder = || {
            let folder = folder();
            fs::write(folder.path("cutover.toml"), PLAN.replace(said, instead)).expect("a plan");
            folder
        };
        let reference = folder();
        let program = Program { folder: &reference, variables: Vec::new() };
        let most = program.moments(calls, &["migrate", "--quiet"]).iter().map(|it| it.at).max().expect("a call");
        let (mut hurt, mut tried) = (0, 0);
        for at in (1..=most).step_by(3) {
            let folder = folder();
            let program = Program { folder: &folder, variables: Vec::new() };
            // From here on every call of each kind fails, as on a full disk.
            let ended = program.inject(calls, &format!("error={error}:when={at}+"), &["migrate", "--quiet"]);
            let what = format!("{error} from call {at} on, `{said}` left out: {} {}", ended.stdout, ended.stderr);
            (hurt, tried) = (hurt + usize::from(ended.code != Some(0)), tried + 1);
            assert!(ended.code.is_some_and(|it| it != 101), "it panicked: {what}");
            let ended = program.run(&["migrate", "--quiet"]);
            assert_eq!(ended.code, Some(0), "{what}, then {} {}", ended.stdout, ended.stderr);
            assert_eq!(rows(&folder), ALL, "{what}");
        }
        assert!(hurt * 2 > tried, "of {tried} runs only {hurt} were hurt");
    }
}

#[test]
fn a_file_that_another_program_holds() {
    let folder = folder();
    let holder = Connection::open(folder.path("target.db")).expect("the target");
    holder.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let program = Program { folder: &folder, variables: Vec::new() };
    let ended = program.run(&["migrate", "--quiet"]);
    assert!(ended.code != Some(0) && !ended.stdout.contains("holds all of it"), "{} {}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("locked") || ended.stderr.contains("locked"), "{} {}", ended.stdout, ended.stderr);
    holder.execute_batch("ROLLBACK").expect("the lock goes");
    let ended = program.run(&["migrate", "--quiet"]);
    assert_eq!(
        (ended.code, rows(&folder)),
        (Some(0), ALL.map(str::to_owned).to_vec()),
        "{} {}",
        ended.stdout,
        ended.stderr
    );
}
