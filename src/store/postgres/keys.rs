//! Reading the rows of some keys again.

use super::session::Session;
use super::{catalog::Attribute, decode, failure, form::Form, scan::Scan};
use crate::{
    error::{Error, Result},
    row::{Batch, Feed, Flow},
    store::sql::identifier,
    value::{
        Type, Value,
        time::{Moment, write_date, write_moment},
        write_uuid,
    },
};
use futures_util::StreamExt;
use std::{error, pin::pin, sync::Arc};
use tokio_postgres::{
    Row,
    types::{FromSql, ToSql, Type as Declared},
};

/// Keys that are asked for at once.
const AT_ONCE: usize = 1000;

/// 0001-01-01 and 10000-01-01: moments in between are written as every server reads them.
const WRITTEN: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// How a key's column is asked for.
struct Asked {
    /// The column, quoted.
    column: String,
    form: Form,
    /// The type that the texts are cast to.
    cast: &'static str,
}

/// The bytes of a field as the server sent them.
struct Bytes<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Bytes<'r> {
    fn from_sql(_: &Declared, raw: &'r [u8]) -> Result<Self, Box<dyn error::Error + Sync + Send>> {
        Ok(Bytes(raw))
    }

    fn accepts(_: &Declared) -> bool {
        true
    }
}

impl Scan {
    /// Reads the rows of these keys. False: they cannot be asked for, so that the whole table has to be read.
    ///
    /// # Errors
    /// As [`Scan::read`].
    pub(super) fn of_keys(&self, session: &Session, keys: &Batch, feed: &mut dyn Feed) -> Result<bool> {
        // A view is read as its users read it, who may have operators of their own. Whole rows are in no index.
        let Some(asked) = self.asked().filter(|_| !self.relation.view && !self.shape.keyless) else { return Ok(false) };
        let mut batch = Batch::new(Arc::clone(&self.shape));
        let mut texts: Vec<Vec<String>> = vec![Vec::new(); asked.len()];
        for at in 0..keys.len() {
            match texts_of(&asked, keys, at) {
                Spelt::All(all) => texts.iter_mut().zip(all).for_each(|(texts, text)| texts.push(text)),
                Spelt::Nowhere => {}
                Spelt::Unsaid => return Ok(false),
            }
        }
        let count = texts.first().map_or(0, Vec::len);
        for start in (0..count).step_by(AT_ONCE) {
            let chunk: Vec<&[String]> = texts.iter().map(|it| &it[start..count.min(start + AT_ONCE)]).collect();
            if self.some(session, &asked, &chunk, &mut batch, feed)? == Flow::Stop {
                return Ok(true);
            }
        }
        if !batch.is_empty() {
            let _ = feed.take(&mut batch)?;
        }
        Ok(true)
    }

    fn asked(&self) -> Option<Vec<Asked>> {
        let key = self.cells.iter().zip(&self.shape.fields).take(self.shape.key);
        let asked: Option<Vec<Asked>> = key
            .map(|(cell, field)| {
                let attribute = self.relation.columns.iter().find(|it| it.name == cell.column)?;
                let plain = field.cast.coarsen.is_none() && field.cast.zone.is_none() && !field.cast.empty_is_null;
                let cast = cast(attribute).filter(|_| plain && (cell.to == Type::Any || cell.to == cell.form.ty()))?;
                Some(Asked { column: identifier(&cell.column), form: cell.form, cast })
            })
            .collect();
        asked.filter(|it| !it.is_empty())
    }

