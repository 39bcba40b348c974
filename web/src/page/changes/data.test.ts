// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { labelOf, moveWords, unwatched, valueOf } from "./data";

test("how far something moved is said in short", () => {
  expect(moveWords(0.05, 1)).toBe("× 20");
  expect(moveWords(1, 2.5)).toBe("× 2.5");
  expect(moveWords(100, 138)).toBe("+ 38 %");
  expect(moveWords(100, 34)).toBe("− 66 %");
  expect(moveWords(0, 3)).toBe("from 0");
  expect(moveWords(3, 0)).toBe("to 0");
  expect(moveWords(null, 3)).toBe("new");
  expect(moveWords(3, null)).toBe("gone");
});

test("a number has its name, its part and its unit", () => {
  expect(labelOf({ measure: "tcp", part: "closewait" })).toBe("TCP closewait");
  expect(labelOf({ measure: "memory" })).toBe("Memory");
  expect(valueOf({ measure: "memory" }, 314_572_800)).toEqual({ n: "300", unit: "MiB" });
  expect(valueOf({ measure: "cpuPressure" }, 0.123)).toEqual({ n: "12", unit: "%" });
});

test("what was not watched is said, a sample on its way is not", () => {
  expect(unwatched([{ host: "a", before: 58, after: 55 }], 60_000)).toEqual([]);
  expect(unwatched([{ host: "a", before: 0, after: 60 }], 60_000)[0]).toContain("not watched before");
  expect(unwatched([{ host: "a", before: 60, after: 0 }], 60_000)[0]).toContain("not watched in this range");
  expect(unwatched([{ host: "a", before: 30, after: 60 }], 60_000)[0]).toContain("50 % of the time before");
});
