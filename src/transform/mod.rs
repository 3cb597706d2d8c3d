//! Source rows into target rows: a declared mapping, compiled to a program that is pure and total.
//!
//! Each item that a mapping makes of a source row becomes one target row or one reject; none is dropped, none crashes the
//! run. A column that is a plain copy or a simple path is looked up where it stands. Everything else is jq, which runs on
//! a thread of its own with limits on steps, size, depth and silence.

mod cipher;
mod compile;
mod complaint;
mod jq;
mod meter;
mod over;
mod path;
mod reach;
mod rules;
mod select;
#[cfg(test)]
mod tests;
mod val;
mod witness;
mod work;

pub use meter::Limits;
pub use over::Over;
pub use select::{KeySelector, begins};
pub use witness::{Witness, whole_row, write_row};

use crate::{
    error::Result,
    plan::{Fault, Mapping},
    row::{Batch, Flow, Shape},
    schema::Table,
};
use std::sync::Arc;

/// What a mapping needs to know beside the two tables.
#[derive(Clone, Debug)]
pub struct Context {
    /// What made-up ids are derived from; `$seed` in jq.
    pub seed: String,
    /// The instant of the run as recorded, RFC 3339; `$now` in jq.
    pub instant: String,
    /// How far the evaluation of one row may go.
    pub limits: Limits,
}

/// A compiled [`Mapping`].
///
/// ```
/// use cutover::{
///     plan, row::{Batch, Field, Shape}, schema::{Column, Table}, transform::{Context, Limits, Program},
///     value::{Type, Value, cast::Cast},
/// };
/// use std::sync::Arc;
///
/// let text = r#"
/// version = 1
/// source = { kind = "json", path = "old.json" }
/// target = { kind = "sqlite", path = "new.db" }
/// table = [{ into = "users", key = ["id"], columns = { id = ".id", name = '.first + " " + .last' } }]
/// "#;
/// let plan = plan::parse(text, "cutover.toml", &|_| None).unwrap();
/// let mut from = Table::new("people");
/// from.columns = ["id", "first", "last"].map(|name| Column::new(name, Type::Text)).to_vec();
/// from.key = vec![0];
/// let context = Context { seed: plan.seed, instant: "2026-01-18T00:00:00Z".into(), limits: Limits::default() };
/// let mut program = Program::compile(&plan.tables[0], &from, None, &context).unwrap();
///
/// let mut rows = Batch::new(program.input());
/// rows.push(["7", "Mira", "Okafor"].map(Value::Text));
/// let fields = ["id", "name"].map(|name| Field::new(name, Cast::new(Type::Text))).to_vec();
/// let mut out = Batch::new(Arc::new(Shape { fields, key: 1, compared: 2, ..Shape::default() }));
/// program.apply(&rows, &mut out)?;
/// assert_eq!(out.row(0).value(1, &mut Vec::new()), Value::Text("Mira Okafor"));
/// # Ok::<(), cutover::error::Error>(())
/// ```
pub struct Program {
    compiled: Arc<compile::Compiled>,
    selected: Selected,
}

/// What became of the source rows so far: `items` = rows made + `rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Source rows looked at.
    pub rows_read: u64,
    /// Of them, those that `prefix` and `where` let through.
    pub rows_selected: u64,
    /// Items made of them, and outcomes that are no item because an expression failed.
    pub items: u64,
    /// Items, or whole rows, that were refused.
    pub rejected: u64,
}

impl Program {
    /// Compiles `mapping`, which makes rows of `into`, if that is known, of rows of `from`.
    ///
    /// # Errors
    /// Every problem at once: syntax errors of jq, unknown variables and filters, unknown columns on either side.
    pub fn compile(
        mapping: &Mapping,
        from: &Table,
        into: Option<&Table>,
        context: &Context,
    ) -> Result<Program, Vec<Fault>> {
        let compiled = compile::compile(mapping, from, into, context, false)?;
        Ok(Program { compiled: Arc::new(compiled), selected: Selected::default() })
    }

    /// Compiles what `mapping` leaves: rows of `from` that its `prefix` and `where` do not select pass through as they are. One
    /// that its `where` fails on is a reject of the mapping, and so does not.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn remainder(mapping: &Mapping, from: &Table, context: &Context) -> Result<Program, Vec<Fault>> {
        let selecting = Mapping {
            into: mapping.into.clone(),
            prefix: mapping.prefix.clone(),
            filter: mapping.filter.clone(),
            index: mapping.index.clone(),
            place: mapping.place.clone(),
            ..Mapping::default()
        };
        let compiled = compile::compile(&selecting, from, None, context, true)?;
        Ok(Program { compiled: Arc::new(compiled), selected: Selected::default() })
    }

    /// Whether the key of a source row goes into a secret column, so that it must not be shown.
    pub fn hides_key(&self) -> bool {
        self.compiled.key.iter().any(|&it| self.compiled.secret.get(it).is_some_and(|it| *it))
    }

    /// What the source is to be asked for: the key, then the columns that are used, all of them if an expression sees the
    /// whole row. Plain copies are asked for as the store has them, so that the target's type reads the original.
    pub fn input(&self) -> Arc<Shape> {
        Arc::clone(&self.compiled.input)
    }

    /// The target columns that this program makes, in the plan's order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.compiled.columns.iter().map(|it| it.name.as_str())
    }

    /// Whether the key is a plain copy of the source's key, so that rows come out in the order they go in, provided both
    /// sides' key columns are of types that order alike.
    pub fn keeps_order(&self) -> bool {
        self.compiled.keeps_order
    }

    /// What became of the rows so far.
    pub fn selected(&self) -> Selected {
        self.selected
    }

    /// Appends what `rows`, of the shape [`Program::input`], become to `out`, whose fields are named by target column.
    ///
    /// A field that names none of [`Program::columns`] is NULL in every row.
    ///
    /// # Errors
    /// If an expression shows no sign of life for [`Limits::stall`]; its thread is then left behind, so the run must end.
    pub fn apply(&mut self, rows: &Batch, out: &mut Batch) -> Result<()> {
        let shape = Arc::clone(out.shape());
        let mut append = |made: &mut Batch| {
            made.rows().for_each(|row| out.push_row(row));
            out.rejects.append(&mut made.rejects);
            Ok(Flow::Continue)
        };
        self.map(rows.clone(), &shape, &mut append).map(|_| ())
    }
}
