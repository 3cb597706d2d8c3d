//! Sealed files: encrypted in chunks, so that a file of any size is read in little memory and nothing of it is passed on
//! before it is known to be what was written.
//!
//! # The format `cutover-sealed/1`
//!
//! A file is a header of 64 bytes and then chunks, without anything between or behind. Integers are unsigned and big-endian.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 16 | `cutover-sealed/1` in ASCII |
//! | 16 | 1 | where the key comes from: 1 a passphrase, 2 a key file |
//! | 17 | 3 | 0 |
//! | 20 | 4 | iterations of PBKDF2, 600,000 where a passphrase is the secret; 0 for a key file |
//! | 24 | 16 | the salt, random, the same in all files of one backup |
//! | 40 | 16 | the check: the first 16 bytes of HMAC-SHA256(main key, `cutover-sealed/1 check`) |
//! | 56 | 7 | the prefix of the nonces, random, another one in each file |
//! | 63 | 1 | 0 |
//!
//! The *main key*, 32 bytes, is PBKDF2-HMAC-SHA256(passphrase in UTF-8, salt, iterations), or HMAC-SHA256(the 32 bytes of
//! the key file, salt). The *key of the chunks* is HMAC-SHA256(main key, `cutover-sealed/1 chunks`). In an HMAC the first
//! argument is the key.
//!
//! The text is cut into chunks of 65,536 bytes; the last one is shorter or as long, and empty only if all of the text is.
//! Each chunk is encrypted with AES-256-GCM into as many bytes, and its tag of 16 bytes follows it. Its nonce, 12 bytes, is
//! the prefix, then the number of the chunk, counted from 0, in 4 bytes, then 1 for the last chunk and 0 for every other
//! one. Its additional data is the header, all 64 bytes. This is the STREAM construction, which RustCrypto calls
//! `StreamBE32`: no chunk can be changed, left out, moved, doubled or be the last one before its time.
//!
//! The check tells a wrong secret from a damaged file. It says no more about a passphrase than the chunks do.
//!
//! The *proof* in `backup.json` binds that file to the secret too, so that who has not got it cannot say that a backup is of
//! another store: HMAC-SHA256(HMAC-SHA256(main key, `cutover-sealed/1 proof`), the text of `backup.json` with an empty
//! proof and an empty checksum), in hexadecimal.

use crate::{
    error::{Error, Kind, Result},
    plan::key_bytes,
};
use aes_gcm::{
    Aes256Gcm, Nonce, Tag,
    aead::{AeadInOut, KeyInit},
};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use std::{
    fmt,
    io::{self, Read, Write},
    path::Path,
};

/// The version that is written, and the only one so far that is read. Its 16 bytes begin every sealed file.
pub const FORMAT: &str = "cutover-sealed/1";

/// What the name of a sealed file has at its end.
pub const SUFFIX: &str = ".sealed";

const MAGIC: &[u8; 16] = b"cutover-sealed/1";
const HEADER: usize = 64;
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

/// How often PBKDF2 hashes a passphrase (OWASP's cheat sheet of 2023 asks for this many with SHA-256).
const ITERATIONS: u32 = 600_000;

/// The most iterations that a file may ask for, so that a damaged or hostile one cannot keep a reader busy for hours.
const ITERATIONS_MAX: u32 = 10_000_000;

const PASSPHRASE: u8 = 1;
const KEY_FILE: u8 = 2;

/// What opens sealed files.
#[derive(Debug)]
pub enum Secret {
    /// Words that somebody knows.
    Passphrase(SecretString),
    /// The 32 bytes of a key file.
    Key(SecretBox<[u8; 32]>),
}

/// The keys of one backup.
pub(super) struct Keys {
    origin: u8,
    iterations: u32,
    salt: [u8; 16],
    main: SecretBox<[u8; 32]>,
}

/// The start of a file, whose secret may still be the wrong one.
#[derive(Debug)]
struct Header {
    origin: u8,
    iterations: u32,
    salt: [u8; 16],
    check: [u8; 16],
    prefix: [u8; 7],
}

impl Secret {
    /// The secret in a key file: 32 bytes as they are, in hexadecimal or in base64, with or without an end of line.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn key_file(bytes: &[u8]) -> Result<Secret> {
        let spelt = || key_bytes(std::str::from_utf8(bytes).unwrap_or_default());
        let key = <[u8; 32]>::try_from(bytes).ok().or_else(spelt);
        let wrong = "no key file: it has to hold 32 bytes, as they are, in hexadecimal or in base64";
        let key = key.ok_or_else(|| Error::new(Kind::Usage, wrong))?;
        Ok(Secret::Key(SecretBox::new(Box::new(key))))
    }

    /// A passphrase.
    ///
    /// # Errors
    /// If it is empty.
    pub fn passphrase(text: String) -> Result<Secret> {
        match text.is_empty() {
            true => Err(Error::new(Kind::Usage, "the passphrase is empty")),
            false => Ok(Secret::Passphrase(text.into())),
        }
    }

    /// What kind of secret it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Secret::Passphrase(_) => "passphrase",
            Secret::Key(_) => "key file",
        }
    }

    fn origin(&self) -> u8 {
        match self {
            Secret::Passphrase(_) => PASSPHRASE,
            Secret::Key(_) => KEY_FILE,
        }
    }
}

