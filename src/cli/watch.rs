//! `watch`: `verify`, again and again, until enough rounds in a row pass.

use super::{
    args::{Cli, Format, Means, delay},
    clock, exit, options, output, problem, progress, quoted, stores, usage,
};
use crate::{
    error::{Error, Kind, Result},
    gate::Verdict,
    plan::Plan,
    report::{Report, escape},
    run::{
        Recheck, Run, Watch,
        around::hook::Caller,
        prepare,
        state::{self, Round, State, lock},
    },
    store,
};
use clap::Args;
use serde_json::{Value, json};
use std::{io::IsTerminal, path::PathBuf, sync::Arc, time::Duration};

/// The version of the lines that `--format json` writes.
const FORMAT: &str = "cutover-watch/1";

/// How often somebody who waits for the next round looks whether its line would be read.
const LOOK: Duration = Duration::from_secs(1);

/// What stands below the options.
pub(super) const HELP: &str = "\
Examples:
  cutover watch                           every 5 minutes, until 3 rounds in a row pass
  cutover watch prod.toml --every 30s --clean 10
  cutover watch --rounds 12 --format json an hour of it, a line of JSON a round

A store that cannot be reached makes a round `unknown`, and so does a run that goes on beside it;
the next one looks again. Rounds are kept, and `cutover history` lists them. Nothing is written to
either store, and no run is kept out.

Exit codes:
  0    as many clean rounds in a row as --clean says: the condition for the cut-over
  1    the last of --rounds failed
  2    undecided: the last of --rounds was `unknown`, too few in a row passed, or nobody reads the
       rounds any more; usage, or the plan
  130  interrupted";

/// `cutover watch`.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// How long to wait between two rounds: 0s, 30s, 5m.
    #[arg(long, value_name = "D", default_value = "5m", value_parser = delay)]
    every: Duration,
    /// Rounds in a row that have to pass.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    clean: u32,
    /// Rounds at most. Without it, as many as it takes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Look again at the rows that differ, up to N times in a round.
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Moving data")]
    recheck: u32,
    /// How long to wait before each such look.
    #[arg(long, value_name = "D", default_value = "5s", value_parser = delay, help_heading = "Moving data")]
    recheck_delay: Duration,
    #[command(flatten)]
    means: Means,
    /// How to write each round. As JSON a line has the format `cutover-watch/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
    /// Show no progress.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// A plan that is watched.
struct Watching<'w> {
    args: &'w WatchArgs,
    plan: Plan,
    text: String,
    colour: bool,
    folder: PathBuf,
    options: store::Options,
    run: Run,
}

pub(super) fn watch(args: &WatchArgs, cli: &Cli) -> Result<u8> {
    if let Some(rounds) = args.rounds.filter(|it| *it < args.clean) {
        return Err(usage(format_args!("--rounds {rounds}: {} of them have to pass, as --clean says", args.clean)));
    }
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(&args.plan, colour)?;
    let hook = plan.hooks.on_change.as_ref().map(|it| Caller::new(&plan, "on_change", it)).transpose()?;
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let folder = state::folder_of(&args.plan);
    let mut state = State::open(&folder)?;
    let recheck = Recheck { rounds: args.recheck, delay: args.recheck_delay };
    let run = Run { recheck, ..options::run(&args.means, Arc::clone(&watch)) };
    let options = options::store(&args.means.asking);
    let watching = Watching { args, plan, text, colour, folder, options, run };
    let name = state::plan_name(&args.plan);
    let mut before = state.rounds(&name)?.pop().map(|it| it.verdict);
    let mut clean = 0;
    for number in 1.. {
        let round = watching.round(number)?;
        clean = if round.verdict == Verdict::Pass.name() { clean + 1 } else { 0 };
        output::print(watching.line(&round, clean).as_bytes())?;
        state.watched(&name, &round)?;
        if let (Some(hook), Some(from)) = (&hook, before.filter(|it| *it != round.verdict)) {
            let change = watching.change(&from, &round);
            let called = hook.call(change.to_string().as_bytes(), &watch);
            called.unwrap_or_else(|it| output::say(&escape::message(&it.to_string())));
        }
        if clean == args.clean || args.rounds == Some(number) {
            output::print(watching.end(number, clean).as_bytes())?;
            return Ok(match round.verdict.as_str() {
                _ if clean == args.clean => exit::PASS,
                "fail" => exit::FAIL,
                _ => exit::UNDECIDED,
            });
        }
        before = Some(round.verdict);
        if !watching.rest()? {
            break;
        }
    }
    Ok(exit::UNDECIDED)
}

