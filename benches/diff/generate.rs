//! The table that is compared, made from nothing but row numbers.
//!
//! Ten columns, about 250 bytes a row. A file is written once and kept in the cache folder under its own name.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::Result;

/// Where the files of so many rows are kept.
pub(crate) struct Data {
    pub(crate) rows: u64,
    folder: PathBuf,
}

/// Which rows a file holds, and how they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// What everything is compared with.
    Source,
    /// The same rows in a file of their own.
    Same,
    /// One row in a thousand differs: half of them in one cell, a quarter is missing, a quarter is extra.
    Changed,
    /// The same rows, with blanks in the JSON of every second row, as Python writes it.
    Spaced,
    /// The rows of `Source`, out of order and without an index.
    ShuffledSource,
    /// The rows of `Changed`, in another disorder.
    ShuffledChanged,
}

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Sqlite,
    Csv,
    Ndjson,
}

/// The columns with their types, in the order of the table.
pub(crate) const COLUMNS: [(&str, &str); 10] = [
    ("id", "INTEGER"),
    ("uuid", "UUID"),
    ("email", "TEXT"),
    ("status", "TEXT"),
    ("amount", "DECIMAL(12,2)"),
    ("quantity", "INTEGER"),
    ("active", "BOOLEAN"),
    ("created_at", "TIMESTAMP"),
    ("note", "TEXT"),
    ("meta", "JSON"),
];

const STATUS: [&str; 6] = ["pending", "paid", "shipped", "delivered", "returned", "cancelled"];
const WORDS: [&str; 16] = [
    "amber", "brisk", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper", "kestrel", "lagoon",
    "meadow", "nimbus", "orchard", "prairie",
];

/// In every so many rows, two are changed, one is missing and one is extra.
const STRETCH: u64 = 4000;

/// How many rows differ in the `Changed` variant: changed, missing, extra.
pub(crate) fn differences(rows: u64) -> [u64; 3] {
    [rows / (STRETCH / 2), rows / STRETCH, rows / STRETCH]
}

impl Data {
    /// # Errors
    /// If the folder cannot be made.
    pub(crate) fn new(rows: u64) -> Result<Data> {
        if rows == 0 || !rows.is_multiple_of(STRETCH) {
            return Err(format!("rows={rows} is not a multiple of {STRETCH}").into());
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-data").join(rows.to_string());
        fs::create_dir_all(&folder)?;
        Ok(Data { rows, folder })
    }

    /// The file of that kind, made now if it is not there yet.
    pub(crate) fn file(&self, variant: Variant, format: Format) -> Result<PathBuf> {
        let path = self.folder.join(format!("{}.{}", variant.name(), format.extension()));
        if path.exists() {
            return Ok(path);
        }
        let partial = path.with_extension("partial");
        let _ = fs::remove_file(&partial);
        match format {
            Format::Sqlite => self.sqlite(variant, &partial)?,
            Format::Csv => self.csv(variant, &partial)?,
            Format::Ndjson => self.ndjson(variant, &partial)?,
        }
        fs::rename(&partial, &path)?;
        Ok(path)
    }

    fn each(&self, variant: Variant, mut then: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let mut row = Row::default();
        for number in 0..self.rows {
            // A step without a common divisor with the number of rows meets each row once.
            let number = variant.step().map_or(number, |step| number * step % self.rows);
            row.fill(number);
            match number % STRETCH {
                500 | 2500 if variant.is_changed() => row.change(number / (STRETCH / 2)),
                1500 if variant.is_changed() => continue,
                3500 if variant.is_changed() => {
                    then(&row)?;
                    row.fill(number + self.rows);
                    row.id = key(number) + 1;
                }
                _ if variant == Variant::Spaced && number % 2 == 1 => row.space(),
                _ => {}
            }
            then(&row)?;
        }
        Ok(())
    }

    fn sqlite(&self, variant: Variant, path: &Path) -> Result<()> {
        let connection = rusqlite::Connection::open(path)?;
        connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")?;
        let columns = COLUMNS.map(|(name, ty)| format!("{name} {ty}"));
        let mut columns = columns.join(", ");
        if variant.step().is_none() {
            columns = columns.replacen("INTEGER", "INTEGER PRIMARY KEY", 1);
        }
        connection.execute_batch(&format!("CREATE TABLE orders ({columns})"))?;
        let mut insert = connection.prepare("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        self.each(variant, |row| {
            let Row { id, uuid, email, status, amount, quantity, active, created_at, note, meta } = row;
            insert.execute((id, uuid, email, status, amount, quantity, active, created_at, note, meta))?;
            Ok(())
        })?;
        drop(insert);
        connection.execute_batch("COMMIT")?;
        Ok(())
    }

