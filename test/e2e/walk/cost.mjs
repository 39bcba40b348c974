// SPDX-License-Identifier: Apache-2.0

// What the pages cost their reader's machine: how soon the first one is there, and how
// much of a core each takes while it is looked at.

import { ask, check, container, finish, given, reader, servers } from "./browser.mjs";

const { host, workload, seconds } = given;
const page = await reader();
const cdp = await page.context().browser().newBrowserCDPSession();

/** The CPU seconds that tabs have taken, and those of the whole browser. */
async function spent() {
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  const of = (want) => processInfo.filter(want).reduce((sum, p) => sum + p.cpuTime, 0);
  return { tabs: of((p) => p.type === "renderer"), all: of(() => true) };
}

const inside = await page.context().newCDPSession(page);
await inside.send("Performance.enable", { timeDomain: "threadTicks" });
const parts = { script: "ScriptDuration", style: "RecalcStyleDuration", layout: "LayoutDuration", all: "TaskDuration" };

/** What the page's main thread did, in seconds. */
async function threads() {
  const { metrics } = await inside.send("Performance.getMetrics");
  return Object.fromEntries(Object.entries(parts).map(([name, of]) => [name, metrics.find((m) => m.name === of).value]));
}

/** How much of a core the page takes, in percent, once it has come to rest. */
async function cost(name) {
  await page.waitForTimeout(4000);
  const [before, began] = [await spent(), await threads()];
  const from = Date.now();
  await page.waitForTimeout(seconds * 1000);
  const [after, ended] = [await spent(), await threads()];
  const share = (what) => ((after[what] - before[what]) / (Date.now() - from)) * 1e5;
  const main = Object.keys(parts).map((p) => `${p} ${(((ended[p] - began[p]) / (Date.now() - from)) * 1e5).toFixed(2)}`);
  return `${share("tabs").toFixed(1)} % of a core (its main thread: ${main.join(", ")}), ${share("all").toFixed(1)} % with the rest of the browser`;
}

await check("the first page is there", async () => {
  const took = [];
  for (let i = 0; i < 5; i++) {
    await servers(page);
    took.push(
      await page.evaluate(
        () => new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime)).observe({ type: "largest-contentful-paint", buffered: true })),
      ),
    );
  }
  took.sort((a, b) => a - b);
  return `largest contentful paint after ${took[2].toFixed(0)} ms, the median of ${took.map((t) => t.toFixed(0)).join(", ")}`;
});
await check("Servers, live", async () => {
  await servers(page);
  return `${await page.locator("tr.c").count()} rows drawn: ${await cost("servers")}`;
});
await check("Container, live", async () => {
  await container(page, host, workload);
  return cost("container");
});
await check("Logs, live", async () => {
  await page.goto(`${given.url}/logs?${new URLSearchParams({ q: `{workload="${workload}"}` })}`);
  await page.locator(".lt").first().waitFor();
  return cost("logs");
});
for (const [name, path] of [["storm-servers", "/servers"], ["storm-events", "/events"], ["storm-overview", "/overview"]]) {
  await check(`${name}: a hundred events a second`, async () => {
    await page.goto(given.url + path);
    await page.waitForTimeout(2000);
    await ask("storm", "on");
    const figures = await cost(name);
    return `${figures}; ${await ask("storm", "off")}`;
  });
}
await finish();
