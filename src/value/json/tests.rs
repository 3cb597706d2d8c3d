use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;

fn canon(text: &str) -> Result<String, Fault> {
    let mut out = b"kept".to_vec();
    let done = canonical(text, &mut out);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("kept").unwrap();
    assert!(done.is_ok() || text.is_empty(), "{text} is left of a faulty document");
    done.map(|()| text.to_owned())
}

#[track_caller]
fn check(input: &str, expect: &str) {
    assert_eq!(canon(input).as_deref(), Ok(expect), "{input}");
}

#[track_caller]
fn check_fault(input: &str, offset: usize, what: &str) {
    let fault = canon(input).unwrap_err();
    assert_eq!((fault.offset, fault.what), (offset, what), "{input}");
}

#[test]
fn the_vectors_hold() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../fixtures/values/json.json")).unwrap();
    for vector in vectors.as_array().unwrap() {
        let input = vector["input"].as_str().unwrap();
        assert_eq!(canon(input).ok().as_deref(), vector["canonical"].as_str(), "{input}");
    }
}

#[test]
fn members_move_with_all_they_hold() {
    check(
        r#"{"b":{"d":1,"c":[{"f":2,"e":3}]},"a":{"h":4,"g":5}}"#,
        r#"{"a":{"g":5,"h":4},"b":{"c":[{"e":3,"f":2}],"d":1}}"#,
    );
    check(r#"[{"b":1,"a":2},{"b":{},"a":[]},7]"#, r#"[{"a":2,"b":1},{"a":[],"b":{}},7]"#);
    check(r#"{"a":{"z":1,"y":2},"b":0}"#, r#"{"a":{"y":2,"z":1},"b":0}"#);
}

#[test]
fn a_fault_names_its_place() {
    for (input, offset, what) in [
        ("", 0, "unexpected end"),
        (" ", 1, "unexpected end"),
        ("\u{feff}1", 0, "byte order mark"),
        ("1 2", 2, "something follows the end of the document"),
        ("01", 1, "something follows the end of the document"),
        ("1.", 2, "unexpected end"),
        ("[1.]", 3, "expected a digit"),
        ("[-]", 2, "expected a digit"),
        ("[1,]", 3, "expected a value"),
        ("[1 2]", 3, "expected `,` or `]`"),
        ("[1}", 2, "expected `,` or `]`"),
        ("{\"a\":1]", 6, "expected `,` or `}`"),
        ("{\"a\" 1}", 5, "expected `:`"),
        ("{a:1}", 1, "expected a key"),
        ("{\"a\":1,}", 7, "expected a key"),
        ("{\"a\":1,\"a\":2}", 7, "duplicate key"),
        ("{\"b\":1,\"a\":2,\"\\u0062\":3}", 13, "duplicate key"),
        ("\"a\u{1}\"", 2, "control character in a string"),
        ("\"a", 2, "unexpected end"),
        ("\"\\x\"", 1, "unknown escape"),
        ("\"\\u12g4\"", 1, "unknown escape"),
        ("\"\\ud800\"", 1, "half a surrogate pair"),
        ("\"\\udc00\\ud800\"", 1, "half a surrogate pair"),
        ("\"\\ud800\\u0041\"", 1, "half a surrogate pair"),
        ("nul", 0, "expected a value"),
        ("NaN", 0, "expected a value"),
        ("\0", 0, "expected a value"),
        ("\u{a0}1", 0, "expected a value"),
    ] {
        check_fault(input, offset, what);
    }
    assert_eq!(canon("[1,]").unwrap_err().to_string(), "expected a value at byte 3");
}

#[test]
fn depth_is_bounded() {
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(&nest(DEPTH), &nest(DEPTH));
    check_fault(&nest(DEPTH + 1), DEPTH, "nested deeper than 100000");
    check_fault(&"{\"a\":".repeat(1_000_000), DEPTH * 5, "nested deeper than 100000");
    check_fault(&"[".repeat(50_000), 50_000, "unexpected end");
}

/// Moving the inner bytes once a level would copy gigabytes here.
#[test]
fn deep_and_disordered_is_not_quadratic() {
    let levels = 90_000;
    let input = format!("{}0{}", r#"{"b":"#.repeat(levels), r#","a":1}"#.repeat(levels));
    let expect = format!("{}0{}", r#"{"a":1,"b":"#.repeat(levels), "}".repeat(levels));
    check(&input, &expect);
}

#[test]
fn many_members_in_reverse() {
    let members: Vec<String> = (0..100_000).map(|n| format!("\"{n:06}\":{n}")).collect();
    let reverse: Vec<String> = members.iter().rev().cloned().collect();
    check(&format!("{{ {} }}", reverse.join(" , ")), &format!("{{{}}}", members.join(",")));
}

#[test]
fn strings_are_written_and_read() {
    for (text, literal) in [
        ("", r#""""#),
        ("plain text of some length", r#""plain text of some length""#),
        ("\"\\/\u{8}\t\n\u{c}\r", r#""\"\\/\b\t\n\f\r""#),
        ("\0\u{b}\u{1f}\u{7f}\u{2028}", "\"\\u0000\\u000b\\u001f\u{7f}\u{2028}\""),
        ("é€😀", "\"é€😀\""),
    ] {
        let mut out = Vec::new();
        write_string(text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), literal);
        assert_eq!(read_string(literal).as_deref(), Some(text));
        check(literal, literal);
    }
    assert_eq!(read_string(r#""\ud83d\ude00 A""#).as_deref(), Some("😀 A"));
    assert!(matches!(read_string("\"as it is\""), Some(Cow::Borrowed("as it is"))));
    for literal in ["", "\"", "a", "\"a\"b\"", "\"\\\"", "\"\n\"", "\"\\ud83d\""] {
        assert_eq!(read_string(literal), None, "{literal}");
    }
}

#[test]
fn a_kind_is_told_by_the_first_byte() {
    for (text, expect) in [
        ("null", JsonKind::Null),
        ("true", JsonKind::Bool(true)),
        ("false", JsonKind::Bool(false)),
        ("-1", JsonKind::Number),
        ("\"\"", JsonKind::String),
        ("[]", JsonKind::Array),
        ("{}", JsonKind::Object),
    ] {
        assert_eq!(kind(text), expect);
    }
}

#[test]
fn columns_count_characters() {
    let text = "é\r\nab€d".as_bytes();
    for (offset, expect) in [(0, (1, 1)), (2, (1, 2)), (4, (2, 1)), (9, (2, 4)), (99, (2, 5))] {
        assert_eq!(line_column(text, offset), expect, "{offset}");
    }
}

#[derive(Clone, Debug)]
enum Tree {
    Bare(String),
    Text(String),
    Array(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,2}", "[ -~]{0,12}", "[a\"\\\\/\u{0}-\u{20}\u{7f}é€\u{d7ff}\u{e000}\u{ffff}\u{10000}😀]{0,20}",]
}

fn trees() -> impl Strategy<Value = Tree> {
    let number = "-?(0|[1-9][0-9]{0,20})([.][0-9]{1,5})?([eE][+-]?[0-9]{1,3})?";
    let leaf =
        prop_oneof![number.prop_map(Tree::Bare), "true|false|null".prop_map(Tree::Bare), texts().prop_map(Tree::Text)];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::Array),
            prop::collection::btree_map(texts(), inner, 0..6).prop_map(Tree::Object),
        ]
    })
}

/// A document as any writer may write it: blanks, escapes and the order of members by the bits of `noise`.
struct Writer {
    noise: u64,
    /// No blanks but behind a colon or a comma, and no escapes that need not be.
    calm: bool,
    out: String,
}

impl Writer {
    fn below(&mut self, bound: usize) -> usize {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 33) as usize % bound
    }

    fn push(&mut self, token: &str) {
        let most = if self.calm { usize::from(self.out.ends_with([':', ','])) } else { 2 };
        for _ in 0..self.below(most + 1) {
            let blank = [" ", "\n", "\t", "\r"][if self.calm { 0 } else { self.below(4) }];
            self.out.push_str(blank);
        }
        self.out.push_str(token);
    }

    fn text(&mut self, text: &str) {
        let mut literal = String::from("\"");
        for character in text.chars() {
            if !self.calm && self.below(4) == 0 {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    literal.push_str(&format!("\\u{unit:04X}"));
                }
            } else {
                literal.push_str(String::from_utf8_lossy(escape(character, &mut [0; 6])).as_ref());
            }
        }
        literal.push('"');
        self.push(&literal);
    }

    fn tree(&mut self, tree: &Tree) {
        match tree {
            Tree::Bare(text) => self.push(text),
            Tree::Text(text) => self.text(text),
            Tree::Array(items) => {
                self.push("[");
                for (rank, item) in items.iter().enumerate() {
                    self.push(if rank > 0 { "," } else { "" });
                    self.tree(item);
                }
                self.push("]");
            }
            Tree::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                for last in (1..members.len()).rev() {
                    let other = self.below(last + 1);
                    members.swap(last, other);
                }
                self.push("{");
                for (rank, (key, value)) in members.into_iter().enumerate() {
                    self.push(if rank > 0 { "," } else { "" });
                    self.text(key);
                    self.push(":");
                    self.tree(value);
                }
                self.push("}");
            }
        }
    }
}

fn written(tree: &Tree, noise: u64) -> String {
    let mut writer = Writer { noise, calm: noise.is_multiple_of(2), out: String::new() };
    writer.tree(tree);
    writer.push("");
    writer.out
}

/// What is taken for an ordinary document becomes what the scan makes of it; of all else nothing is left.
fn agree(text: &str) -> Result<(), TestCaseError> {
    let (mut made, mut scanned) = (Vec::new(), Vec::new());
    let taken = ordinary::document(text.as_bytes(), &mut made);
    let whole = scan::document(text, &mut scanned).is_ok();
    prop_assert!(whole || !taken, "{text:?}");
    prop_assert_eq!(made, if taken { scanned } else { Vec::new() });
    Ok(())
}

/// The definition, word by word.
fn oracle(tree: &Tree) -> String {
    match tree {
        Tree::Bare(text) => text.clone(),
        Tree::Text(text) => serde_json::to_string(text).unwrap(),
        Tree::Array(items) => format!("[{}]", items.iter().map(oracle).collect::<Vec<_>>().join(",")),
        Tree::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.encode_utf16().collect::<Vec<_>>());
            let member =
                |(key, value): (&String, &Tree)| format!("{}:{}", serde_json::to_string(key).unwrap(), oracle(value));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(8785),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_writing_has_the_one_canonical_form(tree in trees(), noise: u64) {
        let expect = oracle(&tree);
        let text = written(&tree, noise);
        agree(&text)?;
        prop_assert_eq!(canon(&text), Ok(expect.clone()));
        prop_assert_eq!(canon(&expect), Ok(expect.clone()));
    }

    /// One character taken out, doubled or replaced: the verdict on what results is that of another parser.
    #[test]
    fn damage_is_judged_as_serde_json_does(tree in trees(), noise: u64, place: prop::sample::Index, new in "[\\[\\]{}:,\"\\\\a0-9eE. \0\u{1f}\u{e9}+-]{0,2}") {
        let mut text: Vec<char> = written(&tree, noise).chars().collect();
        let at = place.index(text.len());
        text.splice(at..=at, new.chars());
        let text: String = text.into_iter().collect();
        agree(&text)?;
        let other = serde_json::from_str::<serde_json::Value>(&text);
        match canon(&text) {
            Ok(canonical) => prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&canonical).ok(), other.ok()),
            Err(fault) => prop_assert!(fault.what == "duplicate key" || other.is_err(), "{fault}: {text:?}"),
        }
    }

    #[test]
    fn strings_round_trip(text: String) {
        let mut out = Vec::new();
        write_string(&text, &mut out);
        let literal = String::from_utf8(out).unwrap();
        prop_assert_eq!(read_string(&literal), Some(Cow::Borrowed(text.as_str())));
        prop_assert_eq!(literal, serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn no_text_is_too_odd(text: String) {
        let _ = canon(&text);
        let _ = read_string(&text);
        let _ = line_column(text.as_bytes(), text.len() / 2);
    }
}
