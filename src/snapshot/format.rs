//! `snapshot.json`: what a snapshot says about itself.

use super::{HEADER_MAX, damaged, names};
use crate::{
    error::{Error, Kind, Result},
    schema::{Column, ForeignKey, Origin, Table, Unique},
    value::{Type, json},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use std::{collections::HashSet, path::Path};

/// The version that is written, and the only one so far that is read.
pub const FORMAT: &str = "cutover-snapshot/1";

/// The whole of `snapshot.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) store: Store,
    pub(super) captured: String,
    pub(super) notes: Vec<String>,
    pub(super) tables: Vec<TableEntry>,
    /// BLAKE3 of this file as it would be with an empty checksum.
    pub(super) checksum: String,
}

/// Where the rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The kind of store, as plans write it: `sqlite`.
    pub kind: String,
    /// What people call it: `site.db`. No secrets.
    pub name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableEntry {
    name: String,
    columns: Vec<ColumnEntry>,
    key: Vec<String>,
    #[serde(with = "OriginName")]
    key_origin: Origin,
    uniques: Vec<UniqueEntry>,
    foreign_keys: Vec<ForeignKeyEntry>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    nullless: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    /// Written only where it says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partial: Option<String>,
    pub(super) rows: u64,
    pub(super) parts: Vec<Part>,
}

