//! The state of runs: `.cutover/` beside the plan, with a journal, a lock and a folder for each run.
//!
//! The journal says what was begun, how far it got, what was decided and what to do next. It is never the truth about rows:
//! whoever goes on compares again. It may be moved away at any time, and then only its memory is lost.
//!
//! All times come from the caller, as RFC 3339. Runs are written by one process, the one that holds the [`lock`]; others may
//! read, and add to the audit trail. Each
//! method that writes is one transaction.

pub mod chain;
mod guard;
mod journal;
pub mod lock;
mod phase;
mod round;
mod trail;
#[cfg(test)]
mod tests;

pub use phase::Phase;
pub use round::Round;

use crate::disk;
use crate::error::{Error, Kind, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};
use std::{
    fs::{self, OpenOptions, Permissions},
    io::ErrorKind,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// What the folder is called.
pub const FOLDER: &str = ".cutover";

/// What the journal is called in it.
const JOURNAL: &str = "journal.sqlite";

/// What the folder of the folders of runs is called in it.
const RUNS: &str = "runs";

/// The format of the journal. It is counted up with each change that an older version could not read.
const FORMAT: i64 = 1;

/// How long another process may keep the journal to itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known about the runs of the plans of one folder.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    connection: Connection,
}

/// One run, as the journal knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRecord {
    /// Its name, which [`State::new_run_id`] makes.
    pub id: String,
    /// The run that was left half way and that this one goes on with.
    pub continues: Option<String>,
    /// The file name of its plan.
    pub plan: String,
    /// BLAKE3 of the plan's text.
    pub plan_hash: String,
    /// What people call the source. Never a secret.
    pub source: String,
    /// What tells the source from every other store.
    pub source_fingerprint: String,
    /// What people call the target. Never a secret.
    pub target: String,
    /// What tells the target from every other store.
    pub target_fingerprint: String,
    /// How far it is.
    pub phase: Phase,
    /// When it began.
    pub started: String,
    /// When its process ended in good order. Nothing: it still runs, or was killed.
    pub ended: Option<String>,
    /// How its process ended: `done`, `interrupted`, an error.
    pub outcome: Option<String>,
    /// What to do next, for people.
    pub advice: Option<String>,
    /// Who began it. It goes into the audit trail, and is not read back from the journal.
    pub by: String,
}

/// What a run has to do in one table, and how much of it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// The target's name for it.
    pub name: String,
    /// Rows to insert.
    pub inserts: u64,
    /// Rows to update.
    pub updates: u64,
    /// Rows to delete.
    pub deletes: u64,
    /// Rows that are left as they are although they differ.
    pub skips: u64,
    /// Rows that differ, where the plan says to stop.
    pub conflicts: u64,
    /// Source rows that the mapping or the target refused.
    pub rejects: u64,
    /// Rows written so far. Counted by [`State::batch_done`].
    pub done_rows: u64,
    /// Batches written so far. Counted by [`State::batch_done`].
    pub batches: u64,
}

/// What was decided about one row by itself: by a person, or as an id that it was given. What a plan decides by its `conflict` is
/// only counted, in [`TableCounts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The table.
    pub table: String,
    /// The row's key as text, masked if the plan calls it secret.
    pub key: String,
    /// What there was to decide, such as `conflict`.
    pub kind: String,
    /// What was chosen, such as `overwrite`.
    pub choice: String,
    /// Who chose: `plan` or `person`.
    pub by: String,
}

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts from 1.
    pub entry: u64,
    /// When.
    pub at: String,
    /// The run that it is about.
    pub run: Option<String>,
    /// What happened.
    pub event: String,
    /// More about it, a JSON object.
    pub detail: String,
    /// Its hash, which covers the entry before.
    pub hash: String,
}

/// The outcome of a run that only looked.
pub const PREVIEW: &str = "preview";

/// The folder for the state of a plan's runs.
pub fn folder_of(plan: &Path) -> PathBuf {
    plan.parent().map_or_else(PathBuf::new, Path::to_owned).join(FOLDER)
}

/// What the journal calls a plan. Its folder is known, and may be moved with all that is in it.
pub fn plan_name(plan: &Path) -> String {
    plan.file_name().unwrap_or(plan.as_os_str()).to_string_lossy().into_owned()
}

impl State {
    /// Opens the state in that folder, and makes it where there is none: for its owner alone, and hidden from git.
    ///
    /// # Errors
    /// If it cannot be written to, or its journal is damaged or from a newer version.
    pub fn open(folder: &Path) -> Result<State> {
        let context =
            |it: std::io::Error| Error::new(Kind::File, format_args!("cannot use {}: {it}", folder.display()));
        disk::private(folder)?;
        disk::ignored(folder)?;
        let path = folder.join(JOURNAL);
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        made.and_then(|it| it.set_permissions(Permissions::from_mode(0o600))).map_err(context)?;
        let open = || {
            let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            // A log lets others read while a run writes. Where the file system cannot have one, SQLite does without.
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if format(&change)? == 0 && is_empty(&change)? {
                change.execute_batch(journal::SCHEMA)?;
                chain::begin(&change)?;
                change.pragma_update(None, "user_version", FORMAT)?;
            }
            change.commit()?;
            Ok(connection)
        };
        let connection = open().map_err(|it| failed(&path, &it))?;
        check(&path, &connection)?;
        Ok(State { folder: folder.to_owned(), connection })
    }

