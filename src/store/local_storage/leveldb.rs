//! LevelDB databases, read without writing to them.
//!
//! Formats: `doc/log_format.md`, `doc/table_format.md` and `doc/impl.md` of LevelDB, and the tags in its `db/version_edit.cc`.
//! Every checksum is looked at. A library that opens a database recovers it: it writes, and passes over a damaged log in
//! silence. Here nothing is merged either: each version of a key is handed out with its sequence number, and the highest wins.

use super::crc;
use crate::error::{Error, Kind, Result};
use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version<'a> {
    /// The key.
    pub(super) key: &'a [u8],
    /// Of two versions of one key the one with the higher number counts.
    pub(super) sequence: u64,
    /// Nothing: the key was deleted.
    pub(super) value: Option<&'a [u8]>,
}

/// Whoever takes the versions of keys, in no order.
type Take<'t> = dyn FnMut(Version<'_>) -> Result<()> + 't;

/// Whoever takes the keys and values of a block.
type TakePair<'t> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 't;

/// Which files make up the database.
#[derive(Debug, Default)]
struct Manifest {
    comparator: Vec<u8>,
    /// Logs from this number on are not in tables yet.
    log: u64,
    /// A log that is being written into a table.
    previous_log: u64,
    /// Number and size of each table.
    tables: BTreeSet<(u64, u64)>,
}

/// The only order in which Chromium keeps local storage.
const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";
/// A log is a row of blocks of this size.
const LOG_BLOCK: usize = 32 << 10;
/// Checksum, length and type of a piece of a log.
const PIECE: usize = 7;
/// Bytes that a record or block may have. Local storage lets no origin have more than 10 MiB.
const LIMIT: usize = 256 << 20;
/// Two handles and the magic number, at the end of a table.
const FOOTER: usize = 48;
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;

/// Hands out every version of every key in the database in `folder`.
///
/// # Errors
/// If a file is missing, or a checksum or length in it is wrong.
pub(super) fn read(folder: &Path, take: &mut Take<'_>) -> Result<()> {
    let manifest = manifest(folder)?;
    for &(number, size) in &manifest.tables {
        let names = [format!("{number:06}.ldb"), format!("{number:06}.sst")].map(|it| folder.join(it));
        let path = names.iter().find(|it| it.exists()).unwrap_or(&names[0]);
        table(path, size, take)?;
    }
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).map_err(|it| damaged(folder, it))? {
        let name = entry.map_err(|it| damaged(folder, it))?.file_name();
        let number = name.to_str().and_then(|it| it.strip_suffix(".log")).and_then(|it| it.parse::<u64>().ok());
        logs.extend(number.filter(|&it| it >= manifest.log || it == manifest.previous_log));
    }
    // The log that is written to is made before the manifest names it.
    logs.extend((manifest.log > 0).then_some(manifest.log));
    logs.sort_unstable();
    logs.dedup();
    for number in logs {
        let path = folder.join(format!("{number:06}.log"));
        records(&path, &mut |record| batch(record, take).ok_or_else(|| damaged(&path, "a write in it is cut off"))?)?;
    }
    Ok(())
}

/// What `CURRENT` and the manifest that it names say.
fn manifest(folder: &Path) -> Result<Manifest> {
    let current = folder.join("CURRENT");
    let mut name = String::new();
    let read = open(&current)?.take(64).read_to_string(&mut name);
    read.map_err(|it| damaged(&current, it))?;
    let name = name.trim_end_matches('\n');
    let digits = name.strip_prefix("MANIFEST-").unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(damaged(&current, "it names no manifest"));
    }
    let path = folder.join(name);
    let (mut manifest, mut edits) = (Manifest::default(), 0);
    records(&path, &mut |record| {
        edits += 1;
        manifest.edit(record).ok_or_else(|| damaged(&path, "an edit in it cannot be read"))
    })?;
    if edits == 0 {
        return Err(damaged(&path, "it is empty"));
    }
    if manifest.comparator != COMPARATOR {
        return Err(damaged(&path, "the database is in another order than local storage, so it is none"));
    }
    Ok(manifest)
}

