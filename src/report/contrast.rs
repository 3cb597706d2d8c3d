//! Two values beside each other: where they differ, what to leave out of long ones, and characters that look alike.

use similar::{DiffTag, TextDiff};
use unicode_width::UnicodeWidthChar;

use super::{Cell, cell, escape, layout};

/// Middles longer than this together are shown as changed throughout, in bytes.
const COMPARED_MAX: usize = 4 << 10;

/// Texts that have less in common than this are shown as changed throughout.
const ALIKE_MIN: f32 = 0.4;

/// Columns that the note of what was left out may take.
const NOTE: usize = 20;

/// Only so few characters are told by their code points.
const POINTS_MAX: usize = 6;

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) text: String,
    pub(super) changed: bool,
}

/// What follows text that both have.
struct Hunk<'a> {
    same: &'a str,
    source: &'a str,
    target: &'a str,
}

/// A value on one line, everything escaped, in quotes only where it could be taken for something else.
pub fn show(it: &Cell) -> String {
    match it.class {
        "null" => "NULL".to_owned(),
        "json" => escape::message(&it.json),
        "text" => {
            let text = plain(it);
            let shown = escape::value(&text);
            if needs_quotes(&text) { format!("'{shown}'") } else { shown }
        }
        _ => escape::message(&plain(it)),
    }
}

/// The text of a cell: what its JSON string says, or its JSON.
fn plain(it: &Cell) -> String {
    serde_json::from_str(&it.json).unwrap_or_else(|_| it.json.clone())
}

fn needs_quotes(text: &str) -> bool {
    let words = ["null", "<null>", "(null)", "nil", "none", "true", "false", "..."];
    text.is_empty()
        || text.trim() != text
        || text.contains("  ")
        || text.contains(['→', '…'])
        || text.starts_with(['\'', '"', '{', '[', '*'])
        || text.parse::<f64>().is_ok()
        || words.iter().any(|it| it.eq_ignore_ascii_case(text))
}

/// Both sides in parts, each cut to at most `most` columns around what differs.
pub(super) fn segments(source: &str, target: &str, most: usize) -> (Vec<Segment>, Vec<Segment>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for it in hunks(source, target) {
        for (side, text) in [(&mut left, it.source), (&mut right, it.target)] {
            push(side, it.same, false);
            push(side, text, true);
        }
    }
    (window(left, most), window(right, most))
}

/// What a reader may not see in the two values as they are shown: other classes, other code points.
pub(super) fn unseen(source: &Cell, target: &Cell) -> Option<String> {
    let (left, right) = (plain(source), plain(target));
    let null = source.class == "null" || target.class == "null";
    if source.class != target.class {
        return (!null && source.class != cell::MASKED).then(|| format!("{} → {}", source.class, target.class));
    }
    if !matches!(source.class, "text" | "json") {
        return None;
    }
    let mut pairs = Vec::new();
    for it in hunks(&left, &right) {
        if is_doubtful(it.source, it.target) {
            let pair = format!("{} → {}", points(it.source), points(it.target));
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    pairs.truncate(3);
    (!pairs.is_empty()).then(|| pairs.join(", "))
}

fn is_doubtful(source: &str, target: &str) -> bool {
    let short = |it: &str| it.chars().nth(POINTS_MAX).is_none();
    let same_shape = |it: char| "1lI|".contains(it) || "O0".contains(it);
    // Ideographs are told apart by looking at them, but for the ranges that repeat others for compatibility.
    let seen = |it: char| {
        it.is_ascii_graphic() && !same_shape(it)
            || it.width() == Some(2) && !matches!(it, '\u{3000}' | '\u{2e80}'..='\u{2fdf}' | '\u{f900}'..='\u{faff}')
    };
    let all_ascii = source.chars().chain(target.chars()).all(|it| it.is_ascii_graphic());
    let shapes = all_ascii && source.chars().chain(target.chars()).all(same_shape);
    // What is gone or new as a whole is plain to see, unless nothing of it is.
    let blank = |it: char| it.is_whitespace() || it.is_control() || it.width().unwrap_or(0) == 0;
    if source.is_empty() || target.is_empty() {
        let one = if source.is_empty() { target } else { source };
        return !one.is_empty() && short(one) && one.chars().all(blank);
    }
    short(source) && short(target) && (shapes || !all_ascii && !source.chars().chain(target.chars()).all(seen))
}

fn points(text: &str) -> String {
    let one = |it: char| {
        let name = match it {
            '\t' => " tab",
            '\n' => " line feed",
            '\r' => " carriage return",
            ' ' => " space",
            '\u{a0}' => " no-break space",
            '\u{ad}' => " soft hyphen",
            '\u{200b}' => " zero-width space",
            '\u{200c}' => " zero-width non-joiner",
            '\u{200d}' => " zero-width joiner",
            '\u{feff}' => " byte order mark",
            _ => "",
        };
        format!("U+{:04X}{name}", u32::from(it))
    };
    let all: Vec<_> = text.chars().map(one).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" ") }
}

