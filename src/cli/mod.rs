//! From what was typed to an exit code. The only place that reads the environment, the clock and the terminal.

mod analyze;
mod args;
mod backup;
mod clear;
mod clock;
mod connection;
mod environment;
pub mod exit;
mod export;
mod fields;
mod info;
mod inspect;
mod log;
mod migrate;
mod optimize;
mod options;
mod output;
mod progress;
mod state;
mod stores;
mod validate;
mod watch;

use crate::{
    error::{Error, Kind, Result},
    plan::Plan,
    report::{PlanName, Report, folder::Folder},
    run::{
        Run, Watch,
        around::query,
        log::{Level, Line, Log, Step},
        prepare,
        verify::Task,
    },
    store,
};
use args::{Cli, Command, Diff, Output, Verify};
use clap::Parser;
use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc};

/// Runs the command line.
pub fn main() -> ExitCode {
    // Only the first call counts, and there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(it) => it,
        Err(it) => {
            // A closed pipe is nobody's fault.
            let _ = it.print();
            return ExitCode::from(if it.use_stderr() { exit::UNDECIDED } else { exit::PASS });
        }
    };
    let done = match &cli.command {
        Command::Verify(it) => verify(it, &cli),
        Command::Diff(it) => diff(it, &cli),
        Command::Watch(it) => watch::watch(it, &cli),
        Command::Migrate(it) => migrate::migrate(it, &cli),
        Command::Retry(it) => migrate::retry(it, &cli),
        Command::Rollback(it) => migrate::rollback::rollback(it, &cli),
        Command::Repair(it) => migrate::repair::repair(it, &cli),
        Command::Capture(it) => inspect::capture(it, &cli),
        Command::Export(it) => export::export(it, &cli),
        Command::Clear(it) => clear::clear(it, &cli),
        Command::Fields(it) => fields::fields(it, &cli),
        Command::Validate(it) => validate::validate(it, &cli),
        Command::Backup(it) => backup::run(it, &cli),
        Command::Info(it) => info::info(it, &cli),
        Command::Analyze(it) => analyze::run(it, &cli),
        Command::Optimize(it) => optimize::run(it, &cli),
        Command::TestConnection(it) => connection::test(it, &cli),
        Command::Show(it) => inspect::show(it),
        Command::State(it) => state::run(it, &cli),
        Command::Check(it) => inspect::check(it, &cli),
        Command::Init(it) => inspect::init(it),
        Command::Schema => inspect::schema(),
        Command::Completions { shell } => inspect::completions(*shell),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&error, cli.color);
            ExitCode::from(exit::of_error(error.kind()))
        }
    }
}

/// Whether these words, the first one the program itself, are a command, as far as that can be told without carrying it out.
///
/// # Errors
/// What the command line would answer.
pub fn parse(words: &[&str]) -> Result<()> {
    Cli::try_parse_from(words).map(drop).map_err(|it| Error::new(Kind::Usage, it))
}

fn verify(args: &Verify, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(&args.plan, colour)?;
    let log = args.logging.open(&plan, &clock::text())?.log();
    log::ended(&log, Step::Verify, verified(args, cli, (&plan, &text), &log))
}

fn verified(args: &Verify, cli: &Cli, (plan, text): (&Plan, &str), log: &Log) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let options = options::store(&args.limits.means.asking);
    let source = stores::of_plan(plan, &plan.source, &options).map_err(|it| it.context("the source"))?;
    let target = stores::of_plan(plan, &plan.target, &options).map_err(|it| it.context("the target"))?;
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::comparison(&args.limits, &args.moving, args.output.quiet, watch);
    let run = Run { log: log.clone(), ..run };
    let way = format!("verify {}: {} → {}", plan.path, source.name.label(), target.name.label());
    run.log.line(Line::new(Level::Info, Step::Verify, way));
    let task = prepare::plan(plan, source, target, Some(&run)).map_err(|it| problem(it, plan, text, colour))?;
    let again = format!("cutover verify {}", quoted(&plan.path));
    compare(task, &run, &args.output, cli, Some(plan), &again)
}

fn diff(args: &Diff, cli: &Cli) -> Result<u8> {
    let mut options = store::Options { views: args.views, ..options::store(&args.limits.means.asking) };
    options.files.null.clone_from(&args.null);
    let source = stores::open(&args.source, &options).map_err(|it| it.context("the source"))?;
    let target = stores::open(&args.target, &options).map_err(|it| it.context("the target"))?;
    let task = prepare::diff(source, target, &options::of_diff(args)?, options::policy(&args.allow_empty))?;
    let again = format!("cutover diff {} {}", quoted(&args.source), quoted(&args.target));
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::comparison(&args.limits, &args.moving, args.output.quiet, watch);
    compare(task, &run, &args.output, cli, None, &again)
}

/// Runs a comparison and says what came of it.
fn compare(mut task: Task, run: &Run, output: &Output, cli: &Cli, plan: Option<&Plan>, again: &str) -> Result<u8> {
    let begun = clock::elapsed();
    let folder = output.output.as_deref().map(Folder::create).transpose()?;
    let progress = progress::Progress::start(&run.watch, output.quiet);
    let mut result = task.run(run, folder.as_ref());
    if let (Ok(report), Some(plan)) = (&mut result, plan) {
        let (source, target) = (task.source.as_mut(), task.target.as_mut());
        report.time(query::ask(&plan.queries, source, target, run, &clock::elapsed)?);
    }
    drop(progress);
    let mut report = result?;
    log::time(&mut report.timing, begun);
    run.log.report(&report, true);
    run.log.timing(Step::Verify, &report.timing);
    report.plan = plan.map(|it| PlanName { path: it.path.clone(), hash: it.hash.clone() });
    report.next = next(&report, output.output.as_ref(), again);
    if let Some(folder) = folder {
        folder.finish(&report)?;
    }
    output::report(&report, output, cli.color)?;
    Ok(exit::of_verdict(report.verdict))
}

/// The command that helps most now.
fn next(report: &Report, output: Option<&PathBuf>, again: &str) -> Option<String> {
    let cut = report.tables.iter().find(|it| it.findings_truncated);
    match (cut, output) {
        (Some(table), Some(folder)) => {
            let file = table.findings_file.as_deref().unwrap_or("findings");
            Some(format!("less {}", quoted(&folder.join(file).display().to_string())))
        }
        (Some(_), None) => Some(format!("{again} --output report")),
        (None, _) => None,
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=,+".contains(it);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What is wrong with a plan that could be read.
fn problem(problem: prepare::Problem, plan: &Plan, text: &str, colour: bool) -> Error {
    match problem {
        prepare::Problem::Plan(faults) => stores::refused(&faults, &plan.path, text, colour),
        prepare::Problem::Store(error) => error,
    }
}

/// A mistake on the command line.
fn usage(message: impl std::fmt::Display) -> Error {
    Error::new(Kind::Usage, message)
}
