//! CSV files.

use super::{
    super::{
        FileOptions,
        csv::{Records, Sheet, cell},
    },
    Fault,
    merge::{Fate, Merge},
    spell,
};
use crate::{
    error::{Error, Kind, Result},
    row::Row,
    schema::Table,
    store::Source,
    value::{Type, Value},
};
use csv::{ByteRecord, Writer, WriterBuilder};
use std::{io::Write, path::Path};

/// Writes the header of a table, unless the plan says that there is none.
pub(super) fn header(table: &Table, path: &Path, options: &FileOptions, out: &mut dyn Write) -> Result<(), Fault> {
    if options.columns.contains_key(&table.name) {
        return Ok(());
    }
    let mut out = writer(super::super::csv::delimiter(path, options), out);
    out.write_record(table.columns.iter().map(|it| &it.name)).map_err(io)?;
    Ok(out.flush()?)
}

/// Writes the file at `path` again, with the changes.
pub(super) fn rewrite(
    path: &Path,
    options: &FileOptions,
    merge: &mut Merge<'_>,
    out: &mut dyn Write,
) -> Result<(), Fault> {
    let mut sheet = Sheet::open(path, options)?;
    let table = sheet.tables()?.swap_remove(0);
    if table.name != merge.changes.table.name {
        let what = format_args!("no table `{}` in this file", merge.changes.table.name);
        return Err(Error::new(Kind::Store, what).into());
    }
    let shape = merge.shape.clone();
    let places = crate::store::places(&table, &shape)?;
    let mut out = writer(sheet.delimiter, out);
    let (mut records, mut record) = (Records::open(&sheet)?, ByteRecord::new());
    if sheet.header && records.next(&mut record)? {
        out.write_byte_record(&record).map_err(io)?;
    }
    let null = sheet.null.as_deref();
    let any = |field: usize| shape.fields[field].cast.ty == Type::Any;
    let spell =
        |row: Row<'_>, field: usize| spell::as_csv(row, field, &table.name, |it| held(it, null, any(field)), null);
    while records.next(&mut record)? {
        if record.len() != table.columns.len() {
            return Err(records.ragged(&record).into());
        }
        match merge.fate(|field| Ok(held(record.get(places[field]).unwrap_or_default(), null, any(field))))? {
            Fate::Stays => out.write_byte_record(&record).map_err(io)?,
            Fate::Goes => {}
            Fate::Changes(row) => {
                let mut cells: Vec<Vec<u8>> = record.iter().map(<[u8]>::to_vec).collect();
                for field in shape.key..places.len() {
                    cells[places[field]] = spell(row, field)?;
                }
                out.write_record(cells).map_err(io)?;
            }
        }
    }
    for row in merge.new_rows() {
        // A column that nobody writes to is NULL, as far as the file can say that.
        let mut cells = vec![null.unwrap_or_default().to_vec(); table.columns.len()];
        for (field, &place) in places.iter().enumerate() {
            cells[place] = spell(row, field)?;
        }
        out.write_record(cells).map_err(io)?;
    }
    Ok(out.flush()?)
}

/// What a cell says.
fn held<'b>(bytes: &'b [u8], null: Option<&[u8]>, any: bool) -> Value<'b> {
    if Some(bytes) == null { Value::Null } else { cell(bytes, any) }
}

fn writer(delimiter: u8, out: &mut dyn Write) -> Writer<&mut dyn Write> {
    WriterBuilder::new().delimiter(delimiter).flexible(true).from_writer(out)
}

fn io(error: csv::Error) -> Fault {
    Fault::Io(error.into())
}
