//! Rows as bytes: the only form that rows have in memory.

use crate::{
    error::{Error, Kind, Result},
    value::{
        Value,
        cast::Cast,
        cell::{self, tag},
    },
};
use std::{cmp::Ordering, sync::Arc};

/// What a stream of rows is asked to hold: which columns, cast how, in which order.
///
/// The key comes first, then the other compared cells, then *shadows*: exact copies of cells that are compared coarsened
/// or not at all. Rows are equal when their compared cells are; shadows only count who needed the tolerance.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// One for each cell.
    pub fields: Vec<Field>,
    /// How many of the fields, from the first, are the key.
    pub key: usize,
    /// How many of the fields, from the first, are compared. The rest are shadows.
    pub compared: usize,
    /// The table has no key: all compared cells stand in for one, and rows may repeat.
    pub keyless: bool,
}

/// One cell of a [`Shape`].
#[derive(Clone, Debug)]
pub struct Field {
    /// The column that it is read from.
    pub column: String,
    /// What its value becomes.
    pub cast: Cast,
    /// When a value that does not fit is a finding.
    pub misfit: Misfit,
}

/// When a value that does not fit the type of its field is a finding, beside the difference that it may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Misfit {
    /// Wherever it is: the type is enforced, or declared by the plan.
    Always,
    /// Where the sides do not agree on it.
    #[default]
    Disputed,
    /// Nowhere: the type is a guess, and who guesses may be wrong.
    Never,
}

impl Field {
    /// A field that is read from `column`; a value that does not fit `cast` counts only where the sides differ.
    pub fn new(column: impl Into<String>, cast: Cast) -> Field {
        Field { column: column.into(), cast, misfit: Misfit::default() }
    }
}

/// Some thousands of rows in one allocation, reused from fill to fill.
///
/// ```
/// use cutover::{row::{Batch, Field, Shape}, value::{Type, Value, cast::Cast}};
/// use std::sync::Arc;
///
/// let fields = vec![Field::new("id", Cast::new(Type::Int)), Field::new("name", Cast::new(Type::Text))];
/// let shape = Shape { fields, key: 1, compared: 2, keyless: false };
/// let mut batch = Batch::new(Arc::new(shape));
/// batch.push([Value::Text("7"), Value::Text("Mira")]);
/// batch.push([Value::Int(7), Value::Text("Mira")]);
/// assert_eq!(batch.row(0).compared(), batch.row(1).compared());
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    shape: Arc<Shape>,
    bytes: Vec<u8>,
    /// Where each cell ends in `bytes`, `width` entries a row.
    ends: Vec<u32>,
    /// Whether a row holds a cell that does not fit its type, an entry a row.
    odd: Vec<bool>,
    /// Source rows that could not be mapped.
    pub rejects: Vec<Reject>,
}

/// Where a value of the row being written goes. A store that knows which kind of value it has puts it there at once, which
/// is quicker than to hand it back and have it told apart again.
pub struct Slot<'b> {
    cast: &'b Cast,
    ordered: bool,
    bytes: &'b mut Vec<u8>,
    fits: bool,
}

/// A source row that the mapping refused, and why. It is data: nothing stops because of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reject {
    /// The source row's key as canonical JSON, an object of column and value.
    pub key: String,
    /// Which of the items of the row, where the plan makes several of it.
    pub item: Option<u64>,
    /// The target column, unless the row was refused as a whole.
    pub column: Option<String>,
    /// The rule that refused it, with its limit: `required`, `matches ^https?://`.
    pub rule: String,
    /// The refused value as canonical JSON, masked where the plan calls it secret.
    pub value: String,
    /// The source row as canonical JSON, its secrets masked, unless it is long.
    pub row: Option<String>,
}

/// One row of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    shape: &'a Shape,
    bytes: &'a [u8],
    ends: &'a [u32],
    base: u32,
    odd: bool,
}

/// A stream of rows in key order.
pub trait Rows: Send {
    /// The shape of every row.
    fn shape(&self) -> &Arc<Shape>;

    /// Replaces what `batch` holds by the next rows. A batch without rows and rejects is the end, and stays the end.
    ///
    /// # Errors
    /// If the store fails.
    fn fill(&mut self, batch: &mut Batch) -> Result<()>;
}

/// Hands all rows of a stream on, as long as somebody wants more.
///
/// # Errors
/// As [`Rows::fill`] and [`Feed::take`].
pub fn pour(rows: &mut dyn Rows, feed: &mut dyn Feed) -> Result<()> {
    let mut batch = Batch::new(Arc::clone(rows.shape()));
    loop {
        rows.fill(&mut batch)?;
        if batch.is_end() || feed.take(&mut batch)? == Flow::Stop {
            return Ok(());
        }
    }
}

