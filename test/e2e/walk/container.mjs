// SPDX-License-Identifier: Apache-2.0

// Container: its numbers, charts, marks, range, and its life to the end and on.

import assert from "node:assert/strict";
import { ask, changes, check, container, finish, given, reader, saying, within } from "./browser.mjs";

// Reading the pixels of a chart makes the browser advise against it.
const page = await reader({ allow: [/willReadFrequently/] });
const { host, name, workload } = given;
const kpi = (title) => page.locator(".kpis > div").filter({ has: page.getByText(title, { exact: true }) }).locator("dd");
const charts = page.locator(".track .plot canvas");

// How many pixels of each chart are neither empty nor of the grid's colours, by strong colours.
const inked = () =>
  charts.evaluateAll((all) =>
    all.map((c) => {
      const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 60 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 40) n++;
      return n;
    }),
  );

await container(page, host, workload, "&range=5m");
await check("key figures change each second", async () => changes(4000, () => kpi("CPU").textContent()));
// A line that stays at 0 is few pixels, but some.
await check("every chart is drawn", async () => {
  let counts;
  await within(5000, async () => {
    counts = await inked();
    assert.ok(counts.length >= 3 && counts.every((n) => n >= 8), `coloured pixels: ${counts}`);
  });
  return `coloured pixels ${counts.join(", ")}`;
});
await check("the charts go on with the seconds", async () => changes(4000, async () => (await inked()).join()));
await check("the legend follows the pointer", async () => {
  const box = await charts.first().boundingBox();
  const read = async (share) => {
    await page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
    await page.locator(".ctime").waitFor();
    let text;
    await within(2000, async () => {
      text = await page.locator(".ctime").textContent();
      assert.match(text, /^\d\d:\d\d:\d\d/);
    });
    return [text, await page.locator('.track[aria-label="CPU"] .leg').textContent()];
  };
  const [t1, v1] = await read(0.999);
  const [t2, v2] = await read(0.3);
  assert.notEqual(t1, t2);
  assert.notEqual(v1, v2, "the values at the cursor");
  await page.mouse.move(box.x, 10);
  await within(2000, async () => assert.equal(await page.locator(".ctime").count(), 0));
  return `${t1} ${v1} | ${t2} ${v2}`;
});