    /// Opens the state in that folder for reading, if there is one. Nothing is made.
    ///
    /// # Errors
    /// If its journal cannot be read, is damaged, or from a newer version.
    pub fn look(folder: &Path) -> Result<Option<State>> {
        let path = folder.join(JOURNAL);
        match fs::metadata(&path) {
            // A process that was killed between making the file and filling it leaves an empty one.
            Ok(it) if it.len() == 0 => return Ok(None),
            Ok(_) => {}
            Err(it) if it.kind() == ErrorKind::NotFound => return Ok(None),
            Err(it) => return Err(Error::new(Kind::File, format_args!("cannot read {}: {it}", path.display()))),
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|it| failed(&path, &it))?;
        if format(&connection).and_then(|it| Ok(it == 0 && is_empty(&connection)?)).map_err(|it| failed(&path, &it))? {
            return Ok(None);
        }
        check(&path, &connection)?;
        Ok(Some(State { folder: folder.to_owned(), connection }))
    }

    /// The folder that everything lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A name for a run that begins now, which no run has and no folder: `2026-11-28T11-03-33Z`, then with `-2` and so on.
    ///
    /// # Errors
    /// If `at` is no instant, or the journal cannot be read.
    pub fn new_run_id(&self, at: &str) -> Result<String> {
        let instant: jiff::Timestamp =
            at.parse().map_err(|it| Error::new(Kind::Broken, format_args!("`{at}` is no instant: {it}")))?;
        let base = instant.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
        let mut id = base.clone();
        for number in 2_u32.. {
            if self.run(&id)?.is_none() && fs::symlink_metadata(self.folder.join(RUNS).join(&id)).is_err() {
                break;
            }
            id = format!("{base}-{number}");
        }
        Ok(id)
    }

    /// The folder of a run, made if there is none, for its owner alone.
    ///
    /// # Errors
    /// If no run can be called so, or it cannot be made.
    pub fn run_folder(&self, id: &str) -> Result<PathBuf> {
        let path = self.run_folder_path(id)?;
        disk::private(&self.folder.join(RUNS))?;
        disk::private(&path)?;
        Ok(path)
    }

    /// The same, without making it.
    ///
    /// # Errors
    /// If no run can be called so.
    pub fn run_folder_path(&self, id: &str) -> Result<PathBuf> {
        // The name may have been typed, and must not lead elsewhere.
        let plain = |it: char| it.is_ascii_alphanumeric() || it == '-';
        if id.is_empty() || !id.chars().all(plain) {
            return Err(Error::new(Kind::Usage, format_args!("no run is called `{id}`; `cutover history` lists them")));
        }
        Ok(self.folder.join(RUNS).join(id))
    }
}

impl TableCounts {
    /// Rows that there are to write.
    pub fn to_write(&self) -> u64 {
        self.inserts.saturating_add(self.updates).saturating_add(self.deletes)
    }
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON")?;
    Ok(connection)
}

fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |it| it.get(0))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |it| it.get(0))
}

/// Looks whether the journal is whole and of this format.
fn check(path: &Path, connection: &Connection) -> Result<()> {
    let name = path.display();
    let found = format(connection).map_err(|it| failed(path, &it))?;
    if found > FORMAT {
        let message = format!(
            "{name} has the format {found}, and this version of cutover knows {FORMAT}: use the newer version that wrote it, or \
             move the file away; it is never the truth about rows, and only the memory of runs is lost"
        );
        return Err(Error::new(Kind::Snapshot, message));
    }
    let whole: String =
        connection.query_row("PRAGMA quick_check(1)", [], |it| it.get(0)).map_err(|it| failed(path, &it))?;
    match whole.as_str() {
        "ok" if found == FORMAT => Ok(()),
        "ok" => Err(damaged(path, &"it is no journal of cutover")),
        _ => Err(damaged(path, &whole)),
    }
}

fn damaged(path: &Path, why: &dyn std::fmt::Display) -> Error {
    let name = path.display();
    let message = format!(
        "{name} is damaged ({why}); move it away and run again: it is never the truth about rows, and only the memory of runs \
         is lost"
    );
    Error::new(Kind::Snapshot, message)
}

fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(path, error),
        _ => Error::new(Kind::File, format_args!("{}: {error}", path.display())),
    }
}
