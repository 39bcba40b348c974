// SPDX-License-Identifier: Apache-2.0

import { change, get } from "../../api/client";
import { curves } from "../../api/prom";
import type { CheckAnswer, Service, ServiceLine, ServiceMistake, ServiceType } from "../../api/schema";
import { counted } from "../../format/number";

/** What the page of services shows. */
export interface Services {
  services: Service[];
  mistakes: ServiceMistake[];
  types: ServiceType[];
}

/** Asks for all of it. */
export async function services(signal?: AbortSignal): Promise<Services> {
  const [now, kinds] = await Promise.all([get<"services">("services", {}, signal), get<"services/types">("services/types", {}, signal)]);
  return { services: ordered(now.services), mistakes: now.mistakes, types: kinds.types };
}

const rank: Record<string, number> = { auth: 0, down: 1, pending: 2, up: 3, paused: 4 };

/** What is not up comes first. */
export function ordered(list: readonly Service[]): Service[] {
  return [...list].sort((a, b) => (rank[a.state] ?? 0) - (rank[b.state] ?? 0) || a.workload.localeCompare(b.workload) || a.type.localeCompare(b.type) || a.where.localeCompare(b.where));
}

/** Whether a service fits the words of a filter: state:down, type:redis, or a text that stands somewhere. */
export function fits(s: Service, filter: string): boolean {
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => {
      const [key, value] = word.split(":", 2);
      if (key === "state" && value !== undefined) return s.state.startsWith(value);
      if ((key === "type" || key === "plugin") && value !== undefined) return s.type.toLowerCase().includes(value);
      return [s.type, s.name, s.workload, s.host, s.instance, s.reason ?? ""].some((text) => text.toLowerCase().includes(word));
    });
}

/** The first words of the page. */
export function verdict({ services: list }: Services): { mark: string; text: string } {
  if (list.length === 0) return { mark: "off", text: "No service is asked" };
  const of = (state: string) => list.filter((s) => s.state === state).length;
  const parts = [`${of("up")} up`, ...["down", "auth", "pending", "paused"].filter((s) => of(s) > 0).map((s) => `${of(s)} ${s === "auth" ? "denied" : s}`)];
  const bad = of("down") + of("auth");
  return { mark: bad > 0 ? "warn" : of("up") > 0 ? "ok" : "unknown", text: `${counted(list.length, "service")}: ${parts.join(", ")}` };
}

const origins: Record<string, string> = { rule: "rule", "run label": "label of the run", "image label": "label of the image", convention: "label", detection: "detected" };

/** Who asked for it. */
export const startedBy = (s: Service) => [origins[s.origin] ?? s.origin, s.source].filter(Boolean).join(" ");

/** What a label or a rule says: the plugin and the values of its form. */
export interface Wanted {
  type: string;
  image: string;
  values: Record<string, string>;
}

const entry = (w: Wanted) => ({ PluginType: w.type, Configuration: Object.fromEntries(Object.entries(w.values).filter(([, v]) => v !== "").map(([k, v]) => [k, [v]])) });

export const labelKey = "tallyman.plugins";

/** The value of the label. */
export const valueOf = (w: Wanted) => JSON.stringify([entry(w)]);

/** The label in each form, quoted for it, with what is to be known. */
export const forms: { name: string; note: string; text(w: Wanted): string }[] = [
  {
    name: "Compose",
    note: "$ is doubled, for Compose would replace it. It holds from when the container is made anew.",
    text: (w) => `services:\n  ${serviceName(w.image)}:\n    image: ${w.image}\n    labels:\n      ${labelKey}: '${valueOf(w).replaceAll("'", "''").replaceAll("$", "$$$$")}'`,
  },
  {
    name: "docker run",
    note: "Single quotes keep the shell out. It holds from when the container is made anew.",
    text: (w) => `docker run -d \\\n  --label '${labelKey}=${valueOf(w).replaceAll("'", String.raw`'\''`)}' \\\n  ${w.image}`,
  },
  {
    name: "Dockerfile",
    note: "Quotes, backslashes and $ are escaped for LABEL. A label of an image may do less than one of docker run.",
    text: (w) => `LABEL ${labelKey}="${valueOf(w).replace(/["\\$]/g, String.raw`\$&`)}"`,
  },
  {
    name: "Rule",
    note: "In tallyman.yaml; no container has to be made anew, tallyman is started again.",
    text: (w) => `plugins:\n  rules:\n    - image: '${repository(w.image).replaceAll("'", "''")}'\n      plugins:\n        - ${JSON.stringify(entry(w))}`,
  },
];

/** The repository of an image, without registry and tag, as a rule has it. */
export function repository(image: string): string {
  let name = image.split("@")[0]!.replace(/:[^/:]*$/, "");
  const first = name.split("/")[0]!;
  if (name.includes("/") && (/[.:]/.test(first) || first === "localhost")) name = name.slice(first.length + 1);
  return name.replace(/^library\//, "");
}

const serviceName = (image: string) => repository(image).split("/").pop() || "service";

/** Has the label read by tallyman. */
export const check = (w: Wanted) => change("POST", "services/check", { key: labelKey, value: valueOf(w) }) as Promise<CheckAnswer>;

/** One line of a chart as it is drawn. */
export interface Drawn {
  name: string;
  points: (number | null)[];
}

// A rate needs two samples at least, of a service that is asked once a minute.
const windowLeast = 120;

/** The PromQL of a line, for one instance, with one point for each step, in seconds. A rate ends where its samples do. */
export function exprOf(l: ServiceLine, s: Service, step = 0): string {
  const q = (v: string) => JSON.stringify(v);
  const matchers = [`job=${q(s.type.toLowerCase())}`, `instance=${q(s.instance)}`, `host=${q(s.host)}`, `workload=${q(s.workload)}`, ...Object.entries(l.where ?? {}).map(([k, v]) => `${k}=${q(v)}`)].join(",");
  const series = `${l.metric}{${matchers}}`;
  const value = l.rate ? `(rate(${series}[${Math.max(windowLeast, step)}s]) and ${series})` : series;
  return l.by ? `topk(8, sum by (${l.by}) (${value}))` : `sum(${value})`;
}

/** Asks for a line between two times, with one point for each step, in seconds. */
export async function lines(l: ServiceLine, s: Service, from: number, to: number, step: number, signal?: AbortSignal): Promise<Drawn[]> {
  const found = await curves(exprOf(l, s, step), from * 1000, to * 1000, step * 1000, signal);
  return found.map((c) => ({ name: l.by ? `${l.name} ${c.labels[l.by] ?? ""}`.trim() : l.name, points: c.points }));
}
