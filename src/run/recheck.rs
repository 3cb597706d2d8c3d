//! Looking again at the rows that differ, while the data is still on the move.
//!
//! The merge notes the keys of all rows that differ. Each later look reads these keys alone, on both sides, through the same
//! mapping, the same casts and the same merge. What the look before counted for them is taken out of the tally, and what this one
//! counts is put in: every row is counted once, by the last state in which it was seen.

use super::{
    Run,
    log::{Level, Line, Step},
    pipeline::place,
    table::Outcome,
    verify::{Pairing, Task, look},
};
use crate::{
    diff::{Finding, Sink, Tally},
    error::{Error, Kind, Result},
    report::{self, Seen, folder::Folder, layout, sampler::Sampler},
    row::{Batch, Reject, Row, Shape},
    schema::Table,
};
use std::{collections::BTreeMap, sync::Arc};

/// Keys beyond this many are not looked at again: then it is no stragglers that differ.
const KEYS_MAX: usize = 10_000;

/// Nor are more bytes of keys, which are whole rows where a table has none.
const BYTES_MAX: usize = 16 << 20;

/// What a finding is known by from one look to the next.
type Print = [u8; 16];

/// What one look found of a table, by key.
pub(super) struct Differing {
    /// In order, the key cells alone.
    keys: Batch,
    /// The findings of each key.
    prints: Vec<Vec<Print>>,
    /// What was counted for these keys.
    part: Tally,
    /// Rows of them that are the same only by a tolerance, by the place of the exact cell.
    tolerated: Vec<u64>,
    /// All refused rows together.
    rejects: u128,
    /// There were too many keys, or nobody wants them, so none is kept.
    over: bool,
}

impl Differing {
    fn new(shape: &Shape) -> Differing {
        let keys = Batch::new(key_shape(shape));
        let tolerated = vec![0; shape.width()];
        Differing { keys, prints: Vec::new(), part: Tally::default(), tolerated, rejects: 0, over: false }
    }

    /// How many keys there are to look at again.
    fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys, for a stream of that shape.
    pub(super) fn keys(&self, shape: &Shape) -> Batch {
        let mut keys = Batch::new(key_shape(shape));
        self.keys.rows().for_each(|it| keys.push_row(it));
        keys
    }

    /// How a finding of this key compares with those of this look.
    fn seen(&self, key: &[u8], print: &Print) -> Option<Seen> {
        let prints = self.prints.get(place(&self.keys, key)?)?;
        Some(if prints.contains(print) { Seen::Still } else { Seen::ChangedAgain })
    }

    /// How many of these keys differ just as they did before.
    fn still(&self, before: &Differing) -> usize {
        let same = |(key, prints): (Row<'_>, &Vec<Print>)| {
            let place = place(&before.keys, key.bytes());
            place.and_then(|it| before.prints.get(it)).is_some_and(|it| it == prints)
        };
        self.keys.rows().zip(&self.prints).filter(|it| same(*it)).count()
    }
}

fn key_shape(shape: &Shape) -> Arc<Shape> {
    let fields = shape.fields.iter().take(shape.key).cloned().collect();
    Arc::new(Shape { fields, key: shape.key, compared: shape.key, keyless: shape.keyless })
}

/// Stands before the sampler and notes which keys differ, and how.
pub(super) struct Noting<'s> {
    sampler: &'s mut Sampler,
    before: Option<&'s Differing>,
    now: Differing,
    keyless: bool,
    /// The key of the rows that come now.
    key: Vec<u8>,
    /// Whether it is among those that differ.
    noted: bool,
    /// Equal rows and tolerated ones of this key so far, for when it turns out to differ.
    same: u64,
    tolerated: Vec<u64>,
}

