//! Cloudflare D1, over its REST interface.
//!
//! Only `/raw` is asked, since `/query` drops columns of the same name, and values come as `cells` says. Tables are read in
//! pages (`read`), each of which sees one state; that all of them saw the same state is known from the bookmark of the
//! database, which stands for its state, before the first page and after the last. If it moved, nothing can pass.
//!
//! A token with the permission `D1 Read` is enough for everything here.

mod api;
mod cells;
mod change;
mod create;
mod guard;
mod insert;
pub mod local;
mod read;
pub mod write;

use super::{
    Options, Source,
    about::{Fact, Level},
    cloudflare::Account,
    pragmas::{self, Home, Listed},
    settings::Settings,
    sql,
    sqlite::as_json,
    web::encoded,
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Shape},
    schema::Table,
    value::Type,
};
use api::{Api, Statement, strange};
use cells::Cell;
use read::{Key, Reading};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// One database of D1.
pub struct D1 {
    api: Api,
    /// Its id, as it stands in a path.
    id: String,
    /// How it was called, or else its name at the service.
    name: String,
    views: bool,
    /// How each table is paged through.
    keys: HashMap<String, Key>,
    /// The state of the database when nothing was read yet, where the service says.
    bookmark: Option<String>,
    /// Why what was read may be no state that the database ever was in.
    torn: Option<String>,
}

/// Databases in one page of their list.
const PAGE: usize = 100;
/// Pages of the list of databases that are looked at.
const PAGES_MAX: usize = 1_000;
/// Statements of a request that asks for the size of tables.
const STATEMENTS_MAX: usize = 50;

impl D1 {
    /// Finds the database that the settings name: `account`, `database` or `id`, `token`, `api`, or what the environment
    /// says in their stead.
    ///
    /// # Errors
    /// If a setting is missing, the service cannot be reached or refuses the token, or there is no such database.
    pub fn open(options: &Options) -> Result<D1> {
        let settings = &options.settings;
        let api = Api::new(Account::open("d1", options)?);
        let called = called(settings)?;
        let id = if is_id(&called) { called.clone() } else { api.id_of(&called)? };
        let about = api.get(&format!("/{id}"))?;
        let name = about.get("name").and_then(serde_json::Value::as_str).unwrap_or(&called).to_owned();
        let mut database = D1 { api, id, name, views: options.views, keys: HashMap::new(), bookmark: None, torn: None };
        database.bookmark = database.state();
        database.check()?;
        Ok(database)
    }

    /// The bookmark of the database as it is now, unless the service has none.
    fn state(&self) -> Option<String> {
        let answer = self.api.get(&format!("/{}/time_travel/bookmark", self.id)).ok()?;
        Some(answer.get("bookmark")?.as_str()?.to_owned())
    }

    /// Asks for numbers that are known, so that a service that rounds them is found out.
    fn check(&self) -> Result<()> {
        let answered = self.api.ask(&self.id, &[Statement::new("SELECT 0.5 + 0.1, 0.1 + 0.2, 2.0 / 3.0")])?;
        let (results, _) = answered.rows(1)?;
        let cells: Result<Vec<Cell>> =
            results.iter().flat_map(|it| &it.rows).flatten().map(|it| cells::decode(it)).collect();
        if cells? == [0.5 + 0.1, 0.1 + 0.2, 2.0 / 3.0].map(Cell::Real) {
            return Ok(());
        }
        Err(Error::new(Kind::Store, "this service rounds numbers, so what it says of reals cannot be relied on"))
    }

    /// Rows of several queries, every value as text.
    fn texts(&self, queries: &[&str]) -> Result<Vec<Vec<pragmas::Row>>> {
        let statements: Vec<Statement> = queries.iter().map(|it| Statement::new(*it)).collect();
        let answered = self.api.ask(&self.id, &statements)?;
        let (results, _) = answered.rows(statements.len())?;
        let text = |raw: &&RawValue| match raw.get() {
            "null" => Ok(None),
            it if it.starts_with('"') => cells::string(raw).map(Some),
            it => Ok(Some(it.to_owned())),
        };
        let rows = |it: &api::Rows<'_>| it.rows.iter().map(|it| it.iter().map(text).collect()).collect();
        results.iter().map(rows).collect()
    }

    /// Sets about how many rows each table has, which its largest rowid says.
    fn count(&self, tables: &mut [Table]) -> Result<()> {
        let largest = |table: &Table| match self.keys.get(&table.name) {
            Some(Key::Rowid(rowid)) => {
                Some(format!("SELECT max(t.{rowid}) FROM {} AS t", sql::identifier(&table.name)))
            }
            _ => None,
        };
        let mut asked: Vec<(&mut Table, String)> =
            tables.iter_mut().filter_map(|it| largest(it).map(|query| (it, query))).collect();
        for some in asked.chunks_mut(STATEMENTS_MAX) {
            let queries: Vec<&str> = some.iter().map(|it| it.1.as_str()).collect();
            let answers = self.texts(&queries)?;
            for ((table, _), rows) in some.iter_mut().zip(answers) {
                table.rows_about = rows.first().and_then(|it| it.first()?.as_ref()?.parse().ok());
            }
        }
        Ok(())
    }

