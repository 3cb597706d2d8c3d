//! What every verb that writes begins and ends with: the plan, the state beside it, the lock, and what is said at the end.

use crate::{
    cli::{
        args::{Cli, Format, Means, delay},
        clock, exit, log, options, output, progress,
        state::who,
        stores,
    },
    error::{Error, Kind, Result},
    gate::Verdict,
    plan::{Migrate, Plan},
    report::{
        migration::{self, Migration},
        text, timing,
    },
    run::{
        Recheck, Run, Watch,
        log::{Level, Line, Step},
        state::{self, Phase, RunRecord, State, lock},
    },
    store::{self, Source},
};
use clap::Args;
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How batches are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batches")]
pub(in crate::cli) struct Pacing {
    /// Rows in one batch. As the target finds good, if neither this nor the plan says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch_size: Option<u64>,
    /// Connections that write at once, where the target is Postgres: to tables of which none refers to another, or to one that gets
    /// new rows. Two, if neither this nor the plan says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    concurrency: Option<u64>,
    /// How long to wait between two batches: 500ms, 2s.
    #[arg(long, value_name = "D", value_parser = delay)]
    batch_delay: Option<Duration>,
    /// How often a batch is tried again that could not be written.
    #[arg(long, value_name = "N")]
    retries: Option<u64>,
    /// How long to wait before that at least; doubled each time.
    #[arg(long, value_name = "D", value_parser = delay)]
    backoff: Option<Duration>,
}

/// How often to look again at rows that differ right after they were written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Late stores")]
pub(in crate::cli) struct Looking {
    /// Look again at rows that still differ after they were written, up to N times. Workers KV and Edge Config show writes
    /// late, and get 12 looks if not said; others get none.
    #[arg(long, value_name = "N")]
    recheck: Option<u32>,
    /// How long to wait before each look.
    #[arg(long, value_name = "D", default_value = "5s", value_parser = delay)]
    recheck_delay: Duration,
}

impl Looking {
    /// What was typed, and else what that kind of target needs.
    pub(super) fn over(&self, kind: &str) -> Recheck {
        let usual = if matches!(kind, "kv" | "edge-config") { 12 } else { 0 };
        Recheck { rounds: self.recheck.unwrap_or(usual), delay: self.recheck_delay }
    }
}

/// What a run may use, and how it speaks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct Using {
    #[command(flatten)]
    means: Means,
    /// How to write what came of it. As JSON it has the format `cutover-migration/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Say only the verdict, its reasons, and what the target holds.
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Say also how long it took and how much there was.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    logging: log::Logging,
}

impl Using {
    /// Whether what came of it is for programs.
    pub(super) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether to say nothing but what came of it.
    pub(super) fn quiet(&self) -> bool {
        self.quiet
    }
}

/// A verb that writes, while it runs.
pub(super) struct Session {
    pub plan: Plan,
    /// The plan's text.
    pub text: String,
    /// Whether standard error has colours.
    pub colour: bool,
    /// When it began.
    pub start: String,
    pub options: store::Options,
    pub watch: Arc<Watch>,
    pub run: Run,
    pub state: State,
    /// Where the state is.
    pub folder: PathBuf,
    pub lock: lock::Lock,
    /// Who began it, for the audit trail.
    pub by: String,
    /// Where lines of the log go.
    pub book: Arc<log::Book>,
    /// When it began, in the time of the process.
    begun: Duration,
}

impl Session {
    /// Reads the plan and takes the lock.
    ///
    /// # Errors
    /// If the plan is wrong, or another run goes on.
    pub(super) fn begin(plan: &Path, verb: &str, using: &Using, cli: &Cli) -> Result<Session> {
        let (start, begun) = (clock::text(), clock::elapsed());
        let colour = output::colours(cli.color, std::io::stderr().is_terminal());
        let (plan, text) = stores::read_plan(plan, colour)?;
        let watch = Arc::new(Watch::default());
        progress::stop_on_signal(&watch)?;
        let tell = if using.quiet { |_: &str| () } else { output::tell };
        let book = using.logging.open(&plan, &start)?;
        let run = Run { tell, log: book.log(), ..options::run(&using.means, Arc::clone(&watch)) };
        let folder = state::folder_of(Path::new(&plan.path));
        let state = State::open(&folder)?;
        let owner = lock::Owner::this(verb, &start);
        let lock = lock::Lock::take(&folder, &owner)?;
        let by = who(&owner);
        let options = options::store(&using.means.asking);
        Ok(Session { plan, text, colour, start, options, watch, run, state, folder, lock, by, book, begun })
    }

