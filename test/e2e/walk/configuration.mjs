// SPDX-License-Identifier: Apache-2.0

// Configurations: the list, the history of a workload, any two compared, all of
// one, its image, its siblings, and those of containers that are gone.

import assert from "node:assert/strict";
import { accessible, ask, check, container, finish, given, reader, servers, sideways, within } from "./browser.mjs";
import { unharmed } from "./unharmed.mjs";

const { host, project, api, old, hostile, escaped, hashes } = given;
const page = await reader();
const workload = `${project}/api/1`;

const address = (more = {}) => `${given.url}/configuration?${new URLSearchParams({ host, workload, ...more })}`;
const config = async (more = {}, p = page) => {
  await p.goto(address(more));
  await p.locator(".gh h1").waitFor();
  await p.locator(".card").first().waitFor();
};
const paths = (p = page) => p.locator(".dt tr[data-path]").evaluateAll((rows) => rows.map((r) => r.dataset.path));
const cells = (path, p = page) => p.locator(`.dt tr[data-path=${JSON.stringify(path)}] td`).allTextContents();
const entry = (name, p = page) => p.locator(".wl a").filter({ has: p.locator(`b[title="${name}"]`) });
const params = (p = page) => new URL(p.url()).searchParams;

await check("the rail, g c and a container's page lead here", async () => {
  await servers(page);
  await page.locator(".rail").getByRole("link", { name: "Config" }).click();
  await entry(api).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.locator("tr.c").first().waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await entry(api).waitFor();
  await container(page, host, workload, "&range=5m");
  await page.locator(".chead").getByRole("link", { name: "Configuration" }).click();
  await page.locator(".gh h1").waitFor();
  assert.equal(params().get("workload"), workload);
});
await check("one version shows all of its settings, secrets hidden", async () => {
  await config();
  await page.getByText("The only version").waitFor();
  assert.deepEqual(await cells("HostConfig.Memory"), ["64 MiB"]);
  const [secret] = await cells("Config.Env.DB_PASSWORD");
  assert.match(secret, /^hidden, hash [0-9a-f]{4}$/);
  assert.ok(!(await page.content()).includes("hunter2"));
  await page.getByPlaceholder("Find a setting").fill("memory limit");
  await within(3000, async () => assert.deepEqual(await paths(), ["HostConfig.Memory"]));
  return `${secret}; ${await page.locator(".dt [role=status]").textContent()}`;
});
await check("siblings that are alike are said to be", async () => {
  await page.getByText("All 3 containers of this service are configured alike.").waitFor();
});
await check("made anew with another limit, capability and secret: exactly these three, by themselves", async () => {
  await ask("anew");
  const start = Date.now();
  await within(15_000, async () => assert.deepEqual((await paths()).sort(), ["Config.Env.DB_PASSWORD", "HostConfig.CapAdd", "HostConfig.Memory"]));
  const took = Date.now() - start;
  assert.deepEqual(await cells("HostConfig.Memory"), ["64 MiB", "128 MiB"]);
  assert.deepEqual(await page.locator('.dt tr[data-path="HostConfig.Memory"] u').allTextContents(), ["64", "128"]);
  assert.deepEqual((await cells("HostConfig.CapAdd")).map((t) => t.replace("CAP_", "")), ["not set", "NET_ADMIN"]);
  assert.equal(await page.locator('.dt tr[data-path="HostConfig.CapAdd"]').getAttribute("data-how"), "added");
  const secrets = await cells("Config.Env.DB_PASSWORD");
  assert.ok(secrets.every((t) => /^hidden, hash [0-9a-f]{4}$/.test(t)) && secrets[0] !== secrets[1], secrets.join());
  const html = await page.content();
  assert.ok(!html.includes("hunter"), "a secret is on the page");
  await page.getByText(`config hash ${hashes[0]} → ${hashes[1]}`).waitFor();
  await page.getByText(/made anew: [0-9a-f]{12} → [0-9a-f]{12}/).waitFor();
  assert.match(await page.getByRole("button", { name: /^Changed/ }).textContent(), /Changed 3/);
  return `${took} ms; ${secrets.join(" → ")}`;
});
await check("the list tells it in short, newest first", async () => {
  await within(8000, async () => assert.match(await entry(api).textContent(), /Memory limit|DB_PASSWORD|Capabilities/));
  const order = await page.locator(".wl a b").evaluateAll((all) => all.map((b) => b.title));
  assert.ok(order.indexOf(api) < order.indexOf(`${project}-calm-1`), "what has changed stands before what has not");
  return await entry(api).textContent();
});
await check("the sibling that is not like the others is marked", async () => {
  const drift = page.locator(".dr");
  await drift.locator('tr[data-path="HostConfig.Memory"]').waitFor();
  assert.deepEqual(await drift.locator('tr[data-path="HostConfig.Memory"] td').allTextContents(), ["differs: 128 MiB", "64 MiB", "64 MiB"]);
  await drift.getByText("different versions of the Compose file").waitFor();
  await page.getByText("drift in 1 of 3").waitFor();
  await drift.getByRole("link", { name: "api-2" }).click();
  await within(3000, () => params().get("workload") === `${project}/api/2`);
  await page.goBack();
});
await check("what went wrong after a change stands above it", async () => {
  await config();
  await ask("kill");
  await page.locator(".after").waitFor();
  const said = await page.locator(".after").textContent();
  assert.match(said, /after this change: Died, exit 3/);
  await page.locator(".after").getByRole("link", { name: "Open this moment" }).click();
  await page.locator('.evr[aria-current="true"]').first().waitFor();
  return said;
});
await check("a change that Compose did not ask for is told apart", async () => {
  await ask("docker", "start", api);
  await ask("docker", "update", "--memory", "96m", "--memory-swap", "192m", api);
  await config();
  await within(15_000, async () => assert.deepEqual(await cells("HostConfig.Memory"), ["128 MiB", "96 MiB"]));
  assert.deepEqual(await paths(), ["HostConfig.Memory"]);
  await page.getByText("this came another way").waitFor();
  await page.getByText(/the same one, [0-9a-f]{12}/).waitFor();
});
await check("any two versions are compared", async () => {
  const versions = page.locator(".vers button");
  assert.equal(await versions.count(), 3);
  const earlier = page.getByLabel("Earlier version");
  await earlier.selectOption({ index: (await earlier.locator("option").count()) - 1 });
  await within(5000, async () => assert.deepEqual(await cells("HostConfig.Memory"), ["64 MiB", "96 MiB"]));
  assert.equal((await paths()).length, 3);
  const link = page.url();
  const other = await reader();
  await other.goto(link);
  await within(5000, async () => assert.deepEqual(await cells("HostConfig.Memory", other), ["64 MiB", "96 MiB"]));
  await other.context().close();
  await versions.nth(1).click();
  await within(5000, async () => assert.deepEqual(await cells("HostConfig.Memory"), ["64 MiB", "128 MiB"]));
  await versions.nth(0).click();
  await within(5000, async () => assert.deepEqual(await cells("HostConfig.Memory"), ["64 MiB"]));
  await page.getByText("the first that is kept").waitFor();
  await page.getByLabel("Compare it with").selectOption({ index: 1 });
  await within(5000, async () => assert.deepEqual(await cells("HostConfig.Memory"), ["64 MiB", "96 MiB"]));
});
await check("all settings, and the image", async () => {
  await config({ view: "all" });
  let all;
  await within(5000, async () => {
    all = (await paths()).length;
    assert.ok(all > 12, `${all} settings`);
  });
  // Nothing of the table is cut off: its last row can be scrolled to and stands before what follows.
  const last = page.locator(".dt tr[data-path]").last();
  await last.scrollIntoViewIfNeeded();
  const [row, card] = [await last.boundingBox(), await page.locator(".dt").boundingBox()];
  assert.ok(row.y + row.height <= card.y + card.height + 1, "the card holds all of its rows");
  assert.equal(await page.locator('.dt tr[data-path="HostConfig.Memory"]').getAttribute("data-how"), "changed");
  assert.equal(await page.locator('.dt tr[data-path="Config.Image"]').getAttribute("data-how"), "same");
  await page.getByRole("button", { name: "Image", exact: true }).click();
  await page.getByText("The image that this container was made of").waitFor();
  await page.locator('.dt tr[data-path="RepoTags"]').waitFor();
  return `${all} settings`;
});
await check("the rights of all stand beside, and each is a filter", async () => {
  await page.goto(`${given.url}/configuration`);
  const right = (name) => page.locator(".third .rk button").filter({ hasText: name });
  const names = () => page.locator(".wl a b").evaluateAll((all) => all.map((b) => b.title));
  await within(8000, async () => assert.match(await right("Capabilities added").textContent(), /NET_ADMIN/));
  await right("Capabilities added").click();
  await within(3000, async () => assert.ok((await names()).includes(api) && !(await names()).includes(`${project}-api-2`), `${await names()}`));
  assert.equal(params().get("q"), "set:capabilities=yes");
  assert.equal(await right("Capabilities added").getAttribute("aria-pressed"), "true");
  const field = page.getByLabel("Filter workloads");
  await field.fill(`${project} set:capabilities=net_admin`);
  await within(3000, async () => assert.deepEqual(await names(), [api]));
  // Any other setting is asked of the server.
  await field.fill(`${project} set:memory=100663296`);
  await within(5000, async () => assert.deepEqual(await names(), [api]));
  await field.fill(`${project} set:nolimit=yes`);
  await within(3000, async () => assert.deepEqual(await names(), [`${project}-calm-1`]));
  await field.fill("set:memory");
  await page.getByText("set:NAME=VALUE").first().waitFor();
  await field.fill("");
  await within(3000, async () => assert.ok((await names()).length > 3));
  return (await page.locator(".third").innerText()).replace(/\s+/g, " ").slice(0, 400);
});
await check("a container that is gone keeps its configuration", async () => {
  await page.goto(`${given.url}/configuration`);
  await page.locator(".wl input").fill(old);
  await within(8000, async () => assert.match(await entry(old).textContent(), /gone/));
  await entry(old).click();
  await page.getByText("gone, history kept").waitFor();
  await within(3000, async () => assert.deepEqual(await cells("HostConfig.Memory"), ["32 MiB"]));
  await page.locator(".gh").getByRole("link", { name: "Container" }).click();
  await page.locator(".chead").getByText("gone").first().waitFor();
});
await check("what is not there says why", async () => {
  await page.goto(`${given.url}/configuration?host=nowhere&workload=nothing`);
  await page.getByText("No configuration of nothing is kept").waitFor();
});
await check("hostile labels, variables and commands are text", async () => {
  await page.goto(`${given.url}/configuration`);
  await entry(api).waitFor();
  await unharmed(page);
  for (const name of hostile) {
    await page.locator(`.wl a:has(b[title="${name}"])`).click();
    await page.locator(".dt tr[data-path]").first().waitFor();
    await unharmed(page);
    await within(8000, async () => {
      const text = await page.locator(".gmid").textContent();
      for (const said of escaped) assert.ok(text.includes(said), `${said} is not among the settings: ${text}`);
    });
    for (const width of [360, 768, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      assert.equal(await sideways(page), "", `${name} at ${width}`);
    }
  }
  await page.goto(address({ host: "<img src=x onerror=globalThis.__xss=1>", workload: `"><script>globalThis.__xss=1</script>\u202e`, a: "<b>", b: "</title>" }));
  await page.getByText("is kept").first().waitFor();
  await unharmed(page);
});
await check("no width scrolls sideways", async () => {
  for (const view of ["", "all", "image"]) {
    await config({ view });
    for (const width of [360, 768, 1100, 1440, 2560]) {
      await page.setViewportSize({ width, height: width < 768 ? 780 : 900 });
      assert.equal(await sideways(page), "", `${view} at ${width}`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
});
await check("accessible in light and dark, with pictures", async () => {
  const minor = [];
  for (const [width, height] of [[1440, 900], [768, 900], [360, 780]]) {
    const p = await reader({ width, height, touch: width < 760 });
    const rules = async (name) => minor.push(...(await accessible(p, `${name}-${width}`)));
    await config({}, p);
    // The one before the newest: somebody died soon after it.
    const [before] = await p.getByLabel("Earlier version").locator("option").evaluateAll((o) => o.map((x) => x.value));
    await config({ b: before }, p);
    await p.locator(".after").waitFor();
    await p.locator(".dr tr[data-path]").first().waitFor();
    await rules("config");
    await config({ view: "all" }, p);
    await rules("config-all");
    if (width > 1000) {
      await config({ view: "image" }, p);
      await p.locator('.dt tr[data-path="RepoTags"]').waitFor();
      await rules("config-image");
    }
    if (width < 760) {
      await p.goto(`${given.url}/configuration`);
      await p.locator(".wl a").first().waitFor();
      await rules("config-list");
      await p.locator(".rkfold summary").click();
      await p.locator(".rk button").first().waitFor();
      await rules("config-rights");
      const small = await p.evaluate(() => [...document.querySelectorAll(".gpage :is(.btn, .field, .wl a, summary, .rk button)")].filter((e) => e.checkVisibility()).map((e) => [e.className, e.getBoundingClientRect()]).filter(([, r]) => r.height < 35.5 || r.width < 35.5).map(([c, r]) => `${c} ${Math.round(r.width)}×${Math.round(r.height)}`));
      assert.deepEqual(small, []);
    }
    await p.context().close();
  }
  return [...new Set(minor)].join(", ") || "no violation of any weight";
});
await finish();
