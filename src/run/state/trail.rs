//! What the audit trail says for people, and whether the rest of the journal says the same.

use super::{Event, State};
use crate::error::Result;
use serde_json::Value;

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
            "{}: {} put back, {} removed, {} left as others changed them",
            text("table")?,
            count("restored")?,
            count("removed")?,
            count("left")?
        ),
        "rollback" => format!("{by}taken back, but for {} rows", count("left")?),
        "unlock" => format!("{by}the lock taken away from process {} on {}", count("pid")?, text("host")?),
        "clean" => {
            let folders = detail.get("folders")?.as_array()?.len();
            format!("{by}{} cleaned, {folders} folders of runs removed", text("target")?)
        }
        "end" => text("outcome")?.to_owned(),
        _ => return None,
    })
}

impl State {
    /// Where the journal says something else about a run than its audit trail, a sentence each. An entry of the trail is
    /// chained, a row of the journal is not.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn contradictions(&self) -> Result<Vec<String>> {
        let mut out = Vec::new();
        for run in self.runs()? {
            let events = self.events(Some(&run.id))?;
            let last = |event: &str, name: &str| {
                let last = events.iter().rev().find(|it| it.event == event)?;
                let detail: Value = serde_json::from_str(&last.detail).ok()?;
                detail.get(name)?.as_str().map(str::to_owned)
            };
            let outcome = run.outcome.clone().unwrap_or_default();
            let said = [
                ("plan", last("begin", "hash"), run.plan_hash.as_str()),
                ("target", last("begin", "target"), run.target_fingerprint.as_str()),
                ("phase", last("phase", "to"), run.phase.name()),
                ("outcome", last("end", "outcome"), outcome.as_str()),
            ];
            let differs = said.into_iter().filter_map(|(what, trail, journal)| {
                let trail = trail.filter(|it| it != journal)?;
                Some(format!("run {}: the {what} in the journal is `{journal}`, and the trail says `{trail}`", run.id))
            });
            out.extend(differs);
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
        check("end", r#"{"outcome":7}"#, r#"{"outcome":7}"#);
        check("bookmark", r#"{"at":"00-1"}"#, r#"{"at":"00-1"}"#);
        check("end", "not json", "not json");
    }
}
