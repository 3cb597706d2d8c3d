//! One run at a time: a lock on `.cutover/lock` that the operating system holds and gives back when the process dies, however
//! it dies. What stands in the file is for people.
//!
//! Some file systems have no locks. There a file `lock.held`, which only one process can make, names its owner by process id
//! and start time, which tells a process from a later one with the same id.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Locked by the operating system. It stays, since whoever waits for it would else lock a file that is gone.
const LOCK: &str = "lock";

/// Made and removed, where there are no locks.
const HELD: &str = "lock.held";

/// How often to begin again when others come between.
const ATTEMPTS: usize = 16;

/// More than this no owner writes.
const TEXT_MAX: u64 = 64 << 10;

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Since when, RFC 3339.
    pub started: String,
    /// What was typed. Nothing secret.
    pub command: String,
    /// When the process began, in the clock of the machine, where it says so.
    pub process: Option<u64>,
}

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
    /// The file's existence is the lock, and not the operating system's word.
    by_name: bool,
}

/// A lock that somebody has, or left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who. Nothing, where the file does not say.
    pub owner: Option<Owner>,
    /// Whether that process still lives. Nothing: it is on another machine, and this one cannot know.
    pub lives: Option<bool>,
}

impl Owner {
    /// This process.
    pub fn this(command: &str, started: &str) -> Owner {
        let (pid, host) = (std::process::id(), host());
        Owner { pid, host, started: started.to_owned(), command: command.to_owned(), process: began(pid) }
    }

    /// Whether it still lives, where this machine can know.
    fn lives(&self) -> Option<bool> {
        let knows = self.host == host() && began(std::process::id()).is_some();
        knows.then(|| began(self.pid).is_some_and(|it| self.process.is_none_or(|mine| mine == it)))
    }

    /// For people.
    pub fn about(&self) -> String {
        format!("process {} on {} since {} ({})", self.pid, self.host, self.started, self.command)
    }
}

impl Holder {
    /// For people.
    pub fn about(&self) -> String {
        self.owner.as_ref().map_or_else(|| "a process that did not say who it is".to_owned(), Owner::about)
    }
}

impl Lock {
    /// Takes the lock of that folder.
    ///
    /// # Errors
    /// If another process has it, with who that is and what to do.
    pub fn take(folder: &Path, owner: &Owner) -> Result<Lock> {
        take(folder, owner, File::try_lock)
    }

    /// Looks whether it is still ours: somebody may have taken it away by force. Comes before whatever must not be done
    /// twice.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self) -> Result<()> {
        if is_at(&self.file, &self.path).map_err(|it| failed(&self.path, &it))? {
            return Ok(());
        }
        let message = "the lock was taken away from this run, by `cutover unlock --force`; nothing more is written";
        Err(Error::new(Kind::Interrupted, message))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The process gives it back in any case; this only keeps the file from telling old news.
        let _ = if self.by_name {
            is_at(&self.file, &self.path).and_then(|it| if it { fs::remove_file(&self.path) } else { Ok(()) })
        } else {
            self.file.set_len(0)
        };
    }
}

/// Who holds the lock of that folder, or left it there. Nothing is changed.
///
/// # Errors
/// If it cannot be read.
pub fn holder(folder: &Path) -> Result<Option<Holder>> {
    let held = folder.join(HELD);
    if let Some(mut file) = existing(&held)? {
        let owner = read(&mut file);
        return Ok(Some(Holder { lives: owner.as_ref().and_then(Owner::lives), owner }));
    }
    let path = folder.join(LOCK);
    let Some(mut file) = existing(&path)? else { return Ok(None) };
    if file.metadata().map_err(|it| failed(&path, &it))?.len() == 0 {
        return Ok(None);
    }
    let owner = read(&mut file);
    // Only who seems to be gone is asked for by a lock, which would for a moment be in the way of a run that begins.
    let lives = match owner.as_ref().and_then(Owner::lives) {
        Some(true) => Some(true),
        known => match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => known,
        },
    };
    Ok(Some(Holder { owner, lives }))
}

/// Takes the lock of that folder away. Who had it, if anybody; a process that lives is only robbed by `force`.
///
/// # Errors
/// If the owner lives, or may live, and there is no force; or it cannot be removed.
pub fn release(folder: &Path, force: bool) -> Result<Option<Holder>> {
    let held = folder.join(HELD);
    if let Some(mut file) = existing(&held)? {
        let owner = read(&mut file);
        let holder = Holder { lives: owner.as_ref().and_then(Owner::lives), owner };
        if holder.lives != Some(false) && !force {
            return Err(refused(&holder));
        }
        return gone(&held).map(|()| Some(holder));
    }
    let path = folder.join(LOCK);
    let Some(mut file) = existing(&path)? else { return Ok(None) };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let holder = Holder { owner: read(&mut file), lives: Some(true) };
            if !force {
                return Err(refused(&holder));
            }
            // The owner keeps its lock, on a file that is no longer there, and sees that before it writes again.
            gone(&path).map(|()| Some(holder))
        }
        locked => {
            let holder = Holder { owner: read(&mut file), lives: locked.is_ok().then_some(false) };
            let empty = file.metadata().map_err(|it| failed(&path, &it))?.len() == 0;
            if !empty {
                file.set_len(0).map_err(|it| failed(&path, &it))?;
            }
            Ok((!empty).then_some(holder))
        }
    }
}

