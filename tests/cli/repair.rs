//! `repair`: patches that bring a target to what the source says, and back, and a run that does it.

use super::{
    command::{Done, contents, run},
    support::Folder,
};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    process::Command,
};

const SOURCE: &str = r#"
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER, email TEXT, seen TEXT, score REAL, photo BLOB, price DECIMAL);
    INSERT INTO teams VALUES (1, 'red'), (2, 'it''s "so"'), (3, 'a' || char(10) || 'b' || char(27) || 'c');
    INSERT INTO people VALUES (1, 1, 'mira@example.test', '2026-01-01T10:00:00Z', 0.1 + 0.2, x'00ff27', '10.50'),
        (2, 2, 'bo@example.test', NULL, 1e300, NULL, NULL), (3, 3, '', '2026-01-03T10:00:00Z', -2.5e-310, x'', '0.1');"#;

const SCHEMA: &str = "
    CREATE TABLE members (id INTEGER PRIMARY KEY, team_id INTEGER NOT NULL REFERENCES teams (id), email TEXT UNIQUE,
        seen TIMESTAMP, note TEXT, score REAL, photo BLOB, price TEXT);
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT NOT NULL);";

/// Two rows differ, three are missing, and one is too many. `bo@` belongs to another row by now.
const THERE: &str = "
    INSERT INTO teams VALUES (1, 'red'), (2, 'old');
    INSERT INTO members VALUES (1, 1, 'bo@example.test', '2026-01-01 10:00:00', 'kept', 0.3, NULL, '10.5'),
        (7, 2, 'only@example.test', NULL, NULL, NULL, NULL, NULL);";

const PLAN: &str = r#"
version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db" }

[[table]]
into = "members"
from = "people"
columns.id = ".id"
columns.team_id = ".team"
columns.email = ".email"
columns.seen = ".seen"
columns.score = ".score"
columns.photo = ".photo"
columns.price = ".price"

[[table]]
into = "teams"

[gate]
unpaired = ["members.note"]
extra = { members = 1 }
"#;

fn folder() -> Folder {
    let folder = Folder::pair(SOURCE, &format!("{SCHEMA}{THERE}"));
    fs::copy(folder.path("target.db"), folder.path("before.db")).expect("a copy");
    fs::write(folder.path("cutover.toml"), PLAN).expect("a plan");
    folder
}