    /// Opens the target for reading.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn read_target(&self) -> Result<Box<dyn Source>> {
        Ok(stores::of_plan(&self.plan, &self.plan.target, &self.options)?.store)
    }

    /// Ends a run in the journal.
    ///
    /// # Errors
    /// As `done`, and if the journal cannot be written.
    pub(super) fn ended(&mut self, id: &str, done: Result<Migration>, preview: bool) -> Result<Migration> {
        let at = clock::text();
        match done {
            Ok(done) => {
                let outcome = if preview { state::PREVIEW } else { done.verdict.name() };
                self.state.finish(id, outcome, done.next.as_deref(), &at)?;
                Ok(done)
            }
            Err(error) => {
                self.state.finish(id, &error.to_string(), None, &at)?;
                Err(error)
            }
        }
    }

    /// Says what came of it. The exit code.
    ///
    /// # Errors
    /// If the lock was taken away meanwhile, or it cannot be said.
    pub(super) fn end(self, mut done: Migration, using: &Using) -> Result<u8> {
        self.lock.check()?;
        log::time(&mut done.timing, self.begun);
        self.write_down(&done);
        output::print(&told(&done, using)?)?;
        Ok(code(&done, &self.watch))
    }

    /// The same, on standard error, where something else is on standard output.
    ///
    /// # Errors
    /// As [`Session::end`].
    pub(super) fn end_aside(self, mut done: Migration, using: &Using) -> Result<u8> {
        self.lock.check()?;
        log::time(&mut done.timing, self.begun);
        self.write_down(&done);
        output::say(&String::from_utf8_lossy(&told(&done, using)?));
        Ok(code(&done, &self.watch))
    }
}

impl Session {
    /// Writes down how it ended.
    fn write_down(&self, done: &Migration) {
        let level = if done.verdict == Verdict::Pass { Level::Info } else { Level::Error };
        let why = if done.reasons.is_empty() { String::new() } else { format!(": {}", done.reasons.join("; ")) };
        let says = format!("{} ended, {}{why}. {}", done.verb, done.verdict.name(), done.state);
        self.run.log.line(Line::new(level, Step::Load, says));
        self.run.log.timing(Step::Load, &done.timing);
    }
}

/// A run, and those that it went on with, if they wrote anything: together they are one.
pub(super) fn with_continued(run: &RunRecord, all: &[RunRecord]) -> Vec<RunRecord> {
    let mut chain = vec![run.clone()];
    let mut last = run;
    while let Some(before) = last.continues.as_ref().and_then(|id| all.iter().find(|it| it.id == *id)) {
        last = before;
        chain.extend(Some(last).filter(|it| wrote(it)).cloned());
    }
    chain
}

/// Whether a run may have written something that was not taken back.
pub(super) fn wrote(run: &RunRecord) -> bool {
    !matches!(run.phase, Phase::Connected | Phase::Captured | Phase::Staged | Phase::Checked | Phase::RolledBack)
}

/// What came of a run, as the user wants it.
fn told(done: &Migration, using: &Using) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match using.format {
        Format::Json => migration::json(done, &mut out).map_err(|it| Error::new(Kind::File, it))?,
        Format::Text => {
            // Why a run does not pass is in the comparison.
            if let Some(report) =
                done.report.as_ref().filter(|it| done.verdict != Verdict::Pass && it.verdict != Verdict::Pass)
            {
                let style = text::Style { width: 100, quiet: using.quiet, ..text::Style::default() };
                out.extend(text::text(report, style).into_bytes());
                out.push(b'\n');
            }
            out.extend(migration::text(done, using.quiet).into_bytes());
            if using.verbose {
                out.extend(format!("\n{}", timing::text(&done.timing)).into_bytes());
            }
        }
    }
    Ok(out)
}

fn code(done: &Migration, watch: &Watch) -> u8 {
    match done.verdict {
        Verdict::Unknown if watch.is_stopped() => exit::INTERRUPTED,
        verdict => exit::of_verdict(verdict),
    }
}

impl Pacing {
    /// What the command line says, and else the plan.
    pub(super) fn over(&self, plan: &Migrate) -> Migrate {
        let seconds = |it: Option<Duration>, usual: f64| it.map_or(usual, |it| it.as_secs_f64());
        Migrate {
            concurrency: self.concurrency.unwrap_or(plan.concurrency),
            batch_size: self.batch_size.or(plan.batch_size),
            batch_delay: seconds(self.batch_delay, plan.batch_delay),
            retries: self.retries.unwrap_or(plan.retries),
            backoff: seconds(self.backoff, plan.backoff),
            ..plan.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        pace: Pacing,
    }

    #[test]
    fn what_is_typed_goes_before_the_plan() {
        let plan = Migrate { batch_size: Some(7), batch_delay: 0.5, retries: 9, backoff: 4.0, ..Migrate::default() };
        let usual = Migrate::default();
        let check = |plan: &Migrate, typed: &str, expect: (Option<u64>, f64, u64, f64, u64)| {
            let typed = Typed::try_parse_from(["cutover"].into_iter().chain(typed.split_whitespace()));
            let how = typed.unwrap_or_else(|it| panic!("{it}")).pace.over(plan);
            assert_eq!((how.batch_size, how.batch_delay, how.retries, how.backoff, how.concurrency), expect);
        };
        check(&usual, "", (None, 0.0, 3, 1.0, 2));
        check(&plan, "", (Some(7), 0.5, 9, 4.0, 2));
        check(&plan, "--retries 0 --backoff 250ms", (Some(7), 0.5, 0, 0.25, 2));
        check(&plan, "--batch-size 1 --batch-delay 0s --concurrency 4", (Some(1), 0.0, 9, 4.0, 4));
    }
}
