//! Data-driven tests of what needs no service.

use super::*;
use crate::{plan::Setting, store::settings::Settings};
use std::collections::BTreeMap;

fn options(given: &[(&str, &str)]) -> Options {
    let given: BTreeMap<_, _> = given.iter().map(|it| (it.0.to_owned(), Setting::Text(it.1.to_owned()))).collect();
    Options { settings: Settings::new(given, Arc::new(|_| None)), ..Options::default() }
}

#[test]
fn addresses_of_services() {
    let check = |base: &str, given: &[(&str, &str)], expect: Result<&str, &str>| {
        let token = SecretString::from("t0k3n");
        let web = Web::new(base, (!base.contains('@')).then_some(&token), &options(given));
        match (web, expect) {
            (Ok(web), Ok(expect)) => assert_eq!(web.name(), expect, "{base}"),
            (Err(error), Err(expect)) => {
                let error = error.to_string();
                assert!(error.contains(expect) && !error.contains("s3cr3t"), "{base}: {error}");
            }
            (Ok(_), Err(expect)) => panic!("{base} is taken, and {expect} was expected"),
            (Err(error), Ok(_)) => panic!("{base}: {error}"),
        }
    };
    check("http://127.0.0.1:80/a/", &[], Ok("127.0.0.1/a/"));
    check("http://localhost:5", &[], Ok("localhost:5/"));
    check("http://[::1]:5", &[], Ok("[::1]:5/"));
    check("http://u:s3cr3t@127.0.0.1/", &[], Ok("127.0.0.1/"));
    check("http://u:%ff@127.0.0.1/", &[], Err("not UTF-8"));
    check("http://service.test/", &[], Err("http:// is not protected"));
    check("http://service.test/", &[("tls", "disable"), ("ca", "absent.pem")], Err("absent.pem"));
    check("http://127.0.0.1/", &[("tls", "require")], Err("always verified in full"));
    check("http://127.0.0.1/?token=s3cr3t", &[], Err("nothing may follow its path"));
    check("http://127.0.0.1/#s3cr3t", &[], Err("nothing may follow its path"));
    check("ftp://127.0.0.1/", &[], Err("https://"));
    check("file:///x", &[], Err("https://"));
    check("x", &[], Err("address of the service"));
    check("http://127.0.0.1", &[("deadline", "2.5")], Ok("127.0.0.1/"));
    for it in ["0", "-1", "x", "NaN", "inf", "1e9"] {
        check("http://127.0.0.1", &[("deadline", it)], Err("`deadline` is a number of seconds"));
    }
}

#[test]
fn an_address_may_be_a_secret_as_a_whole() {
    let base = Web::new("http://hooks.127.0.0.1.test/", None, &options(&[("tls", "disable")])).unwrap();
    for path in [
        "/hooks/T0/s3cr3t",
        "/hooks/s3cr3t?wait=true",
        "/x?key=s3cr3t",
        "?s3cr3t",
        "/s3%63r3t?a=b&c=s3c+r3t",
        "/x?a=1&k=s3cr3t==",
    ] {
        let web = base.clone().with_hidden(path);
        assert_eq!(web.place(&web.url(path).unwrap()), "hooks.127.0.0.1.test", "{path}");
        let echo = format!("no such hook: {path}, or s3cr3t");
        assert!(!web.veiled(&echo).contains("s3c"), "{path}: {}", web.veiled(&echo));
    }
    let web = base.clone().with_hidden("/x?k=s3c+r3t");
    assert_eq!(web.veiled("no s3c r3t here"), "no *** here");
    let long = format!("{} s3cr3t-s3cr3t", "x".repeat(192));
    let answer = Answer { status: 404, body: long.into_bytes(), ..Answer::default() };
    let said = base.clone().with_hidden("/s3cr3t-s3cr3t").veiled(&answer.summary());
    assert!(said.ends_with("xx ***…"), "{said}");
    let web = base.clone().with_hidden("/Zo\u{eb}-s3cr3t");
    assert_eq!(web.veiled("Zo%C3%AB-s3cr3t, Zo\u{eb}-s3cr3t"), "***, ***");
}

#[test]
fn paths_stay_where_the_service_is() {
    let web = Web::new("http://127.0.0.1:1/api/", None, &Options::default()).unwrap();
    let check = |path: &str, expect: &str| match web.url(path) {
        Ok(it) => assert_eq!(it.as_str(), expect, "{path}"),
        Err(it) => assert!(it.contains(expect), "{path}: {it}"),
    };
    check("", "http://127.0.0.1:1/api/");
    check("/x?y=/../z", "http://127.0.0.1:1/api/x?y=/../z");
    check("?y=1", "http://127.0.0.1:1/api/?y=1");
    check("/%2Fa", "http://127.0.0.1:1/api/%2Fa");
    check("http://127.0.0.1:1/other", "http://127.0.0.1:1/other");
    for it in ["http://127.0.0.1:2/", "https://127.0.0.1:1/", "http://127.0.0.1.test:1/"] {
        check(it, "another origin");
    }
    for it in ["@other.test/", ".test/", ":2/", "ftp://127.0.0.1:1/", "x"] {
        check(it, "no path");
    }
    for it in ["/a/../b", "/%2e%2E/b", "/.%2e", "/a/.", "/.?x"] {
        check(it, "`.` or `..`");
    }
    for it in ["/a\\b", "/a\nb", "/a#b"] {
        check(it, "not percent-encoded");
    }
    let follow = |asked: &str, link: &str, expect: &str| match web.follow(asked, link) {
        Ok(it) => assert_eq!(it, expect, "{link}"),
        Err(it) => assert!(it.to_string().contains(expect), "{link}: {it}"),
    };
    follow("/x?page=1", "?page=2", "http://127.0.0.1:1/api/x?page=2");
    follow("/x", "/y#z", "http://127.0.0.1:1/y#z");
    follow("http://127.0.0.1:1/y?a", "z", "http://127.0.0.1:1/z");
    follow("/x", "http://127.0.0.1:2/", "another origin, 127.0.0.1:2/");
    follow("/x", "//other.test/y?s3cr3t", "another origin, other.test/y");
    follow("/x", "http://u@127.0.0.1:1/y", "a user");
    follow("/x", "javascript:1", "another origin");
    follow("/x", "http://[", "no address");
}

