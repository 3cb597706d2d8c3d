//! Rows on disk between two steps of a run: cells as they are in memory, so that nothing is spelled, parsed or cast on the way.
//!
//! A file is the line `cutover-rows/2`, then frames. A frame is a head of four numbers of four bytes each, little-endian, and a hash,
//! then its content: how many rows it has, how many cells a row has, how long the content is unpacked and packed, and BLAKE3 of the
//! hash before it, these numbers and the packed content. So no frame can be changed, left out, doubled or moved. Unpacked as one block of
//! Snappy, the content is how long each cell is, in LEB128, and the cells. The last frame has no rows; its content is how many there are
//! in the file, eight bytes.
//!
//! Cells are those of [`cell`](crate::value::cell). The files are read by the version that wrote them: a run is undone by what made it.

use super::early::Passing;
use crate::{
    disk::{self, Output},
    error::{Error, Kind, Result},
    row::{Batch, Rows, Shape},
};
use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a file begins with.
const TITLE: &[u8] = b"cutover-rows/2\n";
/// The four numbers before a frame.
const NUMBERS: usize = 16;
const HASH: usize = 32;
/// The last frame's content.
const COUNT: usize = 8;
/// How long the cells of a frame may be before it is written.
const FULL: usize = 256 << 10;

/// Rows on their way into a file. It gets its name when all of it is on the disk.
pub(super) struct Pile {
    path: PathBuf,
    draft: PathBuf,
    output: Output,
    /// How long each cell is, and then the cells.
    content: Vec<u8>,
    cells: Vec<u8>,
    frame: u32,
    width: usize,
    rows: u64,
    hash: [u8; HASH],
    /// Staging waits for it. Zstandard at its fastest packs no better, and takes a third longer.
    packer: snap::raw::Encoder,
    packed: Vec<u8>,
    /// Where all rows go besides, and where their cells end.
    onward: Option<Passing>,
    ends: Vec<u32>,
}

impl Pile {
    /// Begins the file of rows of so many cells that will be at `path`, in place of one that is there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn create(path: &Path, width: usize) -> Result<Pile> {
        let draft = path.with_extension("draft");
        match fs::remove_file(&draft) {
            Err(it) if it.kind() != io::ErrorKind::NotFound => Err(disk::failed(&draft, "cannot remove", &it)),
            _ => Ok(()),
        }?;
        let mut output = Output::create(draft.clone())?;
        output.put(TITLE)?;
        Ok(Pile {
            path: path.to_owned(),
            draft,
            output,
            content: Vec::new(),
            cells: Vec::new(),
            frame: 0,
            width,
            rows: 0,
            hash: [0; HASH],
            packer: snap::raw::Encoder::new(),
            packed: Vec::new(),
            onward: None,
            ends: Vec::new(),
        })
    }

    /// The same, which also passes all rows on.
    pub(super) fn passing(self, onward: Option<Passing>) -> Pile {
        Pile { onward, ..self }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If it cannot be written, or has another number of cells.
    pub(super) fn push<'c>(&mut self, cells: impl Iterator<Item = &'c [u8]>) -> Result<()> {
        let mut width = 0;
        for cell in cells {
            self.cells.extend_from_slice(cell);
            write_length(cell.len(), &mut self.content);
            width += 1;
        }
        if width != self.width {
            return Err(Error::new(Kind::Broken, "a row to stage has another number of cells than its table"));
        }
        u32::try_from(self.cells.len()).map_err(|_| too_long())?;
        self.frame += 1;
        self.rows += 1;
        if self.cells.len() + self.content.len() < FULL { Ok(()) } else { self.flush() }
    }

    /// Writes what there is, and gives the file its name.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.frame > 0 {
            self.flush()?;
        }
        self.onward.take().into_iter().for_each(Passing::end);
        let rows = self.rows.to_le_bytes();
        self.frame(0, COUNT, &rows)?;
        self.output.close()?;
        fs::rename(&self.draft, &self.path).map_err(|it| disk::failed(&self.path, "cannot put it there", &it))?;
        disk::sync(disk::parent(&self.path))
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(onward) = &mut self.onward {
            let _ = ends(&self.content, self.frame as usize * self.width, &mut self.ends);
            onward.take(&self.cells, &self.ends);
        }
        self.content.append(&mut self.cells);
        let mut packed = std::mem::take(&mut self.packed);
        packed.resize(snap::raw::max_compress_len(self.content.len()), 0);
        let length = self.packer.compress(&self.content, &mut packed).map_err(|_| too_long())?;
        self.frame(self.frame, self.content.len(), &packed[..length])?;
        (self.packed, self.frame) = (packed, 0);
        self.content.clear();
        Ok(())
    }

    fn frame(&mut self, rows: u32, length: usize, packed: &[u8]) -> Result<()> {
        let mut head = Vec::with_capacity(NUMBERS + HASH);
        for number in [rows as usize, self.width, length, packed.len()] {
            let number = u32::try_from(number).map_err(|_| too_long())?;
            head.extend_from_slice(&number.to_le_bytes());
        }
        self.hash = hash(&self.hash, &head, packed);
        head.extend_from_slice(&self.hash);
        self.output.put(&head)?;
        self.output.put(packed)
    }
}

