//! Which columns of a row an expression looks at, so that the others need not be read and made values of jq's.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Term},
    },
    path::Part,
};
use std::collections::BTreeSet;

/// The members of its input that an expression looks at. None: it may look at all of it.
pub(super) type Reach = Option<BTreeSet<String>>;

/// The reach of a term as the compiler takes it. What is not sure to stay within some members may look at all.
pub(super) fn of(term: &Term<&str>) -> Reach {
    let mut names = BTreeSet::new();
    within(term, &mut names).then_some(names)
}

/// Both reaches together.
pub(super) fn union(left: Reach, right: Reach) -> Reach {
    let (mut left, right) = (left?, right?);
    left.extend(right);
    Some(left)
}

/// Whether `term` stays within members, which are noted in `names`.
fn within(term: &Term<&str>, names: &mut BTreeSet<String>) -> bool {
    match term {
        Term::Num(_) | Term::Break(_) | Term::Var(_) | Term::Arr(None) => true,
        Term::Str(_, parts) => parts.iter().all(|part| match part {
            StrPart::Term(it) => within(it, names),
            StrPart::Str(_) | StrPart::Char(_) => true,
        }),
        Term::Arr(Some(it)) | Term::Neg(it) | Term::Label(_, it) => within(it, names),
        Term::Obj(members) => members.iter().all(|(key, value)| match value {
            Some(value) => within(key, names) && within(value, names),
            // `{a}` and `{"a"}` look up what they name, `{$a}` does not.
            None => matches!(key, Term::Var(_)) || member(key, names),
        }),
        // What comes through a pipe is no longer the row; whether it gets at `$row` is for others to see.
        Term::BinOp(left, BinaryOp::Pipe(None), _) => within(left, names),
        Term::BinOp(left, operator, right) => match operator {
            BinaryOp::Pipe(_) | BinaryOp::Assign | BinaryOp::Update => false,
            BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => false,
            _ => within(left, names) && within(right, names),
        },
        Term::IfThenElse(branches, Some(other)) => {
            branches.iter().all(|(when, then)| within(when, names) && within(then, names)) && within(other, names)
        }
        Term::Call(name, arguments) => arguments.is_empty() && matches!(*name, "true" | "false" | "null" | "empty"),
        Term::Path(from, parts) => {
            let indices = parts.0.iter().flat_map(|(part, _)| match part {
                Part::Index(it) => [Some(it), None],
                Part::Range(from, to) => [from.as_ref(), to.as_ref()],
            });
            let rooted = match (&**from, parts.0.first()) {
                (Term::Id, Some((Part::Index(index), _))) => member(index, names),
                (Term::Id, _) => false,
                (from, _) => within(from, names),
            };
            rooted && indices.flatten().all(|it| within(it, names))
        }
        _ => false,
    }
}

/// Notes the member that a literal names.
fn member(key: &Term<&str>, names: &mut BTreeSet<String>) -> bool {
    let Term::Str(None, parts) = key else { return false };
    let mut name = String::new();
    for part in parts {
        match part {
            StrPart::Str(text) => name.push_str(text),
            StrPart::Char(character) => name.push(*character),
            StrPart::Term(_) => return false,
        }
    }
    names.insert(name);
    true
}
