//! Workers KV: a namespace through Cloudflare's REST interface, or as `wrangler dev` keeps it on this machine ([`local`]).
//!
//! A namespace is one table, `entries(key, value, metadata, expiration)`. A value is whatever bytes somebody put there. Text
//! that is JSON is compared as JSON, other text as text, and what is no text as bytes, unless the plan says otherwise.
//!
//! Keys are listed a thousand at a time and their values fetched in bulk, a hundred at a time, as text. What text cannot carry
//! is asked for once more by itself: values with U+FFFD in them, which may have been bytes, and values that came back as
//! nothing, as empty ones do. A byte order mark at the start of a value is the one thing that a bulk read drops unseen.
//!
//! Lists and values agree only after up to a minute. A key that is listed and has no value has expired, was deleted meanwhile,
//! or is still on its way: the first is noted, with the second nothing passes, the last is an error.

mod api;
mod entry;
pub mod local;
pub mod local_write;
mod pairs;
pub mod write;

use super::{
    Options, Source,
    about::{Fact, Level},
    cloudflare::Account,
    places,
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Shape},
    schema::Table,
    value::Value,
};
use api::{Api, Listed, Page, Single};
use entry::{Entry, Out, Selection, VALUE};
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// Keys that one bulk read may ask for.
const BULK: usize = 100;
/// Pages without a key that may come one after another, as they do where many keys were deleted.
const EMPTY_PAGES: usize = 100;

/// A namespace, reached by REST.
pub struct Kv {
    api: Api,
    table: Table,
    selection: Selection,
    /// What a person calls the namespace.
    name: String,
    left_out: LeftOut,
}

/// Listed keys that no row was made of.
#[derive(Default)]
struct LeftOut {
    expired: u64,
    deleted: u64,
}

impl Kv {
    /// Opens the namespace that the settings name, by its id or its title.
    ///
    /// # Errors
    /// If a setting is missing, or no namespace has that title.
    pub fn open(options: &Options) -> Result<Kv> {
        let settings = &options.settings;
        let name = settings.required("kv", "namespace", &["CLOUDFLARE_KV_NAMESPACE_ID", "KV_NAMESPACE_ID"])?;
        let selection = Selection::new(settings)?;
        let table = entry::table(&options.files)?;
        let mut api = Api::new(Account::open("kv", options)?);
        let id = if is_id(&name) { name.clone() } else { api.id_of(&name)? };
        api.choose(&id);
        Ok(Kv { api, table, selection, name, left_out: LeftOut::default() })
    }

