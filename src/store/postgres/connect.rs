//! Connections to Postgres: how they are made, protected, and made once more to the very same server.

use super::failure;
use crate::{
    error::{Error, Kind, Result},
    store::Options,
};
use address::{Address, ChannelBinding, Host, Place, Wanted};
use refusal::Refusal;
use secrecy::{ExposeSecret, SecretString};
use socket::Socket;
use std::net::IpAddr;
use tls::Mode;
use tokio::{net::lookup_host, runtime::Runtime, time::timeout};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

mod address;
mod passfile;
mod refusal;
mod socket;
mod tls;

/// One connection, and what drives it.
pub(super) struct Connection {
    pub client: Client,
    pub runtime: Runtime,
    address: Address,
    reached: Reached,
    notes: Vec<String>,
}

/// The server that let us in.
#[derive(Clone)]
struct Reached {
    place: Place,
    /// The number that the name stood for, so that another connection gets to the same server.
    number: Option<IpAddr>,
    mode: Mode,
}

/// What makes a TLS connection to one host.
type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

/// What our reading of values depends on.
const SETTINGS: &str = "SET extra_float_digits = 3; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
    SET TimeZone = 'UTC'; SET bytea_output = 'hex'; SET xmlbinary = 'base64'";

/// Connects as the settings say.
///
/// # Errors
/// If they are wrong or leave something open, or no server lets us in. No secret is in the text, and no whole address.
pub(super) fn connect(options: &Options) -> Result<Connection> {
    let address = Address::new(&options.settings)?;
    let runtime = runtime()?;
    let (mut notes, mut failed) = (address.notes.clone(), Vec::new());
    for place in &address.places {
        let found = address.password_for(place);
        notes.extend(found.note);
        let numbers = address.numbers(&runtime, place).unwrap_or_else(|error| {
            failed.push(error);
            Vec::new()
        });
        for number in numbers {
            let reached = Reached { place: place.clone(), number, mode: address.mode_for(place, number) };
            match address.enter(&runtime, &reached, found.password.as_ref()) {
                Ok(client) => {
                    notes.extend(weakness(&reached));
                    return Ok(Connection { client, runtime, address, reached, notes });
                }
                Err(refusal) => {
                    let last = refusal.is_last();
                    failed.push(refusal.told(&address, &reached));
                    if last {
                        return Err(all(&failed, &notes));
                    }
                }
            }
        }
    }
    Err(all(&failed, &notes))
}

/// What went wrong at each server, and what else may have to do with it. The numbers of one host often fail alike.
fn all(failed: &[Error], notes: &[String]) -> Error {
    let mut said: Vec<String> = Vec::new();
    for text in failed.iter().map(ToString::to_string).chain(notes.iter().cloned()) {
        if !said.contains(&text) {
            said.push(text);
        }
    }
    Error::new(failed.first().map_or(Kind::Store, Error::kind), said.join("; "))
}

impl Connection {
    /// Another connection to the same server, with the same rights.
    ///
    /// # Errors
    /// If the server has changed its mind.
    pub(super) fn again(&self) -> Result<Connection> {
        let runtime = runtime()?;
        let password = self.address.password_for(&self.reached.place).password;
        let client = self.address.enter(&runtime, &self.reached, password.as_ref());
        let client = client.map_err(|it| it.told(&self.address, &self.reached))?;
        let (address, reached) = (self.address.clone(), self.reached.clone());
        Ok(Connection { client, runtime, address, reached, notes: self.notes.clone() })
    }

    /// Who reads what where: `user@host:port/database`.
    pub(super) fn name(&self) -> String {
        format!("{}@{}/{}", self.address.user, self.reached.place, self.address.database)
    }

    /// Where it leads, whoever goes there: `host:port/database`.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.reached.place, self.address.database)
    }

    /// What has to be known about the way it is reached.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// How the connection is protected, for people.
    pub(super) fn protection(&self) -> &'static str {
        match &self.reached.place.host {
            Host::Socket(_) => "a socket of this machine",
            Host::Name(_) => self.reached.mode.name(),
        }
    }

    /// The schemas that the plan or the address names. None: those of the search path.
    pub(super) fn schemas(&self) -> &[String] {
        &self.address.schemas
    }

    /// Asks the server to end the statement that runs.
    ///
    /// # Errors
    /// If it cannot be reached once more.
    pub(super) async fn cancel(&self) -> Result<()> {
        let tls = self.address.tls(&self.reached)?;
        let token = self.client.cancel_token();
        let asked = timeout(self.address.timeout, async {
            let socket = Socket::open(&self.reached.place, self.reached.number).await.map_err(Refusal::Socket)?;
            let asked = match tls {
                None => token.cancel_query_raw(socket, NoTls).await,
                Some(tls) => token.cancel_query_raw(socket, tls).await,
            };
            asked.map_err(Refusal::Server)
        });
        let done = asked.await.unwrap_or(Err(Refusal::Late));
        done.map_err(|it| it.told(&self.address, &self.reached))
    }
}

