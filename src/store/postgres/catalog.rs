//! What a database declares: its tables, columns and constraints, from the system catalogs.

use super::{
    failure,
    form::{Declared, Form},
    names,
    session::Session,
};
use crate::{
    error::{Error, Kind, Result},
    schema::{Column, ForeignKey, Origin, Table, Unique},
    store::{Schemas, sql::identifier, target::MARKS},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio_postgres::Row;

/// The tables of a database, and what it takes to read them.
#[derive(Default)]
pub(super) struct Catalog {
    pub tables: Vec<Table>,
    pub schemas: Schemas,
    /// By the name of the table.
    pub relations: BTreeMap<String, Arc<Relation>>,
    /// The foreign keys that the tables tell.
    pub references: Vec<u32>,
    pub notes: Vec<String>,
}

/// Where the rows of a table are.
#[derive(Debug)]
pub(super) struct Relation {
    pub oid: u32,
    /// What comes after FROM.
    pub from: String,
    /// As people write it.
    pub name: String,
    /// Its rows lie in pages of files, not elsewhere: they can be read in ranges of pages.
    pub paged: bool,
    /// Row-level security applies.
    pub partial: bool,
    /// A view, whose functions look for tables as its users do.
    pub view: bool,
    /// As in the table.
    pub columns: Vec<Attribute>,
    /// Columns that may not be read.
    pub hidden: Vec<String>,
}

/// A column of a [`Relation`].
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub name: String,
    pub form: Form,
    /// Its order and equality are those of its bytes, if it is text.
    pub bytewise: bool,
    pub nullable: bool,
}

const RELATIONS: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relispopulated,
    CASE WHEN c.relkind = 'p' THEN (SELECT sum(greatest(k.reltuples, 0))
        FROM pg_partition_tree(c.oid) AS p JOIN pg_class AS k ON k.oid = p.relid WHERE p.isleaf)
        ELSE c.reltuples END::float8,
    c.relkind IN ('r', 'p') AND row_security_active(c.oid),
    has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'), has_any_column_privilege(c.oid, 'SELECT'),
    NOT EXISTS (SELECT FROM pg_partition_tree(CASE WHEN c.relkind = 'p' THEN c.oid END) AS p
        JOIN pg_class AS k ON k.oid = p.relid WHERE k.relkind = 'f') AND coalesce(m.amname = 'heap', c.relkind = 'p')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_am AS m ON m.oid = c.relam
WHERE c.relkind::text = ANY($1) AND NOT c.relispartition AND n.nspname::text = ANY($2) AND c.relname::text <> $3
ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/// Since PostgreSQL 18 a column may be declared not to be NULL while there still are rows in which it is.
const COLUMNS: &str = "
SELECT a.attrelid, a.attnum, a.attname::text, a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint AS l
        WHERE l.conrelid = a.attrelid AND l.contype = 'n' AND l.conkey = ARRAY[a.attnum] AND NOT l.convalidated),
    a.atttypid, has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
    CASE WHEN o.collprovider = 'd' THEN (SELECT
            coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') IN ('c', 'b') AND d.datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8')
            FROM pg_database AS d WHERE d.datname = current_database())
        ELSE o.collprovider IN ('c', 'b') AND coalesce(o.collcollate, to_jsonb(o) ->> 'colllocale')
            IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') END
FROM pg_attribute AS a LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";

const TYPES: &str = "
WITH RECURSIVE used(asked, oid) AS (
    SELECT t, t FROM unnest($1::oid[]) AS t
    UNION SELECT used.asked, t.typbasetype FROM used JOIN pg_type AS t ON t.oid = used.oid AND t.typtype = 'd')
SELECT used.asked, t.typname::text, t.typnamespace = 'pg_catalog'::regnamespace, t.typtype::text,
    t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A' AND t.typname NOT IN ('int2vector', 'oidvector')
FROM used JOIN pg_type AS t ON t.oid = used.oid WHERE t.typtype <> 'd'";

