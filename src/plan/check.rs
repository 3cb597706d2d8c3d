//! Problems that only two places of a plan together can have: rules that contradict, names that lead nowhere.
use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Conflict, Mapping, Plan, Rule,
    fault::{nearest, quoted},
    keys::{NEEDS, ONLY},
    read::{Entry, Reader, entries},
};
use crate::value::{Type, decimal};

/// Keys of a column that cannot stand together.
const CONTRADICTIONS: &[(&str, &str, &str)] = &[
    ("generated", "from", "the value is made up, not read"),
    ("generated", "default", "the value is always made up"),
    ("generated", "map", "there is no source value to map"),
    ("required", "default", "nothing is missing once the default stands in"),
    ("ignore", "truncate", "the column is not compared at all"),
    ("ignore", "round", "the column is not compared at all"),
    ("truncate", "round", "no value is both a time and a number"),
    ("encrypt", "generated", "what is made up is no secret of the source"),
    ("encrypt", "truncate", "the target holds no time"),
    ("encrypt", "round", "the target holds no number"),
];

/// Keys of a column that mean something to some types only.
const FITTING: &[(&str, &[Type])] = &[
    ("truncate", &[Type::Any, Type::Time, Type::Timestamp, Type::DateTime]),
    ("round", &[Type::Any, Type::Real, Type::Decimal]),
    ("min", &[Type::Any, Type::Int, Type::Real, Type::Decimal]),
    ("max", &[Type::Any, Type::Int, Type::Real, Type::Decimal]),
];

/// More decimals than any database keeps.
const ROUND_MAX: u64 = 16_383;

/// Adds the faults of `plan`, which was read from `root`, to those of `reader`.
pub(super) fn plan(reader: &mut Reader<'_>, root: &DeTable<'_>, plan: &Plan) {
    for (name, kind) in [("source", &plan.source.kind), ("target", &plan.target.kind)] {
        if let Some(table) = root.get(name) {
            endpoint(reader, table, kind);
        }
    }
    let mut intos = Vec::new();
    for (node, mapped) in list(root, "table").zip(&plan.tables) {
        let Some(table) = node.get_ref().as_table() else { continue };
        unique(reader, table, "into", &mapped.into, &mut intos);
        mapping(reader, table, mapped);
    }
    let mut names = Vec::new();
    for (node, check) in list(root, "check").zip(&plan.checks) {
        let Some(table) = node.get_ref().as_table() else { continue };
        unique(reader, table, "name", &check.name, &mut names);
        let answers = ["source", "target", "expect"].into_iter().filter(|it| table.contains_key(*it)).count();
        if answers < 2 {
            let hint = "give two of `source`, `target` and `expect`".to_owned();
            reader.fault(node.span(), "a check needs two answers to compare".into(), hint);
        }
        if let (Some(node), Some(name)) = (table.get("table"), &check.table) {
            let raw = node.get_ref().as_str().unwrap_or_default();
            target(reader, root, plan, (raw, name), node.span());
        }
    }
    if let Some(gate) = root.get("gate").and_then(|it| it.get_ref().as_table()) {
        limits(reader, root, plan, gate);
    }
    around(reader, root, plan);
}

