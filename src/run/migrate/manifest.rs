//! `run.json`: what a run staged, so that it can be undone when neither its plan nor its process is there any more.

use super::stage::Staged;
use crate::{
    disk,
    error::{Error, Kind, Result},
    row::{Field, Shape},
    value::{Type, cast::Cast, time::EpochUnit},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path, sync::Arc};

/// The version that is written, and the only one so far that is read.
const FORMAT: &str = "cutover-run/1";
/// The name of the file in the folder of a run.
const FILE: &str = "run.json";

/// What a run staged.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// The run.
    pub id: String,
    /// The plan, as it was given.
    pub plan: String,
    /// BLAKE3 of its text.
    pub plan_hash: String,
    /// The zone of times without one.
    pub zone: Option<String>,
    /// What tells the target from every other store.
    pub target: String,
    /// The tables, in the order in which they were written.
    pub tables: Vec<Entry>,
}

/// One table of a [`Manifest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The target's name for it.
    pub name: String,
    /// Its folder in that of the run.
    pub folder: String,
    /// How many of the columns, from the first, are the key.
    key: usize,
    columns: Vec<ColumnEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnEntry {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    /// What a number means where an instant is stored as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

/// Words for units of instants that are numbers.
const EPOCHS: [(&str, EpochUnit); 3] =
    [("s", EpochUnit::Seconds), ("ms", EpochUnit::Millis), ("us", EpochUnit::Micros)];

impl Manifest {
    /// A manifest without tables.
    pub fn new(id: &str, plan: (&str, &str), zone: Option<String>, target: &str) -> Manifest {
        let [id, plan, plan_hash, target] = [id, plan.0, plan.1, target].map(str::to_owned);
        Manifest { format: FORMAT.to_owned(), id, plan, plan_hash, zone, target, tables: Vec::new() }
    }

    /// Writes it into the folder of the run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|it| Error::new(Kind::Broken, it))?;
        disk::replace(&path, text.as_bytes())
    }

    /// Reads it from the folder of a run.
    ///
    /// # Errors
    /// If it is not there, damaged, or of a newer version.
    pub fn read(folder: &Path) -> Result<Manifest> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|it| disk::failed(&path, "cannot be read", &it))?;
        let damaged = |it: &dyn std::fmt::Display| Error::new(Kind::Snapshot, format_args!("{}: {it}", path.display()));
        let manifest: Manifest = serde_json::from_str(&text).map_err(|it| damaged(&it))?;
        if manifest.format != FORMAT {
            return Err(damaged(&format_args!("its format is `{}`, this cutover reads `{FORMAT}`", manifest.format)));
        }
        Ok(manifest)
    }

    /// The zone of times without one.
    ///
    /// # Errors
    /// If there is no such zone.
    pub fn zone(&self) -> Result<Option<jiff::tz::TimeZone>> {
        let Some(name) = &self.zone else { return Ok(None) };
        let zone = crate::plan::time_zone(name);
        zone.map(Some).ok_or_else(|| Error::new(Kind::Snapshot, format_args!("there is no time zone `{name}`")))
    }
}

impl Entry {
    /// What is kept of a staged table, whose rows are written in `shape`.
    pub fn new(staged: &Staged, shape: &Shape) -> Entry {
        let column = |it: &Field| ColumnEntry {
            name: it.column.clone(),
            ty: it.cast.ty.name().to_owned(),
            epoch: EPOCHS.iter().find(|epoch| Some(epoch.1) == it.cast.epoch).map(|it| it.0.to_owned()),
        };
        Entry {
            name: staged.table.name.clone(),
            folder: staged.folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            key: staged.table.key.len(),
            columns: shape.fields.iter().map(column).collect(),
        }
    }

    /// The shape in which its rows are written.
    pub fn shape(&self, zone: Option<&jiff::tz::TimeZone>) -> Arc<Shape> {
        let field = |it: &ColumnEntry| {
            let epoch = EPOCHS.iter().find(|epoch| Some(epoch.0) == it.epoch.as_deref()).map(|it| it.1);
            let ty = Type::parse(&it.ty).unwrap_or_default();
            Field::new(it.name.clone(), Cast { ty, zone: zone.cloned(), epoch, ..Cast::default() })
        };
        let fields: Vec<Field> = self.columns.iter().map(field).collect();
        let (compared, keyless) = (fields.len(), self.key == 0);
        Arc::new(Shape { fields, key: if keyless { compared } else { self.key }, compared, keyless })
    }
}