/// Keys and uniques: valid ones of plain columns that hold for all rows.
const UNIQUES: &str = "
SELECT i.indrelid, i.indisprimary, (i.indkey::int2[])[0:i.indnkeyatts - 1]
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY($1) AND i.indisunique AND i.indisvalid AND i.indisready
    AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indrelid, NOT i.indisprimary, i.indnkeyatts, c.relname COLLATE \"C\"";

/// Of a foreign key also whether all of its operators take for equal what our cells do. Those of `citext`, of collations that are not
/// deterministic, of different types and of documents do not; of `char(n)` they ignore blanks, which are as many where `n` is the same.
const CONSTRAINTS: &str = "
SELECT o.conrelid, o.contype::text, o.conname::text, o.confrelid, n.nspname::text, c.relname::text, o.conkey,
    ARRAY(SELECT a.attname::text FROM unnest(o.confkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = o.confrelid AND a.attnum = k.attnum ORDER BY k.place),
    NOT EXISTS (SELECT FROM unnest(o.conkey, o.confkey, o.conpfeqop) AS k(child, parent, operator)
        JOIN pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = k.child
        JOIN pg_attribute AS b ON b.attrelid = o.confrelid AND b.attnum = k.parent
        JOIN pg_operator AS q ON q.oid = k.operator
        WHERE q.oprcode::text <> ALL('{booleq,int2eq,int4eq,int8eq,int24eq,int42eq,int28eq,int82eq,int48eq,int84eq,
                oideq,xideq,numeric_eq,cash_eq,float4eq,float8eq,texteq,nameeq,nameeqtext,texteqname,chareq,bpchareq,byteaeq,
                biteq,varbiteq,uuid_eq,enum_eq,network_eq,macaddr_eq,macaddr8_eq,pg_lsn_eq,
                date_eq,time_eq,timetz_eq,timestamp_eq,timestamptz_eq}')
            OR q.oprcode = 'bpchareq'::regproc AND (a.atttypid, a.atttypmod) <> (b.atttypid, b.atttypmod)
            OR q.oprcode = 'texteq'::regproc AND 'bpchar'::regtype IN (a.atttypid, b.atttypid)
            OR EXISTS (SELECT FROM pg_collation AS l WHERE l.oid IN (a.attcollation, b.attcollation)
                AND to_jsonb(l) ->> 'collisdeterministic' = 'false')),
    o.oid
FROM pg_constraint AS o LEFT JOIN pg_class AS c ON c.oid = o.confrelid LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE o.conrelid = ANY($1) AND (o.contype = 'x' OR o.contype = 'f' AND o.conparentid = 0)
    AND coalesce(to_jsonb(o) ->> 'conperiod', 'false') = 'false'
ORDER BY o.conrelid, o.conname COLLATE \"C\"";

/// Foreign keys to a table that take rows along, or change them, but for those that are known.
const CASCADES: &str = "
SELECT format('%I.%I', n.nspname, c.relname), o.conname::text
FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE o.contype = 'f' AND o.confrelid = $1 AND o.conparentid = 0 AND o.confdeltype IN ('c', 'n', 'd') AND NOT o.oid = ANY($2)
ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", o.conname COLLATE \"C\"";

const ELSEWHERE: &str = "
SELECT n.nspname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND NOT n.nspname::text = ANY($1)
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
GROUP BY n.nspname ORDER BY n.nspname COLLATE \"C\"";

/// A table on its way.
struct Draft {
    table: Table,
    schema: String,
    plain: String,
    relation: Relation,
    /// The number of each column.
    numbers: Vec<i16>,
}

impl Catalog {
    /// Reads what the tables of these schemas are, with views if they are asked for.
    ///
    /// # Errors
    /// If there is no such schema, or the server fails.
    pub(super) fn load(session: &Session, chosen: &[String], views: bool) -> Result<Catalog> {
        let mut catalog = Catalog::default();
        let schemas = schemas(session, chosen, &mut catalog.notes)?;
        let kinds: Vec<&str> = if views { vec!["r", "p", "f", "v", "m"] } else { vec!["r", "p", "f"] };
        let rows = session.rows(RELATIONS, &[&kinds, &schemas, &MARKS])?;
        let mut drafts = rows.iter().map(Draft::new).collect::<Result<Vec<_>, _>>().map_err(|it| unread(&it))?;
        let oids: Vec<u32> = drafts.iter().map(|it| it.relation.oid).collect();
        let places: BTreeMap<u32, usize> = oids.iter().enumerate().map(|(place, &oid)| (oid, place)).collect();
        columns(session, &oids, &places, &mut drafts, &mut catalog.notes)?;
        uniques(session, &oids, &places, &mut drafts)?;
        catalog.schemas =
            Schemas { read: schemas, plain: name(&mut drafts), usual: session.facts.schemas.first().cloned() };
        catalog.references = constraints(session, &oids, &places, &mut drafts, &mut catalog.notes)?;
        for draft in drafts {
            let table = draft.table;
            catalog.relations.insert(table.name.clone(), Arc::new(draft.relation));
            catalog.tables.push(table);
        }
        catalog.tables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(catalog)
    }
}

impl Catalog {
    /// The foreign keys to that relation that cascade and that its tables do not tell, for people.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn cascades(&self, session: &Session, relation: &Relation) -> Result<Vec<String>> {
        let rows = session.rows(CASCADES, &[&relation.oid, &self.references])?;
        let told = |row: &Row| Ok(format!("{} by `{}`", row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?));
        rows.iter().map(told).collect::<Result<_, _>>().map_err(|it| unread(&it))
    }
}

