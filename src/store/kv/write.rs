//! A namespace of Workers KV as a target.
//!
//! KV has no transactions, no marks and no condition on a write. So what is there is looked at right before, and only then is
//! written: to do it again comes to the same. A pair is always written with its metadata and its expiration, since a write
//! without them removes both.

use super::{
    BULK, Kv,
    api::{Outcome, Pair},
    pairs::{self, Wanted, refused},
};
use crate::{
    error::{Error, Kind, Result},
    row::Batch,
    schema::Table,
    store::{
        Options,
        about::{Fact, Level},
        pace::Cost,
        target::{Begin, Changes, Room, Target, Work, Written},
    },
};
use std::collections::HashSet;

/// One namespace, to write to.
pub struct Writer {
    store: Kv,
    /// Requests a second, where somebody said how many.
    rate: Option<f64>,
}

/// Pairs that one request may have.
const PAIRS_MAX: usize = 10_000;
/// Bytes of cells in one request, which may have 100 MB. Base64 makes a third more of them.
const BYTES_MAX: usize = 32 << 20;
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

    fn wanted(&self, batch: &Batch, keys_only: bool) -> Result<Vec<Wanted>> {
        pairs::wanted((&self.store.table, &self.store.selection), batch, keys_only)
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

/// What one request may hold.
pub(in crate::store) const ROOM: Room = Room { rows: 1000, rows_max: PAIRS_MAX, bytes_max: BYTES_MAX };

/// A batch is looked for and written. What an update leaves as it is has to be fetched.
pub(in crate::store) fn cost(work: Work, rate: Option<f64>) -> Cost {
    Cost::at_cloudflare(2 * (work.batches + work.updates), rate)
}

impl Target for Writer {
    fn room(&self, _: &Table) -> Room {
        ROOM
    }

    fn cost(&self, work: Work) -> Option<Cost> {
        Some(cost(work, self.rate))
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
