//! Two figures of the guides, and what they are here: guide 2's times from a key-value table to six tables of Postgres, and guide 1's
//! memory from Django's tables to those of D1.
//!
//! `cargo bench --bench guides -- [rows=100,1000,10000,100000] [runs=5] [CASE…]`. `tables` is a whole `migrate` with its backup from
//! a table `(key, value jsonb)` of Postgres to six tables beside it, by the plan of the fixture; rows are records. `django` is a
//! whole `migrate` of users from Postgres to a SQLite file, by the plan of that fixture; its peak of memory is what counts.

#[path = "../diff/measure.rs"]
mod measure;
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "a harness of tests, which use more of it")]
#[path = "../../tests/support/postgres.rs"]
mod postgres;
#[path = "../diff/wanted.rs"]
mod wanted;

use measure::{Costs, run};
use postgres::Server;
use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::Command,
};
use wanted::Wanted;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is measured.
struct Case {
    name: &'static str,
    fixture: &'static str,
    /// What stands before the tables of the fixture's plan.
    stores: &'static str,
    /// What stands behind them.
    end: &'static str,
    /// Makes the source with so many rows.
    source: fn(&Server, u64) -> Result<()>,
    /// How many rows must be there afterwards, and where they are.
    count: fn(&Server, &Path) -> Result<u64>,
}

static CASES: [Case; 2] = [
    Case {
        name: "tables",
        fixture: "kv-to-postgres",
        stores: "version = 1\nsource = { kind = 'postgres', url = '${SERVER}' }\ntarget = { kind = 'postgres', url = '${SERVER}' }\n",
        end: "unpaired = ['kv_store_ab12cd34', 'clients', 'catalogs', 'sites', 'products', 'employees', 'orders']\n",
        source: key_values,
        count: |server, _| {
            let counts = TABLES.map(|it| format!("(SELECT count(*) FROM {it})")).join(" + ");
            Ok(server.execute("postgres", &format!("SELECT {counts}")).parse()?)
        },
    },
    Case {
        name: "django",
        fixture: "django-to-d1",
        stores: "version = 1\nsource = { kind = 'postgres', url = '${SERVER}' }\n\
            target = { kind = 'sqlite', path = 'target.db', schema = 'schema.sql' }\n",
        end: "allow_empty = true\n",
        source: users,
        count: |_, folder| {
            let there = rusqlite::Connection::open(folder.join("target.db"))?;
            Ok(u64::try_from(there.query_row("SELECT count(*) FROM chesscom_app_user", [], |it| it.get::<_, i64>(0))?)?)
        },
    },
];

const TABLES: [&str; 6] = ["clients", "catalogs", "sites", "products", "employees", "orders"];

/// So many records, and the seconds that guide 2 expects of them.
const EXPECTED: [(u64, f64); 4] = [(100, 10.0), (1_000, 30.0), (10_000, 300.0), (100_000, 1800.0)];

fn main() -> Result<()> {
    // Cargo adds `--bench` for harnesses that need to be told.
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let sized = arguments.iter().any(|it| it.starts_with("rows="));
    let mut wanted = Wanted::read(&arguments, &CASES, |it| it.name)?;
    if !sized {
        wanted.rows = EXPECTED.iter().map(|it| it.0).chain([1_000_000]).collect();
    }
    let out = &mut io::stdout().lock();
    writeln!(out, "Seconds of {} runs: median (least–most); MiB at the peak.\n", wanted.runs)?;
    writeln!(
        out,
        "| case | rows | wall | the guide's | times faster | CPU | MiB |\n|---|---:|---|---:|---:|---|---:|"
    )?;
    let server = Server::start("shared_buffers = 256MB\nmax_wal_size = 4GB\n");
    for &case in &wanted.cases {
        for &rows in &wanted.rows {
            writeln!(out, "{}", case.measure(&wanted, &server, rows)?)?;
            out.flush()?;
        }
    }
    Ok(())
}

impl Case {
    /// Measures whole runs, each into empty tables. A line of the table.
    fn measure(&self, wanted: &Wanted<Case>, server: &Server, rows: u64) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(self.fixture);
        let plan = fs::read_to_string(fixture.join("cutover.toml"))?;
        let tables = &plan[plan.find("[[table]]").ok_or("tables")?..];
        // Rows and counts that were written by hand are those of the fixture's data.
        let own = |it: &&str| !it.starts_with("expect = ") || it.starts_with("expect = [");
        // The checks of the plan are jq over all rows at once, and a million are too many for that.
        let mut asked = true;
        let asked = |it: &&str| {
            if it.starts_with('[') {
                asked = rows <= 100_000 || *it != "[[check]]";
            }
            asked
        };
        let tables: Vec<&str> = tables.lines().filter(own).filter(asked).collect();
        fs::write(folder.path().join("cutover.toml"), format!("{}{}\n{}", self.stores, tables.join("\n"), self.end))?;
        if fixture.join("schema.sql").exists() {
            fs::copy(fixture.join("schema.sql"), folder.path().join("schema.sql"))?;
        }
        let mut costs = Costs::default();
        for _ in 0..wanted.runs {
            (self.source)(server, rows)?;
            drop(fs::remove_dir_all(folder.path().join(".cutover")));
            drop(fs::remove_file(folder.path().join("target.db")));
            let mut command = Command::new(&wanted.binary);
            command.args(["migrate", "--quiet"]).current_dir(folder.path()).env("SERVER", server.url("postgres"));
            let ran = run(&mut command)?;
            let count = (self.count)(server, folder.path())?;
            if ran.status != Some(0) || count != rows {
                return Err(format!("{}: {count} rows of {rows}: {}", self.name, ran.output).into());
            }
            costs.add(ran.cost);
        }
        let (name, wall, cpu, memory) = (self.name, costs.wall(), costs.cpu(), costs.memory());
        let expected = EXPECTED.iter().find(|it| it.0 == rows && self.name == "tables").map(|it| it.1);
        let [guide, times] = [expected, expected.map(|it| it / wall.median)]
            .map(|it| it.map_or_else(String::new, |it| format!("{it:.0}")));
        Ok(format!("| {name} | {rows} | {wall} | {guide} | {times} | {cpu} | {memory} |"))
    }
}

