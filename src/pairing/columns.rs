//! Pairs of columns and the shapes that read them.

use super::{Choices, ColumnChoice, Comparison, Pair, by_name, join};
use crate::{
    row::{Field, Misfit, Shape},
    schema::{Origin, Table},
    value::{Type, cast::Cast},
};
use std::sync::Arc;

/// Pairs the columns of two tables and lays out the rows to compare.
pub fn pair(source: Table, target: Table, choices: &Choices) -> Comparison {
    let names = |it: &Table| it.columns.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let paired = by_name(&names(&source), &names(&target), &choices.renames);
    let mut notes = Vec::new();
    let (key, key_is_guess) = key(&source, &target, choices, &paired, &mut notes);
    let mut columns: Vec<Pair> = Vec::new();
    for &(left, right) in &paired {
        columns.push(column(&source, &target, (left, right), choices, &mut notes));
    }
    let left_out = |table: &Table, taken: &dyn Fn(usize) -> bool| -> Vec<String> {
        let free = (0..table.columns.len()).filter(|&it| !taken(it));
        let ignored = |name: &String| choices.columns.get(name).is_some_and(|it| it.ignore);
        free.map(|it| table.columns[it].name.clone()).filter(|it| !ignored(it)).collect()
    };
    let source_only = left_out(&source, &|it| paired.iter().any(|pair| pair.0 == it));
    let target_only = left_out(&target, &|it| paired.iter().any(|pair| pair.1 == it));
    // The key comes first, in its own order, then what is compared in the target's order, then what is ignored.
    let rank = |it: &Pair| key.iter().position(|&place| place == it.target).unwrap_or(key.len());
    columns.sort_by_key(|it| (is_ignored(it, choices), rank(it), it.target));
    let key = columns.iter().filter(|it| key.contains(&it.target)).count();
    let mut comparison = Comparison {
        source,
        target,
        columns,
        key,
        key_is_guess,
        source_shape: Arc::default(),
        target_shape: Arc::default(),
        source_only,
        target_only,
        notes,
    };
    comparison.lay_out(choices);
    comparison
}

impl Comparison {
    /// The same comparison without a key: rows are a multiset.
    pub fn without_key(mut self, choices: &Choices) -> Comparison {
        self.key = 0;
        self.key_is_guess = false;
        let ignored = |it: &Pair| is_ignored(it, choices);
        self.columns.sort_by_key(|it| (ignored(it), it.target));
        self.lay_out(choices);
        self
    }

    /// The names of the columns that identify a row.
    pub fn key_names(&self) -> Vec<String> {
        self.columns[..self.key].iter().map(|it| it.name.clone()).collect()
    }

    /// The compared column at `place`, or the one whose exact copy stands there.
    pub fn column_at(&self, place: usize) -> Option<&Pair> {
        self.columns.iter().find(|it| it.place == Some(place) || it.shadow == Some(place))
    }

    fn lay_out(&mut self, choices: &Choices) {
        let compared = self.columns.iter().filter(|it| !is_ignored(it, choices)).count();
        let (mut place, mut shadow) = (0, compared);
        for pair in &mut self.columns {
            let choice = choices.columns.get(&pair.name);
            let ignored = choice.is_some_and(|it| it.ignore);
            pair.place = (!ignored).then_some(place);
            place += usize::from(!ignored);
            let coarse = ignored || choice.is_some_and(|it| it.coarsen.is_some());
            pair.shadow = coarse.then_some(shadow);
            shadow += usize::from(coarse);
        }
        let shape = |table: &Table, place: fn(&Pair) -> usize| {
            let field = |it: &Pair, exact: bool| {
                let column = &table.columns[place(it)];
                let choice = choices.columns.get(&it.name).cloned().unwrap_or_default();
                let misfit = match self.origin(it) {
                    _ if choice.ty.is_some() => Misfit::Always,
                    Origin::Enforced => Misfit::Always,
                    Origin::Declared => Misfit::Disputed,
                    Origin::Guessed => Misfit::Never,
                };
                Field { misfit, ..Field::new(&column.name, cast(it, table, &choice, choices, exact)) }
            };
            let mut fields: Vec<Field> = Vec::with_capacity(shadow);
            fields.extend(self.columns.iter().filter(|it| it.place.is_some()).map(|it| field(it, false)));
            fields.extend(self.columns.iter().filter(|it| it.shadow.is_some()).map(|it| field(it, true)));
            let keyless = self.key == 0;
            Arc::new(Shape { fields, key: if keyless { compared } else { self.key }, compared, keyless })
        };
        (self.source_shape, self.target_shape) =
            (shape(&self.source, |it| it.source), shape(&self.target, |it| it.target));
    }

