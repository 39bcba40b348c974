// SPDX-License-Identifier: Apache-2.0

// Logs: live, found, narrowed, opened, copied into a link, under the charts of
// a container, and hostile text that stays text.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { accessible, ask, check, container, finish, given, reader, servers, sideways, within } from "./browser.mjs";

const { host, project, shown } = given;
const api = `${project}-api-1`;
const many = `${project}-many-1`;
const of = (...names) => `{source="container", ${names.length === 1 ? `name="${names[0]}"` : `name=~"${names.join("|")}"`}}`;
// What is written once; the line of each second would push it out of sight.
const still = `${of(api)} != "tick="`;
const address = (q, more = {}) => `${given.url}/logs?${new URLSearchParams({ q, range: "15m", ...more })}`;
// A query that is wrong is answered by 400, which the browser reports; a page that ends closes its socket.
const page = await reader({ allow: [/status of 400/] });

const line = (text, p = page) => p.locator(".ll").filter({ hasText: text });
const logs = async (q, more = {}, p = page) => {
  await p.goto(address(q, more));
  await p.locator('.res[aria-busy="false"]').waitFor();
  await p.locator(".ll").first().waitFor();
};
// Scrolls to a line that is not drawn, from the first one on.
const seek = async (text, p = page) => {
  await p.locator(".log").evaluate((e) => { e.scrollTop = 0; });
  for (let i = 0; i < 60 && (await line(text, p).count()) === 0; i++) {
    await p.locator(".log").evaluate((e) => { e.scrollTop += 300; });
    await new Promise((done) => setTimeout(done, 60));
  }
  return line(text, p).first();
};
const query = () => new URL(page.url()).searchParams.get("q");
const box = (p = page) => p.locator(".log").evaluate((e) => ({ top: e.scrollTop, end: e.scrollHeight - e.clientHeight - e.scrollTop }));
const choice = (name, p = page) => p.locator(".fc").filter({ has: p.locator(`[title="${name}"]`) }).locator("input");

