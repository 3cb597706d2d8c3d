//! Witnesses beside the comparison: declared checks, and rows written by hand.

use super::{
    Run, declared,
    table::{self, Job, MakeProgram, Migrating},
    verify::{Inverse, Pairing, Task, Witness},
};
use crate::{
    diff::Tally,
    error::{Error, Kind, Result},
    gate::Verdict,
    pairing::{self, Choices, Comparison},
    plan::{Call, Check, Expression, Fault, Plan},
    report::{CheckReport, cell::MASK, sampler::Sampler},
    schema::Table,
    store::{self, Source},
    transform::{self, Limits},
    value::{
        decimal,
        json::{self, JsonKind},
    },
};
use std::{cmp::Ordering, path::Path, sync::Arc, time::Duration};

/// Asks every question and compares every file of expected rows.
///
/// # Errors
/// Only if somebody asks the run to stop: a question without an answer is a check that is `unknown`.
pub(super) fn answer(task: &mut Task, run: &Run) -> Result<Vec<CheckReport>> {
    let mut reports = Vec::new();
    for check in &task.checks {
        run.watch.read(0)?;
        let ask = |store: &mut dyn Source, question: &Option<Expression>| {
            question.as_ref().map(|it| ask(store, it, check.from.as_deref(), run).map_err(|it| it.to_string()))
        };
        let source = ask(task.source.as_mut(), &check.source);
        let target = ask(task.target.as_mut(), &check.target);
        reports.push(judged(check, source, target, task.secret));
    }
    let kind = &task.target_name.kind;
    reports.extend(task.schema.as_ref().map(|it| declared::check(kind, it, task.target.as_mut())));
    for pairing in task.tables.iter().filter(|it| it.referred.is_none()) {
        for witness in &pairing.witnesses {
            run.watch.read(0)?;
            let name = format!("{} of {}", witness.name(), pairing.comparison.target.name);
            let compared = match witness {
                Witness::Rows { path, .. } => compare_rows(run, task.source.as_mut(), pairing, path),
                Witness::Inverse(it) => compare_inverse(run, task.source.as_mut(), task.target.as_mut(), pairing, it),
            };
            reports.push(witnessed(name, compared));
        }
    }
    Ok(reports)
}

/// An answer as canonical JSON, or why there is none.
type Answer = Result<String, String>;

fn judged(check: &Check, source: Option<Answer>, target: Option<Answer>, secret: bool) -> CheckReport {
    let expect = check.expect.clone().map(Ok);
    let answers = [&source, &target, &expect].into_iter().flatten().collect::<Vec<_>>();
    let known = answers.iter().filter_map(|it| it.as_ref().ok()).collect::<Vec<_>>();
    let verdict = if known.windows(2).any(|it| !agree(it[0], it[1])) {
        Verdict::Fail
    } else if known.len() == answers.len() && known.len() > 1 {
        Verdict::Pass
    } else {
        Verdict::Unknown
    };
    // An answer in words may be a value of a row; a count is not.
    let words = |it: &str| matches!(json::kind(it), JsonKind::String | JsonKind::Array | JsonKind::Object);
    let hidden = |it: &str| check.secret.unwrap_or_else(|| secret && words(it));
    let shown = |it: Option<Answer>| match it {
        Some(Ok(it)) if hidden(&it) => MASK.to_owned(),
        Some(Ok(it)) | Some(Err(it)) => it,
        None => check.expect.clone().unwrap_or_default(),
    };
    CheckReport { name: check.name.clone(), verdict, source: shown(source), target: shown(target) }
}

/// Whether two answers are the same; numbers are by value, since SQL and jq write them differently.
fn agree(a: &str, b: &str) -> bool {
    let number = |it: &str| {
        let mut out = Vec::new();
        let is = json::kind(it) == JsonKind::Number && decimal::canonical(it, &mut out);
        is.then(|| String::from_utf8(out).unwrap_or_default())
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => decimal::compare(&a, &b) == Ordering::Equal,
        _ => a == b,
    }
}

