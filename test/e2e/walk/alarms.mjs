// SPDX-License-Identifier: Apache-2.0

// Alarms: what fires, what is asked for and raises none, what has cleared and why.

import assert from "node:assert/strict";
import { accessible, anyWeight, ask, check, finish, given, reader, saying, servers, sideways, within } from "./browser.mjs";

const { crash, loop, calm, loud } = given;
const row = (page, workload) => page.locator(".alarm[data-rule]").filter({ has: page.locator(".sum", { hasText: workload }) });

{
  const page = await reader();
  await check("g a leads there; a host on which nothing happened is calm", async () => {
    await servers(page);
    await page.locator("main").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    await page.locator(".rule").first().waitFor();
    assert.match(await page.locator('.rail [aria-current="page"]').textContent(), /^Alarms/);
    assert.equal(await row(page, calm).count(), 0);
    const rules = await page.locator(".rule").count();
    assert.ok(rules > 30, `${rules} rules`);
    return await page.locator("h1").textContent();
  });
  await check("a crash fires, and a stop and a restart do not", async () => {
    await ask("start", "loud"); // its log is looked at later
    await ask("start", "crash");
    await ask("docker", "restart", "-t", "0", calm);
    const took = await within(60_000, async () => assert.equal(await row(page, crash).count(), 1));
    const text = await row(page, crash).textContent();
    assert.match(text, /crashed: exit 3/);
    assert.match(text, /ContainerCrashed/);
    assert.equal(await row(page, calm).count(), 0);
    return `${took} ms after its start`;
  });
  await check("a loop is one alarm, with how often", async () => {
    await ask("start", "loop");
    await within(60_000, async () => assert.match(await row(page, loop).first().textContent(), /keeps dying: \d+ times in \d+ s, exit 1/));
    assert.equal(await row(page, loop).and(page.locator('[data-state="firing"]')).count(), 1);
  });
  await check("who is told stands there, and a test message reaches it", async () => {
    const told = page.locator('section[aria-labelledby="alarms-told"]');
    await told.getByText("127.0.0.1").waitFor();
    await saying(page, "The test message was taken", () => told.getByRole("button", { name: "Test" }).click());
    return await ask("told");
  });
  await check("an alarm is acknowledged, silenced, and both are taken back", async () => {
    await row(page, crash).getByRole("button", { name: "Acknowledge" }).click();
    await row(page, crash).getByText("acknowledged").waitFor();
    await row(page, crash).getByRole("button", { name: "Take back" }).click();
    await row(page, crash).getByRole("button", { name: "Acknowledge" }).waitFor();
    await row(page, crash).getByRole("button", { name: "Silence 1 h" }).click();
    await row(page, crash).getByText("silenced").waitFor();
    const silence = page.locator(".alarm").filter({ hasText: "Silence:" });
    await silence.getByRole("button", { name: "End" }).click();
    await within(5000, async () => assert.equal(await silence.count(), 0));
  });
  await check("the rail, the title of the tab and Servers say that something fires", async () => {
    await within(15_000, async () => assert.match(await page.title(), /^\(\d+\) Alarms/));
    const badge = await page.locator(".rail .badge.crit").textContent();
    await servers(page, "?show=attention");
    await page.locator(`a[data-row][title=${JSON.stringify(crash)}]`).waitFor();
    await accessible(page, "servers-alarm-1440");
    await page.goBack();
    await page.locator(".alarm").first().waitFor();
    return badge;
  });
  await check("Open leads to the container at that time", async () => {
    await row(page, crash).getByRole("link", { name: "Open" }).click();
    await page.waitForURL(/\/container\?/);
    await page.getByText("Died, exit 3").first().waitFor();
    const lane = page.locator('.lane[aria-label="Alarms"]');
    await lane.locator(".held.firing.crit").filter({ hasText: "ContainerCrashed" }).first().waitFor();
    assert.equal(await page.locator(".ov .tint.crit").count(), 1, "the charts are tinted while it fires");
    await accessible(page, "container-alarm-1440");
    await page.setViewportSize({ width: 360, height: 780 });
    assert.equal(await sideways(page), "");
    await accessible(page, "container-alarm-360");
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goBack();
    await page.locator(".alarm").first().waitFor();
  });
  await check("what is removed is cleared, with the reason", async () => {
    await ask("docker", "rm", "-f", crash, loop);
    await within(60_000, async () => {
      const all = row(page, crash).and(page.locator('[data-state="cleared"]'));
      assert.match(await all.first().textContent(), /Cleared: removed/);
    });
    await within(20_000, async () => assert.equal(await row(page, loop).and(page.locator('[data-state="firing"]')).count(), 0));
  });
  await check("a rule shows its expression and when it was evaluated", async () => {
    // Of one that was there for longer than the 15 s between two looks.
    const rule = page.locator('.rule[data-rule="ContainerCrashed"]').filter({ hasText: 'class="service"' });
    await rule.locator("summary").click();
    await rule.getByText('container_problem{').waitFor();
    await rule.getByText(/Evaluated at \d\d:\d\d:\d\d in/).waitFor();
    await rule.getByRole("button", { name: "How often would it have fired?" }).click();
    const would = rule.getByText(/would have fired [1-9]\d* times? in the last 7 d/);
    await would.waitFor();
    await accessible(page, "alarms-rule-1440");
    return await would.textContent();
  });
  await check("a rule over logs shows what it counted, and the lines", async () => {
    const of = page.locator('.alarm[data-rule="LogFatal"]').filter({ hasText: loud }).first();
    await within(120_000, async () => assert.equal(await of.count(), 1));
    await of.getByText("What the rule looked at").click();
    await of.locator("svg").waitFor();
    const words = await of.locator("svg").getAttribute("aria-label");
    assert.match(words, /At most [1-9]\d*, last \d+; it fires at > 0/);
    const lines = await of.locator(".lines li").allTextContents();
    assert.ok(lines.length >= 3 && lines.length <= 50 && lines.every((l) => l.includes("out of luck")), lines.join("\n"));
    await accessible(page, "alarms-looked-real-1440");
    return words;
  });
  await page.context().close();
}

