//! In which order a table is read.
//!
//! A table in the order of its pages is the cheapest to read, and if its rows were never changed, that is often the order of
//! its key. An index costs a little more, and one that is damaged loses rows without a word, so the rows that come through one
//! are counted against the pages. The server is never asked to sort: that is done here, within the memory that is allowed.

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
    /// As they lie, which looks like the order of the key.
    OrderedHeap,
    /// Through an index, by this list of columns.
    Index(String),
}

/// Tables of at least so many pages are looked at in so many places.
const PROBES: u64 = 24;

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
        if lies_in_order(session, relation, &key)? {
            return Ok(Way::OrderedHeap);
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

/// Whether the rows of some pages, spread over the table, lie in the order of the key. Nobody ever changed one, as far as the
/// server remembers: a changed row moves to where there is room.
fn lies_in_order(session: &Session, relation: &Relation, key: &[String]) -> Result<bool> {
    if !relation.ranged(session) || !relation.from.starts_with("ONLY ") {
        return Ok(false);
    }
    let pages = pages(session, relation)?;
    let changed = "SELECT pg_stat_get_tuples_updated($1::oid) = 0";
    let untouched = session.rows(changed, &[&relation.oid])?;
    if !untouched.first().and_then(|it| it.try_get(0).ok()).unwrap_or(false) {
        return Ok(false);
    }
    // The names here are ours: a column may be called anything.
    let named = key.iter().enumerate().map(|(at, it)| format!("{it} AS k{at}")).collect::<Vec<_>>().join(", ");
    let looked = |page: u64| {
        format!("SELECT ctid AS place, {named} FROM {} AS {ALIAS} WHERE {}", relation.from, range(page, Some(page + 1)))
    };
    // The first and the last page, and some in between.
    let places = (0..PROBES).map(|it| it * pages.saturating_sub(1) / (PROBES - 1));
    let mut places: Vec<u64> = places.chain(pages.checked_sub(2)).collect();
    places.sort_unstable();
    places.dedup();
    let looked = places.into_iter().map(looked).collect::<Vec<_>>().join(" UNION ALL ");
    let each = |as_told: fn(usize) -> String| (0..key.len()).map(as_told).collect::<Vec<_>>().join(", ");
    let (this, before) = (each(|at| format!("k{at}")), each(|at| format!("lag(k{at}) OVER w")));
    let asked = format!(
        "SELECT coalesce(bool_and(fits), true) FROM (SELECT ROW({this}) > ROW({before}) AS fits FROM ({looked}) AS looked \
         WINDOW w AS (ORDER BY place)) AS told"
    );
    let rows = session.rows(&asked, &[])?;
    Ok(rows.first().and_then(|it| it.try_get(0).ok()).unwrap_or(false))
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
