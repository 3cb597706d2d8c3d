//! One source row after the other: filter, items, columns, and the target row or the reject that comes of each item.

use super::{
    Selected,
    compile::{Column, Compiled, Origin},
    jq::{Compiled as Expr, Failure, Jq},
    meter::{Meter, Stop},
    rules::Ruled,
    val::{self, MASK},
};
use crate::{
    error::Error,
    row::{Batch, Flow, Reject, Row, Shape},
    value::{Value, json},
};
use jaq_json::{Map, Num, Val};
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Bytes of text that a row may have to be told with its reject.
const ROW_MAX: usize = 16 << 10;

/// Why the rows of a batch were not all mapped.
pub(super) enum Halt {
    /// Nobody wants more.
    Enough,
    /// The one who watches gave up on an evaluation.
    Told,
    Failed(Error),
}

/// Maps rows into `out` and passes that on through `emit` whenever it is full, and at the end.
pub(super) struct Worker<'c> {
    program: &'c Compiled,
    meter: &'c Meter<'c>,
    out: Batch,
    /// For each field of `out`, the column of the program that fills it.
    places: Vec<Option<usize>>,
    emit: &'c mut dyn FnMut(&mut Batch) -> Result<Flow, Error>,
    selected: Selected,
    seed: Val,
    now: Val,
}

/// A source row while it is mapped.
struct Input<'r> {
    cells: &'r [Value<'r>],
    /// As jq sees it, where anything does.
    row: Val,
}

/// A value on its way into a column.
enum Held<'r> {
    Plain(Value<'r>),
    Text(String),
    Json(String),
    /// Text or bytes of jq's own.
    Val(Val),
}

/// Why an item becomes no row.
struct Refusal {
    rule: String,
    value: String,
}

