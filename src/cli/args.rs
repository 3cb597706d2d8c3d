//! What was typed. Nothing here looks at the world.

use crate::plan::time_span;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::styling};
use std::{path::PathBuf, time::Duration};

const EXIT_CODES: &str = "\
Exit codes:
  0    pass: everything was compared and is within the gate
  1    fail: differences beyond the gate
  2    undecided: usage, plan, connection, damaged file, or something that could not be checked
  130  interrupted";

/// What the command line may call a store, the same for every verb.
const STORES: &str = "\
A store is one of:
  PATH, KIND:PATH     a SQLite database, a D1 export (.sql), a JSON, NDJSON or CSV file, a folder of
                      them, a Vercel Edge Config export, or a snapshot; KIND says which where the
                      path does not
  postgres://…        PostgreSQL; `postgres:` alone takes all it needs from the environment
  d1:DATABASE         Cloudflare D1, by name or id
  d1-local:PATH       what `wrangler dev` keeps of it; d1-local:PATH#NAME is one of several
  kv:NAMESPACE        Cloudflare Workers KV, by title or id
  kv-local:PATH       likewise, kv-local:PATH#NAME too
  edge-config:ID      Vercel Edge Config
  https://…           JSON from any address, http:// too
  local-storage:PATH  the localStorage of a browser, Chromium or Firefox, from its profile
  env:NAME            a variable that holds one of these

Passwords and tokens come from variables, never from the command line: PGPASSWORD (or ~/.pgpass),
CLOUDFLARE_API_TOKEN beside CLOUDFLARE_ACCOUNT_ID, EDGE_CONFIG_TOKEN or EDGE_CONFIG. Variables are
those of the environment, then of .env.local and .env in this folder.";

const EXAMPLES: &str = "\
Examples:
  cutover diff old.sqlite new.sqlite
  cutover diff postgres://reader@db.example/shop d1:shop
  cutover capture env:DATABASE_URL before
  cutover test-connection kv:USERS edge-config:ecfg_1 https://app.example/api/config
  cutover verify prod.toml --output report";

/// What stands below the options of a verb that takes stores.
fn help(examples: &str) -> String {
    format!("{examples}\n\n{STORES}")
}

/// What stands below the list of verbs.
fn overview() -> String {
    format!("{EXAMPLES}\n\n{EXIT_CODES}\n\n`cutover diff --help` says what a store may be.")
}

/// What stands below the options of a verb that gives a verdict.
fn judging(rest: &str) -> String {
    format!("{rest}\n\n{EXIT_CODES}")
}

/// Proves that a data migration lost nothing before anyone cuts over.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = overview(), styles = styles())]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub(super) color: Color,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a migration against its plan.
    #[command(after_help = judging("\
Examples:
  cutover verify                          check cutover.toml in this folder
  cutover verify prod.toml --format json  for another program
  cutover verify --output report          with every finding in report/findings/
  cutover verify --recheck 5              while the last rows still arrive"))]
    Verify(Verify),
    /// Check the rows of one store, or of a mapped source, against types, keys, references and rules.
    #[command(after_help = help("\
Examples:
  cutover validate                        what the mapping of cutover.toml makes of its source
  cutover validate target --plan prod.toml
  cutover validate app.sqlite --format json

Exit codes:
  0    no row breaks a rule
  1    some do
  2    undecided: something could not be checked"))]
    Validate(super::validate::ValidateArgs),
    /// Say what new fields of a plan would touch: how many rows of the target lack each.
    #[command(after_help = "\
Examples:
  cutover fields
  cutover fields prod.toml --format json --limit 1000   with newFields and needsMigration of each row

Exit codes:
  0    no row needs migration
  1    some do
  2    undecided: something could not be compared")]
    Fields(super::fields::FieldsArgs),
    /// Make a script with which a browser clears its localStorage.
    #[command(after_help = "\
Examples:
  cutover clear > clear.js
  cutover clear prod.toml --output prod.js

Both sides are compared first. No profile is written to: paste the script into the console of a page of the
application. It removes the entries of which the plan makes rows, each as a whole and only if its value is still
what was compared, and says which it has removed.

Exit codes:
  0    the target has all of it
  1    it has not: nothing is to be removed
  2    undecided: something could not be compared")]
    Clear(super::clear::ClearArgs),
    /// Check a migration again and again, until it may be cut over.
    #[command(after_help = super::watch::HELP)]
    Watch(super::watch::WatchArgs),
    /// Run a migration: back up, write, prove it, and undo it if it fails.
    #[command(after_help = judging("\
