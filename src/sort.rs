//! Any order to byte order, within a memory budget: sorted runs in a temporary file and a k-way merge.
//!
//! The file has no name, so nothing is left behind however the process ends.

use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow},
};
use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::File,
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

/// Where and within which limits to sort.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Bytes to hold in memory.
    pub memory: usize,
    /// The folder for temporary files.
    pub folder: PathBuf,
}

/// Takes records in any order and gives them back sorted by their sort bytes.
///
/// ```
/// use cutover::sort::{Budget, Sorter};
///
/// let mut sorter = Sorter::new(Budget { memory: 1 << 20, folder: std::env::temp_dir() });
/// sorter.push(b"b", b"second")?;
/// sorter.push(b"a", b"first")?;
/// let mut sorted = sorter.finish()?;
/// assert_eq!(sorted.next()?, Some((&b"a"[..], &b"first"[..])));
/// # Ok::<(), cutover::error::Error>(())
/// ```
pub struct Sorter {
    budget: Budget,
    /// Records one after the other, each as [`HEAD`] bytes of lengths, sort bytes and rest. A chunk never moves.
    chunks: Vec<Vec<u8>>,
    places: Vec<Place>,
    /// Chunks of runs that were written, to be filled once more: what is given back to the system comes again page by page.
    spare: Vec<Vec<u8>>,
    spill: Option<Spill>,
}

/// Lengths of sort bytes and rest, four bytes each.
const HEAD: usize = 8;
const CHUNK: usize = 1 << 20;

#[derive(Clone, Copy, Default)]
struct Place {
    /// The eight bytes behind what all sort bytes begin with, filled in when sorting.
    prefix: u64,
    chunk: u32,
    offset: u32,
}

struct Spill {
    file: BufWriter<File>,
    length: u64,
    /// Where each run ends in the file.
    ends: Vec<u64>,
}

impl Sorter {
    /// An empty sorter; it takes no memory before the first record.
    pub fn new(budget: Budget) -> Sorter {
        Sorter { budget, chunks: Vec::new(), places: Vec::new(), spare: Vec::new(), spill: None }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If a run cannot be written.
    pub fn push(&mut self, sort: &[u8], rest: &[u8]) -> Result<()> {
        let length = HEAD + sort.len() + rest.len();
        let room = self.chunks.last().is_some_and(|it| it.capacity() - it.len() >= length);
        if !room {
            // The file buffer and the entries count too: places double when they grow.
            let held = self.chunks.len() * CHUNK + self.places.len() * 2 * size_of::<Place>() + CHUNK;
            if !self.chunks.is_empty() && held + CHUNK.max(length) > self.budget.memory {
                self.spill()?;
            }
            if length > CHUNK {
                self.spare.clear();
            }
            self.chunks.push(self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK.max(length))));
        }
        let number = self.chunks.len() as u32 - 1;
        let Some(chunk) = self.chunks.last_mut() else { return Ok(()) };
        self.places.push(Place { prefix: 0, chunk: number, offset: chunk.len() as u32 });
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&(sort.len() as u32).to_le_bytes());
        head[4..].copy_from_slice(&(rest.len() as u32).to_le_bytes());
        chunk.extend_from_slice(&head);
        chunk.extend_from_slice(sort);
        chunk.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the input.
    ///
    /// # Errors
    /// If a run cannot be written.
    pub fn finish(mut self) -> Result<Sorted> {
        if self.spill.is_some() && !self.places.is_empty() {
            self.spill()?;
        }
        let Some(spill) = self.spill.take() else {
            self.sort();
            return Ok(Sorted(State::Memory { chunks: self.chunks, places: self.places, next: 0 }));
        };
        // What merges needs the memory.
        (self.spare, self.places) = (Vec::new(), Vec::new());
        let file = Arc::new(spill.file.into_inner().map_err(|it| failed(&self.budget, it.error()))?);
        let heads = BinaryHeap::with_capacity(spill.ends.len());
        let mut sorted = Sorted(State::Runs { file, ends: spill.ends, heads, fresh: true, budget: self.budget });
        sorted.rewind()?;
        Ok(sorted)
    }

    fn sort(&mut self) {
        let Some(first) = self.places.first() else { return };
        let chunks = &self.chunks;
        let first = record(chunks, *first).0;
        let common = self.places.iter().fold(first.len(), |common, &it| {
            let sort = record(chunks, it).0;
            first[..common].iter().zip(sort).take_while(|(a, b)| a == b).count()
        });
        for place in &mut self.places {
            let behind = &record(chunks, *place).0[common..];
            let mut prefix = [0; 8];
            let length = behind.len().min(8);
            prefix[..length].copy_from_slice(&behind[..length]);
            place.prefix = u64::from_be_bytes(prefix);
        }
        let order = |a: &Place, b: &Place| {
            a.prefix.cmp(&b.prefix).then_with(|| record(chunks, *a).0[common..].cmp(&record(chunks, *b).0[common..]))
        };
        if !self.places.is_sorted_by(|a, b| order(a, b) != Ordering::Greater) {
            self.places.sort_unstable_by(order);
        }
    }

    fn spill(&mut self) -> Result<()> {
        self.sort();
        let spill = match &mut self.spill {
            Some(it) => it,
            none => {
                let file = tempfile::tempfile_in(&self.budget.folder).map_err(|it| failed(&self.budget, &it))?;
                none.insert(Spill { file: BufWriter::with_capacity(CHUNK, file), length: 0, ends: Vec::new() })
            }
        };
        for &place in &self.places {
            let (sort, rest) = record(&self.chunks, place);
            let bytes = &self.chunks[place.chunk as usize][place.offset as usize..][..HEAD + sort.len() + rest.len()];
            spill.file.write_all(bytes).map_err(|it| failed(&self.budget, &it))?;
            spill.length += bytes.len() as u64;
        }
        spill.ends.push(spill.length);
        // Chunks of one large record each go.
        self.spare.extend(self.chunks.drain(..).filter(|it| it.capacity() == CHUNK));
        self.spare.iter_mut().for_each(Vec::clear);
        self.places.clear();
        Ok(())
    }
}