/// What stands around a run.
fn around(reader: &mut Reader<'_>, root: &DeTable<'_>, plan: &Plan) {
    let some = |reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str, enough: bool| {
        if let Some(node) = table.get(key).filter(|_| !enough) {
            reader.fault(node.span(), format!("`{key}` must be more than 0"), None);
        }
    };
    if let Some(hooks) = root.get("hooks").and_then(|it| it.get_ref().as_table()) {
        some(reader, hooks, "timeout", !plan.hooks.timeout.is_zero());
    }
    let mut names = Vec::new();
    for (node, warm) in list(root, "warm").zip(&plan.warm) {
        let Some(table) = node.get_ref().as_table() else { continue };
        unique(reader, table, "name", &warm.name, &mut names);
        some(reader, table, "times", warm.times > 0);
        if let Some((name, _)) = table.get_key_value("cached").filter(|_| warm.times == 1) {
            let hint = "the first answer fills the cache; ask twice".to_owned();
            reader.fault(name.span(), "`cached` means nothing where only one answer comes".into(), hint);
        }
    }
    let mut names = Vec::new();
    for (node, query) in list(root, "query").zip(&plan.queries) {
        let Some(table) = node.get_ref().as_table() else { continue };
        unique(reader, table, "name", &query.name, &mut names);
        some(reader, table, "runs", query.runs > 0);
        some(reader, table, "faster", query.faster.is_none_or(|it| it > 0.0));
        if let Some((name, _)) = table.get_key_value("faster").filter(|_| query.source.is_none()) {
            let hint = "add `source`, or say `within` instead".to_owned();
            reader.fault(name.span(), "`faster` needs a query of the source to be compared with".into(), hint);
        }
    }
}

fn endpoint(reader: &mut Reader<'_>, node: &Spanned<DeValue<'_>>, kind: &str) {
    let Some(table) = node.get_ref().as_table() else { return };
    for (key, kinds) in NEEDS {
        if kinds.contains(&kind) && !table.contains_key(*key) {
            reader.fault(node.span(), format!("`{key}` is missing"), format!("a store of the kind `{kind}` needs it"));
        }
    }
    for (key, kinds) in ONLY {
        if let Some((name, _)) = table.get_key_value(*key).filter(|_| !kind.is_empty() && !kinds.contains(&kind)) {
            let hint = format!("it belongs to: {}", kinds.join(", "));
            reader.fault(name.span(), format!("`{key}` means nothing to a store of this kind"), hint);
        }
    }
}

/// Notes a name that an earlier table of the same list has.
fn unique(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str, name: &str, seen: &mut Vec<(String, Range<usize>)>) {
    let Some(span) = table.get(key).map(Spanned::span).filter(|_| !name.is_empty()) else { return };
    match seen.iter().find(|(it, _)| it == name) {
        Some((_, first)) => {
            let first = super::fault::place(reader.text, first.clone());
            let raw = table.get(key).and_then(|it| it.get_ref().as_str()).unwrap_or_default();
            let message = format!("`{key}` is {} a second time", quoted(raw));
            reader.fault(span, message, format!("the first one is at {}:{}", first.line, first.column));
        }
        None => seen.push((name.to_owned(), span)),
    }
}

fn mapping(reader: &mut Reader<'_>, table: &DeTable<'_>, mapped: &Mapping) {
    for node in list(table, "references") {
        let Some(reference) = node.get_ref().as_table() else { continue };
        let (columns, to) = (list(reference, "columns").count(), list(reference, "to").count());
        if to != 0 && columns != to {
            let span = reference.get("to").map_or(node.span(), Spanned::span);
            reader.fault(span, format!("`to` has {to} columns where `columns` has {columns}"), None);
        }
        declared(reader, reference, "columns", mapped);
    }
    let index = table.get("index").and_then(|it| Some((it.span(), it.get_ref().as_table()?)));
    if let Some((span, _)) = index.filter(|it| mapped.prefix.len() != 1 && !it.1.contains_key("record")) {
        let hint = "say what the key of a record has in front of its id: record = \"client:\"".to_owned();
        reader.fault(span, "`record` is missing, and no single `prefix` stands in for it".into(), hint);
    }
    for key in ["prefix", "index"] {
        if let Some((name, _)) =
            table.get_key_value(key).filter(|_| mapped.command.is_some() && mapped.columns.is_none())
        {
            let hint = "declare `columns`, or let the command choose".to_owned();
            reader.fault(name.span(), format!("`{key}` means nothing where only a `command` makes the rows"), hint);
        }
    }
    declared(reader, table, "key", mapped);
    newest(reader, table, mapped);
    new_ids(reader, table, mapped);
    for group in list(table, "unique") {
        for node in group.get_ref().as_array().into_iter().flat_map(|it| it.iter()) {
            column_of(reader, node, "unique", mapped);
        }
    }
    let Some(columns) = table.get("columns") else { return };
    let Some(rules) = columns.get_ref().as_table() else { return };
    if rules.is_empty() {
        let hint = "leave the key out for columns of the same names".to_owned();
        reader.fault(columns.span(), "`columns` is empty".into(), hint);
    }
    for (entry, (_, rule)) in entries(rules).iter().zip(mapped.columns.iter().flatten()) {
        column(reader, entry, rule);
        encrypted(reader, entry, rule, mapped);
        if rule.ignore && mapped.key.iter().flatten().any(|it| it == entry.name) {
            let message = format!("{} is in the key and cannot be ignored", quoted(entry.name));
            reader.fault(entry.span.clone(), message, None);
        }
    }
}

