//! A walk through a JSON document that holds one row or one value at a time.

use super::{
    columns::Columns,
    input::{Input, LIMIT, Mark},
    scan::{ARRAY_NEXT, NAME, OBJECT_NEXT, Scanner, VALUE},
};
use crate::{
    error::{Error, Result},
    value::json,
};
use std::path::Path;

/// Where a walk stands in a document.
pub(super) struct Walk {
    pub(super) input: Input,
    scanner: Scanner,
    /// The name that [`Walk::name`] read last.
    name: String,
}

impl Walk {
    /// At the start of the document in the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Walk> {
        Ok(Walk::over(Input::open(path, LIMIT)?))
    }

    /// At the start of the document in `input`.
    pub(super) fn over(input: Input) -> Walk {
        Walk { input, scanner: Scanner::default(), name: String::new() }
    }

    /// The next byte that is not white space. At the end of the file there is none.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let text = self.input.text();
            let (space, whole) = (text.space(0), text.whole);
            self.input.pass(space);
            match self.input.rest().first() {
                Some(&it) => return Ok(Some(it)),
                None if whole => return Ok(None),
                None => self.input.more()?,
            }
        }
    }

    /// Steps into an array or object, whose bracket is the next byte.
    pub(super) fn enter(&mut self) -> Result<()> {
        self.peek()?;
        self.input.pass(1);
        Ok(())
    }

    /// To the next element or member of what ends with `close`. False: there is none, and the walk stands behind it.
    #[inline]
    pub(super) fn next(&mut self, close: u8, first: bool) -> Result<bool> {
        match self.peek()? {
            Some(it) if it == close => {
                self.input.pass(1);
                Ok(false)
            }
            Some(b',') if !first => {
                self.input.pass(1);
                self.peek()?;
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => {
                let what = match (close, first) {
                    (b']', true) => VALUE,
                    (b']', false) => ARRAY_NEXT,
                    (_, true) => NAME,
                    (_, false) => OBJECT_NEXT,
                };
                self.input.scan(|text| Err(text.expected(0, what)))
            }
        }
    }

    /// Passes the name of a member and the colon behind it, and returns the name.
    pub(super) fn name(&mut self) -> Result<&str> {
        let end = self.input.scan(|text| match text.bytes.first() {
            Some(b'"') => Ok(text.string(1)?.0),
            _ => Err(text.expected(0, NAME)),
        })?;
        let start = self.input.mark();
        let name = json::read_string(self.input.pass_text(end)?).map(|it| it.into_owned());
        let Some(name) = name else {
            return Err(self.input.error_at(start, "the name of a member holds half of a surrogate pair"));
        };
        self.name = name;
        match self.peek()? {
            Some(b':') => self.input.pass(1),
            _ => return self.input.scan(|text| Err(text.expected(0, "`:`"))),
        };
        self.peek()?;
        Ok(&self.name)
    }

    /// The name that [`Walk::name`] read last, and the value next to it as written, which is passed.
    pub(super) fn member(&mut self) -> Result<(&str, &str)> {
        let end = self.input.scan(|text| self.scanner.value(text, 0))?;
        Ok((&self.name, self.input.pass_text(end)?))
    }

    /// Passes the next value and returns it as written.
    pub(super) fn value(&mut self) -> Result<&str> {
        self.member().map(|it| it.1)
    }

    /// Passes the next value, which has to be an object, and returns it as written. What its members are stands in
    /// `columns`, and `fault` takes what is wrong with their names unless it holds something already.
    #[inline]
    pub(super) fn row(&mut self, columns: &mut Columns, fault: &mut Option<Error>) -> Result<&str> {
        let end = self.input.scan(|text| columns.read(&mut self.scanner, text, 0))?;
        if let Some((at, what)) = columns.fault() {
            fault.get_or_insert_with(|| self.input.error(at, what));
        }
        self.input.pass_text(end)
    }

    /// Makes sure that nothing follows.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => self.input.scan(|text| Err(text.expected(0, "the end of the document"))),
        }
    }

    /// Back to the start, as [`Input::rewind`].
    pub(super) fn rewind(&mut self) -> Result<()> {
        self.input.rewind()
    }

    /// The place of the next byte.
    pub(super) fn mark(&mut self) -> Mark {
        self.input.mark()
    }
}
