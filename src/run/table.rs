//! One table, compared: both sides read at once, merged, and started again where a stream turns out not to be in order.

use super::{
    Run,
    constraints::Spec,
    ids::{Greatest, Renaming},
    laps::{Fetched, Laps, Part},
    log::{Level, Line, Log, Step},
    migrate::{
        kept::Accept,
        stage::{Draft, Stage, Staged},
    },
    pipeline::{Drained, Reader},
    recheck::{Differing, Noting},
    validate::Full,
};
use crate::{
    ahead::{Ahead, Tap, ahead},
    diff::{
        self, Sink, Tally,
        canary::{Watch, plant},
        references::Index,
    },
    error::{Error, Kind, Result},
    pairing::{Choices, Comparison},
    report::{self, Canary, Side, sampler::Sampler},
    row::Rows,
    schema::Table,
    store::Source,
    transform::{Program, Selected},
};
use std::{collections::BTreeMap, sync::Arc, thread};

/// What a table is compared with.
pub(super) struct Job<'j> {
    pub source: &'j mut dyn Source,
    pub target: &'j mut dyn Source,
    pub choices: &'j Choices,
    /// The source's table as its store knows it.
    pub from: &'j Table,
    /// The target's table as its store knows it.
    pub to: &'j Table,
    /// Makes the programs that map the rows of each side, where a plan maps them.
    pub programs: [&'j MakeProgram; 2],
    /// Makes an empty sampler.
    pub sampler: &'j dyn Fn(&Arc<Comparison>) -> Sampler,
    pub specs: &'j [Spec],
    /// What a migration adds.
    pub migrating: Migrating<'j>,
    /// New ids that rows of the source get.
    pub renaming: Option<&'j Renaming>,
}

/// What a migration adds to a comparison.
#[derive(Clone, Copy, Default)]
pub(super) struct Migrating<'m> {
    /// Where what has to be written to the target goes, before it is written.
    pub stage: Option<&'m Stage>,
    /// What was written: rows that stay other than the source's by decision are accepted.
    pub staged: Option<&'m BTreeMap<String, Staged>>,
    /// One side has no rows on purpose: a NULL where the table takes none is a finding.
    pub validating: bool,
}

/// Compiles a program once more: every attempt at a table needs a fresh one.
pub type MakeProgram = dyn Fn() -> Result<Option<Program>> + Send + Sync;

/// What came of a table.
pub(super) struct Outcome {
    /// As it was in the end: a guessed key may have been given up.
    pub comparison: Arc<Comparison>,
    pub tally: Tally,
    pub canary: Canary,
    pub selected: Option<Selected>,
    pub sampler: Sampler,
    /// Of the source and of the target, each in the order of the specs that ask for one there.
    pub indexes: [Vec<Index>; 2],
    /// What differs, where it is to be looked at again.
    pub differing: Option<Differing>,
    /// What came of that.
    pub recheck: Option<report::Recheck>,
    /// What later looks could not tell, a sentence each.
    pub unchecked: Vec<String>,
    pub spent: Spent,
}

