//! What a plan wants done around a run: hooks, warm caches, timed queries, reminders.

use super::{
    command::{Done, cutover, run},
    server::{Fault, Response, Server},
    support::Folder,
};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc::channel,
};

/// Two rows to migrate, and a plan with more in it.
fn folder(more: &str) -> Folder {
    let folder = Folder::new();
    fs::write(folder.path("people.ndjson"), "{\"id\":1,\"name\":\"mira\"}\n{\"id\":2,\"name\":\"bo\"}\n")
        .expect("rows");
    fs::write(folder.path("schema.sql"), "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);").expect("a schema");
    plan(&folder, more);
    folder
}

fn plan(folder: &Folder, more: &str) {
    let text = format!(
        "version = 1\nsource = {{ kind = \"ndjson\", path = \"people.ndjson\" }}\n\
         target = {{ kind = \"sqlite\", path = \"people.db\", schema = \"schema.sql\" }}\n\
         [[table]]\ninto = \"people\"\nconflict = \"overwrite\"\n{more}"
    );
    fs::write(folder.path("cutover.toml"), text).expect("a plan");
}

fn migrate(folder: &Folder, arguments: &[&str]) -> Done {
    run(folder, &[&["migrate"], arguments].concat())
}

fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path(name)).unwrap_or_else(|it| panic!("{name}: {it}"))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|it| panic!("{it}: {text}"))
}

fn people(folder: &Folder) -> Vec<String> {
    let connection = Connection::open(folder.path("people.db")).expect("the target");
    let mut statement = connection.prepare("SELECT id || ' ' || name FROM people ORDER BY id").expect("a query");
    let rows = statement.query_map([], |it| it.get(0)).expect("rows");
    rows.map(|it| it.expect("a row")).collect()
}

/// Each hook keeps what it is told.
const KEEPING: &str = r#"
[hooks]
before = ["sh", "-c", "cat > before.json; echo said by the hook"]
on_progress = ["sh", "-c", "cat > progress.ndjson"]
after = ["sh", "-c", "cat > after.json"]
on_failure = ["sh", "-c", "cat > failure.json"]
"#;

#[test]
fn hooks_are_told_of_a_run() {
    let folder = folder(KEEPING);
    let looked = migrate(&folder, &["--dry-run"]);
    assert_eq!((looked.code, folder.path("before.json").exists()), (0, false), "a preview calls nobody");

    let done = migrate(&folder, &["--format", "json"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, "said by the hook\n"), "{}", done.stdout);
    let id = &done.json()["id"];
    assert_eq!(parsed(&read(&folder, "before.json")), json!({ "verb": "migrate", "plan": "cutover.toml" }));
    let after = parsed(&read(&folder, "after.json"));
    assert_eq!(
        [&after["format"], &after["verb"], &after["id"]],
        [&json!("cutover-migration/1"), &json!("migrate"), id]
    );
    assert_eq!((&after["verdict"], &after["tables"][0]["inserted"]), (&json!("pass"), &json!(2)));
    assert!(!folder.path("failure.json").exists());

    let lines: Vec<Value> = read(&folder, "progress.ndjson").lines().map(parsed).collect();
    let mut stages: Vec<&str> = lines.iter().map(|it| it["stage"].as_str().expect("a stage")).collect();
    stages.dedup();
    assert_eq!(stages, ["backup", "stage", "apply", "verify"]);
    // The source is read twice for its backup, and both sides for the comparisons, of which the first finds no target.
    for (stage, total) in [("backup", 4), ("stage", 2), ("apply", 2), ("verify", 4)] {
        let last = lines.iter().rfind(|it| it["stage"] == stage).expect("a line");
        assert_eq!(*last, json!({ "stage": stage, "current": total, "total": total, "percentage": 100, "eta": 0 }));
    }

    let history = run(&folder, &["history", "--audit", "--format", "json"]).json();
    let events = history["audit"]["events"].as_array().expect("events").iter().filter(|it| it["event"] == "hook");
    let called: Vec<_> = events.map(|it| (it["detail"]["hook"].clone(), it["detail"]["error"].clone())).collect();
    assert_eq!(called, [(json!("before"), Value::Null), (json!("after"), Value::Null)]);
    assert_eq!(run(&folder, &["verify"]).stderr, "", "to verify calls nobody");
}

