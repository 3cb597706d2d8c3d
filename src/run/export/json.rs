//! Rows as JSON: a document, an array of objects, or an object a line.

use super::{Export, Out, columns, text};
use crate::{
    error::Result,
    row::Row,
    schema::Table,
    value::{Value, json},
};

/// Writes a table of keys and values as one object.
pub(super) fn document(export: &Export<'_>, table: &Table, out: &mut Out<'_>) -> Result<()> {
    list(export, table, (b"{", b"}\n"), out, |row, out| {
        put(export, table, row, 0, Some(1), out)?;
        out.extend_from_slice(b": ");
        put(export, table, row, 1, Some(1), out)
    })
}

/// Writes a table as an array of objects.
pub(super) fn array(export: &Export<'_>, table: &Table, out: &mut Out<'_>) -> Result<()> {
    let columns = columns(table);
    list(export, table, (b"[", b"]\n"), out, |row, out| {
        out.push(b'{');
        for (count, (name, place)) in columns.iter().enumerate() {
            out.extend_from_slice(if count > 0 { b",\n    " } else { b"\n    " });
            json::write_string(name, out);
            out.extend_from_slice(b": ");
            put(export, table, row, *place, Some(2), out)?;
        }
        out.extend_from_slice(b"\n  }");
        Ok(())
    })
}

/// Writes a table as an object a line.
pub(super) fn lines(export: &Export<'_>, table: &Table, out: &mut Out<'_>) -> Result<()> {
    let (columns, mut line) = (columns(table), Vec::new());
    export.each(table, |row| {
        line.clear();
        for (name, place) in &columns {
            line.push(if line.is_empty() { b'{' } else { b',' });
            json::write_string(name, &mut line);
            line.push(b':');
            put(export, table, row, *place, None, &mut line)?;
        }
        line.extend_from_slice(if line.is_empty() { b"{}\n" } else { b"}\n" });
        out.put(&line)
    })
}

/// Writes rows between brackets, each on a line of its own.
fn list(
    export: &Export<'_>,
    table: &Table,
    (open, close): (&[u8], &[u8]),
    out: &mut Out<'_>,
    mut one: impl FnMut(Row<'_>, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let (mut bytes, mut first) = (open.to_vec(), true);
    export.each(table, |row| {
        bytes.extend_from_slice(if first { b"\n  " } else { b",\n  " });
        first = false;
        one(row, &mut bytes)?;
        out.put(&bytes)?;
        bytes.clear();
        Ok(())
    })?;
    bytes.extend_from_slice(if first { b"" } else { b"\n" });
    bytes.extend_from_slice(close);
    out.put(&bytes)
}

/// Appends a value: a document with a line for each member at that depth, or in one line.
fn put(
    export: &Export<'_>,
    table: &Table,
    row: Row<'_>,
    place: usize,
    depth: Option<usize>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let (mut scratch, mut plain) = (Vec::new(), Vec::new());
    let value = row.value(place, &mut scratch);
    let bare = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) => true,
        Value::Real(it) => it.is_finite(),
        // Other readers of JSON take numbers for doubles, which do not hold all digits. An integer is one all the same.
        Value::Decimal(it) => it.bytes().all(|it| it == b'-' || it.is_ascii_digit()),
        _ => false,
    };
    let said = match value {
        Value::Null => {
            plain.extend_from_slice(b"null");
            true
        }
        Value::Real(it) if !it.is_finite() => false,
        value => text(value, &mut plain),
    };
    match (value, std::str::from_utf8(&plain)) {
        (Value::Json(it), _) => match depth {
            Some(depth) => pretty(it, depth, out),
            None => out.extend_from_slice(it.as_bytes()),
        },
        (_, Ok(_)) if said && bare => out.extend_from_slice(&plain),
        (_, Ok(plain)) if said => json::write_string(plain, out),
        _ => {
            let column = &row.shape().fields[place].column;
            return Err(export.unfit(table, format_args!("column `{column}` holds bytes or a number that")));
        }
    }
    Ok(())
}

/// Appends a canonical document with a line for each member, its numbers letter by letter.
fn pretty(text: &str, mut depth: usize, out: &mut Vec<u8>) {
    let line = |depth: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    };
    let (mut quoted, mut escaped) = (false, false);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if quoted {
            out.push(byte);
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' if matches!(bytes.peek(), Some(b'}' | b']')) => {
                out.push(byte);
                out.extend(bytes.next());
            }
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                line(depth, out);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                out.push(byte);
                quoted = byte == b'"';
            }
        }
    }
}
