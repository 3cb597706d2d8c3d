//! `${NAME}` in the strings of a plan, and `.env` files.
use std::iter;

use super::fault::{Fault, quoted};

/// Why a string cannot be filled in. Names the variable, never a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// A part of a string with variables.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Variable { name: &'a str, default: Option<&'a str> },
    Broken { message: String, hint: &'static str },
}

/// Fills in `${NAME}` and `${NAME:-default}`; `$${` stands for `${`. What is filled in is not looked at again.
pub(super) fn interpolate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<Gap>> {
    let mut out = String::with_capacity(text.len());
    let mut gaps = Vec::new();
    for part in parts(text) {
        match part {
            Part::Text(it) => out.push_str(it),
            // As in a shell, `:-` also stands in for a variable that is set to nothing.
            Part::Variable { name, default } => match (lookup(name), default) {
                (Some(value), None) => out.push_str(&value),
                (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
                (_, Some(default)) => out.push_str(default),
                (None, None) => gaps.push(Gap {
                    message: format!("the variable {} is not set", quoted(name)),
                    hint: "set it in the environment or in .env",
                }),
            },
            Part::Broken { message, hint } => gaps.push(Gap { message, hint }),
        }
    }
    if gaps.is_empty() { Ok(out) } else { Err(gaps) }
}

/// Splits a string at its variables.
pub(super) fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    iter::from_fn(move || {
        let (part, after) = part(rest)?;
        rest = after;
        Some(part)
    })
}

fn part(rest: &str) -> Option<(Part<'_>, &str)> {
    if rest.is_empty() {
        return None;
    }
    if let Some(after) = rest.strip_prefix("$${") {
        return Some((Part::Text("${"), after));
    }
    let Some(inside) = rest.strip_prefix("${") else {
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let at = rest.get(first..).and_then(|it| it.find('$')).map_or(rest.len(), |it| first + it);
        let (text, after) = rest.split_at(at);
        return Some((Part::Text(text), after));
    };
    let Some((variable, after)) = inside.split_once('}') else {
        let hint = "write `$${` for a literal `${`";
        return Some((Part::Broken { message: "`${` without `}`".into(), hint }, ""));
    };
    let (name, default) = variable.split_once(":-").map_or((variable, None), |(name, it)| (name, Some(it)));
    if !is_name(name) || default.is_some_and(|it| it.contains("${")) {
        let hint = "write `${NAME}` or `${NAME:-default}`, and `$${` for a literal `${`";
        return Some((Part::Broken { message: "this is not a variable".into(), hint }, after));
    }
    Some((Part::Variable { name, default }, after))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether all of `text` comes from variables, so that nothing secret is written in the plan.
pub(super) fn is_only_variables(text: &str) -> bool {
    parts(text).all(|it| matches!(it, Part::Variable { default: None | Some(""), .. } | Part::Broken { .. }))
}

/// Reads a `.env` file: `NAME=value` lines in their order, a name possibly twice.
///
/// Knows `export`, blank lines, `#` comments, a byte order mark and CRLF. In single quotes a value is taken as it is, in
/// double quotes `\n \r \t \" \\ \$` are what they say; both may go over several lines. Without quotes a value ends at
/// ` #` or the line's end. Values are not interpolated.
///
/// # Errors
/// At the first line that is none of these. The fault does not show the value.
///
/// ```
/// let pairs = cutover::plan::parse_dotenv("# of staging\nexport TOKEN='a b'\nID=7 # seven\n").unwrap();
/// assert_eq!(pairs, [("TOKEN".into(), "a b".into()), ("ID".into(), "7".into())]);
/// ```
pub fn parse_dotenv(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let entry = line.trim();
        if entry.is_empty() || entry.starts_with('#') {
            rest = after;
            continue;
        }
        let start = at + line.len() - line.trim_start().len();
        let wrong = |message: &str| {
            let fault = Fault::new(text, start..start + entry.len(), message).with_hint("write `NAME=value`");
            fault.masking(start + entry.find('=').map_or(0, |it| it + 1)..text.len())
        };
        let declared = entry.strip_prefix("export").filter(|it| it.starts_with([' ', '\t'])).unwrap_or(entry);
        let (name, _) = declared.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        if !is_name(name.trim()) {
            return Err(wrong("what stands before `=` is not a name"));
        }
        let from = line.find('=').map_or(line.len(), |it| it + 1);
        let value = rest.get(from..).unwrap_or_default().trim_start_matches([' ', '\t']);
        let (value, after) = dotenv_value(value).map_err(wrong)?;
        pairs.push((name.trim().to_owned(), value));
        rest = after;
    }
    Ok(pairs)
}