    fn csv(&self, variant: Variant, path: &Path) -> Result<()> {
        let mut out = csv::Writer::from_path(path)?;
        out.write_record(COLUMNS.map(|it| it.0))?;
        self.each(variant, |row| {
            let (id, quantity, active) = (row.id.to_string(), row.quantity.to_string(), row.active.to_string());
            let note = row.note.as_deref().unwrap_or_default();
            let record = [&id, &row.uuid, &row.email, row.status, &row.amount, &quantity, &active, &row.created_at];
            Ok(out.write_record(record.into_iter().chain([note, &row.meta]))?)
        })?;
        Ok(out.flush()?)
    }

    fn ndjson(&self, variant: Variant, path: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        self.each(variant, |row| {
            let Row { id, uuid, email, status, amount, quantity, active, created_at, note, meta } = row;
            let note = serde_json::to_string(note)?;
            writeln!(
                out,
                r#"{{"id":{id},"uuid":"{uuid}","email":"{email}","status":"{status}","amount":{amount},"quantity":{quantity},"active":{active},"created_at":"{created_at}","note":{note},"meta":{meta}}}"#
            )?;
            Ok(())
        })?;
        Ok(out.flush()?)
    }
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Source => "source",
            Variant::Same => "same",
            Variant::Changed => "changed",
            Variant::Spaced => "spaced",
            Variant::ShuffledSource => "shuffled-source",
            Variant::ShuffledChanged => "shuffled-changed",
        }
    }

    pub(crate) fn is_changed(self) -> bool {
        matches!(self, Variant::Changed | Variant::ShuffledChanged)
    }

    /// Primes: the numbers of rows have no divisors but those of [`STRETCH`] and whatever the caller asks for.
    fn step(self) -> Option<u64> {
        match self {
            Variant::ShuffledSource => Some(1_000_003),
            Variant::ShuffledChanged => Some(7_368_787),
            _ => None,
        }
    }
}

impl Format {
    /// The format of one of our files.
    pub(crate) fn of(path: &Path) -> Format {
        match path.extension().and_then(|it| it.to_str()) {
            Some("csv") => Format::Csv,
            Some("ndjson") => Format::Ndjson,
            _ => Format::Sqlite,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Format::Sqlite => "sqlite",
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
        }
    }
}

#[derive(Default)]
struct Row {
    id: i64,
    uuid: String,
    email: String,
    status: &'static str,
    amount: String,
    quantity: i64,
    active: bool,
    created_at: String,
    note: Option<String>,
    meta: String,
}

/// Beyond 32 bits, the same number of digits for all rows, and with room for an extra row after each.
fn key(number: u64) -> i64 {
    5_000_000_000 + 2 * number as i64
}

impl Row {
    fn fill(&mut self, number: u64) {
        let mut random = Random(number.wrapping_mul(0xd134_2543_de82_ef95));
        self.id = key(number);
        let (high, low) = (random.next(), random.next());
        let [a, b, c] = [high >> 32, high >> 16 & 0xffff, high & 0xfff];
        let [d, e] = [low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff];
        self.uuid = format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}");
        self.email = format!("{}.{}{}@example.com", random.word(), random.word(), number % 100_000);
        self.status = STATUS[random.below(STATUS.len() as u64) as usize];
        self.amount = format!("{}.{:02}", random.below(100_000), random.below(100));
        self.quantity = 1 + random.below(200) as i64;
        self.active = random.below(3) > 0;
        let (day, second) = (random.below(365), random.below(86_400));
        self.created_at = format!(
            "{}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
            2015 + day % 10,
            1 + day % 12,
            1 + day % 28,
            second / 3600,
            second / 60 % 60,
            second % 60,
            random.below(1_000_000)
        );
        self.note = (random.below(10) > 2).then(|| {
            let mut note = String::from("Leave it");
            for _ in 0..3 + random.below(10) {
                note.push(' ');
                note.push_str(random.word());
            }
            note
        });
        self.meta.clear();
        let (city, score, vip) = (random.word(), random.below(1000), random.below(2) == 0);
        let (one, other) = (random.word(), random.word());
        let _ = write!(
            self.meta,
            r#"{{"city":"{city}","score":{}.{},"tags":["{one}","{other}"],"vip":{vip}}}"#,
            score / 10,
            score % 10
        );
    }

    /// Another value in one column; which one goes round with `turn`.
    fn change(&mut self, turn: u64) {
        match turn % 9 {
            0 => self.uuid.replace_range(..4, if self.uuid.starts_with("0000") { "1111" } else { "0000" }),
            1 => self.email.insert(0, 'x'),
            2 => self.status = if self.status == "paid" { "lost" } else { "paid" },
            3 => self.amount.insert(0, '1'),
            4 => self.quantity += 1,
            5 => self.active = !self.active,
            6 => self.created_at.replace_range(..1, "1"),
            7 => self.note = if self.note.is_some() { None } else { Some(String::from("now there is one")) },
            _ => self.meta = self.meta.replacen("\"score\":", "\"score\":1", 1),
        }
    }

    fn space(&mut self) {
        self.meta = self.meta.replace(':', ": ").replace(',', ", ");
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014), one sequence a row.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ it >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ it >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ it >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }
}
