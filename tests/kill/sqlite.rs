//! Into a SQLite file.

use super::{
    support::Folder,
    trial::{self, TARGET, Trial},
};
use rusqlite::Connection;

struct File(Folder);

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

fn file() -> File {
    let folder = trial::folder("kind = 'sqlite', path = 'target.db'");
    folder.sqlite("target.db", TARGET);
    File(folder)
}

#[test]
fn killed_at_every_write() {
    trial::at_every_write(file, false);
}

#[test]
fn killed_at_drawn_moments_and_again_while_it_goes_on() {
    trial::at_drawn_moments(file);
}

#[test]
fn killed_at_writes_of_a_rollback() {
    trial::at_writes_of_a_rollback(file);
}
