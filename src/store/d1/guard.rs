//! Lets only queries through that read. A token that may only read is the better guard; this one is there when it may write.

use crate::error::{Error, Kind, Result};

/// The one statement that a text is, without the semicolon at its end, if it only reads: `SELECT`, `VALUES`,
/// `WITH … SELECT`, or `EXPLAIN` of one of them.
///
/// SQLite has no function that writes, and no `SELECT` that does. After `WITH` may come a statement that does, so no word may
/// be there that such a statement begins with; as names they have to be quoted anyway.
///
/// # Errors
/// If it is none.
pub(super) fn reads_only(sql: &str) -> Result<&str> {
    let refused = |why: &str| Err(Error::new(Kind::Plan, format_args!("a check may only read: {why}")));
    let tokens = tokens(sql);
    let end = tokens.iter().rposition(|it| *it != ";").map_or(0, |it| it + 1);
    let tokens = &tokens[..end];
    if tokens.contains(&";") {
        return refused("it has more than one statement");
    }
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|it| it.eq_ignore_ascii_case(word));
    let begin = match (is(0, "EXPLAIN"), is(1, "QUERY") && is(2, "PLAN")) {
        (true, true) => 3,
        (true, false) => 1,
        _ => 0,
    };
    if !["SELECT", "VALUES", "WITH"].iter().any(|it| is(begin, it)) {
        return refused("it has to begin with SELECT, WITH or VALUES");
    }
    for (at, token) in tokens.iter().enumerate() {
        let writes = ["INSERT", "UPDATE", "DELETE"].iter().any(|it| token.eq_ignore_ascii_case(it));
        if writes || is(at, "REPLACE") && !is(at + 1, "(") {
            return refused(&format!("it says {}", token.to_ascii_uppercase()));
        }
    }
    // Tokens are parts of the text, so the distance of their starts is a place in it.
    let last = tokens.last().map_or(0, |it| it.as_ptr().addr() - sql.as_ptr().addr() + it.len());
    Ok(sql.get(..last).unwrap_or_default())
}

/// The words and signs of a statement, without blanks and comments. What is quoted is one sign.
fn tokens(sql: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let until = |end: &str, from: usize| {
            let after = rest.get(from..).unwrap_or_default();
            after.find(end).map_or(rest.len(), |it| from + it + end.len())
        };
        let length = match first {
            '-' if rest.starts_with("--") => until("\n", 2),
            '/' if rest.starts_with("/*") => until("*/", 2),
            // A quote that is written twice ends one sign and begins another, which comes to the same here.
            '\'' | '"' | '`' => until(&first.to_string(), 1),
            '[' => until("]", 1),
            it if is_word(it) => rest.find(|it| !is_word(it)).unwrap_or(rest.len()),
            it => it.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !token.starts_with("--") && !token.starts_with("/*") && !first.is_whitespace() {
            out.push(token);
        }
        rest = after;
    }
    out
}

fn is_word(it: char) -> bool {
    it.is_ascii_alphanumeric() || it == '_' || it == '$' || !it.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_is_let_through() {
        for sql in [
            "SELECT 1",
            "select count(*) from t;",
            "-- how many\nSELECT 1 /* ; */ ; -- done",
            "VALUES (1), (2)",
            "WITH n AS (SELECT 1) SELECT * FROM n",
            "EXPLAIN SELECT 1",
            "EXPLAIN QUERY PLAN SELECT 1",
            "SELECT replace(a, 'x', ';') FROM t WHERE b = 'DELETE FROM t; --'",
            "SELECT \"update\", [delete;], `insert` FROM t",
            "SELECT 'it''s; fine'",
        ] {
            assert!(reads_only(sql).is_ok(), "{sql}");
        }
        assert_eq!(reads_only("SELECT 1 -- ;\n ; -- done").ok(), Some("SELECT 1"));
        for sql in [
            "",
            ";",
            "DELETE FROM t",
            "SELECT 1; DELETE FROM t",
            "SELECT ''';'; DROP TABLE t; --'",
            "SELECT 1 /* */ ; /* ' */ DELETE FROM t -- '",
            "WITH n AS (SELECT 1) DELETE FROM t",
            "WITH n AS (SELECT 1) insert into t SELECT * FROM n",
            "WITH n AS (SELECT 1) REPLACE INTO t SELECT * FROM n",
            "WITH n AS (SELECT 1)/**/UPDATE t SET a = 1",
            "EXPLAIN DELETE FROM t",
            "PRAGMA foreign_keys",
            "DROP TABLE t",
            "/* SELECT */ CREATE TABLE t (a)",
            "(SELECT 1)",
        ] {
            assert!(reads_only(sql).is_err(), "{sql}");
        }
    }
}
