//! The forms in which values come, and which one a type of Postgres comes in.

use crate::value::Type;

/// How the values of a column are asked for and what their bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    /// Without a sign: `oid` and its like.
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Text that compares bytewise where its collation says so.
    Text,
    /// Text of a type that has an order of its own: `char(n)` and enums.
    Label,
    Bytes,
    Date,
    Time,
    DateTime,
    Timestamp,
    Uuid,
    Json,
    /// With a byte for the version in front.
    Jsonb,
    /// Asked for as text.
    Spelled,
    /// Asked for as a number: the text of `money` depends on the server's language, and its bytes on how many cents that has.
    Money,
    /// An array, asked for as JSON.
    Array,
    /// A row, asked for as JSON.
    Composite,
}

/// What `pg_type` says about a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub name: String,
    /// It is one of the server's own.
    pub built_in: bool,
    /// `pg_type.typtype`: `b`ase, `c`omposite, `d`omain, `e`num, `r`ange, `m`ultirange.
    pub class: String,
    /// It has elements and dimensions.
    pub array: bool,
}

impl Form {
    /// The form of a type that is no domain, and whether what it stands for is known.
    pub(super) fn of(it: &Declared) -> (Form, bool) {
        match (it.class.as_str(), it.built_in) {
            ("e", _) => (Form::Label, true),
            ("c", _) => (Form::Composite, true),
            _ if it.array => (Form::Array, true),
            ("r" | "m", _) => (Form::Spelled, true),
            ("b", true) => (Form::built_in(&it.name), true),
            _ => (Form::Spelled, it.name == "citext"),
        }
    }

    fn built_in(name: &str) -> Form {
        match name {
            "bool" => Form::Bool,
            "int2" => Form::Int2,
            "int4" => Form::Int4,
            "int8" => Form::Int8,
            "oid" | "xid" | "cid" => Form::Oid,
            "float4" => Form::Float4,
            "float8" => Form::Float8,
            "numeric" => Form::Numeric,
            "text" | "varchar" | "name" => Form::Text,
            "bpchar" => Form::Label,
            "bytea" => Form::Bytes,
            "date" => Form::Date,
            "time" => Form::Time,
            "timestamp" => Form::DateTime,
            "timestamptz" => Form::Timestamp,
            "uuid" => Form::Uuid,
            "json" => Form::Json,
            "jsonb" => Form::Jsonb,
            "money" => Form::Money,
            _ => Form::Spelled,
        }
    }

    /// What it stands for.
    pub(super) fn ty(self) -> Type {
        match self {
            Form::Bool => Type::Bool,
            Form::Int2 | Form::Int4 | Form::Int8 | Form::Oid => Type::Int,
            Form::Float4 | Form::Float8 => Type::Real,
            Form::Numeric | Form::Money => Type::Decimal,
            Form::Text | Form::Label | Form::Spelled => Type::Text,
            Form::Bytes => Type::Bytes,
            Form::Date => Type::Date,
            Form::Time => Type::Time,
            Form::DateTime => Type::DateTime,
            Form::Timestamp => Type::Timestamp,
            Form::Uuid => Type::Uuid,
            Form::Json | Form::Jsonb | Form::Array | Form::Composite => Type::Json,
        }
    }

    /// Whether every value that the server lets in fits what it stands for: no day after the year 999999, no 24:00:00, no document with
    /// a repeated member, and no text that is in no encoding.
    pub(super) fn fits(self, encoding: &str) -> bool {
        match self {
            Form::Date | Form::Time | Form::Json | Form::Array | Form::Composite => false,
            Form::Text | Form::Label | Form::Spelled => encoding != "SQL_ASCII",
            _ => true,
        }
    }

    /// The expression that asks for a column, whose name is quoted, in this form.
    pub(super) fn ask(self, column: &str) -> String {
        match self {
            // Not a cast: the one of `inet` writes something else than the server does everywhere else.
            Form::Spelled => format!("CASE WHEN {column} IS NOT NULL THEN pg_catalog.format('%s', {column}) END"),
            Form::Money => format!("({column})::pg_catalog.numeric"),
            Form::Composite => format!("pg_catalog.to_json({column})"),
            // JSON cannot say at which number an array begins; where that is not 1, its text can.
            Form::Array => format!(
                "CASE WHEN pg_catalog.strpos(pg_catalog.replace(pg_catalog.array_dims({column}), '[1:', ''), '[') OPERATOR(pg_catalog.>) 0 \
                 THEN pg_catalog.to_json(({column})::pg_catalog.text) ELSE pg_catalog.to_json({column}) END"
            ),
            _ => column.to_owned(),
        }
    }

    /// Whether the server's order of values, and its equality, is that of cells of the type `to`; of text, where it compares bytewise.
    pub(super) fn sorts_as(self, to: Type) -> bool {
        match self {
            Form::Int2 | Form::Int4 | Form::Int8 | Form::Oid => {
                matches!(to, Type::Any | Type::Int | Type::Real | Type::Decimal)
            }
            Form::Numeric => matches!(to, Type::Any | Type::Decimal),
            Form::DateTime => matches!(to, Type::Any | Type::DateTime | Type::Timestamp),
            Form::Float8 => matches!(to, Type::Any | Type::Real),
            Form::Bool | Form::Text | Form::Bytes | Form::Date | Form::Time | Form::Timestamp | Form::Uuid => {
                to == Type::Any || to == self.ty()
            }
            _ => false,
        }
    }
}
