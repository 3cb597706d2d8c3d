//! Laws of writing: what is migrated verifies, a second run does nothing, what is undone is as before and was foreseen, and neither the
//! size of batches, nor the order of the source, nor an end half way shows.

use super::{Table, config, memory::Cell, two};
use cutover::{
    error::{Error, Kind, Result},
    gate::Verdict,
    plan::{self, Plan},
    report::{StoreName, migration::Migration},
    run::{
        Recheck, Run,
        migrate::{
            Job, Undo,
            conflict::{Answer, Decide, Question},
            manifest::Manifest,
            rollback::Undone,
        },
        prepare::{self, Opened},
        state::{RunRecord, State},
    },
    schema,
    store::{
        Source,
        about::Fact,
        sqlite::Sqlite,
        target::{self, Begin, Changes, Room, Target, Written},
    },
    value::Type,
};
use proptest::prelude::*;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Two databases in a folder, and a plan that writes one into the other.
struct Stage {
    folder: tempfile::TempDir,
    plan: Plan,
    runs: u32,
}

/// What a run is told beside the plan.
#[derive(Clone, Copy)]
struct How {
    /// Rows in a batch. 0: as the target finds good, and ahead of the check where it holds no rows.
    batch: u64,
    /// The target fails after so many batches.
    fails_after: Option<u64>,
}

