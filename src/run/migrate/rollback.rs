//! Back to what was there before a run: rows that it wrote and that nobody has changed since.

use super::{
    apply::{Applied, Load, MayWrite, Pace, Sender, Walk},
    foreseen::{Layer, foreseen},
    held::{Child, Parent},
    manifest::{Entry, Manifest},
    pile::{Pile, Piled},
    stage::{BEFORE, EQUAL, LANDED, WRITTEN},
};
use crate::{
    ahead::ahead,
    diff::undo::{Fate, undo},
    disk,
    error::{Error, Kind, Result},
    plan::Plan,
    report::{cell as shown, migration::Undoing},
    row::{Batch, Flow, Row, Rows, Shape},
    run::{
        Run,
        log::{Level, Line, Rows as Lines, Step},
        pipeline,
    },
    schema::{ForeignKey, Table},
    store::{
        Source,
        target::{Begin, Target},
    },
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    thread,
};

/// Rows beyond this many are not looked up by their keys: reading the table is quicker.
pub(super) const KEYS_MAX: u64 = 10_000;
/// Keys of rows that stay, shown as examples.
const EXAMPLES: usize = 20;

/// The names of the two files of rows that say what to do.
pub(super) const RESTORE: &str = "restore.rows";
pub(super) const REMOVE: &str = "remove.rows";
/// The folder of them in that of a run.
const UNDO: &str = "undo";

/// A run that is to be undone.
pub struct Undo<'u> {
    /// What it staged.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
    /// The target, for writing.
    pub target: Box<dyn Target>,
    /// Opens the target for reading.
    pub reopen: &'u dyn Fn() -> Result<Box<dyn Source>>,
    /// How batches are sent.
    pub pace: Pace,
    /// The target's tables.
    pub tables: Vec<Table>,
    /// Whether this run may still write.
    pub may_write: &'u MayWrite<'u>,
    /// The tables to undo. Nothing: all.
    pub wanted: Option<Vec<String>>,
    /// Runs that are undone before this one, the last one first, of which nothing has been written yet: what undoing them takes is
    /// staged in their folders.
    pub later: Vec<(Manifest, PathBuf)>,
    /// Says which columns are shown nowhere.
    pub plan: &'u Plan,
}

/// What undoing each table takes, in the order in which it is done.
pub type Undone = Vec<(String, Undoing)>;

/// What the audit trail keeps of a table that was undone.
pub fn kept(table: &str, it: &Undoing) -> Value {
    json!({ "table": table, "restored": it.restore, "removed": it.remove, "left": it.theirs, "held": it.held })
}

