//! What has to be written to the target, decided and put on disk before anything is written.
//!
//! While a table is compared, its differences go into three files in the folder of the run: `written` holds the rows that
//! will be written, `before` those that they take the place of, `kept` how rows will be that deliberately stay other than the
//! source's. They are what is written from, what is verified against, and what a rollback needs.

use super::{
    conflict::{Answer, Decide, Decision, Strategy},
    early::Onward,
    pile::Pile,
};
use crate::{
    diff::{Finding, Sink},
    disk,
    error::{Error, Kind, Result},
    pairing::{Comparison, Pair},
    report::{cell as shown, migration::Counts},
    row::{Field, Reject, Row, Shape},
    run::ids::Taken,
    run::log::{Level, Line, Log, Rows, Step, Topic},
    schema::{Column, Table},
    snapshot,
    value::cast::Cast,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Where differences are staged, and how conflicts are decided.
pub struct Stage {
    folder: PathBuf,
    strategies: BTreeMap<String, Strategy>,
    decide: Box<dyn Decide>,
    log: Log,
    onward: Option<Onward>,
    done: Mutex<BTreeMap<String, Staged>>,
}

/// What was staged of one table.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The table as its staged rows have it: the columns that are written, the key first.
    pub table: Table,
    /// Where its files are.
    pub folder: PathBuf,
    /// How many rows of each kind there are.
    pub counts: Counts,
    /// The rows that need a new id before anything is written.
    pub(in crate::run) taken: Taken,
}

impl Staged {
    /// The rows to write.
    pub fn written(&self) -> PathBuf {
        self.folder.join(WRITTEN)
    }

    /// The rows that they take the place of.
    pub fn before(&self) -> PathBuf {
        self.folder.join(BEFORE)
    }

    /// The rows that the store has turned into something else than was written, once that is known.
    pub fn landed(&self) -> PathBuf {
        self.folder.join(LANDED)
    }

    /// The rows that stay other than the source's.
    pub fn kept(&self) -> PathBuf {
        self.folder.join(KEPT)
    }
}

/// The names of the files of rows, and of that of refused rows.
pub(super) const WRITTEN: &str = "written.rows";
pub(super) const BEFORE: &str = "before.rows";
pub(super) const LANDED: &str = "landed.rows";
/// Rows of a table without a key that were there already, with the cells of a written one.
pub(super) const EQUAL: &str = "equal.rows";
const KEPT: &str = "kept.rows";
const REJECTS: &str = "rejects.ndjson";

impl Stage {
    /// Stages in `folder`, which is there. `strategies` go by the target's tables; what is not named stops.
    pub fn new(folder: &Path, strategies: BTreeMap<String, Strategy>, decide: Box<dyn Decide>, log: &Log) -> Stage {
        let (folder, log) = (folder.to_owned(), log.clone());
        Stage { folder, strategies, decide, log, onward: None, done: Mutex::default() }
    }

    /// The same, which also passes the rows to write on.
    pub(super) fn passing(self, onward: Option<Onward>) -> Stage {
        Stage { onward, ..self }
    }

    /// What was staged, by the target's tables.
    pub fn finish(self) -> BTreeMap<String, Staged> {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a table, anew where it was begun before.
    ///
    /// # Errors
    /// If its rows could not be told apart, or nothing can be written.
    pub(in crate::run) fn draft(&self, comparison: &Arc<Comparison>) -> Result<Draft<'_>> {
        let table = staged(comparison)?;
        let folder = self.folder.join(snapshot::file_name(&comparison.target.name));
        disk::folder(&folder)?;
        let pile = |name: &str| Pile::create(&folder.join(name), table.columns.len());
        let onward = self.onward.as_ref().and_then(|it| it.table(&table.name, &shape(comparison)));
        Ok(Draft {
            stage: self,
            piles: [pile(WRITTEN)?.passing(onward), pile(BEFORE)?, pile(KEPT)?],
            equals: (comparison.key == 0).then(|| pile(EQUAL).map(Equals::new)).transpose()?,
            rejects: Rejects { path: folder.join(REJECTS), file: None },
            taken: Taken::default(),
            lines: Lines::default(),
            staged: Staged { table, folder, counts: Counts::default(), taken: Taken::default() },
            comparison: Arc::clone(comparison),
        })
    }
}

/// A table whose differences are being staged.
pub(in crate::run) struct Draft<'s> {
    stage: &'s Stage,
    piles: [Pile; 3],
    equals: Option<Equals>,
    rejects: Rejects,
    /// The rows that need a new id, if they are to have one.
    pub(in crate::run) taken: Taken,
    lines: Lines,
    staged: Staged,
    comparison: Arc<Comparison>,
}

/// What is written down about single rows.
#[derive(Default)]
struct Lines {
    rejects: Rows,
    conflicts: Rows,
}

