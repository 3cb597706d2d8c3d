//! Backups: a snapshot of a store beside a manifest, that counts only after it was read back.
//!
//! A backup is a folder whose name is its id: the instant in UTC at which it was begun, `2026-01-18T09-30-00Z`, with `-2`
//! and so on behind it where that was taken.
//!
//! | there | what |
//! |---|---|
//! | `backup.json` | the [`Manifest`], format `cutover-backup/1`, which is itself checksummed |
//! | `snapshot/` | the [snapshot], a store like any other; sealed, each file of it under its name with `.sealed` behind |
//!
//! Nothing in it is masked, as it has to restore everything: so the folder is its owner's alone, and [`seal`] encrypts it
//! where somebody asks for that. It is written under another name, and gets its own when all of it is on the disk. Other
//! names in the folder of backups begin with a dot: what a run left behind that was killed.

pub mod export;
pub(super) mod check;
mod files;
mod manifest;
mod part;
pub mod seal;
mod shelf;

pub use check::{Backup, open, verify};
pub use manifest::{Checked, FORMAT, File, Manifest, PlanFile, Sealed, TableRows};
pub use part::Part;
pub use shelf::{Entry, Pruned, list, prune};

use super::{
    Run,
    capture::{Masks, capture},
};
use crate::{
    disk,
    error::{Error, Kind, Result},
    snapshot::{self, Meta, Store},
    store::Source,
};
use jiff::Timestamp;
use seal::{Keys, Secret};
use std::path::{Path, PathBuf};

/// The folder of the snapshot in that of a backup.
const SNAPSHOT: &str = "snapshot";

/// What the name of a backup begins with while it is written.
const DRAFT: &str = ".draft-";

/// What a backup is made of.
#[derive(Debug)]
pub struct Request<'r> {
    /// What the store is called.
    pub store: Store,
    /// What tells that store from every other one.
    pub fingerprint: String,
    /// The plan that the store is one of.
    pub plan: Option<PlanFile>,
    /// What it is made for.
    pub why: String,
    /// What time it is.
    pub now: Timestamp,
    /// How to check it.
    pub check: Checked,
    /// What to seal it with.
    pub secret: Option<&'r Secret>,
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
}

/// Makes sure that there are a folder `folder`, which is called `.cutover` and which git does not see, and one for backups
/// in it, which comes back.
///
/// # Errors
/// If they cannot be made.
pub fn ensure(folder: &Path) -> Result<PathBuf> {
    disk::folder(folder)?;
    disk::ignored(folder)?;
    let home = folder.join("backups");
    disk::folder(&home)?;
    Ok(home)
}

/// Makes sure that there is the folder `home` for backups that somebody chose. Git does not see what is in a new one.
///
/// # Errors
/// If it cannot be made.
pub fn ensure_chosen(home: &Path) -> Result<()> {
    if disk::folder(home)? {
        disk::ignored(home)?;
    }
    Ok(())
}

/// Makes a backup of every table of `store` in the folder `home`.
///
/// # Errors
/// If the store fails or changes meanwhile, a table cannot be read, what was written does not read back as what the store
/// holds, or the disk fails. Nothing is left then.
pub fn create(run: &Run, home: &Path, store: &mut dyn Source, request: Request<'_>) -> Result<Created> {
    let Request { store: name, fingerprint, plan, why, now, check, secret } = request;
    let stem = id(now);
    let draft = disk::draft(home, &format!("{DRAFT}{stem}-"))?;
    let to = draft.path().join(SNAPSHOT);
    // What is to be sealed is not written where backups are kept.
    let plain = secret.map(|_| disk::draft(&run.scratch, ".cutover-")).transpose()?;
    let from = plain.as_ref().map_or_else(|| to.clone(), |it| it.path().join(SNAPSHOT));
    let created = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let meta = Meta { store: name.clone(), captured: created.clone(), notes: Vec::new() };
    if check == Checked::Compared {
        check::expect(run, store)?;
    }
    capture(run, store, &from, meta, snapshot::Options::default(), &Masks::default())?;
    let reader = snapshot::Reader::open(&from)?;
    let tables = check::counted(run, &reader)?;
    if check == Checked::Compared {
        check::same(run, &reader, store)?;
    }
    let keys = secret.map(Keys::fresh).transpose()?;
    let files = match &keys {
        Some(keys) => sealed(keys, &from, &to)?,
        None => listed(&from)?,
    };
    let by = |it: &Secret| Sealed { format: seal::FORMAT.to_owned(), by: it.kind().to_owned(), proof: String::new() };
    let mut manifest = Manifest {
        format: FORMAT.to_owned(),
        created,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        why,
        store: name,
        fingerprint,
        plan,
        checked: check,
        tables,
        snapshot: reader.checksum().to_owned(),
        sealed: secret.map(by),
        files,
        checksum: String::new(),
    };
    let text = manifest.finish(keys.as_ref())?;
    disk::replace(&draft.path().join(manifest::NAME), text.as_bytes())?;
    let id = files::settle(draft, home, ids(&stem))?;
    if let Some(plain) = plain {
        let path = plain.path().to_owned();
        plain.close().map_err(|it| disk::failed(&path, "cannot remove what was not sealed", &it))?;
    }
    Ok(Created { folder: home.join(&id), id, manifest })
}

