// SPDX-License-Identifier: Apache-2.0

// Overview: whether anything is wrong, and that it never says so, or the opposite, before it knows.

import assert from "node:assert/strict";
import { accessible, anyWeight, ask, check, finish, given, reader, sideways, within } from "./browser.mjs";
import { unharmed } from "./unharmed.mjs";

const { host, names, workloads } = given;
const api = "**/api/tallyman/v1";
// Answers that fail on purpose are reported by the browser, too.
const page = await reader({ allow: [/status of 503/] });
const items = page.locator(".oatt li");
const item = (name) => items.filter({ hasText: name });
const path = () => new URL(page.url()).pathname;
const rest = page.locator(".orest");
/** Unfolds what does not fit: other tests' containers may be worse. */
const whole = async () => {
  await page.getByText(/^The rest is calm/).waitFor();
  const more = page.locator(".omore .btn");
  if (await more.isVisible()) await more.click();
};

await check("the root opens Overview where something is wrong, and says so in the address", async () => {
  await page.goto(given.url);
  await page.waitForURL(`${given.url}/overview`);
  await item(names.loop).or(page.locator(".omore")).first().waitFor();
  assert.equal(await page.locator('.rail [aria-current="page"]').textContent(), "Overview");
});
await check("what is wrong is one row each, the worst first, and what is calm is none", async () => {
  await whole();
  const grades = await items.evaluateAll((rows) => rows.map((r) => r.dataset.grade));
  assert.deepEqual(grades, [...grades].sort((a, b) => ["crit", "warn", "conf"].indexOf(a) - ["crit", "warn", "conf"].indexOf(b)));
  const loop = await item(names.loop).innerText();
  assert.match(loop, /crashes: \d+ times/);
  assert.match(await item(names.oom).innerText(), /out of memory|want of memory/);
  for (const name of [names.loop, names.oom]) assert.equal(await item(name).count(), 1);
  assert.equal(await item(names.calm).count(), 0);
  return loop.replace(/\s+/g, " ");
});
await check("siblings that differ are told, with what differs", async () => {
  await within(10_000, async () => assert.match(await item(/twin-\d.* differ/).innerText(), /memory/i));
  const words = (await item(/twin-\d.* differ/).innerText()).replace(/\s+/g, " ");
  await item(/twin-\d.* differ/).getByRole("link", { name: /^Compare/ }).click();
  await page.getByRole("heading", { name: "Drift between siblings" }).waitFor();
  await page.goBack();
  await whole();
  return words;
});
await check("the counts are those of the API", async () => {
  await within(10_000, async () => {
    const answer = await (await page.request.get(`${given.url}/api/tallyman/v1/servers`)).json();
    const all = new Set(answer.hosts.flatMap((h) => h.containers).filter((c) => c.state !== "gone").map((c) => c.id)).size;
    const [, calm, of] = /calm: (\d+) of (\d+) containers/.exec(await rest.innerText());
    assert.equal(Number(of), all);
    assert.ok(Number(calm) >= 1 && Number(calm) <= all - 2, `${calm} of ${of}`);
  });
  return await rest.innerText();
});
await check("Why leads to the death", async () => {
  await item(names.oom).getByRole("link", { name: /^Why/ }).click();
  await page.waitForURL(/\/container\?/);
  assert.equal(new URL(page.url()).searchParams.get("workload"), workloads.oom);
  await page.locator(".chead h1").waitFor();
  await page.goBack();
  await whole();
});
await check("the lanes count, and a drag opens that part on Events", async () => {
  const deaths = page.locator('[data-lane="Deaths"]');
  await within(5000, async () => assert.ok(Number((await deaths.textContent()).replaceAll(",", "")) >= 2));
  assert.ok((await page.locator(".oln i").count()) > 0);
  const words = await deaths.getAttribute("aria-label");
  const box = await page.locator(".ostrip").boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/\/events\?/);
  const p = new URL(page.url()).searchParams;
  const hours = (Date.parse(p.get("to")) - Date.parse(p.get("from"))) / 3_600_000;
  assert.ok(Math.abs(hours - 12) < 0.5, `${hours} h`);
  await page.goBack();
  return words;
});
await check("an hour can be chosen, and stays", async () => {
  await page.getByRole("heading", { name: "Last 24 h" }).waitFor();
  await page.keyboard.press("t");
  await page.getByRole("dialog", { name: "Choose the range" }).getByRole("button", { name: "1 h", exact: true }).click();
  await page.getByRole("heading", { name: "Last 1 h" }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("range"), "1h");
  await page.keyboard.press("-");
  await page.getByRole("heading", { name: "Last 6 h" }).waitFor();
  await page.goto(`${given.url}/overview`);
  await page.getByRole("heading", { name: "Last 24 h" }).waitFor();
});
await check("hosts, the largest, events, starts and tallyman itself are there", async () => {
  const row = page.locator(".ohosts tbody tr").filter({ hasText: host });
  await within(10_000, async () => assert.match(await row.innerText(), /\d %[^]*\d %[^]*\d %/));
  await within(10_000, async () => assert.ok((await page.locator(".omost li").count()) >= 6));
  await within(10_000, async () => assert.match(await page.locator(".ocard dl").innerText(), /Series\s+[\d,]+\s+Log lines\s+[\d.,]+ \/s\s+Dropped\s+\d/));
  await page.locator(".ostarts li").first().waitFor();
  assert.ok((await page.locator(".oevents li").count()) > 2);
  return (await row.innerText()).replace(/\s+/g, " ");
});
await check("rows keep their places under the focus", async () => {
  await page.locator(".omost a").first().focus();
  const order = () => page.locator(".omost").first().locator("a").evaluateAll((all) => all.map((a) => a.title));
  const before = await order();
  await ask("docker", "exec", "-d", names.calm, "sh", "-c", "n=0; while [ $n -lt 6000000 ]; do n=$((n+1)); done");
  await page.waitForTimeout(5500); // longer than a page waits between two questions
  const after = await order();
  assert.deepEqual(after.filter((n) => before.includes(n)), before.filter((n) => after.includes(n)));
});
await check("from the keyboard: g o, the map and the palette", async () => {
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await within(3000, () => path() === "/servers");
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await within(3000, () => path() === "/overview");
  await page.keyboard.press("?");
  await within(3000, async () => assert.match(await page.locator("dialog.keymap").innerText(), /g o\s+Overview/));
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("overview page");
  await page.getByRole("option", { name: /^Overview/ }).waitFor();
  await page.keyboard.press("Escape");
});
for (const width of [1440, 360]) {
  await check(`accessible in light and dark at ${width}, with pictures`, async () => {
    await page.setViewportSize({ width, height: width < 760 ? 780 : 900 });
    await page.goto(`${given.url}/overview`);
    await page.getByText(/^The rest is calm/).waitFor();
    await page.locator(".ostarts li").first().waitFor();
    await page.locator(".ohosts .sp").first().waitFor({ state: "attached" });
    assert.equal(await sideways(page), "");
    await accessible(page, `overview-${width}`, { never: anyWeight, fullPage: true });
    if (width === 360) {
      // The list scrolls within the page, not the page.
      await page.setViewportSize({ width, height: 2600 });
      await page.screenshot({ path: `${given.shots}/overview-360-whole.png` });
    } else {
      for (const w of [768, 1100, 2560]) {
        await page.setViewportSize({ width: w, height: 900 });
        assert.equal(await sideways(page), "", `at ${w}`);
      }
      await page.setViewportSize({ width, height: 1500 });
      await page.screenshot({ path: `${given.shots}/overview-1440-whole.png` });
    }
  });
}
await page.setViewportSize({ width: 1440, height: 900 });

