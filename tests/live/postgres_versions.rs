//! Postgres from 12 to 18, each a private server: what a version has of types, keys and constraints is read as in any other.
//!
//! A database and its copy are the same, and so are a database and its copy in the Postgres that is installed, which is another version.
//! What is planted in a copy is found, and nothing else.

use crate::postgres::{self, Server};
use serde_json::{Value, json};
use std::process::Command;

#[path = "postgres_types.rs"]
mod types;

#[test]
fn postgres_12() {
    Version::of(&Server::of_version(12)).check();
}

#[test]
fn postgres_13() {
    Version::of(&Server::of_version(13)).check();
}

#[test]
fn postgres_14() {
    Version::of(&Server::of_version(14)).check();
}

#[test]
fn the_postgres_that_is_installed() {
    Version::of(postgres::server()).check();
}

#[test]
fn postgres_16() {
    Version::of(&Server::of_version(16)).check();
}

#[test]
fn postgres_17() {
    Version::of(&Server::of_version(17)).check();
}

#[test]
fn postgres_18() {
    Version::of(&Server::of_version(18)).check();
}

/// What has keys of other kinds than a number, and where rows lie in several places: pages enough for more than one connection, partitions.
const TABLES: &str = "
CREATE TABLE words (k text PRIMARY KEY, n int);
INSERT INTO words SELECT chr(n) || n % 7, n FROM generate_series(33, 1500) AS n;
CREATE TABLE sorted (k text COLLATE \"de-x-icu\" PRIMARY KEY, n int);
INSERT INTO sorted SELECT * FROM words;
CREATE TABLE ids (k uuid PRIMARY KEY, n int);
INSERT INTO ids SELECT md5(n::text)::uuid, n FROM generate_series(1, 2000) AS n;
CREATE TABLE wide (k bigint PRIMARY KEY, v text NOT NULL);
INSERT INTO wide SELECT n, repeat('v', 1000) || n FROM generate_series(1, 8000) AS n;
CREATE TABLE pairs (a int, b date, v text, PRIMARY KEY (b, a));
INSERT INTO pairs SELECT n % 10, date '2024-01-01' + n / 10, n::text FROM generate_series(1, 1000) AS n;
CREATE TABLE loose (v text, w int);
INSERT INTO loose SELECT n % 5 FROM generate_series(1, 100) AS n;
CREATE TABLE parts (k int, v text, PRIMARY KEY (k)) PARTITION BY RANGE (k);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10) PARTITION BY HASH (k);
CREATE TABLE parts_low_0 PARTITION OF parts_low FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_low_1 PARTITION OF parts_low FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT n, 'v' FROM generate_series(0, 99) AS n;
CREATE TABLE made (k int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL, twice int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO made (n) SELECT n FROM generate_series(1, 50) AS n;
CREATE TABLE parents (k int PRIMARY KEY);
INSERT INTO parents SELECT n FROM generate_series(1, 20) AS n;
CREATE TABLE children (k int PRIMARY KEY, parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED, late int);
INSERT INTO children SELECT n, n, n FROM generate_series(1, 20) AS n;
ALTER TABLE children ADD CONSTRAINT late FOREIGN KEY (late) REFERENCES parents NOT VALID;
CREATE TABLE owned (k int PRIMARY KEY, owner text);
INSERT INTO owned SELECT n, CASE WHEN n > 5 THEN 'reader' ELSE 'other' END FROM generate_series(1, 10) AS n;
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON owned USING (owner = current_user);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
ANALYZE;
";

/// Behind the server's back, where it would not let it in.
const PLANTED: &str = "
DELETE FROM words WHERE n = 100; INSERT INTO words VALUES ('new', 0); UPDATE words SET n = -1 WHERE n = 200;
DELETE FROM sorted WHERE n = 100; INSERT INTO sorted VALUES ('new', 0); UPDATE sorted SET n = -1 WHERE n = 200;
DELETE FROM ids WHERE n = 100; INSERT INTO ids VALUES (md5('new')::uuid, 0); UPDATE ids SET n = -1 WHERE n = 200;
DELETE FROM wide WHERE k = 100; INSERT INTO wide VALUES (-1, 'v'); UPDATE wide SET v = 'w' WHERE k = 7999;
DELETE FROM pairs WHERE v = '100'; INSERT INTO pairs VALUES (1, 'infinity', 'v'); UPDATE pairs SET v = 'w' WHERE v = '200';
DELETE FROM parts WHERE k = 9; INSERT INTO parts VALUES (-1, 'v'); UPDATE parts SET v = 'w' WHERE k = 3;
DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose WHERE v = '3' LIMIT 1); INSERT INTO loose VALUES (NULL, NULL);
UPDATE made SET n = 0 WHERE k = 7;
DELETE FROM owned WHERE k = 1;
SET session_replication_role = replica;
UPDATE children SET parent = 21 WHERE k = 1; UPDATE children SET late = 22 WHERE k = 2;
";

