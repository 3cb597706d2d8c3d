//! What would turn the target's row into the source's, as a JSON Patch (RFC 6902) on the row as an object.

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Cell, Finding, FindingKind, cell};

/// Longer documents are replaced as a whole, in bytes.
const DOCUMENT_MAX: usize = 64 << 10;

/// Arrays for which more pairs of elements would have to be looked at are replaced as a whole.
const PAIRS_MAX: usize = 1 << 22;

/// One operation of a patch. `value` is JSON text as the report shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    op: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
}

/// The operations for a changed row; none for every other kind of finding.
///
/// A secret and text that is not UTF-8 have none, because the report does not hold what they would have to write.
pub fn patch(finding: &Finding) -> Vec<Operation> {
    let mut operations = Vec::new();
    if finding.kind != FindingKind::Changed {
        return operations;
    }
    for it in &finding.cells {
        let (Some(source), Some(target)) = (&it.source, &it.target) else { continue };
        if [source.class, target.class].iter().any(|it| [cell::MASKED, cell::MALFORMED].contains(it)) {
            continue;
        }
        let path = child("", &it.column);
        match document(source).zip(document(target)) {
            Some((source, target)) => operations.extend(descend(&path, &source, &target)),
            None => operations.extend(operation("replace", path, Some(&source.json))),
        }
    }
    operations
}

/// The operations that make a row of nothing, which is the document `null`, or nothing of a row.
pub fn whole(row: Option<&str>) -> Vec<Operation> {
    operation(if row.is_some() { "add" } else { "replace" }, String::new(), row.or(Some("null"))).into_iter().collect()
}

/// The document in a cell, if operations inside it can be told: short enough, no deeper than the parser allows, and
/// without members of one name.
fn document(cell: &Cell) -> Option<Value> {
    if cell.class != "json" || cell.json.len() > DOCUMENT_MAX {
        return None;
    }
    let value = serde_json::from_str(&cell.json).ok()?;
    (members(&value) == colons(&cell.json)).then_some(value)
}

/// How many members the objects in `value` have together.
fn members(value: &Value) -> usize {
    let (mut count, mut open) = (0, vec![value]);
    while let Some(it) = open.pop() {
        match it {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                count += map.len();
                open.extend(map.values());
            }
            _ => {}
        }
    }
    count
}

/// How many colons stand outside strings, which is how many members the text writes.
fn colons(json: &str) -> usize {
    let (mut count, mut string, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = string,
            b'"' => string = !string,
            b':' if !string => count += 1,
            _ => {}
        }
    }
    count
}

/// Recurses as deep as the documents are nested, which the parser bounds.
fn descend(path: &str, source: &Value, target: &Value) -> Vec<Operation> {
    let inside = match (source, target) {
        _ if source == target => return Vec::new(),
        (Value::Object(source), Value::Object(target)) => Some(objects(path, source, target)),
        (Value::Array(source), Value::Array(target)) => arrays(path, source, target),
        _ => None,
    };
    let whole = || operation("replace", path.to_owned(), Some(&source.to_string()));
    match inside {
        Some(one) if one.len() == 1 => one,
        Some(inside) => match whole() {
            Some(whole) if length(std::slice::from_ref(&whole)) <= length(&inside) => vec![whole],
            _ => inside,
        },
        None => whole().into_iter().collect(),
    }
}

fn objects(path: &str, source: &Map<String, Value>, target: &Map<String, Value>) -> Vec<Operation> {
    let mut operations = Vec::new();
    for name in target.keys().filter(|it| !source.contains_key(*it)) {
        operations.extend(operation("remove", child(path, name), None));
    }
    for (name, value) in source {
        match target.get(name) {
            Some(old) => operations.extend(descend(&child(path, name), value, old)),
            None => operations.extend(operation("add", child(path, name), Some(&value.to_string()))),
        }
    }
    operations
}

/// By the longest common subsequence, so that an element that was put in front moves the others and changes none.
fn arrays(path: &str, source: &[Value], target: &[Value]) -> Option<Vec<Operation>> {
    if source.len().saturating_mul(target.len()) > PAIRS_MAX {
        return None;
    }
    let mut operations = Vec::new();
    let mut at = 0;
    for step in capture_diff_slices(Algorithm::Myers, target, source) {
        let (old, new) = (target.get(step.old_range())?, source.get(step.new_range())?);
        if matches!(step, DiffOp::Equal { .. }) {
            at += old.len();
            continue;
        }
        let pairs = old.len().min(new.len());
        for (old, new) in old.iter().zip(new) {
            operations.extend(descend(&format!("{path}/{at}"), new, old));
            at += 1;
        }
        for _ in &old[pairs..] {
            operations.extend(operation("remove", format!("{path}/{at}"), None));
        }
        for value in &new[pairs..] {
            operations.extend(operation("add", format!("{path}/{at}"), Some(&value.to_string())));
            at += 1;
        }
    }
    Some(operations)
}

/// Nothing for a value that is no JSON text, which no cell of this crate's own making is.
fn operation(op: &'static str, path: String, value: Option<&str>) -> Option<Operation> {
    let value = match value {
        Some(it) => Some(RawValue::from_string(it.to_owned()).ok()?),
        None => None,
    };
    Some(Operation { op, path, value })
}

