//! Into D1, on the engine that it runs on.

use super::{
    support::Folder,
    trial::{self, TARGET, Trial},
    workerd::{self, Database},
};

struct Remote(Folder, Database);

impl Trial for Remote {
    fn folder(&self) -> &Folder {
        &self.0
    }

    fn rows(&self) -> String {
        let all = "SELECT 'team' AS what, id, NULL AS team, name FROM teams
            UNION ALL SELECT 'person', id, team, name FROM people
            UNION ALL SELECT 'note', NULL, NULL, text FROM notes ORDER BY 1, 2, 4";
        self.1.execute(all)[0]["results"]["rows"].to_string()
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.1.environment().map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

/// Any id is a fresh database.
fn remote() -> Remote {
    let database = workerd::database();
    database.execute(TARGET);
    Remote(trial::folder("kind = 'd1', id = '${D1_DATABASE_ID}'"), database)
}

#[test]
fn killed_at_every_write() {
    trial::at_writes(remote, trial::if_served);
}

#[test]
fn killed_at_drawn_moments_and_again_while_it_goes_on() {
    trial::at_drawn_moments(remote);
}

#[test]
fn a_disk_that_fails() {
    trial::on_failing_disks(remote);
}
