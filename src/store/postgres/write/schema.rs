//! Making what is not there yet, as a file of statements says.

use super::{BEGIN, Catalog, Fault, Session, Writer, unheard};
use crate::{
    error::{Error, Kind, Result},
    schema::Table,
    store::{
        Schemas,
        postgres::statements::{Statement, Unclear, statements},
    },
};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::types::Type;

/// What a user has to know about what is not carried out.
const ALLOWED: &str = "only CREATE TABLE, INDEX, TYPE, DOMAIN, SEQUENCE, VIEW, SCHEMA and EXTENSION, ALTER TABLE … ADD and ALTER COLUMN, \
    ALTER SEQUENCE … OWNED BY, and COMMENT ON are carried out";

/// The number of what a name stands for.
const RELATION: &str = "SELECT pg_catalog.to_regclass($1)::oid";
const EXTENSION: &str =
    "SELECT oid FROM pg_catalog.pg_extension WHERE ARRAY[extname::text] = pg_catalog.parse_ident($1)";

/// What a database will hold.
pub(in crate::store) struct Future {
    pub tables: Vec<Table>,
    pub schemas: Schemas,
    /// Those of the tables that are there already, and what they are called now: a name says its schema only where it has to.
    pub there: BTreeMap<String, String>,
}

/// What a statement is about, by a name as it is written.
#[derive(Debug, PartialEq, Eq)]
enum About {
    /// It makes a table, a view or a sequence.
    Relation(String),
    /// It makes a type.
    Type(String),
    /// It makes a schema.
    Schema(String),
    /// It makes an extension.
    Extension(String),
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

    /// What there would be once that is carried out. It is tried in a transaction that is rolled back, on a connection of its own.
    ///
    /// # Errors
    /// As [`Writer::make`], and if a schema of the plan is not there yet while others of them have tables.
    pub(in crate::store) fn would_be(&self, schema: &str) -> Result<Future> {
        let statements = told(schema)?;
        let trial = self.twin()?;
        trial.run(BEGIN).map_err(Fault::Server).and_then(|()| trial.make_all(&statements)).map_err(unheard)?;
        let session = Session::within(trial.connection)?;
        let load = || Catalog::load(&session, session.connection.schemas(), false);
        let later = load()?;
        session.run("ROLLBACK")?;
        let oids: Vec<u32> = later.relations.values().map(|it| it.oid).collect();
        let kept = session.rows("SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY($1)", &[&oids])?;
        let mut there = BTreeMap::new();
        if !kept.is_empty() {
            let now = load().map_err(|it| match it.kind() {
                Kind::Plan => {
                    it.context("others of its `schemas` have tables already, so make it first, with CREATE SCHEMA")
                }
                _ => it,
            })?;
            let names: BTreeMap<u32, &String> = now.relations.iter().map(|(name, it)| (it.oid, name)).collect();
            let both =
                later.relations.iter().filter_map(|(name, it)| Some((name.clone(), (*names.get(&it.oid)?).clone())));
            there.extend(both);
        }
        Ok(Future { tables: later.tables, schemas: later.schemas, there })
    }

    fn make_all(&self, statements: &[(Statement<'_>, About)]) -> Result<(), Fault> {
        // Only what was not there before is added to.
        let mut made = BTreeSet::new();
        for (statement, about) in statements {
            let known = match about {
                About::Relation(name) => self.number(RELATION, name)?,
                About::Type(name) => self.number("SELECT pg_catalog.to_regtype($1)::oid", name)?,
                About::Schema(name) => self.number("SELECT pg_catalog.to_regnamespace($1)::oid", name)?,
                About::Extension(name) => self.number(EXTENSION, name)?,
                About::Part(name) => self.number(RELATION, name)?.filter(|it| !made.contains(it)),
                About::Other => None,
            };
            if known.is_some() {
                continue;
            }
            self.run(statement.text).map_err(|error| Fault::Ours(self.refused(&error, statement.line)))?;
            if let About::Relation(name) = about {
                made.extend(self.number(RELATION, name)?);
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
    let all = statements(schema)
        .map_err(|Unclear { line, what }| Error::new(Kind::Plan, format_args!("line {line} of the schema: {what}")))?;
    let all = all.into_iter().map(|it| match about(&it) {
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
        "schema" => Some(About::Schema(name(at)?)),
        "extension" => Some(About::Extension(name(at)?)),
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

#[cfg(test)]
mod tests {
    use super::*;

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
            ("CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\"", Some(About::Extension("\"uuid-ossp\"".to_owned()))),
            ("CREATE SCHEMA shop", Some(About::Schema("shop".to_owned()))),
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
            assert_eq!(statements(text).unwrap().first().and_then(about), expect, "{text}");
        }
    }
}
