//! `info`, and `show` without a table: what stores hold, without reading rows or with their rows counted.

use super::{
    args::{Cli, Format, Info},
    connection::document_text,
    environment, exit, inspect, options, output, problem,
    stores::{self, Asked, Planned},
};
use crate::{
    error::{Error, Result},
    report::{StoreName, escape, layout},
    run::{
        prepare::{self, Opened},
        show,
        verify::Task,
    },
    schema::{Column, Origin, Table},
    store::{Source, about::Fact},
};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-info/1";

/// One store, and what it holds.
struct Held {
    side: Option<&'static str>,
    name: StoreName,
    tables: Result<Vec<Table>, Error>,
    notes: Vec<String>,
    /// What it says about itself, where that was asked for.
    about: Vec<Fact>,
}

pub(super) fn info(args: &Info, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let options = options::store(&args.asking);
    let (plan, mut asked) = stores::all(&args.stores, &options, colour)?;
    let held: Vec<Held> = asked.iter_mut().map(|it| held(it, args.detailed)).collect();
    let around = plan.as_ref().filter(|_| args.detailed).map(|it| environment::around(it, &options));
    let well = held.iter().all(|it| it.tables.is_ok());
    let task = match plan.filter(|_| well) {
        Some(plan) => Some(paired(&plan, asked, colour)?),
        None => None,
    };
    let out = match args.format {
        Format::Json => {
            let stores: Vec<Value> = held.iter().map(Held::json).collect();
            let mut document =
                json!({ "format": FORMAT, "stores": stores, "pairing": task.as_ref().map(pairing_json) });
            if let Some(around) = around {
                document["environment"] =
                    Value::Object(around.into_iter().map(|it| (it.0.to_owned(), it.1.into())).collect());
            }
            document_text(&document)?
        }
        Format::Text => {
            let mut parts: Vec<String> = held.iter().map(|it| it.text(args.detailed)).collect();
            parts.extend(task.as_ref().map(pairing_text));
            parts.extend(around.as_deref().map(environment_text));
            parts.join("\n")
        }
    };
    output::print(out.as_bytes())?;
    Ok(if well { exit::PASS } else { exit::UNDECIDED })
}

fn held(asked: &mut Asked, detailed: bool) -> Held {
    let (tables, notes, about) = match &mut asked.store {
        Ok(store) => {
            // What a store does not say is no reason not to say the rest.
            let about = if detailed { store.about().unwrap_or_default() } else { Vec::new() };
            (store.tables(), store.notes(), about)
        }
        Err(it) => (Err(Error::new(it.kind(), it)), Vec::new(), Vec::new()),
    };
    Held { side: asked.side, name: asked.name.clone(), tables, notes, about }
}

/// What the plan pairs, without reading a row.
fn paired(Planned { plan, text }: &Planned, asked: Vec<Asked>, colour: bool) -> Result<Task> {
    let mut opened = Vec::new();
    for Asked { name, store, .. } in asked {
        opened.push(Opened { store: store?, name });
    }
    let (Some(target), Some(source)) = (opened.pop(), opened.pop()) else {
        return Err(super::usage("a plan has two stores"));
    };
    prepare::plan(plan, source, target, None).map_err(|it| problem(it, plan, text, colour))
}

/// Lists the tables of a store with their rows counted.
///
/// # Errors
/// If the store fails.
pub(super) fn counted(store: &mut dyn Source, format: Format) -> Result<u8> {
    let (tables, mut counts, mut out) = (store.tables()?, Vec::new(), String::new());
    for table in &tables {
        counts.push(if table.unreadable.is_none() { Some(show::count(store, table)?) } else { None });
    }
    match format {
        Format::Text => {
            let count = |it: usize| counts[it].map_or_else(|| "?".to_owned(), layout::count);
            out = lines(&grid(&tables, &count));
        }
        Format::Json => {
            for (table, count) in tables.iter().zip(&counts) {
                let types = table.columns.iter().map(|it| (it.name.clone(), it.ty.name().into())).collect();
                let (types, key) = (Value::Object(types), table.names(&table.key));
                let line = json!({ "table": table.name, "rows": count, "key": key, "columns": types });
                escape::json(&line.to_string(), &mut out);
                out.push('\n');
            }
        }
    }
    output::print(out.as_bytes())?;
    for note in store.notes() {
        output::say(&note);
    }
    Ok(exit::PASS)
}

