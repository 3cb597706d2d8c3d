//! How a service says where the next page is.

use super::pointer::Pointer;
use crate::{
    error::{Error, Kind, Result},
    store::{
        settings::Settings,
        web::{Answer, encoded},
    },
    value::json::read_string,
};

/// Where the next page is.
#[derive(Debug)]
pub(super) enum Paging {
    /// There is one page.
    One,
    /// A link at this place.
    Link(Pointer),
    /// The link in the header `Link` (RFC 8288) whose relation is `next`.
    Header,
    /// What stands at this place goes into this parameter of the query.
    Cursor(String, Pointer),
    /// This parameter of the query counts from 1.
    Number(String),
}

/// What leads to the next page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A link, as the answer has it.
    Link(String),
    /// The address of the first page, with this in its query.
    Parameter(String, String),
}

impl Paging {
    /// As the settings say.
    pub(super) fn new(settings: &Settings) -> Result<Paging> {
        let mut found = Vec::new();
        match settings.text("next_link") {
            Some(it) if it.eq_ignore_ascii_case("link") => found.push(Paging::Header),
            Some(it) => found.push(Paging::Link(pointer("next_link", it)?)),
            None => {}
        }
        for (parameter, place) in settings.named("next_cursor") {
            found.push(Paging::Cursor(parameter.clone(), pointer("next_cursor", place)?));
        }
        found.extend(settings.text("page").map(|it| Paging::Number(it.to_owned())));
        match found.pop() {
            None => Ok(Paging::One),
            Some(it) if found.is_empty() => Ok(it),
            Some(_) => Err(plan("`next_link`, `next_cursor` and `page` are three ways to the next page: say one")),
        }
    }

    /// What leads on from the page `document`, which is the `number`th from 1 and has `rows` rows.
    pub(super) fn next(
        &self,
        document: &str,
        answer: &Answer,
        number: usize,
        rows: u64,
    ) -> Result<Option<Next>, String> {
        Ok(match self {
            Paging::One => None,
            Paging::Header => link(answer).map(Next::Link),
            Paging::Link(place) => place.find(document)?.map(word).transpose()?.flatten().map(Next::Link),
            Paging::Cursor(parameter, place) => {
                let cursor = place.find(document)?.map(word).transpose()?.flatten();
                cursor.map(|it| Next::Parameter(parameter.clone(), it))
            }
            Paging::Number(parameter) => {
                (rows > 0).then(|| Next::Parameter(parameter.clone(), (number + 1).to_string()))
            }
        })
    }
}

/// The pointer that a setting holds.
pub(super) fn pointer(setting: &str, text: &str) -> Result<Pointer> {
    let wrong = || plan(&format!("`{setting}` is a JSON pointer, such as \"/data/items\", and not \"{text}\""));
    Pointer::parse(text).ok_or_else(wrong)
}

fn plan(what: &str) -> Error {
    Error::new(Kind::Plan, what)
}

/// A link or cursor. Nothing: this was the last page.
fn word(raw: &str) -> Result<Option<String>, String> {
    match raw.as_bytes().first() {
        Some(b'"') => {
            let text = read_string(raw).ok_or("what leads to the next page holds half of a surrogate pair")?;
            Ok((!text.is_empty()).then(|| text.into_owned()))
        }
        Some(b'-' | b'0'..=b'9') => Ok(Some(raw.to_owned())),
        _ if matches!(raw, "null" | "false") => Ok(None),
        _ => Err("what leads to the next page is neither a text nor a number".to_owned()),
    }
}

/// The target of the first link whose relation is `next` (RFC 8288, section 3).
pub(super) fn link(answer: &Answer) -> Option<String> {
    let headers = answer.headers.get_all("link");
    headers.iter().filter_map(|it| it.to_str().ok()).find_map(next_of)
}

fn next_of(mut rest: &str) -> Option<String> {
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        // The parameters end at a comma that is in no quotes.
        let mut quoted = false;
        let end = after.find(|it| {
            quoted ^= it == '"';
            it == ',' && !quoted
        });
        let (parameters, following) = after.split_at(end.unwrap_or(after.len()));
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|it| it.eq_ignore_ascii_case("next"))
        };
        if parameters.split(';').any(is_next) {
            return Some(target.to_owned());
        }
        rest = following;
    }
}

/// `path` with one more parameter in its query, or with another value of it.
pub(super) fn with_parameter(path: &str, name: &str, value: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let name = encoded(name);
    let others = query.split('&').filter(|it| !it.is_empty() && it.split('=').next() != Some(&name));
    let query: Vec<String> = others.map(str::to_owned).chain([format!("{name}={}", encoded(value))]).collect();
    format!("{path}?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderName};

    fn answer(links: &[&str]) -> Answer {
        let mut headers = HeaderMap::new();
        for it in links {
            headers.append(HeaderName::from_static("link"), it.parse().unwrap());
        }
        Answer { status: 200, headers, ..Answer::default() }
    }

    #[test]
    fn links_in_headers() {
        let check =
            |links: &[&str], expect: Option<&str>| assert_eq!(link(&answer(links)).as_deref(), expect, "{links:?}");
        check(&[], None);
        check(&["<https://h/x?page=2>; rel=\"next\""], Some("https://h/x?page=2"));
        check(&["<a>; rel=prev, <b>;title=\"x, <y>; rel=next\" ; REL=\"last Next\""], Some("b"));
        check(&["<a>; rel=prev", "<b>; rel=next"], Some("b"));
        check(&["<a>; rel=\"nextish\", <b>; title=next"], None);
        for it in ["", "<", "<a", "<a>", "<a>;rel", "<a>;rel=\"next", ",,,", "next"] {
            let _ = link(&answer(&[it]));
        }
    }

    #[test]
    fn parameters() {
        let check = |path: &str, expect: &str| assert_eq!(with_parameter(path, "pa ge", "ä&1"), expect);
        check("/x", "/x?pa%20ge=%C3%A4%261");
        check("", "?pa%20ge=%C3%A4%261");
        check("/x?a=1&pa%20ge=7&b", "/x?a=1&b&pa%20ge=%C3%A4%261");
    }

    #[test]
    fn words_that_lead_on() {
        let paging = Paging::Cursor("after".to_owned(), Pointer::parse("/c").unwrap());
        let check = |document: &str, expect: Result<Option<&str>, ()>| {
            let next = paging.next(document, &answer(&[]), 1, 1).map_err(|_| ());
            let expect = expect.map(|it| it.map(|it| Next::Parameter("after".to_owned(), it.to_owned())));
            assert_eq!(next, expect, "{document}");
        };
        check(r#"{"c":"a\u0062/"}"#, Ok(Some("ab/")));
        check(r#"{"c":9007199254740993}"#, Ok(Some("9007199254740993")));
        for it in [r#"{"c":null}"#, r#"{"c":""}"#, r#"{"c":false}"#, "{}", "[]"] {
            check(it, Ok(None));
        }
        for it in [r#"{"c":true}"#, r#"{"c":[]}"#, r#"{"c":"\ud800"}"#, r#"{"c":"a","c":"b"}"#] {
            check(it, Err(()));
        }
    }
}
