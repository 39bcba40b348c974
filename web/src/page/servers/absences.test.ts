// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Container } from "../../api/schema";
import { lacks } from "./absences";

const c = (state: string, ...absent: string[]) => ({ state, absent: absent.map((what) => ({ what, reason: "why" })) }) as Container;

test("what most containers lack is the host's, what one lacks is its own", () => {
  const all = [c("running", "pressure", "TCP"), c("running", "pressure", "TCP"), c("paused", "pressure", "network"), c("exited", "network"), c("gone", "network")];
  expect(lacks(all).map((a) => a.what)).toEqual(["pressure", "TCP"]);
});

test("nobody lacks anything", () => {
  expect(lacks([])).toEqual([]);
  expect(lacks([c("running")])).toEqual([]);
});
