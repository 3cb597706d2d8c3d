//! README.md and what stands in `docs/` are tested: their commands run or are commands that there are, their plans parse, their
//! links lead somewhere, and they mention every key of a plan, every kind of store and every exit code.
//!
//! Each block fenced as `console` is run in the repository root: lines that begin with `$ ` are commands, what follows is their
//! output, and `# exit 1` is the exit code where it is not 0. A line `...` stands for any lines, and hashes of plans do not count.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use cutover::cli::exit;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Output},
};

const BINARY: &str = env!("CARGO_BIN_EXE_cutover");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A command, and what a page shows of it.
struct Example {
    page: String,
    command: String,
    output: Vec<String>,
    exit: i32,
}

#[test]
fn commands_give_what_is_shown() {
    let examples = blocks("console").iter().flat_map(|(page, it)| examples(page, it)).collect::<Vec<_>>();
    assert!(examples.iter().any(|it| it.command.starts_with("cargo run -- verify")));
    fs::create_dir_all(Path::new(ROOT).join("target")).unwrap();
    for it in examples {
        let output = run(&it.command);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(
            matches(&it.output, &lines),
            "$ {}\ngives\n{text}\nand {} shows\n{}",
            it.command,
            it.page,
            it.output.join("\n")
        );
        assert_eq!(output.status.code(), Some(it.exit), "$ {}\n{text}", it.command);
    }
}

/// What cannot be run here, since it needs a service, is at least typed as the program wants it.
#[test]
fn other_commands_are_commands() {
    let blocks = blocks("sh").into_iter().chain(blocks("yaml"));
    let typed: Vec<String> = blocks.flat_map(|it| typed(&it.1)).collect();
    assert!(typed.len() > 10);
    let mut helps = BTreeMap::new();
    for line in typed {
        // Only `backup` has verbs of its own.
        let words = if line.starts_with("backup ") { 2 } else { 1 };
        let verb = line.split(' ').take(words).collect::<Vec<_>>().join(" ");
        let help = helps.entry(verb.clone()).or_insert_with(|| run(&format!("cutover {verb} --help")));
        let text = String::from_utf8(help.stdout.clone()).unwrap();
        assert!(help.status.success(), "cutover {line}: {text}");
        assert_eq!(unknown(&line, &text), Vec::<&str>::new(), "cutover {line}");
    }
}

#[test]
fn plans_parse() {
    let plans = blocks("toml");
    assert!(plans.len() > 4);
    for (page, text) in plans {
        let plan = whole(&text);
        if let Err(faults) = cutover::plan::parse(&plan, &page, &|_| Some("https://app.example".to_owned())) {
            panic!("{}", cutover::plan::render(&faults, &page, &plan, false));
        }
    }
}

#[test]
fn every_key_of_a_plan_is_mentioned() {
    let (text, mut names) = (pages().into_iter().map(|it| it.1).collect::<String>(), Vec::new());
    keys(&cutover::plan::json_schema(), &mut names);
    assert!(names.len() > 50);
    let words: Vec<&str> = text.split(|it: char| !it.is_alphanumeric() && !"_-".contains(it)).collect();
    let silent: Vec<_> = names.iter().filter(|it| !words.contains(&it.as_str())).collect();
    assert!(silent.is_empty(), "neither README.md nor docs/ mention {silent:?}");
}

#[test]
fn every_kind_of_store_is_told() {
    let schema = cutover::plan::json_schema();
    let kinds = schema.pointer("/properties/source/properties/kind/enum").and_then(Value::as_array).unwrap();
    assert!(kinds.len() > 10);
    for kind in kinds.iter().map(|it| it.as_str().unwrap()) {
        assert!(readme().contains(&format!("\n| `{kind}` | ")), "no line for `{kind}` in the table of README.md");
    }
}

