// Cloudflare's REST interface of D1 in front of the engine that D1 itself runs on. Every UUID is a database, empty at first.
// The shapes and the texts are those that the service was seen to give; `wrangler` and the `cloudflare` client are tested to
// understand them.
import { DurableObject } from "cloudflare:workers";

const envelope = (status, result, errors = [], more = {}) =>
  Response.json({ result, success: errors.length === 0, errors, messages: [], ...more }, { status });
const refusal = (status, code, message, result = []) => envelope(status, result, [{ code, message }]);
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

// What this process was told about each database: its name, and how often it was written to.
const known = new Map();
const about = (id) => {
  if (!known.has(id)) known.set(id, { name: `database-${id}`, writes: 0, created: new Date().toISOString() });
  return known.get(id);
};

export class Database extends DurableObject {
  async fetch(request) {
    const { statements, raw } = await request.json();
    const { sql } = this.ctx.storage;
    const changes = () => [...sql.exec("SELECT total_changes() AS n")][0].n;
    try {
      const results = this.ctx.storage.transactionSync(() =>
        statements.map(({ text, params }) => {
          const before = changes();
          const cursor = sql.exec(text, ...params.map(bound));
          const columns = cursor.columnNames;
          const rows = [...cursor.raw()].map((row) => row.map(shown));
          const made = changes() - before;
          const last = [...sql.exec("SELECT last_insert_rowid() AS n")][0].n;
          const meta = {
            served_by: "tests", served_by_region: "WEUR", served_by_primary: true, timings: { sql_duration_ms: 0.1 },
            duration: 0.1, changes: made, last_row_id: last, changed_db: made !== 0 || cursor.rowsWritten !== 0,
            size_after: sql.databaseSize, rows_read: cursor.rowsRead, rows_written: cursor.rowsWritten, total_attempts: 1,
          };
          const objects = () => rows.map((row) => Object.fromEntries(columns.map((it, place) => [it, row[place]])));
          return { results: raw ? { columns, rows } : objects(), success: true, meta };
        }),
      );
      return envelope(200, results);
    } catch (error) {
      return refusal(400, 7500, error.message);
    }
  }
}

const bound = (it) => (typeof it === "boolean" ? Number(it) : Array.isArray(it) ? new Uint8Array(it).buffer : it);
const shown = (it) => (it instanceof ArrayBuffer ? [...new Uint8Array(it)] : it);

// Cuts a text into its statements. A trigger holds semicolons of its own.
function split(text) {
  const token = /--[^\n]*|\/\*[^]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z_]\w*|;|[^]/g;
  const statements = [];
  let [current, words, depth] = ["", [], 0];
  const end = () => {
    if (words.length > 0 || current.trim() !== "") statements.push(current.trim());
    [current, words, depth] = ["", [], 0];
  };
  for (const [it] of text.matchAll(token)) {
    if (it === ";" && depth === 0) {
      end();
    } else if (it.startsWith("--") || it.startsWith("/*")) {
      current += " ";
    } else {
      current += it;
      if (!/^[A-Za-z_]/.test(it)) continue;
      const word = it.toUpperCase();
      words.push(word);
      const trigger = words[0] === "CREATE" && words.slice(1, 3).includes("TRIGGER");
      if (trigger && (word === "BEGIN" || word === "CASE")) depth += 1;
      if (trigger && word === "END") depth -= 1;
    }
  }
  end();
  return statements;
}

async function run(request, env, id, raw) {
  let body;
  try {
    body = await request.json();
  } catch {
    return refusal(400, 7400, "The request is malformed: failed to decode the body");
  }
  const asked = Array.isArray(body?.batch) ? body.batch : [body];
  const statements = [];
  for (const { sql, params = [] } of asked) {
    if (typeof sql !== "string") return refusal(400, 7400, "Invalid property: sql => Required");
    const texts = split(sql);
    if (texts.length > 1 && params.length > 0) return refusal(400, 7400, "Invalid property: params => One statement only");
    statements.push(...texts.map((text) => ({ text, params })));
  }
  if (statements.length === 0) return refusal(400, 7500, "No SQL statements detected.");
  const stub = env.DATABASE.get(env.DATABASE.idFromName(id));
  let answer, text;
  try {
    answer = await stub.fetch("http://database/", { method: "POST", body: JSON.stringify({ statements, raw }) });
    text = await answer.text();
  } catch (error) {
    // What is wrong at the end of a transaction shows only here: the object is reset, and nothing was written.
    return refusal(500, 7500, error.message);
  }
  // Somebody writes to a database of this name all the time.
  if (about(id).name.startsWith("restless")) about(id).writes += 1;
  if (answer.ok && JSON.parse(text).result.some((it) => it.meta.changed_db)) about(id).writes += 1;
  return new Response(text, { status: answer.status, headers: { "content-type": "application/json" } });
}

async function databases(request, url) {
  if (request.method === "POST") {
    const { name } = await request.json();
    const id = crypto.randomUUID();
    about(id).name = name;
    return envelope(200, { uuid: id, name, version: "production", created_at: about(id).created });
  }
  const [page, size] = ["page", "per_page"].map((it, place) => Number(url.searchParams.get(it) ?? [1, 10][place]));
  const all = [...known].filter(([, it]) => it.name.includes(url.searchParams.get("name") ?? ""));
  const list = all.slice((page - 1) * size, page * size).map(([id, it]) => described(id, it));
  return envelope(200, list, [], { result_info: { page, per_page: size, count: list.length, total_count: all.length } });
}

const described = (id, it) => ({ uuid: id, name: it.name, version: "production", created_at: it.created });

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const nowhere = () =>
      refusal(404, 7003, `Could not route to ${url.pathname}, perhaps your object identifier is invalid?`, null);
    if (request.headers.get("authorization") !== `Bearer ${env.TOKEN}`) {
      return refusal(401, 10000, "Authentication error", null);
    }
    if (url.pathname === "/client/v4/user/tokens/verify") return envelope(200, { id: "t", status: "active" });
    const [, account, rest] = /^\/client\/v4\/accounts\/([^/]+)\/d1\/database(.*)$/.exec(url.pathname) ?? [];
    if (account === undefined) return nowhere();
    if (account !== env.ACCOUNT) {
      return refusal(403, 7403, "The given account is not valid or is not authorized to access this service", null);
    }
    if (rest === "") return databases(request, url);
    const [, id, what] = /^\/([^/]+)(?:\/(.+))?$/.exec(rest) ?? [];
    if (id === undefined) return nowhere();
    if (!uuid.test(id)) return refusal(400, 7400, "Invalid property: databaseId => Invalid uuid");
    about(id);
    if (what === undefined) {
      return envelope(200, { ...described(id, about(id)), num_tables: 0, file_size: 0, running_in_region: "WEUR" });
    }
    if (what === "query" || what === "raw") return run(request, env, id, what === "raw");
    if (what === "time_travel/bookmark" && !about(id).name.startsWith("timeless")) {
      const writes = about(id).writes.toString(16).padStart(8, "0");
      return envelope(200, { bookmark: `00000001-${writes}-00004e2f-${id.replaceAll("-", "")}` });
    }
    return nowhere();
  },
};
