//! Carries a run out: begun in the journal, backed up, run, ended and told.

use super::{
    BEFORE_RUN,
    around::Around,
    asker::Asker,
    session::{Session, Using, with_continued},
    target::Wanted,
};
use crate::{
    cli::{clock, problem, progress, stores},
    error::{Error, Kind, Result},
    plan::{Migrate, Plan},
    report::migration::Migration,
    run::{
        Recheck,
        backup::{self, Checked, PlanFile, Request, seal::Secret},
        log::{Level, Line, Step},
        migrate::{Job, patch::Staging},
        prepare::{self, Opened},
        state::{Phase, RunRecord},
    },
    snapshot::Store,
    store::Options,
};
use std::sync::Arc;

/// What is to be run.
pub(super) struct Wish<'w> {
    pub source: Opened,
    pub target: Wanted,
    /// Another target than that of the last run is meant.
    pub new_target: bool,
    pub how: Migrate,
    pub recheck: Recheck,
    pub backup: Before,
    /// Told what is staged, before any of it is written.
    pub staged: &'w Staged<'w>,
    /// Nothing is to be written.
    pub preview: bool,
    /// Only some rows or tables take part.
    pub partial: bool,
    /// The command to type again.
    pub again: String,
    pub using: &'w Using,
}

/// Who is told what is staged, with the plan and how its stores are opened.
pub(super) type Staged<'s> = dyn Fn(&Plan, &Options, Staging<'_>) -> Result<()> + 's;

/// What there is to go back to, beside what the run itself keeps.
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// A backup of the source that is made first, sealed where there is something to seal it with.
    BackUp(Option<Secret>),
    /// A backup that there is.
    Made(String),
}

/// Runs it, and does what `around` wants. What came of it.
///
/// # Errors
/// If it may not begin, or fails before anything is written.
pub(super) fn out(session: &mut Session, mut wish: Wish<'_>, around: &mut Around) -> Result<Migration> {
    let mut record = wish.target.record(session, &wish.source)?;
    if !wish.preview {
        record.continues = session.state.guard(&record, wish.new_target)?;
    }
    let chain = with_continued(&record, &session.state.runs()?);
    let continues = chain.into_iter().skip(1).map(|it| it.id).collect();
    session.state.begin_run(&record)?;
    around.begin(session, &record.id);
    let bar = progress::Progress::start(&session.watch, wish.using.quiet());
    let preview = wish.preview;
    session.book.name(&record.id);
    let verb = if preview { "migrate, as a preview" } else { "migrate" };
    let way = format!("{verb}, {}: {} → {}", session.plan.path, record.source, record.target);
    session.run.log.line(Line::new(Level::Info, Step::Extract, way));
    let run = || -> Result<Migration> {
        let backup = match std::mem::replace(&mut wish.backup, Before::Nothing) {
            Before::BackUp(secret) => Some(back_up(session, &mut wish.source, &record, secret.as_ref())?),
            Before::Made(id) => Some(id),
            Before::Nothing => None,
        };
        let Wanted { opened, schema, fingerprint, absent } = wish.target;
        let (plan, options) = (&session.plan, &session.options);
        let task = prepare::plan(plan, wish.source, opened, Some(&session.run));
        let mut task = task.map_err(|it| problem(it, plan, &session.text, session.colour))?;
        if wish.partial {
            task.leave_alone();
        }
        let job = Job {
            task,
            plan,
            how: wish.how,
            id: record.id.clone(),
            continues,
            state: &mut session.state,
            fingerprint,
            open: &|| stores::target_of_plan(plan, options),
            reopen: &|| Ok(stores::of_plan(plan, &plan.target, options)?.store),
            absent,
            schema,
            now: &clock::text,
            may_write: &|| session.lock.check(),
            recheck: wish.recheck,
            decide: Arc::new(Asker::default()),
            backup,
            staged: &|it| (wish.staged)(plan, options, it),
            preview,
            partial: wish.partial,
            again: wish.again,
        };
        job.run(&session.run)
    };
    let mut done = run();
    drop(bar);
    around.follow(session, &mut done);
    session.ended(&record.id, done, preview)
}

/// Makes the backup that a run begins with: the tables of the source that it reads.
fn back_up(session: &mut Session, source: &mut Opened, record: &RunRecord, secret: Option<&Secret>) -> Result<String> {
    session.watch.begin("backup");
    let home = backup::ensure(&session.folder)?;
    let plan = PlanFile { path: session.plan.path.clone(), hash: session.plan.hash.clone() };
    let request = Request {
        store: Store { kind: source.name.kind.clone(), name: source.name.name.clone() },
        fingerprint: record.source_fingerprint.clone(),
        plan: Some(plan),
        why: format!("{BEFORE_RUN}{}", record.id),
        now: session.start.parse().map_err(|it| Error::new(Kind::Broken, it))?,
        check: Checked::Compared,
        secret,
    };
    let tables = prepare::read_tables(&session.plan, &source.store.tables()?);
    let mut part = backup::Part::new(source.store.as_mut(), tables);
    let made = backup::create(&session.run, &home, &mut part, request).map_err(|it| it.context("the backup"))?;
    session.state.set_phase(&record.id, Phase::Captured, &clock::text())?;
    session.run.log.line(Line::new(Level::Info, Step::Extract, format!("backup {} made and read back", made.id)));
    Ok(made.id)
}