#[test]
fn every_exit_code_is_told() {
    for code in [exit::PASS, exit::FAIL, exit::UNDECIDED, exit::INTERRUPTED] {
        assert!(readme().contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut pages = pages();
    pages.push(("ARCHITECTURE.md".to_owned(), read(Path::new("ARCHITECTURE.md"))));
    for (page, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|it| it.split_once(')')).map(|it| it.0) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { page.into() } else { Path::new(page).with_file_name(file) };
            assert!(Path::new(ROOT).join(&file).exists(), "{page}: no file {}", file.display());
            assert!(anchor.is_empty() || anchors(&read(&file)).contains(anchor), "{page}: no heading for {link}");
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

fn readme() -> String {
    read(Path::new("README.md"))
}

/// README.md and the pages of `docs/`, each with its path.
fn pages() -> Vec<(String, String)> {
    let mut names: Vec<String> = fs::read_dir(Path::new(ROOT).join("docs"))
        .unwrap()
        .map(|it| format!("docs/{}", it.unwrap().file_name().into_string().unwrap()))
        .collect();
    names.sort();
    names.insert(0, "README.md".to_owned());
    names.into_iter().map(|it| (it.clone(), read(Path::new(&it)))).collect()
}

/// What the headings of a page are called in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |it: &str| it.to_lowercase().replace(' ', "-").replace(',', "");
    text.lines().filter_map(|it| it.trim_start_matches('#').strip_prefix(' ')).map(slug).collect()
}

/// The blocks fenced as `language`, each with its page.
fn blocks(language: &str) -> Vec<(String, String)> {
    let fence = format!("\n```{language}\n");
    let of = |(page, text): (String, String)| {
        let blocks = text.split(&fence).skip(1).map(|it| it.split("\n```").next().unwrap_or_default());
        blocks.map(|it| (page.clone(), it.to_owned())).collect::<Vec<_>>()
    };
    pages().into_iter().flat_map(of).collect()
}

/// What stands behind `cutover ` in the lines of a script, without comments.
fn typed(block: &str) -> Vec<String> {
    let lines =
        block.lines().map(|it| it.trim_start().trim_start_matches("- run: ").split(" #").next().unwrap_or_default());
    let commands = lines.flat_map(|it| it.split(" && ")).filter_map(|it| it.strip_prefix("cutover "));
    commands.map(|it| it.trim_end().to_owned()).collect()
}

/// The options in a command that the help of its verb does not know.
fn unknown<'l>(line: &'l str, help: &str) -> Vec<&'l str> {
    let options = line.split(' ').filter(|it| it.starts_with("--"));
    options.filter(|it| !help.split([' ', '\n', ',']).any(|word| word == *it)).collect()
}

/// A plan made of a part of one: what is shown, and what it takes beside that.
fn whole(text: &str) -> String {
    if text.starts_with("version") {
        return text.to_owned();
    }
    let mut plan = format!("version = 1\n{text}\n");
    for side in ["source", "target"].into_iter().filter(|it| !text.contains(&format!("[{it}]"))) {
        plan.push_str(&format!("[{side}]\nkind = \"sqlite\"\npath = \"{side}.db\"\n"));
    }
    plan
}

fn examples(page: &str, block: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), line.strip_prefix("# exit "), examples.last_mut()) {
            (Some(it), ..) => {
                examples.push(Example { page: page.to_owned(), command: it.to_owned(), output: Vec::new(), exit: 0 })
            }
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
    let line = line.replace("cargo run --", "cutover");
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

#[test]
fn a_wrong_command_or_plan_is_seen() {
    let block = "cutover diff a b --key id    # c\nless x\n      - run: cutover check x && cutover verify --outptu y";
    assert_eq!(typed(block), ["diff a b --key id", "check x", "verify --outptu y"]);
    assert_eq!(unknown("verify --outptu y --limit", "  -o, --output <DIR>\n      --limit <N>"), ["--outptu"]);
    assert!(anchors("# A b, c\n#no\n").contains("a-b-c"));
    for (expect, text) in
        [(true, "[gate]\nleave = [\"a:\"]"), (false, "[gate]\nleaf = [\"a:\"]"), (false, "[target]\nkind = \"d2\"")]
    {
        assert_eq!(cutover::plan::parse(&whole(text), "a.md", &|_| None).is_ok(), expect, "{text}");
    }
}
