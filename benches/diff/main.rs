//! How fast `cutover diff` is beside reading both files once, and beside others that answer the same question.
//!
//! `cargo bench --bench diff -- [rows=1000000] [runs=5] [CASE…]`. Without cases, all of them. The numbers of rows may be several,
//! with commas between. `CUTOVER` names another binary to measure. What is found is asserted; times are only shown.

mod floor;
mod generate;
mod measure;
mod peers;
mod wanted;

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::Command,
};

use generate::{Data, Format, Variant};
use measure::{Cost, Costs, run};
use peers::Peer;
use wanted::Wanted;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Two files and what comparing them has to find.
struct Case {
    name: &'static str,
    format: Format,
    source: Variant,
    target: Variant,
    arguments: &'static [&'static str],
}

static CASES: [Case; 6] = [
    Case::new("identical", Format::Sqlite, Variant::Source, Variant::Same, &[]),
    Case::new("changed", Format::Sqlite, Variant::Source, Variant::Changed, &[]),
    Case::new("spaced", Format::Sqlite, Variant::Source, Variant::Spaced, &[]),
    Case::new("unordered", Format::Sqlite, Variant::ShuffledSource, Variant::ShuffledChanged, &UNORDERED),
    Case::new("csv", Format::Csv, Variant::Source, Variant::Changed, &FILES),
    Case::new("ndjson", Format::Ndjson, Variant::Source, Variant::Changed, &FILES),
];

/// The name of a file is that of its table.
const FILES: [&str; 4] = ["--key", "id", "--map", "source=changed"];
const UNORDERED: [&str; 4] = ["--key", "id", "--memory", "64MiB"];

impl Case {
    const fn new(
        name: &'static str,
        format: Format,
        source: Variant,
        target: Variant,
        arguments: &'static [&'static str],
    ) -> Case {
        Case { name, format, source, target, arguments }
    }
}

fn main() -> Result<()> {
    // Cargo adds `--bench` for harnesses that need to be told.
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let mut out = io::stdout().lock();
    // What is measured runs as a child process; the floors and one of the peers are in here.
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [FLOOR, source, target] => {
            for path in [source, target] {
                writeln!(out, "{}", floor::read(Format::of(Path::new(path)), Path::new(path))?)?;
            }
            Ok(())
        }
        [ATTACH, source, target] => Ok(writeln!(out, "{}", peers::attach(Path::new(source), Path::new(target))?)?),
        arguments => table(&Wanted::read(arguments, &CASES, |it| it.name)?, &mut out),
    }
}

const FLOOR: &str = "floor";
const ATTACH: &str = "attach";

fn table(wanted: &Wanted<Case>, out: &mut dyn Write) -> Result<()> {
    let absent = |peer: &Peer| peer.absent().map(|why| (*peer, why));
    let absent: Vec<_> = Peer::ALL.iter().filter_map(absent).collect();
    for (_, why) in &absent {
        writeln!(out, "left out: {why}")?;
    }
    writeln!(out, "Seconds of {} runs: median (least–most). Load before: {}.\n", wanted.runs, load())?;
    writeln!(
        out,
        "| rows | case | differ | CPU | floor CPU | ratio | wall | peak MiB | others: CPU, wall, peak MiB |"
    )?;
    writeln!(out, "|---:|---|---:|---|---|---:|---|---:|---|")?;
    for &rows in &wanted.rows {
        let data = Data::new(rows)?;
        for case in &wanted.cases {
            let peers = Peer::of(case.format, case.source != Variant::ShuffledSource)
                .iter()
                .filter(|it| !absent.iter().any(|(absent, _)| absent == *it));
            let line = case.measure(&data, wanted, &peers.copied().collect::<Vec<_>>())?;
            writeln!(out, "{line}")?;
            out.flush()?;
        }
    }
    Ok(writeln!(out, "\nLoad after: {}.", load())?)
}

impl Case {
    /// Measures everything in turn, so that what else the machine does meets all of it alike. A line of the table.
    fn measure(&self, data: &Data, wanted: &Wanted<Case>, peers: &[Peer]) -> Result<String> {
        let (source, target) = (data.file(self.source, self.format)?, data.file(self.target, self.format)?);
        let expect = if self.target.is_changed() { generate::differences(data.rows) } else { [0; 3] };
        let differ: u64 = expect.iter().sum();
        let (mut ours, mut floor, mut others) =
            (Costs::default(), Costs::default(), vec![Costs::default(); peers.len()]);
        for _ in 0..wanted.runs {
            let ran = run(Command::new(env::current_exe()?).arg(FLOOR).args([&source, &target]))?;
            if ran.status != Some(0) {
                return Err(format!("{}: the floor failed: {}", self.name, ran.output).into());
            }
            floor.add(ran.cost);
            ours.add(self.check(data.rows, expect, &wanted.binary, &source, &target)?);
            for (peer, costs) in peers.iter().zip(&mut others) {
                let ran = run(&mut peer.command(self.format, &source, &target)?)?;
                // A join compares JSON as text, so it finds the spacing.
                let sees = if self.target == Variant::Spaced { data.rows / 2 } else { differ };
                if peer.count(&ran.output) != Some(sees) {
                    let said = ran.output.get(..500).unwrap_or(&ran.output);
                    return Err(format!("{}: {} does not find {sees} rows: {said}", self.name, peer.name()).into());
                }
                costs.add(ran.cost);
            }
        }
        let told = peers
            .iter()
            .zip(&others)
            .map(|(peer, costs)| format!("{} {}, {}, {}", peer.name(), costs.cpu(), costs.wall(), costs.memory()));
        let ratio = ours.cpu().median / floor.cpu().median;
        let (rows, name, told) = (data.rows, self.name, told.collect::<Vec<_>>().join("; "));
        let (cpu, wall, memory) = (ours.cpu(), ours.wall(), ours.memory());
        Ok(format!(
            "| {rows} | {name} | {differ} | {cpu} | {} | {ratio:.2} | {wall} | {memory} | {told} |",
            floor.cpu()
        ))
    }

    /// Runs `cutover diff` once and holds its report against what was planted.
    fn check(&self, rows: u64, expect: [u64; 3], binary: &Path, source: &Path, target: &Path) -> Result<Cost> {
        let mut command = Command::new(binary);
        command.arg("diff").args([source, target]).args(self.arguments).args(["--format", "json", "--limit", "1"]);
        let ran = run(&mut command)?;
        let report: serde_json::Value =
            serde_json::from_str(&ran.output).map_err(|_| format!("{}: {}", self.name, ran.output))?;
        let found = |name: &str| report["totals"][name].as_u64();
        let [changed, missing, extra] = expect;
        let planted = [
            ("source_rows", rows),
            ("changed", changed),
            ("missing", missing),
            ("extra", extra),
            ("duplicates", 0),
            ("invalid", 0),
        ];
        for (name, count) in planted {
            if found(name) != Some(count) {
                return Err(format!("{}: {name} is {:?} and not {count}", self.name, found(name)).into());
            }
        }
        let expect = i32::from(changed + missing + extra > 0);
        if ran.status != Some(expect) {
            return Err(format!("{}: exit code {:?} and not {expect}", self.name, ran.status).into());
        }
        Ok(ran.cost)
    }
}

/// The machine's load: how many programs wanted a processor over the last 1, 5 and 15 minutes.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
