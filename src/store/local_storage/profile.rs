//! Where browsers keep local storage, and whether one is running.

use crate::error::{Error, Kind, Result};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// One place where local storage is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// How it is kept there.
    pub(super) format: Format,
    /// A folder of LevelDB, a file, or a folder with one folder for each origin.
    pub(super) path: PathBuf,
}

/// How local storage is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Chromium and its kin: one LevelDB database for all origins.
    LevelDb,
    /// Chromium from 2026 on: one SQLite database for all origins.
    ChromiumSqlite,
    /// Firefox: a SQLite database for each origin.
    Firefox,
    /// What `JSON.stringify(localStorage)` gives in a browser's console: the storage of one origin.
    Dump,
}

impl Format {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::LevelDb => "Chromium (LevelDB)",
            Format::ChromiumSqlite => "Chromium (SQLite)",
            Format::Firefox => "Firefox (SQLite)",
            Format::Dump => "JSON of a console",
        }
    }
}

/// Finds the one place of local storage at `path`: a profile of a browser, something in it, or the folder of all profiles.
///
/// # Errors
/// If there is none, or several.
pub(super) fn find(path: &Path) -> Result<Place> {
    let name = path.display();
    let error = |what: &dyn std::fmt::Display| Error::new(Kind::Store, format_args!("{name}: {what}"));
    let about = fs::metadata(path).map_err(|it| match it.kind() {
        io::ErrorKind::NotFound => error(&"no such file or folder"),
        _ => error(&it),
    })?;
    if about.is_file() {
        let format = format(path).map_err(|it| error(&it))?;
        let wanted = "this file is neither the local storage of a browser nor JSON.stringify(localStorage) of one";
        return Ok(Place { format: format.ok_or_else(|| error(&wanted))?, path: path.to_owned() });
    }
    if !about.is_dir() {
        return Err(error(&"is neither a file nor a folder"));
    }
    let mut places = within(path);
    if places.is_empty() {
        let children = fs::read_dir(path).map_err(|it| error(&it))?.filter_map(Result::ok).map(|it| it.path());
        places = children.filter(|it| it.is_dir()).flat_map(|it| within(&it)).collect();
        places.sort_by(|a, b| a.path.cmp(&b.path));
    }
    match places.as_slice() {
        [place] => Ok(place.clone()),
        [] => {
            Err(error(&"no local storage in this folder; name the profile of a browser, which its about: pages show"))
        }
        several => {
            let names: Vec<_> = several.iter().take(20).map(|it| it.path.display().to_string()).collect();
            Err(error(&format_args!("several local storages; name one of {}", names.join(", "))))
        }
    }
}

/// What kind of storage a file is.
fn format(path: &Path) -> io::Result<Option<Format>> {
    let mut head = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut head)?;
    if head != b"SQLite format 3\0" {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
        return Ok(matches!(head.trim_ascii_start().first(), Some(b'{' | b'"' | b'[')).then_some(Format::Dump));
    }
    let is_firefox = path.file_name().is_some_and(|it| it == "data.sqlite");
    Ok(Some(if is_firefox { Format::Firefox } else { Format::ChromiumSqlite }))
}

/// The storages in a folder, not looking into other profiles.
fn within(folder: &Path) -> Vec<Place> {
    let place = |format, path: &Path| Place { format, path: path.to_owned() };
    let mut places = Vec::new();
    for database in ["", "leveldb", "Local Storage/leveldb"].map(|it| folder.join(it)) {
        if database.join("CURRENT").is_file() {
            places.push(place(Format::LevelDb, &database));
        }
    }
    let file = folder.join("LocalStorage");
    if file.is_file() {
        places.push(place(Format::ChromiumSqlite, &file));
    }
    for origin in ["data.sqlite", "ls/data.sqlite"].map(|it| folder.join(it)) {
        if origin.is_file() {
            places.push(place(Format::Firefox, &origin));
        }
    }
    let origins = folder.join("storage/default");
    if origins.is_dir() {
        places.push(place(Format::Firefox, &origins));
    }
    places
}

