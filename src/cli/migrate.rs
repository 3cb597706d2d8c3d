//! `migrate` and `rollback`: stores opened for writing, runs begun and ended in the journal.

use super::{
    args::{Asking, Cli, Format, delay, size},
    exit, options, output, progress, stores, usage,
};
use crate::{
    error::{Error, Kind, Result},
    gate::Verdict,
    plan::{Expression, Mapping, Migrate, Place, Plan},
    report::{
        migration::{self, Migration, TableMigration},
        text,
    },
    run::{
        Run, Watch,
        migrate::{
            Job, Undo,
            conflict::{Answer, Decide, Question},
            manifest::Manifest,
            unmade::Unmade,
        },
        prepare::{self, Opened},
        state::{FOLDER, Phase, RunRecord, State, lock},
    },
    store::{self, Source, target::Target},
};
use clap::Args;
use std::{
    io::{BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// `cutover migrate`.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Make no backup of the source first.
    #[arg(long)]
    no_backup: bool,
    /// Only this target table, and others that are named so.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    only: Vec<String>,
    /// All target tables but this one, and others that are named so.
    #[arg(long, value_name = "TABLE", value_delimiter = ',', conflicts_with = "only")]
    except: Vec<String>,
    /// Only source rows of this instant or later, by the column that the plan calls `dated`; to the second.
    #[arg(long, value_name = "TIME")]
    since: Option<jiff::Timestamp>,
    /// Only source rows before this instant, likewise.
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// Go on without rows that the mapping or the target refuses.
    #[arg(long, alias = "skip-errors")]
    continue_on_error: bool,
    /// Leave what was written if the run fails, instead of undoing it.
    #[arg(long)]
    keep_partial: bool,
    /// Drop secondary indexes meanwhile and make them again.
    #[arg(long)]
    disable_indexes: bool,
    /// The target is another one than in the last run, on purpose.
    #[arg(long)]
    new_target: bool,
    #[command(flatten)]
    pace: Pacing,
    /// Memory for sorting and for constraints; more goes to temporary files.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size, help_heading = "Limits")]
    memory: usize,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    output: Saying,
}

impl MigrateArgs {
    /// Whether some tables or rows are left out, so that the target may hold more than this run looks at.
    fn is_partial(&self) -> bool {
        !self.only.is_empty() || !self.except.is_empty() || self.since.is_some() || self.until.is_some()
    }
}

/// `cutover rollback`.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// The run to undo. The last one that wrote, if not said.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Undo all runs that began at this instant or later.
    #[arg(long, value_name = "TIME", conflicts_with = "run")]
    before: Option<String>,
    /// Only these target tables.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    tables: Vec<String>,
    /// Do it. Without this, only what would be done is shown.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    pace: Pacing,
    /// Memory for sorting; more goes to temporary files.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size, help_heading = "Limits")]
    memory: usize,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    output: Saying,
}

/// How batches are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batches")]
struct Pacing {
    /// Rows in one batch. As the target finds good, if neither this nor the plan says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch_size: Option<u64>,
    /// How long to wait between two batches: 500ms, 2s.
    #[arg(long, value_name = "D", value_parser = delay)]
    batch_delay: Option<Duration>,
    /// How often a batch is tried again that could not be written.
    #[arg(long, value_name = "N")]
    retries: Option<u64>,
    /// How long to wait before that; doubled each time.
    #[arg(long, value_name = "D", value_parser = delay)]
    backoff: Option<Duration>,
}

/// What is said, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Saying {
    /// How to write what came of it. As JSON it has the format `cutover-migration/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Say only the verdict, its reasons, and what the target holds.
    #[arg(long, short)]
    quiet: bool,
}

