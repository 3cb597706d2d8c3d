//! What holds for all data. Cases come from a fixed seed; `PROPTEST_CASES` and `PROPTEST_RNG_SEED` ask for more and for others.

#![cfg(test)]

#[path = "laws/memory.rs"]
mod memory;
#[path = "laws/migrate.rs"]
mod migrate;

mod support;

use cutover::{
    diff::{
        Finding, Sink, Tally,
        canary::{Watch, plant},
    },
    error::Result,
    gate::Verdict,
    pairing::{Choices, Comparison, pair},
    plan::{Names, Policy},
    report::{self, FindingKind, Report, StoreName, json},
    row::{Batch, Feed, Flow, Row, Rows, Shape},
    run::{Recheck, Run, prepare},
    store::{Source, sqlite::Sqlite},
    value::Type,
};
use memory::{Cell, Memory};
use proptest::{
    prelude::*,
    sample::{Index, subsequence},
    test_runner::{Config, RngSeed},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Rows by key.
type Table = BTreeMap<Vec<Cell>, Vec<Cell>>;

fn config() -> Config {
    let asked = Config::default();
    let rng_seed = if asked.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { asked.rng_seed };
    Config { rng_seed, failure_persistence: None, ..asked }
}

// What is generated.

/// Values that sort, escape, and nearly collide.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab\u{0}\u{1}'\"é\u{ff}\u{1f600}]{0,4}",
        1 => Just("<null>".to_owned()),
        1 => "[0-9]{1,3}",
        1 => ".{0,40}",
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -300_i64..300, 1 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => Just((1 << 53) + 1)]
}

/// A value that fits its column, other than NULL.
fn cell(ty: Type) -> BoxedStrategy<Cell> {
    let bytes = || proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..4);
    match ty {
        Type::Int => integer().prop_map(Cell::Int).boxed(),
        Type::Text => text().prop_map(Cell::Text).boxed(),
        Type::Bytes => bytes().prop_map(Cell::Bytes).boxed(),
        _ => prop_oneof![integer().prop_map(Cell::Int), text().prop_map(Cell::Text), bytes().prop_map(Cell::Bytes),]
            .boxed(),
    }
}

fn row(types: &[Type], nulls: u32) -> impl Strategy<Value = Vec<Cell>> + use<> {
    let cells = types.iter().map(|ty| prop_oneof![nulls => Just(Cell::Null), 4 => cell(*ty)].boxed());
    cells.collect::<Vec<_>>()
}

/// Types of a table's columns, and how many of them are the key.
fn schema() -> impl Strategy<Value = (Vec<Type>, usize)> {
    let ty = || prop_oneof![Just(Type::Int), Just(Type::Text), Just(Type::Any), Just(Type::Bytes)];
    (proptest::collection::vec(ty(), 2..6), 1_usize..3).prop_map(|(types, key)| {
        let key = key.min(types.len() - 1);
        (types, key)
    })
}

fn table(types: &[Type], key: usize) -> impl Strategy<Value = Table> + use<> {
    proptest::collection::btree_map(row(&types[..key], 1), row(&types[key..], 1), 1..40)
}

/// A schema, and two tables of it that have some rows in common.
fn two() -> impl Strategy<Value = (Vec<Type>, usize, Table, Table)> {
    schema().prop_flat_map(|(types, key)| {
        let (one, other) = (table(&types, key), table(&types, key));
        (Just(types), Just(key), one, other, any::<u64>()).prop_map(|(types, key, one, mut other, keep)| {
            for (at, (name, cells)) in one.iter().enumerate().filter(|it| keep >> (it.0 % 64) & 1 == 1) {
                let mut cells = cells.clone();
                if at % 3 == 0 {
                    cells[0] = fault(&cells[0], types[key]);
                }
                other.insert(name.clone(), cells);
            }
            (types, key, one, other)
        })
    })
}

