//! `fields`: what the mapping adds to rows that the target has already, such as a new default: how many rows lack it, and which.
//!
//! It is the comparison of `verify`, looked at from another side. A field is new to a row where the mapped row has a value and the
//! target's row has none: a column that is NULL, or a member that is absent from a document.

use super::{Run, verify::Task};
use crate::{
    disk,
    error::Result,
    gate::Verdict,
    report::{Report, folder::Folder},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// What the mapping adds to the rows of one table.
#[derive(Clone, Debug, Default)]
pub struct TableFields {
    /// The target's name for it.
    pub name: String,
    /// Rows that the mapping makes.
    pub rows: u64,
    /// Of them, those that the target has with other values, or not at all.
    pub needs_migration: u64,
    /// Of these, those that it does not have.
    pub missing: u64,
    /// How many rows lack each field, by its column and the members that lead to it, with dots in between.
    pub new_fields: BTreeMap<String, u64>,
    /// Some of the rows that need migration.
    pub records: Vec<Record>,
}

/// One row that needs migration.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its key, a JSON object.
    pub key: Value,
    /// The fields that it lacks.
    pub new_fields: Vec<String>,
    /// The target does not have the row.
    pub missing: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// In the order of the plan.
    pub tables: Vec<TableFields>,
    /// What could not be looked at, a sentence each.
    pub unchecked: Vec<String>,
}

impl Fields {
    /// What came of it: a failure where a row needs migration, which outweighs what could not be looked at.
    pub fn verdict(&self) -> Verdict {
        match (self.tables.iter().any(|it| it.needs_migration > 0), self.unchecked.is_empty()) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Unknown,
        }
    }
}

/// Compares both sides, and keeps up to `run.limit` rows of each table as examples.
///
/// # Errors
/// If a store or the disk fails.
pub fn fields(run: &Run, task: &mut Task) -> Result<Fields> {
    let scratch = disk::draft(&run.scratch, ".cutover-")?;
    let path = scratch.path().join("report");
    let folder = Folder::create(&path)?;
    let report = task.run(run, Some(&folder))?;
    folder.finish(&report)?;
    let Report { tables, around, .. } = report;
    let mut found = Fields::default();
    if around.verdict == Verdict::Unknown {
        found.unchecked.extend(around.reasons);
    }
    for table in tables {
        found.unchecked.extend(table.facts.unchecked.iter().map(|it| format!("{}: {it}", table.name)));
        let lost = [
            (table.tally.rejects, "refused by the mapping"),
            (table.tally.source_duplicates, "mapped to a key that another row has"),
        ];
        let lost = lost.iter().filter(|it| it.0 > 0);
        found
            .unchecked
            .extend(lost.map(|(count, why)| format!("{}: {count} rows of the source are {why}", table.name)));
        let (rows, missing) = (table.tally.source_rows - table.tally.rejects, table.tally.missing);
        let needs_migration = missing + table.tally.changed;
        let mut fields = TableFields { name: table.name, rows, missing, needs_migration, ..TableFields::default() };
        if let Some(file) = &table.findings_file {
            fields.read(&path.join(file), run.limit)?;
        }
        found.tables.push(fields);
    }
    Ok(found)
}

impl TableFields {
    /// Reads the findings of the table.
    fn read(&mut self, path: &Path, limit: usize) -> Result<()> {
        let failed = |it: std::io::Error| disk::failed(path, "cannot be read", &it);
        for line in BufReader::new(File::open(path).map_err(failed)?).lines() {
            let line = line.map_err(failed)?;
            // A document that is nested too deep for this reader has no fields to tell.
            let Ok(finding) = serde_json::from_str::<Value>(&line) else { continue };
            let missing = finding["kind"] == "missing";
            if !missing && finding["kind"] != "changed" {
                continue;
            }
            let mut new_fields = Vec::new();
            let cells = finding["cells"].as_object().filter(|_| !missing);
            for (column, cell) in cells.into_iter().flatten() {
                lacking(column, &cell["source"], &cell["target"], &mut new_fields);
            }
            new_fields.iter().for_each(|it| *self.new_fields.entry(it.clone()).or_default() += 1);
            if self.records.len() < limit {
                self.records.push(Record { key: finding["key"].clone(), new_fields, missing });
            }
        }
        Ok(())
    }
}

/// Adds the names of what `source` has and `target` has not. Recurses as deep as the documents are nested, which their reader bounds.
fn lacking(name: &str, source: &Value, target: &Value, out: &mut Vec<String>) {
    match (source, target) {
        (Value::Object(source), Value::Object(target)) => {
            for (member, value) in source {
                let name = format!("{name}.{member}");
                match target.get(member) {
                    Some(old) if old.is_object() => lacking(&name, value, old, out),
                    Some(_) => {}
                    None => out.push(name),
                }
            }
        }
        (source, Value::Null) if !source.is_null() => out.push(name.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_row_lacks() {
        let check = |source: Value, target: Value, expect: &[&str]| {
            let mut out = Vec::new();
            lacking("v", &source, &target, &mut out);
            assert_eq!(out, expect, "{source} {target}");
        };
        check(json!("active"), json!(null), &["v"]);
        check(json!(null), json!(null), &[]);
        check(json!("active"), json!("gone"), &[]);
        check(json!({"a": 1, "b": {}}), json!({"a": 2}), &["v.b"]);
        check(json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 2}}), &["v.a.b"]);
        check(json!({"a": {"b": 1}}), json!({"a": null}), &[]);
        check(json!({"a": 1}), json!([]), &[]);
    }
}
