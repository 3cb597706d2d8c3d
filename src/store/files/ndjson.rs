//! Rows as JSON objects, one a line.

use super::{
    FileOptions,
    columns::Columns,
    input::{Input, LIMIT},
    json::{cell, guessed, without_columns},
    pass_on,
    scan::{Halt, Scanner, Text},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
    schema::Table,
    store::{Source, places},
};
use std::{path::Path, sync::Arc};

/// A file of lines.
pub(super) struct Lines {
    pub(super) input: Input,
    pub(super) scanner: Scanner,
    pub(super) columns: Columns,
    pub(super) table: Table,
}

impl Lines {
    /// Reads the file once, to check it and to learn its columns.
    pub(super) fn open(path: &Path, options: &FileOptions) -> Result<Lines> {
        let input = Input::open(path, LIMIT)?;
        let table = Table::new(super::stem(path));
        let mut lines = Lines { input, scanner: Scanner::default(), columns: Columns::default(), table };
        let mut count = 0;
        while read(&mut lines.input, &mut lines.scanner, &mut lines.columns)?.is_some() {
            count += 1;
        }
        lines.columns.close();
        lines.table.columns = guessed(&lines.columns);
        lines.table.rows_about = Some(count);
        lines.table.unreadable = without_columns(&lines.table);
        options.declare(&mut lines.table)?;
        lines.input.rewind()?;
        Ok(lines)
    }
}

/// Reads the next line that is not blank into `columns` and returns it.
pub(super) fn read<'i>(input: &'i mut Input, scanner: &mut Scanner, columns: &mut Columns) -> Result<Option<&'i str>> {
    loop {
        let Some((length, passed)) = line(input)? else { return Ok(None) };
        let text = Text { bytes: &input.rest()[..length], whole: true };
        let start = text.space(0);
        if start == length {
            input.pass(passed);
            continue;
        }
        if let Err(halt) = columns.read(scanner, text, start).and_then(|end| alone(text, end)) {
            return Err(input.halted(text.bytes, &halt));
        }
        if let Some((at, what)) = columns.fault() {
            return Err(input.error(at, what));
        }
        return input.pass_text(passed).map(Some);
    }
}

/// How long the next line is, without and with its line feed.
fn line(input: &mut Input) -> Result<Option<(usize, usize)>> {
    let mut searched = 0;
    loop {
        let rest = input.rest();
        match memchr::memchr(b'\n', &rest[searched..]) {
            Some(it) => return Ok(Some((searched + it, searched + it + 1))),
            None if input.is_whole() => return Ok((!rest.is_empty()).then_some((rest.len(), rest.len()))),
            None => searched = rest.len(),
        }
        input.more()?;
    }
}

fn alone(line: Text<'_>, end: usize) -> Result<(), Halt> {
    let end = line.space(end);
    if end == line.bytes.len() { Ok(()) } else { Err(Halt::Expected(end, "the end of the line")) }
}

impl Source for Lines {
    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(vec![self.table.clone()])
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        if table.name != self.table.name {
            return Err(Error::new(Kind::Store, format_args!("no table `{}` in this file", table.name)));
        }
        let places = places(table, shape)?;
        let mut batch = Batch::new(Arc::clone(shape));
        self.input.rewind()?;
        loop {
            // Lent apart from the columns, which say where in the row the values are.
            let Lines { input, scanner, columns, .. } = self;
            let Some(row) = read(input, scanner, columns)? else { break };
            batch.push_with(|field| Ok(cell(columns, row, places[field])))?;
            if pass_on(&mut batch, feed)? == Flow::Stop {
                return Ok(());
            }
        }
        self.input.rewind()?;
        feed.take(&mut batch).map(|_| ())
    }

    fn notes(&self) -> Vec<String> {
        self.input.notes().into_iter().collect()
    }
}
