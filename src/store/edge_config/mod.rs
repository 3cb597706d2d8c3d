//! Vercel Edge Config, which its vendor also calls Global Config, over either of its interfaces.
//!
//! The management interface (`api.vercel.com`) answers from the store itself; it wants an access token. The read interface
//! (`edge-config.vercel.com`), which an `EDGE_CONFIG` connection string names, answers from copies that follow within some
//! seconds. Shapes and errors are those of `@vercel/sdk` 1.28 and `@vercel/edge-config` 1.5.
//!
//! Items are asked for at once. That they are all there, and of one moment, is known from the digest of the store before and
//! after, and from its own count. `createdAt` and the like belong to the service and are no data.

mod connection;
pub mod write;

use super::{
    Options, Source,
    about::{Fact, Level},
    files,
    settings::Settings,
    web::{Advice, Answer, Request, Web},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Feed, Shape},
    schema::Table,
};
use connection::Connection;
use secrecy::SecretString;
use serde::Deserialize;
use std::{
    io::{Seek, Write},
    sync::Arc,
};

/// One Edge Config.
pub struct EdgeConfig {
    web: Web,
    access: Access,
    id: String,
    options: Options,
    /// What was read, and what the service said of it.
    read: Option<Read>,
}

/// How the store is reached.
enum Access {
    /// By an access token, below one of these paths; the first one that is known answers. With the query for the team.
    Management { families: &'static [&'static str], team: String },
    /// By a connection string.
    Reading,
}

struct Read {
    items: Box<dyn Source>,
    note: String,
}

/// What the management interface says of a store.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct About {
    digest: String,
    item_count: u64,
    size_in_bytes: u64,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    updated_at: Option<i64>,
}

/// What an error says.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Fault,
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    limit: Limit,
}

#[derive(Default, Deserialize)]
struct Limit {
    /// The second since 1970 from which on it answers again.
    reset: Option<i64>,
}

/// Where the management interface is.
const VERCEL: &str = "https://api.vercel.com";
/// What the paths of the management interface begin with: the name of old, and the new one.
const FAMILIES: &[&str] = &["edge-config", "global-config"];
/// Variables that may hold an access token.
const TOKENS: &[&str] = &["EDGE_CONFIG_TOKEN", "VERCEL_API_TOKEN", "VERCEL_TOKEN"];
/// How often the items are read until nobody wrote meanwhile.
const ATTEMPTS: u32 = 4;
/// The header of the read interface by which a store that is there is known.
const DIGEST: &str = "x-edge-config-digest";

impl EdgeConfig {
    /// Finds out how to reach the store that the settings `id`, `token`, `team`, `api` and `url` name, and the variables that
    /// stand in for them. Nothing is asked yet.
    ///
    /// # Errors
    /// If something is missing, or two of them name different stores.
    pub fn open(options: &Options) -> Result<EdgeConfig> {
        let settings = &options.settings;
        settings.select_nothing("edge-config")?;
        let token = settings.or_variable("token", TOKENS).map(SecretString::from);
        let connection = settings.or_variable("url", &["EDGE_CONFIG"]).map(|it| Connection::parse(&it)).transpose()?;
        let id = settings.text("id").map(str::to_owned).or_else(|| match &connection {
            // What is asked for by its connection string is that one.
            Some(it) if settings.text("url").is_some() => Some(it.id.clone()),
            it => settings.variable("EDGE_CONFIG_ID").or_else(|| it.as_ref().map(|it| it.id.clone())),
        });
        let (options, read) = (options.clone(), None);
        match (token, connection) {
            (Some(token), _) => {
                let missing = || missing("no id; set EDGE_CONFIG_ID, or `id` in the plan");
                let id = plain("id", id.ok_or_else(missing)?)?;
                let web = Web::new(settings_api(&options.settings), Some(&token), &options)?;
                let team = team(&options.settings)?;
                Ok(EdgeConfig { web, access: Access::Management { families: FAMILIES, team }, id, options, read })
            }
            (None, Some(it)) => {
                if let Some(id) = id.filter(|id| *id != it.id) {
                    let what = format!("the id is {id}, and the connection string is that of {}", it.id);
                    return Err(missing(&(what + "; leave one of them out, or set EDGE_CONFIG_TOKEN")));
                }
                let web = Web::new(&it.base, Some(&it.token), &options)?;
                Ok(EdgeConfig { web, access: Access::Reading, id: it.id, options, read })
            }
            (None, None) => {
                let what = "no token; set EDGE_CONFIG_TOKEN to an access token, or EDGE_CONFIG to a connection string";
                Err(missing(what))
            }
        }
    }

