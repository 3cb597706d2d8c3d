//! Connection strings of an Edge Config, as `@vercel/edge-config` reads them.

use crate::error::{Error, Kind, Result};
use reqwest::Url;
use secrecy::SecretString;

/// Where a store can be read, and with what.
pub(super) struct Connection {
    /// The address of the store.
    pub(super) base: String,
    pub(super) id: String,
    pub(super) token: SecretString,
}

/// The vendor's own host.
const HOST: &str = "https://edge-config.vercel.com";

impl Connection {
    /// Reads `https://edge-config.vercel.com/ecfg_…?token=…`, `edge-config:id=ecfg_…&token=…`, or an address of any other host
    /// with the id in its path or its query.
    ///
    /// # Errors
    /// If it has neither form. The error does not show it.
    pub(super) fn parse(text: &str) -> Result<Connection> {
        let parsed = match text.strip_prefix("edge-config:") {
            Some(query) => Url::parse(&format!("{HOST}/?{query}")).ok().and_then(|it| of_query(&it)),
            None => Url::parse(text).ok().and_then(of_url),
        };
        parsed.ok_or_else(|| {
            let form = "https://edge-config.vercel.com/ecfg_...?token=...";
            Error::new(Kind::Plan, format_args!("edge-config: the connection string has another form than {form}"))
        })
    }
}

fn of_query(url: &Url) -> Option<Connection> {
    let (id, token) = (value(url, "id")?, value(url, "token")?);
    let base = super::plain("id", id.clone()).ok().map(|it| format!("{HOST}/{it}"))?;
    Some(Connection { base, id, token: token.into() })
}

fn of_url(mut url: Url) -> Option<Connection> {
    let token = value(&url, "token")?;
    let path = url.path_segments().and_then(|mut it| it.next()).filter(|it| !it.is_empty()).map(str::to_owned);
    let id = match value(&url, "id") {
        Some(id) if !url.path().starts_with("/ecfg_") => id,
        _ => path?,
    };
    url.set_query(None);
    url.set_fragment(None);
    Some(Connection { base: url.into(), id, token: token.into() })
}

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|it| it.0 == name).map(|it| it.1.into_owned()).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn forms() {
        let check = |text: &str, expect: Option<(&str, &str, &str)>| {
            let found = Connection::parse(text);
            let found = found.as_ref().ok().map(|it| (it.base.as_str(), it.id.as_str(), it.token.expose_secret()));
            assert_eq!(found, expect, "{text}");
        };
        let vercel = "https://edge-config.vercel.com/ecfg_abc";
        check("https://edge-config.vercel.com/ecfg_abc?token=t", Some((vercel, "ecfg_abc", "t")));
        check("edge-config:id=ecfg_abc&token=t%2B", Some((vercel, "ecfg_abc", "t+")));
        check("http://127.0.0.1:9/ecfg_abc?token=t", Some(("http://127.0.0.1:9/ecfg_abc", "ecfg_abc", "t")));
        check("https://x.test/any/path?id=abc&token=t", Some(("https://x.test/any/path", "abc", "t")));
        check("https://x.test/ecfg_abc?id=other&token=t", Some(("https://x.test/ecfg_abc", "ecfg_abc", "t")));
        check("https://x.test/ecfg_abc", None);
        check("https://x.test/?token=t", None);
        check("edge-config:id=../x&token=t", None);
        check("edge-config:token=t", None);
        check("ecfg_abc", None);
    }

    #[test]
    fn an_error_does_not_show_it() {
        let error = Connection::parse("https://x.test/?token=c4n4ry").err().unwrap();
        assert!(!error.to_string().contains("c4n4ry"), "{error}");
    }
}
