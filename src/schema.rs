//! The shape of tables: names, types, keys and constraints, as a store declares them.
use crate::value::Type;

/// One table of a store.
///
/// ```
/// use cutover::{schema::{Column, Table}, value::Type};
///
/// let mut table = Table::new("users");
/// table.columns = vec![Column::new("id", Type::Int), Column::new("email", Type::Text)];
/// table.key = vec![0];
/// assert_eq!(table.column("email"), Some(1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The name as the store knows it, with a schema in front where the store has several.
    pub name: String,
    /// In the store's order.
    pub columns: Vec<Column>,
    /// Places in `columns` that identify a row. Empty: the table has no key.
    pub key: Vec<usize>,
    /// How the key is known.
    pub key_origin: Origin,
    /// Unique constraints beside the key.
    pub uniques: Vec<Unique>,
    /// References to other tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// About how many rows there are, where the store knows without reading them.
    pub rows_about: Option<u64>,
    /// The store cannot say NULL, as a CSV file cannot: an empty text where something else is wanted is one.
    pub nullless: bool,
    /// Why what can be read may not be all there is, such as row-level security: a pass would say too much.
    pub partial: Option<String>,
    /// Why this table cannot be compared, such as a virtual table.
    pub unreadable: Option<String>,
}

/// One column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name as the store knows it.
    pub name: String,
    /// The type that the declared type stands for.
    pub ty: Type,
    /// How the type is known.
    pub origin: Origin,
    /// Whether the store lets it be NULL.
    pub nullable: bool,
}

/// How much a declaration is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Taken from names or values; the data may well say otherwise.
    #[default]
    Guessed,
    /// Declared, but the store lets other values in: a SQLite column without `STRICT`.
    Declared,
    /// Declared by the plan or enforced by the store: a value that does not fit is a finding.
    Enforced,
}

/// A unique constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// Places in the table's columns.
    pub columns: Vec<usize>,
    /// The store itself refuses a second row.
    pub enforced: bool,
}

/// A reference from columns of this table to columns of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// Places in this table's columns.
    pub columns: Vec<usize>,
    /// The table referred to.
    pub table: String,
    /// Its columns, by name, in the same order. Empty: its key.
    pub to: Vec<String>,
}

impl ForeignKey {
    /// Which of `tables` it leads to: the one of that name, or of that name behind its schema, or of that name letter case aside.
    pub fn parent<'t>(&self, tables: impl IntoIterator<Item = &'t Table, IntoIter: Clone>) -> Option<&'t Table> {
        let tables = tables.into_iter();
        let exact = tables.clone().find(|it| it.name == self.table);
        let behind = || tables.clone().find(|it| it.name.rsplit('.').next() == Some(&self.table));
        exact.or_else(behind).or_else(|| tables.clone().find(|it| it.name.eq_ignore_ascii_case(&self.table)))
    }
}

impl Table {
    /// A table without columns.
    pub fn new(name: impl Into<String>) -> Table {
        Table { name: name.into(), ..Table::default() }
    }

    /// The place of the column called `name`, letter case aside if no column is called exactly that.
    pub fn column(&self, name: &str) -> Option<usize> {
        let exact = self.columns.iter().position(|it| it.name == name);
        exact.or_else(|| self.columns.iter().position(|it| it.name.eq_ignore_ascii_case(name)))
    }

    /// The names of the columns at `places`.
    pub fn names(&self, places: &[usize]) -> Vec<String> {
        places.iter().filter_map(|&it| self.columns.get(it)).map(|it| it.name.clone()).collect()
    }
}

impl Column {
    /// A nullable column with a declared type.
    pub fn new(name: impl Into<String>, ty: Type) -> Column {
        Column { name: name.into(), ty, origin: Origin::Declared, nullable: true }
    }
}
