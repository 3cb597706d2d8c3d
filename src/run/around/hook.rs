//! Programs and addresses that are told of a run.
//!
//! A program gets JSON on its standard input, and what it writes goes to standard error. It may read none of it, end early, or
//! never end: it has the plan's `timeout`, and then it is killed. With it ends everything that it has started, also where it
//! ended by itself. An address gets the same JSON in one `POST`.

use super::{attend, client};
use crate::{
    error::{Error, Kind, Result},
    plan::{Call, Hook, Plan},
    run::{Watch, command},
    store::web::{Advice, Request, Web},
};
use rustix::{
    io::retry_on_intr,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{ChildStdin, ExitStatus},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// A hook that can be called.
pub struct Caller {
    name: &'static str,
    to: To,
    timeout: Duration,
}

enum To {
    Program { command: Vec<String>, folder: PathBuf },
    Web { web: Box<Web>, path: String },
}

/// A program that runs.
struct Program {
    /// It leads a group of its own, so that it ends with all that it has started.
    group: Pid,
    input: Option<ChildStdin>,
    ended: Receiver<io::Result<ExitStatus>>,
}

/// A hook that is told line after line.
pub struct Lines {
    name: &'static str,
    program: Option<Program>,
    timeout: Duration,
}

/// Where its lines go. It is closed when it is dropped.
pub enum Sink {
    /// The standard input of a program.
    Pipe(Option<ChildStdin>),
    /// An address.
    Web(Box<Web>, String),
}

impl Caller {
    /// The hook of that name. Nothing is called yet.
    ///
    /// # Errors
    /// If its address cannot be used.
    pub fn new(plan: &Plan, name: &'static str, hook: &Hook) -> Result<Caller> {
        let timeout = plan.hooks.timeout;
        let to = match &hook.call {
            Call::Command(command) => To::Program { command: command.clone(), folder: plan.folder() },
            Call::Web(address) => {
                let (web, path) = client(address, timeout).map_err(|it| it.context(title(name)))?;
                To::Web { web: Box::new(web), path }
            }
        };
        Ok(Caller { name, to, timeout })
    }

    /// Its key in the plan.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Hands it a JSON document and waits for its end; less, if somebody asks the run to end meanwhile.
    ///
    /// # Errors
    /// If it cannot be reached, fails, takes too long, or is interrupted.
    pub fn call(&self, json: &[u8], watch: &Watch) -> Result<()> {
        let stopped = watch.is_stopped_anew();
        let called = match &self.to {
            To::Web { web, path } => {
                let (web, path, json, (end, ended)) = (web.clone(), path.clone(), json.to_vec(), channel());
                thread::spawn(move || {
                    // Whoever waited may be gone.
                    let _ = end.send(post(&web, &path, &json));
                });
                // Its client knows itself when the time is up, and says why.
                attend(&ended, Duration::MAX, &stopped).and_then(|it| it)
            }
            To::Program { command, folder } => Program::start(command, folder).and_then(|mut it| {
                it.feed(json);
                it.wait(self.timeout, &stopped)
            }),
        };
        called.map_err(|it| it.context(title(self.name)))
    }

    /// Begins to tell it of progress.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn open(self) -> Result<(Lines, Sink)> {
        let Caller { name, to, timeout } = self;
        let (program, sink) = match to {
            To::Web { web, path } => (None, Sink::Web(web, path)),
            To::Program { command, folder } => {
                let mut program = Program::start(&command, &folder).map_err(|it| it.context(title(name)))?;
                let input = program.input.take();
                (Some(program), Sink::Pipe(input))
            }
        };
        Ok((Lines { name, program, timeout }, sink))
    }
}

impl Lines {
    /// Waits for the end of the program, once nobody holds its [`Sink`] any more or it takes too long.
    ///
    /// # Errors
    /// If it fails, takes too long, or is interrupted.
    pub fn end(self, watch: &Watch) -> Result<()> {
        let ended = self.program.map_or(Ok(()), |it| it.wait(self.timeout, &watch.is_stopped_anew()));
        ended.map_err(|it| it.context(title(self.name)))
    }
}

impl Sink {
    /// Whether each line is a request.
    pub fn is_web(&self) -> bool {
        matches!(self, Sink::Web(..))
    }

    /// Tells a line of JSON. Who does not listen any more is not told any more.
    ///
    /// # Errors
    /// If an address cannot be reached.
    pub fn tell(&mut self, json: &str) -> Result<()> {
        match self {
            Sink::Web(web, path) => post(web, path, json.as_bytes()),
            Sink::Pipe(input) => {
                let told = input.as_mut().map(|it| it.write_all(format!("{json}\n").as_bytes()));
                if told.is_some_and(|it| it.is_err()) {
                    *input = None;
                }
                Ok(())
            }
        }
    }
}

impl Program {
    fn start(command: &[String], folder: &Path) -> Result<Program> {
        let started = command::start(command, folder, |it| it.stdout(io::stderr()).process_group(0));
        let mut child = started.map_err(|it| Error::new(Kind::Store, it))?;
        let (group, input) = (Pid::from_child(&child), child.stdin.take());
        let (end, ended) = channel();
        thread::spawn(move || {
            // While nobody has waited for it, its number is not another's, and what is left of its group can be ended.
            if retry_on_intr(|| waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)).is_ok() {
                kill(group);
            }
            // Whoever waited may be gone.
            let _ = end.send(child.wait());
        });
        Ok(Program { group, input, ended })
    }

    /// Writes to it and closes its input, without waiting for it to read.
    fn feed(&mut self, json: &[u8]) {
        let Some(mut input) = self.input.take() else { return };
        let json = json.to_vec();
        thread::spawn(move || {
            // Who does not read it does not want to know.
            let _ = input.write_all(&json);
        });
    }

    fn wait(self, time: Duration, stopped: &dyn Fn() -> bool) -> Result<()> {
        match attend(&self.ended, time, stopped) {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Error::new(Kind::Store, format_args!("it ended with {status}"))),
            Ok(Err(it)) => Err(Error::new(Kind::Store, it)),
            Err(it) => {
                kill(self.group);
                Err(Error::new(it.kind(), format_args!("{it}, and was ended")))
            }
        }
    }
}

