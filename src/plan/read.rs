//! The TOML tree of a plan against the table of known keys: every problem that one value alone can have.
use std::{collections::BTreeMap, ops::Range, time::Duration};

use jiff::{Timestamp, fmt::temporal::DateTimeParser, tz::TimeZoneDatabase};
use regex::Regex;
use serde_json::Value as Document;
use toml::{
    Spanned,
    de::{DeFloat, DeInteger, DeTable, DeValue},
};

use super::{
    Json, Setting,
    fault::{Fault, nearest, quoted},
    interpolate::{Part, interpolate, is_only_variables, parts},
    keys::{ENDPOINT, Key, OWN, Shape},
};

/// One value of the tree, with its place.
pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// A member of a TOML table.
pub(super) struct Entry<'t, 'i> {
    pub(super) name: &'t str,
    pub(super) span: Range<usize>,
    pub(super) value: &'t Node<'i>,
}

/// Walks the tree and collects what is wrong.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) faults: Vec<Fault>,
}

/// The members of a table in the plan's order.
pub(super) fn entries<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let entry = |(name, value): (&'t Spanned<_>, &'t Node<'i>)| {
        let text: &std::borrow::Cow<'i, str> = name.get_ref();
        Entry { name: text, span: name.span(), value }
    };
    let mut all: Vec<_> = table.iter().map(entry).collect();
    all.sort_by_key(|it| it.span.start);
    all
}