impl Draft<'_> {
    /// Passes `work` a sink that stages what it is told and tells `next`.
    ///
    /// # Errors
    /// As `work`, and if something cannot be written.
    pub(in crate::run) fn fill<T>(
        &mut self,
        next: &mut dyn Sink,
        work: impl FnOnce(&mut dyn Sink) -> Result<T>,
    ) -> Result<T> {
        let [written, before, kept] = &mut self.piles;
        let mut staging = Staging {
            next,
            decide: self.stage.decide.as_ref(),
            strategy: self.stage.strategies.get(&self.comparison.target.name).cloned().unwrap_or_default(),
            comparison: &self.comparison,
            written,
            before,
            kept,
            equals: self.equals.as_mut(),
            rejects: &mut self.rejects,
            taken: &mut self.taken.ids,
            lines: &mut self.lines,
            counts: &mut self.staged.counts,
        };
        work(&mut staging)
    }

    /// Puts what was staged where it belongs. `same` rows need nothing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(in crate::run) fn finish(mut self, same: u64) -> Result<()> {
        self.rejects.finish()?;
        self.piles.into_iter().chain(self.equals.map(|it| it.pile)).try_for_each(Pile::finish)?;
        self.staged.counts.same = same;
        self.staged.taken = self.taken;
        let Lines { rejects, conflicts } = self.lines;
        rejects.write(&self.stage.log, ", all of them in rejects.ndjson of the run's folder");
        conflicts.write(&self.stage.log, "");
        let mut done = self.stage.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(self.comparison.target.name.clone(), self.staged);
        Ok(())
    }
}

/// The table that holds what is written: the paired columns in the types in which they are compared.
fn staged(comparison: &Comparison) -> Result<Table> {
    let name = &comparison.target.name;
    let (key, rest) = comparison.columns.split_at(comparison.key);
    let keyless = comparison.key == 0;
    let coarse = |it: &Pair| it.shadow.is_some();
    if key.iter().any(coarse) || keyless && rest.iter().any(coarse) {
        let message = format!(
            "{name}: rows that are told apart by a column with `truncate`, `round` or `ignore` cannot be written; \
             name another `key`"
        );
        return Err(Error::new(Kind::Plan, message));
    }
    let mut table = Table::new(name);
    table.columns = comparison.columns.iter().map(|it| Column::new(&it.name, it.ty)).collect();
    table.key = (0..comparison.key).collect();
    table.key_origin = crate::schema::Origin::Declared;
    Ok(table)
}

/// The shape in which staged rows are read to be written: the target's columns with its casts, without tolerances.
pub fn shape(comparison: &Comparison) -> Arc<Shape> {
    let exact = |it: &Pair| {
        let field = comparison.target_shape.fields.get(it.shadow.or(it.place)?)?;
        Some(Field::new(it.name.clone(), Cast { coarsen: None, ..field.cast.clone() }))
    };
    let fields: Vec<Field> = comparison.columns.iter().filter_map(exact).collect();
    let (compared, keyless) = (fields.len(), comparison.key == 0);
    Arc::new(Shape { fields, key: if keyless { compared } else { comparison.key }, compared, keyless })
}

/// The refused rows of a table, a line each.
struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<fs::File>>,
}

impl Rejects {
    fn push(&mut self, reject: &Reject) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = fs::OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(0o600);
                none.insert(BufWriter::new(
                    options.open(&self.path).map_err(|it| disk::failed(&self.path, "cannot write", &it))?,
                ))
            }
        };
        let Reject { key, item, column, rule, value, row } = reject;
        let line = serde_json::json!({ "item": item, "column": column, "rule": rule });
        // Key, value and row are JSON already, whose numbers must stay letter by letter.
        let line = line.to_string();
        let row = row.as_deref().unwrap_or("null");
        let line = format!("{{\"key\":{key},\"value\":{value},\"row\":{row},{}", line.trim_start_matches('{'));
        writeln!(file, "{line}").map_err(|it| disk::failed(&self.path, "cannot write", &it))
    }

    fn finish(&mut self) -> Result<()> {
        match &mut self.file {
            Some(file) => file.flush().map_err(|it| disk::failed(&self.path, "cannot write", &it)),
            // Those of an earlier attempt are no longer true.
            None => match fs::remove_file(&self.path) {
                Err(it) if it.kind() != std::io::ErrorKind::NotFound => {
                    Err(disk::failed(&self.path, "cannot write", &it))
                }
                _ => Ok(()),
            },
        }
    }
}

/// Stages differences as the merge meets them.
struct Staging<'a> {
    next: &'a mut dyn Sink,
    decide: &'a dyn Decide,
    strategy: Strategy,
    comparison: &'a Comparison,
    written: &'a mut Pile,
    before: &'a mut Pile,
    kept: &'a mut Pile,
    equals: Option<&'a mut Equals>,
    rejects: &'a mut Rejects,
    taken: &'a mut Vec<Vec<u8>>,
    lines: &'a mut Lines,
    counts: &'a mut Counts,
}

