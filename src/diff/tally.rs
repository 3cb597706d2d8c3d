//! Exact counts of what was found.

/// Counts of one table, or of all of them.
///
/// `same + changed + accepted + missing + rejects` and the source's duplicates make up the rows of the source; `same + changed +
/// accepted + extra` and the target's duplicates those of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that the source gave, refused ones included.
    pub source_rows: u64,
    /// Rows that the target gave.
    pub target_rows: u64,
    /// Rows with the same key and the same cells.
    pub same: u64,
    /// Rows with the same key and other cells.
    pub changed: u64,
    /// Rows that only the source has.
    pub missing: u64,
    /// Rows that only the target has.
    pub extra: u64,
    /// Rows beyond the first under one key, in the source.
    pub source_duplicates: u64,
    /// Rows beyond the first under one key, in the target.
    pub target_duplicates: u64,
    /// References to rows that are not there, on both sides.
    pub orphans: u64,
    /// Rows beyond the first with one unique value, on both sides.
    pub clashes: u64,
    /// Source rows that the mapping refused.
    pub rejects: u64,
    /// Cells that do not fit the type of their column, on both sides.
    pub invalid: u64,
    /// Of the orphans, those of the source.
    pub source_orphans: u64,
    /// Of the clashes, those of the source.
    pub source_clashes: u64,
    /// Of the cells that do not fit, those of the source.
    pub source_invalid: u64,
    /// Rows with the same key and other cells that somebody accepted: they are not counted as changed.
    pub accepted: u64,
}

impl Tally {
    /// Rows beyond the first under one key, on both sides.
    pub fn duplicates(&self) -> u64 {
        self.source_duplicates + self.target_duplicates
    }

    /// What a comparison will count once every missing row of the source is in the target, and every changed one that is not
    /// accepted: what is wrong with the rows of the source is then wrong with those of the target.
    #[must_use]
    pub fn once_written(&self) -> Tally {
        let written = self.same + self.missing + self.changed + self.accepted;
        Tally {
            same: self.same + self.missing,
            missing: 0,
            target_rows: written + self.extra + self.target_duplicates,
            orphans: self.source_orphans,
            clashes: self.source_clashes,
            invalid: self.source_invalid,
            ..*self
        }
    }

    /// Adds the counts of another table, or of another part of this one.
    pub fn add(&mut self, other: &Tally) {
        for (mine, theirs) in self.fields_mut().into_iter().zip(other.fields()) {
            *mine += theirs;
        }
    }

    /// Takes the counts of a part of the table away. False: it is no part of it, and nothing was taken.
    #[must_use]
    pub fn subtract(&mut self, part: &Tally) -> bool {
        let fits = self.fields().into_iter().zip(part.fields()).all(|(mine, theirs)| theirs <= mine);
        if fits {
            for (mine, theirs) in self.fields_mut().into_iter().zip(part.fields()) {
                *mine -= theirs;
            }
        }
        fits
    }

    /// Whether every row that was read is counted exactly once.
    pub fn balances(&self) -> bool {
        let both = self.same + self.changed + self.accepted;
        self.source_rows == both + self.missing + self.source_duplicates + self.rejects
            && self.target_rows == both + self.extra + self.target_duplicates
    }

    fn fields(&self) -> [u64; 16] {
        let mut copy = *self;
        copy.fields_mut().map(|it| *it)
    }

    fn fields_mut(&mut self) -> [&mut u64; 16] {
        [
            &mut self.source_rows,
            &mut self.target_rows,
            &mut self.same,
            &mut self.changed,
            &mut self.missing,
            &mut self.extra,
            &mut self.source_duplicates,
            &mut self.target_duplicates,
            &mut self.orphans,
            &mut self.clashes,
            &mut self.rejects,
            &mut self.invalid,
            &mut self.source_orphans,
            &mut self.source_clashes,
            &mut self.source_invalid,
            &mut self.accepted,
        ]
    }
}