await check("what does not load is said, nothing is calm without it, and it comes by itself", async () => {
  await page.route(`${api}/alarms?*`, (route) => route.fulfill({ status: 503, json: { error: { code: "busy", message: "The rules are not ready." } } }));
  await page.goto(`${given.url}/overview`);
  await page.locator(".ofail").getByText("The rules are not ready.").waitFor();
  await item(names.loop).or(page.locator(".omore")).first().waitFor();
  assert.equal(await page.getByText(/is calm:/).count(), 0);
  assert.match(await rest.innerText(), /not known/);
  await page.unroute(`${api}/alarms?*`);
  await page.getByText(/^The rest is calm/).waitFor();
  await within(5000, async () => assert.equal(await page.locator(".ofail").count(), 0));
});

// The engine is shared: a calm one, and one with strange names, are made up.
const strange = "<img src=x onerror=globalThis.__xss=1>\u202e" + "x".repeat(300);
const made = async (change) => {
  const answer = await (await page.request.get(`${given.url}/api/tallyman/v1/servers`)).json();
  answer.hosts = answer.hosts.slice(0, 1);
  const [h] = answer.hosts;
  h.containers = h.containers.filter((c) => c.name === names.calm);
  change(h);
  await page.route(`${api}/servers`, (route) => route.fulfill({ json: answer }));
};
const empty = { "alarms?*": { alarms: [] }, services: { services: [], mistakes: [] } };
for (const [at, json] of Object.entries(empty)) await page.route(`${api}/${at}`, (route) => route.fulfill({ json }));
await check("calm is one green sentence, and then the root opens Servers", async () => {
  await made(() => undefined);
  await page.goto(`${given.url}/overview`);
  await page.getByRole("heading", { name: "All is calm" }).waitFor();
  const words = await page.locator(".ook p").innerText();
  assert.match(words, /^1 container on 1 host\. No alarm fires\. No sibling differs\./);
  await accessible(page, "overview-calm-1440", { never: anyWeight });
  await page.goto(given.url);
  await page.waitForURL(`${given.url}/servers`);
  await page.goto(`${given.url}/?q=${names.calm}`);
  await page.waitForURL(/\/servers\?q=/);
  return words;
});
await check("hostile names are text", async () => {
  await page.unroute(`${api}/servers`);
  await made((h) => Object.assign(h.containers[0], { name: strange, project: strange, state: "exited", exitCode: 3, finished: Date.now() - 60_000, image: strange, lastEvent: undefined }));
  for (const width of [1440, 360]) {
    await page.setViewportSize({ width, height: 900 });
    await page.goto(`${given.url}/overview`);
    await item("failed, exit 3").waitFor();
    await unharmed(page);
    assert.equal(await sideways(page), "", `at ${width}`);
    await page.screenshot({ path: `${given.shots}/overview-hostile-${width}.png` });
  }
});
await finish();
