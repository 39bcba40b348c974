// SPDX-License-Identifier: Apache-2.0

// Getting in by the printed link and by the token, and getting out.

import assert from "node:assert/strict";
import { check, finish, given, reader, row, tall, within } from "./browser.mjs";

const refused = [/status of 401/, /WebSocket.*HTTP Authentication failed/]; // of what a page had open when its session ended

/** The root opens one of two pages; Servers has the container. */
const entered = async (page) => {
  await page.waitForURL(/\/(overview|servers)$/);
  await page.locator(".rail").getByRole("link", { name: "Servers" }).click();
  await row(page, given.name).waitFor();
};

const first = await reader({ height: tall, login: false, allow: refused });
await check("the printed link logs in", async () => {
  await first.goto(given.link);
  await entered(first);
  assert.equal(first.url(), `${given.url}/servers`);
});
await check("the session survives a reload", async () => {
  await first.reload();
  await row(first, given.name).waitFor();
});

const second = await reader({ height: tall, login: false, allow: refused });
await check("the code is used up, and the page says so", async () => {
  await second.goto(given.link);
  const say = second.locator("#say");
  await within(5000, async () => assert.match(await say.textContent(), /has been used or is too old/));
  assert.equal(new URL(second.url()).hash, "", "the code stays in the address");
  return await say.textContent();
});
await check("a wrong token is refused in words", async () => {
  await second.fill("#token", "wrong");
  await second.click("button[type=submit]");
  await within(5000, async () => assert.match(await second.locator("#problem").textContent(), /not the token/));
});
await check("the token logs in", async () => {
  await second.fill("#token", given.token);
  await second.keyboard.press("Enter");
  await entered(second);
});
await check("a login that ended leads back to the page that was asked for", async () => {
  await second.context().clearCookies();
  await row(second, given.name).locator("a[data-row]").click();
  await second.locator("#form").waitFor();
  await second.fill("#token", given.token);
  await second.keyboard.press("Enter");
  await second.locator(".chead h1", { hasText: given.name }).waitFor();
});
await check("a shared link leads through the login to its page", async () => {
  const shared = second.url();
  await second.evaluate(() => sessionStorage.clear());
  await second.goto("about:blank"); // an open page would go to the login by itself
  await second.context().clearCookies();
  await second.goto(shared);
  await second.locator("#form").waitFor();
  await second.fill("#token", given.token);
  await second.keyboard.press("Enter");
  await second.locator(".chead h1", { hasText: given.name }).waitFor();
});
await check("a link from outside, with which a browser sends no session, opens for who is logged in", async () => {
  const page = second.url();
  const path = page.slice(given.url.length);
  await second.goto(`${given.url}/login#${new URLSearchParams({ to: path })}`);
  await second.locator(".chead h1", { hasText: given.name }).waitFor();
  assert.equal(second.url(), page);
});
await check("logging out ends the session", async () => {
  await second.getByRole("button", { name: "Log out" }).click();
  await second.waitForURL(`${given.url}/login`);
  await second.goto(given.url);
  await second.waitForURL(`${given.url}/login`);
  await second.locator("#form").waitFor();
  assert.equal(await second.evaluate(() => localStorage.getItem("tallyman.names")), null, "names of containers stay in the browser");
});
await check("on a phone logging out asks", async () => {
  const phone = await reader({ width: 360, height: 780, touch: true, allow: refused });
  await phone.goto(`${given.url}/servers`);
  await phone.getByRole("button", { name: "Log out" }).click();
  const sure = phone.getByRole("button", { name: "Sure?" });
  await sure.waitFor();
  await phone.locator("main").focus();
  await phone.getByRole("button", { name: "Log out" }).click();
  await sure.click();
  await phone.waitForURL(`${given.url}/login`);
});
await check("another reader stays logged in", async () => {
  await first.reload();
  await row(first, given.name).waitFor();
});
await finish();
