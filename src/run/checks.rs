//! Witnesses beside the comparison: declared checks, and rows written by hand.

use super::{
    Run,
    table::{self, Job},
    verify::{Pairing, Task},
};
use crate::{
    error::{Error, Kind, Result},
    gate::Verdict,
    pairing,
    plan::{Check, Expression},
    report::{CheckReport, sampler::Sampler},
    store::{self, Source},
    transform::{Limits, Witness},
    value::{decimal, json},
};
use std::{cmp::Ordering, path::Path, sync::Arc};

/// Asks every question and compares every file of expected rows.
///
/// # Errors
/// Only if somebody asks the run to stop: a question without an answer is a check that is `unknown`.
pub(super) fn answer(task: &mut Task, run: &Run) -> Result<Vec<CheckReport>> {
    let mut reports = Vec::new();
    for check in &task.checks {
        run.watch.read(0)?;
        let ask = |store: &mut dyn Source, question: &Option<Expression>| {
            question.as_ref().map(|it| ask(store, it, check, run).map_err(|it| it.to_string()))
        };
        let source = ask(task.source.as_mut(), &check.source);
        let target = ask(task.target.as_mut(), &check.target);
        reports.push(judged(check, source, target));
    }
    let (source, tables) = (task.source.as_mut(), &task.tables);
    for pairing in tables.iter().filter(|it| !it.only_referred) {
        if let Some(path) = &pairing.expect {
            run.watch.read(0)?;
            reports.push(expected(run, source, pairing, path));
        }
    }
    Ok(reports)
}

/// An answer as canonical JSON, or why there is none.
type Answer = Result<String, String>;

fn judged(check: &Check, source: Option<Answer>, target: Option<Answer>) -> CheckReport {
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
    let shown =
        |it: Option<Answer>| it.or_else(|| expect.clone()).map_or_else(String::new, |it| it.unwrap_or_else(|it| it));
    CheckReport { name: check.name.clone(), verdict, source: shown(source), target: shown(target) }
}

/// Whether two answers are the same; numbers are by value, since SQL and jq write them differently.
fn agree(a: &str, b: &str) -> bool {
    let number = |it: &str| {
        let mut out = Vec::new();
        let is = json::kind(it) == json::JsonKind::Number && decimal::canonical(it, &mut out);
        is.then(|| String::from_utf8(out).unwrap_or_default())
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => decimal::compare(&a, &b) == Ordering::Equal,
        _ => a == b,
    }
}

fn ask(store: &mut dyn Source, question: &Expression, check: &Check, run: &Run) -> Result<String> {
    let first = question.text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if store.speaks_sql() && ["select", "with", "values"].contains(&first.as_str()) {
        let rows = store.query(&question.text)?;
        return Ok(match rows.as_slice() {
            [one] => one.clone(),
            rows => format!("[{}]", rows.join(",")),
        });
    }
    let tables = store.tables()?;
    let table = match &check.from {
        Some(name) => tables.iter().find(|it| it.name == *name),
        None if tables.len() == 1 => tables.first(),
        None => None,
    };
    let Some(table) = table else {
        let names = tables.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::new(Kind::Plan, format_args!("say `from`: there are the tables {names}")));
    };
    let faults = |it: Vec<crate::plan::Fault>| {
        Error::new(Kind::Plan, it.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    let mut witness = Witness::compile(question, table, run.memory, Limits::default()).map_err(faults)?;
    let input = witness.input();
    store.scan(table, &input, &mut witness)?;
    witness.answer()
}

/// Compares what the mapping makes with rows that were written by hand.
fn expected(run: &Run, source: &mut dyn Source, pairing: &Pairing, path: &Path) -> CheckReport {
    let name = format!("expected rows of {}", pairing.comparison.target.name);
    match compare_expected(run, source, pairing, path) {
        Ok((verdict, target)) => CheckReport { name, verdict, source: "the mapping".to_owned(), target },
        Err(it) => {
            CheckReport { name, verdict: Verdict::Unknown, source: "the mapping".to_owned(), target: it.to_string() }
        }
    }
}

fn compare_expected(run: &Run, source: &mut dyn Source, pairing: &Pairing, path: &Path) -> Result<(Verdict, String)> {
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
    let lacking = comparison.source_only.first().or(comparison.target_only.first()).cloned();
    let sampler = |it: &Arc<_>| Sampler::new(Arc::clone(it), 1, None);
    let job = Job {
        source,
        target: target.as_mut(),
        choices: &choices,
        from: &pairing.from,
        program: &pairing.program,
        sampler: &sampler,
        specs: &[],
    };
    let outcome = table::compare(run, comparison, job)?;
    let tally = outcome.tally;
    if let Some(column) = lacking {
        return Ok((Verdict::Fail, format!("column `{column}` is on one side only")));
    }
    let off = tally.changed + tally.missing + tally.extra + tally.duplicates() + tally.rejects;
    let counts = format!(
        "{} as expected, {} changed, {} not expected, {} not made",
        tally.same, tally.changed, tally.missing, tally.extra
    );
    Ok((if off == 0 { Verdict::Pass } else { Verdict::Fail }, counts))
}
