//! The house rules, as a test. Each rule is a function from a text to complaints, so each is shown to be able to fail.

#![cfg(test)]

#[path = "tidy/source.rs"]
mod source;

use source::{Source, word};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which floor each room of `src/` is on. A room uses lower floors only: not its own, not a higher one.
const FLOORS: &[(&str, u8)] = &[
    ("error", 0),
    ("disk", 1),
    ("value", 1),
    ("schema", 2),
    ("row", 3),
    ("ahead", 4),
    ("plan", 4),
    ("snapshot", 4),
    ("sort", 4),
    ("diff", 5),
    ("pairing", 5),
    ("store", 5),
    ("transform", 5),
    ("gate", 6),
    ("report", 7),
    ("run", 8),
    ("cli", 9),
    ("main", 10),
];

/// Rooms that give the same answer for the same arguments, wherever and whenever they are asked.
const PURE: &[&str] = &["error", "value", "schema", "row", "plan", "pairing", "transform", "diff", "gate"];

/// What a pure room may not touch.
const WORLD: &[&str] =
    &["std::fs", "std::net", "std::env", "std::process", "std::time::SystemTime", "std::time::Instant"];

const LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Each in two halves, so that this file keeps its own rule.
const UNFINISHED: &[(&str, &str)] =
    &[("FIX", "ME"), ("TO", "DO"), ("XX", "X"), ("db", "g!"), ("to", "do!"), ("#[ign", "ore"), ("unimpl", "emented!")];

/// Places on one machine that mean nothing on another.
const MACHINE: &[(&str, &str)] = &[("/wo", "rk/"), ("/tmp/", "wt"), ("/ro", "ot/")];

const PAPERS: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

#[test]
fn rooms_look_down_only() {
    complain(rust(&["src"]).iter().flat_map(|(path, text)| floors(path, text)));
}

#[test]
fn pure_rooms_do_not_touch_the_world() {
    complain(rust(&["src"]).iter().flat_map(|(path, text)| purity(path, text)));
}

#[test]
fn files_and_functions_are_short() {
    complain(rust(&["src", "tests", "benches"]).iter().flat_map(|(path, text)| size(path, text)));
}

#[test]
fn nothing_is_unfinished() {
    complain(rust(&["src", "tests", "benches"]).iter().flat_map(|(path, text)| unfinished(path, text)));
}

#[test]
fn tests_do_not_sleep() {
    complain(rust(&["src", "tests"]).iter().flat_map(|(path, text)| sleeps(path, text)));
}

#[test]
fn every_room_has_a_floor_and_stands_in_that_order() {
    let text = fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    complain(rooms(&text));
}

#[test]
fn every_fault_says_what_it_must_find() {
    let faults = files(Path::new("fixtures"));
    let faults = faults.iter().filter(|it| it.parent().is_some_and(|it| it.ends_with("faults")));
    complain(faults.flat_map(|it| fault(it, &fs::read_to_string(it).expect("a fault is text"))));
}

#[test]
fn the_readme_names_every_exit_code() {
    let codes = fs::read_to_string("src/cli/exit.rs").expect("src/cli/exit.rs");
    complain(exit_codes(&codes, &fs::read_to_string("README.md").unwrap_or_default()));
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    complain(dependencies(&manifest, &fs::read_to_string("ARCHITECTURE.md").unwrap_or_default()));
}

#[test]
fn every_store_is_on_the_map() {
    let architecture = fs::read_to_string("ARCHITECTURE.md").unwrap_or_default();
    let entries = fs::read_dir("src/store").expect("src/store").map(|it| it.expect("a folder can be listed").path());
    complain(entries.filter_map(|it| place(&it, &architecture)));
}

#[test]
fn no_file_names_a_machine() {
    for path in files(Path::new(".")) {
        // Whatever is not text cannot be read by anybody either.
        if let Ok(text) = fs::read_to_string(&path) {
            complain(machine(&path, &text));
        }
    }
}

#[test]
fn the_papers_are_there() {
    complain(PAPERS.iter().filter(|it| !Path::new(it).is_file()).map(|it| format!("{it} is not there")));
}

// The rules.

fn floors(path: &Path, text: &str) -> Vec<String> {
    let Some(room) = room_of(path) else { return Vec::new() };
    let Some(own) = floor(&room) else { return vec![format!("{}: `{room}` has no floor", path.display())] };
    let source = Source::new(text);
    let used = source.rooms(depth_of(path));
    let used = used.into_iter().filter(|(_, used)| *used != room && known(used));
    let up = used.filter(|(_, used)| floor(used).is_none_or(|it| own <= it));
    up.map(|(line, used)| format!("{}:{line}: `{room}` may not know `{used}`", path.display())).collect()
}

