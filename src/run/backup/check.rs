//! Whether a backup is what was written, and what was written is what the store holds.

use super::{
    Manifest, SNAPSHOT, TableRows, files, folder,
    manifest::{self, damaged},
    seal::{Keys, SUFFIX, Secret},
};
use crate::{
    ahead::ahead,
    diff::{self, Finding, Sink, Tally},
    disk,
    error::{Error, Kind, Result},
    row::{Batch, Feed, Rows, Shape},
    run::{Run, pipeline},
    schema::Table,
    snapshot::{self, Reader},
    store::{Source, about::Fact, snapshot::Snapshot},
};
use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};
use tempfile::TempDir;

/// A backup that is open, as a store.
#[derive(Debug)]
pub struct Backup {
    /// What it says about itself.
    pub manifest: Manifest,
    snapshot: Snapshot,
    reader: Reader,
    /// Where its files are unsealed, until it is dropped.
    _plain: Option<TempDir>,
}

/// Opens a backup. Its files are all there, as long as the manifest says; its rows are checked while they are read. What is
/// sealed is unsealed into a private folder in `scratch`, which is gone when the backup is dropped.
///
/// # Errors
/// If there is no such backup, it is damaged, or it is sealed and `secret` does not open it.
pub fn open(home: &Path, id: &str, secret: Option<&Secret>, scratch: &Path) -> Result<Backup> {
    let folder = folder(home, id)?;
    let manifest = Manifest::open(&folder)?;
    check_names(&folder, &manifest)?;
    let mut from = folder.join(SNAPSHOT);
    let mut plain = None;
    if manifest.sealed.is_some() {
        let made = disk::draft(scratch, ".cutover-")?;
        unseal(&folder, &manifest, secret, &made)?;
        from = made.path().join(SNAPSHOT);
        plain = Some(made);
    }
    let reader = Reader::open(&from)?;
    if reader.checksum() != manifest.snapshot || *reader.store() != manifest.store {
        return Err(damaged(
            &folder.join(SNAPSHOT),
            format_args!("it is not the snapshot that {} names", manifest::NAME),
        ));
    }
    Ok(Backup { manifest, snapshot: Snapshot::open(&from)?, reader, _plain: plain })
}

/// Reads all of a backup: each file that the manifest names is there with the right BLAKE3, no other one is, and all rows
/// can be read. What comes back is what it says about itself.
///
/// # Errors
/// As [`open`].
pub fn verify(run: &Run, home: &Path, id: &str, secret: Option<&Secret>) -> Result<Manifest> {
    let folder = folder(home, id)?;
    let manifest = Manifest::open(&folder)?;
    check_names(&folder, &manifest)?;
    for file in &manifest.files {
        run.watch.read(0)?;
        let path = folder.join(SNAPSHOT).join(&file.name);
        if files::hash(&path)? != (file.bytes, file.blake3.clone()) {
            return Err(damaged(&path, format_args!("its BLAKE3 is not that in {}", manifest::NAME)));
        }
    }
    let backup = open(home, id, secret, &run.scratch)?;
    if counted(run, &backup.reader)? != manifest.tables {
        let what = format_args!("it holds other rows than {} says", manifest::NAME);
        return Err(damaged(&folder.join(SNAPSHOT), what));
    }
    Ok(manifest)
}

/// Each file that the manifest names is there, as long as it says, and no other.
pub(super) fn check_names(folder: &Path, manifest: &Manifest) -> Result<()> {
    let snapshot = folder.join(SNAPSHOT);
    for file in &manifest.files {
        let path = snapshot.join(&file.name);
        let (_, length) = files::plain(&path).map_err(|it| damaged(&path, it))?;
        if length != file.bytes {
            let what = format_args!("{length} bytes long, not {} as {} says", file.bytes, manifest::NAME);
            return Err(damaged(&path, what));
        }
    }
    let own = BTreeSet::from([manifest::NAME, SNAPSHOT]);
    let named: BTreeSet<&str> = manifest.files.iter().map(|it| it.name.as_str()).collect();
    for (folder, known) in [(folder, own), (&snapshot, named)] {
        if let Some(name) = files::names(folder)?.iter().find(|it| !known.contains(it.as_str())) {
            let message = format_args!("holds {name:?}, which is not of this backup; move it elsewhere");
            return Err(Error::new(Kind::Snapshot, format_args!("{}: {message}", folder.display())));
        }
    }
    Ok(())
}

fn unseal(folder: &Path, manifest: &Manifest, secret: Option<&Secret>, to: &TempDir) -> Result<()> {
    let missing = || {
        let by = manifest.sealed.as_ref().map_or("", |it| it.by.as_str());
        let message = format_args!("sealed with a {by}, and none was given");
        Error::new(Kind::Usage, format_args!("{}: {message}", folder.display()))
    };
    let secret = secret.ok_or_else(missing)?;
    let (from, to) = (folder.join(SNAPSHOT), to.path().join(SNAPSHOT));
    disk::folder(&to)?;
    let mut keys: Option<Keys> = None;
    for file in &manifest.files {
        let path = from.join(&file.name);
        let open = || files::plain(&path).map(|it| it.0).map_err(|it| disk::failed(&path, "cannot be read", &it));
        let keys = match &mut keys {
            Some(keys) => keys,
            none => {
                let found = Keys::of(secret, &path, &mut open()?)?;
                manifest.check_proof(folder, &found)?;
                none.insert(found)
            }
        };
        let name = file.name.strip_suffix(SUFFIX);
        let name = name.ok_or_else(|| damaged(&path, "it has not the name of a sealed file"))?;
        let mut output = disk::Output::create(to.join(name))?;
        keys.unseal(&path, &mut open()?, &mut output)?;
        output.flush().map_err(|it| disk::failed(&path, "cannot unseal", &it))?;
    }
    Ok(())
}

