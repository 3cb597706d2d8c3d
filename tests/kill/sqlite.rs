//! Into a SQLite file.

use super::{
    killer::Moment,
    support::Folder,
    trial::{self, TARGET, Trial},
};
use rusqlite::Connection;
use std::fs;

struct File(Folder);

/// A file without rows, which is written to while the rest is still compared: more than SQLite keeps in memory.
struct Blank(Folder);

impl Trial for File {
    fn folder(&self) -> &Folder {
        &self.0
    }

    fn rows(&self) -> String {
        let connection = Connection::open(self.0.path("target.db")).expect("the target");
        let all = "SELECT group_concat(it, x'0a') FROM (SELECT 'team ' || id || name AS it FROM teams UNION ALL
            SELECT 'person ' || id || coalesce(team, '-') || name FROM people UNION ALL SELECT 'note ' || text FROM notes ORDER BY 1)";
        connection.query_row(all, [], |it| it.get(0)).expect("rows")
    }
}

impl Trial for Blank {
    fn folder(&self) -> &Folder {
        &self.0
    }

    fn rows(&self) -> String {
        let connection = Connection::open(self.0.path("target.db")).expect("the target");
        let all = "SELECT coalesce(group_concat(id || ' ' || length(name) || ' ' || substr(name, -20), x'0a'), '') FROM people";
        // Where it was not there, there may be no table.
        connection.query_row(all, [], |it| it.get(0)).unwrap_or_default()
    }
}

const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);";

/// `target` is the plan's, without its path.
fn blank(target: &str) -> Blank {
    let folder = Folder::new();
    let rows = (1..=5).map(|it| format!("INSERT INTO people VALUES ({it}, hex(zeroblob(1000000)) || 'name {it}');"));
    folder.sqlite("source.db", &format!("{PEOPLE} {}", rows.collect::<String>()));
    fs::write(folder.path("schema.sql"), PEOPLE).expect("a schema");
    let plan = format!(
        "version = 1\nsource = {{ kind = 'sqlite', path = 'source.db' }}\n\
         target = {{ kind = 'sqlite', path = 'target.db'{target} }}\ntable = [{{ into = 'people' }}]\n"
    );
    fs::write(folder.path("cutover.toml"), plan).expect("a plan");
    Blank(folder)
}

/// Some of the many pages, and of all other writes many.
fn some(moment: &Moment) -> bool {
    if moment.at < 100 { moment.at % 8 == 1 } else { moment.at % 250 == 1 }
}

fn file() -> File {
    let folder = trial::folder("kind = 'sqlite', path = 'target.db'");
    folder.sqlite("target.db", TARGET);
    File(folder)
}

#[test]
fn killed_at_every_write() {
    trial::at_writes(file, |_| true);
}

#[test]
fn killed_at_drawn_moments_and_again_while_it_goes_on() {
    trial::at_drawn_moments(file);
}

#[test]
fn killed_at_writes_of_a_rollback() {
    trial::at_writes_of_a_rollback(file);
}

#[test]
fn killed_while_it_fills_a_file_without_rows() {
    let made = || {
        let blank = blank("");
        blank.0.sqlite("target.db", PEOPLE);
        blank
    };
    trial::at_writes(made, some);
}

#[test]
fn killed_while_it_makes_a_file() {
    trial::at_writes(|| blank(", schema = 'schema.sql'"), some);
}