impl Reader<'_> {
    /// Notes a problem.
    pub(super) fn fault(&mut self, span: Range<usize>, message: String, hint: impl Into<Option<String>>) {
        let mut fault = Fault::new(self.text, span, message);
        fault.hint = hint.into();
        self.faults.push(fault);
    }

    /// `text` with its variables filled in. Empty if that cannot be, which [`Reader::table`] has noted.
    pub(super) fn filled(&self, text: &str) -> String {
        interpolate(text, self.lookup).unwrap_or_default()
    }

    /// Checks a table against its keys.
    pub(super) fn table(&mut self, keys: &'static [Key], table: &DeTable<'_>, span: Range<usize>) {
        let guarded = keys.iter().any(|it| matches!(it.shape, Shape::Secret));
        for entry in entries(table) {
            match keys.iter().find(|it| it.name == entry.name) {
                Some(key) => self.value(entry.name, &key.shape, entry.value),
                None => {
                    let names = || keys.iter().map(|it| it.name);
                    let hint = match nearest(entry.name, names()) {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => format!("known keys: {}", names().collect::<Vec<_>>().join(", ")),
                    };
                    let mut fault = Fault::new(self.text, entry.span, format!("unknown key {}", quoted(entry.name)));
                    if guarded {
                        fault = fault.masking(entry.value.span());
                    }
                    self.faults.push(fault.with_hint(hint));
                }
            }
        }
        for key in keys.iter().filter(|it| it.required && !table.contains_key(it.name)) {
            self.fault(span.clone(), format!("`{}` is missing", key.name), key.about.to_owned());
        }
    }

    fn value(&mut self, name: &str, shape: &'static Shape, node: &Node<'_>) {
        if !accepts(shape, node.get_ref()) {
            let message = format!("{} must be {}, not {}", quoted(name), expected(shape), found(node.get_ref()));
            let mut fault = Fault::new(self.text, node.span(), message);
            if matches!(shape, Shape::Tables(_)) {
                fault = fault.with_hint(format!("write `[[{name}]]`"));
            }
            let guarded = matches!(shape, Shape::Secret | Shape::Url | Shape::Header);
            self.faults.push(if guarded { fault.masking(node.span()) } else { fault });
            return;
        }
        match (shape, node.get_ref()) {
            (Shape::Either(first, second), value) => {
                self.value(name, if accepts(first, value) { first } else { second }, node);
            }
            (Shape::Table(keys), DeValue::Table(table)) => self.table(keys, table, node.span()),
            (Shape::Named(shape), DeValue::Table(table)) => {
                entries(table).iter().for_each(|it| self.value(it.name, shape, it.value));
            }
            (Shape::Map, DeValue::Table(table)) => {
                if table.is_empty() {
                    self.fault(node.span(), format!("{} is empty", quoted(name)), None);
                }
                entries(table).iter().for_each(|it| self.scalar(it.name, it.value));
            }
            (_, DeValue::Array(_)) => self.list(name, shape, node),
            (Shape::Any, _) => {
                self.json(node);
            }
            (Shape::Decimal, value) if !value.is_str() && decimal(value, str::to_owned).is_none() => {
                self.fault(node.span(), format!("{} must be a decimal number", quoted(name)), None);
            }
            (_, DeValue::String(text)) => self.string(name, shape, text, node.span()),
            (_, DeValue::Integer(number)) => self.whole(name, shape, number, node.span()),
            (Shape::Instant, DeValue::Datetime(time)) => self.instant(name, &time.to_string(), node.span()),
            (Shape::True, DeValue::Boolean(false)) => {
                let hint = "name the tables, or leave the key out".to_owned();
                self.fault(node.span(), format!("{} cannot be false", quoted(name)), hint);
            }
            _ => (),
        }
    }

    fn list(&mut self, name: &str, shape: &'static Shape, node: &Node<'_>) {
        let DeValue::Array(items) = node.get_ref() else { return };
        if items.is_empty() && !matches!(shape, Shape::Texts | Shape::Tables(_) | Shape::Any) {
            self.fault(node.span(), format!("{} is empty", quoted(name)), None);
        }
        let mut seen = Vec::new();
        for item in items.iter() {
            match (shape, item.get_ref()) {
                (Shape::Tables(keys), DeValue::Table(table)) => self.table(keys, table, item.span()),
                (Shape::Texts | Shape::SomeTexts, DeValue::String(text)) => {
                    self.string(name, &Shape::Name, text, item.span());
                    if seen.contains(&text) {
                        self.fault(item.span(), format!("{} stands in {} twice", quoted(text), quoted(name)), None);
                    }
                    seen.push(text);
                }
                (Shape::Groups, DeValue::Array(_)) => self.value(name, &Shape::SomeTexts, item),
                (Shape::Command, _) => self.value(name, &Shape::Text, item),
                (Shape::Scalars, _) => self.scalar(name, item),
                (Shape::Any, _) => (),
                (_, value) => {
                    let message = format!("{} must be {}, not of {}", quoted(name), expected(shape), found(value));
                    self.fault(item.span(), message, None);
                }
            }
        }
        if matches!(shape, Shape::Any) {
            self.json(node);
        }
    }

    fn scalar(&mut self, name: &str, node: &Node<'_>) {
        if matches!(node.get_ref(), DeValue::Array(_) | DeValue::Table(_)) {
            let message =
                format!("{} must be a string, a number or a boolean, not {}", quoted(name), found(node.get_ref()));
            self.fault(node.span(), message, None);
        } else {
            self.json(node);
        }
    }

    fn string(&mut self, name: &str, shape: &'static Shape, raw: &str, span: Range<usize>) {
        let label = quoted(name);
        match shape {
            Shape::Expression if raw.trim().is_empty() => return self.fault(span, format!("{label} is empty"), None),
            Shape::Expression => return,
            Shape::Regex => {
                if let Err(error) = Regex::new(raw) {
                    let error = error.to_string();
                    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    self.fault(span, format!("{label} is not a regular expression: {reason}"), None);
                }
                return;
            }
            Shape::Secret if !is_only_variables(raw) => return self.secret(name, span),
            Shape::Url if holds_secret(raw) => return self.secret(name, span),
            Shape::Header if is_secret_header(name) && !is_only_variables(behind_scheme(raw)) => {
                return self.secret(name, span);
            }
            _ => (),
        }
        let value = match interpolate(raw, self.lookup) {
            Ok(value) => value,
            Err(gaps) => {
                for gap in gaps {
                    self.fault(span.clone(), format!("{label}: {}", gap.message), gap.hint.to_owned());
                }
                return;
            }
        };
        match shape {
            Shape::Name | Shape::Secret | Shape::Url if value.is_empty() => {
                let hint = (!raw.is_empty()).then(|| "the variable is set, but to nothing".to_owned());
                self.fault(span, format!("{label} is empty"), hint);
            }
            Shape::Word(words) if !words.contains(&value.as_str()) => {
                let list = format!("one of {}", words.join(", "));
                let near = nearest(raw, words.iter().copied());
                let hint = near.map_or(list.clone(), |it| format!("did you mean `{it}`? It is {list}"));
                self.fault(span, format!("{label} cannot be {}", quoted(raw)), hint);
            }
            Shape::Byte if !(value.len() == 1 && value.is_ascii() && !matches!(value.as_str(), "\"" | "\r" | "\n")) => {
                self.fault(span, format!("{label} must be one ASCII character, and no quote or line end"), None);
            }
            Shape::Zone if time_zone(&value).is_none() => {
                let hint =
                    "an IANA name such as \"Europe/Berlin\", an offset such as \"+02:00\", or \"UTC\"".to_owned();
                self.fault(span, format!("{label} cannot be {}", quoted(raw)), hint);
            }
            Shape::Instant => self.instant(name, &value, span),
            Shape::Span if time_span(&value).is_none() => {
                let hint = "such as \"500ms\", \"2s\" or \"1m\", at most \"1440m\"".to_owned();
                self.fault(span, format!("{label} cannot be {}", quoted(raw)), hint);
            }
            Shape::Decimal if decimal_text(&value).is_none() => {
                self.fault(span, format!("{label} must be a decimal number"), None);
            }
            _ => (),
        }
    }

    fn secret(&mut self, name: &str, span: Range<usize>) {
        let message = format!("{} holds a secret, which a plan never does", quoted(name));
        let hint = "write a variable, such as \"${NAME}\", and set it in the environment or in .env";
        let fault = Fault::new(self.text, span.clone(), message).masking(span).with_hint(hint);
        self.faults.push(fault);
    }

    fn instant(&mut self, name: &str, value: &str, span: Range<usize>) {
        if value.parse::<Timestamp>().is_err() {
            let hint = "such as \"2026-01-31T12:00:00Z\"".to_owned();
            self.fault(span, format!("{} must be an instant as RFC 3339 writes it", quoted(name)), hint);
        }
    }

    fn whole(&mut self, name: &str, shape: &'static Shape, number: &DeInteger<'_>, span: Range<usize>) {
        match shape {
            Shape::Version if integer(number).as_deref() != Some("1") => {
                self.fault(
                    span,
                    "this version of the plan format is not known".into(),
                    "this program reads version 1".to_owned(),
                );
            }
            Shape::Count if count(number).is_none() => {
                self.fault(
                    span,
                    format!("{} must be {}, not {}", quoted(name), expected(shape), quoted(&number.to_string())),
                    None,
                );
            }
            _ => (),
        }
    }

    /// `node` as JSON text with its variables filled in, and a fault for whatever JSON cannot say.
    pub(super) fn json(&mut self, node: &Node<'_>) -> Option<Json> {
        let before = self.faults.len();
        let mut out = String::new();
        let mut steps = vec![Step::Value(node)];
        while let Some(step) = steps.pop() {
            let node = match step {
                Step::Value(node) => node,
                Step::Text(text) => {
                    out.push_str(&text);
                    continue;
                }
            };
            match node.get_ref() {
                DeValue::Array(items) => {
                    steps.push(Step::Text("]".into()));
                    for (place, item) in items.iter().enumerate().rev() {
                        steps.push(Step::Value(item));
                        steps.push(Step::Text(if place == 0 { "[".into() } else { ",".into() }));
                    }
                    if items.is_empty() {
                        out.push('[');
                    }
                }
                DeValue::Table(table) => {
                    steps.push(Step::Text("}".into()));
                    for (place, entry) in entries(table).into_iter().enumerate().rev() {
                        steps.push(Step::Value(entry.value));
                        let opening = if place == 0 { '{' } else { ',' };
                        steps.push(Step::Text(format!("{opening}{}:", Document::from(entry.name))));
                    }
                    if table.is_empty() {
                        out.push('{');
                    }
                }
                _ => match self.atom(node) {
                    Some(text) => out.push_str(&text),
                    None => continue,
                },
            }
        }
        (self.faults.len() == before).then_some(out)
    }

    fn atom(&mut self, node: &Node<'_>) -> Option<Json> {
        let text = match node.get_ref() {
            DeValue::String(text) => match interpolate(text, self.lookup) {
                Ok(value) => Some(Document::from(value).to_string()),
                Err(gaps) => {
                    for gap in gaps {
                        self.fault(node.span(), gap.message, gap.hint.to_owned());
                    }
                    return None;
                }
            },
            DeValue::Boolean(value) => Some(value.to_string()),
            DeValue::Datetime(value) => Some(Document::from(value.to_string()).to_string()),
            number => decimal(number, str::to_owned),
        };
        if text.is_none() {
            self.fault(node.span(), "this number cannot be written as JSON".into(), None);
        }
        text
    }
}

