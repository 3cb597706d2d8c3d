//! Whatever goes wrong with a request that writes, to each service: what the target says of it is true, and whoever goes by that
//! writes all of it, once.

use super::{
    miniflare,
    proxy::{self, Act},
    server::{Fault, Request, Response, Server},
    vercel::{ID, TEAM, TOKEN, Vercel},
    workerd,
    written::{self, batch, bytes, shape, write},
};
use cutover::{
    error::Kind,
    row::{Batch, Shape},
    store::{
        self, Options,
        target::{self, Begin, Target},
    },
    value::{Type, Value, cast::Cast},
};
use serde_json::{Value as Json, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// What is done to how many of the first requests that write, and whether trying again helps.
type Script = (&'static str, fn() -> Act, usize, bool);

/// Seconds for a request with all its attempts: a third of it is how long silence lasts.
const DEADLINE: &str = "4.5";
/// How often a batch is sent.
const ATTEMPTS: usize = 4;
const ALWAYS: usize = usize::MAX;

fn status(status: u16) -> Response {
    let fault = json!({"success": false, "result": null, "messages": [], "errors": [{"code": 7000, "message": "no"}]});
    Response::json(fault).status(status)
}

fn busy() -> Response {
    status(429).header("retry-after", "0")
}

/// What goes wrong before the service has done anything.
const UNREAD: [Script; 11] = [
    ("too many requests, once", || Act::Instead(busy()), 1, true),
    ("too many requests, for a while", || Act::Instead(busy()), 7, true),
    ("too many requests, always", || Act::Instead(busy()), ALWAYS, false),
    ("the service is down", || Act::Instead(status(503).header("retry-after", "0")), 1, true),
    ("it fails inside", || Act::Instead(status(500)), 1, true),
    ("a page of a gateway", || Act::Instead(page().status(502)), 1, true),
    ("a page in place of the service", || Act::Instead(page()), 1, true),
    ("a document of something else", || Act::Instead(Response::json(r#"{"a":{"b":[]}}"#)), 1, true),
    ("a token that may not", || Act::Instead(status(403)), ALWAYS, false),
    ("it is not there any more", || Act::Instead(status(404)), ALWAYS, false),
    ("it lies elsewhere", || Act::Instead(Response::text("").status(302).header("location", "/")), ALWAYS, false),
];

/// What goes wrong once the service has done what it was asked for.
const TAKEN: [Script; 14] = [
    ("nothing goes wrong", || Act::Pass, 0, true),
    ("a packed answer", || Act::Gzip, ALWAYS, true),
    ("bytes come one by one", || Act::Break(Fault::Drip(std::time::Duration::from_micros(20))), ALWAYS, true),
    ("it closes before the answer", || Act::Break(Fault::CloseAfter(0)), 1, true),
    ("it closes within the head", || Act::Break(Fault::CloseAfter(30)), 1, true),
    ("it closes within the body", || Act::Break(Fault::Length(1 << 20)), 1, true),
    ("a packed answer is cut off", || Act::GzipWithout(5), 1, true),
    ("silence", || Act::Break(Fault::SilentAfter(0)), 1, true),
    ("it fails after it wrote", || Act::Lose(status(500)), 1, true),
    ("a gateway gives up", || Act::Lose(page().status(504)), 1, true),
    ("a page instead of the answer", || Act::Lose(page()), 1, true),
    ("half a document", || Act::Lose(Response::json(r#"{"success":true,"result":[{"na"#)), 1, true),
    ("nothing", || Act::Lose(Response::json("")), 1, true),
    ("an answer that unpacks to far more", || Act::Lose(proxy::bomb(20)), 1, true),
];

fn page() -> Response {
    Response::new("text/html", "<!doctype html><title>Bad gateway</title>")
}

/// A service, what it takes to write to it, and what begins such a request.
struct Service {
    kind: &'static str,
    upstream: String,
    /// Its settings, in which `URL` stands for the address.
    given: Vec<(&'static str, String)>,
    table: &'static str,
    writes: fn(&Request) -> bool,
    /// Makes it what it was before.
    renew: Box<dyn Fn()>,
}

impl Service {
    fn options(&self, url: &str, deadline: &str) -> Options {
        let given: Vec<_> = self.given.iter().map(|(name, value)| (*name, value.replace("URL", url))).collect();
        let given = given.iter().map(|(name, value)| (*name, value.as_str())).chain([("deadline", deadline)]);
        written::options(&given.collect::<Vec<_>>())
    }

    /// All rows.
    fn rows(&self) -> Vec<Vec<u8>> {
        let options = self.options(&self.upstream, "60");
        let mut store = store::open(self.kind, "".as_ref(), &options).expect("a store");
        let tables = store.tables().expect("tables");
        let table = tables.iter().find(|it| it.name == self.table).expect("a table");
        written::read(store.as_mut(), table, &pairs())
    }

    /// Writes a batch to a target, as often as what it says makes a run do that. Whether it is all there.
    fn send(&self, target: &mut dyn Target, about: &str, before: &[Vec<u8>], after: &[Vec<u8>]) -> bool {
        let mut table = cutover::schema::Table::new(self.table);
        table.columns = pairs().fields.iter().map(|it| cutover::schema::Column::new(&it.column, it.cast.ty)).collect();
        table.key = vec![0];
        let (inserts, updates, none) =
            (rows(&[("a", "1"), ("b", "[1.50]")]), rows(&[("old", "\"new\"")]), Batch::new(pairs()));
        for attempt in 1..=ATTEMPTS {
            let done = write(target, &table, 1, [&inserts, &updates, &none]);
            let now = self.rows();
            let about = format!("{about}, attempt {attempt}: {done:?}");
            let Err(error) = done else {
                assert_eq!(now, after, "{about}");
                return true;
            };
            match error.kind() {
                Kind::Unsure => {
                    assert!(now == before || now == after, "{about}: it is there in part");
                    let mark = target.mark("r", self.table).expect("an answer");
                    assert!(self.kind != "d1" || mark.is_some() == (now == after), "{about}: the mark is {mark:?}");
                    if mark.is_some() {
                        return true;
                    }
                }
                Kind::Busy => assert_eq!(now, before, "{about}"),
                _ => {
                    assert_eq!(now, before, "{about}");
                    return false;
                }
            }
        }
        false
    }

    /// A target behind a proxy that does something to the first requests that write.
    fn behind(&self, script: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> (Server, Box<dyn Target>) {
        let (writes, seen) = (self.writes, AtomicUsize::new(0));
        let server = proxy::before(self.upstream.clone(), move |it| match writes(it) {
            true => script(it, seen.fetch_add(1, Relaxed)),
            false => Act::Pass,
        });
        let options = self.options(&server.url(), DEADLINE);
        let mut target = target::open(self.kind, "".as_ref(), &options).expect("a target");
        target.begin(&Begin { tables: &[], disable_indexes: false }).expect("it can be written to");
        (server, target)
    }

    fn check_all(&self) {
        (self.renew)();
        let before = self.rows();
        assert_eq!(before, bytes(&rows(&[("old", "1")])));
        let after = bytes(&rows(&[("a", "1"), ("b", "[1.50]"), ("old", "\"new\"")]));
        for (name, act, times, heals) in UNREAD.into_iter().chain(TAKEN) {
            (self.renew)();
            let about = format!("{}: {name}", self.kind);
            let (server, mut target) = self.behind(move |_, number| if number < times { act() } else { Act::Pass });
            assert_eq!(self.send(target.as_mut(), &about, &before, &after), heals, "{about}");
            assert_eq!(self.rows(), if heals { after.clone() } else { before.clone() }, "{about}");
            assert!(server.requests().iter().any(self.writes), "{about}: nothing was written");
        }
    }
}

/// Keys and documents.
fn pairs() -> Arc<Shape> {
    shape(&[("key", Cast::new(Type::Text)), ("value", Cast::new(Type::Json))], 1)
}

fn rows(all: &[(&'static str, &'static str)]) -> Batch {
    batch(&pairs(), all.iter().map(|it| vec![Value::Text(it.0), Value::Json(it.1)]))
}

#[test]
fn into_d1() {
    let database = workerd::database();
    database.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT)");
    let service = Service {
        kind: "d1",
        upstream: database.api.strip_suffix("/client/v4").expect("an address").to_owned(),
        given: vec![
            ("account", database.account.to_owned()),
            ("token", database.token.to_owned()),
            ("database", database.id.clone()),
            ("api", "URL/client/v4".to_owned()),
        ],
        table: "entries",
        writes: |it| String::from_utf8_lossy(&it.body).contains("INSERT INTO main"),
        renew: Box::new(move || {
            // Without the table of marks, every batch is the first one.
            let clear = "DELETE FROM entries; INSERT INTO entries VALUES ('old', '1'); DROP TABLE IF EXISTS _cutover";
            database.execute(clear);
        }),
    };
    service.check_all();
    // An answer to fewer statements than were sent is none.
    (service.renew)();
    let before = service.rows();
    let few = || json!({"success": true, "errors": [], "messages": [], "result": []});
    let (_server, mut target) =
        service.behind(move |_, number| if number == 0 { Act::Lose(Response::json(few())) } else { Act::Pass });
    let after = bytes(&rows(&[("a", "1"), ("b", "[1.50]"), ("old", "\"new\"")]));
    assert!(service.send(target.as_mut(), "an answer to fewer statements", &before, &after));
}

fn namespace(namespace: &miniflare::Namespace) -> Service {
    let here = namespace.clone();
    Service {
        kind: "kv",
        upstream: namespace.api.strip_suffix("/client/v4").expect("an address").to_owned(),
        given: vec![
            ("account", namespace.account.clone()),
            ("token", namespace.token.clone()),
            ("namespace", namespace.id.clone()),
            ("api", "URL/client/v4".to_owned()),
        ],
        table: "entries",
        writes: |it| it.method == "PUT" && it.path.ends_with("/bulk"),
        renew: Box::new(move || {
            here.delete(&["a", "b"]);
            here.put("old", b"1", None, None);
        }),
    }
}

#[test]
fn into_a_namespace() {
    namespace(&miniflare::namespace()).check_all();
}

/// Keys that the service leaves out of a batch are sent again, and only these; those that it never takes are named.
#[test]
fn a_part_of_a_batch() {
    let here = miniflare::namespace();
    let service = namespace(&here);
    let left_out = |keys: &[&str]| {
        let done = json!({"successful_key_count": 3 - keys.len(), "unsuccessful_keys": keys});
        Act::Instead(Response::json(json!({"success": true, "errors": [], "messages": [], "result": done})))
    };
    let after = bytes(&rows(&[("a", "1"), ("b", "[1.50]"), ("old", "\"new\"")]));
    let sent = |server: &Server| -> Vec<Vec<String>> {
        let keys = |it: Json| {
            it.as_array().into_iter().flatten().map(|it| it["key"].as_str().unwrap_or("?").to_owned()).collect()
        };
        server.take().iter().filter(|it| (service.writes)(it)).map(|it| keys(it.json())).collect()
    };
    (service.renew)();
    let before = service.rows();
    let half = here.clone();
    let (server, mut target) = service.behind(move |_, number| match number {
        0 => {
            half.put("a", b"1", None, None);
            left_out(&["b", "old"])
        }
        _ => Act::Pass,
    });
    assert!(service.send(target.as_mut(), "kv: a part", &before, &after));
    assert_eq!(sent(&server), [vec!["a", "b", "old"], vec!["b", "old"]]);

    (service.renew)();
    let (server, mut target) = service.behind(move |_, _| left_out(&["a", "b", "old"]));
    assert!(!service.send(target.as_mut(), "kv: nothing of it", &before, &after));
    assert_eq!(sent(&server).len(), 3 * ATTEMPTS);
    assert_eq!(service.rows(), before);
}

#[test]
fn into_an_edge_config() {
    let vercel = Vercel::new(json!({}));
    let service = Service {
        kind: "edge-config",
        upstream: vercel.server.url(),
        given: vec![
            ("id", ID.to_owned()),
            ("token", TOKEN.to_owned()),
            ("team", TEAM.to_owned()),
            ("api", "URL".to_owned()),
        ],
        table: "items",
        writes: |it| it.method == "PATCH",
        renew: Box::new(move || vercel.set(|it| it.items = [("old".to_owned(), json!(1))].into_iter().collect())),
    };
    service.check_all();
}
