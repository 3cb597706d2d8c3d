//! A file of statements for Postgres, cut into statements, without understanding them.

/// One statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement<'s> {
    /// Counts from 1.
    pub line: usize,
    /// As written, without the semicolon.
    pub text: &'s str,
    /// Its words, quoted ones and signs among them.
    pub words: Vec<&'s str>,
}

/// Splits statements at their semicolons. Quotes, comments and bodies between dollars may hold some too.
pub(super) fn statements(text: &str) -> Vec<Statement<'_>> {
    let (mut all, mut words, mut at, mut start) = (Vec::new(), Vec::new(), 0, None);
    let line = |at: usize| text[..at].bytes().filter(|it| *it == b'\n').count() + 1;
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        let (length, is_word) = token(rest, words.last().copied());
        let (from, word) = (at, &rest[..length]);
        at += length;
        if word == ";" {
            if let Some(start) = start.take() {
                all.push(Statement { line: line(start), text: &text[start..from], words: std::mem::take(&mut words) });
            }
        } else if is_word {
            start.get_or_insert(from);
            words.push(word);
        }
    }
    if let Some(start) = start {
        all.push(Statement { line: line(start), text: &text[start..], words });
    }
    all
}

/// How long what the text begins with is, and whether it says something: blanks and comments do not.
fn token(text: &str, before: Option<&str>) -> (usize, bool) {
    let to = |found: Option<usize>| found.unwrap_or(text.len());
    let first = text.chars().next().unwrap_or(' ');
    let is_name = |it: char| it.is_alphanumeric() || it == '_' || it == '$';
    match first {
        _ if first.is_whitespace() => (to(text.find(|it: char| !it.is_whitespace())), false),
        '-' if text.starts_with("--") => (to(text.find('\n')), false),
        '/' if text.starts_with("/*") => (comment(text), false),
        '\'' => (quoted(text, '\'', before.is_some_and(|it| it.eq_ignore_ascii_case("e"))), true),
        '"' => (quoted(text, '"', false), true),
        '$' => {
            match text[1..].find(|it: char| it == '$' || !is_name(it)).filter(|it| text[1 + it..].starts_with('$')) {
                Some(end) => {
                    let tag = &text[..end + 2];
                    (to(text[tag.len()..].find(tag).map(|it| it + 2 * tag.len())), true)
                }
                None => (1, true),
            }
        }
        _ if is_name(first) => (to(text.find(|it: char| !is_name(it))), true),
        _ => (first.len_utf8(), true),
    }
}

/// A comment may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, it)) = characters.next() {
        if it == '\\' && escapes {
            characters.next();
        } else if it == quote {
            if characters.peek().is_none_or(|next| next.1 != quote) {
                return at + 1;
            }
            characters.next();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split() {
        let texts = |it: &'static str| statements(it).into_iter().map(|it| (it.line, it.text)).collect::<Vec<_>>();
        assert_eq!(texts("a;b ; ; c"), [(1, "a"), (1, "b "), (1, "c")]);
        assert_eq!(texts("-- x;\nCOMMENT ON t IS 'a;''b';"), [(2, "COMMENT ON t IS 'a;''b'")]);
        assert_eq!(texts("a E'\\';' b; \"x;\"\"y\";"), [(1, "a E'\\';' b"), (1, "\"x;\"\"y\"")]);
        assert_eq!(texts("/* ; /* ; */ ; */ a $x$ ; $$ ; $x$; b $1;"), [(1, "a $x$ ; $$ ; $x$"), (1, "b $1")]);
        assert_eq!(texts("'open ;"), [(1, "'open ;")]);
    }
}
