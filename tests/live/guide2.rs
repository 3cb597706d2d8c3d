//! The fixture `kv-to-postgres` with a real Postgres on both sides: what passes as files passes there, and what Postgres itself or a
//! script does to the data is found.

use crate::postgres::{Database, database};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kv-to-postgres");

/// In the order of their references.
const TABLES: [&str; 6] = ["clients", "catalogs", "sites", "products", "employees", "orders"];

/// A defect, and the finding that must come of it.
struct Fault {
    about: &'static str,
    /// SQL for the source and for the target.
    source: &'static str,
    target: &'static str,
    table: &'static str,
    kind: &'static str,
    key: Value,
    column: &'static str,
    /// Totals that are not as without the fault.
    totals: Value,
}

fn read(name: &str) -> String {
    let path = Path::new(FIXTURE).join(name);
    fs::read_to_string(&path).unwrap_or_else(|it| panic!("{}: {it}", path.display()))
}

fn source() -> Database {
    let database = database();
    database.execute(&read("source.postgres.sql"));
    database
}

/// The rows of the fixture's files, as Postgres itself reads them.
fn target() -> Database {
    let database = database();
    database.execute(&read("schema.postgres.sql"));
    for table in TABLES {
        let rows = read(&format!("target/{table}.ndjson")).lines().collect::<Vec<_>>().join(",");
        database.execute(&format!(
            "INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $rows$[{rows}]$rows$)"
        ));
    }
    database
}

/// The plan of the fixture, where nothing but the stores is another.
fn plan() -> String {
    let store = |variable: &str| format!("kind = \"postgres\"\nurl = \"${{{variable}}}\"");
    let mut plan = read("cutover.toml");
    for (file, variable) in [
        ("kind = \"ndjson\"\npath = \"source/kv_store_ab12cd34.ndjson\"", "SOURCE_URL"),
        ("kind = \"json\"\npath = \"target\"", "TARGET_URL"),
    ] {
        assert_eq!(plan.matches(file).count(), 1, "{file}");
        plan = plan.replace(file, &store(variable));
    }
    plan
}

/// Verifies, and gives the exit code, the report and what was said beside it.
fn verify(source: &Database, target: &Database) -> (Option<i32>, Value, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("cutover.toml"), plan()).expect("the plan is written");
    fs::create_dir(folder.path().join("expected")).expect("a folder");
    for name in ["clients", "products", "orders"] {
        let name = format!("expected/{name}.ndjson");
        fs::write(folder.path().join(&name), read(&name)).expect("expected rows are written");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["verify", "--format", "json"]).current_dir(folder.path()).env_clear();
    command.env("SOURCE_URL", source.url()).env("TARGET_URL", target.url());
    let output = command.output().expect("the program runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_passes_as_files_passes_in_postgres() {
    let (code, report, error) = verify(&source(), &target());
    assert_eq!((code, &report["verdict"]), (Some(0), &json!("pass")), "{error}{:#}", report["reasons"]);
    assert_eq!(report["totals"], totals(&json!({})));
    let notes = report["notes"].to_string();
    assert!(notes.contains("`catalogs:` chose 2 for catalogs"), "{notes}");
    assert!(notes.contains("`settings:`; 0 taken by no table"), "{notes}");
}

/// The totals of the fixture but for these.
fn totals(other: &Value) -> Value {
    let mut totals = json!({
        "source_rows": 1018, "target_rows": 1018, "same": 1018, "changed": 0, "missing": 0, "extra": 0, "duplicates": 0,
        "orphans": 0, "clashes": 0, "rejects": 0, "invalid": 0, "accepted": 0
    });
    for (name, count) in other.as_object().into_iter().flatten() {
        totals[name] = count.clone();
    }
    totals
}

#[track_caller]
fn check(fault: &Fault) {
    let (from, to) = (source(), target());
    from.execute(fault.source);
    to.execute(fault.target);
    let (code, report, error) = verify(&from, &to);
    let about = fault.about;
    assert_eq!((code, &report["verdict"]), (Some(1), &json!("fail")), "{about}: {error}{:#}", report["reasons"]);
    assert_eq!(report["totals"], totals(&fault.totals), "{about}: {:#}", report["reasons"]);
    let tables = report["tables"].as_array().into_iter().flatten().filter(|it| it["name"] == fault.table);
    let is_it =
        |it: &&Value| it["kind"] == fault.kind && it["key"] == fault.key && it["cells"].get(fault.column).is_some();
    let findings: Vec<&Value> = tables.flat_map(|it| it["findings"].as_array().into_iter().flatten()).collect();
    assert!(findings.iter().any(is_it), "{about}: {findings:#?}");
}

