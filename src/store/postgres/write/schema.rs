//! Making what is not there yet, as a file of statements says.

use super::{BEGIN, Catalog, Fault, Session, Writer, unheard};
use crate::{
    error::{Error, Kind, Result},
    schema::Table,
};
use std::collections::BTreeSet;
use tokio_postgres::types::Type;

/// What a user has to know about what is not carried out.
const ALLOWED: &str = "only CREATE TABLE, INDEX, TYPE, DOMAIN, SEQUENCE, VIEW, SCHEMA and EXTENSION, ALTER TABLE … ADD and ALTER COLUMN, \
    ALTER SEQUENCE … OWNED BY, and COMMENT ON are carried out";

/// One statement.
#[derive(Debug, PartialEq, Eq)]
struct Statement<'s> {
    /// Counts from 1.
    line: usize,
    text: &'s str,
    words: Vec<&'s str>,
}

/// What a statement is about, by a name as it is written.
#[derive(Debug, PartialEq, Eq)]
enum About {
    /// It makes a table, a view or a sequence.
    Relation(String),
    /// It makes a type.
    Type(String),
    /// It adds to a table.
    Part(String),
    /// The server sees to it that it is there once.
    Other,
}

impl Writer {
    /// Carries out what is not done yet, all of it or nothing.
    ///
    /// # Errors
    /// If a statement is none that makes something, or the server refuses it.
    pub(super) fn make(&mut self, schema: &str) -> Result<()> {
        let statements = told(schema)?;
        self.transaction(BEGIN, |it| it.make_all(&statements)).map_err(|(fault, _)| unheard(fault))
    }

    /// The tables that there would be once that is carried out. It is tried in a transaction that is rolled back, on a connection
    /// of its own.
    ///
    /// # Errors
    /// As [`Writer::make`].
    pub(in crate::store) fn would_be(&self, schema: &str) -> Result<Vec<Table>> {
        let statements = told(schema)?;
        let trial = self.twin()?;
        trial.run(BEGIN).map_err(Fault::Server).and_then(|()| trial.make_all(&statements)).map_err(unheard)?;
        let session = Session::within(trial.connection)?;
        let catalog = Catalog::load(&session, session.connection.schemas(), false)?;
        session.run("ROLLBACK")?;
        Ok(catalog.tables)
    }

