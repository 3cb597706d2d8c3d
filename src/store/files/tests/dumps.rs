//! Dumps of SQLite and D1.

use super::*;
use crate::store::files::d1_export::{Loaded, load};

fn loaded(sql: &str) -> Result<Loaded, String> {
    let files = Files::new(&[("d.sql", sql.as_bytes())]);
    load(&files.path("d.sql")).map_err(|it| files.plain(&it))
}

fn ask(loaded: &Loaded, sql: &str) -> Vec<String> {
    let mut statement = loaded.connection.prepare(sql).unwrap();
    statement.query_map([], |it| it.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

const DUMP: &str = "PRAGMA defer_foreign_keys=TRUE;
CREATE TABLE IF NOT EXISTS \"d1_migrations\"(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);
INSERT INTO \"d1_migrations\" (\"id\",\"name\") VALUES(1,'0001_init.sql');
-- a comment; with a semicolon and a quote '
CREATE TABLE links (id TEXT PRIMARY KEY, owner REFERENCES users(id), url TEXT CHECK (length(url) > 3), n,
  at TEXT DEFAULT (datetime('now'))) /* ; */ ;
INSERT INTO links (id,owner,url,n,at) VALUES('a','nobody',replace('x\\ny\\n','\\n',char(10)),9007199254740993,NULL);
INSERT INTO \"links\" VALUES('b;''c',NULL,'u',X'00ff','t'),('d',NULL,'',-1.5e3,'');
CREATE TRIGGER touch AFTER INSERT ON links BEGIN
  UPDATE links SET n = CASE WHEN n THEN 1 ELSE 2 END; DELETE FROM links;
END;
CREATE UNIQUE INDEX by_url ON links(lower(url));
CREATE VIEW v AS SELECT * FROM links;
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('d1_migrations',41);
";

#[test]
fn a_dump_becomes_a_database() {
    let loaded = loaded(DUMP).unwrap();
    let rows = "SELECT quote(id) || quote(owner) || quote(url) || quote(n) FROM links ORDER BY id";
    let wanted = ["'a''nobody''x\ny\n'9007199254740993", "'b;''c'NULL'u'X'00FF'", "'d'NULL''-1500.0"];
    assert_eq!(ask(&loaded, rows), wanted);
    assert_eq!(ask(&loaded, "SELECT name || seq FROM sqlite_sequence"), ["d1_migrations41"]);
    let names = "SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1";
    assert_eq!(ask(&loaded, names), ["index by_url", "table d1_migrations", "table links", "view v"]);
    let notes: Vec<_> = loaded.notes.iter().map(|it| it.rsplit('/').next().unwrap()).collect();
    assert_eq!(
        notes,
        [
            "d.sql: this format cannot carry integers beyond 2^53, infinities, NUL, or text with a literal `\\n` exactly",
            "d.sql:7:1: integers of 2^53 and more stand in this dump; they may have been rounded",
            "d.sql:7:1: texts stand in this dump as `replace(...)`; in them a literal `\\n` or `\\r` has become a line break",
            "d.sql: triggers left out, as rows are loaded as they stand: 1",
        ]
    );
    // Nobody else can open it, and nothing is left of it when the process ends in whatever way.
    assert_eq!(loaded.connection.path(), Some(""));
}

#[test]
fn what_sqlite_dumps_itself_is_read() {
    let dump = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE [a b](`x`, \"y;\");\nINSERT INTO \"a b\" VALUES(1,'é');\n\
        ANALYZE sqlite_schema;\nINSERT INTO sqlite_stat1 VALUES('a b',NULL,'1');\nCOMMIT;\n";
    let loaded = loaded(dump).unwrap();
    assert_eq!(ask(&loaded, "SELECT x || \"y;\" FROM \"a b\""), ["1é"]);
    assert_eq!(loaded.notes.len(), 1);
}

#[test]
fn only_integers_that_a_double_cannot_hold_are_warned_of() {
    let cases = [
        ("9007199254740991", false),
        ("9007199254740992", true),
        ("-9223372036854775808", true),
        ("18446744073709551616", true),
        ("0.33333333333333331483", false),
        ("33333333333333331483.0", false),
        ("1e999", false),
        ("'9007199254740993'", false),
    ];
    for (value, wanted) in cases {
        let loaded = loaded(&format!("CREATE TABLE t(a);INSERT INTO t VALUES({value});")).unwrap();
        assert_eq!(loaded.notes.iter().any(|it| it.contains("2^53 and more")), wanted, "{value}");
    }
}

#[test]
fn statements_that_no_dump_needs_are_refused() {
    let only = "a dump has only CREATE TABLE, INDEX and VIEW and INSERT INTO";
    let literal = "a dump inserts literal rows, not what a query gives";
    let conflict = "a dump does not forgive conflicts, as rows would be lost";
    let cases = [
        ("ATTACH '/etc/passwd' AS x;", format!("`ATTACH '/etc/passwd' AS` is refused: {only}")),
        ("SELECT load_extension('x');", format!("`SELECT load_extension('x')` is refused: {only}")),
        ("DROP TABLE t;", format!("`DROP TABLE t` is refused: {only}")),
        ("DELETE FROM t;", format!("`DELETE FROM t` is refused: {only}")),
        ("UPDATE t SET a = 1;", format!("`UPDATE t SET` is refused: {only}")),
        ("PRAGMA writable_schema=ON;", format!("`PRAGMA writable_schema=ON` is refused: {only}")),
        ("PRAGMA journal_mode=WAL;", format!("`PRAGMA journal_mode=WAL` is refused: {only}")),
        ("VACUUM INTO '/tmp/x';", format!("`VACUUM INTO '/tmp/x'` is refused: {only}")),
        ("REPLACE INTO t VALUES(1);", format!("`REPLACE INTO t` is refused: {only}")),
        ("INSERT OR IGNORE INTO t VALUES(1);", format!("`INSERT OR IGNORE` is refused: {only}")),
        ("EXPLAIN INSERT INTO t VALUES(1);", format!("`EXPLAIN INSERT INTO` is refused: {only}")),
        ("INSERT INTO t SELECT 1;", format!("`INSERT INTO t` is refused: {literal}")),
        ("INSERT INTO t WITH RECURSIVE x(a) AS (VALUES(1)) TABLE x;", format!("`INSERT INTO t` is refused: {literal}")),
        ("INSERT INTO t VALUES(1) ON CONFLICT DO NOTHING;", format!("`INSERT INTO t` is refused: {conflict}")),
        (
            "CREATE TABLE u AS SELECT 1;",
            "`CREATE TABLE u` is refused: a dump does not make tables from queries".to_owned(),
        ),
        ("CREATE TEMP TABLE u(a);", "`CREATE TEMP TABLE` is refused: a dump has no temporary tables".to_owned()),
        (
            "CREATE VIRTUAL TABLE u USING fts5(a);",
            "`CREATE VIRTUAL TABLE` is refused: a virtual table cannot be loaded from a dump; drop it and export again"
                .to_owned(),
        ),
        (
            "ROLLBACK; -- due to errors",
            "`ROLLBACK` is refused: whoever wrote this dump met an error and gave up; export again".to_owned(),
        ),
        (
            "INSERT INTO t VALUES(load_extension('x'));",
            "SQLite refuses `INSERT INTO t`: not authorized to use function: load_extension".to_owned(),
        ),
        (
            "INSERT INTO t VALUES(randomblob(9));",
            "SQLite refuses `INSERT INTO t`: not authorized to use function: randomblob".to_owned(),
        ),
        (
            "INSERT INTO sqlite_schema VALUES(1,2,3,4,5);",
            "SQLite refuses `INSERT INTO sqlite_schema`: not authorized".to_owned(),
        ),
        ("INSERT INTO t VALUES(1 IN t);", "SQLite refuses `INSERT INTO t`: access to t.a is prohibited".to_owned()),
        (
            "INSERT INTO t VALUES(1,2);",
            "SQLite refuses `INSERT INTO t`: table t has 1 columns but 2 values were supplied".to_owned(),
        ),
        ("INSERT INTO t VALUES(Infinity);", "SQLite refuses `INSERT INTO t`: no such column: Infinity".to_owned()),
        ("INSERT INTO t VALUES('a'", "expected the `;` that ends this statement, found the end of the file".to_owned()),
        ("INSERT INTO t VALUES('a);", "a quote is opened here and never closed".to_owned()),
        ("INSERT INTO t VALUES('a\0b');", "".to_owned()),
        (
            "CREATE TRIGGER x BEGIN SELECT 1;",
            "expected the `;` that ends this statement, found the end of the file".to_owned(),
        ),
    ];
    for (sql, wanted) in cases {
        let error = loaded(&format!("CREATE TABLE t(a);\n\n{sql}")).unwrap_err();
        let (place, what) = error.split_once(": ").unwrap();
        assert!(place.starts_with("d.sql:3:"), "{sql}: {error}");
        assert!(what.starts_with(&wanted), "{sql}: {error}");
    }
    assert_eq!(loaded("-- nothing\n").unwrap_err(), "d.sql: no CREATE TABLE in it, so no dump");
    assert_eq!(loaded("/* never closed").unwrap_err(), "d.sql: no CREATE TABLE in it, so no dump");
    assert_eq!(files_error("missing.sql"), "missing.sql: no such file");
}

fn files_error(name: &str) -> String {
    let files = Files::new(&[]);
    files.plain(&load(&files.path(name)).unwrap_err())
}

#[test]
fn a_line_cannot_make_gigabytes() {
    let long = |it: usize| "a".repeat(it);
    let value = format!("replace(replace('{}','a','{}'),'a','{}')", long(1000), long(1000), long(60));
    let bomb = format!("CREATE TABLE t(a);\n{}", format!("INSERT INTO t VALUES({value});\n").repeat(9));
    assert_eq!(loaded(&bomb).unwrap_err(), "d.sql:3:1: SQLite refuses `INSERT INTO t`: database or disk is full");
    let now = "CREATE TABLE t(a, b DEFAULT (datetime('now')));\nINSERT INTO t(a) VALUES(1);";
    let wanted = "d.sql:2:1: SQLite refuses `INSERT INTO t(a)`: not authorized to use function: datetime";
    assert_eq!(loaded(now).unwrap_err(), wanted);
}

/// No cut of a good dump makes the reader panic or hang.
#[test]
fn every_cut() {
    for at in (0..DUMP.len()).step_by(7) {
        let _ = loaded(&DUMP[..at]);
    }
}
