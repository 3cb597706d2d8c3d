use super::*;
use crate::{
    row::{Feed, Field, Flow},
    store::{Source, memory::Owned as Cell, sqlite::Sqlite, target::Mark},
    value::{
        Type, Value,
        cast::Cast,
        time::{EpochUnit, Moment},
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config as ProptestConfig, RngSeed, TestRunner},
};
use rusqlite::ErrorCode;
use std::cell::RefCell;
use tempfile::TempDir;

const MARK: Mark<'_> = Mark { run: "r1", batch: 1 };

/// A database with these tables, open for writing.
struct Made {
    folder: TempDir,
    target: SqliteTarget,
}

impl Made {
    fn new(schema: &str) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let mut target = SqliteTarget::open(&folder.path().join("t.db")).unwrap();
        target.connection.execute_batch(&format!("PRAGMA synchronous = OFF; {schema}")).unwrap();
        let tables = tables(&folder);
        target.begin(&Begin { tables: &tables, disable_indexes: false }).unwrap();
        Made { folder, target }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("t.db")
    }

    fn other(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn table(&self, name: &str) -> Table {
        tables(&self.folder).into_iter().find(|it| it.name == name).unwrap()
    }

    /// Writes to the table `t`.
    fn write(&mut self, [inserts, updates, deletes]: [&Batch; 3]) -> Result<Written> {
        let table = self.table("t");
        self.target.write(&Changes { table: &table, inserts, updates, deletes, mark: MARK })
    }

    fn rows(&self, query: &str) -> String {
        let connection = self.other();
        let mut statement = connection.prepare(query).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut out = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cell = |it| crate::store::sqlite::as_json(super::super::meaning(row.get_ref(it).unwrap()));
            out.push((0..width).map(cell).collect::<Vec<_>>().join(","));
        }
        out.join(";")
    }
}

fn tables(folder: &TempDir) -> Vec<Table> {
    Sqlite::open(&folder.path().join("t.db"), false).unwrap().tables().unwrap()
}

fn shape(columns: &[(&str, Type)], key: usize) -> Arc<Shape> {
    let fields: Vec<Field> = columns.iter().map(|it| Field::new(it.0, Cast::new(it.1))).collect();
    let keyless = key == 0;
    Arc::new(Shape { key: if keyless { fields.len() } else { key }, compared: fields.len(), fields, keyless })
}