fn purity(path: &Path, text: &str) -> Vec<String> {
    let room = room_of(path).unwrap_or_default();
    if !PURE.contains(&room.as_str()) || is_test_file(path) {
        return Vec::new();
    }
    let source = Source::new(text);
    let below = |path: &str, top: &str| path.strip_prefix(top).is_some_and(|it| it.is_empty() || it.starts_with("::"));
    let touched = source.paths("std").into_iter().filter(|it| WORLD.iter().any(|top| below(&it.1, top)));
    let clocks = source.words("::now(").into_iter().map(|line| (line, "clock".to_owned()));
    let touched = touched.chain(clocks).filter(|it| !source.is_test(it.0));
    touched.map(|(line, it)| format!("{}:{line}: `{room}` is pure: no {it}", path.display())).collect()
}

fn size(path: &Path, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        out.push(format!("{}: {lines} lines > {LINES_MAX}", path.display()));
    }
    for (line, name, lines) in Source::new(text).functions() {
        if lines > FUNCTION_LINES_MAX {
            out.push(format!("{}:{line}: `{name}` has {lines} lines > {FUNCTION_LINES_MAX}", path.display()));
        }
    }
    out
}

fn unfinished(path: &Path, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.flat_map(|(at, line)| {
        let marks = UNFINISHED.iter().map(|(a, b)| format!("{a}{b}")).filter(move |it| word(line, it));
        marks.map(move |it| (at + 1, it))
    });
    found.map(|(line, it)| format!("{}:{line}: {it}", path.display())).collect()
}

fn sleeps(path: &Path, text: &str) -> Vec<String> {
    let source = Source::new(text);
    let everywhere = path.starts_with("tests") || is_test_file(path);
    let lines = source.words("sleep").into_iter().filter(|&it| everywhere || source.is_test(it));
    lines.map(|line| format!("{}:{line}: a test does not sleep, it waits for something", path.display())).collect()
}

fn rooms(lib: &str) -> Vec<String> {
    let source = Source::new(lib);
    let declared: Vec<String> = source.text().split("mod ").skip(1).map(source::identifier).collect();
    let missing = declared.iter().filter(|it| floor(it).is_none());
    let gone = FLOORS.iter().map(|it| it.0).filter(|it| *it != "main" && !declared.iter().any(|room| room == it));
    let missing = missing.map(|it| format!("`{it}` has no floor: add it to FLOORS"));
    let floors = declared.windows(2).filter_map(|it| Some((it, floor(&it[0])?, floor(&it[1])?)));
    let upside_down = floors.filter(|it| it.1 > it.2).map(|it| it.0);
    let upside_down = upside_down.map(|it| format!("src/lib.rs: `{}` stands before `{}`", it[0], it[1]));
    upside_down.chain(missing).chain(gone.map(|it| format!("`{it}` has a floor but is no module"))).collect()
}

fn fault(path: &Path, text: &str) -> Option<String> {
    let expects = text.lines().any(|it| it.trim() == "[expect]");
    (!expects).then(|| format!("{}: no [expect]", path.display()))
}

fn exit_codes(codes: &str, readme: &str) -> Vec<String> {
    let mut section = readme.split("\n#").filter(|it| {
        it.lines().next().is_some_and(|it| it.trim_start_matches('#').trim().eq_ignore_ascii_case("exit codes"))
    });
    let section = section.next().unwrap_or_default();
    let constants =
        codes.lines().filter_map(|it| it.strip_prefix("pub const ")?.strip_suffix(';')?.split_once(": u8 = "));
    let constants: Vec<_> = constants.collect();
    if constants.is_empty() {
        return vec!["no exit code is declared".to_owned()];
    }
    let silent = constants.into_iter().filter(|(_, code)| !word(section, code));
    silent.map(|(name, code)| format!("README.md: exit code {code} ({name}) is not under `Exit codes`")).collect()
}

fn dependencies(manifest: &str, architecture: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    let of = |name: &str| manifest.get(name).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    let used: BTreeSet<&str> = of("dependencies").chain(of("dev-dependencies")).map(String::as_str).collect();
    let rows =
        architecture.split("\n## Dependencies").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    let named = rows.lines().filter_map(|it| it.strip_prefix("| `")?.split(" | ").next());
    let named: BTreeSet<&str> = named.flat_map(|it| it.split("`, `")).map(|it| it.trim_end_matches('`')).collect();
    let silent = used.difference(&named).map(|it| format!("ARCHITECTURE.md: nothing says why there is `{it}`"));
    let gone = named.difference(&used).map(|it| format!("ARCHITECTURE.md: `{it}` is no dependency"));
    silent.chain(gone).collect()
}

