//! `analyze`: what stores hold, and where the time of a verification goes.

use super::{
    args::{Asking, Cli, Format, size},
    clock,
    connection::document_text,
    exit, inspect, log, options, output, problem,
    progress::{self, Progress},
    stores::{self, Asked, Planned},
    usage,
};
use crate::{
    error::Result,
    plan::Plan,
    report::{
        Cell, StoreName, escape, layout,
        timing::{self, Timing},
    },
    run::{
        Run, Watch,
        analyze::{self, ColumnAnalysis, TableAnalysis},
        prepare,
    },
    store,
};
use clap::Args;
use serde_json::{Map, Value, json, value::RawValue};
use std::{collections::BTreeMap, io::IsTerminal, sync::Arc};

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-analyze/1";

/// Formats and members that are named for a column in a text.
const NAMED_MAX: usize = 6;

/// `cutover analyze`.
#[derive(Debug, Args)]
pub(super) struct Analyze {
    /// Stores, or one plan (.toml). Without any, `cutover.toml`.
    #[arg(value_name = "PLAN | STORE")]
    stores: Vec<String>,
    /// Only this table, and others that are named so.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    only: Vec<String>,
    /// A column whose values are shown nowhere, beside those that the plan calls secret.
    #[arg(long, value_name = "TABLE.COLUMN")]
    mask: Vec<String>,
    /// Also verify by the plan, and say where the time goes.
    #[arg(long)]
    profile: bool,
    /// Memory for sorting and for constraints; more goes to temporary files.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size, help_heading = "Limits")]
    memory: usize,
    #[command(flatten)]
    asking: Asking,
    /// How to write it. As JSON it has the format `cutover-analyze/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
}

/// One store and what it holds.
struct Looked {
    side: Option<&'static str>,
    name: StoreName,
    tables: Vec<TableAnalysis>,
}

pub(super) fn run(args: &Analyze, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let options = options::store(&args.asking);
    let (planned, asked) = stores::all(&args.stores, &options, colour)?;
    if args.profile && planned.is_none() {
        return Err(usage("--profile verifies by a plan; name one, or none for cutover.toml"));
    }
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::run(args.memory, &args.asking, Arc::clone(&watch));
    let masked = inspect::masked(&args.mask)?;
    let bar = Progress::start(&watch, args.format == Format::Json);
    let mut looked = Vec::new();
    for Asked { side, name, store, .. } in asked {
        let plan = planned.as_ref().map(|it| &it.plan);
        let secret = |table: &str, column: &str| {
            let typed = masked.iter().any(|it| it.0 == table && it.1.eq_ignore_ascii_case(column));
            typed || plan.is_some_and(|it| is_secret(it, side, table, column))
        };
        let mut store = store.map_err(|it| it.context(name.label()))?;
        let tables = analyze::analyze(&run, store.as_mut(), &args.only, &secret)?;
        looked.push(Looked { side, name, tables });
    }
    let known = |name: &String| looked.iter().any(|it| it.tables.iter().any(|it| it.name == *name));
    if let Some(name) = args.only.iter().find(|it| !known(it)) {
        return Err(usage(format_args!("--only: there is no table `{name}`")));
    }
    let profile = match planned.filter(|_| args.profile) {
        Some(it) => Some(profile(&it, &run, &options, colour)?),
        None => None,
    };
    drop(bar);
    let out = match args.format {
        Format::Json => document_text(&document(&looked, profile.as_ref()))?,
        Format::Text => {
            let mut parts: Vec<String> = looked.iter().map(Looked::text).collect();
            parts.extend(profile.as_ref().map(profile_text));
            parts.join("\n")
        }
    };
    output::print(out.as_bytes())?;
    Ok(exit::PASS)
}

/// Whether a plan keeps the values of a column to itself.
fn is_secret(plan: &Plan, side: Option<&str>, table: &str, column: &str) -> bool {
    match side {
        Some("source") => inspect::secret_columns(plan)
            .into_iter()
            .any(|(_, from, name)| from == table && name.is_none_or(|it| it.eq_ignore_ascii_case(column))),
        _ => plan.is_secret(table, column),
    }
}

