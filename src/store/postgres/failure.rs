//! What goes wrong at the server, with what to do about it.

use crate::error::{Error, Kind};
use std::{error, fmt};
use tokio_postgres::error::DbError;

/// What to do, by the SQLSTATE of PostgreSQL's appendix A or the class it begins with.
const ADVICE: [(&str, &str); 21] = [
    ("26000", POOLER),
    ("42P05", POOLER),
    ("40001", "a standby could not keep the snapshot; raise max_standby_streaming_delay, or read the primary"),
    ("40P01", "run again"),
    ("42501", "grant the role what it lacks, or connect as another one"),
    ("42P01", "the table went away while it was being read; run again"),
    ("42703", "the table was altered while it was being read; run again"),
    ("25006", "only what reads is allowed"),
    ("25P03", "raise idle_in_transaction_session_timeout for this role"),
    ("53300", "wait for others to leave, or read with fewer `--threads`"),
    ("53", "the server is short of something; run again later, or with fewer `--threads`"),
    ("55P03", "another session holds a lock, such as an ALTER TABLE; run again when that has finished"),
    ("57014", "it took too long or somebody cancelled it; raise statement_timeout for this role"),
    ("57P01", "an administrator ended the connection; run again"),
    ("57P03", "the server starts up or shuts down; run again later"),
    ("57", "the server is being operated on; run again later"),
    ("22P05", "a character has no counterpart in UTF-8: repair it, or leave the column out"),
    ("XX001", "the table's file is damaged: restore it, or find the rows with amcheck"),
    ("XX002", "an index is damaged: REINDEX the table"),
    ("28", "look at user and password, and at pg_hba.conf"),
    ("08", "look at the address and the network"),
];

const POOLER: &str = "a pooler that gives each transaction another connection stands between; use its session mode \
    (Supabase: port 5432) or the database's own address";

/// How much of a server's own words is repeated: they may quote data.
const LONGEST: usize = 400;

/// An error of the server's, and what was tried.
#[cold]
pub(super) fn of(error: &tokio_postgres::Error, tried: impl fmt::Display) -> Error {
    told(Kind::Store, error).context(tried)
}

/// The same without what was tried, for who knows what kind it is.
#[cold]
pub(super) fn told(kind: Kind, error: &tokio_postgres::Error) -> Error {
    let Some(said) = error.as_db_error() else {
        let mut message = error.to_string();
        let mut cause = error::Error::source(error);
        while let Some(it) = cause {
            let more = it.to_string();
            if !message.contains(&more) {
                message = format!("{message}: {more}");
            }
            cause = it.source();
        }
        let lost = if error.is_closed() { "the connection was lost: run again" } else { "run again" };
        return Error::new(kind, format_args!("{message}: {lost}"));
    };
    let code = said.code().code();
    let mut words = words(said);
    if let Some(hint) = said.hint().filter(|_| kind == Kind::Plan) {
        words = format!("{words} ({hint})");
    }
    let advice = ADVICE.iter().find(|it| code.starts_with(it.0)).map(|it| it.1);
    match advice.filter(|_| kind != Kind::Plan || !code.starts_with("42")) {
        Some(advice) => Error::new(kind, format_args!("{words} (SQLSTATE {code}): {advice}")),
        None => Error::new(kind, format_args!("{words} (SQLSTATE {code})")),
    }
}

/// What the server says, as far as it is repeated.
pub(super) fn words(said: &DbError) -> String {
    without_values(said.code().code(), said.message()).chars().take(LONGEST).collect()
}

/// What the server says, without the value that an error of class 22, a data exception, quotes.
fn without_values(code: &str, message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(from), Some(to)) if from < to && code.starts_with("22") => {
            format!("{}…{}", &message[..from], &message[to + 1..])
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_value_does_not_quote_it() {
        let check = |code: &str, message: &str, expect: &str| assert_eq!(without_values(code, message), expect);
        check(
            "22P02",
            r#"invalid input syntax for type integer: "s3c" x""#,
            "invalid input syntax for type integer: …",
        );
        check("22003", r#"value "9" is out of range for type integer"#, "value … is out of range for type integer");
        check("22012", "division by zero", "division by zero");
        check("42P01", r#"relation "users" does not exist"#, r#"relation "users" does not exist"#);
    }
}
