//! An external transform: a program of the plan's own that makes rows, as a mapping or as a witness for one.
//!
//! It reads the source's rows as NDJSON from its standard input and writes lines `{"table":…,"row":{…}}`. It is started from an
//! argument list, without a shell, in the plan's folder.

use super::Run;
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow},
    schema::Table,
    store::Source,
    transform,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    fs::{OpenOptions, Permissions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    thread,
};

/// How long a line of the program's may be.
const LINE_MAX: u64 = 64 << 20;

/// What a program is run for.
pub(super) struct External<'p> {
    /// The program and its arguments.
    pub command: &'p [String],
    /// Where it runs.
    pub folder: &'p Path,
    /// The target table whose rows are wanted.
    pub into: &'p str,
    /// The tables that the plan knows; rows of these others are left to their own run.
    pub known: &'p [String],
}

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    table: Cow<'l, str>,
    #[serde(borrow)]
    row: &'l RawValue,
}

impl External<'_> {
    /// Runs the program over the rows of `from` and keeps what it makes in a file of a private folder.
    ///
    /// # Errors
    /// If the source or the program fails, or the program writes something else.
    pub(super) fn run(&self, run: &Run, source: &mut dyn Source, from: &Table) -> Result<(tempfile::TempDir, PathBuf)> {
        let mut private = tempfile::Builder::new();
        private.prefix("cutover-").permissions(Permissions::from_mode(0o700));
        let folder = private.tempdir_in(&run.scratch).map_err(|it| self.failed(&it))?;
        let path = folder.path().join(format!("{}.ndjson", crate::report::folder::file_stem(self.into)));
        let child = start(self.command, self.folder, |it| it.stdout(Stdio::piped()));
        let mut child = child.map_err(|it| self.failed(&it))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let made = thread::scope(|scope| {
            let path = &path;
            let reading = scope.spawn(move || output.map_or(Ok(()), |it| self.keep(it, path)));
            let fed = feed(run, source, from, input);
            let read = reading.join().unwrap_or_else(|_| Err(self.failed(&"its output could not be read")));
            read.and(fed)
        });
        let status = child.wait().map_err(|it| self.failed(&it))?;
        if !status.success() {
            return Err(self.failed(&format_args!("it ended with {status}")));
        }
        made?;
        Ok((folder, path))
    }

    /// Writes the rows of the wanted table to `path`, a line each.
    fn keep(&self, output: impl Read, path: &Path) -> Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = BufWriter::new(file.map_err(|it| self.failed(&it))?);
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let length = (&mut output).take(LINE_MAX).read_until(b'\n', &mut line).map_err(|it| self.failed(&it))?;
            if length == 0 {
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let parsed: Line<'_> = serde_json::from_slice(&line).map_err(|it| {
                let column = it.column();
                self.failed(&format_args!(
                    "line {number} of its output is no {{\"table\":…,\"row\":…}}, as column {column} shows"
                ))
            })?;
            if parsed.table == self.into {
                let written = writeln!(file, "{}", parsed.row.get());
                written.map_err(|it| self.failed(&it))?;
            } else if !self.known.iter().any(|it| *it == parsed.table) {
                let message =
                    format_args!("line {number} of its output is for `{}`, which the plan does not know", parsed.table);
                return Err(self.failed(&message));
            }
        }
        file.flush().map_err(|it| self.failed(&it))
    }

    #[cold]
    fn failed(&self, what: &dyn std::fmt::Display) -> Error {
        Error::new(Kind::Store, format_args!("the command for `{}`: {what}", self.into))
    }
}

/// Starts a program of the plan's own from an argument list, in the plan's folder, with a pipe as its standard input and
/// what `set` says beside that.
pub(super) fn start(
    command: &[String],
    folder: &Path,
    set: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<Child, String> {
    let (program, arguments) = command.split_first().ok_or("`command` is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::piped());
    set(&mut command).spawn().map_err(|it| format!("cannot start `{program}`: {it}"))
}

fn feed(run: &Run, source: &mut dyn Source, from: &Table, input: Option<ChildStdin>) -> Result<()> {
    let Some(input) = input else { return Ok(()) };
    let shape = transform::whole_row(from);
    let mut lines = Lines { run, out: BufWriter::new(input), line: Vec::new() };
    source.scan(from, &Arc::clone(&shape), &mut lines)?;
    match lines.out.flush() {
        // A program may know enough before it has read everything.
        Err(it) if it.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Store, format_args!("cannot write to the command: {it}")))
        }
        _ => Ok(()),
    }
}

/// Writes rows to the program, a JSON object a line.
struct Lines<'r> {
    run: &'r Run,
    out: BufWriter<ChildStdin>,
    line: Vec<u8>,
}

impl Feed for Lines<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.run.watch.read(0)?;
        for row in batch.rows() {
            self.line.clear();
            transform::write_row(row, &mut self.line);
            self.line.push(b'\n');
            match self.out.write_all(&self.line) {
                Err(it) if it.kind() == io::ErrorKind::BrokenPipe => return Ok(Flow::Stop),
                result => {
                    result.map_err(|it| Error::new(Kind::Store, format_args!("cannot write to the command: {it}")))?
                }
            }
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}
