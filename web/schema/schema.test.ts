// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from "node:fs";
import { join } from "node:path";
import openapiTS, { astToString, type OpenAPI3 } from "openapi-typescript";
import ts from "typescript";
import { expect, test } from "vitest";

const document = join(import.meta.dirname, "../../docs/reference/openapi.json");

const head = `// SPDX-License-Identifier: Apache-2.0

// Written by make generate from docs/reference/openapi.json; do not edit.

`;

/** tallyman's own part of a document: its paths, and the schemas that they lead to. */
function own(whole: OpenAPI3): OpenAPI3 {
  const paths = Object.fromEntries(Object.entries(whole.paths ?? {}).filter(([path]) => path.startsWith("/api/tallyman/")));
  const all = whole.components?.schemas ?? {};
  const schemas: typeof all = {};
  const follow = (from: unknown) => {
    for (const [, name] of JSON.stringify(from).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (schemas[name!]) continue;
      schemas[name!] = all[name!]!;
      follow(all[name!]);
    }
  };
  follow(paths);
  return { ...whole, paths, components: { schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))) } };
}

// A member of an interface cannot be made of itself, as any JSON is; a type can.
const inject = "type AnyJson = null | boolean | number | string | AnyJson[] | { [key: string]: AnyJson };";

// Of the other interfaces, which are laid down by others, the page uses Loki's alone.
test("the types are those of the OpenAPI document", { timeout: 60_000 }, async () => {
  const types = await openapiTS(own(JSON.parse(readFileSync(document, "utf8")) as OpenAPI3), {
    rootTypes: true,
    rootTypesNoSchemaPrefix: true,
    inject,
    transform: (_, { path }) => (path === "#/components/schemas/Json" ? ts.factory.createTypeReferenceNode("AnyJson") : undefined),
  });
  await expect(head + astToString(types), "run make generate").toMatchFileSnapshot("../src/api/schema.ts");
});
