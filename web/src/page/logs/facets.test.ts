// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { facetsOf, filesWith } from "./facets";

const f = facetsOf([
  { labels: { source: "container", host: "h", name: "shop-api-1", workload: "shop/api/1", stream: "stdout" }, bytes: 10 },
  { labels: { source: "container", host: "h", name: "shop-api-1", workload: "shop/api/1", stream: "stderr" }, bytes: 5 },
  { labels: { source: "file", host: "h", name: "shop-api-1", workload: "shop/api/1", filename: "/app/api.log" }, bytes: 7 },
  { labels: { source: "file", host: "h", filename: "/var/log/api.log" }, bytes: 3 },
  { labels: { source: "file", host: "h", name: "db", workload: "db", filename: "/srv/db.log" }, bytes: 1 },
  { labels: { source: "journal", host: "h", unit: "docker.service" }, bytes: 2 },
]);

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
