//! The gate: a policy turns tallies into a verdict.

use crate::{diff::Tally, plan::Policy};

/// The answer that a pipeline acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was compared and the differences are within the policy.
    Pass,
    /// Differences beyond the policy. A failure outweighs what could not be checked.
    Fail,
    /// Something could not be checked. That is not a pass.
    #[default]
    Unknown,
}

impl Verdict {
    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Unknown => "unknown",
        }
    }

    /// The verdict over both.
    #[must_use]
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
            _ => Verdict::Unknown,
        }
    }
}

/// What a table is judged by, beside its tally.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What could not be checked, a sentence each.
    pub unchecked: Vec<String>,
    /// Columns that only the source has.
    pub source_only: Vec<String>,
    /// Columns that only the target has.
    pub target_only: Vec<String>,
    /// Whether its rows were compared at all.
    pub compared: bool,
    /// Rows that the mapping selected nothing of, where there is a mapping that selects.
    pub selected_nothing: bool,
}

/// A verdict with its reasons, the gravest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not a pass.
    pub reasons: Vec<String>,
}

impl Judgement {
    /// Nothing to complain of.
    pub fn pass() -> Judgement {
        Judgement { verdict: Verdict::Pass, reasons: Vec::new() }
    }

    /// Adds another judgement.
    pub fn and(&mut self, other: Judgement) {
        self.verdict = self.verdict.and(other.verdict);
        self.reasons.extend(other.reasons);
    }
}

/// Judges one table.
pub fn judge(policy: &Policy, table: &str, tally: &Tally, facts: &Facts) -> Judgement {
    let counts = [
        ("missing", tally.missing, &policy.missing),
        ("extra", tally.extra, &policy.extra),
        ("changed", tally.changed, &policy.changed),
        ("duplicates", tally.duplicates(), &policy.duplicates),
        ("orphans", tally.orphans, &policy.orphans),
        ("clashes", tally.clashes, &policy.clashes),
        ("rejects", tally.rejects, &policy.rejects),
        ("invalid", tally.invalid, &policy.invalid),
    ];
    let over = counts.into_iter().filter(|(_, found, limit)| *found > limit.of(table));
    let mut failures: Vec<String> =
        over.map(|(what, found, limit)| format!("{table}: {what} {found} > {}", limit.of(table))).collect();
    failures.extend(unpaired(policy, table, &facts.source_only, "source"));
    failures.extend(unpaired(policy, table, &facts.target_only, "target"));
    let mut unchecked: Vec<String> = facts.unchecked.iter().map(|it| format!("{table}: {it}")).collect();
    if !facts.compared && unchecked.is_empty() {
        unchecked.push(format!("{table}: not compared"));
    }
    let nothing = tally.source_rows == 0 && tally.target_rows == 0;
    if facts.compared && nothing && !policy.allow_empty.contains(table) {
        let what = if facts.selected_nothing { "the source has nothing for it" } else { "no rows on either side" };
        unchecked.push(format!(
            "{table}: {what}; if that is right, say so with allow_empty = [\"{table}\"] under [gate], or --allow-empty {table}"
        ));
    }
    verdict_of(failures, unchecked)
}

/// Judges the run as a whole: tables without a counterpart, what could not be paired, and that
/// there was something to compare.
pub fn judge_run(
    policy: &Policy,
    source_only: &[String],
    target_only: &[String],
    unchecked: &[String],
    compared: usize,
) -> Judgement {
    let allowed = |it: &&String| !policy.unpaired.contains(it);
    let tables = |names: &[String], side: &str| -> Vec<String> {
        names.iter().filter(allowed).map(|it| format!("{it}: only in the {side}")).collect()
    };
    let failures = [tables(source_only, "source"), tables(target_only, "target")].concat();
    let mut unchecked = unchecked.to_vec();
    if compared == 0 {
        unchecked.push("no table was compared".to_owned());
    }
    verdict_of(failures, unchecked)
}

/// Judges the rows of a source table that no table of the plan takes. `prefixed`: a `prefix` selects rows of it, so that each
/// kind of record has to have a table. A `where` says by itself what takes part.
pub fn judge_selection(
    policy: &Policy,
    table: &str,
    prefixed: bool,
    unselected: u64,
    examples: &[String],
) -> Judgement {
    let usual = if prefixed { 0 } else { u64::MAX };
    let limit = policy.unselected.as_ref().map_or(usual, |it| it.of(table));
    let over = (unselected > limit).then(|| {
        let more = if unselected > examples.len() as u64 { ", …" } else { "" };
        let shown = if examples.is_empty() { String::new() } else { format!(" ({}{more})", examples.join(", ")) };
        let hint = "give them a table, or name what their keys begin with under `leave` in [gate]";
        format!("{table}: rows that no table takes: {unselected}{shown}; {hint}")
    });
    verdict_of(over.into_iter().collect(), Vec::new())
}