#[test]
fn what_the_first_hook_changes_is_migrated() {
    let folder = folder(
        "[hooks]\nbefore = [\"sh\", \"-c\", \"echo '{\\\"id\\\":3,\\\"name\\\":\\\"ada\\\"}' >> people.ndjson\"]\n",
    );
    assert_eq!(migrate(&folder, &[]).code, 0);
    assert_eq!(people(&folder), ["1 mira", "2 bo", "3 ada"]);
}

#[test]
fn nothing_is_written_where_the_first_hook_fails() {
    let folder = folder(&KEEPING.replace("cat > before.json; echo said by the hook", "exit 3"));
    let done = migrate(&folder, &[]);
    let says = "error: nothing was written: the hook `before`: it ended with exit status: 3\n";
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (2, "", says));
    assert!(!folder.path("people.db").exists() && !folder.path("after.json").exists());
    let told = parsed(&read(&folder, "failure.json"));
    assert_eq!((&told["verdict"], &told["id"]), (&json!("unknown"), &json!("")));
    assert_eq!(told["reasons"][0], "nothing was written: the hook `before`: it ended with exit status: 3");
}

#[test]
fn a_run_that_fails_tells_the_other_hook() {
    let folder = folder(KEEPING);
    fs::write(folder.path("people.ndjson"), "{\"id\":1,\"name\":\"mira\"}\n{\"id\":1,\"name\":\"bo\"}\n")
        .expect("rows");
    let done = migrate(&folder, &["--format", "json"]);
    let told = parsed(&read(&folder, "failure.json"));
    assert_eq!((done.code, &told["verdict"], &told["reasons"]), (1, &json!("fail"), &done.json()["reasons"]));
    fs::remove_file(folder.path("people.ndjson")).expect("the source");
    assert_eq!(migrate(&folder, &[]).code, 2);
    assert_eq!(parsed(&read(&folder, "failure.json"))["verdict"], "unknown");
    assert!(!folder.path("after.json").exists());
}

#[test]
fn hooks_that_fail_or_hang_change_nothing() {
    let hooks = r#"
[hooks]
timeout = "200ms"
on_progress = ["sh", "-c", "exec <&-; tail -f /dev/null; true"]
after = ["sh", "-c", "exit 7"]
"#;
    let folder = folder(hooks);
    let done = migrate(&folder, &[]);
    let hangs = "the hook `on_progress`: it did not end within 200ms, and was ended\n";
    let fails = "the hook `after`: it ended with exit status: 7\n";
    assert_eq!((done.code, done.stderr), (0, format!("{hangs}{fails}")), "{}", done.stdout);
    assert!(done.stdout.contains(hangs) && done.stdout.contains(fails), "{}", done.stdout);
    assert_eq!(people(&folder).len(), 2);

    plan(&folder, "[hooks]\non_progress = [\"./nothing\"]\n");
    let done = migrate(&folder, &[]);
    let says = "the hook `on_progress`: cannot start `./nothing`: No such file or directory (os error 2)\n";
    assert_eq!((done.code, done.stderr.as_str()), (0, says));
    assert!(done.stdout.contains(says), "{}", done.stdout);
    let checked = run(&folder, &["check"]);
    assert_eq!(checked.code, 2);
    assert!(checked.stderr.contains("`./nothing` is not there"), "{}", checked.stderr);
}

