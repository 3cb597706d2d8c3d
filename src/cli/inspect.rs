//! The verbs that compare nothing: capture, show, check, init, schema, completions.

use super::{
    args::{Asking, Capture, CheckPlan, Cli, Format, Init, Show},
    exit, info, options, output, problem,
    progress::{self, Progress},
    stores, usage,
};
use crate::{
    error::{Error, Kind, Result},
    plan,
    plan::{Plan, Policy},
    report::{StoreName, escape, layout},
    run::{
        Watch,
        backup::TableRows,
        capture::{self, Masks},
        checks, init,
        prepare::{self, Opened, Options},
        show,
    },
    schema::Table,
    snapshot,
};
use clap::CommandFactory;
use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

/// How wide a table is shown at most.
pub(super) const WIDTH: usize = 160;

/// Says of which tables the store may hold more rows than were read. Nobody can be spared that.
pub(super) fn say_partial(tables: &[TableRows]) {
    for (table, why) in tables.iter().filter_map(|it| Some((it, it.partial.as_ref()?))) {
        output::say(&escape::message(&format!("`{}` may not be whole: {why}", table.name)));
    }
}

pub(super) fn capture(args: &Capture, cli: &Cli) -> Result<u8> {
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let (mut opened, masks) =
        open_masked(&args.store, (args.plan.as_deref(), &[]), Some(&args.mask), &args.means.asking, cli)?;
    let captured = super::clock::text();
    let StoreName { kind, name } = opened.name;
    let meta = snapshot::Meta { store: snapshot::Store { kind, name }, captured, notes: Vec::new() };
    let how = snapshot::Options { replace: args.replace, ..snapshot::Options::default() };
    let run = options::run(&args.means, Arc::clone(&watch));
    let progress = Progress::start(&watch, args.quiet);
    let rows = capture::capture(&run, opened.store.as_mut(), &args.folder, meta, how, &masks);
    drop(progress);
    let rows = rows?;
    if !args.quiet {
        output::say(&format!("captured {} rows to {}", layout::count(rows), args.folder.display()));
    }
    Ok(exit::PASS)
}

/// Opens a store, or `source` or `target` of a plan, and says what of it is not to be read by others: the plan's secret columns
/// in the tables of `only`, or in all where none is named, and those of `mask`. Without `mask`, nothing is masked.
pub(super) fn open_masked(
    store: &str,
    (plan, only): (Option<&Path>, &[String]),
    mask: Option<&[String]>,
    asking: &Asking,
    cli: &Cli,
) -> Result<(Opened, Masks)> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let options = options::store(asking);
    let mut masks = masks(mask.unwrap_or_default())?;
    let Some(path) = plan else { return Ok((stores::open(store, &options)?, masks)) };
    let (plan, _) = stores::read_plan(path, colour)?;
    let endpoint = match store {
        "source" => &plan.source,
        "target" => &plan.target,
        _ => return Err(usage("with --plan, say `source` or `target` for the store")),
    };
    let mut opened = stores::of_plan(&plan, endpoint, &options)?;
    let wanted = |table: &String| only.is_empty() || only.contains(table);
    match (mask, store) {
        (None, _) => {}
        (_, "source") => {
            let secrets = source_secrets(&plan, &opened.store.tables()?, &masks, &wanted)?;
            masks.columns.extend(secrets);
        }
        _ => {
            let tables = plan.tables.iter().filter(|it| wanted(&it.into));
            let secrets = tables.flat_map(|table| table.secrets().map(|it| (table.into.clone(), it.to_owned())));
            masks.columns.extend(secrets);
        }
    }
    Ok((opened, masks))
}

/// The columns of the `wanted` tables of the source that the plan's secret columns are taken from. What an expression computes
/// may come from any column, so then somebody has to say which.
fn source_secrets(
    plan: &Plan,
    tables: &[Table],
    masks: &Masks,
    wanted: &dyn Fn(&String) -> bool,
) -> Result<Vec<(String, String)>> {
    let mut secrets = Vec::new();
    for Taken { of, from, column } in secret_columns(plan, tables).into_iter().filter(|it| wanted(&it.from)) {
        match column {
            Some(column) => secrets.push((from, column)),
            None if masks.columns.iter().any(|it| it.0 == from) => {}
            None => {
                let message = format!(
                    "`{of}` is secret and computed: say which columns of the source to mask, with --mask {from}.COLUMN"
                );
                return Err(usage(message));
            }
        }
    }
    Ok(secrets)
}

