//! The one HTTP client: every store that is reached by HTTP goes through it.
//!
//! It answers with what the service said, whole, or with an error: never with a part. What it is careful about:
//!
//! - **Time.** A request has one deadline for all its attempts (the plan's `deadline`), and each attempt a third of it.
//! - **Size.** A body is bounded, on the wire and unpacked.
//! - **Repetition.** Only what can do no harm is asked again, after growing pauses, or when the service says so. What writes is
//!   sent again only where it did not arrive, or was turned away unread; where its answer was lost, that is said
//!   ([`Kind::Unsure`]).
//! - **Secrets.** They go to the origin of the service and nowhere else, and are taken out of every error.
//! - **Addresses.** What an answer names is asked only where `guard.rs` allows it.

mod after;
mod answer;
mod body;
mod clock;
mod guard;
#[cfg(test)]
mod tests;

use super::Options;
use crate::error::{Error, Kind, Result};
pub use answer::{Advice, Answer, misfit};
use base64::{Engine, prelude::BASE64_STANDARD};
pub use clock::Clock;
use clock::{ATTEMPTS, Machine, Pace, Times};
use guard::{Guard, Resolver};
use reqwest::{
    Certificate, Method, Url,
    blocking::Client,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use std::{error, fmt::Display, io, sync::Arc, time::Duration};

/// One service, reached below one address. Clones share its connections, its pace and its pauses.
#[derive(Clone)]
pub struct Web {
    client: Client,
    base: Url,
    headers: HeaderMap,
    /// What no error may show.
    secrets: Arc<[SecretString]>,
    /// The address is a secret but for its host.
    hidden: bool,
    guard: Arc<Guard>,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    times: Times,
}

/// What is asked.
#[derive(Clone)]
pub struct Request<'r> {
    /// How.
    pub method: Method,
    /// The path below the address of the service, with its query, percent-encoded: it begins with `/` or `?`, or is empty.
    /// Or a whole address of the same origin, such as [`Web::follow`] makes of a link.
    pub path: &'r str,
    /// A JSON document to send.
    pub json: Option<&'r [u8]>,
    /// It may be asked twice without harm. Otherwise it writes.
    pub repeatable: bool,
}

/// Why one attempt came to nothing.
struct Failure {
    kind: Kind,
    why: String,
    /// The next attempt may do better.
    again: bool,
}

/// How many redirections are followed for one request.
const REDIRECTS: usize = 5;

/// Headers by which a service finds a request in its own logs, for whoever asks its support.
const TRACES: [&str; 5] = ["cf-ray", "x-vercel-id", "x-request-id", "request-id", "x-amzn-requestid"];

