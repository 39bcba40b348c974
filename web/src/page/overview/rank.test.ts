// SPDX-License-Identifier: Apache-2.0

import { expect, test, vi } from "vitest";
import type { Container, Host } from "../../api/schema";

vi.stubGlobal("history", { state: null });
vi.stubGlobal("location", { pathname: "/", search: "", href: "http://x/" });
const { hostRows, named } = await import("./rank");

const now = 1_800_000_000_000;
const host = (name: string, more: Partial<Host> = {}): Host => ({ host: name, engine: { name: "local", address: "", up: true }, containers: [], ...more });
const failed = (name: string): Container => ({ id: name, name, workload: name, host: "x", engine: "local", image: "i", origin: "name", state: "exited", exitCode: 3, restartCount: 0 });

test("the worst host stands first, and of equals the first by name", () => {
  const rows = hostRows(
    [
      host("calm-2"), host("full", { memoryUsed: 95, memory: 100 }), host("calm-1", { cpu: 3, cores: 4 }), host("two", { containers: [failed("a"), failed("b")] }), host("one", { containers: [failed("c")] }),
      host("silent", { engine: { name: "silent/local", address: "", up: false, failure: "silent" } }), host("away", { engine: { name: "away/local", address: "", up: false, failure: "refused" } }),
      host("calm-1", { engine: { name: "second", address: "", up: true } }),
    ],
    now,
  );
  expect(rows.map((r) => [r.host, r.state.words, r.failed])).toEqual([
    ["away", "Docker does not answer", 0],
    ["silent", "Silent: nothing comes from its tallyman", 0],
    ["two", "Docker answers", 2],
    ["one", "Docker answers", 1],
    ["full", "Docker answers", 0],
    ["calm-1", "Docker answers", 0],
    ["calm-2", "Docker answers", 0],
  ]);
  expect(rows.find((r) => r.host === "calm-1")!.engines.length).toBe(2);
});

test("a search finds hosts by words of their names", () => {
  const rows = hostRows([host("web-1"), host("web-2"), host("db-1")], now);
  expect(named(rows, "").length).toBe(3);
  expect(named(rows, "WEB").map((r) => r.host)).toEqual(["web-1", "web-2"]);
  expect(named(rows, "1 web").map((r) => r.host)).toEqual(["web-1"]);
});
