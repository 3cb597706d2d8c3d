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

/// Something after which nobody knows what comes: it does not end, or is a command that says so elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclear {
    /// Where it begins, counted from 1.
    pub line: usize,
    /// What it is.
    pub what: &'static str,
}

/// What a piece of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// It says nothing: blanks and comments.
    Blank,
    /// A word, something in quotes, or a sign.
    Word,
    /// It ends a statement: a semicolon, or a command of `psql`, which goes to the end of its line.
    End,
}

/// Commands of `psql` after which the statements of a file are not all that there is.
const ELSEWHERE: [&str; 10] = ["i", "ir", "include", "include_relative", "c", "connect", "gexec", "if", "elif", "else"];

/// Splits statements at their semicolons. Quotes, comments and bodies between dollars may hold some too. What is for `psql` alone is
/// passed over: its commands, and the rows behind `COPY … FROM stdin`.
///
/// # Errors
/// If something is never closed, or a command of `psql` brings more or leads elsewhere.
pub(super) fn statements(text: &str) -> Result<Vec<Statement<'_>>, Unclear> {
    let (mut all, mut words) = (Vec::new(), Vec::new());
    let (mut at, mut line, mut start) = (0, 1, None);
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        let (length, piece) = token(rest).map_err(|what| Unclear { line, what })?;
        let (from, word, begun) = (at, &rest[..length], line);
        (at, line) = (at + length, line + lines(word));
        match piece {
            Piece::Blank => {}
            Piece::Word => {
                start.get_or_insert((from, begun));
                words.push(word);
            }
            Piece::End => {
                let Some((start, begun)) = start.take() else { continue };
                let rows = if brings_rows(&words) { rows(&text[at..]) } else { "" };
                (at, line) = (at + rows.len(), line + lines(rows));
                all.push(Statement { line: begun, text: &text[start..from], words: std::mem::take(&mut words) });
            }
        }
    }
    if let Some((start, line)) = start {
        all.push(Statement { line, text: &text[start..], words });
    }
    Ok(all)
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|it| *it == b'\n').count()
}

/// Whether rows stand behind a statement.
fn brings_rows(words: &[&str]) -> bool {
    let is = |it: &&str, word: &str| it.eq_ignore_ascii_case(word);
    words.first().is_some_and(|it| is(it, "copy"))
        && words.windows(2).any(|it| is(&it[0], "from") && is(&it[1], "stdin"))
}

/// The rest of a line and the rows below it, with the line that ends them.
fn rows(text: &str) -> &str {
    let mut length = 0;
    for line in text.split_inclusive('\n') {
        length += line.len();
        if line.trim_end() == "\\." {
            break;
        }
    }
    &text[..length]
}

/// How long what the text begins with is, and what it is; or what is never closed.
fn token(text: &str) -> Result<(usize, Piece), &'static str> {
    let to = |found: Option<usize>| found.unwrap_or(text.len());
    let first = text.chars().next().unwrap_or(' ');
    let is_name = |it: char| it.is_alphanumeric() || it == '_' || it == '$';
    let word = |length: Option<usize>, what| length.map(|it| (it, Piece::Word)).ok_or(what);
    Ok(match first {
        ';' => (1, Piece::End),
        '\\' => {
            let command = text[1..].split(|it: char| !it.is_ascii_alphabetic() && it != '_').next().unwrap_or_default();
            if ELSEWHERE.contains(&command) {
                return Err(
                    "a command of `psql` that brings statements, or says whether or where they are carried out, is not followed",
                );
            }
            (to(text.find('\n')), Piece::End)
        }
        _ if first.is_whitespace() => (to(text.find(|it: char| !it.is_whitespace())), Piece::Blank),
        '-' if text.starts_with("--") => (to(text.find('\n')), Piece::Blank),
        '/' if text.starts_with("/*") => {
            (comment(text).ok_or("a comment that begins there is never closed")?, Piece::Blank)
        }
        '\'' => word(quoted(text, '\'', false), "a quote that begins there is never closed")?,
        'e' | 'E' if text[1..].starts_with('\'') => {
            word(quoted(&text[1..], '\'', true).map(|it| it + 1), "a quote that begins there is never closed")?
        }
        '"' => word(quoted(text, '"', false), "a name in quotes that begins there is never closed")?,
        '$' => {
            match text[1..].find(|it: char| it == '$' || !is_name(it)).filter(|it| text[1 + it..].starts_with('$')) {
                Some(end) => {
                    let tag = &text[..end + 2];
                    let body = text[tag.len()..].find(tag).map(|it| it + 2 * tag.len());
                    word(body, "a body between dollars that begins there is never closed")?
                }
                None => (1, Piece::Word),
            }
        }
        _ if is_name(first) => (to(text.find(|it: char| !is_name(it))), Piece::Word),
        _ => (first.len_utf8(), Piece::Word),
    })
}