fn hunks<'a>(source: &'a str, target: &'a str) -> Vec<Hunk<'a>> {
    let (first, last) = ends(source, target);
    let (left, right) = (&source[first..source.len() - last], &target[first..target.len() - last]);
    let mut hunks = vec![Hunk { same: &source[..first], source: left, target: right }];
    if !left.is_empty() && !right.is_empty() && left.len() + right.len() <= COMPARED_MAX {
        let diff = TextDiff::from_unicode_words(left, right);
        if diff.ratio() >= ALIKE_MIN {
            hunks = inner(&diff, &source[..first], left, right);
        }
    }
    hunks.push(Hunk { same: &source[source.len() - last..], source: "", target: "" });
    hunks
}

/// The hunks between two texts by their words; `before` is what both have in front of them.
fn inner<'a>(diff: &TextDiff<'_, '_, str>, before: &'a str, left: &'a str, right: &'a str) -> Vec<Hunk<'a>> {
    let length = |words: &mut dyn Iterator<Item = usize>| words.sum::<usize>();
    let (mut from, mut to) = (0, 0);
    let mut hunks = vec![Hunk { same: before, source: "", target: "" }];
    for step in diff.ops() {
        let (old, new) = (step.old_range(), step.new_range());
        let old = from + length(&mut old.filter_map(|it| diff.old_slice(it)).map(str::len));
        let new = to + length(&mut new.filter_map(|it| diff.new_slice(it)).map(str::len));
        let (was, is) = (&left[from..old], &right[to..new]);
        (from, to) = (old, new);
        if step.tag() == DiffTag::Equal {
            hunks.push(Hunk { same: was, source: "", target: "" });
            continue;
        }
        let (first, last) = ends(was, is);
        let end = was.len() - last;
        hunks.push(Hunk { same: &was[..first], source: &was[first..end], target: &is[first..is.len() - last] });
        hunks.push(Hunk { same: &was[end..], source: "", target: "" });
    }
    hunks
}

/// How many bytes both begin and end with, without tearing a mark from its letter.
fn ends(source: &str, target: &str) -> (usize, usize) {
    let is_mark = |it: &str| it.chars().next().is_some_and(|it| it.width() == Some(0));
    let same = source.chars().zip(target.chars()).take_while(|(left, right)| left == right);
    let mut first = same.map(|(it, _)| it.len_utf8()).sum();
    while first > 0 && (is_mark(&source[first..]) || is_mark(&target[first..])) {
        first -= source[..first].chars().next_back().map_or(first, char::len_utf8);
    }
    let (left, right) = (&source[first..], &target[first..]);
    let same = left.chars().rev().zip(right.chars().rev()).take_while(|(left, right)| left == right);
    let mut last: usize = same.map(|(it, _)| it.len_utf8()).sum();
    while is_mark(&left[left.len() - last..]) {
        last -= left[left.len() - last..].chars().next().map_or(last, char::len_utf8);
    }
    (first, last)
}

