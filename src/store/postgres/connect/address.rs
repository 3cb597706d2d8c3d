//! Where a Postgres server is and how to reach it: what the plan, an address and the variables say, put together.
//!
//! The names of parameters and the forms of an address are those of libpq
//! (<https://www.postgresql.org/docs/current/libpq-connect.html>). What comes first wins, part by part: the plan's keys, the
//! address, `PG*`, and `POSTGRES_*` where nothing before has named a host.

use super::tls::Mode;
use crate::{
    error::{Error, Kind, Result},
    store::settings::Settings,
};
use secrecy::SecretString;
use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, time::Duration};

/// How to reach a database. There is no `Debug`, since a password is in it.
#[derive(Clone)]
pub(super) struct Address {
    /// The servers to try, in this order. At least one.
    pub(super) places: Vec<Place>,
    pub(super) user: String,
    pub(super) database: String,
    /// Nothing: it may stand in the password file.
    pub(super) password: Option<SecretString>,
    pub(super) passfile: Option<PathBuf>,
    /// Nothing: as the place deserves.
    pub(super) mode: Option<Mode>,
    /// A file of certificates. Nothing: those of the system.
    pub(super) ca: Option<PathBuf>,
    pub(super) timeout: Duration,
    /// How long a server may be silent while something is asked of it.
    pub(super) silence: Duration,
    /// What the server shall call us in its lists.
    pub(super) application: String,
    /// Settings for the session, as the server's command line takes them.
    pub(super) options: Option<String>,
    pub(super) channel_binding: ChannelBinding,
    pub(super) wanted: Wanted,
    /// Schemas that the address or the plan names.
    pub(super) schemas: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: Host,
    /// Its number, where nobody has to look it up.
    pub(super) number: Option<IpAddr>,
    pub(super) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Name(String),
    /// The folder of a socket.
    Socket(PathBuf),
}

/// Whether the password has to be bound to the TLS channel it is shown through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

/// What kind of server it has to be, where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
}