#[cold]
fn too_long() -> Error {
    Error::new(Kind::Limit, "a row holds more than 4 GiB and cannot be staged")
}

/// Appends a length in LEB128: seven bits a byte, the lowest first, and the eighth set where more follow.
#[inline]
fn write_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Reads so many lengths at the start of `content` into `out`, as where cells end that follow each other. Where the first one begins;
/// nothing, if these are no lengths of cells, none of which is empty.
fn ends(content: &[u8], cells: usize, out: &mut Vec<u32>) -> Option<usize> {
    let (mut at, mut end) = (0, 0_u32);
    out.clear();
    for _ in 0..cells {
        let mut length = 0;
        for shift in (0..u32::BITS).step_by(7) {
            let byte = *content.get(at)?;
            at += 1;
            length |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        end = end.checked_add(u32::try_from(length).ok().filter(|it| *it > 0)?)?;
        out.push(end);
    }
    Some(at)
}

fn hash(before: &[u8; HASH], numbers: &[u8], packed: &[u8]) -> [u8; HASH] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(numbers).update(packed);
    *hasher.finalize().as_bytes()
}

/// The rows of a file that [`Pile`] has written, in the order in which they were pushed.
pub(super) struct Piled {
    path: PathBuf,
    file: File,
    shape: Arc<Shape>,
    packed: Vec<u8>,
    content: Vec<u8>,
    ends: Vec<u32>,
    hash: [u8; HASH],
    read: u64,
    ended: bool,
}

impl Piled {
    /// Opens the file, whose rows have the cells of `shape`.
    ///
    /// # Errors
    /// If there is none, or none of this version.
    pub(super) fn open(path: &Path, shape: &Arc<Shape>) -> Result<Piled> {
        let file = File::open(path).map_err(|it| disk::failed(path, "cannot be read", &it))?;
        let (path, shape) = (path.to_owned(), Arc::clone(shape));
        let (packed, content, ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut piled = Piled { path, file, shape, packed, content, ends, hash: [0; HASH], read: 0, ended: false };
        let mut title = [0; TITLE.len()];
        piled.fetch(&mut title)?;
        if title == TITLE { Ok(piled) } else { Err(piled.damaged("it is not of this version of cutover")) }
    }

    /// How many rows there are, by the end of the file. To read them all checks that.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn count(&self) -> Result<u64> {
        let mut count = [0; COUNT];
        let mut file = File::open(&self.path).map_err(|it| disk::failed(&self.path, "cannot be read", &it))?;
        let read = file.seek(SeekFrom::End(-(COUNT as i64))).and_then(|_| file.read_exact(&mut count));
        read.map_err(|it| disk::failed(&self.path, "cannot be read", &it))?;
        Ok(u64::from_le_bytes(count))
    }

