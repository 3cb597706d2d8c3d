//! A service that takes rows at an address of its own, all of a table in one request.
//!
//! Nobody can know what such a service does with rows that it gets twice. So a request is made once: if its answer is lost,
//! somebody has to look.

use super::client;
use crate::{
    error::{Error, Kind, Result},
    row::Batch,
    schema::Table,
    store::{
        Options,
        about::{Fact, Level},
        document,
        pace::Cost,
        target::{Begin, Changes, Room, Target, Work, Written},
        web::{Advice, Request, Web},
    },
    value::json::write_string,
};
use reqwest::Method;
use std::collections::HashSet;

/// A service to send rows to.
pub struct Writer {
    web: Web,
    /// Where they are sent.
    path: String,
    /// The tables of which rows were sent, whatever became of them.
    sent: HashSet<String>,
    /// Requests a second, where somebody said how many.
    rate: Option<f64>,
}

/// Bytes of cells that one request may hold.
const BYTES_MAX: usize = 256 << 20;

impl Writer {
    /// The service that the settings describe; `import` says where it takes rows.
    ///
    /// # Errors
    /// If a setting is missing or cannot be used, or `import` leads elsewhere.
    pub fn open(options: &Options) -> Result<Writer> {
        let (web, _) = client(options)?;
        let import = options.settings.text("import").ok_or_else(|| {
            let what = "http: a service takes rows where `import` says, such as `import = \"/api/admin/import\"`";
            Error::new(Kind::Plan, what)
        })?;
        let path = web.follow("", import).map_err(|it| Error::new(Kind::Plan, format_args!("`import`: {it}")))?;
        Ok(Writer { web, path, sent: HashSet::new(), rate: options.rate })
    }
}

/// The rows as a JSON array of objects; those of a document of keys and values as that document.
fn body(batch: &Batch) -> Result<Vec<u8>> {
    let fields = &batch.shape().fields;
    let is_document = fields.iter().map(|it| it.column.as_str()).eq(["key", "value"]);
    let (open, close) = if is_document { (b'{', b'}') } else { (b'[', b']') };
    let mut out = vec![open];
    for (at, row) in batch.rows().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let values = fields.iter().enumerate().map(|(place, it)| document::json(row, place, it));
        let values = values.collect::<Result<Vec<String>>>()?;
        if is_document {
            out.extend(values.join(":").bytes());
            continue;
        }
        for (place, (field, value)) in fields.iter().zip(values).enumerate() {
            out.push(if place == 0 { b'{' } else { b',' });
            write_string(&field.column, &mut out);
            out.push(b':');
            out.extend(value.bytes());
        }
        out.push(b'}');
    }
    out.push(close);
    Ok(out)
}

/// A batch is a table.
pub(in crate::store) const ROOM: Room = Room { rows: usize::MAX, rows_max: usize::MAX, bytes_max: BYTES_MAX };

/// One request a batch.
pub(in crate::store) fn cost(work: Work, rate: Option<f64>) -> Cost {
    Cost::at(work.batches, rate)
}

impl Target for Writer {
    fn room(&self, _: &Table) -> Room {
        ROOM
    }

    fn cost(&self, work: Work) -> Option<Cost> {
        Some(cost(work, self.rate))
    }

    fn fingerprint(&self) -> String {
        format!("http {}", self.web.name())
    }

    fn begin(&mut self, _: &Begin<'_>) -> Result<Vec<Fact>> {
        let once = "sent in one request for each table, and once: what the service does with them is its own matter";
        Ok(vec![Fact::new("rows", once).level(Level::Note)])
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        if !changes.updates.is_empty() || !changes.deletes.is_empty() {
            let what = "http: the service takes new rows only; rows that are there cannot be changed or deleted";
            return Err(Error::new(Kind::Plan, what));
        }
        if changes.inserts.is_empty() {
            return Ok(Written::default());
        }
        let table = &changes.table.name;
        if self.sent.contains(table) {
            let what = format_args!(
                "http: rows of `{table}` were sent before; look at the service before they are sent again"
            );
            return Err(Error::new(Kind::Store, what));
        }
        let body = body(changes.inserts)?;
        let sent = self.web.send(&Request::write(Method::POST, &self.path, &body), &Advice::usual);
        if sent.as_ref().map_or_else(|it| it.kind() == Kind::Unsure, |_| true) {
            self.sent.insert(table.clone());
        }
        sent?;
        Ok(Written { inserted: changes.inserts.len() as u64, ..Written::default() })
    }

    fn mark(&mut self, _: &str, _: &str) -> Result<Option<u64>> {
        Ok(None)
    }
}