impl Watching<'_> {
    /// Waits for the next round. False: nobody reads of it any more.
    ///
    /// # Errors
    /// If somebody asks to stop.
    fn rest(&self) -> Result<bool> {
        self.run.watch.wait(Duration::ZERO)?;
        let mut left = self.args.every;
        while !left.is_zero() && output::is_read() {
            let step = left.min(LOOK);
            self.run.watch.wait(step)?;
            left -= step;
        }
        Ok(output::is_read())
    }

    /// A run that may write to the target now.
    ///
    /// # Errors
    /// If its lock cannot be read.
    fn other(&self) -> Result<Option<String>> {
        let other = lock::holder(&self.folder)?.filter(|it| it.lives != Some(false));
        Ok(other.map(|it| format!("a run goes on meanwhile: {}", it.about())))
    }

    /// Looks once. A store that fails is a round that nobody knows the verdict of, and so is one beside which a run writes.
    ///
    /// # Errors
    /// If the plan does not fit its stores, or somebody asks to stop.
    fn round(&self, number: u32) -> Result<Round> {
        let round = Round { number, at: clock::text(), ..Round::default() };
        let unknown =
            |why: String| Round { verdict: Verdict::Unknown.name().to_owned(), reasons: vec![why], ..round.clone() };
        if let Some(why) = self.other()? {
            return Ok(unknown(why));
        }
        let bar = progress::Progress::start(&self.run.watch, self.args.quiet);
        let looked = self.look();
        drop(bar);
        match (looked, self.other()?) {
            (Ok(_), Some(why)) => Ok(unknown(why)),
            (Ok(report), None) => {
                let (tally, verdict) = (&report.totals, report.verdict.name().to_owned());
                let differ = tally.missing + tally.extra + tally.changed + tally.rejects;
                Ok(Round {
                    verdict,
                    rows: tally.source_rows,
                    same: tally.same,
                    differ,
                    reasons: report.reasons,
                    ..round
                })
            }
            (Err(it), _) if matches!(it.kind(), Kind::Usage | Kind::Interrupted | Kind::Broken) => Err(it),
            // A run that goes on may just be making what the plan names.
            (Err(_), Some(why)) => Ok(unknown(why)),
            (Err(it), None) if it.kind() == Kind::Plan => Err(it),
            (Err(it), None) => Ok(unknown(it.to_string())),
        }
    }

    fn look(&self) -> Result<Report> {
        self.run.watch.begin("verify");
        let open = |endpoint, side: &str| {
            stores::of_plan(&self.plan, endpoint, &self.options).map_err(|it: Error| it.context(side))
        };
        let (source, target) = (open(&self.plan.source, "the source")?, open(&self.plan.target, "the target")?);
        let task = prepare::plan(&self.plan, source, target, Some(&self.run));
        task.map_err(|it| problem(it, &self.plan, &self.text, self.colour))?.run(&self.run, None)
    }

    fn line(&self, round: &Round, clean: u32) -> String {
        if self.args.format == Format::Json {
            let mut line = round.json();
            line["format"] = FORMAT.into();
            line["clean"] = clean.into();
            return one_line(&line);
        }
        let word = round.verdict.to_uppercase();
        format!("{}  round {:<4}  {word:<7}  {}\n", round.at, round.number, escape::message(&round.about()))
    }

    fn change(&self, from: &str, round: &Round) -> Value {
        json!({
            "format": "cutover-change/1", "plan": self.plan.path, "from": from, "to": round.verdict,
            "round": round.number, "at": round.at, "reasons": round.reasons,
        })
    }

    fn end(&self, rounds: u32, clean: u32) -> String {
        let (met, wanted) = (clean == self.args.clean, self.args.clean);
        let verify = format!("cutover verify {}", quoted(&self.plan.path));
        let next = match met {
            true => format!("stop writing to the source, type `{verify}` once more, and let readers use the target"),
            false => verify,
        };
        if self.args.format == Format::Json {
            let end = json!({ "format": FORMAT, "met": met, "rounds": rounds, "clean": clean, "wanted": wanted, "next": next });
            return one_line(&end);
        }
        let says = match met {
            true => format!("{clean} clean rounds in a row: the condition for the cut-over is met."),
            false => format!("{clean} of {wanted} clean rounds in a row: the condition for the cut-over is not met."),
        };
        format!("{says}\nnext: {next}\n")
    }
}

fn one_line(it: &Value) -> String {
    let mut out = String::new();
    escape::json(&it.to_string(), &mut out);
    out + "\n"
}
