//! New ids for rows whose own id belongs to another row of the target.
//!
//! They are given once, by the first run that writes, and lie in a file beside the plan, so that every later comparison maps the
//! same row to the same id. References to such a row are mapped with it. The file, `cutover-ids/1`, is a JSON object:
//!
//! ```json
//! {"format":"cutover-ids/1","target":"postgres db.example.com/app","tables":{"users":{"2":"1004"}}}
//! ```
//!
//! A table that is named there, be it without ids, has its ids: where its rows differ from now on, `conflict` decides. Ids that are
//! free in one target may be taken in another one, so the file is good for the target that it names and for no other.

use super::{
    state::Decision,
    verify::{Pairing, Task},
};
use crate::{
    disk,
    error::{Error, Kind, Result},
    pairing::{self, Comparison, Parent},
    plan::Plan,
    row::{Batch, Feed, Flow, Row, Rows, Shape},
    value::{
        Type, Value,
        cast::Cast,
        cell::{self, tag},
        write_uuid,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

const FORMAT: &str = "cutover-ids/1";

/// The new ids of a plan's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewIds {
    /// By the target's table, then by the id that the source has.
    tables: BTreeMap<String, BTreeMap<String, String>>,
    /// The target that they were given for, as reports call it. Nothing: none were given.
    target: Option<String>,
    /// Where they are read from.
    path: PathBuf,
    /// They are not all in the file.
    new: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: String,
    target: String,
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

/// The new ids that concern the rows of one table: its own, and those it refers to.
#[derive(Clone, Debug, Default)]
pub struct Renaming {
    /// The place of a cell, and what becomes of it.
    columns: Vec<(usize, Arc<Swaps>)>,
}

/// Cells as they stand where nothing is ordered, and what takes their place.
type Swaps = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where the ids of a plan are kept.
pub fn file_of(plan: &Path) -> PathBuf {
    plan.with_extension("ids.json")
}

impl NewIds {
    /// Those of a plan.
    ///
    /// # Errors
    /// As [`NewIds::read`].
    pub fn of(plan: &Plan) -> Result<NewIds> {
        NewIds::read(&file_of(Path::new(&plan.path)))
    }

    /// What the file says. Nothing, where there is none.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn read(path: &Path) -> Result<NewIds> {
        let text = match fs::read_to_string(path) {
            Err(it) if it.kind() == io::ErrorKind::NotFound => {
                return Ok(NewIds { path: path.to_owned(), ..NewIds::default() });
            }
            text => text.map_err(|it| disk::failed(path, "cannot read", &it))?,
        };
        let damaged = |it: &dyn std::fmt::Display| {
            Error::new(Kind::Plan, format_args!("{}: {it}; it says which new ids rows have", path.display()))
        };
        let Written { format, target, tables } = serde_json::from_str(&text).map_err(|it| damaged(&it))?;
        match format == FORMAT {
            true => Ok(NewIds { tables, target: Some(target), path: path.to_owned(), new: false }),
            false => Err(damaged(&format_args!("its format is `{format}`, not `{FORMAT}`"))),
        }
    }

    /// Writes those that were given since the file was read, whole or not at all.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn keep(&self) -> Result<()> {
        let Some(target) = self.target.clone().filter(|_| self.new) else { return Ok(()) };
        let written = Written { format: FORMAT.to_owned(), target, tables: self.tables.clone() };
        let text = serde_json::to_string_pretty(&written).map_err(|it| Error::new(Kind::Broken, it))?;
        disk::replace(&self.path, format!("{text}\n").as_bytes())
    }

    /// The tables of a plan that want new ids and were not given theirs.
    pub fn wanted<'p>(&self, plan: &'p Plan) -> Vec<&'p str> {
        let wanted = plan.tables.iter().filter(|it| it.new_ids && !self.tables.contains_key(&it.into));
        wanted.map(|it| it.into.as_str()).collect()
    }

    fn give_all<'t>(
        &mut self,
        plan: &Plan,
        task: &Task,
        wanted: &[&str],
        taken: &dyn Fn(&str) -> Option<&'t Taken>,
    ) -> Result<Vec<Decision>> {
        let mut decided = Vec::new();
        self.new |= !wanted.is_empty();
        for comparison in task.tables.iter().map(|it| &it.comparison) {
            let name = comparison.target.name.as_str();
            if let Some(taken) = taken(name).filter(|_| wanted.contains(&name)) {
                self.give(comparison, &plan.seed, taken, &mut decided)?;
            }
        }
        Ok(decided)
    }

    fn give(&mut self, comparison: &Comparison, seed: &str, taken: &Taken, decided: &mut Vec<Decision>) -> Result<()> {
        let table = &comparison.target.name;
        let key = own(comparison)?;
        let ids = self.tables.entry(table.clone()).or_default();
        let known: BTreeSet<String> = ids.values().cloned().collect();
        for (count, id) in (1_i64..).zip(&taken.ids) {
            let old = text(id).ok_or_else(|| unfit(table))?;
            let new = match (comparison.columns[0].ty, taken.last) {
                (Type::Int, Some(last)) => last.checked_add(count).ok_or_else(|| unfit(table))?.to_string(),
                (Type::Uuid | Type::Text, _) => made(key, &old, &[seed, table]),
                _ => return Err(unfit(table)),
            };
            if known.contains(&old) || ids.contains_key(&old) {
                let message = format_args!("{table}: the new id {old} belongs to another row too; say another `seed`");
                return Err(Error::new(Kind::Plan, message));
            }
            let (table, choice) = (table.clone(), format!("new id {new}"));
            decided.push(Decision { table, key: old.clone(), kind: "clash".to_owned(), choice, by: "plan".to_owned() });
            ids.insert(old, new);
        }
        Ok(())
    }

    fn apply(&mut self, plan: &Plan, task: &mut Task) -> Result<()> {
        if plan.renamed().next().is_none() {
            return Ok(());
        }
        self.are_for(&format!("{} {}", task.target_name.kind, task.target_name.name))?;
        let all: Vec<Comparison> = task.tables.iter().map(|it| Comparison::clone(&it.comparison)).collect();
        self.may_follow(plan, task, &all)?;
        let mut swaps: Vec<Option<Arc<Swaps>>> = all.iter().map(|it| self.swaps(plan, it)).collect::<Result<_>>()?;
        follow(&all, task, &mut swaps);
        for (at, pairing) in task.tables.iter_mut().enumerate() {
            let renaming = renaming(&all, at, pairing, &swaps)?;
            pairing.renaming = (!renaming.columns.is_empty()).then(|| Arc::new(renaming));
            let own = self.tables.get(&pairing.comparison.target.name).filter(|_| swaps[at].is_some());
            let count = own.map_or(0, BTreeMap::len);
            let what = "rows have a new id, as their own belongs to another row of the target";
            if count > 0 {
                let notes = &mut Arc::make_mut(&mut pairing.comparison).notes;
                notes.retain(|it| !it.ends_with(what));
                notes.push(format!("{count} {what}"));
            }
        }
        Ok(())
    }

    /// Ties them to a target, or sees that they are tied to it.
    fn are_for(&mut self, target: &str) -> Result<()> {
        match &self.target {
            Some(known) if known != target => {
                let message = format_args!(
                    "{}: these new ids were given for another target, {known}, and this one is {target}; delete the file to \
                     have new ids given here, or name that target",
                    self.path.display()
                );
                Err(Error::new(Kind::Plan, message))
            }
            _ => {
                self.target = Some(target.to_owned());
                Ok(())
            }
        }
    }

    /// Sees that every reference to a table whose rows may have new ids can be followed.
    fn may_follow(&self, plan: &Plan, task: &Task, all: &[Comparison]) -> Result<()> {
        let is = |it: &str, name: &str| it.eq_ignore_ascii_case(name) || it.rsplit('.').next() == Some(name);
        let renamed = |name: &str| plan.renamed().find(|it| is(it, name));
        for (at, pairing) in task.tables.iter().enumerate().filter(|it| it.1.referred.is_none()) {
            let table = &all[at].target.name;
            for reference in pairing::constraints(all, at, &pairing.choices).1 {
                let (name, place) = match &reference.parent {
                    Parent::Unknown(name) => (name, None),
                    Parent::Compared(parent, _) => (&all[*parent].target.name, Some(*parent)),
                };
                let Some(parent) = renamed(name) else { continue };
                let unknown = match place {
                    Some(place) => task.tables[place].referred.is_some() && !self.tables.contains_key(parent),
                    None => self.tables.get(parent).is_none_or(|it| !it.is_empty()),
                };
                if unknown {
                    let message = format_args!(
                        "{table} refers to `{parent}`, whose rows may have new ids; let `{parent}` take part in the run"
                    );
                    return Err(Error::new(Kind::Plan, message));
                }
                let key = &all[at].columns[..all[at].key];
                let is_key = key.iter().any(|it| reference.columns.contains(&it.target));
                if is_key && place != Some(at) && renamed(table).is_some() {
                    let message = format_args!(
                        "{table}: its key refers to `{parent}`, whose rows may have new ids, and so follows those; take its own \
                         `on_clash` away"
                    );
                    return Err(Error::new(Kind::Plan, message));
                }
            }
        }
        Ok(())
    }

    fn swaps(&self, plan: &Plan, comparison: &Comparison) -> Result<Option<Arc<Swaps>>> {
        let name = &comparison.target.name;
        let wanted = plan.renamed().any(|it| it == name);
        let Some(ids) = self.tables.get(name).filter(|it| wanted && !it.is_empty()) else { return Ok(None) };
        own(comparison)?;
        let cast = Cast::new(comparison.columns[0].ty);
        let cell = |text: &str| {
            let mut out = Vec::new();
            cast.write(Value::Text(text), false, &mut out);
            out
        };
        Ok(Some(Arc::new(ids.iter().map(|(old, new)| (cell(old), cell(new))).collect())))
    }
}

