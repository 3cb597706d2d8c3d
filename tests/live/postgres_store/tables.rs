//! What is told of tables and their constraints.

use super::{open, open_with, options, rows, table, url_of};
use crate::postgres;
use cutover::{plan::Setting, schema::Table, store::Source};

fn names(store: &mut dyn Source) -> Vec<String> {
    store.tables().expect("the catalogs can be read").into_iter().map(|it| it.name).collect()
}

fn column_names(table: &Table, places: &[usize]) -> String {
    table.names(places).join(",")
}

#[test]
fn keys_and_uniques() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE a (x int, id bigint GENERATED ALWAYS AS IDENTITY, y text, z int NOT NULL, twice int GENERATED ALWAYS AS (z * 2) STORED,
             PRIMARY KEY (id, z), UNIQUE (y) DEFERRABLE INITIALLY DEFERRED, UNIQUE NULLS NOT DISTINCT (x), UNIQUE (x) INCLUDE (y));
         CREATE UNIQUE INDEX ON a (y) WHERE x > 0; CREATE UNIQUE INDEX ON a (lower(y)); CREATE UNIQUE INDEX ON a (z) INCLUDE (y);
         CREATE TABLE b (p int NOT NULL, q int NOT NULL, r int NOT NULL, UNIQUE (p, q), UNIQUE (r));
         CREATE TABLE c (n int UNIQUE);
         CREATE TABLE d (p int4range, EXCLUDE USING gist (p WITH &&));
         CREATE TABLE e ();
         INSERT INTO a (x, y, z) SELECT n, n::text, n FROM generate_series(1, 50) AS n; INSERT INTO e DEFAULT VALUES; ANALYZE a;",
    );
    let mut store = open(&database.url());
    let a = table(store.as_mut(), "a");
    assert_eq!(column_names(&a, &a.key), "id,z");
    let uniques: Vec<String> = a.uniques.iter().map(|it| column_names(&a, &it.columns)).collect();
    assert_eq!(uniques, ["x", "y", "z"]);
    assert!(a.uniques.iter().all(|it| it.enforced));
    assert_eq!(a.rows_about, Some(50));
    let nullable: Vec<bool> = a.columns.iter().map(|it| it.nullable).collect();
    assert_eq!(nullable, [true, false, true, false, true]);
    let b = table(store.as_mut(), "b");
    assert_eq!((column_names(&b, &b.key), b.rows_about), ("r".to_owned(), None));
    assert!(table(store.as_mut(), "c").key.is_empty());
    assert!(store.notes().iter().any(|it| it.contains("exclusion constraint")), "{:?}", store.notes());
    assert_eq!(rows(store.as_mut(), "e"), [""]);
    assert_eq!(rows(store.as_mut(), "a")[0], r#"int 1, int 1, int 1, text "1", int 2"#);
}

#[test]
fn references() {
    let database = postgres::database();
    database.execute(
        "CREATE SCHEMA other; CREATE TABLE other.far (id int PRIMARY KEY);
         CREATE TABLE parent (a int, b int, PRIMARY KEY (b, a));
         CREATE TABLE child (x int, y int, z int, FOREIGN KEY (x, y) REFERENCES parent (a, b) DEFERRABLE INITIALLY DEFERRED, FOREIGN KEY (z) REFERENCES other.far);
         INSERT INTO child VALUES (NULL, 1, NULL);
         SET session_replication_role = replica; INSERT INTO child VALUES (7, 7, 7);
         ALTER TABLE child ADD CONSTRAINT late FOREIGN KEY (y) REFERENCES other.far NOT VALID;",
    );
    let mut store = open(&database.url());
    let child = table(store.as_mut(), "child");
    let told: Vec<String> = child
        .foreign_keys
        .iter()
        .map(|it| format!("{} -> {}({})", column_names(&child, &it.columns), it.table, it.to.join(",")))
        .collect();
    assert_eq!(told, ["x,y -> parent(a,b)", "z -> other.far(id)", "y -> other.far(id)"]);
    assert!(store.notes().iter().any(|it| it.contains("`other`")), "{:?}", store.notes());
    let (code, report, _) = super::cutover(&["diff", &database.url(), &database.url()]);
    // The row that came in behind the server's back is found on both sides.
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("orphan"), "{report}");
}