/// `cutover migrate`.
pub(super) fn migrate(args: &MigrateArgs, cli: &Cli) -> Result<u8> {
    let start = clock();
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(&args.plan, colour)?;
    let plan = chosen(plan, args)?;
    let mut how = args.pace.over(&plan.migrate);
    how.skip_errors |= args.continue_on_error;
    how.preserve_partial |= args.keep_partial;
    how.disable_indexes |= args.disable_indexes;
    how.backup &= !args.no_backup;
    let options = options::store(&args.asking);
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let tell = if args.output.quiet { |_: &str| () } else { output::tell };
    let run = Run { tell, ..options::run(args.memory, &args.asking, Arc::clone(&watch)) };
    let folder = state_folder(&plan);
    let command = "migrate";
    let mut state = State::open(&folder)?;
    let lock = lock::Lock::take(&folder, &lock::Owner::this(command, &start))?;

    let source = stores::of_plan(&plan, &plan.source, &options).map_err(|it| it.context("the source"))?;
    let (target, schema) = target(&plan, &options, args.dry_run)?;
    let names = [&source, &target].map(|it| format!("{} {}", it.name.kind, it.name.name));
    let mut task = prepare::plan(&plan, source, target, Some(&run)).map_err(|it| super::problem(it, &plan, &text, colour))?;
    let partial = args.is_partial();
    if partial {
        task.leave_alone();
    }
    let id = state.new_run_id(&start)?;
    let fingerprint = stores::target_of_plan(&plan, &options).map(|it| it.fingerprint());
    let [source, target] = names;
    let mut record = RunRecord {
        id: id.clone(),
        plan: file_name(&plan),
        plan_hash: plan.hash.clone(),
        source_fingerprint: source.clone(),
        source,
        target,
        target_fingerprint: fingerprint.as_ref().ok().cloned().unwrap_or_default(),
        started: start.clone(),
        ..RunRecord::default()
    };
    if !args.dry_run {
        // What cannot be written to is said before anything is read.
        fingerprint.map_err(|it| it.context("the target"))?;
        record.continues = state.guard(&record, args.new_target)?;
    }
    let before = with_continued(&record, &state.runs()?).into_iter().skip(1).map(|it| it.id).collect();
    state.begin_run(&record)?;
    let bar = progress::Progress::start(&watch, args.output.quiet);
    let job = Job {
        task,
        plan: &plan,
        how,
        id: id.clone(),
        continues: before,
        state: &mut state,
        open: &|| stores::target_of_plan(&plan, &options),
        reopen: &|| Ok(stores::of_plan(&plan, &plan.target, &options)?.store),
        schema,
        now: &clock,
        decide: Box::new(Asker::default()),
        backup: None,
        preview: args.dry_run,
        partial,
        again: format!("cutover migrate {}", super::quoted(&plan.path)),
    };
    let done = job.run(&run);
    drop(bar);
    let done = ended(&mut state, &id, done, args.dry_run)?;
    lock.check()?;
    say(&done, &args.output)?;
    Ok(code(&done, &watch))
}

/// `cutover rollback`.
pub(super) fn rollback(args: &RollbackArgs, cli: &Cli) -> Result<u8> {
    let start = clock();
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, _) = stores::read_plan(&args.plan, colour)?;
    let options = options::store(&args.asking);
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let tell = if args.output.quiet { |_: &str| () } else { output::tell };
    let run = Run { tell, ..options::run(args.memory, &args.asking, Arc::clone(&watch)) };
    let folder = state_folder(&plan);
    let mut state = State::open(&folder)?;
    let lock = lock::Lock::take(&folder, &lock::Owner::this("rollback", &start))?;
    let runs = to_undo(&state, &plan, args)?;
    let reopen = || Ok(stores::of_plan(&plan, &plan.target, &options)?.store);
    let how = args.pace.over(&plan.migrate);
    let mut out = Migration {
        verb: "rollback",
        preview: !args.confirm,
        verdict: Verdict::Pass,
        plan: crate::report::PlanName { path: plan.path.clone(), hash: plan.hash.clone() },
        target: stores::name(&plan.target),
        ..Migration::default()
    };
    for record in runs {
        let target = stores::target_of_plan(&plan, &options).map_err(|it| it.context("the target"))?;
        one_run(&mut state, &record, (target, &reopen), (&run, &how, args), &mut out)?;
    }
    lock.check()?;
    say(&out, &args.output)?;
    Ok(code(&out, &watch))
}

