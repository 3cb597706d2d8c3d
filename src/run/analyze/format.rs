//! What a text looks like.

use crate::value::{self, time};
use serde::de::IgnoredAny;

/// The format of a text, if it has one of those that are known. One that fits several has the narrowest.
pub(super) fn of(text: &str) -> Option<&'static str> {
    let first = text.bytes().next();
    match first {
        None => Some("empty"),
        Some(b'{' | b'[') => serde_json::from_str::<IgnoredAny>(text).is_ok().then_some("json"),
        _ if text.len() == 36 && value::parse_uuid(text).is_some() => Some("uuid"),
        _ if is_ulid(text) => Some("ulid"),
        Some(b'0'..=b'9' | b'-' | b'+' | b'.') => number_or_time(text),
        _ if matches!(text, "true" | "false") => Some("boolean"),
        _ if is_url(text) => Some("url"),
        _ => is_email(text).then_some("e-mail"),
    }
}

/// Whether a text begins or ends with a blank.
pub(super) fn has_blanks_around(text: &str) -> bool {
    text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace)
}

fn number_or_time(text: &str) -> Option<&'static str> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit()) {
        return Some("integer");
    }
    let numeric = text.bytes().all(|it| it.is_ascii_digit() || b"+-.eE".contains(&it));
    if numeric && text.parse::<f64>().is_ok() {
        return Some("number");
    }
    if time::parse_date(text).is_some() {
        return Some("date");
    }
    if time::parse_moment(text).is_some() {
        return Some("timestamp");
    }
    is_email(text).then_some("e-mail")
}

/// 26 characters of Crockford's alphabet, of which the first is no greater than 7 and some are letters.
fn is_ulid(text: &str) -> bool {
    let letter = |it: u8| it.is_ascii_alphanumeric() && !b"ILOU".contains(&it.to_ascii_uppercase());
    let begins = text.bytes().next().is_some_and(|it| (b'0'..=b'7').contains(&it));
    text.len() == 26 && begins && text.bytes().all(letter) && text.bytes().any(|it| it.is_ascii_alphabetic())
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let known = scheme.bytes().all(|it| it.is_ascii_alphanumeric() || b"+.-".contains(&it));
    !scheme.is_empty() && known && !rest.is_empty() && !rest.contains(char::is_whitespace)
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let plain = !text.contains(|it: char| it.is_whitespace() || it.is_control()) && !host.contains('@');
    let ends = host.split('.').all(|it| !it.is_empty());
    plain && !name.is_empty() && host.contains('.') && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(of(text), expect, "{text:?}");
        check("", Some("empty"));
        check("550e8400-e29b-41d4-a716-446655440000", Some("uuid"));
        check("01ARZ3NDEKTSV4RRFFQ69G5FAV", Some("ulid"));
        check("81ARZ3NDEKTSV4RRFFQ69G5FAV", None);
        check("12345678901234567890123456", Some("integer"));
        check("-17", Some("integer"));
        check("-", None);
        check("1.5e3", Some("number"));
        check("2026-01-18", Some("date"));
        check("2026-01-18T09:30:00Z", Some("timestamp"));
        check("2026-01-18 09:30:00.5+02:00", Some("timestamp"));
        check("2026-02-30", None);
        check("true", Some("boolean"));
        check("https://example.test/a?b", Some("url"));
        check("mira@example.test", Some("e-mail"));
        check("1@example.test", Some("e-mail"));
        check("mira@example", None);
        check("a@b@c.test", None);
        check("{\"a\":[1]}", Some("json"));
        check("{a}", None);
        check("plain words", None);
        check("é", None);
    }

    #[test]
    fn blanks() {
        for (text, expect) in [("a b", false), (" a", true), ("a\n", true), ("", false)] {
            assert_eq!(has_blanks_around(text), expect, "{text:?}");
        }
    }
}
