//! A line on the terminal that says how far a run is, and the way to stop it.

use crate::{
    error::{Error, Kind, Result},
    run::Watch,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
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
                let (rows, expected) = watch.progress();
                let known = "{bar:30} {percent:>3}%  {human_pos} rows  {per_sec}  {eta} left";
                let unknown = "{spinner} {human_pos} rows  {per_sec}";
                let template = if expected > 0 { known } else { unknown };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
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
