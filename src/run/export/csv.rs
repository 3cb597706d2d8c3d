//! Rows as CSV: a header, then a record a row.

use super::{Export, Out, columns, text};
use crate::{disk, error::Result, schema::Table, value::Value};
use csv::{ByteRecord, WriterBuilder};

/// Writes a table; NULL is written as that text, or as an empty field.
pub(super) fn records(export: &Export<'_>, table: &Table, null: Option<&str>, out: &mut Out<'_>) -> Result<()> {
    let columns = columns(table);
    let failed = |it: std::io::Error| disk::failed(out.path, "cannot write", &it);
    let mut writer = WriterBuilder::new().from_writer(&mut out.to);
    let mut record: ByteRecord = columns.iter().map(|it| it.0.as_bytes()).collect();
    writer.write_byte_record(&record).map_err(|it| failed(it.into()))?;
    let (mut scratch, mut field) = (Vec::new(), Vec::new());
    export.each(table, |row| {
        record.clear();
        for (_, place) in &columns {
            field.clear();
            match row.value(*place, &mut scratch) {
                Value::Null => field.extend_from_slice(null.unwrap_or_default().as_bytes()),
                Value::Malformed(it) => field.extend_from_slice(it),
                value if text(value, &mut field) => {}
                _ => {
                    let column = &row.shape().fields[*place].column;
                    return Err(export.unfit(table, format_args!("column `{column}` holds bytes, which")));
                }
            }
            record.push_field(&field);
        }
        writer.write_byte_record(&record).map_err(|it| failed(it.into()))
    })?;
    writer.flush().map_err(failed)
}
