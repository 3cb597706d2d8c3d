// Reads a namespace with the vendor's own client, and prints what it saw as JSON: proof that the server of the tests has the
// shapes that this client expects.
//
//   node kv-client.mjs API ACCOUNT NAMESPACE TOKEN
import Cloudflare from "cloudflare";

const [baseURL, account_id, id, apiToken] = process.argv.slice(2);
const client = new Cloudflare({ apiToken, baseURL, maxRetries: 0 });
const { namespaces } = client.kv;

const keys = [];
for await (const key of namespaces.keys.list(id, { account_id, limit: 10 })) keys.push(key);
const names = keys.map((it) => it.name).slice(0, 100);
const bulk = await namespaces.keys.bulkGet(id, { account_id, keys: names, withMetadata: true });
const plain = await namespaces.keys.bulkGet(id, { account_id, keys: names });
const last = names.at(-1);
const value = await namespaces.values.get(last, { account_id, namespace_id: id });
const metadata = await namespaces.metadata.get(last, { account_id, namespace_id: id });
const { title } = await namespaces.get(id, { account_id });
const titles = [];
for await (const it of namespaces.list({ account_id })) titles.push(it.title);

const refusals = {};
const refused = async (name, ask) => {
  try {
    await ask();
  } catch (error) {
    refusals[name] = [error.constructor.name, error.status, error.errors?.[0]?.code];
  }
};
await refused("key", () => namespaces.values.get("not there", { account_id, namespace_id: id }));
await refused("namespace", () => namespaces.keys.list("f".repeat(32), { account_id }));
await refused("limit", () => namespaces.keys.list(id, { account_id, limit: 1 }));
const stranger = new Cloudflare({ apiToken: "another", baseURL, maxRetries: 0 });
await refused("token", () => stranger.kv.namespaces.keys.list(id, { account_id }));

console.log(JSON.stringify({
  keys,
  bulk: bulk.values,
  plain: plain.values,
  value: await value.text(),
  expiration: value.headers.get("expiration"),
  metadata,
  title,
  titled: titles.includes(title),
  refusals,
}));
