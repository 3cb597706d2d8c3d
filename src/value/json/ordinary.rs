//! The one pass over an ordinary document: of moderate length and depth, without escapes, and with no blanks but one behind a colon or
//! a comma, as programs write them.
//!
//! It checks and copies eight bytes at a time, leaves the blanks out, and puts the members of an object in order when the object ends:
//! Postgres hands out `jsonb` with blanks, and with its keys ordered by their length. It gives up at the first thing that is rare
//! or wrong. The scan then sees to that, and says what is wrong.
//!
//! All lies in arrays of fixed size, and every place is cut to that size: what is within bounds by construction is not asked again at
//! each byte, which took half as long again.
use super::scan::compare_plain;
use super::{TOPS, marks};
use std::cell::RefCell;
use std::cmp::Ordering;

/// Below how many bytes, levels and members of open objects a document is ordinary. Powers of two.
const LENGTH: usize = 16 << 10;
const LEVELS: usize = 16;
const MEMBERS: usize = 64;

/// Eight bytes are read and written at once, also where fewer are left.
const WORD: usize = 8;

thread_local! {
    /// Kept between documents so that none allocates.
    static ROOM: RefCell<Room> = const {
        RefCell::new(Room {
            input: [0; LENGTH + WORD],
            text: [0; 2 * LENGTH + WORD],
            levels: [const { Level { object: false, sorted: true, start: 0, first: 0 } }; LEVELS],
            members: [const { Member { prefix: 0, start: 0, key: 0, end: 0 } }; MEMBERS],
        })
    };
}

struct Room {
    /// The document, and NULs behind it.
    input: [u8; LENGTH + WORD],
    /// The compact text, and behind it an object that is being put in order.
    text: [u8; 2 * LENGTH + WORD],
    levels: [Level; LEVELS],
    members: [Member; MEMBERS],
}

/// An array or an object that is open.
struct Level {
    object: bool,
    sorted: bool,
    /// Where it begins in the compact text.
    start: u16,
    /// Its first member, of those of all objects that are open.
    first: u16,
}

/// A member of an object, by places in the compact text.
#[derive(Clone, Copy)]
struct Member {
    /// The first bytes of the key, which tell most keys apart.
    prefix: u64,
    /// Where the member begins, with the quote of its key.
    start: u16,
    /// Where the key ends, before the quote behind it.
    key: u16,
    end: u16,
}

/// Appends the canonical form of the one document in `bytes` to `out` if it is ordinary. Otherwise `out` stays as it was, and nothing
/// is known.
#[inline]
pub(super) fn document(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    ROOM.with_borrow_mut(|room| whole(bytes, room, out).is_some())
}

fn whole(bytes: &[u8], room: &mut Room, out: &mut Vec<u8>) -> Option<()> {
    if bytes.len() >= LENGTH {
        return None;
    }
    room.input[..bytes.len()].copy_from_slice(bytes);
    room.input[bytes.len()..bytes.len() + WORD].fill(0);
    let mut scan = Scan { room, at: 0, to: 0, depth: 0, count: 0, seen: 0 };
    let begin = scan.document()?;
    let plain = scan.seen & TOPS == 0 || std::str::from_utf8(bytes).is_ok();
    if scan.at != bytes.len() || !plain {
        return None;
    }
    out.extend_from_slice(scan.room.text.get(begin..scan.to)?);
    Some(())
}

struct Scan<'a> {
    room: &'a mut Room,
    /// How far the document is read.
    at: usize,
    /// How far the text is written.
    to: usize,
    /// How many levels are open, and how many members they have so far.
    depth: usize,
    count: usize,
    /// The bits of all bytes of strings.
    seen: u64,
}

