//! Whatever is secret holds a canary, which must turn up nowhere: not in what is printed, not in a file that is written.

use super::{
    canary::{CANARY, sweep},
    command::{Done, cutover},
    support::Folder,
};
use std::fs;

/// A folder of stores, with one folder for what runs write and one for what they write meanwhile.
struct Nest {
    folder: Folder,
}

impl Nest {
    fn new(files: &[(&str, &str)]) -> Nest {
        let folder = Folder::new();
        for name in ["out", "tmp"] {
            fs::create_dir(folder.path(name)).expect("a folder");
        }
        for (name, text) in files {
            fs::write(folder.path(name), text).expect("a file");
        }
        Nest { folder }
    }

    /// Runs with secrets in the environment, and looks for them in everything that comes of it.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32, says: &[&str]) {
        let mut command = cutover(&self.folder);
        command.args(arguments).env("TMPDIR", self.folder.path("tmp"));
        for name in ["CLOUDFLARE_API_TOKEN", "EDGE_CONFIG_TOKEN", "VERCEL_TOKEN", "CUTOVER_MASK_KEY", "PGPASSWORD"] {
            command.env(name, format!("{CANARY}{name}"));
        }
        // Nobody listens there.
        command.env("OLD", format!("postgres://user:{CANARY}pw@127.0.0.1:1/app?connect_timeout=5"));
        command.env("WEB", format!("http://user:{CANARY}pw@127.0.0.1:1/rows?token={CANARY}query"));
        let done = Done::new(command.output().expect("the program runs"));
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(!said.contains(CANARY), "{arguments:?}: {said}");
        assert_eq!(done.code, code, "{arguments:?}: {said}");
        let unsaid = says.iter().find(|it| !said.contains(**it));
        assert_eq!(unsaid, None, "{arguments:?}: {said}");
        for name in ["out", "tmp"] {
            sweep(&self.folder.path(name));
        }
        assert_eq!(fs::read_dir(self.folder.path("tmp")).expect("a folder").count(), 0, "{arguments:?}");
    }

    /// Verifies a plan in every way to see the report.
    #[track_caller]
    fn verify(&self, plan: &str, code: i32, says: &[&str]) {
        let report = format!("out/report-{plan}");
        self.run(&["verify", plan, "--verbose", "--output", &report], code, says);
        let recheck = ["--recheck", "1", "--recheck-delay", "1ms"];
        self.run(
            &[&["verify", plan, "--format", "json", "--limit", "2", "--memory", "8MiB"], &recheck[..]].concat(),
            code,
            &[],
        );
    }
}

/// A plan from NDJSON to NDJSON.
fn plan(rest: &str) -> String {
    format!(
        "version = 1\nsource = {{ kind = \"ndjson\", path = \"old.ndjson\" }}\n\
         target = {{ kind = \"ndjson\", path = \"new.ndjson\" }}\ngate.unpaired = [\"new.token\", \"new.key\"]\n{rest}"
    )
}

/// Rows of a key-value store, each with one more way to make an expression fail.
const OLD: &str = r#"{"key":"a","value":{"token":"CANARY-1","links":"CANARY-2","pin":"CANARY-3"}}
{"key":"b","value":"CANARY-4"}
{"key":"c","value":["CANARY-5"]}
{"key":"d","value":{"token":{"CANARY-6":1},"links":[{"url":"CANARY-7"}]}}
"#;

/// What a plan with a secret says of rows that it refuses.
fn refuses(columns: &str, code: i32, says: &[&str]) {
    let text = plan(&format!("[[table]]\ninto = \"new\"\nfrom = \"old\"\nkey = [\"key\"]\n{columns}\n"));
    let new = "{\"key\":\"a\",\"token\":\"CANARY-1\"}\n{\"key\":\"z\",\"token\":\"CANARY-8\"}\n";
    Nest::new(&[("old.ndjson", OLD), ("new.ndjson", new), ("plan.toml", &text)]).verify("plan.toml", code, says);
}

