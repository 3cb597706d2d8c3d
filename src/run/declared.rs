//! The target's declared schema, compared with the one it has.

use crate::{
    error::Result,
    gate::Verdict,
    report::CheckReport,
    schema::{Column, ForeignKey, Table},
    store::{self, Source},
};
use std::{collections::BTreeSet, path::Path};

/// Compares the tables of `target` with the statements in the file at `path`. Tables that it does not declare are left alone.
pub(super) fn check(path: &Path, target: &mut dyn Source) -> CheckReport {
    let name = format!("schema {}", path.file_name().unwrap_or_default().to_string_lossy());
    let (verdict, source, target) = match differences(path, target) {
        Err(it) => (Verdict::Unknown, path.display().to_string(), it.to_string()),
        Ok((declared, found)) => {
            let verdict = if found.is_empty() { Verdict::Pass } else { Verdict::Fail };
            let tables = if declared == 1 { "1 table".to_owned() } else { format!("{declared} tables") };
            (verdict, tables, if found.is_empty() { "as declared".to_owned() } else { found.join("; ") })
        }
    };
    CheckReport { name, verdict, source, target }
}

/// How many tables are declared, and what is otherwise in the target.
fn differences(path: &Path, target: &mut dyn Source) -> Result<(usize, Vec<String>)> {
    let declared = store::open("d1-export", path, &store::Options::default())?.tables()?;
    let actual = target.tables()?;
    let mut found = Vec::new();
    for table in &declared {
        match actual.iter().find(|it| it.name == table.name) {
            None => found.push(format!("no table `{}`", table.name)),
            Some(it) => compare(table, it, &mut found),
        }
    }
    Ok((declared.len(), found))
}

fn compare(declared: &Table, actual: &Table, found: &mut Vec<String>) {
    let table = &declared.name;
    for column in &declared.columns {
        let name = &column.name;
        match actual.columns.iter().find(|it| it.name == *name) {
            None => found.push(format!("no column `{table}.{name}`")),
            Some(it) if it.ty != column.ty => {
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
    let (wanted, there) = (constraints(declared), constraints(actual));
    found.extend(wanted.difference(&there).map(|it| format!("`{table}` lacks {it}")));
    found.extend(there.difference(&wanted).map(|it| format!("`{table}` has {it}, which is not declared")));
}

/// Unique constraints and references, in words.
fn constraints(table: &Table) -> BTreeSet<String> {
    let uniques = table.uniques.iter().map(|it| format!("unique ({})", table.names(&it.columns).join(", ")));
    let reference = |it: &ForeignKey| {
        let to = if it.to.is_empty() { String::new() } else { format!(" ({})", it.to.join(", ")) };
        format!("a reference ({}) to {}{to}", table.names(&it.columns).join(", "), it.table)
    };
    uniques.chain(table.foreign_keys.iter().map(reference)).collect()
}