impl Keys {
    /// New keys, for files that are to be sealed.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(super) fn fresh(secret: &Secret) -> Result<Keys> {
        let iterations = if matches!(secret, Secret::Passphrase(_)) { ITERATIONS } else { 0 };
        Ok(Keys::derive(secret, iterations, random()?))
    }

    /// The keys of the files that begin as the one at `path` does, whose text is `from`.
    ///
    /// # Errors
    /// If it is no sealed file, or this is not its secret.
    pub(super) fn of(secret: &Secret, path: &Path, from: &mut dyn Read) -> Result<Keys> {
        let header = Header::read(path, from)?.0;
        if header.origin != secret.origin() {
            let wanted = if header.origin == PASSPHRASE { "passphrase" } else { "key file" };
            let message = format_args!("sealed with a {wanted}, and a {} was given", secret.kind());
            return Err(Error::new(Kind::Usage, format_args!("{}: {message}", path.display())));
        }
        let keys = Keys::derive(secret, header.iterations, header.salt);
        if !keys.fits(&header) {
            let message = format_args!("the {} is wrong", secret.kind());
            return Err(Error::new(Kind::Usage, format_args!("{}: {message}", path.display())));
        }
        Ok(keys)
    }

    fn derive(secret: &Secret, iterations: u32, salt: [u8; 16]) -> Keys {
        let main = match secret {
            Secret::Key(key) => SecretBox::new(Box::new(hmac(key.expose_secret(), &salt))),
            Secret::Passphrase(text) => SecretBox::init_with_mut(|main: &mut [u8; 32]| {
                pbkdf2::pbkdf2_hmac::<Sha256>(text.expose_secret().as_bytes(), &salt, iterations, main);
            }),
        };
        Keys { origin: secret.origin(), iterations, salt, main }
    }

    fn key(&self, what: &str) -> [u8; 32] {
        hmac(self.main.expose_secret(), format!("{FORMAT} {what}").as_bytes())
    }

    fn fits(&self, header: &Header) -> bool {
        let check = self.key("check");
        // What is compared is public, so it may show where it differs.
        (self.origin, self.iterations, self.salt) == (header.origin, header.iterations, header.salt)
            && check.get(..16) == Some(&header.check)
    }

    /// What binds `text` to the secret.
    pub(super) fn proof(&self, text: &str) -> String {
        let proof = hmac(&self.key("proof"), text.as_bytes());
        blake3::Hash::from_bytes(proof).to_hex().as_str().to_owned()
    }

    /// Seals all of `from` into `to`.
    ///
    /// # Errors
    /// If one of them fails.
    pub(super) fn seal(&self, from: &mut dyn Read, to: &mut dyn Write) -> Result<()> {
        let failed = |it: io::Error| Error::new(Kind::File, format_args!("cannot seal: {it}"));
        let mut check = [0; 16];
        check.copy_from_slice(&self.key("check")[..16]);
        let Keys { origin, iterations, salt, .. } = *self;
        let header = Header { origin, iterations, salt, check, prefix: random()? };
        let bytes = header.bytes();
        to.write_all(&bytes).map_err(failed)?;
        let cipher = Aes256Gcm::new(&self.key("chunks").into());
        let (mut chunk, mut next) = (vec![0; CHUNK], vec![0; CHUNK]);
        let mut length = fill(from, &mut chunk).map_err(failed)?;
        for number in 0_u32.. {
            let more = if length == CHUNK { fill(from, &mut next).map_err(failed)? } else { 0 };
            let nonce = header.nonce(number, more == 0);
            let text = chunk.get_mut(..length).unwrap_or_default();
            let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce), &bytes, text.into());
            let tag = tag.map_err(|_| Error::new(Kind::Limit, "a chunk that is too long to be sealed"))?;
            to.write_all(chunk.get(..length).unwrap_or_default()).and_then(|()| to.write_all(&tag)).map_err(failed)?;
            if more == 0 {
                return Ok(());
            }
            std::mem::swap(&mut chunk, &mut next);
            length = more;
        }
        Err(Error::new(Kind::Limit, "a file is too long to be sealed: 256 TiB is the most"))
    }

    /// Writes what `from`, the file at `path`, holds into `to`. What was written counts only if there is no error.
    ///
    /// # Errors
    /// If it is not what was sealed with these keys, all of it and nothing else, or a file fails.
    pub(super) fn unseal(&self, path: &Path, from: &mut dyn Read, to: &mut dyn Write) -> Result<()> {
        let failed = |it: io::Error| Error::new(Kind::File, format_args!("{}: {it}", path.display()));
        let (header, bytes) = Header::read(path, from)?;
        if !self.fits(&header) {
            return Err(damaged(path, 0, "the header is not that of the other files"));
        }
        let cipher = Aes256Gcm::new(&self.key("chunks").into());
        let (mut chunk, mut next) = (vec![0; CHUNK + TAG], vec![0; CHUNK + TAG]);
        let (mut length, mut at) = (fill(from, &mut chunk).map_err(failed)?, HEADER as u64);
        for number in 0_u32.. {
            let more = if length == CHUNK + TAG { fill(from, &mut next).map_err(failed)? } else { 0 };
            let cut = || damaged(path, at, "the file is cut off in the chunk that begins there");
            let (text, tag) = length.checked_sub(TAG).map(|it| chunk.split_at_mut(it)).ok_or_else(cut)?;
            let tag: [u8; TAG] = tag.get(..TAG).and_then(|it| it.try_into().ok()).ok_or_else(cut)?;
            let nonce = Nonce::from(header.nonce(number, more == 0));
            let opened = cipher.decrypt_inout_detached(&nonce, &bytes, (&mut *text).into(), &Tag::from(tag));
            opened.map_err(|_| damaged(path, at, "the chunk that begins there was changed, moved or cut off"))?;
            to.write_all(text).map_err(failed)?;
            if more == 0 {
                return Ok(());
            }
            at += length as u64;
            std::mem::swap(&mut chunk, &mut next);
            length = more;
        }
        Err(damaged(path, at, "there are more chunks than can be"))
    }
}

