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
    /// The same between Postgres and a SQLite file, whose values are brought into the form of the server's by hand.
    Normalised,
}

impl Peer {
    /// Everybody.
    pub(crate) const ALL: [Peer; 3] = [Peer::Reladiff, Peer::Duckdb, Peer::Normalised];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Reladiff => "reladiff -j4",
            Peer::Duckdb => "DuckDB",
            Peer::Normalised => "DuckDB with casts by hand",
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
            Peer::Normalised if !there(&format!("{READER}; {SQLITE}")) => Some(
                "DuckDB's reader of SQLite is not installed beside that of Postgres for python3 (PyPI: \
                 duckdb-extension-sqlite-scanner)",
            ),
            _ => None,
        }
    }

    /// Whether it can be asked about such tables, and gives the answer that is looked for.
    pub(crate) fn answers(self, layout: Layout, sqlite: bool) -> bool {
        layout == Layout::Number && sqlite == (self == Peer::Normalised)
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
                let attach = format!("{READER}; {BEGIN}; {ATTACH}; {PRINT}");
                command.args(["-c", &attach, source, target, &join("target.public.orders", differ)]);
            }
            Peer::Normalised => {
                let attach = format!("{READER}; {SQLITE}; {BEGIN}; {ATTACH_SQLITE}; {PRINT}");
                command.args(["-c", &attach, source, target, &join("target.orders", differ_normalised)]);
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
            Peer::Duckdb | Peer::Normalised => output.trim().parse().ok(),
        }
    }
}

/// The package brings what would else be fetched at run time.
const READER: &str = "import sys, duckdb; from duckdb_extensions import import_extension; \
    import_extension('postgres_scanner'); duckdb.execute('LOAD postgres_scanner')";

const SQLITE: &str = "import_extension('sqlite_scanner'); duckdb.execute('LOAD sqlite_scanner')";

const BEGIN: &str = "duckdb.execute('SET enable_progress_bar = false'); \
    duckdb.execute(f\"ATTACH '{sys.argv[1]}' AS source (TYPE postgres, READ_ONLY)\")";

const ATTACH: &str = "duckdb.execute(f\"ATTACH '{sys.argv[2]}' AS target (TYPE postgres, READ_ONLY)\")";

/// A file may hold any value in any column, so all are taken as text and cast.
const ATTACH_SQLITE: &str = "duckdb.execute('SET sqlite_all_varchar = true'); \
    duckdb.execute(f\"ATTACH '{sys.argv[2]}' AS target (TYPE sqlite, READ_ONLY)\")";

const PRINT: &str = "print(duckdb.execute(sys.argv[3]).fetchone()[0])";

fn join(target: &str, differ: fn(&str, &str) -> String) -> String {
    let each = COLUMNS.iter().skip(1).map(|(name, ty)| differ(name, ty));
    let differ = each.collect::<Vec<_>>().join(" OR ");
    format!(
        "SELECT count(*) FROM source.public.orders s FULL JOIN {target} t ON s.id = t.id::BIGINT \
         WHERE s.id IS NULL OR t.id IS NULL OR {differ}"
    )
}

fn differ(name: &str, _ty: &str) -> String {
    format!("s.{name} IS DISTINCT FROM t.{name}")
}

/// Of a document the members that this table has, as their order and the blanks between them are not the same.
fn differ_normalised(name: &str, ty: &str) -> String {
    match ty {
        "TEXT" => differ(name, ty),
        "JSON" => {
            let members = |side: &str| {
                format!("json_extract_string({side}.{name}::JSON, ['$.city', '$.score', '$.tags', '$.vip'])")
            };
            format!("{} IS DISTINCT FROM {}", members("s"), members("t"))
        }
        _ => format!("s.{name} IS DISTINCT FROM t.{name}::{ty}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment where tools are")]
fn python() -> Command {
    Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}
