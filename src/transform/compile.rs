//! From a declared mapping to what runs: names resolved, expressions compiled, every problem noted.

use super::{
    Context,
    jq::{Compiled as Expr, Jq},
    meter::{Limits, STACK},
    path::{Path, Step},
    reach::{self, Reach},
    rules::{Maker, Rules},
    select::KeySelector,
    val,
};
use crate::{
    plan::{Expression, Fault, Generated, Mapping, Rule, nearest, quoted},
    row::{Field, Shape},
    schema::{self, Table},
    value::{Type, cast::Cast},
};
use std::{collections::BTreeSet, sync::Arc, thread};

/// The variables of `where` and `each`.
const ROW_NAMES: &[&str] = &["$row", "$seed", "$now"];
/// The variables of a column's expression.
pub(super) const ITEM_NAMES: &[&str] = &["$row", "$seed", "$now", "$index"];

/// All that a program is, without what it has seen. It is shared with the thread that evaluates.
pub(super) struct Compiled {
    pub(super) input: Arc<Shape>,
    pub(super) keys: KeySelector,
    pub(super) filter: Option<Expr>,
    pub(super) each: Option<Expr>,
    pub(super) columns: Vec<Column>,
    /// Places in the input of what identifies a source row: its key, or all there is.
    pub(super) key: Vec<usize>,
    /// The input fields whose values must not be shown.
    pub(super) secret: Vec<bool>,
    /// There is something that jq has to look at, and so the row is made a value of jq's.
    pub(super) evaluates: bool,
    /// Places in the input of what it looks at there.
    pub(super) seen: Vec<usize>,
    pub(super) keeps_order: bool,
    /// Rows that are not selected pass, instead of those that are.
    pub(super) remainder: bool,
    pub(super) maker: Maker,
    pub(super) seed: String,
    pub(super) instant: String,
    pub(super) limits: Limits,
}

/// One target column.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) rules: Rules,
    /// A value that it refuses must not be shown: the column is secret, or looks where a secret one does.
    pub(super) veiled: bool,
}

/// Where the value of a target column comes from.
pub(super) enum Origin {
    /// A path into the cell of one source column, by its name until the input is known, then by place.
    Cell { column: String, place: usize, path: Path },
    /// A path into the item.
    Item(Path),
    /// jq on the item.
    Jq(Box<Jq>),
    /// Made up.
    Generated(Generated),
    /// Nowhere: only the default stands there.
    Nothing,
}

impl Origin {
    /// Whether both may look at the same value of one row or item.
    fn meets(&self, other: &Origin) -> bool {
        match (self.path(), other.path()) {
            (Some(one), Some(other)) => one.iter().zip(&other).all(|(a, b)| a == b),
            _ => match (self.reach(), other.reach()) {
                (Some(one), Some(other)) => !one.is_disjoint(&other),
                (one, other) => one.or(other).is_none_or(|it| !it.is_empty()),
            },
        }
    }

    /// Where it looks, if that is one place.
    fn path(&self) -> Option<Vec<Step>> {
        match self {
            Origin::Cell { column, path, .. } => Some([&[Step::Member(column.clone())], path.0.as_slice()].concat()),
            Origin::Item(path) => Some(path.0.clone()),
            Origin::Jq(_) | Origin::Generated(_) | Origin::Nothing => None,
        }
    }

    /// Which members of the row or item it looks at.
    fn reach(&self) -> Reach {
        match self {
            Origin::Cell { column, .. } => Some(BTreeSet::from([column.clone()])),
            Origin::Item(path) => reach_of_path(path),
            Origin::Jq(jq) => reach_of_jq(jq),
            Origin::Generated(_) | Origin::Nothing => Some(BTreeSet::new()),
        }
    }
}

/// Compiles on a thread whose stack is as large as the deepest expression needs. A `remainder` lets through what is not
/// selected.
pub(super) fn compile(
    mapping: &Mapping,
    from: &Table,
    into: Option<&Table>,
    context: &Context,
    remainder: bool,
) -> Result<Compiled, Vec<Fault>> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("compile".into()).stack_size(STACK);
        let compiling = builder
            .spawn_scoped(scope, || Compiler { mapping, from, into, remainder, faults: Vec::new() }.run(context));
        let broken = |_| vec![mapping.place.fault("the expressions of this table cannot be compiled")];
        match compiling {
            Ok(compiling) => compiling.join().map_err(broken)?,
            Err(error) => Err(vec![mapping.place.fault(format_args!("cannot start a thread: {error}"))]),
        }
    })
}

struct Compiler<'a> {
    mapping: &'a Mapping,
    from: &'a Table,
    into: Option<&'a Table>,
    remainder: bool,
    faults: Vec<Fault>,
}

