//! File names that no table name can bend.

use std::fmt::Write;

/// The file that says what a snapshot holds.
pub(super) const HEADER: &str = "snapshot.json";

const PLAIN: &str = ".ndjson";
const PACKED: &str = ".ndjson.zst";

/// How many characters of a table's name its files show.
const SLUG: usize = 40;

/// The file of part `number`, counted from 1, of the table called `table`.
///
/// The letters are for people and may be the same for two tables; the hash of the whole name is not. The hash also
/// keeps the name from being one that a system reserves, such as `con`.
pub(super) fn part(table: &str, number: usize, packed: bool) -> String {
    format!("{}.{number:04}{}", file_name(table), if packed { PACKED } else { PLAIN })
}

/// A name for files of the table called `table`.
pub fn file_name(table: &str) -> String {
    let safe = |it: char| if it.is_ascii_alphanumeric() || it == '_' { it.to_ascii_lowercase() } else { '-' };
    let slug: String = table.chars().take(SLUG).map(safe).collect();
    let slug = Some(slug.trim_matches('-')).filter(|it| !it.is_empty()).unwrap_or("table");
    let hash = blake3::hash(table.as_bytes());
    let mut name = format!("{slug}-");
    for byte in &hash.as_bytes()[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Whether a file could be one of a snapshot's, so that replacing the snapshot may remove it.
pub(super) fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(PACKED).or_else(|| name.strip_suffix(PLAIN));
    name == HEADER || stem.is_some_and(|it| it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn hostile_table_names_make_plain_file_names() {
        let long = "x".repeat(300);
        let names = [
            "users",
            "User",
            "user",
            "",
            ".",
            "..",
            "../../etc/passwd",
            "/etc/passwd",
            "a\0b",
            "CON",
            "con",
            "nul.txt",
            "a/b",
            "a\\b",
            "C:\\x",
            "é",
            "e\u{301}",
            "名前",
            " ",
            "-rf",
            "snapshot.json",
            "a\nb",
            &long,
            "public.users",
        ];
        let mut seen = HashSet::new();
        for name in names {
            for packed in [false, true] {
                let file = part(name, 1, packed);
                assert!(file.len() <= 100, "{file}");
                assert!(file.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_.".contains(&it)));
                assert!(file.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '_'), "{file}");
                assert!(is_ours(&file) && !file.contains(".."));
                assert!(seen.insert(file));
            }
        }
    }

    #[test]
    fn names_are_readable_and_never_change() {
        insta::assert_snapshot!(part("public.users", 12, true), @"public-users-37032e0ff22ccb45.0012.ndjson.zst");
    }

    #[test]
    fn only_our_names_are_ours() {
        for name in ["", ".ssh", "notes.md", "../a.ndjson", "a b.ndjson", "snapshot.json.bak", "a\u{e9}.ndjson"] {
            assert!(!is_ours(name), "{name}");
        }
        assert!(is_ours(HEADER));
    }
}