/// A secret column of a plan, and what it is taken from.
pub(super) struct Taken {
    /// The target's `table.column`.
    of: String,
    /// The source's table.
    from: String,
    /// Its column. Nothing: any may be it.
    column: Option<String>,
}

impl Taken {
    /// Whether it may be taken from that column of the source.
    pub(super) fn is_from(&self, table: &str, column: &str) -> bool {
        self.from == table && self.column.as_ref().is_none_or(|it| it.eq_ignore_ascii_case(column))
    }
}

/// The plan's secret columns, and what of the source's `tables` each is taken from.
pub(super) fn secret_columns(plan: &Plan, tables: &[Table]) -> Vec<Taken> {
    let mut secrets = Vec::new();
    for table in &plan.tables {
        let named = || table.from.as_ref().unwrap_or(&table.into);
        let from = prepare::collection(table, tables).map_or_else(named, |it| &it.name);
        for (name, rule) in table.columns.iter().flatten().filter(|it| it.1.secret && it.1.generated.is_none()) {
            let path = rule.from.as_ref().map_or(Some(name.as_str()), |it| it.text.trim().strip_prefix('.'));
            let path = path.map(|it| it.trim_matches('"')).filter(|it| is_plain(it) && table.each.is_none());
            let (of, column) = (format!("{}.{name}", table.into), path.map(str::to_owned));
            secrets.push(Taken { of, from: from.clone(), column });
        }
    }
    secrets
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_')
}

/// The tables and columns that are typed to be masked.
pub(super) fn masked(columns: &[String]) -> Result<BTreeSet<(String, String)>> {
    let split = |text: &String| {
        let split = text.rsplit_once('.').map(|(table, column)| (table.to_owned(), column.to_owned()));
        split.ok_or_else(|| usage(format_args!("--mask {text}: write TABLE.COLUMN")))
    };
    columns.iter().map(split).collect()
}

fn masks(columns: &[String]) -> Result<Masks> {
    let mut masks = Masks { columns: masked(columns)?, key: None };
    #[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
    let key = std::env::var("CUTOVER_MASK_KEY").ok().filter(|it| !it.is_empty());
    masks.key = key.map(|it| blake3::derive_key("cutover 2026 masked columns of snapshots", it.as_bytes()));
    Ok(masks)
}

pub(super) fn show(args: &Show) -> Result<u8> {
    let mut opened = stores::open(&args.store, &options::store(&args.asking))?;
    let store = opened.store.as_mut();
    let Some(name) = &args.table else {
        return info::counted(store, args.format);
    };
    let table = show::table(store, name)?;
    let shown = show::rows(store, &table, &args.key, args.limit)?;
    let mut out = String::new();
    if args.format == Format::Json {
        for row in &shown.rows {
            out.push('{');
            for (place, (column, cell)) in shown.columns.iter().zip(row).enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                let mut name = Vec::new();
                crate::value::json::write_string(column, &mut name);
                escape::json(&String::from_utf8_lossy(&name), &mut out);
                out.push(':');
                escape::json(&cell.json, &mut out);
            }
            out.push_str("}\n");
        }
    } else {
        let mut rows = vec![shown.columns.clone()];
        rows.extend(shown.rows.iter().map(|row| row.iter().map(crate::report::text::cell).collect()));
        let numbers =
            |it: usize| shown.rows.iter().all(|row| matches!(row[it].class, "int" | "decimal" | "real" | "null"));
        let right: Vec<bool> = (0..shown.columns.len()).map(|it| !shown.rows.is_empty() && numbers(it)).collect();
        for line in layout::grid(&rows, &right, WIDTH) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    output::print(out.as_bytes())?;
    if shown.rows.is_empty() && !args.key.is_empty() {
        return Err(usage(format_args!("`{name}` has no row with the key {}", args.key.join(", "))));
    }
    if shown.more {
        output::say(&format!("there are more rows; --limit {} shows more", args.limit.saturating_mul(10)));
    }
    Ok(exit::PASS)
}

