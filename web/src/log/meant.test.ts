// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { parseWhen } from "../format/time";
import { markOf } from "./meant";

test("a line is told from others of the same nanosecond, and its mark is a time", () => {
  const line = { ns: "1795182011123456789", line: "one", source: "a" };
  expect(parseWhen(markOf(line), 0)).toBe(1795182011123);
  expect(markOf(line)).toBe(markOf({ ...line }));
  expect(new Set([line, { ...line, line: "two" }, { ...line, source: "b" }, { ...line, ns: "1795182011123456788" }].map(markOf)).size).toBe(4);
});
