//! What the plan declares for a column beside where it comes from: defaults, maps, checks, and values that are made up.

use super::{cipher::Cipher, val};
use crate::{
    plan::{Generated, Rule},
    value::{Value, decimal, json},
};
use regex::Regex;
use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

/// The rules of one column, compiled.
#[derive(Debug, Default)]
pub(super) struct Rules {
    default: Option<String>,
    map: Option<BTreeMap<String, String>>,
    required: bool,
    matches: Option<Regex>,
    min: Option<Bound>,
    max: Option<Bound>,
    one_of: Option<Vec<String>>,
    trim: bool,
    strip_nul: bool,
    cipher: Option<Cipher>,
    pub(super) secret: bool,
    /// Nothing but `secret` is declared.
    pub(super) idle: bool,
}

/// What rules make of a value.
pub(super) enum Ruled<'p> {
    /// They let it through.
    Same,
    Text(String),
    /// JSON that the plan holds.
    Json(&'p str),
}

/// A limit as the plan writes it, and as it is compared.
#[derive(Debug)]
struct Bound {
    text: String,
    canonical: String,
}

impl Rules {
    /// No rules at all.
    pub(super) fn none() -> Rules {
        Rules { idle: true, ..Rules::default() }
    }

    /// Compiles the rule of a column of a target table.
    ///
    /// # Errors
    /// If its regular expression does not compile or a limit is no number.
    pub(super) fn compile(rule: &Rule, table: &str, column: &str) -> Result<Rules, String> {
        let matches =
            rule.matches.as_deref().map(Regex::new).transpose().map_err(|error| format!("`matches`: {error}"))?;
        let bound = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match number(Value::Decimal(text)) {
                Some(canonical) => Ok(Some(Bound { text: text.clone(), canonical })),
                None => Err(format!("`{name}` is no number that can be compared")),
            },
        };
        let rules = Rules {
            default: rule.default.clone(),
            map: rule.map.as_ref().map(|it| it.iter().cloned().collect()),
            required: rule.required,
            matches,
            min: bound("min", &rule.min)?,
            max: bound("max", &rule.max)?,
            one_of: rule.one_of.as_ref().map(|it| it.iter().map(|it| canonical(it)).collect()),
            trim: rule.trim,
            strip_nul: rule.strip_nul,
            cipher: rule.encrypt.as_ref().map(|it| Cipher::new(it, table, column)),
            secret: rule.secret,
            idle: false,
        };
        let checks = rules.matches.is_some() || rules.min.is_some() || rules.max.is_some() || rules.one_of.is_some();
        Ok(Rules { idle: !checks && !rules.edits() && !rules.required, ..rules })
    }

    /// Whether a value may leave these rules as another one than it came.
    pub(super) fn edits(&self) -> bool {
        self.default.is_some() || self.trim || self.strip_nul || self.map.is_some() || self.cipher.is_some()
    }

    /// Whether an absent value is replaced.
    pub(super) fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// What `value` becomes.
    ///
    /// # Errors
    /// The rule that refuses it, with its limit.
    pub(super) fn apply(&self, value: Value<'_>) -> Result<Ruled<'_>, String> {
        if self.idle {
            return Ok(Ruled::Same);
        }
        let default = self.default.as_deref().filter(|_| val::is_null(value));
        let value = default.map_or(value, Value::Json);
        let cleaned = self.cleaned(value);
        let value = cleaned.as_deref().map_or(value, Value::Text);
        let mapped = match self.map.as_ref().filter(|_| !val::is_null(value)) {
            Some(map) => Some(text(value).and_then(|it| map.get(it.as_ref())).ok_or("map")?.as_str()),
            None => None,
        };
        let value = mapped.map_or(value, Value::Json);
        if self.required && (val::is_null(value) || text(value).is_some_and(|it| it.is_empty())) {
            return Err("required".into());
        }
        if !val::is_null(value) {
            self.check(value)?;
            if let Some(cipher) = &self.cipher {
                return cipher.seal(value).map(Ruled::Text).ok_or_else(|| "encrypt".into());
            }
        }
        Ok(match (mapped, cleaned, default) {
            (Some(it), ..) | (None, None, Some(it)) => Ruled::Json(it),
            (None, Some(it), _) => Ruled::Text(it),
            (None, None, None) => Ruled::Same,
        })
    }

    /// A text without its blanks and NULs, if it has any that the plan does not want.
    fn cleaned(&self, value: Value<'_>) -> Option<String> {
        if !self.trim && !self.strip_nul {
            return None;
        }
        let is_text = matches!(value, Value::Text(_)) || matches!(value, Value::Json(it) if it.starts_with('"'));
        let before = text(value).filter(|_| is_text)?;
        let without = match self.strip_nul && before.contains('\0') {
            true => Cow::Owned(before.replace('\0', "")),
            false => Cow::Borrowed(before.as_ref()),
        };
        let after = if self.trim { without.trim() } else { without.as_ref() };
        (after != before).then(|| after.to_owned())
    }

    fn check(&self, value: Value<'_>) -> Result<(), String> {
        if let Some(pattern) = &self.matches
            && !text(value).is_some_and(|it| pattern.is_match(&it))
        {
            return Err(format!("matches {pattern}"));
        }
        if let Some(allowed) = &self.one_of
            && !allowed.iter().any(|it| same(value, it))
        {
            return Err(format!("one_of [{}]", allowed.join(", ")));
        }
        let limits = [("min", &self.min, Ordering::Less), ("max", &self.max, Ordering::Greater)];
        for (name, bound, beyond) in limits {
            let Some(bound) = bound else { continue };
            // NaN is neither within limits nor beyond them, so it is refused.
            let number = number(value).filter(|it| it != "NaN");
            if number.is_none_or(|it| decimal::compare(&it, &bound.canonical) == beyond) {
                return Err(format!("{name} {}", bound.text));
            }
        }
        Ok(())
    }
}