/// Runs a script in the vendor's own shell, with references enforced.
fn sqlite3(folder: &Folder, script: &str) {
    let input = File::open(folder.path(script)).expect("a script");
    let mut shell = Command::new("sqlite3");
    shell.args(["-bail", "-cmd", "PRAGMA foreign_keys = ON"]).arg(folder.path("target.db")).stdin(input);
    let done = shell.output().expect("sqlite3 runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32) -> Done {
    let done = run(folder, arguments);
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    done
}

fn is_as_before(folder: &Folder) {
    check(folder, &["diff", "before.db", "target.db"], 0);
}

#[test]
fn a_patch_of_sql_and_its_undo() {
    let folder = folder();
    let before = contents(&folder);
    let looked = check(&folder, &["repair"], 1);
    assert_eq!(contents(&folder), before, "a preview writes to no store");
    insta::assert_snapshot!(looked.stdout, @r#"
    -- sqlite target.db by cutover.toml: what the mapped source says
    -- sqlite3 -bail FILE < PATCH
    BEGIN;
    PRAGMA defer_foreign_keys = on;
    -- teams: 1 to update, 1 to insert
    UPDATE "teams" SET "name" = 'it''s "so"' WHERE "id" IS 2;
    INSERT INTO "teams" ("id", "name") SELECT 3, CAST(x'610a621b63' AS TEXT) WHERE NOT EXISTS (SELECT 1 FROM "teams" WHERE "id" IS 3);
    -- members: 1 to update, 2 to insert
    UPDATE "members" SET "email" = 'mira@example.test', "score" = (CAST(1351079888211149 AS REAL) / CAST(4503599627370496 AS REAL)), "photo" = x'00ff27' WHERE "id" IS 1;
    INSERT INTO "members" ("id", "team_id", "email", "seen", "score", "photo", "price") SELECT 2, 2, 'bo@example.test', NULL, (CAST(6724873095247260 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(4611686018427387904 AS REAL) * CAST(16384 AS REAL)), NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM "members" WHERE "id" IS 2);
    INSERT INTO "members" ("id", "team_id", "email", "seen", "score", "photo", "price") SELECT 3, 3, '', '2026-01-03 10:00:00', (CAST(-12650140831707 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(4611686018427387904 AS REAL) / CAST(262144 AS REAL)), x'', '0.1' WHERE NOT EXISTS (SELECT 1 FROM "members" WHERE "id" IS 3);
    COMMIT;
    "#);
    assert!(
        looked.stderr.starts_with("WOULD    insert 3, update 2, skip 0; 1 are the same already\n"),
        "{}",
        looked.stderr
    );
    let said = "members: 1 rows that only the target has are left as they are: id=7\n";
    assert!(looked.stderr.contains(said), "{}", looked.stderr);
    assert!(looked.stderr.ends_with("next: cutover repair cutover.toml --apply\n"), "{}", looked.stderr);

    let done = check(&folder, &["repair", "--output", "patch.sql", "--undo", "undo.sql"], 1);
    assert!(done.stdout.contains("the patch is in patch.sql\nthe patch back is in undo.sql\n"), "{}", done.stdout);
    assert_eq!(fs::read_to_string(folder.path("patch.sql")).expect("a patch"), looked.stdout);
    let mode = fs::metadata(folder.path("patch.sql")).expect("a patch").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    sqlite3(&folder, "patch.sql");
    check(&folder, &["verify"], 0);
    sqlite3(&folder, "patch.sql");
    check(&folder, &["verify"], 0);
    let nothing = check(&folder, &["repair"], 0);
    assert!(nothing.stdout.contains("Nothing is to be repaired, and nothing was written.\n"), "{}", nothing.stdout);
    sqlite3(&folder, "undo.sql");
    is_as_before(&folder);
}

#[test]
fn a_repair_that_is_applied_can_be_rolled_back() {
    let folder = folder();
    let some = check(&folder, &["repair", "--only", "teams", "--auto-fix", "--format", "json"], 0).json();
    assert_eq!((&some["verb"], &some["tables"][0]["inserted"]), (&json!("repair"), &json!(1)), "{some}");
    let done = check(&folder, &["repair", "--apply", "--undo", "undo.sql"], 0);
    assert!(done.stdout.starts_with("DONE     2 inserted, 1 updated, 0 refused by the target\n"), "{}", done.stdout);
    assert!(
        done.stdout.contains("next: cutover verify cutover.toml    and to undo it: cutover rollback"),
        "{}",
        done.stdout
    );
    check(&folder, &["verify"], 0);
    check(&folder, &["repair", "--apply"], 0);
    for _ in 0..2 {
        check(&folder, &["rollback", "--confirm"], 0);
    }
    is_as_before(&folder);
}

#[test]
fn what_cannot_be_repaired_is_said() {
    let folder = folder();
    let refused = |plan: String, arguments: &[&str], code: i32, says: &str| {
        fs::write(folder.path("cutover.toml"), plan).expect("a plan");
        let done = check(&folder, &[&["repair"], arguments].concat(), code);
        assert!(format!("{}{}", done.stdout, done.stderr).contains(says), "{}{}", done.stdout, done.stderr);
    };
    let secret = PLAN.replace("columns.email = \".email\"", "columns.email = { from = \".email\", secret = true }");
    refused(secret.clone(), &[], 2, "the plan has secret columns");
    refused(secret, &["--output", "secret.sql"], 1, "the patch is in secret.sql");
    refused(PLAN.to_owned(), &["--format", "json"], 2, "name a file for the patch with --output");
    refused(PLAN.to_owned(), &["--only", "nobody"], 2, "is called `nobody`");
    let rejects = PLAN.replace("columns.email = \".email\"", "columns.email = { from = \".email\", matches = \"@\" }");
    refused(rejects.clone(), &["--apply"], 1, "members: rejects 1 > 0");
    let partial = ["--output", "partial.sql"];
    refused(rejects, &partial, 1, "the patch is without 1 rows that the mapping refuses");
    let text = fs::read_to_string(folder.path("partial.sql")).expect("a patch");
    assert!(text.contains("\n-- without 1 rows that the mapping refuses\n"), "{text}");
    refused(PLAN.to_owned(), &partial, 2, "partial.sql is there already");
    refused(PLAN.to_owned(), &["--output", "one.sql", "--undo", "one.sql"], 2, "--output and --undo name one file");
    refused(PLAN.to_owned(), &["--apply", "--undo", "nowhere/undo.sql"], 2, "nowhere");
    let ids = PLAN.replace("into = \"teams\"", "into = \"teams\"\non_clash = \"new-id\"");
    refused(ids, &["--only", "members"], 2, "teams: its rows were not given the new ids that `on_clash` wants");
    is_as_before(&folder);
    let schema = PLAN.replace("path = \"target.db\" }", "path = \"new.db\", schema = \"schema.sql\" }");
    fs::write(folder.path("schema.sql"), SCHEMA).expect("a schema");
    refused(schema, &[], 2, "`cutover migrate cutover.toml` makes them");
    assert!(!folder.path("new.db").exists());
}

/// A statement finds a row by its key as the target holds it, and no row beside it.
#[test]
fn keys_are_said_as_they_are_stored() {
    let tables = [
        ("uuids", "uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
        ("numbers", "int", "7", "'7'"),
        ("prices", "decimal", "'1.5'", "'1.50'"),
        ("moments", "timestamp", "'2026-01-01T10:00:00Z'", "'2026-01-01 12:00:00.000+02:00'"),
        ("escapes", "text", "'a' || char(27)", "'a' || char(27)"),
    ];
    let folder = Folder::new();
    let mut plan = "version = 1\nsource = { kind = 'sqlite', path = 'source.db' }\n\
        target = { kind = 'sqlite', path = 'target.db' }\n"
        .to_owned();
    let [mut source, mut target] = [const { String::new() }; 2];
    for (name, ty, ours, theirs) in tables {
        let rows = "('B', 'same'), ('A' || char(27), 'same')";
        let rows = if ty == "text" { format!(", {rows}") } else { String::new() };
        source += &format!("CREATE TABLE {name} (id, v TEXT); INSERT INTO {name} VALUES ({ours}, 'new'){rows};");
        target += &format!(
            "CREATE TABLE {name} (id COLLATE NOCASE, v TEXT); INSERT INTO {name} VALUES ({theirs}, 'old'){rows};"
        );
        plan += &format!(
            "[[table]]\ninto = '{name}'\nkey = ['id']\ncolumns.id = {{ from = '.id', type = '{ty}' }}\ncolumns.v = '.v'\n"
        );
    }
    folder.sqlite("source.db", &source);
    folder.sqlite("target.db", &target);
    folder.sqlite("before.db", &target);
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    check(&folder, &["repair", "--output", "patch.sql", "--undo", "undo.sql"], 1);
    sqlite3(&folder, "patch.sql");
    check(&folder, &["verify"], 0);
    sqlite3(&folder, "undo.sql");
    is_as_before(&folder);
}

/// Rows that refer to each other and to themselves, in tables that delete in cascades.
#[test]
fn what_others_have_put_there_by_then_stays() {
    let tables = "CREATE TABLE p (id TEXT COLLATE NOCASE PRIMARY KEY);
        CREATE TABLE nodes (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES nodes (id),
            twin INTEGER GENERATED ALWAYS AS (parent) STORED REFERENCES nodes (id));";
    let own = "CREATE TABLE other (x TEXT REFERENCES p (id) ON DELETE CASCADE);";
    let rows = "INSERT INTO p VALUES ('A'); INSERT INTO nodes (id, parent) VALUES (1, NULL), (2, 1), (3, 2);";
    let folder = Folder::pair(&format!("{tables}{rows}"), &format!("{tables}{own}"));
    let plan = "version = 1\nsource = { kind = 'sqlite', path = 'source.db' }\n\
        target = { kind = 'sqlite', path = 'target.db' }\ntable = [{ into = 'p' }, { into = 'nodes' }]\n";
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    check(&folder, &["repair", "--output", "patch.sql", "--undo", "undo.sql"], 1);
    folder.sqlite("target.db", "INSERT INTO nodes (id) VALUES (1); INSERT INTO nodes (id, parent) VALUES (3, 1)");
    sqlite3(&folder, "patch.sql");
    let all = |sql: &str| {
        let connection = Connection::open(folder.path("target.db")).expect("the target");
        connection.query_row(sql, [], |it| it.get::<_, Option<String>>(0)).expect("an answer").unwrap_or_default()
    };
    const NODES: &str = "SELECT group_concat(id || ':' || ifnull(parent, '-'), ' ') FROM nodes";
    assert_eq!(all(NODES), "1:- 2:1 3:1", "the parent of their row is theirs");
    // To SQLite it is one, as the key is compared without letter case.
    folder.sqlite("target.db", "INSERT INTO other VALUES ('a')");
    sqlite3(&folder, "undo.sql");
    assert_eq!([all("SELECT group_concat(id) FROM p"), all("SELECT group_concat(x) FROM other")], ["A", "a"]);
}

#[test]
fn rows_that_refer_to_what_comes_later() {
    let tables = "PRAGMA foreign_keys = ON;
        CREATE TABLE nodes (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES nodes (id) ON DELETE CASCADE,
            leaf INTEGER REFERENCES leaves (id) ON DELETE CASCADE, v TEXT);
        CREATE TABLE leaves (id INTEGER PRIMARY KEY, node INTEGER REFERENCES nodes (id) ON DELETE CASCADE);
        CREATE TABLE chain (id INTEGER PRIMARY KEY, next INTEGER NOT NULL REFERENCES chain (id) ON DELETE CASCADE);
        PRAGMA defer_foreign_keys = ON; BEGIN;";
    let rows = "INSERT INTO nodes VALUES (1, 3, 1, 'new'), (2, 3, NULL, 'b'), (3, 3, 2, 'c'), (4, 1, NULL, 'd');
        INSERT INTO leaves VALUES (1, 2), (2, 1);
        INSERT INTO chain VALUES (1, 2), (2, 2); COMMIT;";
    let there = "INSERT INTO nodes VALUES (1, NULL, NULL, 'old'), (4, 4, 1, 'd'); INSERT INTO leaves VALUES (1, 1);
        INSERT INTO chain VALUES (1, 1); COMMIT;";
    let folder = Folder::pair(&format!("{tables}{rows}"), &format!("{tables}{there}"));
    fs::copy(folder.path("target.db"), folder.path("before.db")).expect("a copy");
    let plan = "version = 1\nsource = { kind = 'sqlite', path = 'source.db' }\n\
        target = { kind = 'sqlite', path = 'target.db' }\ntable = [{ into = 'leaves' }, { into = 'nodes' }, { into = 'chain' }]\n";
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    check(&folder, &["repair", "--output", "patch.sql", "--undo", "undo.sql"], 1);
    // The order has to be right also where each reference is enforced at once.
    for path in ["patch.sql", "undo.sql"].map(|it| folder.path(it)) {
        let script = fs::read_to_string(&path).expect("a script");
        fs::write(path, script.replace("PRAGMA defer_foreign_keys = on;\n", "")).expect("a script");
    }
    for _ in 0..2 {
        sqlite3(&folder, "patch.sql");
        check(&folder, &["verify"], 0);
    }
    for _ in 0..2 {
        sqlite3(&folder, "undo.sql");
        is_as_before(&folder);
    }
    sqlite3(&folder, "patch.sql");
    folder.sqlite("target.db", "INSERT INTO leaves VALUES (9, 3)");
    sqlite3(&folder, "undo.sql");
    let left = Connection::open(folder.path("target.db")).expect("the target");
    let left = left.query_row(
        "SELECT group_concat(n.id) FROM nodes AS n, leaves AS l WHERE l.id = 9 AND n.id = 3",
        [],
        |it| it.get::<_, String>(0),
    );
    assert_eq!(left.expect("a row"), "3", "what others refer to by now is left");
}

/// What a line of a patch makes of a row.
fn patched(line: &Value, row: &Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(line["patch"].clone()).expect("a patch");
    let mut row = row.clone();
    json_patch::patch(&mut row, &patch).expect("it applies");
    row
}

#[test]
fn a_patch_of_documents_is_json_patch() {
    let folder = Folder::new();
    fs::write(
        folder.path("source.json"),
        r#"{"items":[{"id":1,"doc":{"a":1,"b":[1,2,3],"c":{"d":"x"}}},{"id":2,"doc":{"n":1.50}}]}"#,
    )
    .expect("a source");
    let there = r#"{"items":[{"id":1,"doc":{"a":1,"b":[1,3],"c":{"d":"x","e":null}}},{"id":9,"doc":null}]}"#;
    fs::write(folder.path("target.json"), there).expect("a target");
    fs::write(
        folder.path("cutover.toml"),
        "version = 1\nsource = { kind = \"json\", path = \"source.json\" }\ntarget = { kind = \"json\", path = \"target.json\" }\n\
         [[table]]\ninto = \"items\"\nkey = [\"id\"]\n[gate]\nextra = 1\n",
    )
    .expect("a plan");
    let done = check(&folder, &["repair", "--undo", "undo.ndjson"], 1);
    let lines = |text: &str| text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect::<Vec<Value>>();
    let patch = lines(&done.stdout);
    let undo = lines(&fs::read_to_string(folder.path("undo.ndjson")).expect("a patch back"));
    let target: Value = serde_json::from_str(there).expect("JSON");
    let source: Value = serde_json::from_slice(&fs::read(folder.path("source.json")).expect("a source")).expect("JSON");
    assert_eq!(patch.len(), 2, "{}", done.stdout);
    for (at, (before, after)) in
        [(&target["items"][0], &source["items"][0]), (&Value::Null, &source["items"][1])].into_iter().enumerate()
    {
        assert_eq!((&patch[at]["table"], &patch[at]["key"]), (&json!("items"), &json!({ "id": at + 1 })));
        assert_eq!(patched(&patch[at], before), *after);
        assert_eq!(patched(&undo[at], after), *before);
    }
    assert_eq!(fs::read_to_string(folder.path("target.json")).expect("a target"), there, "a preview writes nothing");
    check(&folder, &["repair", "--apply"], 0);
    check(&folder, &["verify"], 0);
}
