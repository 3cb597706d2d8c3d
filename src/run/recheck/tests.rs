use super::*;
use crate::{
    gate::Verdict,
    plan::Policy,
    report::{FindingKind, Report, StoreName, json, text},
    run::{
        Recheck,
        prepare::{self, Opened, Options},
    },
    schema::{Column, Origin},
    store::{Source, memory::Memory, sqlite::Sqlite},
    value::{Type, Value},
};
use std::time::Duration;

type Rows = &'static [(i64, &'static str)];

fn table(key: &[usize]) -> Table {
    let columns = vec![Column::new("id", Type::Int), Column::new("name", Type::Text)];
    Table { columns, key: key.to_vec(), key_origin: Origin::Declared, ..Table::new("t") }
}

/// A store that holds these rows at one look after the other.
fn moving(key: &[usize], looks: &[Rows]) -> Memory {
    let store = |rows: &Rows| {
        Memory::new().with(table(key), rows.iter().map(|(id, name)| [Value::Int(*id), Value::Text(name)]))
    };
    let mut looks = looks.iter();
    let first = looks.next().map(store).unwrap_or_default();
    looks.fold(first, |all, it| all.then(store(it)))
}

fn run(source: impl Source + 'static, target: impl Source + 'static, rounds: u32) -> Report {
    let opened = |store: Box<dyn Source>| Opened { store, name: StoreName::default() };
    let (source, target) = (opened(Box::new(source)), opened(Box::new(target)));
    let mut task = prepare::diff(source, target, &Options::default(), Policy::default()).unwrap();
    let recheck = Recheck { rounds, delay: Duration::ZERO };
    task.run(&Run { recheck, ..Run::new(64 << 20, std::env::temp_dir()) }, None).unwrap()
}

/// What the report says of the one table: counts of the tally, then rounds, keys, converged, still, changed again.
#[track_caller]
fn check(report: &Report, counts: &str, recheck: Option<[u64; 5]>) {
    let it = &report.totals;
    assert!(it.balances(), "{it:?}");
    let got = format!(
        "{} {} same={} changed={} missing={} extra={} duplicates={} invalid={}",
        it.source_rows,
        it.target_rows,
        it.same,
        it.changed,
        it.missing,
        it.extra,
        it.duplicates(),
        it.invalid
    );
    let got = got.split(' ').filter(|it| !it.ends_with("=0")).collect::<Vec<_>>().join(" ");
    assert_eq!(got, counts);
    let of = |it: report::Recheck| [it.rounds, it.keys, it.converged, it.still, it.changed_again];
    assert_eq!(report.tables[0].recheck.map(of), recheck);
    let findings = it.changed + it.missing + it.extra + it.duplicates();
    assert_eq!(report.tables[0].findings.len() as u64, findings, "findings are those of the last look");
}

const ALL: Rows = &[(1, "a"), (2, "b"), (3, "c"), (4, "d")];

#[test]
fn stragglers_arrive() {
    let target = moving(&[0], &[&[(1, "a"), (3, "x"), (5, "e")], &[(1, "a"), (2, "b"), (3, "c"), (5, "e")], ALL]);
    check(&run(moving(&[0], &[ALL]), target.clone(), 0), "4 3 same=1 changed=1 missing=2 extra=1", None);
    let once = run(moving(&[0], &[ALL]), target.clone(), 1);
    check(&once, "4 4 same=3 missing=1 extra=1", Some([1, 4, 2, 2, 0]));
    assert_eq!(once.verdict, Verdict::Fail);
    let seen = |kind| once.tables[0].findings.iter().find(|it| it.kind == kind).and_then(|it| it.seen);
    assert_eq!((seen(FindingKind::Missing), seen(FindingKind::Extra)), (Some(Seen::Still), Some(Seen::Still)));
    let twice = run(moving(&[0], &[ALL]), target, 9);
    check(&twice, "4 4 same=4", Some([2, 4, 4, 0, 0]));
    assert_eq!((twice.verdict, twice.reasons.len()), (Verdict::Pass, 0));
    let text = text::text(&twice, text::Style::default());
    assert!(text.contains("  t: 4 rows differed at first; after 2 more looks: 4 the same now\n"), "{text}");
}