/// A line for each table.
fn grid(tables: &[Table], rows: &dyn Fn(usize) -> String) -> Vec<String> {
    let head = ["table", "rows", "key", "columns"].map(str::to_owned).to_vec();
    let line = |(at, table): (usize, &Table)| {
        let columns = table.columns.iter().map(|it| format!("{} {}", it.name, it.ty.name())).collect::<Vec<_>>();
        vec![table.name.clone(), rows(at), table.names(&table.key).join(", "), columns.join(", ")]
    };
    let cells: Vec<_> = [head].into_iter().chain(tables.iter().enumerate().map(line)).collect();
    layout::grid(&cells, &[false, true, false, false], inspect::WIDTH)
}

fn lines(all: &[String]) -> String {
    all.iter().map(|it| format!("{}\n", it.trim_end())).collect()
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Guessed => "guessed",
        Origin::Declared => "declared",
        Origin::Enforced => "enforced",
    }
}

impl Held {
    fn text(&self, detailed: bool) -> String {
        let side = self.side.map(|it| format!("{it}: ")).unwrap_or_default();
        let name = format!("{} {}", self.name.kind, self.name.name);
        let mut out = vec![escape::message(&format!("{side}{}", name.trim()))];
        out.extend(self.about.iter().map(|it| format!("  {}: {}", it.what, escape::message(&it.says))));
        match &self.tables {
            Err(error) => out.push(format!("  cannot be read: {}", escape::message(&error.to_string()))),
            Ok(tables) => {
                let about = |it: usize| {
                    let rows = tables[it].rows_about;
                    rows.map_or_else(|| "?".to_owned(), |it| format!("~{}", layout::count(it)))
                };
                out.extend(grid(tables, &about).into_iter().map(|it| format!("  {it}")));
                if detailed {
                    out.extend(tables.iter().flat_map(details));
                }
                let told = tables.iter().flat_map(|it| [(it, &it.unreadable), (it, &it.partial)]);
                let told = told.filter_map(|(table, why)| Some(format!("{}: {}", table.name, why.as_ref()?)));
                out.extend(told.chain(self.notes.iter().cloned()).map(|it| format!("  {}", escape::message(&it))));
            }
        }
        lines(&out)
    }

    fn json(&self) -> Value {
        let (StoreName { kind, name }, notes) = (&self.name, &self.notes);
        let tables = self.tables.as_ref().ok().map(|it| it.iter().map(table_json).collect::<Vec<_>>());
        let error = self.tables.as_ref().err().map(ToString::to_string);
        let mut out =
            json!({ "side": self.side, "kind": kind, "name": name, "tables": tables, "error": error, "notes": notes });
        if !self.about.is_empty() {
            let about = self.about.iter().map(|it| json!({ "what": it.what, "says": it.says }));
            out["about"] = about.collect();
        }
        out
    }
}

/// What there is around a plan, a line each.
fn environment_text(around: &[environment::Said]) -> String {
    let rows: Vec<_> = around.iter().map(|(what, says)| vec![(*what).to_owned(), escape::message(says)]).collect();
    let lines = layout::aligned(&rows, &[]).into_iter().map(|it| format!("  {it}"));
    self::lines(&["environment".to_owned()].into_iter().chain(lines).collect::<Vec<_>>())
}

