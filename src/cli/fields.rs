//! `fields`: what new fields of a plan would touch.

use super::{
    args::{Cli, Format, Limits},
    connection::document_text,
    exit,
    inspect::WIDTH,
    options, output, problem,
    progress::{self, Progress},
    stores,
};
use crate::{
    error::Result,
    report::{escape, layout},
    run::{
        Run, Watch,
        fields::{self, Fields, Record, TableFields},
        prepare,
    },
};
use clap::Args;
use serde_json::{Value, json};
use std::{io::IsTerminal, path::PathBuf, sync::Arc};

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-fields/1";

/// How many keys a line of text names.
const KEYS: usize = 3;

/// `cutover fields`.
#[derive(Debug, Args)]
pub(super) struct FieldsArgs {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    #[command(flatten)]
    limits: Limits,
    /// How to write it. As JSON it has the format `cutover-fields/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
}

pub(super) fn fields(args: &FieldsArgs, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(&args.plan, colour)?;
    let options = options::store(&args.limits.means.asking);
    let source = stores::of_plan(&plan, &plan.source, &options).map_err(|it| it.context("the source"))?;
    let target = stores::target_or_schema(&plan, &options).map_err(|it| it.context("the target"))?;
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::run(&args.limits.means, Arc::clone(&watch));
    let run = Run { limit: args.limits.limit, ..run };
    let mut task = prepare::plan(&plan, source, target, Some(&run)).map_err(|it| problem(it, &plan, &text, colour))?;
    let progress = Progress::start(&watch, args.format == Format::Json);
    let found = fields::fields(&run, &mut task);
    drop(progress);
    let found = found?;
    let out = match args.format {
        Format::Json => document_text(&document(&found))?,
        Format::Text => lines(&found),
    };
    output::print(out.as_bytes())?;
    Ok(exit::of_verdict(found.verdict()))
}

fn document(found: &Fields) -> Value {
    let record = |it: &Record| json!({ "key": it.key, "newFields": it.new_fields, "missing": it.missing, "needsMigration": true });
    let table = |it: &TableFields| {
        json!({
            "name": it.name, "rows": it.rows, "needsMigration": it.needs_migration, "missing": it.missing,
            "newFields": it.new_fields, "records": it.records.iter().map(record).collect::<Vec<_>>(),
            "truncated": it.needs_migration > it.records.len() as u64,
        })
    };
    json!({
        "format": FORMAT, "tables": found.tables.iter().map(table).collect::<Vec<_>>(), "unchecked": found.unchecked,
    })
}

fn lines(found: &Fields) -> String {
    let mut out: Vec<String> = found.unchecked.iter().map(|it| escape::message(it)).collect();
    for table in &found.tables {
        let [rows, needs, missing] = [table.rows, table.needs_migration, table.missing].map(layout::count);
        let name = escape::message(&table.name);
        out.push(format!("{name}: {rows} rows, {needs} need migration, {missing} of them are not there yet"));
        if table.new_fields.is_empty() {
            continue;
        }
        let mut grid = vec![["new field", "rows", "for example"].map(str::to_owned).to_vec()];
        grid.extend(
            table
                .new_fields
                .iter()
                .map(|(field, rows)| vec![escape::message(field), layout::count(*rows), keys(table, field)]),
        );
        out.extend(layout::grid(&grid, &[false, true, false], WIDTH).into_iter().map(|it| format!("  {it}")));
    }
    out.iter().map(|it| format!("{}\n", it.trim_end())).collect()
}

/// The keys of some rows that lack a field.
fn keys(table: &TableFields, field: &str) -> String {
    let lack = table.records.iter().filter(|it| it.new_fields.iter().any(|it| it == field));
    let key = |it: &Record| {
        let members = it.key.as_object().into_iter().flatten().map(|it| match it.1 {
            Value::String(it) => it.clone(),
            other => other.to_string(),
        });
        escape::message(&members.collect::<Vec<_>>().join(","))
    };
    lack.take(KEYS).map(key).collect::<Vec<_>>().join(" ")
}
