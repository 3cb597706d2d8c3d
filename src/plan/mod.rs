//! The plan file, `cutover.toml`: source, target, tables, rules, gate. The only configuration there is.
//!
//! [`parse`] turns its text into a [`Plan`] or into every [`Fault`] it has, each with line and column; [`render`] shows
//! them beside the text. Nothing here reads a file, the environment or a clock: the caller passes the text and a way to
//! look `${NAME}` up. jq and SQL are carried as text with their place and compiled further up.
//!
//! ```
//! let text = r#"
//! version = 1
//! source = { kind = "json", path = "${EXPORT:-export.json}" }
//! target = { kind = "sqlite", path = "site.db" }
//!
//! [[table]]
//! into = "users"
//! key = ["id"]
//! columns.id = ".id"
//! columns.email = { from = ".mail", required = true }
//! "#;
//! let plan = cutover::plan::parse(text, "conf/cutover.toml", &|_| None).unwrap();
//! assert_eq!(plan.source.path.as_deref(), Some("export.json"));
//! assert_eq!(plan.resolve("site.db").to_str(), Some("conf/site.db"));
//! assert_eq!(plan.tables[0].columns.as_ref().unwrap()[1].0, "email");
//!
//! let faults = cutover::plan::parse("sorce = 2", "cutover.toml", &|_| None).unwrap_err();
//! assert_eq!(faults.len(), 4);
//! assert_eq!(faults[3].to_string(), "1:1: unknown key `sorce` (did you mean `source`?)");
//! ```
mod around;
mod check;
mod encryption;
mod fault;
mod interpolate;
mod keys;
mod migrate;
mod parse;
mod read;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

pub use around::{Address, Cached, Call, Hook, Hooks, Query, Warm};
pub use encryption::{FieldKey, key_bytes};
pub use fault::{Fault, render};
pub(crate) use fault::{nearest, quoted};
pub use interpolate::parse_dotenv;
pub use migrate::{Merge, Migrate};
pub use parse::parse;
pub(crate) use read::address;
pub use read::{time_span, time_zone};
pub use schema::json_schema;

use crate::value::Type;
pub use crate::value::time::EpochUnit as Epoch;

/// JSON text of one value, with numbers exactly as the plan writes them.
pub type Json = String;

/// A whole migration, declared. Made by [`parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where the plan lies, as the caller named it. Relative paths in it start from its folder, see [`Plan::resolve`].
    pub path: String,
    /// BLAKE3 of the plan's raw text, in hex: variables are not part of it.
    pub hash: String,
    /// Time zone of timestamps that carry none, an IANA name or an offset. UTC if absent.
    pub zone: Option<String>,
    /// What generated ids are derived from.
    pub seed: String,
    /// The instant, RFC 3339, that stands for "now" wherever a mapping makes a time up.
    pub instant: Option<String>,
    /// Where rows come from.
    pub source: Endpoint,
    /// Where rows shall be.
    pub target: Endpoint,
    /// How each target table comes to be, in the plan's order. Empty: the plan declares none.
    pub tables: Vec<Mapping>,
    /// Tables that the plan declares and that this run leaves out. No plan file says it.
    pub left_out: Vec<Mapping>,
    /// Witnesses: questions whose two answers must agree.
    pub checks: Vec<Check>,
    /// What still counts as a pass.
    pub gate: Policy,
    /// How `migrate` writes.
    pub migrate: Migrate,
    /// Who is told of a run.
    pub hooks: Hooks,
    /// Requests that fill a cache once a migration passed.
    pub warm: Vec<Warm>,
    /// Queries that are timed on both sides.
    pub queries: Vec<Query>,
    /// The folder for logs. See [`Plan::resolve`].
    pub log_folder: Option<String>,
}

/// One store of a plan.
#[derive(Clone, Default, PartialEq)]
pub struct Endpoint {
    /// What kind of store, one of the words under `kind` in the [schema](json_schema).
    pub kind: String,
    /// File or folder, as the plan says after interpolation. See [`Plan::resolve`].
    pub path: Option<String>,
    /// File with the DDL that the store has, or gets when it is created.
    pub schema: Option<String>,
    /// Whether views are compared like tables.
    pub views: bool,
    /// The CSV field that stands for NULL. Absent: no field does.
    pub null: Option<String>,
    /// The byte between CSV fields.
    pub delimiter: Option<u8>,
    /// Declared column types, by table and column, for stores that know none.
    pub types: BTreeMap<String, BTreeMap<String, Type>>,
    /// The other settings of a live store, such as `id`, `token` and `url`, after interpolation. May hold secrets.
    pub settings: BTreeMap<String, Setting>,
    /// What a report calls this store: its path, its id, or its address without user, password and query. Never a
    /// secret.
    pub name: String,
}

