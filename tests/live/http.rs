//! JSON over HTTP, through the program: documents, pages, and what goes wrong on the way.

use super::{
    proxy::{self, Act},
    server::{Fault, Request, Response, Server},
};
use cutover::{
    plan::Setting,
    store::{self, Options, Source, settings::Settings},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What a run came to.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|it| panic!("{it}: {} {}", self.stdout, self.stderr))
    }

    /// The rows that are the same, where nothing else was found.
    fn same(&self) -> Option<u64> {
        let (totals, same) = (self.json()["totals"].clone(), self.json()["totals"]["same"].as_u64());
        let counted = |name: &str| matches!(name, "source_rows" | "target_rows" | "same");
        let clean = totals.as_object()?.iter().all(|(name, count)| counted(name) || *count == 0);
        same.filter(|_| clean && self.code == Some(0))
    }
}

/// The program in a folder, with these variables and no others.
fn cutover(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(folder).env_clear().env("TMPDIR", folder).envs(variables.iter().copied()).args(arguments);
    let output = command.output().expect("the program starts");
    let text = |it: Vec<u8>| String::from_utf8(it).expect("text");
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `cutover verify` of the service at `url`, with these settings, against `rows`.
fn verify(url: &str, settings: &str, rows: &Value) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("rows.json"), rows.to_string()).expect("a file");
    let plan = format!(
        "version = 1\n[source]\nkind = \"http\"\nurl = \"${{URL}}\"\n{settings}\n[target]\nkind = \"json\"\npath = \"rows.json\"\n"
    );
    fs::write(folder.path().join("cutover.toml"), plan).expect("a file");
    let done = cutover(folder.path(), &[("URL", url)], &["verify", "--format", "json"]);
    let mut left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().map(|it| it.file_name()).collect();
    left.sort();
    assert_eq!(left, ["cutover.toml", "rows.json"], "nothing is left behind");
    done
}

/// That many rows, with numbers that no double holds.
fn rows(count: u64) -> Vec<Value> {
    (0..count)
        .map(|it| json!({"id": 9_007_199_254_740_993 + it, "name": format!("n{it} \u{1f600}"), "list": [it, null]}))
        .collect()
}

/// The app's own view of its data is what was saved before the migration.
#[test]
fn a_document_is_compared_as_a_document() {
    let backup = "fixtures/edge-config-to-d1/source/edge-config-backup-2026-01-18T09-30-00.json";
    let backup = Path::new(env!("CARGO_MANIFEST_DIR")).join(backup);
    let saved: Value = serde_json::from_slice(&fs::read(&backup).expect("the fixture")).expect("JSON");
    let items = saved.as_array().expect("items").iter();
    let served: Value = items.map(|it| (it["key"].as_str().expect("a key").to_owned(), it["value"].clone())).collect();
    let server = Server::new(move |request| {
        let mut served = served.clone();
        if request.path == "/broken/items" {
            served["bioData"]["default"]["profile"]["name"] = "Mira Odegard".into();
        }
        if request.header("authorization") == Some("Bearer c4n4ry") {
            Response::json(served)
        } else {
            Response::text("").status(401)
        }
    });
    let run = |place: &str, token: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let plan = "version = 1\n[source]\nkind = \"edge-config-export\"\npath = \"${BACKUP}\"\n\
                    [target]\nkind = \"http\"\nurl = \"${API_URL}/items\"\ntoken = \"${TOKEN}\"\n";
        fs::write(folder.path().join("cutover.toml"), plan).expect("a file");
        let url = server.url() + place;
        let variables = [("BACKUP", backup.to_str().expect("text")), ("API_URL", &url), ("TOKEN", token)];
        cutover(folder.path(), &variables, &["verify", "--format", "json"])
    };
    let good = run("", "c4n4ry");
    assert_eq!(good.same(), Some(saved.as_array().expect("items").len() as u64), "{}", good.stdout);
    let bad = run("/broken", "c4n4ry");
    assert_eq!(bad.code, Some(1));
    let patch = &bad.json()["tables"][0]["findings"][0]["patch"];
    assert_eq!(patch[0]["value"], "Mira \u{d8}deg\u{e5}rd", "{}", bad.stdout);
    let refused = run("", "wrong");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("status 401; look at the token"), "{}", refused.stderr);
}

