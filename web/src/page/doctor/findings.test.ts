// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Costs, Feature, Store } from "../../api/schema";
import { adviceOf, callLines, costLines, daemonLines, diskLine, dropWords, fine, grouped, kept, pasted, says, storeSize, verdict } from "./findings";

const GiB = 1 << 30;
const f = (state: Feature["state"], more: Partial<Feature> = {}): Feature => ({ id: "x/y", group: "Host", name: "y", state, ...more });
const some = (off: number, partly: number, unknown: number, works: number) => [
  ...Array.from({ length: off }, () => f("off", { unlock: "--pid=host" })),
  ...Array.from({ length: partly }, () => f("partly")),
  ...Array.from({ length: unknown }, () => f("unknown")),
  ...Array.from({ length: works }, () => f("works", { unlock: "--never-counted" })),
];

test.each([
  [some(0, 0, 0, 21), "ok", "Everything works here."],
  [some(2, 1, 0, 18), "crit", "2 of 21 do not work, 1 works partly, 2 can be unlocked."],
  [some(1, 0, 0, 20), "crit", "1 of 21 does not work, 1 can be unlocked."],
  [some(0, 2, 1, 1), "warn", "2 of 4 work partly, 1 is not known."],
  [some(0, 0, 2, 1), "unknown", "2 of 3 are not known."],
  [[], "unknown", "Nothing has been checked yet."],
  [[f("asleep" as Feature["state"]), f("works")], "unknown", "1 of 2 is not known."],
])("the whole in a sentence", (features, mark, text) => expect(verdict(features)).toEqual({ mark, text }));

test("groups stand in a fixed order, the worst comes first in each", () => {
  const list = [f("works", { id: "t", group: "tallyman" }), f("works", { id: "h1" }), f("off", { id: "h2" }), f("unknown", { id: "h3" }), f("partly", { id: "h4" }), f("works", { id: "n", group: "New" }), f("works", { id: "e", group: "Engines" })];
  expect(grouped(list).map((g) => `${g.name}: ${g.features.map((x) => x.id)}`)).toEqual(["Engines: e", "Host: h2,h4,h3,h1", "tallyman: t", "New: n"]);
});

test.each([
  ["--pid=host", true],
  ["-v /sys/fs/cgroup:/host/sys/fs/cgroup:ro", true],
  ["engines: [{name: harbor-2}]", true],
  ["psi=1", true],
  ["sudo systemctl start docker", true],
  ["start Docker there, or take it out of the settings", false],
])("%j can be pasted: %s", (text, want) => expect(pasted(text)).toBe(want));

test("what is to be pasted stands apart from the words", () => {
  expect(adviceOf("`--pid=host`, or `-v /:/rootfs:ro`")).toEqual([{ code: true, text: "--pid=host" }, { code: false, text: ", or" }, { code: true, text: "-v /:/rootfs:ro" }]);
  expect(adviceOf("start one container with `--x y`, once")).toEqual([{ code: false, text: "start one container with" }, { code: true, text: "--x y" }, { code: false, text: ", once" }]);
  expect(adviceOf("--pid=host")).toEqual([{ code: true, text: "--pid=host" }]);
  expect(adviceOf("bring its server back, or umount -l /a`b")).toEqual([{ code: false, text: "bring its server back, or umount -l /a`b" }]);
});

test("detail and reason are sentences", () => {
  expect(says(f("partly", { detail: "98 of 102 containers", reason: "4 share the network of the host." }))).toBe("98 of 102 containers. 4 share the network of the host.");
  expect(says(f("works", { detail: "/proc" }))).toBe("/proc");
  expect(says(f("off", { detail: "", reason: "no psi" }))).toBe("no psi");
  expect(says(f("off"))).toBe("");
});

const costs = (c: Partial<Costs> = {}): Costs => ({ daemons: [], calls: [], ...c });
const store = (s: Partial<Store> = {}): Store => ({ name: "m", state: "works", bytes: 0, limit: 0, retention: 0, ...s });

test("costs against their limits; what is not known is not zero", () => {
  expect(costLines(costs({ cpu: 0.0123, memory: 26214400, memoryLimit: 134217728, resident: 61000000, files: 911, filesLimit: 1048576, goroutines: 32, rounds: 1204, roundSeconds: 0.0073, lateRounds: 0 })).map((l) => `${l.name} ${l.value}`)).toEqual([
    "CPU 0.012 cores", "Memory 25.0 of 128 MiB", "Resident 58.2 MiB", "Descriptors 911 of 1,048,576", "Goroutines 32", "Rounds 1,204, 7.3 ms each, none late",
  ]);
  expect(costLines(costs()).map((l) => l.value)).toEqual(Array(6).fill(undefined));
  expect(costLines(costs({ memory: 26214400, rounds: 2, lateRounds: 1 })).flatMap((l) => l.value ?? [])).toEqual(["25.0 MiB", "2, 1 late"]);
  expect([fine(0), fine(0.4)]).toEqual(["0.00 cores", "0.40 cores"]);
});

test("what the engine takes, and how often it was called", () => {
  expect(daemonLines(costs({ daemons: [{ name: "dockerd", cpu: 0.02, memory: 90000000 }, { name: "containerd" }] })).map((l) => l.value)).toEqual(["0.020 cores, 85.8 MiB", undefined]);
  const calls = [{ engine: "local", call: "list", count: 12 }, { engine: "harbor-2", call: "stats", count: 5 }, { engine: "local", call: "inspect", count: 1234 }];
  expect(callLines(costs({ calls })).map((l) => `${l.name}: ${l.value}`)).toEqual(["local: 1,234 inspect, 12 list", "harbor-2: 5 stats"]);
});

test("a store against its limit", () => {
  const ago = () => "3 d ago";
  expect(storeSize(store({ name: "metrics", bytes: GiB / 2, limit: GiB }))).toEqual({ name: "metrics", value: "512 MiB of 1 GiB", share: 0.5 });
  expect(storeSize(store({ bytes: 10 })).value).toBe("10 B, no limit");
  expect(kept(store({ oldest: 1, retention: 604800, series: 6012 }), ago)).toBe("oldest 3 d ago, kept for 7 d, 6,012 series");
  expect(kept(store({ retention: 3600 }), ago)).toBe("kept for 1 h");
  expect(kept(store(), ago)).toBe("no limit in time");
});

test.each([
  [12 * GiB, "ok"],
  [1.5 * GiB, "warn"],
  [GiB / 2, "crit"],
])("%s bytes free with a reserve of 1 GiB are %s", (free, mark) => expect(diskLine({ path: "/data", size: 40 * GiB, free, reserve: GiB }).mark).toBe(mark));

test("what was dropped, in words", () => {
  expect(dropWords({ what: "samples", reason: "store_failed", count: 1200 })).toBe("1,200 samples: the store could not write them.");
  expect(dropWords({ what: "events", reason: "moon_in_the_way", count: 1 })).toBe("1 event: moon in the way.");
});