fn batch(shape: &Arc<Shape>, rows: &[&[Value<'_>]]) -> Batch {
    let mut batch = Batch::new(Arc::clone(shape));
    rows.iter().for_each(|it| batch.push(it.iter().copied()));
    batch
}

/// The cells of each row.
#[derive(Default)]
struct Taken(Vec<Vec<u8>>);

impl Feed for Taken {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.0.extend(batch.rows().map(|it| it.bytes().to_vec()));
        batch.clear();
        Ok(Flow::Continue)
    }
}

/// What is in the table once a value was written to it: the same cell, or nothing and a reason.
fn kept(made: &mut Made, name: &str, value: Value<'_>, cast: &Cast) -> Result<bool> {
    let fields = vec![Field::new("k", Cast::new(Type::Int)), Field::new("v", cast.clone())];
    let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
    let (rows, none) = (batch(&shape, &[&[Value::Int(1), value]]), batch(&shape, &[]));
    let table = made.table(name);
    let changes = Changes { table: &table, inserts: &rows, updates: &none, deletes: &none, mark: MARK };
    let written = made.target.write(&changes);
    let mut taken = Taken::default();
    Sqlite::open(&made.path(), false).unwrap().scan(&table, &shape, &mut taken).unwrap();
    made.target.connection.execute(&format!("DELETE FROM {name}"), []).unwrap();
    match written {
        Ok(_) => Ok(taken.0 == [rows.row(0).bytes().to_vec()]),
        Err(error) => {
            assert!(taken.0.is_empty(), "{error}");
            Err(error)
        }
    }
}

/// The same, in a column of that declaration.
fn kept_in(declared: &str, value: Value<'_>, cast: &Cast) -> Result<bool> {
    let mut made = Made::new(&format!("CREATE TABLE t (k INTEGER PRIMARY KEY, v {declared})"));
    kept(&mut made, "t", value, cast)
}

const DECLARED: [&str; 12] = [
    "",
    "INTEGER",
    "TEXT",
    "BLOB",
    "REAL",
    "DECIMAL(12,2)",
    "BOOLEAN",
    "DATETIME",
    "UUID",
    "JSON",
    "VARCHAR(9)",
    "POINT",
];
const STRICT: [&str; 5] = ["INTEGER", "TEXT", "BLOB", "REAL", "ANY"];

fn moments() -> impl Strategy<Value = Moment> {
    let wide = -62_135_596_800_i64..400_000_000_000;
    let nanos = prop_oneof![Just(0), Just(500_000_000), 0..1_000_000_000_u32];
    prop_oneof![
        (wide, nanos).prop_map(|(seconds, nanos)| Moment { seconds, nanos }),
        Just(Moment::PAST),
        Just(Moment::FUTURE)
    ]
}

fn values() -> impl Strategy<Value = Cell> {
    let digits = "-?[1-9][0-9]{0,30}(\\.[0-9]{0,20}[1-9])?";
    let json = r#"null|true|-?[1-9][0-9]{0,20}|1\.50|1e400|"a\\"b"|\{"a":\[1,"x"\]\}|\[\]"#;
    prop_oneof![
        Just(Cell::Null),
        any::<bool>().prop_map(Cell::Bool),
        prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -9..9_i64].prop_map(Cell::Int),
        prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(5e-324), Just(0.1), Just(3.0)]
            .prop_map(Cell::Real),
        digits.prop_map(Cell::Decimal),
        prop_oneof![Just("NaN"), Just("Infinity"), Just("9223372036854775808")]
            .prop_map(|it| Cell::Decimal(it.to_owned())),
        prop_oneof![-1_000_000..1_000_000_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Cell::Date),
        prop_oneof![0..86_400_000_000_000_u64, Just(0), Just(36_000_500_000_000)].prop_map(Cell::Time),
        moments().prop_map(Cell::Timestamp),
        moments().prop_map(Cell::DateTime),
        any::<[u8; 16]>().prop_map(Cell::Uuid),
        prop_oneof![
            ".{0,9}",
            "[ +-]?0?[0-9]{1,3}[.e]?[0-9]{0,2} ?",
            Just("a\0b'\"".to_owned()),
            Just("inf".to_owned())
        ]
        .prop_map(Cell::Text),
        Just(Cell::Malformed(vec![b'1', 0xff])),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Cell::Bytes),
        json.prop_map(Cell::Json),
    ]
}

