//! README.md and what stands in `docs/` are tested: their commands run or are commands that there are, their plans parse, their
//! links lead somewhere, and they mention every key of a plan, every kind of store and every exit code.
//!
//! Each block fenced as `console` is run in the repository root, as `support/page.rs` says. Those of `docs/guides/` need live stores:
//! they are run by `tests/live/followed.rs`. What is fenced as `sh` is run by `tests/live/typed.rs`, and parsed here, as are workflows:
//! its words are those of a command that there is.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/page.rs"]
mod page;

use cutover::cli::exit;
use page::{Example, examples, matches};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

const BINARY: &str = env!("CARGO_BIN_EXE_cutover");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Where the pages are that are followed with live stores.
const GUIDES: &str = "docs/guides/";

#[test]
fn commands_give_what_is_shown() {
    let here = blocks("console").into_iter().filter(|it| !it.0.starts_with(GUIDES));
    let examples: Vec<(String, Example)> =
        here.flat_map(|(page, it)| examples(&it).into_iter().map(move |it| (page.clone(), it))).collect();
    assert!(examples.iter().any(|it| it.1.command.starts_with("cargo run -- verify")));
    fs::create_dir_all(Path::new(ROOT).join("target")).unwrap();
    for (page, it) in examples {
        let output = run(&it.command);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(
            matches(&it.output, &lines),
            "$ {}\ngives\n{text}\nand {} shows\n{}",
            it.command,
            page,
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
    for line in typed {
        let words = words(&format!("cutover {line}"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(cutover::cli::parse(&words).map_err(|it| it.to_string()), Ok(()), "cutover {line}");
    }
}

/// What docs/migrate.md types works, each line after a migration and with the ids of its run and its backup.
#[test]
fn what_is_typed_about_migrations_works() {
    let lines: Vec<String> =
        blocks("sh").iter().filter(|it| it.0 == "docs/migrate.md").flat_map(|it| typed(&it.1)).collect();
    assert!(lines.len() > 15, "{lines:?}");
    for line in lines {
        let home = migrated();
        let ids = |folder: &str| {
            let mut all = fs::read_dir(home.path().join(".cutover").join(folder)).unwrap();
            all.next().unwrap().unwrap().file_name().into_string().unwrap()
        };
        let (run, backup) = (ids("runs"), ids("backups"));
        let line = line.replace("--run 2026-01-18T09-30-00Z", &format!("--run {run}"));
        let line = line.replace("2026-01-18T09-30-01Z", &backup).replace("2026-01-18T09-30-00Z", &backup);
        let output = shell(&format!("cutover {line}"), home.path());
        assert!(output.status.success(), "$ cutover {line}\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A folder with a plan that was carried out.
fn migrated() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let tables = "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, product_id INTEGER REFERENCES products (id));";
    fs::write(home.path().join("schema.sql"), tables).unwrap();
    let source = rusqlite::Connection::open(home.path().join("source.db")).unwrap();
    source
        .execute_batch(&format!("{tables} INSERT INTO products VALUES (1, 'mug'); INSERT INTO orders VALUES (7, 1);"))
        .unwrap();
    let plan = "version = 1\nsource = { kind = 'sqlite', path = 'source.db' }\n\
        target = { kind = 'sqlite', path = 'target.db', schema = 'schema.sql' }\n\
        table = [{ into = 'products' }, { into = 'orders' }]\n";
    fs::write(home.path().join("cutover.toml"), plan).unwrap();
    let output = shell("cutover migrate", home.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    home
}

#[test]
fn plans_parse() {
    let plans = blocks("toml");
    assert!(plans.len() > 4);
    let variable = |name: &str| match name {
        "FIELD_KEY" => Some("0f".repeat(32)),
        _ => Some("https://app.example".to_owned()),
    };
    for (page, text) in plans {
        let plan = whole(&text);
        if let Err(faults) = cutover::plan::parse(&plan, &page, &variable) {
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
fn every_guide_has_its_checklists() {
    let guides: Vec<(String, String)> = pages().into_iter().filter(|it| it.0.starts_with(GUIDES)).collect();
    assert_eq!(guides.len(), 5);
    for (page, text) in guides {
        let part = |heading: &str| {
            let behind = text.split_once(&format!("\n## {heading}\n")).map(|it| it.1);
            behind.and_then(|it| it.split("\n## ").next()).unwrap_or_else(|| panic!("{page}: no part `{heading}`"))
        };
        let parts = ["What you need", "Dry run", "See it fail", "Roll back", "The guide's steps, here"];
        for heading in parts.into_iter().chain(["What the guide gets wrong", "Your own data"]) {
            assert!(part(heading).lines().count() > 3, "{page}: {heading}");
        }
        let boxes = part("Before and after the cut-over").lines().filter(|it| it.starts_with("- [ ] ")).count();
        assert!(boxes > 5, "{page}: {boxes}");
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

/// README.md and the pages of `docs/` and below, each with its path.
fn pages() -> Vec<(String, String)> {
    let names = |folder: &str| {
        let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
        let names = entries.map(|it| format!("{folder}{}", it.unwrap().file_name().into_string().unwrap()));
        names.filter(|it| it.ends_with(".md")).collect::<Vec<_>>()
    };
    let mut names = [names("docs/"), names(GUIDES)].concat();
    names.sort();
    names.insert(0, "README.md".to_owned());
    names.into_iter().map(|it| (it.clone(), read(Path::new(&it)))).collect()
}

/// What the headings of a page are called in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let kept = |it: &char| it.is_alphanumeric() || " -_".contains(*it);
    let slug = |it: &str| it.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    text.lines().filter_map(|it| it.trim_start_matches('#').strip_prefix(' ')).map(slug).collect()
}

/// The blocks fenced as `language`, each with its page.
fn blocks(language: &str) -> Vec<(String, String)> {
    let of = |(page, text): (String, String)| {
        page::blocks(&text, language).into_iter().map(|it| (page.clone(), it)).collect::<Vec<_>>()
    };
    pages().into_iter().flat_map(of).collect()
}

/// What stands behind `cutover ` in the lines of a script, without comments and without where its output goes.
fn typed(block: &str) -> Vec<String> {
    let lines =
        block.lines().map(|it| it.trim_start().trim_start_matches("- run: ").split(" #").next().unwrap_or_default());
    let commands = lines.flat_map(|it| it.split(" && ")).filter_map(|it| it.strip_prefix("cutover "));
    commands.map(|it| it.split(['>', '|']).next().unwrap_or_default().trim_end().to_owned()).collect()
}

/// The words of a command, as a shell cuts it.
fn words(line: &str) -> Vec<String> {
    let output = shell(&format!("printf '%s\\n' {line}"), Path::new(ROOT));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
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

/// Runs a line in the repository root.
fn run(line: &str) -> Output {
    shell(&line.replace("cargo run --", "cutover"), Path::new(ROOT))
}

/// Runs a line in a shell, with the binary that was built for this test, and both streams in one.
fn shell(line: &str, home: &Path) -> Output {
    let folder = Path::new(BINARY).parent().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1\nPATH=\"$FOLDER:$PATH\"\n{line}")]).current_dir(home);
    shell.env("FOLDER", folder).env("CUTOVER_PASSPHRASE", "of the tests").output().unwrap()
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
fn a_wrong_command_or_plan_is_seen() {
    let block =
        "cutover diff a b --key id    # c\nless x\n      - run: cutover check x && cutover verify --outptu y > z";
    assert_eq!(typed(block), ["diff a b --key id", "check x", "verify --outptu y"]);
    assert_eq!(words("cutover show 'a b' c"), ["cutover", "show", "a b", "c"]);
    for (expect, line) in
        [(true, "verify --output y"), (false, "verify --outptu y"), (false, "verfy"), (false, "diff a")]
    {
        let words: Vec<&str> = ["cutover"].into_iter().chain(line.split(' ')).collect();
        assert_eq!(cutover::cli::parse(&words).is_ok(), expect, "{line}");
    }
    assert!(anchors("# A b's, c\n#no\n").contains("a-bs-c"));
    for (expect, text) in
        [(true, "[gate]\nleave = [\"a:\"]"), (false, "[gate]\nleaf = [\"a:\"]"), (false, "[target]\nkind = \"d2\"")]
    {
        assert_eq!(cutover::plan::parse(&whole(text), "a.md", &|_| None).is_ok(), expect, "{text}");
    }
}
