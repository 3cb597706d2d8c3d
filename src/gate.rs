//! The gate: a policy turns tallies into a verdict.

/// The answer that a pipeline acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was compared and the differences are within the policy.
    Pass,
    /// Differences beyond the policy. A failure outweighs what could not be checked.
    Fail,
    /// Something could not be checked. That is not a pass.
    #[default]
    Unknown,
}

impl Verdict {
    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Unknown => "unknown",
        }
    }

    /// The verdict over both.
    #[must_use]
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
            _ => Verdict::Unknown,
        }
    }
}
