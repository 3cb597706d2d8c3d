//! The target's declared schema, compared with the one it has.

use crate::{
    error::Result,
    gate::Verdict,
    report::CheckReport,
    schema::{Column, ForeignKey, Origin, Table, Unique},
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
        let found = actual.iter().find(|it| it.name == table.name);
        match (found.map(|it| (it, &it.unreadable)), &table.unreadable) {
            // It may have got another name by what could not be followed.
            (_, Some(why)) => it.doubts.push(why.clone()),
            (None, None) => it.found.push(format!("no table `{}`", table.name)),
            (Some((_, Some(why))), None) => it.doubts.push(format!("`{}` is not compared: {why}", table.name)),
            (Some((actual, None)), None) => {
                let hidden = target.hidden(actual)?;
                it.doubts.extend((!hidden.is_empty()).then(|| {
                    let names = hidden.iter().map(|it| format!("`{}.{it}`", table.name)).collect::<Vec<_>>().join(", ");
                    format!("what may not be read is not compared: {names}")
                }));
                compare(&Seen::new(&table, &hidden), actual, &mut it.found);
            }
        }
    }
    Ok(it)
}

/// What of a declaration can be compared.
struct Seen {
    /// Without columns that may not be read, and what is about them.
    table: Table,
    /// Its key is among that, so what the store has instead is none.
    keyless: bool,
}

impl Seen {
    fn new(declared: &Table, hidden: &[String]) -> Seen {
        let columns: Vec<usize> =
            (0..declared.columns.len()).filter(|it| !hidden.contains(&declared.columns[*it].name)).collect();
        let places = |all: &[usize]| {
            all.iter().map(|it| columns.iter().position(|seen| seen == it)).collect::<Option<Vec<usize>>>()
        };
        let key = places(&declared.key);
        let uniques = declared.uniques.iter();
        let references = declared.foreign_keys.iter();
        let table = Table {
            columns: columns.iter().map(|it| declared.columns[*it].clone()).collect(),
            uniques: uniques.filter_map(|it| Some(Unique { columns: places(&it.columns)?, ..it.clone() })).collect(),
            foreign_keys: references
                .filter_map(|it| Some(ForeignKey { columns: places(&it.columns)?, ..it.clone() }))
                .collect(),
            key: key.clone().unwrap_or_default(),
            ..declared.clone()
        };
        Seen { table, keyless: key.is_none() }
    }
}

fn compare(Seen { table: declared, keyless }: &Seen, actual: &Table, found: &mut Vec<String>) {
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
    if wanted != there && !keyless {
        found.push(format!("the key of `{table}` is ({}), not ({})", there.join(", "), wanted.join(", ")));
    }
    let (wanted, mut there) = (constraints(declared, declared), constraints(actual, declared));
    if *keyless && !actual.key.is_empty() {
        there.insert(unique(&actual.names(&actual.key)));
    }
    found.extend(wanted.difference(&there).map(|it| format!("`{table}` lacks {it}")));
    found.extend(there.difference(&wanted).map(|it| format!("`{table}` has {it}, which is not declared")));
}

fn unique(columns: &[String]) -> String {
    format!("unique ({})", columns.join(", "))
}

/// Unique constraints and references of a table, in words. Where `declared` refers to a key without naming its columns, nobody does.
fn constraints(table: &Table, declared: &Table) -> BTreeSet<String> {
    let uniques = table.uniques.iter().map(|it| unique(&table.names(&it.columns)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::{Feed, Shape},
        value::Type,
    };
    use std::{fs, sync::Arc};

    /// A store with some tables, of which some columns may not be read.
    struct Live(Vec<Table>, Vec<String>);

    impl Source for Live {
        fn tables(&mut self) -> Result<Vec<Table>> {
            Ok(self.0.clone())
        }

        fn hidden(&mut self, _: &Table) -> Result<Vec<String>> {
            Ok(self.1.clone())
        }

        fn scan(&mut self, _: &Table, _: &Arc<Shape>, _: &mut dyn Feed) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_cannot_be_told_is_a_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.sql");
        let checked = |schema: &str, live: &[(&str, &[&str])], change: &dyn Fn(&mut Table), hidden: &[&str]| {
            fs::write(&path, schema).unwrap();
            let table = |(name, columns): &(&str, &[&str])| {
                let columns = columns.iter().map(|it| Column::new(*it, Type::Int)).collect();
                let mut table = Table { columns, ..Table::new(*name) };
                change(&mut table);
                table
            };
            let hidden = hidden.iter().map(|&it| it.to_owned()).collect();
            let mut live = Live(live.iter().map(table).collect(), hidden);
            let report = check("postgres", &path, &mut live);
            (report.verdict, report.target)
        };
        let as_is = |_: &mut Table| ();
        let two = "CREATE TABLE t (a int, b int);";
        assert_eq!(checked(two, &[("t", &["a", "b"])], &as_is, &[]), (Verdict::Pass, "as declared".to_owned()));
        assert_eq!(checked(two, &[("u", &["a"])], &as_is, &[]), (Verdict::Fail, "no table `t`".to_owned()));
        // Somebody has given the table another name, which is not followed.
        let renamed = format!("{two} ALTER TABLE t RENAME TO u");
        let (verdict, said) = checked(&renamed, &[("u", &["a", "b"])], &as_is, &[]);
        assert!(verdict == Verdict::Unknown && said.contains("RENAME is not followed"), "{said}");
        let unread = |it: &mut Table| it.unreadable = Some("this role may not read it".to_owned());
        let says = "`t` is not compared: this role may not read it".to_owned();
        assert_eq!(checked(two, &[("t", &[])], &unread, &[]), (Verdict::Unknown, says));
        // The key and a constraint of columns that are not to be seen are not missed, and another key is no surprise.
        let keyed = "CREATE TABLE t (a int PRIMARY KEY, b int, c int UNIQUE NOT NULL, UNIQUE (a, b))";
        let live = |it: &mut Table| {
            it.columns.iter_mut().filter(|it| it.name == "c").for_each(|it| it.nullable = false);
            it.key = vec![1];
        };
        let says = "what may not be read is not compared: `t.a`".to_owned();
        assert_eq!(checked(keyed, &[("t", &["b", "c"])], &live, &["a"]), (Verdict::Unknown, says));
        let (verdict, said) = checked(keyed, &[("t", &["c"])], &as_is, &["a"]);
        assert_eq!(verdict, Verdict::Fail);
        assert!(said.contains("no column `t.b`") && said.contains("lacks unique (c)"), "{said}");
    }
}