    /// Hands out the rows of some listed keys. Nothing more is wanted: false.
    fn read(&mut self, keys: &[Listed], out: &mut Out<'_>) -> Result<bool> {
        if !out.wants(VALUE) {
            return keys.iter().try_fold(true, |more, it| Ok(more && out.put(&it.entry(b""))?));
        }
        let mut left: Vec<&[Listed]> = keys.chunks(BULK).rev().collect();
        while let Some(chunk) = left.pop() {
            let names: Vec<&str> = chunk.iter().map(|it| it.name.as_str()).collect();
            let Some(mut found) = self.api.bulk(&names)? else {
                // Together they are more than one answer may hold.
                let (first, second) = chunk.split_at(chunk.len() / 2);
                left.extend([second, first].into_iter().filter(|it| !it.is_empty()));
                continue;
            };
            for listed in chunk {
                let text = found.take(&listed.name)?;
                let more = match text {
                    Some(it) if !it.value.contains('\u{fffd}') => out.put(&Entry {
                        key: &listed.name,
                        value: it.value.as_bytes(),
                        metadata: it.metadata.as_deref().or(listed.metadata.as_deref()).map(|it| it.get()),
                        expiration: it.expiration.or(listed.expiration),
                    })?,
                    text => {
                        let metadata = text.and_then(|it| it.metadata).or_else(|| listed.metadata.clone());
                        self.read_single(&Listed { metadata, ..listed.clone() }, out)?
                    }
                };
                if !more {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Hands out the row of one key, its value as the bytes that it is.
    fn read_single(&mut self, listed: &Listed, out: &mut Out<'_>) -> Result<bool> {
        match self.api.single(&listed.name)? {
            Some(Single { value, expiration }) => {
                let entry = Entry { expiration: expiration.or(listed.expiration), ..listed.entry(&value) };
                out.put(&entry)
            }
            None => self.gone(listed).map(|()| true),
        }
    }

    /// Finds out why a listed key has no value.
    fn gone(&mut self, listed: &Listed) -> Result<()> {
        if listed.expiration.zip(self.api.now()).is_some_and(|(expiration, now)| expiration <= now) {
            self.left_out.expired += 1;
            return Ok(());
        }
        if self.api.listed(&listed.name)?.is_none() {
            self.left_out.deleted += 1;
            return Ok(());
        }
        let what = "a key of the namespace is listed and has no value: lists and values of Workers KV agree only after a while";
        Err(Error::new(Kind::Store, format_args!("{what}; run again in a minute")))
    }

    /// The keys among `keys` that belong to this store, if its rows are told apart by their key alone.
    fn names(&self, table: &Table, shape: &Shape, keys: &Batch) -> Result<Option<Vec<String>>> {
        if shape.key != 1 || places(table, shape)?.first() != Some(&entry::KEY) {
            return Ok(None);
        }
        let mut scratch = Vec::new();
        let names = keys.rows().filter_map(|row| match row.value(0, &mut scratch) {
            Value::Text(it) => Some(it.to_owned()),
            _ => None,
        });
        Ok(Some(names.filter(|it| !it.is_empty() && self.selection.selects(it)).collect()))
    }
}

impl Source for Kv {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(vec![self.table.clone()])
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        self.left_out = LeftOut::default();
        let mut out = Out::new(table, shape, feed)?;
        for prefix in self.selection.prefixes().to_vec() {
            let mut pages = Pages::default();
            while let Some(mut keys) = pages.next(&mut self.api, &prefix)? {
                keys.retain(|it| self.selection.selects(&it.name));
                if !self.read(&keys, &mut out)? {
                    return Ok(());
                }
            }
        }
        out.finish()
    }

    /// Each key costs a read of its own, which says when it expires; what is read in bulk may not.
    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        let Some(names) = self.names(table, shape, keys)? else { return self.scan(table, shape, feed) };
        let mut out = Out::new(table, shape, feed)?;
        for name in names {
            let Some(Single { value, expiration }) = self.api.single(&name)? else { continue };
            let metadata = if out.wants(entry::METADATA) { self.api.metadata(&name)? } else { None };
            let metadata = metadata.as_deref().map(|it| it.get());
            if !out.put(&Entry { key: &name, value: &value, metadata, expiration })? {
                return Ok(());
            }
        }
        out.finish()
    }

    fn refresh(&mut self) -> Result<()> {
        self.left_out = LeftOut::default();
        Ok(())
    }

    fn torn(&mut self) -> Result<Option<String>> {
        let deleted = self.left_out.deleted;
        Ok((deleted > 0).then(|| format!("{deleted} keys of the namespace were deleted while it was read; run again")))
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        let (id, title) = self.api.describe()?;
        let mut facts = vec![Fact::new("namespace", format!("`{title}` ({id})"))];
        let mut keys = 0;
        let mut more = false;
        for prefix in self.selection.prefixes().to_vec() {
            let page = self.api.list(&prefix, "", 1000)?;
            keys += page.keys.iter().filter(|it| self.selection.selects(&it.name)).count();
            more |= !page.cursor.is_empty();
        }
        let count = if more { format!("{keys} keys or more") } else { format!("{keys} keys") };
        facts.push(Fact::new("size", format!("{count}; {QUOTA}")));
        facts.push(Fact::new("access", "the token may list keys and read values"));
        let advice = "whether the token may write too does not show; `Workers KV Storage: Read` is all that is needed";
        facts.push(Fact::new("access", advice).level(Level::Note));
        if let Some(now) = self.api.now().and_then(|it| jiff::Timestamp::from_second(it).ok()) {
            facts.push(Fact::new("clock", now.to_string()));
        }
        Ok(facts)
    }

    fn name(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn notes(&self) -> Vec<String> {
        let name = &self.name;
        let mut notes: Vec<String> = self.selection.note().map(|it| format!("{name}: {it}")).into_iter().collect();
        if self.left_out.expired > 0 {
            notes
                .push(format!("{name}: {} keys expired while they were read, and are left out", self.left_out.expired));
        }
        let (lists, reads) = self.api.spent();
        if lists + reads > 0 {
            notes.push(format!("{name}: listed keys {lists} times and read {reads} values; {QUOTA}"));
        }
        notes
    }
}

/// What a read may use up.
const QUOTA: &str = "a free plan has 1000 lists, of 1000 keys each, and 100000 reads of values a day";

/// Whether a namespace is named by its id.
fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|it| it.is_ascii_hexdigit())
}

/// The pages of one list of keys. A list that never ends is an error: each page must begin where no other did.
#[derive(Default)]
struct Pages {
    cursor: Option<String>,
    hasher: RandomState,
    seen: HashSet<u64>,
    empty: usize,
    /// The names of the page before, which a list that moves may repeat.
    last: HashSet<String>,
}

impl Pages {
    /// The keys of the next page that has any; nothing at the end.
    fn next(&mut self, api: &mut Api, prefix: &str) -> Result<Option<Vec<Listed>>> {
        loop {
            let cursor = self.cursor.clone().unwrap_or_default();
            if self.cursor.is_some() && cursor.is_empty() {
                return Ok(None);
            }
            let Page { mut keys, cursor } = api.list(prefix, &cursor, 1000)?;
            let first = keys.first().map(|it| ("key", it.name.clone()));
            let next = (!cursor.is_empty()).then(|| ("cursor", cursor.clone()));
            for it in [first, next].into_iter().flatten() {
                if !self.seen.insert(self.hasher.hash_one(it)) {
                    return Err(endless("it comes back to where it was"));
                }
            }
            self.cursor = Some(cursor);
            if keys.is_empty() {
                self.empty += 1;
                if self.empty > EMPTY_PAGES {
                    return Err(endless("too many of its pages hold nothing"));
                }
                continue;
            }
            self.empty = 0;
            if let Some(stranger) = keys.iter().find(|it| !it.name.starts_with(prefix)) {
                let what =
                    format_args!("the list of the keys with a prefix holds others, of {} bytes", stranger.name.len());
                return Err(Error::new(Kind::Store, what));
            }
            let mut names = HashSet::with_capacity(keys.len());
            keys.retain(|it| names.insert(it.name.clone()) && !self.last.contains(&it.name));
            self.last = names;
            return Ok(Some(keys));
        }
    }
}

#[cold]
fn endless(why: &str) -> Error {
    Error::new(Kind::Store, format_args!("the list of keys does not end: {why}; run again"))
}
