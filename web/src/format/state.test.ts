// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Container, Event } from "../api/schema";
import { assess, crashLoop, crashRate } from "./state";

const last = (kind: Event["kind"], text: string): Event => ({ id: "e", time: 1, host: "h", type: "container", action: "", kind, severity: "", text });

test.each<[Partial<Container>, string, string]>([
  [{ state: "running" }, "ok", "running"],
  [{ state: "running", health: "healthy" }, "ok", "running, healthy"],
  [{ state: "running", health: "unhealthy" }, "crit", "running, unhealthy"],
  [{ state: "running", health: "starting" }, "unknown", "running, health not known yet"],
  [{ state: "restarting", exitCode: 1 }, "warn", "restarting, exit 1"],
  [{ state: "paused" }, "pause", "paused"],
  [{ state: "unknown" }, "unknown", "not known: its host is silent"],
  [{ state: "exited", exitCode: 0 }, "off", "stopped, exit 0"],
  [{ state: "exited", exitCode: 143 }, "off", "stopped, exit 143 (SIGTERM)"],
  [{ state: "exited", exitCode: 1 }, "crit", "failed, exit 1"],
  [{ state: "exited", exitCode: 3, lastEvent: last("death", "Died, exit 3") }, "crit", "failed, exit 3"],
  [{ state: "exited", exitCode: 3, lastEvent: last("death", "Ended as asked, exit 3") }, "off", "stopped, exit 3"],
  [{ state: "exited", exitCode: 139, lastEvent: last("death", "Killed as asked, exit 139 (SIGSEGV)") }, "off", "stopped, exit 139 (SIGSEGV)"],
  [{ state: "exited", exitCode: 3, lastEvent: last("stop", "Stopped") }, "off", "stopped, exit 3"],
  [{ state: "exited", exitCode: 3, lastEvent: last("exec", "exec: Ended as asked") }, "crit", "failed, exit 3"],
  [{ state: "exited", exitCode: 137, oomKilled: true, lastEvent: last("stop", "Stopped") }, "crit", "out of memory, exit 137 (SIGKILL)"],
  [{ state: "exited", exitCode: 137, oomKilled: true }, "crit", "out of memory, exit 137 (SIGKILL)"],
  [{ state: "exited", exitCode: 137, lastEvent: { ...last("death", "Died, exit 137 (SIGKILL)"), severity: "critical" } }, "crit", "failed, exit 137 (SIGKILL)"],
  [{ state: "exited", exitCode: 137, lastEvent: { ...last("death", "Died, exit 137 (SIGKILL)"), severity: "critical", inferred: true } }, "off", "stopped, exit 137 (SIGKILL)"],
  [{ state: "exited", exitCode: 137, lastEvent: { ...last("death", "Killed as asked, exit 137 (SIGKILL)"), severity: "info" } }, "off", "stopped, exit 137 (SIGKILL)"],
  [{ state: "created", error: "port is already allocated" }, "crit", "not started: port is already allocated"],
  [{ state: "created" }, "off", "created, not started"],
  [{ state: "gone", exitCode: 1 }, "off", "gone"],
  [{ state: "dead" }, "crit", "dead: the engine could not remove it"],
])("%j is %s: %s", (c, mark, words) => {
  expect(assess(c as Container)).toEqual({ mark, words });
});

test("three deaths within ten minutes are a state of their own, also while it runs", () => {
  const now = 1_000_000_000;
  const c = (count: number, ago: number, more: Partial<Container> = {}) => ({ state: "running", crashes: { count, first: now - ago - 61_000, last: now - ago, exitCode: "2" }, ...more }) as Container;
  expect(assess(c(6, 5000), now)).toEqual({ mark: "crit", words: "crashes: 6 times in 1 min, exit 2; now running" });
  expect(assess(c(3, 5000, { state: "restarting" }), now).mark).toBe("crit");
  expect(assess(c(2, 5000), now)).toEqual({ mark: "ok", words: "running" });
  expect(crashRate(c(2, 5000), now)).toBe("2 in 10 min");
  expect(crashRate(c(6, 5000), now)).toBe("6 in 1 min");
  expect(crashLoop(c(6, 600_000), now)).toBe(false);
  expect(assess(c(6, 600_000), now).mark).toBe("ok");
  expect(crashRate(c(6, 600_000), now)).toBe("");
  expect(crashLoop(c(6, 5000, { state: "gone" }), now)).toBe(false);
});
