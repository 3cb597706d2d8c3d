//! Asks a person about single rows.

use crate::{
    cli::output,
    error::{Error, Kind, Result},
    report::escape,
    run::migrate::conflict::{Answer, Decide, Question},
};
use std::{
    io::{BufRead, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};

/// Asks on the terminal.
#[derive(Default)]
pub(super) struct Asker {
    /// What was said about all that follows.
    always: Mutex<Option<Answer>>,
}

impl Decide for Asker {
    fn ask(&self, question: &Question<'_>) -> Result<Answer> {
        let mut always = self.always.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = *always {
            return Ok(answer);
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            let message = format_args!(
                "{}: `conflict = \"ask\"` needs a terminal; write skip, overwrite, merge or newest in the plan instead",
                question.table
            );
            return Err(Error::new(Kind::Usage, message));
        }
        let _terminal = output::terminal();
        output::tell(&shown(question));
        loop {
            let _ = write!(
                std::io::stderr().lock(),
                "[k]eep the target's, [o]verwrite, [K]eep all, [O]verwrite all, [s]top? "
            );
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            if read.is_err() || line.is_empty() {
                return Ok(Answer::Stop);
            }
            let answer = match line.trim() {
                "k" | "K" => Answer::Keep,
                "o" | "O" => Answer::Write,
                "s" => Answer::Stop,
                _ => continue,
            };
            if matches!(line.trim(), "K" | "O" | "s") {
                *always = Some(answer);
            }
            return Ok(answer);
        }
    }
}

fn shown(question: &Question<'_>) -> String {
    let plain = escape::message;
    let key = question.key.iter().map(|(name, value)| format!("{}={}", plain(name), plain(value)));
    let mut lines = vec![format!("{}: {}", plain(question.table), key.collect::<Vec<_>>().join(", "))];
    lines.extend(question.cells.iter().map(|(name, source, target)| {
        format!("  {}: {} in the target, {} in the source", plain(name), plain(target), plain(source))
    }));
    lines.join("\n")
}