impl<'s> Noting<'s> {
    /// In front of `sampler`. `before` is what an earlier look found.
    /// Unless it is `wanted`, nothing is noted.
    pub(super) fn new(
        sampler: &'s mut Sampler,
        before: Option<&'s Differing>,
        shape: &Shape,
        wanted: bool,
    ) -> Noting<'s> {
        let now = Differing { over: !wanted, ..Differing::new(shape) };
        let tolerated = vec![0; shape.width()];
        Noting { sampler, before, now, keyless: shape.keyless, key: Vec::new(), noted: false, same: 0, tolerated }
    }

    /// What this look found.
    pub(super) fn finish(self) -> Differing {
        self.now
    }

    fn turn(&mut self, key: &[u8]) {
        if self.key != key {
            key.clone_into(&mut self.key);
            self.tolerated.fill(0);
            (self.noted, self.same) = (false, 0);
        }
    }

    /// Begins with a key that differs. `paired`: two rows of it were found to be the same before this.
    fn note(&mut self, row: Row<'_>, paired: bool) {
        self.turn(row.key());
        if self.noted {
            return;
        }
        self.noted = true;
        let now = &mut self.now;
        if now.len() == KEYS_MAX || now.keys.size() + row.key().len() > BYTES_MAX {
            now.over = true;
            now.keys.clear();
            now.prints = Vec::new();
            return;
        }
        now.keys.push_cells(row.key(), row.ends().take(row.shape().key), false);
        now.prints.push(Vec::new());
        let same = if self.keyless { self.same } else { u64::from(paired) };
        now.part.add(&Tally { same, source_rows: same, target_rows: same, ..Tally::default() });
        now.tolerated.iter_mut().zip(&self.tolerated).for_each(|(all, mine)| *all += mine);
    }

    /// Notes a finding about rows, and counts it as the merge does.
    fn row(&mut self, finding: &Finding<'_>) -> Option<(Vec<u8>, Print)> {
        let (row, other, paired, part) = match *finding {
            Finding::Missing(row) => (row, None, false, Tally { source_rows: 1, missing: 1, ..Tally::default() }),
            Finding::Extra(row) => (row, None, false, Tally { target_rows: 1, extra: 1, ..Tally::default() }),
            Finding::Changed { source, target } => {
                let part = Tally { source_rows: 1, target_rows: 1, changed: 1, ..Tally::default() };
                (source, Some(target), false, part)
            }
            Finding::Duplicate { side: report::Side::Source, row } => {
                (row, None, true, Tally { source_rows: 1, source_duplicates: 1, ..Tally::default() })
            }
            Finding::Duplicate { row, .. } => {
                (row, None, true, Tally { target_rows: 1, target_duplicates: 1, ..Tally::default() })
            }
            Finding::Invalid { side, row, .. } => {
                let source_invalid = u64::from(side == report::Side::Source);
                (row, None, true, Tally { invalid: 1, source_invalid, ..Tally::default() })
            }
            Finding::Tolerated { .. } | Finding::Reject(_) => return None,
        };
        self.note(row, paired);
        if self.now.over {
            return None;
        }
        self.now.part.add(&part);
        let print = print(finding, row, other);
        self.now.prints.last_mut()?.push(print);
        Some((row.key().to_vec(), print))
    }
}

impl Sink for Noting<'_> {
    fn finding(&mut self, finding: Finding<'_>) -> Result<()> {
        match finding {
            Finding::Reject(it) => self.now.rejects = self.now.rejects.wrapping_add(refused(it)),
            Finding::Tolerated { source, target } if !self.now.over => {
                self.turn(source.key());
                let counts = if self.noted { &mut self.now.tolerated } else { &mut self.tolerated };
                for place in
                    crate::diff::cells::differing(source, target, source.shape().compared..source.shape().width())
                {
                    counts[place] += 1;
                }
            }
            _ if !self.now.over => {
                let noted = self.row(&finding);
                let seen = noted.and_then(|(key, print)| self.before?.seen(&key, &print));
                self.sampler.mark(seen);
                self.sampler.finding(finding)?;
                self.sampler.mark(None);
                return Ok(());
            }
            _ => {}
        }
        self.sampler.finding(finding)
    }

    fn same(&mut self, row: Row<'_>) -> Result<()> {
        if !self.now.over {
            self.turn(row.key());
            if self.noted {
                self.now.part.add(&Tally { same: 1, source_rows: 1, target_rows: 1, ..Tally::default() });
            } else {
                self.same += 1;
            }
        }
        Ok(())
    }
}

fn print(finding: &Finding<'_>, row: Row<'_>, other: Option<Row<'_>>) -> Print {
    let word = match *finding {
        Finding::Missing(_) => [0, 0],
        Finding::Extra(_) => [1, 0],
        Finding::Duplicate { side, .. } => [2, side as usize],
        Finding::Invalid { side, place, .. } => [3 + side as usize, place],
        _ => [6, 0],
    };
    let mut hasher = blake3::Hasher::new();
    for part in word {
        hasher.update(&part.to_le_bytes());
    }
    for row in [Some(row), other].into_iter().flatten() {
        hasher.update(&(row.compared().len() as u64).to_le_bytes()).update(row.compared());
    }
    short(&hasher)
}

fn refused(reject: &Reject) -> u128 {
    let Reject { key, item, column, rule, value, row: _ } = reject;
    let text = format!("{key}\0{item:?}\0{column:?}\0{rule}\0{value}");
    u128::from_le_bytes(short(blake3::Hasher::new().update(text.as_bytes())))
}

fn short(hasher: &blake3::Hasher) -> Print {
    let mut print = [0; 16];
    hasher.finalize_xof().fill(&mut print);
    print
}

