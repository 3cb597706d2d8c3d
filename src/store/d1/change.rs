//! Requests that write, and what their answers say about what was written.

use super::api::{Answered, Api, BUSY, Statement};
use crate::{
    error::{Error, Kind, Result},
    store::{
        cloudflare::Envelope,
        web::{Advice, Answer},
    },
};

/// Runs statements in one transaction, all or none of them.
pub(super) fn run(api: &Api, database: &str, statements: &[Statement]) -> Result<Answered> {
    api.run(database, statements, &advice)
}

/// How many rows each of `count` statements gave back.
///
/// # Errors
/// If the answer does not say. What was written was.
pub(super) fn counts(answered: &Answered, count: usize) -> Result<Vec<u64>> {
    // An answer that nobody understands is as good as none.
    let (results, _) = answered.rows(count).map_err(|it| Error::new(Kind::Unsure, it))?;
    Ok(results.iter().map(|it| it.rows.len() as u64).collect())
}

/// What a row has done that a statement fails with one of these.
const OF_A_ROW: [&str; 11] = [
    "UNIQUE constraint failed",
    "NOT NULL constraint failed",
    "CHECK constraint failed",
    "FOREIGN KEY constraint failed",
    "cannot store ",
    "datatype mismatch",
    "string or blob too big",
    "statement too long",
    "malformed JSON",
    "integer overflow",
    // A trigger that says no.
    "SQLITE_CONSTRAINT",
];

/// The database has not begun with it.
const NOT_BEGUN: [&str; 2] = ["overloaded", "Requests queued for too long"];

/// What to make of an answer to statements that write.
fn advice(answer: &Answer) -> Advice {
    let status = answer.status;
    let envelope = match answer.json::<Envelope>() {
        Ok(it) => it,
        Err(why) => {
            return match status {
                413 => Advice::Fail(Kind::Row, "the service takes no request of this size".to_owned()),
                429 => Advice::Again(why),
                400..=499 => Advice::Refuse(why + "; Cloudflare's is https://api.cloudflare.com/client/v4"),
                // A gateway answers in HTML, and what begins like an answer was cut off.
                _ => Advice::Fail(Kind::Unsure, why),
            };
        }
    };
    if status == 200 && envelope.success == Some(true) && !envelope.has_failed() {
        return Advice::Take;
    }
    let fault = envelope.fault();
    let says = |all: &[&str]| all.iter().any(|it| fault.message.contains(it));
    let said = answer.summary();
    match status {
        _ if says(&OF_A_ROW) => Advice::Fail(Kind::Row, cleaned(&fault.message)),
        413 => Advice::Fail(Kind::Row, said),
        429 => Advice::Again(said),
        _ if says(&BUSY) => Advice::Fail(Kind::Busy, format!("{said}; an export or import holds the database")),
        _ if says(&NOT_BEGUN) => Advice::Fail(Kind::Busy, said),
        401 | 403 => Advice::Refuse(format!("{said}; {PERMISSION}")),
        404 => Advice::Refuse(format!("{said}; is the database still there? `wrangler d1 list` shows it")),
        // A code for mistakes in SQL comes with a text of SQLite, or something went wrong further in.
        400 if says(&["SQLITE_"]) || fault.code != 7500 => Advice::Refuse(said),
        400 if says(&["lost", "internal error", "reset", "timeout"]) => Advice::Fail(Kind::Unsure, said),
        408 | 500.. | 200..=299 => Advice::Fail(Kind::Unsure, said),
        _ => Advice::Refuse(said),
    }
}

/// What SQLite said, without what the service puts around it.
fn cleaned(message: &str) -> String {
    let start = OF_A_ROW.iter().filter_map(|it| message.find(it)).min().unwrap_or(0);
    let text = if message.get(start..).is_some_and(|it| it.starts_with("SQLITE_")) {
        message.trim_start_matches("D1_ERROR: ")
    } else {
        message.get(start..).unwrap_or_default()
    };
    text.split(": SQLITE_").next().unwrap_or_default().to_owned()
}

