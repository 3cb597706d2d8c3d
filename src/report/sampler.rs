//! From what the merge meets to what a report shows: examples up to a limit, counts by column, and every finding in a file.

use super::{Coarsened, ColumnReport, Difference, Finding as Shown, FindingKind, Seen, Side, cell, json};
use crate::{
    diff::{Finding, Sink, cells},
    error::{Error, Kind, Result},
    pairing::{Comparison, Pair},
    row::{Reject, Row},
    value::cell as canonical,
};
use std::{collections::BTreeMap, io::Write, sync::Arc};

/// Takes the findings of one table.
pub struct Sampler {
    comparison: Arc<Comparison>,
    limit: usize,
    kept: BTreeMap<FindingKind, Vec<Shown>>,
    seen: u64,
    /// Rows in which the compared cell of each place differs.
    changed: Vec<u64>,
    /// Rows whose exact cell differs, by the place of its copy, though they compare the same.
    tolerated: Vec<u64>,
    /// What is known about the findings that come now from an earlier look.
    mark: Option<Seen>,
    file: Option<Box<dyn Write + Send>>,
}

impl Sampler {
    /// Keeps up to `limit` examples and writes every finding to `file`, a line each.
    pub fn new(comparison: Arc<Comparison>, limit: usize, file: Option<Box<dyn Write + Send>>) -> Sampler {
        let shape = &comparison.target_shape;
        let (changed, tolerated) = (vec![0; shape.width()], vec![0; shape.width()]);
        Sampler { comparison, limit, kept: BTreeMap::new(), seen: 0, changed, tolerated, mark: None, file }
    }

    /// A reference to nothing, or a unique value that is taken. `value` and `key` are cells in ordered form.
    ///
    /// # Errors
    /// If the file of findings cannot be written.
    pub fn constraint(
        &mut self,
        kind: FindingKind,
        side: Side,
        places: &[usize],
        entry: crate::diff::references::Entry<'_>,
        detail: String,
    ) -> Result<()> {
        let mut cells = Vec::new();
        crate::diff::references::values(entry.value, |it| cells.push(it));
        let cells = places.iter().zip(cells).filter_map(|(&place, it)| {
            let pair = self.comparison.column_at(place)?;
            Some(one_sided(pair, side, cell::cell(it, true, pair.secret)))
        });
        let cells = cells.collect();
        let (mut key, mut place) = (Vec::new(), 0);
        crate::diff::references::values(entry.key, |it| {
            if let Some(pair) = self.comparison.column_at(place) {
                key.push((pair.name.clone(), cell::cell(it, true, pair.secret)));
            }
            place += 1;
        });
        self.keep(Shown { kind, side: Some(side), key, cells, detail: Some(detail), seen: None })
    }

    /// Says what an earlier look knows about the findings that come from now on.
    pub fn mark(&mut self, seen: Option<Seen>) {
        self.mark = seen;
    }

    /// Takes over from the look before this one how many rows are the same only by a tolerance. `again` of them, by the place
    /// of the exact cell, were looked at once more.
    pub fn carry(&mut self, before: &Sampler, again: &[u64]) {
        for (place, mine) in self.tolerated.iter_mut().enumerate() {
            let count = |of: &[u64]| of.get(place).copied().unwrap_or(0);
            *mine += count(&before.tolerated).saturating_sub(count(again));
        }
    }

    /// A finding that no row of the comparison holds, such as one of an index row.
    ///
    /// # Errors
    /// If the file of findings cannot be written.
    pub fn add(&mut self, finding: Shown) -> Result<()> {
        self.keep(finding)
    }

    /// How many findings there were.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The examples, whether there are more findings than these, and the columns with their counts.
    ///
    /// # Errors
    /// If the file of findings cannot be written.
    pub fn finish(mut self) -> Result<(Vec<Shown>, bool, Vec<ColumnReport>)> {
        if let Some(file) = &mut self.file {
            file.flush().map_err(|it| Error::new(Kind::File, format_args!("cannot write the findings: {it}")))?;
        }
        // No kind crowds out another one: the largest gives way first.
        while self.kept.values().map(Vec::len).sum::<usize>() > self.limit {
            if let Some(most) = self.kept.values_mut().max_by_key(|it| it.len()) {
                most.pop();
            }
        }
        let columns = self.comparison.columns.iter().map(|it| self.column(it)).collect();
        let findings: Vec<Shown> = self.kept.into_values().flatten().collect();
        let truncated = self.seen > findings.len() as u64;
        Ok((findings, truncated, columns))
    }

    fn column(&self, pair: &Pair) -> ColumnReport {
        let coarsened = pair.tolerance.clone().map(|(rule, because)| {
            let rows = pair.shadow.map_or(0, |it| self.tolerated[it]);
            Coarsened { rule, because, rows }
        });
        let changed = pair.place.map_or(0, |it| self.changed[it]);
        ColumnReport { name: pair.name.clone(), ty: pair.ty.name(), changed, coarsened }
    }

    fn keep(&mut self, mut finding: Shown) -> Result<()> {
        self.seen += 1;
        finding.seen = self.mark;
        if let Some(file) = &mut self.file {
            let written = json::finding_line(&finding, file);
            written.map_err(|it| Error::new(Kind::File, format_args!("cannot write the findings: {it}")))?;
        }
        let kept = self.kept.entry(finding.kind).or_default();
        if kept.len() < self.limit {
            kept.push(finding);
        }
        Ok(())
    }

