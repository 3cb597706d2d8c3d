//! `test-connection`: whether stores can be reached and read, and what can be said about them.

use super::{
    args::{Cli, Format, TestConnection},
    exit, options, output,
    stores::{self, Asked},
};
use crate::{
    error::{Error, Kind, Result},
    report::{escape, layout},
    schema::Table,
    store::{
        Source,
        about::{Fact, Level},
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::IsTerminal;

/// The version of what `--format json` writes.
const FORMAT: &str = "cutover-connection/1";

/// Clocks that are no further apart than this agree, in seconds.
const AGREE: f64 = 5.0;

/// Tables named in one fact at most.
const NAMES_MAX: usize = 5;

/// How wide a sentence may be.
const WIDTH: usize = 600;

/// What came of one store.
struct Tested {
    side: Option<&'static str>,
    kind: String,
    name: String,
    facts: Vec<Fact>,
    notes: Vec<String>,
}

pub(super) fn test(args: &TestConnection, cli: &Cli) -> Result<u8> {
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (_, asked) = stores::all(&args.stores, &options::store(&args.asking), colour)?;
    let tested: Vec<Tested> = asked.into_iter().map(tested).collect();
    let well = tested.iter().all(Tested::is_well);
    let out = match args.format {
        Format::Text => tested.iter().map(Tested::text).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            let stores: Vec<Value> = tested.iter().map(Tested::json).collect();
            let document = json!({ "format": FORMAT, "ok": well, "stores": stores });
            document_text(&document)?
        }
    };
    output::print(out.as_bytes())?;
    Ok(if well { exit::PASS } else { exit::UNDECIDED })
}

/// A document as it is printed.
pub(super) fn document_text(document: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(document).map_err(|it| Error::new(Kind::File, it))?;
    let mut out = String::new();
    escape::json(&text, &mut out);
    out.push('\n');
    Ok(out)
}

fn tested(asked: Asked) -> Tested {
    let Asked { side, name, store, .. } = asked;
    let (mut facts, mut notes) = (Vec::new(), Vec::new());
    match store {
        Err(error) => facts.push(failed("open", &error)),
        Ok(mut store) => {
            match store.about() {
                Err(error) => facts.push(failed("about", &error)),
                Ok(own) => facts.extend(own.into_iter().map(|it| clock(it, super::clock::now().ok()))),
            }
            facts.extend(tables(store.as_mut()));
            notes = store.notes();
        }
    }
    Tested { side, kind: name.kind, name: name.name, facts, notes }
}

fn failed(what: &'static str, error: &Error) -> Fact {
    Fact::new(what, error.to_string()).level(Level::Bad)
}

/// What holds for every store: its tables, and whether all of each can be read.
fn tables(store: &mut dyn Source) -> Vec<Fact> {
    let tables = match store.tables() {
        Ok(it) => it,
        Err(error) => return vec![failed("tables", &error)],
    };
    let rows: u64 = tables.iter().filter_map(|it| it.rows_about).sum();
    let about = if rows > 0 { format!(", about {} rows", layout::count(rows)) } else { String::new() };
    let found = match tables.len() {
        0 => Fact::new("tables", "none that this user sees").level(Level::Note),
        1 => Fact::new("tables", format!("1{about}")),
        it => Fact::new("tables", format!("{}{about}", layout::count(it as u64))),
    };
    let unreadable = told("unreadable", &tables, |it| it.unreadable.as_deref());
    let partial = told("partial", &tables, |it| it.partial.as_deref());
    [Some(found), unreadable, partial].into_iter().flatten().collect()
}

/// The tables of which there is something to say.
fn told(what: &'static str, tables: &[Table], why: impl Fn(&Table) -> Option<&str>) -> Option<Fact> {
    let told: Vec<String> = tables.iter().filter_map(|it| Some(format!("`{}`: {}", it.name, why(it)?))).collect();
    let (some, more) = told.split_at(told.len().min(NAMES_MAX));
    let more = if more.is_empty() { String::new() } else { format!("; and {} more", more.len()) };
    (!told.is_empty()).then(|| Fact::new(what, format!("{}{more}", some.join("; "))).level(Level::Bad))
}

/// A store says its time in a fact `clock`, as RFC 3339. Here it is compared with the time of this machine.
fn clock(fact: Fact, now: Option<Timestamp>) -> Fact {
    let theirs = (fact.what == "clock").then(|| fact.says.parse::<Timestamp>().ok()).flatten();
    let (Some(theirs), Some(now)) = (theirs, now) else { return fact };
    let apart = theirs.duration_since(now).as_secs_f64();
    if apart.abs() <= AGREE {
        return Fact { says: format!("{}, as here", fact.says), ..fact };
    }
    let (seconds, side) = (apart.abs(), if apart > 0.0 { "ahead of" } else { "behind" });
    let says = format!("{}, {seconds:.0} s {side} this machine; times of `now` differ by that much", fact.says);
    Fact { says, ..fact }.level(Level::Note)
}

impl Tested {
    fn is_well(&self) -> bool {
        self.facts.iter().all(|it| it.level < Level::Bad)
    }

    fn text(&self) -> String {
        let side = self.side.map(|it| format!("{it}: ")).unwrap_or_default();
        let name = format!("{} {}", self.kind, self.name);
        let title = format!("{side}{}", name.trim());
        let verdict = if self.is_well() { "can be read" } else { "cannot be read, or not all of it" };
        let notes = self.notes.iter().map(|it| (Level::Good, "known", it));
        let facts = self.facts.iter().map(|it| (it.level, it.what, &it.says));
        let rows: Vec<_> = facts
            .chain(notes)
            .map(|(level, what, says)| {
                vec![String::new(), word(level).to_owned(), what.to_owned(), layout::cut(&escape::message(says), WIDTH)]
            })
            .collect();
        let lines = layout::aligned(&rows, &[]);
        let lines = lines.iter().map(|it| it.trim_end().to_owned());
        let head = format!("{}: {verdict}", layout::cut(&escape::message(&title), WIDTH));
        let lines: Vec<String> = [head].into_iter().chain(lines).collect();
        format!("{}\n", lines.join("\n"))
    }

    fn json(&self) -> Value {
        let fact = |it: &Fact| json!({ "what": it.what, "says": it.says, "level": word(it.level) });
        let facts: Vec<Value> = self.facts.iter().map(fact).collect();
        let (kind, name, notes) = (&self.kind, &self.name, &self.notes);
        json!({ "side": self.side, "kind": kind, "name": name, "ok": self.is_well(), "facts": facts, "notes": notes })
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Good => "good",
        Level::Note => "note",
        Level::Bad => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared() {
        let now: Option<Timestamp> = "2026-01-01T00:00:00Z".parse().ok();
        for (says, expect, level) in [
            ("2026-01-01T00:00:04Z", "2026-01-01T00:00:04Z, as here", Level::Good),
            ("2026-01-01T01:00:00+01:00", "2026-01-01T01:00:00+01:00, as here", Level::Good),
            (
                "2026-01-01T00:01:00Z",
                "2026-01-01T00:01:00Z, 60 s ahead of this machine; times of `now` differ by that much",
                Level::Note,
            ),
            (
                "2025-12-31T23:59:54Z",
                "2025-12-31T23:59:54Z, 6 s behind this machine; times of `now` differ by that much",
                Level::Note,
            ),
            ("noon", "noon", Level::Good),
        ] {
            assert_eq!(clock(Fact::new("clock", says), now), Fact::new("clock", expect).level(level));
        }
        let other = Fact::new("version", "2026-01-01T00:01:00Z");
        assert_eq!(clock(other.clone(), now), other);
    }
}
