//! Changes as statements that `psql` runs.
//!
//! A row goes through the encoder of `COPY` and back, so that what stands in a statement is what its column would hold, and is
//! refused where a run would refuse it. Values are quoted: the server reads such a literal as the type of its column.

use super::{
    super::{
        decode::{self, Decoder},
        form::Form,
    },
    encode::{self, Encoder},
    spot::{Aim, Column, Spot},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Field, Row, Shape},
    store::{
        script::{Edit, postgres_bytes, postgres_date, postgres_text, spell},
        sql::identifier,
    },
    value::{Value, cast::Cast},
};
use std::sync::Arc;

/// The statement for one change; empty, where there is nothing to set. `unless` says which rows are not to be deleted.
///
/// # Errors
/// If a column is not there, or cannot hold a value.
pub(super) fn of(spot: &Spot, edit: Edit<'_>, unless: &str, unchecked: bool) -> Result<String> {
    let said = Said::of(spot, edit.row(), unchecked)?;
    let (from, keyless) = (&spot.from, edit.row().shape().keyless);
    Ok(match edit {
        Edit::Insert(_, later) => {
            let written = said.all().filter(|it| !it.0.column.generated);
            let value = |aim: &Aim<'_>, it: &str| {
                if later.contains(&aim.place) { "NULL".to_owned() } else { value(aim.column, it) }
            };
            let (names, values): (Vec<String>, Vec<String>) =
                written.map(|(aim, it)| (name(aim), value(aim, it))).unzip();
            let (names, values) = (names.join(", "), values.join(", "));
            let always = if said.aims.iter().any(|it| it.column.always) { "OVERRIDING SYSTEM VALUE " } else { "" };
            let into = format!("INSERT INTO {} ({names}) {always}", spot.into);
            let blurred = said.aims.iter().any(|it| it.key && it.column.blurred);
            match () {
                () if keyless => format!("{into}VALUES ({values});"),
                () if spot.arbiter(&said.aims) && !blurred => {
                    let key: Vec<String> = said.aims.iter().filter(|it| it.key).map(name).collect();
                    format!("{into}VALUES ({values}) ON CONFLICT ({}) DO NOTHING;", key.join(", "))
                }
                () => {
                    format!("{into}SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {from} WHERE {});", said.is(keyless))
                }
            }
        }
        Edit::Update(_, places, at) => {
            let set = said.all().filter(|it| places.contains(&it.0.place));
            let set = set.filter(|it| !it.0.column.generated && !it.0.column.always);
            let set: Vec<String> = set.map(|(aim, it)| format!("{} = {}", name(aim), value(aim.column, it))).collect();
            match set.is_empty() {
                true => String::new(),
                false => {
                    let is = Said::of(spot, at, unchecked)?.is(keyless);
                    format!("UPDATE {from} SET {} WHERE {is};", set.join(", "))
                }
            }
        }
        Edit::Fill(_, places) => {
            let set = said.all().filter(|it| places.contains(&it.0.place));
            let set = set.filter(|it| !it.0.column.generated && !it.0.column.always);
            let is = said.is(keyless);
            let fill = |(aim, it): (&Aim<'_>, &String)| {
                let (column, value) = (name(aim), value(aim.column, it));
                format!("UPDATE {from} SET {column} = {value} WHERE {is} AND {column} IS NULL;")
            };
            set.map(fill).collect::<Vec<_>>().join("\n")
        }
        Edit::Clear(_, places) => {
            let set = said.aims.iter().filter(|it| places.contains(&it.place) && !it.column.generated);
            match set.map(|it| format!("{} = NULL", name(it))).collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => none,
                set => format!("UPDATE {from} SET {set} WHERE {};", said.is(keyless)),
            }
        }
        Edit::Delete(_, _) => {
            let is = match keyless {
                true => {
                    format!("(tableoid, ctid) = (SELECT tableoid, ctid FROM {from} WHERE {} LIMIT 1)", said.is(true))
                }
                false => said.is(false),
            };
            let alias = if unless.is_empty() { "" } else { " AS t" };
            format!("DELETE FROM {from}{alias} WHERE {is}{unless};")
        }
    })
}

fn name(it: &Aim<'_>) -> String {
    identifier(&it.column.name)
}

/// A row in words: a literal for each of its columns.
struct Said<'s> {
    aims: Vec<Aim<'s>>,
    literals: Vec<String>,
}

impl<'s> Said<'s> {
    fn of(spot: &'s Spot, row: Row<'_>, unchecked: bool) -> Result<Said<'s>> {
        let aims = spot.aims(row.shape())?;
        let literals = literals(&aims, row, unchecked)?;
        Ok(Said { aims, literals })
    }

    fn all(&self) -> impl Iterator<Item = (&Aim<'s>, &String)> {
        self.aims.iter().zip(&self.literals)
    }

    /// What only the row of that key is.
    fn is(&self, keyless: bool) -> String {
        let key = self.all().filter(|it| it.0.key).map(|(aim, it)| is(aim.column, it, keyless));
        key.collect::<Vec<_>>().join(" AND ")
    }
}

