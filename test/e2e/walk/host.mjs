// SPDX-License-Identifier: Apache-2.0

// Host: who takes what of it, its engine, its disks, what its kernel killed.

import assert from "node:assert/strict";
import { accessible, ask, changes, check, finish, given, hostPage, reader, servers, sideways, within } from "./browser.mjs";
import { unharmed } from "./unharmed.mjs";

const page = await reader();
const { host, project, workload } = given;
const track = (title) => page.locator(`.track[aria-label="${title}"]`);
const at = (p = page) => new URL(p.url());

// The list beside a chart: names and what they read at the cursor.
const legend = (title) =>
  track(title).locator(".leg li").evaluateAll((all) => Object.fromEntries(all.map((li) => [li.querySelector("a, span.ell").textContent, li.querySelector("b").innerText.replace(/\s+/g, " ").trim()])));
const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const number = (text) => {
  if (text.startsWith("<")) return 0;
  const [, n, unit] = /^([\d.,]+)\s*([KMGT]?i?B)?/.exec(text) ?? assert.fail(`"${text}" is no number`);
  return Number(n.replaceAll(",", "")) * (unit ? units[unit] : 1);
};

await check("it is reached from the rail, from Servers, from the palette and from a container", async () => {
  await servers(page);
  await page.locator("h2 a", { hasText: host }).first().click();
  await within(3000, () => at().pathname === "/host" && at().searchParams.get("host") === host);
  await page.locator("nav.rail a", { hasText: "Host" }).click();
  await page.locator(".chead h1", { hasText: host }).waitFor();
  await page.keyboard.press("Control+k");
  await page.locator("dialog input:focus").waitFor();
  await page.keyboard.type(`${host} host`);
  await page.locator("dialog li", { hasText: host }).first().click();
  await within(3000, () => at().searchParams.get("host") === host);
  await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload, tab: "facts" })}`);
  await page.locator(".facts a", { hasText: host }).click();
  await within(3000, () => at().pathname === "/host");
});

await hostPage(page, host, "&range=5m");
await check("key figures change each second", () => changes(5000, () => page.locator(".kpis").textContent()));

await check("the parts of the CPU and of the memory have names, and are as much as the host has", async () => {
  let cpu;
  await within(15_000, async () => {
    cpu = await legend("CPU");
    for (const name of [`${project} / api-1`, "not in containers", "free", "all cores"]) assert.ok(cpu[name], `${name} is not in ${JSON.stringify(cpu)}`);
    const api = number(cpu[`${project} / api-1`]);
    assert.ok(api > 0.01 && api < 0.15, `a container that may use 0.1 cores, as far as the machine lets it, uses ${api}`);
  });
  const memory = await legend("Memory");
  for (const name of ["not in containers", "free", "all memory"]) assert.ok(memory[name], `${name} is not in ${JSON.stringify(memory)}`);
  for (const [title, parts, whole] of [["CPU", cpu, "all cores"], ["Memory", memory, "all memory"]]) {
    const sum = Object.entries(parts).filter(([name, v]) => name !== whole && /\d/.test(v)).reduce((n, [, v]) => n + number(v), 0);
    const all = number(parts[whole]);
    // Each is rounded to three digits, and a busy machine's samples are not all of one moment.
    assert.ok(Math.abs(sum - all) < all * 0.06, `${title}: the parts are ${sum}, the whole is ${all}: ${JSON.stringify(parts)}`);
  }
  return JSON.stringify(cpu);
});

await check("what is not known says why", async () => {
  await track("Network").locator(".leg .nk").first().waitFor();
  assert.match(await track("Network").locator(".leg .nk").first().getAttribute("title"), /interface of the host/);
});

await check("one cursor goes through all charts, from the keyboard too", async () => {
  const box = await page.locator(".track .plot canvas").first().boundingBox();
  await page.mouse.move(box.x + box.width - 40, box.y + 20);
  await page.locator(".ctime").waitFor();
  await page.mouse.move(box.x, 10);
  await page.locator("main").focus();
  await page.keyboard.press("ArrowLeft");
  await within(3000, () => at().searchParams.has("at"));
  assert.match(await page.locator(".ctime").textContent(), /^\d\d:\d\d:\d\d/);
  await page.keyboard.press("Escape");
  await within(3000, () => !at().searchParams.has("at"));
});

await check("a container in the list leads to its page, with the range", async () => {
  await track("CPU").locator(".leg a", { hasText: `${project} / api-1` }).click();
  await within(3000, () => at().pathname === "/container" && at().searchParams.get("workload") === workload && at().searchParams.get("range") === "5m");
  await page.goBack();
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
});

await check("one sentence about neighbours", async () => {
  const text = page.locator(".neighbour p");
  await within(10_000, async () => assert.match(await text.textContent(), /\.$/));
  return text.textContent();
});

await check("what the engine measures of itself, with its actions and their times", async () => {
  await page.getByRole("tab", { name: "Engine" }).click();
  await within(30_000, async () => assert.match(await page.locator(".engine").first().textContent(), /Goroutines\d/));
  const text = await page.locator(".engine").first().innerText();
  assert.match(text, /Answers\s+yes/);
  assert.match(text, /Ping\s+[\d.]+ ms/);
  await track("Engine").locator(".fold").click();
  await track("Goroutines").locator("canvas").waitFor();
  return text.replace(/\s+/g, " ").slice(0, 300);
});

await check("where it gives nothing of itself, the reason is told and no chart is empty; and since when it is stalled", async () => {
  const other = await page.context().browser().newContext();
  assert.equal((await other.request.post(`${given.bare.url}/api/tallyman/v1/login`, { data: { token: given.bare.token } })).status(), 204);
  const bare = await other.newPage();
  await bare.goto(`${given.bare.url}/host?tab=engine&range=5m`);
  await within(15_000, async () => assert.match(await bare.locator(".engine").textContent(), /sources\.enginemetrics\.every/));
  assert.match(await bare.locator(".engine").textContent(), /Answers.*yes/);
  assert.equal(await bare.locator(".fold").count(), 0);
  await ask("stall");
  await within(30_000, async () => assert.match(await bare.locator(".engine").textContent(), /no: stalled since \d\d:\d\d:\d\d/));
  assert.match(await bare.locator(".chead").textContent(), /engine stalled/);
  await other.close();
});

await check("what is on the disks", async () => {
  await page.getByRole("tab", { name: "Disks" }).click();
  await page.locator(".fsys li").first().waitFor();
  const logs = page.locator('section[aria-label="Largest logs"]');
  await within(30_000, async () => assert.ok((await logs.textContent()).includes(given.talks), await logs.textContent()));
  return (await page.locator("#panel-disks").innerText()).replace(/\s+/g, " ").slice(0, 300);
});

await check("what the kernel killed has the name of its container, in the list and at the kernel's line", async () => {
  await page.getByRole("tab", { name: "Events" }).click();
  const id = await ask("hog");
  await within(10_000, async () => assert.ok((await page.locator(".evr").allTextContents()).some((t) => t.includes(given.hog))));
  const answer = await page.request.get(`${given.url}/loki/api/v1/series?match=${encodeURIComponent('{unit="kernel"}')}`);
  if ((await answer.json()).data.length === 0) return "the kernel's messages cannot be read here";
  const mine = page.locator(".kills li").filter({ has: page.locator("a", { hasText: given.hog }) });
  await within(40_000, async () => assert.ok((await mine.first().textContent()).includes(given.hungry)));
  await unharmed(page);
  await mine.first().getByRole("button").click();
  const line = page.locator(".ll").filter({ hasText: /oom-kill:.*/ }).filter({ has: page.locator(".src", { hasText: given.hog }) });
  // It stands some lines below the first of that second, and only what is near the screen is drawn.
  await within(20_000, async () => {
    if ((await line.allTextContents()).some((text) => text.includes(id))) return;
    await page.locator(".log").evaluate((box) => box.scrollBy(0, 160));
    throw new Error("the line is not there");
  });
  await page.keyboard.press("Escape");
  return (await mine.first().innerText()).replace(/\s+/g, " ");
});

await check("the page of the container tells it, too", async () => {
  const answer = await page.request.get(`${given.url}/api/tallyman/v1/kills?host=${encodeURIComponent(host)}`);
  const mine = (await answer.json()).kills.filter((k) => k.name === given.hog);
  if (mine.length === 0) return "the kernel's messages cannot be read here";
  const side = await page.context().newPage();
  await side.goto(`${given.url}/container?${new URLSearchParams({ host, workload: given.hog })}`);
  await within(10_000, async () => assert.ok((await side.locator(".why").textContent()).includes(`${given.hungry} (process ${mine[0].pid})`)));
  await unharmed(side);
  await side.close();
});

await check("the lines lead to Logs, with the range", async () => {
  const href = await page.locator(".dock a", { hasText: "Open in Logs" }).getAttribute("href");
  const to = new URL(href, given.url);
  assert.match(to.searchParams.get("q"), /journal/);
  assert.ok(to.searchParams.get("range") === "5m" || to.searchParams.has("from"), href);
});

await check("a host that is not known, and a hostile one", async () => {
  await page.goto(`${given.url}/host?host=${encodeURIComponent('<img src=x onerror=globalThis.__xss=1>\u202e"}')}`);
  await page.getByText(/is not known$/).waitFor();
  await unharmed(page);
  await page.locator("main a", { hasText: host }).click();
  await page.locator(".chead h1", { hasText: host }).waitFor();
});

await check("accessible on each tab, at each width", async () => {
  const minor = [];
  for (const tab of ["", "engine", "disks"]) {
    await hostPage(page, host, `&range=5m&tab=${tab}`);
    minor.push(...(await accessible(page, `host-${tab || "events"}-1440`)));
    for (const width of [360, 768, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      assert.equal(await sideways(page), "", `${tab} at ${width}`);
    }
  }
  return [...new Set(minor)].join("; ") || "no violation of any weight";
});
await finish();