#[test]
fn an_address_is_told_too() {
    let server = Server::new(|request| match request.path.as_str() {
        "/progress" | "/done" => Response::json("{}"),
        path => Response::text(&format!("CANARY-1 is out of order at {path}, {}", request.query)).status(500),
    });
    let hooks = |after: &str| {
        let url = server.url();
        format!(
            "[hooks]\non_progress = {{ url = \"{url}/progress\" }}\n\
             after = {{ url = \"{url}/{after}\", headers = {{ Authorization = \"Bearer ${{TOKEN}}\" }} }}\n"
        )
    };
    let folder = folder(&hooks("done"));
    let migrate = || {
        let command = cutover(&folder).arg("migrate").env("TOKEN", "CANARY-1").env("HOOK", "CANARY-2").output();
        Done::new(command.expect("the program runs"))
    };
    let done = migrate();
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{}", done.stdout);
    let requests = server.take();
    let told: Vec<_> = requests.iter().filter(|it| it.path == "/done").collect();
    assert_eq!((told.len(), told[0].method.as_str(), &told[0].json()["verdict"]), (1, "POST", &json!("pass")));
    assert_eq!(told[0].header("authorization"), Some("Bearer CANARY-1"));
    let progress: Vec<_> = requests.iter().filter(|it| it.path == "/progress").map(|it| it.json()).collect();
    assert!(!progress.is_empty() && progress.iter().all(|it| it["stage"].is_string()), "{progress:?}");

    plan(&folder, &hooks("${HOOK}"));
    let done = migrate();
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert!(done.stderr.contains("the hook `after`: POST 127.0.0.1:"), "{}", done.stderr);
    assert!(!format!("{}{}", done.stdout, done.stderr).contains("CANARY"), "{} {}", done.stdout, done.stderr);
    assert_eq!(server.take().iter().filter(|it| it.path == "/CANARY-2").count(), 1, "a request is made once");

    plan(&folder, &hooks("${HOOK}?key=${HOOK}&wait"));
    let done = migrate();
    assert!(done.stderr.contains("the hook `after`: POST 127.0.0.1:"), "{}", done.stderr);
    assert!(!format!("{}{}", done.stdout, done.stderr).contains("CANARY"), "{} {}", done.stdout, done.stderr);

    plan(&folder, "[hooks]\nafter = { url = \"http://hooks.example/x\" }\n");
    let done = migrate();
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("the hook `after`") && done.stderr.contains("is not protected"), "{}", done.stderr);
}

#[test]
fn a_cache_is_filled_after_a_migration() {
    let server = Server::new(|request| {
        let first = request.number % 2 == 0;
        match request.path.as_str() {
            "/own" => Response::json("{}").header("x-from", if first { "d1" } else { "kv" }),
            "/usual" => Response::json("{}").header("cf-cache-status", if first { "MISS" } else { "HIT" }),
            "/never" => Response::json("{}").header("cf-cache-status", "DYNAMIC"),
            _ => Response::text("no such page").status(404),
        }
    });
    let check = |warm: &str, code: i32, says: &str| {
        let path = warm.split(' ').next().unwrap_or_default();
        let more = warm.split_once(' ').map_or("", |it| it.1);
        let folder = folder(&format!("[[warm]]\nname = \"config\"\nurl = \"{}{path}\"\n{more}\n", server.url()));
        assert_eq!(migrate(&folder, &["--dry-run"]).code, 0);
        assert!(server.take().is_empty(), "a preview asks nobody");
        let done = migrate(&folder, &[]);
        assert_eq!(done.code, code, "{warm}: {} {}", done.stdout, done.stderr);
        assert!(done.stdout.contains(says), "{warm}: {}", done.stdout);
        assert_eq!(people(&folder).len(), 2, "what was proved stays");
        (done, server.take().len())
    };
    let (done, asked) = check("/usual", 0, "warm `config`: answer 2 of 2 came from the cache (cf-cache-status: HIT)");
    assert_eq!((done.stderr.as_str(), asked), ("", 2));
    check("/own cached = { header = \"X-From\", value = \"kv\" }", 0, "came from the cache (X-From: kv)");
    let says = "warm `config`: answer 2 of 2 did not come from the cache: no header of it says so";
    let (done, _) = check("/never", 0, says);
    assert_eq!(done.stderr, format!("{says}\n"), "a warning");
    let (done, _) = check("/never must = true", 1, says);
    assert!(done.stdout.starts_with("FAIL") && done.stdout.contains("The target holds all of it"), "{}", done.stdout);
    let (_, asked) = check("/gone", 0, "warm `config`: answer 1 of 2: status 404: no such page");
    assert_eq!(asked, 1);
    let (_, asked) = check("/gone?x times = 1", 0, "status 404");
    assert_eq!(asked, 1);
}

#[test]
fn what_a_cache_repeats_is_not_shown() {
    let server = Server::new(|request| match request.path.as_str() {
        "/gone/CANARY-1" => Response::text(&format!("{request:?}")).status(404),
        _ => Response::json("{}").header("x-cache", format!("HIT {}", request.query)),
    });
    let folder = folder("");
    fs::write(folder.path(".env"), "TOKEN=CANARY-4\n").expect("a file");
    for (path, code, says) in [
        ("gone/CANARY-1?key=CANARY-2", 1, "warm `config`: answer 1 of 2: status 404: "),
        ("there?key=CANARY-3", 0, "came from the cache (x-cache: HIT "),
    ] {
        let url = server.url();
        let address = format!("url = \"{url}/{path}\"\nheaders = {{ Authorization = \"Bearer ${{TOKEN}}\" }}");
        plan(&folder, &format!("[[warm]]\nname = \"config\"\nmust = true\n{address}\n"));
        let done = migrate(&folder, &[]);
        assert_eq!(done.code, code, "{} {}", done.stdout, done.stderr);
        assert!(done.stdout.contains(says), "{}", done.stdout);
        let history = run(&folder, &["history", "--audit"]).stdout;
        assert!(!format!("{}{}{history}", done.stdout, done.stderr).contains("CANARY"), "{} {history}", done.stdout);
    }
}

