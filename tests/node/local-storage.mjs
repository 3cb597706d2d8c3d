// Lets a real Chromium write a profile: node local-storage.mjs EXECUTABLE PROFILE [FEATURES] < entries.json
//
// The entries are {"ORIGIN": [["key", "value"], ["key", null]]}; null removes a key. "TOP|FRAME" is a frame of one origin within
// a page of another, whose storage is partitioned. A text in place of a list is a script for the page's console; what it gives is
// printed as JSON. No page is fetched: each is answered here. Prints `written` once the pages
// are done, and `changed` each time when the browser has been writing to its profile and has stopped. Closes the browser when it
// is told so by one more line, when its input ends, or after a minute.
import { chromium } from "playwright-core";
import fs from "node:fs";
import readline from "node:readline";

const [executablePath, profile, features] = process.argv.slice(2);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const entries = JSON.parse((await lines.next()).value);
// Frames of other sites may have storage.
const preferences = `${profile}/Default/Preferences`;
if (!fs.existsSync(preferences)) {
  fs.mkdirSync(`${profile}/Default`, { recursive: true });
  fs.writeFileSync(preferences, JSON.stringify({ profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }));
}
// The usual arguments would put storage of frames together with that of pages.
const args = ["--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
args.push("--remote-debugging-pipe", `--user-data-dir=${profile}`, `--enable-features=${features ?? ""}`, "about:blank");
const context = await chromium.launchPersistentContext(profile, { executablePath, args, ignoreDefaultArgs: true });
await context.route("**/*", (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }));
const page = await context.newPage();
for (const [place, all] of Object.entries(entries)) {
  const [top, inner] = place.split("|");
  await page.goto(`${top}/`);
  let frame = page.mainFrame();
  if (inner) {
    const element = await page.evaluateHandle((url) => {
      const element = document.createElement("iframe");
      element.src = url;
      const loaded = new Promise((done) => (element.onload = done));
      document.body.append(element);
      return loaded.then(() => element);
    }, `${inner}/`);
    frame = await element.asElement().contentFrame();
  }
  if (typeof all === "string") {
    console.log(JSON.stringify((await frame.evaluate(all)) ?? null));
    continue;
  }
  // As JSON text, for the sake of half surrogate pairs.
  await frame.evaluate((json) => {
    for (const [key, value] of JSON.parse(json)) {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    }
  }, JSON.stringify(all));
}
console.log("written");
let pause;
const changed = () => {
  clearTimeout(pause);
  pause = setTimeout(() => console.log("changed"), 100);
};
fs.watch(`${profile}/Default`, { recursive: true }, (_, name) => name?.startsWith("Local") && changed());
changed();
setTimeout(() => process.exit(1), 60_000);
await lines.next();
await context.close();
process.exit(0);
