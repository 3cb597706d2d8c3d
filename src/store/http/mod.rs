//! A JSON document, or a collection in pages, from any address.
//!
//! What the service answers becomes one document in a file without a name, and that is read like any other JSON file. Nothing
//! is taken for the whole that may be a part: a service that says there is more, or that a page changed while the others were
//! read, is believed.

mod collection;
mod paging;
mod pointer;
pub mod write;

use super::{
    Options, Source,
    about::{Fact, Level},
    files::{self, FileOptions},
    web::Web,
};
use crate::{
    error::{Error, Kind, Result},
    plan::address,
    row::{Feed, Shape},
    schema::Table,
};
use collection::{Collection, Whole};
use secrecy::SecretString;
use std::sync::Arc;

/// A service that answers with JSON.
pub struct Http {
    collection: Collection,
    options: FileOptions,
    /// The address, without anything secret.
    name: String,
    /// What the one table is called, where the document has no names for tables.
    stem: String,
    secure: bool,
    signed: bool,
    read: Option<Read>,
}

/// What was read.
struct Read {
    document: Box<dyn Source>,
    whole: Whole,
}

impl Http {
    /// The service that the settings describe. It is not asked yet.
    ///
    /// # Errors
    /// If a setting is missing or cannot be used.
    pub fn open(options: &Options) -> Result<Http> {
        let settings = &options.settings;
        let (web, url) = client(options)?;
        let (base, path) = parts(&url);
        let token = settings.text("token");
        let name = address(&url).unwrap_or_else(|| "http".to_owned());
        Ok(Http {
            collection: Collection::new(web, path, settings)?,
            options: options.files.clone(),
            name,
            stem: stem(base),
            secure: base.starts_with("https://"),
            signed: token.is_some() || !settings.named("headers").is_empty() || base.contains('@') || !path.is_empty(),
            read: None,
        })
    }

    fn read(&mut self) -> Result<&mut Read> {
        if self.read.is_none() {
            let whole = self.collection.read()?;
            let file = whole.file.try_clone().map_err(|it| Error::new(Kind::File, it))?;
            let document = files::json_in(file, &self.name, &self.stem, &self.options)?;
            self.read = Some(Read { document, whole });
        }
        self.read.as_mut().ok_or_else(|| Error::new(Kind::Broken, "what was read is gone"))
    }
}

/// The client of the service, and the address that the settings give.
fn client(options: &Options) -> Result<(Web, String)> {
    let settings = &options.settings;
    let url = settings.required("http", "url", &["API_URL"])?;
    let (base, path) = parts(&url);
    let token = settings.text("token").map(SecretString::from);
    let mut web = Web::new(base, token.as_ref(), options)?;
    for (name, value) in settings.named("headers") {
        web = web.with_header(name, &SecretString::from(value.as_str()))?;
    }
    // Short values are numbers of rows and the like.
    for value in path.split(['?', '&']).filter_map(|it| it.split_once('=')).map(|it| it.1).filter(|it| it.len() >= 8) {
        web = web.with_secret(&SecretString::from(value));
    }
    Ok((web, url))
}

/// An address and its query, without what follows a `#`.
fn parts(url: &str) -> (&str, &str) {
    let (base, path) = url.find('?').map_or((url, ""), |it| url.split_at(it));
    let plain = |it: &'_ str| it.split('#').next().map_or(0, str::len);
    (base.get(..plain(base)).unwrap_or_default(), path.get(..plain(path)).unwrap_or_default())
}

/// What a document is called by its address: as a file of that name would be.
fn stem(base: &str) -> String {
    let path = base.split_once("://").and_then(|it| it.1.split_once('/')).map_or("", |it| it.1);
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let stem = last.strip_suffix(".json").unwrap_or(last);
    if stem.is_empty() { "document".to_owned() } else { stem.to_owned() }
}

impl Source for Http {
    fn tables(&mut self) -> Result<Vec<Table>> {
        let read = self.read()?;
        let mut tables = read.document.tables()?;
        tables.iter_mut().for_each(|it| it.partial.clone_from(&read.whole.more));
        Ok(tables)
    }

    fn scan(&mut self, table: &Table, shape: &Arc<Shape>, feed: &mut dyn Feed) -> Result<()> {
        let document = &mut self.read()?.document;
        // After a second look, columns may stand in another order.
        let now = document.tables()?.into_iter().find(|it| it.name == table.name);
        let gone = || Error::new(Kind::Store, format_args!("the table `{}` is not there any more", table.name));
        document.scan(&now.ok_or_else(gone)?, shape, feed)
    }

    fn refresh(&mut self) -> Result<()> {
        self.read = None;
        Ok(())
    }

    fn about(&mut self) -> Result<Vec<Fact>> {
        let answer = self.collection.look()?;
        let status = Fact::new("answer", answer.summary());
        let good = (200..300).contains(&answer.status);
        let mut facts = vec![if good { status } else { status.level(Level::Bad) }];
        let said = |name: &str| answer.header(name).map(|it| it.chars().take(100).collect::<String>());
        facts.extend(said("server").map(|it| Fact::new("server", it)));
        facts.push(match said("date") {
            Some(it) => Fact::new("clock", it),
            None => Fact::new("clock", "the service does not say what time it is").level(Level::Note),
        });
        facts.push(match self.secure {
            true => Fact::new("tls", "verified in full"),
            false => Fact::new("tls", "none: everyone on the way may read along").level(Level::Note),
        });
        let credentials = match (self.signed, answer.status) {
            (_, 401 | 403) => Fact::new("credentials", "refused: look at the token and the headers").level(Level::Bad),
            (false, _) => Fact::new("credentials", "none are shown"),
            (true, _) if good => Fact::new("credentials", "accepted, or not looked at by the service"),
            (true, _) => Fact::new("credentials", "nothing is known about them").level(Level::Note),
        };
        facts.push(credentials);
        facts.push(Fact::new("access", "only GET is used, which reads"));
        Ok(facts)
    }

    fn name(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn notes(&self) -> Vec<String> {
        let Some(read) = &self.read else { return Vec::new() };
        let pages = read.whole.pages;
        let apart = format!(
            "{}: {pages} pages were asked for one after the other; HTTP does not promise that they are of one moment",
            self.name
        );
        let notes = (pages > 1).then_some(apart).into_iter();
        let marked = read.whole.marked.then(|| {
            format!(
                "{}: the service marks its first page as changed at every look, though its rows are the same",
                self.name
            )
        });
        notes.chain(marked).chain(read.document.notes()).collect()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn documents_are_called_as_their_address_ends() {
        let check = |base: &str, expect: &str| assert_eq!(super::stem(base), expect, "{base}");
        check("https://h.test/api/config", "config");
        check("https://h.test/api/config/", "config");
        check("https://h.test/rows.json", "rows");
        for it in ["https://h.test", "https://h.test/", "https://h.test/.json", "x"] {
            check(it, "document");
        }
    }
}
