//! Files and folders that only their owner may read, on the disk before anybody is told that they are there.

use crate::error::{Error, Kind, Result};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::Path,
};
use tempfile::TempDir;

/// A file that knows what has been written to it.
pub(super) struct Output {
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Output {
    /// Makes a file that was not there.
    pub(super) fn create(path: &Path) -> Result<Output> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|it| failed(path, "cannot create", &it))?;
        Ok(Output { file, hasher: blake3::Hasher::new(), bytes: 0 })
    }

    /// Waits until the file is on the disk; its length and BLAKE3.
    pub(super) fn close(self, path: &Path) -> Result<(u64, String)> {
        self.file.sync_all().map_err(|it| failed(path, "cannot write to the disk", &it))?;
        Ok((self.bytes, hex(&self.hasher)))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..length).unwrap_or_default());
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a whole file.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(u64, String)> {
    let mut output = Output::create(path)?;
    output.write_all(text).map_err(|it| failed(path, "cannot write", &it))?;
    output.close(path)
}

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

/// Makes a private folder and those above it; one that is there stays as it is. Whether it was made.
pub(super) fn folder(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|it| failed(path, "cannot make the folder", &it))?;
    Ok(true)
}

/// Keeps what is in `folder` out of a repository.
pub(super) fn ignored(folder: &Path) -> Result<()> {
    let path = folder.join(".gitignore");
    match fs::symlink_metadata(&path) {
        Ok(_) => Ok(()),
        Err(_) => fs::write(&path, "*\n").map_err(|it| failed(&path, "cannot write", &it)),
    }
}

/// A private folder that is removed when it is dropped.
pub(super) fn draft(parent: &Path, prefix: &str) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir_in(parent).map_err(|it| failed(parent, "cannot make a folder in it", &it))
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

/// Makes sure that the names in a folder are on the disk. Only Unix can ask for that.
pub(super) fn sync(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|it| it.sync_all());
        synced.map_err(|it| failed(folder, "cannot write to the disk", &it))?;
    }
    Ok(())
}

#[cold]
pub(super) fn failed(path: &Path, what: impl fmt::Display, error: &io::Error) -> Error {
    Error::new(Kind::File, format_args!("{}: {what}: {error}", path.display()))
}
