// SPDX-License-Identifier: Apache-2.0

import { expect, it } from "vitest";
import { chosenText, readChosen } from "./chosen";

it("goes through the address, whatever the names hold", () => {
  for (const c of [{ host: "harbor", workload: "shop/api/1" }, { host: "a/b %|", workload: "%2F c/é" }]) expect(readChosen(chosenText(c))).toEqual(c);
  for (const text of ["", "a", "/b", "a/", "%zz/b"]) expect(readChosen(text)).toBeUndefined();
});
