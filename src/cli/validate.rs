//! `validate`: one store against its constraints and rules.

use super::{
    args::{Cli, Format, Limits},
    connection::document_text,
    exit,
    inspect::WIDTH,
    options, output, problem,
    progress::{self, Progress},
    stores, usage,
};
use crate::{
    error::Result,
    report::{Cell, Finding, FindingKind, Side, escape, layout, text},
    run::{
        Watch,
        validate::{self, Checked, KINDS, Validation},
    },
};
use clap::Args;
use serde_json::{Map, Value, json, value::RawValue};
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-validation/1";

/// `cutover validate`.
#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// A plan (.toml), whose mapped source is looked at; a store; or `source` or `target` of the plan.
    /// `source`, if not said.
    #[arg(value_name = "PLAN | STORE")]
    what: Option<String>,
    /// The plan that says where `source` and `target` are, and what their rules are. `cutover.toml`, if not said.
    #[arg(long, value_name = "PLAN")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
    /// How to write it. As JSON it has the format `cutover-validation/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
}

pub(super) fn validate(args: &ValidateArgs, cli: &Cli) -> Result<u8> {
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::run(&args.limits.means, Arc::clone(&watch));
    let run = crate::run::Run { limit: args.limits.limit, ..run };
    let options = options::store(&args.limits.means.asking);
    let named = || args.plan.as_deref().unwrap_or(Path::new("cutover.toml"));
    let (path, side) = match args.what.as_deref() {
        None | Some("source") => (named(), Side::Source),
        Some("target") => (named(), Side::Target),
        Some(what) if args.plan.is_some() => {
            let message = "--plan is about `source` and `target`, and the rules of a plan are about no other store";
            return Err(usage(format_args!("{message}; leave out `{what}` or --plan")));
        }
        Some(what) if Path::new(what).extension().is_some_and(|it| it == "toml") => (Path::new(what), Side::Source),
        Some(what) => {
            let opened = stores::open(what, &options)?;
            let progress = Progress::start(&watch, args.format == Format::Json);
            let found = validate::store(&run, opened);
            drop(progress);
            return say(&found?, args.format);
        }
    };
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(path, colour)?;
    let source = stores::of_plan(&plan, &plan.source, &options).map_err(|it| it.context("the source"))?;
    let target = match side {
        Side::Source => stores::target_or_schema(&plan, &options),
        Side::Target => stores::of_plan(&plan, &plan.target, &options),
    };
    let target = target.map_err(|it| it.context("the target"))?;
    let progress = Progress::start(&watch, args.format == Format::Json);
    let found = validate::plan(&run, &plan, [source, target], side);
    drop(progress);
    say(&found.map_err(|it| problem(it, &plan, &text, colour))?, args.format)
}

fn say(found: &Validation, format: Format) -> Result<u8> {
    let out = match format {
        Format::Json => document_text(&document(found))?,
        Format::Text => lines(found),
    };
    output::print(out.as_bytes())?;
    Ok(exit::of_verdict(found.verdict()))
}

fn document(found: &Validation) -> Value {
    let value = |it: &Cell| RawValue::from_string(it.json.clone()).ok().map(|it| json!(it));
    let error = |it: &Finding| {
        let key: Map<String, Value> =
            it.key.iter().filter_map(|(name, cell)| Some((name.clone(), value(cell)?))).collect();
        let (columns, values): (Vec<&str>, Vec<Option<Value>>) =
            cells(it).into_iter().map(|(name, cell)| (name, value(cell))).unzip();
        json!({ "kind": it.kind.name(), "key": key, "columns": columns, "rule": rule(it), "values": values })
    };
    let table = |it: &Checked| {
        let mut out = json!({ "name": it.name, "rows": it.rows });
        KINDS.iter().zip(it.counts).for_each(|((_, name), count)| out[*name] = count.into());
        out["errors"] = it.errors.iter().map(error).collect();
        out["truncated"] = (it.total() > it.errors.len() as u64).into();
        out
    };
    json!({
        "format": FORMAT, "verdict": found.verdict().name(),
        "store": { "kind": found.store.kind, "name": found.store.name },
        "tables": found.tables.iter().map(table).collect::<Vec<_>>(),
        "unchecked": found.unchecked, "notes": found.notes,
    })
}

fn lines(found: &Validation) -> String {
    let rows: u64 = found.tables.iter().map(|it| it.rows).sum();
    let (errors, name) = (layout::count(found.errors()), &found.store);
    let mut out = vec![format!(
        "{:<9}{} {}: {errors} errors in {} rows of {} tables",
        found.verdict().name().to_uppercase(),
        name.kind,
        escape::message(&name.name),
        layout::count(rows),
        found.tables.len()
    )];
    out.extend(found.unchecked.iter().map(|it| format!("         {}", escape::message(it))));
    for table in found.tables.iter().filter(|it| it.total() > 0) {
        let counts = KINDS.iter().zip(table.counts).filter(|it| it.1 > 0);
        let counts = counts.map(|((_, name), count)| format!("{name} {}", layout::count(count)));
        let counts = counts.collect::<Vec<_>>().join(", ");
        out.push(format!("\n{}  {counts}", escape::message(&table.name)));
        let grid: Vec<Vec<String>> = table.errors.iter().map(line).collect();
        out.extend(layout::grid(&grid, &[], WIDTH).into_iter().map(|it| format!("  {it}")));
        let more = table.total() - table.errors.len() as u64;
        out.extend((more > 0).then(|| format!("  and {} more; --limit shows more", layout::count(more))));
    }
    out.iter().map(|it| format!("{}\n", it.trim_end())).collect()
}

/// Which row, which rule, and which values.
fn line(it: &Finding) -> Vec<String> {
    let shown = |name: &str, cell: &Cell| format!("{}={}", escape::message(name), text::cell(cell));
    let key = it.key.iter().map(|(name, cell)| shown(name, cell)).collect::<Vec<_>>().join(" ");
    let cells = cells(it).into_iter().map(|(name, cell)| shown(name, cell)).collect::<Vec<_>>().join(" ");
    vec![key, escape::message(&rule(it)), cells]
}

/// The rule that is broken, in words.
fn rule(it: &Finding) -> String {
    let detail = it.detail.as_deref().unwrap_or_default();
    match it.kind {
        FindingKind::Orphan => format!("refers to {detail}"),
        FindingKind::Clash => format!("unique ({detail})"),
        FindingKind::Duplicate => {
            let names: Vec<&str> = it.key.iter().map(|it| it.0.as_str()).collect();
            format!("key ({})", names.join(", "))
        }
        _ => detail.to_owned(),
    }
}

/// The cells that an error is about; of a row that is there twice, none.
fn cells(it: &Finding) -> Vec<(&str, &Cell)> {
    let told = it.cells.iter().filter(|_| it.kind != FindingKind::Duplicate);
    told.filter_map(|it| Some((it.column.as_str(), it.source.as_ref().or(it.target.as_ref())?))).collect()
}
