//! The target's declared schema, compared with the one it has.

use crate::{
    error::Result,
    gate::Verdict,
    report::CheckReport,
    schema::{Column, ForeignKey, Origin, Table},
    store::{self, Source},
};
use std::{collections::BTreeSet, path::Path};

/// What was found out about a schema.
#[derive(Default)]
struct Compared {
    tables: usize,
    /// What is otherwise in the target.
    found: Vec<String>,
    /// What cannot be told.
    doubts: Vec<String>,
    /// What nobody asked for.
    aside: Option<String>,
}

/// Compares the tables of `target`, which is of that kind, with the statements in the file at `path`. Tables that it does not declare
/// are left alone.
pub(super) fn check(kind: &str, path: &Path, target: &mut dyn Source) -> CheckReport {
    let name = format!("schema {}", path.file_name().unwrap_or_default().to_string_lossy());
    let (verdict, source, target) = match compared(kind, path, target) {
        Err(it) => (Verdict::Unknown, path.display().to_string(), it.to_string()),
        Ok(it) => {
            let tables = if it.tables == 1 { "1 table".to_owned() } else { format!("{} tables", it.tables) };
            (it.verdict(), tables, it.told())
        }
    };
    CheckReport { name, verdict, source, target }
}

impl Compared {
    fn verdict(&self) -> Verdict {
        match (self.found.is_empty(), self.doubts.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Unknown,
            (true, true) => Verdict::Pass,
        }
    }

    fn told(self) -> String {
        let alike = (self.verdict() == Verdict::Pass).then(|| "as declared".to_owned());
        let told = alike.into_iter().chain(self.found).chain(self.doubts).chain(self.aside);
        told.collect::<Vec<_>>().join("; ")
    }
}

fn compared(kind: &str, path: &Path, target: &mut dyn Source) -> Result<Compared> {
    let mut declared = store::declared(kind, path, &target.schemas()?)?;
    let (tables, actual) = (declared.store.tables()?, target.tables()?);
    let mut it = Compared { tables: tables.len(), aside: declared.aside, ..Compared::default() };
    for table in tables {
        it.doubts.extend(table.partial.clone());
        match (actual.iter().find(|it| it.name == table.name), &table.unreadable) {
            (None, _) => it.found.push(format!("no table `{}`", table.name)),
            (Some(_), Some(why)) => it.doubts.push(why.clone()),
            (Some(actual), None) => compare(&table, actual, &mut it.found),
        }
    }
    Ok(it)
}

fn compare(declared: &Table, actual: &Table, found: &mut Vec<String>) {
    let table = &declared.name;
    for column in &declared.columns {
        let name = &column.name;
        match actual.columns.iter().find(|it| it.name == *name) {
            None => found.push(format!("no column `{table}.{name}`")),
            // What is not known is told elsewhere.
            Some(it) if it.ty != column.ty && column.origin != Origin::Guessed => {
                found.push(format!("`{table}.{name}` is {}, not {}", it.ty.name(), column.ty.name()));
            }
            Some(it) if it.nullable != column.nullable => {
                found.push(format!("`{table}.{name}` {} NULL", if it.nullable { "takes" } else { "does not take" }));
            }
            Some(_) => {}
        }
    }
    let has = |it: &&Column| declared.columns.iter().any(|other| other.name == it.name);
    let others = actual.columns.iter().filter(|it| !has(it));
    found.extend(others.map(|it| format!("a column `{table}.{}` that is not declared", it.name)));
    let (wanted, there) = (declared.names(&declared.key), actual.names(&actual.key));
    if wanted != there {
        found.push(format!("the key of `{table}` is ({}), not ({})", there.join(", "), wanted.join(", ")));
    }
    let (wanted, there) = (constraints(declared, declared), constraints(actual, declared));
    found.extend(wanted.difference(&there).map(|it| format!("`{table}` lacks {it}")));
    found.extend(there.difference(&wanted).map(|it| format!("`{table}` has {it}, which is not declared")));
}

/// Unique constraints and references of a table, in words. Where `declared` refers to a key without naming its columns, nobody does.
fn constraints(table: &Table, declared: &Table) -> BTreeSet<String> {
    let uniques = table.uniques.iter().map(|it| format!("unique ({})", table.names(&it.columns).join(", ")));
    let reference = |it: &ForeignKey| {
        let columns = table.names(&it.columns);
        let unnamed = |other: &ForeignKey| {
            other.to.is_empty() && other.table == it.table && declared.names(&other.columns) == columns
        };
        let named = !it.to.is_empty() && !declared.foreign_keys.iter().any(unnamed);
        let to = if named { format!(" ({})", it.to.join(", ")) } else { String::new() };
        format!("a reference ({}) to {}{to}", columns.join(", "), it.table)
    };
    uniques.chain(table.foreign_keys.iter().map(reference)).collect()
}