impl Manifest {
    /// Applies one edit. Nothing: it cannot be read.
    fn edit(&mut self, mut bytes: &[u8]) -> Option<()> {
        let (mut deleted, mut added) = (BTreeSet::new(), BTreeSet::new());
        while !bytes.is_empty() {
            match varint(&mut bytes)? {
                1 => self.comparator = text(&mut bytes)?.to_vec(),
                2 => self.log = varint(&mut bytes)?,
                // The next number of a file, and the last sequence number.
                3 | 4 => drop(varint(&mut bytes)?),
                5 => {
                    varint(&mut bytes)?;
                    text(&mut bytes)?;
                }
                6 => {
                    varint(&mut bytes)?;
                    deleted.insert(varint(&mut bytes)?);
                }
                7 => {
                    varint(&mut bytes)?;
                    added.insert((varint(&mut bytes)?, varint(&mut bytes)?));
                    text(&mut bytes)?;
                    text(&mut bytes)?;
                }
                9 => self.previous_log = varint(&mut bytes)?,
                _ => return None,
            }
        }
        // A table that moves to another level is deleted from the one and added to the other in one edit.
        self.tables.retain(|it| !deleted.contains(&it.0));
        self.tables.append(&mut added);
        Some(())
    }
}

/// Hands out the records of a log. LevelDB itself passes over a last record that is cut off, since its writer may have been
/// killed. A wrong length looks just like that, so here it is an error.
fn records(path: &Path, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut file = BufReader::with_capacity(LOG_BLOCK, open(path)?);
    let (mut block, mut record, mut within) = (Vec::new(), Vec::new(), false);
    loop {
        block.clear();
        let read = file.by_ref().take(LOG_BLOCK as u64).read_to_end(&mut block);
        read.map_err(|it| damaged(path, it))?;
        let (last, mut rest) = (block.len() < LOG_BLOCK, block.as_slice());
        while let Some((head, body)) = rest.split_first_chunk::<PIECE>() {
            let (sum, length, kind) = (le32(head), usize::from(u16::from_le_bytes([head[4], head[5]])), head[6]);
            if rest.iter().all(|&it| it == 0) {
                // Space that was set aside and never written to.
                break;
            }
            let Some((payload, next)) = body.split_at_checked(length) else { return Err(cut(path)) };
            if crc::masked(&[&[kind], payload]) != sum {
                return Err(damaged(path, "a checksum in it is wrong"));
            }
            rest = next;
            match (kind, within) {
                (1 | 2, false) => record.clear(),
                (3 | 4, true) => {}
                _ => return Err(damaged(path, "the pieces of a record in it are out of order")),
            }
            if record.len() + payload.len() > LIMIT {
                return Err(damaged(path, "a record in it is too large"));
            }
            record.extend_from_slice(payload);
            within = matches!(kind, 2 | 3);
            if !within {
                take(&record)?;
            }
        }
        if last && (within || rest.iter().any(|&it| it != 0)) {
            return Err(cut(path));
        }
        if last {
            return Ok(());
        }
    }
}

/// Hands out the writes of one record of a log. Nothing: it cannot be read.
fn batch(record: &[u8], take: &mut Take<'_>) -> Option<Result<()>> {
    let (sequence, rest) = record.split_first_chunk::<8>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let sequence = u64::from_le_bytes(*sequence);
    for place in 0..u64::from(u32::from_le_bytes(*count)) {
        let (&kind, after) = rest.split_first()?;
        rest = after;
        let key = text(&mut rest)?;
        let value = match kind {
            0 => None,
            1 => Some(text(&mut rest)?),
            _ => return None,
        };
        if let Err(error) = take(Version { key, sequence: sequence.checked_add(place)?, value }) {
            return Some(Err(error));
        }
    }
    rest.is_empty().then_some(Ok(()))
}

