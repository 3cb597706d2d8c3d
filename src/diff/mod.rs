//! Differences: one merge over two sorted streams finds them all.

pub mod tally;

pub use tally::Tally;

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
