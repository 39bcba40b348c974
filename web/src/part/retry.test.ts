// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { ApiError, inWords } from "../api/client";
import { passing } from "./retry";

test("what fails while tallyman is away is tried again, what it refuses is not", () => {
  expect(passing(inWords(new TypeError("Failed to fetch")))).toBe(true);
  expect(passing(inWords(new ApiError(502, "error", "tallyman answered 502 Bad Gateway.", "")))).toBe(true);
  expect(passing(inWords(new ApiError(400, "logs", "parse error", "")))).toBe(false);
  expect(passing("")).toBe(false);
});