/// What is left to write of a document.
enum Step<'t, 'i> {
    Value(&'t Node<'i>),
    Text(String),
}

/// The text of an exact decimal number, without a plus sign. `None` for everything else.
pub(super) fn decimal(value: &DeValue<'_>, filled: impl Fn(&str) -> String) -> Option<String> {
    match value {
        DeValue::Integer(number) => integer(number),
        DeValue::Float(number) => float(number),
        DeValue::String(text) => decimal_text(&filled(text)),
        _ => None,
    }
}

fn decimal_text(text: &str) -> Option<String> {
    let text = text.strip_prefix('+').unwrap_or(text);
    // A number of JSON is an exact decimal, and only its text is looked at. Blanks around it are none of it.
    let plain = text.bytes().all(|it| it.is_ascii_digit() || b"+-.eE".contains(&it));
    (plain && serde_json::from_str::<serde_json::Number>(text).is_ok()).then(|| text.to_owned())
}

/// A whole number from 0 on.
pub(super) fn count(number: &DeInteger<'_>) -> Option<u64> {
    integer(number)?.parse().ok()
}

fn integer(number: &DeInteger<'_>) -> Option<String> {
    match number.radix() {
        10 => Some(number.as_str().trim_start_matches('+').to_owned()),
        radix => i128::from_str_radix(number.as_str(), radix).ok().map(|it| it.to_string()),
    }
}