impl Task {
    /// Gives the `wanted` tables of a plan the ids that their rows need. What was decided, for the journal.
    ///
    /// # Errors
    /// If a key is none that a new one can be made for.
    pub(super) fn give<'t>(
        &mut self,
        plan: &Plan,
        wanted: &[&str],
        taken: &dyn Fn(&str) -> Option<&'t Taken>,
    ) -> Result<Vec<Decision>> {
        let mut ids = std::mem::take(&mut self.ids);
        let given = ids.give_all(plan, self, wanted, taken);
        self.ids = ids;
        given
    }

    /// Lets the rows of this task have their new ids, where the plan says `on_clash`.
    ///
    /// # Errors
    /// If they were given for another target, or a reference to such a row cannot be followed.
    pub(super) fn rename(&mut self, plan: &Plan) -> Result<()> {
        let mut ids = std::mem::take(&mut self.ids);
        let renamed = ids.apply(plan, self);
        self.ids = ids;
        renamed
    }
}

/// A row whose key is that of another one follows it, and so does what refers to that row.
fn follow(all: &[Comparison], task: &Task, swaps: &mut [Option<Arc<Swaps>>]) {
    loop {
        let followed = |(at, pairing): (usize, &Pairing)| {
            let key = all[at].columns.first().filter(|_| all[at].key == 1 && swaps[at].is_none())?;
            pairing::constraints(all, at, &pairing.choices).1.into_iter().find_map(|it| match &it.parent {
                Parent::Compared(parent, to) if it.columns == [key.target] => {
                    let is_key = all[*parent].columns.first().is_some_and(|it| *to == [it.target]);
                    swaps[*parent].clone().filter(|_| is_key).map(|it| (at, it))
                }
                _ => None,
            })
        };
        match task.tables.iter().enumerate().find_map(followed) {
            Some((at, known)) => swaps[at] = Some(known),
            None => return,
        }
    }
}