/// Looks again, as often as `run` says, at all that differs. What comes back are notes.
///
/// # Errors
/// If a store fails, or its tables are no longer what they were.
pub(super) fn look_again(
    task: &mut Task,
    run: &Run,
    outcomes: &mut BTreeMap<usize, Outcome>,
    folder: Option<&Folder>,
) -> Result<Vec<String>> {
    for round in 1..=run.recheck.rounds {
        let keys: usize = outcomes.values().filter_map(|it| it.differing.as_ref()).map(Differing::len).sum();
        if keys == 0 {
            break;
        }
        let (rows, verb) = if keys == 1 { ("row", "differs") } else { ("rows", "differ") };
        let (delay, rounds) = (run.recheck.delay, run.recheck.rounds);
        let when = if delay.is_zero() { "now".to_owned() } else { format!("in {delay:?}") };
        let says = format!("{keys} {rows} {verb}; looking again {when} ({round} of {rounds})");
        (run.tell)(&says);
        run.log.line(Line::new(Level::Info, Step::Verify, says));
        task.source.release()?;
        task.target.release()?;
        run.watch.wait(delay)?;
        // Both are asked, so that both can be read afterwards.
        let refreshed = [("source", task.source.refresh()), ("target", task.target.refresh())];
        if let Some((side, error)) = refreshed.into_iter().find_map(|(side, it)| Some((side, it.err()?))) {
            return Ok(vec![format!("not looked at again: the {side}: {error}")]);
        }
        let tables = [task.source.tables()?, task.target.tables()?];
        for (&at, outcome) in outcomes.iter_mut() {
            let Some(before) = outcome.differing.take_if(|it| it.len() > 0) else { continue };
            let pairing = &task.tables[at];
            let sides = [("source", &pairing.from), ("target", &pairing.comparison.target)];
            let made = usize::from(pairing.made.is_some());
            for ((side, table), now) in sides.into_iter().zip(&tables).skip(made) {
                unchanged(side, table, now)?;
            }
            let stores = (task.source.as_mut(), task.target.as_mut());
            match look(run, pairing, &outcome.comparison, stores, folder, &before) {
                Ok(now) => outcome.settle(&before, now)?,
                // Somebody writes just now: what was seen before holds until the next look.
                Err(it) if it.kind() == Kind::Busy && round < run.recheck.rounds => outcome.differing = Some(before),
                Err(it) => return Err(it),
            }
        }
    }
    Ok(Vec::new())
}

/// What a reader of the report has to know about a table that was, or was not, looked at again.
pub(super) fn notes(pairing: &Pairing, outcome: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    if outcome.differing.as_ref().is_some_and(|it| it.over) {
        let most = layout::count(KEYS_MAX as u64);
        notes.push(format!("more than {most} rows differ, so none was looked at again"));
    }
    if outcome.recheck.is_some() && outcome.tally.orphans + outcome.tally.clashes > 0 {
        notes.push("orphans and clashes of constraints are as the first look found them".to_owned());
    }
    if outcome.recheck.is_some() && pairing.made.is_some() {
        notes.push("the rows that `command` made are those of the first look".to_owned());
    }
    notes
}

/// Columns that come and go would be read from the wrong places, or not at all.
fn unchanged(side: &str, table: &Table, now: &[Table]) -> Result<()> {
    let names = |it: &Table| it.columns.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let found = now.iter().find(|it| it.name == table.name);
    let alike = |it: &Table| it.unreadable == table.unreadable && it.partial.is_some() == table.partial.is_some();
    if found.is_some_and(|it| alike(it) && names(it) == names(table)) {
        return Ok(());
    }
    let message =
        format_args!("table `{}` of the {side} is no longer what it was at the first look; run again", table.name);
    Err(Error::new(Kind::Store, message))
}

impl Outcome {
    /// Puts what a later look found in the place of what the one before it had.
    fn settle(&mut self, before: &Differing, now: Outcome) -> Result<()> {
        let Some(differing) = now.differing else { return Ok(()) };
        let mut gone = before.part;
        // A mapping reads everything again, and so refuses everything again.
        gone.rejects = self.tally.rejects;
        gone.source_rows += gone.rejects;
        if !self.tally.subtract(&gone) {
            return Err(broken(&self.comparison.target.name));
        }
        self.tally.add(&now.tally);
        if !self.tally.balances() || differing.over {
            return Err(broken(&self.comparison.target.name));
        }
        if before.rejects != differing.rejects {
            let what = "the mapping refuses other rows than at the look before, so what became of those is not known";
            self.unchecked.push(format!("{what}; run again"));
        }
        let mut sampler = now.sampler;
        sampler.carry(&self.sampler, &before.tolerated);
        self.sampler = sampler;
        if self.canary == report::Canary::Caught {
            self.canary = now.canary;
        }
        let recheck = self.recheck.get_or_insert(report::Recheck { keys: before.len() as u64, ..Default::default() });
        recheck.rounds += 1;
        recheck.still = differing.still(before) as u64;
        recheck.changed_again = differing.len() as u64 - recheck.still;
        recheck.converged = recheck.keys - differing.len() as u64;
        self.differing = Some(differing);
        Ok(())
    }
}

#[cold]
fn broken(table: &str) -> Error {
    let message = format_args!("rows of `{table}` were lost between two looks; please report this defect");
    Error::new(Kind::Broken, message)
}

#[cfg(test)]
mod tests;