impl Web {
    /// A client of the service at `base`, which shows `token` as its bearer if there is one. The settings `deadline`, `tls`
    /// and `ca` are looked at.
    ///
    /// # Errors
    /// If the address, the token or a setting cannot be used.
    pub fn new(base: &str, token: Option<&SecretString>, options: &Options) -> Result<Web> {
        // Whoever uses this as a library may have installed another one, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut base = Url::parse(base).map_err(|it| unusable(it.to_string()))?;
        let times = times(options)?;
        let loopback = guard::is_loopback(&base);
        protected(&base, loopback, options)?;
        let mut secrets: Vec<SecretString> = token.cloned().into_iter().collect();
        let mut headers = HeaderMap::new();
        let bearer = token.map(|it| SecretString::from(format!("Bearer {}", it.expose_secret())));
        let user = user(&mut base, &mut secrets)?;
        if bearer.is_some() && user.is_some() {
            return Err(unusable("it holds a user, and there is a token too: which one is meant?"));
        }
        if let Some(value) = bearer.or(user) {
            headers.insert(AUTHORIZATION, sensitive(&value).ok_or_else(|| unsendable("token"))?);
        }
        let guard = Arc::new(Guard::new(&base));
        let mut client = Client::builder()
            .connect_timeout(times.connect())
            .timeout(times.attempt())
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(Resolver(Arc::clone(&guard))))
            .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")));
        if loopback {
            client = client.no_proxy();
        }
        match options.settings.text("ca") {
            Some(path) => client = client.tls_certs_only(certificates(path)?),
            // Nothing has to vouch for this machine, so nobody has to say who may.
            None if loopback && base.scheme() == "http" => client = client.tls_certs_only([]),
            None => {}
        }
        let client = client.build().map_err(|it| unusable(root(&it.without_url())))?;
        let (pace, clock) = (Arc::new(Pace::new(options.rate)), Arc::new(Machine::new()));
        Ok(Web { client, base, headers, secrets: secrets.into(), hidden: false, guard, pace, clock, times })
    }

    /// The same client with one more header on every request. `value` is not shown anywhere.
    ///
    /// # Errors
    /// If either cannot be sent.
    pub fn with_header(mut self, name: &str, value: &SecretString) -> Result<Web> {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable(name))?;
        self.headers.insert(key, sensitive(value).ok_or_else(|| unsendable(name))?);
        // A service may repeat a token without the `Bearer` in front of it.
        let scheme = value.expose_secret().split_once(' ').filter(|it| it.0.bytes().all(|it| it.is_ascii_alphabetic()));
        let bare = scheme.map(|it| SecretString::from(it.1.trim_start()));
        let web = self.with_secret(value);
        Ok(bare.iter().fold(web, |web, it| web.with_secret(it)))
    }

    /// The same client, which takes `value` out of every error too: a secret that is part of a path or a query.
    #[must_use]
    pub fn with_secret(mut self, value: &SecretString) -> Web {
        self.secrets = self.secrets.iter().chain([value]).cloned().collect();
        self
    }

    /// The same client, whose errors name only the host of what it asks, as all of `path` may be a secret: they quote neither it
    /// nor a segment or a value in it, however a service spells it.
    #[must_use]
    pub fn with_hidden(mut self, path: &str) -> Web {
        self.hidden = true;
        let sent = self.url(path).map(|it| format!("{}?{}", it.path(), it.query().unwrap_or_default()));
        let mut hidden: Vec<String> = Vec::new();
        for text in [path, sent.as_deref().unwrap_or_default()] {
            let (place, query) = text.split_once('?').unwrap_or((text, ""));
            let values = query.split('&').map(|it| it.split_once('=').map_or(it, |it| it.1));
            // A service may leave out what fills base64 up, and read a form's plus as a blank.
            let values =
                values.flat_map(|it| [it.to_owned(), it.trim_end_matches('=').to_owned(), it.replace('+', " ")]);
            let parts = [text, place, query].into_iter().chain(place.split('/')).map(str::to_owned).chain(values);
            hidden.extend(parts.flat_map(|it| [percent_decoded(&it), Some(it)]).flatten());
        }
        // What holds others goes first.
        hidden.sort_by_key(|it| std::cmp::Reverse(it.len()));
        hidden.iter().fold(self, |web, it| web.with_secret(&SecretString::from(it.as_str())))
    }

    /// The same client with another clock, for tests that do not want to wait.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Web {
        self.clock = clock;
        self
    }

    /// The path of the address that a link in an answer means, to be asked next. `asked` is the path, or address, of that
    /// answer.
    ///
    /// # Errors
    /// If it leads to another origin, or nowhere.
    pub fn follow(&self, asked: &str, link: &str) -> Result<String> {
        let failed = |it: &str| {
            let text = format!("{}: a link in the answer {it}", self.name());
            Error::new(Kind::Store, self.veiled(&text))
        };
        let from = self.url(asked).map_err(|it| failed(&it))?;
        let to = from.join(link).map_err(|_| failed("is no address"))?;
        if !self.is_own(&to) {
            return Err(failed(&format!("leads to another origin, {}", shown(&to))));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(failed("holds a user"));
        }
        Ok(to.into())
    }

    /// What the service is called in an error: its address, without anything secret.
    pub fn name(&self) -> String {
        self.place(&self.base)
    }

    /// What an address is called in an error.
    fn place(&self, url: &Url) -> String {
        if self.hidden { host(url) } else { self.veiled(&shown(url)) }
    }

    /// Asks, again where that helps and does no harm, and hands `advice` every answer.
    ///
    /// # Errors
    /// If there is no answer in time, or none that `advice` takes.
    pub fn send(&self, request: &Request<'_>, advice: &dyn Fn(&Answer) -> Advice) -> Result<Answer> {
        let url = self.url(request.path);
        let place = url.as_ref().map_or_else(|_| self.name(), |it| self.place(it));
        let failed = |kind, why: &str| {
            // What a row breaks is no matter of the service.
            let asked = if kind == Kind::Row { String::new() } else { format!("{} {place}: ", request.method) };
            Error::new(kind, asked + &self.veiled(why))
        };
        let url = url.map_err(|it| failed(Kind::Store, &it))?;
        self.attempts(request, &url, advice).map_err(|it| failed(it.kind, &it.why))
    }

    fn attempts(
        &self,
        request: &Request<'_>,
        url: &Url,
        advice: &dyn Fn(&Answer) -> Advice,
    ) -> Result<Answer, Failure> {
        // Waiting for one's turn is no fault of the service.
        self.pace.turn(&*self.clock);
        let end = self.clock.now() + self.times.deadline;
        let mut pauses = self.times.pauses();
        loop {
            let (failure, asked) = match self.attempt(request, url, end) {
                Ok(answer) => match advice(&answer) {
                    Advice::Take => return Ok(answer),
                    Advice::Refuse(why) => return Err(Failure::lasting(why + &trace(&answer))),
                    Advice::Fail(Kind::Row, why) => return Err(Failure { kind: Kind::Row, why, again: false }),
                    Advice::Fail(kind, why) => {
                        return Err(Failure { kind, ..Failure::lasting(why + &trace(&answer)) });
                    }
                    Advice::Again(why) => {
                        let asked = after::wait(answer.status, &answer.headers, self.clock.date());
                        let failure = Failure::passing(why + &trace(&answer));
                        // Who is turned away for asking too often was not listened to.
                        match answer.status {
                            429 => (Failure { again: request.repeatable || asked.is_some(), ..failure }, asked),
                            _ => (request.lost(failure), asked),
                        }
                    }
                },
                Err(failure) => (failure, None),
            };
            if !failure.again {
                return Err(failure);
            }
            let Some(pause) = pauses.next() else {
                return Err(failure.because(&format!("; asked {ATTEMPTS} times")));
            };
            let now = self.clock.now();
            let left = end.saturating_sub(now);
            if let Some(it) = asked.filter(|it| *it >= left) {
                return Err(failure.because(&format!("; the service asks to come back in {}", after::spoken(it))));
            }
            // A service that does not want to wait at all gets a pause too.
            let pause = asked.unwrap_or_default().max(pause);
            let late = || format!("; nothing better came within {}", after::spoken(self.times.deadline));
            if pause >= left {
                return Err(failure.because(&late()));
            }
            match asked {
                Some(_) => self.pace.hold(now + pause),
                None => self.clock.wait(pause),
            }
            self.pace.turn(&*self.clock);
            if self.clock.now() >= end {
                return Err(failure.because(&late()));
            }
        }
    }

    /// Asks once, and goes where the answer sends it.
    fn attempt(&self, request: &Request<'_>, url: &Url, end: Duration) -> Result<Answer, Failure> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.call(request, &at, end)?;
            match self.redirected(request, &at, &answer) {
                Ok(None) => return Ok(answer),
                Ok(Some(next)) => at = next,
                // With this status a service sends on whom it has served.
                Err(why) if answer.status == 303 => return Err(request.lost(Failure::lasting(why))),
                Err(why) => return Err(Failure::lasting(why)),
            }
        }
        Err(Failure::lasting(format!("it is redirected more than {REDIRECTS} times")))
    }

    /// Where an answer sends whoever asked, unless it is an answer of its own.
    fn redirected(&self, request: &Request<'_>, at: &Url, answer: &Answer) -> Result<Option<Url>, String> {
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        match answer.status {
            301 | 302 | 303 | 307 | 308 if reads => {}
            307 | 308 => {}
            301..=303 => return Err(format!("status {}: what was sent would be lost on the way", answer.status)),
            _ => return Ok(None),
        }
        let location = answer.headers.get(LOCATION).and_then(|it| it.to_str().ok());
        let next = location.and_then(|it| at.join(it).ok()).filter(|it| matches!(it.scheme(), "http" | "https"));
        let next = next.ok_or_else(|| format!("status {}, without an address to go to", answer.status))?;
        if self.is_own(&next) {
            return Ok(Some(next));
        }
        let place = shown(&next);
        if at.scheme() == "https" && next.scheme() == "http" {
            return Err(format!("it is redirected to {place}, where nothing is protected"));
        }
        if !reads {
            return Err(format!("it is redirected to another origin, {place}, which does not get what is sent here"));
        }
        if self.veiled(next.as_str()) != next.as_str() || !next.username().is_empty() || next.password().is_some() {
            return Err(format!("it is redirected to another origin, {place}, with a secret"));
        }
        self.guard.admit(&next)?;
        Ok(Some(next))
    }

    fn call(&self, request: &Request<'_>, url: &Url, end: Duration) -> Result<Answer, Failure> {
        let left = end.saturating_sub(self.clock.now());
        if left.is_zero() {
            return Err(Failure::passing("the time is up".to_owned()));
        }
        let own = if self.is_own(url) { self.headers.clone() } else { HeaderMap::new() };
        let (time, begun) = (self.times.attempt().min(left), self.clock.now());
        let mut call = self.client.request(request.method.clone(), url.clone()).timeout(time);
        call = call.header(ACCEPT, "application/json, */*;q=0.5").header(ACCEPT_ENCODING, "gzip");
        if let Some(json) = request.json {
            call = call.header(CONTENT_TYPE, "application/json").body(json.to_vec());
        }
        let answer = call.headers(own).send().map_err(|it| {
            let (unsent, failure) = (it.is_connect(), Failure::of(&it.without_url(), time));
            if unsent { failure } else { request.lost(failure) }
        })?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = body::read(answer, &headers, &|| self.clock.now() >= end).map_err(|it| request.lost(it))?;
        Ok(Answer { status, headers, body, took: self.clock.now().saturating_sub(begun) })
    }

    /// The address that `path` means. It is of the service's own origin.
    fn url(&self, path: &str) -> Result<Url, String> {
        let whole = path.starts_with("https://") || path.starts_with("http://");
        let text = match path.chars().next() {
            None => self.base.as_str().to_owned(),
            Some('?') => format!("{}{path}", self.base),
            Some('/') => format!("{}{path}", self.base.as_str().trim_end_matches('/')),
            _ if whole => path.to_owned(),
            _ => return Err("what is asked for is no path".to_owned()),
        };
        if text.contains(|it: char| it.is_control() || matches!(it, '\\' | '#')) {
            return Err("what is asked for is not percent-encoded".to_owned());
        }
        // Such a segment would be taken out with the one before it, and something else would be asked for.
        let (path, _) = text.split_once('?').unwrap_or((&text, ""));
        if path.split('/').any(|it| matches!(it.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")) {
            return Err("a path with the segment `.` or `..` cannot be asked for".to_owned());
        }
        let url = Url::parse(&text).map_err(|it| it.to_string())?;
        if self.is_own(&url) { Ok(url) } else { Err(format!("this is another origin, {}", shown(&url))) }
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// A text without the secrets that this client knows.
    pub fn veiled(&self, text: &str) -> String {
        let secrets = || self.secrets.iter().map(|it| it.expose_secret()).filter(|it| it.len() >= 4);
        let text = secrets().fold(text.to_owned(), |text, it| text.replace(it, "***"));
        // What was cut off may end within one.
        let Some((before, after)) = text.rsplit_once(answer::CUT) else { return text };
        let begins = |it: &str| it.char_indices().map(|it| it.0).filter(|at| before.ends_with(&it[..*at])).max();
        match secrets().filter_map(begins).max().filter(|it| *it >= 4) {
            Some(length) => format!("{}***{}{after}", &before[..before.len() - length], answer::CUT),
            None => text,
        }
    }
}

impl<'r> Request<'r> {
    /// Asks for what is at `path`.
    pub fn get(path: &'r str) -> Request<'r> {
        Request { method: Method::GET, path, json: None, repeatable: true }
    }

    /// Sends a JSON document to `path`, only to be told something.
    pub fn ask(path: &'r str, json: &'r [u8]) -> Request<'r> {
        Request { method: Method::POST, path, json: Some(json), repeatable: true }
    }

    /// Sends a JSON document to `path`, which changes something there.
    pub fn write(method: Method, path: &'r str, json: &'r [u8]) -> Request<'r> {
        Request { method, path, json: Some(json), repeatable: false }
    }

    /// Tells a JSON document to `path`, once.
    pub fn tell(path: &'r str, json: &'r [u8]) -> Request<'r> {
        Request::write(Method::POST, path, json)
    }

    /// What a failure is, once the request was sent: what it was to write may have been written.
    fn lost(&self, failure: Failure) -> Failure {
        if self.repeatable { failure } else { Failure { kind: Kind::Unsure, again: false, ..failure } }
    }
}

