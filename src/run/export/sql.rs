//! Rows as a script that makes the tables and fills them.

use super::{Export, Out};
use crate::{
    error::Result,
    row::Shape,
    schema::Table,
    snapshot,
    store::script::{Dialect, Maker},
};

/// Writes a script of all tables. What comes back is the shape in which each of them reads back as it is.
pub(super) fn write(export: &Export<'_>, dialect: Dialect, tables: &[&Table], out: &mut Out<'_>) -> Result<Vec<Shape>> {
    let [begin, end] = dialect.frame();
    out.put(format!("{begin}\n").as_bytes())?;
    let mut shapes = Vec::new();
    for table in tables {
        let mut maker = Maker::new(dialect, table, &snapshot::shape(table), export.masked)?;
        export.each(table, |row| {
            maker.look(row);
            Ok(())
        })?;
        let made = maker.decide()?;
        out.put(format!("{}\n", made.create()).as_bytes())?;
        export.each(table, |row| out.put(format!("{}\n", made.insert(row)?).as_bytes()))?;
        shapes.push(made.shape());
    }
    out.put(format!("{end}\n").as_bytes())?;
    Ok(shapes)
}