fn kill(group: Pid) {
    // It may just have ended by itself.
    let _ = kill_process_group(group, Signal::KILL);
}

/// How errors call it.
fn title(name: &str) -> String {
    format!("the hook `{name}`")
}

fn post(web: &Web, path: &str, json: &[u8]) -> Result<()> {
    web.send(&Request::tell(path, json), &Advice::usual).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse;
    use std::{fs::File, io::Read, net::TcpListener, process::Command, sync::Arc};

    /// More than a pipe holds.
    const LONG: usize = 1 << 20;

    fn caller(hook: &str, timeout: &str) -> Result<Caller> {
        let text = format!(
            "version = 1\nsource = {{ kind = 'json', path = 'a' }}\ntarget = {{ kind = 'json', path = 'b' }}\n[hooks]\n\
             timeout = '{timeout}'\nafter = {hook}"
        );
        let plan = parse(&text, "cutover.toml", &|_| None).unwrap();
        Caller::new(&plan, "after", plan.hooks.after.as_ref().unwrap())
    }

    #[test]
    fn a_hook_ends_in_any_case() {
        let long = vec![b' '; LONG];
        let check = |hook: &str, timeout: &str, expect: Result<(), &str>| {
            let done = caller(hook, timeout).unwrap().call(&long, &Watch::default()).map_err(|it| it.to_string());
            assert_eq!(done, expect.map_err(|it| format!("the hook `after`: {it}")), "{hook}");
        };
        check(r#"["true"]"#, "60s", Ok(()));
        check(&format!(r#"["sh", "-c", "test $(wc -c) -eq {LONG}"]"#), "60s", Ok(()));
        check(r#"["sh", "-c", "exit 3"]"#, "60s", Err("it ended with exit status: 3"));
        let gone = "cannot start `./nothing`: No such file or directory (os error 2)";
        check(r#"["./nothing"]"#, "60s", Err(gone));
        // The shell waits for a program of its own, which has to end as well.
        let ended = "it did not end within 100ms, and was ended";
        check(r#"["sh", "-c", "tail -f /dev/null; true"]"#, "100ms", Err(ended));
    }

    /// Whatever a hook has started holds this pipe, and writes to it in the end, if it is let.
    #[test]
    fn what_a_hook_has_started_ends_with_it() {
        for (asked, waits, expect) in [(false, "exit 0", Ok(())), (true, "wait", Err(Kind::Interrupted))] {
            let folder = tempfile::tempdir().unwrap();
            let pipe = folder.path().join("pipe");
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            let script = format!("exec 3> {}; (sleep 30; echo late >&3) & {waits}", pipe.display());
            let watch = Arc::new(Watch::default());
            let stop = Arc::clone(&watch);
            let reader = thread::spawn(move || {
                let mut said = String::new();
                let mut file = File::open(pipe).unwrap();
                if asked {
                    stop.stop();
                }
                file.read_to_string(&mut said).unwrap();
                said
            });
            let called = caller(&format!(r#"["sh", "-c", "{script}"]"#), "60s").unwrap().call(b"", &watch);
            assert_eq!(called.map_err(|it| it.kind()), expect, "{script}");
            assert_eq!(reader.join().unwrap(), "", "{script}");
        }
    }

    #[test]
    fn what_was_interrupted_before_is_told_all_the_same() {
        let watch = Watch::default();
        watch.stop();
        assert!(caller(r#"["true"]"#, "60s").unwrap().call(b"", &watch).is_ok());
    }

    #[test]
    fn an_address_that_does_not_answer_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hook = format!("{{ url = 'http://{}' }}", listener.local_addr().unwrap());
        let watch = Arc::new(Watch::default());
        let stop = Arc::clone(&watch);
        let server = thread::spawn(move || {
            let connection = listener.accept().unwrap();
            stop.stop();
            connection
        });
        let called = caller(&hook, "60s").unwrap().call(b"{}", &watch).unwrap_err();
        assert_eq!(called.to_string(), "the hook `after`: it was interrupted");
        drop(server.join().unwrap());
    }

    #[test]
    fn an_address_is_looked_at_before_it_is_called() {
        for (url, expect) in [
            ("https://h.test/x?y", None),
            ("http://127.0.0.1:9", None),
            ("http://h.test/x", Some("http:// is not protected")),
            ("ftp://h.test/x", Some("it has to begin with https://")),
            ("h.test/x", Some("relative URL without a base")),
            ("https://h.test/x#y", Some("nothing may follow a `#`")),
        ] {
            let error = caller(&format!("{{ url = '{url}' }}"), "60s").err().map(|it| it.to_string());
            let says = error.as_deref().map(|it| expect.is_some_and(|expect| it.contains(expect)));
            assert_eq!(says, expect.map(|_| true), "{url}: {error:?}");
        }
    }
}
