// SPDX-License-Identifier: Apache-2.0

// Events: all there are, live, found, narrowed, opened, and the way from one to
// its container, its lines and its configuration.

import assert from "node:assert/strict";
import { accessible, ask, check, container, finish, given, reader, servers, sideways, within } from "./browser.mjs";
import { unharmed } from "./unharmed.mjs";

const { host, project, api, hog, hostile, escaped } = given;
const page = await reader();

const address = (more = {}) => `${given.url}/events?${new URLSearchParams(Object.entries({ range: "15m", ...more }).flatMap(([k, v]) => [v].flat().map((x) => [k, x])))}`;
const events = async (more = {}, p = page) => {
  await p.goto(address(more));
  await p.locator('.res[aria-busy="false"]').waitFor();
};
const row = (text, p = page) => p.locator(".el").filter({ hasText: text });
const params = (p = page) => new URL(p.url()).searchParams;
const choice = (name, p = page) => p.locator(".fc").filter({ has: p.locator(`[title="${name}"]`) }).locator("input");
const narrowed = { workload: `${project}/api/1` };

await check("the rail, g e and the palette lead to the events", async () => {
  await servers(page);
  await page.locator(".rail").getByRole("link", { name: "Events" }).click();
  await row("Started").first().waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.locator("tr.c").first().waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await row("Started").first().waitFor();
});
await check("a death without memory says so in words and shape", async () => {
  await events({ workload: hog.workload });
  const r = row("Out of memory: the kernel killed it, exit 137").first();
  await r.waitFor();
  assert.equal(await r.locator(".ew").textContent(), "critical");
  assert.equal(await r.locator(".ew .dot.crit").count(), 1);
  assert.equal(await r.locator(".mk").textContent(), "✕");
  return (await r.textContent()).slice(0, 100);
});
await check("a command is one row, with its exit code and its length", async () => {
  await ask("docker", "exec", api, "sh", "-c", "sleep 0.4; exit 7 # needle").catch(() => undefined);
  await events({ ...narrowed, q: "needle" });
  const r = row("exit 7 in "); // its end has come
  await r.waitFor();
  assert.equal(await page.locator(".el").count(), 1, "made, started and ended are one");
  const text = await r.textContent();
  assert.match(text, /exec: sh -c sleep 0\.4; exit 7 # needle, exit 7 in (0\.[4-9]|[1-9]\d*(\.\d)?) s/);
  await r.locator(".et").click();
  await page.locator(".eo").getByText("Started", { exact: true }).waitFor();
  return text;
});
await check("new events come by themselves, also while one reads further down", async () => {
  await events(narrowed);
  await row("needle").first().waitFor();
  const before = await page.locator(".rh [role=status]").textContent();
  await page.mouse.move(5, 5);
  await ask("docker", "kill", "-s", "USR1", api);
  const took = await within(3000, async () => assert.ok(await row("SIGUSR1").first().isVisible()));
  await page.locator(".el .et").first().focus();
  await page.keyboard.press("Enter");
  await page.locator(".eo").waitFor();
  const top = (await page.locator(".eo").boundingBox()).y;
  await ask("docker", "kill", "-s", "USR1", api);
  await page.getByRole("button", { name: /1 new event, show/ }).waitFor();
  assert.ok(Math.abs((await page.locator(".eo").boundingBox()).y - top) < 2, "what is read does not move");
  await page.getByRole("button", { name: /1 new event, show/ }).click();
  await within(2000, async () => assert.equal(await page.locator(".elist").evaluate((e) => e.scrollTop), 0));
  await within(3000, async () => assert.notEqual(await page.locator(".rh [role=status]").textContent(), before));
  return `${took} ms; ${before}, then ${await page.locator(".rh [role=status]").textContent()}`;
});
await check("a restart is one row, and what it is made of when nothing is folded", async () => {
  await events(narrowed);
  await ask("docker", "restart", "-t", "0", api);
  await within(10_000, async () => assert.ok(await row(/Restarted, took \d+\.\d s/).first().isVisible()));
  assert.equal(await row("SIGKILL").count(), 0);
  const said = await row(/Restarted, took/).first().locator(".ex").textContent();
  await page.getByRole("button", { name: "Folded" }).click();
  await row("SIGKILL").first().waitFor();
  assert.equal(params().get("fold"), "off");
  assert.equal(await row(/Restarted, took/).count(), 0);
  await page.getByRole("button", { name: "Fold", exact: true }).click();
  await within(3000, () => !params().has("fold"));
  return said;
});
await check("filters narrow the list and stand in the address", async () => {
  await events({ host });
  await choice("critical").check();
  await within(3000, async () => assert.ok((await page.locator(".el .ew").allTextContents()).every((t) => t === "critical")));
  assert.deepEqual(params().getAll("severity"), ["critical"]);
  await choice("warning").check();
  await within(3000, () => params().getAll("severity").length === 2);
  await page.getByRole("button", { name: "Clear filters" }).click();
  await within(3000, () => params().getAll("severity").length === 0);
  // Where there are many kinds of actions not all are shown, once they are all known.
  const find = page.getByLabel("Find: action");
  await within(3000, async () => {
    if (await find.count()) await find.fill("die");
    return (await choice("die").count()) === 1;
  });
  await choice("die").check();
  await within(3000, async () => {
    const all = await page.locator(".el .ea").allTextContents();
    assert.ok(all.length > 0 && all.every((t) => t === "die"), all.join());
  });
  await page.goBack();
  await within(3000, () => params().getAll("action").length === 0);
  await choice("network").first().check();
  await within(3000, async () => assert.ok((await page.locator(".el .ea").allTextContents()).every((t) => t.startsWith("network "))));
  await events({ host });
  await page.getByRole("button", { name: /Leave out \d+ exec event/ }).click();
  await within(3000, async () => {
    assert.equal(params().getAll("without").length, 4);
    assert.equal(await row("exec:").count(), 0);
    assert.ok((await page.locator(".el").count()) > 3);
  });
});
await check("columns over time narrow the range", async () => {
  await events({ host });
  const bars = page.locator(".bars");
  await bars.locator("path.error").waitFor();
  await bars.focus();
  const told = await bars.getAttribute("aria-valuetext");
  assert.match(told, /events?/);
  await page.keyboard.press("Enter");
  await within(2000, () => params().has("from"));
  await page.goBack();
  return told;
});
await check("the keys go through the list", async () => {
  await events(narrowed);
  await row("Started").first().waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("started");
  await page.keyboard.press("Enter");
  await within(3000, () => params().get("q") === "started");
  await within(3000, async () => assert.ok((await page.locator(".el .ex").allTextContents()).every((t) => /started/i.test(t))));
  await page.keyboard.press("Escape");
  await within(3000, () => !params().has("q"));
  await row("Created").first().waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await within(1000, async () => assert.equal(await page.evaluate(() => [...document.querySelectorAll(".et")].indexOf(document.activeElement)), 1));
  await page.keyboard.press("Enter");
  await page.locator(".eo").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".eo").waitFor({ state: "detached" });
});
await check("an event leads to its container at that moment, and the container back to its events", async () => {
  await events({ workload: hog.workload });
  await row("Out of memory: the kernel killed it").first().locator(".et").click();
  await page.locator(".eo").getByRole("link", { name: "Container at this time" }).click();
  await page.locator(".chead h1").waitFor();
  assert.ok(params().get("at"));
  await page.locator('.evr[aria-current="true"]').first().waitFor();
  await page.locator(".chead").getByRole("link", { name: "Events" }).click();
  await row("Out of memory").first().waitFor();
  assert.equal(params().get("workload"), hog.workload);
  assert.equal(params().get("host"), host);
});
await check("a drift leads to what changed", async () => {
  await ask("docker", "update", "--memory", "96m", "--memory-swap", "192m", api);
  await events({ ...narrowed, type: "tallyman" });
  const r = row("Configuration changed: HostConfig.Memory").first();
  await within(15_000, async () => assert.ok(await r.isVisible()));
  await r.locator(".et").click();
  await page.locator(".eo").getByRole("link", { name: "What changed" }).click();
  const setting = page.locator('tr[data-path="HostConfig.Memory"]');
  await setting.waitFor();
  const said = await setting.locator("td").allTextContents();
  assert.deepEqual(said, ["64 MiB", "96 MiB"]);
  return said.join(" → ");
});
await check("nothing says why", async () => {
  await events({ q: "no such thing anywhere" });
  await page.getByText("No event matches in this range").waitFor();
  await page.getByRole("button", { name: "Show all events" }).click();
  await row("Started").first().waitFor();
  const long = Date.now() - 3_600_000;
  await page.goto(`${given.url}/events?${new URLSearchParams({ from: new Date(long).toISOString(), to: new Date(long + 60_000).toISOString() })}`);
  await page.getByText("Nothing happened in this range").waitFor();
});
await check("hostile names, commands and labels are text", async () => {
  await events({ host });
  for (const name of hostile) {
    await ask("docker", "exec", name, "sh", "-c", ": '<img src=x onerror=globalThis.__xss=1>'");
  }
  await page.locator(".elist").evaluate((e) => { e.scrollTop = 0; });
  await within(5000, async () => assert.ok((await row("<img src=x").count()) >= 1));
  for (const r of (await row("<img src=x").all()).slice(0, 3)) await r.locator(".et").click();
  await page.locator(".eo").first().waitFor();
  await unharmed(page);
  const seen = await page.locator(".lpage").textContent();
  await page.goto(address({ q: "<img src=x onerror=globalThis.__xss=1>\u202e", host: "<script>globalThis.__xss=1</script>", workload: `"><svg onload=globalThis.__xss=1>\u200b` }));
  await page.getByText("No event matches in this range").waitFor();
  await unharmed(page);
  assert.ok(escaped.some((text) => seen.includes(text)), `${escaped[0]} is not among the containers`);
});
await check("thousands of events scroll, few rows are drawn", async () => {
  await ask("many");
  await events({ host, range: "1h" });
  const list = page.locator(".elist");
  await list.hover();
  await within(30_000, async () => {
    await page.mouse.wheel(0, 6000);
    assert.ok(await page.getByText("The first event of this range.").isVisible());
  });
  const drawn = await page.locator(".el").count();
  assert.ok(drawn < 100, `${drawn} rows are drawn`);
  return `${Math.round((await list.evaluate((e) => e.scrollHeight)) / 31)} rows high, ${drawn} drawn`;
});
await check("no width scrolls sideways", async () => {
  for (const width of [360, 768, 1440, 2560]) {
    await page.setViewportSize({ width, height: width < 768 ? 780 : 900 });
    await events({ host });
    await page.locator(".el").first().waitFor();
    assert.equal(await sideways(page), "", `at ${width}`);
    await page.locator(".et").first().click();
    await page.locator(".eo").waitFor();
    assert.equal(await sideways(page), "", `open at ${width}`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
});
await check("accessible in light and dark, with pictures", async () => {
  const minor = [];
  for (const [width, height] of [[1440, 900], [768, 900], [360, 780]]) {
    const p = await reader({ width, height, touch: width < 760 });
    const rules = async (name) => minor.push(...(await accessible(p, `${name}-${width}`)));
    await events({ host, without: ["exec_create", "exec_start", "exec_die", "exec_detach", "kill"] }, p);
    await p.locator(".bars path").first().waitFor();
    await p.locator(".el").first().waitFor();
    await rules("events");
    await events({ workload: hog.workload, range: "1h" }, p);
    await row("Out of memory: the kernel killed it", p).first().locator(".et").click();
    await p.locator(".eo").waitFor();
    await rules("events-open");
    if (width > 1000) {
      await events({ ...narrowed, without: "kill" }, p);
      await row("needle", p).first().locator(".et").click();
      await row("Configuration changed", p).first().locator(".et").click();
      await p.locator(".eo").nth(1).waitFor();
      await rules("events-exec");
    }
    await events({ q: "no such thing anywhere" }, p);
    await p.getByText("No event matches in this range").waitFor();
    await rules("events-none");
    if (width < 760) {
      await events({ host }, p);
      await p.getByRole("button", { name: "Filters" }).click();
      await rules("events-filters");
      const small = await p.evaluate(() =>
        [...document.querySelectorAll(".lpage :is(.btn, .fc, .field, .clear)")].filter((e) => e.checkVisibility()).map((e) => [e.className, e.getBoundingClientRect()]).filter(([, r]) => r.height < 35.5 || r.width < 35.5).map(([c, r]) => `${c} ${Math.round(r.width)}×${Math.round(r.height)}`),
      );
      assert.deepEqual(small, []);
    }
    await p.context().close();
  }
  return [...new Set(minor)].join(", ") || "no violation of any weight";
});
await check("the container's page is still accessible", async () => {
  await container(page, host, narrowed.workload, "&range=5m");
  await page.screenshot({ path: `${given.shots}/container-links-1440-dark.png` });
  await page.setViewportSize({ width: 360, height: 780 });
  await page.screenshot({ path: `${given.shots}/container-links-360-dark.png` });
  assert.equal(await sideways(page), "");
});
await finish();
