//! How fast rows are migrated, beside the same rows through one prepared `INSERT` in one transaction, and through `COPY`.
//!
//! `cargo bench --bench migrate -- [rows=1000000] [runs=5] [CASE…]`. Without cases, all of them. The numbers of rows may be
//! several, with commas between. `write` is the target alone, the others are whole runs: staged, checked, written, read back and
//! compared; `backup` also backs the source up first. Both read the same file, and both are children of this program. `pgloader` and
//! `duckdb` are `postgres` with that program, which only loads, in place of the floor; they are measured where they are named, and
//! `PYTHON` names an interpreter that has `duckdb`.

#[expect(dead_code, reason = "the other benchmark uses more of it")]
#[path = "../diff/generate.rs"]
mod generate;
#[path = "../diff/measure.rs"]
mod measure;
mod peers;
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "a harness of tests, which use more of it")]
#[path = "../../tests/support/postgres.rs"]
mod postgres;
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
use postgres::Server;
use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};
use wanted::Wanted;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is measured.
struct Case {
    name: &'static str,
    /// The target is a Postgres server, and not a file.
    postgres: bool,
    /// What is typed. Nothing: only the target is measured, by this program.
    arguments: Option<&'static [&'static str]>,
    /// What it is measured beside, as this program is asked for it.
    floor: &'static str,
}

const WHOLE: Option<&[&str]> = Some(&["--no-backup"]);

static CASES: [Case; 6] = [
    Case { name: "write", postgres: false, arguments: None, floor: "floor" },
    Case { name: "migrate", postgres: false, arguments: WHOLE, floor: "floor" },
    Case { name: "backup", postgres: false, arguments: Some(&[]), floor: "floor" },
    Case { name: "postgres", postgres: true, arguments: WHOLE, floor: "floor" },
    Case { name: "pgloader", postgres: true, arguments: WHOLE, floor: "pgloader" },
    Case { name: "duckdb", postgres: true, arguments: WHOLE, floor: "duckdb" },
];

fn main() -> Result<()> {
    // Cargo adds `--bench` for harnesses that need to be told.
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["floor", from, into] if into.starts_with("postgres:") => copy(from, into),
        ["floor", from, into] => floor(from, into),
        ["pgloader", from, into] => peers::pgloader(from, into),
        ["duckdb", from, into] => peers::duckdb(from, into),
        ["write", from, into] => write(Path::new(from), Path::new(into)),
        arguments => {
            let mut wanted = Wanted::read(arguments, &CASES, |it| it.name)?;
            // Not everybody has the programs of others.
            if wanted.cases.len() == CASES.len() {
                wanted.cases.retain(|it| it.floor == "floor");
            }
            table(&wanted, &mut io::stdout().lock())
        }
    }
}

fn table(wanted: &Wanted<Case>, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "Seconds of {} runs: median (least–most); MiB at the peak.\n", wanted.runs)?;
    writeln!(out, "| rows | case | ours | floor | times | CPU | floor CPU | times | MiB | floor MiB |")?;
    writeln!(out, "|---:|---|---|---|---:|---|---|---:|---:|---:|")?;
    for &rows in &wanted.rows {
        let data = Data::new(rows)?;
        let from = data.file(Variant::Source, Format::Sqlite)?;
        for case in &wanted.cases {
            writeln!(out, "{}", case.measure(wanted, rows, &from)?)?;
            out.flush()?;
        }
    }
    Ok(())
}