/// Undoes one run, or says what that takes.
fn one_run(
    state: &mut State,
    record: &RunRecord,
    (target, reopen): (Box<dyn Target>, &dyn Fn() -> Result<Box<dyn Source>>),
    (run, how, args): (&Run, &Migrate, &RollbackArgs),
    out: &mut Migration,
) -> Result<()> {
    let folder = state.run_folder(&record.id)?;
    let manifest = Manifest::read(&folder)?;
    if target.fingerprint() != manifest.target {
        let message = format!(
            "run {} wrote to another store than the plan names now: {}; nothing was changed",
            record.id, record.target
        );
        return Err(Error::new(Kind::Plan, message));
    }
    let wanted = (!args.tables.is_empty()).then(|| args.tables.clone());
    if let Some(name) = args.tables.iter().find(|name| !manifest.tables.iter().any(|it| it.name == **name)) {
        return Err(usage(format_args!("--tables: run {} wrote to no table `{name}`", record.id)));
    }
    let tables = reopen()?.tables()?;
    if args.confirm {
        state.set_phase(&record.id, Phase::RollingBack, &clock())?;
    }
    let mut undo = Undo { manifest, folder, target, reopen, pace: how.into(), tables, wanted };
    let undone = undo.run(run, !args.confirm, &clock)?;
    out.id.clone_from(&record.id);
    let theirs: u64 = undone.iter().map(|it| it.1.theirs).sum();
    for (name, undoing) in undone {
        let table = TableMigration { name, undoing: Some(undoing), ..TableMigration::default() };
        out.tables.push(table);
    }
    if !args.confirm {
        out.state = "The target is as it was; nothing was written: this is a preview.".to_owned();
        out.next = Some(format!("cutover rollback {} --run {} --confirm", super::quoted(&out.plan.path), record.id));
        return Ok(());
    }
    if args.tables.is_empty() && theirs == 0 {
        state.set_phase(&record.id, Phase::RolledBack, &clock())?;
    }
    out.state = match theirs {
        0 => "What the run wrote was taken back, and that was checked.".to_owned(),
        count => format!("Taken back, but for {count} rows that others have changed since; they are left as they are."),
    };
    if theirs > 0 {
        out.verdict = Verdict::Fail;
        out.reasons.push(format!("{theirs} rows were changed by others since, and are left as they are"));
    }
    state.finish(&record.id, "rolled back", None, &clock())
}

/// The runs to undo, the last one first.
fn to_undo(state: &State, plan: &Plan, args: &RollbackArgs) -> Result<Vec<RunRecord>> {
    let name = file_name(plan);
    let all: Vec<RunRecord> = state.runs()?.into_iter().filter(|it| it.plan == name).collect();
    let wrote = |it: &&RunRecord| !matches!(it.phase, Phase::Connected | Phase::Captured | Phase::Staged | Phase::Checked | Phase::RolledBack);
    let hint = "`cutover history` lists them";
    if let Some(id) = &args.run {
        let found = all.iter().find(|it| it.id == *id);
        let found = found.ok_or_else(|| usage(format_args!("--run: there is no run {id}; {hint}")))?;
        return Ok(with_continued(found, &all));
    }
    if let Some(before) = &args.before {
        let instant: jiff::Timestamp = before.parse().map_err(|_| usage(format_args!("--before: {before} is no instant such as 2026-01-31T12:00:00Z")))?;
        let later = |it: &&RunRecord| it.started.parse::<jiff::Timestamp>().is_ok_and(|it| it >= instant);
        return Ok(all.iter().filter(later).filter(wrote).cloned().collect());
    }
    match all.iter().find(wrote) {
        Some(last) => Ok(with_continued(last, &all)),
        None => Err(Error::new(Kind::Usage, format_args!("no run of this plan has written anything; {hint}"))),
    }
}

/// A run, and those that it went on with: together they are one.
fn with_continued(run: &RunRecord, all: &[RunRecord]) -> Vec<RunRecord> {
    let mut chain = vec![run.clone()];
    while let Some(before) = chain.last().and_then(|it| it.continues.clone()) {
        match all.iter().find(|it| it.id == before) {
            Some(it) => chain.push(it.clone()),
            None => break,
        }
    }
    chain
}

