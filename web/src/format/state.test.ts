// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Container, Event } from "../api/schema";
import { assess } from "./state";

const last = (kind: Event["kind"], text: string): Event => ({ id: "e", time: 1, host: "h", type: "container", action: "", kind, severity: "", text });

test.each<[Partial<Container>, string, string]>([
  [{ state: "running" }, "ok", "running"],
  [{ state: "running", health: "healthy" }, "ok", "running, healthy"],
  [{ state: "running", health: "unhealthy" }, "crit", "running, unhealthy"],
  [{ state: "running", health: "starting" }, "unknown", "running, health not known yet"],
  [{ state: "restarting", exitCode: 1 }, "warn", "restarting, exit 1"],
  [{ state: "paused" }, "pause", "paused"],
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
  [{ state: "created", error: "port is already allocated" }, "crit", "not started: port is already allocated"],
  [{ state: "created" }, "off", "created, not started"],
  [{ state: "gone", exitCode: 1 }, "off", "gone"],
  [{ state: "dead" }, "crit", "dead: the engine could not remove it"],
])("%j is %s: %s", (c, mark, words) => {
  expect(assess(c as Container)).toEqual({ mark, words });
});
