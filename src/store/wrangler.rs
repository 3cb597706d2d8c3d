//! What `wrangler dev` keeps of D1 and Workers KV on this machine, and where.
//!
//! Below the state folder, which is `.wrangler/state/v3` of a project unless `--persist-to` says otherwise, each database
//! and each namespace is a SQLite file that is named by a keyed hash of its identifier. The identifiers stand in the
//! project's configuration. Both were read off miniflare 4.

use crate::error::{Error, Kind, Result};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// A D1 database.
    D1,
    /// A namespace of Workers KV.
    Kv,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The SQLite file.
    pub file: PathBuf,
    /// The folder of the product, which holds everything else.
    pub folder: PathBuf,
    /// The identifier, where something says it.
    pub id: Option<String>,
}

/// A database or a namespace that the configuration binds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    /// What a person may call it: the binding, and the name of a database.
    names: Vec<String>,
    /// The identifiers under which it may be kept here, in the order in which `wrangler dev` looks.
    ids: Vec<String>,
}

/// The names of a project's configuration, in the order in which wrangler looks for them.
const CONFIGURATIONS: [&str; 3] = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/// How large a configuration may be.
const CONFIGURATION_MAX: u64 = 4 << 20;

impl Product {
    /// The class of the objects that hold the data, which names their folder and is part of the hash.
    fn class(self) -> &'static str {
        match self {
            Product::D1 => "miniflare-D1DatabaseObject",
            Product::Kv => "miniflare-KVNamespaceObject",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Product::D1 => "d1",
            Product::Kv => "kv",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Product::D1 => "D1 database",
            Product::Kv => "KV namespace",
        }
    }

    /// Where the configuration lists them, what names one, and what its identifiers are called, the first that is there first.
    fn keys(self) -> (&'static str, &'static [&'static str], &'static [&'static str]) {
        match self {
            Product::D1 => ("d1_databases", &["binding", "database_name"], &["preview_database_id", "database_id"]),
            Product::Kv => ("kv_namespaces", &["binding"], &["id", "preview_id"]),
        }
    }

    fn file(self, folder: &Path, id: &str) -> PathBuf {
        folder.join(self.class()).join(format!("{}.sqlite", object(self.class(), id)))
    }
}

/// Finds what `name` calls, which is a binding, the name of a database, or an identifier; without it, the only one there is.
///
/// `path` is a project, its configuration, its `.wrangler/state`, or what `--persist-to` named.
///
/// # Errors
/// If nothing is kept there, nothing is called so, or it does not say which one is meant.
pub fn find(path: &Path, product: Product, name: Option<&str>) -> Result<Kept> {
    let shown = path.display();
    let project = if path.is_file() { path.parent().unwrap_or(Path::new("")) } else { path };
    let folder = state(project, product).ok_or_else(|| {
        let what = product.noun();
        let hint = "name the folder of the project, or what `wrangler dev --persist-to` names";
        Error::new(Kind::Store, format_args!("{shown}: no {what} is kept here; {hint}"))
    })?;
    let bound = match configuration(path, project) {
        Some(it) => bound(&it, product)?,
        None => Vec::new(),
    };
    let meant: Vec<&Bound> = match name {
        Some(name) => bound.iter().filter(|it| it.names.iter().chain(&it.ids).any(|it| it == name)).collect(),
        None => bound.iter().collect(),
    };
    let mut ids: Vec<&str> = match (meant.as_slice(), name) {
        ([], _) => Vec::new(),
        ([first, rest @ ..], _) if rest.iter().all(|it| it.ids == first.ids) => {
            first.ids.iter().map(String::as_str).collect()
        }
        (several, _) => return Err(unclear(path, product, several.iter().flat_map(|it| it.names.first()))),
    };
    ids.extend(name.filter(|it| !ids.contains(it)));
    let kept = ids.iter().map(|id| (id, product.file(&folder, id))).find(|it| it.1.is_file());
    if let Some((id, file)) = kept {
        return Ok(Kept { file, id: Some((*id).to_owned()), folder });
    }
    if ids.is_empty() {
        return only(path, product, folder);
    }
    let what = product.noun();
    let name = name.unwrap_or(ids[0]);
    Err(Error::new(
        Kind::Store,
        format_args!("{shown}: no {what} `{name}` is kept here; run `wrangler dev` once, or name another one"),
    ))
}

/// The SQLite files of all that are kept of a product, in the order of their names.
pub fn files(path: &Path, product: Product) -> Vec<PathBuf> {
    let Some(folder) = state(path, product) else { return Vec::new() };
    let entries = fs::read_dir(folder.join(product.class())).into_iter().flatten();
    let mut files: Vec<PathBuf> =
        entries.filter_map(|it| it.ok().map(|it| it.path())).filter(|it| is_object(it)).collect();
    files.sort();
    files
}

/// Whether a file holds an object, and not what miniflare keeps of all of them.
fn is_object(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("sqlite")) && path.file_stem() != Some(OsStr::new("metadata"))
}

