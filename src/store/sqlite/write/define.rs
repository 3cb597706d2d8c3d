//! Tables that a schema says, made where they are not there yet.

use super::{SqliteTarget, failed};
use crate::{
    error::{Error, Kind, Result},
    store::files::statements::{self, Cut, Made},
};
use rusqlite::{
    Connection, ErrorCode as Code,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::path::Path;

/// Makes all that `schema` says and is not there, or nothing.
///
/// What a statement may do is said twice: by its words here, and by what SQLite finds in it when it prepares it.
pub(super) fn create(target: &mut SqliteTarget, schema: &str) -> Result<()> {
    let all = statements::all("schema", schema).map_err(|it| Error::new(Kind::Plan, it))?;
    let wanted: Vec<&Cut> = all.iter().filter(|it| !says_nothing(it)).collect();
    wanted.iter().try_for_each(|it| may(it))?;
    let allow = |it: AuthContext<'_>| match it.action {
        AuthAction::CreateTrigger { .. } | AuthAction::Transaction { .. } => Authorization::Allow,
        _ if defines(&it) => Authorization::Allow,
        _ => Authorization::Deny,
    };
    target.connection.authorizer(Some(allow)).map_err(|it| failed(&target.path, &it))?;
    let done = target.whole(|connection| wanted.iter().try_for_each(|it| run(connection, it)));
    let open = target.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    done.and(open.map_err(|it| failed(&target.path, &it)))
}

/// Makes the index again that this statement once made, if its table is still there.
pub(super) fn index(connection: &Connection, made: &str) -> Result<()> {
    match &statements::all("index", made)?[..] {
        [one] if one.makes == Some(Made::Index) => match connection.prepare(&one.text) {
            Err(error) if says(&error, "no such table", "") => Ok(()),
            _ => run(connection, one),
        },
        _ => Err(Error::new(Kind::Store, "what is noted of it is no statement that makes an index")),
    }
}

/// Statements that a dump has around its tables. Whatever they ask for is the case.
fn says_nothing(it: &Cut) -> bool {
    let words: Vec<&str> = it.words.iter().map(String::as_str).collect();
    matches!(
        words[..],
        ["BEGIN" | "COMMIT" | "END" | "ANALYZE", ..] | ["PRAGMA", "DEFER_FOREIGN_KEYS" | "FOREIGN_KEYS", ..]
    )
}

fn may(it: &Cut) -> Result<()> {
    let why = match it.makes {
        Some(Made::Table | Made::Index | Made::View | Made::Trigger) => return Ok(()),
        Some(Made::Rows) => "a schema does not make tables from queries",
        Some(Made::Virtual) => "virtual tables cannot be written to, so make it yourself",
        Some(Made::Temporary) => "temporary tables are gone at the end",
        None => "a schema has only CREATE TABLE, INDEX, VIEW and TRIGGER",
    };
    Err(Error::new(Kind::Plan, format_args!("{}: {} is refused: {why}", it.place, it.begins)))
}

fn run(connection: &Connection, it: &Cut) -> Result<()> {
    let noun = match it.makes {
        Some(Made::Index) => "index ",
        Some(Made::View) => "view ",
        Some(Made::Trigger) => "trigger ",
        _ => "table ",
    };
    match connection.execute(&it.text, []) {
        Ok(_) => Ok(()),
        // SQLite knows what it has better than whoever reads the statement.
        Err(error) if says(&error, noun, "already exists") => Ok(()),
        Err(error) => {
            let path = Path::new(connection.path().unwrap_or_default());
            let failed = failed(path, &error);
            let (place, begins) = (&it.place, &it.begins);
            let refused = matches!(error, rusqlite::Error::SqlInputError { .. })
                || matches!(error.sqlite_error_code(), Some(Code::Unknown | Code::AuthorizationForStatementDenied));
            Err(match message(&error) {
                Some(it) if refused => Error::new(Kind::Plan, format_args!("{place}: SQLite refuses {begins}: {it}")),
                // Rows that are there already break what it declares.
                Some(it) if failed.kind() == Kind::Row => {
                    Error::new(Kind::Store, format_args!("{place}: {begins}: {it}"))
                }
                _ => failed.context(format_args!("{place}: {begins}")),
            })
        }
    }
}

/// Whether the message of an error begins and ends so. There is no code for what is meant.
fn says(error: &rusqlite::Error, begin: &str, end: &str) -> bool {
    message(error).is_some_and(|it| it.starts_with(begin) && it.ends_with(end))
}

/// What SQLite says, without the statement.
fn message(error: &rusqlite::Error) -> Option<&str> {
    match error {
        rusqlite::Error::SqliteFailure(_, text) => text.as_deref(),
        rusqlite::Error::SqlInputError { msg, .. } => Some(msg),
        _ => None,
    }
}

/// Whether a definition needs what SQLite is about to do.
pub(in crate::store) fn defines(context: &AuthContext<'_>) -> bool {
    match context.action {
        AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. } => is_catalog(table_name),
        // A definition may name functions in constraints and defaults. None of them is called now.
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        AuthAction::Select
        | AuthAction::CreateTable { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::Read { .. } => true,
        _ => false,
    }
}

/// Whether a table is the one in which SQLite keeps its schema.
pub(in crate::store) fn is_catalog(table: &str) -> bool {
    matches!(table, "sqlite_master" | "sqlite_schema")
}
