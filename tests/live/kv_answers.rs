//! Answers that a real namespace gives seldom, or must never give.

use super::{Done, cutover};
use crate::server::{Request, Response, Server};
use cutover::{
    error::Result,
    plan::Setting,
    row::{Batch, Feed, Field, Flow, Shape},
    store::{self, Options, settings::Settings},
    value::{Type, Value as KeyValue, cast::Cast},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What `show` makes of a namespace that answers like this below its own path, and how often it was asked.
fn show(answer: impl Fn(&str, &Request) -> Response + Send + Sync + 'static) -> (Done, usize) {
    run(&["show", "kv:", "entries", "--format", "json", "--limit", "10000"], answer)
}

fn run(arguments: &[&str], answer: impl Fn(&str, &Request) -> Response + Send + Sync + 'static) -> (Done, usize) {
    let id = "0123456789abcdef0123456789abcdef";
    let below = format!("/accounts/me/storage/kv/namespaces/{id}");
    let server = Server::new(move |request| match request.path.strip_prefix(&below) {
        Some(path) => answer(path, request),
        None => Response::text("no such place").status(404),
    });
    let url = server.url();
    let variables = [
        ("CLOUDFLARE_ACCOUNT_ID", "me"),
        ("CLOUDFLARE_KV_NAMESPACE_ID", id),
        ("CF_API_TOKEN", "canary-token"),
        ("CLOUDFLARE_API_BASE_URL", &url),
    ];
    let folder = tempfile::tempdir().unwrap();
    let done = cutover(folder.path(), &variables, arguments);
    assert!(!(done.stdout.clone() + &done.stderr).contains("canary"), "{}{}", done.stdout, done.stderr);
    (done, server.requests().len())
}

fn page(keys: &[&str], cursor: &str) -> Response {
    let keys: Vec<Value> = keys.iter().map(|it| json!({ "name": it })).collect();
    Response::json(json!({ "result": keys, "success": true, "result_info": { "count": keys.len(), "cursor": cursor } }))
}

/// A value for each key that is asked for.
fn values(request: &Request, value: impl Fn(&str) -> Value) -> Response {
    let keys = request.json()["keys"].as_array().unwrap().clone();
    let found = keys.iter().map(|it| (it.as_str().unwrap().to_owned(), value(it.as_str().unwrap())));
    Response::json(json!({ "result": { "values": found.collect::<serde_json::Map<_, _>>() }, "success": true }))
}

fn text(key: &str) -> Value {
    json!({ "value": format!("value of {key}"), "metadata": null })
}

fn absent() -> Response {
    Response::json(json!({ "errors": [{ "code": 10009, "message": "get: 'key not found'" }] })).status(404)
}

/// The keys of the rows that came, in their order.
fn keys(done: &Done) -> Vec<String> {
    assert_eq!(done.code, 0, "{}", done.stderr);
    let rows = done.stdout.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    rows.map(|it| it["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_list_that_does_not_end_is_an_error() {
    let check = |answer: fn(&Request) -> Response, expect: &str| {
        let (done, asked) = show(move |path, request| match path {
            "/keys" => answer(request),
            _ => values(request, text),
        });
        assert!(done.code == 2 && done.stderr.contains(expect), "{expect}: {} {}", done.code, done.stderr);
        assert!(asked < 300, "{expect}: asked {asked} times");
    };
    let back = "the list of keys does not end: it comes back to where it was";
    check(|_| page(&["a"], "always"), back);
    check(|it| page(&["a"], &it.number.to_string()), back);
    check(|it| page(&[&format!("k{}", it.number)], ["x", "y"][it.number % 2]), back);
    check(|it| page(&[], &it.number.to_string()), "too many of its pages hold nothing");
}

#[test]
fn a_key_that_is_listed_twice_is_one_key() {
    let (done, _) = show(|path, request| match (path, request.parameter("cursor").as_deref()) {
        ("/keys", None) => page(&["b", "a", "b"], "2"),
        ("/keys", Some("2")) => page(&[], "3"),
        ("/keys", _) => page(&["a", "c"], ""),
        _ => values(request, text),
    });
    assert_eq!(keys(&done), ["b", "a", "c"]);
}

/// An answer that says that it is none, or not all, is never an empty namespace or a shorter value.
#[test]
fn what_failed_is_not_taken_for_what_was_asked_for() {
    let check = |list: fn() -> Response, value: fn() -> Response, expect: &str| {
        let (done, _) = show(move |path, request| match path {
            "/keys" => list(),
            "/bulk/get" => values(request, |_| Value::Null),
            _ => value(),
        });
        assert!(done.code == 2 && done.stderr.contains(expect), "{expect}: {} {}", done.code, done.stderr);
    };
    let refused = || {
        let errors = json!([{ "code": 10000, "message": "Authentication error" }]);
        Response::json(json!({ "result": [], "success": false, "errors": errors }))
    };
    check(refused, || Response::text("x"), "Authentication error (200, 10000)");
    check(|| page(&["a"], "").status(206), || Response::text("x"), "HTTP 206");
    check(|| page(&["a"], ""), || Response::text("par").status(206), "HTTP 206");
    check(|| page(&["a"], ""), || Response::text("").status(203), "HTTP 203");
    let short = || Response::json(json!({ "result": [{ "name": "a" }], "result_info": { "count": 2 } }));
    check(short, || Response::text("x"), "a list of 1 keys says that it has 2");
    let echo = || Response::json(json!({ "result": "canary-token" }));
    check(echo, || Response::text("x"), "invalid type: string …, expected a sequence");
}

/// A bulk read says nothing of the metadata of an empty value, and a look again must not lose it.
#[test]
fn metadata_of_an_empty_value_is_seen_again() {
    let id = "0123456789abcdef0123456789abcdef";
    let server = Server::new(move |request| match request.path.rsplit('/').next() {
        Some("keys") => {
            let keys = json!([{ "name": "a", "metadata": { "n": 1 } }, { "name": "ab" }]);
            Response::json(json!({ "result": keys, "success": true }))
        }
        Some("get") => values(request, |it| if it == "a" { json!("") } else { text(it) }),
        _ => Response::text(""),
    });
    let given = [("account", "me"), ("namespace", id), ("token", "t"), ("api", &server.url())];
    let given = given.map(|(name, value)| (name.to_owned(), Setting::Text(value.to_owned())));
    let options = Options { settings: Settings::default().with(given.into()), ..Options::default() };
    let mut store = store::open("kv", "".as_ref(), &options).expect("a namespace");
    let table = store.tables().expect("a table").remove(0);
    let fields = ["key", "metadata"].map(|it| Field::new(it, Cast::new(Type::Text)));
    let key = Shape { fields: fields[..1].to_vec(), key: 1, compared: 1, keyless: false };
    let shape = Shape { fields: fields.to_vec(), key: 1, compared: 2, keyless: false };
    let mut keys = Batch::new(Arc::new(key));
    keys.push([KeyValue::Text("a")]);
    let mut found = Found::default();
    store.scan_keys(&table, &Arc::new(shape), &keys, &mut found).expect("rows");
    assert_eq!(found.0, ["{\"n\":1}"]);
}

/// The second column of all rows.
#[derive(Default)]
struct Found(Vec<String>);

impl Feed for Found {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.0.extend(batch.rows().map(|it| match it.value(1, &mut Vec::new()) {
            KeyValue::Text(it) | KeyValue::Json(it) => it.to_owned(),
            it => format!("{it:?}"),
        }));
        batch.clear();
        Ok(Flow::Continue)
    }
}

#[test]
fn a_key_without_a_value_is_never_dropped_unseen() {
    let listed = |arguments: &[&str], found: &'static [&'static str], date: &'static str| {
        run(arguments, move |path, request| {
            let answer = match (path, request.parameter("prefix")) {
                ("/keys", None) => {
                    let keys = json!([{ "name": "gone", "expiration": 1_800_000_000 }, { "name": "there" }]);
                    Response::json(json!({ "result": keys, "result_info": { "cursor": "" } }))
                }
                ("/keys", Some(_)) => page(found, ""),
                ("/values/gone", _) => absent(),
                _ => values(request, |it| if it == "gone" { Value::Null } else { text(it) }),
            };
            answer.header("date", date)
        })
    };
    let before = "Fri, 20 Nov 2026 12:05:00 GMT";
    let show = ["show", "kv:", "entries", "--format", "json"];
    let (deleted, asked) = listed(&show, &["gone:with the same beginning"], before);
    assert_eq!((keys(&deleted), asked), (vec!["there".to_owned()], 4), "deleted since it was listed");
    let (expired, asked) = listed(&show, &["gone"], "Fri, 15 Jan 2027 08:00:01 GMT");
    assert_eq!((keys(&expired), asked), (vec!["there".to_owned()], 3), "expired since it was listed");
    let (unclear, _) = listed(&show, &["gone"], before);
    let (torn, _) = listed(&["capture", "kv:", "backup"], &[], before);
    assert!(torn.code == 2 && torn.stderr.contains("1 keys of the namespace were deleted"), "{}", torn.stderr);
    assert!(unclear.code == 2 && unclear.stderr.contains("is listed and has no value"), "{}", unclear.stderr);
}

