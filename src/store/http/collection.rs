//! Reads all pages of a collection and makes one document of them.

use super::{
    paging::{self, Next, Paging},
    pointer::{self, Pointer},
};
use crate::{
    error::{Error, Kind, Result},
    store::{
        settings::Settings,
        web::{Advice, Answer, Request, Web},
    },
};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED};
use serde_json::value::RawValue;
use std::{
    collections::HashSet,
    fs::File,
    io::{BufWriter, Write},
};

/// Where the rows are and how to get all of them.
pub(super) struct Collection {
    web: Web,
    /// The path of the first page.
    first: String,
    rows: Option<Pointer>,
    paging: Paging,
    /// Pages that are read at most.
    most: usize,
}

/// All rows, as one document.
pub(super) struct Whole {
    pub(super) file: File,
    pub(super) pages: usize,
    /// Why there may be more rows than these.
    pub(super) more: Option<String>,
    /// The first page was marked as changed whenever it was looked at, though its rows stayed.
    pub(super) marked: bool,
}

/// How many pages are read if nobody says otherwise.
const PAGES: usize = 10_000;
/// How often a collection that changes is read.
const LOOKS: usize = 3;
/// Headers that say how many rows a collection has.
const TOTALS: [&str; 3] = ["x-total-count", "x-total", "x-wp-total"];
/// Members beside the rows that say how many a collection has, and nothing else.
const COUNTS: [&str; 7] =
    ["total_count", "totalCount", "total_items", "totalItems", "total_results", "totalResults", "@odata.count"];
/// Members beside the rows that say that there are more.
const MORE: [&str; 13] = [
    "has_more",
    "hasMore",
    "has_next_page",
    "hasNextPage",
    "next_cursor",
    "nextCursor",
    "next",
    "next_url",
    "nextUrl",
    "next_page_url",
    "@odata.nextLink",
    "next_page_token",
    "nextPageToken",
];

/// What is remembered of the pages read so far.
struct Progress {
    out: BufWriter<File>,
    /// `[` or `{`, as the first page has it. Nothing: there are no pages, but one document.
    open: Option<char>,
    pages: usize,
    rows: u64,
    /// What led to each page, and the rows of each, hashed.
    seen: HashSet<[u8; 32]>,
    /// How many rows the first page has.
    full: u64,
    /// A page had fewer.
    short: bool,
    /// The rows of the first page, hashed.
    first: [u8; 32],
    /// When the first page was read, by the clock of the service.
    since: Option<Timestamp>,
    etag: Option<String>,
    /// A page says that it was changed after that.
    moved: bool,
    total: Option<u64>,
    more: Option<String>,
}

impl Collection {
    pub(super) fn new(web: Web, first: &str, settings: &Settings) -> Result<Collection> {
        let rows = settings.text("rows").map(|it| paging::pointer("rows", it)).transpose()?;
        let paging = Paging::new(settings)?;
        let most = settings.text("pages").and_then(|it| it.parse().ok()).unwrap_or(PAGES);
        let first = match &paging {
            Paging::Number(parameter) => paging::with_parameter(first, parameter, "1"),
            _ => first.to_owned(),
        };
        Ok(Collection { web, first, rows, paging, most })
    }

    /// The first page, whatever its status.
    pub(super) fn look(&self) -> Result<Answer> {
        self.web.send(&Request::get(&self.first), &|answer| match Advice::usual(answer) {
            Advice::Again(why) => Advice::Again(why),
            _ => Advice::Take,
        })
    }

    /// All rows. A collection that is changed meanwhile is read again.
    pub(super) fn read(&self) -> Result<Whole> {
        let mut marked = false;
        for look in 1..=LOOKS {
            let mut progress = self.once()?;
            if progress.pages > 1 {
                let answer = self.web.send(&Request::get(&self.first), &complete)?;
                let rows = blake3::hash(self.part(text(&answer)?)?.as_bytes());
                marked = progress.etag.as_deref() != answer.header(ETAG.as_str());
                progress.notice(&answer);
                if progress.moved || rows != progress.first || marked && look < LOOKS {
                    continue;
                }
            }
            return progress.finish(marked);
        }
        let what = "the collection is changed while its pages are read";
        Err(self.error(format_args!("{what}, {LOOKS} times in a row; read it when nobody writes")))
    }