Examples:
  cutover migrate --dry-run               what would be written, table by table
  cutover migrate                         write, read back and compare; undo if that fails
  cutover migrate prod.toml --continue-on-error --batch-size 50 --batch-delay 500ms
  cutover migrate                         again: goes on where a run ended, or finds nothing to do"))]
    Migrate(super::migrate::MigrateArgs),
    /// Write what the last run of a plan left out or did not get to.
    #[command(after_help = judging("\
Examples:
  cutover retry                           once the cause is mended; writes only what is missing or differs
  cutover retry --dry-run                 what that would be"))]
    Retry(super::migrate::MigrateArgs),
    /// Undo a run: put back what it overwrote, remove what it inserted.
    #[command(after_help = judging("\
Examples:
  cutover rollback                        what undoing the last run would do
  cutover rollback --confirm              do it
  cutover rollback --run 2026-01-18T09-30-00Z --tables orders,products --confirm

Rows that somebody has changed since are left as they are, and listed."))]
    Rollback(super::migrate::rollback::RollbackArgs),
    /// Make a patch that brings the target to what the mapped source says, or do it.
    #[command(after_help = "\
Examples:
  cutover repair > patch.sql              what would bring the target there
  cutover repair --output patch.sql --undo undo.sql
  cutover repair --apply                  do it, read it back and compare; `cutover rollback` undoes it

For SQLite, D1 and Postgres the patch is a script, for stores of documents a line for each row with a
JSON Patch. Rows that only the target has are listed and left.

Exit codes:
  0    nothing is to be repaired, or it was
  1    a patch was written, or what was applied did not pass and was undone
  2    undecided
  130  interrupted")]
    Repair(super::migrate::repair::RepairArgs),
    /// Compare two stores without a plan.
    #[command(after_help = judging(&help("\
Examples:
  cutover diff old.sqlite new.sqlite
  cutover diff export/ new.sqlite --key users=email --ignore updated_at
  cutover diff users.csv users.ndjson --key id
  cutover diff old.sqlite d1-export.sql --map Orders=order_v2 --map Orders.Total=total_amount
  cutover diff env:DATABASE_URL d1:shop --recheck 5      live, while rows still arrive

Options that name tables or columns may be given several times.")))]
    Diff(Diff),
    /// Write a store's rows to a snapshot folder.
    #[command(after_help = help("\
Examples:
  cutover capture app.sqlite before
  cutover diff before app.sqlite                  what has changed since
  cutover capture kv:USERS before --rate 20       a live store, asked gently
  cutover capture target after --plan prod.toml   with the plan's secret columns masked"))]
    Capture(Capture),
    /// Write a store's rows as JSON, lines of JSON, CSV or SQL.
    #[command(after_help = help("\
Examples:
  cutover export app.sqlite --format json --output export     a file for each table
  cutover export d1:shop --format sql --output shop.sql       loads with `sqlite3 new.db < shop.sql`
  cutover export app.sqlite --format ndjson --only users --output - | jq .email
  cutover export target --plan prod.toml --format csv --null NULL --output export

What is written is read back and compared with the rows; what a format cannot hold exactly is refused.
With --plan, columns that it calls secret are masked, unless --reveal is said. Files are their owner's alone."))]
    Export(super::export::ExportArgs),
    /// Take backups of stores, list, check and remove them.
    Backup(super::backup::BackupArgs),
    /// Say what stores hold, and which tables of a plan pair, without reading rows.
    #[command(after_help = help("\
Examples:
  cutover info                            both stores of cutover.toml in this folder
  cutover info app.sqlite --detailed      its tables, with columns, types and constraints
  cutover info env:DATABASE_URL d1:shop"))]
    Info(Info),
    /// Say what the tables of stores hold: sizes, types, how many different values, formats, and where time goes.
    #[command(after_help = help("\
Examples:
  cutover analyze app.sqlite              each table and column, in one pass
  cutover analyze                         both stores of cutover.toml, its secret columns masked
  cutover analyze --profile               and where the time of a verification goes
  cutover analyze env:DATABASE_URL --only users,orders --format json"))]
    Analyze(super::analyze::Analyze),
    /// Measure how a plan's stores are read, and propose how large batches should be.
    #[command(after_help = "\
Examples:
  cutover optimize                        reads some rows of each table, writes nothing
  cutover optimize --probe-writes         also writes a scratch file beside a target that is a file
  cutover optimize prod.toml --rows 1000 --format json

The target is never written to.")]
    Optimize(super::optimize::Optimize),
    /// Say whether stores can be reached and read, and what this user may do there.
    #[command(after_help = help("\