#[test]
fn too_much_for_one_answer_is_asked_for_in_parts() {
    let names: Vec<String> = (0..100).map(|it| format!("k{it:03}")).collect();
    let all = names.clone();
    let (done, asked) = show(move |path, request| match path {
        "/keys" => page(&all.iter().map(String::as_str).collect::<Vec<_>>(), ""),
        "/bulk/get" if request.json()["keys"].as_array().unwrap().iter().any(|it| it == "k042") => {
            Response::json(json!({ "errors": [{ "code": 10074, "message": "too large" }] })).status(413)
        }
        "/values/k042" => {
            Response::new("application/octet-stream", "value of k042").header("expiration", 1_900_000_000)
        }
        _ => values(request, text),
    });
    assert_eq!(keys(&done), names);
    assert!(done.stdout.contains(r#"{"key":"k042","value":"value of k042","metadata":null,"expiration":1900000000}"#));
    assert!(asked < 20, "asked {asked} times");
}

#[test]
fn what_is_no_answer_of_the_service_is_an_error() {
    let check = |answer: fn(&str, &Request) -> Response, expect: &str| {
        let (done, _) = show(answer);
        assert!(
            done.code == 2 && done.stderr.contains(expect),
            "{expect}: {} {}{}",
            done.code,
            done.stdout,
            done.stderr
        );
    };
    let api = "is `api` the address of that API?";
    check(|_, _| Response::text("<html>hello</html>"), api);
    check(|_, _| Response::json(json!({ "keys": [] })), "the list of keys came without keys");
    check(|_, _| Response::json(json!({ "result": [{ "name": 7 }] })), api);
    check(|_, _| Response::text("<html>").status(404), "nothing is there");
    check(
        |path, request| if path == "/keys" { page(&["a"], "") } else { values(request, |_| json!({ "value": 7 })) },
        api,
    );
}

#[test]
fn metadata_keeps_its_spelling_of_numbers() {
    let (done, _) = show(|path, _| match path {
        "/keys" => page(&["a"], ""),
        _ => Response::json(
            r#"{"result":{"values":{"a":{"value":"1","metadata":{"n":1.10,"m":90071992547409931},"expiration":1800000000.0}}}}"#,
        ),
    });
    let expect =
        "{\"key\":\"a\",\"value\":1,\"metadata\":{\"m\":90071992547409931,\"n\":1.10},\"expiration\":1800000000}\n";
    assert_eq!((done.code, done.stdout.as_str()), (0, expect), "{}", done.stderr);
}
