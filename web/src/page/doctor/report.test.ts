// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Report } from "../../api/schema";
import { report } from "./report";

const doctor: Report = {
  time: Date.UTC(2026, 10, 21, 13, 40), version: "0.1", host: "harbor-1", where: "container",
  features: [
    { id: "engine/local", group: "Engines", name: "Engine local", state: "works", detail: "Docker 29.1.2" },
    { id: "host/filesystems", group: "Host", name: "File systems", state: "off", reason: "tallyman may not look there", unlock: "--cap-add SYS_PTRACE" },
    { id: "container/x", group: "Containers", name: "<b>*bold*</b>\u202e", state: "partly", reason: "a `tick` | a pipe" },
  ],
  cost: { cpu: 0.012, daemons: [{ name: "dockerd", cpu: 0.02 }], calls: [{ engine: "local", call: "inspect", count: 12 }] },
  stores: [{ name: "metrics", bytes: 1024, limit: 2048, retention: 604800, oldest: Date.UTC(2026, 10, 20, 13, 40), state: "works" }],
  disk: { path: "/var/lib/tallyman", size: 4096, free: 2048, reserve: 1024 },
  dropped: [{ what: "samples", reason: "refused", count: 3, next: "Look at the log." }],
};

test("the report holds all of the page, and no markup of strangers", () => {
  expect(report(doctor)).toBe(`# tallyman doctor

tallyman 0.1 on harbor-1, in a container, 2026-11-21T14:40:00+01:00

1 of 3 does not work, 1 works partly, 1 can be unlocked.

## Does not work

### Containers

- **\\<b\\>\\*bold\\*\\</b\\>\\\\u202e**, works partly: a \\\`tick\\\` \\| a pipe

### Host

- **File systems**, does not work: tallyman may not look there  
  \`--cap-add SYS_PTRACE\`

## Works

### Engines

- **Engine local**: Docker 29.1.2

## Cost of tallyman

- CPU: 0.012 cores
- Memory: not known
- Resident: not known
- Descriptors: not known
- Goroutines: not known
- Rounds: not known

## Cost of the engine

- dockerd: 0.020 cores

## Calls to the engine

- local: 12 inspect

## Stores

- metrics, works: 1.00 KiB of 2 KiB, oldest 1 d ago, kept for 7 d

## Disk

- /var/lib/tallyman: 2.00 KiB free of 4 KiB. tallyman leaves 1 KiB of it free.

## Dropped

- 3 samples: the store refused them. Look at the log.
`);
});

test("a report of nothing is a report", () => {
  const text = report({ time: 0, version: "0.1", host: "h", where: "binary", features: [], cost: { daemons: [], calls: [] }, stores: [], dropped: [] });
  expect(text).toContain("not in a container");
  expect(text).toContain("Nothing was dropped.");
});
