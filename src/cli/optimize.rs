//! `optimize`: what to write under `[migrate]`, from what was measured and what is known.

use super::{
    args::{Asking, Cli, Format, Means},
    connection::document_text,
    environment, exit, inspect, options, output, progress, stores, usage,
};
use crate::{
    disk,
    error::{Error, Kind, Result},
    plan::Plan,
    report::{escape, layout},
    run::{
        Run, Watch,
        optimize::{self, Read, Write},
        prepare,
    },
    schema::Table,
    store::{
        self,
        pace::Cost,
        target::{self, Room, Target, Work},
    },
};
use clap::Args;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-optimize/1";

/// The kinds of target of which a scratch file can be made, and the kind and the name of that file.
const SCRATCH: [(&str, &str, &str); 5] = [
    ("sqlite", "sqlite", "probe.sqlite"),
    ("d1-local", "sqlite", "probe.sqlite"),
    ("json", "json", "probe.json"),
    ("ndjson", "ndjson", "probe.ndjson"),
    ("csv", "csv", "probe.csv"),
];

/// `cutover optimize`.
#[derive(Debug, Args)]
pub(super) struct Optimize {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// Rows of each source table to read, at least 1; some more, as a store hands over whole batches.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Also measure writing, where the target is a file: into a scratch file beside it, which is removed afterwards. For each
    /// size of batches that is tried, up to 16 MiB of rows are written.
    #[arg(long)]
    probe_writes: bool,
    #[command(flatten)]
    asking: Asking,
    /// How to write it. As JSON it has the format `cutover-optimize/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: Format,
}

/// What was measured, what is known, and what comes of it.
struct Found {
    kind: String,
    reads: Vec<Read>,
    /// Whether several tables of the source can be read side by side.
    side_by_side: bool,
    writes: Vec<Write>,
    /// Why writing was not measured.
    unmeasured: Option<String>,
    /// What the target takes, the narrowest of its tables.
    room: Option<Room>,
    /// What it costs to write all rows, where the target is asked by requests.
    cost: Option<Cost>,
    /// Why the target did not say what it takes.
    silent: Option<String>,
    batch_size: Option<usize>,
    threads: usize,
}

pub(super) fn run(args: &Optimize, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, _) = stores::read_plan(&args.plan, colour)?;
    let options = options::store(&args.asking);
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = options::run(&Means { memory: 64 << 20, asking: args.asking }, watch);
    let mut found = Found::new(&plan.target.kind, run.threads);
    found.read(&run, &plan, &options, args.rows)?;
    found.write(&run, &plan, &options, args.probe_writes)?;
    found.conclude(&plan, &options);
    let out = match args.format {
        Format::Json => document_text(&found.json())?,
        Format::Text => found.text(),
    };
    output::print(out.as_bytes())?;
    Ok(exit::PASS)
}

impl Found {
    fn new(kind: &str, threads: usize) -> Found {
        Found {
            kind: kind.to_owned(),
            reads: Vec::new(),
            side_by_side: false,
            writes: Vec::new(),
            unmeasured: None,
            room: None,
            cost: None,
            silent: None,
            batch_size: None,
            threads,
        }
    }

    /// Measures how the source is read.
    fn read(&mut self, run: &Run, plan: &Plan, options: &store::Options, most: u64) -> Result<()> {
        let mut source = stores::of_plan(plan, &plan.source, options).map_err(|it| it.context("the source"))?.store;
        let tables = source.tables()?;
        let names = prepare::read_tables(plan, &tables);
        for table in tables.iter().filter(|it| names.contains(&it.name) && it.unreadable.is_none()) {
            self.reads.push(optimize::read(run, source.as_mut(), table, most)?);
        }
        if self.reads.is_empty() {
            return Err(usage(format_args!("{}: the plan reads no table that is there", plan.path)));
        }
        self.side_by_side = source.again()?.is_some();
        Ok(())
    }

    /// Measures how such a target is written, if somebody asks for it.
    fn write(&mut self, run: &Run, plan: &Plan, options: &store::Options, wanted: bool) -> Result<()> {
        let known = SCRATCH.into_iter().find(|it| it.0 == plan.target.kind);
        let path = plan.target.path.as_ref().map(|it| plan.resolve(it));
        let (kind, name, path) = match (known, path) {
            _ if !wanted => {
                self.unmeasured = Some("not asked for; --probe-writes measures it where the target is a file".into());
                return Ok(());
            }
            (Some((_, kind, name)), Some(path)) => (kind, name, path),
            _ => {
                let kind = &plan.target.kind;
                let why = format!("only a target that is a file can have a scratch file beside it, and {kind} is none");
                self.unmeasured = Some(format!("{why}; what follows is what is known of it"));
                return Ok(());
            }
        };
        let scratch = Scratch { folder: disk::draft(disk::parent(&path), ".cutover-probe-")?, made: Cell::new(0) };
        let average = self.reads.iter().map(Read::average).max().unwrap_or(1);
        self.writes = optimize::write(run, &|table| scratch.open(kind, name, options, table), average)?;
        Ok(())
    }

