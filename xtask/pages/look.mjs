// Looks at pages as people do. Told by `cargo xtask pages`, in JSON on standard input: { modules, links, out, pages:
// [{ name, base, path, status, signed_in }], looks, browser }. Says what it found in JSON lines on standard output; the rest is decided there.
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const told = JSON.parse(text);
const require = createRequire(told.modules + "/");
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

mkdirSync(told.out, { recursive: true });
const browser = await chromium.launch({
  executablePath: told.browser,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"],
});
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

// Signs in once at each server, as a person does: by its link, and the button that it leads to.
const sessions = [];
for (const link of Object.values(told.links)) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const tab = await context.newPage();
  await tab.goto(link, { timeout: 30000 });
  await tab.click("main form button");
  sessions.push(...(await context.cookies()));
  await context.close();
}

const rounds = told.looks.flatMap((look) => [false, true].map((signed_in) => ({ ...look, signed_in })));
for (const { signed_in, ...look } of rounds) {
  const pages = told.pages.filter((page) => page.signed_in === signed_in);
  if (pages.length === 0) continue;
  const context = await browser.newContext({
    viewport: { width: look.width, height: look.width < 600 ? 740 : 900 },
    colorScheme: look.theme,
    javaScriptEnabled: look.scripts,
    reducedMotion: look.motion ? "no-preference" : "reduce",
  });
  if (signed_in) await context.addCookies(sessions);
  // It is put there by the browser, not by the page, whose policy stays in force and is seen to be kept.
  if (look.scripts) await context.addInitScript({ path: axe });
  for (const page of pages) {
    const tab = await context.newPage();
    const errors = [];
    tab.on("console", (message) => {
      // Chromium reports a page that is not there as an error; here that is what is wanted.
      if (message.type() === "error" && !(page.status !== 200 && message.text().includes(String(page.status)))) errors.push(message.text());
    });
    tab.on("pageerror", (error) => errors.push(String(error)));
    const name = [page.name, look.width, look.theme, look.scripts ? "scripts" : "plain", look.motion ? "" : "still"]
      .filter(Boolean)
      .join("-");
    const answer = await tab.goto(page.base + page.path, { waitUntil: "load", timeout: 30000 });
    if (answer.status() !== (page.status ?? 200)) errors.push(`status ${answer.status()}`);
    if (look.scripts) await tab.waitForTimeout(120);
    await tab.screenshot({ path: `${told.out}/${name}.png`, fullPage: true });
    const found = { name, path: page.path, errors, violations: [], overflow: 0 };
    if (look.scripts) {
      found.overflow = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      const result = await tab.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      found.violations = result.violations.map((rule) => ({
        rule: rule.id,
        what: rule.help,
        where: rule.nodes.slice(0, 3).map((node) => node.target.join(" ") + ": " + node.html.slice(0, 160)),
        times: rule.nodes.length,
      }));
    }
    say(found);
    await tab.close();
  }
  await context.close();
}
await browser.close();
