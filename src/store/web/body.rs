//! The body of an answer: all of it, unpacked, and never more than fits.

use super::Failure;
use crate::error::Kind;
use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use std::{
    cell::Cell,
    io::{self, BufReader, ErrorKind, Read},
};

/// Bytes that a body may have, on the wire and unpacked.
const MAX: u64 = 256 << 20;
/// How many times as large a body may become by unpacking, once it has more than [`SMALL`] bytes. JSON seldom gets over 50;
/// the format ends at 1032.
const RATIO: u64 = 200;
const SMALL: u64 = 16 << 20;

/// Reads the body to its end. `late` says, now and then, whether the time is up.
pub(super) fn read(wire: impl Read, headers: &HeaderMap, late: &dyn Fn() -> bool) -> Result<Vec<u8>, Failure> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|it| it > MAX) {
        return Err(too_large());
    }
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok("identity"), |it| it.to_str());
    let taken = Cell::new(0);
    let wire = BufReader::with_capacity(64 << 10, Counted { wire, taken: &taken });
    match encoding.map(str::trim) {
        Ok("identity" | "") => drain(wire, None, late),
        Ok("gzip" | "x-gzip") => drain(MultiGzDecoder::new(wire), Some(&taken), late),
        it => {
            let name: String = it.unwrap_or("?").chars().filter(|it| !it.is_control()).take(20).collect();
            let why = format!("the answer is packed as `{name}`, which was not asked for");
            Err(Failure { kind: Kind::Store, why, again: false })
        }
    }
}

/// Reads to the end. `packed` counts what came over the wire, where that is something else.
fn drain(mut from: impl Read, packed: Option<&Cell<u64>>, late: &dyn Fn() -> bool) -> Result<Vec<u8>, Failure> {
    let (mut body, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => return Ok(body),
            Ok(it) => it,
            Err(it) if it.kind() == ErrorKind::Interrupted => continue,
            // A packed body of nothing at all, as the answer to HEAD has it.
            Err(it) if it.get_ref().is_none() && packed.is_some_and(|it| it.get() == 0) => return Ok(body),
            Err(it) => return Err(Failure::passing(format!("the answer broke off: {}", reason(&it)))),
        };
        if late() {
            return Err(Failure::passing("the answer did not end in time".to_owned()));
        }
        body.extend_from_slice(chunk.get(..count).unwrap_or_default());
        let length = body.len() as u64;
        let bomb = packed.is_some_and(|it| length > SMALL && length / RATIO > it.get());
        if length > MAX || bomb {
            return Err(too_large());
        }
    }
}

fn too_large() -> Failure {
    let why = format!("the answer is larger than the limit of {} MiB, or unpacks to far more than was sent", MAX >> 20);
    Failure { kind: Kind::Limit, why, again: false }
}

/// Counts what is read through it.
struct Counted<'c, R> {
    wire: R,
    taken: &'c Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.wire.read(to)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

/// What the innermost cause of an error of reading says.
fn reason(error: &io::Error) -> String {
    if error.kind() == ErrorKind::UnexpectedEof {
        return "it is shorter than it should be".to_owned();
    }
    super::root(error).to_string()
}
