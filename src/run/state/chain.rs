//! The audit trail: each entry seals the one before it, so that none can be changed, removed or moved unseen.
//!
//! It shows tampering to whoever keeps the head of the chain elsewhere, and mistakes and damage to everybody. Who can write
//! the file and knows this page can make a new chain; only a head that was written down elsewhere tells the two apart.

use rusqlite::{Connection, Row, Transaction, params, types::ValueRef};

/// What stands before the first entry.
const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Keeps these hashes apart from all others.
const CONTEXT: &str = "cutover 2026 audit trail";

/// What `audit` holds beside its number and the hash of the entry before.
const COLUMNS: [&str; 4] = ["at", "run", "event", "detail"];

/// What came of looking at the whole audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Entries up to the first that is wrong.
    pub entries: u64,
    /// The hash of the last of them.
    pub head: String,
    /// The first that is wrong.
    pub broken: Option<Broken>,
}

/// Where the audit trail is no longer what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number of the entry.
    pub entry: u64,
    /// What is wrong about it.
    pub why: String,
}

/// Adds an entry behind the last one.
pub(super) fn append(
    change: &Transaction<'_>,
    at: &str,
    run: Option<&str>,
    event: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    let (number, previous) = head(change)?;
    let number = number + 1;
    let fields = [Some(at.as_bytes()), run.map(str::as_bytes), Some(event.as_bytes()), Some(detail.as_bytes())];
    let hash = seal(&previous, number, fields);
    let entry = params![number, at, run, event, detail, previous, hash];
    change.execute(
        "INSERT INTO audit (seq, at, run, event, detail, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        entry,
    )?;
    let keep = "UPDATE meta SET audit_entries = ?1, audit_head = ?2";
    change.execute(keep, params![number, hash]).map(drop)
}

/// Begins a chain without entries.
pub(super) fn begin(change: &Transaction<'_>) -> rusqlite::Result<()> {
    change.execute("INSERT INTO meta (one, audit_entries, audit_head) VALUES (1, 0, ?1)", [START]).map(drop)
}

/// How many entries were written, and the hash of the last one, as is kept apart from them.
fn head(connection: &Connection) -> rusqlite::Result<(i64, String)> {
    connection.query_row("SELECT audit_entries, audit_head FROM meta", [], |it| Ok((it.get(0)?, it.get(1)?)))
}

/// Looks at every entry.
pub(super) fn verify(connection: &Connection) -> rusqlite::Result<Audited> {
    let query = format!("SELECT seq, previous, hash, {} FROM audit ORDER BY seq", COLUMNS.join(", "));
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query([])?;
    let mut audited = Audited { entries: 0, head: START.to_owned(), broken: None };
    while let Some(row) = rows.next()? {
        let number = i64::try_from(audited.entries).unwrap_or(i64::MAX).saturating_add(1);
        match link(row, number, &audited.head)? {
            Ok(hash) => audited = Audited { entries: audited.entries + 1, head: hash, broken: None },
            Err(why) => {
                audited.broken = Some(Broken { entry: audited.entries + 1, why: why.to_owned() });
                return Ok(audited);
            }
        }
    }
    let why = match head(connection) {
        Ok((written, _)) if u64::try_from(written).is_ok_and(|it| it > audited.entries) => "this entry is gone",
        Ok((written, head)) if u64::try_from(written) == Ok(audited.entries) && head == audited.head => {
            return Ok(audited);
        }
        _ => "what is kept about the last entry is not about this one",
    };
    // With the end cut off, the next entry is the one that is missed; else the last one is in question.
    let entry = if why.ends_with("gone") { audited.entries + 1 } else { audited.entries.max(1) };
    audited.broken = Some(Broken { entry, why: why.to_owned() });
    Ok(audited)
}

/// The hash of an entry that is what was written, or what is wrong about it.
fn link(row: &Row<'_>, number: i64, before: &str) -> rusqlite::Result<Result<String, &'static str>> {
    if row.get::<_, i64>(0)? != number {
        return Ok(Err("this entry is gone"));
    }
    let bytes = |place: usize| {
        Ok::<_, rusqlite::Error>(match row.get_ref(place)? {
            ValueRef::Text(it) | ValueRef::Blob(it) => Some(it),
            _ => None,
        })
    };
    if bytes(1)? != Some(before.as_bytes()) {
        return Ok(Err("it does not follow the entry before it"));
    }
    let hash = seal(before, number, [bytes(3)?, bytes(4)?, bytes(5)?, bytes(6)?]);
    Ok(if bytes(2)? == Some(hash.as_bytes()) { Ok(hash) } else { Err("it was changed") })
}

/// The hash of an entry. The length of each field is part of it, so that none can grow at the cost of the next.
fn seal(previous: &str, number: i64, fields: [Option<&[u8]>; COLUMNS.len()]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    let number = number.to_string();
    for field in [Some(previous.as_bytes()), Some(number.as_bytes())].into_iter().chain(fields) {
        match field {
            None => hasher.update(&[0]),
            Some(it) => hasher.update(&[1]).update(&(it.len() as u64).to_le_bytes()).update(it),
        };
    }
    hasher.finalize().to_hex().to_string()
}