/// Parameters by their names in libpq. The first to say something has said it.
#[derive(Default)]
struct Parameters(BTreeMap<&'static str, String>);

const PORT: u16 = 5432;
/// How long it may take until a server lets us in.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than it takes to count the rows of all but the largest tables, in which the server is silent. A machine that is gone is noticed
/// earlier.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// Where libpq looks for a socket, on Debian and elsewhere.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// What is looked at, with other names for the same.
const KNOWN: [(&str, &str); 26] = [
    ("ApplicationName", "application_name"),
    ("application_name", "application_name"),
    ("channel_binding", "channel_binding"),
    ("connect_timeout", "connect_timeout"),
    ("currentSchema", "schema"),
    ("database", "dbname"),
    ("dbname", "dbname"),
    ("host", "host"),
    ("hostaddr", "hostaddr"),
    ("options", "options"),
    ("passfile", "passfile"),
    ("password", "password"),
    ("port", "port"),
    ("schema", "schema"),
    // Of JDBC and Prisma.
    ("socketTimeout", "socket_timeout"),
    ("socket_timeout", "socket_timeout"),
    ("ssl", "ssl"),
    ("ssl_mode", "sslmode"),
    ("sslmode", "sslmode"),
    ("sslrootcert", "sslrootcert"),
    ("ssl_root_cert", "sslrootcert"),
    ("target_session_attrs", "target_session_attrs"),
    ("targetServerType", "target_session_attrs"),
    ("user", "user"),
    ("username", "user"),
    ("ssl-mode", "sslmode"),
];

/// What pools, object mappers and other clients write into an address for themselves, or what changes nothing about reading.
const IGNORED: [&str; 36] = [
    "binary_parameters",
    "client_encoding",
    "conn_max_age",
    "connection_limit",
    "default_query_exec_mode",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_idle_connection_lifetime",
    "pgbouncer",
    "pool_max_conn_idle_time",
    "pool_max_conn_lifetime",
    "pool_max_conns",
    "pool_min_conns",
    "pool_timeout",
    "prepareThreshold",
    "prepared_statement_cache_size",
    "reWriteBatchedInserts",
    "single_use_connections",
    "sslaccept",
    "sslcompression",
    "sslsni",
    "statement_cache_capacity",
    "statement_cache_mode",
    "statement_cache_size",
    "supa",
    "tcp_user_timeout",
    "uselibpqcompat",
    "workaround",
];

/// What would mean something and cannot be had.
const REFUSED: [(&str, &str); 9] = [
    ("replication", "a replication connection reads no tables"),
    (
        "require_auth",
        "it cannot be promised which kind of password the server asks for; `tls` protects what is shown to it",
    ),
    ("service", "service files are not read; write host, port, user and database"),
    ("ssl_min_protocol_version", "TLS is 1.2 or newer always"),
    ("sslcert", "client certificates cannot be shown"),
    ("sslcrl", "revocation lists are not read"),
    ("sslcrldir", "revocation lists are not read"),
    ("sslkey", "client certificates cannot be shown"),
    ("sslnegotiation", "TLS begins as the server's protocol says; leave it out"),
];

/// The variables of libpq.
const VARIABLES: [(&str, &str); 12] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGDATABASE", "dbname"),
    ("PGPASSFILE", "passfile"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGOPTIONS", "options"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
];

/// The variables that go with Docker's image and with frameworks. They are about one server, so they stand together or not
/// at all: the password of one is not shown to another.
const TOGETHER: [(&str, &str); 5] = [
    ("POSTGRES_HOST", "host"),
    ("POSTGRES_PORT", "port"),
    ("POSTGRES_USER", "user"),
    ("POSTGRES_PASSWORD", "password"),
    ("POSTGRES_DB", "dbname"),
];

/// The keys of a plan.
const KEYS: [(&str, &str); 7] = [
    ("host", "host"),
    ("port", "port"),
    ("user", "user"),
    ("password", "password"),
    ("database", "dbname"),
    ("tls", "sslmode"),
    ("ca", "sslrootcert"),
];

impl Address {
    /// Puts together what is known.
    ///
    /// # Errors
    /// If something is wrong in it, or nobody says who we are. No part of an address is in the text, but for names.
    pub(super) fn new(settings: &Settings) -> Result<Address> {
        let (parameters, notes) = gather(settings)?;
        parameters.address(settings, notes)
    }
}

/// All that is said, each part by who comes first.
fn gather(settings: &Settings) -> Result<(Parameters, Vec<String>)> {
    let (mut all, mut notes) = (Parameters::default(), Vec::new());
    for (key, name) in KEYS {
        all.offer(name, settings.text(key));
    }
    let host_is_given = all.has("host");
    if let Some(url) = settings.text("url") {
        all.read(url).map_err(|it| it.context("the address of Postgres"))?;
    } else if let Some(url) = settings.variable("DATABASE_URL").filter(|_| !host_is_given) {
        all.read(&url).map_err(|it| it.context("DATABASE_URL"))?;
        if all.has("host") && settings.variable("PGHOST").is_some() {
            notes.push("DATABASE_URL says where the database is, so PGHOST is not looked at".to_owned());
        }
    }
    let known = |all: &Parameters| all.has("host") || all.has("hostaddr");
    // The number of one host is not the number of another.
    let other_host = known(&all);
    for (variable, name) in VARIABLES.into_iter().filter(|it| !(other_host && it.1 == "hostaddr")) {
        all.offer(name, settings.variable(variable).as_deref());
    }
    if !known(&all) {
        for (variable, name) in TOGETHER {
            all.offer(name, settings.variable(variable).as_deref());
        }
    }
    Ok((all, notes))
}

impl Parameters {
    fn offer(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|it| !it.is_empty()) {
            self.0.entry(name).or_insert_with(|| value.to_owned());
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Reads an address, or the `name=value` form of one.
    fn read(&mut self, text: &str) -> Result<()> {
        let text = text.trim();
        // What stands in the address overrules what stands before its question mark.
        let mut found = Parameters::default();
        match text.split_once("://").filter(|it| !it.0.contains('=')) {
            Some((scheme, rest)) => {
                if !is_scheme(scheme) {
                    return Err(wrong(format_args!("it begins with `{}`, not with postgres://", shown(scheme))));
                }
                found.read_url(rest)?;
            }
            None if text.contains('=') => found.read_pairs(text)?,
            None => return Err(wrong("it is not of the form postgres://USER@HOST:PORT/DATABASE")),
        }
        for (name, value) in found.0 {
            self.0.entry(name).or_insert(value);
        }
        Ok(())
    }

    fn read_url(&mut self, rest: &str) -> Result<()> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (user, hosts),
            None if (database.contains('@') || query.contains('@')) && authority.contains(':') => {
                let how = "write `/` in it as %2F and `?` as %3F";
                return Err(wrong(format_args!("its password holds a character that ends a password; {how}")));
            }
            None => ("", authority),
        };
        for pair in query.split('&').filter(|it| !it.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.parameter(&decoded(name)?, &decoded(value)?)?;
        }
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        self.offer("user", Some(&decoded(user)?));
        self.offer("password", Some(&decoded(password)?));
        self.offer("dbname", Some(&decoded(database)?));
        if self.has("host") {
            // The parameter names the hosts, as that of a socket has to.
            let port = split_port(hosts).1;
            self.offer("port", Some(port));
            return Ok(());
        }
        let hosts: Vec<_> = hosts.split(',').map(split_port).collect();
        let names: Result<Vec<_>> = hosts.iter().map(|it| decoded(it.0)).collect();
        self.offer("host", Some(&names?.join(",")).filter(|it| it.chars().any(|it| it != ',')).map(String::as_str));
        if hosts.iter().any(|it| !it.1.is_empty()) {
            let ports: Vec<_> = hosts.iter().map(|it| it.1).collect();
            self.offer("port", Some(&ports.join(",")));
        }
        Ok(())
    }

    /// `host=localhost user='mira b' dbname=shop`, with backslashes before what means something.
    fn read_pairs(&mut self, text: &str) -> Result<()> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or_else(|| wrong("a parameter in it has no value"))?;
            let after = after.trim_start();
            let quoted = after.starts_with('\'');
            let (mut value, mut escaped, mut closed) = (String::new(), false, !quoted);
            let mut end = after.len();
            for (place, letter) in after.char_indices().skip(usize::from(quoted)) {
                match letter {
                    _ if escaped => escaped = false,
                    '\\' => {
                        escaped = true;
                        continue;
                    }
                    '\'' if quoted => {
                        (end, closed) = (place + 1, true);
                        break;
                    }
                    _ if !quoted && letter.is_whitespace() => {
                        end = place;
                        break;
                    }
                    _ => {}
                }
                value.push(letter);
            }
            if !closed {
                return Err(wrong("a quote in it has no end"));
            }
            self.parameter(name.trim(), &value)?;
            rest = after.get(end..).unwrap_or_default().trim_start();
        }
        Ok(())
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<()> {
        if let Some((_, known)) = KNOWN.iter().find(|it| it.0 == name) {
            // The last of two wins, as in libpq.
            self.0.insert(known, value.to_owned());
            return Ok(());
        }
        if let Some((_, why)) = REFUSED.iter().find(|it| it.0 == name) {
            return Err(wrong(format_args!("`{name}` cannot be honoured: {why}")));
        }
        if IGNORED.contains(&name) || name.starts_with("pool_") {
            return Ok(());
        }
        let near = KNOWN.iter().map(|it| it.0).max_by(|a, b| {
            let near = |it: &str| strsim::jaro_winkler(it, name);
            near(a).total_cmp(&near(b))
        });
        let hint = near.filter(|it| strsim::jaro_winkler(it, name) > 0.8);
        let hint = hint.map_or_else(|| "leave it out".to_owned(), |it| format!("did you mean `{it}`?"));
        Err(wrong(format_args!("nothing is known of the parameter `{}`; {hint}", shown(name))))
    }

    fn address(mut self, settings: &Settings, mut notes: Vec<String>) -> Result<Address> {
        let password = self.take("password").map(SecretString::from);
        let places = self.places()?;
        let user = self.take("user").or_else(|| ["USER", "LOGNAME"].iter().find_map(|it| settings.variable(it)));
        let user =
            user.ok_or_else(|| wrong("nobody says which user to sign in as; set PGUSER, or `user` in the plan"))?;
        let database = self.take("dbname").unwrap_or_else(|| user.clone());
        let home = settings.variable("HOME").map(|it| PathBuf::from(it).join(".pgpass"));
        let mode = self.mode(&mut notes)?;
        let ca = self.take("sslrootcert").filter(|it| it != "system").map(PathBuf::from);
        let schemas = match settings.texts("schemas") {
            [] => self.take("schema").map(|it| it.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            given => given.to_vec(),
        };
        Ok(Address {
            places,
            user,
            database,
            password,
            passfile: self.take("passfile").map(PathBuf::from).or(home),
            mode,
            ca,
            timeout: self.seconds("connect_timeout", TIMEOUT)?,
            silence: self.seconds("socket_timeout", SILENCE)?,
            application: self.take("application_name").unwrap_or_else(|| "cutover".to_owned()),
            options: self.take("options"),
            channel_binding: self.word(
                "channel_binding",
                ChannelBinding::Prefer,
                &[
                    ("disable", ChannelBinding::Disable),
                    ("prefer", ChannelBinding::Prefer),
                    ("require", ChannelBinding::Require),
                ],
            )?,
            wanted: self.word(
                "target_session_attrs",
                Wanted::Any,
                &[
                    ("any", Wanted::Any),
                    ("read-write", Wanted::ReadWrite),
                    ("read-only", Wanted::ReadOnly),
                    ("primary", Wanted::Primary),
                    ("standby", Wanted::Standby),
                ],
            )?,
            schemas,
            notes,
        })
    }

    fn places(&mut self) -> Result<Vec<Place>> {
        let list = |text: Option<String>| -> Vec<String> {
            text.map(|it| it.split(',').map(|it| it.trim().to_owned()).collect()).unwrap_or_default()
        };
        let numbers = list(self.take("hostaddr"));
        let hosts = list(self.take("host"));
        let ports = list(self.take("port"));
        let ports: Result<Vec<u16>> = ports.iter().map(|it| port(it)).collect();
        let ports = ports?;
        let count = hosts.len().max(numbers.len()).max(1);
        if !hosts.is_empty() && !numbers.is_empty() && hosts.len() != numbers.len() {
            return Err(wrong("there has to be a `hostaddr` for each host, or none"));
        }
        if ports.len() > 1 && ports.len() != count {
            let ports = ports.len();
            return Err(wrong(format_args!(
                "there are {count} hosts and {ports} ports; write one port, or one for each"
            )));
        }
        let place = |number: usize| {
            let port = ports.get(number).or(ports.first()).copied().unwrap_or(PORT);
            let name = hosts.get(number).or(numbers.get(number)).filter(|it| !it.is_empty());
            let number = numbers.get(number).map(|it| it.parse()).transpose();
            let number = number.map_err(|_| wrong("`hostaddr` is not an IP address"))?;
            Ok(Place { host: name.map_or_else(|| usual_host(port), |it| Host::new(it)), number, port })
        };
        (0..count).map(place).collect()
    }

    fn mode(&mut self, notes: &mut Vec<String>) -> Result<Option<Mode>> {
        let ssl = self.take("ssl");
        let Some(word) = self.take("sslmode").or(ssl) else { return Ok(None) };
        Ok(Some(match word.as_str() {
            "verify-full" | "true" | "1" => Mode::VerifyFull,
            "verify-ca" => Mode::VerifyCa,
            // The word of node-postgres.
            "require" | "no-verify" => Mode::Require,
            "disable" | "false" | "0" => Mode::Disable,
            "prefer" | "allow" => {
                let instead = "what is usual applies: verify-full, and disable on this machine";
                notes.push(format!("sslmode={word} promises nothing, so it is not honoured; {instead}"));
                return Ok(None);
            }
            _ => {
                let words = "verify-full, verify-ca, require or disable";
                return Err(wrong(format_args!("sslmode is `{}`; write {words}", shown(&word))));
            }
        }))
    }

    fn seconds(&mut self, name: &str, usual: Duration) -> Result<Duration> {
        let Some(text) = self.take(name) else { return Ok(usual) };
        let seconds: i64 = text.trim().parse().map_err(|_| wrong(format_args!("{name} is not a number of seconds")))?;
        // Without a limit, a silent server would hold a run for ever.
        Ok(u64::try_from(seconds).ok().filter(|&it| it > 0).map_or(usual, |it| Duration::from_secs(it.min(86_400))))
    }

    fn word<T: Copy>(&mut self, name: &str, usual: T, words: &[(&str, T)]) -> Result<T> {
        let Some(word) = self.take(name) else { return Ok(usual) };
        let found = words.iter().find(|it| it.0 == word).map(|it| it.1);
        found.ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|it| it.0).collect();
            wrong(format_args!("{name} is `{}`; write one of {}", shown(&word), words.join(", ")))
        })
    }
}