/// What the service at that path answers: rows in pages of 100, and how to go on in each of the ways there are.
fn paged(all: &[Value], request: &Request, own: &str) -> Response {
    let page = |from: usize| -> Vec<Value> { all.iter().skip(from).take(100).cloned().collect() };
    let number = |name: &str| request.parameter(name).and_then(|it| it.parse::<usize>().ok());
    let after = number("after").unwrap_or(0);
    let following = (after + 100 < all.len()).then_some(after + 100);
    match request.path.as_str() {
        "/whole/rows" => Response::json(Value::from(all)),
        "/link/rows" => {
            let next = following.map(|it| format!("{own}/link/rows?after={it}"));
            Response::json(json!({"data": {"items": page(after)}, "links": {"next": next}}))
        }
        "/relative/rows" => {
            Response::json(json!({"rows": page(after), "next": following.map(|it| format!("?after={it}"))}))
        }
        "/header/rows" => {
            let response = Response::json(Value::from(page(after))).header("x-total-count", all.len());
            match following {
                Some(it) => response.header("link", format!("</header/rows?after={it}>; rel=\"next\"")),
                None => response,
            }
        }
        "/cursor/rows" => Response::json(json!({"rows": page(after), "meta": {"cursor": following}})),
        "/page/rows" => Response::json(json!({"rows": page((number("p").unwrap_or(0) - 1) * 100)})),
        "/objects/rows" => {
            let members: Value = page(after).iter().map(|it| (it["id"].to_string(), it.clone())).collect();
            Response::json(json!({"rows": members, "next": following.map(|it| format!("?after={it}"))}))
        }
        "/part/rows" => Response::json(Value::from(page(0))).status(206).header("content-range", "0-99/250"),
        "/total/rows" => Response::json(Value::from(page(0))).header("x-total-count", all.len()),
        "/counted/rows" => Response::json(json!({"rows": page(0), "count": all.len(), "next": "?page=2"})),
        "/more/rows" => Response::json(json!({"rows": page(0), "has_more": true})),
        it => Response::text(it).status(404),
    }
}

#[test]
fn all_pages_are_read() {
    let all = rows(250);
    let (shown, own) = (all.clone(), Arc::new(OnceLock::new()));
    let known = Arc::clone(&own);
    let server = Server::new(move |request| paged(&shown, request, own.get().map_or("", String::as_str)));
    known.set(server.url()).expect("it is set once");
    let url = |it: &str| format!("{}/{it}/rows", server.url());
    let check = |place: &str, settings: &str, requests: usize| {
        let done = verify(&url(place), settings, &all.clone().into());
        assert_eq!(done.same(), Some(250), "{place}: {} {}", done.stdout, done.stderr);
        assert_eq!(server.take().len(), requests, "{place}");
        done
    };
    check("whole", "", 1);
    // The first page is looked at once more in the end.
    let done = check("link", "rows = '/data/items'\nnext_link = '/links/next'", 4);
    assert!(done.stdout.contains("3 pages were asked for one after the other"), "{}", done.stdout);
    check("relative", "rows = '/rows'\nnext_link = '/next'", 4);
    check("header", "next_link = 'Link'", 4);
    check("cursor", "rows = '/rows'\nnext_cursor = { after = '/meta/cursor' }", 4);
    check("page", "rows = '/rows'\npage = 'p'", 5);
    let members: Value = all.iter().map(|it| (it["id"].to_string(), it.clone())).collect();
    let done = verify(&url("objects"), "rows = '/rows'\nnext_link = '/next'", &members);
    assert_eq!(done.same(), Some(250), "{} {}", done.stdout, done.stderr);

    // A part is never taken for the whole, even where it is what the other side has.
    let part: Value = all[..100].into();
    for (place, settings, expect) in [
        ("header", "", "links to a next page"),
        ("part", "", "the service says that this is a part"),
        ("total", "", "there are 250 rows, and 100 came"),
        ("more", "rows = '/rows'", "the answer says so in `has_more`"),
        ("counted", "rows = '/rows'", "the answer says so in `next`"),
    ] {
        let done = verify(&url(place), settings, &part);
        assert_eq!((done.code, done.json()["verdict"].as_str()), (Some(2), Some("unknown")), "{place}");
        assert!(done.stdout.contains(expect), "{place}: {}", done.stdout);
    }
}