    fn reading<'r>(&'r self, table: &'r Table, shape: &Shape) -> Result<Reading<'r>> {
        let key = self.keys.get(&table.name).unwrap_or(&Key::Place);
        Reading::new((&self.api, &self.id), table, key, shape)
    }
}

/// How a table can be paged through.
fn key_of(listed: &Listed) -> Key {
    match listed.rows {
        Home::Rowid(name) => Key::Rowid(name),
        Home::Key => Key::Columns(listed.table.key.clone()),
        Home::Nowhere => Key::Place,
    }
}

impl Source for D1 {
    fn tables(&mut self) -> Result<Vec<Table>> {
        let listed = pragmas::tables(self.views, |queries| self.texts(queries))?;
        self.keys = listed.iter().map(|it| (it.table.name.clone(), key_of(it))).collect();
        let mut tables: Vec<Table> = listed.into_iter().map(|it| it.table).collect();
        self.count(&mut tables)?;
        Ok(tables)
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let context = |it: Error| it.context(format_args!("cannot read table `{}`", table.name));
        self.reading(table, shape)?.all(shape, feed).map_err(context)
    }

    /// Pages come in the order of the rowid, which is that of the key only where the key is one integer.
    fn keeps_order(&mut self, table: &Table, shape: &Shape) -> Result<bool> {
        let places = super::places(table, shape)?;
        let key = places.get(..shape.key).unwrap_or_default();
        Ok(match self.keys.get(&table.name) {
            Some(Key::Rowid(_)) => {
                let is_integer = |&it: &usize| table.columns.get(it).is_some_and(|it| it.ty == Type::Int);
                key == table.key && key.len() == 1 && key.iter().all(is_integer)
            }
            Some(Key::Columns(columns)) => key == columns,
            _ => false,
        })
    }

    fn scan_keys(&mut self, table: &Table, shape: &Arc<Shape>, keys: &Batch, feed: &mut dyn Feed) -> Result<()> {
        let places = super::places(table, shape)?;
        let key = places.get(..shape.key).unwrap_or_default();
        // A value is found under the type that it is stored in. Another type may have changed how it is written.
        let plain = key.iter().zip(&shape.fields).all(|(&place, field)| {
            let ty = table.columns.get(place).map(|it| it.ty);
            ty == Some(field.cast.ty) && matches!(field.cast.ty, Type::Any | Type::Int | Type::Text | Type::Bytes)
        });
        if plain && !key.is_empty() && self.reading(table, shape)?.some(key, keys, feed, shape)? {
            return Ok(());
        }
        self.scan(table, shape, feed)
    }

    fn refresh(&mut self) -> Result<()> {
        self.torn()?;
        self.bookmark = self.state();
        Ok(())
    }

    fn torn(&mut self) -> Result<Option<String>> {
        if self.torn.is_none() {
            self.torn = match (&self.bookmark, self.state()) {
                (Some(before), Some(now)) if *before == now => None,
                (Some(_), Some(_)) => Some("it was written to while it was being read; run again when nobody writes"),
                _ => Some("the service gives no bookmark, so nothing says whether it was written to meanwhile"),
            }
            .map(str::to_owned);
        }
        Ok(self.torn.clone())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        let about = self.api.get(&format!("/{}", self.id))?;
        let text = |name: &str| match about.get(name) {
            Some(serde_json::Value::String(it)) => Some(it.clone()),
            Some(it @ serde_json::Value::Number(_)) => Some(it.to_string()),
            _ => None,
        };
        let mut facts = vec![Fact::new("database", format!("{} ({})", self.name, self.id))];
        let known = [
            ("version", "version", ""),
            ("region", "running_in_region", ""),
            ("size", "file_size", " bytes"),
            ("tables", "num_tables", ""),
            ("created", "created_at", ""),
        ];
        facts.extend(known.iter().filter_map(|(what, name, unit)| Some(Fact::new(what, text(name)? + unit))));
        facts.push(match &self.bookmark {
            Some(it) => Fact::new("state", format!("bookmark {it}")),
            None => Fact::new("state", "no bookmark, so a change during a comparison goes unseen").level(Level::Bad),
        });
        let access = "it may read; whether it may write too cannot be seen, so give it the permission D1 Read alone";
        facts.push(Fact::new("token", access));
        Ok(facts)
    }

    fn name(&self) -> Option<String> {
        Some(self.name.clone())
    }