/// `conflict = "newest"` and `newest_by` need each other.
fn newest(reader: &mut Reader<'_>, table: &DeTable<'_>, mapped: &Mapping) {
    let newest = mapped.conflict == Conflict::Newest;
    match (newest, table.get_key_value("newest_by")) {
        (true, None) => {
            let span = table.get("conflict").map(Spanned::span).unwrap_or_default();
            let hint = "name the target's column of times: newest_by = \"updated_at\"".to_owned();
            reader.fault(span, "`newest_by` is missing".into(), hint);
        }
        (false, Some((name, _))) => {
            let hint = "say conflict = \"newest\", or leave it out".to_owned();
            reader.fault(name.span(), "`newest_by` means nothing without `conflict = \"newest\"`".into(), hint);
        }
        (true, Some((_, node))) => column_of(reader, node, "newest_by", mapped),
        (false, None) => {}
    }
}

/// What is encrypted cannot be read by an expression.
fn encrypted(reader: &mut Reader<'_>, entry: &Entry<'_, '_>, rule: &Rule, mapped: &Mapping) {
    if rule.encrypt.is_some() && mapped.inverse.is_some() {
        let hint = "leave one of them out".to_owned();
        let message = format!("`inverse` cannot read {}, which is encrypted", quoted(entry.name));
        reader.fault(entry.span.clone(), message, hint);
    }
}

/// A row under a new id is not made back to the one of the source.
fn new_ids(reader: &mut Reader<'_>, table: &DeTable<'_>, mapped: &Mapping) {
    if let Some((name, _)) = table.get_key_value("on_clash").filter(|_| mapped.inverse.is_some()) {
        let hint = "leave one of them out".to_owned();
        reader.fault(name.span(), "`inverse` cannot tell which row a new id stands for".into(), hint);
    }
}

/// Checks that the columns listed under `key` are among the declared ones.
fn declared(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str, mapped: &Mapping) {
    for node in list(table, key) {
        column_of(reader, node, key, mapped);
    }
}

fn column_of(reader: &mut Reader<'_>, node: &Spanned<DeValue<'_>>, key: &str, mapped: &Mapping) {
    let (Some(columns), Some(raw)) = (&mapped.columns, node.get_ref().as_str()) else { return };
    let name = reader.filled(raw);
    if name.is_empty() || columns.iter().any(|(it, _)| *it == name) {
        return;
    }
    let near = nearest(raw, columns.iter().map(|(it, _)| it.as_str()));
    let hint = near.map_or("add it under `columns`".to_owned(), |it| format!("did you mean {}?", quoted(it)));
    reader.fault(node.span(), format!("`{key}`: {} is not among the columns", quoted(raw)), hint);
}