await check("the rail, g l and the palette lead to the logs", async () => {
  await servers(page);
  await page.locator(".rail").getByRole("link", { name: "Logs" }).click();
  await page.locator(".lpage").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.locator("tr.c").first().waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await page.locator(".lpage").waitFor();
  await page.keyboard.press("Control+k");
  await page.locator("dialog input:focus").waitFor();
  await page.keyboard.type("logs page");
  await page.locator('dialog li[aria-selected="true"]', { hasText: "Logs" }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator(".lpage .ll").first().waitFor();
});
await check("a row of Servers leads to its container's lines", async () => {
  await servers(page, `?q=${project}`);
  const row = page.locator("tr.c").filter({ has: page.locator(`a[title="${api}"]`) });
  await row.hover();
  await row.getByRole("link", { name: `Logs of ${api}` }).click();
  await page.locator(".ll").first().waitFor();
  assert.equal(query(), `{source=~"container|file", host="${host}", workload="${project}/api/1"}`);
  await page.getByRole("button", { name: /^Without .*api/ }).click();
  await within(3000, () => query() === `{source=~"container|file", host="${host}"}`);
});

await check("new lines show at the bottom within 3 s", async () => {
  await logs(of(api));
  await within(3000, async () => assert.ok((await box()).end < 6, "the list is at its end"));
  const said = `hello live ${Date.now()}`;
  const asked = Date.now();
  await ask("say", said);
  await line(said).first().waitFor();
  assert.ok((await box()).end < 6, "the list stays at its end");
  return `${Date.now() - asked} ms with docker exec and its second of sleep`;
});
await check("scrolling up pauses, says how many are new, and jumps back", async () => {
  await logs(of(api, many));
  await page.locator(".log").hover();
  await page.mouse.wheel(0, -400);
  const stood = await box();
  await page.getByRole("button", { name: /new lines?, jump to now/ }).waitFor();
  await within(6000, async () => assert.match(await page.locator(".newl").textContent(), /^[2-9]\d? new/));
  assert.ok(Math.abs((await box()).top - stood.top) <= 400, "the list moved");
  const held = (await box()).top;
  await new Promise((done) => setTimeout(done, 1500));
  assert.equal((await box()).top, held, "lines that come in move the list");
  const text = await page.locator(".newl").textContent();
  await page.locator(".newl").click();
  await within(2000, async () => assert.ok((await box()).end < 6));
  assert.equal(await page.locator(".newl").count(), 0);
  return text;
});

await check("levels, colours and a stack trace are seen", async () => {
  await logs(still);
  assert.match(await line("could not reach").first().getAttribute("class"), /\berror\b/);
  assert.match(await line("the queue is long").first().getAttribute("class"), /\bwarn\b/);
  assert.match(await line("cache hit").first().getAttribute("class"), /\bdebug\b/);
  const colours = line("green and red").first();
  assert.equal(await colours.locator(".a2").textContent(), "green");
  assert.equal(await colours.locator(".a1.bold").textContent(), "red");
  const head = line("IllegalStateException").first();
  assert.doesNotMatch(await head.getAttribute("class"), /joins/);
  for (const part of ["Pool.take", "Api.checkout", "Caused by", "12 more"]) assert.match(await line(part).first().getAttribute("class"), /\berror\b.*\bjoins\b/, part);
});
await check("a line opens with its metadata, JSON as a tree with its numbers whole", async () => {
  const json = line("order placed").first();
  await json.locator("button").focus();
  await page.keyboard.press("Enter");
  const opened = page.locator(".exp");
  await opened.waitFor();
  const text = await opened.textContent();
  for (const want of ["order placed", "12345678901234567890", "container_id", "stdout", `${project}/api/1`, '"<b>not bold</b>"']) assert.ok(text.includes(want), `${want} is not in ${text}`);
  await page.keyboard.press("Escape");
  await within(1000, async () => assert.equal(await opened.count(), 0));
  await line("IllegalStateException").first().click();
  await page.getByRole("button", { name: "Copy all 5 lines" }).waitFor();
  await page.keyboard.press("Escape");
});
await check("j and k go from line to line", async () => {
  await line("cache hit").first().click();
  await page.keyboard.press("Escape");
  await page.keyboard.press("k");
  const focused = () => page.evaluate(() => document.activeElement?.dataset?.key);
  await within(1000, async () => assert.ok(await focused()));
  const one = await focused();
  await page.keyboard.press("k");
  await within(1000, async () => assert.notEqual(await focused(), one));
  await page.keyboard.press("j");
  await within(1000, async () => assert.equal(await focused(), one));
});
await check("long lines are cut, wrap by w, and are whole when opened", async () => {
  await logs(still);
  const long = line("long abcdefghij").first();
  assert.match(await long.textContent(), /5,005 more characters/);
  const high = () => long.evaluate((e) => e.offsetHeight);
  assert.ok((await high()) < 30);
  await page.keyboard.press("w");
  await within(4000, async () => assert.ok((await high()) > 60));
  assert.equal(new URL(page.url()).searchParams.get("wrap"), "1");
  await page.keyboard.press("w");
  await within(4000, async () => assert.ok((await high()) < 30));
});

await check("hostile text is text", async () => {
  await logs(still);
  const text = await page.locator(".log").textContent();
  for (const s of shown) assert.ok(text.includes(s), `${JSON.stringify(s)} is not among the lines: ${text.slice(0, 4000)}`);
  const unharmed = async () => {
    assert.equal(await page.evaluate(() => globalThis.__xss), undefined, "a script of a line ran");
    assert.equal(await page.locator(".log :is(script, img, svg, iframe, b, a)").count(), 0, "elements came of text");
    const unseen = await page.evaluate(() => {
      const out = [];
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) if (/[\p{Cc}\p{Cf}]/u.test(walk.currentNode.data.replaceAll("\n", ""))) out.push(JSON.stringify(walk.currentNode.data));
      return out;
    });
    assert.deepEqual(unseen, []);
  };
  await unharmed();
  for (const s of shown) {
    const one = line(s.slice(0, 20)).first();
    await one.locator("button").focus();
    await page.keyboard.press("Enter");
    await page.locator(".exp pre, .exp dl").first().waitFor();
    await page.keyboard.press("Escape");
    await within(4000, async () => assert.equal(await page.locator(".exp").count(), 0)); // an open line has links
  }
  await unharmed();
  return `${shown.length} lines`;
});
await check("hostile queries are text", async () => {
  await page.goto(address('{name="<img src=x onerror=globalThis.__xss=1>\u202e"'));
  await page.locator(".wrong").waitFor();
  assert.equal(await page.evaluate(() => globalThis.__xss), undefined);
  assert.equal(await page.locator(".wrong img").count(), 0);
  assert.match(await page.locator(".wrong").textContent(), /\\u202e/);
});