/// What becomes of the rows of one table.
fn renaming(all: &[Comparison], at: usize, pairing: &Pairing, swaps: &[Option<Arc<Swaps>>]) -> Result<Renaming> {
    let mut out = Renaming::default();
    out.columns.extend(swaps[at].iter().map(|it| (0, Arc::clone(it))));
    for reference in pairing::constraints(all, at, &pairing.choices).1 {
        let Parent::Compared(parent, to) = &reference.parent else { continue };
        let Some(swaps) = &swaps[*parent] else { continue };
        let key = &all[*parent].columns[0];
        for (column, to) in reference.columns.iter().zip(to) {
            let child = all[at].columns.iter().find(|it| it.target == *column);
            let Some(child) = child.filter(|_| *to == key.target) else { continue };
            let (table, name) = (&all[at].target.name, &child.name);
            if child.ty != key.ty || child.shadow.is_some() {
                let parent = &all[*parent].target.name;
                let message = format_args!(
                    "{table}.{name} cannot follow the new ids of `{parent}`: it is {} and they are {}, or it is compared \
                     with a tolerance",
                    child.ty.name(),
                    key.ty.name()
                );
                return Err(Error::new(Kind::Plan, message));
            }
            let Some(place) = child.place else { continue };
            match out.columns.iter().find(|it| it.0 == place) {
                None => out.columns.push((place, Arc::clone(swaps))),
                Some((_, known)) if known == swaps => {}
                Some(_) => {
                    let message = format_args!("{table}.{name} refers to two tables whose rows have new ids");
                    return Err(Error::new(Kind::Plan, message));
                }
            }
        }
    }
    Ok(out)
}

