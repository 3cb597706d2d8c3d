//! Text in columns: widths as a terminal counts them, cuts, alignment.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escape;

/// A column is not made narrower than this to make room for the others.
const NARROW: usize = 8;

const GAP: &str = "  ";

/// Columns that the sign for what was left out takes, with its gap.
const REST: usize = 3;

/// How many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// A count with its thousands apart.
///
/// ```
/// assert_eq!(cutover::report::layout::count(1_234_567), "1,234,567");
/// ```
pub fn count(it: u64) -> String {
    let digits = it.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The beginning of a text that takes at most `most` columns, in bytes.
pub fn head(text: &str, most: usize) -> usize {
    let mut room = most;
    for (at, it) in text.char_indices() {
        match room.checked_sub(it.width().unwrap_or(0)) {
            Some(rest) => room = rest,
            None => return at,
        }
    }
    text.len()
}

/// Where the end of a text begins that takes at most `most` columns, in bytes. It does not begin with a mark that belongs
/// to the letter before.
pub fn tail(text: &str, most: usize) -> usize {
    let (mut room, mut start) = (most, text.len());
    for (at, it) in text.char_indices().rev() {
        let wide = it.width().unwrap_or(0);
        match room.checked_sub(wide) {
            Some(rest) => room = rest,
            None => return start,
        }
        if wide > 0 || at == 0 {
            start = at;
        }
    }
    start
}

/// A text that takes at most `most` columns, with `…` for what was cut off.
pub fn cut(text: &str, most: usize) -> String {
    // Marks take no column, so the number of characters has to be bounded as well.
    let end = head(text, most).min(text.char_indices().nth(most.saturating_mul(4)).map_or(text.len(), |(at, _)| at));
    if end == text.len() && width(text) <= most {
        return text.to_owned();
    }
    let end = head(&text[..end], most.saturating_sub(1));
    format!("{}…", &text[..end])
}

/// A text filled up with blanks to so many columns.
pub fn pad(text: &str, columns: usize, right: bool) -> String {
    let blanks = " ".repeat(columns.saturating_sub(width(text)));
    if right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
}

/// One line for each row, its cells below each other, those of a `right` column at their end.
///
/// The cells are taken as they are: escape them first.
///
/// ```
/// use cutover::report::layout::aligned;
///
/// let rows = [vec!["日本".to_owned(), "7".to_owned()], vec!["é".to_owned(), "1,234".to_owned()]];
/// assert_eq!(aligned(&rows, &[false, true]), ["日本      7", "é     1,234"]);
/// ```
pub fn aligned(rows: &[Vec<String>], right: &[bool]) -> Vec<String> {
    let widths = widths(rows);
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<_> =
            cells.map(|(place, (cell, &wide))| pad(cell, wide, right.get(place) == Some(&true))).collect();
        cells.join(GAP).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The same for cells from a store: escaped, and cut so that no line takes more than `most` columns.
///
/// What has no room at all is left out from the right, and `…` stands for it.
pub fn grid(rows: &[Vec<String>], right: &[bool], most: usize) -> Vec<String> {
    let mut rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| cut(&escape::message(&cut(cell, most)), most)).collect()).collect();
    let mut widths = widths(&rows);
    let all = widths.len();
    widths.truncate(most / GAP.len() + 1);
    let (cap, more) = loop {
        let more = widths.len() < all;
        let fits = |cap: &usize| total(widths.iter().map(|it| *it.min(cap))) + REST * usize::from(more) <= most;
        match (NARROW..=most.max(NARROW)).rev().find(fits) {
            Some(cap) => break (cap, more),
            None if widths.len() > 1 => drop(widths.pop()),
            None => break (most, false),
        }
    };
    for row in &mut rows {
        let more = more && row.len() > widths.len();
        row.truncate(widths.len());
        row.iter_mut().for_each(|cell| *cell = cut(cell, cap));
        row.extend(more.then(|| "…".to_owned()));
    }
    aligned(&rows, right)
}

fn total(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    widths.sum::<usize>() + gaps
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths = vec![0; rows.iter().map(Vec::len).max().unwrap_or(0)];
    for row in rows {
        for (wide, cell) in widths.iter_mut().zip(row) {
            *wide = (*wide).max(width(cell));
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|it| (*it).to_owned()).collect()).collect()
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        let check = |it, expect: &str| assert_eq!(count(it), expect);
        check(0, "0");
        check(999, "999");
        check(1000, "1,000");
        check(u64::MAX, "18,446,744,073,709,551,615");
    }

    #[test]
    fn a_cut_never_takes_more_room_than_there_is() {
        let check = |text: &str, most, expect: &str| assert_eq!(cut(text, most), expect);
        check("abc", 3, "abc");
        check("abcd", 3, "ab…");
        check("日本語", 5, "日本…");
        check("日本語", 4, "日…");
        check("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…");
        check("", 0, "");
        assert_eq!(tail("日本語", 5), 3);
        assert_eq!(tail("xe\u{301}", 1), 1);
        assert_eq!(tail("ab", 0), 2);
    }

    #[test]
    fn wide_characters_keep_the_columns_straight() {
        let lines = aligned(&rows(&[&["日本", "1"], &["🦀", "22"], &["abc", "333"]]), &[false, true]);
        assert_eq!(lines, ["日本    1", "🦀     22", "abc   333"]);
    }

    #[test]
    fn a_grid_fits_its_width() {
        let wide = rows(&[&["id", "a rather long heading", "x"], &["1", "\x1b[31m and more text to be cut", "y"]]);
        assert_eq!(grid(&wide, &[], 24), ["id  a rather long he…  x", "1   \\x1b[31m and mor…  y"]);
        let many = rows(&[&["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dd"]]);
        assert_eq!(grid(&many, &[], 26), ["aaaaaaaaa…  bbbbbbbbb…  …"]);
        assert_eq!(grid(&many, &[], 3), ["aa…"]);
        assert!(grid(&[], &[], 10).is_empty());
    }
}