/// Hands out the entries of a table, which has `size` bytes.
fn table(path: &Path, size: u64, take: &mut Take<'_>) -> Result<()> {
    let file = open(path)?;
    let length = file.metadata().map_err(|it| damaged(path, it))?.len();
    if length < size.max(FOOTER as u64) {
        return Err(damaged(path, format_args!("{length} bytes of {size} are there")));
    }
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, size.saturating_sub(FOOTER as u64)).map_err(|it| damaged(path, it))?;
    let mut handles = &footer[..FOOTER - 8];
    let broken = || damaged(path, "its index cannot be read");
    if footer[FOOTER - 8..] != MAGIC.to_le_bytes() {
        return Err(damaged(path, "it does not end as a table does"));
    }
    // The first handle is that of the index of filters.
    handle(&mut handles).ok_or_else(broken)?;
    let index = block(path, &file, size, handle(&mut handles).ok_or_else(broken)?)?;
    entries(&index, &mut |_, mut place| {
        let block = block(path, &file, size, handle(&mut place).ok_or_else(broken)?)?;
        entries(&block, &mut |key, value| {
            let (key, trailer) = key.split_last_chunk::<8>().ok_or_else(|| damaged(path, "a key in it is cut off"))?;
            let trailer = u64::from_le_bytes(*trailer);
            let value = match trailer & 0xff {
                0 => None,
                1 => Some(value),
                _ => return Err(damaged(path, "an entry in it is of an unknown kind")),
            };
            take(Version { key, sequence: trailer >> 8, value })
        })
        .ok_or_else(|| damaged(path, "a block in it cannot be read"))?
    })
    .ok_or_else(broken)?
}

/// A block of a table, unpacked.
fn block(path: &Path, file: &File, size: u64, (offset, length): (u64, u64)) -> Result<Vec<u8>> {
    let whole = length.checked_add(5).filter(|&it| offset.checked_add(it).is_some_and(|end| end <= size));
    let whole = whole.and_then(|it| usize::try_from(it).ok()).filter(|&it| it <= LIMIT);
    let mut bytes = vec![0; whole.ok_or_else(|| damaged(path, "its index points outside"))?];
    file.read_exact_at(&mut bytes, offset).map_err(|it| damaged(path, it))?;
    let Some((rest, sum)) = bytes.split_last_chunk::<4>() else { return Ok(Vec::new()) };
    if crc::masked(&[rest]) != u32::from_le_bytes(*sum) {
        return Err(damaged(path, "a checksum in it is wrong"));
    }
    let packing = rest.last().copied();
    bytes.truncate(bytes.len() - 5);
    match packing {
        Some(0) => Ok(bytes),
        Some(1) => super::text::unpack_snappy(&bytes).ok_or_else(|| damaged(path, "a block in it cannot be unpacked")),
        Some(2) => super::text::unpack_zstd(&bytes).ok_or_else(|| damaged(path, "a block in it cannot be unpacked")),
        _ => Err(damaged(path, "a block in it is packed in an unknown way")),
    }
}

/// Hands out the keys and values of a block. Nothing: it cannot be read.
fn entries(block: &[u8], take: &mut TakePair<'_>) -> Option<Result<()>> {
    let (rest, restarts) = block.split_last_chunk::<4>()?;
    let restarts = usize::try_from(u32::from_le_bytes(*restarts)).ok()?.checked_mul(4)?;
    let mut rest = rest.get(..rest.len().checked_sub(restarts)?)?;
    let mut key = Vec::new();
    while !rest.is_empty() {
        let sizes = [varint(&mut rest)?, varint(&mut rest)?, varint(&mut rest)?];
        let [shared, own, value] = sizes.map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        if shared > key.len() {
            return None;
        }
        key.truncate(shared);
        key.extend_from_slice(pass(&mut rest, own)?);
        if let Err(error) = take(&key, pass(&mut rest, value)?) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}

/// Where a block is, and how long it is without the five bytes behind it.
fn handle(bytes: &mut &[u8]) -> Option<(u64, u64)> {
    Some((varint(bytes)?, varint(bytes)?))
}

/// A number of seven bits a byte, the lowest first.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = pass(bytes, 1)?.first().copied()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Bytes behind their length.
fn text<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = varint(bytes)?;
    pass(bytes, usize::try_from(length).ok()?)
}

fn pass<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (passed, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(passed)
}

fn le32(head: &[u8; PIECE]) -> u32 {
    u32::from_le_bytes([head[0], head[1], head[2], head[3]])
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|it| match it.kind() {
        io::ErrorKind::NotFound => damaged(path, "the database needs this file, and it is not there"),
        _ => damaged(path, it),
    })
}

#[cold]
fn cut(path: &Path) -> Error {
    damaged(
        path,
        "a record in it is cut off; open the browser once and close it, which repairs what it can, and run again",
    )
}

#[cold]
fn damaged(path: &Path, what: impl fmt::Display) -> Error {
    let name = PathBuf::from(path.file_name().unwrap_or_default());
    Error::new(Kind::Store, format_args!("{}: {what}", name.display()))
}

#[cfg(test)]
mod tests;