await check("the range is in the URL, and back leads to the last", async () => {
  await container(page, host, workload);
  const opener = page.locator(".bar .seg [aria-haspopup=dialog]");
  assert.match(await opener.textContent(), /1 h/, "the usual range");
  const choose = async (label) => {
    await opener.click();
    await page.locator(".rangepop").getByRole("button", { name: label, exact: true }).click();
    await within(2000, async () => assert.match(await opener.textContent(), new RegExp(label)));
  };
  await choose("6 h");
  assert.equal(new URL(page.url()).searchParams.get("range"), "6h");
  await choose("15 min");
  assert.equal(new URL(page.url()).searchParams.get("range"), "15m");
  await page.goBack();
  assert.match(await opener.textContent(), /6 h/);
  await page.locator("main").focus();
  await page.keyboard.press("Backspace");
  await within(2000, async () => assert.match(await opener.textContent(), /1 h/));
});
await check("the time before the host was watched is shaded, and says so", async () => {
  const band = page.locator(".ov .before");
  await within(5000, async () => assert.match(await band.textContent(), /^not watched before \d\d:\d\d$/));
  const [dark, plot] = [await band.boundingBox(), await charts.first().boundingBox()];
  assert.ok(dark.width > plot.width * 0.5 && dark.x + dark.width <= plot.x + plot.width, `${dark.width} of ${plot.width} px`);
  return band.textContent();
});
await check("the range and the pinned moment go along by rail, keys, palette and links", async () => {
  const at = new Date(Date.now() - 60_000).toISOString();
  await container(page, host, workload, `&range=15m&at=${encodeURIComponent(at)}`);
  const here = () => [new URL(page.url()).pathname, new URL(page.url()).searchParams.get("range"), new URL(page.url()).searchParams.get("at")];
  const goes = (path) => within(5000, async () => assert.deepEqual(here(), [path, "15m", at]));
  await page.locator(".rail").getByRole("link", { name: "Logs" }).click();
  await goes("/logs");
  await page.locator(".lpage").waitFor();
  await page.locator("main").focus();
  for (const k of ["g", "c"]) await page.keyboard.press(k); // a page without an axis keeps it, too
  await goes("/configuration");
  await page.locator("main").focus();
  for (const k of ["g", "e"]) await page.keyboard.press(k);
  await goes("/events");
  await page.getByRole("checkbox", { name: "critical" }).check();
  await within(3000, () => new URL(page.url()).searchParams.has("severity"));
  await page.getByRole("button", { name: "Clear filters" }).click();
  await goes("/events");
  await page.keyboard.press("Control+k");
  await page.locator("dialog input:focus").waitFor();
  await page.keyboard.type(name);
  await page.locator('dialog li[aria-selected="true"]', { hasText: name.split("-").at(-2) }).waitFor();
  await page.keyboard.press("Enter");
  await goes("/container");
});
await check("milliseconds are kept, and + goes down to a second on each page with an axis", async () => {
  await container(page, host, workload, "&range=5m");
  await page.locator(".lane .mk").last().click();
  const at = new URL(page.url()).searchParams.get("at");
  assert.match(at, /:\d\d\.\d{3}[+-]/);
  for (const open of [() => container(page, host, workload, `&range=5m&at=${encodeURIComponent(at)}`), () => page.goto(`${given.url}/logs?range=5m`), () => page.goto(`${given.url}/events?range=5m`)]) {
    await open();
    await page.locator(".bar .seg [aria-haspopup=dialog]").waitFor();
    await page.locator("main").focus();
    const length = () => {
      const p = new URL(page.url()).searchParams;
      return Date.parse(p.get("to")) - Date.parse(p.get("from"));
    };
    await within(10_000, async () => {
      if (length() !== 1000) await page.keyboard.press("+");
      return length() === 1000;
    });
    assert.match(await page.locator(".bar .seg [aria-haspopup=dialog]").textContent(), /\d\d:\d\d:\d\d – \d\d:\d\d:\d\d/);
  }
  return at;
});
await check("its processes, as top shows them", async () => {
  await container(page, host, workload, "&range=5m&tab=processes");
  const row = page.locator('table[aria-label="Processes"] tbody tr').filter({ hasText: "exit 3" }).first();
  await within(10_000, async () => assert.match((await row.innerText()).replaceAll("\n", " "), /^sh -c .*\s\d\.\d\d\s.*MiB|KiB/));
  return (await page.locator(".procs > p").first().textContent()).trim();
});
await check("dragging selects, Zoom leaves Live and puts the stretch into the URL", async () => {
  await container(page, host, workload, "&range=5m");
  const box = await charts.first().boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.4, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, y, { steps: 4 });
  await page.mouse.move(box.x + box.width * 0.7, y, { steps: 4 });
  await page.mouse.up();
  const changed = new URL(await page.locator(".pop").getByRole("link", { name: "What changed here?" }).getAttribute("href"), given.url);
  assert.deepEqual([changed.pathname, changed.searchParams.get("host"), changed.searchParams.get("workload")], ["/changes", host, workload]);
  assert.ok(changed.searchParams.get("from") && changed.searchParams.get("to"), changed.search);
  const everything = new URL(await page.locator(".pop").getByRole("link", { name: "Everything" }).getAttribute("href"), given.url);
  assert.equal(everything.pathname, "/logs");
  assert.ok(everything.searchParams.get("from") && everything.searchParams.get("to") && !everything.searchParams.has("q"), everything.search);
  await page.locator(".pop").getByRole("button", { name: "Zoom" }).click();
  const params = new URL(page.url()).searchParams;
  const length = Date.parse(params.get("to")) - Date.parse(params.get("from"));
  assert.ok(length > 60_000 && length < 120_000, `zoomed to ${length} ms of 300000`);
  await page.keyboard.press("L");
  await within(3000, async () => assert.equal(await page.locator(".bar .live").count(), 1));
  return `${Math.round(length / 1000)} s`;
});

