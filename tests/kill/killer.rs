//! Runs the program under `strace`, which ends it, or lets a system call fail, at a counted one.

use super::support::Folder;
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

/// System calls that change something outside the process.
pub(crate) const WRITES: &str = "write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,ftruncate,rename,renameat,\
    renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat";

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Nothing: it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program in that folder, as a test wants it.
pub(crate) struct Program<'f> {
    pub(crate) folder: &'f Folder,
    pub(crate) variables: Vec<(String, String)>,
}

impl Program<'_> {
    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        self.finish(command.args(arguments))
    }

    /// How many of these system calls a run makes on the thread that makes most of them.
    pub(crate) fn count(&self, calls: &str, arguments: &[&str]) -> usize {
        let logs = self.folder.path("strace");
        fs::create_dir_all(&logs).expect("a folder");
        let log = logs.join("log");
        let mut strace = Command::new("strace");
        // Only the calls that are asked for are stopped at.
        strace.args(["-ff", "-f", "--seccomp-bpf"]);
        strace.arg("-o").arg(&log).args(["-e", &format!("trace={calls}"), "-e", "signal=none"]);
        let ended = self.finish(strace.arg(env!("CARGO_BIN_EXE_cutover")).args(arguments));
        assert_eq!(ended.code, Some(0), "the reference run: {} {}", ended.stdout, ended.stderr);
        let files = fs::read_dir(&logs).expect("logs").map(|it| fs::read_to_string(it.expect("a log").path()));
        let lines = files.map(|it| it.expect("text").lines().filter(|it| !it.starts_with('+')).count());
        let most = lines.max().expect("a log");
        fs::remove_dir_all(&logs).expect("the logs go");
        most
    }

    /// Runs it until the call of that number, and kills it there. A run that ends before is as good.
    pub(crate) fn kill(&self, calls: &str, at: usize, arguments: &[&str]) -> Ended {
        self.inject(calls, &format!("signal=KILL:when={at}"), arguments)
    }

    /// Runs it; what `how` says happens to those system calls, such as `error=ENOSPC:when=3`.
    pub(crate) fn inject(&self, calls: &str, how: &str, arguments: &[&str]) -> Ended {
        let mut strace = Command::new("strace");
        strace.args(["-f", "--seccomp-bpf"]);
        strace.args(["-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{how}")]);
        self.finish(strace.arg(env!("CARGO_BIN_EXE_cutover")).args(arguments))
    }

    fn finish(&self, command: &mut Command) -> Ended {
        command.current_dir(self.folder.path("")).stdin(Stdio::null());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        let output = command.envs(variables).output().expect("strace and the program run: run scripts/test once");
        let text = |it: Vec<u8>| String::from_utf8_lossy(&it).into_owned();
        // strace ends as what it traces does: by the same signal, or as a shell says it.
        let killed = output.status.signal().is_some() || output.status.code() == Some(137);
        let code = output.status.code().filter(|_| !killed);
        Ended { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Numbers drawn from a seed: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new() -> Draw {
        Draw(variable("CUTOVER_SEED", 1))
    }

    /// A number from 1 to `most`.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((it ^ (it >> 31)) % most.max(1) as u64) as usize + 1
    }
}

/// How many moments are drawn for each store.
pub(crate) fn kills() -> u64 {
    variable("CUTOVER_KILLS", 20)
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how many")]
fn variable(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}
