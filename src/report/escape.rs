//! Text from stores made harmless for a terminal, a log and a pipeline that reads either.
//!
//! Nothing that was shown can move the cursor, reverse the text, vanish, or be taken for a command by a CI runner:
//! `::name::` at the start of a line after any blanks, `##[name]`, `##vso[name]` and `##teamcity[name]` anywhere in it.

use unicode_width::UnicodeWidthChar;

/// More marks than this on one letter are written out, because they pile up over the lines above.
const MARKS: usize = 3;

/// A message or a name with everything escaped that does not show as what it is. Backslashes stay single.
pub fn message(text: &str) -> String {
    escape(text, false)
}

/// A value in which an escape and the same characters spelt out can be told apart, because its backslashes are doubled.
pub fn value(text: &str) -> String {
    escape(text, true)
}

fn escape(text: &str, double: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = MARKS;
    for (at, it) in text.char_indices() {
        let mark = it.width() == Some(0);
        marks = if mark { marks + 1 } else { 0 };
        match it {
            '\\' if double => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => out.push_str(&format!("\\x{:02x}", u32::from(it))),
            '#' if is_command(&text[at..]) => out.push_str("\\x23"),
            ':' if out.trim_start_matches(' ').is_empty() => out.push_str("\\x3a"),
            _ if is_invisible(it) || mark && marks > MARKS => out.push_str(&it.escape_unicode().to_string()),
            _ => out.push(it),
        }
    }
    out
}

/// Whether a command of a CI runner begins here, such as `##vso[` or `##[`.
fn is_command(text: &str) -> bool {
    text.strip_prefix("##")
        .is_some_and(|it| it.trim_start_matches(|it: char| it.is_ascii_alphabetic()).starts_with('['))
}

/// Whether a character leaves no trace, is a blank other than the usual one, or turns the direction of what follows.
pub fn is_invisible(it: char) -> bool {
    it != ' ' && (it.is_control() || it.is_whitespace())
        || matches!(it,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{10ffff}')
}

/// JSON text in which the same characters are escaped as JSON does it, so that it means the same.
///
/// None of them can stand outside a string.
pub fn json(text: &str, out: &mut String) {
    for (at, it) in text.char_indices() {
        if it == '#' && is_command(&text[at..]) || !it.is_ascii() && is_invisible(it) || it == '\x7f' {
            for unit in it.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(it);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_written_out() {
        let check = |text: &str, expect: &str| assert_eq!(value(text), expect, "{text:?}");
        check("plain, é, 日本, 🦀", "plain, é, 日本, 🦀");
        check("\x1b[31m\r\n\t\0\x7f", "\\x1b[31m\\r\\n\\t\\x00\\x7f");
        check("\u{9b}31m", "\\x9b31m");
        check("a\u{202e}b\u{200b}\u{a0}\u{feff}", "a\\u{202e}b\\u{200b}\\u{a0}\\u{feff}");
        check("C:\\x1b", "C:\\\\x1b");
        check("e\u{301}", "e\u{301}");
        check("\u{301}e", "\\u{301}e");
        check("e\u{301}\u{301}\u{301}\u{301}", "e\u{301}\u{301}\u{301}\\u{301}");
        assert_eq!(message("C:\\x1b"), "C:\\x1b");
    }

    #[test]
    fn commands_of_pipelines_are_broken_up() {
        let check = |text: &str, expect: &str| assert_eq!(message(text), expect, "{text:?}");
        check("::error::x", "\\x3a:error::x");
        check("  ::error::x", "  \\x3a:error::x");
        check(":", "\\x3a");
        check("a::b", "a::b");
        check("see ##vso[task.complete]", "see \\x23#vso[task.complete]");
        check("###[group]", "#\\x23#[group]");
        check("## Title", "## Title");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = r#"{"a":"\u0001 ##vso[x] é"}"#.replace('é', "é\u{9b}\u{202e}\u{e0041}\x7f");
        let mut out = String::new();
        json(&text, &mut out);
        assert_eq!(out, "{\"a\":\"\\u0001 \\u0023#vso[x] é\\u009b\\u202e\\udb40\\udc41\\u007f\"}");
        let parse = |it: &str| serde_json::from_str::<serde_json::Value>(it).unwrap();
        assert_eq!(parse(&out), parse(&text));
    }
}
