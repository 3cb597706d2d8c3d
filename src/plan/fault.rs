//! Problems of a plan, and how they are shown beside its text.
use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, renderer::DecorStyle};

use super::Place;

/// The longest name of a reader's own that a message repeats, in characters.
const SHOWN_MAX: usize = 60;

/// One problem of a plan or of a `.env` file. Never holds the value of a variable or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes of the text that the problem is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Bytes of the text that must not be shown.
    masked: Vec<Range<usize>>,
}

/// Shows every fault beside the lines of `text` it is about. `colour`: with terminal escape codes.
///
/// Secrets written into the text by mistake are shown as asterisks.
pub fn render(faults: &[Fault], path: &str, text: &str, colour: bool) -> String {
    let shown = masked(faults, text);
    let path = printable(path);
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut shown_faults = Vec::with_capacity(faults.len());
    for fault in faults {
        let (line, span) = line_of(&shown, &fault.span);
        let snippet = Snippet::source(shown.get(line.clone()).unwrap_or_default())
            .path(path.as_str())
            .line_start(fault.line)
            .annotation(AnnotationKind::Primary.span(span.start - line.start..span.end - line.start));
        let mut group = Level::ERROR.primary_title(fault.message.as_str()).element(snippet);
        if let Some(hint) = &fault.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        shown_faults.push(renderer.render(&[group]) + "\n");
    }
    shown_faults.join("\n")
}

impl Fault {
    /// A problem with the bytes `span` of `text`.
    pub fn new(text: &str, span: Range<usize>, message: impl fmt::Display) -> Fault {
        Fault::at(&place(text, span), message)
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Fault {
        self.hint = Some(hint.to_string());
        self
    }

    pub(super) fn at(place: &Place, message: impl fmt::Display) -> Fault {
        Fault {
            line: place.line as usize,
            column: place.column as usize,
            span: place.span.clone(),
            message: message.to_string(),
            hint: None,
            masked: Vec::new(),
        }
    }

    /// The same, where the bytes `span` of the text must not be shown.
    #[must_use]
    pub(super) fn masking(mut self, span: Range<usize>) -> Fault {
        self.masked.push(span);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Line and column of the first byte of `span`.
pub(super) fn place(text: &str, span: Range<usize>) -> Place {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    let (before, _) = text.split_at(start);
    let line = 1 + memchr::memchr_iter(b'\n', before.as_bytes()).count();
    let head = before.rsplit('\n').next().unwrap_or_default().trim_start_matches('\u{feff}');
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    Place { line: number(line), column: number(1 + head.chars().count()), span: start..end }
}

/// A name as a message shows it: quoted, of bounded length, without control characters.
pub(crate) fn quoted(name: &str) -> String {
    let mut shown: String = name.chars().take(SHOWN_MAX).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    format!("`{}`", printable(&shown))
}

/// `known` names that `word` may have been meant for, the nearest one only.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |it: &str| it.to_lowercase().replace('-', "_");
    let typed = plain(word);
    if SHOWN_MAX < typed.len() {
        return None;
    }
    known
        .into_iter()
        .map(|it| (strsim::damerau_levenshtein(&typed, &plain(it)), it))
        .filter(|(distance, it)| *distance <= (it.len().max(typed.len()) / 3).max(1) && *distance < typed.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// `text` with every byte that must not be shown replaced, so that spans keep their meaning.
fn masked(faults: &[Fault], text: &str) -> String {
    let mut spans: Vec<&Range<usize>> = faults.iter().flat_map(|it| &it.masked).collect();
    spans.sort_by_key(|it| it.start);
    let mut out = String::with_capacity(text.len());
    for span in spans {
        let start = text.floor_char_boundary(span.start).max(out.len());
        let end = text.ceil_char_boundary(span.end);
        if start < end {
            out.push_str(text.get(out.len()..start).unwrap_or_default());
            out.extend(text.get(start..end).unwrap_or_default().bytes().map(|it| if it == b'\n' { '\n' } else { '*' }));
        }
    }
    out.push_str(text.get(out.len()..).unwrap_or_default());
    out
}

/// The line that `span` begins on, and as much of `span` as stands on it.
fn line_of(text: &str, span: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let start = text.floor_char_boundary(span.start);
    let (before, after) = text.split_at(start);
    let from = before.rfind('\n').map_or(0, |it| it + 1);
    let line = text.get(from..start + after.find('\n').unwrap_or(after.len())).unwrap_or_default();
    let to = from + line.trim_end_matches('\r').len();
    let from = from + line.len() - line.trim_start_matches('\u{feff}').len();
    let start = start.clamp(from.min(to), to);
    (from.min(to)..to, start..text.ceil_char_boundary(span.end).clamp(start, to))
}
