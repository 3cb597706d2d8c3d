//! The one table of a namespace, and which of its keys are wanted.

use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::{Column, Origin, Table},
    store::{files::FileOptions, places, settings::Settings},
    value::{Type, Value},
};
use std::sync::Arc;

pub(super) const KEY: usize = 0;
pub(super) const VALUE: usize = 1;
pub(super) const METADATA: usize = 2;

/// What one key holds.
pub(super) struct Entry<'e> {
    pub(super) key: &'e str,
    pub(super) value: &'e [u8],
    /// A JSON document.
    pub(super) metadata: Option<&'e str>,
    /// Seconds since 1970.
    pub(super) expiration: Option<i64>,
}

/// The table `entries`, with the types that the plan declares.
pub(super) fn table(options: &FileOptions) -> Result<Table> {
    let mut table = Table::new("entries");
    let enforced = |name: &str, ty| Column { origin: Origin::Enforced, ..Column::new(name, ty) };
    table.columns = vec![
        Column { nullable: false, ..enforced("key", Type::Text) },
        Column { nullable: false, origin: Origin::Guessed, ..Column::new("value", Type::Json) },
        enforced("metadata", Type::Json),
        enforced("expiration", Type::Int),
    ];
    table.key = vec![KEY];
    table.key_origin = Origin::Enforced;
    options.declare(&mut table)?;
    options.check(std::slice::from_ref(&table), "a KV namespace")?;
    Ok(table)
}

/// Makes rows of entries and passes them on.
pub(super) struct Out<'o> {
    batch: Batch,
    feed: &'o mut dyn Feed,
    places: Vec<usize>,
    /// Values are bytes, whether they are text or not.
    bytes: bool,
}

impl<'o> Out<'o> {
    pub(super) fn new(table: &Table, shape: &Arc<Shape>, feed: &'o mut dyn Feed) -> Result<Out<'o>> {
        let bytes = table.columns.get(VALUE).is_some_and(|it| it.ty == Type::Bytes);
        Ok(Out { batch: Batch::new(Arc::clone(shape)), feed, places: places(table, shape)?, bytes })
    }

    /// Whether that column is asked for.
    pub(super) fn wants(&self, place: usize) -> bool {
        self.places.contains(&place)
    }

    /// Adds a row. Nobody wants more: false.
    pub(super) fn put(&mut self, entry: &Entry<'_>) -> Result<bool> {
        let (places, bytes) = (&self.places, self.bytes);
        self.batch.push_with(|field| {
            Ok(match places[field] {
                KEY => Value::Text(entry.key),
                VALUE if bytes || std::str::from_utf8(entry.value).is_err() => Value::Bytes(entry.value),
                VALUE => Value::Raw(entry.value),
                METADATA => entry.metadata.map_or(Value::Null, Value::Json),
                _ => entry.expiration.map_or(Value::Null, Value::Int),
            })
        })?;
        Ok(!self.batch.is_full() || self.feed.take(&mut self.batch)? == Flow::Continue)
    }

    /// Passes on what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.feed.take(&mut self.batch).map(|_| ())
    }
}

/// Which keys are wanted: those that begin with one of some texts, and with none of others.
pub(super) struct Selection {
    /// In order, none the beginning of another, so that no key has two of them.
    prefixes: Vec<String>,
    exclude: Vec<String>,
}

impl Selection {
    /// What `prefix`, `include` and `exclude` say. All are taken literally.
    ///
    /// # Errors
    /// If no key can be wanted.
    pub(super) fn new(settings: &Settings) -> Result<Selection> {
        let prefix = settings.text("prefix").unwrap_or_default();
        let within = |it: &String| match it {
            it if it.starts_with(prefix) => Some(it.clone()),
            it if prefix.starts_with(it.as_str()) => Some(prefix.to_owned()),
            _ => None,
        };
        let include = settings.texts("include");
        let mut prefixes: Vec<String> =
            if include.is_empty() { vec![prefix.to_owned()] } else { include.iter().filter_map(within).collect() };
        prefixes.sort();
        // In this order a text stands right behind those that it begins with, or behind one that begins with them too.
        prefixes.dedup_by(|it, before| it.starts_with(before.as_str()));
        let exclude = settings.texts("exclude").to_vec();
        let wanted = |it: &String| !exclude.iter().any(|out| it.starts_with(out.as_str()));
        if !prefixes.iter().any(wanted) {
            let what = "`prefix`, `include` and `exclude` together leave no key";
            return Err(Error::new(Kind::Plan, what));
        }
        Ok(Selection { prefixes, exclude })
    }

    /// What is not read, for people; nothing if all is.
    pub(super) fn note(&self) -> Option<String> {
        let list = |it: &[String]| it.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
        let only = self.prefixes.iter().all(|it| !it.is_empty());
        let only = only.then(|| format!("only keys that begin with {}", list(&self.prefixes)));
        let but = (!self.exclude.is_empty()).then(|| format!("no keys that begin with {}", list(&self.exclude)));
        let parts: Vec<String> = only.into_iter().chain(but).collect();
        (!parts.is_empty()).then(|| format!("of the namespace it reads {}", parts.join(", and ")))
    }

    /// What wanted keys begin with.
    pub(super) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    pub(super) fn selects(&self, key: &str) -> bool {
        let begins = |with: &[String]| with.iter().any(|it| key.starts_with(it.as_str()));
        begins(&self.prefixes) && !begins(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Setting;
    use std::collections::BTreeMap;

    #[test]
    fn prefixes_are_literal_and_no_key_comes_twice() {
        let check = |prefix: &str, include: &[&str], exclude: &[&str], expect: Option<&[&str]>| {
            let list = |it: &[&str]| Setting::Texts(it.iter().map(|&it| it.to_owned()).collect());
            let given =
                [("prefix", Setting::Text(prefix.to_owned())), ("include", list(include)), ("exclude", list(exclude))];
            let given: BTreeMap<_, _> = given.map(|it| (it.0.to_owned(), it.1)).into_iter().collect();
            let selection = Selection::new(&Settings::default().with(given));
            assert_eq!(
                selection.as_ref().ok().map(Selection::prefixes),
                expect
                    .map(|it| it.to_owned())
                    .map(|it| it.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{prefix} {include:?} {exclude:?}"
            );
            selection.ok()
        };
        check("", &[], &[], Some(&[""]));
        check("user:", &[], &[], Some(&["user:"]));
        check("", &["snap:", "user:", "user:a", "user", "user"], &[], Some(&["snap:", "user"]));
        check("user:", &["user:a", "us", "snap:"], &[], Some(&["user:"]));
        check("user:", &["user:a", "user:b"], &["user:b"], Some(&["user:a", "user:b"]));
        check("user:", &["snap:"], &[], None);
        check("user:", &[], &["us"], None);
        let it = check("", &["a_", "b"], &["b%"], Some(&["a_", "b"])).unwrap();
        let note = "of the namespace it reads only keys that begin with `a_`, `b`, and no keys that begin with `b%`";
        assert_eq!(it.note().as_deref(), Some(note));
        assert_eq!(check("", &[], &[], Some(&[""])).unwrap().note(), None);
        for (key, expect) in [("a_1", true), ("ab1", false), ("b", true), ("b%1", false), ("bx", true), ("c", false)] {
            assert_eq!(it.selects(key), expect, "{key}");
        }
    }
}