    /// Asks the management interface, by the name that it knows. `rest` follows the id.
    fn manage(&mut self, rest: &str) -> Result<Answer> {
        let Access::Management { families, team } = &mut self.access else {
            return Err(Error::new(Kind::Broken, "an Edge Config without access token is not managed"));
        };
        loop {
            let family = families.first().copied().unwrap_or_default();
            let path = format!("/v1/{family}/{}{rest}{team}", self.id);
            let more = families.len() > 1;
            let advice = |it: &Answer| if it.status == 404 && more { Advice::Take } else { judge(it) };
            let answer = self.web.send(&Request::get(&path), &advice)?;
            if answer.status != 404 {
                // From now on it is asked by this name alone.
                *families = families.get(..1).unwrap_or_default();
                return Ok(answer);
            }
            *families = families.get(1..).unwrap_or_default();
        }
    }

    fn describe(&mut self) -> Result<About> {
        let answer = self.manage("")?;
        answer.json().map_err(|it| Error::new(Kind::Store, format_args!("{}: {it}", self.web.name())))
    }

    /// The digest that the read interface knows.
    fn digest(&self) -> Result<String> {
        let answer = self.web.send(&Request::get("/digest?version=1"), &judge_reading)?;
        answer.json().map_err(|it| Error::new(Kind::Store, format_args!("{}: {it}", self.web.name())))
    }

    /// Reads all items, and again if somebody wrote meanwhile.
    fn load(&mut self) -> Result<&mut Read> {
        if self.read.is_none() {
            let read = match self.access {
                Access::Management { .. } => self.load_managed()?,
                Access::Reading => self.load_read()?,
            };
            self.read = Some(read);
        }
        self.read.as_mut().ok_or_else(|| Error::new(Kind::Broken, "an Edge Config that was read is gone"))
    }

    fn load_managed(&mut self) -> Result<Read> {
        let mut before = self.describe()?;
        for _ in 0..ATTEMPTS {
            let answer = self.manage("/items")?;
            let after = self.describe()?;
            // The digest alone could be that of a content that was there before, and is again.
            if after == before {
                let (items, count) = self.items(&answer)?;
                if count != after.item_count {
                    let what = format_args!("{} items came, and the service counts {}", count, after.item_count);
                    return Err(Error::new(Kind::Store, format_args!("Edge Config {}: {what}; run again", self.id)));
                }
                let About { digest, item_count, size_in_bytes, .. } = after;
                let what = format!("{item_count} items, {size_in_bytes} bytes, digest {digest}");
                return Ok(Read { items, note: format!("Edge Config {}: {what}, before as after", self.id) });
            }
            before = after;
        }
        Err(self.moving())
    }

    fn load_read(&mut self) -> Result<Read> {
        let mut before = self.digest()?;
        for _ in 0..ATTEMPTS {
            let answer = self.web.send(&Request::get("/items?version=1"), &judge_reading)?;
            let own = answer.header(DIGEST).map(str::to_owned);
            let after = self.digest()?;
            if after == before && own.is_none_or(|it| it == after) {
                let (items, count) = self.items(&answer)?;
                let what = format!("{count} items, digest {after}, before as after");
                let late = "read from a copy, which follows the store within some seconds";
                return Ok(Read { items, note: format!("Edge Config {}: {what}; {late}", self.id) });
            }
            before = after;
        }
        Err(self.moving())
    }

    fn items(&self, answer: &Answer) -> Result<(Box<dyn Source>, u64)> {
        let name = format!("the items of Edge Config {}", self.id);
        let mut file = tempfile::tempfile().map_err(|it| Error::new(Kind::File, format_args!("{name}: {it}")))?;
        let kept = file.write_all(&answer.body).and_then(|()| file.rewind());
        kept.map_err(|it| Error::new(Kind::File, format_args!("{name}: {it}")))?;
        let mut items = files::edge_config_items(&name, file, &self.options.files)?;
        let count = items.tables()?.first().and_then(|it| it.rows_about).unwrap_or(0);
        Ok((items, count))
    }

    fn moving(&self) -> Error {
        let what = format_args!("Edge Config {} was written to each time it was read; run again", self.id);
        Error::new(Kind::Store, what)
    }
}

