//! Tables that a script makes and fills, for a database that has none of it yet.
//!
//! A column gets the type that its values have. Where one of them does not fit that, the column is one of text, if all of them
//! read back from their text; what cannot be said exactly is refused.

use super::{POSTGRES, literal, postgres_bytes, postgres_date, postgres_text, spell};
use crate::{
    error::{Error, Kind, Result},
    row::{Field, Row, Shape},
    schema::{Origin, Table},
    store::{
        affinity::{Column, Probe},
        sql::identifier,
    },
    value::{
        Type, Value,
        cast::{Cast, is_integer},
        cell::tag,
    },
};
use std::sync::Arc;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, and what is built on it, such as D1.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// Whole lines before the first table, and after the last one.
    pub fn frame(self) -> [&'static str; 2] {
        match self {
            Dialect::Sqlite => ["BEGIN TRANSACTION;", "COMMIT;"],
            Dialect::Postgres => [POSTGRES.begin, POSTGRES.end],
        }
    }

    /// The declared type of a column; the empty one holds whatever it is given.
    fn declared(self, ty: Type) -> &'static str {
        match (self, ty) {
            (Dialect::Sqlite, Type::Any) => "",
            (_, Type::Any | Type::Text) => "TEXT",
            (_, Type::Bool) => "BOOLEAN",
            (Dialect::Sqlite, Type::Int) => "INTEGER",
            (_, Type::Int) => "BIGINT",
            (Dialect::Sqlite, Type::Real) => "REAL",
            (_, Type::Real) => "DOUBLE PRECISION",
            (Dialect::Sqlite, Type::Decimal) => "DECIMAL",
            (_, Type::Decimal) => "NUMERIC",
            (Dialect::Sqlite, Type::Bytes) => "BLOB",
            (_, Type::Bytes) => "BYTEA",
            (_, Type::Date) => "DATE",
            (_, Type::Time) => "TIME",
            (Dialect::Sqlite, Type::Timestamp) => "TIMESTAMP",
            (_, Type::Timestamp) => "TIMESTAMPTZ",
            (Dialect::Sqlite, Type::DateTime) => "DATETIME",
            (_, Type::DateTime) => "TIMESTAMP",
            (_, Type::Uuid) => "UUID",
            // As it is: `jsonb` writes some numbers in another way.
            (_, Type::Json) => "JSON",
        }
    }
}

/// A table as a script makes it. All its rows have to be looked at before the first word of it is written.
pub struct Maker {
    dialect: Dialect,
    table: Table,
    shape: Arc<Shape>,
    probe: Probe,
    seen: Vec<Seen>,
    /// The key of the last row.
    last: Vec<u8>,
    /// Whether one key is there twice.
    repeats: bool,
    /// Whether some values are masked, so that they may repeat where the true ones do not.
    masked: bool,
}

/// What the values of a column are.
#[derive(Clone, Debug)]
struct Seen {
    /// The first byte of cells that are not NULL; nothing, where there are several.
    only: Option<Option<u8>>,
    null: bool,
    /// Whether each fits the type of the column, or its own where the column has none.
    fits: bool,
    /// Whether each reads back from its text.
    texts: bool,
    /// Whether each reads back from a column without a type.
    bare: bool,
}

