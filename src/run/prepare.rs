//! From a plan, or from two stores alone, to what is compared.

use super::{
    MakeProgram, Run,
    command::External,
    ids::NewIds,
    index,
    selection::Selection,
    verify::{Inverse, Made, Pairing, Task, Witness},
};
use crate::{
    error::{Error, Kind, Result},
    pairing::{self, Choices, ColumnChoice},
    plan::{self, Fault, Mapping, Names, Plan, Policy, Rule},
    report::StoreName,
    schema::{Column, Origin, Table},
    store::{self, Source},
    transform::{Context, Limits, Program},
    value::{Type, cast::Coarsening, time::Unit},
};
use jiff::tz::TimeZone;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

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
    /// The zone of times without one. UTC if there is none.
    pub zone: Option<TimeZone>,
}

impl Options {
    fn choices(&self, source: &Table, target: &Table) -> Choices {
        let is = |name: &Option<String>| name.as_ref().is_none_or(|it| *it == target.name || *it == source.name);
        let mut choices = Choices { zone: self.zone.clone(), ..Choices::default() };
        let key = self.keys.iter().rfind(|(table, names)| is(table) && (table.is_some() || has_all(target, names)));
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
        if let Some((_, names)) =
            self.keys.iter().find(|it| it.0.is_none() && !target.iter().any(|to| has_all(to, &it.1)))
        {
            let message = format_args!("--key: no table of the target has the columns {}", names.join(", "));
            return Err(Error::new(Kind::Usage, message));
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

    /// What options say about the columns of a pair of tables, which a slip of the fingers would leave unsaid.
    fn check_columns(&self, source: &Table, target: &Table) -> Result<()> {
        let is = |name: &str| name == target.name || name == source.name;
        let keys = self.keys.iter().filter(|it| it.0.as_deref().is_some_and(is)).flat_map(|it| &it.1);
        let keys = keys.map(|column| ("--key", target, column));
        let maps = self.columns.iter().filter(|it| is(&it.0));
        let maps = maps.flat_map(|(_, from, to)| [("--map", source, from), ("--map", target, to)]);
        for (option, table, column) in keys.chain(maps) {
            if table.column(column).is_none() {
                let message = format_args!("{option}: `{}` has no column `{column}`", table.name);
                return Err(Error::new(Kind::Usage, message));
            }
        }
        Ok(())
    }
}

fn has_all(table: &Table, columns: &[String]) -> bool {
    columns.iter().all(|it| table.column(it).is_some())
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
    if let Names::Some(names) = &policy.allow_empty {
        let tables = || from.iter().chain(&to).map(|it| it.name.as_str());
        if let Some(name) = names.iter().find(|name| !tables().any(|it| it == name.as_str())) {
            return Err(unknown(name, tables()));
        }
    }
    let paired = pairing::tables(&from, &to, &options.tables);
    let mut tables = Vec::new();
    for &(left, right) in &paired.pairs {
        options.check_columns(&from[left], &to[right])?;
        let choices = options.choices(&from[left], &to[right]);
        let comparison = Arc::new(pairing::pair(from[left].clone(), to[right].clone(), &choices));
        tables.push(Pairing {
            from: from[left].clone(),
            referred: (!options.wants(&from[left], &to[right])).then_some([true, true]),
            comparison,
            choices,
            program: Box::new(|| Ok(None)),
            witnesses: Vec::new(),
            made: None,
            renaming: None,
        });
    }
    referred(&mut tables, &from, &to);
    let everything = options.only.is_empty();
    Ok(Task {
        source: source.store,
        source_name: source.name,
        target: target.store,
        target_name: target.name,
        tables,
        selections: Vec::new(),
        source_only: if everything { paired.source_only } else { Vec::new() },
        target_only: if everything { paired.target_only } else { Vec::new() },
        checks: Vec::new(),
        secret: false,
        schema: None,
        zone: None,
        ids: NewIds::default(),
        policy,
        unchecked: Vec::new(),
        notes: paired.notes,
    })
}

/// Adds the tables that compared ones refer to and that are not compared, on whichever sides they are, so that the references can
/// be followed there.
fn referred(tables: &mut Vec<Pairing>, from: &[Table], to: &[Table]) {
    let names = |all: &[Table]| -> BTreeSet<String> {
        let keys = all.iter().flat_map(|it| &it.foreign_keys);
        keys.map(|it| it.parent(all).map_or_else(|| it.table.clone(), |it| it.name.clone())).collect()
    };
    let names = [names(from), names(to)];
    for name in names.iter().flatten() {
        let side = |all: &[Table], known: fn(&Pairing) -> &Table, names: &BTreeSet<String>| {
            let paired = tables.iter().any(|it| known(it).name == *name);
            all.iter().find(|it| it.name == *name).filter(|_| !paired && names.contains(name)).cloned()
        };
        let sides = [side(from, |it| &it.from, &names[0]), side(to, |it| &it.comparison.target, &names[1])];
        let there = sides.each_ref().map(Option::is_some);
        let (source, target) = match sides {
            [Some(source), Some(target)] => (source, target),
            [Some(one), None] | [None, Some(one)] => (one.clone(), one),
            [None, None] => continue,
        };
        let choices = Choices::default();
        tables.push(Pairing {
            from: source.clone(),
            referred: Some(there),
            comparison: Arc::new(pairing::pair(source, target, &choices)),
            choices,
            program: Box::new(|| Ok(None)),
            witnesses: Vec::new(),
            made: None,
            renaming: None,
        });
    }
}

/// Why a plan cannot be carried out.
#[derive(Debug)]
pub enum Problem {
    /// The plan is wrong, each fault with its place.
    Plan(Vec<Fault>),
    /// A store failed.
    Store(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Store(error)
    }
}

/// Pairs what a plan declares, and runs the external transforms it names, unless there is no `run`. A plan without tables pairs everything by name, as [`diff`] does.
///
/// # Errors
/// If a store cannot say what it holds, or the plan does not fit it; then every problem is there.
pub fn plan(plan: &Plan, mut source: Opened, mut target: Opened, run: Option<&Run>) -> Result<Task, Problem> {
    let zone = zone(plan)?;
    if plan.tables.is_empty() {
        let options = Options { zone, ..Options::default() };
        let mut task = diff(source, target, &options, plan.gate.clone())?;
        task.zone.clone_from(&plan.zone);
        task.checks = plan.checks.clone();
        task.schema = plan.target.schema.as_ref().map(|it| plan.resolve(it));
        return Ok(task);
    }
    let (from, to) = (source.store.tables()?, target.store.tables()?);
    let context = Context {
        seed: plan.seed.clone(),
        instant: plan.instant.clone().unwrap_or_else(|| EPOCH.to_owned()),
        limits: Limits::default(),
    };
    let mut task = Task {
        source: source.store,
        source_name: source.name,
        target: target.store,
        target_name: target.name,
        tables: Vec::new(),
        selections: Vec::new(),
        source_only: Vec::new(),
        target_only: Vec::new(),
        checks: plan.checks.clone(),
        secret: plan.has_secrets(),
        schema: plan.target.schema.as_ref().map(|it| plan.resolve(it)),
        zone: plan.zone.clone(),
        ids: NewIds::of(plan)?,
        policy: plan.gate.clone(),
        unchecked: Vec::new(),
        notes: Vec::new(),
    };
    let (mut faults, mut read) = (Vec::new(), BTreeMap::<String, BTreeSet<String>>::new());
    let mut selected = Vec::new();
    for mapping in &plan.tables {
        let collection = collection(mapping, &from);
        let columns = collection.map(|it| read.entry(it.name.clone()).or_default());
        let into = to.iter().find(|it| it.name == mapping.into);
        match (collection, into) {
            (Some(from), Some(into)) => match mapped(plan, mapping, (from, into), zone.clone(), &context) {
                Ok((mut pairing, used, hidden)) => {
                    selected.push((task.tables.len(), mapping, from, hidden));
                    columns.into_iter().for_each(|it| it.extend(used.iter().cloned()));
                    if let Some(run) = run.filter(|_| faults.is_empty()) {
                        external(plan, mapping, run, task.source.as_mut(), &mut pairing)?;
                    }
                    task.tables.push(pairing);
                }
                Err(found) => faults.extend(found),
            },
            (Some(_), None) => task.source_only.push(mapping.into.clone()),
            (None, _) => task.unchecked.push(absent(mapping, &from)),
        }
    }
    if faults.is_empty() {
        task.selections = Selection::of(plan, &selected, &context);
    }
    referred(&mut task.tables, &from, &to);
    let declared = |name: &String| plan.table(name).is_some();
    task.target_only = to.iter().map(|it| it.name.clone()).filter(|it| !declared(it)).collect();
    task.source_only.extend(from.iter().map(|it| it.name.clone()).filter(|it| !read.contains_key(it)));
    task.tables.iter_mut().for_each(|it| it.leave_behind(&mut read));
    if faults.is_empty() {
        task.rename(plan)?;
    }
    if faults.is_empty() { Ok(task) } else { Err(Problem::Plan(faults)) }
}

/// The instant that stands for "now" where the plan records none: verify must make up what an earlier run made up.
const EPOCH: &str = "1970-01-01T00:00:00Z";

fn absent(mapping: &Mapping, from: &[Table]) -> String {
    let names = from.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(", ");
    match &mapping.from {
        Some(name) => format!("{}: the source has no `{name}`; it has {names}", mapping.into),
        None => format!("{}: say `from`: the source has {names}", mapping.into),
    }
}

/// The tables of the source that the mappings of a plan read, of those that there are.
pub fn read_tables(plan: &Plan, from: &[Table]) -> BTreeSet<String> {
    plan.tables.iter().filter_map(|it| collection(it, from)).map(|it| it.name.clone()).collect()
}

/// The source's table that a mapping reads.
pub fn collection<'t>(mapping: &Mapping, from: &'t [Table]) -> Option<&'t Table> {
    let named = |name: &str| {
        let place = from.iter().position(|it| it.name == name);
        let folded = || {
            pairing::by_name(
                &from.iter().map(|it| it.name.clone()).collect::<Vec<_>>(),
                &[name.to_owned()],
                &BTreeMap::new(),
            )
        };
        place.or_else(|| folded().first().map(|it| it.0)).and_then(|it| from.get(it))
    };
    match (&mapping.from, from) {
        (Some(name), _) => from.iter().find(|it| it.name == *name),
        (None, [only]) => Some(only),
        (None, _) => named(&mapping.into),
    }
}

