//! An Edge Config that this process serves: the management interface and the read interface, on one port.
//!
//! That its shapes are the true ones is shown by the vendor's own client, which reads it in `tests/live/edge_config.rs`.

use super::server::{Request, Response, Server};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};

/// The store.
pub(crate) const ID: &str = "ecfg_0demo";
/// The access token of the management interface.
pub(crate) const TOKEN: &str = "CANARY-access-token";
/// The token of the read interface.
pub(crate) const READ_TOKEN: &str = "CANARY-read-token";
/// The team that owns the store.
pub(crate) const TEAM: &str = "team_0demo";

/// What is served, and what goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) items: Map<String, Value>,
    /// What the paths of the management interface begin with.
    pub(crate) family: &'static str,
    /// How many of the next reads of all items somebody writes right behind.
    pub(crate) writes: usize,
    /// How many items fewer than there are come.
    pub(crate) hidden: usize,
    /// How many of the next requests are too many.
    pub(crate) storms: usize,
    /// How often somebody wrote.
    version: u64,
}

/// The running server.
pub(crate) struct Vercel {
    pub(crate) server: Server,
    pub(crate) state: Arc<Mutex<State>>,
}

impl Vercel {
    pub(crate) fn new(items: Value) -> Vercel {
        let items = items.as_object().expect("an object of items").clone();
        let state = State { items, family: "edge-config", writes: 0, hidden: 0, storms: 0, version: 1 };
        let state = Arc::new(Mutex::new(state));
        let own = Arc::clone(&state);
        Vercel { server: Server::new(move |request| own.lock().expect("the state").answer(request)), state }
    }

    /// Lets something go wrong from now on.
    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("the state"));
    }

    /// What `EDGE_CONFIG` would hold.
    pub(crate) fn connection(&self, token: &str) -> String {
        format!("{}/{ID}?token={token}", self.server.url())
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        if self.storms > 0 {
            self.storms -= 1;
            let limit = json!({"remaining": 0, "reset": 1_760_000_000, "resetMs": 1_760_000_000_000_u64, "total": 20});
            let error = json!({"code": "rate_limited", "message": "Too many requests", "limit": limit});
            return Response::json(json!({ "error": error })).status(429).header("retry-after", "0");
        }
        match parts.as_slice() {
            ["v1", family, id, rest @ ..] if *family == self.family => self.managed(request, id, rest),
            [ID, rest @ ..] => self.read(request, rest),
            ["v1", ..] => refused(404, "not_found", "The page could not be found"),
            // Another host's service would not know the store either.
            _ => Response::json(json!({"code": "edge_config_not_found", "message": "Not found"})).status(404),
        }
    }

    fn managed(&mut self, request: &Request, id: &str, rest: &[&str]) -> Response {
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return refused(403, "forbidden", "Not authorized");
        }
        let team = request.parameter("teamId").or_else(|| request.parameter("slug").map(|it| format!("team_{it}")));
        if team.as_deref().is_some_and(|it| it != TEAM) {
            return refused(403, "forbidden", "Not authorized: the team is not one of yours");
        }
        if id != ID || team.is_none() {
            return refused(404, "not_found", &format!("Could not find the Edge Config: {id}"));
        }
        let at = 1_760_000_000_000 + self.version;
        match rest {
            [] => Response::json(json!({
                "id": ID, "slug": "demo", "ownerId": TEAM, "createdAt": 1_760_000_000_000_u64, "updatedAt": at,
                "digest": self.digest(), "itemCount": self.items.len(), "sizeInBytes": self.size(),
                "transfer": null, "schema": null, "purpose": null,
            })),
            ["items"] if request.method == "PATCH" => self.change(&request.json()),
            ["items"] => {
                let shown = self.items.iter().skip(self.hidden).map(|(key, value)| {
                    json!({"key": key, "value": value, "edgeConfigId": ID, "createdAt": at, "updatedAt": at})
                });
                let answer = Response::json(Value::Array(shown.collect()));
                self.write();
                answer
            }
            ["item", key] => match self.items.get(*key) {
                Some(value) => Response::json(json!({"key": key, "value": value, "edgeConfigId": ID})),
                None => refused(404, "not_found", "Could not find the item"),
            },
            _ => refused(404, "not_found", "The page could not be found"),
        }
    }

    fn read(&mut self, request: &Request, rest: &[&str]) -> Response {
        let bearer = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        if bearer.map(str::to_owned).or_else(|| request.parameter("token")).as_deref() != Some(READ_TOKEN) {
            return Response::json(json!({"code": "unauthorized", "message": "Unauthorized"})).status(401);
        }
        let digest = self.digest();
        let answer = match rest {
            ["digest"] => Response::json(json!(digest)),
            ["items"] => {
                let wanted = request.parameters("key");
                let all = self.items.iter().skip(self.hidden);
                let shown = all.filter(|it| wanted.is_empty() || wanted.contains(it.0));
                let answer = Response::json(Value::Object(shown.map(|it| (it.0.clone(), it.1.clone())).collect()));
                self.write();
                answer
            }
            ["item", key] => match self.items.get(*key) {
                Some(value) => Response::json(value),
                None => {
                    Response::json(json!({"code": "edge_config_item_not_found", "message": "Not found"})).status(404)
                }
            },
            _ => Response::json(json!({"message": "Not found"})).status(404),
        };
        answer.header("x-edge-config-digest", digest)
    }

    /// Does what is asked for to the items, all of it or nothing.
    fn change(&mut self, asked: &Value) -> Response {
        let mut items = self.items.clone();
        for it in asked["items"].as_array().expect("items") {
            let key = it["key"].as_str().expect("a key");
            let (is_there, operation) = (items.contains_key(key), it["operation"].as_str().expect("an operation"));
            match operation {
                "create" if is_there => return refused(400, "bad_request", &format!("Item {key} already exists")),
                "update" | "delete" if !is_there => {
                    return refused(400, "bad_request", &format!("Item {key} is missing"));
                }
                "delete" => drop(items.remove(key)),
                _ => drop(items.insert(key.to_owned(), it["value"].clone())),
            }
        }
        if Value::Object(items.clone()).to_string().len() > 8192 {
            return refused(400, "bad_request", "Edge Config size exceeds the limit of 8 KB");
        }
        (self.items, self.version) = (items, self.version + 1);
        Response::json(json!({"status": "ok"}))
    }

    /// Somebody else writes, if it is to be so.
    fn write(&mut self) {
        if self.writes > 0 {
            self.writes -= 1;
            self.version += 1;
            self.items.insert("written".to_owned(), json!(self.version));
        }
    }

    fn digest(&self) -> String {
        format!("{:064x}", self.version)
    }

    fn size(&self) -> usize {
        Value::Object(self.items.clone()).to_string().len()
    }
}

fn refused(status: u16, code: &str, message: &str) -> Response {
    Response::json(json!({"error": {"code": code, "message": message}})).status(status)
}
