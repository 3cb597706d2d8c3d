//! Files of backups: what they hold, and how a draft gets its name.

use crate::{
    disk::{failed, sync},
    error::{Error, Kind, Result},
};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::Path,
};
use tempfile::TempDir;

/// Opens a file that is one, and no link to another; its length.
pub(super) fn plain(path: &Path) -> io::Result<(File, u64)> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok((File::open(path)?, about.len()))
}

/// The length and BLAKE3 of a file.
pub(super) fn hash(path: &Path) -> Result<(u64, String)> {
    let failed = |it: io::Error| failed(path, "cannot be read", &it);
    let (mut file, _) = plain(path).map_err(failed)?;
    let (mut hasher, mut bytes, mut buffer) = (blake3::Hasher::new(), 0, vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex(&hasher))),
            Ok(length) => {
                hasher.update(buffer.get(..length).unwrap_or_default());
                bytes += length as u64;
            }
            Err(it) if it.kind() == ErrorKind::Interrupted => {}
            Err(it) => return Err(failed(it)),
        }
    }
}

fn hex(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex().as_str().to_owned()
}

/// The names in a folder, in order.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |it: io::Error| failed(folder, "cannot be read", &it);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let name = |it: io::Result<fs::DirEntry>| Ok(it?.file_name().to_string_lossy().into_owned());
    let mut names = entries.map(name).collect::<io::Result<Vec<String>>>().map_err(failed)?;
    names.sort();
    Ok(names)
}

/// Gives a file of a draft the first of `names` that is free, and waits until that is on the disk.
pub(super) fn settle_file(draft: &Path, parent: &Path, names: impl Iterator<Item = String>) -> Result<String> {
    let kept = tempfile::TempPath::try_from_path(draft);
    let mut draft = kept.map_err(|it| failed(draft, "cannot be found", &it))?;
    for name in names {
        let path = parent.join(&name);
        match draft.persist_noclobber(&path) {
            Ok(()) => {
                sync(parent)?;
                return Ok(name);
            }
            Err(it) if it.error.kind() == ErrorKind::AlreadyExists => draft = it.path,
            Err(it) => return Err(failed(&path, "cannot put it there", &it.error)),
        }
    }
    Err(Error::new(Kind::File, format_args!("{}: no name is free", parent.display())))
}

/// Gives a draft the first of `names` that is free, and waits until that is on the disk.
pub(super) fn settle(draft: TempDir, parent: &Path, mut names: impl Iterator<Item = String>) -> Result<String> {
    sync(draft.path())?;
    let name = loop {
        let Some(name) = names.next() else {
            return Err(Error::new(Kind::File, format_args!("{}: no name is free", parent.display())));
        };
        let path = parent.join(&name);
        // An empty folder would be replaced, and is somebody's too.
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match fs::rename(draft.path(), &path) {
            Ok(()) => break name,
            Err(it) if matches!(it.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty) => {}
            Err(it) => return Err(failed(&path, "cannot put it there", &it)),
        }
    };
    // The draft has got its name, so there is nothing left to remove.
    let _ = draft.keep();
    sync(parent)?;
    Ok(name)
}