impl Draft {
    fn new(row: &Row) -> Result<Draft, tokio_postgres::Error> {
        let (schema, plain, kind): (String, String, String) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let only = if kind == "r" { "ONLY " } else { "" };
        let written = format!("{}.{}", identifier(&schema), identifier(&plain));
        let mut table = Table::new(plain.clone());
        table.key_origin = Origin::Enforced;
        let about: Option<f64> = row.try_get(5)?;
        // It is negative where nobody has counted yet.
        table.rows_about = about.filter(|it| *it >= 0.0 && kind != "v").map(|it| it as u64);
        let partial = row.try_get(6)?;
        if partial {
            table.partial = Some("row-level security hides rows from this role: use a role with BYPASSRLS".to_owned());
        }
        let [usage, all, some]: [bool; 3] = [row.try_get(7)?, row.try_get(8)?, row.try_get(9)?];
        if !usage {
            let name = identifier(&schema);
            table.unreadable =
                Some(format!("this role may not use the schema: GRANT USAGE ON SCHEMA {name} TO the role"));
        } else if !all && !some {
            table.unreadable = Some(format!("this role may not read it: GRANT SELECT ON {written} TO the role"));
        } else if !row.try_get::<_, bool>(4)? {
            table.unreadable = Some(format!("it was never filled: REFRESH MATERIALIZED VIEW {written}"));
        }
        let relation = Relation {
            oid: row.try_get(0)?,
            from: format!("{only}{written}"),
            name: format!("{schema}.{plain}"),
            // Where a row lies may only be asked by who may read all of it.
            paged: all && row.try_get(10)?,
            partial,
            view: kind == "v",
            columns: Vec::new(),
            hidden: Vec::new(),
        };
        Ok(Draft { table, schema, plain, relation, numbers: Vec::new() })
    }

    /// Where the columns of these numbers are. Nothing, if one of them may not be read.
    fn places(&self, numbers: &[i16]) -> Option<Vec<usize>> {
        numbers.iter().map(|it| self.numbers.iter().position(|known| known == it)).collect()
    }
}