impl Host {
    fn new(text: &str) -> Host {
        if text.starts_with('/') {
            return Host::Socket(text.into());
        }
        let name = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
        Host::Name(name.to_owned())
    }
}

impl Place {
    /// Whether what is said stays on this machine, as far as the name tells.
    pub(super) fn is_local(&self) -> bool {
        match &self.host {
            Host::Socket(_) => true,
            Host::Name(name) if name == "localhost" => self.number.is_none_or(is_loopback),
            Host::Name(name) => self.number.or_else(|| name.parse().ok()).is_some_and(is_loopback),
        }
    }
}

/// Whether what goes to this number stays on this machine.
pub(super) fn is_loopback(number: IpAddr) -> bool {
    number.to_canonical().is_loopback()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Socket(folder) => write!(f, "{}/.s.PGSQL.{}", folder.display(), self.port),
        }
    }
}

/// Where libpq would look: for a socket, and else on this machine.
fn usual_host(port: u16) -> Host {
    let folder = SOCKETS.iter().map(PathBuf::from).find(|it| it.join(format!(".s.PGSQL.{port}")).exists());
    folder.map_or_else(|| Host::Name("localhost".to_owned()), Host::Socket)
}

/// With the driver that SQLAlchemy names after a plus.
fn is_scheme(text: &str) -> bool {
    matches!(text.split('+').next(), Some("postgres" | "postgresql"))
}