/// Neighbours of one kind become one.
fn push(segments: &mut Vec<Segment>, text: &str, changed: bool) {
    match segments.last_mut() {
        _ if text.is_empty() => {}
        Some(last) if last.changed == changed => last.text.push_str(text),
        _ => segments.push(Segment { text: text.to_owned(), changed }),
    }
}

/// The segments in at most `most` columns: what is far from a change goes first, then the middle of long changes, then
/// more of both, and at last whatever is at the end.
fn window(whole: Vec<Segment>, most: usize) -> Vec<Segment> {
    let fits = |all: &[Segment]| all.iter().map(|it| layout::width(&it.text)).sum::<usize>() <= most;
    if fits(&whole) {
        return whole;
    }
    let last = whole.len() - 1;
    let each = most.saturating_sub(NOTE) / 2 / whole.len();
    let mut segments = Vec::new();
    for (around, changes) in [(20, usize::MAX), (20, each.max(20)), (10, each.max(10)), (4, each.max(4))] {
        let short = |(place, it): (usize, &Segment)| {
            let (before, after) = match it.changed {
                true => (changes, changes),
                false => (if place == 0 { 0 } else { around }, if place == last { 0 } else { around }),
            };
            Segment { text: shortened(&it.text, before, after), changed: it.changed }
        };
        segments = whole.iter().enumerate().map(short).collect();
        if fits(&segments) {
            return segments;
        }
    }
    let mut room = most;
    for it in &mut segments {
        it.text = layout::cut(&it.text, room);
        room -= layout::width(&it.text).min(room);
    }
    segments.retain(|it| !it.text.is_empty());
    segments
}

