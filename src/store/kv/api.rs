//! What is asked of Cloudflare's interface of Workers KV, and what its answers say.
//!
//! Shapes and codes are those of the vendor's own client for TypeScript and of its documentation.

use super::entry::Entry;
use crate::{
    error::{Error, Kind, Result},
    store::{
        cloudflare::{Account, Envelope as Said, Fault},
        web::{Advice, Answer, Request, encoded, misfit},
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::fmt::rfc2822;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};

/// The namespaces of an account, and one of them.
pub(super) struct Api {
    account: Account,
    /// The path of the account's namespaces.
    namespaces: String,
    /// The path of the namespace.
    path: String,
    id: String,
    now: Option<i64>,
    lists: u64,
    reads: u64,
}

/// A key as a list shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expiration: Option<i64>,
    #[serde(default)]
    pub(super) metadata: Option<Box<RawValue>>,
}

/// A page of a list.
pub(super) struct Page {
    pub(super) keys: Vec<Listed>,
    /// Where the next page begins. Empty: there is none.
    pub(super) cursor: String,
}

/// A value that was read by itself.
pub(super) struct Single {
    pub(super) value: Vec<u8>,
    pub(super) expiration: Option<i64>,
}

/// A value that was read as text with others.
#[derive(Debug, Deserialize)]
pub(super) struct Text {
    pub(super) value: String,
    #[serde(default)]
    pub(super) metadata: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expiration: Option<i64>,
}

/// What a bulk read found.
pub(super) struct Bulk(HashMap<String, Option<Box<RawValue>>>);

#[derive(Deserialize)]
struct Envelope<T> {
    result: Option<T>,
    #[serde(default)]
    result_info: Option<Info>,
}

#[derive(Default, Deserialize)]
struct Info {
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    total_count: Option<u64>,
    /// How many are on this page.
    #[serde(default)]
    count: Option<u64>,
}

