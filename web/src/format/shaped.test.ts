// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { fieldsOf, lastState, shapedOf } from "./shaped";

test("JSON and logfmt say their message first", () => {
  expect(shapedOf('{"time":"10:00","level":"error","msg":"no answer","status":503,"to":{"a":1}}')).toEqual({
    message: "no answer",
    fields: [["status", "503"], ["to", '{"a":1}'], ["time", "10:00"], ["level", "error"]],
  });
  expect(shapedOf('level=info msg="order stored" order=1 took=3ms')).toEqual({ message: "order stored", fields: [["order", "1"], ["took", "3ms"], ["level", "info"]] });
});

test("a line that says more than its fields stays as it is", () => {
  for (const line of ["plain text", 'user said msg=hello a=b', '{"status":503}', "a=1 b=2", "[1,2]", '{"msg":"cut off', "x".repeat(20_000), '{"msg":""}']) expect(shapedOf(line)).toBeUndefined();
});

test("fields are those at the top", () => {
  expect(fieldsOf('{"a":1,"b":"x"}')).toEqual([["a", "1"], ["b", "x"]]);
  expect(fieldsOf("GET / status=200 took=3ms")).toEqual([["status", "200"], ["took", "3ms"]]);
  expect(fieldsOf("nothing")).toBeUndefined();
});

test("of progress the last state is shown", () => {
  expect(lastState("10 %\r50 %\r100 %")).toBe("100 %");
  expect(lastState("10 %\r100 %\r")).toBe("100 %");
  expect(lastState("from Windows\r")).toBe("from Windows");
  expect(lastState("a\r\u001b[K")).toBe("a");
  expect(lastState("plain")).toBe("plain");
});