fn settings_api(settings: &Settings) -> &str {
    settings.text("api").unwrap_or(VERCEL)
}

/// The query for the team that owns the store, by its id or by the name in its addresses.
fn team(settings: &Settings) -> Result<String> {
    let Some(team) = settings.or_variable("team", &["VERCEL_TEAM_ID"]) else { return Ok(String::new()) };
    let team = plain("team", team)?;
    Ok(if team.starts_with("team_") { format!("?teamId={team}") } else { format!("?slug={team}") })
}

/// An identifier that may stand in an address.
fn plain(what: &str, text: String) -> Result<String> {
    let is_plain = !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    if is_plain { Ok(text) } else { Err(missing(&format!("the {what} may hold letters, digits, `-` and `_` only"))) }
}

/// What to make of an answer of the management interface.
fn judge(answer: &Answer) -> Advice {
    let said = || answer.summary();
    let fault = answer.json::<Refusal>().unwrap_or_default().error;
    match answer.status {
        200 => Advice::Take,
        401 | 403 => Advice::Refuse(format!(
            "{}; the access token must be valid, which the read token of a store is not here, and may read the team that owns \
             the store: set VERCEL_TEAM_ID, or `team`, unless the store is your own",
            said()
        )),
        404 if fault.code == "not_found" || !fault.message.is_empty() => Advice::Refuse(format!(
            "{}; look at EDGE_CONFIG_ID, or `id`, and set VERCEL_TEAM_ID, or `team`, if a team owns the store",
            said()
        )),
        429 => {
            let reset = fault.limit.reset.and_then(|it| jiff::Timestamp::from_second(it).ok());
            let until = reset.map(|it| format!(", until {it}")).unwrap_or_default();
            Advice::Again(format!("{}{until}", said()))
        }
        _ => whole(answer),
    }
}

/// What to make of an answer by its status alone: there are no parts here.
fn whole(answer: &Answer) -> Advice {
    match answer.status {
        201..=299 => Advice::Refuse(format!("{}; that is not all of what was asked for", answer.summary())),
        _ => Advice::usual(answer),
    }
}

/// What to make of an answer of the read interface.
fn judge_reading(answer: &Answer) -> Advice {
    let said = || answer.summary();
    match answer.status {
        401 | 403 => Advice::Refuse(format!("{}; the token of the connection string is not one of the store", said())),
        404 if answer.header(DIGEST).is_none() => {
            Advice::Refuse(format!("{}; there is no store as in the connection string", said()))
        }
        _ => whole(answer),
    }
}

#[cold]
fn missing(what: &str) -> Error {
    Error::new(Kind::Plan, format_args!("edge-config: {what}"))
}

impl Source for EdgeConfig {
    fn tables(&mut self) -> Result<Vec<Table>> {
        self.load()?.items.tables()
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        self.load()?.items.scan(table, shape, feed)
    }

    fn refresh(&mut self) -> Result<()> {
        self.read = None;
        self.load().map(|_| ())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        if matches!(self.access, Access::Reading) {
            let says = "a read token, which can do no more";
            let digest = self.digest()?;
            return Ok(vec![
                Fact::new("store", format!("{}: digest {digest}", self.id)),
                Fact::new("access", says),
                Fact::new("state", "of a copy, which follows the store within some seconds").level(Level::Note),
            ]);
        }
        let About { digest, item_count, size_in_bytes, slug, updated_at } = self.describe()?;
        let slug = slug.map(|it| format!(" ({it})")).unwrap_or_default();
        let time = updated_at.and_then(|it| jiff::Timestamp::from_millisecond(it).ok());
        let time = time.map(|it| format!(", last written {it:.0}")).unwrap_or_default();
        let store = format!("{}{slug}: {item_count} items, {size_in_bytes} bytes, digest {digest}{time}", self.id);
        let access = "an access token, which may write too; a connection string in EDGE_CONFIG can only read";
        Ok(vec![Fact::new("store", store), Fact::new("access", access).level(Level::Note)])
    }

    fn name(&self) -> Option<String> {
        Some(self.id.clone())
    }

    fn notes(&self) -> Vec<String> {
        let read = self.read.iter();
        read.flat_map(|it| it.items.notes().into_iter().chain([it.note.clone()])).collect()
    }
}

#[cfg(test)]
mod tests;
