//! References to other tables and unique constraints: what one merge of two tables cannot see.
//!
//! While a table is read, the cells of each constraint go into an [`Index`], which is sorted within a memory budget. A
//! reference to nothing is then a merge of two indexes, a unique value that is taken twice two neighbours in one.

use crate::{
    error::Result,
    row::{Batch, Feed, Flow, Row},
    sort::{Budget, Sorted, Sorter},
    value::{cast::Cast, cell},
};
use std::cmp::Ordering;

/// The values of some columns of every row of a table, each with the key of its row.
pub struct Index {
    sorter: Sorter,
    columns: Vec<Column>,
    /// The key's cells, or all compared ones where the table has none, follow the value: they say which row it is.
    keyed: bool,
    sort: Vec<u8>,
    scratch: Vec<u8>,
}

/// One column of an index.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its place in the rows.
    pub place: usize,
    /// The type in which both ends of a reference are compared, where it is not that of the rows.
    pub cast: Option<Cast>,
}

/// An entry: the value's cells and those of the row's key, both in ordered form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The constrained cells.
    pub value: &'a [u8],
    /// The key of the row that holds them.
    pub key: &'a [u8],
}

impl Index {
    /// An empty index. Without `keyed` it only knows which values exist.
    pub fn new(columns: Vec<Column>, keyed: bool, budget: Budget) -> Index {
        Index { sorter: Sorter::new(budget), columns, keyed, sort: Vec::new(), scratch: Vec::new() }
    }

    /// Adds a row. A row with a NULL in a constrained column is no part of the constraint, as SQL has it.
    ///
    /// # Errors
    /// If the index has to be written to disk and cannot be.
    pub fn add(&mut self, row: Row<'_>) -> Result<()> {
        self.sort.clear();
        for column in &self.columns {
            let ordered = column.place < row.shape().key;
            let cell = row.cell(column.place);
            match &column.cast {
                None if ordered || cell::is_fixed(cell) => self.sort.extend_from_slice(cell),
                cast => {
                    let value = cell::decode(cell, ordered, &mut self.scratch);
                    match cast {
                        Some(cast) => drop(cast.write(value, true, &mut self.sort)),
                        None => cell::encode(value, true, &mut self.sort),
                    }
                }
            }
            if cell == [cell::tag::NULL] {
                return Ok(());
            }
        }
        let value = self.sort.len() as u32;
        if self.keyed {
            self.sort.extend_from_slice(row.key());
        }
        self.sorter.push(&self.sort, &value.to_le_bytes())
    }

    /// Sorts it.
    ///
    /// # Errors
    /// If it has to be written to disk and cannot be.
    pub fn finish(self) -> Result<Entries> {
        Ok(Entries(self.sorter.finish()?))
    }
}

/// The entries of an [`Index`] in the order of their values.
pub struct Entries(Sorted);

impl Entries {
    /// The next entry.
    ///
    /// # Errors
    /// If it cannot be read back.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it, which an iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        Ok(self.0.next()?.map(|(sort, rest)| {
            let length = rest.try_into().map_or(0, u32::from_le_bytes) as usize;
            Entry { value: &sort[..length], key: &sort[length..] }
        }))
    }
}

/// Calls `each` for every entry of `children` whose value `parents` does not have.
///
/// # Errors
/// If an index cannot be read back, or `each` fails.
pub fn orphans(
    children: &mut Entries,
    parents: &mut Entries,
    mut each: impl FnMut(Entry<'_>) -> Result<()>,
) -> Result<u64> {
    children.0.rewind()?;
    parents.0.rewind()?;
    let (mut found, mut parent) = (0, parents.next()?.map(|it| it.value.to_vec()));
    while let Some(child) = children.next()? {
        while parent.as_deref().is_some_and(|it| it.cmp(child.value) == Ordering::Less) {
            parent = parents.next()?.map(|it| it.value.to_vec());
        }
        if parent.as_deref() != Some(child.value) {
            found += 1;
            each(child)?;
        }
    }
    Ok(found)
}

/// Calls `each` for every entry of `parents` whose value some of the `children` have.
///
/// # Errors
/// As [`orphans`].
pub fn referred(
    parents: &mut Entries,
    children: &mut Entries,
    mut each: impl FnMut(Entry<'_>) -> Result<()>,
) -> Result<()> {
    children.0.rewind()?;
    parents.0.rewind()?;
    let mut child = children.next()?.map(|it| it.value.to_vec());
    while let Some(parent) = parents.next()? {
        while child.as_deref().is_some_and(|it| it.cmp(parent.value) == Ordering::Less) {
            child = children.next()?.map(|it| it.value.to_vec());
        }
        if child.as_deref() == Some(parent.value) {
            each(parent)?;
        }
    }
    Ok(())
}

/// Calls `each` for every entry whose value the entry before it has too.
///
/// # Errors
/// If the index cannot be read back, or `each` fails.
pub fn clashes(entries: &mut Entries, mut each: impl FnMut(Entry<'_>) -> Result<()>) -> Result<u64> {
    entries.0.rewind()?;
    let (mut found, mut last) = (0, None::<Vec<u8>>);
    while let Some(entry) = entries.next()? {
        match &mut last {
            Some(value) if value == entry.value => {
                found += 1;
                each(entry)?;
            }
            Some(value) => {
                value.clear();
                value.extend_from_slice(entry.value);
            }
            none => *none = Some(entry.value.to_vec()),
        }
    }
    Ok(found)
}

/// Indexes rows on their way to the next feed.
pub struct Indexed<'f> {
    /// What to fill.
    pub indexes: &'f mut [Index],
    /// Where the rows go, if anywhere.
    pub next: Option<&'f mut dyn Feed>,
}

impl Feed for Indexed<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for index in &mut *self.indexes {
            for row in batch.rows() {
                index.add(row)?;
            }
        }
        match &mut self.next {
            Some(next) => next.take(batch),
            None => {
                batch.clear();
                Ok(Flow::Continue)
            }
        }
    }
}

