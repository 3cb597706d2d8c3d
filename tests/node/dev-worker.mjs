// What `wrangler dev` runs for a test: does what it is told to D1 and to Workers KV, and says what the statements gave.
const value = (it) => (typeof it === "string" ? it : new Uint8Array(it.bytes));

export default {
  async fetch(request, { DB, KV }) {
    const { sql = [], put = [], remove = [], get = [] } = await request.json();
    const results = sql.length > 0 ? await DB.batch(sql.map((it) => DB.prepare(it))) : [];
    for (const [key, given, options] of put) await KV.put(key, value(given), options);
    for (const key of remove) await KV.delete(key);
    const values = await Promise.all(get.map((it) => KV.get(it)));
    return Response.json({ rows: results.map((it) => it.results), values });
  },
};