/// Reads every row of a snapshot, and counts them.
pub(in crate::run) fn counted(run: &Run, reader: &Reader) -> Result<Vec<TableRows>> {
    let mut counts = Vec::new();
    for table in reader.tables() {
        let (mut rows, mut count) = (reader.rows(&table.name)?, 0);
        let mut batch = Batch::new(Arc::clone(rows.shape()));
        loop {
            rows.fill(&mut batch)?;
            run.watch.read(0)?;
            if batch.is_empty() {
                break;
            }
            count += batch.len() as u64;
        }
        counts.push(TableRows { name: table.name.clone(), rows: count, partial: table.partial.clone() });
    }
    Ok(counts)
}

/// Expects the rows that [`same`] will read of the store, before the first of them is captured.
pub(in crate::run) fn expect(run: &Run, store: &mut dyn Source) -> Result<()> {
    store.tables()?.iter().for_each(|it| run.watch.expect(it.rows_about.unwrap_or(0)));
    Ok(())
}

/// Whether the snapshot holds what `store` does, row by row.
pub(in crate::run) fn same(run: &Run, reader: &Reader, store: &mut dyn Source) -> Result<()> {
    let tables = store.tables()?;
    let declared =
        |tables: &[Table]| tables.iter().map(|it| Table { rows_about: None, ..it.clone() }).collect::<Vec<_>>();
    if declared(&tables) != declared(reader.tables()) {
        return Err(changed("its tables are not those that were captured"));
    }
    for table in &tables {
        let tally = compare(run, reader, &table.name, &snapshot::shape(table), store, table)?;
        if !is_same(&tally) {
            return Err(changed(format_args!("table `{}`: {}", table.name, counts(&tally))));
        }
    }
    match store.torn()? {
        Some(why) => Err(Error::new(Kind::Store, format_args!("this is no state of the store to keep: {why}"))),
        None => Ok(()),
    }
}

#[cold]
fn changed(what: impl std::fmt::Display) -> Error {
    let message = "what was read for the backup is not what the store holds when it is read again";
    let hint = "stop what writes to it, then take the backup";
    Error::new(Kind::Store, format_args!("{message}: {what}; {hint}"))
}

/// Whether nothing at all differs.
pub(in crate::run) fn is_same(tally: &Tally) -> bool {
    tally.same == tally.source_rows && tally.same == tally.target_rows
}

/// What differs, in words.
pub(in crate::run) fn counts(tally: &Tally) -> String {
    let all = [(tally.missing, "gone"), (tally.extra, "more"), (tally.changed, "changed")];
    let some: Vec<String> = all.iter().filter(|it| it.0 > 0).map(|it| format!("{} {}", it.0, it.1)).collect();
    some.join(", ")
}

/// Compares the cells that `shape` asks for, which begins with the key, of one table of a snapshot with those of a table of
/// `store`. Rows of one key are compared one by one.
pub(in crate::run) fn compare(
    run: &Run,
    reader: &Reader,
    name: &str,
    shape: &Shape,
    store: &mut dyn Source,
    table: &Table,
) -> Result<Tally> {
    let shape = Arc::new(Shape { keyless: true, ..shape.clone() });
    let mut sort = !store.keeps_order(table, &shape)?;
    loop {
        let (tap, rows) = ahead(&shape);
        let sorted = sort.then(|| run.share(48));
        let side = pipeline::Reader {
            store: &mut *store,
            table,
            shape: &shape,
            program: None,
            renaming: None,
            indexes: Vec::new(),
            sort: sorted,
            keys: None,
        };
        let mut kept = reader.rows_in(name, &shape)?;
        let merged = thread::scope(|scope| {
            scope.spawn(move || side.read(tap, run));
            // They are dropped before the reader is waited for, so that one to whom nobody listens any more ends.
            let mut rows = rows;
            diff::compare(&mut kept, &mut rows, name, &mut Nobody)
        });
        match merged {
            Err(it) if it.kind() == Kind::TargetOrder && !sort => sort = true,
            result => return result,
        }
    }
}

/// Counts are enough.
struct Nobody;

impl Sink for Nobody {
    fn finding(&mut self, _: Finding<'_>) -> Result<()> {
        Ok(())
    }
}

impl Backup {
    /// What the snapshot says.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The folder that backups are found in, for one that is named by its own path.
    pub fn split(path: &Path) -> Option<(PathBuf, String)> {
        let id = path.file_name()?.to_str()?.to_owned();
        let home = path.parent().filter(|it| !it.as_os_str().is_empty())?;
        Some((home.to_owned(), id))
    }
}

impl Source for Backup {
    fn tables(&mut self) -> Result<Vec<Table>> {
        self.snapshot.tables()
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        self.snapshot.scan(table, shape, feed)
    }

    /// A backup never changes.
    fn refresh(&mut self) -> Result<()> {
        Ok(())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        self.snapshot.about()
    }

    fn notes(&self) -> Vec<String> {
        self.snapshot.notes()
    }
}
