//! From a plan, or from two stores alone, to what is compared.

use super::verify::{Pairing, Task};
use crate::{
    error::{Error, Kind, Result},
    pairing::{self, Choices, ColumnChoice, Comparison},
    plan::{Mapping, Plan, Policy, Rule},
    report::StoreName,
    schema::{Column, Origin, Table},
    store::Source,
    transform::{Context, Program},
    value::{Type, cast::Coarsening, time::Unit},
};
use std::{collections::BTreeMap, sync::Arc};

/// A store that was opened, and its name.
pub struct Opened {
    /// To read from.
    pub store: Box<dyn Source>,
    /// What reports call it.
    pub name: StoreName,
}

/// What the command line says about a comparison without a plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Table, or all tables that have such columns, and the key.
    pub keys: Vec<(Option<String>, Vec<String>)>,
    /// Table, or all tables, and a column that is not compared.
    pub ignore: Vec<(Option<String>, String)>,
    /// Target tables to compare; empty: all.
    pub only: Vec<String>,
    /// Source table → target table.
    pub tables: BTreeMap<String, String>,
    /// Target table, source column → target column.
    pub columns: Vec<(String, String, String)>,
}

impl Options {
    fn choices(&self, source: &Table, target: &Table) -> Choices {
        let is = |name: &Option<String>| name.as_ref().is_none_or(|it| *it == target.name || *it == source.name);
        let mut choices = Choices::default();
        let has_all = |names: &[String]| names.iter().all(|it| target.column(it).is_some());
        let key = self.keys.iter().rfind(|(table, names)| is(table) && (table.is_some() || has_all(names)));
        choices.key = key.map(|it| it.1.clone());
        for (_, column) in self.ignore.iter().filter(|it| is(&it.0)) {
            // Either side's name will do.
            let name = target.column(column).map_or(column, |it| &target.columns[it].name);
            let tolerance = Some(("ignore".to_owned(), "given on the command line".to_owned()));
            choices.columns.insert(name.clone(), ColumnChoice { ignore: true, tolerance, ..ColumnChoice::default() });
        }
        for (table, from, to) in &self.columns {
            if is(&Some(table.clone())) {
                choices.renames.insert(from.clone(), to.clone());
            }
        }
        choices
    }

    fn wants(&self, source: &Table, target: &Table) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| *it == target.name || *it == source.name)
    }

    /// A name that is nowhere is a slip of the fingers, and what was meant would go unchecked.
    fn check(&self, source: &[Table], target: &[Table]) -> Result<()> {
        let known = |name: &str| source.iter().chain(target).any(|it| it.name == name);
        let tables = self.only.iter().chain(self.keys.iter().filter_map(|it| it.0.as_ref()));
        let tables =
            tables.chain(self.ignore.iter().filter_map(|it| it.0.as_ref())).chain(self.columns.iter().map(|it| &it.0));
        if let Some(name) = tables.into_iter().find(|it| !known(it)) {
            return Err(unknown(name, source.iter().chain(target).map(|it| it.name.as_str())));
        }
        for (from, to) in &self.tables {
            let source_has = source.iter().any(|it| it.name == *from);
            if !source_has || !target.iter().any(|it| it.name == *to) {
                let (name, tables) = if source_has { (to, target) } else { (from, source) };
                return Err(unknown(name, tables.iter().map(|it| it.name.as_str())));
            }
        }
        for (table, column) in &self.ignore {
            let in_table = |it: &&Table| table.as_ref().is_none_or(|name| it.name == *name);
            let mut tables = source.iter().chain(target).filter(in_table);
            if !tables.any(|it| it.column(column).is_some()) {
                return Err(Error::new(Kind::Usage, format_args!("--ignore: no table has a column `{column}`")));
            }
        }
        Ok(())
    }
}

#[cold]
fn unknown<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Error {
    let near = known.max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let hint = near.map(|it| format!("; did you mean `{it}`?")).unwrap_or_default();
    Error::new(Kind::Usage, format_args!("there is no table `{name}`{hint}"))
}

/// Pairs everything in two stores by name.
///
/// # Errors
/// If a store cannot say what it holds, or an option names a table that is not there.
pub fn diff(mut source: Opened, mut target: Opened, options: &Options, policy: Policy) -> Result<Task> {
    let (from, to) = (source.store.tables()?, target.store.tables()?);
    options.check(&from, &to)?;
    let paired = pairing::tables(&from, &to, &options.tables);
    let mut tables = Vec::new();
    for &(left, right) in &paired.pairs {
        let choices = options.choices(&from[left], &to[right]);
        let comparison = Arc::new(pairing::pair(from[left].clone(), to[right].clone(), &choices));
        tables.push(Pairing {
            from: from[left].clone(),
            only_referred: !options.wants(&from[left], &to[right]),
            comparison,
            choices,
            program: Box::new(|| Ok(None)),
        });
    }
    let everything = options.only.is_empty();
    Ok(Task {
        source: source.store,
        source_name: source.name,
        target: target.store,
        target_name: target.name,
        tables,
        source_only: if everything { paired.source_only } else { Vec::new() },
        target_only: if everything { paired.target_only } else { Vec::new() },
        checks: Vec::new(),
        policy,
        notes: paired.notes,
    })
}
