use super::*;
use crate::plan::Setting;
use std::collections::BTreeMap;

fn open(given: &[(&str, &str)], variables: &'static [(&str, &str)]) -> Result<EdgeConfig> {
    let given: BTreeMap<_, _> = given.iter().map(|it| (it.0.to_owned(), Setting::Text(it.1.to_owned()))).collect();
    let lookup = Arc::new(|name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned()));
    EdgeConfig::open(&Options { settings: Settings::new(given, lookup), ..Options::default() })
}

#[test]
fn settings_and_variables() {
    let check = |given: &[(&str, &str)], variables: &'static [(&str, &str)], expect: Result<(&str, &str), &str>| match (
        open(given, variables),
        expect,
    ) {
        (Ok(it), Ok((id, how))) => {
            let team = match &it.access {
                Access::Management { team, .. } => format!("managed{team}"),
                Access::Reading => "read".to_owned(),
            };
            assert_eq!((it.id.as_str(), team.as_str()), (id, how), "{given:?} {variables:?}");
        }
        (Err(it), Err(expect)) => assert!(it.to_string().contains(expect), "{it}, not {expect}"),
        (Ok(_), Err(expect)) => panic!("{given:?}: no error {expect}"),
        (Err(it), Ok(_)) => panic!("{given:?}: {it}"),
    };
    const STRING: &str = "https://edge-config.vercel.com/ecfg_s?token=r";
    check(&[("id", "ecfg_a")], &[("EDGE_CONFIG_TOKEN", "t")], Ok(("ecfg_a", "managed")));
    check(&[], &[("EDGE_CONFIG_ID", "ecfg_b"), ("VERCEL_TOKEN", "t")], Ok(("ecfg_b", "managed")));
    check(
        &[("team", "acme")],
        &[("EDGE_CONFIG", STRING), ("VERCEL_API_TOKEN", "t")],
        Ok(("ecfg_s", "managed?slug=acme")),
    );
    check(
        &[("id", "ecfg_a")],
        &[("VERCEL_TEAM_ID", "team_1"), ("VERCEL_TOKEN", "t"), ("EDGE_CONFIG", STRING)],
        Ok(("ecfg_a", "managed?teamId=team_1")),
    );
    check(&[], &[("EDGE_CONFIG", STRING)], Ok(("ecfg_s", "read")));
    check(&[("url", STRING)], &[("EDGE_CONFIG_ID", "ecfg_b")], Ok(("ecfg_s", "read")));
    check(&[("id", "ecfg_s")], &[("EDGE_CONFIG", STRING)], Ok(("ecfg_s", "read")));
    check(&[("id", "ecfg_a")], &[("EDGE_CONFIG", STRING)], Err("the connection string is that of ecfg_s"));
    check(&[("id", "ecfg_a")], &[], Err("no token; set EDGE_CONFIG_TOKEN"));
    check(&[], &[("VERCEL_TOKEN", "t")], Err("no id; set EDGE_CONFIG_ID"));
    check(&[("id", "a/../b")], &[("VERCEL_TOKEN", "t")], Err("the id may hold"));
    check(&[("id", "a"), ("team", "a&b")], &[("VERCEL_TOKEN", "t")], Err("the team may hold"));
    check(&[("id", "a"), ("prefix", "b")], &[("VERCEL_TOKEN", "t")], Err("`prefix` selects nothing here"));
    check(&[], &[("EDGE_CONFIG", "nonsense")], Err("has another form than"));
}

#[test]
fn answers_are_judged_by_status_and_code() {
    let check = |status: u16, body: &str, expect: &str| {
        let answer = Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() };
        let shown = match judge(&answer) {
            Advice::Take => "take".to_owned(),
            Advice::Again(why) => format!("again: {why}"),
            Advice::Refuse(why) | Advice::Fail(_, why) => format!("refuse: {why}"),
        };
        assert!(shown.contains(expect), "{shown}, not {expect}");
    };
    check(200, "{}", "take");
    check(206, "[]", "not all of what was asked for");
    check(204, "", "not all of what was asked for");
    check(
        403,
        r#"{"error":{"code":"forbidden","message":"Not authorized"}}"#,
        "refuse: status 403: Not authorized (forbidden); the access",
    );
    check(404, r#"{"error":{"code":"not_found","message":"Could not find it"}}"#, "look at EDGE_CONFIG_ID");
    check(
        429,
        r#"{"error":{"code":"rate_limited","message":"Slow down","limit":{"remaining":0,"reset":1760000000,"total":9}}}"#,
        "again: status 429: Slow down (rate_limited), until 2025-10-09T08:53:20Z",
    );
    check(500, r#"{"error":{"code":"internal_server_error"}}"#, "again: ");
    check(400, r#"{"error":{"code":"bad_request","message":"Invalid"}}"#, "refuse: status 400: Invalid (bad_request)");
    check(502, "<html>", "again: ");
}

/// A content that comes back has the digest that it had, and what was read in between is another.
#[test]
fn a_store_that_is_as_it_was_is_not_one_that_nobody_wrote_to() {
    let about = |updated: i64| {
        let text = format!(r#"{{"digest":"d","itemCount":1,"sizeInBytes":9,"updatedAt":{updated}}}"#);
        serde_json::from_str::<About>(&text).unwrap()
    };
    assert!(about(1) == about(1) && about(1) != about(2));
}