/// A key-value table of so many records: one client, catalogue and site, and of the others a product to seven employees and two
/// orders.
fn key_values(server: &Server, rows: u64) -> Result<()> {
    let (products, orders) = ((rows - 3) / 10, (rows - 3) / 5);
    let employees = rows - 3 - products - orders;
    let id = |kind: u32, number: &str| format!("'{kind}0000000-0000-4000-8000-' || lpad(({number})::text, 12, '0')");
    let (client, catalog, site) = (id(1, "1"), id(2, "1"), id(3, "1"));
    let many = |kind: u32, prefix: &str, count: u64, value: &str| {
        let id = id(kind, "n");
        format!(
            "INSERT INTO kv_store_ab12cd34 SELECT '{prefix}' || {id}, {value} FROM generate_series(1, {count}) AS n;
             INSERT INTO kv_store_ab12cd34 SELECT '{}', coalesce(jsonb_agg({id}), '[]') FROM generate_series(1, {count}) AS n;",
            match prefix {
                "gift:" => "gifts:all",
                "employee:" => "employees:all",
                _ => "orders:all",
            }
        )
    };
    let at = "'createdAt', '2026-01-02T03:04:05.678Z'";
    let schema =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kv-to-postgres/schema.postgres.sql"))?;
    let product = format!(
        "jsonb_build_object('id', {}, 'catalogId', {catalog}, 'sku', 'SKU-' || n, 'name', 'Product ' || n, 'price', n % 100)",
        id(4, "n")
    );
    let employee =
        format!("jsonb_build_object('siteId', {site}, 'employeeId', 'E' || n, 'email', 'e' || n || '@example.test')");
    let order = format!(
        "jsonb_build_object('id', {}, 'clientId', {client}, 'siteId', {site}, 'productId', {}, 'employeeId', {}, 'orderNumber', \
         'WC-' || n, 'customerEmail', 'c' || n || '@example.test', 'status', 'shipped', 'totalAmount', n % 1000, {at})",
        id(6, "n"),
        id(4, &format!("n % {} + 1", products.max(1))),
        id(5, &format!("n % {employees} + 1")),
    );
    let made = [
        format!(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public; {schema}
             CREATE TABLE kv_store_ab12cd34 (key text PRIMARY KEY, value jsonb NOT NULL);
             INSERT INTO kv_store_ab12cd34 VALUES
               ('clients:all', jsonb_build_array({client})), ('catalogs:all', jsonb_build_array({catalog})),
               ('sites:all', jsonb_build_array({site})), ('settings:theme', '{{}}'),
               ('client:' || {client}, jsonb_build_object('id', {client}, 'name', 'Nordlys', 'contactEmail', 'a@example.test', {at})),
               ('catalogs:' || {catalog}, jsonb_build_object('id', {catalog}, 'name', 'Spring', 'type', 'manual')),
               ('site:' || {site}, jsonb_build_object('id', {site}, 'clientId', {client}, 'name', 'Oslo', 'slug', 'oslo'));"
        ),
        many(4, "gift:", products, &product),
        many(5, "employee:", employees, &employee),
        many(6, "order:", orders, &order),
        "ANALYZE kv_store_ab12cd34".to_owned(),
    ];
    server.execute("postgres", &made.join("\n"));
    Ok(())
}

/// So many users as Django keeps them, and none of what refers to them.
fn users(server: &Server, rows: u64) -> Result<()> {
    server.execute(
        "postgres",
        &format!(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public;
             CREATE TABLE chesscom_app_user (
               player_id bigint PRIMARY KEY, username varchar(150) NOT NULL UNIQUE, name varchar(255), url varchar(200),
               country varchar(200), location varchar(255), followers integer NOT NULL, last_online timestamptz, joined timestamptz,
               status varchar(50), league varchar(50), is_streamer boolean NOT NULL, verified boolean NOT NULL,
               is_playing boolean NOT NULL, streaming_platforms jsonb NOT NULL);
             CREATE TABLE chesscom_app_emailsubscription (id bigint PRIMARY KEY, email varchar(254) NOT NULL,
               player_id bigint NOT NULL REFERENCES chesscom_app_user, created_at timestamptz NOT NULL, is_active boolean NOT NULL);
             CREATE TABLE chesscom_app_notificationlog (id bigint PRIMARY KEY,
               subscription_id bigint NOT NULL REFERENCES chesscom_app_emailsubscription, sent_at timestamptz NOT NULL,
               notification_type varchar(50) NOT NULL, success boolean NOT NULL, error_message text);
             INSERT INTO chesscom_app_user SELECT n, 'player' || n, 'Player ' || n, 'https://example.test/' || n, 'NO', NULL, n % 1000,
               to_timestamp(1700000000 + n), to_timestamp(1500000000 + n), 'basic', 'Wood', n % 2 = 0, n % 3 = 0, false,
               '[{{\"type\": \"twitch\", \"channel\": \"x\"}}]' FROM generate_series(1, {rows}) AS n;
             ANALYZE chesscom_app_user"
        ),
    );
    Ok(())
}
