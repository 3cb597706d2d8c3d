//! What it takes to undo what was written: a merge of three streams, the rows that were written, the rows that were there
//! before, and the rows that are there now.
//!
//! Only a row that is still what was written goes back to what it was. Whatever somebody has changed since is theirs.

use crate::{
    error::{Error, Kind, Result},
    row::{Cursor, Row, Rows},
};
use std::cmp::Ordering;

/// What to do about one written row.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// It is what was written: put back what was there before.
    Restore {
        /// The row as it was.
        before: Row<'a>,
    },
    /// It was inserted and is what was written: remove it.
    Remove {
        /// The row as it is.
        now: Row<'a>,
    },
    /// It is what it was before: there is nothing to undo.
    Done,
    /// Somebody has changed or removed it since: it stays as it is.
    Theirs {
        /// The row as it was written.
        written: Row<'a>,
    },
}

/// Whoever is told.
pub type Each<'e> = dyn FnMut(Fate<'_>) -> Result<()> + 'e;

/// Decides about each row of `written`, in key order. Rows of `now` that were not written are left out.
///
/// All three have one shape with a key. Where rows have none, `before` holds those that had the cells of a written one: as many
/// of them stay, and of the others each stands for itself.
///
/// # Errors
/// If a stream fails or does not come in order, or `each` fails.
pub fn undo(written: &mut dyn Rows, before: &mut dyn Rows, now: &mut dyn Rows, each: &mut Each<'_>) -> Result<()> {
    let mut written = Cursor::new(written, "what was written", Kind::Broken);
    let mut before = Cursor::new(before, "what was there before", Kind::Broken);
    let mut now = Cursor::new(now, "the target", Kind::TargetOrder);
    for cursor in [&mut written, &mut before, &mut now] {
        cursor.load(&mut no_rejects)?;
    }
    while let Some(row) = written.row() {
        skip(&mut before, row.key())?;
        skip(&mut now, row.key())?;
        let same_key = |it: &Row<'_>| it.key() == row.key();
        let keyless = row.shape().keyless;
        while keyless && before.row().is_some_and(|it| same_key(&it)) && now.row().is_some_and(|it| same_key(&it)) {
            before.advance(&mut no_rejects)?;
            now.advance(&mut no_rejects)?;
        }
        let (was, is) = (before.row().filter(|it| !keyless && same_key(it)), now.row().filter(same_key));
        let there = is.is_some();
        each(match (was, is) {
            (Some(was), Some(is)) if is.compared() == was.compared() => Fate::Done,
            (Some(was), Some(is)) if is.compared() == row.compared() => Fate::Restore { before: was },
            (None, Some(is)) if is.compared() == row.compared() => Fate::Remove { now: is },
            (None, None) => Fate::Done,
            _ => Fate::Theirs { written: row },
        })?;
        if there && keyless {
            now.advance(&mut no_rejects)?;
        }
        written.advance(&mut no_rejects)?;
    }
    Ok(())
}

/// Passes over what comes before `key`.
fn skip(rows: &mut Cursor<'_>, key: &[u8]) -> Result<()> {
    while rows.row().is_some_and(|it| it.key().cmp(key) == Ordering::Less) {
        rows.advance(&mut no_rejects)?;
    }
    Ok(())
}

fn no_rejects(_: &crate::row::Reject) -> Result<()> {
    Err(Error::new(Kind::Broken, "rows that were written cannot be refused; please report this defect"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::{Batch, Field, Shape},
        value::{Type, Value, cast::Cast},
    };
    use std::sync::Arc;

    struct Once(Arc<Shape>, Option<Batch>);

    impl Rows for Once {
        fn shape(&self) -> &Arc<Shape> {
            &self.0
        }

        fn fill(&mut self, batch: &mut Batch) -> Result<()> {
            batch.clear();
            if let Some(rows) = self.1.take() {
                *batch = rows;
            }
            Ok(())
        }
    }

    fn rows(shape: &Arc<Shape>, rows: &[(i64, &str)]) -> Once {
        let mut batch = Batch::new(Arc::clone(shape));
        rows.iter().for_each(|&(id, name)| batch.push([Value::Int(id), Value::Text(name)]));
        Once(Arc::clone(shape), Some(batch))
    }

    /// Each list is of keys and names; what is expected is a letter for each written row.
    fn check(key: usize, [written, before, now]: [&[(i64, &str)]; 3], expect: &str) {
        let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("name", Cast::new(Type::Text))];
        let (keyless, key) = (key == 0, if key == 0 { 2 } else { key });
        let shape = Arc::new(Shape { fields, key, compared: 2, keyless });
        let mut said = String::new();
        let [mut written, mut before, mut now] = [written, before, now].map(|it| rows(&shape, it));
        undo(&mut written, &mut before, &mut now, &mut |it| {
            said.push(match it {
                Fate::Restore { .. } => 'r',
                Fate::Remove { .. } => 'x',
                Fate::Done => '.',
                Fate::Theirs { .. } => 't',
            });
            Ok(())
        })
        .expect("in order");
        assert_eq!(said, expect, "{written:?}", written = key);
    }

    #[test]
    fn only_what_we_wrote_is_undone() {
        check(1, [&[(1, "b")], &[(1, "a")], &[(1, "b")]], "r");
        check(1, [&[(1, "b")], &[(1, "a")], &[(1, "a")]], ".");
        check(1, [&[(1, "b")], &[(1, "a")], &[(1, "c")]], "t");
        check(1, [&[(1, "b")], &[(1, "a")], &[]], "t");
        check(1, [&[(1, "b")], &[], &[(1, "b")]], "x");
        check(1, [&[(1, "b")], &[], &[(1, "c")]], "t");
        check(1, [&[(1, "b")], &[], &[]], ".");
        let now: &[(i64, &str)] = &[(0, "z"), (1, "b"), (2, "z"), (3, "d"), (9, "z")];
        check(1, [&[(1, "b"), (3, "c"), (4, "d")], &[(3, "x")], now], "xt.");
        check(0, [&[(1, "a"), (1, "a"), (2, "b")], &[], &[(1, "a"), (2, "b"), (3, "c")]], "x.x");
        check(0, [&[(1, "a")], &[], &[(1, "a"), (1, "a")]], "x");
        let two: &[(i64, &str)] = &[(1, "a"), (1, "a")];
        check(0, [&[(1, "a")], &[(1, "a")], two], "x");
        check(0, [&[(1, "a")], &[(1, "a")], &[(1, "a")]], ".");
        check(0, [two, two, &[(1, "a")]], "..");
        check(0, [&[(1, "a"), (2, "b")], two, &[(1, "a"), (2, "b")]], ".x");
    }
}
