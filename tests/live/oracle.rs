//! What the vendors' own clients read in the stores of the guides, all rows of it, and what the sources make of that by the words
//! of others: `psql`, or what somebody wrote by hand.

use super::{guide::Guide, guides::DJANGO_TABLES, miniflare, postgres};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What somebody wrote by hand, in the order of its keys.
pub(crate) fn by_hand(fixture: &str) -> Vec<Value> {
    fixture.lines().map(|it| serde_json::from_str(it).expect("a row")).collect()
}

/// All rows of these tables of D1, as `wrangler` shows them.
pub(crate) fn d1(guide: &Guide, name: &str, tables: &[&str]) -> Vec<Vec<Value>> {
    let all = tables.iter().map(|it| format!("SELECT * FROM {it} ORDER BY 1")).collect::<Vec<_>>().join("; ");
    let output = guide.shell(&format!("wrangler d1 execute {name} --remote --json --command '{all}'"));
    let failed = |it| panic!("{it}: {}", String::from_utf8_lossy(&output.stderr));
    let answer: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(failed);
    answer.iter().map(|it| it["results"].as_array().expect("rows").clone()).collect()
}

/// The columns of Django's tables, parents first. Those behind `@` are times, those behind `#` truth values.
const DJANGO: [&str; 3] = [
    "player_id username name url country location followers @last_online @joined status league #is_streamer #verified \
     #is_playing streaming_platforms",
    "id email player_id @created_at #is_active",
    "id subscription_id @sent_at notification_type #success error_message",
];

/// All rows of Django's tables as `psql` gives them, spelled as the guide wants D1 to hold them.
pub(crate) fn django(source: &postgres::Database) -> Vec<Vec<Value>> {
    let column = |it: &str| match (it.strip_prefix('@'), it.strip_prefix('#')) {
        (Some(it), _) => {
            let digits = format!("to_char({it} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')");
            format!("rtrim(rtrim({digits}, '0'), '.') AS {it}")
        }
        (_, Some(it)) => format!("{it}::int AS {it}"),
        _ => it.to_owned(),
    };
    let rows = |(table, columns): (&&str, &str)| {
        let columns = columns.split_whitespace().map(column).collect::<Vec<_>>().join(", ");
        let rows = source.execute(&format!("SELECT json_agg(t) FROM (SELECT {columns} FROM {table} ORDER BY 1) AS t"));
        serde_json::from_str(&rows).expect("rows")
    };
    DJANGO_TABLES.iter().zip(DJANGO).map(rows).collect()
}

/// The same rows with the documents in their texts read.
pub(crate) fn with_documents(mut tables: Vec<Vec<Value>>, column: &str) -> Vec<Vec<Value>> {
    for cell in tables.iter_mut().flatten().filter_map(|it| it.get_mut(column)) {
        *cell = serde_json::from_str(cell.as_str().expect("a text")).expect("a document");
    }
    tables
}

/// The tables of the key-value table: what its records are, and what the guide makes of them.
const RECORDS: [(&str, &str, &str); 6] = [
    (
        "clients",
        "client:",
        "(value ->> 'id')::uuid, btrim(value ->> 'name'), btrim(value ->> 'contactEmail'),
         coalesce(value ->> 'status', 'active'), btrim(value ->> 'clientCode'), (value ->> 'createdAt')::timestamptz,
         coalesce(value ->> 'updatedAt', value ->> 'createdAt')::timestamptz",
    ),
    (
        "catalogs",
        "catalogs:",
        "(value ->> 'id')::uuid, btrim(value ->> 'name'), value ->> 'type', coalesce(value ->> 'status', 'draft'),
         coalesce(value -> 'settings', '{}')",
    ),
    (
        "sites",
        "site:",
        "(value ->> 'id')::uuid, (value ->> 'clientId')::uuid, (value ->> 'catalogId')::uuid, btrim(value ->> 'name'),
         value ->> 'slug', coalesce(value -> 'branding', '{}')",
    ),
    (
        "products",
        "gift:",
        "(value ->> 'id')::uuid, (value ->> 'catalogId')::uuid, btrim(value ->> 'sku'), btrim(value ->> 'name'),
         coalesce(value ->> 'description', ''), (value ->> 'price')::numeric, coalesce(value -> 'images', '[]')",
    ),
    (
        "employees",
        "employee:",
        "replace(key, 'employee:', '')::uuid, (value ->> 'siteId')::uuid, btrim(value ->> 'employeeId'),
         btrim(value ->> 'email')",
    ),
    (
        "orders",
        "order:",
        "(value ->> 'id')::uuid, (value ->> 'clientId')::uuid, (value ->> 'siteId')::uuid, (value ->> 'productId')::uuid,
         (value ->> 'employeeId')::uuid, value ->> 'orderNumber', btrim(value ->> 'customerEmail'),
         coalesce(value ->> 'status', 'pending'), coalesce((value ->> 'totalAmount')::numeric, 0),
         coalesce(value -> 'items', '[]'), (value ->> 'createdAt')::timestamptz",
    ),
];

