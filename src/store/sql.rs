//! What SQL stores have in common as text: quoting, and what declared types stand for.

use crate::value::Type;

/// A name as a quoted SQL identifier.
///
/// ```
/// assert_eq!(cutover::store::sql::identifier(r#"a"b"#), r#""a""b""#);
/// ```
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The type that a declared SQL type stands for, by the words that the field uses for it.
///
/// SQLite takes any word as a type, so this looks for the telling part as SQLite itself does (its "Datatypes In SQLite", section
/// 3.1), but keeps apart what SQLite lumps together. A type that says nothing gives [`Type::Any`].
pub fn declared(name: &str) -> Type {
    const WORDS: [(&str, Type); 30] = [
        ("BOOL", Type::Bool),
        ("UUID", Type::Uuid),
        ("GUID", Type::Uuid),
        ("JSON", Type::Json),
        ("TIMESTAMP", Type::Timestamp),
        ("DATETIME", Type::Timestamp),
        ("INTERVAL", Type::Text),
        ("POINT", Type::Any),
        ("INT", Type::Int),
        ("SERIAL", Type::Int),
        ("CHAR", Type::Text),
        ("CLOB", Type::Text),
        ("TEXT", Type::Text),
        ("STRING", Type::Text),
        ("ENUM", Type::Text),
        ("BLOB", Type::Bytes),
        ("BYTEA", Type::Bytes),
        ("BINARY", Type::Bytes),
        ("REAL", Type::Real),
        ("FLOA", Type::Real),
        ("DOUB", Type::Real),
        ("NUMERIC", Type::Decimal),
        ("DECIMAL", Type::Decimal),
        ("NUMBER", Type::Decimal),
        ("MONEY", Type::Decimal),
        ("DATE", Type::Date),
        ("TIME", Type::Time),
        ("YEAR", Type::Int),
        ("INET", Type::Text),
        ("XML", Type::Text),
    ];
    let name = name.to_ascii_uppercase();
    WORDS.iter().find(|(word, _)| name.contains(word)).map_or(Type::Any, |it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types() {
        for (name, expect) in [
            ("INTEGER", Type::Int),
            ("bigint unsigned", Type::Int),
            ("NVARCHAR(160)", Type::Text),
            ("NUMERIC(10,2)", Type::Decimal),
            ("datetime", Type::Timestamp),
            ("timestamp with time zone", Type::Timestamp),
            ("DATE", Type::Date),
            ("time", Type::Time),
            ("double precision", Type::Real),
            ("", Type::Any),
            ("WHATEVER", Type::Any),
            ("tinyint(1)", Type::Int),
        ] {
            assert_eq!(declared(name), expect, "{name}");
        }
    }
}