/// The only one that is kept, where nobody says which one is meant.
fn only(path: &Path, product: Product, folder: PathBuf) -> Result<Kept> {
    let names = |folder: &Path| -> Vec<String> {
        let entries =
            fs::read_dir(folder).into_iter().flatten().filter_map(|it| it.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    };
    let class = folder.join(product.class());
    let files: Vec<String> = names(&class).into_iter().filter(|it| is_object(Path::new(it))).collect();
    // A namespace keeps its values in a folder of its own, which says its identifier.
    let id_of =
        |file: &str| names(&folder).into_iter().find(|it| format!("{}.sqlite", object(product.class(), it)) == file);
    match files.as_slice() {
        [only] => Ok(Kept { file: class.join(only), id: id_of(only), folder }),
        several => {
            let ids: Vec<String> = several.iter().filter_map(|it| id_of(it)).collect();
            Err(unclear(path, product, ids.iter()))
        }
    }
}

#[cold]
fn unclear<'n>(path: &Path, product: Product, names: impl Iterator<Item = &'n String>) -> Error {
    let names = names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
    let (path, what) = (path.display(), product.noun());
    let names = if names.is_empty() { String::new() } else { format!(": {names}") };
    Error::new(Kind::Store, format_args!("{path}: it does not say which {what} is meant{names}"))
}

/// The folder of a product below a project, its state, or a folder that is one.
fn state(path: &Path, product: Product) -> Option<PathBuf> {
    let below = ["", "v3", ".wrangler/state/v3", ".wrangler/state", "state/v3"];
    let folders = below.iter().map(|it| path.join(it).join(product.folder()));
    folders.into_iter().find(|it| it.join(product.class()).is_dir())
}

/// The configuration of the project that `path` is, or that it lies in.
fn configuration(path: &Path, project: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let absolute = fs::canonicalize(project).ok()?;
    // `.wrangler/state/v3` lies three folders below its project. Other folders have nothing to do with what is above them.
    let within = absolute.ancestors().take(3).position(|it| it.file_name() == Some(OsStr::new(".wrangler")));
    let project = within.map_or(Some(absolute.as_path()), |it| absolute.ancestors().nth(it + 1))?;
    CONFIGURATIONS.iter().map(|it| project.join(it)).find(|it| it.is_file())
}

