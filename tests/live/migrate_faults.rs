//! Whole migrations over a bad line: each request of a run goes wrong once, in each way, and from some request on none comes
//! through. What the run says is true, and running again ends with all rows there, once and right.

use super::{
    miniflare::{self, Namespace},
    proxy::{self, Act},
    server::{Fault, Response},
    workerd::{self, Database},
};
use rusqlite::Connection;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// What goes wrong with a request, and what it is called.
type Wrong = (&'static str, fn() -> Act);

/// A service that was asked may have done what it was asked for.
const FAULTS: [Wrong; 5] = [
    ("the answer never comes", || Act::Break(Fault::CloseAfter(0))),
    ("the answer is cut off", || Act::Break(Fault::CloseAfter(40))),
    ("a gateway answers in its place", || Act::Lose(Response::new("text/html", "<h1>Bad gateway</h1>").status(502))),
    ("too many requests", || Act::Instead(Response::json("{}").status(429).header("retry-after", "0"))),
    ("the service is down", || Act::Instead(Response::json("{}").status(503))),
];

/// A target, as it is before.
trait Line {
    const TARGET: &'static str;
    const TABLES: &'static str;
    const UNPAIRED: &'static str = "";
    fn new() -> Self;
    /// As it is before, once more.
    fn renew(&mut self);
    /// Where it is reached without the proxy, and what stands behind the host in its address.
    fn api(&self) -> &str;
    fn variables(&self) -> Vec<(&'static str, String)>;
    /// What a preview says of the cost, with ten seconds between batches.
    const COST: &'static str;
    /// All rows of it, in an order that does not change.
    fn rows(&self) -> String;
}

impl Line for Database {
    const TARGET: &'static str = "kind = 'd1', id = '${D1_DATABASE_ID}'";
    const COST: &'static str =
        "cost: about 5 requests to write it, which take 51 s at least at the rate that is allowed";
    const TABLES: &'static str = "{ into = 'people', conflict = 'overwrite' }, { into = 'notes', key = [] }";

    fn new() -> Database {
        workerd::database()
    }

    fn renew(&mut self) {
        *self = workerd::database();
        self.execute(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people VALUES (2, 'old');
             CREATE TABLE notes (text TEXT);",
        );
    }

    fn api(&self) -> &str {
        &self.api
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        self.environment().to_vec()
    }

    fn rows(&self) -> String {
        let all = "SELECT id, name FROM people UNION ALL SELECT NULL, text FROM notes ORDER BY 1, 2";
        self.execute(all)[0]["results"]["rows"].to_string()
    }
}

impl Line for Namespace {
    const TARGET: &'static str = "kind = 'kv', namespace = '${KV_NAMESPACE_ID}'";
    const TABLES: &'static str = "{ into = 'entries', from = 'people', conflict = 'overwrite', columns.key = '.id | tostring', \
        columns.value = '{name: .name}' }";
    const COST: &'static str =
        "cost: about 8 requests to write it, which take 31 s at least at the rate that is allowed";
    const UNPAIRED: &'static str = "'notes', 'entries.metadata', 'entries.expiration'";

    fn new() -> Namespace {
        miniflare::namespace()
    }

    fn renew(&mut self) {
        let keys = self.ask("GET", "keys", b"")["result"].clone();
        let keys = keys.as_array().expect("keys").iter().map(|it| it["name"].as_str().expect("a key"));
        self.delete(&keys.collect::<Vec<_>>());
        self.put("2", b"{\"name\":\"old\"}", Some("{\"kept\":true}"), None);
    }

    fn api(&self) -> &str {
        &self.api
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let names = ["CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_BASE_URL", "CLOUDFLARE_API_TOKEN", "KV_NAMESPACE_ID"];
        let values = [&self.account, &self.api, &self.token, &self.id];
        names.into_iter().zip(values).map(|(name, value)| (name, value.clone())).collect()
    }

    fn rows(&self) -> String {
        let keys = self.ask("GET", "keys", b"")["result"].clone();
        let value = |it: &serde_json::Value| {
            let key = it["name"].as_str().expect("a key");
            format!("{it} {}", self.ask("GET", &format!("values/{key}"), b""))
        };
        keys.as_array().expect("keys").iter().map(value).collect::<Vec<_>>().join("\n")
    }
}

/// A source and a plan.
fn folder<L: Line>() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Connection::open(folder.path().join("source.db")).expect("a file");
    let people = (1..=7).map(|it| format!("INSERT INTO people VALUES ({it}, 'name {it}');"));
    let notes = (0..5).map(|it| format!("INSERT INTO notes VALUES ('note {}');", it / 2));
    let tables = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE notes (text TEXT);".to_owned();
    source.execute_batch(&(tables + &people.chain(notes).collect::<String>())).expect("rows");
    let plan = format!(
        "version = 1\nsource = {{ kind = 'sqlite', path = 'source.db' }}\ntarget = {{ {}, deadline = 3 }}\n\
         gate = {{ unpaired = [{}] }}\nmigrate = {{ batch_size = 3, backup = false, backoff = 0.01 }}\ntable = [{}]\n",
        L::TARGET,
        L::UNPAIRED,
        L::TABLES
    );
    fs::write(folder.path().join("cutover.toml"), plan).expect("a plan");
    folder
}

fn run<L: Line>(line: &L, folder: &Path, host: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(folder).env_clear().env("TMPDIR", folder).envs(line.variables());
    if let Some(host) = host {
        command.env("CLOUDFLARE_API_BASE_URL", format!("{host}{}", path(line.api())));
    }
    command.args(arguments).args(["--rate", "100000"]).output().expect("the program runs")
}

/// What stands behind the host of an address.
fn path(address: &str) -> &str {
    let host = address.strip_prefix("http://").expect("an address");
    host.find('/').map_or("", |it| &host[it..])
}

const MIGRATE: [&str; 5] = ["migrate", "--quiet", "--recheck", "2", "--recheck-delay=10ms"];

fn upstream(address: &str) -> String {
    address[..address.len() - path(address).len()].to_owned()
}

fn well(done: &Output, about: &str) {
    let said = [&done.stdout, &done.stderr].map(|it| String::from_utf8_lossy(it).into_owned()).concat();
    assert!(done.status.success(), "{about}: {said}");
}

/// What comes of it undisturbed, and how many requests that takes.
fn reference<L: Line>(line: &mut L) -> (String, usize) {
    line.renew();
    let folder = folder::<L>();
    let proxy = proxy::before(upstream(line.api()), |_| Act::Pass);
    let looked = run(line, folder.path(), Some(&proxy.url()), &["migrate", "--dry-run", "--batch-delay", "10s"]);
    let said = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert!(
        looked.status.success() && said.contains(&format!("\n{}\n", L::COST)),
        "{said}{}",
        String::from_utf8_lossy(&looked.stderr)
    );
    let before = proxy.requests().len();
    well(&run(line, folder.path(), Some(&proxy.url()), &MIGRATE), "undisturbed");
    (line.rows(), proxy.requests().len() - before)
}

/// A run that is disturbed from one request to another, and one that is not.
fn check<L: Line>(line: &mut L, after: &str, (from, to): (usize, usize), (name, act): Wrong) {
    line.renew();
    let folder = folder::<L>();
    let about = format!("{name}, requests {from} to {to}");
    let disturbed = move |number| if (from..=to).contains(&number) { act() } else { Act::Pass };
    let proxy = proxy::before(upstream(line.api()), move |it| disturbed(it.number));
    let done = run(line, folder.path(), Some(&proxy.url()), &MIGRATE);
    let said = [&done.stdout, &done.stderr].map(|it| String::from_utf8_lossy(it).into_owned()).concat();
    assert!(!said.contains("panicked"), "{about}: {said}");
    match done.status.code() {
        Some(0) => assert_eq!(line.rows(), after, "{about}: {said}"),
        Some(1 | 2) => well(&run(line, folder.path(), None, &MIGRATE), &about),
        code => panic!("{about}: {code:?} {said}"),
    }
    assert_eq!(line.rows(), after, "{about}: {said}");
    well(&run(line, folder.path(), None, &["verify"]), &about);
}

fn check_all<L: Line>() {
    let mut line = L::new();
    let (after, requests) = reference(&mut line);
    assert!(requests > 5, "{requests}");
    for fault in FAULTS {
        (0..requests).for_each(|at| check(&mut line, &after, (at, at), fault));
    }
    for at in [requests / 3, requests / 2, requests * 2 / 3] {
        check(&mut line, &after, (at, usize::MAX), FAULTS[4]);
    }
}

#[test]
fn into_d1() {
    check_all::<Database>();
}

#[test]
fn into_a_namespace() {
    check_all::<Namespace>();
}
