//! D1 on this machine: Cloudflare's own engine, `workerd`, with D1's REST interface in front.

use cutover::store::{
    Options,
    web::{Advice, Request, Web},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// A database of its own, empty at first.
pub(crate) struct Database {
    pub(crate) account: &'static str,
    pub(crate) id: String,
    pub(crate) token: &'static str,
    /// The address of the interface, as `CLOUDFLARE_API_BASE_URL` has it.
    pub(crate) api: String,
    /// A folder as `wrangler dev --persist-to` names it, in which this database is kept with others.
    pub(crate) state: PathBuf,
}

const ACCOUNT: &str = "cccccccccccccccccccccccccccccccc";
const TOKEN: &str = "CANARY-token-of-the-tests";
const WORKERD: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/node_modules/@cloudflare/workerd-linux-64/bin/workerd");
const CONFIG: &str = include_str!("d1/config.capnp");
const SERVER: &str = include_str!("d1/server.mjs");

/// Ends when the pipe to its input closes, which it does however this process ends, and cleans up.
const GUARD: &str = r#"trap '' INT; "$1" serve "$2/config.capnp" --experimental --control-fd=1 </dev/null 2>"$2/log" &
    exec >&-; cat >/dev/null; kill $!; wait $!; rm -rf -- "$2""#;

/// The one server of this process, started when it is first asked for.
struct Server {
    port: u16,
    state: PathBuf,
    /// Its input is held open as long as the server is wanted.
    _guard: Child,
}

/// A database that nobody has used yet.
pub(crate) fn database() -> Database {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let server = SERVER.get_or_init(start);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Database {
        account: ACCOUNT,
        id: format!("{count:08x}-0000-4000-8000-{:012x}", std::process::id()),
        token: TOKEN,
        api: format!("http://127.0.0.1:{}/client/v4", server.port),
        state: server.state.clone(),
    }
}

fn start() -> Server {
    assert!(fs::exists(WORKERD).unwrap_or(false), "workerd is not installed: run scripts/test once");
    let folder = tempfile::Builder::new().prefix("cutover-workerd").tempdir().expect("a folder").keep();
    let state = folder.join("state");
    let kept = state.join("v3/d1");
    fs::create_dir_all(&kept).expect("a folder");
    let config = CONFIG.replace("\"STATE\"", &format!("{kept:?}"));
    fs::write(folder.join("config.capnp"), config).expect("a file");
    fs::write(folder.join("server.mjs"), SERVER).expect("a file");
    let mut guard = Command::new("sh")
        .args(["-c", GUARD, "sh", WORKERD])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let said = guard.stdout.take().expect("a pipe");
    // One line for each socket: {"event":"listen","socket":"http","port":40123}
    let port = BufReader::new(said).lines().map_while(Result::ok).find_map(|line| {
        let line: Value = serde_json::from_str(&line).ok()?;
        (line["event"] == "listen").then(|| line["port"].as_u64()).flatten()
    });
    let port = port.and_then(|it| u16::try_from(it).ok()).unwrap_or_else(|| {
        panic!("workerd did not start: {}", fs::read_to_string(folder.join("log")).unwrap_or_default())
    });
    Server { port, state, _guard: guard }
}

impl Database {
    /// Runs statements, all or none of them.
    pub(crate) fn execute(&self, sql: &str) -> Value {
        self.ask(&json!({ "sql": sql }))
    }

    /// The same, where the engine may refuse.
    pub(crate) fn try_execute(&self, sql: &str) -> Result<Value, String> {
        self.post(&format!("/{}/raw", self.id), &json!({ "sql": sql }))
    }

    /// Asks `/raw`, and gives the result.
    pub(crate) fn ask(&self, body: &Value) -> Value {
        self.post(&format!("/{}/raw", self.id), body).unwrap_or_else(|it| panic!("{it}: {body}"))
    }

    /// Makes one more database of the account, of that name, and gives its id.
    pub(crate) fn create(&self, name: &str) -> String {
        let made = self.post("", &json!({ "name": name })).expect("a database");
        made["uuid"].as_str().expect("an id").to_owned()
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let web = Web::new(&self.api, Some(&SecretString::from(self.token)), &Options::default()).expect("a client");
        let path = format!("/accounts/{}/d1/database{path}", self.account);
        let answer = web.send(&Request::ask(&path, body.to_string().as_bytes()), &|_| Advice::Take).expect("an answer");
        // A constraint that is broken at the end of a transaction resets the engine, which then answers with a text.
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer["success"] == true { Ok(answer["result"].clone()) } else { Err(answer["errors"].to_string()) }
    }

    /// What a program has to find in its environment to reach it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("CLOUDFLARE_ACCOUNT_ID", self.account.to_owned()),
            ("CLOUDFLARE_API_BASE_URL", self.api.clone()),
            ("CLOUDFLARE_API_TOKEN", self.token.to_owned()),
            ("D1_DATABASE_ID", self.id.clone()),
        ]
    }
}
