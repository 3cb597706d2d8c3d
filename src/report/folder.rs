//! A report as a folder: `report.json`, `report.txt`, and every finding of each table in `findings/`.
//!
//! It is written beside its final place, readable for its owner alone, and takes its name when it is whole.

use super::{Report, json, text};
use crate::error::{Error, Kind, Result};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A report folder that is being written. Nothing of it is left unless it is finished.
pub struct Folder {
    path: PathBuf,
    draft: tempfile::TempDir,
}

impl Folder {
    /// Begins the folder that will be at `path`. One that holds an earlier report gives way to it.
    ///
    /// # Errors
    /// If something else is there already, or no folder can be made beside it.
    pub fn create(path: &Path) -> Result<Folder> {
        let failed = |it: &dyn std::fmt::Display| {
            Error::new(Kind::File, format_args!("cannot write a report to {}: {it}", path.display()))
        };
        if path.file_name().is_none() {
            return Err(failed(&"name a folder that is to be made"));
        }
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|it| failed(&it))?;
        let occupied = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some() && !path.join("report.json").is_file(),
            Err(it) => it.kind() != io::ErrorKind::NotFound,
        };
        if occupied {
            return Err(failed(&"something that is no report is there already; name another folder"));
        }
        let mut builder = tempfile::Builder::new();
        let private = fs::Permissions::from_mode(0o700);
        let draft = builder.prefix(".cutover-").permissions(private).tempdir_in(parent).map_err(|it| failed(&it))?;
        fs::DirBuilder::new().mode(0o700).create(draft.path().join("findings")).map_err(|it| failed(&it))?;
        Ok(Folder { path: path.to_owned(), draft })
    }

    /// A file for the findings of `table`, made when the first one comes. An earlier one of the same table is written over.
    pub fn findings(&self, table: &str) -> Box<dyn Write + Send> {
        let path = self.draft.path().join(findings_file(table));
        // What an attempt before this one left must not stand as if it were true.
        let _ = fs::remove_file(&path);
        Box::new(Findings { path, file: None })
    }

    /// Adds the report and moves the folder to its place.
    ///
    /// # Errors
    /// If a file cannot be written, or the folder cannot take its place.
    pub fn finish(self, report: &Report) -> Result<()> {
        let written = self.write(report);
        written.map_err(|it| Error::new(Kind::File, format_args!("cannot write {}: {it}", self.path.display())))
    }

    fn write(&self, report: &Report) -> io::Result<()> {
        let mut file = create(&self.draft.path().join("report.json"))?;
        json::write(report, &mut file)?;
        file.into_inner()?.sync_all()?;
        let mut file = create(&self.draft.path().join("report.txt"))?;
        file.write_all(text::text(report, text::Style { verbose: true, ..text::Style::default() }).as_bytes())?;
        file.into_inner()?.sync_all()?;
        if fs::symlink_metadata(&self.path).is_ok() {
            let aside = self.draft.path().with_extension("old");
            fs::rename(&self.path, &aside)?;
            fs::rename(self.draft.path(), &self.path)?;
            fs::remove_dir_all(aside)?;
        } else {
            fs::rename(self.draft.path(), &self.path)?;
        }
        Ok(())
    }
}

/// Where the findings of a table are, counted from the report's folder. A name that could not be a file's is made into one.
pub fn findings_file(table: &str) -> String {
    format!("findings/{}.ndjson", file_stem(table))
}

/// A table's name as that of a file, without an ending.
pub fn file_stem(table: &str) -> String {
    let safe = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    let reserved =
        ["con", "prn", "aux", "nul"].contains(&table) || table.len() == 4 && table.ends_with(char::is_numeric);
    if !table.is_empty() && table.len() <= 60 && table.chars().all(safe) && !reserved {
        return table.to_owned();
    }
    let slug: String = table.chars().take(40).filter(char::is_ascii_alphanumeric).collect();
    // Letter case does not tell files apart everywhere, a hash of the true name does.
    let hash = &blake3::hash(table.as_bytes()).to_hex()[..12];
    format!("{}-{hash}", slug.to_ascii_lowercase())
}

/// A file that is there only if something was written to it.
struct Findings {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Write for Findings {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(it) => it,
            none => none.insert(create(&self.path)?),
        };
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |it| it.flush())
    }
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(BufWriter::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_table_names_stay_in_the_folder() {
        for name in ["../x", "/etc/passwd", "", "con", "com1", "a/b", "a\0b", "User", "user name", &"x".repeat(300)] {
            let file = findings_file(name);
            let rest = file.strip_prefix("findings/").unwrap();
            assert!(!rest.contains(['/', '\\', '\0']) && !rest.starts_with('.') && rest.len() < 80, "{name:?}: {file}");
            assert_ne!(rest, format!("{name}.ndjson"));
        }
        assert_eq!(findings_file("bio_links"), "findings/bio_links.ndjson");
        assert_ne!(findings_file("User").to_lowercase(), findings_file("user"));
    }

    #[test]
    fn a_folder_is_whole_or_not_there_and_only_a_report_gives_way() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("deep/report");
        let folder = Folder::create(&path).unwrap();
        folder.findings("t").write_all(b"{}\n").unwrap();
        drop(Folder::create(&path).unwrap());
        assert!(!path.exists());
        folder.finish(&Report::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read(path.join("findings/t.ndjson")).unwrap(), b"{}\n");
        Folder::create(&path).unwrap().finish(&Report::default()).unwrap();
        assert!(!path.join("findings/t.ndjson").exists());
        assert_eq!(fs::read_dir(parent.path().join("deep")).unwrap().count(), 1, "nothing is left beside it");
        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("mine"), "").unwrap();
        assert!(Folder::create(&other).is_err());
    }
}
