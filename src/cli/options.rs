//! From what was typed to what is wanted.

use super::{
    args::{Asking, Diff, Limits, Means, Moving},
    clock, output,
};
use crate::{
    error::{Error, Kind, Result},
    plan::{Names, Policy},
    run::{Recheck, Run, Watch, prepare::Options},
    store,
};
use std::sync::Arc;

/// The options of `diff`.
///
/// # Errors
/// If one of them cannot be read.
pub(super) fn of_diff(args: &Diff) -> Result<Options> {
    let mut options = Options { only: args.only.clone(), ..Options::default() };
    for text in &args.key {
        let (table, columns) = match text.split_once('=') {
            Some((table, columns)) => (Some(table.to_owned()), columns),
            None => (None, text.as_str()),
        };
        let columns = columns.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned);
        options.keys.push((table, columns.collect()));
    }
    for text in &args.ignore {
        let (table, column) = match text.rsplit_once('.') {
            Some((table, column)) => (Some(table.to_owned()), column),
            None => (None, text.as_str()),
        };
        options.ignore.push((table, column.to_owned()));
    }
    for text in &args.map {
        let Some((from, to)) = text.split_once('=') else {
            let message = format!("--map {text}: write SOURCE=TARGET for tables, SOURCE.COLUMN=COLUMN for columns");
            return Err(Error::new(Kind::Usage, message));
        };
        match from.rsplit_once('.') {
            Some((table, column)) => {
                let to = to.rsplit('.').next().unwrap_or(to);
                options.columns.push((table.to_owned(), column.to_owned(), to.to_owned()));
            }
            None => drop(options.tables.insert(from.to_owned(), to.to_owned())),
        }
    }
    Ok(options)
}

/// The policy of a run without a plan: nothing is let through but what was said to be empty.
pub(super) fn policy(allow_empty: &[String]) -> Policy {
    let all = allow_empty.iter().any(|it| it == "all");
    let names = Names::Some(allow_empty.iter().cloned().collect());
    Policy { allow_empty: if all { Names::All } else { names }, ..Policy::default() }
}

/// How hard a store may be asked.
pub(super) fn store(asking: &Asking) -> store::Options {
    let threads = asking.threads.map_or(0, usize::from);
    store::Options { threads, rate: asking.rate, ..store::Options::default() }
}

/// What a run may use.
pub(super) fn run(means: &Means, watch: Arc<Watch>) -> Run {
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let threads = means.asking.threads.map_or_else(cores, usize::from);
    Run { threads, watch, clock: clock::elapsed, ..Run::new(means.memory, std::env::temp_dir()) }
}

/// What a comparison may use.
pub(super) fn comparison(limits: &Limits, moving: &Moving, quiet: bool, watch: Arc<Watch>) -> Run {
    let recheck = Recheck { rounds: moving.recheck, delay: moving.recheck_delay };
    let tell = if quiet { |_: &str| () } else { output::tell };
    Run { limit: limits.limit, recheck, tell, ..run(&limits.means, watch) }
}
