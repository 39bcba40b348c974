// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { ansi, bare, visibleLines } from "./ansi";

test("colours and type become classes of a fixed list", () => {
  const f = (line: string, want: [string, string][]) => expect(ansi(line).map((p) => [p.text, p.style]), JSON.stringify(line)).toEqual(want);
  f("", []);
  f("plain", [["plain", ""]]);
  f("\x1b[31mred\x1b[0m not", [["red", "a1"], [" not", ""]]);
  f("\x1b[1;92mGET\x1b[m /", [["GET", "bold a2"], [" /", ""]]);
  f("a\x1b[1mb\x1b[22mc", [["a", ""], ["b", "bold"], ["c", ""]]);
  f("\x1b[38;5;196mx\x1b[39my", [["x", "a1"], ["y", ""]]);
  f("\x1b[38;2;0;250;5mx", [["x", "a2"]]);
  f("\x1b[38:2::0:0:240mx", [["x", "a4"]]);
  f("\x1b[48;5;244;33mx", [["x", "a3 b0"]]);
  f("\x1b[41;31mx", [["x", "a1 b1"]]);
  f("\x1b[8mhidden\x1b[5mblinks", [["hiddenblinks", ""]]);
  f("\x1b[;31mx", [["x", "a1"]]);
  f("\x1b[999999999999mx", [["x", ""]]);
});

test("what is no style is left out, what is no sequence is written out", () => {
  const f = (line: string, want: string) => expect(ansi(line).map((p) => p.text).join(""), JSON.stringify(line)).toBe(want);
  f("\x1b[2K\x1b[1Gdone", "done");
  f("\x1b]0;title\x07text", "text");
  f("\x1b]8;;https://example.net\x1b\\link\x1b]8;;\x1b\\", "link");
  f("\x1b(Bx", "x");
  f("\x1b", "\\u001b");
  f("\x1b[31", "\\u001b[31");
  f("\x1b]0;never ends", "\\u001b]0;never ends");
  f("a\u202ecod.exe\u200b\x07", "a\\u202ecod.exe\\u200b\\u0007");
  f("one\ttwo\r", "one    two");
  f("50%\r60%", "50%\\u000d60%");
  f("\x1b[31m<b>\x1b[0m", "<b>");
});

test("several lines stay several", () => {
  expect(visibleLines("one\r\n\ttwo\u202e\n")).toBe("one\n    two\\u202e\n");
});

test("a long line of broken sequences takes no time", () => {
  const start = performance.now();
  ansi("\x1b]".repeat(50_000));
  ansi("\x1b[" + "0;".repeat(100_000));
  expect(performance.now() - start).toBeLessThan(1000);
});

test("bare text is what is searched", () => {
  expect(bare("\x1b[32m{\x1b[0m}")).toBe("{}");
});
