// A browser that a test drives (t/lib/apikeytest/browser.py): JSON commands on standard input, an answer for each, a line each.
//   {"tab": 0, "do": "click", "with": ["role=button[name='Sign in']"]}   a method of playwright's Page (or of its keyboard: "keyboard.press")
//   {"do": "open"}            another tab of the same browser; {"do": "open", "with": [{options of a context}]}: of one that shares nothing with it
//   {"do": "download", "with": [selector, file]}    what a click there saves; {"do": "axe"}   what axe-core finds; {"do": "seen"}   what was asked for, and complained of; {"do": "forgive"}   forgets the latter
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const PATIENCE = 10_000;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"], // it runs as root where the tests do
});
const tabs = [];
const seen = { complaints: [], addresses: [] };
let context;

async function open(options) {
  if (options || !context) context = await browser.newContext({ acceptDownloads: true, locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.complaints.push(message.text()));
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("request", (request) => seen.addresses.push(request.url()));
  return tabs.push(page) - 1;
}

const commands = {
  open: (_, options) => open(options),
  async download(page, selector, file) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
    await download.saveAs(file);
    return download.suggestedFilename();
  },
  async axe(page) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return found.violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map((node) => node.html.slice(0, 200)) }));
  },
  seen: () => seen,
  forgive: () => void (seen.complaints.length = 0),
  // The next answer to such a request is lost; the request itself is done.
  drop(page, pattern, method) {
    let lost = false;
    return page.route(pattern, async (route) => {
      if (lost || route.request().method() !== method) return route.fallback();
      lost = true;
      await route.fetch();
      await route.abort();
    });
  },
  offline: (page, off) => page.context().setOffline(off),
  permissions: (page, ...names) => page.context().grantPermissions(names),
};

async function run({ tab = 0, do: name, with: given = [] }) {
  const page = tabs[tab];
  if (name in commands) return commands[name](page, ...given);
  const [part, method] = name.includes(".") ? name.split(".") : [undefined, name];
  const target = part ? page[part] : page;
  const result = await target[method](...given);
  return ["string", "number", "boolean"].includes(typeof result) || method === "evaluate" || Array.isArray(result) ? result : null;
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { result: (await run(JSON.parse(line))) ?? null };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