/// Records in the order of their sort bytes.
pub struct Sorted(State);

enum State {
    Memory { chunks: Vec<Vec<u8>>, places: Vec<Place>, next: usize },
    Runs { file: Arc<File>, ends: Vec<u64>, heads: BinaryHeap<Reverse<Head>>, fresh: bool, budget: Budget },
}

/// The first record of a run that was not given out yet.
struct Head {
    sort: Vec<u8>,
    rest: Vec<u8>,
    run: Run,
}

struct Run {
    file: Arc<File>,
    /// What to read next, and where the run ends.
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    size: usize,
    at: usize,
}

impl Sorted {
    /// Back to the first record.
    ///
    /// # Errors
    /// If a run cannot be read back.
    pub fn rewind(&mut self) -> Result<()> {
        let (file, ends, heads, fresh, budget) = match &mut self.0 {
            State::Memory { next, .. } => {
                *next = 0;
                return Ok(());
            }
            State::Runs { file, ends, heads, fresh, budget } => (file, ends, heads, fresh, budget),
        };
        let size = (budget.memory / ends.len().max(1)).clamp(16 << 10, 1 << 20);
        heads.clear();
        *fresh = true;
        let mut start = 0;
        for &end in &*ends {
            let run = Run { file: Arc::clone(file), next: start, end, buffer: Vec::new(), size, at: 0 };
            let mut head = Head { sort: Vec::new(), rest: Vec::new(), run };
            if head.advance().map_err(|it| failed(budget, &it))? {
                heads.push(Reverse(head));
            }
            start = end;
        }
        Ok(())
    }

    /// The next record: its sort bytes and its rest.
    ///
    /// # Errors
    /// If a run cannot be read back.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it, which an iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match &mut self.0 {
            State::Memory { chunks, places, next } => {
                *next += 1;
                Ok(places.get(*next - 1).map(|&it| record(chunks, it)))
            }
            State::Runs { heads, fresh, budget, .. } => {
                if !std::mem::take(fresh) {
                    let Some(mut top) = heads.peek_mut() else { return Ok(None) };
                    let Reverse(head) = &mut *top;
                    if !head.advance().map_err(|it| failed(budget, &it))? {
                        PeekMut::pop(top);
                    }
                }
                Ok(heads.peek().map(|Reverse(it)| (it.sort.as_slice(), it.rest.as_slice())))
            }
        }
    }
}

impl Head {
    fn advance(&mut self) -> std::io::Result<bool> {
        self.sort.clear();
        self.rest.clear();
        self.run.read(&mut self.sort, &mut self.rest)
    }
}

impl Run {
    /// Reads one record, or says that the run is at its end.
    fn read(&mut self, sort: &mut Vec<u8>, rest: &mut Vec<u8>) -> std::io::Result<bool> {
        let mut lengths = [0; HEAD];
        if self.at == self.buffer.len() && self.next == self.end {
            return Ok(false);
        }
        self.copy(HEAD, |it, done| lengths[done..done + it.len()].copy_from_slice(it))?;
        let length = |at: usize| u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]);
        self.copy(length(0) as usize, |it, _| sort.extend_from_slice(it))?;
        self.copy(length(4) as usize, |it, _| rest.extend_from_slice(it))?;
        Ok(true)
    }

    fn copy(&mut self, length: usize, mut to: impl FnMut(&[u8], usize)) -> std::io::Result<()> {
        let mut done = 0;
        while done < length {
            if self.at == self.buffer.len() {
                let size = (self.size as u64).min(self.end - self.next) as usize;
                if size == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                self.buffer.resize(size, 0);
                self.file.read_exact_at(&mut self.buffer, self.next)?;
                self.next += size as u64;
                self.at = 0;
            }
            let some = (length - done).min(self.buffer.len() - self.at);
            to(&self.buffer[self.at..self.at + some], done);
            self.at += some;
            done += some;
        }
        Ok(())
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Head {}
impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        (&self.sort, &self.rest).cmp(&(&other.sort, &other.rest))
    }
}

