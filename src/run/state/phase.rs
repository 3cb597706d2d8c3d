//! How far a run is with its target.

use crate::error::{Error, Kind, Result};

/// How far a run is with its target. How its process ended is another matter, and is its outcome: a run that is interrupted
/// while it writes stays [`Phase::Applying`] until another one goes on with it or takes it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Both stores are open.
    #[default]
    Connected,
    /// The source is backed up.
    Captured,
    /// What would be written lies on the disk.
    Staged,
    /// What would be written was checked.
    Checked,
    /// It is being written.
    Applying,
    /// All of it is written.
    Applied,
    /// It was read back.
    Verified,
    /// It is proved, or there was nothing to write.
    Done,
    /// What was written is being taken back.
    RollingBack,
    /// The target is as it was before.
    RolledBack,
    /// It was given up after it wrote, and what it wrote was left as it is.
    Failed,
}

use Phase::{Applied, Applying, Captured, Checked, Connected, Done, Failed, RolledBack, RollingBack, Staged, Verified};

impl Phase {
    /// All of them.
    pub const ALL: [Phase; 11] =
        [Connected, Captured, Staged, Checked, Applying, Applied, Verified, Done, RollingBack, RolledBack, Failed];

    /// Its name, as the journal keeps it.
    pub fn name(self) -> &'static str {
        match self {
            Connected => "connected",
            Captured => "captured",
            Staged => "staged",
            Checked => "checked",
            Applying => "applying",
            Applied => "applied",
            Verified => "verified",
            Done => "done",
            RollingBack => "rolling-back",
            RolledBack => "rolled-back",
            Failed => "failed",
        }
    }

    /// The phase of that name.
    pub fn parse(name: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The next phase, if it may follow this one. A phase may follow itself, so that a step can be told twice.
    ///
    /// # Errors
    /// If no run goes that way, such as to write what was not checked.
    pub fn advance(self, to: Phase) -> Result<Phase> {
        let may = match to {
            Connected => false,
            Captured => self == Connected,
            Staged => matches!(self, Connected | Captured),
            Checked => self == Staged,
            Applying => self == Checked,
            Applied => self == Applying,
            Verified => matches!(self, Checked | Applied),
            Done => matches!(self, Checked | Verified),
            // Rows that others held may go later.
            RollingBack => true,
            RolledBack => self == RollingBack,
            // One that never wrote stays where it was, and its outcome says why.
            Failed => self.is_half_way(),
        };
        if may || self == to {
            return Ok(to);
        }
        let (from, to) = (self.name(), to.name());
        Err(Error::new(Kind::Broken, format_args!("no run gets from `{from}` to `{to}`; please report this defect")))
    }

    /// Whether nothing more will come of the run by itself.
    pub fn is_over(self) -> bool {
        matches!(self, Done | RolledBack | Failed)
    }

    /// Whether the target may hold some of what the run writes, and nobody knows yet that it is all there or all gone.
    pub fn is_half_way(self) -> bool {
        matches!(self, Applying | Applied | Verified | RollingBack)
    }

    /// What that means for the target, for people.
    pub fn target(self) -> &'static str {
        match self {
            Connected | Captured | Staged | Checked => "nothing was written to the target",
            Applying => "the target holds a part of it",
            Applied => "all of it is written, and not yet proved",
            Verified => "all of it is written and was read back",
            Done => "the target holds all of it",
            RollingBack => "a part of it was taken back",
            RolledBack => "what was written was taken back",
            Failed => "what was written was left as it is",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for phase in Phase::ALL {
            assert_eq!(Phase::parse(phase.name()), Some(phase));
        }
        assert_eq!(Phase::parse("Done"), None);
    }

    #[test]
    fn a_run_goes_no_other_way() {
        let ways = [
            (Connected, &[Captured, Staged, RollingBack][..]),
            (Captured, &[Staged, RollingBack]),
            (Staged, &[Checked, RollingBack]),
            (Checked, &[Applying, Verified, Done, RollingBack]),
            (Applying, &[Applied, RollingBack, Failed]),
            (Applied, &[Verified, RollingBack, Failed]),
            (Verified, &[Done, RollingBack, Failed]),
            (Done, &[RollingBack]),
            (RollingBack, &[RolledBack, Failed]),
            (RolledBack, &[RollingBack]),
            (Failed, &[RollingBack]),
        ];
        for (from, expect) in ways {
            let open = Phase::ALL.into_iter().filter(|it| *it != from && from.advance(*it).is_ok());
            assert_eq!(open.collect::<Vec<_>>(), expect, "{from:?}");
            assert_eq!(from.advance(from).ok(), Some(from));
            assert!(!(from.is_over() && from.is_half_way()), "{from:?}");
        }
    }
}