impl Case {
    /// Measures both in turn, so that what else the machine does meets them alike. A line of the table.
    fn measure(&self, wanted: &Wanted<Case>, rows: u64, from: &Path) -> Result<String> {
        let folder = from.parent().ok_or("a file is in a folder")?;
        let place = Place::new(self.postgres, folder)?;
        let (mut ours, mut floor) = (Costs::default(), Costs::default());
        for _ in 0..wanted.runs {
            for (is_floor, costs) in [(true, &mut floor), (false, &mut ours)] {
                place.empty()?;
                let mut command = Command::new(env::current_exe()?);
                match self.arguments.filter(|_| !is_floor) {
                    None => drop(command.arg(if is_floor { self.floor } else { "write" }).arg(from).arg(&place.name)),
                    Some(arguments) => {
                        let plan = place.plan(folder, from)?;
                        let state = folder.join(".cutover");
                        if state.exists() {
                            fs::remove_dir_all(state)?;
                        }
                        command = Command::new(&wanted.binary);
                        command.arg("migrate").arg(plan).args(arguments).arg("--quiet").env("TARGET", &place.name);
                    }
                }
                let ran = run(&mut command)?;
                let count = place.count()?;
                if ran.status != Some(0) || count != rows {
                    return Err(format!("{}: {count} rows of {rows}: {}", self.name, ran.output).into());
                }
                costs.add(ran.cost);
            }
        }
        let (wall, least, cpu, least_cpu) = (ours.wall(), floor.wall(), ours.cpu(), floor.cpu());
        let (times, share) = (wall.median / least.median, cpu.median / least_cpu.median);
        let (name, memory, base) = (self.name, ours.memory(), floor.memory());
        Ok(format!(
            "| {rows} | {name} | {wall} | {least} | {times:.2} | {cpu} | {least_cpu} | {share:.2} | {memory} | {base} |"
        ))
    }
}

/// Where rows are written to.
struct Place {
    /// A path, or an address.
    name: String,
    server: Option<Server>,
}

/// What a server with some memory is told.
const SETTINGS: &str = "shared_buffers = 256MB\nmax_wal_size = 4GB\nwal_level = minimal\nmax_wal_senders = 0\n";

impl Place {
    fn new(postgres: bool, folder: &Path) -> Result<Place> {
        if !postgres {
            return Ok(Place { name: folder.join("written.sqlite").display().to_string(), server: None });
        }
        let server = Server::start(SETTINGS);
        Ok(Place { name: server.url("postgres"), server: Some(server) })
    }

    /// Makes the table anew, without rows.
    fn empty(&self) -> Result<()> {
        let Some(server) = &self.server else { return empty(Path::new(&self.name)) };
        let columns = "id bigint PRIMARY KEY, uuid uuid, email text, status text, amount numeric(12,2), quantity integer, \
            active boolean, created_at timestamp, note text, meta jsonb";
        server
            .execute("postgres", &format!("DROP TABLE IF EXISTS orders; CREATE TABLE orders ({columns}); CHECKPOINT"));
        Ok(())
    }

    fn count(&self) -> Result<u64> {
        const ASKED: &str = "SELECT count(*) FROM orders";
        match &self.server {
            Some(server) => Ok(server.execute("postgres", ASKED).parse()?),
            None => {
                let there = rusqlite::Connection::open(&self.name)?;
                Ok(u64::try_from(there.query_row(ASKED, [], |it| it.get::<_, i64>(0))?)?)
            }
        }
    }

    fn plan(&self, folder: &Path, from: &Path) -> Result<PathBuf> {
        let target = match self.server {
            Some(_) => "kind = 'postgres', url = '${TARGET}'",
            None => "kind = 'sqlite', path = '${TARGET}'",
        };
        let from = from.display();
        let text = format!(
            "version = 1\nsource = {{ kind = 'sqlite', path = '{from}' }}\ntarget = {{ {target} }}\n\
             table = [{{ into = 'orders' }}]\n"
        );
        let plan = folder.join("cutover.toml");
        fs::write(&plan, text)?;
        Ok(plan)
    }
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

/// The same rows as CSV through `COPY FROM STDIN`, by the server's own client.
fn copy(from: &str, into: &str) -> Result<()> {
    let mut select = Command::new("sqlite3");
    select.args(["-csv", from, "SELECT * FROM orders"]).stdout(Stdio::piped());
    let mut select = select.spawn()?;
    let rows = select.stdout.take().ok_or("its output")?;
    let mut psql = Command::new("psql");
    psql.args(["-XqAt", "-d", into, "-c", "COPY orders FROM STDIN (FORMAT csv)"]).stdin(rows);
    let done = psql.status()?.success() && select.wait()?.success();
    if done { Ok(()) } else { Err("COPY failed".into()) }
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
