//! `export`: rows in other formats, each read back as the rows that they were.

use super::{
    command::{Done, names, run},
    support::Folder,
};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    process::Command,
};

const SHOP: &str = r#"
    CREATE TABLE users (email TEXT NOT NULL UNIQUE, id INTEGER PRIMARY KEY, token TEXT, joined TIMESTAMP, doc JSON, ok BOOLEAN);
    INSERT INTO users VALUES ('a,"b"@example.test', 1, 's3cret-one', '2026-01-01 10:00:00', '{"b":1e5,"a":[1.50]}', 1),
        ('it''s', 2, NULL, NULL, NULL, 0);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, price DECIMAL, count INTEGER);
    INSERT INTO orders VALUES (9007199254740993, '1.50', NULL), (2, NULL, -5);"#;

const ODD: &str = "
    CREATE TABLE odd (id INTEGER PRIMARY KEY, any, real REAL, bytes BLOB, text TEXT, number DECIMAL);
    INSERT INTO odd VALUES (1, 1, 0.1 + 0.2, x'00ff', 'a' || char(0) || 'b', 'no number'), (2, '1', 9e999, NULL, '', 1),
        (3, 1.0, 5e-324, x'', 'x' || char(27, 13, 10), 123456.789);
    CREATE TABLE loose (a, b); INSERT INTO loose VALUES (1, NULL), (1, NULL), (NULL, 'x');";

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32, says: &str) -> Done {
    let done = run(folder, arguments);
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    assert!(format!("{}{}", done.stdout, done.stderr).contains(says), "{}{}", done.stdout, done.stderr);
    done
}

