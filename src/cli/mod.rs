//! From what was typed to an exit code. The only place that reads the environment, the clock and the terminal.

mod args;
pub mod exit;
mod options;
mod output;
mod progress;

use crate::{
    error::{Error, Kind, Result},
    report::{StoreName, folder::Folder},
    run::{Watch, prepare, verify::Task},
    store,
};
use args::{Cli, Command, Diff, Limits, Output};
use clap::Parser;
use std::{path::Path, process::ExitCode, sync::Arc};

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(it) => it,
        Err(it) => {
            // A closed pipe is nobody's fault.
            let _ = it.print();
            return ExitCode::from(if it.use_stderr() { exit::UNDECIDED } else { exit::PASS });
        }
    };
    let done = match &cli.command {
        Command::Diff(it) => diff(it, &cli),
        Command::Verify(_) => Err(Error::new(Kind::Usage, "soon")),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&error, cli.color);
            ExitCode::from(exit::of_error(error.kind()))
        }
    }
}

fn diff(args: &Diff, cli: &Cli) -> Result<u8> {
    let (source, target) = (open(&args.source)?, open(&args.target)?);
    let task = prepare::diff(source, target, &options::of_diff(args)?, options::policy(&args.allow_empty))?;
    compare(task, &args.limits, &args.output, cli)
}

/// Runs a comparison and says what came of it.
fn compare(task: Task, limits: &Limits, output: &Output, cli: &Cli) -> Result<u8> {
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::run(limits, Arc::clone(&watch));
    #[expect(clippy::disallowed_methods, reason = "cli reads the clock")]
    let start = std::time::Instant::now();
    let folder = output.output.as_deref().map(Folder::create).transpose()?;
    let progress = progress::Progress::start(&watch, output.quiet);
    let result = task.run(&run, folder.as_ref());
    drop(progress);
    let mut report = result?;
    report.seconds = start.elapsed().as_secs_f64();
    if let Some(folder) = folder {
        folder.finish(&report)?;
    }
    output::report(&report, output, cli.color)?;
    Ok(exit::of_verdict(report.verdict))
}

fn open(text: &str) -> Result<prepare::Opened> {
    let store = store::open("sqlite", Path::new(text))?;
    Ok(prepare::Opened { store, name: StoreName { kind: "sqlite".to_owned(), name: text.to_owned() } })
}
