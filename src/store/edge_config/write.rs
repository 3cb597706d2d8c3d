//! An Edge Config as a target, over its management interface. A batch is one request, which the service takes whole or not at
//! all.

use super::{Access, EdgeConfig, judge};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Row},
    schema::Table,
    store::{
        Options,
        about::{Fact, Level},
        document,
        pace::Cost,
        target::{Begin, Changes, Room, Target, Work, Written},
        web::{Advice, Answer, Request},
    },
    value::Value,
};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// One Edge Config, to write to.
pub struct Writer {
    store: EdgeConfig,
    /// Requests a second, where somebody said how many.
    rate: Option<f64>,
}

/// What is done to one item.
#[derive(Serialize)]
struct Item {
    operation: &'static str,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
}

/// Characters that a key may have.
const KEY_MAX: usize = 256;

impl Writer {
    /// Finds out how to reach the store, as [`EdgeConfig::open`] does.
    ///
    /// # Errors
    /// As there, and if there is only a connection string, which cannot write.
    pub fn open(options: &Options) -> Result<Writer> {
        let store = EdgeConfig::open(options)?;
        if matches!(store.access, Access::Reading) {
            let what =
                "edge-config: a connection string can only read; to write, set EDGE_CONFIG_TOKEN to an access token";
            return Err(Error::new(Kind::Plan, what));
        }
        Ok(Writer { store, rate: options.rate })
    }

    /// The keys that are there.
    fn keys(&mut self) -> Result<HashSet<String>> {
        #[derive(Deserialize)]
        struct Key {
            key: String,
        }
        let answer = self.store.manage("/items")?;
        let items: Vec<Key> = answer.json().map_err(|it| Error::new(Kind::Store, it))?;
        Ok(items.into_iter().map(|it| it.key).collect())
    }

    fn send(&self, items: &[Item]) -> Result<()> {
        #[derive(Serialize)]
        struct Items<'i> {
            items: &'i [Item],
        }
        if items.is_empty() {
            return Ok(());
        }
        let Access::Management { families, team } = &self.store.access else { return Ok(()) };
        let family = families.first().copied().unwrap_or_default();
        let path = format!("/v1/{family}/{}/items{team}", self.store.id);
        let json = serde_json::to_vec(&Items { items }).map_err(|it| Error::new(Kind::Broken, it))?;
        self.store.web.send(&Request::write(Method::PATCH, &path, &json), &judge_write).map(|_| ())
    }
}

/// The items of a batch whose keys are wanted.
fn items(operation: &'static str, batch: &Batch, wanted: impl Fn(&str) -> bool) -> Result<Vec<Item>> {
    let fields = &batch.shape().fields;
    let is_key = fields.first().is_some_and(|it| it.column == "key") && batch.shape().key == 1;
    if batch.shape().keyless || !is_key || fields.iter().skip(1).any(|it| it.column != "value") {
        return Err(Error::new(Kind::Plan, "edge-config: an item has a `key`, which tells it apart, and a `value`"));
    }
    let mut out = Vec::new();
    for row in batch.rows() {
        let key = key(row)?;
        if !wanted(&key) {
            continue;
        }
        let value = match fields.get(1).filter(|_| operation != "delete") {
            Some(it) => {
                let text = document::json(row, 1, it)?;
                Some(RawValue::from_string(text).map_err(|it| Error::new(Kind::Broken, it))?)
            }
            None => None,
        };
        out.push(Item { operation, key, value });
    }
    Ok(out)
}

fn key(row: Row<'_>) -> Result<String> {
    let mut scratch = Vec::new();
    let is_plain = |it: &str| it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-'));
    match row.value(0, &mut scratch) {
        Value::Text(it) if !it.is_empty() && it.len() <= KEY_MAX && is_plain(it) => Ok(it.to_owned()),
        _ => {
            let what = "a key of an Edge Config has 1 to 256 letters, digits, `_` and `-`";
            Err(Error::new(Kind::Row, format_args!("column `key`: {what}")))
        }
    }
}

/// What the service says of a write that it has carried out.
#[derive(Deserialize)]
struct Done {
    status: String,
}

/// What to make of an answer to a write.
fn judge_write(answer: &Answer) -> Advice {
    let said = answer.summary();
    let lower = said.to_ascii_lowercase();
    let is_full = ["size", "limit", "too large", "exceed"].iter().any(|it| lower.contains(it));
    match answer.status {
        200..=299 => match answer.json::<Done>() {
            Ok(it) if it.status == "ok" => Advice::Take,
            Ok(it) => {
                Advice::Fail(Kind::Unsure, format!("an answer to a write has the status `{}`, not `ok`", it.status))
            }
            // Somebody else has answered, or what the service said was cut off.
            Err(why) => Advice::Fail(Kind::Unsure, why),
        },
        400 | 402 | 413 | 422 if is_full || answer.status == 413 => {
            Advice::Fail(Kind::Limit, format!("{said}; the store holds no more than the plan of its owner allows"))
        }
        // Somebody else has written meanwhile.
        409 => Advice::Fail(Kind::Busy, said),
        400 if lower.contains("exist") => Advice::Fail(Kind::Busy, said),
        400 | 422 => Advice::Fail(Kind::Row, said),
        401 | 403 | 404 | 429 => judge(answer),
        _ => Advice::usual(answer),
    }
}

/// What one request may hold.
pub(in crate::store) const ROOM: Room = Room { rows: 500, rows_max: 1000, bytes_max: 512 << 10 };

/// A batch is looked for and written.
pub(in crate::store) fn cost(work: Work, rate: Option<f64>) -> Cost {
    Cost::at(2 * work.batches, rate)
}

impl Target for Writer {
    fn room(&self, _: &Table) -> Room {
        ROOM
    }

    fn cost(&self, work: Work) -> Option<Cost> {
        Some(cost(work, self.rate))
    }

    fn fingerprint(&self) -> String {
        format!("edge-config {}", self.store.id)
    }

    fn begin(&mut self, _: &Begin<'_>) -> Result<Vec<Fact>> {
        let about = self.store.describe()?;
        let state = format!("{} items, {} bytes, digest {}", about.item_count, about.size_in_bytes, about.digest);
        let back = "`vercel` keeps backups of the store, which its dashboard restores";
        Ok(vec![Fact::new("state", state), Fact::new("backups", back).level(Level::Note)])
    }

    fn write(&mut self, changes: &Changes<'_>) -> Result<Written> {
        let there = self.keys()?;
        let deletes = items("delete", changes.deletes, |it| there.contains(it))?;
        let updates = items("update", changes.updates, |it| there.contains(it))?;
        let inserts = items("create", changes.inserts, |it| !there.contains(it))?;
        let count = |it: &Vec<Item>| it.len() as u64;
        let written = Written { inserted: count(&inserts), updated: count(&updates), deleted: count(&deletes) };
        let all: Vec<Item> = deletes.into_iter().chain(updates).chain(inserts).collect();
        self.send(&all)?;
        Ok(written)
    }

    fn mark(&mut self, _: &str, _: &str) -> Result<Option<u64>> {
        Ok(None)
    }
}