    /// Whether a finding of this kind would be shown or written anywhere.
    fn wants(&self, kind: FindingKind) -> bool {
        self.file.is_some() || self.kept.get(&kind).is_none_or(|it| it.len() < self.limit)
    }

    /// The key of a row, or all its compared cells where the table has none.
    fn key(&self, row: Row<'_>) -> Vec<(String, super::Cell)> {
        self.cells(row, 0..row.shape().key)
    }

    fn cells(&self, row: Row<'_>, places: std::ops::Range<usize>) -> Vec<(String, super::Cell)> {
        let cells = places.filter_map(|place| {
            let pair = self.comparison.column_at(place)?;
            Some((pair.name.clone(), cell::cell(row.cell(place), place < row.shape().key, pair.secret)))
        });
        cells.collect()
    }

    fn alone(&self, kind: FindingKind, side: Side, row: Row<'_>) -> Shown {
        let rest = row.shape().key..row.shape().compared;
        let cells = self.cells(row, rest).into_iter().map(|(name, cell)| match side {
            Side::Source => Difference { column: name, source: Some(cell), target: None },
            Side::Target => Difference { column: name, source: None, target: Some(cell) },
        });
        let side = (kind == FindingKind::Duplicate).then_some(side);
        Shown { kind, side, key: self.key(row), cells: cells.collect(), detail: None, seen: None }
    }

    fn changed(&mut self, source: Row<'_>, target: Row<'_>) -> Result<()> {
        let places: Vec<usize> = cells::differing(source, target, 0..source.shape().compared).collect();
        for &place in &places {
            self.changed[place] += 1;
        }
        if !self.wants(FindingKind::Changed) {
            self.seen += 1;
            return Ok(());
        }
        let cells = places.into_iter().filter_map(|place| {
            let pair = self.comparison.column_at(place)?;
            let (a, b) = (source.cell(place), target.cell(place));
            Some(cell::difference(&pair.name, a, b, place < source.shape().key, pair.secret))
        });
        let cells = cells.collect();
        self.keep(Shown {
            kind: FindingKind::Changed,
            side: None,
            key: self.key(source),
            cells,
            detail: None,
            seen: None,
        })
    }

    fn invalid(&mut self, side: Side, row: Row<'_>, place: usize) -> Result<()> {
        let Some(pair) = self.comparison.column_at(place) else { return Ok(()) };
        let shown = cell::cell(row.cell(place), place < row.shape().key, pair.secret);
        // NULL fits every type, so it is one where there may be none.
        let null = row.cell(place) == [canonical::tag::NULL];
        let detail = if null { "not null".to_owned() } else { format!("not {}", pair.ty.name()) };
        let cells = vec![one_sided(pair, side, shown)];
        let key = self.key(row);
        self.keep(Shown { kind: FindingKind::Invalid, side: Some(side), key, cells, detail: Some(detail), seen: None })
    }

    fn reject(&mut self, reject: &Reject) -> Result<()> {
        let mut key = Vec::new();
        if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(&reject.key) {
            key.extend(members.into_iter().map(|(name, value)| (name, shown_json(value.to_string()))));
        }
        key.extend(reject.item.map(|it| ("item".to_owned(), shown_json(it.to_string()))));
        let value = shown_json(reject.value.clone());
        let cells = reject.column.iter().map(|column| Difference {
            column: column.clone(),
            source: Some(value.clone()),
            target: None,
        });
        let cells = cells.collect();
        self.keep(Shown {
            kind: FindingKind::Reject,
            side: None,
            key,
            cells,
            detail: Some(reject.rule.clone()),
            seen: None,
        })
    }
}

impl Sink for Sampler {
    fn finding(&mut self, finding: Finding<'_>) -> Result<()> {
        let (kind, side, row) = match finding {
            Finding::Missing(row) => (FindingKind::Missing, Side::Source, row),
            Finding::Extra(row) => (FindingKind::Extra, Side::Target, row),
            Finding::Duplicate { side, row } => (FindingKind::Duplicate, side, row),
            Finding::Changed { source, target } => return self.changed(source, target),
            Finding::Invalid { side, row, place } => return self.invalid(side, row, place),
            Finding::Reject(reject) => return self.reject(reject),
            Finding::Tolerated { source, target } => {
                for place in cells::differing(source, target, source.shape().compared..source.shape().width()) {
                    self.tolerated[place] += 1;
                }
                return Ok(());
            }
        };
        if self.wants(kind) {
            let shown = self.alone(kind, side, row);
            return self.keep(shown);
        }
        self.seen += 1;
        Ok(())
    }
}

fn one_sided(pair: &Pair, side: Side, cell: super::Cell) -> Difference {
    let column = pair.name.clone();
    match side {
        Side::Source => Difference { column, source: Some(cell), target: None },
        Side::Target => Difference { column, source: None, target: Some(cell) },
    }
}

/// A value that is JSON text already: a text shows as one, everything else as JSON.
fn shown_json(json: String) -> super::Cell {
    let mut bytes = Vec::new();
    crate::value::cast::Cast::new(crate::value::Type::Any).write(crate::value::Value::Json(&json), false, &mut bytes);
    debug_assert!(canonical::length(&bytes, false).is_some());
    cell::cell(&bytes, false, false)
}