impl Compiler<'_> {
    fn run(mut self, context: &Context) -> Result<Compiled, Vec<Fault>> {
        let mapping = self.mapping;
        let keys = self.keys();
        let filter = self.on_row(&mapping.filter);
        let each = self.on_row(&mapping.each);
        let mut columns = self.columns();
        let millis = context.instant.parse::<jiff::Timestamp>().map(|it| it.as_millisecond());
        let Some(millis) = millis.ok().and_then(|it| u64::try_from(it).ok()) else {
            let message = format_args!("the run's instant {} is no time since 1970", quoted(&context.instant));
            self.faults.push(mapping.place.fault(message));
            return Err(self.faults);
        };
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let jq = |it: &Column| matches!(it.origin, Origin::Jq(_) | Origin::Item(_));
        let evaluates = filter.is_some() || each.is_some() || columns.iter().any(jq);
        let generated = columns.iter().any(|it| matches!(it.origin, Origin::Generated(_)));
        let keyless = self.from.key.is_empty();
        // What one remainder leaves is looked at by the next, so all of them take rows of one shape.
        let reach = if self.remainder { None } else { reach_of(&filter, &each, &columns) };
        let (input, secret) = self.input(&mut columns, &each, &reach, generated && keyless);
        let seen = |it: &usize| {
            let name = input.fields.get(*it).map(|it| it.column.as_str()).unwrap_or_default();
            reach.as_ref().is_none_or(|names| names.contains(name))
        };
        Ok(Compiled {
            key: if keyless { (0..input.fields.len()).collect() } else { (0..input.key).collect() },
            keeps_order: each.is_none() && self.keeps_order(&columns),
            seen: (0..input.fields.len()).filter(seen).collect(),
            input: Arc::new(input),
            remainder: self.remainder,
            keys,
            filter,
            each,
            columns,
            secret,
            evaluates,
            maker: Maker { seed: context.seed.clone(), millis, table: mapping.into.clone() },
            seed: context.seed.clone(),
            instant: context.instant.clone(),
            limits: context.limits,
        })
    }

    /// What is said about keys, which takes a key that is one column.
    fn keys(&mut self) -> KeySelector {
        let keys = KeySelector::of(self.mapping);
        if keys.selects() && self.from.key.len() != 1 {
            let names = self.from.names(&self.from.key).join(", ");
            let message = match self.from.key.len() {
                0 => format!("{} has no key, and `prefix` and `index` look at the key", quoted(&self.from.name)),
                _ => format!(
                    "`prefix` and `index` look at a key of one column, and that of {} is ({names})",
                    quoted(&self.from.name)
                ),
            };
            self.faults.push(self.mapping.place.fault(message).with_hint("select rows with `where` instead"));
        }
        keys
    }

    fn expression(&mut self, expression: &Expression, names: &[&'static str]) -> Option<Expr> {
        match Jq::compile(expression, names) {
            Ok(compiled) => Some(compiled),
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }

    /// A `where` or `each`; one that is a simple path begins at a column.
    fn on_row(&mut self, expression: &Option<Expression>) -> Option<Expr> {
        let expression = expression.as_ref()?;
        let compiled = self.expression(expression, ROW_NAMES)?;
        if let Expr::Path(path) = &compiled
            && let Some((name, _)) = val::split(path)
            && !self.has(name)
        {
            let fault = self.unknown(expression, name);
            self.faults.push(fault);
        }
        Some(compiled)
    }

    fn columns(&mut self) -> Vec<Column> {
        let Some(declared) = &self.mapping.columns else { return self.namesakes() };
        let mut columns = Vec::new();
        for (name, rule) in declared {
            self.check_target(name, rule);
            let rules = Rules::compile(rule, &self.mapping.into, name).unwrap_or_else(|message| {
                self.faults.push(rule.place.fault(message));
                Rules::default()
            });
            if let Some(origin) = self.origin(name, rule, &rules) {
                columns.push(Column { name: name.clone(), origin, rules, veiled: false });
            }
        }
        let meets = |it: &Column| columns.iter().any(|other| other.rules.secret && it.origin.meets(&other.origin));
        let veiled: Vec<bool> = columns.iter().map(|it| it.rules.secret || meets(it)).collect();
        columns.iter_mut().zip(veiled).for_each(|(it, veiled)| it.veiled = veiled);
        columns
    }

    /// Columns of the same names: those of the target that the source has, or all of the source.
    fn namesakes(&mut self) -> Vec<Column> {
        let plain = |name: &str, origin| Column { name: name.to_owned(), origin, rules: Rules::none(), veiled: false };
        let from = |place: usize| {
            let column = self.from.columns.get(place).map(|it| it.name.clone()).unwrap_or_default();
            Origin::Cell { column, place, path: Path::default() }
        };
        match (self.into, &self.mapping.each) {
            (None, Some(expression)) => {
                let fault =
                    expression.fault("what `each` makes has to be named, because the target's columns are not known");
                self.faults.push(fault.with_hint("declare `columns`"));
                Vec::new()
            }
            (None, None) => {
                self.from.columns.iter().enumerate().map(|(place, it)| plain(&it.name, from(place))).collect()
            }
            (Some(into), Some(_)) => {
                let item = |name: &str| Origin::Item(Path(vec![Step::Member(name.to_owned())]));
                into.columns.iter().map(|it| plain(&it.name, item(&it.name))).collect()
            }
            (Some(into), None) => {
                let pair = |it: &schema::Column| Some(plain(&it.name, from(self.from.column(&it.name)?)));
                into.columns.iter().filter_map(pair).collect()
            }
        }
    }

    fn check_target(&mut self, name: &str, rule: &Rule) {
        let Some(into) = self.into.filter(|it| !it.columns.is_empty()) else { return };
        if into.column(name).is_some() {
            return;
        }
        let fault =
            rule.place.fault(format_args!("the target table {} has no column {}", quoted(&into.name), quoted(name)));
        let near = nearest(name, into.columns.iter().map(|it| it.name.as_str()));
        self.faults.push(match near {
            Some(near) => fault.with_hint(format_args!("did you mean {}?", quoted(near))),
            None => fault,
        });
    }

    fn origin(&mut self, name: &str, rule: &Rule, rules: &Rules) -> Option<Origin> {
        if let Some(generated) = rule.generated {
            return Some(Origin::Generated(generated));
        }
        let Some(expression) = &rule.from else {
            if self.mapping.each.is_some() {
                return Some(Origin::Item(Path(vec![Step::Member(name.to_owned())])));
            }
            let Some(place) = self.from.column(name) else { return self.missing(name, rule, rules) };
            let column = self.from.columns.get(place).map(|it| it.name.clone())?;
            return Some(Origin::Cell { column, place, path: Path::default() });
        };
        match self.expression(expression, ITEM_NAMES)? {
            Expr::Jq(jq) => Some(Origin::Jq(jq)),
            Expr::Path(path) if self.mapping.each.is_some() => Some(Origin::Item(path)),
            Expr::Path(path) => match val::split(&path) {
                None => Some(Origin::Item(path)),
                Some((column, _)) if !(self.has(column) || rules.has_default() && self.is_guessed()) => {
                    let fault = self.unknown(expression, column);
                    self.faults.push(fault);
                    None
                }
                Some((column, rest)) if self.from.columns.iter().any(|it| it.name == column) => {
                    Some(Origin::Cell { column: column.to_owned(), place: 0, path: rest })
                }
                Some(_) => Some(Origin::Nothing),
            },
        }
    }

    fn missing(&mut self, name: &str, rule: &Rule, rules: &Rules) -> Option<Origin> {
        if rules.has_default() || self.from.columns.is_empty() {
            return Some(Origin::Nothing);
        }
        let message = format_args!("the source {} has no column {}", quoted(&self.from.name), quoted(name));
        let near = nearest(name, self.from.columns.iter().map(|it| it.name.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean `from = \".{near}\"`?"),
            None => "say where it comes from with `from`, or give a `default`".to_owned(),
        };
        self.faults.push(rule.place.fault(message).with_hint(hint));
        None
    }

    /// Whether the source has the column; one whose columns nobody knows may have any.
    fn has(&self, name: &str) -> bool {
        self.from.columns.is_empty() || self.from.columns.iter().any(|it| it.name == name)
    }

    /// Whether the source has no schema and its columns are those of the rows at hand, so that others may come another day.
    fn is_guessed(&self) -> bool {
        self.from.columns.iter().all(|it| it.origin == schema::Origin::Guessed)
    }

    fn unknown(&self, expression: &Expression, name: &str) -> Fault {
        let message = format_args!("the source {} has no column {}", quoted(&self.from.name), quoted(name));
        let fault = expression.fault(message);
        match nearest(name, self.from.columns.iter().map(|it| it.name.as_str())) {
            Some(near) => fault.with_hint(format_args!("did you mean {}?", quoted(near))),
            None => fault,
        }
    }

    /// The shape to scan, key first, and which of its fields are secret; tells `columns` their places in it.
    fn input(&self, columns: &mut [Column], each: &Option<Expr>, reach: &Reach, whole: bool) -> (Shape, Vec<bool>) {
        let mut fields: Vec<Field> = Vec::new();
        let mut add = |name: &str, structured: bool| {
            let Some(column) = self.from.columns.iter().find(|it| it.name == name) else { return 0 };
            // Only what jq looks into has to be of its type. The rest stays as it is for the target's type to read.
            let ty = match column.ty {
                Type::Json | Type::Bool if structured => column.ty,
                _ => Type::Any,
            };
            let place = fields.iter().position(|it| it.column == name).unwrap_or_else(|| {
                fields.push(Field::new(name, Cast::new(Type::Any)));
                fields.len() - 1
            });
            if let Some(field) = fields.get_mut(place).filter(|_| ty != Type::Any) {
                field.cast.ty = ty;
            }
            place
        };
        let key = self.from.names(&self.from.key);
        let seen = |name: &String| reach.as_ref().is_none_or(|it| it.contains(name));
        for name in &key {
            add(name, seen(name));
        }
        for column in self.from.columns.iter().filter(|it| whole || seen(&it.name)) {
            add(&column.name, seen(&column.name));
        }
        for column in columns.iter_mut() {
            if let Origin::Cell { column: name, place, path } = &mut column.origin {
                // A document that is copied into a column of documents stays one: a JSON string is not the text in it.
                *place = add(name, !path.0.is_empty() || self.wants_documents(&column.name));
            }
        }
        let hidden = secrets_of(each, columns);
        let secret = fields.iter().map(|it| hidden.as_ref().is_none_or(|names| names.contains(&it.column))).collect();
        let compared = fields.len();
        (Shape { fields, key: key.len(), compared, ..Shape::default() }, secret)
    }

    /// Whether that target column holds JSON, as the plan or the target says.
    fn wants_documents(&self, name: &str) -> bool {
        let rules = self.mapping.columns.iter().flatten();
        let declared = rules.filter(|it| it.0 == name).find_map(|it| it.1.ty).map(|it| it.ty);
        let own = || self.into.and_then(|it| it.columns.get(it.column(name)?)).map(|it| it.ty);
        declared.or_else(own) == Some(Type::Json)
    }

    fn keeps_order(&self, columns: &[Column]) -> bool {
        let own = || self.into.map(|it| it.names(&it.key)).unwrap_or_default();
        let target = self.mapping.key.clone().unwrap_or_else(own);
        let source = self.from.names(&self.from.key);
        let copied = |(target, source): (&String, &String)| {
            columns.iter().any(|it| {
                let copy =
                    matches!(&it.origin, Origin::Cell { column, path, .. } if column == source && path.0.is_empty());
                it.name == *target && copy && !it.rules.edits()
            })
        };
        !source.is_empty() && source.len() == target.len() && target.iter().zip(&source).all(copied)
    }
}

/// What the expressions of a program look at in the source row, nothing more than that.
fn reach_of(filter: &Option<Expr>, each: &Option<Expr>, columns: &[Column]) -> Reach {
    let mut reach = Some(BTreeSet::new());
    for expression in [filter, each].into_iter().flatten() {
        reach = reach::union(reach, reach_of_expression(expression));
    }
    for column in columns {
        // With `each` a column looks at an item, and at the row only by its name.
        let more = match &column.origin {
            Origin::Jq(jq) if each.is_some() && !jq.takes_row => continue,
            Origin::Jq(jq) => reach_of_jq(jq),
            Origin::Item(path) if each.is_none() => reach_of_path(path),
            _ => continue,
        };
        reach = reach::union(reach, more);
    }
    reach
}

/// The columns of the source that may hold what a secret column shows. An item may hold whatever `each` looks at.
fn secrets_of(each: &Option<Expr>, columns: &[Column]) -> Reach {
    let mut reach = Some(BTreeSet::new());
    for column in columns.iter().filter(|it| it.rules.secret) {
        let more = match (&column.origin, each) {
            (Origin::Generated(_) | Origin::Nothing, _) => continue,
            (Origin::Jq(jq), Some(_)) if jq.takes_row => None,
            (_, Some(each)) => reach_of_expression(each),
            (origin, None) => origin.reach(),
        };
        reach = reach::union(reach, more);
    }
    reach
}

fn reach_of_expression(expression: &Expr) -> Reach {
    match expression {
        Expr::Path(path) => reach_of_path(path),
        Expr::Jq(jq) => reach_of_jq(jq),
    }
}

fn reach_of_path(path: &Path) -> Reach {
    val::split(path).map(|(name, _)| BTreeSet::from([name.to_owned()]))
}

fn reach_of_jq(jq: &Jq) -> Reach {
    if jq.takes_row { None } else { jq.reach.clone() }
}