/// The values of an entry's cells, one after the other.
pub fn values<'a>(mut cells: &'a [u8], mut each: impl FnMut(&'a [u8])) {
    while let Some(length) = cell::length(cells, true) {
        let (cell, rest) = cells.split_at(length);
        each(cell);
        cells = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::{Field, Shape},
        value::{Type, Value},
    };
    use std::sync::Arc;

    /// The entries of the last columns of rows whose first one is the key.
    fn entries(rows: &[(i64, Value<'_>)], cast: Option<Cast>, memory: usize) -> Entries {
        let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("v", Cast::new(Type::Any))];
        let mut batch = Batch::new(Arc::new(Shape { fields, key: 1, compared: 2, keyless: false }));
        let budget = Budget { memory, folder: std::env::temp_dir() };
        let mut index = Index::new(vec![Column { place: 1, cast }], true, budget);
        for &(id, value) in rows {
            batch.push([Value::Int(id), value]);
        }
        let _ = Indexed { indexes: std::slice::from_mut(&mut index), next: None }.take(&mut batch).unwrap();
        index.finish().unwrap()
    }

    fn key(entry: Entry<'_>) -> i64 {
        match cell::decode(entry.key, true, &mut Vec::new()) {
            Value::Int(it) => it,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_orphans(children: &[(i64, Value<'_>)], parents: &[(i64, Value<'_>)], expect: &[i64]) {
        let decimal = || Some(Cast::new(Type::Decimal));
        let (mut children, mut parents) = (entries(children, decimal(), 1 << 22), entries(parents, decimal(), 1 << 22));
        // Twice, because several tables may refer to one.
        for _ in 0..2 {
            let mut found = Vec::new();
            let each = |it: Entry<'_>| {
                found.push(key(it));
                Ok(())
            };
            assert_eq!(orphans(&mut children, &mut parents, each).unwrap(), expect.len() as u64);
            found.sort_unstable();
            assert_eq!(found, expect);
        }
    }

    #[test]
    fn a_child_without_a_parent_is_an_orphan_unless_it_refers_to_nothing() {
        let parents = [(1, Value::Int(10)), (2, Value::Int(20))];
        check_orphans(&[(1, Value::Int(10)), (2, Value::Int(20)), (3, Value::Int(10))], &parents, &[]);
        check_orphans(&[(1, Value::Int(9)), (2, Value::Int(15)), (3, Value::Int(21))], &parents, &[1, 2, 3]);
        check_orphans(&[(1, Value::Null), (2, Value::Int(15))], &parents, &[2]);
        check_orphans(&[(1, Value::Decimal("10.0")), (2, Value::Text("20")), (3, Value::Real(20.5))], &parents, &[3]);
        check_orphans(&[(1, Value::Int(10))], &[], &[1]);
        check_orphans(&[], &parents, &[]);
    }

    #[test]
    fn rows_beyond_the_first_with_one_value_clash() {
        let check = |rows: &[(i64, Value<'_>)], expect: &[i64]| {
            let mut found = Vec::new();
            let each = |it: Entry<'_>| {
                found.push(key(it));
                Ok(())
            };
            clashes(&mut entries(rows, None, 1 << 22), each).unwrap();
            assert_eq!(found, expect);
        };
        check(&[(1, Value::Text("a")), (2, Value::Text("b"))], &[]);
        check(&[(1, Value::Text("a")), (2, Value::Text("a")), (3, Value::Text("a"))], &[2, 3]);
        check(&[(1, Value::Null), (2, Value::Null)], &[]);
        check(&[(1, Value::Text("1")), (2, Value::Int(1))], &[]);
    }
}