/// Verifies by the plan, for the sake of the time it takes.
fn profile(Planned { plan, text }: &Planned, run: &Run, options: &store::Options, colour: bool) -> Result<Timing> {
    let begun = clock::elapsed();
    let source = stores::of_plan(plan, &plan.source, options).map_err(|it| it.context("the source"))?;
    let target = stores::of_plan(plan, &plan.target, options).map_err(|it| it.context("the target"))?;
    let mut task = prepare::plan(plan, source, target, Some(run)).map_err(|it| problem(it, plan, text, colour))?;
    let connected = clock::elapsed().saturating_sub(begun).as_secs_f64();
    let mut timing = task.run(run, None)?.timing;
    log::time(&mut timing, begun);
    timing.connect = Some(connected);
    Ok(timing)
}

fn profile_text(timing: &Timing) -> String {
    let parts: String = timing::parts(timing).lines().map(|it| format!("  {it}\n")).collect();
    let tables: String = timing::text(timing).lines().map(|it| format!("  {it}\n")).collect();
    format!(
        "profile of a verification; parts work side by side, so together they may take longer than it did\n{parts}\n{tables}"
    )
}

fn document(looked: &[Looked], profile: Option<&Timing>) -> Value {
    let stores: Vec<Value> = looked.iter().map(Looked::json).collect();
    json!({ "format": FORMAT, "stores": stores, "profile": profile.map(timing::json) })
}

impl Looked {
    fn text(&self) -> String {
        let side = self.side.map(|it| format!("{it}: ")).unwrap_or_default();
        let mut out = vec![escape::message(&format!("{side}{}", self.name.label()))];
        for table in &self.tables {
            out.push(String::new());
            out.push(format!("  {}", escape::message(&heading(table))));
            out.extend(grid(&table.columns).into_iter().map(|it| format!("    {it}")));
            out.extend(table.columns.iter().filter_map(members).map(|it| format!("    {}", escape::message(&it))));
        }
        out.iter().map(|it| format!("{}\n", it.trim_end())).collect()
    }

    fn json(&self) -> Value {
        let tables: Vec<Value> = self.tables.iter().map(table_json).collect();
        json!({ "side": self.side, "kind": self.name.kind, "name": self.name.name, "tables": tables })
    }
}

fn heading(it: &TableAnalysis) -> String {
    if let Some(why) = &it.unreadable {
        return format!("{}: not read: {why}", it.name);
    }
    let average = it.bytes.checked_div(it.rows).unwrap_or(0);
    let (rows, size, largest) = (layout::count(it.rows), timing::bytes(it.bytes), layout::count(it.largest));
    format!("{}: {rows} rows, {size}; {} bytes a row, {largest} the largest", it.name, layout::count(average))
}

fn grid(columns: &[ColumnAnalysis]) -> Vec<String> {
    if columns.is_empty() {
        return Vec::new();
    }
    let head = ["column", "type", "found", "nulls", "distinct", "bytes", "least", "greatest", "formats"];
    let line = |it: &ColumnAnalysis| {
        let values: u64 = it.found.values().sum();
        let texts = it.found.get("text").copied().unwrap_or(0);
        let about = if it.distinct.is_exact() { "" } else { "~" };
        let end = |cell: &Option<Cell>| match (it.secret, cell) {
            (true, _) => "********".to_owned(),
            (false, cell) => cell.as_ref().map_or_else(|| "-".to_owned(), |it| it.json.clone()),
        };
        vec![
            it.name.clone(),
            it.declared.to_owned(),
            shares(&it.found, values),
            layout::count(it.nulls),
            format!("{about}{}", layout::count(it.distinct.count())),
            layout::count(it.bytes),
            end(&it.least),
            end(&it.greatest),
            shares(&it.formats, texts),
        ]
    };
    let rows: Vec<_> = [head.map(str::to_owned).to_vec()].into_iter().chain(columns.iter().map(line)).collect();
    layout::grid(&rows, &[false, false, false, true, true, true], inspect::WIDTH)
}

