//! The JSON face, `cutover-report/1`: the input of every other reader.
//!
//! A finding, a column and a patch stand on one line each, the same line as in `findings/*.ndjson`.

use std::io::{self, Write};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    Canary, Cell, CheckReport, ColumnReport, Difference, Finding, Recheck, Report, Seen, StoreName, TableReport,
    escape, patch, queries, timing,
};
use crate::diff::Tally;

/// The name and version of the format.
pub const FORMAT: &str = "cutover-report/1";

/// Writes a report.
///
/// # Errors
/// What `out` refuses.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    line(&serde_json::to_string_pretty(&View::of(report)?)?, out)
}

/// Writes one finding on one line, as the files of all findings have them.
///
/// # Errors
/// What `out` refuses.
pub fn finding_line(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    line(&serde_json::to_string(&FindingView::of(finding))?, out)
}

fn line(json: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::with_capacity(json.len() + 1);
    escape::json(json, &mut text);
    text.push('\n');
    out.write_all(text.as_bytes())
}

#[derive(Serialize)]
struct View<'a> {
    format: &'static str,
    verdict: &'static str,
    reasons: &'a [String],
    plan: Option<PlanView<'a>>,
    source: StoreView<'a>,
    target: StoreView<'a>,
    totals: Counts,
    tables: Vec<TableView<'a>>,
    unpaired: Unpaired<'a>,
    checks: Vec<CheckView<'a>>,
    notes: &'a [String],
    next: Option<&'a str>,
    timing: Box<RawValue>,
}

#[derive(Serialize)]
struct PlanView<'a> {
    path: &'a str,
    hash: &'a str,
}

#[derive(Serialize)]
struct StoreView<'a> {
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Counts {
    source_rows: u64,
    target_rows: u64,
    same: u64,
    changed: u64,
    missing: u64,
    extra: u64,
    duplicates: u64,
    orphans: u64,
    clashes: u64,
    rejects: u64,
    invalid: u64,
    accepted: u64,
}

#[derive(Serialize)]
struct TableView<'a> {
    name: &'a str,
    source_name: &'a str,
    verdict: &'static str,
    reasons: &'a [String],
    key: &'a [String],
    #[serde(flatten)]
    counts: Counts,
    columns: Members<'a, Box<RawValue>>,
    findings: Vec<Box<RawValue>>,
    findings_truncated: bool,
    findings_file: Option<&'a str>,
    witnesses: &'a [String],
    canary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recheck: Option<RecheckView>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct ColumnView<'a> {
    r#type: &'static str,
    changed: u64,
    coarsened: Option<CoarsenedView<'a>>,
}

#[derive(Serialize)]
struct CoarsenedView<'a> {
    rule: &'a str,
    because: &'a str,
    rows: u64,
}

#[derive(Serialize)]
struct FindingView<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<&'static str>,
    key: Members<'a, Box<RawValue>>,
    cells: Members<'a, CellView>,
    patch: Vec<patch::Operation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<&'static str>,
}

#[derive(Serialize)]
struct RecheckView {
    rounds: u64,
    keys: u64,
    converged: u64,
    still: u64,
    changed_again: u64,
}

/// A side that has no such row has no member here, which is not the same as `null`.
#[derive(Serialize)]
struct CellView {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Box<RawValue>>,
    /// The classes, where values of two classes read the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<[&'static str; 2]>,
}

#[derive(Serialize)]
struct Unpaired<'a> {
    source: &'a [String],
    target: &'a [String],
}

#[derive(Serialize)]
struct CheckView<'a> {
    name: &'a str,
    verdict: &'static str,
    source: Box<RawValue>,
    target: Box<RawValue>,
}

/// An object whose members keep their order.
struct Members<'a, T>(Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Members<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'a> View<'a> {
    fn of(it: &'a Report) -> io::Result<View<'a>> {
        Ok(View {
            format: FORMAT,
            verdict: it.verdict.name(),
            reasons: &it.reasons,
            plan: it.plan.as_ref().map(|it| PlanView { path: &it.path, hash: &it.hash }),
            source: StoreView::of(&it.source),
            target: StoreView::of(&it.target),
            totals: Counts::of(&it.totals),
            tables: it.tables.iter().map(TableView::of).collect::<io::Result<_>>()?,
            unpaired: Unpaired { source: &it.source_only, target: &it.target_only },
            checks: it.checks.iter().map(CheckView::of).collect(),
            notes: &it.notes,
            next: it.next.as_deref(),
            timing: one_line(&queries::within(timing::json(&it.timing), &it.queries))?,
        })
    }
}