/// Each column of a child finds its parent as the server sees it, which is not always as cells are equal.
#[test]
fn references_by_another_equality() {
    let database = postgres::database();
    database.execute(
        "CREATE EXTENSION citext;
         CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE fold (k citext PRIMARY KEY); INSERT INTO fold VALUES ('A');
         CREATE TABLE loosely (k text COLLATE loose PRIMARY KEY); INSERT INTO loosely VALUES ('A');
         CREATE TABLE wide (k char(5) PRIMARY KEY); INSERT INTO wide VALUES ('A');
         CREATE TABLE bare (k text PRIMARY KEY); INSERT INTO bare VALUES ('A');
         CREATE TABLE moment (k timestamp PRIMARY KEY); INSERT INTO moment VALUES ('2024-01-01');
         CREATE TABLE whole (k numeric PRIMARY KEY); INSERT INTO whole VALUES (1.00);
         CREATE TABLE zero (k float8 PRIMARY KEY); INSERT INTO zero VALUES (0);
         CREATE TABLE child (
             a citext CONSTRAINT a REFERENCES fold, b text COLLATE loose CONSTRAINT b REFERENCES loosely,
             c char(3) CONSTRAINT c REFERENCES wide, d char(3) CONSTRAINT d REFERENCES bare, e date CONSTRAINT e REFERENCES moment,
             f char(5) CONSTRAINT f REFERENCES wide, g varchar(9) CONSTRAINT g REFERENCES bare,
             h smallint CONSTRAINT h REFERENCES whole, i float8 CONSTRAINT i REFERENCES zero);
         INSERT INTO child VALUES ('a', 'a', 'A', 'A', '2024-01-01', 'A', 'A', 1, '-0');",
    );
    let mut store = open(&database.url());
    let child = table(store.as_mut(), "child");
    let checked: Vec<String> = child.foreign_keys.iter().map(|it| column_names(&child, &it.columns)).collect();
    assert_eq!(checked, ["f", "g", "h", "i"]);
    for unchecked in ["a", "b", "c", "d", "e"] {
        let said = format!("child: the foreign key `{unchecked}` is not checked");
        assert!(store.notes().iter().any(|it| it.starts_with(&said)), "{said}: {:?}", store.notes());
    }
    let (code, report, _) = super::cutover(&["diff", &database.url(), &database.url()]);
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn partitions_are_read_once() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE p (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (id);
         CREATE TABLE p2a PARTITION OF p2 DEFAULT;
         INSERT INTO p SELECT n, 'v' FROM generate_series(0, 19) AS n;
         CREATE TABLE old (id int PRIMARY KEY); CREATE TABLE older () INHERITS (old);
         INSERT INTO old VALUES (1); INSERT INTO older VALUES (2); ANALYZE;",
    );
    let mut store = open(&database.url());
    assert_eq!(names(store.as_mut()), ["old", "older", "p"]);
    assert_eq!(rows(store.as_mut(), "p").len(), 20);
    assert_eq!(table(store.as_mut(), "p").rows_about, Some(20));
    assert_eq!(rows(store.as_mut(), "old"), ["int 1"]);
    assert_eq!(rows(store.as_mut(), "older"), ["int 2"]);
}

