//! How many different values there are: exact as long as they are few, then an estimate in constant memory.
//!
//! The estimate is HyperLogLog (Flajolet and others, 2007) with 4,096 registers, whose standard error is 1.6 %, and with the
//! correction for small numbers that it needs where little memory let few values be counted exactly.

use std::collections::HashSet;

/// So many different values are counted exactly, where there is memory for them.
pub(super) const EXACT_MAX: usize = 16_384;

/// Bytes that a value takes which is counted exactly, also while the set grows.
pub(super) const EACH: usize = 32;

/// The bits of a hash that choose a register.
const BITS: u32 = 12;

/// How many different values there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distinct {
    /// So many.
    Exactly(u64),
    /// About so many, give or take 1.6 % in two cases of three.
    About(u64),
}

impl Distinct {
    /// The number.
    pub fn count(self) -> u64 {
        match self {
            Distinct::Exactly(it) | Distinct::About(it) => it,
        }
    }

    /// Whether it is no estimate.
    pub fn is_exact(self) -> bool {
        matches!(self, Distinct::Exactly(_))
    }
}

/// How many values can be counted exactly in so many bytes of memory.
pub(super) fn exact_max(memory: usize) -> usize {
    (memory / EACH).min(EXACT_MAX)
}

/// Counts different values.
pub(super) struct Counter {
    /// How many are counted exactly.
    most: usize,
    /// The hashes so far, until there are too many.
    exact: HashSet<u64>,
    /// For each register the greatest rank that a hash had there. Empty, until there are too many.
    registers: Vec<u8>,
}

impl Counter {
    /// Counts up to `most` values exactly.
    pub(super) fn new(most: usize) -> Counter {
        Counter { most, exact: HashSet::new(), registers: Vec::new() }
    }

    pub(super) fn add(&mut self, value: &[u8]) {
        let mut head = [0; 8];
        head.copy_from_slice(&blake3::hash(value).as_bytes()[..8]);
        self.hash(u64::from_le_bytes(head));
    }

    fn hash(&mut self, hash: u64) {
        if !self.registers.is_empty() {
            return self.rank(hash);
        }
        self.exact.insert(hash);
        if self.exact.len() > self.most {
            self.registers = vec![0; 1 << BITS];
            std::mem::take(&mut self.exact).into_iter().for_each(|it| self.rank(it));
        }
    }

    fn rank(&mut self, hash: u64) {
        // The bits behind those that choose the register, and one that ends the longest run of noughts.
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() as u8 + 1;
        let register = &mut self.registers[(hash >> (64 - BITS)) as usize];
        *register = rank.max(*register);
    }

    pub(super) fn finish(self) -> Distinct {
        if self.registers.is_empty() {
            return Distinct::Exactly(self.exact.len() as u64);
        }
        let count = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|it| 0.5_f64.powi(i32::from(*it))).sum();
        let alpha = 0.7213 / (1.0 + 1.079 / count);
        let estimate = alpha * count * count / sum;
        let untouched = self.registers.iter().filter(|it| **it == 0).count();
        // As long as many registers are untouched, how many these are says more than what is in the others.
        let few = estimate <= 2.5 * count && untouched > 0;
        Distinct::About(if few { count * (count / untouched as f64).ln() } else { estimate }.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(different: u64, times: u64, most: usize) -> Distinct {
        let mut counter = Counter::new(most);
        (0..different * times).for_each(|it| counter.add(&(it % different).to_le_bytes()));
        counter.finish()
    }

    #[test]
    fn few_are_counted_exactly_and_many_about() {
        assert_eq!(counted(0, 0, EXACT_MAX), Distinct::Exactly(0));
        assert_eq!(counted(3, 100, 3), Distinct::Exactly(3));
        assert_eq!(counted(EXACT_MAX as u64, 2, EXACT_MAX), Distinct::Exactly(EXACT_MAX as u64));
        let large = [EXACT_MAX as u64 + 1, 50_000, 200_000].map(|it| (it, EXACT_MAX));
        for (many, most) in large.into_iter().chain([(1, 0), (100, 0), (2_000, 16), (9_000, 0), (12_000, 0)]) {
            let found = counted(many, 1, most);
            let off = (found.count() as f64 - many as f64).abs() / many as f64;
            assert!(!found.is_exact() && off < 0.05, "{many}: {found:?}");
        }
    }
}