fn zone(plan: &Plan) -> Result<Option<TimeZone>> {
    let Some(name) = &plan.zone else { return Ok(None) };
    let zone = plan::time_zone(name);
    zone.map(Some).ok_or_else(|| Error::new(Kind::Plan, format_args!("there is no time zone `{name}`")))
}

/// One table of a plan, both sides known, the columns of the source that it looks at, and whether the keys of the source are
/// secret.
fn mapped(
    plan: &Plan,
    mapping: &Mapping,
    (from, into): (&Table, &Table),
    zone: Option<TimeZone>,
    context: &Context,
) -> Result<(Pairing, Vec<String>, bool), Vec<Fault>> {
    let mut choices = Choices {
        key: mapping.key.clone(),
        zone,
        uniques: mapping.uniques.clone(),
        references: mapping.references.clone(),
        ..Choices::default()
    };
    // The plan may spell a column in another letter case than the target, by whose names the choices go.
    let spelled = |name: &str| into.column(name).map_or(name, |it| &into.columns[it].name).to_owned();
    for (name, rule) in mapping.columns.iter().flatten() {
        choices.columns.insert(spelled(name), choice(rule));
    }
    for name in mapping.secrets() {
        choices.columns.entry(spelled(name)).or_default().secret = true;
    }
    let maps = mapping.columns.is_some() || mapping.filter.is_some() || mapping.each.is_some();
    let maps = maps || !mapping.prefix.is_empty() || mapping.index.is_some();
    let (mut made, mut used) = (from.clone(), from.names(&(0..from.columns.len()).collect::<Vec<_>>()));
    let mut hidden = false;
    if maps {
        let wrong = index::faults(mapping, from, context);
        let program = match Program::compile(mapping, from, Some(into), context) {
            Ok(program) if wrong.is_empty() => program,
            compiled => return Err([compiled.err().unwrap_or_default(), wrong].concat()),
        };
        hidden = program.hides_key();
        made = table_made(mapping, from, program.columns());
        used = program.input().fields.iter().map(|it| it.column.clone()).collect();
    }
    let mut witnesses = Vec::new();
    let expect = mapping.expect.as_ref().map(|it| plan.resolve(it));
    witnesses.extend(expect.map(|path| Witness::Rows { name: "expected rows".to_owned(), path, folder: None }));
    if mapping.inverse.is_some() {
        witnesses.push(Witness::Inverse(Box::new(inverse(mapping, from, into, context)?)));
    }
    let comparison = pairing::pair(made, into.clone(), &choices);
    let program = compiler(mapping, from, into, context, maps);
    let pairing = Pairing {
        from: from.clone(),
        comparison: Arc::new(comparison),
        choices,
        program,
        referred: None,
        witnesses,
        made: None,
        renaming: None,
    };
    Ok((pairing, used, hidden))
}

