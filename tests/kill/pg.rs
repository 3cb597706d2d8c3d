//! Into Postgres, and with a server that ends connections.

use super::{
    killer::Program,
    postgres::{self, Database},
    support::Folder,
    trial::{self, TARGET, Trial, well},
};
use std::fs;

struct Served<'d>(Folder, &'d Database);

impl Trial for Served<'_> {
    fn folder(&self) -> &Folder {
        &self.0
    }

    fn rows(&self) -> String {
        self.1.execute(
            "SELECT 'team', id, name FROM teams ORDER BY id; SELECT 'person', id, team, name FROM people ORDER BY id;
            SELECT 'note', text FROM notes ORDER BY text",
        )
    }

    fn variables(&self) -> Vec<(String, String)> {
        vec![("TARGET".to_owned(), self.1.url())]
    }
}

fn served(database: &Database) -> Served<'_> {
    database.execute(&format!("DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TARGET}"));
    Served(trial::folder("kind = 'postgres', url = '${TARGET}'"), database)
}

#[test]
fn killed_at_every_write() {
    let database = postgres::database();
    trial::at_writes(|| served(&database), trial::if_served);
}

#[test]
fn killed_at_drawn_moments_and_again_while_it_goes_on() {
    let database = postgres::database();
    trial::at_drawn_moments(|| served(&database));
}

#[test]
fn a_disk_that_fails() {
    let database = postgres::database();
    trial::on_failing_disks(|| served(&database));
}

/// The server ends the connection when so many rows are there, once: the run tries again and ends as it should.
#[test]
fn a_backend_that_is_ended() {
    let database = postgres::database();
    let (_, after) = trial::reference(&|| served(&database));
    for rows_there in [1, 3, 5] {
        let trial = served(&database);
        database.execute(&format!(
            "CREATE SEQUENCE once; CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (SELECT count(*) FROM people) >= {rows_there} AND nextval('once') = 1 THEN
                    PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN new; END $$;
            CREATE TRIGGER strike BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION strike()"
        ));
        let program = Program { folder: trial.folder(), variables: trial.variables() };
        let ended = program.run(&["migrate"]);
        well(&ended, &format!("ended at {rows_there} rows"));
        assert_eq!(trial.rows(), after, "{} {}", ended.stdout, ended.stderr);
    }
}

/// One of two connections that write to the same table is ended, once; no key says which rows are there already.
#[test]
fn one_backend_of_two_that_is_ended() {
    let database = postgres::database();
    for row in [1, 40, 119] {
        let folder = Folder::new();
        let rows = (0..120).map(|it| format!("INSERT INTO notes VALUES ('note {}');", it / 2)).collect::<String>();
        folder.sqlite("source.db", &format!("CREATE TABLE notes (text TEXT); {rows}"));
        let plan = "version = 1\nsource = { kind = 'sqlite', path = 'source.db' }\n\
            target = { kind = 'postgres', url = '${TARGET}' }\ntable = [{ into = 'notes', key = [] }]\n\
            migrate = { batch_size = 3, backoff = 0.01, backup = false }\n";
        fs::write(folder.path("cutover.toml"), plan).expect("a plan");
        database.execute(&format!(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE SEQUENCE rows;
            CREATE FUNCTION strike() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('rows') = {row} THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN true; END $$;
            CREATE TABLE notes (text TEXT CHECK (strike()))"
        ));
        let variables = vec![("TARGET".to_owned(), database.url())];
        let ended = Program { folder: &folder, variables }.run(&["migrate"]);
        let what = format!("ended at row {row}");
        well(&ended, &what);
        let counted = database.execute("SELECT count(*) || ',' || count(DISTINCT text) FROM notes");
        assert_eq!(counted, "120,60", "{what}: {} {}", ended.stdout, ended.stderr);
        assert_eq!(database.execute("SELECT count(*) FROM _cutover WHERE batch > 0"), "2", "{what}");
        assert!(ended.stderr.contains("trying again"), "{what}: {}", ended.stderr);
    }
}
