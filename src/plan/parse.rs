//! The text of a plan → [`Plan`].
mod around;

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{
    Check, ColumnType, Conflict, Endpoint, Expression, FieldKey, Generated, Json, KeyIndex, Limit, Mapping, Merge,
    Migrate, Names, Place, Plan, Policy, Reference, Rule, check,
    fault::{Fault, place},
    keys::ROOT,
    read::{Entry, Node, Reader, address, count, decimal, entries, settings},
};
use crate::value::Type;

/// Reads a plan. `path` is where it lies and is only repeated; `lookup` gives the value of a variable.
///
/// # Errors
/// Every problem of the plan, in the order of the text. Of a text that is not TOML, where that shows first.
pub fn parse(text: &str, path: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Vec<Fault>> {
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => return Err(vec![syntax(text, &error)]),
    };
    let mut reader = Reader { text, lookup, faults: Vec::new() };
    reader.table(ROOT, root.get_ref(), 0..0);
    let plan = plan(&mut reader, root.get_ref(), path);
    check::plan(&mut reader, root.get_ref(), &plan);
    let mut faults = reader.faults;
    if faults.is_empty() {
        return Ok(plan);
    }
    faults.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
    faults.dedup();
    Err(faults)
}

/// The text is not TOML. Its tree is not to be had, so of a line that looks like a secret no more is shown than what
/// stands before the first `=`.
fn syntax(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or(0..0);
    let fault = Fault::new(text, span, format!("this is not TOML: {}", error.message()));
    let (before, after) = text.split_at(fault.span.start);
    let from = before.rfind('\n').map_or(0, |it| it + 1);
    let to = before.len() + after.find('\n').unwrap_or(after.len());
    let line = text.get(from..to).unwrap_or_default();
    let secret = ["token", "password", "secret", "api_key", "encrypt", "://"].iter().any(|it| line.contains(it));
    match line.find('=') {
        Some(at) if secret => fault.masking(from + at + 1..to),
        _ => fault,
    }
}

fn plan(reader: &mut Reader<'_>, root: &DeTable<'_>, path: &str) -> Plan {
    let instant = match root.get("instant").map(toml::Spanned::get_ref) {
        Some(DeValue::Datetime(time)) => Some(time.to_string()),
        _ => text(reader, root, "instant"),
    };
    Plan {
        path: path.to_owned(),
        hash: blake3::hash(reader.text.as_bytes()).to_hex().to_string(),
        zone: text(reader, root, "zone"),
        seed: text(reader, root, "seed").unwrap_or_else(|| "cutover".to_owned()),
        instant,
        source: table(root, "source").map(|it| endpoint(reader, it)).unwrap_or_default(),
        target: table(root, "target").map(|it| endpoint(reader, it)).unwrap_or_default(),
        tables: tables(root, "table").map(|it| mapping(reader, it)).collect(),
        left_out: Vec::new(),
        checks: tables(root, "check").map(|it| witness(reader, it)).collect(),
        gate: table(root, "gate").map(|it| policy(reader, it)).unwrap_or_default(),
        migrate: table(root, "migrate").map(|it| migrate(reader, it)).unwrap_or_default(),
        hooks: table(root, "hooks").map(|it| around::hooks(reader, it)).unwrap_or_default(),
        warm: tables(root, "warm").map(|it| around::warm(reader, it)).collect(),
        queries: tables(root, "query").map(|it| around::query(reader, it)).collect(),
        log_folder: table(root, "log").and_then(|it| text(reader, it, "folder")),
    }
}