// The mark in the lane, the row beside and the line through the charts of one event.
async function shown(words, line) {
  const took = await within(5000, async () => {
    const marks = await page.locator(".lane .mk").evaluateAll((all) => all.map((m) => m.title).join("\n"));
    assert.match(marks, words, "no mark in the lane");
    assert.match((await page.locator(".evr").allTextContents()).join("\n"), words, "no row beside");
    assert.ok((await page.locator(line).count()) >= 1, "no line");
  });
  const through = await page.locator(line).last().boundingBox();
  const marks = await page.locator(".lane .mk").evaluateAll((all) => all.map((m) => [m.title, m.getBoundingClientRect().left + m.getBoundingClientRect().width / 2]));
  const area = await page.locator(".tracks").boundingBox();
  const [, at] = marks.findLast(([title]) => words.test(title));
  assert.ok(through.height > area.height * 0.8, `the line is ${through.height} px of ${area.height}`);
  assert.ok(Math.abs(through.x - at) < 18, `line at ${through.x}, mark at ${at}`);
  return `"${(await page.locator(".evr").filter({ hasText: words }).first().innerText()).replaceAll("\n", " ")}" after ${took} ms, line ${Math.round(through.height)} px`;
}

// The marks of the lane in words; near ones share a mark, whose title has all.
const marked = () => page.locator(".lane .mk").evaluateAll((all) => all.map((m) => m.title).join("\n"));
await check("pausing, resuming and renaming are marks and rows", async () => {
  await container(page, host, workload, "&range=5m");
  for (const args of [["pause", name], ["unpause", name], ["rename", name, `${name}-x`], ["rename", `${name}-x`, name]]) await ask("docker", ...args);
  await within(5000, async () => {
    for (const words of [/Paused/, /Resumed/, new RegExp(`Renamed from ${name}`)]) {
      assert.match(await marked(), words, "no mark in the lane");
      assert.match((await page.locator(".evr").allTextContents()).join("\n"), words, "no row beside");
    }
  });
});
await check("a restart loop and an end for want of memory are red marks with their codes", async () => {
  await ask("start", "loop");
  await container(page, host, given.loop, "&range=5m");
  await within(10000, async () => assert.equal(await page.locator(".evr", { hasText: "Died, exit 7" }).count(), 3, "deaths of on-failure:2"));
  await ask("start", "hog");
  await container(page, host, given.hog, "&range=5m");
  await within(10000, async () => {
    assert.match(await marked(), /Out of memory: the kernel killed it, exit 137/);
    assert.ok(await page.locator(".lane .mk.crit").count());
    assert.ok(await page.locator(".ov .v.crit").count());
  });
  return (await page.locator(".kpis").innerText()).replaceAll("\n", " ");
});