/// The text that a value is written as; a document has none.
pub(super) fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(it) => Some(Cow::Borrowed(it)),
        Value::Json(it) => match json::kind(it) {
            json::JsonKind::String => json::read_string(it),
            json::JsonKind::Array | json::JsonKind::Object | json::JsonKind::Null => None,
            _ => Some(Cow::Borrowed(it)),
        },
        Value::Null | Value::Bytes(_) | Value::Raw(_) | Value::Malformed(_) => None,
        other => {
            let mut out = Vec::new();
            val::plain(other, &mut out);
            String::from_utf8(out).ok().map(Cow::Owned)
        }
    }
}

/// The canonical decimal that a number, or a text that reads as one, stands for.
fn number(value: Value<'_>) -> Option<String> {
    if matches!(value, Value::Bool(_) | Value::Json("true" | "false")) {
        return None;
    }
    let (text, mut out) = (text(value)?, Vec::new());
    decimal::canonical(&text, &mut out).then(|| String::from_utf8(out).ok())?
}

/// Whether a value is the one that `allowed`, canonical JSON, stands for.
fn same(value: Value<'_>, allowed: &str) -> bool {
    let mut written = Vec::new();
    val::write(value, &mut written);
    let written = canonical(&String::from_utf8_lossy(&written));
    let numbers = |it: &str| matches!(json::kind(it), json::JsonKind::Number);
    written == allowed || (numbers(&written) && numbers(allowed) && number(value) == number(Value::Decimal(allowed)))
}

fn canonical(document: &str) -> String {
    let mut out = Vec::new();
    match json::canonical(document, &mut out) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => document.to_owned(),
    }
}

/// Makes up ids that stay the same from run to run.
///
/// A ULID (<https://github.com/ulid/spec>) takes its 48 bits of time from the recorded instant, a UUID is of version 8
/// (RFC 9562, section 5.8). All other bits are a BLAKE3 hash of what the value belongs to.
#[derive(Clone, Debug)]
pub(super) struct Maker {
    pub(super) seed: String,
    pub(super) millis: u64,
    pub(super) table: String,
}

impl Maker {
    /// The id for a column of one item of a source row.
    pub(super) fn make(&self, kind: Generated, column: &str, key: &str, item: u64) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [&self.seed, &self.table, column, key] {
            // Lengths keep ("a", "bc") and ("ab", "c") apart.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&item.to_le_bytes());
        let mut bits = [0; 16];
        hasher.finalize_xof().fill(&mut bits);
        let bits = u128::from_be_bytes(bits);
        match kind {
            Generated::Ulid => ulid(self.millis, bits),
            Generated::Uuid => uuid(bits),
        }
    }
}

fn ulid(millis: u64, bits: u128) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let value = u128::from(millis) << 80 | bits >> 48;
    let digit = |place: u32| char::from(ALPHABET[(value >> (5 * place) & 31) as usize]);
    (0..26).rev().map(digit).collect()
}

fn uuid(bits: u128) -> String {
    let version = 8_u128 << 76;
    let variant = 2_u128 << 62;
    let value = bits & !(15_u128 << 76) & !(3_u128 << 62) | version | variant;
    let mut out = Vec::new();
    crate::value::write_uuid(&value.to_be_bytes(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}
