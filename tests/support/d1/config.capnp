# The engine that D1 runs on, with the REST interface of `server.mjs` in front. A copy of this is made with STATE filled in.
#
# The objects are called and kept as `wrangler dev` calls and keeps them, so that its folder can be read while this runs.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .server),
    (name = "state", disk = (path = "STATE", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const server :Workerd.Worker = (
  modules = [(name = "server.mjs", esModule = embed "server.mjs")],
  compatibilityDate = "2026-04-01",
  durableObjectNamespaces = [(className = "Database", uniqueKey = "miniflare-D1DatabaseObject", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
  bindings = [
    (name = "DATABASE", durableObjectNamespace = "Database"),
    (name = "ACCOUNT", text = "cccccccccccccccccccccccccccccccc"),
    (name = "TOKEN", text = "CANARY-token-of-the-tests"),
  ],
);
