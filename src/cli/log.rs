//! Where the lines of a log go: four files, and standard error.

use super::{args::Format, clock, output};
use crate::{
    disk,
    error::{Error, Kind, Result},
    plan::Plan,
    report::{escape, timing::Timing},
    run::log::{Keep, Level, Line, Log, Step, Topic},
};
use clap::Args;
use serde_json::{Map, Value};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What stands in for `--log-filter`.
const VARIABLE: &str = "CUTOVER_LOG";

/// What is written down while a verb runs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct Logging {
    /// Write migration-success.log, -errors.log, -conflicts.log and -performance.log into this folder, a JSON object a line,
    /// behind what is there. The plan may say it too.
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Say on standard error what happens: error, warn, info or debug, or STEP=LEVEL,… where a step is extract, transform, load
    /// or verify. CUTOVER_LOG stands in for it.
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<Filter>,
    /// How to say it there.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

/// Down to which level lines are wanted, for each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Filter([Option<Level>; Step::ALL.len()]);

/// The four logs of a folder, and standard error.
pub(super) struct Book {
    /// The run that lines are about.
    run: Mutex<String>,
    folder: Option<(PathBuf, [File; NAMES.len()])>,
    filter: Filter,
    format: Format,
    /// That a line could not be kept was said.
    broken: AtomicBool,
}

/// The logs of a folder.
const NAMES: [&str; 4] = ["migration-success", "migration-errors", "migration-conflicts", "migration-performance"];

/// Where a line belongs among [`NAMES`].
fn place(line: &Line) -> usize {
    match line.topic {
        Topic::Performance => 3,
        Topic::Conflict => 2,
        Topic::Course => usize::from(line.level <= Level::Warn),
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let known = || "write error, warn, info, debug or off, for all or as STEP=LEVEL with the steps extract, transform, load and verify, such as info,load=debug";
        let level = |name: &str| match name {
            "off" => Ok(None),
            _ => Level::ALL.into_iter().find(|it| it.name() == name).map(Some).ok_or_else(|| known().to_owned()),
        };
        let (mut all, mut own) = (None, [None; Step::ALL.len()]);
        for part in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match part.split_once('=') {
                Some((step, name)) => {
                    let place = Step::ALL.into_iter().position(|it| it.name() == step.trim());
                    own[place.ok_or_else(|| known().to_owned())?] = Some(level(name.trim())?);
                }
                None => all = level(part)?,
            }
        }
        Ok(Filter(own.map(|it| it.unwrap_or(all))))
    }
}

impl Filter {
    fn lets(self, step: Step, level: Level) -> bool {
        self.0[step as usize].is_some_and(|most| level <= most)
    }
}

impl Logging {
    /// Opens the logs that are wanted, for a run that began at `start`.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be made or written to, or the variable says nothing that is known.
    pub(super) fn open(&self, plan: &Plan, start: &str) -> Result<Arc<Book>> {
        let filter = match self.log_filter {
            Some(it) => it,
            None => from_environment()?,
        };
        let folder = self.log.clone().or_else(|| plan.log_folder.as_ref().map(|it| plan.resolve(it)));
        let folder = folder.map(|it| Ok::<_, Error>((it.clone(), files(&it)?))).transpose()?;
        let run = Mutex::new(start.replace(':', "-"));
        Ok(Arc::new(Book { run, folder, filter, format: self.log_format, broken: AtomicBool::new(false) }))
    }
}

fn from_environment() -> Result<Filter> {
    #[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
    let text = std::env::var(VARIABLE).unwrap_or_default();
    text.parse().map_err(|it| Error::new(Kind::Usage, format_args!("{VARIABLE}: {it}")))
}

fn files(folder: &Path) -> Result<[File; NAMES.len()]> {
    disk::folder(folder)?;
    let open = |name: &str| {
        let path = folder.join(format!("{name}.log"));
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        file.map_err(|it| disk::failed(&path, "cannot write", &it))
    };
    let [success, errors, conflicts, performance] = NAMES.map(open);
    Ok([success?, errors?, conflicts?, performance?])
}

impl Book {
    /// The log that lines go to.
    pub(super) fn log(self: &Arc<Book>) -> Log {
        let wanted = self.folder.is_some() || self.filter != Filter::default();
        if wanted { Log::new(Arc::clone(self) as Arc<dyn Keep>) } else { Log::default() }
    }

