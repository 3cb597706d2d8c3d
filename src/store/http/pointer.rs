//! JSON pointers (RFC 6901) into a text, so that what they find stays as it was written.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// A place in a document.
#[derive(Debug)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// The place that `text` names. Nothing: it names none.
    pub(super) fn parse(text: &str) -> Option<Pointer> {
        if text.is_empty() {
            return Some(Pointer(Vec::new()));
        }
        let valid = |it: &str| it.split('~').skip(1).all(|it| it.starts_with(['0', '1']));
        let tokens = text.strip_prefix('/').filter(|it| valid(it))?.split('/');
        Some(Pointer(tokens.map(|it| it.replace("~1", "/").replace("~0", "~")).collect()))
    }

    /// The value that stands there in `document`, as it is written. Nothing: none does.
    ///
    /// # Errors
    /// If the document is no JSON as far as it is looked at, or a name on the way comes twice.
    pub(super) fn find<'t>(&self, document: &'t str) -> Result<Option<&'t str>, String> {
        let mut text = document.trim();
        for token in &self.0 {
            if !text.starts_with(['{', '[']) {
                return Ok(None);
            }
            let mut reader = serde_json::Deserializer::from_str(text);
            let found = Step(token).deserialize(&mut reader).map_err(|it| it.to_string())?;
            let Some(found) = found else { return Ok(None) };
            text = found.get();
        }
        Ok(Some(text))
    }
}

/// How many elements or members an array or object has. Nothing: it is neither.
pub(super) fn count(text: &str) -> Option<u64> {
    struct Count;
    impl<'de> Visitor<'de> for Count {
        type Value = u64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array or an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
            let mut count = 0;
            while members.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<u64, A::Error> {
            let mut count = 0;
            while elements.next_element::<serde::de::IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_any(Count).ok()
}

/// One step down.
struct Step<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some((name, value)) = members.next_entry::<String, &RawValue>()? {
            if name == self.0 && found.replace(value).is_some() {
                return Err(A::Error::custom(format_args!("the member `{name}` comes twice in one object")));
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        // A place in an array has no leading zeros and no sign.
        let place = self.0.parse::<usize>().ok().filter(|it| it.to_string() == self.0);
        let (mut found, mut at) = (None, 0);
        while let Some(element) = elements.next_element::<&RawValue>()? {
            if Some(at) == place {
                found = Some(element);
            }
            at += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        // The examples of RFC 6901, section 5, and some of our own.
        let document =
            r#" {"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"x":{"y":[{"z": 9007199254740993 }]},"d":1,"d":2} "#;
        let check = |pointer: &str, expect: Result<Option<&str>, ()>| {
            let found = Pointer::parse(pointer).ok_or(()).and_then(|it| it.find(document).map_err(|_| ()));
            assert_eq!(found, expect, "{pointer}");
        };
        check("", Ok(Some(document.trim())));
        check("/foo", Ok(Some(r#"["bar","baz"]"#)));
        check("/foo/0", Ok(Some(r#""bar""#)));
        check("/", Ok(Some("0")));
        check("/a~1b", Ok(Some("1")));
        check("/m~0n", Ok(Some("8")));
        check("/x/y/0/z", Ok(Some("9007199254740993")));
        for it in ["/foo/2", "/foo/-", "/foo/00", "/foo/+1", "/foo/0/x", "/nope", "/ ", "/x/y/0/z/0"] {
            check(it, Ok(None));
        }
        for it in ["foo", "/a~", "/a~2", "/d"] {
            check(it, Err(()));
        }
        for (text, expect) in
            [("[]", Some(0)), ("[1,[2,3]]", Some(2)), (r#"{"a":1}"#, Some(1)), ("7", None), ("[1", None)]
        {
            assert_eq!(count(text), expect, "{text}");
        }
        let deep = "[".repeat(50_000) + &"]".repeat(50_000);
        assert_eq!((count(&deep), Pointer::parse("/0/0").unwrap().find(&deep).is_ok()), (Some(1), true));
    }
}
