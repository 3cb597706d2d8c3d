//! README.md is tested: its commands run, its plans parse, and it mentions every key of a plan and every exit code.
//!
//! Each block fenced as `console` is run in the repository root: lines that begin with `$ ` are commands, what follows is their
//! output, and `# exit 1` is the exit code where it is not 0. A line `...` stands for any lines, and hashes of plans do not count.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use cutover::cli::exit;
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const BINARY: &str = env!("CARGO_BIN_EXE_cutover");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A command, and what the README shows of it.
struct Example {
    command: String,
    output: Vec<String>,
    exit: i32,
}

#[test]
fn commands_give_what_is_shown() {
    let examples = blocks("console").iter().flat_map(|it| examples(it)).collect::<Vec<_>>();
    assert!(examples.iter().any(|it| it.command.starts_with("cargo run --release -- verify")));
    fs::create_dir_all(Path::new(ROOT).join("target")).unwrap();
    for it in examples {
        let output = run(&it.command);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(
            matches(&it.output, &lines),
            "$ {}\ngives\n{text}\nand README.md shows\n{}",
            it.command,
            it.output.join("\n")
        );
        assert_eq!(output.status.code(), Some(it.exit), "$ {}\n{text}", it.command);
    }
}

#[test]
fn plans_parse() {
    let plans = blocks("toml");
    assert!(!plans.is_empty());
    for text in plans.iter().filter(|it| it.starts_with("version")) {
        if let Err(faults) = cutover::plan::parse(text, "README.md", &|_| None) {
            panic!("{}", cutover::plan::render(&faults, "README.md", text, false));
        }
    }
}

#[test]
fn every_key_of_a_plan_is_mentioned() {
    let (text, mut names) = (readme(), Vec::new());
    keys(&cutover::plan::json_schema(), &mut names);
    assert!(names.len() > 50);
    let words: Vec<&str> = text.split(|it: char| !it.is_alphanumeric() && !"_-".contains(it)).collect();
    let silent: Vec<_> = names.iter().filter(|it| !words.contains(&it.as_str())).collect();
    assert!(silent.is_empty(), "README.md does not mention {silent:?}");
}

#[test]
fn every_exit_code_is_told() {
    for code in [exit::PASS, exit::FAIL, exit::UNDECIDED, exit::INTERRUPTED] {
        assert!(readme().contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn links_lead_somewhere() {
    let text = readme();
    let slug = |it: &str| it.to_lowercase().replace(' ', "-").replace(',', "");
    let anchors: Vec<String> =
        text.lines().filter_map(|it| it.trim_start_matches('#').strip_prefix(' ')).map(slug).collect();
    for link in text.split("](").skip(1).filter_map(|it| it.split_once(')')).map(|it| it.0) {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(anchors.iter().any(|it| it == anchor), "no heading for #{anchor}"),
            None => assert!(Path::new(ROOT).join(link).exists(), "no file {link}"),
        }
    }
}

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

/// The blocks fenced as `language`.
fn blocks(language: &str) -> Vec<String> {
    let (text, fence) = (readme(), format!("\n```{language}\n"));
    text.split(&fence).skip(1).map(|it| it.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

fn examples(block: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), line.strip_prefix("# exit "), examples.last_mut()) {
            (Some(it), ..) => examples.push(Example { command: it.to_owned(), output: Vec::new(), exit: 0 }),
            (_, Some(code), Some(last)) => last.exit = code.parse().unwrap(),
            (_, _, Some(last)) => last.output.push(line.trim_end().to_owned()),
            (_, _, None) => panic!("a block begins with `$ `, not with {line}"),
        }
    }
    examples
}

/// Runs a line in a shell, with the binary that was built for this test, and both streams in one.
fn run(line: &str) -> Output {
    let folder = Path::new(BINARY).parent().unwrap();
    let line = line.replace("cargo run --release --", "cutover");
    let script = format!("exec 2>&1\nPATH=\"$FOLDER:$PATH\"\n{line}");
    Command::new("sh").args(["-c", &script]).current_dir(ROOT).env("FOLDER", folder).output().unwrap()
}

/// Whether `lines` are the `shown` ones, where `...` stands for any number of lines.
fn matches(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => (0..=lines.len()).any(|it| matches(rest, &lines[it..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| without_hash(line) == without_hash(first) && matches(rest, lines)),
    }
}

/// A line without the hash of a plan, `(0123456789ab)`, at its end.
fn without_hash(line: &str) -> &str {
    let hash = |it: &str| it.len() == 12 && it.bytes().all(|it| it.is_ascii_hexdigit());
    let cut = line.strip_suffix(')').and_then(|it| it.rsplit_once('('));
    cut.filter(|it| hash(it.1)).map_or(line, |it| it.0)
}

/// The names of all properties in a JSON Schema.
fn keys(schema: &Value, names: &mut Vec<String>) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        names.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(members) => members.values().for_each(|it| keys(it, names)),
        Value::Array(items) => items.iter().for_each(|it| keys(it, names)),
        _ => {}
    }
}

#[test]
fn a_wrong_example_does_not_match() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (expect, text, lines) in [
        (true, "a\nb", vec!["a", "b"]),
        (true, "a\n...\nd", vec!["a", "b", "c", "d"]),
        (true, "a\n...", vec!["a"]),
        (true, "by x (0123456789ab)", vec!["by x (ba9876543210)"]),
        (false, "by x (0123456789ab)", vec!["by y (0123456789ab)"]),
        (false, "a", vec!["a", "b"]),
        (false, "a\n...\nd", vec!["a", "b"]),
        (false, "a\nb", vec!["a", "c"]),
    ] {
        assert_eq!(matches(&shown(text), &lines), expect, "{text:?} {lines:?}");
    }
}
