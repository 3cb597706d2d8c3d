//! `clear`: a script for the console of a browser that removes from localStorage what a comparison found in the target.
//!
//! A profile is never written to: the browser itself removes its entries. The script holds keys, and of each value a length and a
//! hash, so that an entry which was changed since it was compared stays. The hash is that of the script, over the UTF-16 units that
//! JavaScript counts in: FNV-1a (datatracker.ietf.org/doc/html/draft-eastlake-fnv) with 32 bits, once from its own offset and once
//! from another. It tells apart what somebody typed, and is not meant to withstand forgers.

use super::{Run, verify::Task};
use crate::{
    error::{Error, Kind, Result},
    gate::Verdict,
    report::{Report, TableReport},
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Table,
    store::local_storage,
    transform::Program,
    value::{Type, Value, cast::Cast},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

/// What came of it.
pub struct Cleared {
    /// Pass: it may be removed.
    pub verdict: Verdict,
    /// Why it may not, a sentence each.
    pub refused: Vec<String>,
    /// Entries to remove.
    pub entries: u64,
    /// Entries of the same storages of which the mapping makes no row. Nothing in the target stands for them, so they stay.
    pub left: u64,
    /// The script.
    pub script: String,
}

/// A text as JavaScript counts it.
type Units = Vec<u16>;

/// What tells the values of each key, by the origin of the pages that see it: several storages may be theirs.
type Entries = BTreeMap<String, BTreeMap<Units, Vec<String>>>;

/// Compares both sides, and makes the script where the target has all that the mapping made of the source.
///
/// # Errors
/// If a store fails, a storage is not called by the origin of its pages, or it is unknown which entries rows were made of.
pub fn clear(run: &Run, task: &mut Task) -> Result<Cleared> {
    for pairing in task.tables.iter().filter(|it| it.referred.is_none()) {
        if pairing.made.is_some() {
            let into = &pairing.comparison.target.name;
            let what = format_args!("{into}: a program makes its rows, and does not say of which entries");
            return Err(Error::new(Kind::Plan, what));
        }
        origin(&pairing.from.name)?;
    }
    let (verdict, refused) = judged(task.run(run, None)?);
    let mut cleared = Cleared { verdict, refused, entries: 0, left: 0, script: String::new() };
    if verdict != Verdict::Pass {
        return Ok(cleared);
    }
    let Task { source, tables, .. } = task;
    let mut storages = BTreeMap::<&str, (&Table, BTreeSet<Units>)>::new();
    for pairing in tables.iter().filter(|it| it.referred.is_none()) {
        let (_, used) = storages.entry(&pairing.from.name).or_insert_with(|| (&pairing.from, BTreeSet::new()));
        let program = (pairing.program)()?;
        let input = program.as_ref().map_or_else(shape, Program::input);
        source.scan(&pairing.from, &input, &mut Using { run, program, used })?;
    }
    let mut entries = Entries::new();
    for (name, (table, used)) in storages {
        let entries = entries.entry(origin(name)?.to_owned()).or_default();
        source.scan(table, &shape(), &mut Telling { used, entries, left: &mut cleared.left })?;
    }
    cleared.entries = entries.values().map(|it| it.len() as u64).sum();
    cleared.script = script(&entries);
    Ok(cleared)
}

/// Whether entries may be removed, and why not. What a gate lets through is not in the target all the same.
fn judged(report: Report) -> (Verdict, Vec<String>) {
    let lost = |it: &TableReport| {
        let counts = [
            (it.tally.missing, "missing in the target"),
            (it.tally.changed, "other in the target"),
            (it.tally.rejects, "refused by the mapping"),
            (it.tally.source_duplicates, "mapped to a key that another row has"),
        ];
        counts.map(|(count, what)| (count > 0).then(|| format!("{}: {count} rows are {what}", it.name)))
    };
    let lost: Vec<String> = report.tables.iter().flat_map(lost).flatten().collect();
    if lost.is_empty() { (report.verdict, report.reasons) } else { (Verdict::Fail, lost) }
}

/// The origin of the pages that see a storage. What a browser notes behind it tells storages of one origin apart.
fn origin(storage: &str) -> Result<&str> {
    let origin = storage.split('^').next().unwrap_or_default().trim_end_matches('/');
    match origin.contains("://") {
        true => Ok(origin),
        false => Err(Error::new(
            Kind::Plan,
            format_args!("`{storage}` is no origin of pages: say `origin = \"https://…\"` under [source]"),
        )),
    }
}

/// The shape of entries as they are stored.
fn shape() -> Arc<Shape> {
    let fields = vec![Field::new("key", Cast::new(Type::Any)), Field::new("value", Cast::new(Type::Text))];
    Arc::new(Shape { fields, key: 1, compared: 2, keyless: false })
}

/// Keeps the keys of the entries of which a mapping makes rows.
struct Using<'u> {
    run: &'u Run,
    /// Nothing: each entry is a row as it is.
    program: Option<Program>,
    used: &'u mut BTreeSet<Units>,
}