impl<'a> StoreView<'a> {
    fn of(it: &'a StoreName) -> StoreView<'a> {
        StoreView { kind: &it.kind, name: &it.name }
    }
}

impl Counts {
    fn of(it: &Tally) -> Counts {
        Counts {
            source_rows: it.source_rows,
            target_rows: it.target_rows,
            same: it.same,
            changed: it.changed,
            missing: it.missing,
            extra: it.extra,
            duplicates: it.duplicates(),
            orphans: it.orphans,
            clashes: it.clashes,
            rejects: it.rejects,
            invalid: it.invalid,
            accepted: it.accepted,
        }
    }
}

impl<'a> TableView<'a> {
    fn of(it: &'a TableReport) -> io::Result<TableView<'a>> {
        let column = |it: &'a ColumnReport| Ok((it.name.as_str(), one_line(&ColumnView::of(it))?));
        Ok(TableView {
            name: &it.name,
            source_name: &it.source_name,
            verdict: it.verdict.name(),
            reasons: &it.reasons,
            key: &it.key,
            counts: Counts::of(&it.tally),
            columns: Members(it.columns.iter().map(column).collect::<io::Result<_>>()?),
            findings: it.findings.iter().map(|it| one_line(&FindingView::of(it))).collect::<io::Result<_>>()?,
            findings_truncated: it.findings_truncated,
            findings_file: it.findings_file.as_deref(),
            witnesses: &it.witnesses,
            canary: match &it.canary {
                Canary::Caught => "caught".to_owned(),
                Canary::Missed(what) => format!("missed: {what}"),
                Canary::Absent => "absent".to_owned(),
            },
            recheck: it.recheck.as_ref().map(RecheckView::of),
            notes: &it.notes,
        })
    }
}

impl RecheckView {
    fn of(it: &Recheck) -> RecheckView {
        let &Recheck { rounds, keys, converged, still, changed_again } = it;
        RecheckView { rounds, keys, converged, still, changed_again }
    }
}

impl<'a> ColumnView<'a> {
    fn of(it: &'a ColumnReport) -> ColumnView<'a> {
        let coarsened = it.coarsened.as_ref();
        ColumnView {
            r#type: it.ty,
            changed: it.changed,
            coarsened: coarsened.map(|it| CoarsenedView { rule: &it.rule, because: &it.because, rows: it.rows }),
        }
    }
}

impl<'a> FindingView<'a> {
    fn of(it: &'a Finding) -> FindingView<'a> {
        FindingView {
            kind: it.kind.name(),
            side: it.side.map(|it| it.name()),
            key: Members(it.key.iter().map(|(name, cell)| (name.as_str(), raw(&cell.json))).collect()),
            cells: Members(it.cells.iter().map(|it| (it.column.as_str(), CellView::of(it))).collect()),
            patch: patch::patch(it),
            detail: it.detail.as_deref(),
            seen: it.seen.map(Seen::name),
        }
    }
}

impl CellView {
    fn of(it: &Difference) -> CellView {
        let json = |it: &Option<Cell>| it.as_ref().map(|it| raw(&it.json));
        let classes = match (&it.source, &it.target) {
            (Some(source), Some(target)) if source.json == target.json && source.class != target.class => {
                Some([source.class, target.class])
            }
            _ => None,
        };
        CellView { source: json(&it.source), target: json(&it.target), classes }
    }
}

impl<'a> CheckView<'a> {
    fn of(it: &'a CheckReport) -> CheckView<'a> {
        let (source, target) = (raw(&it.source), raw(&it.target));
        CheckView { name: &it.name, verdict: it.verdict.name(), source, target }
    }
}

/// JSON text as it is, so that no number is read and written anew; what is no JSON text as a string.
fn raw(json: &str) -> Box<RawValue> {
    let string = |text: &str| RawValue::from_string(serde_json::Value::from(text).to_string());
    RawValue::from_string(json.to_owned()).or_else(|_| string(json)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn one_line(it: &impl Serialize) -> io::Result<Box<RawValue>> {
    Ok(serde_json::value::to_raw_value(it)?)
}