/// A text without its middle, with the number of characters that were left out, where that makes it shorter.
fn shortened(text: &str, before: usize, after: usize) -> String {
    let (first, last) = (layout::head(text, before), layout::tail(text, after));
    if first >= last {
        return text.to_owned();
    }
    let left_out = text[first..last].chars().count() as u64;
    let short = format!("{}…({} chars)…{}", &text[..first], layout::count(left_out), &text[last..]);
    if layout::width(&short) < layout::width(text) { short } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(segments: &[Segment]) -> String {
        segments.iter().map(|it| if it.changed { format!("[{}]", it.text) } else { it.text.clone() }).collect()
    }

    fn of(class: &'static str, json: &str) -> Cell {
        Cell { class, json: json.to_owned() }
    }

    #[test]
    fn values_are_quoted_only_where_they_could_mislead() {
        let check = |class, json: &str, expect: &str| assert_eq!(show(&of(class, json)), expect);
        check("null", "null", "NULL");
        check("text", r#""""#, "''");
        check("text", r#""NULL""#, "'NULL'");
        check("text", r#""<null>""#, "'<null>'");
        check("text", r#""5""#, "'5'");
        check("text", r#"" a""#, "' a'");
        check("text", r#""plain text""#, "plain text");
        check("text", r#""a\nb""#, "a\\nb");
        check("int", "5", "5");
        check("int", r#""9007199254740993""#, "9007199254740993");
        check("real", r#""NaN""#, "NaN");
        check("date", r#""2024-01-01""#, "2024-01-01");
        check("malformed", r#""a\\\\\\xff""#, "a\\\\\\xff");
        check("json", r#"{"a":"b\n"}"#, r#"{"a":"b\n"}"#);
        check("masked", cell::MASK, "********");
    }

    #[test]
    fn only_what_differs_is_marked() {
        let check = |source, target, left: &str, right: &str| {
            let (source, target) = segments(source, target, 200);
            assert_eq!((marked(&source).as_str(), marked(&target).as_str()), (left, right));
        };
        check("https://a", "https://b", "https://[a]", "https://[b]");
        check("abc", "abc", "abc", "abc");
        check("ab", "abc", "ab", "ab[c]");
        check("", "x", "", "[x]");
        check("cafe\u{301}s", "caf\u{e9}s", "caf[e\u{301}]s", "caf[\u{e9}]s");
        check("cafe", "cafe\u{301}", "caf[e]", "caf[e\u{301}]");
        let (left, right) = ("the [quick] brown fox [jum]ps over", "the [slow] brown fox [lea]ps over");
        check("the quick brown fox jumps over", "the slow brown fox leaps over", left, right);
        check("alpha beta", "gamma-7", "[alpha beta]", "[gamma-7]");
    }

    #[test]
    fn long_values_are_cut_around_the_change() {
        let text = |middle: &str| format!("{}{middle}{}", "a".repeat(1500), "b".repeat(300));
        let (left, right) = segments(&text("x"), &text("yy"), 90);
        let (a, b) = ("a".repeat(20), "b".repeat(20));
        assert_eq!(marked(&left), format!("…(1,480 chars)…{a}[x]{b}…(280 chars)…"));
        assert_eq!(marked(&right), format!("…(1,480 chars)…{a}[yy]{b}…(280 chars)…"));
        let (left, _) = segments(&"x".repeat(5000), "y", 80);
        assert_eq!(marked(&left), format!("[{0}…(4,940 chars)…{0}]", "x".repeat(30)));
    }

    #[test]
    fn look_alikes_are_told_apart() {
        let check = |source: (&'static str, &str), target: (&'static str, &str), expect: Option<&str>| {
            let unseen = unseen(&of(source.0, source.1), &of(target.0, target.1));
            assert_eq!(unseen.as_deref(), expect);
        };
        let text = |it: &'static str| ("text", it);
        check(text("\"e\u{301}\""), text("\"\u{e9}\""), Some("U+0065 U+0301 → U+00E9"));
        check(text("\"p\u{430}ypal\""), text("\"paypal\""), Some("U+0430 → U+0061"));
        check(text("\"a b\""), text("\"a\u{a0}b\""), Some("U+0020 space → U+00A0 no-break space"));
        check(text("\"a\""), text("\"a \""), Some("nothing → U+0020 space"));
        check(text("\"a\u{200b}\""), text("\"a\""), Some("U+200B zero-width space → nothing"));
        check(text("\"I\""), text("\"l\""), Some("U+0049 → U+006C"));
        check(text("\"日\""), text("\"月\""), None);
        check(text("\"a\""), text("\"b\""), None);
        check(text("\"5\""), ("int", "5"), Some("text → int"));
        check(("null", "null"), text("\"\""), None);
        check(("int", "1"), ("int", "0"), None);
        check(("masked", cell::MASK), ("masked", cell::OTHER_MASK), None);
    }

    proptest! {
        #[test]
        fn segments_join_to_the_whole(source in "[abe\u{301}日 .]{0,20}", target in "[abe\u{301}日 .]{0,20}") {
            let (left, right) = segments(&source, &target, 1000);
            let join = |all: &[Segment]| all.iter().map(|it| it.text.as_str()).collect::<String>();
            prop_assert_eq!(join(&left), source.as_str());
            prop_assert_eq!(join(&right), target.as_str());
            let same = |all: &[Segment]| -> String {
                all.iter().filter(|it| !it.changed).map(|it| it.text.as_str()).collect()
            };
            prop_assert_eq!(same(&left), same(&right));
        }

        #[test]
        fn a_window_is_never_too_wide(source in "\\PC{0,300}", target in "\\PC{0,300}", most in 1usize..120) {
            let (left, right) = segments(&source, &target, most);
            for side in [left, right] {
                prop_assert!(layout::width(&marked(&side).replace(['[', ']'], "")) <= most + 2);
            }
        }
    }
}