    fn fetch(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact(bytes).map_err(|it| match it.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it is cut off"),
            _ => disk::failed(&self.path, "cannot be read", &it),
        })
    }

    /// Reads the next frame into `content`, and says how many rows it has and how long it is unpacked.
    fn frame(&mut self) -> Result<(u32, usize)> {
        let mut head = [0; NUMBERS + HASH];
        self.fetch(&mut head)?;
        let (numbers, said) = head.split_at(NUMBERS);
        let mut four = numbers.chunks_exact(4).map(|it| u32::from_le_bytes([it[0], it[1], it[2], it[3]]));
        let mut number = || four.next().unwrap_or_default();
        let (rows, width, length, packed) = (number(), number(), number() as usize, u64::from(number()));
        self.packed.clear();
        // So that a length that is wrong takes no memory.
        let taken = io::copy(&mut (&mut self.file).take(packed), &mut self.packed);
        taken.map_err(|it| disk::failed(&self.path, "cannot be read", &it))?;
        self.hash = hash(&self.hash, numbers, &self.packed);
        if self.hash != said || width as usize != self.shape.width() {
            return Err(self.damaged("it is not as it was written"));
        }
        Ok((rows, length))
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        let rest = self.file.read(&mut [0]).map_err(|it| disk::failed(&self.path, "cannot be read", &it))?;
        let said: Option<[u8; COUNT]> = self.packed.as_slice().try_into().ok();
        if rest == 0 && said.map(u64::from_le_bytes) == Some(self.read) {
            return Ok(());
        }
        Err(self.damaged("it is not as it was written"))
    }

    #[cold]
    fn damaged(&self, why: &str) -> Error {
        Error::new(
            Kind::Snapshot,
            format_args!(
                "{}: {why}; what it staged cannot be used: to write, run again; to undo, restore a backup",
                self.path.display()
            ),
        )
    }
}

impl Rows for Piled {
    fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        batch.clear();
        if self.ended {
            return Ok(());
        }
        let (rows, length) = self.frame()?;
        if rows == 0 {
            return self.end();
        }
        self.content.resize(length, 0);
        let unpacked = snap::raw::Decoder::new().decompress(&self.packed, &mut self.content);
        match unpacked {
            Ok(it) if it == length => {}
            Ok(_) => return Err(self.damaged("a frame is of another length than it says")),
            Err(it) => return Err(self.damaged(&it.to_string())),
        }
        let begin = (rows as usize).checked_mul(self.shape.width());
        let begin = begin.and_then(|it| ends(&self.content, it, &mut self.ends));
        let cells = begin.and_then(|it| self.content.get(it..));
        // No cell is empty: the first byte tells its kind.
        let whole = |it: &&[u8]| self.ends.last().copied().unwrap_or_default() as usize == it.len();
        let Some(cells) = cells.filter(whole) else {
            return Err(self.damaged("a frame has other cells than it says"));
        };
        batch.push_all(cells, &self.ends);
        self.read += u64::from(rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        row::Field,
        value::{Type, Value, cast::Cast},
    };

    fn shape() -> Arc<Shape> {
        let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("v", Cast::new(Type::Text))];
        Arc::new(Shape { fields, key: 1, compared: 2, keyless: false })
    }

    /// Some rows, the last of which does not fit its types.
    fn rows(count: i64, width: usize) -> Batch {
        let mut batch = Batch::new(shape());
        (0..count).for_each(|it| batch.push([Value::Int(it), Value::Text(&it.to_string().repeat(width))]));
        batch.push([Value::Text("no number"), Value::Null]);
        batch
    }

    fn write(path: &Path, rows: &Batch) {
        let mut pile = Pile::create(path, 2).unwrap();
        rows.rows().for_each(|row| pile.push([row.cell(0), row.cell(1)].into_iter()).unwrap());
        pile.finish().unwrap();
    }

    fn read(path: &Path) -> Result<Batch> {
        let mut piled = Piled::open(path, &shape())?;
        let (mut all, mut some) = (Batch::new(shape()), Batch::new(shape()));
        loop {
            piled.fill(&mut some)?;
            if some.is_end() {
                return Ok(all);
            }
            some.rows().for_each(|it| all.push_row(it));
        }
    }

    #[test]
    fn rows_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rows");
        for (count, width) in [(0, 1), (3, 2), (2_000, 100), (2, 200_000)] {
            let rows = rows(count, width);
            write(&path, &rows);
            let back = read(&path).unwrap();
            assert!(
                back.rows().map(|it| (it.bytes(), it.is_odd())).eq(rows.rows().map(|it| (it.bytes(), it.is_odd())))
            );
            assert_eq!(Piled::open(&path, &shape()).unwrap().count().unwrap(), rows.len() as u64);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_damage_goes_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rows");
        write(&path, &rows(5, 3));
        let whole = fs::read(&path).unwrap();
        let damaged = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path).is_err()
        };
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(damaged(&flipped), "byte {at}");
            assert!(damaged(&whole[..at]), "cut off at {at}");
        }
        assert!(damaged(&[whole.as_slice(), b"x"].concat()));
        assert!(!damaged(&whole));
    }
}
