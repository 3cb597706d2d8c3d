use super::{chain::Audited, *};
use serde_json::json;

const AT: &str = "2026-11-28T11:03:33Z";

fn state() -> (tempfile::TempDir, State) {
    let around = tempfile::tempdir().unwrap();
    let state = State::open(&around.path().join(FOLDER)).unwrap();
    (around, state)
}

fn record(id: &str) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        plan: "cutover.toml".to_owned(),
        plan_hash: "h".repeat(64),
        source: "old.db".to_owned(),
        source_fingerprint: "sqlite:1".to_owned(),
        target: "new.db".to_owned(),
        target_fingerprint: "sqlite:2".to_owned(),
        started: AT.to_owned(),
        ..RunRecord::default()
    }
}

/// A run that got that far.
fn run_to(state: &mut State, id: &str, phase: Phase) -> RunRecord {
    let run = RunRecord { phase, ..record(id) };
    state.begin_run(&run).unwrap();
    run
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_folder_is_private_and_hidden_from_git() {
    let (around, state) = state();
    let folder = around.path().join(FOLDER);
    assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
    let run = state.run_folder("a-1").unwrap();
    for (path, expect) in [(&folder, 0o700), (&folder.join(JOURNAL), 0o600), (&folder.join(RUNS), 0o700), (&run, 0o700)]
    {
        assert_eq!(mode(path), expect, "{}", path.display());
    }
    drop(state);
    // Whatever was opened up meanwhile is closed again.
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.join(JOURNAL), Permissions::from_mode(0o644)).unwrap();
    fs::write(folder.join(".gitignore"), "mine").unwrap();
    State::open(&folder).unwrap();
    assert_eq!((mode(&folder), mode(&folder.join(JOURNAL))), (0o700, 0o600));
    assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "mine");
}

#[test]
fn a_folder_that_is_a_link_or_a_file_is_refused() {
    let around = tempfile::tempdir().unwrap();
    fs::create_dir(around.path().join("elsewhere")).unwrap();
    let (link, file) = (around.path().join("link"), around.path().join("file"));
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    fs::write(&file, "").unwrap();
    for path in [link, file] {
        let error = State::open(&path).unwrap_err();
        assert!(error.to_string().contains("it is no folder; move it away"), "{error}");
    }
    assert_eq!(fs::read_dir(around.path().join("elsewhere")).unwrap().count(), 0);
}

#[test]
fn looking_makes_nothing() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join(FOLDER);
    assert!(State::look(&folder).unwrap().is_none());
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(JOURNAL), "").unwrap();
    assert!(State::look(&folder).unwrap().is_none());
    let mut state = State::open(&folder).unwrap();
    run_to(&mut state, "a", Phase::Applying);
    // While a run writes, and after.
    assert_eq!(State::look(&folder).unwrap().unwrap().runs().unwrap().len(), 1);
    drop(state);
    let mut seen = State::look(&folder).unwrap().unwrap();
    assert_eq!(seen.runs().unwrap().len(), 1);
    assert!(seen.begin_run(&record("b")).is_err());
}

#[test]
fn a_journal_that_cannot_be_used_says_what_to_do() {
    let check = |spoil: &dyn Fn(&Path), expect: &[&str]| {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join(FOLDER);
        let mut state = State::open(&folder).unwrap();
        run_to(&mut state, "a", Phase::Applying);
        drop(state);
        spoil(&folder.join(JOURNAL));
        for error in [State::open(&folder).unwrap_err(), State::look(&folder).map(drop).unwrap_err()] {
            assert_eq!(error.kind(), Kind::Snapshot, "{error}");
            for part in expect.iter().chain(&["never the truth about rows", "only the memory of runs"]) {
                assert!(error.to_string().contains(part), "no {part} in {error}");
            }
        }
    };
    let sql = |path: &Path, text: &str| Connection::open(path).unwrap().execute_batch(text).unwrap();
    check(&|it| sql(it, "PRAGMA user_version = 2"), &["has the format 2", "knows 1", "move the file away"]);
    check(
        &|it| fs::write(it, "no database at all, but long enough to be looked at").unwrap(),
        &["damaged", "move it away"],
    );
    check(&|it| sql(it, "PRAGMA user_version = 0"), &["it is no journal of cutover", "move it away"]);
    let torn = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 4096 / 2 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        fs::write(path, bytes).unwrap();
    };
    check(&torn, &["damaged", "move it away"]);
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 4096]).unwrap();
    };
    check(&cut, &["damaged", "move it away"]);
}

