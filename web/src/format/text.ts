// SPDX-License-Identifier: Apache-2.0

// Control, formatting (bidi overrides, zero width), unpaired surrogates and
// line separators: what can make a name look like another one.
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text from a container for the page: what cannot be seen is written out as \u202e. */
export function show(text: string): string {
  return text.replace(unseen, (c) => {
    const code = c.codePointAt(0)!;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** Text that may have lines of its own, a script say: they are broken with a sign, and tabs are tabs. */
export function showLines(text: string): string {
  return text.split("\n").map((line) => line.split("\t").map(show).join("\t")).join("\u21b5\n");
}

/** An image without its registry and path, for a narrow column: api:1.43.0. */
export function shortImage(image: string): string {
  const at = image.indexOf("@");
  const named = at > 0 ? image.slice(0, at) : image;
  if (/^sha256:[0-9a-f]{64}$/.test(named)) return named.slice(7, 19);
  return named.slice(named.lastIndexOf("/") + 1);
}

/** The first twelve digits of an id, as Docker prints it. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

/** A container's name within its project: shop-api-1 is api-1 under shop, a Swarm task loses its random end. */
export function localName(name: string, project: string | undefined): string {
  if (project === undefined || !/^[-_]./.test(name.slice(project.length)) || !name.startsWith(project)) return name;
  return name.slice(project.length + 1).replace(/\.[0-9a-z]{25}$/, "");
}