fn unpaired(policy: &Policy, table: &str, columns: &[String], side: &str) -> Vec<String> {
    let names = columns.iter().map(|it| format!("{table}.{it}"));
    names.filter(|it| !policy.unpaired.contains(it)).map(|it| format!("{it}: only in the {side}")).collect()
}

fn verdict_of(failures: Vec<String>, unchecked: Vec<String>) -> Judgement {
    let verdict = match (failures.is_empty(), unchecked.is_empty()) {
        (true, true) => Verdict::Pass,
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Unknown,
    };
    Judgement { verdict, reasons: [failures, unchecked].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Limit;

    fn check(policy: &Policy, tally: Tally, facts: &Facts, expect: Verdict, reasons: &[&str]) {
        let got = judge(policy, "t", &tally, facts);
        assert_eq!((got.verdict, got.reasons), (expect, reasons.iter().map(|&it| it.to_owned()).collect()));
    }

    #[test]
    fn limits_failures_and_unknowns() {
        let (strict, facts) = (Policy::default(), Facts { compared: true, ..Facts::default() });
        let rows = Tally { source_rows: 9, target_rows: 9, same: 9, ..Tally::default() };
        check(&strict, rows, &facts, Verdict::Pass, &[]);
        check(&strict, Tally { missing: 1, ..rows }, &facts, Verdict::Fail, &["t: missing 1 > 0"]);
        let lenient = Policy { changed: Limit { all: 2, ..Limit::default() }, ..Policy::default() };
        check(&lenient, Tally { changed: 2, ..rows }, &facts, Verdict::Pass, &[]);
        check(&lenient, Tally { changed: 3, ..rows }, &facts, Verdict::Fail, &["t: changed 3 > 2"]);
        let unchecked = Facts { unchecked: vec!["a virtual table".into()], ..Facts::default() };
        check(&strict, Tally::default(), &Facts::default(), Verdict::Unknown, &["t: not compared"]);
        check(&strict, rows, &unchecked, Verdict::Unknown, &["t: a virtual table"]);
        check(
            &strict,
            Tally { extra: 1, ..rows },
            &unchecked,
            Verdict::Fail,
            &["t: extra 1 > 0", "t: a virtual table"],
        );
        let columns = Facts { source_only: vec!["c".into()], compared: true, ..Facts::default() };
        check(&strict, rows, &columns, Verdict::Fail, &["t.c: only in the source"]);
        check(&Policy { unpaired: vec!["t.c".into()], ..Policy::default() }, rows, &columns, Verdict::Pass, &[]);
    }

    #[test]
    fn nothing_is_never_a_pass() {
        let judged = judge(&Policy::default(), "t", &Tally::default(), &Facts { compared: true, ..Facts::default() });
        assert_eq!(judged.verdict, Verdict::Unknown);
        assert!(judged.reasons[0].contains("allow_empty"), "{:?}", judged.reasons);
        let named = Policy { allow_empty: crate::plan::Names::All, ..Policy::default() };
        assert_eq!(
            judge(&named, "t", &Tally::default(), &Facts { compared: true, ..Facts::default() }).verdict,
            Verdict::Pass
        );
        assert_eq!(judge_run(&Policy::default(), &[], &[], &[], 0).verdict, Verdict::Unknown);
        assert_eq!(judge_run(&Policy::default(), &["gone".into()], &[], &[], 1).verdict, Verdict::Fail);
    }

    #[test]
    fn rows_that_no_table_takes() {
        let limited = |all| Policy { unselected: Some(Limit { all, ..Limit::default() }), ..Policy::default() };
        for (policy, prefixed, unselected, expect) in [
            (Policy::default(), true, 0, Verdict::Pass),
            (Policy::default(), true, 1, Verdict::Fail),
            (Policy::default(), false, 1, Verdict::Pass),
            (limited(0), false, 1, Verdict::Fail),
            (limited(1), true, 1, Verdict::Pass),
            (limited(1), true, 2, Verdict::Fail),
        ] {
            let judged = judge_selection(&policy, "kv", prefixed, unselected, &["\"a\"".to_owned()]);
            assert_eq!(judged.verdict, expect, "{prefixed} {unselected}");
            assert_eq!(judged.reasons.is_empty(), expect == Verdict::Pass);
        }
    }

    #[test]
    fn a_failure_outweighs_an_unknown() {
        for (a, b, expect) in [
            (Verdict::Pass, Verdict::Pass, Verdict::Pass),
            (Verdict::Pass, Verdict::Unknown, Verdict::Unknown),
            (Verdict::Unknown, Verdict::Fail, Verdict::Fail),
        ] {
            assert_eq!((a.and(b), b.and(a)), (expect, expect));
        }
    }
}