/// Whether a browser has the storage open, as far as that can be seen. Not on a machine without `/proc`, if it was killed.
pub(super) fn is_running(place: &Place) -> bool {
    let near = || place.path.ancestors().take(6);
    let link = |folder: &Path, name: &str| fs::read_link(folder.join(name)).ok();
    let links = near().flat_map(|it| [link(it, "SingletonLock"), link(it, "lock")]).flatten();
    // They end in `-PID` (Chromium) or `+PID` (Firefox), and stay behind when a browser is killed.
    let lives = |link: PathBuf| {
        let link = link.to_string_lossy().into_owned();
        let id = link.rsplit(['-', '+']).next().unwrap_or_default();
        !id.is_empty() && id.bytes().all(|it| it.is_ascii_digit()) && is_process(id)
    };
    if links.into_iter().any(lives) {
        return true;
    }
    let mut held = vec![place.path.clone()];
    held.extend(near().flat_map(|it| ["LOCK", ".parentlock"].map(|name| it.join(name))));
    let held: Vec<u64> =
        held.iter().filter_map(|it| fs::metadata(it).ok()).filter(|it| it.is_file()).map(|it| it.ino()).collect();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|it| locked(it).is_some_and(|it| held.contains(&it)))
}

fn is_process(id: &str) -> bool {
    !Path::new("/proc/self").exists() || Path::new("/proc").join(id).exists()
}

/// The inode of a line such as `1: POSIX  ADVISORY  WRITE 1738 fe:00:123456 0 EOF` (proc_locks(5)).
fn locked(line: &str) -> Option<u64> {
    let file = line.split_whitespace().find(|it| it.matches(':').count() == 2)?;
    file.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn make(home: &Path, files: &[&str]) {
        for file in files {
            let path = home.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let content: &[u8] =
                if file.ends_with("LocalStorage") || file.ends_with("sqlite") { b"SQLite format 3\0" } else { b"{}" };
            fs::write(path, content).unwrap();
        }
    }

    #[test]
    fn places() {
        let leveldb = "Local Storage/leveldb/CURRENT";
        let firefox = "storage/default/https+++a.test/ls/data.sqlite";
        let check = |files: &[&str], at: &str, expect: Result<(Format, &str), &str>| {
            let home = tempfile::tempdir().unwrap();
            make(home.path(), files);
            match (find(&home.path().join(at)), expect) {
                (Ok(it), Ok((format, path))) => {
                    assert_eq!(it, Place { format, path: home.path().join(path) }, "{files:?} {at}");
                }
                (Err(it), Err(expect)) => assert!(it.to_string().contains(expect), "{it}"),
                (it, expect) => panic!("{files:?} {at}: {it:?}, not {expect:?}"),
            }
        };
        let nested = format!("Default/{leveldb}");
        let second = format!("Profile 1/{leveldb}");
        check(&[leveldb], "", Ok((Format::LevelDb, "Local Storage/leveldb")));
        check(&[leveldb], "Local Storage", Ok((Format::LevelDb, "Local Storage/leveldb")));
        check(&[leveldb], "Local Storage/leveldb", Ok((Format::LevelDb, "Local Storage/leveldb")));
        check(&[&nested], "", Ok((Format::LevelDb, "Default/Local Storage/leveldb")));
        check(&[&nested, &second], "", Err("Default/Local Storage/leveldb, "));
        check(&[&nested, &second], "Profile 1", Ok((Format::LevelDb, "Profile 1/Local Storage/leveldb")));
        check(&["Default/LocalStorage"], "", Ok((Format::ChromiumSqlite, "Default/LocalStorage")));
        check(&["Default/LocalStorage"], "Default/LocalStorage", Ok((Format::ChromiumSqlite, "Default/LocalStorage")));
        check(&[leveldb, "LocalStorage"], "", Err("several local storages"));
        check(&[firefox], "", Ok((Format::Firefox, "storage/default")));
        check(&[firefox], "storage/default/https+++a.test", Ok((Format::Firefox, firefox)));
        check(&[firefox], firefox, Ok((Format::Firefox, firefox)));
        check(&["x.json"], "x.json", Ok((Format::Dump, "x.json")));
        check(&["x.json"], "", Err("no local storage"));
        check(&[], "absent", Err("no such file"));
    }

    #[test]
    fn a_browser_that_runs() {
        let home = tempfile::tempdir().unwrap();
        make(home.path(), &["Default/LocalStorage"]);
        let place = find(home.path()).unwrap();
        let lock = home.path().join("SingletonLock");
        for (target, expect) in [
            ("here-4194305", false),
            (&*format!("here-{}", std::process::id()), true),
            (&*format!("127.0.0.1:+{}", std::process::id()), true),
            ("nobody", false),
        ] {
            let _ = fs::remove_file(&lock);
            symlink(target, &lock).unwrap();
            assert_eq!(is_running(&place), expect, "{target}");
        }
        assert_eq!(locked("1: POSIX  ADVISORY  WRITE 1738 fe:00:123456 0 EOF"), Some(123_456));
        assert_eq!(locked("1: -> POSIX  ADVISORY  WRITE 1738 <none>:0 0 EOF"), None);
    }
}
