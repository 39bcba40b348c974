// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Json } from "../api/schema";
import { compared, flat, grouped, inShort, odd, partsOf, rowOf, said, settingOf, union } from "./setting";

test("paths are told as people call settings", () => {
  const f = (path: string, group: string, label: string) => expect(settingOf(path), path).toEqual({ group, label });
  f("HostConfig.Memory", "Resources", "Memory limit");
  f("Config.Image", "Image", "Image");
  f("HostConfig.CapAdd", "Rights", "Capabilities added");
  f("Config.Env.DB_PASSWORD", "Environment", "DB_PASSWORD");
  f('Config.Env["a-b"]', "Environment", "a-b");
  f('Config.Labels["com.example.team"]', "Labels", "com.example.team");
  f('Mounts["/etc/app"].RW', "Mounts", "/etc/app: writable");
  f('HostConfig.PortBindings["80/tcp"]', "Network", "Port 80/tcp published as");
  f("Networks.shop_default.Connected", "Network", "shop_default: connected");
  f("Networks.shop_default.IPAMConfig.IPv4Address", "Network", "shop_default: IPAMConfig IPv4Address");
  f("Config.Healthcheck.NewThing", "Health and restart", "NewThing");
  f("HostConfig.SomethingNew", "Other", "SomethingNew");
  f("constructor", "Other", "constructor");
  f("", "Other", "");
  expect(partsOf('A["b\\"]c"].D["\\x07"]')).toEqual(["A", 'b"]c', "D", "\\x07"]);
});

test("values read as they are meant", () => {
  const f = (path: string, value: Json | undefined, text: string) => expect(said(path, value).text, path).toBe(text);
  f("HostConfig.Memory", 67108864, "64 MiB");
  f("HostConfig.MemorySwap", -1, "no limit");
  f("HostConfig.NanoCpus", 1500000000, "1.5 cores");
  f("HostConfig.NanoCpus", 1000000000, "1 core");
  f("Config.Healthcheck.Interval", 30000000000, "30 s");
  f("Config.Healthcheck.Interval", 120000000000, "2 min");
  f("HostConfig.Privileged", true, "yes");
  f("HostConfig.Privileged", undefined, "not set");
  f("HostConfig.CapAdd", ["NET_ADMIN", "SYS_TIME"], "NET_ADMIN\nSYS_TIME");
  f("Config.Env.X", "[set] a153d4e546f444b6", "hidden, hash a153");
  f("Config.Env.X", "[empty]", "set, but empty");
  f("Config.Env.X", "[set] no hash", "[set] no hash");
  f("HostConfig.Odd", { a: 1 }, '{"a":1}');
});

test("what differs is marked, whole words at a time", () => {
  const f = (path: string, a: Json | undefined, b: Json | undefined, before: string, after: string) => {
    const text = (lines: { text: string; hit: boolean }[][]) => lines.map((l) => l.map((p) => (p.hit ? `<${p.text}>` : p.text)).join("")).join("|");
    const [x, y] = compared(said(path, a), said(path, b));
    expect([text(x), text(y)], path).toEqual([before, after]);
  };
  f("HostConfig.Memory", 67108864, 134217728, "<64> MiB", "<128> MiB");
  f("Config.Image", "shop/api:1.42.0", "shop/api:1.43.0", "shop/api:1.<42>.0", "shop/api:1.<43>.0");
  f("HostConfig.CapAdd", ["NET_ADMIN"], ["NET_ADMIN", "SYS_TIME"], "NET_ADMIN", "NET_ADMIN|<SYS_TIME>");
  f("HostConfig.CapAdd", undefined, ["SYS_TIME"], "not set", "<SYS_TIME>");
  f("Config.Env.X", "[set] a153d4e546f444b6", "[set] 0f53d4e546f444b6", "hidden, hash <a153>", "hidden, hash <0f53>");
  f("Config.Env.X", "[set] a153d4e546f444b6", "[set] a153d4e546f444b7", "hash <a153d4e546f444b6>", "hash <a153d4e546f444b7>");
  f("Config.User", undefined, "root", "not set", "root");
  f("Config.User", "a", "aa", "<a>", "<aa>");
  f("Config.User", "👍 x", "👎 x", "<👍> x", "<👎> x");
});

test("a document in rows", () => {
  const doc: Json = { Id: "a", Config: { Env: { "A-B": "1" }, Cmd: ["x"] }, HostConfig: { Memory: 1 } };
  expect([...flat(doc)]).toEqual([["Id", "a"], ['Config.Env["A-B"]', "1"], ["Config.Cmd", ["x"]], ["HostConfig.Memory", 1]]);
  const rows = union(flat(doc), flat({ Id: "a", Config: { Cmd: ["y"], User: "u" }, HostConfig: { Memory: 1 } }));
  expect(rows.map((r) => `${r.path} ${r.how}`)).toEqual(["Id same", 'Config.Env["A-B"] removed', "Config.Cmd changed", "HostConfig.Memory same", "Config.User added"]);
  expect(grouped(rows).map((g) => g.group)).toEqual(["Resources", "Rights", "Environment", "Command", "Other"]);
  expect(rowOf("Config.User", undefined, "x").how).toBe("added");
});

test("changes in short", () => {
  expect(inShort(["HostConfig.Memory"])).toBe("Memory limit");
  expect(inShort(["HostConfig.Memory", "Config.User", "Config.Cmd"])).toBe("Memory limit, User, 1 more");
  expect(inShort(["HostConfig.Memory", "Config.User"], 9)).toBe("Memory limit, User, 7 more");
});

test("the odd ones out", () => {
  expect(odd([1, 1, 2])).toEqual([false, false, true]);
  expect(odd([1, 2])).toEqual([false, false]);
  expect(odd([null, ["a"], ["a"]])).toEqual([true, false, false]);
});
