//! Unique constraints and references of a pair of tables: what either side declares holds for both.

use super::{Choices, Comparison, Pair};
use crate::{
    schema::{Origin, Table},
    value::Type,
};

/// Columns that no two rows may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// Places in the target's columns.
    pub columns: Vec<usize>,
    /// The source's store refuses a second row itself.
    pub source_enforced: bool,
    /// The target's store refuses a second row itself.
    pub target_enforced: bool,
}

/// Columns that must find a row in another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Places in the target's columns.
    pub columns: Vec<usize>,
    /// Where they lead.
    pub parent: Parent,
}

/// The table that a reference leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// One that is known too: its place among the comparisons, and places in its target's columns.
    Compared(usize, Vec<usize>),
    /// One that cannot be looked into: it is not on both sides, or its columns are not.
    Unknown(String),
}

/// The constraints of the comparison at `at`, one list for each kind.
pub fn constraints(all: &[Comparison], at: usize, choices: &Choices) -> (Vec<Unique>, Vec<Reference>) {
    let this = &all[at];
    (uniques(this, choices), references(all, this, choices))
}

fn uniques(this: &Comparison, choices: &Choices) -> Vec<Unique> {
    let mut out: Vec<Unique> = Vec::new();
    let mut key: Vec<usize> = this.columns[..this.key].iter().map(|it| it.target).collect();
    key.sort_unstable();
    let mut add = |columns: Option<Vec<usize>>, source: bool, target: bool| {
        let Some(mut columns) = columns.filter(|it| !it.is_empty()) else { return };
        columns.sort_unstable();
        // The merge itself sees a key that is taken twice.
        if columns == key {
            return;
        }
        match out.iter_mut().find(|it| it.columns == columns) {
            Some(it) => {
                it.source_enforced |= source;
                it.target_enforced |= target;
            }
            None => out.push(Unique { columns, source_enforced: source, target_enforced: target }),
        }
    };
    // What a store keeps apart may be one value in the type of the comparison, as `0` and `'f'` are.
    let exact = |columns: &[usize], side: fn(&Pair) -> usize| {
        let ty = |column: &usize| this.columns.iter().find(|it| side(it) == *column).map(|it| it.ty);
        columns.iter().all(|it| matches!(ty(it), Some(Type::Any | Type::Int | Type::Text | Type::Bytes)))
    };
    for unique in &this.source.uniques {
        let enforced = unique.enforced && exact(&unique.columns, |it| it.source);
        add(compared(this, &unique.columns, |it| it.source), enforced, false);
    }
    for unique in &this.target.uniques {
        let enforced = unique.enforced && exact(&unique.columns, |it| it.target);
        add(compared(this, &unique.columns, |it| it.target), false, enforced);
    }
    // A key that the other side's key took the place of is still unique.
    if this.source.key_origin != Origin::Guessed {
        add(compared(this, &this.source.key, |it| it.source), true, false);
    }
    if this.target.key_origin != Origin::Guessed {
        add(compared(this, &this.target.key, |it| it.target), false, true);
    }
    for names in &choices.uniques {
        let places: Option<Vec<usize>> = names.iter().map(|it| this.target.column(it)).collect();
        add(places.and_then(|it| compared(this, &it, |pair| pair.target)), false, false);
    }
    out
}

fn references(all: &[Comparison], this: &Comparison, choices: &Choices) -> Vec<Reference> {
    let mut out: Vec<Reference> = Vec::new();
    let mut add = |columns: Option<Vec<usize>>, parent: Parent| {
        let Some(columns) = columns else { return };
        let reference = Reference { columns, parent };
        if !out.contains(&reference) {
            out.push(reference);
        }
    };
    for key in &this.source.foreign_keys {
        let parent = parent(all, &key.table, &key.to, |it| &it.source, |it| it.source);
        add(compared(this, &key.columns, |it| it.source), parent);
    }
    for key in &this.target.foreign_keys {
        let parent = parent(all, &key.table, &key.to, |it| &it.target, |it| it.target);
        add(compared(this, &key.columns, |it| it.target), parent);
    }
    for key in &choices.references {
        let places: Option<Vec<usize>> = key.columns.iter().map(|it| this.target.column(it)).collect();
        let parent = parent(all, &key.table, &key.to, |it| &it.target, |it| it.target);
        add(places.and_then(|it| compared(this, &it, |pair| pair.target)), parent);
    }
    out
}

fn parent(
    all: &[Comparison],
    name: &str,
    to: &[String],
    table: fn(&Comparison) -> &Table,
    side: fn(&Pair) -> usize,
) -> Parent {
    let unknown = || Parent::Unknown(name.to_owned());
    let same = |it: &str| it == name || it.rsplit('.').next() == Some(name);
    let exact = all.iter().position(|it| same(&table(it).name));
    let Some(at) = exact.or_else(|| all.iter().position(|it| table(it).name.eq_ignore_ascii_case(name))) else {
        return unknown();
    };
    let declared = table(&all[at]);
    let columns: Option<Vec<usize>> = match to {
        [] => Some(declared.key.clone()),
        names => names.iter().map(|it| declared.column(it)).collect(),
    };
    match columns.filter(|it| !it.is_empty()).and_then(|it| compared(&all[at], &it, side)) {
        Some(columns) => Parent::Compared(at, columns),
        None => unknown(),
    }
}

/// The target's columns that stand for columns of one side. Nothing, if one of them is not compared.
fn compared(this: &Comparison, columns: &[usize], side: fn(&Pair) -> usize) -> Option<Vec<usize>> {
    let pair = |column: &usize| this.columns.iter().find(|it| side(it) == *column && it.place.is_some());
    columns.iter().map(|it| pair(it).map(|it| it.target)).collect()
}
