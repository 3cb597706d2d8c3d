//! The text face: the verdict and why on the first line, one line for each table, then the differences.

pub use super::contrast::show as cell;
use super::{Canary, Report, TableReport, escape, layout, queries, section};
use crate::{diff::Tally, gate::Verdict};

/// Reasons beyond this many are counted, unless everything is asked for.
const REASONS_MAX: usize = 5;

/// Messages are cut to this many columns, because names and values in them may be of any length.
const MESSAGE_MAX: usize = 600;

/// Narrower terminals are written for as if they were this wide.
const WIDTH_MIN: usize = 40;

/// Wider ones as if they were this wide.
const WIDTH_MAX: usize = 400;

/// How a report is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to write the escape sequences of colours.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Every example, also of differences that are within the gate, and the witnesses.
    pub verbose: bool,
    /// Only the verdict and why.
    pub quiet: bool,
}

/// What a part of a report stands out by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ink {
    Bad,
    Good,
    Doubt,
    Dim,
    Bold,
    Source,
    Target,
    SourceMark,
    TargetMark,
}

impl Default for Style {
    fn default() -> Style {
        Style { colour: false, width: 100, verbose: false, quiet: false }
    }
}

impl Style {
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bad => "1;31",
            Ink::Good => "1;32",
            Ink::Doubt => "1;33",
            Ink::Dim => "2",
            Ink::Bold => "1",
            Ink::Source => "31",
            Ink::Target => "32",
            Ink::SourceMark => "1;4;31",
            Ink::TargetMark => "1;4;32",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Columns that a line may take.
    pub(super) fn columns(self) -> usize {
        self.width.clamp(WIDTH_MIN, WIDTH_MAX)
    }
}

/// Lays out a report.
///
/// Whatever the values are, its only control characters are line feeds, and the sequences of colours if asked for.
///
/// ```
/// use cutover::{gate::Verdict, report::{Report, text::{Style, text}}};
///
/// let reasons = vec!["bio_links: 1 row missing in the target (limit 0)".to_owned()];
/// let report = Report { verdict: Verdict::Fail, reasons, ..Report::default() };
/// let style = Style { quiet: true, ..Style::default() };
/// assert_eq!(text(&report, style), "FAIL     bio_links: 1 row missing in the target (limit 0)\n");
/// ```
pub fn text(report: &Report, style: Style) -> String {
    let mut lines = verdict(report, style);
    if !style.quiet {
        lines.extend(stores(report, style));
        lines.extend(tables(report, style));
        lines.extend(canaries(report, style));
        for table in &report.tables {
            lines.extend(section::differences(table, style));
        }
        lines.extend(titled("Looked at again", looks(report), style));
        lines.extend(unpaired(report, style));
        lines.extend(checks(report, style));
        lines.extend(queries(report, style));
        lines.extend(titled("Equal only by a tolerance of the plan", tolerances(report), style));
        lines.extend(titled("Notes", notes(report, style), style));
        if let Some(next) = &report.next {
            lines.push(String::new());
            lines.push(format!("{} {}", style.paint(Ink::Bold, "Next:"), message(next)));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Text that somebody else wrote, on one line.
pub(super) fn message(text: &str) -> String {
    layout::cut(&escape::message(&layout::cut(text, MESSAGE_MAX)), MESSAGE_MAX)
}

/// `1 row`, `2 rows`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", layout::count(count), if count == 1 { "" } else { "s" })
}

fn verdict(report: &Report, style: Style) -> Vec<String> {
    let word = format!("{:<9}", word(report.verdict));
    let mut reasons: Vec<_> = report.reasons.iter().map(|it| message(it)).collect();
    if reasons.is_empty() {
        reasons.push(summary(report));
    }
    if !style.verbose && reasons.len() > REASONS_MAX + 1 {
        let more = reasons.split_off(REASONS_MAX).len();
        reasons.push(format!("and {more} more"));
    }
    let blank = " ".repeat(word.len());
    let lines = reasons.iter().enumerate();
    lines
        .map(|(place, it)| match place {
            0 => format!("{}{it}", style.paint(ink(report.verdict), &word)),
            _ => format!("{blank}{it}"),
        })
        .collect()
}

fn summary(report: &Report) -> String {
    let (tally, tables) = (&report.totals, report.tables.len() as u64);
    let compared = format!("{}, {} compared", counted(tables, "table"), counted(tally.source_rows, "source row"));
    let kinds = kinds(tally);
    let different: Vec<_> =
        kinds.iter().filter(|it| it.1 > 0).map(|(name, count)| format!("{} {name}", layout::count(*count))).collect();
    match (report.verdict, different.is_empty()) {
        (Verdict::Pass, true) => format!("{compared}, all the same in the target"),
        (Verdict::Pass, false) => format!("{compared}, within the gate: {}", different.join(", ")),
        _ => compared,
    }
}

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Unknown => "UNKNOWN",
    }
}

fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Pass => Ink::Good,
        Verdict::Fail => Ink::Bad,
        Verdict::Unknown => Ink::Doubt,
    }
}

fn stores(report: &Report, style: Style) -> Vec<String> {
    let name = |kind: &str, name: &str| message(format!("{kind} {name}").trim());
    let (source, target) = (&report.source, &report.target);
    let mut line = format!("{} → {}", name(&source.kind, &source.name), name(&target.kind, &target.name));
    if let Some(plan) = &report.plan {
        let hash: String = plan.hash.chars().take(12).collect();
        line.push_str(&style.paint(Ink::Dim, &format!("  by {} ({})", message(&plan.path), message(&hash))));
    }
    vec![String::new(), line, String::new()]
}

/// The counts of what is not the same, in the order in which a report shows them.
fn kinds(tally: &Tally) -> [(&'static str, u64); 9] {
    [
        ("changed", tally.changed),
        ("missing", tally.missing),
        ("extra", tally.extra),
        ("duplicates", tally.duplicates()),
        ("orphans", tally.orphans),
        ("clashes", tally.clashes),
        ("rejects", tally.rejects),
        ("invalid", tally.invalid),
        ("accepted", tally.accepted),
    ]
}

fn tables(report: &Report, style: Style) -> Vec<String> {
    let most = style.columns() / 2;
    let used = kinds(&report.totals).map(|it| it.1 > 0);
    let used = report.tables.iter().fold(used, |used, table| {
        let own = kinds(&table.tally).map(|it| it.1 > 0);
        std::array::from_fn(|at| used[at] || own[at])
    });
    let row = |word: &str, name: &str, tally: &Tally| {
        let all = [tally.source_rows, tally.target_rows, tally.same].into_iter();
        let some = kinds(tally).into_iter().zip(used).filter(|it| it.1).map(|it| it.0.1);
        let some = some.map(|it| if it == 0 { "-".to_owned() } else { layout::count(it) });
        let head = [word.to_owned(), layout::cut(&message(name), most)].into_iter();
        head.chain(all.map(layout::count)).chain(some).collect::<Vec<_>>()
    };
    let names = kinds(&report.totals).into_iter().zip(used).filter(|it| it.1).map(|it| it.0.0);
    let heading = ["       ", "table", "source", "target", "same"].into_iter().chain(names);
    let mut rows = vec![heading.map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(report.tables.iter().map(|it| row(word(it.verdict), &title(it), &it.tally)));
    if report.tables.len() > 1 {
        rows.push(row("", "total", &report.totals));
    }
    let mut lines = layout::aligned(&rows, &[[false, false].as_slice(), &[true; 12]].concat());
    for (line, verdict) in lines.iter_mut().skip(1).zip(report.tables.iter().map(|it| it.verdict)) {
        *line = line.replacen(word(verdict), &style.paint(ink(verdict), word(verdict)), 1);
    }
    for line in lines.iter_mut().take(1) {
        *line = style.paint(Ink::Dim, line);
    }
    lines
}

/// What the planted differences say about the comparison itself.
fn canaries(report: &Report, style: Style) -> Vec<String> {
    let line = |table: &TableReport| {
        let name = message(&table.name);
        match &table.canary {
            Canary::Missed(what) => {
                let what = format!("{name}: a planted difference was not found: {}", message(what));
                Some(style.paint(Ink::Bad, &what))
            }
            Canary::Absent => {
                let what = format!("{name}: no difference was planted, so nothing proves the comparison");
                Some(style.paint(Ink::Doubt, &what))
            }
            Canary::Caught => style.verbose.then(|| format!("{name}: every planted difference was found")),
        }
    };
    let lines: Vec<_> = report.tables.iter().filter_map(line).collect();
    if lines.is_empty() { lines } else { [String::new()].into_iter().chain(lines).collect() }
}

/// A table's name, and the source's name for it if that is another one.
pub(super) fn title(table: &TableReport) -> String {
    if table.source_name.is_empty() || table.source_name == table.name {
        return table.name.clone();
    }
    format!("{} (from {})", table.name, table.source_name)
}

/// Lines under a heading, or nothing.
fn titled(heading: &str, lines: Vec<String>, style: Style) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    let head = [String::new(), style.paint(Ink::Bold, heading)].into_iter();
    head.chain(lines.into_iter().map(|it| format!("  {it}"))).collect()
}

fn unpaired(report: &Report, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for (side, names) in [("source", &report.source_only), ("target", &report.target_only)] {
        lines.extend(names.iter().map(|it| format!("only in the {side}: {}", message(it))));
    }
    titled("On one side only", lines, style)
}

fn checks(report: &Report, style: Style) -> Vec<String> {
    if report.checks.is_empty() {
        return Vec::new();
    }
    let heading = ["       ", "check", "source", "target"].map(str::to_owned).to_vec();
    let row = |it: &super::CheckReport| {
        vec![word(it.verdict).to_owned(), it.name.clone(), it.source.clone(), it.target.clone()]
    };
    let rows: Vec<_> = [heading].into_iter().chain(report.checks.iter().map(row)).collect();
    let mut lines = layout::grid(&rows, &[], style.columns() - 2);
    for (line, it) in lines.iter_mut().skip(1).zip(&report.checks) {
        *line = line.replacen(word(it.verdict), &style.paint(ink(it.verdict), word(it.verdict)), 1);
    }
    titled("Checks", lines, style)
}

fn queries(report: &Report, style: Style) -> Vec<String> {
    if report.queries.is_empty() {
        return Vec::new();
    }
    titled("Query timings", queries::grid(&report.queries, style.columns() - 2), style)
}

/// What became of the rows that differed at first.
fn looks(report: &Report) -> Vec<String> {
    let line = |table: &TableReport| {
        let it = table.recheck?;
        let some = [(it.converged, "the same now"), (it.still, "still different"), (it.changed_again, "changed again")];
        let some = some.into_iter().filter(|it| it.0 > 0).map(|(rows, what)| format!("{} {what}", layout::count(rows)));
        let some = some.collect::<Vec<_>>().join(", ");
        let (rows, looks) = (counted(it.keys, "row"), counted(it.rounds, "more look"));
        Some(format!("{}: {rows} differed at first; after {looks}: {some}", message(&table.name)))
    };
    report.tables.iter().filter_map(line).collect()
}

fn tolerances(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for table in &report.tables {
        for column in &table.columns {
            let Some(it) = &column.coarsened else { continue };
            let name = message(&format!("{}.{}", table.name, column.name));
            let because = if it.because.is_empty() { "no reason given" } else { &it.because };
            let (rule, because) = (message(&it.rule), message(because));
            lines.push(format!("{name}: {rule} (because {because}): {}", counted(it.rows, "row")));
        }
    }
    lines
}

fn notes(report: &Report, style: Style) -> Vec<String> {
    let mut lines: Vec<_> = report.notes.iter().map(|it| message(it)).collect();
    for table in &report.tables {
        let name = message(&table.name);
        lines.extend(table.notes.iter().map(|it| format!("{name}: {}", message(it))));
        if style.verbose && !table.witnesses.is_empty() {
            lines.push(format!("{name}: witnesses {}", message(&table.witnesses.join(", "))));
        }
    }
    lines
}