/// Starts a migration, and interrupts it once `begun` has come back.
fn interrupted(folder: &Folder, begun: impl FnOnce()) -> Done {
    let mut command = cutover(folder);
    command.arg("migrate").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program runs");
    begun();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    Done::new(child.wait_with_output().expect("it ends"))
}

#[test]
fn a_run_may_be_interrupted_while_a_cache_is_filled() {
    let (asked, begun) = channel();
    let server = Server::new(move |_| {
        asked.send(()).expect("somebody waits");
        Response::json("{}").fault(Fault::SilentAfter(0))
    });
    let folder = folder(&format!("[[warm]]\nname = \"config\"\nmust = true\nurl = \"{}\"\n", server.url()));
    let done = interrupted(&folder, || begun.recv().expect("it is asked"));
    assert_eq!(done.code, 130, "{} {}", done.stdout, done.stderr);
    let says = "UNKNOWN  2 inserted, 0 updated, 0 refused by the target\n         warm `config`: it was interrupted\n";
    assert!(done.stdout.starts_with(says), "{}", done.stdout);
    assert!(done.stdout.contains("next: cutover migrate cutover.toml    to do what is left"), "{}", done.stdout);
    assert_eq!(people(&folder).len(), 2, "what was proved stays");
}

#[test]
fn a_hook_that_follows_a_run_may_be_interrupted() {
    let folder = folder("[hooks]\nafter = [\"sh\", \"-c\", \"echo > begun; sleep 60\"]\n");
    let pipe = folder.path("begun");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let done = interrupted(&folder, || drop(fs::read(&pipe).expect("the hook has begun")));
    let says = "the hook `after`: it was interrupted, and was ended\n";
    assert_eq!((done.code, done.stderr.as_str()), (0, says), "{}", done.stdout);
    assert!(done.stdout.starts_with("DONE") && done.stdout.contains(says), "{}", done.stdout);
}

#[test]
fn whoever_interrupts_twice_leaves_no_hook_behind() {
    let hooks = r#"
[hooks]
before = ["sh", "-c", "echo > begun; sleep 30"]
on_failure = ["sh", "-c", "exec 3> told; echo on >&3; sleep 30; echo late >&3"]
"#;
    let folder = folder(hooks);
    let pipes = ["begun", "told"].map(|it| folder.path(it));
    assert!(Command::new("mkfifo").args(&pipes).status().expect("mkfifo runs").success());
    let mut child = cutover(&folder).arg("migrate").stderr(Stdio::null()).spawn().expect("the program runs");
    let interrupt = |id: u32| {
        let killed = Command::new("kill").args(["-INT", &id.to_string()]).status().expect("kill runs");
        assert!(killed.success());
    };
    drop(fs::read(&pipes[0]).expect("the first hook has begun"));
    interrupt(child.id());
    let (mut told, mut line) = (BufReader::new(File::open(&pipes[1]).expect("a pipe")), String::new());
    told.read_line(&mut line).expect("the other hook is called all the same");
    interrupt(child.id());
    told.read_to_string(&mut line).expect("text");
    assert_eq!((line.as_str(), child.wait().expect("it ends").code()), ("on\n", Some(130)));
    assert!(!folder.path("people.db").exists());
}

