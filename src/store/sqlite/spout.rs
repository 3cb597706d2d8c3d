//! Rows that SQLite itself puts into batches.
//!
//! Asking a statement for a cell takes three or four calls, each of which finds the row, checks the column and notes errors again.
//! The arguments of a function are at hand without that. So a function that takes a row stands where a condition would, as in
//! `SELECT 1 FROM t WHERE cutover_take(a, b)`. It holds for the row that makes a batch full: SQLite then comes back once a batch
//! and not once a row.

use crate::{
    error::{Error, Result},
    row::{Batch, Feed, Flow, Shape, Slot},
    value::Value,
};
use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    limits::Limit,
    types::ValueRef,
};
use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What the function is called. No schema may name it, so it cannot be called from within a database.
const NAME: &str = "cutover_take";

/// What the function hands over to whoever runs the query.
struct Handed {
    batch: Batch,
    error: Option<Error>,
}

/// Whether a function can take so many cells.
pub(super) fn takes(connection: &Connection, width: usize) -> bool {
    let limit = connection.limit(Limit::SQLITE_LIMIT_FUNCTION_ARG);
    limit.is_ok_and(|it| usize::try_from(it).is_ok_and(|it| (1..=it).contains(&width)))
}

/// Feeds these columns of a table, in the order in which a query of the table gives its rows.
///
/// A condition is asked once for every row of a table. A view is another matter: SQLite may ask before rows are grouped.
pub(super) fn scan(
    connection: &Connection,
    (columns, table): (&str, &str),
    shape: &Arc<Shape>,
    feed: &mut dyn Feed,
    context: impl Fn(&rusqlite::Error) -> Error,
) -> Result<Flow> {
    let handed = Arc::new(Mutex::new(Handed { batch: Batch::new(Arc::clone(shape)), error: None }));
    install(connection, shape, Arc::clone(&handed)).map_err(|it| context(&it))?;
    let query = format!("SELECT 1 FROM {table} WHERE {NAME}({columns})");
    let flow = run(connection, &query, &handed, feed, &context).and_then(|flow| {
        if flow == Flow::Continue {
            // Without cells the function hands over what remains.
            let _ = run(connection, &format!("SELECT {NAME}()"), &handed, feed, &context)?;
        }
        Ok(flow)
    });
    // The connection lives on and need not keep a batch. When this fails, the next scan puts its own function in the place.
    let _ = connection.remove_function(NAME, -1);
    flow
}

fn run(
    connection: &Connection,
    query: &str,
    handed: &Mutex<Handed>,
    feed: &mut dyn Feed,
    context: &impl Fn(&rusqlite::Error) -> Error,
) -> Result<Flow> {
    let mut statement = connection.prepare(query).map_err(|it| context(&it))?;
    let mut rows = statement.query([]).map_err(|it| context(&it))?;
    while rows.next().map_err(|it| context(&it))?.is_some() {
        let mut handed = lock(handed);
        if let Some(error) = handed.error.take() {
            return Err(error);
        }
        if !handed.batch.is_empty() && feed.take(&mut handed.batch)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}

fn install(connection: &Connection, shape: &Arc<Shape>, handed: Arc<Mutex<Handed>>) -> rusqlite::Result<()> {
    let batch = RefCell::new(Batch::new(Arc::clone(shape)));
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(NAME, -1, flags, move |row| {
        let mut batch = batch.borrow_mut();
        let taken = if row.is_empty() { Ok(true) } else { take(row, &mut batch) };
        // Nobody but the function has the batch until it is handed over, so a row costs no lock.
        let over = !matches!(taken, Ok(false));
        if over {
            let mut handed = lock(&handed);
            std::mem::swap(&mut handed.batch, &mut batch);
            handed.error = taken.err();
        }
        Ok(over)
    })
}

/// Takes one row. True: the batch is full.
#[inline(always)]
fn take(row: &Context<'_>, batch: &mut Batch) -> Result<bool> {
    batch.fill_with(|place, slot| {
        put(row.get_raw(place), slot);
        Ok(())
    })?;
    Ok(batch.is_full())
}

/// Puts what SQLite has into its slot.
#[inline(always)]
pub(super) fn put(value: ValueRef<'_>, slot: &mut Slot<'_>) {
    match value {
        ValueRef::Null => slot.put(Value::Null),
        ValueRef::Integer(it) => slot.put(Value::Int(it)),
        ValueRef::Real(it) => slot.put(Value::Real(it)),
        ValueRef::Text(it) => slot.put(Value::Raw(it)),
        ValueRef::Blob(it) => slot.put(Value::Bytes(it)),
    }
}

fn lock(handed: &Mutex<Handed>) -> MutexGuard<'_, Handed> {
    handed.lock().unwrap_or_else(PoisonError::into_inner)
}
