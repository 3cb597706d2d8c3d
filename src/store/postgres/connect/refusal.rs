//! Why a server did not let us in, and what to do about it.

use super::{Reached, address::Address, failure};
use crate::error::Error;
use rustls::CertificateError;
use std::{error, io};

/// What to do, by SQLSTATE. The server's own words go before it.
const ADVICE: [(&str, &str); 4] = [
    ("28P01", "is the password right? It is taken from the plan, the address, PGPASSWORD, or the password file"),
    ("28000", "does the role exist, and does pg_hba.conf let it in from here?"),
    ("3D000", "write the database's name behind the host in the address, or as PGDATABASE"),
    ("42501", "the role needs CONNECT on the database"),
];

/// How a TLS handshake fails where the server has none.
const NO_TLS: &str = "server does not support TLS";

const ALIEN: &str = "what answers there does not speak Postgres; are host and port right?";

/// How it shows that bytes make no message.
const ALIEN_KINDS: [io::ErrorKind; 3] = [io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput, io::ErrorKind::Other];

/// What kept us out.
pub(super) enum Refusal {
    /// There is no way to the server.
    Socket(io::Error),
    /// The server, or what answers in its place.
    Server(tokio_postgres::Error),
    /// Another kind of server is wanted.
    Unwanted(&'static str),
    /// It took too long.
    Late,
    /// It is not the server's fault.
    Unable(Error),
}

impl Refusal {
    /// Whether no other server needs to be asked, as in libpq: this one knows us, and does not let us in.
    pub(super) fn is_last(&self) -> bool {
        let Refusal::Server(error) = self else { return false };
        error.code().is_some_and(|it| it.code().starts_with("28") || it.code().starts_with("3D"))
    }

    /// For whoever has to do something about it.
    #[cold]
    pub(super) fn told(self, address: &Address, reached: &Reached) -> Error {
        let what = match self {
            Refusal::Unable(error) => return error,
            Refusal::Server(error) => return server(&error, address, reached),
            Refusal::Socket(error) => socket(&error),
            Refusal::Unwanted(what) => what.to_owned(),
            Refusal::Late => {
                let seconds = address.timeout.as_secs();
                format!("there was no answer within {seconds} s; is it Postgres that listens there?")
            }
        };
        address.error(&reached.place, &what)
    }
}

fn server(error: &tokio_postgres::Error, address: &Address, reached: &Reached) -> Error {
    let name = |it: &str| address.error(&reached.place, it);
    if let Some(said) = error.as_db_error() {
        let code = said.code().code();
        let advice = ADVICE.iter().find(|it| it.0 == code).map(|it| it.1);
        let words: String = said.message().chars().take(300).collect();
        return match advice {
            Some(advice) => name(&format!("{words} (SQLSTATE {code}); {advice}")),
            None => failure::of(error, format_args!("Postgres at {}", reached.place)),
        };
    }
    let cause = error::Error::source(error);
    let io = cause.and_then(|it| it.downcast_ref::<io::Error>());
    let cause = cause.map(ToString::to_string).unwrap_or_default();
    name(&match error.to_string().as_str() {
        "error performing TLS handshake" => tls(&cause, io, address, reached),
        "invalid configuration" if cause.contains("password") => {
            "it asks for a password and there is none; set PGPASSWORD, or `password` in the plan, or write a password file".to_owned()
        }
        "authentication error" => format!("signing in failed: {cause}"),
        _ if error.is_closed() || io.is_some_and(|it| it.kind() == io::ErrorKind::UnexpectedEof) => {
            "it closed the connection without a word; is it Postgres that listens there?".to_owned()
        }
        "unexpected message from server" | "error parsing response from server" => ALIEN.to_owned(),
        "error communicating with the server" if io.is_some_and(|it| ALIEN_KINDS.contains(&it.kind())) => ALIEN.to_owned(),
        what if cause.is_empty() => what.to_owned(),
        what => format!("{what}: {cause}"),
    })
}

fn socket(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; is the server running, and is the port right?".to_owned()
        }
        io::ErrorKind::NotFound => "there is no such socket; is the server running, and is this its folder?".to_owned(),
        io::ErrorKind::PermissionDenied => format!("it cannot be entered: {error}"),
        io::ErrorKind::TimedOut => {
            "it did not answer in time; is there a firewall between, or does the host let only some addresses in?"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

fn tls(cause: &str, io: Option<&io::Error>, address: &Address, reached: &Reached) -> String {
    let mode = reached.mode.name();
    if cause == NO_TLS {
        let how =
            "switch TLS on there, or, where nobody can listen, write tls = \"disable\" in the plan or sslmode=disable";
        return format!("it does not offer TLS, and tls = {mode} demands it, so nothing was sent; {how}");
    }
    let failure = io.and_then(io::Error::get_ref).and_then(|it| it.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(error)) = failure else {
        return format!("TLS failed: {cause}");
    };
    let trusted = match &address.ca {
        Some(path) => format!("{}", path.display()),
        None => "this system".to_owned(),
    };
    let is = |it: &str| cause.contains(it);
    let what = match error {
        _ if is("CaUsedAsEndEntity") => {
            "it says that it is an authority, which no server is; have one made with CA:FALSE"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host; connect by the name that it is for, or write tls = \"verify-ca\""
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired; have it renewed",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is the clock of this machine right?"
        }
        CertificateError::UnknownIssuer => {
            return format!(
                "nobody whom {trusted} trusts vouches for the server's certificate; name the file of who does: `ca` in the plan, \
                 sslrootcert in the address, PGSSLROOTCERT"
            );
        }
        _ => return format!("the server's certificate is refused: {cause}"),
    };
    format!("the server's certificate is refused: {what}")
}
