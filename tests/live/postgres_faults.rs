//! What becomes of a comparison when the way to Postgres breaks: never a shorter table, and never a run without an end.

use crate::postgres::{self, Database};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Output},
    thread,
};

/// What happens on the way from the server, after so many bytes of a connection.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Close(usize),
    /// Nothing comes any more, and the connection stays.
    Silence(usize),
    /// Every byte comes by itself.
    Trickle,
    /// One byte is another.
    Flip(usize),
}

/// Stands before the server at `port`; on the port that is given, things go wrong.
fn before(port: u16, fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let here = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).expect("the server");
            let (mut from, mut to) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || spoil(server, client, fault));
        }
    });
    here
}

fn spoil(mut from: TcpStream, mut to: TcpStream, fault: Fault) {
    let (mut buffer, mut seen) = ([0; 4096], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let some = &mut buffer[..count];
        let sent = match fault {
            Fault::Close(at) | Fault::Silence(at) if seen + count > at => {
                let _ = to.write_all(&some[..at - seen]);
                if let Fault::Silence(_) = fault {
                    // Until the client has had enough.
                    let _ = to.read_to_end(&mut Vec::new());
                }
                break;
            }
            Fault::Trickle => some.iter().try_for_each(|byte| to.write_all(&[*byte])),
            Fault::Flip(at) if (seen..seen + count).contains(&at) => {
                some[at - seen] ^= 0x40;
                to.write_all(some)
            }
            _ => to.write_all(some),
        };
        if sent.is_err() {
            break;
        }
        seen += count;
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// A table of some hundred kilobytes.
fn database() -> Database {
    let database = postgres::database();
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL);
         INSERT INTO t SELECT n, repeat(md5(n::text), 10) FROM generate_series(1, 1000) AS n; ANALYZE t",
    );
    database
}

/// Compares the database with itself, where the target is read through what is at `port`.
fn diff(database: &Database, port: u16) -> Output {
    let source = database.url();
    let target = format!("postgres://app@127.0.0.1:{port}/{}?connect_timeout=2&socket_timeout=2", database.name());
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["diff", &source, &target, "--format", "json", "--threads", "1"]).env_clear();
    command.output().expect("the program runs")
}

#[track_caller]
fn check(database: &Database, fault: Fault) -> bool {
    let output = diff(database, before(database.server().port(), fault));
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => {
            let report: serde_json::Value = serde_json::from_str(&said).expect("a report");
            assert_eq!(report["totals"]["same"], 1000, "{fault:?}: {said}");
            true
        }
        Some(2) => {
            assert!(!format!("{said}{complaint}").contains("panicked"), "{fault:?}: {complaint}");
            false
        }
        code => panic!("{fault:?}: {code:?} {said} {complaint}"),
    }
}

#[test]
fn a_connection_that_breaks_gives_no_verdict() {
    let database = database();
    for at in [0, 1, 9, 100, 500, 2_000, 10_000, 50_000, 200_000, 330_000] {
        assert!(!check(&database, Fault::Close(at)), "it ended after {at} bytes");
    }
    assert!(check(&database, Fault::Close(usize::MAX)), "nothing breaks");
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let database = database();
    for at in [0, 100, 2_000, 100_000] {
        assert!(!check(&database, Fault::Silence(at)), "nothing came after {at} bytes");
    }
}

#[test]
fn bytes_that_come_one_by_one_are_all_there() {
    assert!(check(&database(), Fault::Trickle));
}

/// A flipped bit inside a value is a value, which TLS is for. Anywhere else it must not end in fewer rows or in a panic.
#[test]
fn a_damaged_stream_gives_all_rows_or_none() {
    let database = database();
    for at in (0..12_000).step_by(397) {
        let output = diff(&database, before(database.server().port(), Fault::Flip(at)));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!complaint.contains("panicked"), "{at}: {complaint}");
        if output.status.code() != Some(2) {
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
            assert_eq!(report["totals"]["target_rows"], 1000, "{at}: {report}");
        }
    }
}
