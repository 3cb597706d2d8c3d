use super::*;
use crate::plan::Setting;
use secrecy::ExposeSecret;
use std::sync::Arc;

const USER: (&str, &str) = ("USER", "me");

/// What the plan's keys and these variables come to, in one line; or what is wrong.
fn address(keys: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Address> {
    let owned = |it: &(&str, &str)| (it.0.to_owned(), it.1.to_owned());
    let given = keys.iter().map(owned).map(|(name, text)| (name, Setting::Text(text))).collect();
    let variables: BTreeMap<_, _> = variables.iter().map(owned).collect();
    Address::new(&Settings::new(given, Arc::new(move |name| variables.get(name).cloned())))
}

fn line(address: &Address) -> String {
    let places: Vec<_> = address.places.iter().map(ToString::to_string).collect();
    let password = address.password.as_ref().map(|it| format!(":{}", it.expose_secret())).unwrap_or_default();
    let mode = address.mode.map(|it| format!(" {}", it.name())).unwrap_or_default();
    format!("{}{password}@{}/{}{mode}", address.user, places.join(","), address.database)
}

/// An address alone.
fn check(url: &str, expect: &str) {
    let found = address(&[("url", url)], &[USER]).unwrap_or_else(|it| panic!("{it}: {url}"));
    assert_eq!(line(&found), expect, "{url}");
}

/// What is wrong with an address, and that nothing of a password is shown.
fn refused(url: &str, expect: &str) {
    let error = address(&[("url", url)], &[USER]).err().unwrap_or_else(|| panic!("{url} is refused")).to_string();
    assert!(error.contains(expect), "{error} has: {expect}");
    assert!(!error.contains("CANARY"), "{error}");
}

#[test]
fn addresses_are_those_of_libpq() {
    check("postgres://mira:s1@db.example:6543/shop", "mira:s1@db.example:6543/shop");
    check("postgresql://mira@db/shop", "mira@db:5432/shop");
    check("postgresql+asyncpg://mira@db/shop", "mira@db:5432/shop");
    check("postgres://db", "me@db:5432/me");
    check("postgres://mira@db/", "mira@db:5432/mira");
    check(" postgres://mira@db/shop\n", "mira@db:5432/shop");
    check("postgres://m%40x:%2F%3a%25@db/sh%20op", "m@x:/:%@db:5432/sh op");
    check("postgres://mira:a@b#c@db/shop", "mira:a@b#c@db:5432/shop");
    check("postgres://mira@a,b:5433,[::1]:5434/shop", "mira@a:5432,b:5433,[::1]:5434/shop");
    check("postgres://mira@[2001:db8::1]/shop", "mira@[2001:db8::1]:5432/shop");
    check("postgres://mira@%2Frun%2Fpg:5433/shop", "mira@/run/pg/.s.PGSQL.5433/shop");
    check("postgres:///shop?host=/run/pg&port=5433&user=mira", "mira@/run/pg/.s.PGSQL.5433/shop");
    check("postgres://mira@db/shop?host=other", "mira@other:5432/shop");
    check("postgres://mira@db/shop?sslmode=require&connect_timeout=3", "mira@db:5432/shop require");
    check("postgres://mira@db/shop?sslmode=no-verify", "mira@db:5432/shop require");
    check("postgres://mira@db/shop?ssl=true", "mira@db:5432/shop verify-full");
    check("postgres://mira@db/shop?pgbouncer=true&connection_limit=1&pool_timeout=0", "mira@db:5432/shop");
    check("host=db port=5433 user='mi ra' dbname=sh\\ op password='a\\'b://'", "mi ra:a'b://@db:5433/sh op");
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    refused("mysql://mira@db/shop", "begins with `mysql`");
    refused("jdbc:postgresql://db/shop", "begins with `jdbc:postgresql`");
    refused("shop", "not of the form");
    refused("postgres://mira:CANARY/1@db/shop", "%2F");
    refused("postgres://mira:CANARY?1@db/shop", "%2F");
    refused("postgres://mira:CANARY%zz@db/shop", "%25");
    refused("postgres://mira:%ff@db/shop", "UTF-8");
    refused("postgres://mira:CANARY@db:CANARY/shop", "the port");
    refused("postgres://mira@db:0/shop", "the port");
    refused("postgres://mira@db:70000/shop", "the port");
    refused("postgres:///shop?host=a,b,c&port=1,2", "3 hosts and 2 ports");
    refused("postgres://a,b/shop?hostaddr=10.0.0.1", "a `hostaddr` for each");
    refused("postgres://mira@db/shop?sslmod=require", "did you mean `sslmode`?");
    refused("postgres://mira@db/shop?CANARY@=1", "leave it out");
    refused("postgres://mira@db/shop?sslmode=full", "verify-full, verify-ca");
    refused("postgres://mira@db/shop?service=x", "service files");
    refused("postgres://mira@db/shop?sslcert=x", "client certificates");
    refused("postgres://mira@db/shop?connect_timeout=x", "seconds");
    refused("postgres://mira@db/shop?target_session_attrs=best", "write one of any");
    refused("host=db password='CANARY", "a quote");
    refused("host=db CANARY", "no value");
    refused("postgres://mira@db/shop?hostaddr=db", "not an IP address");
}

#[test]
fn who_comes_first_wins_part_by_part() {
    let check = |keys: &[(&str, &str)], variables: &[(&str, &str)], expect: &str| {
        let found = address(keys, variables).unwrap_or_else(|it| panic!("{it}: {expect}"));
        assert_eq!(line(&found), expect);
    };
    let url = ("DATABASE_URL", "postgres://mira:s1@db/shop");
    let host = ("PGHOST", "pg");
    let together = [("POSTGRES_HOST", "docker"), ("POSTGRES_USER", "dora"), ("POSTGRES_PASSWORD", "s3")];
    check(&[], &[url], "mira:s1@db:5432/shop");
    check(&[], &[url, host], "mira:s1@db:5432/shop");
    check(&[], &[("DATABASE_URL", "postgres:///shop"), host, USER], "me@pg:5432/shop");
    check(&[], &[("DATABASE_URL", "postgres://mira@db/shop"), ("PGPASSWORD", "s2")], "mira:s2@db:5432/shop");
    check(&[("url", "postgres://ann@other/x")], &[url, host], "ann@other:5432/x");
    check(&[("host", "other"), ("user", "ann")], &[url], "ann@other:5432/ann");
    check(&[("database", "old"), ("tls", "require")], &[url], "mira:s1@db:5432/old require");
    check(&[("url", "postgres://db/shop"), ("user", "ann"), ("password", "s4")], &[], "ann:s4@db:5432/shop");
    check(&[], &[host, ("PGPORT", "5433"), ("PGDATABASE", "shop"), USER], "me@pg:5433/shop");
    check(&[], &together, "dora:s3@docker:5432/dora");
    check(&[], &[together.as_slice(), &[host, USER]].concat(), "me@pg:5432/me");
    check(&[("host", "other")], &[together.as_slice(), &[USER]].concat(), "me@other:5432/me");
    check(&[], &[("POSTGRES_DB", "shop"), ("PGUSER", "ann"), ("POSTGRES_HOST", "docker")], "ann@docker:5432/shop");
    check(&[], &[host, USER, ("PGSSLMODE", "verify-ca")], "me@pg:5432/me verify-ca");
    let nobody = address(&[("host", "db")], &[]).err().map(|it| it.to_string()).unwrap_or_default();
    assert!(nobody.contains("PGUSER"), "{nobody}");
}

#[test]
fn promises_that_are_none_leave_a_note() {
    let found = address(&[("url", "postgres://mira@db/shop?sslmode=prefer")], &[]).unwrap();
    assert_eq!(found.mode, None);
    assert!(found.notes.concat().contains("sslmode=prefer"), "{:?}", found.notes);
    let both = [("DATABASE_URL", "postgres://mira@db/shop"), ("PGHOST", "pg")];
    assert!(address(&[], &both).unwrap().notes.concat().contains("PGHOST"));
}

#[test]
fn schemas_come_from_object_mappers_too() {
    let schemas = |url: &str| address(&[("url", url)], &[USER]).unwrap().schemas;
    assert_eq!(schemas("postgres://db/shop?schema=app"), ["app"]);
    assert_eq!(schemas("postgres://db/shop?currentSchema=app,public"), ["app", "public"]);
    assert!(schemas("postgres://db/shop").is_empty());
}

#[test]
fn what_stays_on_this_machine_is_known() {
    let check = |url: &str, expect: bool| {
        let places = address(&[("url", url)], &[USER]).unwrap().places;
        assert_eq!(places.iter().all(Place::is_local), expect, "{url}");
    };
    check("postgres://localhost/x", true);
    check("postgres://127.8.0.1/x", true);
    check("postgres://[::1]/x", true);
    check("postgres://[::ffff:127.0.0.1]/x", true);
    check("postgres:///x?host=/run/pg", true);
    check("postgres://db/x", false);
    check("postgres://10.0.0.1/x", false);
    check("postgres://localhost,db/x", false);
    check("postgres://localhost/x?hostaddr=10.0.0.1", false);
    check("postgres://localhost.example/x", false);
}
