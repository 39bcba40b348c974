// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { fitting, type Language, placeAt, promFunctions, written } from "./completing";

/** The place at the mark | of a query. */
const at = (query: string, language: Language = "promql") => placeAt(query.replace("^", ""), query.indexOf("^"), language);

test("what may stand at a place of PromQL", () => {
  expect(at("^")).toMatchObject({ kind: "name", typed: "" });
  expect(at("sum(rate(container_c^")).toMatchObject({ kind: "name", typed: "container_c", from: 9 });
  expect(at("up{^")).toMatchObject({ kind: "label", typed: "", of: "up" });
  expect(at('up{job="a", ho^')).toMatchObject({ kind: "label", typed: "ho", of: "up" });
  expect(at('up{host="v^')).toMatchObject({ kind: "value", label: "host", typed: "v", quoted: true, of: "up" });
  expect(at("up{host=~^")).toMatchObject({ kind: "value", label: "host", quoted: false });
  expect(at("rate(up[^")).toMatchObject({ kind: "duration", typed: "" });
  expect(at("sum by (na^")).toMatchObject({ kind: "label", typed: "na" });
  expect(at('up{host="a"} + ^')).toMatchObject({ kind: "name" });
  expect(at('label_replace(up, "^')).toMatchObject({ kind: "none" });
});

test("what may stand at a place of LogQL", () => {
  expect(at('{source="^', "logql")).toMatchObject({ kind: "value", label: "source" });
  expect(at('{source="container"} | js^', "logql")).toMatchObject({ kind: "stage", typed: "js", of: '{source="container"}' });
  expect(at('{source="container"} |= "te^', "logql")).toMatchObject({ kind: "none" });
  expect(at('sum by (level) (count_over_time({source="container"} | json | st^', "logql")).toMatchObject({ kind: "stage", typed: "st" });
  expect(at('{source="container"} | json | a="b" or st^', "logql")).toMatchObject({ kind: "stage", typed: "st" });
  expect(at("count_ov^", "logql")).toMatchObject({ kind: "name", typed: "count_ov" });
});

test("what fits is offered, what begins so first, and written in place of the word", () => {
  expect(fitting(promFunctions, "rat").map((s) => s.text)[0]).toBe("rate");
  expect(fitting([{ text: "up", insert: "up" }], "up")).toEqual([]);
  const query = "sum(container_x)";
  expect(written(query, 8, placeAt(query, 8, "promql"), { text: "container_cpu", insert: "container_cpu" })).toEqual({ text: "sum(container_cpu)", caret: 17 });
  const value = 'up{host="v"}';
  expect(written(value, 10, placeAt(value, 10, "promql"), { text: "vm", insert: '"vm"' })).toEqual({ text: 'up{host="vm"}', caret: 11 });
  expect(written("up{host=", 8, placeAt("up{host=", 8, "promql"), { text: "vm", insert: '"vm"' }).text).toBe('up{host="vm"');
});