/// Whoever takes rows as a store reads them.
pub trait Feed {
    /// Takes the rows of `batch` and leaves it empty.
    ///
    /// # Errors
    /// If they cannot be passed on.
    fn take(&mut self, batch: &mut Batch) -> Result<Flow>;
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// More, please.
    Continue,
    /// Nobody wants more.
    Stop,
}

impl Shape {
    /// How many cells a row has.
    pub fn width(&self) -> usize {
        self.fields.len()
    }
}

impl Batch {
    /// How many bytes make a batch worth passing on.
    const FULL: usize = 256 << 10;
    /// How many rejects do. Each may be told with its row.
    const REJECTS: usize = 256;

    /// An empty batch.
    pub fn new(shape: Arc<Shape>) -> Batch {
        Batch { shape, bytes: Vec::new(), ends: Vec::new(), odd: Vec::new(), rejects: Vec::new() }
    }

    /// The shape of its rows.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Appends one row; `value` is asked for the value of each field in turn.
    ///
    /// # Errors
    /// Whatever `value` reports, and if the rows of this batch would fill more than 4 GiB. The row is then not there.
    #[inline]
    pub fn push_with<'v>(&mut self, mut value: impl FnMut(usize) -> Result<Value<'v>>) -> Result<()> {
        self.fill_with(|place, slot| {
            slot.put(value(place)?);
            Ok(())
        })
    }

    /// Appends one row; `fill` puts a value into the slot of each field in turn.
    ///
    /// # Errors
    /// As [`Batch::push_with`].
    #[inline]
    pub fn fill_with(&mut self, mut fill: impl FnMut(usize, &mut Slot<'_>) -> Result<()>) -> Result<()> {
        let (start, mut odd) = (self.bytes.len(), false);
        for (place, field) in self.shape.fields.iter().enumerate() {
            let ordered = place < self.shape.key;
            let mut slot = Slot { cast: &field.cast, ordered, bytes: &mut self.bytes, fits: true };
            if let Err(error) = fill(place, &mut slot) {
                self.bytes.truncate(start);
                self.ends.truncate(self.odd.len() * self.shape.fields.len());
                return Err(error);
            }
            odd |= !slot.fits;
            self.ends.push(self.bytes.len() as u32);
        }
        self.odd.push(odd);
        if u32::try_from(self.bytes.len()).is_err() {
            return Err(Error::new(Kind::Limit, "a row holds more than 4 GiB; compare its table without that column"));
        }
        Ok(())
    }

    /// Appends one row.
    ///
    /// Missing values are NULL and values beyond the last field are left out; both are mistakes of the caller.
    pub fn push<'v>(&mut self, values: impl IntoIterator<Item = Value<'v>>) {
        let mut values = values.into_iter();
        let pushed = self.push_with(|_| Ok(values.next().unwrap_or(Value::Null)));
        debug_assert!(pushed.is_ok() && values.next().is_none(), "a row has one value per field");
    }

    /// Appends a row that is already canonical.
    pub fn push_row(&mut self, row: Row<'_>) {
        let base = self.bytes.len() as u32;
        self.bytes.extend_from_slice(row.bytes);
        self.ends.extend(row.ends.iter().map(|it| it - row.base + base));
        self.odd.push(row.odd);
    }

    /// Appends a row of canonical cells, each one to `ends` in `bytes`.
    pub(crate) fn push_cells(&mut self, bytes: &[u8], ends: impl Iterator<Item = u32>, odd: bool) {
        let base = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.ends.extend(ends.map(|it| it + base));
        self.odd.push(odd);
    }

    /// Appends rows of canonical cells, which end in `bytes` where `ends` says, as many a row as there are fields.
    pub(crate) fn push_all(&mut self, bytes: &[u8], ends: &[u32]) {
        let (base, first) = (self.bytes.len() as u32, self.odd.len());
        self.bytes.extend_from_slice(bytes);
        self.ends.extend(ends.iter().map(|it| it + base));
        self.odd.resize(self.ends.len() / self.shape.fields.len().max(1), false);
        for at in first..self.odd.len() {
            let row = self.row(at);
            let fits = |(place, field): (usize, &Field)| row.cell(place).first().is_some_and(|it| field.cast.fits(*it));
            let odd = !self.shape.fields.iter().enumerate().all(fits);
            self.odd[at] = odd;
        }
    }

    /// Moves each row from `from` on that comes after rows of greater keys before them, if those are no more than `reach`.
    pub(crate) fn straighten(&mut self, from: usize, reach: usize) {
        let mut next = from;
        while let Some(at) = self.descent(next) {
            let key = self.row(at).key();
            let mut to = at;
            while to > 0 && at - to < reach && self.row(to - 1).key() > key {
                to -= 1;
            }
            self.bring(at, to);
            next = at + 1;
        }
    }

    /// The first row from `from` on whose key is less than that of the row before it.
    fn descent(&self, from: usize) -> Option<usize> {
        if from >= self.len() {
            return None;
        }
        let mut before = self.row(from.saturating_sub(1)).key();
        (from..self.len()).find(|&it| {
            let key = self.row(it).key();
            std::mem::replace(&mut before, key) > key
        })
    }

    /// Moves one row before another that comes earlier.
    fn bring(&mut self, at: usize, to: usize) {
        let (width, start) = (self.shape.fields.len(), self.row(to).base);
        let (base, length) = (self.row(at).base, self.row(at).bytes.len());
        self.bytes[start as usize..base as usize + length].rotate_right(length);
        let (later, own) = self.ends[to * width..(at + 1) * width].split_at_mut((at - to) * width);
        later.iter_mut().for_each(|it| *it += length as u32);
        own.iter_mut().for_each(|it| *it -= base - start);
        self.ends[to * width..(at + 1) * width].rotate_right(width);
        self.odd[to..=at].rotate_right(1);
    }

    /// Forgets all rows from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.odd.truncate(len);
        self.ends.truncate(len * self.shape.fields.len());
        self.bytes.truncate(self.ends.last().map_or(0, |it| *it as usize));
    }

    /// Forgets rows and rejects, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.odd.clear();
        self.rejects.clear();
    }

    /// Rows held.
    pub fn len(&self) -> usize {
        self.odd.len()
    }

    /// No rows held.
    pub fn is_empty(&self) -> bool {
        self.odd.is_empty()
    }

    /// No rows and no rejects: the end of a stream.
    pub fn is_end(&self) -> bool {
        self.odd.is_empty() && self.rejects.is_empty()
    }

    /// Enough to be worth passing on.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= Batch::FULL || self.rejects.len() >= Batch::REJECTS
    }

    /// Bytes of the rows held.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The row at `index`, which is below [`Batch::len`].
    #[inline]
    pub fn row(&self, index: usize) -> Row<'_> {
        let width = self.shape.fields.len();
        let ends = &self.ends[index * width..(index + 1) * width];
        let base = (index * width).checked_sub(1).map_or(0, |it| self.ends[it]);
        let end = ends.last().map_or(base, |&it| it);
        Row { shape: &self.shape, bytes: &self.bytes[base as usize..end as usize], ends, base, odd: self.odd[index] }
    }

    /// Every row in turn.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }
}

