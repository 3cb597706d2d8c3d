//! What `copy(JSON.stringify(localStorage))` in a browser's console leaves in the clipboard: an object of texts.

use super::entries::Entries;
use crate::error::{Error, Kind, Result};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::{
    fmt,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// Bytes that a dump may have. No browser lets an origin have more than 10 MiB.
const LIMIT: u64 = 256 << 20;

/// Reads the file at `path` as the storage called `name`.
///
/// # Errors
/// If it is not an object of texts.
pub(super) fn read(path: &Path, name: &str, entries: &mut Entries) -> Result<()> {
    let error = |what: &dyn fmt::Display| Error::new(Kind::Store, format_args!("{}: {what}", path.display()));
    let mut file = File::open(path).map_err(|it| error(&it))?;
    if file.metadata().map_err(|it| error(&it))?.len() > LIMIT {
        return Err(Error::new(Kind::Limit, format_args!("{}: larger than local storage can be", path.display())));
    }
    let mut mark = [0; 3];
    let marked = file.read_exact(&mut mark).is_ok() && mark == *b"\xef\xbb\xbf";
    file.seek(SeekFrom::Start(if marked { 3 } else { 0 })).map_err(|it| error(&it))?;
    entries.storage(name);
    let (mut json, mut fault) = (serde_json::Deserializer::from_reader(BufReader::new(file)), None);
    let read = json.deserialize_map(Object { name, entries, fault: &mut fault }).and_then(|()| json.end());
    match (fault, read) {
        (Some(fault), _) => Err(error(&fault)),
        (None, Err(it)) => {
            // What serde says may hold a value.
            let what = match it.classify() {
                serde_json::error::Category::Data => {
                    "localStorage holds texts only; save what copy(JSON.stringify(localStorage)) gives"
                }
                serde_json::error::Category::Eof => "cut off in the middle",
                _ => "not JSON",
            };
            let (path, line, column) = (path.display(), it.line(), it.column());
            Err(Error::new(Kind::Store, format_args!("{path}:{line}:{column}: {what}")))
        }
        (None, Ok(())) => Ok(()),
    }
}

/// Takes the members of the object.
struct Object<'e> {
    name: &'e str,
    entries: &'e mut Entries,
    fault: &'e mut Option<Error>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Wtf8)? {
            let value = map.next_value_seed(Wtf8)?;
            if let Err(error) = self.entries.add(self.name, &key, &value) {
                *self.fault = Some(error);
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// A text in WTF-8: `serde_json` gives bytes for a string that may hold half of a surrogate pair.
struct Wtf8;

impl<'de> DeserializeSeed<'de> for Wtf8 {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Wtf8 {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }
}