const PERMISSION: &str = "to write, the token needs the permission Account, D1, Edit, for the account that \
    CLOUDFLARE_ACCOUNT_ID names";

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of an answer: `take`, `again`, or the kind of the error, and part of the reason.
    #[test]
    fn answers_say_whether_something_was_written() {
        let fault = |code: i64, message: &str| {
            serde_json::json!({"result": [], "success": false, "messages": [], "errors": [{"code": code, "message": message}]})
                .to_string()
        };
        let check = |status: u16, body: &str, expect: Result<(), Option<Kind>>, part: &str| {
            let answer = Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() };
            let (found, why) = match advice(&answer) {
                Advice::Take => (Ok(()), String::new()),
                Advice::Again(why) => (Err(None), why),
                Advice::Refuse(why) => (Err(Some(Kind::Store)), why),
                Advice::Fail(kind, why) => (Err(Some(kind)), why),
            };
            assert_eq!(found, expect, "{status} {body}: {why}");
            let fits = if expect == Err(Some(Kind::Row)) { why == part } else { why.contains(part) };
            assert!(fits, "{status} {body}: {why}");
        };
        let row = |message: &str, expect: &str| check(400, &fault(7500, message), Err(Some(Kind::Row)), expect);
        row(
            "UNIQUE constraint failed: t.u: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)",
            "UNIQUE constraint failed: t.u",
        );
        row("D1_ERROR: NOT NULL constraint failed: c.n: SQLITE_CONSTRAINT", "NOT NULL constraint failed: c.n");
        row("CHECK constraint failed: length(n)<5: SQLITE_CONSTRAINT", "CHECK constraint failed: length(n)<5");
        row("FOREIGN KEY constraint failed: SQLITE_CONSTRAINT", "FOREIGN KEY constraint failed");
        row(
            "Durable Object was reset and rolled back: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT",
            "FOREIGN KEY constraint failed",
        );
        row("D1_ERROR: not today: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_TRIGGER)", "not today");
        row(
            "cannot store TEXT value in INTEGER column s.i: SQLITE_CONSTRAINT",
            "cannot store TEXT value in INTEGER column s.i",
        );
        row("string or blob too big: SQLITE_TOOBIG", "string or blob too big");
        check(
            500,
            &fault(7500, "FOREIGN KEY constraint failed"),
            Err(Some(Kind::Row)),
            "FOREIGN KEY constraint failed",
        );
        check(200, r#"{"result":[],"success":true,"errors":[],"messages":[]}"#, Ok(()), "");
        check(200, r#"{"result":[{"results""#, Err(Some(Kind::Unsure)), "");
        check(200, r#"{"result":null}"#, Err(Some(Kind::Unsure)), "");
        check(429, &fault(0, "D1 DB is overloaded."), Err(None), "overloaded");
        check(429, "<html>", Err(None), "429");
        check(500, &fault(7500, "D1 DB is overloaded. Too many requests queued."), Err(Some(Kind::Busy)), "overloaded");
        check(
            400,
            &fault(7500, "Currently processing a long-running export."),
            Err(Some(Kind::Busy)),
            "an export or import",
        );
        check(500, &fault(7500, "internal error; reference = e_1"), Err(Some(Kind::Unsure)), "internal");
        check(400, &fault(7500, "Network connection lost."), Err(Some(Kind::Unsure)), "lost");
        check(
            500,
            &fault(7500, "D1 DB storage operation exceeded timeout which caused object to be reset."),
            Err(Some(Kind::Unsure)),
            "timeout",
        );
        check(502, "<html>502</html>", Err(Some(Kind::Unsure)), "502");
        check(504, "", Err(Some(Kind::Unsure)), "504");
        check(401, &fault(10000, "Authentication error"), Err(Some(Kind::Store)), "D1, Edit");
        check(403, &fault(7403, "The given account is not valid"), Err(Some(Kind::Store)), "D1, Edit");
        check(404, "<html>", Err(Some(Kind::Store)), "api.cloudflare.com");
        check(400, &fault(7500, "no such table: t: SQLITE_ERROR"), Err(Some(Kind::Store)), "no such table");
        check(400, &fault(7400, "The request is malformed"), Err(Some(Kind::Store)), "malformed");
    }
}
