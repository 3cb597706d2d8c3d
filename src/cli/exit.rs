//! Exit codes. Pipelines act on them, so they are part of the interface.

use crate::{error::Kind, gate::Verdict};

/// Everything was compared and is within the gate.
pub const PASS: u8 = 0;
/// Differences beyond the gate.
pub const FAIL: u8 = 1;
/// It could not be decided: usage, plan, connection, damaged file, or a verdict of `unknown`.
pub const UNDECIDED: u8 = 2;
/// Interrupted. Nothing is half done, and the same command goes on.
pub const INTERRUPTED: u8 = 130;

/// The code for a verdict.
pub fn of_verdict(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => PASS,
        Verdict::Fail => FAIL,
        Verdict::Unknown => UNDECIDED,
    }
}

/// The code for an error.
pub fn of_error(kind: Kind) -> u8 {
    match kind {
        Kind::Interrupted => INTERRUPTED,
        Kind::Usage
        | Kind::Plan
        | Kind::Store
        | Kind::Busy
        | Kind::Unsure
        | Kind::Row
        | Kind::Snapshot
        | Kind::File
        | Kind::Order
        | Kind::TargetOrder
        | Kind::Limit
        | Kind::Broken => UNDECIDED,
    }
}
