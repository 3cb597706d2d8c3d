//! A table on its way from statements to what the catalogs would say of it.

use super::{
    INSTEAD,
    types::{Known, Types},
};
use crate::{
    schema::{Column, ForeignKey, Origin, Table, Unique},
    store::postgres::form::Form,
};
use sqlparser::ast::{
    ColumnDef, ColumnOption, DataType, Expr, ForeignKeyConstraint, Ident, IndexColumn, ObjectName, TableConstraint,
};

/// Where something is, and what it is called there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub schema: String,
    pub name: String,
}

/// A table as far as it is known.
pub(super) struct Draft {
    pub name: Name,
    /// Its schema is written down.
    pub placed: bool,
    columns: Vec<Field>,
    indexes: Vec<Index>,
    references: Vec<Reference>,
    /// Why it cannot be compared at all.
    pub lost: Option<String>,
}

struct Field {
    name: String,
    /// Its type, or why it is not known.
    known: Result<Known, String>,
    nullable: bool,
}

/// Columns that are unique together.
struct Index {
    name: String,
    primary: bool,
    columns: Vec<String>,
}

struct Reference {
    name: String,
    columns: Vec<String>,
    parent: Name,
    /// Empty: its key.
    to: Vec<String>,
}

/// What statements are read with.
pub(super) struct Around<'r> {
    pub types: &'r Types,
    /// The schema of names without one.
    pub schema: &'r str,
    /// The statement, for people.
    pub place: &'r str,
}

/// Why a statement could not be followed.
pub(super) type Lost<T = ()> = Result<T, String>;

impl Draft {
    pub(super) fn new(name: Name, placed: bool) -> Draft {
        let (columns, indexes, references) = (Vec::new(), Vec::new(), Vec::new());
        Draft { name, placed, columns, indexes, references, lost: None }
    }

    /// It is not known what it is in the end, because of that statement.
    pub(super) fn lose(&mut self, place: &str, why: &str) {
        let name = &self.name.name;
        let text = format!("{place} cannot be followed, so `{name}` is not compared: {why}; {INSTEAD}");
        self.lost.get_or_insert(text);
    }

