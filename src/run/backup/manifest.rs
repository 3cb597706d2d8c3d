//! `backup.json`: what a backup says about itself.

use super::seal;
use crate::{
    error::{Error, Kind, Result},
    snapshot::Store,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fmt,
    io::{ErrorKind, Read},
    path::Path,
};

/// The version that is written, and the only one so far that is read.
pub const FORMAT: &str = "cutover-backup/1";

/// The name of the file.
pub(super) const NAME: &str = "backup.json";

/// How long it may be.
const LENGTH_MAX: u64 = 64 << 20;

/// The whole of `backup.json`. Nothing in it comes from a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub(super) format: String,
    /// The instant at which it was begun, in RFC 3339.
    pub created: String,
    /// The version of this tool.
    pub tool: String,
    /// What it was made for: `by hand`, `before migrate run …`.
    pub why: String,
    /// The store that it holds the rows of.
    pub store: Store,
    /// What tells that store from every other one.
    pub fingerprint: String,
    /// The plan that the store is one of, if there is one.
    pub plan: Option<PlanFile>,
    /// How it was checked before it counted.
    pub checked: Checked,
    /// The tables, in the order in which they were captured.
    pub tables: Vec<TableRows>,
    /// The checksum of the snapshot.
    pub snapshot: String,
    /// How its files are sealed, if they are.
    pub sealed: Option<Sealed>,
    /// Every file of the snapshot.
    pub files: Vec<File>,
    /// BLAKE3 of this file as it would be with an empty checksum.
    pub(super) checksum: String,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// Where it was.
    pub path: String,
    /// BLAKE3 of its text.
    pub hash: String,
}

/// How a backup was checked before it counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// It was read back, and its checksums were right.
    ReadBack,
    /// It was read back and compared with the store, row by row.
    Compared,
}

/// How many rows of a table there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRows {
    /// The table.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Why they may not be all of its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// How files are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The format of the files.
    pub format: String,
    /// What opens them: `passphrase` or `key file`.
    pub by: String,
    /// What binds this file to the secret, as [`seal`] says.
    pub(super) proof: String,
}

/// A file below `snapshot/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// Its BLAKE3, in hexadecimal.
    pub blake3: String,
}

/// All that has to be understood of a manifest of any version.
#[derive(Deserialize)]
struct Version {
    format: String,
}

impl Manifest {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|it| it.rows).sum()
    }

    /// The text of the file, with the right proof and checksum.
    ///
    /// # Errors
    /// If it is too long to be read again.
    pub(super) fn finish(&mut self, keys: Option<&seal::Keys>) -> Result<String> {
        let proof = keys.map(|it| self.unproved().map(|text| it.proof(&text))).transpose()?;
        if let (Some(sealed), Some(proof)) = (&mut self.sealed, proof) {
            sealed.proof = proof;
        }
        self.checksum = self.digest()?;
        let text = self.text()?;
        match text.len() as u64 > LENGTH_MAX {
            true => Err(Error::new(Kind::Limit, format_args!("{NAME} would be longer than {LENGTH_MAX} bytes"))),
            false => Ok(text),
        }
    }

    /// Reads the one in `folder`, and accepts only what [`Manifest::finish`] writes.
    ///
    /// # Errors
    /// If it is anything else.
    pub(super) fn open(folder: &Path) -> Result<Manifest> {
        let path = folder.join(NAME);
        let text = text(&path)?;
        let version: Version = serde_json::from_str(&text).map_err(|it| damaged(&path, it))?;
        if version.format != FORMAT {
            let message = format_args!("its format is {:?}, this cutover reads `{FORMAT}`", version.format);
            return Err(Error::new(Kind::Snapshot, format_args!("{}: {message}", path.display())));
        }
        let manifest: Manifest = serde_json::from_str(&text).map_err(|it| damaged(&path, it))?;
        if manifest.digest()? != manifest.checksum || manifest.text()? != text {
            return Err(damaged(&path, "its checksum is wrong"));
        }
        let mut names = HashSet::new();
        let plain = |it: &str| it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
        let strange = |it: &&File| !plain(&it.name) || it.name.starts_with('.') || !names.insert(it.name.clone());
        match manifest.files.iter().find(strange) {
            Some(it) => Err(damaged(&path, format_args!("{:?} cannot be one of its files", it.name))),
            None => Ok(manifest),
        }
    }

    /// Checks what only who has the secret could have written.
    ///
    /// # Errors
    /// If somebody else did.
    pub(super) fn check_proof(&self, folder: &Path, keys: &seal::Keys) -> Result<()> {
        let proof = keys.proof(&self.unproved()?);
        match self.sealed.as_ref().is_some_and(|it| it.proof == proof) {
            true => Ok(()),
            false => Err(damaged(&folder.join(NAME), "it was not written by who sealed the files")),
        }
    }

    fn unproved(&self) -> Result<String> {
        let mut open = Manifest { checksum: String::new(), ..self.clone() };
        if let Some(sealed) = &mut open.sealed {
            sealed.proof.clear();
        }
        open.text()
    }

    fn digest(&self) -> Result<String> {
        let open = Manifest { checksum: String::new(), ..self.clone() };
        Ok(blake3::hash(open.text()?.as_bytes()).to_hex().as_str().to_owned())
    }

    fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|it| it + "\n").map_err(|it| Error::new(Kind::Broken, format_args!("{NAME}: {it}")))
    }
}

fn text(path: &Path) -> Result<String> {
    let (mut file, length) = super::files::plain(path).map_err(|it| match it.kind() {
        ErrorKind::NotFound => damaged(path, "it is gone"),
        _ => damaged(path, it),
    })?;
    if length > LENGTH_MAX {
        return Err(damaged(path, format_args!("longer than {LENGTH_MAX} bytes")));
    }
    let mut text = String::new();
    let read = file.by_ref().take(LENGTH_MAX).read_to_string(&mut text);
    read.map_err(|it| damaged(path, it))?;
    Ok(text)
}

/// What is there is not what was written.
#[cold]
pub(super) fn damaged(path: &Path, what: impl fmt::Display) -> Error {
    Error::new(Kind::Snapshot, format_args!("{}: {what}; this backup is damaged: take another one", path.display()))
}