/// The one column of the key of a table whose rows may have new ids.
fn own(comparison: &Comparison) -> Result<&str> {
    match (comparison.key, comparison.columns.first()) {
        (1, Some(key)) if key.shadow.is_none() && !key.secret => Ok(&key.name),
        _ => Err(unfit(&comparison.target.name)),
    }
}

#[cold]
fn unfit(table: &str) -> Error {
    let message = format_args!(
        "{table}: `on_clash = \"new-id\"` needs a key of one column that is no secret, of numbers that end before 2^63, UUIDs or \
         text; leave it out, and say with `conflict` what becomes of rows that differ"
    );
    Error::new(Kind::Plan, message)
}

/// An id as text.
fn text(id: &[u8]) -> Option<String> {
    let mut scratch = Vec::new();
    match cell::decode(id, true, &mut scratch) {
        Value::Int(it) => Some(it.to_string()),
        Value::Text(it) => Some(it.to_owned()),
        Value::Uuid(it) => {
            let mut out = Vec::new();
            write_uuid(&it, &mut out);
            String::from_utf8(out).ok()
        }
        _ => None,
    }
}

/// An id in the form of an old one, the same for the same parts: a UUID of version 8, a ULID that keeps the time of the old one, or the
/// old one with something behind it.
fn made(column: &str, old: &str, parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts.iter().chain([&column, &old]) {
        // Lengths keep ("a", "bc") and ("ab", "c") apart.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hash = hasher.finalize();
    let is_uuid = old.len() == 36
        && old.bytes().enumerate().all(|(at, it)| match at {
            8 | 13 | 18 | 23 => it == b'-',
            _ => it.is_ascii_hexdigit(),
        });
    let is_ulid = old.len() == 26 && old.bytes().all(|it| it.is_ascii_digit() || it.is_ascii_uppercase());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    if is_uuid {
        (bytes[6], bytes[8]) = (bytes[6] & 0x0f | 0x80, bytes[8] & 0x3f | 0x80);
        let mut out = Vec::new();
        write_uuid(&bytes, &mut out);
        return String::from_utf8(out).unwrap_or_default();
    }
    if is_ulid {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let random = bytes.iter().map(|it| char::from(ALPHABET[usize::from(it & 31)]));
        return old[..10].chars().chain(random).collect();
    }
    format!("{old}-{}", &hash.to_hex()[..8])
}

/// Gives rows their new ids on their way.
pub(super) struct Renamed<'f> {
    pub renaming: Option<&'f Renaming>,
    pub next: &'f mut dyn Feed,
}

