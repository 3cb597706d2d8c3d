//! What went wrong while something was written, and whether it may go through later.

use super::super::failure;
use super::spot::Spot;
use crate::error::{Error, Kind};
use tokio_postgres::error::DbError;

/// What stopped a batch.
pub(super) enum Fault {
    /// A value that we do not write, or a table that is not as it was.
    Ours(Error),
    /// The server, or the way to it.
    Server(tokio_postgres::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Ours(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Server(error)
    }
}

impl Fault {
    /// Whether a row is there already that must not be there twice.
    pub(super) fn is_clash(&self) -> bool {
        matches!(self, Fault::Server(it) if it.code().is_some_and(|it| it.code() == "23505"))
    }

    /// For whoever has to do something about it. `committing`: the server had been told to make it last.
    #[cold]
    pub(super) fn told(self, spot: &Spot, committing: bool) -> Error {
        let context = format!("cannot write to table `{}`", spot.name);
        let error = match self {
            Fault::Ours(error) => return error.context(context),
            Fault::Server(error) => error,
        };
        let mut kind = kind(&error);
        if committing && is_lost(&error) {
            kind = Kind::Unsure;
        }
        let advice = match error.code().map(|it| it.code()) {
            Some("42501") => format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO the role, and GRANT TEMPORARY on the database; what row-level \
                 security keeps out needs a role with BYPASSRLS",
                spot.into
            ),
            _ => String::new(),
        };
        told(kind, &error, &advice).context(context)
    }
}

/// An error of the server's of that kind, with where it was and what to do.
#[cold]
pub(super) fn told(kind: Kind, error: &tokio_postgres::Error, advice: &str) -> Error {
    let Some(said) = error.as_db_error() else { return failure::told(kind, error) };
    let mut message = failure::words(said);
    if let Some(columns) = said.detail().and_then(columns) {
        message = format!("{message} ({columns})");
    }
    if let Some(column) = said.column().filter(|it| !message.contains(*it)) {
        message = format!("{message}, column `{column}`");
    }
    if let Some(place) = said.where_().and_then(place) {
        message = format!("{message}, in {place} of the batch");
    }
    message = format!("{message} (SQLSTATE {})", said.code().code());
    if advice.is_empty() { Error::new(kind, message) } else { Error::new(kind, format_args!("{message}: {advice}")) }
}

/// What an error means to who writes.
pub(super) fn kind(error: &tokio_postgres::Error) -> Kind {
    let Some(said) = error.as_db_error() else { return Kind::Busy };
    match said.code().code() {
        // Of a database that is gone nothing can be expected.
        "57P04" => Kind::Store,
        "55P03" | "55006" | "25P03" | "25P04" => Kind::Busy,
        // A name that is too long, and what a trigger refuses.
        "42622" | "P0001" => Kind::Row,
        code => match code.get(..2) {
            Some("08" | "40" | "53" | "57") => Kind::Busy,
            Some("22" | "23" | "44" | "54") => Kind::Row,
            _ => Kind::Store,
        },
    }
}

/// Whether nobody knows what the server made of the last thing that it was told.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none_or(|it| is_fatal(it) || matches!(it.code().code().get(..2), Some("08" | "57")))
}

fn is_fatal(said: &DbError) -> bool {
    matches!(said.severity(), "FATAL" | "PANIC")
}

/// The columns of `Key (a, b)=(1, 2) already exists.`, without the values.
fn columns(detail: &str) -> Option<String> {
    let from = detail.find('(')? + 1;
    let to = detail.find(")=(")?;
    detail.get(from..to).map(str::to_owned)
}

/// The row of `COPY t, line 3, column c`. A server may say it in another language.
fn place(context: &str) -> Option<String> {
    let rest = context.strip_prefix("COPY ")?.split_once(", line ")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let row = format!("row {digits}");
    let column = rest.get(digits.len()..)?.strip_prefix(", column ").map(|it| it.lines().next().unwrap_or_default());
    let column = column.map(|it| it.split(": ").next().unwrap_or_default());
    Some(column.map_or(row.clone(), |it| format!("{row}, column `{it}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_adds() {
        assert_eq!(columns("Key (a, b)=(1, (2)) already exists.").as_deref(), Some("a, b"));
        assert_eq!(columns("Failing row contains (1, s3cret)."), None);
        let check = |context: &str, expect: Option<&str>| assert_eq!(place(context).as_deref(), expect, "{context}");
        check("COPY t, line 3, column c", Some("row 3, column `c`"));
        check("COPY t, line 17", Some("row 17"));
        check("COPY t, line 3, column c: \"s3cret\"", Some("row 3, column `c`"));
        check("SQL statement", None);
    }
}
