//! In which order a table is read.
//!
//! An index that is in our order costs a tenth more than the pages do, and saves sorting. The pages of a table are seldom quite in the order of
//! its key, even if its rows were never changed: `COPY` puts rows into the room that earlier ones left. An index that is
//! damaged loses rows without a word, so the rows that come through one are counted against the pages. The server is never
//! asked to sort: that is done here, within the memory that is allowed.

use super::{
    catalog::{Attribute, Relation},
    scan::{ALIAS, Scan},
    session::Session,
};
use crate::{error::Result, row::Shape, schema::Table, store::sql::identifier};

/// In which order the rows come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As they lie, which is not the order of the key.
    Heap,
    /// Through an index, by this list of columns.
    Index(String),
}

/// From which correlation on, as the server's statistics call it, an index is worth following, in either direction.
const CORRELATED: f64 = 0.9;

/// Ranges of pages are read quickly since this version.
pub(super) const RANGES: u32 = 140_000;

impl Way {
    /// Finds the way for the key of what is read.
    ///
    /// # Errors
    /// If the server fails.
    pub(super) fn find(session: &Session, scan: &Scan, table: &Table) -> Result<Way> {
        let relation = &scan.relation;
        // Where not all rows may be seen, nothing more is to be gained.
        let key = sorted_key(relation, table, &scan.shape).filter(|_| !relation.partial);
        let Some(key) = key else { return Ok(Way::Heap) };
        if scattered(session, relation, table, &scan.shape)? {
            return Ok(Way::Heap);
        }
        let order = key.join(", ");
        let asked = format!("EXPLAIN (FORMAT JSON) {} ORDER BY {order}", scan.select);
        let plan = session.texts(&asked)?.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let sorts = [r#""Node Type": "Sort""#, r#""Node Type": "Incremental Sort""#].iter().any(|it| plan.contains(it));
        Ok(if sorts { Way::Heap } else { Way::Index(order) })
    }
}

/// The key's columns, quoted, if the server's order of them is ours and no two rows share them.
fn sorted_key(relation: &Relation, table: &Table, shape: &Shape) -> Option<Vec<String>> {
    let mut places = Vec::new();
    for field in shape.fields.get(..shape.key)? {
        let place = table.column(&field.column)?;
        let attribute = relation.columns.get(place)?;
        if !sorts(attribute) || !attribute.form.sorts_as(field.cast.ty) || field.cast.coarsen.is_some() {
            return None;
        }
        places.push(place);
    }
    let within = |it: &Vec<usize>| !it.is_empty() && it.iter().all(|place| places.contains(place));
    let unique = within(&table.key) || table.uniques.iter().any(|it| it.enforced && within(&it.columns));
    // With the table in front, since alone it may be taken for one of the values that are asked for.
    let name = |place: &usize| relation.columns.get(*place).map(|it| format!("{ALIAS}.{}", identifier(&it.name)));
    if unique { places.iter().map(name).collect() } else { None }
}

fn sorts(it: &Attribute) -> bool {
    let collated = it.form == super::form::Form::Text;
    !it.nullable && (!collated || it.bytewise)
}

/// Whether neighbours in the key lie far apart, as random identifiers do. Through the index each row would then cost a page, which
/// is more than to sort.
fn scattered(session: &Session, relation: &Relation, table: &Table, shape: &Shape) -> Result<bool> {
    let first = shape.fields.first().and_then(|it| relation.columns.get(table.column(&it.column)?));
    let Some(first) = first else { return Ok(false) };
    let asked = "SELECT s.correlation::float8 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname WHERE c.oid = $1 AND s.attname = $2 \
        ORDER BY s.inherited DESC LIMIT 1";
    let rows = session.rows(asked, &[&relation.oid, &first.name.as_str()])?;
    let correlation: Option<f64> = rows.first().and_then(|it| it.try_get(0).ok()).flatten();
    Ok(correlation.is_some_and(|it| it.abs() < CORRELATED))
}

impl Relation {
    /// Whether ranges of its pages can be read quickly.
    pub(super) fn ranged(&self, session: &Session) -> bool {
        self.paged && !self.partial && session.facts.version >= RANGES
    }
}

/// How many pages a table has now, of its partitions the one that has most.
///
/// # Errors
/// If the server fails.
pub(super) fn pages(session: &Session, relation: &Relation) -> Result<u64> {
    let asked = "SELECT max(pg_relation_size(p.relid)) / current_setting('block_size')::int8 FROM (
        SELECT relid::oid FROM pg_partition_tree($1::oid) UNION ALL SELECT $1::oid) AS p(relid)";
    let rows = session.rows(asked, &[&relation.oid])?;
    let pages: Option<i64> = rows.first().and_then(|it| it.try_get(0).ok()).flatten();
    Ok(pages.and_then(|it| u64::try_from(it).ok()).unwrap_or_default())
}

/// The condition for the rows that lie in these pages; without an end, all that follow too.
pub(super) fn range(from: u64, to: Option<u64>) -> String {
    let end = to.map(|it| format!(" AND ctid < '({it},0)'")).unwrap_or_default();
    format!("ctid >= '({from},0)'{end}")
}
