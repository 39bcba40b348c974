// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { concerns } from "./concerns";

test("the drift of another workload does not stand on a container's page", () => {
  expect(concerns({ type: "tallyman", workload: "shop/db/1" }, "shop/api/1")).toBe(false);
  expect(concerns({ type: "tallyman", workload: "shop/api/1" }, "shop/api/1")).toBe(true);
  expect(concerns({ type: "engine" }, "shop/api/1")).toBe(true);
});