impl Wanted {
    /// Whether it is such a server.
    async fn check(self, client: &Client) -> Result<(), Refusal> {
        let (ask, expect, what) = match self {
            Wanted::Any => return Ok(()),
            Wanted::ReadWrite => {
                ("SHOW transaction_read_only", "off", "it takes no writes, and a server that does is wanted")
            }
            Wanted::ReadOnly => {
                ("SHOW transaction_read_only", "on", "it takes writes, and a server that does not is wanted")
            }
            Wanted::Primary => {
                ("SELECT pg_catalog.pg_is_in_recovery()", "f", "it is a standby, and a primary is wanted")
            }
            Wanted::Standby => {
                ("SELECT pg_catalog.pg_is_in_recovery()", "t", "it is a primary, and a standby is wanted")
            }
        };
        let said = client.simple_query(ask).await.map_err(Refusal::Server)?;
        let holds = said.iter().any(|it| matches!(it, SimpleQueryMessage::Row(row) if row.get(0) == Some(expect)));
        if holds { Ok(()) } else { Err(Refusal::Unwanted(what)) }
    }
}

impl Address {
    /// The numbers of a host. Nothing stands for the one of a socket.
    fn numbers(&self, runtime: &Runtime, place: &Place) -> Result<Vec<Option<IpAddr>>> {
        let name = match (&place.host, place.number) {
            (Host::Socket(_), _) => return Ok(vec![None]),
            (_, Some(number)) => return Ok(vec![Some(number)]),
            (Host::Name(name), None) => name,
        };
        let found = runtime.block_on(async { timeout(self.timeout, lookup_host((name.as_str(), place.port))).await });
        let found = found.map_err(|_| self.error(place, "the name of the host was not found out in time"))?;
        let found =
            found.map_err(|_| self.error(place, "no such host; is its name right, and is the network there?"))?;
        let found: Vec<_> = found.map(|it| Some(it.ip())).collect();
        if found.is_empty() { Err(self.error(place, "the name stands for no number")) } else { Ok(found) }
    }

    /// Connects and signs in, in time.
    fn enter(&self, runtime: &Runtime, reached: &Reached, password: Option<&SecretString>) -> Result<Client, Refusal> {
        let tls = self.tls(reached).map_err(Refusal::Unable)?;
        let config = self.config(reached, password);
        let entered = runtime.block_on(async {
            timeout(self.timeout, async {
                let socket = Socket::open(&reached.place, reached.number).await.map_err(Refusal::Socket)?;
                let heard = socket.heard();
                let (client, task) = match tls {
                    None => {
                        let (client, connection) = config.connect_raw(socket, NoTls).await.map_err(Refusal::Server)?;
                        (client, tokio::spawn(connection).abort_handle())
                    }
                    Some(tls) => {
                        let (client, connection) = config.connect_raw(socket, tls).await.map_err(Refusal::Server)?;
                        (client, tokio::spawn(connection).abort_handle())
                    }
                };
                tokio::spawn(socket::watch(heard, self.silence, task));
                self.wanted.check(&client).await?;
                client.batch_execute(SETTINGS).await.map_err(Refusal::Server)?;
                Ok(client)
            })
            .await
        });
        entered.unwrap_or(Err(Refusal::Late))
    }

    fn config(&self, reached: &Reached, password: Option<&SecretString>) -> Config {
        let mut config = Config::new();
        config.user(&self.user).dbname(&self.database).application_name(&self.application);
        // Without TLS or with it: never with it if the server feels like it.
        config.ssl_mode(if reached.mode == Mode::Disable { SslMode::Disable } else { SslMode::Require });
        config.channel_binding(match self.channel_binding {
            ChannelBinding::Disable => tokio_postgres::config::ChannelBinding::Disable,
            ChannelBinding::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
            ChannelBinding::Require => tokio_postgres::config::ChannelBinding::Require,
        });
        if let Some(options) = &self.options {
            config.options(options);
        }
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        config
    }

    fn tls(&self, reached: &Reached) -> Result<Option<RustlsConnect>> {
        let Host::Name(name) = &reached.place.host else { return Ok(None) };
        let config = tls::config(reached.mode, self.ca.as_deref())?;
        Ok(config.map(|config| {
            let Ok(tls) = MakeTlsConnect::<Socket>::make_tls_connect(&mut MakeRustlsConnect::new(config), name);
            tls
        }))
    }

    /// What is said, or what is usual: nothing that leaves this machine goes unprotected, nothing else needs to be.
    fn mode_for(&self, place: &Place, number: Option<IpAddr>) -> Mode {
        let local = place.is_local() && number.is_none_or(address::is_loopback);
        match (&place.host, self.mode) {
            // Postgres has no TLS on sockets.
            (Host::Socket(_), _) => Mode::Disable,
            (_, Some(mode)) => mode,
            (_, None) if local => Mode::Disable,
            (_, None) => Mode::VerifyFull,
        }
    }

    fn password_for(&self, place: &Place) -> passfile::Found {
        match (&self.password, &self.passfile) {
            (Some(password), _) => passfile::Found { password: Some(password.clone()), note: None },
            (None, Some(path)) => passfile::look_up(path, place, &self.database, &self.user),
            (None, None) => passfile::Found::default(),
        }
    }

    fn error(&self, place: &Place, what: &str) -> Error {
        Error::new(Kind::Store, format_args!("Postgres at {place}: {what}"))
    }
}

/// What the report has to repeat.
fn weakness(reached: &Reached) -> Option<String> {
    let away = !matches!(reached.place.host, Host::Socket(_)) && !reached.number.is_some_and(address::is_loopback);
    let weakness = reached.mode.weakness().filter(|_| away)?;
    Some(format!(
        "the connection to {} is weaker than it could be: tls = {}, {weakness}",
        reached.place,
        reached.mode.name()
    ))
}

fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|it| Error::new(Kind::Store, format_args!("no connection can be made: {it}")))
}
