//! What a command costs: processor time, wall time and memory of a child process and its own children.
//!
//! Everything is measured the same way, the floors too, which this program runs as children of itself. The kernel adds up what
//! children used in `/proc/self/stat` (proc(5), fields 16 and 17), in hundredths of a second.

use std::{
    fmt,
    fs::{self, File},
    io::Read,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::Result;

/// The cost of one run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Seconds of user and system time.
    pub(crate) cpu: f64,
    /// Seconds.
    pub(crate) wall: f64,
    /// Bytes at the peak, file pages that are mapped included.
    pub(crate) memory: u64,
}

/// The costs of some runs.
#[derive(Clone, Default)]
pub(crate) struct Costs(Vec<Cost>);

/// What ran, and what it said.
pub(crate) struct Ran {
    pub(crate) cost: Cost,
    pub(crate) status: Option<i32>,
    pub(crate) output: String,
}

/// How often the memory of a child is looked at. Its high-water mark only ever rises, so only the last moments can be missed.
const GLANCE: Duration = Duration::from_millis(3);

/// Runs a command to its end.
///
/// # Errors
/// If it cannot be started.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn run(command: &mut Command) -> Result<Ran> {
    let before = children_ticks()?;
    let start = std::time::Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(move || text(out.as_mut()));
    let err = thread::spawn(move || text(err.as_mut()));
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let ended = loop {
        memory = memory.max(peak(&status));
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        thread::sleep(GLANCE);
    };
    let wall = start.elapsed().as_secs_f64();
    let cpu = (children_ticks()? - before) as f64 / 100.0;
    let output = out.join().unwrap_or_default() + &err.join().unwrap_or_default();
    Ok(Ran { cost: Cost { cpu, wall, memory }, status: ended.code(), output })
}

impl Costs {
    pub(crate) fn add(&mut self, cost: Cost) {
        self.0.push(cost);
    }

    pub(crate) fn cpu(&self) -> Spread {
        Spread::of(self.0.iter().map(|it| it.cpu))
    }

    pub(crate) fn wall(&self) -> Spread {
        Spread::of(self.0.iter().map(|it| it.wall))
    }

    /// Mebibytes at the highest peak.
    pub(crate) fn memory(&self) -> u64 {
        self.0.iter().map(|it| it.memory.div_ceil(1 << 20)).max().unwrap_or(0)
    }
}

/// The least, the middle and the most of some figures.
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Spread {
        let mut all: Vec<f64> = figures.collect();
        all.sort_by(f64::total_cmp);
        let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
        Spread { least: at(0), median: at(all.len() / 2), most: at(all.len().saturating_sub(1)) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}

fn text(pipe: Option<&mut impl Read>) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.map(|it| it.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn children_ticks() -> Result<u64> {
    children_of(&fs::read_to_string("/proc/self/stat")?)
}

/// What the children of a process that have ended used, by the kernel's line about it: hundredths of a second.
pub(crate) fn children_of(stat: &str) -> Result<u64> {
    // The name of the program comes second, in parentheses, and may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |it| it.1).split_whitespace().skip(13).take(2);
    Ok(fields.map(|it| it.parse().unwrap_or(0_u64)).sum())
}

fn peak(status: &str) -> u64 {
    let mut text = String::new();
    let _ = File::open(status).and_then(|mut it| it.read_to_string(&mut text));
    let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    line.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
}
