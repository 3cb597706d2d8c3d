//! The client of all services, against a service whose answers go wrong.

use super::{
    proxy::{self, Act},
    server::{Fault, Request, Response, Server},
};
use cutover::{
    error::Kind,
    plan::Setting,
    store::{
        Options,
        settings::Settings,
        web::{self, Advice, Clock, Web},
    },
};
use jiff::Timestamp;
use reqwest::Method;
use secrecy::SecretString;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A clock that only waiting moves on.
#[derive(Default)]
struct Still(Mutex<Vec<Duration>>);

impl Still {
    fn waits(&self) -> Vec<Duration> {
        self.0.lock().unwrap().clone()
    }
}

impl Clock for Still {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().iter().sum()
    }

    fn date(&self) -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn wait(&self, time: Duration) {
        self.0.lock().unwrap().push(time);
    }
}

fn options(deadline: &str) -> Options {
    let given = BTreeMap::from([("deadline".to_owned(), Setting::Text(deadline.to_owned()))]);
    Options { settings: Settings::new(given, Arc::new(|_| None)), ..Options::default() }
}

fn client(server: &Server, deadline: &str) -> (Web, Arc<Still>) {
    let clock = Arc::new(Still::default());
    let web = Web::new(&server.url(), Some(&SecretString::from("c4n4ry-token")), &options(deadline)).expect("a client");
    let web = web.with_header("x-auth-key", &SecretString::from("c4n4ry-header")).expect("a header");
    (web.with_clock(Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn asked(web: &Web, path: &str) -> Result<String, String> {
    let answer = web.send(&web::Request::get(path), &Advice::usual).map_err(|it| it.to_string())?;
    Ok(String::from_utf8(answer.body).expect("text"))
}

fn storm(status: u16, retry_after: Option<&str>) -> Act {
    let response = Response::json(r#"{"error":"storm"}"#).status(status);
    Act::Instead(match retry_after {
        Some(it) => response.header("retry-after", it),
        None => response,
    })
}

/// What the service answers.
const DATA: &str = r#"[{"id":1,"name":"Mira"},{"id":2,"name":"9007199254740993"}]"#;

/// Each script goes wrong that many times, then no more. Exact data come out, or an error that says why.
#[test]
fn whatever_goes_wrong_ends_in_the_whole_answer_or_an_error() {
    let service = Server::new(|_| Response::json(DATA));
    let check = |act: Act, times: usize, expect: Result<usize, &str>| {
        let shown = format!("{act:?} {times} times");
        let proxy = proxy::before(service.url(), move |it| if it.number < times { act.clone() } else { Act::Pass });
        let (web, clock) = client(&proxy, "60");
        match (asked(&web, "/rows?token=c4n4ry-query"), expect) {
            (Ok(body), Ok(requests)) => {
                assert_eq!((body.as_str(), proxy.take().len()), (DATA, requests), "{shown}");
                assert_eq!(clock.waits().len(), requests - 1, "{shown}");
            }
            (Err(error), Err(expect)) => {
                assert!(error.contains(expect) && error.contains("/rows: "), "{shown}: {error}");
                assert!(!error.contains("c4n4ry"), "{shown}: {error}");
            }
            (Ok(body), Err(expect)) => panic!("{shown}: {} bytes came, and {expect} was expected", body.len()),
            (Err(error), Ok(_)) => panic!("{shown}: {error}"),
        }
    };
    check(Act::Pass, 0, Ok(1));
    check(Act::Gzip, 1, Ok(1));
    for count in [0, 10, 90, 120] {
        check(Act::Break(Fault::CloseAfter(count)), 2, Ok(3));
        check(Act::Break(Fault::CloseAfter(count)), 99, Err("asked 5 times"));
    }
    check(Act::Break(Fault::Length(DATA.len() as u64 + 7)), 1, Ok(2));
    check(Act::Break(Fault::Length(1 << 40)), 1, Err("larger than the limit"));
    for count in [1, 4, 9, 30] {
        check(Act::GzipWithout(count), 1, Ok(2));
        check(Act::GzipWithout(count), 99, Err("the answer broke off: "));
    }
    check(Act::Instead(proxy::bomb(40)), 1, Err("unpacks to far more than was sent"));
    let foreign = Response::json(DATA).header("content-encoding", "br");
    check(Act::Instead(foreign), 1, Err("packed as `br`"));
    let page = Response::new("text/html", "<html>c4n4ry").status(502).header("cf-ray", "8a-AMS");
    check(Act::Instead(page.clone()), 2, Ok(3));
    check(Act::Instead(page), 9, Err("a web page, status 502 (cf-ray 8a-AMS); asked 5 times"));
    for status in [408, 425, 429, 500, 502, 503, 504] {
        check(storm(status, None), 4, Ok(5));
        check(storm(status, None), 5, Err("storm; asked 5 times"));
    }
    for it in ["soon", "-1", ""] {
        check(storm(429, Some(it)), 3, Ok(4));
    }
    check(storm(429, Some("1000000000")), 1, Err("storm; the service asks to come back in 11575 days"));
    check(storm(503, Some("Fri, 20 Nov 2026 12:30:00 GMT")), 1, Err("come back in 30 minutes"));
    let echo = Response::json(r#"{"error":"Bearer c4n4ry-token, c4n4ry-header"}"#).status(401);
    check(Act::Instead(echo), 1, Err("Bearer ***, ***; look at the token"));
    for status in [400, 404, 405, 409, 410, 422] {
        check(storm(status, None), 1, Err("storm"));
    }
    let endless = Response::text("").status(302).header("location", "/rows?again");
    check(Act::Instead(endless), 99, Err("redirected more than 5 times"));
}

/// Pauses grow, and what a service asks for is done, also by those who share the client.
#[test]
fn pauses_are_as_long_as_they_should_be() {
    let pauses = |retry_after: Option<&'static str>, deadline: &str| {
        let service = Server::new(|_| Response::json(DATA));
        let proxy =
            proxy::before(service.url(), move |it| if it.number < 4 { storm(429, retry_after) } else { Act::Pass });
        let (web, clock) = client(&proxy, deadline);
        asked(&web, "/").map(|_| clock.waits())
    };
    let growing = pauses(None, "720").expect("an answer");
    for (pause, least) in growing.iter().zip([1, 2, 4, 8]) {
        assert!((least..=2 * least).contains(&pause.as_secs()), "{growing:?}");
    }
    let seconds = |all: &[u64]| Ok(all.iter().map(|it| Duration::from_secs(*it)).collect::<Vec<_>>());
    assert_eq!(pauses(Some("7"), "60"), seconds(&[7, 7, 7, 7]));
    assert_eq!(pauses(Some("Fri, 20 Nov 2026 12:00:09 GMT"), "60"), seconds(&[9, 9, 9, 9]));
    assert!(pauses(Some("20"), "60").is_err_and(|it| it.contains("asks to come back in 20 s")));

    let server = Server::new(|_| Response::json(DATA));
    let clock = Arc::new(Still::default());
    let options = Options { rate: Some(4.0), ..Options::default() };
    let web =
        Web::new(&server.url(), None, &options).expect("a client").with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let other = web.clone();
    for it in [&web, &other, &web, &other] {
        let answer = it.send(&web::Request::get("/"), &Advice::usual).expect("an answer");
        assert_eq!(answer.took, Duration::ZERO, "to wait for one's turn is not to wait for the answer");
    }
    assert_eq!(clock.waits(), [Duration::from_millis(250); 3]);
}

/// What writes is sent again only where it was not listened to, and the kind of the error says what is known.
#[test]
fn only_what_does_no_harm_is_asked_again() {
    let written = |web: &Web| {
        let request = web::Request::write(Method::POST, "/", b"{}");
        web.send(&request, &Advice::usual).err().map(|it| it.kind())
    };
    let check = |act: Act, failures: usize, expect: (Option<Kind>, usize)| {
        let service = Server::new(|_| Response::json(DATA));
        let case = format!("{act:?} {failures} times");
        let proxy = proxy::before(service.url(), move |it| if it.number < failures { act.clone() } else { Act::Pass });
        let (web, _) = client(&proxy, "60");
        assert_eq!((written(&web), proxy.take().len()), expect, "{case}");
    };
    check(storm(503, Some("1")), 1, (Some(Kind::Unsure), 1));
    check(storm(500, None), 1, (Some(Kind::Unsure), 1));
    check(Act::Break(Fault::CloseAfter(0)), 1, (Some(Kind::Unsure), 1));
    check(Act::Break(Fault::CloseAfter(30)), 1, (Some(Kind::Unsure), 1));
    check(Act::GzipWithout(5), 1, (Some(Kind::Unsure), 1));
    check(Act::Instead(proxy::bomb(40)), 1, (Some(Kind::Unsure), 1));
    check(Act::Instead(Response::text("").status(303).header("location", "/x")), 1, (Some(Kind::Unsure), 1));
    check(storm(429, None), 1, (Some(Kind::Busy), 1));
    check(storm(429, Some("1")), 2, (None, 3));
    check(storm(429, Some("1")), 9, (Some(Kind::Busy), 5));
    check(storm(429, Some("1000")), 1, (Some(Kind::Busy), 1));
    check(storm(422, None), 1, (Some(Kind::Store), 1));
    check(Act::Instead(Response::text("").status(302).header("location", "/x")), 1, (Some(Kind::Store), 1));
    // Where nobody listens nothing arrives.
    let gone = Server::new(|_| Response::json(DATA));
    let (web, clock) = client(&gone, "60");
    drop(gone);
    assert_eq!((written(&web), clock.waits().len()), (Some(Kind::Busy), 4));
}

/// A service that is silent or slow does not hold anybody up for longer than the deadline.
#[test]
fn deadlines_are_kept() {
    let service = Server::new(|_| Response::json(DATA));
    let slow = [Fault::SilentAfter(0), Fault::SilentAfter(60), Fault::Drip(Duration::from_millis(20))];
    for fault in slow {
        let proxy = proxy::before(service.url(), move |_| Act::Break(fault));
        // The real clock: what is measured is the other side's patience.
        let web = Web::new(&proxy.url(), None, &options("0.6")).expect("a client");
        let error = asked(&web, "/").expect_err("no whole answer");
        assert!(error.contains("0.6") || error.contains("600 ms") || error.contains("in time"), "{fault:?}: {error}");
        assert!(proxy.take().len() <= 4, "{fault:?}");
        let proxy = proxy::before(service.url(), move |it| if it.number == 0 { Act::Break(fault) } else { Act::Pass });
        let web = Web::new(&proxy.url(), None, &options("3")).expect("a client");
        assert_eq!(asked(&web, "/").as_deref(), Ok(DATA), "{fault:?}");
    }
}

/// Credentials go to the origin they were meant for, and nowhere else.
#[test]
fn no_redirection_takes_a_secret_along() {
    let other = Arc::new(Server::new(|_| Response::json(DATA)));
    let elsewhere = other.url();
    let server = Server::new(move |request| {
        let to = match request.path.as_str() {
            "/same" => "/rows?page=1".to_owned(),
            "/other" => format!("{elsewhere}/rows"),
            "/leak" => format!("{elsewhere}/rows?t=c4n4ry-token"),
            "/user" => format!("{}/rows", elsewhere.replace("//", "//u:p@")),
            "/file" => "file:///etc/passwd".to_owned(),
            "/nowhere" => return Response::text("").status(301),
            _ => return Response::json(DATA),
        };
        Response::text("").status(if request.method == "POST" { 307 } else { 302 }).header("location", to)
    });
    let (web, _) = client(&server, "60");
    let credentials = |all: &[Request]| {
        all.iter()
            .map(|it| (it.header("authorization").is_some(), it.header("x-auth-key").is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(&web, "/same").as_deref(), Ok(DATA));
    assert_eq!(credentials(&server.take()), [(true, true); 2]);
    assert_eq!(asked(&web, "/other").as_deref(), Ok(DATA));
    let seen = other.take();
    assert_eq!(credentials(&seen), [(false, false)]);
    assert!(!format!("{seen:?}").contains("c4n4ry"));
    for (path, expect) in [
        ("/leak", "another origin, 127.0.0.1"),
        ("/user", "with a secret"),
        ("/file", "without an address"),
        ("/nowhere", "without an address"),
    ] {
        let error = asked(&web, path).expect_err("a refusal");
        assert!(error.contains(expect) && !error.contains("c4n4ry"), "{path}: {error}");
    }
    let ask = web.send(&web::Request::ask("/other", b"{}"), &Advice::usual).err().expect("a refusal").to_string();
    assert!(ask.contains("does not get what is sent here"), "{ask}");
    assert_eq!(web.send(&web::Request::ask("/same", b"{}"), &Advice::usual).expect("an answer").status, 200);
    assert_eq!(server.take().last().expect("a request").body, b"{}");
    assert!(other.take().is_empty());
}