#[test]
fn what_is_written_reads_back_as_the_same_cell_or_is_refused() {
    let declared: Vec<(&str, &str)> =
        DECLARED.map(|it| (it, "")).into_iter().chain(STRICT.map(|it| (it, " STRICT"))).collect();
    let table =
        |it: (usize, &(&str, &str))| format!("CREATE TABLE t{} (k INTEGER PRIMARY KEY, v {}){}", it.0, it.1.0, it.1.1);
    let schema: Vec<String> = declared.iter().enumerate().map(table).collect();
    let made = RefCell::new(Made::new(&schema.join(";")));
    let zone = prop_oneof![Just(None), Just(Some("UTC")), Just(Some("Europe/Oslo"))];
    let epoch = prop_oneof![3 => Just(None), 1 => Just(Some(EpochUnit::Seconds)), 1 => Just(Some(EpochUnit::Micros))];
    let cases = (values(), 0..declared.len(), 0..Type::ALL.len(), zone, epoch);
    let config =
        ProptestConfig { rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..ProptestConfig::default() };
    let ran = TestRunner::new(config).run(&cases, |(value, at, ty, zone, epoch)| {
        let zone = zone.map(|it| jiff::tz::TimeZone::get(it).unwrap());
        let cast = Cast { zone, epoch, ..Cast::new(Type::ALL[ty]) };
        match kept(&mut made.borrow_mut(), &format!("t{at}"), value.value(), &cast) {
            Ok(same) => prop_assert!(same, "{:?} {value:?} {cast:?}", declared[at]),
            Err(error) => prop_assert_eq!(error.kind(), Kind::Row, "{}", error),
        }
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn what_a_column_can_hold_is_not_refused() {
    let at = Moment { seconds: 1_704_103_200, nanos: 250_000_000 };
    let whole = Moment { seconds: 1_704_103_200, nanos: 0 };
    let check = |ty, value: Value<'_>, declared: &[&str]| {
        for declared in declared {
            let it = kept_in(declared, value, &Cast::new(ty));
            assert!(it.as_ref().is_ok_and(|it| *it), "{declared} {value:?} {it:?}");
        }
    };
    check(Type::Int, Value::Int(i64::MIN), &["", "INTEGER", "TEXT", "DECIMAL"]);
    check(Type::Int, Value::Decimal("9223372036854775808"), &["", "TEXT"]);
    check(Type::Bool, Value::Bool(true), &DECLARED);
    check(Type::Real, Value::Real(0.1 + 0.2), &["", "REAL", "TEXT", "DECIMAL"]);
    check(Type::Real, Value::Real(f64::INFINITY), &["", "REAL", "TEXT"]);
    check(Type::Real, Value::Real(f64::NAN), &["TEXT"]);
    check(Type::Decimal, Value::Decimal("10.5"), &DECLARED);
    check(Type::Decimal, Value::Decimal("12345678901234567890.123"), &["", "TEXT"]);
    check(Type::Text, Value::Text("a\0'\"é"), &DECLARED);
    check(Type::Text, Value::Text("007"), &["TEXT", "VARCHAR(3)", ""]);
    check(Type::Text, Value::Malformed(b"1\xff"), &["", "TEXT"]);
    check(Type::Bytes, Value::Bytes(b"\0\xff"), &DECLARED);
    check(Type::Date, Value::Date(19_000), &DECLARED);
    check(Type::Time, Value::Time(36_000_500_000_000), &DECLARED);
    check(Type::Timestamp, Value::Timestamp(at), &DECLARED);
    check(Type::Timestamp, Value::Timestamp(Moment::FUTURE), &["", "TEXT", "DATETIME"]);
    check(Type::DateTime, Value::DateTime(at), &DECLARED);
    check(Type::Uuid, Value::Uuid([7; 16]), &DECLARED);
    check(Type::Json, Value::Json(r#"{"a":1.50}"#), &DECLARED);
    check(Type::Json, Value::Json("1.50"), &["", "TEXT"]);
    let epoch = Cast { epoch: Some(EpochUnit::Seconds), ..Cast::new(Type::Timestamp) };
    assert!(kept_in("INTEGER", Value::Timestamp(whole), &epoch).unwrap());
    let refused = kept_in("INTEGER", Value::Timestamp(at), &epoch).unwrap_err().to_string();
    let expect =
        "column `v` of table `t`, declared `INTEGER`, cannot hold this instant: it would read back as something else";
    assert_eq!(refused, expect);
}

#[test]
fn instants_are_written_as_sqlite_writes_them() {
    let shape = shape(&[("k", Type::Int), ("v", Type::Timestamp)], 1);
    let mut made = Made::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v DATETIME)");
    let at = Value::Timestamp(Moment { seconds: 1_704_103_200, nanos: 250_000_000 });
    let (rows, none) = (batch(&shape, &[&[Value::Int(1), at]]), batch(&shape, &[]));
    made.write([&rows, &none, &none]).unwrap();
    assert_eq!(made.rows("SELECT v FROM t"), r#""2024-01-01 10:00:00.25""#);
}

/// `before` is in the table `t (k, v)`, then a batch of all three is written, twice. What is there after.
#[track_caller]
fn check(schema: &str, key: usize, [inserts, updates, deletes]: [&[(&str, &str)]; 3], expect: (&str, [u64; 3])) {
    let shape = shape(&[("k", Type::Text), ("v", Type::Text)], key);
    let mut made = Made::new(schema);
    let of = |it: &[(&str, &str)]| {
        let mut batch = Batch::new(Arc::clone(&shape));
        it.iter()
            .for_each(|it| batch.push([it.0, it.1].map(|it| if it == "-" { Value::Null } else { Value::Text(it) })));
        batch
    };
    let batches = [inserts, updates, deletes].map(of);
    let [inserts, updates, deletes] = batches.each_ref();
    let written = made.write([inserts, updates, deletes]).unwrap();
    let all = "SELECT k, v FROM t ORDER BY 1, 2";
    let once = made.rows(all);
    assert_eq!(
        (once.replace('"', "").as_str(), [written.inserted, written.updated, written.deleted]),
        expect,
        "{schema}"
    );
    if key > 0 {
        let again = made.write([inserts, updates, deletes]).unwrap();
        assert_eq!((again.inserted, again.deleted), (0, 0), "{schema}");
        assert_eq!(made.rows(all), once, "{schema}");
    }
}

#[test]
fn batches_are_applied_once_however_a_key_is_declared() {
    let tables = [
        "CREATE TABLE t (k TEXT PRIMARY KEY, v)",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v) WITHOUT ROWID",
        "CREATE TABLE t (k TEXT, v, CONSTRAINT one UNIQUE (k))",
        "CREATE TABLE t (k TEXT, v)",
        "CREATE TABLE t (k TEXT COLLATE NOCASE, v)",
        "CREATE TABLE t (k BLOB, v)",
        "CREATE TABLE t (rowid TEXT, k TEXT, v); CREATE INDEX i ON t (k)",
        "CREATE TABLE t (k TEXT, v, w AS (k || v) STORED, UNIQUE (k, w))",
    ];
    let rows = "INSERT INTO t (k, v) VALUES ('a', '1'), ('b', '2'), ('c', '3')";
    for made in tables {
        let schema = format!("{made}; {rows}");
        let inserts: &[(&str, &str)] = &[("a", "9"), ("d", "4")];
        let updates: &[(&str, &str)] = &[("b", "5"), ("x", "6")];
        check(&schema, 1, [inserts, updates, &[("c", ""), ("y", "")]], ("a,1;b,5;d,4", [1, 1, 1]));
    }
    let null = "CREATE TABLE t (k TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, '1')";
    check(null, 1, [&[("-", "2"), ("a", "3")], &[], &[]], ("null,1;a,3", [1, 0, 0]));
    check(null, 1, [&[], &[("-", "2")], &[]], ("null,2", [0, 1, 0]));
    check(null, 1, [&[], &[], &[("-", "")]], ("", [0, 0, 1]));
}

#[test]
fn rows_without_a_key_go_one_for_one() {
    for made in ["CREATE TABLE t (k, v)", "CREATE TABLE t (k, v, n INTEGER PRIMARY KEY)"] {
        let schema =
            format!("{made}; INSERT INTO t (k, v) VALUES ('a', '1'), ('a', '1'), ('a', '1'), ('b', NULL), ('b', NULL)");
        let deletes: &[(&str, &str)] = &[("a", "1"), ("b", "-"), ("a", "1"), ("z", "1")];
        check(&schema, 0, [&[("c", "-"), ("a", "1")], &[], deletes], ("a,1;a,1;b,null;c,null", [2, 0, 3]));
    }
}

#[test]
fn a_row_is_found_whatever_form_its_key_has() {
    let shape = shape(&[("k", Type::Uuid), ("v", Type::Int)], 1);
    let mut made = Made::new(
        "CREATE TABLE t (k TEXT PRIMARY KEY, v); INSERT INTO t VALUES
         ('0A0A0A0A-0a0a-0a0a-0a0a-0a0a0a0a0a0a', 1), ('0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B', 2), ('x', 3)",
    );
    let (none, update) = (batch(&shape, &[]), batch(&shape, &[&[Value::Uuid([10; 16]), Value::Int(7)]]));
    let delete = batch(&shape, &[&[Value::Uuid([11; 16]), Value::Null]]);
    let written = made.write([&none, &update, &delete]).unwrap();
    assert_eq!((written.updated, written.deleted), (1, 1));
    assert_eq!(made.rows("SELECT v FROM t ORDER BY v"), "3;7");
}

#[test]
fn keys_that_only_sqlite_takes_for_equal_clash() {
    let check = |schema: &str, expect: Option<&str>| {
        let shape = shape(&[("k", Type::Text), ("v", Type::Text)], 1);
        let mut made = Made::new(schema);
        let (none, rows) = (
            batch(&shape, &[]),
            batch(&shape, &[&[Value::Text("c"), Value::Text("1")], &[Value::Text("A"), Value::Text("2")]]),
        );
        let before = made.rows("SELECT * FROM t");
        match (made.write([&rows, &none, &none]), expect) {
            (Err(error), Some(expect)) => {
                assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Row, expect));
                assert_eq!(made.rows("SELECT * FROM t"), before, "nothing of the batch is there");
                assert_eq!(made.target.mark("r1", "t").unwrap(), None);
            }
            (it, _) => assert_eq!((it.map(|it| it.inserted).unwrap_or(0), expect), (2, None), "{schema}"),
        }
    };
    let failed = "cannot write to table `t`: UNIQUE constraint failed: t.k";
    check("CREATE TABLE t (k TEXT PRIMARY KEY COLLATE NOCASE, v); INSERT INTO t VALUES ('a', 'x')", Some(failed));
    check("CREATE TABLE t (k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 'x')", None);
    let failed = "cannot write to table `t`: UNIQUE constraint failed: t.v";
    check("CREATE TABLE t (k TEXT PRIMARY KEY, v UNIQUE); INSERT INTO t VALUES ('a', '2')", Some(failed));
    let failed = "cannot write to table `t`: CHECK constraint failed: v < 2";
    check("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER CHECK (v < 2))", Some(failed));
}

#[test]
fn what_goes_makes_place_for_what_comes() {
    let shape = shape(&[("k", Type::Int), ("v", Type::Text)], 1);
    let mut made =
        Made::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    let of = |rows: &[&[Value<'_>]]| batch(&shape, rows);
    let insert = of(&[&[Value::Int(3), Value::Text("b")]]);
    let (update, delete) = (of(&[&[Value::Int(2), Value::Text("a")]]), of(&[&[Value::Int(1), Value::Null]]));
    made.write([&insert, &update, &delete]).unwrap();
    assert_eq!(made.rows("SELECT * FROM t"), r#"2,"a";3,"b""#);
}

#[test]
fn a_locked_database_is_busy_and_a_full_one_gets_nothing() {
    let shape = shape(&[("k", Type::Int), ("v", Type::Text)], 1);
    let mut made = Made::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)");
    let large = "x".repeat(5000);
    let rows: Vec<[Value<'_>; 2]> = (0..100).map(|it| [Value::Int(it), Value::Text(&large)]).collect();
    let rows: Vec<&[Value<'_>]> = rows.iter().map(|it| it.as_slice()).collect();
    let (none, rows) = (batch(&shape, &[]), batch(&shape, &rows));
    let other = made.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(made.write([&rows, &none, &none]).unwrap_err().kind(), Kind::Busy);
    other.execute_batch("ROLLBACK; BEGIN; SELECT * FROM t").unwrap();
    assert_eq!(made.write([&rows, &none, &none]).unwrap_err().kind(), Kind::Busy, "somebody reads");
    other.execute_batch("ROLLBACK").unwrap();
    made.target.connection.execute_batch("PRAGMA max_page_count = 20").unwrap();
    let full = made.write([&rows, &none, &none]).unwrap_err();
    assert_eq!((full.kind(), full.to_string().contains("make room on the disk")), (Kind::Store, true), "{full}");
    assert_eq!((made.rows("SELECT * FROM t").as_str(), made.target.mark("r1", "t").unwrap()), ("", None));
    made.target.connection.execute_batch("PRAGMA max_page_count = 2000").unwrap();
    assert_eq!(made.write([&rows, &none, &none]).unwrap().inserted, 100);
    assert_eq!((made.target.mark("r1", "t").unwrap(), made.target.mark("r2", "t").unwrap()), (Some(1), None));
    assert!(made.target.clean().unwrap() && !made.target.clean().unwrap());
    assert_eq!(made.rows("SELECT name FROM sqlite_schema"), r#""t""#);
}

#[test]
fn indexes_are_put_back_however_a_run_ends() {
    let schema = "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT UNIQUE, w); CREATE INDEX w ON t (w) WHERE w > 1;
        CREATE UNIQUE INDEX u ON t (w, v); CREATE INDEX v ON t (v); CREATE TABLE other (v); CREATE INDEX o ON other (v)";
    let names = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1";
    for next in ["end", "begin", "clean", "begin without, end"] {
        let mut made = Made::new(schema);
        let before = made.rows(names);
        let table = [made.table("t")];
        let begin = Begin { tables: &table, disable_indexes: true };
        let facts = made.target.begin(&begin).unwrap();
        assert!(facts.iter().any(|it| it.what == "indexes" && it.says.starts_with("v, w dropped")), "{facts:?}");
        assert_eq!(
            made.rows("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1"),
            r#""o";"u""#
        );
        // The process is gone; another one comes.
        made.target = SqliteTarget::open(&made.path()).unwrap();
        match next {
            "end" => made.target.end().unwrap(),
            "clean" => assert!(made.target.clean().unwrap()),
            "begin" => drop(made.target.begin(&Begin { disable_indexes: false, ..begin }).unwrap()),
            _ => {
                made.target.begin(&begin).unwrap();
                made.target.end().unwrap();
            }
        }
        assert_eq!(made.rows(names), before, "{next}");
        assert_eq!(made.target.has_marks().unwrap(), next != "clean");
    }
}

#[test]
fn an_index_is_forgotten_with_its_table() {
    let mut made = Made::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v); CREATE INDEX v ON t (v)");
    let table = [made.table("t")];
    made.target.begin(&Begin { tables: &table, disable_indexes: true }).unwrap();
    made.other().execute_batch("DROP TABLE t").unwrap();
    assert!(made.target.clean().unwrap());
    assert_eq!(made.rows("SELECT name FROM sqlite_schema"), "");
}

#[test]
fn triggers_are_told_and_references_are_not_followed() {
    let mut made = Made::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1), (2); CREATE TABLE log (k);
         CREATE TABLE t (k INTEGER PRIMARY KEY REFERENCES parent ON DELETE CASCADE, v INTEGER REFERENCES parent);
         CREATE TRIGGER note AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.k); END",
    );
    let table = [made.table("t")];
    let facts = made.target.begin(&Begin { tables: &table, disable_indexes: false }).unwrap();
    assert!(facts.iter().any(|it| it.says == "note fire for each row that is written" && it.level == Level::Note));
    let shape = shape(&[("k", Type::Int), ("v", Type::Int)], 1);
    let (none, rows) = (batch(&shape, &[]), batch(&shape, &[&[Value::Int(9), Value::Int(1)]]));
    assert_eq!(made.write([&rows, &none, &none]).unwrap().inserted, 1);
    assert_eq!(made.rows("SELECT k FROM log"), "9");
}

#[test]
fn a_schema_makes_what_is_not_there_or_nothing() {
    let names = "SELECT type, name FROM sqlite_schema ORDER BY name";
    let mut made = Made::new("CREATE TABLE a (id INTEGER PRIMARY KEY)");
    made.target.clean().unwrap();
    let schema = "PRAGMA foreign_keys = ON; -- all
        CREATE TABLE a (id INTEGER PRIMARY KEY, other); CREATE TABLE IF NOT EXISTS b (id INTEGER PRIMARY KEY AUTOINCREMENT, a
        REFERENCES a, at TEXT DEFAULT (datetime('now')), CHECK (length(at) > 2)); CREATE UNIQUE INDEX i ON b (lower(at));
        CREATE VIEW v AS SELECT count(*) AS n FROM a;
        CREATE TRIGGER r AFTER INSERT ON a BEGIN INSERT INTO b (a) VALUES (new.id); DELETE FROM a WHERE id = 0; END";
    for _ in 0..2 {
        made.target.create(schema).unwrap();
        let expect = r#""table","a";"table","b";"index","i";"trigger","r";"table","sqlite_sequence";"view","v""#;
        assert_eq!(made.rows(names), expect);
    }
    let before = made.rows(names);
    for (statement, expect) in [
        (
            "DROP TABLE a",
            "schema:2:1: `DROP TABLE a` is refused: a schema has only CREATE TABLE, INDEX, VIEW and TRIGGER",
        ),
        (
            "INSERT INTO a VALUES (1)",
            "schema:2:1: `INSERT INTO a` is refused: a schema has only CREATE TABLE, INDEX, VIEW and TRIGGER",
        ),
        (
            "ATTACH 'x' AS y",
            "schema:2:1: `ATTACH 'x' AS` is refused: a schema has only CREATE TABLE, INDEX, VIEW and TRIGGER",
        ),
        (
            "CREATE TABLE x AS SELECT 1",
            "schema:2:1: `CREATE TABLE x` is refused: a schema does not make tables from queries",
        ),
        ("CREATE TABLE x (", "schema:2:1: SQLite refuses `CREATE TABLE x`: incomplete input"),
        ("CREATE TABLE i (a)", "there is already an index named i"),
        ("CREATE TABLE v (a)", "view v already exists"),
    ] {
        let error = made.target.create(&format!("CREATE TABLE c (a);\n{statement}")).unwrap_err();
        assert!(error.kind() == Kind::Plan && error.to_string().contains(expect), "{error:?}");
        assert_eq!(made.rows(names), before);
    }
}

#[test]
fn a_file_is_made_for_its_owner_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let target = SqliteTarget::open(&path).unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o600);
    let expect = format!("sqlite:{}", folder.path().canonicalize().unwrap().join("new.db").display());
    assert_eq!(target.fingerprint(), expect);
    fs::write(folder.path().join("text"), "this is text and no database at all").unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    for (name, expect) in [("text", "not a SQLite database"), ("sub", "not a file"), ("none/x.db", "No such file")] {
        let error = SqliteTarget::open(&folder.path().join(name)).err().unwrap();
        assert!(error.kind() == Kind::Store && error.to_string().contains(expect), "{error}");
    }
}

