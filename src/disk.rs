//! Files and folders that only their owner may read, on the disk before anybody is told that they are there.

use crate::error::{Error, Kind, Result};
use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, PersistError, TempDir};

/// A new file that knows what has been written to it.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let mut file = cutover::disk::Output::create(folder.path().join("a"))?;
/// file.put(b"text")?;
/// assert_eq!(file.close()?.0, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Output {
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Output {
    /// Makes a file that was not there.
    ///
    /// # Errors
    /// If something is, or it cannot be made.
    pub fn create(path: PathBuf) -> Result<Output> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => Ok(Output { path, file, hasher: blake3::Hasher::new(), bytes: 0 }),
            Err(error) => Err(failed(&path, "cannot create", &error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| failed(&self.path, "cannot write", &error))
    }

    /// Waits until the file is on the disk; its length and BLAKE3, in hexadecimal.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn close(self) -> Result<(u64, String)> {
        self.file.sync_all().map_err(|error| failed(&self.path, "cannot write to the disk", &error))?;
        Ok((self.bytes, self.hasher.finalize().to_hex().as_str().to_owned()))
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

/// Writes a file, which takes the place of one that is there, whole or not at all.
///
/// # Errors
/// If the disk fails. What was there is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let fill = |draft: &mut dyn Write| draft.write_all(bytes).map_err(|it| failed(path, "cannot write", &it));
    whole(path, fill, |draft| draft.persist(path))
}

/// Writes a file that was not there, whole or not at all; `fill` writes what is in it.
///
/// # Errors
/// As [`replace`] and as `fill`, and if something is there.
pub fn create_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    whole(path, fill, |draft| draft.persist_noclobber(path))
}

/// Whether nothing is there.
///
/// # Errors
/// If something is, be it a link to nothing.
pub fn vacant(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => {
            let message = format_args!("{} is there already; name another, or remove it", path.display());
            Err(Error::new(Kind::Usage, message))
        }
        Err(_) => Ok(()),
    }
}

fn whole(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    place: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> Result<()> {
    let folder = parent(path);
    let made = NamedTempFile::new_in(folder).map_err(|it| failed(folder, "cannot make a file in it", &it))?;
    let mut out = io::BufWriter::with_capacity(256 << 10, made);
    fill(&mut out)?;
    let draft = out.into_inner().map_err(|it| failed(path, "cannot write", it.error()))?;
    draft.as_file().sync_all().map_err(|it| failed(path, "cannot write to the disk", &it))?;
    place(draft).map_err(|it| failed(path, "cannot put it there", &it.error))?;
    sync(folder)
}

/// Makes a folder that only its owner may look into, and those above it. One that is there stays as it is. Whether it was made.
///
/// # Errors
/// If it cannot be made.
pub fn folder(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map(|()| true).map_err(|it| failed(path, "cannot make the folder", &it))
}

/// The same for a folder of this tool's own: also one that is there is its owner's alone afterwards.
///
/// # Errors
/// If it cannot be made, or something else is there: a link may lead anywhere.
pub fn private(path: &Path) -> Result<()> {
    let cannot = |it: io::Error| failed(path, "cannot be used", &it);
    if fs::symlink_metadata(path).is_ok_and(|it| !it.is_dir()) {
        return Err(cannot(io::Error::other("it is no folder; move it away")));
    }
    folder(path)?;
    let about = fs::symlink_metadata(path).map_err(cannot)?;
    if about.permissions().mode() & 0o777 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(cannot)
}

/// Keeps what is in `folder` out of a repository.
///
/// # Errors
/// If the file that says so cannot be written.
pub fn ignored(folder: &Path) -> Result<()> {
    let path = folder.join(".gitignore");
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut it) => it.write_all(b"*\n").map_err(|it| failed(&path, "cannot write", &it)),
        Err(it) if it.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(it) => Err(failed(&path, "cannot create", &it)),
    }
}

/// A private folder in `parent` that is removed when it is dropped.
///
/// # Errors
/// If it cannot be made.
pub fn draft(parent: &Path, prefix: &str) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).permissions(Permissions::from_mode(0o700));
    builder.tempdir_in(parent).map_err(|error| failed(parent, "cannot make a folder in it", &error))
}

/// The folder that something lies in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."))
}

/// Makes sure that the names in a folder are on the disk.
///
/// # Errors
/// If the disk fails.
pub fn sync(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|it| it.sync_all());
    synced.map_err(|error| failed(folder, "cannot write to the disk", &error))
}

/// What went wrong with a file.
#[cold]
pub fn failed(path: &Path, doing: impl fmt::Display, error: &io::Error) -> Error {
    Error::new(Kind::File, format_args!("{}: {doing}: {error}", path.display()))
}