/// What sets the sequences of a table behind its largest numbers, as far as this role may.
pub(super) fn sequences(spot: &Spot) -> impl Iterator<Item = String> {
    let one = |it: &super::spot::Sequence, last: &str, beyond: &str| {
        let sequence = format!("{}::pg_catalog.regclass", postgres_text(&it.name));
        // A number that the sequence cannot take is none that it would give.
        format!(
            "SELECT pg_catalog.setval({sequence}, m.v) \
             FROM (SELECT pg_catalog.{last}({})::pg_catalog.int8 AS v FROM {}) AS m, {} AS l, pg_catalog.pg_sequence AS p \
             WHERE p.seqrelid = {sequence} AND p.seqincrement {beyond} 0 AND m.v BETWEEN p.seqmin AND p.seqmax \
             AND (m.v {beyond} l.last_value OR m.v = l.last_value AND NOT l.is_called)",
            it.column, spot.from, it.name
        )
    };
    let ours = spot.sequences.iter().filter(|it| it.ours);
    ours.flat_map(move |it| [("max", ">"), ("min", "<")].map(|(last, beyond)| one(it, last, beyond)))
}

/// What each column would hold, as a literal.
fn literals(aims: &[Aim<'_>], row: Row<'_>, unchecked: bool) -> Result<Vec<String>> {
    let columns: Vec<(usize, &Column)> = aims.iter().map(|it| (it.place, it.column)).collect();
    let mut message = encode::HEAD.to_vec();
    Encoder::new(&columns, row.shape(), unchecked).row(&[], row, &mut message)?;
    let cell =
        |it: &Aim<'_>| decode::Cell { form: it.column.form, to: it.column.form.ty(), column: it.column.name.clone() };
    let fields: Vec<Field> =
        aims.iter().map(|it| Field::new(it.column.name.clone(), Cast::new(it.column.form.ty()))).collect();
    let compared = fields.len();
    let mut read = Batch::new(Arc::new(Shape { fields, key: 0, compared, keyless: false }));
    Decoder::new(aims.iter().map(cell).collect()).take(&message, &mut read)?;
    let mut scratch = Vec::new();
    let literal = |(place, aim): (usize, &Aim<'_>)| match read.is_empty() {
        true => Err(Error::new(Kind::Broken, "a row that was encoded could not be decoded; please report this defect")),
        false => literal(read.row(0).value(place, &mut scratch), aim.column),
    };
    aims.iter().enumerate().map(literal).collect()
}

fn literal(value: Value<'_>, column: &Column) -> Result<String> {
    let mut spelt = Vec::new();
    match value {
        Value::Null => return Ok("NULL".to_owned()),
        Value::Bytes(it) => return Ok(postgres_bytes(it)),
        value => {
            spell(value, &mut spelt);
        }
    }
    let spelt = String::from_utf8(spelt).ok().filter(|it| !it.is_empty() || value == Value::Text(""));
    let spelt = spelt.ok_or_else(|| {
        let what = "is text that is not UTF-8, which no script can hold; `cutover repair --apply` writes it";
        Error::new(Kind::Row, format_args!("column `{}`: the value {what}", column.name))
    })?;
    let bare = matches!(column.form, Form::Int2 | Form::Int4 | Form::Int8 | Form::Oid | Form::Numeric)
        && spelt.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'-' | b'.'));
    Ok(match value {
        _ if bare => spelt,
        Value::Date(_) | Value::Timestamp(_) | Value::DateTime(_) => postgres_text(&postgres_date(&spelt)),
        _ => postgres_text(&spelt),
    })
}

/// A literal as a value of the column.
fn value(column: &Column, literal: &str) -> String {
    if literal == "NULL" { literal.to_owned() } else { column.value(literal) }
}

/// That the column holds this value.
fn is(column: &Column, literal: &str, keyless: bool) -> String {
    let name = identifier(&column.name);
    match column.form {
        _ if literal == "NULL" => format!("{name} IS NULL"),
        // Documents have no equality of their own.
        Form::Json | Form::Array | Form::Composite => {
            format!("({})::pg_catalog.jsonb = {literal}::pg_catalog.jsonb", column.form.ask(&name))
        }
        Form::Spelled if keyless => format!("{} = {literal}", column.form.ask(&name)),
        _ if column.blurred => {
            let value = format!("({literal})::{}", column.declared);
            format!("{name} = {value} AND {} = {}", column.seen(&name), column.seen(&value))
        }
        _ => format!("{name} = {}", column.value(literal)),
    }
}