impl Pairing {
    /// Notes the columns of the source that no mapping of the plan looks at, once: what they hold would be lost unseen.
    fn leave_behind(&mut self, used: &mut BTreeMap<String, BTreeSet<String>>) {
        if self.made.is_some() {
            return;
        }
        let Some(used) = used.remove(&self.from.name) else { return };
        let unused = self.from.columns.iter().map(|it| &it.name).filter(|it| !used.contains(*it));
        Arc::make_mut(&mut self.comparison).source_only.extend(unused.cloned());
    }
}

/// Makes a mapping's program again and again, if it has one.
fn compiler(mapping: &Mapping, from: &Table, into: &Table, context: &Context, maps: bool) -> Box<MakeProgram> {
    let (mapping, from, into, context) = (mapping.clone(), from.clone(), into.clone(), context.clone());
    Box::new(move || {
        let failed = |_| Error::new(Kind::Broken, format_args!("the mapping of `{}` compiled only once", into.name));
        maps.then(|| Program::compile(&mapping, &from, Some(&into), &context).map_err(failed)).transpose()
    })
}

/// The way back from the target's rows to the columns of the source that the plan says how to make.
fn inverse(mapping: &Mapping, from: &Table, into: &Table, context: &Context) -> Result<Inverse, Vec<Fault>> {
    if mapping.each.is_some() {
        return Err(vec![
            mapping.place.fault("a mapping with `each` has no inverse: a row of the target is not one of the source"),
        ]);
    }
    let back = Mapping {
        into: from.name.clone(),
        columns: mapping.inverse.clone(),
        place: mapping.place.clone(),
        ..Mapping::default()
    };
    let forth = Mapping {
        into: from.name.clone(),
        prefix: mapping.prefix.clone(),
        index: mapping.index.clone(),
        filter: mapping.filter.clone(),
        place: mapping.place.clone(),
        ..Mapping::default()
    };
    let program = Program::compile(&back, into, Some(from), context)?;
    let made = table_made(&back, into, program.columns());
    let choices = Choices { key: Some(from.names(&from.key)), ..Choices::default() };
    let comparison = Arc::new(pairing::pair(from.clone(), made, &choices));
    let filters = forth.filter.is_some() || !forth.prefix.is_empty() || forth.index.is_some();
    let (forth, back) = (compiler(&forth, from, from, context, filters), compiler(&back, into, from, context, true));
    Ok(Inverse { comparison, choices, forth, back })
}

