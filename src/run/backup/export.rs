//! Backups as plain JSON: an [`Export`] under a name with the time, as the guides have it.
//!
//! A store that is one table of keys and values becomes one file, an object, as the read interface of Edge Config answers:
//! `edge-config-backup-2026-01-18T09-30-00.json`. Any other one becomes a folder of that name with a file for each table, an
//! array of objects. The store is read once more, and compared with what was captured.

use super::{DRAFT, check, files, id};
use crate::{
    disk,
    error::Result,
    run::{
        Run,
        capture::Masks,
        export::{Export, Format},
    },
    snapshot::{Meta, Store},
    store::Source,
};
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// What was written.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file, or the folder of files.
    pub path: PathBuf,
    /// The rows of each table.
    pub tables: Vec<super::TableRows>,
}

/// Writes every table of `store` as JSON into the folder `home`.
///
/// # Errors
/// If the store fails or changes meanwhile, JSON cannot hold what it does, or the disk fails. Nothing is left then.
pub fn export(run: &Run, home: &Path, store: &mut dyn Source, name: &Store, now: Timestamp) -> Result<Exported> {
    let meta = Meta { store: name.clone(), captured: now.to_string(), notes: Vec::new() };
    check::expect(run, store)?;
    let export = Export::capture(run, store, meta, &[], Format::Json, &Masks::default())?;
    export.prove(store)?;
    let stem = format!("{}-backup-{}", name.kind, now.strftime("%Y-%m-%dT%H-%M-%S"));
    let draft = disk::draft(home, &format!("{DRAFT}{}-", id(now)))?;
    let ending = if export.is_document() { ".json" } else { "" };
    let names = (1_u32..10_000).map(|it| match it {
        1 => format!("{stem}{ending}"),
        it => format!("{stem}-{it}{ending}"),
    });
    let name = if export.is_document() {
        let path = draft.path().join("export.json");
        export.file(&path)?;
        files::settle_file(&path, home, names)?
    } else {
        export.folder(draft.path())?;
        files::settle(draft, home, names)?
    };
    Ok(Exported { path: home.join(name), tables: export.tables.clone() })
}
