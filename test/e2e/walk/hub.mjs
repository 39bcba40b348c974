// SPDX-License-Identifier: Apache-2.0

// The pages of a hub: what its agents send stands under their hosts, and what is silent is said.

import assert from "node:assert/strict";
import { accessible, anyWeight, check, container, finish, given, hostPage, reader, sideways, within } from "./browser.mjs";

const { agent, project, workload, quiet } = given;
const page = await reader();
const hosts = page.locator(".ohosts tbody tr");

await check("Overview lists the hosts, the worst first, and finds one by its name", async () => {
  await page.goto(`${given.url}/overview`);
  await hosts.first().waitFor();
  await within(20_000, async () => assert.equal(await hosts.count(), 12));
  await page.getByRole("button", { name: `Show all ${quiet + 2} hosts` }).click();
  await within(5000, async () => assert.equal(await hosts.count(), quiet + 2));
  await page.getByRole("searchbox", { name: "Find hosts by name" }).fill(agent);
  await within(5000, async () => assert.equal(await hosts.count(), 1));
  await within(20_000, async () => assert.match(await hosts.first().innerText(), /\d %[^]*\d %/));
  return (await hosts.first().innerText()).replace(/\s+/g, " ");
});
await check("Servers shows the agent's containers under its host, with values", async () => {
  await page.goto(`${given.url}/servers?q=${project}`);
  const block = page.getByRole("region", { name: agent, exact: true });
  await within(20_000, async () => assert.match(await block.innerText(), /api-1/));
  await within(20_000, async () => assert.match(await block.locator("tr.c").filter({ hasText: "api-1" }).innerText(), /MiB|MB|KiB|kB/));
});
await check("the container has its charts, its events and its lines", async () => {
  await container(page, agent, workload);
  await page.goto(`${given.url}/events?host=${agent}`);
  await within(10_000, async () => assert.match(await page.locator("main").innerText(), /web-1[^]*Docker answers/));
  await page.goto(`${given.url}/logs?${new URLSearchParams({ query: `{source="container", host="${agent}", workload="${workload}"}` })}`);
  await page.getByText("a line of the agent").first().waitFor();
});
await check("the host has its page", async () => {
  await hostPage(page, agent);
  assert.equal(await page.locator("h1").first().textContent(), agent);
});
await check("a host that sends nothing more is silent, and nothing of it runs", async () => {
  await page.goto(`${given.url}/servers?q=host:quiet-07`);
  const block = page.getByRole("region", { name: "quiet-07", exact: true });
  await within(150_000, async () => assert.match(await block.innerText(), /is silent since .*: nothing comes from its tallyman/));
  assert.match(await block.locator("tr.c").first().innerText(), /not known/);
  assert.equal(await block.locator("tr.c .dot.ok").count(), 0);
  await page.goto(`${given.url}/overview`);
  await within(10_000, async () => assert.match(await hosts.first().innerText(), /quiet-\d\d\s+silent since/));
  await within(60_000, async () => assert.match(await page.locator(".oatt").innerText(), /quiet-\d\d/));
  return (await hosts.first().innerText()).replace(/\s+/g, " ");
});
for (const width of [1440, 360]) {
  await check(`accessible in light and dark at ${width}, with pictures`, async () => {
    await page.setViewportSize({ width, height: width < 760 ? 780 : 900 });
    for (const [name, path] of [["overview", "/overview"], ["servers", "/servers?q=host:quiet-07"], ["host", "/host?host=quiet-07"], ["doctor", "/doctor"]]) {
      await page.goto(given.url + path);
      await page.locator({ overview: ".ohosts tbody tr", servers: "tr.c, .cc", host: ".chead h1", doctor: "main h1" }[name]).first().waitFor({ state: "attached" });
      assert.equal(await sideways(page), "");
      // What is away is drawn paler, and that is no matter of contrast; a host without a sample has charts of nothing.
      if (name === "servers" || name === "host") await page.screenshot({ path: `${given.shots}/hub-${name}-${width}.png` });
      else await accessible(page, `hub-${name}-${width}`, { never: anyWeight, fullPage: name === "overview" });
    }
  });
}

await finish();
