//! A table that is written to: what its columns are, and the statements that reach them.

use super::super::{catalog::Relation, failure, form::Form, session::Session};
use super::encode::Limit;
use crate::{
    error::{Error, Kind, Result},
    row::Shape,
    store::sql::identifier,
};
use tokio_postgres::Row;

/// A table, as far as writing to it goes.
#[derive(Clone)]
pub(super) struct Spot {
    pub oid: u32,
    /// As the store calls it.
    pub name: String,
    /// What comes after FROM: `ONLY`, unless it has partitions.
    pub from: String,
    /// What comes after INTO.
    pub into: String,
    pub columns: Vec<Column>,
    /// Columns that an index lets `ON CONFLICT` find, each list in alphabetical order.
    pub uniques: Vec<Vec<String>>,
    /// `COPY` may not write to it: row-level security applies.
    pub bound: bool,
    /// Rows were there that should not have been, so what comes next goes through a table of its own first.
    pub staged: bool,
    /// What sets the numbers of rows that come after ours.
    pub sequences: Vec<Sequence>,
}

/// A column of a [`Spot`].
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub form: Form,
    /// The type as it is declared, with its schema if that is not the system's.
    pub declared: String,
    pub limit: Limit,
    /// A value that somebody gives is not welcome: `GENERATED ALWAYS AS IDENTITY`.
    pub always: bool,
    /// The server works it out.
    pub generated: bool,
    pub nullable: bool,
    /// The bytes of `COPY` are those of the form.
    pub binary: bool,
    /// The server takes different values for equal: `citext`, collations that are not deterministic, 1 day and 24 hours, 1.5
    /// and 1.50 in a document.
    pub blurred: bool,
}

/// A sequence that a column takes its numbers from.
#[derive(Clone)]
pub(super) struct Sequence {
    /// Quoted, with its schema.
    pub name: String,
    /// The column, quoted.
    pub column: String,
    /// This role may set it.
    pub ours: bool,
}

/// What a batch needs to know of a field of its shape.
pub(super) struct Aim<'s> {
    pub column: &'s Column,
    /// Its place in the shape.
    pub place: usize,
    pub key: bool,
}

const COLUMNS: &str = "
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), d.name, d.mod, a.attidentity = 'a', a.attgenerated <> '', NOT a.attnotnull,
    d.name IN ('citext', 'interval', 'jsonb') OR EXISTS (SELECT FROM pg_collation AS l
        WHERE l.oid = a.attcollation AND to_jsonb(l) ->> 'collisdeterministic' = 'false')
FROM pg_attribute AS a CROSS JOIN LATERAL (
    WITH RECURSIVE chain(oid, mod) AS (
        SELECT a.atttypid, a.atttypmod
        UNION ALL SELECT t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE chain.mod END
            FROM chain JOIN pg_type AS t ON t.oid = chain.oid AND t.typtype = 'd')
    SELECT t.typname::text AS name, chain.mod AS mod
    FROM chain JOIN pg_type AS t ON t.oid = chain.oid WHERE t.typtype <> 'd') AS d
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Indexes that `ON CONFLICT` can name by their columns: those of deferrable constraints it cannot.
const UNIQUES: &str = "
SELECT ARRAY(SELECT a.attname::text FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k(n)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.n)
FROM pg_index AS i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL";

const SEQUENCES: &str = "
SELECT DISTINCT format('%I.%I', n.nspname, s.relname), a.attname::text,
    has_sequence_privilege(s.oid, 'SELECT') AND has_sequence_privilege(s.oid, 'UPDATE')
FROM (
    SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS place FROM pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_attrdef AS f
        JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass) AS used
JOIN pg_class AS s ON s.oid = used.sequence AND s.relkind = 'S' JOIN pg_namespace AS n ON n.oid = s.relnamespace
JOIN pg_attribute AS a ON a.attrelid = used.relation AND a.attnum = used.place
WHERE used.relation = $1 AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
ORDER BY 1, 2";

