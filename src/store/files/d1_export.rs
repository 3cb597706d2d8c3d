//! A SQL dump, as `wrangler d1 export` and the `.dump` of SQLite write it, loaded into a private database.
//!
//! A dump is a program that somebody else wrote. It may create tables, indexes and views and insert literal rows; whatever
//! else it tries is refused before SQLite sees it, and by SQLite's authorizer if it gets that far. Triggers are left out: they
//! would change rows while these are loaded.

use super::{
    input::{Input, LIMIT, Mark},
    statements::{self, Made, Statement},
};
use crate::{
    error::{Error, Kind, Result},
    store::sqlite::write::{defines, is_catalog},
};
use rusqlite::{
    Connection,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
};
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A dump that has become a SQLite database.
#[derive(Debug)]
pub struct Loaded {
    /// The database, in a file without a name: it is gone with the connection, however the process ends.
    pub connection: Connection,
    /// What a reader of the report has to know about the dump.
    pub notes: Vec<String>,
}

/// How many times larger than its dump a database may be, with its indexes.
const GROWTH: u64 = 10;

/// The bytes of a page, SQLite's default.
const PAGE: u64 = 4096;

/// What becomes of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Define,
    Insert,
    /// It says nothing about tables or rows.
    Skip,
    /// It makes a trigger.
    Trigger,
    Refuse(&'static str),
}

/// What was seen while loading.
#[derive(Default)]
struct Seen {
    tables: u64,
    triggers: u64,
    large: Option<Mark>,
    replaces: Option<Mark>,
}

/// Loads the dump at `path`.
///
/// # Errors
/// If it cannot be read, holds a statement that no dump of tables and rows needs, or SQLite refuses one.
pub fn load(path: &Path) -> Result<Loaded> {
    let failed = |it: &dyn fmt::Display| {
        Error::new(Kind::File, format_args!("cannot make a private database for {}: {it}", path.display()))
    };
    let mut input = Input::open(path, LIMIT)?;
    let inserting = Arc::new(AtomicBool::new(false));
    let size = std::fs::metadata(path).map_err(|it| failed(&it))?.len();
    let mut connection = connect(size, &inserting).map_err(|it| failed(&it))?;
    let mut seen = Seen::default();
    while let Some(statement) = statements::next(&mut input)? {
        let place = statement.place;
        if let Err(what) = run(&connection, &statement, &inserting, &mut seen) {
            return Err(input.error_at(place, what));
        }
    }
    if seen.tables == 0 {
        return Err(Error::new(Kind::Store, format_args!("{}: no CREATE TABLE in it, so no dump", path.display())));
    }
    finish(&mut connection).map_err(|it| failed(&it))?;
    Ok(Loaded { connection, notes: notes(path, &input, &seen) })
}

fn connect(size: u64, inserting: &Arc<AtomicBool>) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open("")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(LIMIT).unwrap_or(i32::MAX))?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    // Rows are loaded as they are: what a constraint says about them is for the comparison to find.
    let pragmas = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; \
        PRAGMA ignore_check_constraints = ON; BEGIN";
    // No honest dump needs more; defaults and `replace` could make gigabytes of a line.
    connection.execute_batch(&format!("PRAGMA max_page_count = {}", (size * GROWTH + (64 << 20)) / PAGE))?;
    connection.execute_batch(pragmas)?;
    let inserting = Arc::clone(inserting);
    connection.authorizer(Some(move |it: AuthContext<'_>| authorize(&it, inserting.load(Ordering::Relaxed))))?;
    Ok(connection)
}

fn finish(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    connection.execute_batch("COMMIT")
}

/// What SQLite may do while it prepares a statement; the second lock on the door, behind [`act`].
fn authorize(context: &AuthContext<'_>, inserting: bool) -> Authorization {
    let allowed = match context.action {
        _ if !inserting => defines(context),
        AuthAction::Insert { table_name } => !is_catalog(table_name),
        AuthAction::Delete { table_name } => table_name == "sqlite_sequence",
        AuthAction::Select => true,
        AuthAction::Function { function_name } => {
            ["replace", "char", "unistr"].iter().any(|it| it.eq_ignore_ascii_case(function_name))
        }
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

fn run(connection: &Connection, it: &Statement<'_>, inserting: &AtomicBool, seen: &mut Seen) -> Result<(), String> {
    match act(it) {
        Act::Define => {
            seen.tables += u64::from(it.sight.first()[1] == "TABLE");
            inserting.store(false, Ordering::Relaxed);
        }
        Act::Insert => {
            if it.sight.large {
                seen.large.get_or_insert(it.place);
            }
            if it.sight.replaces {
                seen.replaces.get_or_insert(it.place);
            }
            inserting.store(true, Ordering::Relaxed);
        }
        Act::Skip => return Ok(()),
        Act::Trigger => {
            seen.triggers += 1;
            return Ok(());
        }
        Act::Refuse(why) => return Err(format!("{} is refused: {why}", statements::begins(it.text))),
    }
    connection
        .execute_batch(it.text)
        .map_err(|error| format!("SQLite refuses {}: {error}", statements::begins(it.text)))
}

/// What becomes of a statement, by its words.
fn act(it: &Statement<'_>) -> Act {
    let sight = &it.sight;
    match sight.makes() {
        Some(Made::Trigger) => return Act::Trigger,
        Some(Made::Table | Made::Index | Made::View) => return Act::Define,
        Some(Made::Rows) => return Act::Refuse("a dump does not make tables from queries"),
        Some(Made::Virtual) => {
            return Act::Refuse("a virtual table cannot be loaded from a dump; drop it and export again");
        }
        Some(Made::Temporary) => return Act::Refuse("a dump has no temporary tables"),
        None => {}
    }
    match sight.first() {
        ["INSERT", "INTO", _] if sight.reads => Act::Refuse("a dump inserts literal rows, not what a query gives"),
        ["INSERT", "INTO", _] if sight.forgives => {
            Act::Refuse("a dump does not forgive conflicts, as rows would be lost")
        }
        // Statistics are no data.
        ["INSERT", "INTO", "SQLITE_STAT1" | "SQLITE_STAT4"] | ["ANALYZE", ..] => Act::Skip,
        ["INSERT", "INTO", _] | ["DELETE", "FROM", "SQLITE_SEQUENCE"] => Act::Insert,
        ["PRAGMA", "DEFER_FOREIGN_KEYS" | "FOREIGN_KEYS", _] => Act::Skip,
        ["BEGIN" | "COMMIT" | "END", ..] => Act::Skip,
        ["ROLLBACK", ..] => Act::Refuse("whoever wrote this dump met an error and gave up; export again"),
        _ => Act::Refuse("a dump has only CREATE TABLE, INDEX and VIEW and INSERT INTO"),
    }
}

fn notes(path: &Path, input: &Input, seen: &Seen) -> Vec<String> {
    let name = path.display();
    let mut notes = Vec::from_iter(input.notes());
    notes.push(format!(
        "{name}: this format cannot carry integers beyond 2^53, infinities, NUL, or text with a literal `\\n` exactly"
    ));
    if let Some(place) = seen.large {
        notes.push(format!("{name}:{place}: integers of 2^53 and more stand in this dump; they may have been rounded"));
    }
    if let Some(place) = seen.replaces {
        let what =
            "texts stand in this dump as `replace(...)`; in them a literal `\\n` or `\\r` has become a line break";
        notes.push(format!("{name}:{place}: {what}"));
    }
    if seen.triggers > 0 {
        notes.push(format!("{name}: triggers left out, as rows are loaded as they stand: {}", seen.triggers));
    }
    notes
}
