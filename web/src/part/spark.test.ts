// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { sparkPath } from "./spark";

test("a hole breaks line and area", () => {
  expect(sparkPath([1, 1, null, 0, 1], 0)).toEqual({
    line: "M0.0 1.0L21.0 1.0M63.0 19.0L84.0 1.0",
    area: "M0.0 1.0L21.0 1.0L21.0 20L0.0 20ZM63.0 19.0L84.0 1.0L84.0 20L63.0 20Z",
  });
});

test("the limit is the top where there is one", () => {
  expect(sparkPath([5, 5], 10).line).toBe("M0.0 10.0L84.0 10.0");
});

test("nothing known draws nothing", () => expect(sparkPath([null, null], 0)).toEqual({ line: "", area: "" }));
