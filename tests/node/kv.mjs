// Workers KV as its REST interface shows it, over miniflare's real namespaces.
//
//   node kv.mjs STATE NAMESPACES
//
// Prints one line of JSON when it is ready, and ends when its standard input does. STATE is where the namespaces are kept,
// as `wrangler dev --persist-to STATE` does.
import { Miniflare } from "miniflare";
import path from "node:path";
import { fileURLToPath } from "node:url";

const [state, count] = process.argv.slice(2);
const account = "c".repeat(32), token = "CANARY-kv-token";
const ids = Array.from({ length: Number(count) }, (_, at) => (0xa0000 + at).toString(16).padStart(32, "0"));
const titles = Object.fromEntries(ids.map((id, at) => [id, `shop-${at}`]));

const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  cf: false,
  modules: true,
  scriptPath: path.join(path.dirname(fileURLToPath(import.meta.url)), "kv-worker.mjs"),
  compatibilityDate: "2026-04-01",
  kvNamespaces: Object.fromEntries(ids.map((id) => [`NS_${id}`, id])),
  kvPersist: path.join(state, "v3", "kv"),
  bindings: { ACCOUNT: account, TOKEN: token, TITLES: titles },
});
const url = await miniflare.ready;

const end = async () => {
  await miniflare.dispose();
  process.exit(0);
};
process.stdin.on("end", end).on("close", end).resume();
console.log(JSON.stringify({ api: new URL("client/v4", url).href, account, token, ids }));