impl Maker {
    /// A table whose rows come in that shape.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn new(dialect: Dialect, table: &Table, shape: &Arc<Shape>, masked: bool) -> Result<Maker> {
        let probe = Probe::new("UTF-8").map_err(|it| Error::new(Kind::Broken, it))?;
        let seen = Seen { only: None, null: false, fits: true, texts: true, bare: true };
        let seen = vec![seen; shape.width()];
        let (table, shape) = (table.clone(), Arc::clone(shape));
        Ok(Maker { dialect, table, shape, probe, seen, last: Vec::new(), repeats: false, masked })
    }

    /// Looks at a row. They come in the order of their keys.
    pub fn look(&mut self, row: Row<'_>) {
        self.repeats |= !self.last.is_empty() && self.last == row.key();
        self.last.clear();
        self.last.extend_from_slice(row.key());
        for place in 0..self.shape.width() {
            let Some(&first) = row.cell(place).first() else { continue };
            if first == tag::NULL {
                self.seen[place].null = true;
                continue;
            }
            let ty = match self.shape.fields[place].cast.ty {
                Type::Any => class(first),
                ty => ty,
            };
            let fits = self.seen[place].fits && self.value(row, place, ty, ty).is_some();
            let texts = self.seen[place].texts && self.value(row, place, Type::Text, ty).is_some();
            let any = self.dialect == Dialect::Sqlite && self.seen[place].bare;
            let bare = any && self.value(row, place, Type::Any, Type::Any).is_some();
            let seen = &mut self.seen[place];
            let only = if seen.only.is_some_and(|it| it != Some(first)) { None } else { Some(first) };
            *seen = Seen { only: Some(only), null: seen.null, fits, texts, bare };
        }
    }

    /// What a column is declared as, and what its values are; nothing, if no type holds all of them.
    fn column(&self, place: usize) -> Option<(Type, Type)> {
        let seen = &self.seen[place];
        match (self.shape.fields[place].cast.ty, seen.only) {
            (Type::Any, None) => Some((Type::Any, Type::Any)),
            (Type::Any, Some(Some(first))) if seen.fits => Some((class(first), class(first))),
            (Type::Any, _) => seen.bare.then_some((Type::Any, Type::Any)),
            (ty, _) if seen.fits => Some((ty, ty)),
            (ty, _) => seen.texts.then_some((Type::Text, ty)),
        }
    }

    /// Decides what its columns are, once all rows were looked at.
    ///
    /// # Errors
    /// If no type holds the values of a column.
    pub fn decide(self) -> Result<Made> {
        let column = |place: usize| {
            self.column(place).ok_or_else(|| {
                let (table, column) = (&self.table.name, &self.shape.fields[place].column);
                let what = "holds values that no one type of this SQL holds exactly; `cutover capture` keeps them";
                Error::new(Kind::Store, format_args!("table `{table}`: column `{column}` {what}"))
            })
        };
        let columns = (0..self.shape.width()).map(column).collect::<Result<_>>()?;
        let place = |name: &String| self.shape.fields.iter().position(|it| it.column == *name);
        let order = self.table.columns.iter().filter_map(|it| place(&it.name)).collect();
        Ok(Made { maker: self, columns, order })
    }

    /// The literal of a value in a column that is declared as one type and read as the other; nothing, if it is not read as the
    /// same cell.
    fn value(&self, row: Row<'_>, place: usize, declared: Type, ty: Type) -> Option<String> {
        let (mut scratch, mut spelt) = (Vec::new(), Vec::new());
        let ordered = place < self.shape.key;
        let (value, cell) = (row.value(place, &mut scratch), row.cell(place));
        if self.dialect == Dialect::Sqlite {
            let column =
                Column::new(&self.shape.fields[place].column, Dialect::Sqlite.declared(declared), false, false);
            let stored = (value, cell, ordered);
            let stored = self.probe.spell(stored, (&self.table.name, &column), &Cast::new(ty), &mut spelt);
            return stored.ok().map(literal);
        }
        let same = |text: &str| {
            let mut back = Vec::new();
            Cast::new(ty).write(Value::Text(text), ordered, &mut back);
            back == cell
        };
        match value {
            Value::Bytes(it) if declared == Type::Bytes => Some(postgres_bytes(it)),
            value => {
                spell(value, &mut spelt);
                let text = std::str::from_utf8(&spelt).ok()?;
                let holds =
                    if declared == Type::Text { !text.contains('\0') && same(text) } else { holds(declared, value) };
                holds.then(|| postgres(declared, text))
            }
        }
    }
}

/// A table whose columns are known: its statements.
pub struct Made {
    maker: Maker,
    /// What each column is declared as, and what its values are.
    columns: Vec<(Type, Type)>,
    /// The places in the shape of the table's columns, in its order.
    order: Vec<usize>,
}

impl Made {
    /// The shape in which the rows read back as they are.
    pub fn shape(&self) -> Shape {
        let shape = &self.maker.shape;
        let field = |(field, column): (&Field, &(Type, Type))| Field::new(field.column.clone(), Cast::new(column.1));
        Shape { fields: shape.fields.iter().zip(&self.columns).map(field).collect(), ..Shape::clone(shape) }
    }

