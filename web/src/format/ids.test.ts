// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { idsOf } from "./ids";

test.each([
  ["GET /api 200 request_id=7f3c-22", ["7f3c-22"]],
  ['{"level":"info","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","msg":"x"}', ["4bf92f3577b34da6a3ce929d0e0e4736"]],
  ["X-Request-Id: 0d2f1a44-9b1e-4b7e-8a50-8f2f9d1f7b11 done", ["0d2f1a44-9b1e-4b7e-8a50-8f2f9d1f7b11"]],
  ["order 01ARZ3NDEKTSV4RRFFQ69G5FAV paid", ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]],
  ["took 1234567890123456 ns", []], // a number
  ["deadbeefdeadbeefdeadbeef", []], // no digit: a word, or a colour
  ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]],
  ["reqid=a1b2c3 traceID=a1b2c3", ["a1b2c3"]],
  ["a1b2c3d4e5f60718 b1b2c3d4e5f60718 c1b2c3d4e5f60718 d1b2c3d4e5f60718", ["a1b2c3d4e5f60718", "b1b2c3d4e5f60718", "c1b2c3d4e5f60718"]],
  ["nothing here", []],
])("%j", (line, want) => expect(idsOf(line)).toEqual(want));