impl<'c> Worker<'c> {
    /// A worker that makes rows of the shape of `out`.
    pub(super) fn new(
        program: &'c Compiled,
        meter: &'c Meter<'c>,
        out: Batch,
        emit: &'c mut dyn FnMut(&mut Batch) -> Result<Flow, Error>,
    ) -> Worker<'c> {
        let text = |it: &str| Val::utf8_str(it.as_bytes().to_vec());
        Worker {
            places: places(program, out.shape()),
            seed: text(&program.seed),
            now: text(&program.instant),
            selected: Selected::default(),
            meter,
            program,
            out,
            emit,
        }
    }

    /// Maps every row of `rows`.
    pub(super) fn run(mut self, rows: &Batch) -> (Selected, Result<(), Halt>) {
        let mut scratch = vec![Vec::new(); rows.shape().width()];
        let mut ended = rows.rows().try_for_each(|row| {
            self.row(row, &mut scratch)?;
            self.pass_on_if_full()
        });
        if ended.is_ok() && !self.out.is_end() {
            ended = self.pass_on();
        }
        (self.selected, ended)
    }

    fn row(&mut self, row: Row<'_>, scratch: &mut [Vec<u8>]) -> Result<(), Halt> {
        let program = self.program;
        self.selected.rows_read += 1;
        let cells = val::cells(row, scratch);
        if program.keys.selects() && !cells.first().is_some_and(|it| program.keys.takes(*it)) {
            let input = Input { cells: &cells, row: Val::Null };
            return if program.remainder { self.item(&input, &Val::Null, 0) } else { Ok(()) };
        }
        self.meter.start(&program.limits, row.bytes().len());
        let input = match self.input(&cells) {
            Ok(row) => Input { cells: &cells, row },
            Err(message) => {
                self.refuse(&cells, None, None, Refusal::whole(message));
                return Ok(());
            }
        };
        match self.wanted(&input) {
            Ok(wanted) if wanted == program.remainder => return Ok(()),
            Ok(_) => self.selected.rows_selected += 1,
            Err(failure) => return self.failed(&input, None, "where", failure),
        }
        let Some(each) = &program.each else { return self.item(&input, &input.row, 0) };
        let mut index = 0;
        let mut ended = Ok(());
        let variables = [input.row.clone(), self.seed.clone(), self.now.clone()];
        let failure = self.evaluate(each, &variables, &input.row, |worker, item| {
            ended = worker.item(&input, &item, index);
            index += 1;
            ended.is_ok()
        });
        ended?;
        match failure {
            Ok(()) => Ok(()),
            Err(failure) => self.failed(&input, Some(index), "each", failure),
        }
    }

    /// The row as jq sees it; null where nothing looks at it.
    fn input(&self, cells: &[Value<'_>]) -> Result<Val, String> {
        if !self.program.evaluates {
            return Ok(Val::Null);
        }
        let mut members = Map::default();
        for &place in &self.program.seen {
            let (Some(field), Some(cell)) = (self.program.input.fields.get(place), cells.get(place)) else { continue };
            members.insert(Val::utf8_str(field.column.clone().into_bytes()), val::of(*cell)?);
        }
        Ok(Val::obj(members))
    }

    fn wanted(&mut self, input: &Input<'_>) -> Result<bool, Failure> {
        let Some(filter) = &self.program.filter else { return Ok(true) };
        let variables = [input.row.clone(), self.seed.clone(), self.now.clone()];
        let mut wanted = false;
        self.evaluate(filter, &variables, &input.row, |_, value| {
            wanted = !matches!(value, Val::Null | Val::Bool(false));
            false
        })?;
        Ok(wanted)
    }

    /// Hands each value that an expression has for `input` to `each`. A crash of the evaluator is a failure like others.
    fn evaluate(
        &mut self,
        expression: &Expr,
        variables: &[Val],
        input: &Val,
        mut each: impl FnMut(&mut Self, Val) -> bool,
    ) -> Result<(), Failure> {
        match expression {
            Expr::Path(path) => {
                let value = path.get(input).map_err(Failure::Error)?;
                each(self, value);
                Ok(())
            }
            Expr::Jq(jq) => {
                let meter = self.meter;
                guarded(|| jq.run(variables, input.clone(), meter, |value| each(self, value)))
            }
        }
    }

    fn item(&mut self, input: &Input<'_>, item: &Val, index: u64) -> Result<(), Halt> {
        let program = self.program;
        let index_shown = program.each.as_ref().map(|_| index);
        let mut made = Vec::with_capacity(program.columns.len());
        for column in &program.columns {
            match self.column(column, input, item, index) {
                Ok(value) => made.push(value),
                Err(ControlFlow::Break(())) => return Err(Halt::Told),
                Err(ControlFlow::Continue(refusal)) => {
                    self.refuse(input.cells, index_shown, Some(column), refusal);
                    return self.pass_on_if_full();
                }
            }
        }
        self.push(&made)
    }

    fn push(&mut self, made: &[Held<'_>]) -> Result<(), Halt> {
        let value = |place: usize| {
            let column = self.places.get(place).copied().flatten();
            Ok(column.and_then(|it| made.get(it)).map_or(Value::Null, Held::value))
        };
        self.out.push_with(value).map_err(Halt::Failed)?;
        self.selected.items += 1;
        self.pass_on_if_full()
    }

    fn pass_on_if_full(&mut self) -> Result<(), Halt> {
        if self.out.is_full() { self.pass_on() } else { Ok(()) }
    }

    fn pass_on(&mut self) -> Result<(), Halt> {
        match (self.emit)(&mut self.out).map_err(Halt::Failed)? {
            Flow::Continue => self.out.clear(),
            Flow::Stop => return Err(Halt::Enough),
        }
        Ok(())
    }

    /// The value of a column, or the refusal of the item, or the end of everything.
    fn column<'r>(
        &mut self,
        column: &'r Column,
        input: &Input<'r>,
        item: &Val,
        index: u64,
    ) -> Result<Held<'r>, ControlFlow<(), Refusal>> {
        let failed = |message: String| ControlFlow::Continue(Refusal::whole(format!("jq: {message}")));
        let held = match &column.origin {
            Origin::Cell { place, path, .. } => {
                let cell = input.cells.get(*place).copied().unwrap_or(Value::Null);
                Held::Plain(val::find(cell, path).map_err(failed)?)
            }
            Origin::Item(path) => input.held(path.get(item).map_err(failed)?).map_err(failed)?,
            Origin::Jq(jq) => input.held(self.one(jq, input, item, index)?).map_err(failed)?,
            Origin::Nothing => Held::Plain(Value::Null),
            Origin::Generated(kind) => {
                Held::Text(self.program.maker.make(*kind, &column.name, &self.key(input.cells, true), index))
            }
        };
        held.ruled(column).map_err(ControlFlow::Continue)
    }

    /// The one value that a column's expression has; null if it has none.
    fn one(&mut self, jq: &Jq, input: &Input<'_>, item: &Val, index: u64) -> Result<Val, ControlFlow<(), Refusal>> {
        let index = Val::from(usize::try_from(index).unwrap_or(usize::MAX));
        let variables = [input.row.clone(), self.seed.clone(), self.now.clone(), index];
        let (mut found, mut more) = (None, false);
        let ended = guarded(|| {
            jq.run(&variables, item.clone(), self.meter, |value| {
                more = found.is_some();
                found.get_or_insert(value);
                !more
            })
        });
        match ended {
            Ok(()) if more => Err(Failure::Error("the expression gives more than one value".into())),
            Ok(()) => Ok(found.unwrap_or_default()),
            Err(Failure::Stop(Stop::Told)) => return Err(ControlFlow::Break(())),
            Err(failure) => Err(failure),
        }
        .map_err(|failure| ControlFlow::Continue(Refusal::whole(format!("jq: {failure}"))))
    }

    fn failed(&mut self, input: &Input<'_>, item: Option<u64>, which: &str, failure: Failure) -> Result<(), Halt> {
        if matches!(failure, Failure::Stop(Stop::Told)) {
            return Err(Halt::Told);
        }
        self.refuse(input.cells, item, None, Refusal::whole(format!("{which}: {failure}")));
        Ok(())
    }

    fn refuse(&mut self, cells: &[Value<'_>], item: Option<u64>, column: Option<&Column>, refusal: Refusal) {
        if self.program.remainder {
            return;
        }
        self.selected.items += 1;
        self.selected.rejected += 1;
        let veiled = column.is_some_and(|it| it.veiled);
        self.out.rejects.push(Reject {
            key: self.key(cells, false),
            item,
            column: column.map(|it| it.name.clone()),
            rule: refusal.rule,
            value: if veiled { format!("\"{MASK}\"") } else { refusal.value },
            row: self.whole(cells),
        });
    }

    /// The source row as a canonical JSON object without secrets, unless it is long: many may wait together.
    fn whole(&self, cells: &[Value<'_>]) -> Option<String> {
        let long = |it: &Value<'_>| match it {
            Value::Text(it) | Value::Json(it) | Value::Decimal(it) => it.len(),
            Value::Bytes(it) | Value::Raw(it) | Value::Malformed(it) => it.len(),
            _ => 0,
        };
        let short = cells.iter().map(long).sum::<usize>() <= ROW_MAX;
        short.then(|| self.object(0..cells.len(), cells, false)).filter(|it| it.len() <= ROW_MAX)
    }

    /// What identifies a source row, as a canonical JSON object; secrets in it only where nobody reads it.
    fn key(&self, cells: &[Value<'_>], open: bool) -> String {
        self.object(self.program.key.iter().copied(), cells, open)
    }

    fn object(&self, places: impl Iterator<Item = usize>, cells: &[Value<'_>], open: bool) -> String {
        let program = self.program;
        val::object(places.filter_map(|place| {
            let masked = !open && program.secret.get(place).is_some_and(|it| *it);
            let name = program.input.fields.get(place)?.column.as_str();
            Some((name, cells.get(place).copied().filter(|_| !masked)))
        }))
    }
}

impl Refusal {
    /// A refusal that is not about a value at hand.
    fn whole(rule: String) -> Refusal {
        Refusal { rule, value: "null".into() }
    }
}

impl<'r> Input<'r> {
    /// A jq value on its way. To jq, text and a JSON string are the same: one that the row holds stays what it is there.
    fn held(&self, value: Val) -> Result<Held<'r>, String> {
        let is = |cell: &&Value<'r>| match (cell, &value) {
            (Value::Json(it), Val::TStr(text)) if it.starts_with('"') => {
                json::read_string(it).is_some_and(|it| *it.as_bytes() == **text)
            }
            _ => false,
        };
        self.cells.iter().find(is).map_or_else(|| Held::of(value.clone()), |cell| Ok(Held::Plain(*cell)))
    }
}