/// Who says how to go on, and says it wrong, reads the first page: the last answer still says that there is more.
#[test]
fn a_page_that_leads_nowhere_is_not_the_last_one() {
    let check = |settings: &str, answer: Value, expect: &str| {
        let server = Server::new(move |request| match request.parameter("page").as_deref() {
            Some("2") => Response::json(json!({"rows": [], "totalItems": answer["totalItems"]})),
            _ => Response::json(answer.clone()),
        });
        let done = verify(&format!("{}/rows", server.url()), settings, &json!([{"id": 1}]));
        assert_eq!((done.code, done.json()["verdict"].as_str()), (Some(2), Some("unknown")), "{settings}");
        assert!(done.stdout.contains(expect), "{settings}: {}", done.stdout);
    };
    let page = json!({"rows": [{"id": 1}], "next": "?after=1"});
    check("rows = '/rows'\nnext_link = '/links/next'", page.clone(), "the answer says so in `next`");
    check("rows = '/rows'\nnext_cursor = { after = '/cursor' }", page.clone(), "the answer says so in `next`");
    check("rows = '/rows'\nnext_link = 'Link'", page, "the answer says so in `next`");
    let counted = json!({"rows": [{"id": 1}], "totalItems": 7});
    check("rows = '/rows'", counted.clone(), "in `totalItems` that there are 7 rows, and 1 came");
    check("rows = '/rows'\npage = 'page'", counted, "in `totalItems` that there are 7 rows, and 1 came");
}

/// A service that gives back what it was shown does not get it into an error.
#[test]
fn what_comes_back_of_a_secret_is_not_shown() {
    let check = |settings: &str, answer: fn(&Request) -> Response, expect: &str| {
        let server = Server::new(answer);
        let url = server.url().replace("http://", "http://mira:c4n4ry-secret@");
        let done = verify(&format!("{url}/rows"), settings, &json!([]));
        assert!(done.code == Some(2) && done.stderr.contains(expect), "{expect}: {}", done.stderr);
        assert!(!done.stderr.contains("c4n4ry") && !done.stderr.contains("bWlyYTpj"), "{}", done.stderr);
    };
    check("", |it| Response::text(it.header("authorization").unwrap_or_default()).status(400), "Basic ***");
    let link = "rows = '/rows'\nnext_link = '/next'";
    check(link, |_| Response::json(json!({"rows": [], "next": "https://other.test/c4n4ry-secret"})), "other.test/***");
}

