//! What is to be remembered once a migration passed: what the plan says, and what the kinds of its stores ask for.

use crate::plan::{Endpoint, Plan};

/// Stores that others use while and after a migration, unlike files.
const LIVE: [&str; 6] = ["d1", "kv", "postgres", "edge-config", "http", "local-storage"];

/// What signs in to a store.
const CREDENTIALS: [(&str, &str); 4] = [
    ("postgres", "the password of Postgres"),
    ("d1", "the API token of Cloudflare"),
    ("kv", "the API token of Cloudflare"),
    ("edge-config", "the token of Edge Config"),
];

/// Sentences, the plan's own first. `backup` is the one that the run began with.
pub fn remind(plan: &Plan, backup: Option<&str>) -> Vec<String> {
    let (source, target) = (&plan.source, &plan.target);
    let mut out = plan.migrate.reminders.clone();
    let mut credentials: Vec<&str> = [source, target].into_iter().filter_map(credential).collect();
    credentials.dedup();
    if !credentials.is_empty() {
        out.push(format!("rotate what the run signed in with: {}", credentials.join(", ")));
    }
    let place = |it: &Endpoint| (it.kind.clone(), it.name.clone(), it.path.clone());
    let (name, in_place) = (format!("{} {}", source.kind, source.name), place(source) == place(target));
    if in_place {
        out.push(format!("remove what is old in {name} only once nothing reads it any more"));
    } else if is_live(source) {
        out.push(format!("keep {name} read-only for 48 hours, and remove its old data only after that"));
    }
    out.extend(backup.map(|it| format!("keep backup {it} for 30 days")).filter(|_| is_live(source)));
    if target.kind == "d1" {
        let how = "revert its deployment first (`wrangler rollback`), then type `cutover rollback`";
        out.push(format!("if the app has to go back: {how}"));
    }
    out
}

fn is_live(store: &Endpoint) -> bool {
    LIVE.contains(&store.kind.as_str())
}

fn credential(store: &Endpoint) -> Option<&'static str> {
    let signed =
        ["token", "password", "secret", "api_key", "headers"].iter().any(|it| store.settings.contains_key(*it));
    let known = CREDENTIALS.iter().find(|it| it.0 == store.kind).map(|it| it.1);
    known.or((store.kind == "http" && signed).then_some("the token of the service"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse;

    #[test]
    fn each_kind_of_store_asks_for_something() {
        let check = |source: &str, target: &str, backup: Option<&str>, expect: &[&str]| {
            let text = format!(
                "version = 1\n[source]\n{source}\n[target]\n{target}\n[migrate]\nreminders = [\"tell support\"]"
            );
            let plan = parse(&text, "cutover.toml", &|_| Some("x".to_owned())).unwrap();
            assert_eq!(remind(&plan, backup), expect);
        };
        let file = "kind = \"json\"\npath = \"a.json\"";
        let sqlite = "kind = \"sqlite\"\npath = \"a.db\"";
        check(file, sqlite, Some("b1"), &["tell support"]);
        check(
            "kind = \"edge-config\"\nid = \"ecfg_1\"",
            "kind = \"d1\"\ndatabase = \"shop\"",
            Some("b1"),
            &[
                "tell support",
                "rotate what the run signed in with: the token of Edge Config, the API token of Cloudflare",
                "keep edge-config ecfg_1 read-only for 48 hours, and remove its old data only after that",
                "keep backup b1 for 30 days",
                "if the app has to go back: revert its deployment first (`wrangler rollback`), then type `cutover rollback`",
            ],
        );
        let kv = "kind = \"kv\"\nnamespace = \"USERS\"";
        check(
            kv,
            kv,
            None,
            &[
                "tell support",
                "rotate what the run signed in with: the API token of Cloudflare",
                "remove what is old in kv USERS only once nothing reads it any more",
            ],
        );
        let http = "kind = \"http\"\nurl = \"https://h.test/api\"\ntoken = \"${T}\"";
        check(
            http,
            sqlite,
            None,
            &[
                "tell support",
                "rotate what the run signed in with: the token of the service",
                "keep http https://h.test/api read-only for 48 hours, and remove its old data only after that",
            ],
        );
    }
}
