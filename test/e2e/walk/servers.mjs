// SPDX-License-Identifier: Apache-2.0

// Servers: what is there, what changes, and how it is looked through.

import assert from "node:assert/strict";
import { accessible, anyWeight, ask, changes, check, finish, given, reader, row, servers, sideways, tall, within } from "./browser.mjs";

// Reading the pixels of a chart makes the browser advise against it.
const page = await reader({ height: tall, allow: [/willReadFrequently/] });
const began = Date.now();
let went;
const { project, names } = given;
const cpu = (name) => row(page, name).locator("td").nth(1).locator(".v b");
const memory = (name) => row(page, name).locator("td").nth(2).locator(".v .nw");
const order = async () => (await page.locator("tr.c a[data-row]").evaluateAll((rows) => rows.map((r) => r.title))).filter((n) => Object.values(names).includes(n));

await servers(page);
await check("every container is there, under its project", async () => {
  for (const name of Object.values(names)) await row(page, name).waitFor();
  const group = await page.locator("tbody tr").evaluateAll((rows, project) => {
    const out = [];
    let on = false;
    for (const r of rows) {
      if (r.classList.contains("g")) on = r.querySelector("b").textContent === project;
      else if (on) out.push(r.querySelector("a[data-row]").title);
    }
    return out;
  }, project);
  assert.deepEqual(group.sort(), [names.busy, names.late, names.large, names.small].sort());
  assert.equal(await row(page, names.busy).locator("a[data-row]").textContent(), "busy-1", "the name within its project");
  return `${group.length} in ${project}, ${Object.values(names).length - group.length} beside`;
});
await check("numbers change each second", async () => changes(4000, () => cpu(names.busy).textContent()));
await check("a stopped container says so instead of values", async () => {
  assert.match(await row(page, names.done).textContent(), /stopped, history kept/);
  assert.match(await row(page, names.done).locator(".dot").getAttribute("aria-label"), /exit 3/);
  return await row(page, names.done).locator(".dot").getAttribute("aria-label");
});

await check("/ filters by words, by key and clears", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type(`${project} large`);
  await within(2000, async () => assert.deepEqual(await order(), [names.large]));
  assert.match(decodeURIComponent(page.url()).replaceAll("+", " "), new RegExp(`q=${project} large`));
  await page.keyboard.press("Escape");
  await within(2000, async () => assert.equal((await order()).length, Object.values(names).length));
  await page.keyboard.press("/");
  await page.keyboard.type("nothing-has-this-name");
  await page.getByText(/^0 of \d+ match$/).waitFor();
  await page.getByRole("button", { name: "Clear" }).click();
  await row(page, names.busy).waitFor();
});

await check("sorted by memory by a click, both ways", async () => {
  const head = page.locator("th", { hasText: "Memory" }).first();
  await head.getByRole("button").click();
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  const inProject = async () => (await order()).filter((n) => [names.large, names.small].includes(n));
  assert.deepEqual(await inProject(), [names.large, names.small]);
  const figures = `${await memory(names.large).textContent()} before ${await memory(names.small).textContent()}`;
  await head.getByRole("button").click();
  assert.equal(await head.getAttribute("aria-sort"), "ascending");
  assert.deepEqual(await inProject(), [names.small, names.large]);
  assert.match(page.url(), /sort=memory/);
  return figures;
});

await check("the order stands still under the pointer and goes on after it", async () => {
  await servers(page);
  await page.mouse.move(700, 20);
  const two = async () => (await order()).filter((n) => [names.busy, names.late].includes(n));
  await within(8000, async () => assert.deepEqual(await two(), [names.busy, names.late]));
  await row(page, names.late).hover();
  await page.getByText("order frozen").waitFor();
  await ask("docker", "exec", names.late, "sh", "-c", ": > /tmp/go");
  went = Date.now();
  const value = async (name) => Number(await cpu(name).textContent());
  await within(8000, async () => assert.ok((await value(names.late)) > (await value(names.busy)), "late uses more than busy"));
  // A beat after the values say otherwise, rows are where they were; they would be sorted every 5 s.
  await new Promise((done) => setTimeout(done, 5500));
  assert.deepEqual(await two(), [names.busy, names.late]);
  const figures = `late ${await cpu(names.late).textContent()}, busy ${await cpu(names.busy).textContent()} cores`;
  await page.mouse.move(700, 20);
  const took = await within(7000, async () => assert.deepEqual(await two(), [names.late, names.busy]));
  assert.equal(await page.getByText("order frozen").count(), 0);
  return `${figures}; sorted ${took} ms after the pointer left`;
});

