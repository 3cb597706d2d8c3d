//! `init`: a plan for two stores, to start from.

use super::verify::{Pairing, Task};
use std::fmt::Write;

/// A commented plan that compares `task`'s tables as [`diff`](super::prepare::diff) would.
///
/// `settings` are what the plan says about the source and the target beside their kinds: a path from where the plan will lie, or
/// how a live store is found.
pub fn plan(task: &Task, settings: [&[(String, String)]; 2]) -> String {
    let mut out = String::from(HEAD);
    let sides = [("source", &task.source_name), ("target", &task.target_name)];
    for ((title, name), settings) in sides.into_iter().zip(settings) {
        let _ = write!(out, "\n[{title}]\nkind = {}\n", quoted(&name.kind));
        for (key, value) in settings {
            let _ = writeln!(out, "{key} = {}", quoted(value));
        }
    }
    for pairing in &task.tables {
        table(pairing, &mut out);
    }
    if task.tables.is_empty() {
        out.push_str(NOTHING);
    }
    for name in &task.target_only {
        unpaired(name, &mut out);
    }
    let lists = [&task.source_only, &task.target_only];
    let names: Vec<String> = lists.into_iter().flatten().map(|it| quoted(it)).collect();
    out.push_str(GATE);
    if !names.is_empty() {
        let names = names.join(", ");
        let _ = write!(out, "# These stand on one side only. If that is right, say so:\n# unpaired = [{names}]\n");
    }
    out
}

const HEAD: &str = "\
# What is compared with what, and what is still a pass. `cutover check` finds slips, `cutover verify` compares.
version = 1
";

const NOTHING: &str = "
# No table of the source goes by the name of one of the target's. Say for each how its rows come to be:
";

const GATE: &str = "
[gate]
# Nothing is let through unless it is said here, for all tables or for single ones:
# missing = 0
# changed = { users = 2 }
# allow_empty = [\"archive\"]
";

fn table(pairing: &Pairing, out: &mut String) {
    let comparison = &pairing.comparison;
    let (from, into) = (&comparison.source.name, &comparison.target.name);
    let _ = write!(out, "\n[[table]]\ninto = {}\nfrom = {}\n", quoted(into), quoted(from));
    let names: Vec<String> = comparison.key_names().iter().map(|it| quoted(it)).collect();
    match names.as_slice() {
        [] => out.push_str("key = []                  # no key is known: rows are compared whole, as a multiset\n"),
        names => drop(writeln!(out, "key = [{}]", names.join(", "))),
    }
    for note in &comparison.notes {
        let _ = writeln!(out, "# {}", note.replace('\n', " "));
    }
    out.push_str("# Without [table.columns] columns go by their names. With it, each one is said, such as:\n");
    out.push_str("# [table.columns]\n");
    for pair in comparison.columns.iter().take(3) {
        let source = &comparison.source.columns[pair.source].name;
        let _ = writeln!(out, "# {} = {}  # {}", key(&pair.name), path(source), pair.ty.name());
    }
}

fn unpaired(name: &str, out: &mut String) {
    let name = quoted(name);
    let _ = write!(
        out,
        "\n# [[table]]\n# into = {name}\n# from = \"items\"                        # a table or collection of the source\n\
         # where = '.key == \"users\"'              # jq: which of its rows\n\
         # each = '.value[]'                      # jq: one row of the source to any number of items\n\
         # columns.id = \".id\"\n"
    );
}

/// A column as a TOML key.
fn key(column: &str) -> String {
    if is_plain(column) { column.to_owned() } else { quoted(column) }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// A column as a jq path, as a TOML string.
fn path(column: &str) -> String {
    if is_plain(column) && !column.starts_with(|it: char| it.is_ascii_digit()) {
        return format!("\".{column}\"");
    }
    quoted(&format!(".[{}]", serde_json::Value::from(column)))
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
