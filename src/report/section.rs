//! The differences of one table, by kind, and changed cells by column.

use std::collections::BTreeMap;

use super::{
    Cell, Difference, Finding, FindingKind, Side, TableReport,
    contrast::{self, Segment},
    layout,
    text::{Ink, Style, message, title},
};
use crate::gate::Verdict;

/// Examples in one group, unless everything is asked for.
const EXAMPLES_MAX: usize = 10;

/// Changed columns beyond this many show only how often, as in a table of which every column changed.
const COLUMNS_MAX: usize = 20;

/// A wider key stands on a line of its own, above the values.
const KEY_MAX: usize = 48;

const KINDS: [(FindingKind, &str); 7] = [
    (FindingKind::Missing, "missing in the target"),
    (FindingKind::Extra, "extra in the target"),
    (FindingKind::Duplicate, "more than once under one key"),
    (FindingKind::Orphan, "referring to a row that is not there"),
    (FindingKind::Clash, "more than once under one unique value"),
    (FindingKind::Reject, "refused by the mapping"),
    (FindingKind::Invalid, "not of the declared type"),
];

/// The lines of a table, nothing if it is as it should be.
pub(super) fn differences(table: &TableReport, style: Style) -> Vec<String> {
    let groups = groups(table);
    if groups.is_empty() {
        return Vec::new();
    }
    let name = message(&title(table));
    if table.verdict == Verdict::Pass && !style.verbose {
        let note = format!("{name}: differences within the gate, --verbose shows them");
        return vec![String::new(), style.paint(Ink::Dim, &note)];
    }
    let mut about = match table.key.join(", ") {
        key if key.is_empty() => "no key: whole rows compared".to_owned(),
        key => format!("key {}", message(&key)),
    };
    if groups.iter().any(|it| it.column.is_some()) {
        about.push_str(", - source + target");
    }
    let heading = format!("{}  {}", style.paint(Ink::Bold, &name), style.paint(Ink::Dim, &about));
    let mut lines = vec![String::new(), heading];
    let mut columns = 0;
    for group in &groups {
        columns += usize::from(group.column.is_some());
        lines.push(format!("  {}", style.paint(Ink::Bold, &group.heading)));
        if style.verbose || group.column.is_none() || columns <= COLUMNS_MAX {
            lines.extend(examples(table, group, style).into_iter().map(|it| format!("    {it}")));
        }
    }
    lines
}

/// Findings that are shown together.
struct Group<'a> {
    heading: String,
    /// How many there are, shown or not.
    count: u64,
    findings: Vec<&'a Finding>,
    /// The column of changed cells.
    column: Option<&'a str>,
    kind: FindingKind,
}

fn groups(table: &TableReport) -> Vec<Group<'_>> {
    let tally = &table.tally;
    let mut groups = Vec::new();
    for (kind, words) in KINDS {
        let findings: Vec<_> = table.findings.iter().filter(|it| it.kind == kind).collect();
        let count = match kind {
            FindingKind::Missing => tally.missing,
            FindingKind::Extra => tally.extra,
            FindingKind::Changed => tally.changed,
            FindingKind::Duplicate => tally.duplicates(),
            FindingKind::Orphan => tally.orphans,
            FindingKind::Clash => tally.clashes,
            FindingKind::Reject => tally.rejects,
            FindingKind::Invalid => tally.invalid,
        };
        let count = count.max(findings.len() as u64);
        if count > 0 {
            let heading = format!("{} {words}", layout::count(count));
            groups.push(Group { heading, count, findings, column: None, kind });
        }
        if kind == FindingKind::Extra {
            groups.extend(changed(table));
        }
    }
    groups
}

fn changed(table: &TableReport) -> Vec<Group<'_>> {
    let mut by_column: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in table.findings.iter().filter(|it| it.kind == FindingKind::Changed) {
        for cell in &finding.cells {
            by_column.entry(&cell.column).or_default().push(finding);
        }
    }
    let group = |column, count: u64, findings: Vec<_>| {
        let count = count.max(findings.len() as u64);
        let heading = format!("{}: {} changed", message(column), layout::count(count));
        Group { heading, count, findings, column: Some(column), kind: FindingKind::Changed }
    };
    let known =
        table.columns.iter().map(|it| group(&it.name, it.changed, by_column.remove(&*it.name).unwrap_or_default()));
    let mut groups: Vec<_> = known.filter(|it| it.count > 0).collect();
    groups.extend(by_column.into_iter().map(|(column, findings)| group(column, 0, findings)));
    groups
}

fn examples(table: &TableReport, group: &Group<'_>, style: Style) -> Vec<String> {
    let shown = if style.verbose { usize::MAX } else { EXAMPLES_MAX }.min(group.findings.len());
    let findings = &group.findings[..shown];
    let most = style.columns() - 4;
    let mut lines = match (group.column, group.kind) {
        (Some(column), _) => {
            let keys: Vec<_> = findings.iter().map(|it| layout::cut(&names(&it.key), most)).collect();
            let wide = keys.iter().map(|it| layout::width(it)).filter(|it| *it <= KEY_MAX).max().unwrap_or(0);
            let cells = findings.iter().filter_map(|it| it.cells.iter().find(|it| it.column == column));
            keys.iter().zip(cells).flat_map(|(key, cell)| changed_cell(key, wide, cell, most, style)).collect()
        }
        (None, FindingKind::Missing | FindingKind::Extra) => rows(findings, most, style),
        (None, kind) => findings.iter().map(|it| layout::cut(&sentence(kind, it), most)).collect(),
    };
    let more = group.count.saturating_sub(shown as u64);
    if more > 0 {
        let more = format!("… and {} more{}", layout::count(more), place(table, group, shown));
        lines.push(style.paint(Ink::Dim, &more));
    }
    lines
}