/// Names with their shares of `all`, the largest first: the name alone where it has all of it.
fn shares<N: AsRef<str>>(counts: &BTreeMap<N, u64>, all: u64) -> String {
    let mut counts: Vec<(&str, u64)> = counts.iter().map(|(name, count)| (name.as_ref(), *count)).collect();
    counts.sort_by_key(|it| std::cmp::Reverse(it.1));
    let shown = counts.iter().take(NAMED_MAX).map(|&(name, count)| match count == all {
        true => name.to_owned(),
        false => format!("{name} {}", share(count, all)),
    });
    let more = if counts.len() > NAMED_MAX { ", …" } else { "" };
    if counts.is_empty() { "-".to_owned() } else { format!("{}{more}", shown.collect::<Vec<_>>().join(", ")) }
}

/// A share in percent, in which neither the first of many nor the last is lost.
fn share(count: u64, all: u64) -> String {
    match count as f64 / all.max(1) as f64 * 100.0 {
        it if it < 0.1 => "<0.1 %".to_owned(),
        it if it > 99.9 => ">99.9 %".to_owned(),
        it => format!("{it:.1} %"),
    }
}

/// What the JSON objects of a column have in them.
fn members(it: &ColumnAnalysis) -> Option<String> {
    let objects = *it.found.get("json object")?;
    let more = if it.more_members { ", and others" } else { "" };
    (!it.members.is_empty()).then(|| format!("{}: members {}{more}", it.name, shares(&it.members, objects)))
}

fn table_json(it: &TableAnalysis) -> Value {
    json!({
        "name": it.name, "rows": it.rows, "bytes": it.bytes, "average_row_bytes": it.bytes.checked_div(it.rows),
        "largest_row_bytes": it.largest, "unreadable": it.unreadable,
        "columns": it.columns.iter().map(column_json).collect::<Vec<_>>(),
    })
}

fn column_json(it: &ColumnAnalysis) -> Value {
    fn counts<N: AsRef<str>>(of: &BTreeMap<N, u64>) -> Map<String, Value> {
        of.iter().map(|(name, count)| (name.as_ref().to_owned(), Value::from(*count))).collect()
    }
    let end = |cell: &Option<Cell>| {
        let raw = cell.as_ref().and_then(|it| RawValue::from_string(it.json.clone()).ok());
        raw.and_then(|it| serde_json::to_value(it).ok())
    };
    json!({
        "name": it.name, "type": it.declared, "secret": it.secret, "found": counts(&it.found), "nulls": it.nulls,
        "bytes": it.bytes, "largest_bytes": it.largest,
        "distinct": { "count": it.distinct.count(), "exact": it.distinct.is_exact() },
        "least": end(&it.least), "greatest": end(&it.greatest), "formats": counts(&it.formats),
        "members": counts(&it.members), "more_members": it.more_members,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_for_people() {
        let check = |counts: &[(&str, u64)], all, expect: &str| {
            let counts: BTreeMap<String, u64> = counts.iter().map(|it| (it.0.to_owned(), it.1)).collect();
            assert_eq!(shares(&counts, all), expect);
        };
        check(&[], 0, "-");
        check(&[("text", 7)], 7, "text");
        check(&[("int", 1), ("text", 3)], 4, "text 75.0 %, int 25.0 %");
        check(&[("int", 1), ("text", 99_999)], 100_000, "text >99.9 %, int <0.1 %");
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].map(|it| (it, 1)).to_vec();
        assert!({
            let counts: BTreeMap<String, u64> = many.iter().map(|it| (it.0.to_owned(), it.1)).collect();
            shares(&counts, 7).ends_with(", …")
        });
    }
}