/// Bytes of the operations as JSON text, but for what all of them have.
fn length(operations: &[Operation]) -> usize {
    let one = |it: &Operation| 24 + it.path.len() + it.value.as_ref().map_or(0, |it| it.get().len());
    operations.iter().map(one).sum()
}

/// The path of a member as RFC 6901 writes it.
fn child(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::Difference;

    fn changed(column: &str, source: (&'static str, &str), target: (&'static str, &str)) -> Finding {
        let cell = |(class, json): (&'static str, &str)| Some(Cell { class, json: json.to_owned() });
        let cells = vec![Difference { column: column.to_owned(), source: cell(source), target: cell(target) }];
        Finding { kind: FindingKind::Changed, side: None, key: Vec::new(), cells, detail: None, seen: None }
    }

    fn patch_text(finding: &Finding) -> String {
        serde_json::to_string(&patch(finding)).unwrap()
    }

    fn check(source: &str, target: &str, expect: &str) {
        let finding = changed("doc", ("json", source), ("json", target));
        assert_eq!(patch_text(&finding), expect);
        assert_eq!(applied(&finding, target), format!("{{\"doc\":{source}}}"));
    }

    fn applied(finding: &Finding, target: &str) -> String {
        let patch: json_patch::Patch = serde_json::from_str(&patch_text(finding)).unwrap();
        let mut row: Value = serde_json::from_str(&format!("{{\"doc\":{target}}}")).unwrap();
        json_patch::patch(&mut row, &patch).unwrap();
        row.sort_all_objects();
        row.to_string()
    }

    #[test]
    fn documents_are_patched_where_they_differ() {
        check(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":3}"#, r#"[{"op":"replace","path":"/doc/b","value":2}]"#);
        check(r#"{"a":1}"#, r#"{"a":1,"b":3}"#, r#"[{"op":"remove","path":"/doc/b"}]"#);
        check(r#"{"a":1,"b/~c":2}"#, r#"{"a":1}"#, r#"[{"op":"add","path":"/doc/b~1~0c","value":2}]"#);
        check(r#"{"a":1.10}"#, r#"{"a":1.1}"#, r#"[{"op":"replace","path":"/doc/a","value":1.10}]"#);
        check("[0,1,2,3]", "[1,2,3]", r#"[{"op":"add","path":"/doc/0","value":0}]"#);
        check("[1,3]", "[1,2,3]", r#"[{"op":"remove","path":"/doc/1"}]"#);
        check(
            r#"[{"k":1,"n":"x"},2]"#,
            r#"[{"k":1,"n":"y"},2]"#,
            r#"[{"op":"replace","path":"/doc/0/n","value":"x"}]"#,
        );
        check("{}", "[]", r#"[{"op":"replace","path":"/doc","value":{}}]"#);
        check(r#"{"a":1,"b":2}"#, r#"{"c":3,"d":4}"#, r#"[{"op":"replace","path":"/doc","value":{"a":1,"b":2}}]"#);
    }

    #[test]
    fn other_cells_are_replaced() {
        let check = |source, target, expect: &str| assert_eq!(patch_text(&changed("a/b", source, target)), expect);
        check(("text", "\"x\""), ("null", "null"), r#"[{"op":"replace","path":"/a~1b","value":"x"}]"#);
        check(("null", "null"), ("json", "{}"), r#"[{"op":"replace","path":"/a~1b","value":null}]"#);
        check(("masked", cell::MASK), ("masked", cell::OTHER_MASK), "[]");
        check(("malformed", "\"\\\\xff\""), ("text", "\"x\""), "[]");
        let twice = r#"{"a":1,"a":2}"#;
        check(("json", twice), ("json", "{}"), r#"[{"op":"replace","path":"/a~1b","value":{"a":1,"a":2}}]"#);
        let deep = "[".repeat(500) + &"]".repeat(500);
        check(("json", &deep), ("json", "[]"), &format!(r#"[{{"op":"replace","path":"/a~1b","value":{deep}}}]"#));
    }

    #[test]
    fn only_changed_rows_have_a_patch() {
        let mut finding = changed("a", ("int", "1"), ("int", "2"));
        finding.kind = FindingKind::Missing;
        assert_eq!(patch_text(&finding), "[]");
    }

    #[test]
    fn a_large_document_is_replaced_as_a_whole() {
        let large = |last: u8| format!("[\"{}\",{last}]", "x".repeat(DOCUMENT_MAX));
        let finding = changed("doc", ("json", &large(1)), ("json", &large(2)));
        assert_eq!(patch(&finding).len(), 1);
        assert_eq!(patch(&finding)[0].path, "/doc");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4i64).prop_map(Value::from),
            "[a/~\"]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let name = "[a/~:\"\\\\]{0,2}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..5).prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_turns_the_target_into_the_source(source in any_json(), target in any_json()) {
            let (source, target) = (source.to_string(), target.to_string());
            let finding = changed("doc", ("json", &source), ("json", &target));
            prop_assert_eq!(applied(&finding, &target), format!("{{\"doc\":{source}}}"));
        }
    }
}