impl Feed for Renamed<'_> {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let Some(renaming) = self.renaming else { return self.next.take(batch) };
        let mut out = Batch::new(Arc::clone(batch.shape()));
        out.rejects = std::mem::take(&mut batch.rejects);
        batch.rows().for_each(|it| renaming.push(it, &mut out));
        batch.clear();
        self.next.take(&mut out)
    }
}

impl Renaming {
    fn push(&self, row: Row<'_>, out: &mut Batch) {
        let (mut scratch, mut plain) = (Vec::new(), Vec::new());
        let mut swapped = BTreeMap::new();
        for (place, swaps) in &self.columns {
            plain.clear();
            cell::encode(row.value(*place, &mut scratch), false, &mut plain);
            swapped.extend(swaps.get(&plain).map(|it| (*place, it)));
        }
        if swapped.is_empty() {
            return out.push_row(row);
        }
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for place in 0..row.shape().width() {
            match swapped.get(&place) {
                Some(new) => cell::encode(cell::decode(new, false, &mut scratch), place < row.shape().key, &mut bytes),
                None => bytes.extend_from_slice(row.cell(place)),
            }
            ends.push(bytes.len() as u32);
        }
        out.push_cells(&bytes, ends.into_iter(), row.is_odd());
    }
}

/// What has to be known to give new ids to rows of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// The cells of the source's keys that belong to another row of the target.
    pub ids: Vec<Vec<u8>>,
    /// The greatest number among the keys of both sides.
    pub last: Option<i64>,
}

/// Passes a stream on, and keeps the greatest number among its keys.
pub(super) struct Greatest<R> {
    pub rows: R,
    pub number: Option<i64>,
}

impl<R: Rows> Rows for Greatest<R> {
    fn shape(&self) -> &Arc<Shape> {
        self.rows.shape()
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        self.rows.fill(batch)?;
        // What is no number comes before or behind all numbers.
        let last = batch.rows().rev().find(|it| it.key().first() == Some(&tag::INT));
        let mut scratch = Vec::new();
        if let Some(Value::Int(it)) = last.map(|it| cell::decode(it.key(), true, &mut scratch)) {
            self.number = self.number.max(Some(it));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_form() {
        let id = |old: &str| made("id", old, &["seed", "users"]);
        let uuid = id("11111111-1111-4111-8111-000000000003");
        assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'8' && uuid != id("11111111-1111-4111-8111-000000000004"));
        let ulid = id("01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert!(ulid.len() == 26 && ulid.starts_with("01ARZ3NDEK") && !ulid.ends_with("FAV"), "{ulid}");
        let text = id("mira");
        assert!(text.len() == 13 && text.starts_with("mira-"), "{text}");
    }

    #[test]
    fn a_file_reads_back_or_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.ids.json");
        let none = NewIds { path: path.clone(), ..NewIds::default() };
        assert_eq!(NewIds::read(&path).expect("there is none"), none);
        let ids = BTreeMap::from([("2".to_owned(), "4".to_owned())]);
        let ids = NewIds {
            new: true,
            target: Some("sqlite target.db".to_owned()),
            path: path.clone(),
            tables: BTreeMap::from([("users".to_owned(), ids), ("orders".to_owned(), BTreeMap::new())]),
        };
        ids.keep().expect("it is written");
        assert_eq!(NewIds::read(&path).expect("it is read"), NewIds { new: false, ..ids });
        for (text, says) in [("{", "EOF"), (r#"{"format":"cutover-ids/2","target":"a","tables":{}}"#, "cutover-ids/2")]
        {
            fs::write(&path, text).expect("it is written");
            let error = NewIds::read(&path).expect_err(text).to_string();
            assert!(error.contains(says) && error.contains("plan.ids.json"), "{error}");
        }
    }
}
