//! The types of columns as statements write them, and what the catalogs make of them.

use super::draft::{Name, folded, parts};
use crate::store::postgres::form::Declared;
use sqlparser::ast::{ArrayElemTypeDef, DataType};
use std::collections::BTreeMap;

/// A type that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub declared: Declared,
    /// What stands in parentheses behind it.
    pub modifier: String,
    /// The types of the file that it is made of, itself among them.
    made_of: Vec<Name>,
}

/// The types that statements have made so far. A domain stands for what it is made of.
#[derive(Default)]
pub(super) struct Types(BTreeMap<Name, Known>);

/// Types of the server, as `pg_type` calls them, but for those that have another name in SQL.
const BUILT_IN: &[&str] = &[
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "cid",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "uuid",
    "varbit",
    "varchar",
    "xid",
    "xid8",
    "xml",
];

/// Types that well-known extensions bring, all of which are compared by their text.
const EXTENSIONS: &[&str] = &[
    "box2d",
    "box3d",
    "citext",
    "cube",
    "ean13",
    "geography",
    "geometry",
    "halfvec",
    "hstore",
    "isbn",
    "isbn13",
    "ismn",
    "ismn13",
    "issn",
    "issn13",
    "lquery",
    "ltree",
    "ltxtquery",
    "raster",
    "seg",
    "sparsevec",
    "upc",
    "vector",
];

/// Types whose equality is that of their cells, as the catalogs' query for foreign keys has it.
const EXACT: &[&str] = &[
    "bit",
    "bool",
    "bpchar",
    "bytea",
    "char",
    "cidr",
    "date",
    "float4",
    "float8",
    "inet",
    "int2",
    "int4",
    "int8",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "oid",
    "pg_lsn",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varbit",
    "varchar",
    "xid",
];

impl Known {
    fn new(name: &str, class: &str, built_in: bool) -> Known {
        let declared = Declared { name: name.to_owned(), built_in, class: class.to_owned(), array: false };
        Known { declared, modifier: String::new(), made_of: Vec::new() }
    }

    /// Whether it is gone where these types are.
    pub(super) fn goes_with(&self, gone: &dyn Fn(&Name) -> bool) -> bool {
        self.made_of.iter().any(gone)
    }

    /// Whether the server takes values of the two for equal where cells are: else a foreign key between them is not checked.
    pub(super) fn compares_with(&self, parent: &Known) -> bool {
        let (a, b) = (&self.declared, &parent.declared);
        if a.array || b.array {
            return false;
        }
        if a == b {
            let exact = a.built_in && EXACT.contains(&a.name.as_str()) || a.class == "e";
            return exact && (a.name != "bpchar" || self.modifier == parent.modifier);
        }
        let both = |names: &[&str]| [a, b].iter().all(|it| it.built_in && names.contains(&it.name.as_str()));
        let widened = matches!(a.name.as_str(), "int2" | "int4" | "int8") && ["numeric", "float8"].contains(&&*b.name);
        both(&["int2", "int4", "int8"]) || both(&["text", "varchar", "name"]) || both(&["cidr", "inet"]) || widened
    }
}

impl Types {
    /// A type that is made of nothing else: an enum (`e`), a composite (`c`), a range (`r`), or one of somebody's own (`b`).
    pub(super) fn make(&mut self, name: Name, class: &str) {
        let known = Known { made_of: vec![name.clone()], ..Known::new(&name.name, class, false) };
        self.0.insert(name, known);
    }

    /// A domain. Nothing is known of it, if nothing is known of what it is made of.
    pub(super) fn make_domain(&mut self, name: Name, of: Option<Known>) {
        if let Some(of) = of {
            let made_of = [of.made_of, vec![name.clone()]].concat();
            self.0.insert(name, Known { made_of, ..of });
        }
    }

    /// Drops types, and the domains that are made of them.
    pub(super) fn drop(&mut self, gone: &dyn Fn(&Name) -> bool) {
        self.0.retain(|_, known| !known.goes_with(gone));
    }

