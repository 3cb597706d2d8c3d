//! Private Postgres servers for tests, of the newest Postgres that is installed, or of one of those that npm brings.
//!
//! A server lives in a folder of its own and listens on a socket there and on a free port of the loopback. It is the child of a shell that
//! waits for the end of a pipe that this process holds, so it ends and its folder goes however this process ends.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// A running server.
pub(crate) struct Server {
    shell: Child,
    folder: PathBuf,
    port: u16,
}

/// A database of its own in a server. It goes with the server.
pub(crate) struct Database {
    server: &'static Server,
    name: String,
}

/// The superuser of every server. It needs no password.
pub(crate) const USER: &str = "app";

/// Members of these roles have to show a password, over the network alone. Others need none.
pub(crate) const SCRAM: &str = "scram_only";
/// The same for the older way to show it.
pub(crate) const MD5: &str = "md5_only";

const ACCESS: &str = "\
local all all trust
host all +scram_only all scram-sha-256
host all +md5_only all md5
host all +refused_only all reject
host all all 127.0.0.0/8 trust
host all all ::1/128 trust
";

const ROLES: &str = "CREATE ROLE scram_only; CREATE ROLE md5_only; CREATE ROLE refused_only;";

/// Nothing here has to outlive a power cut.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 50
shared_buffers = 32MB
autovacuum = off
";

/// Says so when the server is up, and throws it away at the end of the input: nothing in it is worth an orderly end.
const SHELL: &str = r#"
trap '' INT TERM HUP
"$0" -D "$1/data" -l "$1/log" -w -t 30 -s start >/dev/null 2>&1 || exit 1
echo ready
cat >/dev/null
"$0" -D "$1/data" -m immediate -s stop >/dev/null 2>&1
rm -rf "$1"
"#;

/// A fresh database in the one server that all tests of this process share.
pub(crate) fn database() -> Database {
    server().database()
}

/// The one server that all tests of this process share.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(""))
}

impl Server {
    /// Starts another server, with settings such as `ssl = on`, a line each, that win over those of tests.
    pub(crate) fn start(settings: &str) -> Server {
        Server::of(None, settings)
    }

    /// Starts a server of that major version, which `tests/node/package.json` has to name.
    pub(crate) fn of_version(major: u32) -> Server {
        Server::of(Some(major), "")
    }

    fn of(major: Option<u32>, settings: &str) -> Server {
        // Another program may take the port that was free a moment ago.
        let server = (0..3).find_map(|_| Server::attempt(major, settings)).expect("a port that stays free");
        server.execute("postgres", ROLES);
        server
    }

    fn attempt(major: Option<u32>, settings: &str) -> Option<Server> {
        // The path of a socket has to be short.
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").expect("a temporary folder").keep();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let own = major.map(|it| unpacked(it, &folder));
        let program = |name: &str| own.as_ref().map_or_else(|| program(name), |it| it.join(name));
        let data = folder.join("data");
        let mut initdb = unprivileged(program("initdb"));
        initdb.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        run(initdb.arg("-D").arg(&data));
        fs::write(data.join("pg_hba.conf"), ACCESS).expect("the rules of access can be written");
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = listener.expect("a free port").port();
        let place = format!("port = {port}\nunix_socket_directories = '{}'\n", folder.display());
        fs::write(data.join("postgresql.conf"), place + SETTINGS + settings).expect("settings can be written");

        let mut shell = unprivileged("sh");
        shell.arg("-c").arg(SHELL).arg(program("pg_ctl")).arg(&folder);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut said = String::new();
        let _ = shell.stdout.take().map(|it| BufReader::new(it).read_line(&mut said));
        let server = Server { shell, folder, port };
        if said.is_empty() {
            let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
            let _ = fs::remove_dir_all(&server.folder);
            assert!(log.contains("could not bind"), "Postgres does not start: {log}");
            return None;
        }
        Some(server)
    }

    /// A fresh database in this server.
    pub(crate) fn database(&'static self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        Database { server: self, name }
    }

