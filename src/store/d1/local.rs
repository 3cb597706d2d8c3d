//! The database that `wrangler dev` keeps of D1 on this machine: a SQLite file, read as any other, also while it runs.

use crate::{
    error::Result,
    store::{
        Options,
        sqlite::Sqlite,
        wrangler::{self, Product},
    },
};
use std::path::Path;

/// Opens the database that the setting `database` or `id` calls, by its binding, its name or its id; without one, the only one
/// that is kept. `path` is the folder of a project, its `.wrangler/state`, or what `--persist-to` named.
///
/// # Errors
/// If nothing is kept there, it is not clear which one is meant, or it cannot be read.
pub fn open(path: &Path, options: &Options) -> Result<Sqlite> {
    let name = options.settings.text("database").or_else(|| options.settings.text("id"));
    Sqlite::open(&wrangler::find(path, Product::D1, name)?.file, options.views)
}