#[test]
fn names_of_runs_follow_the_clock_and_are_never_taken() {
    let (_around, mut state) = state();
    let check = |state: &State, at: &str, expect: &str| assert_eq!(state.new_run_id(at).unwrap(), expect);
    check(&state, "2026-11-28T11:03:33.987Z", "2026-11-28T11-03-33Z");
    check(&state, "2026-11-28T12:03:33+01:00", "2026-11-28T11-03-33Z");
    state.begin_run(&record("2026-11-28T11-03-33Z")).unwrap();
    check(&state, AT, "2026-11-28T11-03-33Z-2");
    // A folder whose run the journal does not know, as it was moved away.
    state.run_folder("2026-11-28T11-03-33Z-2").unwrap();
    check(&state, AT, "2026-11-28T11-03-33Z-3");
    assert!(state.new_run_id("yesterday").is_err());
    for name in ["", ".", "..", "a/b", "/a", "a\\b", "a b", "ä", "a\0"] {
        let error = state.run_folder(name).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{name}");
        assert!(state.begin_run(&record(name)).is_err());
    }
}

#[test]
fn what_was_told_is_read_back() {
    let (around, mut state) = state();
    state.begin_run(&record("a")).unwrap();
    assert!(state.begin_run(&record("a")).is_err(), "a name is taken once");
    let second = RunRecord { continues: Some("a".to_owned()), plan: "other.toml".to_owned(), ..record("b") };
    state.begin_run(&second).unwrap();
    let unknown = RunRecord { continues: Some("z".to_owned()), ..record("c") };
    assert!(state.begin_run(&unknown).is_err(), "nothing goes on with a run that is not known");
    for phase in [Phase::Staged, Phase::Checked, Phase::Checked, Phase::Applying] {
        state.set_phase("a", phase, AT).unwrap();
    }
    assert_eq!(state.set_phase("a", Phase::Done, AT).unwrap_err().kind(), Kind::Broken);
    assert!(state.set_phase("z", Phase::Done, AT).is_err());
    let counts = TableCounts { name: "users".to_owned(), inserts: 5, updates: 2, deletes: 1, ..TableCounts::default() };
    state.set_table("a", &TableCounts { name: "z".to_owned(), rejects: u64::MAX, ..TableCounts::default() }).unwrap();
    state.set_table("a", &counts).unwrap();
    for (number, rows) in [(1, 3), (2, 4), (2, 4), (1, 3)] {
        state.batch_done("a", "users", number, rows, AT).unwrap();
    }
    state.set_table("a", &TableCounts { conflicts: 2, skips: 9, ..counts.clone() }).unwrap();
    state.batch_done("a", "posts", 1, 1, AT).unwrap();
    assert!(state.batch_done("z", "posts", 1, 1, AT).is_err());
    state.finish("a", "interrupted", Some("cutover migrate"), AT).unwrap();
    assert!(state.finish("z", "done", None, AT).is_err());
    drop(state);

    let state = State::open(&around.path().join(FOLDER)).unwrap();
    let tables = state.tables("a").unwrap();
    assert_eq!(tables[0].rejects, i64::MAX as u64);
    assert_eq!(tables[1], TableCounts { conflicts: 2, skips: 9, done_rows: 7, batches: 2, ..counts });
    assert_eq!(tables[1].to_write(), 8);
    assert_eq!((tables[2].name.as_str(), tables[2].done_rows, tables.len()), ("posts", 1, 3));
    let expect = RunRecord {
        phase: Phase::Applying,
        ended: Some(AT.to_owned()),
        outcome: Some("interrupted".to_owned()),
        advice: Some("cutover migrate".to_owned()),
        ..record("a")
    };
    assert_eq!(state.run("a").unwrap(), Some(expect.clone()));
    assert_eq!(state.half_way("cutover.toml").unwrap(), std::slice::from_ref(&expect));
    assert_eq!(state.runs().unwrap(), [second.clone(), expect.clone()]);
    assert_eq!(state.last_run("cutover.toml").unwrap(), Some(expect));
    assert_eq!(state.last_run("other.toml").unwrap(), Some(second));
    assert_eq!((state.last_run("third.toml").unwrap(), state.run("z").unwrap()), (None, None));
    let told: Vec<_> = state.events(Some("a")).unwrap().into_iter().map(|it| it.event).collect();
    assert_eq!(told, ["begin", "phase", "phase", "phase", "end"], "what was refused or told twice leaves no trace");
    assert_eq!(state.audit_verify().unwrap().broken, None);
}

