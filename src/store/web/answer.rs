//! What came back, and what to make of it.

use crate::error::Kind;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use std::time::Duration;

/// What came back, whatever its status.
#[derive(Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Vec<u8>,
    /// From the request to the end of the answer, without what others had to wait for before.
    pub took: Duration,
}

/// What a store makes of an answer.
pub enum Advice {
    /// It is what was asked for.
    Take,
    /// Ask again later, for this reason. Whether what was to be written was written is not known then, unless the status is
    /// 429.
    Again(String),
    /// It is of no use, for this reason, which says what to do. What was to be written was not.
    Refuse(String),
    /// An error of this kind, for this reason; who knows more than the status says it so.
    Fail(Kind, String),
}

/// How many characters of a body an error may quote.
const QUOTED: usize = 200;

/// Stands where a body goes on.
pub(super) const CUT: char = '…';

impl Advice {
    /// What to make of an answer by its status alone (RFC 9110, section 15): a success is taken, an overload or a failure of
    /// the service passes, everything else stays.
    pub fn usual(answer: &Answer) -> Advice {
        match answer.status {
            200..=299 => Advice::Take,
            408 | 425 | 429 | 500..=599 => Advice::Again(answer.summary()),
            401 | 403 => Advice::Refuse(answer.summary() + "; look at the token and at what it may do"),
            _ => Advice::Refuse(answer.summary()),
        }
    }
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as one JSON document.
    ///
    /// `T` is a structure that names what it wants: members that come twice are then refused, and a value that has to stay as
    /// it was written is taken as `&serde_json::value::RawValue`, for [`crate::value::json`] to look into. A
    /// `serde_json::Value` would let the last of two members win.
    ///
    /// # Errors
    /// If the body is something else, in a sentence that says what.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, String> {
        // A byte order mark is against RFC 8259, section 8.1, which lets a reader step over it.
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        serde_json::from_slice(body).map_err(|it| {
            let status = self.status;
            if self.is_web_page() {
                format!("the service answered with a web page, status {status}; is the address right?")
            } else if self.body.is_empty() {
                format!("the service answered with nothing, status {status}")
            } else {
                format!("the service answered with something else than expected, status {status}: {}", misfit(&it))
            }
        })
    }

    /// Whether a browser would show this.
    pub fn is_web_page(&self) -> bool {
        let start = self.body.iter().position(|it| !it.is_ascii_whitespace()).unwrap_or_default();
        let start = self.body.get(start..).unwrap_or_default();
        let begins = |with: &str| start.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with.as_bytes()));
        begins("<!doctype html")
            || begins("<html")
            || self.header(CONTENT_TYPE.as_str()).is_some_and(|it| it.starts_with("text/html"))
    }

    /// The status, and the reason that the body gives if it gives one, for an error. It is short and of one line.
    pub fn summary(&self) -> String {
        let status = self.status;
        if self.is_web_page() {
            return format!("the service answered with a web page, status {status}");
        }
        match self.reason() {
            Some(it) => format!("status {status}: {it}"),
            None => format!("status {status}"),
        }
    }

    /// What a body says about an error: `{"error": {"code", "message"}}`, `{"errors": [{"code", "message"}]}`,
    /// `{"message"}`, `{"error": "…"}`, or a text.
    fn reason(&self) -> Option<String> {
        use serde_json::Value;
        let text = std::str::from_utf8(&self.body).ok()?;
        let said = |it: &Value| match it {
            Value::String(it) => Some(it.clone()),
            Value::Number(it) => Some(it.to_string()),
            _ => None,
        };
        let found = serde_json::from_str::<Value>(text).ok().and_then(|body| {
            let error = body.pointer("/errors/0").or_else(|| body.get("error")).unwrap_or(&body);
            let message = error.get("message").or_else(|| error.get("detail")).or_else(|| error.get("title"));
            let message = said(error).or_else(|| message.and_then(said))?;
            Some(match error.get("code").and_then(said) {
                Some(code) => format!("{message} ({code})"),
                None => message,
            })
        });
        let is_text = self.header(CONTENT_TYPE.as_str()).is_none_or(|it| it.starts_with("text/plain"));
        let found = found.or_else(|| is_text.then(|| text.trim().to_owned())).filter(|it| !it.is_empty())?;
        let mut short: String = found.chars().map(|it| if it.is_control() { ' ' } else { it }).take(QUOTED).collect();
        if short.len() < found.len() {
            short.push(CUT);
        }
        Some(short)
    }
}

/// What is wrong with JSON that has another shape than expected, without the value that stands there: it may be one of a row.
pub fn misfit(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.find(['"', '`']), text.rfind(", expected ")) {
        (Some(value), Some(expected)) if text.starts_with("invalid ") && value < expected => {
            format!("{}…{}", &text[..value], &text[expected..])
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_quoted() {
        let check = |json: &str, expect: &str| {
            let error = serde_json::from_str::<Vec<u8>>(json).expect_err(json);
            assert_eq!(misfit(&error), expect);
        };
        check(r#""s3c, expected \"x\"""#, "invalid type: string …, expected a sequence at line 1 column 21");
        check("[70000]", "invalid value: integer …, expected u8 at line 1 column 6");
        check("{}", "invalid type: map, expected a sequence at line 1 column 0");
        check("[1", "EOF while parsing a list at line 1 column 2");
    }
}
