// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { entries } from "./loki";

const shared = { source: "container", level: "info", overflow: "streams" };

test("lines of a stream that others fell into have the labels that they came with", () => {
  const [one] = entries([{ stream: shared, values: [["1", "hello", { structuredMetadata: { name: "web", host: "h", container_id: "c", trace: "t" } }]] }], false);
  expect(one).toMatchObject({ labels: { ...shared, name: "web", host: "h" }, meta: { container_id: "c", trace: "t" } });
  const [followed] = entries([{ stream: { ...shared, name: "web", host: "h", container_id: "c" }, values: [["1", "hello"]] }], true);
  expect(followed).toMatchObject({ labels: { name: "web", host: "h", source: "container" }, meta: { container_id: "c" } });
});

test("metadata of other lines stays metadata", () => {
  const [one] = entries([{ stream: { source: "push", app: "x" }, values: [["1", "hello", { structuredMetadata: { name: "own" } }]] }], false);
  expect(one).toMatchObject({ labels: { source: "push", app: "x" }, meta: { name: "own" } });
});

test("lines of one time stand as they were written", () => {
  // As an answer of lines() is given on: each stream from its oldest line on.
  const list = entries([{ stream: { name: "web" }, values: [["5", "first"], ["5", "second"], ["6", "third"]] }, { stream: { name: "db" }, values: [["4", "before"], ["7", "last"]] }], false);
  expect(list.map((e) => e.line)).toEqual(["before", "first", "second", "third", "last"]);
});