await check("an error of the query is told with its place, and mended", async () => {
  await page.goto(address(`{source="container"} | jsn`));
  await page.locator(".wrong").waitFor();
  assert.match(await page.locator(".wrong p").textContent(), /^Column 24: .*jsn/);
  assert.equal(await page.locator(".wrong mark").textContent(), "j");
  await page.locator("#logql").fill(`${still} | json | level="info"`);
  await page.keyboard.press("Enter");
  await line("order placed").first().waitFor();
  assert.equal(await page.locator(".wrong").count(), 0);
  await page.getByText("says more than the controls can").waitFor();
  await page.getByRole("button", { name: "Back to the controls" }).click();
  await within(2000, () => query() === null);
});
await check("the controls narrow the lines, and the URL brings them back", async () => {
  await page.goto(`${given.url}/logs?range=15m`);
  await choice(api).check();
  await within(3000, () => query() === of(api));
  await choice(many).check();
  await within(3000, () => query() === of(api, many));
  await choice(many).uncheck();
  await choice("error").check();
  await page.getByRole("checkbox", { name: "stderr" }).check();
  await page.keyboard.press("Escape");
  await page.locator("main").focus();
  await page.keyboard.press("/");
  await page.keyboard.type("DATABASE");
  const want = `{source="container", name="${api}", stream="stderr", level=~"error|critical|fatal"} | decolorize |~ "(?i)DATABASE"`;
  await within(3000, () => query() === want);
  await within(3000, async () => assert.deepEqual(await page.locator(".ll .msg").allTextContents(), ["ERROR could not reach the database"]));
  assert.equal(await page.locator(".ll mark").textContent(), "database");
  await page.getByRole("button", { name: "upper and lower case" }).click();
  await page.getByText("No line matches in this range").waitFor();
  await page.goBack();
  await line("could not reach the database").waitFor();
  const link = page.url();
  const other = await page.context().newPage();
  await other.goto(link);
  await line("could not reach the database", other).waitFor();
  assert.ok(await choice(api, other).isChecked());
  assert.ok(await choice("error", other).isChecked());
  assert.equal(await other.locator(".find input").inputValue(), "DATABASE");
  await other.close();
  return want;
});
await check("a text is found as it is seen, with colours between its words", async () => {
  await logs(`{source="container", name="${api}"}`);
  await page.locator("main").focus();
  await page.keyboard.press("/");
  await page.keyboard.type("green and red words");
  await within(5000, async () => assert.deepEqual(await page.locator(".ll .msg").allTextContents(), ["green and red words"]));
});
await check("the histogram counts by level, and a click and a drag narrow the range", async () => {
  await logs(of(api));
  const bars = page.locator(".bars");
  await within(5000, async () => assert.ok((await bars.locator("path.error").count()) === 1 && (await bars.locator("path.info").count()) === 1));
  await bars.focus();
  const told = await bars.getAttribute("aria-valuetext");
  await page.keyboard.press("ArrowLeft");
  assert.notEqual(await bars.getAttribute("aria-valuetext"), told);
  await page.keyboard.press("Enter");
  await within(2000, () => new URL(page.url()).searchParams.has("from"));
  await page.goBack();
  await within(2000, () => !new URL(page.url()).searchParams.has("from"));
  const b = await bars.boundingBox();
  await page.mouse.move(b.x + b.width * 0.9, b.y + 30);
  await page.mouse.down();
  await page.mouse.move(b.x + b.width * 0.99, b.y + 30, { steps: 4 });
  await page.mouse.up();
  await within(2000, () => new URL(page.url()).searchParams.has("from"));
  const params = new URL(page.url()).searchParams;
  const wide = (Date.parse(params.get("to")) - Date.parse(params.get("from"))) / 1000;
  assert.ok(wide > 60 && wide < 110, `${wide} s of 15 min`);
  assert.equal(await page.getByRole("button", { name: "Live" }).getAttribute("aria-pressed"), "false");
  return `${told}; ${wide} s`;
});
await check("thousands of lines scroll back to the first, few are drawn", async () => {
  await logs(of(many));
  await line("row=4000").waitFor();
  const start = Date.now();
  await page.locator(".log").hover();
  await within(30_000, async () => {
    await page.mouse.wheel(0, -4000);
    assert.ok(await page.getByText("The first line of this range.").isVisible());
  });
  await line(/row=1$/).waitFor();
  const drawn = await page.locator(".ll").count();
  assert.ok(drawn < 120, `${drawn} rows are drawn`);
  const all = await page.locator(".log").evaluate((e) => Math.round(e.scrollHeight / 20));
  assert.ok(all >= 4000 && all < 4100, `${all} rows high`);
  return `4000 lines in ${Date.now() - start} ms, ${drawn} rows drawn`;
});
await check("a download has the lines", async () => {
  await logs(of(many));
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  const text = readFileSync(await file.path(), "utf8").trimEnd().split("\n");
  assert.equal(text.length, 4000);
  assert.match(text[0], new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{9}Z ${many} stdout level=info row=1$`));
  return `${text.length} lines as ${file.suggestedFilename()}`;
});
await check("nothing says why", async () => {
  await page.goto(address(of(`${project}-quiet-1`)));
  await page.getByText("No line matches in this range").waitFor();
  await page.getByRole("link", { name: "Doctor" }).last().waitFor();
});

await check("a search shows its hits: what happened to others is one row, n and p go from hit to hit", async () => {
  const said = `needle ${Date.now()}`;
  await ask("say", said);
  for (let i = 0; i < 20; i++) await ask("docker", "restart", "-t", "0", `${project}-quiet-1`);
  await page.goto(`${given.url}/logs?range=15m`);
  await page.locator(".ll").first().waitFor();
  await page.locator("main").focus();
  await page.keyboard.press("/");
  await page.keyboard.type(said);
  const hit = page.locator(".ll").filter({ hasText: said }).last();
  const fold = page.locator(".log .lmark").getByRole("button", { name: /^\d+ events$/ }).last();
  await within(15_000, async () => {
    assert.ok(Number(/^\d+/.exec(await fold.textContent())[0]) >= 40, "the events of another container");
    assert.equal(await page.locator(".log .lmark").filter({ hasText: `${project}-quiet-1` }).count(), 0);
    const [row, list] = [await hit.boundingBox(), await page.locator(".log").boundingBox()];
    assert.ok(row.y >= list.y - 1 && row.y + row.height <= list.y + list.height + 1, "the newest hit is off the screen");
  });
  await page.locator("main").focus();
  const focused = () => page.evaluate(() => document.activeElement?.closest(".ll")?.textContent ?? "");
  for (const key of ["p", "p", "n"].slice(0, (await page.locator(".ll").count()) > 1 ? 3 : 1)) {
    await page.keyboard.press(key);
    await within(2000, async () => assert.ok((await focused()).includes(said)));
  }
  await fold.click();
  await page.locator(".log .lmark").filter({ hasText: `${project}-quiet-1` }).first().waitFor();
  await fold.click();
  await within(2000, async () => assert.equal(await page.locator(".log .lmark").filter({ hasText: `${project}-quiet-1` }).count(), 0));
  return await fold.textContent();
});

await check("a line leads to what everything logged around it, and to its request everywhere", async () => {
  const id = `r-${Date.now()}`;
  await ask("say", `paid request_id=${id}`);
  await page.goto(`${given.url}/logs?range=15m&q=${encodeURIComponent(`{source="container"} |= "${id}"`)}`);
  const hit = page.locator(".ll").filter({ hasText: id });
  await hit.first().click();
  await page.getByRole("link", { name: `${id} everywhere` }).click();
  await within(5000, async () => {
    const p = new URL(page.url()).searchParams;
    assert.equal(Date.parse(p.get("to")) - Date.parse(p.get("from")), 600_000);
    assert.ok(p.get("q").includes(id) && p.get("at"), page.url());
  });
  await hit.first().click();
  await page.getByRole("link", { name: /^Everything ± 1 s/ }).waitFor();
  await page.getByRole("link", { name: "± 10 s", exact: true }).click();
  await within(5000, async () => {
    const p = new URL(page.url()).searchParams;
    assert.equal(Date.parse(p.get("to")) - Date.parse(p.get("from")), 20_000);
    assert.equal(p.get("q"), null);
  });
  await hit.first().waitFor();
  await within(5000, async () => assert.ok((await page.locator(".ll").count()) > (await hit.count()), "only its own line"));
  return new URL(page.url()).search;
});

await check("patterns group the lines, and one leads to its lines", async () => {
  await page.goto(address(of(many), { view: "patterns" }));
  const row = page.locator(".patterns li").filter({ hasText: "row=" });
  await row.waitFor();
  assert.match((await row.innerText()).replaceAll("\n", " "), /^4,000 .*level=info row=…/);
  await row.locator("a").click();
  await line("row=").first().waitFor();
  assert.match(query(), /\|> "level=info row=<_>"/);
  // The field looks for a text beside such a query, too.
  await page.locator("main").focus();
  await page.keyboard.press("/");
  await page.keyboard.type("ROW=3999");
  await within(5000, async () => assert.deepEqual([await page.locator(".ll").count(), await page.locator(".ll mark").first().textContent()], [1, "row=3999"]));
  return new URL(page.url()).searchParams.get("find");
});
await check("a field of a line becomes a column, in the address", async () => {
  await page.locator(".ll button").first().click();
  await page.getByRole("button", { name: "as column: row" }).click();
  await page.locator('.ll .cv[title="row: 3999"]').waitFor();
  assert.equal(new URL(page.url()).searchParams.get("columns"), "row");
  await page.getByRole("button", { name: "Without the column row" }).click();
  await within(2000, async () => assert.equal(await page.locator(".cv").count(), 0));
});
await check("only errors, by one button", async () => {
  await logs(of(api));
  await page.getByRole("button", { name: "Errors only" }).click();
  await within(5000, async () => assert.match(query(), /level=~"error\|critical\|fatal"/));
  await page.getByRole("button", { name: "Errors only" }).click();
  await within(5000, async () => assert.doesNotMatch(query() ?? "", /level/));
});

await check("the container's page has its lines, and a mark shows those around it", async () => {
  await container(page, host, `${project}/api/1`, "&range=5m");
  await page.locator(".dock .ll").first().waitFor();
  const before = await page.locator(".dock .rh [role=status]").textContent();
  await ask("docker", "kill", api);
  const death = page.locator(".dock .lmark").filter({ hasText: "exit 137" }).first();
  await death.waitFor();
  await ask("again");
  await within(15_000, async () => assert.ok((await page.locator(".dock .ll").allTextContents()).some((t) => t.includes("tick=2"))));
  await page.locator(".evr").filter({ hasText: "exit 137" }).first().click();
  await page.locator(".dock .ll.near").waitFor();
  await page.getByText(/around \d\d:\d\d:\d\d/).waitFor();
  await within(5000, async () => assert.ok(await death.isVisible()));
  await page.screenshot({ path: `${given.shots}/dock-around-1440-dark.png` });
  const href = await page.getByRole("link", { name: "Open in Logs" }).getAttribute("href");
  assert.match(href, /at=/);
  // Who looks around a moment stays there, also at the end of what there is.
  await page.locator(".dock .log").evaluate((e) => { e.scrollTop = e.scrollHeight; });
  const lines = await page.locator(".dock .log").evaluate((e) => e.scrollHeight);
  await within(10_000, async () => assert.ok((await page.locator(".dock .log").evaluate((e) => e.scrollHeight)) > lines));
  await page.getByRole("button", { name: /jump to now/i }).click();
  await within(3000, () => !new URL(page.url()).searchParams.has("at"));
  await page.getByRole("button", { name: "Fold the logs" }).click();
  assert.equal(await page.locator(".dock .ll").count(), 0);
  assert.equal(new URL(page.url()).searchParams.get("logs"), "off");
  return before;
});
await check("lines of the container before are in the same list", async () => {
  await logs(`{source="container", host="${host}", workload="${project}/api/1"}`);
  const ids = new Set();
  for (const text of ["ready to serve"]) {
    await within(5000, async () => {
      await page.locator(".log").evaluate((e) => { e.scrollTop = 0; });
      assert.equal(await line(text).count() > 0, true);
    });
  }
  for (const nth of ["first", "last"]) {
    if (nth === "last") await page.locator(".newl").click();
    await page.locator(".ll:not(.joins)")[nth]().locator("button").focus();
    await page.keyboard.press("Enter");
    const dd = page.locator(".exp .of > div").filter({ hasText: "container_id" }).locator("dd > span").first();
    ids.add(await dd.textContent());
    await page.keyboard.press("Escape");
  }
  assert.equal(ids.size, 2, [...ids].join());
});

await check("a tail outlives tallyman, and lines that were missed are a gap", async () => {
  await page.goto("about:blank"); // its tail would complain of the connection, too
  const p = await reader({ allow: [/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_ABORTED|WebSocket connection/] });
  await logs(of(`${project}-fast-1`), {}, p);
  await ask("stop");
  await p.getByText("No answer from tallyman.").waitFor();
  await new Promise((done) => setTimeout(done, 6000));
  const before = Number(/lap=(\d+)/.exec(await p.locator(".ll .msg").last().textContent())[1]);
  await ask("restart");
  let after;
  await within(15_000, async () => {
    after = Number(/lap=(\d+)/.exec(await p.locator(".ll .msg").last().textContent())[1]);
    assert.ok(after > before + 100, `${before}, then ${after}`);
  });
  assert.equal(await p.getByText("No answer from tallyman.").count(), 0);
  await p.goto(address(`${of(`${project}-fast-1`)} | tallyman_gap=~".+"`));
  const gap = p.locator(".lmark.gap").filter({ hasText: "lines are missing" });
  await gap.waitFor();
  await p.screenshot({ path: `${given.shots}/gap-1440-dark.png` });
  const said = await gap.textContent();
  // Neither a choice of levels nor one of outputs nor a text hides it, whether any line is found or none.
  const fast = of(`${project}-fast-1`);
  await p.goto(address(fast));
  await p.locator(".ll").first().waitFor();
  await choice("error", p).check();
  await p.locator(".empty").getByText("lines are missing").waitFor();
  await p.goto(address(`${fast.replace("}", ', stream="stdout"}')} |= "lap=${before}"`));
  await line(`lap=${before}`, p).first().waitFor();
  await gap.waitFor();
  assert.doesNotMatch(new URL(p.url()).searchParams.get("q"), /tallyman_gap/);
  await p.screenshot({ path: `${given.shots}/gap-text-1440-dark.png` });
  await p.context().close();
  await ask("docker", "rm", "-f", `${project}-fast-1`);
  return `lap ${before}, then ${after}: ${said}`;
});

await check("no page of logs scrolls sideways", async () => {
  for (const width of [360, 768, 1100, 1440, 2560]) {
    await page.setViewportSize({ width, height: width < 768 ? 780 : 900 });
    await logs(of(api));
    assert.equal(await sideways(page), "", `logs at ${width}`);
    await (await seek("order placed")).waitFor();
    assert.equal(await sideways(page), "", `first lines at ${width}`);
    await container(page, host, `${project}/api/1`, "&range=5m");
    await page.locator(".dock .ll").first().waitFor();
    assert.equal(await sideways(page), "", `container at ${width}`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  return "360, 768, 1100, 1440, 2560";
});
await check("accessible in light and dark, with pictures", async () => {
  const minor = [];
  for (const [width, height] of [[1440, 900], [360, 780]]) {
    const p = await reader({ width, height, touch: width < 760, allow: [/status of 400/] });
    const rules = async (name) => minor.push(...(await accessible(p, `${name}-${width}`)));
    await logs(of(api, many), {}, p);
    await p.locator(".bars path").first().waitFor();
    await rules("logs");
    await logs(of(api), {}, p);
    await (await seek("order placed", p)).locator("button").click();
    await p.locator(".exp").waitFor();
    await rules("logs-open");
    await p.goto(address("{source="));
    await p.locator(".wrong").waitFor();
    await rules("logs-wrong");
    if (width < 760) {
      await logs(of(api), {}, p);
      await p.getByRole("button", { name: "Filters" }).click();
      await rules("logs-filters");
      const small = await p.evaluate(() =>
        [...document.querySelectorAll(".lpage :is(.btn, .fc, .field, .only, .clear)")].filter((e) => e.checkVisibility()).map((e) => [e.className, e.getBoundingClientRect()]).filter(([, r]) => r.height < 35.5 || r.width < 35.5).map(([c, r]) => `${c} ${Math.round(r.width)}×${Math.round(r.height)}`),
      );
      assert.deepEqual(small, []);
    }
    await container(p, host, `${project}/api/1`, "&range=5m");
    await p.locator(".dock .ll").first().waitFor();
    await p.locator(".dock").scrollIntoViewIfNeeded();
    await rules("dock");
    await p.context().close();
  }
  return [...new Set(minor)].join(", ") || "no violation of any weight";
});
await finish();