    fn some(
        &self,
        session: &Session,
        asked: &[Asked],
        texts: &[&[String]],
        batch: &mut Batch,
        feed: &mut dyn Feed,
    ) -> Result<Flow> {
        let sql = match asked {
            [Asked { column, cast, .. }] => format!("{} WHERE {column} = ANY($1::text[]::{cast}[])", self.select),
            _ => {
                let columns: Vec<&str> = asked.iter().map(|it| it.column.as_str()).collect();
                let casts: Vec<String> =
                    asked.iter().enumerate().map(|(at, it)| format!("key.k{at}::{}", it.cast)).collect();
                let (names, texts): (Vec<String>, Vec<String>) =
                    (0..asked.len()).map(|at| (format!("k{at}"), format!("${}::text[]", at + 1))).unzip();
                format!(
                    "{} WHERE ({}) IN (SELECT {} FROM unnest({}) AS key({}))",
                    self.select,
                    columns.join(", "),
                    casts.join(", "),
                    texts.join(", "),
                    names.join(", ")
                )
            }
        };
        let failed = |it: &tokio_postgres::Error| {
            failure::of(it, format_args!("cannot read rows of table `{}`", self.relation.name))
        };
        let parameters: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
        let declared = vec![Declared::TEXT_ARRAY; texts.len()];
        session.aside(|| {
            if self.relation.partial {
                session.run("SET LOCAL row_security = on")?;
            }
            let client = &session.connection.client;
            let flow = session.connection.runtime.block_on(async {
                // The client asks what a user's own type is. Prepared before, it does so while no rows are on their way, behind which
                // it would wait for its answer, and nobody would take the rows.
                let statement = client.prepare_typed(&sql, &declared).await.map_err(|it| failed(&it))?;
                let rows = client.query_raw(&statement, parameters).await.map_err(|it| failed(&it))?;
                let (mut rows, mut scratch) = (pin!(rows), Vec::new());
                while let Some(row) = rows.next().await {
                    self.push(&row.map_err(|it| failed(&it))?, batch, &mut scratch)?;
                    if batch.is_full() && feed.take(batch)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
                Ok::<_, Error>(Flow::Continue)
            })?;
            self.still_there(session).map(|()| flow)
        })
    }

    fn push(&self, row: &Row, batch: &mut Batch, scratch: &mut Vec<u8>) -> Result<()> {
        batch.fill_with(|place, slot| {
            let bytes: Result<Option<Bytes<'_>>, _> = row.try_get(place);
            let bytes = bytes.map_err(|it| failure::of(&it, "cannot read a row"))?;
            match self.cells.get(place) {
                Some(cell) => decode::put(cell, bytes.map(|it| it.0), slot, scratch),
                None => Err(Error::new(crate::error::Kind::Broken, "a row has more fields than were asked for")),
            }
        })
    }
}

/// What the texts of a column's keys are cast to, so that its index can be used and none of them is refused.
fn cast(it: &Attribute) -> Option<&'static str> {
    Some(match it.form {
        Form::Bool => "pg_catalog.bool",
        // Wider than the column may be: a number that it cannot hold is just not there.
        Form::Int2 | Form::Int4 | Form::Int8 => "pg_catalog.int8",
        Form::Numeric => "pg_catalog.numeric",
        Form::Text => "pg_catalog.text",
        Form::Bytes => "pg_catalog.bytea",
        Form::Date => "pg_catalog.date",
        Form::DateTime => "pg_catalog.timestamp",
        Form::Timestamp => "pg_catalog.timestamptz",
        Form::Uuid => "pg_catalog.uuid",
        _ => return None,
    })
}

/// The key of a row, for the server.
enum Spelt {
    All(Vec<String>),
    /// No row of the table can have it.
    Nowhere,
    /// It cannot be said so that the server surely understands.
    Unsaid,
}

fn texts_of(asked: &[Asked], keys: &Batch, at: usize) -> Spelt {
    let (row, mut all, mut nowhere) = (keys.row(at), Vec::new(), false);
    for (place, asked) in asked.iter().enumerate() {
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        let written = |it: Moment| it.is_infinite() || WRITTEN.contains(&it.seconds);
        match (asked.form, row.value(place, &mut scratch)) {
            (Form::Bool, Value::Bool(it)) => out.extend_from_slice(it.to_string().as_bytes()),
            (Form::Int2 | Form::Int4 | Form::Int8, Value::Int(it)) => out.extend_from_slice(it.to_string().as_bytes()),
            // To the server it is equal to nothing, and still there may be rows that have it.
            (_, Value::Null) => return Spelt::Unsaid,
            // Before PostgreSQL 14 it is refused.
            (Form::Numeric, Value::Decimal("Infinity" | "-Infinity")) => return Spelt::Unsaid,
            (Form::Numeric, Value::Decimal(it)) => out.extend_from_slice(it.as_bytes()),
            (Form::Numeric, Value::Int(it)) => out.extend_from_slice(it.to_string().as_bytes()),
            // No text of the server's has a NUL.
            (Form::Text, Value::Text(it)) if !it.contains('\0') => out.extend_from_slice(it.as_bytes()),
            (Form::Text, Value::Malformed(_)) => return Spelt::Unsaid,
            (Form::Uuid, Value::Uuid(it)) => write_uuid(&it, &mut out),
            (Form::Bytes, Value::Bytes(it)) => {
                out.extend_from_slice(b"\\x");
                it.iter().for_each(|byte| out.extend_from_slice(format!("{byte:02x}").as_bytes()));
            }
            (Form::Date, Value::Date(it)) => {
                if !WRITTEN.contains(&it.saturating_mul(86_400)) && it != i64::MAX && it != i64::MIN {
                    return Spelt::Unsaid;
                }
                write_date(it, &mut out);
            }
            (Form::Timestamp, Value::Timestamp(it)) if written(it) => write_moment(it, true, &mut out),
            (Form::DateTime, Value::DateTime(it)) if written(it) => write_moment(it, false, &mut out),
            (
                Form::Date | Form::Timestamp | Form::DateTime,
                Value::Text(_) | Value::Timestamp(_) | Value::DateTime(_),
            ) => {
                return Spelt::Unsaid;
            }
            _ => nowhere = true,
        }
        match String::from_utf8(out) {
            Ok(text) => all.push(text),
            Err(_) => return Spelt::Unsaid,
        }
    }
    if nowhere { Spelt::Nowhere } else { Spelt::All(all) }
}
