//! A namespace of Workers KV as a target.
//!
//! KV has no transactions, no marks and no condition on a write. So what is there is looked at right before, and only then is
//! written: to do it again comes to the same. A pair is always written with its metadata and its expiration, since a write
//! without them removes both.

use super::{
    BULK, Kv,
    api::{Outcome, Pair},
    entry::{self, METADATA, VALUE},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Row},
    schema::Table,
    store::{
        Options,
        about::{Fact, Level},
        pace::Cost,
        target::{Begin, Changes, Room, Target, Work, Written},
    },
    value::{
        Type, Value,
        cast::Cast,
        decimal,
        time::{to_epoch, write_date, write_moment, write_time},
        write_uuid,
    },
};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// One namespace, to write to.
pub struct Writer {
    store: Kv,
    /// Requests a second, where somebody said how many.
    rate: Option<f64>,
}

/// What a row says of a key. What is not written stays as it is.
#[derive(Default)]
struct Wanted {
    key: String,
    value: Option<Vec<u8>>,
    /// Nothing in it: the key has none.
    metadata: Option<Option<Box<RawValue>>>,
    expiration: Option<Option<i64>>,
}

/// Pairs that one request may have.
const PAIRS_MAX: usize = 10_000;
/// Bytes of cells in one request, which may have 100 MB. Base64 makes a third more of them.
const BYTES_MAX: usize = 32 << 20;
const KEY_MAX: usize = 512;
const VALUE_MAX: usize = 25 << 20;
const METADATA_MAX: usize = 1024;
/// Seconds that a key has to live at least.
const LIFE_MIN: i64 = 60;
/// How often keys are written that the service leaves out.
const ATTEMPTS: usize = 3;

impl Writer {
    /// Opens the namespace as [`Kv::open`] does.
    ///
    /// # Errors
    /// As there.
    pub fn open(options: &Options) -> Result<Writer> {
        Ok(Writer { store: Kv::open(options)?, rate: options.rate })
    }

