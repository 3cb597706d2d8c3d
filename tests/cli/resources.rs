//! Memory, pipes and signals.

use super::{
    command::{cutover, diff, totals},
    support::Folder,
};
use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Rows in an order that is no use, with text keys in the source's own collation.
fn shuffled(rows: u32, factor: u32) -> String {
    format!(
        "CREATE TABLE t (id TEXT COLLATE NOCASE PRIMARY KEY, v TEXT, n INT);
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows})
         INSERT INTO t SELECT printf('%08x-%s', (i * {factor}) % {rows}, hex(zeroblob(60))), 'v' || (i * {factor}) % {rows},
             (i * {factor}) % {rows} FROM n;"
    )
}

#[test]
fn more_rows_than_fit_in_memory_are_sorted_on_disk() {
    let target = format!("{} UPDATE t SET n = -1 WHERE n = 777; DELETE FROM t WHERE n = 49999", shuffled(50_000, 7919));
    let folder = Folder::pair(&shuffled(50_000, 1), &target);
    let done = diff(&folder, &["--memory", "8MiB"]);
    let expect = ("source_rows=50000 target_rows=49999 same=49998 changed=1 missing=1", 1);
    assert_eq!((totals(&done.json()).as_str(), done.code), expect);
}

#[test]
fn nobody_reads_the_output_and_nobody_is_told() {
    let source = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n;";
    let folder = Folder::pair(source, &format!("{source} UPDATE t SET v = 'x'"));
    let mut command = cutover(&folder);
    command.args(["diff", "source.db", "target.db", "--format", "json", "--limit", "20000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut first = [0; 16];
    stdout.read_exact(&mut first).expect("some output");
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(1), "the verdict stands");
}

#[test]
fn interrupted_it_leaves_nothing_behind() {
    let folder = Folder::pair(&shuffled(150_000, 1), &shuffled(150_000, 7919));
    let scratch = folder.path("scratch");
    fs::create_dir(&scratch).expect("a folder");
    let mut command = cutover(&folder);
    command.args(["diff", "source.db", "target.db", "--memory", "8MiB"]).env("TMPDIR", &scratch);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    while !sorts_in(&child, &scratch) {
        assert_eq!(child.try_wait().expect("a child"), None, "it ended before it sorted anything");
        std::thread::yield_now();
    }
    interrupt(&child);
    let output = child.wait_with_output().expect("it ends");
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{says}");
    assert!(says.contains("interrupted"), "{says}");
    assert_eq!(fs::read_dir(&scratch).expect("a folder").count(), 0, "temporary files are left");
}

/// Whether the program has a temporary file open, which has no name.
fn sorts_in(child: &Child, scratch: &Path) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    open.filter_map(|it| fs::read_link(it.ok()?.path()).ok()).any(|it| it.starts_with(scratch))
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}