/// Pages that do not make a whole are an error that says why, and soon.
#[test]
fn pages_that_are_no_collection_are_an_error() {
    let check = |settings: &str, answer: fn(usize, &Request) -> Response, expect: &str| {
        let count = AtomicUsize::new(0);
        let server = Server::new(move |request| answer(count.fetch_add(1, Ordering::Relaxed), request));
        let done = verify(&format!("{}/rows?token=c4n4ry-query", server.url()), settings, &json!([{"id": 1}]));
        assert_eq!(done.code, Some(2), "{expect}: {}", done.stdout);
        assert!(done.stderr.contains(expect), "{expect}: {}", done.stderr);
        assert!(!done.stderr.contains("c4n4ry"), "{}", done.stderr);
    };
    let cursor = "rows = '/rows'\nnext_cursor = { after = '/next' }";
    check(cursor, |at, _| Response::json(json!({"rows": [{"id": at}], "next": "same"})), "page 2 leads back to a page");
    check(cursor, |at, _| Response::json(json!({"rows": [{"id": at}], "next": ["x"]})), "neither a text nor a number");
    let few = format!("{cursor}\npages = 20");
    check(&few, |at, _| Response::json(json!({"rows": [{"id": at}], "next": at})), "more than 20 pages");
    check(&few, |at, _| Response::json(json!({"rows": [], "next": at})), "more than 20 pages");
    check(
        cursor,
        |at, _| Response::json(json!({"rows": [{"id": 1}], "next": at})),
        "holds the very rows of a page before",
    );
    let turning = |at: usize, _: &Request| Response::json(json!([{"id": at % 2}]));
    check("page = 'p'", turning, "page 3 holds the very rows of a page before");
    check("page = 'p'", |_, _| Response::json(json!([{"id": 1}])), "does the service know what it is asked?");
    let shrinking = |_: usize, request: &Request| {
        let page: usize = request.parameter("p").expect("a page").parse().expect("a number");
        let rows = [2, 1, 2, 0][page.min(4) - 1];
        Response::json(Value::from((0..rows).map(|it| json!({"id": page * 10 + it})).collect::<Vec<_>>()))
    };
    check("page = 'p'", shrinking, "page 2 had fewer rows than the first, and still page 3 has some");
    let link = "rows = '/rows'\nnext_link = '/next'";
    for (next, expect) in
        [("http://127.0.0.1:1/x", "another origin"), ("https://other.test/x?a", "another origin, other.test/x")]
    {
        let server = Server::new(move |_| Response::json(json!({"rows": [{"id": 1}], "next": next})));
        let done = verify(&format!("{}/rows", server.url()), link, &json!([{"id": 1}]));
        assert!(done.code == Some(2) && done.stderr.contains(expect), "{next}: {}", done.stderr);
    }
    check("next_link = '/next'\npage = 'p'", |_, _| Response::json("[]"), "three ways to the next page");
    check("rows = 'x'", |_, _| Response::json("[]"), "`rows` is a JSON pointer");
    check("rows = '/x'", |_, _| Response::json("{}"), "nothing at the place that `rows` names");
    check("rows = '/x'", |_, _| Response::json(r#"{"x":7}"#), "neither an array nor an object");
    check("rows = '/x'", |_, _| Response::json(r#"{"x":[],"x":[]}"#), "the member `x` comes twice");
    check("", |_, _| Response::json(r#"[{"id":1,"id":2}]"#), "the member `id` comes twice");
    check("", |_, _| Response::new("text/html", "<!doctype html>"), "a web page, status 200");
    // What changes while it is read is read again, but not for ever.
    let moving = |at: usize, request: &Request| match request.parameter("after") {
        None => Response::json(json!({"rows": [{"id": at}], "next": 1})),
        Some(_) => Response::json(json!({"rows": [{"id": 1_000_000}]})),
    };
    check(cursor, moving, "changed while its pages are read, 3 times in a row");
    let touched = |at: usize, request: &Request| {
        let response = moving_once(request).header("date", "Fri, 20 Nov 2026 12:00:00 GMT");
        if at % 3 == 1 { response.header("last-modified", "Fri, 20 Nov 2026 12:00:01 GMT") } else { response }
    };
    check(cursor, touched, "changed while its pages are read, 3 times in a row");
}

/// Two pages that stay as they are.
fn moving_once(request: &Request) -> Response {
    match request.parameter("after") {
        None => Response::json(json!({"rows": [{"id": 1}], "next": 1})),
        Some(_) => Response::json(json!({"rows": [{"id": 2}]})),
    }
}

/// A collection that changed once while it was read is read again, and that is what counts.
#[test]
fn a_collection_that_moved_is_read_again() {
    let count = AtomicUsize::new(0);
    let server = Server::new(move |request| {
        let at = count.fetch_add(1, Ordering::Relaxed);
        if at == 0 { Response::json(json!({"rows": [{"id": 0}], "next": 1})) } else { moving_once(request) }
    });
    let cursor = "rows = '/rows'\nnext_cursor = { after = '/next' }";
    let done = verify(&format!("{}/rows", server.url()), cursor, &json!([{"id": 1}, {"id": 2}]));
    assert_eq!(done.same(), Some(2), "{} {}", done.stdout, done.stderr);
    assert_eq!(server.take().len(), 6);
}

/// Each script goes wrong that many times. The program has exact data in the end, or says why it cannot have them.
#[test]
fn whatever_goes_wrong_ends_in_exact_data_or_in_exit_2() {
    let all = Value::from(rows(40));
    let body = all.to_string();
    let length = body.len() as u64;
    let service = Server::new(move |_| Response::json(&body));
    let status = |status: u16| Response::json(r#"{"error":"no"}"#).status(status);
    let page = || Response::new("text/html", "<html></html>");
    let check = |act: Act, times: usize, deadline: &str, expect: &str| {
        let shown = format!("{act:?} {times} times");
        let proxy = proxy::before(service.url(), move |it| if it.number < times { act.clone() } else { Act::Pass });
        let done = verify(&format!("{}/rows", proxy.url()), &format!("deadline = {deadline}"), &all);
        match expect {
            "" => assert_eq!(done.same(), Some(40), "{shown}: {} {}", done.stdout, done.stderr),
            _ => {
                assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{shown}");
                assert!(done.stderr.contains(expect), "{shown}: {}", done.stderr);
            }
        }
    };
    let silent = |count| Act::Break(Fault::SilentAfter(count));
    let drip = || Act::Break(Fault::Drip(Duration::from_millis(50)));
    check(Act::Break(Fault::CloseAfter(0)), 2, "6", "");
    check(Act::Break(Fault::CloseAfter(700)), 2, "6", "");
    check(Act::Break(Fault::CloseAfter(700)), 99, "6", "broke off");
    check(silent(0), 1, "3", "");
    check(silent(0), 99, "0.6", "nothing better came within 600 ms");
    check(silent(700), 1, "3", "");
    check(silent(700), 99, "0.6", "rows: ");
    check(drip(), 1, "3", "");
    check(drip(), 99, "0.6", "rows: ");
    check(Act::Break(Fault::Length(length + 1)), 2, "6", "");
    check(Act::Break(Fault::Length(length - 1)), 2, "6", "");
    check(Act::Break(Fault::Length(length - 1)), 99, "6", "something else than expected, status 200: EOF");
    check(Act::Gzip, 1, "6", "");
    check(Act::GzipWithout(20), 2, "6", "");
    check(Act::GzipWithout(20), 99, "6", "broke off");
    check(Act::Instead(proxy::bomb(20)), 1, "6", "unpacks to far more");
    check(Act::Instead(page().status(502)), 3, "6", "");
    check(Act::Instead(page().status(502)), 99, "6", "a web page, status 502; asked 5 times");
    check(Act::Instead(page()), 1, "6", "a web page, status 200");
    for it in [429, 500, 503] {
        check(Act::Instead(status(it)), 4, "6", "");
        check(Act::Instead(status(it)), 5, "6", "asked 5 times");
    }
    check(Act::Instead(status(429).header("retry-after", "0")), 4, "6", "");
    check(Act::Instead(status(429).header("retry-after", "never")), 4, "6", "");
    check(Act::Instead(status(429).header("retry-after", "Fri, 20 Nov 2020 12:00:00 GMT")), 4, "6", "");
    check(Act::Instead(status(429).header("retry-after", "1000000000")), 1, "6", "asks to come back in 11575 days");
    let away = Response::text("").status(302).header("location", format!("{}/elsewhere", service.url()));
    check(Act::Instead(away), 1, "6", "");
}

/// What the store says about itself, and that it looks again when it is asked to.
#[test]
fn the_store_says_what_it_found_and_looks_again() {
    let count = AtomicUsize::new(0);
    let server = Server::new(move |request| {
        if request.header("authorization") != Some("Bearer c4n4ry") {
            return Response::json(r#"{"error":{"message":"no such token","code":"denied"}}"#).status(403);
        }
        let response = Response::json(json!([{"id": count.fetch_add(1, Ordering::Relaxed)}]));
        response.header("server", "shop/2").header("date", "Fri, 20 Nov 2026 12:00:00 GMT")
    });
    let open = |token: &str| {
        let text = |name: &str, value: &str| (name.to_owned(), Setting::Text(value.to_owned()));
        let given = BTreeMap::from([text("url", &format!("{}/rows?x=1", server.url())), text("token", token)]);
        let options = Options { settings: Settings::new(given, Arc::new(|_| None)), ..Options::default() };
        store::open("http", Path::new(""), &options).expect("a store")
    };
    let facts = |source: &mut dyn Source| {
        let facts = source.about().expect("facts");
        facts.into_iter().map(|it| format!("{} {} {:?}", it.what, it.says, it.level)).collect::<Vec<_>>()
    };
    let mut source = open("c4n4ry");
    assert_eq!(
        facts(&mut *source),
        [
            "answer status 200 Good",
            "server shop/2 Good",
            "clock Fri, 20 Nov 2026 12:00:00 GMT Good",
            "tls none: everyone on the way may read along Note",
            "credentials accepted, or not looked at by the service Good",
            "access only GET is used, which reads Good",
        ]
    );
    assert_eq!(source.name().as_deref(), Some(format!("{}/rows", server.url()).as_str()));
    server.take();
    source.tables().expect("tables");
    source.tables().expect("tables");
    assert_eq!(server.take().len(), 1);
    source.refresh().expect("a second look");
    source.tables().expect("tables");
    assert_eq!(server.take().len(), 1);
    let refused = facts(&mut *open("c4n4ry-other"));
    assert_eq!(refused[0], "answer status 403: no such token (denied) Bad");
    assert_eq!(refused[3], "credentials refused: look at the token and the headers Bad");
}

/// Requests go through a proxy that the environment names, unless it leaves the host out, or the host is this machine.
#[test]
fn proxies_are_used_as_the_environment_says() {
    let service = Server::new(|_| Response::json(r#"[{"id":1}]"#));
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("rows.json"), r#"[{"id":1}]"#).expect("a file");
    let run = |url: &str, no_proxy: &str| {
        // One for each run: a connection that was given up may be noticed late.
        let inside = service.url();
        let proxy = Server::new(move |request| match (request.method.as_str(), request.path.as_str()) {
            ("CONNECT", _) => Response::text("no").status(403),
            (_, "/inside") => Response::text("").status(302).header("location", &inside),
            (_, "/cloud") => {
                Response::text("").status(307).header("location", "http://169.254.169.254/latest/meta-data")
            }
            _ => Response::json(r#"[{"id":1}]"#),
        });
        let address = proxy.url().replace("//", "//c4n4ry-user:c4n4ry-password@");
        let plan = format!(
            "version = 1\nsource = {{ kind = 'http', url = '{url}', tls = 'disable', deadline = 10 }}\n\
             target = {{ kind = 'json', path = 'rows.json' }}\n"
        );
        fs::write(folder.path().join("cutover.toml"), plan).expect("a file");
        let variables = [("HTTP_PROXY", address.as_str()), ("HTTPS_PROXY", &address), ("NO_PROXY", no_proxy)];
        let done = cutover(folder.path(), &variables, &["verify", "--format", "json"]);
        assert!(!format!("{} {}", done.stdout, done.stderr).contains("c4n4ry"), "{} {}", done.stdout, done.stderr);
        let seen = proxy.take().into_iter().next().map(|it| {
            assert!(it.header("proxy-authorization").is_some(), "{it:?}");
            format!("{} {}", it.method, it.path)
        });
        (done.code, seen)
    };
    assert_eq!(run("http://service.test/rows", ""), (Some(0), Some("GET /rows".to_owned())));
    assert_eq!(run("http://service.test/rows", "other.test,service.test"), (Some(2), None));
    assert_eq!(run("https://service.test/rows", ""), (Some(2), Some("CONNECT service.test:443".to_owned())));
    assert_eq!(run(&format!("{}/rows", service.url()), ""), (Some(0), None));
    assert_eq!(service.take().len(), 1);
    // Nobody outside makes this machine ask others on its own network.
    for place in ["/inside", "/cloud"] {
        assert_eq!(run(&format!("http://service.test{place}"), ""), (Some(2), Some(format!("GET {place}"))));
    }
    assert!(service.take().is_empty());
}

/// No secret is anywhere but in the requests: not in outputs, reports, snapshots or files.
#[test]
fn secrets_are_nowhere() {
    let mut all = rows(20);
    all[3]["password"] = "c4n4ry-row".into();
    let shown = all.clone();
    let server = Server::new(move |request| {
        let told =
            ["authorization", "x-api-key", "x-plain"].map(|it| request.header(it).unwrap_or_default().to_owned());
        let told = format!("{} {}", told.join(" "), request.query);
        match request.path.as_str() {
            // A service that repeats what it was told.
            "/echo/rows" => Response::json(json!({"error": {"message": told, "code": request.query}})).status(400),
            "/storm/rows" => Response::text(&told).status(503),
            _ => Response::json(Value::from(shown.as_slice())),
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = |it: &str| folder.path().join(it);
    all[5]["name"] = "other".into();
    fs::write(path("rows.json"), Value::from(all).to_string()).expect("a file");
    let run = |place: &str, arguments: &[&str]| {
        let plan = format!(
            "version = 1\n[source]\nkind = 'http'\nurl = '${{URL}}/{place}/rows?token=${{QUERY}}'\ndeadline = 3\n\
             headers = {{ Authorization = 'Bearer ${{TOKEN}}', x-api-key = '${{KEY}}', x-plain = '${{PLAIN}}' }}\n\
             [target]\nkind = 'json'\npath = 'rows.json'\n\
             [[table]]\ninto = 'rows'\nkey = ['id']\n[table.columns]\nid = '.id'\nname = '.name'\nlist = '.list'\n\
             password = {{ from = '.password', secret = true }}\n"
        );
        fs::write(path("cutover.toml"), plan).expect("a file");
        let url = server.url().replace("//", "//c4n4ry-user:c4n4ry-password@");
        let url = if place == "user" { url } else { server.url() };
        let variables = [
            ("URL", url.as_str()),
            ("QUERY", "c4n4ry-query"),
            ("TOKEN", "c4n4ry-token"),
            ("KEY", "c4n4ry-key"),
            ("PLAIN", "c4n4ry-plain"),
        ];
        let done = cutover(folder.path(), &variables, arguments);
        for text in [&done.stdout, &done.stderr] {
            assert!(!text.contains("c4n4ry"), "{place} {arguments:?}: {text}");
        }
        done.code
    };
    assert_eq!(run("good", &["verify", "--output", "report", "--format", "json"]), Some(1));
    assert_eq!(run("user", &["verify"]), Some(1));
    assert_eq!(run("echo", &["verify"]), Some(2));
    assert_eq!(run("storm", &["verify"]), Some(2));
    assert_eq!(run("good", &["check"]), Some(0));
    assert_eq!(
        run("good", &["capture", "source", "snapshot", "--plan", "cutover.toml", "--mask", "rows.password"]),
        Some(0)
    );
    assert!(server.take().iter().any(|it| format!("{it:?}").contains("c4n4ry-key")), "the service was told");
    fs::remove_file(path("rows.json")).expect("it is there");
    let files = contents(folder.path());
    assert!(files.iter().all(|it| !it.contains("c4n4ry")), "{files:?}");
    // There are a report and a snapshot.
    assert!(files.iter().any(|it| it.contains("9007199254740993")) && files.len() > 2, "{files:?}");
}

/// What is in the files below a folder, unpacked where they are packed, as those of a snapshot are.
fn contents(folder: &Path) -> Vec<String> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a folder").flatten().map(|it| it.path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(path).expect("a file");
                let bytes = zstd::decode_all(bytes.as_slice()).unwrap_or(bytes);
                files.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    files
}