Examples:
  cutover test-connection                 both stores of cutover.toml in this folder
  cutover test-connection prod.toml --format json
  cutover test-connection env:DATABASE_URL d1:shop

The exit code is 0 when all of them can be read, 2 otherwise. Nothing secret is shown."))]
    TestConnection(TestConnection),
    /// Show a store, one of its tables, or one row.
    #[command(after_help = help("\
Examples:
  cutover show before                    its tables, with their rows counted
  cutover show before users              the first rows of one
  cutover show before users 42           the row with that key
  cutover show app.sqlite users --format json --limit 1000"))]
    Show(Show),
    #[command(flatten)]
    State(super::state::Verb),
    /// Report every problem of a plan at once, without comparing anything.
    Check(CheckPlan),
    /// Write a commented plan for two stores.
    #[command(after_help = help("\
Examples:
  cutover init export.json site.db       writes cutover.toml here
  cutover init old.sqlite new.sqlite --output -"))]
    Init(Init),
    /// Print the JSON Schema of the plan, for editors.
    #[command(after_help = "\
Example:
  cutover schema > cutover.schema.json

Then put `#:schema ./cutover.schema.json` on the first line of the plan.")]
    Schema,
    /// Print completions for a shell.
    Completions {
        /// Which one.
        shell: clap_complete::Shell,
    },
}

/// `cutover capture`.
#[derive(Debug, Args)]
pub(super) struct Capture {
    /// The store, or `source` or `target` of the plan.
    pub(super) store: String,
    /// The folder to make.
    pub(super) folder: PathBuf,
    /// The plan that says where `source` and `target` are.
    #[arg(long, value_name = "PLAN")]
    pub(super) plan: Option<PathBuf>,
    /// Take the place of a snapshot that is already there.
    #[arg(long)]
    pub(super) replace: bool,
    /// A column whose values shall not be readable in the snapshot. With CUTOVER_MASK_KEY set, each value becomes a keyed
    /// hash, so that snapshots still compare.
    #[arg(long, value_name = "TABLE.COLUMN")]
    pub(super) mask: Vec<String>,
    #[command(flatten)]
    pub(super) means: Means,
    /// Say nothing but errors.
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// `cutover info`.
#[derive(Debug, Args)]
pub(super) struct Info {
    /// Stores, or one plan (.toml). Without any, `cutover.toml`.
    #[arg(value_name = "PLAN | STORE")]
    pub(super) stores: Vec<String>,
    /// Columns with their types, constraints, what each store says about itself, and for a plan what there is around it: this
    /// program, the plan's hash, runs, and what the target takes.
    #[arg(long)]
    pub(super) detailed: bool,
    /// How to write it. As JSON it has the format `cutover-info/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// `cutover test-connection`.
#[derive(Debug, Args)]
pub(super) struct TestConnection {
    /// Stores, or one plan (.toml). Without any, `cutover.toml`.
    #[arg(value_name = "PLAN | STORE")]
    pub(super) stores: Vec<String>,
    /// How to write it. As JSON it has the format `cutover-connection/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// `cutover show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The store.
    pub(super) store: String,
    /// The table to show.
    pub(super) table: Option<String>,
    /// The key of one row, a value for each key column.
    pub(super) key: Vec<String>,
    /// How to write it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
    /// Rows to show at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// `cutover check`.
#[derive(Debug, Args)]
pub(super) struct CheckPlan {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    pub(super) plan: PathBuf,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// `cutover init`.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// Where the rows come from.
    pub(super) source: String,
    /// Where they should have arrived.
    pub(super) target: String,
    /// The file to write; `-` for standard output.
    #[arg(long, short, value_name = "FILE", default_value = "cutover.toml")]
    pub(super) output: PathBuf,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// `cutover verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The plan.
    #[arg(default_value = "cutover.toml")]
    pub(super) plan: PathBuf,
    #[command(flatten)]
    pub(super) moving: Moving,
    #[command(flatten)]
    pub(super) limits: Limits,
    #[command(flatten)]
    pub(super) logging: super::log::Logging,
    #[command(flatten)]
    pub(super) output: Output,
}

/// `cutover diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// Where the rows come from.
    pub(super) source: String,
    /// Where they should have arrived.
    pub(super) target: String,
    /// The columns that identify a row: COLUMN,… for all tables, TABLE=COLUMN,… for one. An empty list: none do, and rows are
    /// compared whole.
    #[arg(long, value_name = "[TABLE=]COLUMNS")]
    pub(super) key: Vec<String>,
    /// A column that is not compared.
    #[arg(long, value_name = "[TABLE.]COLUMN")]
    pub(super) ignore: Vec<String>,
    /// Compare this table only, and others that are named so.
    #[arg(long, value_name = "TABLE")]
    pub(super) only: Vec<String>,
    /// Pair a table, or a column of a table, whose names differ: SOURCE=TARGET or SOURCE.COLUMN=COLUMN.
    #[arg(long, value_name = "SOURCE=TARGET")]
    pub(super) map: Vec<String>,
    /// A table that may be empty on both sides, or `all`.
    #[arg(long, value_name = "TABLE")]
    pub(super) allow_empty: Vec<String>,
    /// The CSV field that stands for NULL.
    #[arg(long, value_name = "TEXT")]
    pub(super) null: Option<String>,
    /// Compare views as if they were tables.
    #[arg(long)]
    pub(super) views: bool,
    #[command(flatten)]
    pub(super) moving: Moving,
    #[command(flatten)]
    pub(super) limits: Limits,
    #[command(flatten)]
    pub(super) output: Output,
}

/// What a run may use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Limits {
    #[command(flatten)]
    pub(super) means: Means,
    /// Examples of findings to keep for each table. Counts are always exact.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
}

/// What a verb may use of this machine and of the stores.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Means {
    /// Memory for sorting and for constraints; more goes to temporary files.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub(super) memory: usize,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// How hard a store may be asked: the same for every verb that reads one.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Asking {
    /// Threads that may read; each table that is compared takes two. As many as there are cores, if not said. If said, a large
    /// table of Postgres is read by as many connections.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: Option<u16>,
    /// Requests that each store reached by HTTP gets in a second, at most. If not said, D1 and Workers KV get as many as
    /// Cloudflare allows, others as many as they answer.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
}

