// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { matches, only, parseFilter } from "./filter";

const api = { id: "a71be02c94d1", name: "shop-api-1", image: "registry/shop/api:1.43.0", host: "harbor-1", workload: "shop/api/1", project: "shop", service: "api", state: "running" };

test.each([
  ["", true],
  ["shop", true],
  ["SHOP api", true],
  ["shop db", false],
  ["image:1.43", true],
  ["name:1.43", false],
  ["api:1.43", true],
  ["state:running project:shop", true],
  ["state:exited", false],
  ["health:none", true],
  ["id:a71b", true],
  ["host:harbor", true],
  ["host:=harbor", false],
  ["host:=HARBOR-1", true],
])("filter %j matches: %s", (text, want) => expect(matches(api, parseFilter(text))).toBe(want));

test("a link filters for exactly one host", () => {
  expect(only("host", "harbor-1")).toBe("host:=harbor-1");
  expect(only("project", "a b")).toBe("project:a b");
});

test("a filter knows no inherited keys", () => {
  expect(parseFilter("constructor:x")).toEqual([{ value: "constructor:x", text: "constructor:x" }]);
});