/// The files of a snapshot.
fn listed(folder: &Path) -> Result<Vec<File>> {
    let file = |name: String| {
        let (bytes, blake3) = files::hash(&folder.join(&name))?;
        Ok(File { name, bytes, blake3 })
    };
    files::names(folder)?.into_iter().map(file).collect()
}

/// Seals the files of one folder into another one, and reads each of them back.
fn sealed(keys: &Keys, from: &Path, to: &Path) -> Result<Vec<File>> {
    disk::folder(to)?;
    let open = |path: &Path| files::plain(path).map_err(|it| disk::failed(path, "cannot be read", &it));
    let file = |name: String| {
        let plain = from.join(&name);
        let name = name + seal::SUFFIX;
        let path = to.join(&name);
        let mut output = disk::Output::create(path.clone())?;
        keys.seal(&mut open(&plain)?.0, &mut output).map_err(|it| it.context(path.display()))?;
        let (bytes, blake3) = output.close()?;
        let mut again = blake3::Hasher::new();
        keys.unseal(&path, &mut open(&path)?.0, &mut again)?;
        if again.finalize().to_hex().as_str() != files::hash(&plain)?.1 {
            return Err(manifest::damaged(&path, "it does not read back as it was written"));
        }
        Ok(File { name, bytes, blake3 })
    };
    let files = files::names(from)?.into_iter().map(file).collect::<Result<_>>()?;
    disk::sync(to)?;
    Ok(files)
}

/// The id of what is begun at that time, unless it is taken.
fn id(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

/// What is tried in turn where an id is taken.
fn ids(stem: &str) -> impl Iterator<Item = String> {
    let more = (2_u32..10_000).map(move |it| format!("{stem}-{it}"));
    std::iter::once(stem.to_owned()).chain(more)
}

/// When the backup with that id was begun, and how many others at the same time were before it.
fn instant(id: &str) -> Option<(Timestamp, u32)> {
    let (stem, number) = match id.split_once("Z-") {
        Some((stem, number)) => (format!("{stem}Z"), number.parse().ok().filter(|it| *it > 1)?),
        None => (id.to_owned(), 1),
    };
    let time = jiff::civil::DateTime::strptime("%Y-%m-%dT%H-%M-%SZ", &stem).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    // Only what is written in the one way is an id, and so never a path.
    let again = self::id(time);
    let again = if number == 1 { again } else { format!("{again}-{number}") };
    (again == id).then_some((time, number))
}

/// The folder of the backup with that id.
fn folder(home: &Path, id: &str) -> Result<PathBuf> {
    let unknown =
        |what: &str| Error::new(Kind::Usage, format_args!("{what}; `cutover backup list` shows those there are"));
    if instant(id).is_none() {
        return Err(unknown(&format!("{id:?} is no id of a backup")));
    }
    let folder = home.join(id);
    match std::fs::symlink_metadata(&folder) {
        Ok(it) if it.is_dir() => Ok(folder),
        _ => Err(unknown(&format!("there is no backup {id} in {}", home.display()))),
    }
}

#[cfg(test)]
mod tests;