/// One setting of a live store, after interpolation. It may be a secret, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Setting {
    /// One text; numbers and truth values are written out.
    Text(String),
    /// Several.
    Texts(Vec<String>),
    /// Several with names, in the plan's order.
    Named(Vec<(String, String)>),
}

/// How one target table comes to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    /// The target table.
    pub into: String,
    /// The source table or collection. Absent: the one of the same name, or the only one there is.
    pub from: Option<String>,
    /// Only source rows whose key begins with one of these take part, letter for letter. Empty: all do.
    pub prefix: Vec<String>,
    /// `where`: jq on one source row that says whether it takes part.
    pub filter: Option<Expression>,
    /// jq from one source row to any number of items. Absent: the row is the item.
    pub each: Option<Expression>,
    /// Columns that identify a row. `None`: as the target's schema says. Empty: rows are compared whole, as a multiset.
    pub key: Option<Vec<String>>,
    /// What to do where the target holds another row under the same key.
    pub conflict: Conflict,
    /// `on_clash`: rows whose key belongs to another row of the target get a new one, once.
    pub new_ids: bool,
    /// The target's column by which [`Conflict::Newest`] decides.
    pub newest_by: Option<String>,
    /// The source's column of times, by which a run can be kept to some rows.
    pub dated: Option<String>,
    /// How each column is made, in the plan's order. `None`: columns of the same names, cast by type.
    pub columns: Option<Vec<(String, Rule)>>,
    /// Columns whose values are shown nowhere, beside those whose rule says so: for rows that are copied without rules. No plan
    /// file says it.
    pub veiled: Vec<String>,
    /// Sets of columns that no two rows may share.
    pub uniques: Vec<Vec<String>>,
    /// Columns that must find a row in another table.
    pub references: Vec<Reference>,
    /// The source row that lists the ids of the records.
    pub index: Option<KeyIndex>,
    /// Path of rows written by hand that the target must hold: a witness. See [`Plan::resolve`].
    pub expect: Option<String>,
    /// How columns of the source are made back from a target row: a witness, where the mapping can be undone.
    pub inverse: Option<Vec<(String, Rule)>>,
    /// A program and its arguments that reads rows as NDJSON and writes `{"table":…,"row":{…}}` lines.
    pub command: Option<Vec<String>>,
    /// Where the plan declares it.
    pub place: Place,
}

/// jq, or SQL where a [`Check`] says so, with its place in the plan. Compiled further up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expression {
    /// The text, without the quotes.
    pub text: String,
    /// Line of its first character, from 1.
    pub line: u32,
    /// Column of its first character in characters, from 1.
    pub column: u32,
    /// Bytes of the plan's text that hold it, quotes included.
    pub span: Range<usize>,
}

/// Where in the plan something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Bytes of the plan's text.
    pub span: Range<usize>,
}

/// How one target column is made from an item. The default takes the item's field of the same name as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// jq on the item. Absent: the field that is called like the column.
    pub from: Option<Expression>,
    /// Stands in where the value is missing or null.
    pub default: Option<Json>,
    /// The type, where the target's schema says nothing or something else.
    pub ty: Option<ColumnType>,
    /// Text of a source value → what it becomes, in the plan's order. Strict: any other value is a reject.
    pub map: Option<Vec<(String, Json)>>,
    /// A missing, null or empty value is a reject.
    pub required: bool,
    /// A regular expression, known to compile, that text must match somewhere.
    pub matches: Option<String>,
    /// Least value allowed, exact decimal text.
    pub min: Option<String>,
    /// Greatest value allowed, exact decimal text.
    pub max: Option<String>,
    /// The only values allowed.
    pub one_of: Option<Vec<Json>>,
    /// Cut blanks off both ends.
    pub trim: bool,
    /// Drop NUL characters.
    pub strip_nul: bool,
    /// Coarsening: cut times to this unit, one of [`Rule::UNITS`], on both sides.
    pub truncate: Option<String>,
    /// Coarsening: round to this many decimals on both sides.
    pub round: Option<u32>,
    /// Coarsening: do not compare the column at all.
    pub ignore: bool,
    /// Mask the column's values in everything that is shown or stored.
    pub secret: bool,
    /// Encrypt the value with this key. The column is secret, too.
    pub encrypt: Option<FieldKey>,
    /// Whose value stays under [`Conflict::Merge`].
    pub merge: Merge,
    /// The value is made up, from the item and the plan's seed and instant.
    pub generated: Option<Generated>,
    /// Why, in the plan's words. Always there with a coarsening.
    pub because: Option<String>,
    /// Where the plan declares it.
    pub place: Place,
}

