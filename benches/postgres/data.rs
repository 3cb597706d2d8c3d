//! The table of the other benchmark, in databases of one server.

use std::{cell::RefCell, collections::BTreeSet, path::PathBuf};

use crate::{
    Result,
    generate::{Data, Format, Variant},
    postgres::Server,
};

/// The databases with so many rows.
pub(crate) struct Tables<'s> {
    pub(crate) server: &'s Server,
    pub(crate) rows: u64,
    data: Data,
    made: RefCell<BTreeSet<String>>,
}

/// What the key of the table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// A number, in whose order the rows lie.
    Number,
    /// A UUID, in whose order they do not lie.
    Uuid,
    /// The same as text that the server orders by the rules of a language, which is no order of bytes.
    Text,
}

impl<'s> Tables<'s> {
    pub(crate) fn new(server: &'s Server, rows: u64) -> Result<Tables<'s>> {
        Ok(Tables { server, rows, data: Data::new(rows)?, made: RefCell::default() })
    }

    /// A SQLite file.
    pub(crate) fn file(&self, variant: Variant) -> Result<PathBuf> {
        self.data.file(variant, Format::Sqlite)
    }

    /// The address of a database, made now if it is not there yet.
    pub(crate) fn database(&self, variant: Variant, layout: Layout) -> Result<String> {
        let variant_name = match variant {
            Variant::Source => "source",
            Variant::Same => "same",
            _ => "changed",
        };
        let name = format!("{variant_name}_{layout:?}_{}", self.rows).to_lowercase();
        if self.made.borrow_mut().insert(name.clone()) {
            let csv = self.data.file(variant, Format::Csv)?;
            self.server.execute("postgres", &format!("CREATE DATABASE {name}"));
            self.server.execute(&name, &layout.create());
            self.server.execute(&name, &format!("\\copy orders FROM '{}' (FORMAT csv, HEADER true)", csv.display()));
            // As a table is after a while: with its index, its statistics, and nothing left for readers to write.
            self.server.execute(&name, &format!("ALTER TABLE orders ADD PRIMARY KEY ({})", layout.key()));
            self.server.execute(&name, "VACUUM (FREEZE, ANALYZE) orders");
            self.server.execute("postgres", "CHECKPOINT");
        }
        Ok(self.server.url(&name))
    }
}

impl Layout {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Layout::Number => "id",
            Layout::Uuid | Layout::Text => "uuid",
        }
    }

    fn create(self) -> String {
        let uuid = if self == Layout::Text { "text COLLATE \"en-x-icu\"" } else { "uuid" };
        format!(
            "CREATE TABLE orders (id bigint, uuid {uuid}, email text, status text, amount numeric(12,2), quantity integer, \
             active boolean, created_at timestamp, note text, meta jsonb)"
        )
    }
}
