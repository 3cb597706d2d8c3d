//! From what was typed to an exit code. The only place that reads the environment, the clock and the terminal.

mod args;
pub mod exit;
mod output;

use crate::{
    error::{Error, Kind, Result},
    plan::{Names, Policy},
    report::StoreName,
    run::{Run, Watch, prepare},
    store,
};
use args::{Cli, Command, Diff};
use clap::Parser;
use std::{path::Path, process::ExitCode};

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
    let mut policy = Policy::default();
    if args.allow_empty.iter().any(|it| it == "all") {
        policy.allow_empty = Names::All;
    } else {
        policy.allow_empty = Names::Some(args.allow_empty.iter().cloned().collect());
    }
    let run = Run {
        memory: args.limits.memory,
        scratch: std::env::temp_dir(),
        limit: args.limits.limit,
        output: args.output.output.clone(),
        watch: Watch::default(),
    };
    let task = prepare::diff(source, target, &prepare::Options::default(), policy)?;
    let report = task.run(&run, &|_| Ok(None))?;
    output::report(&report, &args.output, cli.color)?;
    Ok(exit::of_verdict(report.verdict))
}

fn open(text: &str) -> Result<prepare::Opened> {
    let store = store::open("sqlite", Path::new(text))?;
    Ok(prepare::Opened { store, name: StoreName { kind: "sqlite".to_owned(), name: text.to_owned() } })
}
