use super::*;
use crate::{
    row::{Batch, Feed, Field, Flow, Shape},
    schema::Column,
    store::{memory::Owned as Cell, target::Mark},
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
use std::{os::unix::fs::PermissionsExt, sync::Arc};

fn shape(columns: &[(&str, Type)], key: usize) -> Arc<Shape> {
    let nullless = |ty| Cast { empty_is_null: ty != Type::Text, ..Cast::new(ty) };
    let fields: Vec<Field> = columns.iter().map(|it| Field::new(it.0, nullless(it.1))).collect();
    let keyless = key == 0;
    Arc::new(Shape { key: if keyless { fields.len() } else { key }, compared: fields.len(), fields, keyless })
}

fn batch(shape: &Arc<Shape>, rows: &[&[Value<'_>]]) -> Batch {
    let mut batch = Batch::new(Arc::clone(shape));
    rows.iter().for_each(|it| batch.push(it.iter().copied()));
    batch
}

/// The table `t` with the columns of that shape, as a plan would name it.
fn table(shape: &Shape, name: &str) -> Table {
    let columns = shape.fields.iter().map(|it| Column::new(it.column.as_str(), it.cast.ty)).collect();
    Table { columns, ..Table::new(name) }
}

fn write(
    target: &mut FileTarget,
    name: &str,
    shape: &Shape,
    [inserts, updates, deletes]: [&Batch; 3],
) -> Result<Written> {
    let mark = Mark { run: "r", batch: 1 };
    target.write(&Changes { table: &table(shape, name), inserts, updates, deletes, mark })
}

/// A file of that name and text, to which rows are written. What it holds then, and once the same is written again.
#[track_caller]
fn check(name: &str, before: Option<&str>, key: usize, expect: &str, counts: [u64; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    if let Some(before) = before {
        fs::write(&path, before).unwrap();
    }
    let mut target = FileTarget::open(&extension(&path), &path, &FileOptions::default()).unwrap();
    let shape = shape(&[("key", Type::Text), ("value", Type::Json)], key);
    let of = |rows: &[&[Value<'_>]]| batch(&shape, rows);
    let inserts = of(&[&[Value::Text("a"), Value::Json("9")], &[Value::Text("d,\"\n"), Value::Json(r#"{"x":1.50}"#)]]);
    let updates = match key {
        0 => of(&[]),
        _ => of(&[&[Value::Text("b"), Value::Json("[5]")], &[Value::Text("gone"), Value::Json("6")]]),
    };
    let deletes = of(&[&[Value::Text("c"), Value::Json("3")], &[Value::Text("never"), Value::Null]]);
    target.begin(&Begin { tables: &[table(&shape, "t")], disable_indexes: false }).unwrap();
    let written = write(&mut target, "t", &shape, [&inserts, &updates, &deletes]).unwrap();
    let after = fs::read_to_string(&path).unwrap();
    assert_eq!((after.as_str(), [written.inserted, written.updated, written.deleted]), (expect, counts), "{name}");
    if key > 0 {
        let again = write(&mut target, "t", &shape, [&inserts, &updates, &deletes]).unwrap();
        assert_eq!((again.inserted, again.deleted), (0, 0), "{name}");
        assert_eq!(fs::read_to_string(&path).unwrap(), expect, "{name}");
    }
    assert_eq!(entries(folder.path()).unwrap(), [path], "nothing is left behind");
    assert!(!target.clean().unwrap());
}

#[test]
fn files_are_written_again_with_the_changes() {
    let new = r#"{"key":"d,\"\n","value":{"x":1.50}}"#;
    let before = r#"[{"key": "a", "more": [1,  2], "value": 1}, {"value": 2, "key": "b"},{"key": "c"}]"#;
    let expect =
        format!("[\n{},\n{},\n{new}\n]", r#"{"key": "a", "more": [1,  2], "value": 1}"#, r#"{"value":[5],"key":"b"}"#);
    check("t.json", Some(before), 1, &expect, [1, 1, 1]);
    let before = r#"{"other": [{"x": 1}], "t": [{"key": "a"}, {"key": "c", "value": 3}] , "last": [ ]}"#;
    let expect =
        format!(r#"{{"other": [{{"x": 1}}], "t": [{}{{"key": "a"}},{}{new}{}] , "last": [ ]}}"#, "\n", "\n", "\n");
    check("t.json", Some(before), 1, &expect, [1, 0, 1]);
    let before = "\u{feff}{\"a\": 1, \"b\": {\"y\": 2}, \"c\": 3}\n";
    let expect = "\u{feff}{\n\"a\":1,\n\"b\":[5],\n\"d,\\\"\\n\":{\"x\":1.50}\n}\n";
    check("t.json", Some(before), 1, expect, [1, 1, 1]);
    check("t.json", None, 1, &format!("[\n{},\n{new}\n]\n", r#"{"key":"a","value":9}"#), [2, 0, 0]);
    let before = "{\"key\": \"a\"}\n\n{\"key\": \"b\", \"value\": 2}\r\n{\"key\": \"c\"}";
    check(
        "t.ndjson",
        Some(before),
        1,
        &format!("{{\"key\": \"a\"}}\n{{\"key\":\"b\",\"value\":[5]}}\n{new}\n"),
        [1, 1, 1],
    );
    check("t.ndjson", None, 1, &format!("{{\"key\":\"a\",\"value\":9}}\n{new}\n"), [2, 0, 0]);
    let before = "value,more,key\n1,x,a\n2,\"y,z\",b\n3,,c\n";
    let expect = "value,more,key\n1,x,a\n[5],\"y,z\",b\n\"{\"\"x\"\":1.50}\",,\"d,\"\"\n\"\n";
    check("t.csv", Some(before), 1, expect, [1, 1, 1]);
    check("t.csv", None, 1, "key,value\na,9\n\"d,\"\"\n\",\"{\"\"x\"\":1.50}\"\n", [2, 0, 0]);
    let before = "key,value\nc,3\nc,3\na,9\n";
    check("t.csv", Some(before), 0, "key,value\nc,3\na,9\na,9\n\"d,\"\"\n\",\"{\"\"x\"\":1.50}\"\n", [2, 0, 1]);
}

#[test]
fn a_batch_that_is_refused_leaves_the_file_as_it_is() {
    let check = |name: &str, ty, value: Value<'_>, expect: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let before = if name.ends_with("csv") { "k,v\nz,\n" } else { r#"{"k":"z"}"# };
        fs::write(&path, before).unwrap();
        let mut target = FileTarget::open(&extension(&path), &path, &FileOptions::default()).unwrap();
        let shape = shape(&[("k", Type::Text), ("v", ty)], 1);
        let (none, rows) =
            (batch(&shape, &[]), batch(&shape, &[&[Value::Text("a"), Value::Null], &[Value::Text("b"), value]]));
        let error = write(&mut target, "t", &shape, [&rows, &none, &none]).unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains(expect)), (Kind::Row, true), "{error}");
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), entries(folder.path()).unwrap()),
            (before, vec![path])
        );
    };
    let json = "column `v` of table `t`: JSON has no way to say this value";
    check("t.ndjson", Type::Real, Value::Real(f64::NAN), json);
    check("t.ndjson", Type::Bytes, Value::Bytes(b"x"), json);
    check("t.ndjson", Type::Text, Value::Malformed(b"\xff"), json);
    check("t.ndjson", Type::Json, Value::Json("null"), json);
    let csv = "column `v` of table `t`: CSV has no way to say this value";
    check("t.csv", Type::Text, Value::Null, csv);
    check("t.csv", Type::Bytes, Value::Bytes(b"x"), csv);
}

#[test]
fn a_folder_has_a_file_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all");
    let mut target = FileTarget::open("json", &path, &FileOptions::default()).unwrap();
    let shape = shape(&[("k", Type::Int)], 1);
    let (none, rows) = (batch(&shape, &[]), batch(&shape, &[&[Value::Int(1)]]));
    target.begin(&Begin { tables: &[table(&shape, "a"), table(&shape, "b")], disable_indexes: false }).unwrap();
    fs::write(path.join("c.csv"), "k\n").unwrap();
    for name in ["b", "c", "d"] {
        write(&mut target, name, &shape, [&rows, &none, &none]).unwrap();
    }
    let read = |it: &str| fs::read_to_string(path.join(it)).unwrap();
    assert_eq!(
        ["a.json", "b.json", "c.csv", "d.json"].map(read),
        ["[]\n", "[\n{\"k\":1}\n]\n", "k\n1\n", "[\n{\"k\":1}\n]\n"]
    );
    for name in ["../x", ".x", ""] {
        assert_eq!(write(&mut target, name, &shape, [&rows, &none, &none]).unwrap_err().kind(), Kind::Plan);
    }
    fs::write(path.join(".cutover-x.partial"), "").unwrap();
    assert!(target.clean().unwrap() && !target.clean().unwrap());
}

#[test]
fn a_file_keeps_who_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("t.json"), folder.path().join("link.json"));
    fs::write(&path, "[]").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let shape = shape(&[("k", Type::Int)], 1);
    let (none, rows) = (batch(&shape, &[]), batch(&shape, &[&[Value::Int(1)]]));
    let mode = |it: &Path| fs::symlink_metadata(it).unwrap().permissions().mode() & 0o777;
    let mut target = FileTarget::open("json", &link, &FileOptions::default()).unwrap();
    write(&mut target, "t", &shape, [&rows, &none, &none]).unwrap();
    assert_eq!((mode(&path), fs::symlink_metadata(&link).unwrap().is_symlink()), (0o644, true));
    let new = folder.path().join("new.ndjson");
    let mut target = FileTarget::open("ndjson", &new, &FileOptions::default()).unwrap();
    write(&mut target, "new", &shape, [&rows, &none, &none]).unwrap();
    assert_eq!(mode(&new), 0o600);
    fs::write(folder.path().join("broken.json"), "[").unwrap();
    let mut target = FileTarget::open("json", &folder.path().join("broken.json"), &FileOptions::default()).unwrap();
    assert_eq!(write(&mut target, "broken", &shape, [&rows, &none, &none]).unwrap_err().kind(), Kind::Store);
    assert!(FileTarget::open("json", &folder.path().join("none/t.json"), &FileOptions::default()).is_err());
}

#[derive(Default)]
struct Taken(Vec<Vec<u8>>);

impl Feed for Taken {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        self.0.extend(batch.rows().map(|it| it.bytes().to_vec()));
        batch.clear();
        Ok(Flow::Continue)
    }
}

fn values() -> impl Strategy<Value = Cell> {
    let moment = (-62_135_596_800_i64..400_000_000_000, prop_oneof![Just(0), 0..1_000_000_000_u32])
        .prop_map(|(seconds, nanos)| Moment { seconds, nanos });
    prop_oneof![
        Just(Cell::Null),
        any::<bool>().prop_map(Cell::Bool),
        any::<i64>().prop_map(Cell::Int),
        prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(3.0)].prop_map(Cell::Real),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{0,20}[1-9])?".prop_map(Cell::Decimal),
        (-1_000_000..1_000_000_i64).prop_map(Cell::Date),
        (0..86_400_000_000_000_u64).prop_map(Cell::Time),
        moment.clone().prop_map(Cell::Timestamp),
        prop_oneof![moment, Just(Moment::FUTURE)].prop_map(Cell::DateTime),
        any::<[u8; 16]>().prop_map(Cell::Uuid),
        prop_oneof![".{0,9}", Just("\r\n\"',\0".to_owned()), Just(String::new()), Just("NULL".to_owned())]
            .prop_map(Cell::Text),
        Just(Cell::Malformed(vec![b'"', 0xff])),
        Just(Cell::Bytes(vec![0, 1])),
        r#"null|true|-?[1-9][0-9]{0,20}|1\.50|"a\\"b"|""|\{"a":\[1,"x"\]\}"#.prop_map(Cell::Json),
    ]
}

#[test]
fn what_is_written_reads_back_as_the_same_cell_or_is_refused() {
    let epoch = prop_oneof![3 => Just(None), 1 => Just(Some(EpochUnit::Millis))];
    let zone = prop_oneof![Just(None), Just(Some("Europe/Oslo"))];
    let cases = (values(), 0..3_usize, 0..Type::ALL.len(), zone, epoch, any::<[bool; 3]>());
    let config =
        ProptestConfig { rng_seed: RngSeed::Fixed(12), failure_persistence: None, ..ProptestConfig::default() };
    let folder = tempfile::tempdir().unwrap();
    let ran = TestRunner::new(config).run(&cases, |(value, kind, ty, zone, epoch, [empty_is_null, marked, first])| {
        let kind = ["json", "ndjson", "csv"][kind];
        let path = folder.path().join(format!("t.{kind}"));
        let _ = fs::remove_file(&path);
        let zone = zone.map(|it| jiff::tz::TimeZone::get(it).unwrap());
        let cast = Cast { zone, epoch, empty_is_null, ..Cast::new(Type::ALL[ty]) };
        // The value stands in the key too, where cells have another form.
        let mut fields = vec![Field::new("v", cast.clone()), Field::new("k", Cast::new(Type::Int))];
        fields.rotate_left(usize::from(first));
        let shape = Arc::new(Shape { fields, key: 1, compared: 2, keyless: false });
        let pair = if first { [Value::Int(1), value.value()] } else { [value.value(), Value::Int(1)] };
        let (rows, none) = (batch(&shape, &[&pair]), batch(&shape, &[]));
        let options = FileOptions { null: marked.then(|| "NULL".to_owned()), ..FileOptions::default() };
        let mut target = FileTarget::open(kind, &path, &options).unwrap();
        match write(&mut target, "t", &shape, [&rows, &none, &none]) {
            Err(error) => prop_assert_eq!(error.kind(), Kind::Row, "{}", error),
            Ok(_) => {
                let mut taken = Taken::default();
                let mut source = super::super::open(kind, &path, &options).unwrap();
                let table = source.tables().unwrap().swap_remove(0);
                source.scan(&table, &shape, &mut taken).unwrap();
                prop_assert_eq!(taken.0, [rows.row(0).bytes().to_vec()], "{:?} {:?} {}", value, cast, kind);
            }
        }
        Ok(())
    });
    ran.unwrap();
}