impl Feed for Using<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let (mut one, mut made) = (Batch::new(Arc::clone(batch.shape())), Batch::new(Arc::default()));
        let mut scratch = Vec::new();
        for row in batch.rows() {
            self.run.watch.read(0)?;
            let makes = match &mut self.program {
                None => true,
                Some(program) => {
                    one.clear();
                    made.clear();
                    one.push_row(row);
                    program.apply(&one, &mut made)?;
                    !made.is_empty()
                }
            };
            if makes {
                self.used.insert(units(row.value(0, &mut scratch)));
            }
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

/// Keeps what tells the values of entries that were used, and counts the others.
struct Telling<'t> {
    used: BTreeSet<Units>,
    entries: &'t mut BTreeMap<Units, Vec<String>>,
    left: &'t mut u64,
}

impl Feed for Telling<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let mut scratch = Vec::new();
        for row in batch.rows() {
            let key = units(row.value(0, &mut scratch));
            if !self.used.contains(&key) {
                *self.left += 1;
                continue;
            }
            let value = units(row.value(1, &mut scratch));
            self.entries.entry(key).or_default().push(told(&value));
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

fn units(text: Value<'_>) -> Units {
    match text {
        Value::Text(it) => it.encode_utf16().collect(),
        Value::Raw(it) | Value::Malformed(it) => local_storage::to_utf16(it),
        _ => Vec::new(),
    }
}

/// A text of JavaScript that is ASCII, and ends neither a line nor the element of a page.
fn literal(units: &[u16]) -> String {
    let mut out = String::from("\"");
    for &unit in units {
        match u8::try_from(unit) {
            Ok(it @ (b' '..=b'~')) if !b"\"\\<>&".contains(&it) => out.push(char::from(it)),
            _ => {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.push('"');
    out
}

/// The offset of FNV-1a, and another one.
const OFFSETS: [u32; 2] = [0x811c_9dc5, 0x9747_b28c];
const PRIME: u32 = 0x0100_0193;

/// What tells a value: how many units it has, and its hashes.
fn told(units: &[u16]) -> String {
    let hash = |offset: u32| units.iter().fold(offset, |hash, &unit| (hash ^ u32::from(unit)).wrapping_mul(PRIME));
    let [first, second] = OFFSETS.map(hash);
    format!("{}-{first:x}-{second:x}", units.len())
}

fn script(all: &Entries) -> String {
    let mut out = String::from(
        "// Removes from localStorage what was found in the target of the migration, entry by entry, and leaves what was changed since.\n\
         // Paste it into the console of a page of each of these origins, or serve it from there.\n\
         (() => {\n  const compared = {\n",
    );
    for (origin, entries) in all {
        let _ = writeln!(out, "    {}: [", literal(&origin.encode_utf16().collect::<Vec<_>>()));
        for (key, told) in entries {
            let _ = writeln!(out, "      [{}, \"{}\"],", literal(key), told.join("\", \""));
        }
        out.push_str("    ],\n");
    }
    out.push_str("  };\n");
    out.push_str(REMOVE);
    out
}

/// What the script does with the entries.
const REMOVE: &str = r#"  const entries = compared[location.origin];
  if (!entries) throw new Error(`nothing was migrated from pages of ${location.origin}`);
  const hash = (text, offset) => {
    let hash = offset;
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    return (hash >>> 0).toString(16);
  };
  const told = (text) => `${text.length}-${hash(text, 0x811c9dc5)}-${hash(text, 0x9747b28c)}`;
  const result = { removed: [], changed: [], absent: [] };
  for (const [key, ...was] of entries) {
    const value = localStorage.getItem(key);
    if (value === null) {
      result.absent.push(key);
    } else if (was.includes(told(value))) {
      localStorage.removeItem(key);
      result.removed.push(key);
    } else {
      result.changed.push(key);
    }
  }
  return result;
})();
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], as_literal: &str, as_told: &str) {
        let units = local_storage::to_utf16(text);
        assert_eq!((literal(&units).as_str(), told(&units).as_str()), (as_literal, as_told));
    }

    #[test]
    fn texts_are_told_as_the_script_tells_them() {
        check(b"", r#""""#, "0-811c9dc5-9747b28c");
        check(b"a", r#""a""#, "1-e40c292c-12deab17");
        check("é".as_bytes(), r#""\u00e9""#, "1-6c0b6c44-8addd4ff");
        check("😀".as_bytes(), r#""\ud83d\ude00""#, "2-cb31c4b8-2f471e99");
        check(b"a\xed\xa0\x80b", r#""a\ud800b""#, "3-95b3d2-32445ff5");
        check(b"</script>\"\\\n", r#""\u003c/script\u003e\u0022\u005c\u000a""#, "12-19e9cf5d-ff592cf0");
    }

    #[test]
    fn storages_belong_to_the_pages_of_an_origin() {
        for (storage, expect) in [
            ("https://a.test", Some("https://a.test")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("https://a.test^userContextId=1", Some("https://a.test")),
            ("https://a.test/^0https://b.test", Some("https://a.test")),
            ("localStorage", None),
        ] {
            assert_eq!(origin(storage).ok(), expect, "{storage}");
        }
    }
}