    fn make_all(&self, statements: &[(Statement<'_>, About)]) -> Result<(), Fault> {
        // Only what was not there before is added to.
        let mut made = BTreeSet::new();
        for (statement, about) in statements {
            let known = match about {
                About::Relation(name) => self.number("SELECT pg_catalog.to_regclass($1)::oid", name)?,
                About::Type(name) => self.number("SELECT pg_catalog.to_regtype($1)::oid", name)?,
                About::Part(name) => {
                    self.number("SELECT pg_catalog.to_regclass($1)::oid", name)?.filter(|it| !made.contains(it))
                }
                About::Other => None,
            };
            if known.is_some() {
                continue;
            }
            self.run(statement.text).map_err(|error| Fault::Ours(self.refused(&error, statement.line)))?;
            if let About::Relation(name) = about {
                made.extend(self.number("SELECT pg_catalog.to_regclass($1)::oid", name)?);
            }
        }
        Ok(())
    }

    fn number(&self, sql: &str, name: &str) -> Result<Option<u32>, Fault> {
        let rows = self.rows(sql, &[(&name, Type::TEXT)])?;
        Ok(rows.first().and_then(|it| it.try_get(0).ok()).flatten())
    }
}

/// All statements of a schema, and what they are about.
fn told(schema: &str) -> Result<Vec<(Statement<'_>, About)>> {
    let all = statements(schema).into_iter().map(|it| match about(&it) {
        Some(about) => Ok((it, about)),
        None => Err(Error::new(Kind::Plan, format_args!("line {} of the schema: {ALLOWED}", it.line))),
    });
    all.collect()
}

/// What a statement is about. Nothing, if it is none that is carried out.
fn about(it: &Statement<'_>) -> Option<About> {
    let lower: Vec<String> = it.words.iter().map(|it| it.to_ascii_lowercase()).collect();
    let mut at = 0;
    let skip = |at: &mut usize, words: &[&str]| {
        let here =
            lower.get(*at..).is_some_and(|it| it.len() >= words.len() && it.iter().zip(words).all(|(a, b)| a == b));
        *at += if here { words.len() } else { 0 };
        here
    };
    let name = |at: usize| name(it.words.get(at..).unwrap_or_default());
    let conditional: &[&str] = &["if", "not", "exists"];
    if skip(&mut at, &["comment", "on"]) {
        return match lower.get(at)?.as_str() {
            "table" | "view" | "sequence" | "index" => Some(About::Part(name(at + 1)?)),
            "column" => Some(About::Part(name(at + 1)?.rsplit_once('.')?.0.to_owned())),
            "type" | "domain" | "schema" | "extension" | "constraint" | "materialized" => Some(About::Other),
            _ => None,
        };
    }
    if skip(&mut at, &["alter", "sequence"]) {
        return lower.iter().any(|it| it == "owned").then(|| name(at).map(About::Part))?;
    }
    if skip(&mut at, &["alter", "table"]) {
        skip(&mut at, &["if", "exists"]);
        skip(&mut at, &["only"]);
        let table = name(at)?;
        let after = lower.get(at + words_of_name(it.words.get(at..)?)..)?;
        return matches!(after, [add, ..] if add == "add" || add == "alter").then_some(About::Part(table));
    }
    if !skip(&mut at, &["create"]) {
        return None;
    }
    skip(&mut at, &["or", "replace"]);
    skip(&mut at, &["unlogged"]);
    skip(&mut at, &["unique"]);
    skip(&mut at, &["materialized"]);
    let what = lower.get(at)?.clone();
    at += 1;
    if what == "index" {
        let on = lower.iter().position(|it| it == "on")? + 1;
        let only = usize::from(lower.get(on).is_some_and(|it| it == "only"));
        return if lower.get(at).is_some_and(|it| it == "concurrently") {
            None
        } else {
            name_at(it, on + only).map(About::Part)
        };
    }
    skip(&mut at, conditional);
    match what.as_str() {
        "table" | "sequence" | "view" => Some(About::Relation(name(at)?)),
        "type" | "domain" => Some(About::Type(name(at)?)),
        "schema" | "extension" => Some(About::Other),
        _ => None,
    }
}

fn name_at(it: &Statement<'_>, at: usize) -> Option<String> {
    name(it.words.get(at..)?)
}

/// A name, perhaps with a schema in front.
fn name(words: &[&str]) -> Option<String> {
    let words = words.get(..words_of_name(words))?;
    (!words.is_empty()).then(|| words.concat())
}

/// How many words a name is: it goes on behind each dot.
fn words_of_name(words: &[&str]) -> usize {
    let mut count = usize::from(words.first().is_some_and(|it| !it.is_empty()));
    while words.get(count) == Some(&".") && words.get(count + 1).is_some() {
        count += 2;
    }
    count
}

/// Splits statements at their semicolons. Quotes, comments and bodies between dollars may hold some too.
fn statements(text: &str) -> Vec<Statement<'_>> {
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

    #[test]
    fn what_statements_are_about() {
        let relation = |it: &str| Some(About::Relation(it.to_owned()));
        let part = |it: &str| Some(About::Part(it.to_owned()));
        for (text, expect) in [
            ("CREATE TABLE a (id int)", relation("a")),
            ("create table if not exists \"S\" . b(id int)", relation("\"S\".b")),
            ("CREATE UNLOGGED TABLE a(x int)", relation("a")),
            ("CREATE TEMP TABLE a(x int)", None),
            ("CREATE VIEW v AS SELECT 1", relation("v")),
            ("CREATE MATERIALIZED VIEW v AS SELECT 1", relation("v")),
            ("CREATE UNIQUE INDEX ON a (x)", part("a")),
            ("CREATE INDEX i ON ONLY s.a USING btree (x)", part("s.a")),
            ("CREATE INDEX CONCURRENTLY i ON a (x)", None),
            ("CREATE TYPE mood AS ENUM ('on')", Some(About::Type("mood".to_owned()))),
            ("CREATE EXTENSION IF NOT EXISTS citext", Some(About::Other)),
            ("ALTER TABLE ONLY a ADD CONSTRAINT c CHECK (x > 0)", part("a")),
            ("ALTER TABLE s.a ALTER COLUMN x SET DEFAULT 1", part("s.a")),
            ("ALTER TABLE a DROP COLUMN x", None),
            ("ALTER TABLE a OWNER TO b", None),
            ("ALTER SEQUENCE q OWNED BY a.id", part("q")),
            ("COMMENT ON COLUMN s.a.x IS 'no'", part("s.a")),
            ("DROP TABLE a", None),
            ("INSERT INTO a VALUES (1)", None),
            ("DO $$ BEGIN END $$", None),
        ] {
            assert_eq!(statements(text).first().and_then(about), expect, "{text}");
        }
    }
}
