//! What a SQLite file says about itself.

use super::Sqlite;
use crate::{
    error::Result,
    store::{
        about::{Fact, Level},
        files,
    },
};

/// The facts of a database that is open.
pub(super) fn facts(store: &Sqlite) -> Result<Vec<Fact>> {
    let text = |pragma: &str| -> Result<String> {
        let query = format!("SELECT * FROM pragma_{pragma}");
        let found = store.connection.query_row(&query, [], |it| it.get::<_, rusqlite::types::Value>(0));
        Ok(match found.map_err(|it| store.failed(&it))? {
            rusqlite::types::Value::Integer(it) => it.to_string(),
            rusqlite::types::Value::Text(it) => it,
            _ => String::new(),
        })
    };
    let version = format!("SQLite {}, schema version {}", rusqlite::version(), text("schema_version")?);
    if store.nameless {
        let version = Fact::new("version", format!("{version}, loaded into a private database"));
        return Ok([vec![version], files::about(&store.path)?].concat());
    }
    let number = |pragma: &str| text(pragma).map(|it| it.parse::<u64>().unwrap_or(0));
    let size = number("page_count")?.saturating_mul(number("page_size")?);
    let mut facts = vec![
        Fact::new("version", version),
        Fact::new("encoding", text("encoding")?),
        Fact::new("size", format!("{size} bytes")),
    ];
    let mode = text("journal_mode")?;
    facts.push(match store.unlocked {
        Some(_) => {
            Fact::new("journal", "write-ahead log, none there: opened without locks, so nobody may write meanwhile")
                .level(Level::Note)
        }
        None if mode == "wal" => Fact::new("journal", "write-ahead log: others may write meanwhile and are not seen"),
        None => Fact::new("journal", format!("{mode}: others cannot write while it is read")),
    });
    let writes = store.connection.is_readonly("main").map_err(|it| store.failed(&it))?;
    facts.push(if writes {
        Fact::new("access", "read only")
    } else {
        Fact::new("access", "the file is open for writing; please report this defect").level(Level::Bad)
    });
    Ok(facts)
}
