//! Which table stands for which, which column for which, and in what type they are compared.
//!
//! With a plan the tables are named there. Without one they pair by name, letter case, underscores and plurals aside, and every
//! pair that was not made by the very same name is said in a note.

mod columns;
mod constraints;
mod types;

pub use columns::pair;
pub use constraints::{Parent, Reference, Unique, constraints};
pub use types::join;

use crate::{
    plan::{Epoch, Reference as DeclaredReference},
    row::Shape,
    schema::Table,
    value::{Type, cast::Coarsening},
};
use std::{collections::BTreeMap, sync::Arc};

/// Everything there is to know before one table is compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The table as the source declares it, or as the mapping makes it.
    pub source: Table,
    /// The table as the target declares it.
    pub target: Table,
    /// The compared columns, the key first, then those that are ignored.
    pub columns: Vec<Pair>,
    /// How many of the columns are the key. Without one, rows are a multiset.
    pub key: usize,
    /// The key was taken from a name, and the data may say otherwise.
    pub key_is_guess: bool,
    /// What to read from the source.
    pub source_shape: Arc<Shape>,
    /// What to read from the target, cell by cell the same types.
    pub target_shape: Arc<Shape>,
    /// Columns without a counterpart.
    pub source_only: Vec<String>,
    /// Columns without a counterpart.
    pub target_only: Vec<String>,
    /// What a reader of the report has to know.
    pub notes: Vec<String>,
}

/// One column on both sides.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its place in the source's columns.
    pub source: usize,
    /// Its place in the target's columns.
    pub target: usize,
    /// The target's name for it, which reports use.
    pub name: String,
    /// The type both sides are cast to.
    pub ty: Type,
    /// Its place among the compared cells. Nothing: it is ignored.
    pub place: Option<usize>,
    /// The place of its exact copy, where it is coarsened or ignored.
    pub shadow: Option<usize>,
    /// A declared tolerance: how the plan writes it, and its reason.
    pub tolerance: Option<(String, String)>,
    /// Its values are shown nowhere.
    pub secret: bool,
}

/// What the plan or the command line says about one pair of tables. Columns go by the target's names.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The columns that identify a row. Empty: none do.
    pub key: Option<Vec<String>>,
    /// Source column → target column, where the names alone do not pair them.
    pub renames: BTreeMap<String, String>,
    /// What is said about single columns.
    pub columns: BTreeMap<String, ColumnChoice>,
    /// The zone of instants without one.
    pub zone: Option<jiff::tz::TimeZone>,
    /// Columns that no two rows may share.
    pub uniques: Vec<Vec<String>>,
    /// Columns that must find a row in another table.
    pub references: Vec<DeclaredReference>,
}

/// What is said about one column.
#[derive(Clone, Debug, Default)]
pub struct ColumnChoice {
    /// The type to compare it in.
    pub ty: Option<Type>,
    /// What numbers mean where an instant is wanted.
    pub epoch: Option<Epoch>,
    /// A tolerance.
    pub coarsen: Option<Coarsening>,
    /// Not compared at all.
    pub ignore: bool,
    /// The tolerance as the plan writes it, and its reason.
    pub tolerance: Option<(String, String)>,
    /// Shown nowhere.
    pub secret: bool,
}

/// Tables that stand for each other.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Places in the source's and the target's list.
    pub pairs: Vec<(usize, usize)>,
    /// Tables without a counterpart.
    pub source_only: Vec<String>,
    /// Tables without a counterpart.
    pub target_only: Vec<String>,
    /// Pairs that were made although the names are not the same.
    pub notes: Vec<String>,
}

/// Pairs two lists of names: `map` first (source name → target name), then the very same name, then the same name with
/// letter case, underscores and a schema in front aside, then singular and plural. A name that could pair with several does not.
pub fn tables(source: &[Table], target: &[Table], map: &BTreeMap<String, String>) -> Tables {
    let names = |it: &[Table]| it.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let (source, target) = (names(source), names(target));
    let pairs = by_name(&source, &target, map);
    let mut out = Tables::default();
    for &(left, right) in &pairs {
        let mapped = map.get(&source[left]).is_some_and(|it| *it == target[right]);
        if source[left] != target[right] && !mapped {
            out.notes.push(format!("`{}` was paired with `{}` by name", source[left], target[right]));
        }
    }
    let rest = |names: &[String], taken: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..names.len()).filter(|&it| !taken(it)).map(|it| names[it].clone()).collect()
    };
    out.source_only = rest(&source, &|it| pairs.iter().any(|pair| pair.0 == it));
    out.target_only = rest(&target, &|it| pairs.iter().any(|pair| pair.1 == it));
    out.pairs = pairs;
    out
}

/// Pairs names as [`tables`] does, in the order of the target's names.
pub fn by_name(source: &[String], target: &[String], map: &BTreeMap<String, String>) -> Vec<(usize, usize)> {
    let folds: [fn(&str) -> String; 4] = [str::to_owned, |it| it.to_lowercase(), fold, |it| singular(&fold(it))];
    let (mut sources, mut targets) = (vec![false; source.len()], vec![false; target.len()]);
    let mut pairs = Vec::new();
    let mut take = |left: usize, right: usize, sources: &mut [bool], targets: &mut [bool]| {
        sources[left] = true;
        targets[right] = true;
        pairs.push((left, right));
    };
    for (from, to) in map {
        let left = source.iter().position(|it| it == from);
        let right = target.iter().position(|it| it == to);
        if let (Some(left), Some(right)) = (left, right)
            && !sources[left]
            && !targets[right]
        {
            take(left, right, &mut sources, &mut targets);
        }
    }
    for fold in folds {
        let free = |names: &[String], taken: &[bool]| {
            let mut folded: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (place, name) in names.iter().enumerate().filter(|it| !taken[it.0]) {
                folded.entry(fold(name)).or_default().push(place);
            }
            // What is left of a name that is all punctuation is no name.
            folded.remove("");
            folded
        };
        let (lefts, rights) = (free(source, &sources), free(target, &targets));
        for (name, left) in lefts {
            if let (&[left], Some(&[right])) = (left.as_slice(), rights.get(&name).map(Vec::as_slice)) {
                take(left, right, &mut sources, &mut targets);
            }
        }
    }
    pairs.sort_by_key(|it| it.1);
    pairs
}

/// A name without what naming habits add: letter case, blanks, underscores, hyphens, and a schema in front.
fn fold(name: &str) -> String {
    let name = name.rsplit('.').next().unwrap_or(name);
    let telling = name.chars().filter(|it| !it.is_whitespace() && !matches!(it, '_' | '-'));
    telling.flat_map(char::to_lowercase).collect()
}

fn singular(name: &str) -> String {
    match name {
        _ if name.ends_with("ies") && name.len() > 4 => format!("{}y", &name[..name.len() - 3]),
        _ if ["ses", "xes", "ches", "shes"].iter().any(|it| name.ends_with(it)) => name[..name.len() - 2].to_owned(),
        _ if name.ends_with('s') && !name.ends_with("ss") => name[..name.len() - 1].to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
