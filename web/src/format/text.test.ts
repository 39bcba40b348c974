// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { localName, shortId, shortImage, show, showLines } from "./text";

test.each([
  ["api-1", "api-1"],
  ["<b>x</b>", "<b>x</b>"],
  ["évil\u202egnp.exe", "évil\\u202egnp.exe"],
  ["a\u0000b\n", "a\\u0000b\\u000a"],
  ["\u001b[31mred", "\\u001b[31mred"],
  ["zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"],
  ["tag\u{e0041}", "tag\\u{e0041}"],
  ["lone\ud800", "lone\\ud800"],
  ["line\u2028end", "line\\u2028end"],
])("show(%j) is %j", (text, want) => expect(show(text)).toBe(want));

test("a script keeps its lines and tabs, and what cannot be seen is written out", () => {
  expect(showLines("set -e\n\tif x; then\u001b[31m\r\n")).toBe("set -e\u21b5\n\tif x; then\\u001b[31m\\u000d\u21b5\n");
  expect(showLines("one")).toBe("one");
});

test("images and ids are shortened for columns", () => {
  expect(shortImage("registry.example.net:5000/shop/api:1.43.0")).toBe("api:1.43.0");
  expect(shortImage("nginx@sha256:" + "a".repeat(64))).toBe("nginx");
  expect(shortImage("sha256:" + "ab".repeat(32))).toBe("abababababab");
  expect(shortId("sha256:0123456789abcdef")).toBe("0123456789ab");
});

test("a container is named within its project", () => {
  expect(localName("shop-api-1", "shop")).toBe("api-1");
  expect(localName("shop_web.2.t1a1b2c3d4e5f6g7h8i9j0k1l", "shop")).toBe("web.2");
  expect(localName("shopping", "shop")).toBe("shopping");
  expect(localName("lonely", undefined)).toBe("lonely");
});
