//! Unique constraints and references over all compared tables.

use super::{
    Run,
    ids::{Renamed, Renaming},
    table::Outcome,
};
use crate::{
    diff::references::{Column, Entries, Index, Indexed, clashes, orphans},
    error::Result,
    pairing::{Comparison, Parent, Reference, Unique, join},
    report::{FindingKind, Side},
    store::Source,
    value::cast::Cast,
};
use std::{collections::BTreeMap, sync::Arc};

/// An index to fill while a table is read.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// Places in the target's columns, and the cast where the two ends of a reference are not of one type.
    columns: Vec<(usize, Option<Cast>)>,
    /// Whether the source and the target need it.
    sides: [bool; 2],
    /// Whether to know which row an entry is of.
    keyed: bool,
    /// How many indexes share the memory set aside for them.
    sharers: usize,
}

/// A constraint to check once the indexes are filled.
#[derive(Clone, Debug)]
struct Check {
    table: usize,
    spec: usize,
    /// The table and the spec that a reference leads to. Nothing: it is a unique constraint.
    parent: Option<(usize, usize)>,
    /// How a finding calls it.
    detail: String,
}

/// Everything to be checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Constraints {
    /// A list for each comparison.
    pub specs: Vec<Vec<Spec>>,
    checks: Vec<Check>,
    /// By comparison: what cannot be checked.
    pub unchecked: Vec<Vec<String>>,
}

/// Filled indexes by comparison, side and spec.
pub(super) type Filled = BTreeMap<(usize, Side, usize), Entries>;

impl Constraints {
    /// Collects what has to be indexed to check the constraints of the `selected` comparisons.
    pub(super) fn new(
        all: &[Arc<Comparison>],
        found: &[(Vec<Unique>, Vec<Reference>)],
        selected: &[bool],
    ) -> Constraints {
        let mut out = Constraints {
            specs: vec![Vec::new(); all.len()],
            checks: Vec::new(),
            unchecked: vec![Vec::new(); all.len()],
        };
        for (table, (uniques, references)) in found.iter().enumerate().filter(|it| selected[it.0]) {
            for unique in uniques {
                let columns = unique.columns.iter().map(|&it| (it, None)).collect();
                let sides = [!unique.source_enforced, !unique.target_enforced];
                if sides != [false, false] {
                    let detail = all[table].target.names(&unique.columns).join(", ");
                    let spec = out.spec(table, columns, sides, true);
                    out.checks.push(Check { table, spec, parent: None, detail });
                }
            }
            for reference in references {
                out.reference(all, table, reference);
            }
        }
        let sharers = out.specs.iter().flatten().map(|it| it.sides.iter().filter(|it| **it).count()).sum();
        out.specs.iter_mut().flatten().for_each(|it| it.sharers = sharers);
        out
    }

    fn reference(&mut self, all: &[Arc<Comparison>], table: usize, reference: &Reference) {
        let (parent, to_places) = match &reference.parent {
            Parent::Compared(parent, to) => (*parent, to),
            Parent::Unknown(name) => {
                let names = all[table].target.names(&reference.columns).join(", ");
                let message = format!("({names}) refers to `{name}`, which cannot be looked into on both sides");
                return self.unchecked[table].push(message);
            }
        };
        let (mut from_columns, mut to_columns) = (Vec::new(), Vec::new());
        for (&from, &to) in reference.columns.iter().zip(to_places) {
            let cast = meeting(&all[table], from, &all[parent], to);
            from_columns.push((from, cast.clone()));
            to_columns.push((to, cast));
        }
        let spec = self.spec(table, from_columns, [true, true], true);
        let to = self.spec(parent, to_columns, [true, true], false);
        let to_names = all[parent].target.names(to_places).join(", ");
        let detail = format!("{} ({to_names})", all[parent].target.name);
        self.checks.push(Check { table, spec, parent: Some((parent, to)), detail });
    }

    /// The place of a spec that holds these columns, added if there is none.
    fn spec(&mut self, table: usize, columns: Vec<(usize, Option<Cast>)>, sides: [bool; 2], keyed: bool) -> usize {
        let types = |it: &[(usize, Option<Cast>)]| -> Vec<_> {
            it.iter().map(|(column, cast)| (*column, cast.as_ref().map(|it| it.ty))).collect()
        };
        let specs = &mut self.specs[table];
        let place = specs.iter().position(|it| types(&it.columns) == types(&columns) && it.keyed == keyed);
        if let Some(place) = place {
            for (have, want) in specs[place].sides.iter_mut().zip(sides) {
                *have |= want;
            }
            return place;
        }
        specs.push(Spec { columns, sides, keyed, sharers: 1 });
        specs.len() - 1
    }