#[test]
fn queries_are_timed_on_both_sides() {
    let query = |limit: &str| {
        format!(
            "[[query]]\nname = \"all\"\nsource = \"length\"\ntarget = \"SELECT count(*) FROM people\"\nruns = 3\n{limit}\n"
        )
    };
    let folder = folder(&query("within = \"1m\""));
    let done = migrate(&folder, &["--format", "json"]);
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    assert_eq!(report["queries"], Value::Null, "all that differs each time is within `timing`");
    let timed = &report["timing"]["queries"][0];
    assert_eq!([&timed["name"], &timed["verdict"], &timed["runs"]], [&json!("all"), &json!("pass"), &json!(3)]);
    assert!(timed["source"].as_f64().is_some_and(|it| it > 0.0), "{timed}");

    let verified = run(&folder, &["verify", "--format", "json"]).json();
    let queries = &verified["timing"]["queries"];
    assert_eq!((&verified["verdict"], &queries[0]["within"]), (&json!("pass"), &json!(60.0)));
    let text = run(&folder, &["verify"]).stdout;
    assert!(text.contains("Query timings\n") && text.contains("within 60s"), "{text}");

    plan(&folder, &query("faster = 1000000000"));
    let reason = "query `all`: the target is not 1000000000 times faster than the source";
    let verified = run(&folder, &["verify", "--format", "json"]);
    assert_eq!((verified.code, &verified.json()["reasons"]), (1, &json!([reason])));
    let done = migrate(&folder, &[]);
    assert_eq!(done.code, 1, "{}", done.stdout);
    assert!(done.stdout.contains(reason) && done.stdout.contains("The target holds all of it"), "{}", done.stdout);
    assert_eq!(people(&folder).len(), 2, "what was proved stays");

    plan(&folder, &query("within = \"1m\"").replace("FROM people", "FROM nowhere"));
    let verified = run(&folder, &["verify", "--quiet"]);
    assert_eq!(verified.code, 2, "{}", verified.stdout);
    assert!(verified.stdout.contains("query `all`: no answer of the target"), "{}", verified.stdout);
    let checked = run(&folder, &["check"]);
    assert!(checked.code == 2 && checked.stderr.contains("no such table: nowhere"), "{}", checked.stderr);
}

#[test]
fn reminders_stand_below_a_run_that_passed() {
    let folder = folder("[migrate]\nreminders = [\"tell support\", \"archive the logs\"]\n");
    assert!(!migrate(&folder, &["--dry-run"]).stdout.contains("tell support"));
    let done = migrate(&folder, &[]);
    assert!(done.stdout.contains("\nRemember:\n- tell support\n- archive the logs\n"), "{}", done.stdout);
    let json = migrate(&folder, &["--format", "json"]).json();
    assert_eq!(json["reminders"], json!(["tell support", "archive the logs"]));
    fs::write(folder.path("people.ndjson"), "{\"id\":1,\"name\":\"mira\"}\n{\"id\":1,\"name\":\"bo\"}\n")
        .expect("rows");
    assert!(!migrate(&folder, &[]).stdout.contains("tell support"));
}

#[test]
fn a_second_run_transfers_what_changed_since() {
    let folder = folder("");
    assert_eq!(migrate(&folder, &[]).code, 0);
    // A trigger counts what is really written.
    folder.sqlite(
        "people.db",
        "CREATE TABLE written (id INTEGER, how TEXT);
         CREATE TRIGGER inserted AFTER INSERT ON people BEGIN INSERT INTO written VALUES (new.id, 'insert'); END;
         CREATE TRIGGER updated AFTER UPDATE ON people BEGIN INSERT INTO written VALUES (new.id, 'update'); END;",
    );
    plan(&folder, "[gate]\nunpaired = [\"written\"]\n");
    let rows = "{\"id\":1,\"name\":\"mira\"}\n{\"id\":2,\"name\":\"bob\"}\n{\"id\":3,\"name\":\"ada\"}\n";
    fs::write(folder.path("people.ndjson"), rows).expect("rows");
    let done = migrate(&folder, &["--format", "json"]);
    assert_eq!(done.code, 0, "{} {}", done.stdout, done.stderr);
    let table = &done.json()["tables"][0];
    let counts = ["same", "insert", "update", "inserted", "updated", "batches"].map(|it| table[it].as_u64());
    assert_eq!(counts, [1, 1, 1, 1, 1, 1].map(Some));
    assert_eq!(people(&folder), ["1 mira", "2 bob", "3 ada"]);
    let connection = Connection::open(folder.path("people.db")).expect("the target");
    let mut statement = connection.prepare("SELECT how || ' ' || id FROM written ORDER BY id").expect("a query");
    let written: Vec<String> = statement.query_map([], |it| it.get(0)).expect("rows").map(Result::unwrap).collect();
    assert_eq!(written, ["update 2", "insert 3"], "rows that are there are not touched");
}