/// Where to find what is not shown.
fn place(table: &TableReport, group: &Group<'_>, shown: usize) -> String {
    match &table.findings_file {
        Some(file) => format!(" in {}", message(file)),
        None if group.findings.len() > shown => ", --verbose shows more, --output DIR writes all".to_owned(),
        None => ", --output DIR writes all".to_owned(),
    }
}

/// `id=7  name=x`.
fn names(key: &[(String, Cell)]) -> String {
    let one = |(name, cell): &(String, Cell)| format!("{}={}", message(name), contrast::show(cell));
    key.iter().map(one).collect::<Vec<_>>().join("  ")
}

/// Whole rows as a table: the key, then as many columns as there is room for.
fn rows(findings: &[&Finding], most: usize, style: Style) -> Vec<String> {
    let Some(first) = findings.first() else { return Vec::new() };
    let present = |it: &Difference| it.source.as_ref().or(it.target.as_ref()).map(contrast::show).unwrap_or_default();
    let heading = first.key.iter().map(|it| &it.0).chain(first.cells.iter().map(|it| &it.column));
    let heading = heading.map(|it| message(it)).collect::<Vec<_>>();
    let row = |it: &&Finding| -> Vec<String> {
        it.key.iter().map(|it| contrast::show(&it.1)).chain(it.cells.iter().map(present)).collect()
    };
    let rows: Vec<_> = [heading].into_iter().chain(findings.iter().map(row)).collect();
    let mut lines = layout::grid(&rows, &[], most);
    for line in lines.iter_mut().take(1) {
        *line = style.paint(Ink::Dim, line);
    }
    lines
}

/// A finding that is not about two cells: where, which row, what of it, and why.
fn sentence(kind: FindingKind, finding: &Finding) -> String {
    let side = finding.side.map(|it| match it {
        Side::Source => "source",
        Side::Target => "target",
    });
    let cells = finding.cells.iter().filter_map(|it| {
        let cell = it.source.as_ref().or(it.target.as_ref())?;
        Some(format!("{}={}", message(&it.column), contrast::show(cell)))
    });
    let detail = finding.detail.as_ref().map(|it| match kind {
        FindingKind::Orphan => format!("refers to {}", message(it)),
        FindingKind::Clash => format!("unique on {}", message(it)),
        _ => message(it),
    });
    let parts = side.map(str::to_owned).into_iter().chain([names(&finding.key)]).chain(cells).chain(detail);
    parts.filter(|it| !it.is_empty()).collect::<Vec<_>>().join("  ")
}

/// One line if both values are short and nothing in them has to be pointed at, else a line for each.
fn changed_cell(key: &str, wide: usize, cell: &Difference, most: usize, style: Style) -> Vec<String> {
    let shown = |it: &Option<Cell>| it.as_ref().map_or_else(|| "no such cell".to_owned(), contrast::show);
    let (left, right) = (shown(&cell.source), shown(&cell.target));
    let unseen =
        cell.source.as_ref().zip(cell.target.as_ref()).and_then(|(source, target)| contrast::unseen(source, target));
    let whole = contrast::segments(&left, &right, usize::MAX);
    let texts = |it: &Option<Cell>| it.as_ref().is_some_and(|it| matches!(it.class, "text" | "json"));
    let marks = texts(&cell.source) && texts(&cell.target) && has_both(&whole.0) | has_both(&whole.1);
    let note = unseen.map(|it| format!("({it})"));
    let values = [&left, &right].map(|it| layout::width(it)).iter().sum::<usize>();
    let line = wide + 2 + values + 3 + note.as_ref().map_or(0, |it| 2 + layout::width(it));
    if !marks && layout::width(key) <= wide && line <= most {
        let values = [(&whole.0, Ink::Source, Ink::SourceMark), (&whole.1, Ink::Target, Ink::TargetMark)];
        let [left, right] = values.map(|(side, ink, mark)| painted(side, ink, mark, style));
        let note = note.map(|it| format!("  {}", style.paint(Ink::Dim, &it))).unwrap_or_default();
        return vec![format!("{}  {left} → {right}{note}", layout::pad(key, wide, false))];
    }
    let (source, target) = contrast::segments(&left, &right, most - 4);
    let mut lines = vec![key.to_owned()];
    for (sign, side, ink, mark) in
        [("-", &source, Ink::Source, Ink::SourceMark), ("+", &target, Ink::Target, Ink::TargetMark)]
    {
        lines.push(format!("  {} {}", style.paint(ink, sign), painted(side, ink, mark, style)));
        lines.extend((!style.colour).then(|| carets(side)).flatten().map(|it| format!("    {it}")));
    }
    lines.extend(note.map(|it| format!("    {}", style.paint(Ink::Dim, &layout::cut(&it, most - 4)))));
    lines
}

fn has_both(segments: &[Segment]) -> bool {
    segments.iter().any(|it| it.changed) && segments.iter().any(|it| !it.changed)
}

fn painted(segments: &[Segment], ink: Ink, mark: Ink, style: Style) -> String {
    segments.iter().map(|it| style.paint(if it.changed { mark } else { ink }, &it.text)).collect()
}

/// Carets below what changed, unless that is all of it or nothing.
fn carets(segments: &[Segment]) -> Option<String> {
    if !has_both(segments) {
        return None;
    }
    let below = |it: &Segment| if it.changed { "^" } else { " " }.repeat(layout::width(&it.text));
    Some(segments.iter().map(below).collect::<String>().trim_end().to_owned())
}
