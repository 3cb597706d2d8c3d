//! Just enough of Rust's grammar to ask a source file what it names and how long its functions are.

use std::{collections::BTreeSet, ops::Range};

/// A source file whose comments and literals are blanked out, byte for byte.
pub(crate) struct Source {
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
    /// Lines of what is compiled for tests only.
    tests: Vec<Range<usize>>,
}

impl Source {
    pub(crate) fn new(text: &str) -> Source {
        let text = blank(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|it| it.0 + 1)).collect();
        let mut source = Source { text, lines, tests: Vec::new() };
        let starts: Vec<usize> = source.text.match_indices("#[cfg(test)]").map(|it| it.0).collect();
        source.tests = starts.into_iter().map(|it| source.line(it)..source.line(source.end_of_item(it)) + 1).collect();
        source
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests.iter().any(|it| it.contains(&line))
    }

    /// The lines on which `name` stands as a whole word.
    pub(crate) fn words(&self, name: &str) -> Vec<usize> {
        let lines = self.text.lines().enumerate();
        lines.filter(|it| word(it.1, name)).map(|it| it.0 + 1).collect()
    }

    /// Every path below `root`, groups taken apart: `std::{fs, io::Read}` is `std::fs` and `std::io::Read`.
    pub(crate) fn paths(&self, root: &str) -> Vec<(usize, String)> {
        let mut out = Vec::new();
        for (at, _) in self.text.match_indices(&format!("{root}::")) {
            if !self.text[..at].ends_with(is_name) {
                self.expand(at + root.len() + 2, root, &mut out);
            }
        }
        out
    }

    /// The rooms named in a file that stands `depth` modules deep: behind `crate`, or behind enough of `super`.
    pub(crate) fn rooms(&self, depth: usize) -> Vec<(usize, String)> {
        let mut paths: Vec<(usize, String)> = self.paths("crate");
        for (at, _) in self.text.match_indices("super::") {
            let inner = self.text[..at].ends_with("super::");
            if inner || self.text[..at].ends_with(is_name) {
                continue;
            }
            let depth = depth + self.modules_around(at);
            let mut climbed = Vec::new();
            self.expand(at + "super::".len(), "super", &mut climbed);
            let to_root = "super::".repeat(depth);
            let up = climbed
                .into_iter()
                .filter_map(|(line, it)| Some((line, format!("crate::{}", it.strip_prefix(&to_root)?))));
            paths.extend(up);
        }
        let second = |path: String| path.split("::").nth(1).map(str::to_owned);
        let rooms = paths.into_iter().filter_map(|(line, it)| second(it).map(|it| (line, it)));
        let rooms: BTreeSet<_> = rooms.filter(|it| !it.1.is_empty()).collect();
        rooms.into_iter().collect()
    }

    /// The line, the name and the number of lines of each function that has a body.
    pub(crate) fn functions(&self) -> Vec<(usize, String, usize)> {
        let starts = self.text.match_indices("fn ").filter(|it| !self.text[..it.0].ends_with(is_name));
        let functions = starts.filter_map(|(at, _)| {
            let name = identifier(&self.text[at + 3..]);
            let end = self.end_of_item(at);
            let has_body = self.text.as_bytes().get(end) == Some(&b'}');
            let lines = self.line(end) - self.line(at) + 1;
            (has_body && !name.is_empty()).then(|| (self.line(at), name, lines))
        });
        functions.collect()
    }

    /// Takes the path that goes on at `at` apart.
    fn expand(&self, at: usize, before: &str, out: &mut Vec<(usize, String)>) {
        let rest = &self.text[at..];
        let start = at + (rest.len() - rest.trim_start().len());
        if !self.text[start..].starts_with('{') {
            let name = identifier(&self.text[start..]);
            let path = if name == "self" { before.to_owned() } else { format!("{before}::{name}") };
            let end = start + name.len();
            match self.text[end..].strip_prefix("::") {
                Some(_) => self.expand(end + 2, &path, out),
                None => out.push((self.line(start), path)),
            }
            return;
        }
        let (mut depth, mut begin) = (0, start + 1);
        for (place, letter) in self.text[start..].char_indices().map(|it| (start + it.0, it.1)) {
            depth += match letter {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            if depth == 0 || (depth == 1 && letter == ',') {
                if !self.text[begin..place].trim().is_empty() {
                    self.expand(begin, before, out);
                }
                begin = place + 1;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// How many `mod name { … }` of this file are around `at`.
    fn modules_around(&self, at: usize) -> usize {
        let starts = self.text.match_indices("mod ").filter(|it| !self.text[..it.0].ends_with(is_name));
        starts.filter(|it| it.0 < at && at < self.end_of_item(it.0)).count()
    }

    /// Where the item that starts at `at` ends: its closing brace, or its semicolon.
    fn end_of_item(&self, at: usize) -> usize {
        let (mut depth, mut braces) = (0_i32, 0_i32);
        for (place, letter) in self.text[at..].char_indices() {
            match letter {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                _ => {}
            }
            if depth == 0 && braces == 0 && matches!(letter, '}' | ';') {
                return at + place;
            }
        }
        self.text.len()
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|&it| it <= at)
    }
}

/// Whether `name` stands in `text` and is no part of a longer word.
pub(crate) fn word(text: &str, name: &str) -> bool {
    let inside = |it: Option<char>, edge: Option<char>| edge.is_some_and(is_name) && it.is_some_and(is_name);
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
        !inside(before, name.chars().next()) && !inside(after, name.chars().next_back())
    })
}

/// The name that a text begins with.
pub(crate) fn identifier(text: &str) -> String {
    text.trim_start().chars().take_while(|it| is_name(*it)).collect()
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Replaces what comments and literals say by blanks. Lines stay where they are.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_name = out.ends_with(is_name);
        let length = comment(rest).or_else(|| raw(rest).filter(|_| !in_name)).or_else(|| quoted(rest));
        let taken = length.unwrap_or(first.len_utf8());
        match length {
            Some(_) => out.extend(rest[..taken].bytes().map(|it| if it == b'\n' { '\n' } else { ' ' })),
            None => out.push(first),
        }
        rest = &rest[taken..];
    }
    out
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.strip_prefix("/*")?;
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let step = match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => (1, 2),
            Some(b"*/") => (-1, 2),
            _ => (0, 1),
        };
        depth += step.0;
        at += step.1;
        if depth == 0 {
            break;
        }
    }
    Some(at)
}

/// `r"…"`, `r#"…"#`, and the same behind `b` or `c`.
fn raw(text: &str) -> Option<usize> {
    let behind = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    let body = behind[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |it| it + close.len());
    Some(text.len() - body.len() + end)
}

/// `"…"`, or `'…'` unless it is a lifetime.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    if quote == '\'' {
        let mut letters = text.chars().skip(1);
        let escaped = letters.next() == Some('\\');
        if !escaped && letters.next() != Some('\'') {
            return None;
        }
    }
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            it if it == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(text.len())
}
