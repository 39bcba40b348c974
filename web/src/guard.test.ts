// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = import.meta.dirname;
const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile())
  .map((e) => join(e.parentPath, e.name));
const pages = ["index.html", "login.html", "notbuilt/index.html", "notbuilt/login.html"].map((f) => join(root, "..", f));

test("every source file says its licence first", () => {
  for (const file of [...files, ...pages]) {
    const head = readFileSync(file, "utf8").split("\n").slice(0, 2).join("\n");
    expect(head, relative(root, file)).toContain("SPDX-License-Identifier: Apache-2.0");
  }
});

// Names, labels and events come from images that strangers built. They reach
// the page as text nodes only, and the page runs under a policy without inline
// script and style.
test("nothing turns text into markup", () => {
  const forbidden = /innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|document\.write|style="|\son\w+="/i;
  const found: string[] = [];
  for (const file of [...files, ...pages]) {
    if (file === import.meta.filename) continue;
    readFileSync(file, "utf8")
      .split("\n")
      .forEach((line, i) => {
        const m = forbidden.exec(line);
        if (m) found.push(`${relative(root, file)}:${i + 1} ${m[0]}`);
      });
  }
  expect(found).toEqual([]);
});

test("only chart/ knows uPlot", () => {
  for (const file of files) {
    if (relative(root, file).startsWith("chart/") || file === import.meta.filename) continue;
    expect(readFileSync(file, "utf8"), relative(root, file)).not.toMatch(/from "uplot|from 'uplot/);
  }
});

test("no colour outside the tokens", () => {
  for (const file of files) {
    if (!file.endsWith(".css") || file.endsWith("tokens.css")) continue;
    expect(readFileSync(file, "utf8").match(/#[0-9a-f]{3,8}\b|rgb\(/gi), relative(root, file)).toBeNull();
  }
});

// A page is a folder that can be read, and taken out, by itself. What two pages
// share has a folder of its own.
test("a page is imported by page/index alone", () => {
  const folder = (path: string) => /^page\/(.+)\//.exec(path)?.[1];
  let imports = 0;
  for (const file of files) {
    const at = relative(root, file);
    if (!/\.tsx?$/.test(at) || at === "page/index.tsx") continue;
    for (const [, spec] of readFileSync(file, "utf8").matchAll(/(?:from|import) ?\(?"(\.[^"]+)"/g)) {
      imports++;
      const page = folder(relative(root, resolve(dirname(file), spec!)));
      if (page) expect(folder(at), `${at} imports ${spec}`).toBe(page);
    }
  }
  expect(imports).toBeGreaterThan(300);
});

// The style sheets of pages stay when another page is opened. What one of them says
// of a class, it would say on every page after it.
test("no two pages give the same class a style", () => {
  const sheet = (file: string) => {
    const at = relative(root, file);
    return at.endsWith(".css") ? (/^page\/([^/]+)\//.exec(at)?.[1] ?? /^(log|chart|part\/\w+)/.exec(at)?.[1]) : undefined;
  };
  const by = new Map<string, Set<string>>();
  for (const file of files) {
    const page = sheet(file);
    if (!page) continue;
    const css = readFileSync(file, "utf8").replace(/\/\*[^]*?\*\//g, "");
    for (const [, selectors] of css.matchAll(/([^{}]+)\{/g)) {
      for (const one of selectors!.split(",")) {
        const name = /^\s*\.([\w-]+)/.exec(one)?.[1];
        if (name) by.set(name, (by.get(name) ?? new Set()).add(page));
      }
    }
  }
  expect(by.size).toBeGreaterThan(100);
  const common = [...by].filter(([name, pages]) => pages.size > 1 && !shared.has(name)).map(([name, pages]) => `.${name} in ${[...pages].join(" and ")}`);
  expect(common).toEqual([]);
});

// Parents that more than one page refers to: what is below them differs.
const shared = new Set(["dock", "stale", "acard"]);
