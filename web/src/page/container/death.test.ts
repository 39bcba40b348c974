// SPDX-License-Identifier: Apache-2.0

import { expect, it } from "vitest";
import type { Container, Event } from "../../api/schema";
import { hour, minute, second } from "../../format/time";
import { deathOf, lifeWithin } from "./death";

const now = Date.UTC(2026, 10, 28, 12);
const c = (more: Partial<Container>): Container => ({ id: "a", name: "web", image: "web:1", host: "h", workload: "web", origin: "", state: "exited", restartCount: 0, ...more }) as Container;
const death = (more: Partial<Event>) => ({ id: "1", kind: "death", severity: "critical", actor: "b", time: now - hour, ...more }) as Event;

it("asks about the death that one comes for", () => {
  expect(deathOf(undefined, undefined, now)).toBeUndefined();
  expect(deathOf(c({ finished: now - minute, exitCode: 1 }), undefined, now)).toEqual({ container: "a", at: now - minute + 5 * second, died: now - minute - second });
  expect(deathOf(c({ finished: now - minute, exitCode: 0 }), undefined, now)).toBeUndefined();
  expect(deathOf(c({ state: "running", started: now - minute, finished: now - 2 * minute, exitCode: 1 }), undefined, now)?.at).toBe(now - 2 * minute + 5 * second);
  expect(deathOf(c({ state: "running", started: now - hour, finished: now - 2 * hour, exitCode: 1 }), undefined, now)).toBeUndefined();
  expect(deathOf(c({ state: "created", error: "no such file" }), undefined, now)).toEqual({ container: "a", at: now, died: 0 });
});

it("asks about the last death of a loop, also while it runs", () => {
  const crashes = { count: 3, first: now - minute, last: now - second, exitCode: "2" };
  expect(deathOf(c({ state: "running", started: now, finished: now - second, exitCode: 0, crashes }), undefined, now)).toEqual({ container: "a", at: now + 4 * second, died: now - second });
  // Each turn is a container of its own.
  const instances = [{ id: "z", ended: now - second, state: "gone" }, { id: "a", state: "running" }] as Container["instances"];
  expect(deathOf(c({ state: "running", started: now, crashes, instances }), undefined, now)?.container).toBe("z");
});

it("asks about a pinned death, if nobody asked for it", () => {
  const d = c({ state: "running", started: now - hour });
  expect(deathOf(d, death({}), now)).toEqual({ container: "b", at: now - hour + 1, died: now - hour });
  expect(deathOf(d, death({ severity: "" }), now)).toBeUndefined();
});

it("opens on a life that would be a line", () => {
  const short = c({ created: now - 20 * minute, finished: now - 20 * minute + 100 * second });
  expect(lifeWithin(short, hour)).toEqual({ from: now - 20 * minute - 20 * second, to: now - 20 * minute + 120 * second });
  expect(lifeWithin(short, 15 * minute)).toBeUndefined();
  expect(lifeWithin(short, Number.POSITIVE_INFINITY)).toBeUndefined();
  expect(lifeWithin({ ...short, state: "running" }, hour)).toBeUndefined();
  expect(lifeWithin(c({ created: now - hour }), hour)).toBeUndefined();
});