/// What only newer versions have, and what is planted there. A constraint that does not hold yet is none for the rows that are there.
const SINCE: [(u32, &str, &str); 3] = [
    (
        14,
        "CREATE TABLE spans (k int PRIMARY KEY, v int4multirange); INSERT INTO spans VALUES (1, '{[1,3),[5,9)}'), (2, '{}');",
        "UPDATE spans SET v = '{[1,3),[5,8)}' WHERE k = 1;",
    ),
    (
        15,
        "CREATE TABLE single (k int PRIMARY KEY, v int, UNIQUE NULLS NOT DISTINCT (v)); INSERT INTO single VALUES (1, NULL), (2, 2);
         CREATE TABLE sole (v int, w int, UNIQUE NULLS NOT DISTINCT (v)); INSERT INTO sole VALUES (NULL, 1), (2, 2);",
        "UPDATE single SET v = 3 WHERE k = 2; UPDATE sole SET w = 3 WHERE v IS NULL;",
    ),
    (
        18,
        "CREATE EXTENSION btree_gist;
         CREATE TABLE seen (k int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL, name text GENERATED ALWAYS AS ('n' || n) VIRTUAL);
         INSERT INTO seen (k, n) VALUES (1, 1), (2, 2), (3, NULL);
         CREATE TABLE timed (k int, during daterange, v text, PRIMARY KEY (k, during WITHOUT OVERLAPS));
         INSERT INTO timed VALUES (1, '[2024-01-01,2024-02-01)', 'a'), (1, '[2024-02-01,2024-03-01)', 'b');
         CREATE TABLE stays (k int PRIMARY KEY, of int, during daterange, FOREIGN KEY (of, PERIOD during) REFERENCES timed (k, PERIOD during));
         INSERT INTO stays VALUES (1, 1, '[2024-01-15,2024-02-15)');
         CREATE TABLE someday (v int UNIQUE, w int); INSERT INTO someday VALUES (NULL, 1), (NULL, 2), (3, 3);
         ALTER TABLE someday ADD CONSTRAINT someday_v NOT NULL v NOT VALID;
         CREATE TABLE trusted (k int PRIMARY KEY, parent int REFERENCES parents NOT ENFORCED); INSERT INTO trusted VALUES (1, 1), (2, 2);",
        "UPDATE seen SET n = 3 WHERE k = 2; UPDATE timed SET v = 'c' WHERE v = 'b'; UPDATE trusted SET parent = 23 WHERE k = 2;
         UPDATE someday SET w = 4 WHERE w = 3;",
    ),
];

/// A server of a version.
struct Version<'s> {
    server: &'s Server,
    major: u32,
}

/// What a run of the program came to.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn cutover(arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let output = command.args(arguments).env_clear().output().expect("the program starts");
    let text = |it: Vec<u8>| String::from_utf8(it).expect("text");
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|it| panic!("{it}: {} {}", self.stdout, self.stderr))
    }

    /// The counts that are not 0 of what is not the same, by table.
    fn found(&self) -> Value {
        const KINDS: [&str; 8] =
            ["changed", "missing", "extra", "duplicates", "orphans", "clashes", "rejects", "invalid"];
        let report = self.json();
        let tables = report["tables"].as_array().expect("tables").iter();
        let found = tables.map(|it| {
            let counts = KINDS.iter().filter(|kind| it[**kind] != 0);
            let counts: Value = counts.map(|kind| ((*kind).to_owned(), it[*kind].clone())).collect();
            (it["name"].as_str().expect("a name").to_owned(), counts)
        });
        found.filter(|it| it.1 != json!({})).collect()
    }
}

