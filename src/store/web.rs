//! The one HTTP client: every store that is reached by HTTP goes through it.

use super::Options;
use crate::error::{Error, Kind, Result};
use reqwest::{
    Method, Url,
    blocking::Client,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use std::{io::Read, thread, time::Duration};

/// One service, reached below one address.
pub struct Web {
    client: Client,
    base: Url,
    headers: HeaderMap,
}

/// What is asked.
pub struct Request<'r> {
    /// How.
    pub method: Method,
    /// The path below the address of the service, with its query, percent-encoded. It begins with a slash, or is empty.
    pub path: &'r str,
    /// A JSON document to send.
    pub json: Option<&'r [u8]>,
    /// It may be asked twice without harm.
    pub repeatable: bool,
}

/// What came back, whatever its status.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

/// What a store makes of an answer.
pub enum Advice {
    /// It is what was asked for.
    Take,
    /// Ask again later, for this reason.
    Again(String),
    /// It is of no use, for this reason, which says what to do.
    Refuse(String),
}

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often a request is made at most.
const ATTEMPTS: u32 = 5;
/// Bytes that an answer may have.
const BODY_MAX: u64 = 256 << 20;

impl Web {
    /// A client of the service at `base`, which shows `token` as its bearer if there is one.
    ///
    /// # Errors
    /// If the address or the token cannot be used.
    pub fn new(base: &str, token: Option<&SecretString>, options: &Options) -> Result<Web> {
        let _ = options;
        let broken =
            |it: &dyn std::fmt::Display| Error::new(Kind::Plan, format_args!("the address of the service: {it}"));
        let base = Url::parse(base).map_err(|it| broken(&it))?;
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
            let mut value =
                value.map_err(|_| Error::new(Kind::Plan, "the token holds characters that no token has"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(DEADLINE)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|it| broken(&it.without_url()))?;
        Ok(Web { client, base, headers })
    }

    /// The same client with one more header on every request. `value` is not shown anywhere.
    ///
    /// # Errors
    /// If either cannot be sent.
    pub fn with_header(mut self, name: &str, value: &SecretString) -> Result<Web> {
        let refused = |_| Error::new(Kind::Plan, format_args!("the header `{name}` cannot be sent"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|it| refused(it.to_string()))?;
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|it| refused(it.to_string()))?;
        value.set_sensitive(true);
        self.headers.insert(key, value);
        Ok(self)
    }

    /// Asks, again where that helps and does no harm, and hands `advice` every answer.
    ///
    /// # Errors
    /// If there is no answer in time, or none that `advice` takes.
    pub fn send(&self, request: &Request<'_>, advice: &dyn Fn(&Answer) -> Advice) -> Result<Answer> {
        let named = |it: &dyn std::fmt::Display| {
            let path = request.path.split('?').next().unwrap_or_default();
            let host = self.base.host_str().unwrap_or_default();
            Error::new(Kind::Store, format_args!("{} {host}{}{path}: {it}", request.method, self.base.path()))
        };
        let mut attempt = 1;
        loop {
            let (why, wait) = match self.once(request) {
                Ok(answer) => match advice(&answer) {
                    Advice::Take => return Ok(answer),
                    Advice::Refuse(why) => return Err(named(&why)),
                    Advice::Again(why) => (why, answer.retry_after()),
                },
                Err(why) => (why, None),
            };
            if attempt == ATTEMPTS || !request.repeatable {
                return Err(named(&why));
            }
            thread::sleep(wait.unwrap_or(Duration::from_millis(200 << attempt)));
            attempt += 1;
        }
    }

    fn once(&self, request: &Request<'_>) -> Result<Answer, String> {
        let url = format!("{}{}", self.base.as_str().trim_end_matches('/'), request.path);
        let mut call = self.client.request(request.method.clone(), url).headers(self.headers.clone());
        if let Some(json) = request.json {
            call = call.header("content-type", "application/json").body(json.to_vec());
        }
        let mut answer = call.send().map_err(|it| it.without_url().to_string())?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        (&mut answer).take(BODY_MAX).read_to_end(&mut body).map_err(|it| it.to_string())?;
        Ok(Answer { status, headers, body })
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
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds.min(60)))
    }
}