/// How many rows there are in the tables of the key-value table, and those that are on one side alone, as `psql` sees both.
pub(crate) fn records(database: &postgres::Database, source: &str) -> (usize, String) {
    let (mut count, mut others) = (0, String::new());
    for (table, prefix, columns) in RECORDS {
        let records =
            format!("SELECT {columns} FROM {source} WHERE starts_with(key, '{prefix}') AND key <> 'catalogs:all'");
        others += &database.execute(&either(&format!("TABLE {table}"), &records));
        count += database.execute(&format!("SELECT count(*) FROM {table}")).parse::<usize>().expect("a number");
    }
    (count, others)
}

/// Rows that only one of two queries gives.
fn either(one: &str, other: &str) -> String {
    format!("(({one}) EXCEPT ALL ({other})) UNION ALL (({other}) EXCEPT ALL ({one}))")
}

/// The tables of localStorage without their ids, and what the guide makes of `stored`, a table of keys and documents.
const STORED: [(&str, &str); 5] = [
    (
        "SELECT title, description, status, user_id, created_at, updated_at FROM tasks",
        "SELECT t ->> 'title', t ->> 'description',
           CASE t ->> 'status' WHEN 'todo' THEN 'pending' WHEN 'in-progress' THEN 'in_progress' ELSE 'completed' END, 'user-mira',
           (t ->> 'createdAt')::timestamptz, coalesce(t ->> 'updatedAt', t ->> 'createdAt')::timestamptz
         FROM stored, jsonb_array_elements(value -> 'state' -> 'tasks') AS t WHERE key = 'task-store'",
    ),
    (
        "SELECT name, description, config, is_active, user_id, created_at, updated_at, schema_version FROM environments",
        "SELECT e ->> 'name', e ->> 'description', coalesce(e -> 'config', '{}'), coalesce((e ->> 'isActive')::boolean, false),
           'user-mira', '2026-01-18 00:00:00Z'::timestamptz, '2026-01-18 00:00:00Z'::timestamptz, 1
         FROM stored, jsonb_array_elements(value -> 'state' -> 'environments') AS e WHERE key = 'environments'",
    ),
    (
        "SELECT key, data, user_id FROM form_data",
        "SELECT key, value, 'user-mira' FROM stored WHERE key ~ 'form|draft|temp'",
    ),
    (
        "SELECT user_id, data FROM user_preferences",
        "SELECT 'user-mira', value FROM stored WHERE key = 'user-preferences'",
    ),
    (
        "SELECT key, value, user_id FROM custom_data",
        "SELECT key, value, 'user-mira' FROM stored
         WHERE key !~ '^(task-store|environments|user-preferences)$' AND key !~ 'form|draft|temp'",
    ),
];

/// The rows of the tables of localStorage and of what was stored that are on one side alone, as `psql` sees both.
pub(crate) fn stored(database: &postgres::Database, stored: &BTreeMap<String, String>) -> String {
    // What is no JSON is a text.
    let document = |it: &str| serde_json::from_str(it).unwrap_or_else(|_| Value::from(it));
    let all: Value = stored.iter().map(|(key, value)| (key.clone(), document(value))).collect();
    let with = format!("WITH stored AS (SELECT * FROM jsonb_each($stored${all}$stored$))");
    STORED.iter().map(|(table, source)| database.execute(&format!("{with} {}", either(table, source)))).collect()
}

/// All entries of a namespace, as Cloudflare's own client gives them: key, value, metadata, expiration.
pub(crate) fn entries(namespace: &miniflare::Namespace) -> Vec<Value> {
    let miniflare::Namespace { api, account, id, token, .. } = namespace;
    let output = miniflare::node("kv-client.mjs").args([api, account, id, token]).output().expect("node");
    let failed = |it| panic!("{it}: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(failed);
    let entry = |listed: &Value| {
        let key = listed["name"].as_str().expect("a key");
        let read = &seen["bulk"][key];
        let value: Value = serde_json::from_str(read["value"].as_str().expect("a value")).expect("a document");
        json!({"key": key, "value": value, "metadata": read["metadata"], "expiration": listed["expiration"]})
    };
    seen["keys"].as_array().expect("keys").iter().map(entry).collect()
}
