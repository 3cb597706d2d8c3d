//! What tables are called: with the schema in front, unless all are in one, or it is the one that everybody means.

use crate::store::sql::identifier;
use std::collections::BTreeSet;

/// The schema that goes without its name, of those that have tables.
pub(super) fn plain<'s>(schemas: impl Iterator<Item = &'s str>) -> String {
    let schemas: BTreeSet<&str> = schemas.collect();
    match schemas.first() {
        Some(only) if schemas.len() == 1 => (*only).to_owned(),
        _ => "public".to_owned(),
    }
}

/// A name for each table, of which the schema and the name in there are known. No name comes twice.
pub(super) fn names(tables: &[(&str, &str)], plain: &str) -> Vec<String> {
    let mut names = vec![String::new(); tables.len()];
    let mut taken = BTreeSet::new();
    // A name may hold a dot, and then look like one that has a schema in front.
    for (name, (schema, table)) in names.iter_mut().zip(tables).filter(|it| it.1.0 != plain) {
        *name = format!("{schema}.{table}");
        while !taken.insert(name.clone()) {
            *name = format!("{}.{name}", identifier(schema));
        }
    }
    for (name, (schema, table)) in names.iter_mut().zip(tables).filter(|it| it.1.0 == plain) {
        *name = (*table).to_owned();
        while !taken.insert(name.clone()) {
            *name = format!("{schema}.{name}");
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named() {
        for (tables, expect) in [
            (&[("shop", "users"), ("shop", "orders")][..], &["users", "orders"][..]),
            (&[("shop", "users"), ("public", "users")], &["shop.users", "users"]),
            (&[("shop", "users"), ("auth", "users")], &["shop.users", "auth.users"]),
            (&[("shop", "users"), ("public", "shop.users")], &["shop.users", "public.shop.users"]),
            (&[], &[]),
        ] {
            assert_eq!(names(tables, &plain(tables.iter().map(|it| it.0))), expect, "{tables:?}");
        }
    }
}
