//! The one pass over a document.
//!
//! It checks the text and copies it compactly, in as few pieces as there are blanks to leave out. Objects whose members arrive out of order are only noted on the
//! way; the end puts all of them in order in one more pass. Work is O(n log n) for any shape of nesting, and memory a
//! small multiple of the text. What every cell goes through is inlined by force: left to the compiler, the check took
//! half as long again.
use super::{DEPTH, Fault, escape, plain_end, unescape};
use std::cell::RefCell;
use std::cmp::Ordering;

/// [`super::canonical`] for a text whose offsets fit into 32 bits.
pub(super) fn document(text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        let base = out.len();
        let mut scan = Scan { text, bytes: text.as_bytes(), at: 0, copied: 0, base, out, scratch };
        let done = scan.document();
        match done {
            Ok(()) => scan.finish(),
            Err(_) => out.truncate(base),
        }
        scratch.shrink();
        done
    })
}

thread_local! {
    /// Kept between documents so that the usual cell allocates nothing.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Above this many members the scratch is given back after the document.
const KEPT: usize = 1 << 16;

/// What a scan notes besides the bytes it copies. Places in the output are counted from where the document starts.
#[derive(Default)]
struct Scratch {
    /// Arrays and objects that are open, outermost first.
    frames: Vec<Frame>,
    /// Members so far of the objects that are open.
    members: Vec<Member>,
    /// Objects to put in order, in the order in which they closed.
    shuffles: Vec<Shuffle>,
    /// The members of those objects, sorted: where each stands in the compact text.
    pieces: Vec<(u32, u32)>,
    todo: Vec<Stretch>,
}

struct Frame {
    start: u32,
    /// Index of the object's first member.
    first: u32,
    object: bool,
    sorted: bool,
}

#[derive(Clone, Copy)]
struct Member {
    /// The key between its quotes, in the input.
    key: (u32, u32),
    escaped: bool,
    /// The whole member in the output.
    start: u32,
    end: u32,
}

struct Shuffle {
    start: u32,
    end: u32,
    pieces: (u32, u32),
}

/// A part of the compact text still to be written in order, after the byte `lead` if there is one.
struct Stretch {
    lead: Option<u8>,
    start: u32,
    end: u32,
}

impl Scratch {
    fn clear(&mut self) {
        self.frames.clear();
        self.members.clear();
        self.shuffles.clear();
        self.pieces.clear();
        self.todo.clear();
    }

    fn shrink(&mut self) {
        let largest = self.frames.capacity().max(self.members.capacity()).max(self.pieces.capacity());
        if largest.max(self.todo.capacity()).max(self.shuffles.capacity()) > KEPT {
            *self = Scratch::default();
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Input before this byte is in `out`, what follows up to `at` is canonical and still to be copied.
    copied: usize,
    base: usize,
    out: &'a mut Vec<u8>,
    scratch: &'a mut Scratch,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), Fault> {
        if self.text.starts_with('\u{feff}') {
            return Err(self.fault("byte order mark"));
        }
        loop {
            self.skip_blanks();
            if self.value()? && self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar or an empty container and returns true, or opens a container up to its first value.
    #[inline(always)]
    fn value(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            b'"' => self.string().map(|_| true),
            b'{' => {
                self.open(true)?;
                if self.peek() != b'}' {
                    self.key()?;
                    return Ok(false);
                }
                self.close()?;
                Ok(true)
            }
            b'[' => {
                self.open(false)?;
                if self.peek() != b']' {
                    return Ok(false);
                }
                self.close()?;
                Ok(true)
            }
            b'-' | b'0'..=b'9' => self.number().map(|()| true),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => Err(self.fault("expected a value")),
        }
    }

    /// Closes what ends after a value. True at the end of the document, false where the next value starts.
    #[inline(always)]
    fn after_value(&mut self) -> Result<bool, Fault> {
        loop {
            self.skip_blanks();
            let Some(frame) = self.scratch.frames.last() else {
                if self.at == self.bytes.len() {
                    return Ok(true);
                }
                return Err(self.fault("something follows the end of the document"));
            };
            match (self.peek(), frame.object) {
                (b',', true) => {
                    self.at += 1;
                    self.skip_blanks();
                    self.key()?;
                    return Ok(false);
                }
                (b',', false) => {
                    self.at += 1;
                    return Ok(false);
                }
                (b'}', true) | (b']', false) => self.close()?,
                (_, true) => return Err(self.fault("expected `,` or `}`")),
                (_, false) => return Err(self.fault("expected `,` or `]`")),
            }
        }
    }

    fn open(&mut self, object: bool) -> Result<(), Fault> {
        if self.scratch.frames.len() == DEPTH {
            return Err(self.fault("nested deeper than 100000"));
        }
        let (start, first) = (self.place(), narrow(self.scratch.members.len()));
        self.scratch.frames.push(Frame { start, first, object, sorted: true });
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self) -> Result<(), Fault> {
        let end = self.place();
        self.at += 1;
        let Some(frame) = self.scratch.frames.pop() else { return Ok(()) };
        if !frame.sorted {
            self.shuffle(&frame, end)?;
        }
        self.scratch.members.truncate(frame.first as usize);
        Ok(())
    }

    /// Sorts the members of an object whose `}` stands at `end`, and notes where they go.
    fn shuffle(&mut self, frame: &Frame, end: u32) -> Result<(), Fault> {
        let members = &mut self.scratch.members[frame.first as usize..];
        let mut comma = end;
        for member in members.iter_mut().rev() {
            member.end = comma;
            comma = member.start - 1;
        }
        members.sort_unstable_by(|a, b| compare_keys(self.text, a, b));
        for pair in members.windows(2) {
            if compare_keys(self.text, &pair[0], &pair[1]) == Ordering::Equal {
                return Err(duplicate(pair[0].key.0.max(pair[1].key.0)));
            }
        }
        let first = narrow(self.scratch.pieces.len());
        self.scratch.pieces.extend(members.iter().map(|member| (member.start, member.end)));
        let pieces = (first, narrow(self.scratch.pieces.len()));
        self.scratch.shuffles.push(Shuffle { start: frame.start, end: end + 1, pieces });
        Ok(())
    }

    /// Reads a key and its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != b'"' {
            return Err(self.fault("expected a key"));
        }
        let (start, key) = (self.place(), narrow(self.at + 1));
        let escaped = self.string()?;
        let member = Member { key: (key, narrow(self.at - 1)), escaped, start, end: start };
        self.skip_blanks();
        if self.peek() != b':' {
            return Err(self.fault("expected `:`"));
        }
        self.at += 1;
        if let Some(frame) = self.scratch.frames.last_mut()
            && frame.sorted
            && let Some(last) = self.scratch.members[frame.first as usize..].last()
        {
            match compare_keys(self.text, last, &member) {
                Ordering::Less => {}
                Ordering::Equal => return Err(duplicate(key)),
                Ordering::Greater => frame.sorted = false,
            }
        }
        self.scratch.members.push(member);
        Ok(())
    }

    /// Reads a string and says whether it holds escapes.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Fault> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.fault("control character in a string")),
                None => return Err(self.fault("expected `\"`")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let rest = &self.bytes[self.at..];
        let (character, length) = unescape(rest).map_err(|what| self.fault(what))?;
        let mut buffer = [0; 6];
        let shortest = escape(character, &mut buffer);
        if &rest[..length] != shortest {
            self.flush();
            self.out.extend_from_slice(shortest);
            self.copied = self.at + length;
        }
        self.at += length;
        Ok(())
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_ascii_digit() {
            return Err(self.fault("expected a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn word(&mut self, word: &str) -> Result<bool, Fault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(true)
    }

    #[inline(always)]
    fn skip_blanks(&mut self) {
        if self.peek() <= b' ' {
            self.leave_blanks_out();
        }
    }

    fn leave_blanks_out(&mut self) {
        self.flush();
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        self.copied = self.at;
    }

    fn flush(&mut self) {
        self.out.extend_from_slice(&self.bytes[self.copied..self.at]);
        self.copied = self.at;
    }

    /// The next byte, or NUL (which nothing outside a string accepts) at the end.
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Where the next byte will stand in the output.
    #[inline(always)]
    fn place(&self) -> u32 {
        narrow(self.out.len() - self.base + self.at - self.copied)
    }

    #[cold]
    fn fault(&self, what: &'static str) -> Fault {
        Fault { offset: self.at, what: if self.at < self.bytes.len() { what } else { "unexpected end" } }
    }

    /// Copies the rest, then rewrites the compact text behind itself with every object in order, each byte once.
    fn finish(&mut self) {
        self.flush();
        let Scan { base, out, scratch: Scratch { shuffles, pieces, todo, .. }, .. } = self;
        if shuffles.is_empty() {
            return;
        }
        shuffles.sort_unstable_by_key(|shuffle| shuffle.start);
        let length = out.len() - *base;
        out.reserve(length);
        todo.push(Stretch { lead: None, start: 0, end: narrow(length) });
        while let Some(Stretch { lead, start, end }) = todo.pop() {
            out.extend(lead);
            let next = shuffles.partition_point(|shuffle| shuffle.start < start);
            let inner = shuffles.get(next).filter(|shuffle| shuffle.start < end);
            let stop = inner.map_or(end, |shuffle| shuffle.start);
            out.extend_from_within(*base + start as usize..*base + stop as usize);
            if let Some(shuffle) = inner {
                todo.push(Stretch { lead: None, start: shuffle.end - 1, end });
                let members = &pieces[shuffle.pieces.0 as usize..shuffle.pieces.1 as usize];
                for (rank, &(start, end)) in members.iter().enumerate().rev() {
                    todo.push(Stretch { lead: Some(if rank == 0 { b'{' } else { b',' }), start, end });
                }
            }
        }
        out.copy_within(*base + length.., *base);
        out.truncate(*base + length);
    }
}

#[cold]
fn duplicate(key: u32) -> Fault {
    Fault { offset: key as usize - 1, what: "duplicate key" }
}

/// An offset as it is stored; exact, as [`canonical`] refuses texts for which it would not be.
#[inline(always)]
fn narrow(offset: usize) -> u32 {
    offset as u32
}

/// The order of two keys by UTF-16 code units.
#[inline(always)]
fn compare_keys(text: &str, a: &Member, b: &Member) -> Ordering {
    let (x, y) = (a.key.0 as usize..a.key.1 as usize, b.key.0 as usize..b.key.1 as usize);
    if a.escaped || b.escaped {
        return Units { rest: &text[x], low: None }.cmp(Units { rest: &text[y], low: None });
    }
    compare_plain(&text.as_bytes()[x], &text.as_bytes()[y])
}

/// The order of two keys without escapes by UTF-16 code units.
#[inline(always)]
pub(super) fn compare_plain(x: &[u8], y: &[u8]) -> Ordering {
    match x.iter().zip(y).find(|(x, y)| x != y) {
        None => x.len().cmp(&y.len()),
        // Where UTF-8 and UTF-16 disagree: U+10000 and up (from byte F0) come before U+E000 to U+FFFF (EE, EF).
        Some((&x, &y)) if x >= 0xEE && y >= 0xEE => (x < 0xF0).cmp(&(y < 0xF0)).then(x.cmp(&y)),
        Some((x, y)) => x.cmp(y),
    }
}

/// The UTF-16 code units of a checked string between its quotes.
struct Units<'a> {
    rest: &'a str,
    low: Option<u16>,
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some(low) = self.low.take() {
            return Some(low);
        }
        let (character, length) = match self.rest.chars().next()? {
            '\\' => unescape(self.rest.as_bytes()).ok()?,
            plain => (plain, plain.len_utf8()),
        };
        self.rest = &self.rest[length..];
        let mut units = [0; 2];
        let units = character.encode_utf16(&mut units);
        self.low = units.get(1).copied();
        units.first().copied()
    }
}
