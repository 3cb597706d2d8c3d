//! Connections that are lost, servers that end them, and locks.

use super::{Work, batch, begin, counted, hasty, inserts, open, refused, shape, table};
use crate::postgres::{self, Database};
use cutover::{error::Kind, row::Batch, schema::Table, value::Value};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

fn numbers(table: &Table, many: i64) -> Batch {
    let mut all = batch(&shape(table), &[]);
    (1..=many).for_each(|it| all.push([Value::Int(it), Value::Text("value")]));
    all
}

/// A table with nothing in it.
fn empty() -> (Database, Table) {
    let database = postgres::database();
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let t = table(&database, "t");
    (database, t)
}

const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'cutover'";

/// Waits until whoever writes waits for a lock.
fn until_it_waits(database: &Database) {
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'cutover' AND wait_event_type = 'Lock'";
    while database.execute(waits) == "0" {}
}

/// A session that holds a lock until it is dropped.
struct Holder(std::process::Child);

impl Holder {
    fn new(database: &Database, sql: &str) -> Holder {
        let mut psql = Command::new("psql");
        psql.args(["-XqAt", "-d", &database.url()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut psql = psql.spawn().expect("psql starts");
        let input = psql.stdin.as_mut().expect("its input");
        writeln!(input, "BEGIN; {sql}; SELECT 1;").and_then(|()| input.flush()).expect("it listens");
        let said = psql.stdout.as_mut().expect("its output").read(&mut [0; 8]).expect("it says something");
        assert!(said > 0, "the lock is held");
        Holder(psql)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_backend_that_ends_before_or_while_it_writes() {
    let (database, t) = empty();
    let mut target = open(&database.url());
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    let work = inserts(numbers(&t, 1000));
    assert_eq!(database.execute(TERMINATE), "1");
    refused(work.write(target.as_mut(), &t, 1), Kind::Busy, &[]);
    {
        let _held = Holder::new(&database, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
        thread::scope(|scope| {
            let writer = scope.spawn(|| work.write(target.as_mut(), &t, 1));
            until_it_waits(&database);
            assert_eq!(database.execute(TERMINATE), "1");
            refused(writer.join().expect("it ends"), Kind::Busy, &[]);
        });
    }
    assert_eq!(database.execute("SELECT count(*) FROM t"), "0");
    assert_eq!(work.write(target.as_mut(), &t, 1).expect("it is written"), counted(1000, 0, 0));
    assert_eq!(database.execute("SELECT count(*), count(DISTINCT id) FROM t"), "1000|1000");
}

#[test]
fn a_backend_that_ends_while_it_commits() {
    let (database, t) = empty();
    database.execute(
        "CREATE TABLE fuse (burnt bool); INSERT INTO fuse VALUES (false);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let mut target = open(&database.url());
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    let work = inserts(numbers(&t, 3));
    refused(work.write(target.as_mut(), &t, 1), Kind::Unsure, &[]);
    assert_eq!(target.mark("run", "t").expect("a mark"), Some(0));
    database.execute("DROP TRIGGER late ON t");
    assert_eq!(work.write(target.as_mut(), &t, 1).expect("it is written"), counted(3, 0, 0));
    assert_eq!(target.mark("run", "t").expect("a mark"), Some(1));
}

/// Stands before the server and loses the first answer to a COMMIT; the server has heard it if `passed`.
fn forgetful(port: u16, passed: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let here = listener.local_addr().expect("its address").port();
    let armed = Arc::new(AtomicBool::new(true));
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut server = TcpStream::connect(("127.0.0.1", port)).expect("the server");
            let (mut back, mut to) = (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
            let (armed, lost) = (Arc::clone(&armed), Arc::new(AtomicBool::new(false)));
            let hidden = Arc::clone(&lost);
            thread::spawn(move || {
                let mut some = [0; 4096];
                while let Ok(count @ 1..) = back.read(&mut some) {
                    if hidden.load(Ordering::SeqCst) || to.write_all(&some[..count]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let mut some = [0; 1 << 16];
                while let Ok(count @ 1..) = client.read(&mut some) {
                    if some[..count].ends_with(b"COMMIT\0") && armed.swap(false, Ordering::SeqCst) {
                        lost.store(true, Ordering::SeqCst);
                        if !passed {
                            break;
                        }
                    }
                    if server.write_all(&some[..count]).is_err() {
                        break;
                    }
                }
                let _ = server.shutdown(Shutdown::Both);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    here
}

#[test]
fn an_answer_that_is_lost_is_found_out_about() {
    for passed in [true, false] {
        let (database, t) = empty();
        database.execute("CREATE TABLE _cutover (run text, tbl text, batch bigint, PRIMARY KEY (run, tbl))");
        let port = forgetful(database.server().port(), passed);
        let mut target = open(&format!("postgres://app@127.0.0.1:{port}/{}", database.name()));
        begin(target.as_mut(), std::slice::from_ref(&t), false);
        let work = inserts(numbers(&t, 100));
        refused(work.write(target.as_mut(), &t, 1), Kind::Unsure, &[]);
        let arrived = u64::from(passed);
        assert_eq!(target.mark("run", "t").expect("a mark"), Some(arrived));
        assert_eq!(database.execute("SELECT count(*) FROM t"), (100 * arrived).to_string());
        let done = work.write(target.as_mut(), &t, 1).expect("it is written");
        assert_eq!(done, counted(100 * (1 - arrived), 0, 0));
        assert_eq!(database.execute("SELECT count(*), count(DISTINCT id) FROM t"), "100|100");
    }
}

#[test]
fn a_lock_is_waited_for_only_so_long() {
    let (database, t) = empty();
    let mut target = open(&hasty(&database.url()));
    begin(target.as_mut(), std::slice::from_ref(&t), false);
    let work = Work { inserts: Some(numbers(&t, 2)), updates: Some(numbers(&t, 1)), ..Work::default() };
    let held = Holder::new(&database, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    refused(work.write(target.as_mut(), &t, 1), Kind::Busy, &["55P03"]);
    drop(held);
    assert_eq!(work.write(target.as_mut(), &t, 1).expect("it is written"), counted(2, 0, 0));
}