/// A comment may hold others.
fn comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, it)) = characters.next() {
        if it == '\\' && escapes {
            characters.next();
        } else if it == quote {
            if characters.peek().is_none_or(|next| next.1 != quote) {
                return Some(at + 1);
            }
            characters.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split() {
        let check = |text: &str, expect: &[(usize, &str)]| {
            let all = statements(text).unwrap();
            assert_eq!(all.iter().map(|it| (it.line, it.text)).collect::<Vec<_>>(), expect, "{text}");
        };
        check("a;b ; ; c", &[(1, "a"), (1, "b "), (1, "c")]);
        check("-- x;\nCOMMENT ON t IS 'a;''b';", &[(2, "COMMENT ON t IS 'a;''b'")]);
        check("a E'\\';' b; \"x;\"\"y\";", &[(1, "a E'\\';' b"), (1, "\"x;\"\"y\"")]);
        check("SELECT e '\\'; b;", &[(1, "SELECT e '\\'"), (1, "b")]);
        check("/* ; /* ; */ ; */ a $x$ ; $$ ; $x$; b $1;", &[(1, "a $x$ ; $$ ; $x$"), (1, "b $1")]);
        check("a\n;\n\n'x\n';\nb", &[(1, "a\n"), (4, "'x\n'"), (6, "b")]);
        // What is for `psql`.
        check(
            "\\restrict it's\na; SELECT 1 \\gset\nb; $$\n\\x\n$$",
            &[(2, "a"), (2, "SELECT 1 "), (3, "b"), (3, "$$\n\\x\n$$")],
        );
        check("copy t (a,\nb) FROM stdin;\nit's;\n\\N\n\\.\nb", &[(1, "copy t (a,\nb) FROM stdin"), (6, "b")]);
        check(
            "COPY t FROM STDIN WITH (FORMAT csv);\n\"a;\n\\.\r\nb;",
            &[(1, "COPY t FROM STDIN WITH (FORMAT csv)"), (4, "b")],
        );
        check("COPY t (stdin) FROM 'a'; b;", &[(1, "COPY t (stdin) FROM 'a'"), (1, "b")]);
    }

    #[test]
    fn what_is_unclear_is_said() {
        for (text, line, what) in [
            ("a;\n'open ; b;", 2, "a quote that begins there is never closed"),
            ("a; E'\\' ; b;", 1, "a quote that begins there is never closed"),
            ("a;\n\nb \"c ; d;", 3, "a name in quotes that begins there is never closed"),
            ("a; /* /* */ b;", 1, "a comment that begins there is never closed"),
            (
                "a;\n\\i more.sql",
                2,
                "a command of `psql` that brings statements, or says whether or where they are carried out, is not followed",
            ),
            ("a;\n b $x$ ; $$ ; d;", 2, "a body between dollars that begins there is never closed"),
        ] {
            assert_eq!(statements(text), Err(Unclear { line, what }), "{text}");
        }
    }
}