#[test]
fn no_complaint_quotes_a_row() {
    let secret = "token = { from = \".value.token\", secret = true }";
    for (columns, says) in [
        (format!("columns.key = \".key\"\ncolumns.{secret}"), "cannot index a text with \"token\""),
        (
            "columns.key = \".key\"\ncolumns.token = { from = '.value | .token + 1', secret = true }".to_owned(),
            "cannot calculate a text + a number",
        ),
        (format!("where = '.value | test(\"x\")'\ncolumns.key = \".key\"\ncolumns.{secret}"), "where: cannot"),
        (format!("each = '.value | keys | .[]'\ncolumns.key = \".key\"\ncolumns.{secret}"), "each: cannot"),
        (
            format!("columns.key = '.key, error(\"odd \\(.value)\")'\ncolumns.{secret}"),
            "odd …",
        ),
        (format!("columns.key = '.key | error($row.value)'\ncolumns.{secret}"), "refused in words that hold values"),
        (format!("columns.key = '.value | fromjson | .key'\ncolumns.{secret}"), "cannot parse … as JSON: …"),
        // Another column that refuses what the secret one holds.
        (
            "columns.key = { from = \".value.token\", one_of = [\"x\"] }\ncolumns.token = { from = \".value\", secret = true }"
                .to_owned(),
            "one_of",
        ),
        (
            "columns.key = { from = '.value | tojson', matches = \"^x\" }\ncolumns.token = { from = '.value | .token?', secret = true }"
                .to_owned(),
            "matches",
        ),
    ] {
        refuses(&columns, 1, &[says]);
    }
}

#[test]
fn what_a_secret_does_not_touch_is_shown() {
    let old = "{\"key\":\"k-1\",\"value\":{\"token\":\"CANARY-1\",\"url\":\"ftp://x\"}}\n";
    let text = plan(
        "[[table]]\ninto = \"new\"\nfrom = \"old\"\nkey = [\"key\"]\ncolumns.key = \".key\"\n\
         columns.token = { from = \".value.token\", secret = true }\n\
         columns.url = { from = \".value.url\", matches = \"^https\" }\n",
    );
    let new = "{\"key\":\"k-1\",\"token\":\"CANARY-1\",\"url\":\"https://x\"}\n";
    let nest = Nest::new(&[("old.ndjson", old), ("new.ndjson", new), ("plan.toml", &text)]);
    nest.verify("plan.toml", 1, &["k-1", "ftp://x", "matches ^https"]);
}

#[test]
fn answers_of_checks_are_masked() {
    let table = "[[table]]\ninto = \"new\"\nfrom = \"old\"\nkey = [\"key\"]\ncolumns.key = \".key\"\n\
        columns.token = { from = '.value | objects | .token', secret = true }\n";
    let check = |check: &str, says: &[&str]| {
        let text = plan(&format!("{table}[[check]]\nname = \"the check\"\n{check}\n"));
        let new = "{\"key\":\"a\",\"token\":\"CANARY-1\"}\n{\"key\":\"b\",\"token\":\"CANARY-8\"}\n";
        let files = [("old.ndjson", OLD), ("new.ndjson", new), ("plan.toml", text.as_str())];
        Nest::new(&files).verify("plan.toml", 1, says);
    };
    let hidden = "`the check`: \"********\" in the source, \"********\" in the target";
    check("source = '[.[].value]'\ntarget = '[.[].token]'", &[hidden]);
    check("source = '.[1].value'\ntarget = '.[1].token'", &[hidden]);
    check("source = 'length'\ntarget = 'length'", &["`the check`: 4 in the source, 2 in the target"]);
    check("secret = true\nsource = 'length'\ntarget = 'length'", &[hidden]);
    check("secret = false\nsource = '[.[].key]'\ntarget = '[.[].key]'", &["[\"a\",\"b\",\"c\",\"d\"] in the source"]);
    let unanswered = &["cannot calculate a text + a number"];
    check("source = '[.[].value | tostring + 1]'\ntarget = 'length'", unanswered);
    check("source = '.[1].value.x'\ntarget = 'length'", &["cannot index a text with \"x\""]);
}

/// Each way in which rows differ, in columns whose values are all secret.
const SOURCE: &str = "PRAGMA foreign_keys = OFF;
    CREATE TABLE team (id INTEGER PRIMARY KEY, token TEXT, note TEXT);
    INSERT INTO team VALUES (1,'CANARY-a1','x'), (2,'CANARY-a2','x'), (3,'CANARY-a3','x'), (4,NULL,'x');
    CREATE TABLE login (name TEXT PRIMARY KEY, team INTEGER REFERENCES team (id));
    INSERT INTO login VALUES ('CANARY-b1',1), ('CANARY-b2',2), ('CANARY-b3',9);
    CREATE TABLE log (what TEXT);
    INSERT INTO log VALUES ('CANARY-c1'), ('CANARY-c1'), ('CANARY-c2');";
