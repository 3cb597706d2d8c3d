//! What is written where.

use super::args::{Color, Format, Output};
use crate::{
    error::{Error, Kind, Result},
    report::{Report, json, text, timing},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    io::{ErrorKind, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Writes the report to standard output.
///
/// # Errors
/// If it cannot be written, unless nobody reads any more.
pub(super) fn report(report: &Report, output: &Output, color: Color) -> Result<()> {
    let mut out = Vec::new();
    match output.format {
        Format::Json => json::write(report, &mut out).map_err(|it| Error::new(Kind::File, it))?,
        Format::Text => {
            let style = text::Style {
                colour: colours(color, std::io::stdout().is_terminal()),
                width: 100,
                verbose: output.verbose,
                quiet: output.quiet,
            };
            out = text::text(report, style).into_bytes();
            if output.verbose {
                out.extend(format!("\nTime and size\n{}", timing::text(&report.timing)).into_bytes());
            }
        }
    }
    print(&out)
}

/// Writes bytes to standard output.
pub(super) fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(it) if it.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::File, format_args!("cannot write to standard output: {it}")))
        }
        _ => Ok(()),
    }
}

/// Whether anybody may still read what is written to standard output. Of a pipe that nobody reads any more an error is said,
/// whatever is asked of it.
pub(super) fn is_read() -> bool {
    let stdout = std::io::stdout();
    let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_err() || !asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Writes a file to standard output.
///
/// # Errors
/// If it cannot be read or written, unless nobody reads any more.
pub(super) fn pass(mut file: std::fs::File) -> Result<()> {
    match std::io::copy(&mut file, &mut std::io::stdout().lock()) {
        Err(it) if it.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::File, format_args!("cannot write to standard output: {it}")))
        }
        _ => Ok(()),
    }
}

/// Says something on standard error.
pub(super) fn say(text: &str) {
    // There is nowhere left to complain to.
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}

/// Says on standard error what happens now, in the place of a line that shows progress.
pub(super) fn tell(text: &str) {
    let clear = if std::io::stderr().is_terminal() { "\r\u{1b}[K" } else { "" };
    say(&format!("{clear}{text}"));
}

/// The terminal for whoever holds this alone, so that no line that shows progress is drawn over what somebody is asked.
pub(super) fn terminal() -> MutexGuard<'static, ()> {
    static TERMINAL: Mutex<()> = Mutex::new(());
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says what went wrong on standard error.
pub(super) fn error(error: &Error, color: Color) {
    let text = crate::report::escape::message(&error.to_string());
    let mut stderr = std::io::stderr().lock();
    let label = if colours(color, stderr.is_terminal()) { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
    // There is nowhere left to complain to.
    let _ = writeln!(stderr, "{label} {text}");
}

/// Whether to use colours on a stream that is a terminal or not.
pub(super) fn colours(color: Color, terminal: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        #[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()),
    }
}
