//! What can be said about a store before it is read: `cutover test-connection` and `cutover info` show it.

/// One thing that was found out.
///
/// ```
/// use cutover::store::about::{Fact, Level};
///
/// let fact = Fact::new("version", "PostgreSQL 15.18");
/// assert_eq!(fact.level, Level::Good);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about, such as `version`, `clock`, `access`.
    pub what: &'static str,
    /// What was found, with what to do about it where it is not good.
    pub says: String,
    /// How good that is.
    pub level: Level,
}

/// How good a [`Fact`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// Somebody should know, such as a token that may also write.
    Note,
    /// Nothing can be read, or not all of it.
    Bad,
}

impl Fact {
    /// A good fact.
    pub fn new(what: &'static str, says: impl Into<String>) -> Fact {
        Fact { what, says: says.into(), level: Level::Good }
    }

    /// The same fact, as good as that.
    #[must_use]
    pub fn level(self, level: Level) -> Fact {
        Fact { level, ..self }
    }
}