await check("why it died stands on top, with the steps that led to it, and as a report; the page opens on a short life", async () => {
  await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload: given.hog })}`);
  const opener = page.locator(".bar .seg [aria-haspopup=dialog]");
  // It lived for some seconds of the hour.
  await within(10_000, async () => assert.match(await opener.textContent(), /\d\d:\d\d:\d\d – \d\d:\d\d:\d\d/));
  await within(10_000, async () => assert.match(await page.locator(".chead .verdict").textContent(), /^The kernel killed it for want of memory.* Exit 137 means SIGKILL: it was ended at once/));
  const steps = page.locator(".side .why .chain > li");
  assert.match(await steps.last().textContent(), /Out of memory: the kernel killed it, exit 137, after \d+ s/);
  const told = await steps.allTextContents();
  assert.ok(told.length <= 7 && told.some((s) => /The host (had|was short of) memory|The kernel killed .* elsewhere/.test(s)) && told.some((s) => s.startsWith("Started")), told.join(" | "));
  assert.match(await page.locator(".side .why").textContent(), /memory.*(MiB|KiB).*16 MiB|not knownfigures/);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await saying(page, "Report copied", () => page.getByRole("button", { name: "Copy report" }).click());
  const report = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(report, /^## Why \S*hog\S* died\n\n\*\*The kernel killed it for want of memory[^]*### How it came to this\n\n1\. /);
  // The range itself is to be had, and stays.
  await opener.click();
  await page.locator(".rangepop").getByRole("button", { name: "1 h", exact: true }).click();
  await within(3000, async () => assert.match(await opener.textContent(), /1 h/));
  await page.reload();
  await page.locator(".chead .verdict").waitFor();
  assert.match(await opener.textContent(), /1 h/);
  return told.join(" | ");
});

await check("a crash loop is red also while the container happens to run, here and on Servers", async () => {
  await ask("start", "flaps");
  await container(page, host, given.flaps, "&range=5m");
  await within(20_000, async () => {
    assert.match(await page.locator(".chead .chip.crit").first().textContent(), /crashes: 3 times in \d+ s, exit 2; now running/);
    assert.equal(await page.locator(".chead .dot.crit").count(), 1);
    assert.match(await kpi("Restarts").textContent(), /3 died 3 in \d+ s/);
    assert.match(await page.locator(".chead .verdict").textContent(), /It ended by itself with exit 2.*Died, exit 2/);
    assert.match(await page.locator(".side .why .chain").textContent(), /It had died 2 times/);
  });
  await page.goto(`${given.url}/?show=attention&q=${given.flaps}`);
  const row = page.locator("tr.c").filter({ has: page.locator(`a[title="${given.flaps}"]`) });
  await row.waitFor();
  assert.equal(await row.locator(".dot.crit").count(), 1);
  await within(5000, async () => assert.match(await row.textContent(), /33 \/ \d+ sCrashes: 3 times in \d+ s, exit 2/));
  return row.locator(".dot.crit").getAttribute("title");
});

await check("before the answer nothing is said to be none, and what failed is tried again by itself", async () => {
  const p = await reader({ allow: [/ERR_FAILED/, /willReadFrequently/] });
  const url = `${given.url}/container?${new URLSearchParams({ host, workload, range: "15m" })}`;
  let release;
  const held = new Promise((done) => { release = done; });
  await p.route(/v1\/events\?/, async (r) => {
    await held;
    await r.continue();
  });
  await p.goto(url);
  await p.locator(".side .events").waitFor();
  await p.locator(".chead h1", { hasText: /./ }).waitFor();
  assert.equal(await p.getByText("Nothing happened").count(), 0);
  assert.equal(await p.locator('.lane[aria-label="Events"] .lab b').textContent(), "");
  release();
  await p.locator(".evr").first().waitFor();
  assert.match(await p.locator('.lane[aria-label="Events"] .lab b').textContent(), /^\d+$/);
  await p.unroute(/v1\/events\?/);
  let away = true;
  await p.route(/v1\/history\?/, (r) => (away ? r.abort() : r.continue()));
  await p.goto(url);
  const said = p.getByText("History cannot be read: tallyman does not answer.");
  await said.waitFor();
  away = false;
  await within(6000, async () => assert.equal(await said.count(), 0));
  await p.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  // The same of lines: neither "0 B" nor "No container wrote anything" before it is known, and again when it failed.
  await p.route(/loki\/api\/v1\/index\/volume\?/, (r) => r.abort());
  away = true;
  await p.route(/loki\/api\/v1\/query_range\?/, (r) => (away ? r.abort() : r.continue()));
  await p.goto(`${given.url}/logs?range=15m`);
  await p.getByText("The logs cannot be read").waitFor();
  assert.doesNotMatch(await p.locator(".fac").textContent(), /0 B|No container/);
  away = false;
  await within(8000, async () => assert.equal(await p.getByText("The logs cannot be read").count(), 0));
  await p.context().close();
});

await check("docker stop is a mark, a row beside and a line through the charts within 5 s", async () => {
  await container(page, host, workload, "&range=5m");
  const before = await page.locator(".ov .v").count();
  await ask("docker", "stop", name);
  const figures = await shown(/exit 3/, ".ov .v");
  assert.ok((await page.locator(".ov .v").count()) > before);
  assert.equal(await page.locator(".ov .v.crit").count(), 0, "a death that was asked for is no alarm");
  // The code is the container's own; it stopped because it was asked to.
  await within(3000, async () => assert.match(await kpi("State").textContent(), /stopped/));
  assert.equal(await page.locator(".chead .dot.crit").count(), 0, "a red mark in the head");
  return figures;
});
await check("a death of its own is a red one", async () => {
  await ask("docker", "start", name);
  await within(5000, async () => assert.match(await kpi("CPU").textContent(), /\d/));
  await ask("kill");
  const figures = await shown(/Died, exit 3/, ".ov .v.crit");
  assert.ok(await page.locator(".lane .mk.crit").count());
  return figures;
});
await check("the head says how it ended", async () => {
  await within(3000, async () => assert.match(await kpi("Exit").textContent(), /3/));
  assert.match(await kpi("State").textContent(), /failed/);
  assert.match(await page.locator(".chead .chip.crit").textContent(), /Died, exit 3/);
  return page.locator(".kpis").innerText().then((text) => text.replaceAll("\n", " "));
});
await check("a click on a mark pins its time in the URL and marks its row", async () => {
  await page.locator(".lane .mk.crit").first().click();
  assert.ok(new URL(page.url()).searchParams.get("at"));
  await page.locator('.evr[aria-current="true"]').waitFor();
});
await check("Facts hold what Docker says of it", async () => {
  await page.getByRole("tab", { name: "Facts" }).click();
  const facts = page.locator("#panel-facts");
  for (const want of [name, "tallyman-test/busybox", workload.split("/").join(" / "), "exit 3", "com.docker.compose.project", "0.15 cores"]) {
    assert.ok((await facts.textContent()).includes(want), `${want} is missing in ${await facts.textContent()}`);
  }
});
await check("a removed container says gone and keeps its history", async () => {
  await ask("docker", "rm", "-f", name);
  await page.goto(`${given.url}/?show=gone&q=${name}`);
  await page.locator(`a[data-row][title="${name}"]`).click();
  await page.locator(".chead .chip.warn", { hasText: /gone since .*, history kept/ }).waitFor();
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  assert.equal(await page.locator(".bar .live").count(), 0, "Live of a gone container");
  let counts;
  await within(5000, async () => {
    counts = await inked();
    assert.ok(counts[0] > 10 && counts[1] > 20, `coloured pixels: ${counts}`);
  });
  await page.locator(".evr", { hasText: "Died, exit 3" }).first().waitFor();
  return `${await page.locator(".chead .chip.warn").textContent()}, coloured pixels ${counts.join(", ")}`;
});
await check("re-created, it goes on in the same charts as a second instance", async () => {
  await ask("start", "again");
  await container(page, host, workload, "&range=5m");
  await within(5000, async () => assert.equal(await page.locator(".ver").count(), 2));
  const [a, b] = await page.locator(".ver").evaluateAll((all) => all.map((v) => v.getBoundingClientRect()).map((r) => [Math.round(r.left), Math.round(r.right)]));
  assert.ok(a[1] <= b[0] + 1, `instances overlap: ${a} ${b}`);
  assert.equal(await page.locator(".ver.now").count(), 1);
  await within(5000, async () => assert.match(await kpi("CPU").textContent(), /\d/));
  await page.locator(".evr", { hasText: "Died, exit 3" }).waitFor();
  return `${a.join("–")} and ${b.join("–")} px`;
});
await check("an unknown workload says so, and what was meant is offered, also for a page", async () => {
  await page.goto(`${given.url}/container?host=${host}&workload=nobody`);
  await page.getByText("cannot be shown").waitFor();
  // One that comes later shows by itself.
  const later = `${given.loop}-later`;
  await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload: later })}`);
  await page.getByText("cannot be shown").waitFor();
  await ask("docker", "run", "-d", "--name", later, "tallyman-test/busybox", "sleep", "600");
  try {
    await page.locator(".kpis").getByText("Memory", { exact: true }).waitFor();
    assert.equal(await page.getByText("cannot be shown").count(), 0);
  } finally {
    await ask("docker", "rm", "-f", later);
  }
  await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload: workload.replace("api", "aip") })}`);
  await page.getByText("Was it").getByRole("link", { name: name, exact: true }).waitFor();
  await page.goto(`${given.url}/evnets`);
  await page.getByText("Was it").getByRole("link", { name: "Events", exact: true }).click();
  await page.waitForURL(/\/events/);
});
await check("a container that never started spans no time, and says the engine's reason", async () => {
  const never = `${given.loop}-never`;
  await ask("docker", "create", "--name", never, "tallyman-test/busybox", "/nope");
  await ask("docker", "start", never).catch(() => undefined);
  try {
    await within(20_000, async () => {
      await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload: never, range: "5m" })}`);
      await page.locator(".chead .l1 .dot").waitFor({ timeout: 3000 }); // it may not be known yet
      assert.match(await page.locator(".chead").textContent(), /nope.*no such file|no such file.*nope/i);
    });
    assert.equal(await page.locator(".ver").count(), 0);
  } finally {
    await ask("docker", "rm", "-f", never);
  }
});
await finish();
