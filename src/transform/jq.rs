//! jq expressions: compiled once, then run under a [`Meter`].

use super::{
    complaint::{self, Texts},
    meter::{Data, Meter, Metered, Stop, natives, nesting},
    path::Path,
    reach::{self, Reach},
};
use crate::plan::{Expression, Fault, nearest, quoted};
use jaq_core::{
    Compiler, Ctx, Exn, Filter, Vars,
    compile::Undefined,
    load::{
        Arena, File, Lexer, Loader, Parser,
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    ops::Math,
    path::{Part, Path as Parts},
};
use jaq_json::Val;
use std::{collections::BTreeSet, fmt, sync::OnceLock};

/// The longest expression, in bytes, and the deepest nesting of brackets in one: the compiler calls itself.
const TEXT_MAX: usize = 64 << 10;
const NESTING_MAX: usize = 200;

/// The name that the expression itself has within its program. No text can spell it.
const MAIN: &str = "_main";

/// Filters of jq that an expression cannot use, and what to do instead.
const BARRED: &[(&str, &str)] = &[
    ("now", "the clock is not read, so that verify sees what migrate saw; use $now, the recorded instant"),
    ("localtime", "the zone of this machine is not read; use gmtime"),
    ("strflocaltime", "the zone of this machine is not read; use strftime"),
    ("env", "the environment is not read; write ${NAME} in the plan"),
    ("$ENV", "the environment is not read; write ${NAME} in the plan"),
    ("input", "an expression sees one row; the row is `.`"),
    ("inputs", "an expression sees one row; the row is `.`"),
    ("debug", "an expression does not print"),
    ("stderr", "an expression does not print"),
    ("halt", "use error(\"why\") to refuse a row"),
    ("halt_error", "use error(\"why\") to refuse a row"),
];

/// A compiled expression.
pub(super) struct Jq {
    filter: Filter<Metered>,
    /// What it looks at in its input.
    pub(super) reach: Reach,
    /// It mentions `$row`, whatever its input is.
    pub(super) takes_row: bool,
    /// What may be told of its failures.
    texts: Texts,
}

/// What an expression comes down to.
pub(super) enum Compiled {
    /// A look-up, for which jq is not needed.
    Path(Path),
    /// Anything else.
    Jq(Box<Jq>),
}

/// Why an expression gives no value.
pub(super) enum Failure {
    /// What jq complains of. It holds nothing of the row.
    Error(String),
    /// The evaluation was ended.
    Stop(Stop),
}

impl Jq {
    /// Compiles an expression that may use the variables `names`, each with its `$`.
    ///
    /// It runs on a thread with a large stack: the compiler calls itself as deeply as the text nests.
    pub(super) fn compile(expression: &Expression, names: &[&'static str]) -> Result<Compiled, Vec<Fault>> {
        let text = expression.text.as_str();
        if text.len() > TEXT_MAX || nesting(text.as_bytes()) > NESTING_MAX {
            return Err(vec![expression.fault("this expression is too long or nests too deeply")]);
        }
        let term = parse(expression)?;
        match Path::of(&term) {
            Some(path) => Ok(Compiled::Path(path)),
            None => {
                let reach = reach::of(&term);
                let (filter, takes_row, texts) = link(expression, term, names)?;
                Ok(Compiled::Jq(Box::new(Jq { filter, reach, takes_row, texts })))
            }
        }
    }

    /// Hands every value that the expression has for `input` to `each`, until that says false.
    pub(super) fn run(
        &self,
        variables: &[Val],
        input: Val,
        meter: &Meter<'_>,
        mut each: impl FnMut(Val) -> bool,
    ) -> Result<(), Failure> {
        let data = Data { lut: &self.filter.lut, meter };
        let context = Ctx::<Metered>::new(data, Vars::new(variables.iter().cloned()));
        for value in self.filter.id.run((context, input)) {
            let value = value.map_err(|it| self.failure(it))?;
            meter.tick(&value).map_err(Failure::Stop)?;
            if !each(value) {
                break;
            }
        }
        Ok(())
    }

    fn failure(&self, exception: Exn<'_, Val>) -> Failure {
        match exception.get_err() {
            Ok(error) => Failure::Error(complaint::say(error, &self.texts)),
            Err(other) => Failure::Stop(Stop::of(other)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Error(message) => f.write_str(message),
            Failure::Stop(stop) => write!(f, "the expression {}", stop.message()),
        }
    }
}

fn parse(expression: &Expression) -> Result<Term<&str>, Vec<Fault>> {
    let text = expression.text.as_str();
    let tokens = Lexer::new(text).lex().map_err(|errors| -> Vec<Fault> {
        let fault = |(expected, found): (jaq_core::load::lex::Expect<&str>, &str)| {
            at(expression, found, format!("jq: expected {} here", expected.as_str()))
        };
        errors.into_iter().map(fault).collect()
    })?;
    Parser::new(&tokens).parse(|it| it.term()).map_err(|errors| {
        let fault =
            |(expected, found): (jaq_core::load::parse::Expect<&str>, Option<&jaq_core::load::lex::Token<&str>>)| {
                let found = found.map_or(&text[text.len()..], |it| it.0);
                at(expression, found, format!("jq: expected {} here", expected.as_str()))
            };
        errors.into_iter().map(fault).collect()
    })
}

/// A fault at `part`, a slice of the expression's text.
fn at(expression: &Expression, part: &str, message: impl fmt::Display) -> Fault {
    let text = expression.text.as_str();
    let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let mut fault = expression.fault(message);
    let Some(before) = text.get(..start) else { return fault };
    let lines = before.matches('\n').count();
    let last = before.rsplit('\n').next().unwrap_or_default().chars().count();
    fault.line += lines;
    fault.column = if lines == 0 { fault.column + last } else { 1 + last };
    // The span is exact where the text stands in the plan as it is, between two single quotes.
    if expression.span.len() == text.len() + 2 {
        let from = expression.span.start + 1 + start;
        fault.span = from..(from + part.len()).min(expression.span.end);
    }
    fault
}

/// The definitions that jq programs take for granted, without those that this tool bars.
fn prelude() -> &'static [Def<&'static str>] {
    static PRELUDE: OnceLock<Vec<Def<&'static str>>> = OnceLock::new();
    PRELUDE.get_or_init(|| {
        let call = |name| Term::Call(name, Vec::new());
        let variables = ["$from", "$to", "$by"].to_vec();
        let range = Term::Call("!range", variables.iter().map(|it| Term::Var(*it)).collect());
        let own = [
            Def { name: "range", args: variables, body: pipe(range, call("!tick")) },
            Def { name: "fromjson", args: Vec::new(), body: pipe(call("!shallow"), call("!fromjson")) },
            Def { name: "tojson", args: Vec::new(), body: pipe(call("!lean"), call("!tojson")) },
        ];
        let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        own.into_iter().chain(all.filter(|it| BARRED.iter().all(|(name, _)| it.name != *name))).collect()
    })
}

/// Compiles a term with the definitions it comes to, and tells whether it mentions `$row` and which texts there are.
fn link(
    expression: &Expression,
    term: Term<&str>,
    names: &[&'static str],
) -> Result<(Filter<Metered>, bool, Texts), Vec<Fault>> {
    let mut rewriter = Rewriter::default();
    let body = rewriter.body(term);
    let takes_row = rewriter.takes_row;
    let mut definitions = vec![Def { name: MAIN, args: Vec::new(), body }];
    for definition in prelude().iter().rev() {
        if rewriter.calls.contains(definition.name) {
            let body = rewriter.body(definition.body.clone());
            definitions.push(Def { name: definition.name, args: definition.args.clone(), body });
        }
    }
    definitions.reverse();
    let internal = || vec![expression.fault("jq: this expression cannot be compiled")];
    let arena = Arena::default();
    let file = File { code: MAIN, path: () };
    let modules = Loader::new(definitions).load(&arena, file).map_err(|_| internal())?;
    let compiler = Compiler::default().with_funs(natives()).with_global_vars(names.iter().copied());
    let filter = compiler.compile(modules).map_err(|errors| -> Vec<Fault> {
        let undefined = errors.into_iter().flat_map(|(_, errors)| errors);
        undefined.map(|(name, what)| undefined_fault(expression, name, &what, names)).collect()
    })?;
    Ok((filter, takes_row, rewriter.texts))
}

fn undefined_fault(expression: &Expression, name: &str, what: &Undefined, names: &[&'static str]) -> Fault {
    let (message, hint) = match what {
        Undefined::Filter(arity) if prelude().iter().any(|it| it.name == name) => {
            (format!("jq: {} does not take {arity} arguments", quoted(name)), None)
        }
        Undefined::Filter(_) => {
            let known = prelude().iter().map(|it| it.name);
            (format!("jq: there is no filter {}", quoted(name)), nearest(name, known))
        }
        Undefined::Var => (format!("jq: there is no variable {}", quoted(name)), nearest(name, names.iter().copied())),
        other => (format!("jq: there is no {} {}", other.as_str(), quoted(name)), None),
    };
    let fault = at(expression, name, message);
    match (BARRED.iter().find(|(it, _)| *it == name), hint) {
        (Some((_, hint)), _) => fault.with_hint(hint),
        (None, Some(near)) => fault.with_hint(format_args!("did you mean {}?", quoted(near))),
        (None, None) if matches!(what, Undefined::Var) && !names.is_empty() => {
            fault.with_hint(format_args!("there are {}", names.join(", ")))
        }
        (None, None) => fault,
    }
}

fn pipe<'s>(left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(left), BinaryOp::Pipe(None), Box::new(right))
}

fn tick<'s>() -> Term<&'s str> {
    Term::Call("!tick", Vec::new())
}

/// Puts ticks into a program and notes what it mentions.
#[derive(Default)]
struct Rewriter<'s> {
    calls: BTreeSet<&'s str>,
    takes_row: bool,
    texts: Texts,
}

impl<'s> Rewriter<'s> {
    /// What may be called again and again.
    fn body(&mut self, term: Term<&'s str>) -> Term<&'s str> {
        pipe(tick(), self.term(term))
    }

    fn boxed(&mut self, term: Term<&'s str>) -> Box<Term<&'s str>> {
        Box::new(self.term(term))
    }

    fn term(&mut self, term: Term<&'s str>) -> Term<&'s str> {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Arr(None) => term,
            Term::Var(name) => {
                self.takes_row |= name == "$row";
                term
            }
            Term::Str(format, parts) => {
                self.calls.extend(format);
                self.texts.note(&parts);
                let part = |part| match part {
                    StrPart::Term(it) => StrPart::Term(pipe(self.term(it), Term::Call("!lean", Vec::new()))),
                    plain => plain,
                };
                Term::Str(format, parts.into_iter().map(part).collect())
            }
            Term::Arr(Some(it)) => Term::Arr(Some(Box::new(pipe(self.term(*it), tick())))),
            Term::Obj(members) => {
                let member = |(key, value): (_, Option<_>)| (self.term(key), value.map(|it| self.term(it)));
                Term::Obj(members.into_iter().map(member).collect())
            }
            Term::Neg(it) => Term::Neg(self.boxed(*it)),
            Term::BinOp(left, operator, right) => self.binary(*left, operator, *right),
            Term::Label(name, it) => Term::Label(name, self.boxed(*it)),
            Term::Fold(name, items, pattern, arguments) => {
                let items = self.boxed(*items);
                let pattern = self.pattern(pattern);
                let arguments = arguments.into_iter().map(|it| self.body(it)).collect();
                Term::Fold(name, items, pattern, arguments)
            }
            Term::TryCatch(it, catch) => Term::TryCatch(self.boxed(*it), catch.map(|it| self.boxed(*it))),
            Term::IfThenElse(branches, other) => {
                let branch = |(when, then)| (self.term(when), self.term(then));
                let branches = branches.into_iter().map(branch).collect();
                Term::IfThenElse(branches, other.map(|it| self.boxed(*it)))
            }
            Term::Def(definitions, it) => {
                let definition = |it: Def<_>| Def { body: self.body(it.body), ..it };
                let definitions = definitions.into_iter().map(definition).collect();
                Term::Def(definitions, self.boxed(*it))
            }
            Term::Call(name, arguments) => {
                self.calls.insert(name);
                // These go through what their argument yields by themselves.
                let counted = matches!(name, "last" | "skip");
                let argument = |it| if counted { pipe(self.term(it), tick()) } else { self.term(it) };
                Term::Call(name, arguments.into_iter().map(argument).collect())
            }
            Term::Path(it, Parts(parts)) => {
                let it = self.boxed(*it);
                let part = |(part, optional)| match part {
                    Part::Index(it) => (Part::Index(self.term(it)), optional),
                    Part::Range(from, to) => {
                        (Part::Range(from.map(|it| self.term(it)), to.map(|it| self.term(it))), optional)
                    }
                };
                Term::Path(it, Parts(parts.into_iter().map(part).collect()))
            }
        }
    }

    fn binary(&mut self, left: Term<&'s str>, operator: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
        let (left, right) = (self.term(left), self.term(right));
        let (operator, right) = match operator {
            BinaryOp::Math(Math::Mul) => return Term::Call("!times", vec![left, right]),
            BinaryOp::UpdateMath(Math::Mul) => {
                let times = Term::Call("!times", vec![Term::Id, Term::Var("$!")]);
                let update = Term::BinOp(Box::new(left), BinaryOp::Update, Box::new(times));
                let bind = BinaryOp::Pipe(Some(Pattern::Var("$!")));
                return Term::BinOp(Box::new(right), bind, Box::new(update));
            }
            BinaryOp::Pipe(Some(pattern)) => (BinaryOp::Pipe(Some(self.pattern(pattern))), pipe(tick(), right)),
            BinaryOp::Update => (BinaryOp::Update, pipe(tick(), right)),
            other => (other, right),
        };
        Term::BinOp(Box::new(left), operator, Box::new(right))
    }

    fn pattern(&mut self, pattern: Pattern<&'s str>) -> Pattern<&'s str> {
        match pattern {
            Pattern::Var(_) => pattern,
            Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(|it| self.pattern(it)).collect()),
            Pattern::Obj(members) => {
                let member = |(key, it)| (self.term(key), self.pattern(it));
                Pattern::Obj(members.into_iter().map(member).collect())
            }
        }
    }
}