impl Spot {
    /// Asks what is to be known of a table.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn find(session: &Session, name: &str, relation: &Relation) -> Result<Spot> {
        let read = |it: tokio_postgres::Error| failure::of(&it, "cannot read the system catalogs");
        let known = |name: &str| relation.columns.iter().find(|it| it.name == name);
        let column = |row: &Row| -> Result<Option<Column>, tokio_postgres::Error> {
            let (name, base): (String, String) = (row.try_get(0)?, row.try_get(2)?);
            // One that may not be read is in no shape either.
            let Some(attribute) = known(&name) else { return Ok(None) };
            let form = attribute.form;
            let spelled = matches!(form, Form::Array | Form::Composite | Form::Money);
            Ok(Some(Column {
                form,
                declared: row.try_get(1)?,
                limit: Limit::of(&base, row.try_get(3)?),
                always: row.try_get(4)?,
                generated: row.try_get(5)?,
                nullable: row.try_get(6)?,
                blurred: row.try_get(7)?,
                binary: !spelled && (form != Form::Spelled || base == "citext"),
                name,
            }))
        };
        let columns = session.rows(COLUMNS, &[&relation.oid])?;
        let columns =
            columns.iter().filter_map(|it| column(it).transpose()).collect::<Result<Vec<_>, _>>().map_err(read)?;
        let unique = |row: &Row| {
            let mut names: Vec<String> = row.try_get(0)?;
            names.sort();
            Ok(names)
        };
        let uniques = session.rows(UNIQUES, &[&relation.oid])?;
        let sequence = |row: &Row| {
            let column: String = row.try_get(1)?;
            let column = identifier(&column);
            Ok(Sequence { name: row.try_get(0)?, column, ours: row.try_get(2)? })
        };
        let sequences = session.rows(SEQUENCES, &[&relation.oid])?;
        Ok(Spot {
            oid: relation.oid,
            name: name.to_owned(),
            from: relation.from.clone(),
            into: relation.from.trim_start_matches("ONLY ").to_owned(),
            columns,
            uniques: uniques.iter().map(unique).collect::<Result<_, _>>().map_err(read)?,
            bound: relation.partial,
            staged: false,
            sequences: sequences.iter().map(sequence).collect::<Result<_, _>>().map_err(read)?,
        })
    }

    /// What the fields of a shape are here.
    ///
    /// # Errors
    /// If a column is not there.
    pub(super) fn aims(&self, shape: &Shape) -> Result<Vec<Aim<'_>>> {
        let aim = |(place, field): (usize, &crate::row::Field)| {
            let exact = self.columns.iter().find(|it| it.name == field.column);
            let column = exact.or_else(|| self.columns.iter().find(|it| it.name.eq_ignore_ascii_case(&field.column)));
            let absent =
                || Error::new(Kind::Store, format_args!("table `{}` has no column `{}`", self.name, field.column));
            Ok(Aim { column: column.ok_or_else(absent)?, place, key: shape.keyless || place < shape.key })
        };
        shape.fields.iter().take(shape.compared).enumerate().map(aim).collect()
    }

    /// Whether an index tells `ON CONFLICT` what a second row of the same key is.
    pub(super) fn arbiter(&self, aims: &[Aim<'_>]) -> bool {
        let mut key: Vec<&String> = aims.iter().filter(|it| it.key).map(|it| &it.column.name).collect();
        key.sort();
        let plain = aims.iter().filter(|it| it.key).all(|it| !it.column.nullable);
        plain && self.uniques.iter().any(|it| it.iter().eq(key.iter().copied()))
    }
}

impl Column {
    /// The type under which its values wait.
    pub(super) fn waits_as(&self) -> &str {
        match self.form {
            _ if self.binary => &self.declared,
            Form::Money => "pg_catalog.numeric",
            _ => "pg_catalog.text",
        }
    }

    /// What waits in `from`, as a value of the column's.
    pub(super) fn value(&self, from: &str) -> String {
        let declared = &self.declared;
        match self.form {
            _ if self.binary => from.to_owned(),
            // JSON says of an array and of a row what its text would need more quotes for.
            Form::Array | Form::Composite => format!(
                "(SELECT x.v FROM pg_catalog.json_to_record(pg_catalog.json_build_object('v', ({from})::pg_catalog.json)) AS x(v {declared}))"
            ),
            _ => format!("({from})::{declared}"),
        }
    }

    /// When what waits in `from` would be read as something else.
    pub(super) fn differs(&self, from: &str) -> Option<String> {
        let differs = match self.form {
            _ if self.binary => return None,
            Form::Array | Form::Composite => format!("{} <> {}", self.seen(&self.value(from)), document(from)),
            _ => format!("{} <> {from}", self.form.ask(&format!("({})", self.value(from)))),
        };
        Some(format!("({from} IS NOT NULL AND {differs})"))
    }

    /// A value as it can be told from every other one, in a type that has an equality.
    pub(super) fn seen(&self, value: &str) -> String {
        match self.form {
            Form::Array | Form::Composite => document(&format!("({})", self.form.ask(value))),
            Form::Json => document(value),
            Form::Jsonb => format!("({value})::pg_catalog.text"),
            // The equality of a language may take different texts for one.
            Form::Text | Form::Label => format!("({value})::pg_catalog.text COLLATE \"C\""),
            Form::Spelled if self.binary => format!("({value})::pg_catalog.text COLLATE \"C\""),
            form => form.ask(value),
        }
    }

    /// The same of what waits in `from`.
    fn seen_waiting(&self, from: &str) -> String {
        match self.form {
            Form::Array | Form::Composite => document(from),
            _ if self.binary => self.seen(from),
            _ => from.to_owned(),
        }
    }

    /// Whether the column of row `t` holds what waits in row `s`. `indexed`: an index of the server's has to find it.
    pub(super) fn same(&self, waits: &str, indexed: bool, nulls: bool) -> String {
        let held = format!("t.{}", identifier(&self.name));
        let (seen, wanted) = (self.seen(&held), self.seen_waiting(waits));
        // Arrays take NULL for equal to NULL, and unlike IS NOT DISTINCT FROM can be hashed.
        let exact = if nulls { format!("ARRAY[{seen}] = ARRAY[{wanted}]") } else { format!("{seen} = {wanted}") };
        if indexed { format!("{held} = {} AND {exact}", self.value(waits)) } else { exact }
    }
}

/// A document in a form in which its blanks and the order of its members do not show. One that `jsonb` cannot hold stays as it is.
fn document(value: &str) -> String {
    format!(
        "CASE WHEN pg_catalog.strpos(({value})::pg_catalog.text, '\\u0000') > 0 THEN ({value})::pg_catalog.text \
         ELSE ({value})::pg_catalog.jsonb::pg_catalog.text END"
    )
}
