// SPDX-License-Identifier: Apache-2.0

// Doctor: what works here, what does not, what would help, and what it costs.

import assert from "node:assert/strict";
import { accessible, anyWeight, check, finish, given, reader, saying, servers, sideways, within } from "./browser.mjs";

const groups = ["Engines", "Containers", "Host", "Rights", "Storage", "tallyman"];
const words = { works: "works", partly: "works partly", off: "does not work", unknown: "not known" };

const open = async (page) => {
  await page.goto(`${given.url}/doctor`);
  await page.locator(".dgrid .finding").first().waitFor();
};
const told = async (page) => (await page.request.get(`${given.url}/api/tallyman/v1/doctor`)).json();

{
  const page = await reader();
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const pasted = () => page.evaluate(() => navigator.clipboard.readText());

  await check("g d leads there, and the rail says so", async () => {
    await servers(page);
    await page.locator("main").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("d");
    await page.locator(".dgrid .finding").first().waitFor();
    assert.equal(new URL(page.url()).pathname, "/doctor");
    assert.equal(await page.locator('.rail [aria-current="page"]').textContent(), "Doctor");
  });
  await check("Ctrl-K finds it", async () => {
    await servers(page);
    await page.keyboard.press("Control+k");
    await page.locator("dialog input:focus").waitFor();
    await page.keyboard.type("doctor");
    await page.locator('dialog li[aria-selected="true"]', { hasText: "Doctor" }).waitFor();
    await page.keyboard.press("Enter");
    await page.locator(".dgrid .finding").first().waitFor();
  });
  await check("every feature is there, in its group, with a shape and a word", async () => {
    const answer = await told(page);
    const rows = await page.locator(".finding").evaluateAll((all) =>
      all.map((r) => ({ id: r.dataset.feature, state: r.dataset.state, group: r.closest(".group").querySelector("h3").textContent, word: r.querySelector(".state").textContent, dots: r.querySelectorAll(".dot").length })),
    );
    assert.deepEqual(rows.map((r) => r.id).sort(), answer.features.map((f) => f.id).sort());
    for (const f of answer.features) {
      const row = rows.find((r) => r.id === f.id);
      assert.equal(row.group, f.group, f.id);
      assert.equal(row.word, words[row.state], f.id);
      assert.equal(row.dots, 1, f.id);
    }
    const shown = [...new Set(rows.map((r) => r.group))];
    assert.deepEqual([...shown].sort(), groups.filter((g) => shown.includes(g)).sort(), "no other groups");
    for (const g of ["Engines", "Containers", "Host", "Storage"]) assert.ok(shown.includes(g), `no group ${g}`);
    return `${rows.length} in ${shown.join(", ")}`;
  });
  await check("what does not work comes first, and the sentence on top counts it", async () => {
    const rows = await page.locator(".finding").evaluateAll((all) => all.map((r) => r.dataset.state));
    assert.ok(!rows.slice(rows.indexOf("works")).some((s) => s !== "works"), `order of states: ${rows}`);
    const lack = rows.filter((s) => s !== "works");
    const title = await page.locator(".dhead h1").textContent();
    if (lack.length === 0) assert.equal(title, "Everything works here.");
    else assert.match(title, new RegExp(`^\\d+ of ${rows.length} `));
    return title;
  });
  await check("an unlock is copied by its button", async () => {
    const unlock = page.locator(".unlock").first();
    if ((await unlock.count()) === 0) return "nothing to unlock here";
    const text = await unlock.locator("code").textContent();
    await saying(page, "Copied", () => unlock.getByRole("button", { name: /^Copy/ }).click());
    assert.equal(await pasted(), text);
    return text;
  });
  await check("Copy as report gives Markdown of it all", async () => {
    await saying(page, "Report copied", () => page.getByRole("button", { name: "Copy as report" }).click());
    const text = await pasted();
    assert.match(text, /^# tallyman doctor\n/);
    for (const part of ["## Cost of tallyman", "## Stores", "## Dropped"]) assert.ok(text.includes(part), `${part} is missing in ${text}`);
    return `${text.length} letters`;
  });
  await check("costs, stores and disk are figures", async () => {
    const card = (id) => page.locator(`section[aria-labelledby=doctor-${id}]`).innerText().then((t) => t.replaceAll("\n", " "));
    const cost = await card("cost");
    for (const want of [/CPU [\d.]+ cores/, /Memory [\d.]+( \w+)? of [\d.]+ \w?i?B|Memory [\d.]+ \w?i?B/, /Descriptors [\d,]+/, /Rounds [\d,]+/]) assert.match(cost, want);
    const stores = await card("stores");
    assert.match(stores, /metrics .*i?B/);
    assert.match(stores, /events .*i?B/);
    assert.match(stores, /Disk [\d.]+ \w+ free/);
    assert.match(await card("dropped"), /Nothing was dropped\.|\d/);
    return `${cost} | ${stores}`;
  });
  await check("it is read again each 5 s, and not while hidden", async () => {
    const read = () => page.locator(".dhead time").getAttribute("title");
    const before = await read();
    const took = await within(9000, async () => assert.notEqual(await read(), before));
    let asked = 0;
    page.on("request", (r) => {
      if (r.url().endsWith("/doctor")) asked++;
    });
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await new Promise((done) => setTimeout(done, 6500));
    assert.equal(asked, 0, "asked while hidden");
    await page.evaluate(() => {
      delete document.hidden;
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await within(2000, async () => assert.equal(asked, 1));
    return `new after ${took} ms`;
  });
  await page.context().close();
}

{
  const page = await reader({ allow: [/500|ERR_FAILED/] });
  const route = "**/api/tallyman/v1/doctor";
  await check("an error says what failed, and Try again mends it", async () => {
    await page.route(route, (r) => r.fulfill({ status: 500, json: { error: { code: "internal", message: "The doctor is out.", next: "Come back later." } } }));
    await page.goto(`${given.url}/doctor`);
    await page.getByText("The doctor is out. Come back later.").waitFor();
    await page.unroute(route);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator(".dgrid .finding").first().waitFor();
  });
  await check("without an answer the page says that it is stale and keeps what it has", async () => {
    await page.route(route, (r) => r.abort());
    const took = await within(9000, async () => assert.match(await page.locator(".body > .banner.warn").textContent(), /No answer from tallyman/));
    assert.ok((await page.locator(".finding").count()) > 0);
    await page.unroute(route);
    await page.getByRole("button", { name: "Try now" }).click();
    await within(2000, async () => assert.equal(await page.locator(".body > .banner.warn").count(), 0));
    return `after ${took} ms`;
  });
  await page.context().close();
}

// What a well host and an ill one look like is made up here.
const answers = {
  well: (a) => ({ ...a, features: a.features.map((f) => ({ ...f, state: "works", reason: undefined, unlock: undefined })), dropped: [] }),
  ill: (a) => ({
    ...a,
    features: [
      ...a.features,
      { id: "engine/made-up", group: "Engines", name: "Engine harbor-2", state: "off", reason: "connection refused since 14:38", unlock: "start Docker there, or take it out of the settings" },
      { id: "host/mixed", group: "Host", name: "Mixed", state: "off", reason: "Words are around what is to be pasted.", unlock: "`--pid=host --cap-add SYS_PTRACE`, or start one container with `-v /:/rootfs:ro,rslave`, once after each boot" },
      { id: "host/made-up", group: "Host", name: "Made up", state: "off", reason: "A reason that is long enough to be broken at a narrow width, since it goes on.", unlock: "-v /sys/fs/cgroup:/host/sys/fs/cgroup:ro" },
      { id: "container/made-up", group: "Containers", name: "Partly made up", state: "partly", detail: "98 of 102 containers", reason: "4 share the network of the host" },
      { id: "tallyman/made-up", group: "tallyman", name: "Nobody knows", state: "unknown", reason: "not asked yet" },
    ],
    disk: { path: "/var/lib/tallyman", size: 40e9, free: 0.5e9, reserve: 1e9 },
    dropped: [{ what: "samples", reason: "store_failed", count: 1200, next: "Look at the log of tallyman." }],
  }),
};
for (const [width, height] of [[1440, 900], [360, 780]]) {
  await check(`well and ill in light and dark at ${width}: accessible, not sideways`, async () => {
    const page = await reader({ width, height, touch: width < 760 });
    for (const [name, of] of Object.entries(answers)) {
      await page.route("**/api/tallyman/v1/doctor", async (r) => r.fulfill({ json: of(await told(page)) }));
      await open(page);
      assert.equal(await sideways(page), "");
      if (name === "well") {
        await page.getByText("Everything works here.").waitFor();
        await page.getByText("Nothing was dropped.").waitFor();
      } else {
        assert.equal(await page.locator('.finding[data-feature="engine/made-up"] .unlock').count(), 0, "advice is no command");
        assert.deepEqual(await page.locator('.finding[data-feature="host/mixed"] .unlock code').allTextContents(), ["--pid=host --cap-add SYS_PTRACE", "-v /:/rootfs:ro,rslave"]);
        await page.getByText("1,200 samples: the store could not write them.").waitFor();
      }
      await accessible(page, `doctor-${name}-${width}`, { fullPage: true, never: anyWeight });
      await page.unroute("**/api/tallyman/v1/doctor");
    }
    await page.context().close();
  });
}
await finish();