#[test]
fn decisions_are_kept_and_counted() {
    let (_around, mut state) = state();
    state.begin_run(&record("a")).unwrap();
    let decision = |key: &str, choice: &str| Decision {
        table: "users".to_owned(),
        key: key.to_owned(),
        kind: "conflict".to_owned(),
        choice: choice.to_owned(),
        by: "person".to_owned(),
    };
    state.decide("a", &[decision("1", "skip"), decision("2", "skip"), decision("3", "skip")], AT).unwrap();
    state.decide("a", &[decision("3", "overwrite")], AT).unwrap();
    state.decide("a", &[], AT).unwrap();
    assert!(state.decide("z", &[decision("1", "skip")], AT).is_err());
    assert_eq!(state.decision("a", "users", "3", "conflict").unwrap().as_deref(), Some("overwrite"));
    assert_eq!(state.decision("a", "users", "4", "conflict").unwrap(), None);
    let counts: Vec<_> = state.decisions("a").unwrap().into_iter().map(|(it, count)| (it.choice, count)).collect();
    assert_eq!(counts, [("overwrite".to_owned(), 1), ("skip".to_owned(), 2)]);
    let told: Vec<_> = state.events(None).unwrap().into_iter().map(|it| it.event).collect();
    assert_eq!(told, ["begin", "decide", "decide"]);
}

/// Four entries, about a run and about none.
fn trail() -> (tempfile::TempDir, State, Audited) {
    let (around, mut state) = state();
    state.begin_run(&record("a")).unwrap();
    state.audit(Some("a"), "bookmark", &json!({ "at": "00-1" }), AT).unwrap();
    state.audit(None, "unlock", &json!({ "from": 4711 }), AT).unwrap();
    state.finish("a", "done", None, AT).unwrap();
    let audited = state.audit_verify().unwrap();
    assert_eq!((audited.entries, &audited.broken), (4, &None));
    (around, state, audited)
}

#[test]
fn whatever_is_done_to_the_audit_trail_is_found() {
    let check = |sql: &str, expect: Option<u64>| {
        let (_around, state, before) = trail();
        let change = Connection::open(state.folder().join(JOURNAL)).unwrap();
        change.execute_batch(sql).unwrap_or_else(|it| panic!("{it}: {sql}"));
        let audited = state.audit_verify().unwrap();
        let broken = audited.broken.as_ref().map(|it| it.entry);
        assert_eq!(broken, expect, "{sql}: {audited:?}");
        assert_eq!(audited == before, expect.is_none(), "{sql}");
    };
    check("UPDATE runs SET advice = 'the trail is not about this'", None);
    for entry in 1..=4 {
        for change in [
            "at = '2026-11-28T11:03:34Z'",
            "run = 'b'",
            "run = CASE WHEN run IS NULL THEN '' ELSE NULL END",
            "event = event || ' '",
            "detail = '{}'",
            "detail = CAST(x'ff' AS TEXT)",
            "hash = replace(hash, substr(hash, 9, 1), '_')",
            "previous = replace(previous, substr(previous, 9, 1), '_')",
            // A field must not grow at the cost of the next.
            "event = event || substr(detail, 1, 1), detail = substr(detail, 2)",
        ] {
            check(&format!("UPDATE audit SET {change} WHERE seq = {entry}"), Some(entry));
        }
        check(&format!("DELETE FROM audit WHERE seq = {entry}"), Some(entry));
        check(&format!("UPDATE audit SET seq = seq + 10 WHERE seq = {entry}"), Some(entry));
    }
    let swap = |one: u64, other: u64| {
        format!(
            "UPDATE audit SET seq = -1 WHERE seq = {one}; UPDATE audit SET seq = {one} WHERE seq = {other};
             UPDATE audit SET seq = {other} WHERE seq = -1"
        )
    };
    for (one, other) in [(1, 2), (2, 3), (3, 4), (1, 4)] {
        check(&swap(one, other), Some(one));
    }
    check("DELETE FROM audit WHERE seq > 2", Some(3));
    check("DELETE FROM audit", Some(1));
    check("DELETE FROM audit WHERE seq > 2; UPDATE meta SET audit_entries = 2", Some(2));
    check("UPDATE meta SET audit_head = replace(audit_head, substr(audit_head, 9, 1), '_')", Some(4));
    check("UPDATE meta SET audit_entries = 3", Some(4));
    check("DELETE FROM meta", Some(4));
    check("INSERT INTO audit SELECT 5, at, run, event, detail, hash, hash FROM audit WHERE seq = 4", Some(5));
    check("INSERT INTO audit SELECT 0, at, run, event, detail, hash, hash FROM audit WHERE seq = 4", Some(1));
}

