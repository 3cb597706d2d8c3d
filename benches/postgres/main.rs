//! How fast `cutover diff` is on Postgres, beside reading both tables with `COPY`, and beside others that answer the same question.
//!
//! `cargo bench --bench postgres -- [rows=1000000] [runs=5] [CASE…]`. Without cases, all of them. The numbers of rows may be several,
//! with commas between. `CUTOVER` names another binary to measure, `PYTHON` an interpreter that has `reladiff` or `duckdb`. The
//! server is a private one on this machine, so its processors are those of whoever asks it. What is found is asserted; times are
//! only shown.

mod data;
mod floor;
mod peers;

#[expect(dead_code, reason = "the other benchmark uses more of it")]
#[path = "../diff/generate.rs"]
mod generate;
#[path = "../diff/measure.rs"]
mod measure;
#[path = "../diff/wanted.rs"]
mod wanted;
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "a harness of tests, which use more of it")]
#[path = "../../tests/support/postgres.rs"]
mod postgres;

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    process::Command,
};

use data::{Layout, Tables};
use generate::Variant;
use measure::{Costs, Ran, run};
use peers::Peer;
use postgres::Server;
use wanted::Wanted;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Two stores and what comparing them has to find.
struct Case {
    name: &'static str,
    layout: Layout,
    target: Variant,
    /// The target is a file.
    sqlite: bool,
    arguments: &'static [&'static str],
}

static CASES: [Case; 5] = [
    Case { name: "identical", layout: Layout::Number, target: Variant::Same, sqlite: false, arguments: &[] },
    Case { name: "changed", layout: Layout::Number, target: Variant::Changed, sqlite: false, arguments: &[] },
    Case { name: "uuid", layout: Layout::Uuid, target: Variant::Changed, sqlite: false, arguments: &BOUND },
    Case { name: "text", layout: Layout::Text, target: Variant::Changed, sqlite: false, arguments: &BOUND },
    Case { name: "sqlite", layout: Layout::Number, target: Variant::Changed, sqlite: true, arguments: &[] },
];

const BOUND: [&str; 2] = ["--memory", "64MiB"];

/// What a server with some memory is told.
const SETTINGS: &str =
    "shared_buffers = 256MB\nwork_mem = 16MB\nmax_wal_size = 4GB\nwal_level = minimal\nmax_wal_senders = 0\n";

const FLOOR: &str = "floor";

/// Hundredths of a second make a tick of the kernel's.
const TICKS: f64 = 100.0;

fn main() -> Result<()> {
    // Cargo adds `--bench` for harnesses that need to be told.
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let mut out = io::stdout().lock();
    // What is measured runs as a child process; the floor is in here.
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [FLOOR, source, target] => Ok(writeln!(out, "{}", floor::read_both(source, target)?)?),
        arguments => table(&Wanted::read(arguments, &CASES, |it| it.name)?, &mut out),
    }
}

fn table(wanted: &Wanted<Case>, out: &mut dyn Write) -> Result<()> {
    let absent: Vec<_> = Peer::ALL.into_iter().filter_map(|it| Some((it, it.absent()?))).collect();
    for (_, why) in &absent {
        writeln!(out, "left out: {why}")?;
    }
    let peers: Vec<_> = Peer::ALL.into_iter().filter(|it| absent.iter().all(|absent| absent.0 != *it)).collect();
    let server = Server::start(SETTINGS);
    writeln!(out, "Seconds of {} runs: median (least–most). Load before: {}.", wanted.runs, load())?;
    writeln!(out, "The floor is two connections that read both tables with COPY at once.\n")?;
    writeln!(
        out,
        "| rows | case | differ | wall | floor wall | ratio | CPU | server CPU | floor server CPU | ratio to it | peak MiB | others: wall, CPU, server CPU, peak MiB |"
    )?;
    writeln!(out, "|---:|---|---:|---|---|---:|---|---|---|---:|---:|---|")?;
    for &rows in &wanted.rows {
        let tables = Tables::new(&server, rows)?;
        for case in &wanted.cases {
            writeln!(out, "{}", case.measure(&tables, wanted, &peers)?)?;
            out.flush()?;
        }
    }
    Ok(writeln!(out, "\nLoad after: {}.", load())?)
}

/// What some runs cost, at both ends.
#[derive(Clone, Default)]
struct Both {
    client: Costs,
    server: Costs,
}

impl Both {
    /// Runs a command, and looks what the server spent on it.
    fn run(&mut self, server: &Server, command: &mut Command) -> Result<Ran> {
        let before = server_ticks(server)?;
        let ran = run(command)?;
        let cpu = (server_ticks(server)? - before) as f64 / TICKS;
        self.client.add(ran.cost);
        self.server.add(measure::Cost { cpu, ..measure::Cost::default() });
        Ok(ran)
    }
}

