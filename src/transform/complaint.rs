//! What jq says when an expression fails, without what the row holds.
//!
//! Messages of jq repeat values, and a value may be a secret, whatever the plan marks. So what is shown is made of three
//! things only: words of jq's own, names of types, and texts that stand in the plan's expression.

use crate::value::json;
use jaq_core::load::{lex::StrPart, parse::Term};
use jaq_json::Val;
use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    mem,
};

/// How much of a message is looked at, in bytes. Values are not written out whole: one may be larger than all memory.
const LOOKED_AT_MAX: usize = 64 << 10;
/// The longest word or text of a message that is kept to be recognised, in bytes.
const WORD_MAX: usize = 128;
/// What stands where a value would be.
const GAP: &str = "…";
/// What native filters say; a value stands between the parts.
const NATIVE: &[&[&str]] = &[
    &["cannot parse ", " as JSON: ", ""],
    &["", " has no length"],
    &["index ", " out of bounds"],
    &["cannot convert ", " to bytes"],
    &["cannot convert ", " to time"],
    &["cannot use ", " as character"],
    &["invalid regex: ", ""],
    &["invalid regex flag: ", ""],
];

/// The texts that an expression holds, each as the parts between its interpolations.
#[derive(Debug, Default)]
pub(super) struct Texts(BTreeSet<Vec<String>>);

impl Texts {
    /// Notes a text of the expression.
    pub(super) fn note(&mut self, parts: &[StrPart<&str, Term<&str>>]) {
        let mut literals = vec![String::new()];
        for part in parts {
            match (part, literals.last_mut()) {
                (StrPart::Str(text), Some(last)) => last.push_str(text),
                (StrPart::Char(character), Some(last)) => last.push(*character),
                _ => literals.push(String::new()),
            }
        }
        self.0.insert(literals);
    }

    fn has(&self, text: &str) -> bool {
        self.0.iter().any(|it| matches!(it.as_slice(), [only] if only == text))
    }

    /// What `error` was given: the text of the expression that it was made of, with gaps for values.
    fn told(&self, said: &Val) -> String {
        let text = match said {
            Val::TStr(text) if text.len() <= LOOKED_AT_MAX => String::from_utf8_lossy(text),
            _ => return untold(),
        };
        let own = self.0.iter().map(|it| it.iter().map(String::as_str).collect::<Vec<_>>());
        let native = NATIVE.iter().map(|it| it.to_vec());
        let weight = |it: &Vec<&str>| it.iter().map(|part| part.len()).sum::<usize>();
        let best = own.chain(native).filter(|it| weight(it) > 0 && fits(it, &text)).max_by_key(weight);
        best.map_or_else(untold, |it| it.join(GAP))
    }
}

fn untold() -> String {
    "refused in words that hold values, which are not shown".to_owned()
}

/// Whether `text` is these parts, in this order, with anything between them.
fn fits(parts: &[&str], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return parts == [text] };
    let Some(mut rest) = text.strip_prefix(first).and_then(|it| it.strip_suffix(last)) else { return false };
    middle.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// What jq complains of, in an expression that holds these texts.
pub(super) fn say(error: jaq_core::Error<Val>, texts: &Texts) -> String {
    let mut gist = Gist { texts, said: String::new(), word: String::new(), value: None, left: LOOKED_AT_MAX };
    let whole = write!(gist, "{error}").is_ok();
    // A message of jq's own begins with a word. Anything else is what somebody handed to `error`.
    if gist.is_value() { texts.told(&error.into_val()) } else { gist.end(whole) }
}

/// Takes a message down with the types of its values in their place.
struct Gist<'t> {
    texts: &'t Texts,
    said: String,
    /// What was not said yet: a word outside of values, or the text that a value begins with.
    word: String,
    /// The value that is being written.
    value: Option<Open>,
    left: usize,
}

/// Where within a value the writer is.
#[derive(Clone, Copy)]
struct Open {
    kind: &'static str,
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl Open {
    /// Goes on by a character; tells whether the value ends with it.
    fn ends_with(&mut self, character: char) -> bool {
        match character {
            _ if mem::take(&mut self.escaped) => (),
            '\\' if self.quoted => self.escaped = true,
            '"' => self.quoted = !self.quoted,
            '[' | '{' if !self.quoted => self.depth += 1,
            ']' | '}' if !self.quoted => self.depth = self.depth.saturating_sub(1),
            _ => (),
        }
        self.depth == 0 && !self.quoted
    }
}

impl Gist<'_> {
    fn take(&mut self, character: char) {
        if let Some(mut open) = self.value.take() {
            self.keep(character);
            if open.ends_with(character) {
                self.close(open.kind);
            } else {
                self.value = Some(open);
            }
            return;
        }
        let kind = match character {
            '"' if self.word == "b" => "bytes",
            '"' => "a text",
            '[' => "an array",
            '{' => "an object",
            ' ' => {
                self.end_word();
                self.said.push(' ');
                return;
            }
            _ => return self.keep(character),
        };
        self.word.clear();
        let mut open = Open { kind, depth: 0, quoted: false, escaped: false };
        open.ends_with(character);
        self.keep(character);
        self.value = Some(open);
    }

