//! `export`: the rows of a store as JSON, lines of JSON, CSV or SQL.

use super::{
    args::{Cli, Means},
    exit, inspect, options, output,
    progress::{self, Progress},
    usage,
};
use crate::{
    disk,
    error::Result,
    report::{escape, layout},
    run::{
        Watch,
        export::{Export, Format},
    },
    snapshot::{Meta, Store},
    store::script::Dialect,
};
use clap::{Args, ValueEnum};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// `cutover export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The store, or `source` or `target` of the plan.
    store: String,
    /// The plan that says where `source` and `target` are.
    #[arg(long, value_name = "PLAN")]
    plan: Option<PathBuf>,
    /// What to write.
    #[arg(long, value_name = "FORMAT")]
    format: Written,
    /// The file to make, or the folder, where there are several tables and the format has a file for each; `-` for standard
    /// output.
    #[arg(long, short, value_name = "FOLDER | FILE")]
    output: PathBuf,
    /// Only this table, and others that are named so.
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    only: Vec<String>,
    /// Whose SQL to write. Postgres for a store that is one, else SQLite.
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<Spoken>,
    /// What stands for NULL in CSV. An empty field, if not said.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// A column whose values shall not be readable, beside those that the plan calls secret. With CUTOVER_MASK_KEY set, each
    /// value becomes a keyed hash.
    #[arg(long, value_name = "TABLE.COLUMN")]
    mask: Vec<String>,
    /// Mask nothing, also what the plan calls secret.
    #[arg(long, conflicts_with = "mask")]
    reveal: bool,
    #[command(flatten)]
    means: Means,
    /// Say nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

/// What `--format` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Written {
    /// An array of objects; an object, where the store is keys and values.
    Json,
    /// An object a line.
    Ndjson,
    /// A header, then a record a row.
    Csv,
    /// Statements that make the tables and fill them.
    Sql,
}

/// What `--dialect` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Spoken {
    /// SQLite, also behind D1.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

pub(super) fn export(args: &ExportArgs, cli: &Cli) -> Result<u8> {
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let mask = (!args.reveal).then_some(args.mask.as_slice());
    let (mut opened, masks) =
        inspect::open_masked(&args.store, (args.plan.as_deref(), &args.only), mask, &args.means.asking, cli)?;
    let format = args.format(&opened.name.kind)?;
    let store = Store { kind: opened.name.kind.clone(), name: opened.name.name.clone() };
    let meta = Meta { store, captured: super::clock::text(), notes: Vec::new() };
    let run = options::run(&args.means, Arc::clone(&watch));
    let progress = Progress::start(&watch, args.quiet);
    let made = Export::capture(&run, opened.store.as_mut(), meta, &args.only, format.clone(), &masks);
    let written =
        made.and_then(|it| write(&it, &args.output, format.extension()).map(|path| (path, it.tables.clone())));
    drop(progress);
    let (path, tables) = written?;
    inspect::say_partial(&tables);
    if !args.quiet {
        opened.store.notes().iter().for_each(|it| output::say(&escape::message(it)));
        let rows = layout::count(tables.iter().map(|it| it.rows).sum());
        let to = path.map(|it| format!(" to {}", it.display())).unwrap_or_default();
        output::say(&format!("exported {rows} rows of {} tables{to}", tables.len()));
        if !masks.columns.is_empty() {
            let names = masks.columns.iter().map(|(table, column)| format!("{table}.{column}"));
            output::say(&format!("masked: {}", names.collect::<Vec<_>>().join(", ")));
        }
    }
    Ok(exit::PASS)
}

impl ExportArgs {
    fn format(&self, kind: &str) -> Result<Format> {
        if self.dialect.is_some() && self.format != Written::Sql {
            return Err(usage("--dialect is about --format sql"));
        }
        if self.null.is_some() && self.format != Written::Csv {
            return Err(usage("--null is about --format csv"));
        }
        Ok(match self.format {
            Written::Json => Format::Json,
            Written::Ndjson => Format::Ndjson,
            Written::Csv => Format::Csv(self.null.clone()),
            Written::Sql => Format::Sql(match self.dialect {
                Some(Spoken::Postgres) => Dialect::Postgres,
                None if kind == "postgres" => Dialect::Postgres,
                _ => Dialect::Sqlite,
            }),
        })
    }
}

/// Writes the export where it is wanted: a draft beside it takes its name once it is whole. Nothing, where it was printed.
fn write(export: &Export<'_>, output: &Path, extension: &str) -> Result<Option<PathBuf>> {
    if output == Path::new("-") {
        if !export.is_one_file() {
            return Err(usage(
                "there are several tables, each a file of its own: name a folder, or a table with --only",
            ));
        }
        let draft = disk::draft(&std::env::temp_dir(), ".cutover-")?;
        let path = draft.path().join(format!("export.{extension}"));
        export.file(&path)?;
        let file = fs::File::open(&path).map_err(|it| disk::failed(&path, "cannot be read", &it))?;
        output::pass(file)?;
        return Ok(None);
    }
    disk::vacant(output)?;
    let parent = disk::parent(output);
    disk::folder(parent)?;
    let draft = disk::draft(parent, ".cutover-")?;
    let placed = |from: &Path| fs::rename(from, output).map_err(|it| disk::failed(output, "cannot put it there", &it));
    if export.is_one_file() {
        let path = draft.path().join(format!("export.{extension}"));
        export.file(&path)?;
        placed(&path)?;
    } else {
        export.folder(draft.path())?;
        placed(draft.path())?;
        // It has got its name, so there is nothing left to remove.
        let _ = draft.keep();
    }
    disk::sync(parent)?;
    Ok(Some(output.to_owned()))
}
