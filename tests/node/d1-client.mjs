// What Cloudflare's own client makes of D1's answers, as one line of JSON.
import Cloudflare from "cloudflare";

const { CLOUDFLARE_ACCOUNT_ID: account_id, CLOUDFLARE_API_BASE_URL: baseURL, CLOUDFLARE_API_TOKEN: apiToken, D1_DATABASE_ID: id } =
  process.env;
const client = new Cloudflare({ apiToken, baseURL, maxRetries: 0 });
const all = async (page) => {
  const out = [];
  for await (const it of page) out.push(it);
  return out;
};
const failure = async (asked) => {
  try {
    await asked();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, errors: error.errors };
  }
};

const query = await all(client.d1.database.query(id, { account_id, sql: "SELECT 1 AS a; SELECT 2 AS b" }));
const batch = [{ sql: "SELECT 1 AS a" }, { sql: "SELECT ? AS b", params: ["y"] }];
const raw = await all(client.d1.database.raw(id, { account_id, batch }));
const list = await all(client.d1.database.list({ account_id, per_page: 10 }));
const about = await client.d1.database.get(id, { account_id });
const bookmark = await client.d1.database.timeTravel.getBookmark(id, { account_id });
const stranger = new Cloudflare({ apiToken: "wrong", baseURL, maxRetries: 0 });
console.log(
  JSON.stringify({
    query: query.map((it) => it.results),
    raw: raw.map((it) => it.results),
    meta: Object.keys(raw[0].meta),
    listed: list.some((it) => it.uuid === id),
    about,
    bookmark: bookmark.bookmark,
    syntax: await failure(() => all(client.d1.database.query(id, { account_id, sql: "selec" }))),
    malformed: await failure(() => client.d1.database.get("nope", { account_id })),
    token: await failure(() => all(stranger.d1.database.query(id, { account_id, sql: "SELECT 1" }))),
    account: await failure(() => client.d1.database.get(id, { account_id: "0".repeat(32) })),
  }),
);
