//! In which order a table is read.
//!
//! Rows that were written in the order of a key and never changed lie in that order, but for a few: `COPY` puts rows into the
//! room that earlier ones left. Those are put straight while they are read, see [`Straight`]. Nothing costs less, and no index has to
//! be believed. Other tables are read through an index that is in our order: that costs a tenth more than the pages do, and saves
//! sorting. An index that is damaged loses rows without a word, so the rows that come through one are counted against the pages. The
//! server is never asked to sort: that is done here, within the memory that is allowed.
//!
//! [`Straight`]: super::straight::Straight

use super::{
    catalog::{Attribute, Relation},
    scan::{ALIAS, Scan},
    session::Session,
    straight::REACH,
    woven,
};
use crate::{error::Result, row::Shape, schema::Table, store::sql::identifier};
use std::collections::BTreeSet;

/// In which order the rows come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As they lie, which is not the order of the key.
    Heap,
    /// As they lie, which is the order of the key but for a few that lie near their place.
    Straight,
    /// As they lie, which is the order of the key for each of those who wrote them at once.
    Woven,
    /// Through an index, by this list of columns.
    Index(String),
}

/// From which correlation on, as the server's statistics call it, an index is worth following, in either direction.
const CORRELATED: f64 = 0.9;

/// From which correlation on rows lie in the order of their key, as far as a number of 32 bits can tell.
const STRAIGHT: f64 = 0.999_999;

/// How many bytes a page has, where a server was not built otherwise.
const PAGE: f64 = 8192.0;

/// How many pages of a table are looked at in one spot.
const SPOT: u64 = 64;

/// Of so many rows at least, one may come after one of a greater key.
const FALLS: u64 = 8;

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
        let lie = Lie::of(session, relation, table, &scan.shape)?;
        let apart = match lie {
            Lie::Scattered => return Ok(Way::Heap),
            Lie::AsWritten => Some(0.0),
            Lie::Unmoved { apart } => Some(apart),
            Lie::Near => None,
        };
        if let Some(apart) = apart
            && let Some(spots) = Spots::of(session, relation, &key)?
        {
            if matches!(lie, Lie::AsWritten) && straight(&spots)? {
                return Ok(Way::Straight);
            }
            if woven(&spots, apart)? {
                return Ok(Way::Woven);
            }
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

/// How the rows of a table lie, by what the server's statistics say. They may be old: who reads looks.
enum Lie {
    /// In the order of the first column of the key, and none was moved since.
    AsWritten,
    /// Nearly so, and none was moved: they lie about so far from their place, as a share of the table. Where nobody knows, it is 0.
    Unmoved { apart: f64 },
    /// Neighbours in the key lie near each other.
    Near,
    /// They lie far apart, as with random identifiers. Through the index each row would then cost a page, which is more than to
    /// sort.
    Scattered,
}

impl Lie {
    fn of(session: &Session, relation: &Relation, table: &Table, shape: &Shape) -> Result<Lie> {
        let first = shape.fields.first().and_then(|it| relation.columns.get(table.column(&it.column)?));
        let Some(first) = first else { return Ok(Lie::Near) };
        // An update that stays in its page moves a row by a page at most.
        let asked = "SELECT s.correlation::float8, c.relkind = 'r' AND pg_stat_get_tuples_deleted(c.oid) = 0
                AND pg_stat_get_tuples_updated(c.oid) = pg_stat_get_tuples_hot_updated(c.oid)
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            LEFT JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = $2 WHERE c.oid = $1
            ORDER BY s.inherited DESC LIMIT 1";
        let rows = session.rows(asked, &[&relation.oid, &first.name.as_str()])?;
        let Some(row) = rows.first() else { return Ok(Lie::Near) };
        let correlation: Option<f64> = row.try_get(0).ok().flatten();
        let unmoved: Option<bool> = row.try_get(1).ok().flatten();
        Ok(match correlation {
            Some(it) if it.abs() < CORRELATED => Lie::Scattered,
            Some(it) if it >= STRAIGHT && unmoved == Some(true) => Lie::AsWritten,
            Some(it) if it < 0.0 => Lie::Near,
            // Of two orders of n rows it is 1 - 6 s / n³, where s is the sum of the squares of how far each row lies from its place.
            _ if unmoved == Some(true) => Lie::Unmoved { apart: ((1.0 - correlation.unwrap_or(1.0)) / 6.0).sqrt() },
            _ => Lie::Near,
        })
    }
}

/// Whether rows lie straight in some spots of the table. Where many clients insert rows of many lengths they may not, and statistics
/// of a large table are too coarse to tell.
fn straight(spots: &Spots<'_>) -> Result<bool> {
    // A row that comes too late has that many greater ones before it, and so has the smallest of those that do.
    let late = format!("row_number() OVER (ORDER BY ctid) - row_number() OVER (ORDER BY {}) AS late", spots.key);
    spots.ask(&late, &format!("coalesce(max(late), 0) <= {REACH}"))
}

/// Whether most rows in some spots of the table come after those of lesser keys. Each writer puts some rows down before the next one
/// does. How far one was ahead of another shows only when all of it is read, unless statistics tell.
fn woven(spots: &Spots<'_>, apart: f64) -> Result<bool> {
    if spots.pages as f64 * PAGE * apart > woven::WAIT as f64 / 2.0 {
        return Ok(false);
    }
    let key = spots.key;
    let falls = format!("({key} < lag({key}) OVER (ORDER BY ctid))::int AS falls");
    spots.ask(&falls, &format!("coalesce(sum(falls), 0) * {FALLS} <= count(*)"))
}

/// Some spots of a table whose pages can be read in their order and whose key is one column.
struct Spots<'s> {
    session: &'s Session,
    relation: &'s Relation,
    key: &'s str,
    pages: u64,
}

impl<'s> Spots<'s> {
    fn of(session: &'s Session, relation: &'s Relation, key: &'s [String]) -> Result<Option<Spots<'s>>> {
        let [key] = key else { return Ok(None) };
        if !relation.ranged(session) {
            return Ok(None);
        }
        Ok(Some(Spots { session, relation, key, pages: pages(session, relation)? }))
    }

    /// Whether something holds for the rows of these spots, `each` of which is asked.
    fn ask(&self, each: &str, holds: &str) -> Result<bool> {
        let last = self.pages.saturating_sub(SPOT);
        // Of a small table they are one.
        let spots = BTreeSet::from([0, last / 2, last]).into_iter().map(|it| {
            let (from, within) = (&self.relation.from, range(it, Some(it + SPOT)));
            format!("SELECT {each} FROM {from} AS {ALIAS} WHERE {within}")
        });
        let spots = spots.collect::<Vec<_>>().join(" UNION ALL ");
        let rows = self.session.rows(&format!("SELECT {holds} FROM ({spots}) AS spots"), &[])?;
        Ok(rows.first().and_then(|it| it.try_get(0).ok()).unwrap_or(false))
    }
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