    /// Asks the target what it takes, and says what to do.
    fn conclude(&mut self, plan: &Plan, options: &store::Options) {
        let widest = self.reads.iter().map(Read::average).max().unwrap_or(1);
        match rooms(plan, options) {
            Err(it) => self.silent = Some(it.to_string()),
            Ok(rooms) => {
                self.room = rooms.into_iter().min_by_key(|it| optimize::batch_size(it, widest, &self.writes));
                let size = self.room.map(|it| optimize::batch_size(&it, widest, &self.writes));
                self.batch_size = size;
                let rows = |it: &Read| if it.whole { it.rows } else { it.rows_about.unwrap_or(it.rows) };
                let batches = self.reads.iter().map(|it| rows(it).div_ceil(size.unwrap_or(1) as u64)).sum();
                let cost = target::cost(&self.kind, Work { batches, updates: 0 }, options.rate);
                self.cost = cost.filter(|it| it.requests > 0);
            }
        }
    }

    fn toml(&self) -> Option<String> {
        Some(format!("[migrate]\nbatch_size = {}\n", self.batch_size?))
    }

    fn json(&self) -> Value {
        let read = |it: &Read| {
            json!({
                "table": it.table, "rows": it.rows, "whole": it.whole, "rows_about": it.rows_about,
                "average_row_bytes": it.average(), "seconds": it.seconds,
            })
        };
        let write = |it: &Write| json!({ "batch": it.batch, "rows": it.rows, "seconds": it.seconds, "rows_per_second": it.per_second() });
        let known = self.room.map(|it| {
            let most = |count: usize| (count < usize::MAX).then_some(count);
            json!({ "rows": most(it.rows), "rows_max": most(it.rows_max), "bytes_max": most(it.bytes_max) })
        });
        let cost = self.cost.map(|it| json!({ "requests": it.requests, "seconds_at_least": it.seconds }));
        json!({
            "format": FORMAT, "target": self.kind,
            "measured": {
                "reads": self.reads.iter().map(read).collect::<Vec<_>>(),
                "writes": self.writes.iter().map(write).collect::<Vec<_>>(), "unmeasured": self.unmeasured,
            },
            "known": { "room": known, "cost": cost, "silent": self.silent, "side_by_side": self.side_by_side },
            "proposed": { "batch_size": self.batch_size, "threads": self.threads, "toml": self.toml() },
        })
    }

    fn text(&self) -> String {
        let rate = |rows: u64, seconds: f64| {
            if seconds > 0.0 { layout::count((rows as f64 / seconds) as u64) } else { "-".to_owned() }
        };
        let mut rows = vec![["measured", "rows", "bytes/row", "rows/s"].map(str::to_owned).to_vec()];
        rows.extend(self.reads.iter().map(|it| {
            let (name, counted) = (format!("read {}", it.table), layout::count(it.rows));
            vec![name, counted, layout::count(it.average()), rate(it.rows, it.seconds)]
        }));
        rows.extend(self.writes.iter().map(|it| {
            let name = format!("write {} a batch", layout::count(it.batch as u64));
            vec![name, layout::count(it.rows), "-".to_owned(), rate(it.rows, it.seconds)]
        }));
        let mut out = layout::grid(&rows, &[false, true, true, true], inspect::WIDTH);
        out.extend(self.unmeasured.iter().map(|it| format!("writing was not measured: {it}")));
        if let Some(it) = self.room {
            out.push(format!("known of {}: {}", self.kind, environment::taken(&it)));
        }
        out.extend(self.silent.iter().map(|it| format!("the target does not say what it takes: {it}")));
        out.extend(self.cost.map(|it| {
            let (requests, seconds) = (layout::count(it.requests), it.seconds.ceil());
            format!(
                "known of {}: about {requests} requests, {seconds} s at least at the rate that is allowed",
                self.kind
            )
        }));
        let together = if self.side_by_side {
            "reads tables of the source side by side"
        } else {
            "the source is read by one reader"
        };
        out.push(format!("{} threads: {together}", self.threads));
        let mut text: String = out.iter().map(|it| format!("{}\n", escape::message(it.trim_end()))).collect();
        if let Some(it) = self.toml() {
            text.push_str(&format!("\nput into the plan:\n\n{it}"));
        }
        text
    }
}

/// What the target takes in a batch, for each of its tables that the plan fills. It is only read.
///
/// # Errors
/// If it is not there and has no schema, or nothing can be written to it.
pub(super) fn rooms(plan: &Plan, options: &store::Options) -> Result<Vec<Room>> {
    let mut tables = stores::target_or_schema(plan, options)?.store.tables()?;
    tables.retain(|it| plan.tables.is_empty() || plan.table(&it.name).is_some());
    let kind = &plan.target.kind;
    let rooms: Option<Vec<Room>> = tables.iter().map(|it| target::room(kind, it)).collect();
    rooms.ok_or_else(|| {
        let what = format_args!("a store of the kind `{kind}` cannot be written to; name another target");
        Error::new(Kind::Plan, what)
    })
}

/// A folder of scratch files, gone with it.
struct Scratch {
    folder: tempfile::TempDir,
    made: Cell<u32>,
}

impl Scratch {
    /// A new target of that kind, with that table in it.
    fn open(&self, kind: &str, name: &str, options: &store::Options, table: &Table) -> Result<Box<dyn Target>> {
        self.made.set(self.made.get() + 1);
        let folder = self.folder.path().join(self.made.get().to_string());
        disk::folder(&folder)?;
        let mut target = target::open(kind, Path::new(&folder.join(name)), options)?;
        if kind == "sqlite" {
            let columns = "id INTEGER PRIMARY KEY, value TEXT";
            target.create(&format!("CREATE TABLE {} ({columns});", store::sql::identifier(&table.name)))?;
        }
        Ok(target)
    }
}