/// The columns and constraints of one table.
fn details(table: &Table) -> Vec<String> {
    let column = |(place, it): (usize, &Column)| {
        let key = if table.key.contains(&place) { "key" } else { "" };
        let null = if it.nullable { "" } else { "not null" };
        let cells = [it.name.as_str(), it.ty.name(), origin(it.origin), null, key];
        cells.map(str::to_owned).to_vec()
    };
    let columns: Vec<_> = table.columns.iter().enumerate().map(column).collect();
    let columns = layout::grid(&columns, &[], inspect::WIDTH).into_iter().map(|it| format!("    {it}"));
    let mut out = vec![String::new(), format!("  {}", escape::message(&table.name))];
    out.extend(columns);
    let uniques = table.uniques.iter().map(|it| format!("unique ({})", table.names(&it.columns).join(", ")));
    let references = table.foreign_keys.iter().map(|it| {
        let to = if it.to.is_empty() { String::new() } else { format!(" ({})", it.to.join(", ")) };
        format!("({}) refers to {}{to}", table.names(&it.columns).join(", "), it.table)
    });
    out.extend(uniques.chain(references).map(|it| format!("    {}", escape::message(&it))));
    out
}

fn table_json(table: &Table) -> Value {
    let column = |it: &Column| {
        let (name, ty, origin) = (&it.name, it.ty.name(), origin(it.origin));
        json!({ "name": name, "type": ty, "origin": origin, "nullable": it.nullable })
    };
    let columns: Vec<Value> = table.columns.iter().map(column).collect();
    let unique = |it: &crate::schema::Unique| json!({ "columns": table.names(&it.columns), "enforced": it.enforced });
    let reference =
        |it: &crate::schema::ForeignKey| json!({ "columns": table.names(&it.columns), "table": it.table, "to": it.to });
    json!({
        "name": table.name,
        "rows_about": table.rows_about,
        "key": table.names(&table.key),
        "key_origin": origin(table.key_origin),
        "columns": columns,
        "uniques": table.uniques.iter().map(unique).collect::<Vec<_>>(),
        "references": table.foreign_keys.iter().map(reference).collect::<Vec<_>>(),
        "partial": table.partial,
        "unreadable": table.unreadable,
    })
}

/// What stands on one side only, tables and columns, and what could not be paired.
fn alone(task: &Task) -> [Vec<String>; 3] {
    let mut sides = [task.source_only.clone(), task.target_only.clone(), task.unchecked.clone()];
    for comparison in task.tables.iter().filter(|it| it.referred.is_none()).map(|it| &it.comparison) {
        let columns = [&comparison.source_only, &comparison.target_only];
        for (side, columns) in sides.iter_mut().zip(columns) {
            side.extend(columns.iter().map(|it| format!("{}.{it}", comparison.target.name)));
        }
    }
    sides
}

fn pairing_text(task: &Task) -> String {
    let mut rows = vec![["source", "target", "key"].map(str::to_owned).to_vec()];
    for it in task.tables.iter().filter(|it| it.referred.is_none()) {
        let key = it.comparison.key_names().join(", ");
        let key = if key.is_empty() { "whole rows".to_owned() } else { key };
        rows.push(vec![it.from.name.clone(), it.comparison.target.name.clone(), key]);
    }
    let mut out = vec!["pairs".to_owned()];
    out.extend(layout::grid(&rows, &[], inspect::WIDTH).into_iter().map(|it| format!("  {it}")));
    let [source, target, unchecked] = alone(task);
    let only = |names: Vec<String>, side: &str| {
        names.into_iter().map(|it| format!("{it} is only in the {side}")).collect::<Vec<_>>()
    };
    let rest = [only(source, "source"), only(target, "target"), unchecked, task.notes.clone()].concat();
    out.extend(rest.into_iter().map(|it| format!("  {}", escape::message(&it))));
    lines(&out)
}

fn pairing_json(task: &Task) -> Value {
    let [source, target, unchecked] = alone(task);
    let pair = |it: &crate::run::verify::Pairing| {
        let key = it.comparison.key_names();
        json!({ "source": it.from.name, "target": it.comparison.target.name, "key": key, "notes": it.comparison.notes })
    };
    let tables: Vec<Value> = task.tables.iter().filter(|it| it.referred.is_none()).map(pair).collect();
    let unpaired = json!({ "source": source, "target": target });
    json!({ "tables": tables, "unpaired": unpaired, "unchecked": unchecked, "notes": task.notes })
}