impl Failure {
    fn passing(why: String) -> Failure {
        Failure { kind: Kind::Busy, why, again: true }
    }

    fn lasting(why: String) -> Failure {
        Failure { kind: Kind::Store, why, again: false }
    }

    fn because(self, what: &str) -> Failure {
        Failure { why: self.why + what, ..self }
    }

    /// What a request that got no answer in `time` ran into.
    fn of(error: &reqwest::Error, time: Duration) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return Failure::passing(format!("no answer within {}", after::spoken(time)));
        }
        // A certificate is no better the next time.
        let lasting = chain(error).any(|it| it.is::<rustls::Error>());
        let what = if error.is_connect() { "no connection: " } else { "" };
        let why = format!("{what}{}", root(error));
        if lasting { Failure::lasting(why) } else { Failure::passing(why) }
    }
}

/// An error and what caused it. What an error of input and output holds is not among the sources that it names.
fn chain<'e>(error: &'e (dyn error::Error + 'static)) -> impl Iterator<Item = &'e (dyn error::Error + 'static)> {
    std::iter::successors(Some(error), |it| match it.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => it.source(),
    })
}

/// What an error comes from, which says most.
fn root<'e>(error: &'e (dyn error::Error + 'static)) -> &'e (dyn error::Error + 'static) {
    chain(error).last().unwrap_or(error)
}

/// An address without user, query and fragment.
fn shown(url: &Url) -> String {
    format!("{}{}", host(url), url.path())
}

fn host(url: &Url) -> String {
    let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// What the service calls the request, for its support.
fn trace(answer: &Answer) -> String {
    let found = TRACES.iter().find_map(|&it| Some((it, answer.header(it)?)));
    let plain = |it: char| it.is_ascii_graphic();
    let found = found.filter(|(_, id)| !id.is_empty() && id.len() <= 100 && id.chars().all(plain));
    found.map(|(name, id)| format!(" ({name} {id})")).unwrap_or_default()
}

fn unusable(why: impl Display) -> Error {
    Error::new(Kind::Plan, format_args!("the address of the service: {why}"))
}

fn unsendable(name: &str) -> Error {
    Error::new(Kind::Plan, format_args!("{name}: it holds characters that cannot be sent"))
}

fn sensitive(value: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The user and password of an address, which are taken out of it, as a header.
fn user(base: &mut Url, secrets: &mut Vec<SecretString>) -> Result<Option<SecretString>> {
    let decoded = |it: &str| percent_decoded(it).ok_or_else(|| unusable("its user or password is not UTF-8"));
    let (user, password) = (decoded(base.username())?, decoded(base.password().unwrap_or_default())?);
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    let packed = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let header = format!("Basic {packed}");
    secrets.extend([base.password().unwrap_or_default().into(), password.into(), packed.into()]);
    let removed = base.set_username("").and_then(|()| base.set_password(None));
    removed.map_err(|()| unusable("it cannot have a user"))?;
    Ok(Some(header.into()))
}

/// A text as a segment of a path, or as a name or value of a query: all but what RFC 3986, section 2.3, leaves as it is.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn percent_decoded(text: &str) -> Option<String> {
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        let digit = |it: Option<u8>| it.and_then(|it| char::from(it).to_digit(16)).and_then(|it| u8::try_from(it).ok());
        out.push(if byte == b'%' { digit(bytes.next())? << 4 | digit(bytes.next())? } else { byte });
    }
    String::from_utf8(out).ok()
}

/// Refuses an address that gives away what is sent there, unless that is wanted.
fn protected(base: &Url, loopback: bool, options: &Options) -> Result<()> {
    if base.host_str().is_none_or(str::is_empty) || !matches!(base.scheme(), "http" | "https") {
        return Err(unusable("it has to begin with https:// and name a host"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(unusable("nothing may follow its path"));
    }
    match options.settings.text("tls") {
        Some("verify-ca" | "require") => Err(unusable("a service is always verified in full; leave `tls` out")),
        Some("disable") => Ok(()),
        _ if base.scheme() == "http" && !loopback => {
            let instead = "write https://, or `tls = \"disable\"` in the plan if everyone on the way may read along";
            Err(unusable(format_args!("{}: http:// is not protected; {instead}", shown(base))))
        }
        _ => Ok(()),
    }
}

/// The certificates in a file, to trust instead of those of this machine.
fn certificates(path: &str) -> Result<Vec<Certificate>> {
    let failed = |it: &dyn Display| Error::new(Kind::Plan, format_args!("{path}: {it}"));
    let text = std::fs::read(path).map_err(|it| failed(&it))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|_| failed(&"this is no file of PEM certificates"))?;
    if found.is_empty() { Err(failed(&"no certificate stands in it")) } else { Ok(found) }
}

fn times(options: &Options) -> Result<Times> {
    let Some(text) = options.settings.text("deadline") else { return Ok(Times::USUAL) };
    let seconds = text.parse::<f64>().ok().filter(|it| (0.001..=86_400.0).contains(it));
    let seconds = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
    let wrong = || Error::new(Kind::Plan, "`deadline` is a number of seconds from 0.001 to 86400");
    Ok(Times { deadline: seconds.ok_or_else(wrong)? })
}