    /// From now on it offers TLS, and shows this certificate.
    pub(crate) fn certify(&self, certificate: &Path, key: &Path) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let files = [certificate, key].map(|from| {
            let path = self.folder.join(format!("{number}.{}", from.extension().unwrap_or_default().display()));
            fs::copy(from, &path).expect("a copy");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
            if is_root() {
                run(Command::new("chown").arg("postgres").arg(&path));
            }
            path.display().to_string()
        });
        for (setting, path) in ["ssl_cert_file", "ssl_key_file"].iter().zip(&files) {
            self.execute("postgres", &format!("ALTER SYSTEM SET {setting} = '{path}'"));
        }
        self.execute("postgres", "ALTER SYSTEM SET ssl = on");
        self.execute("postgres", "SELECT pg_reload_conf()");
        // The server that made a session with the new setting has read the certificate before.
        let read =
            (0..1000).any(|_| self.execute("postgres", "SHOW ssl_cert_file; SHOW ssl") == format!("{}\non", files[0]));
        assert!(read, "Postgres does not take the certificate");
    }

    /// Where its socket is, and what it may read: certificates, for one.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of one of its databases, for the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements in one of its databases and gives what they say: a row a line, `|` between the fields.
    pub(crate) fn execute(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.env_clear().env("PGCLIENTENCODING", "UTF8");
        psql.env("PGHOST", &self.folder).env("PGPORT", self.port.to_string());
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-f", "-"]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn().expect("psql starts");
        let mut input = psql.stdin.take().expect("its input");
        // It may answer before it has read everything, so it is written to from beside.
        let output = thread::scope(|scope| {
            // Where it ends early, the statements that it does not want are of no interest.
            scope.spawn(move || input.write_all(sql.as_bytes()));
            psql.wait_with_output().expect("psql ends")
        });
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{complaint} in: {sql}");
        said.trim_end_matches('\n').to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Database {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its address, for the superuser.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Runs statements and gives what they say: a row a line, `|` between the fields.
    pub(crate) fn execute(&self, sql: &str) -> String {
        self.server.execute(&self.name, sql)
    }

    pub(crate) fn server(&self) -> &'static Server {
        self.server
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// A command that runs as `postgres` where we are root, as whom no server starts.
fn unprivileged(program: impl AsRef<OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    // Whose home and folder it cannot enter.
    command.current_dir("/");
    command
}

/// The folder that has `psql`.
pub(crate) fn programs() -> PathBuf {
    program("psql").with_file_name("")
}

/// One of the programs of the newest Postgres: where Debian has them, or on the path.
#[expect(clippy::disallowed_methods, reason = "programs are found by the environment")]
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |it: &PathBuf| it.file_name().and_then(|it| it.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|it| it.path()).max_by_key(version).map(|it| it.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = newest.into_iter().chain(std::env::split_paths(&path));
    folders
        .find_map(|it| Some(it.join(name)).filter(|it| it.is_file()))
        .unwrap_or_else(|| panic!("Postgres has no `{name}` here: run scripts/test once"))
}

/// Where the programs of that version are: copied to where whoever runs the server may read them. Its libraries are looked for under
/// names that no package can hold, since they are links; a script of the package would make them, and no such script is run.
fn unpacked(major: u32, folder: &Path) -> PathBuf {
    let package =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/node/node_modules/postgres-{major}/native"));
    assert!(package.is_dir(), "Postgres {major} is not installed: run scripts/test once");
    run(Command::new("cp").arg("-r").arg(&package).arg(folder));
    let links = fs::read(package.join("pg-symlinks.json")).expect("a list of links");
    let links: Vec<serde_json::Value> = serde_json::from_slice(&links).expect("a list of links");
    for link in &links {
        let path = |end: &str| folder.join(link[end].as_str().expect("a path within the package"));
        symlink(path("source"), path("target")).expect("a link");
    }
    // Who runs the server also clears up.
    if is_root() {
        run(Command::new("chown").args(["-R", "postgres"]).arg(folder.join("native")));
    }
    folder.join("native/bin")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|it| panic!("{command:?}: {it}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