/// What a table cost.
#[derive(Clone, Default)]
pub(super) struct Spent {
    /// From its first row to its last.
    pub seconds: f64,
    /// Rows of the source that came to the merge, and the bytes of their cells.
    pub source: (u64, u64),
    /// Seconds of work by part.
    pub parts: Vec<(&'static str, f64)>,
}

/// Which streams have to be sorted first.
#[derive(Clone, Copy, Default)]
struct Disorder {
    source: bool,
    target: bool,
}

/// Compares a table.
pub(super) fn compare(run: &Run, mut comparison: Arc<Comparison>, mut job: Job<'_>) -> Result<Outcome> {
    let begun = (run.clock)();
    let mut disorder = job.expected(&comparison)?;
    loop {
        let mut outcome = match attempt(run, &comparison, &mut job, disorder, None) {
            Err(it) if it.kind() == Kind::Order && !disorder.source => {
                disorder.source = true;
                again(run, &comparison, "the source");
                continue;
            }
            Err(it) if it.kind() == Kind::TargetOrder && !disorder.target => {
                disorder.target = true;
                again(run, &comparison, "the target");
                continue;
            }
            result => result?,
        };
        if !comparison.key_is_guess || outcome.tally.duplicates() == 0 {
            outcome.spent.seconds = (run.clock)().saturating_sub(begun).as_secs_f64();
            outcome.log(&run.log);
            return Ok(outcome);
        }
        let names = comparison.key_names().join(", ");
        let mut whole = Comparison::clone(&comparison).without_key(job.choices);
        whole.notes.push(format!("({names}) repeats, so it is no key: rows are compared whole"));
        comparison = Arc::new(whole);
        disorder = job.expected(&comparison)?;
    }
}

impl Outcome {
    /// Writes down what was read, and what became of it on the way.
    fn log(&self, log: &Log) {
        let (name, tally) = (&self.comparison.target.name, &self.tally);
        let rows = [("source_rows", tally.source_rows), ("target_rows", tally.target_rows)];
        let bytes = [("source_bytes", self.spent.source.1)];
        log.line(Line::new(Level::Info, Step::Extract, "read").of(name).with(rows).with(bytes));
        if let Some(it) = &self.selected {
            let counts = [("rows_read", it.rows_read), ("rows_selected", it.rows_selected), ("items", it.items)];
            let line = Line::new(Level::Info, Step::Transform, "mapped").of(name).with(counts);
            log.line(line.with([("rejects", tally.rejects)]));
        }
    }
}

/// Writes down that a table begins anew.
fn again(run: &Run, comparison: &Comparison, side: &str) {
    let says = format!("{side} does not come in key order: read again, and sorted");
    run.log.line(Line::new(Level::Debug, Step::Extract, says).of(&comparison.target.name));
}

impl Job<'_> {
    /// Which streams are known to come in another order. A mapped stream is asked for other columns than those it makes, so
    /// its order is tried.
    fn expected(&mut self, comparison: &Comparison) -> Result<Disorder> {
        let [source_program, target_program] = [(self.programs[0])()?, (self.programs[1])()?];
        let source = source_program.is_none() && !self.source.keeps_order(self.from, &comparison.source_shape)?;
        let target = target_program.is_none() && !self.target.keeps_order(self.to, &comparison.target_shape)?;
        Ok(Disorder { source, target })
    }
}

/// Compares the rows of these keys alone.
pub(super) fn look(run: &Run, comparison: &Arc<Comparison>, mut job: Job<'_>, again: &Differing) -> Result<Outcome> {
    attempt(run, comparison, &mut job, Disorder { source: true, target: true }, Some(again))
}

fn attempt(
    run: &Run,
    comparison: &Arc<Comparison>,
    job: &mut Job<'_>,
    disorder: Disorder,
    again: Option<&Differing>,
) -> Result<Outcome> {
    let mut sampler = (job.sampler)(comparison);
    let (migrating, to) = (job.migrating, &comparison.target.name);
    let [source, target] = readers(run, comparison, job, disorder, again)?;
    let (source_tap, source_rows) = ahead(&comparison.source_shape);
    let (target_tap, target_rows) = ahead(&comparison.target_shape);
    let mut draft = migrating.stage.map(|it| it.draft(comparison)).transpose()?;
    let kept = migrating.staged.and_then(|it| it.get(to));
    let laps = Laps::new(run.clock);
    let mut noting = Noting::new(&mut sampler, again, &comparison.target_shape, run.recheck.rounds > 0);
    let mut full = Full::before(&mut noting, comparison, migrating.validating);
    let (merged, source, target) = thread::scope(|scope| {
        let read = |reader: Reader<'_>, tap: Tap| reader.read(tap, run);
        let source = scope.spawn(move || read(source, source_tap));
        let target = scope.spawn(move || read(target, target_tap));
        let rows = [source_rows, target_rows].map(|rows| Fetched { laps: &laps, rows });
        let merged = Accept::before(kept, comparison, &mut full, |sink| staged(comparison, rows, &mut draft, sink));
        laps.end(Part::Compare);
        (merged, source.join(), target.join())
    });
    let (mut tally, canary) = merged?;
    full.add_to(&mut tally);
    let (source, target) = (joined(source)?, joined(target)?);
    counted(comparison, [source.rows + tally.rejects, target.rows], &tally)?;
    if let Some(draft) = draft {
        draft.finish(tally.same)?;
    }
    Ok(Outcome {
        comparison: Arc::clone(comparison),
        tally,
        canary,
        spent: spent(&source, &target, &laps),
        differing: Some(noting.finish()),
        sampler,
        selected: source.selected,
        indexes: [source.indexes, target.indexes],
        recheck: None,
        unchecked: Vec::new(),
    })
}

