//! Ways to reach a Postgres server, and what is said where it cannot be reached.

use crate::postgres::{self, Database, MD5, SCRAM, Server};
use cutover::{
    plan::Setting,
    store::{self, Options, settings::Settings},
};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    thread,
};

/// A password that must not be seen anywhere.
const CANARY: &str = "CANARY-5f1c";

/// What the plan says, and what the environment does.
#[derive(Clone, Default)]
struct Way {
    keys: BTreeMap<String, Setting>,
    variables: BTreeMap<String, String>,
}

/// A server that was reached: what it is called, and what there is to know about the way.
#[derive(Debug)]
struct Reached {
    name: String,
    notes: String,
    answer: String,
}

impl Way {
    fn url(url: impl Into<String>) -> Way {
        Way::default().key("url", url)
    }

    fn key(mut self, name: &str, text: impl Into<String>) -> Way {
        self.keys.insert(name.to_owned(), Setting::Text(text.into()));
        self
    }

    fn variable(mut self, name: &str, text: impl Into<String>) -> Way {
        self.variables.insert(name.to_owned(), text.into());
        self
    }

    /// Connects twice, the second time as a reader beside the first.
    fn connect(self) -> Result<Reached, String> {
        let variables = self.variables;
        let settings = Settings::new(self.keys, Arc::new(move |name| variables.get(name).cloned()));
        let options = Options { settings, ..Options::default() };
        let ask = "SELECT current_user || ' ' || current_database()";
        let reach = || {
            let mut store = store::open("postgres", Path::new(""), &options)?;
            let mut beside = store.again()?.expect("another reader");
            let answer = store.query(ask)?.concat();
            assert_eq!(beside.query(ask)?.concat(), answer);
            Ok(Reached { name: store.name().unwrap_or_default(), notes: store.notes().join("\n"), answer })
        };
        let reached: cutover::error::Result<Reached> = reach();
        let shown = format!("{reached:?}");
        assert!(!shown.contains(CANARY), "{shown}");
        reached.map_err(|it| it.to_string())
    }

    #[track_caller]
    fn arrives(self, expect: &str) -> Reached {
        let reached = self.connect().unwrap_or_else(|it| panic!("{it}"));
        assert!(reached.answer.contains(expect), "{reached:?} has: {expect}");
        reached
    }

    #[track_caller]
    fn fails(self, expect: &str) {
        let error = self.connect().expect_err("no way in");
        assert!(error.contains(expect), "{error}\nhas: {expect}");
    }
}

/// A role that has to show the password, and the address with it.
fn role(database: &Database, name: &str, group: &str, how: &str) -> String {
    let sql = "SET password_encryption = 'HOW'; CREATE ROLE NAME LOGIN PASSWORD 'CANARY' IN ROLE GROUP";
    let sql = sql.replace("HOW", how).replace("NAME", name).replace("CANARY", CANARY).replace("GROUP", group);
    database.execute(&sql);
    format!("postgres://{name}@127.0.0.1:{}/{}", database.server().port(), database.name())
}

#[test]
fn a_server_that_trusts_is_entered_by_network_and_by_socket() {
    let database = postgres::database();
    let (name, port) = (database.name(), database.server().port());
    let folder = database.server().folder().display().to_string();
    let expect = format!("app {name}");
    let reached = Way::url(database.url()).arrives(&expect);
    assert_eq!(reached.name, format!("app@127.0.0.1:{port}/{name}"));
    assert_eq!(reached.notes, "");
    let reached = Way::url(format!("postgres:///{name}?host={folder}&port={port}&user=app")).arrives(&expect);
    assert_eq!(reached.name, format!("app@{folder}/.s.PGSQL.{port}/{name}"));
    Way::url(format!("postgres://app@{}:{port}/{name}", folder.replace('/', "%2F"))).arrives(&expect);
    Way::url(format!("postgres://app@localhost:{port}/{name}?sslmode=prefer")).arrives(&expect);
    let keys = Way::default().key("host", folder).key("port", port.to_string());
    keys.key("user", "app").key("database", name).arrives(&expect);
    Way::default().variable("DATABASE_URL", database.url()).arrives(&expect);
    let variables = Way::default().variable("PGHOST", "localhost").variable("PGPORT", port.to_string());
    variables.variable("PGUSER", "app").variable("PGDATABASE", name).arrives(&expect);
    let variables = Way::default().variable("POSTGRES_HOST", "127.0.0.1").variable("POSTGRES_PORT", port.to_string());
    let variables = variables.variable("POSTGRES_USER", "app").variable("POSTGRES_PASSWORD", CANARY);
    variables.variable("POSTGRES_DB", name).arrives(&expect);
}