#[test]
fn lost_and_dangling_records_are_found() {
    check(&Fault {
        about: "a client that no index lists was not migrated",
        source: "UPDATE kv_store_ab12cd34 SET value = value - '11111111-1111-4111-8111-000000000003' WHERE key = 'clients:all'",
        target: "DELETE FROM clients WHERE name LIKE 'Ōtsuka%'",
        table: "clients",
        kind: "orphan",
        key: json!({ "key": "client:11111111-1111-4111-8111-000000000003" }),
        column: "unindexed",
        totals: json!({ "target_rows": 1017, "same": 1017, "missing": 1, "orphans": 1 }),
    });
    check(&Fault {
        about: "an index lists a gift that is not there",
        source: r#"UPDATE kv_store_ab12cd34 SET value = value || '["gone"]' WHERE key = 'gifts:all'"#,
        target: "",
        table: "products",
        kind: "orphan",
        key: json!({ "key": "gifts:all" }),
        column: "dangling",
        totals: json!({ "orphans": 1 }),
    });
    check(&Fault {
        about: "a listing of 1000 rows was all there was",
        source: "",
        target: "DELETE FROM employees WHERE employee_id > 'E1000'",
        table: "employees",
        kind: "missing",
        key: json!({ "id": "55555555-5555-4555-8555-000000001001" }),
        column: "site_id",
        totals: json!({ "target_rows": 1015, "same": 1015, "missing": 3 }),
    });
}

#[test]
fn changed_values_are_found() {
    let order = json!({ "id": "66666666-6666-4666-8666-000000000001" });
    check(&Fault {
        about: "Postgres rounds a price of three decimals and says nothing",
        source: r#"UPDATE kv_store_ab12cd34 SET value = value || '{"price": 12.345}' WHERE value ->> 'sku' = 'WATCH'"#,
        target: "UPDATE products SET price = 12.345 WHERE sku = 'WATCH'",
        table: "products",
        kind: "changed",
        key: json!({ "id": "44444444-4444-4444-8444-000000000004" }),
        column: "price",
        totals: json!({ "same": 1017, "changed": 1 }),
    });
    check(&Fault {
        about: "an integer of twenty digits went through a double",
        source: "",
        target: "UPDATE orders SET items = jsonb_set(items, '{0,externalId}', '12345678901234567000') \
            WHERE order_number = 'WC-2026-0001'",
        table: "orders",
        kind: "changed",
        key: order.clone(),
        column: "items",
        totals: json!({ "same": 1017, "changed": 1 }),
    });
    check(&Fault {
        about: "microseconds were cut to milliseconds",
        source: "",
        target: "UPDATE orders SET created_at = date_trunc('milliseconds', created_at)",
        table: "orders",
        kind: "changed",
        key: order,
        column: "created_at",
        totals: json!({ "same": 1017, "changed": 1 }),
    });
    check(&Fault {
        about: "the time of the run stands for that of the last change",
        source: "",
        target: "UPDATE clients SET updated_at = now() WHERE client_code = 'NOR'",
        table: "clients",
        kind: "changed",
        key: json!({ "id": "11111111-1111-4111-8111-000000000001" }),
        column: "updated_at",
        totals: json!({ "same": 1017, "changed": 1 }),
    });
}

#[test]
fn broken_constraints_are_found() {
    check(&Fault {
        about: "a reference that a constraint which was never validated lets through",
        source: "",
        target: "ALTER TABLE employees DROP CONSTRAINT employees_site_id_fkey;
            UPDATE employees SET site_id = '33333333-3333-4333-8333-000000000009' WHERE employee_id = 'E0007';
            ALTER TABLE employees ADD FOREIGN KEY (site_id) REFERENCES sites NOT VALID",
        table: "employees",
        kind: "orphan",
        key: json!({ "id": "55555555-5555-4555-8555-000000000007" }),
        column: "site_id",
        totals: json!({ "same": 1017, "changed": 1, "orphans": 1 }),
    });
    check(&Fault {
        about: "the constraint on the codes of clients was left out, and one is taken twice",
        source: r#"UPDATE kv_store_ab12cd34 SET value = value || '{"clientCode": "NOR"}' WHERE value ->> 'clientCode' = 'ZOE'"#,
        target: "ALTER TABLE clients DROP CONSTRAINT clients_client_code_key; UPDATE clients SET client_code = 'NOR' \
            WHERE client_code = 'ZOE'",
        table: "clients",
        kind: "clash",
        key: json!({ "id": "11111111-1111-4111-8111-000000000002" }),
        column: "client_code",
        totals: json!({ "clashes": 2 }),
    });
}

/// No table takes these rows. A `LIKE` would have, since `_` and `%` stand for anything there.
#[test]
fn rows_that_no_table_takes_are_found() {
    let (from, to) = (source(), target());
    from.execute(r#"INSERT INTO kv_store_ab12cd34 VALUES ('client_1', '{}'), ('%', '1')"#);
    let (code, report, error) = verify(&from, &to);
    let reasons = report["reasons"].to_string();
    assert_eq!(code, Some(1), "{error}{reasons}");
    assert!(reasons.contains("rows that no table takes: 2"), "{reasons}");
    assert!(reasons.contains(r#"(\"%\", \"client_1\")"#), "{reasons}");
}