/// What is wrong with the witnesses of a plan, as far as that can be told without answering: expressions and queries that do
/// not compile, files and programs that are not there.
pub fn faults(plan: &Plan, source: &mut dyn Source, target: &mut dyn Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for mapping in &plan.tables {
        let absent = |path: &&String| !plan.resolve(path).exists();
        let program = mapping.command.iter().flat_map(|it| it.first()).filter(|it| it.contains('/'));
        for path in mapping.expect.iter().chain(program).filter(absent) {
            faults.push(mapping.place.fault(format_args!("`{path}` is not there")));
        }
    }
    for (_, hook) in plan.hooks.all() {
        let Call::Command(command) = &hook.call else { continue };
        let program = command.first().filter(|it| it.contains('/') && !plan.resolve(it).exists());
        faults.extend(program.map(|it| hook.place.fault(format_args!("`{it}` is not there"))));
    }
    let checks = plan.checks.iter().map(|it| (it.source.as_ref(), it.target.as_ref(), it.from.as_deref()));
    let queries = plan.queries.iter().map(|it| (it.source.as_ref(), Some(&it.target), it.from.as_deref()));
    for (of_source, of_target, from) in checks.chain(queries) {
        faults.extend(of_source.into_iter().flat_map(|it| faults_of(source, it, from)));
        faults.extend(of_target.into_iter().flat_map(|it| faults_of(target, it, from)));
    }
    faults
}

fn faults_of(store: &mut dyn Source, question: &Expression, from: Option<&str>) -> Vec<Fault> {
    if is_sql(store, question) {
        let explained = store.query(&format!("EXPLAIN {}", question.text));
        return explained.err().map(|it| question.fault(it)).into_iter().collect();
    }
    match asked(store, from) {
        Ok(table) => transform::Witness::compile(question, &table, 0, Limits::default()).err().unwrap_or_default(),
        Err(error) => vec![question.fault(error)],
    }
}

/// A question to a store that speaks SQL is SQL if it begins like a query.
fn is_sql(store: &dyn Source, question: &Expression) -> bool {
    let first = question.text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    store.speaks_sql() && ["select", "with", "values"].contains(&first.as_str())
}

/// The table whose rows a jq question is asked about.
fn asked(store: &mut dyn Source, from: Option<&str>) -> Result<Table> {
    let mut tables = store.tables()?;
    let place = match from {
        Some(name) => tables.iter().position(|it| it.name == name),
        None => (tables.len() == 1).then_some(0),
    };
    let names = || tables.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    match place {
        Some(place) => Ok(tables.swap_remove(place)),
        None => Err(Error::new(Kind::Plan, format_args!("say `from`: there are the tables {}", names()))),
    }
}

/// The answer to a question as canonical JSON; `from` names the table whose rows jq runs over.
fn ask(store: &mut dyn Source, question: &Expression, from: Option<&str>, run: &Run) -> Result<String> {
    if is_sql(store, question) {
        let rows = store.query(&question.text)?;
        return Ok(match rows.as_slice() {
            [one] => one.clone(),
            rows => format!("[{}]", rows.join(",")),
        });
    }
    let (table, witness) = ready(store, question, from, run)?;
    read(store, &table, witness)
}

/// How long the answer takes by a clock that `now` reads, once the question is ready to be put.
pub(super) fn time(
    store: &mut dyn Source,
    question: &Expression,
    from: Option<&str>,
    run: &Run,
    now: &dyn Fn() -> Duration,
) -> Result<Duration> {
    if is_sql(store, question) {
        return store.time(&question.text, now);
    }
    let (table, witness) = ready(store, question, from, run)?;
    let start = now();
    read(store, &table, witness)?;
    Ok(now().saturating_sub(start))
}

