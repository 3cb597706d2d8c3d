//! A line on the terminal that says how far a run is, the same for a hook, and the way to stop it.

use super::{clock, output};
use crate::{
    error::{Error, Kind, Result},
    run::{
        Progress as Stage, Watch,
        around::{
            attend,
            hook::{Caller, Lines, Sink},
        },
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
    time::Duration,
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
                let progress = watch.progress();
                let Stage { stage, rows, .. } = progress;
                // Where it is all there but not at its end, nobody knows how much more comes.
                let total = progress.total().filter(|it| *it > rows);
                let known = "{msg}{bar:30} {percent:>3}%  {human_pos} rows  {per_sec}  {eta} left";
                let unknown = "{msg}{spinner} {human_pos} rows  {per_sec}";
                let template = if total.is_some() { known } else { unknown };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.set_message(if stage.is_empty() { String::new() } else { format!("{stage:<8}") });
                bar.set_length(total.unwrap_or(rows));
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
    watch: Arc<Watch>,
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
        let (told_of, watch) = (Arc::clone(watch), Arc::clone(watch));
        let mut teller = Teller { news: News::new(sink.is_web()), sink };
        std::thread::spawn(move || {
            let mut goes_on = true;
            let mut all = Ok(());
            while goes_on && all.is_ok() {
                goes_on = ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout);
                all = told_of.news().into_iter().try_for_each(|it| teller.tell(it));
            }
            drop(teller);
            // Whoever waited may have given up.
            let _ = tell.send(all);
        });
        Ok(Telling { end, told, lines, timeout, watch })
    }

    /// Tells the last of it, and waits for the hook to end.
    ///
    /// # Errors
    /// If the hook failed, took too long, or was interrupted.
    pub(super) fn end(self) -> Result<()> {
        let stopped = self.watch.is_stopped_anew();
        // Nothing follows the last stage.
        self.watch.begin("");
        drop(self.end);
        let ended = self.lines.end(&self.watch);
        // A hook may have left its input to somebody else, who does not read it either.
        let told = attend(&self.told, self.timeout, &stopped).map_err(|it| it.context("it was not told all"));
        ended.and(told.and_then(|it| it).map_err(|it| it.context("the hook `on_progress`")))
    }
}

/// How often an address is told of progress at most.
const REQUESTS: Duration = Duration::from_secs(1);

/// Tells of what is new.
struct Teller {
    sink: Sink,
    news: News,
}

/// What there is to tell.
struct News {
    /// Whether it goes to an address: a line for each percent then, and not too often.
    web: bool,
    stage: &'static str,
    /// When the stage began, in the time of the process.
    began: Duration,
    /// What was told last, and when.
    last: Option<(Told, Duration)>,
}

/// How far a stage is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    stage: &'static str,
    current: u64,
    total: Option<u64>,
    percentage: Option<u64>,
}

impl Teller {
    fn tell(&mut self, stage: Stage) -> Result<()> {
        self.news.line(stage, clock::elapsed()).map_or(Ok(()), |it| self.sink.tell(&it))
    }
}

impl News {
    fn new(web: bool) -> News {
        News { web, stage: "", began: Duration::ZERO, last: None }
    }

    /// The line to tell `now`, if there is anything new.
    fn line(&mut self, stage: Stage, now: Duration) -> Option<String> {
        let told = Told::of(stage);
        if told.stage != self.stage {
            (self.stage, self.began) = (told.stage, now);
        }
        let known = self.last.is_some_and(|(last, at)| match self.web {
            true => now.saturating_sub(at) < REQUESTS || (last.stage, last.percentage) == (told.stage, told.percentage),
            false => last == told,
        });
        if told.stage.is_empty() || known {
            return None;
        }
        self.last = Some((told, now));
        Some(told.json(now.saturating_sub(self.began)))
    }
}

impl Told {
    /// Its share is rounded down, and is 100 only once the stage has ended.
    fn of(it: Stage) -> Told {
        let (stage, current, total) = (it.stage, it.rows, it.total());
        let share = |total: u64| (u128::from(current) * 100 / u128::from(total.max(1))) as u64;
        let percentage = total.map(share).map(|share| if it.ended { share } else { share.min(99) });
        Told { stage, current, total, percentage }
    }

    fn json(self, elapsed: Duration) -> String {
        let Told { stage, current, total, percentage } = self;
        let left = total.map(|it| it.saturating_sub(current)).filter(|_| current > 0);
        let eta = left.map(|it| (elapsed.as_secs_f64() * it as f64 / current as f64).ceil() as u64);
        serde_json::json!({
            "stage": stage, "current": current, "total": total, "percentage": percentage, "eta": eta,
        })
        .to_string()
    }
}

/// How long whoever waits for a hook may take to end it, once Ctrl-C came twice.
const GRACE: Duration = Duration::from_millis(200);

/// Stops the run at the first Ctrl-C or SIGTERM, and the process at the second one.
///
/// # Errors
/// If the signals cannot be caught.
pub(super) fn stop_on_signal(watch: &Arc<Watch>) -> Result<()> {
    let (watch, asked) = (Arc::clone(watch), AtomicBool::new(false));
    let caught = ctrlc::set_handler(move || {
        watch.stop();
        if asked.swap(true, Ordering::Relaxed) {
            std::thread::sleep(GRACE);
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

    fn stage(rows: u64, expected: u64, ended: bool) -> Stage {
        Stage { stage: "apply", rows, expected, ended }
    }

    #[test]
    fn how_far_a_stage_is() {
        let check = |stage: Stage, elapsed, expect: &str| {
            let told = Told::of(stage).json(Duration::from_secs(elapsed));
            let expect: Vec<&str> = expect.split(' ').collect();
            let [total, percentage, eta] = expect[..] else { panic!("{expect:?}") };
            assert!(
                told.ends_with(&format!("\"total\":{total},\"percentage\":{percentage},\"eta\":{eta}}}")),
                "{told}"
            );
        };
        check(stage(0, 0, false), 5, "null null null");
        check(stage(5, 0, true), 5, "null null null");
        check(stage(0, 10, false), 5, "10 0 null");
        check(stage(3, 10, false), 6, "10 30 14");
        check(stage(999, 1000, false), 999, "1000 99 1");
        // It was a guess, or there is more to do with the last row.
        check(stage(10, 10, false), 5, "10 99 0");
        check(stage(10, 10, true), 5, "10 100 0");
        check(stage(4, 10, true), 4, "10 40 6");
        check(stage(11, 10, false), 5, "null null null");
        check(stage(11, 10, true), 5, "null null null");
    }

    #[test]
    fn what_is_new() {
        let check = |web: bool, told: &[(Stage, u64, bool)]| {
            let mut news = News::new(web);
            for (stage, at, expect) in told {
                let line = news.line(*stage, Duration::from_millis(*at));
                assert_eq!(line.is_some(), *expect, "{web} {stage:?} {at} {line:?}");
            }
        };
        let verify = Stage { stage: "verify", ..stage(0, 0, false) };
        let never = Stage::default();
        check(false, &[(never, 0, false), (stage(1, 1000, false), 0, true), (stage(1, 1000, false), 9, false)]);
        check(false, &[(stage(1000, 1000, false), 0, true), (stage(1000, 1000, true), 1, true), (verify, 1, true)]);
        let (one, two) = (stage(10, 1000, false), stage(20, 1000, false));
        check(true, &[(one, 0, true), (stage(11, 1000, false), 2000, false), (two, 2001, true), (verify, 2500, false)]);
        check(true, &[(two, 0, true), (verify, 999, false), (verify, 1000, true)]);
    }
}
