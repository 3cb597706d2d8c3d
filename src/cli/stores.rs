//! Opens stores, as the command line or a plan names them.

use crate::{
    error::{Error, Kind, Result},
    plan::{self, Endpoint, Plan},
    report::StoreName,
    run::prepare::Opened,
    store::{self, files::FileOptions},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The kinds of store that a path can name.
const KINDS: [&str; 7] = ["sqlite", "d1-export", "json", "ndjson", "csv", "edge-config-export", "snapshot"];

/// How large a plan or an .env file may be.
const TEXT_MAX: u64 = 4 << 20;

/// Opens what the command line calls PATH or KIND:PATH.
///
/// # Errors
/// If it is not there, or nothing that is known.
pub(super) fn open(text: &str, options: &store::Options) -> Result<Opened> {
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Error::new(
            Kind::Usage,
            format_args!("{scheme}: live stores cannot be read yet; export it to a file first"),
        ));
    }
    let named = text.split_once(':').filter(|it| KINDS.contains(&it.0));
    let (kind, path) = match named {
        Some((kind, path)) => (kind, Path::new(path)),
        None => (store::sniff(Path::new(text))?, Path::new(text)),
    };
    let store = store::open(kind, path, options)?;
    Ok(Opened { store, name: StoreName { kind: kind.to_owned(), name: path.display().to_string() } })
}

/// Opens a store of a plan.
///
/// # Errors
/// If it is not there, or of a kind that cannot be read.
pub(super) fn of_plan(plan: &Plan, endpoint: &Endpoint) -> Result<Opened> {
    let Some(path) = &endpoint.path else {
        return Err(unreadable(endpoint));
    };
    let files = FileOptions {
        null: endpoint.null.clone(),
        delimiter: endpoint.delimiter,
        types: endpoint.types.clone(),
        ..FileOptions::default()
    };
    let store = store::open(&endpoint.kind, &plan.resolve(path), &store::Options { files, views: endpoint.views })?;
    Ok(Opened { store, name: name(endpoint) })
}

/// The target of a plan, or, where it is not there yet, an empty one made of its schema: enough to check columns and types.
///
/// # Errors
/// If neither can be read.
pub(super) fn target_or_schema(plan: &Plan) -> Result<Opened> {
    match (of_plan(plan, &plan.target), &plan.target.schema) {
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

fn unreadable(endpoint: &Endpoint) -> Error {
    Error::new(Kind::Plan, format_args!("stores of the kind `{}` cannot be read yet", endpoint.kind))
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
    let files = variables(path)?;
    #[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
    let lookup = |name: &str| std::env::var(name).ok().or_else(|| files.get(name).cloned());
    let shown = path.display().to_string();
    match plan::parse(&text, &shown, &lookup) {
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

/// What `.env` and `.env.local` beside the plan say; the latter wins.
fn variables(plan: &Path) -> Result<BTreeMap<String, String>> {
    let folder = plan.parent().map_or_else(PathBuf::new, Path::to_owned);
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