#[test]
fn a_row_that_changes_is_told_from_one_that_does_not() {
    let looks: [Rows; 3] = [&[(1, "x"), (2, "x")], &[(1, "x"), (2, "y")], &[(1, "x"), (2, "y")]];
    let target = moving(&[0], &looks);
    let source = moving(&[0], &[&[(1, "a"), (2, "b")]]);
    let once = run(source.clone(), target.clone(), 1);
    check(&once, "2 2 changed=2", Some([1, 2, 0, 1, 1]));
    let seen: Vec<_> = once.tables[0].findings.iter().map(|it| it.seen).collect();
    assert_eq!(seen, [Some(Seen::Still), Some(Seen::ChangedAgain)]);
    let mut out = Vec::new();
    json::write(&once, &mut out).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["tables"][0]["findings"][1]["seen"], "changed_again");
    let expect = serde_json::json!({"rounds": 1, "keys": 2, "converged": 0, "still": 1, "changed_again": 1});
    assert_eq!(value["tables"][0]["recheck"], expect);
    check(&run(source, target, 2), "2 2 changed=2", Some([2, 2, 0, 2, 0]));
}

#[test]
fn rows_that_share_a_key_are_counted_by_their_last_state() {
    let target = moving(&[0], &[&[(1, "a"), (1, "b"), (2, "x"), (3, "c")], &[(1, "a"), (2, "b"), (2, "b"), (3, "c")]]);
    let source = moving(&[0], &[&[(1, "a"), (2, "b"), (3, "c")]]);
    let once = run(source, target, 1);
    check(&once, "3 4 same=3 duplicates=1", Some([1, 2, 1, 0, 1]));
}

#[test]
fn rows_without_a_key_are_counted_like_coins() {
    let source: Rows = &[(1, "a"), (1, "a"), (1, "a"), (2, "b"), (3, "c")];
    let target = moving(&[], &[&[(1, "a"), (2, "b"), (3, "c"), (3, "c")], &[(1, "a"), (1, "a"), (2, "b"), (3, "c")]]);
    check(&run(moving(&[], &[source]), target.clone(), 0), "5 4 same=3 missing=2 extra=1", None);
    check(&run(moving(&[], &[source]), target, 1), "5 4 same=4 missing=1", Some([1, 2, 1, 0, 1]));
}

#[test]
fn too_many_keys_leave_the_first_look_as_it_is() {
    let rows = |shift: i64| {
        let rows = (0..=KEYS_MAX as i64).map(move |it| [Value::Int(it), Value::Int(it + shift)]);
        let columns = vec![Column::new("id", Type::Int), Column::new("v", Type::Int)];
        Memory::new().with(Table { columns, key: vec![0], key_origin: Origin::Declared, ..Table::new("t") }, rows)
    };
    let report = run(rows(0), rows(1).then(rows(0)), 3);
    assert_eq!((report.totals.changed, report.tables[0].recheck), (KEYS_MAX as u64 + 1, None));
    assert_eq!(report.tables[0].notes, ["more than 10,000 rows differ, so none was looked at again"]);
    assert_eq!(run(rows(0), rows(0), 3).tables[0].recheck, None, "nothing differs, so nobody looks");
}

#[test]
fn what_cannot_be_looked_at_again_says_so() {
    struct Once(Memory);
    impl Source for Once {
        fn tables(&mut self) -> Result<Vec<Table>> {
            self.0.tables()
        }
        fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn crate::row::Feed) -> Result<()> {
            self.0.scan(table, shape, feed)
        }
    }
    let report = run(moving(&[0], &[ALL]), Once(moving(&[0], &[&[(1, "a")]])), 2);
    check(&report, "4 1 same=1 missing=3", None);
    assert_eq!(report.notes, ["not looked at again: the target: this store cannot be looked at again"]);
}