#[derive(Deserialize)]
struct Values {
    values: HashMap<String, Option<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Namespace {
    id: String,
    title: String,
}

/// There is no such key.
const NO_KEY: i64 = 10009;
/// There is no such namespace.
const NO_NAMESPACE: i64 = 10013;
/// An identifier in the path is none.
const NO_ROUTE: i64 = 7003;
/// What is used up for today, and comes back tomorrow.
const USED_UP: i64 = 10048;
/// Namespaces on one page of their list.
const NAMESPACES: usize = 100;
/// Pages of namespaces that are looked through for a title.
const NAMESPACE_PAGES: u64 = 1000;

/// A key and all that it gets.
#[derive(Serialize)]
pub(super) struct Pair {
    key: String,
    value: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    base64: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<i64>,
}

/// What became of many keys.
#[derive(Default)]
pub(super) struct Outcome {
    /// Those that the service did nothing to.
    pub(super) left_out: HashSet<String>,
}

impl Pair {
    /// What is no text goes in base64.
    pub(super) fn new(key: String, value: Vec<u8>, metadata: Option<Box<RawValue>>, expiration: Option<i64>) -> Pair {
        let (value, base64) = match String::from_utf8(value) {
            Ok(it) => (it, false),
            Err(it) => (BASE64_STANDARD.encode(it.into_bytes()), true),
        };
        Pair { key, value, base64, metadata, expiration }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl Listed {
    /// The entry, with that value.
    pub(super) fn entry<'e>(&'e self, value: &'e [u8]) -> Entry<'e> {
        let metadata = self.metadata.as_deref().map(RawValue::get);
        Entry { key: &self.name, value, metadata, expiration: self.expiration }
    }
}

impl Bulk {
    /// The keys that have a value.
    pub(super) fn present(self) -> impl Iterator<Item = String> {
        self.0.into_iter().filter(|it| it.1.is_some()).map(|it| it.0)
    }

    /// The text of that key. Nothing: there is none, or it has to be read by itself.
    ///
    /// # Errors
    /// If it is nothing that was asked for.
    pub(super) fn take(&mut self, key: &str) -> Result<Option<Text>> {
        let Some(found) = self.0.remove(key).flatten() else { return Ok(None) };
        // An empty value has been seen without what should be around it.
        if found.get().starts_with('"') {
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Nothing {
            value: Option<serde::de::IgnoredAny>,
        }
        match serde_json::from_str(found.get()) {
            Ok(it) => Ok(Some(it)),
            Err(_) if serde_json::from_str(found.get()).is_ok_and(|it: Nothing| it.value.is_none()) => Ok(None),
            Err(it) => Err(misshapen(&it)),
        }
    }
}

impl Api {
    pub(super) fn new(account: Account) -> Api {
        let namespaces = account.path("/storage/kv/namespaces");
        Api { account, namespaces, path: String::new(), id: String::new(), now: None, lists: 0, reads: 0 }
    }

    /// Speaks of this namespace from now on.
    pub(super) fn choose(&mut self, id: &str) {
        self.id = id.to_owned();
        self.path = format!("{}/{}", self.namespaces, encoded(id));
    }

    /// The id of the namespace with that title.
    ///
    /// # Errors
    /// If no namespace of the account has it.
    pub(super) fn id_of(&mut self, title: &str) -> Result<String> {
        let mut seen = 0;
        for page in 1..=NAMESPACE_PAGES {
            let path = format!("{}?page={page}&per_page={NAMESPACES}", self.namespaces);
            let answer = self.send(&Request::get(&path), judge)?;
            let Envelope::<Vec<Namespace>> { result, result_info } = read(&answer)?;
            let found = result.unwrap_or_default();
            if let Some(it) = found.iter().find(|it| it.title == title) {
                return Ok(it.id.clone());
            }
            seen += found.len() as u64;
            let total = result_info.and_then(|it| it.total_count).unwrap_or(u64::MAX);
            if found.is_empty() || seen >= total {
                break;
            }
        }
        let hint = "`wrangler kv namespace list` shows them; a namespace can also be named by its id";
        Err(Error::new(Kind::Store, format_args!("no KV namespace of the account is called `{title}`; {hint}")))
    }

    /// The id and the title.
    pub(super) fn describe(&mut self) -> Result<(String, String)> {
        let path = self.path.clone();
        let answer = self.send(&Request::get(&path), judge)?;
        let Envelope::<Namespace> { result, .. } = read(&answer)?;
        Ok(result.map(|it| (it.id, it.title)).unwrap_or_default())
    }

    /// The page of keys at `cursor`, the first one if that is empty.
    pub(super) fn list(&mut self, prefix: &str, cursor: &str, limit: usize) -> Result<Page> {
        let mut path = format!("{}/keys?limit={limit}", self.path);
        for (name, value) in [("prefix", prefix), ("cursor", cursor)] {
            if !value.is_empty() {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        self.lists += 1;
        let answer = self.send(&Request::get(&path), judge)?;
        let Envelope::<Vec<Listed>> { result, result_info } = read(&answer)?;
        let nothing =
            || Error::new(Kind::Store, "the list of keys came without keys; is `api` the address of Cloudflare's API?");
        let keys = result.ok_or_else(nothing)?;
        let Info { cursor, count, .. } = result_info.unwrap_or_default();
        if let Some(count) = count.filter(|it| *it != keys.len() as u64) {
            let what = format_args!("a list of {} keys says that it has {count}; run again", keys.len());
            return Err(Error::new(Kind::Store, what));
        }
        Ok(Page { keys, cursor: cursor.unwrap_or_default() })
    }

    /// The values of these keys as text. Nothing: they are too much for one answer.
    pub(super) fn bulk(&mut self, keys: &[&str]) -> Result<Option<Bulk>> {
        let body = serde_json::json!({ "keys": keys, "type": "text", "withMetadata": true }).to_string();
        let path = format!("{}/bulk/get", self.path);
        self.reads += keys.len() as u64;
        let several = keys.len() > 1;
        let answer = self.send(&Request::ask(&path, body.as_bytes()), |it| match it.status {
            413 => Advice::Take,
            _ => judge(it),
        })?;
        if answer.status == 413 {
            // A value that is too much even alone is read by itself.
            return Ok((!several).then(|| Bulk(HashMap::new())));
        }
        let Envelope::<Values> { result, .. } = read(&answer)?;
        Ok(Some(Bulk(result.map(|it| it.values).unwrap_or_default())))
    }

    /// The value of one key, as bytes. Nothing: there is no such key.
    pub(super) fn single(&mut self, key: &str) -> Result<Option<Single>> {
        let path = format!("{}/values/{}", self.path, encoded(key));
        self.reads += 1;
        let answer = self.send(&Request::get(&path), judge_key)?;
        if answer.status == 404 {
            return Ok(None);
        }
        let expiration = answer.header("expiration").and_then(|it| it.trim().parse().ok());
        Ok(Some(Single { value: answer.body, expiration }))
    }

    /// The metadata of one key, which a bulk read does not give with a value that is empty or too long for it.
    pub(super) fn metadata(&mut self, key: &str) -> Result<Option<Box<RawValue>>> {
        let mut found = self.bulk(&[key])?;
        match found.as_mut().map(|it| it.take(key)).transpose()?.flatten() {
            Some(it) => Ok(it.metadata),
            None => Ok(self.listed(key)?.and_then(|it| it.metadata)),
        }
    }

    /// What the list of keys says of one. Nothing: it is not in it.
    pub(super) fn listed(&mut self, key: &str) -> Result<Option<Listed>> {
        // It is the first of those that begin with it.
        let page = self.list(key, "", 10)?;
        Ok(page.keys.into_iter().find(|it| it.name == key))
    }

    /// Writes pairs, whatever is there under their keys.
    pub(super) fn put(&mut self, pairs: &[Pair]) -> Result<Outcome> {
        self.change(Method::PUT, "bulk", serde_json::to_vec(pairs))
    }

    /// Deletes keys, also those that are not there.
    pub(super) fn delete(&mut self, keys: &[String]) -> Result<Outcome> {
        self.change(Method::POST, "bulk/delete", serde_json::to_vec(keys))
    }

    fn change(&mut self, method: Method, what: &str, body: serde_json::Result<Vec<u8>>) -> Result<Outcome> {
        #[derive(Default, Deserialize)]
        struct Done {
            #[serde(default)]
            unsuccessful_keys: Option<HashSet<String>>,
        }
        let body = body.map_err(|it| Error::new(Kind::Broken, it))?;
        let path = format!("{}/{what}", self.path);
        let answer = self.send(&Request::write(method, &path, &body), judge_write)?;
        // What came back says at least that it was done.
        let Envelope::<Done> { result, .. } = serde_json::from_slice(&answer.body).map_err(|it| {
            let what = format_args!("an answer to a write is not what Cloudflare's API answers: {}", misfit(&it));
            Error::new(Kind::Unsure, what)
        })?;
        Ok(Outcome { left_out: result.and_then(|it| it.unsuccessful_keys).unwrap_or_default() })
    }

    /// The id of the namespace.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What the service's clock said last, in seconds since 1970.
    pub(super) fn now(&self) -> Option<i64> {
        self.now
    }

    /// Lists and reads so far.
    pub(super) fn spent(&self) -> (u64, u64) {
        (self.lists, self.reads)
    }

    fn send(&mut self, request: &Request<'_>, judge: impl Fn(&Answer) -> Advice) -> Result<Answer> {
        let answer = self.account.send(request, &judge)?;
        let date = answer.header("date").and_then(|it| rfc2822::parse(it).ok());
        self.now = date.map(|it| it.timestamp().as_second()).or(self.now);
        Ok(answer)
    }
}

/// What to make of an answer. The status alone does not say it, nor does the code.
fn judge(answer: &Answer) -> Advice {
    let said = said(answer);
    if answer.status == 200 && !said.has_failed() {
        Advice::Take
    } else {
        judge_failure(answer.status, said.faults().first())
    }
}

/// What an answer says of itself; nothing, where it is something else.
fn said(answer: &Answer) -> Said {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// What to make of an answer that is not what was asked for.
fn judge_failure(status: u16, fault: Option<&Fault>) -> Advice {
    let code = fault.map_or(0, |it| it.code);
    let said =
        fault.map_or_else(|| format!("HTTP {status}"), |it| format!("{} ({status}, {})", brief(&it.message), it.code));
    let advice = match (status, code) {
        (_, NO_NAMESPACE) => "no such KV namespace in this account; `wrangler kv namespace list` shows them",
        (_, NO_ROUTE) => "the account or the namespace is no id of Cloudflare's",
        (_, USED_UP) => "the account has used up its reads or lists of today",
        (401, _) => "the token is not accepted; was it revoked, or has it expired?",
        (403, _) => "the token may not read this account's KV; it needs the permission `Workers KV Storage: Read`",
        (429, _) if said.contains("for today") => "the account has used up its reads or lists of today",
        (408 | 425 | 429 | 500.., _) => return Advice::Again(said),
        (404, 0) => "nothing is there; is `api` the address of Cloudflare's API?",
        _ => return Advice::Refuse(said),
    };
    Advice::Refuse(format!("{said}: {advice}"))
}

/// What to make of an answer to a write.
fn judge_write(answer: &Answer) -> Advice {
    let said = said(answer);
    let fault = said.faults().first();
    match (answer.status, fault) {
        (200, None) if said.success == Some(true) => Advice::Take,
        // Part of an answer, or one of somebody else.
        (200..=299, None) => Advice::Fail(Kind::Unsure, answer.summary()),
        (403, _) => Advice::Refuse(format!("{}: {WRITE}", answer.summary())),
        (413, _) => Advice::Fail(Kind::Row, answer.summary()),
        (400, Some(it)) if it.code != NO_NAMESPACE && it.code != NO_ROUTE && it.code != USED_UP => {
            Advice::Fail(Kind::Row, brief(&it.message))
        }
        (status, fault) => judge_failure(status, fault),
    }
}

const WRITE: &str = "the token may not write to this account's KV; it needs the permission `Workers KV Storage: Edit`";

/// The same for a key, which need not be there.
fn judge_key(answer: &Answer) -> Advice {
    match answer.status {
        // Whatever the value is, even one that looks like a refusal.
        200 => Advice::Take,
        404 if said(answer).faults().iter().any(|it| it.code == NO_KEY) => Advice::Take,
        _ => judge(answer),
    }
}

/// The beginning of what a service says.
fn brief(text: &str) -> String {
    const LONG: usize = 200;
    text.chars().take(LONG).collect()
}

fn read<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T> {
    serde_json::from_slice(&answer.body).map_err(|it| misshapen(&it))
}

#[cold]
fn misshapen(error: &serde_json::Error) -> Error {
    let what = "an answer of Workers KV is not what Cloudflare's API answers";
    Error::new(Kind::Store, format_args!("{what}: {}; is `api` the address of that API?", misfit(error)))
}

/// A whole number of seconds, which may be written as `1577836800.0`.
fn seconds<'d, D: serde::Deserializer<'d>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let text = number.to_string();
    let whole = text.split_once('.').filter(|it| it.1.bytes().all(|it| it == b'0')).map_or(text.as_str(), |it| it.0);
    whole.parse().map(Some).map_err(|_| serde::de::Error::custom("an expiration that is no whole number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_one_part_of_a_path() {
        let check = |key: &str, expect: &str| assert_eq!(encoded(key), expect);
        check("user:7", "user%3A7");
        check("a/../b?c#d%2F", "a%2F..%2Fb%3Fc%23d%252F");
        check("né \u{1f600}", "n%C3%A9%20%F0%9F%98%80");
        check("a-b_c.d~e", "a-b_c.d~e");
    }

    #[test]
    fn answers_are_judged_by_status_code_and_text() {
        let check = |status: u16, body: &str, expect: &str| {
            let answer = Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() };
            let (word, text) = match judge(&answer) {
                Advice::Take => ("take", String::new()),
                Advice::Again(why) => ("again", why),
                Advice::Refuse(why) | Advice::Fail(_, why) => ("refuse", why),
            };
            assert!(format!("{word} {text}").contains(expect), "{status} {body}: {word} {text}");
        };
        let fault = |code: u32, text: &str| {
            format!(r#"{{"result":null,"success":false,"errors":[{{"code":{code},"message":"{text}"}}]}}"#)
        };
        check(200, "", "take");
        check(206, "", "refuse HTTP 206");
        check(200, r#"{"result":[],"success":false,"errors":[]}"#, "refuse");
        check(200, r#"{"result":[],"success":true,"errors":null}"#, "take");
        check(200, &fault(10000, "Authentication error"), "refuse Authentication error (200, 10000)");
        check(
            401,
            &fault(10000, "Authentication error"),
            "refuse Authentication error (401, 10000): the token is not accepted",
        );
        check(
            403,
            &fault(10000, "Authentication error"),
            "refuse Authentication error (403, 10000): the token may not",
        );
        check(
            404,
            &fault(10013, "namespace not found"),
            "refuse namespace not found (404, 10013): no such KV namespace",
        );
        check(404, &fault(7003, "Could not route"), "is no id of Cloudflare's");
        check(400, &fault(7003, "Could not route"), "is no id of Cloudflare's");
        check(400, &fault(10029, "limit"), "refuse limit (400, 10029)");
        check(429, &fault(10429, "More than 1200 requests"), "again More than 1200 requests (429, 10429)");
        check(
            429,
            &fault(10048, "your account has reached the free usage limit for this operation for today"),
            "refuse",
        );
        check(429, &fault(1, "limit reached for today"), "refuse");
        check(503, "<html>", "again HTTP 503");
        check(500, &fault(10001, "internal"), "again internal");
        check(404, "<html>", "refuse HTTP 404: nothing is there");
        let long = "x".repeat(10_000);
        check(400, &fault(1, &long), &"x".repeat(200));
    }

    #[test]
    fn expirations_are_whole_seconds() {
        let check = |text: &str, expect: Option<Option<i64>>| {
            let listed: Result<Listed, _> = serde_json::from_str(&format!(r#"{{"name":"k","expiration":{text}}}"#));
            assert_eq!(listed.ok().map(|it| it.expiration), expect, "{text}");
        };
        check("1800000000", Some(Some(1_800_000_000)));
        check("1577836800.0", Some(Some(1_577_836_800)));
        check("null", Some(None));
        check("1.5", None);
        check("\"1\"", None);
        check("99999999999999999999", None);
    }

    #[test]
    fn metadata_keeps_its_numbers() {
        let text = r#"{"name":"k","metadata":{"price":1.10,"big":90071992547409931}}"#;
        let listed: Listed = serde_json::from_str(text).unwrap();
        assert_eq!(listed.metadata.unwrap().get(), r#"{"price":1.10,"big":90071992547409931}"#);
        let mut bulk = Bulk(serde_json::from_str(
            r#"{"a":{"value":"x","metadata":{"n":1.10},"expiration":7},"b":null,"c":"","d":{"value":null,"metadata":null},"e":{"value":1}}"#,
        ).unwrap());
        let a = bulk.take("a").unwrap().unwrap();
        assert_eq!((a.value.as_str(), a.metadata.unwrap().get(), a.expiration), ("x", r#"{"n":1.10}"#, Some(7)));
        for key in ["a", "b", "c", "d", "nope"] {
            assert!(bulk.take(key).unwrap().is_none(), "{key}");
        }
        assert!(bulk.take("e").is_err());
    }
}
