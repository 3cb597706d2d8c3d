use super::*;
use std::{
    io::BufRead,
    process::{Child, Command, Stdio},
};

/// Names the folder that a process started by [`hold`] locks.
const FOLDER: &str = "CUTOVER_TEST_LOCK";

const STARTED: &str = "2026-11-28T11:03:33Z";

/// No test by itself, but what another process does for the tests below: it locks a folder, says so, and lives until it is
/// killed or its input ends.
#[test]
#[expect(clippy::disallowed_methods, reason = "this is how the process is told")]
fn held_by_another_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let owner = Owner::this("cutover migrate other.toml", STARTED);
    let lock = if folder.ends_with("named") { take_by_name(folder, &owner) } else { Lock::take(folder, &owner) };
    let lock = lock.unwrap();
    println!("locked");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(lock);
}

/// A process that holds the lock of that folder.
struct Holding(Child);

impl Holding {
    fn new(folder: &Path) -> Holding {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "run::state::lock::tests::held_by_another_process", "--nocapture"]);
        command.env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = io::BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let locked = lines.map_while(Result::ok).any(|it| it.ends_with("locked"));
        assert!(locked, "the other process did not get the lock");
        Holding(child)
    }

    /// As the machine's memory running out would end it.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// As it ends by itself.
    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

type Take = fn(&Path, &Owner) -> Result<Lock>;

/// The lock of the operating system, and the one for file systems without any.
fn ways() -> [(&'static str, Take); 2] {
    let unsupported: Take =
        |folder, owner| take(folder, owner, |_| Err(TryLockError::Error(io::Error::from(ErrorKind::Unsupported))));
    [("locked", Lock::take), ("named", unsupported)]
}

fn folder(name: &str) -> (tempfile::TempDir, PathBuf) {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join(name);
    fs::create_dir(&path).unwrap();
    (around, path)
}

fn me() -> Owner {
    Owner::this("cutover migrate", STARTED)
}

#[test]
fn a_second_run_is_refused_and_told_by_whom() {
    for (name, take) in ways() {
        let (_around, folder) = folder(name);
        assert_eq!(holder(&folder).unwrap(), None);
        let other = Holding::new(&folder);
        let pid = other.0.id();
        let error = take(&folder, &me()).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        for part in
            [&format!("process {pid} on "), "since 2026-11-28T11:03:33Z", "migrate other.toml", "unlock --force"]
        {
            assert!(error.to_string().contains(part), "no {part} in {error}");
        }
        let seen = holder(&folder).unwrap().unwrap();
        assert_eq!((seen.owner.map(|it| it.pid), seen.lives), (Some(pid), Some(true)), "{name}");
        assert_eq!(release(&folder, false).unwrap_err().to_string(), error.to_string());
        other.end();
        assert_eq!(holder(&folder).unwrap(), None, "{name}: who ends in good order leaves nothing");
        let lock = take(&folder, &me()).unwrap();
        lock.check().unwrap();
        assert!(take(&folder, &me()).is_err(), "not even the same process gets it twice");
        drop(lock);
        assert_eq!(release(&folder, false).unwrap(), None);
    }
}

#[test]
fn the_lock_of_a_process_that_was_killed_is_free() {
    for (name, take) in ways() {
        let (_around, folder) = folder(name);
        let other = Holding::new(&folder);
        let pid = other.0.id();
        other.kill();
        let left = holder(&folder).unwrap().unwrap();
        assert_eq!((left.owner.as_ref().map(|it| it.pid), left.lives), (Some(pid), Some(false)), "{name}");
        drop(take(&folder, &me()).unwrap());
        let other = Holding::new(&folder);
        other.kill();
        let freed = release(&folder, false).unwrap().unwrap();
        assert_eq!(freed.lives, Some(false), "{name}");
        assert_eq!((holder(&folder).unwrap(), release(&folder, false).unwrap()), (None, None), "{name}");
    }
}

#[test]
fn a_lock_can_be_taken_by_force_and_its_owner_sees_that() {
    for (name, take) in ways() {
        let (_around, folder) = folder(name);
        let lock = take(&folder, &me()).unwrap();
        lock.check().unwrap();
        let robbed = release(&folder, true).unwrap().unwrap();
        assert_eq!((robbed.owner, robbed.lives), (Some(me()), Some(true)), "{name}");
        let second = take(&folder, &me()).unwrap();
        let error = lock.check().unwrap_err();
        assert!(error.to_string().contains("unlock --force"), "{error}");
        // Who lost the lock does not take the next one's away.
        drop(lock);
        second.check().unwrap();
        assert!(take(&folder, &me()).is_err(), "{name}");
    }
}

#[test]
fn an_owner_is_gone_only_if_that_is_known() {
    let (_around, folder) = folder("named");
    let path = folder.join(HELD);
    let other_process = Owner { process: me().process.map(|it| it + 1), ..me() };
    let check = |owner: &Owner, lives| {
        fs::write(&path, serde_json::to_vec(owner).unwrap()).unwrap();
        assert_eq!(holder(&folder).unwrap().unwrap().lives, lives, "{owner:?}");
        let taken = take_by_name(&folder, &me());
        assert_eq!(taken.is_ok(), lives == Some(false), "{owner:?}");
        taken.map_err(|it| it.to_string())
    };
    assert!(check(&me(), Some(true)).is_err());
    // The id of a process is given to another one in the end.
    assert!(check(&other_process, Some(false)).is_ok());
    assert!(check(&Owner { pid: u32::MAX, ..me() }, Some(false)).is_ok());
    let far = check(&Owner { host: "elsewhere".to_owned(), ..me() }, None).unwrap_err();
    assert!(far.contains("cannot be seen from here"), "{far}");
    assert!(release(&folder, false).is_err());
    assert_eq!(release(&folder, true).unwrap().unwrap().lives, None);
    for text in ["", "{", "{\"pid\":\"x\"}"] {
        fs::write(&path, text).unwrap();
        let error = take_by_name(&folder, &me()).unwrap_err();
        assert!(error.to_string().contains("a process that did not say who it is"), "{error}");
    }
}

#[test]
fn a_process_that_ended_does_not_live() {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    // Its output ends when it does, and until it is waited for it is neither there nor gone.
    child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    child.wait().unwrap();
    assert_eq!(began(pid), None);
    assert!(began(std::process::id()).is_some());
}