    fn once(&self) -> Result<Progress> {
        let mut progress = Progress::new()?;
        let mut asked = self.first.clone();
        loop {
            let answer = self.web.send(&Request::get(&asked), &complete)?;
            let document = text(&answer)?;
            let part = self.part(document)?;
            if matches!(self.paging, Paging::One) && self.rows.is_none() {
                progress.more = self.more(document, &answer, 0)?;
                progress.document(document, &answer)?;
                return Ok(progress);
            }
            let rows = progress.page(part, &answer).map_err(|it| self.error(it))?;
            let numbered = matches!(self.paging, Paging::Number(_));
            progress.shape(part, rows, numbered).map_err(|it| self.error(it))?;
            let next = self.paging.next(document, &answer, progress.pages, rows).map_err(|it| self.error(it))?;
            let Some(next) = next else {
                let more = self.more(document, &answer, progress.rows)?;
                progress.more = more.or(progress.more);
                return Ok(progress);
            };
            asked = match next {
                Next::Link(link) => self.web.follow(&asked, &link)?,
                Next::Parameter(name, value) => paging::with_parameter(&self.first, &name, &value),
            };
            if !progress.seen.insert(*blake3::hash(asked.as_bytes()).as_bytes()) {
                let page = progress.pages;
                return Err(self.error(format_args!("page {page} leads back to a page that was read already")));
            }
            if progress.pages >= self.most {
                let most = self.most;
                let what = format_args!("there are more than {most} pages; let `pages` be larger if that can be");
                return Err(Error::new(Kind::Limit, self.error(what)));
            }
        }
    }

    /// The part of a page that holds rows.
    fn part<'t>(&self, document: &'t str) -> Result<&'t str> {
        let Some(place) = &self.rows else { return Ok(document.trim()) };
        let found = place.find(document).map_err(|it| self.error(it))?;
        found.ok_or_else(|| self.error("the answer has nothing at the place that `rows` names"))
    }

    /// Why what is taken for the whole, which has that many rows and ends with this answer, may be less.
    fn more(&self, document: &str, answer: &Answer, rows: u64) -> Result<Option<String>> {
        // Numbered pages end with one that has no rows, whatever it links to.
        let ended = matches!(self.paging, Paging::Number(_));
        if !ended && paging::link(answer).is_some() {
            return Ok(Some("the answer links to a next page; `next_link = \"Link\"` reads it too".to_owned()));
        }
        if self.rows.is_none() {
            return Ok(None);
        }
        let member = |name: &str| {
            let place = Pointer::parse(&format!("/{name}"));
            place.map(|it| it.find(document)).transpose().map_err(|it| self.error(it)).map(Option::flatten)
        };
        for name in COUNTS {
            let count = member(name)?.and_then(|it| it.parse::<u64>().ok());
            if let Some(count) = count.filter(|it| *it > rows) {
                return Ok(Some(format!("the answer says in `{name}` that there are {count} rows, and {rows} came")));
            }
        }
        for name in MORE.iter().filter(|_| !ended) {
            let said = member(name)?;
            if said.is_some_and(|it| !matches!(it, "null" | "false" | "\"\"" | "0")) {
                return Ok(Some(format!(
                    "the answer says so in `{name}`; `next_link`, `next_cursor` or `page` read the rest"
                )));
            }
        }
        Ok(None)
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::new(Kind::Store, format_args!("{}: {what}", self.web.name()))
    }
}

/// Takes an answer that is one whole JSON document. One that was cut off on the way may be whole the next time.
fn complete(answer: &Answer) -> Advice {
    match Advice::usual(answer) {
        Advice::Take => match answer.json::<&RawValue>() {
            Ok(_) => Advice::Take,
            Err(why) if answer.is_web_page() => Advice::Refuse(why),
            Err(why) => Advice::Again(why),
        },
        other => other,
    }
}

fn text(answer: &Answer) -> Result<&str> {
    answer.json::<&RawValue>().map(RawValue::get).map_err(|it| Error::new(Kind::Store, it))
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::File, format_args!("a temporary file: {error}"))
}

fn date(answer: &Answer, name: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(answer.header(name)?).ok()
}