    /// What the rows of a batch say.
    fn wanted(&self, batch: &Batch, keys_only: bool) -> Result<Vec<Wanted>> {
        let shape = batch.shape();
        let places = super::places(&self.store.table, shape)?;
        if shape.keyless || shape.key != 1 || places.first() != Some(&entry::KEY) {
            return Err(Error::new(Kind::Plan, "kv: rows are told apart by `key`; name it as the key of the table"));
        }
        let bytes = self.store.table.columns.get(VALUE).is_some_and(|it| it.ty == Type::Bytes);
        let count = if keys_only { 1 } else { places.len() };
        let one = |row: Row<'_>| {
            let mut out = Wanted::default();
            let mut scratch = Vec::new();
            for (place, (&column, field)) in places.iter().zip(&shape.fields).enumerate().take(count) {
                let value = row.value(place, &mut scratch);
                match column {
                    entry::KEY => out.key = self.key(value)?,
                    VALUE => out.value = Some(written(value, &field.cast, row.cell(place), bytes)?),
                    METADATA => out.metadata = Some(metadata(value)?),
                    _ => out.expiration = Some(expiration(value)?),
                }
            }
            Ok(out)
        };
        batch.rows().map(one).collect()
    }

    /// A key that the service takes, and that this store hands out.
    fn key(&self, value: Value<'_>) -> Result<String> {
        let Value::Text(key) = value else { return Err(refused("key", "it is no text")) };
        match key {
            "" | "." | ".." => Err(refused("key", "no key may be empty, `.` or `..`")),
            it if it.len() > KEY_MAX => Err(refused("key", &format!("{} bytes, and a key has {KEY_MAX}", it.len()))),
            it if !self.store.selection.selects(it) => {
                Err(refused("key", "`prefix`, `include` and `exclude` of the target leave this key out"))
            }
            it => Ok(it.to_owned()),
        }
    }

    /// Which of these keys are there.
    fn present(&mut self, keys: &[&str]) -> Result<HashSet<String>> {
        let (Some(first), Some(last)) = (keys.iter().min(), keys.iter().max()) else { return Ok(HashSet::new()) };
        // All keys lie between these two, so they begin as both do. One page of a list may show all of them.
        let shared = first.char_indices().zip(last.chars()).take_while(|((_, a), b)| a == b);
        let length = shared.last().map_or(0, |((at, it), _)| at + it.len_utf8());
        let page = self.store.api.list(first.get(..length).unwrap_or_default(), "", 1000)?;
        if page.cursor.is_empty() {
            return Ok(page.keys.into_iter().map(|it| it.name).collect());
        }
        let mut found = HashSet::new();
        let mut left: Vec<&[&str]> = keys.chunks(BULK).collect();
        while let Some(some) = left.pop() {
            match self.store.api.bulk(some)? {
                Some(bulk) => found.extend(bulk.present()),
                None => left.extend(
                    <[&[&str]; 2]>::from(some.split_at(some.len() / 2)).into_iter().filter(|it| !it.is_empty()),
                ),
            }
        }
        Ok(found)
    }

    /// The pair that an update comes to, with what it leaves as it is. Nothing: the key is gone.
    fn updated(&mut self, mut wanted: Wanted) -> Result<Option<Pair>> {
        let Some(found) = self.store.api.single(&wanted.key)? else { return Ok(None) };
        wanted.value.get_or_insert(found.value);
        wanted.expiration.get_or_insert(found.expiration);
        if wanted.metadata.is_none() {
            wanted.metadata = Some(self.store.api.metadata(&wanted.key)?);
        }
        self.pair(wanted).map(Some)
    }

    fn pair(&self, wanted: Wanted) -> Result<Pair> {
        let value = wanted.value.ok_or_else(|| refused("value", "a key has to have a value"))?;
        let expiration = wanted.expiration.flatten();
        // Before the service has said what time it is it has refused nothing either.
        if let Some((at, now)) = expiration.zip(self.store.api.now()).filter(|(at, now)| at - now < LIFE_MIN) {
            let what = format!("a key has to live for {LIFE_MIN} s at least, and this one would for {} s", at - now);
            return Err(refused("expiration", &what));
        }
        Ok(Pair::new(wanted.key, value, wanted.metadata.flatten(), expiration))
    }

    /// Writes pairs, and those that the service leaves out again.
    fn put(&mut self, mut pairs: Vec<Pair>) -> Result<()> {
        let all = pairs.len();
        for _ in 0..ATTEMPTS {
            if pairs.is_empty() {
                return Ok(());
            }
            let Outcome { left_out } = self.store.api.put(&pairs)?;
            pairs.retain(|it| left_out.contains(it.key()));
        }
        left_out(pairs.len(), all)
    }

    fn delete(&mut self, mut keys: Vec<String>) -> Result<()> {
        let all = keys.len();
        for _ in 0..ATTEMPTS {
            if keys.is_empty() {
                return Ok(());
            }
            let Outcome { left_out } = self.store.api.delete(&keys)?;
            keys.retain(|it| left_out.contains(it));
        }
        left_out(keys.len(), all)
    }
}

/// Some keys were not written. Where others were, the service has something against these.
fn left_out(count: usize, all: usize) -> Result<()> {
    match count {
        0 => Ok(()),
        it if it == all && all > 1 => Err(Error::new(Kind::Busy, "kv: the service wrote none of the keys")),
        it => Err(Error::new(Kind::Row, format_args!("kv: the service did not write {it} of {all} keys"))),
    }
}

#[cold]
fn refused(column: &str, why: &str) -> Error {
    Error::new(Kind::Row, format_args!("column `{column}`: {why}"))
}

