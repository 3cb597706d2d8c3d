//! The same question put to others: in how many rows do these two files differ?

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Result,
    generate::{COLUMNS, Format},
};

/// Another way to compare two files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// `sqldiff`, of SQLite.
    Sqldiff,
    /// A join over `ATTACH`, in the SQLite that is built in here.
    Attach,
    /// A full outer join in DuckDB's Python package.
    Duckdb,
}

impl Peer {
    /// Everybody.
    pub(crate) const ALL: [Peer; 3] = [Peer::Sqldiff, Peer::Attach, Peer::Duckdb];

    /// Those that can read the format. `sqldiff` pairs rows by their place in the file where no key is declared.
    pub(crate) fn of(format: Format, keyed: bool) -> &'static [Peer] {
        match format {
            Format::Sqlite if !keyed => &[Peer::Attach],
            Format::Sqlite => &[Peer::Sqldiff, Peer::Attach],
            Format::Csv | Format::Ndjson => &[Peer::Duckdb],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Sqldiff => "sqldiff",
            Peer::Attach => "ATTACH join",
            Peer::Duckdb => "DuckDB",
        }
    }

    /// Why it cannot be asked here, if so.
    pub(crate) fn absent(self) -> Option<&'static str> {
        let there = |command: &mut Command| {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|it| it.success())
        };
        match self {
            Peer::Sqldiff if !there(Command::new("sqldiff").arg("--help")) => {
                Some("`sqldiff` is not installed (Debian: sqlite3-tools)")
            }
            Peer::Duckdb if !there(python().args(["-c", "import duckdb"])) => {
                Some("`duckdb` is not installed for python3 (PyPI: duckdb; PYTHON names another interpreter)")
            }
            _ => None,
        }
    }

    /// The command that prints how many rows differ; of `sqldiff`, a statement a line for each.
    pub(crate) fn command(self, format: Format, source: &Path, target: &Path) -> Result<Command> {
        let mut command = match self {
            Peer::Sqldiff => Command::new("sqldiff"),
            Peer::Attach => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(crate::ATTACH);
                command
            }
            Peer::Duckdb => {
                let mut command = python();
                let read = if format == Format::Csv { "read_csv" } else { "read_ndjson" };
                command.args(["-c", DUCKDB, &join("?", "?", read)]);
                command
            }
        };
        command.args([source, target]);
        Ok(command)
    }

    /// How many rows differ, by what it printed.
    pub(crate) fn count(self, output: &str) -> Option<u64> {
        match self {
            Peer::Sqldiff => Some(output.lines().count() as u64),
            Peer::Attach | Peer::Duckdb => output.trim().parse().ok(),
        }
    }
}

/// Joins both files in SQLite: what is not or not the same in the target, and what is not in the source.
pub(crate) fn attach(source: &Path, target: &Path) -> Result<i64> {
    let connection = rusqlite::Connection::open(source)?;
    connection.execute("ATTACH ? AS target", [target.to_string_lossy()])?;
    let differ = differ("IS NOT");
    let here = format!(
        "SELECT count(*) FROM orders s LEFT JOIN target.orders t ON s.id = t.id WHERE t.id IS NULL OR {differ}"
    );
    let there = "SELECT count(*) FROM target.orders t LEFT JOIN main.orders s ON s.id = t.id WHERE s.id IS NULL";
    let count = |query: &str| connection.query_row(query, [], |it| it.get::<_, i64>(0));
    Ok(count(&here)? + count(there)?)
}

const DUCKDB: &str = "import sys, duckdb; duckdb.execute('SET enable_progress_bar = false'); \
    print(duckdb.execute(sys.argv[1], sys.argv[2:4]).fetchone()[0])";

fn join(source: &str, target: &str, read: &str) -> String {
    let differ = differ("IS DISTINCT FROM");
    format!(
        "SELECT count(*) FROM {read}({source}) s FULL JOIN {read}({target}) t ON s.id = t.id WHERE s.id IS NULL OR t.id IS NULL OR {differ}"
    )
}

fn differ(operator: &str) -> String {
    let each = COLUMNS.iter().skip(1).map(|(name, _)| format!("s.{name} {operator} t.{name}"));
    each.collect::<Vec<_>>().join(" OR ")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment where tools are")]
fn python() -> Command {
    Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}
