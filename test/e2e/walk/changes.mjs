// SPDX-License-Identifier: Apache-2.0

// Explore, and what changed here: a container that becomes loud at a known moment stands first, with its CPU,
// its memory and its lines.

import assert from "node:assert/strict";
import { accessible, ask, check, container, finish, given, reader, sideways, within } from "./browser.mjs";

const { host, project } = given;
// A query that is wrong is answered by 400, which the browser reports.
const page = await reader({ allow: [/status of 400/] });
const loud = `${project}/loud/1`;
// Of containers: what the machine does meanwhile is for other tests.
const ofContainers = page.locator('.moved > li:has(a[href^="/container"])');
const rows = () => ofContainers.evaluateAll((all) => all.map((r) => r.innerText.replaceAll("\n", " ")));
const kinds = (section) => page.locator(`.kinds`).nth(section).locator("li").evaluateAll((all) => all.map((r) => r.innerText.replaceAll("\n", " ")));

await check("examples, an answer as chart and table", async () => {
  await page.goto(`${given.url}/explore?range=5m`);
  await page.getByRole("button", { name: /^CPU by container/ }).click();
  await page.locator('table[aria-label="Series"] tr').filter({ hasText: `${project}-loud-1` }).first().waitFor();
  await page.locator(".xcharts canvas").waitFor();
  assert.match(new URL(page.url()).searchParams.get("q"), /container_cpu_usage_seconds_total/);
});
await check("a query is completed: the metric, a label, its value", async () => {
  await page.locator("main").focus();
  await page.keyboard.press("/");
  await page.keyboard.press("Control+a");
  const option = (name) => page.getByRole("option", { name, exact: true });
  const take = async (name) => {
    await option(name).waitFor();
    await within(5000, async () => {
      if ((await option(name).getAttribute("aria-selected")) !== "true") await page.keyboard.press("ArrowDown");
      return (await option(name).getAttribute("aria-selected")) === "true";
    });
    await page.keyboard.press("Enter");
  };
  await page.keyboard.type("container_memory_wor");
  await take("container_memory_working_set_bytes");
  await page.keyboard.type("{na");
  await take("name");
  await take(`${project}-calm-1`);
  await page.keyboard.type("}");
  await page.keyboard.press("Enter");
  await within(5000, async () => assert.equal(new URL(page.url()).searchParams.get("q"), `container_memory_working_set_bytes{name="${project}-calm-1"}`));
  await page.getByText(/^1 series$/).waitFor();
  await accessible(page, "explore");
});
await check("what is wrong is said at its place; lines are lines", async () => {
  await page.goto(`${given.url}/explore?${new URLSearchParams({ q: "sum(rate(up)" })}`);
  await page.locator(".wrong").getByText("Column").waitFor();
  await page.goto(`${given.url}/explore?${new URLSearchParams({ lang: "logql", q: `{source="container", name="${project}-calm-1"}` })}`);
  await page.locator(".xlines li").filter({ hasText: "tick" }).first().waitFor();
  await page.getByRole("link", { name: "Open in Logs" }).click();
  await page.locator(".lpage .ll").first().waitFor();
});

let from;
let to;
await check("what became loud moved most, and its new lines are told", async () => {
  const at = Date.now();
  await ask("go"); // until it has its memory, which is soon but on a machine with much else to do
  const used = async () => (await (await page.request.get(`${given.url}/api/tallyman/v1/containers/${project}-loud-1`)).json()).now?.cpu ?? 0;
  // On a machine that has none to give, its CPU does not move.
  const cpu = Math.min(await used(), await used());
  [from, to] = [at, at + Math.max(8000, 3 * (Date.now() - at))].map((t) => new Date(t).toISOString());
  // The page asks for as much of the range as has been; more is there each second.
  await within(12_000, async () => {
    await page.goto(`${given.url}/changes?${new URLSearchParams({ from, to })}`);
    await page.locator('section[aria-label="Moved most"][aria-busy="false"]').waitFor();
    await page.locator('section[aria-label="Lines"][aria-busy="false"]').waitFor();
    const moved = await rows();
    assert.ok(moved.length > 0 && moved.every((r) => /loud/.test(r)) && moved.some((r) => /^Memory /.test(r)), `moved: ${moved.join(" | ")}`);
    assert.ok(cpu < 0.2 || moved.some((r) => /^CPU /.test(r)), `with ${cpu} cores, moved: ${moved.join(" | ")}`);
    const fresh = (await kinds(0)).filter((k) => k.includes(project));
    assert.ok(/upstream <script>globalThis.__xss=…<\/script> not closed.*loud/.test(fresh[0] ?? ""), `new: ${fresh.join(" | ")}`);
    assert.equal(await page.evaluate(() => globalThis.__xss), undefined);
  });
  return `${cpu.toFixed(2)} cores: ${(await rows()).join(" | ")}`;
});
await check("each of them leads to its moment", async () => {
  const chart = new URL(await ofContainers.first().locator("a").getAttribute("href"), given.url);
  assert.deepEqual([chart.pathname, chart.searchParams.get("workload")], ["/container", loud]);
  assert.ok(Math.abs(Date.parse(chart.searchParams.get("at")) - Date.parse(from)) < 1000 && Date.parse(chart.searchParams.get("from")) < Date.parse(from), chart.search);
  await page.locator(".kinds a").filter({ hasText: project }).first().click();
  await page.locator(".lpage .ll").filter({ hasText: "not closed" }).first().waitFor();
  assert.equal(await page.locator(".lpage .ll").filter({ hasText: "GET /cart" }).count(), 0);
  await page.goBack();
  await page.locator(".moved > li").first().waitFor();
});
await check("of one container or of a host, by the keys too", async () => {
  await ofContainers.first().locator("a").click();
  await page.locator(".tracks").waitFor();
  await page.locator("main").focus();
  await page.keyboard.press("c");
  await page.locator('.chg [aria-current="true"]', { hasText: "loud" }).waitFor();
  const p = new URL(page.url());
  assert.deepEqual([p.pathname, p.searchParams.get("host"), p.searchParams.get("workload")], ["/changes", host, loud]);
  await page.getByRole("link", { name: host, exact: true }).last().click();
  await within(5000, () => !new URL(page.url()).searchParams.has("workload"));
});
await check("it is accessible, in light and narrow", async () => {
  await page.goto(`${given.url}/changes?${new URLSearchParams({ from, to })}`);
  await page.locator(".kinds li").first().waitFor();
  await page.locator(".moved li").first().waitFor();
  await accessible(page, "what changed");
  const small = await reader({ width: 360, height: 800, theme: "light" });
  await small.goto(`${given.url}/changes?${new URLSearchParams({ from, to })}`);
  await small.locator(".kinds li").first().waitFor();
  await small.locator(".moved li").first().waitFor();
  assert.equal(await sideways(small), "");
  await accessible(small, "what changed, narrow");
});

await finish();
