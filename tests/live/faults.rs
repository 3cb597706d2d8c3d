//! Whatever goes wrong on the way to Workers KV or Edge Config: the exact rows, or no verdict, and no secret in either.
//!
//! Each script stands before each store, and what comes through it is verified against what came without one.

use super::{
    canary::{CANARY, sweep},
    miniflare,
    proxy::{self, Act},
    server::{Fault, Request, Response},
    vercel::{ID, READ_TOKEN, TEAM, TOKEN, Vercel},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

/// What is done to which requests, and what has to come of it.
struct Script {
    name: &'static str,
    act: fn(&Request) -> Act,
    /// The first and the last request that it is done to, by number. Others pass.
    from: usize,
    to: usize,
    /// In seconds, for each request with all its attempts.
    deadline: &'static str,
    ends: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// All rows are there and the same.
    Exact,
    /// There is no verdict.
    Unknown,
}

use End::{Exact, Unknown};

/// For what is waited out, enough on a machine that has much else to do.
const LONG: &str = "60";
/// For what ends without a verdict: pauses are short where the deadline is.
const SHORT: &str = "6";
/// For what never comes.
const SOON: &str = "1.5";

const ALWAYS: usize = usize::MAX;

/// One thing that goes wrong: for a while, all the time, and from the third request on, when a part has been read already.
const fn thrice(name: &'static str, act: fn(&Request) -> Act) -> [Script; 3] {
    [
        Script { name, act, from: 0, to: 1, deadline: LONG, ends: Exact },
        Script { name, act, from: 0, to: ALWAYS, deadline: SHORT, ends: Unknown },
        Script { name, act, from: 2, to: ALWAYS, deadline: SHORT, ends: Unknown },
    ]
}

/// What no second attempt makes better.
const fn always(name: &'static str, act: fn(&Request) -> Act, ends: End) -> [Script; 1] {
    let deadline = if let Exact = ends { LONG } else { SHORT };
    [Script { name, act, from: 0, to: ALWAYS, deadline, ends }]
}

/// What never comes in time, from that request on.
const fn slow(name: &'static str, act: fn(&Request) -> Act, from: usize) -> [Script; 1] {
    [Script { name, act, from, to: ALWAYS, deadline: SOON, ends: Unknown }]
}

fn status(status: u16) -> Response {
    Response::json(json!({"success": false, "errors": [{"code": 1, "message": "no"}]})).status(status)
}

fn page() -> Response {
    Response::new("text/html", "<!doctype html><title>Bad gateway</title>")
}

fn scripts() -> Vec<Script> {
    let mut all: Vec<Script> = Vec::new();
    all.extend(always("nothing goes wrong", |_| Act::Pass, Exact));
    all.extend(always("all answers are packed", |_| Act::Gzip, Exact));
    all.extend(always("bytes come one by one", |_| Act::Break(Fault::Drip(Duration::from_micros(20))), Exact));
    all.extend(thrice("closes before the answer", |_| Act::Break(Fault::CloseAfter(0))));
    all.extend(thrice("closes within the head", |_| Act::Break(Fault::CloseAfter(30))));
    all.extend(thrice("closes after 150 bytes", |_| Act::Break(Fault::CloseAfter(150))));
    all.extend(thrice("closes within the body", |_| Act::Break(Fault::Length(1 << 20))));
    all.extend(thrice("a packed answer is cut off", |_| Act::GzipWithout(5)));
    all.extend(thrice("a storm of 429", |_| Act::Instead(status(429).header("retry-after", "0"))));
    all.extend(thrice("a storm of 429 with a date", |_| {
        Act::Instead(status(429).header("retry-after", "Fri, 20 Nov 2020 12:00:00 GMT"))
    }));
    all.extend(thrice("a storm of 500", |_| Act::Instead(status(500))));
    all.extend(thrice("a storm of 503", |_| Act::Instead(status(503).header("retry-after", "0"))));
    all.extend(thrice("a page of a gateway", |_| Act::Instead(page().status(502))));
    all.extend(always(
        "a pause that is too long",
        |_| Act::Instead(status(429).header("retry-after", "86400")),
        Unknown,
    ));
    all.extend(always("a page instead of the answer", |_| Act::Instead(page()), Unknown));
    all.extend(always("an answer larger than any", |_| Act::Break(Fault::Length(1 << 40)), Unknown));
    all.extend(always("an answer that unpacks to far more", |_| Act::Instead(proxy::bomb(20)), Unknown));
    all.extend(always("an answer that ends too early", |_| Act::Break(Fault::Length(50)), Unknown));
    all.extend(always("nothing", |_| Act::Instead(Response::json("")), Unknown));
    all.extend(always("half a document", |_| Act::Instead(Response::json(r#"{"result":[{"na"#)), Unknown));
    all.extend(always("another document", |_| Act::Instead(Response::json(r#"{"a":{"b":[]}}"#)), Unknown));
    all.extend(always("null", |_| Act::Instead(Response::json("null")), Unknown));
    all.extend(always(
        "a redirection in a circle",
        |it| Act::Instead(Response::text("").status(302).header("location", &it.path)),
        Unknown,
    ));
    all.extend(always("what was shown comes back", echo, Unknown));
    all.extend(slow("silence", |_| Act::Break(Fault::SilentAfter(0)), 0));
    all.extend(slow("silence within the head", |_| Act::Break(Fault::SilentAfter(30)), 0));
    all.extend(slow("silence within the body", |_| Act::Break(Fault::SilentAfter(150)), 2));
    all.extend(slow("a byte a second", |_| Act::Break(Fault::Drip(Duration::from_secs(1))), 0));
    all.extend(slow("a byte a second, later", |_| Act::Break(Fault::Drip(Duration::from_secs(1))), 2));
    all
}

/// A refusal that quotes the request.
fn echo(request: &Request) -> Act {
    let shown = request.header("authorization").unwrap_or_default();
    Act::Instead(Response::text(&format!("{shown} {} {}", request.path, request.query)).status(400))
}

/// A service, and what it takes to read it.
struct Service {
    kind: &'static str,
    upstream: String,
    /// The settings of a plan, in which `URL` stands for the address.
    settings: String,
    /// The same for variables.
    variables: Vec<(&'static str, String)>,
    rows: u64,
}

impl Service {
    /// A run in a folder of its own, with the service at `url`.
    fn run(&self, folder: &Path, url: &str, deadline: &str, arguments: &[&str]) -> Output {
        let (kind, settings) = (self.kind, self.settings.replace("URL", url));
        let plan = format!(
            "version = 1\n[source]\nkind = \"{kind}\"\ndeadline = {deadline}\n{settings}\n[target]\nkind = \"snapshot\"\npath = \"whole\"\n"
        );
        fs::write(folder.join("cutover.toml"), plan).expect("a file");
        let variables = self.variables.iter().map(|(name, value)| (*name, value.replace("URL", url)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(folder).env_clear().env("TMPDIR", folder).envs(variables).args(arguments);
        command.output().expect("the program runs")
    }

    fn check_all(&self, scripts: &[Script]) {
        let whole = tempfile::tempdir().expect("a folder");
        let captured =
            self.run(whole.path(), &self.upstream, LONG, &["capture", "source", "whole", "--plan", "cutover.toml"]);
        assert!(captured.status.success(), "{}", String::from_utf8_lossy(&captured.stderr));
        scripts.iter().for_each(|it| self.check(whole.path(), it));
    }

    #[expect(clippy::disallowed_methods, reason = "that a run ends in time is what is tested")]
    fn check(&self, folder: &Path, script: &Script) {
        let (act, from, to) = (script.act, script.from, script.to);
        let proxy =
            proxy::before(
                self.upstream.clone(),
                move |it| {
                    if (from..=to).contains(&it.number) { act(it) } else { Act::Pass }
                },
            );
        let about = format!("{}: {} from {from} to {to}", self.kind, script.name);
        let began = Instant::now();
        let done = self.run(folder, &proxy.url(), script.deadline, &["verify", "--format", "json"]);
        // A run that waits as long as it usually would takes longer by far.
        assert!(script.deadline != SOON || began.elapsed() < Duration::from_secs(60), "{about}: it takes too long");
        let said = [&done.stdout, &done.stderr].map(|it| String::from_utf8_lossy(it).into_owned()).concat();
        assert!(!said.contains(CANARY) && !said.contains("panicked"), "{about}: {said}");
        sweep(folder);
        let report: Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
        let asked = proxy.requests().len();
        match done.status.code() {
            Some(0) => {
                let counts = ["source_rows", "target_rows", "same"].map(|it| report["totals"][it].as_u64());
                assert_eq!(counts, [Some(self.rows); 3], "{about}: {said}");
                assert_eq!(script.ends, Exact, "{about}: it passed after {asked} requests");
            }
            Some(2) => {
                assert_eq!(script.ends, Unknown, "{about}: {said}");
                assert!(report["verdict"] == "unknown" || said.contains("error: "), "{about}: {said}");
            }
            code => panic!("{about}: {code:?} {said}"),
        }
    }
}

/// A list of keys that leads nowhere: to a page that was there, or to pages that hold nothing, for ever.
fn lists() -> Vec<Script> {
    fn page(request: &Request, names: &[&str], cursor: &str) -> Act {
        if !request.path.ends_with("/keys") {
            return Act::Pass;
        }
        let keys: Vec<Value> = names.iter().map(|it| json!({"name": it})).collect();
        let info = json!({"count": keys.len(), "cursor": cursor});
        Act::Instead(Response::json(json!({"result": keys, "success": true, "result_info": info})))
    }
    let mut all = Vec::new();
    all.extend(always("a cursor that comes again", |it| page(it, &["k000"], "again"), Unknown));
    all.extend(always("two cursors in turn", |it| page(it, &["k000"], ["a", "b"][it.number % 2]), Unknown));
    all.extend(always("the same page for ever", |it| page(it, &["k000"], &it.number.to_string()), Unknown));
    all.extend(always("empty pages for ever", |it| page(it, &[], &it.number.to_string()), Unknown));
    all
}

#[test]
fn workers_kv() {
    let namespace = miniflare::namespace();
    let names: Vec<String> = (0..250).map(|it| format!("k{it:03}")).collect();
    let texts = names.iter().map(|it| (it.as_str(), it.as_bytes(), Some(r#"{"n":1}"#), None));
    let odd: [miniflare::Entry<'_>; 2] =
        [("bytes", &[0xff, 0x00, 0xfe], None, None), ("empty", b"", Some(r#"{"e":1}"#), None)];
    namespace.put_all(&texts.chain(odd).collect::<Vec<_>>());
    let service = Service {
        kind: "kv",
        upstream: namespace.api.strip_suffix("/client/v4").expect("an address").to_owned(),
        settings: format!(
            "account = \"{}\"\nnamespace = \"{}\"\napi = \"URL/client/v4\"",
            namespace.account, namespace.id
        ),
        variables: vec![("CLOUDFLARE_API_TOKEN", namespace.token.clone())],
        rows: 252,
    };
    assert!(namespace.token.starts_with(CANARY));
    service.check_all(&scripts());
    service.check_all(&lists());
}

fn config() -> Vercel {
    let items: Value = (0..40).map(|it| (format!("key_{it}"), json!({"n": it, "text": "Mira \u{1f600}"}))).collect();
    Vercel::new(items)
}

#[test]
fn edge_config_by_its_management_interface() {
    let vercel = config();
    let service = Service {
        kind: "edge-config",
        upstream: vercel.server.url(),
        settings: format!("id = \"{ID}\"\napi = \"URL\""),
        variables: vec![("VERCEL_TOKEN", TOKEN.to_owned()), ("VERCEL_TEAM_ID", TEAM.to_owned())],
        rows: 40,
    };
    service.check_all(&scripts());
}

#[test]
fn edge_config_by_its_read_interface() {
    let vercel = config();
    let service = Service {
        kind: "edge-config",
        upstream: vercel.server.url(),
        settings: String::new(),
        variables: vec![("EDGE_CONFIG", format!("URL/{ID}?token={READ_TOKEN}"))],
        rows: 40,
    };
    service.check_all(&scripts());
}