    /// What a type is, and whether it also makes a column that is not NULL, as `serial` does. `schema` is the one of names without
    /// one. Nothing is known of types that are made elsewhere.
    pub(super) fn find(&self, written: &DataType, schema: &str) -> (Option<Known>, bool) {
        let text = written.to_string();
        match written {
            // An array of whatever is one.
            DataType::Array(of) => {
                let mut known = Known::new("array", "b", true);
                known.declared.array = true;
                let of = match of {
                    ArrayElemTypeDef::AngleBracket(it)
                    | ArrayElemTypeDef::SquareBracket(it, _)
                    | ArrayElemTypeDef::Parenthesis(it)
                    | ArrayElemTypeDef::ParenthesisNotNull(it)
                    | ArrayElemTypeDef::Qualified(it, _) => self.find(it, schema).0,
                    ArrayElemTypeDef::None => None,
                };
                known.made_of = of.map(|it| it.made_of).unwrap_or_default();
                (Some(known), false)
            }
            DataType::Custom(name, modifiers) => {
                let parts = parts(name);
                let serial = match parts.as_slice() {
                    [name] => serial(name),
                    _ => None,
                };
                let known = serial.map(|it| Known::new(it, "b", true)).or_else(|| self.named(&parts, schema));
                let modifier = format!("{modifiers:?}");
                (known.map(|it| it.modified(modifier)), serial.is_some())
            }
            _ => {
                let (name, modifier) = spelled(&text);
                let known = built_in(&name).map(|it| Known::new(it, "b", true));
                (known.or_else(|| self.named(&[name], schema)).map(|it| it.modified(modifier)), false)
            }
        }
    }

    fn named(&self, parts: &[String], schema: &str) -> Option<Known> {
        let (name, before) = parts.split_last()?;
        let is = |known: &[&str]| known.contains(&name.as_str());
        let built_in = is(BUILT_IN) || name == "char";
        match before {
            [] | [_] if built_in && before.first().is_none_or(|it| it == "pg_catalog") => {
                Some(Known::new(name, "b", true))
            }
            [] => {
                let own = self.0.get(&Name { schema: schema.to_owned(), name: name.clone() });
                // The search path may lead elsewhere.
                own.or_else(|| self.0.iter().find(|it| it.0.name == *name).map(|it| it.1)).cloned()
            }
            [schema] => self.0.get(&Name { schema: schema.clone(), name: name.clone() }).cloned(),
            _ => None,
        }
        .or_else(|| is(EXTENSIONS).then(|| Known::new(name, "b", false)))
    }
}

impl Known {
    /// A domain keeps what it says itself.
    fn modified(self, modifier: String) -> Known {
        if self.modifier.is_empty() { Known { modifier, ..self } } else { self }
    }
}

/// What a serial column is of.
fn serial(name: &str) -> Option<&'static str> {
    Some(match name {
        "smallserial" | "serial2" => "int2",
        "serial" | "serial4" => "int4",
        "bigserial" | "serial8" => "int8",
        _ => return None,
    })
}

/// The words of a type that has a name of its own in SQL, and what stands in parentheses among them.
fn spelled(text: &str) -> (String, String) {
    let text = folded(text);
    match (text.find('('), text.rfind(')')) {
        (Some(open), Some(close)) if open < close => {
            (format!("{}{}", &text[..open], &text[close + 1..]), text[open..=close].to_owned())
        }
        _ => (text, String::new()),
    }
}

/// What `pg_type` calls it.
fn built_in(name: &str) -> Option<&'static str> {
    Some(match name {
        "smallint" => "int2",
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "dec" | "decimal" => "numeric",
        "real" => "float4",
        "float" | "double precision" => "float8",
        "boolean" => "bool",
        "character varying" | "char varying" => "varchar",
        "character" | "char" => "bpchar",
        "bit varying" => "varbit",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        _ if name.starts_with("interval") => "interval",
        _ => BUILT_IN.iter().find(|it| **it == name)?,
    })
}