/// Ends a run in the journal.
fn ended(state: &mut State, id: &str, done: Result<Migration>, preview: bool) -> Result<Migration> {
    let at = clock();
    match done {
        Ok(mut done) => {
            let outcome = if preview { "preview" } else { done.verdict.name() };
            state.finish(id, outcome, done.next.as_deref(), &at)?;
            done.seconds = 0.0;
            Ok(done)
        }
        Err(error) => {
            state.finish(id, &error.to_string(), None, &at)?;
            Err(error)
        }
    }
}

/// The plan with the tables that are wanted.
fn chosen(mut plan: Plan, args: &MigrateArgs) -> Result<Plan> {
    if plan.tables.is_empty() {
        let message = format_args!("{}: without [[table]] nothing says what to write; `cutover init` writes a plan", plan.path);
        return Err(Error::new(Kind::Plan, message));
    }
    if let Some(name) = args.only.iter().chain(&args.except).find(|it| plan.table(it).is_none()) {
        return Err(usage(format_args!("no table of {} is called `{name}`", plan.path)));
    }
    let wanted = |name: &String| match args.only.is_empty() {
        true => !args.except.contains(name),
        false => args.only.contains(name),
    };
    plan.tables.retain(|it| wanted(&it.into));
    plan.checks.retain(|it| it.table.as_ref().is_none_or(&wanted));
    if args.since.is_some() || args.until.is_some() {
        // What checks count is about all rows.
        plan.checks.clear();
        plan.tables.iter_mut().try_for_each(|it| dated(it, args))?;
    }
    Ok(plan)
}

/// Keeps a mapping to the rows of some time.
fn dated(mapping: &mut Mapping, args: &MigrateArgs) -> Result<()> {
    let Some(column) = &mapping.dated else {
        let message = format_args!("--since, --until: {} has no `dated` column in the plan", mapping.into);
        return Err(usage(message));
    };
    let bound = |it: &jiff::Timestamp| serde_json::Value::from(it.strftime("%Y-%m-%dT%H:%M:%S").to_string()).to_string();
    let since = args.since.iter().map(|it| format!("$dated >= {}", bound(it)));
    let until = args.until.iter().map(|it| format!("$dated < {}", bound(it)));
    let range = since.chain(until).collect::<Vec<_>>().join(" and ");
    let column = serde_json::Value::from(column.as_str()).to_string();
    // A blank or a T stands between the date and the time. What is no text has no time, and does not take part.
    let range = format!("(.[{column}] | type == \"string\" and ((.[0:10] + \"T\" + .[11:19]) as $dated | {range}))");
    let text = match &mapping.filter {
        Some(filter) => format!("({}) and {range}", filter.text),
        None => range,
    };
    let Place { line, column, span } = mapping.place.clone();
    mapping.filter = Some(Expression { text, line, column, span });
    Ok(())
}

/// The target to compare with, and the statements that make what is not there yet.
fn target(plan: &Plan, options: &store::Options, preview: bool) -> Result<(Opened, Option<String>)> {
    let name = stores::name(&plan.target);
    let there = stores::of_plan(plan, &plan.target, options);
    let Some(path) = plan.target.schema.as_ref().map(|it| plan.resolve(it)) else {
        return there.map(|it| (it, None)).map_err(|it| it.context("the target"));
    };
    let statements = std::fs::read_to_string(&path)
        .map_err(|it| Error::new(Kind::Plan, format_args!("{}: {it}", path.display())))?;
    // A file that is not there is made; any other store has to be.
    let file = plan.target.path.is_some() && !plan.resolve(plan.target.path.as_deref().unwrap_or_default()).exists();
    let there = match there {
        Ok(opened) => Some(opened),
        Err(_) if file => None,
        Err(error) => return Err(error.context("the target")),
    };
    let is_foreign = plan.target.kind == "postgres";
    if is_foreign && !preview {
        stores::target_of_plan(plan, options)?.create(&statements)?;
        let opened = stores::of_plan(plan, &plan.target, options).map_err(|it| it.context("the target"))?;
        return Ok((opened, None));
    }
    let name = there.as_ref().map_or(name, |it| it.name.clone());
    let there = there.map(|it| it.store);
    match store::open("d1-export", &path, &store::Options::default()) {
        Ok(schema) => {
            let unmade = Unmade::new(there, schema)?;
            let statements = (!unmade.is_whole()).then_some(statements);
            let store: Box<dyn Source> = match statements {
                Some(_) => Box::new(unmade),
                None => unmade.there().ok_or_else(|| Error::new(Kind::Store, "the target is not there"))?,
            };
            Ok((Opened { store, name }, statements))
        }
        Err(_) if is_foreign => match there {
            Some(store) => Ok((Opened { store, name }, None)),
            None => Err(Error::new(Kind::Store, "the target is not there")),
        },
        Err(error) => Err(error.context("the target's schema")),
    }
}

