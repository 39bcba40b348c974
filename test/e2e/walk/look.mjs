// SPDX-License-Identifier: Apache-2.0

// How the pages look: widths, targets for fingers, the rules of accessibility,
// and pictures to be looked at.

import assert from "node:assert/strict";
import { accessible, ask, check, container, finish, given, hostPage, inBothThemes, reader, servers, sideways, within } from "./browser.mjs";

const { host, workload, died } = given;

// Who has a session is led on from there; it is put aside meanwhile, and the page is refused by the server then.
const refused = [/status of 401/];
const login = async (page) => {
  const kept = await page.context().cookies();
  await page.context().clearCookies();
  await page.goto(`${given.url}/login`);
  await page.locator("#form").waitFor();
  await page.context().addCookies(kept);
};
const pages = {
  login,
  overview: async (page) => {
    await page.goto(`${given.url}/overview`);
    await page.locator(".orest:not(.dim), .ook").waitFor();
  },
  servers: (page) => servers(page),
  container: (page) => container(page, host, workload, "&range=5m"),
  died: (page) => container(page, host, died, "&range=5m"),
  facts: (page) => container(page, host, workload, "&range=5m&tab=facts"),
  host: (page) => hostPage(page, host, "&range=5m"),
  disks: (page) => hostPage(page, host, "&range=5m&tab=disks"),
  doctor: async (page) => {
    await page.goto(`${given.url}/doctor`);
    await page.locator(".dgrid .finding").first().waitFor();
  },
};

{
  const page = await reader({ allow: refused });
  for (const [name, open] of Object.entries(pages)) {
    await check(`${name} does not scroll sideways`, async () => {
      await open(page);
      for (const width of [360, 768, 1100, 1440, 2560]) {
        await page.setViewportSize({ width, height: width < 768 ? 780 : 900 });
        assert.equal(await sideways(page), "", `at ${width}`);
      }
      return "360, 768, 1100, 1440, 2560";
    });
  }
  await page.context().close();
}

{
  const page = await reader({ width: 360, height: 780, touch: true, allow: refused });
  const small = () =>
    page.evaluate(() => {
      const main = [...document.querySelectorAll("button, select, input, a.btn, a.nav, .cc, .cc .lg, .field, [role=tab]")];
      // Marks of events stand as close as the events do; a tap between them takes the nearest. A line of a log opens by a tap anywhere on it.
      const own = main.filter((e) => !e.matches(".mk, .lt, .fold, .field input, .skip") && e.checkVisibility() && !e.closest("[popover]:not(:popover-open)"));
      const out = own.map((e) => [e, e.getBoundingClientRect()]).filter(([, r]) => r.height < 35.5 || r.width < 35.5);
      return [...out.map(([e, r]) => `${e.tagName}.${e.className} "${e.textContent.slice(0, 20)}" ${Math.round(r.width)}×${Math.round(r.height)}`)];
    });
  for (const name of ["login", "overview", "servers", "container", "facts", "host", "disks", "doctor"]) {
    await check(`${name} has targets of 36 px at 360`, async () => {
      await pages[name](page);
      if (name === "container") await page.locator(".bar .seg [aria-haspopup=dialog]").click();
      assert.deepEqual(await small(), []);
    });
  }
  await page.context().close();
}

// The walks of these pages hold the rules against them already, at these widths.
const elsewhere = { 1440: ["overview", "host", "disks", "doctor"], 360: ["overview", "doctor"] };
for (const [width, height] of [[1440, 900], [360, 780]]) {
  await check(`accessible in light and dark at ${width}, with pictures`, async () => {
    const page = await reader({ width, height, touch: width < 760, allow: refused });
    const minor = [];
    for (const [name, open] of Object.entries(pages)) {
      if (elsewhere[width].includes(name)) continue;
      await open(page);
      minor.push(...(await accessible(page, `${name}-${width}`)));
    }
    const shoot = (name) => inBothThemes(page, (theme) => page.screenshot({ path: `${given.shots}/${name}-${width}-${theme}.png` }));
    await container(page, host, workload, "&range=5m");
    const scrolled = await page.evaluate(() => {
      const main = document.querySelector("main");
      main.scrollTop = 700;
      return main.scrollTop > 0;
    });
    if (scrolled) await shoot("container-below");
    await servers(page, "?show=gone");
    await shoot("gone");
    await page.goto(`${given.url}/?q=nothing-has-this-name`);
    await page.getByText(/^0 of/).waitFor();
    await shoot("nomatch");
    await page.context().close();
    return [...new Set(minor)].join("; ") || "no violation of any weight";
  });
}

// What a page shows of an answer without containers is made up here; the engine is shared.
await check("pictures of an empty host", async () => {
  const page = await reader({ allow: refused });
  await page.route("**/api/tallyman/v1/live?*", async (route) => {
    const answer = await page.request.get(`${given.url}/api/tallyman/v1/servers`);
    const all = await answer.json();
    for (const h of all.hosts) h.containers = [];
    await route.fulfill({ contentType: "text/event-stream", body: `event: snapshot\ndata: ${JSON.stringify(all)}\n\n` });
  });
  await page.goto(`${given.url}/servers`);
  await page.getByText("No container runs here yet").waitFor();
  await inBothThemes(page, async (theme) => {
    await page.getByText("No container runs here yet").waitFor();
    await page.screenshot({ path: `${given.shots}/empty-1440-${theme}.png` });
  });
  await page.context().close();
});

await ask("refuse");
for (const [width, height] of [[1440, 900], [360, 780]]) {
  await check(`pictures without an engine at ${width}`, async () => {
    const page = await reader({ width, height });
    await servers(page);
    await within(10_000, () => page.locator(".host .banner").isVisible());
    assert.equal(await sideways(page), "");
    await inBothThemes(page, (theme) => page.screenshot({ path: `${given.shots}/away-${width}-${theme}.png` }));
    await page.context().close();
  });
}
await finish();
