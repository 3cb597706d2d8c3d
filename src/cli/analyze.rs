//! `analyze`: what stores hold, and where the time of a verification goes.

use super::{
    args::{Cli, Format, Means},
    clock,
    connection::document_text,
    exit, inspect, log, options, output, problem,
    progress::{self, Progress},
    stores::{self, Asked, Planned},
    usage,
};
use crate::{
    error::Result,
    report::{
        Cell, StoreName, escape, layout,
        timing::{self, Timing},
    },
    run::{
        Run, Watch,
        analyze::{self, ColumnAnalysis, TableAnalysis},
        capture::Masks,
        prepare,
    },
    schema::Table,
    store::{self, Source},
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
    #[command(flatten)]
    means: Means,
    /// How to write it. As JSON it has the format `cutover-analyze/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
}

/// One store and what it holds.
struct Looked {
    side: Option<&'static str>,
    name: StoreName,
    tables: Vec<TableAnalysis>,
    /// What a reader has to know about the store, and why its rows may be of several states.
    notes: Vec<String>,
}

/// One store that can be read, and its tables.
struct Opened {
    side: Option<&'static str>,
    name: StoreName,
    store: Box<dyn Source>,
    tables: Vec<Table>,
}

pub(super) fn run(args: &Analyze, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let options = options::store(&args.means.asking);
    let (planned, asked) = stores::all(&args.stores, &options, colour)?;
    if args.profile && planned.is_none() {
        return Err(usage("--profile verifies by a plan; name one, or none for cutover.toml"));
    }
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::run(&args.means, Arc::clone(&watch));
    let masks = Masks { columns: inspect::masked(&args.mask)?, key: None };
    let bar = Progress::start(&watch, args.format == Format::Json);
    let opened = asked.into_iter().map(Opened::of).collect::<Result<Vec<_>>>()?;
    check(&opened, &args.only, &masks)?;
    let look = |it: Opened| it.look(&run, &args.only, planned.as_ref(), &masks);
    let looked = opened.into_iter().map(look).collect::<Result<Vec<_>>>()?;
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

/// Looks whether some store has what was typed, before anything is read.
fn check(opened: &[Opened], only: &[String], masks: &Masks) -> Result<()> {
    let tables: Vec<Table> = opened.iter().flat_map(|it| it.tables.iter().cloned()).collect();
    if let Some(name) = only.iter().find(|name| !tables.iter().any(|it| it.name == **name)) {
        return Err(usage(format_args!("--only: there is no table `{name}`")));
    }
    masks.check(&tables)
}

impl Opened {
    fn of(asked: Asked) -> Result<Opened> {
        let Asked { side, name, store, .. } = asked;
        let told = store.and_then(|mut it| Ok((it.tables()?, it)));
        let (tables, store) = told.map_err(|it| it.context(name.label()))?;
        Ok(Opened { side, name, store, tables })
    }

    /// Reads the tables that are wanted.
    fn look(mut self, run: &Run, only: &[String], planned: Option<&Planned>, masks: &Masks) -> Result<Looked> {
        let plan = planned.map(|it| &it.plan);
        let (source, target) = if self.side == Some("source") { (plan, None) } else { (None, plan) };
        let taken = source.map(|it| inspect::secret_columns(it, &self.tables)).unwrap_or_default();
        let secret = |table: &str, column: &str| {
            let planned = taken.iter().any(|it| it.is_from(table, column));
            planned || target.is_some_and(|it| it.is_secret(table, column)) || masks.hide(table, column)
        };
        self.tables.retain(|it| only.is_empty() || only.contains(&it.name));
        let tables = analyze::analyze(run, self.store.as_mut(), &self.tables, &secret)?;
        let torn = self.store.torn()?.map(|why| format!("what was read may never have been so: {why}"));
        let notes = self.store.notes().into_iter().chain(torn).collect();
        Ok(Looked { side: self.side, name: self.name, tables, notes })
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
        out.extend(self.notes.iter().map(|it| format!("  {}", escape::message(it))));
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
        let StoreName { kind, name } = &self.name;
        json!({ "side": self.side, "kind": kind, "name": name, "tables": tables, "notes": self.notes })
    }
}

fn heading(it: &TableAnalysis) -> String {
    if let Some(why) = &it.unreadable {
        return format!("{}: not read: {why}", it.name);
    }
    let average = it.bytes.checked_div(it.rows).unwrap_or(0);
    let (rows, size, largest) = (layout::count(it.rows), timing::bytes(it.bytes), layout::count(it.largest));
    let partial = it.partial.as_ref().map(|why| format!("; maybe not all: {why}")).unwrap_or_default();
    let average = layout::count(average);
    format!("{}: {rows} rows, {size}; {average} bytes a row, {largest} the largest{partial}", it.name)
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
        "largest_row_bytes": it.largest, "unreadable": it.unreadable, "partial": it.partial,
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
    use crate::{
        row::{Feed, Shape},
        store::memory::Memory,
    };

    /// A store that was written to while it was read.
    struct Torn(Memory);

    impl Source for Torn {
        fn tables(&mut self) -> Result<Vec<Table>> {
            self.0.tables()
        }

        fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
            self.0.scan(table, shape, feed)
        }

        fn torn(&mut self) -> Result<Option<String>> {
            Ok(Some("it was written to".to_owned()))
        }
    }

    #[test]
    fn rows_of_several_states_are_said_to_be_so() {
        let store = Box::new(Torn(Memory::new()));
        let opened = Opened { side: None, name: StoreName::default(), store, tables: Vec::new() };
        let run = Run::new(8 << 20, std::env::temp_dir());
        let looked = opened.look(&run, &[], None, &Masks::default()).expect("a store in memory");
        let note = "what was read may never have been so: it was written to";
        assert_eq!(looked.json()["notes"], json!([note]));
        assert!(looked.text().contains(note));
    }

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
