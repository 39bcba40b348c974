// SPDX-License-Identifier: Apache-2.0

// Services: what does not answer and how it is mended, what it gives, and labels from a form.

import assert from "node:assert/strict";
import { accessible, ask, check, finish, given, reader, servers, sideways, within } from "./browser.mjs";

const { good, bad, mistake } = given;
const row = (page, name) => page.locator("tr[data-state]").filter({ hasText: name });

{
  const page = await reader();
  await check("g v leads there; one that answers is up, one that does not says why", async () => {
    await servers(page);
    await page.locator("main").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("v");
    await within(60_000, async () => assert.equal(await row(page, good).getAttribute("data-state"), "up"));
    await within(60_000, async () => assert.equal(await row(page, bad).getAttribute("data-state"), "down"));
    const why = row(page, bad).locator("xpath=following-sibling::tr[1]");
    assert.match(await why.textContent(), /Nothing listens there/);
    assert.match(await page.locator('.rail [aria-current="page"]').textContent(), /^Services/);
    return await page.locator("h1").first().textContent();
  });
  await check("a label that cannot be followed is said, and where", async () => {
    const list = page.locator('section[aria-labelledby="label-mistakes"] li').filter({ hasText: mistake });
    assert.match(await list.textContent(), /single quotes/);
  });
  const track = page.locator(".vcharts .track").filter({ hasText: "Samples of a scrape" });
  await check("a row opens on what it gives", async () => {
    await row(page, good).getByRole("button").click();
    await page.locator('.vcharts[aria-busy="false"] canvas').first().waitFor();
    await within(30_000, async () => assert.match(await track.locator(".leg b").first().textContent(), /^2$/));
    assert.match(page.url(), /service=PROMETHEUS/);
    await accessible(page, "services-1440");
  });
  const marks = () => page.locator(".vcharts .lane .mk").evaluateAll((all) => all.map((m) => m.title).join("\n"));
  await check("its charts have the events of its container, as marks, lines and rows", async () => {
    await ask("kill");
    await within(20_000, async () => {
      assert.match(await marks(), /Died, exit 3/);
      assert.match((await page.locator(".vevents .evr").allTextContents()).join("\n"), /Died, exit 3/);
      assert.ok((await page.locator(".vcharts .ov .v.crit").count()) > 0, "no line through the charts");
    });
  });
  await check("a mark pins its moment, and the values there are read", async () => {
    await page.locator(".vcharts .lane .mk.crit").first().click();
    await within(3000, async () => assert.ok(new URL(page.url()).searchParams.get("at")));
    await page.locator('.vevents .evr[aria-current="true"]').waitFor();
    assert.equal(await page.locator(".vcharts .ctime").count(), 1);
  });
  await check("its range is that of the address, zooms by keys, and goes on to the page of the container", async () => {
    const opener = page.locator(".bar .seg [aria-haspopup=dialog]");
    await page.locator("main").focus();
    await page.keyboard.press("+");
    await within(3000, async () => assert.match(await opener.textContent(), /15 min/));
    assert.equal(new URL(page.url()).searchParams.get("range"), "15m");
    const box = await track.locator("canvas").boundingBox();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 20, { steps: 5 });
    await page.mouse.up();
    await page.locator(".vcharts .pop").getByRole("button", { name: "Zoom" }).click();
    await within(3000, async () => assert.ok(new URL(page.url()).searchParams.get("from")));
    const from = new URL(page.url()).searchParams.get("from");
    await page.getByRole("link", { name: "The container at this time" }).click();
    await page.waitForURL(/\/container\?/);
    assert.equal(new URL(page.url()).searchParams.get("from"), from);
    await page.goBack();
    await row(page, good).waitFor();
    await page.keyboard.press("L");
    return from;
  });
  await check("the filter finds by state and name", async () => {
    await page.getByLabel("Filter services").fill("state:down " + bad);
    await within(5000, async () => assert.equal(await page.locator("tr[data-state]").count(), 1));
    await page.getByLabel("Filter services").fill("");
    await page.keyboard.press("Enter");
    await within(5000, async () => assert.ok((await page.locator("tr[data-state]").count()) > 1));
  });
  await check("a label is made, checked while typing, and what it says starts that service", async () => {
    await page.locator("#mt").selectOption("PROMETHEUS");
    const url = page.getByLabel("STATS URL", { exact: true });
    await url.fill("localhost:8080");
    await page.locator(".vcheck").getByText("STATS URL is no URL").waitFor();
    await url.fill("http://localhost:8080/metrics?a='$x\"");
    await page.locator(".vcheck").getByText(/Valid, 1 instance/).waitFor();
    await url.fill("http://localhost:8080/metrics");
    await page.locator(".vcheck").getByText(/Valid, 1 instance: http/).waitFor();
    await page.getByRole("button", { name: "docker run" }).click();
    const command = await page.locator(".vcode").textContent();
    const label = command.match(/--label '(.*)' \\/)[1];
    const name = await ask("start", label);
    await within(60_000, async () => assert.equal(await row(page, name).getAttribute("data-state"), "up"));
    return label;
  });
  for (const [button, begins] of [["Compose", "services:"], ["Dockerfile", "LABEL tallyman.plugins="], ["Rule", "plugins:"]]) {
    await check(`the form ${button}`, async () => {
      await page.getByRole("button", { name: button, exact: true }).click();
      assert.ok((await page.locator(".vcode").textContent()).startsWith(begins));
    });
  }
  await check("a container's name leads to its page", async () => {
    await row(page, good).getByRole("link").click();
    await page.waitForURL(/\/container\?/);
    await page.goBack();
    await row(page, good).waitFor();
  });
  for (const [width, height] of [[768, 900], [360, 780]]) {
    await check(`accessible at ${width}, not sideways`, async () => {
      await page.setViewportSize({ width, height });
      assert.equal(await sideways(page), "");
      await accessible(page, `services-${width}`);
    });
  }
  await page.context().close();
}

await finish();