fn column(reader: &mut Reader<'_>, entry: &Entry<'_, '_>, rule: &Rule) {
    let Some(table) = entry.value.get_ref().as_table() else { return };
    // A rule that is `false` says nothing, so it contradicts nothing.
    let said = |key: &str| {
        let (name, value) = table.get_key_value(key)?;
        (value.get_ref().as_bool() != Some(false) || key == "default").then(|| name.span())
    };
    for (key, other, reason) in CONTRADICTIONS {
        if let (Some(span), Some(_)) = (said(key), said(other)) {
            reader.fault(span, format!("`{key}` and `{other}` contradict each other: {reason}"), "keep one".to_owned());
        }
    }
    for key in ["truncate", "round", "ignore"] {
        if let Some(span) = said(key).filter(|_| !table.contains_key("because")) {
            let hint = "say why the difference does not matter; the report repeats it".to_owned();
            reader.fault(span, format!("`{key}` needs `because`"), hint);
        }
    }
    for (key, types) in FITTING {
        if let (Some(span), Some(ty)) = (said(key), rule.ty.filter(|it| !types.contains(&it.ty))) {
            let names: Vec<_> = types.iter().map(|it| it.name()).collect();
            let message = format!("`{key}` means nothing to the type `{}`", ty.ty.name());
            reader.fault(span, message, format!("it belongs to: {}", names.join(", ")));
        }
    }
    if let Some(node) = table.get("round")
        && node.get_ref().as_integer().and_then(super::read::count).is_some_and(|it| ROUND_MAX < it)
    {
        reader.fault(node.span(), format!("`round` is over {ROUND_MAX} decimals"), None);
    }
    if let (Some(min), Some(max), Some(node)) = (&rule.min, &rule.max, table.get("max"))
        && exceeds(min, max)
    {
        reader.fault(node.span(), "`max` is less than `min`: no value fits".into(), None);
    }
}

fn limits(reader: &mut Reader<'_>, root: &DeTable<'_>, plan: &Plan, gate: &DeTable<'_>) {
    // `unselected` names tables of the source, which the plan does not know.
    for entry in entries(gate).into_iter().filter(|it| it.name != "unselected") {
        match entry.value.get_ref() {
            DeValue::Table(tables) => {
                for limit in entries(tables).into_iter().filter(|it| it.name != "*") {
                    target(reader, root, plan, (limit.name, limit.name), limit.span);
                }
            }
            DeValue::Array(items) if entry.name == "allow_empty" => {
                for item in items.iter() {
                    let raw = item.get_ref().as_str().unwrap_or_default();
                    target(reader, root, plan, (raw, &reader.filled(raw)), item.span());
                }
            }
            _ => (),
        }
    }
}

/// Checks that a table named in passing is one the plan fills. A plan without tables compares whatever there is.
///
/// Only what the plan itself spells is shown: `raw`, and tables whose name holds no variable.
fn target(reader: &mut Reader<'_>, root: &DeTable<'_>, plan: &Plan, (raw, name): (&str, &str), span: Range<usize>) {
    if name.is_empty() || plan.tables.is_empty() || plan.table(name).is_some() {
        return;
    }
    let intos = list(root, "table").filter_map(|it| it.get_ref().as_table()?.get("into")?.get_ref().as_str());
    let hint = match nearest(raw, intos.filter(|it| plan.table(it).is_some())) {
        Some(into) => format!("did you mean {}?", quoted(into)),
        None => "name a table by its `into`".to_owned(),
    };
    reader.fault(span, format!("no table of this plan is called {}", quoted(raw)), hint);
}

fn list<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> impl Iterator<Item = &'t Spanned<DeValue<'i>>> + use<'t, 'i> {
    table.get(name).and_then(|it| it.get_ref().as_array()).into_iter().flat_map(|it| it.iter())
}

/// Whether the exact decimal `a` is greater than `b`.
fn exceeds(a: &str, b: &str) -> bool {
    let canonical = |text: &str| {
        let mut out = Vec::new();
        decimal::canonical(text, &mut out).then_some(out).and_then(|it| String::from_utf8(it).ok())
    };
    canonical(a).zip(canonical(b)).is_some_and(|(a, b)| decimal::compare(&a, &b).is_gt())
}