/// What a configuration binds, in all its environments.
fn bound(path: &Path, product: Product) -> Result<Vec<Bound>> {
    let failed = |it: &dyn std::fmt::Display| Error::new(Kind::Store, format_args!("{}: {it}", path.display()));
    if fs::metadata(path).is_ok_and(|it| it.len() > CONFIGURATION_MAX) {
        return Err(failed(&"it is larger than 4 MiB, so it is no configuration of wrangler"));
    }
    let text = fs::read_to_string(path).map_err(|it| failed(&it))?;
    let root: Map<String, Value> = if path.extension() == Some(OsStr::new("toml")) {
        toml::from_str(&text).map_err(|it| failed(&it.message()))?
    } else {
        serde_json::from_str(&plain(&text)).map_err(|it| failed(&it))?
    };
    let environments = root.get("env").and_then(Value::as_object);
    let parts = environments.into_iter().flat_map(|it| it.values()).filter_map(Value::as_object);
    let (list, names, ids) = product.keys();
    let mut all: Vec<Bound> = Vec::new();
    for part in [&root].into_iter().chain(parts) {
        for entry in part.get(list).and_then(Value::as_array).into_iter().flatten() {
            let texts = |keys: &[&str]| -> Vec<String> {
                keys.iter().filter_map(|it| entry.get(*it)?.as_str()).map(str::to_owned).collect()
            };
            let names = texts(names);
            let mut ids = texts(ids);
            // Without an identifier the binding is one.
            if ids.is_empty() {
                ids.extend(names.first().cloned());
            }
            let one = Bound { names, ids };
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    Ok(all)
}

/// JSON with comments and trailing commas as plain JSON.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut comma = None;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string(rest),
            '/' if rest.starts_with("//") => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = rest[2..].find("*/").map_or("", |it| &rest[it + 4..]);
                continue;
            }
            _ => first.len_utf8(),
        };
        if matches!(first, '}' | ']')
            && let Some(at) = comma
        {
            out.replace_range(at..=at, " ");
        }
        if !first.is_whitespace() {
            comma = (first == ',').then_some(out.len());
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// How long the string literal at the start of `text` is.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The name of the object of that class for that identifier: 16 bytes of a keyed hash, and 16 bytes that vouch for them.
fn object(class: &str, id: &str) -> String {
    let key = Sha256::digest(class.as_bytes());
    let half = |message: &[u8]| -> Vec<u8> {
        // A key of any length is one.
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&key) else { return Vec::new() };
        mac.update(message);
        mac.finalize().into_bytes().iter().take(16).copied().collect()
    };
    let name = half(id.as_bytes());
    let witness = half(&name);
    name.iter().chain(&witness).map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_miniflare_names_them() {
        let check = |class, id, expect| assert_eq!(object(class, id), expect, "{id}");
        check(
            "miniflare-KVNamespaceObject",
            "000000000000000000000000000a0000",
            "98be7fa8dd6cc48636e82ab70baf4e6aa7e4cd6716350febc88ce0171297f1bf",
        );
    }

    #[test]
    fn comments_and_trailing_commas() {
        let check = |text: &str, expect: &str| {
            let expect: Value = serde_json::from_str(expect).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&plain(text)).unwrap(), expect, "{text}");
        };
        check(
            r#"{"a": "x // y /* z */ ,}", /* one */ "b": [1, 2, ], // two
            }"#,
            r#"{"a":"x // y /* z */ ,}","b":[1,2]}"#,
        );
        check(
            r#"{"a": "\\\"//", "b": 1,
            // the end
            }"#,
            r#"{"a":"\\\"//","b":1}"#,
        );
        check(r#"{/*/ "a": 2, */"b":1}"#, r#"{"b":1}"#);
        for broken in ["{\"a\": \"", "/*", "/*/", "//", "{\"a\": \"\\", ",]", "é/"] {
            assert!(serde_json::from_str::<Value>(&plain(broken)).is_err(), "{broken}");
        }
    }

    /// A project with that configuration that keeps objects of these identifiers.
    fn project(name: &str, text: &str, product: Product, ids: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".wrangler/state/v3").join(product.folder());
        fs::create_dir_all(folder.join(product.class())).unwrap();
        fs::write(folder.join(product.class()).join("metadata.sqlite"), "").unwrap();
        for id in ids {
            fs::write(product.file(&folder, id), "").unwrap();
            if product == Product::Kv {
                fs::create_dir_all(folder.join(id).join("blobs")).unwrap();
            }
        }
        if !name.is_empty() {
            fs::write(home.path().join(name), text).unwrap();
        }
        home
    }

    const TOML: &str = r#"
        kv_namespaces = [{ binding = "USERS", id = "u1", preview_id = "u2" }, { binding = "SNAPS" }]
        [[d1_databases]]
        binding = "DB"
        database_name = "shop"
        database_id = "d1"
        [env.staging]
        kv_namespaces = [{ binding = "USERS", id = "u9" }]
    "#;

    #[test]
    fn what_is_kept_is_found_by_any_of_its_names() {
        let kv = project("wrangler.toml", TOML, Product::Kv, &["u1", "SNAPS", "stray"]);
        let d1 = project(
            "wrangler.jsonc",
            r#"{"d1_databases": [{"binding": "DB", "database_name": "shop",
            "database_id": "d1", "preview_database_id": "p1"},]}"#,
            Product::D1,
            &["p1", "d1"],
        );
        let check = |home: &tempfile::TempDir, below: &str, product, name, expect: Result<&str, &str>| {
            let found = find(&home.path().join(below), product, name);
            match (found, expect) {
                (Ok(it), Ok(id)) => assert_eq!(it.id.as_deref(), Some(id), "{name:?}"),
                (Err(it), Err(part)) => assert!(it.to_string().contains(part), "{name:?}: {it}"),
                (found, _) => panic!("{name:?}: {found:?}"),
            }
        };
        check(&kv, "", Product::Kv, Some("u1"), Ok("u1"));
        check(&kv, "", Product::Kv, Some("SNAPS"), Ok("SNAPS"));
        check(&kv, ".wrangler/state", Product::Kv, Some("SNAPS"), Ok("SNAPS"));
        check(&kv, ".wrangler/state/v3", Product::Kv, Some("stray"), Ok("stray"));
        check(&kv, "wrangler.toml", Product::Kv, Some("SNAPS"), Ok("SNAPS"));
        check(&kv, "", Product::Kv, Some("USERS"), Err("which KV namespace is meant: `USERS`, `USERS`"));
        check(&kv, "", Product::Kv, None, Err("which KV namespace is meant: `USERS`, `SNAPS`, `USERS`"));
        check(&kv, "", Product::Kv, Some("nope"), Err("no KV namespace `nope` is kept here"));
        check(&kv, "", Product::D1, None, Err("no D1 database is kept here"));
        check(&d1, "", Product::D1, None, Ok("p1"));
        check(&d1, "", Product::D1, Some("shop"), Ok("p1"));
        check(&d1, "", Product::D1, Some("DB"), Ok("p1"));
        let bare = project("", "", Product::Kv, &["only"]);
        check(&bare, "", Product::Kv, None, Ok("only"));
        let two = project("", "", Product::Kv, &["a", "b"]);
        check(&two, "", Product::Kv, None, Err("which KV namespace is meant"));
        let broken = project("wrangler.json", "{", Product::Kv, &["a"]);
        check(&broken, "", Product::Kv, None, Err("wrangler.json: EOF"));
    }
}