fn float(number: &DeFloat<'_>) -> Option<String> {
    let text = number.as_str().trim_start_matches('+');
    (!text.contains("inf") && !text.contains("nan")).then(|| text.to_owned())
}

fn accepts(shape: &Shape, value: &DeValue<'_>) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Either(first, second) => accepts(first, value) || accepts(second, value),
        Shape::Version | Shape::Count => value.is_integer(),
        Shape::Bool | Shape::True => value.is_bool(),
        Shape::Decimal => value.is_integer() || value.is_float() || value.is_str(),
        Shape::Instant => value.is_str() || value.is_datetime(),
        Shape::Text | Shape::Name | Shape::Secret | Shape::Url | Shape::Zone | Shape::Byte => value.is_str(),
        Shape::Header | Shape::Expression | Shape::Regex | Shape::Word(_) | Shape::Span => value.is_str(),
        Shape::Texts | Shape::SomeTexts | Shape::Groups | Shape::Command => value.is_array(),
        Shape::Scalars | Shape::Tables(_) => value.is_array(),
        Shape::Map | Shape::Table(_) | Shape::Named(_) => value.is_table(),
    }
}

fn expected(shape: &Shape) -> String {
    let text = match shape {
        Shape::Either(first, second) => return format!("{} or {}", expected(first), expected(second)),
        Shape::Version => "the number 1",
        Shape::Count => "a whole number from 0 on",
        Shape::Bool => "true or false",
        Shape::True => "true",
        Shape::Decimal => "a number",
        Shape::Instant => "a date-time",
        Shape::Text | Shape::Name | Shape::Secret | Shape::Url | Shape::Zone | Shape::Byte => "a string",
        Shape::Header | Shape::Regex | Shape::Word(_) => "a string",
        Shape::Span => "a time such as \"2s\"",
        Shape::Expression => "an expression in a string",
        Shape::Texts | Shape::SomeTexts | Shape::Command => "a list of strings",
        Shape::Groups => "a list of lists of strings",
        Shape::Scalars => "a list",
        Shape::Tables(_) => "a list of tables",
        Shape::Map | Shape::Table(_) | Shape::Named(_) => "a table",
        Shape::Any => "a value",
    };
    text.to_owned()
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date-time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A time to wait or to take: `500ms`, `2s`, `1m`, at most a day.
pub fn time_span(text: &str) -> Option<Duration> {
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    let millis = number.parse().ok().and_then(|it: u64| it.checked_mul(scale))?;
    Some(Duration::from_millis(millis)).filter(|it| *it <= Duration::from_secs(86_400))
}

/// Whether `text` is an offset or an IANA name. The rules of POSIX look like any word, so they are not read.
/// The time zone of that IANA name or offset, from the rules that are built in: a machine's own are not everywhere the same.
pub fn time_zone(text: &str) -> Option<jiff::tz::TimeZone> {
    let zones = TimeZoneDatabase::bundled();
    match text.starts_with(['+', '-']) {
        true => DateTimeParser::new().parse_time_zone_with(&zones, text).ok(),
        false => zones.get(text).ok(),
    }
}

/// Whether an address spells out a password, in front of the host or as a parameter.
fn holds_secret(raw: &str) -> bool {
    /// Stands for a variable: no address holds it.
    const VARIABLE: char = '\0';
    let mut url = String::new();
    for part in parts(raw) {
        match part {
            Part::Text(text) => url.push_str(text),
            Part::Variable { default, .. } => {
                url.push(VARIABLE);
                url.push_str(default.unwrap_or_default());
            }
            Part::Broken { .. } => url.push(VARIABLE),
        }
    }
    let literal = |it: &str| it.chars().any(|c| c != VARIABLE);
    let authority = url.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let user = authority.and_then(|it| it.rsplit_once('@')).map(|(user, _)| user);
    let password = user.and_then(|it| it.split_once(':')).map(|(_, password)| password);
    let parameter = |it: &str| {
        it.split_once('=').is_some_and(|(name, value)| {
            let name = name.to_ascii_lowercase();
            ["token", "password", "secret", "api_key", "apikey"].iter().any(|it| name.ends_with(it)) && literal(value)
        })
    };
    password.is_some_and(literal) || url.split(['?', '&', '#', ';', ':', ' ']).any(parameter)
}

/// Whether a header of that name holds a secret.
fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "cookie", "token", "key", "secret", "password", "session", "signature"].iter().any(|it| name.contains(it))
}