impl Slot<'_> {
    /// Puts the one value that belongs here.
    #[inline(always)]
    pub fn put(&mut self, value: Value<'_>) {
        self.fits = self.cast.write(value, self.ordered, self.bytes);
    }

    /// Puts the number `whole` divided by 10 as often as there are `places`, the one value that belongs here.
    #[inline(always)]
    pub fn put_scaled(&mut self, whole: i64, places: usize) {
        self.fits = self.cast.write_scaled(whole, places, self.ordered, self.bytes);
    }

    /// Puts the text of a document that has blanks, the one value that belongs here.
    #[inline(always)]
    pub fn put_spaced(&mut self, document: &[u8]) {
        self.fits = self.cast.write_spaced(document, self.ordered, self.bytes);
    }
}

impl<'a> Row<'a> {
    /// The cells that sort.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        self.until(self.shape.key)
    }

    /// The cells that are compared. Equal bytes, equal rows.
    #[inline]
    pub fn compared(self) -> &'a [u8] {
        self.until(self.shape.compared)
    }

    /// All cells, shadows too.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The cell at `place`.
    #[inline]
    pub fn cell(self, place: usize) -> &'a [u8] {
        let start = if place == 0 { 0 } else { (self.ends[place - 1] - self.base) as usize };
        &self.bytes[start..(self.ends[place] - self.base) as usize]
    }

    /// The value at `place`; `scratch` holds what has to be unescaped.
    pub fn value<'v>(self, place: usize, scratch: &'v mut Vec<u8>) -> Value<'v>
    where
        'a: 'v,
    {
        cell::decode(self.cell(place), place < self.shape.key, scratch)
    }

    /// Whether a cell does not fit the type of its field.
    #[inline]
    pub fn is_odd(self) -> bool {
        self.odd
    }

    /// Whether the cell at `place` does not fit the type of its field.
    pub fn is_odd_at(self, place: usize) -> bool {
        self.odd && !self.shape.fields[place].cast.fits(self.cell(place)[0])
    }

    /// Its shape.
    pub fn shape(self) -> &'a Shape {
        self.shape
    }

    /// Where each cell ends, counted from the start of the row.
    pub(crate) fn ends(self) -> impl Iterator<Item = u32> {
        self.ends.iter().map(move |it| it - self.base)
    }

    #[inline]
    fn until(self, place: usize) -> &'a [u8] {
        match place {
            0 => &[],
            _ => &self.bytes[..(self.ends[place - 1] - self.base) as usize],
        }
    }
}