/// What to do about rows that are still on their way.
#[derive(Debug, Args)]
#[command(next_help_heading = "Moving data")]
pub(super) struct Moving {
    /// Look again at the rows that differ, up to N times. The verdict is that of the last look.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) recheck: u32,
    /// How long to wait before each look: 500ms, 2s, 1m.
    #[arg(long, value_name = "D", default_value = "5s", value_parser = delay)]
    pub(super) recheck_delay: Duration,
}

/// What comes out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// How to write the report to standard output. As JSON it has the format `cutover-report/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
    /// Also write report.json, report.txt and every finding into this folder.
    #[arg(long, short, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Only the verdict and its reasons.
    #[arg(long, short, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Every example, the witnesses of each table, and how long it took.
    #[arg(long, short)]
    pub(super) verbose: bool,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A number of bytes: `512MiB`, `2GiB`, `64M`, `1000000`. At least 8 MiB.
fn size(text: &str) -> Result<usize, String> {
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("write a size such as 512MiB or 2GiB".to_owned()),
    };
    let bytes = number.parse::<usize>().ok().and_then(|it| it.checked_mul(scale));
    bytes.filter(|it| *it >= 8 << 20).ok_or_else(|| "write a size of at least 8MiB".to_owned())
}

/// A number of requests a second: `20`, `0.5`.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|it| (0.001..=1e6).contains(it));
    rate.ok_or_else(|| "write a number of requests a second, such as 20 or 0.5".to_owned())
}

/// A time to wait: `500ms`, `2s`, `1m`, at most a day.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    time_span(text).ok_or_else(|| "write a time such as 500ms, 2s or 1m, at most 1440m".to_owned())
}

fn styles() -> styling::Styles {
    let heading = styling::AnsiColor::Green.on_default().bold();
    let literal = styling::AnsiColor::Cyan.on_default().bold();
    styling::Styles::styled()
        .header(heading)
        .usage(heading)
        .literal(literal)
        .placeholder(styling::AnsiColor::Cyan.on_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn delays() {
        for (text, expect) in [("0s", 0), ("500ms", 500), ("2s", 2000), ("1m", 60_000), ("1440m", 86_400_000)] {
            assert_eq!(delay(text).ok(), Some(Duration::from_millis(expect)), "{text}");
        }
        for bad in ["", "5", "s", "1h", "1.5s", "-1s", "1441m", "99999999999999999999m"] {
            assert!(delay(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expect) in [("64MiB", Some(64 << 20)), ("1g", Some(1 << 30)), ("9000000", Some(9_000_000))] {
            assert_eq!(size(text).ok(), expect, "{text}");
        }
        for bad in ["", "x", "1", "64 parsecs", "99999999999999999999g"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