    fn keep(&mut self, character: char) {
        if self.word.len() < WORD_MAX {
            self.word.push(character);
        }
    }

    /// A value ends: an index that stands in the expression is shown, everything else is its type.
    fn close(&mut self, kind: &str) {
        let written = mem::take(&mut self.word);
        let index = self.said.ends_with(" with ") && json::read_string(&written).is_some_and(|it| self.texts.has(&it));
        self.said.push_str(if index { &written } else { kind });
    }

    fn end_word(&mut self) {
        let word = mem::take(&mut self.word);
        let number = word.trim_start_matches('-').starts_with(|it: char| it.is_ascii_digit());
        self.said.push_str(match word.as_str() {
            "null" => "null",
            "true" | "false" => "a boolean",
            "NaN" | "Infinity" | "-Infinity" => "a number",
            _ if number => "a number",
            word => word,
        });
    }

    /// Whether nothing was said but a value.
    fn is_value(&self) -> bool {
        let said = self.said.split(' ').next().unwrap_or_default();
        !matches!(said, "cannot" | "invalid")
    }

    fn end(mut self, whole: bool) -> String {
        match self.value {
            Some(open) => self.said.push_str(open.kind),
            None => self.end_word(),
        }
        if whole { self.said } else { self.said + " " + GAP }
    }
}

impl Write for Gist<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        text.chars().for_each(|it| self.take(it));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::jq::{Compiled, Failure, Jq};
    use super::*;
    use crate::{
        plan::Expression,
        transform::{
            Limits,
            meter::{Meter, Pulse},
            val,
        },
    };

    /// What is told of an expression that fails on the document.
    fn told(text: &str, document: &str) -> String {
        let expression = Expression { text: text.to_owned(), ..Expression::default() };
        let Ok(Compiled::Jq(jq)) = Jq::compile(&expression, &[]) else { panic!("{text} is no jq") };
        let pulse = Pulse::default();
        let meter = Meter::new(&pulse);
        meter.start(&Limits::default(), document.len());
        let input = val::document(document).expect("a document");
        match jq.run(&[], input, &meter, |_| true) {
            Err(Failure::Error(told)) => told,
            Err(Failure::Stop(stop)) => panic!("{text} was stopped: {stop:?}"),
            Ok(()) => panic!("{text} does not fail"),
        }
    }

    const UNTOLD: &str = "refused in words that hold values, which are not shown";

    #[test]
    fn values_are_told_by_their_type() {
        let check = |text: &str, document: &str, expect: &str| assert_eq!(told(text, document), expect, "{text}");
        for (document, kind) in [
            (r#""s3c\" with [\"x\"] s3c""#, "a text"),
            (r#"["s3c",{"a":"]"}]"#, "an array"),
            ("-1.5e3", "a number"),
            ("true", "a boolean"),
        ] {
            check(".[\"links\"]?, .[\"links\"]", document, &format!("cannot index {kind} with \"links\""));
        }
        check(". as $v | .a[$v.k]", r#"{"a":["s3c"],"k":"s3c"}"#, "cannot index an array with a text");
        check(".a | .[0] + 1", r#"{"a":["s3c"]}"#, "cannot calculate a text + a number");
        check(".a - .b", r#"{"a":{"s3c":1},"b":null}"#, "cannot calculate an object - null");
        check(".a / -1", r#"{"a":"s3c - 5"}"#, "cannot calculate a text / a number");
        check("[.[] | .]", "\"s3c\"", "cannot use a text as iterable (array or object)");
        check("tobytes | keys", "\"s3c\"", "cannot use bytes as iterable (array or object)");
        check("fromjson", "\"s3c\"", "cannot parse … as JSON: …");
        check("test(.)", "\"s3c(\"", "invalid regex: …");
        check("strptime(\"%Y\")", "\"s3c\"", UNTOLD);
        check("length", "true", "… has no length");
        let long = format!("[\"{}\"]", "s3c ".repeat(LOOKED_AT_MAX));
        check(".[\"links\"]?, .[\"links\"]", &long, "cannot index an array …");
    }

    #[test]
    fn words_of_the_plan_are_told() {
        let check = |text: &str, document: &str, expect: &str| assert_eq!(told(text, document), expect, "{text}");
        check(r#"error("no links")"#, "\"s3c\"", "no links");
        check(r#"error("kind \(.k) of \(.o) is odd")"#, r#"{"k":"s3c","o":[1]}"#, "kind … of … is odd");
        check(r#"error("\(.)")"#, "\"s3c\"", UNTOLD);
        check(r#"error("odd: " + .)"#, "\"s3c\"", UNTOLD);
        check("error(.)", "\"cannot index s3c with s3c\"", UNTOLD);
        check("error({a: .})", "\"s3c\"", UNTOLD);
        check("error(.)", "null", UNTOLD);
        check("error(.)", "17", UNTOLD);
        check("error(type)", "17", "number");
        check("tonumber", "\"null\"", "cannot parse as number");
    }
}
