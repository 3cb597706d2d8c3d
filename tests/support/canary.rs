//! What must turn up nowhere.

use std::{fs, path::Path};

/// How every secret of these tests begins.
pub(crate) const CANARY: &str = "CANARY-";

/// Looks into every file below a folder.
#[track_caller]
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sweep(&path);
            continue;
        }
        let text = fs::read(&path).expect("a file");
        let found = text.windows(CANARY.len()).any(|it| it == CANARY.as_bytes());
        assert!(!found, "{}: {}", path.display(), String::from_utf8_lossy(&text));
    }
}