impl Header {
    fn read(path: &Path, from: &mut dyn Read) -> Result<(Header, [u8; HEADER])> {
        let mut bytes = [0; HEADER];
        let length = fill(from, &mut bytes);
        let length = length.map_err(|it| Error::new(Kind::File, format_args!("{}: {it}", path.display())))?;
        let start = bytes.get(..length.min(MAGIC.len())).unwrap_or_default();
        match start.strip_prefix(b"cutover-sealed/") {
            Some(version) if length >= MAGIC.len() && version != b"1" => {
                let message = format_args!("sealed by a newer cutover, this one reads {FORMAT}: update cutover");
                Err(Error::new(Kind::Snapshot, format_args!("{}: {message}", path.display())))
            }
            _ if length < HEADER => Err(damaged(path, length as u64, "the file is cut off in its header")),
            _ => match Header::parse(&bytes) {
                Some(header) => Ok((header, bytes)),
                None => Err(damaged(path, 0, "the header is that of no sealed file")),
            },
        }
    }

    fn parse(bytes: &[u8; HEADER]) -> Option<Header> {
        let header = Header {
            origin: bytes[16],
            iterations: u32::from_be_bytes(bytes[20..24].try_into().ok()?),
            salt: bytes[24..40].try_into().ok()?,
            check: bytes[40..56].try_into().ok()?,
            prefix: bytes[56..63].try_into().ok()?,
        };
        let iterations = match header.origin {
            PASSPHRASE => 1..=ITERATIONS_MAX,
            KEY_FILE => 0..=0,
            _ => return None,
        };
        (iterations.contains(&header.iterations) && header.bytes() == *bytes).then_some(header)
    }

    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16] = self.origin;
        bytes[20..24].copy_from_slice(&self.iterations.to_be_bytes());
        bytes[24..40].copy_from_slice(&self.salt);
        bytes[40..56].copy_from_slice(&self.check);
        bytes[56..63].copy_from_slice(&self.prefix);
        bytes
    }

    fn nonce(&self, number: u32, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.prefix);
        nonce[7..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = u8::from(last);
        nonce
    }
}

#[cold]
fn damaged(path: &Path, at: u64, what: impl fmt::Display) -> Error {
    let path = path.display();
    Error::new(Kind::Snapshot, format_args!("{path}: damaged at byte {at}: {what}; take another backup"))
}

fn hmac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    // A key that is shorter than a block is followed by zeros (RFC 2104), which makes one of a length that always fits.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|it| Error::new(Kind::File, format_args!("the system gives no random bytes: {it}")))?;
    Ok(bytes)
}

/// Reads until the buffer is full or the file at its end.
fn fill(from: &mut dyn Read, to: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < to.len() {
        match from.read(to.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(it) => length += it,
            Err(it) if it.kind() == io::ErrorKind::Interrupted => {}
            Err(it) => return Err(it),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
