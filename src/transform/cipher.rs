//! Values encrypted on their way, the same value each time into the same text, so that they still can be compared.
//!
//! # The format
//!
//! The text of a value is base64 of a nonce of 12 bytes, the ciphertext and a tag of 16 bytes, by AES-256-GCM (NIST SP 800-38D) with
//! the 32 bytes of the key as they are. The additional data is `TABLE.COLUMN` in UTF-8, so that no value can be put into another
//! column. The nonce is the first 12 bytes of HMAC-SHA256(HMAC-SHA256(key, `cutover-field/1 nonce`), additional data, a zero byte,
//! the value's text): who decrypts needs not know that. It is a synthetic nonce, as RFC 5297 has it: what shows is which rows of
//! a column have the same value. What is encrypted is the value as text; of a document, that is its JSON.

use crate::{plan::FieldKey, value::Value};
use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;

use super::{rules, val};

const NONCE: usize = 12;

/// Encrypts the values of one column.
pub(super) struct Cipher {
    aes: Aes256Gcm,
    nonces: Hmac<Sha256>,
    column: String,
}

impl Cipher {
    /// For a column of a target table.
    pub(super) fn new(key: &FieldKey, table: &str, column: &str) -> Cipher {
        let column = format!("{table}.{column}");
        let mut label = keyed(key.expose());
        label.update(b"cutover-field/1 nonce");
        let mut nonces = keyed(&label.finalize().into_bytes().into());
        nonces.update(column.as_bytes());
        nonces.update(&[0]);
        Cipher { aes: Aes256Gcm::new(key.expose().into()), nonces, column }
    }

    /// What a value becomes. Nothing, if it is too long.
    pub(super) fn seal(&self, value: Value<'_>) -> Option<String> {
        let mut written = Vec::new();
        let text = rules::text(value);
        let text = text.as_ref().map_or_else(
            || {
                val::write(value, &mut written);
                written.as_slice()
            },
            |it| it.as_bytes(),
        );
        let mut mac = self.nonces.clone();
        mac.update(text);
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&mac.finalize().into_bytes()[..NONCE]);
        let mut out = nonce.to_vec();
        let payload = Payload { msg: text, aad: self.column.as_bytes() };
        out.extend(self.aes.encrypt(&Nonce::from(nonce), payload).ok()?);
        Some(STANDARD.encode(out))
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher of {}", self.column)
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key that is shorter than a block is followed by zeros (RFC 2104), which makes one of a length that always fits.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    <Hmac<Sha256> as KeyInit>::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(key: &str, table: &str, column: &str) -> Cipher {
        Cipher::new(&FieldKey::read(key).expect("a key"), table, column)
    }

    #[test]
    fn the_same_value_is_the_same_text_in_its_column_alone() {
        let key = "0f".repeat(32);
        let notes = cipher(&key, "notes", "body");
        let seal = |it| notes.seal(it).expect("a text");
        assert_eq!(seal(Value::Text("hello")), seal(Value::Json("\"hello\"")));
        assert_ne!(seal(Value::Text("hello")), seal(Value::Text("hello ")));
        assert_ne!(Some(seal(Value::Text("hello"))), cipher(&key, "notes", "title").seal(Value::Text("hello")));
        assert_ne!(
            Some(seal(Value::Text("hello"))),
            cipher(&"0e".repeat(32), "notes", "body").seal(Value::Text("hello"))
        );
        assert!(!format!("{notes:?}").contains("15"), "the key is not shown");
    }

    #[test]
    fn any_library_of_aes_reads_it() {
        let notes = cipher(&"0f".repeat(32), "notes", "body");
        for (value, expect) in [
            (Value::Text(""), ""),
            (Value::Text("žluť"), "žluť"),
            (Value::Int(-7), "-7"),
            (Value::Json("{\"a\":[1]}"), "{\"a\":[1]}"),
        ] {
            let bytes = STANDARD.decode(notes.seal(value).expect("a text")).expect("base64");
            let (nonce, sealed) = bytes.split_at(NONCE);
            let nonce = <[u8; NONCE]>::try_from(nonce).expect("a nonce");
            let aes = Aes256Gcm::new(&[0x0f; 32].into());
            let payload = Payload { msg: sealed, aad: b"notes.body" };
            assert_eq!(aes.decrypt(&Nonce::from(nonce), payload).expect("it opens"), expect.as_bytes());
            assert!(aes.decrypt(&Nonce::from(nonce), sealed).is_err(), "it belongs to its column");
        }
    }
}
