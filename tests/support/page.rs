//! Pages whose commands are run: what they show, and whether that is what comes.
//!
//! In a block fenced as `console`, lines that begin with `$ ` are commands, what follows is their output, and `# exit 1` is the exit
//! code where it is not 0. A line `...` stands for one line or more, none of which says that something failed; `...` in a line for any
//! text; and hashes of plans do not count.

/// A command, and what a page shows of it.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
    pub(crate) exit: i32,
}

/// The blocks of a page that are fenced as `language`.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("\n```{language}\n");
    text.split(&fence).skip(1).map(|it| it.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

/// The commands of a block fenced as `console`.
pub(crate) fn examples(block: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), line.strip_prefix("# exit "), examples.last_mut()) {
            (Some(it), ..) => examples.push(Example { command: it.to_owned(), output: Vec::new(), exit: 0 }),
            (_, Some(code), Some(last)) => last.exit = code.parse().expect("an exit code"),
            (_, _, Some(last)) => last.output.push(line.trim_end().to_owned()),
            (_, _, None) => panic!("a block begins with `$ `, not with {line}"),
        }
    }
    examples
}

/// Whether `lines` are the `shown` ones.
pub(crate) fn matches(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => {
            let hidden = lines.iter().take_while(|it| !says_failure(it)).count();
            (1..=hidden).any(|it| matches(rest, &lines[it..]))
        }
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, lines)| is_shown(first, line) && matches(rest, lines))
        }
    }
}

/// What a page may not leave out.
fn says_failure(line: &str) -> bool {
    ["FAIL", "UNKNOWN", "error:", "bad "].iter().any(|it| line.trim_start().starts_with(it))
}

fn is_shown(shown: &str, line: &str) -> bool {
    let Some((start, rest)) = shown.split_once("...") else { return without_hash(shown) == without_hash(line) };
    let Some(mut line) = line.strip_prefix(start) else { return false };
    let (parts, end) = rest.rsplit_once("...").unwrap_or(("", rest));
    for part in parts.split("...") {
        let Some((_, behind)) = line.split_once(part) else { return false };
        line = behind;
    }
    line.ends_with(end)
}

/// A line without the hash of a plan, `(0123456789ab)`, at its end.
fn without_hash(line: &str) -> &str {
    let hash = |it: &str| it.len() == 12 && it.bytes().all(|it| it.is_ascii_hexdigit());
    let cut = line.strip_suffix(')').and_then(|it| it.rsplit_once('('));
    cut.filter(|it| hash(it.1)).map_or(line, |it| it.0)
}

#[test]
fn a_wrong_example_does_not_match() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (expect, text, lines) in [
        (true, "a\nb", vec!["a", "b"]),
        (true, "a\n...\nd", vec!["a", "b", "c", "d"]),
        (true, "a\n...", vec!["a", "b"]),
        (true, "a\n...\nFAIL b", vec!["a", "x", "FAIL b"]),
        (true, "by x (0123456789ab)", vec!["by x (ba9876543210)"]),
        (true, "run ... of ...: done", vec!["run 7 of x: done"]),
        (false, "run ... of ...: done", vec!["run 7 of x: gone"]),
        (false, "run ...", vec!["ran 7"]),
        (false, "by x (0123456789ab)", vec!["by y (0123456789ab)"]),
        (false, "a", vec!["a", "b"]),
        (false, "a\n...\nd", vec!["a", "b"]),
        (false, "a\n...", vec!["a"]),
        (false, "a\n...", vec!["a", "b", "  FAIL     c"]),
        (false, "a\n...\nd", vec!["a", "error: b", "d"]),
        (false, "a\nb", vec!["a", "c"]),
    ] {
        assert_eq!(matches(&shown(text), &lines), expect, "{text:?} {lines:?}");
    }
}
