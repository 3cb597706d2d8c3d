//! What is done before the first batch and after the last one: marks, indexes, sequences, statistics.

use super::{BEGIN, Fault, Writer, kind, lock, spot::Spot, statement, told, unheard};
use crate::{
    error::{Error, Kind, Result},
    store::{
        about::{Fact, Level},
        sql::identifier,
        target::MARKS,
    },
};
use tokio_postgres::types::Type;

/// The word that stands in place of a run where an index is noted that has to be made again.
const DROPPED: &str = "index to be made again";

/// The longest statement that fits an index of the marks.
const LONGEST: i32 = 2000;

/// Indexes that only make reading faster: of no constraint, with nothing that hangs on them, and ours to drop.
const SECONDARY: &str = "
SELECT format('%I.%I', n.nspname, c.relname), pg_get_indexdef(c.oid), pg_has_role(t.relowner, 'USAGE')
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS t ON t.oid = i.indrelid
WHERE i.indrelid = $1::oid AND t.relkind = 'r' AND NOT t.relispartition AND c.relkind = 'i' AND NOT c.relispartition
    AND NOT i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion AND NOT i.indisreplident AND NOT i.indisclustered
    AND i.indisvalid AND octet_length(pg_get_indexdef(c.oid)) <= $2
    AND NOT EXISTS (SELECT FROM pg_constraint AS o WHERE o.conindid = c.oid)
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    AND NOT EXISTS (SELECT FROM pg_description AS d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid)
    AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND to_jsonb(a) ->> 'attstattarget' > '0')
ORDER BY 1";

const TRIGGERS: &str = "
SELECT g.tgname::text FROM pg_catalog.pg_trigger AS g
WHERE g.tgrelid = $1 AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') ORDER BY 1";

impl Writer {
    /// What comes before the first batch.
    pub(super) fn set_up(&mut self, disable_indexes: bool) -> Result<Vec<Fact>> {
        let mut facts = Vec::new();
        self.marks = self.find_marks()?;
        if self.marks.is_none() {
            self.marks = self.make_marks(&mut facts)?;
        }
        if disable_indexes && self.marks.is_some() {
            self.drop_indexes(&mut facts)?;
        } else {
            self.restore_indexes()?;
            if disable_indexes {
                facts.push(
                    Fact::new("indexes", "they stay, as nothing can be noted in the database").level(Level::Note),
                );
            }
        }
        for spot in self.begun.iter().filter_map(|it| self.spots.get(it)) {
            for it in &spot.sequences {
                let (name, table, column) = (&it.name, &spot.name, &it.column);
                facts.push(if it.ours {
                    Fact::new("sequences", format!("{name} is set behind the largest {column} of `{table}` at the end"))
                } else {
                    let says = format!(
                        "this role may not set {name}: GRANT SELECT, UPDATE ON SEQUENCE {name} TO the role, or have it set behind \
                         the largest {column} of `{table}` afterwards, or the next row of the application clashes"
                    );
                    Fact::new("sequences", says).level(Level::Note)
                });
            }
            let names = self.triggers(spot)?;
            if !names.is_empty() {
                let says = format!("`{}` of `{}` run for each row that is written", names.join("`, `"), spot.name);
                facts.push(Fact::new("triggers", says).level(Level::Note));
            }
        }
        Ok(facts)
    }

    /// The triggers of a table that fire for what is written.
    pub(super) fn triggers(&self, spot: &Spot) -> Result<Vec<String>> {
        let rows = self.rows(TRIGGERS, &[(&spot.oid, Type::OID)]).map_err(|it| unheard(it.into()))?;
        Ok(rows.iter().filter_map(|it| it.try_get(0).ok()).collect())
    }

    /// The table of marks, quoted, if it is there.
    pub(super) fn find_marks(&self) -> Result<Option<String>> {
        let Some(name) = self.place_of_marks() else { return Ok(None) };
        let rows = self.rows("SELECT pg_catalog.to_regclass($1) IS NOT NULL", &[(&name, Type::TEXT)]);
        let rows = rows.map_err(|it| unheard(it.into()))?;
        Ok(rows.first().and_then(|it| it.try_get(0).ok()).unwrap_or(false).then_some(name))
    }

    /// In the first schema of the search path, or of those that are asked for.
    fn place_of_marks(&self) -> Option<String> {
        let schema = self.facts.schemas.first().or_else(|| self.connection.schemas().first())?;
        Some(format!("{}.{}", identifier(schema), identifier(MARKS)))
    }