/// Runs the program that makes a table's rows. With a declared mapping its rows are a witness, without one they are the source.
fn external(plan: &Plan, mapping: &Mapping, run: &Run, source: &mut dyn Source, pairing: &mut Pairing) -> Result<()> {
    let Some(command) = &mapping.command else { return Ok(()) };
    let known: Vec<String> = plan.tables.iter().map(|it| it.into.clone()).collect();
    let folder = &plan.folder();
    let (folder, path) =
        External { command, folder, into: &mapping.into, known: &known }.run(run, source, &pairing.from)?;
    if mapping.columns.is_some() {
        pairing.witnesses.push(Witness::Rows { name: "command".to_owned(), path, folder: Some(folder) });
        return Ok(());
    }
    let mut store = store::open("ndjson", &path, &store::Options::default())?;
    let tables = store.tables()?;
    let Some(table) = tables.into_iter().next() else { return Ok(()) };
    pairing.comparison = Arc::new(pairing::pair(table.clone(), pairing.comparison.target.clone(), &pairing.choices));
    pairing.from = table;
    pairing.program = Box::new(|| Ok(None));
    pairing.made = Some(Made { store: Mutex::new(store), folder });
    Ok(())
}

/// What a mapping makes, as a table: its columns, of the type that the plan or the copied column says.
fn table_made<'n>(mapping: &Mapping, from: &Table, columns: impl Iterator<Item = &'n str>) -> Table {
    let mut table = Table::new(&from.name);
    for name in columns {
        let rule = mapping.columns.iter().flatten().find(|it| it.0 == name).map(|it| &it.1);
        let copied = match rule {
            Some(rule) if rule.map.is_some() || rule.generated.is_some() || rule.encrypt.is_some() => None,
            Some(Rule { from: Some(path), .. }) => path.text.trim().strip_prefix('.').map(|it| it.trim_matches('"')),
            _ if mapping.each.is_some() => None,
            _ => Some(name),
        };
        let copied = copied.filter(|_| mapping.each.is_none()).and_then(|it| from.column(it));
        let column = match (rule.and_then(|it| it.ty), copied) {
            (Some(declared), _) => Column { origin: Origin::Enforced, ..Column::new(name, declared.ty) },
            (None, Some(place)) => Column { name: name.to_owned(), ..from.columns[place].clone() },
            (None, None) => Column { origin: Origin::Guessed, ..Column::new(name, Type::Any) },
        };
        table.columns.push(column);
    }
    table
}

fn choice(rule: &Rule) -> ColumnChoice {
    let unit = rule.truncate.as_deref().and_then(Unit::parse).map(Coarsening::Truncate);
    let written = match rule {
        Rule { ignore: true, .. } => Some("ignore".to_owned()),
        Rule { truncate: Some(unit), .. } => Some(format!("truncate = \"{unit}\"")),
        Rule { round: Some(places), .. } => Some(format!("round = {places}")),
        _ => None,
    };
    ColumnChoice {
        ty: rule.ty.map(|it| it.ty),
        epoch: rule.ty.and_then(|it| it.epoch),
        coarsen: unit.or(rule.round.map(Coarsening::Round)),
        ignore: rule.ignore,
        tolerance: written.map(|it| (it, rule.because.clone().unwrap_or_default())),
        secret: rule.secret,
    }
}