#[test]
fn schemas_are_chosen() {
    let database = postgres::database();
    database.execute(
        "CREATE SCHEMA shop; CREATE SCHEMA \"odd.one\"; CREATE TABLE a (id int); CREATE TABLE shop.a (id int); CREATE TABLE shop.b (id int);
         CREATE TABLE \"odd.one\".c (id int); CREATE TABLE \"shop.b\" (id int);",
    );
    let url = database.url();
    let chosen = |names: &[&str]| {
        let names = names.iter().map(|it| (*it).to_owned()).collect();
        options(&url, &[("schemas", Setting::Texts(names))])
    };
    let mut store = open(&url);
    assert_eq!(names(store.as_mut()), ["a", "shop.b"]);
    assert!(store.notes().iter().any(|it| it.contains("`odd.one`, `shop`")), "{:?}", store.notes());
    assert_eq!(names(open_with(&chosen(&["shop"])).as_mut()), ["a", "b"]);
    let all = names(open_with(&chosen(&["shop", "odd.one", "public"])).as_mut());
    assert_eq!(all, ["a", "odd.one.c", "public.shop.b", "shop.a", "shop.b"]);
    let absent = open_with(&chosen(&["nowhere"])).tables().expect_err("there is none").to_string();
    assert!(absent.contains("`nowhere`"), "{absent}");
}

#[test]
fn views_and_foreign_tables() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, secret text); INSERT INTO t VALUES (1, 's'), (2, 's');
         CREATE VIEW v AS SELECT id FROM t WHERE id > 1; CREATE MATERIALIZED VIEW m AS SELECT id FROM t; CREATE UNIQUE INDEX ON m (id);
         CREATE MATERIALIZED VIEW never AS SELECT id FROM t WITH NO DATA;
         CREATE EXTENSION postgres_fdw;",
    );
    let connect = format!(
        "CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{}', dbname '{}');
         CREATE USER MAPPING FOR app SERVER self OPTIONS (user 'app');
         CREATE FOREIGN TABLE far (id int, secret text) SERVER self OPTIONS (table_name 't');",
        database.server().port(),
        database.name()
    );
    database.execute(&connect);
    let mut store = open(&database.url());
    assert_eq!(names(store.as_mut()), ["far", "t"]);
    assert_eq!(rows(store.as_mut(), "far"), [r#"int 1, text "s""#, r#"int 2, text "s""#]);
    let mut options = options(&database.url(), &[]);
    options.views = true;
    let mut store = open_with(&options);
    assert_eq!(names(store.as_mut()), ["far", "m", "never", "t", "v"]);
    assert_eq!(rows(store.as_mut(), "v"), ["int 2"]);
    assert_eq!(rows(store.as_mut(), "m").len(), 2);
    let never = table(store.as_mut(), "never").unreadable.expect("nothing is in it");
    assert!(never.contains("REFRESH MATERIALIZED VIEW \"public\".\"never\""), "{never}");
}

#[test]
fn functions_behind_a_view_find_their_tables() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
         CREATE FUNCTION all_of_them() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';
         CREATE VIEW v AS SELECT id, all_of_them(), ARRAY[id] AS list FROM t;",
    );
    let mut options = options(&database.url(), &[]);
    options.views = true;
    let mut store = open_with(&options);
    assert_eq!(rows(store.as_mut(), "v"), ["int 1, int 2, json [1]", "int 2, int 2, json [2]"]);
    assert_eq!(rows(store.as_mut(), "t"), ["int 1", "int 2"]);
    let url = database.url();
    let recheck = ["--recheck", "1", "--recheck-delay", "0ms"];
    let (code, report, _) = super::cutover(&[&["diff", "--views", "--key", "id", &url, &url], &recheck[..]].concat());
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn names_of_all_kinds() {
    let database = postgres::database();
    let long = "n".repeat(60) + "\u{e9}x";
    let hostile = [
        "Case",
        "case",
        "select",
        "a\"b",
        "a'b",
        "semi;colon",
        "line\nbreak",
        "place",
        "case_",
        "read",
        "key",
        " ",
        "dot.ted",
        "a`b",
        "$1",
        long.as_str(),
    ];
    let quoted = |it: &str| format!("\"{}\"", it.replace('"', "\"\""));
    for (place, name) in hostile.iter().enumerate() {
        let name = quoted(name);
        database
            .execute(&format!("CREATE TABLE {name} ({name} int PRIMARY KEY); INSERT INTO {name} VALUES ({place});"));
    }
    let mut store = open(&database.url());
    for (place, name) in hostile.iter().enumerate() {
        assert_eq!(rows(store.as_mut(), name), [format!("int {place}")], "{name:?}");
    }
    let (code, report, complaint) = super::cutover(&["diff", &database.url(), &database.url()]);
    assert_eq!(code, Some(0), "{report}{complaint}");
}