#[test]
fn who_may_begin() {
    /// What another run is, beside the one before, and what comes of it.
    type Case = (Phase, bool, fn(&mut RunRecord), bool, Result<Option<&'static str>, &'static str>);
    let same: fn(&mut RunRecord) = |_| ();
    let edited: fn(&mut RunRecord) = |it| it.plan_hash = "x".repeat(64);
    let target: fn(&mut RunRecord) = |it| it.target_fingerprint = "sqlite:3".to_owned();
    let source: fn(&mut RunRecord) = |it| it.source_fingerprint = "sqlite:4".to_owned();
    let plan: fn(&mut RunRecord) = |it| (it.plan, it.target_fingerprint) = ("b.toml".to_owned(), "sqlite:3".to_owned());
    let cases: [Case; 19] = [
        (Phase::Done, true, same, false, Ok(None)),
        (Phase::Done, true, edited, false, Ok(None)),
        (Phase::Done, true, source, false, Ok(None)),
        (Phase::RolledBack, true, edited, false, Ok(None)),
        (Phase::Failed, true, same, false, Ok(None)),
        (Phase::Applying, false, same, false, Ok(Some("a"))),
        (Phase::Applying, true, same, false, Ok(Some("a"))),
        (Phase::Applied, false, same, false, Ok(Some("a"))),
        (Phase::RollingBack, false, same, false, Ok(Some("a"))),
        (Phase::Applying, true, edited, false, Err("its hash began with hhhhhhhhhhhh), then go on: cutover migrate")),
        (Phase::Verified, true, edited, true, Err("take back what was written: cutover rollback --run a")),
        (Phase::RollingBack, false, edited, false, Err("then end it: cutover rollback --run a")),
        (Phase::Applying, false, source, false, Err("point the plan at that source again")),
        // Nothing was written, so nothing is half done.
        (Phase::Staged, false, same, false, Ok(Some("a"))),
        (Phase::Staged, false, edited, false, Ok(None)),
        (Phase::Staged, true, same, false, Ok(None)),
        (Phase::Done, true, target, false, Err("point the plan at that target again, or say --new-target")),
        (Phase::Applying, true, target, true, Ok(None)),
        (Phase::Applying, true, plan, false, Ok(None)),
    ];
    for (phase, ended, change, new_target, expect) in cases {
        let (_around, mut state) = state();
        run_to(&mut state, "a", phase);
        if ended {
            state.finish("a", "error", None, AT).unwrap();
        }
        let mut run = record("b");
        change(&mut run);
        let got = state.guard(&run, new_target).map_err(|it| it.to_string());
        let fits = match (&got, expect) {
            (Ok(got), Ok(expect)) => got.as_deref() == expect,
            (Err(got), Err(expect)) => got.contains(expect),
            _ => false,
        };
        assert!(fits, "{phase:?} {run:?}: {got:?}");
    }
    let (_around, state) = state();
    assert_eq!(state.guard(&record("a"), false).unwrap(), None, "the first run of all");
}

#[test]
fn a_target_that_is_half_done_waits_for_its_own_run() {
    let (_around, mut state) = state();
    run_to(&mut state, "a", Phase::Applying);
    let other = RunRecord { target_fingerprint: "sqlite:3".to_owned(), phase: Phase::Done, ..record("b") };
    assert_eq!(state.guard(&other, true).unwrap(), None);
    state.begin_run(&other).unwrap();
    assert_eq!(state.guard(&record("c"), true).unwrap().as_deref(), Some("a"));
    assert!(state.guard(&record("c"), false).is_err());
    // Neither a run that only looked nor one that was killed before it wrote makes that forgotten.
    for (id, ended) in [("d", Some(AT.to_owned())), ("e", None)] {
        state.begin_run(&RunRecord { phase: Phase::Checked, ended, ..record(id) }).unwrap();
        assert_eq!(state.guard(&record("f"), false).unwrap().as_deref(), Some("a"));
    }
    let edited = RunRecord { plan_hash: "x".repeat(64), ..record("f") };
    assert!(state.guard(&edited, false).is_err());
    state.begin_run(&RunRecord { phase: Phase::Done, ..record("g") }).unwrap();
    assert_eq!((state.guard(&edited, false).unwrap(), state.half_way("cutover.toml").unwrap()), (None, Vec::new()));
}

