//! The same rows from the same SQLite file into the same table of Postgres, by others.

use crate::Result;
use std::{
    env,
    process::{Command, Stdio},
};

/// Reads SQLite and writes Postgres, with the casts that the table needs by hand.
const DUCKDB: &str = "import sys, duckdb; from duckdb_extensions import import_extension
for it in ('sqlite_scanner', 'postgres_scanner'): import_extension(it); duckdb.execute('LOAD ' + it)
duckdb.execute('SET enable_progress_bar = false'); duckdb.execute('SET sqlite_all_varchar = true')
duckdb.execute(f\"ATTACH '{sys.argv[1]}' AS source (TYPE sqlite, READ_ONLY)\")
duckdb.execute(f\"ATTACH '{sys.argv[2]}' AS target (TYPE postgres)\")
duckdb.execute('INSERT INTO target.orders SELECT id::BIGINT, uuid::UUID, email, status, amount::DECIMAL(12,2), quantity::INTEGER, '
    'active::INTEGER::BOOLEAN, created_at::TIMESTAMP, note, meta::JSON FROM source.orders')";

/// `pgloader`, which Debian has as a package. It only loads: the table is there.
pub(crate) fn pgloader(from: &str, into: &str) -> Result<()> {
    let mut command = Command::new("pgloader");
    command.args(["--with", "data only", &format!("sqlite://{from}"), &into.replacen("postgres:", "postgresql:", 1)]);
    done(command, "pgloader")
}

/// DuckDB's Python package with its readers of both.
#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment where tools are")]
pub(crate) fn duckdb(from: &str, into: &str) -> Result<()> {
    let mut command = Command::new(env::var_os("PYTHON").unwrap_or_else(|| "python3".into()));
    command.args(["-c", DUCKDB, from, into]);
    done(command, "DuckDB")
}

fn done(mut command: Command, name: &str) -> Result<()> {
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if ended.success() { Ok(()) } else { Err(format!("{name} failed").into()) }
}
