//! Which rows take part by their key alone, before any expression is looked at.

use crate::{plan::Mapping, value::Value};

/// What a mapping says about the keys of source rows: literal prefixes, in which no character stands for others, and the
/// index row, which is no record.
///
/// ```
/// use cutover::{plan::Mapping, transform::KeySelector, value::Value};
///
/// let mapping = Mapping { prefix: vec!["client_".into()], ..Mapping::default() };
/// let selector = KeySelector::of(&mapping);
/// assert!(selector.takes(Value::Text("client_1")));
/// assert!(!selector.takes(Value::Text("clients:all")));
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeySelector {
    prefixes: Vec<String>,
    index: Option<String>,
}

impl KeySelector {
    /// What `mapping` says.
    pub fn of(mapping: &Mapping) -> KeySelector {
        KeySelector { prefixes: mapping.prefix.clone(), index: mapping.index.as_ref().map(|it| it.key.clone()) }
    }

    /// Whether it leaves any row out.
    pub fn selects(&self) -> bool {
        !self.prefixes.is_empty() || self.index.is_some()
    }

    /// The prefixes, one of which a key begins with.
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// Whether the row of this key is the index.
    pub fn is_index(&self, key: Value<'_>) -> bool {
        self.index.as_ref().is_some_and(|it| text(key) == Some(it.as_bytes()))
    }

    /// Whether the row of this key takes part. A key that is no text begins with no prefix.
    pub fn takes(&self, key: Value<'_>) -> bool {
        !self.is_index(key) && (self.prefixes.is_empty() || self.prefixes.iter().any(|it| begins(key, it)))
    }
}

/// Whether a key is a text that begins with `prefix`, byte for byte.
pub fn begins(key: Value<'_>, prefix: &str) -> bool {
    text(key).is_some_and(|it| it.starts_with(prefix.as_bytes()))
}

fn text(key: Value<'_>) -> Option<&[u8]> {
    match key {
        Value::Text(it) => Some(it.as_bytes()),
        Value::Raw(it) | Value::Malformed(it) => Some(it),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::KeyIndex;

    #[track_caller]
    fn check(prefixes: &[&str], index: Option<&str>, taken: &[&str], left: &[&str]) {
        let selector = KeySelector {
            prefixes: prefixes.iter().map(|&it| it.to_owned()).collect(),
            index: index.map(str::to_owned),
        };
        for key in taken {
            assert!(selector.takes(Value::Text(key)) && selector.takes(Value::Raw(key.as_bytes())), "{key}");
        }
        for key in left {
            assert!(!selector.takes(Value::Text(key)), "{key}");
        }
    }

    #[test]
    fn a_prefix_is_literal() {
        check(&[], None, &["", "a"], &[]);
        check(
            &["client:"],
            None,
            &["client:", "client:1", "client::"],
            &["clients:all", "Client:1", "client", " client:"],
        );
        check(&["response_"], None, &["response_1"], &["responses:all", "response:1"]);
        check(&["50%"], None, &["50% off"], &["50 off", "500"]);
        check(&["a:", "b:"], None, &["a:1", "b:1"], &["c:1", "ab:"]);
        check(&["é"], None, &["été"], &["e\u{301}t\u{e9}"]);
        check(&["catalogs:"], Some("catalogs:all"), &["catalogs:1", "catalogs:all:2"], &["catalogs:all"]);
        check(&[], Some("all"), &["1"], &["all"]);
    }

    #[test]
    fn keys_of_other_types_begin_with_nothing() {
        let mapping = Mapping { prefix: vec!["1".into()], ..Mapping::default() };
        assert!(!KeySelector::of(&mapping).takes(Value::Int(12)));
        assert!(KeySelector::of(&Mapping { prefix: Vec::new(), ..mapping }).takes(Value::Int(12)));
        assert!(!begins(Value::Bytes(b"12"), "1") && begins(Value::Malformed(b"1\xff"), "1"));
        let index = KeyIndex { key: "all".into(), ..KeyIndex::default() };
        let selector = KeySelector::of(&Mapping { index: Some(index), ..Mapping::default() });
        assert!(selector.selects() && selector.is_index(Value::Raw(b"all")) && !selector.is_index(Value::Null));
    }
}