#[test]
fn where_the_state_of_a_plan_lies() {
    let check = |plan: &str, folder: &str, name: &str| {
        assert_eq!((folder_of(Path::new(plan)), plan_name(Path::new(plan))), (PathBuf::from(folder), name.to_owned()));
    };
    check("cutover.toml", ".cutover", "cutover.toml");
    check("./a/prod.toml", "./a/.cutover", "prod.toml");
    check("/a/prod.toml", "/a/.cutover", "prod.toml");
}

#[test]
fn what_is_read_in_one_moment_knows_nothing_of_later() {
    let (_around, mut writer) = state();
    run_to(&mut writer, "a", Phase::Checked);
    let reader = State::look(writer.folder()).unwrap().unwrap();
    let mut change = || {
        writer.set_phase("a", Phase::Applying, AT).unwrap();
        writer.begin_run(&record("b")).unwrap();
        writer.finish("a", "done", None, AT).unwrap();
    };
    let told = reader.moment(|it| {
        let before = (it.runs()?, it.audit_verify()?, it.contradictions()?);
        change();
        assert_eq!((it.runs()?, it.audit_verify()?, it.contradictions()?), before);
        Ok(before)
    });
    let (runs, audited, contradictions) = told.unwrap();
    assert_eq!((runs.len(), audited.entries, contradictions.len()), (1, 1, 0));
    assert_eq!((reader.runs().unwrap().len(), reader.audit_verify().unwrap().entries), (2, 4));
}

#[test]
fn what_the_journal_says_otherwise_than_the_trail() {
    let check = |sql: &str, expect: &[&str]| {
        let (_around, mut state) = state();
        run_to(&mut state, "a", Phase::Connected);
        let second = RunRecord { continues: Some("a".to_owned()), ..record("b") };
        state.begin_run(&second).unwrap();
        state.set_phase("b", Phase::Staged, AT).unwrap();
        state.set_table("b", &TableCounts { name: "users".to_owned(), ..TableCounts::default() }).unwrap();
        let decision = Decision { table: "users".to_owned(), key: "1".to_owned(), ..Decision::default() };
        state.decide("b", &[decision], AT).unwrap();
        state.audit(Some("b"), "write", &json!({ "table": "users" }), AT).unwrap();
        state.finish("b", "pass", None, AT).unwrap();
        let change = Connection::open(state.folder().join(JOURNAL)).unwrap();
        change.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
        assert_eq!(state.contradictions().unwrap(), expect, "{sql}");
        assert_eq!(state.audit_verify().unwrap().broken, None, "{sql}");
    };
    check("", &[]);
    check(
        "DELETE FROM runs WHERE id = 'b'",
        &["run b: the trail says that it began, and the journal does not know it"],
    );
    check(
        "INSERT INTO runs SELECT 9, 'c', NULL, plan, plan_hash, source, source_fingerprint, target, target_fingerprint, phase, \
         started, NULL, NULL, NULL FROM runs WHERE id = 'a'",
        &["run c: it is in the journal, and the trail does not know it"],
    );
    let differs = |what: &str, journal: &str, trail: &str| {
        format!("run b: the {what} in the journal is {journal}, and the trail says {trail}")
    };
    for (change, what, journal, trail) in [
        ("plan = 'x'", "plan file", "`x`", "`cutover.toml`"),
        ("target_fingerprint = 'x'", "target", "`x`", "`sqlite:2`"),
        ("continues = NULL", "run before it", "nothing", "`a`"),
        ("started = 'x'", "begin", "`x`", &format!("`{AT}`")),
        ("phase = 'done'", "phase", "`done`", "`staged`"),
        ("outcome = NULL", "outcome", "nothing", "`pass`"),
        ("ended = 'x'", "end", "`x`", &format!("`{AT}`")),
    ] {
        check(&format!("UPDATE runs SET {change} WHERE id = 'b'"), &[&differs(what, journal, trail)]);
    }
    check(
        "UPDATE runs SET phase = 'done', outcome = 'pass' WHERE id = 'a'",
        &[
            "run a: the phase in the journal is `done`, and the trail says `connected`",
            "run a: the outcome in the journal is `pass`, and the trail says nothing",
        ],
    );
    check("DELETE FROM tables", &["run b: the trail says that `users` was written, and the journal does not know it"]);
    check("DELETE FROM decisions", &["run b: the journal has 0 decisions, and the trail says 1"]);
    check(
        "INSERT INTO decisions SELECT run, tbl, '2', kind, choice, by FROM decisions",
        &["run b: the journal has 2 decisions, and the trail says 1"],
    );
}