await check("a container that starts shows up within 3 s", async () => {
  await ask("start", "fresh");
  return `${await within(3000, async () => assert.ok((await row(page, given.fresh).count()) === 1))} ms after docker run returned`;
});
await check("its values follow", async () => {
  await within(5000, async () => assert.match(await row(page, given.fresh).locator("td").nth(2).textContent(), /\d.*iB/));
});
await check("a removed container moves to Gone with the time", async () => {
  await ask("docker", "rm", "-f", names.small);
  await within(3000, async () => assert.equal(await row(page, names.small).count(), 0));
  await page.getByRole("button", { name: /^Gone/ }).click();
  await row(page, names.small).waitFor();
  const text = await row(page, names.small).textContent();
  assert.match(text, /gone since/);
  assert.match(page.url(), /show=gone/);
  return text.match(/gone since [^,]+/)[0];
});
await check("Attention shows what failed", async () => {
  await servers(page, "?show=attention");
  await row(page, names.done).waitFor();
  assert.equal(await row(page, names.busy).count(), 0);
});

await check("j, k and Enter open a container", async () => {
  await servers(page, "?q=" + project);
  await page.locator("main").focus();
  const focused = () => page.evaluate(() => document.activeElement?.title ?? "");
  await page.keyboard.press("j");
  const one = await focused();
  await page.keyboard.press("j");
  assert.notEqual(await focused(), one);
  await page.keyboard.press("k");
  assert.equal(await focused(), one);
  assert.ok((await order()).includes(one));
  await page.keyboard.press("Enter");
  await page.locator(".chead h1").waitFor();
  assert.match(page.url(), /\/container\?host=/);
  await page.goBack();
  await row(page, one).waitFor();
});
await check("Ctrl-K jumps to a container", async () => {
  await page.keyboard.press("Control+k");
  await page.locator("dialog input:focus").waitFor();
  await page.keyboard.type("busy-1");
  await page.locator('dialog li[aria-selected="true"]', { hasText: "busy-1" }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator(".chead h1", { hasText: "busy-1" }).waitFor();
});
await check("a hidden page closes its stream", async () => {
  await servers(page);
  const streams = [];
  page.on("requestfailed", (r) => streams.push(r.url()));
  page.on("requestfinished", (r) => streams.push(r.url()));
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await within(3000, () => streams.some((u) => u.includes("/live")));
  const still = await cpu(names.busy).textContent();
  await page.evaluate(() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await within(4000, async () => assert.notEqual(await cpu(names.busy).textContent(), still));
});
assert.equal(await sideways(page), "");

// The page over a range, once its answer is there.
const past = async (from, to, more = "") => {
  await page.goto(`${given.url}/?${new URLSearchParams({ q: project, from: new Date(from).toISOString(), to: new Date(to).toISOString() })}${more}`);
  await page.locator('.past[aria-busy="false"]').waitFor();
};
const ranked = async () => (await order()).filter((n) => [names.busy, names.late].includes(n));
const mean = (name) => row(page, name).locator("td").nth(1).locator(".pv b").textContent();
await check("a range ranks by what was used in it, also by who is gone", async () => {
  const now = Date.now();
  await past(began, went);
  assert.deepEqual(await ranked(), [names.busy, names.late]);
  const before = `before: busy ${await mean(names.busy)}, late ${await mean(names.late)}`;
  await past(went + 2000, now);
  assert.deepEqual(await ranked(), [names.late, names.busy]);
  await row(page, names.small).getByText("gone now").waitFor();
  const key = (await page.locator(".past .eat").first().locator(".key").textContent()).replace(/\s+/g, " ");
  assert.match(key, /not in containers <?\d/);
  assert.match(key, /free <?\d/);
  return `${before}; after: late ${await mean(names.late)}, busy ${await mean(names.busy)}; ${key}`;
});
await check("dragging over the CPU of the host ranks by that part; L leads back to now", async () => {
  const now = Date.now();
  await past(went - (now - went) / 4, now, "&group=none");
  assert.deepEqual(await ranked(), [names.late, names.busy]);
  const area = await page.locator(".harea").first().boundingBox();
  await page.mouse.move(area.x + 1, area.y + 30);
  await page.mouse.down();
  await page.mouse.move(area.x + area.width * 0.1, area.y + 30, { steps: 3 });
  await page.mouse.move(area.x + area.width * 0.18, area.y + 30, { steps: 3 });
  await page.mouse.up();
  await within(5000, async () => assert.deepEqual(await ranked(), [names.busy, names.late]));
  const { searchParams: p } = new URL(page.url());
  const part = (Date.parse(p.get("to")) - Date.parse(p.get("from"))) / (now - (went - (now - went) / 4));
  assert.ok(part > 0.12 && part < 0.24, `${part} of the range`);
  await page.keyboard.press("Backspace");
  await within(5000, async () => assert.deepEqual(await ranked(), [names.late, names.busy]));
  await page.locator("main").focus();
  await page.keyboard.press("L");
  await within(5000, async () => assert.equal(await page.locator(".bar .live").count(), 1));
  await within(5000, async () => assert.match(await cpu(names.busy).textContent(), /\d/));
});
await check("rows are grouped by image or not at all, now and in a range", async () => {
  const choose = (g) => page.getByRole("combobox", { name: "Group by" }).selectOption(g);
  await servers(page, "?q=" + project);
  await choose("image");
  await page.locator("tr.g", { hasText: "tallyman-test/busybox" }).first().waitFor();
  await choose("none");
  await page.getByRole("region", { name: "All containers" }).locator("tr.c").first().waitFor();
  assert.equal(await page.locator("tr.g").count(), 0);
  await past(began, Date.now(), "&group=image");
  await page.locator("tr.g", { hasText: "tallyman-test/busybox" }).first().waitFor();
});
await check("x chooses rows, and compares them: a line for each on every chart", async () => {
  await servers(page, "?q=" + project);
  await page.locator("main").focus();
  for (const key of ["j", "x", "j", "x"]) await page.keyboard.press(key);
  const two = (await order()).slice(0, 2);
  await accessible(page, "chosen-1440", { never: anyWeight });
  await page.getByRole("link", { name: "Compare 2" }).click();
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  assert.equal(new URL(page.url()).searchParams.getAll("c").length, 2);
  const cpuChart = page.locator('.track[aria-label="CPU"]');
  for (const name of two) await cpuChart.locator(".leg", { hasText: name.slice(project.length + 1) }).waitFor();
  const box = await cpuChart.locator("canvas").boundingBox();
  await page.mouse.move(box.x + box.width - 3, box.y + 20);
  await within(3000, async () => assert.equal((await cpuChart.locator(".leg b").allTextContents()).filter((t) => /^\d/.test(t)).length, 2));
  const values = await cpuChart.locator(".leg").innerText();
  const add = page.getByRole("combobox", { name: "Add a container" });
  await add.selectOption(await add.locator("option", { hasText: `${project} / large-1` }).getAttribute("value"));
  await within(5000, async () => assert.equal(await cpuChart.locator(".leg li").count(), 3));
  await page.getByRole("button", { name: /^Leave out/ }).last().click();
  await within(5000, async () => assert.equal(await cpuChart.locator(".leg li").count(), 2));
  await page.reload();
  await within(5000, async () => assert.equal(await cpuChart.locator(".leg li").count(), 2));
  return values.replaceAll("\n", " ");
});
const compared = page.url();
for (const [width, height] of [[1440, 900], [360, 780]]) {
  await check(`a range and a comparison look as they should at ${width}, without violations`, async () => {
    const small = await reader({ width, height, touch: width < 760, allow: [/willReadFrequently/] });
    await small.goto(`${given.url}/?${new URLSearchParams({ from: new Date(began).toISOString(), to: new Date().toISOString() })}`);
    await small.locator('.past[aria-busy="false"] tr.c').first().waitFor();
    await accessible(small, `past-${width}`, { never: anyWeight });
    assert.equal(await sideways(small), "");
    await small.goto(compared);
    await small.locator('.charts[aria-busy="false"] canvas').first().waitFor();
    await accessible(small, `compare-${width}`, { never: anyWeight });
    assert.equal(await sideways(small), "");
    await small.context().close();
  });
}
await finish();