/// A part of `src/store/` that the map does not show.
fn place(path: &Path, architecture: &str) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    let line =
        |it: &str| it.starts_with("| ") && it.split(" | ").next().is_some_and(|it| it.contains(&format!("`{name}`")));
    let known = name == "mod" || architecture.lines().any(line);
    (!known).then(|| format!("ARCHITECTURE.md: `{name}` of src/store/ is not on the map"))
}

fn machine(path: &Path, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for place in MACHINE.iter().map(|(a, b)| format!("{a}{b}")) {
            let before = |it: usize| line[..it].chars().next_back();
            // Behind a name it is part of another path, such as one of a web address.
            let starts = |it: usize| before(it).is_none_or(|it| !it.is_alphanumeric() && !"_-.}$".contains(it));
            if line.match_indices(&place).any(|it| starts(it.0)) {
                out.push(format!("{}:{}: {place}", path.display(), at + 1));
            }
        }
    }
    out
}

// Where things are.

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|it| it.0 == room).map(|it| it.1)
}

/// A room, and not one of the few names of the crate's root that are none.
fn known(name: &str) -> bool {
    floor(name).is_some()
        || Path::new("src").join(name).is_dir()
        || Path::new("src").join(name).with_extension("rs").is_file()
}

/// `src/diff/compare.rs` is in the room `diff`.
fn room_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix("src").ok()?.components().next()?.as_os_str().to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (room != "lib").then(|| room.to_owned())
}

/// How many modules are around what stands in a file: 1 for `src/diff/mod.rs`, 2 for `src/diff/compare.rs`.
fn depth_of(path: &Path) -> usize {
    let parts = path.strip_prefix("src").map_or(0, |it| it.components().count());
    if path.ends_with("mod.rs") { parts - 1 } else { parts }
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|it| it == "tests") || path.components().any(|it| it.as_os_str() == "tests")
}

fn rust(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let paths = folders.iter().flat_map(|it| files(Path::new(it)));
    let paths = paths.filter(|it| it.extension().is_some_and(|it| it == "rs"));
    paths.map(|it| (it.clone(), fs::read_to_string(it).expect("source is UTF-8"))).collect()
}

/// Every file below a folder, in order, but for what is built and what is hidden from git.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|it| it.expect("a folder can be listed").path()) {
            let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_symlink() || [".git", "target", ".env", ".env.local"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                out.insert(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
            }
        }
    }
    out.into_iter().collect()
}