/// A question in jq, and the table that it is about.
fn ready(
    store: &mut dyn Source,
    question: &Expression,
    from: Option<&str>,
    run: &Run,
) -> Result<(Table, transform::Witness)> {
    let table = asked(store, from)?;
    let faults =
        |it: Vec<Fault>| Error::new(Kind::Plan, it.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    let witness = transform::Witness::compile(question, &table, run.memory, Limits::default()).map_err(faults)?;
    Ok((table, witness))
}

fn read(store: &mut dyn Source, table: &Table, mut witness: transform::Witness) -> Result<String> {
    let input = witness.input();
    store.scan(table, &input, &mut witness)?;
    witness.answer()
}

fn witnessed(name: String, compared: Result<(Verdict, String)>) -> CheckReport {
    let (verdict, target) = compared.unwrap_or_else(|it| (Verdict::Unknown, it.to_string()));
    CheckReport { name, verdict, source: "the mapping".to_owned(), target }
}

/// Compares what the mapping makes with rows from a file.
fn compare_rows(run: &Run, source: &mut dyn Source, pairing: &Pairing, path: &Path) -> Result<(Verdict, String)> {
    let mut target = store::open(store::sniff(path)?, path, &store::Options::default())?;
    let tables = target.tables()?;
    let [table] = tables.as_slice() else {
        return Err(Error::new(Kind::Plan, format_args!("{}: one table of rows is wanted", path.display())));
    };
    // The types are those of the real target, whose schema says them.
    let mut choices = pairing.choices.clone();
    for pair in &pairing.comparison.columns {
        choices.columns.entry(pair.name.clone()).or_default().ty = Some(pair.ty);
    }
    choices.key = Some(pairing.comparison.key_names());
    let comparison = Arc::new(pairing::pair(pairing.comparison.source.clone(), table.clone(), &choices));
    if let Some(column) = comparison.source_only.first().or(comparison.target_only.first()) {
        return Ok((Verdict::Fail, format!("column `{column}` is on one side only")));
    }
    let programs: [&MakeProgram; 2] = [pairing.program.as_ref(), &|| Ok(None)];
    counted(run, comparison, &choices, (source, &pairing.from), (target.as_mut(), table), programs)
}

/// Compares the source's rows with those that the inverse makes of the target's.
fn compare_inverse(
    run: &Run,
    source: &mut dyn Source,
    target: &mut dyn Source,
    pairing: &Pairing,
    inverse: &Inverse,
) -> Result<(Verdict, String)> {
    let comparison = Arc::clone(&inverse.comparison);
    if comparison.key == 0 {
        let message = "the inverse has to make the key of the source, so that rows can be told apart";
        return Err(Error::new(Kind::Plan, message));
    }
    let programs: [&MakeProgram; 2] = [inverse.forth.as_ref(), inverse.back.as_ref()];
    let to = (target, &pairing.comparison.target);
    counted(run, comparison, &inverse.choices, (source, &pairing.from), to, programs)
}

fn counted(
    run: &Run,
    comparison: Arc<Comparison>,
    choices: &Choices,
    (source, from): (&mut dyn Source, &Table),
    (target, to): (&mut dyn Source, &Table),
    programs: [&MakeProgram; 2],
) -> Result<(Verdict, String)> {
    let sampler = |it: &Arc<_>| Sampler::new(Arc::clone(it), 1, None);
    let job = Job {
        renaming: None,
        source,
        target,
        choices,
        from,
        to,
        programs,
        sampler: &sampler,
        specs: &[],
        migrating: Migrating::default(),
    };
    let tally = table::compare(run, comparison, job)?.tally;
    let off = tally.changed + tally.missing + tally.extra + tally.duplicates() + tally.rejects;
    let nothing = tally.source_rows == 0 && tally.target_rows > 0;
    if off == 0 && !nothing {
        return Ok((Verdict::Pass, format!("{} rows, all the same", tally.same)));
    }
    let Tally { same, changed, missing, extra, rejects, .. } = tally;
    let counts = format!("{same} the same, {changed} not, {missing} too many, {extra} too few, {rejects} refused");
    Ok((Verdict::Fail, counts))
}
