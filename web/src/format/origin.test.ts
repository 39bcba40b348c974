// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { originOf, shortNames, shortPaths, unitName, wholeOrigin } from "./origin";

test("a line is of its container, file or unit", () => {
  const f = (labels: Record<string, string>, origin: string, whole: string) => {
    expect(originOf(labels)).toBe(origin);
    expect(wholeOrigin(labels)).toBe(whole);
  };
  f({ source: "container", name: "web" }, "web", "web");
  f({ source: "file", filename: "/var/log/a.log" }, "/var/log/a.log", "/var/log/a.log");
  f({ source: "file", filename: "/a.log", name: "web" }, "web", "web: /a.log");
  f({ source: "journal", unit: "docker.service" }, "docker.service", "docker.service");
  f({ service_name: "pushed" }, "pushed", "pushed");
  f({}, "", "");
});

test("services are called without their ending", () => {
  expect(["docker.service", "kernel", "a.socket", ".service"].map(unitName)).toEqual(["docker", "kernel", "a.socket", ".service"]);
});

test("files are called by their name, with folders where two have the same", () => {
  expect([...shortPaths(["/var/log/app.log", "/var/log/nginx/access.log", "/var/log/apache/access.log", "/srv/apache/access.log", "/access.log", "x", "x"])]).toEqual([
    ["/var/log/app.log", "app.log"],
    ["x", "x"],
    ["/var/log/nginx/access.log", "nginx/access.log"],
    ["/access.log", "/access.log"],
    ["/var/log/apache/access.log", "log/apache/access.log"],
    ["/srv/apache/access.log", "srv/apache/access.log"],
  ]);
});

test("containers are called as within their project, unless two would be called the same", () => {
  const c = (name: string, workload: string) => ({ name, workload });
  const short = shortNames([c("shop-web-1", "shop/web/1"), c("mail-web-1", "mail/web/1"), c("shop-db-1", "shop/db/1"), c("alone", "alone"), c("shop-db-1", "shop/db/1")]);
  expect([...short]).toEqual([["shop-web-1", "shop-web-1"], ["mail-web-1", "mail-web-1"], ["shop-db-1", "db-1"], ["alone", "alone"]]);
});