impl Undo<'_> {
    /// Takes back what the run wrote, children before parents, and looks whether it is gone. With `preview` it only says what
    /// it would do. `attempt` tells this attempt from all others.
    ///
    /// # Errors
    /// If a store fails. What was taken back until then stays so, and doing it again goes on.
    pub fn run(&mut self, run: &Run, preview: bool, attempt: &str) -> Result<Undone> {
        let found = self.find(run)?;
        if preview || found.iter().all(|it| it.1.restore + it.1.remove == 0) {
            return Ok(found);
        }
        let tables = self.tables.clone();
        self.target.begin(&Begin { tables: &tables, disable_indexes: false })?;
        let written = self.write(run, attempt);
        self.target.end().and(written)?;
        for (name, left) in self.find(run)? {
            if left.restore + left.remove > 0 {
                let count = left.restore + left.remove;
                let message = format!("{count} rows of `{name}` are not as they were, although they were taken back");
                return Err(Error::new(Kind::Store, message));
            }
        }
        Ok(found)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.manifest.tables.iter().rev().filter(|it| self.wants(&it.name))
    }

    fn wants(&self, table: &str) -> bool {
        self.wanted.as_ref().is_none_or(|names| names.iter().any(|it| it == table))
    }

    /// What is staged in that table of these runs.
    fn layers<'m>(&self, table: &str, runs: impl Iterator<Item = (&'m Manifest, &'m PathBuf)>) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        for (manifest, folder) in runs.filter(|_| self.wants(table)) {
            let zone = manifest.zone()?;
            let layer =
                |it: &Entry| Layer { shape: it.shape(zone.as_ref()), folder: folder.join(UNDO).join(&it.folder) };
            layers.extend(manifest.tables.iter().find(|it| it.name == table).map(layer).filter(Layer::is_there));
        }
        Ok(layers)
    }

    fn later(&self) -> impl Iterator<Item = (&Manifest, &PathBuf)> {
        self.later.iter().map(|(manifest, folder)| (manifest, folder))
    }

    /// Finds out what there is to undo.
    fn find(&self, run: &Run) -> Result<Undone> {
        let zone = self.manifest.zone()?;
        let mut source = (self.reopen)()?;
        let folder = self.folder.join(UNDO);
        // What an earlier look staged is no longer true.
        match fs::remove_dir_all(&folder) {
            Err(it) if it.kind() != io::ErrorKind::NotFound => Err(disk::failed(&folder, "cannot be emptied", &it)),
            _ => disk::folder(&folder),
        }?;
        let mut found = Vec::new();
        for entry in self.entries() {
            let table = self.table(&entry.name)?;
            let shape = entry.shape(zone.as_ref());
            let folder = folder.join(&entry.folder);
            disk::folder(&folder)?;
            let staged = self.folder.join(&entry.folder);
            let key = |row: Row<'_>| key(self.plan, &table.name, row);
            let later = self.layers(&entry.name, self.later())?;
            let undoing = stage(run, source.as_mut(), (table, &shape), (&staged, &folder), &later, &key)?;
            found.push((entry.name.clone(), undoing));
        }
        self.hold_all(run, source.as_mut(), zone.as_ref(), &mut found)?;
        Ok(found)
    }

    /// Leaves those of the rows to be removed that rows refer to which stay, and those that these refer to in turn.
    fn hold_all(&self, run: &Run, target: &mut dyn Source, zone: Option<&TimeZone>, found: &mut Undone) -> Result<()> {
        let (all, entries) = (target.tables()?, self.entries().collect::<Vec<_>>());
        // Children come first, so each is looked at once, but where references go in a circle.
        let mut waiting: BTreeSet<usize> = (0..entries.len()).collect();
        while let Some(at) = waiting.pop_first() {
            let (name, before) = (&entries[at].name, found[at].1.remove);
            self.hold(run, target, (entries[at], zone, &all), &mut found[at].1)?;
            if found[at].1.remove < before {
                let own = all.iter().filter(|it| it.name == *name).flat_map(|it| &it.foreign_keys);
                let parents: Vec<&Table> = own.filter_map(|it| it.parent(&all)).collect();
                waiting.extend((0..entries.len()).filter(|&it| parents.iter().any(|of| of.name == entries[it].name)));
            }
        }
        Ok(())
    }

    /// Leaves the rows of one table that rows refer to which stay, as far as it is known of these.
    fn hold(
        &self,
        run: &Run,
        target: &mut dyn Source,
        (entry, zone, all): (&Entry, Option<&TimeZone>, &[Table]),
        undoing: &mut Undoing,
    ) -> Result<()> {
        let (table, shape, undo) = (self.table(&entry.name)?, entry.shape(zone), self.folder.join(UNDO));
        if undoing.remove == 0 {
            return Ok(());
        }
        let cascades = target.cascades(table)?;
        if !cascades.is_empty() {
            let message = format!(
                "to remove rows of `{}` may remove or change rows that refer to them from {}, which cannot be followed here; \
                 name their schema under `schemas`, let this role read them, or take those foreign keys away meanwhile",
                table.name,
                cascades.join(" and from ")
            );
            return Err(Error::new(Kind::Plan, message));
        }
        let table = all.iter().find(|it| it.name == table.name).unwrap_or(table);
        let parent = Parent { table, shape: &shape, folder: &undo.join(&entry.folder) };
        for child in all {
            let runs = self.later().chain([(&self.manifest, &self.folder)]);
            let staged = &self.layers(&child.name, runs)?;
            let is_to = |it: &&ForeignKey| it.parent(all).is_some_and(|it| it.name == table.name);
            for reference in child.foreign_keys.iter().filter(is_to) {
                if undoing.remove == 0 {
                    return Ok(());
                }
                let key = |row: Row<'_>| key(self.plan, &table.name, row);
                parent.hold(run, target, (&Child { table: child, staged }, reference), &mut |row| {
                    undoing.remove -= 1;
                    undoing.held += 1;
                    if undoing.holding.len() < EXAMPLES {
                        undoing.holding.push(format!("{}, by {}", key(row), child.name));
                    }
                })?;
            }
        }
        Ok(())
    }

    fn table(&self, name: &str) -> Result<&Table> {
        let gone = || Error::new(Kind::Store, format_args!("the target has no table `{name}` any more"));
        self.tables.iter().find(|it| it.name == name).ok_or_else(gone)
    }

    fn write(&mut self, run: &Run, attempt: &str) -> Result<()> {
        let zone = self.manifest.zone()?;
        let entries: Vec<Entry> = self.entries().cloned().collect();
        // Marks of an earlier attempt say nothing about this one.
        let id = format!("{} undone {attempt}", self.manifest.id);
        for entry in entries {
            let table = self.table(&entry.name)?.clone();
            let shape = entry.shape(zone.as_ref());
            let mut sender = Sender {
                run,
                pace: &self.pace,
                target: self.target.as_mut(),
                table: &table,
                id: &id,
                begun: &AtomicU64::new(0),
                arrived: &mut |_, _, _| Ok(()),
                may_write: self.may_write,
                later: Vec::new(),
                failed: self.folder.join(UNDO).join(&entry.folder).join("failed.ndjson"),
                plan: self.plan,
                lines: Lines::default(),
                done: Applied::default(),
            };
            let undone = carry_out(&mut sender, &self.folder.join(UNDO).join(&entry.folder), &shape);
            let (done, lines) = (sender.done, std::mem::take(&mut sender.lines));
            lines.write(&run.log, "");
            let counts = [("restored", done.written.updated), ("removed", done.written.deleted)];
            run.log.line(Line::new(Level::Info, Step::Load, "taken back").of(&table.name).with(counts));
            undone?;
        }
        Ok(())
    }
}

