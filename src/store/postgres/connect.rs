//! Connections to Postgres: how they are made, protected, and made once more to the very same server.

use super::failure;
use crate::{
    error::{Error, Kind, Result},
    store::Options,
};
use address::{Address, ChannelBinding, Host, Place, Wanted};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use std::{net::IpAddr, time::Duration};
use tls::Mode;
use tokio::{net::lookup_host, runtime::Runtime, time::timeout};
use tokio_postgres::{Client, Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

mod address;
mod passfile;
mod refusal;
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

/// What our reading of values depends on.
const SETTINGS: &str = "SET extra_float_digits = 3; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
    SET TimeZone = 'UTC'; SET bytea_output = 'hex'; SET xmlbinary = 'base64'";

/// How long a connection may be silent before its other end is asked whether it is still there, how often, and how many times.
const IDLE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(10);
const RETRIES: u32 = 3;

/// Connects as the settings say.
///
/// # Errors
/// If they are wrong or leave something open, or no server lets us in. No secret is in the text, and no whole address.
pub(super) fn connect(options: &Options) -> Result<Connection> {
    let address = Address::new(&options.settings)?;
    let runtime = runtime()?;
    let mut notes = address.notes.clone();
    let mut first = None;
    for place in &address.places {
        match address.reach(&runtime, place, &mut notes) {
            Ok((client, reached)) => {
                notes.extend(weakness(&reached));
                return Ok(Connection { client, runtime, address, reached, notes });
            }
            Err(error) if first.is_none() => first = Some(error),
            Err(error) => first = first.map(|it: Error| Error::new(it.kind(), format_args!("{it}; {error}"))),
        }
    }
    Err(first.unwrap_or_else(|| Error::new(Kind::Broken, "there is no server to try")))
}

impl Connection {
    /// Another connection to the same server, with the same rights.
    ///
    /// # Errors
    /// If the server has changed its mind.
    pub(super) fn again(&self) -> Result<Connection> {
        let runtime = runtime()?;
        let password = self.address.password_for(&self.reached.place).password;
        let client = self.address.enter(&runtime, &self.reached, password.as_ref())?;
        let (address, reached) = (self.address.clone(), self.reached.clone());
        Ok(Connection { client, runtime, address, reached, notes: self.notes.clone() })
    }

    /// Who reads what where: `user@host:port/database`.
    pub(super) fn name(&self) -> String {
        format!("{}@{}/{}", self.address.user, self.reached.place, self.address.database)
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
    pub(super) async fn cancel(&self) -> Result<(), tokio_postgres::Error> {
        let token = self.client.cancel_token();
        match self.address.tls(self.reached.mode) {
            Ok(Some(tls)) => token.cancel_query(MakeRustlsConnect::new(tls)).await,
            _ => token.cancel_query(NoTls).await,
        }
    }
}

impl Address {
    /// Tries one server, at each number that its name stands for.
    fn reach(&self, runtime: &Runtime, place: &Place, notes: &mut Vec<String>) -> Result<(Client, Reached)> {
        let found = self.password_for(place);
        notes.extend(found.note.iter().cloned());
        let mut failed = None;
        for number in self.numbers(runtime, place)? {
            let mode = self.mode_for(place, number);
            let reached = Reached { place: place.clone(), number, mode };
            match self.enter(runtime, &reached, found.password.as_ref()) {
                Ok(client) => return Ok((client, reached)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let error = failed.unwrap_or_else(|| self.error(place, "the name stands for no number"));
        Err(match found.note {
            Some(note) => Error::new(error.kind(), format_args!("{error}; {note}")),
            None => error,
        })
    }

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
        Ok(found.map(|it| Some(it.ip())).collect())
    }

    /// Connects and signs in, in time.
    fn enter(&self, runtime: &Runtime, reached: &Reached, password: Option<&SecretString>) -> Result<Client> {
        let tls = self.tls(reached.mode)?;
        let config = self.config(reached, password);
        let entered = runtime.block_on(async {
            let entered = timeout(self.timeout, async {
                let client = match tls {
                    None => {
                        let (client, connection) = config.connect(NoTls).await?;
                        tokio::spawn(connection);
                        client
                    }
                    Some(tls) => {
                        let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
                        tokio::spawn(connection);
                        client
                    }
                };
                let standby = match self.wanted {
                    Wanted::Primary | Wanted::Standby => {
                        client.query_typed("SELECT pg_is_in_recovery()", &[]).await?.first().map(|it| it.get(0))
                    }
                    _ => None,
                };
                client.batch_execute(SETTINGS).await?;
                Ok((client, standby))
            });
            entered.await
        });
        let (client, standby) = match entered {
            Err(_) => {
                let seconds = self.timeout.as_secs();
                let what = format_args!("there was no answer within {seconds} s; is it Postgres that listens there?")
                    .to_string();
                return Err(self.error(&reached.place, &what));
            }
            Ok(Err(error)) => return Err(refusal::of(&error, self, reached)),
            Ok(Ok(it)) => it,
        };
        match (self.wanted, standby) {
            (Wanted::Primary, Some(true)) => {
                Err(self.error(&reached.place, "it is a standby, and a primary is wanted"))
            }
            (Wanted::Standby, Some(false)) => {
                Err(self.error(&reached.place, "it is a primary, and a standby is wanted"))
            }
            _ => Ok(client),
        }
    }

    fn config(&self, reached: &Reached, password: Option<&SecretString>) -> Config {
        let mut config = Config::new();
        match &reached.place.host {
            Host::Name(name) => config.host(name),
            Host::Socket(folder) => config.host_path(folder),
        };
        if let Some(number) = reached.number {
            config.hostaddr(number);
        }
        config.port(reached.place.port).user(&self.user).dbname(&self.database);
        config.application_name(&self.application).connect_timeout(self.timeout);
        config.keepalives_idle(IDLE).keepalives_interval(INTERVAL).keepalives_retries(RETRIES);
        // Without TLS or with it: never with it if the server feels like it.
        config.ssl_mode(if reached.mode == Mode::Disable { SslMode::Disable } else { SslMode::Require });
        config.channel_binding(match self.channel_binding {
            ChannelBinding::Disable => tokio_postgres::config::ChannelBinding::Disable,
            ChannelBinding::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
            ChannelBinding::Require => tokio_postgres::config::ChannelBinding::Require,
        });
        match self.wanted {
            Wanted::ReadWrite => {
                config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
            }
            Wanted::ReadOnly => {
                config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadOnly);
            }
            _ => {}
        }
        if let Some(options) = &self.options {
            config.options(options);
        }
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        config
    }

    fn tls(&self, mode: Mode) -> Result<Option<ClientConfig>> {
        tls::config(mode, self.ca.as_deref())
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