#[test]
fn other_columns_end_the_run() {
    let mut wide = table(&[0]);
    wide.columns.insert(0, Column::new("new", Type::Int));
    let next = Memory::new().with(wide, [[Value::Int(1), Value::Int(1), Value::Text("a")]]);
    let opened = |store: Memory| Opened { store: Box::new(store), name: StoreName::default() };
    let (source, target) = (opened(moving(&[0], &[ALL])), opened(moving(&[0], &[&[(1, "a")]]).then(next)));
    let mut task = prepare::diff(source, target, &Options::default(), Policy::default()).unwrap();
    let recheck = Recheck { rounds: 1, delay: Duration::ZERO };
    let error = task.run(&Run { recheck, ..Run::new(64 << 20, std::env::temp_dir()) }, None).unwrap_err();
    let says = "table `t` of the target is no longer what it was at the first look; run again";
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Store, says));
}

#[test]
fn a_wait_ends_when_somebody_asks_the_run_to_stop() {
    let watch = Arc::new(crate::run::Watch::default());
    let waiting = Arc::clone(&watch);
    let thread = std::thread::spawn(move || waiting.wait(Duration::from_secs(86_400)).map_err(|it| it.kind()));
    watch.stop();
    assert_eq!(thread.join().unwrap(), Err(Kind::Interrupted));
}

/// A database that somebody writes to between the looks.
struct Written {
    store: Sqlite,
    writes: std::vec::IntoIter<&'static str>,
    path: std::path::PathBuf,
}

impl Source for Written {
    fn tables(&mut self) -> Result<Vec<Table>> {
        self.store.tables()
    }
    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn crate::row::Feed) -> Result<()> {
        self.store.scan(table, shape, feed)
    }
    fn scan_keys(
        &mut self,
        table: &Table,
        shape: &Arc<Shape>,
        keys: &Batch,
        feed: &mut dyn crate::row::Feed,
    ) -> Result<()> {
        self.store.scan_keys(table, shape, keys, feed)
    }
    fn release(&mut self) -> Result<()> {
        self.store.release()
    }
    fn refresh(&mut self) -> Result<()> {
        // Nothing is locked now, or this would fail.
        let writer = rusqlite::Connection::open(&self.path).unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer.execute_batch(self.writes.next().unwrap_or("SELECT 1")).unwrap();
        drop(writer);
        self.store.refresh()
    }
}

#[test]
fn sqlite_files_are_written_to_between_looks() {
    let kinds = [
        ("id INTEGER PRIMARY KEY, name TEXT", ""),
        ("id INT PRIMARY KEY, name TEXT", "STRICT, WITHOUT ROWID"),
        ("id INT, name TEXT, PRIMARY KEY (id)", ""),
    ];
    for (columns, options) in kinds {
        for mode in ["DELETE", "WAL"] {
            let folder = tempfile::tempdir().unwrap();
            let open = |name: &str, rows: &str, writes: Vec<&'static str>| {
                let path = folder.path().join(name);
                let writer = rusqlite::Connection::open(&path).unwrap();
                let schema = format!("PRAGMA journal_mode = {mode}; CREATE TABLE t ({columns}) {options}");
                writer.execute_batch(&format!("{schema}; INSERT INTO t VALUES {rows}")).unwrap();
                drop(writer);
                Written { store: Sqlite::open(&path, false).unwrap(), writes: writes.into_iter(), path }
            };
            let source =
                open("source.db", "(1, 'a'), (2, 'b'), (3, 'c')", vec!["SELECT 1", "DELETE FROM t WHERE id = 3"]);
            let writes = vec!["INSERT INTO t VALUES (2, 'b'), (9, 'unseen')", "UPDATE t SET name = 'y' WHERE id = 4"];
            let target = open("target.db", "(1, 'a'), (4, 'x')", writes);
            check(&run(source, target, 2), "2 3 same=2 extra=1", Some([2, 3, 2, 0, 1]));
        }
    }
}

#[test]
fn a_dump_is_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.sql");
    let write = |rows: &str| {
        std::fs::write(&path, format!("CREATE TABLE t (id INTEGER PRIMARY KEY);\nINSERT INTO t VALUES {rows};\n"))
            .unwrap();
    };
    write("(1)");
    let mut store = crate::store::open("d1-export", &path, &crate::store::Options::default()).unwrap();
    let table = store.tables().unwrap().swap_remove(0);
    assert_eq!(crate::run::show::count(store.as_mut(), &table).unwrap(), 1);
    write("(1), (2)");
    assert_eq!(crate::run::show::count(store.as_mut(), &table).unwrap(), 1);
    store.refresh().unwrap();
    assert_eq!(crate::run::show::count(store.as_mut(), &table).unwrap(), 2);
}