/// A value that starts where `text` starts, and what follows its line.
fn dotenv_value(text: &str) -> Result<(String, &str), &'static str> {
    let (value, after) = match text.chars().next() {
        Some('\'') => text.get(1..).and_then(|it| it.split_once('\'')).map(|(it, after)| (it.to_owned(), after)),
        Some('"') => double_quoted(text.get(1..).unwrap_or_default()),
        _ => {
            let (line, after) = text.split_once('\n').unwrap_or((text, ""));
            let comment = line.find(" #").or_else(|| line.find("\t#")).or_else(|| line.starts_with('#').then_some(0));
            return Ok((line.get(..comment.unwrap_or(line.len())).unwrap_or_default().trim().to_owned(), after));
        }
    }
    .ok_or("the quote is never closed")?;
    let (tail, after) = after.split_once('\n').unwrap_or((after, ""));
    let tail = tail.trim();
    if tail.is_empty() || tail.starts_with('#') {
        Ok((value, after))
    } else {
        Err("something follows the closing quote")
    }
}

fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((out, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                it @ ('"' | '\\' | '$') => out.push(it),
                it => out.extend(['\\', it]),
            },
            it => out.push(it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::render;

    #[test]
    fn dotenv_files() {
        let ok = |text: &str, expect: &[(&str, &str)]| {
            let pairs = parse_dotenv(text).unwrap();
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(pairs, expect, "{text:?}");
        };
        ok("", &[]);
        ok("\n# a=b\n  \r\n", &[]);
        ok("\u{feff}A=1\r\nB = two words \r\n", &[("A", "1"), ("B", "two words")]);
        ok("export A=1\nexport\tB=2", &[("A", "1"), ("B", "2")]);
        ok("A=1\nA=2", &[("A", "1"), ("A", "2")]);
        ok("A=\nB=''\nC=\"\"\nD=#x\nE=a#b #c", &[("A", ""), ("B", ""), ("C", ""), ("D", ""), ("E", "a#b")]);
        ok("A='a\\n\"$x' # c\nB=\"a\\n\\\"\\\\\\$\\q\"", &[("A", "a\\n\"$x"), ("B", "a\n\"\\$\\q")]);
        ok("A='one\ntwo'\nB=\"one\n\ntwo\"\nC=x", &[("A", "one\ntwo"), ("B", "one\n\ntwo"), ("C", "x")]);
        ok("URL=postgres://u:p@h/d?a=b", &[("URL", "postgres://u:p@h/d?a=b")]);
        ok("exported=1", &[("exported", "1")]);
        let wrong = |text: &str, expect: &str| {
            let fault = parse_dotenv(text).unwrap_err();
            assert_eq!(fault.to_string(), format!("{expect} (write `NAME=value`)"), "{text:?}");
            let shown = render(&[fault], ".env", text, false);
            assert!(!shown.contains("hunter2"), "{shown}");
        };
        wrong("A=1\nhunter2", "2:1: there is no `=`");
        wrong("A=1\n\n  2B=hunter2", "3:3: what stands before `=` is not a name");
        wrong("=hunter2", "1:1: what stands before `=` is not a name");
        wrong("A='hunter2\nB=1", "1:1: the quote is never closed");
        wrong("A=\"hunter2\\\"", "1:1: the quote is never closed");
        wrong("A=\"hunter2\"hunter2", "1:1: something follows the closing quote");
    }
}
