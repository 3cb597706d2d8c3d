//! `history`: what was run, and whether the audit trail is whole.

use super::{History, RUN_HEAD, run_cells, run_json, table_cells};
use crate::{
    cli::{args::Format, connection::document_text, exit, inspect::WIDTH, output, usage},
    error::Result,
    report::{escape, layout},
    run::state::{self, Decision, Event, Round, RunRecord, State, TableCounts, chain::Audited},
};
use serde_json::{Value, json};

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-history/1";

/// Rounds of a watch that are listed for people, the last ones.
const ROUNDS: usize = 20;

/// A run, its tables, and what was decided in it.
type Ran = (RunRecord, Vec<TableCounts>, Vec<(Decision, u64)>);

/// What there is to show.
struct Told {
    plan: String,
    runs: Vec<Ran>,
    /// The rounds of `watch`, the first one first.
    rounds: Vec<Round>,
    audited: Option<Audited>,
    events: Option<Vec<Event>>,
    /// Where the journal says something else than the trail.
    contradictions: Vec<String>,
}

pub(super) fn history(args: &History) -> Result<u8> {
    let folder = state::folder_of(&args.plan);
    let state = State::look(&folder)?;
    if state.is_none() && !args.plan.exists() {
        return Err(usage(format_args!("{}: no such file, and no runs beside it", args.plan.display())));
    }
    let told = match &state {
        Some(it) => it.moment(|it| read(args, Some(it)))?,
        None => read(args, None)?,
    };
    let whole = told.audited.as_ref().is_none_or(|it| it.broken.is_none()) && told.contradictions.is_empty();
    let out = match args.format {
        Format::Json => document_text(&told.json())?,
        Format::Text => told.text(args.run.is_some()),
    };
    output::print(out.as_bytes())?;
    Ok(if whole { exit::PASS } else { exit::UNDECIDED })
}

fn read(args: &History, state: Option<&State>) -> Result<Told> {
    let plan = state::plan_name(&args.plan);
    let mut told =
        Told { plan, runs: Vec::new(), rounds: Vec::new(), audited: None, events: None, contradictions: Vec::new() };
    let unknown = |id: &String| usage(format_args!("there is no run `{id}`; `cutover history` lists them"));
    let Some(state) = state else { return args.run.as_ref().map_or(Ok(told), |it| Err(unknown(it))) };
    let wanted = |it: &RunRecord| args.run.as_ref().map_or(it.plan == told.plan, |id| it.id == *id);
    let runs: Vec<RunRecord> = state.runs()?.into_iter().filter(wanted).collect();
    if let Some(id) = args.run.as_ref().filter(|_| runs.is_empty()) {
        return Err(unknown(id));
    }
    for run in runs {
        let (tables, decisions) = (state.tables(&run.id)?, state.decisions(&run.id)?);
        told.runs.push((run, tables, decisions));
    }
    if args.run.is_none() {
        told.rounds = state.rounds(&told.plan)?;
    }
    told.audited = Some(state.audit_verify()?);
    told.contradictions = state.contradictions()?;
    told.events = if args.audit { Some(state.events(args.run.as_deref())?) } else { None };
    Ok(told)
}

impl Told {
    fn json(&self) -> Value {
        let decision = |(it, count): &(Decision, u64)| json!({ "table": it.table, "kind": it.kind, "choice": it.choice, "by": it.by, "rows": count });
        let run = |(run, tables, decisions): &Ran| {
            let mut out = run_json(run, tables);
            out["decisions"] = decisions.iter().map(decision).collect();
            out
        };
        let runs: Vec<Value> = self.runs.iter().map(run).collect();
        let event = |it: &Event| {
            // What somebody wrote into the journal may be no JSON.
            let detail = serde_json::from_str(&it.detail).unwrap_or_else(|_| Value::from(it.detail.as_str()));
            json!({
                "entry": it.entry, "at": it.at, "run": it.run, "event": it.event, "says": it.told(), "detail": detail,
                "hash": it.hash,
            })
        };
        let events = self.events.as_ref().map(|all| all.iter().map(event).collect::<Vec<_>>());
        let audit = self.audited.as_ref().map(|it| {
            let broken = it.broken.as_ref().map(|it| json!({ "entry": it.entry, "why": it.why }));
            let intact = broken.is_none();
            json!({
                "intact": intact, "entries": it.entries, "head": it.head, "broken": broken,
                "contradictions": self.contradictions, "events": events,
            })
        });
        let rounds: Vec<Value> = self.rounds.iter().map(Round::json).collect();
        json!({ "format": FORMAT, "plan": self.plan, "runs": runs, "rounds": rounds, "audit": audit })
    }

