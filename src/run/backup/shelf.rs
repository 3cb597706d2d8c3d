//! The folder of backups: which there are, and which have been kept for long enough.

use super::{DRAFT, Manifest, check, files, instant, manifest};
use crate::{
    disk,
    error::{Error, Kind, Result},
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeSet, fs, io::ErrorKind, path::Path};

/// What the name of a backup begins with while it is removed.
const REMOVED: &str = ".removed-";

/// One backup of a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub created: Timestamp,
    /// Bytes of all its files.
    pub bytes: u64,
    /// What it says about itself, if that can be read.
    pub manifest: Option<Manifest>,
    /// Why it cannot be whole, as far as that shows without reading its rows.
    pub fault: Option<String>,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// Backups, the newest first.
    pub backups: Vec<Entry>,
    /// Other names: what was left by runs that were killed.
    pub left: Vec<String>,
    /// How many backups stay.
    pub kept: usize,
}

/// The backups in the folder `home`, the newest first. None if there is no such folder.
///
/// # Errors
/// If the folder cannot be read.
pub fn list(home: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for name in names(home)? {
        let Some((created, number)) = instant(&name) else { continue };
        let folder = home.join(&name);
        if !fs::symlink_metadata(&folder).is_ok_and(|it| it.is_dir()) {
            continue;
        }
        let (manifest, fault) = match Manifest::open(&folder) {
            Ok(it) => {
                let fault = check::check_names(&folder, &it).err().map(|it| it.to_string());
                (Some(it), fault)
            }
            Err(it) => (None, Some(it.to_string())),
        };
        found.push((number, Entry { id: name, created, bytes: size(&folder), manifest, fault }));
    }
    found.sort_by_key(|it| std::cmp::Reverse((it.1.created, it.0)));
    Ok(found.into_iter().map(|it| it.1).collect())
}

/// Removes what is older than `days` at the time `now`, but never the newest backup of a store that is whole, and what was
/// left a day ago or earlier by runs that were killed. With `dry_run` it only says what that is.
///
/// # Errors
/// If something cannot be removed.
pub fn prune(home: &Path, days: u32, now: Timestamp, dry_run: bool) -> Result<Pruned> {
    let before = |days: u32| now - SignedDuration::from_hours(24 * i64::from(days));
    let (limit, mut pruned, mut newest) = (before(days), Pruned::default(), BTreeSet::new());
    for entry in list(home)? {
        let whole = entry.manifest.as_ref().filter(|_| entry.fault.is_none());
        let first = whole.is_some_and(|it| newest.insert((it.store.kind.clone(), it.fingerprint.clone())));
        // Without a manifest it may be anything: that is for people to look at.
        let ours = home.join(&entry.id).join(manifest::NAME).is_file();
        if first || !ours || entry.created > limit {
            pruned.kept += 1;
        } else {
            pruned.backups.push(entry);
        }
    }
    for name in names(home)? {
        let stem = name.strip_prefix(DRAFT).or_else(|| name.strip_prefix(REMOVED));
        let time = stem.and_then(|it| it.split_once('Z')).and_then(|it| instant(&format!("{}Z", it.0)));
        if time.is_some_and(|it| it.0 <= before(1)) {
            pruned.left.push(name);
        }
    }
    if !dry_run {
        for entry in &pruned.backups {
            let aside = home.join(format!("{REMOVED}{}", entry.id));
            // What is removed half is no backup any more.
            let moved = fs::rename(home.join(&entry.id), &aside);
            moved.map_err(|it| disk::failed(&home.join(&entry.id), "cannot remove", &it))?;
            disk::sync(home)?;
            remove(&aside)?;
        }
        for name in &pruned.left {
            remove(&home.join(name))?;
        }
    }
    Ok(pruned)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(|it| disk::failed(path, "cannot remove", &it))
}

fn names(home: &Path) -> Result<Vec<String>> {
    match fs::metadata(home) {
        Err(it) if it.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Ok(it) if !it.is_dir() => Err(Error::new(Kind::File, format_args!("{}: not a folder", home.display()))),
        _ => files::names(home),
    }
}

fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|it| match it.metadata() {
        Ok(about) if about.is_dir() => size(&it.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
