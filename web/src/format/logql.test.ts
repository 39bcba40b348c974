// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { beside, build, type Controls, counting, everything, finding, gapsOf, narrow, onlyPlace, readControls, type Source, withPlace, withSource } from "./logql";
import { around, problemOf } from "./mistake";
import { ofHost, ofWorkload, oneOf } from "./selector";

const f = (c: Partial<Controls>, want: string) => {
  const all = { ...everything, ...c };
  expect(build(all)).toBe(want);
  expect(readControls(want), want).toEqual(all);
};

test("controls and queries mean the same, both ways", () => {
  const sources: Source[] = ["container"];
  f({}, '{source=~"container|file|journal"}');
  f({ sources }, '{source="container"}');
  f({ sources, names: ["web-1"] }, '{source="container", name="web-1"}');
  f({ sources, names: ["web-1", "api.2"] }, '{source="container", name=~"web-1|api\\\\.2"}');
  f({ sources, hosts: ["h"], workloads: ["shop/api/1"] }, '{source="container", host="h", workload="shop/api/1"}');
  f({ sources, streams: ["stderr"] }, '{source="container", stream="stderr"}');
  f({ levels: ["warn", "error"] }, '{source=~"container|file|journal", level=~"warn|error|critical|fatal"}');
  f({ sources, levels: ["error"], text: "x" }, '{source="container", level=~"error|critical|fatal"} | decolorize |~ "(?i)x"');
  f({ sources, text: 'say "hi"', exact: true }, '{source="container"} | decolorize |= "say \\"hi\\""');
  f({ sources, text: "a.b|c" }, '{source="container"} | decolorize |~ "(?i)a\\\\.b\\\\|c"');
  f({ sources, names: ['"} |= "x'], text: "\\" }, '{source="container", name="\\"} |= \\"x"} | decolorize |~ "(?i)\\\\\\\\"');
});

test("files and units are chosen beside containers", () => {
  f({ sources: ["file"], files: ["/var/log/a.log"] }, '{source="file", filename="/var/log/a.log"}');
  f({ sources: ["journal"], units: ["docker.service", "kernel"] }, '{source="journal", unit=~"docker\\\\.service|kernel"}');
  f({ sources: ["container", "journal"], names: ["a"], units: ["b", "c"] }, '{source=~"container|journal", name=~"a|", unit=~"b|c|"}');
  f({ sources: ["container", "file"], names: ["a"] }, '{source=~"container|file", name=~"a|"}');
  f({ names: ["a"], files: ["/f"], units: ["u"] }, '{source=~"container|file|journal", name=~"a|", filename=~"/f|", unit=~"u|"}');
  expect(oneOf("a", ["x.y", "b|c", 'q"\\'])).toBe('a=~"x\\\\.y|b\\\\|c|q\\"\\\\\\\\"');
  expect(ofHost('h"')).toBe('{source=~"journal|file", host="h\\"", workload=""}');
  expect(ofWorkload("h", "w")).toBe('{source=~"container|file", host="h", workload="w"}');
});

test("choosing one turns its source on, and leaving the last one off", () => {
  let c = withPlace(everything, "container", "a");
  expect(build(c)).toBe('{source="container", name="a"}');
  c = withPlace(c, "journal", "u");
  expect(build(c)).toBe('{source=~"container|journal", name=~"a|", unit=~"u|"}');
  c = withPlace(c, "file", "/f");
  expect(c).toEqual({ ...everything, names: ["a"], files: ["/f"], units: ["u"] });
  c = withPlace(withPlace(c, "file", "/f"), "journal", "u");
  expect(build(c)).toBe('{source="container", name="a"}');
  expect(withPlace(c, "container", "a")).toEqual(everything);
  // A source that is turned off takes what was chosen of it along.
  c = withSource(withPlace({ ...everything, streams: ["stderr"] }, "container", "a"), "file");
  expect(build(c)).toBe('{source=~"container|file", name=~"a|", stream="stderr"}');
  expect(build(withSource(c, "container"))).toBe('{source="file"}');
  expect(withPlace(c, "container", "a")).toEqual({ ...everything, sources: ["container", "file"], streams: ["stderr"] });
  expect(withSource(withSource(withSource(everything, "file"), "journal"), "container")).toEqual(everything);
  expect(onlyPlace({ ...everything, names: ["a"], streams: ["stdout"] }, "journal", "u")).toEqual({ ...everything, sources: ["journal"], units: ["u"] });
});

