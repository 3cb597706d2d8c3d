//! What README.md and the pages of `docs/` type in `sh` blocks is run: each block in a folder that has what it speaks of, against
//! real servers, one line after the other. The lines of docs/migrate.md are run by `tests/readme.rs`, and the pages of the guides set
//! variables in such blocks and nothing else.

use super::{
    miniflare, page, postgres,
    vercel::{READ_TOKEN, Vercel},
    workerd::{self, Database},
};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BINARY: &str = env!("CARGO_BIN_EXE_cutover");

/// Tables that SQLite, D1 and Postgres take, with rows.
const TABLES: &str = "\
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
    CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, product_id INTEGER REFERENCES products (id));
    INSERT INTO users VALUES (41, 'Mira', 'mira@example.test'), (42, 'Bo', 'bo@example.test');
    INSERT INTO products VALUES (1, 'mug');
    INSERT INTO orders VALUES (7, 1);";
/// One row differs.
const CHANGE: &str = "UPDATE users SET email = 'bo@elsewhere.test' WHERE id = 42";

const PLAN: &str = "\
version = 1
source = { kind = 'sqlite', path = 'app.sqlite' }
target = { kind = 'sqlite', path = 'target.db' }
table = [{ into = 'users' }, { into = 'products' }, { into = 'orders' }]
";

/// The plan of somebody who clears a browser.
const BROWSER: &str = "\
version = 1
source = { kind = 'local-storage', path = 'browser.json', origin = 'https://notes.example.test' }
target = { kind = 'ndjson', path = 'notes.ndjson' }
table = [{ into = 'notes', key = ['id'], columns = { id = '.key', text = '.value' } }]
";

/// The services that lines speak of.
struct Services {
    database: Database,
    namespace: miniflare::Namespace,
    vercel: Vercel,
    shop: String,
}

/// The blocks whose lines are commands, each with its page.
fn blocks() -> Vec<(String, String)> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).expect("pages").map(|it| it.expect("an entry").path());
    let mut pages: Vec<PathBuf> = docs.filter(|it| it.extension().is_some_and(|it| it == "md")).collect();
    pages.push(Path::new(ROOT).join("README.md"));
    pages.retain(|it| !it.ends_with("migrate.md"));
    pages.sort();
    let of = |page: PathBuf| {
        let name = page.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&page).expect("a page");
        page::blocks(&text, "sh").into_iter().map(|it| (name.clone(), it)).collect::<Vec<_>>()
    };
    pages.into_iter().flat_map(of).collect()
}

/// Makes a folder with all that a block may name.
fn home(block: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    for name in ["app.sqlite", "old.sqlite", "new.sqlite", "shop.db", "target.db"] {
        let file = rusqlite::Connection::open(home.path().join(name)).expect("a database");
        file.execute_batch(TABLES).expect("rows");
        // Who watches looks again and again at what differs.
        if name == "new.sqlite" || name == "target.db" && !block.contains("cutover watch") {
            file.execute_batch(CHANGE).expect("a difference");
        }
    }
    fs::write(home.path().join("target.sql"), TABLES).expect("a dump");
    fs::write(home.path().join("browser.json"), r#"{"note:1":"milk"}"#).expect("a browser");
    fs::write(home.path().join("notes.ndjson"), r#"{"id":"note:1","text":"milk"}"#).expect("a target");
    let plan = if block.contains("cutover clear") { BROWSER } else { PLAN };
    for name in
        ["prod.toml", "cutover.toml"].into_iter().filter(|it| *it == "prod.toml" || !block.contains("cutover init "))
    {
        fs::write(home.path().join(name), plan).expect("a plan");
    }
    fs::create_dir_all(home.path().join(".local/share/bash-completion/completions")).expect("a folder");
    let profiles = Path::new(ROOT).join("fixtures/local-storage-to-postgres/profiles");
    for (profile, to) in [("chromium", ".config/chromium"), ("firefox", ".mozilla/firefox/ab12cd34.default-esr")] {
        let to = home.path().join(to);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let copied = Command::new("cp").arg("-r").arg(profiles.join(profile)).arg(to).status().expect("cp");
        assert!(copied.success());
    }
    home
}

impl Services {
    /// A shell in that folder.
    fn shell(&self, line: &str, home: &Path) -> Command {
        let [binary, psql] =
            [Path::new(BINARY).with_file_name(""), postgres::programs()].map(|it| it.display().to_string());
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(home).env_clear().env("HOME", home).env("LC_ALL", "C.UTF-8");
        shell.env("PATH", format!("{binary}:{psql}:/usr/bin:/bin"));
        shell.envs(["DATABASE_URL", "OLD_URL", "NEW_URL"].map(|it| (it, &self.shop)));
        shell.env("EDGE_CONFIG", self.vercel.connection(READ_TOKEN));
        match line.contains("kv:") {
            true => shell.envs(self.namespace.variables()),
            false => shell.envs(self.database.environment()),
        };
        shell
    }

    /// Runs a line, and says what is wrong with what came of it.
    fn run(&self, line: &str, home: &Path) -> Option<String> {
        // The name of a namespace is that of the test's server.
        let line = line.replace("USERS", &self.namespace.title);
        let output = self.shell(&line, home).output().expect("a shell");
        let [said, error] = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
        let well = matches!(output.status.code(), Some(0 | 1)) && !error.contains("error:");
        (!well).then(|| format!("$ {line}\n{said}{error}"))
    }

    /// Runs what goes on for hours, until its first line, and ends it as a person would.
    fn watch(&self, line: &str, home: &Path) -> Option<String> {
        let command = self.shell(&format!("exec {line}"), home).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = command.expect("a shell");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        output.read_line(&mut first).expect("a line");
        let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
        output.read_to_string(&mut first).expect("text");
        let ended = child.wait_with_output().expect("it ends");
        let error = String::from_utf8_lossy(&ended.stderr);
        let well = killed.success() && ended.status.code() == Some(130);
        (!well).then(|| format!("$ {line}\n{first}{error}"))
    }
}

#[test]
fn guides_only_set_variables_where_nothing_is_run() {
    for page in fs::read_dir(Path::new(ROOT).join("docs/guides")).expect("pages") {
        let text = fs::read_to_string(page.expect("an entry").path()).expect("a page");
        for block in page::blocks(&text, "sh") {
            assert!(block.lines().all(|it| it.starts_with("export ") || it.trim_start().starts_with('#')), "{block}");
        }
    }
}

#[test]
fn what_is_typed_works() {
    let (database, namespace) = (workerd::database(), miniflare::namespace());
    namespace.put_all(&[("user:1", br#"{"name":"Mira"}"#, None, None)]);
    let shop = Database { id: database.create("shop"), ..database };
    shop.execute(TABLES);
    let server = postgres::database();
    server.execute(TABLES);
    let items = [("greeting".to_owned(), serde_json::json!("hello"))];
    let services =
        Services { database: shop, namespace, vercel: Vercel::new(items.into_iter().collect()), shop: server.url() };
    let (mut count, mut wrong) = (0, Vec::new());
    for (page, block) in blocks() {
        let home = home(&block);
        for line in block.lines().map(|it| it.split("  #").next().unwrap_or_default().trim_end()) {
            let said = match line.split(' ').next().unwrap_or_default() {
                // Services are named by the test, and to build it once more for its users takes minutes.
                "export" | "cargo" | "" => continue,
                _ if line.starts_with("cutover watch") => services.watch(line, home.path()),
                _ => services.run(line, home.path()),
            };
            count += 1;
            wrong.extend(said.map(|it| format!("{page}: {it}")));
        }
    }
    assert!(count > 40, "{count} lines");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
