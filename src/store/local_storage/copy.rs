//! A private copy of files that a browser may be writing to.

use crate::error::{Error, Kind, Result};
use std::{
    fmt,
    fs::{self, Permissions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// How often a copy is made until nothing was written meanwhile.
const ATTEMPTS: u32 = 10;
/// How long to wait for a write to end.
const PAUSE: Duration = Duration::from_millis(50);

/// What tells a file from itself after a write.
type State = (PathBuf, u64, u64, Option<SystemTime>);

/// Copies the files that `list` gives, in its order, into a folder that only this user can look into, and that goes away with
/// the value. Files that are written to meanwhile are copied again.
///
/// # Errors
/// If they cannot be read, or somebody does not stop to write.
pub(super) fn copy(about: &Path, list: &dyn Fn() -> io::Result<Vec<PathBuf>>) -> Result<TempDir> {
    let failed = |it: &dyn fmt::Display| {
        Error::new(Kind::Store, format_args!("{}: cannot be copied to be read: {it}", about.display()))
    };
    let mut private = tempfile::Builder::new();
    private.prefix("cutover-").permissions(Permissions::from_mode(0o700));
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        let folder = private.tempdir().map_err(|it| failed(&it))?;
        let before = list().and_then(|it| states(&it)).map_err(|it| failed(&it))?;
        match copied(&before, folder.path()).and_then(|()| states(&list()?)) {
            Ok(after) if after == before => return Ok(folder),
            Err(it) if it.kind() != io::ErrorKind::NotFound => return Err(failed(&it)),
            _ => {}
        }
    }
    Err(failed(&"it is being written to; close the browser and run again"))
}

fn copied(files: &[State], folder: &Path) -> io::Result<()> {
    for (path, _, size, _) in files {
        let to = folder.join(path.file_name().unwrap_or_default());
        let mut to = fs::OpenOptions::new().write(true).create_new(true).open(to)?;
        io::copy(&mut fs::File::open(path)?.take(*size), &mut to)?;
    }
    Ok(())
}

fn states(files: &[PathBuf]) -> io::Result<Vec<State>> {
    let state = |path: &PathBuf| {
        let about = fs::metadata(path)?;
        if !about.is_file() {
            return Err(io::Error::other(format!("{}: this is no file", path.display())));
        }
        Ok((path.clone(), about.ino(), about.len(), about.modified().ok()))
    };
    files.iter().map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_copy_is_of_one_moment_and_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        let check = |writes: u32, expect: Option<&str>| {
            fs::write(&path, "0").unwrap();
            let looked = Cell::new(0_u32);
            let copy = copy(home.path(), &|| {
                // Each copy is looked at twice. Between the looks somebody writes.
                looked.set(looked.get() + 1);
                if looked.get().is_multiple_of(2) && looked.get() / 2 <= writes {
                    fs::write(&path, "0".repeat(1 + looked.get() as usize / 2)).unwrap();
                }
                Ok(vec![path.clone()])
            });
            match (copy, expect) {
                (Ok(copy), Some(expect)) => {
                    assert_eq!(fs::read_to_string(copy.path().join("log")).unwrap(), expect);
                    assert_eq!(fs::metadata(copy.path()).unwrap().mode() & 0o777, 0o700);
                    let folder = copy.path().to_owned();
                    drop(copy);
                    assert!(!folder.exists());
                }
                (Err(it), None) => assert!(it.to_string().contains("it is being written to"), "{it}"),
                (it, expect) => panic!("{it:?}, not {expect:?}"),
            }
        };
        check(0, Some("0"));
        check(2, Some("000"));
        check(ATTEMPTS, None);
        let gone = copy(home.path(), &|| Ok(vec![home.path().join("gone")]));
        assert!(gone.unwrap_err().to_string().contains("cannot be copied"));
        // Such a file would never end.
        let endless = home.path().join("000003.log");
        std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
        let endless = copy(home.path(), &|| Ok(vec![endless.clone()]));
        assert!(endless.unwrap_err().to_string().contains("this is no file"));
    }
}
