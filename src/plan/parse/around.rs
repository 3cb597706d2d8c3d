//! What stands around a run: `[hooks]`, `[[warm]]`, `[[query]]`.
use toml::de::{DeTable, DeValue};

use super::{entries, expression, flag, number, place, string, strings, table, text, whole};
use crate::plan::{
    Address, Cached, Call, Hook, Hooks, Query, Warm,
    read::{Reader, time_span},
};

pub(super) fn hooks(reader: &Reader<'_>, table: &DeTable<'_>) -> Hooks {
    let hook = |name: &str| hook(reader, table, name);
    let timeout = text(reader, table, "timeout").and_then(|it| time_span(&it));
    Hooks {
        before: hook("before"),
        on_progress: hook("on_progress"),
        after: hook("after"),
        on_failure: hook("on_failure"),
        on_change: hook("on_change"),
        timeout: timeout.unwrap_or(Hooks::default().timeout),
    }
}

fn hook(reader: &Reader<'_>, hooks: &DeTable<'_>, name: &str) -> Option<Hook> {
    let node = hooks.get(name)?;
    let call = match node.get_ref() {
        DeValue::Table(it) => Call::Web(address(reader, it)),
        _ => Call::Command(strings(reader, node)),
    };
    Some(Hook { call, place: place(reader.text, node.span()) })
}

fn address(reader: &Reader<'_>, table: &DeTable<'_>) -> Address {
    let headers = self::table(table, "headers").map(entries).unwrap_or_default();
    Address {
        url: text(reader, table, "url").unwrap_or_default(),
        headers: headers.iter().filter_map(|it| Some((it.name.to_owned(), string(reader, it.value)?))).collect(),
    }
}

pub(super) fn warm(reader: &Reader<'_>, table: &DeTable<'_>) -> Warm {
    let said = |it: &DeTable<'_>, name: &str| text(reader, it, name).unwrap_or_default();
    Warm {
        name: said(table, "name"),
        address: address(reader, table),
        times: whole(table, "times").unwrap_or(2),
        cached: self::table(table, "cached").map(|it| Cached { header: said(it, "header"), value: said(it, "value") }),
        must: flag(table, "must"),
    }
}

pub(super) fn query(reader: &Reader<'_>, table: &DeTable<'_>) -> Query {
    Query {
        name: text(reader, table, "name").unwrap_or_default(),
        source: expression(reader, table, "source"),
        target: expression(reader, table, "target").unwrap_or_default(),
        from: text(reader, table, "from"),
        runs: whole(table, "runs").unwrap_or(5),
        faster: number(reader, table, "faster").and_then(|it| it.parse().ok()),
        within: text(reader, table, "within").and_then(|it| time_span(&it)),
    }
}