/// The schemas to read: those that are asked for, or those of the search path. What is left out is said.
fn schemas(session: &Session, chosen: &[String], notes: &mut Vec<String>) -> Result<Vec<String>> {
    let text = |row: &Row| row.try_get::<_, String>(0).map_err(|it| unread(&it));
    if chosen.is_empty() {
        let others = session.rows(ELSEWHERE, &[&session.facts.schemas])?;
        let others: Vec<String> = others.iter().map(text).collect::<Result<_>>()?;
        if !others.is_empty() {
            let (read, others) = (session.facts.schemas.join("`, `"), others.join("`, `"));
            notes.push(format!(
                "only the schemas of the search path were read (`{read}`), not `{others}`: `schemas` in the plan says which"
            ));
        }
        return Ok(session.facts.schemas.clone());
    }
    let known = session.rows("SELECT nspname::text FROM pg_namespace WHERE nspname::text = ANY($1)", &[&chosen])?;
    let known: BTreeSet<String> = known.iter().map(text).collect::<Result<_>>()?;
    match chosen.iter().find(|it| !known.contains(*it)) {
        Some(absent) => Err(Error::new(Kind::Plan, format_args!("the database has no schema `{absent}`"))),
        None => Ok(chosen.to_vec()),
    }
}

fn columns(
    session: &Session,
    oids: &[u32],
    places: &BTreeMap<u32, usize>,
    drafts: &mut [Draft],
    notes: &mut Vec<String>,
) -> Result<()> {
    let rows = session.rows(COLUMNS, &[&oids])?;
    let used: Vec<u32> = rows.iter().map(|it| it.try_get(4)).collect::<Result<_, _>>().map_err(|it| unread(&it))?;
    let types = types(session, &used)?;
    let (mut unknown, mut padded) = (BTreeSet::new(), false);
    let mut add = |row: &Row| -> Result<(), tokio_postgres::Error> {
        let Some(draft) = places.get(&row.try_get(0)?).and_then(|it| drafts.get_mut(*it)) else { return Ok(()) };
        let (name, ty): (String, u32) = (row.try_get(2)?, row.try_get(4)?);
        if !row.try_get::<_, bool>(5)? {
            draft.relation.hidden.push(name);
            return Ok(());
        }
        let declared = types.get(&ty).cloned().unwrap_or_default();
        let (form, known) = Form::of(&declared);
        if !known {
            unknown.insert(declared.name.clone());
        }
        padded |= declared.built_in && declared.name == "bpchar";
        let nullable = !row.try_get::<_, bool>(3)?;
        let bytewise = row.try_get::<_, Option<bool>>(6)?.unwrap_or(false);
        draft.numbers.push(row.try_get(1)?);
        // What the server lets in has broken no declaration, also where it fits no cell of the type.
        let origin = if form.fits(&session.facts.encoding) { Origin::Enforced } else { Origin::Declared };
        draft.table.columns.push(Column { name: name.clone(), ty: form.ty(), origin, nullable });
        draft.relation.columns.push(Attribute { name, form, bytewise, nullable });
        Ok(())
    };
    rows.iter().try_for_each(&mut add).map_err(|it| unread(&it))?;
    for draft in drafts.iter_mut().filter(|it| !it.relation.hidden.is_empty() && it.table.unreadable.is_none()) {
        let hidden: Vec<String> = draft.relation.hidden.iter().map(|it| identifier(it)).collect();
        let why = format!("this role may not read {}: GRANT SELECT on the columns to the role", hidden.join(", "));
        draft.table.partial = Some(match draft.table.partial.take() {
            Some(before) => format!("{before}; {why}"),
            None => why,
        });
    }
    for name in unknown {
        notes.push(format!("values of the type `{name}` are compared by the text that the server makes of them"));
    }
    if padded {
        notes
            .push("values of char(n) are read as the server hands them out, with blanks up to n characters".to_owned());
    }
    Ok(())
}

/// What these types are, domains by what they are made of.
fn types(session: &Session, used: &[u32]) -> Result<BTreeMap<u32, Declared>> {
    let rows = session.rows(TYPES, &[&used])?;
    let read = |row: &Row| {
        let declared = Declared {
            name: row.try_get(1)?,
            built_in: row.try_get(2)?,
            class: row.try_get(3)?,
            array: row.try_get(4)?,
        };
        Ok((row.try_get(0)?, declared))
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|it| unread(&it))
}