impl<'r> Held<'r> {
    /// A jq value on its way.
    fn of(value: Val) -> Result<Held<'r>, String> {
        let mut text = Vec::new();
        match value {
            Val::TStr(_) | Val::BStr(_) => return Ok(Held::Val(value)),
            Val::Null => return Ok(Held::Plain(Value::Null)),
            Val::Bool(it) => return Ok(Held::Plain(Value::Bool(it))),
            Val::Num(Num::Int(it)) => return Ok(Held::Plain(Value::Int(it as i64))),
            Val::Num(Num::Float(it)) => return Ok(Held::Plain(Value::Real(it))),
            Val::Num(_) | Val::Arr(_) | Val::Obj(_) => val::write_val(&value, &mut text)?,
        }
        String::from_utf8(text).map(Held::Json).map_err(|error| error.to_string())
    }

    /// The value as it is handed to a cast.
    fn value(&self) -> Value<'_> {
        match self {
            Held::Plain(it) => *it,
            Held::Text(it) => Value::Text(it),
            Held::Json(it) => Value::Json(it),
            Held::Val(Val::BStr(it)) => Value::Bytes(it),
            Held::Val(Val::TStr(it)) => std::str::from_utf8(it).map_or(Value::Malformed(it), Value::Text),
            Held::Val(_) => Value::Null,
        }
    }

    /// The value after the rules of its column.
    fn ruled(self, column: &'r Column) -> Result<Held<'r>, Refusal> {
        match column.rules.apply(self.value()) {
            Ok(Ruled::Same) => Ok(self),
            Ok(Ruled::Text(it)) => Ok(Held::Text(it)),
            Ok(Ruled::Json(it)) => Ok(Held::Plain(Value::Json(it))),
            Err(rule) => Err(Refusal { rule, value: val::shown(self.value()) }),
        }
    }
}

/// A crash of the evaluator is a failure like others. Between two values whoever runs it is whole.
fn guarded(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(Failure::Error("the evaluator crashed".into())))
}

/// For each field of `shape`, the column of the program that fills it.
fn places(program: &Compiled, shape: &Shape) -> Vec<Option<usize>> {
    let exact = |name: &str| program.columns.iter().position(|it| it.name == name);
    let close = |name: &str| program.columns.iter().position(|it| it.name.eq_ignore_ascii_case(name));
    shape.fields.iter().map(|it| exact(&it.column).or_else(|| close(&it.column))).collect()
}