/// Finds out what undoing a table takes, and stages it in `folder`. Nothing is written to the target.
///
/// `staged` is the folder of the table in that of the run, `table` the target's, `later` what is undone before, and `key` tells a row
/// to people.
///
/// # Errors
/// If something cannot be read, or not be staged.
fn stage(
    run: &Run,
    target: &mut dyn Source,
    (table, shape): (&Table, &Arc<Shape>),
    (staged, folder): (&Path, &Path),
    later: &[Layer],
    key: &dyn Fn(Row<'_>) -> String,
) -> Result<Undoing> {
    let piled = |name: &str| Piled::open(&staged.join(name), shape);
    let (written, mut before) = (piled(WRITTEN)?, piled(if shape.keyless { EQUAL } else { BEFORE })?);
    let few = written.count()? <= KEYS_MAX && !shape.keyless;
    let keys = few.then(|| keys(piled(WRITTEN)?, shape)).transpose()?;
    let reader = pipeline::Reader {
        store: target,
        table,
        shape,
        program: None,
        renaming: None,
        indexes: Vec::new(),
        sort: Some(run.share(24)),
        keys,
    };
    let pile = |name: &str| Pile::create(&folder.join(name), shape.width());
    let (mut restore, mut remove) = (pile(RESTORE)?, pile(REMOVE)?);
    let mut undoing = Undoing::default();
    let (tap, now) = ahead(shape);
    let mut now = foreseen(now, later)?;
    let landed = staged.join(LANDED).exists().then(|| Walk::new(piled(LANDED)?)).transpose()?;
    let mut written = Landed { written, landed };
    thread::scope(|scope| {
        let reading = scope.spawn(move || reader.read(tap, run));
        let decided = undo(&mut written, &mut before, now.as_mut(), &mut |it| match it {
            Fate::Restore { before } => {
                undoing.restore += 1;
                restore.push(cells(before))
            }
            Fate::Remove { now } => {
                undoing.remove += 1;
                remove.push(cells(now))
            }
            Fate::Done => {
                undoing.done += 1;
                Ok(())
            }
            Fate::Theirs { written } => {
                undoing.theirs += 1;
                if undoing.examples.len() < EXAMPLES {
                    undoing.examples.push(key(written));
                }
                Ok(())
            }
        });
        drop(now);
        let died = |_| Error::new(Kind::Broken, "a thread that read the target panicked; please report this defect");
        reading.join().map_err(died)?;
        decided
    })?;
    restore.finish()?;
    remove.finish()?;
    Ok(undoing)
}

/// Carries out what [`stage`] put into `folder`.
///
/// # Errors
/// As [`Sender::send`], and if what was staged cannot be read.
fn carry_out(sender: &mut Sender<'_, '_>, folder: &Path, shape: &Arc<Shape>) -> Result<()> {
    // What goes makes room for what comes back, where both have one value of a unique column.
    for (name, side) in
        [(REMOVE, (|it| &mut it.deletes) as fn(&mut Load) -> &mut Batch), (RESTORE, |it| &mut it.updates)]
    {
        let mut walk = Walk::new(Piled::open(&folder.join(name), shape)?)?;
        let (mut load, enough) = (Load::new(shape), sender.enough());
        walk.each(|row| {
            side(&mut load).push_row(row);
            if enough.is(&load) {
                sender.send(&mut load)?;
            }
            Ok(Flow::Continue)
        })?;
        sender.send(&mut load)?;
    }
    sender.finish()
}

/// The rows that were written, as the store holds them.
struct Landed {
    written: Piled,
    /// Those that it has turned into something else.
    landed: Option<Walk<Piled>>,
}

impl Rows for Landed {
    fn shape(&self) -> &Arc<Shape> {
        self.written.shape()
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        self.written.fill(batch)?;
        let Some(landed) = &mut self.landed else { return Ok(()) };
        let mut rows = Batch::new(Arc::clone(batch.shape()));
        for row in batch.rows() {
            match landed.at(row.key())? {
                Some(it) => rows.push_row(it),
                None => rows.push_row(row),
            }
        }
        *batch = rows;
        Ok(())
    }
}

/// The keys of all staged rows.
pub(super) fn keys(written: Piled, shape: &Arc<Shape>) -> Result<Batch> {
    let fields = shape.fields.iter().take(shape.key).cloned().collect();
    let alone = Arc::new(Shape { fields, key: shape.key, compared: shape.key, keyless: false });
    let mut keys = Batch::new(alone);
    Walk::new(written)?.each(|row| {
        keys.push_cells(row.key(), row.ends().take(shape.key), false);
        Ok(Flow::Continue)
    })?;
    Ok(keys)
}

/// The cells of a row, to be staged.
pub(super) fn cells(row: Row<'_>) -> impl Iterator<Item = &[u8]> {
    (0..row.shape().width()).map(move |it| row.cell(it))
}

/// The key of a row for people, its secrets masked.
fn key(plan: &Plan, table: &str, row: Row<'_>) -> String {
    let fields = row.shape().fields.iter().take(row.shape().key).enumerate();
    let member = |(place, field): (usize, &crate::row::Field)| {
        let secret = plan.is_secret(table, &field.column);
        format!("{}={}", field.column, shown::cell(row.cell(place), true, secret).json)
    };
    fields.map(member).collect::<Vec<_>>().join(", ")
}