/// A column type as plans write it: a [`Type`], or a number that counts from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// The type. With an epoch it is [`Type::Timestamp`].
    pub ty: Type,
    /// Numbers are instants, counted in this unit.
    pub epoch: Option<Epoch>,
}

/// How a made-up id looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    /// 26 characters of Crockford's base 32, <https://github.com/ulid/spec>.
    Ulid,
    /// RFC 9562.
    Uuid,
}

/// What to do where the target holds another row under the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Change nothing and fail.
    #[default]
    Stop,
    /// Keep the target's row.
    Skip,
    /// Write the mapped row.
    Overwrite,
    /// Write the mapped columns, keep the others.
    Merge,
    /// Keep the row that is newer.
    Newest,
    /// Ask for each.
    Ask,
}

/// Columns that must find a row in another table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// Columns of this table.
    pub columns: Vec<String>,
    /// The target table referred to.
    pub table: String,
    /// Its columns, in the same order. Empty: its key.
    pub to: Vec<String>,
}

/// A source row that lists the ids of records, each a row of its own, as in `clients:all` → `client:{id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyIndex {
    /// The key of that row. It is no record itself.
    pub key: String,
    /// jq from that row to the ids.
    pub ids: Expression,
    /// What the key of a record has in front of its id.
    pub record: String,
    /// Where the plan declares it.
    pub place: Place,
}

/// A witness: at least two of `source`, `target` and `expect`, which must all be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// What reports call it. Unique in a plan.
    pub name: String,
    /// The target table it vouches for. Absent: the plan does not say.
    pub table: Option<String>,
    /// A question to the source: SQL if the source is an SQL store and the text reads as SQL, else jq over the array of
    /// rows.
    pub source: Option<Expression>,
    /// The same for the target.
    pub target: Option<Expression>,
    /// The collection that jq runs over. Absent: the only one there is.
    pub from: Option<String>,
    /// The answer, known beforehand.
    pub expect: Option<Json>,
    /// Whether the answers are masked. If the plan does not say, those in words are where any column is secret.
    pub secret: Option<bool>,
    /// Where the plan declares it.
    pub place: Place,
}

/// How much difference is still a pass. The default lets nothing through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Rows the target lacks.
    pub missing: Limit,
    /// Rows only the target has.
    pub extra: Limit,
    /// Rows that differ.
    pub changed: Limit,
    /// Rows beyond the first under one key.
    pub duplicates: Limit,
    /// Rows that refer to nothing.
    pub orphans: Limit,
    /// Rows that break a unique constraint.
    pub clashes: Limit,
    /// Source rows that the mapping refuses.
    pub rejects: Limit,
    /// Values that break their type or rule.
    pub invalid: Limit,
    /// Tables that may be empty on both sides.
    pub allow_empty: Names,
    /// Rows of the source that no table takes and that are left behind on purpose, by what their key begins with.
    pub leave: Vec<String>,
    /// By source table: rows that no table takes. `None`: none where a `prefix` selects, any number where only `where` does.
    pub unselected: Option<Limit>,
    /// Tables, or columns as `table.column`, that may stand on one side only.
    pub unpaired: Vec<String>,
}

/// The most findings of one kind that a table may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// For each table that `tables` does not name.
    pub all: u64,
    /// For single tables.
    pub tables: BTreeMap<String, u64>,
}

/// All names, or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Every one.
    All,
    /// These. None of them: nothing.
    Some(BTreeSet<String>),
}