const TARGET: &str = "PRAGMA foreign_keys = OFF;
    CREATE TABLE team (id INTEGER PRIMARY KEY, token INTEGER, note TEXT);
    INSERT INTO team VALUES (1,'CANARY-a9','x'), (2,'CANARY-a2','x'), (4,'CANARY-a4','x'), (5,'CANARY-a5','x');
    CREATE TABLE login (name TEXT PRIMARY KEY, team INTEGER REFERENCES team (id));
    INSERT INTO login VALUES ('CANARY-b1',2), ('CANARY-b4',1), ('CANARY-b3',8);
    CREATE TABLE log (what TEXT);
    INSERT INTO log VALUES ('CANARY-c1'), ('CANARY-c3');";
const PLAN: &str = "version = 1
source = { kind = \"sqlite\", path = \"source.db\" }
target = { kind = \"sqlite\", path = \"target.db\" }
[[table]]
into = \"team\"
unique = [[\"token\"]]
columns = { id = \".id\", token = { from = \".token\", secret = true, type = \"int\" }, note = \".note\" }
[[table]]
into = \"login\"
references = [{ columns = [\"name\"], table = \"team\", to = [\"token\"] }]
columns = { name = { from = \".name\", secret = true }, team = \".team\" }
[[table]]
into = \"log\"
columns = { what = { from = '.what | ascii_upcase', secret = true, matches = \"[0-9]$\", one_of = [\"x\"] } }
[[check]]
name = \"tokens\"
source = \"SELECT group_concat(token) FROM team\"
target = \"SELECT group_concat(token) FROM team\"
[[check]]
name = \"no answer\"
source = \"SELECT json(token) FROM team\"
target = \"SELECT 1\"
";

#[test]
fn secrets_of_databases_turn_up_nowhere() {
    let nest = Nest::new(&[("cutover.toml", PLAN)]);
    drop(nest.folder.sqlite("source.db", SOURCE));
    drop(nest.folder.sqlite("target.db", TARGET));
    nest.verify("cutover.toml", 1, &["********", "not int"]);
    nest.run(&["check"], 0, &[]);
    for verb in ["info", "test-connection"] {
        nest.run(&[verb], 0, &["source.db"]);
        nest.run(&[verb, "source.db", "--format", "json"], 0, &["source.db"]);
        nest.run(&[verb, "env:OLD"], 2, &["127.0.0.1"]);
        nest.run(&[verb, "env:WEB", "--format", "json"], 2, &[]);
    }
    nest.run(&["diff", "source.db", "env:OLD"], 2, &["127.0.0.1"]);
    nest.run(&["capture", "env:OLD", "out/none"], 2, &["127.0.0.1"]);
    nest.run(&["init", "source.db", "target.db", "--output", "out/cutover.toml"], 0, &[]);
    let masks = ["--mask", "team.token", "--mask", "login.name", "--mask", "log.what"];
    for side in ["source", "target"] {
        let (database, by_hand, by_plan) = (format!("{side}.db"), format!("out/{side}"), format!("out/plan-{side}"));
        nest.run(&[&["capture", database.as_str(), by_hand.as_str()], &masks[..]].concat(), 0, &["captured"]);
        nest.run(&["capture", side, &by_plan, "--plan", "cutover.toml", "--mask", "log.what"], 0, &["captured"]);
        for snapshot in [&by_hand, &by_plan] {
            nest.run(&["show", snapshot, "team"], 0, &[]);
            nest.run(&["show", snapshot, "login", "--format", "json"], 0, &[]);
        }
    }
    nest.run(&["diff", "out/source", "out/target", "--verbose"], 1, &[]);
    nest.run(&["diff", "out/plan-source", "out/plan-target", "--format", "json"], 1, &[]);
}

#[test]
fn secrets_of_files_turn_up_nowhere() {
    let text = plan(
        "[[table]]\ninto = \"new\"\nfrom = \"old\"\nkey = [\"key\"]\ncolumns.key = \".key\"\n\
         columns.token = { from = \".value.token\", secret = true }\n",
    );
    let new = "{\"key\":\"a\",\"token\":\"CANARY-9\"}\n{\"key\":\"z\",\"token\":\"CANARY-8\"}\n";
    let broken = "{\"key\":\"a\",\"value\":\"CANARY-1\"}\n{\"key\":\"b\",\"value\":\"CANARY-2\nCANARY-3";
    let files = [("old.ndjson", OLD), ("new.ndjson", new), ("cutover.toml", &text), ("broken.ndjson", broken)];
    let nest = Nest::new(&files);
    nest.verify("cutover.toml", 1, &["********"]);
    nest.run(&["check"], 0, &[]);
    nest.run(&["info", "--detailed"], 0, &[]);
    nest.run(&["test-connection"], 0, &[]);
    nest.run(&["show", "broken.ndjson", "broken"], 2, &["broken.ndjson:"]);
    nest.run(&["diff", "broken.ndjson", "new.ndjson"], 2, &["broken.ndjson:"]);
    nest.run(&["capture", "broken.ndjson", "out/none"], 2, &["broken.ndjson:"]);
    nest.run(&["capture", "old.ndjson", "out/old", "--mask", "old.value"], 0, &[]);
    nest.run(&["show", "out/old", "old"], 0, &["masked:"]);
    let by_plan = ["capture", "source", "out/source", "--plan", "cutover.toml"];
    nest.run(&by_plan, 2, &["`new.token` is secret and computed"]);
    nest.run(&[&by_plan[..], &["--mask", "old.value"]].concat(), 0, &[]);
}

/// A plan that spells the columns of its target in other letters, and calls all of them secret but one.
const CASED: &str = r#"version = 1
source = { kind = "sqlite", path = "source.db" }
target = { kind = "sqlite", path = "target.db" }
gate.unpaired = ["log"]
[[table]]
into = "team"
columns.Token = { from = ".key", secret = true }
columns.PIN = { from = ".code", secret = true }
columns.note = ".note"
"#;

/// A database that makes something else of what is inserted into it.
const TWISTED: &str = "DELETE FROM team; CREATE TRIGGER twist AFTER INSERT ON team BEGIN UPDATE team SET";

fn cased() -> Nest {
    let nest = Nest::new(&[("cutover.toml", CASED)]);
    drop(nest.folder.sqlite(
        "source.db",
        "CREATE TABLE team (key TEXT PRIMARY KEY, code TEXT, note TEXT);
        INSERT INTO team VALUES ('CANARY-1', 'CANARY-2', 'a'), ('CANARY-3', 'CANARY-4', 'b');",
    ));
    drop(nest.folder.sqlite("target.db", "CREATE TABLE team (token TEXT PRIMARY KEY, pin TEXT, note TEXT);"));
    nest
}

#[test]
fn columns_in_another_letter_case_are_secret_too() {
    let nest = cased();
    drop(nest.folder.sqlite("target.db", "INSERT INTO team VALUES ('CANARY-1', 'CANARY-5', 'a');"));
    nest.verify("cutover.toml", 1, &["********", "changed"]);
    nest.run(&["analyze"], 0, &["********"]);
    nest.run(&["capture", "target", "out/target", "--plan", "cutover.toml"], 0, &[]);
    nest.run(&["repair"], 2, &["the plan has secret columns"]);
}

#[test]
fn what_goes_back_shows_no_secret() {
    let nest = cased();
    nest.run(&["migrate"], 0, &["2 inserted"]);
    for arguments in [&["backup", "create", "--target"][..], &["backup", "create", "--source"]] {
        let twisted = if arguments.contains(&"--target") { ("target.db", "pin") } else { ("source.db", "code") };
        let before = backups(&nest);
        nest.run(arguments, 0, &[]);
        let id = backups(&nest).into_iter().find(|it| !before.contains(it)).expect("a backup");
        drop(nest.folder.sqlite(twisted.0, &format!("{TWISTED} {} = 'CANARY-7'; END;", twisted.1)));
        nest.run(&["backup", "restore", &id], 0, &["insert 2"]);
        nest.run(&["backup", "restore", &id, "--confirm"], 1, &["changed 2", "********"]);
        drop(nest.folder.sqlite(twisted.0, "DROP TRIGGER twist;"));
        nest.run(&["backup", "restore", &id, "--confirm"], 0, &["2 inserted"]);
    }
}

/// The ids of all backups.
fn backups(nest: &Nest) -> Vec<String> {
    let entries = fs::read_dir(nest.folder.path(".cutover/backups")).expect("a folder");
    entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_rollback_shows_no_secret_key() {
    let nest = cased();
    nest.run(&["migrate"], 0, &["2 inserted"]);
    drop(nest.folder.sqlite("target.db", "UPDATE team SET note = 'theirs' WHERE note = 'a';"));
    nest.run(&["rollback"], 0, &["leave 1 that others changed since", "token=\"********\""]);
    nest.run(&["rollback", "--confirm"], 1, &["token=\"********\""]);
}