impl Stage {
    fn new(types: &[Type], key: usize, source: &[(&Vec<Cell>, &Vec<Cell>)], target: &Table) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let target: Vec<_> = target.iter().collect();
        for (name, rows) in [("a.db", source), ("b.db", &target[..])] {
            let connection = Connection::open(folder.path().join(name)).expect("a database");
            connection
                .execute_batch(&format!("PRAGMA synchronous = OFF; {}", statements(types, key, rows)))
                .expect("rows");
        }
        let keys: Vec<String> = (0..key).map(|it| format!("'c{it}'")).collect();
        let text = format!(
            "version = 1\nsource = {{ kind = 'sqlite', path = 'a.db' }}\ntarget = {{ kind = 'sqlite', path = 'b.db' }}\n\
             [[table]]\ninto = 't'\nconflict = 'overwrite'\nkey = [{}]\n[gate]\nextra = 1000\n",
            keys.join(", ")
        );
        let path = folder.path().join("cutover.toml").display().to_string();
        let plan = plan::parse(&text, &path, &|_| None).expect("a plan");
        Stage { folder, plan, runs: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Migrates. Of a run that fails, what it wrote stays.
    fn migrate(&mut self, how: How) -> Migration {
        self.runs += 1;
        let opened = |name: &str| {
            let store = Box::new(Sqlite::open(&self.path(name), false).expect("a database"));
            Opened { store, name: StoreName { kind: "sqlite".into(), name: name.into() } }
        };
        let task = prepare::plan(&self.plan, opened("a.db"), opened("b.db"), None);
        let task = task.unwrap_or_else(|_| panic!("the plan fits"));
        let mut state = State::open(&self.path(".cutover")).expect("a state");
        let id = format!("2026-01-01T00-00-{:02}Z", self.runs);
        let record =
            RunRecord { id: id.clone(), plan: "cutover.toml".into(), started: NOW.into(), ..RunRecord::default() };
        state.begin_run(&record).expect("a run");
        let target = self.path("b.db");
        let open = || -> Result<Box<dyn Target>> {
            Ok(Box::new(Failing { inner: writer(&target)?, left: how.fails_after.unwrap_or(u64::MAX) }))
        };
        let reopen = || -> Result<Box<dyn Source>> { Ok(Box::new(Sqlite::open(&target, false)?)) };
        let job = Job {
            task,
            plan: &self.plan,
            how: plan::Migrate {
                batch_size: Some(how.batch).filter(|it| *it > 0),
                preserve_partial: true,
                ..plan::Migrate::default()
            },
            id,
            continues: Vec::new(),
            state: &mut state,
            fingerprint: "b".into(),
            absent: false,
            open: &open,
            reopen: &reopen,
            schema: None,
            now: &|| NOW.to_owned(),
            may_write: &|| Ok(()),
            recheck: Recheck::default(),
            decide: Arc::new(Nobody),
            backup: None,
            staged: &|_| Ok(()),
            preview: false,
            partial: false,
            again: String::new(),
        };
        job.run(&run()).unwrap_or_else(|it| panic!("{it:?}"))
    }

    /// Undoes all runs, the last one first, or says what that takes.
    fn undo(&self, preview: bool) -> Vec<Undone> {
        let target = self.path("b.db");
        let reopen = || -> Result<Box<dyn Source>> { Ok(Box::new(Sqlite::open(&target, false)?)) };
        let state = State::open(&self.path(".cutover")).expect("a state");
        let (mut later, mut all) = (Vec::new(), Vec::new());
        for number in (1..=self.runs).rev() {
            let folder = state.run_folder(&format!("2026-01-01T00-00-{number:02}Z")).expect("a folder");
            let Ok(manifest) = Manifest::read(&folder) else { continue };
            let tables = reopen().and_then(|mut it| it.tables()).expect("tables");
            let pace = (&plan::Migrate { batch_size: Some(2), ..plan::Migrate::default() }).into();
            let target = writer(&target).expect("a target");
            let may_write = || Ok(());
            let (may_write, plan): (&(dyn Fn() -> Result<()> + Sync), _) = (&may_write, &self.plan);
            let (wanted, before, staged) = (None, later.clone(), (manifest.clone(), folder.clone()));
            let mut undo = Undo {
                manifest,
                folder,
                target,
                reopen: &reopen,
                pace,
                tables,
                may_write,
                wanted,
                later: before,
                plan,
            };
            all.push(undo.run(&run(), preview, NOW).unwrap_or_else(|it| panic!("{it:?}")));
            later.extend(preview.then_some(staged));
        }
        all
    }

    /// The target's rows, as SQLite spells them.
    fn rows(&self, width: usize) -> Vec<String> {
        let connection = Connection::open(self.path("b.db")).expect("a database");
        let cells: Vec<String> = (0..width).map(|it| format!("typeof(c{it}) || quote(c{it})")).collect();
        let mut statement =
            connection.prepare(&format!("SELECT {} FROM t", cells.join(" || ' ' || "))).expect("a query");
        let rows = statement.query_map([], |it| it.get::<_, String>(0)).expect("rows");
        let mut rows: Vec<String> = rows.map(|it| it.expect("a row")).collect();
        rows.sort();
        rows
    }
}

const NOW: &str = "2026-01-01T00:00:00Z";

fn run() -> Run {
    Run::new(64 << 20, std::env::temp_dir())
}

fn writer(path: &Path) -> Result<Box<dyn Target>> {
    target::open("sqlite", path, &cutover::store::Options::default())
}

fn statements(types: &[Type], key: usize, rows: &[(&Vec<Cell>, &Vec<Cell>)]) -> String {
    let declared = |ty: &Type| match ty {
        Type::Int => "INTEGER",
        Type::Text => "TEXT",
        Type::Bytes => "BLOB",
        _ => "",
    };
    let columns = types.iter().enumerate().map(|(place, ty)| format!("c{place} {}", declared(ty))).collect::<Vec<_>>();
    let keys = (0..key).map(|it| format!("c{it}")).collect::<Vec<_>>().join(", ");
    let insert = |(key, rest): &(&Vec<Cell>, &Vec<Cell>)| {
        let cells: Vec<String> = key.iter().chain(rest.iter()).map(Cell::literal).collect();
        format!("INSERT INTO t VALUES ({});", cells.join(", "))
    };
    // NULL may stand in a key of SQLite, which then does not see that it repeats.
    let rows = rows.iter().map(insert).collect::<String>();
    format!("CREATE TABLE t ({}); CREATE INDEX i ON t ({keys}); BEGIN; {rows} COMMIT;", columns.join(", "))
}

/// A target that is gone after some batches.
struct Failing {
    inner: Box<dyn Target>,
    left: u64,
}

impl Target for Failing {
    fn room(&self, table: &schema::Table) -> Room {
        self.inner.room(table)
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }

    fn begin(&mut self, begin: &Begin<'_>) -> Result<Vec<Fact>> {
        self.inner.begin(begin)
    }

    fn hold(&mut self, schema: Option<&str>, release: &mut dyn FnMut() -> Result<()>) -> Result<bool> {
        self.inner.hold(schema, release)
    }

    fn keep(&mut self) -> Result<()> {
        self.inner.keep()
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return Err(Error::new(Kind::Store, "gone")),
        }
        self.inner.write(changes)
    }

    fn mark(&mut self, run: &str, table: &str) -> Result<Option<u64>> {
        self.inner.mark(run, table)
    }
}

struct Nobody;

impl Decide for Nobody {
    fn ask(&self, _: &Question<'_>) -> Result<Answer> {
        Ok(Answer::Stop)
    }
}

/// The rows of the target once all of the source is written.
fn merged(types: &[Type], key: usize, source: &Table, target: &Table) -> Vec<String> {
    let mut all = target.clone();
    all.extend(source.iter().map(|(key, rest)| (key.clone(), rest.clone())));
    Stage::new(types, key, &[], &all).rows(types.len())
}

const WHOLE: How = How { batch: 100, fails_after: None };

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: config().cases.min(48).max(config().cases / 8), ..config() })]

    #[test]
    fn what_is_migrated_verifies_once_and_is_undone((types, key, one, other) in two(), batch in 0_u64..6, blank in any::<bool>()) {
        let other = if blank { Table::new() } else { other };
        let source: Vec<_> = one.iter().collect();
        let mut stage = Stage::new(&types, key, &source, &other);
        let (width, before) = (types.len(), stage.rows(types.len()));
        let first = stage.migrate(How { batch, fails_after: None });
        prop_assert_eq!((first.verdict, first.reasons), (Verdict::Pass, vec![]));
        let after = stage.rows(width);
        prop_assert_eq!(&after, &merged(&types, key, &one, &other));
        let second = stage.migrate(WHOLE);
        prop_assert_eq!(second.verdict, Verdict::Pass);
        prop_assert_eq!(second.tables[0].counts.insert + second.tables[0].counts.update, 0);
        prop_assert_eq!(stage.rows(width), after);
        stage.undo(false);
        prop_assert_eq!(stage.rows(width), before);
    }

    #[test]
    fn neither_batches_nor_the_order_of_the_source_show((types, key, one, other) in two(), batch in 0_u64..6, blank in any::<bool>()) {
        let other = if blank { Table::new() } else { other };
        let mut source: Vec<_> = one.iter().collect();
        let mut whole = Stage::new(&types, key, &source, &other);
        whole.migrate(WHOLE);
        source.reverse();
        let mut parts = Stage::new(&types, key, &source, &other);
        parts.migrate(How { batch, fails_after: None });
        prop_assert_eq!(whole.rows(types.len()), parts.rows(types.len()));
    }

    #[test]
    fn an_end_half_way_does_not_show(
        (types, key, one, other) in two(),
        batch in prop_oneof![Just(0), Just(3)],
        batches in 0_u64..4,
        blank in any::<bool>(),
    ) {
        let other = if blank { Table::new() } else { other };
        let source: Vec<_> = one.iter().collect();
        let mut stage = Stage::new(&types, key, &source, &other);
        let before = stage.rows(types.len());
        stage.migrate(How { batch, fails_after: Some(batches) });
        let again = stage.migrate(WHOLE);
        prop_assert_eq!((again.verdict, again.reasons), (Verdict::Pass, vec![]));
        prop_assert_eq!(stage.rows(types.len()), merged(&types, key, &one, &other));
        let foreseen = stage.undo(true);
        prop_assert_eq!(stage.undo(false), foreseen);
        prop_assert_eq!(stage.rows(types.len()), before);
    }
}