fn mode(folder: &Folder, name: &str) -> u32 {
    fs::metadata(folder.path(name)).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn files_of_each_format_hold_the_same_rows() {
    let folder = Folder::new();
    folder.sqlite("shop.db", SHOP);
    for format in ["json", "ndjson", "csv"] {
        let extra: &[&str] = if format == "csv" { &["--null", "NULL"] } else { &[] };
        let arguments = ["export", "shop.db", "--format", format, "--output", format];
        check(&folder, &[&arguments, extra].concat(), 0, &format!("exported 4 rows of 2 tables to {format}\n"));
        assert_eq!(
            (mode(&folder, format), mode(&folder, &format!("{format}/users.{format}"))),
            (0o700, 0o600),
            "{format}"
        );
        check(&folder, &[&["diff", "shop.db", format], extra].concat(), 0, "PASS");
    }
    check(&folder, &["export", "shop.db", "--format", "json", "--output", "json"], 2, "json is there already");
    let text = fs::read_to_string(folder.path("csv/users.csv")).expect("CSV");
    insta::assert_snapshot!(text, @r#"
    email,id,token,joined,doc,ok
    "a,""b""@example.test",1,s3cret-one,2026-01-01T10:00:00Z,"{""a"":[1.50],""b"":1e5}",true
    it's,2,NULL,NULL,NULL,false
    "#);
    let one = ["export", "shop.db", "--only", "orders", "--format", "ndjson", "--output", "-", "--quiet"];
    let done = check(&folder, &one, 0, "");
    insta::assert_snapshot!(done.stdout, @r#"
    {"id":2,"price":null,"count":-5}
    {"id":9007199254740993,"price":"1.5","count":null}
    "#);
    assert_eq!(done.stderr, "");
}

#[test]
fn a_script_loads_in_the_shell_of_sqlite() {
    let folder = Folder::new();
    for (name, rows, statements) in [("shop", 4, SHOP), ("odd", 6, ODD)] {
        folder.sqlite(&format!("{name}.db"), statements);
        let (script, made) = (format!("{name}.sql"), format!("{name}-again.db"));
        let says = format!("exported {rows} rows of 2 tables to {script}\n");
        check(&folder, &["export", &format!("{name}.db"), "--format", "sql", "--output", &script], 0, &says);
        let input = File::open(folder.path(&script)).expect("a script");
        let done = Command::new("sqlite3").arg("-bail").arg(folder.path(&made)).stdin(input).output();
        let done = done.expect("sqlite3 runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        check(&folder, &["diff", &format!("{name}.db"), &made], 0, "PASS");
    }
    let text = fs::read_to_string(folder.path("shop.sql")).expect("SQL");
    insta::assert_snapshot!(text, @r#"
    BEGIN TRANSACTION;
    CREATE TABLE "orders" (
      "id" INTEGER,
      "price" DECIMAL,
      "count" INTEGER,
      PRIMARY KEY ("id")
    );
    INSERT INTO "orders" VALUES (2, NULL, -5);
    INSERT INTO "orders" VALUES (9007199254740993, 1.5, NULL);
    CREATE TABLE "users" (
      "email" TEXT NOT NULL,
      "id" INTEGER,
      "token" TEXT,
      "joined" TIMESTAMP,
      "doc" JSON,
      "ok" BOOLEAN,
      PRIMARY KEY ("id"),
      UNIQUE ("email")
    );
    INSERT INTO "users" VALUES ('a,"b"@example.test', 1, 's3cret-one', '2026-01-01 10:00:00', '{"a":[1.50],"b":1e5}', 1);
    INSERT INTO "users" VALUES ('it''s', 2, NULL, NULL, NULL, 0);
    COMMIT;
    "#);
    let postgres =
        ["export", "shop.db", "--format", "sql", "--dialect", "postgres", "--only", "orders", "--output", "-"];
    insta::assert_snapshot!(check(&folder, &postgres, 0, "").stdout, @r#"
    SET client_encoding = 'UTF8';
    SET standard_conforming_strings = on;
    SET DateStyle = 'ISO, YMD';
    SET IntervalStyle = 'postgres';
    SET TimeZone = 'UTC';
    BEGIN;
    SET CONSTRAINTS ALL DEFERRED;
    CREATE TABLE "orders" (
      "id" BIGINT,
      "price" NUMERIC,
      "count" BIGINT,
      PRIMARY KEY ("id")
    );
    INSERT INTO "orders" VALUES (2, NULL, -5);
    INSERT INTO "orders" VALUES (9007199254740993, '1.5', NULL);
    COMMIT;
    "#);
}

#[test]
fn what_a_format_cannot_hold_is_refused_and_nothing_is_left() {
    let folder = Folder::new();
    folder.sqlite("shop.db", SHOP);
    folder.sqlite("odd.db", ODD);
    let before = names(&folder);
    let refused = |arguments: &[&str], says: &str| {
        check(&folder, &[&["export"], arguments].concat(), 2, says);
        assert_eq!(names(&folder), before, "{arguments:?}");
    };
    refused(
        &["odd.db", "--only", "odd", "--format", "json", "--output", "x"],
        "`bytes` holds bytes or a number that JSON",
    );
    refused(&["odd.db", "--only", "odd", "--format", "csv", "--output", "x"], "column `bytes` holds bytes, which CSV");
    refused(
        &["shop.db", "--only", "users", "--format", "csv", "--output", "x"],
        "rows (1 changed) that CSV cannot hold",
    );
    refused(
        &["odd.db", "--format", "sql", "--dialect", "postgres", "--output", "x"],
        "column `any` holds values that no one type",
    );
    refused(&["shop.db", "--format", "csv", "--output", "-"], "there are several tables");
    refused(&["shop.db", "--format", "csv", "--only", "nobody", "--output", "x"], "there are: `orders`, `users`");
    refused(&["shop.db", "--format", "csv", "--dialect", "sqlite", "--output", "x"], "--dialect is about --format sql");
    refused(&["shop.db", "--format", "sql", "--null", "x", "--output", "x"], "--null is about --format csv");
}

#[test]
fn what_the_plan_calls_secret_is_masked() {
    let folder = Folder::pair(SHOP, SHOP);
    fs::write(
        folder.path("cutover.toml"),
        "version = 1\nsource = { kind = \"sqlite\", path = \"source.db\" }\ntarget = { kind = \"sqlite\", path = \"target.db\" }\n\
         [[table]]\ninto = \"users\"\ncolumns.id = \".id\"\ncolumns.email = \".email\"\n\
         columns.token = { from = \".token\", secret = true }\n",
    )
    .expect("a plan");
    for store in ["source", "target"] {
        for format in ["json", "ndjson", "csv", "sql"] {
            let arguments =
                ["export", store, "--plan", "cutover.toml", "--only", "users", "--format", format, "--output", "-"];
            let done = check(
                &folder,
                &[&arguments[..], if format == "csv" { &["--null", "-"] } else { &[] }].concat(),
                0,
                "masked: users.token",
            );
            assert!(!done.stdout.contains("s3cret") && done.stdout.contains("********"), "{}", done.stdout);
            let shown = [&arguments[..], &["--reveal"], if format == "csv" { &["--null", "-"] } else { &[] }].concat();
            assert!(check(&folder, &shown, 0, "").stdout.contains("s3cret-one"));
        }
        let other = ["export", store, "--plan", "cutover.toml", "--only", "orders", "--format", "csv", "--output", "-"];
        let done = check(&folder, &other, 0, "exported 2 rows");
        assert!(!done.stderr.contains("masked"), "the secret is another table's: {}", done.stderr);
    }
}