test("what the controls cannot say stays a query", () => {
  for (const q of [
    "", "{", '{name="x"}', '{source="container"} | json', '{source="container"} |= "a" |= "b"', '{source="container", name!="x"}',
    '{source="container", name=~"web-.+"}', '{source="container", level="fatal"}', '{source="container"} |~ "a.b"', '{source="container"} |~ "(?i)a|b"',
    '{source="container"} | tallyman_gap!=""', '{source="container", level=""}', '{source="container", stream=~"a|b"}',
    '{source="container", image="x"}', '{source="container", name="a", name="b"}', 'rate({source="container"}[1m])', '{source="container", name=""}',
    '{source="event"}', '{source=~"container|event"}', '{source=~"container|container"}', '{source=~""}', '{source="journal", name="a"}', '{source="file", stream="stderr"}',
    '{source=~"container|file", name="a"}', '{source=~"container|file", name=~"|a"}', '{source=~"container|file", name=~""}', '{source="container", name=~"a|"}', '{source=~"container|file", name=~"|"}',
  ]) {
    expect(readControls(q), q).toBeUndefined();
  }
  expect(readControls(' { source = "container" , name="x" , } ')?.names).toEqual(["x"]);
  expect(readControls('{source="container"} |~ "(?i)x"')?.text).toEqual("x"); // as links of versions before have it
});

test("notes of missing lines are asked for where something hides them", () => {
  const g = (c: Partial<Controls>) => gapsOf({ ...everything, sources: ["container"], ...c });
  expect(g({})).toBeUndefined();
  expect(g({ levels: ["warn"], names: ["a"] })).toBeUndefined();
  expect(g({ levels: ["error"] })).toBe('{source="container", level="warn"} |= "tallyman: " | tallyman_gap!=""');
  expect(g({ text: "x", levels: ["warn"], names: ["a"] })).toBe('{source="container", name="a", level="warn"} |= "tallyman: " | tallyman_gap!=""');
  expect(g({ sources: [], streams: ["stdout"] })).toBe('{source=~"container|file|journal", stream=~"stdout|stderr", level="warn"} |= "tallyman: " | tallyman_gap!=""');
});

test("what stands beside a line is of its container and output, its file or its unit", () => {
  expect(beside({ host: "h", source: "container", name: "a", workload: "w", image: "i", stream: "stderr", level: "error" })).toBe('{host="h", source="container", name="a", workload="w", stream="stderr"}');
  expect(beside({ host: "h", source: "journal", unit: 'u"', level: "info" })).toBe('{host="h", source="journal", unit="u\\""}');
});

test("half a character in a query is no error of the browser", () => {
  expect(build({ ...everything, sources: ["file"], text: "a\ud800", exact: true })).toBe('{source="file"} | decolorize |= "a\ufffd"');
});

test("narrowing adds a stage, and a parser once", () => {
  expect(narrow('{a="b"}', "level", "warn", true, "")).toBe('{a="b"} | level="warn"');
  const json = narrow('{a="b"}', "status", '5"3', false, "json");
  expect(json).toBe('{a="b"} | json | status!="5\\"3"');
  expect(narrow(json, "rid", "x", true, "json")).toBe(json + ' | rid="x"');
});

test("counting keeps lines that cannot be parsed", () => {
  expect(counting('{a="b"} |= "x"', 1000)).toBe('sum by (level) (count_over_time({a="b"} |= "x" [1000ms]))');
  expect(counting('{a="b"} | json', 1000)).toContain("| json | drop __error__");
});

test("an error shows its place", () => {
  const p = problemOf("parse error at line 2, column 3: what is é?");
  expect(p).toEqual({ message: "what is é?", line: 2, column: 3 });
  expect(around("one\naéb c", p)).toEqual(["aé", "b", " c"]);
  expect(around("one\nab", p)).toEqual(["ab", " ", ""]);
  expect(problemOf("too much")).toEqual({ message: "too much" });
  expect(around("x", problemOf("too much"))).toBeUndefined();
});

test("a text is looked for beside any query", () => {
  expect(finding('{a="b"} | json | status > 400 ', 'c. "d"')).toBe('{a="b"} | json | status > 400 | decolorize |~ "(?i)c\\\\. \\"d\\""');
});