    /// The statement that makes the table, with its key, its unique constraints, and NOT NULL.
    pub fn create(&self) -> String {
        let Maker { dialect, table, shape, seen, repeats, masked, .. } = &self.maker;
        let mut lines = Vec::new();
        for &place in &self.order {
            let name = &shape.fields[place].column;
            let declared = dialect.declared(self.columns[place].0);
            let full = table.column(name).is_some_and(|it| !table.columns[it].nullable);
            let not_null = if full && !seen[place].null { " NOT NULL" } else { "" };
            let blank = if declared.is_empty() { "" } else { " " };
            lines.push(format!("{}{blank}{declared}{not_null}", identifier(name)));
        }
        let names =
            |places: &[usize]| table.names(places).iter().map(|it| identifier(it)).collect::<Vec<_>>().join(", ");
        let null = (0..shape.key).any(|it| seen[it].null);
        let known = !table.key.is_empty() && table.key_origin != Origin::Guessed;
        if known && !repeats && !null && self.can_tell_apart(&table.key) {
            lines.push(format!("PRIMARY KEY ({})", names(&table.key)));
        }
        let uniques = table.uniques.iter().filter(|it| it.enforced && !masked && self.can_tell_apart(&it.columns));
        lines.extend(uniques.map(|it| format!("UNIQUE ({})", names(&it.columns))));
        format!("CREATE TABLE {} (\n  {}\n);", identifier(&table.name), lines.join(",\n  "))
    }

    /// Whether the database can have a constraint over these columns of the table: Postgres does not compare JSON.
    fn can_tell_apart(&self, columns: &[usize]) -> bool {
        let Maker { dialect, table, shape, .. } = &self.maker;
        let is_json = |name: &String| {
            let place = shape.fields.iter().position(|it| it.column == *name);
            place.is_some_and(|it| self.columns[it].0 == Type::Json)
        };
        *dialect != Dialect::Postgres || !table.names(columns).iter().any(is_json)
    }

    /// The statement that puts a row in.
    ///
    /// # Errors
    /// If it is a row that was not looked at.
    pub fn insert(&self, row: Row<'_>) -> Result<String> {
        let lost = || Error::new(Kind::Broken, "a value that could be said cannot be said any more");
        let value = |&place: &usize| match row.cell(place) {
            [tag::NULL] => Ok("NULL".to_owned()),
            _ => self.maker.value(row, place, self.columns[place].0, self.columns[place].1).ok_or_else(lost),
        };
        let values = self.order.iter().map(value).collect::<Result<Vec<_>>>()?.join(", ");
        Ok(format!("INSERT INTO {} VALUES ({values});", identifier(&self.maker.table.name)))
    }
}

/// The type that a cell of that first byte is of.
fn class(first: u8) -> Type {
    match first {
        tag::BOOL => Type::Bool,
        tag::INT | tag::INT_LOW | tag::INT_HIGH => Type::Int,
        tag::REAL => Type::Real,
        tag::DECIMAL => Type::Decimal,
        tag::DATE => Type::Date,
        tag::TIME => Type::Time,
        tag::TIMESTAMP => Type::Timestamp,
        tag::DATETIME => Type::DateTime,
        tag::UUID => Type::Uuid,
        tag::BYTES => Type::Bytes,
        tag::JSON => Type::Json,
        _ => Type::Text,
    }
}

/// Whether a column of Postgres holds the value as it is. It has microseconds, and years that we write with four digits.
fn holds(ty: Type, value: Value<'_>) -> bool {
    const YEARS: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;
    const DAYS: std::ops::Range<i64> = -719_162..2_932_897;
    match (ty, value) {
        (Type::Bool, Value::Bool(_)) | (Type::Int, Value::Int(_)) | (Type::Real, Value::Real(_)) => true,
        (Type::Decimal, Value::Decimal(_) | Value::Int(_)) | (Type::Uuid, Value::Uuid(_)) => true,
        (Type::Json, Value::Json(it)) => !it.contains('\0'),
        (Type::Date, Value::Date(it)) => DAYS.contains(&it),
        (Type::Time, Value::Time(it)) => it % 1000 == 0,
        (Type::Timestamp, Value::Timestamp(it)) | (Type::DateTime, Value::DateTime(it)) => {
            YEARS.contains(&it.seconds) && it.nanos % 1000 == 0
        }
        _ => false,
    }
}

