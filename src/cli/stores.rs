//! Opens stores, as the command line or a plan names them.

use crate::{
    error::{Error, Kind, Result},
    plan::{self, Endpoint, Plan, Setting},
    report::StoreName,
    run::prepare::Opened,
    store::{
        self,
        files::FileOptions,
        settings::{Lookup, Settings},
    },
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The kinds of store that `KIND:` can name, each with the setting that what follows stands for. Nothing: it is a path.
const KINDS: [(&str, Option<&str>); 14] = [
    ("sqlite", None),
    ("d1-export", None),
    ("json", None),
    ("ndjson", None),
    ("csv", None),
    ("edge-config-export", None),
    ("snapshot", None),
    ("local-storage", None),
    ("d1-local", None),
    ("kv-local", None),
    ("d1", Some("database")),
    ("kv", Some("namespace")),
    ("edge-config", Some("id")),
    ("postgres", Some("url")),
];

/// What follows `#` behind the path of a store that holds several.
const PARTS: [(&str, &str); 2] = [("d1-local", "database"), ("kv-local", "namespace")];

/// The schemes of addresses that name a store, and its kind.
const SCHEMES: [(&str, &str); 4] =
    [("postgres", "postgres"), ("postgresql", "postgres"), ("http", "http"), ("https", "http")];

/// How large a plan or an .env file may be.
const TEXT_MAX: u64 = 4 << 20;

/// What the command line calls a store, understood.
struct Named {
    kind: String,
    path: PathBuf,
    given: BTreeMap<String, Setting>,
    name: String,
}

/// Opens what the command line calls PATH, KIND:PATH, an address, or env:NAME for a variable that holds one of them.
///
/// # Errors
/// If it is not there, or nothing that is known.
pub(super) fn open(text: &str, options: &store::Options) -> Result<Opened> {
    let lookup = lookup(Path::new(""))?;
    let named = match text.strip_prefix("env:") {
        Some(variable) => {
            let missing = || Error::new(Kind::Usage, format_args!("the variable `{variable}` is not set"));
            // What it holds may be secret, so it is not repeated.
            let neither = "the variable holds neither the address of a store nor the path of one that is there";
            let unknown = |it: Error| Error::new(it.kind(), format_args!("{variable}: {neither}"));
            Named::new(&lookup(variable).ok_or_else(missing)?).map_err(unknown)?
        }
        None => {
            if holds_password(text) {
                let what = "a password on the command line can be read by every user of this machine";
                let instead = "put the address into a variable and write env:NAME";
                return Err(Error::new(Kind::Usage, format_args!("{what}; {instead}")));
            }
            Named::new(text)?
        }
    };
    let options = store::Options { settings: Settings::new(named.given, lookup), ..options.clone() };
    let store = store::open(&named.kind, &named.path, &options)?;
    let name = if named.name.is_empty() { store.name().unwrap_or_else(|| named.kind.clone()) } else { named.name };
    Ok(Opened { store, name: StoreName { kind: named.kind, name } })
}

impl Named {
    fn new(text: &str) -> Result<Named> {
        let path = |kind: &str, path: &str| Named {
            kind: kind.to_owned(),
            path: path.into(),
            given: BTreeMap::new(),
            name: path.to_owned(),
        };
        let live = |kind: &str, setting: &str, text: &str| {
            let given = (!text.is_empty()).then(|| (setting.to_owned(), Setting::Text(text.to_owned())));
            // What is no address may hold a password in some other form, so the store says its name then.
            let name = if setting == "url" { plan::address(text).unwrap_or_default() } else { text.to_owned() };
            Named { kind: kind.to_owned(), path: PathBuf::new(), given: given.into_iter().collect(), name }
        };
        if let Some((scheme, _)) = text.split_once("://").filter(|it| !it.0.contains(['/', ':'])) {
            let known = SCHEMES.iter().find(|it| it.0 == scheme);
            let unknown = || Error::new(Kind::Usage, format_args!("{scheme}: no store has addresses of this kind"));
            return known.map(|it| live(it.1, "url", text)).ok_or_else(unknown);
        }
        let kind = text.split_once(':').and_then(|(kind, rest)| Some((KINDS.iter().find(|it| it.0 == kind)?, rest)));
        Ok(match kind {
            Some((&(kind, Some(setting)), rest)) => live(kind, setting, rest),
            Some((&(kind, None), rest)) => {
                let part = PARTS.iter().find(|it| it.0 == kind).and_then(|it| Some((it.1, rest.rsplit_once('#')?)));
                let Some((setting, (folder, part))) = part else { return Ok(path(kind, rest)) };
                let given = BTreeMap::from([(setting.to_owned(), Setting::Text(part.to_owned()))]);
                Named { path: folder.into(), given, ..path(kind, rest) }
            }
            None => path(store::sniff(Path::new(text))?, text),
        })
    }
}

/// Whether what was typed is an address with a password in it.
fn holds_password(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let user = authority.and_then(|it| it.rsplit_once('@')).map(|(user, _)| user);
    user.is_some_and(|it| it.contains(':')) || text.contains("password=") || text.contains("token=")
}

/// Opens a store of a plan.
///
/// # Errors
/// If it is not there, or of a kind that cannot be read.
pub(super) fn of_plan(plan: &Plan, endpoint: &Endpoint, options: &store::Options) -> Result<Opened> {
    let files = FileOptions {
        null: endpoint.null.clone(),
        delimiter: endpoint.delimiter,
        types: endpoint.types.clone(),
        ..FileOptions::default()
    };
    let lookup = lookup(&folder(Path::new(&plan.path)))?;
    let settings = Settings::new(endpoint.settings.clone(), lookup);
    let options = store::Options { files, views: endpoint.views, settings, ..options.clone() };
    let path = endpoint.path.as_ref().map(|it| plan.resolve(it)).unwrap_or_default();
    let store = store::open(&endpoint.kind, &path, &options)?;
    let mut name = name(endpoint);
    if name.name == name.kind {
        name.name = store.name().unwrap_or(name.name);
    }
    Ok(Opened { store, name })
}

/// The target of a plan, or, where it is not there yet, an empty one made of its schema: enough to check columns and types.
///
/// # Errors
/// If neither can be read.
pub(super) fn target_or_schema(plan: &Plan) -> Result<Opened> {
    match (of_plan(plan, &plan.target, &store::Options::default()), &plan.target.schema) {
        (Err(_), Some(schema)) => {
            let store = store::open("d1-export", &plan.resolve(schema), &store::Options::default())?;
            Ok(Opened { store, name: name(&plan.target) })
        }
        (opened, _) => opened,
    }
}

fn name(endpoint: &Endpoint) -> StoreName {
    StoreName { kind: endpoint.kind.clone(), name: endpoint.name.clone() }
}

/// Reads a plan. Its problems are shown on standard error, each beside its line.
///
/// # Errors
/// If it cannot be read or is wrong.
pub(super) fn read_plan(path: &Path, colour: bool) -> Result<(Plan, String)> {
    let text = read(path)?.ok_or_else(|| {
        let name = path.display();
        Error::new(Kind::Plan, format_args!("{name}: no such file; `cutover init SOURCE TARGET` writes a plan"))
    })?;
    let lookup = lookup(&folder(path))?;
    let shown = path.display().to_string();
    match plan::parse(&text, &shown, lookup.as_ref()) {
        Ok(plan) => Ok((plan, text)),
        Err(faults) => Err(refused(&faults, &shown, &text, colour)),
    }
}

/// Shows the faults of a plan and sums them up.
pub(super) fn refused(faults: &[plan::Fault], path: &str, text: &str, colour: bool) -> Error {
    super::output::say(&plan::render(faults, path, text, colour));
    let problems = if faults.len() == 1 { "problem" } else { "problems" };
    Error::new(Kind::Plan, format_args!("{path} has {} {problems}", faults.len()))
}

/// The folder of a plan.
fn folder(plan: &Path) -> PathBuf {
    plan.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Looks variables up in the environment, then in the files of that folder.
fn lookup(folder: &Path) -> Result<Lookup> {
    let files = variables(folder)?;
    #[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
    let lookup = move |name: &str| std::env::var(name).ok().or_else(|| files.get(name).cloned());
    Ok(Arc::new(lookup))
}

/// What `.env` and `.env.local` in a folder say; the latter wins.
fn variables(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for name in [".env", ".env.local"] {
        let path = folder.join(name);
        if let Some(text) = read(&path)? {
            let parsed = plan::parse_dotenv(&text);
            variables.extend(parsed.map_err(|it| Error::new(Kind::Plan, format_args!("{}:{it}", path.display())))?);
        }
    }
    Ok(variables)
}

/// The text of a small file, nothing if there is none.
fn read(path: &Path) -> Result<Option<String>> {
    let failed = |it: &dyn std::fmt::Display| Error::new(Kind::Plan, format_args!("{}: {it}", path.display()));
    match fs::metadata(path) {
        Err(it) if it.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(it) => return Err(failed(&it)),
        Ok(it) if it.is_file() && it.len() > TEXT_MAX => return Err(failed(&"it is larger than 4 MiB")),
        Ok(it) if !it.is_file() => return Err(failed(&"it is not a file")),
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(|it| failed(&it))?;
    String::from_utf8(bytes).map(Some).map_err(|it| {
        let before = &it.as_bytes()[..it.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&it| it == b'\n').count() + 1;
        failed(&format_args!("line {line} is not UTF-8"))
    })
}