#[test]
fn the_first_of_several_servers_that_answers_is_taken() {
    let database = postgres::database();
    let (name, port) = (database.name(), database.server().port());
    let dead = dead_port();
    let reached = Way::url(format!("postgres://app@127.0.0.1:{dead},127.0.0.1:{port}/{name}")).arrives(name);
    assert_eq!(reached.name, format!("app@127.0.0.1:{port}/{name}"));
    Way::url(format!("postgres://app@127.0.0.1:{port}/{name}?target_session_attrs=primary")).arrives(name);
    Way::url(format!("postgres://app@127.0.0.1:{port}/{name}?target_session_attrs=read-write")).arrives(name);
    let refused =
        Way::url(format!("postgres://nobody@127.0.0.1:{port},127.0.0.1:{port}/{name}")).connect().expect_err("");
    assert_eq!(refused.matches("does not exist").count(), 1, "{refused}");
    let closed =
        Way::url(format!("postgres://app@127.0.0.1:{dead},127.0.0.1:{port}/{name}?target_session_attrs=standby"));
    closed.fails("nothing listens there; is the server running, and is the port right?; Postgres at");
    let standby = Way::url(format!("postgres://app@127.0.0.1:{port}/{name}?target_session_attrs=standby"));
    standby.fails("a standby is wanted");
}

#[test]
fn passwords_are_shown_to_who_asks() {
    let database = postgres::database();
    for (name, group, how) in [("scram_role", SCRAM, "scram-sha-256"), ("md5_role", MD5, "md5")] {
        let url = role(&database, name, group, how);
        Way::url(&url).key("password", CANARY).arrives(name);
        Way::url(&url).variable("PGPASSWORD", CANARY).arrives(name);
        Way::url(url.replace('@', &format!(":{CANARY}@"))).arrives(name);
        Way::url(&url).key("password", format!("{CANARY}-wrong")).fails("password authentication failed");
        Way::url(&url).fails("it asks for a password and there is none; set PGPASSWORD");
    }
}

#[test]
fn a_password_file_is_read_where_nobody_else_may() {
    let database = postgres::database();
    let url = role(&database, "file_role", SCRAM, "scram-sha-256");
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join(".pgpass");
    fs::write(&path, format!("# mine\nother:*:*:*:x\n127.0.0.1:*:*:file_role:{CANARY}\n")).expect("a file");
    let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
    let way = || Way::url(&url).variable("HOME", home.path().display().to_string());
    allow(0o600);
    way().arrives("file_role");
    Way::url(&url).variable("PGPASSFILE", path.display().to_string()).arrives("file_role");
    allow(0o640);
    way().fails("others on this machine may read it; chmod 0600");
}

#[test]
fn what_keeps_us_out_is_said() {
    let database = postgres::database();
    let (name, port) = (database.name(), database.server().port());
    let at = |rest: &str| Way::url(format!("postgres://app@127.0.0.1:{rest}"));
    at(&format!("{port}/nowhere")).fails("database \"nowhere\" does not exist");
    at(&format!("{}/{name}", dead_port())).fails("nothing listens there");
    Way::url(format!("postgres://nobody@127.0.0.1:{port}/{name}")).fails("role \"nobody\" does not exist");
    Way::url("postgres://app@db.invalid/x").fails("Postgres at db.invalid:5432: no such host");
    Way::url("postgres:///x?host=/nowhere&user=app").fails("/nowhere/.s.PGSQL.5432: there is no such socket");
    let refused = role(&database, "refused_role", "refused_only", "scram-sha-256");
    Way::url(refused).fails("pg_hba.conf rejects connection");
    let asked = format!("postgres://app@127.0.0.1:{port}/{name}?sslmode=require");
    Way::url(asked).fails("it does not offer TLS, and tls = require demands it, so nothing was sent");
}

