//! The same question put to others: in how many rows do these two tables differ?

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use crate::{data::Layout, generate::COLUMNS};

/// Another way to compare two tables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// `reladiff` with four threads: checksums of ranges, made by the server.
    Reladiff,
    /// A full outer join in DuckDB's Python package, with its reader of Postgres.
    Duckdb,
}

impl Peer {
    /// Everybody.
    pub(crate) const ALL: [Peer; 2] = [Peer::Reladiff, Peer::Duckdb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Reladiff => "reladiff -j4",
            Peer::Duckdb => "DuckDB",
        }
    }

    /// Why it cannot be asked here, if so.
    pub(crate) fn absent(self) -> Option<&'static str> {
        let there = |code: &str| {
            let mut command = python();
            command.args(["-c", code]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|it| it.success())
        };
        match self {
            Peer::Reladiff if !there("import reladiff, psycopg2") => Some(
                "`reladiff` is not installed for python3 (PyPI: reladiff[postgresql]; PYTHON names another interpreter)",
            ),
            Peer::Duckdb if !there(READER) => Some(
                "DuckDB's reader of Postgres is not installed for python3 (PyPI: duckdb, duckdb-extensions, \
                 duckdb-extension-postgres-scanner; PYTHON names another interpreter)",
            ),
            _ => None,
        }
    }

    /// Whether it can be asked about such tables, and gives the answer that is looked for.
    pub(crate) fn answers(self, layout: Layout, sqlite: bool) -> bool {
        layout == Layout::Number && !sqlite
    }

    /// The command that says how many rows differ.
    pub(crate) fn command(self, source: &str, target: &str) -> Command {
        let mut command = python();
        match self {
            Peer::Reladiff => {
                // It knows the longer name of the scheme alone.
                let [source, target] = [source, target].map(|it| it.replacen("postgres:", "postgresql:", 1));
                // It breaks lines where the terminal ends.
                command.env("COLUMNS", "100000");
                command.args([
                    "-m",
                    "reladiff",
                    &source,
                    "orders",
                    &target,
                    "orders",
                    "-k",
                    "id",
                    "-c",
                    "%",
                    "-j",
                    "4",
                    "--json",
                    "--skip-sort-results",
                ]);
            }
            Peer::Duckdb => {
                command.args(["-c", &format!("{READER}; {ATTACH}"), source, target, &join()]);
            }
        }
        command
    }

    /// How many rows differ, by what it printed.
    pub(crate) fn count(self, output: &str) -> Option<u64> {
        match self {
            // A line for each side of a row: `["-", ["5000000000", …]]`.
            Peer::Reladiff => {
                let key = |line: &str| {
                    let (_, row): (String, Vec<serde_json::Value>) = serde_json::from_str(line).ok()?;
                    row.first().map(ToString::to_string)
                };
                let keys: Option<BTreeSet<_>> = output.lines().filter(|it| it.starts_with("[\"")).map(key).collect();
                keys.map(|it| it.len() as u64)
            }
            Peer::Duckdb => output.trim().parse().ok(),
        }
    }
}

/// The package brings what would else be fetched at run time.
const READER: &str = "import sys, duckdb; from duckdb_extensions import import_extension; \
    import_extension('postgres_scanner'); duckdb.execute('LOAD postgres_scanner')";

const ATTACH: &str = "duckdb.execute('SET enable_progress_bar = false'); \
    duckdb.execute(f\"ATTACH '{sys.argv[1]}' AS source (TYPE postgres, READ_ONLY)\"); \
    duckdb.execute(f\"ATTACH '{sys.argv[2]}' AS target (TYPE postgres, READ_ONLY)\"); \
    print(duckdb.execute(sys.argv[3]).fetchone()[0])";

fn join() -> String {
    let each = COLUMNS.iter().skip(1).map(|(name, _)| format!("s.{name} IS DISTINCT FROM t.{name}"));
    let differ = each.collect::<Vec<_>>().join(" OR ");
    format!(
        "SELECT count(*) FROM source.public.orders s FULL JOIN target.public.orders t ON s.id = t.id \
         WHERE s.id IS NULL OR t.id IS NULL OR {differ}"
    )
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment where tools are")]
fn python() -> Command {
    Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}
