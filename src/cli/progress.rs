//! A line on the terminal that says how far a run is, the same for a hook, and the way to stop it.

use super::output;
use crate::{
    error::{Error, Kind, Result},
    run::{
        Progress as Stage, Watch,
        around::hook::{Caller, Lines, Sink},
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often the line is drawn.
const INTERVAL: Duration = Duration::from_millis(120);

/// Shows progress until it is dropped.
pub(super) struct Progress {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Draws on standard error, if that is a terminal and nobody wants quiet.
    pub(super) fn start(watch: &Arc<Watch>, quiet: bool) -> Progress {
        if quiet || !std::io::stderr().is_terminal() {
            return Progress { end: None, thread: None };
        }
        let (end, ended) = channel();
        let watch = Arc::clone(watch);
        let thread = std::thread::spawn(move || {
            let bar = ProgressBar::new(0);
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let _terminal = output::terminal();
                let Stage { stage, rows, expected } = watch.progress();
                let known = "{msg}{bar:30} {percent:>3}%  {human_pos} rows  {per_sec}  {eta} left";
                let unknown = "{msg}{spinner} {human_pos} rows  {per_sec}";
                let template = if expected > 0 { known } else { unknown };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.set_message(if stage.is_empty() { String::new() } else { format!("{stage:<8}") });
                bar.set_length(expected.max(rows));
                bar.set_position(rows);
            }
            bar.finish_and_clear();
        });
        Progress { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A progress line that failed is no reason to fail.
            let _ = thread.join();
        }
    }
}

/// Tells a hook how far a run is, until it is ended.
pub(super) struct Telling {
    end: Sender<()>,
    told: Receiver<Result<()>>,
    lines: Lines,
    timeout: Duration,
}

impl Telling {
    /// Begins.
    ///
    /// # Errors
    /// If the hook cannot be started.
    pub(super) fn start(caller: Caller, watch: &Arc<Watch>) -> Result<Telling> {
        let timeout = caller.timeout();
        let (lines, sink) = caller.open()?;
        let ((end, ended), (tell, told)) = (channel(), channel());
        let watch = Arc::clone(watch);
        let mut teller = Teller { sink, began: now(), stage: "", last: None };
        std::thread::spawn(move || {
            let mut goes_on = true;
            let mut all = Ok(());
            while goes_on && all.is_ok() {
                goes_on = ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout);
                all = watch.news().into_iter().try_for_each(|it| teller.tell(it));
            }
            drop(teller);
            // Whoever waited may have given up.
            let _ = tell.send(all);
        });
        Ok(Telling { end, told, lines, timeout })
    }

    /// Tells the last of it, and waits for the hook to end.
    ///
    /// # Errors
    /// If the hook failed, or took too long.
    pub(super) fn end(self) -> Result<()> {
        drop(self.end);
        let ended = self.lines.end();
        // A hook may have left its input to somebody else, who does not read it either.
        let late = |_| Err(Error::new(Kind::Limit, "it was not told all in time"));
        let told = self.told.recv_timeout(self.timeout).unwrap_or_else(late);
        ended.and(told.map_err(|it| it.context("the hook `on_progress`")))
    }
}

/// How often an address is told of progress at most.
const REQUESTS: Duration = Duration::from_secs(1);

/// Tells of what is new.
struct Teller {
    sink: Sink,
    stage: &'static str,
    /// When the stage began.
    began: Instant,
    /// What was told last, and when.
    last: Option<(Told, Instant)>,
}

/// How far a stage is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    stage: &'static str,
    current: u64,
    total: Option<u64>,
}

impl Teller {
    fn tell(&mut self, news: Stage) -> Result<()> {
        let total = (news.expected > 0).then_some(news.expected.max(news.rows));
        let told = Told { stage: news.stage, current: news.rows, total };
        if told.stage != self.stage {
            (self.stage, self.began) = (told.stage, now());
        }
        let known = self.last.is_some_and(|(last, at)| match self.sink.is_web() {
            true => at.elapsed() < REQUESTS || (last.stage, last.percent()) == (told.stage, told.percent()),
            false => last == told,
        });
        if told.stage.is_empty() || known {
            return Ok(());
        }
        self.last = Some((told, now()));
        self.sink.tell(&told.json(self.began.elapsed()))
    }
}

impl Told {
    /// Rounded down, so that it says 100 only when all of it is done.
    fn percent(self) -> Option<u64> {
        self.total.map(|it| (u128::from(self.current) * 100 / u128::from(it.max(1))) as u64)
    }

    fn json(self, elapsed: Duration) -> String {
        let left = self.total.map(|it| it.saturating_sub(self.current)).filter(|_| self.current > 0);
        let eta = left.map(|it| (elapsed.as_secs_f64() * it as f64 / self.current as f64).ceil() as u64);
        let (percentage, Told { stage, current, total }) = (self.percent(), self);
        serde_json::json!({
            "stage": stage, "current": current, "total": total, "percentage": percentage, "eta": eta,
        })
        .to_string()
    }
}

#[expect(clippy::disallowed_methods, reason = "cli reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Stops the run at the first Ctrl-C or SIGTERM, and the process at the second one.
///
/// # Errors
/// If the signals cannot be caught.
pub(super) fn stop_on_signal(watch: &Arc<Watch>) -> Result<()> {
    let (watch, asked) = (Arc::clone(watch), AtomicBool::new(false));
    let caught = ctrlc::set_handler(move || {
        watch.stop();
        if asked.swap(true, Ordering::Relaxed) {
            // Temporary files have no names, so nothing is left behind.
            #[expect(clippy::disallowed_methods, reason = "the run does not end by itself")]
            std::process::exit(i32::from(super::exit::INTERRUPTED));
        }
    });
    caught.map_err(|it| Error::new(Kind::File, format_args!("cannot catch Ctrl-C: {it}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_stage_is() {
        let check = |current, total, elapsed, percentage: &str, eta: &str| {
            let told = Told { stage: "apply", current, total }.json(Duration::from_secs(elapsed));
            assert!(told.ends_with(&format!("\"percentage\":{percentage},\"eta\":{eta}}}")), "{told}");
        };
        check(0, None, 5, "null", "null");
        check(0, Some(10), 5, "0", "null");
        check(3, Some(10), 6, "30", "14");
        check(999, Some(1000), 999, "99", "1");
        check(10, Some(10), 5, "100", "0");
    }
}
