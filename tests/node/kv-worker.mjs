// The REST interface of Workers KV: the shapes of its answers and its limits, with the bindings behind it.

const VALUE_MAX = 25 * 1024 * 1024;

const answer = (status, result, errors = [], more = {}) =>
  Response.json({ result, success: errors.length === 0, errors, messages: [], ...more }, { status });
const refuse = (status, code, message) => answer(status, null, [{ code, message }]);
const unroutable = (url) =>
  refuse(404, 7003, `Could not route to ${url.pathname}, perhaps your object identifier is invalid?`);

// How often each namespace was asked for what, so that a test can see it.
const asked = {};
const ask = (id, what) => {
  asked[id] ??= { list: 0, bulk: 0, get: 0 };
  asked[id][what] += 1;
};

// A binding says neither when a key expires nor whether an empty value is there; its list does.
async function listed(kv, key) {
  const { keys } = await kv.list({ prefix: key, limit: 1 });
  return keys[0]?.name === key ? keys[0] : undefined;
}

async function keys(kv, query) {
  const limit = query.has("limit") ? Number(query.get("limit")) : 1000;
  if (!(limit >= 10 && limit <= 1000)) return refuse(400, 10029, `limit must be between 10 and 1000, got ${limit}`);
  const page = await kv.list({
    prefix: query.get("prefix") ?? undefined,
    cursor: query.get("cursor") || undefined,
    limit,
  });
  const result = page.keys.map(({ name, expiration, metadata }) => ({ name, expiration, metadata }));
  const result_info = { count: result.length, cursor: page.list_complete ? "" : page.cursor };
  return answer(200, result, [], { result_info });
}

async function bulkGet(kv, request) {
  const { keys, type = "text", withMetadata = false } = await request.json();
  if (!Array.isArray(keys) || keys.length < 1 || keys.length > 100) {
    return refuse(400, 10022, "keys: at least 1 and at most 100");
  }
  const values = {};
  const found = await kv.getWithMetadata(keys, type);
  for (const key of keys) {
    const it = found.get(key);
    const about = it ? await listed(kv, key) : undefined;
    const value = it && it.value !== null ? it : undefined;
    values[key] = null;
    if (value && withMetadata) {
      const expiration = about?.expiration;
      values[key] = { value: value.value, metadata: value.metadata ?? null, expiration };
    } else if (value) {
      values[key] = value.value;
    }
  }
  return answer(200, { values });
}

async function bulkPut(kv, request) {
  const items = await request.json();
  if (!Array.isArray(items) || items.length > 10000) return refuse(400, 10147, "at most 10000 pairs");
  for (const { key, value, base64, expiration, expiration_ttl, metadata } of items) {
    const bytes = base64 ? Uint8Array.from(atob(value), (it) => it.charCodeAt(0)) : value;
    await kv.put(key, bytes, { expiration, expirationTtl: expiration_ttl, metadata });
  }
  return answer(200, { successful_key_count: items.length, unsuccessful_keys: [] });
}

async function bulkDelete(kv, request) {
  const keys = await request.json();
  for (const key of keys) await kv.delete(key);
  return answer(200, { successful_key_count: keys.length, unsuccessful_keys: [] });
}

async function getValue(kv, key) {
  const { value } = await kv.getWithMetadata(key, "arrayBuffer");
  if (value === null) return refuse(404, 10009, "get: 'key not found'");
  const headers = { "content-type": "application/octet-stream" };
  const { expiration } = (await listed(kv, key)) ?? {};
  if (expiration) headers.expiration = String(expiration);
  return new Response(value, { headers });
}

async function putValue(kv, key, request, query) {
  const options = {};
  if (query.has("expiration")) options.expiration = Number(query.get("expiration"));
  if (query.has("expiration_ttl")) options.expirationTtl = Number(query.get("expiration_ttl"));
  let value;
  if ((request.headers.get("content-type") ?? "").includes("multipart/form-data")) {
    const form = await request.formData();
    const text = async (it) => (typeof it === "string" ? it : await it.text());
    value = form.get("value");
    value = typeof value === "string" ? value : await value.arrayBuffer();
    if (form.get("metadata")) options.metadata = JSON.parse(await text(form.get("metadata")));
  } else {
    value = await request.arrayBuffer();
  }
  if (value.length > VALUE_MAX || value.byteLength > VALUE_MAX) return refuse(413, 10047, "value too large");
  await kv.put(key, value, options);
  return answer(200, {});
}

async function single(kv, what, key, request, query) {
  if (what === "metadata") {
    const { value, metadata } = await kv.getWithMetadata(key, "stream");
    return value === null ? refuse(404, 10009, "get: 'key not found'") : answer(200, metadata ?? {});
  }
  switch (request.method) {
    case "GET":
      return getValue(kv, key);
    case "PUT":
      return putValue(kv, key, request, query);
    case "DELETE":
      await kv.delete(key);
      return answer(200, {});
  }
}

async function namespace(kv, id, rest, request, url) {
  const route = `${request.method} ${rest}`;
  switch (route) {
    case "GET keys":
      ask(id, "list");
      return keys(kv, url.searchParams);
    case "POST bulk/get":
      ask(id, "bulk");
      return bulkGet(kv, request);
    case "PUT bulk":
      return bulkPut(kv, request);
    case "POST bulk/delete":
      return bulkDelete(kv, request);
    case "GET asked":
      return answer(200, asked[id] ?? {});
  }
  const [, what, key] = /^(values|metadata)\/([^/]+)$/.exec(rest) ?? [];
  if (!what) return unroutable(url);
  if (request.method === "GET") ask(id, "get");
  return single(kv, what, decodeURIComponent(key), request, url.searchParams);
}

function namespaces(env, query) {
  const page = Number(query.get("page") ?? 1), per_page = Number(query.get("per_page") ?? 20);
  const all = Object.entries(env.TITLES).map(([id, title]) => ({ id, title, supports_url_encoding: true }));
  const result = all.slice((page - 1) * per_page, page * per_page);
  return answer(200, result, [], { result_info: { page, per_page, count: result.length, total_count: all.length } });
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (request.headers.get("authorization") !== `Bearer ${env.TOKEN}`) return refuse(401, 10000, "Authentication error");
    if (url.pathname === "/client/v4/user/tokens/verify") return answer(200, { id: "t".repeat(32), status: "active" });
    const [, account, rest] = /^\/client\/v4\/accounts\/([^/]+)\/storage\/kv\/namespaces(.*)$/.exec(url.pathname) ?? [];
    if (!account) return unroutable(url);
    if (account !== env.ACCOUNT) return refuse(403, 10000, "Authentication error");
    if (rest === "") return namespaces(env, url.searchParams);
    const [, id, below] = /^\/([^/]+)(?:\/(.+))?$/.exec(rest) ?? [];
    const title = env.TITLES[id];
    if (!title) return refuse(404, 10013, "namespace not found");
    if (!below) return answer(200, { id, title, supports_url_encoding: true });
    try {
      return await namespace(env[`NS_${id}`], id, below, request, url);
    } catch (error) {
      const [, status] = /failed: (\d+)/.exec(error.message) ?? [];
      return refuse(Number(status ?? 400), status === "413" ? 10074 : 10001, error.message);
    }
  },
};
