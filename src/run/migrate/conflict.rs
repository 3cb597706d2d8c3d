//! What becomes of a row that the target holds with other values.

use super::stage::cell;
use crate::{
    error::Result,
    pairing::{Comparison, Pair},
    plan::{Conflict, Mapping, Merge},
    report::cell as shown,
    row::Row,
    value::cell::tag,
};
use std::collections::BTreeMap;

/// How conflicts of one table are decided.
#[derive(Clone, Debug, Default)]
pub struct Strategy {
    /// What the plan says.
    pub conflict: Conflict,
    /// The column of times by which [`Conflict::Newest`] decides.
    pub newest_by: Option<String>,
    /// What is said about single columns under [`Conflict::Merge`].
    pub merge: BTreeMap<String, Merge>,
    /// A row whose key the target has given to another one gets a new key.
    pub new_ids: bool,
}

/// What becomes of a row, and which of its columns are the source's afterwards.
pub(super) struct Decision {
    pub answer: Answer,
    /// One for each pair of columns. Where both sides are the same, it is the source's.
    pub take: Vec<bool>,
}

/// What to do about one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, and the run must not write.
    Stop,
    /// The target's row stays as it is.
    Keep,
    /// The row is written.
    Write,
}

impl Answer {
    /// The word for it in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Stop => "stop",
            Answer::Keep => "keep",
            Answer::Write => "overwrite",
        }
    }
}

/// A row that somebody is asked about.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    /// The target's table.
    pub table: &'q str,
    /// The row's key as JSON, by column.
    pub key: Vec<(String, String)>,
    /// The cells that differ as JSON, secrets masked: column, source, target.
    pub cells: Vec<(String, String, String)>,
}

/// Whoever decides about single rows.
pub trait Decide: Send + Sync {
    /// What to do about a row under [`Conflict::Ask`].
    ///
    /// # Errors
    /// If nobody answers.
    fn ask(&self, question: &Question<'_>) -> Result<Answer>;
}

impl Strategy {
    /// What a plan says about a table.
    pub fn of(mapping: &Mapping) -> Strategy {
        let merge = mapping.columns.iter().flatten().map(|(name, rule)| (name.clone(), rule.merge)).collect();
        Strategy { conflict: mapping.conflict, newest_by: mapping.newest_by.clone(), merge, new_ids: mapping.new_ids }
    }

    /// Decides about a row that differs.
    ///
    /// # Errors
    /// If nobody answers.
    pub(super) fn decide(
        &self,
        comparison: &Comparison,
        source: Row<'_>,
        target: Row<'_>,
        decide: &dyn Decide,
    ) -> Result<Decision> {
        let pairs = &comparison.columns;
        let differs: Vec<bool> = pairs.iter().map(|it| cell(it, source) != cell(it, target)).collect();
        let all = |source: bool| differs.iter().map(|differs| source || !differs).collect::<Vec<_>>();
        let answered = |answer| Decision { answer, take: all(answer != Answer::Keep) };
        Ok(match self.conflict {
            Conflict::Stop => answered(Answer::Stop),
            Conflict::Skip => answered(Answer::Keep),
            Conflict::Overwrite => answered(Answer::Write),
            Conflict::Newest if self.is_newer(pairs, source, target) => answered(Answer::Write),
            Conflict::Newest => answered(Answer::Keep),
            Conflict::Ask => answered(decide.ask(&question(comparison, source, target))?),
            Conflict::Merge => {
                let take = |(pair, differs): (&Pair, &bool)| !differs || self.takes(pair, target);
                let take: Vec<bool> = pairs.iter().zip(&differs).map(take).collect();
                let written = take.iter().zip(&differs).any(|(take, differs)| *take && *differs);
                Decision { answer: if written { Answer::Write } else { Answer::Keep }, take }
            }
        })
    }

    /// Whether a merged row gets the source's value in a column that differs.
    fn takes(&self, pair: &Pair, target: Row<'_>) -> bool {
        match self.merge.get(&pair.name).copied().unwrap_or_default() {
            Merge::Source => true,
            Merge::Target => false,
            Merge::Fill => cell(pair, target) == Some(&[tag::NULL]),
        }
    }

    /// Whether the source's row is newer. Without a time it is not, and whatever has one is newer than what has none.
    fn is_newer(&self, pairs: &[Pair], source: Row<'_>, target: Row<'_>) -> bool {
        let Some(pair) = pairs.iter().find(|it| Some(&it.name) == self.newest_by.as_ref()) else { return false };
        let time = |row| cell(pair, row).filter(|it| *it != [tag::NULL]);
        match (time(source), time(target)) {
            (Some(source), Some(target)) => source.first() == target.first() && source > target,
            (source, _) => source.is_some(),
        }
    }
}

fn question<'c>(comparison: &'c Comparison, source: Row<'_>, target: Row<'_>) -> Question<'c> {
    let text = |pair: &Pair, row: Row<'_>, ordered: bool| {
        let cell = cell(pair, row).unwrap_or_default();
        shown::cell(cell, ordered, pair.secret).json
    };
    let (key, rest) = comparison.columns.split_at(comparison.key);
    let differs = rest.iter().filter(|it| cell(it, source) != cell(it, target));
    Question {
        table: &comparison.target.name,
        key: key.iter().map(|it| (it.name.clone(), text(it, source, true))).collect(),
        cells: differs.map(|it| (it.name.clone(), text(it, source, false), text(it, target, false))).collect(),
    }
}
