//! Simple paths: `.a`, `."a b"`, `.a.b[0].c`. They are looked up where the value stands, without jq.

use crate::value::{Value, json};
use jaq_core::{
    load::{lex::StrPart, parse::Term},
    path::{Opt, Part},
};
use jaq_json::Val;

/// Steps from a value to a part of it. None: the value itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    Item(usize),
}

impl Path {
    /// The path that a jq term is, if it is one.
    pub(super) fn of(term: &Term<&str>) -> Option<Path> {
        match term {
            Term::Id => Some(Path::default()),
            Term::Path(from, parts) => {
                let mut path = Path::of(from)?;
                for part in &parts.0 {
                    let (Part::Index(index), Opt::Essential) = part else { return None };
                    path.0.push(Step::of(index)?);
                }
                Some(path)
            }
            _ => None,
        }
    }

    /// What stands at the path in a canonical JSON document. Absent members and items are null, as in jq.
    ///
    /// # Errors
    /// What jq would say: a step that the value at hand does not have.
    pub(super) fn find<'v>(&self, document: &'v str) -> Result<Value<'v>, String> {
        let mut at = document;
        for step in &self.0 {
            let found = match (step, at.as_bytes().first()) {
                (_, Some(b'n')) => None,
                (Step::Member(name), Some(b'{')) => member(at, name),
                (Step::Item(index), Some(b'[')) => Parts::of(at).nth(*index),
                // An object of jaq's may have a number for a key; one that was JSON has none.
                (Step::Item(_), Some(b'{')) => None,
                (_, first) => return Err(step.refusal(kind(first))),
            };
            match found {
                Some(part) => at = part,
                None => return Ok(Value::Null),
            }
        }
        Ok(if at == "null" && !self.0.is_empty() { Value::Null } else { Value::Json(at) })
    }

    /// What stands at the path in a jq value.
    ///
    /// # Errors
    /// As [`Path::find`].
    pub(super) fn get(&self, value: &Val) -> Result<Val, String> {
        let mut at = value;
        for step in &self.0 {
            let found = match (step, at) {
                (_, Val::Null) => None,
                (Step::Member(name), Val::Obj(members)) => members.get(&Val::utf8_str(name.clone().into_bytes())),
                (Step::Item(index), Val::Arr(items)) => items.get(*index),
                (Step::Item(index), Val::Obj(members)) => members.get(&Val::from(*index)),
                (_, Val::Bool(_)) => return Err(step.refusal("a boolean")),
                (_, Val::Num(_)) => return Err(step.refusal("a number")),
                (_, Val::TStr(_) | Val::BStr(_)) => return Err(step.refusal("a text")),
                (_, Val::Arr(_)) => return Err(step.refusal("an array")),
            };
            match found {
                Some(part) => at = part,
                None => return Ok(Val::Null),
            }
        }
        Ok(at.clone())
    }
}

impl Step {
    fn of(index: &Term<&str>) -> Option<Step> {
        match index {
            Term::Num(digits) => digits.parse().ok().map(Step::Item),
            Term::Str(None, parts) => {
                let mut name = String::new();
                for part in parts {
                    match part {
                        StrPart::Str(text) => name.push_str(text),
                        StrPart::Char(character) => name.push(*character),
                        StrPart::Term(_) => return None,
                    }
                }
                Some(Step::Member(name))
            }
            _ => None,
        }
    }

    /// Why this step leads nowhere from a value of that kind.
    pub(super) fn refusal(&self, kind: &str) -> String {
        match self {
            Step::Member(name) => format!("cannot index {kind} with \"{name}\""),
            Step::Item(index) => format!("cannot index {kind} with {index}"),
        }
    }
}

fn kind(first: Option<&u8>) -> &'static str {
    match first {
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

/// The value of a member of a canonical object.
fn member<'v>(object: &'v str, name: &str) -> Option<&'v str> {
    let mut parts = Parts::of(object);
    while let Some(key) = parts.next() {
        let value = parts.next()?;
        if json::read_string(key).is_some_and(|it| it == name) {
            return Some(value);
        }
    }
    None
}

/// The items of a canonical array; of an object the names and values in turn.
pub(super) struct Parts<'v> {
    rest: &'v str,
}

impl<'v> Parts<'v> {
    /// The parts of a canonical document, none if it has none.
    pub(super) fn of(document: &'v str) -> Parts<'v> {
        let inner = match document.as_bytes() {
            [b'[', .., b']'] | [b'{', .., b'}'] => document.get(1..document.len() - 1),
            _ => None,
        };
        Parts { rest: inner.unwrap_or_default() }
    }
}

impl<'v> Iterator for Parts<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = end(self.rest.as_bytes());
        let (part, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Some(part)
    }
}

/// Where the first value of `text` ends: at a comma, a colon, a closing bracket, or the end.
fn end(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' if depth == 0 => return at,
            _ => (),
        }
        at += 1;
    }
    text.len()
}

/// Where the string that begins at `start` has its closing quote.
pub(super) fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = text.get(at..).and_then(|it| memchr::memchr2(b'"', b'\\', it)) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    text.len()
}