impl Scan<'_> {
    /// Where the compact document begins in the text; it ends at `to`.
    #[inline(always)]
    fn document(&mut self) -> Option<usize> {
        loop {
            if !self.value()? {
                continue;
            }
            if let Some(begin) = self.after_value()? {
                return Some(begin);
            }
        }
    }

    /// Copies a scalar or an empty container and returns true, or opens a container up to its first value.
    #[inline(always)]
    fn value(&mut self) -> Option<bool> {
        let word = self.word();
        match word as u8 {
            b'"' => self.string()?,
            opening @ (b'{' | b'[') => return self.open(opening),
            b't' => self.literal(word, b"true\0\0\0\0", 4)?,
            b'f' => self.literal(word, b"false\0\0\0", 5)?,
            b'n' => self.literal(word, b"null\0\0\0\0", 4)?,
            _ => self.number()?,
        }
        Some(true)
    }

    #[inline(always)]
    fn open(&mut self, opening: u8) -> Option<bool> {
        let (start, first) = (self.to as u16, self.count as u16);
        self.put(opening);
        self.at += 1;
        // In ASCII a closing bracket comes two after its opening one.
        if self.peek() == opening + 2 {
            self.put(opening + 2);
            self.at += 1;
            return Some(true);
        }
        if self.depth == LEVELS {
            return None;
        }
        self.room.levels[self.depth % LEVELS] = Level { object: opening == b'{', sorted: true, start, first };
        self.depth += 1;
        if opening == b'{' {
            self.key()?;
        }
        Some(false)
    }

    /// Closes what ends after a value. At the end of the document: where in the text it begins. Nothing where the next value begins.
    #[inline(always)]
    fn after_value(&mut self) -> Option<Option<usize>> {
        loop {
            if self.depth == 0 {
                return Some(Some(0));
            }
            let byte = self.peek();
            self.at += 1;
            let level = &self.room.levels[(self.depth - 1) % LEVELS];
            if level.object {
                self.room.members[(self.count - 1) % MEMBERS].end = self.to as u16;
            }
            match (byte, level.object) {
                (b',', object) => {
                    self.put(b',');
                    self.skip_blank();
                    if object {
                        self.key()?;
                    }
                    return Some(None);
                }
                (b']', false) => self.put(b']'),
                (b'}', true) => {
                    let (start, first, sorted) = (level.start.into(), level.first.into(), level.sorted);
                    let begin = if sorted { start } else { self.sort(first)? };
                    self.put(b'}');
                    self.count = first;
                    if self.depth == 1 {
                        self.depth = 0;
                        return Some(Some(begin));
                    }
                    if begin > start {
                        self.room.text.copy_within(begin..self.to, start);
                        self.to = begin + 1;
                    }
                }
                _ => return None,
            }
            self.depth -= 1;
        }
    }

    /// Copies a key and its colon.
    #[inline(always)]
    fn key(&mut self) -> Option<()> {
        if self.peek() != b'"' || self.count == MEMBERS {
            return None;
        }
        let (start, from) = (self.to, self.at + 1);
        self.string()?;
        let (key, length) = (self.to - 1, self.at - 1 - from);
        let word = u64::from_le_bytes(self.room.input_word(from));
        let word = if length < WORD { word & !(u64::MAX << (8 * length)) } else { word };
        let member = Member { prefix: word.swap_bytes(), start: start as u16, key: key as u16, end: 0 };
        if self.peek() != b':' {
            return None;
        }
        self.put(b':');
        self.at += 1;
        self.skip_blank();
        let level = &mut self.room.levels[(self.depth - 1) % LEVELS];
        if level.sorted && self.count > usize::from(level.first) {
            let last = self.room.members[(self.count - 1) % MEMBERS];
            level.sorted = precedes(&self.room.text, &last, &member)?;
        }
        self.room.members[self.count % MEMBERS] = member;
        self.count += 1;
        Some(())
    }

    /// Copies the members of an object, from its first one on, in order behind the text. Where it begins then; it is not closed.
    #[inline(always)]
    fn sort(&mut self, first: usize) -> Option<usize> {
        let Room { text, members, .. } = &mut *self.room;
        for next in first + 1..self.count {
            let member = members[next % MEMBERS];
            let mut place = next;
            while place > first {
                let before = members[(place - 1) % MEMBERS];
                if precedes(text, &before, &member)? {
                    break;
                }
                members[place % MEMBERS] = before;
                place -= 1;
            }
            members[place % MEMBERS] = member;
        }
        let begin = self.to;
        let mut lead = b'{';
        for rank in first..self.count {
            self.put(lead);
            lead = b',';
            let Member { start, end, .. } = self.room.members[rank % MEMBERS];
            let (mut from, stop) = (usize::from(start), self.to + usize::from(end - start));
            while self.to < stop {
                let word = self.room.text_word(from);
                self.put_word(word);
                (from, self.to) = (from + WORD, self.to + WORD);
            }
            self.to = stop;
        }
        Some(begin)
    }

    #[inline(always)]
    fn string(&mut self) -> Option<()> {
        self.put(b'"');
        self.at += 1;
        loop {
            let word = self.word();
            self.seen |= word;
            self.put_word(word.to_le_bytes());
            let marks = marks(word);
            if marks == 0 {
                (self.at, self.to) = (self.at + WORD, self.to + WORD);
                continue;
            }
            let end = marks.trailing_zeros() & !7;
            let length = end as usize / 8 + 1;
            (self.at, self.to) = (self.at + length, self.to + length);
            return ((word >> end) as u8 == b'"').then_some(());
        }
    }

    #[inline(always)]
    fn literal(&mut self, word: u64, literal: &[u8; WORD], length: usize) -> Option<()> {
        self.put_word(*literal);
        (self.at, self.to) = (self.at + length, self.to + length);
        (word << (64 - 8 * length) == u64::from_le_bytes(*literal) << (64 - 8 * length)).then_some(())
    }

    /// Copies a number without an exponent.
    #[inline(always)]
    fn number(&mut self) -> Option<()> {
        if self.peek() == b'-' {
            self.put(b'-');
            self.at += 1;
        }
        let zero = self.peek() == b'0';
        if self.digits()? > 1 && zero {
            return None;
        }
        if self.peek() == b'.' {
            self.put(b'.');
            self.at += 1;
            self.digits()?;
        }
        // What an exponent begins with is refused by whoever looks at what follows.
        Some(())
    }

    /// Copies digits and says how many.
    #[inline(always)]
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while let digit @ b'0'..=b'9' = self.peek() {
            self.put(digit);
            self.at += 1;
        }
        (self.at > start).then_some(self.at - start)
    }

    #[inline(always)]
    fn skip_blank(&mut self) {
        self.at += usize::from(self.peek() == b' ');
    }

    #[inline(always)]
    fn put(&mut self, byte: u8) {
        self.room.text[self.to % (2 * LENGTH)] = byte;
        self.to += 1;
    }

    #[inline(always)]
    fn put_word(&mut self, word: [u8; WORD]) {
        let to = self.to % (2 * LENGTH);
        self.room.text[to..to + WORD].copy_from_slice(&word);
    }

    /// The next byte, or NUL (which nothing accepts) at the end.
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.room.input[self.at % LENGTH]
    }

    /// The next eight bytes, the first one lowest.
    #[inline(always)]
    fn word(&self) -> u64 {
        u64::from_le_bytes(self.room.input_word(self.at))
    }
}

