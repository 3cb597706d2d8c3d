//! Rows that several writers put down at once, each in the order of the key: strands that are woven into each other.
//!
//! Each row is copied twice and waits for 16 MiB of others. So rows that lie within a page of their place, as most do, are put straight
//! where they are, see [`Straight`](super::straight::Straight).

use crate::{
    error::Result,
    row::{Batch, Feed, Flow, Shape},
};
use std::{collections::VecDeque, sync::Arc};

/// How many bytes of rows may wait for those that belong before them: some batches of a run that writes through two connections.
pub(super) const WAIT: usize = 16 << 20;

/// How many strands are told apart. Where there are more, rows are in no order that is worth anything.
const MOST: usize = 16;

/// Hands rows on in the order of their key, as far as they do not come too late for it. Who needs the order finds those that do.
pub(super) struct Woven<'f> {
    next: &'f mut dyn Feed,
    strands: Vec<Strand>,
    waiting: usize,
    out: Batch,
    spare: Vec<Batch>,
}

/// Rows in the order of their key.
#[derive(Default)]
struct Strand {
    /// None is empty.
    batches: VecDeque<Batch>,
    /// How many rows of the first batch are gone.
    gone: usize,
}

impl Strand {
    fn head(&self) -> &[u8] {
        self.batches.front().map_or(&[], |it| it.row(self.gone).key())
    }

    fn tail(&self) -> &[u8] {
        self.batches.back().map_or(&[], |it| it.row(it.len() - 1).key())
    }
}

impl<'f> Woven<'f> {
    pub(super) fn new(next: &'f mut dyn Feed, shape: &Arc<Shape>) -> Woven<'f> {
        let (strands, out, spare) = (Vec::new(), Batch::new(Arc::clone(shape)), Vec::new());
        Woven { next, strands, waiting: 0, out, spare }
    }

    /// The strand that a row of that key goes on: of those that end before it, the one that ends last.
    fn strand(&mut self, key: &[u8]) -> Result<(usize, Flow)> {
        let ends_before = self.strands.iter().enumerate().filter(|it| it.1.tail() <= key);
        if let Some((at, _)) = ends_before.max_by(|a, b| a.1.tail().cmp(b.1.tail())) {
            return Ok((at, Flow::Continue));
        }
        let flow = if self.strands.len() < MOST { Flow::Continue } else { self.hand_on(0)? };
        self.strands.push(Strand::default());
        Ok((self.strands.len() - 1, flow))
    }

    /// Hands rows on, the least key first, until no more than that wait.
    fn hand_on(&mut self, wait: usize) -> Result<Flow> {
        while self.waiting > wait {
            let least = (0..self.strands.len()).min_by(|a, b| self.strands[*a].head().cmp(self.strands[*b].head()));
            let Some(at) = least else { break };
            let strand = &mut self.strands[at];
            let Some(first) = strand.batches.front() else { break };
            let row = first.row(strand.gone);
            self.waiting -= row.bytes().len();
            self.out.push_row(row);
            strand.gone += 1;
            if strand.gone == first.len() {
                strand.gone = 0;
                self.spare.extend(strand.batches.pop_front());
                if strand.batches.is_empty() {
                    self.strands.swap_remove(at);
                }
            }
            if self.out.is_full() && self.next.take(&mut self.out)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    /// Hands on all rows that wait.
    ///
    /// # Errors
    /// As [`Feed::take`].
    pub(super) fn end(mut self) -> Result<Flow> {
        match self.hand_on(0)? {
            Flow::Continue if !self.out.is_empty() => self.next.take(&mut self.out),
            flow => Ok(flow),
        }
    }
}

impl Feed for Woven<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for row in batch.rows() {
            let (at, flow) = self.strand(row.key())?;
            if flow == Flow::Stop {
                return Ok(Flow::Stop);
            }
            let strand = &mut self.strands[at].batches;
            if strand.back().is_none_or(Batch::is_full) {
                let mut empty = self.spare.pop().unwrap_or_else(|| Batch::new(Arc::clone(batch.shape())));
                empty.clear();
                strand.push_back(empty);
            }
            strand.back_mut().into_iter().for_each(|it| it.push_row(row));
            self.waiting += row.bytes().len();
        }
        batch.clear();
        self.hand_on(WAIT)
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

    struct Keys(Vec<Vec<u8>>);

    impl Feed for Keys {
        fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
            self.0.extend(batch.rows().map(|it| it.bytes().to_vec()));
            batch.clear();
            Ok(Flow::Continue)
        }
    }

    /// Feeds rows of these numbers, each with a text of that length, in batches of `size`. What came.
    fn fed(numbers: &[i64], length: usize, size: usize) -> Vec<Vec<u8>> {
        let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("v", Cast::new(Type::Text))];
        let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
        let (mut out, text) = (Keys(Vec::new()), "x".repeat(length));
        let mut woven = Woven::new(&mut out, &shape);
        let mut batch = Batch::new(Arc::clone(&shape));
        for some in numbers.chunks(size) {
            some.iter().for_each(|it| batch.push([Value::Int(*it), Value::Text(&text)]));
            assert_eq!(woven.take(&mut batch).expect("nothing can fail"), Flow::Continue);
            assert!(batch.is_empty() && woven.waiting <= WAIT && woven.strands.len() <= MOST + 1);
        }
        assert_eq!(woven.end().expect("nothing can fail"), Flow::Continue);
        out.0
    }

    /// What so many writers put down that take batches of `rows` in turn and write some of them each.
    fn written(writers: i64, rows: i64, all: i64) -> Vec<i64> {
        let strand = |it: i64| (0..all).filter(move |row| row / rows % writers == it);
        let mut strands: Vec<_> = (0..writers).map(|it| strand(it).peekable()).collect();
        let mut out = Vec::new();
        while strands.iter_mut().any(|it| it.peek().is_some()) {
            strands.iter_mut().for_each(|it| out.extend(it.take(40)));
        }
        out
    }

    #[test]
    fn strands_come_as_one() {
        for (writers, rows, length, straight) in
            [(1, 100, 10, true), (2, 5_000, 100, true), (4, 5_000, 100, true), (2, 9_000, 3_000, false)]
        {
            let came = fed(&written(writers, rows, 40_000), length, 700);
            assert_eq!(came.len(), 40_000);
            assert_eq!(came.is_sorted(), straight, "{writers} writers, batches of {rows} rows of {length} bytes");
        }
        let backwards: Vec<i64> = (0..4_000).rev().collect();
        let came = fed(&backwards, 10, 700);
        assert!(came.len() == 4_000 && !came.is_sorted());
    }

    proptest! {
        #[test]
        fn nothing_is_lost(keys in prop::collection::vec(any::<i16>(), 0..300), size in 1..50_usize) {
            let numbers: Vec<i64> = keys.iter().map(|it| i64::from(*it)).collect();
            let [mut came, mut all] = [fed(&numbers, 3, size), numbers.iter().flat_map(|it| fed(&[*it], 3, 1)).collect()];
            came.sort();
            all.sort();
            prop_assert_eq!(came, all);
        }
    }
}
