// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Service } from "../../api/schema";
import { exprOf, fits, forms, ordered, repository, valueOf, verdict } from "./data";

const service = (part: Partial<Service>): Service => ({
  type: "REDIS", instance: "cache:6379", where: "6379", origin: "detection", container: "c", name: "cache", host: "h", workload: "shop/cache/1", state: "up", since: 0, series: 5, every: 15, ...part,
});

test("what is not up comes first", () => {
  const list = ordered([service({ state: "up" }), service({ state: "paused" }), service({ state: "down" }), service({ state: "auth" })]);
  expect(list.map((s) => s.state)).toEqual(["auth", "down", "up", "paused"]);
  expect(verdict({ services: list, mistakes: [], types: [] })).toEqual({ mark: "warn", text: "4 services: 1 up, 1 down, 1 denied, 1 paused" });
});

test("the filter", () => {
  expect(fits(service({}), "state:up redis")).toBe(true);
  expect(fits(service({}), "state:down")).toBe(false);
  expect(fits(service({ reason: "Connection refused." }), "refused")).toBe(true);
  expect(fits(service({}), "type:mysql")).toBe(false);
});

const wanted = { type: "REDIS", image: "redis:7", values: { PORT: "6379", PASSWORD: "$REDIS_PASSWORD", NAME: `it's "x" \\ y`, EMPTY: "" } };

test("each form is quoted for what reads it", () => {
  const value = valueOf(wanted);
  expect(JSON.parse(value)).toEqual([{ PluginType: "REDIS", Configuration: { PORT: ["6379"], PASSWORD: ["$REDIS_PASSWORD"], NAME: [`it's "x" \\ y`] } }]);
  const [compose, run, dockerfile, rule] = forms.map((f) => f.text(wanted));
  // YAML: two single quotes are one; Compose: two dollars are one.
  const yaml = compose!.match(/tallyman\.plugins: '(.*)'$/)![1]!.replaceAll("''", "'").replaceAll("$$", "$");
  expect(yaml).toBe(value);
  // The shell: '\'' is a single quote.
  const shell = run!.match(/--label '(.*)' \\\n/)![1]!.replaceAll(String.raw`'\''`, "'");
  expect(shell).toBe(`tallyman.plugins=${value}`);
  // A Dockerfile: a backslash stands before what is meant as it is.
  const label = dockerfile!.match(/^LABEL tallyman\.plugins="(.*)"$/)![1]!.replace(/\\(["\\$])/g, "$1");
  expect(label).toBe(value);
  expect(JSON.parse(rule!.match(/ {8}- (.*)$/)![1]!)).toEqual(JSON.parse(value)[0]);
});

test("the repository of an image", () => {
  expect(["redis:7", "docker.io/library/redis", "r.example:5000/shop/api:1", "bitnami/redis@sha256:a", "localhost/x"].map(repository)).toEqual(["redis", "redis", "shop/api", "bitnami/redis", "x"]);
});

test("the query of a line", () => {
  const s = service({});
  expect(exprOf({ name: "commands", metric: "redis_commands_total", rate: true, by: "cmd" }, s)).toBe(
    'topk(8, sum by (cmd) ((rate(redis_commands_total{job="redis",instance="cache:6379",host="h",workload="shop/cache/1"}[120s]) and redis_commands_total{job="redis",instance="cache:6379",host="h",workload="shop/cache/1"})))',
  );
  expect(exprOf({ name: "clients", metric: "redis_connected_clients", where: { a: 'b"' } }, s)).toBe('sum(redis_connected_clients{job="redis",instance="cache:6379",host="h",workload="shop/cache/1",a="b\\""})');
});