/// A file of a snapshot: some of the rows of one table, in key order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The name of the file in the folder of the snapshot.
    pub file: String,
    /// How many rows it holds.
    pub rows: u64,
    /// How long the file is.
    pub bytes: u64,
    /// How long its text is: the same, unless it is packed.
    pub text: u64,
    /// The key of its first row as a canonical JSON array. None if that is longer than a kibibyte.
    pub first: Option<Box<RawValue>>,
    /// The key of its last row.
    pub last: Option<Box<RawValue>>,
    /// BLAKE3 of the file, in hexadecimal.
    pub blake3: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnEntry {
    name: String,
    #[serde(rename = "type", serialize_with = "type_out", deserialize_with = "type_in")]
    ty: Type,
    #[serde(with = "OriginName")]
    origin: Origin,
    nullable: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UniqueEntry {
    columns: Vec<String>,
    enforced: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignKeyEntry {
    columns: Vec<String>,
    table: String,
    to: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Origin", rename_all = "lowercase")]
enum OriginName {
    Guessed,
    Declared,
    Enforced,
}

fn type_out<S: Serializer>(ty: &Type, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(ty.name())
}

fn type_in<'de, D: Deserializer<'de>>(from: D) -> Result<Type, D::Error> {
    let name = String::deserialize(from)?;
    Type::parse(&name).ok_or_else(|| de::Error::custom(format_args!("`{name}` is no type")))
}

/// All that has to be understood of a header of any version.
#[derive(Deserialize)]
struct Version {
    format: String,
}

impl Header {
    /// The text of the file, with the right checksum.
    ///
    /// # Errors
    /// If it is too long to be read again.
    pub(super) fn sealed(&mut self) -> Result<String> {
        self.checksum = self.digest()?;
        let text = self.text()?;
        if text.len() as u64 > HEADER_MAX {
            let message =
                format_args!("{} would be longer than {HEADER_MAX} bytes: capture fewer tables", names::HEADER);
            return Err(Error::new(Kind::Limit, message));
        }
        Ok(text)
    }

    /// Reads the file at `path`, whose text is `text`, and accepts only what [`Header::sealed`] writes.
    ///
    /// # Errors
    /// If it is anything else.
    pub(super) fn open(path: &Path, text: &str) -> Result<Header> {
        let version: Version = serde_json::from_str(text).map_err(|error| damaged(path, error))?;
        if version.format != FORMAT {
            return Err(foreign(path, &version.format));
        }
        let header: Header = serde_json::from_str(text).map_err(|error| damaged(path, error))?;
        if header.digest()? != header.checksum || header.text()? != text {
            return Err(damaged(path, "its checksum is wrong"));
        }
        header.check(path)?;
        Ok(header)
    }

    /// What a right checksum does not show to be right.
    fn check(&self, path: &Path) -> Result<()> {
        let mut names_seen = HashSet::new();
        for table in &self.tables {
            if !names_seen.insert(&table.name) {
                return Err(damaged(path, format_args!("table `{}` is there twice", table.name)));
            }
            let rows = table.parts.iter().try_fold(0_u64, |sum, it| sum.checked_add(it.rows));
            if rows != Some(table.rows) {
                return Err(damaged(path, format_args!("the rows of table `{}` do not add up", table.name)));
            }
            for (number, part) in (1..).zip(&table.parts) {
                if part.file != names::part(&table.name, number, part.is_packed()) {
                    let message = format_args!("part {number} of table `{}` cannot be {:?}", table.name, part.file);
                    return Err(damaged(path, message));
                }
            }
        }
        Ok(())
    }

    fn digest(&self) -> Result<String> {
        let open = Header { checksum: String::new(), ..self.clone() };
        Ok(blake3::hash(open.text()?.as_bytes()).to_hex().as_str().to_owned())
    }

    fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|it| it + "\n").map_err(|error| Error::new(Kind::Broken, format_args!("{}: {error}", names::HEADER)))
    }
}

/// A header of another version, or of something else.
#[cold]
fn foreign(path: &Path, format: &str) -> Error {
    let number = |it: &str| it.strip_prefix("cutover-snapshot/")?.parse().ok();
    let newer = number(format) > number(FORMAT).or(Some(0_u64));
    let path = path.display();
    match newer {
        true => Error::new(
            Kind::Snapshot,
            format_args!("{path}: written by a newer cutover (`{format}`, this one reads `{FORMAT}`): update cutover"),
        ),
        false => {
            Error::new(Kind::Snapshot, format_args!("{path}: not a snapshot: its format is {format:?}, not `{FORMAT}`"))
        }
    }
}

impl TableEntry {
    /// The declaration of `table`, without rows as yet.
    ///
    /// # Errors
    /// If two of its columns have one name.
    pub(super) fn new(table: &Table) -> Result<TableEntry> {
        let mut seen = HashSet::new();
        if let Some(twice) = table.columns.iter().find(|it| !seen.insert(&it.name)) {
            let message = format_args!("table `{}` has two columns called `{}`; rename one", table.name, twice.name);
            return Err(Error::new(Kind::Store, message));
        }
        let column =
            |it: &Column| ColumnEntry { name: it.name.clone(), ty: it.ty, origin: it.origin, nullable: it.nullable };
        let unique = |it: &Unique| UniqueEntry { columns: table.names(&it.columns), enforced: it.enforced };
        let foreign_key = |it: &ForeignKey| ForeignKeyEntry {
            columns: table.names(&it.columns),
            table: it.table.clone(),
            to: it.to.clone(),
        };
        Ok(TableEntry {
            name: table.name.clone(),
            columns: table.columns.iter().map(column).collect(),
            key: table.names(&table.key),
            key_origin: table.key_origin,
            uniques: table.uniques.iter().map(unique).collect(),
            foreign_keys: table.foreign_keys.iter().map(foreign_key).collect(),
            nullless: table.nullless,
            unreadable: table.unreadable.clone(),
            partial: table.partial.clone(),
            rows: 0,
            parts: Vec::new(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The table as the store declared it.
    ///
    /// # Errors
    /// If a key or constraint names a column that is not there, or two columns have one name.
    pub(super) fn table(&self, path: &Path) -> Result<Table> {
        let columns = &self.columns;
        let wrong = |name: &str| damaged(path, format_args!("column `{name}` of table `{}` is not one", self.name));
        let place = |name: &String| columns.iter().position(|it| it.name == *name).ok_or_else(|| wrong(name));
        let places = |names: &[String]| names.iter().map(place).collect::<Result<Vec<usize>>>();
        let (mut names, mut key) = (HashSet::new(), HashSet::new());
        let twice = columns.iter().map(|it| &it.name).find(|&it| !names.insert(it));
        if let Some(name) = twice.or_else(|| self.key.iter().find(|&it| !key.insert(it))) {
            return Err(wrong(name));
        }
        let unique = |it: &UniqueEntry| Ok(Unique { columns: places(&it.columns)?, enforced: it.enforced });
        let foreign_key = |it: &ForeignKeyEntry| {
            Ok(ForeignKey { columns: places(&it.columns)?, table: it.table.clone(), to: it.to.clone() })
        };
        let column =
            |it: &ColumnEntry| Column { name: it.name.clone(), ty: it.ty, origin: it.origin, nullable: it.nullable };
        Ok(Table {
            name: self.name.clone(),
            columns: columns.iter().map(column).collect(),
            key: places(&self.key)?,
            key_origin: self.key_origin,
            uniques: self.uniques.iter().map(unique).collect::<Result<_>>()?,
            foreign_keys: self.foreign_keys.iter().map(foreign_key).collect::<Result<_>>()?,
            rows_about: Some(self.rows),
            nullless: self.nullless,
            unreadable: self.unreadable.clone(),
            partial: self.partial.clone(),
        })
    }
}

impl Part {
    /// Whether the file is packed.
    pub(super) fn is_packed(&self) -> bool {
        self.file.ends_with(".zst")
    }
}

/// The first line of a part.
pub(super) fn title(table: &Table, number: usize) -> Vec<u8> {
    let mut line = format!("{{\"format\":\"{FORMAT}\",\"table\":").into_bytes();
    json::write_string(&table.name, &mut line);
    line.extend_from_slice(format!(",\"part\":{number},\"columns\":[").as_bytes());
    for (place, column) in table.columns.iter().enumerate() {
        if place > 0 {
            line.push(b',');
        }
        json::write_string(&column.name, &mut line);
    }
    line.extend_from_slice(b"]}\n");
    line
}
