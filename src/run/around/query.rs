//! How long declared queries take on both sides.

use crate::{
    error::Result,
    gate::Verdict,
    plan::{Expression, Query},
    report::queries::QueryReport,
    run::{Run, checks},
    store::Source,
};
use std::time::Duration;

/// Asks each query on both sides as often as it says. `now` is the time since some moment that stays the same.
///
/// # Errors
/// Only if somebody asks the run to stop: a query without an answer is `unknown`.
pub fn ask(
    queries: &[Query],
    source: &mut dyn Source,
    target: &mut dyn Source,
    run: &Run,
    now: &dyn Fn() -> Duration,
) -> Result<Vec<QueryReport>> {
    let mut reports = Vec::new();
    for query in queries {
        let time = |store: &mut dyn Source, question: &Expression| -> Result<Result<Duration, String>> {
            let mut times = Vec::new();
            for _ in 0..query.runs {
                run.watch.go_on()?;
                match checks::time(store, question, query.from.as_deref(), run, now) {
                    Ok(it) => times.push(it),
                    Err(it) => return Ok(Err(it.to_string())),
                }
            }
            Ok(Ok(median(times)))
        };
        let source = query.source.as_ref().map(|it| time(&mut *source, it)).transpose()?;
        let target = time(&mut *target, &query.target)?;
        reports.push(judged(query, source, target));
    }
    Ok(reports)
}

fn judged(query: &Query, source: Option<Result<Duration, String>>, target: Result<Duration, String>) -> QueryReport {
    let known = |it: &Result<Duration, String>| it.as_ref().ok().map(Duration::as_secs_f64);
    let (from, to) = (source.as_ref().and_then(known), known(&target));
    let unanswered = |side: &str, it: Option<&Result<Duration, String>>| {
        it.and_then(|it| it.as_ref().err()).map(|why| format!("no answer of the {side}: {why}"))
    };
    let unknown = [unanswered("source", source.as_ref()), unanswered("target", Some(&target))];
    let slow = query.within.filter(|it| to.is_some_and(|to| to > it.as_secs_f64()));
    let slow = slow.map(|it| format!("the target takes longer than {it:?}"));
    let short = query.faster.filter(|factor| from.zip(to).is_some_and(|(from, to)| from < to * factor));
    let short = short.map(|it| format!("the target is not {it} times faster than the source"));
    let failed: Vec<String> = slow.into_iter().chain(short).collect();
    let unknown: Vec<String> = unknown.into_iter().flatten().collect();
    let verdict = match (failed.is_empty(), unknown.is_empty()) {
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Pass,
    };
    QueryReport {
        name: query.name.clone(),
        verdict,
        runs: query.runs,
        source: from,
        target: to,
        faster: query.faster,
        within: query.within,
        reasons: [failed, unknown].concat(),
    }
}

/// The one in the middle, or half way between the two there.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |it: usize| times.get(it).copied().unwrap_or_default();
    let half = times.len() / 2;
    if times.len() % 2 == 1 { at(half) } else { (at(half.saturating_sub(1)) + at(half)) / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::{Feed, Shape},
        schema::{Column, Table},
        value::Type,
    };
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    #[test]
    fn medians() {
        let check = |times: &[u64], expect: u64| {
            let times = times.iter().copied().map(Duration::from_millis).collect();
            assert_eq!(median(times), Duration::from_millis(expect));
        };
        check(&[], 0);
        check(&[3], 3);
        check(&[9, 1, 2], 2);
        check(&[4, 100, 2, 1], 3);
    }

    /// A store with one table, each of whose calls takes a time of its own.
    struct Slow {
        clock: Arc<AtomicU64>,
        sql: bool,
    }

    impl Slow {
        fn take(&self, milliseconds: u64) {
            self.clock.fetch_add(milliseconds, Ordering::Relaxed);
        }
    }

    impl Source for Slow {
        fn tables(&mut self) -> Result<Vec<Table>> {
            self.take(1000);
            Ok(vec![Table { columns: vec![Column::new("id", Type::Int)], ..Table::new("t") }])
        }

        fn scan(&mut self, _: &Table, _: &Arc<Shape>, _: &mut dyn Feed) -> Result<()> {
            self.take(7);
            Ok(())
        }

        fn query(&mut self, _: &str) -> Result<Vec<String>> {
            self.take(5);
            Ok(vec!["1".to_owned()])
        }

        fn speaks_sql(&self) -> bool {
            self.sql
        }
    }

    #[test]
    fn only_the_answer_is_timed() {
        let clock = Arc::new(AtomicU64::new(0));
        let now = || Duration::from_millis(clock.load(Ordering::Relaxed));
        let store = |sql: bool| Slow { clock: Arc::clone(&clock), sql };
        let question = |text: &str| Expression { text: text.to_owned(), ..Expression::default() };
        let query =
            Query { source: Some(question("length")), target: question("SELECT 1"), runs: 3, ..Query::default() };
        let run = Run::new(1 << 20, std::env::temp_dir());
        let reports = ask(&[query], &mut store(false), &mut store(true), &run, &now).unwrap();
        assert_eq!([reports[0].source, reports[0].target], [Some(0.007), Some(0.005)], "{:?}", reports[0].reasons);
    }

    #[test]
    fn limits() {
        let ms = |it: u64| Ok(Duration::from_millis(it));
        let no = || Err("no such table".to_owned());
        let check = |query: Query, source, target, verdict, reasons: &[&str]| {
            let got = judged(&query, source, target);
            let reasons = reasons.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
            assert_eq!((got.verdict, got.reasons), (verdict, reasons));
        };
        let faster = || Query { faster: Some(10.0), ..Query::default() };
        let within = || Query { within: Some(Duration::from_millis(50)), ..Query::default() };
        check(faster(), Some(ms(100)), ms(10), Verdict::Pass, &[]);
        check(faster(), Some(ms(99)), ms(10), Verdict::Fail, &["the target is not 10 times faster than the source"]);
        check(faster(), Some(ms(0)), ms(0), Verdict::Pass, &[]);
        check(within(), None, ms(50), Verdict::Pass, &[]);
        check(within(), None, ms(51), Verdict::Fail, &["the target takes longer than 50ms"]);
        check(within(), Some(no()), ms(1), Verdict::Unknown, &["no answer of the source: no such table"]);
        check(Query::default(), None, no(), Verdict::Unknown, &["no answer of the target: no such table"]);
        let both = Query { faster: Some(2.0), ..within() };
        let reasons = ["the target takes longer than 50ms", "the target is not 2 times faster than the source"];
        check(both, Some(ms(60)), ms(60), Verdict::Fail, &reasons);
    }
}
