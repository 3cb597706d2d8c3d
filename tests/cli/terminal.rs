//! A person at a terminal, who is asked about rows that the target holds with other values.

use super::{
    command::{cutover, run},
    migrate::{ALL, MEMBERS, ask, folder, plan},
    support::Folder,
};
use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

const PROMPT: &str = "[k]eep the target's, [o]verwrite, [K]eep all, [O]verwrite all, [s]top? ";

/// Two members that are there with other e-mails and without times.
const THERE: &str = "INSERT INTO teams VALUES (1, 'red'), (2, 'blue');
    INSERT INTO members VALUES (1, 1, 'a@b', NULL, NULL), (2, 2, 'c@d', NULL, NULL);";

/// Migrates on a terminal, with somebody who types an answer whenever there is a question, and hesitates over a wrong one. The
/// exit code, and what was seen.
fn answered(folder: &Folder, answers: &[&str]) -> (Option<i32>, String) {
    let line = format!("{} migrate --no-backup", cutover(folder).get_program().to_string_lossy());
    let mut terminal = Command::new("script");
    terminal
        .args(["-qec", &line, "/dev/null"])
        .current_dir(folder.path(""))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a terminal");
    let (mut hands, mut eyes) = (terminal.stdin.take().expect("a pipe"), terminal.stdout.take().expect("a pipe"));
    let (mut seen, mut some) = (Vec::new(), [0; 4096]);
    for (number, answer) in answers.iter().enumerate() {
        while String::from_utf8_lossy(&seen).matches(PROMPT).count() <= number {
            let count = eyes.read(&mut some).expect("it goes on");
            assert_ne!(count, 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&some[..count]);
        }
        if *answer == "x" {
            // Enough for a line that shows progress to be drawn, if it were.
            (0..40).for_each(|_| assert_eq!(run(folder, &["status", "--offline"]).code, 1));
        }
        hands.write_all(format!("{answer}\n").as_bytes()).expect("it is typed");
    }
    eyes.read_to_end(&mut seen).expect("an end");
    let code = terminal.wait().expect("it ends").code();
    (code, String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn a_person_decides_about_each_row() {
    let check = |answers: &[&str], code: i32, rows: [&str; 2], decided: &[&str]| {
        let folder = folder(THERE);
        plan(&folder, "dated = \"seen\"", "conflict = \"ask\"");
        let (ended, seen) = answered(&folder, answers);
        assert_eq!((ended, seen.matches(PROMPT).count()), (Some(code), answers.len()), "{answers:?}: {seen}");
        for (behind, answer) in seen.split(PROMPT).skip(1).zip(answers) {
            assert!(
                behind.starts_with(&format!("{answer}\r\n")),
                "a question is left alone until it is answered: {seen}"
            );
        }
        assert!(
            seen.contains("members: id=1\r\n  email: \"a@b\" in the target, \"mira@example.test\" in the source\r\n"),
            "{seen}"
        );
        assert_eq!(ask(&folder, MEMBERS)[..2], rows, "{answers:?}: {seen}");
        let history = run(&folder, &["history", "--format", "json"]).json();
        let id = history["runs"][0]["id"].as_str().expect("an id");
        let told = run(&folder, &["history", "--run", id]).stdout;
        for it in decided {
            assert!(told.contains(&format!("members: {it} for conflict (person)\n")), "{answers:?}: no {it} in {told}");
        }
    };
    let there = ["1 1 a@b - -", "2 2 c@d - -"];
    // What is no answer is asked again.
    check(&["x", "k", "o"], 0, [there[0], ALL[1]], &["1 × keep", "1 × overwrite"]);
    check(&["O"], 0, [ALL[0], ALL[1]], &["2 × overwrite"]);
    check(&["K"], 0, there, &["2 × keep"]);
    check(&["s"], 1, there, &["2 × stop"]);
}