/// Sorts the rows that it is fed by all their bytes: key first, then the other cells.
pub struct RowSorter {
    sorter: Sorter,
    rest: Vec<u8>,
}

impl RowSorter {
    /// An empty sorter.
    pub fn new(budget: Budget) -> RowSorter {
        RowSorter { sorter: Sorter::new(budget), rest: Vec::new() }
    }

    /// Hands all rows on in order. `batch` is of their shape.
    ///
    /// # Errors
    /// If a run cannot be written or read back, or `feed` fails.
    pub fn drain(self, mut batch: Batch, feed: &mut dyn Feed) -> Result<()> {
        let mut sorted = self.sorter.finish()?;
        batch.clear();
        while let Some((bytes, rest)) = sorted.next()? {
            let Some((odd, ends)) = rest.split_first() else { continue };
            let ends = ends.chunks_exact(4).map(|it| u32::from_le_bytes([it[0], it[1], it[2], it[3]]));
            batch.push_cells(bytes, ends, *odd != 0);
            if batch.is_full() && feed.take(&mut batch)? == Flow::Stop {
                return Ok(());
            }
        }
        if !batch.is_empty() {
            let _ = feed.take(&mut batch)?;
        }
        Ok(())
    }

    /// Adds the rows of `batch` and forgets them there; its rejects stay.
    ///
    /// # Errors
    /// If a run cannot be written.
    pub fn add(&mut self, batch: &Batch) -> Result<()> {
        for row in batch.rows() {
            self.rest.clear();
            self.rest.push(u8::from(row.is_odd()));
            row.ends().for_each(|it| self.rest.extend_from_slice(&it.to_le_bytes()));
            self.sorter.push(row.bytes(), &self.rest)?;
        }
        Ok(())
    }
}

fn record(chunks: &[Vec<u8>], place: Place) -> (&[u8], &[u8]) {
    let bytes = &chunks[place.chunk as usize][place.offset as usize..];
    let length = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let (sort, rest) = (length(0), length(4));
    (&bytes[HEAD..HEAD + sort], &bytes[HEAD + sort..HEAD + sort + rest])
}

#[cold]
fn failed(budget: &Budget, error: &std::io::Error) -> Error {
    let folder = budget.folder.display();
    Error::new(
        Kind::File,
        format_args!(
            "cannot sort in {folder}: {error}; free some space there, name another folder in TMPDIR, or raise --memory"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(records: &[(Vec<u8>, Vec<u8>)], memory: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut sorter = Sorter::new(Budget { memory, folder: std::env::temp_dir() });
        for (sort, rest) in records {
            sorter.push(sort, rest).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        while sorted.next().unwrap().is_some() {}
        sorted.rewind().unwrap();
        let mut out = Vec::new();
        while let Some((sort, rest)) = sorted.next().unwrap() {
            out.push((sort.to_vec(), rest.to_vec()));
        }
        out
    }

    fn check(mut records: Vec<(Vec<u8>, Vec<u8>)>, memory: usize) {
        let got = sorted(&records, memory);
        assert!(got.is_sorted_by(|a, b| a.0 <= b.0));
        let mut got = got;
        got.sort();
        records.sort();
        assert_eq!(got, records);
    }

    #[test]
    fn nothing_and_one() {
        check(vec![], 1 << 20);
        check(vec![(b"a".to_vec(), vec![])], 1 << 20);
    }

    #[test]
    fn spilled_runs_come_back_in_order() {
        let record = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec(), vec![n as u8; 900]);
        check((0..9_000).map(record).collect(), 3 << 20);
    }

    #[test]
    fn a_record_larger_than_the_budget_still_passes() {
        check((0..5).map(|n| (vec![n; 3 << 20], vec![])).collect(), 1 << 20);
    }

    proptest! {
        #[test]
        fn any_records(records in prop::collection::vec((prop::collection::vec(0u8..3, 0..12), prop::collection::vec(any::<u8>(), 0..4)), 0..200)) {
            check(records, 1 << 20);
        }
    }
}