#[test]
fn when_to_come_back() {
    let today = "2026-11-20T12:00:00Z".parse().unwrap();
    let check = |headers: &[(&str, &str)], expect: Option<u64>| {
        let pair = |it: &(&str, &str)| (it.0.parse().unwrap(), it.1.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        assert_eq!(after::wait(429, &headers, today), expect.map(Duration::from_millis), "{headers:?}");
    };
    check(&[], None);
    check(&[("retry-after", "7")], Some(7000));
    check(&[("retry-after", " 0 ")], Some(0));
    check(&[("retry-after", "1000000000")], Some(1_000_000_000_000));
    check(&[("retry-after", "Fri, 20 Nov 2026 12:01:00 GMT")], Some(60_000));
    check(&[("retry-after", "Fri, 20 Nov 2020 12:01:00 GMT")], Some(0));
    // The clock of the service counts.
    let date = ("date", "Fri, 20 Nov 2026 12:00:50 GMT");
    check(&[("retry-after", "Fri, 20 Nov 2026 12:01:00 GMT"), date], Some(10_000));
    for it in ["", "soon", "-1", "1.5", "1e3", "Fri, 99 Nov 2026", "0x10", "١"] {
        check(&[("retry-after", it)], None);
    }
    check(&[("retry-after-ms", "250"), ("retry-after", "7")], Some(250));
    check(&[("retry-after-ms", "x"), ("retry-after", "7")], Some(7000));
    check(&[("x-ratelimit-reset", "30")], Some(30_000));
    check(&[("x-ratelimit-reset", "1795176005")], Some(5000));
    check(&[("x-ratelimit-reset", "1795176005500")], Some(5500));
    check(&[("x-ratelimit-reset", "Fri, 20 Nov 2026 12:05:00 GMT")], Some(300_000));
    check(&[("retry-after", "9"), ("x-ratelimit-reset", "30")], Some(9000));
    let headers = [("x-ratelimit-reset".parse().unwrap(), "30".parse().unwrap())].into_iter().collect();
    assert_eq!(after::wait(503, &headers, today), None);
    let huge = "9".repeat(40);
    let headers = [("retry-after".parse().unwrap(), huge.parse().unwrap())].into_iter().collect();
    assert_eq!(after::wait(429, &headers, today), Some(Duration::from_secs(u64::MAX)));
    let spoken = [0, 1, 120, 121, 7201, 200_000].map(|it| after::spoken(Duration::from_secs(it)));
    assert_eq!(spoken, ["0 ms", "1 s", "120 s", "3 minutes", "3 hours", "3 days"]);
}

#[test]
fn what_an_answer_says() {
    let answer = |status, media_type: &str, body: &str| {
        let headers = [(CONTENT_TYPE, media_type.parse().unwrap())].into_iter().collect();
        Answer { status, headers, body: body.into(), ..Answer::default() }
    };
    let json = |body: &str, expect: &str| {
        assert_eq!(answer(400, "application/json", body).summary(), format!("status 400{expect}"), "{body}");
    };
    json(r#"{"error":{"code":"forbidden","message":"Not authorized"}}"#, ": Not authorized (forbidden)");
    json(r#"{"result":null,"errors":[{"code":7500,"message":"no such\ntable"}]}"#, ": no such table (7500)");
    json(r#"{"message":"a"}"#, ": a");
    json(r#"{"error":"b"}"#, ": b");
    json(r#"{"title":"c","detail":"d"}"#, ": d");
    json("{\"error\":", "");
    json("[]", "");
    assert_eq!(answer(500, "text/plain", " out of\r\norder ").summary(), "status 500: out of  order");
    assert!(answer(500, "text/plain", &"ä".repeat(1000)).summary().ends_with("ä…"));
    for (media_type, body) in
        [("text/html; charset=utf-8", "x"), ("application/json", "  <!DOCTYPE html>"), ("x/y", "<HTML>")]
    {
        let answer = answer(502, media_type, body);
        assert_eq!(answer.summary(), "the service answered with a web page, status 502");
        assert!(answer.json::<Vec<u8>>().unwrap_err().contains("web page"));
    }
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        rows: Vec<&'a serde_json::value::RawValue>,
    }
    let rows = |body: &str| {
        let answer = answer(200, "application/json", body);
        answer.json::<Envelope<'_>>().map(|it| it.rows.iter().map(|it| it.get().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        rows(r#"{"rows":[9007199254740993, 1.10,{"a":1,"a":2}]}"#).unwrap(),
        ["9007199254740993", "1.10", r#"{"a":1,"a":2}"#]
    );
    for body in [
        r#"{"rows":[],"rows":[]}"#,
        r#"{"rows":[]"#,
        r#"{"rows":[]} x"#,
        "",
        &format!("{{\"x\":{}", "[".repeat(100_000)),
    ] {
        assert!(rows(body).is_err(), "{body}");
    }
}
