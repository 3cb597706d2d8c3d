//! `docs/seed-coverage.md`: every number of what the five guides ask for stands there once, and every test that it names is one.

#![cfg(test)]

use std::{collections::BTreeMap, fs, ops::RangeInclusive, path::Path};

/// The numbers of each guide.
const NUMBERS: [(&str, &[RangeInclusive<u32>]); 5] =
    [("S0", &[1..=55]), ("S1", &[1..=53, 66..=73]), ("S2", &[1..=40]), ("S3", &[1..=58, 61..=93]), ("S4", &[1..=60])];

/// What stands in place of a test: where a guide is deliberately not followed, and where a figure is measured and not tested.
const UNTESTED: [&str; 2] = ["*otherwise*", "*measured*"];

#[test]
fn every_number_stands_there_once() {
    assert_eq!(numbers(&page()), Vec::<String>::new());
}

#[test]
fn every_test_that_is_named_is_a_test() {
    assert_eq!(tests(&page()), Vec::<String>::new());
}

fn page() -> String {
    fs::read_to_string("docs/seed-coverage.md").expect("docs/seed-coverage.md")
}

/// The rows of the tables: their cells.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = page.lines().filter(|it| it.starts_with("| S"));
    rows.map(|it| it.trim_matches('|').split(" | ").map(str::trim).collect())
}

/// What is wrong with the numbers of a page.
fn numbers(page: &str) -> Vec<String> {
    let of = |(guide, ranges): (&'static str, &'static [RangeInclusive<u32>])| {
        ranges.iter().cloned().flatten().map(move |it| (format!("{guide}-{it:02}"), 0))
    };
    let mut seen: BTreeMap<String, usize> = NUMBERS.into_iter().flat_map(of).collect();
    let mut wrong = Vec::new();
    for number in rows(page).flat_map(|it| it[0].split(' ').map(str::to_owned).collect::<Vec<_>>()) {
        match seen.get_mut(&number) {
            Some(it) => *it += 1,
            None => wrong.push(format!("{number} is no number")),
        }
    }
    wrong.extend(
        seen.iter().filter(|it| *it.1 != 1).map(|(number, times)| format!("{number} stands there {times} times")),
    );
    wrong
}

/// What is wrong with the tests that a page names.
fn tests(page: &str) -> Vec<String> {
    let named = |named: &str| {
        let (path, name) = named.trim_matches('`').split_once("::")?;
        let text = fs::read_to_string(Path::new(path)).ok()?;
        is_test(&text, name).then_some(())
    };
    let wrong = |cells: Vec<&str>| match cells.get(3).copied() {
        None | Some("") => Some(format!("{}: no test is named", cells[0])),
        Some(it) if UNTESTED.contains(&it) => None,
        Some(it) => named(it).is_none().then(|| format!("{}: {it} is no test", cells[0])),
    };
    rows(page).filter_map(wrong).collect()
}

/// Whether a file has a test of that name: a function with `#[test]` among what stands right before it.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let begins = format!("fn {name}(");
    let at = lines.iter().position(|it| it.starts_with(&begins));
    let before = at.map_or(&[][..], |at| &lines[..at]).iter().rev();
    before.take_while(|it| it.starts_with("#[") || it.starts_with("//")).any(|it| *it == "#[test]")
}

#[test]
fn what_is_wrong_is_seen() {
    let page = page();
    let row = |text: &str| page.clone() + text + "\n";
    assert_eq!(numbers(&row("| S0-01 | a | b | c |")), ["S0-01 stands there 2 times"]);
    assert_eq!(numbers(&row("| S0-99 | a | b | c |")), ["S0-99 is no number"]);
    assert_eq!(numbers(&page.replacen("| S2-40 |", "| |", 1)), ["S2-40 stands there 0 times"]);
    for (text, expect) in [
        ("| S0-01 | a | b | |", 1),
        ("| S0-01 | a | b | `tests/coverage.rs::nobody` |", 1),
        ("| S0-01 | a | b | `tests/nowhere.rs::what_is_wrong_is_seen` |", 1),
        ("| S0-01 | a | b | `tests/coverage.rs::what_is_wrong_is_seen` |", 0),
        ("| S0-01 | a | b | `tests/coverage.rs::tests` |", 1),
        ("| S0-01 | a | b | *otherwise* |", 0),
        ("| S0-01 | a | b | *measured* |", 0),
        ("| S0-01 | a | b | *somehow* |", 1),
    ] {
        assert_eq!(tests(text).len(), expect, "{text}");
    }
}
