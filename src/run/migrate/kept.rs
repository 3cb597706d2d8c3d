//! Rows that stay other than the source's because somebody decided so: a verification accepts them as long as they are just
//! what was decided.

use super::{
    apply::{Walk, staged_name},
    stage::{Staged, cell},
};
use crate::{
    diff::{Finding, Sink, Tally},
    error::Result,
    pairing::Comparison,
    report::Canary,
    row::Row,
    snapshot::{self, Reader},
};

/// Stands before another sink and keeps accepted differences from it.
pub(in crate::run) struct Accept<'a> {
    next: &'a mut dyn Sink,
    comparison: &'a Comparison,
    kept: Walk<'a>,
    accepted: u64,
}

impl Accept<'_> {
    /// Passes `merge` a sink before `next` that accepts what `staged` keeps, and counts that in the tally it gives.
    ///
    /// # Errors
    /// As `merge`, and if what is kept cannot be read.
    pub(in crate::run) fn before(
        staged: Option<&Staged>,
        comparison: &Comparison,
        next: &mut dyn Sink,
        merge: impl FnOnce(&mut dyn Sink) -> Result<(Tally, Canary)>,
    ) -> Result<(Tally, Canary)> {
        let Some(staged) = staged else { return merge(next) };
        let reader = Reader::open(&staged.kept())?;
        let kept = Walk::new(&reader, &staged_name(&reader)?, &snapshot::shape(&staged.table))?;
        let mut accept = Accept { next, comparison, kept, accepted: 0 };
        let (mut tally, canary) = merge(&mut accept)?;
        tally.changed -= accept.accepted;
        tally.accepted += accept.accepted;
        Ok((tally, canary))
    }

    /// Whether this is how the row has to be.
    fn is_kept(&mut self, target: Row<'_>) -> Result<bool> {
        while self.kept.row().is_some_and(|it| it.key() < target.key()) {
            self.kept.next()?;
        }
        let Some(kept) = self.kept.row().filter(|it| it.key() == target.key()) else { return Ok(false) };
        let pairs = self.comparison.columns.iter().enumerate();
        Ok(pairs.into_iter().all(|(place, pair)| cell(pair, target) == Some(kept.cell(place))))
    }
}

impl Sink for Accept<'_> {
    fn finding(&mut self, finding: Finding<'_>) -> Result<()> {
        if let Finding::Changed { target, .. } = finding
            && self.is_kept(target)?
        {
            self.accepted += 1;
            return Ok(());
        }
        self.next.finding(finding)
    }

    fn same(&mut self, row: Row<'_>) -> Result<()> {
        self.next.same(row)
    }
}
