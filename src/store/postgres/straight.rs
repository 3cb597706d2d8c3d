//! Rows that come nearly in the order of their key, put straight.

use crate::{
    error::Result,
    row::{Batch, Feed, Flow, Shape},
};
use std::sync::Arc;

/// How many rows a row may come too late: as many as a page can hold. One that comes later stays where it is, and who needs the
/// order finds it.
pub(super) const REACH: usize = 300;

/// How many bytes of rows may wait: half of a batch, so that one is not passed on for each row that comes.
const WAIT: usize = 128 << 10;

/// Hands rows on in the order of their key. The last rows of a batch stay in it until the next ones have come, some of which may
/// belong before them.
pub(super) struct Straight<'f> {
    next: &'f mut dyn Feed,
    wait: Batch,
}

impl<'f> Straight<'f> {
    pub(super) fn new(next: &'f mut dyn Feed, shape: &Arc<Shape>) -> Straight<'f> {
        Straight { next, wait: Batch::new(Arc::clone(shape)) }
    }

    /// Hands on the last rows.
    ///
    /// # Errors
    /// As [`Feed::take`].
    pub(super) fn end(self, batch: &mut Batch) -> Result<Flow> {
        batch.straighten(self.wait.len(), REACH);
        if batch.is_empty() { Ok(Flow::Continue) } else { self.next.take(batch) }
    }
}

impl Feed for Straight<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        batch.straighten(self.wait.len(), REACH);
        let mut wait = 0;
        let last = batch.rows().rev().take(REACH).take_while(|it| {
            wait += it.bytes().len();
            wait <= WAIT
        });
        let go = batch.len() - last.count();
        self.wait.clear();
        (go..batch.len()).for_each(|it| self.wait.push_row(batch.row(it)));
        if go == 0 {
            return Ok(Flow::Continue);
        }
        batch.truncate(go);
        let flow = self.next.take(batch)?;
        self.wait.rows().for_each(|it| batch.push_row(it));
        Ok(flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::Field,
        value::{Type, Value, cast::Cast},
    };
    use proptest::prelude::*;

    struct Numbers(Vec<Vec<u8>>);

    impl Feed for Numbers {
        fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
            self.0.extend(batch.rows().map(|it| it.bytes().to_vec()));
            batch.clear();
            Ok(Flow::Continue)
        }
    }

    /// Feeds rows of these numbers in batches of `size`; says what came and what was fed.
    fn fed(numbers: &[i64], size: usize) -> [Vec<Vec<u8>>; 2] {
        let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("v", Cast::new(Type::Text))];
        let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
        let (mut all, mut out) = (Vec::new(), Numbers(Vec::new()));
        let mut straight = Straight::new(&mut out, &shape);
        let mut batch = Batch::new(Arc::clone(&shape));
        for some in numbers.chunks(size) {
            let text = |it: &i64| "x".repeat(it.unsigned_abs() as usize % 7);
            let waiting = batch.len();
            some.iter().for_each(|it| batch.push([Value::Int(*it), Value::Text(&text(it))]));
            all.extend(batch.rows().skip(waiting).map(|it| it.bytes().to_vec()));
            assert_eq!(straight.take(&mut batch).expect("numbers cannot fail"), Flow::Continue);
            assert!(batch.len() <= REACH);
        }
        assert_eq!(straight.end(&mut batch).expect("numbers cannot fail"), Flow::Continue);
        [out.0, all]
    }

    #[test]
    fn a_row_is_late_by_so_many() {
        for (late, straight) in [(1, true), (REACH, true), (REACH + 1, false)] {
            let mut numbers: Vec<i64> = (0..3_000).collect();
            numbers.remove(700);
            numbers.insert(700 + late, 700);
            let [came, mut fed] = fed(&numbers, 1_000);
            assert_eq!(came.is_sorted(), straight, "late by {late}");
            let mut came = came;
            came.sort();
            fed.sort();
            assert_eq!(came, fed, "late by {late}");
        }
    }

    #[test]
    fn large_rows_do_not_pile_up() {
        let fields = vec![Field::new("v", Cast::new(Type::Text))];
        let shape = Arc::new(Shape { fields, key: 1, compared: 1, keyless: false });
        let (mut out, mut batch) = (Numbers(Vec::new()), Batch::new(Arc::clone(&shape)));
        let mut straight = Straight::new(&mut out, &shape);
        for large in 0..9_u8 {
            batch.push([Value::Text(&large.to_string().repeat(50_000))]);
            let _ = straight.take(&mut batch).expect("nothing can fail");
            assert!(batch.size() <= WAIT);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_what_is_near_is_straight(
            keys in prop::collection::vec((any::<i16>(), 0..40_i64), 0..300),
            size in 1..50_usize,
        ) {
            let near: Vec<i64> = keys.iter().zip(0..).map(|((_, off), place)| place + off).collect();
            let [came, mut all] = fed(&near, size);
            prop_assert!(came.is_sorted_by(|a, b| a[..9] <= b[..9]));
            all.sort();
            let mut sorted = came;
            sorted.sort();
            prop_assert_eq!(sorted, all);
            let wild: Vec<i64> = keys.iter().map(|it| it.0.into()).collect();
            let [mut came, mut all] = fed(&wild, size);
            came.sort();
            all.sort();
            prop_assert_eq!(came, all);
        }
    }
}