    fn origin(&self, pair: &Pair) -> Origin {
        self.source.columns[pair.source].origin.max(self.target.columns[pair.target].origin)
    }
}

fn is_ignored(pair: &Pair, choices: &Choices) -> bool {
    choices.columns.get(&pair.name).is_some_and(|it| it.ignore)
}

fn cast(pair: &Pair, table: &Table, choice: &ColumnChoice, choices: &Choices, exact: bool) -> Cast {
    Cast {
        ty: pair.ty,
        zone: choices.zone.clone(),
        epoch: choice.epoch,
        coarsen: choice.coarsen.filter(|_| !exact),
        empty_is_null: table.nullless && !matches!(pair.ty, Type::Any | Type::Text | Type::Bytes | Type::Json),
    }
}

fn column(
    source: &Table,
    target: &Table,
    (left, right): (usize, usize),
    choices: &Choices,
    notes: &mut Vec<String>,
) -> Pair {
    let (from, to) = (&source.columns[left], &target.columns[right]);
    let choice = choices.columns.get(&to.name);
    let ty = choice.and_then(|it| it.ty).unwrap_or_else(|| {
        let (ty, note) = join(from, to);
        notes.extend(note);
        // A CSV file only has text; what it stands for, the other side's values say as text too.
        if ty == Type::Any && source.nullless != target.nullless { Type::Text } else { ty }
    });
    if from.name != to.name && choices.renames.get(&from.name) != Some(&to.name) {
        notes.push(format!("column `{}` was paired with `{}` by name", from.name, to.name));
    }
    Pair {
        source: left,
        target: right,
        name: to.name.clone(),
        ty,
        place: None,
        shadow: None,
        tolerance: choice.and_then(|it| it.tolerance.clone()),
        secret: choice.is_some_and(|it| it.secret),
    }
}

/// The target's places of the columns that identify a row, and whether that is only a guess.
fn key(
    source: &Table,
    target: &Table,
    choices: &Choices,
    paired: &[(usize, usize)],
    notes: &mut Vec<String>,
) -> (Vec<usize>, bool) {
    let known =
        |places: &[usize]| !places.is_empty() && places.iter().all(|it| paired.iter().any(|pair| pair.1 == *it));
    let usable = |places: &Vec<usize>| {
        let ignored = |&it: &usize| choices.columns.get(&target.columns[it].name).is_some_and(|it| it.ignore);
        known(places) && !places.iter().any(ignored)
    };
    if let Some(names) = &choices.key {
        let places: Vec<usize> = names.iter().filter_map(|it| target.column(it)).collect();
        if names.is_empty() || (places.len() == names.len() && usable(&places)) {
            return (places, false);
        }
        notes.push(format!("the key ({}) is not on both sides", names.join(", ")));
    }
    let counterpart = |&it: &usize| paired.iter().find(|pair| pair.0 == it).map(|pair| pair.1);
    let from_source: Option<Vec<usize>> = source.key.iter().map(counterpart).collect();
    let mut candidates = vec![(target.key.clone(), target.key_origin)];
    candidates.extend(from_source.map(|it| (it, source.key_origin)));
    candidates.retain(|it| usable(&it.0));
    let Some((places, origin)) = candidates.into_iter().max_by_key(|it| it.1) else {
        return (Vec::new(), false);
    };
    if origin == Origin::Guessed {
        notes.push(format!("the key ({}) was guessed from its name", target.names(&places).join(", ")));
    }
    (places, origin == Origin::Guessed)
}
