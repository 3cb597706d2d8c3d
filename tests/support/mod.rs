//! Temporary folders with stores in them, for black-box tests.

use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// A folder that is gone when the test is.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    /// With `source.db` and `target.db` made by these statements.
    pub(crate) fn pair(source: &str, target: &str) -> Folder {
        let folder = Folder::new();
        folder.sqlite("source.db", source);
        folder.sqlite("target.db", target);
        folder
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// A SQLite database made by these statements. The connection is closed when it is dropped.
    pub(crate) fn sqlite(&self, name: &str, statements: &str) -> Connection {
        let connection = Connection::open(self.path(name)).expect("a database can be made");
        // Nothing here has to outlive a power cut.
        connection.execute_batch("PRAGMA synchronous = OFF").expect("a pragma");
        connection.execute_batch(statements).unwrap_or_else(|it| panic!("{it}: {statements}"));
        connection
    }
}