fn endpoint(reader: &Reader<'_>, table: &DeTable<'_>) -> Endpoint {
    let kind = text(reader, table, "kind").unwrap_or_default();
    let path = text(reader, table, "path");
    let settings = settings(reader, table);
    let setting = |name: &str| settings.get(name).and_then(super::Setting::text);
    let url = setting("url").and_then(address);
    let called = ["id", "database", "namespace", "origin"].iter().find_map(|it| setting(it)).map(str::to_owned);
    let columns = |it: &DeTable<'_>| {
        let typed = entries(it)
            .into_iter()
            .filter_map(|it| Some((it.name.to_owned(), Type::parse(&string(reader, it.value)?)?)));
        typed.collect()
    };
    let types = self::table(table, "types").map(entries).unwrap_or_default();
    Endpoint {
        name: path.clone().or(url).or(called).unwrap_or_else(|| kind.clone()),
        schema: text(reader, table, "schema"),
        views: flag(table, "views"),
        null: text(reader, table, "null"),
        delimiter: text(reader, table, "delimiter").and_then(|it| it.bytes().next()),
        types: types
            .iter()
            .filter_map(|it| Some((it.name.to_owned(), columns(it.value.get_ref().as_table()?))))
            .collect(),
        settings,
        kind,
        path,
    }
}

