//! The members of row objects, told apart without a map per row.

use super::scan::{Halt, Member, Scanner, Text};
use crate::value::json;
use std::{collections::HashMap, ops::Range};

/// How many differently named members the rows of one table may have, and how many bytes their names may have together.
pub(super) const COLUMNS: usize = 10_000;
pub(super) const COLUMN_NAMES: usize = 16 << 20;

/// The columns of a table, and where the current row has its values.
///
/// Rows nearly always name their members in the order of the row before, so each column remembers which one came after it.
#[derive(Default)]
pub(super) struct Columns {
    names: Vec<String>,
    /// The bytes of all names.
    length: usize,
    /// Each name as it was last written.
    written: Vec<Vec<u8>>,
    /// For the start of a row and then for each column: which column followed.
    next: Vec<usize>,
    places: HashMap<String, usize>,
    /// What a member with an unknown name is: the first sight of a column, or a mistake described here.
    unknown: Option<&'static str>,
    row: u64,
    /// In which row each column was last seen.
    seen: Vec<u64>,
    values: Vec<Range<usize>>,
    /// Whether each column has held an array or an object, and whether anything else but null.
    held: Vec<[bool; 2]>,
    /// The member before, plus one.
    last: usize,
    fault: Option<(usize, String)>,
}

impl Columns {
    /// Columns that must be among `names`; a member that is not is refused with `unknown`.
    pub(super) fn fixed<'a>(names: impl IntoIterator<Item = &'a str>, unknown: &'static str) -> Columns {
        let mut columns = Columns::default();
        for name in names {
            columns.add(name, name.as_bytes());
        }
        columns.unknown = Some(unknown);
        columns
    }

    /// From now on a name that has not come yet is a mistake, as the file has been read through.
    pub(super) fn close(&mut self) {
        self.unknown = Some("was not there when the file was first read: the file changes while it is read");
    }

    /// In order of first appearance.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a column has held arrays and objects, and nothing else but null: then it is one of documents.
    pub(super) fn holds_documents(&self, column: usize) -> bool {
        self.held.get(column) == Some(&[true, false])
    }

    /// Reads the row object at `at` and returns where it ends.
    #[inline]
    pub(super) fn read(&mut self, scanner: &mut Scanner, text: Text<'_>, at: usize) -> Result<usize, Halt> {
        self.row += 1;
        (self.last, self.fault) = (0, None);
        scanner.object(text, at, |member| self.member(text.bytes, member))
    }

    /// What is wrong with the names in the current row, and where.
    pub(super) fn fault(&mut self) -> Option<(usize, String)> {
        self.fault.take()
    }

    /// The value that the current row has in `column`, unless it is absent.
    #[inline]
    pub(super) fn value(&self, column: usize) -> Option<Range<usize>> {
        (self.seen.get(column) == Some(&self.row)).then(|| self.values[column].clone())
    }

    #[inline]
    fn member(&mut self, bytes: &[u8], member: Member) {
        let written = &bytes[member.name.clone()];
        let Some(column) = self.find(written, &member) else { return };
        if self.seen[column] == self.row {
            let what = format!("the member `{}` comes twice in one object", self.names[column]);
            return self.refuse(member.name.start - 1, what);
        }
        self.seen[column] = self.row;
        match bytes.get(member.value.start) {
            Some(b'{' | b'[') => self.held[column][0] = true,
            Some(b'n') | None => {}
            Some(_) => self.held[column][1] = true,
        }
        self.values[column] = member.value;
        self.last = column + 1;
    }

    #[inline]
    fn find(&mut self, written: &[u8], member: &Member) -> Option<usize> {
        let guess = self.next.get(self.last).copied().unwrap_or(usize::MAX);
        if self.written.get(guess).is_some_and(|it| it == written) {
            return Some(guess);
        }
        // One member left out is the usual reason for a miss.
        let after = self.next.get(guess.wrapping_add(1)).copied().unwrap_or(usize::MAX);
        if self.written.get(after).is_some_and(|it| it == written) {
            return Some(after);
        }
        let column = self.look_up(written, member)?;
        self.next[self.last] = column;
        Some(column)
    }

    #[cold]
    fn look_up(&mut self, written: &[u8], member: &Member) -> Option<usize> {
        // Whoever reads the row checks it for UTF-8 and says where it is not.
        let text = std::str::from_utf8(written).ok()?;
        let name = match member.escaped {
            true => json::read_string(&format!("\"{text}\"")).map(|it| it.into_owned()),
            false => Some(text.to_owned()),
        };
        let start = member.name.start - 1;
        let Some(name) = name else {
            self.refuse(start, format!("the name of a member holds half of a surrogate pair: \"{text}\""));
            return None;
        };
        if let Some(&column) = self.places.get(&name) {
            self.written[column].clear();
            self.written[column].extend_from_slice(written);
            return Some(column);
        }
        if let Some(unknown) = self.unknown {
            self.refuse(start, format!("the member `{name}` {unknown}"));
            return None;
        }
        if self.names.len() == COLUMNS || self.length + name.len() > COLUMN_NAMES {
            let what = "rows have members of more different names than the limit";
            self.refuse(start, format!("{what} of {COLUMNS}, or names of more than 16 MiB"));
            return None;
        }
        Some(self.add(&name, written))
    }

    fn add(&mut self, name: &str, written: &[u8]) -> usize {
        let column = self.names.len();
        self.length += name.len();
        self.names.push(name.to_owned());
        self.written.push(written.to_vec());
        // Until a row says otherwise, columns follow each other as they came.
        self.next.extend(self.next.len()..column + 2);
        self.places.insert(name.to_owned(), column);
        self.seen.push(0);
        self.values.push(0..0);
        self.held.push([false, false]);
        column
    }

    fn refuse(&mut self, at: usize, what: String) {
        self.fault.get_or_insert((at, what));
    }
}
