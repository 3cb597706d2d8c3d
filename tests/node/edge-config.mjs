// What the vendor's own client makes of an Edge Config: node edge-config.mjs CONNECTION WRONG_CONNECTION
import { createClient, parseConnectionString } from "@vercel/edge-config";

const [connection, wrong] = process.argv.slice(2);
const client = createClient(connection);
const refused = await createClient(wrong).getAll().then(() => null, (it) => it.message);
console.log(
  JSON.stringify({
    id: parseConnectionString(connection).id,
    all: await client.getAll(),
    some: await client.getAll(["greeting", "absent"]),
    one: await client.get("greeting"),
    absent: (await client.get("absent")) === undefined,
    has: [await client.has("greeting"), await client.has("absent")],
    digest: await client.digest(),
    refused,
  }),
);