impl Case {
    /// Measures everything in turn, so that what else the machine does meets all of it alike. A line of the table.
    fn measure(&self, tables: &Tables<'_>, wanted: &Wanted<Case>, peers: &[Peer]) -> Result<String> {
        let source = tables.database(Variant::Source, self.layout)?;
        let target = match self.sqlite {
            true => tables.file(self.target)?.display().to_string(),
            false => tables.database(self.target, self.layout)?,
        };
        let expect = self.expect(tables.rows);
        let differ: u64 = expect.iter().sum();
        let peers: Vec<_> = peers.iter().filter(|it| it.answers(self.layout, self.sqlite)).collect();
        let (mut ours, mut floor, mut others) = (Both::default(), Both::default(), vec![Both::default(); peers.len()]);
        for _ in 0..wanted.runs {
            let ran =
                floor.run(tables.server, Command::new(env::current_exe()?).arg(FLOOR).args([&source, &target]))?;
            if ran.status != Some(0) {
                return Err(format!("{}: the floor failed: {}", self.name, ran.output).into());
            }
            let mut command = Command::new(&wanted.binary);
            command
                .arg("diff")
                .args([&source, &target])
                .args(self.arguments)
                .args(["--format", "json", "--limit", "1"]);
            self.check(tables.rows, expect, &ours.run(tables.server, &mut command)?)?;
            for (peer, costs) in peers.iter().zip(&mut others) {
                let ran = costs.run(tables.server, &mut peer.command(&source, &target))?;
                let found = peer.count(&ran.output);
                if found != Some(differ) {
                    let said: String = ran.output.chars().take(500).collect();
                    let (case, peer) = (self.name, peer.name());
                    return Err(format!("{case}: {peer} finds {found:?} rows and not {differ}: {said}").into());
                }
            }
        }
        let figures = |it: &Both| (it.client.wall(), it.client.cpu(), it.server.cpu(), it.client.memory());
        let told = peers.iter().zip(&others).map(|(peer, costs)| {
            let (wall, cpu, server, memory) = figures(costs);
            format!("{} {wall}, {cpu}, {server}, {memory}", peer.name())
        });
        let told = told.collect::<Vec<_>>().join("; ");
        let ((wall, cpu, server, memory), floor) = (figures(&ours), figures(&floor));
        let (slower, share) = (wall.median / floor.0.median, cpu.median / floor.2.median);
        let (rows, name, floor_wall, floor_server) = (tables.rows, self.name, floor.0, floor.2);
        Ok(format!(
            "| {rows} | {name} | {differ} | {wall} | {floor_wall} | {slower:.2} | {cpu} | {server} | {floor_server} | {share:.2} | {memory} | {told} |"
        ))
    }

    /// How many rows are changed, missing and extra.
    fn expect(&self, rows: u64) -> [u64; 3] {
        if !self.target.is_changed() {
            return [0; 3];
        }
        let [changed, missing, extra] = generate::differences(rows);
        match self.layout {
            Layout::Number => [changed, missing, extra],
            // One in nine changes is one of the key, which makes another row of it.
            Layout::Uuid | Layout::Text => {
                let others = changed.div_ceil(9);
                [changed - others, missing + others, extra + others]
            }
        }
    }

    /// Holds a report against what was planted.
    fn check(&self, rows: u64, expect: [u64; 3], ran: &Ran) -> Result<()> {
        let report: serde_json::Value =
            serde_json::from_str(&ran.output).map_err(|_| format!("{}: {}", self.name, ran.output))?;
        let [changed, missing, extra] = expect;
        let planted =
            [("source_rows", rows), ("changed", changed), ("missing", missing), ("extra", extra), ("invalid", 0)];
        for (name, count) in planted {
            let found = report["totals"][name].as_u64();
            if found != Some(count) {
                return Err(format!("{}: {name} is {found:?} and not {count}", self.name).into());
            }
        }
        let expect = i32::from(changed + missing + extra > 0);
        match ran.status == Some(expect) {
            true => Ok(()),
            false => Err(format!("{}: exit code {:?} and not {expect}", self.name, ran.status).into()),
        }
    }
}

/// What processes of the server that have ended have used: those of all connections, once they are gone. Its other processes stay.
fn server_ticks(server: &Server) -> Result<u64> {
    let file = fs::read_to_string(server.folder().join("data/postmaster.pid"))?;
    let pid = file.lines().next().unwrap_or_default();
    while connections(pid)? > 0 {}
    measure::children_of(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

/// How many processes serve a connection, those included that have ended and were not yet looked at.
fn connections(server: &str) -> Result<usize> {
    const OTHERS: [&str; 6] =
        ["checkpointer", "background writ", "walwriter", "logical replica", "autovacuum laun", "stats collector"];
    let mut count = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        // A process may end while it is looked at.
        let read = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let parent = stat.rsplit_once(')').and_then(|it| it.1.split_whitespace().nth(1));
        if parent == Some(server) && !OTHERS.iter().any(|it| read("cmdline").contains(it)) {
            count += 1;
        }
    }
    Ok(count)
}

/// The machine's load: how many programs wanted a processor over the last 1, 5 and 15 minutes.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
