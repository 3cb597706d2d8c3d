//! The database that `wrangler dev` keeps of D1 on this machine: a SQLite file, read as any other, also while it runs.

use crate::{
    error::{Error, Kind, Result},
    store::{
        Options, Source,
        sqlite::Sqlite,
        wrangler::{self, Product},
    },
};
use std::path::{Path, PathBuf};

/// How many databases an error shows, and how many tables of each.
const SHOWN: usize = 8;

/// Opens the database that the setting `database` or `id` calls, by its binding, its name or its id; without one, the only one
/// that is kept. `path` is the folder of a project, its `.wrangler/state`, or what `--persist-to` named.
///
/// # Errors
/// If nothing is kept there, it is not clear which one is meant, or it cannot be read.
pub fn open(path: &Path, options: &Options) -> Result<Sqlite> {
    Sqlite::open(&file(path, options)?, options.views)
}

/// The file of that database.
///
/// # Errors
/// As [`open`].
pub fn file(path: &Path, options: &Options) -> Result<PathBuf> {
    let name = options.settings.text("database").or_else(|| options.settings.text("id"));
    let kept = wrangler::find(path, Product::D1, name).map_err(|it| with_what_there_is(it, path))?;
    Ok(kept.file)
}

/// The files do not say what they are called, so what they hold has to tell.
#[cold]
fn with_what_there_is(error: Error, path: &Path) -> Error {
    let files = wrangler::files(path, Product::D1);
    if files.is_empty() {
        return error;
    }
    let shown = |file: &PathBuf| {
        let tables = Sqlite::open(file, false).and_then(|mut it| it.tables());
        let names: Vec<String> = tables.iter().flatten().take(SHOWN).map(|it| it.name.clone()).collect();
        let holds = if names.is_empty() { "no tables".to_owned() } else { names.join(", ") };
        let size = std::fs::metadata(file).map_or(0, |it| it.len() / 1024);
        format!("sqlite:{} ({size} KiB: {holds})", file.display())
    };
    let list = files.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join("; ");
    Error::new(Kind::Store, format_args!("{error}; what is there can also be read as {list}"))
}
