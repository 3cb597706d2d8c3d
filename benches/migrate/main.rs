//! How fast rows are written, beside the same rows through one prepared `INSERT` in one transaction.
//!
//! `cargo bench --bench migrate -- [rows=1000000] [runs=5] [CASE…]`. Without cases, all of them. The numbers of rows may be
//! several, with commas between. Both read the same file at the same time as they write, and both are children of this program.

#[expect(dead_code, reason = "the other benchmark uses more of it")]
#[path = "../diff/generate.rs"]
mod generate;
#[path = "../diff/measure.rs"]
mod measure;
#[expect(dead_code, reason = "the other benchmarks use more of it")]
#[path = "../diff/wanted.rs"]
mod wanted;

use cutover::{
    row::{Batch, Feed, Field, Flow, Shape},
    store::{
        self, Options,
        target::{self, Begin, Changes, Mark, Target},
    },
    value::cast::Cast,
};
use generate::{COLUMNS, Data, Format, Variant};
use measure::{Costs, run};
use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::Command,
    sync::Arc,
};
use wanted::Wanted;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where rows are written to.
struct Case {
    name: &'static str,
}

static CASES: [Case; 1] = [Case { name: "sqlite" }];

fn main() -> Result<()> {
    // Cargo adds `--bench` for harnesses that need to be told.
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["floor", from, into] => floor(from, into),
        ["write", from, into] => write(Path::new(from), Path::new(into)),
        arguments => table(&Wanted::read(arguments, &CASES, |it| it.name)?, &mut io::stdout().lock()),
    }
}

fn table(wanted: &Wanted<Case>, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "Seconds of {} runs: median (least–most); MiB at the peak.\n", wanted.runs)?;
    writeln!(
        out,
        "| rows | case | ours | floor | times | CPU | floor CPU | times | MiB | floor MiB |\n|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for &rows in &wanted.rows {
        let data = Data::new(rows)?;
        let from = data.file(Variant::Source, Format::Sqlite)?;
        let into = from.with_file_name("written.sqlite");
        for case in &wanted.cases {
            let (mut ours, mut floor) = (Costs::default(), Costs::default());
            for _ in 0..wanted.runs {
                for (how, costs) in [("floor", &mut floor), ("write", &mut ours)] {
                    empty(&into)?;
                    let ran = run(Command::new(env::current_exe()?).arg(how).args([&from, &into]))?;
                    let there = rusqlite::Connection::open(&into)?;
                    let count: i64 = there.query_row("SELECT count(*) FROM orders", [], |it| it.get(0))?;
                    if ran.status != Some(0) || u64::try_from(count)? != rows {
                        return Err(format!("{how}: {count} rows of {rows}: {}", ran.output).into());
                    }
                    costs.add(ran.cost);
                }
            }
            let (wall, least) = (ours.wall(), floor.wall());
            let (cpu, least_cpu, name) = (ours.cpu(), floor.cpu(), case.name);
            let (times, share) = (wall.median / least.median, cpu.median / least_cpu.median);
            let (memory, base) = (ours.memory(), floor.memory());
            writeln!(
                out,
                "| {rows} | {name} | {wall} | {least} | {times:.2} | {cpu} | {least_cpu} | {share:.2} | {memory} | {base} |"
            )?;
        }
        fs::remove_file(&into)?;
    }
    Ok(())
}

/// The table, without rows.
fn empty(path: &Path) -> Result<()> {
    let _ = fs::remove_file(path);
    let columns =
        COLUMNS.map(|(name, ty)| format!("{name} {ty}")).join(", ").replacen("INTEGER", "INTEGER PRIMARY KEY", 1);
    Ok(rusqlite::Connection::open(path)?.execute_batch(&format!("CREATE TABLE orders ({columns})"))?)
}

/// The same rows through one prepared statement in one transaction.
fn floor(from: &str, into: &str) -> Result<()> {
    let (from, mut into) = (rusqlite::Connection::open(from)?, rusqlite::Connection::open(into)?);
    let transaction = into.transaction()?;
    let mut insert = transaction.prepare("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut select = from.prepare("SELECT * FROM orders")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        for place in 0..COLUMNS.len() {
            insert.raw_bind_parameter(place + 1, rusqlite::types::ToSqlOutput::Borrowed(row.get_ref(place)?))?;
        }
        insert.raw_execute()?;
    }
    drop(insert);
    Ok(transaction.commit()?)
}

/// Gathers batches as large as the target wants them, and writes them.
struct Writing<'w> {
    target: &'w mut dyn Target,
    table: &'w cutover::schema::Table,
    rows: usize,
    gathered: Batch,
    none: Batch,
    batch: u64,
}

impl Feed for Writing<'_> {
    fn take(&mut self, batch: &mut Batch) -> cutover::error::Result<Flow> {
        for row in batch.rows() {
            self.gathered.push_row(row);
            if self.gathered.len() == self.rows {
                self.write()?;
            }
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

impl Writing<'_> {
    fn write(&mut self) -> cutover::error::Result<()> {
        self.batch += 1;
        let mark = Mark { run: "bench", batch: self.batch };
        let (inserts, none) = (&self.gathered, &self.none);
        self.target.write(&Changes { table: self.table, inserts, updates: none, deletes: none, mark })?;
        self.gathered.clear();
        Ok(())
    }
}

fn write(from: &Path, into: &Path) -> Result<()> {
    let options = Options::default();
    let mut source = store::open("sqlite", from, &options)?;
    let mut target = target::open("sqlite", into, &options)?;
    let tables = source.tables()?;
    let table = &tables[0];
    let fields: Vec<Field> = table.columns.iter().map(|it| Field::new(it.name.clone(), Cast::new(it.ty))).collect();
    let shape = Arc::new(Shape { key: 1, compared: fields.len(), fields, keyless: false });
    target.begin(&Begin { tables: &tables, disable_indexes: false })?;
    let rows = target.room(table).rows;
    let (gathered, none) = (Batch::new(Arc::clone(&shape)), Batch::new(Arc::clone(&shape)));
    let mut writing = Writing { target: target.as_mut(), table, rows, gathered, none, batch: 0 };
    source.scan(table, &shape, &mut writing)?;
    writing.write()?;
    Ok(target.end()?)
}