/// A server that takes the connection, says this and is silent then.
fn impostor(says: &'static [u8], closes: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = std::io::Write::write_all(&mut stream, says);
            if !closes {
                // Until the other side has had enough.
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
    });
    port
}

#[test]
fn what_is_no_postgres_is_left_alone() {
    let url = |port| Way::url(format!("postgres://app:{CANARY}@127.0.0.1:{port}/x?connect_timeout=1"));
    url(impostor(b"", false)).fails("there was no answer within 1 s");
    url(impostor(b"", true)).fails("it closed the connection without a word");
    url(impostor(b"HTTP/1.1 400 Bad Request\r\n\r\n", true)).fails("does not speak Postgres");
    url(impostor(b"N", false)).key("tls", "verify-full").fails("it does not offer TLS");
    url(impostor(b"Sx", true)).key("tls", "verify-full").fails("TLS failed");
}

/// The program with these variables alone: its exit code and all that it says and leaves behind.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(folder);
    let output = command.output().expect("the program runs");
    let mut all = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => all.push_str(&String::from_utf8_lossy(&fs::read(path).expect("a file"))),
            }
        }
    }
    (output.status.code(), all)
}

#[test]
fn no_secret_is_said_or_left_behind() {
    let database = postgres::database();
    database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); GRANT SELECT ON t TO PUBLIC");
    let url = role(&database, "canary_role", SCRAM, "scram-sha-256");
    let (name, port) = (database.name(), database.server().port());
    let good = url.replace('@', &format!(":{CANARY}@"));
    let check = |arguments: &[&str], variables: &[(&str, &str)], code: i32, expect: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let (found, all) = run(folder.path(), arguments, variables);
        assert!(!all.contains("CANARY"), "{all}");
        assert!(all.contains(expect), "{all}\nhas: {expect}");
        assert_eq!(found, Some(code), "{all}");
    };
    let both = ["diff", "env:STORE", "env:STORE", "--output", "report"];
    check(&both, &[("STORE", &good)], 0, &format!("postgres://127.0.0.1:{port}/{name}"));
    check(&["capture", "env:STORE", "snapshot"], &[("STORE", &good)], 0, "postgres");
    let pairs = format!("postgres:host=127.0.0.1 port={port} user=canary_role dbname={name} password={CANARY}");
    check(&both, &[("STORE", &pairs)], 0, &format!("canary_role@127.0.0.1:{port}/{name}"));
    check(&["diff", "postgres:", "postgres:"], &[("DATABASE_URL", &good)], 0, "canary_role@127.0.0.1");
    for (variables, expect) in [
        ([("STORE", &*good.replace(CANARY, "CANARY-wrong"))], "password authentication failed"),
        ([("STORE", &*good.replace(CANARY, "CANARY/1"))], "%2F"),
        ([("STORE", &*good.replace(CANARY, "CANARY#%"))], "%25"),
        ([("STORE", &*good.replace("127.0.0.1", "localhost.invalid"))], "no such host"),
        ([("STORE", &*format!("{good}?sslmode=verify-full"))], "it does not offer TLS"),
        ([("STORE", "password=CANARY")], "`STORE` holds no store that is known"),
        ([("STORE", "CANARY")], "`STORE` holds no store that is known"),
    ] {
        check(&both, &variables, 2, expect);
    }
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join(".pgpass");
    fs::write(&path, format!("*:*:*:*:{CANARY}-wrong\n")).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    let home = home.path().display().to_string();
    check(&both, &[("STORE", &url), ("HOME", &home)], 2, "password authentication failed");
}

