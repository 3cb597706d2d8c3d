//! The REST interface of D1: questions, answers, and what to make of an answer that is none.
//!
//! Shapes and texts are those of Cloudflare's own clients and of databases that were asked. One code, 7500, stands for a
//! mistake in SQL as well as for a server that is out of breath, so an answer is told by status, code and text.

use crate::{
    error::{Error, Kind, Result},
    store::{
        cloudflare::{Account, Envelope},
        web::{Advice, Answer, Request, misfit},
    },
};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{borrow::Cow, time::Duration};

/// The databases of one account.
pub(super) struct Api {
    account: Account,
    /// Where they are, below the address of the service.
    databases: String,
}

/// One SQL statement and what is bound to it.
#[derive(Serialize)]
pub(super) struct Statement {
    pub sql: String,
    pub params: Vec<serde_json::Value>,
}

/// What one statement gave, as it stands in the answer.
#[derive(Deserialize)]
pub(super) struct Rows<'a> {
    pub columns: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub rows: Vec<Vec<&'a RawValue>>,
}

/// The answer to some statements.
pub(super) struct Answered {
    body: Vec<u8>,
    /// From the request to the end of the answer.
    pub(super) took: Duration,
}

#[derive(Deserialize)]
struct Document<T> {
    result: T,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    /// A statement may fail where the request did not.
    #[serde(default)]
    success: Option<bool>,
    #[serde(borrow)]
    results: Rows<'a>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    /// Milliseconds.
    #[serde(default)]
    duration: f64,
}

impl Statement {
    pub(super) fn new(sql: impl Into<String>) -> Statement {
        Statement { sql: sql.into(), params: Vec::new() }
    }
}

impl Api {
    pub(super) fn new(account: Account) -> Api {
        Api { databases: account.path("/d1/database"), account }
    }

    fn send(&self, request: &Request<'_>) -> Result<Answer> {
        self.account.send(request, &advice)
    }

    /// What stands at `path` below the databases of the account.
    pub(super) fn get(&self, path: &str) -> Result<serde_json::Value> {
        let answer = self.send(&Request::get(&format!("{}{path}", self.databases)))?;
        document::<serde_json::Value>(&answer.body)
    }

    /// Runs statements in one transaction, which sees one state of the database. They may only read.
    pub(super) fn ask(&self, database: &str, statements: &[Statement]) -> Result<Answered> {
        let (path, json) = self.batch(database, statements)?;
        Ok(self.send(&Request::ask(&path, &json))?.into())
    }

    /// Runs statements in one transaction, all or none of them. They may write, so they are not sent again unless `advice`
    /// says that nothing came of them.
    pub(super) fn run(
        &self,
        database: &str,
        statements: &[Statement],
        advice: &dyn Fn(&Answer) -> Advice,
    ) -> Result<Answered> {
        let (path, json) = self.batch(database, statements)?;
        Ok(self.account.send(&Request::write(Method::POST, &path, &json), advice)?.into())
    }

    fn batch(&self, database: &str, statements: &[Statement]) -> Result<(String, Vec<u8>)> {
        #[derive(Serialize)]
        struct Batch<'s> {
            batch: &'s [Statement],
        }
        let json = serde_json::to_vec(&Batch { batch: statements }).map_err(|it| Error::new(Kind::Store, it))?;
        Ok((format!("{}/{database}/raw", self.databases), json))
    }
}

impl From<Answer> for Answered {
    fn from(it: Answer) -> Answered {
        Answered { body: it.body, took: it.took }
    }
}

impl Answered {
    /// How long the answer is, in bytes.
    pub(super) fn size(&self) -> usize {
        self.body.len()
    }

    /// What each of `count` statements gave, and how many milliseconds all of them took.
    ///
    /// # Errors
    /// If the answer has another shape.
    pub(super) fn rows(&self, count: usize) -> Result<(Vec<Rows<'_>>, f64)> {
        let outcomes: Vec<Outcome<'_>> = document(&self.body)?;
        if outcomes.len() != count {
            return Err(strange(format_args!("{} results for {count} statements", outcomes.len())));
        }
        if outcomes.iter().any(|it| it.success == Some(false)) {
            return Err(strange("a statement that failed, in an answer that did not"));
        }
        let duration = outcomes.iter().map(|it| it.meta.duration).sum();
        Ok((outcomes.into_iter().map(|it| it.results).collect(), duration))
    }
}

fn document<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    let document: Document<T> = serde_json::from_slice(body).map_err(|it| strange(misfit(&it)))?;
    Ok(document.result)
}

/// The service answered something that nobody expects.
#[cold]
pub(super) fn strange(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Store, format_args!("the service answers in a shape that is not known: {what}"))
}