    /// From now on, lines are about this run.
    pub(super) fn name(&self, run: &str) {
        run.clone_into(&mut self.run.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says once that a log is not whole.
    fn broke(&self, why: &std::io::Error) {
        if !self.broken.swap(true, Ordering::Relaxed) {
            let place = self.folder.as_ref().map(|it| it.0.display().to_string()).unwrap_or_default();
            output::say(&escape::message(&format!("the logs in {place} are not whole: {why}")));
        }
    }
}

impl Keep for Book {
    fn wants(&self, step: Step, level: Level) -> bool {
        // Nothing that a filter says about standard error takes what went wrong out of the files.
        self.filter.lets(step, level) || self.folder.is_some() && level <= Level::Info
    }

    fn keep(&self, line: &Line) {
        let at = clock::now().map_or_else(|it| it.to_string(), |it| format!("{it:.3}"));
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let json = json(line, &at, &run);
        if let Some((_, files)) = &self.folder
            && let Err(it) = (&files[place(line)]).write_all(json.as_bytes())
        {
            self.broke(&it);
        }
        if self.filter.lets(line.step, line.level) {
            match self.format {
                Format::Json => output::say(&json),
                Format::Text => output::tell(&text(line, &at)),
            }
        }
    }
}

/// A line for programs, its end included.
fn json(line: &Line, at: &str, run: &str) -> String {
    let mut out = Map::new();
    out.insert("at".into(), at.into());
    out.insert("run".into(), run.into());
    out.insert("level".into(), line.level.name().into());
    out.insert("target".into(), line.step.name().into());
    out.insert("message".into(), line.says.as_str().into());
    out.extend(line.table.iter().map(|it| ("table".to_owned(), it.as_str().into())));
    out.extend(line.key.iter().map(|it| {
        let key = serde_json::from_str(it).unwrap_or_else(|_| Value::from(it.as_str()));
        ("key".to_owned(), key)
    }));
    if !line.counts.is_empty() {
        let counts: Map<String, Value> = line.counts.iter().map(|it| (it.0.to_owned(), it.1.clone())).collect();
        out.insert("counts".into(), counts.into());
    }
    let mut text = String::new();
    escape::json(&Value::Object(out).to_string(), &mut text);
    text.push('\n');
    text
}

/// A line for people.
fn text(line: &Line, at: &str) -> String {
    let table = line.table.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
    let key = line.key.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
    let counts: Vec<_> = line.counts.iter().map(|(name, count)| format!("{name}={count}")).collect();
    let counts = if counts.is_empty() { String::new() } else { format!("  {}", counts.join(" ")) };
    let (level, step) = (line.level.name().to_uppercase(), line.step.name());
    escape::message(&format!("{at} {level:<5} {step}{table}: {}{key}{counts}", line.says))
}

/// Writes down how something ended that may have failed.
pub(super) fn ended<T>(log: &Log, step: Step, done: Result<T>) -> Result<T> {
    if let Err(it) = &done {
        log.line(Line::new(Level::Error, step, it.to_string()));
    }
    done
}

/// Ends the timing of what began so long after the process.
pub(super) fn time(timing: &mut Timing, begun: Duration) {
    timing.seconds = clock::elapsed().saturating_sub(begun).as_secs_f64();
    timing.peak_memory = peak_memory();
}

/// Bytes that this process held at most, where the system says so.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{Debug, Error, Info, Warn};

    #[test]
    fn filters() {
        let check = |text: &str, expect: [Option<Level>; 4]| assert_eq!(text.parse(), Ok(Filter(expect)), "{text}");
        check("", [None; 4]);
        check("debug", [Some(Debug); 4]);
        check("transform=debug,load=info", [None, Some(Debug), Some(Info), None]);
        check("warn, load = off", [Some(Warn), Some(Warn), None, Some(Warn)]);
        check("verify=error,info", [Some(Info), Some(Info), Some(Info), Some(Error)]);
        for bad in ["loud", "write=info", "load=", "load=info=debug"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_line_has_its_log() {
        let line = |level, topic| Line::new(level, Step::Load, "").on(topic);
        let check = |line: Line, name: &str| assert_eq!(NAMES[place(&line)], name);
        check(line(Info, Topic::Course), "migration-success");
        check(line(Debug, Topic::Course), "migration-success");
        check(line(Warn, Topic::Course), "migration-errors");
        check(line(Error, Topic::Course), "migration-errors");
        check(line(Error, Topic::Conflict), "migration-conflicts");
        check(line(Info, Topic::Performance), "migration-performance");
    }

    #[test]
    fn a_line_for_programs_and_one_for_people() {
        let line = Line::new(Info, Step::Load, "written\u{202e}").of("users").about("{\"id\":7}").with([("rows", 2)]);
        let expect = "{\"at\":\"T\",\"run\":\"R\",\"level\":\"info\",\"target\":\"load\",\"message\":\"written\\u202e\",\
                      \"table\":\"users\",\"key\":{\"id\":7},\"counts\":{\"rows\":2}}\n";
        assert_eq!(json(&line, "T", "R"), expect);
        assert_eq!(text(&line, "T"), "T INFO  load users: written\\u{202e} {\"id\":7}  rows=2");
    }
}