/// A host and its port, which may be empty. The colons in brackets are the host's.
fn split_port(text: &str) -> (&str, &str) {
    let end = text.rfind(']').map_or(0, |it| it + 1);
    match text.get(end..).and_then(|it| it.rfind(':')) {
        Some(colon) => (text.get(..end + colon).unwrap_or_default(), text.get(end + colon + 1..).unwrap_or_default()),
        None => (text, ""),
    }
}

fn port(text: &str) -> Result<u16> {
    match text {
        "" => Ok(PORT),
        // A password after which the `@` is missing would stand here, so it is not shown.
        _ => text.parse().ok().filter(|&it| it > 0).ok_or_else(|| wrong("the port is not a number from 1 to 65535")),
    }
}

/// What `%` and two hexadecimal digits stand for.
fn decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let pair = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        let how = "a `%` in it is not followed by two hexadecimal digits; write a `%` that means itself as %25";
        bytes.push(pair.filter(|&it| it != 0).ok_or_else(|| wrong(how))?);
    }
    String::from_utf8(bytes).map_err(|_| wrong("what is percent-encoded in it is not UTF-8"))
}

/// A word that somebody wrote, if it is one: where a password was not encoded, half of it may stand anywhere.
fn shown(word: &str) -> &str {
    let is_word = word.len() <= 32 && word.chars().all(|it| it.is_ascii_alphanumeric() || "_-.+:".contains(it));
    if is_word { word } else { "…" }
}

fn wrong(what: impl fmt::Display) -> Error {
    Error::new(Kind::Plan, what)
}

#[cfg(test)]
mod tests;