/// What to make of an answer.
pub(super) fn advice(answer: &Answer) -> Advice {
    let status = answer.status;
    let envelope = match answer.json::<Envelope>() {
        Ok(it) => it,
        // A gateway answers in HTML, and what begins like an answer was cut off.
        Err(why) if status == 429 || status >= 500 || answer.body.starts_with(b"{\"") => return Advice::Again(why),
        Err(why) => return Advice::Refuse(format!("{why}; Cloudflare's is https://api.cloudflare.com/client/v4")),
    };
    if status == 200 && envelope.success == Some(true) && !envelope.has_failed() {
        return Advice::Take;
    }
    let fault = envelope.fault();
    let says = |it: &[&str]| it.iter().any(|it| fault.message.contains(it));
    let said = answer.summary();
    if says(&BUSY) {
        return Advice::Again(format!(
            "{said}; an export or import holds the database, run again when it has finished"
        ));
    }
    if status == 429 || status == 408 || status >= 500 || says(&BREATHLESS) {
        return Advice::Again(said);
    }
    let hint = HINTS.iter().find(|it| if it.0 == 0 { it.1 == status } else { it.0 == fault.code });
    Advice::Refuse(hint.map_or_else(|| said.clone(), |it| format!("{said}; {}", it.2)))
}

/// Another job holds the database, which may take minutes.
pub(super) const BUSY: [&str; 1] = ["Currently processing a long-running"];

/// What is over by itself, whatever the status.
const BREATHLESS: [&str; 6] = [
    "overloaded",
    "Requests queued for too long",
    "Network connection lost",
    "internal error; reference",
    "caused object to be reset",
    "storage operation exceeded timeout",
];

/// What to do, by code, or by status where the code is 0.
const HINTS: [(i64, u16, &str); 8] = [
    (10000, 401, TOKEN),
    (7403, 403, PERMISSION),
    (7404, 404, "name the database by its id or name, as `wrangler d1 list` shows them"),
    (7003, 404, "an account id has 32 hexadecimal digits, a database id is a UUID: one of them is something else"),
    (7400, 400, "the service does not understand what it was asked"),
    (0, 401, TOKEN),
    (0, 403, PERMISSION),
    (0, 404, "is the address of the service right?"),
];

const TOKEN: &str =
    "the token is wrong or has expired: set CLOUDFLARE_API_TOKEN to one with the permission Account, D1, Read";
const PERMISSION: &str =
    "the token lacks the permission Account, D1, Read, or belongs to another account than CLOUDFLARE_ACCOUNT_ID says";

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of an answer: `take`, or `again` or `refuse` and part of the reason.
    #[test]
    fn answers_are_told_by_status_code_and_text() {
        let fault = |code: i64, message: &str| {
            serde_json::json!({"result": [], "success": false, "messages": [], "errors": [{"code": code, "message": message}]})
                .to_string()
        };
        let check = |status: u16, body: &str, expect: &str, part: &str| {
            let (found, why) = match advice(&Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() }) {
                Advice::Take => ("take", String::new()),
                Advice::Again(it) => ("again", it),
                Advice::Refuse(it) | Advice::Fail(_, it) => ("refuse", it),
            };
            assert_eq!(found, expect, "{status} {body}: {why}");
            assert!(why.contains(part), "{status} {body}: {why}");
        };
        check(200, r#"{"result":[],"success":true,"errors":[],"messages":[]}"#, "take", "");
        check(200, r#"{"result":[{"results":{"columns":["a"],"rows":[["#, "again", "something else than expected");
        check(200, "<html>", "refuse", "Cloudflare's is https://api");
        check(400, &fault(7400, "Invalid property: databaseId => Invalid uuid"), "refuse", "Invalid uuid");
        check(400, &fault(7500, "no such table: nope: SQLITE_ERROR"), "refuse", "no such table");
        check(400, &fault(7500, "D1_ERROR: near \"selec\": syntax error"), "refuse", "near");
        check(400, &fault(7500, "Currently processing a long-running export."), "again", "run again when");
        check(401, &fault(10000, "Authentication error"), "refuse", "CLOUDFLARE_API_TOKEN");
        check(403, &fault(7403, "The given account is not valid"), "refuse", "D1, Read");
        check(403, r#"{"success":false,"result":null}"#, "refuse", "D1, Read");
        check(404, &fault(7404, "The database x could not be found"), "refuse", "wrangler d1 list");
        check(404, &fault(7003, "Could not route to /x"), "refuse", "32 hexadecimal digits");
        check(429, &fault(0, "D1 DB is overloaded. Too many requests queued."), "again", "overloaded");
        check(429, "<html>", "again", "429");
        check(500, &fault(7500, "internal error; reference = e_1"), "again", "internal error");
        check(500, &fault(7500, "Internal error in D1 storage caused object to be reset."), "again", "reset");
        check(400, &fault(7500, "Network connection lost."), "again", "lost");
        check(502, "<html>502</html>", "again", "502");
        check(503, "", "again", "503");
        check(200, &fault(7500, "no such table: nope"), "refuse", "no such table");
        check(200, r#"{"result":[],"success":true,"errors":[{"code":7500,"message":"boom"}]}"#, "refuse", "boom");
        let plain = Answer { status: 400, body: br#"{"success":false}"#.to_vec(), ..Answer::default() };
        assert!(matches!(advice(&plain), Advice::Refuse(it) if !it.contains("token")), "advice of another status");
        check(418, &fault(1, &"x".repeat(5000)), "refuse", "xxx");
    }
}