impl Progress {
    fn new() -> Result<Progress> {
        Ok(Progress {
            out: BufWriter::new(tempfile::tempfile().map_err(failed)?),
            open: None,
            pages: 0,
            rows: 0,
            seen: HashSet::new(),
            full: 0,
            short: false,
            first: [0; 32],
            since: None,
            etag: None,
            moved: false,
            total: None,
            more: None,
        })
    }

    /// Takes a document as it is.
    fn document(&mut self, document: &str, answer: &Answer) -> Result<()> {
        self.notice(answer);
        self.pages = 1;
        self.rows = pointer::count(document).unwrap_or_default();
        // The number of rows is the number of elements only where the document is an array.
        if !document.starts_with('[') {
            self.total = None;
        }
        self.out.write_all(document.as_bytes()).map_err(failed)
    }

    /// Takes the rows of the next page, and says how many they are.
    fn page(&mut self, part: &str, answer: &Answer) -> Result<u64> {
        let Some(open) = part.chars().next().filter(|it| matches!(it, '[' | '{')) else {
            return Err(Error::new(Kind::Store, "what should be rows is neither an array nor an object"));
        };
        if self.open.is_some_and(|it| it != open) {
            return Err(Error::new(Kind::Store, "one page has an array where another has an object"));
        }
        let rows = pointer::count(part).ok_or_else(|| Error::new(Kind::Store, "what should be rows cannot be read"))?;
        let inner = part.get(1..part.len() - 1).unwrap_or_default();
        let before = match (self.open, self.rows, rows) {
            (None, ..) => part.get(..1).unwrap_or_default(),
            (_, 0, _) | (_, _, 0) => "",
            _ => ",\n",
        };
        self.out.write_all(before.as_bytes()).and_then(|()| self.out.write_all(inner.as_bytes())).map_err(failed)?;
        self.open = Some(open);
        self.notice(answer);
        self.pages += 1;
        self.rows += rows;
        Ok(rows)
    }

    /// Looks whether the pages are as pages of one collection are.
    fn shape(&mut self, part: &str, rows: u64, numbered: bool) -> Result<(), String> {
        let hash = *blake3::hash(part.as_bytes()).as_bytes();
        let page = self.pages;
        let again = !self.seen.insert(hash);
        if page == 1 {
            (self.full, self.first) = (rows, hash);
        } else if rows > 0 && again {
            return Err(format!(
                "page {page} holds the very rows of a page before; does the service know what it is asked?"
            ));
        } else if numbered && rows > 0 && self.short {
            let what = format!("page {} had fewer rows than the first, and still page {page} has some", page - 1);
            return Err(format!("{what}: rows moved while they were read, or were left out"));
        }
        self.short |= rows < self.full;
        Ok(())
    }

    /// Remembers what the headers say about the collection.
    fn notice(&mut self, answer: &Answer) {
        if self.since.is_none() {
            self.since = date(answer, DATE.as_str());
            self.etag = answer.header(ETAG.as_str()).map(str::to_owned);
        }
        let changed = date(answer, LAST_MODIFIED.as_str());
        self.moved |= changed.zip(self.since).is_some_and(|(changed, since)| changed > since);
        let range = answer.header(CONTENT_RANGE.as_str()).and_then(|it| it.rsplit_once('/')).map(|it| it.1);
        let total = range.or_else(|| TOTALS.iter().find_map(|&it| answer.header(it)));
        self.total = total.and_then(|it| it.trim().parse().ok()).or(self.total);
        if answer.status == 206 {
            self.more.get_or_insert_with(|| "the service says that this is a part".to_owned());
        }
    }

    fn finish(mut self, marked: bool) -> Result<Whole> {
        // Members of an object are no rows that a service would count.
        if self.open == Some('{') {
            self.total = None;
        }
        if let Some(total) = self.total.filter(|&it| it != self.rows) {
            let rows = self.rows;
            self.more.get_or_insert_with(|| format!("the service says that there are {total} rows, and {rows} came"));
        } else if self.total.is_some() {
            // All of them, in parts.
            self.more = None;
        }
        if let Some(open) = self.open {
            self.out.write_all(if open == '[' { b"]" } else { b"}" }).map_err(failed)?;
        }
        Ok(Whole {
            file: self.out.into_inner().map_err(|it| failed(it.into_error()))?,
            pages: self.pages,
            more: self.more,
            marked,
        })
    }
}