    /// Adds a column, and what is said behind it.
    pub(super) fn column(&mut self, it: &ColumnDef, around: &Around<'_>) -> Lost {
        if it.data_type == DataType::Unspecified {
            return Err(format!("it does not say of which type `{}` is", it.name.value));
        }
        let name = folded_ident(&it.name);
        if self.columns.iter().any(|it| it.name == name) {
            return Ok(());
        }
        let (known, filled) = around.types.find(&it.data_type, around.schema);
        let known = known.ok_or_else(|| self.doubt(&name, &it.data_type, around));
        self.columns.push(Field { name: name.clone(), known, nullable: !filled });
        for option in &it.options {
            let columns = vec![name.clone()];
            let given = option.name.as_ref();
            match &option.option {
                ColumnOption::NotNull | ColumnOption::Identity(_) => self.nullable(&name, false),
                ColumnOption::Generated { generation_expr: None, .. } => self.nullable(&name, false),
                ColumnOption::PrimaryKey(_) => self.index(given, columns, true, "pkey"),
                ColumnOption::Unique(_) => self.index(given, columns, false, "key"),
                ColumnOption::ForeignKey(it) => self.reference(given, columns, it, around),
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives a column another type.
    pub(super) fn retype(&mut self, name: &Ident, ty: &DataType, around: &Around<'_>) {
        let (name, known) = (folded_ident(name), around.types.find(ty, around.schema).0);
        let known = known.ok_or_else(|| self.doubt(&name, ty, around));
        if let Some(field) = self.columns.iter_mut().find(|it| it.name == name) {
            field.known = known;
        }
    }

    fn doubt(&self, column: &str, ty: &DataType, around: &Around<'_>) -> String {
        let (place, table) = (around.place, &self.name.name);
        format!(
            "{place}: nothing in the file makes the type `{ty}`, so the one of `{table}.{column}` is not compared: \
             add its CREATE TYPE or CREATE DOMAIN"
        )
    }

    pub(super) fn nullable(&mut self, name: &str, nullable: bool) {
        if let Some(field) = self.columns.iter_mut().find(|it| it.name == name) {
            field.nullable = nullable;
        }
    }

    /// Adds a constraint of the table.
    pub(super) fn constrain(&mut self, it: &TableConstraint, around: &Around<'_>) -> Lost {
        let primary = matches!(it, TableConstraint::PrimaryKey(_) | TableConstraint::PrimaryKeyUsingIndex(_));
        match it {
            TableConstraint::PrimaryKey(it) => self.keyed(it.name.as_ref(), &it.columns, primary, "pkey"),
            TableConstraint::Unique(it) => self.keyed(it.name.as_ref(), &it.columns, primary, "key"),
            TableConstraint::ForeignKey(it) => {
                let columns = it.columns.iter().map(folded_ident).collect();
                self.reference(it.name.as_ref(), columns, it, around);
            }
            TableConstraint::PrimaryKeyUsingIndex(it) | TableConstraint::UniqueUsingIndex(it) => {
                let name = folded_ident(&it.index_name);
                let Some(place) = self.indexes.iter().position(|it| it.name == name) else {
                    return Err(format!("it uses an index `{name}` that is not known"));
                };
                let index = self.indexes.remove(place);
                self.index(it.name.as_ref().or(Some(&it.index_name)), index.columns, primary, "");
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a unique index, or a constraint that makes one. One of expressions says nothing of columns.
    pub(super) fn keyed(&mut self, name: Option<&Ident>, columns: &[IndexColumn], primary: bool, suffix: &str) {
        if let Some(columns) = columns.iter().map(|it| plain(&it.column.expr)).collect() {
            self.index(name, columns, primary, suffix);
        }
    }

    fn index(&mut self, name: Option<&Ident>, columns: Vec<String>, primary: bool, suffix: &str) {
        if primary {
            columns.iter().for_each(|it| self.nullable(it, false));
        }
        let name = self.name_of(name, if primary { &[] } else { &columns }, suffix);
        self.indexes.push(Index { name, primary, columns });
    }

    fn reference(
        &mut self,
        name: Option<&Ident>,
        columns: Vec<String>,
        it: &ForeignKeyConstraint,
        around: &Around<'_>,
    ) {
        let name = self.name_of(name, &columns, "fkey");
        let parent = Name::of(&it.foreign_table, around.schema);
        let to = it.referred_columns.iter().map(folded_ident).collect();
        self.references.push(Reference { name, columns, parent, to });
    }

    /// The name that is given, or else the one that the server makes up.
    fn name_of(&self, given: Option<&Ident>, columns: &[String], suffix: &str) -> String {
        given.map_or_else(|| made_up(&self.name.name, &columns.join("_"), suffix), folded_ident)
    }

    /// Drops a constraint. One that is not known here is one that is not compared.
    pub(super) fn release(&mut self, name: &str) {
        self.drop_index(name);
        self.references.retain(|it| it.name != name);
    }

    /// Drops an index, which has no name in common with a foreign key but by chance.
    pub(super) fn drop_index(&mut self, name: &str) {
        self.indexes.retain(|it| it.name != name);
    }

    /// Drops the columns whose types are gone.
    pub(super) fn drop_types(&mut self, gone: &dyn Fn(&Name) -> bool) {
        let goes = |it: &&Field| it.known.as_ref().is_ok_and(|it| it.goes_with(gone));
        let columns: Vec<String> = self.columns.iter().filter(goes).map(|it| it.name.clone()).collect();
        columns.iter().for_each(|it| self.remove(it));
    }

    /// The names of its references that lead somewhere, as far as `all` tables are known.
    pub(super) fn held(&self, all: &[Draft]) -> Vec<String> {
        let leads = |it: &&Reference| {
            let parent = all.iter().find(|other| other.name == it.parent);
            parent.is_some_and(|parent| parent.indexes.iter().any(|index| index.holds(&it.to)))
        };
        self.references.iter().filter(leads).map(|it| it.name.clone()).collect()
    }

    /// Drops references by their names.
    pub(super) fn let_go(&mut self, names: &[String]) {
        self.references.retain(|it| !names.contains(&it.name));
    }

    /// Drops a column, and what cannot be without it.
    pub(super) fn remove(&mut self, name: &str) {
        self.columns.retain(|it| it.name != name);
        self.indexes.retain(|it| !it.columns.iter().any(|it| it == name));
        self.references.retain(|it| !it.columns.iter().any(|it| it == name));
    }

    /// What the catalogs would say. `called` is the name of a table.
    pub(super) fn table(&self, all: &[Draft], called: impl Fn(&Name) -> String) -> Table {
        let columns = self.columns.iter().map(Field::column).collect();
        let mut table = Table { columns, key_origin: Origin::Enforced, ..Table::new(called(&self.name)) };
        table.unreadable.clone_from(&self.lost);
        let doubts: Vec<&str> =
            self.columns.iter().filter_map(|it| it.known.as_ref().err()).map(String::as_str).collect();
        table.partial = (!doubts.is_empty()).then(|| doubts.join("; "));
        let mut indexes: Vec<(&Index, Vec<usize>)> =
            self.indexes.iter().filter_map(|it| Some((it, self.places(&it.columns)?))).collect();
        indexes.sort_by_key(|(it, places)| (!it.primary, places.len(), &it.name));
        let full = |it: &&(&Index, Vec<usize>)| it.0.primary || it.1.iter().all(|&it| !self.columns[it].nullable);
        table.key = indexes.iter().find(full).map(|it| it.1.clone()).unwrap_or_default();
        for (_, columns) in indexes {
            if columns != table.key && !table.uniques.iter().any(|it| it.columns == columns) {
                table.uniques.push(Unique { columns, enforced: true });
            }
        }
        table.uniques.sort_by(|a, b| a.columns.cmp(&b.columns));
        let references = self.references.iter().filter_map(|it| self.foreign_key(it, all, &called));
        table.foreign_keys = references.collect();
        table
    }

    /// Nothing, where the catalogs say nothing either, since to the server values may be equal that differ here.
    fn foreign_key(&self, it: &Reference, all: &[Draft], called: impl Fn(&Name) -> String) -> Option<ForeignKey> {
        let columns = self.places(&it.columns)?;
        let parent = all.iter().find(|other| other.name == it.parent);
        let key = || parent.and_then(|it| it.indexes.iter().find(|it| it.primary)).map(|it| it.columns.clone());
        let to = if it.to.is_empty() { key().unwrap_or_default() } else { it.to.clone() };
        let of = |name: &String| parent?.columns.iter().find(|it| it.name == *name)?.known.as_ref().ok();
        let compares = |(&child, parent): (&usize, &String)| match (&self.columns[child].known, of(parent)) {
            (Ok(child), Some(parent)) => child.compares_with(parent),
            (Ok(child), None) => child.compares_with(child),
            _ => true,
        };
        let compares = columns.iter().zip(&to).all(compares);
        compares.then(|| ForeignKey { columns, table: called(&it.parent), to })
    }

    fn places(&self, names: &[String]) -> Option<Vec<usize>> {
        names.iter().map(|name| self.columns.iter().position(|it| it.name == *name)).collect()
    }
}

impl Index {
    /// Whether a foreign key to these columns rests on it; to none: on the key.
    fn holds(&self, columns: &[String]) -> bool {
        let all = self.columns.len() == columns.len() && columns.iter().all(|it| self.columns.contains(it));
        all || columns.is_empty() && self.primary
    }
}

impl Field {
    fn column(&self) -> Column {
        let column = match &self.known {
            Err(_) => Column { origin: Origin::Guessed, ..Column::new(&self.name, crate::value::Type::Any) },
            Ok(known) => {
                let form = Form::of(&known.declared).0;
                let origin = if form.fits("UTF8") { Origin::Enforced } else { Origin::Declared };
                Column { origin, ..Column::new(&self.name, form.ty()) }
            }
        };
        Column { nullable: self.nullable, ..column }
    }
}

impl Name {
    /// A name as it is written; `schema` is the one of names without one.
    pub(super) fn of(written: &ObjectName, schema: &str) -> Name {
        let mut parts = parts(written);
        let name = parts.pop().unwrap_or_default();
        Name { schema: parts.pop().unwrap_or_else(|| schema.to_owned()), name }
    }
}

/// The parts of a name with dots.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|it| it.as_ident()).map(folded_ident).collect()
}

pub(super) fn folded_ident(it: &Ident) -> String {
    let name = if it.quote_style.is_some() { it.value.clone() } else { folded(&it.value) };
    cut(&name, LONGEST).to_owned()
}

/// How long a name is at most, in bytes. The server cuts what is longer, in silence.
const LONGEST: usize = 63;

fn cut(name: &str, length: usize) -> &str {
    &name[..name.floor_char_boundary(length)]
}

/// A name as the server makes one up of those of a table and of its columns: what is longer of the two is cut first.
fn made_up(table: &str, columns: &str, suffix: &str) -> String {
    let signs = 1 + suffix.len() + usize::from(!columns.is_empty());
    let (room, mut lengths) = (LONGEST.saturating_sub(signs), [table.len(), columns.len()]);
    while lengths[0] + lengths[1] > room {
        lengths[usize::from(lengths[0] <= lengths[1])] -= 1;
    }
    let parts = [cut(table, lengths[0]), cut(columns, lengths[1]), suffix];
    parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("_")
}

/// The column that an expression of an index is, as the server sees it: parentheses and a collation make no other of it.
fn plain(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(it) => Some(folded_ident(it)),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded_ident),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => plain(inner),
        _ => None,
    }
}

/// A name without quotes, as the server takes it.
pub(super) fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}
