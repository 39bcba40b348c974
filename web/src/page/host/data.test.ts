// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Event } from "../../api/schema";
import { fileSystems, matters, named, wholly } from "./data";

test("after a gap a rate is that of the time of which there are samples", () => {
  expect(wholly([1, 1, 0.1, 0.1, null], [1, 0.98, 0.5, 0.1, 0.5])).toEqual([1, 1, 0.2, null, null]);
  expect(wholly([1, null], undefined)).toEqual([1, null]);
  expect(wholly([1], [null])).toEqual([1]);
});

const event = (more: Partial<Event>): Event => ({ id: "a", time: 1, host: "h", type: "container", action: "die", kind: "death", severity: "", text: "Died", ...more });

test("what is grave of containers stands on the page of their host, under their name", () => {
  expect(matters(event({ severity: "critical" }))).toBe(true);
  expect(matters(event({ severity: "good" }))).toBe(false);
  expect(matters(event({ type: "engine", severity: "" }))).toBe(true);
  expect(matters(event({ type: "network" }))).toBe(false);
  expect(named(event({ name: "web" })).text).toBe("web: Died");
  expect(named(event({ workload: "shop/web/1" })).text).toBe("shop/web/1: Died");
  expect(named(event({ type: "engine", text: "away" })).text).toBe("away");
});

test("of a file system that is mounted twice there is one, of those that cannot be written to none", () => {
  const point = (of: string, device: string, mountpoint: string, value: number) => ({ labels: { of, device, mountpoint }, value });
  const all = (device: string, mount: string, size: number, free: number, avail: number) => [point("size", device, mount, size), point("free", device, mount, free), point("avail", device, mount, avail), point("readonly", device, mount, 0)];
  const found = [...all("/dev/a", "/var/lib/docker", 100, 50, 40), ...all("/dev/a", "/", 100, 50, 40), ...all("/dev/b", "/data", 100, 20, 10), ...all("/dev/c", "/ro", 100, 0, 0), point("size", "/dev/d", "/half", 100)].map((p) =>
    p.labels.of === "readonly" && p.labels.mountpoint === "/ro" ? { ...p, value: 1 } : p,
  );
  expect(fileSystems(found, [], 0, 60_000).map((f) => [f.mount, f.used, f.avail, f.filling])).toEqual([
    ["/data", 80, 10, undefined],
    ["/", 50, 40, undefined],
  ]);
});
