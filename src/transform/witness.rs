//! Witnesses in jq: one question to all rows of a source.

use super::{
    jq::{Compiled, Failure, Jq},
    meter::{Limits, Meter, STACK},
    over::on_thread,
    val,
};
use crate::{
    error::{Error, Kind, Result},
    plan::{Expression, Fault},
    row::{Batch, Feed, Field, Flow, Row, Shape},
    schema::Table,
    value::{Type, cast::Cast, json},
};
use std::{mem, sync::Arc, thread};

/// A jq expression over the array of all rows of a table, such as
/// `[.[] | select(.key == "bioData") | .value[] | .links | length] | add`.
///
/// It takes rows as a [`Feed`] and keeps them as JSON, up to a limit, until [`Witness::answer`].
pub struct Witness {
    question: Compiled,
    /// How errors call it.
    text: String,
    input: Arc<Shape>,
    rows: Vec<u8>,
    bytes_max: usize,
    limits: Limits,
}

/// The shape of whole rows of `from` as expressions see them: what is JSON or a truth value as such, all else as it is.
pub fn whole_row(from: &Table) -> Arc<Shape> {
    let field = |it: &crate::schema::Column| {
        let ty = if matches!(it.ty, Type::Json | Type::Bool) { it.ty } else { Type::Any };
        Field::new(&it.name, Cast::new(ty))
    };
    let fields: Vec<Field> = from.columns.iter().map(field).collect();
    Arc::new(Shape { compared: fields.len(), fields, ..Shape::default() })
}

/// Appends a row as a JSON object, its numbers exact.
pub fn write_row(row: Row<'_>, out: &mut Vec<u8>) {
    let mut scratch = vec![Vec::new(); row.shape().width()];
    out.push(b'{');
    for (place, cell) in val::cells(row, &mut scratch).into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let name = row.shape().fields.get(place).map(|it| it.column.as_str());
        json::write_string(name.unwrap_or_default(), out);
        out.push(b':');
        val::write(cell, out);
    }
    out.push(b'}');
}

impl Witness {
    /// Compiles a question to the rows of `from`, which as JSON may have `bytes_max` bytes.
    ///
    /// # Errors
    /// Every problem of the expression.
    pub fn compile(
        expression: &Expression,
        from: &Table,
        bytes_max: usize,
        limits: Limits,
    ) -> Result<Witness, Vec<Fault>> {
        let question = thread::scope(|scope| {
            let builder = thread::Builder::new().name("compile".into()).stack_size(STACK);
            let compiling = builder.spawn_scoped(scope, || Jq::compile(expression, &[]));
            let broken = |_| vec![expression.fault("this expression cannot be compiled")];
            match compiling {
                Ok(compiling) => compiling.join().map_err(broken)?,
                Err(error) => Err(vec![expression.fault(format_args!("cannot start a thread: {error}"))]),
            }
        })?;
        let input = whole_row(from);
        Ok(Witness { question, text: expression.text.clone(), input, rows: Vec::new(), bytes_max, limits })
    }

    /// What the source is to be asked for: every column.
    pub fn input(&self) -> Arc<Shape> {
        Arc::clone(&self.input)
    }

    /// The answer as canonical JSON.
    ///
    /// # Errors
    /// If the expression fails, has no answer or more than one, or goes beyond its limits.
    pub fn answer(mut self) -> Result<String> {
        if self.rows.is_empty() {
            self.rows.push(b'[');
        }
        self.rows.push(b']');
        let (question, rows, limits) = (self.question, mem::take(&mut self.rows), self.limits);
        let answer = on_thread(&limits, &mut |_| Ok(Flow::Continue), move |pulse, _| {
            let meter = Meter::new(&pulse);
            meter.start(&limits, rows.len());
            let document = std::str::from_utf8(&rows).map_err(|error| error.to_string())?;
            evaluate(&question, val::document(document)?, &meter)
        })?;
        let failed = |message: String| Error::new(Kind::Plan, format_args!("the check `{}`: {message}", self.text));
        answer.map_err(failed)
    }
}

impl Feed for Witness {
    /// # Errors
    /// If there are more rows than are allowed.
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        for row in batch.rows() {
            self.rows.push(if self.rows.is_empty() { b'[' } else { b',' });
            write_row(row, &mut self.rows);
            if self.rows.len() > self.bytes_max {
                let message = format_args!(
                    "the check `{}` looks at more than {} bytes of rows; ask the store itself in SQL",
                    self.text, self.bytes_max
                );
                return Err(Error::new(Kind::Limit, message));
            }
        }
        batch.clear();
        Ok(Flow::Continue)
    }
}

fn evaluate(question: &Compiled, rows: jaq_json::Val, meter: &Meter<'_>) -> Result<String, String> {
    let mut answers = Vec::new();
    match question {
        Compiled::Path(path) => answers.push(path.get(&rows)?),
        Compiled::Jq(jq) => {
            let ended = jq.run(&[], rows, meter, |value| {
                answers.push(value);
                answers.len() < 2
            });
            ended.map_err(|failure: Failure| failure.to_string())?;
        }
    }
    let [answer] = answers.as_slice() else {
        return Err(format!(
            "one answer is wanted, and there are {}",
            if answers.is_empty() { "none" } else { "more" }
        ));
    };
    let (mut text, mut canonical) = (Vec::new(), Vec::new());
    val::write_val(answer, &mut text)?;
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    json::canonical(&text, &mut canonical).map_err(|fault| fault.what.to_owned())?;
    String::from_utf8(canonical).map_err(|error| error.to_string())
}
