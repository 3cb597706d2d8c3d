//! Opens stores, as the command line or a plan names them.

use crate::{
    error::{Error, Kind, Result},
    plan::{self, Endpoint, Plan, Setting},
    report::StoreName,
    run::prepare::Opened,
    store::{
        self, Schemas, Source,
        files::FileOptions,
        settings::{Lookup, Settings},
        target::Declared,
        target::Target,
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

/// A store that was asked for, whether it could be opened or not.
pub(super) struct Asked {
    /// `source` or `target` of a plan.
    pub(super) side: Option<&'static str>,
    /// What it is called.
    pub(super) name: StoreName,
    /// What a plan would say about it, beside its kind.
    pub(super) settings: Vec<(String, String)>,
    /// The store.
    pub(super) store: Result<Box<dyn Source>>,
}

/// Opens what the command line calls PATH, KIND:PATH, an address, or env:NAME for a variable that holds one of them.
///
/// # Errors
/// If it is not there, or nothing that is known.
pub(super) fn open(text: &str, options: &store::Options) -> Result<Opened> {
    let Asked { name, store, .. } = ask(text, options)?;
    Ok(Opened { store: store?, name })
}

/// The same, for who wants to know what cannot be opened too.
///
/// # Errors
/// If it is nothing that is known.
pub(super) fn ask(text: &str, options: &store::Options) -> Result<Asked> {
    let lookup = lookup(Path::new(""))?;
    let named = match text.strip_prefix("env:") {
        Some(variable) => {
            let missing = || Error::new(Kind::Usage, format_args!("the variable `{variable}` is not set"));
            let text = lookup(variable).filter(|it| !it.is_empty()).ok_or_else(missing)?;
            // What it holds may be a secret in the wrong place.
            let unknown = "holds no store that is known or there: a path, KIND:PATH, or an address";
            Named::new(&text)
                .map_err(|_| Error::new(Kind::Usage, format_args!("the variable `{variable}` {unknown}")))?
        }
        None => {
            if holds_secret(text) {
                let what = "a password or token on the command line can be read by every user of this machine";
                let instead = "put the address into a variable and write env:NAME";
                return Err(Error::new(Kind::Usage, format_args!("{what}; {instead}")));
            }
            Named::new(text)?
        }
    };
    let settings = named.settings(text.strip_prefix("env:"));
    let options = store::Options { settings: Settings::new(named.given, lookup), ..options.clone() };
    let mut name = StoreName { kind: named.kind, name: named.name };
    let store = store::open(&name.kind, &named.path, &options);
    if name.name.is_empty() {
        let own = store.as_ref().ok().and_then(|it| it.name());
        name.name = own.unwrap_or_else(|| name.kind.clone());
    }
    Ok(Asked { side: None, name, settings, store })
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
            let name = plan::address(text).unwrap_or_else(|| if setting == "url" { "" } else { text }.to_owned());
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

impl Named {
    /// What a plan would say. What came from a `variable` is named there and not written out, as it may hold a secret.
    fn settings(&self, variable: Option<&str>) -> Vec<(String, String)> {
        let plain = |text: &str| text.replace("${", "$${");
        if !self.path.as_os_str().is_empty() {
            return vec![("path".to_owned(), plain(&self.path.display().to_string()))];
        }
        let given = self.given.iter().filter_map(|(key, value)| Some((key, value.text()?)));
        let written = given.map(|(key, value)| match variable {
            Some(variable) if key == "url" || value.contains("://") => (key.clone(), format!("${{{variable}}}")),
            _ => (key.clone(), plain(value)),
        });
        written.collect()
    }
}

/// Whether what was typed is an address that says how to get in, which is nobody's business.
fn holds_secret(text: &str) -> bool {
    const SECRETS: [&str; 8] = ["password", "passwd", "pwd", "token", "secret", "api_key", "apikey", "access_key"];
    let live =
        |word: &str| SCHEMES.iter().any(|it| it.0 == word) || KINDS.iter().any(|it| it.0 == word && it.1.is_some());
    let Some((scheme, rest)) = text.split_once(':').filter(|it| live(it.0)) else { return false };
    // A password may hold whatever else ends the part that it stands in. In HTTP even a user's name may be a token.
    let user = rest.rsplit_once('@').map(|it| it.0.trim_start_matches('/'));
    let parameters = rest.split_once(['?', ' ', '=']).map(|_| rest.to_ascii_lowercase().replace('-', "_"));
    let named = |text: &str| SECRETS.iter().any(|it| text.contains(&format!("{it}=")));
    user.is_some_and(|it| it.contains(':') || scheme.starts_with("http")) || parameters.is_some_and(|it| named(&it))
}

/// Opens a store of a plan.
///
/// # Errors
/// If it is not there, or of a kind that cannot be read.
pub(super) fn of_plan(plan: &Plan, endpoint: &Endpoint, options: &store::Options) -> Result<Opened> {
    let Asked { name, store, .. } = ask_of_plan(plan, endpoint, options)?;
    Ok(Opened { store: store?, name })
}

/// Opens the target of a plan for writing.
///
/// # Errors
/// If it cannot be written to.
pub(super) fn target_of_plan(plan: &Plan, options: &store::Options) -> Result<Box<dyn Target>> {
    let (path, options) = place(plan, &plan.target, options)?;
    store::target::open(&plan.target.kind, &path, &options)
}

/// What the target of a plan will hold once its schema is carried out.
///
/// # Errors
/// As [`store::target::declared`].
pub(super) fn declared_of_target(plan: &Plan, schema: &Path, options: &store::Options) -> Result<Declared> {
    let (_, options) = place(plan, &plan.target, options)?;
    store::target::declared(&plan.target.kind, schema, &options)
}

/// What tells the target of a plan from every other store.
///
/// # Errors
/// If it cannot be written to.
pub(super) fn fingerprint_of_target(plan: &Plan, options: &store::Options) -> Result<String> {
    let (path, options) = place(plan, &plan.target, options)?;
    store::target::fingerprint(&plan.target.kind, &path, &options)
}

/// The same as [`of_plan`], for who wants to know what cannot be opened too.
fn ask_of_plan(plan: &Plan, endpoint: &Endpoint, options: &store::Options) -> Result<Asked> {
    let (path, options) = place(plan, endpoint, options)?;
    let store = store::open(&endpoint.kind, &path, &options);
    let mut name = name(endpoint);
    if name.name == name.kind {
        name.name = store.as_ref().ok().and_then(|it| it.name()).unwrap_or(name.name);
    }
    Ok(Asked { side: None, name, settings: Vec::new(), store })
}

/// Where a store of a plan is, and all that is said about it.
fn place(plan: &Plan, endpoint: &Endpoint, options: &store::Options) -> Result<(PathBuf, store::Options)> {
    let files = FileOptions {
        null: endpoint.null.clone(),
        delimiter: endpoint.delimiter,
        types: endpoint.types.clone(),
        ..FileOptions::default()
    };
    let lookup = lookup(&folder(Path::new(&plan.path)))?;
    let settings = Settings::new(endpoint.settings.clone(), lookup);
    let options = store::Options { files, views: endpoint.views, settings, ..options.clone() };
    Ok((endpoint.path.as_ref().map(|it| plan.resolve(it)).unwrap_or_default(), options))
}

/// A plan and its text.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) text: String,
}

/// Opens every store that is named, or the two of a plan: the one that is named, or `cutover.toml` if nothing is.
///
/// # Errors
/// If the plan is wrong, or a name is nothing that is known. A store that cannot be opened is among those that come back.
pub(super) fn all(texts: &[String], options: &store::Options, colour: bool) -> Result<(Option<Planned>, Vec<Asked>)> {
    let is_plan = |it: &str| Path::new(it).extension().is_some_and(|it| it == "toml");
    let path = match texts {
        [] => "cutover.toml",
        [only] if is_plan(only) => only,
        _ => {
            let asked = texts.iter().map(|text| match ask(text, options) {
                // What was mistyped is for the one who typed it; what is not there is an answer.
                Err(it) if it.kind() != Kind::Usage => {
                    let name = StoreName { kind: String::new(), name: text.clone() };
                    Ok(Asked { side: None, name, settings: Vec::new(), store: Err(it) })
                }
                asked => asked,
            });
            return Ok((None, asked.collect::<Result<_>>()?));
        }
    };
    let (plan, text) = read_plan(Path::new(path), colour)?;
    let sides = [("source", &plan.source), ("target", &plan.target)];
    let asked = sides.map(|(side, it)| ask_of_plan(&plan, it, options).map(|it| Asked { side: Some(side), ..it }));
    let asked = asked.into_iter().collect::<Result<_>>()?;
    Ok((Some(Planned { plan, text }), asked))
}

/// The target of a plan, opened for reading, and what it is called. No store, where it is not there yet and its schema says what
/// will be made: a file that does not exist, or a database without the schemas that the plan names.
///
/// # Errors
/// If it cannot be read: what cannot be reached is not what is not there.
pub(super) fn target_if_there(plan: &Plan, options: &store::Options) -> Result<(StoreName, Option<Box<dyn Source>>)> {
    let target = &plan.target;
    let path = target.path.as_ref().map(|it| plan.resolve(it));
    if target.schema.is_some() && path.is_some_and(|it| matches!(it.try_exists(), Ok(false))) {
        return Ok((name(target), None));
    }
    let mut opened = of_plan(plan, target, options)?;
    if target.schema.is_some()
        && target.settings.contains_key("schemas")
        && let Err(error) = opened.store.tables()
    {
        return if error.kind() == Kind::Plan { Ok((opened.name, None)) } else { Err(error) };
    }
    Ok((opened.name, Some(opened.store)))
}

/// The target of a plan, or, where it is not there yet, an empty one made of its schema: enough to check columns and types.
///
/// # Errors
/// As [`target_if_there`], and if the schema cannot be read.
pub(super) fn target_or_schema(plan: &Plan, options: &store::Options) -> Result<Opened> {
    let (name, there) = target_if_there(plan, options)?;
    let store = match (there, &plan.target.schema) {
        (Some(there), _) => there,
        (None, None) => return Err(Error::new(Kind::Store, "the target is not there")),
        (None, Some(schema)) => {
            let (_, options) = place(plan, &plan.target, options)?;
            let schemas = Schemas { read: options.settings.texts("schemas").to_vec(), ..Schemas::default() };
            store::declared(&plan.target.kind, &plan.resolve(schema), &schemas)?.store
        }
    };
    Ok(Opened { store, name })
}

/// What a report calls a store of a plan.
pub(super) fn name(endpoint: &Endpoint) -> StoreName {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_on_the_command_line() {
        let secret = [
            "postgres://u:pw@host/db",
            "postgres://u:p/w?#@host/db",
            "postgresql://host/db?user=u&password=pw",
            "postgres:host=h password=pw",
            "postgres://host/db?sslPassword=pw",
            "https://token@host/x",
            "https://host/x?access_token=t",
            "https://host/x?API-Key=t",
            "https://edge-config.example/ecfg_1?token=t",
            "edge-config:https://edge-config.example/ecfg_1?token=t",
        ];
        let plain = [
            "postgres://u@host:5432/db?sslmode=require",
            "postgres:",
            "https://host:8443/x?page=2",
            "token=1.csv",
            "csv:password=1.csv",
            "d1:shop",
            "env:DATABASE_URL",
        ];
        for (text, expect) in secret.map(|it| (it, true)).into_iter().chain(plain.map(|it| (it, false))) {
            assert_eq!(holds_secret(text), expect, "{text}");
        }
    }

    #[test]
    fn names_hold_no_secret() {
        for (text, kind, name) in [
            ("postgres://u:pw@host:5432/db?sslmode=require", "postgres", "postgres://host:5432/db"),
            ("postgres://u:p/w?#@host/db", "postgres", "postgres://…"),
            ("postgres:password=pw", "postgres", ""),
            ("https://host/x?token=t", "http", "https://host/x"),
            ("edge-config:https://host/ecfg_1?token=t", "edge-config", "https://host/ecfg_1"),
            ("d1:shop", "d1", "shop"),
            ("csv:data.txt", "csv", "data.txt"),
        ] {
            let named = Named::new(text).expect(text);
            assert_eq!((named.kind.as_str(), named.name.as_str()), (kind, name), "{text}");
            let written = format!("{:?}", named.settings(Some("STORE")));
            assert!(!written.contains("pw") && !written.contains("=t"), "{written}");
        }
        assert!(Named::new("ftp://host/x").is_err());
    }
}