#[test]
fn a_key_that_is_called_like_a_value_made() {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (\"case\" int PRIMARY KEY, a inet, b int[]); INSERT INTO t SELECT 20001 - n, '::1', '{1}' FROM generate_series(1, 20000) AS n; ANALYZE;",
    );
    let mut store = open(&database.url());
    let t = table(store.as_mut(), "t");
    assert!(store.keeps_order(&t, &super::shape(&t)).expect("the server says"));
    assert_eq!(rows(store.as_mut(), "t")[0], r#"int 1, text "::1", json [1]"#);
}

#[test]
fn what_a_role_may_not_see_is_said() {
    let database = postgres::database();
    let role = format!("{}_role", database.name());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN; CREATE SCHEMA closed; CREATE TABLE closed.t (id int);
         CREATE TABLE open (id int PRIMARY KEY); INSERT INTO open VALUES (1); GRANT SELECT ON open TO {role};
         CREATE TABLE denied (id int);
         CREATE TABLE half (id int PRIMARY KEY, secret text, v int); INSERT INTO half VALUES (1, 's', 2); GRANT SELECT (id, v) ON half TO {role};
         CREATE TABLE rows (id int PRIMARY KEY, owner text); INSERT INTO rows VALUES (1, '{role}'), (2, 'other');
         ALTER TABLE rows ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON rows USING (owner = current_user); GRANT SELECT ON rows TO {role};
         CREATE VIEW through WITH (security_invoker) AS SELECT * FROM rows; GRANT SELECT ON through TO {role};
         GRANT SELECT ON closed.t TO {role};"
    ));
    let mut options =
        options(&url_of(&database, &role), &[("schemas", Setting::Texts(vec!["public".into(), "closed".into()]))]);
    options.views = true;
    let mut store = open_with(&options);
    let mut about = |name: &str| {
        let table = table(store.as_mut(), name);
        (table.partial.unwrap_or_default(), table.unreadable.unwrap_or_default())
    };
    assert_eq!(about("open"), (String::new(), String::new()));
    assert!(about("denied").1.contains("GRANT SELECT ON \"public\".\"denied\""), "{:?}", about("denied"));
    assert!(about("closed.t").1.contains("GRANT USAGE ON SCHEMA \"closed\""), "{:?}", about("closed.t"));
    assert!(about("half").0.contains("\"secret\""), "{:?}", about("half"));
    assert!(about("rows").0.contains("BYPASSRLS"), "{:?}", about("rows"));
    assert_eq!(rows(store.as_mut(), "half"), ["int 1, int 2"]);
    assert_eq!(rows(store.as_mut(), "rows").len(), 1);
    // A view says nothing about the policies below it, so the server is told to refuse.
    let through = table(store.as_mut(), "through");
    let refused = store.scan(&through, &super::shape(&through), &mut super::Collected::default());
    let refused = refused.expect_err("rows would be missing").to_string();
    assert!(refused.contains("42501") && refused.contains("public.through"), "{refused}");
    // What is only partly there is no pass, although nothing differs.
    let url = url_of(&database, &role);
    let (code, report, complaint) = super::cutover(&["diff", &url, &url, "--only", "rows"]);
    assert!(code == Some(2) && report.contains("BYPASSRLS"), "{report}{complaint}");
}
