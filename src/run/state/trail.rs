//! What the audit trail says for people, and whether the rest of the journal says the same.

use super::{Event, Round, RunRecord, State};
use crate::error::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Event {
    /// What happened, in one sentence.
    pub fn told(&self) -> String {
        serde_json::from_str(&self.detail)
            .ok()
            .and_then(|it| told(&self.event, &it))
            .unwrap_or_else(|| self.detail.clone())
    }
}

/// The sentence for an event that this version knows, if its detail is what this version writes.
fn told(event: &str, detail: &Value) -> Option<String> {
    let text = |name: &str| detail.get(name).and_then(Value::as_str);
    let count = |name: &str| detail.get(name).and_then(Value::as_u64);
    let by = text("by").map(|it| format!("by {it}: ")).unwrap_or_default();
    Some(match event {
        "begin" => {
            let hash: String = text("hash")?.chars().take(12).collect();
            let goes_on = text("continues").map(|it| format!(", goes on with {it}")).unwrap_or_default();
            format!("{by}{} ({hash}) into {}{goes_on}", text("plan")?, text("target")?)
        }
        "phase" => format!("{} → {}", text("from")?, text("to")?),
        "decide" => format!("{} rows decided about", count("decisions")?),
        "write" => format!(
            "{}: {} inserted, {} updated, {} deleted, {} refused, {} batches",
            text("table")?,
            count("inserted")?,
            count("updated")?,
            count("deleted")?,
            count("failed")?,
            count("batches")?
        ),
        "undo" => format!(
            "{}: {} put back, {} removed, {} left as others changed them{}",
            text("table")?,
            count("restored")?,
            count("removed")?,
            count("left")?,
            held(detail)
        ),
        "rollback" => format!("{by}taken back, but for {} rows that others changed{}", count("left")?, held(detail)),
        "hook" => match text("error") {
            Some(it) => format!("{} failed: {it}", text("hook")?),
            None => format!("{} was called", text("hook")?),
        },
        "round" => {
            let round = Round::of(detail)?;
            format!("round {} of {}: {}; {}", round.number, text("plan")?, round.verdict, round.about())
        }
        "unlock" => format!("{by}the lock taken away from process {} on {}", count("pid")?, text("host")?),
        "clean" => {
            let folders = detail.get("folders")?.as_array()?.len();
            format!("{by}cleans {}, and removes {folders} folders of runs", text("target")?)
        }
        "cleaned" => {
            let why = text("error").map(|it| format!("; then: {it}")).unwrap_or_default();
            let marks = if detail.get("marks")? == true { " and what was kept in the target" } else { "" };
            format!("{} folders of runs{marks} removed{why}", detail.get("folders")?.as_array()?.len())
        }
        "end" => text("outcome")?.to_owned(),
        _ => return None,
    })
}

/// The rows that rows of others hold, where there are some.
fn held(detail: &Value) -> String {
    let held = detail.get("held").and_then(Value::as_u64).filter(|it| *it > 0);
    held.map(|it| format!(", {it} left as rows that stay refer to them")).unwrap_or_default()
}

/// What the audit trail says of one run.
#[derive(Default)]
struct Trailed<'e> {
    events: Vec<(&'e Event, Value)>,
}

impl Trailed<'_> {
    fn last(&self, event: &str) -> Option<&(&Event, Value)> {
        self.events.iter().rev().find(|it| it.0.event == event)
    }

    /// A text in the detail of the last such event.
    fn text(&self, event: &str, name: &str) -> Option<&str> {
        self.last(event)?.1.get(name)?.as_str()
    }

    fn at(&self, event: &str) -> Option<&str> {
        self.last(event).map(|it| it.0.at.as_str())
    }

    /// Everything that the journal says of the run and that the trail says otherwise. What an older version did not write into
    /// the trail, it does not say.
    fn against(&self, run: &RunRecord) -> Vec<String> {
        let begun = |name: &str, journal: Option<String>| {
            let known = self.last("begin").is_some_and(|it| it.1.get(name).is_some());
            if known { (self.text("begin", name), journal) } else { (None, None) }
        };
        let phase = self.text("phase", "to").or_else(|| self.text("begin", "phase"));
        let said = [
            ("plan file", begun("plan", Some(run.plan.clone()))),
            ("plan", begun("hash", Some(run.plan_hash.clone()))),
            ("target", begun("target", Some(run.target_fingerprint.clone()))),
            ("run before it", begun("continues", run.continues.clone())),
            ("begin", (self.at("begin"), Some(run.started.clone()))),
            ("phase", (phase, phase.map(|_| run.phase.name().to_owned()))),
            ("outcome", (self.text("end", "outcome"), run.outcome.clone())),
            ("end", (self.at("end"), run.ended.clone())),
        ];
        let quoted = |it: Option<&str>| it.map_or_else(|| "nothing".to_owned(), |it| format!("`{it}`"));
        let differs = said.into_iter().filter(|(_, (trail, journal))| *trail != journal.as_deref());
        let told = differs.map(|(what, (trail, journal))| {
            let (journal, trail) = (quoted(journal.as_deref()), quoted(trail));
            format!("run {}: the {what} in the journal is {journal}, and the trail says {trail}", run.id)
        });
        told.collect()
    }
}