    /// Checks everything and hands what is found to the samplers of the tables.
    pub(super) fn check(&self, outcomes: &mut BTreeMap<usize, Outcome>, filled: &mut Filled) -> Result<()> {
        for check in &self.checks {
            let Some(outcome) = outcomes.get_mut(&check.table) else { continue };
            for side in [Side::Source, Side::Target] {
                self.check_side(check, side, outcome, filled)?;
            }
        }
        Ok(())
    }

    fn check_side(&self, check: &Check, side: Side, outcome: &mut Outcome, filled: &mut Filled) -> Result<()> {
        let Some(mut entries) = filled.remove(&(check.table, side, check.spec)) else { return Ok(()) };
        let Outcome { comparison, sampler, tally, .. } = outcome;
        let columns = &self.specs[check.table][check.spec].columns;
        let places: Vec<usize> = columns.iter().filter_map(|it| place(comparison, it.0)).collect();
        match check.parent {
            None => {
                let found = clashes(&mut entries, |it| {
                    sampler.constraint(FindingKind::Clash, side, &places, it, check.detail.clone())
                })?;
                tally.clashes += found;
                tally.source_clashes += if side == Side::Source { found } else { 0 };
            }
            // A table that refers to itself is its own parent, under another spec.
            Some((parent, spec)) => {
                if let Some(mut parents) = filled.remove(&(parent, side, spec)) {
                    let found = orphans(&mut entries, &mut parents, |it| {
                        sampler.constraint(FindingKind::Orphan, side, &places, it, check.detail.clone())
                    })?;
                    tally.orphans += found;
                    tally.source_orphans += if side == Side::Source { found } else { 0 };
                    filled.insert((parent, side, spec), parents);
                }
            }
        }
        filled.insert((check.table, side, check.spec), entries);
        Ok(())
    }
}

impl Spec {
    pub(super) fn is_on(&self, side: Side) -> bool {
        self.sides[side as usize]
    }

    /// An empty index.
    pub(super) fn index(&self, comparison: &Comparison, run: &Run) -> Index {
        let column = |(column, cast): &(usize, Option<Cast>)| {
            Some(Column { place: place(comparison, *column)?, cast: cast.clone() })
        };
        let columns = self.columns.iter().filter_map(column).collect();
        Index::new(columns, self.keyed, run.index_budget(self.sharers))
    }
}

/// Sorts the indexes of a table that was read.
pub(super) fn fill(filled: &mut Filled, table: usize, specs: &[Spec], side: Side, indexes: Vec<Index>) -> Result<()> {
    let places = specs.iter().enumerate().filter(|it| it.1.is_on(side)).map(|it| it.0);
    for (spec, index) in places.zip(indexes) {
        filled.insert((table, side, spec), index.finish()?);
    }
    Ok(())
}

/// Reads one side of a table for its indexes alone: others refer to it, but it is not to be compared.
pub(super) fn index_only(
    run: &Run,
    store: &mut dyn Source,
    (comparison, renaming): (&Comparison, Option<&Renaming>),
    specs: &[Spec],
    side: Side,
) -> Result<Vec<Index>> {
    let mut indexes: Vec<Index> =
        specs.iter().filter(|it| it.is_on(side)).map(|it| it.index(comparison, run)).collect();
    let (table, shape) = match side {
        Side::Source => (&comparison.source, &comparison.source_shape),
        Side::Target => (&comparison.target, &comparison.target_shape),
    };
    // Only the source's rows have other ids than they will have.
    let renaming = renaming.filter(|_| side == Side::Source);
    store.scan(table, shape, &mut Renamed { renaming, next: &mut Indexed { indexes: &mut indexes, next: None } })?;
    Ok(indexes)
}

/// The place of the compared cell of a target's column.
fn place(comparison: &Comparison, column: usize) -> Option<usize> {
    comparison.columns.iter().find(|it| it.target == column)?.place
}

/// The cast under which the two ends of a reference meet, if they are not of one type already.
fn meeting(child: &Comparison, from: usize, parent: &Comparison, to: usize) -> Option<Cast> {
    let column = |comparison: &Comparison, place: usize| {
        let pair = comparison.columns.iter().find(|it| it.target == place)?;
        Some(crate::schema::Column { ty: pair.ty, ..comparison.target.columns[place].clone() })
    };
    let (from, to) = (column(child, from)?, column(parent, to)?);
    (from.ty != to.ty).then(|| Cast::new(join(&from, &to).0))
}
