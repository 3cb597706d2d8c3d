//! Runs the program under `strace`, which ends it, or lets a system call fail, at a counted one.

use super::support::Folder;
use std::{
    collections::BTreeMap,
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

/// A system call of a run, by its name and how many there were before it.
#[derive(Debug)]
pub(crate) struct Moment {
    call: String,
    /// Counts from 1.
    pub(crate) at: usize,
}

impl Moment {
    /// Whether the call may write to a connection, and not only to a file.
    pub(crate) fn may_be_sent(&self) -> bool {
        ["write", "writev", "sendto", "sendmsg"].contains(&self.call.as_str())
    }
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

    /// The moments of a run at which it makes one of these system calls, on the thread that makes most of that kind: `strace` counts
    /// each kind of call by itself, and each thread.
    pub(crate) fn moments(&self, calls: &str, arguments: &[&str]) -> Vec<Moment> {
        let logs = self.folder.path("strace");
        fs::create_dir_all(&logs).expect("a folder");
        let log = logs.join("log");
        let mut strace = Command::new("strace");
        strace.args(["-ff", "-f", "-o"]).arg(&log).args(["-e", &format!("trace={calls}"), "-e", "signal=none"]);
        let ended = self.finish(strace.arg(env!("CARGO_BIN_EXE_cutover")).args(arguments));
        assert_eq!(ended.code, Some(0), "the reference run: {} {}", ended.stdout, ended.stderr);
        let mut most = BTreeMap::new();
        for file in fs::read_dir(&logs).expect("logs") {
            let text = fs::read_to_string(file.expect("a log").path()).expect("text");
            let mut own = BTreeMap::new();
            for call in text.lines().filter_map(|it| it.split_once('(')).map(|it| it.0) {
                *own.entry(call.to_owned()).or_insert(0_usize) += 1;
            }
            for (call, count) in own {
                let most = most.entry(call).or_default();
                *most = count.max(*most);
            }
        }
        fs::remove_dir_all(&logs).expect("the logs go");
        let all = |(call, count): (String, usize)| (1..=count).map(move |at| Moment { call: call.clone(), at });
        most.into_iter().flat_map(all).collect()
    }

    /// Runs it until that moment, and kills it there.
    pub(crate) fn kill(&self, moment: &Moment, arguments: &[&str]) -> Ended {
        self.inject(&moment.call, &format!("signal=KILL:when={}", moment.at), arguments)
    }

    /// Runs it; what `how` says happens to those system calls, such as `error=ENOSPC:when=3`.
    pub(crate) fn inject(&self, calls: &str, how: &str, arguments: &[&str]) -> Ended {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{how}")]);
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

impl Ended {
    /// It was killed, so what was to happen there did.
    pub(crate) fn was_killed(&self) -> bool {
        self.code.is_none()
    }
}

impl Draw {
    pub(crate) fn new() -> Draw {
        Draw(variable("CUTOVER_SEED", 1))
    }

    /// One of them.
    pub(crate) fn of<'m>(&mut self, moments: &'m [Moment]) -> &'m Moment {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        &moments[((it ^ (it >> 31)) % moments.len() as u64) as usize]
    }
}

/// How many moments are drawn for each store, if nobody says.
pub(crate) const KILLS: u64 = 200;

/// How many moments are drawn for each store.
pub(crate) fn kills() -> u64 {
    variable("CUTOVER_KILLS", KILLS)
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how many")]
fn variable(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}