impl Staging<'_> {
    fn changed(&mut self, source: Row<'_>, target: Row<'_>) -> Result<()> {
        let pairs = &self.comparison.columns;
        if self.strategy.new_ids {
            self.taken.push(source.key().to_vec());
            return Ok(());
        }
        let conflict = self.strategy.decide(self.comparison, source, target, self.decide)?;
        let Decision { answer, take } = conflict;
        self.lines.conflicts.add(|| conflicting(self.comparison, source, target, answer));
        match answer {
            Answer::Stop => {
                self.counts.conflict += 1;
                return Ok(());
            }
            Answer::Keep => self.counts.skip += 1,
            Answer::Write => {
                self.counts.update += 1;
                self.before.push(exact(pairs, target))?;
            }
        }
        let chosen = || pairs.iter().zip(&take).filter_map(|(it, take)| cell(it, if *take { source } else { target }));
        if answer == Answer::Write {
            self.written.push(chosen())?;
        }
        if take.iter().all(|it| *it) { Ok(()) } else { self.kept.push(chosen()) }
    }
}

impl Sink for Staging<'_> {
    fn finding(&mut self, finding: Finding<'_>) -> Result<()> {
        match finding {
            Finding::Missing(row) => {
                self.counts.insert += 1;
                if let Some(equals) = &mut self.equals {
                    equals.written(exact(&self.comparison.columns, row))?;
                }
                self.written.push(exact(&self.comparison.columns, row))?;
            }
            Finding::Changed { source, target } => self.changed(source, target)?,
            Finding::Reject(reject) => {
                self.counts.reject += 1;
                self.rejects.push(reject)?;
                self.lines.rejects.add(|| refused(&self.comparison.target.name, reject));
            }
            Finding::Extra(_) | Finding::Tolerated { .. } | Finding::Duplicate { .. } | Finding::Invalid { .. } => {}
        }
        self.next.finding(finding)
    }

    fn same(&mut self, row: Row<'_>) -> Result<()> {
        if let Some(equals) = &mut self.equals {
            equals.same(exact(&self.comparison.columns, row));
        }
        self.next.same(row)
    }
}

/// Rows that were there already with the cells of a written one. Without a key only their number tells later which of them are ours.
struct Equals {
    pile: Pile,
    /// The cells of the rows met last that both sides have, and how many of them there are.
    met: (Vec<Vec<u8>>, u64),
}

impl Equals {
    fn new(pile: Pile) -> Equals {
        Equals { pile, met: Default::default() }
    }

    fn same<'a>(&mut self, cells: impl Iterator<Item = &'a [u8]> + Clone) {
        let (met, count) = &mut self.met;
        if !cells.clone().eq(met.iter()) {
            *met = cells.map(<[u8]>::to_vec).collect();
            *count = 0;
        }
        *count += 1;
    }

    /// The pairs of equal rows come before those that only the source has.
    fn written<'a>(&mut self, cells: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let (met, count) = &mut self.met;
        if cells.eq(met.iter()) {
            for _ in 0..std::mem::take(count) {
                self.pile.push(met.iter().map(Vec::as_slice))?;
            }
        }
        Ok(())
    }
}

/// What is written down about a row that the mapping refuses.
fn refused(table: &str, reject: &Reject) -> Line {
    let column = reject.column.as_ref().map(|it| format!("{it}: ")).unwrap_or_default();
    let line = Line::new(Level::Warn, Step::Transform, format!("refused by the mapping: {column}{}", reject.rule));
    let line = line.of(table).about(reject.key.as_str());
    reject.item.map_or(line.clone(), |it| line.with([("item", it)]))
}

/// What is written down about a row that the target holds with other values.
fn conflicting(comparison: &Comparison, source: Row<'_>, target: Row<'_>, answer: Answer) -> Line {
    let (level, what) = match answer {
        Answer::Stop => (Level::Error, "the target has other values, and the plan says to stop"),
        Answer::Keep => (Level::Warn, "the target has other values, which stay"),
        Answer::Write => (Level::Warn, "the target has other values, which are overwritten"),
    };
    let differs = comparison.columns.iter().filter(|it| cell(it, source) != cell(it, target));
    let columns = differs.map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    let key = comparison.columns.iter().take(comparison.key).enumerate();
    let key = key.map(|(place, it)| (it.name.as_str(), shown::cell(source.cell(place), true, it.secret)));
    let line = Line::new(level, Step::Transform, format!("{what} ({columns})")).on(Topic::Conflict);
    line.of(&comparison.target.name).about(shown::object(key))
}

/// The cells of a row as it is, whatever is coarsened for the comparison.
fn exact<'a>(pairs: &'a [Pair], row: Row<'a>) -> impl Iterator<Item = &'a [u8]> + Clone {
    pairs.iter().filter_map(move |it| cell(it, row))
}

/// The cell of a column as it is.
pub(super) fn cell<'a>(pair: &Pair, row: Row<'a>) -> Option<&'a [u8]> {
    pair.shadow.or(pair.place).map(|it| row.cell(it))
}
