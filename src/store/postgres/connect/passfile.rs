//! The password file of libpq: `host:port:database:user:password`, a line each
//! (<https://www.postgresql.org/docs/current/libpq-pgpass.html>).

use super::address::{Host, Place};
use secrecy::SecretString;
use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, str::Chars};

/// What a password file had to say.
#[derive(Default)]
pub(super) struct Found {
    pub(super) password: Option<SecretString>,
    /// Why it was not looked at.
    pub(super) note: Option<String>,
}

/// Nobody has more passwords than this.
const MAX: u64 = 1 << 20;

/// Looks the password for a database up. A file that others may read is not looked at, as in libpq.
pub(super) fn look_up(path: &Path, place: &Place, database: &str, user: &str) -> Found {
    let ignored =
        |why: &str| Found { password: None, note: Some(format!("{} is not looked at: {why}", path.display())) };
    let metadata = match fs::metadata(path) {
        Ok(it) => it,
        Err(it) if it.kind() == io::ErrorKind::NotFound => return Found::default(),
        Err(it) => return ignored(&it.to_string()),
    };
    if !metadata.is_file() {
        return ignored("it is not a file");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return ignored("others on this machine may read it; chmod 0600 makes it yours alone");
    }
    if metadata.len() > MAX {
        return ignored("it is larger than 1 MiB");
    }
    match fs::read(path) {
        Ok(bytes) => {
            let hosts = hosts(place);
            let wanted = [place.port.to_string(), database.to_owned(), user.to_owned()];
            let password = bytes.split(|&it| it == b'\n').find_map(|line| password(line, &hosts, &wanted));
            Found { password, note: None }
        }
        Err(it) => ignored(&it.to_string()),
    }
}

/// What the file may call the host. A socket in the usual place is `localhost`.
fn hosts(place: &Place) -> Vec<String> {
    match &place.host {
        Host::Name(name) => vec![name.clone()],
        Host::Socket(folder) => vec![folder.display().to_string(), "localhost".to_owned()],
    }
}

fn password(line: &[u8], hosts: &[String], wanted: &[String; 3]) -> Option<SecretString> {
    let line = std::str::from_utf8(line).ok()?;
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.starts_with('#') {
        return None;
    }
    let mut fields = Fields { rest: line.chars(), ended: false };
    let host = fields.next()?;
    let mut holds = host.is_any() || hosts.contains(&host.text);
    for wanted in wanted {
        let field = fields.next()?;
        holds &= field.is_any() || field.text == *wanted;
    }
    // Colons behind the last field mean nothing to libpq either.
    let password = fields.next()?.text;
    holds.then(|| SecretString::from(password))
}

/// The fields of a line. A backslash stands before a colon or a backslash that means itself.
struct Fields<'l> {
    rest: Chars<'l>,
    ended: bool,
}

#[derive(Default)]
struct Field {
    text: String,
    escaped: bool,
}

impl Field {
    fn is_any(&self) -> bool {
        self.text == "*" && !self.escaped
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        if self.ended {
            return None;
        }
        let mut field = Field::default();
        loop {
            match self.rest.next() {
                Some(':') => return Some(field),
                Some('\\') => {
                    field.escaped = true;
                    field.text.extend(self.rest.next());
                }
                Some(letter) => field.text.push(letter),
                None => {
                    self.ended = true;
                    return Some(field);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::path::PathBuf;

    const WANTED: [&str; 3] = ["5432", "shop", "mira"];

    fn check(text: &str, host: &str, expect: Option<&str>) {
        let hosts = hosts(&Place { host: Host::Name(host.to_owned()), number: None, port: 5432 });
        let found = text.lines().find_map(|it| password(it.as_bytes(), &hosts, &WANTED.map(str::to_owned)));
        assert_eq!(found.as_ref().map(|it| it.expose_secret()), expect, "{text}");
    }

    #[test]
    fn the_first_line_that_holds_gives_the_password() {
        check("db:5432:shop:mira:s1", "db", Some("s1"));
        check("db:5432:shop:mira:s1\r", "db", Some("s1"));
        check("# db:5432:shop:mira:s0\n*:*:*:*:s2\ndb:5432:shop:mira:s1", "db", Some("s2"));
        check("db:5433:shop:mira:s1\ndb:*:shop:*:s3", "db", Some("s3"));
        check("db:5432:shop:mira", "db", None);
        check("other:5432:shop:mira:s1", "db", None);
        check("", "db", None);
        // As libpq reads it: the password ends at a colon.
        check("db:5432:shop:mira:s1:more", "db", Some("s1"));
    }

    #[test]
    fn backslashes_stand_before_what_means_itself() {
        check(r"db:5432:shop:mira:s\:1\\x", "db", Some(r"s:1\x"));
        check(r"\:\:1:5432:shop:mira:s1", "::1", Some("s1"));
        check(r"\*:5432:shop:mira:s1", "db", None);
        check("db:5432:shop:mira:s1\\", "db", Some("s1"));
    }

    #[test]
    fn a_socket_is_localhost() {
        let place = Place { host: Host::Socket(PathBuf::from("/run/pg")), number: None, port: 5432 };
        let found = |line: &str| password(line.as_bytes(), &hosts(&place), &WANTED.map(str::to_owned)).is_some();
        assert!(found("localhost:5432:shop:mira:s1"));
        assert!(found("/run/pg:5432:shop:mira:s1"));
        assert!(!found("127.0.0.1:5432:shop:mira:s1"));
    }
}