    fn text(&self, detailed: bool) -> String {
        let mut out = Vec::new();
        if self.runs.is_empty() {
            out.push(escape::message(&format!("no run of {} is known", self.plan)));
        } else {
            let head = RUN_HEAD.map(str::to_owned).to_vec();
            let rows: Vec<_> = [head].into_iter().chain(self.runs.iter().map(|it| run_cells(&it.0))).collect();
            out.extend(layout::grid(&rows, &[], WIDTH));
        }
        for (run, tables, decisions) in self.runs.iter().filter(|_| detailed) {
            out.push(String::new());
            out.push(escape::message(&format!("began {}: {}", run.started, run.phase.target())));
            let told = [run.continues.as_ref().map(|it| format!("goes on with {it}")), run.advice.clone()];
            out.extend(told.into_iter().flatten().map(|it| escape::message(&it)));
            if !tables.is_empty() {
                out.push(String::new());
                out.extend(layout::grid(&table_cells(tables), &[[false].as_slice(), &[true; 8]].concat(), WIDTH));
            }
            let decided = |(it, count): &(Decision, u64)| {
                let count = layout::count(*count);
                escape::message(&format!("{}: {} × {} for {} ({})", it.table, count, it.choice, it.kind, it.by))
            };
            out.extend(decisions.iter().map(decided));
        }
        out.extend(watched(&self.rounds));
        if let Some(events) = &self.events {
            out.push(String::new());
            let cells = |it: &Event| {
                let run = it.run.clone().unwrap_or_else(|| "-".to_owned());
                vec![it.entry.to_string(), it.at.clone(), run, it.event.clone(), it.told()]
            };
            let head = ["entry", "at", "run", "event", "what"].map(str::to_owned).to_vec();
            let rows: Vec<_> = [head].into_iter().chain(events.iter().map(cells)).collect();
            out.extend(layout::grid(&rows, &[true], WIDTH));
        }
        out.extend(self.audited.as_ref().map(audited));
        out.extend(self.contradictions.iter().map(|it| escape::message(it)));
        out.iter().map(|it| format!("{}\n", it.trim_end())).collect()
    }
}

/// The last rounds of `watch`.
fn watched(rounds: &[Round]) -> Vec<String> {
    let (before, last) = rounds.split_at(rounds.len().saturating_sub(ROUNDS));
    let Some(first) = last.first() else { return Vec::new() };
    let said = match before.len() {
        0 => format!("watched since {}", first.at),
        count => format!("watched, {} rounds before these", layout::count(count as u64)),
    };
    let cells = |it: &Round| vec![it.at.clone(), it.number.to_string(), it.verdict.clone(), it.about()];
    let head = ["at", "round", "verdict", "rows"].map(str::to_owned).to_vec();
    let rows: Vec<_> = [head].into_iter().chain(last.iter().map(cells)).collect();
    let grid = layout::grid(&rows, &[false, true], WIDTH);
    [String::new(), escape::message(&said)].into_iter().chain(grid).collect()
}

/// A sentence about the audit trail.
fn audited(it: &Audited) -> String {
    let entries = if it.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", layout::count(it.entries)) };
    match &it.broken {
        None => format!("\naudit trail: whole, {entries}, head {}", it.head),
        Some(broken) => {
            format!("\naudit trail: BROKEN at entry {}: {}; {entries} before it are whole", broken.entry, broken.why)
        }
    }
}
