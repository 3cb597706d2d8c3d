//! The JSON Schema of a plan, for editors that complete and check TOML.
use serde_json::{Map, Value, json};

use super::keys::{Key, ROOT, Shape};

/// The JSON Schema (draft 2020-12) of `cutover.toml`, always the same. A plan points editors at it with `#:schema FILE`
/// in its first line.
///
/// ```
/// let schema = cutover::plan::json_schema();
/// assert_eq!(schema["properties"]["version"]["const"], 1);
/// ```
pub fn json_schema() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "cutover.toml".into());
    schema.insert("description".into(), "A migration to prove: source, target, tables, rules, gate.".into());
    if let Value::Object(root) = table(ROOT) {
        schema.extend(root);
    }
    Value::Object(schema)
}

fn table(keys: &[Key]) -> Value {
    let property = |key: &Key| {
        let mut property = Map::new();
        property.insert("description".into(), key.about.into());
        if let Value::Object(shape) = shape(&key.shape) {
            property.extend(shape);
        }
        (key.name.to_owned(), Value::Object(property))
    };
    let properties: Map<String, Value> = keys.iter().map(property).collect();
    let required: Vec<&str> = keys.iter().filter(|it| it.required).map(|it| it.name).collect();
    let mut out = Map::new();
    out.insert("type".into(), "object".into());
    out.insert("properties".into(), properties.into());
    if !required.is_empty() {
        out.insert("required".into(), required.into());
    }
    out.insert("additionalProperties".into(), false.into());
    Value::Object(out)
}

fn shape(shape: &Shape) -> Value {
    let scalar = || json!({ "type": ["string", "number", "boolean"] });
    let name = || json!({ "type": "string", "minLength": 1 });
    match shape {
        Shape::Version => json!({ "const": 1 }),
        Shape::Text | Shape::Zone | Shape::Header | Shape::Span => json!({ "type": "string" }),
        Shape::Instant => json!({ "type": "string", "format": "date-time" }),
        Shape::Regex => json!({ "type": "string", "format": "regex" }),
        Shape::Name | Shape::Url | Shape::Byte | Shape::Expression => name(),
        Shape::Secret => json!({ "type": "string", "pattern": "^(\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-)?\\})+$" }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::True => json!({ "const": true }),
        Shape::Count => json!({ "type": "integer", "minimum": 0 }),
        Shape::Decimal => json!({ "type": ["number", "string"] }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Texts => json!({ "type": "array", "items": name(), "uniqueItems": true }),
        Shape::SomeTexts => json!({ "type": "array", "items": name(), "uniqueItems": true, "minItems": 1 }),
        Shape::Groups => json!({ "type": "array", "items": self::shape(&Shape::SomeTexts), "minItems": 1 }),
        Shape::Command => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Shape::Any => json!({}),
        Shape::Scalars => json!({ "type": "array", "items": scalar(), "minItems": 1 }),
        Shape::Map => json!({ "type": "object", "additionalProperties": scalar(), "minProperties": 1 }),
        Shape::Table(keys) => table(keys),
        Shape::Tables(keys) => json!({ "type": "array", "items": table(keys) }),
        Shape::Named(shape) => json!({ "type": "object", "additionalProperties": self::shape(shape) }),
        Shape::Either(first, second) => json!({ "anyOf": [self::shape(first), self::shape(second)] }),
    }
}
