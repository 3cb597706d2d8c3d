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

/// The statement for one change; empty, where there is nothing to set.
///
/// # Errors
/// If a column is not there, or cannot hold a value.
pub(super) fn of(spot: &Spot, edit: Edit<'_>, unchecked: bool) -> Result<String> {
    let row = edit.row();
    let aims = spot.aims(row.shape())?;
    let literals = literals(&aims, row, unchecked)?;
    let keyless = row.shape().keyless;
    let is = aims.iter().zip(&literals).filter(|it| it.0.key).map(|(aim, it)| is(aim.column, it, keyless));
    let (from, is) = (&spot.from, is.collect::<Vec<_>>().join(" AND "));
    let name = |it: &Aim<'_>| identifier(&it.column.name);
    Ok(match edit {
        Edit::Insert(_) => {
            let written = aims.iter().zip(&literals).filter(|it| !it.0.column.generated);
            let (names, values): (Vec<String>, Vec<String>) =
                written.map(|(aim, it)| (name(aim), value(aim.column, it))).unzip();
            let (names, values) = (names.join(", "), values.join(", "));
            let always = if aims.iter().any(|it| it.column.always) { "OVERRIDING SYSTEM VALUE " } else { "" };
            let key: Vec<String> = aims.iter().filter(|it| it.key).map(name).collect();
            let unless = match spot.arbiter(&aims) && !keyless {
                true => format!(" ON CONFLICT ({}) DO NOTHING", key.join(", ")),
                false => String::new(),
            };
            format!("INSERT INTO {} ({names}) {always}VALUES ({values}){unless};", spot.into)
        }
        Edit::Update(_, places) => {
            let set = aims.iter().zip(&literals).filter(|it| places.contains(&it.0.place));
            let set = set.filter(|it| !it.0.column.generated && !it.0.column.always);
            let set: Vec<String> = set.map(|(aim, it)| format!("{} = {}", name(aim), value(aim.column, it))).collect();
            match set.is_empty() {
                true => String::new(),
                false => format!("UPDATE {from} SET {} WHERE {is};", set.join(", ")),
            }
        }
        Edit::Delete(_) if keyless => format!(
            "DELETE FROM {from} WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM {from} WHERE {is} LIMIT 1);"
        ),
        Edit::Delete(_) => format!("DELETE FROM {from} WHERE {is};"),
    })
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
        _ => format!("{name} = {}", column.value(literal)),
    }
}
