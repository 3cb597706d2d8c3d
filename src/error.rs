//! One error for the whole crate: a kind, a message, and the chain of what led to it.
//!
//! A difference in data is never an error, it is a finding. An error means that something could not be compared.
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that stops a run.
///
/// ```
/// use cutover::error::{Error, Kind};
///
/// let error = Error::new(Kind::Store, "site.db: no such file").context("cannot open the target");
/// assert_eq!(error.to_string(), "cannot open the target: site.db: no such file");
/// assert_eq!(error.kind(), Kind::Store);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    cause: Option<Error>,
}

/// What went wrong, in the only terms a caller may branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The plan is wrong: fix it and run again.
    Plan,
    /// A store cannot be reached, refuses, or holds something that cannot be read.
    Store,
    /// A store is locked, overloaded or out of reach for the moment. Nothing was written; later it may go through.
    Busy,
    /// What a store answered to a write was lost: it arrived whole, or not at all.
    Unsure,
    /// A store refuses a row, as it breaks a constraint or a limit. Nothing was written.
    Row,
    /// A file that this tool wrote is damaged, cut off, swapped, or from a newer version.
    Snapshot,
    /// A local file cannot be written or read.
    File,
    /// A stream, the source's of a comparison, does not come in key order. Who needs the order sorts it and starts again.
    Order,
    /// The target's stream of a comparison does not come in key order.
    TargetOrder,
    /// A limit on memory, time or size was met.
    Limit,
    /// Somebody asked to stop.
    Interrupted,
    /// A law of this tool does not hold, such as a row counted twice: a defect, so nothing it says may be trusted.
    Broken,
}

impl Error {
    /// A new error without a cause.
    #[cold]
    #[inline(never)]
    pub fn new(kind: Kind, message: impl fmt::Display) -> Error {
        Error(Box::new(Inner { kind, message: message.to_string(), cause: None }))
    }

    /// The same failure seen from one floor up. The kind stays that of the root.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn context(self, message: impl fmt::Display) -> Error {
        Error(Box::new(Inner { kind: self.0.kind, message: message.to_string(), cause: Some(self) }))
    }

    /// What went wrong, for callers that branch.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut next = self.0.cause.as_ref();
        while let Some(error) = next {
            write!(f, ": {}", error.0.message)?;
            next = error.0.cause.as_ref();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

const _: () = assert!(size_of::<Error>() == size_of::<usize>());
