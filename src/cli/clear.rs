//! `clear`: a script with which the browser removes what was migrated from its localStorage.

use super::{
    args::{Cli, Means},
    exit, options, output, problem,
    progress::{self, Progress},
    stores,
};
use crate::{
    disk,
    error::{Error, Kind, Result},
    gate::Verdict,
    report::{escape, layout},
    run::{Watch, clear, prepare},
};
use clap::Args;
use std::{io::IsTerminal, path::PathBuf, sync::Arc};

/// `cutover clear`.
#[derive(Debug, Args)]
pub(super) struct ClearArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Write the script to this file, which must not be there yet, and not to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    means: Means,
}

pub(super) fn clear(args: &ClearArgs, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(&args.plan, colour)?;
    if plan.source.kind != "local-storage" {
        let what = "the source is no localStorage of a browser, and of nothing else entries are removed";
        return Err(Error::new(Kind::Plan, format_args!("{}: {what}", plan.path)));
    }
    if let Some(output) = &args.output {
        disk::vacant(output)?;
    }
    let options = options::store(&args.means.asking);
    let source = stores::of_plan(&plan, &plan.source, &options).map_err(|it| it.context("the source"))?;
    let target = stores::of_plan(&plan, &plan.target, &options).map_err(|it| it.context("the target"))?;
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::run(&args.means, Arc::clone(&watch));
    let mut task = prepare::plan(&plan, source, target, Some(&run)).map_err(|it| problem(it, &plan, &text, colour))?;
    let progress = Progress::start(&watch, false);
    let cleared = clear::clear(&run, &mut task);
    drop(progress);
    let cleared = cleared?;
    if cleared.verdict != Verdict::Pass {
        cleared.refused.iter().for_each(|it| output::say(&escape::message(it)));
        output::say(&format!("nothing is to be removed: see `cutover verify {}`", escape::message(&plan.path)));
        return Ok(exit::of_verdict(cleared.verdict));
    }
    match &args.output {
        Some(output) => disk::create_with(output, |file| {
            file.write_all(cleared.script.as_bytes()).map_err(|it| disk::failed(output, "cannot be written", &it))
        })?,
        None => output::print(cleared.script.as_bytes())?,
    }
    let [entries, left] = [cleared.entries, cleared.left].map(layout::count);
    output::say(&format!("the script removes {entries} entries; {left} of which the plan makes no row stay"));
    Ok(exit::PASS)
}
