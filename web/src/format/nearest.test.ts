// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { nearest } from "./nearest";

const names = ["shop-api-1", "shop-db-1", "cache", "configuration", "services"];

test("the nearest names come first, what is far is not offered", () => {
  const of = (meant: string) => nearest(meant, names, (n) => n);
  expect(of("shop-aip-1")).toEqual(["shop-api-1", "shop-db-1"]);
  expect(of("config")).toEqual(["configuration"]);
  expect(of("Servcies")).toEqual(["services"]);
  expect(of("xyzzy")).toEqual([]);
});