/// The bytes that read back as this value.
fn written(value: Value<'_>, cast: &Cast, cell: &[u8], bytes: bool) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::Null => return Err(refused("value", "a key has to have a value, and this one is NULL")),
        Value::Bool(it) => out.extend(it.to_string().bytes()),
        Value::Int(it) => decimal::from_i64(it, &mut out),
        Value::Real(it) => decimal::from_f64(it, &mut out),
        Value::Date(it) => write_date(it, &mut out),
        Value::Time(it) => write_time(it, &mut out),
        Value::DateTime(it) => write_moment(it, false, &mut out),
        Value::Timestamp(it) => match cast.epoch {
            None => write_moment(it, true, &mut out),
            Some(unit) => out.extend(to_epoch(it, unit).map(|it| it.to_string()).unwrap_or_default().bytes()),
        },
        Value::Uuid(it) => write_uuid(&it, &mut out),
        Value::Decimal(it) | Value::Text(it) | Value::Json(it) => out.extend(it.bytes()),
        Value::Raw(it) | Value::Malformed(it) | Value::Bytes(it) => out.extend(it),
    }
    let mut read = Vec::new();
    let found = if bytes || std::str::from_utf8(&out).is_err() { Value::Bytes(&out) } else { Value::Raw(&out) };
    cast.write(found, false, &mut read);
    if read != cell {
        return Err(refused("value", "KV keeps bytes alone, and from them this value would not read back as it is"));
    }
    if out.starts_with("\u{feff}".as_bytes()) {
        return Err(refused("value", "it begins with a byte order mark, which the service drops when it is read"));
    }
    if out.len() > VALUE_MAX {
        return Err(refused("value", &format!("{} bytes, and a value has {VALUE_MAX}", out.len())));
    }
    Ok(out)
}

fn metadata(value: Value<'_>) -> Result<Option<Box<RawValue>>> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Json("null") => return Err(refused("metadata", "null as metadata is none at all to the service")),
        Value::Json(it) => it,
        _ => return Err(refused("metadata", "it is no JSON document")),
    };
    if text.len() > METADATA_MAX {
        return Err(refused("metadata", &format!("{} bytes, and metadata has {METADATA_MAX}", text.len())));
    }
    RawValue::from_string(text.to_owned()).map(Some).map_err(|_| refused("metadata", "it is no JSON document"))
}

fn expiration(value: Value<'_>) -> Result<Option<i64>> {
    match value {
        Value::Null => Ok(None),
        Value::Int(it) => Ok(Some(it)),
        _ => Err(refused("expiration", "it is no number of seconds since 1970")),
    }
}

impl Target for Writer {
    fn room(&self, _: &Table) -> Room {
        Room { rows: 1000, rows_max: PAIRS_MAX, bytes_max: BYTES_MAX }
    }

    /// A batch is looked for and written. What an update leaves as it is has to be fetched.
    fn cost(&self, work: Work) -> Option<Cost> {
        Some(Cost::at_cloudflare(2 * (work.batches + work.updates), self.rate))
    }

    fn fingerprint(&self) -> String {
        format!("kv {}", self.store.api.id())
    }

    fn begin(&mut self, _: &Begin<'_>) -> Result<Vec<Fact>> {
        // Whether it is there, and what time it is there.
        self.store.api.list("", "", 10)?;
        let late =
            "Workers KV shows everywhere what was written after up to a minute; until then it may read as before";
        Ok(vec![Fact::new("state", late).level(Level::Note)])
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        let deletes: Vec<String> = self.wanted(changes.deletes, true)?.into_iter().map(|it| it.key).collect();
        let (updates, mut inserts) = (self.wanted(changes.updates, false)?, self.wanted(changes.inserts, false)?);
        let keys: Vec<&str> = inserts.iter().map(|it| it.key.as_str()).collect();
        let present = self.present(&keys)?;
        inserts.retain(|it| !present.contains(&it.key));
        let mut pairs = inserts.into_iter().map(|it| self.pair(it)).collect::<Result<Vec<Pair>>>()?;
        let inserted = pairs.len() as u64;
        for wanted in updates {
            pairs.extend(self.updated(wanted)?);
        }
        let updated = pairs.len() as u64 - inserted;
        let deleted = deletes.len() as u64;
        self.delete(deletes)?;
        self.put(pairs)?;
        Ok(Written { inserted, updated, deleted })
    }

    fn mark(&mut self, _: &str, _: &str) -> Result<Option<u64>> {
        Ok(None)
    }
}