impl<'s> Version<'s> {
    fn of(server: &'s Server) -> Version<'s> {
        let number = server.execute("postgres", "SHOW server_version_num");
        // Roles are those of all databases of a server.
        server.execute(
            "postgres",
            "DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        );
        Version { server, major: number.parse::<u32>().expect("a number") / 10_000 }
    }

    fn check(&self) {
        self.make("old", self.major);
        for (copy, more) in [("new", String::new()), ("changed", self.planted())] {
            self.server.execute("postgres", &format!("CREATE DATABASE {copy} TEMPLATE old"));
            self.server.execute(copy, &more);
        }
        self.can_be_reached();
        self.a_copy_is_the_same();
        self.what_is_planted_is_found();
        self.hidden_rows_are_no_pass();
        self.another_version_is_the_same();
        self.a_key_that_no_row_can_have_is_looked_up();
    }

    /// A database with all that a version has.
    fn make(&self, name: &str, major: u32) {
        self.server.execute("postgres", &format!("CREATE DATABASE {name}"));
        self.server.execute(name, &(made(major) + &types::every(major)));
    }

    fn planted(&self) -> String {
        let since = SINCE.iter().filter(|it| it.0 <= self.major).map(|it| it.2);
        types::planted(self.major) + PLANTED + &since.collect::<String>()
    }

    fn can_be_reached(&self) {
        let done = cutover(&["test-connection", &self.server.url("old"), "--format", "json"]);
        assert_eq!(done.code, Some(0), "{} {}", done.stdout, done.stderr);
        assert!(done.stdout.contains(&format!("PostgreSQL {}.", self.major)), "{}", done.stdout);
    }

    fn diff(&self, from: &str, to: &str, more: &[&str]) -> Done {
        let urls = [self.server.url(from), self.server.url(to)];
        let arguments = ["diff", &urls[0], &urls[1], "--format", "json"];
        cutover(&[&arguments[..], more].concat())
    }

    fn a_copy_is_the_same(&self) {
        for threads in ["1", "4"] {
            let done = self.diff("old", "new", &["--threads", threads]);
            assert_eq!((done.code, done.found()), (Some(0), json!({})), "{} {}", done.stdout, done.stderr);
            let totals = &done.json()["totals"];
            assert_eq!((&totals["source_rows"], &totals["same"]), (&self.rows(), &self.rows()));
        }
    }

    /// How many rows the server says there are.
    fn rows(&self) -> Value {
        let counted = "SELECT format('SELECT count(*) FROM %s;', oid::regclass) FROM pg_class
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace";
        let counts = self.server.execute("old", &self.server.execute("old", counted));
        counts.lines().map(|it| it.parse::<u64>().expect("a count")).sum::<u64>().into()
    }

    fn what_is_planted_is_found(&self) {
        for more in [&["--threads", "4"][..], &["--recheck", "1", "--recheck-delay", "0ms"]] {
            let done = self.diff("old", "changed", more);
            assert_eq!((done.code, done.found()), (Some(1), self.expected()), "{} {}", done.stdout, done.stderr);
            let report = done.json();
            let tables = report["tables"].as_array().expect("tables");
            let every = tables.iter().find(|it| it["name"] == "every").expect("it is there");
            types::check_findings(every["findings"].as_array().expect("findings"), self.major);
        }
    }

    fn expected(&self) -> Value {
        let three = json!({"changed": 1, "missing": 1, "extra": 1});
        let mut expected = json!({
            "words": three, "sorted": three, "ids": three, "wide": three, "pairs": three, "parts": three,
            "loose": {"missing": 1, "extra": 1}, "made": {"changed": 1}, "owned": {"missing": 1},
            "children": {"changed": 2, "orphans": 2},
            "every": {"changed": types::of(self.major).count()},
        });
        let newer = [
            (14, "spans", json!({"changed": 1})),
            (15, "single", json!({"changed": 1})),
            (15, "sole", json!({"missing": 1, "extra": 1})),
            (18, "seen", json!({"changed": 1})),
            (18, "timed", json!({"changed": 1})),
            (18, "someday", json!({"missing": 1, "extra": 1})),
            (18, "trusted", json!({"changed": 1, "orphans": 1})),
        ];
        for (since, table, counts) in newer {
            if self.major >= since {
                expected[table] = counts;
            }
        }
        expected
    }

    fn hidden_rows_are_no_pass(&self) {
        let urls = ["old", "new"].map(|it| self.server.url(it).replacen("app@", "reader@", 1));
        let only = |table: &'static str| cutover(&["diff", &urls[0], &urls[1], "--format", "json", "--only", table]);
        let part = only("owned");
        assert_eq!(part.code, Some(2), "{} {}", part.stdout, part.stderr);
        assert!(part.stdout.contains("BYPASSRLS"), "{}", part.stdout);
        let whole = only("words");
        assert_eq!(whole.code, Some(0), "{} {}", whole.stdout, whole.stderr);
    }

    /// As after an upgrade by dump and restore, in either direction.
    fn another_version_is_the_same(&self) {
        let installed = Version::of(postgres::server());
        let (major, name) = (self.major.min(installed.major), format!("from_{}", self.major));
        installed.make(&name, major);
        let own = if major == self.major { "old" } else { "less" };
        if own != "old" {
            self.make(own, major);
        }
        let done = cutover(&["diff", &self.server.url(own), &installed.server.url(&name), "--format", "json"]);
        assert_eq!((done.code, done.found()), (Some(0), json!({})), "{} {}", done.stdout, done.stderr);
    }

    /// A key of a newer version, which this one may refuse to look up.
    fn a_key_that_no_row_can_have_is_looked_up(&self) {
        let installed = postgres::database();
        installed.execute("CREATE TABLE limits (k numeric PRIMARY KEY); INSERT INTO limits VALUES ('Infinity'), (1)");
        self.server.execute("postgres", "CREATE TABLE limits (k numeric PRIMARY KEY); INSERT INTO limits VALUES (1)");
        let arguments = ["--format", "json", "--recheck", "1", "--recheck-delay", "0ms"];
        let urls = [installed.url(), self.server.url("postgres")];
        let done = cutover(&[&["diff", &urls[0], &urls[1]], &arguments[..]].concat());
        let expected = json!({"limits": {"missing": 1}});
        assert_eq!((done.code, done.found()), (Some(1), expected), "{} {}", done.stdout, done.stderr);
    }
}

fn made(major: u32) -> String {
    let since = SINCE.iter().filter(|it| it.0 <= major).map(|it| it.1);
    TABLES.to_owned() + &since.collect::<String>()
}