/// Walks [`Rows`] one row at a time and checks the promise they make.
pub struct Cursor<'r> {
    rows: &'r mut dyn Rows,
    /// How an error calls the stream, such as "the source of `users`".
    name: String,
    /// What kind of error disorder is.
    disorder: Kind,
    batch: Batch,
    at: usize,
    /// The last row of the batch before this one.
    last: Vec<u8>,
    last_key: usize,
    repeats: bool,
    read: u64,
}

impl<'r> Cursor<'r> {
    /// Before the first batch: [`Cursor::load`] comes next.
    pub fn new(rows: &'r mut dyn Rows, name: impl Into<String>, disorder: Kind) -> Cursor<'r> {
        let batch = Batch::new(Arc::clone(rows.shape()));
        Cursor {
            rows,
            name: name.into(),
            disorder,
            batch,
            at: 0,
            last: Vec::new(),
            last_key: 0,
            repeats: false,
            read: 0,
        }
    }

    /// The current row, if there is one.
    #[inline]
    pub fn row(&self) -> Option<Row<'_>> {
        (self.at < self.batch.len()).then(|| self.batch.row(self.at))
    }

    /// Whether the current row has the key of the row before it.
    #[inline]
    pub fn repeats(&self) -> bool {
        self.repeats
    }

    /// Rows passed so far, the current one not included.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// To the next row. When that needs another batch, its rejects are handed to `rejects`.
    ///
    /// # Errors
    /// As [`Rows::fill`], and if rows come out of order (the kind given to [`Cursor::new`]).
    #[inline]
    pub fn advance(&mut self, rejects: &mut dyn FnMut(&Reject) -> Result<()>) -> Result<()> {
        self.read += 1;
        self.at += 1;
        if self.at == self.batch.len() {
            let last = self.batch.row(self.at - 1);
            self.last.clear();
            self.last.extend_from_slice(last.compared());
            self.last_key = last.key().len();
            self.load(rejects)?;
            let Some(row) = self.row() else { return Ok(()) };
            let order = order((&self.last[..self.last_key], &self.last), row);
            return self.note(order);
        }
        let (before, row) = (self.batch.row(self.at - 1), self.batch.row(self.at));
        let order = order((before.key(), before.compared()), row);
        self.note(order)
    }

    /// Gets the next batch that holds rows.
    ///
    /// # Errors
    /// As [`Rows::fill`].
    pub fn load(&mut self, rejects: &mut dyn FnMut(&Reject) -> Result<()>) -> Result<()> {
        self.at = 0;
        loop {
            self.rows.fill(&mut self.batch)?;
            self.batch.rejects.iter().try_for_each(&mut *rejects)?;
            if !self.batch.is_empty() || self.batch.is_end() {
                return Ok(());
            }
        }
    }

    #[inline]
    fn note(&mut self, order: Option<Ordering>) -> Result<()> {
        self.repeats = order == Some(Ordering::Equal);
        match order {
            Some(_) => Ok(()),
            None => Err(self.disorder()),
        }
    }

    #[cold]
    fn disorder(&self) -> Error {
        Error::new(self.disorder, format_args!("{} does not come in key order", self.name))
    }
}

/// How a row stands to the one before it: a greater key, the same key, or nothing where it may not stand there.
///
/// Rows of one key come in the order of their bytes, so that the order in which a store holds them never shows.
#[inline]
fn order((key, compared): (&[u8], &[u8]), row: Row<'_>) -> Option<Ordering> {
    match key.cmp(row.key()) {
        Ordering::Less => Some(Ordering::Less),
        Ordering::Equal if compared <= row.compared() => Some(Ordering::Equal),
        _ => None,
    }
}

/// A tag that no value has, for rows that are planted and not read.
pub const CANARY_TAG: u8 = tag::LAST + 1;