/// What stands behind the scheme of credentials, such as `Bearer`.
fn behind_scheme(raw: &str) -> &str {
    let scheme = raw.split_once(' ').filter(|(word, _)| word.bytes().all(|it| it.is_ascii_alphabetic()));
    scheme.map_or(raw, |(_, rest)| rest.trim_start())
}

/// What reports call a store: never its user, password or parameters.
pub(crate) fn address(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |it| rest.split_at(it));
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => host,
        // The first half of a password that is not escaped may stand here.
        None if authority.contains(':') && path.contains('@') => return Some(format!("{scheme}://…")),
        None => authority,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(format!("{scheme}://{host}{path}"))
}

/// The settings of a store that are passed on to it.
pub(super) fn settings(reader: &Reader<'_>, table: &DeTable<'_>) -> BTreeMap<String, Setting> {
    let passed = entries(table).into_iter().filter(|it| !OWN.contains(&it.name));
    let known = passed.filter(|it| ENDPOINT.iter().any(|key| key.name == it.name));
    known.filter_map(|it| Some((it.name.to_owned(), setting(reader, it.value)?))).collect()
}

fn setting(reader: &Reader<'_>, node: &Node<'_>) -> Option<Setting> {
    let text = |it: &Node<'_>| it.get_ref().as_str().map(|it| reader.filled(it));
    Some(match node.get_ref() {
        DeValue::String(it) => Setting::Text(reader.filled(it)),
        DeValue::Integer(it) => Setting::Text(count(it)?.to_string()),
        DeValue::Boolean(it) => Setting::Text(it.to_string()),
        DeValue::Float(it) => Setting::Text(float(it)?),
        DeValue::Array(all) => Setting::Texts(all.iter().filter_map(text).collect()),
        DeValue::Table(all) => {
            let named = |it: Entry<'_, '_>| Some((it.name.to_owned(), text(it.value)?));
            Setting::Named(entries(all).into_iter().filter_map(named).collect())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_loses_its_secrets() {
        for (url, expect) in [
            ("postgres://u:s3#cr@t@h/d?a=b@c", "postgres://h/d"),
            ("postgres://u:s3/cr@h/d", "postgres://…"),
            ("postgres://u:s3?cr@h/d", "postgres://…"),
            ("http://h:80/d#s3cr", "http://h:80/d"),
            ("http://h/@me", "http://h/@me"),
        ] {
            assert_eq!(super::address(url).as_deref(), Some(expect));
        }
    }
}
