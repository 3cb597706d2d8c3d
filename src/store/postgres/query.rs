//! Questions of a user's, and what can be said about a server.

use super::{failure, session::Session};
use crate::{
    error::{Error, Kind, Result},
    store::about::{Fact, Level},
    value::{decimal, json},
};
use std::time::Duration;

/// The first column of the rows that a query gives, each as canonical JSON text. What begins with EXPLAIN is only looked at.
///
/// # Errors
/// If it is not one query that only reads, or the server refuses it.
pub(super) fn ask(session: &Session, sql: &str) -> Result<Vec<String>> {
    asked(session, sql, &|| Duration::ZERO).map(|it| it.0)
}

/// How long a query takes that is prepared: one request, as an application makes it.
///
/// # Errors
/// As [`ask`].
pub(super) fn time(session: &Session, sql: &str, now: &dyn Fn() -> Duration) -> Result<Duration> {
    asked(session, sql, now).map(|it| it.1)
}

fn asked(session: &Session, sql: &str, now: &dyn Fn() -> Duration) -> Result<(Vec<String>, Duration)> {
    let refused = |it: &tokio_postgres::Error| failure::told(Kind::Plan, it).context("the query of a check fails");
    let sql = sql.trim().trim_end_matches(';');
    let (explain, sql) = match sql.split_at_checked("explain".len()) {
        Some((word, rest)) if word.eq_ignore_ascii_case("explain") => (true, rest),
        _ => (false, sql),
    };
    // As part of a query nothing but a query fits, and a statement that is prepared is one.
    let whole = format!("SELECT pg_catalog.to_json(asked.answer)::pg_catalog.text FROM (\n{sql}\n) AS asked(answer)");
    session.aside(|| {
        session.as_the_user()?;
        let connection = &session.connection;
        connection.runtime.block_on(async {
            let statement = connection.client.prepare(&whole).await.map_err(|it| refused(&it))?;
            if explain {
                return Ok((Vec::new(), Duration::ZERO));
            }
            let start = now();
            let rows = connection.client.query(&statement, &[]).await.map_err(|it| refused(&it))?;
            let took = now().saturating_sub(start);
            let answers = rows.iter().map(|it| it.try_get(0).map(canonical).map_err(|it| refused(&it)));
            Ok((answers.collect::<Result<_>>()?, took))
        })
    })
}

fn canonical(answer: Option<String>) -> String {
    let text = answer.unwrap_or_else(|| "null".to_owned());
    let mut out = Vec::new();
    let number = matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9'));
    if !(number && decimal::canonical(&text, &mut out)) && json::canonical(&text, &mut out).is_err() {
        return text;
    }
    String::from_utf8(out).unwrap_or(text)
}

const SERVER: &str = "
SELECT current_setting('server_version'), current_database()::text, current_user::text,
    coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false),
    coalesce((SELECT rolbypassrls FROM pg_roles WHERE rolname = current_user), false),
    pg_is_in_recovery(), to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
    (SELECT datcollate::text FROM pg_database WHERE datname = current_database())";

const ACCESS: &str = "
SELECT count(*), count(*) FILTER (WHERE has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
    count(*) FILTER (WHERE NOT has_any_column_privilege(c.oid, 'SELECT')),
    count(*) FILTER (WHERE c.relkind <> 'f' AND row_security_active(c.oid))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND n.nspname::text = ANY($1)";

const COLLATION: &str = "
SELECT datcollversion, pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = current_database()";

/// What people want to know before they read.
///
/// # Errors
/// If the server fails.
pub(super) fn about(session: &Session, schemas: &[String]) -> Result<Vec<Fact>> {
    let mut facts = Vec::new();
    server(session, &mut facts)?;
    access(session, schemas, &mut facts)?;
    if session.facts.version >= 150_000 {
        let rows = session.rows(COLLATION, &[])?;
        let versions = rows.first().map(|it| (it.try_get(0).ok().flatten(), it.try_get(1).ok().flatten()));
        if let Some((Some(made), Some(now))) = versions
            && made != now
        {
            let (made, now): (String, String) = (made, now);
            let says = format!(
                "indexes on text were made with version {made} of the collation, and the server has {now}: \
                 REINDEX, then ALTER DATABASE … REFRESH COLLATION VERSION"
            );
            facts.push(Fact::new("collation", says).level(Level::Note));
        }
    }
    Ok(facts)
}

fn server(session: &Session, facts: &mut Vec<Fact>) -> Result<()> {
    let rows = session.rows(SERVER, &[])?;
    let failed = |it: tokio_postgres::Error| failure::of(&it, "cannot ask the server");
    let Some(row) = rows.first() else { return Err(Error::new(Kind::Store, "the server says nothing about itself")) };
    let text = |place: usize| row.try_get::<_, String>(place).map_err(failed);
    let truth = |place: usize| row.try_get::<_, bool>(place).map_err(failed);
    facts.push(Fact::new("version", format!("PostgreSQL {}", text(0)?)));
    facts.push(Fact::new("connection", session.connection.protection()));
    facts.push(Fact::new("database", format!("{}, collation {}", text(1)?, text(7)?)));
    let role = match (truth(3)?, truth(4)?) {
        (true, _) => Fact::new("role", format!("{} is a superuser: a role that may only read is safer", text(2)?))
            .level(Level::Note),
        (false, true) => Fact::new("role", format!("{}, which row-level security does not bind", text(2)?)),
        (false, false) => Fact::new("role", text(2)?),
    };
    facts.push(role);
    facts.push(Fact::new("clock", text(6)?));
    if truth(5)? {
        let says = "a standby: it may end a long read to catch up, unless max_standby_streaming_delay or \
                    hot_standby_feedback lets it go on";
        facts.push(Fact::new("standby", says).level(Level::Note));
    }
    if session.facts.encoding != "UTF8" {
        let says = format!("{}: text that has no form in UTF-8 is compared as malformed", session.facts.encoding);
        facts.push(Fact::new("encoding", says).level(Level::Note));
    }
    Ok(())
}

fn access(session: &Session, schemas: &[String], facts: &mut Vec<Fact>) -> Result<()> {
    let rows = session.rows(ACCESS, &[&schemas])?;
    let count = |place: usize| rows.first().and_then(|it| it.try_get::<_, i64>(place).ok()).unwrap_or_default();
    let (all, written, unread, hidden) = (count(0), count(1), count(2), count(3));
    let schemas = schemas.join(", ");
    facts.push(match unread {
        0 => Fact::new("access", format!("may read all {all} tables of {schemas}")),
        _ => Fact::new("access", format!("may not read {unread} of {all} tables of {schemas}: GRANT SELECT"))
            .level(Level::Bad),
    });
    if written > 0 {
        let says = format!(
            "may write {written} of {all} tables, which only a migration needs: to compare, a role with SELECT alone is safer"
        );
        facts.push(Fact::new("read-only", says).level(Level::Note));
    }
    if hidden > 0 {
        let says = format!("row-level security hides rows of {hidden} tables: use a role with BYPASSRLS");
        facts.push(Fact::new("row-level security", says).level(Level::Bad));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn answers() {
        for (answer, expect) in [
            (None, "null"),
            (Some("10.50"), "10.5"),
            (Some("1e+20"), "100000000000000000000"),
            (Some("\"NaN\""), "\"NaN\""),
            (Some("{\"b\": 1, \"a\": [1.50]}"), "{\"a\":[1.50],\"b\":1}"),
            (Some("true"), "true"),
        ] {
            assert_eq!(canonical(answer.map(str::to_owned)), expect);
        }
    }
}