/// The two sides, not read yet.
fn readers<'r>(
    run: &Run,
    comparison: &'r Comparison,
    job: &'r mut Job<'_>,
    disorder: Disorder,
    again: Option<&Differing>,
) -> Result<[Reader<'r>; 2]> {
    let [source_program, target_program] = [(job.programs[0])()?, (job.programs[1])()?];
    let budget = |known: bool, program: &Option<Program>| {
        let scattered = program.as_ref().is_some_and(|it| !it.keeps_order());
        (known || scattered).then(|| run.share(24))
    };
    let indexes = |side: Side| {
        let specs = job.specs.iter().filter(|it| it.is_on(side));
        specs.map(|it| it.index(comparison, run)).collect::<Vec<_>>()
    };
    let source = Reader {
        store: &mut *job.source,
        table: job.from,
        shape: &comparison.source_shape,
        sort: budget(disorder.source, &source_program),
        program: source_program,
        indexes: indexes(Side::Source),
        renaming: job.renaming,
        keys: again.map(|it| it.keys(&comparison.source_shape)),
    };
    let target = Reader {
        store: &mut *job.target,
        table: job.to,
        shape: &comparison.target_shape,
        sort: budget(disorder.target, &target_program),
        program: target_program,
        indexes: indexes(Side::Target),
        renaming: None,
        keys: again.map(|it| it.keys(&comparison.target_shape)),
    };
    Ok([source, target])
}

/// Merges, and stages what comes of it if somebody wants to write it.
fn staged(
    comparison: &Comparison,
    [source, target]: [Fetched<'_, Ahead>; 2],
    draft: &mut Option<Draft<'_>>,
    sink: &mut dyn Sink,
) -> Result<(Tally, Canary)> {
    let [mut source, mut target] = [source, target].map(|rows| Greatest { rows, number: None });
    let merged = match draft {
        Some(draft) => draft.fill(sink, |sink| merge(comparison, (&mut source, &mut target), sink)),
        None => merge(comparison, (&mut source, &mut target), sink),
    };
    if let Some(draft) = draft {
        draft.taken.last = source.number.max(target.number);
    }
    merged
}

/// Where the time went.
fn spent(source: &Drained, target: &Drained, merge: &Laps) -> Spent {
    let both = |part| source.laps.seconds(part) + target.laps.seconds(part);
    let parts = vec![
        ("read_source", source.laps.seconds(Part::Read)),
        ("read_target", target.laps.seconds(Part::Read)),
        ("map", both(Part::Map)),
        ("sort", both(Part::Sort)),
        ("compare", merge.seconds(Part::Compare)),
    ];
    Spent { seconds: 0.0, source: (source.rows, source.bytes), parts }
}

/// Rows are counted where they leave the store and where the merge meets them: a witness that nothing is lost in between.
fn counted(comparison: &Comparison, read: [u64; 2], tally: &Tally) -> Result<()> {
    if read == [tally.source_rows, tally.target_rows] {
        return Ok(());
    }
    let name = &comparison.target.name;
    let message = format!("rows of `{name}` were lost between reading and comparing; please report this defect");
    Err(Error::new(Kind::Broken, message))
}

fn merge(
    comparison: &Comparison,
    (source, target): (&mut dyn Rows, &mut dyn Rows),
    sink: &mut dyn Sink,
) -> Result<(Tally, Canary)> {
    let [mut planted_source, mut planted_target] = plant(source, target);
    let mut watch = Watch::new(sink);
    let mut tally = diff::compare(&mut planted_source, &mut planted_target, &comparison.target.name, &mut watch)?;
    let canary = match watch.settle(&comparison.target_shape, &mut tally) {
        None => Canary::Caught,
        Some(missed) => Canary::Missed(missed),
    };
    Ok((tally, canary))
}

fn joined(thread: thread::Result<Drained>) -> Result<Drained> {
    thread.map_err(|_| Error::new(Kind::Broken, "a thread that read a store panicked; please report this defect"))
}