impl Room {
    #[inline(always)]
    fn input_word(&self, at: usize) -> [u8; WORD] {
        let at = at % LENGTH;
        let mut word = [0; WORD];
        word.copy_from_slice(&self.input[at..at + WORD]);
        word
    }

    #[inline(always)]
    fn text_word(&self, at: usize) -> [u8; WORD] {
        let at = at % (2 * LENGTH);
        let mut word = [0; WORD];
        word.copy_from_slice(&self.text[at..at + WORD]);
        word
    }
}

/// Whether a key comes first, by UTF-16 code units. Nothing if both are the same.
#[inline(always)]
fn precedes(text: &[u8], a: &Member, b: &Member) -> Option<bool> {
    // No key holds a NUL, so a key that ends sorts before those that it begins.
    if a.prefix != b.prefix && (a.prefix | b.prefix) & TOPS == 0 {
        Some(a.prefix < b.prefix)
    } else {
        compare(text, a, b)
    }
}

#[inline(never)]
fn compare(text: &[u8], a: &Member, b: &Member) -> Option<bool> {
    let key = |it: &Member| text.get(usize::from(it.start) + 1..it.key.into()).unwrap_or_default();
    match compare_plain(key(a), key(b)) {
        Ordering::Equal => None,
        order => Some(order == Ordering::Less),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expect: Option<&str>) {
        let mut out = b"kept".to_vec();
        let told = document(bytes, &mut out);
        let made = out.strip_prefix(b"kept").map(String::from_utf8_lossy);
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!((told, made.as_deref()), (expect.is_some(), Some(expect.unwrap_or_default())), "{shown}");
    }

    #[test]
    fn documents_with_blanks_and_in_any_order() {
        for (text, expect) in [
            ("-1.50", "-1.50"),
            ("0", "0"),
            ("\"\"", "\"\""),
            ("[]", "[]"),
            ("{}", "{}"),
            ("[{}, [], null, false, true, \"é\"]", "[{},[],null,false,true,\"é\"]"),
            (
                r#"{"vip": true, "city": "fjord", "tags": ["amber", "cedar"], "score": 68.2}"#,
                r#"{"city":"fjord","score":68.2,"tags":["amber","cedar"],"vip":true}"#,
            ),
            (r#"{"b": {"d": 1, "c": [{"f": 2, "e": 3}]}, "a": 4}"#, r#"{"a":4,"b":{"c":[{"e":3,"f":2}],"d":1}}"#),
            (r#"[{"b": {"d": 1, "c": 2}, "a": 4}, 5]"#, r#"[{"a":4,"b":{"c":2,"d":1}},5]"#),
            (
                r#"{"created_by": 1, "created_at": 2, "created": 3, "": 4}"#,
                r#"{"":4,"created":3,"created_at":2,"created_by":1}"#,
            ),
            ("{\"\u{e000}\": 1, \"\u{10000}\": 2}", "{\"\u{10000}\":2,\"\u{e000}\":1}"),
            ("{\"a\u{e000}\": 1, \"a\u{10000}\": 2, \"a\": 3}", "{\"a\":3,\"a\u{10000}\":2,\"a\u{e000}\":1}"),
        ] {
            check(text.as_bytes(), Some(expect));
        }
    }

    #[test]
    fn all_else_is_left_alone() {
        for text in [
            "",
            " ",
            "\0",
            "-",
            "01",
            "-01",
            "1.",
            "1e5",
            "1 ",
            " 1",
            "[ ]",
            "[1 ]",
            "[1,  2]",
            "{\"a\" :1}",
            "[1,\n2]",
            "1 2",
            "tru",
            "truth",
            "nul",
            "\"",
            "\"a",
            "\"\\n\"",
            "\"\n\"",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "[1}",
            "[1 2]",
            "{",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1]",
            "{\"a\":1,}",
            "{1:2}",
            "{a:1}",
            "}",
            "]",
            "{}{",
            "[]]",
            "{\"a\":1,\"a\":2}",
            "{\"b\":1,\"a\":2,\"b\":3}",
            "{\"longer than\":1,\"b\":2,\"longer than\":3}",
            "\u{feff}1",
            "\u{a0}1",
            "[1]\0",
        ] {
            check(text.as_bytes(), None);
        }
        for bytes in [&b"\"\xff\""[..], b"[\"\xc3\", \"\xa9\"]", b"\xff"] {
            check(bytes, None);
        }
    }

    #[test]
    fn what_is_too_large_is_left_alone() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        check(nested(LEVELS + 1).as_bytes(), Some(&nested(LEVELS + 1)));
        check(nested(LEVELS + 2).as_bytes(), None);
        let members = |count: usize| (0..count).map(|it| format!("\"{it:09}\":{it}")).collect::<Vec<_>>();
        let object = |members: Vec<String>| format!("{{{}}}", members.join(","));
        let reverse = |count: usize| object(members(count).into_iter().rev().collect());
        check(reverse(MEMBERS).as_bytes(), Some(&object(members(MEMBERS))));
        check(reverse(MEMBERS + 1).as_bytes(), None);
        let long = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        for length in LENGTH - 20..LENGTH {
            check(long(length).as_bytes(), Some(&long(length)));
        }
        check(long(LENGTH).as_bytes(), None);
        let body = "y".repeat(LENGTH - 30);
        check(format!(r#"[{{"b":"{body}","a":{{}}}}]"#).as_bytes(), Some(&format!(r#"[{{"a":{{}},"b":"{body}"}}]"#)));
    }
}
