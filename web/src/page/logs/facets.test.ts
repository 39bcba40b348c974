// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { everything } from "../../format/logql";
import { facetsOf, filesWith } from "./facets";

const found: { labels: Record<string, string>; amount: number }[] = [
  { labels: { source: "container", host: "h", name: "shop-api-1", workload: "shop/api/1", stream: "stdout" }, amount: 10 },
  { labels: { source: "container", host: "h", name: "shop-api-1", workload: "shop/api/1", stream: "stderr" }, amount: 5 },
  { labels: { source: "file", host: "h", name: "shop-api-1", workload: "shop/api/1", filename: "/app/api.log" }, amount: 7 },
  { labels: { source: "file", host: "h", filename: "/var/log/api.log" }, amount: 3 },
  { labels: { source: "file", host: "h", name: "db", workload: "db", filename: "/srv/db.log" }, amount: 1 },
  { labels: { source: "journal", host: "h", unit: "docker.service" }, amount: 2 },
];
const f = facetsOf(found);

test("what there is of each source, container, file and unit", () => {
  expect(Object.fromEntries(f.sources)).toEqual({ container: 15, file: 11, journal: 2 });
  expect(Object.fromEntries(f.names)).toEqual({ "shop-api-1": 15 });
  expect(Object.fromEntries(f.files)).toEqual({ "/app/api.log": 7, "/var/log/api.log": 3, "/srv/db.log": 1 });
  expect(Object.fromEntries(f.units)).toEqual({ "docker.service": 2 });
  expect(f.short.get("shop-api-1")).toBe("api-1");
  expect(f.short.get("/app/api.log")).toBe("app/api.log");
  expect(f.short.get("/srv/db.log")).toBe("db.log");
});

test("beside a container there are its files and those of the host", () => {
  expect([...filesWith(f, []).keys()]).toHaveLength(3);
  expect([...filesWith(f, ["shop-api-1"]).keys()]).toEqual(["/app/api.log", "/var/log/api.log"]);
});

test("a facet counts what the other choices leave, and nothing is 0 before it is known", () => {
  const one = facetsOf(found, { ...everything, sources: ["container"], names: ["shop-api-1"], streams: ["stderr"] });
  expect(Object.fromEntries(one.sources)).toEqual({ container: 5, file: 10, journal: 2 });
  expect(Object.fromEntries(one.streams)).toEqual({ stdout: 10, stderr: 5 });
  expect(Object.fromEntries(one.names)).toEqual({ "shop-api-1": 5 });
  expect(one.unknown).toBe(false);
  expect(facetsOf(undefined).unknown).toBe(true);
  expect(Object.fromEntries(facetsOf(found, { ...everything, hosts: ["other"] }).names)).toEqual({ "shop-api-1": 0 });
});