/// A mapping that refuses every name but one small letter, gated so that one refusal is a pass.
fn mapped(source: Memory, target: Memory) -> Report {
    const PLAN: &str = "version = 1\nsource = { kind = 'json', path = 's' }\ntarget = { kind = 'json', path = 't' }\n\
        [[table]]\ninto = 't'\ncolumns = { id = '.id', name = { from = '.name', matches = '^[a-z]$' } }\n\
        [gate]\nrejects = 1\n";
    let plan = crate::plan::parse(PLAN, "cutover.toml", &|_| None).unwrap();
    let opened = |store: Memory| Opened { store: Box::new(store), name: StoreName::default() };
    let mut task = prepare::plan(&plan, opened(source), opened(target), None).unwrap();
    let recheck = Recheck { rounds: 1, delay: Duration::ZERO };
    let folder = tempfile::tempdir().unwrap();
    let report = Folder::create(&folder.path().join("report")).unwrap();
    let found = task.run(&Run { recheck, ..Run::new(64 << 20, std::env::temp_dir()) }, Some(&report)).unwrap();
    report.finish(&found).unwrap();
    let written = std::fs::read_to_string(folder.path().join("report/findings/t.ndjson")).unwrap_or_default();
    assert_eq!(written.lines().count(), found.tables[0].findings.len(), "the file holds what the last look found");
    found
}

#[test]
fn a_mapping_reads_everything_again_and_refuses_the_same() {
    let source = moving(&[0], &[&[(1, "a"), (2, "B"), (3, "c")]]);
    let report = mapped(source, moving(&[0], &[&[(1, "x")], &[(1, "a"), (3, "c")]]));
    assert_eq!((report.verdict, report.totals.rejects, report.totals.source_rows), (Verdict::Pass, 1, 3));
    assert_eq!(report.tables[0].findings[0].kind, FindingKind::Reject);
    assert_eq!(report.tables[0].recheck.map(|it| it.converged), Some(2));
}

#[test]
fn other_refusals_leave_the_table_undecided() {
    let looks: [Rows; 2] = [&[(1, "a"), (2, "B"), (3, "c")], &[(1, "a"), (2, "b"), (3, "C")]];
    let report = mapped(moving(&[0], &looks), moving(&[0], &[&[(1, "a")]]));
    assert_eq!((report.verdict, report.totals.rejects, report.totals.missing), (Verdict::Unknown, 1, 0));
    let says =
        "t: the mapping refuses other rows than at the look before, so what became of those is not known; run again";
    assert_eq!(report.reasons, [says]);
}

#[test]
fn tolerated_rows_are_counted_once() {
    let plan = "version = 1\nsource = { kind = 'json', path = 's' }\ntarget = { kind = 'json', path = 't' }\n\
        [[table]]\ninto = 't'\ncolumns = { id = '.id', name = { ignore = true, because = 'why not' } }\n";
    let plan = crate::plan::parse(plan, "cutover.toml", &|_| None).unwrap();
    let opened = |store: Memory| Opened { store: Box::new(store), name: StoreName::default() };
    // The first row is tolerated and doubled, the second tolerated, the third late and tolerated.
    let target = moving(&[0], &[&[(1, "x"), (1, "x"), (2, "x")], &[(1, "x"), (2, "y"), (3, "x")]]);
    let source = moving(&[0], &[&[(1, "a"), (2, "b"), (3, "c")]]);
    let mut task = prepare::plan(&plan, opened(source), opened(target), None).unwrap();
    let recheck = Recheck { rounds: 1, delay: Duration::ZERO };
    let report = task.run(&Run { recheck, ..Run::new(64 << 20, std::env::temp_dir()) }, None).unwrap();
    check(&report, "3 3 same=3", Some([1, 2, 2, 0, 0]));
    let rows = report.tables[0].columns.iter().find_map(|it| it.coarsened.as_ref()).map(|it| it.rows);
    assert_eq!(rows, Some(3));
}