#[test]
fn what_errors_mean_to_who_writes() {
    let check = |code, expect| {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error { code, extended_code: 0 }, None);
        assert_eq!(failed(Path::new("t.db"), &error).kind(), expect, "{code:?}");
    };
    for code in [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked] {
        check(code, Kind::Busy);
    }
    for code in [ErrorCode::ConstraintViolation, ErrorCode::TypeMismatch, ErrorCode::TooBig] {
        check(code, Kind::Row);
    }
    for code in [ErrorCode::DiskFull, ErrorCode::SystemIoFailure, ErrorCode::ReadOnly, ErrorCode::DatabaseCorrupt] {
        check(code, Kind::Store);
    }
}

#[test]
fn a_file_without_rows_is_held_until_all_is_kept() {
    let check = |before: Option<&str>, schema: Option<&str>, held: bool| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        before.iter().for_each(|it| Connection::open(&path).unwrap().execute_batch(it).unwrap());
        let bytes = fs::read(&path).ok();
        let mut target = SqliteTarget::open(&path).unwrap();
        let mut released = false;
        let mut release = || {
            released = true;
            Ok(())
        };
        assert_eq!(target.hold(schema, &mut release).unwrap(), held, "{before:?} {schema:?}");
        assert!(released || !held, "{before:?} {schema:?}");
        if held {
            let insert = "INSERT INTO t (v) WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 20)
                SELECT randomblob(1000000) FROM n";
            target.connection.execute_batch(insert).unwrap();
        }
        drop(target);
        assert_eq!(fs::read(&path).ok().is_some_and(|it| !it.is_empty()), bytes.is_some(), "{before:?} {schema:?}");
        assert!(bytes.is_none_or(|it| it == fs::read(&path).unwrap()), "it is as it was");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), usize::from(path.exists()), "no journal is left");
    };
    let (table, other) = ("CREATE TABLE t (v);", "CREATE TABLE u (v);");
    check(Some(table), None, true);
    check(Some(other), Some(table), true);
    check(None, Some(table), true);
    check(Some(&format!("{table} CREATE TABLE _cutover (run); INSERT INTO _cutover VALUES (1)")), None, true);
    check(Some(&format!("{table} INSERT INTO t VALUES (1)")), None, false);
    check(Some(&format!("{table} {other} INSERT INTO u VALUES (1)")), None, false);
    check(Some(&format!("{table} CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END")), None, false);
    check(Some(&format!("{table} CREATE VIRTUAL TABLE f USING fts5 (v)")), None, false);
    check(Some(&format!("PRAGMA journal_mode = wal; {table}")), None, false);
}

#[test]
fn what_is_held_is_seen_by_nobody_until_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut target = SqliteTarget::open(&path).unwrap();
    assert!(target.hold(Some("CREATE TABLE t (id INTEGER PRIMARY KEY);"), &mut || Ok(())).unwrap());
    target.connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    let seen = || -> rusqlite::Result<i64> {
        let other = Connection::open(&path)?;
        other.busy_timeout(Duration::ZERO)?;
        other.query_row("SELECT count(*) FROM sqlite_schema", [], |it| it.get(0))
    };
    assert_eq!(seen().unwrap_err().sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    target.keep().unwrap();
    drop(target);
    assert_eq!(seen(), Ok(1));
}

/// SQLite would wait for them with each page that does not fit into its cache.
#[test]
fn a_file_that_somebody_reads_is_not_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (v); BEGIN; SELECT * FROM t").unwrap();
    let mut target = SqliteTarget::open(&path).unwrap();
    assert_eq!(target.hold(None, &mut || Ok(())).unwrap_err().kind(), Kind::Busy);
    let mut release = || other.execute_batch("ROLLBACK").map_err(|it| failed(&path, &it));
    assert!(target.hold(None, &mut release).unwrap());
}
