//! Reading a table.

use super::{
    catalog::Relation,
    decode::{Cell, Decoder},
    failure,
    order::{Way, range},
    session::Session,
    straight::Straight,
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    store::{places, sql::identifier},
};
use futures_util::StreamExt;
use std::{pin::pin, sync::Arc};

/// What the table is called in a query.
pub(super) const ALIAS: &str = "read";

/// What to read of a table.
pub(super) struct Scan {
    pub relation: Arc<Relation>,
    pub shape: Arc<Shape>,
    /// One a field of the shape.
    pub cells: Vec<Cell>,
    /// The query without condition and order.
    pub select: String,
}

impl Scan {
    /// # Errors
    /// If a field names a column that is not there.
    pub(super) fn new(relation: &Arc<Relation>, table: &Table, shape: &Arc<Shape>) -> Result<Scan> {
        let (mut cells, mut asked) = (Vec::new(), Vec::new());
        for (place, field) in places(table, shape)?.into_iter().zip(&shape.fields) {
            let absent = || Error::new(Kind::Store, format_args!("table `{}` was altered; run again", table.name));
            let attribute = relation.columns.get(place).ok_or_else(absent)?;
            cells.push(Cell { form: attribute.form, to: field.cast.ty, column: attribute.name.clone() });
            asked.push(attribute.form.ask(&identifier(&attribute.name)));
        }
        let select = format!("SELECT {} FROM {} AS {ALIAS}", asked.join(", "), relation.from);
        Ok(Scan { relation: Arc::clone(relation), shape: Arc::clone(shape), cells, select })
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// If the server fails, what it sends is damaged, an index lost rows, or `feed` fails.
    pub(super) fn read(&self, session: &Session, way: &Way, feed: &mut dyn Feed) -> Result<()> {
        let mut decoder = Decoder::new(self.cells.clone());
        let mut batch = Batch::new(Arc::clone(&self.shape));
        let order = if let Way::Index(order) = way { format!(" ORDER BY {order}") } else { String::new() };
        let flow = match way {
            Way::Straight => {
                let mut straight = Straight::new(feed, &self.shape);
                match self.part(session, &order, &mut decoder, &mut batch, &mut straight)? {
                    Flow::Continue => straight.end(&mut batch)?,
                    Flow::Stop => Flow::Stop,
                }
            }
            // Strands may be read by several sessions, so who asked for them tells them apart.
            Way::Heap | Way::Woven | Way::Index(_) => {
                match self.part(session, &order, &mut decoder, &mut batch, feed)? {
                    Flow::Continue if !batch.is_empty() => feed.take(&mut batch)?,
                    flow => flow,
                }
            }
        };
        match way {
            Way::Index(_) if flow == Flow::Continue => self.recount(session, decoder.rows),
            _ => Ok(()),
        }
    }

    /// Reads the rows that lie in these pages.
    ///
    /// # Errors
    /// As [`Scan::read`].
    pub(super) fn pages(
        &self,
        session: &Session,
        (from, to): (u64, Option<u64>),
        decoder: &mut Decoder,
        batch: &mut Batch,
        feed: &mut dyn Feed,
    ) -> Result<Flow> {
        decoder.restart();
        self.part(session, &format!(" WHERE {}", range(from, to)), decoder, batch, feed)
    }

    /// Reads what `rest` of the query says. The last batch may stay behind.
    fn part(
        &self,
        session: &Session,
        rest: &str,
        decoder: &mut Decoder,
        batch: &mut Batch,
        feed: &mut dyn Feed,
    ) -> Result<Flow> {
        let sql = format!("COPY ({}{rest}) TO STDOUT (FORMAT binary)", self.select);
        session.aside(|| {
            session.run("SET LOCAL statement_timeout = 0")?;
            if self.relation.partial {
                session.run("SET LOCAL row_security = on")?;
            }
            if self.relation.view {
                session.as_the_user()?;
            }
            let flow = session.connection.runtime.block_on(self.copy(session, &sql, decoder, batch, feed))?;
            // A view has no pages that could be gone.
            let done = flow == Flow::Continue && !self.relation.view;
            if done { self.still_there(session).map(|()| flow) } else { Ok(flow) }
        })
    }

    /// TRUNCATE and what writes a table anew do not heed older snapshots: to them it is empty. The lock that reading took is still
    /// held, so what is found now was so while it was read.
    pub(super) fn still_there(&self, session: &Session) -> Result<()> {
        let asked = "SELECT coalesce(bool_and(c.relfilenode = pg_relation_filenode(c.oid)), true)
            FROM pg_class AS c WHERE c.relkind IN ('r', 'm')
                AND c.oid IN (SELECT $1::oid UNION ALL SELECT relid FROM pg_partition_tree($1::oid))";
        let rows = session.rows(asked, &[&self.relation.oid])?;
        if rows.first().and_then(|it| it.try_get(0).ok()).unwrap_or(false) {
            return Ok(());
        }
        let name = self.name();
        let message = format!("table `{name}` was truncated or written anew since the run began; run again");
        Err(Error::new(Kind::Store, message))
    }

    async fn copy(
        &self,
        session: &Session,
        sql: &str,
        decoder: &mut Decoder,
        batch: &mut Batch,
        feed: &mut dyn Feed,
    ) -> Result<Flow> {
        let failed = |it: &tokio_postgres::Error| failure::of(it, format_args!("cannot read table `{}`", self.name()));
        let stream = session.connection.client.copy_out(sql).await.map_err(|it| failed(&it))?;
        let mut stream = pin!(stream);
        while let Some(message) = stream.next().await {
            let message = message.map_err(|it| failed(&it))?;
            let taken = decoder.take(&message, batch).map_err(|it| it.context(format_args!("table `{}`", self.name())));
            let flow = match taken {
                Ok(()) if batch.is_full() => feed.take(batch),
                other => other.map(|()| Flow::Continue),
            };
            if !matches!(flow, Ok(Flow::Continue)) {
                // The rest would be sent to the end; what comes until the server has heard is thrown away. Should it not hear,
                // that is all of it.
                let _ = session.connection.cancel().await;
                while let Some(Ok(_)) = stream.next().await {}
                return flow;
            }
        }
        decoder.end().map_err(|it| it.context(format_args!("table `{}`", self.name())))?;
        Ok(Flow::Continue)
    }

    /// Counts the rows where they lie, which no index can change.
    fn recount(&self, session: &Session, read: u64) -> Result<()> {
        let asked = format!("SELECT pg_catalog.count(*) FROM {}", self.relation.from);
        let counted = session.aside(|| {
            session.run(
                "SET LOCAL statement_timeout = 0; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; \
                 SET LOCAL enable_bitmapscan = off; SET LOCAL max_parallel_workers_per_gather = 2",
            )?;
            session.rows(&asked, &[])
        })?;
        let counted: Option<i64> = counted.first().and_then(|it| it.try_get(0).ok());
        if counted.and_then(|it| u64::try_from(it).ok()) == Some(read) {
            return Ok(());
        }
        let (name, counted) = (self.name(), counted.unwrap_or_default());
        let message = format!(
            "table `{name}` holds {counted} rows, and its index gives {read}: the index is damaged; REINDEX TABLE {}",
            self.relation.from.trim_start_matches("ONLY ")
        );
        Err(Error::new(Kind::Store, message))
    }

    fn name(&self) -> &str {
        &self.relation.name
    }
}