impl State {
    /// Where the journal says something else than its audit trail, a sentence each. An entry of the trail is chained, a row of the
    /// journal is not.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn contradictions(&self) -> Result<Vec<String>> {
        let (events, runs) = (self.events(None)?, self.runs()?);
        let mut trail = BTreeMap::<&str, Trailed<'_>>::new();
        for event in &events {
            let Some(run) = &event.run else { continue };
            let detail = serde_json::from_str(&event.detail).unwrap_or_default();
            trail.entry(run).or_default().events.push((event, detail));
        }
        let mut out = Vec::new();
        for run in &runs {
            match trail.remove(run.id.as_str()).filter(|it| it.last("begin").is_some()) {
                None => out.push(format!("run {}: it is in the journal, and the trail does not know it", run.id)),
                Some(it) => {
                    out.extend(it.against(run));
                    out.extend(self.lost(run, &it)?);
                }
            }
        }
        let gone = trail.into_iter().filter(|it| it.1.last("begin").is_some());
        out.extend(
            gone.map(|(id, _)| format!("run {id}: the trail says that it began, and the journal does not know it")),
        );
        Ok(out)
    }

    /// What the trail says was written and decided in a run, and the journal does not know.
    fn lost(&self, run: &RunRecord, trail: &Trailed<'_>) -> Result<Vec<String>> {
        let events = |name: &'static str| trail.events.iter().filter(move |it| it.0.event == name).map(|it| &it.1);
        let known: BTreeSet<String> = self.tables(&run.id)?.into_iter().map(|it| it.name).collect();
        let written: BTreeSet<&str> = events("write").filter_map(|it| it.get("table")?.as_str()).collect();
        let gone = written.into_iter().filter(|it| !known.contains(*it));
        let mut out: Vec<String> = gone
            .map(|it| {
                format!("run {}: the trail says that `{it}` was written, and the journal does not know it", run.id)
            })
            .collect();
        // What was decided anew about a row took the place of what was decided before.
        let told: u64 = events("decide").filter_map(|it| it.get("decisions")?.as_u64()).sum();
        let kept: u64 = self.decisions(&run.id)?.iter().map(|it| it.1).sum();
        if kept > told || (kept == 0) != (told == 0) {
            out.push(format!("run {}: the journal has {kept} decisions, and the trail says {told}", run.id));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_in_words() {
        let check = |event: &str, detail: &str, expect: &str| {
            let (event, detail) = (event.to_owned(), detail.to_owned());
            let event = Event { entry: 1, at: String::new(), run: None, event, detail, hash: String::new() };
            assert_eq!(event.told(), expect);
        };
        let begin = r#"{"by":"mira on db","plan":"cutover.toml","hash":"0123456789abcdef","target":"sqlite:a","continues":null}"#;
        check("begin", begin, "by mira on db: cutover.toml (0123456789ab) into sqlite:a");
        check("phase", r#"{"from":"staged","to":"checked"}"#, "staged → checked");
        let write = r#"{"table":"users","inserted":3,"updated":1,"deleted":0,"failed":2,"batches":1}"#;
        check("write", write, "users: 3 inserted, 1 updated, 0 deleted, 2 refused, 1 batches");
        check("end", r#"{"outcome":"pass"}"#, "pass");
        let undo = |held: &str| format!(r#"{{"table":"users","restored":1,"removed":2,"left":3{held}}}"#);
        let undone = "users: 1 put back, 2 removed, 3 left as others changed them";
        check("undo", &undo(""), undone);
        check("undo", &undo(",\"held\":0"), undone);
        check("undo", &undo(",\"held\":4"), &format!("{undone}, 4 left as rows that stay refer to them"));
        let back = r#"{"by":"mira","tables":[],"left":1,"held":2}"#;
        let expect = "by mira: taken back, but for 1 rows that others changed, 2 left as rows that stay refer to them";
        check("rollback", back, expect);
        check(
            "clean",
            r#"{"by":"mira","target":"d1 a","folders":["x"]}"#,
            "by mira: cleans d1 a, and removes 1 folders of runs",
        );
        check(
            "cleaned",
            r#"{"marks":true,"folders":["x"],"error":null}"#,
            "1 folders of runs and what was kept in the target removed",
        );
        check("cleaned", r#"{"marks":null,"folders":[],"error":"gone"}"#, "0 folders of runs removed; then: gone");
        check("hook", r#"{"hook":"before","error":null}"#, "before was called");
        check("hook", r#"{"hook":"after","error":"it ended with 1"}"#, "after failed: it ended with 1");
        let round =
            r#"{"plan":"a.toml","round":2,"at":"T","verdict":"pass","rows":3,"same":3,"differ":0,"reasons":[]}"#;
        check("round", round, "round 2 of a.toml: pass; 3 rows, 3 the same");
        check("end", r#"{"outcome":7}"#, r#"{"outcome":7}"#);
        check("bookmark", r#"{"at":"00-1"}"#, r#"{"at":"00-1"}"#);
        check("end", "not json", "not json");
    }
}