    /// One request, as an application makes it, without its turn among all requests.
    fn time(&mut self, query: &str, _: &dyn Fn() -> Duration) -> Result<Duration> {
        let query = guard::reads_only(query)?;
        let asked = self.api.ask(&self.id, &[Statement::new(query)]).map_err(unanswered)?;
        asked.rows(1)?;
        Ok(asked.took)
    }

    fn query(&mut self, query: &str) -> Result<Vec<String>> {
        let query = guard::reads_only(query)?;
        let plain = self.api.ask(&self.id, &[Statement::new(query)]).map_err(unanswered)?;
        let (results, _) = plain.rows(1)?;
        let Some(asked) = results.first().filter(|it| !it.rows.is_empty()) else { return Ok(Vec::new()) };
        if query.get(..7).is_some_and(|it| it.eq_ignore_ascii_case("explain")) {
            return Ok(asked.rows.iter().filter_map(|it| it.first()).map(|it| it.get().to_owned()).collect());
        }
        // Once more, for exact values: now it is known how many columns there are.
        let names: Vec<String> = (0..asked.columns.len()).map(|it| format!("c{it}")).collect();
        let value = cells::expression("answer.c0", cells::PIECE, true);
        let exact = format!("WITH answer ({}) AS ({query}\n) SELECT {value} FROM answer", names.join(", "));
        let answered = self.api.ask(&self.id, &[Statement::new(exact)]).map_err(unanswered)?;
        let (results, _) = answered.rows(1)?;
        let rows = results.iter().flat_map(|it| &it.rows);
        let json = |it: &Vec<&RawValue>| {
            let raw = it.first().ok_or_else(|| strange("a row without columns"))?;
            match cells::decode(raw)? {
                Cell::Left(_) => Err(Error::new(Kind::Limit, "the answer of a check is longer than 512 KiB")),
                cell => Ok(as_json(cell.value())),
            }
        };
        rows.map(json).collect()
    }

    fn speaks_sql(&self) -> bool {
        true
    }
}

impl Api {
    /// The id of the database of that name.
    fn id_of(&self, name: &str) -> Result<String> {
        let alike = self.list(&format!("name={}&", encoded(name)))?;
        // Pages of a list that moves may overlap.
        let ids: BTreeSet<&String> = alike.iter().filter(|it| it.0 == name).map(|it| &it.1).collect();
        let ids: Vec<&String> = ids.into_iter().collect();
        match ids.as_slice() {
            [id] => return Ok((*id).clone()),
            [] => {}
            several => {
                let ids = several.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
                let message = format_args!("d1: several databases are called `{name}`; name one by its id: {ids}");
                return Err(Error::new(Kind::Store, message));
            }
        }
        let mut all: Vec<(f64, String)> =
            self.list("")?.into_iter().map(|it| (strsim::jaro_winkler(&it.0, name), it.0)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let near = all.iter().take(5).map(|it| format!("`{}`", it.1)).collect::<Vec<_>>().join(", ");
        let near = if near.is_empty() { "it has none".to_owned() } else { format!("it has {near}") };
        Err(Error::new(Kind::Store, format_args!("d1: the account has no database `{name}`; {near}")))
    }

    /// Names and ids of the databases of the account, those that `filter` lets through.
    fn list(&self, filter: &str) -> Result<Vec<(String, String)>> {
        let mut out = Vec::new();
        for page in 1..=PAGES_MAX {
            let answer = self.get(&format!("?{filter}page={page}&per_page={PAGE}"))?;
            let list = answer.as_array().ok_or_else(|| strange("a list of databases that is none"))?;
            let text = |it: &serde_json::Value, name| it.get(name)?.as_str().map(str::to_owned);
            out.extend(list.iter().filter_map(|it| Some((text(it, "name")?, text(it, "uuid")?))));
            if list.is_empty() {
                return Ok(out);
            }
        }
        Err(Error::new(Kind::Limit, "d1: the list of databases does not end; name the database by its id"))
    }
}

#[cold]
fn unanswered(error: Error) -> Error {
    error.context("the query of a check fails")
}

/// What the settings call the database.
fn called(settings: &Settings) -> Result<String> {
    let given = settings.text("database").or_else(|| settings.text("id")).map(str::to_owned);
    let found = given.or_else(|| settings.or_variable("database", &["D1_DATABASE_ID", "CLOUDFLARE_DATABASE_ID"]));
    found.filter(|it| !it.is_empty()).ok_or_else(|| {
        let message = "d1: no database; write d1:NAME, set D1_DATABASE_ID, or `database` in the plan";
        Error::new(Kind::Plan, message)
    })
}

/// Whether this is the id of a database, and no name.
fn is_id(text: &str) -> bool {
    text.len() == 36 && crate::value::parse_uuid(text).is_some()
}