fn uniques(session: &Session, oids: &[u32], places: &BTreeMap<u32, usize>, drafts: &mut [Draft]) -> Result<()> {
    let rows = session.rows(UNIQUES, &[&oids])?;
    let mut add = |row: &Row| -> Result<(), tokio_postgres::Error> {
        let Some(draft) = places.get(&row.try_get(0)?).and_then(|it| drafts.get_mut(*it)) else { return Ok(()) };
        let Some(columns) = draft.places(&row.try_get::<_, Vec<i16>>(2)?) else { return Ok(()) };
        if row.try_get(1)? {
            draft.table.key = columns;
        } else if !draft.table.uniques.iter().any(|it| it.columns == columns) {
            draft.table.uniques.push(Unique { columns, enforced: true });
        }
        Ok(())
    };
    rows.iter().try_for_each(&mut add).map_err(|it| unread(&it))?;
    for Draft { table, .. } in drafts {
        if table.key.is_empty() {
            let full = |it: &&Unique| it.columns.iter().all(|&place| !table.columns[place].nullable);
            table.key = table.uniques.iter().find(full).map(|it| it.columns.clone()).unwrap_or_default();
        }
        table.uniques.retain(|it| it.columns != table.key);
        table.uniques.sort_by(|a, b| a.columns.cmp(&b.columns));
    }
    Ok(())
}

/// Names the tables, and says which schema goes without its name. Nothing, where there is no table.
fn name(drafts: &mut [Draft]) -> Option<String> {
    let plain = names::plain(drafts.iter().map(|it| it.schema.as_str()));
    let places: Vec<(&str, &str)> = drafts.iter().map(|it| (it.schema.as_str(), it.plain.as_str())).collect();
    let names = names::names(&places, &plain);
    drafts.iter_mut().zip(names).for_each(|(draft, name)| draft.table.name = name);
    (!drafts.is_empty()).then_some(plain)
}

fn constraints(
    session: &Session,
    oids: &[u32],
    places: &BTreeMap<u32, usize>,
    drafts: &mut [Draft],
    notes: &mut Vec<String>,
) -> Result<Vec<u32>> {
    let names: Vec<String> = drafts.iter().map(|it| it.table.name.clone()).collect();
    let mut told = Vec::new();
    let rows = session.rows(CONSTRAINTS, &[&oids])?;
    let mut add = |row: &Row| -> Result<(), tokio_postgres::Error> {
        let Some(draft) = places.get(&row.try_get(0)?).and_then(|it| drafts.get_mut(*it)) else { return Ok(()) };
        let (kind, constraint): (String, String) = (row.try_get(1)?, row.try_get(2)?);
        if kind == "x" {
            notes.push(format!("{}: the exclusion constraint `{constraint}` is not checked", draft.table.name));
            return Ok(());
        }
        if !row.try_get::<_, bool>(8)? {
            notes.push(format!(
                "{}: the foreign key `{constraint}` is not checked: to the server values may be equal that differ here",
                draft.table.name
            ));
            return Ok(());
        }
        let parent = places.get(&row.try_get(3)?).and_then(|it| names.get(*it)).cloned();
        let elsewhere = || Ok(format!("{}.{}", row.try_get::<_, String>(4)?, row.try_get::<_, String>(5)?));
        let table = parent.map_or_else(elsewhere, Ok)?;
        match draft.places(&row.try_get::<_, Vec<i16>>(6)?) {
            Some(columns) => {
                draft.table.foreign_keys.push(ForeignKey { columns, table, to: row.try_get(7)? });
                told.push(row.try_get(9)?);
            }
            None => {
                notes.push(format!("{}: `{constraint}` refers from columns that may not be read", draft.table.name))
            }
        }
        Ok(())
    };
    rows.iter().try_for_each(&mut add).map_err(|it| unread(&it))?;
    Ok(told)
}

#[cold]
fn unread(error: &tokio_postgres::Error) -> Error {
    failure::of(error, "cannot read the system catalogs")
}