/// A text as a literal of that type.
fn postgres(ty: Type, text: &str) -> String {
    match ty {
        Type::Int | Type::Decimal if is_integer(text) => text.to_owned(),
        Type::Bool => text.to_owned(),
        Type::Date | Type::Timestamp | Type::DateTime => postgres_text(&postgres_date(text)),
        _ => postgres_text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{row::Batch, schema, snapshot};

    /// The script of a table of one column `v` beside its key, made of these values.
    fn script(dialect: Dialect, ty: Type, values: &[Value<'_>]) -> Result<String> {
        let mut table = Table::new("t");
        table.columns = vec![schema::Column::new("v", ty), schema::Column::new("id", Type::Int)];
        (table.key, table.key_origin) = (vec![1], Origin::Enforced);
        let shape = snapshot::shape(&table);
        let mut rows = Batch::new(Arc::clone(&shape));
        (1..).zip(values).for_each(|(id, it)| rows.push([Value::Int(id), *it]));
        let mut maker = Maker::new(dialect, &table, &shape, false)?;
        rows.rows().for_each(|it| maker.look(it));
        let made = maker.decide()?;
        let mut lines = vec![made.create()];
        for row in rows.rows() {
            lines.push(made.insert(row)?);
        }
        let lines: Vec<&str> = lines.iter().flat_map(|it| it.lines()).map(str::trim).collect();
        Ok(lines.join(" "))
    }

    #[test]
    fn a_column_has_the_type_that_its_values_fit() {
        let check = |dialect: Dialect, ty: Type, values: &[Value<'_>], expect: &str| {
            let made = script(dialect, ty, values).expect("a script");
            let column = made.split_once("\"v\"").and_then(|it| it.1.split_once(',')).map(|it| it.0.trim().to_owned());
            let rest = made.split(" VALUES (").skip(1).map(|it| it.split_once(", ").map_or(it, |it| it.0));
            let values: Vec<&str> = rest.collect();
            assert_eq!(format!("{}: {}", column.unwrap_or_default(), values.join(" ")), expect, "{made}");
        };
        let (lite, post) = (Dialect::Sqlite, Dialect::Postgres);
        check(lite, Type::Int, &[Value::Int(5), Value::Null], "INTEGER: 5 NULL");
        check(
            lite,
            Type::Int,
            &[Value::Int(5), Value::Decimal("123456789012345678901")],
            "TEXT: 5 '123456789012345678901'",
        );
        check(lite, Type::Decimal, &[Value::Decimal("1.50")], "DECIMAL: 1.5");
        check(lite, Type::Any, &[Value::Bool(true), Value::Bool(false)], "BOOLEAN: 1 0");
        check(lite, Type::Any, &[Value::Int(1), Value::Text("1")], ": 1 '1'");
        check(lite, Type::Any, &[], ": ");
        check(post, Type::Any, &[Value::Bool(true)], "BOOLEAN: true");
        check(post, Type::Int, &[Value::Int(-5)], "BIGINT: -5");
        check(post, Type::Int, &[Value::Text("five"), Value::Int(5)], "TEXT: 'five' '5'");
        check(post, Type::Bytes, &[Value::Bytes(b"\0\xff")], "BYTEA: '\\x00ff'");
        check(post, Type::Json, &[Value::Json("{\"a\":1e5}")], "JSON: '{\"a\":1e5}'");
        check(post, Type::Real, &[Value::Real(f64::NAN), Value::Real(0.1)], "DOUBLE PRECISION: 'NaN' '0.1'");
        for (dialect, ty, values) in [
            (post, Type::Any, [Value::Int(1), Value::Text("1")]),
            (post, Type::Text, [Value::Text("a\0b"), Value::Null]),
            (lite, Type::Any, [Value::Bool(true), Value::Int(1)]),
        ] {
            let refused = script(dialect, ty, &values).expect_err("no type holds these").to_string();
            assert!(refused.contains("column `v` holds values that no one type"), "{refused}");
        }
    }

    #[test]
    fn postgres_has_no_constraint_over_json() {
        let check = |dialect: Dialect, ty: Type, expect: &str| {
            let mut table = Table::new("t");
            table.columns = vec![schema::Column::new("v", ty), schema::Column::new("w", Type::Int)];
            (table.key, table.key_origin) = (vec![0], Origin::Enforced);
            let unique = |columns: &[usize]| schema::Unique { columns: columns.to_vec(), enforced: true };
            table.uniques = vec![unique(&[1]), unique(&[1, 0])];
            let maker = Maker::new(dialect, &table, &snapshot::shape(&table), false).expect("memory");
            let made = maker.decide().expect("no rows").create();
            assert_eq!(made.split_once("BIGINT").or(made.split_once("INTEGER")).expect("w").1, expect, "{made}");
        };
        let all = ",\n  PRIMARY KEY (\"v\"),\n  UNIQUE (\"w\"),\n  UNIQUE (\"w\", \"v\")\n);";
        check(Dialect::Sqlite, Type::Json, all);
        check(Dialect::Postgres, Type::Text, all);
        check(Dialect::Postgres, Type::Json, ",\n  UNIQUE (\"w\")\n);");
    }
}
