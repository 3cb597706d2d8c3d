//! What a verification after a migration knows beyond other ones.
//!
//! Rows that stay other than the source's because somebody decided so are accepted, as long as they are just what was decided.
//! And rows that the store has turned into something else than was written, as one that rounds does, are kept in a fourth
//! file: they are still ours to undo.

use super::{
    apply::Walk,
    pile::{Pile, Piled},
    stage::{Staged, cell},
};
use crate::{
    diff::{Finding, Sink, Tally},
    error::Result,
    pairing::Comparison,
    report::Canary,
    row::Row,
    snapshot,
};
use std::path::Path;

/// Stands before another sink and keeps accepted differences from it.
pub(in crate::run) struct Accept<'a> {
    next: &'a mut dyn Sink,
    comparison: &'a Comparison,
    kept: Walk<Piled>,
    written: Walk<Piled>,
    landed: Pile,
    accepted: u64,
}

impl Accept<'_> {
    /// Passes `merge` a sink before `next` that accepts what `staged` keeps, and counts that in the tally it gives.
    ///
    /// # Errors
    /// As `merge`, and if what was staged cannot be read.
    pub(in crate::run) fn before(
        staged: Option<&Staged>,
        comparison: &Comparison,
        next: &mut dyn Sink,
        merge: impl FnOnce(&mut dyn Sink) -> Result<(Tally, Canary)>,
    ) -> Result<(Tally, Canary)> {
        let Some(staged) = staged else { return merge(next) };
        let shape = snapshot::shape(&staged.table);
        let walk = |path: &Path| Walk::new(Piled::open(path, &shape)?);
        let mut accept = Accept {
            next,
            comparison,
            kept: walk(&staged.kept())?,
            written: walk(&staged.written())?,
            landed: Pile::create(&staged.landed(), staged.table.columns.len())?,
            accepted: 0,
        };
        let (mut tally, canary) = merge(&mut accept)?;
        tally.changed -= accept.accepted;
        tally.accepted += accept.accepted;
        accept.landed.finish()?;
        Ok((tally, canary))
    }

    /// Whether this is how the row has to be.
    fn is_kept(&mut self, target: Row<'_>) -> Result<bool> {
        let Some(kept) = self.kept.at(target.key())? else { return Ok(false) };
        let pairs = self.comparison.columns.iter().enumerate();
        Ok(pairs.into_iter().all(|(place, pair)| cell(pair, target) == Some(kept.cell(place))))
    }
}

impl Sink for Accept<'_> {
    fn finding(&mut self, finding: Finding<'_>) -> Result<()> {
        if let Finding::Changed { target, .. } = finding {
            if self.is_kept(target)? {
                self.accepted += 1;
                return Ok(());
            }
            if self.written.at(target.key())?.is_some() {
                self.landed.push(self.comparison.columns.iter().filter_map(|it| cell(it, target)))?;
            }
        }
        self.next.finding(finding)
    }

    fn same(&mut self, row: Row<'_>) -> Result<()> {
        self.next.same(row)
    }
}