impl Plan {
    /// Where a path written in the plan leads: relative ones start from the plan's folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        Path::new(&self.path).parent().unwrap_or(Path::new("")).join(path)
    }

    /// Where the plan lies, and where its programs run.
    pub fn folder(&self) -> PathBuf {
        let folder = self.resolve("");
        if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }
    }

    /// The mapping that fills the target table `into`.
    pub fn table(&self, into: &str) -> Option<&Mapping> {
        self.tables.iter().find(|it| it.into == into)
    }

    /// Whether the values of a column of a target table are to be shown nowhere.
    pub fn is_secret(&self, table: &str, column: &str) -> bool {
        self.tables.iter().filter(|it| it.into == table).any(|it| it.is_secret(column))
    }

    /// The target tables whose rows may have new ids, also where this run leaves them out.
    pub fn renamed(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().chain(&self.left_out).filter(|it| it.new_ids).map(|it| it.into.as_str())
    }

    /// Whether the values of any column are.
    pub fn has_secrets(&self) -> bool {
        self.tables.iter().any(|it| it.secrets().next().is_some())
    }
}

impl Mapping {
    /// The columns of the target whose values are shown nowhere, as the plan spells them.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let ruled = self.columns.iter().flatten().filter(|it| it.1.secret).map(|it| &it.0);
        ruled.chain(&self.veiled).map(String::as_str)
    }

    /// Whether a column is one of them, letter case aside: columns are paired so.
    pub fn is_secret(&self, column: &str) -> bool {
        self.secrets().any(|it| it.eq_ignore_ascii_case(column))
    }
}

impl Expression {
    /// Something wrong with this expression, for [`render`].
    pub fn fault(&self, message: impl fmt::Display) -> Fault {
        Place { line: self.line, column: self.column, span: self.span.clone() }.fault(message)
    }
}

impl Place {
    /// Something wrong at this place, for [`render`].
    pub fn fault(&self, message: impl fmt::Display) -> Fault {
        Fault::at(self, message)
    }
}

impl Rule {
    /// What `truncate` may cut to.
    pub const UNITS: &[&str] = &["year", "day", "hour", "minute", "second", "millisecond", "microsecond"];

    /// Whether two unequal values may count as the same because of this rule.
    pub fn coarsens(&self) -> bool {
        self.ignore || self.truncate.is_some() || self.round.is_some()
    }
}

impl ColumnType {
    /// The type called `name`, such as `int` or `epoch-ms`.
    pub fn parse(name: &str) -> Option<ColumnType> {
        let epoch = match name {
            "epoch-s" => Epoch::Seconds,
            "epoch-ms" => Epoch::Millis,
            "epoch-us" => Epoch::Micros,
            _ => return Type::parse(name).map(|ty| ColumnType { ty, epoch: None }),
        };
        Some(ColumnType { ty: Type::Timestamp, epoch: Some(epoch) })
    }
}

impl Limit {
    /// The most that `table` may have.
    pub fn of(&self, table: &str) -> u64 {
        self.tables.get(table).copied().unwrap_or(self.all)
    }

    /// Lets at least so many through, whatever the table.
    pub fn raise(&mut self, least: u64) {
        self.all = self.all.max(least);
        self.tables.values_mut().for_each(|it| *it = (*it).max(least));
    }
}

impl Policy {
    /// The tables that limits and `allow_empty` name.
    pub fn tables(&self) -> BTreeSet<&String> {
        let limits = [&self.missing, &self.extra, &self.changed, &self.duplicates, &self.orphans, &self.clashes];
        let limits = limits.into_iter().chain([&self.rejects, &self.invalid]);
        let mut tables: BTreeSet<&String> = limits.flat_map(|it| it.tables.keys()).collect();
        if let Names::Some(names) = &self.allow_empty {
            tables.extend(names);
        }
        tables
    }
}

impl Names {
    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::Some(names) => names.contains(name),
        }
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::Some(BTreeSet::new())
    }
}

impl Setting {
    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Setting::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Settings may hold secrets, so only their names are shown.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("path", &self.path)
            .field("schema", &self.schema)
            .field("views", &self.views)
            .field("null", &self.null)
            .field("delimiter", &self.delimiter)
            .field("types", &self.types)
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .finish()
    }
}