pub(super) fn check(args: &CheckPlan, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, text) = stores::read_plan(&args.plan, colour)?;
    let source =
        stores::of_plan(&plan, &plan.source, &options::store(&args.asking)).map_err(|it| it.context("the source"))?;
    let target =
        stores::target_or_schema(&plan, &options::store(&args.asking)).map_err(|it| it.context("the target"))?;
    let mut task = prepare::plan(&plan, source, target, None).map_err(|it| problem(it, &plan, &text, colour))?;
    let faults = checks::faults(&plan, task.source.as_mut(), task.target.as_mut());
    if !faults.is_empty() {
        return Err(stores::refused(&faults, &plan.path, &text, colour));
    }
    // The others are there to follow references only.
    let compared: Vec<_> = task.tables.iter().filter(|it| it.referred.is_none()).collect();
    let mut out = format!("{}: no problems; tables: {}, checks: {}\n", plan.path, compared.len(), plan.checks.len());
    let columns = compared.iter().flat_map(|it| {
        let (comparison, name) = (&it.comparison, &it.comparison.target.name);
        let sided = |names: &[String], side: &str| {
            names.iter().map(|it| format!("{name}.{it} is only in the {side}")).collect::<Vec<_>>()
        };
        [sided(&comparison.source_only, "source"), sided(&comparison.target_only, "target")].concat()
    });
    let doubts = task.tables.iter().flat_map(|it| {
        let target = &it.comparison.target;
        let whys = target.unreadable.iter().chain(&target.partial);
        whys.map(|why| format!("{}: {why}", target.name)).collect::<Vec<_>>()
    });
    let tables = |names: &[String], side: &str| names.iter().map(|it| format!("{it} is only in the {side}")).collect();
    let notes: Vec<String> =
        [task.unchecked.clone(), tables(&task.source_only, "source"), tables(&task.target_only, "target")].concat();
    for note in notes.into_iter().chain(doubts).chain(columns) {
        out.push_str(&format!("  {}\n", escape::message(&note)));
    }
    output::print(out.as_bytes())?;
    Ok(exit::PASS)
}

pub(super) fn init(args: &Init) -> Result<u8> {
    let open = |text: &str, side: &str| {
        let asked = stores::ask(text, &options::store(&args.asking)).map_err(|it| it.context(side))?;
        let store = asked.store.map_err(|it| it.context(side))?;
        Ok((Opened { store, name: asked.name }, asked.settings))
    };
    let (source, mut from) = open(&args.source, "the source")?;
    let (target, mut to) = open(&args.target, "the target")?;
    let task = prepare::diff(source, target, &Options::default(), Policy::default())?;
    let to_stdout = args.output == Path::new("-");
    let folder = args.output.parent().filter(|it| !to_stdout && !it.as_os_str().is_empty());
    // Paths in a plan start from its own folder.
    for (_, path) in from.iter_mut().chain(&mut to).filter(|it| folder.is_some() && it.0 == "path") {
        *path = std::path::absolute(&*path).map_or_else(|_| path.clone(), |it| it.display().to_string());
    }
    let text = init::plan(&task, [&from, &to]);
    if to_stdout {
        output::print(text.as_bytes())?;
        return Ok(exit::PASS);
    }
    let name = args.output.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.output);
    let written = file.and_then(|mut it| it.write_all(text.as_bytes()).and_then(|()| it.sync_all()));
    written.map_err(|it| {
        let there = it.kind() == std::io::ErrorKind::AlreadyExists;
        let hint = if there { "; name another file with --output" } else { "" };
        Error::new(Kind::File, format_args!("cannot write {name}: {it}{hint}"))
    })?;
    output::say(&format!("wrote {name}; now: cutover check {name}"));
    Ok(exit::PASS)
}

pub(super) fn schema() -> Result<u8> {
    let text = serde_json::to_string_pretty(&plan::json_schema()).unwrap_or_default();
    output::print(format!("{text}\n").as_bytes())?;
    Ok(exit::PASS)
}

pub(super) fn completions(shell: clap_complete::Shell) -> Result<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cutover", &mut out);
    output::print(&out)?;
    Ok(exit::PASS)
}
