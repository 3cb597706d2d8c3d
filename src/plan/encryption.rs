//! Keys with which a mapping encrypts values on their way.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretBox};
use std::{fmt, sync::Arc};

/// The key of a column's `encrypt`: 32 bytes, shown nowhere.
#[derive(Clone)]
pub struct FieldKey(Arc<SecretBox<[u8; 32]>>);

impl FieldKey {
    /// The key that a text stands for: 32 bytes in hexadecimal or in base64. Nothing, if it is anything else.
    ///
    /// ```
    /// use cutover::plan::FieldKey;
    ///
    /// assert!(FieldKey::read(&"0f".repeat(32)).is_some());
    /// assert!(FieldKey::read("hunter2").is_none());
    /// ```
    pub fn read(text: &str) -> Option<FieldKey> {
        key_bytes(text).map(|it| FieldKey(Arc::new(SecretBox::new(Box::new(it)))))
    }

    /// Its bytes, for whoever encrypts with them.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldKey")
    }
}

impl PartialEq for FieldKey {
    fn eq(&self, other: &FieldKey) -> bool {
        self.expose() == other.expose()
    }
}

/// The 32 bytes that a text spells in hexadecimal or in base64.
pub fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let bytes: Option<Vec<u8>> = match text.len() {
        64 => (0..32).map(|it| u8::from_str_radix(text.get(2 * it..2 * it + 2)?, 16).ok()).collect(),
        _ => STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok(),
    };
    bytes.and_then(|it| it.try_into().ok())
}
