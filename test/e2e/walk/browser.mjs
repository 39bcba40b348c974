// SPDX-License-Identifier: Apache-2.0

// What every walk shares: the browser, the checks and their report, the talk
// with the Go test that started the walk, and the watch over what no page may
// do: ask another host, write an error to the console, break the policy.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** What the Go test says: url, link, token and the names of its containers. */
export const given = JSON.parse(process.env.E2E);

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the Go test to do something outside the browser and waits for its answer. */
export async function ask(verb, ...args) {
  console.log(`ask ${JSON.stringify({ verb, args })}`);
  const { value } = await answers.next();
  const answer = JSON.parse(value);
  if (answer.error) throw new Error(`${verb} ${args.join(" ")}: ${answer.error}`);
  return answer.out;
}

/** Runs one check and reports it with what it returns. */
export async function check(what, run) {
  const start = Date.now();
  let figures;
  try {
    figures = await run();
  } catch (err) {
    console.log(`NOT ${what}`);
    if (current) await current.screenshot({ path: `${given.shots}/failed-${basename(process.argv[1], ".mjs")}.png` }).catch(() => undefined);
    throw err;
  }
  console.log(`ok  ${what}${figures === undefined ? "" : `: ${figures}`} (${Date.now() - start} ms)`);
}

// A machine with two cores and other tests on them needs so many times the time that a person's does.
const patience = 3;