fn dead_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Certificates, made by an authority of their own.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let authority = Authority { folder: tempfile::tempdir().expect("a folder") };
        // Nothing of what the system would add.
        fs::write(authority.path("config"), "[req]\ndistinguished_name = name\n[name]\n").expect("a file");
        authority.self_signed("ca", "CA:TRUE");
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments.split(' ')).current_dir(self.folder.path());
        let output = openssl.output().unwrap_or_else(|it| panic!("openssl: {it}: run scripts/test once"));
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn self_signed(&self, name: &str, constraint: &str) {
        let key = format!("-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key");
        let how = format!("-subj /CN={name} -addext basicConstraints=critical,{constraint}");
        let names = "-addext subjectAltName=DNS:localhost";
        self.openssl(&format!("req -x509 -config config {key} -out {name}.crt -days 3650 {how} {names}"));
    }

    /// A certificate for these names, good for so many days.
    fn signed(&self, name: &str, names: &str, days: i32) {
        let key = format!("-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key");
        self.openssl(&format!("req -new -config config {key} -out {name}.csr -subj /CN={name}"));
        fs::write(self.path("extensions"), format!("subjectAltName = {names}\n")).expect("a file");
        let by = "-CA ca.crt -CAkey ca.key -CAcreateserial -extfile extensions";
        self.openssl(&format!("x509 -req -in {name}.csr -out {name}.crt -days {days} {by}"));
    }
}

/// One server that shows one certificate after the other.
#[test]
fn certificates_are_looked_at() {
    let authority = Authority::new();
    authority.signed("good", "DNS:localhost,IP:127.0.0.1", 10);
    authority.signed("other", "DNS:other.example", 10);
    authority.signed("expired", "DNS:localhost", -1);
    authority.self_signed("alone", "CA:FALSE");
    authority.self_signed("proud", "CA:TRUE");
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| Server::start(""));
    let database = server.database();
    let way = |host: &str, mode: &str, ca: &str| {
        let way = Way::url(format!("postgres://app@{host}:{}/{}", server.port(), database.name())).key("tls", mode);
        if ca.is_empty() { way } else { way.key("ca", authority.shown(ca)) }
    };
    let show = |name: &str| {
        server.certify(&authority.path(&format!("{name}.crt")), &authority.path(&format!("{name}.key")));
    };

    show("good");
    way("localhost", "verify-full", "ca.crt").arrives("app");
    way("127.0.0.1", "verify-full", "ca.crt").arrives("app");
    way("localhost", "disable", "").arrives("app");
    way("localhost", "require", "").arrives("app");
    way("localhost", "verify-full", "").fails("nobody whom this system trusts vouches for the server's certificate");
    way("localhost", "verify-full", "alone.crt").fails("alone.crt trusts vouches");
    way("localhost", "require", "alone.crt").fails("alone.crt trusts vouches");
    way("localhost", "verify-full", "nowhere.crt").fails("nowhere.crt, the certificates to trust");
    way("localhost", "verify-full", "config").fails("there is none in PEM");
    let url = format!("postgres://app@localhost:{}/{}", server.port(), database.name());
    Way::url(format!("{url}?sslmode=verify-full&sslrootcert={}", authority.shown("ca.crt"))).arrives("app");
    let variables = Way::url(&url).variable("PGSSLMODE", "verify-full");
    variables.variable("PGSSLROOTCERT", authority.shown("ca.crt")).arrives("app");

    // A password is bound to the channel where there is one.
    let scram = role(&database, "bound_role", SCRAM, "scram-sha-256");
    let bound = |mode: &str| {
        let way = Way::url(format!("{scram}?channel_binding=require")).key("password", CANARY).key("tls", mode);
        way.key("ca", authority.shown("ca.crt"))
    };
    bound("verify-full").arrives("bound_role");
    bound("disable").fails("signing in failed");

    show("other");
    way("localhost", "verify-full", "ca.crt").fails("it is for another host");
    way("localhost", "verify-ca", "ca.crt").arrives("app");
    way("localhost", "verify-ca", "alone.crt").fails("alone.crt trusts vouches");

    show("expired");
    way("localhost", "verify-full", "ca.crt").fails("it has expired");
    way("localhost", "verify-ca", "ca.crt").fails("it has expired");
    way("localhost", "require", "").arrives("app");

    show("alone");
    way("localhost", "verify-full", "ca.crt").fails("ca.crt trusts vouches");
    way("localhost", "verify-full", "alone.crt").arrives("app");

    show("proud");
    way("localhost", "verify-full", "proud.crt").fails("have one made with CA:FALSE");
}