/// Takes the lock, with a way to ask the operating system for it.
fn take(folder: &Path, owner: &Owner, try_lock: fn(&File) -> Result<(), TryLockError>) -> Result<Lock> {
    let path = folder.join(LOCK);
    for _ in 0..ATTEMPTS {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(|it| failed(&path, &it))?;
        match try_lock(&file) {
            // Between opening and locking, it may have been taken away by force.
            Ok(()) if !is_at(&file, &path).map_err(|it| failed(&path, &it))? => {}
            Ok(()) => {
                write(&mut file, owner).map_err(|it| failed(&path, &it))?;
                return Ok(Lock { path, file, by_name: false });
            }
            Err(TryLockError::WouldBlock) => {
                return Err(refused(&Holder { owner: read(&mut file), lives: Some(true) }));
            }
            Err(TryLockError::Error(_)) => return take_by_name(folder, owner),
        }
    }
    Err(contended(&path))
}

/// Takes the lock where the file system has none.
fn take_by_name(folder: &Path, owner: &Owner) -> Result<Lock> {
    let path = folder.join(HELD);
    for _ in 0..ATTEMPTS {
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                write(&mut file, owner).map_err(|it| failed(&path, &it))?;
                return Ok(Lock { path, file, by_name: true });
            }
            Err(it) if it.kind() == ErrorKind::AlreadyExists => {}
            Err(it) => return Err(failed(&path, &it)),
        }
        let Some(mut file) = existing(&path)? else { continue };
        let there = read(&mut file);
        let holder = Holder { lives: there.as_ref().and_then(Owner::lives), owner: there };
        if holder.lives != Some(false) {
            return Err(refused(&holder));
        }
        // Of several that find it left behind, one moves it away. Who moves away what is no longer that puts it back.
        let aside = folder.join(format!("{HELD}.{}", owner.pid));
        match fs::rename(&path, &aside) {
            Err(it) if it.kind() == ErrorKind::NotFound => continue,
            moved => moved.map_err(|it| failed(&path, &it))?,
        }
        if !is_at(&file, &aside).map_err(|it| failed(&aside, &it))? {
            // If there is another one by now, that one counts, and this one's owner sees it.
            let _ = fs::hard_link(&aside, &path);
        }
        gone(&aside)?;
    }
    Err(contended(&path))
}

fn refused(holder: &Holder) -> Error {
    let what = match holder.lives {
        Some(_) => {
            "wait for it, or end it; if it hangs and cannot be ended, `cutover unlock --force` takes the lock away"
        }
        None => {
            "whether it still runs cannot be seen from here; if it does not, `cutover unlock --force` takes the lock away"
        }
    };
    Error::new(Kind::Busy, format_args!("another run holds the lock: {}; {what}", holder.about()))
}

fn contended(path: &Path) -> Error {
    Error::new(Kind::Busy, format_args!("{}: other processes keep coming between; run again", path.display()))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::File, format_args!("{}: {error}", path.display()))
}

/// The file at `path` opened, if there is one.
fn existing(path: &Path) -> Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(it) => Ok(Some(it)),
        Err(it) if it.kind() == ErrorKind::NotFound => Ok(None),
        Err(it) => Err(failed(path, &it)),
    }
}

fn gone(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(it) if it.kind() != ErrorKind::NotFound => Err(failed(path, &it)),
        _ => Ok(()),
    }
}

/// Whether this is the file that stands at `path`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Err(it) if it.kind() == ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let here = file.metadata()?;
    Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
}

/// What a file says about its owner, if it says it.
fn read(file: &mut File) -> Option<Owner> {
    let mut text = Vec::new();
    file.rewind().ok()?;
    file.take(TEXT_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn write(file: &mut File, owner: &Owner) -> io::Result<()> {
    let mut text = serde_json::to_vec(owner)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)
}

/// The name of this machine, as Linux tells it.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this machine" } else { name }.to_owned()
}

/// When a process that lives began, in ticks since the machine did, as Linux tells it.
fn began(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    // One that ended and was not yet waited for does not live.
    let dead = matches!(fields.first(), None | Some(&("Z" | "X")));
    fields.get(19).filter(|_| !dead)?.parse().ok()
}

#[cfg(test)]
mod tests;