fn complain(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Each rule passes what is right and sees what is wrong.
mod rules {
    use super::*;

    fn check(got: impl IntoIterator<Item = String>, expect: &[&str]) {
        let got: Vec<String> = got.into_iter().collect();
        assert_eq!(got.len(), expect.len(), "{got:?}");
        for (got, expect) in got.iter().zip(expect) {
            assert!(got.contains(expect), "{got} does not say {expect}");
        }
    }

    #[test]
    fn floors() {
        let of = |path: &str, text: &str| super::floors(Path::new(path), text);
        check(of("src/row.rs", "use crate::{error::Result, value::{Value, cast::Cast}};"), &[]);
        check(
            of("src/row.rs", "use crate::{\n    error::Result,\n    plan::{\n        Plan,\n    },\n    diff,\n};"),
            &["src/row.rs:4: `row` may not know `plan`", "src/row.rs:6: `row` may not know `diff`"],
        );
        check(of("src/diff/cells.rs", "fn f() -> crate::report::Cell { todo() }"), &["`diff` may not know `report`"]);
        check(of("src/diff/cells.rs", "use crate::pairing::Pair; use crate::diff::Tally;"), &["know `pairing`"]);
        check(of("src/plan/mod.rs", "use super::run::Run;"), &["`plan` may not know `run`"]);
        check(of("src/plan/read.rs", "use super::{super::{run::Run, value}, parse};"), &["`plan` may not know `run`"]);
        check(of("src/plan/mod.rs", "mod tests { use super::run; }"), &[]);
        check(of("src/plan/mod.rs", "mod tests { use super::super::run; }"), &["`plan` may not know `run`"]);
        check(of("src/gate.rs", "// crate::report\n/* crate::run */ const A: &str = \"crate::cli\";"), &[]);
        check(of("src/gate.rs", "const A: &str = r#\"\" crate::cli\"#; use crate::cli;"), &["know `cli`"]);
        check(of("src/attic.rs", ""), &["`attic` has no floor"]);
    }

    #[test]
    fn purity() {
        let of = |path: &str, text: &str| super::purity(Path::new(path), text);
        check(of("src/gate.rs", "use std::{fmt, io::Write};"), &[]);
        check(of("src/gate.rs", "use std::{fmt,\n fs::{self}};"), &["src/gate.rs:2: `gate` is pure: no std::fs"]);
        check(of("src/diff/mod.rs", "fn f() { std::env::args(); }"), &["no std::env"]);
        check(of("src/diff/mod.rs", "use std::time::{Duration, SystemTime};"), &["no std::time::SystemTime"]);
        check(of("src/plan/mod.rs", "struct Instant; fn f() { jiff::Timestamp::now(); }"), &["no clock"]);
        check(of("src/row.rs", "#[cfg(test)]\nmod tests {\n use std::fs;\n}"), &[]);
        check(of("src/row.rs", "#[cfg(test)]\nmod tests;\nuse std::process;"), &["src/row.rs:3"]);
        check(of("src/value/tests.rs", "use std::fs;"), &[]);
        check(of("src/store/json.rs", "use std::fs;"), &[]);
    }

    #[test]
    fn size() {
        let of = |text: &str| super::size(Path::new("src/a.rs"), text);
        let function =
            |lines: usize| format!("fn long(a: [u8; 2]) -> [u8; 2] {{\n{}}}\n", "a; // }\n".repeat(lines - 2));
        check(of(&function(70)), &[]);
        check(of(&function(71)), &["src/a.rs:1: `long` has 71 lines"]);
        check(of(&format!("impl A {{\n{}}}", function(90))), &["src/a.rs:2: `long` has 90 lines"]);
        check(of("fn a();\n"), &[]);
        check(of(&"\n".repeat(801)), &["801 lines > 800"]);
    }

    #[test]
    fn unfinished() {
        let of = |text: &str| super::unfinished(Path::new("a.rs"), text);
        check(of("let todos = 1; // nothing to do here"), &[]);
        for (a, b) in UNFINISHED {
            assert!(!of(&format!("fn a() {{}} // {a}{b} (later)")).is_empty(), "{a}{b}");
        }
    }

    #[test]
    fn sleeps() {
        let of = |path: &str, text: &str| super::sleeps(Path::new(path), text);
        check(of("tests/a.rs", "std::thread::sleep(x)"), &["tests/a.rs:1"]);
        check(
            of("src/a.rs", "std::thread::sleep(x);\n#[cfg(test)]\nmod tests {\n thread::sleep(x) }"),
            &["src/a.rs:4"],
        );
        check(of("tests/a.rs", "// sleep\nlet asleep = \"sleep\";"), &[]);
    }

    #[test]
    fn papers() {
        let all: String = FLOORS.iter().filter(|it| it.0 != "main").map(|it| format!("pub mod {};\n", it.0)).collect();
        check(rooms(&all), &[]);
        check(rooms(&format!("{all}mod attic;")), &["`attic` has no floor"]);
        check(rooms(&all.replace("pub mod gate;", "")), &["`gate` has a floor"]);
        check(rooms(&format!("pub mod cli; {}", all.replace("pub mod cli;", ""))), &["`cli` stands before `error`"]);
        check(fault(Path::new("a.toml"), "x = 1\n[expect]\n"), &[]);
        check(fault(Path::new("a.toml"), "x = 1\n# [expect]\n"), &["no [expect]"]);
        let codes = "pub const PASS: u8 = 0;\npub const INTERRUPTED: u8 = 130;\n";
        check(exit_codes(codes, "# A\n\n## Exit codes\n| 0 | pass |\n| 130 | interrupted |\n"), &[]);
        check(exit_codes(codes, "# A\n0 130\n## Exit codes\n| 0 | 1300 |\n## B\n130"), &["exit code 130"]);
        check(exit_codes("", "## Exit codes"), &["no exit code"]);
        let manifest = "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nproptest = { version = \"1\" }\n";
        let told = |rows: &str| {
            dependencies(manifest, &format!("# A\n\n## Dependencies\n| crate | why |\n{rows}\n## B\n| `c` |"))
        };
        check(told("| `proptest` | laws |\n| `serde` | JSON |"), &[]);
        check(told("| `serde`, `proptest` | both |"), &[]);
        check(told("| `serde` | not `proptest` |"), &["nothing says why there is `proptest`"]);
        check(told("| `serde`, `proptest` | |\n| `toml` | |"), &["`toml` is no dependency"]);
        check(place(Path::new("src/store/kv"), "| `kv` | Workers KV |"), &[]);
        check(place(Path::new("src/store/mod.rs"), ""), &[]);
        check(
            place(Path::new("src/store/pace.rs"), "| `kv` | its `pace` |"),
            &["`pace` of src/store/ is not on the map"],
        );
        let of = |text: String| machine(Path::new("a.md"), &text);
        for (a, b) in MACHINE {
            check(of(format!("see\n`{a}{b}x`")), &["a.md:2"]);
            check(of(format!("https://example.com{a}{b}x")), &[]);
        }
    }
}