const long = "x".repeat(400);
const made = {
  calm: { alarms: [] },
  bad: {
    alarms: [
      { id: "1", rule: "ContainerCrashed", state: "firing", severity: "critical", host: "harbor", workload: "shop/api/1", image: "shop/api:1", summary: `<b>shop</b>/api/1 crashed: ${long}`, advice: "See why on its page", value: 3, labels: {}, since: Date.now() - 90_000, fired: Date.now() - 90_000 },
      { id: "2", rule: "HostDiskFillsUp", state: "firing", severity: "warning", host: "harbor", summary: "harbor: /dev/sda1 is full within a day at this rate", value: 3, labels: {}, since: Date.now() - 9e7, fired: Date.now() - 9e7 },
      { id: "3", rule: "ContainerCPUThrottled", state: "pending", severity: "info", host: "harbor", workload: "shop/db/1", summary: "", value: 3, labels: {}, since: Date.now() - 90_000 },
    ],
  },
};
// What a rule looked at, of a disk that fills for an hour.
const minutes = Array.from({ length: 76 }, (_, i) => i);
const disk = {
  alarm: made.bad.alarms[1],
  chart: { language: "promql", expr: `min by (host, device) (node_filesystem_avail_bytes{fstype!~"tmpfs|${"x".repeat(120)}"})`, op: "<", threshold: 0.25, start: Date.now() - 9e7 - 3_600_000, end: Date.now() - 9e7 + 900_000,
    times: minutes.map((i) => Date.now() - 9e7 - 3_600_000 + i * 60_000), values: minutes.map((i) => 0.9 - i * 0.011) },
  lines: minutes.slice(0, 50).map((i) => ({ time: Date.now() - 9e7 + i, text: i % 9 ? `level=error msg="no space left on device" n=${i}` : `<b>${long}` })),
};
for (const [width, height] of [[1440, 900], [768, 900], [360, 780]]) {
  await check(`calm and bad in light and dark at ${width}: accessible, not sideways`, async () => {
    const page = await reader({ width, height, touch: width < 760 });
    for (const [name, answer] of Object.entries(made)) {
      await page.route("**/api/tallyman/v1/alarms", (r) => r.fulfill({ json: answer }));
      await page.goto(`${given.url}/alarms`);
      await page.locator(".rule").first().waitFor();
      assert.equal(await sideways(page), "");
      const text = await page.locator("h1").textContent();
      assert.match(text, name === "calm" ? /Nothing fires/ : /2 alarms fire, 1 of them critical/);
      await accessible(page, `alarms-${name}-${width}`, { fullPage: true, never: anyWeight });
      if (name === "bad") {
        await page.route("**/api/tallyman/v1/alarms/2", (r) => r.fulfill({ json: disk }));
        const one = page.locator('.alarm[data-rule="HostDiskFillsUp"]');
        await one.getByText("What the rule looked at").click();
        await one.locator("svg").waitFor();
        assert.equal(await one.locator(".lines li").count(), 50);
        assert.equal(await sideways(page), "");
        await accessible(page, `alarms-looked-${width}`, { never: anyWeight });
      }
      await page.unroute("**/api/tallyman/v1/alarms");
    }
    await page.context().close();
  });
}
{
  const page = await reader({ allow: [/404|500/] });
  await check("that alarms are switched off, or do not answer, is said", async () => {
    await page.route("**/api/tallyman/v1/alarms**", (r) => r.fulfill({ status: 404, json: { error: { code: "not_found", message: "no such route", next: "" } } }));
    await page.goto(`${given.url}/alarms`);
    await page.getByText("Alarms are switched off").waitFor();
    await page.unroute("**/api/tallyman/v1/alarms**");
    await page.route("**/api/tallyman/v1/alarms**", (r) => r.fulfill({ status: 500, json: { error: { code: "internal", message: "The disk is gone.", next: "" } } }));
    await page.goto(`${given.url}/alarms?x=1`);
    await page.getByText("The disk is gone.").waitFor();
  });
  await page.context().close();
}
await finish();