    fn make_marks(&mut self, facts: &mut Vec<Fact>) -> Result<Option<String>> {
        let unmarked = |why: &str| Fact::new("marks", format!("no marks are kept: {why}")).level(Level::Note);
        let Some(name) = self.place_of_marks() else {
            facts.push(unmarked("there is no schema in the search path"));
            return Ok(None);
        };
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {name} (run text NOT NULL, tbl text NOT NULL, batch bigint NOT NULL, PRIMARY KEY (run, tbl))"
        );
        match self.transaction(BEGIN, |it| Ok(it.run(&sql)?)) {
            Ok(()) => Ok(Some(name)),
            Err((Fault::Server(error), _)) if error.code().is_some_and(|it| it.code() == "42501") => {
                let schema = name.rsplit_once('.').map_or(name.as_str(), |it| it.0);
                facts.push(unmarked(&format!(
                    "this role may not make {name}; GRANT CREATE ON SCHEMA {schema} TO the role"
                )));
                Ok(None)
            }
            Err((fault, _)) => Err(unheard(fault).context(format_args!("cannot make the table {name}"))),
        }
    }

    /// Drops what only makes reading faster, and notes in the same transaction how it is made again.
    fn drop_indexes(&mut self, facts: &mut Vec<Fact>) -> Result<()> {
        let Some(marks) = self.marks.clone() else { return Ok(()) };
        let oids: Vec<(u32, String)> =
            self.begun.iter().filter_map(|it| self.spots.get(it)).map(|it| (it.oid, it.name.clone())).collect();
        let note =
            format!("INSERT INTO {marks} (run, tbl, batch) VALUES ($1, $2, 0) ON CONFLICT (run, tbl) DO NOTHING");
        let begin = format!("{BEGIN}; SET LOCAL search_path = pg_catalog");
        let dropped = self.transaction(&begin, |it| {
            let (mut dropped, mut kept) = (Vec::new(), Vec::new());
            for (oid, table) in &oids {
                for row in it.rows(SECONDARY, &[(oid, Type::OID), (&LONGEST, Type::INT4)])? {
                    let (name, definition, ours): (String, String, bool) =
                        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                    if !ours {
                        kept.push((table.clone(), name));
                        continue;
                    }
                    it.rows(&note, &[(&DROPPED, Type::TEXT), (&definition, Type::TEXT)])?;
                    it.run(&format!("DROP INDEX {name}"))?;
                    dropped.push(name);
                }
            }
            Ok((dropped, kept))
        });
        let (dropped, kept) =
            dropped.map_err(|(fault, _)| unheard(fault).context("cannot drop the secondary indexes"))?;
        if !dropped.is_empty() {
            facts.push(Fact::new("indexes", format!("dropped until the end: {}", dropped.join(", "))));
        }
        for (table, name) in kept {
            let says = format!("{name} stays: only the owner of `{table}` may drop it");
            facts.push(Fact::new("indexes", says).level(Level::Note));
        }
        Ok(())
    }

    /// Makes every index again that was dropped, also by a run that was killed. Whether there was one.
    fn restore_indexes(&mut self) -> Result<bool> {
        let Some(marks) = self.marks.clone() else { return Ok(false) };
        let asked = format!("SELECT tbl FROM {marks} WHERE run = $1 ORDER BY tbl");
        let rows = self.rows(&asked, &[(&DROPPED, Type::TEXT)]).map_err(|it| unheard(it.into()))?;
        let definitions: Vec<String> = rows.iter().filter_map(|it| it.try_get(0).ok()).collect();
        let forget = format!("DELETE FROM {marks} WHERE run = $1 AND tbl = $2");
        let begin = format!("{BEGIN}; SET LOCAL statement_timeout = 0");
        for definition in &definitions {
            let made = self.transaction(&begin, |it| {
                it.run("SAVEPOINT made")?;
                match it.run(definition) {
                    // Somebody else has made it meanwhile, or dropped the table.
                    Err(error) if error.code().is_some_and(|it| matches!(it.code(), "42P07" | "42P01" | "42703")) => {
                        it.run("ROLLBACK TO SAVEPOINT made")?;
                    }
                    done => done?,
                }
                it.rows(&forget, &[(&DROPPED, Type::TEXT), (definition, Type::TEXT)])?;
                Ok(())
            });
            made.map_err(|(fault, _)| {
                unheard(fault).context(format_args!("cannot make an index again: {definition}"))
            })?;
        }
        Ok(!definitions.is_empty())
    }

    /// What comes after the last batch.
    pub(super) fn tidy_up(&mut self) -> Result<()> {
        self.restore_indexes()?;
        for name in self.begun.clone() {
            let Some(spot) = self.spots.get(&name) else { continue };
            let mut statements: Vec<String> = statement::sequences(spot).collect();
            statements.push(format!("ANALYZE {}", spot.into));
            let begin = format!("{BEGIN}; SET LOCAL statement_timeout = 0; {}", lock(spot, ""));
            let done = self.transaction(&begin, |it| statements.iter().try_for_each(|sql| Ok(it.run(sql)?)));
            done.map_err(|(fault, _)| unheard(fault).context(format_args!("cannot finish table `{name}`")))?;
        }
        Ok(())
    }

    /// Puts back what was taken away and removes the table of marks. Whether it was there.
    pub(super) fn remove_marks(&mut self) -> Result<bool> {
        self.marks = self.find_marks()?;
        let Some(marks) = self.marks.clone() else { return Ok(false) };
        self.restore_indexes()?;
        let dropped = self.transaction(BEGIN, |it| Ok(it.run(&format!("DROP TABLE {marks}"))?));
        dropped.map_err(|(fault, _)| unheard(fault).context(format_args!("cannot drop {marks}")))?;
        self.marks = None;
        Ok(true)
    }

    /// What a statement of the user's schema came to.
    #[cold]
    pub(super) fn refused(&self, error: &tokio_postgres::Error, line: usize) -> Error {
        let kind = match kind(error) {
            Kind::Store | Kind::Row if error.code().is_some_and(|it| it.code() != "42501") => Kind::Plan,
            kind => kind,
        };
        told(kind, error, "")
            .context(format_args!("the statement at line {line} of the schema was refused, so none was carried out"))
    }
}