/// Where the runs of a plan are kept.
fn state_folder(plan: &Plan) -> PathBuf {
    plan.resolve(FOLDER)
}

fn file_name(plan: &Plan) -> String {
    Path::new(&plan.path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The time, as RFC 3339.
pub(super) fn clock() -> String {
    #[expect(clippy::disallowed_methods, reason = "cli reads the clock")]
    let now = std::time::SystemTime::now();
    jiff::Timestamp::try_from(now).map_or_else(|it| it.to_string(), |it| format!("{it:.0}"))
}

fn say(done: &Migration, saying: &Saying) -> Result<()> {
    let mut out = Vec::new();
    match saying.format {
        Format::Json => migration::json(done, &mut out).map_err(|it| Error::new(Kind::File, it))?,
        Format::Text => {
            // Why a run does not pass is in the comparison.
            if let Some(report) = done.report.as_ref().filter(|it| done.verdict != Verdict::Pass && it.verdict != Verdict::Pass) {
                let style = text::Style { width: 100, quiet: saying.quiet, ..text::Style::default() };
                out.extend(text::text(report, style).into_bytes());
                out.push(b'\n');
            }
            out.extend(migration::text(done, saying.quiet).into_bytes());
        }
    }
    output::print(&out)
}

fn code(done: &Migration, watch: &Watch) -> u8 {
    match done.verdict {
        Verdict::Unknown if watch.is_stopped() => exit::INTERRUPTED,
        verdict => exit::of_verdict(verdict),
    }
}

impl Pacing {
    /// What the command line says, and else the plan.
    fn over(&self, plan: &Migrate) -> Migrate {
        let seconds = |it: Option<Duration>, usual: f64| it.map_or(usual, |it| it.as_secs_f64());
        Migrate {
            batch_size: self.batch_size.or(plan.batch_size),
            batch_delay: seconds(self.batch_delay, plan.batch_delay),
            retries: self.retries.unwrap_or(plan.retries),
            backoff: seconds(self.backoff, plan.backoff),
            ..plan.clone()
        }
    }
}

/// Asks on the terminal.
#[derive(Default)]
struct Asker {
    /// What was said about all that follows.
    always: Mutex<Option<Answer>>,
}

impl Decide for Asker {
    fn ask(&self, question: &Question<'_>) -> Result<Answer> {
        let mut always = self.always.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = *always {
            return Ok(answer);
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            let message = format_args!(
                "{}: `conflict = \"ask\"` needs a terminal; write skip, overwrite, merge or newest in the plan instead",
                question.table
            );
            return Err(Error::new(Kind::Usage, message));
        }
        output::tell(&shown(question));
        loop {
            let _ = write!(std::io::stderr().lock(), "[k]eep the target's, [o]verwrite, [K]eep all, [O]verwrite all, [s]top? ");
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            if read.is_err() || line.is_empty() {
                return Ok(Answer::Stop);
            }
            let answer = match line.trim() {
                "k" | "K" => Answer::Keep,
                "o" | "O" => Answer::Write,
                "s" => Answer::Stop,
                _ => continue,
            };
            if matches!(line.trim(), "K" | "O" | "s") {
                *always = Some(answer);
            }
            return Ok(answer);
        }
    }
}

fn shown(question: &Question<'_>) -> String {
    let plain = crate::report::escape::message;
    let key = question.key.iter().map(|(name, value)| format!("{}={}", plain(name), plain(value)));
    let mut lines = vec![format!("{}: {}", plain(question.table), key.collect::<Vec<_>>().join(", "))];
    lines.extend(question.cells.iter().map(|(name, source, target)| {
        format!("  {}: {} in the target, {} in the source", plain(name), plain(target), plain(source))
    }));
    lines.join("\n")
}
