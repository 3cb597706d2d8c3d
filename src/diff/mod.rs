//! Differences: one merge over two sorted streams finds them all.
//!
//! [`compare()`] is the merge. [`canary`] plants differences that it has to find, [`references`] checks what one merge cannot
//! see: references to other tables and unique constraints.

pub mod canary;
pub mod cells;
pub mod compare;
pub mod references;
pub mod tally;
pub mod undo;

pub use compare::compare;
pub use tally::Tally;

use crate::{
    error::Result,
    row::{Reject, Row},
};

/// One thing that is not the same on both sides, as the merge meets it.
#[derive(Clone, Copy, Debug)]
pub enum Finding<'a> {
    /// Only the source has the row.
    Missing(Row<'a>),
    /// Only the target has the row.
    Extra(Row<'a>),
    /// Same key, other cells.
    Changed {
        /// The source's row.
        source: Row<'a>,
        /// The target's row.
        target: Row<'a>,
    },
    /// The same only because of a declared tolerance: no difference, but it is counted.
    Tolerated {
        /// The source's row.
        source: Row<'a>,
        /// The target's row.
        target: Row<'a>,
    },
    /// A row beyond the first under one key.
    Duplicate {
        /// Where it is.
        side: Side,
        /// The row.
        row: Row<'a>,
    },
    /// A cell that does not fit its type.
    Invalid {
        /// Where it is.
        side: Side,
        /// The row.
        row: Row<'a>,
        /// The place of the cell.
        place: usize,
    },
    /// A source row that the mapping refused.
    Reject(&'a Reject),
}

/// Whoever wants to know: a sampler, a file of findings, a loader.
pub trait Sink {
    /// Called for every finding, in key order.
    ///
    /// # Errors
    /// Whatever the sink's own output does.
    fn finding(&mut self, finding: Finding<'_>) -> Result<()>;

    /// Called for every pair of equal rows of a table without a key, in the same order: there a finding alone does not say
    /// how many rows have its cells.
    ///
    /// # Errors
    /// As [`Sink::finding`].
    fn same(&mut self, row: Row<'_>) -> Result<()> {
        let _ = row;
        Ok(())
    }
}

/// What kind of difference it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Only the source has the row.
    Missing,
    /// Only the target has the row.
    Extra,
    /// Both have it, with other cells.
    Changed,
    /// A second row under one key.
    Duplicate,
    /// A reference to a row that is not there.
    Orphan,
    /// A second row with one unique value.
    Clash,
    /// A source row that the mapping refused.
    Reject,
    /// A cell that does not fit its type.
    Invalid,
}

/// Which of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Where the rows come from.
    Source,
    /// Where they should have arrived.
    Target,
}

impl FindingKind {
    /// Every kind, in the order in which a report shows them.
    pub const ALL: [FindingKind; 8] = [
        FindingKind::Missing,
        FindingKind::Extra,
        FindingKind::Changed,
        FindingKind::Duplicate,
        FindingKind::Orphan,
        FindingKind::Clash,
        FindingKind::Reject,
        FindingKind::Invalid,
    ];

    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Missing => "missing",
            FindingKind::Extra => "extra",
            FindingKind::Changed => "changed",
            FindingKind::Duplicate => "duplicate",
            FindingKind::Orphan => "orphan",
            FindingKind::Clash => "clash",
            FindingKind::Reject => "reject",
            FindingKind::Invalid => "invalid",
        }
    }
}

impl Side {
    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Target => "target",
        }
    }
}