fn mapping(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Mapping {
    let mut columns = |name: &str| {
        let columns = self::table(table, name).map(entries);
        columns.map(|it| it.iter().map(|it| (it.name.to_owned(), rule(reader, it))).collect())
    };
    let (columns, inverse) = (columns("columns"), columns("inverse"));
    Mapping {
        into: text(reader, table, "into").unwrap_or_default(),
        from: text(reader, table, "from"),
        prefix: one_or_more(reader, table, "prefix"),
        filter: expression(reader, table, "where"),
        each: expression(reader, table, "each"),
        key: texts(reader, table, "key"),
        conflict: match text(reader, table, "conflict").as_deref() {
            Some("skip") => Conflict::Skip,
            Some("overwrite") => Conflict::Overwrite,
            Some("merge") => Conflict::Merge,
            Some("newest") => Conflict::Newest,
            Some("ask") => Conflict::Ask,
            _ => Conflict::Stop,
        },
        new_ids: text(reader, table, "on_clash").is_some(),
        newest_by: text(reader, table, "newest_by"),
        dated: text(reader, table, "dated"),
        columns,
        veiled: Vec::new(),
        inverse,
        uniques: list(table, "unique").map(|it| strings(reader, it)).collect(),
        references: tables(table, "references")
            .map(|it| Reference {
                columns: texts(reader, it, "columns").unwrap_or_default(),
                table: text(reader, it, "table").unwrap_or_default(),
                to: texts(reader, it, "to").unwrap_or_default(),
            })
            .collect(),
        index: self::table(table, "index").map(|it| index(reader, it, table)),
        expect: text(reader, table, "expect"),
        command: texts(reader, table, "command"),
        place: place_of(reader, table, "into"),
    }
}

fn index(reader: &Reader<'_>, index: &DeTable<'_>, table: &DeTable<'_>) -> KeyIndex {
    let prefix = || one_or_more(reader, table, "prefix").into_iter().next();
    let place = place_of(reader, index, "key");
    let Place { line, column, span } = place.clone();
    let usual = || Expression { text: ".value[]".to_owned(), line, column, span };
    KeyIndex {
        key: text(reader, index, "key").unwrap_or_default(),
        ids: expression(reader, index, "ids").unwrap_or_else(usual),
        record: text(reader, index, "record").or_else(prefix).unwrap_or_default(),
        place,
    }
}

fn rule(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Rule {
    let place = place(reader.text, entry.span.clone());
    let DeValue::Table(table) = entry.value.get_ref() else {
        return Rule { from: as_expression(reader, entry.value), place, ..Rule::default() };
    };
    let map = self::table(table, "map").map(entries);
    let encrypt = encryption(reader, table);
    Rule {
        from: expression(reader, table, "from"),
        default: json(reader, table, "default"),
        ty: text(reader, table, "type").and_then(|it| ColumnType::parse(&it)),
        map: map.map(|it| it.iter().filter_map(|it| Some((it.name.to_owned(), quietly(reader, it.value)?))).collect()),
        required: flag(table, "required"),
        matches: raw(table, "matches").map(str::to_owned),
        min: number(reader, table, "min"),
        max: number(reader, table, "max"),
        one_of: table.get("one_of").map(|_| list(table, "one_of").filter_map(|it| quietly(reader, it)).collect()),
        trim: flag(table, "trim"),
        strip_nul: flag(table, "strip_nul"),
        truncate: text(reader, table, "truncate"),
        round: whole(table, "round").and_then(|it| u32::try_from(it).ok()),
        ignore: flag(table, "ignore"),
        secret: flag(table, "secret") || encrypt.is_some(),
        encrypt,
        merge: match text(reader, table, "merge").as_deref() {
            Some("source") => Merge::Source,
            Some("target") => Merge::Target,
            _ => Merge::Fill,
        },
        generated: match text(reader, table, "generated").as_deref() {
            Some("ulid") => Some(Generated::Ulid),
            Some("uuid") => Some(Generated::Uuid),
            _ => None,
        },
        because: text(reader, table, "because"),
        place,
    }
}

/// The key of `encrypt`.
fn encryption(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<FieldKey> {
    let said = text(reader, table, "encrypt").filter(|it| !it.is_empty())?;
    let key = FieldKey::read(&said);
    if let (None, Some(node)) = (&key, table.get("encrypt")) {
        let hint = "`openssl rand -hex 32` makes one".to_owned();
        let message = "`encrypt` needs a variable that holds 32 bytes in hexadecimal or base64";
        reader.fault(node.span(), message.into(), hint);
    }
    key
}

fn witness(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Check {
    Check {
        name: text(reader, table, "name").unwrap_or_default(),
        table: text(reader, table, "table"),
        source: expression(reader, table, "source"),
        target: expression(reader, table, "target"),
        from: text(reader, table, "from"),
        expect: json(reader, table, "expect"),
        secret: table.contains_key("secret").then(|| flag(table, "secret")),
        place: place_of(reader, table, "name"),
    }
}

fn policy(reader: &Reader<'_>, table: &DeTable<'_>) -> Policy {
    let limit = |name: &str| limit(table, name);
    Policy {
        missing: limit("missing"),
        extra: limit("extra"),
        changed: limit("changed"),
        duplicates: limit("duplicates"),
        orphans: limit("orphans"),
        clashes: limit("clashes"),
        rejects: limit("rejects"),
        invalid: limit("invalid"),
        allow_empty: match flag(table, "allow_empty") {
            true => Names::All,
            false => Names::Some(texts(reader, table, "allow_empty").unwrap_or_default().into_iter().collect()),
        },
        leave: texts(reader, table, "leave").unwrap_or_default(),
        unselected: table.contains_key("unselected").then(|| limit("unselected")),
        unpaired: texts(reader, table, "unpaired").unwrap_or_default(),
    }
}

fn migrate(reader: &Reader<'_>, table: &DeTable<'_>) -> Migrate {
    let usual = Migrate::default();
    let truth = |name: &str, usual: bool| if table.contains_key(name) { flag(table, name) } else { usual };
    let decimal = |name: &str, usual: f64| number(reader, table, name).and_then(|it| it.parse().ok()).unwrap_or(usual);
    Migrate {
        backup: truth("backup", usual.backup),
        batch_size: whole(table, "batch_size"),
        concurrency: whole(table, "concurrency").unwrap_or(usual.concurrency).max(1),
        batch_delay: decimal("batch_delay", usual.batch_delay),
        retries: whole(table, "retries").unwrap_or(usual.retries),
        backoff: decimal("backoff", usual.backoff),
        skip_errors: truth("skip_errors", usual.skip_errors),
        auto_rollback: truth("auto_rollback", usual.auto_rollback),
        rollback_threshold: decimal("rollback_threshold", usual.rollback_threshold),
        preserve_partial: truth("preserve_partial", usual.preserve_partial),
        disable_indexes: truth("disable_indexes", usual.disable_indexes),
        reminders: texts(reader, table, "reminders").unwrap_or_default(),
    }
}

fn limit(table: &DeTable<'_>, name: &str) -> Limit {
    match table.get(name).map(toml::Spanned::get_ref) {
        Some(DeValue::Integer(number)) => Limit { all: count(number).unwrap_or_default(), ..Limit::default() },
        Some(DeValue::Table(tables)) => {
            let mut limit = Limit { all: whole(tables, "*").unwrap_or_default(), ..Limit::default() };
            let named = entries(tables).into_iter().filter(|it| it.name != "*");
            limit.tables = named.filter_map(|it| Some((it.name.to_owned(), whole(tables, it.name)?))).collect();
            limit
        }
        _ => Limit::default(),
    }
}

fn table<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<&'t DeTable<'i>> {
    table.get(name)?.get_ref().as_table()
}

fn list<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> impl Iterator<Item = &'t Node<'i>> + use<'t, 'i> {
    table.get(name).and_then(|it| it.get_ref().as_array()).into_iter().flat_map(|it| it.iter())
}

fn tables<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> impl Iterator<Item = &'t DeTable<'i>> + use<'t, 'i> {
    list(table, name).filter_map(|it| it.get_ref().as_table())
}

fn raw<'t>(table: &'t DeTable<'_>, name: &str) -> Option<&'t str> {
    table.get(name)?.get_ref().as_str()
}

fn string(reader: &Reader<'_>, node: &Node<'_>) -> Option<String> {
    node.get_ref().as_str().map(|it| reader.filled(it))
}

fn text(reader: &Reader<'_>, table: &DeTable<'_>, name: &str) -> Option<String> {
    string(reader, table.get(name)?)
}

fn texts(reader: &Reader<'_>, table: &DeTable<'_>, name: &str) -> Option<Vec<String>> {
    table.get(name).map(|it| strings(reader, it))
}

fn strings(reader: &Reader<'_>, node: &Node<'_>) -> Vec<String> {
    let items = node.get_ref().as_array().into_iter().flat_map(|it| it.iter());
    items.filter_map(|it| string(reader, it)).collect()
}

/// A string, or the strings of a list.
fn one_or_more(reader: &Reader<'_>, table: &DeTable<'_>, name: &str) -> Vec<String> {
    text(reader, table, name).map(|it| vec![it]).or_else(|| texts(reader, table, name)).unwrap_or_default()
}

fn flag(table: &DeTable<'_>, name: &str) -> bool {
    table.get(name).and_then(|it| it.get_ref().as_bool()).unwrap_or_default()
}

fn whole(table: &DeTable<'_>, name: &str) -> Option<u64> {
    count(table.get(name)?.get_ref().as_integer()?)
}

fn number(reader: &Reader<'_>, table: &DeTable<'_>, name: &str) -> Option<String> {
    decimal(table.get(name)?.get_ref(), |it| reader.filled(it))
}

fn json(reader: &mut Reader<'_>, table: &DeTable<'_>, name: &str) -> Option<Json> {
    quietly(reader, table.get(name)?)
}

/// JSON of a value whose faults are noted already.
fn quietly(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Json> {
    let known = reader.faults.len();
    let json = reader.json(node);
    reader.faults.truncate(known);
    json
}

fn expression(reader: &Reader<'_>, table: &DeTable<'_>, name: &str) -> Option<Expression> {
    as_expression(reader, table.get(name)?)
}

fn as_expression(reader: &Reader<'_>, node: &Node<'_>) -> Option<Expression> {
    let text = node.get_ref().as_str()?;
    let span = node.span();
    let start = span.start + opening(reader.text.get(span.clone()).unwrap_or_default());
    let Place { line, column, .. } = place(reader.text, start..start);
    Some(Expression { text: text.to_owned(), line, column, span })
}

/// How many bytes stand before the first character of a quoted string.
fn opening(quoted: &str) -> usize {
    match quoted.strip_prefix("\"\"\"").or_else(|| quoted.strip_prefix("'''")) {
        Some(inside) if inside.starts_with("\r\n") => 5,
        Some(inside) if inside.starts_with('\n') => 4,
        Some(_) => 3,
        None => 1,
    }
}

fn place_of(reader: &Reader<'_>, table: &DeTable<'_>, name: &str) -> Place {
    let span: Range<usize> = table.get(name).map(toml::Spanned::span).unwrap_or_default();
    place(reader.text, span)
}