/** Runs see until it neither throws nor returns false, for at most some milliseconds; returns how long it took. */
export async function within(ms, see) {
  const start = Date.now();
  ms *= patience;
  for (;;) {
    let why;
    try {
      if ((await see()) !== false) return Date.now() - start;
      why = new Error("it stayed false");
    } catch (err) {
      why = err;
    }
    if (Date.now() - start > ms) throw new Error(`not within ${ms} ms: ${why.message}`, { cause: why });
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Does something of which the page says so for some seconds. It is watched from before, since a busy browser may take longer to be asked. */
export async function saying(page, text, act) {
  await Promise.all([page.getByText(text, { exact: true }).waitFor(), act()]);
}

/** Waits until read gives something else than it gives now. */
export async function changes(ms, read) {
  const before = await read();
  let after;
  await within(ms, async () => {
    after = await read();
    assert.notEqual(after, before);
  });
  return `${before} → ${after}`;
}

let browser;
/** The page that was opened last, for the picture of a failure. */
let current;
const faults = [];
const seen = { requests: 0, pages: new Set() };
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function started() {
  browser ??= await chromium.launch({
    executablePath: given.chromium,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  return browser;
}

/** A height at which a list draws all its rows, also on a machine with a hundred other containers: what is far from the screen is not drawn. */
export const tall = 5000;

/**
 * Opens a page as a reader of its own, logged in by the token unless told not
 * to. allow is what its console may say: a browser reports each answer of 401.
 */
export async function reader({ width = 1440, height = 900, theme = "dark", login = true, touch = false, allow = [] } = {}) {
  const context = await (await started()).newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", hasTouch: touch, locale: "en-GB", timezoneId: "UTC" });
  context.setDefaultTimeout(10_000 * patience);
  await context.exposeBinding("__violation", (_, what) => faults.push(`policy broken: ${what}`));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) => globalThis.__violation(`${e.violatedDirective} ${e.blockedURI} at ${e.sourceFile}:${e.lineNumber}`));
  });
  context.on("request", (r) => {
    seen.requests++;
    if (!r.url().startsWith(given.url + "/") && !r.url().startsWith("data:")) faults.push(`a request left: ${r.url()}`);
  });
  context.on("console", (m) => {
    const text = `${m.text()} ${m.location().url}`;
    if (["error", "warning", "assert"].includes(m.type()) && !text.includes(dropped) && !allow.some((a) => a.test(text))) faults.push(`console: ${text}`);
  });
  context.on("weberror", (e) => faults.push(`uncaught: ${e.error().stack}`));
  context.on("page", (page) => {
    page.on("dialog", (d) => {
      faults.push(`a dialog opened: ${d.message()}`);
      void d.dismiss();
    });
    page.on("framenavigated", (f) => seen.pages.add(f.url().replace(given.url, "").replace(/[?#].*/, "")));
  });
  if (login) {
    const answer = await context.request.post(`${given.url}/api/tallyman/v1/login`, { data: { token: given.token } });
    assert.equal(answer.status(), 204, `login by the token: ${await answer.text()}`);
  }
  current = await context.newPage();
  steady(current);
  return current;
}

// Chromium drops what is under way when a network interface comes or goes, as each container's does. A page asks for it again;
// what its document itself needs only a reload brings, here as for a person.
const dropped = "net::ERR_NETWORK_CHANGED";
function steady(page) {
  let cut;
  page.on("requestfailed", (r) => {
    cut ||= r.failure()?.errorText === dropped && ["document", "script", "stylesheet"].includes(r.resourceType());
  });
  for (const way of ["goto", "reload"]) {
    const go = page[way].bind(page);
    page[way] = async (...args) => {
      for (let more = 5; ; more--) {
        cut = false;
        const answer = await go(...args).catch((err) => {
          // The page that says it may come while one asks again, and Chromium may ask again by itself.
          if (!err.message.includes(dropped) && !err.message.includes("is interrupted by another navigation")) throw err;
          cut = true;
        });
        if (!cut || more === 0) return answer;
      }
    };
  }
}

/** Ends the walk: nothing forbidden may have happened on any page of it. */
export async function finish() {
  await browser?.close();
  assert.deepEqual(faults, []);
  console.log(`ok  quiet: ${seen.requests} requests, none to another host; no console error, no uncaught error, no broken policy, no dialog on ${[...seen.pages].join(" ")}`);
  process.exit(0);
}

/** Servers with values: the first answer has come. */
export async function servers(page, query = "") {
  await page.goto(`${given.url}/servers${query}`);
  await page.locator("tr.c, .cc").first().waitFor();
}

/** The row of a container by its full name. */
export const row = (page, name) => page.locator("tr.c").filter({ has: page.locator(`a[data-row][title=${JSON.stringify(name)}]`) });

/** The page of a workload, once its charts have samples. */
export async function container(page, host, workload, query = "") {
  await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload })}${query}`);
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
}

/** The page of a host, once its charts have samples. */
export async function hostPage(page, host, query = "") {
  await page.goto(`${given.url}/host?${new URLSearchParams({ host })}${query}`);
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
}

/** Waits until the browser has drawn what the page became. */
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** The theme of the system changes, as at dusk; picture is called in each. */
export async function inBothThemes(page, picture) {
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    await drawn(page);
    await picture(theme);
  }
}

/** The weights that axe gives to its rules. */
export const anyWeight = ["minor", "moderate", "serious", "critical"];

/**
 * Takes pictures of a page in both themes and holds the rules of axe against
 * it. No rule of a weight in never may be broken; what else is broken comes back.
 */
export async function accessible(page, name, { fullPage = false, never = anyWeight.slice(2) } = {}) {
  // What is late is drawn paler; a machine that is busy now is no matter of colours.
  await page.waitForFunction(() => !document.querySelector(".stale"));
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  const minor = [];
  await inBothThemes(page, async (theme) => {
    await page.screenshot({ path: `${given.shots}/${name}-${theme}.png`, fullPage });
    // The rules about colours are asked in both themes, the others would say the same again.
    const { violations } = await page.evaluate(
      (only) => globalThis.axe.run(document, { resultTypes: ["violations"], ...(only && { runOnly: only }) }),
      theme === "light" ? undefined : ["color-contrast", "link-in-text-block"],
    );
    const broken = (v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 4).map((n) => `${n.html} ${n.any[0]?.message ?? ""}`).join(" | ")}`;
    assert.deepEqual(violations.filter((v) => never.includes(v.impact)).map(broken), [], `${name} in ${theme}`);
    minor.push(...violations.map((v) => `${v.impact} ${v.id}`));
  });
  return minor;
}

/** How far the page can be scrolled sideways, once it is drawn, and what sticks out of it. */
export const sideways = (page) =>
  page.evaluate(async () => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const out = [...document.querySelectorAll("html, body, main")].filter((e) => e.scrollWidth > e.clientWidth).map((e) => `${e.tagName} by ${e.scrollWidth - e.clientWidth}`);
    if (out.length === 0) return "";
    // Who is to blame: the innermost elements without which nothing would overflow.
    const main = document.querySelector("main");
    const wide = () => document.documentElement.scrollWidth > document.documentElement.clientWidth || (main !== null && main.scrollWidth > main.clientWidth);
    const guilty = [...document.querySelectorAll("body *")].filter((e) => {
      if (e === main || e.contains(main)) return false;
      const kept = e.style.display;
      e.style.display = "none";
      const without = !wide();
      e.style.display = kept;
      return without;
    });
    const culprits = guilty.filter((e) => !guilty.some((x) => x !== e && e.contains(x))).map((e) => `${e.outerHTML.slice(0, 200)}`);
    return `${out.join(", ")}: ${culprits.join(" ")}`;
  });