fn memory(types: &[Type], key: usize, table: &Table) -> Memory {
    let rows = table.iter().map(|(key, rest)| [key.clone(), rest.clone()].concat()).collect();
    Memory { types: types.to_vec(), key, rows, batch: 7 }
}

// How it is compared.

fn compare(source: impl Source + 'static, target: impl Source + 'static) -> Report {
    compare_within(source, target, 64 << 20, 100)
}

fn compare_within(source: impl Source + 'static, target: impl Source + 'static, memory: usize, limit: usize) -> Report {
    compare_as(source, target, &Run { limit, ..Run::new(memory, std::env::temp_dir()) })
}

fn compare_as(source: impl Source + 'static, target: impl Source + 'static, run: &Run) -> Report {
    let opened = |store: Box<dyn Source>| prepare::Opened { store, name: StoreName::default() };
    let policy = Policy { allow_empty: Names::All, ..Policy::default() };
    let options = prepare::Options::default();
    let task = prepare::diff(opened(Box::new(source)), opened(Box::new(target)), &options, policy);
    let report = task.and_then(|mut it| it.run(run, None));
    report.unwrap_or_else(|it| panic!("{it:?}"))
}

fn bytes(report: &Report) -> String {
    let mut out = Vec::new();
    json::write(report, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("a report is UTF-8")
}

/// Kind and key of each finding, in order.
fn findings(report: &Report) -> Vec<(FindingKind, String)> {
    let findings = report.tables.iter().flat_map(|it| &it.findings);
    findings.map(|it| (it.kind, it.key.iter().map(|(_, cell)| format!("{} ", cell.json)).collect())).collect()
}

/// The counts by the plainest means.
fn model(source: &Table, target: &Table) -> Tally {
    let both = || source.iter().filter_map(|(key, cells)| Some((cells, target.get(key)?)));
    let (same, changed) = (both().filter(|it| it.0 == it.1).count(), both().filter(|it| it.0 != it.1).count());
    Tally {
        source_rows: source.len() as u64,
        target_rows: target.len() as u64,
        same: same as u64,
        changed: changed as u64,
        missing: (source.len() - same - changed) as u64,
        extra: (target.len() - same - changed) as u64,
        ..Tally::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_store_is_the_same_as_itself((types, key, one, _) in two(), seed in any::<Index>()) {
        let source = memory(&types, key, &one);
        let mut target = source.clone();
        let middle = seed.index(target.rows.len());
        target.rows.rotate_left(middle);
        target.batch = 1;
        let report = compare(source, target);
        let rows = one.len() as u64;
        prop_assert_eq!(report.totals, Tally { source_rows: rows, target_rows: rows, same: rows, ..Tally::default() });
        prop_assert_eq!(report.verdict, Verdict::Pass);
        prop_assert_eq!(findings(&report), vec![]);
    }

    #[test]
    fn every_row_is_accounted_for_as_in_the_model((types, key, one, other) in two()) {
        let report = compare(memory(&types, key, &one), memory(&types, key, &other));
        prop_assert_eq!(report.totals, model(&one, &other));
        let differs = one != other;
        prop_assert_eq!(report.verdict, if differs { Verdict::Fail } else { Verdict::Pass });
    }

    #[test]
    fn swapped_sides_swap_missing_and_extra((types, key, one, other) in two()) {
        let there = compare(memory(&types, key, &one), memory(&types, key, &other));
        let back = compare(memory(&types, key, &other), memory(&types, key, &one));
        let swap = |it: FindingKind| match it {
            FindingKind::Missing => FindingKind::Extra,
            FindingKind::Extra => FindingKind::Missing,
            it => it,
        };
        let mirrored: BTreeSet<_> = findings(&back).into_iter().map(|(kind, key)| (swap(kind), key)).collect();
        prop_assert_eq!(findings(&there).into_iter().collect::<BTreeSet<_>>(), mirrored);
        prop_assert_eq!((there.totals.missing, there.totals.extra), (back.totals.extra, back.totals.missing));
        prop_assert_eq!((there.totals.same, there.totals.changed), (back.totals.same, back.totals.changed));
    }

    #[test]
    fn so_many_faults_so_many_findings((types, key, one, _) in two(), places in subsequence((0..40).collect::<Vec<usize>>(), 0..12)) {
        let mut target = one.clone();
        let mut expect = BTreeMap::new();
        for (at, name) in one.keys().enumerate().filter(|it| places.contains(&it.0)) {
            let cells = target.get_mut(name).expect("a row");
            let last = cells.len() - 1;
            let kind = match at % 3 {
                0 => { target.remove(name); FindingKind::Missing }
                1 => { cells[last] = fault(&cells[last], types[types.len() - 1]); FindingKind::Changed }
                _ => {
                    let mut new = name.clone();
                    new[0] = fault(&new[0], types[0]);
                    if one.contains_key(&new) || target.contains_key(&new) { continue }
                    target.insert(new, one[name].clone());
                    FindingKind::Extra
                }
            };
            *expect.entry(kind).or_insert(0) += 1;
        }
        let report = compare(memory(&types, key, &one), memory(&types, key, &target));
        let mut got = BTreeMap::new();
        findings(&report).into_iter().for_each(|(kind, _)| *got.entry(kind).or_insert(0) += 1);
        prop_assert_eq!(got, expect);
    }

    #[test]
    fn order_batches_and_memory_do_not_show((types, key, one, other) in two(), turn in any::<Index>(), batch in 1_usize..9, limit in 0_usize..9) {
        let (source, target) = (memory(&types, key, &one), memory(&types, key, &other));
        let plain = bytes(&compare_within(source.clone(), target.clone(), 256 << 20, limit));
        let shuffle = |it: &Memory| {
            let mut it = Memory { batch, ..it.clone() };
            let middle = turn.index(it.rows.len());
            it.rows.rotate_left(middle);
            it.rows[middle..].reverse();
            it
        };
        prop_assert_eq!(&plain, &bytes(&compare_within(shuffle(&source), shuffle(&target), 8 << 20, limit)));
        prop_assert_eq!(&plain, &bytes(&compare_within(source, shuffle(&target), 64 << 10, limit)));
    }

    #[test]
    fn rows_without_a_key_are_counted_like_coins(rows in proptest::collection::vec((row(&[Type::Int, Type::Text], 1), 0_usize..3, 0_usize..3), 1..20)) {
        let mut coins: BTreeMap<Vec<Cell>, (u64, u64)> = BTreeMap::new();
        let (mut source, mut target) = (Vec::new(), Vec::new());
        for (row, left, right) in rows {
            source.extend(std::iter::repeat_n(row.clone(), left));
            target.extend(std::iter::repeat_n(row.clone(), right));
            let count = coins.entry(row).or_default();
            *count = (count.0 + left as u64, count.1 + right as u64);
        }
        let sum = |of: fn(&(u64, u64)) -> u64| coins.values().map(of).sum::<u64>();
        let expect = Tally {
            source_rows: source.len() as u64,
            target_rows: target.len() as u64,
            same: sum(|it| it.0.min(it.1)),
            missing: sum(|it| it.0.saturating_sub(it.1)),
            extra: sum(|it| it.1.saturating_sub(it.0)),
            ..Tally::default()
        };
        let store = |rows| Memory { types: vec![Type::Int, Type::Text], key: 0, rows, batch: 3 };
        prop_assert_eq!(compare(store(source), store(target)).totals, expect);
    }

    #[test]
    fn rows_that_share_a_key_are_accounted_for_once(rows in proptest::collection::vec((0_i64..5, 0_i64..3, any::<bool>()), 0..30)) {
        let side = |wanted: bool| -> Vec<Vec<Cell>> {
            let rows = rows.iter().filter(|it| it.2 == wanted);
            rows.map(|it| vec![Cell::Int(it.0), Cell::Int(it.1)]).collect()
        };
        let store = |wanted| Memory { types: vec![Type::Int, Type::Int], key: 1, rows: side(wanted), batch: 2 };
        let keys = |wanted| side(wanted).into_iter().map(|mut it| it.remove(0)).collect::<BTreeSet<_>>();
        let (tally, left, right) = (compare(store(true), store(false)).totals, keys(true), keys(false));
        prop_assert_eq!(tally.source_rows, tally.same + tally.changed + tally.missing + tally.source_duplicates);
        prop_assert_eq!(tally.target_rows, tally.same + tally.changed + tally.extra + tally.target_duplicates);
        prop_assert_eq!(tally.source_duplicates, tally.source_rows - left.len() as u64);
        prop_assert_eq!(tally.target_duplicates, tally.target_rows - right.len() as u64);
        prop_assert_eq!(tally.missing, left.difference(&right).count() as u64);
        prop_assert_eq!(tally.extra, right.difference(&left).count() as u64);
    }

    #[test]
    fn looking_again_at_what_does_not_move_changes_nothing((types, key, one, other) in two(), rounds in 1_u32..4, coins in any::<bool>()) {
        let store = |it: &Table| Memory { key: if coins { 0 } else { key }, ..memory(&types, key, it) };
        let run = |rounds| {
            let recheck = Recheck { rounds, delay: Duration::ZERO };
            compare_as(store(&one), store(&other), &Run { recheck, ..Run::new(64 << 20, std::env::temp_dir()) })
        };
        let (plain, again) = (run(0), run(rounds));
        prop_assert_eq!((plain.totals, plain.verdict), (again.totals, again.verdict));
        prop_assert_eq!(findings(&plain), findings(&again));
        let key = |it: &report::Finding| it.key.iter().map(|it| format!("{:?}", it.1)).collect::<String>();
        let differing = plain.tables[0].findings.iter().map(key).collect::<BTreeSet<_>>().len() as u64;
        let recheck = again.tables[0].recheck.map(|it| (it.rounds, it.keys, it.converged, it.still));
        prop_assert_eq!(recheck, (differing > 0).then_some((rounds.into(), differing, 0, differing)));
    }

    #[test]
    fn a_canary_that_nobody_reports_is_missed((types, key, one, other) in two(), at in any::<Index>()) {
        let (source, target) = (memory(&types, key, &one), memory(&types, key, &other));
        let comparison = pair(source.table(), target.table(), &Choices::default());
        let all = types.len() - key + 2;
        let (caught, tally) = planted(&comparison, source.clone(), target.clone(), None);
        prop_assert_eq!(caught, None);
        prop_assert_eq!(tally, model(&one, &other));
        let swallowed = at.index(all);
        let (missed, _) = planted(&comparison, source, target, Some(swallowed));
        prop_assert!(missed.is_some(), "canary {} of {} was not missed", swallowed, all);
    }
}

proptest! {
    // Each case makes two files.
    #![proptest_config(Config { cases: config().cases.div_ceil(8), ..config() })]

    #[test]
    fn a_store_on_disk_gives_the_same_report((types, key, one, other) in two()) {
        let (source, target) = (memory(&types, key, &one), memory(&types, key, &other));
        let folder = support::Folder::pair(&source.sql(), &target.sql());
        let open = |name: &str| Sqlite::open(&folder.path(name), false).expect("a database");
        let (disk, memory) = (compare(open("source.db"), open("target.db")), compare(source, target));
        prop_assert_eq!(disk.totals, memory.totals);
        prop_assert_eq!(findings(&disk), findings(&memory));
    }
}

/// Small tables never leave memory, so this one is large.
#[test]
fn runs_on_disk_do_not_show() {
    let row = |it: i64| vec![Cell::Text(format!("{:04}-{}", it * 7919 % 20_011, "k".repeat(90))), Cell::Int(it)];
    let store = |rows| Memory { types: vec![Type::Text, Type::Int], key: 1, rows, batch: 100 };
    let source = store((0..20_011).map(row).collect());
    let mut target = store((11..20_011).rev().map(row).collect());
    target.rows[5][1] = Cell::Null;
    let plain = compare_within(source.clone(), target.clone(), 256 << 20, 5);
    let expect =
        Tally { source_rows: 20_011, target_rows: 20_000, same: 19_999, changed: 1, missing: 11, ..Tally::default() };
    assert_eq!(plain.totals, expect);
    assert_eq!(bytes(&plain), bytes(&compare_within(source, target, 64 << 10, 5)));
}

/// Another value of the same column.
fn fault(cell: &Cell, ty: Type) -> Cell {
    match (cell, ty) {
        (Cell::Null, Type::Int) => Cell::Int(0),
        (Cell::Null, Type::Bytes) => Cell::Bytes(Vec::new()),
        (Cell::Null, _) => Cell::Text(String::new()),
        (Cell::Int(it), _) => Cell::Int(it ^ 1),
        (Cell::Text(it), _) => Cell::Text(format!("{it}\0")),
        (Cell::Bytes(it), _) => Cell::Bytes([it.as_slice(), &[0]].concat()),
    }
}

/// Compares with canaries, of which one, if any, is swallowed: the one that is reported as this number.
fn planted(comparison: &Comparison, source: Memory, target: Memory, swallow: Option<usize>) -> (Option<String>, Tally) {
    let (mut source, mut target) = (sorted(source, &comparison.source_shape), sorted(target, &comparison.target_shape));
    let [mut one, mut other] = plant(&mut source, &mut target);
    let mut nobody = Nobody;
    let mut watch = Watch::new(&mut nobody);
    let mut swallower = Swallower { sink: &mut watch, canaries: 0, swallow };
    let mut tally = cutover::diff::compare(&mut one, &mut other, "t", &mut swallower).expect("rows in order");
    (watch.settle(&comparison.target_shape, &mut tally), tally)
}

struct Nobody;

impl Sink for Nobody {
    fn finding(&mut self, _: Finding<'_>) -> Result<()> {
        Ok(())
    }
}

struct Swallower<'s> {
    sink: &'s mut dyn Sink,
    canaries: usize,
    swallow: Option<usize>,
}

impl Sink for Swallower<'_> {
    fn finding(&mut self, finding: Finding<'_>) -> Result<()> {
        let is_canary = |it: Row<'_>| it.key().first() == Some(&cutover::row::CANARY_TAG);
        if let Finding::Missing(row) | Finding::Extra(row) | Finding::Changed { source: row, .. } = finding
            && is_canary(row)
        {
            self.canaries += 1;
            if self.swallow == Some(self.canaries - 1) {
                return Ok(());
            }
        }
        self.sink.finding(finding)
    }
}

/// The rows of a store in key order, some at a time.
struct Sorted {
    rows: Batch,
    at: usize,
}

fn sorted(mut store: Memory, shape: &Arc<Shape>) -> Sorted {
    struct All(Batch);
    impl Feed for All {
        fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
            batch.rows().for_each(|it| self.0.push_row(it));
            batch.clear();
            Ok(Flow::Continue)
        }
    }
    let mut all = All(Batch::new(Arc::clone(shape)));
    store.scan(&store.table(), shape, &mut all).expect("memory can be read");
    let mut order: Vec<usize> = (0..all.0.len()).collect();
    order.sort_by_key(|&it| all.0.row(it).compared().to_vec());
    let mut rows = Batch::new(Arc::clone(shape));
    order.into_iter().for_each(|it| rows.push_row(all.0.row(it)));
    Sorted { rows, at: 0 }
}

impl Rows for Sorted {
    fn shape(&self) -> &Arc<Shape> {
        self.rows.shape()
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        batch.clear();
        let end = (self.at + 5).min(self.rows.len());
        (self.at..end).for_each(|it| batch.push_row(self.rows.row(it)));
        self.at = end;
        Ok(())
    }
}
